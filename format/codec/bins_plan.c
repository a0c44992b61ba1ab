// Chooses the bins of a block: sort, cut into cells, and find the cheapest way to join neighbouring
// cells into bins. Integers only, so that every machine chooses the same.
#include "format/codec/bins.h"

#include <string.h>

#include "format/codec/bins_bits.h"

enum {
    CELLS_MOST = 128,
    POPULAR = 24,      // a value that one row in so many has is a cell of its own
    QUANTILES = 40,    // and a cell has no more rows than one in so many
    BIN_BITS = 34,     // what a bin costs in the table
    COST_SCALE = 256,  // units of a bit
    COUNT_LEAST = 128, // below, the table does not pay
};

struct cells {
    size_t count;
    uint16_t ends[CELLS_MOST]; // of the sorted values
};

// Least significant byte first; a pass over bytes that are all equal is left out.
static const uint64_t *sort(const uint64_t *values, uint64_t bias, size_t count, uint64_t *left,
                            uint64_t *right)
{
    uint64_t differing = 0;
    for (size_t i = 0; i < count; i++) {
        left[i] = values[i] - bias;
        differing |= left[i];
    }
    for (unsigned shift = 0; shift < 64 && differing >> shift != 0; shift += 8) {
        uint16_t places[256] = {0};
        for (size_t i = 0; i < count; i++) {
            places[left[i] >> shift & 255]++;
        }
        uint16_t sum = 0;
        for (size_t i = 0; i < 256; i++) {
            uint16_t here = places[i];
            places[i] = sum;
            sum = (uint16_t)(sum + here);
        }
        for (size_t i = 0; i < count; i++) {
            right[places[left[i] >> shift & 255]++] = left[i];
        }
        uint64_t *swapped = left;
        left = right;
        right = swapped;
    }
    return left;
}

static unsigned octave(uint64_t value)
{
    uint64_t magnitude = (int64_t)value < 0 ? ~value : value;
    return k2_bitpack_width(magnitude) | ((int64_t)value < 0 ? 64u : 0u);
}

// Cells end where a popular value begins or ends, at powers of two, and after enough rows.
static void cut_cells(struct cells *cells, const uint64_t *sorted, uint64_t bias, size_t count)
{
    size_t popular = count / POPULAR + 1;
    size_t quantile = count / QUANTILES + 1;
    size_t begin = 0; // of the cell
    unsigned last_octave = octave(sorted[0] + bias);
    bool last_popular = false;
    cells->count = 0;
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && sorted[end] == sorted[i]) {
            end++;
        }
        bool is_popular = end - i >= popular;
        unsigned this_octave = octave(sorted[i] + bias);
        bool cut =
            is_popular || last_popular || this_octave != last_octave || end - begin > quantile;
        if (i > begin && cut && cells->count < CELLS_MOST - 1) {
            cells->ends[cells->count++] = (uint16_t)i;
            begin = i;
        }
        last_popular = is_popular;
        last_octave = this_octave;
        i = end;
    }
    cells->ends[cells->count++] = (uint16_t)count;
}

// log2 in units of a 256th, within 0.01.
static uint32_t log2_of(uint32_t value)
{
    unsigned whole = 31 - (unsigned)__builtin_clz(value);
    uint32_t part = (uint32_t)((uint64_t)value << 8 >> whole) - 256;
    return whole * COST_SCALE + part + (89 * part * (256 - part) >> 16);
}

// The shortest path over the cells. Gives the number of bins; their first cells in `firsts`.
static size_t join_cells(const struct cells *cells, const uint64_t *sorted, size_t count,
                         uint32_t bin_cost, uint16_t *firsts)
{
    uint32_t best[CELLS_MOST + 1];
    uint8_t from[CELLS_MOST + 1] = {0};
    uint32_t log2_count = log2_of((uint32_t)count);
    best[0] = 0;
    for (size_t end = 1; end <= cells->count; end++) {
        uint64_t last = sorted[cells->ends[end - 1] - 1];
        best[end] = UINT32_MAX;
        for (size_t begin = end; begin-- > 0;) {
            uint32_t first_row = begin == 0 ? 0 : cells->ends[begin - 1];
            uint32_t rows = cells->ends[end - 1] - first_row;
            uint32_t each = k2_bitpack_width(last - sorted[first_row]) * COST_SCALE + log2_count -
                            log2_of(rows);
            uint32_t cost = best[begin] + rows * each + bin_cost;
            if (cost < best[end]) {
                best[end] = cost;
                from[end] = (uint8_t)begin;
            }
        }
    }
    size_t bins = 0;
    for (size_t end = cells->count; end > 0; end = from[end]) {
        bins++;
    }
    size_t place = bins;
    for (size_t end = cells->count; end > 0 && bins <= K2_BINS_MOST; end = from[end]) {
        firsts[--place] = from[end];
    }
    return bins;
}

