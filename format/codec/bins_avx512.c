// BINS on machines with AVX-512 and its byte permutations (VBMI): the tree as in bins_avx2.c, then
// eight offsets at a time out of one load of 64 bytes.
#include "format/codec/bins.h"

#if defined(__AVX512VBMI__) && defined(__AVX512IFMA__) && defined(__AVX512BW__) &&                 \
    defined(__AVX512DQ__) && defined(__BMI2__)

#include "format/codec/bins_walk.h"

#define INLINE static inline __attribute__((always_inline))

// By bin; two registers for each table of 16 words.
struct tables {
    __m512i widths; // the same in all four parts
    __m512i low_bases, high_bases;
    __m512i low_masks, high_masks;
    __m512i divisor;
};

enum scaling { SCALE_NONE, SCALE_SHORT, SCALE_LONG }; // divisor 1; products below 2^52; any

static void fill_tables(struct tables *tables, const struct k2_bins_tree *tree, uint64_t divisor)
{
    __m512i width = _mm512_cvtepu8_epi64(_mm_loadl_epi64((const void *)tree->widths));
    __m512i high_width = _mm512_cvtepu8_epi64(_mm_loadl_epi64((const void *)(tree->widths + 8)));
    const __m512i ones = _mm512_set1_epi64(-1);
    tables->widths = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)tree->widths));
    tables->low_bases = _mm512_loadu_si512(tree->bases);
    tables->high_bases = _mm512_loadu_si512(tree->bases + 8);
    tables->low_masks = _mm512_andnot_si512(_mm512_sllv_epi64(ones, width), ones);
    tables->high_masks = _mm512_andnot_si512(_mm512_sllv_epi64(ones, high_width), ones);
    tables->divisor = _mm512_set1_epi64((long long)divisor);
}

// Where 64 offsets lie, from the byte at which their group of eight begins.
struct places {
    __m512i bytes;                       // at which each offset begins
    __m512i shift_bins;                  // the bit within that byte * 16 + the bin
    _Alignas(64) uint64_t group_bits[8]; // at which the groups begin, from the first of the 64
};

// Sums up to and with each of the eight words of a part of 128 bits.
INLINE __m512i sum_words(__m512i value)
{
    value = _mm512_add_epi16(value, _mm512_bslli_epi128(value, 2));
    value = _mm512_add_epi16(value, _mm512_bslli_epi128(value, 4));
    return _mm512_add_epi16(value, _mm512_bslli_epi128(value, 8));
}

// Sums up to and with each of eight 64-bit numbers.
INLINE __m512i sum_eight(__m512i value)
{
    const __m512i zero = _mm512_setzero_si512();
    value = _mm512_add_epi64(value, _mm512_alignr_epi64(value, zero, 7));
    value = _mm512_add_epi64(value, _mm512_alignr_epi64(value, zero, 6));
    return _mm512_add_epi64(value, _mm512_alignr_epi64(value, zero, 4));
}

// `bit`: at which the 64 begin, of which only the last three bits matter. Gives their bits.
INLINE size_t find_places(const struct tables *tables, const struct k2_bins_walk *walk, size_t word,
                          size_t bit, struct places *places)
{
    const __m512i zero = _mm512_setzero_si512();
    const __m512i even =
        _mm512_set_epi64(0x0018001800180018, 0x0018001800180018, 0x0010001000100010,
                         0x0010001000100010, 0x0008000800080008, 0x0008000800080008, 0, 0);
    const __m512i odd = _mm512_add_epi16(even, _mm512_set1_epi16(4));
    __m512i bins =
        _mm512_ternarylogic_epi64(_mm512_maskz_set1_epi8(walk->planes[0][word], 1),
                                  _mm512_maskz_set1_epi8(walk->planes[1][word], 2),
                                  _mm512_maskz_set1_epi8(walk->planes[2][word], 4), 0xfe);
    bins = _mm512_or_si512(bins, _mm512_maskz_set1_epi8(walk->planes[3][word], 8));
    __m512i widths = _mm512_maskz_shuffle_epi8(walk->masks[0][word], tables->widths, bins);
    __m512i groups = _mm512_sad_epu8(widths, zero);
    __m512i ends = sum_eight(groups);
    __m512i begins = _mm512_sub_epi64(ends, groups);
    _mm512_store_si512(places->group_bits, begins);
    size_t taken = (size_t)_mm_cvtsi128_si64(
        _mm_unpackhi_epi64(_mm512_extracti64x2_epi64(ends, 3), _mm_setzero_si128()));
    // Of each group: the bit of its first byte at which it begins.
    __m512i firsts = _mm512_and_si512(_mm512_add_epi64(begins, _mm512_set1_epi64((long long)bit)),
                                      _mm512_set1_epi64(7));
    __m512i low = _mm512_unpacklo_epi8(widths, zero); // groups 0, 2, 4, 6
    __m512i high = _mm512_unpackhi_epi8(widths, zero);
    low = _mm512_add_epi16(_mm512_sub_epi16(sum_words(low), low),
                           _mm512_permutexvar_epi16(even, firsts));
    high = _mm512_add_epi16(_mm512_sub_epi16(sum_words(high), high),
                            _mm512_permutexvar_epi16(odd, firsts));
    __m512i shifts =
        _mm512_packus_epi16(_mm512_and_si512(_mm512_slli_epi16(low, 4), _mm512_set1_epi16(0x70)),
                            _mm512_and_si512(_mm512_slli_epi16(high, 4), _mm512_set1_epi16(0x70)));
    places->bytes = _mm512_packus_epi16(_mm512_srli_epi16(low, 3), _mm512_srli_epi16(high, 3));
    places->shift_bins = _mm512_or_si512(shifts, bins);
    return taken;
}

