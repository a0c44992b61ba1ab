// k2_check: an index whose pages and checksums are right and that says something else than the
// segments, in one record after the other: found, and named.
#include "engine/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/compact.h"
#include "engine/engine_state.h"
#include "engine/index_records.h"
#include "engine/repair.h"
#include "format/base/alloc.h"
#include "tests/support/store_rows.h"

enum { TEXT_BYTES = 4096 };

// The records of one sorted group, its segment and its table, to be changed.
struct records {
    struct k2_group_place place;
    struct k2_group_record group;
    struct k2_segment_record segment;
    struct k2_counter_record counters;
    bool without_segment;
};

static void find_group(struct k2_store_txn *txn, uint16_t table, struct records *records)
{
    struct k2_index_key key = k2_index_key_id(table, 2);
    struct k2_store_cursor cursor;
    assert_int_equal(k2_store_cursor_open(txn, K2_STORE_GROUP, &cursor, NULL), K2_OK);
    assert_int_equal(k2_store_seek(&cursor, k2_index_key_slice(&key), NULL), K2_OK);
    assert_true(cursor.found);
    records->place = k2_group_place_of(cursor.key);
    records->group = k2_group_record_decode(cursor.value);
    assert_int_equal(records->place.table, table);
    k2_store_cursor_close(&cursor);
}

static struct k2_slice get(struct k2_store_txn *txn, enum k2_store_table table,
                           const struct k2_index_key *key)
{
    struct k2_slice value;
    bool found;
    assert_int_equal(k2_store_get(txn, table, k2_index_key_slice(key), &found, &value, NULL),
                     K2_OK);
    assert_true(found);
    return value;
}

static void put(struct k2_store_txn *txn, enum k2_store_table table, const struct k2_index_key *key,
                const struct k2_index_value *value)
{
    assert_int_equal(
        k2_store_put(txn, table, k2_index_key_slice(key), k2_index_value_slice(value), NULL),
        K2_OK);
}

static void change(struct test_store *store, void (*go)(struct records *records))
{
    struct k2_store_txn *txn;
    struct records records = {0};
    assert_int_equal(k2_store_begin(store->engine->store, true, &txn, NULL), K2_OK);
    find_group(txn, store->table->id, &records);
    struct k2_index_key group = k2_group_key(&records.place);
    struct k2_index_key segment = k2_index_key_id(records.place.segment_id, 8);
    struct k2_index_key counter = k2_index_key_id(store->table->id, 2);
    records.segment = k2_segment_record_decode(get(txn, K2_STORE_SEGMENT, &segment));
    records.counters = k2_counter_record_decode(get(txn, K2_STORE_COUNTER, &counter));
    go(&records);
    assert_int_equal(k2_store_delete(txn, K2_STORE_GROUP, k2_index_key_slice(&group), NULL), K2_OK);
    group = k2_group_key(&records.place);
    struct k2_index_value value = k2_group_record_encode(&records.group);
    put(txn, K2_STORE_GROUP, &group, &value);
    value = k2_segment_record_encode(&records.segment);
    put(txn, K2_STORE_SEGMENT, &segment, &value);
    value = k2_counter_record_encode(&records.counters);
    put(txn, K2_STORE_COUNTER, &counter, &value);
    if (records.without_segment) {
        assert_int_equal(k2_store_delete(txn, K2_STORE_SEGMENT, k2_index_key_slice(&segment), NULL),
                         K2_OK);
    }
    assert_int_equal(k2_store_commit(txn, NULL), K2_OK);
}

static void more_rows_counted(struct records *records)
{
    records->counters.rows++;
}

static void more_groups_counted(struct records *records)
{
    records->counters.groups++;
}

static void another_row_count(struct records *records)
{
    records->group.row_count++;
}

static void of_a_later_snapshot(struct records *records)
{
    records->group.commit_max += 1000;
}

static void from_behind_its_end(struct records *records)
{
    records->group.commit_min = records->group.commit_max + 1;
}

static void denies_a_snapshot(struct records *records)
{
    records->group.commit_min++;
}

static void denies_another(struct records *records)
{
    records->group.commit_max--;
}

static void behind_the_file(struct records *records)
{
    records->place.offset += 1 << 20;
}

static void longer_than_the_file(struct records *records)
{
    records->group.length_bytes += 1 << 20;
}

static void where_none_begins(struct records *records)
{
    records->place.offset -= 4096;
}

static void in_no_segment(struct records *records)
{
    records->place.segment_id += 1000;
}

static void segment_forgotten(struct records *records)
{
    records->without_segment = true;
}

