#include "tests/support/row_text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/decimal.h"
#include "format/base/utf8.h"

static char *copy(struct k2_slice text)
{
    char *bytes = malloc(text.size_bytes + 1);
    assert(bytes != NULL);
    memcpy(bytes, text.data, text.size_bytes);
    bytes[text.size_bytes] = '\0';
    return bytes;
}

void test_names_deinit(struct test_names *names)
{
    for (uint32_t i = 0; i < names->count; i++) {
        free(names->exchange[i]);
        free(names->symbol[i]);
    }
    *names = (struct test_names){0};
}

enum k2_status test_names_intern(void *context, struct k2_slice exchange, struct k2_slice symbol,
                                 uint32_t *instrument, struct k2_error *error)
{
    struct test_names *names = context;
    if (exchange.size_bytes == 0 || exchange.size_bytes > 32 || symbol.size_bytes == 0 ||
        symbol.size_bytes > 255 || !k2_utf8_is_valid(symbol)) {
        return k2_fail(error, K2_REJECTED, "instrument: bad name");
    }
    for (uint32_t i = 0; i < names->count; i++) {
        if (k2_slice_equal(k2_slice_of(names->exchange[i]), exchange) &&
            k2_slice_equal(k2_slice_of(names->symbol[i]), symbol)) {
            *instrument = i + 1;
            return K2_OK;
        }
    }
    assert(names->count < TEST_NAMES_MAX);
    names->exchange[names->count] = copy(exchange);
    names->symbol[names->count] = copy(symbol);
    *instrument = ++names->count;
    return K2_OK;
}

struct k2_instrument_name test_names_of(void *context, uint32_t instrument)
{
    const struct test_names *names = context;
    assert(instrument > 0 && instrument <= names->count);
    return (struct k2_instrument_name){k2_slice_of(names->exchange[instrument - 1]),
                                       k2_slice_of(names->symbol[instrument - 1])};
}

static void put_text(struct k2_buffer *out, struct k2_slice text)
{
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t c = text.data[i];
        if (c > 0x20 && c < 0x7f && c != '\\') {
            k2_put_u8(out, c);
        } else {
            k2_put_format(out, "\\%02x", c);
        }
    }
}

static void put_number(struct k2_buffer *out, const struct k2_column *column, int64_t value)
{
    if (column->kind == K2_KIND_DECIMAL64) {
        char text[K2_DECIMAL_TEXT_BYTES];
        k2_put_bytes(out, text, k2_decimal_print(text, value, column->scale));
    } else if (column->kind == K2_KIND_FLOAT64) {
        double number;
        memcpy(&number, &value, sizeof number);
        k2_put_format(out, "%a", number);
    } else {
        k2_put_format(out, "%" PRId64, value);
    }
}

void test_put_row(struct k2_buffer *out, const struct k2_row_batch *batch, size_t row,
                  const struct test_names *names)
{
    const struct k2_row_key *key = &batch->keys[row];
    put_text(out, k2_slice_of(names->exchange[key->instrument - 1]));
    k2_put_u8(out, '/');
    put_text(out, k2_slice_of(names->symbol[key->instrument - 1]));
    k2_put_format(out, " %" PRId64 " %" PRId64 " %" PRId64, key->time_ns, key->epoch,
                  key->sequence);
    for (size_t i = K2_KEY_COLUMN_COUNT; i < batch->schema->column_count; i++) {
        const struct k2_column *declared = &batch->schema->columns[i];
        const struct k2_batch_column *column = &batch->columns[i];
        k2_put_format(out, " %s=", declared->name);
        if (column->valid[row] == 0) {
            k2_put_u8(out, '-');
        } else if (column->values != NULL) {
            put_number(out, declared, column->values[row]);
        } else {
            put_text(out, k2_row_batch_text(batch, column->texts[row]));
        }
    }
}
