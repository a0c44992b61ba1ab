#include "ingest/avro_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "tests/support/avro_text.h"
#include "tests/support/row_text.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

// A schema of the key and one more field.
#define KEY_FIELDS "symbol:string exchange:string timestamp:nanos sequence:long v:"

// The key of a message of such a writer: S, X, time 1, sequence 2.
#define KEY "\x02S\x02X\x02\x04"

struct fixture {
    struct test_names names;
    struct k2_schema *table;
    struct k2_avro_plan *plan;
    struct k2_row_batch *batch;
    struct k2_error error;
    const char *reason;
};

static void close_fixture(struct fixture *self)
{
    k2_row_batch_destroy(self->batch);
    k2_avro_plan_destroy(self->plan);
    k2_schema_destroy(self->table);
    test_names_deinit(&self->names);
    *self = (struct fixture){0};
}

static enum k2_status open_json(struct fixture *self, const char *writer, const char *exchange)
{
    struct k2_avro_plan_options options = {
        .exchange = exchange, .intern = test_names_intern, .intern_context = &self->names};
    return k2_avro_plan_create(&self->plan, self->table, k2_slice_of(writer), &options,
                               &self->error);
}

static enum k2_status open_plan(struct fixture *self, const char *fields, const char *exchange)
{
    char writer[TEST_AVRO_BYTES];
    test_avro_record(writer, fields);
    return open_json(self, writer, exchange);
}

static void open_table(struct fixture *self, const char *fields)
{
    char json[TEST_AVRO_BYTES];
    *self = (struct fixture){0};
    test_avro_record(json, fields);
    if (k2_schema_parse(&self->table, NULL, k2_slice_of(json), &self->error) != K2_OK) {
        fail_msg("%s", self->error.text);
    }
    assert_int_equal(k2_row_batch_create(&self->batch, self->table, 8, false, NULL), K2_OK);
}

static enum k2_status decode(struct fixture *self, const void *message, size_t size_bytes)
{
    struct k2_slice bytes = {message, size_bytes};
    return k2_avro_plan_decode(self->plan, bytes, 77, self->batch, &self->reason, &self->error);
}

// `reason rejected` or the last row's text.
static void expect(struct fixture *self, const char *name, enum k2_status status,
                   const char *expected)
{
    struct k2_buffer text;
    k2_buffer_init(&text, 1 << 20);
    if (status == K2_OK) {
        test_put_row(&text, self->batch, self->batch->row_count - 1, &self->names);
    } else {
        assert_int_equal(status, K2_REJECTED);
        assert_int_equal(self->batch->row_count, 0);
        assert_int_equal(self->batch->text.size_bytes, 0);
        k2_put_text(&text, self->reason);
    }
    k2_put_u8(&text, 0);
    assert_false(text.failed);
    if (strcmp((char *)text.data, expected) != 0) {
        fail_msg("%s: %s, expected %s", name, (char *)text.data, expected);
    }
    k2_buffer_deinit(&text);
}

// A table and a writer of one field beside the key.
static enum k2_status open_one(struct fixture *self, const char *table_type,
                               const char *writer_type)
{
    char fields[1024];
    (void)snprintf(fields, sizeof fields, "%s%s", KEY_FIELDS, table_type);
    open_table(self, fields);
    (void)snprintf(fields, sizeof fields, "%s%s", KEY_FIELDS, writer_type);
    return open_plan(self, fields, NULL);
}

