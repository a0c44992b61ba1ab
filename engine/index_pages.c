#include "engine/index_pages.h"

#include <string.h>

#include "format/base/alloc.h"

// All numbers are little-endian; see `struct MDB_page` and the like in LMDB's mdb.c.
enum {
    PAGE_BYTES = 4096,
    HEADER_BYTES = 16, // u64 number, u16 -, u16 flags, u16 lower, u16 upper (u32 pages: overflow)
    NODE_BYTES = 8,    // u16 low, u16 high, u16 flags, u16 key size
    TREE_BYTES = 48,   // u32 0, u16 flags, u16 depth, 3 x u64 pages, u64 entries, u64 root
    MAX_DEPTH = 32,
    META_PAGES = 2,
    META_TREES = 24, // of a meta page: two trees, u64 newest page, u64 transaction
    PAGE_BRANCH = 0x01,
    PAGE_LEAF = 0x02,
    PAGE_OVERFLOW = 0x04,
    PAGE_META = 0x08,
    NODE_BIG = 0x01,
    NODE_TREE = 0x02,
    TREE_OF_NUMBERS = 0x08, // keys are numbers, in their order
};
static const uint32_t magic = 0xbeefc0de;
static const uint64_t no_page = UINT64_MAX;

struct tree {
    unsigned flags, depth;
    uint64_t entries, root;
};

struct page {
    uint64_t number;
    const uint8_t *bytes;
    unsigned flags, count;
    size_t upper; // where entries begin
};

struct node {
    struct k2_slice key, value;
    uint64_t child;
    unsigned flags;
    size_t size_bytes; // in the page
};

struct walk {
    const struct k2_index_pages *pages;
    const struct k2_index_range *range;
    uint64_t entries;
    bool found_tree; // the table's, in the tree of tables
    struct tree tree;
    bool free_pages;      // the tree of them is walked: its keys are numbers of transactions
    uint8_t *taken;       // a bit for each page up to `newest_page`; or NULL
    uint64_t newest_page; // of those that were ever in use
    bool list_only;       // tables are not walked: the list takes their first pages
};

static uint64_t number_at(const uint8_t *bytes, size_t size)
{
    uint64_t number = 0;
    memcpy(&number, bytes, size);
    return number;
}

static enum k2_status fail_page(uint64_t number, const char *what, struct k2_error *error)
{
    return k2_fail(error, K2_CORRUPT, "index: page %llu: %s; run `k2 repair`",
                   (unsigned long long)number, what);
}

static struct tree tree_at(const uint8_t *bytes)
{
    return (struct tree){
        .flags = (unsigned)number_at(bytes, 4) | (unsigned)number_at(bytes + 4, 2),
        .depth = (unsigned)number_at(bytes + 6, 2),
        .entries = number_at(bytes + 32, 8),
        .root = number_at(bytes + 40, 8),
    };
}

static enum k2_status open_page(const struct walk *walk, uint64_t number, struct page *page,
                                struct k2_error *error)
{
    if (number >= walk->pages->file.size_bytes / PAGE_BYTES) {
        return fail_page(number, "behind the end of the file", error);
    }
    const uint8_t *bytes = walk->pages->file.data + number * PAGE_BYTES;
    if (number_at(bytes, 8) != number) {
        return fail_page(number, "another page is in its place", error);
    }
    *page = (struct page){.number = number, .bytes = bytes};
    page->flags = (unsigned)number_at(bytes + 10, 2);
    return K2_OK;
}

// Every page has one use, or is free. An older copy of a page, which is free since, looks like one.
static enum k2_status must_be_left(const struct walk *walk, uint64_t number, struct k2_error *error)
{
    bool left = walk->taken == NULL ||
                (number <= walk->newest_page && (walk->taken[number / 8] >> number % 8 & 1) == 0);
    return left ? K2_OK : fail_page(number, "is free, or has another use", error);
}

static enum k2_status take(struct walk *walk, uint64_t number, struct k2_error *error)
{
    enum k2_status status = must_be_left(walk, number, error);
    if (status == K2_OK && walk->taken != NULL) {
        walk->taken[number / 8] = (uint8_t)(walk->taken[number / 8] | 1u << number % 8);
    }
    return status;
}

