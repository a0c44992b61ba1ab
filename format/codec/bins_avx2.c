// BINS on machines with AVX2 and BMI2: the tree is walked for 64 rows at a time, as masks.
#include "format/codec/bins.h"

#if defined(__AVX2__) && defined(__BMI2__)

#include <immintrin.h>
#include <string.h>

enum { PLANES = 4 }; // bits of a bin's number

static inline uint64_t load_word(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value); // these machines are little-endian
    return value;
}

static inline uint64_t load_bits(const uint8_t *bytes, uint32_t bit)
{
    uint64_t word = load_word(bytes + bit / 8) >> bit % 8;
    // In two steps, so that no shift is by 64.
    return word | (uint64_t)bytes[bit / 8 + 8] << 1 << (63 - bit % 8);
}

// The bits of the bins' numbers, each for 64 rows.
static inline void walk(const struct k2_bins_tree *tree, const uint8_t *bitmaps, uint32_t *places,
                        uint64_t rows, uint64_t *planes)
{
    uint64_t masks[K2_BINS_NODES_MOST];
    masks[0] = rows;
    planes[0] = planes[1] = planes[2] = planes[3] = 0;
    for (unsigned node = 0; node + 1 < tree->bin_count; node++) {
        uint64_t ones = _pdep_u64(load_bits(bitmaps, places[node]), masks[node]);
        uint64_t sides[2] = {masks[node] & ~ones, ones};
        places[node] += (uint32_t)__builtin_popcountll(masks[node]);
        for (unsigned side = 0; side < 2; side++) {
            unsigned child = tree->children[node][side];
            if (child < K2_BINS_LEAF) {
                masks[child] = sides[side];
                continue;
            }
            for (unsigned plane = 0; plane < PLANES; plane++) {
                planes[plane] |= sides[side] & -(uint64_t)(child >> plane & 1);
            }
        }
    }
}

static inline void number_rows(const uint64_t *planes, uint8_t *bins)
{
    for (unsigned first = 0; first < 64; first += 8) {
        uint64_t eight = _pdep_u64(planes[0] >> first, 0x0101010101010101) |
                         _pdep_u64(planes[1] >> first, 0x0202020202020202) |
                         _pdep_u64(planes[2] >> first, 0x0404040404040404) |
                         _pdep_u64(planes[3] >> first, 0x0808080808080808);
        memcpy(bins + first, &eight, sizeof eight);
    }
}

void k2_bins_avx2(const struct k2_bins_tree *tree, const uint8_t *bitmaps, const uint8_t *offsets,
                  size_t count, uint64_t *values)
{
    uint32_t places[K2_BINS_NODES_MOST];
    uint64_t planes[PLANES];
    uint8_t bins[64];
    size_t bit = 0;
    memcpy(places, tree->starts, (tree->bin_count - 1) * sizeof places[0]);
    for (size_t first = 0; first < count; first += 64) {
        size_t rows = count - first < 64 ? count - first : 64;
        walk(tree, bitmaps, places, rows == 64 ? UINT64_MAX : ((uint64_t)1 << rows) - 1, planes);
        number_rows(planes, bins);
        for (size_t row = 0; row < rows; row++) {
            unsigned width = tree->widths[bins[row]];
            uint64_t word = load_word(offsets + bit / 8) >> bit % 8;
            values[first + row] = tree->bases[bins[row]] + _bzhi_u64(word, width);
            bit += width;
        }
    }
}

#else // never called: k2_bitpack_avx2_usable is false

void k2_bins_avx2(const struct k2_bins_tree *tree, const uint8_t *bitmaps, const uint8_t *offsets,
                  size_t count, uint64_t *values)
{
    k2_bins_scalar(tree, bitmaps, offsets, count, values);
}

#endif
