// The cache of mapped groups: what it keeps, what goes and when, readers of many threads beside
// commits, compactions and garbage collection, and an engine that never exceeds its ceilings.
#include "engine/view_cache.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/commit.h"
#include "engine/compact.h"
#include "engine/engine_state.h"
#include "engine/file_io.h"
#include "engine/instruments.h"
#include "engine/plan.h"
#include "engine/scan.h"
#include "format/base/alloc.h"
#include "tests/support/folder.h"

static const char schema_json[] =
    "{\"type\":\"record\",\"name\":\"Tick\",\"fields\":["
    "{\"name\":\"exchange\",\"type\":\"string\",\"k2.role\":\"exchange\"},"
    "{\"name\":\"symbol\",\"type\":\"string\",\"k2.role\":\"symbol\"},"
    "{\"name\":\"timestamp\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"},"
    "\"k2.role\":\"timestamp\"},"
    "{\"name\":\"sequence\",\"type\":\"long\",\"k2.role\":\"sequence\"},"
    "{\"name\":\"row\",\"type\":\"long\"}]}";
enum { ROW = 5, SYMBOLS = 5, GROUP_ROWS = 300, MAX_GROUPS = 400, READERS = 3 };

struct world {
    char path[TEST_PATH_BYTES];
    struct k2_engine *engine;
    const struct k2_table *table;
    struct k2_row_batch *batch;
    uint32_t ids[SYMBOLS];
    uint64_t snapshots[MAX_GROUPS];
    size_t group_count;
};

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct k2_error error = {0};
    struct k2_schema *schema = NULL;
    assert_non_null(world);
    test_folder_make(world->path);
    assert_int_equal(k2_engine_open(&world->engine, world->path, K2_ENGINE_CREATE, &error), K2_OK);
    assert_int_equal(k2_schema_parse(&schema, "ticks", k2_slice_of(schema_json), &error), K2_OK);
    assert_int_equal(k2_engine_add_table(world->engine, &schema, &world->table, &error), K2_OK);
    for (size_t i = 0; i < SYMBOLS; i++) {
        char symbol[8];
        (void)snprintf(symbol, sizeof symbol, "S%zu", i);
        assert_int_equal(k2_instrument_intern(world->engine, k2_slice_of("X"), k2_slice_of(symbol),
                                              &world->ids[i], &error),
                         K2_OK);
    }
    assert_int_equal(
        k2_row_batch_create(&world->batch, world->table->schema, GROUP_ROWS, false, &error), K2_OK);
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    k2_row_batch_destroy(world->batch);
    k2_engine_close(world->engine);
    test_folder_remove(world->path);
    free(world);
    return 0;
}

// One commit, one group; row n of the store has n in its column and n / 7 as its time.
static void commit_group(struct world *world)
{
    struct k2_error error = {0};
    struct k2_commit *commit = NULL;
    struct k2_commit_outcome outcome;
    for (size_t i = 0; i < GROUP_ROWS; i++) {
        int64_t number = (int64_t)(world->group_count * GROUP_ROWS + i);
        struct k2_row_key key = {world->ids[number % SYMBOLS], number / 7, 0, number};
        size_t row;
        assert_int_equal(k2_row_batch_add(world->batch, &key, 0, &row, &error), K2_OK);
        k2_row_batch_set_value(world->batch, row, ROW, number);
    }
    assert_int_equal(k2_commit_begin(world->engine, &commit, &error), K2_OK);
    assert_int_equal(k2_commit_add(commit, world->batch, K2_NUMBERING_SPARSE, &outcome, &error),
                     K2_OK);
    assert_int_equal(k2_commit_finish(commit, &world->snapshots[world->group_count], &error),
                     K2_OK);
    world->group_count++;
    k2_row_batch_clear(world->batch);
}

static void compact(struct world *world)
{
    struct k2_error error = {0};
    struct k2_compact_report report;
    struct k2_compact_options options = {.full = true};
    assert_int_equal(k2_compact(world->engine, &options, &report, &error), K2_OK);
}