// Opens a page of a tree: its flags are `flags`, and its list of entries lies within it.
static enum k2_status open_node_page(const struct walk *walk, uint64_t number, unsigned flags,
                                     struct page *page, struct k2_error *error)
{
    enum k2_status status = open_page(walk, number, page, error);
    if (status != K2_OK) {
        return status;
    }
    size_t lower = (size_t)number_at(page->bytes + 12, 2);
    size_t upper = (size_t)number_at(page->bytes + 14, 2);
    if (page->flags != flags || lower < HEADER_BYTES || lower > upper || upper > PAGE_BYTES ||
        lower % 2 != 0) {
        return fail_page(number, "not what its parent says", error);
    }
    page->count = (unsigned)(lower - HEADER_BYTES) / 2;
    page->upper = upper;
    return K2_OK;
}

static enum k2_status overflow_value(const struct walk *walk, uint64_t number, size_t size,
                                     struct k2_slice *value, struct k2_error *error)
{
    struct page page;
    enum k2_status status = open_page(walk, number, &page, error);
    if (status != K2_OK) {
        return status;
    }
    uint64_t count = number_at(page.bytes + 12, 4);
    if (page.flags != PAGE_OVERFLOW || count == 0 ||
        count > walk->pages->file.size_bytes / PAGE_BYTES - number ||
        size > count * PAGE_BYTES - HEADER_BYTES) {
        return fail_page(number, "not a long value", error);
    }
    *value = (struct k2_slice){page.bytes + HEADER_BYTES, size};
    return K2_OK;
}

static enum k2_status open_node(const struct walk *walk, const struct page *page, unsigned index,
                                struct node *node, struct k2_error *error)
{
    size_t offset = (size_t)number_at(page->bytes + HEADER_BYTES + 2 * (size_t)index, 2);
    size_t end = HEADER_BYTES + 2 * (size_t)page->count;
    if (offset < end || offset > PAGE_BYTES - NODE_BYTES) {
        return fail_page(page->number, "an entry lies outside", error);
    }
    const uint8_t *bytes = page->bytes + offset;
    size_t low = (size_t)number_at(bytes, 4), room = PAGE_BYTES - NODE_BYTES - offset;
    *node = (struct node){.flags = (unsigned)number_at(bytes + 4, 2)};
    node->key = (struct k2_slice){bytes + NODE_BYTES, (size_t)number_at(bytes + 6, 2)};
    if (node->key.size_bytes > room) {
        return fail_page(page->number, "a key ends outside", error);
    }
    node->size_bytes = NODE_BYTES + node->key.size_bytes;
    if (page->flags == PAGE_BRANCH) {
        node->child = low | (uint64_t)node->flags << 32;
        return K2_OK;
    }
    const uint8_t *data = node->key.data + node->key.size_bytes;
    room -= node->key.size_bytes;
    bool is_big = (node->flags & NODE_BIG) != 0;
    node->size_bytes += is_big ? 8 : low;
    if (is_big) {
        return room < 8 ? fail_page(page->number, "a value ends outside", error)
                        : overflow_value(walk, number_at(data, 8), low, &node->value, error);
    }
    node->value = (struct k2_slice){data, low};
    return low > room ? fail_page(page->number, "a value ends outside", error) : K2_OK;
}

// As LMDB orders keys: by bytes, then the shorter one first.
static int compare_keys(struct k2_slice left, struct k2_slice right)
{
    size_t size = left.size_bytes < right.size_bytes ? left.size_bytes : right.size_bytes;
    int order = size == 0 ? 0 : memcmp(left.data, right.data, size);
    return order != 0 ? order
                      : (left.size_bytes > right.size_bytes) - (left.size_bytes < right.size_bytes);
}

// A key of no bytes is below all others.
static int compare(const struct walk *walk, struct k2_slice left, struct k2_slice right)
{
    if (!walk->free_pages) {
        return compare_keys(left, right);
    }
    uint64_t a = left.size_bytes == 8 ? number_at(left.data, 8) : 0;
    uint64_t b = right.size_bytes == 8 ? number_at(right.data, 8) : 0;
    return (a > b) - (a < b);
}

// Pages that a transaction freed: how many, then their numbers, which descend.
static enum k2_status visit_free(struct walk *walk, const struct page *page,
                                 const struct node *node, struct k2_error *error)
{
    struct k2_slice list = node->value;
    uint64_t count = list.size_bytes >= 8 ? number_at(list.data, 8) : 0;
    if (node->key.size_bytes != 8 || number_at(node->key.data, 8) > walk->pages->txn_id ||
        list.size_bytes < 8 || count > list.size_bytes / 8 - 1) {
        return fail_page(page->number, "not a list of free pages", error);
    }
    uint64_t before = walk->newest_page + 1;
    enum k2_status status = K2_OK;
    for (uint64_t i = 1; i <= count && status == K2_OK; i++) {
        uint64_t number = number_at(list.data + 8 * i, 8);
        status = number >= before || number < META_PAGES
                     ? fail_page(page->number, "a list of free pages that can not be", error)
                     : take(walk, number, error);
        before = number;
    }
    return status;
}

