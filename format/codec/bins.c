#include "format/codec/bins.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "format/codec/bins_bits.h"
#include "format/codec/codec_table.h"

enum {
    SHIFT_AT = 6, // of a bin's entry: width, shift, size of the mantissa
    SIZE_AT = 12,
    TABLE_AT = 5, // of the first byte: bins, table of the root
    BITS_BYTES_MOST =
        K2_BINS_NODES_MOST * K2_BITPACK_VALUES / 8 + K2_BITPACK_VALUES * K2_BINS_WIDTH_MOST / 8,
};

static uint64_t load_word(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return le64toh(value);
}

// Encoding

static void put_table(const struct k2_bins_plan *plan, struct k2_buffer *out)
{
    const struct k2_bins_tree *tree = &plan->tree;
    uint32_t topology = 0;
    for (unsigned node = 0; node + 1 < tree->bin_count; node++) {
        for (unsigned side = 0; side < 2; side++) {
            uint32_t leaf = tree->children[node][side] >= K2_BINS_LEAF;
            topology |= leaf << (2 * node + side);
        }
    }
    k2_put_u8(out, (uint8_t)(tree->bin_count | (unsigned)tree->root_table << TABLE_AT));
    k2_put_u32(out, topology);
    for (unsigned bin = 0; bin < tree->bin_count; bin++) {
        k2_put_u16(out, (uint16_t)(tree->widths[bin] | plan->shifts[bin] << SHIFT_AT |
                                   plan->mantissa_sizes[bin] << SIZE_AT));
    }
    for (unsigned bin = 0; bin < tree->bin_count; bin++) {
        uint64_t mantissa = htole64((uint64_t)((int64_t)tree->bases[bin] >> plan->shifts[bin]));
        k2_put_bytes(out, &mantissa, (size_t)1 << plan->mantissa_sizes[bin]);
    }
}

static void classify(const struct k2_bins_plan *plan, const uint64_t *values, size_t count,
                     uint8_t *bins)
{
    uint8_t places[K2_BITPACK_VALUES] = {0};
    for (unsigned i = 1; i < plan->tree.bin_count; i++) {
        int64_t least = plan->least[i];
        for (size_t row = 0; row < count; row++) {
            places[row] = (uint8_t)(places[row] + ((int64_t)values[row] >= least));
        }
    }
    for (size_t row = 0; row < count; row++) {
        bins[row] = plan->bin_of[places[row]];
    }
}

// The bitmaps one after the other, without a gap; gives their bits.
static uint32_t put_bitmaps(const struct k2_bins_tree *tree, const uint8_t *bins, size_t count,
                            struct k2_bit_writer *writer)
{
    struct path {
        uint8_t length;
        uint8_t nodes[K2_BINS_NODES_MOST], sides[K2_BINS_NODES_MOST];
    } paths[2 * K2_BINS_MOST] = {0}; // of nodes, then of bins
    uint64_t words[K2_BINS_NODES_MOST][K2_BITPACK_VALUES / 64] = {{0}};
    uint32_t sizes[K2_BINS_NODES_MOST] = {0};
    unsigned node_count = tree->bin_count - 1;
    uint32_t bits = 0;
    for (unsigned node = 0; node < node_count; node++) {
        for (uint8_t side = 0; side < 2; side++) {
            struct path *path = &paths[tree->children[node][side]];
            *path = paths[node];
            path->nodes[path->length] = (uint8_t)node;
            path->sides[path->length++] = side;
        }
    }
    for (size_t row = 0; row < count; row++) {
        const struct path *path = &paths[K2_BINS_LEAF + bins[row]];
        for (unsigned i = 0; i < path->length; i++) {
            unsigned node = path->nodes[i];
            uint32_t at = sizes[node]++;
            words[node][at / 64] |= (uint64_t)path->sides[i] << at % 64;
        }
    }
    for (unsigned node = 0; node < node_count; node++) {
        for (uint32_t at = 0; at < sizes[node]; at += 64) {
            uint32_t rest = sizes[node] - at;
            k2_bits_put(writer, words[node][at / 64], rest < 64 ? rest : 64);
        }
        bits += sizes[node];
    }
    return bits;
}

