// The verifier of the index's pages: an index as LMDB wrote it is accepted, and whatever is wrong
// with one of its pages is named.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/index_pages.h"
#include "engine/store.h"
#include "tests/support/folder.h"

enum { PAGE_BYTES = 4096, ENTRIES = 900, LONG_BYTES = 9000, HEADER = 16, TREE_BYTES = 48 };

// Where something stands in the file, by what it belongs to.
enum spot {
    META,       // the page that the newest commit wrote
    META_TREE,  // in it: what it says of the list of tables
    LIST,       // the page with the list of tables
    TABLE_TREE, // in it: what it says of the table `gap`
    LIST_NODE,  // the entry of that
    ROOT,       // the uppermost page of the table
    ROOT_NODE,  // its second entry
    LEAF,       // the page below its second entry
    LEAF_NODE,  // the first entry of that
    LONG,       // the first page of a long value
    LONG_NODE,  // the entry that has it
};

struct image {
    uint8_t *bytes;
    size_t size_bytes;
    uint64_t txn_id;
    size_t spots[LONG_NODE + 1];
};

static uint64_t get(const uint8_t *bytes, size_t size)
{
    uint64_t number = 0;
    memcpy(&number, bytes, size);
    return number;
}

static void put(uint8_t *bytes, size_t size, uint64_t number)
{
    memcpy(bytes, &number, size);
}

// ---- the index

static void put_entry(struct k2_store_txn *txn, enum k2_store_table table, const char *key,
                      const uint8_t *bytes, size_t size_bytes)
{
    struct k2_error error;
    if (k2_store_put(txn, table, k2_slice_of(key), (struct k2_slice){bytes, size_bytes}, &error) !=
        K2_OK) {
        fail_msg("%s", error.text);
    }
}

static uint64_t fill(const char *path)
{
    static const uint8_t value[LONG_BYTES] = {1, 2, 3};
    struct k2_store *store = NULL;
    struct k2_store_txn *txn = NULL;
    assert_int_equal(k2_store_open(&store, path, true, NULL), K2_OK);
    assert_int_equal(k2_store_begin(store, true, &txn, NULL), K2_OK);
    for (int i = 0; i < ENTRIES; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "key %06d", i);
        put_entry(txn, K2_STORE_GAP, key, value, 40);
    }
    put_entry(txn, K2_STORE_SCHEMA, "long", value, LONG_BYTES);
    assert_int_equal(k2_store_commit(txn, NULL), K2_OK);
    assert_int_equal(k2_store_begin(store, false, &txn, NULL), K2_OK);
    uint64_t txn_id = k2_store_txn_id(txn);
    k2_store_abort(txn);
    k2_store_close(store);
    return txn_id;
}

static size_t node_of(const uint8_t *file, size_t page, size_t index)
{
    return page + get(file + page + HEADER + 2 * index, 2);
}

// The entry with the key in a page of entries.
static size_t find_node(const uint8_t *file, size_t page, const char *key)
{
    size_t count = (get(file + page + 12, 2) - HEADER) / 2;
    for (size_t i = 0; i < count; i++) {
        size_t node = node_of(file, page, i);
        if (get(file + node + 6, 2) == strlen(key) &&
            memcmp(file + node + 8, key, strlen(key)) == 0) {
            return node;
        }
    }
    fail_msg("no entry %s", key);
    return 0;
}

static size_t data_of(const uint8_t *file, size_t node)
{
    return node + 8 + get(file + node + 6, 2);
}

static size_t root_of(const uint8_t *file, size_t tree)
{
    return get(file + tree + 40, 8) * PAGE_BYTES;
}

static void find_spots(struct image *image)
{
    const uint8_t *file = image->bytes;
    size_t *spots = image->spots;
    spots[META] = (image->txn_id & 1) * PAGE_BYTES;
    spots[META_TREE] = spots[META] + HEADER + 24 + TREE_BYTES;
    spots[LIST] = root_of(file, spots[META_TREE]);
    spots[LIST_NODE] = find_node(file, spots[LIST], "gap");
    spots[TABLE_TREE] = data_of(file, spots[LIST_NODE]);
    spots[ROOT] = root_of(file, spots[TABLE_TREE]);
    assert_int_equal(get(file + spots[TABLE_TREE] + 6, 2), 2); // pages below a page
    spots[ROOT_NODE] = node_of(file, spots[ROOT], 1);
    spots[LEAF] = get(file + spots[ROOT_NODE], 4) * PAGE_BYTES;
    spots[LEAF_NODE] = node_of(file, spots[LEAF], 0);
    size_t schemas = data_of(file, find_node(file, spots[LIST], "schema"));
    spots[LONG_NODE] = node_of(file, root_of(file, schemas), 0);
    spots[LONG] = get(file + data_of(file, spots[LONG_NODE]), 8) * PAGE_BYTES;
}

