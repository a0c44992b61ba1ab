// PFOR and PDELTA: FOR and DELTA over patched values, for blocks in which few values, as where one
// instrument ends and the next begins, are far from the rest.
#include "format/codec/codec_table.h"
#include "format/codec/patch.h"

enum { LEAST_SIZE = 16 }; // a block that has become smaller is left alone

static size_t pfor_size(struct k2_block_plan *plan)
{
    struct k2_patch *patch = &plan->patches[K2_PATCH_VALUES];
    // Quotients from 2^63 on would be taken for negative.
    if (plan->max_quotient > INT64_MAX || plan->best_size < LEAST_SIZE) {
        return SIZE_MAX;
    }
    k2_patch_choose(patch, plan->quotients, plan->count, 0, (int64_t)plan->max_quotient);
    return patch->size_bytes;
}

static void pfor_encode(struct k2_block_plan *plan, struct k2_block_entry *entry,
                        struct k2_buffer *out)
{
    const struct k2_patch *patch = &plan->patches[K2_PATCH_VALUES];
    entry->width_bits = (uint8_t)patch->width_bits;
    entry->base = (int64_t)((uint64_t)plan->min + plan->divisor * patch->base);
    k2_patch_encode(patch, plan->quotients, plan->count, out);
}

static enum k2_status pfor_decode(const struct k2_block_entry *entry, struct k2_slice payload,
                                  int64_t *values, size_t value_count, struct k2_error *error)
{
    struct k2_patched patched;
    struct k2_byte_reader reader = {.rest = payload};
    if (entry->width_bits > 64 ||
        !k2_patched_read(&reader, value_count, entry->width_bits, &patched)) {
        return k2_fail(error, K2_CORRUPT, "PFOR block: %zu bytes of width %u are not one",
                       payload.size_bytes, entry->width_bits);
    }
    k2_patched_unpack(&patched, value_count, entry->width_bits, (uint64_t)entry->base,
                      entry->divisor, values);
    return K2_OK;
}

const struct k2_codec k2_codec_pfor = {
    .id = K2_CODEC_PFOR,
    .name = "PFOR",
    .size = pfor_size,
    .encode = pfor_encode,
    .decode = pfor_decode,
};

static size_t pdelta_size(struct k2_block_plan *plan)
{
    struct k2_patch *patch = &plan->patches[K2_PATCH_DELTAS];
    if (plan->count < 2 || plan->best_size < LEAST_SIZE) {
        return SIZE_MAX;
    }
    k2_plan_deltas(plan);
    k2_patch_choose(patch, plan->deltas, plan->count, plan->delta_min,
                    (int64_t)((uint64_t)plan->delta_min + plan->delta_range));
    return patch->size_bytes + k2_varint_size(k2_zigzag((int64_t)patch->base));
}

static void pdelta_encode(struct k2_block_plan *plan, struct k2_block_entry *entry,
                          struct k2_buffer *out)
{
    const struct k2_patch *patch = &plan->patches[K2_PATCH_DELTAS];
    uint64_t first = (uint64_t)plan->min + plan->divisor * plan->quotients[0];
    entry->width_bits = (uint8_t)patch->width_bits;
    entry->base = (int64_t)(first - plan->divisor * plan->deltas[0]);
    k2_patch_encode(patch, plan->deltas, plan->count, out);
    k2_put_varint(out, k2_zigzag((int64_t)patch->base));
}

static enum k2_status pdelta_decode(const struct k2_block_entry *entry, struct k2_slice payload,
                                    int64_t *values, size_t value_count, struct k2_error *error)
{
    struct k2_patched patched;
    struct k2_byte_reader reader = {.rest = payload};
    bool good = entry->width_bits <= 64 &&
                k2_patched_read(&reader, value_count, entry->width_bits, &patched);
    uint64_t slope = (uint64_t)k2_unzigzag(k2_read_varint(&reader)) * entry->divisor;
    if (!good || reader.truncated) {
        return k2_fail(error, K2_CORRUPT, "PDELTA block: %zu bytes of width %u are not one",
                       payload.size_bytes, entry->width_bits);
    }
    k2_patched_unpack_sum(&patched, value_count, entry->width_bits, (uint64_t)entry->base,
                          entry->divisor, slope, values);
    return K2_OK;
}

const struct k2_codec k2_codec_pdelta = {
    .id = K2_CODEC_PDELTA,
    .name = "PDELTA",
    .size = pdelta_size,
    .encode = pdelta_encode,
    .decode = pdelta_decode,
};