void k2_bins_put_scalar(const struct k2_bins_plan *plan, const uint64_t *values, size_t count,
                        uint8_t *bins, uint8_t *bits)
{
    struct k2_bit_writer writer = {.out = bits};
    classify(plan, values, count, bins);
    (void)put_bitmaps(&plan->tree, bins, count, &writer);
    k2_bits_flush(&writer);
}

// `bitmaps` with the numbers of a table in place of the root's, which is the first of them.
static void put_with_table(const struct k2_bins_plan *plan, const uint8_t *bitmaps, uint8_t *bits)
{
    struct k2_bit_writer writer = {.out = bits};
    const struct k2_bins_tree *table = k2_bins_root_tree(plan->tree.root_table);
    uint8_t numbers[K2_BINS_ROOT_ROWS];
    for (size_t row = 0; row < K2_BINS_ROOT_ROWS; row++) {
        numbers[row] = (uint8_t)k2_bins_root_number(bitmaps, row);
    }
    uint32_t rest = plan->bitmap_bits - put_bitmaps(table, numbers, K2_BINS_ROOT_ROWS, &writer);
    bitmaps += K2_BITPACK_VALUES / 8;
    for (; rest >= 64; rest -= 64, bitmaps += 8) {
        k2_bits_put(&writer, load_word(bitmaps), 64);
    }
    for (; rest > 0; bitmaps++) {
        unsigned width = rest < 8 ? rest : 8;
        k2_bits_put(&writer, *bitmaps & ((1u << width) - 1), width);
        rest -= width;
    }
    k2_bits_flush(&writer);
}

void k2_bins_encode(const struct k2_bins_plan *plan, const uint64_t *values, size_t count,
                    struct k2_buffer *out)
{
    uint8_t bins[K2_BITPACK_VALUES];
    size_t begin = out->size_bytes;
    put_table(plan, out);
    uint8_t *bits =
        k2_buffer_extend(out, (plan->bitmap_bits + 7) / 8 + (plan->offset_bits + 7) / 8);
    if (bits == NULL) {
        return;
    }
    if (plan->tree.root_table == 0) {
        k2_bitpack_selected()->bins_put(plan, values, count, bins, bits);
    } else {
        uint8_t bitmaps[K2_BINS_BITMAP_BYTES_MOST];
        k2_bitpack_selected()->bins_put(plan, values, count, bins, bitmaps);
        put_with_table(plan, bitmaps, bits);
    }
    struct k2_bit_writer writer = {.out = bits + (plan->bitmap_bits + 7) / 8};
    for (size_t row = 0; row < count; row++) {
        k2_bits_put(&writer, values[row] - plan->tree.bases[bins[row]],
                    plan->tree.widths[bins[row]]);
    }
    k2_bits_flush(&writer);
    assert(out->failed || out->size_bytes - begin == plan->size_bytes);
}

// Decoding

// Bits up to 64 from any bit; reads 9 bytes.
static uint64_t load_bits(const uint8_t *bytes, uint32_t bit)
{
    uint64_t word = load_word(bytes + bit / 8) >> bit % 8;
    return bit % 8 == 0 ? word : word | (uint64_t)bytes[bit / 8 + 8] << (64 - bit % 8);
}

static uint32_t count_ones(const uint8_t *bytes, uint32_t bit, uint32_t count)
{
    uint32_t ones = 0;
    for (; count >= 64; count -= 64, bit += 64) {
        ones += (uint32_t)__builtin_popcountll(load_bits(bytes, bit));
    }
    if (count > 0) {
        uint64_t mask = ((uint64_t)1 << count) - 1;
        ones += (uint32_t)__builtin_popcountll(load_bits(bytes, bit) & mask);
    }
    return ones;
}

// Numbers the children of each node; false when nodes and bins are not one tree.
static bool read_topology(struct k2_bins_tree *tree, uint32_t topology)
{
    unsigned node_count = tree->bin_count - 1;
    unsigned nodes = 1;
    unsigned bins = 0;
    for (unsigned node = 0; node < node_count; node++) {
        for (unsigned side = 0; side < 2; side++) {
            bool leaf = (topology >> (2 * node + side) & 1) != 0;
            if (leaf ? bins == tree->bin_count : nodes == node_count) {
                return false;
            }
            tree->children[node][side] = (uint8_t)(leaf ? K2_BINS_LEAF + bins++ : nodes++);
        }
        if (nodes == node + 1 && node + 1 < node_count) {
            return false; // the next node has no parent
        }
    }
    return bins == tree->bin_count;
}

