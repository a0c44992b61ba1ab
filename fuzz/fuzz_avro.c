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

static void check_again(const struct k2_schema *table, const struct k2_row_batch *batch,
                        struct names *names)
{
    struct k2_avro_encoder *encoder;
    struct k2_buffer first, second;
    struct k2_row_batch *copy;
    const char *reason;
    k2_buffer_init(&first, 1 << 24);
    k2_buffer_init(&second, 1 << 24);
    struct k2_avro_plan *plan = make_plan(table, k2_slice_of(table->source), names);
    require(k2_avro_encoder_create(&encoder, table, NULL) == K2_OK, "no encoder");
    require(k2_row_batch_create(&copy, table, 1, false, NULL) == K2_OK, "no batch");
    struct k2_instrument_name name = {{(uint8_t *)names->exchange, names->exchange_bytes},
                                      {(uint8_t *)names->symbol, names->symbol_bytes}};
    require(k2_avro_encode(encoder, batch, 0, name, &first, NULL) == K2_OK, "not encoded");
    require(k2_avro_plan_decode(plan, k2_buffer_slice(&first), 0, copy, &reason, NULL) == K2_OK,
            "not decoded again");
    require(k2_avro_encode(encoder, copy, 0, name, &second, NULL) == K2_OK, "not encoded again");
    require(k2_slice_equal(k2_buffer_slice(&first), k2_buffer_slice(&second)), "another row");
    k2_row_batch_destroy(copy);
    k2_avro_encoder_destroy(encoder);
    k2_avro_plan_destroy(plan);
    k2_buffer_deinit(&first);
    k2_buffer_deinit(&second);
}

static void decode(const struct k2_schema *table, struct k2_avro_plan *plan, struct k2_slice bytes,
                   struct names *names)
{
    struct k2_row_batch *batch;
    const char *reason = NULL;
    require(k2_row_batch_create(&batch, table, 1, false, NULL) == K2_OK, "no batch");
    enum k2_status status = k2_avro_plan_decode(plan, bytes, 0, batch, &reason, NULL);
    if (status == K2_OK) {
        require(batch->row_count == 1, "no row");
        check_again(table, batch, names);
    } else {
        require(status == K2_REJECTED && reason != NULL, "refused without a reason");
        require(batch->row_count == 0 && batch->text.size_bytes == 0, "left something behind");
    }
    k2_row_batch_destroy(batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct k2_schema *table;
    struct names names = {0};
    if (size == 0) {
        return 0;
    }
    require(k2_schema_builtin(&table, "trades", NULL) == K2_OK, "no table");
    struct k2_slice rest = {data + 1, size - 1}, writer = rest;
    if (data[0] == 0) {
        writer = k2_slice_of(table->source);
    } else if (data[0] < WRITER_COUNT) {
        writer = k2_slice_of(writers[data[0]]);
    }
    struct k2_avro_plan *plan = make_plan(table, writer, &names);
    require(plan != NULL || data[0] >= WRITER_COUNT, "no plan");
    if (plan != NULL) {
        decode(table, plan, rest, &names);
    }
    k2_avro_plan_destroy(plan);
    k2_schema_destroy(table);
    return 0;
}
