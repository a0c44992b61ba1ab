// Whatever a store is asked to do, memory, index and files fail at every turn of it: it says so in
// one line, what it answers in spite of it is right, and what it changes is done in whole or not.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aggregate.h"
#include "engine/asof.h"
#include "engine/backup.h"
#include "engine/candles.h"
#include "engine/check.h"
#include "engine/compact.h"
#include "engine/completeness.h"
#include "engine/export_note.h"
#include "engine/gap_list.h"
#include "engine/last_rows.h"
#include "engine/policy.h"
#include "engine/repair.h"
#include "engine/retain.h"
#include "engine/scan.h"
#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "tests/support/faults.h"
#include "tests/support/folder.h"
#include "tests/support/rich_store.h"
#include "tests/support/tier.h"

static const int64_t hour_ns = 3600000000000;

struct world {
    char folder[TEST_PATH_BYTES]; // below it: `kept` as it was made, `store`, `copy`
    char store[TEST_PATH_BYTES + 16], kept[TEST_PATH_BYTES + 16], copy[TEST_PATH_BYTES + 16];
    struct k2_engine *engine;
    uint64_t before, after; // digests of the content that a change may leave
};

typedef enum k2_status act(struct world *world, uint64_t *digest, struct k2_error *error);

static const struct k2_table *table_of(const struct world *world, const char *name)
{
    const struct k2_table *table = k2_engine_table(world->engine, k2_slice_of(name));
    assert_non_null(table);
    return table;
}

static size_t column_of(const struct k2_table *table, const char *name)
{
    int column = k2_schema_find(table->schema, k2_slice_of(name));
    assert_true(column >= 0);
    return (size_t)column;
}

// ---- what is read

static enum k2_status read_rows(struct world *world, uint64_t *digest, struct k2_error *error)
{
    static const uint64_t snapshots[] = {0, 3, 12};
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < 3 && status == K2_OK; i++) {
        status = rich_read_rows(world->engine, RICH_TRADES, snapshots[i], digest, error);
        if (status == K2_OK) {
            status = rich_read_rows(world->engine, RICH_QUOTES, snapshots[i], digest, error);
        }
    }
    return status;
}

static enum k2_status read_part(struct world *world, enum k2_order order, uint64_t *digest,
                                struct k2_error *error)
{
    const struct k2_table *quotes = table_of(world, "quotes");
    const size_t columns[] = {column_of(quotes, "bid_price")};
    const struct k2_scan_instrument instruments[] = {{k2_slice_of("TEST"), k2_slice_of("BB")},
                                                     {k2_slice_of("TEST"), k2_slice_of("AAA")}};
    const struct k2_scan_request request = {
        .table = quotes,
        .has_start = true,
        .start_ns = 1700000000000000000 + 5 * hour_ns,
        .instruments = instruments,
        .instrument_count = 2,
        .columns = columns,
        .column_count = 1,
        .order = order,
        .limit = order == K2_ORDER_TIME_DESCENDING ? 20 : 0,
        .with_commit = true,
        .every_version = order == K2_ORDER_STORED,
    };
    struct k2_scan *scan = NULL;
    enum k2_status status = k2_scan_open(world->engine, &request, &scan, error);
    for (size_t rows = 1; rows > 0 && status == K2_OK;) {
        const struct k2_vector *vectors;
        status = k2_scan_next(scan, &vectors, &rows, error);
        for (size_t i = 0; status == K2_OK && i < rows; i++) {
            rich_note(digest, vectors[0].values[i]);
            rich_note(digest, vectors[1].values[i]);
        }
    }
    k2_scan_close(scan);
    return status;
}

static enum k2_status read_last_first(struct world *world, uint64_t *digest, struct k2_error *error)
{
    return read_part(world, K2_ORDER_TIME_DESCENDING, digest, error);
}

static enum k2_status read_versions(struct world *world, uint64_t *digest, struct k2_error *error)
{
    return read_part(world, K2_ORDER_STORED, digest, error);
}

