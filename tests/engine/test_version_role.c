// Tables whose rows say their version: of the rows of one key the one with the greatest counts,
// whatever order they come in; one that is there already, or is older, is a duplicate. Rows from
// before the column was declared have its default.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/check.h"
#include "engine/commit.h"
#include "engine/compact.h"
#include "engine/instruments.h"
#include "engine/policy.h"
#include "engine/scan.h"
#include "format/base/alloc.h"
#include "tests/support/folder.h"
#include "tests/support/tier.h"

enum { KEYS = 40, ROWS = 400, NO_VERSION = -1, VALUE = 5, VERSION = 6, WORD = 7 };

#define KEY_FIELDS                                                                                 \
    "{\"type\":\"record\",\"name\":\"Quote\",\"fields\":["                                         \
    "{\"name\":\"exchange\",\"type\":\"string\",\"k2.role\":\"exchange\"},"                        \
    "{\"name\":\"symbol\",\"type\":\"string\",\"k2.role\":\"symbol\"},"                            \
    "{\"name\":\"timestamp\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"},"    \
    "\"k2.role\":\"timestamp\"},"                                                                  \
    "{\"name\":\"epoch\",\"type\":\"long\",\"k2.role\":\"epoch\",\"default\":0},"                  \
    "{\"name\":\"sequence\",\"type\":\"long\",\"k2.role\":\"sequence\"},"                          \
    "{\"name\":\"value\",\"type\":\"long\"}"

static const char without_version[] = KEY_FIELDS "]}";
static const char nullable_version[] =
    KEY_FIELDS ",{\"name\":\"version\",\"type\":[\"null\",\"long\"],\"default\":null,"
               "\"k2.role\":\"version\"},"
               "{\"name\":\"word\",\"type\":\"string\",\"default\":\"none\"}]}";
static const char version_with_default[] =
    KEY_FIELDS ",{\"name\":\"version\",\"type\":\"long\",\"default\":5,\"k2.role\":\"version\"},"
               "{\"name\":\"word\",\"type\":\"string\",\"default\":\"none\"}]}";

struct world {
    char folder[TEST_PATH_BYTES];
    struct k2_engine *engine;
    const struct k2_table *table;
    uint32_t instrument;
    uint64_t chance;
};

struct row {
    int64_t key, version, value; // the value follows from key and version
    bool deletes;
};

static void must(enum k2_status status, const struct k2_error *error)
{
    if (status != K2_OK) {
        fail_msg("%s", error->text);
    }
}

static void intern(struct world *world)
{
    struct k2_error error;
    must(k2_instrument_intern(world->engine, k2_slice_of("X"), k2_slice_of("A"), &world->instrument,
                              &error),
         &error);
}

static void declare(struct world *world, const char *json)
{
    struct k2_schema *schema = NULL;
    struct k2_error error;
    must(k2_schema_parse(&schema, "corrections", k2_slice_of(json), &error), &error);
    must(k2_engine_add_table(world->engine, &schema, &world->table, &error), &error);
    struct k2_policy policy = {.duplicates = K2_KEEP_LAST};
    must(k2_policy_set(world->engine, world->table, &policy, &error), &error);
    intern(world);
}

static int set_up(void **state)
{
    static struct world world;
    struct k2_error error;
    memset(&world, 0, sizeof world);
    world.chance = test_seed();
    test_folder_make(world.folder);
    must(k2_engine_open(&world.engine, world.folder, K2_ENGINE_CREATE, &error), &error);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    k2_engine_close(world->engine);
    test_folder_remove(world->folder);
    return 0;
}

static void reopen(struct world *world)
{
    struct k2_error error;
    k2_engine_close(world->engine);
    must(k2_engine_open(&world->engine, world->folder, K2_ENGINE_WRITE, &error), &error);
    world->table = k2_engine_table(world->engine, k2_slice_of("corrections"));
    assert_non_null(world->table);
    intern(world);
}

