// Repair: what was committed and can be read comes back, and nothing else does.
#include "engine/repair.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/check.h"
#include "engine/compact.h"
#include "engine/file_io.h"
#include "engine/garbage.h"
#include "engine/plan.h"
#include "engine/rewrite.h"
#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "tests/support/store_rows.h"

enum { MOST_LOSSES = 64 };

struct case_state {
    struct test_store store;
    char home[TEST_PATH_BYTES], kept[TEST_PATH_BYTES]; // a copy of the store's files
    size_t lost_count;
    char lost[MOST_LOSSES][160]; // `table symbol first last rows`
};

static int set_up(void **state)
{
    static struct case_state self;
    memset(&self, 0, sizeof self);
    test_store_open(&self.store);
    test_folder_make(self.home);
    int size = snprintf(self.kept, sizeof self.kept, "%s/kept", self.home);
    assert_in_range(size, 1, sizeof self.kept - 1);
    *state = &self;
    return 0;
}

static void close_store(struct test_store *store)
{
    k2_row_batch_destroy(store->batch);
    k2_engine_close(store->engine);
    store->batch = NULL;
    store->engine = NULL;
}

static int tear_down(void **state)
{
    struct case_state *self = *state;
    k2_file_set_hook(NULL, NULL);
    k2_alloc_fail_after(-1);
    test_store_close(&self->store);
    test_folder_remove(self->home);
    return 0;
}

// ---- files

static void join(char path[TEST_PATH_BYTES + 300], const char *folder, const char *name)
{
    (void)snprintf(path, TEST_PATH_BYTES + 300, "%s/%s", folder, name);
}

static void copy_store(const char *from, const char *to)
{
    static const char *const names[] = {"index", "segments"};
    char source[TEST_PATH_BYTES + 300], target[TEST_PATH_BYTES + 300];
    test_folder_remove(to);
    (void)mkdir(to, 0750);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        join(source, from, names[i]);
        join(target, to, names[i]);
        test_folder_copy(source, target);
    }
}

static void remove_index(const struct test_store *store)
{
    char path[TEST_PATH_BYTES + 300];
    join(path, store->folder, "index");
    test_folder_remove(path);
}

// The `number`-th segment from the end by name.
static void segment_path(const struct test_store *store, int number,
                         char path[TEST_PATH_BYTES + 300])
{
    char folder[TEST_PATH_BYTES + 300];
    struct dirent **entries = NULL;
    join(folder, store->folder, "segments");
    int count = scandir(folder, &entries, NULL, alphasort);
    assert_true(count - 1 - number >= 2);
    (void)snprintf(path, TEST_PATH_BYTES + 300, "%.300s/%.200s", folder,
                   entries[count - 1 - number]->d_name);
    for (int i = 0; i < count; i++) {
        free(entries[i]);
    }
    free(entries);
}

static off_t size_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

// ---- rows

static uint64_t commit_rows(struct test_store *store, int64_t number, const char *symbol)
{
    struct k2_commit_outcome outcome;
    struct test_trade trades[] = {{symbol, 1000 + number, number, number * 3, 1},
                                  {"ZZZ", 1000 + number, number, number * 5, 2}};
    return test_store_commit(store, trades, 2, K2_NUMBERING_SPARSE, &outcome);
}

static void set_progress(struct test_store *store, int64_t number)
{
    struct k2_commit *commit;
    struct k2_commit_outcome outcome;
    struct test_trade trade = {"PPP", 5000 + number, number, 7, 8};
    char value[16];
    uint64_t snapshot;
    (void)snprintf(value, sizeof value, "%d", (int)number);
    test_store_fill(store, &trade, 1);
    assert_int_equal(k2_commit_begin(store->engine, &commit, NULL), K2_OK);
    assert_int_equal(k2_commit_add(commit, store->batch, K2_NUMBERING_SPARSE, &outcome, NULL),
                     K2_OK);
    assert_int_equal(
        k2_commit_set_progress(commit, k2_slice_of("source/0"), k2_slice_of(value), NULL), K2_OK);
    assert_int_equal(k2_commit_finish(commit, &snapshot, NULL), K2_OK);
}

