// The distinct values of a column chunk, numbered in the order in which they came.
//
// Holds integers or texts, not both. Belongs to one thread.
#pragma once

#include "format/base/buffer.h"

struct k2_parquet_dictionary {
    struct k2_buffer plain; // the values as a PLAIN page has them
    uint32_t *slots;        // entry + 1, or 0
    size_t slot_count;      // a power of two, or 0
    uint32_t *offsets;      // of each entry in `plain`
    size_t entry_count, entry_room;
    size_t prefix_bytes; // before each text: its length
};

enum { K2_PARQUET_DICTIONARY_BYTES = 1 << 20 }; // ceiling of `plain`

// Zeroed is closable. `prefix_bytes` is 4 where values are lengths and bytes, else 0.
void k2_parquet_dictionary_init(struct k2_parquet_dictionary *dictionary, size_t prefix_bytes);
void k2_parquet_dictionary_deinit(struct k2_parquet_dictionary *dictionary);
void k2_parquet_dictionary_clear(struct k2_parquet_dictionary *dictionary); // keeps the memory

enum k2_parquet_lookup {
    K2_PARQUET_FOUND,
    K2_PARQUET_ADDED,
    K2_PARQUET_FULL, // the ceiling is reached, nothing changed
    K2_PARQUET_NO_MEMORY,
};

// The entry of a value, which is added if it is new.
enum k2_parquet_lookup k2_parquet_dictionary_find(struct k2_parquet_dictionary *dictionary,
                                                  struct k2_slice value, uint32_t *entry);
enum k2_parquet_lookup k2_parquet_dictionary_find_u64(struct k2_parquet_dictionary *dictionary,
                                                      uint64_t value, uint32_t *entry);

// The bytes of an entry, without their length; borrowed until the next find.
struct k2_slice k2_parquet_dictionary_entry(const struct k2_parquet_dictionary *dictionary,
                                            uint32_t entry);
