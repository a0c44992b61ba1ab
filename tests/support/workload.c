#include "tests/support/workload.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "engine/commit.h"
#include "engine/compact.h"
#include "engine/instruments.h"
#include "engine/scan.h"
#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "tests/support/tier.h"

enum step_kind { APPEND, TAG, COMPACT, REOPEN };

static const enum step_kind script[WORKLOAD_STEPS] = {
    APPEND, APPEND,  TAG,    APPEND, COMPACT, APPEND, REOPEN,  APPEND,
    APPEND, COMPACT, APPEND, REOPEN, APPEND,  TAG,    COMPACT, REOPEN,
};

enum { TABLE_COUNT = 2 };
static const char *const table_names[] = {"trades", "quotes"};
static const char *const value_columns[] = {"price", "bid_price"};
static const char *const text_columns[] = {"trade_id", "quote_id"};

struct row {
    int64_t time_ns, sequence, value;
    size_t step;
    char symbol[4], id[24];
};

// The rows of a table's first steps in the store's order. They follow from nothing but the steps'
// numbers, so they are made once a process.
static struct {
    struct row *rows;
    size_t count, steps;
} made[TABLE_COUNT];

static enum step_kind kind_of(size_t step)
{
    return script[step % WORKLOAD_STEPS];
}

bool workload_reopens(size_t step)
{
    return kind_of(step) == REOPEN;
}

// ---- what the rows are

static size_t rows_of(size_t step, size_t table)
{
    if (kind_of(step) != APPEND || (table == 1 && step % 3 != 0)) {
        return 0;
    }
    return step == 5 ? 1100 : 3 + step * 7 % 29; // once more than one block
}

static struct row row_of(size_t step, size_t table, size_t index)
{
    // Steps do not come in the order of their times, and instruments interleave.
    int64_t second = (int64_t)(step / 16 * 16 + step * 5 % 16);
    struct row row = {
        .time_ns = 1700000000000000000 + second * 1000000000 + (int64_t)(index / 2) * 1000,
        .sequence = (int64_t)(step * 10000 + index),
        .value = (int64_t)(1000000 * (step + 1) + 100 * index + table),
        .step = step,
        .symbol = {'S', '-', (char)('A' + index % 3), '\0'},
    };
    (void)snprintf(row.id, sizeof row.id, "id-%" PRId64, row.sequence);
    return row;
}

