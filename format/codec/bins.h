// BINS: each value of a block lies in one of up to 16 bins (base, width). A tree of bitmaps, shaped
// by how many values the bins have, says in which; then come the offsets from the bases, each as
// wide as its bin. So one block can hold a few popular values, many near ones and some far away.
// SEGMENT.md has the bytes.
#pragma once

#include "format/base/buffer.h"
#include "format/codec/bitpack.h"

enum {
    K2_BINS_MOST = 16,
    K2_BINS_NODES_MOST = K2_BINS_MOST - 1, // inner nodes of the tree
    K2_BINS_WIDTH_MOST = 56,               // so that an offset lies in 8 bytes from any bit
    K2_BINS_LEAF = 16,                     // added to the number of a bin
    K2_BINS_PADDING_BYTES = 576,           // readable behind the bits that kernels get
};

// Inner nodes and bins are numbered breadth first, side 0 before side 1.
struct k2_bins_tree {
    unsigned bin_count;
    uint8_t root_table; // of the bitmap of the root; 0: it stands there as it is
    uint8_t children[K2_BINS_NODES_MOST][2]; // an inner node, or K2_BINS_LEAF + a bin
    uint8_t widths[K2_BINS_MOST];
    uint64_t bases[K2_BINS_MOST]; // of no meaning behind the last bin, as widths
};

// What becomes of the values of bins: base + divisor * value, or, with `sums`, base + divisor * the
// sum of the values up to it.
struct k2_bins_scale {
    uint64_t base, divisor;
    bool sums;
    size_t first_row, end_row; // values of other rows need not be right
};

// The bins that were chosen for the values of a block.
struct k2_bins_plan {
    struct k2_bins_tree tree;
    uint8_t shifts[K2_BINS_MOST];         // base = mantissa << shift,
    uint8_t mantissa_sizes[K2_BINS_MOST]; // of 1 << this bytes
    int64_t least[K2_BINS_MOST];          // of the bins in the order of values
    uint8_t bin_of[K2_BINS_MOST];         // and their numbers
    uint32_t bitmap_bits, offset_bits;
    size_t size_bytes; // SIZE_MAX: not for this block
};

// The bitmap of the root may stand as 256 numbers, of rows i, i + 256, i + 512 and i + 768 each, in
// bitmaps of one of 4 trees, which suit the rarer the rows of side 1 are. The tree of `table` 1..4;
// its bins are the numbers.
enum { K2_BINS_ROOT_TABLES = 4, K2_BINS_ROOT_ROWS = K2_BITPACK_VALUES / 4 };
const struct k2_bins_tree *k2_bins_root_tree(unsigned table);

// `values` are taken as signed; count 1..1024. `with_tables`: the root may have one.
void k2_bins_choose(struct k2_bins_plan *plan, const uint64_t *values, size_t count,
                    bool with_tables);

// Appends plan->size_bytes bytes.
void k2_bins_encode(const struct k2_bins_plan *plan, const uint64_t *values, size_t count,
                    struct k2_buffer *out);

// Reads the values into `values`, which has room for 64 more; false for bytes that lead outside.
// Behind the payload `spare_bytes` more may be read, which change nothing: with less than
// K2_BINS_PADDING_BYTES of them it is copied first.
bool k2_bins_decode(struct k2_slice payload, size_t spare_bytes, size_t count,
                    const struct k2_bins_scale *scale, uint64_t *values);

// The kernels. `bits` are bitmaps and offsets, `size_bytes` of them, and K2_BINS_PADDING_BYTES
// more that may be read. False when the tree asks for more than there is.
typedef bool k2_bins_kernel(const struct k2_bins_tree *tree, const struct k2_bins_scale *scale,
                            const uint8_t *bits, size_t size_bytes, size_t count, uint64_t *values);
k2_bins_kernel k2_bins_scalar;
k2_bins_kernel k2_bins_avx2;
k2_bins_kernel k2_bins_avx512;

// The first half of encoding: in which bin each value lies, and the bitmaps at `bits`, that of the
// root as it is.
typedef void k2_bins_put_kernel(const struct k2_bins_plan *plan, const uint64_t *values,
                                size_t count, uint8_t *bins, uint8_t *bits);
k2_bins_put_kernel k2_bins_put_scalar;
k2_bins_put_kernel k2_bins_put_avx2;
k2_bins_put_kernel k2_bins_put_avx512;
