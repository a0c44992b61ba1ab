// Loads, corrections, deletions, tags, compactions, retains and restarts against lists of versions
// in memory: every answer at any snapshot, under each rule for second rows of a key.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/check.h"
#include "engine/compact.h"
#include "engine/policy.h"
#include "engine/retain.h"
#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "tests/support/store_rows.h"
#include "tests/support/tier.h"

enum {
    SYMBOLS = 4,
    TIMES = 120,
    SEQUENCES = 2,
    KEYS = TIMES * SYMBOLS * SEQUENCES, // in the order of answers
    BATCH_MOST = 40,
    TAGS = 4,
    SNAPSHOTS_MOST = 100000,
};

static const char *const symbols[SYMBOLS] = {"AAA", "BB", "BBB", "ZZ"};

struct version {
    uint64_t commit;
    bool deleted;
    int64_t price;
};

struct key {
    struct version *versions; // by commit
    size_t count, room;
};

struct model {
    struct test_store store;
    enum k2_duplicate_rule rule;
    struct key keys[KEYS];
    uint64_t newest, chance;
    uint64_t read, stored, duplicates, rejected;
    uint64_t tags[TAGS]; // snapshots; 0: none
    uint64_t floor;      // what is older has expired
    uint64_t cut;        // the snapshot that dropped rows by their time last
};

static const int64_t century_ns = INT64_C(100) * 365 * 86400 * 1000000000;

static const struct version *version_at(const struct key *key, uint64_t snapshot)
{
    const struct version *found = NULL;
    for (size_t i = 0; i < key->count && key->versions[i].commit <= snapshot; i++) {
        found = &key->versions[i];
    }
    return found;
}

static void add_version(struct key *key, uint64_t commit, bool deleted, int64_t price)
{
    if (key->count > 0 && key->versions[key->count - 1].commit == commit) {
        key->count--; // only the last row of a commit counts
    }
    if (key->count == key->room) {
        key->room = key->room * 2 + 4;
        key->versions = k2_realloc(key->versions, key->room, sizeof *key->versions);
        assert_non_null(key->versions);
    }
    key->versions[key->count++] = (struct version){commit, deleted, price};
}

static struct test_trade trade_of(size_t key, int64_t price)
{
    size_t symbol = key / SEQUENCES % SYMBOLS;
    return (struct test_trade){
        .symbol = symbols[symbol],
        .time_ns = (int64_t)(key / SEQUENCES / SYMBOLS),
        .sequence = (int64_t)(key % SEQUENCES),
        .price = price,
        .quantity = 7,
    };
}

struct row {
    size_t key;
    bool deletes;
    int64_t price;
};

// What the rows of one key of a commit come to. `stored` is the version before it.
static void expect_rows(struct model *model, const struct row *rows, size_t count, size_t first,
                        uint64_t commit)
{
    struct key *key = &model->keys[rows[first].key];
    struct version before = {0}, best;
    if (key->count > 0) {
        before = key->versions[key->count - 1];
    }
    bool there = before.commit != 0, taken = false;
    best = before;
    for (size_t i = first; i < count; i++) {
        if (rows[i].key != rows[first].key) {
            continue;
        }
        bool refused = model->rule != K2_KEEP_LAST && there && !rows[i].deletes;
        if (rows[i].deletes && !there) {
            model->rejected++;
        } else if (refused) {
            bool same = best.deleted || best.price == rows[i].price;
            bool duplicate = same && model->rule == K2_KEEP_FIRST;
            model->duplicates += duplicate;
            model->rejected += !duplicate;
        } else if (rows[i].deletes && best.deleted) {
            model->duplicates++;
        } else {
            model->duplicates += taken;
            taken = there = true;
            best = (struct version){commit, rows[i].deletes, rows[i].price};
        }
    }
    bool same =
        before.commit != 0 && !before.deleted && !best.deleted && before.price == best.price;
    if (taken && !same) {
        model->stored++;
        add_version(key, commit, best.deleted, best.price);
    } else {
        model->duplicates += taken;
    }
}