static void expect_progress(struct test_store *store, const char *expected)
{
    struct k2_buffer value;
    bool found;
    k2_buffer_init(&value, 100);
    assert_int_equal(
        k2_engine_progress(store->engine, k2_slice_of("source/0"), &found, &value, NULL), K2_OK);
    assert_true(found && k2_slice_equal(k2_buffer_slice(&value), k2_slice_of(expected)));
    k2_buffer_deinit(&value);
}

static void compact(struct test_store *store, bool full)
{
    struct k2_compact_options options = {.full = full};
    struct k2_compact_report report;
    struct k2_error error;
    if (k2_compact(store->engine, &options, &report, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
}

// All groups of trades as one file with two groups: rows before `time_ns`, and the others.
static void rewrite_as_two(struct test_store *store, int64_t time_ns)
{
    struct k2_plan plan;
    struct k2_plan_request all = {
        .table = store->table,
        .time_min_ns = INT64_MIN,
        .time_max_ns = INT64_MAX,
        .snapshot = UINT64_MAX,
        .headers_only = true,
    };
    const struct k2_rewrite_window windows[] = {
        {INT64_MIN, time_ns - 1, K2_LEVEL_HOURLY, false},
        {time_ns, INT64_MAX, K2_LEVEL_HOURLY, false},
    };
    struct k2_rewrite_options options = {.windows = windows, .window_count = 2};
    struct k2_rewrite_report report;
    struct k2_rewrite *rewrite = NULL;
    k2_rewrite_lock(store->engine);
    assert_int_equal(k2_plan_open(store->engine, &all, &plan, NULL), K2_OK);
    assert_int_equal(
        k2_rewrite_open(&rewrite, store->engine, store->table, plan.groups, plan.group_count, NULL),
        K2_OK);
    assert_int_equal(k2_rewrite_run(rewrite, &options, NULL), K2_OK);
    assert_int_equal(k2_rewrite_swap(rewrite, &report, NULL), K2_OK);
    assert_int_equal(report.groups_after, 2);
    k2_rewrite_close(rewrite);
    k2_plan_close(&plan);
    assert_int_equal(k2_garbage_collect(store->engine, NULL, NULL), K2_OK);
    k2_rewrite_unlock(store->engine);
}

static void expect_sound(struct test_store *store)
{
    struct k2_check_options options = {.deep = true};
    struct k2_check_report report;
    assert_int_equal(k2_check(store->engine, &options, &report, NULL), K2_OK);
    assert_int_equal(report.findings, 0);
}

static char *describe_snapshots(struct test_store *store)
{
    static struct k2_snapshot list[64];
    struct k2_buffer text;
    size_t count = 64;
    k2_buffer_init(&text, 1 << 20);
    assert_int_equal(k2_snapshot_list(store->engine, 0, list, &count, NULL), K2_OK);
    for (size_t i = 0; i < count; i++) {
        k2_put_format(&text, "%d %lld %s", (int)list[i].id, (long long)list[i].time_ns,
                      k2_operation_name(list[i].operation));
        for (size_t j = 0; j < list[i].table_count; j++) {
            k2_put_format(&text, " %d:%d+%d", list[i].tables[j].table_id,
                          (int)list[i].tables[j].rows, (int)list[i].tables[j].added);
        }
        k2_put_u8(&text, ';');
    }
    k2_put_u8(&text, 0);
    return (char *)text.data;
}

// ---- repair

static void note_loss(void *context, const struct k2_lost *lost)
{
    struct case_state *self = context;
    if (self->lost_count < MOST_LOSSES) {
        (void)snprintf(self->lost[self->lost_count], sizeof self->lost[0], "%s %s %d %d %d",
                       lost->table == NULL ? "?" : lost->table,
                       lost->symbol == NULL ? "?" : lost->symbol, (int)lost->first_ns,
                       (int)lost->last_ns, (int)lost->rows);
    }
    self->lost_count++;
}

static enum k2_status try_repair(struct case_state *self, bool from_segments,
                                 struct k2_repair_report *report, struct k2_error *error)
{
    struct k2_repair_options options = {
        .from_segments = from_segments,
        .lost = note_loss,
        .context = self,
    };
    self->lost_count = 0;
    return k2_repair(self->store.folder, &options, report, error);
}

// Closes the store, repairs it and opens it again.
static struct k2_repair_report repair(struct case_state *self, bool from_segments)
{
    struct k2_repair_report report;
    struct k2_error error;
    close_store(&self->store);
    if (try_repair(self, from_segments, &report, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    test_store_reopen(&self->store, K2_ENGINE_WRITE);
    expect_sound(&self->store);
    return report;
}

static void expect_rows(struct test_store *store, uint64_t snapshot, const char *expected)
{
    char *got = test_store_rows(store, snapshot);
    assert_string_equal(got, expected);
    k2_free(got);
}

static void a_lost_index_comes_back_whole(void **state)
{
    static const struct {
        const char *name;
        int compactions; // after the first rows, and at the end
        bool full;
    } rows[] = {
        {"as committed", 0, false},
        {"rewritten, and more after it", 1, false},
        {"rewritten twice", 2, false},
        {"all rewritten twice", 2, true},
    };
    struct case_state *self = *state;
    struct test_store *store = &self->store;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].name);
        uint64_t first = commit_rows(store, 1, "AAA");
        set_progress(store, 1);
        assert_int_equal(k2_tag_set(store->engine, k2_slice_of("one"), first, NULL), K2_OK);
        assert_int_equal(k2_tag_set(store->engine, k2_slice_of("gone"), first, NULL), K2_OK);
        if (rows[i].compactions > 0) {
            compact(store, rows[i].full);
        }
        test_store_reopen(store, K2_ENGINE_WRITE);
        assert_int_equal(k2_tag_delete(store->engine, k2_slice_of("gone"), NULL), K2_OK);
        (void)commit_rows(store, 2, "BBB");
        set_progress(store, 2);
        if (rows[i].compactions > 1) {
            compact(store, rows[i].full);
        }
        char *now = test_store_rows(store, 0), *then = test_store_rows(store, first);
        char *snapshots = describe_snapshots(store);
        close_store(store);
        remove_index(store);
        struct k2_repair_report report = repair(self, false); // closed already
        assert_int_equal(report.lost, 0);
        assert_int_equal(report.recovered_rows, 6);
        assert_int_equal(report.quarantined, 0);
        expect_rows(store, 0, now);
        expect_rows(store, first, then);
        expect_progress(store, "2");
        char *after = describe_snapshots(store);
        assert_string_equal(after, snapshots);
        struct k2_tag *tags;
        size_t tag_count;
        assert_int_equal(k2_tag_list(store->engine, &tags, &tag_count, NULL), K2_OK);
        assert_int_equal(tag_count, 1);
        assert_string_equal(tags[0].name, "one");
        assert_int_equal(tags[0].snapshot, first);
        (void)commit_rows(store, 3, "CCC"); // and it goes on
        expect_sound(store);
        k2_free(tags);
        k2_free(now);
        k2_free(then);
        k2_free(snapshots);
        k2_free(after);
        test_store_close(store);
        test_store_open(store);
    }
}

static void tables_keep_their_schemas(void **state)
{
    static const char json[] =
        "{\"type\":\"record\",\"name\":\"Tick\",\"fields\":["
        "{\"name\":\"symbol\",\"type\":\"string\",\"k2.role\":\"symbol\"},"
        "{\"name\":\"timestamp\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"},"
        "\"k2.role\":\"timestamp\"},"
        "{\"name\":\"sequence\",\"type\":\"long\",\"k2.role\":\"sequence\"},"
        "{\"name\":\"level\",\"type\":\"long\"}]}";
    struct case_state *self = *state;
    struct k2_schema *schema = NULL;
    const struct k2_table *table;
    assert_int_equal(k2_schema_parse(&schema, "ticks", k2_slice_of(json), NULL), K2_OK);
    assert_int_equal(k2_engine_add_table(self->store.engine, &schema, &table, NULL), K2_OK);
    uint16_t id = table->id;
    (void)commit_rows(&self->store, 1, "AAA");
    compact(&self->store, true);
    close_store(&self->store);
    remove_index(&self->store);
    struct k2_repair_report report = repair(self, false);
    assert_int_equal(report.lost, 0);
    table = k2_engine_table(self->store.engine, k2_slice_of("ticks"));
    assert_non_null(table);
    assert_int_equal(table->id, id);
    assert_string_equal(table->schema->source, json);
}

