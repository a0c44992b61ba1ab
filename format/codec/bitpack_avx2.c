#include "format/codec/bitpack.h"

#include "format/codec/bins.h"
#include "format/codec/bitpack_loops.h"

#if defined(__AVX2__)

#include <immintrin.h>

enum { VECTORS = K2_BITPACK_LANES / 4 }; // of four lanes, a row

bool k2_bitpack_avx2_usable(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
}

static void avx2_pack(const uint64_t *values, size_t count, unsigned width, uint8_t *packed)
{
    size_t rows = (count + K2_BITPACK_LANES - 1) / K2_BITPACK_LANES;
    for (size_t vector = 0; vector < VECTORS; vector++) {
        uint8_t *out = packed + vector * sizeof(__m256i);
        const uint64_t *in = values + vector * 4;
        __m256i word = _mm256_setzero_si256();
        unsigned shift = 0;
        for (size_t row = 0; row < rows; row++, in += K2_BITPACK_LANES) {
            __m256i value = _mm256_loadu_si256((const void *)in);
            word = _mm256_or_si256(word, _mm256_sll_epi64(value, _mm_cvtsi32_si128((int)shift)));
            shift += width;
            if (shift >= 64) {
                _mm256_storeu_si256((void *)out, word);
                out += K2_BITPACK_WORD_BYTES;
                shift -= 64;
                // A shift by 64 gives zero, as it should when nothing is left over.
                unsigned taken = shift == 0 ? 64 : width - shift;
                word = _mm256_srl_epi64(value, _mm_cvtsi32_si128((int)taken));
            }
        }
        if (shift > 0) {
            _mm256_storeu_si256((void *)out, word);
        }
    }
}

// The low 64 bits of a product, lane by lane.
static inline __m256i multiply(__m256i left, __m256i right)
{
    __m256i crossed = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(left, 32), right),
                                       _mm256_mul_epu32(left, _mm256_srli_epi64(right, 32)));
    return _mm256_add_epi64(_mm256_mul_epu32(left, right), _mm256_slli_epi64(crossed, 32));
}

enum scaling {
    SCALE_NONE,  // divisor 1
    SCALE_SHORT, // divisor and packed values below 2^32
    SCALE_LONG,
};

static inline enum scaling scaling_of(unsigned width, uint64_t divisor)
{
    if (divisor == 1) {
        return SCALE_NONE;
    }
    return width <= 32 && divisor <= UINT32_MAX ? SCALE_SHORT : SCALE_LONG;
}

struct row_reader {
    const uint8_t *packed;
    unsigned width;
    __m256i mask, divisor;
};

// Four lanes of a row: `shift` is where the row begins in its word.
static inline __attribute__((always_inline)) __m256i read_lanes(const struct row_reader *reader,
                                                                const uint8_t *word, unsigned shift,
                                                                enum scaling scaling)
{
    __m256i value = _mm256_loadu_si256((const void *)word);
    value = _mm256_srl_epi64(value, _mm_cvtsi32_si128((int)shift));
    if (shift + reader->width > 64) {
        __m256i next = _mm256_loadu_si256((const void *)(word + K2_BITPACK_WORD_BYTES));
        next = _mm256_sll_epi64(next, _mm_cvtsi32_si128((int)(64 - shift)));
        value = _mm256_or_si256(value, next);
    }
    value = _mm256_and_si256(value, reader->mask);
    if (scaling == SCALE_SHORT) {
        value = _mm256_mul_epu32(value, reader->divisor);
    } else if (scaling == SCALE_LONG) {
        value = multiply(value, reader->divisor);
    }
    return value;
}

static inline struct row_reader open_rows(const uint8_t *packed, unsigned width, uint64_t divisor)
{
    uint64_t mask = width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
    return (struct row_reader){packed, width, _mm256_set1_epi64x((long long)mask),
                               _mm256_set1_epi64x((long long)divisor)};
}

static inline __attribute__((always_inline)) void unpack_rows(const uint8_t *packed, size_t count,
                                                              unsigned width, uint64_t base,
                                                              uint64_t divisor, int64_t *values,
                                                              enum scaling scaling)
{
    struct row_reader reader = open_rows(packed, width, divisor);
    __m256i bases = _mm256_set1_epi64x((long long)base);
    size_t bit = 0;
    for (size_t i = 0; i < count; i += K2_BITPACK_LANES, bit += width) {
        const uint8_t *word = packed + bit / 64 * K2_BITPACK_WORD_BYTES;
        unsigned shift = (unsigned)(bit % 64);
        for (size_t vector = 0; vector < VECTORS; vector++) {
            __m256i value = read_lanes(&reader, word + vector * sizeof(__m256i), shift, scaling);
            _mm256_storeu_si256((void *)(values + i + vector * 4), _mm256_add_epi64(value, bases));
        }
    }
}

static void avx2_unpack(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                        uint64_t divisor, int64_t *values)
{
    switch (scaling_of(width, divisor)) {
    case SCALE_NONE:
        unpack_rows(packed, count, width, base, divisor, values, SCALE_NONE);
        break;
    case SCALE_SHORT:
        unpack_rows(packed, count, width, base, divisor, values, SCALE_SHORT);
        break;
    case SCALE_LONG:
        unpack_rows(packed, count, width, base, divisor, values, SCALE_LONG);
        break;
    }
}

// a, b, c, d becomes a, a+b, a+b+c, a+b+c+d.
static inline __m256i prefix_sum(__m256i value)
{
    __m256i pairs = _mm256_add_epi64(value, _mm256_slli_si256(value, 8));
    __m256i low = _mm256_permute2x128_si256(pairs, pairs, 0x08); // 0, 0, a, a+b
    return _mm256_add_epi64(pairs, _mm256_unpackhi_epi64(low, low));
}

