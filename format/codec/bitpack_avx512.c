// The kernels for machines with AVX-512, as of Ice Lake and Zen 4: eight lanes in a register, and
// one instruction for a shift over two words.
#include "format/codec/bitpack.h"

#include "format/codec/bins.h"
#include "format/codec/bitpack_loops.h"

#if defined(__AVX512VBMI__) && defined(__AVX512VBMI2__) && defined(__AVX512VPOPCNTDQ__) &&         \
    defined(__AVX512IFMA__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__BMI2__)

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

bool k2_bitpack_avx512_usable(void)
{
    return k2_bitpack_avx2_usable() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vpopcntdq") &&
           __builtin_cpu_supports("avx512ifma");
}

// The intrinsic for it adds signed numbers, which must not wrap; those of damaged bytes do.
INLINE uint64_t add_up(__m512i vector)
{
    uint64_t parts[8], sum = 0;
    _mm512_storeu_si512(parts, vector);
    for (size_t i = 0; i < 8; i++) {
        sum += parts[i];
    }
    return sum;
}

enum scaling { SCALE_NONE, SCALE_SHORT, SCALE_LONG }; // divisor 1; products below 2^52; any

INLINE enum scaling scaling_of(unsigned width, uint64_t divisor)
{
    if (divisor == 1) {
        return SCALE_NONE;
    }
    return width + k2_bitpack_width(divisor) <= 52 ? SCALE_SHORT : SCALE_LONG;
}

// base + divisor * value
INLINE __m512i scale_add(__m512i base, __m512i value, __m512i divisor, enum scaling scaling)
{
    switch (scaling) {
    case SCALE_SHORT:
        return _mm512_madd52lo_epu64(base, value, divisor);
    case SCALE_LONG:
        return _mm512_add_epi64(base, _mm512_mullo_epi64(value, divisor));
    default:
        return _mm512_add_epi64(base, value);
    }
}

static void avx512_pack(const uint64_t *values, size_t count, unsigned width, uint8_t *packed)
{
    size_t rows = (count + K2_BITPACK_LANES - 1) / K2_BITPACK_LANES;
    for (size_t half = 0; half < 2; half++) {
        uint8_t *out = packed + half * sizeof(__m512i);
        const uint64_t *in = values + half * 8;
        __m512i word = _mm512_setzero_si512();
        unsigned shift = 0;
        for (size_t row = 0; row < rows; row++, in += K2_BITPACK_LANES) {
            __m512i value = _mm512_loadu_si512(in);
            word = _mm512_or_si512(word, _mm512_sll_epi64(value, _mm_cvtsi32_si128((int)shift)));
            shift += width;
            if (shift >= 64) {
                _mm512_storeu_si512(out, word);
                out += K2_BITPACK_WORD_BYTES;
                shift -= 64;
                // A shift by 64 gives zero, as it should when nothing is left over.
                unsigned taken = shift == 0 ? 64 : width - shift;
                word = _mm512_srl_epi64(value, _mm_cvtsi32_si128((int)taken));
            }
        }
        if (shift > 0) {
            _mm512_storeu_si512(out, word);
        }
    }
}

struct row_reader {
    const uint8_t *packed;
    size_t last_word; // of a lane
    unsigned width;
    __m512i mask, divisor;
};

INLINE struct row_reader open_rows(const uint8_t *packed, size_t count, unsigned width,
                                   uint64_t divisor)
{
    size_t rows = (count + K2_BITPACK_LANES - 1) / K2_BITPACK_LANES;
    uint64_t mask = width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
    return (struct row_reader){packed, (rows * width - 1) / 64, width,
                               _mm512_set1_epi64((long long)mask),
                               _mm512_set1_epi64((long long)divisor)};
}

// Half of a row, which begins at `bit` of its lanes. Behind the last word there is none: whatever
// stands for it is masked away.
INLINE __m512i read_half(const struct row_reader *reader, size_t bit, size_t half)
{
    size_t word = bit / 64;
    size_t next = word < reader->last_word ? word + 1 : word;
    const uint8_t *lanes = reader->packed + half * sizeof(__m512i);
    __m512i low = _mm512_loadu_si512(lanes + word * K2_BITPACK_WORD_BYTES);
    __m512i high = _mm512_loadu_si512(lanes + next * K2_BITPACK_WORD_BYTES);
    __m512i value = _mm512_shrdv_epi64(low, high, _mm512_set1_epi64((long long)(bit % 64)));
    return _mm512_and_si512(value, reader->mask);
}

