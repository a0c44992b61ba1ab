#include "engine/view_cache.h"

#include <assert.h>
#include <pthread.h>
#include <time.h>

#include "engine/file_io.h"
#include "format/base/alloc.h"

enum { MAP_BUCKETS = 512, VIEW_BUCKETS = 4096 };

const struct k2_view_cache_limits k2_view_cache_default_limits = {
    .heap_bytes = (size_t)32 << 20,
    .map_count = 256,
    .resident_bytes = (size_t)32 << 20,
};

// A place in a list from the longest unused to the last used.
struct link {
    struct link *older, *newer;
};

struct k2_cached_map {
    uint64_t segment_id;
    struct k2_slice bytes;      // owned mapping
    size_t user_count;          // finders
    size_t busy_count;          // views of it that are in use
    bool forgotten;             // goes when nobody uses it, and is not found any more
    struct k2_cached_map *next; // in its bucket; a longer one of the same segment stands before it
    struct view *views;         // of it, in use or idle
    struct link idle;           // linked while nobody uses it or a view of it
};

struct view {
    struct k2_cached_view face; // first: what users hold
    struct k2_row_group_view *view;
    struct k2_cached_map *map;
    uint64_t offset;
    size_t heap_bytes;
    size_t user_count;
    bool is_resident;           // counted as such
    struct view *next;          // in its bucket
    struct view *left, *right;  // of its map
    struct link idle, resident; // linked while nobody uses it; while it is idle and resident
};

struct k2_view_cache {
    pthread_mutex_t lock; // guards all below
    struct k2_view_cache_limits limits;
    struct k2_view_cache_figures figures;
    struct link idle_views, resident_views, idle_maps; // heads: newer is the longest unused
    struct k2_cached_map *maps[MAP_BUCKETS];
    struct view *views[VIEW_BUCKETS];
    int64_t next_sweep_s;
};

// Lists

static void list_init(struct link *head)
{
    head->older = head->newer = head;
}

static void list_remove(struct link *link)
{
    if (link->older != NULL) {
        link->older->newer = link->newer;
        link->newer->older = link->older;
        link->older = link->newer = NULL;
    }
}

static void list_add_newest(struct link *head, struct link *link)
{
    list_remove(link);
    link->older = head->older;
    link->newer = head;
    head->older->newer = link;
    head->older = link;
}

#define OWNER(type, member, link) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static size_t map_bucket(uint64_t segment_id)
{
    return (size_t)(segment_id * 0x9e3779b97f4a7c15u >> 55) % MAP_BUCKETS;
}

static size_t view_bucket(uint64_t segment_id, uint64_t offset)
{
    uint64_t mixed = (segment_id * 0x9e3779b97f4a7c15u) ^ (offset * 0xc2b2ae3d27d4eb4fu);
    return (size_t)(mixed >> 40) % VIEW_BUCKETS;
}

enum k2_status k2_view_cache_create(struct k2_view_cache **cache,
                                    const struct k2_view_cache_limits *limits,
                                    struct k2_error *error)
{
    struct k2_view_cache *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "cache: out of memory");
    }
    (void)pthread_mutex_init(&self->lock, NULL);
    self->limits = *limits;
    list_init(&self->idle_views);
    list_init(&self->resident_views);
    list_init(&self->idle_maps);
    *cache = self;
    return K2_OK;
}

// Dropping; the lock is held. Unmapping is quick enough for it.

static void drop_map(struct k2_view_cache *cache, struct k2_cached_map *map)
{
    assert(map->user_count == 0);
    assert(map->views == NULL);
    struct k2_cached_map **link = &cache->maps[map_bucket(map->segment_id)];
    while (*link != map) {
        link = &(*link)->next;
    }
    *link = map->next;
    list_remove(&map->idle);
    cache->figures.map_count--;
    k2_file_unmap(map->bytes);
    k2_free(map);
}

static void set_resident(struct k2_view_cache *cache, struct view *view, bool is_resident)
{
    size_t bytes = k2_row_group_view_length(view->view);
    if (view->is_resident != is_resident) {
        view->is_resident = is_resident;
        cache->figures.resident_bytes += is_resident ? bytes : (size_t)0 - bytes;
    }
}

// An idle view goes; its map stays.
static void drop_view(struct k2_view_cache *cache, struct view *view)
{
    assert(view->user_count == 0);
    struct k2_cached_map *map = view->map;
    struct view **link = &cache->views[view_bucket(map->segment_id, view->offset)];
    while (*link != view) {
        link = &(*link)->next;
    }
    *link = view->next;
    *(view->left != NULL ? &view->left->right : &map->views) = view->right;
    if (view->right != NULL) {
        view->right->left = view->left;
    }
    list_remove(&view->idle);
    list_remove(&view->resident);
    set_resident(cache, view, false);
    cache->figures.heap_bytes -= view->heap_bytes;
    cache->figures.view_count--;
    k2_row_group_view_close(view->view);
    k2_free(view);
}

