#include "format/codec/codec.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "format/codec/codec_table.h"

static const struct k2_codec *const codecs[] = {
    [K2_CODEC_CONST] = &k2_codec_const,       [K2_CODEC_FOR] = &k2_codec_for,
    [K2_CODEC_DELTA] = &k2_codec_delta,       [K2_CODEC_DICT] = &k2_codec_dict,
    [K2_CODEC_MASKD] = &k2_codec_maskd,       [K2_CODEC_MASKV] = &k2_codec_maskv,
    [K2_CODEC_BINS_FOR] = &k2_codec_bins_for, [K2_CODEC_BINS_DELTA] = &k2_codec_bins_delta,
    [K2_CODEC_PFOR] = &k2_codec_pfor,         [K2_CODEC_PDELTA] = &k2_codec_pdelta,
};
enum {
    CODEC_COUNT = sizeof codecs / sizeof codecs[0],
    SUM_WIDTH_MOST = 54, // of values of which 1,024 add up to less than 2^64
    LOOK_BLOCKS = 4,     // after so many all codecs are tried again
    NEAR = 4,            // a codec is near the best one with 4/3 of its bytes
};

// Which kernels run is a property of the machine: found once, the same for every thread.
static _Atomic(const struct k2_bitpack_kernels *) selected;

static const struct k2_bitpack_kernels *best_kernels(void)
{
    if (k2_bitpack_avx512_usable()) {
        return &k2_bitpack_avx512;
    }
    return k2_bitpack_avx2_usable() ? &k2_bitpack_avx2 : &k2_bitpack_scalar;
}

const struct k2_bitpack_kernels *k2_bitpack_selected(void)
{
    const struct k2_bitpack_kernels *kernels =
        atomic_load_explicit(&selected, memory_order_relaxed);
    if (kernels == NULL) {
        kernels = best_kernels();
        atomic_store_explicit(&selected, kernels, memory_order_relaxed);
    }
    return kernels;
}

bool k2_codec_select(const char *instruction_set)
{
    const struct {
        const struct k2_bitpack_kernels *kernels;
        bool usable;
    } sets[] = {
        {&k2_bitpack_scalar, true},
        {&k2_bitpack_avx2, k2_bitpack_avx2_usable()},
        {&k2_bitpack_avx512, k2_bitpack_avx512_usable()},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        if (sets[i].usable && strcmp(instruction_set, sets[i].kernels->name) == 0) {
            atomic_store(&selected, sets[i].kernels);
            return true;
        }
    }
    return false;
}

const char *k2_codec_selected(void)
{
    return k2_bitpack_selected()->name;
}

static const struct k2_codec *find_codec(uint8_t id)
{
    return id < CODEC_COUNT ? codecs[id] : NULL;
}

const char *k2_codec_name(uint8_t codec)
{
    const struct k2_codec *found = find_codec(codec);
    return found == NULL ? NULL : found->name;
}

static uint64_t gcd(uint64_t left, uint64_t right)
{
    if (left == 0 || right == 0) {
        return left | right;
    }
    unsigned shift = (unsigned)__builtin_ctzll(left | right);
    left >>= __builtin_ctzll(left);
    while (right != 0) {
        right >>= __builtin_ctzll(right);
        if (left > right) {
            uint64_t swapped = left;
            left = right;
            right = swapped;
        }
        right -= left;
    }
    return left << shift;
}

// Newton: each step doubles the number of right bits, from three.
static uint64_t inverse_of_odd(uint64_t odd)
{
    uint64_t inverse = odd;
    for (int i = 0; i < 5; i++) {
        inverse *= 2 - odd * inverse;
    }
    return inverse;
}

// The greatest divisor of all differences to the least value, and the quotients. A sample gives a
// multiple of it; the exact division of all values proves it, or finds a difference that lowers it.
static void divide(struct k2_block_plan *plan, const int64_t *values)
{
    const struct k2_bitpack_kernels *kernels = k2_bitpack_selected();
    uint64_t divisor = 0;
    size_t step = plan->count / 16 + 1;
    for (size_t i = 0; i < plan->count && divisor != 1; i += step) {
        divisor = gcd(divisor, (uint64_t)values[i] - (uint64_t)plan->min);
    }
    for (;;) {
        divisor = divisor == 0 ? 1 : divisor;
        unsigned shift = (unsigned)__builtin_ctzll(divisor);
        uint64_t odd = divisor >> shift;
        size_t wrong = kernels->divide(values, plan->count, plan->min, odd, inverse_of_odd(odd),
                                       shift, plan->quotients);
        if (wrong == plan->count) {
            break;
        }
        divisor = gcd(divisor, (uint64_t)values[wrong] - (uint64_t)plan->min);
    }
    plan->divisor = divisor;
}