INLINE void unpack_rows(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                        uint64_t divisor, int64_t *values, enum scaling scaling)
{
    struct row_reader reader = open_rows(packed, count, width, divisor);
    __m512i bases = _mm512_set1_epi64((long long)base);
    size_t bit = 0;
    for (size_t i = 0; i < count; i += K2_BITPACK_LANES, bit += width) {
        for (size_t half = 0; half < 2; half++) {
            __m512i value = read_half(&reader, bit, half);
            value = scale_add(bases, value, reader.divisor, scaling);
            _mm512_storeu_si512(values + i + half * 8, value);
        }
    }
}

static void avx512_unpack(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
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

// Sums up to and with each of the eight.
INLINE __m512i prefix_sums(__m512i value)
{
    const __m512i zero = _mm512_setzero_si512();
    value = _mm512_add_epi64(value, _mm512_alignr_epi64(value, zero, 7));
    value = _mm512_add_epi64(value, _mm512_alignr_epi64(value, zero, 6));
    return _mm512_add_epi64(value, _mm512_alignr_epi64(value, zero, 4));
}

INLINE void unpack_sum_rows(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                            uint64_t divisor, uint64_t slope, int64_t *values, enum scaling scaling)
{
    struct row_reader reader = open_rows(packed, count, width, divisor);
    // What the slope adds to each value of a row, and to the row after it.
    const __m512i places = _mm512_set_epi64(8, 7, 6, 5, 4, 3, 2, 1);
    __m512i slopes = _mm512_mullo_epi64(places, _mm512_set1_epi64((long long)slope));
    __m512i half_slope = _mm512_set1_epi64((long long)(slope * 8));
    const __m512i last = _mm512_set1_epi64(7);
    const __m512i zero = _mm512_setzero_si512();
    __m512i sum = _mm512_add_epi64(_mm512_set1_epi64((long long)base), slopes);
    size_t bit = 0;
    for (size_t i = 0; i < count; i += K2_BITPACK_LANES, bit += width) {
        // Both halves by themselves first, so that only one addition waits for the row before.
        __m512i low = scale_add(zero, read_half(&reader, bit, 0), reader.divisor, scaling);
        __m512i high = scale_add(zero, read_half(&reader, bit, 1), reader.divisor, scaling);
        low = prefix_sums(low);
        high = prefix_sums(high);
        __m512i low_all = _mm512_add_epi64(_mm512_permutexvar_epi64(last, low), half_slope);
        __m512i high_all = _mm512_add_epi64(_mm512_permutexvar_epi64(last, high), half_slope);
        __m512i middle = _mm512_add_epi64(sum, low_all);
        _mm512_storeu_si512(values + i, _mm512_add_epi64(low, sum));
        _mm512_storeu_si512(values + i + 8, _mm512_add_epi64(high, middle));
        sum = _mm512_add_epi64(sum, _mm512_add_epi64(low_all, high_all));
    }
}

static void avx512_unpack_sum(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
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

static void avx512_count_up(size_t count, uint64_t first, uint64_t step, int64_t *values)
{
    const __m512i places = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    __m512i value = _mm512_mullo_epi64(places, _mm512_set1_epi64((long long)step));
    __m512i steps = _mm512_set1_epi64((long long)(step * 8));
    value = _mm512_add_epi64(value, _mm512_set1_epi64((long long)first));
    for (size_t i = 0; i < count; i += 8, value = _mm512_add_epi64(value, steps)) {
        _mm512_storeu_si512(values + i, value);
    }
}

static void avx512_add(const int64_t *others, size_t count, int64_t *values)
{
    for (size_t i = 0; i < count; i += 8) {
        _mm512_storeu_si512(values + i, _mm512_add_epi64(_mm512_loadu_si512(values + i),
                                                         _mm512_loadu_si512(others + i)));
    }
}

// A row's ordinal is its place less that at which its run began: the greatest so far of the places
// that differ from the one before.
static void avx512_add_ordinals(const int64_t *others, size_t count, int64_t *values)
{
    const __m512i zero = _mm512_setzero_si512();
    const __m512i last = _mm512_set1_epi64(7);
    __m512i place = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    __m512i began = zero;  // the run of the row before
    __m512i before = zero; // the eight others before; the first row begins a run whatever it has
    for (size_t i = 0; i < count; i += 8) {
        __m512i other = _mm512_loadu_si512(others + i);
        __mmask8 begins = _mm512_cmpneq_epi64_mask(other, _mm512_alignr_epi64(other, before, 7));
        __m512i begin = _mm512_maskz_mov_epi64(begins, place);
        begin = _mm512_max_epi64(begin, _mm512_alignr_epi64(begin, zero, 7));
        begin = _mm512_max_epi64(begin, _mm512_alignr_epi64(begin, zero, 6));
        begin = _mm512_max_epi64(begin, _mm512_alignr_epi64(begin, zero, 4));
        begin = _mm512_max_epi64(begin, began);
        __m512i value = _mm512_loadu_si512(values + i);
        _mm512_storeu_si512(values + i, _mm512_add_epi64(value, _mm512_sub_epi64(place, begin)));
        began = _mm512_permutexvar_epi64(last, begin);
        before = other;
        place = _mm512_add_epi64(place, _mm512_set1_epi64(8));
    }
}

// Eight rows take runs from the one before them, or from their first one when that begins with
// them: so they lie in one register. Which one each row takes is the number of bits up to it.
static void avx512_spread(const uint64_t *words, const int64_t *runs, size_t count, int64_t *values)
{
    const __m512i below = _mm512_set_epi64(0xff, 0x7f, 0x3f, 0x1f, 0xf, 7, 3, 1);
    const int64_t *run = runs - 1;
    for (size_t first = 0; first < count; first += 8) {
        uint64_t bits = words[first / 64] >> first % 64 & 255;
        const int64_t *begin = run + (bits & 1);
        __m512i counted = _mm512_and_si512(_mm512_set1_epi64((long long)(bits & 0xfe)), below);
        __m512i place = _mm512_popcnt_epi64(counted);
        _mm512_storeu_si512(values + first,
                            _mm512_permutexvar_epi64(place, _mm512_loadu_si512(begin)));
        run += __builtin_popcountll(bits);
    }
}

// Eight values take as many bytes as one has bits: they always begin at a byte, and lie alike.
INLINE void unpack_eights(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                          uint64_t divisor, int64_t *values, enum scaling scaling)
{
    const __m512i places = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    __m512i bits = _mm512_mullo_epi64(places, _mm512_set1_epi64(width));
    __m512i firsts = _mm512_srli_epi64(bits, 3);
    __m512i bytes =
        _mm512_shuffle_epi8(firsts, _mm512_set_epi64(0x0808080808080808, 0, 0x0808080808080808, 0,
                                                     0x0808080808080808, 0, 0x0808080808080808, 0));
    bytes = _mm512_add_epi8(bytes, _mm512_set1_epi64(0x0706050403020100));
    __m512i shifts = _mm512_and_si512(bits, _mm512_set1_epi64(7));
    __m512i mask = _mm512_set1_epi64((long long)(((uint64_t)1 << width) - 1));
    __m512i bases = _mm512_set1_epi64((long long)base);
    __m512i divisors = _mm512_set1_epi64((long long)divisor);
    for (size_t i = 0; i < count; i += 8, packed += width) {
        __m512i value = _mm512_permutexvar_epi8(bytes, _mm512_loadu_si512(packed));
        value = _mm512_and_si512(_mm512_srlv_epi64(value, shifts), mask);
        _mm512_storeu_si512(values + i, scale_add(bases, value, divisors, scaling));
    }
}

static void avx512_unpack_plain(const uint8_t *packed, size_t count, unsigned width, uint64_t base,
                                uint64_t divisor, int64_t *values)
{
    if (width > 56) { // a value may lie in nine bytes
        loop_unpack_plain(packed, count, width, base, divisor, values);
        return;
    }
    switch (scaling_of(width, divisor)) {
    case SCALE_NONE:
        unpack_eights(packed, count, width, base, divisor, values, SCALE_NONE);
        break;
    case SCALE_SHORT:
        unpack_eights(packed, count, width, base, divisor, values, SCALE_SHORT);
        break;
    case SCALE_LONG:
        unpack_eights(packed, count, width, base, divisor, values, SCALE_LONG);
        break;
    }
}

static void avx512_look_up(const int64_t *table, unsigned width, size_t count, int64_t *values)
{
    const __m512i mask = _mm512_set1_epi64((long long)(((uint64_t)1 << width) - 1));
    if (width > 4) {
        for (size_t i = 0; i < count; i += 8) {
            __m512i code = _mm512_and_si512(_mm512_loadu_si512(values + i), mask);
            _mm512_storeu_si512(values + i, _mm512_i64gather_epi64(code, table, 8));
        }
        return;
    }
    __m512i low = _mm512_loadu_si512(table);
    __m512i high = _mm512_loadu_si512(table + 8);
    for (size_t i = 0; i < count; i += 8) {
        __m512i code = _mm512_and_si512(_mm512_loadu_si512(values + i), mask);
        _mm512_storeu_si512(values + i, _mm512_permutex2var_epi64(low, code, high));
    }
}

static void avx512_pick(const int64_t *values, const int32_t *places, size_t count, int64_t *picked)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        __m256i place = _mm256_loadu_si256((const __m256i *)(places + i));
        _mm512_storeu_si512(picked + i, _mm512_i32gather_epi64(place, values, 8));
    }
    loop_pick(values, places + i, count - i, picked + i);
}