// What the list says of a table. Only where all pages are accounted for: reads ask often.
static enum k2_status check_table(struct walk *walk, const struct page *list,
                                  const struct tree *tree, struct k2_error *error)
{
    struct page page;
    if (walk->taken == NULL || tree->root == no_page) {
        return K2_OK;
    }
    if (tree->depth == 0 || tree->depth > MAX_DEPTH || tree->root < META_PAGES) {
        return fail_page(list->number, "a tree of no depth", error);
    }
    enum k2_status status =
        walk->list_only ? take(walk, tree->root, error) : must_be_left(walk, tree->root, error);
    return status == K2_OK
               ? open_node_page(walk, tree->root, tree->depth == 1 ? PAGE_LEAF : PAGE_BRANCH, &page,
                                error)
               : status;
}

static enum k2_status visit_leaf(struct walk *walk, const struct page *page,
                                 const struct node *node, struct k2_error *error)
{
    walk->entries++;
    bool plain = (node->flags & ~(unsigned)NODE_BIG) == 0;
    if ((walk->free_pages || walk->range != NULL) && !plain) {
        return fail_page(page->number, "an entry of several values", error);
    }
    if ((node->flags & NODE_BIG) != 0) {
        const uint8_t *head = node->value.data - HEADER_BYTES;
        uint64_t number = number_at(head, 8), count = number_at(head + 12, 4);
        for (uint64_t i = 0; i < count; i++) {
            enum k2_status status = take(walk, number + i, error);
            if (status != K2_OK) {
                return status;
            }
        }
    }
    if (walk->free_pages) {
        return visit_free(walk, page, node, error);
    }
    if (walk->range != NULL) {
        return walk->range->check == NULL
                   ? K2_OK
                   : walk->range->check(walk->range->context, node->key, node->value, error);
    }
    if (node->flags != NODE_TREE || node->value.size_bytes != TREE_BYTES) {
        return fail_page(page->number, "not a list of tables", error);
    }
    struct tree tree = tree_at(node->value.data);
    if (tree.flags != 0) {
        return fail_page(page->number, "a table that is none of K2's", error);
    }
    return check_table(walk, page, &tree, error);
}

// A subtree. `low` (may be empty) and `high` (data NULL: none) are the bounds that its parents
// give.
static enum k2_status walk_page(struct walk *walk, uint64_t number, unsigned depth,
                                struct k2_slice low, struct k2_slice high, struct k2_error *error)
{
    struct page page;
    struct node node, next;
    bool leaf = depth == 1;
    enum k2_status status =
        open_node_page(walk, number, leaf ? PAGE_LEAF : PAGE_BRANCH, &page, error);
    if (status == K2_OK) {
        status = take(walk, number, error);
    }
    if (status != K2_OK) {
        return status;
    }
    if (page.count == 0 || (!leaf && page.count < 2)) {
        return fail_page(number, "has no entries", error);
    }
    status = open_node(walk, &page, 0, &node, error);
    size_t filled = 0; // LMDB leaves no room between entries, each of which has an even size
    if (!leaf) {
        node.key = low; // the first key of a branch says nothing
    }
    for (unsigned i = 0; i < page.count && status == K2_OK; i++, node = next) {
        bool last = i + 1 == page.count;
        if (compare(walk, node.key, low) < 0 ||
            (high.data != NULL && compare(walk, node.key, high) >= 0)) {
            return fail_page(number, "has entries of another page", error);
        }
        if (!last) {
            status = open_node(walk, &page, i + 1, &next, error);
            if (status == K2_OK && compare(walk, node.key, next.key) >= 0) {
                return fail_page(number, "its entries do not ascend", error);
            }
        }
        if (status == K2_OK && leaf) {
            status = visit_leaf(walk, &page, &node, error);
        } else if (status == K2_OK) {
            const struct k2_index_range *range = walk->range;
            struct k2_slice end = last ? high : next.key;
            bool before = range != NULL && end.data != NULL && compare_keys(end, range->first) <= 0;
            bool behind = range != NULL && range->last.data != NULL &&
                          compare_keys(node.key, range->last) > 0;
            status = before || behind
                         ? K2_OK
                         : walk_page(walk, node.child, depth - 1, node.key, end, error);
        }
        filled += (node.size_bytes + 1) / 2 * 2;
    }
    return status == K2_OK && filled != PAGE_BYTES - page.upper
               ? fail_page(number, "its entries are not as long as its page says", error)
               : status;
}