static void make_plan(struct k2_block_plan *plan, const int64_t *values, size_t value_count)
{
    assert(value_count >= 1 && value_count <= K2_BITPACK_VALUES);
    const struct k2_bitpack_kernels *kernels = k2_bitpack_selected();
    int64_t max;
    plan->count = value_count;
    plan->best_size = SIZE_MAX;
    plan->delta_min = 0;
    plan->delta_range = 0;
    plan->run_count = 0;
    plan->has_deltas = false;
    kernels->range(values, value_count, &plan->min, &max);
    if (plan->min == max) {
        plan->divisor = 1;
        plan->max_quotient = 0;
        return; // CONST needs no quotients
    }
    divide(plan, values);
    plan->max_quotient = ((uint64_t)max - (uint64_t)plan->min) / plan->divisor;
    memset(plan->quotients + value_count, 0, K2_BITPACK_LANES * sizeof plan->quotients[0]);
    if (value_count > 1) {
        int64_t delta_max;
        kernels->delta_range(plan->quotients, value_count, &plan->delta_min, &delta_max);
        plan->delta_range = (uint64_t)delta_max - (uint64_t)plan->delta_min;
    }
}

static void encode_with(const struct k2_codec *codec, struct k2_block_plan *plan,
                        struct k2_block_entry *entry, struct k2_buffer *out)
{
    *entry = (struct k2_block_entry){.codec = codec->id, .divisor = plan->divisor};
    codec->encode(plan, entry, out);
}

void k2_plan_deltas(struct k2_block_plan *plan)
{
    if (!plan->has_deltas) {
        plan->deltas[0] = plan->quotients[1] - plan->quotients[0];
        for (size_t i = 1; i < plan->count; i++) {
            plan->deltas[i] = plan->quotients[i] - plan->quotients[i - 1];
        }
        plan->has_deltas = true;
    }
}

// Will both forms of BINS be looked at for the next block?
static bool looks_at_bins(const struct k2_block_history *history)
{
    return history->sorted_level ? history->block_count % 8 == 0 : history->block_count % 32 == 1;
}

// The earlier ones are simpler and faster, so a later one has to save something. Those that take
// long to try are tried for some of the blocks of an unsorted group, and in between if they came
// near the best one; of a sorted group not while BINS pays, which saves more.
static const struct k2_codec *choose_quick(struct k2_block_plan *plan,
                                           struct k2_block_history *history)
{
    static const uint8_t quick[] = {K2_CODEC_FOR,   K2_CODEC_DELTA, K2_CODEC_DICT,  K2_CODEC_MASKD,
                                    K2_CODEC_MASKV, K2_CODEC_PFOR,  K2_CODEC_PDELTA};
    const struct k2_codec *best = NULL;
    size_t sizes[K2_CODEC_LAST + 1];
    static const unsigned slow = 1 << K2_CODEC_DICT | 1 << K2_CODEC_MASKD | 1 << K2_CODEC_MASKV;
    static const unsigned simple = 1 << K2_CODEC_FOR | 1 << K2_CODEC_DELTA;
    bool look = history->sorted_level || history->quick_count++ % LOOK_BLOCKS == 0;
    unsigned tried = look ? ~0u : ~slow | history->hopeful;
    if (history->sorted_level && history->bins_pay && !looks_at_bins(history)) {
        tried = simple;
    }
    for (size_t i = 0; i < sizeof quick; i++) {
        uint8_t id = quick[i];
        sizes[id] = (tried >> id & 1) != 0 ? codecs[id]->size(plan) : SIZE_MAX;
        if (sizes[id] != SIZE_MAX && sizes[id] + sizes[id] / 64 < plan->best_size) {
            plan->best_size = sizes[id];
            best = codecs[id];
        }
    }
    if (look) {
        history->hopeful = 0;
        for (size_t i = 0; i < sizeof quick; i++) {
            bool near = sizes[quick[i]] / NEAR < plan->best_size / (NEAR - 1);
            history->hopeful |= (uint16_t)(near << quick[i]);
        }
    }
    return best;
}