static void avx512_sum_up(uint64_t base, size_t count, int64_t *values)
{
    const __m512i last = _mm512_set1_epi64(7);
    __m512i sum = _mm512_set1_epi64((long long)base);
    for (size_t i = 0; i < count; i += 8) {
        __m512i value = prefix_sums(_mm512_loadu_si512(values + i));
        _mm512_storeu_si512(values + i, _mm512_add_epi64(value, sum));
        sum = _mm512_add_epi64(sum, _mm512_permutexvar_epi64(last, value));
    }
}

static size_t avx512_count_up_to(const int64_t *values, size_t count, int64_t most)
{
    const __m512i limit = _mm512_set1_epi64(most);
    size_t i = 0;
    for (; count - i >= 16; i += 16) {
        __mmask8 low = _mm512_cmple_epi64_mask(_mm512_loadu_si512(values + i), limit);
        __mmask8 high = _mm512_cmple_epi64_mask(_mm512_loadu_si512(values + i + 8), limit);
        unsigned both = low | (unsigned)high << 8;
        if (both != 0xffff) {
            return i + (size_t)__builtin_popcount(both);
        }
    }
    for (; i < count; i += 8) {
        __mmask8 rows = (__mmask8)(count - i < 8 ? (1u << (count - i)) - 1 : 0xff);
        __m512i value = _mm512_maskz_loadu_epi64(rows, values + i);
        __mmask8 fit = _mm512_mask_cmple_epi64_mask(rows, value, limit);
        if (fit != rows) {
            return i + (size_t)__builtin_popcount(fit);
        }
    }
    return count;
}

