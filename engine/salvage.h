// What the segment files say by themselves: their row groups, which of them are sound, and which of
// them count (format/segment/SEGMENT.md).
//
// Reads every byte. Belongs to one thread.
#pragma once

#include "engine/index_records.h"
#include "format/segment/row_group_view.h"

enum k2_salvaged_state {
    K2_SALVAGED_SOUND = 0,
    K2_SALVAGED_DAMAGED = 1, // a column is not what was written; head and directory are
    K2_SALVAGED_BARE = 2,    // bytes in which no group can be read: only place and length are set
};

struct k2_salvaged_group {
    enum k2_salvaged_state state;
    bool counts;   // set by k2_salvage_decide, or by who knows better
    bool replaced; // it counted, and its rows are in a rewrite now
    bool lost;     // it counted, or may have, and can not be read
    bool alone;    // of `_log`: belongs to no commit (engine/journal.h)
    uint16_t name; // of its table, in salvage->names
    uint32_t schema_version, part, part_count;
    uint64_t run, run_base, commit;
    int64_t commit_time_ns;
    size_t first_input, input_count; // in salvage->inputs
    uint64_t length_bytes;
    struct k2_group_place place;
    struct k2_group_record record;
};

struct k2_salvaged_segment {
    uint64_t id, size_bytes;
    bool sound_header;
    bool is_void; // a rewrite that came to nothing
};

struct k2_salvage {
    const char *folder; // borrowed: the store's
    bool known_store;
    uint8_t store_id[16];
    struct k2_salvaged_segment *segments; // by id
    size_t segment_count, segment_room;
    struct k2_salvaged_group *groups; // by (segment, offset)
    size_t group_count, group_room;
    struct k2_rewrite_input *inputs;
    size_t input_count, input_room;
    char **names; // of tables
    size_t name_count;
    uint64_t newest_run;
    uint64_t proven_commit; // this one and all before it were committed
    // Commits of which there is nothing, not even in a rewrite: [first, last]; 0: none.
    uint64_t first_missing, last_missing, missing_count;
    struct k2_slice mapped; // owned
    uint64_t mapped_id;
};

// Reads all segments below `folder`. `store_id` NULL: that of most of them.
K2_MUST_CHECK enum k2_status k2_salvage_open(struct k2_salvage *salvage, const char *folder,
                                             const uint8_t *store_id, struct k2_error *error);
void k2_salvage_close(struct k2_salvage *salvage); // also a zeroed one

// Sets `counts` and `lost` by what the headers say.
K2_MUST_CHECK enum k2_status k2_salvage_decide(struct k2_salvage *salvage, struct k2_error *error);

// Sets which commits behind `logged`, the last one that `_log` tells of, are in no file.
K2_MUST_CHECK enum k2_status k2_salvage_find_missing(struct k2_salvage *salvage, uint64_t logged,
                                                     struct k2_error *error);

// The place in `groups` of the segment's first group (or where it would be).
size_t k2_salvage_first(const struct k2_salvage *salvage, uint64_t segment_id);

// The group at a place; NULL if there is none.
struct k2_salvaged_group *k2_salvage_find(const struct k2_salvage *salvage, uint64_t segment_id,
                                          uint64_t offset);
struct k2_salvaged_segment *k2_salvage_segment(const struct k2_salvage *salvage,
                                               uint64_t segment_id);

// All bytes of a group, borrowed until a group of another segment is asked for.
K2_MUST_CHECK enum k2_status k2_salvage_bytes(struct k2_salvage *salvage,
                                              const struct k2_salvaged_group *group,
                                              struct k2_slice *bytes, struct k2_error *error);

// A view of a group that is not bare; closed before the next one of another segment is opened.
K2_MUST_CHECK enum k2_status k2_salvage_view(struct k2_salvage *salvage,
                                             const struct k2_salvaged_group *group,
                                             struct k2_row_group_view **view,
                                             struct k2_error *error);

// Has the group (not bare) rows that `commit` brought?
K2_MUST_CHECK enum k2_status k2_salvage_has_commit(struct k2_salvage *salvage,
                                                   const struct k2_salvaged_group *group,
                                                   uint64_t commit, bool *found,
                                                   struct k2_error *error);

// Gives (in `visit`) each instrument of the group with its first snapshot there.
typedef enum k2_status k2_salvage_visit(void *context, const struct k2_directory_entry *entry,
                                        uint64_t first_commit, struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_salvage_members(struct k2_salvage *salvage,
                                                const struct k2_salvaged_group *group,
                                                k2_salvage_visit *visit, void *context,
                                                struct k2_error *error);
