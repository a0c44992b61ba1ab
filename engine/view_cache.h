// Mapped segments and opened row groups that reads leave behind for the next one, so that a group
// is mapped, parsed and checked once and not once a query.
//
// One for each engine handle. Thread-safe: everything is guarded by one lock, which is never held
// around I/O or a checksum. What is in use is never dropped; what is idle goes, the longest unused
// first, when it exceeds a ceiling. Mappings keep unlinked files on the disk: k2_view_cache_forget
// and k2_view_cache_sweep give them back.
#pragma once

#include "format/segment/row_group_view.h"

struct k2_view_cache; // opaque

// Of what is idle; what is in use comes on top.
struct k2_view_cache_limits {
    size_t heap_bytes;     // of opened groups
    size_t map_count;      // of segments
    size_t resident_bytes; // of mapped groups that are kept in this process's page tables
};

// 32 MiB of heap, 256 maps, 32 MiB resident: for commands and servers, whose memory is bounded.
extern const struct k2_view_cache_limits k2_view_cache_default_limits;

struct k2_view_cache_figures {
    size_t heap_bytes, map_count, resident_bytes, view_count; // idle and in use
    uint64_t hits, misses;                                    // of groups, since creation
};

K2_MUST_CHECK enum k2_status k2_view_cache_create(struct k2_view_cache **cache,
                                                  const struct k2_view_cache_limits *limits,
                                                  struct k2_error *error);
void k2_view_cache_destroy(struct k2_view_cache *cache); // nothing of it is in use; NULL is fine

// From now on; what is idle goes at once where it is more.
void k2_view_cache_set_limits(struct k2_view_cache *cache,
                              const struct k2_view_cache_limits *limits);

// A mapping of a segment; borrowed between find or add and release.
struct k2_cached_map; // opaque
struct k2_slice k2_cached_map_bytes(const struct k2_cached_map *map);

// A mapping of at least `least_bytes`, or NULL.
struct k2_cached_map *k2_view_cache_find_map(struct k2_view_cache *cache, uint64_t segment_id,
                                             uint64_t least_bytes);
// Takes `bytes`, mapped by k2_file_map and checked as a segment, also when it fails.
K2_MUST_CHECK enum k2_status k2_view_cache_add_map(struct k2_view_cache *cache, uint64_t segment_id,
                                                   struct k2_slice bytes,
                                                   struct k2_cached_map **map,
                                                   struct k2_error *error);
void k2_view_cache_release_map(struct k2_view_cache *cache, struct k2_cached_map *map);

// An opened group; borrowed between acquire and release.
struct k2_cached_view {
    const struct k2_row_group_view *view;
};

// The group at `offset` of the map's segment, opened if it is not there.
K2_MUST_CHECK enum k2_status
k2_view_cache_acquire(struct k2_view_cache *cache, struct k2_cached_map *map, uint64_t offset,
                      uint32_t length_bytes, struct k2_cached_view **view, struct k2_error *error);
void k2_view_cache_release(struct k2_view_cache *cache, struct k2_cached_view *view);

// Drops what is idle of a segment, and the rest as soon as it is.
void k2_view_cache_forget(struct k2_view_cache *cache, uint64_t segment_id);

// Writes the distinct segments that are mapped to `segment_ids`, at most `room` of them.
size_t k2_view_cache_segments(struct k2_view_cache *cache, uint64_t *segment_ids, size_t room);

// True once a second: whoever gets it looks which of those segments the index still has.
bool k2_view_cache_sweep_is_due(struct k2_view_cache *cache);

struct k2_view_cache_figures k2_view_cache_figures(struct k2_view_cache *cache);