struct trade_vectors {
    __m512i low, high, quantity, product_low, product_high;
};

INLINE void add_trades(struct trade_vectors *sums, __mmask8 rows, const int64_t *prices,
                       const int64_t *quantities)
{
    __m512i price = _mm512_maskz_loadu_epi64(rows, prices);
    __m512i quantity = _mm512_maskz_loadu_epi64(rows, quantities);
    sums->low = _mm512_mask_min_epi64(sums->low, rows, sums->low, price);
    sums->high = _mm512_max_epi64(sums->high, price); // none is below 0
    sums->quantity = _mm512_add_epi64(sums->quantity, quantity);
    sums->product_low = _mm512_madd52lo_epu64(sums->product_low, price, quantity);
    sums->product_high = _mm512_madd52hi_epu64(sums->product_high, price, quantity);
}

static void avx512_trade_sums(const int64_t *prices, const int64_t *quantities, size_t count,
                              struct k2_trade_sums *sums)
{
    const __m512i zero = _mm512_setzero_si512();
    struct trade_vectors vectors = {_mm512_set1_epi64(INT64_MAX), zero, zero, zero, zero};
    size_t i = 0;
    for (; count - i >= 8; i += 8) {
        add_trades(&vectors, 0xff, prices + i, quantities + i);
    }
    if (i < count) {
        add_trades(&vectors, (__mmask8)((1u << (count - i)) - 1), prices + i, quantities + i);
    }
    sums->low = _mm512_reduce_min_epi64(vectors.low);
    sums->high = _mm512_reduce_max_epi64(vectors.high);
    sums->quantity = add_up(vectors.quantity);
    sums->product_low = add_up(vectors.product_low);
    sums->product_high = add_up(vectors.product_high);
}