// A child below 16 is a node, 16 + n is number n.
// clang-format off
static const struct k2_bins_tree root_trees[K2_BINS_ROOT_TABLES] = {
    {.bin_count = K2_BINS_MOST,
     .children = {{1, 2}, {16, 3}, {4, 5}, {6, 7}, {24, 20}, {18, 17}, {8, 9}, {10, 11},
                  {28, 26}, {25, 22}, {21, 19}, {12, 13}, {14, 30}, {29, 27}, {23, 31}}},
    {.bin_count = K2_BINS_MOST,
     .children = {{1, 16}, {2, 3}, {4, 5}, {6, 24}, {20, 18}, {17, 7}, {8, 9}, {10, 11},
                  {28, 26}, {25, 22}, {21, 19}, {12, 13}, {14, 30}, {29, 27}, {23, 31}}},
    {.bin_count = K2_BINS_MOST,
     .children = {{1, 16}, {2, 3}, {4, 5}, {24, 20}, {18, 17}, {6, 7}, {8, 9}, {10, 28},
                  {26, 25}, {22, 21}, {19, 11}, {12, 13}, {14, 30}, {29, 27}, {23, 31}}},
    {.bin_count = K2_BINS_MOST,
     .children = {{16, 1}, {2, 3}, {4, 24}, {20, 18}, {17, 5}, {6, 7}, {8, 9}, {10, 28},
                  {26, 25}, {22, 21}, {19, 11}, {12, 13}, {14, 30}, {29, 27}, {23, 31}}},
};
// clang-format on

const struct k2_bins_tree *k2_bins_root_tree(unsigned table)
{
    return &root_trees[table - 1];
}

static bool read_bins(struct k2_bins_tree *tree, struct k2_byte_reader *reader)
{
    uint16_t entries[K2_BINS_MOST];
    for (unsigned bin = 0; bin < tree->bin_count; bin++) {
        entries[bin] = k2_read_u16(reader);
    }
    for (unsigned bin = 0; bin < tree->bin_count; bin++) {
        size_t size = (size_t)1 << (entries[bin] >> SIZE_AT & 3);
        uint64_t mantissa;
        if (reader->rest.size_bytes >=
            sizeof mantissa) { // some bytes too many, which are shifted out
            mantissa = load_word(reader->rest.data);
            (void)k2_read_bytes(reader, size);
        } else {
            mantissa = k2_read_fixed(reader, size);
        }
        unsigned unused = 64 - 8 * (unsigned)size;
        mantissa = (uint64_t)((int64_t)(mantissa << unused) >> unused);
        tree->bases[bin] = mantissa << (entries[bin] >> SHIFT_AT & 63);
        tree->widths[bin] = entries[bin] & 63;
        if (tree->widths[bin] > K2_BINS_WIDTH_MOST) {
            return false;
        }
    }
    return !reader->truncated;
}

bool k2_bins_decode(struct k2_slice payload, size_t spare_bytes, size_t count,
                    const struct k2_bins_scale *scale, uint64_t *values)
{
    struct k2_bins_tree tree = {0};
    struct k2_byte_reader reader = {.rest = payload};
    unsigned first = k2_read_u8(&reader);
    tree.bin_count = first & ((1 << TABLE_AT) - 1);
    tree.root_table = (uint8_t)(first >> TABLE_AT);
    uint32_t topology = k2_read_u32(&reader);
    if (reader.truncated || tree.bin_count < 2 || tree.bin_count > K2_BINS_MOST ||
        (tree.root_table != 0 && count != K2_BITPACK_VALUES) ||
        tree.root_table > K2_BINS_ROOT_TABLES || !read_topology(&tree, topology) ||
        !read_bins(&tree, &reader)) {
        return false;
    }
    k2_bins_kernel *kernel = k2_bitpack_selected()->bins;
    size_t size =
        reader.rest.size_bytes < BITS_BYTES_MOST ? reader.rest.size_bytes : (size_t)BITS_BYTES_MOST;
    // Kernels of vectors take each bitmap once. The scalar one counts its bits before it reads
    // them, so it needs bytes that stay as they were counted whatever happens to a mapping.
    if (kernel != k2_bins_scalar && spare_bytes >= K2_BINS_PADDING_BYTES) {
        return kernel(&tree, scale, reader.rest.data, size, count, values);
    }
    uint8_t bits[BITS_BYTES_MOST + K2_BINS_PADDING_BYTES];
    memcpy(bits, reader.rest.data, size);
    memset(bits + size, 0, K2_BINS_PADDING_BYTES);
    return kernel(&tree, scale, bits, size, count, values);
}