static enum k2_status make_candles(struct world *world, uint64_t *digest, struct k2_error *error)
{
    const struct k2_table *trades = table_of(world, "trades");
    const struct k2_candle_request request = {
        .rows = {.table = trades},
        .interval_ns = hour_ns,
        .price_count = 1,
        .prices = {column_of(trades, "price")},
        .has_quantity = true,
        .quantity = column_of(trades, "quantity"),
    };
    struct k2_candles *candles = NULL;
    enum k2_status status = k2_candles_start(&candles, world->engine, &request, error);
    for (size_t count = 1; count > 0 && status == K2_OK;) {
        const struct k2_candle *items;
        status = k2_candles_more(candles, &items, &count, error);
        for (size_t i = 0; status == K2_OK && i < count; i++) {
            rich_note_text(digest, items[i].symbol);
            rich_note(digest, items[i].start_ns);
            rich_note(digest, items[i].prices[0].open + items[i].prices[0].high * 7);
            rich_note(digest, items[i].vwap);
        }
    }
    k2_candles_finish(candles);
    return status;
}

static enum k2_status join(struct world *world, uint64_t *digest, struct k2_error *error)
{
    const struct k2_table *trades = table_of(world, "trades"), *quotes = table_of(world, "quotes");
    const struct k2_asof_column columns[] = {{false, K2_TIMESTAMP},
                                             {true, K2_TIMESTAMP},
                                             {true, column_of(quotes, "bid_price")},
                                             {true, column_of(quotes, "quote_id")}};
    enum k2_status status = K2_OK;
    for (int turn = 0; turn < 2 && status == K2_OK; turn++) {
        const struct k2_asof_request request = {
            .left = {.table = trades, .order = turn == 0 ? K2_ORDER_TIME : K2_ORDER_STORED},
            .right = quotes,
            .columns = columns,
            .column_count = 4,
        };
        struct k2_asof *asof = NULL;
        status = k2_asof_open(world->engine, &request, &asof, error);
        for (size_t rows = 1; rows > 0 && status == K2_OK;) {
            const struct k2_vector *vectors;
            status = k2_asof_next(asof, &vectors, &rows, error);
            for (size_t i = 0; status == K2_OK && i < rows; i++) {
                bool valid = vectors[2].valid == NULL || vectors[2].valid[i] == 1;
                rich_note(digest, vectors[0].values[i]);
                rich_note(digest, valid ? vectors[2].values[i] : -1);
            }
        }
        k2_asof_close(asof);
    }
    return status;
}

static enum k2_status add_up(struct world *world, uint64_t *digest, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < RICH_TABLES && status == K2_OK; i++) {
        const struct k2_table *table = table_of(world, rich_table_names[i]);
        const size_t columns[] = {column_of(table, i == 0 ? "price" : "bid_price"),
                                  column_of(table, i == 0 ? "quantity" : "ask_price")};
        const struct k2_aggregate_request request = {
            .rows = {.table = table, .columns = columns, .column_count = 2},
            .wants = K2_AGGREGATE_SUM | K2_AGGREGATE_RANGE,
            .has_product = true,
            .price = 0,
            .quantity = 1,
        };
        struct k2_aggregates sums = {0};
        status = k2_aggregates_run(world->engine, &request, &sums, error);
        for (size_t j = 0; status == K2_OK && j < sums.item_count; j++) {
            rich_note_text(digest, sums.items[j].symbol);
            rich_note(digest, (int64_t)sums.items[j].row_count);
            rich_note(digest, (int64_t)sums.items[j].columns[0].sum);
            rich_note(digest, sums.items[j].columns[1].max);
        }
        if (status == K2_OK) {
            k2_aggregates_deinit(&sums);
        }
    }
    return status;
}

static enum k2_status find_last(struct world *world, uint64_t *digest, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < RICH_TABLES && status == K2_OK; i++) {
        const struct k2_table *table = table_of(world, rich_table_names[i]);
        const size_t columns[] = {column_of(table, i == 0 ? "price" : "bid_price")};
        const struct k2_last_request request = {
            .rows = {.table = table, .columns = columns, .column_count = 1}};
        struct k2_last_rows last = {0};
        status = k2_last_rows_find(world->engine, &request, &last, error);
        for (size_t j = 0; status == K2_OK && j < last.row_count; j++) {
            rich_note_text(digest, last.rows[j].symbol);
            rich_note(digest, last.rows[j].time_ns);
            rich_note(digest, last.rows[j].values[0]);
        }
        if (status == K2_OK) {
            k2_last_rows_deinit(&last);
        }
    }
    return status;
}

