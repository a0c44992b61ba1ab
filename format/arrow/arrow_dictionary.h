// The distinct texts of a symbolic column, numbered in the order in which they came, laid out as an
// Arrow array of texts.
//
// Belongs to one thread.
#pragma once

#include "format/base/buffer.h"

enum { K2_ARROW_MEMO = 4096 };

// Texts that were found a moment ago, by the place where they stand.
struct k2_arrow_memo {
    const uint8_t *data;
    size_t size_bytes;
    uint32_t entry;
    uint32_t round;
};

struct k2_arrow_dictionary {
    struct k2_buffer text;
    int32_t *offsets; // entry_count + 1, in the machine's order
    uint32_t *slots;  // entry + 1, or 0
    size_t slot_count;
    size_t entry_count, entry_room;
    struct k2_arrow_memo *memo;
    uint32_t round;
};

// Zeroed is closable.
K2_MUST_CHECK bool k2_arrow_dictionary_init(struct k2_arrow_dictionary *dictionary);
void k2_arrow_dictionary_deinit(struct k2_arrow_dictionary *dictionary);
void k2_arrow_dictionary_clear(struct k2_arrow_dictionary *dictionary); // keeps the memory

// The texts that lie in memory may have changed since the last find.
static inline void k2_arrow_dictionary_forget(struct k2_arrow_dictionary *dictionary)
{
    dictionary->round++;
}

// The entry of a text, which is added if it is new; false when memory is short. Texts are told
// apart by where they stand, as long as nothing is forgotten.
K2_MUST_CHECK bool k2_arrow_dictionary_find(struct k2_arrow_dictionary *dictionary,
                                            struct k2_slice text, int32_t *entry);
