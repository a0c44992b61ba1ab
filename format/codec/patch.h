// Values of which most are near a base and a few are not: the low bits of all, packed, then the
// high bits of the exceptions with their positions. What PFOR, PDELTA and the MASK codecs pack
// with.
//
//   patched(n, w)   packed(n, w) of the low bits
//                   u16 exceptions, k; and if there are any:
//                   u8 width of their high bits, v; plain packed(k, 10) of their positions,
//                   ascending; plain packed(k, v) of their high bits, zigzag
//
// A value is low + high * 2^w, modulo 2^64.
#pragma once

#include "format/base/buffer.h"
#include "format/codec/bitpack.h"

struct k2_patch {
    uint64_t base; // what is subtracted from every value first; modulo 2^64
    unsigned width_bits;
    size_t exception_count;
    unsigned exception_width_bits;
    size_t size_bytes;
};

// The cheapest way that a look at a sample finds; without exceptions when they seem not to pay.
// `min` and `max` of the count >= 1 values, taken as signed.
void k2_patch_choose(struct k2_patch *patch, const uint64_t *values, size_t count, int64_t min,
                     int64_t max);

// Appends patch->size_bytes bytes. Destroys `values`, which have room for a whole row.
void k2_patch_encode(const struct k2_patch *patch, uint64_t *values, size_t count,
                     struct k2_buffer *out);

// The parts of patched(n, w) in a payload, checked to lie within.
struct k2_patched {
    const uint8_t *packed, *positions, *high_bits;
    size_t exception_count;
    unsigned exception_width_bits;
};

// Takes the part from `reader`; false when it is cut or no encoder wrote it. `width` is at most 64.
bool k2_patched_read(struct k2_byte_reader *reader, size_t count, unsigned width,
                     struct k2_patched *patched);

// values[i] = base + divisor * value; and with base + the sums of slope + divisor * value. Room as
// for k2_bitunpack.
void k2_patched_unpack(const struct k2_patched *patched, size_t count, unsigned width,
                       uint64_t base, uint64_t divisor, int64_t *values);
void k2_patched_unpack_sum(const struct k2_patched *patched, size_t count, unsigned width,
                           uint64_t base, uint64_t divisor, uint64_t slope, int64_t *values);
