// Some columns of one row group at a time, a block at a time, each decoded when it is first needed.
//
// Rising rows decode each block once. Belongs to one thread; borrows the group set.
#pragma once

#include "engine/group_set.h"
#include "engine/vector_sums.h"

struct k2_block_column {
    size_t slot;
    bool is_loaded;
    struct k2_vector vector;
    struct k2_vector_store *store; // owned
};

// Zeroed may be deinited.
struct k2_block_reader {
    struct k2_group_set *set;
    struct k2_block_column *columns;
    size_t column_count;
    struct k2_group_cursor *cursor;
    uint32_t block;
    uint32_t first, end; // rows of each block that are wanted; 0 and 0: all
};

K2_MUST_CHECK enum k2_status k2_block_reader_init(struct k2_block_reader *reader,
                                                  struct k2_group_set *set, const size_t *slots,
                                                  size_t slot_count, struct k2_error *error);
void k2_block_reader_deinit(struct k2_block_reader *reader);

// What the statistics of the group say of two columns, by their places among the slots.
enum k2_factors k2_block_reader_factors(const struct k2_block_reader *reader,
                                        const struct k2_group_cursor *cursor, size_t left,
                                        size_t right);

// Forgets what is decoded: to be called when a group is closed.
void k2_block_reader_forget(struct k2_block_reader *reader);

// From the next vector on only rows [first, end) of its block are wanted, what it has of others may
// be anything; 0 and 0: all. Forgets what is decoded.
void k2_block_reader_narrow(struct k2_block_reader *reader, uint32_t first, uint32_t end);

// The vector of a column, by its place among the slots; valid until another block is asked for.
K2_MUST_CHECK enum k2_status k2_block_reader_get(struct k2_block_reader *reader,
                                                 struct k2_group_cursor *cursor, uint32_t block,
                                                 size_t column, const struct k2_vector **vector,
                                                 struct k2_error *error);
