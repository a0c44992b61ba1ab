// Declared in row_group_view.h: sums and ranges of columns, from the statistics where they can.
#include <assert.h>

#include "format/codec/bitpack.h"
#include "format/segment/row_group_view_private.h"
#include "format/segment/segment_layout.h"

enum { ZONE_ROWS = K2_ZONE_BLOCKS * K2_BLOCK_ROWS };

// What is asked of a column: one or the other.
struct question {
    struct k2_column_reader *reader;
    struct k2_vector_store *store;
    struct k2_range_sum *sum;       // or NULL
    struct k2_range_bounds *bounds; // or NULL
};

static void add_bounds(struct k2_range_bounds *bounds, int64_t min, int64_t max)
{
    bounds->min = !bounds->found || min < bounds->min ? min : bounds->min;
    bounds->max = !bounds->found || max > bounds->max ? max : bounds->max;
    bounds->found = true;
}

static void add_stats(const struct question *question, const struct k2_column_stats *stats,
                      uint32_t row_count)
{
    // More nulls than rows can only stand in damaged bytes.
    uint32_t null_count = stats->null_count < row_count ? stats->null_count : row_count;
    if (question->sum != NULL) {
        question->sum->sum += stats->sum;
        question->sum->value_count += row_count - null_count;
    } else if (question->bounds != NULL && stats->has_range) {
        add_bounds(question->bounds, stats->min, stats->max);
    }
}

// True when any 1,024 values between the bounds add up to less than 2^63.
static bool are_small(const struct k2_column_stats *stats)
{
    int64_t most = INT64_C(1) << 53;
    return stats->has_range && stats->min > -most && stats->max < most;
}

static void add_values(struct k2_range_sum *sum, const int64_t *values, const uint8_t *valid,
                       uint32_t row_count, bool small)
{
    uint64_t short_sum = 0;
    uint32_t count = row_count;
    if (valid != NULL) {
        count = 0;
        for (uint32_t i = 0; i < row_count; i++) {
            count += valid[i];
        }
    }
    if (small && valid == NULL) {
        short_sum = k2_bitpack_selected()->sum(values, row_count);
    } else if (small) {
        for (uint32_t i = 0; i < row_count; i++) {
            short_sum += (uint64_t)values[i] & -(uint64_t)valid[i];
        }
    } else {
        for (uint32_t i = 0; i < row_count; i++) {
            sum->sum += valid == NULL || valid[i] != 0 ? values[i] : 0;
        }
    }
    sum->sum += (int64_t)short_sum;
    sum->value_count += count;
}

static void add_range(struct k2_range_bounds *bounds, const int64_t *values, const uint8_t *valid,
                      uint32_t row_count)
{
    int64_t min;
    int64_t max;
    if (valid == NULL) {
        k2_bitpack_selected()->range(values, row_count, &min, &max);
        add_bounds(bounds, min, max);
        return;
    }
    for (uint32_t i = 0; i < row_count; i++) {
        if (valid[i] != 0) {
            add_bounds(bounds, values[i], values[i]);
        }
    }
}

static enum k2_status add_block(const struct question *question, uint32_t block, uint32_t first,
                                uint32_t row_count, struct k2_error *error)
{
    struct k2_vector vector;
    uint32_t rows;
    enum k2_status status =
        k2_column_reader_decode(question->reader, block, question->store, &vector, &rows, error);
    if (status != K2_OK) {
        return status;
    }
    const int64_t *values = vector.values + first;
    const uint8_t *valid = vector.valid == NULL ? NULL : vector.valid + first;
    if (question->sum != NULL) {
        add_values(question->sum, values, valid, row_count, are_small(&question->reader->stats));
    } else {
        add_range(question->bounds, values, valid, row_count);
    }
    return K2_OK;
}

// Adds up to the end of a zone, of a block or of the rows, whichever comes first and can be taken
// at once; gives how many rows that were.
static enum k2_status add_next(const struct question *question, uint32_t row, uint32_t row_count,
                               uint32_t *taken, struct k2_error *error)
{
    uint32_t zone_rows = question->reader->view->row_count - row / ZONE_ROWS * ZONE_ROWS;
    zone_rows = zone_rows < ZONE_ROWS ? zone_rows : ZONE_ROWS;
    struct k2_column_stats stats;
    if (row % ZONE_ROWS == 0 && row_count >= zone_rows &&
        k2_integer_chunk_zone(&question->reader->integers, row / ZONE_ROWS, &stats)) {
        add_stats(question, &stats, zone_rows);
        *taken = zone_rows;
        return K2_OK;
    }
    uint32_t first = row % K2_BLOCK_ROWS;
    uint32_t rest = K2_BLOCK_ROWS - first;
    *taken = row_count < rest ? row_count : rest;
    return add_block(question, row / K2_BLOCK_ROWS, first, *taken, error);
}

static enum k2_status answer(const struct question *question, uint32_t first_row,
                             uint32_t row_count, struct k2_error *error)
{
    const struct k2_column_reader *reader = question->reader;
    if (!k2_kind_is_fixed(reader->kind) || reader->kind == K2_KIND_FLOAT64) {
        return k2_fail(error, K2_CORRUPT, "values of kind %s have no sum and no range",
                       k2_kind_name(reader->kind));
    }
    assert(row_count >= 1 && first_row < reader->view->row_count &&
           row_count <= reader->view->row_count - first_row);
    if (reader->all_null) {
        return K2_OK;
    }
    if (reader->constant) {
        struct k2_column_stats stats = {true, reader->value, reader->value,
                                        (k2_int128)reader->value * row_count, 0};
        add_stats(question, &stats, row_count);
        return K2_OK;
    }
    if (row_count == reader->view->row_count) {
        add_stats(question, &reader->stats, row_count);
        return K2_OK;
    }
    enum k2_status status = K2_OK;
    for (uint32_t taken; status == K2_OK && row_count > 0; row_count -= taken) {
        status = add_next(question, first_row, row_count, &taken, error);
        first_row += taken;
    }
    return status;
}

enum k2_status k2_column_reader_sum(struct k2_column_reader *reader, uint32_t first_row,
                                    uint32_t row_count, struct k2_vector_store *store,
                                    struct k2_range_sum *sum, struct k2_error *error)
{
    struct question question = {.reader = reader, .store = store, .sum = sum};
    return answer(&question, first_row, row_count, error);
}

enum k2_status k2_column_reader_range(struct k2_column_reader *reader, uint32_t first_row,
                                      uint32_t row_count, struct k2_vector_store *store,
                                      struct k2_range_bounds *bounds, struct k2_error *error)
{
    struct question question = {.reader = reader, .store = store, .bounds = bounds};
    return answer(&question, first_row, row_count, error);
}
