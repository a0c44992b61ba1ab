// Everything that can happen to a store, at random, against lists in memory: every answer at any
// snapshot stays equal.
//
// A life is a store and a thousand operations; K2_TEST_SEED=n repeats the life with the seed n.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/backup.h"
#include "engine/compact.h"
#include "engine/export_note.h"
#include "engine/file_io.h"
#include "engine/gap_list.h"
#include "engine/level_work.h"
#include "engine/maintenance.h"
#include "engine/repair.h"
#include "engine/retain.h"
#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "tests/support/model_store.h"
#include "tests/support/tier.h"

enum { LIFE_OPERATIONS = 1000, LIVES = 20, LEDGER_LIVES = 10 };

static const int64_t century_ns = INT64_C(100) * 365 * 86400 * 1000000000;

struct habits { // what a life is like
    bool dense, deletes, retains;
    bool ledger;    // asked for gaps and completeness only
    uint64_t loads; // a weight
    int64_t next[MODEL_TABLES][MODEL_DOMAINS][MODEL_EPOCHS];
};

struct life {
    struct model_store store;
    struct habits habits;
};

static uint64_t below(struct life *life, uint64_t bound)
{
    return test_random_below(&life->store.chance, bound);
}

static void expect_ok(struct life *life, enum k2_status status, const struct k2_error *error)
{
    if (status != K2_OK) {
        fail_msg("operation %llu: %s", (unsigned long long)life->store.operation, error->text);
    }
}

// ---- commits

// Mostly the next numbers of a counter with a few missing; else late ones, or there already.
static struct model_row random_row(struct life *life, size_t table, enum model_source source)
{
    struct model_row row = {
        .symbol = (int)below(life, MODEL_SYMBOLS),
        .epoch = below(life, 8) == 0,
        .deletes = life->habits.deletes && below(life, 6) == 0,
        .content = {(int64_t)below(life, 3) - 1, (int64_t)below(life, 2), (int)below(life, 3) - 1},
    };
    int domain = table_model_domain(row.symbol, source == MODEL_BY_CHANNEL);
    int64_t *next = &life->habits.next[table][domain][row.epoch];
    if (below(life, 4) == 0 || row.deletes || *next >= MODEL_NUMBERS - 5) {
        uint64_t most = *next < MODEL_NUMBERS - 1 ? (uint64_t)*next + 1 : MODEL_NUMBERS;
        row.sequence = (int64_t)below(life, most);
    } else {
        row.sequence = *next + (below(life, 5) == 0 ? (int64_t)below(life, 4) : 0);
        *next = row.sequence + 1;
    }
    // Times rise with the numbers, nearly: rows of one time have several numbers, and the other
    // way.
    int64_t noise = below(life, 3) == 0 ? (int64_t)below(life, 12) : 0;
    row.time_ns = (row.sequence + noise) * life->store.step_ns;
    return row;
}

static enum model_source random_source(struct life *life)
{
    static const enum model_source sources[] = {MODEL_BY_SYMBOL, MODEL_BY_SYMBOL, MODEL_BY_CHANNEL,
                                                MODEL_SPARSE};
    return life->habits.dense    ? sources[below(life, 4)]
           : below(life, 2) == 0 ? MODEL_SPARSE
                                 : MODEL_ORDINAL;
}

struct load {
    struct model_row rows[MODEL_TABLES][MODEL_BATCH_ROWS];
    size_t count[MODEL_TABLES]; // 0: not part of the commit
    enum model_source source[MODEL_TABLES];
    uint64_t rejected; // of the first table, before they became part of a batch
    uint64_t progress; // 0: none
};

