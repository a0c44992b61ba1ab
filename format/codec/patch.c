#include "format/codec/patch.h"

#include <assert.h>
#include <string.h>

enum {
    POSITION_BITS = 10,
    SAMPLE_MOST = 32,
    HEADER_BYTES = 2,    // the number of exceptions
    EXCEPTION_BYTES = 1, // their width
};

static size_t patched_size(size_t count, unsigned width, size_t exceptions, unsigned high_width)
{
    size_t size = k2_bitpack_size(count, width) + HEADER_BYTES;
    if (exceptions > 0) {
        size += EXCEPTION_BYTES + k2_bitpack_plain_size(exceptions, POSITION_BITS) +
                k2_bitpack_plain_size(exceptions, high_width);
    }
    return size;
}

static size_t take_sample(const uint64_t *values, size_t count, int64_t *sample)
{
    size_t step = count / SAMPLE_MOST + 1;
    size_t taken = 0;
    for (size_t i = step / 2; i < count; i += step) {
        int64_t value = (int64_t)values[i];
        size_t place = taken++;
        for (; place > 0 && sample[place - 1] > value; place--) {
            sample[place] = sample[place - 1];
        }
        sample[place] = value;
    }
    return taken;
}

// Tries every width above `base`. Values below it are always exceptions.
static void try_base(struct k2_patch *best, const uint64_t *values, size_t count, uint64_t base)
{
    uint16_t widths[65] = {0}; // values of each width
    size_t below = 0;
    uint64_t below_bits = 0;
    uint64_t above_bits = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t difference = values[i] - base;
        uint64_t sign = (uint64_t)((int64_t)difference >> 63);
        below += sign & 1;
        below_bits |= ~difference & sign;
        above_bits |= difference & ~sign;
        widths[k2_bitpack_width(difference & ~sign)]++;
    }
    unsigned most = k2_bitpack_width(above_bits);
    unsigned most_below = k2_bitpack_width(below_bits);
    size_t exceptions = count; // values below the base count as of width 0: `below` has them twice
    for (unsigned width = 0; width <= most; width++) {
        exceptions -= widths[width];
        size_t all = exceptions + below;
        unsigned widest = most > most_below ? most : most_below;
        unsigned high_width = widest > width ? widest - width + 1 : 1;
        size_t size = patched_size(count, width, all, high_width);
        if (size < best->size_bytes) {
            *best = (struct k2_patch){base, width, all, high_width, size};
        }
    }
}

void k2_patch_choose(struct k2_patch *patch, const uint64_t *values, size_t count, int64_t min,
                     int64_t max)
{
    int64_t sample[SAMPLE_MOST];
    unsigned width = k2_bitpack_width((uint64_t)max - (uint64_t)min);
    *patch = (struct k2_patch){
        .base = (uint64_t)min, .width_bits = width, .size_bytes = patched_size(count, width, 0, 0)};
    if (count < SAMPLE_MOST) {
        return;
    }
    // The bulk says what could be saved; less than a sixteenth is not worth the search.
    size_t taken = take_sample(values, count, sample);
    assert(taken > 0);
    int64_t low = sample[taken / 16];
    uint64_t bulk = (uint64_t)sample[taken - 1 - taken / 16] - (uint64_t)low;
    unsigned saved = width - k2_bitpack_width(bulk);
    if (saved * 16 <= width) {
        return;
    }
    try_base(patch, values, count, (uint64_t)min);
    if ((uint64_t)sample[0] - (uint64_t)min > bulk) {
        try_base(patch, values, count, (uint64_t)sample[0]);
    }
    int64_t eighth = sample[taken / 8];
    if ((uint64_t)eighth - (uint64_t)sample[0] > bulk / 2) {
        try_base(patch, values, count, (uint64_t)eighth);
    }
}