static void load(struct world *world, const struct row *rows, size_t count,
                 struct k2_commit_outcome *outcome, uint8_t *fates)
{
    struct k2_row_batch *batch = NULL;
    struct k2_commit *commit = NULL;
    struct k2_error error;
    uint64_t snapshot;
    must(k2_row_batch_create(&batch, world->table->schema, count, false, &error), &error);
    for (size_t i = 0; i < count; i++) {
        struct k2_row_key key = {world->instrument, rows[i].key * 1000, 0, rows[i].key};
        size_t index;
        must(k2_row_batch_add(batch, &key, 0, &index, &error), &error);
        k2_row_batch_set_value(batch, index, VALUE, rows[i].value);
        if (rows[i].version != NO_VERSION) {
            k2_row_batch_set_value(batch, index, VERSION, rows[i].version);
        }
        if (batch->schema->column_count > WORD) {
            must(k2_row_batch_set_text(batch, index, WORD, k2_slice_of("none"), &error), &error);
        }
        if (rows[i].deletes) {
            must(k2_row_batch_set_op(batch, index, K2_OP_DELETE, &error), &error);
        }
    }
    must(k2_commit_begin(world->engine, &commit, &error), &error);
    must(k2_commit_add(commit, batch, K2_NUMBERING_SPARSE, outcome, &error), &error);
    if (fates != NULL) {
        memcpy(fates, outcome->fates, count);
    }
    must(k2_commit_finish(commit, &snapshot, &error), &error);
    k2_row_batch_destroy(batch);
}

// `key:version=value ` of all visible rows; a version that is null is `-`.
static char *show(struct world *world)
{
    struct k2_scan_request request = {.table = world->table};
    struct k2_scan *scan = NULL;
    struct k2_error error;
    struct k2_buffer text;
    bool versions = world->table->schema->version_column != 0;
    k2_buffer_init(&text, 1 << 20);
    must(k2_scan_open(world->engine, &request, &scan, &error), &error);
    for (size_t rows = 1; rows > 0;) {
        const struct k2_vector *columns;
        must(k2_scan_next(scan, &columns, &rows, &error), &error);
        for (size_t i = 0; i < rows; i++) {
            bool valid =
                versions && (columns[VERSION].valid == NULL || columns[VERSION].valid[i] != 0);
            k2_put_format(&text, "%lld:", (long long)columns[K2_SEQUENCE].values[i]);
            if (valid) {
                k2_put_format(&text, "%lld", (long long)columns[VERSION].values[i]);
            }
            k2_put_format(&text, "%s=%lld ", valid ? "" : "-", (long long)columns[VALUE].values[i]);
        }
    }
    k2_scan_close(scan);
    k2_put_u8(&text, 0);
    return (char *)text.data;
}

static void expect_rows(struct world *world, const char *expected, const char *where)
{
    char *rows = show(world);
    if (strcmp(rows, expected) != 0) {
        fail_msg("%s: %s instead of %s", where, rows, expected);
    }
    k2_free(rows);
}

static void expect_sound(struct world *world)
{
    struct k2_check_options options = {.deep = true};
    struct k2_check_report report;
    assert_int_equal(k2_check(world->engine, &options, &report, NULL), K2_OK);
    assert_int_equal(report.findings, 0);
}

static void compact(struct world *world)
{
    struct k2_compact_options options = {.full = true};
    struct k2_compact_report report;
    struct k2_error error;
    must(k2_compact(world->engine, &options, &report, &error), &error);
}

// ---- one after the other

