// CONST: every value is the base. No payload.
#include "format/codec/codec_table.h"

static size_t const_size(struct k2_block_plan *plan)
{
    return plan->max_quotient == 0 ? 0 : SIZE_MAX;
}

static void const_encode(struct k2_block_plan *plan, struct k2_block_entry *entry,
                         struct k2_buffer *out)
{
    (void)out;
    entry->base = plan->min;
}

static enum k2_status const_decode(const struct k2_block_entry *entry, struct k2_slice payload,
                                   int64_t *values, size_t value_count, struct k2_error *error)
{
    (void)payload;
    (void)error;
    k2_bitpack_selected()->count_up(value_count, (uint64_t)entry->base, 0, values);
    return K2_OK;
}

const struct k2_codec k2_codec_const = {
    .id = K2_CODEC_CONST,
    .name = "CONST",
    .size = const_size,
    .encode = const_encode,
    .decode = const_decode,
};
