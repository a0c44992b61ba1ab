// A store that has everything, with damage to any page of any of its segments, its index there or
// not: a repair leaves a sound store of rows that were there; where one is missing it says so; work
// goes on, and there is nothing more to repair.
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
#include "engine/repair.h"
#include "engine/scan.h"
#include "tests/support/folder.h"
#include "tests/support/rich_store.h"
#include "tests/support/tier.h"

enum { PAGE_BYTES = 4096, MOST_FILES = 64, MOST_ROWS = 8192, NAME_BYTES = 64 };

enum damage { ZEROS, BIT, NEXT_PAGE, CUT, JUNK_BEHIND, GONE, EMPTY, SHORT, FOREIGN, DAMAGES };

static const char *const damage_names[DAMAGES] = {
    "zeros", "a bit", "the next page", "cut", "junk behind", "gone", "empty", "short", "foreign"};

struct content {
    uint64_t rows[MOST_ROWS]; // digests of the trades that are visible, sorted
    size_t count;
    uint64_t quotes; // a digest of all quotes, now and as of an earlier snapshot
};

struct world {
    char folder[TEST_PATH_BYTES];
    char kept[TEST_PATH_BYTES + 16], other[TEST_PATH_BYTES + 16], store[TEST_PATH_BYTES + 16];
    char files[MOST_FILES][NAME_BYTES];
    off_t sizes[MOST_FILES];
    size_t file_count;
    struct content whole;
    size_t tried, with_losses;
};

static void must(enum k2_status status, const struct k2_error *error, const char *where)
{
    if (status != K2_OK) {
        fail_msg("%s: %s: %s", where, k2_status_name(status), error->text);
    }
}

// ---- content