static void make_load(struct life *life, struct load *load)
{
    memset(load, 0, sizeof *load);
    size_t first = below(life, MODEL_TABLES);
    for (size_t i = 0; i < MODEL_TABLES; i++) {
        if (i == first || below(life, 3) == 0) {
            load->count[i] = below(life, MODEL_BATCH_ROWS) + 1;
        }
        load->source[i] = random_source(life);
        for (size_t j = 0; j < load->count[i]; j++) {
            bool again = j > 0 && below(life, 12) == 0;
            load->rows[i][j] =
                again ? load->rows[i][below(life, j)] : random_row(life, i, load->source[i]);
            load->rows[i][j].deletes |= again && life->habits.deletes && below(life, 3) == 0;
        }
    }
    load->rejected = below(life, 10) == 0 ? below(life, 3) : 0;
    load->progress = below(life, 4) == 0 ? below(life, 1000) + 1 : 0;
}

// Begins a commit with the load; gives the fates of its rows.
static enum k2_status add_load(struct life *life, const struct load *load,
                               struct k2_commit **commit,
                               uint8_t fates[MODEL_TABLES][MODEL_BATCH_ROWS],
                               struct k2_error *error)
{
    struct model_store *store = &life->store;
    enum k2_status status = k2_commit_begin(store->engine, commit, error);
    for (size_t i = 0; i < MODEL_TABLES && status == K2_OK; i++) {
        struct k2_commit_outcome outcome;
        struct k2_source source = {.numbering =
                                       load->source[i] == MODEL_SPARSE    ? K2_NUMBERING_SPARSE
                                       : load->source[i] == MODEL_ORDINAL ? K2_NUMBERING_ORDINAL
                                                                          : K2_NUMBERING_DENSE};
        if (load->count[i] == 0) {
            continue;
        }
        if (load->source[i] == MODEL_BY_CHANNEL) {
            source.domain.columns[source.domain.column_count++] = store->channel[i];
        }
        model_store_fill(store, i, load->rows[i], load->count[i]);
        status = k2_commit_add_from(*commit, store->batches[i], &source, &outcome, error);
        if (status == K2_OK) {
            memcpy(fates[i], outcome.fates, load->count[i]);
        }
    }
    if (status == K2_OK && load->progress > 0) {
        const struct k2_slice value = {(const uint8_t *)&load->progress, sizeof load->progress};
        status = k2_commit_set_progress(*commit, k2_slice_of("model"), value, error);
    }
    if (status == K2_OK) {
        k2_commit_count_rejected(*commit, store->tables[0], load->rejected);
    }
    return status;
}

// The model takes the load; gives whether a snapshot comes of it.
static bool expect_load(struct life *life, const struct load *load,
                        uint8_t fates[MODEL_TABLES][MODEL_BATCH_ROWS])
{
    struct model_store *store = &life->store;
    bool any = false;
    for (size_t i = 0; i < MODEL_TABLES; i++) {
        table_model_commit(&store->models[i], load->rows[i], load->count[i], load->source[i],
                           store->newest + 1, fates[i]);
        for (size_t j = 0; j < load->count[i]; j++) {
            any |= fates[i][j] == K2_ROW_NEW;
        }
    }
    store->models[0].rejected += load->rejected;
    store->progress = load->progress > 0 ? load->progress : store->progress;
    return any;
}

static void note_snapshot(struct life *life, uint64_t snapshot)
{
    struct model_store *store = &life->store;
    struct k2_snapshot newest;
    assert_in_range(snapshot, store->newest, store->newest + 1);
    assert_int_equal(k2_snapshot_newest(store->engine, &newest, NULL), K2_OK);
    assert_int_equal(newest.id, snapshot);
    if (snapshot > store->newest) {
        assert_true(newest.time_ns > store->times_ns[store->newest]);
        store->times_ns[snapshot] = newest.time_ns;
        store->newest = snapshot;
    }
}