static inline __attribute__((always_inline)) void
unpack_sum_rows(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                uint64_t divisor, uint64_t slope, int64_t *values, enum scaling scaling)
{
    struct row_reader reader = open_rows(packed, width, divisor);
    __m256i slopes = _mm256_set1_epi64x((long long)slope);
    __m256i sum = _mm256_set1_epi64x((long long)base); // of all values before
    size_t bit = 0;
    for (size_t i = 0; i < count; i += K2_BITPACK_LANES, bit += width) {
        const uint8_t *word = packed + bit / 64 * K2_BITPACK_WORD_BYTES;
        unsigned shift = (unsigned)(bit % 64);
        for (size_t vector = 0; vector < VECTORS; vector++) {
            __m256i value = read_lanes(&reader, word + vector * sizeof(__m256i), shift, scaling);
            value = prefix_sum(_mm256_add_epi64(value, slopes));
            _mm256_storeu_si256((void *)(values + i + vector * 4), _mm256_add_epi64(value, sum));
            sum = _mm256_add_epi64(sum, _mm256_permute4x64_epi64(value, 0xff));
        }
    }
}

static void avx2_unpack_sum(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                            uint64_t divisor, uint64_t slope, int64_t *values)
{
    switch (scaling_of(width, divisor)) {
    case SCALE_NONE:
        unpack_sum_rows(packed, count, width, base, divisor, slope, values, SCALE_NONE);
        break;
    case SCALE_SHORT:
        unpack_sum_rows(packed, count, width, base, divisor, slope, values, SCALE_SHORT);
        break;
    case SCALE_LONG:
        unpack_sum_rows(packed, count, width, base, divisor, slope, values, SCALE_LONG);
        break;
    }
}

// Which run each of four rows takes, by the bits of rows 1 to 3: numbers of 32-bit halves.
static const struct {
    _Alignas(32) uint32_t halves[8];
} spread_places[8] = {
    {{0, 1, 0, 1, 0, 1, 0, 1}}, {{0, 1, 2, 3, 2, 3, 2, 3}}, {{0, 1, 0, 1, 2, 3, 2, 3}},
    {{0, 1, 2, 3, 4, 5, 4, 5}}, {{0, 1, 0, 1, 0, 1, 2, 3}}, {{0, 1, 2, 3, 2, 3, 4, 5}},
    {{0, 1, 0, 1, 2, 3, 4, 5}}, {{0, 1, 2, 3, 4, 5, 6, 7}},
};

// Four rows take runs from the one before them, or from their first one when that begins with
// them: so they lie in one register.
static void avx2_spread(const uint64_t *words, const int64_t *runs, size_t count, int64_t *values)
{
    const int64_t *run = runs - 1;
    for (size_t first = 0; first < count; first += 4) {
        uint64_t bits = words[first / 64] >> first % 64 & 15;
        __m256i places = _mm256_load_si256((const void *)spread_places[bits >> 1].halves);
        __m256i four = _mm256_loadu_si256((const void *)(run + (bits & 1)));
        _mm256_storeu_si256((void *)(values + first), _mm256_permutevar8x32_epi32(four, places));
        run += __builtin_popcountll(bits);
    }
}

static void avx2_sum_up(uint64_t base, size_t count, int64_t *values)
{
    __m256i sum = _mm256_set1_epi64x((long long)base); // of all values before
    for (size_t i = 0; i < count; i += 4) {
        __m256i value = prefix_sum(_mm256_loadu_si256((const void *)(values + i)));
        _mm256_storeu_si256((void *)(values + i), _mm256_add_epi64(value, sum));
        sum = _mm256_add_epi64(sum, _mm256_permute4x64_epi64(value, 0xff));
    }
}

static uint64_t avx2_sum_packed(const uint8_t *packed, size_t count, unsigned width)
{
    struct row_reader reader = open_rows(packed, width, 1);
    __m256i sum = _mm256_setzero_si256();
    size_t bit = 0;
    for (size_t i = 0; i < count; i += K2_BITPACK_LANES, bit += width) {
        const uint8_t *word = packed + bit / 64 * K2_BITPACK_WORD_BYTES;
        for (size_t vector = 0; vector < VECTORS; vector++) {
            sum = _mm256_add_epi64(sum, read_lanes(&reader, word + vector * sizeof(__m256i),
                                                   (unsigned)(bit % 64), SCALE_NONE));
        }
    }
    int64_t lanes[4];
    _mm256_storeu_si256((void *)lanes, sum);
    return loop_sum(lanes, 4);
}

const struct k2_bitpack_kernels k2_bitpack_avx2 = {
    .name = "avx2",
    .pack = avx2_pack,
    .unpack = avx2_unpack,
    .unpack_sum = avx2_unpack_sum,
    .sum_packed = avx2_sum_packed,
    .sum = loop_sum,
    .unpack_plain = loop_unpack_plain,
    .sum_up = avx2_sum_up,
    .count_up_to = loop_count_up_to,
    .trade_sums = loop_trade_sums,
    .look_up_texts = loop_look_up_texts,
    .count_up = loop_count_up,
    .add = loop_add,
    .add_ordinals = loop_add_ordinals,
    .spread = avx2_spread,
    .look_up = loop_look_up,
    .pick = loop_pick,
    .range = loop_range,
    .divide = loop_divide,
    .delta_range = loop_delta_range,
    .bins = k2_bins_avx2,
    .bins_put = k2_bins_put_avx2,
};

#else // a machine without AVX2: the name stays, for the table of instruction sets

bool k2_bitpack_avx2_usable(void)
{
    return false;
}

const struct k2_bitpack_kernels k2_bitpack_avx2 = {.name = "avx2"};

#endif
