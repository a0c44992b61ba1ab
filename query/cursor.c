#include "query/cursor.h"

#include "format/base/checksum.h"

// Little-endian: version u8, query hash u64, snapshot u64, time i64, epoch i64, sequence i64,
// size u8 + exchange, size u8 + symbol, checksum u64 over all before.
enum {
    CURSOR_VERSION = 1,
    FIXED_BYTES = 1 + 5 * 8 + 2 + 8,
    LARGEST_BYTES = FIXED_BYTES + K2_CURSOR_EXCHANGE_BYTES + K2_CURSOR_SYMBOL_BYTES,
};
_Static_assert((LARGEST_BYTES * 4 + 2) / 3 <= K2_CURSOR_TEXT_BYTES, "a cursor text has room");

// The checksum's place: no other bytes of K2 have it.
static const uint64_t cursor_place = 0x4b32637572736f72; // "K2cursor"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum k2_status k2_cursor_init(struct k2_cursor *cursor, uint64_t query_hash, uint64_t snapshot,
                              const struct k2_scan_key *last, struct k2_error *error)
{
    if (last->exchange.size_bytes > sizeof cursor->exchange ||
        last->symbol.size_bytes > sizeof cursor->symbol) {
        return k2_fail(error, K2_LIMIT, "cursor: exchange or symbol is too long");
    }
    *cursor = (struct k2_cursor){.query_hash = query_hash,
                                 .snapshot = snapshot,
                                 .time_ns = last->time_ns,
                                 .epoch = last->epoch,
                                 .sequence = last->sequence,
                                 .exchange_bytes = (uint8_t)last->exchange.size_bytes,
                                 .symbol_bytes = (uint8_t)last->symbol.size_bytes};
    if (cursor->exchange_bytes > 0) {
        memcpy(cursor->exchange, last->exchange.data, cursor->exchange_bytes);
    }
    if (cursor->symbol_bytes > 0) {
        memcpy(cursor->symbol, last->symbol.data, cursor->symbol_bytes);
    }
    return K2_OK;
}

struct k2_scan_key k2_cursor_key(const struct k2_cursor *cursor)
{
    return (struct k2_scan_key){.time_ns = cursor->time_ns,
                                .exchange = {cursor->exchange, cursor->exchange_bytes},
                                .symbol = {cursor->symbol, cursor->symbol_bytes},
                                .epoch = cursor->epoch,
                                .sequence = cursor->sequence};
}

static size_t encode_base64url(const uint8_t *bytes, size_t size_bytes, char *text)
{
    size_t length = 0;
    for (size_t i = 0; i < size_bytes; i += 3) {
        size_t left = size_bytes - i;
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= left > 2 ? bytes[i + 2] : 0;
        for (size_t digit = 0; digit < 4 && digit <= left; digit++) {
            text[length++] = digits[group >> (18 - 6 * digit) & 63];
        }
    }
    return length;
}

// False for a character or a length that no encoder writes, and for bits that it leaves zero.
static bool decode_base64url(struct k2_slice text, uint8_t *bytes, size_t *size_bytes)
{
    uint32_t group = 0;
    unsigned bits = 0;
    *size_bytes = 0;
    for (size_t i = 0; i < text.size_bytes; i++) {
        const char *digit = text.data[i] == 0 ? NULL : strchr(digits, text.data[i]);
        if (digit == NULL) {
            return false;
        }
        group = group << 6 | (uint32_t)(digit - digits);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes[(*size_bytes)++] = (uint8_t)(group >> bits);
            group &= (1U << bits) - 1;
        }
    }
    return bits < 6 && group == 0;
}

size_t k2_cursor_print(const struct k2_cursor *cursor, char text[K2_CURSOR_TEXT_BYTES])
{
    uint8_t bytes[LARGEST_BYTES] = {CURSOR_VERSION};
    size_t size = 1;
    const uint64_t numbers[] = {cursor->query_hash, cursor->snapshot, (uint64_t)cursor->time_ns,
                                (uint64_t)cursor->epoch, (uint64_t)cursor->sequence};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        for (unsigned shift = 0; shift < 64; shift += 8) {
            bytes[size++] = (uint8_t)(numbers[i] >> shift);
        }
    }
    bytes[size++] = cursor->exchange_bytes;
    memcpy(bytes + size, cursor->exchange, cursor->exchange_bytes);
    size += cursor->exchange_bytes;
    bytes[size++] = cursor->symbol_bytes;
    memcpy(bytes + size, cursor->symbol, cursor->symbol_bytes);
    size += cursor->symbol_bytes;
    uint64_t checksum = k2_checksum((struct k2_slice){bytes, size}, cursor_place, 0);
    for (unsigned shift = 0; shift < 64; shift += 8) {
        bytes[size++] = (uint8_t)(checksum >> shift);
    }
    return encode_base64url(bytes, size, text);
}

static void read_name(struct k2_byte_reader *reader, uint8_t *name, size_t room_bytes,
                      uint8_t *size_bytes)
{
    *size_bytes = k2_read_u8(reader);
    struct k2_slice bytes = k2_read_bytes(reader, *size_bytes);
    if (bytes.size_bytes > room_bytes) {
        reader->truncated = true;
    } else if (bytes.size_bytes > 0) {
        memcpy(name, bytes.data, bytes.size_bytes);
    }
}

enum k2_status k2_cursor_parse(struct k2_cursor *cursor, struct k2_slice text,
                               struct k2_error *error)
{
    uint8_t bytes[K2_CURSOR_TEXT_BYTES] = {0};
    size_t size = 0;
    *cursor = (struct k2_cursor){0};
    if (text.size_bytes <= K2_CURSOR_TEXT_BYTES && decode_base64url(text, bytes, &size) &&
        size >= FIXED_BYTES && bytes[0] == CURSOR_VERSION) {
        struct k2_byte_reader reader = {.rest = {bytes + 1, size - 1}};
        cursor->query_hash = k2_read_u64(&reader);
        cursor->snapshot = k2_read_u64(&reader);
        cursor->time_ns = k2_read_i64(&reader);
        cursor->epoch = k2_read_i64(&reader);
        cursor->sequence = k2_read_i64(&reader);
        read_name(&reader, cursor->exchange, sizeof cursor->exchange, &cursor->exchange_bytes);
        read_name(&reader, cursor->symbol, sizeof cursor->symbol, &cursor->symbol_bytes);
        uint64_t checksum = k2_read_u64(&reader);
        struct k2_slice covered = {bytes, size - sizeof checksum};
        if (!reader.truncated && reader.rest.size_bytes == 0 &&
            checksum == k2_checksum(covered, cursor_place, 0)) {
            return K2_OK;
        }
    }
    *cursor = (struct k2_cursor){0};
    return k2_fail(error, K2_BAD_REQUEST, "not a cursor that K2 gave");
}