// BINS takes long to choose, so both forms are looked at now and then, and in between only the one
// that paid.
static const struct k2_codec *choose_bins(struct k2_block_plan *plan,
                                          struct k2_block_history *history, size_t *bytes)
{
    bool look = looks_at_bins(history);
    history->block_count++;
    size_t least = plan->count / 16; // bytes; smaller blocks are left alone
    if (plan->best_size < least || (!look && !history->bins_pay)) {
        return NULL;
    }
    size_t as_values = SIZE_MAX;
    size_t as_deltas = SIZE_MAX;
    if (look || !history->bins_are_deltas) {
        as_values = k2_codec_bins_for.size(plan);
    }
    if (look || history->bins_are_deltas) {
        as_deltas = k2_codec_bins_delta.size(plan);
    }
    size_t size = as_deltas < as_values ? as_deltas : as_values;
    size_t most = history->sorted_level ? plan->best_size - plan->best_size / 32
                                        : plan->best_size - plan->best_size / 4;
    if (look) {
        history->bins_pay = size <= most;
        history->bins_are_deltas = as_deltas < as_values;
    }
    if (size > most) {
        return NULL;
    }
    *bytes = size;
    return as_deltas < as_values ? &k2_codec_bins_delta : &k2_codec_bins_for;
}

static const struct k2_codec *choose(struct k2_block_plan *plan, struct k2_block_history *history,
                                     size_t *size)
{
    const struct k2_codec *quick = choose_quick(plan, history);
    const struct k2_codec *bins = choose_bins(plan, history, size);
    *size = bins != NULL ? *size : plan->best_size;
    return bins != NULL ? bins : quick;
}

void k2_block_encode(const int64_t *values, size_t value_count, struct k2_block_history *history,
                     struct k2_block_entry *entry, struct k2_buffer *out)
{
    struct k2_block_plan plan;
    make_plan(&plan, values, value_count);
    plan.root_tables = history->sorted_level;
    if (plan.max_quotient == 0) {
        encode_with(&k2_codec_const, &plan, entry, out);
        return;
    }
    size_t size;
    encode_with(choose(&plan, history, &size), &plan, entry, out);
}

size_t k2_block_size(const int64_t *values, size_t value_count, struct k2_block_history *history)
{
    struct k2_block_plan plan;
    size_t size = 0;
    make_plan(&plan, values, value_count);
    plan.root_tables = history->sorted_level;
    if (plan.max_quotient > 0) {
        (void)choose(&plan, history, &size);
    }
    return size;
}

bool k2_block_encode_as(uint8_t codec, bool sorted_level, const int64_t *values, size_t value_count,
                        struct k2_block_entry *entry, struct k2_buffer *out)
{
    const struct k2_codec *found = find_codec(codec);
    struct k2_block_plan plan;
    make_plan(&plan, values, value_count);
    plan.root_tables = sorted_level;
    if (plan.max_quotient == 0) {
        memset(plan.quotients, 0, sizeof plan.quotients);
    }
    if (found == NULL || found->size(&plan) == SIZE_MAX) {
        return false;
    }
    encode_with(found, &plan, entry, out);
    return true;
}

enum k2_status k2_codec_check_payload(const struct k2_codec *codec,
                                      const struct k2_block_entry *entry, struct k2_slice payload,
                                      size_t needed_bytes, struct k2_error *error)
{
    if (entry->width_bits > 64) {
        return k2_fail(error, K2_CORRUPT, "%s block: width of %u bits", codec->name,
                       entry->width_bits);
    }
    if (payload.size_bytes < needed_bytes) {
        return k2_fail(error, K2_CORRUPT, "%s block: %zu bytes, expected %zu", codec->name,
                       payload.size_bytes, needed_bytes);
    }
    return K2_OK;
}

enum k2_status k2_block_decode(const struct k2_block_entry *entry, struct k2_slice payload,
                               int64_t *values, size_t value_count, struct k2_error *error)
{
    assert(value_count >= 1 && value_count <= K2_BITPACK_VALUES);
    const struct k2_codec *codec = find_codec(entry->codec);
    if (codec == NULL) {
        return k2_fail(error, K2_CORRUPT, "block with unknown codec %u", entry->codec);
    }
    return codec->decode(entry, payload, values, value_count, error);
}

bool k2_block_total(const struct k2_block_entry *entry, struct k2_slice payload, size_t value_count,
                    struct k2_block_total *total)
{
    unsigned width = entry->width_bits;
    *total = (struct k2_block_total){value_count, entry->base, entry->divisor, 0};
    if (entry->codec == K2_CODEC_CONST) {
        return true;
    }
    // Only whole rows of lanes, and no sum that overflows.
    if (entry->codec != K2_CODEC_FOR || value_count < K2_BITPACK_LANE_COUNT_MIN ||
        value_count % K2_BITPACK_LANES != 0 || width == 0 || width > SUM_WIDTH_MOST ||
        payload.size_bytes < k2_bitpack_size(value_count, width)) {
        return false;
    }
    total->packed = k2_bitpack_selected()->sum_packed(payload.data, value_count, width);
    return true;
}
