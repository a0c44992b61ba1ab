#include "format/schema/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "format/base/alloc.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct k2_schema *parse(const char *json)
{
    struct k2_schema *schema = NULL;
    struct k2_error error = {0};
    enum k2_status status = k2_schema_parse(&schema, NULL, k2_slice_of(json), &error);
    if (status != K2_OK) {
        print_error("%s\n", error.text);
    }
    assert_int_equal(status, K2_OK);
    return schema;
}

static void columns_stand_in_the_documented_order(void **state)
{
    (void)state;
    static const struct {
        const char *table, *columns;
    } rows[] = {
        {"trades", "exchange symbol timestamp epoch sequence message_id trade_id asset_class price "
                   "quantity currency side trade_conditions source_sequence ingestion_timestamp "
                   "platform_sequence vendor_data"},
        {"quotes", "exchange symbol timestamp epoch sequence message_id quote_id asset_class "
                   "bid_price bid_quantity ask_price ask_quantity currency source_sequence "
                   "ingestion_timestamp platform_sequence vendor_data"},
        {"book", "exchange symbol timestamp epoch sequence message_id asset_class action side "
                 "price quantity level order_count first_update_id last_update_id flags checksum "
                 "currency source_sequence ingestion_timestamp platform_sequence vendor_data"},
        {"reference_data", "exchange symbol timestamp epoch sequence message_id company_id "
                           "asset_class company_name isin currency listing_date delisting_date "
                           "is_active ingestion_timestamp vendor_data"},
        {"_deadletter", "exchange symbol timestamp epoch sequence reason detail source position "
                        "payload payload_truncated"},
        {"_log", "exchange symbol timestamp epoch sequence name number value"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_string_equal(k2_schema_builtin_name(i), rows[i].table);
        struct k2_schema *schema = NULL;
        assert_int_equal(k2_schema_builtin(&schema, rows[i].table, NULL), K2_OK);
        char text[1024] = "";
        size_t used = 0;
        for (size_t c = 0; c < schema->column_count; c++) {
            const struct k2_column *column = &schema->columns[c];
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", c == 0 ? "" : " ",
                                     column->name);
            assert_int_equal(column->id, c + 1); // for ever: segments know columns by id
        }
        assert_string_equal(text, rows[i].columns);
        assert_int_equal(k2_schema_check_evolution(schema, schema, NULL), K2_OK);
        k2_schema_destroy(schema);
    }
    assert_null(k2_schema_builtin_name(COUNT(rows)));
    struct k2_schema *none = NULL;
    assert_int_equal(k2_schema_builtin(&none, "nonsense", NULL), K2_NOT_FOUND);
}

static const struct k2_column *column_of(const struct k2_schema *schema, const char *name)
{
    int index = k2_schema_find(schema, k2_slice_of(name));
    assert_true(index >= 0);
    return &schema->columns[index];
}

static void columns_of_trades_have_their_kinds(void **state)
{
    (void)state;
    static const struct k2_column rows[] = {
        {.name = "exchange", .kind = K2_KIND_SYMBOLIC, .identity = true},
        {.name = "timestamp", .kind = K2_KIND_TIMESTAMP, .identity = true},
        {.name = "epoch", .kind = K2_KIND_INT64, .identity = true, .has_default = true},
        {.name = "message_id", .kind = K2_KIND_TEXT, .nullable = true},
        {.name = "trade_id", .kind = K2_KIND_TEXT, .nullable = true, .identity = true},
        {.name = "asset_class", .kind = K2_KIND_SYMBOLIC, .nullable = true, .identity = true},
        {.name = "price", .kind = K2_KIND_DECIMAL64, .scale = 8, .identity = true},
        {.name = "side",
         .kind = K2_KIND_SYMBOLIC,
         .identity = true,
         .has_default = true,
         .default_text = "UNKNOWN"},
        {.name = "trade_conditions",
         .kind = K2_KIND_JSON,
         .nullable = true,
         .identity = true,
         .shape = K2_JSON_STRINGS},
        {.name = "source_sequence", .kind = K2_KIND_INT64, .nullable = true, .identity = true},
        {.name = "ingestion_timestamp", .kind = K2_KIND_TIMESTAMP, .nullable = true},
        {.name = "platform_sequence", .kind = K2_KIND_INT64, .nullable = true},
        {.name = "vendor_data",
         .kind = K2_KIND_JSON,
         .nullable = true,
         .identity = true,
         .shape = K2_JSON_STRING_MAP},
    };
    struct k2_schema *schema = NULL;
    assert_int_equal(k2_schema_builtin(&schema, "trades", NULL), K2_OK);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct k2_column *want = &rows[i], *got = column_of(schema, want->name);
        assert_int_equal(got->kind, want->kind);
        assert_int_equal(got->scale, want->scale);
        assert_int_equal(got->nullable, want->nullable);
        assert_int_equal(got->identity, want->identity);
        assert_int_equal(got->shape, want->shape);
        assert_int_equal(got->has_default, want->has_default);
        if (want->default_text != NULL) {
            assert_string_equal(got->default_text, want->default_text);
        }
    }
    k2_schema_destroy(schema);
}

