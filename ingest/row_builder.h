// From the texts of one row to a row of a batch: conversion, limits, keys, numbering.
//
// start, set (each field), finish; everything is borrowed until finish. Belongs to one thread.
#pragma once

#include "format/segment/row_batch.h"
#include "ingest/row_source.h"

struct k2_row_builder; // opaque

// The options are borrowed.
K2_MUST_CHECK enum k2_status k2_row_builder_create(struct k2_row_builder **builder,
                                                   const struct k2_row_source_options *options,
                                                   struct k2_error *error);
void k2_row_builder_destroy(struct k2_row_builder *builder);

// Begins a file: `constants` (may be NULL) hold until the next one. The numbering is chosen with
// k2_row_builder_set_numbering, or before the first row by whether it has a sequence.
void k2_row_builder_start_file(struct k2_row_builder *builder,
                               const struct k2_map_constants *constants);
void k2_row_builder_set_numbering(struct k2_row_builder *builder, enum k2_numbering numbering);
enum k2_numbering k2_row_builder_numbering(const struct k2_row_builder *builder);

// True when rows of this file that say nothing about a column have a value for it.
bool k2_row_builder_has_constant(const struct k2_row_builder *builder, size_t column);

void k2_row_builder_start(struct k2_row_builder *builder);

// The text of a column. An empty text is null unless `present`; `json` says that it is a JSON value
// as it stands rather than text (NDJSON).
struct k2_cell {
    struct k2_slice text;
    bool present, json;
};
void k2_row_builder_set(struct k2_row_builder *builder, size_t column, struct k2_cell cell);

// What the row does: `put` or `delete`; empty: as the options say.
void k2_row_builder_set_op(struct k2_row_builder *builder, struct k2_slice text);

// A field of a map.
void k2_row_builder_set_mapped(struct k2_row_builder *builder, const struct k2_map_field *field,
                               struct k2_slice text);

// A row that is not taken: why.
struct k2_row_refusal {
    const char *reason; // static; NULL: the row was taken
    char detail[320];
};

// Adds the row to `batch`, which has room, or says why not. Fails only for lack of memory and the
// like.
K2_MUST_CHECK enum k2_status
k2_row_builder_finish(struct k2_row_builder *builder, struct k2_row_batch *batch, uint64_t line,
                      struct k2_slice raw, struct k2_row_refusal *refusal, struct k2_error *error);

// Names of an instrument of a batch; only without options.intern.
struct k2_instrument_name k2_row_builder_name(const struct k2_row_builder *builder,
                                              uint32_t instrument);