static void a_sound_store_is_left_as_it_is(void **state)
{
    struct case_state *self = *state;
    (void)commit_rows(&self->store, 1, "AAA");
    struct k2_repair_report report = repair(self, false);
    assert_false(report.changed);
    assert_int_equal(report.recovered_rows, 2);
    close_store(&self->store);
    struct k2_repair_options options = {0};
    assert_int_equal(k2_repair(self->home, &options, &report, NULL), K2_NOT_FOUND);
    assert_int_equal(k2_repair("", &options, &report, NULL), K2_BAD_REQUEST);
    test_store_reopen(&self->store, K2_ENGINE_WRITE);
    assert_int_equal(k2_repair(self->store.folder, &options, &report, NULL), K2_BUSY);
}

static int refuse_index(void *context, enum k2_file_operation operation)
{
    (void)context;
    return operation == K2_FILE_INDEX_COMMIT ? 28 : 0; // ENOSPC
}

static void fail_commit(struct test_store *store, int64_t number)
{
    struct k2_commit *commit;
    struct k2_commit_outcome outcome;
    struct test_trade trade = {"BAD", 1000 + number, number, 666, 1};
    uint64_t snapshot;
    test_store_fill(store, &trade, 1);
    assert_int_equal(k2_commit_begin(store->engine, &commit, NULL), K2_OK);
    assert_int_equal(k2_commit_add(commit, store->batch, K2_NUMBERING_SPARSE, &outcome, NULL),
                     K2_OK);
    k2_file_set_hook(refuse_index, NULL);
    assert_int_equal(k2_commit_finish(commit, &snapshot, NULL), K2_NO_SPACE);
    k2_file_set_hook(NULL, NULL);
}

