// Bounded reading of little-endian bytes that K2 did not write a moment ago.
//
// A reader that runs past its end turns `truncated` on and gives zeros from then on: read all
// fields, then check once.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Borrowed bytes.
struct k2_slice {
    const uint8_t *data;
    size_t size_bytes;
};

struct k2_byte_reader {
    struct k2_slice rest;
    bool truncated;
};

// The next `size_bytes` bytes; an empty slice when they are not there.
static inline struct k2_slice k2_read_bytes(struct k2_byte_reader *reader, size_t size_bytes)
{
    if (size_bytes > reader->rest.size_bytes) {
        reader->truncated = true;
        reader->rest.size_bytes = 0;
        return (struct k2_slice){0};
    }
    struct k2_slice bytes = {reader->rest.data, size_bytes};
    reader->rest.data += size_bytes;
    reader->rest.size_bytes -= size_bytes;
    return bytes;
}

static inline uint64_t k2_read_fixed(struct k2_byte_reader *reader, size_t size_bytes)
{
    struct k2_slice bytes = k2_read_bytes(reader, size_bytes);
    uint64_t value = 0;
    for (size_t i = bytes.size_bytes; i > 0; i--) {
        value = value << 8 | bytes.data[i - 1];
    }
    return value;
}

static inline uint8_t k2_read_u8(struct k2_byte_reader *reader)
{
    return (uint8_t)k2_read_fixed(reader, 1);
}

static inline uint16_t k2_read_u16(struct k2_byte_reader *reader)
{
    return (uint16_t)k2_read_fixed(reader, 2);
}

static inline uint32_t k2_read_u32(struct k2_byte_reader *reader)
{
    return (uint32_t)k2_read_fixed(reader, 4);
}

static inline uint64_t k2_read_u64(struct k2_byte_reader *reader)
{
    return k2_read_fixed(reader, 8);
}

static inline int64_t k2_read_i64(struct k2_byte_reader *reader)
{
    return (int64_t)k2_read_fixed(reader, 8);
}

// LEB128, at most 10 bytes; more, or bits beyond 64, count as truncated.
static inline uint64_t k2_read_varint(struct k2_byte_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint64_t byte = k2_read_u8(reader);
        if (reader->truncated || (shift == 63 && byte > 1)) {
            break;
        }
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            return value;
        }
    }
    reader->truncated = true;
    return 0;
}

// Signed integers as varints: 0, -1, 1, -2, ...
static inline uint64_t k2_zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static inline int64_t k2_unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

static inline struct k2_slice k2_slice_of(const char *text)
{
    return (struct k2_slice){(const uint8_t *)text, strlen(text)};
}

// Order by bytes, a prefix before the longer one; like memcmp.
static inline int k2_slice_compare(struct k2_slice left, struct k2_slice right)
{
    size_t shared = left.size_bytes < right.size_bytes ? left.size_bytes : right.size_bytes;
    int order = shared == 0 ? 0 : memcmp(left.data, right.data, shared);
    if (order != 0) {
        return order;
    }
    return (left.size_bytes > right.size_bytes) - (left.size_bytes < right.size_bytes);
}

// Copies a few bytes, mostly, without a call: two pieces that overlap.
static inline void k2_copy_short(uint8_t *place, struct k2_slice bytes)
{
    size_t size = bytes.size_bytes;
    if (size >= 8 && size <= 16) {
        uint64_t first, last;
        memcpy(&first, bytes.data, sizeof first);
        memcpy(&last, bytes.data + size - sizeof last, sizeof last);
        memcpy(place, &first, sizeof first);
        memcpy(place + size - sizeof last, &last, sizeof last);
    } else if (size >= 4 && size < 8) {
        uint32_t first, last;
        memcpy(&first, bytes.data, sizeof first);
        memcpy(&last, bytes.data + size - sizeof last, sizeof last);
        memcpy(place, &first, sizeof first);
        memcpy(place + size - sizeof last, &last, sizeof last);
    } else if (size > 0) {
        memcpy(place, bytes.data, size);
    }
}

static inline bool k2_slice_equal(struct k2_slice left, struct k2_slice right)
{
    return left.size_bytes == right.size_bytes &&
           (left.size_bytes == 0 || memcmp(left.data, right.data, left.size_bytes) == 0);
}
