// BINS on machines with AVX2 and BMI2: the tree as masks of 64 rows, then the offsets one by one.
#include "format/codec/bins.h"

#if defined(__AVX2__) && defined(__BMI2__)

#include "format/codec/bins_walk.h"

static inline void number_rows(const struct k2_bins_walk *walk, size_t word, uint8_t *bins)
{
    for (unsigned first = 0; first < 64; first += 8) {
        uint64_t eight = _pdep_u64(walk->planes[0][word] >> first, 0x0101010101010101) |
                         _pdep_u64(walk->planes[1][word] >> first, 0x0202020202020202) |
                         _pdep_u64(walk->planes[2][word] >> first, 0x0404040404040404) |
                         _pdep_u64(walk->planes[3][word] >> first, 0x0808080808080808);
        memcpy(bins + first, &eight, sizeof eight);
    }
}

bool k2_bins_avx2(const struct k2_bins_tree *tree, const struct k2_bins_scale *scale,
                  const uint8_t *bits, size_t size_bytes, size_t count, uint64_t *values)
{
    struct k2_bins_walk walk;
    uint8_t bins[64];
    uint64_t bases[K2_BINS_MOST];
    size_t bitmap_bytes = k2_bins_walk_tree(tree, bits, size_bytes, count, &walk);
    if (bitmap_bytes == SIZE_MAX) {
        return false;
    }
    for (unsigned bin = 0; bin < K2_BINS_MOST; bin++) {
        bases[bin] = tree->bases[bin] * scale->divisor;
    }
    const uint8_t *offsets = bits + bitmap_bytes;
    size_t passed = scale->sums ? 0 : scale->first_row / 64;
    size_t bit = k2_bins_bits_before(tree, &walk, passed);
    uint64_t sum = scale->base;
    if ((bit + 7) / 8 > size_bytes - bitmap_bytes) {
        return false;
    }
    for (size_t first = passed * 64; first < scale->end_row; first += 64) {
        size_t rows = count - first < 64 ? count - first : 64;
        number_rows(&walk, first / 64, bins);
        for (size_t row = 0; row < rows; row++) {
            unsigned width = tree->widths[bins[row]];
            uint64_t offset = _bzhi_u64(k2_bins_load_word(offsets + bit / 8) >> bit % 8, width);
            uint64_t value = sum + (bases[bins[row]] + scale->divisor * offset);
            sum = scale->sums ? value : sum;
            values[first + row] = value;
            bit += width;
        }
        if ((bit + 7) / 8 > size_bytes - bitmap_bytes) {
            return false;
        }
    }
    return true;
}

// Four values at a time are compared with where each bin begins.
static void classify(const struct k2_bins_plan *plan, const uint64_t *values, size_t count,
                     uint8_t *bins)
{
    for (size_t i = 0; i < count; i += 4) {
        __m256i value = _mm256_loadu_si256((const void *)(values + i));
        __m256i place = _mm256_set1_epi64x(plan->tree.bin_count - 1);
        for (unsigned k = 1; k < plan->tree.bin_count; k++) {
            __m256i least = _mm256_set1_epi64x(plan->least[k]);
            place = _mm256_add_epi64(place, _mm256_cmpgt_epi64(least, value)); // -1 if above
        }
        uint64_t places[4];
        _mm256_storeu_si256((void *)places, place);
        for (size_t k = 0; k < 4; k++) {
            bins[i + k] = plan->bin_of[places[k]];
        }
    }
}

void k2_bins_put_avx2(const struct k2_bins_plan *plan, const uint64_t *values, size_t count,
                      uint8_t *bins, uint8_t *bits)
{
    classify(plan, values, count, bins);
    k2_bins_put_bitmaps(&plan->tree, bins, count, bits);
}

#else // never called: k2_bitpack_avx2_usable is false

bool k2_bins_avx2(const struct k2_bins_tree *tree, const struct k2_bins_scale *scale,
                  const uint8_t *bits, size_t size_bytes, size_t count, uint64_t *values)
{
    return k2_bins_scalar(tree, scale, bits, size_bytes, count, values);
}

void k2_bins_put_avx2(const struct k2_bins_plan *plan, const uint64_t *values, size_t count,
                      uint8_t *bins, uint8_t *bits)
{
    k2_bins_put_scalar(plan, values, count, bins, bits);
}

#endif
