// BINS on machines with AVX-512 and its byte permutations (VBMI): the tree as in bins_avx2.c, then
// eight offsets at a time out of one load of 64 bytes.
#include "format/codec/bins.h"

#if defined(__AVX512VBMI__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__BMI2__)

#include <immintrin.h>

#include "format/codec/bins_walk.h"

bool k2_bins_avx512_usable(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi");
}

struct tables {
    __m512i widths; // of each bin, the same in all four parts
    __m512i low_bases, high_bases;
};

// Sums up to and with each of the eight numbers of a part of 128 bits.
static inline __m512i prefix_sums(__m512i value)
{
    value = _mm512_add_epi16(value, _mm512_bslli_epi128(value, 2));
    value = _mm512_add_epi16(value, _mm512_bslli_epi128(value, 4));
    return _mm512_add_epi16(value, _mm512_bslli_epi128(value, 8));
}

// Eight values: `ends` are the sums of their widths, up to and with each.
static inline __m512i read_eight(const struct tables *tables, const uint8_t *offsets, size_t bit,
                                 __m128i bins, __m128i widths, __m128i ends)
{
    const __m512i first_bytes = _mm512_set_epi64(0x0808080808080808, 0, 0x0808080808080808, 0,
                                                 0x0808080808080808, 0, 0x0808080808080808, 0);
    const __m512i eight_bytes = _mm512_set1_epi64(0x0706050403020100);
    __m512i width = _mm512_cvtepu16_epi64(widths);
    __m512i begin = _mm512_add_epi64(_mm512_cvtepu16_epi64(_mm_sub_epi16(ends, widths)),
                                     _mm512_set1_epi64((long long)(bit % 8)));
    __m512i byte = _mm512_shuffle_epi8(_mm512_srli_epi64(begin, 3), first_bytes);
    __m512i window = _mm512_loadu_si512(offsets + bit / 8);
    __m512i word = _mm512_permutexvar_epi8(_mm512_add_epi8(byte, eight_bytes), window);
    word = _mm512_srlv_epi64(word, _mm512_and_si512(begin, _mm512_set1_epi64(7)));
    __m512i above = _mm512_sllv_epi64(_mm512_set1_epi64(-1), width);
    __m512i base = _mm512_permutex2var_epi64(tables->low_bases, _mm512_cvtepu8_epi64(bins),
                                             tables->high_bases);
    return _mm512_add_epi64(base, _mm512_andnot_si512(above, word));
}

// 64 values; gives the bits that they took. Values behind the last are of bin 0 or none.
static inline size_t read_64(const struct tables *tables, const uint8_t *offsets, size_t bit,
                             const uint64_t *planes, uint64_t *values)
{
    __m512i bins = _mm512_or_si512(
        _mm512_or_si512(_mm512_maskz_set1_epi8(planes[0], 1), _mm512_maskz_set1_epi8(planes[1], 2)),
        _mm512_or_si512(_mm512_maskz_set1_epi8(planes[2], 4),
                        _mm512_maskz_set1_epi8(planes[3], 8)));
    __m512i widths = _mm512_shuffle_epi8(tables->widths, bins);
    _Alignas(64) uint8_t bin_bytes[64];
    _Alignas(64) uint16_t width_words[64];
    _Alignas(64) uint16_t end_words[64];
    __m512i low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(widths));
    __m512i high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(widths, 1));
    _mm512_store_si512(bin_bytes, bins);
    _mm512_store_si512(width_words, low);
    _mm512_store_si512(width_words + 32, high);
    _mm512_store_si512(end_words, prefix_sums(low));
    _mm512_store_si512(end_words + 32, prefix_sums(high));
    size_t begin = bit;
    for (unsigned i = 0; i < 64; i += 8) {
        __m512i eight =
            read_eight(tables, offsets, bit, _mm_loadl_epi64((const void *)(bin_bytes + i)),
                       _mm_load_si128((const void *)(width_words + i)),
                       _mm_load_si128((const void *)(end_words + i)));
        _mm512_storeu_si512(values + i, eight);
        bit += end_words[i + 7];
    }
    return bit - begin;
}

// Up to 63 values are written behind the last; they come from the padding.
void k2_bins_avx512(const struct k2_bins_tree *tree, const uint8_t *bitmaps, const uint8_t *offsets,
                    size_t count, uint64_t *values)
{
    uint64_t planes[K2_BINS_WORDS][K2_BINS_PLANES];
    struct tables tables = {
        .widths = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)tree->widths)),
        .low_bases = _mm512_loadu_si512(tree->bases),
        .high_bases = _mm512_loadu_si512(tree->bases + 8),
    };
    size_t bit = 0;
    k2_bins_walk(tree, bitmaps, count, planes);
    for (size_t first = 0; first < count; first += 64) {
        bit += read_64(&tables, offsets, bit, planes[first / 64], values + first);
    }
}

#else // never called

bool k2_bins_avx512_usable(void)
{
    return false;
}

void k2_bins_avx512(const struct k2_bins_tree *tree, const uint8_t *bitmaps, const uint8_t *offsets,
                    size_t count, uint64_t *values)
{
    k2_bins_scalar(tree, bitmaps, offsets, count, values);
}

#endif
