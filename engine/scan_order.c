#include "engine/scan_order.h"

#include <string.h>

enum {
    DIGIT_BITS = 11,
    DIGITS = 1 << DIGIT_BITS,
    SMALL_COUNT = 64, // below, insertion is cheaper than counting
};

static void insertion_sort(struct k2_row_ref *rows, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct k2_row_ref row = rows[i];
        size_t place = i;
        for (; place > 0 && rows[place - 1].key > row.key; place--) {
            rows[place] = rows[place - 1];
        }
        rows[place] = row;
    }
}

// One stable pass by the digit at `shift`.
static void sort_digit(const struct k2_row_ref *from, struct k2_row_ref *to, size_t count,
                       unsigned shift)
{
    uint32_t starts[DIGITS];
    memset(starts, 0, sizeof starts);
    for (size_t i = 0; i < count; i++) {
        starts[from[i].key >> shift & (DIGITS - 1)]++;
    }
    uint32_t start = 0;
    for (size_t digit = 0; digit < DIGITS; digit++) {
        uint32_t rows = starts[digit];
        starts[digit] = start;
        start += rows;
    }
    for (size_t i = 0; i < count; i++) {
        to[starts[from[i].key >> shift & (DIGITS - 1)]++] = from[i];
    }
}

struct k2_row_ref *k2_row_refs_sort(struct k2_row_ref *rows, struct k2_row_ref *spare, size_t count)
{
    if (count < SMALL_COUNT) {
        insertion_sort(rows, count);
        return rows;
    }
    uint64_t used_bits = 0; // that differ somewhere; the others need no pass
    for (size_t i = 1; i < count; i++) {
        used_bits |= rows[i].key ^ rows[0].key;
    }
    while (used_bits != 0) {
        unsigned shift = (unsigned)__builtin_ctzll(used_bits);
        sort_digit(rows, spare, count, shift);
        struct k2_row_ref *sorted = spare;
        spare = rows;
        rows = sorted;
        used_bits =
            shift + DIGIT_BITS < 64 ? used_bits >> (shift + DIGIT_BITS) << (shift + DIGIT_BITS) : 0;
    }
    return rows;
}