static void the_greatest_version_counts(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *name;
        struct row row;
        uint8_t fate;
        const char *rows;
    } steps[] = {
        {"the first", {1, 3, 30, false}, K2_ROW_NEW, "1:3=30 "},
        {"the same again", {1, 3, 30, false}, K2_ROW_DUPLICATE, "1:3=30 "},
        {"of the same version with another value", {1, 3, 31, false}, K2_ROW_DUPLICATE, "1:3=30 "},
        {"an older one", {1, 2, 20, false}, K2_ROW_DUPLICATE, "1:3=30 "},
        {"one without a version", {1, NO_VERSION, 9, false}, K2_ROW_DUPLICATE, "1:3=30 "},
        {"a newer one", {1, 4, 40, false}, K2_ROW_NEW, "1:4=40 "},
        {"an older deletion", {1, 3, 0, true}, K2_ROW_DUPLICATE, "1:4=40 "},
        {"a deletion of just this one", {1, 4, 0, true}, K2_ROW_NEW, ""},
        {"the same deletion again", {1, 4, 0, true}, K2_ROW_DUPLICATE, ""},
        {"what was deleted", {1, 4, 40, false}, K2_ROW_DUPLICATE, ""},
        {"a newer one than the deleted", {1, 5, 50, false}, K2_ROW_NEW, "1:5=50 "},
        {"a deletion without a version", {1, NO_VERSION, 0, true}, K2_ROW_NEW, ""},
        {"a second one", {1, NO_VERSION, 0, true}, K2_ROW_DUPLICATE, ""},
        {"it deleted the version that was there", {1, 5, 50, false}, K2_ROW_DUPLICATE, ""},
        {"a deletion ahead", {1, 8, 0, true}, K2_ROW_NEW, ""},
        {"what it deleted comes late", {1, 7, 70, false}, K2_ROW_DUPLICATE, ""},
        {"and beyond it", {1, 9, 90, false}, K2_ROW_NEW, "1:9=90 "},
        {"another key, without", {2, NO_VERSION, 1, false}, K2_ROW_NEW, "1:9=90 2:-=1 "},
        {"again without", {2, NO_VERSION, 2, false}, K2_ROW_DUPLICATE, "1:9=90 2:-=1 "},
        {"its first version", {2, 0, 3, false}, K2_ROW_NEW, "1:9=90 2:0=3 "},
        {"a deletion of no row", {3, 1, 0, true}, K2_ROW_UNKNOWN_KEY, "1:9=90 2:0=3 "},
    };
    declare(world, nullable_version);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct k2_commit_outcome outcome;
        uint8_t fate;
        load(world, &steps[i].row, 1, &outcome, &fate);
        if (fate != steps[i].fate) {
            fail_msg("%s: fate %d instead of %d", steps[i].name, fate, steps[i].fate);
        }
        expect_rows(world, steps[i].rows, steps[i].name);
        if (i % 6 == 5) {
            compact(world);
            expect_rows(world, steps[i].rows, steps[i].name);
            reopen(world);
        }
    }
    expect_sound(world);
}

// ---- in any order

static int compare_rows(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    return a->key != b->key           ? (a->key > b->key) - (a->key < b->key)
           : a->version != b->version ? (a->version > b->version) - (a->version < b->version)
                                      : (int)a->deletes - (int)b->deletes;
}

static void make_rows(struct world *world, struct row *rows)
{
    for (size_t i = 0; i < ROWS; i++) {
        int64_t key = (int64_t)test_random_below(&world->chance, KEYS);
        bool deletes = test_random_below(&world->chance, 6) == 0;
        int64_t version = (int64_t)test_random_below(&world->chance, 9) + (deletes ? 0 : -1);
        rows[i] = (struct row){key, version, 100 * key + version, deletes};
    }
}

static void shuffle(struct world *world, struct row *rows)
{
    for (size_t i = ROWS; i > 1; i--) {
        size_t other = test_random_below(&world->chance, i);
        struct row row = rows[i - 1];
        rows[i - 1] = rows[other];
        rows[other] = row;
    }
}

// What is left when each key has its greatest version; of two that are equal the deletion.
static char *model_of(struct row *rows)
{
    struct k2_buffer text;
    k2_buffer_init(&text, 1 << 20);
    qsort(rows, ROWS, sizeof *rows, compare_rows);
    for (size_t i = 0; i < ROWS; i++) {
        bool last = i + 1 == ROWS || rows[i + 1].key != rows[i].key;
        if (last && !rows[i].deletes && rows[i].version == NO_VERSION) {
            k2_put_format(&text, "%lld:-=%lld ", (long long)rows[i].key, (long long)rows[i].value);
        } else if (last && !rows[i].deletes) {
            k2_put_format(&text, "%lld:%lld=%lld ", (long long)rows[i].key,
                          (long long)rows[i].version, (long long)rows[i].value);
        }
    }
    k2_put_u8(&text, 0);
    return (char *)text.data;
}

