// BINS on machines with AVX2 and BMI2: the tree is walked for 64 rows at a time, as masks.
#include "format/codec/bins.h"

#if defined(__AVX2__) && defined(__BMI2__)

#include <immintrin.h>
#include <string.h>

#include "format/codec/bins_walk.h"

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

// masks[i]: the rows that come to node i or, behind the nodes, to a bin. Without a branch, as the
// shape of the tree can not be foreseen.
static inline void walk_word(const struct k2_bins_tree *tree, const uint8_t *bitmaps,
                             uint32_t *places, uint64_t *masks)
{
    for (unsigned node = 0; node + 1 < tree->bin_count; node++) {
        uint64_t mask = masks[node];
        uint64_t ones = _pdep_u64(load_bits(bitmaps, places[node]), mask);
        places[node] += (uint32_t)__builtin_popcountll(mask);
        masks[tree->children[node][0]] = mask & ~ones;
        masks[tree->children[node][1]] = ones;
    }
}

void k2_bins_walk(const struct k2_bins_tree *tree, const uint8_t *bitmaps, size_t count,
                  uint64_t planes[K2_BINS_WORDS][K2_BINS_PLANES])
{
    uint32_t places[K2_BINS_NODES_MOST];
    uint64_t masks[K2_BINS_LEAF + K2_BINS_MOST] = {0}; // bins that are not there have no rows
    memcpy(places, tree->starts, sizeof places);
    for (size_t word = 0; word * 64 < count; word++) {
        size_t rows = count - word * 64;
        masks[0] = rows < 64 ? ((uint64_t)1 << rows) - 1 : UINT64_MAX;
        walk_word(tree, bitmaps, places, masks);
        const uint64_t *bins = masks + K2_BINS_LEAF;
        uint64_t twelve_up = bins[12] | bins[13] | bins[14] | bins[15];
        planes[word][0] =
            bins[1] | bins[3] | bins[5] | bins[7] | bins[9] | bins[11] | bins[13] | bins[15];
        planes[word][1] =
            bins[2] | bins[3] | bins[6] | bins[7] | bins[10] | bins[11] | bins[14] | bins[15];
        planes[word][2] = bins[4] | bins[5] | bins[6] | bins[7] | twelve_up;
        planes[word][3] = bins[8] | bins[9] | bins[10] | bins[11] | twelve_up;
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
    uint64_t planes[K2_BINS_WORDS][K2_BINS_PLANES];
    uint8_t bins[64];
    size_t bit = 0;
    k2_bins_walk(tree, bitmaps, count, planes);
    for (size_t first = 0; first < count; first += 64) {
        size_t rows = count - first < 64 ? count - first : 64;
        number_rows(planes[first / 64], bins);
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
