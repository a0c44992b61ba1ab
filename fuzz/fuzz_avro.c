// Any bytes as an Avro message, or as a writer schema: a row or a refusal with a reason, the batch
// as it was; and a row that was decoded is the same after encoding and decoding it again.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/avro_encode.h"
#include "ingest/avro_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"W\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "},"
#define LAST(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define STRING "\"string\""
#define LONG "\"long\""
#define TIME(unit) "{\"type\":\"long\",\"logicalType\":\"timestamp-" unit "\"}"
#define DECIMAL "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":18,\"scale\":8}"
#define ENUM(name, symbols) "{\"type\":\"enum\",\"name\":\"" name "\",\"symbols\":[" symbols "]}"
#define ARRAY(items) "{\"type\":\"array\",\"items\":" items "}"
#define MAP(values) "{\"type\":\"map\",\"values\":" values "}"
#define NULLABLE(type) "[\"null\"," type "]"

// clang-format off
// The first byte chooses one, or (beyond them) that the rest is a schema.
static const char *const writers[] = {
    NULL, // the table's own
    RECORD(FIELD("message_id", STRING) FIELD("trade_id", STRING) FIELD("symbol", STRING)
           FIELD("exchange", STRING) FIELD("asset_class", ENUM("A", "\"equities\",\"crypto\""))
           FIELD("timestamp", TIME("micros")) FIELD("price", DECIMAL) FIELD("quantity", DECIMAL)
           FIELD("currency", STRING) FIELD("side", ENUM("S", "\"BUY\",\"SELL\""))
           FIELD("trade_conditions", ARRAY(STRING)) FIELD("source_sequence", NULLABLE(LONG))
           FIELD("ingestion_timestamp", TIME("micros"))
           FIELD("platform_sequence", NULLABLE(LONG)) LAST("vendor_data", NULLABLE(MAP(STRING)))),
    RECORD(FIELD("gone", ARRAY(MAP("\"bytes\"")))
           FIELD("next", "{\"type\":\"record\",\"name\":\"N\",\"fields\":["
                         FIELD("n", NULLABLE("\"N\"")) LAST("z", ARRAY("\"null\"")) "]}")
           FIELD("exchange", STRING) FIELD("symbol", STRING) FIELD("timestamp", TIME("millis"))
           FIELD("price", STRING) FIELD("quantity", LONG) FIELD("vendor_data", STRING)
           FIELD("trade_conditions", NULLABLE(STRING))
           FIELD("side", "[\"null\",\"long\",\"string\"]") FIELD("sequence", NULLABLE("\"int\""))
           LAST("epoch", "\"int\"")),
};
// clang-format on
enum { WRITER_COUNT = sizeof writers / sizeof writers[0] };

static void require(int condition, const char *what)
{
    if (!condition) {
        (void)fprintf(stderr, "%s\n", what);
        abort();
    }
}

// The names of the one row, as the batch does not keep them.
struct names {
    char exchange[32], symbol[255];
    size_t exchange_bytes, symbol_bytes;
};

static enum k2_status intern(void *context, struct k2_slice exchange, struct k2_slice symbol,
                             uint32_t *instrument, struct k2_error *error)
{
    struct names *names = context;
    if (exchange.size_bytes == 0 || exchange.size_bytes > sizeof names->exchange ||
        symbol.size_bytes == 0 || symbol.size_bytes > sizeof names->symbol) {
        return k2_fail(error, K2_REJECTED, "names");
    }
    names->exchange_bytes = exchange.size_bytes;
    names->symbol_bytes = symbol.size_bytes;
    memcpy(names->exchange, exchange.data, exchange.size_bytes);
    memcpy(names->symbol, symbol.data, symbol.size_bytes);
    *instrument = 1;
    return K2_OK;
}

static struct k2_avro_plan *make_plan(const struct k2_schema *table, struct k2_slice writer,
                                      struct names *names)
{
    struct k2_avro_plan_options options = {
        .exchange = "X", .intern = intern, .intern_context = names};
    struct k2_avro_plan *plan = NULL;
    struct k2_error error;
    enum k2_status status = k2_avro_plan_create(&plan, table, writer, &options, &error);
    require(status == K2_OK || plan == NULL, "a plan from a failure");
    return plan;
}

// Made once: a run is to cost no more than its message.
struct fixture {
    struct k2_schema *table;
    struct k2_avro_plan *plans[WRITER_COUNT];
    struct k2_avro_encoder *encoder;
    struct k2_row_batch *batch, *copy;
    struct k2_buffer first, second;
    struct names names;
};

static void make_fixture(struct fixture *self)
{
    k2_buffer_init(&self->first, 1 << 24);
    k2_buffer_init(&self->second, 1 << 24);
    require(k2_schema_builtin(&self->table, "trades", NULL) == K2_OK, "no table");
    for (size_t i = 0; i < WRITER_COUNT; i++) {
        const char *writer = writers[i] == NULL ? self->table->source : writers[i];
        self->plans[i] = make_plan(self->table, k2_slice_of(writer), &self->names);
        require(self->plans[i] != NULL, "no plan");
    }
    require(k2_avro_encoder_create(&self->encoder, self->table, NULL) == K2_OK, "no encoder");
    require(k2_row_batch_create(&self->batch, self->table, 1, false, NULL) == K2_OK, "no batch");
    require(k2_row_batch_create(&self->copy, self->table, 1, false, NULL) == K2_OK, "no batch");
}

static void check_again(struct fixture *self)
{
    const char *reason;
    struct k2_instrument_name name = {{(uint8_t *)self->names.exchange, self->names.exchange_bytes},
                                      {(uint8_t *)self->names.symbol, self->names.symbol_bytes}};
    struct k2_buffer *first = &self->first, *second = &self->second;
    k2_buffer_clear(first);
    k2_buffer_clear(second);
    k2_row_batch_clear(self->copy);
    require(k2_avro_encode(self->encoder, self->batch, 0, name, first, NULL) == K2_OK,
            "not encoded");
    require(k2_avro_plan_decode(self->plans[0], k2_buffer_slice(first), 0, self->copy, &reason,
                                NULL) == K2_OK,
            "not decoded again");
    require(k2_avro_encode(self->encoder, self->copy, 0, name, second, NULL) == K2_OK,
            "not encoded again");
    require(k2_slice_equal(k2_buffer_slice(first), k2_buffer_slice(second)), "another row");
}

static void decode(struct fixture *self, struct k2_avro_plan *plan, struct k2_slice message)
{
    const char *reason = NULL;
    k2_row_batch_clear(self->batch);
    enum k2_status status = k2_avro_plan_decode(plan, message, 0, self->batch, &reason, NULL);
    if (status == K2_OK) {
        require(self->batch->row_count == 1, "no row");
        check_again(self);
    } else {
        require(status == K2_REJECTED && reason != NULL, "refused without a reason");
        require(self->batch->row_count == 0 && self->batch->text.size_bytes == 0,
                "left something behind");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fixture fixture;
    if (fixture.table == NULL) {
        make_fixture(&fixture);
    }
    if (size == 0) {
        return 0;
    }
    struct k2_slice rest = {data + 1, size - 1};
    if (data[0] < WRITER_COUNT) {
        decode(&fixture, fixture.plans[data[0]], rest);
        return 0;
    }
    struct k2_avro_plan *plan = make_plan(fixture.table, rest, &fixture.names);
    if (plan != NULL) {
        decode(&fixture, plan, rest);
    }
    k2_avro_plan_destroy(plan);
    return 0;
}