static enum k2_status read_ledger(struct world *world, uint64_t *digest, struct k2_error *error)
{
    struct k2_gap_figures figures;
    struct k2_completeness_request request = {.table = table_of(world, "trades"), .snapshot = 12};
    struct k2_completeness completeness;
    enum k2_status status = rich_read_gaps(world->engine, 5, digest, error);
    if (status == K2_OK) {
        status = rich_read_gaps(world->engine, 15, digest, error);
    }
    if (status == K2_OK) {
        status = k2_gap_figures_get(world->engine, request.table, &figures, error);
    }
    if (status == K2_OK) {
        status = k2_completeness_get(world->engine, &request, &completeness, error);
    }
    if (status == K2_OK) {
        rich_note(digest, (int64_t)figures.opened);
        rich_note(digest, completeness.complete);
        rich_note(digest, (int64_t)completeness.gap_count);
        rich_note(digest, completeness.known_until_ns - completeness.known_from_ns);
    }
    return status;
}

static enum k2_status read_catalog(struct world *world, uint64_t *digest, struct k2_error *error)
{
    struct k2_snapshot snapshots[8];
    struct k2_tag *tags = NULL;
    size_t snapshot_count = 8, tag_count = 0;
    struct k2_table_counters counters = {0};
    struct k2_buffer value;
    bool found;
    uint64_t bytes[64];
    const struct k2_table *trades = table_of(world, "trades");
    k2_buffer_init(&value, 1000);
    enum k2_status status =
        k2_snapshot_list(world->engine, UINT64_MAX, snapshots, &snapshot_count, error);
    if (status == K2_OK) {
        status = k2_tag_list(world->engine, &tags, &tag_count, error);
    }
    if (status == K2_OK) {
        status = k2_snapshot_resolve(world->engine, k2_slice_of("held"), &snapshots[0], error);
    }
    if (status == K2_OK) {
        status = k2_snapshot_resolve(world->engine, k2_slice_of("2100-01-01T00:00:00Z"),
                                     &snapshots[1], error);
    }
    if (status == K2_OK) {
        status = k2_engine_counters(world->engine, trades, &counters, error);
    }
    if (status == K2_OK) {
        status = k2_engine_column_bytes(world->engine, trades, bytes, error);
    }
    if (status == K2_OK) {
        status = k2_engine_progress(world->engine, k2_slice_of("rich"), &found, &value, error);
    }
    if (status == K2_OK) {
        status = k2_export_note_get(world->engine, k2_slice_of("place"), &found, &value, error);
    }
    if (status == K2_OK) {
        status = k2_engine_refresh(world->engine, error);
    }
    if (status == K2_OK) {
        rich_note(digest, (int64_t)snapshots[0].id);
        rich_note(digest, (int64_t)snapshots[1].id);
        rich_note(digest, (int64_t)(tag_count * 100 + snapshot_count));
        rich_note(digest, (int64_t)counters.rows);
        rich_note_text(digest, k2_buffer_slice(&value));
    }
    k2_free(tags);
    k2_buffer_deinit(&value);
    return status;
}

// A fault may be a finding; none is to be right.
static enum k2_status check(struct world *world, uint64_t *digest, struct k2_error *error)
{
    struct k2_check_options options = {.deep = true};
    struct k2_check_report report = {0};
    enum k2_status status = k2_check(world->engine, &options, &report, error);
    if (status == K2_OK && report.findings > 0) {
        return k2_fail(error, K2_CORRUPT, "%d findings", (int)report.findings);
    }
    rich_note(digest, (int64_t)report.rows);
    return status;
}

// ---- what is changed

static enum k2_status commit_more(struct world *world, uint64_t *digest, struct k2_error *error)
{
    (void)digest;
    return rich_store_commit(world->engine, RICH_STEPS, error);
}

static enum k2_status tag(struct world *world, uint64_t *digest, struct k2_error *error)
{
    (void)digest;
    enum k2_status status = k2_tag_set(world->engine, k2_slice_of("another"), 14, error);
    return status == K2_OK ? k2_tag_delete(world->engine, k2_slice_of("held"), error) : status;
}