static void commit_some(struct model *model)
{
    struct row rows[BATCH_MOST];
    struct test_trade trades[BATCH_MOST];
    size_t count = test_random_below(&model->chance, BATCH_MOST) + 1;
    for (size_t i = 0; i < count; i++) {
        bool again = i > 0 && test_random_below(&model->chance, 10) == 0;
        rows[i] = (struct row){
            .key = again ? rows[test_random_below(&model->chance, i)].key
                         : test_random_below(&model->chance, KEYS),
            .deletes = test_random_below(&model->chance, 5) == 0,
            .price = (int64_t)test_random_below(&model->chance, 3),
        };
        trades[i] = trade_of(rows[i].key, rows[i].price);
    }
    test_store_fill(&model->store, trades, count);
    for (size_t i = 0; i < count; i++) {
        enum k2_row_op op = rows[i].deletes ? K2_OP_DELETE : K2_OP_PUT;
        assert_int_equal(k2_row_batch_set_op(model->store.batch, i, op, NULL), K2_OK);
    }
    struct k2_commit *commit;
    struct k2_commit_outcome outcome;
    struct k2_error error;
    uint64_t snapshot = 0;
    uint64_t stored = model->stored, duplicates = model->duplicates, rejected = model->rejected;
    assert_int_equal(k2_commit_begin(model->store.engine, &commit, &error), K2_OK);
    if (k2_commit_add(commit, model->store.batch, K2_NUMBERING_SPARSE, &outcome, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    for (size_t i = 0; i < count; i++) {
        bool seen = false;
        for (size_t j = 0; j < i; j++) {
            seen |= rows[j].key == rows[i].key;
        }
        if (!seen) {
            expect_rows(model, rows, count, i, model->newest + 1);
        }
    }
    assert_int_equal(outcome.stored, model->stored - stored);
    assert_int_equal(outcome.duplicates, model->duplicates - duplicates);
    assert_int_equal(outcome.conflict_count, model->rejected - rejected);
    if (k2_commit_finish(commit, &snapshot, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(snapshot, model->newest + (model->stored > stored));
    model->newest = snapshot;
    model->read += count;
}

static bool has_tag(const struct model *model, uint64_t snapshot)
{
    bool found = false;
    for (size_t i = 0; i < TAGS; i++) {
        found |= model->tags[i] == snapshot;
    }
    return found;
}

static void expect_expired(struct model *model, uint64_t snapshot)
{
    struct k2_scan_request request = {.table = model->store.table, .snapshot = snapshot};
    struct k2_scan *scan;
    assert_int_equal(k2_scan_open(model->store.engine, &request, &scan, NULL), K2_EXPIRED);
}

static bool is_expired(struct model *model, uint64_t snapshot)
{
    bool expired = snapshot < model->floor && !has_tag(model, snapshot);
    if (expired) {
        expect_expired(model, snapshot);
    }
    return expired;
}

static void compare_answer(struct model *model, uint64_t snapshot)
{
    struct k2_buffer text;
    if (is_expired(model, snapshot)) {
        return;
    }
    k2_buffer_init(&text, 64 << 20);
    for (size_t i = 0; i < KEYS; i++) {
        const struct version *version = version_at(&model->keys[i], snapshot);
        if (version != NULL && !version->deleted) {
            struct test_trade trade = trade_of(i, version->price);
            k2_put_format(&text, "%s %lld %lld %lld %lld;", trade.symbol, (long long)trade.time_ns,
                          (long long)trade.sequence, (long long)trade.price,
                          (long long)trade.quantity);
        }
    }
    k2_put_u8(&text, 0);
    char *answer = test_store_rows(&model->store, snapshot);
    size_t same = 0;
    while (answer[same] != '\0' && answer[same] == (char)text.data[same]) {
        same++;
    }
    if (answer[same] != (char)text.data[same]) { // too long for one line of cmocka's
        size_t from = same < 40 ? 0 : same - 40;
        fail_msg("as of %llu of %llu, floor %llu: ...%.80s, expected ...%.80s",
                 (unsigned long long)snapshot, (unsigned long long)model->newest,
                 (unsigned long long)model->floor, answer + from, (char *)text.data + from);
    }
    k2_free(answer);
    k2_buffer_deinit(&text);
}

// Count and sum of prices of a symbol and range in the order of storage, or from the end.
static void compare_range(struct model *model, uint64_t snapshot)
{
    size_t symbol = test_random_below(&model->chance, SYMBOLS);
    int64_t start = (int64_t)test_random_below(&model->chance, TIMES);
    int64_t end = start + (int64_t)test_random_below(&model->chance, 30);
    const struct k2_scan_instrument instrument = {k2_slice_of("TEST"),
                                                  k2_slice_of(symbols[symbol])};
    const size_t price[] = {
        (size_t)k2_schema_find(model->store.table->schema, k2_slice_of("price"))};
    struct k2_scan_request request = {
        .table = model->store.table,
        .snapshot = snapshot,
        .has_start = true,
        .has_end = true,
        .start_ns = start,
        .end_ns = end,
        .instruments = &instrument,
        .instrument_count = 1,
        .columns = price,
        .column_count = 1,
        .order =
            test_random_below(&model->chance, 2) == 0 ? K2_ORDER_STORED : K2_ORDER_TIME_DESCENDING,
    };
    struct k2_scan *scan;
    struct k2_error error;
    if (is_expired(model, snapshot)) {
        return;
    }
    size_t count = 0, expected_count = 0;
    int64_t sum = 0, expected_sum = 0;
    if (k2_scan_open(model->store.engine, &request, &scan, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    for (size_t rows = 1; rows > 0;) {
        const struct k2_vector *vectors;
        assert_int_equal(k2_scan_next(scan, &vectors, &rows, &error), K2_OK);
        for (size_t i = 0; i < rows; i++) {
            sum += vectors[0].values[i];
        }
        count += rows;
    }
    k2_scan_close(scan);
    for (size_t i = 0; i < KEYS; i++) {
        const struct version *version = version_at(&model->keys[i], snapshot);
        struct test_trade trade = trade_of(i, 0);
        if (version != NULL && !version->deleted && trade.symbol == symbols[symbol] &&
            trade.time_ns >= start && trade.time_ns < end) {
            expected_count++;
            expected_sum += version->price;
        }
    }
    assert_int_equal(count, expected_count);
    assert_int_equal(sum, expected_sum);
}

static void compact(struct model *model, bool full)
{
    struct k2_compact_options options = {.full = full};
    struct k2_compact_report report;
    struct k2_error error;
    if (k2_compact(model->store.engine, &options, &report, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    model->newest = report.snapshot;
}

static uint64_t count_visible(const struct model *model, uint64_t snapshot)
{
    uint64_t count = 0;
    for (size_t i = 0; i < KEYS; i++) {
        const struct version *version = version_at(&model->keys[i], snapshot);
        count += version != NULL && !version->deleted;
    }
    return count;
}

static uint64_t logged_rows(struct model *model, uint64_t id)
{
    struct k2_snapshot snapshot;
    bool found;
    assert_int_equal(k2_snapshot_get(model->store.engine, id, &found, &snapshot, NULL), K2_OK);
    assert_true(found);
    for (size_t i = 0; i < snapshot.table_count; i++) {
        if (snapshot.tables[i].table_id == model->store.table->id) {
            return snapshot.tables[i].rows;
        }
    }
    return 0;
}

static void compare_figures(struct model *model)
{
    struct k2_table_counters counters;
    struct k2_check_options options = {.deep = true};
    struct k2_check_report report;
    assert_int_equal(k2_engine_counters(model->store.engine, model->store.table, &counters, NULL),
                     K2_OK);
    assert_int_equal(counters.rows, count_visible(model, model->newest));
    assert_int_equal(counters.stored, model->stored);
    assert_int_equal(counters.duplicates, model->duplicates);
    assert_int_equal(counters.rejected, model->rejected);
    assert_int_equal(counters.stored + counters.duplicates + counters.rejected, model->read);
    assert_int_equal(k2_check(model->store.engine, &options, &report, NULL), K2_OK);
    assert_int_equal(report.findings, 0);
    uint64_t snapshot = test_random_below(&model->chance, model->newest) + 1;
    if (snapshot >= model->cut) { // older ones tell what there was then
        assert_int_equal(logged_rows(model, snapshot), count_visible(model, snapshot));
    }
}

static void change_tag(struct model *model)
{
    size_t place = test_random_below(&model->chance, TAGS);
    uint64_t snapshot = test_random_below(&model->chance, model->newest) + 1;
    char name[8];
    (void)snprintf(name, sizeof name, "t%u", (unsigned)place % TAGS);
    if (model->tags[place] != 0) {
        assert_int_equal(k2_tag_delete(model->store.engine, k2_slice_of(name), NULL), K2_OK);
        model->tags[place] = 0;
        return;
    }
    bool expired = snapshot < model->floor && !has_tag(model, snapshot);
    assert_int_equal(k2_tag_set(model->store.engine, k2_slice_of(name), snapshot, NULL),
                     expired ? K2_EXPIRED : K2_OK);
    model->tags[place] = expired ? 0 : snapshot;
}

// Takes the rows that are too old out of the model; gives how many were visible.
static uint64_t forget(struct model *model, int64_t cut_ns)
{
    uint64_t old = 0;
    for (size_t i = 0; i < KEYS; i++) {
        if (trade_of(i, 0).time_ns < cut_ns) {
            const struct version *version = version_at(&model->keys[i], UINT64_MAX);
            old += version != NULL && !version->deleted;
            model->keys[i].count = 0;
        }
    }
    return old;
}

// As of a time at which `horizon` is the oldest snapshot that the history holds, and rows before
// `cut_ns` are too old (0: none is).
static void retain(struct model *model, uint64_t horizon, int64_t cut_ns)
{
    struct k2_policy policy = {.duplicates = model->rule, .history_ns = century_ns};
    struct k2_retain_report told, report;
    struct k2_snapshot then;
    struct k2_error error;
    bool found;
    assert_int_equal(k2_snapshot_get(model->store.engine, horizon, &found, &then, NULL), K2_OK);
    int64_t now_ns = then.time_ns + century_ns;
    policy.retention_ns = cut_ns == 0 ? 0 : now_ns - cut_ns;
    if (k2_policy_set(model->store.engine, model->store.table, &policy, &error) != K2_OK ||
        k2_retain(model->store.engine, model->store.table, now_ns, true, &told, &error) != K2_OK ||
        k2_retain(model->store.engine, model->store.table, now_ns, false, &report, &error) !=
            K2_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(report.rows_old, forget(model, cut_ns));
    assert_int_equal(told.rows_dropped, report.rows_dropped);
    assert_int_equal(told.snapshot, model->newest);
    assert_int_equal(report.snapshot, model->newest + (report.rows_dropped > 0));
    assert_true(report.history_floor == model->floor || report.history_floor == horizon);
    model->floor = report.history_floor;
    model->newest = report.snapshot;
    model->cut = cut_ns > 0 ? model->newest : model->cut;
}

static void set_rule(struct model *model)
{
    struct k2_policy policy = {.duplicates = model->rule, .history_ns = century_ns};
    struct k2_error error;
    if (k2_policy_set(model->store.engine, model->store.table, &policy, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
}

static void turn(struct model *model)
{
    uint64_t what = test_random_below(&model->chance, 210);
    uint64_t snapshot = test_random_below(&model->chance, model->newest) + 1;
    if (what < 60) {
        commit_some(model);
    } else if (what < 63) {
        test_store_reopen(&model->store, K2_ENGINE_WRITE);
    } else if (what < 68) {
        compact(model, what < 65);
    } else if (what < 70) {
        compare_figures(model);
    } else if (what < 120) {
        compare_range(model, snapshot);
    } else if (what < 200) {
        compare_answer(model, snapshot);
    } else if (what < 206) {
        change_tag(model);
    } else {
        int64_t cut_ns = what == 206 ? (int64_t)test_random_below(&model->chance, 30) : 0;
        retain(model, snapshot, cut_ns);
    }
}

static void run_model(enum k2_duplicate_rule rule, uint64_t turns)
{
    struct model *model = k2_alloc_zero(1, sizeof *model);
    struct test_budget budget = {0};
    assert_non_null(model);
    model->rule = rule;
    model->chance = test_seed() + (uint64_t)rule;
    print_message("%s, seed %llu\n", k2_duplicate_rule_name(rule), (unsigned long long)test_seed());
    test_store_open(&model->store);
    set_rule(model);
    while (model->newest == 0) {
        commit_some(model);
    }
    while (test_goes_on(&budget, turns) && model->newest < SNAPSHOTS_MOST) {
        turn(model);
    }
    compare_figures(model);
    for (uint64_t id = 1; id <= model->newest; id += 1 + model->newest / 50) {
        compare_answer(model, id);
    }
    test_store_close(&model->store);
    for (size_t i = 0; i < KEYS; i++) {
        k2_free(model->keys[i].versions);
    }
    k2_free(model);
}

static void a_table_that_keeps_the_last_row_equals_lists(void **state)
{
    (void)state;
    run_model(K2_KEEP_LAST, 1600 / (uint64_t)test_stride(4));
}

static void a_table_that_keeps_the_first_row_forgets_deleted_ones(void **state)
{
    (void)state;
    run_model(K2_KEEP_FIRST, 400 / (uint64_t)test_stride(4));
}

static void a_table_that_rejects_second_rows_equals_lists(void **state)
{
    (void)state;
    run_model(K2_REJECT_SECOND, 300 / (uint64_t)test_stride(4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_that_keeps_the_last_row_equals_lists),
        cmocka_unit_test(a_table_that_keeps_the_first_row_forgets_deleted_ones),
        cmocka_unit_test(a_table_that_rejects_second_rows_equals_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