// Rows on the way through a tree.
struct walk {
    const uint8_t *root, *bits; // the bitmap of the root, those of the other nodes
    uint32_t places[K2_BINS_NODES_MOST];
    uint32_t counts[K2_BINS_LEAF + K2_BINS_MOST];
    uint32_t end_bit; // of the bitmaps
};

// Where each bitmap begins. The root's stands at the beginning of `bits`, and has `root_bits`
// there, unless `root` has it already.
static bool open_walk(struct walk *walk, const struct k2_bins_tree *tree, const uint8_t *root,
                      uint32_t root_bits, const uint8_t *bits, size_t size, size_t count)
{
    uint32_t bit = root_bits;
    walk->root = root;
    walk->bits = bits;
    walk->counts[0] = (uint32_t)count;
    for (unsigned node = 0; node + 1 < tree->bin_count; node++) {
        walk->places[node] = node == 0 ? 0 : bit;
        bit += node == 0 ? 0 : walk->counts[node];
        if (bit > size * 8) {
            return false;
        }
        uint32_t rows = walk->counts[node];
        uint32_t ones = count_ones(node == 0 ? root : bits, walk->places[node], rows);
        walk->counts[tree->children[node][0]] = rows - ones;
        walk->counts[tree->children[node][1]] = ones;
    }
    walk->end_bit = bit;
    return true;
}

// The bin of the next row.
static unsigned next_bin(struct walk *walk, const struct k2_bins_tree *tree)
{
    unsigned node = 0;
    while (node < K2_BINS_LEAF) {
        // cppcheck-suppress arrayIndexOutOfBoundsCond; 16 leaves have 15 inner nodes: never 15
        uint32_t at = walk->places[node]++;
        const uint8_t *bitmap = node == 0 ? walk->root : walk->bits;
        // cppcheck-suppress arrayIndexOutOfBoundsCond; the same
        node = tree->children[node][bitmap[at / 8] >> at % 8 & 1];
    }
    return node - K2_BINS_LEAF;
}

// Reads the root's bitmap by its table into `root`; gives the bits that it took, or 0.
static uint32_t read_root(unsigned table, const uint8_t *bits, size_t size, uint8_t *root)
{
    const struct k2_bins_tree *tree = k2_bins_root_tree(table);
    struct walk walk = {0}; // children that are not there have no rows
    if (!open_walk(&walk, tree, bits, K2_BINS_ROOT_ROWS, bits, size, K2_BINS_ROOT_ROWS)) {
        return 0;
    }
    memset(root, 0, K2_BITPACK_VALUES / 8 + 8);
    for (size_t row = 0; row < K2_BINS_ROOT_ROWS; row++) {
        unsigned number = next_bin(&walk, tree);
        for (size_t i = 0; i < 4; i++) {
            size_t at = row + i * K2_BINS_ROOT_ROWS;
            root[at / 8] = (uint8_t)(root[at / 8] | (number >> i & 1) << at % 8);
        }
    }
    return walk.end_bit;
}

