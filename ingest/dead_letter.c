#include "ingest/dead_letter.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include "engine/instruments.h"
#include "format/base/alloc.h"

static const char table_name[] = "_deadletter";
static const char exchange_name[] = "_k2";

struct k2_dead_letters {
    struct k2_engine *engine;       // borrowed
    const struct k2_schema *schema; // borrowed from the engine
    struct k2_row_batch *batch;     // owned
    int64_t next_sequence;          // unique in the store: writer run, then a count
    int reason, detail, source, position, payload, truncated; // columns
};

static int column(const struct k2_schema *schema, const char *name)
{
    return k2_schema_find(schema, k2_slice_of(name));
}

enum k2_status k2_dead_letters_create(struct k2_dead_letters **letters, struct k2_engine *engine,
                                      struct k2_error *error)
{
    const struct k2_table *table = k2_engine_table(engine, k2_slice_of(table_name));
    struct k2_dead_letters *self = k2_alloc_zero(1, sizeof *self);
    if (table == NULL || self == NULL) {
        k2_free(self);
        return table == NULL ? k2_fail(error, K2_CORRUPT, "table %s is missing", table_name)
                             : k2_fail(error, K2_NO_MEMORY, "dead letters: out of memory");
    }
    *self = (struct k2_dead_letters){
        .engine = engine,
        .schema = table->schema,
        .next_sequence = (int64_t)(k2_engine_run(engine) << 32 | 1),
        .reason = column(table->schema, "reason"),
        .detail = column(table->schema, "detail"),
        .source = column(table->schema, "source"),
        .position = column(table->schema, "position"),
        .payload = column(table->schema, "payload"),
        .truncated = column(table->schema, "payload_truncated"),
    };
    enum k2_status status =
        k2_row_batch_create(&self->batch, table->schema, K2_GROUP_ROWS, false, error);
    if (status != K2_OK) {
        k2_dead_letters_destroy(self);
        return status;
    }
    *letters = self;
    return K2_OK;
}

void k2_dead_letters_destroy(struct k2_dead_letters *letters)
{
    if (letters != NULL) {
        k2_row_batch_destroy(letters->batch);
        k2_free(letters);
    }
}

size_t k2_dead_letters_count(const struct k2_dead_letters *letters)
{
    return letters->batch->row_count;
}

size_t k2_dead_letters_room(const struct k2_dead_letters *letters)
{
    return letters->batch->row_capacity - letters->batch->row_count;
}

struct k2_dead_letters_mark k2_dead_letters_mark(const struct k2_dead_letters *letters)
{
    return (struct k2_dead_letters_mark){letters->batch->row_count,
                                         letters->batch->text.size_bytes};
}

void k2_dead_letters_return(struct k2_dead_letters *letters, struct k2_dead_letters_mark mark)
{
    assert(mark.count <= letters->batch->row_count);
    while (letters->batch->row_count > mark.count) {
        k2_row_batch_drop_last(letters->batch);
    }
    letters->batch->text.size_bytes = mark.text_bytes;
}

static enum k2_status fill(struct k2_dead_letters *letters, size_t row,
                           const struct k2_dead_letter *letter, struct k2_error *error)
{
    struct k2_slice payload = letter->payload;
    bool truncated = payload.size_bytes > K2_DEAD_LETTER_PAYLOAD_BYTES;
    if (truncated) {
        payload.size_bytes = K2_DEAD_LETTER_PAYLOAD_BYTES;
    }
    const struct {
        int column;
        const char *text;
    } texts[] = {
        {letters->reason, letter->reason},
        {letters->detail, letter->detail},
        {letters->source, letter->source},
    };
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && status == K2_OK; i++) {
        if (texts[i].text != NULL) {
            status = k2_row_batch_set_text(letters->batch, row, (size_t)texts[i].column,
                                           k2_slice_of(texts[i].text), error);
        }
    }
    if (status == K2_OK) {
        status =
            k2_row_batch_set_text(letters->batch, row, (size_t)letters->payload, payload, error);
    }
    k2_row_batch_set_value(letters->batch, row, (size_t)letters->position,
                           (int64_t)letter->position);
    k2_row_batch_set_value(letters->batch, row, (size_t)letters->truncated, truncated);
    return status;
}

enum k2_status k2_dead_letters_add(struct k2_dead_letters *letters,
                                   const struct k2_dead_letter *letter, struct k2_error *error)
{
    if (k2_dead_letters_room(letters) == 0) {
        return k2_fail(error, K2_LIMIT, "dead letters: %d wait already", K2_GROUP_ROWS);
    }
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct k2_row_key key = {
        .time_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec,
        .sequence = letters->next_sequence,
    };
    size_t row;
    enum k2_status status =
        k2_instrument_intern(letters->engine, k2_slice_of(exchange_name),
                             k2_slice_of(letter->table), &key.instrument, error);
    if (status == K2_OK) {
        status = k2_row_batch_add(letters->batch, &key, 0, &row, error);
    }
    if (status != K2_OK) {
        return status;
    }
    status = fill(letters, row, letter, error);
    if (status != K2_OK) {
        k2_row_batch_drop_last(letters->batch);
        return status;
    }
    letters->next_sequence++;
    return K2_OK;
}

enum k2_status k2_dead_letters_add_conflicts(struct k2_dead_letters *letters,
                                             const struct k2_row_batch *batch,
                                             const struct k2_commit_outcome *outcome,
                                             const char *source, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < outcome->conflict_count && status == K2_OK; i++) {
        uint32_t row = outcome->conflicts[i];
        struct k2_dead_letter letter = {
            .table = batch->schema->table,
            .reason = k2_row_fate_reason((enum k2_row_fate)outcome->fates[row]),
            .detail = k2_row_fate_detail((enum k2_row_fate)outcome->fates[row]),
            .source = source,
            .position = batch->positions[row],
            .payload = k2_row_batch_text(batch, batch->payloads[row]),
        };
        status = k2_dead_letters_add(letters, &letter, error);
    }
    return status;
}

enum k2_status k2_dead_letters_commit(struct k2_dead_letters *letters, struct k2_commit *commit,
                                      struct k2_error *error)
{
    struct k2_commit_outcome outcome;
    if (letters->batch->row_count == 0) {
        return K2_OK;
    }
    return k2_commit_add(commit, letters->batch, K2_NUMBERING_SPARSE, &outcome, error);
}

void k2_dead_letters_clear(struct k2_dead_letters *letters)
{
    k2_row_batch_clear(letters->batch);
}