// Eight scaled values, of group `group` of the 64.
INLINE __m512i read_eight(const struct tables *tables, const struct places *places, unsigned group,
                          const uint8_t *offsets, size_t bit, enum scaling scaling)
{
    // For each byte of the result, which of the 64 numbers it takes.
    const __m512i rows =
        _mm512_add_epi8(_mm512_set_epi64(0x0707070707070707, 0x0606060606060606, 0x0505050505050505,
                                         0x0404040404040404, 0x0303030303030303, 0x0202020202020202,
                                         0x0101010101010101, 0),
                        _mm512_set1_epi8((char)(group * 8)));
    const __m512i eight_bytes = _mm512_set1_epi64(0x0706050403020100);
    __m512i window = _mm512_loadu_si512(offsets + (bit + places->group_bits[group]) / 8);
    __m512i bytes = _mm512_add_epi8(_mm512_permutexvar_epi8(rows, places->bytes), eight_bytes);
    __m512i shift_bin = _mm512_maskz_permutexvar_epi8(0x0101010101010101, rows, places->shift_bins);
    __m512i value = _mm512_permutexvar_epi8(bytes, window);
    value = _mm512_srlv_epi64(value, _mm512_srli_epi64(shift_bin, 4));
    value = _mm512_and_si512(
        value, _mm512_permutex2var_epi64(tables->low_masks, shift_bin, tables->high_masks));
    __m512i base = _mm512_permutex2var_epi64(tables->low_bases, shift_bin, tables->high_bases);
    if (scaling == SCALE_SHORT) {
        return _mm512_madd52lo_epu64(base, value, tables->divisor);
    }
    if (scaling == SCALE_LONG) {
        value = _mm512_mullo_epi64(value, tables->divisor);
    }
    return _mm512_add_epi64(base, value);
}

// Up to 63 values are written behind the last.
INLINE bool read_all(const struct k2_bins_tree *tree, const struct k2_bins_walk *walk,
                     const struct k2_bins_scale *scale, struct k2_slice offsets, size_t count,
                     uint64_t *values, enum scaling scaling, bool sums)
{
    struct tables tables;
    struct places places;
    const __m512i last = _mm512_set1_epi64(7);
    __m512i sum = _mm512_set1_epi64((long long)scale->base);
    size_t bit = 0;
    fill_tables(&tables, tree, scale->divisor);
    for (size_t first = 0; first < count; first += 64) {
        size_t taken = find_places(&tables, walk, first / 64, bit, &places);
        // Read from memory below: taking them out of a register one by one costs more.
        __asm__("" : "+m"(places.group_bits));
        if ((bit + taken + 7) / 8 > offsets.size_bytes) {
            return false;
        }
        for (unsigned group = 0; group < 8; group++) {
            __m512i eight = read_eight(&tables, &places, group, offsets.data, bit, scaling);
            if (sums) {
                __m512i up_to = sum_eight(eight);
                eight = _mm512_add_epi64(up_to, sum);
                sum = _mm512_add_epi64(sum, _mm512_permutexvar_epi64(last, up_to));
            }
            _mm512_storeu_si512(values + first + group * 8, eight);
        }
        bit += taken;
    }
    return true;
}

bool k2_bins_avx512(const struct k2_bins_tree *tree, const struct k2_bins_scale *scale,
                    const uint8_t *bits, size_t size_bytes, size_t count, uint64_t *values)
{
    struct k2_bins_walk walk;
    size_t bitmap_bytes = k2_bins_walk_tree(tree, bits, size_bytes, count, &walk);
    if (bitmap_bytes == SIZE_MAX) {
        return false;
    }
    struct k2_slice offsets = {bits + bitmap_bytes, size_bytes - bitmap_bytes};
    unsigned widest = 0;
    for (unsigned bin = 0; bin < tree->bin_count; bin++) {
        widest = tree->widths[bin] > widest ? tree->widths[bin] : widest;
    }
    bool is_short = widest + k2_bitpack_width(scale->divisor) <= 52;
    if (scale->divisor == 1) {
        return scale->sums
                   ? read_all(tree, &walk, scale, offsets, count, values, SCALE_NONE, true)
                   : read_all(tree, &walk, scale, offsets, count, values, SCALE_NONE, false);
    }
    if (is_short) {
        return scale->sums
                   ? read_all(tree, &walk, scale, offsets, count, values, SCALE_SHORT, true)
                   : read_all(tree, &walk, scale, offsets, count, values, SCALE_SHORT, false);
    }
    return scale->sums ? read_all(tree, &walk, scale, offsets, count, values, SCALE_LONG, true)
                       : read_all(tree, &walk, scale, offsets, count, values, SCALE_LONG, false);
}

#else // never called: k2_bitpack_avx512_usable is false

bool k2_bins_avx512(const struct k2_bins_tree *tree, const struct k2_bins_scale *scale,
                    const uint8_t *bits, size_t size_bytes, size_t count, uint64_t *values)
{
    return k2_bins_scalar(tree, scale, bits, size_bytes, count, values);
}

#endif