// Sums the rows as of a snapshot; true if they are 0, 1, ... up to what was committed then.
static bool sum_is_right(struct k2_engine *engine, const struct k2_table *table, uint64_t snapshot,
                         size_t group_count, enum k2_order order)
{
    struct k2_error error = {0};
    struct k2_scan *scan = NULL;
    struct k2_scan_request request = {.table = table,
                                      .snapshot = snapshot,
                                      .columns = (const size_t[]){ROW},
                                      .column_count = 1,
                                      .order = order};
    int64_t sum = 0, count = (int64_t)(group_count * GROUP_ROWS);
    size_t rows = 1, done = 0;
    enum k2_status status = k2_scan_open(engine, &request, &scan, &error);
    while (status == K2_OK && rows > 0) {
        const struct k2_vector *columns;
        status = k2_scan_next(scan, &columns, &rows, &error);
        for (size_t i = 0; status == K2_OK && i < rows; i++) {
            sum += columns[0].values[i];
        }
        done += rows;
    }
    k2_scan_close(scan);
    if (status != K2_OK) {
        print_error("%s\n", error.text);
    }
    return status == K2_OK && done == (size_t)count && sum == count * (count - 1) / 2;
}

static bool newest_is_right(struct world *world)
{
    return sum_is_right(world->engine, world->table, 0, world->group_count, K2_ORDER_TIME);
}

static void a_group_is_opened_once(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 10; i++) {
        commit_group(world);
    }
    assert_true(newest_is_right(world));
    struct k2_view_cache_figures before = k2_view_cache_figures(world->engine->views);
    assert_int_equal(before.view_count, 10);
    for (size_t i = 0; i < 5; i++) {
        assert_true(newest_is_right(world));
    }
    struct k2_view_cache_figures after = k2_view_cache_figures(world->engine->views);
    assert_int_equal(after.misses, before.misses);
    assert_int_equal(after.hits, before.hits + 50);
    assert_int_equal(after.view_count, 10);
}

static void the_tail_grows_under_what_is_cached(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 40; i++) {
        commit_group(world);
        assert_true(newest_is_right(world));
        assert_true(sum_is_right(world->engine, world->table, world->snapshots[i / 2], i / 2 + 1,
                                 K2_ORDER_STORED));
    }
    struct k2_view_cache_figures figures = k2_view_cache_figures(world->engine->views);
    assert_int_equal(figures.misses, 40); // each group once, though the file was mapped again
}

static void a_fresh_read_passes_the_cache(void **state)
{
    struct world *world = *state;
    struct k2_error error = {0};
    commit_group(world);
    commit_group(world);
    assert_true(newest_is_right(world));
    struct k2_view_cache_figures before = k2_view_cache_figures(world->engine->views);
    struct k2_plan plan;
    struct k2_plan_request request = {.table = world->table,
                                      .time_min_ns = INT64_MIN,
                                      .time_max_ns = INT64_MAX,
                                      .snapshot = UINT64_MAX,
                                      .fresh = true};
    const struct k2_row_group_view *view, *again;
    assert_int_equal(k2_plan_open(world->engine, &request, &plan, &error), K2_OK);
    assert_int_equal(k2_plan_acquire(&plan, 1, &view, &error), K2_OK);
    assert_int_equal(k2_plan_acquire(&plan, 1, &again, &error), K2_OK);
    assert_ptr_equal(view, again);
    k2_plan_close(&plan);
    struct k2_view_cache_figures after = k2_view_cache_figures(world->engine->views);
    assert_memory_equal(&before, &after, sizeof before);
}

// What a rewrite has replaced leaves the process, too, and its space comes back.
static size_t mapped_deleted_files(void)
{
    char line[1024];
    size_t count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        count += strstr(line, ".k2s (deleted)") != NULL;
    }
    assert_int_equal(fclose(maps), 0);
    return count;
}

static void unlinked_segments_are_let_go(void **state)
{
    struct world *world = *state;
    struct k2_error error = {0};
    for (size_t i = 0; i < 8; i++) {
        commit_group(world);
    }
    assert_true(newest_is_right(world));
    compact(world);
    assert_int_equal(mapped_deleted_files(), 0);
    assert_true(newest_is_right(world));
    // One in use stays until it is given back.
    struct k2_plan plan;
    struct k2_plan_request request = {.table = world->table,
                                      .time_min_ns = INT64_MIN,
                                      .time_max_ns = INT64_MAX,
                                      .snapshot = UINT64_MAX};
    const struct k2_row_group_view *view;
    assert_int_equal(k2_plan_open(world->engine, &request, &plan, &error), K2_OK);
    assert_int_equal(k2_plan_acquire(&plan, 0, &view, &error), K2_OK);
    commit_group(world);
    compact(world);
    assert_int_equal(mapped_deleted_files(), 1);
    assert_true(k2_row_group_view_rows(view) > 0);
    k2_plan_close(&plan);
    assert_int_equal(mapped_deleted_files(), 0);
}