void k2_patch_encode(const struct k2_patch *patch, uint64_t *values, size_t count,
                     struct k2_buffer *out)
{
    uint64_t positions[K2_BITPACK_VALUES];
    uint64_t high_bits[K2_BITPACK_VALUES];
    unsigned width = patch->width_bits;
    size_t begin = out->size_bytes;
    size_t exceptions = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t difference = values[i] - patch->base;
        uint64_t high = width == 64 ? 0 : (uint64_t)((int64_t)difference >> width);
        values[i] = difference - (width == 64 ? 0 : high << width);
        if (high != 0 && patch->exception_count > 0) {
            positions[exceptions] = i;
            high_bits[exceptions++] = k2_zigzag((int64_t)high);
        }
    }
    assert(exceptions == patch->exception_count);
    memset(values + count, 0, K2_BITPACK_LANES * sizeof *values);
    uint8_t *packed = k2_buffer_extend(out, k2_bitpack_size(count, width));
    if (packed != NULL) {
        k2_bitpack(values, count, width, packed);
    }
    k2_put_u16(out, (uint16_t)exceptions);
    if (exceptions == 0) {
        return;
    }
    k2_put_u8(out, (uint8_t)patch->exception_width_bits);
    packed = k2_buffer_extend(out, k2_bitpack_plain_size(exceptions, POSITION_BITS));
    if (packed != NULL) {
        k2_bitpack_plain(positions, exceptions, POSITION_BITS, packed);
    }
    packed = k2_buffer_extend(out, k2_bitpack_plain_size(exceptions, patch->exception_width_bits));
    if (packed != NULL) {
        k2_bitpack_plain(high_bits, exceptions, patch->exception_width_bits, packed);
    }
    assert(out->failed || out->size_bytes - begin == patch->size_bytes);
}

bool k2_patched_read(struct k2_byte_reader *reader, size_t count, unsigned width,
                     struct k2_patched *patched)
{
    *patched = (struct k2_patched){0};
    patched->packed = k2_read_bytes(reader, k2_bitpack_size(count, width)).data;
    patched->exception_count = k2_read_u16(reader);
    if (reader->truncated || patched->exception_count > count) {
        return false;
    }
    if (patched->exception_count > 0) {
        patched->exception_width_bits = k2_read_u8(reader);
        if (patched->exception_width_bits > 64) {
            return false;
        }
        size_t exceptions = patched->exception_count;
        patched->positions =
            k2_read_bytes(reader, k2_bitpack_plain_size(exceptions, POSITION_BITS)).data;
        patched->high_bits =
            k2_read_bytes(reader, k2_bitpack_plain_size(exceptions, patched->exception_width_bits))
                .data;
    }
    return !reader->truncated;
}

// The positions, and what each exception adds, in units of the result.
static void read_exceptions(const struct k2_patched *patched, unsigned width, uint64_t divisor,
                            int64_t *positions, int64_t *extra)
{
    k2_bitunpack_plain(patched->positions, patched->exception_count, POSITION_BITS, 0, 1,
                       positions);
    k2_bitunpack_plain(patched->high_bits, patched->exception_count, patched->exception_width_bits,
                       0, 1, extra);
    for (size_t i = 0; i < patched->exception_count; i++) {
        uint64_t high = (uint64_t)k2_unzigzag((uint64_t)extra[i]);
        extra[i] = width == 64 ? 0 : (int64_t)((high << width) * divisor);
    }
}

void k2_patched_unpack(const struct k2_patched *patched, size_t count, unsigned width,
                       uint64_t base, uint64_t divisor, int64_t *values)
{
    k2_bitunpack(patched->packed, count, width, base, divisor, values);
    if (patched->exception_count == 0) {
        return;
    }
    int64_t positions[K2_BITPACK_VALUES + 8];
    int64_t extra[K2_BITPACK_VALUES + 8];
    read_exceptions(patched, width, divisor, positions, extra);
    for (size_t i = 0; i < patched->exception_count; i++) {
        size_t position = (size_t)positions[i];
        if (position < count) {
            values[position] = (int64_t)((uint64_t)values[position] + (uint64_t)extra[i]);
        }
    }
}

void k2_patched_unpack_sum(const struct k2_patched *patched, size_t count, unsigned width,
                           uint64_t base, uint64_t divisor, uint64_t slope, int64_t *values)
{
    if (patched->exception_count == 0) {
        k2_bitunpack_sum(patched->packed, count, width, base, divisor, slope, values);
        return;
    }
    k2_patched_unpack(patched, count, width, slope, divisor, values);
    k2_bitpack_selected()->sum_up(base, count, values);
}