static int set_up(void **state)
{
    static struct image image;
    char folder[TEST_PATH_BYTES], path[TEST_PATH_BYTES + 16];
    struct stat about;
    test_folder_make(folder);
    image.txn_id = fill(folder);
    (void)snprintf(path, sizeof path, "%s/data.mdb", folder);
    int file = open(path, O_RDONLY);
    assert_int_equal(fstat(file, &about), 0);
    image.size_bytes = (size_t)about.st_size;
    image.bytes = malloc(image.size_bytes);
    assert_non_null(image.bytes);
    assert_int_equal(read(file, image.bytes, image.size_bytes), about.st_size);
    (void)close(file);
    test_folder_remove(folder);
    find_spots(&image);
    *state = &image;
    return 0;
}

static int tear_down(void **state)
{
    struct image *image = *state;
    free(image->bytes);
    return 0;
}

// ---- judging

struct visits {
    uint64_t count;
    bool refuse;
};

static enum k2_status visit(void *context, struct k2_slice key, struct k2_slice value,
                            struct k2_error *error)
{
    struct visits *visits = context;
    (void)key;
    (void)value;
    visits->count++;
    return visits->refuse ? k2_fail(error, K2_CORRUPT, "refused") : K2_OK;
}

static enum k2_status verify(const struct image *image, const char *table, const char *first,
                             const char *last, struct visits *visits, struct k2_error *error)
{
    struct k2_index_pages pages = {{image->bytes, image->size_bytes}, image->txn_id};
    struct k2_index_range range = {
        .table = k2_slice_of(table),
        .first = k2_slice_of(first),
        .last = last == NULL ? (struct k2_slice){0} : k2_slice_of(last),
        .check = visits == NULL ? NULL : visit,
        .context = visits,
    };
    return k2_index_pages_verify(&pages, &range, error);
}

static enum k2_status verify_all(const struct image *image, struct k2_error *error)
{
    struct k2_index_pages pages = {{image->bytes, image->size_bytes}, image->txn_id};
    const struct k2_index_range tables[] = {{.table = k2_slice_of("gap")},
                                            {.table = k2_slice_of("schema")}};
    return k2_index_pages_verify_all(&pages, tables, 2, error);
}

static void an_index_as_it_was_written_is_accepted(void **state)
{
    const struct image *image = *state;
    struct visits visits = {0};
    assert_int_equal(verify(image, "gap", "", NULL, &visits, NULL), K2_OK);
    assert_int_equal(visits.count, ENTRIES);
    assert_int_equal(verify(image, "gap", "", NULL, NULL, NULL), K2_OK);
    assert_int_equal(verify(image, "schema", "", NULL, &visits, NULL), K2_OK);
    assert_int_equal(visits.count, ENTRIES + 1);
    assert_int_equal(verify(image, "tag", "", NULL, &visits, NULL), K2_OK); // has no entries
    assert_int_equal(visits.count, ENTRIES + 1);
    assert_int_equal(verify_all(image, NULL), K2_OK);
    assert_int_equal(
        k2_index_pages_check_roots((struct k2_slice){image->bytes, image->size_bytes}, NULL),
        K2_OK);
    assert_int_equal(k2_index_pages_check_roots((struct k2_slice){0}, NULL), K2_OK);
}

static void only_the_pages_of_a_range_are_looked_at(void **state)
{
    const struct image *image = *state;
    struct visits visits = {0}, refusing = {.refuse = true};
    struct k2_error error;
    assert_int_equal(verify(image, "gap", "key 000500", "key 000510", &visits, NULL), K2_OK);
    assert_in_range(visits.count, 11, 200);
    uint64_t some = visits.count;
    assert_int_equal(verify(image, "gap", "key 000890", NULL, &visits, NULL), K2_OK);
    assert_in_range(visits.count - some, 10, 200);
    assert_int_equal(verify(image, "gap", "key 000500", "key 000510", &refusing, &error),
                     K2_CORRUPT);
    assert_string_equal(error.text, "refused");
    assert_int_equal(refusing.count, 1);
    // A page outside of the range may say what it wants.
    uint8_t kept = image->bytes[image->spots[LEAF] + 10];
    image->bytes[image->spots[LEAF] + 10] = 0;
    assert_int_equal(verify(image, "gap", "key 000890", NULL, NULL, NULL), K2_OK);
    assert_int_equal(verify(image, "gap", "", "key 000890", NULL, NULL), K2_CORRUPT);
    image->bytes[image->spots[LEAF] + 10] = kept;
}