static enum k2_status change_policy(struct world *world, uint64_t *digest, struct k2_error *error)
{
    const struct k2_table *quotes = table_of(world, "quotes");
    struct k2_policy policy;
    (void)digest;
    enum k2_status status = k2_policy_get(world->engine, quotes, &policy, error);
    policy.history_ns += 1;
    return status == K2_OK ? k2_policy_set(world->engine, quotes, &policy, error) : status;
}

static enum k2_status compact(struct world *world, bool full, struct k2_error *error)
{
    struct k2_compact_options options = {.full = full};
    struct k2_compact_report report;
    return k2_compact(world->engine, &options, &report, error);
}

static enum k2_status compact_fresh(struct world *world, uint64_t *digest, struct k2_error *error)
{
    (void)digest;
    return compact(world, false, error);
}

static enum k2_status compact_all(struct world *world, uint64_t *digest, struct k2_error *error)
{
    (void)digest;
    return compact(world, true, error);
}

static enum k2_status retain(struct world *world, uint64_t *digest, struct k2_error *error)
{
    const struct k2_table *quotes = table_of(world, "quotes");
    struct k2_retain_report report;
    struct k2_snapshot then = {0};
    struct k2_policy policy;
    bool found;
    (void)digest;
    enum k2_status status = k2_snapshot_get(world->engine, 12, &found, &then, error);
    if (status == K2_OK) {
        status = k2_policy_get(world->engine, quotes, &policy, error);
    }
    return status == K2_OK ? k2_retain(world->engine, quotes, then.time_ns + policy.history_ns,
                                       false, &report, error)
                           : status;
}

static enum k2_status put_note(struct world *world, uint64_t *digest, struct k2_error *error)
{
    const struct k2_export_note notes[] = {{k2_slice_of("place"), k2_slice_of("later")},
                                           {k2_slice_of("other"), k2_slice_of("new")}};
    (void)digest;
    return k2_export_note_put(world->engine, notes, 2, error);
}

static enum k2_status add_table(struct world *world, uint64_t *digest, struct k2_error *error)
{
    struct k2_schema *schema = NULL;
    const struct k2_table *table;
    (void)digest;
    enum k2_status status = k2_schema_builtin(&schema, "reference_data", error);
    if (status == K2_OK) {
        status = k2_engine_add_table(world->engine, &schema, &table, error);
    }
    k2_schema_destroy(schema);
    return status;
}

static enum k2_status reopen(struct world *world, uint64_t *digest, struct k2_error *error)
{
    (void)digest;
    k2_engine_close(world->engine);
    world->engine = NULL;
    return k2_engine_open(&world->engine, world->store, K2_ENGINE_WRITE, error);
}

static enum k2_status back_up(struct world *world, uint64_t *digest, struct k2_error *error)
{
    struct k2_backup_options options = {.copy_all = true};
    struct k2_backup_report report;
    (void)digest;
    test_folder_remove(world->copy);
    return k2_backup(world->engine, world->copy, &options, &report, error);
}

static enum k2_status repair_all(struct world *world, bool from_segments, struct k2_error *error)
{
    struct k2_repair_options options = {.from_segments = from_segments};
    struct k2_repair_report report;
    k2_engine_close(world->engine);
    world->engine = NULL;
    enum k2_status status = k2_repair(world->store, &options, &report, error);
    assert_true(status != K2_OK || report.lost == 0);
    return status;
}

static enum k2_status repair(struct world *world, uint64_t *digest, struct k2_error *error)
{
    (void)digest;
    return repair_all(world, false, error);
}

static enum k2_status repair_from_segments(struct world *world, uint64_t *digest,
                                           struct k2_error *error)
{
    (void)digest;
    return repair_all(world, true, error);
}

// Done again after a failure, it finds what is left of its first try.
static enum k2_status repair_lost_index(struct world *world, uint64_t *digest,
                                        struct k2_error *error)
{
    char index[TEST_PATH_BYTES + 32];
    (void)digest;
    (void)snprintf(index, sizeof index, "%s/index", world->store);
    k2_engine_close(world->engine);
    world->engine = NULL;
    test_folder_remove(index);
    return repair_all(world, false, error);
}

// ---- trying

static void open_store(struct world *world, const char *where)
{
    struct k2_error error;
    k2_engine_close(world->engine);
    world->engine = NULL;
    if (k2_engine_open(&world->engine, world->store, K2_ENGINE_WRITE, &error) != K2_OK) {
        fail_msg("%s: opening without a fault: %s", where, error.text);
    }
}