static int compare_numbers(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static void read_trades(struct k2_engine *engine, struct content *content, const char *where)
{
    const struct k2_table *table = k2_engine_table(engine, k2_slice_of("trades"));
    struct k2_error error;
    struct k2_scan *scan = NULL;
    assert_non_null(table);
    struct k2_scan_request request = {.table = table};
    must(k2_scan_open(engine, &request, &scan, &error), &error, where);
    content->count = 0;
    for (size_t rows = 1; rows > 0;) {
        const struct k2_vector *columns;
        must(k2_scan_next(scan, &columns, &rows, &error), &error, where);
        for (size_t row = 0; row < rows; row++) {
            uint64_t digest = 1;
            for (size_t i = 0; i < table->schema->column_count; i++) {
                bool valid = columns[i].valid == NULL || columns[i].valid[row] == 1;
                if (valid && columns[i].values != NULL) {
                    rich_note(&digest, columns[i].values[row]);
                } else if (valid) {
                    rich_note_text(&digest, columns[i].texts[row]);
                }
            }
            assert_true(content->count < MOST_ROWS);
            content->rows[content->count++] = digest;
        }
    }
    k2_scan_close(scan);
    qsort(content->rows, content->count, sizeof *content->rows, compare_numbers);
}

static void print_finding(void *context, const char *text)
{
    (void)context;
    print_message("# %s\n", text);
}

static void read_content(struct world *world, struct content *content, const char *where)
{
    struct k2_engine *engine = NULL;
    struct k2_check_options options = {.deep = true, .finding = print_finding};
    struct k2_check_report report = {0};
    struct k2_error error;
    must(k2_engine_open(&engine, world->store, K2_ENGINE_WRITE, &error), &error, where);
    must(k2_check(engine, &options, &report, &error), &error, where);
    if (report.findings > 0) {
        fail_msg("%s: %llu findings", where, (unsigned long long)report.findings);
    }
    read_trades(engine, content, where);
    content->quotes = 1;
    if (k2_engine_table(engine, k2_slice_of("quotes")) != NULL) {
        must(rich_read_rows(engine, RICH_QUOTES, 0, &content->quotes, &error), &error, where);
        must(rich_read_rows(engine, RICH_QUOTES, 14, &content->quotes, &error), &error, where);
    }
    k2_engine_close(engine);
}

static bool is_part_of(const struct content *part, const struct content *whole)
{
    size_t at = 0;
    for (size_t i = 0; i < part->count; i++) {
        while (at < whole->count && whole->rows[at] < part->rows[i]) {
            at++;
        }
        if (at == whole->count || whole->rows[at++] != part->rows[i]) {
            return false;
        }
    }
    return true;
}

// ---- files

static void path_of(const struct world *world, const char *folder, size_t file,
                    char path[TEST_PATH_BYTES + 128])
{
    (void)world;
    (void)snprintf(path, TEST_PATH_BYTES + 128, "%s/segments/%s", folder, world->files[file]);
}

static void copy_store(const struct world *world, bool with_index)
{
    static const char *const names[] = {"segments", "index"};
    char from[TEST_PATH_BYTES + 32], to[TEST_PATH_BYTES + 32];
    test_folder_remove(world->store);
    test_folder_make_at(world->store);
    for (size_t i = 0; i < (with_index ? 2 : 1); i++) {
        (void)snprintf(from, sizeof from, "%s/%s", world->kept, names[i]);
        (void)snprintf(to, sizeof to, "%s/%s", world->store, names[i]);
        test_folder_copy(from, to);
    }
}

static void list_files(struct world *world)
{
    char path[TEST_PATH_BYTES + 128];
    struct stat about;
    for (unsigned id = 1; id < 200; id++) {
        char *name = world->files[world->file_count];
        (void)snprintf(name, NAME_BYTES, "%016x.k2s", id);
        path_of(world, world->kept, world->file_count, path);
        if (stat(path, &about) == 0) {
            assert_true(world->file_count + 1 < MOST_FILES);
            world->sizes[world->file_count++] = about.st_size;
        }
    }
}

static void write_at(int file, const uint8_t *bytes, size_t size, off_t offset)
{
    assert_int_equal(pwrite(file, bytes, size, offset), size);
}

static void copy_foreign(const struct world *world, size_t number, const char *path)
{
    static uint8_t bytes[1 << 20];
    char from[TEST_PATH_BYTES + 128];
    path_of(world, world->other, number, from);
    int source = open(from, O_RDONLY), target = open(path, O_WRONLY | O_TRUNC);
    ssize_t size = source < 0 ? 0 : read(source, bytes, sizeof bytes);
    assert_in_range(size, 0, sizeof bytes - 1);
    write_at(target, bytes, (size_t)size, 0);
    (void)close(source);
    (void)close(target);
}

static void damage_file(const struct world *world, size_t number, off_t page, enum damage damage)
{
    uint8_t bytes[PAGE_BYTES] = {0};
    char path[TEST_PATH_BYTES + 128];
    path_of(world, world->store, number, path);
    off_t offset = page * PAGE_BYTES;
    int file = open(path, O_RDWR);
    assert_true(file >= 0);
    switch (damage) {
    case BIT:
        assert_int_equal(pread(file, bytes, PAGE_BYTES, offset), PAGE_BYTES);
        bytes[(page * 997 + 40) % PAGE_BYTES] ^= 0x10;
        write_at(file, bytes, PAGE_BYTES, offset);
        break;
    case NEXT_PAGE:
        assert_true(pread(file, bytes, PAGE_BYTES, offset + PAGE_BYTES) >= 0);
        write_at(file, bytes, PAGE_BYTES, offset);
        break;
    case JUNK_BEHIND:
        memset(bytes, 0x5a, PAGE_BYTES);
        write_at(file, bytes, PAGE_BYTES / 2, world->sizes[number]);
        break;
    case GONE:
        assert_int_equal(unlink(path), 0);
        break;
    case FOREIGN:
        copy_foreign(world, number, path);
        break;
    case CUT:
    case EMPTY:
    case SHORT:
        assert_int_equal(ftruncate(file, damage == CUT     ? offset + 100
                                         : damage == SHORT ? 100
                                                           : 0),
                         0);
        break;
    default:
        write_at(file, bytes, PAGE_BYTES, offset);
    }
    (void)close(file);
}

// ---- judging

static void expect_nothing_to_repair(const struct world *world, const char *where)
{
    struct k2_repair_options options = {0};
    struct k2_repair_report report;
    struct k2_engine *engine = NULL;
    struct k2_error error;
    must(k2_engine_open(&engine, world->store, K2_ENGINE_WRITE, &error), &error, where);
    must(rich_store_commit(engine, RICH_STEPS, &error), &error, where);
    k2_engine_close(engine);
    must(k2_repair(world->store, &options, &report, &error), &error, where);
    if (report.changed || report.lost > 0) {
        fail_msg("%s: there was more to repair", where);
    }
}

static void try_damage(struct world *world, size_t file, off_t page, enum damage damage,
                       bool with_index)
{
    static struct content content;
    struct k2_repair_options options = {0};
    struct k2_repair_report report;
    struct k2_error error;
    char where[160];
    (void)snprintf(where, sizeof where, "%s, page %ld: %s, %s index", world->files[file],
                   (long)page, damage_names[damage], with_index ? "with its" : "without an");
    copy_store(world, with_index);
    damage_file(world, file, page, damage);
    must(k2_repair(world->store, &options, &report, &error), &error, where);
    read_content(world, &content, where);
    if (!is_part_of(&content, &world->whole)) {
        fail_msg("%s: rows that were not there", where);
    }
    // Without an index: zeros may be room that was never written, and nobody misses what stood in a
    // file that is gone or ends early if its commits left something elsewhere.
    bool zeros = damage == ZEROS || damage == NEXT_PAGE;
    bool told = with_index || !(zeros || damage == CUT || damage == GONE || damage == EMPTY);
    bool same = content.count == world->whole.count && content.quotes == world->whole.quotes;
    if (told && report.lost == 0 && !same) {
        fail_msg("%s: %zu of %zu rows, and nothing is said to be lost", where, content.count,
                 world->whole.count);
    }
    expect_nothing_to_repair(world, where);
    world->tried++;
    world->with_losses += report.lost > 0;
}

static void any_damaged_page_is_repaired(void **state)
{
    struct world *world = *state;
    long step = test_stride(7), turn = 0;
    for (size_t file = 0; file < world->file_count; file++) {
        off_t pages = world->sizes[file] / PAGE_BYTES;
        for (off_t page = 0; page < pages; page++) {
            for (int damage = ZEROS; damage <= CUT; damage++) {
                for (int with_index = 0; with_index < 2; with_index++) {
                    if (turn++ % step == 0) {
                        try_damage(world, file, page, (enum damage)damage, with_index == 1);
                    }
                }
            }
        }
    }
    print_message("# %zu repairs, %zu with losses\n", world->tried, world->with_losses);
    assert_true(world->with_losses > world->tried / 4);
}

static void any_damaged_file_is_repaired(void **state)
{
    struct world *world = *state;
    long step = test_stride(3), turn = 0;
    for (size_t file = 0; file < world->file_count; file++) {
        for (int damage = JUNK_BEHIND; damage < DAMAGES; damage++) {
            for (int with_index = 0; with_index < 2; with_index++) {
                if (turn++ % step == 0) {
                    try_damage(world, file, 0, (enum damage)damage, with_index == 1);
                }
            }
        }
    }
    print_message("# %zu repairs, %zu with losses\n", world->tried, world->with_losses);
    assert_true(world->with_losses > world->tried / 4);
}

static int set_up(void **state)
{
    static struct world world;
    memset(&world, 0, sizeof world);
    test_folder_make_quick(world.folder);
    (void)snprintf(world.kept, sizeof world.kept, "%s/kept", world.folder);
    (void)snprintf(world.other, sizeof world.other, "%s/other", world.folder);
    (void)snprintf(world.store, sizeof world.store, "%s/store", world.folder);
    test_folder_make_at(world.kept);
    test_folder_make_at(world.other);
    rich_store_make(world.kept);
    rich_store_make(world.other);
    list_files(&world);
    assert_true(world.file_count > 3);
    copy_store(&world, true);
    read_content(&world, &world.whole, "as it was");
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    test_folder_remove(world->folder);
    return 0;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(any_damaged_page_is_repaired),
        CASE(any_damaged_file_is_repaired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