static int order_rows(const void *left, const void *right)
{
    const struct row *a = left;
    const struct row *b = right;
    if (a->time_ns != b->time_ns) {
        return a->time_ns < b->time_ns ? -1 : 1;
    }
    if (a->symbol[2] != b->symbol[2]) {
        return a->symbol[2] < b->symbol[2] ? -1 : 1;
    }
    return (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

// At least the rows of the first `steps` steps; those of later ones are passed over.
static const struct row *rows_up_to(size_t table, size_t steps, size_t *count)
{
    if (made[table].rows == NULL || made[table].steps < steps) {
        size_t used = 0, room = 0, until = (steps / WORKLOAD_STEPS + 1) * WORKLOAD_STEPS;
        for (size_t step = 0; step < until; step++) {
            room += rows_of(step, table);
        }
        free(made[table].rows);
        struct row *rows = malloc((room + 1) * sizeof *rows);
        assert_non_null(rows);
        for (size_t step = 0; step < until; step++) {
            for (size_t i = 0; i < rows_of(step, table); i++) {
                rows[used++] = row_of(step, table, i);
            }
        }
        qsort(rows, used, sizeof *rows, order_rows);
        made[table].rows = rows;
        made[table].count = used;
        made[table].steps = until;
    }
    *count = made[table].count;
    return made[table].rows;
}

// ---- doing a step

static enum k2_status fill_row(struct k2_engine *engine, struct k2_row_batch *batch, size_t table,
                               const struct row *row, struct k2_error *error)
{
    struct k2_row_key key = {.time_ns = row->time_ns, .sequence = row->sequence};
    size_t index;
    enum k2_status status = k2_instrument_intern(engine, k2_slice_of("TEST"),
                                                 k2_slice_of(row->symbol), &key.instrument, error);
    if (status == K2_OK) {
        status = k2_row_batch_add(batch, &key, (uint64_t)row->sequence, &index, error);
    }
    if (status != K2_OK) {
        return status;
    }
    int value_column = k2_schema_find(batch->schema, k2_slice_of(value_columns[table]));
    int text_column = k2_schema_find(batch->schema, k2_slice_of(text_columns[table]));
    k2_row_batch_set_value(batch, index, (size_t)value_column, row->value);
    status = k2_row_batch_set_text(batch, index, (size_t)text_column, k2_slice_of(row->id), error);
    if (status == K2_OK && table == 0) {
        int quantity = k2_schema_find(batch->schema, k2_slice_of("quantity"));
        k2_row_batch_set_value(batch, index, (size_t)quantity, row->value + 1);
    }
    return status;
}

// The rows of the step and, as a duplicate, the first row of the append before it.
static enum k2_status fill_batch(struct k2_engine *engine, struct k2_row_batch *batch, size_t table,
                                 size_t step, size_t *duplicates, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    *duplicates = 0;
    for (size_t before = step; before-- > 0 && *duplicates == 0 && status == K2_OK;) {
        if (rows_of(before, table) > 0) {
            struct row row = row_of(before, table, 0);
            status = fill_row(engine, batch, table, &row, error);
            *duplicates = 1;
        }
    }
    for (size_t i = 0; i < rows_of(step, table) && status == K2_OK; i++) {
        struct row row = row_of(step, table, i);
        status = fill_row(engine, batch, table, &row, error);
    }
    return status;
}

static enum k2_status add_batch(struct k2_engine *engine, struct k2_commit *commit, size_t table,
                                size_t step, struct k2_row_batch **batch, struct k2_error *error)
{
    const struct k2_table *target = k2_engine_table(engine, k2_slice_of(table_names[table]));
    assert_non_null(target);
    size_t duplicates = 0;
    enum k2_status status =
        k2_row_batch_create(batch, target->schema, rows_of(step, table) + 1, false, error);
    if (status == K2_OK) {
        status = fill_batch(engine, *batch, table, step, &duplicates, error);
    }
    struct k2_commit_outcome outcome = {0};
    if (status == K2_OK) {
        status = k2_commit_add(commit, *batch, K2_NUMBERING_SPARSE, &outcome, error);
    }
    if (status == K2_OK && (outcome.stored != rows_of(step, table) ||
                            outcome.duplicates != duplicates || outcome.conflict_count != 0)) {
        return k2_fail(error, K2_REJECTED, "step %zu: stored %zu of %zu, %zu duplicates", step,
                       outcome.stored, rows_of(step, table), outcome.duplicates);
    }
    return status;
}

static enum k2_status append(struct k2_engine *engine, size_t step, uint64_t *snapshot,
                             struct k2_error *error)
{
    struct k2_commit *commit = NULL;
    struct k2_row_batch *batches[TABLE_COUNT] = {0};
    enum k2_status status = k2_commit_begin(engine, &commit, error);
    for (size_t table = 0; table < TABLE_COUNT && status == K2_OK; table++) {
        if (rows_of(step, table) > 0) {
            status = add_batch(engine, commit, table, step, &batches[table], error);
        }
    }
    char text[32];
    (void)snprintf(text, sizeof text, "%zu", step);
    if (status == K2_OK) {
        status = k2_commit_set_progress(commit, k2_slice_of("test/step"), k2_slice_of(text), error);
    }
    if (status == K2_OK) {
        status = k2_commit_finish(commit, snapshot, error);
    } else if (commit != NULL) {
        k2_commit_abort(commit);
    }
    for (size_t table = 0; table < TABLE_COUNT; table++) {
        k2_row_batch_destroy(batches[table]);
    }
    return status;
}

static enum k2_status set_tag(struct k2_engine *engine, size_t step, struct k2_error *error)
{
    char name[32];
    (void)snprintf(name, sizeof name, "step-%zu", step);
    struct k2_snapshot newest;
    enum k2_status status = k2_snapshot_newest(engine, &newest, error);
    if (status == K2_OK) {
        status = k2_tag_set(engine, k2_slice_of(name), newest.id, error);
    }
    return status;
}

bool workload_is_compaction(size_t step)
{
    return kind_of(step) == COMPACT;
}

enum k2_status workload_open(struct k2_engine **engine, const char *path, struct k2_error *error)
{
    enum k2_status status = k2_engine_open(engine, path, K2_ENGINE_CREATE, error);
    for (size_t i = 0; i < TABLE_COUNT && status == K2_OK; i++) {
        const struct k2_table *table = k2_engine_table(*engine, k2_slice_of(table_names[i]));
        struct k2_schema *schema = NULL;
        if (table == NULL) {
            status = k2_schema_builtin(&schema, table_names[i], error);
        }
        if (table == NULL && status == K2_OK) {
            status = k2_engine_add_table(*engine, &schema, &table, error);
            k2_schema_destroy(schema);
        }
    }
    if (status != K2_OK) {
        k2_engine_close(*engine);
        *engine = NULL;
    }
    return status;
}

enum k2_status workload_step(struct k2_engine **engine, const char *path,
                             struct workload_journal *journal, struct k2_error *error)
{
    size_t step = atomic_load(&journal->done);
    assert_true(step < WORKLOAD_MOST_STEPS);
    atomic_store(&journal->begun, step + 1);
    uint64_t snapshot = 0;
    enum k2_status status = K2_OK;
    switch (kind_of(step)) {
    case APPEND:
        status = append(*engine, step, &snapshot, error);
        break;
    case TAG:
        status = set_tag(*engine, step, error);
        break;
    case COMPACT: {
        struct k2_compact_options options = {.full = step % 2 == 0};
        struct k2_compact_report report;
        status = k2_compact(*engine, &options, &report, error);
        break;
    }
    case REOPEN:
        k2_engine_close(*engine);
        *engine = NULL;
        status = workload_open(engine, path, error);
        break;
    }
    if (status == K2_OK) {
        atomic_store(&journal->snapshots[step], snapshot);
        atomic_store(&journal->done, step + 1);
    }
    return status;
}

// ---- judging

static bool same_text(struct k2_slice text, const char *wanted)
{
    return k2_slice_equal(text, k2_slice_of(wanted));
}

static bool same_row(const struct k2_vector *columns, size_t index, const struct row *row)
{
    return columns[0].values[index] == row->time_ns && columns[1].values[index] == row->sequence &&
           columns[2].values[index] == row->value &&
           same_text(columns[3].texts[index], row->symbol) &&
           same_text(columns[4].texts[index], row->id) &&
           same_text(columns[5].texts[index], "TEST");
}

// The next row of the first `steps` steps at or after `index`.
static size_t skip_rows(const struct row *rows, size_t row_count, size_t index, size_t steps)
{
    while (index < row_count && rows[index].step >= steps) {
        index++;
    }
    return index;
}

static bool compare_rows(struct k2_scan *scan, size_t table, size_t steps, uint64_t snapshot,
                         struct k2_error *why)
{
    size_t row_count, seen = 0;
    const struct row *rows = rows_up_to(table, steps, &row_count);
    size_t next = skip_rows(rows, row_count, 0, steps);
    char what[64];
    (void)snprintf(what, sizeof what, "%s as of %" PRIu64 ", %zu steps", table_names[table],
                   snapshot, steps);
    for (;;) {
        const struct k2_vector *columns;
        size_t count = 0;
        if (k2_scan_next(scan, &columns, &count, why) != K2_OK) {
            k2_error_annotate(why, "%s: row %zu", what, seen);
            return false;
        }
        if (count == 0) {
            break;
        }
        for (size_t i = 0; i < count; i++, seen++) {
            if (next >= row_count || !same_row(columns, i, &rows[next])) {
                (void)k2_fail(why, K2_REJECTED,
                              "%s: row %zu is sequence %" PRId64 ", expected %" PRId64, what, seen,
                              columns[1].values[i], next < row_count ? rows[next].sequence : -1);
                return false;
            }
            next = skip_rows(rows, row_count, next + 1, steps);
        }
    }
    if (next != row_count) {
        (void)k2_fail(why, K2_REJECTED, "%s: ends after %zu rows, before sequence %" PRId64, what,
                      seen, rows[next].sequence);
    }
    return next == row_count;
}

// The rows of one table as of `snapshot` (0: now) are those of the first `steps` steps.
static bool table_matches(struct k2_engine *engine, size_t table, uint64_t snapshot, size_t steps,
                          struct k2_error *why)
{
    const struct k2_table *source = k2_engine_table(engine, k2_slice_of(table_names[table]));
    bool matches = false;
    if (source == NULL) {
        (void)k2_fail(why, K2_REJECTED, "no table %s", table_names[table]);
        return false;
    }
    const size_t columns[] = {
        K2_TIMESTAMP,
        K2_SEQUENCE,
        (size_t)k2_schema_find(source->schema, k2_slice_of(value_columns[table])),
        K2_SYMBOL,
        (size_t)k2_schema_find(source->schema, k2_slice_of(text_columns[table])),
        K2_EXCHANGE,
    };
    struct k2_scan_request request = {
        .table = source, .snapshot = snapshot, .columns = columns, .column_count = 6};
    struct k2_scan *scan = NULL;
    if (k2_scan_open(engine, &request, &scan, why) == K2_OK) {
        matches = compare_rows(scan, table, steps, snapshot, why);
        k2_scan_close(scan);
    }
    return matches;
}

static bool tags_match(struct k2_engine *engine, size_t steps, struct k2_error *why)
{
    size_t wanted = 0;
    for (size_t step = 0; step < steps; step++) {
        wanted += kind_of(step) == TAG;
    }
    struct k2_tag *tags = NULL;
    size_t count = 0;
    if (k2_tag_list(engine, &tags, &count, why) != K2_OK) {
        return false;
    }
    k2_free(tags);
    if (count != wanted) {
        (void)k2_fail(why, K2_REJECTED, "%zu tags, expected %zu", count, wanted);
    }
    return count == wanted;
}

static bool progress_matches(struct k2_engine *engine, size_t steps, struct k2_error *why)
{
    char wanted[32] = "";
    for (size_t step = steps; step-- > 0 && wanted[0] == '\0';) {
        if (kind_of(step) == APPEND) {
            (void)snprintf(wanted, sizeof wanted, "%zu", step);
        }
    }
    struct k2_buffer value;
    k2_buffer_init(&value, 64);
    bool found = false;
    bool matches =
        k2_engine_progress(engine, k2_slice_of("test/step"), &found, &value, why) == K2_OK;
    if (matches) {
        matches = found ? same_text(k2_buffer_slice(&value), wanted) : wanted[0] == '\0';
        if (!matches) {
            (void)k2_fail(why, K2_REJECTED, "progress is `%.*s`, expected `%s`",
                          (int)value.size_bytes, (const char *)value.data, wanted);
        }
    }
    k2_buffer_deinit(&value);
    return matches;
}

bool workload_matches(struct k2_engine *engine, const struct workload_journal *journal,
                      size_t steps, size_t past_count, uint64_t *chance, struct k2_error *why)
{
    bool matches = tags_match(engine, steps, why) && progress_matches(engine, steps, why);
    for (size_t table = 0; table < TABLE_COUNT && matches; table++) {
        matches = table_matches(engine, table, 0, steps, why);
    }
    for (size_t i = 0; i < past_count && matches && steps > 0; i++) {
        size_t step = (size_t)test_random_below(chance, steps);
        uint64_t snapshot = atomic_load(&journal->snapshots[step]);
        for (size_t table = 0; table < TABLE_COUNT && matches && snapshot != 0; table++) {
            matches = table_matches(engine, table, snapshot, step + 1, why);
        }
    }
    return matches;
}

void workload_settle(struct k2_engine *engine, struct workload_journal *journal, uint64_t *chance,
                     const char *where)
{
    size_t done = atomic_load(&journal->done);
    size_t begun = atomic_load(&journal->begun);
    struct k2_error first = {0};
    struct k2_error second = {0};
    if (!workload_matches(engine, journal, done, 4, chance, &first)) {
        if (begun == done || !workload_matches(engine, journal, begun, 4, chance, &second)) {
            fail_msg("%s: after %zu of %zu steps: %s | %s", where, done, begun, first.text,
                     second.text);
        }
        done = begun;
    }
    atomic_store(&journal->done, done);
    atomic_store(&journal->begun, done);
}

// ---- the journal

struct workload_journal *workload_journal_create(void)
{
    struct workload_journal *journal = mmap(NULL, sizeof *journal, PROT_READ | PROT_WRITE,
                                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(journal != MAP_FAILED);
    return journal;
}

void workload_journal_reset(struct workload_journal *journal)
{
    for (size_t i = 0; i < atomic_load(&journal->begun); i++) {
        atomic_store(&journal->snapshots[i], 0);
    }
    atomic_store(&journal->begun, 0);
    atomic_store(&journal->done, 0);
}

void workload_journal_destroy(struct workload_journal *journal)
{
    assert_int_equal(munmap(journal, sizeof *journal), 0);
}
