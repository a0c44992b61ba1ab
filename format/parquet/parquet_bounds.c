#include "format/parquet/parquet_bounds.h"

#include "format/base/utf8.h"

enum {
    FIRST_SURROGATE = 0xd800,
    LAST_SURROGATE = 0xdfff,
    LAST_CODE_POINT = 0x10ffff,
};

static bool is_inside_character(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

static void cut(struct k2_parquet_bound *bound, struct k2_slice value)
{
    size_t size = value.size_bytes;
    bound->exact = size <= K2_PARQUET_BOUND_BYTES;
    if (!bound->exact) {
        size = K2_PARQUET_BOUND_BYTES;
        while (size > 0 && is_inside_character(value.data[size])) {
            size--;
        }
    }
    if (size > 0) {
        memcpy(bound->bytes, value.data, size);
    }
    bound->size_bytes = (uint8_t)size;
}

void k2_parquet_bound_min(struct k2_parquet_bound *bound, struct k2_slice value)
{
    cut(bound, value);
}

static uint32_t read_character(const uint8_t *bytes, size_t size)
{
    if (size == 1) {
        return bytes[0];
    }
    uint32_t code_point = bytes[0] & (0x7fU >> size);
    for (size_t i = 1; i < size; i++) {
        code_point = code_point << 6 | (bytes[i] & 0x3f);
    }
    return code_point;
}

bool k2_parquet_bound_max(struct k2_parquet_bound *bound, struct k2_slice value)
{
    cut(bound, value);
    if (bound->exact) {
        return true;
    }
    // The order of UTF-8 bytes is that of code points: the last character that has a next one
    // becomes that.
    for (size_t size = bound->size_bytes; size > 0;) {
        size_t begin = size - 1;
        while (begin > 0 && is_inside_character(bound->bytes[begin])) {
            begin--;
        }
        uint8_t *character = &bound->bytes[begin];
        if (k2_utf8_length((struct k2_slice){character, size - begin}) != size - begin) {
            return false;
        }
        uint32_t next = read_character(character, size - begin) + 1;
        next = next >= FIRST_SURROGATE && next <= LAST_SURROGATE ? LAST_SURROGATE + 1 : next;
        uint8_t bytes[4];
        size_t length = next <= LAST_CODE_POINT ? k2_utf8_write(bytes, next) : 0;
        if (length > 0 && begin + length <= K2_PARQUET_BOUND_BYTES) {
            memcpy(character, bytes, length);
            bound->size_bytes = (uint8_t)(begin + length);
            return true;
        }
        size = begin;
    }
    return false;
}
