// Manifests (which data files) and manifest lists (which manifests a snapshot has), version 2.
//
// Written with all that any reader was seen to ask for (ICEBERG.md), for tables whose partition is
// one day; read whoever wrote them, by field ids. What is read lives in its own arena. Belongs to
// one thread.
#pragma once

#include "format/base/arena.h"
#include "format/base/buffer.h"

// What is known about one column of a data file.
struct k2_iceberg_column {
    int32_t id;
    bool has_size, has_values, has_nulls, has_nans, has_lower, has_upper;
    int64_t size_bytes, value_count, null_count, nan_count;
    struct k2_slice lower, upper; // as Iceberg's appendix D has them
};

enum k2_iceberg_content {
    K2_ICEBERG_DATA = 0,
    K2_ICEBERG_POSITION_DELETES = 1,
    K2_ICEBERG_EQUALITY_DELETES = 2,
};

struct k2_iceberg_file {
    enum k2_iceberg_content content;
    struct k2_slice path;
    struct k2_slice format; // PARQUET
    bool has_day;           // the partition is one date: `day` since 1970
    int32_t day;
    int64_t record_count, size_bytes;
    struct k2_iceberg_column *columns; // by id
    size_t column_count;
    struct k2_slice key_metadata; // data NULL: none
    int64_t *split_offsets;
    size_t split_count;
    int32_t *equality_ids;
    size_t equality_count;
    bool has_sort_order;
    int32_t sort_order_id;
};

enum k2_iceberg_status {
    K2_ICEBERG_EXISTING = 0,
    K2_ICEBERG_ADDED = 1,
    K2_ICEBERG_DELETED = 2,
};

struct k2_iceberg_entry {
    enum k2_iceberg_status status;
    // Absent: inherited from the manifest's entry in the list.
    bool has_snapshot, has_sequence, has_file_sequence;
    int64_t snapshot_id, sequence_number, file_sequence_number;
    struct k2_iceberg_file file;
};

struct k2_iceberg_manifest { // an entry of a manifest list
    struct k2_slice path;
    int64_t length_bytes;
    int32_t spec_id;
    int32_t content; // 0 data, 1 deletes
    int64_t sequence_number, min_sequence_number, snapshot_id;
    int64_t added_files, existing_files, deleted_files;
    int64_t added_rows, existing_rows, deleted_rows;
    struct k2_iceberg_range { // of the values of each field of the partition
        bool has_null;
        bool has_nan_known, has_nan;
        struct k2_slice lower, upper; // data NULL: none
    } * partitions;
    size_t partition_count;
    bool has_partitions;
    struct k2_slice key_metadata; // data NULL: none
};

// ---- writing --------------------------------------------------------------------------------

// The table as a manifest's header tells of it.
struct k2_iceberg_manifest_head {
    struct k2_slice schema_json, spec_json; // of the fields: an array
    int32_t schema_id, spec_id;
    const char *partition_name; // of the one field of the spec
    uint8_t sync[16];
};

// A manifest of data files, all with a day. Check `out`.
void k2_iceberg_manifest_put(struct k2_buffer *out, const struct k2_iceberg_manifest_head *head,
                             const struct k2_iceberg_entry *entries, size_t entry_count);

// What the list says of a manifest with these entries: counts, partitions, least sequence number
// (`sequence_number`: of the snapshot, for entries that inherit it). `arena` keeps the bounds. The
// path and the length are the caller's. False: no memory.
K2_MUST_CHECK bool k2_iceberg_manifest_describe(struct k2_iceberg_manifest *manifest,
                                                const struct k2_iceberg_entry *entries,
                                                size_t entry_count, int32_t spec_id,
                                                int64_t snapshot_id, int64_t sequence_number,
                                                struct k2_arena *arena);

void k2_iceberg_manifest_list_put(struct k2_buffer *out,
                                  const struct k2_iceberg_manifest *manifests,
                                  size_t manifest_count, int64_t snapshot_id, bool has_parent,
                                  int64_t parent_id, int64_t sequence_number,
                                  const uint8_t sync[16]);

// ---- reading --------------------------------------------------------------------------------

// Zeroed is empty and may be deinited.
struct k2_iceberg_entries {
    struct k2_iceberg_entry *items;
    size_t count, room;
    struct k2_arena arena;
};
void k2_iceberg_entries_deinit(struct k2_iceberg_entries *entries);

struct k2_iceberg_manifests {
    struct k2_iceberg_manifest *items;
    size_t count, room;
    struct k2_arena arena;
};
void k2_iceberg_manifests_deinit(struct k2_iceberg_manifests *manifests);

// Append what the file has; nothing of `file` is borrowed. `inherit`: the manifest's entry in the
// list, from which absent snapshot ids and sequence numbers come; NULL: they stay absent.
K2_MUST_CHECK enum k2_status k2_iceberg_manifest_read(struct k2_iceberg_entries *entries,
                                                      struct k2_slice file,
                                                      const struct k2_iceberg_manifest *inherit,
                                                      struct k2_error *error);
K2_MUST_CHECK enum k2_status k2_iceberg_manifest_list_read(struct k2_iceberg_manifests *manifests,
                                                           struct k2_slice file,
                                                           struct k2_error *error);