static const struct {
    const char *name, *table_type, *writer_type, *value;
    size_t value_bytes;
    const char *expected; // of the column, or the reason
} resolutions[] = {
    {"long", "long", "long", "\x7f", 1, "v=-64"},
    {"int becomes long", "long", "int", "\x80\x01", 2, "v=64"},
    {"long fits int", "int", "long", "\xfe\xff\xff\xff\x0f", 5, "v=2147483647"},
    {"long beyond int", "int", "long", "\x80\x80\x80\x80\x10", 5, "out_of_range"},
    {"an int of 33 bits", "long", "int", "\x80\x80\x80\x80\x10", 5, "bad_avro"},
    {"least long", "long", "long", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10,
     "v=-9223372036854775808"},
    {"varint of 11 bytes", "long", "long", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11,
     "bad_avro"},
    {"varint beyond 64 bits", "long", "long", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10,
     "bad_avro"},
    {"long becomes double", "double", "long", "\x06", 1, "v=0x1.8p+1"},
    {"float becomes double", "double", "float", "\0\0\xc0\x3f", 4, "v=0x1.8p+0"},
    {"double", "double", "double", "\0\0\0\0\0\0\xf8\x3f", 8, "v=0x1.8p+0"},
    {"true", "boolean", "boolean", "\1", 1, "v=1"},
    {"a boolean of 2", "boolean", "boolean", "\2", 1, "bad_avro"},
    {"string", "string", "string", "\4hi", 3, "v=hi"},
    {"bytes become string", "string", "bytes", "\2\xff", 2, "v=\\ff"},
    {"fixed becomes bytes", "bytes", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}", "ab", 2,
     "v=ab"},
    {"enum becomes its symbol", "string",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"BUY\",\"SELL\"]}", "\2", 1, "v=SELL"},
    {"enum beyond its symbols", "string",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"BUY\",\"SELL\"]}", "\4", 1, "bad_avro"},
    {"enum below its symbols", "string",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"BUY\",\"SELL\"]}", "\1", 1, "bad_avro"},
    {"decimal", "decimal8", "decimal8", "\4\x01\x00", 3, "v=0.00000256"},
    {"negative decimal", "decimal8", "decimal8", "\2\xff", 2, "v=-0.00000001"},
    {"decimal of fewer places", "decimal8", "decimal2", "\2\x7b", 2, "v=1.23"},
    {"decimal of more places, zeros", "decimal2", "decimal8", "\6\x0f\x42\x40", 4, "v=0.01"},
    {"decimal of more places", "decimal2", "decimal8", "\2\x01", 2, "too_many_places"},
    {"decimal too large", "decimal8", "decimal8", "\x10\x0d\xe0\xb6\xb3\xa7\x64\x00\x00", 9,
     "decimal_overflow"},
    {"largest decimal", "decimal8", "decimal8", "\x10\x0d\xe0\xb6\xb3\xa7\x63\xff\xff", 9,
     "v=9999999999.99999999"},
    {"least decimal", "decimal8", "decimal8", "\x10\xf2\x1f\x49\x4c\x58\x9c\x00\x01", 9,
     "v=-9999999999.99999999"},
    {"decimal too large after scaling", "decimal8", "decimal0",
     "\x10\x0d\xe0\xb6\xb3\xa7\x63\xff\xff", 9, "decimal_overflow"},
    {"decimal with leading sign bytes", "decimal8", "decimal8",
     "\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 21,
     "v=-0.00000002"},
    {"decimal of 20 bytes", "decimal8", "decimal8",
     "\x28\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 21,
     "decimal_overflow"},
    {"decimal whose sign bytes lie", "decimal8", "decimal8",
     "\x22\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 18,
     "decimal_overflow"},
    {"decimal of no bytes", "decimal8", "decimal8", "\0", 1, "bad_avro"},
    {"fixed decimal", "decimal8",
     "{\"type\":\"fixed\",\"name\":\"F\",\"size\":3,\"logicalType\":\"decimal\",\"precision\":"
     "6,\"scale\":2}",
     "\xff\xff\x9c", 3, "v=-1"},
    {"long becomes decimal", "decimal8", "long", "\x54", 1, "v=42"},
    {"long too large for decimal", "decimal8", "long", "\x80\x90\xdf\xc0\x4a", 5,
     "decimal_overflow"},
    {"text becomes decimal", "decimal8", "string",
     "\x0a"
     "1.250",
     6, "v=1.25"},
    {"text that is no decimal", "decimal8", "string",
     "\6"
     "abc",
     4, "bad_decimal"},
    {"text of too many places", "decimal2", "string",
     "\x0a"
     "0.001",
     6, "too_many_places"},
    {"milliseconds", "nanos", "millis", "\x03", 1, "v=-2000000"},
    {"microseconds", "nanos", "micros", "\x04", 1, "v=2000"},
    {"milliseconds beyond 2262", "nanos", "millis", "\xfe\xff\xff\xff\xff\xff\xff\xff\x7f", 9,
     "out_of_range"},
    {"uuid as text", "{\"type\":\"string\",\"logicalType\":\"uuid\"}", "string",
     "\x48"
     "616b2d75-7569-642d-6279-746573313661",
     37, "v=ak-uuid-bytes16a"},
    {"uuid as bytes", "{\"type\":\"string\",\"logicalType\":\"uuid\"}",
     "{\"type\":\"fixed\",\"name\":\"U\",\"size\":16}", "ak-uuid-bytes16a", 16,
     "v=ak-uuid-bytes16a"},
    {"uuid without its dashes", "{\"type\":\"string\",\"logicalType\":\"uuid\"}", "string",
     "\x48"
     "616b2d7507569-642d-6279-746573313661",
     37, "bad_uuid"},
    {"array of strings", "strings", "strings", "\2\2a\2\2\"\0", 7, "v=[\"a\",\"\\5c\"\"]"},
    {"no strings", "strings", "strings", "\0", 1, "v=[]"},
    {"array with block sizes", "strings", "strings", "\1\4\2a\0", 5, "v=[\"a\"]"},
    {"array of a million strings", "strings", "strings", "\x80\x89\x7a\0\0\0\0", 7, "bad_avro"},
    {"array of 2^63 strings", "strings", "strings", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0",
     12, "bad_avro"},
    {"a string that is not UTF-8 in an array", "strings", "strings", "\2\2\xff\0", 4, "bad_json"},
    {"map sorted by its keys", "string_map", "string_map", "\4\2b\0021\2a\0022\0", 10,
     "v={\"a\":\"2\",\"b\":\"1\"}"},
    {"map with a key twice", "string_map", "string_map", "\4\2a\0021\2a\0022\0", 10, "bad_json"},
    {"JSON as text", "string_map", "string", "\x16{\"a\" : \"b\"}", 12, "v={\"a\":\"b\"}"},
    {"JSON of another shape", "string_map", "string", "\x04[]", 3, "bad_json"},
    {"null", "?long", "?long", "\0", 1, "v=-"},
    {"the value of a union", "?long", "[\"long\",\"null\"]", "\0\x02", 2, "v=1"},
    {"a branch that is not there", "?long", "?long", "\4\2", 2, "bad_avro"},
    {"null where the column has none", "long", "?long", "\0", 1, "missing_value"},
    {"one branch of three fits", "string", "[\"null\",\"string\",\"long\"]", "\2\2a", 3, "v=a"},
    {"another branch of three does not", "string", "[\"null\",\"string\",\"long\"]", "\4\2", 2,
     "wrong_type"},
    {"a string longer than the message", "string", "string", "\x7eZ", 2, "bad_avro"},
    {"a string of negative length", "string", "string", "\1", 1, "bad_avro"},
    {"a string of 2^62 bytes", "string", "string", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10,
     "bad_avro"},
    {"bytes behind the row", "long", "long", "\2\2", 2, "bad_avro"},
    {"nothing", "long", "long", "", 0, "bad_avro"},
};

