// FOR: the base is the least value; the payload holds the quotients, packed.
#include "format/codec/codec_table.h"

static size_t for_size(struct k2_block_plan *plan)
{
    return k2_bitpack_size(plan->count, k2_bitpack_width(plan->max_quotient));
}

static void for_encode(struct k2_block_plan *plan, struct k2_block_entry *entry,
                       struct k2_buffer *out)
{
    unsigned width = k2_bitpack_width(plan->max_quotient);
    entry->width_bits = (uint8_t)width;
    entry->base = plan->min;
    uint8_t *packed = k2_buffer_extend(out, k2_bitpack_size(plan->count, width));
    if (packed != NULL) {
        k2_bitpack(plan->quotients, plan->count, width, packed);
    }
}

static enum k2_status for_decode(const struct k2_block_entry *entry, struct k2_slice payload,
                                 int64_t *values, size_t value_count, struct k2_error *error)
{
    enum k2_status status = k2_codec_check_payload(
        &k2_codec_for, entry, payload, k2_bitpack_size(value_count, entry->width_bits), error);
    if (status == K2_OK) {
        k2_bitunpack(payload.data, value_count, entry->width_bits, (uint64_t)entry->base,
                     entry->divisor, values);
    }
    return status;
}

const struct k2_codec k2_codec_for = {
    .id = K2_CODEC_FOR,
    .name = "FOR",
    .size = for_size,
    .encode = for_encode,
    .decode = for_decode,
};