static void load_all(struct world *world, const struct row *rows, size_t *stored)
{
    *stored = 0;
    for (size_t begin = 0, end; begin < ROWS; begin = end) {
        struct k2_commit_outcome outcome;
        end = begin + test_random_below(&world->chance, 60) + 1;
        end = end < ROWS ? end : ROWS;
        load(world, rows + begin, end - begin, &outcome, NULL);
        *stored += outcome.stored;
        if (test_random_below(&world->chance, 8) == 0) {
            compact(world);
        } else if (test_random_below(&world->chance, 8) == 0) {
            reopen(world);
        }
    }
}

static void twice_in_any_order_is_the_same(void **state)
{
    struct world *world = *state;
    static struct row rows[ROWS];
    size_t stored = 0;
    declare(world, nullable_version);
    make_rows(world, rows);
    char *expected = model_of(rows);
    for (int turn = 0; turn < 4; turn++) {
        shuffle(world, rows);
        load_all(world, rows, &stored);
        if (turn > 0) { // a deletion of what had not come yet was refused at first
            expect_rows(world, expected, "in any order");
        }
    }
    assert_int_equal(stored, 0);
    expect_sound(world);
    k2_free(expected);
}

// ---- rows that are older than the column

static void older_rows_have_the_default(void **state)
{
    struct world *world = *state;
    const struct row old[] = {{1, NO_VERSION, 10, false}, {2, NO_VERSION, 20, false}};
    const struct row fresh[] = {{1, 4, 14, false}, {2, 6, 26, false}};
    struct k2_commit_outcome outcome;
    declare(world, without_version);
    load(world, old, 2, &outcome, NULL);
    declare(world, version_with_default);
    load(world, fresh, 2, &outcome, NULL);
    assert_int_equal(outcome.stored, 1); // 4 is less than the default, 5
    expect_rows(world, "1:5=10 2:6=26 ", "a default of 5");
    compact(world);
    reopen(world);
    expect_rows(world, "1:5=10 2:6=26 ", "and afterwards");
    expect_sound(world);
}

static void older_rows_have_no_version(void **state)
{
    struct world *world = *state;
    const struct row old[] = {{1, NO_VERSION, 10, false}, {2, NO_VERSION, 20, false}};
    const struct row fresh[] = {{1, NO_VERSION, 11, false}, {2, 0, 26, false}};
    struct k2_commit_outcome outcome;
    declare(world, without_version);
    load(world, old, 2, &outcome, NULL);
    declare(world, nullable_version);
    load(world, fresh, 2, &outcome, NULL);
    assert_int_equal(outcome.stored, 1);
    expect_rows(world, "1:-=10 2:0=26 ", "no default");
    expect_sound(world);
}

// Under keep-first the same content as that of an older row, with the defaults of what was not
// declared then, is the same row.
static void contents_are_compared_with_the_defaults(void **state)
{
    struct world *world = *state;
    const struct row old[] = {{1, NO_VERSION, 10, false}, {2, NO_VERSION, 20, false}};
    const struct row same[] = {{1, 5, 10, false}, {2, 6, 20, false}};
    const struct k2_policy policy = {.duplicates = K2_KEEP_FIRST};
    struct k2_commit_outcome outcome;
    uint8_t fates[2];
    declare(world, without_version);
    load(world, old, 2, &outcome, NULL);
    declare(world, version_with_default);
    assert_int_equal(k2_policy_set(world->engine, world->table, &policy, NULL), K2_OK);
    load(world, same, 2, &outcome, fates);
    assert_int_equal(fates[0], K2_ROW_DUPLICATE);
    assert_int_equal(fates[1], K2_ROW_CONFLICT);
    expect_rows(world, "1:5=10 2:5=20 ", "keep-first");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(the_greatest_version_counts),
        CASE(twice_in_any_order_is_the_same),
        CASE(older_rows_have_the_default),
        CASE(older_rows_have_no_version),
        CASE(contents_are_compared_with_the_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