static void a_table_that_is_not_listed_is_named(void **state)
{
    struct k2_error error;
    assert_int_equal(verify(*state, "gaq", "", NULL, NULL, &error), K2_CORRUPT);
    assert_string_equal(error.text, "index: table gaq is not there");
}

// Two later commits took the place of what it saw: pages may be anything.
static void a_transaction_of_long_ago_is_not_judged(void **state)
{
    struct image image = *(struct image *)*state;
    image.txn_id += 2;
    assert_int_equal(verify(&image, "gap", "", NULL, NULL, NULL), K2_OK);
}

static const struct {
    const char *name;
    enum spot spot;
    size_t offset, size;
    uint64_t value;
    const char *table, *said;
} damages[] = {
    {"a first page of another number", META, 0, 8, 77, "gap", "another page is in its place"},
    {"a first page without its flag", META, 10, 2, 2, "gap", "not the beginning of an index"},
    {"no magic", META, HEADER, 4, 0, "gap", "not the beginning of an index"},
    {"another version of LMDB", META, HEADER + 4, 4, 2, "gap", "not the beginning of an index"},
    {"a list of tables of no depth", META_TREE, 6, 2, 0, "gap", "a tree of no depth"},
    {"a list of tables that is too deep", META_TREE, 6, 2, 33, "gap", "a tree of no depth"},
    {"a list of tables with keys in another order", META_TREE, 4, 2, 8, "gap", "none of K2's"},
    {"pages of another size", META, HEADER + 25, 1, 0x18, "gap", "not the beginning of an index"},
    {"free pages in another order", META, HEADER + 28, 2, 0, "gap",
     "not the beginning of an index"},
    {"a list of tables behind the end", META_TREE, 40, 8, 1 << 30, "gap", "behind the end"},
    {"a list of tables without pages", META_TREE, 40, 8, UINT64_MAX, "gap", "a tree without pages"},
    {"a list of more tables", META_TREE, 32, 8, 99, "gap", "entries of 99"},
    {"a list of another number", LIST, 0, 8, 0, "gap", "another page is in its place"},
    {"a list of tables without entries", LIST, 12, 2, HEADER, "gap", "has no entries"},
    {"an entry of the list that is no table", LIST_NODE, 4, 2, 0, "gap", "not a list of tables"},
    {"an entry of the list that is short", LIST_NODE, 0, 2, 47, "gap", "not a list of tables"},
    {"a table with keys in another order", TABLE_TREE, 4, 2, 8, "gap", "none of K2's"},
    {"a table of no depth", TABLE_TREE, 6, 2, 0, "gap", "a tree of no depth"},
    {"a table that is too deep", TABLE_TREE, 6, 2, 33, "gap", "a tree of no depth"},
    {"a table that is deeper", TABLE_TREE, 6, 2, 3, "gap", "not what its parent says"},
    {"a table that is less deep", TABLE_TREE, 6, 2, 1, "gap", "not what its parent says"},
    {"a table without pages", TABLE_TREE, 40, 8, UINT64_MAX, "gap", "a tree without pages"},
    {"a table behind the end", TABLE_TREE, 40, 8, 1 << 30, "gap", "behind the end"},
    {"a table of more entries", TABLE_TREE, 32, 8, 901, "gap", "a tree has 900 entries of 901"},
    {"a branch of another number", ROOT, 0, 8, 1, "gap", "another page is in its place"},
    {"a branch with one entry", ROOT, 12, 2, HEADER + 2, "gap", "has no entries"},
    {"an entry in the head of its page", ROOT, HEADER + 2, 2, 8, "gap", "an entry lies outside"},
    {"an entry behind its page", ROOT, HEADER + 2, 2, 4090, "gap", "an entry lies outside"},
    {"a child behind the end", ROOT_NODE, 0, 2, 60000, "gap", "behind the end of the file"},
    {"a child that is its parent's sibling", ROOT_NODE, 0, 2, 0, "gap", "not what its parent"},
    {"a bound behind the next", ROOT_NODE, 8, 1, 'x', "gap", "its entries do not ascend"},
    {"a bound that is too high", ROOT_NODE, 8 + 9, 1, '9' + 1, "gap", "entries of another page"},
    {"a leaf of another number", LEAF, 0, 8, 1, "gap", "another page is in its place"},
    {"a leaf that is none", LEAF, 10, 2, 1, "gap", "not what its parent says"},
    {"a list of entries in the head", LEAF, 12, 2, 8, "gap", "not what its parent says"},
    {"a list of entries that is odd", LEAF, 12, 2, HEADER + 1, "gap", "not what its parent says"},
    {"a list of entries over the entries", LEAF, 14, 2, HEADER, "gap", "not what its parent says"},
    {"entries that begin behind the page", LEAF, 14, 2, 4098, "gap", "not what its parent says"},
    {"a leaf without entries", LEAF, 12, 2, HEADER, "gap", "has no entries"},
    {"a key that ends outside", LEAF_NODE, 6, 2, 60000, "gap", "a key ends outside"},
    {"an entry of several values", LEAF_NODE, 4, 1, 4, "gap", "an entry of several values"},
    {"a value that ends outside", LEAF_NODE, 0, 2, 60000, "gap", "a value ends outside"},
    {"a key of an earlier page", LEAF_NODE, 8, 1, 'a', "gap", "has entries of another page"},
    {"a key behind the next", LEAF_NODE, 8 + 8, 1, '9', "gap", "its entries do not ascend"},
    {"the pages of a long value elsewhere", LONG, 0, 8, 3, "schema", "another page is in its"},
    {"pages that are no long value", LONG, 10, 2, 2, "schema", "not a long value"},
    {"a long value of no pages", LONG, 12, 4, 0, "schema", "not a long value"},
    {"a long value over the end", LONG, 12, 4, 1 << 20, "schema", "not a long value"},
    {"a long value of fewer pages", LONG, 12, 4, 1, "schema", "not a long value"},
    {"a long value that is longer", LONG_NODE, 2, 2, 9, "schema", "not a long value"},
};