static void commit_some(struct life *life)
{
    struct load load;
    struct k2_commit *commit = NULL;
    struct k2_error error;
    uint8_t told[MODEL_TABLES][MODEL_BATCH_ROWS] = {{0}}, fates[MODEL_TABLES][MODEL_BATCH_ROWS];
    uint64_t snapshot = 0;
    memset(fates, 0, sizeof fates);
    make_load(life, &load);
    expect_ok(life, add_load(life, &load, &commit, told, &error), &error);
    if (below(life, 20) == 0) { // nothing of it happens
        k2_commit_abort(commit);
        for (size_t i = 0; i < MODEL_TABLES; i++) {
            table_model_follow(&life->store.models[i], load.rows[i], load.count[i], load.source[i],
                               life->store.newest + 1);
        }
        return;
    }
    bool any = expect_load(life, &load, fates);
    for (size_t i = 0; i < MODEL_TABLES; i++) {
        for (size_t j = 0; j < load.count[i]; j++) {
            if (told[i][j] != fates[i][j]) {
                const struct model_row *row = &load.rows[i][j];
                fail_msg("operation %llu: row %zu of table %zu (source %d, rule %d): %s %lld %lld "
                         "%lld%s: fate %d instead of %d",
                         (unsigned long long)life->store.operation, j, i, (int)load.source[i],
                         (int)life->store.models[i].rule, model_symbols[row->symbol],
                         (long long)row->time_ns, (long long)row->epoch, (long long)row->sequence,
                         row->deletes ? " deletes" : "", told[i][j], fates[i][j]);
            }
        }
    }
    expect_ok(life, k2_commit_finish(commit, &snapshot, &error), &error);
    assert_int_equal(snapshot, life->store.newest + any);
    note_snapshot(life, snapshot);
}

// ---- ends of processes

static int kill_at(void *context, enum k2_file_operation operation)
{
    uint64_t *left = context;
    (void)operation;
    if ((*left)-- == 0) {
        (void)kill(getpid(), SIGKILL);
    }
    return 0;
}

static uint64_t read_progress(struct model_store *store) // 0: none
{
    struct k2_buffer value;
    uint64_t progress = 0;
    bool found = false;
    k2_buffer_init(&value, 64);
    assert_int_equal(k2_engine_progress(store->engine, k2_slice_of("model"), &found, &value, NULL),
                     K2_OK);
    if (found) {
        assert_int_equal(value.size_bytes, sizeof progress);
        memcpy(&progress, value.data, sizeof progress);
    }
    k2_buffer_deinit(&value);
    return progress;
}

// A process opens the store and commits, and is killed somewhere on the way, or behind it.
static void die_committing(struct life *life)
{
    struct model_store *store = &life->store;
    struct load load;
    uint8_t fates[MODEL_TABLES][MODEL_BATCH_ROWS];
    uint64_t left = below(life, 16), seen = store->chance;
    int status = 0;
    memset(fates, 0, sizeof fates);
    make_load(life, &load);
    for (size_t i = 0; i < MODEL_TABLES; i++) { // that a counter is one may be durable before
        if (!table_model_follows(&store->models[i], load.rows[i], load.count[i], load.source[i])) {
            load.source[i] = MODEL_SPARSE;
        }
    }
    load.progress = UINT64_C(1000000) + store->operation; // tells whether it happened
    model_store_close(store);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct k2_commit *commit = NULL;
        uint64_t snapshot;
        k2_file_set_hook(kill_at, &left);
        model_store_open(store, K2_ENGINE_WRITE);
        if (add_load(life, &load, &commit, fates, NULL) == K2_OK &&
            k2_commit_finish(commit, &snapshot, NULL) == K2_OK) {
            (void)raise(SIGTERM); // acknowledged, and the handle is open
        }
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    store->chance = seen + 1;
    model_store_open(store, K2_ENGINE_WRITE);
    bool done = read_progress(store) == load.progress;
    assert_true(done || WTERMSIG(status) == SIGKILL);
    if (done) {
        note_snapshot(life, store->newest + expect_load(life, &load, fates));
    }
}

static void restart(struct life *life)
{
    model_store_close(&life->store);
    model_store_open(&life->store, K2_ENGINE_WRITE);
}

// ---- what changes no answer

static void compact(struct life *life)
{
    struct k2_compact_options options = {.full = below(life, 2) == 0};
    struct k2_compact_report report;
    struct k2_error error;
    expect_ok(life, k2_compact(life->store.engine, &options, &report, &error), &error);
    note_snapshot(life, report.snapshot);
}

