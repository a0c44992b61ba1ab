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

static void fill_tables(struct tables *tables, const struct k2_bins_tree *tree,
                        const struct k2_bins_scale *scale)
{
    uint64_t bases[K2_BINS_MOST];
    for (unsigned bin = 0; bin < K2_BINS_MOST; bin++) {
        bases[bin] = tree->bases[bin] * scale->divisor + (scale->sums ? 0 : scale->base);
    }
    __m512i width = _mm512_cvtepu8_epi64(_mm_loadl_epi64((const void *)tree->widths));
    __m512i high_width = _mm512_cvtepu8_epi64(_mm_loadl_epi64((const void *)(tree->widths + 8)));
    const __m512i ones = _mm512_set1_epi64(-1);
    tables->widths = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)tree->widths));
    tables->low_bases = _mm512_loadu_si512(bases);
    tables->high_bases = _mm512_loadu_si512(bases + 8);
    tables->low_masks = _mm512_andnot_si512(_mm512_sllv_epi64(ones, width), ones);
    tables->high_masks = _mm512_andnot_si512(_mm512_sllv_epi64(ones, high_width), ones);
    tables->divisor = _mm512_set1_epi64((long long)scale->divisor);
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

// Narrow bins: widths up to 14 and values of 16 bits, so that 32 values are worked on at a time.

struct narrow_tables {
    __m512i widths, bases; // words, by bin
    __m512i divisor;
};

enum { NARROW_WIDTH = 14, NARROW_MOST = 4095 };

// With sums, eight values must not pass 16 bits.
static bool is_narrow(const struct k2_bins_tree *tree, const struct k2_bins_scale *scale)
{
    for (unsigned bin = 0; bin < tree->bin_count; bin++) {
        int64_t least = (int64_t)tree->bases[bin];
        int64_t most = scale->sums ? NARROW_MOST : INT16_MAX;
        if (tree->widths[bin] > NARROW_WIDTH || least < -most ||
            least > most - (1 << tree->widths[bin])) {
            return false;
        }
    }
    return true;
}

static void fill_narrow(struct narrow_tables *tables, const struct k2_bins_tree *tree,
                        uint64_t divisor)
{
    _Alignas(64) uint16_t widths[32] = {0};
    _Alignas(64) uint16_t bases[32] = {0};
    for (unsigned bin = 0; bin < tree->bin_count; bin++) {
        widths[bin] = tree->widths[bin];
        bases[bin] = (uint16_t)tree->bases[bin];
    }
    tables->widths = _mm512_load_si512(widths);
    tables->bases = _mm512_load_si512(bases);
    tables->divisor = _mm512_set1_epi64((long long)divisor);
}

// 32 values, whose offsets begin at bit *bit; adds the bits that they have.
INLINE __m512i read_narrow(const struct narrow_tables *tables, const uint8_t *offsets, size_t *bit,
                           __m256i bin_bytes, __mmask32 rows)
{
    const __m512i first_bytes = _mm512_set_epi64(0x0808080808080808, 0, 0x0808080808080808, 0,
                                                 0x0808080808080808, 0, 0x0808080808080808, 0);
    const __m512i first_words = _mm512_set_epi64(
        0x0908090809080908, 0x0100010001000100, 0x0908090809080908, 0x0100010001000100,
        0x0908090809080908, 0x0100010001000100, 0x0908090809080908, 0x0100010001000100);
    __m512i bins = _mm512_cvtepu8_epi16(bin_bytes);
    __m512i widths = _mm512_maskz_permutexvar_epi16(rows, bins, tables->widths);
    // Where each of four offsets ends from the first one, then where each four begin.
    __m512i ends = _mm512_add_epi16(widths, _mm512_slli_epi64(widths, 16));
    ends = _mm512_add_epi16(ends, _mm512_slli_epi64(ends, 32));
    __m512i fours = _mm512_srli_epi64(ends, 48);
    __m512i fours_ends = sum_eight(fours);
    __m512i begins = _mm512_add_epi64(_mm512_sub_epi64(fours_ends, fours),
                                      _mm512_set1_epi64((long long)(*bit % 8)));
    __m512i window = _mm512_loadu_si512(offsets + *bit / 8);
    *bit += (size_t)_mm_extract_epi64(_mm512_extracti64x2_epi64(fours_ends, 3), 1);
    // The 64 bits in which four lie, and in each byte what begins at another bit of them.
    __m512i bytes = _mm512_shuffle_epi8(_mm512_srli_epi64(begins, 3), first_bytes);
    bytes = _mm512_add_epi8(bytes, _mm512_set1_epi64(0x0706050403020100));
    __m512i bits = _mm512_and_si512(begins, _mm512_set1_epi64(7));
    bits = _mm512_add_epi16(_mm512_shuffle_epi8(bits, first_words), _mm512_sub_epi16(ends, widths));
    bits = _mm512_add_epi16(_mm512_or_si512(bits, _mm512_slli_epi16(bits, 8)),
                            _mm512_set1_epi16(0x0800));
    __m512i value = _mm512_multishift_epi64_epi8(bits, _mm512_permutexvar_epi8(bytes, window));
    value = _mm512_andnot_si512(_mm512_sllv_epi16(_mm512_set1_epi16(-1), widths), value);
    return _mm512_add_epi16(value, _mm512_permutexvar_epi16(bins, tables->bases));
}