static void copy_kept(struct world *world)
{
    static const char *const names[] = {"index", "segments"};
    char from[TEST_PATH_BYTES + 32], to[TEST_PATH_BYTES + 32];
    k2_engine_close(world->engine);
    world->engine = NULL;
    test_folder_remove(world->store);
    test_folder_make_at(world->store);
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(from, sizeof from, "%s/%s", world->kept, names[i]);
        (void)snprintf(to, sizeof to, "%s/%s", world->store, names[i]);
        test_folder_copy(from, to);
    }
    open_store(world, "copy");
}

static void expect_failure(const struct test_fault *fault, enum k2_status status,
                           const struct k2_error *error, const char *where)
{
    if (status != fault->status || error->text[0] == '\0') {
        fail_msg("%s: %s: %s", where, k2_status_name(status), error->text);
    }
}

// False: the read was done before the fault's turn came.
static bool read_fails(struct world *world, const char *name, act *read, uint64_t expected,
                       const struct test_fault *fault, long turn)
{
    char where[96];
    uint64_t digest = 1;
    struct k2_error error = {0};
    (void)snprintf(where, sizeof where, "%s, %s at %ld", name, fault->name, turn);
    if (fault->of_segments) {
        open_store(world, where);
    }
    fault->begin(turn);
    enum k2_status status = read(world, &digest, &error);
    fault->begin(-1);
    if (status != K2_OK) {
        expect_failure(fault, status, &error, where);
    } else if (digest != expected) {
        fail_msg("%s: another answer", where);
    }
    if (k2_engine_failure(world->engine) != NULL) {
        fail_msg("%s: reading made the store read-only", where);
    }
    return status != K2_OK;
}

static void reading_survives(struct world *world, const char *name, act *read)
{
    struct k2_error error = {0};
    uint64_t expected = 1;
    open_store(world, name);
    if (read(world, &expected, &error) != K2_OK) {
        fail_msg("%s: %s", name, error.text);
    }
    for (size_t i = 0; i < TEST_FAULTS; i++) {
        const struct test_fault *fault = &test_faults[i];
        long turn = 0, failures = 0;
        long *places = NULL;
        uint64_t digest = 1;
        if (fault->watched && !fault->of_changes) {
            if (fault->of_segments) {
                open_store(world, name);
            }
            test_places_begin(fault);
            enum k2_status status = read(world, &digest, &error);
            size_t count = test_places_end(fault, &places);
            assert_int_equal(status, K2_OK);
            for (size_t j = 0; j < count; j++) {
                failures += read_fails(world, name, read, expected, fault, places[j]);
            }
            free(places);
        }
        while (read_fails(world, name, read, expected, fault, turn)) {
            turn = test_next_turn(turn);
            failures++;
        }
        assert_true(failures > 0 || fault->of_changes || fault->of_segments);
    }
}

// All that the store has: rows, ledger, tags.
static uint64_t content_of(struct world *world, const char *where)
{
    struct k2_error error = {0};
    struct k2_check_options options = {.deep = true};
    struct k2_check_report report = {0};
    uint64_t digest = 1;
    if (rich_read_rows(world->engine, RICH_TRADES, 0, &digest, &error) != K2_OK ||
        rich_read_rows(world->engine, RICH_QUOTES, 0, &digest, &error) != K2_OK ||
        rich_read_rows(world->engine, RICH_QUOTES, 14, &digest, &error) != K2_OK ||
        rich_read_gaps(world->engine, 14, &digest, &error) != K2_OK ||
        k2_check(world->engine, &options, &report, &error) != K2_OK || report.findings > 0) {
        fail_msg("%s: afterwards: %s, %d findings", where, error.text, (int)report.findings);
    }
    return digest;
}

static void expect_content(struct world *world, bool done, const char *where)
{
    uint64_t content = content_of(world, where);
    if (content != world->after && (done || content != world->before)) {
        fail_msg("%s: the store has other rows", where);
    }
}