static void step_levels(struct life *life)
{
    static const enum k2_level_effort efforts[] = {
        K2_EFFORT_FOLDS, K2_EFFORT_BOUND, K2_EFFORT_BOUND, K2_EFFORT_SORTED, K2_EFFORT_FULL};
    struct k2_level_request request = {.effort = efforts[below(life, 5)],
                                       .newest_segment = below(life, 2) == 0 ? UINT64_MAX : 0};
    struct k2_error error;
    const struct k2_table *table;
    size_t only = below(life, 4);
    uint64_t most = below(life, 3) + 1;
    for (size_t i = 0; (table = k2_engine_table_at(life->store.engine, i)) != NULL; i++) {
        bool done = i % 4 == only;
        for (uint64_t turn = 0; done && turn < most; turn++) {
            struct k2_rewrite_report report;
            expect_ok(life,
                      k2_level_step(life->store.engine, table, &request, &done, &report, &error),
                      &error);
        }
    }
}

// The thread that does it beside a server, with commits.
static void maintain(struct life *life)
{
    struct k2_maintenance *maintenance = NULL;
    struct k2_maintenance_options options = {.bytes_per_second = 0};
    struct k2_maintenance_figures figures;
    struct k2_error error;
    expect_ok(life, k2_maintenance_start(&maintenance, life->store.engine, &options, &error),
              &error);
    for (uint64_t i = below(life, 40); i > 0; i--) {
        commit_some(life);
    }
    k2_maintenance_settle(maintenance);
    k2_maintenance_get(maintenance, &figures);
    k2_maintenance_stop(maintenance);
    assert_string_equal(figures.reason, "");
}

static void note_export(struct life *life)
{
    const struct k2_export_note note = {k2_slice_of("place"), k2_slice_of("text")};
    struct k2_error error;
    expect_ok(life, k2_export_note_put(life->store.engine, &note, 1, &error), &error);
}

// ---- what the user says

static void change_tag(struct life *life)
{
    struct model_store *store = &life->store;
    size_t place = below(life, MODEL_TAGS);
    uint64_t snapshot = below(life, store->newest) + 1;
    char name[8];
    bool expired = false, tagged = false;
    (void)snprintf(name, sizeof name, "t%u", (unsigned)place % MODEL_TAGS);
    if (store->tags[place] != 0) {
        assert_int_equal(k2_tag_delete(store->engine, k2_slice_of(name), NULL), K2_OK);
        store->tags[place] = 0;
        return;
    }
    for (size_t i = 0; i < MODEL_TAGS; i++) {
        tagged |= store->tags[i] == snapshot;
    }
    for (size_t i = 0; i < MODEL_TABLES; i++) {
        expired |= snapshot < store->models[i].floor && !tagged;
    }
    assert_int_equal(k2_tag_set(store->engine, k2_slice_of(name), snapshot, NULL),
                     expired ? K2_EXPIRED : K2_OK);
    store->tags[place] = expired ? 0 : snapshot;
}

static void change_policy(struct life *life)
{
    struct model_store *store = &life->store;
    size_t table = below(life, MODEL_TABLES);
    struct table_model *model = &store->models[table];
    struct k2_policy policy = {.duplicates = (enum k2_duplicate_rule)below(life, 3),
                               .history_ns = century_ns};
    bool holds = model->versions > table_model_visible(model, store->newest);
    bool refused = holds && model->rule == K2_KEEP_LAST && policy.duplicates != K2_KEEP_LAST;
    assert_int_equal(k2_policy_set(store->engine, store->tables[table], &policy, NULL),
                     refused ? K2_BAD_REQUEST : K2_OK);
    model->rule = refused ? model->rule : policy.duplicates;
}