static void rows_of_a_failed_commit_do_not_come_back(void **state)
{
    static const struct {
        const char *name;
        bool same_run;
    } rows[] = {{"the same process commits again", true}, {"another one does", false}};
    struct case_state *self = *state;
    struct test_store *store = &self->store;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].name);
        int64_t base = (int64_t)i * 10;
        (void)commit_rows(store, base + 1, "AAA");
        fail_commit(store, base + 2);
        if (!rows[i].same_run) {
            test_store_reopen(store, K2_ENGINE_WRITE);
        }
        (void)commit_rows(store, base + 3, "CCC");
        char *truth = test_store_rows(store, 0);
        assert_null(strstr(truth, "BAD"));
        struct k2_repair_report report = repair(self, true);
        assert_int_equal(report.lost, 0);
        expect_rows(store, 0, truth);
        k2_free(truth);
    }
}

static void inputs_of_a_rewrite_do_not_come_back(void **state)
{
    struct case_state *self = *state;
    struct test_store *store = &self->store;
    (void)commit_rows(store, 1, "AAA");
    test_store_reopen(store, K2_ENGINE_WRITE);
    (void)commit_rows(store, 2, "BBB");
    char inputs[TEST_PATH_BYTES + 300], segments[TEST_PATH_BYTES + 300];
    join(segments, store->folder, "segments");
    join(inputs, self->home, "inputs");
    test_folder_copy(segments, inputs);
    compact(store, false);
    (void)commit_rows(store, 3, "CCC");
    compact(store, true);
    char *truth = test_store_rows(store, 0);
    close_store(store);
    test_folder_copy(inputs, segments); // as if nobody had unlinked them yet
    remove_index(store);
    struct k2_repair_report report;
    assert_int_equal(try_repair(self, false, &report, NULL), K2_OK);
    assert_int_equal(report.lost, 0);
    test_store_reopen(store, K2_ENGINE_WRITE);
    expect_sound(store);
    expect_rows(store, 0, truth);
    k2_free(truth);
}