static void whatever_is_wrong_with_a_page_is_named(void **state)
{
    const struct image *image = *state;
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        uint8_t *place = image->bytes + image->spots[damages[i].spot] + damages[i].offset;
        struct k2_error error = {0};
        uint64_t kept = get(place, damages[i].size);
        put(place, damages[i].size, damages[i].value);
        enum k2_status status = verify(image, damages[i].table, "", NULL, NULL, &error);
        put(place, damages[i].size, kept);
        if (status != K2_CORRUPT || strstr(error.text, damages[i].said) == NULL ||
            strncmp(error.text, "index: ", 7) != 0) {
            fail_msg("%s: %s: %s", damages[i].name, k2_status_name(status), error.text);
        }
    }
    assert_int_equal(verify(image, "gap", "", NULL, NULL, NULL), K2_OK);
}

// An entry of eight bytes at the end of its page says that its value stands elsewhere.
static void a_place_of_a_long_value_that_ends_outside_is_named(void **state)
{
    const struct image *image = *state;
    size_t page = image->spots[LONG_NODE] / PAGE_BYTES * PAGE_BYTES;
    uint8_t kept[PAGE_BYTES];
    struct k2_error error;
    memcpy(kept, image->bytes + page, PAGE_BYTES);
    put(image->bytes + page + HEADER, 2, PAGE_BYTES - 12);
    put(image->bytes + page + PAGE_BYTES - 12, 8, UINT64_C(1) << 32);
    assert_int_equal(verify(image, "schema", "", NULL, NULL, &error), K2_CORRUPT);
    assert_non_null(strstr(error.text, "a value ends outside"));
    memcpy(image->bytes + page, kept, PAGE_BYTES);
}