bool k2_bins_scalar(const struct k2_bins_tree *tree, const struct k2_bins_scale *scale,
                    const uint8_t *bits, size_t size_bytes, size_t count, uint64_t *values)
{
    uint8_t root[K2_BITPACK_VALUES / 8 + 8]; // filled when the root's bitmap is in a table
    struct walk walk = {0};                  // children that are not there have no rows
    uint32_t root_bits = (uint32_t)count;
    uint64_t offset_bits = 0;
    if (tree->root_table != 0) {
        root_bits = read_root(tree->root_table, bits, size_bytes, root);
    }
    // cppcheck-suppress legacyUninitvar; read_root has filled it where it is taken
    if (root_bits == 0 || !open_walk(&walk, tree, tree->root_table != 0 ? root : bits, root_bits,
                                     bits, size_bytes, count)) {
        return false;
    }
    for (unsigned bin = 0; bin < tree->bin_count; bin++) {
        offset_bits += (uint64_t)walk.counts[K2_BINS_LEAF + bin] * tree->widths[bin];
    }
    size_t bitmap_bytes = (walk.end_bit + 7) / 8;
    if ((offset_bits + 7) / 8 > size_bytes - bitmap_bytes) {
        return false;
    }
    const uint8_t *offsets = bits + bitmap_bytes;
    uint64_t sum = scale->base;
    size_t bit = 0;
    for (size_t row = 0; row < scale->end_row; row++) {
        unsigned bin = next_bin(&walk, tree);
        uint64_t mask = ((uint64_t)1 << tree->widths[bin]) - 1;
        uint64_t offset = load_word(offsets + bit / 8) >> bit % 8 & mask;
        values[row] = sum + scale->divisor * (tree->bases[bin] + offset);
        sum = scale->sums ? values[row] : sum;
        bit += tree->widths[bin];
    }
    return true;
}

// The codecs

static size_t bins_for_size(struct k2_block_plan *plan)
{
    struct k2_bins_plan *bins = &plan->bins[K2_PATCH_VALUES];
    if (plan->max_quotient > INT64_MAX || plan->max_quotient == 0) {
        return SIZE_MAX;
    }
    k2_bins_choose(bins, plan->quotients, plan->count, plan->root_tables);
    return bins->size_bytes;
}

static void bins_for_encode(struct k2_block_plan *plan, struct k2_block_entry *entry,
                            struct k2_buffer *out)
{
    entry->base = plan->min;
    k2_bins_encode(&plan->bins[K2_PATCH_VALUES], plan->quotients, plan->count, out);
}

static size_t bins_delta_size(struct k2_block_plan *plan)
{
    struct k2_bins_plan *bins = &plan->bins[K2_PATCH_DELTAS];
    if (plan->count < 2 || plan->max_quotient == 0) {
        return SIZE_MAX;
    }
    k2_plan_deltas(plan);
    k2_bins_choose(bins, plan->deltas, plan->count, plan->root_tables);
    return bins->size_bytes;
}

static void bins_delta_encode(struct k2_block_plan *plan, struct k2_block_entry *entry,
                              struct k2_buffer *out)
{
    uint64_t first = (uint64_t)plan->min + plan->divisor * plan->quotients[0];
    entry->base = (int64_t)(first - plan->divisor * plan->deltas[0]);
    k2_bins_encode(&plan->bins[K2_PATCH_DELTAS], plan->deltas, plan->count, out);
}

static enum k2_status bins_decode(const struct k2_block_entry *entry, struct k2_slice payload,
                                  int64_t *values, size_t value_count, struct k2_error *error)
{
    struct k2_bins_scale scale = {(uint64_t)entry->base, entry->divisor,
                                  entry->codec == K2_CODEC_BINS_DELTA, entry->first_row,
                                  entry->end_row == 0 ? value_count : entry->end_row};
    assert(scale.first_row < scale.end_row);
    assert(scale.end_row <= value_count);
    if (!k2_bins_decode(payload, entry->spare_bytes, value_count, &scale, (uint64_t *)values)) {
        return k2_fail(error, K2_CORRUPT, "%s block: %zu bytes are not one",
                       k2_codec_name(entry->codec), payload.size_bytes);
    }
    return K2_OK;
}

const struct k2_codec k2_codec_bins_for = {
    .id = K2_CODEC_BINS_FOR,
    .name = "BINS_FOR",
    .size = bins_for_size,
    .encode = bins_for_encode,
    .decode = bins_decode,
};

const struct k2_codec k2_codec_bins_delta = {
    .id = K2_CODEC_BINS_DELTA,
    .name = "BINS_DELTA",
    .size = bins_delta_size,
    .encode = bins_delta_encode,
    .decode = bins_decode,
};
