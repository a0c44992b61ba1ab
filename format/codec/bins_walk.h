// The trees of BINS on machines with AVX2 and BMI2, for the kernel files that are compiled for
// them: read and written a node at a time, 64 rows in a word, as masks.
#pragma once

#include <immintrin.h>
#include <string.h>

#include "format/codec/bins.h"
#include "format/codec/bins_bits.h"

enum {
    K2_BINS_PLANES = 4, // bits of a bin's number
    K2_BINS_WORDS = K2_BITPACK_VALUES / 64,
};

struct k2_bins_walk {
    _Alignas(64) uint64_t planes[K2_BINS_PLANES][K2_BINS_WORDS]; // bit k of the rows' bins
    // The rows that come to an inner node or, from K2_BINS_LEAF on, to a bin.
    _Alignas(64) uint64_t masks[K2_BINS_LEAF + K2_BINS_MOST][K2_BINS_WORDS];
};

static inline uint64_t k2_bins_load_word(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value); // these machines are little-endian
    return value;
}

// 64 bits from any bit on; reads 9 bytes. In two steps, so that no shift is by 64.
static inline uint64_t k2_bins_load_bits(const uint8_t *bytes, size_t bit)
{
    uint64_t word = k2_bins_load_word(bytes + bit / 8) >> bit % 8;
    return word | (uint64_t)bytes[bit / 8 + 8] << 1 << (63 - bit % 8);
}

// The bits of a bin's number are collected from the bins that have them.
static inline void k2_bins_collect(struct k2_bins_walk *walk)
{
    uint64_t(*bins)[K2_BINS_WORDS] = walk->masks + K2_BINS_LEAF;
    for (size_t i = 0; i < K2_BINS_WORDS; i++) {
        uint64_t twelve_up = bins[12][i] | bins[13][i] | bins[14][i] | bins[15][i];
        uint64_t odd_low = bins[1][i] | bins[3][i] | bins[5][i] | bins[7][i];
        uint64_t two_low = bins[2][i] | bins[3][i] | bins[6][i] | bins[7][i];
        walk->planes[0][i] = odd_low | bins[9][i] | bins[11][i] | bins[13][i] | bins[15][i];
        walk->planes[1][i] = two_low | bins[10][i] | bins[11][i] | bins[14][i] | bins[15][i];
        walk->planes[2][i] = bins[4][i] | bins[5][i] | bins[6][i] | bins[7][i] | twelve_up;
        walk->planes[3][i] = bins[8][i] | bins[9][i] | bins[10][i] | bins[11][i] | twelve_up;
    }
}

// From the root's bitmap on; the bitmaps of the other nodes begin at `bit`. Gives the bit at which
// they end, or SIZE_MAX when that is behind `size_bytes`. A node reads up to 137 bytes behind where
// it begins before that is found.
static inline size_t k2_bins_walk_from(const struct k2_bins_tree *tree, const uint64_t *root,
                                       const uint8_t *bits, size_t bit, size_t size_bytes,
                                       size_t count, struct k2_bins_walk *walk)
{
    size_t words = (count + 63) / 64;
    uint64_t *zeros = walk->masks[tree->children[0][0]];
    uint64_t *ones = walk->masks[tree->children[0][1]];
    for (size_t i = 0; i < words; i++) {
        size_t rows = count - i * 64;
        uint64_t mask = rows < 64 ? ((uint64_t)1 << rows) - 1 : UINT64_MAX;
        walk->masks[0][i] = mask;
        zeros[i] = mask & ~root[i];
        ones[i] = mask & root[i];
    }
    // Bins that are not there have no rows.
    memset(walk->masks[K2_BINS_LEAF + tree->bin_count], 0,
           (K2_BINS_MOST - tree->bin_count) * sizeof walk->masks[0]);
    if (bit > size_bytes * 8) {
        return SIZE_MAX;
    }
    for (unsigned node = 1; node + 1 < tree->bin_count; node++) {
        const uint64_t *masks = walk->masks[node];
        zeros = walk->masks[tree->children[node][0]];
        ones = walk->masks[tree->children[node][1]];
        for (size_t i = 0; i < words; i++) {
            uint64_t mask = masks[i];
            uint64_t one = _pdep_u64(k2_bins_load_bits(bits, bit), mask);
            bit += (size_t)__builtin_popcountll(mask);
            zeros[i] = _andn_u64(one, mask);
            ones[i] = one;
        }
        if (bit > size_bytes * 8) {
            return SIZE_MAX;
        }
    }
    k2_bins_collect(walk);
    return bit;
}

