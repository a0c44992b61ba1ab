// An Iceberg table that a store exports into, and whether it holds what the store holds.
#pragma once

#include "query/export/exporter.h"

// Exports `table` up to the newest snapshot into the warehouse below `folder`, with a handle of its
// own for catalog and files.
K2_MUST_CHECK enum k2_status exported_table_export(struct k2_engine *engine, const char *folder,
                                                   bool full, struct k2_export_result *result,
                                                   struct k2_error *error);

// Fails the test unless the table holds the rows of the store (their checksum, too), its files are
// there with the size that it says, none stands there twice, and their commit ranges follow each
// other up to the newest. Gives the data files; with `exact` no other file lies in the table's
// folder.
size_t exported_table_check(struct k2_engine *engine, const char *folder, bool exact,
                            const char *where);