// The sweep of a process that does not write: the index tells it.
static void a_sweep_finds_what_another_process_unlinked(void **state)
{
    struct world *world = *state;
    commit_group(world);
    assert_true(newest_is_right(world));
    uint64_t ids[4];
    assert_int_equal(k2_view_cache_segments(world->engine->views, ids, 4), 1);
    char path[K2_PATH_BYTES];
    k2_engine_segment_path(world->engine, ids[0], ".k2s", path);
    struct k2_slice bytes;
    struct k2_cached_map *map = NULL;
    struct k2_error error = {0};
    assert_int_equal(k2_file_map(path, 4096, &bytes, &error), K2_OK);
    // A segment that the index does not have stands for one that was unlinked.
    assert_int_equal(k2_view_cache_add_map(world->engine->views, 0x7777, bytes, &map, &error),
                     K2_OK);
    k2_view_cache_release_map(world->engine->views, map);
    assert_int_equal(k2_view_cache_segments(world->engine->views, ids, 4), 2);
    sleep(2); // sweeps are a second apart
    assert_true(newest_is_right(world));
    assert_int_equal(k2_view_cache_segments(world->engine->views, ids, 4), 1);
    assert_int_not_equal(ids[0], 0x7777);
}

static void what_is_idle_stays_below_the_ceilings(void **state)
{
    struct world *world = *state;
    struct k2_error error = {0};
    for (size_t i = 0; i < 30; i++) {
        commit_group(world);
    }
    static const struct {
        const char *name;
        struct k2_view_cache_limits limits;
        size_t least_views, most_views;
    } cases[] = {
        {"nothing", {0, 0, 0}, 0, 0},
        {"no map", {1 << 20, 0, 1 << 20}, 0, 0},
        {"little heap", {20000, 100, 1 << 20}, 1, 20},
        {"nothing resident", {1 << 20, 100, 0}, 30, 30},
        {"enough", {1 << 20, 100, 1 << 20}, 30, 30},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct k2_view_cache *cache = NULL, *kept = world->engine->views;
        assert_int_equal(k2_view_cache_create(&cache, &cases[i].limits, &error), K2_OK);
        world->engine->views = cache;
        for (size_t turn = 0; turn < 3; turn++) {
            assert_true(newest_is_right(world));
            struct k2_view_cache_figures figures = k2_view_cache_figures(cache);
            print_message("# %s: %zu views, %zu heap bytes, %zu maps, %zu resident\n",
                          cases[i].name, figures.view_count, figures.heap_bytes, figures.map_count,
                          figures.resident_bytes);
            assert_true(figures.heap_bytes <= cases[i].limits.heap_bytes);
            assert_true(figures.map_count <= cases[i].limits.map_count);
            assert_true(figures.resident_bytes <= cases[i].limits.resident_bytes);
            assert_true(figures.view_count >= cases[i].least_views);
            assert_true(figures.view_count <= cases[i].most_views);
        }
        world->engine->views = kept;
        k2_view_cache_destroy(cache);
    }
}

static void a_lower_ceiling_holds_at_once(void **state)
{
    struct world *world = *state;
    static const struct k2_read_cache none = {0, 0}, no_pages = {0, 1 << 20};
    for (size_t i = 0; i < 10; i++) {
        commit_group(world);
    }
    k2_engine_set_read_cache(world->engine, &k2_read_cache_large);
    assert_true(newest_is_right(world));
    struct k2_view_cache_figures large = k2_view_cache_figures(world->engine->views);
    assert_true(large.view_count == 10 && large.resident_bytes > 0);
    k2_engine_set_read_cache(world->engine, &no_pages);
    struct k2_view_cache_figures figures = k2_view_cache_figures(world->engine->views);
    assert_int_equal(figures.resident_bytes, 0);
    assert_int_equal(figures.view_count, large.view_count);
    k2_engine_set_read_cache(world->engine, &none);
    assert_int_equal(k2_view_cache_figures(world->engine->views).view_count, 0);
    assert_true(newest_is_right(world));
    assert_int_equal(k2_view_cache_figures(world->engine->views).heap_bytes, 0);
}