static void any_truncation_gives_whole_groups(void **state)
{
    struct case_state *self = *state;
    struct test_store *store = &self->store;
    char path[TEST_PATH_BYTES + 300];
    (void)commit_rows(store, 1, "AAA");
    test_store_reopen(store, K2_ENGINE_WRITE);
    char *states[4];
    states[0] = test_store_rows(store, 0);
    for (size_t i = 1; i < 4; i++) {
        (void)commit_rows(store, (int64_t)i + 1, "BBB");
        states[i] = test_store_rows(store, 0);
    }
    segment_path(store, 0, path);
    off_t size = size_of(path);
    assert_int_equal(size, 4096 * 4); // a header and three groups, of one page each
    close_store(store);
    copy_store(store->folder, self->kept);
    for (off_t cut = 0; cut < size; cut += 512) {
        for (int without_index = 0; without_index < 2; without_index++) {
            copy_store(self->kept, store->folder);
            assert_int_equal(truncate(path, cut), 0);
            if (without_index) {
                remove_index(store);
            }
            struct k2_repair_report report;
            struct k2_error error;
            assert_int_equal(try_repair(self, false, &report, &error), K2_OK);
            size_t whole = cut < 4096 ? 0 : (size_t)(cut / 4096) - 1;
            // A cut between groups can not be seen without the index.
            assert_int_equal(report.lost > 0, !without_index || cut % 4096 != 0);
            test_store_reopen(store, K2_ENGINE_WRITE);
            expect_sound(store);
            expect_rows(store, 0, states[whole]);
            (void)commit_rows(store, 50, "NEW");
            close_store(store);
            assert_int_equal(try_repair(self, false, &report, &error), K2_OK);
            assert_int_equal(report.lost, 0);
            assert_false(report.changed);
        }
    }
    test_store_reopen(store, K2_ENGINE_WRITE);
    for (size_t i = 0; i < 4; i++) {
        k2_free(states[i]);
    }
}

static void any_flipped_byte_costs_one_group_at_most(void **state)
{
    struct case_state *self = *state;
    struct test_store *store = &self->store;
    char path[TEST_PATH_BYTES + 300];
    (void)commit_rows(store, 1, "AAA");
    (void)commit_rows(store, 2, "BBB");
    (void)commit_rows(store, 3, "CCC");
    char *whole = test_store_rows(store, 0);
    segment_path(store, 0, path);
    off_t size = size_of(path);
    close_store(store);
    copy_store(store->folder, self->kept);
    for (off_t place = 3; place < size; place += 97) {
        copy_store(self->kept, store->folder);
        int file = open(path, O_RDWR);
        uint8_t byte;
        assert_int_equal(pread(file, &byte, 1, place), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(file, &byte, 1, place), 1);
        (void)close(file);
        struct k2_repair_report report;
        bool from_segments = place % 2 == 1;
        assert_int_equal(try_repair(self, from_segments, &report, NULL), K2_OK);
        test_store_reopen(store, K2_ENGINE_WRITE);
        expect_sound(store);
        char *rows = test_store_rows(store, 0);
        assert_int_equal(report.recovered_rows, report.lost > 0 ? 4 : 6);
        assert_true(report.lost > 0 || strcmp(rows, whole) == 0);
        k2_free(rows);
        close_store(store);
    }
    test_store_reopen(store, K2_ENGINE_WRITE);
    k2_free(whole);
}

