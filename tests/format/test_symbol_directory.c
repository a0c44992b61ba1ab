// The symbol directory: entries come back as the rows were, and what was cut or turned is found.
#include "format/segment/symbol_directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/segment/segment_layout.h"

enum { ROWS = 3000, NAME_BYTES = K2_NAMES_BYTES_MAX };

struct rows {
    struct k2_row_key keys[ROWS];
    struct k2_directory_entry expected[ROWS];
    uint32_t entry_count;
    uint64_t random;
    unsigned most_bits; // of times, epochs, sequences
    size_t longest_symbol;
};

static uint64_t next_random(struct rows *rows)
{
    rows->random ^= rows->random << 13;
    rows->random ^= rows->random >> 7;
    rows->random ^= rows->random << 17;
    return rows->random;
}

// Of any number of bits up to the most, or its negative.
static int64_t any_number(struct rows *rows)
{
    unsigned bits = (unsigned)(next_random(rows) % (rows->most_bits + 1));
    uint64_t value = bits == 0 ? 0 : next_random(rows) >> (64 - bits);
    return (int64_t)(next_random(rows) % 2 == 0 ? value : 0 - value);
}

static struct k2_instrument_name name_of(void *context, uint32_t instrument)
{
    const struct rows *rows = context;
    static uint8_t symbol[NAME_BYTES];
    size_t size = instrument % 7 == 0 ? rows->longest_symbol : instrument % 9;
    memset(symbol, 'a' + (int)(instrument % 26), size);
    return (struct k2_instrument_name){k2_slice_of(instrument / 5 % 2 == 0 ? "ASX" : "NYSE"),
                                       {symbol, size}};
}

// Rows of some instruments, and what the directory is to say of them.
static void make_rows(struct rows *rows, uint64_t seed, unsigned most_bits, size_t longest_symbol)
{
    *rows = (struct rows){
        .random = seed * 2 + 1, .most_bits = most_bits, .longest_symbol = longest_symbol};
    uint32_t instrument = (uint32_t)(next_random(rows) % 3);
    for (size_t row = 0; row < ROWS;) {
        struct k2_directory_entry *entry = &rows->expected[rows->entry_count++];
        size_t count = next_random(rows) % 5 + 1;
        count = count < ROWS - row ? count : ROWS - row;
        *entry = (struct k2_directory_entry){.instrument = instrument,
                                             .first_row = (uint32_t)row,
                                             .row_count = (uint32_t)count,
                                             .time_min_ns = INT64_MAX,
                                             .time_max_ns = INT64_MIN,
                                             .sequence_min = INT64_MAX,
                                             .sequence_max = INT64_MIN,
                                             .epoch_min = INT64_MAX,
                                             .epoch_max = INT64_MIN};
        for (size_t end = row + count; row < end; row++) {
            struct k2_row_key *key = &rows->keys[row];
            key->instrument = instrument;
            key->time_ns = any_number(rows);
            key->sequence = any_number(rows);
            key->epoch = next_random(rows) % 4 == 0 ? any_number(rows) : 0;
#define WIDEN(value, min, max)                                                                     \
    entry->min = (value) < entry->min ? (value) : entry->min;                                      \
    entry->max = (value) > entry->max ? (value) : entry->max
            WIDEN(key->time_ns, time_min_ns, time_max_ns);
            WIDEN(key->sequence, sequence_min, sequence_max);
            WIDEN(key->epoch, epoch_min, epoch_max);
        }
        instrument += next_random(rows) % 50 == 0 ? 100000 : 1;
    }
}

static void encode(struct rows *rows, struct k2_buffer *out)
{
    struct k2_error error;
    uint32_t entry_count;
    k2_buffer_clear(out);
    assert_int_equal(
        k2_symbol_directory_encode(rows->keys, ROWS, name_of, rows, out, &entry_count, &error),
        K2_OK);
    assert_int_equal(entry_count, rows->entry_count);
}