// Finds the table in the tree of tables: few entries, all of them looked at.
static enum k2_status find_table(struct walk *walk, const struct tree *tables, struct k2_slice name,
                                 struct k2_error *error)
{
    uint64_t number = tables->root;
    for (unsigned depth = tables->depth; depth > 0; depth--) {
        struct page page;
        struct node node;
        unsigned chosen = 0;
        enum k2_status status =
            open_node_page(walk, number, depth == 1 ? PAGE_LEAF : PAGE_BRANCH, &page, error);
        for (unsigned i = 0; status == K2_OK && i < page.count; i++) {
            status = open_node(walk, &page, i, &node, error);
            if (status == K2_OK && (i == 0 || compare_keys(node.key, name) <= 0)) {
                chosen = i;
            }
        }
        if (status == K2_OK) {
            status = page.count == 0 ? fail_page(number, "has no entries", error)
                                     : open_node(walk, &page, chosen, &node, error);
        }
        if (status != K2_OK) {
            return status;
        }
        number = node.child;
        if (depth == 1 && compare_keys(node.key, name) == 0) {
            walk->found_tree = node.value.size_bytes == TREE_BYTES && node.flags == NODE_TREE;
            if (walk->found_tree) {
                walk->tree = tree_at(node.value.data);
            }
        }
    }
    return walk->found_tree ? K2_OK
                            : k2_fail(error, K2_CORRUPT, "index: table %.*s is not there",
                                      (int)name.size_bytes, (const char *)name.data);
}

static uint64_t txn_id_of(const uint8_t *meta)
{
    return number_at(meta + META_TREES + (size_t)2 * TREE_BYTES + 8, 8);
}

static enum k2_status open_meta(const struct walk *walk, uint64_t number, const uint8_t **meta,
                                struct k2_error *error)
{
    struct page page = {0};
    enum k2_status status = open_page(walk, number, &page, error);
    if (status != K2_OK || page.bytes == NULL) {
        return status;
    }
    *meta = page.bytes + HEADER_BYTES;
    bool sound = page.flags == PAGE_META && number_at(*meta, 4) == magic &&
                 number_at(*meta + 4, 4) == 1 && number_at(*meta + META_TREES, 4) == PAGE_BYTES &&
                 number_at(*meta + META_TREES + 4, 2) == TREE_OF_NUMBERS;
    return sound ? K2_OK : fail_page(number, "not the beginning of an index", error);
}

enum k2_status k2_index_pages_check_roots(struct k2_slice file, struct k2_error *error)
{
    struct k2_index_pages pages = {.file = file};
    struct walk walk = {.pages = &pages};
    if (file.size_bytes == 0) {
        return K2_OK;
    }
    enum k2_status status = K2_OK;
    for (int attempt = 0; attempt < 5; attempt++) { // a writer may change one meanwhile
        const uint8_t *metas[2];
        uint64_t ids[2] = {0, 0};
        bool in_turn = true;
        status = K2_OK;
        for (uint64_t i = 0; i < 2 && status == K2_OK; i++) {
            status = open_meta(&walk, i, &metas[i], error);
            ids[i] = status == K2_OK ? txn_id_of(metas[i]) : 0;
            in_turn = in_turn && (ids[i] == 0 || ids[i] % 2 == i);
        }
        uint64_t apart = ids[0] > ids[1] ? ids[0] - ids[1] : ids[1] - ids[0];
        if (status == K2_OK && in_turn && (apart == 1 || ids[0] + ids[1] == 0)) {
            return K2_OK;
        }
        if (status == K2_OK) {
            status = fail_page(ids[0] > ids[1] ? 1 : 0, "not the commit before the newest", error);
        }
    }
    return status;
}

static uint64_t root_of(const struct k2_index_pages *pages)
{
    return pages->txn_id & 1; // two pages take turns
}

// What the first page of the transaction says. Not judged: two later commits took its place, the
// transaction sees older pages.
struct root {
    bool judged;
    struct tree free_pages, tables;
    uint64_t newest_page;
};