static uint64_t count_gone(const struct model_store *store, const struct table_model *model,
                           uint64_t floor, int64_t cut_ns, bool cut)
{
    uint64_t gone = 0;
    for (size_t i = 0; i < model->key_count; i++) {
        const struct model_key *key = &model->keys[i];
        for (size_t j = 0; j < key->count; j++) {
            uint64_t until = j + 1 < key->count ? key->versions[j + 1].commit : UINT64_MAX;
            bool tagged = false;
            for (size_t k = 0; k < MODEL_TAGS; k++) {
                tagged |= store->tags[k] >= key->versions[j].commit && store->tags[k] < until;
            }
            gone += (cut && key->time_ns < cut_ns) || (until <= floor && !tagged);
        }
    }
    return gone;
}

// As of a time at which `horizon` is the oldest snapshot that the history holds.
static void retain(struct life *life)
{
    struct model_store *store = &life->store;
    size_t table = below(life, MODEL_TABLES);
    struct table_model *model = &store->models[table];
    struct k2_policy policy = {.duplicates = model->rule, .history_ns = century_ns};
    struct k2_retain_report told, report;
    struct k2_error error;
    bool cut = below(life, 3) == 0;
    uint64_t horizon = below(life, store->newest) + 1;
    int64_t cut_ns = (int64_t)below(life, MODEL_NUMBERS / 2) * store->step_ns + 1;
    int64_t now_ns = store->times_ns[horizon] + century_ns;
    policy.retention_ns = cut ? now_ns - cut_ns : 0;
    const struct k2_table *of = store->tables[table];
    expect_ok(life, k2_policy_set(store->engine, of, &policy, &error), &error);
    expect_ok(life, k2_retain(store->engine, of, now_ns, true, &told, &error), &error);
    expect_ok(life, k2_retain(store->engine, of, now_ns, false, &report, &error), &error);
    uint64_t floor = horizon > model->floor ? horizon : model->floor;
    uint64_t most = count_gone(store, model, floor, cut_ns, cut);
    uint64_t cut_rows = count_gone(store, model, 0, cut_ns, cut);
    uint64_t old = cut ? table_model_cut(model, cut_ns) : 0;
    assert_int_equal(told.rows_dropped, report.rows_dropped);
    assert_int_equal(told.snapshot, store->newest);
    assert_int_equal(report.rows_old, old);
    assert_in_range(report.rows_dropped, old, most);
    assert_int_equal(report.snapshot, store->newest + (report.rows_dropped > 0));
    assert_true(report.history_floor == (report.rows_dropped > 0 ? floor : model->floor));
    model->dropped |= report.rows_dropped > cut_rows;
    model->versions -= report.rows_dropped;
    model->floor = report.history_floor;
    note_snapshot(life, report.snapshot);
    if (report.has_cut) {
        model->has_cut = true;
        model->cut_ns = report.retention_cut_ns;
        model->cut_at = cut ? store->newest : model->cut_at;
    }
}

// ---- copies and damage

static void back_up(struct life *life)
{
    struct model_store *store = &life->store;
    const struct k2_backup_options copy = {.copy_all = below(life, 2) == 0}, whole = {true};
    struct k2_backup_report report;
    struct k2_engine *engine = NULL;
    struct k2_error error;
    char kept[TEST_PATH_BYTES + 8];
    (void)snprintf(kept, sizeof kept, "%s.kept", store->folder);
    expect_ok(life, k2_backup(store->engine, kept, &copy, &report, &error), &error);
    assert_int_equal(report.snapshot, store->newest);
    if (below(life, 2) == 0) { // and back
        model_store_close(store);
        test_folder_remove(store->folder);
        expect_ok(life, k2_engine_open(&engine, kept, K2_ENGINE_READ, &error), &error);
        expect_ok(life, k2_backup(engine, store->folder, &whole, &report, &error), &error);
        k2_engine_close(engine);
        model_store_open(store, K2_ENGINE_WRITE);
    }
    test_folder_remove(kept);
}

static void print_loss(void *context, const struct k2_lost *lost)
{
    (void)context;
    print_message("# lost: %s %s: %s\n", lost->table, lost->symbol, lost->reason);
}