// Of bytes that end where the memory ends, so that sanitizers see a read behind them.
static enum k2_status read(struct k2_slice bytes, uint32_t entry_count,
                           struct k2_directory_entry *entries)
{
    struct k2_error error;
    uint8_t *copy = k2_alloc(bytes.size_bytes);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.size_bytes);
    enum k2_status status = k2_symbol_directory_read((struct k2_slice){copy, bytes.size_bytes},
                                                     entries, entry_count, ROWS, &error);
    if (status == K2_OK) { // names are borrowed
        for (uint32_t i = 0; i < entry_count; i++) {
            size_t place = (size_t)(entries[i].symbol.data - copy);
            assert_true(entries[i].symbol.size_bytes == 0 || place < bytes.size_bytes);
            entries[i].symbol.data = bytes.data + place;
            entries[i].exchange.data = bytes.data + (entries[i].exchange.data - copy);
        }
    }
    k2_free(copy);
    return status;
}

// But for the names.
static bool is_same(const struct k2_directory_entry *left, const struct k2_directory_entry *right)
{
    return left->instrument == right->instrument && left->first_row == right->first_row &&
           left->row_count == right->row_count && left->time_min_ns == right->time_min_ns &&
           left->time_max_ns == right->time_max_ns && left->epoch_min == right->epoch_min &&
           left->epoch_max == right->epoch_max && left->sequence_min == right->sequence_min &&
           left->sequence_max == right->sequence_max;
}

static void entries_come_back(void **state)
{
    (void)state;
    static struct rows rows;
    static struct k2_directory_entry entries[ROWS];
    const struct {
        const char *name;
        unsigned most_bits;
        size_t longest_symbol;
    } cases[] = {
        {"small numbers", 7, 4},       {"as they are mostly", 32, 8},
        {"numbers of 8 bytes", 54, 8}, {"numbers of 9 bytes", 60, 8},
        {"any numbers", 64, 8},        {"long symbols", 32, NAME_BYTES - 4},
        {"no numbers", 0, 0},
    };
    struct k2_buffer out;
    k2_buffer_init(&out, 64 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            make_rows(&rows, seed, cases[i].most_bits, cases[i].longest_symbol);
            encode(&rows, &out);
            if (read(k2_buffer_slice(&out), rows.entry_count, entries) != K2_OK) {
                fail_msg("%s, seed %u", cases[i].name, (unsigned)seed);
            }
            for (uint32_t e = 0; e < rows.entry_count; e++) {
                const struct k2_directory_entry *entry = &entries[e];
                const struct k2_directory_entry *expected = &rows.expected[e];
                struct k2_instrument_name name = name_of(&rows, expected->instrument);
                if (!is_same(entry, expected) || !k2_slice_equal(entry->exchange, name.exchange) ||
                    !k2_slice_equal(entry->symbol, name.symbol)) {
                    fail_msg("%s, seed %u: entry %u", cases[i].name, (unsigned)seed, (unsigned)e);
                }
            }
        }
    }
    k2_buffer_deinit(&out);
}

static void every_cut_is_found(void **state)
{
    (void)state;
    static struct rows rows;
    static struct k2_directory_entry entries[ROWS];
    struct k2_buffer out;
    k2_buffer_init(&out, 64 << 20);
    make_rows(&rows, 1, 32, 8);
    encode(&rows, &out);
    struct k2_slice bytes = k2_buffer_slice(&out);
    for (size_t size = bytes.size_bytes; size-- > 0;) {
        assert_int_equal(read((struct k2_slice){bytes.data, size}, rows.entry_count, entries),
                         K2_CORRUPT);
    }
    k2_put_u8(&out, 0); // a byte more
    assert_int_equal(read(k2_buffer_slice(&out), rows.entry_count, entries), K2_CORRUPT);
    assert_int_equal(read(bytes, rows.entry_count - 1, entries), K2_CORRUPT);
    k2_buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_back),
        cmocka_unit_test(every_cut_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