// Reads the root's bitmap by its table; gives the bits that it took, or SIZE_MAX.
static inline size_t k2_bins_read_root(unsigned table, const uint8_t *bits, size_t size_bytes,
                                       uint64_t *root, struct k2_bins_walk *walk)
{
    enum { WORDS = K2_BINS_ROOT_ROWS / 64 };
    const struct k2_bins_tree *tree = k2_bins_root_tree(table);
    memcpy(root, bits, WORDS * sizeof *root);
    size_t bit =
        k2_bins_walk_from(tree, root, bits, K2_BINS_ROOT_ROWS, size_bytes, K2_BINS_ROOT_ROWS, walk);
    for (size_t i = 0; i < K2_BINS_WORDS; i++) {
        root[i] = walk->planes[i / WORDS][i % WORDS];
    }
    return bit;
}

// Gives the bytes of the bitmaps, or SIZE_MAX when they would pass `size_bytes`.
static inline size_t k2_bins_walk_tree(const struct k2_bins_tree *tree, const uint8_t *bits,
                                       size_t size_bytes, size_t count, struct k2_bins_walk *walk)
{
    uint64_t root[K2_BINS_WORDS];
    size_t bit = count;
    if (count < K2_BITPACK_VALUES || tree->root_table != 0) {
        memset(walk, 0, sizeof *walk); // only a part of the words is written
    }
    if (tree->root_table != 0) {
        bit = k2_bins_read_root(tree->root_table, bits, size_bytes, root, walk);
        if (bit == SIZE_MAX) {
            return SIZE_MAX;
        }
    } else {
        memcpy(root, bits, sizeof root); // these machines are little-endian
    }
    bit = k2_bins_walk_from(tree, root, bits, bit, size_bytes, count, walk);
    return bit == SIZE_MAX ? SIZE_MAX : (bit + 7) / 8;
}

// The bits of the offsets of the rows in the first `words` words.
static inline size_t k2_bins_bits_before(const struct k2_bins_tree *tree,
                                         const struct k2_bins_walk *walk, size_t words)
{
    size_t bits = 0;
    for (unsigned bin = 0; bin < tree->bin_count && words > 0; bin++) {
        size_t rows = 0;
        for (size_t i = 0; i < words; i++) {
            rows += (size_t)__builtin_popcountll(walk->masks[K2_BINS_LEAF + bin][i]);
        }
        bits += rows * tree->widths[bin];
    }
    return bits;
}

// The bitmaps of `bins`, which has room for whole words of 64 rows.
static inline void k2_bins_put_bitmaps(const struct k2_bins_tree *tree, const uint8_t *bins,
                                       size_t count, uint8_t *bits)
{
    uint64_t masks[K2_BINS_LEAF + K2_BINS_MOST][K2_BINS_WORDS];
    struct k2_bit_writer writer = {.out = bits};
    size_t words = (count + 63) / 64;
    for (size_t i = 0; i < words; i++) {
        size_t rows = count - i * 64;
        uint64_t valid = rows < 64 ? ((uint64_t)1 << rows) - 1 : UINT64_MAX;
        __m256i low = _mm256_loadu_si256((const void *)(bins + i * 64));
        __m256i high = _mm256_loadu_si256((const void *)(bins + i * 64 + 32));
        for (unsigned bin = 0; bin < tree->bin_count; bin++) {
            __m256i number = _mm256_set1_epi8((char)bin);
            uint64_t in_low = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, number));
            uint64_t in_high = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, number));
            masks[K2_BINS_LEAF + bin][i] = (in_low | in_high << 32) & valid;
        }
    }
    // Children are numbered behind their parents.
    for (unsigned node = tree->bin_count - 1; node-- > 0;) {
        const uint8_t *children = tree->children[node];
        for (size_t i = 0; i < words; i++) {
            masks[node][i] = masks[children[0]][i] | masks[children[1]][i];
        }
    }
    for (unsigned node = 0; node + 1 < tree->bin_count; node++) {
        const uint64_t *ones = masks[tree->children[node][1]];
        for (size_t i = 0; i < words; i++) {
            uint64_t mask = masks[node][i];
            unsigned width = (unsigned)__builtin_popcountll(mask);
            if (width > 0) {
                k2_bits_put(&writer, _pext_u64(ones[i], mask), width);
            }
        }
    }
    k2_bits_flush(&writer);
}