// The index is lost, or not: what the segments say is the whole store.
static void repair(struct life *life)
{
    struct model_store *store = &life->store;
    struct k2_repair_options options = {.from_segments = below(life, 4) > 0, .lost = print_loss};
    struct k2_repair_report report;
    struct k2_error error;
    struct k2_gap_figures figures[MODEL_TABLES];
    char *before[MODEL_TABLES], index[TEST_PATH_BYTES + 8];
    bool lost = options.from_segments && below(life, 2) == 0;
    for (size_t i = 0; i < MODEL_TABLES; i++) {
        before[i] = model_store_ledger(store, i);
        assert_int_equal(k2_gap_figures_get(store->engine, store->tables[i], &figures[i], NULL),
                         K2_OK);
    }
    model_store_close(store);
    if (lost) {
        (void)snprintf(index, sizeof index, "%s/index", store->folder);
        test_folder_remove(index);
    }
    expect_ok(life, k2_repair(store->folder, &options, &report, &error), &error);
    assert_int_equal(report.lost, 0);
    assert_true(report.changed == options.from_segments);
    model_store_open(store, K2_ENGINE_WRITE);
    if (options.from_segments) { // that of a commit without rows stood in the index alone
        store->progress = read_progress(store);
    }
    for (size_t i = 0; i < MODEL_TABLES; i++) {
        struct table_model *model = &store->models[i];
        bool all = true;
        if (options.from_segments) { // counters of what was not stored begin anew
            all = table_model_relearn(model);
            model->duplicates = model->rejected = 0;
            model->stored = model->versions;
        }
        struct k2_gap_figures again;
        char *after = model_store_ledger(store, i);
        assert_int_equal(k2_gap_figures_get(store->engine, store->tables[i], &again, NULL), K2_OK);
        if (all) { // closed gaps, too
            assert_string_equal(after, before[i]);
            assert_memory_equal(&again, &figures[i], sizeof again);
        }
        k2_free(after);
        k2_free(before[i]);
        model_compare_rows(store, i, store->newest, true);
    }
}

// ---- lives

static void compare_some(struct life *life)
{
    enum { QUESTIONS = 12, LEDGER_QUESTION = 4, LEDGER_QUESTIONS = 3 };
    struct model_store *store = &life->store;
    size_t table = below(life, MODEL_TABLES);
    uint64_t snapshot = below(life, store->newest) + 1;
    size_t tag = below(life, MODEL_TAGS);
    if (store->tags[tag] != 0 && below(life, 5) == 0) {
        snapshot = store->tags[tag];
    } else if (below(life, 4) == 0) {
        snapshot = store->newest;
    }
    switch (life->habits.ledger ? LEDGER_QUESTION + below(life, LEDGER_QUESTIONS)
                                : below(life, QUESTIONS)) {
    case 0:
        model_compare_rows(store, table, snapshot, true);
        break;
    case 1:
        model_compare_candles(store, table, snapshot);
        break;
    case 2:
        model_compare_last(store, table, snapshot);
        break;
    case 3:
        model_compare_asof(store, snapshot);
        break;
    case 4:
    case 5:
        model_compare_gaps(store, table, snapshot);
        break;
    case 6:
        model_compare_completeness(store, table, snapshot);
        break;
    case 7:
        model_compare_instruments(store, table, snapshot);
        model_compare_log(store, snapshot);
        break;
    case 8:
    case 9:
        model_compare_sums(store, table, snapshot);
        break;
    default:
        model_compare_rows(store, table, snapshot, false);
    }
}

static void compare_figures(struct life *life)
{
    model_compare_figures(&life->store, below(life, MODEL_TABLES));
}

typedef void operation_fn(struct life *life);

static const struct {
    const char *name;
    operation_fn *run;
    uint64_t weight, ledger_weight;
    bool retains; // only in lives that do
} operations[] = {
    {"commit", commit_some, 0, 0, false}, // by habit
    {"compare", compare_some, 1300, 1300, false},
    {"figures", compare_figures, 12, 20, false},
    {"compact", compact, 8, 3, false},
    {"levels", step_levels, 40, 0, false},
    {"maintenance", maintain, 2, 0, false},
    {"restart", restart, 14, 4, false},
    {"death", die_committing, 6, 0, false},
    {"tag", change_tag, 30, 0, false},
    {"export note", note_export, 2, 0, false},
    {"policy", change_policy, 16, 0, false},
    {"retain", retain, 16, 0, true},
    {"backup", back_up, 3, 0, false},
    {"repair", repair, 5, 2, false},
};
enum { OPERATIONS = sizeof operations / sizeof operations[0] };

