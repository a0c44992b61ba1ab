// Brings the Iceberg table of a K2 table up to a snapshot, exactly once.
//
// The table itself says what it holds: its property `k2.exported.STORE` is the last snapshot that
// was exported, set in one commit with the rows. So an export that ended anywhere is begun again,
// and one that is done is not repeated. A store that is open for writing also remembers what it is
// about to commit, to clean up behind an export that was killed.
//
// Belongs to one thread.
#pragma once

#include "engine/scan.h"
#include "query/export/export_rows.h"
#include "query/export/table_commit.h"
#include "query/export/warehouse.h"

#define K2_EXPORT_PROPERTY "k2.exported."      // and the store's id in hex
#define K2_EXPORT_RETENTION "export.retention" // "follow": what retention drops goes from the table
#define K2_EXPORT_CUT "k2.cut." // and the store's id: what is older than these nanoseconds is gone
#define K2_EXPORT_RANGE "k2.range." // and the store's id: nanoseconds START,END, each may be empty

enum k2_export_retention {
    K2_RETENTION_UNCHANGED = 0, // as the table says; a new one keeps
    K2_RETENTION_KEEP,          // rows that retention drops stay in the table
    K2_RETENTION_FOLLOW,
};

struct k2_export_request {
    struct k2_engine *engine;
    struct k2_warehouse *warehouse;
    const struct k2_table *table;
    uint64_t snapshot; // up to which; 0: of an empty store
    uint64_t newest;   // of the store
    enum k2_export_retention retention;
    bool full;         // everything anew, in place of what is there
    bool only_look;    // change nothing, say whether there is something to do
    bool create_empty; // a table without rows is made, too
    bool writable;     // the engine may note what is done
    bool has_range;    // rows of this range alone, from the first export on
    bool has_start, has_end;
    int64_t start_ns, end_ns;
    void (*progress)(void *context, uint64_t rows); // NULL: nobody wants to know
    void *context;
    bool (*stop)(void *context); // NULL: never
};

struct k2_export_result {
    uint64_t rows_added, files_added, bytes_added;
    uint64_t snapshot;
    bool has_work; // with only_look
    bool there;    // there is such a table
    bool has_iceberg_snapshot;
    int64_t iceberg_snapshot_id;
    char *metadata; // location of the current metadata file, owned; NULL when it is not known
};

K2_MUST_CHECK enum k2_status k2_export_table(const struct k2_export_request *request,
                                             struct k2_export_result *result,
                                             struct k2_error *error);

// The hex text of a store's id, as it stands in names and properties.
enum { K2_STORE_TEXT_BYTES = 33 };
void k2_store_text(const struct k2_engine *engine, char text[K2_STORE_TEXT_BYTES]);

// The name of the partition field: of the timestamp's column, `_day` behind. In `arena`; NULL: no
// memory.
const char *k2_day_name(const struct k2_schema *schema, struct k2_arena *arena);

// Whether this store exported the file: its name says so, and the commit behind which its rows
// begin.
bool k2_export_is_ours(const char *store, const struct k2_iceberg_file *file, uint64_t *from);

// Are there rows that retention has dropped and the table still has? Those before `*cut_ns`, which
// is in `*day` since 1970.
K2_MUST_CHECK enum k2_status k2_export_kept(struct k2_engine *engine, const struct k2_table *table,
                                            const struct k2_iceberg_metadata *metadata, bool *kept,
                                            int32_t *day, int64_t *cut_ns, struct k2_error *error);

// What a table says of this store. `*exported` 0: nothing yet.
K2_MUST_CHECK enum k2_status k2_export_state(const struct k2_engine *engine,
                                             const struct k2_iceberg_metadata *metadata,
                                             uint64_t *exported, bool *has_range,
                                             struct k2_row_selection *range,
                                             struct k2_error *error);
