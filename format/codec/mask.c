// MASKV and MASKD: for values that often stay. A bitmap says which rows have another value than the
// row before (the first row always); then come only those values, or their differences, patched.
#include "format/codec/codec_table.h"

#include <endian.h>
#include <string.h>

#include "format/codec/patch.h"

enum { LEAST_COUNT = 64 }; // below, the other codecs do

static size_t bitmap_size(size_t count)
{
    return (count + 7) / 8;
}

static size_t count_changes(const uint64_t *values, size_t count)
{
    size_t changes = 1;
    for (size_t i = 1; i < count; i++) {
        changes += values[i] != values[i - 1];
    }
    return changes;
}

// Collects the changed values once for both codecs; false when too few rows stay, or when the
// bitmap alone costs too much.
static bool collapse(struct k2_block_plan *plan)
{
    if (bitmap_size(plan->count) >= plan->best_size) {
        return false;
    }
    if (plan->run_count > 0) {
        return true;
    }
    if (plan->count < LEAST_COUNT ||
        count_changes(plan->quotients, plan->count) > plan->count - plan->count / 8) {
        return false;
    }
    size_t runs = 0;
    plan->runs[runs++] = plan->quotients[0];
    for (size_t i = 1; i < plan->count; i++) {
        plan->runs[runs] = plan->quotients[i]; // kept only where it differs
        runs += plan->quotients[i] != plan->quotients[i - 1];
    }
    plan->run_count = runs;
    return true;
}

static void put_bitmap(const struct k2_block_plan *plan, struct k2_buffer *out)
{
    uint8_t *bitmap = k2_buffer_extend(out, bitmap_size(plan->count));
    if (bitmap == NULL) {
        return;
    }
    memset(bitmap, 0, bitmap_size(plan->count));
    bitmap[0] = 1;
    for (size_t i = 1; i < plan->count; i++) {
        unsigned changed = plan->quotients[i] != plan->quotients[i - 1];
        bitmap[i / 8] = (uint8_t)(bitmap[i / 8] | changed << i % 8);
    }
}

static size_t maskv_size(struct k2_block_plan *plan)
{
    if (plan->max_quotient > INT64_MAX || plan->max_quotient == 0 || !collapse(plan)) {
        return SIZE_MAX;
    }
    struct k2_patch *patch = &plan->patches[K2_PATCH_RUNS];
    k2_patch_choose(patch, plan->runs, plan->run_count, 0, (int64_t)plan->max_quotient);
    return bitmap_size(plan->count) + patch->size_bytes;
}

static void maskv_encode(struct k2_block_plan *plan, struct k2_block_entry *entry,
                         struct k2_buffer *out)
{
    const struct k2_patch *patch = &plan->patches[K2_PATCH_RUNS];
    entry->width_bits = (uint8_t)patch->width_bits;
    entry->base = (int64_t)((uint64_t)plan->min + plan->divisor * patch->base);
    put_bitmap(plan, out);
    k2_patch_encode(patch, plan->runs, plan->run_count, out);
}

// The differences of the changed values; the first is the second once more.
static size_t maskd_size(struct k2_block_plan *plan)
{
    if (plan->max_quotient == 0 || !collapse(plan) || plan->run_count < 2) {
        return SIZE_MAX;
    }
    const struct k2_bitpack_kernels *kernels = k2_bitpack_selected();
    struct k2_patch *patch = &plan->patches[K2_PATCH_RUN_DELTAS];
    int64_t min;
    int64_t max;
    plan->run_deltas[0] = plan->runs[1] - plan->runs[0];
    for (size_t i = 1; i < plan->run_count; i++) {
        plan->run_deltas[i] = plan->runs[i] - plan->runs[i - 1];
    }
    kernels->range((const int64_t *)plan->run_deltas, plan->run_count, &min, &max);
    k2_patch_choose(patch, plan->run_deltas, plan->run_count, min, max);
    return bitmap_size(plan->count) + patch->size_bytes +
           k2_varint_size(k2_zigzag((int64_t)patch->base));
}

static void maskd_encode(struct k2_block_plan *plan, struct k2_block_entry *entry,
                         struct k2_buffer *out)
{
    const struct k2_patch *patch = &plan->patches[K2_PATCH_RUN_DELTAS];
    uint64_t first = (uint64_t)plan->min + plan->divisor * plan->quotients[0];
    entry->width_bits = (uint8_t)patch->width_bits;
    entry->base = (int64_t)(first - plan->divisor * plan->run_deltas[0]);
    put_bitmap(plan, out);
    k2_patch_encode(patch, plan->run_deltas, plan->run_count, out);
    k2_put_varint(out, k2_zigzag((int64_t)patch->base));
}

static uint64_t load_word(const uint8_t *bytes, size_t size)
{
    uint64_t word = 0;
    memcpy(&word, bytes, size);
    return le64toh(word);
}

// The bitmap as words of 64 rows, and how many changed values it asks for; 0: none for the first.
static size_t read_bitmap(struct k2_byte_reader *reader, size_t count, uint64_t *words)
{
    size_t size = bitmap_size(count);
    struct k2_slice bitmap = k2_read_bytes(reader, size);
    size_t runs = 0;
    if (reader->truncated || (bitmap.data[0] & 1) == 0) {
        return 0;
    }
    for (size_t at = 0; at < size; at += 8) {
        size_t rest = size - at < 8 ? size - at : 8;
        size_t rows = count - at * 8;
        uint64_t word = load_word(bitmap.data + at, rest);
        words[at / 8] = rows < 64 ? word & (((uint64_t)1 << rows) - 1) : word;
        runs += (size_t)__builtin_popcountll(words[at / 8]);
    }
    return runs;
}

static enum k2_status mask_decode(const struct k2_block_entry *entry, struct k2_slice payload,
                                  int64_t *values, size_t value_count, struct k2_error *error)
{
    bool is_delta = entry->codec == K2_CODEC_MASKD;
    uint64_t words[K2_BITPACK_VALUES / 64];
    int64_t runs[K2_BITPACK_VALUES + 64];
    struct k2_patched patched;
    struct k2_byte_reader reader = {.rest = payload};
    size_t run_count = entry->width_bits <= 64 ? read_bitmap(&reader, value_count, words) : 0;
    bool good = run_count > 0 && k2_patched_read(&reader, run_count, entry->width_bits, &patched);
    uint64_t slope = is_delta ? (uint64_t)k2_unzigzag(k2_read_varint(&reader)) : 0;
    if (!good || reader.truncated) {
        return k2_fail(error, K2_CORRUPT, "%s block: %zu bytes of width %u are not one",
                       k2_codec_name(entry->codec), payload.size_bytes, entry->width_bits);
    }
    if (is_delta) {
        k2_patched_unpack_sum(&patched, run_count, entry->width_bits, (uint64_t)entry->base,
                              entry->divisor, entry->divisor * slope, runs);
    } else {
        k2_patched_unpack(&patched, run_count, entry->width_bits, (uint64_t)entry->base,
                          entry->divisor, runs);
    }
    k2_bitpack_selected()->spread(words, runs, value_count, values);
    return K2_OK;
}

const struct k2_codec k2_codec_maskd = {
    .id = K2_CODEC_MASKD,
    .name = "MASKD",
    .size = maskd_size,
    .encode = maskd_encode,
    .decode = mask_decode,
};

const struct k2_codec k2_codec_maskv = {
    .id = K2_CODEC_MASKV,
    .name = "MASKV",
    .size = maskv_size,
    .encode = maskv_encode,
    .decode = mask_decode,
};
