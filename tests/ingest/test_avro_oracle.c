// Random rows of random schemas, encoded by avro-c and by K2, decoded by both: the same values.
#include "ingest/avro_plan.h"

#include <avro.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingest/avro_encode.h"
#include "tests/support/avro_text.h"
#include "tests/support/row_text.h"
#include "tests/support/tier.h"

enum { TURNS = 400, ROWS = 20, FIELDS_MAX = 12, TEXT_BYTES = 1 << 16 };

#define ENUM "{\"type\":\"enum\",\"name\":\"E%u\",\"symbols\":[\"A\",\"BB\",\"C_3\"]}"
#define FIXED "{\"type\":\"fixed\",\"name\":\"F%u\",\"size\":5}"
#define FIXED_DECIMAL                                                                              \
    "{\"type\":\"fixed\",\"name\":\"D%u\",\"size\":9,\"logicalType\":\"decimal\","                 \
    "\"precision\":18,\"scale\":3}"

// What a field can be; `%u` becomes its number.
static const char *const types[] = {
    "long",   "int",    "boolean",  "double",  "string",     "bytes", "decimal8", "nanos",
    "micros", "millis", "decimal2", "strings", "string_map", ENUM,    FIXED,      FIXED_DECIMAL};
enum { TYPE_COUNT = sizeof types / sizeof types[0] };

struct random_field {
    unsigned type;
    bool nullable;
};

struct turn {
    uint64_t random;
    struct random_field fields[FIELDS_MAX];
    unsigned field_count;
    char fields_text[TEST_AVRO_BYTES / 2], json[TEST_AVRO_BYTES];
    struct k2_schema *schema;
    struct test_names names;
    struct k2_row_batch *rows, *decoded;
    struct k2_error error;
};

static void make_schema(struct turn *self)
{
    size_t at = (size_t)snprintf(self->fields_text, sizeof self->fields_text, "%s",
                                 "symbol:string exchange:string timestamp:nanos sequence:long");
    self->field_count = 1 + (unsigned)test_random_below(&self->random, FIELDS_MAX);
    for (unsigned i = 0; i < self->field_count; i++) {
        char type[256];
        struct random_field *field = &self->fields[i];
        field->type = (unsigned)test_random_below(&self->random, TYPE_COUNT);
        field->nullable = test_random_below(&self->random, 2) == 0;
        const char *number = strstr(types[field->type], "%u");
        if (number == NULL) {
            (void)snprintf(type, sizeof type, "%s", types[field->type]);
        } else {
            (void)snprintf(type, sizeof type, "%.*s%u%s", (int)(number - types[field->type]),
                           types[field->type], i, number + 2);
        }
        at += (size_t)snprintf(self->fields_text + at, sizeof self->fields_text - at, " f%u:%s%s",
                               i, field->nullable ? "?" : "", type);
        assert_true(at < sizeof self->fields_text);
    }
    test_avro_record(self->json, self->fields_text);
    if (k2_schema_parse(&self->schema, NULL, k2_slice_of(self->json), &self->error) != K2_OK) {
        fail_msg("%s", self->error.text);
    }
}

// A value of any length of bits, so that short and long varints both come.
static int64_t random_number(struct turn *self)
{
    uint64_t bits = test_random(&self->random);
    return (int64_t)bits >> test_random_below(&self->random, 64);
}

static int64_t random_value(struct turn *self, const struct k2_column *column, unsigned type)
{
    const int64_t limit = INT64_C(1000000000000000000);
    int64_t value = random_number(self);
    double number = (double)value / 3;
    switch (column->kind) {
    case K2_KIND_INT32:
        return (int32_t)value;
    case K2_KIND_BOOL:
        return value & 1;
    case K2_KIND_DECIMAL64:
        return value % limit;
    case K2_KIND_FLOAT64:
        memcpy(&value, &number, sizeof value);
        return value;
    case K2_KIND_TIMESTAMP:
        return strcmp(types[type], "millis") == 0   ? value / 1000000 * 1000000
               : strcmp(types[type], "micros") == 0 ? value / 1000 * 1000
                                                    : value;
    default:
        return value;
    }
}

static void put_random_bytes(struct turn *self, struct k2_buffer *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        k2_put_u8(out, (uint8_t)('a' + test_random_below(&self->random, 26)));
    }
}