static uint64_t weight_of(const struct life *life, size_t operation)
{
    return operation == 0        ? life->habits.loads
           : life->habits.ledger ? operations[operation].ledger_weight
           : operations[operation].retains && !life->habits.retains ? 0
                                                                    : operations[operation].weight;
}

static size_t choose(struct life *life)
{
    uint64_t all = 0;
    for (size_t i = 0; i < OPERATIONS; i++) {
        all += weight_of(life, i);
    }
    uint64_t place = below(life, all);
    size_t chosen = 0;
    while (place >= weight_of(life, chosen)) {
        place -= weight_of(life, chosen++);
    }
    return chosen;
}

static void begin_life(struct life *life, uint64_t seed, bool ledger)
{
    static const int64_t steps_ns[] = {1, 1000000000, INT64_C(780000000000)};
    memset(life, 0, sizeof *life);
    life->store.chance = seed;
    test_folder_make(life->store.folder);
    model_store_open(&life->store, K2_ENGINE_CREATE);
    life->store.step_ns = steps_ns[below(life, 3)];
    life->habits.ledger = ledger;
    life->habits.dense = below(life, 2) == 0 || ledger;
    life->habits.deletes = below(life, 2) == 0 && !ledger;
    life->habits.retains = below(life, 2) == 0 && !ledger;
    life->habits.loads = 150 + below(life, 3) * 150;
    for (size_t i = 0; i < MODEL_TABLES && !ledger; i++) {
        change_policy(life);
    }
    while (life->store.newest == 0) {
        commit_some(life);
    }
}

static void live(struct life *life, uint64_t seed, bool ledger, uint64_t counts[OPERATIONS])
{
    bool told = getenv("K2_TEST_TRACE") != NULL;
    begin_life(life, seed, ledger);
    for (; life->store.operation < LIFE_OPERATIONS; life->store.operation++) {
        size_t operation = choose(life);
        if (told) {
            print_message("%llu %s\n", (unsigned long long)life->store.operation,
                          operations[operation].name);
        }
        operations[operation].run(life);
        counts[operation]++;
    }
    for (size_t i = 0; i < MODEL_TABLES; i++) {
        model_compare_figures(&life->store, i);
        model_compare_rows(&life->store, i, life->store.newest, true);
        table_model_clear(&life->store.models[i]);
    }
    model_store_close(&life->store);
    test_folder_remove(life->store.folder);
}

static void live_on(uint64_t lives, bool ledger)
{
    struct test_budget budget = {0};
    uint64_t counts[OPERATIONS] = {0}, seed = test_seed(), all = 0;
    int64_t start_ns = test_now_ns();
    struct life *life = k2_alloc_zero(1, sizeof *life);
    assert_non_null(life);
    while (test_goes_on(&budget, lives / (uint64_t)test_stride((long)lives))) {
        print_message("# the life of seed %llu\n", (unsigned long long)seed);
        live(life, seed++, ledger, counts);
    }
    for (size_t i = 0; i < OPERATIONS; i++) {
        all += counts[i];
        print_message("# %-12s %llu\n", operations[i].name, (unsigned long long)counts[i]);
    }
    print_message("# %llu operations, %.1f s\n", (unsigned long long)all,
                  (double)(test_now_ns() - start_ns) / 1e9);
    k2_free(life);
}

static void every_answer_equals_that_of_lists(void **state)
{
    (void)state;
    live_on(LIVES, false);
}

// Sources that count, some beside them that do not, and many questions.
static void the_ledger_equals_lists(void **state)
{
    (void)state;
    live_on(LEDGER_LIVES, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_equals_that_of_lists),
        cmocka_unit_test(the_ledger_equals_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