// False: the change was done before the fault's turn came.
static bool change_fails(struct world *world, const char *name, act *change,
                         const struct test_fault *fault, long turn)
{
    bool again = change == repair_lost_index; // there is no store before it was done
    struct k2_error error = {0};
    uint64_t unused = 0;
    char where[96];
    (void)snprintf(where, sizeof where, "%s, %s at %ld", name, fault->name, turn);
    copy_kept(world);
    fault->begin(turn);
    enum k2_status status = change(world, &unused, &error);
    fault->begin(-1);
    if (status != K2_OK) {
        expect_failure(fault, status, &error, where);
    }
    if (status != K2_OK && again && change(world, &unused, &error) != K2_OK) {
        fail_msg("%s: again: %s", where, error.text);
    }
    open_store(world, where);
    expect_content(world, status == K2_OK, where);
    return status != K2_OK;
}

static void changing_survives(struct world *world, const char *name, act *change)
{
    bool repairs =
        change == repair || change == repair_from_segments || change == repair_lost_index;
    struct k2_error error = {0};
    uint64_t unused = 0;
    copy_kept(world);
    world->before = content_of(world, name);
    if (change(world, &unused, &error) != K2_OK) {
        fail_msg("%s: %s", name, error.text);
    }
    open_store(world, name);
    world->after = content_of(world, name);
    for (size_t i = 0; i < TEST_FAULTS; i++) {
        const struct test_fault *fault = &test_faults[i];
        long turn = 0, failures = 0;
        long *places = NULL;
        if (fault->of_segments && repairs) {
            continue;
        }
        if (fault->watched) {
            copy_kept(world);
            test_places_begin(fault);
            enum k2_status status = change(world, &unused, &error);
            size_t count = test_places_end(fault, &places);
            assert_int_equal(status, K2_OK);
            for (size_t j = 0; j < count; j++) {
                failures += change_fails(world, name, change, fault, places[j]);
            }
            free(places);
        }
        while (change_fails(world, name, change, fault, turn)) {
            turn = test_next_turn(turn);
            failures++;
        }
        assert_true(failures > 0 || fault->of_changes || fault->of_segments);
    }
}

// ---- the tests

static const struct {
    const char *name;
    act *go;
    bool changes;
} operations[] = {
    {"rows at several snapshots", read_rows, false},
    {"rows from the end", read_last_first, false},
    {"every version", read_versions, false},
    {"candles", make_candles, false},
    {"join", join, false},
    {"sums", add_up, false},
    {"last rows", find_last, false},
    {"ledger", read_ledger, false},
    {"snapshots, tags, figures", read_catalog, false},
    {"check", check, false},
    {"commit", commit_more, true},
    {"tag", tag, true},
    {"policy", change_policy, true},
    {"compact", compact_fresh, true},
    {"compact all", compact_all, true},
    {"retain", retain, true},
    {"note", put_note, true},
    {"new table", add_table, true},
    {"reopen", reopen, true},
    {"backup", back_up, true},
    {"repair", repair, true},
    {"repair from segments", repair_from_segments, true},
    {"repair of a lost index", repair_lost_index, true},
};

static int set_up(void **state)
{
    static struct world world;
    memset(&world, 0, sizeof world);
    test_folder_make_quick(world.folder);
    (void)snprintf(world.kept, sizeof world.kept, "%s/kept", world.folder);
    (void)snprintf(world.store, sizeof world.store, "%s/store", world.folder);
    (void)snprintf(world.copy, sizeof world.copy, "%s/copy", world.folder);
    test_folder_make_at(world.kept);
    rich_store_make(world.kept);
    *state = &world;
    copy_kept(&world);
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < TEST_FAULTS; i++) {
        test_faults[i].begin(-1);
    }
    k2_engine_close(world->engine);
    test_folder_remove(world->folder);
    return 0;
}

static void run(struct world *world, bool changes)
{
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        int64_t began_ns = test_now_ns();
        if (operations[i].changes == changes) {
            (changes ? changing_survives : reading_survives)(world, operations[i].name,
                                                             operations[i].go);
            print_message("# %s: %.1f s\n", operations[i].name,
                          (double)(test_now_ns() - began_ns) / 1e9);
        }
    }
}

static void what_is_read_in_spite_of_a_fault_is_right(void **state)
{
    run(*state, false);
}

static void a_change_is_done_in_whole_or_not(void **state)
{
    run(*state, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_read_in_spite_of_a_fault_is_right, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_change_is_done_in_whole_or_not, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