// The inputs are gone: one damaged part must not cost the others.
static void a_damaged_rewrite_keeps_its_other_parts(void **state)
{
    struct case_state *self = *state;
    struct test_store *store = &self->store;
    char path[TEST_PATH_BYTES + 300];
    (void)commit_rows(store, 1, "AAA");
    (void)commit_rows(store, 2, "BBB");
    test_store_reopen(store, K2_ENGINE_WRITE);
    rewrite_as_two(store, 1002);
    char *whole = test_store_rows(store, 0);
    segment_path(store, 1, path); // the last one has `_log`
    off_t size = size_of(path);
    assert_int_equal(size, 4096 * 3);
    close_store(store);
    copy_store(store->folder, self->kept);
    for (off_t place = 4096 + 5; place < size; place += 151) {
        copy_store(self->kept, store->folder);
        remove_index(store);
        int file = open(path, O_RDWR);
        uint8_t byte;
        assert_int_equal(pread(file, &byte, 1, place), 1);
        byte ^= 0x04;
        assert_int_equal(pwrite(file, &byte, 1, place), 1);
        (void)close(file);
        struct k2_repair_report report;
        assert_int_equal(try_repair(self, false, &report, NULL), K2_OK);
        test_store_reopen(store, K2_ENGINE_WRITE);
        expect_sound(store);
        assert_int_equal(report.recovered_rows, report.lost > 0 ? 2 : 4);
        const char *later = strstr(whole, "BBB");
        char earlier[128] = {0};
        memcpy(earlier, whole, (size_t)(later - whole));
        expect_rows(store, 0, report.lost == 0 ? whole : place < 8192 ? later : earlier);
        close_store(store);
    }
    test_store_reopen(store, K2_ENGINE_WRITE);
    k2_free(whole);
}

// It ended in the middle: its inputs count, and what it wrote does not.
static void a_rewrite_that_was_cut_off_is_void(void **state)
{
    struct case_state *self = *state;
    struct test_store *store = &self->store;
    char path[TEST_PATH_BYTES + 300];
    (void)commit_rows(store, 1, "AAA");
    compact(store, true);
    (void)commit_rows(store, 2, "BBB");
    char *truth = test_store_rows(store, 0);
    copy_store(store->folder, self->kept);
    compact(store, true);
    segment_path(store, 0, path);
    close_store(store);
    off_t size = size_of(path);
    for (off_t cut = 0; cut < size; cut += 2048) {
        char kept[TEST_PATH_BYTES + 300], target[TEST_PATH_BYTES + 300];
        join(kept, self->home, "output");
        (void)unlink(kept);
        assert_int_equal(k2_file_copy(path, kept, (uint64_t)cut, NULL), K2_OK);
        char home[TEST_PATH_BYTES];
        test_folder_make(home);
        copy_store(self->kept, home);
        (void)snprintf(target, sizeof target, "%s/segments/%s", home, strrchr(path, '/') + 1);
        assert_int_equal(k2_file_copy(kept, target, (uint64_t)cut, NULL), K2_OK);
        struct k2_repair_options options = {.from_segments = true};
        struct k2_repair_report report;
        assert_int_equal(k2_repair(home, &options, &report, NULL), K2_OK);
        struct test_store other = {0};
        memcpy(other.folder, home, sizeof home);
        test_store_reopen(&other, K2_ENGINE_WRITE);
        expect_sound(&other);
        expect_rows(&other, 0, truth);
        test_store_close(&other);
    }
    test_store_reopen(store, K2_ENGINE_WRITE);
    k2_free(truth);
}

