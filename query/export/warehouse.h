// A place of Iceberg tables: where the files lie and which catalog knows them. Belongs to one
// thread.
#pragma once

#include "format/schema/schema.h"
#include "query/export/table_commit.h"

struct k2_warehouse_options {
    const char *warehouse; // a folder, or `s3://bucket/folder` with the keys of the environment
    const char *catalog;   // URL of a REST catalog; NULL: a SQLite file in the folder
    bool create;           // else K2_NOT_FOUND where there is nothing
};

// Zeroed is closable.
struct k2_warehouse {
    struct k2_buffer location; // with a NUL
    struct k2_object_store store;
    struct k2_catalog catalog;
    bool local; // nobody else can finish what a dead process of this machine began
};

K2_MUST_CHECK enum k2_status k2_warehouse_open(struct k2_warehouse *warehouse,
                                               const struct k2_warehouse_options *options,
                                               struct k2_error *error);
void k2_warehouse_close(struct k2_warehouse *warehouse);

// What the catalog has of a table, if it has it. `place` borrows from the warehouse and `arena`;
// place->table is to be closed also when this fails.
K2_MUST_CHECK enum k2_status k2_warehouse_find(struct k2_warehouse *warehouse,
                                               const struct k2_schema *schema,
                                               struct k2_arena *arena, struct k2_table_place *place,
                                               bool *found, struct k2_error *error);
