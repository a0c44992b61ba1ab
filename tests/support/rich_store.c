#include "tests/support/rich_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/commit.h"
#include "engine/compact.h"
#include "engine/export_note.h"
#include "engine/gap_list.h"
#include "engine/instruments.h"
#include "engine/policy.h"
#include "engine/retain.h"
#include "engine/scan.h"
#include "engine/snapshot.h"

const char *const rich_table_names[RICH_TABLES] = {"trades", "quotes"};

static const char *const symbols[] = {"AAA", "BB", "BBB"};
static const char *const values[RICH_TABLES][2] = {{"price", "quantity"},
                                                   {"bid_price", "ask_price"}};
static const char *const texts[RICH_TABLES] = {"trade_id", "quote_id"};

enum { SYMBOLS = 3, LONG_STEP = 4 };

static const int64_t start_ns = 1700000000000000000;
static const int64_t minute_ns = 60000000000;
static const int64_t century_ns = INT64_C(100) * 365 * 86400 * 1000000000;

struct row {
    size_t symbol;
    int64_t time_ns, sequence, value;
    bool deletes;
};

// ---- rows

// Sources count 1, 2, 3 ...; a step leaves a hole which a later one fills, in whole or in part.
static size_t trades_of(size_t step, struct row *rows)
{
    size_t count = 0, wanted = step == LONG_STEP ? 400 : 12;
    for (size_t symbol = 0; symbol < SYMBOLS; symbol++) {
        int64_t first = (int64_t)(step * 500);
        for (size_t i = 0; i < wanted; i++) {
            int64_t number = first + (int64_t)i;
            bool hole = (step + symbol) % 4 == 1 && i > 3 && i < 8;
            if (!hole) {
                rows[count++] = (struct row){symbol, 0, number, (int64_t)(1000 + i), false};
            }
        }
        if (step > 1 && (step - 1 + symbol) % 4 == 1) { // of the step before: closes, or splits
            for (int64_t late = 4; late < (step % 3 == 0 ? 6 : 8); late += 1 + (step % 3 == 1)) {
                int64_t number = first - 500 + late;
                rows[count++] = (struct row){symbol, 0, number, 1000 + late, false};
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        rows[i].time_ns = start_ns + rows[i].sequence * minute_ns;
    }
    return count;
}

// Each step puts rows beside those of earlier steps, in place of some, and deletes some.
static size_t quotes_of(size_t step, struct row *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < 24; i++) {
        size_t key = (step * 7 + i * i) % 96;
        bool seen = false;
        for (size_t j = 0; j < count; j++) {
            seen |= (size_t)rows[j].sequence == key;
        }
        if (!seen) {
            rows[count++] = (struct row){
                .symbol = key % SYMBOLS,
                .time_ns = start_ns + (int64_t)(key / 2) * 97 * minute_ns,
                .sequence = (int64_t)key,
                .value = (int64_t)(step * 100 + i),
                .deletes = step > 3 && i % 5 == 3,
            };
        }
    }
    return count;
}

static enum k2_status fill(struct k2_engine *engine, struct k2_row_batch *batch, size_t table,
                           const struct row *row, struct k2_error *error)
{
    struct k2_row_key key = {.time_ns = row->time_ns, .sequence = row->sequence};
    size_t index;
    char id[24];
    enum k2_status status = k2_instrument_intern(
        engine, k2_slice_of("TEST"), k2_slice_of(symbols[row->symbol]), &key.instrument, error);
    if (status == K2_OK) {
        status = k2_row_batch_add(batch, &key, (uint64_t)row->sequence, &index, error);
    }
    for (size_t i = 0; i < 2 && status == K2_OK; i++) {
        int column = k2_schema_find(batch->schema, k2_slice_of(values[table][i]));
        k2_row_batch_set_value(batch, index, (size_t)column, row->value + (int64_t)i);
    }
    if (status == K2_OK && row->deletes) {
        status = k2_row_batch_set_op(batch, index, K2_OP_DELETE, error);
    }
    if (status == K2_OK) {
        int column = k2_schema_find(batch->schema, k2_slice_of(texts[table]));
        (void)snprintf(id, sizeof id, "id-%lld", (long long)row->value);
        status = k2_row_batch_set_text(batch, index, (size_t)column, k2_slice_of(id), error);
    }
    return status;
}

static enum k2_status add(struct k2_engine *engine, struct k2_commit *commit, size_t table,
                          size_t step, struct k2_row_batch **batch, struct k2_error *error)
{
    static struct row rows[2048];
    const struct k2_table *target = k2_engine_table(engine, k2_slice_of(rich_table_names[table]));
    assert_non_null(target);
    size_t count = table == RICH_TRADES ? trades_of(step, rows) : quotes_of(step, rows);
    struct k2_commit_outcome outcome;
    enum k2_status status = k2_row_batch_create(batch, target->schema, count, false, error);
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        status = fill(engine, *batch, table, &rows[i], error);
    }
    return status == K2_OK
               ? k2_commit_add(commit, *batch,
                               table == RICH_TRADES ? K2_NUMBERING_DENSE : K2_NUMBERING_SPARSE,
                               &outcome, error)
               : status;
}

enum k2_status rich_store_commit(struct k2_engine *engine, size_t step, struct k2_error *error)
{
    struct k2_commit *commit = NULL;
    struct k2_row_batch *batches[RICH_TABLES] = {0};
    uint64_t snapshot;
    char text[32];
    (void)snprintf(text, sizeof text, "%zu", step);
    enum k2_status status = k2_commit_begin(engine, &commit, error);
    for (size_t table = 0; table < RICH_TABLES && status == K2_OK; table++) {
        status = add(engine, commit, table, step, &batches[table], error);
    }
    if (status == K2_OK) {
        status = k2_commit_set_progress(commit, k2_slice_of("rich"), k2_slice_of(text), error);
    }
    if (status == K2_OK) {
        status = k2_commit_finish(commit, &snapshot, error);
    } else if (commit != NULL) {
        k2_commit_abort(commit);
    }
    for (size_t table = 0; table < RICH_TABLES; table++) {
        k2_row_batch_destroy(batches[table]);
    }
    return status;
}

