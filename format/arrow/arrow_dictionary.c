#include "format/arrow/arrow_dictionary.h"

#include "format/base/alloc.h"
#include "format/base/checksum.h"

enum {
    FIRST_SLOTS = 256,
    TEXT_BYTES = INT32_MAX, // offsets are int32
};

bool k2_arrow_dictionary_init(struct k2_arrow_dictionary *dictionary)
{
    *dictionary = (struct k2_arrow_dictionary){.round = 1};
    k2_buffer_init(&dictionary->text, TEXT_BYTES);
    dictionary->memo = k2_alloc_zero(K2_ARROW_MEMO, sizeof *dictionary->memo);
    return dictionary->memo != NULL;
}

void k2_arrow_dictionary_deinit(struct k2_arrow_dictionary *dictionary)
{
    k2_buffer_deinit(&dictionary->text);
    k2_free(dictionary->offsets);
    k2_free(dictionary->slots);
    k2_free(dictionary->memo);
    *dictionary = (struct k2_arrow_dictionary){0};
}

void k2_arrow_dictionary_clear(struct k2_arrow_dictionary *dictionary)
{
    k2_buffer_clear(&dictionary->text);
    if (dictionary->slot_count > 0) {
        memset(dictionary->slots, 0, dictionary->slot_count * sizeof *dictionary->slots);
    }
    dictionary->entry_count = 0;
    k2_arrow_dictionary_forget(dictionary);
}

static struct k2_slice text_of(const struct k2_arrow_dictionary *dictionary, size_t entry)
{
    size_t begin = (size_t)dictionary->offsets[entry];
    size_t end = (size_t)dictionary->offsets[entry + 1];
    return (struct k2_slice){dictionary->text.data + begin, end - begin};
}

static bool grow(struct k2_arrow_dictionary *dictionary)
{
    size_t slot_count = dictionary->slot_count == 0 ? FIRST_SLOTS : dictionary->slot_count * 2;
    size_t room = slot_count / 2;
    int32_t *offsets = k2_realloc(dictionary->offsets, room + 1, sizeof *offsets);
    if (offsets == NULL) {
        return false;
    }
    offsets[0] = 0;
    dictionary->offsets = offsets;
    uint32_t *slots = k2_alloc_zero(slot_count, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (size_t entry = 0; entry < dictionary->entry_count; entry++) {
        size_t slot = k2_hash(text_of(dictionary, entry)) & (slot_count - 1);
        while (slots[slot] != 0) {
            slot = (slot + 1) & (slot_count - 1);
        }
        slots[slot] = (uint32_t)entry + 1;
    }
    k2_free(dictionary->slots);
    dictionary->slots = slots;
    dictionary->slot_count = slot_count;
    dictionary->entry_room = room;
    return true;
}

static bool look_up(struct k2_arrow_dictionary *dictionary, struct k2_slice text, uint32_t *entry)
{
    if (dictionary->entry_count == dictionary->entry_room && !grow(dictionary)) {
        return false;
    }
    size_t mask = dictionary->slot_count - 1;
    size_t slot = k2_hash(text) & mask;
    for (; dictionary->slots[slot] != 0; slot = (slot + 1) & mask) {
        *entry = dictionary->slots[slot] - 1;
        if (k2_slice_equal(text_of(dictionary, *entry), text)) {
            return true;
        }
    }
    k2_put_bytes(&dictionary->text, text.data, text.size_bytes);
    if (dictionary->text.failed) {
        return false;
    }
    *entry = (uint32_t)dictionary->entry_count++;
    dictionary->slots[slot] = *entry + 1;
    dictionary->offsets[dictionary->entry_count] = (int32_t)dictionary->text.size_bytes;
    return true;
}

bool k2_arrow_dictionary_find(struct k2_arrow_dictionary *dictionary, struct k2_slice text,
                              int32_t *entry)
{
    uint64_t place = (uint64_t)(uintptr_t)text.data * 0x9e3779b97f4a7c15u;
    struct k2_arrow_memo *memo = &dictionary->memo[(place >> 32) % K2_ARROW_MEMO];
    bool same = memo->data == text.data && memo->size_bytes == text.size_bytes;
    if (!same || memo->round != dictionary->round) {
        // Most texts still stand where they stood: comparing is cheaper than looking up.
        uint32_t found = memo->entry;
        if (!(same && found < dictionary->entry_count &&
              k2_slice_equal(text_of(dictionary, found), text)) &&
            !look_up(dictionary, text, &found)) {
            return false;
        }
        *memo = (struct k2_arrow_memo){text.data, text.size_bytes, found, dictionary->round};
    }
    *entry = (int32_t)memo->entry;
    return true;
}
