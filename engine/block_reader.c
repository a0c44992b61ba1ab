#include "engine/block_reader.h"

#include <assert.h>

#include "format/base/alloc.h"

enum k2_status k2_block_reader_init(struct k2_block_reader *reader, struct k2_group_set *set,
                                    const size_t *slots, size_t slot_count, struct k2_error *error)
{
    *reader = (struct k2_block_reader){.set = set};
    reader->columns = k2_alloc_zero(slot_count, sizeof *reader->columns);
    if (reader->columns == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "scan: no memory for %zu columns", slot_count);
    }
    reader->column_count = slot_count;
    for (size_t i = 0; i < slot_count; i++) {
        reader->columns[i].slot = slots[i];
        reader->columns[i].store = k2_room_pool_take(set->rooms, sizeof *reader->columns[i].store);
        if (reader->columns[i].store == NULL) {
            k2_block_reader_deinit(reader);
            return k2_fail(error, K2_NO_MEMORY, "scan: no memory for a block");
        }
    }
    return K2_OK;
}

void k2_block_reader_deinit(struct k2_block_reader *reader)
{
    for (size_t i = 0; i < reader->column_count; i++) {
        k2_room_pool_give(reader->set->rooms, reader->columns[i].store);
    }
    k2_free(reader->columns);
    *reader = (struct k2_block_reader){0};
}

void k2_block_reader_forget(struct k2_block_reader *reader)
{
    reader->cursor = NULL;
    for (size_t i = 0; i < reader->column_count; i++) {
        reader->columns[i].is_loaded = false;
    }
}

void k2_block_reader_narrow(struct k2_block_reader *reader, uint32_t first, uint32_t end)
{
    k2_block_reader_forget(reader);
    reader->first = first;
    reader->end = end;
}

static enum k2_status narrow_column(const struct k2_block_reader *reader, size_t slot,
                                    struct k2_error *error)
{
    struct k2_column_reader *column;
    enum k2_status status = k2_group_set_reader(reader->set, reader->cursor, slot, &column, error);
    if (status == K2_OK && column != NULL) {
        k2_column_reader_narrow(column, reader->first, reader->end);
    }
    return status;
}

enum k2_status k2_block_reader_get(struct k2_block_reader *reader, struct k2_group_cursor *cursor,
                                   uint32_t block, size_t index, const struct k2_vector **vector,
                                   struct k2_error *error)
{
    assert(index < reader->column_count);
    if (reader->cursor != cursor || reader->block != block) {
        k2_block_reader_forget(reader);
        reader->cursor = cursor;
        reader->block = block;
    }
    struct k2_block_column *column = &reader->columns[index];
    *vector = &column->vector;
    if (column->is_loaded) {
        return K2_OK;
    }
    enum k2_status status = reader->end > 0 ? narrow_column(reader, column->slot, error) : K2_OK;
    if (status == K2_OK) {
        status = k2_group_set_decode(reader->set, cursor, column->slot, block, column->store,
                                     &column->vector, error);
    }
    column->is_loaded = status == K2_OK;
    return status;
}

enum k2_factors k2_block_reader_factors(const struct k2_block_reader *reader,
                                        const struct k2_group_cursor *cursor, size_t left,
                                        size_t right)
{
    int64_t left_min, left_max, right_min, right_max;
    k2_group_set_bounds(reader->set, cursor, reader->columns[left].slot, &left_min, &left_max);
    k2_group_set_bounds(reader->set, cursor, reader->columns[right].slot, &right_min, &right_max);
    return k2_factors_of(left_min, left_max, right_min, right_max);
}