// ---- the store

static void expect_ok(enum k2_status status, const struct k2_error *error)
{
    if (status != K2_OK) {
        fail_msg("rich store: %s", error->text);
    }
}

static void create_tables(struct k2_engine *engine)
{
    struct k2_error error;
    for (size_t i = 0; i < RICH_TABLES; i++) {
        struct k2_schema *schema = NULL;
        const struct k2_table *table = k2_engine_table(engine, k2_slice_of(rich_table_names[i]));
        if (table == NULL) {
            expect_ok(k2_schema_builtin(&schema, rich_table_names[i], &error), &error);
            expect_ok(k2_engine_add_table(engine, &schema, &table, &error), &error);
        }
        struct k2_policy policy = {.duplicates = i == RICH_QUOTES ? K2_KEEP_LAST : K2_KEEP_FIRST,
                                   .history_ns = century_ns};
        expect_ok(k2_policy_set(engine, table, &policy, &error), &error);
    }
}

// What only snapshots before the sixth show expires, but for what the tag holds.
static void expire(struct k2_engine *engine)
{
    struct k2_error error;
    struct k2_snapshot then;
    struct k2_retain_report report;
    bool found;
    expect_ok(k2_snapshot_get(engine, 6, &found, &then, &error), &error);
    const struct k2_table *quotes = k2_engine_table(engine, k2_slice_of("quotes"));
    expect_ok(k2_retain(engine, quotes, then.time_ns + century_ns, false, &report, &error), &error);
    assert_true(report.rows_dropped > 0);
}

void rich_store_make(const char *path)
{
    struct k2_engine *engine = NULL;
    struct k2_error error;
    struct k2_compact_options options = {0};
    struct k2_compact_report report;
    const struct k2_export_note note = {k2_slice_of("place"), k2_slice_of("what is known of it")};
    expect_ok(k2_engine_open(&engine, path, K2_ENGINE_CREATE, &error), &error);
    create_tables(engine);
    for (size_t step = 0; step < RICH_STEPS; step++) {
        expect_ok(rich_store_commit(engine, step, &error), &error);
        if (step == 3) {
            expect_ok(k2_tag_set(engine, k2_slice_of("held"), 3, &error), &error);
        } else if (step == 6) {
            expect_ok(k2_compact(engine, &options, &report, &error), &error);
        } else if (step == 9) {
            expire(engine);
        } else if (step == 11) {
            expect_ok(k2_export_note_put(engine, &note, 1, &error), &error);
        }
    }
    k2_engine_close(engine);
}

// ---- reading

void rich_note(uint64_t *digest, int64_t value)
{
    *digest = (*digest ^ (uint64_t)value) * 0x9e3779b97f4a7c15u;
    *digest ^= *digest >> 29;
}

void rich_note_text(uint64_t *digest, struct k2_slice text)
{
    rich_note(digest, (int64_t)text.size_bytes);
    for (size_t i = 0; i < text.size_bytes; i++) {
        rich_note(digest, text.data[i]);
    }
}

enum k2_status rich_read_rows(struct k2_engine *engine, size_t table, uint64_t snapshot,
                              uint64_t *digest, struct k2_error *error)
{
    const struct k2_table *source = k2_engine_table(engine, k2_slice_of(rich_table_names[table]));
    assert_non_null(source);
    struct k2_scan_request request = {.table = source, .snapshot = snapshot};
    struct k2_scan *scan = NULL;
    enum k2_status status = k2_scan_open(engine, &request, &scan, error);
    for (size_t rows = 1; rows > 0 && status == K2_OK;) {
        const struct k2_vector *columns;
        status = k2_scan_next(scan, &columns, &rows, error);
        for (size_t row = 0; status == K2_OK && row < rows; row++) {
            for (size_t i = 0; i < source->schema->column_count; i++) {
                bool valid = columns[i].valid == NULL || columns[i].valid[row] == 1;
                rich_note(digest, valid);
                if (valid && columns[i].values != NULL) {
                    rich_note(digest, columns[i].values[row]);
                } else if (valid) {
                    rich_note_text(digest, columns[i].texts[row]);
                }
            }
        }
    }
    k2_scan_close(scan);
    return status;
}

enum k2_status rich_read_gaps(struct k2_engine *engine, uint64_t snapshot, uint64_t *digest,
                              struct k2_error *error)
{
    struct k2_gap_list_request request = {.table = k2_engine_table(engine, k2_slice_of("trades")),
                                          .snapshot = snapshot};
    struct k2_gap_list *list = NULL;
    enum k2_status status = k2_gap_list_open(&list, engine, &request, error);
    for (bool found = true; found && status == K2_OK;) {
        struct k2_gap gap;
        status = k2_gap_list_next(list, &found, &gap, error);
        if (status == K2_OK && found) {
            rich_note_text(digest, gap.symbol);
            rich_note(digest, gap.first);
            rich_note(digest, gap.last);
            rich_note(digest, gap.after_ns);
            rich_note(digest, gap.before_ns);
            rich_note(digest, (int64_t)gap.snapshot);
            rich_note(digest, (int64_t)gap.closed_snapshot);
        }
    }
    k2_gap_list_close(list);
    return status;
}
