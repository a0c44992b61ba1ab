// Any bytes as a decimal, a time, UTF-8 and JSON. Property: what is accepted prints, and the print
// is accepted again as the same value; canonical JSON is its own canonical form.
#include <stdlib.h>

#include "format/base/decimal.h"
#include "format/base/json_scanner.h"
#include "format/base/json_text.h"
#include "format/base/timestamp.h"
#include "format/base/utf8.h"

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_decimal(struct k2_slice text)
{
    for (unsigned scale = 0; scale <= K2_DECIMAL_SCALE_MAX; scale += 6) {
        int64_t value, back;
        char printed[K2_DECIMAL_TEXT_BYTES];
        if (k2_decimal_parse(text, scale, &value) == K2_DECIMAL_OK) {
            size_t size = k2_decimal_print(printed, value, scale);
            struct k2_slice slice = {(const uint8_t *)printed, size};
            require(k2_decimal_parse(slice, scale, &back) == K2_DECIMAL_OK && back == value);
        }
    }
}

static void check_timestamp(struct k2_slice text)
{
    int64_t value, back;
    char printed[K2_TIMESTAMP_TEXT_BYTES];
    if (k2_timestamp_parse(text, &value) == K2_TIMESTAMP_OK) {
        k2_timestamp_print(printed, value);
        struct k2_slice slice = {(const uint8_t *)printed, sizeof printed};
        require(k2_timestamp_parse(slice, &back) == K2_TIMESTAMP_OK && back == value);
    }
}

static void check_json(struct k2_slice text, enum k2_json_shape shape)
{
    struct k2_buffer once, twice;
    k2_buffer_init(&once, 16 * text.size_bytes + 64);
    k2_buffer_init(&twice, 16 * text.size_bytes + 64);
    if (k2_json_put_canonical(&once, text, shape) == K2_JSON_OK) {
        struct k2_slice first = k2_buffer_slice(&once), value;
        require(k2_json_put_canonical(&twice, first, shape) == K2_JSON_OK);
        require(k2_slice_equal(first, k2_buffer_slice(&twice)));
        require(k2_utf8_is_valid(first));
        struct k2_json_scanner scanner = {text.data, text.data + text.size_bytes};
        require(k2_json_scan_value(&scanner, &value));
    } else {
        require(once.size_bytes == 0);
    }
    k2_buffer_deinit(&once);
    k2_buffer_deinit(&twice);
}

static void check_string(struct k2_slice text)
{
    struct k2_buffer quoted, back;
    k2_buffer_init(&quoted, 6 * text.size_bytes + 64);
    k2_buffer_init(&back, 6 * text.size_bytes + 64);
    k2_json_put_string(&quoted, text);
    struct k2_json_scanner scanner = {quoted.data, quoted.data + quoted.size_bytes};
    struct k2_json_string string;
    require(k2_json_peek(&scanner) == K2_JSON_TYPE_STRING);
    require(k2_json_scan_string(&scanner, &string) && scanner.at == scanner.end);
    k2_json_put_unescaped(&back, string.raw);
    require(!k2_utf8_is_valid(text) || k2_slice_equal(text, k2_buffer_slice(&back)));
    k2_buffer_deinit(&quoted);
    k2_buffer_deinit(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct k2_slice text = {data, size_bytes};
    check_decimal(text);
    check_timestamp(text);
    check_json(text, K2_JSON_ANY);
    check_json(text, K2_JSON_STRINGS);
    check_json(text, K2_JSON_STRING_MAP);
    check_string(text);
    return 0;
}