static void fields_are_resolved_by_their_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(resolutions); i++) {
        char expected[128];
        struct fixture self;
        if (open_one(&self, resolutions[i].table_type, resolutions[i].writer_type) != K2_OK) {
            fail_msg("%s: %s", resolutions[i].name, self.error.text);
        }
        char message[128] = KEY;
        memcpy(message + sizeof KEY - 1, resolutions[i].value, resolutions[i].value_bytes);
        enum k2_status status = decode(&self, message, sizeof KEY - 1 + resolutions[i].value_bytes);
        (void)snprintf(expected, sizeof expected, "%s%s", status == K2_OK ? "X/S 1 0 2 " : "",
                       resolutions[i].expected);
        expect(&self, resolutions[i].name, status, expected);
        close_fixture(&self);
    }
}

static void misfits_are_refused_with_the_field_named(void **state)
{
    (void)state;
    static const struct {
        const char *name, *table_type, *writer_type, *part;
    } rows[] = {
        {"text into a number", "long", "string", "field v: a string of the writer can not"},
        {"double into a decimal", "decimal8", "double", "field v: a double of the writer"},
        {"a time without unit", "nanos", "long", "needs a logicalType timestamp-"},
        {"a time into a number", "long", "millis", "field v: a long of the writer"},
        {"a local time", "nanos", "{\"type\":\"long\",\"logicalType\":\"local-timestamp-micros\"}",
         "field v: a long"},
        {"an array of numbers", "strings", "{\"type\":\"array\",\"items\":\"long\"}",
         "field v: a array of the writer"},
        {"a map for an array", "strings", "string_map", "field v: a map of the writer"},
        {"no branch fits", "long", "?string", "field v: a string of the writer"},
        {"a type that is not one", "long", "lung", "unknown type: lung"},
        {"a union in a union", "long", "[\"null\",[\"long\"]]", "a union within a union"},
        {"a record", "long", "{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}",
         "field v: a record of the writer"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fixture self;
        assert_int_equal(open_one(&self, rows[i].table_type, rows[i].writer_type), K2_BAD_REQUEST);
        if (strstr(self.error.text, rows[i].part) == NULL) {
            fail_msg("%s: %s", rows[i].name, self.error.text);
        }
        close_fixture(&self);
    }
}

static void fields_are_found_wherever_they_stand(void **state)
{
    (void)state;
    static const char table[] = "symbol:string exchange:string timestamp:nanos sequence:long "
                                "price<px:long side:string=\"UNKNOWN\" note:?string=null "
                                "source_sequence:?long=null";
#define PLAIN " side=UNKNOWN note=- source_sequence="
#define NESTED                                                                                     \
    "{\"type\":\"record\",\"name\":\"G\",\"fields\":["                                             \
    "{\"name\":\"a\",\"type\":{\"type\":\"array\",\"items\":\"double\"}},"                         \
    "{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":[\"null\",\"boolean\"]}},"              \
    "{\"name\":\"e\",\"type\":{\"type\":\"array\",\"items\":\"null\"}},"                           \
    "{\"name\":\"next\",\"type\":[\"null\",\"G\"]},"                                               \
    "{\"name\":\"f\",\"type\":\"float\"}]}"
    static const struct {
        const char *name, *writer, *exchange, *message;
        size_t message_bytes;
        const char *expected; // NULL: the plan is refused
    } rows[] = {
        {"in another order, by an alias, with defaults",
         "px:int timestamp:nanos exchange:string symbol:string", NULL, "\x12\x02\x02X\x02S", 6,
         "X/S 1 0 77 price=9" PLAIN "-"},
        {"an exchange in lower case", "price:int timestamp:nanos exchange:string symbol:string",
         NULL, "\x12\x02\x04xY\x02s", 7, "XY/s 1 0 77 price=9" PLAIN "-"},
        {"the exchange of the options in lower case", "price:int timestamp:nanos symbol:string",
         "asx", "\x12\x02\x02S", 4, "ASX/S 1 0 77 price=9" PLAIN "-"},
        {"the source's own number comes before the offset",
         "price:int timestamp:nanos symbol:string source_sequence:?long", "ASX",
         "\x12\x02\x02S\x02\x08", 6, "ASX/S 1 0 4 price=9" PLAIN "4"},
        {"a null number does not", "price:int timestamp:nanos symbol:string source_sequence:?long",
         "ASX", "\x12\x02\x02S\x00", 5, "ASX/S 1 0 77 price=9" PLAIN "-"},
        {"a sequence comes before both",
         "price:int timestamp:nanos symbol:string source_sequence:long sequence:?long epoch:int",
         "ASX", "\x12\x02\x02S\x08\x02\x0a\x06", 8, "ASX/S 1 3 5 price=9" PLAIN "4"},
        {"null takes the default of a column that has one",
         "price:int timestamp:nanos symbol:string side:?string", "ASX", "\x12\x02\x02S\x00", 5,
         "ASX/S 1 0 77 price=9" PLAIN "-"},
        {"what the table does not have is skipped",
         "gone:" NESTED " price:int timestamp:nanos symbol:string", "ASX",
         "\x02\1\2\3\4\5\6\7\x08\0\3\x0e\2a\2\1\2b\0\0"
         "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0\0\0\0\0\x12\x02\x02S",
         40, "ASX/S 1 0 77 price=9" PLAIN "-"},
        {"no exchange", "price:int timestamp:nanos symbol:string", NULL, "", 0, NULL},
        {"no price", "exchange:string timestamp:nanos symbol:string", NULL, "", 0, NULL},
        {"the column twice", "price:int timestamp:nanos symbol:string px:int", "ASX", "", 0, NULL},
        {"the field twice", "price:int timestamp:nanos symbol:string symbol:string", "ASX", "", 0,
         NULL},
        {"an empty symbol", "price:int timestamp:nanos symbol:string", "ASX", "\x12\x02\x00", 3,
         "bad_instrument"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fixture self;
        open_table(&self, table);
        enum k2_status status = open_plan(&self, rows[i].writer, rows[i].exchange);
        if (rows[i].expected == NULL) {
            assert_int_equal(status, K2_BAD_REQUEST);
        } else {
            assert_int_equal(status, K2_OK);
            status = decode(&self, rows[i].message, rows[i].message_bytes);
            expect(&self, rows[i].name, status, rows[i].expected);
        }
        close_fixture(&self);
    }
}

static const char trade_v2[] =
    "message_id:string trade_id:string symbol:string exchange:string "
    "asset_class:{\"type\":\"enum\",\"name\":\"AssetClass\","
    "\"symbols\":[\"equities\",\"crypto\",\"futures\",\"options\"]} "
    "timestamp:micros price:decimal8 quantity:decimal8 currency:string "
    "side:{\"type\":\"enum\",\"name\":\"TradeSide\","
    "\"symbols\":[\"BUY\",\"SELL\",\"SELL_SHORT\",\"UNKNOWN\"]} "
    "trade_conditions:strings source_sequence:?long=null ingestion_timestamp:micros "
    "platform_sequence:?long=null vendor_data:?string_map=null";

static const char trade_v2_message[] = "\x02m\x02t\x0e"
                                       "BTCUSDT\x0e"
                                       "BINANCE\x02"
                                       "\x80\x80\x80\x80\x20"
                                       "\x04\x01\x00"
                                       "\x02\x05"
                                       "\x08USDT\x02"
                                       "\x02\x02@\x00"
                                       "\x02\x14"
                                       "\x06"
                                       "\x00"
                                       "\x02\x02\x02k\x02v\x00";

static void a_trade_v2_becomes_a_row_of_trades(void **state)
{
    (void)state;
    struct fixture self = {0};
    assert_int_equal(k2_schema_builtin(&self.table, "trades", &self.error), K2_OK);
    assert_int_equal(k2_row_batch_create(&self.batch, self.table, 8, false, NULL), K2_OK);
    assert_int_equal(open_plan(&self, trade_v2, NULL), K2_OK);
    enum k2_status status = decode(&self, trade_v2_message, sizeof trade_v2_message - 1);
    expect(&self, "TradeV2", status,
           "BINANCE/BTCUSDT 4294967296000 0 10 message_id=m trade_id=t asset_class=crypto "
           "price=0.00000256 quantity=0.00000005 currency=USDT side=SELL trade_conditions=[\"@\"] "
           "source_sequence=10 ingestion_timestamp=3000 platform_sequence=- "
           "vendor_data={\"k\":\"v\"}");
    k2_row_batch_clear(self.batch);
    for (size_t i = 0; i < sizeof trade_v2_message - 1; i++) { // cut anywhere
        expect(&self, "cut", decode(&self, trade_v2_message, i), "bad_avro");
    }
    close_fixture(&self);
}

static void nesting_ends_at_a_depth(void **state)
{
    (void)state;
    struct fixture self;
    assert_int_equal(open_one(&self, "?long", "{\"type\":\"record\",\"name\":\"L\",\"fields\":[]}"),
                     K2_BAD_REQUEST);
    close_fixture(&self);
    open_table(&self, "symbol:string exchange:string timestamp:nanos sequence:long");
    static const char list[] = "{\"type\":\"record\",\"name\":\"L\",\"fields\":"
                               "[{\"name\":\"next\",\"type\":[\"null\",\"L\"]}]}";
    char fields[TEST_AVRO_BYTES / 2];
    (void)snprintf(fields, sizeof fields, "%s%s", KEY_FIELDS, list);
    assert_int_equal(open_plan(&self, fields, NULL), K2_OK);
    char message[4096] = KEY;
    memset(message + sizeof KEY - 1, 2, 2000);
    assert_int_equal(decode(&self, message, sizeof message), K2_REJECTED);
    assert_string_equal(self.reason, "bad_avro");
    close_fixture(&self);
    size_t at = (size_t)snprintf(fields, sizeof fields, "%s", KEY_FIELDS);
    for (int i = 0; i < 100; i++) {
        at += (size_t)snprintf(fields + at, sizeof fields - at, "{\"type\":\"array\",\"items\":");
    }
    at += (size_t)snprintf(fields + at, sizeof fields - at, "\"long\"");
    memset(fields + at, '}', 100);
    fields[at + 100] = '\0';
    open_table(&self, "symbol:string exchange:string timestamp:nanos sequence:long");
    assert_int_equal(open_plan(&self, fields, NULL), K2_BAD_REQUEST);
    close_fixture(&self);
}

static void every_failed_allocation_is_told(void **state)
{
    (void)state;
    struct fixture self = {0};
    assert_int_equal(k2_schema_builtin(&self.table, "trades", &self.error), K2_OK);
    char writer[TEST_AVRO_BYTES];
    test_avro_record(writer, trade_v2);
    enum k2_status status = K2_NO_MEMORY;
    for (long calls = 0; status != K2_OK; calls++) {
        k2_alloc_fail_after(calls);
        status = open_json(&self, writer, NULL);
        assert_true(status == K2_OK || (status == K2_NO_MEMORY && self.plan == NULL));
    }
    k2_alloc_fail_after(-1);
    assert_int_equal(k2_row_batch_create(&self.batch, self.table, 8, false, NULL), K2_OK);
    status = K2_NO_MEMORY;
    for (long calls = 0; status != K2_OK; calls++) {
        k2_alloc_fail_after(calls);
        status = decode(&self, trade_v2_message, sizeof trade_v2_message - 1);
        assert_true(status == K2_OK || (status == K2_NO_MEMORY && self.batch->row_count == 0));
    }
    k2_alloc_fail_after(-1);
    assert_int_equal(self.batch->row_count, 1);
    close_fixture(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_resolved_by_their_types),
        cmocka_unit_test(misfits_are_refused_with_the_field_named),
        cmocka_unit_test(fields_are_found_wherever_they_stand),
        cmocka_unit_test(a_trade_v2_becomes_a_row_of_trades),
        cmocka_unit_test(nesting_ends_at_a_depth),
        cmocka_unit_test(every_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