// True when a longer mapping of the segment is there: nobody will find this one.
static bool is_superseded(const struct k2_view_cache *cache, const struct k2_cached_map *map)
{
    const struct k2_cached_map *first = cache->maps[map_bucket(map->segment_id)];
    while (first->segment_id != map->segment_id) {
        first = first->next;
    }
    return first != map;
}

// To be called whenever a map may have become idle or busy. Drops it when it is of no use.
static void settle_map(struct k2_view_cache *cache, struct k2_cached_map *map)
{
    if (map->user_count > 0 || map->busy_count > 0) {
        list_remove(&map->idle);
        return;
    }
    while (map->forgotten && map->views != NULL) {
        drop_view(cache, map->views);
    }
    if (map->views == NULL && (map->forgotten || is_superseded(cache, map))) {
        drop_map(cache, map);
    } else {
        list_add_newest(&cache->idle_maps, &map->idle);
    }
}

// Brings what is idle below the ceilings.
static void evict(struct k2_view_cache *cache)
{
    const struct k2_view_cache_limits *limits = &cache->limits;
    while (cache->figures.resident_bytes > limits->resident_bytes &&
           cache->resident_views.newer != &cache->resident_views) {
        struct view *view = OWNER(struct view, resident, cache->resident_views.newer);
        list_remove(&view->resident);
        set_resident(cache, view, false);
        k2_file_forget_pages((struct k2_slice){view->map->bytes.data + view->offset,
                                               k2_row_group_view_length(view->view)});
    }
    while (cache->figures.heap_bytes > limits->heap_bytes &&
           cache->idle_views.newer != &cache->idle_views) {
        struct view *view = OWNER(struct view, idle, cache->idle_views.newer);
        struct k2_cached_map *map = view->map;
        drop_view(cache, view);
        if (map->views == NULL && map->user_count == 0 && is_superseded(cache, map)) {
            drop_map(cache, map);
        }
    }
    while (cache->figures.map_count > limits->map_count &&
           cache->idle_maps.newer != &cache->idle_maps) {
        struct k2_cached_map *map = OWNER(struct k2_cached_map, idle, cache->idle_maps.newer);
        while (map->views != NULL) {
            drop_view(cache, map->views);
        }
        drop_map(cache, map);
    }
}

void k2_view_cache_destroy(struct k2_view_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    cache->limits = (struct k2_view_cache_limits){0};
    evict(cache);
    assert(cache->figures.map_count == 0);
    assert(cache->figures.view_count == 0);
    (void)pthread_mutex_destroy(&cache->lock);
    k2_free(cache);
}

void k2_view_cache_set_limits(struct k2_view_cache *cache,
                              const struct k2_view_cache_limits *limits)
{
    (void)pthread_mutex_lock(&cache->lock);
    cache->limits = *limits;
    evict(cache);
    (void)pthread_mutex_unlock(&cache->lock);
}

struct k2_slice k2_cached_map_bytes(const struct k2_cached_map *map)
{
    return map->bytes;
}

struct k2_cached_map *k2_view_cache_find_map(struct k2_view_cache *cache, uint64_t segment_id,
                                             uint64_t least_bytes)
{
    (void)pthread_mutex_lock(&cache->lock);
    struct k2_cached_map *map = cache->maps[map_bucket(segment_id)];
    while (map != NULL && (map->segment_id != segment_id || map->forgotten ||
                           map->bytes.size_bytes < least_bytes)) {
        map = map->next;
    }
    if (map != NULL) {
        map->user_count++;
        list_remove(&map->idle);
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return map;
}

enum k2_status k2_view_cache_add_map(struct k2_view_cache *cache, uint64_t segment_id,
                                     struct k2_slice bytes, struct k2_cached_map **map,
                                     struct k2_error *error)
{
    struct k2_cached_map *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        k2_file_unmap(bytes);
        return k2_fail(error, K2_NO_MEMORY, "cache: out of memory");
    }
    self->segment_id = segment_id;
    self->bytes = bytes;
    self->user_count = 1;
    (void)pthread_mutex_lock(&cache->lock);
    struct k2_cached_map **bucket = &cache->maps[map_bucket(segment_id)];
    self->next = *bucket; // the longest one of a segment that grew is found first
    *bucket = self;
    cache->figures.map_count++;
    evict(cache);
    (void)pthread_mutex_unlock(&cache->lock);
    *map = self;
    return K2_OK;
}

void k2_view_cache_release_map(struct k2_view_cache *cache, struct k2_cached_map *map)
{
    if (map == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&cache->lock);
    map->user_count--;
    settle_map(cache, map);
    evict(cache);
    (void)pthread_mutex_unlock(&cache->lock);
}

// The lock is held.
static struct view *find_view(struct k2_view_cache *cache, uint64_t segment_id, uint64_t offset)
{
    struct view *view = cache->views[view_bucket(segment_id, offset)];
    while (view != NULL && (view->offset != offset || view->map->segment_id != segment_id ||
                            view->map->forgotten)) {
        view = view->next;
    }
    return view;
}