_Static_assert(sizeof(struct k2_slice) == 2 * sizeof(uint64_t), "texts are pairs of words");

static bool avx512_look_up_texts(const struct k2_slice *table, size_t table_count,
                                 const int64_t *codes, size_t count, struct k2_slice *texts)
{
    if (table_count > 8) {
        return loop_look_up_texts(table, table_count, codes, count, texts);
    }
    const __m512i firsts = _mm512_set_epi64(3, 3, 2, 2, 1, 1, 0, 0);
    const __m512i seconds = _mm512_set_epi64(7, 7, 6, 6, 5, 5, 4, 4);
    const __m512i halves = _mm512_set_epi64(1, 0, 1, 0, 1, 0, 1, 0);
    const __m512i most = _mm512_set1_epi64((long long)table_count - 1);
    __m512i low = _mm512_loadu_si512(table);
    __m512i high = _mm512_loadu_si512(table + 4);
    __mmask8 wrong = 0;
    for (size_t i = 0; i < count; i += 8) {
        __m512i code = _mm512_loadu_si512(codes + i);
        __mmask8 rows = (__mmask8)(count - i < 8 ? (1u << (count - i)) - 1 : 0xff);
        wrong |= _mm512_mask_cmpgt_epu64_mask(rows, code, most);
        code = _mm512_slli_epi64(code, 1);
        __m512i first = _mm512_or_si512(_mm512_permutexvar_epi64(firsts, code), halves);
        __m512i second = _mm512_or_si512(_mm512_permutexvar_epi64(seconds, code), halves);
        _mm512_storeu_si512(texts + i, _mm512_permutex2var_epi64(low, first, high));
        _mm512_storeu_si512(texts + i + 4, _mm512_permutex2var_epi64(low, second, high));
    }
    return wrong == 0;
}

static uint64_t avx512_sum_packed(const uint8_t *packed, size_t count, unsigned width)
{
    struct row_reader reader = open_rows(packed, count, width, 1);
    __m512i low = _mm512_setzero_si512();
    __m512i high = low;
    size_t bit = 0;
    for (size_t i = 0; i < count; i += K2_BITPACK_LANES, bit += width) {
        low = _mm512_add_epi64(low, read_half(&reader, bit, 0));
        high = _mm512_add_epi64(high, read_half(&reader, bit, 1));
    }
    return add_up(_mm512_add_epi64(low, high));
}

const struct k2_bitpack_kernels k2_bitpack_avx512 = {
    .name = "avx512",
    .pack = avx512_pack,
    .unpack = avx512_unpack,
    .unpack_sum = avx512_unpack_sum,
    .sum_packed = avx512_sum_packed,
    .sum = loop_sum,
    .unpack_plain = avx512_unpack_plain,
    .sum_up = avx512_sum_up,
    .count_up_to = avx512_count_up_to,
    .trade_sums = avx512_trade_sums,
    .look_up_texts = avx512_look_up_texts,
    .count_up = avx512_count_up,
    .add = avx512_add,
    .add_ordinals = avx512_add_ordinals,
    .spread = avx512_spread,
    .look_up = avx512_look_up,
    .pick = avx512_pick,
    .range = loop_range,
    .divide = loop_divide,
    .delta_range = loop_delta_range,
    .bins = k2_bins_avx512,
    .bins_put = k2_bins_put_avx512,
};

#else // a machine without AVX-512: the name stays, for the table of instruction sets

bool k2_bitpack_avx512_usable(void)
{
    return false;
}

const struct k2_bitpack_kernels k2_bitpack_avx512 = {.name = "avx512"};

#endif