#define SYMBOL "{\"name\":\"symbol\",\"type\":\"string\"}"
#define TIMESTAMP                                                                                  \
    "{\"name\":\"timestamp\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}}"
#define SEQUENCE "{\"name\":\"sequence\",\"type\":\"int\"}"
#define KEYS SYMBOL "," TIMESTAMP "," SEQUENCE
#define RECORD(fields) "{\"type\":\"record\",\"name\":\"Ticks\",\"fields\":[" fields "]}"
#define WITH(field) RECORD(KEYS "," field)

static void a_foreign_record_becomes_a_table(void **state)
{
    (void)state;
    struct k2_schema *schema = parse(RECORD(
        "{\"name\":\"ric\",\"type\":\"string\",\"k2.role\":\"symbol\"},"
        "{\"name\":\"t\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"},"
        "\"k2.role\":\"timestamp\"},"
        "{\"name\":\"n\",\"type\":\"long\",\"k2.role\":\"sequence\"},"
        "{\"name\":\"kind\",\"type\":{\"type\":\"enum\",\"name\":\"Kind\",\"symbols\":[\"A\"]}},"
        "{\"name\":\"kind2\",\"type\":[\"null\",\"Kind\"],\"default\":null},"
        "{\"name\":\"half\",\"type\":\"double\",\"default\":0.5},"
        "{\"name\":\"fee\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\","
        "\"precision\":9,\"scale\":2},\"default\":\"\\u00ff\\u0085\"},"
        "{\"name\":\"id\",\"type\":{\"type\":\"string\",\"logicalType\":\"uuid\"}},"
        "{\"name\":\"tiny\",\"type\":\"int\",\"k2.kind\":\"int8\",\"default\":-3},"
        "{\"name\":\"legs\",\"type\":{\"type\":\"array\",\"items\":\"long\"},\"default\":[]}"));
    assert_string_equal(schema->table, "ticks");
    assert_int_equal(schema->column_count, 12);
    assert_string_equal(schema->columns[K2_EXCHANGE].name, "exchange");
    assert_string_equal(schema->columns[K2_SYMBOL].name, "ric");
    assert_string_equal(schema->columns[K2_SEQUENCE].name, "n");
    assert_int_equal(schema->columns[K2_SEQUENCE].id, 3);
    assert_true(schema->columns[K2_EPOCH].has_default);
    assert_int_equal(column_of(schema, "kind2")->kind, K2_KIND_SYMBOLIC);
    assert_true(column_of(schema, "kind2")->nullable);
    assert_int_equal(column_of(schema, "half")->default_value, 0x3fe0000000000000);
    assert_int_equal(column_of(schema, "fee")->default_value, -123);
    assert_int_equal(column_of(schema, "id")->kind, K2_KIND_UUID);
    assert_int_equal(column_of(schema, "tiny")->kind, K2_KIND_INT8);
    assert_int_equal(column_of(schema, "tiny")->default_value, -3);
    assert_string_equal(column_of(schema, "legs")->default_text, "[]");
    k2_schema_destroy(schema);
}