static enum k2_status open_root(const struct walk *walk, struct root *root, struct k2_error *error)
{
    const uint8_t *meta;
    *root = (struct root){0};
    enum k2_status status = open_meta(walk, root_of(walk->pages), &meta, error);
    if (status != K2_OK) {
        return status;
    }
    root->free_pages = tree_at(meta + META_TREES);
    root->tables = tree_at(meta + META_TREES + TREE_BYTES);
    root->newest_page = number_at(meta + META_TREES + (size_t)2 * TREE_BYTES, 8);
    root->judged = txn_id_of(meta) == walk->pages->txn_id; // still, now that they are read
    return K2_OK;
}

// A tree and, when it is whole, that it has as many entries as its root says.
static enum k2_status walk_tree(struct walk *walk, const struct tree *tree, uint64_t parent,
                                struct k2_error *error)
{
    struct k2_slice none = {0};
    walk->entries = 0;
    if (tree->root == no_page) {
        return tree->entries == 0 ? K2_OK : fail_page(parent, "a tree without pages", error);
    }
    if (tree->depth == 0 || tree->depth > MAX_DEPTH) {
        return fail_page(parent, "a tree of no depth", error);
    }
    enum k2_status status = walk_page(walk, tree->root, tree->depth, none, none, error);
    const struct k2_index_range *range = walk->range;
    bool whole = range == NULL || (range->first.size_bytes == 0 && range->last.data == NULL);
    if (status == K2_OK && whole && walk->entries != tree->entries) {
        status = k2_fail(error, K2_CORRUPT,
                         "index: page %llu: a tree has %llu entries of %llu; run `k2 repair`",
                         (unsigned long long)parent, (unsigned long long)walk->entries,
                         (unsigned long long)tree->entries);
    }
    return status;
}

static enum k2_status walk_list(struct walk *walk, const struct tree *tables,
                                struct k2_error *error)
{
    if (tables->flags != 0) {
        return fail_page(root_of(walk->pages), "a list of tables that is none of K2's", error);
    }
    return walk_tree(walk, tables, root_of(walk->pages), error);
}

static enum k2_status walk_table(struct walk *walk, const struct tree *tables,
                                 const struct k2_index_range *range, struct k2_error *error)
{
    walk->found_tree = false;
    enum k2_status status = find_table(walk, tables, range->table, error);
    if (status != K2_OK) {
        return status;
    }
    walk->range = range;
    status = walk_tree(walk, &walk->tree, tables->root, error);
    walk->range = NULL;
    return status;
}

enum k2_status k2_index_pages_verify(const struct k2_index_pages *pages,
                                     const struct k2_index_range *range, struct k2_error *error)
{
    struct walk walk = {.pages = pages};
    struct root root;
    enum k2_status status = open_root(&walk, &root, error);
    if (status != K2_OK || !root.judged) {
        return status;
    }
    status = walk_list(&walk, &root.tables, error);
    bool made = root.tables.root != no_page; // else it has no tables yet
    return status == K2_OK && made ? walk_table(&walk, &root.tables, range, error) : status;
}

static enum k2_status walk_all(struct walk *walk, const struct root *root,
                               const struct k2_index_range *ranges, size_t range_count,
                               struct k2_error *error)
{
    walk->free_pages = true;
    enum k2_status status = walk_tree(walk, &root->free_pages, root_of(walk->pages), error);
    walk->free_pages = false;
    if (status == K2_OK) {
        status = walk_list(walk, &root->tables, error);
    }
    bool made = root->tables.root != no_page;
    for (size_t i = 0; i < range_count && status == K2_OK && made; i++) {
        status = walk_table(walk, &root->tables, &ranges[i], error);
    }
    return status;
}

enum k2_status k2_index_pages_verify_all(const struct k2_index_pages *pages,
                                         const struct k2_index_range *ranges, size_t range_count,
                                         struct k2_error *error)
{
    enum { MOST_PAGES = 1 << 26 };
    struct walk walk = {.pages = pages};
    struct root root;
    enum k2_status status = open_root(&walk, &root, error);
    if (status != K2_OK || !root.judged) {
        return status;
    }
    walk.newest_page = root.newest_page;
    walk.list_only = range_count == 0;
    if (walk.newest_page >= MOST_PAGES) {
        return fail_page(root_of(pages), "more pages than there can be", error);
    }
    walk.taken = k2_alloc_zero(walk.newest_page / 8 + 1, 1);
    if (walk.taken == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "index: out of memory");
    }
    status = walk_all(&walk, &root, ranges, range_count, error);
    k2_free(walk.taken);
    return status;
}
