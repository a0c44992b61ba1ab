// DELTA: the payload holds the differences of neighbouring quotients less their least one, packed,
// then that least difference as a zigzag varint. The first value has the packed difference 0, so
// that value i is base + divisor * (i + 1) * least + divisor * (packed 0 + ... + packed i).
#include "format/codec/codec_table.h"

static size_t delta_size(struct k2_block_plan *plan)
{
    if (plan->count < 2) {
        return SIZE_MAX;
    }
    return k2_bitpack_size(plan->count, k2_bitpack_width(plan->delta_range)) +
           k2_varint_size(k2_zigzag(plan->delta_min));
}

static void delta_encode(struct k2_block_plan *plan, struct k2_block_entry *entry,
                         struct k2_buffer *out)
{
    unsigned width = k2_bitpack_width(plan->delta_range);
    uint64_t least = (uint64_t)plan->delta_min;
    uint64_t first = (uint64_t)plan->min + plan->divisor * plan->quotients[0];
    entry->width_bits = (uint8_t)width;
    entry->base = (int64_t)(first - plan->divisor * least);
    // From the back, so that each difference replaces its own quotient.
    for (size_t i = plan->count - 1; i > 0; i--) {
        plan->quotients[i] = plan->quotients[i] - plan->quotients[i - 1] - least;
    }
    plan->quotients[0] = 0;
    uint8_t *packed = k2_buffer_extend(out, k2_bitpack_size(plan->count, width));
    if (packed != NULL) {
        k2_bitpack(plan->quotients, plan->count, width, packed);
    }
    k2_put_varint(out, k2_zigzag(plan->delta_min));
}

static enum k2_status delta_decode(const struct k2_block_entry *entry, struct k2_slice payload,
                                   int64_t *values, size_t value_count, struct k2_error *error)
{
    size_t packed_size = k2_bitpack_size(value_count, entry->width_bits);
    enum k2_status status =
        k2_codec_check_payload(&k2_codec_delta, entry, payload, packed_size, error);
    if (status != K2_OK) {
        return status;
    }
    struct k2_byte_reader reader = {.rest = payload};
    (void)k2_read_bytes(&reader, packed_size);
    uint64_t least = (uint64_t)k2_unzigzag(k2_read_varint(&reader));
    if (reader.truncated) {
        return k2_fail(error, K2_CORRUPT, "DELTA block: no least difference after %zu bytes",
                       packed_size);
    }
    k2_bitunpack_sum(payload.data, value_count, entry->width_bits, (uint64_t)entry->base,
                     entry->divisor, entry->divisor * least, values);
    return K2_OK;
}

const struct k2_codec k2_codec_delta = {
    .id = K2_CODEC_DELTA,
    .name = "DELTA",
    .size = delta_size,
    .encode = delta_encode,
    .decode = delta_decode,
};