static void put_random_text(struct turn *self, struct k2_buffer *out, unsigned type)
{
    static const char *const symbols[] = {"A", "BB", "C_3"};
    static const char *const lists[] = {"[]", "[\"x\"]", "[\"x\",\"\\\"\",\"\\n\"]"};
    static const char *const maps[] = {"{}", "{\"k\":\"v\"}", "{\"a\":\"\",\"b\":\"\\\\\"}"};
    size_t pick = test_random_below(&self->random, 3);
    if (strcmp(types[type], ENUM) == 0) {
        k2_put_text(out, symbols[pick]);
    } else if (strcmp(types[type], "strings") == 0) {
        k2_put_text(out, lists[pick]);
    } else if (strcmp(types[type], "string_map") == 0) {
        k2_put_text(out, maps[pick]);
    } else {
        bool fixed = strcmp(types[type], FIXED) == 0;
        put_random_bytes(self, out, fixed ? 5 : test_random_below(&self->random, 90));
    }
}

static void fill_cell(struct turn *self, size_t row, unsigned index)
{
    char name[16];
    const struct random_field *field = &self->fields[index];
    (void)snprintf(name, sizeof name, "f%u", index);
    int column = k2_schema_find(self->schema, k2_slice_of(name));
    assert_true(column >= K2_KEY_COLUMN_COUNT);
    if (field->nullable && test_random_below(&self->random, 3) == 0) {
        k2_row_batch_set_null(self->rows, row, (size_t)column);
        return;
    }
    const struct k2_column *declared = &self->schema->columns[column];
    if (k2_kind_is_fixed(declared->kind)) {
        k2_row_batch_set_value(self->rows, row, (size_t)column,
                               random_value(self, declared, field->type));
        return;
    }
    struct k2_buffer text;
    k2_buffer_init(&text, TEXT_BYTES);
    put_random_text(self, &text, field->type);
    assert_int_equal(
        k2_row_batch_set_text(self->rows, row, (size_t)column, k2_buffer_slice(&text), NULL),
        K2_OK);
    k2_buffer_deinit(&text);
}

static void fill_rows(struct turn *self)
{
    assert_int_equal(k2_row_batch_create(&self->rows, self->schema, ROWS, false, NULL), K2_OK);
    assert_int_equal(k2_row_batch_create(&self->decoded, self->schema, 1, false, NULL), K2_OK);
    for (size_t i = 0; i < ROWS; i++) {
        struct k2_row_key key = {.time_ns = random_number(self), .sequence = random_number(self)};
        size_t row;
        assert_int_equal(test_names_intern(&self->names, k2_slice_of("X"),
                                           k2_slice_of(i % 2 == 0 ? "S" : "TT"), &key.instrument,
                                           NULL),
                         K2_OK);
        assert_int_equal(k2_row_batch_add(self->rows, &key, 0, &row, NULL), K2_OK);
        for (unsigned j = 0; j < self->field_count; j++) {
            fill_cell(self, row, j);
        }
    }
}

// Decoded and encoded again by avro-c: it must take all bytes, and agree on each value. avro-c
// writes arrays and maps in one block where K2 writes many, so the result is decoded by K2 too.
static size_t through_avro_c(struct turn *self, avro_schema_t schema, struct k2_slice message,
                             char *out, size_t room)
{
    avro_value_iface_t *interface = avro_generic_class_from_schema(schema);
    avro_value_t value;
    assert_int_equal(avro_generic_value_new(interface, &value), 0);
    avro_reader_t reader =
        avro_reader_memory((const char *)message.data, (int64_t)message.size_bytes);
    avro_writer_t writer = avro_writer_memory(out, (int64_t)room);
    if (avro_value_read(reader, &value) != 0) {
        fail_msg("avro-c: %s in %s", avro_strerror(), self->json);
    }
    char byte;
    assert_int_not_equal(avro_read(reader, &byte, 1), 0); // nothing is left
    assert_int_equal(avro_value_write(writer, &value), 0);
    size_t size = (size_t)avro_writer_tell(writer);
    avro_writer_free(writer);
    avro_reader_free(reader);
    avro_value_decref(&value);
    avro_value_iface_decref(interface);
    return size;
}

static void compare_row(struct turn *self, size_t row, struct k2_avro_plan *plan,
                        struct k2_slice message, const char *who)
{
    struct k2_buffer expected, found;
    const char *reason = "";
    k2_buffer_init(&expected, TEXT_BYTES);
    k2_buffer_init(&found, TEXT_BYTES);
    k2_row_batch_clear(self->decoded);
    if (k2_avro_plan_decode(plan, message, 0, self->decoded, &reason, &self->error) != K2_OK) {
        fail_msg("%s: %s: %s in %s", who, reason, self->error.text, self->json);
    }
    test_put_row(&expected, self->rows, row, &self->names);
    test_put_row(&found, self->decoded, 0, &self->names);
    k2_put_u8(&expected, 0);
    k2_put_u8(&found, 0);
    assert_string_equal((char *)found.data, (char *)expected.data);
    k2_buffer_deinit(&expected);
    k2_buffer_deinit(&found);
}