// One instrument's rows in order of time, of groups in which times overlap at their ends.
static void a_scan_that_ends_soon_opens_few_groups(void **state)
{
    struct world *world = *state;
    struct k2_error error = {0};
    enum { GROUPS = 30 };
    for (size_t i = 0; i < GROUPS; i++) {
        commit_group(world);
    }
    for (size_t limit = 10; limit <= GROUPS * GROUP_ROWS; limit *= 30) {
        struct k2_scan *scan = NULL;
        struct k2_scan_instrument instrument = {k2_slice_of("X"), k2_slice_of("S3")};
        struct k2_scan_request request = {.table = world->table,
                                          .columns = (const size_t[]){ROW},
                                          .column_count = 1,
                                          .instruments = &instrument,
                                          .instrument_count = 1,
                                          .limit = limit};
        const struct k2_vector *columns;
        size_t rows;
        int64_t expected = 3;
        k2_engine_set_read_cache(world->engine, &(struct k2_read_cache){0});
        k2_engine_set_read_cache(world->engine, &k2_read_cache_large);
        assert_int_equal(k2_scan_open(world->engine, &request, &scan, &error), K2_OK);
        do {
            assert_int_equal(k2_scan_next(scan, &columns, &rows, &error), K2_OK);
            for (size_t i = 0; i < rows; i++, expected += SYMBOLS) {
                assert_int_equal(columns[0].values[i], expected);
            }
        } while (rows > 0);
        k2_scan_close(scan);
        size_t all = GROUPS * GROUP_ROWS / SYMBOLS;
        assert_int_equal(expected, 3 + SYMBOLS * (limit < all ? limit : all));
        size_t views = k2_view_cache_figures(world->engine->views).view_count;
        assert_true(limit > 10 || views <= 2);
        assert_true(views >= limit * SYMBOLS / GROUP_ROWS || views == GROUPS);
    }
}

struct reader {
    struct world *world;
    atomic_bool *stop;
    atomic_size_t *durable_groups;
    unsigned seed;
    size_t reads;
    bool right;
    pthread_t thread;
};

static void *read_on(void *context)
{
    struct reader *reader = context;
    reader->right = true;
    while (reader->right && (!atomic_load(reader->stop) || reader->reads < 3)) {
        size_t groups = atomic_load(reader->durable_groups);
        size_t wanted = 1 + (size_t)rand_r(&reader->seed) % groups;
        reader->right = sum_is_right(
            reader->world->engine, reader->world->table, reader->world->snapshots[wanted - 1],
            wanted, rand_r(&reader->seed) % 2 == 0 ? K2_ORDER_TIME : K2_ORDER_STORED);
        reader->reads++;
    }
    return NULL;
}

static void threads_read_beside_the_writer(void **state)
{
    struct world *world = *state;
    struct k2_error error = {0};
    struct k2_view_cache *kept = world->engine->views;
    static const struct k2_view_cache_limits tight = {30000, 3, 100000};
    assert_int_equal(k2_view_cache_create(&world->engine->views, &tight, &error), K2_OK);
    atomic_bool stop = false;
    atomic_size_t durable_groups = 1;
    struct reader readers[READERS];
    commit_group(world);
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){
            .world = world, .stop = &stop, .durable_groups = &durable_groups, .seed = (unsigned)i};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    for (size_t i = 0; i < 60; i++) {
        commit_group(world);
        atomic_store(&durable_groups, world->group_count);
        if (i % 7 == 6) {
            compact(world);
        }
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_true(readers[i].right);
        print_message("# reader %zu: %zu reads\n", i, readers[i].reads);
    }
    assert_int_equal(mapped_deleted_files(), 0);
    struct k2_view_cache_figures figures = k2_view_cache_figures(world->engine->views);
    assert_true(figures.heap_bytes <= tight.heap_bytes && figures.map_count <= tight.map_count);
    k2_view_cache_destroy(world->engine->views);
    world->engine->views = kept;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_group_is_opened_once, open_world, close_world),
        cmocka_unit_test_setup_teardown(the_tail_grows_under_what_is_cached, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(a_fresh_read_passes_the_cache, open_world, close_world),
        cmocka_unit_test_setup_teardown(unlinked_segments_are_let_go, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_sweep_finds_what_another_process_unlinked, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(what_is_idle_stays_below_the_ceilings, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(a_lower_ceiling_holds_at_once, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_scan_that_ends_soon_opens_few_groups, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(threads_read_beside_the_writer, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