// Eight of the 32, scaled; `sum` is what was before them.
INLINE __m512i widen(const struct narrow_tables *tables, __m128i words, enum scaling scaling)
{
    __m512i value = _mm512_cvtepi16_epi64(words);
    if (scaling == SCALE_SHORT) {
        return _mm512_mul_epi32(value, tables->divisor);
    }
    return scaling == SCALE_LONG ? _mm512_mullo_epi64(value, tables->divisor) : value;
}

// Rows that are not wanted are passed: without sums by the bits that they have, with sums by what
// they add up to, which takes no sum up to each of them.
INLINE bool read_all_narrow(const struct k2_bins_tree *tree, const struct k2_bins_walk *walk,
                            const struct k2_bins_scale *scale, struct k2_slice offsets,
                            uint64_t *values, enum scaling scaling, bool sums)
{
    struct narrow_tables tables;
    const __m512i last = _mm512_set1_epi64(7);
    __m512i sum = _mm512_set1_epi64((long long)scale->base);
    __m512i passed = _mm512_setzero_si512();
    size_t begin = scale->first_row / 64 * 64;
    size_t bit = sums ? 0 : k2_bins_bits_before(tree, walk, begin / 64);
    fill_narrow(&tables, tree, scale->divisor);
    if ((bit + 7) / 8 > offsets.size_bytes) {
        return false;
    }
    for (size_t first = sums ? 0 : begin; first < scale->end_row; first += 32) {
        uint32_t planes[K2_BINS_PLANES];
        for (unsigned i = 0; i < K2_BINS_PLANES; i++) {
            planes[i] = (uint32_t)(walk->planes[i][first / 64] >> first % 64);
        }
        __m256i bins = _mm256_or_si256(_mm256_or_si256(_mm256_maskz_set1_epi8(planes[0], 1),
                                                       _mm256_maskz_set1_epi8(planes[1], 2)),
                                       _mm256_or_si256(_mm256_maskz_set1_epi8(planes[2], 4),
                                                       _mm256_maskz_set1_epi8(planes[3], 8)));
        __mmask32 rows = (__mmask32)(walk->masks[0][first / 64] >> first % 64);
        __m512i words = read_narrow(&tables, offsets.data, &bit, bins, rows);
        if ((bit + 7) / 8 > offsets.size_bytes) {
            return false;
        }
        if (sums && first < begin) {
            passed = _mm512_add_epi32(passed, _mm512_madd_epi16(words, _mm512_set1_epi16(1)));
            if (first + 32 == begin) {
                int64_t total = _mm512_reduce_add_epi32(passed);
                sum =
                    _mm512_set1_epi64((long long)(scale->base + scale->divisor * (uint64_t)total));
            }
            continue;
        }
        if (sums) {
            words = sum_words(words);
        }
        for (unsigned i = 0; i < 4; i++) {
            __m128i eight = i == 0   ? _mm512_castsi512_si128(words)
                            : i == 1 ? _mm512_extracti64x2_epi64(words, 1)
                            : i == 2 ? _mm512_extracti64x2_epi64(words, 2)
                                     : _mm512_extracti64x2_epi64(words, 3);
            __m512i value = widen(&tables, eight, scaling);
            _mm512_storeu_si512(values + first + i * 8, _mm512_add_epi64(sum, value));
            if (sums) {
                sum = _mm512_add_epi64(sum, _mm512_permutexvar_epi64(last, value));
            }
        }
    }
    return true;
}