static void compare_rows(struct turn *self)
{
    struct k2_avro_plan_options options = {.intern = test_names_intern,
                                           .intern_context = &self->names};
    struct k2_avro_plan *plan;
    struct k2_avro_encoder *encoder;
    avro_schema_t schema;
    struct k2_buffer message;
    char *again = malloc(TEXT_BYTES);
    assert_non_null(again);
    k2_buffer_init(&message, TEXT_BYTES);
    assert_int_equal(avro_schema_from_json_length(self->json, strlen(self->json), &schema), 0);
    assert_int_equal(
        k2_avro_plan_create(&plan, self->schema, k2_slice_of(self->json), &options, &self->error),
        K2_OK);
    assert_int_equal(k2_avro_encoder_create(&encoder, self->schema, &self->error), K2_OK);
    for (size_t i = 0; i < ROWS; i++) {
        struct k2_instrument_name name =
            test_names_of(&self->names, self->rows->keys[i].instrument);
        k2_buffer_clear(&message);
        assert_int_equal(k2_avro_encode(encoder, self->rows, i, name, &message, &self->error),
                         K2_OK);
        compare_row(self, i, plan, k2_buffer_slice(&message), "K2");
        size_t size = through_avro_c(self, schema, k2_buffer_slice(&message), again, TEXT_BYTES);
        compare_row(self, i, plan, (struct k2_slice){(uint8_t *)again, size}, "avro-c");
    }
    k2_avro_encoder_destroy(encoder);
    k2_avro_plan_destroy(plan);
    avro_schema_decref(schema);
    k2_buffer_deinit(&message);
    free(again);
}

static void rows_are_the_same_through_avro_c(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    print_message("seed %" PRIu64 "\n", seed);
    struct test_budget budget = {0};
    while (test_goes_on(&budget, TURNS)) {
        struct turn *self = calloc(1, sizeof *self);
        assert_non_null(self);
        self->random = seed++;
        make_schema(self);
        fill_rows(self);
        compare_rows(self);
        k2_row_batch_destroy(self->rows);
        k2_row_batch_destroy(self->decoded);
        k2_schema_destroy(self->schema);
        test_names_deinit(&self->names);
        free(self);
    }
}

static void what_a_type_can_not_hold_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type;
        int64_t value;
        const char *text;
    } rows[] = {
        {"a nanosecond in microseconds", "micros", 1, NULL},
        {"a symbol that the enum lacks", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}",
         0, "B"},
        {"a text of another size", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}", 0, "ab"},
        {"a decimal in one byte",
         "{\"type\":\"fixed\",\"name\":\"D\",\"size\":1,\"logicalType\":\"decimal\","
         "\"precision\":2,\"scale\":0}",
         128, NULL},
        {"a double in a float", "float", 1, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct turn self = {0};
        struct k2_avro_encoder *encoder;
        struct k2_buffer out;
        struct k2_row_key key = {0};
        size_t row;
        (void)snprintf(self.fields_text, sizeof self.fields_text,
                       "symbol:string exchange:string timestamp:nanos sequence:long v:%s",
                       rows[i].type);
        test_avro_record(self.json, self.fields_text);
        assert_int_equal(k2_schema_parse(&self.schema, NULL, k2_slice_of(self.json), NULL), K2_OK);
        assert_int_equal(k2_row_batch_create(&self.rows, self.schema, 1, false, NULL), K2_OK);
        assert_int_equal(k2_avro_encoder_create(&encoder, self.schema, NULL), K2_OK);
        assert_int_equal(k2_row_batch_add(self.rows, &key, 0, &row, NULL), K2_OK);
        if (rows[i].text == NULL) {
            k2_row_batch_set_value(self.rows, 0, K2_KEY_COLUMN_COUNT, rows[i].value);
        } else {
            assert_int_equal(k2_row_batch_set_text(self.rows, 0, K2_KEY_COLUMN_COUNT,
                                                   k2_slice_of(rows[i].text), NULL),
                             K2_OK);
        }
        k2_buffer_init(&out, TEXT_BYTES);
        k2_put_u8(&out, 7);
        struct k2_instrument_name name = {k2_slice_of("X"), k2_slice_of("S")};
        print_message("%s\n", rows[i].name);
        assert_int_equal(k2_avro_encode(encoder, self.rows, 0, name, &out, &self.error),
                         K2_REJECTED);
        assert_non_null(strstr(self.error.text, "field v"));
        assert_int_equal(out.size_bytes, 1);
        k2_buffer_deinit(&out);
        k2_avro_encoder_destroy(encoder);
        k2_row_batch_destroy(self.rows);
        k2_schema_destroy(self.schema);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_same_through_avro_c),
        cmocka_unit_test(what_a_type_can_not_hold_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
