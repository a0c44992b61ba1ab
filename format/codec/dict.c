// DICT: few distinct values, far apart. The payload holds the codes (width_bits each, packed), then
// u8 distinct count - 1, u8 width of a distinct value, then the distinct quotients in ascending
// order, packed one after the other. The base is the least value.
#include "format/codec/codec_table.h"

#include <string.h>

enum {
    SLOTS = 1024, // of the table that finds distinct values; a power of two, 4 * K2_DICT_VALUES
    SLOT_BITS = 10,
    LEAST_COUNT = 16, // below, a dictionary never pays
};

struct slots {
    uint64_t values[SLOTS];
    uint16_t codes[SLOTS]; // of the value + 1; 0: free
};

static size_t find_slot(const struct slots *slots, uint64_t value)
{
    size_t slot = (size_t)(value * 0x9e3779b97f4a7c15u >> (64 - SLOT_BITS));
    while (slots->codes[slot] != 0 && slots->values[slot] != value) {
        slot = (slot + 1) % SLOTS;
    }
    return slot;
}

// Gives the codes in order of appearance; false when there are more than `limit` distinct values.
static bool collect(struct k2_block_plan *plan, struct slots *slots, size_t limit)
{
    memset(slots->codes, 0, sizeof slots->codes);
    plan->distinct_count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        size_t slot = find_slot(slots, plan->quotients[i]);
        if (slots->codes[slot] == 0) {
            if (plan->distinct_count == limit) {
                return false;
            }
            slots->values[slot] = plan->quotients[i];
            plan->distinct[plan->distinct_count++] = plan->quotients[i];
            slots->codes[slot] = (uint16_t)plan->distinct_count;
        }
        plan->codes[i] = slots->codes[slot] - 1u;
    }
    return true;
}

// Sorts the distinct values and renumbers the codes; at most 256, so insertion is fine.
static void sort_distinct(struct k2_block_plan *plan)
{
    uint16_t origin[K2_DICT_VALUES];
    for (size_t i = 0; i < plan->distinct_count; i++) {
        uint64_t value = plan->distinct[i];
        size_t place = i;
        for (; place > 0 && plan->distinct[place - 1] > value; place--) {
            plan->distinct[place] = plan->distinct[place - 1];
            origin[place] = origin[place - 1];
        }
        plan->distinct[place] = value;
        origin[place] = (uint16_t)i;
    }
    uint64_t rank[K2_DICT_VALUES];
    for (size_t i = 0; i < plan->distinct_count; i++) {
        rank[origin[i]] = i;
    }
    for (size_t i = 0; i < plan->count; i++) {
        // cppcheck-suppress uninitvar; a code is below distinct_count, up to which ranks are set
        plan->codes[i] = rank[plan->codes[i]];
    }
    memset(plan->codes + plan->count, 0, K2_BITPACK_LANES * sizeof plan->codes[0]);
}

static size_t size_with(const struct k2_block_plan *plan, size_t distinct_count)
{
    return k2_bitpack_size(plan->count, k2_bitpack_width(distinct_count - 1)) + 2 +
           k2_bitpack_plain_size(distinct_count, k2_bitpack_width(plan->max_quotient));
}

static size_t dict_size(struct k2_block_plan *plan)
{
    if (plan->count < LEAST_COUNT || plan->max_quotient == 0) {
        return SIZE_MAX;
    }
    // The most distinct values that could still win decide how soon the search gives up.
    size_t limit = K2_DICT_VALUES;
    while (limit >= 2 && size_with(plan, limit) >= plan->best_size) {
        limit /= 2;
    }
    struct slots slots;
    if (limit < 2 || !collect(plan, &slots, limit)) {
        return SIZE_MAX;
    }
    return size_with(plan, plan->distinct_count);
}

static void dict_encode(struct k2_block_plan *plan, struct k2_block_entry *entry,
                        struct k2_buffer *out)
{
    sort_distinct(plan);
    unsigned code_width = k2_bitpack_width(plan->distinct_count - 1);
    unsigned value_width = k2_bitpack_width(plan->max_quotient);
    entry->width_bits = (uint8_t)code_width;
    entry->base = plan->min;
    uint8_t *packed = k2_buffer_extend(out, k2_bitpack_size(plan->count, code_width));
    if (packed != NULL) {
        k2_bitpack(plan->codes, plan->count, code_width, packed);
    }
    k2_put_u8(out, (uint8_t)(plan->distinct_count - 1));
    k2_put_u8(out, (uint8_t)value_width);
    packed = k2_buffer_extend(out, k2_bitpack_plain_size(plan->distinct_count, value_width));
    if (packed != NULL) {
        k2_bitpack_plain(plan->distinct, plan->distinct_count, value_width, packed);
    }
}

static enum k2_status dict_decode(const struct k2_block_entry *entry, struct k2_slice payload,
                                  int64_t *values, size_t value_count, struct k2_error *error)
{
    size_t codes_size = k2_bitpack_size(value_count, entry->width_bits);
    enum k2_status status =
        k2_codec_check_payload(&k2_codec_dict, entry, payload, codes_size, error);
    if (status != K2_OK) {
        return status;
    }
    struct k2_byte_reader reader = {.rest = payload};
    (void)k2_read_bytes(&reader, codes_size);
    size_t distinct_count = k2_read_u8(&reader) + (size_t)1;
    unsigned value_width = k2_read_u8(&reader);
    if (reader.truncated || value_width > 64 || entry->width_bits > 8 ||
        k2_bitpack_plain_size(distinct_count, value_width) > reader.rest.size_bytes) {
        return k2_fail(error, K2_CORRUPT, "DICT block: bad dictionary after %zu bytes", codes_size);
    }
    int64_t distinct[K2_DICT_VALUES]; // whole, so that no code of 8 bits leads outside
    k2_bitunpack_plain(reader.rest.data, distinct_count, value_width, (uint64_t)entry->base,
                       entry->divisor, distinct);
    for (size_t i = distinct_count; i < K2_DICT_VALUES; i++) {
        distinct[i] = entry->base;
    }
    k2_bitunpack(payload.data, value_count, entry->width_bits, 0, 1, values);
    k2_bitpack_selected()->look_up(distinct, entry->width_bits, value_count, values);
    return K2_OK;
}

const struct k2_codec k2_codec_dict = {
    .id = K2_CODEC_DICT,
    .name = "DICT",
    .size = dict_size,
    .encode = dict_encode,
    .decode = dict_decode,
};
