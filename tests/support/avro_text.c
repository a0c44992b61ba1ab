#include "tests/support/avro_text.h"

#include <assert.h>
#include <string.h>

#include "format/base/buffer.h"

#define LONG_TIME(unit) "{\"type\":\"long\",\"logicalType\":\"timestamp-" unit "\"}"
#define DECIMAL(scale)                                                                             \
    "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":18,\"scale\":" scale "}"

static const struct {
    const char *word, *json;
} types[] = {
    {"nanos", LONG_TIME("nanos")},
    {"micros", LONG_TIME("micros")},
    {"millis", LONG_TIME("millis")},
    {"decimal0", DECIMAL("0")},
    {"decimal2", DECIMAL("2")},
    {"decimal8", DECIMAL("8")},
    {"strings", "{\"type\":\"array\",\"items\":\"string\"}"},
    {"string_map", "{\"type\":\"map\",\"values\":\"string\"}"},
};

static void put_type(struct k2_buffer *out, const char *type, size_t size)
{
    if (type[0] == '?') {
        k2_put_text(out, "[\"null\",");
        put_type(out, type + 1, size - 1);
        k2_put_text(out, "]");
        return;
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strlen(types[i].word) == size && strncmp(types[i].word, type, size) == 0) {
            k2_put_text(out, types[i].json);
            return;
        }
    }
    const char *quote = type[0] == '[' || type[0] == '{' ? "" : "\"";
    k2_put_text(out, quote);
    k2_put_bytes(out, type, size);
    k2_put_text(out, quote);
}

static void put_field(struct k2_buffer *out, const char *field, size_t size)
{
    const char *end = field + size;
    const char *colon = memchr(field, ':', size);
    assert(colon != NULL);
    const char *alias = memchr(field, '<', (size_t)(colon - field));
    k2_put_text(out, "{\"name\":\"");
    k2_put_bytes(out, field, (size_t)((alias != NULL ? alias : colon) - field));
    if (alias != NULL) {
        k2_put_text(out, "\",\"aliases\":[\"");
        k2_put_bytes(out, alias + 1, (size_t)(colon - alias - 1));
        k2_put_text(out, "\"]");
    } else {
        k2_put_text(out, "\"");
    }
    const char *equals = memchr(colon, '=', (size_t)(end - colon));
    k2_put_text(out, ",\"type\":");
    put_type(out, colon + 1, (size_t)((equals != NULL ? equals : end) - colon - 1));
    if (equals != NULL) {
        k2_put_text(out, ",\"default\":");
        k2_put_bytes(out, equals + 1, (size_t)(end - equals - 1));
    }
    k2_put_text(out, "}");
}

void test_avro_record(char json[TEST_AVRO_BYTES], const char *fields)
{
    struct k2_buffer out;
    k2_buffer_init(&out, TEST_AVRO_BYTES);
    k2_put_text(&out, "{\"type\":\"record\",\"name\":\"T\",\"fields\":[");
    while (*fields != '\0') {
        size_t size = strcspn(fields, " ");
        put_field(&out, fields, size);
        fields += size;
        if (*fields == ' ') {
            fields++;
            k2_put_text(&out, ",");
        }
    }
    k2_put_bytes(&out, "]}", 3); // with the NUL
    assert(!out.failed);
    memcpy(json, out.data, out.size_bytes);
    k2_buffer_deinit(&out);
}
