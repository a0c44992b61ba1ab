#include "engine/index_pages.h"

#include <string.h>

// All numbers are little-endian; see `struct MDB_page` and the like in LMDB's mdb.c.
enum {
    PAGE_BYTES = 4096,
    HEADER_BYTES = 16, // u64 number, u16 -, u16 flags, u16 lower, u16 upper (u32 pages: overflow)
    NODE_BYTES = 8,    // u16 low, u16 high, u16 flags, u16 key size
    TREE_BYTES = 48,   // u32 -, u16 flags, u16 depth, 3 x u64 pages, u64 entries, u64 root
    MAX_DEPTH = 32,
    PAGE_BRANCH = 0x01,
    PAGE_LEAF = 0x02,
    PAGE_OVERFLOW = 0x04,
    PAGE_META = 0x08,
    NODE_BIG = 0x01,
    NODE_TREE = 0x02,
};
static const uint32_t magic = 0xbeefc0de;
static const uint64_t no_page = UINT64_MAX;

struct tree {
    unsigned depth;
    uint64_t entries, root;
};

struct page {
    uint64_t number;
    const uint8_t *bytes;
    unsigned flags, count;
};

struct node {
    struct k2_slice key, value;
    uint64_t child;
    unsigned flags;
};

struct walk {
    const struct k2_index_pages *pages;
    const struct k2_index_range *range;
    uint64_t entries;
    bool found_tree; // the table's, in the tree of tables
    struct tree tree;
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
    page->flags = (unsigned)number_at(bytes + 10, 2) & 0x6f;
    return K2_OK;
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
    if (page->flags == PAGE_BRANCH) {
        node->child = low | (uint64_t)node->flags << 32;
        return K2_OK;
    }
    const uint8_t *data = node->key.data + node->key.size_bytes;
    room -= node->key.size_bytes;
    if ((node->flags & NODE_BIG) != 0) {
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

static enum k2_status visit_leaf(struct walk *walk, const struct page *page,
                                 const struct node *node, struct k2_error *error)
{
    walk->entries++;
    if (walk->range != NULL) {
        return walk->range->check == NULL
                   ? K2_OK
                   : walk->range->check(walk->range->context, node->key, node->value, error);
    }
    if (node->flags != NODE_TREE || node->value.size_bytes != TREE_BYTES) {
        return fail_page(page->number, "not a list of tables", error);
    }
    return K2_OK;
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
    if (status != K2_OK) {
        return status;
    }
    if (page.count == 0 || (!leaf && page.count < 2)) {
        return fail_page(number, "has no entries", error);
    }
    status = open_node(walk, &page, 0, &node, error);
    if (!leaf) {
        node.key = low; // the first key of a branch says nothing
    }
    for (unsigned i = 0; i < page.count && status == K2_OK; i++, node = next) {
        bool last = i + 1 == page.count;
        if (compare_keys(node.key, low) < 0 ||
            (high.data != NULL && compare_keys(node.key, high) >= 0)) {
            return fail_page(number, "has entries of another page", error);
        }
        if (!last) {
            status = open_node(walk, &page, i + 1, &next, error);
            if (status == K2_OK && compare_keys(node.key, next.key) >= 0) {
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
    }
    return status;
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
    return number_at(meta + 24 + (size_t)2 * TREE_BYTES + 8, 8);
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
    return page.flags != PAGE_META || number_at(*meta, 4) != magic || number_at(*meta + 4, 4) != 1
               ? fail_page(number, "not the beginning of an index", error)
               : K2_OK;
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

enum k2_status k2_index_pages_verify(const struct k2_index_pages *pages,
                                     const struct k2_index_range *range, struct k2_error *error)
{
    struct walk walk = {.pages = pages};
    uint64_t root = pages->txn_id & 1; // two pages take turns
    const uint8_t *bytes;
    enum k2_status status = open_meta(&walk, root, &bytes, error);
    if (status != K2_OK) {
        return status;
    }
    if (txn_id_of(bytes) != pages->txn_id) {
        return K2_OK; // two later commits took its place: the transaction sees older pages
    }
    struct tree tables = tree_at(bytes + 24 + TREE_BYTES);
    if (tables.root == no_page && tables.entries == 0) {
        return K2_OK; // as it was made
    }
    if (tables.depth == 0 || tables.depth > MAX_DEPTH) {
        return fail_page(root, "no list of tables", error);
    }
    status = walk_page(&walk, tables.root, tables.depth, (struct k2_slice){0}, (struct k2_slice){0},
                       error);
    if (status == K2_OK && walk.entries != tables.entries) {
        status = fail_page(tables.root, "tables are missing", error);
    }
    if (status != K2_OK || range->table.size_bytes == 0) {
        return status;
    }
    walk.entries = 0;
    if (status == K2_OK) {
        status = find_table(&walk, &tables, range->table, error);
    }
    if (status != K2_OK) {
        return status;
    }
    walk.range = range;
    if (walk.tree.root == no_page && walk.tree.entries > 0) {
        return fail_page(tables.root, "a table without pages", error);
    }
    if (walk.tree.root != no_page && (walk.tree.depth == 0 || walk.tree.depth > MAX_DEPTH)) {
        return fail_page(tables.root, "a table of no depth", error);
    }
    if (walk.tree.root != no_page) {
        status = walk_page(&walk, walk.tree.root, walk.tree.depth, (struct k2_slice){0},
                           (struct k2_slice){0}, error);
    }
    bool whole = range->first.size_bytes == 0 && range->last.data == NULL;
    if (status == K2_OK && whole && walk.entries != walk.tree.entries) {
        status = k2_fail(error, K2_CORRUPT, "index: table %.*s has %llu entries of %llu",
                         (int)range->table.size_bytes, (const char *)range->table.data,
                         (unsigned long long)walk.entries, (unsigned long long)walk.tree.entries);
    }
    return status;
}