static void more_live_bytes(struct records *records)
{
    records->segment.live_bytes += 4096;
}

static void more_live_groups(struct records *records)
{
    records->segment.group_count++;
}

static void a_longer_segment(struct records *records)
{
    records->segment.length_bytes += 1 << 20;
}

static void another_table(struct records *records)
{
    records->place.table = 2; // quotes
}

static const struct {
    const char *name;
    void (*go)(struct records *records);
    const char *said;
    bool deep; // only then
} changes[] = {
    {"rows", more_rows_counted, "table trades: 4 rows in 1 groups, the counters say 5 in 1", false},
    {"groups", more_groups_counted, "4 rows in 1 groups, the counters say 4 in 2", false},
    {"row count", another_row_count, "the index says something else of it", false},
    {"later snapshot", of_a_later_snapshot, "the index says something else of it", false},
    {"no snapshot", from_behind_its_end, "the index says something else of it", false},
    {"denied", denies_a_snapshot, "row 0: of a snapshot that the index denies", true},
    {"denied at the end", denies_another, "row 3: of a snapshot that the index denies", true},
    {"behind", behind_the_file, "lies outside the committed bytes", false},
    {"longer", longer_than_the_file, "lies outside the committed bytes", false},
    {"elsewhere", where_none_begins, "group at byte 0: ", false},
    {"no segment", in_no_segment, ": the index does not know it", false},
    {"forgotten", segment_forgotten, ": the index does not know it", false},
    {"live bytes", more_live_bytes, ": 0 groups too few and 4096 bytes of such", false},
    {"live groups", more_live_groups, ": 1 groups too few and 0 bytes of such", false},
    {"length", a_longer_segment, "run `k2 check`", false},
    {"table", another_table, "the index says something else of it", false},
};

static void note_finding(void *context, const char *text)
{
    char *texts = context;
    size_t used = strlen(texts);
    (void)snprintf(texts + used, TEXT_BYTES - used, "%s\n", text);
}

static uint64_t check(struct test_store *store, bool deep, char texts[TEXT_BYTES])
{
    struct k2_check_options options = {.deep = deep, .finding = note_finding, .context = texts};
    struct k2_check_report report;
    struct k2_error error;
    texts[0] = '\0';
    if (k2_check(store->engine, &options, &report, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    return report.findings;
}

// Four rows of four commits in one sorted group.
static void open_store(struct test_store *store)
{
    struct k2_compact_options options = {.full = true};
    struct k2_compact_report report;
    test_store_open(store);
    for (int64_t i = 0; i < 4; i++) {
        struct k2_commit_outcome outcome;
        struct test_trade trade = {"AAA", 1000 + i, i, 5, 1};
        (void)test_store_commit(store, &trade, 1, K2_NUMBERING_SPARSE, &outcome);
    }
    assert_int_equal(k2_compact(store->engine, &options, &report, NULL), K2_OK);
}

static void what_the_index_says_wrong_is_found(void **state)
{
    char texts[TEXT_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct test_store store;
        open_store(&store);
        assert_int_equal(check(&store, true, texts), 0);
        change(&store, changes[i].go);
        uint64_t shallow = check(&store, false, texts);
        assert_true(shallow > 0 || changes[i].deep);
        if (check(&store, true, texts) < shallow || strstr(texts, changes[i].said) == NULL) {
            fail_msg("%s: %s", changes[i].name, texts);
        }
        test_store_close(&store);
    }
}

// Whatever it said, the segments say the rows.
static void a_repair_from_the_segments_brings_all_back(void **state)
{
    char texts[TEXT_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct k2_repair_options options = {.from_segments = true};
        struct k2_repair_report report;
        struct test_store store;
        struct k2_error error;
        open_store(&store);
        char *truth = test_store_rows(&store, 0);
        change(&store, changes[i].go);
        k2_row_batch_destroy(store.batch);
        store.batch = NULL;
        k2_engine_close(store.engine);
        store.engine = NULL;
        if (k2_repair(store.folder, &options, &report, &error) != K2_OK || report.lost > 0) {
            fail_msg("%s: %s", changes[i].name, error.text);
        }
        test_store_reopen(&store, K2_ENGINE_WRITE);
        assert_int_equal(check(&store, true, texts), 0);
        char *rows = test_store_rows(&store, 0);
        assert_string_equal(rows, truth);
        k2_free(rows);
        k2_free(truth);
        test_store_close(&store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_index_says_wrong_is_found),
        cmocka_unit_test(a_repair_from_the_segments_brings_all_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