static void use_view(struct k2_view_cache *cache, struct view *view)
{
    if (view->user_count++ == 0) {
        view->map->busy_count++;
        list_remove(&view->idle);
        list_remove(&view->resident);
        list_remove(&view->map->idle);
        set_resident(cache, view, true);
    }
}

static struct view *try_view(struct k2_view_cache *cache, uint64_t segment_id, uint64_t offset)
{
    (void)pthread_mutex_lock(&cache->lock);
    struct view *view = find_view(cache, segment_id, offset);
    if (view != NULL) {
        use_view(cache, view);
        cache->figures.hits++;
    } else {
        cache->figures.misses++;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return view;
}

// Another thread may have opened the group meanwhile: then `view` is closed and that one taken.
static struct view *insert_view(struct k2_view_cache *cache, struct view *view)
{
    struct k2_cached_map *map = view->map;
    (void)pthread_mutex_lock(&cache->lock);
    struct view *other = find_view(cache, map->segment_id, view->offset);
    if (other != NULL) {
        use_view(cache, other);
        (void)pthread_mutex_unlock(&cache->lock);
        k2_row_group_view_close(view->view);
        k2_free(view);
        return other;
    }
    struct view **bucket = &cache->views[view_bucket(map->segment_id, view->offset)];
    view->next = *bucket;
    *bucket = view;
    view->right = map->views;
    if (map->views != NULL) {
        map->views->left = view;
    }
    map->views = view;
    cache->figures.view_count++;
    cache->figures.heap_bytes += view->heap_bytes;
    use_view(cache, view);
    evict(cache);
    (void)pthread_mutex_unlock(&cache->lock);
    return view;
}

enum k2_status k2_view_cache_acquire(struct k2_view_cache *cache, struct k2_cached_map *map,
                                     uint64_t offset, uint32_t length_bytes,
                                     struct k2_cached_view **result, struct k2_error *error)
{
    assert(offset <= map->bytes.size_bytes);
    assert(length_bytes <= map->bytes.size_bytes - offset);
    struct view *view = try_view(cache, map->segment_id, offset);
    if (view == NULL) {
        view = k2_alloc_zero(1, sizeof *view);
        if (view == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "cache: out of memory");
        }
        struct k2_slice bytes = {map->bytes.data + offset, length_bytes};
        enum k2_status status =
            k2_row_group_view_open(&view->view, bytes, map->segment_id, offset, error);
        if (status != K2_OK) {
            k2_free(view);
            return status;
        }
        view->face.view = view->view;
        view->map = map;
        view->offset = offset;
        view->heap_bytes = sizeof *view + k2_row_group_view_heap_bytes(view->view);
        view = insert_view(cache, view);
    }
    *result = &view->face;
    return K2_OK;
}

void k2_view_cache_release(struct k2_view_cache *cache, struct k2_cached_view *face)
{
    if (face == NULL) {
        return;
    }
    struct view *view = (struct view *)(void *)face;
    (void)pthread_mutex_lock(&cache->lock);
    assert(view->user_count > 0);
    view->user_count--;
    if (view->user_count == 0) {
        list_add_newest(&cache->idle_views, &view->idle);
        list_add_newest(&cache->resident_views, &view->resident);
        view->map->busy_count--;
        settle_map(cache, view->map); // maybe it goes, and the view with it
        evict(cache);
    }
    (void)pthread_mutex_unlock(&cache->lock);
}

void k2_view_cache_forget(struct k2_view_cache *cache, uint64_t segment_id)
{
    (void)pthread_mutex_lock(&cache->lock);
    struct k2_cached_map *map = cache->maps[map_bucket(segment_id)], *next;
    for (; map != NULL; map = next) {
        next = map->next;
        if (map->segment_id == segment_id) {
            map->forgotten = true;
            settle_map(cache, map);
        }
    }
    (void)pthread_mutex_unlock(&cache->lock);
}

size_t k2_view_cache_segments(struct k2_view_cache *cache, uint64_t *segment_ids, size_t room)
{
    size_t count = 0;
    (void)pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < MAP_BUCKETS; i++) {
        for (const struct k2_cached_map *map = cache->maps[i]; map != NULL && count < room;
             map = map->next) {
            size_t same = 0;
            while (same < count && segment_ids[same] != map->segment_id) {
                same++;
            }
            if (same == count) {
                segment_ids[count++] = map->segment_id;
            }
        }
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return count;
}

bool k2_view_cache_sweep_is_due(struct k2_view_cache *cache)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    (void)pthread_mutex_lock(&cache->lock);
    bool is_due = (int64_t)now.tv_sec >= cache->next_sweep_s;
    if (is_due) {
        cache->next_sweep_s = (int64_t)now.tv_sec + 1;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return is_due;
}

struct k2_view_cache_figures k2_view_cache_figures(struct k2_view_cache *cache)
{
    (void)pthread_mutex_lock(&cache->lock);
    struct k2_view_cache_figures figures = cache->figures;
    (void)pthread_mutex_unlock(&cache->lock);
    return figures;
}
