#include "format/parquet/parquet_dictionary.h"

#include "format/base/alloc.h"
#include "format/base/checksum.h"

enum { FIRST_SLOTS = 256 };

void k2_parquet_dictionary_init(struct k2_parquet_dictionary *dictionary, size_t prefix_bytes)
{
    *dictionary = (struct k2_parquet_dictionary){.prefix_bytes = prefix_bytes};
    k2_buffer_init(&dictionary->plain, K2_PARQUET_DICTIONARY_BYTES);
}

void k2_parquet_dictionary_deinit(struct k2_parquet_dictionary *dictionary)
{
    k2_buffer_deinit(&dictionary->plain);
    k2_free(dictionary->slots);
    k2_free(dictionary->offsets);
}

void k2_parquet_dictionary_clear(struct k2_parquet_dictionary *dictionary)
{
    k2_buffer_clear(&dictionary->plain);
    if (dictionary->slot_count > 0) {
        memset(dictionary->slots, 0, dictionary->slot_count * sizeof *dictionary->slots);
    }
    dictionary->entry_count = 0;
}

struct k2_slice k2_parquet_dictionary_entry(const struct k2_parquet_dictionary *dictionary,
                                            uint32_t entry)
{
    size_t begin = dictionary->offsets[entry] + dictionary->prefix_bytes;
    size_t end = entry + 1 < dictionary->entry_count ? dictionary->offsets[entry + 1]
                                                     : dictionary->plain.size_bytes;
    return (struct k2_slice){dictionary->plain.data + begin, end - begin};
}

static uint64_t hash_u64(uint64_t value)
{
    value = (value ^ value >> 32) * 0x9e3779b97f4a7c15U;
    return value ^ value >> 29;
}

static uint64_t entry_u64(const struct k2_parquet_dictionary *dictionary, uint32_t entry)
{
    uint64_t value;
    memcpy(&value, dictionary->plain.data + (size_t)entry * sizeof value, sizeof value);
    return value;
}

static bool grow(struct k2_parquet_dictionary *dictionary, bool of_u64)
{
    size_t slot_count = dictionary->slot_count == 0 ? FIRST_SLOTS : dictionary->slot_count * 2;
    uint32_t *slots = k2_alloc_zero(slot_count, sizeof *slots);
    uint32_t *offsets =
        slots == NULL ? NULL : k2_realloc(dictionary->offsets, slot_count / 2, sizeof *offsets);
    if (offsets == NULL) {
        k2_free(slots);
        return false;
    }
    dictionary->offsets = offsets;
    for (uint32_t entry = 0; entry < dictionary->entry_count; entry++) {
        uint64_t hash = of_u64 ? hash_u64(entry_u64(dictionary, entry))
                               : k2_hash(k2_parquet_dictionary_entry(dictionary, entry));
        size_t slot = hash & (slot_count - 1);
        while (slots[slot] != 0) {
            slot = (slot + 1) & (slot_count - 1);
        }
        slots[slot] = entry + 1;
    }
    k2_free(dictionary->slots);
    dictionary->slots = slots;
    dictionary->slot_count = slot_count;
    dictionary->entry_room = slot_count / 2;
    return true;
}

static enum k2_parquet_lookup add(struct k2_parquet_dictionary *dictionary, size_t slot,
                                  struct k2_slice value, uint32_t *entry)
{
    size_t size_bytes = dictionary->prefix_bytes + value.size_bytes;
    if (size_bytes > K2_PARQUET_DICTIONARY_BYTES - dictionary->plain.size_bytes) {
        return K2_PARQUET_FULL;
    }
    size_t offset = dictionary->plain.size_bytes;
    uint8_t *place = k2_buffer_extend(&dictionary->plain, size_bytes);
    if (place == NULL) {
        return K2_PARQUET_NO_MEMORY;
    }
    for (size_t i = 0; i < dictionary->prefix_bytes; i++) {
        place[i] = (uint8_t)(value.size_bytes >> 8 * i);
    }
    if (value.size_bytes > 0) {
        memcpy(place + dictionary->prefix_bytes, value.data, value.size_bytes);
    }
    *entry = (uint32_t)dictionary->entry_count++;
    dictionary->offsets[*entry] = (uint32_t)offset;
    dictionary->slots[slot] = *entry + 1;
    return K2_PARQUET_ADDED;
}

enum k2_parquet_lookup k2_parquet_dictionary_find(struct k2_parquet_dictionary *dictionary,
                                                  struct k2_slice value, uint32_t *entry)
{
    if (dictionary->entry_count == dictionary->entry_room && !grow(dictionary, false)) {
        return K2_PARQUET_NO_MEMORY;
    }
    size_t mask = dictionary->slot_count - 1;
    size_t slot = k2_hash(value) & mask;
    for (; dictionary->slots[slot] != 0; slot = (slot + 1) & mask) {
        *entry = dictionary->slots[slot] - 1;
        if (k2_slice_equal(k2_parquet_dictionary_entry(dictionary, *entry), value)) {
            return K2_PARQUET_FOUND;
        }
    }
    return add(dictionary, slot, value, entry);
}

enum k2_parquet_lookup k2_parquet_dictionary_find_u64(struct k2_parquet_dictionary *dictionary,
                                                      uint64_t value, uint32_t *entry)
{
    if (dictionary->entry_count == dictionary->entry_room && !grow(dictionary, true)) {
        return K2_PARQUET_NO_MEMORY;
    }
    size_t mask = dictionary->slot_count - 1;
    size_t slot = hash_u64(value) & mask;
    for (; dictionary->slots[slot] != 0; slot = (slot + 1) & mask) {
        *entry = dictionary->slots[slot] - 1;
        if (entry_u64(dictionary, *entry) == value) {
            return K2_PARQUET_FOUND;
        }
    }
    uint8_t bytes[sizeof value];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
    return add(dictionary, slot, (struct k2_slice){bytes, sizeof bytes}, entry);
}