// The shortest mantissa with which the bin still holds its values; rounds the base down.
static void round_base(struct k2_bins_plan *plan, unsigned bin, uint64_t least, uint64_t most)
{
    unsigned width = k2_bitpack_width(most - least);
    uint64_t magnitude = (int64_t)least < 0 ? ~least : least;
    unsigned needed = k2_bitpack_width(magnitude) + 1;
    unsigned size = 0;
    unsigned shift = 0;
    for (;; size++) {
        unsigned bits = 8u << size;
        shift = needed > bits ? needed - bits : 0;
        uint64_t base = least >> shift << shift;
        if (size == 3 || k2_bitpack_width(most - base) <= width) {
            plan->tree.bases[bin] = base;
            break;
        }
    }
    plan->tree.widths[bin] = (uint8_t)width;
    plan->shifts[bin] = (uint8_t)shift;
    plan->mantissa_sizes[bin] = (uint8_t)size;
}

// Huffman: joins the two rarest until one is left. Leaves come first, the root last.
static void grow_tree(const uint32_t *counts, size_t bins, uint8_t (*children)[2])
{
    uint32_t weights[2 * K2_BINS_MOST] = {0};
    bool joined[2 * K2_BINS_MOST] = {false};
    memcpy(weights, counts, bins * sizeof *counts);
    for (size_t made = bins; made < 2 * bins - 1; made++) {
        for (size_t side = 0; side < 2; side++) {
            size_t rarest = made;
            for (size_t i = 0; i < made; i++) {
                if (!joined[i] && (rarest == made || weights[i] < weights[rarest])) {
                    rarest = i;
                }
            }
            joined[rarest] = true;
            children[made][1 - side] = (uint8_t)rarest; // side 1 has fewer
        }
        weights[made] = weights[children[made][0]] + weights[children[made][1]];
    }
}

// Numbers nodes and bins breadth first; adds up the bits of the bitmaps.
static void number_tree(struct k2_bins_plan *plan, const uint32_t *counts, size_t bins)
{
    uint8_t children[2 * K2_BINS_MOST][2];
    uint8_t queue[K2_BINS_NODES_MOST];
    uint8_t depths[K2_BINS_NODES_MOST] = {1};
    size_t queued = 1;
    unsigned bin = 0;
    grow_tree(counts, bins, children);
    queue[0] = (uint8_t)(2 * bins - 2);
    plan->bitmap_bits = 0;
    for (size_t node = 0; node < queued; node++) {
        for (size_t side = 0; side < 2; side++) {
            uint8_t child = children[queue[node]][side];
            if (child >= bins) {
                depths[queued] = (uint8_t)(depths[node] + 1);
                queue[queued] = child;
                plan->tree.children[node][side] = (uint8_t)queued++;
            } else {
                plan->bitmap_bits += counts[child] * depths[node];
                plan->bin_of[child] = (uint8_t)bin;
                plan->tree.children[node][side] = (uint8_t)(K2_BINS_LEAF + bin++);
            }
        }
    }
}

static void finish_plan(struct k2_bins_plan *plan, const struct cells *cells,
                        const uint64_t *sorted, uint64_t bias, const uint16_t *firsts, size_t bins,
                        uint32_t *counts)
{
    size_t begins[K2_BINS_MOST + 1];
    for (size_t i = 0; i < bins; i++) {
        begins[i] = firsts[i] == 0 ? 0 : cells->ends[firsts[i] - 1];
    }
    begins[bins] = cells->ends[cells->count - 1];
    for (size_t i = 0; i < bins; i++) {
        counts[i] = (uint32_t)(begins[i + 1] - begins[i]);
    }
    plan->tree.bin_count = (unsigned)bins;
    plan->tree.root_table = 0;
    number_tree(plan, counts, bins);
    size_t table = 1 + 4 + 2 * bins;
    plan->offset_bits = 0;
    for (size_t i = 0; i < bins; i++) {
        unsigned bin = plan->bin_of[i];
        plan->least[i] = (int64_t)(sorted[begins[i]] + bias);
        round_base(plan, bin, (uint64_t)plan->least[i], sorted[begins[i + 1] - 1] + bias);
        plan->offset_bits += counts[i] * plan->tree.widths[bin];
        table += (size_t)1 << plan->mantissa_sizes[bin];
    }
    plan->size_bytes = table + (plan->bitmap_bits + 7) / 8 + (plan->offset_bits + 7) / 8;
}

