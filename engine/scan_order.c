#include "engine/scan_order.h"

#include <string.h>

enum {
    DIGIT_BITS = 8,
    DIGITS = 1 << DIGIT_BITS, // few enough to write to as many places at once
    MOST_PASSES = 64 / DIGIT_BITS,
    SMALL_COUNT = 64, // below, insertion is cheaper than counting
};

static void insertion_sort(uint64_t *numbers, size_t count, unsigned low_bit)
{
    for (size_t i = 1; i < count; i++) {
        uint64_t number = numbers[i];
        size_t place = i;
        for (; place > 0 && numbers[place - 1] >> low_bit > number >> low_bit; place--) {
            numbers[place] = numbers[place - 1];
        }
        numbers[place] = number;
    }
}

// One stable pass by the digit at `shift`. `places` has how many numbers each digit has.
static void sort_digit(const uint64_t *from, uint64_t *to, size_t count, unsigned shift,
                       uint32_t places[DIGITS])
{
    uint32_t place = 0;
    for (size_t digit = 0; digit < DIGITS; digit++) {
        uint32_t rows = places[digit];
        places[digit] = place; // where the next one goes
        place += rows;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t number = from[i];
        to[places[number >> shift & (DIGITS - 1)]++] = number;
    }
}

uint64_t *k2_sort_by_high_bits(uint64_t *numbers, uint64_t *spare, size_t count, unsigned low_bit)
{
    if (count < SMALL_COUNT) {
        insertion_sort(numbers, count, low_bit);
        return numbers;
    }
    uint64_t differing = 0; // bits that do somewhere; the others need no pass
    for (size_t i = 1; i < count; i++) {
        differing |= numbers[i] ^ numbers[0];
    }
    unsigned shifts[MOST_PASSES], pass_count = 0;
    for (unsigned shift = low_bit; shift < 64 && differing >> shift != 0; shift += DIGIT_BITS) {
        shift += (unsigned)__builtin_ctzll(differing >> shift);
        shifts[pass_count++] = shift;
    }
    uint32_t counts[MOST_PASSES][DIGITS] = {0};
    for (size_t i = 0; i < count; i++) {
        for (unsigned pass = 0; pass < pass_count; pass++) {
            counts[pass][numbers[i] >> shifts[pass] & (DIGITS - 1)]++;
        }
    }
    for (unsigned pass = 0; pass < pass_count; pass++) {
        sort_digit(numbers, spare, count, shifts[pass], counts[pass]);
        uint64_t *sorted = spare;
        spare = numbers;
        numbers = sorted;
    }
    return numbers;
}