static void losses_are_named(void **state)
{
    struct case_state *self = *state;
    struct test_store *store = &self->store;
    char path[TEST_PATH_BYTES + 300];
    (void)commit_rows(store, 1, "AAA");
    test_store_reopen(store, K2_ENGINE_WRITE);
    (void)commit_rows(store, 2, "BBB");
    segment_path(store, 0, path);
    assert_int_equal(unlink(path), 0);
    struct k2_repair_report report = repair(self, false);
    assert_int_equal(report.recovered_rows, 2);
    assert_int_equal(self->lost_count, 2);
    assert_string_equal(self->lost[0], "trades BBB 1002 1002 0");
    assert_string_equal(self->lost[1], "trades ZZZ 1002 1002 0");
    struct k2_commit_outcome outcome; // what was lost can be stored again
    struct test_trade trade = {"BBB", 1002, 2, 6, 1};
    (void)test_store_commit(store, &trade, 1, K2_NUMBERING_SPARSE, &outcome);
    assert_int_equal(outcome.stored, 1);
}

static void a_commit_that_is_in_no_file_is_named(void **state)
{
    struct case_state *self = *state;
    struct test_store *store = &self->store;
    char path[TEST_PATH_BYTES + 300];
    (void)commit_rows(store, 1, "AAA");
    for (int64_t i = 2; i < 4; i++) {
        test_store_reopen(store, K2_ENGINE_WRITE);
        (void)commit_rows(store, i, "BBB");
    }
    segment_path(store, 1, path);
    assert_int_equal(unlink(path), 0);
    struct k2_repair_report report = repair(self, true);
    assert_int_equal(report.recovered_rows, 4);
    assert_int_equal(self->lost_count, 1);
    struct k2_snapshot newest;
    assert_int_equal(k2_snapshot_newest(store->engine, &newest, NULL), K2_OK);
    assert_int_equal(newest.id, 3); // the numbers stay what they were
}

static void swapped_files_are_found(void **state)
{
    struct case_state *self = *state;
    struct test_store *store = &self->store;
    char first[TEST_PATH_BYTES + 300], second[TEST_PATH_BYTES + 300], aside[TEST_PATH_BYTES + 300];
    (void)commit_rows(store, 1, "AAA");
    test_store_reopen(store, K2_ENGINE_WRITE);
    (void)commit_rows(store, 2, "BBB");
    test_store_reopen(store, K2_ENGINE_WRITE);
    (void)commit_rows(store, 3, "CCC");
    segment_path(store, 0, first);
    segment_path(store, 1, second);
    join(aside, self->home, "aside");
    assert_int_equal(rename(first, aside), 0);
    assert_int_equal(rename(second, first), 0);
    assert_int_equal(rename(aside, second), 0);
    struct k2_repair_report report = repair(self, false);
    assert_int_equal(report.recovered_rows, 2);
    assert_int_equal(report.quarantined, 2);
    assert_int_equal(test_folder_count(store->folder, "quarantine"), 2);
}

static void a_damaged_index_is_made_anew(void **state)
{
    struct case_state *self = *state;
    struct test_store *store = &self->store;
    char path[TEST_PATH_BYTES + 300];
    (void)commit_rows(store, 1, "AAA");
    char *truth = test_store_rows(store, 0);
    join(path, store->folder, "index/data.mdb");
    close_store(store);
    int file = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(file, "nonsense", 8), 8);
    (void)close(file);
    struct k2_repair_report report;
    assert_int_equal(try_repair(self, false, &report, NULL), K2_OK);
    test_store_reopen(store, K2_ENGINE_WRITE);
    assert_int_equal(report.lost, 0);
    expect_rows(store, 0, truth);
    assert_int_equal(test_folder_count(store->folder, "quarantine/index"), 2);
    k2_free(truth);
}

