// Which field of a file is which column: by the header's or the keys' names, or by a map.
//
// Made anew for each file. Belongs to one thread; borrows schema, map and names of columns.
#pragma once

#include "ingest/row_builder.h"

struct k2_field_binding; // opaque

K2_MUST_CHECK enum k2_status k2_field_binding_create(struct k2_field_binding **binding,
                                                     const struct k2_row_source_options *options,
                                                     struct k2_error *error);
void k2_field_binding_destroy(struct k2_field_binding *binding);

// A file without field names: the map's numbers. K2_BAD_REQUEST without such a map.
K2_MUST_CHECK enum k2_status k2_field_binding_by_number(struct k2_field_binding *binding,
                                                        struct k2_error *error);

// A file whose first line has these names. K2_BAD_REQUEST names a field that is unknown, empty or
// there twice.
K2_MUST_CHECK enum k2_status k2_field_binding_by_header(struct k2_field_binding *binding,
                                                        const struct k2_slice *names, size_t count,
                                                        struct k2_error *error);

// K2_BAD_REQUEST names a required column that no field and no constant of the builder gives.
K2_MUST_CHECK enum k2_status k2_field_binding_check(const struct k2_field_binding *binding,
                                                    const struct k2_row_builder *builder,
                                                    struct k2_error *error);

bool k2_field_binding_has(const struct k2_field_binding *binding, size_t column);

// How many fields a record has.
void k2_field_binding_range(const struct k2_field_binding *binding, size_t *min, size_t *max);

// Gives the fields of a record to the builder.
void k2_field_binding_put(const struct k2_field_binding *binding, const struct k2_slice *fields,
                          size_t count, struct k2_row_builder *builder);