// A way that leads to an older copy of a page leads to one that is free.
static void a_page_that_is_free_or_has_another_use_is_found(void **state)
{
    const struct image *image = *state;
    uint8_t *file = image->bytes;
    size_t free_root = root_of(file, image->spots[META] + HEADER + 24);
    size_t list = data_of(file, node_of(file, free_root, 0)), root = image->spots[TABLE_TREE] + 40;
    assert_true(get(file + list, 8) > 0);
    const struct {
        const char *name;
        size_t place;
        uint64_t value;
        const char *said;
    } rows[] = {
        {"a table at a page that is free", root, get(file + list + 8, 8), "is free, or has"},
        {"a table at the page of another", root, image->spots[LIST] / PAGE_BYTES, "another use"},
        {"a table at the page of free pages", root, free_root / PAGE_BYTES, "is free, or has"},
        {"a page that is free and used", list + 8, image->spots[LEAF] / PAGE_BYTES, "is free, or"},
        {"a first page that is free", list + 8, 1, "a list of free pages that can not be"},
        {"a free page behind the newest", list + 8, 1 << 20, "that can not be"},
        {"more free pages than listed", list, 1 << 20, "not a list of free pages"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_error error = {0};
        uint64_t kept = get(file + rows[i].place, 8);
        put(file + rows[i].place, 8, rows[i].value);
        enum k2_status status = verify_all(image, &error);
        put(file + rows[i].place, 8, kept);
        if (status != K2_CORRUPT || strstr(error.text, rows[i].said) == NULL) {
            fail_msg("%s: %s: %s", rows[i].name, k2_status_name(status), error.text);
        }
    }
    assert_int_equal(verify_all(image, NULL), K2_OK);
}

// Else a writer would make the table anew, empty, and take what it named for garbage.
static void a_table_of_a_damaged_name_is_not_made_anew(void **state)
{
    const struct image *image = *state;
    size_t node = find_node(image->bytes, image->spots[LIST], "schema");
    char folder[TEST_PATH_BYTES], path[TEST_PATH_BYTES + 16];
    struct k2_store *store = NULL;
    struct k2_error error = {0};
    test_folder_make(folder);
    (void)snprintf(path, sizeof path, "%s/data.mdb", folder);
    image->bytes[node + 8 + 5] ^= 'a' ^ 'b';
    int file = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(file, image->bytes, image->size_bytes), (ssize_t)image->size_bytes);
    (void)close(file);
    image->bytes[node + 8 + 5] ^= 'a' ^ 'b';
    assert_int_equal(k2_store_open(&store, folder, true, &error), K2_CORRUPT);
    assert_non_null(strstr(error.text, "a table `schemb`, which this version"));
    assert_int_equal(k2_store_open(&store, folder, false, &error), K2_CORRUPT);
    test_folder_remove(folder);
}

static void the_two_first_pages_take_turns(void **state)
{
    const struct image *image = *state;
    const struct k2_slice file = {image->bytes, image->size_bytes};
    const size_t at = HEADER + 24 + 2 * TREE_BYTES + 8;
    uint8_t kept[2 * PAGE_BYTES];
    struct k2_error error;
    const struct {
        const char *name;
        uint64_t ids[2];
        const char *said; // NULL: accepted
    } rows[] = {
        {"as a new file has them", {0, 0}, NULL},
        {"the first commit", {0, 1}, NULL},
        {"the second is newer", {6, 7}, NULL},
        {"the first is newer", {8, 7}, NULL},
        {"one of long ago", {8, 5}, "page 1: not the commit before the newest"},
        {"the other of long ago", {4, 7}, "page 0: not the commit before the newest"},
        {"the same twice", {6, 6}, "not the commit before the newest"},
        {"in each other's place", {7, 6}, "not the commit before the newest"},
    };
    memcpy(kept, image->bytes, sizeof kept);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put(image->bytes + at, 8, rows[i].ids[0]);
        put(image->bytes + PAGE_BYTES + at, 8, rows[i].ids[1]);
        enum k2_status status = k2_index_pages_check_roots(file, &error);
        if (rows[i].said == NULL ? status != K2_OK
                                 : status != K2_CORRUPT || !strstr(error.text, rows[i].said)) {
            fail_msg("%s: %s", rows[i].name, k2_status_name(status));
        }
    }
    memcpy(image->bytes, kept, sizeof kept);
    put(image->bytes + HEADER, 4, 0);
    assert_int_equal(k2_index_pages_check_roots(file, &error), K2_CORRUPT);
    assert_non_null(strstr(error.text, "page 0: not the beginning of an index"));
    memcpy(image->bytes, kept, sizeof kept);
    struct k2_slice cut = {file.data, 5000};
    assert_int_equal(k2_index_pages_check_roots(cut, &error), K2_CORRUPT);
    assert_non_null(strstr(error.text, "page 1: behind the end of the file"));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(an_index_as_it_was_written_is_accepted),
        CASE(only_the_pages_of_a_range_are_looked_at),
        CASE(a_table_that_is_not_listed_is_named),
        CASE(a_transaction_of_long_ago_is_not_judged),
        CASE(whatever_is_wrong_with_a_page_is_named),
        CASE(a_place_of_a_long_value_that_ends_outside_is_named),
        CASE(a_page_that_is_free_or_has_another_use_is_found),
        CASE(a_table_of_a_damaged_name_is_not_made_anew),
        CASE(the_two_first_pages_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
