// Rows of a table as data files of an Iceberg table: cut at midnight UTC, each sorted, of about 128
// MiB where a day has as much.
//
// Memory stays bounded however many rows a day has: about half a million are gathered and sorted at
// a time, and a day with more goes instrument by instrument. Belongs to one thread.
#pragma once

#include "engine/scan.h"
#include "format/iceberg/iceberg_manifest.h"
#include "query/export/object_store.h"

// Which rows.
struct k2_row_selection {
    struct k2_engine *engine;
    const struct k2_table *table;
    uint64_t snapshot;
    uint64_t commit_after; // rows of later commits alone; 0: all
    bool has_start, has_end;
    int64_t start_ns, end_ns; // start <= t < end
};

struct k2_day_rows {
    int32_t day; // since 1970
    uint64_t rows;
};

// The days that have such rows, ascending. `*days` is freed with k2_free.
K2_MUST_CHECK enum k2_status k2_export_days(const struct k2_row_selection *selection,
                                            struct k2_day_rows **days, size_t *count,
                                            struct k2_error *error);

// The same of one day alone; `*count` is 0 or 1.
K2_MUST_CHECK enum k2_status k2_export_days_of(const struct k2_row_selection *selection,
                                               int32_t day, struct k2_day_rows **days,
                                               size_t *count, struct k2_error *error);

// The days of rows that those commits replaced or deleted, with as many as did so. `commit_after`
// of the selection is not 0.
K2_MUST_CHECK enum k2_status k2_export_corrected_days(const struct k2_row_selection *selection,
                                                      struct k2_day_rows **days, size_t *count,
                                                      struct k2_error *error);

// What was written. Zeroed is empty and may be deinited.
struct k2_file_list {
    struct k2_iceberg_file *items;
    size_t count, room;
    struct k2_arena arena;
    uint64_t rows, bytes;
};
void k2_file_list_deinit(struct k2_file_list *list);

struct k2_export_writer {
    struct k2_row_selection selection;
    struct k2_object_store *store;
    const char *table_location;
    const char *name; // of the files: `name`-00001.parquet
    const char *day_name;
    int32_t sort_order_id;
    struct k2_file_list *files;
    // Called now and then with the rows written so far; NULL: nobody wants to know.
    void (*progress)(void *context, uint64_t rows);
    void *context;
    // Asked now and then: true ends the export with K2_BUSY. NULL: never.
    bool (*stop)(void *context);
};

// All rows of these days.
K2_MUST_CHECK enum k2_status k2_export_write(const struct k2_export_writer *writer,
                                             const struct k2_day_rows *days, size_t day_count,
                                             struct k2_error *error);

// 2014-03-11; `day` of any int64 of nanoseconds.
enum { K2_DAY_TEXT_BYTES = 12 };
void k2_day_text(char text[K2_DAY_TEXT_BYTES], int32_t day);
int32_t k2_day_of(int64_t time_ns);