static void a_bad_schema_is_refused_with_the_field_named(void **state)
{
    (void)state;
    static const struct {
        const char *name, *json, *text;
    } rows[] = {
        {"not JSON", "{", "line"},
        {"not a record", "{\"type\":\"enum\",\"name\":\"E\"}", "record"},
        {"no sequence", RECORD(SYMBOL "," TIMESTAMP), "sequence"},
        {"a plain long as time",
         RECORD(SYMBOL "," SEQUENCE ",{\"name\":\"timestamp\","
                       "\"type\":\"long\"}"),
         "timestamp"},
        {"a nullable key",
         RECORD(TIMESTAMP "," SEQUENCE ",{\"name\":\"symbol\","
                          "\"type\":[\"null\",\"string\"]}"),
         "symbol"},
        {"a name twice", WITH(SYMBOL), "symbol"},
        {"an id twice", WITH("{\"name\":\"x\",\"type\":\"int\",\"field-id\":1}"), "field x"},
        {"an id of hidden columns", WITH("{\"name\":\"x\",\"type\":\"int\",\"field-id\":65281}"),
         "field x"},
        {"an unknown type", WITH("{\"name\":\"x\",\"type\":\"quux\"}"), "field x"},
        {"a union of two", WITH("{\"name\":\"x\",\"type\":[\"int\",\"string\"]}"), "field x"},
        {"too precise",
         WITH("{\"name\":\"x\",\"type\":{\"type\":\"bytes\",\"logicalType\":"
              "\"decimal\",\"precision\":38,\"scale\":2}}"),
         "field x"},
        {"a default of another type", WITH("{\"name\":\"x\",\"type\":\"int\",\"default\":\"1\"}"),
         "field x"},
        {"a default out of range",
         WITH("{\"name\":\"x\",\"type\":\"int\",\"k2.kind\":\"int8\","
              "\"default\":128}"),
         "field x"},
        {"a null default", WITH("{\"name\":\"x\",\"type\":\"int\",\"default\":null}"), "field x"},
        {"an unknown kind", WITH("{\"name\":\"x\",\"type\":\"int\",\"k2.kind\":\"text\"}"),
         "field x"},
        {"an unknown role", WITH("{\"name\":\"x\",\"type\":\"int\",\"k2.role\":\"boss\"}"),
         "field x"},
        {"no name", WITH("{\"type\":\"int\"}"), "number 4"},
        {"a name with a blank", WITH("{\"name\":\"a b\",\"type\":\"int\"}"), "number 4"},
        {"no type", WITH("{\"name\":\"x\"}"), "field x"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct k2_schema *schema = NULL;
        struct k2_error error = {0};
        enum k2_status status = k2_schema_parse(&schema, NULL, k2_slice_of(rows[i].json), &error);
        if (status != K2_BAD_REQUEST || strstr(error.text, rows[i].text) == NULL) {
            fail_msg("%s: status %s, text %s", rows[i].name, k2_status_name(status), error.text);
        }
        assert_null(schema);
    }
}

static void evolution_is_backward(void **state)
{
    (void)state;
    static const struct {
        const char *name, *older, *newer, *text; // text NULL: allowed
    } rows[] = {
        {"a nullable column more", RECORD(KEYS),
         WITH("{\"name\":\"x\",\"type\":[\"null\",\"int\"]}"), NULL},
        {"a defaulted column more", RECORD(KEYS),
         WITH("{\"name\":\"x\",\"type\":\"int\",\"default\":7}"), NULL},
        {"a required column more", RECORD(KEYS), WITH("{\"name\":\"x\",\"type\":\"int\"}"),
         "field x"},
        {"a column gone", WITH("{\"name\":\"x\",\"type\":\"int\"}"), RECORD(KEYS), "field x"},
        {"int to long", WITH("{\"name\":\"x\",\"type\":\"int\"}"),
         WITH("{\"name\":\"x\",\"type\":\"long\"}"), NULL},
        {"long to int", WITH("{\"name\":\"x\",\"type\":\"long\"}"),
         WITH("{\"name\":\"x\",\"type\":\"int\"}"), "field x"},
        {"to nullable", WITH("{\"name\":\"x\",\"type\":\"int\"}"),
         WITH("{\"name\":\"x\",\"type\":[\"null\",\"int\"]}"), NULL},
        {"from nullable", WITH("{\"name\":\"x\",\"type\":[\"null\",\"int\"]}"),
         WITH("{\"name\":\"x\",\"type\":\"int\"}"), "field x"},
        {"inserted without ids", WITH("{\"name\":\"x\",\"type\":\"int\"}"),
         WITH("{\"name\":\"y\",\"type\":[\"null\",\"int\"]},{\"name\":\"x\",\"type\":\"int\"}"),
         "field x"},
        {"inserted with ids", WITH("{\"name\":\"x\",\"type\":\"int\",\"field-id\":4}"),
         WITH("{\"name\":\"y\",\"type\":[\"null\",\"int\"],\"field-id\":5},"
              "{\"name\":\"x\",\"type\":\"int\",\"field-id\":4}"),
         NULL},
        {"another scale",
         WITH("{\"name\":\"x\",\"type\":{\"type\":\"bytes\",\"logicalType\":"
              "\"decimal\",\"precision\":9,\"scale\":2}}"),
         WITH("{\"name\":\"x\",\"type\":{\"type\":\"bytes\",\"logicalType\":"
              "\"decimal\",\"precision\":9,\"scale\":3}}"),
         "field x"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct k2_schema *older = parse(rows[i].older), *newer = parse(rows[i].newer);
        struct k2_error error = {0};
        enum k2_status status = k2_schema_check_evolution(older, newer, &error);
        bool good = rows[i].text == NULL
                        ? status == K2_OK
                        : status == K2_BAD_REQUEST && strstr(error.text, rows[i].text) != NULL;
        if (!good) {
            fail_msg("%s: status %s, text %s", rows[i].name, k2_status_name(status), error.text);
        }
        k2_schema_destroy(older);
        k2_schema_destroy(newer);
    }
}

static void parsing_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct k2_schema *schema = NULL;
    enum k2_status status = K2_NO_MEMORY;
    for (long count = 0; status != K2_OK; count++) {
        k2_alloc_fail_after(count);
        status = k2_schema_builtin(&schema, "trades", NULL);
        assert_true(status == K2_OK || (status == K2_NO_MEMORY && schema == NULL));
    }
    k2_alloc_fail_after(-1);
    k2_schema_destroy(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_stand_in_the_documented_order),
        cmocka_unit_test(columns_of_trades_have_their_kinds),
        cmocka_unit_test(a_foreign_record_becomes_a_table),
        cmocka_unit_test(a_bad_schema_is_refused_with_the_field_named),
        cmocka_unit_test(evolution_is_backward),
        cmocka_unit_test(parsing_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