// Up to 63 values are written behind the last.
INLINE bool read_all(const struct k2_bins_tree *tree, const struct k2_bins_walk *walk,
                     const struct k2_bins_scale *scale, struct k2_slice offsets, uint64_t *values,
                     enum scaling scaling, bool sums)
{
    struct tables tables;
    struct places places;
    const __m512i last = _mm512_set1_epi64(7);
    __m512i sum = _mm512_set1_epi64((long long)scale->base); // of the values before
    __m512i passed = _mm512_setzero_si512();
    size_t begin = scale->first_row / 64 * 64;
    size_t bit = sums ? 0 : k2_bins_bits_before(tree, walk, begin / 64);
    fill_tables(&tables, tree, scale);
    if ((bit + 7) / 8 > offsets.size_bytes) {
        return false;
    }
    for (size_t first = sums ? 0 : begin; first < scale->end_row; first += 64) {
        size_t taken = find_places(&tables, walk, first / 64, bit, &places);
        // Read from memory below: taking them out of a register one by one costs more.
        __asm__("" : "+m"(places.group_bits));
        if ((bit + taken + 7) / 8 > offsets.size_bytes) {
            return false;
        }
        if (sums && first < begin) {
            for (unsigned group = 0; group < 8; group++) {
                passed = _mm512_add_epi64(
                    passed, read_eight(&tables, &places, group, offsets.data, bit, scaling));
            }
            if (first + 64 == begin) {
                sum = _mm512_add_epi64(sum, _mm512_permutexvar_epi64(last, sum_eight(passed)));
            }
            bit += taken;
            continue;
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

// One function for each scaling, with sums and without.
typedef bool read_fn(const struct k2_bins_tree *tree, const struct k2_bins_walk *walk,
                     const struct k2_bins_scale *scale, struct k2_slice offsets, uint64_t *values);

#define READ(name, loop, scaling, sums)                                                            \
    static bool name(const struct k2_bins_tree *tree, const struct k2_bins_walk *walk,             \
                     const struct k2_bins_scale *scale, struct k2_slice offsets, uint64_t *values) \
    {                                                                                              \
        return loop(tree, walk, scale, offsets, values, scaling, sums);                            \
    }
READ(wide_none, read_all, SCALE_NONE, false)
READ(wide_none_sums, read_all, SCALE_NONE, true)
READ(wide_short, read_all, SCALE_SHORT, false)
READ(wide_short_sums, read_all, SCALE_SHORT, true)
READ(wide_long, read_all, SCALE_LONG, false)
READ(wide_long_sums, read_all, SCALE_LONG, true)
READ(narrow_none, read_all_narrow, SCALE_NONE, false)
READ(narrow_none_sums, read_all_narrow, SCALE_NONE, true)
READ(narrow_short, read_all_narrow, SCALE_SHORT, false)
READ(narrow_short_sums, read_all_narrow, SCALE_SHORT, true)
READ(narrow_long, read_all_narrow, SCALE_LONG, false)
READ(narrow_long_sums, read_all_narrow, SCALE_LONG, true)

static read_fn *const read_wide_as[3][2] = {
    {wide_none, wide_none_sums}, {wide_short, wide_short_sums}, {wide_long, wide_long_sums}};
static read_fn *const read_narrow_as[3][2] = {{narrow_none, narrow_none_sums},
                                              {narrow_short, narrow_short_sums},
                                              {narrow_long, narrow_long_sums}};

bool k2_bins_avx512(const struct k2_bins_tree *tree, const struct k2_bins_scale *scale,
                    const uint8_t *bits, size_t size_bytes, size_t count, uint64_t *values)
{
    struct k2_bins_walk walk;
    size_t bitmap_bytes = k2_bins_walk_tree(tree, bits, size_bytes, count, &walk);
    if (bitmap_bytes == SIZE_MAX) {
        return false;
    }
    struct k2_slice offsets = {bits + bitmap_bytes, size_bytes - bitmap_bytes};
    uint64_t divisor = scale->divisor;
    if (is_narrow(tree, scale)) {
        enum scaling scaling = divisor == 1           ? SCALE_NONE
                               : divisor <= INT32_MAX ? SCALE_SHORT
                                                      : SCALE_LONG;
        return read_narrow_as[scaling][scale->sums](tree, &walk, scale, offsets, values);
    }
    unsigned widest = 0;
    for (unsigned bin = 0; bin < tree->bin_count; bin++) {
        widest = tree->widths[bin] > widest ? tree->widths[bin] : widest;
    }
    enum scaling scaling = divisor == 1                               ? SCALE_NONE
                           : widest + k2_bitpack_width(divisor) <= 52 ? SCALE_SHORT
                                                                      : SCALE_LONG;
    return read_wide_as[scaling][scale->sums](tree, &walk, scale, offsets, values);
}

// Eight values at a time are compared with where each bin begins.
static void classify(const struct k2_bins_plan *plan, const uint64_t *values, size_t count,
                     uint8_t *bins)
{
    const __m512i one = _mm512_set1_epi64(1);
    __m128i numbers = _mm_loadu_si128((const void *)plan->bin_of);
    for (size_t i = 0; i < count; i += 8) {
        __m512i value = _mm512_loadu_si512(values + i);
        __m512i place = _mm512_setzero_si512();
        for (unsigned k = 1; k < plan->tree.bin_count; k++) {
            __mmask8 reached = _mm512_cmpge_epi64_mask(value, _mm512_set1_epi64(plan->least[k]));
            place = _mm512_mask_add_epi64(place, reached, place, one);
        }
        __m128i places = _mm512_cvtepi64_epi8(place);
        _mm_storel_epi64((void *)(bins + i), _mm_shuffle_epi8(numbers, places));
    }
}

void k2_bins_put_avx512(const struct k2_bins_plan *plan, const uint64_t *values, size_t count,
                        uint8_t *bins, uint8_t *bits)
{
    classify(plan, values, count, bins);
    k2_bins_put_bitmaps(&plan->tree, bins, count, bits);
}

#else // never called: k2_bitpack_avx512_usable is false

bool k2_bins_avx512(const struct k2_bins_tree *tree, const struct k2_bins_scale *scale,
                    const uint8_t *bits, size_t size_bytes, size_t count, uint64_t *values)
{
    return k2_bins_scalar(tree, scale, bits, size_bytes, count, values);
}

void k2_bins_put_avx512(const struct k2_bins_plan *plan, const uint64_t *values, size_t count,
                        uint8_t *bins, uint8_t *bits)
{
    k2_bins_put_scalar(plan, values, count, bins, bits);
}

#endif