struct countdown {
    long left;
};

static int count_down(void *context, enum k2_file_operation operation)
{
    struct countdown *countdown = context;
    if (operation == K2_FILE_INDEX_COMMITTED) {
        return 0;
    }
    return countdown->left-- == 0 ? 28 : 0; // ENOSPC
}

static void a_repair_that_failed_anywhere_can_be_run_again(void **state)
{
    struct case_state *self = *state;
    struct test_store *store = &self->store;
    char path[TEST_PATH_BYTES + 300];
    (void)commit_rows(store, 1, "AAA");
    (void)commit_rows(store, 2, "BBB");
    char *kept_rows = test_store_rows(store, 0);
    (void)commit_rows(store, 3, "CCC");
    segment_path(store, 0, path);
    close_store(store);
    assert_int_equal(truncate(path, size_of(path) - 1000), 0);
    copy_store(store->folder, self->kept);
    for (int without_index = 0; without_index < 2; without_index++) {
        enum k2_status status = K2_IO;
        for (long calls = 0; status != K2_OK; calls++) {
            struct countdown countdown = {.left = calls};
            struct k2_repair_report report;
            copy_store(self->kept, store->folder);
            if (without_index) {
                remove_index(store);
            }
            k2_file_set_hook(count_down, &countdown);
            status = try_repair(self, false, &report, NULL);
            k2_file_set_hook(NULL, NULL);
            struct k2_error error;
            if (status != K2_OK && try_repair(self, false, &report, &error) != K2_OK) {
                fail_msg("after %d operations: %s", (int)calls, error.text);
            }
            test_store_reopen(store, K2_ENGINE_WRITE);
            expect_sound(store);
            expect_rows(store, 0, kept_rows);
            close_store(store);
            assert_true(calls < 60);
        }
    }
    test_store_reopen(store, K2_ENGINE_WRITE);
    k2_free(kept_rows);
}

static void any_allocation_may_fail(void **state)
{
    struct case_state *self = *state;
    struct test_store *store = &self->store;
    char path[TEST_PATH_BYTES + 300];
    (void)commit_rows(store, 1, "AAA");
    assert_int_equal(k2_tag_set(store->engine, k2_slice_of("one"), 1, NULL), K2_OK);
    (void)commit_rows(store, 2, "BBB");
    segment_path(store, 0, path);
    close_store(store);
    assert_int_equal(truncate(path, size_of(path) - 1000), 0);
    copy_store(store->folder, self->kept);
    for (int without_index = 0; without_index < 2; without_index++) {
        enum k2_status status = K2_NO_MEMORY;
        for (long calls = 0; status != K2_OK; calls++) {
            struct k2_repair_report report;
            copy_store(self->kept, store->folder);
            if (without_index) {
                remove_index(store);
            }
            k2_alloc_fail_after(calls);
            status = try_repair(self, false, &report, NULL);
            k2_alloc_fail_after(-1);
            assert_true(status == K2_OK || status == K2_NO_MEMORY);
        }
    }
    test_store_reopen(store, K2_ENGINE_WRITE);
    expect_sound(store);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_lost_index_comes_back_whole),
        CASE(tables_keep_their_schemas),
        CASE(a_sound_store_is_left_as_it_is),
        CASE(rows_of_a_failed_commit_do_not_come_back),
        CASE(inputs_of_a_rewrite_do_not_come_back),
        CASE(any_truncation_gives_whole_groups),
        CASE(any_flipped_byte_costs_one_group_at_most),
        CASE(a_damaged_rewrite_keeps_its_other_parts),
        CASE(a_rewrite_that_was_cut_off_is_void),
        CASE(losses_are_named),
        CASE(a_commit_that_is_in_no_file_is_named),
        CASE(swapped_files_are_found),
        CASE(a_damaged_index_is_made_anew),
        CASE(a_repair_that_failed_anywhere_can_be_run_again),
        CASE(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
