// Keys and values of the index, as bytes. Keys are big-endian so that LMDB's order is theirs;
// values are little-endian and may grow at their end (a shorter one reads as zeros there).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/bytes.h"
#include "format/base/status.h"

enum { K2_KEY_BYTES = 32 };

// A key in caller's storage.
struct k2_index_key {
    uint8_t data[K2_KEY_BYTES];
    size_t size_bytes;
};

static inline struct k2_slice k2_index_key_slice(const struct k2_index_key *key)
{
    return (struct k2_slice){key->data, key->size_bytes};
}

void k2_index_key_put(struct k2_index_key *key, uint64_t value, size_t size_bytes);
void k2_index_key_put_signed(struct k2_index_key *key, int64_t value); // sign bit flipped
uint64_t k2_index_key_get(struct k2_slice key, size_t offset, size_t size_bytes);
int64_t k2_index_key_get_signed(struct k2_slice key, size_t offset);

struct k2_index_key k2_index_key_id(uint64_t id, size_t size_bytes); // one number
struct k2_index_key k2_index_key_pair(uint16_t table, uint32_t id);  // schema, member

enum k2_segment_state {
    K2_SEGMENT_LIVE = 1,
    K2_SEGMENT_RETIRED = 2, // its rows live elsewhere; unlinked when no reader needs it
};

struct k2_segment_record {
    uint64_t length_bytes; // committed; what lies behind does not exist
    uint32_t group_count;  // those that count; a segment without any is retired
    uint8_t state;
    uint64_t run;
    bool rewritten;      // a rewrite's output; else it holds commits
    uint64_t live_bytes; // of groups that count
};

struct k2_group_record {
    uint32_t length_bytes, row_count;
    int64_t time_max_ns;
    uint32_t instrument_min, instrument_max;
    uint64_t commit_min, commit_max;
    uint16_t level;
    bool versions;      // it has rows that replace or delete older ones
    uint64_t until_max; // every row was replaced, the last of them by this snapshot; 0: not so
};

// Where a group stands; the fields of its key.
struct k2_group_place {
    uint16_t table;
    int64_t time_min_ns;
    uint64_t segment_id, offset;
};

struct k2_counter_record {
    uint64_t rows; // in the groups
    uint64_t stored, duplicates, rejected;
    uint64_t groups, bytes;
    int64_t first_time_ns, last_time_ns;
    int64_t longest_group_ns; // the widest time_max - time_min of any group so far
    uint64_t instruments;
    uint64_t hidden; // of `rows`: those that the newest snapshot does not show
    // Bytes of groups that commits, and that rewrites have written, also of those that are gone.
    uint64_t committed_bytes, rewritten_bytes;
};

enum { K2_RECORD_BYTES = 128 };
struct k2_index_value {
    uint8_t data[K2_RECORD_BYTES];
    size_t size_bytes;
};
static inline struct k2_slice k2_index_value_slice(const struct k2_index_value *value)
{
    return (struct k2_slice){value->data, value->size_bytes};
}

struct k2_index_value k2_index_value_number(uint64_t number);
uint64_t k2_index_number(struct k2_slice value);

struct k2_index_value k2_segment_record_encode(const struct k2_segment_record *record);
struct k2_segment_record k2_segment_record_decode(struct k2_slice value);

struct k2_index_key k2_group_key(const struct k2_group_place *place);
struct k2_group_place k2_group_place_of(struct k2_slice key);
struct k2_index_value k2_group_record_encode(const struct k2_group_record *record);
struct k2_group_record k2_group_record_decode(struct k2_slice value);

struct k2_index_value k2_counter_record_encode(const struct k2_counter_record *record);
struct k2_counter_record k2_counter_record_decode(struct k2_slice value);