// Bits that each number takes in the tree of a table.
static void measure_table(unsigned table, uint8_t *lengths)
{
    const struct k2_bins_tree *tree = k2_bins_root_tree(table);
    uint8_t depths[K2_BINS_LEAF + K2_BINS_MOST] = {0};
    for (unsigned node = 0; node < K2_BINS_NODES_MOST; node++) {
        depths[tree->children[node][0]] = (uint8_t)(depths[node] + 1);
        depths[tree->children[node][1]] = (uint8_t)(depths[node] + 1);
    }
    memcpy(lengths, depths + K2_BINS_LEAF, K2_BINS_MOST);
}

// Takes the table that saves most of the root's bitmap, if one saves a twentieth.
static void choose_table(struct k2_bins_plan *plan, const uint64_t *values)
{
    uint8_t bins[K2_BITPACK_VALUES];
    uint8_t bits[K2_BINS_BITMAP_BYTES_MOST];
    uint16_t counts[K2_BINS_MOST] = {0};
    uint32_t least = K2_BITPACK_VALUES - K2_BITPACK_VALUES / 20;
    k2_bitpack_selected()->bins_put(plan, values, K2_BITPACK_VALUES, bins, bits);
    for (size_t row = 0; row < K2_BINS_ROOT_ROWS; row++) {
        counts[k2_bins_root_number(bits, row)]++;
    }
    for (unsigned table = 1; table <= K2_BINS_ROOT_TABLES; table++) {
        uint8_t lengths[K2_BINS_MOST];
        uint32_t size = 0;
        measure_table(table, lengths);
        for (size_t i = 0; i < K2_BINS_MOST; i++) {
            size += (uint32_t)counts[i] * lengths[i];
        }
        if (size < least) {
            least = size;
            plan->tree.root_table = (uint8_t)table;
        }
    }
    if (plan->tree.root_table != 0) {
        plan->size_bytes -= (plan->bitmap_bits + 7) / 8;
        plan->bitmap_bits -= K2_BITPACK_VALUES - least;
        plan->size_bytes += (plan->bitmap_bits + 7) / 8;
    }
}

// Rows on side 1 of the root.
static size_t count_rarer(const struct k2_bins_plan *plan, const uint32_t *counts)
{
    bool below[K2_BINS_LEAF + K2_BINS_MOST] = {false};
    size_t rarer = 0;
    below[plan->tree.children[0][1]] = true;
    for (unsigned node = 1; node + 1 < plan->tree.bin_count; node++) {
        below[plan->tree.children[node][0]] = below[node];
        below[plan->tree.children[node][1]] = below[node];
    }
    for (unsigned i = 0; i < plan->tree.bin_count; i++) {
        rarer += below[K2_BINS_LEAF + plan->bin_of[i]] ? counts[i] : 0;
    }
    return rarer;
}

void k2_bins_choose(struct k2_bins_plan *plan, const uint64_t *values, size_t count,
                    bool with_tables)
{
    uint64_t left[K2_BITPACK_VALUES];
    uint64_t right[K2_BITPACK_VALUES];
    struct cells cells;
    uint16_t firsts[K2_BINS_MOST];
    int64_t min;
    int64_t max;
    plan->size_bytes = SIZE_MAX;
    if (count < COUNT_LEAST) {
        return;
    }
    k2_bitpack_selected()->range((const int64_t *)values, count, &min, &max);
    if (k2_bitpack_width((uint64_t)max - (uint64_t)min) > K2_BINS_WIDTH_MOST) {
        return;
    }
    const uint64_t *sorted = sort(values, (uint64_t)min, count, left, right);
    cut_cells(&cells, sorted, (uint64_t)min, count);
    uint32_t bin_cost = BIN_BITS * COST_SCALE;
    size_t bins = join_cells(&cells, sorted, count, bin_cost, firsts);
    while (bins > K2_BINS_MOST) {
        bin_cost += bin_cost / 2;
        bins = join_cells(&cells, sorted, count, bin_cost, firsts);
    }
    if (bins > 1) {
        uint32_t counts[K2_BINS_MOST];
        finish_plan(plan, &cells, sorted, (uint64_t)min, firsts, bins, counts);
        // More than a third of the rows on side 1: none of the tables would save enough.
        if (with_tables && count == K2_BITPACK_VALUES && count_rarer(plan, counts) * 3 < count) {
            choose_table(plan, values);
        }
    }
}
