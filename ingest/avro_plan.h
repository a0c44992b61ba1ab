// Decodes Avro messages of one writer schema into rows of one table.
//
// Writer and table are resolved once, when the plan is made: fields by name or by the aliases of
// the table's own schema; a message is then one pass over its bytes, straight into a batch. A plan
// belongs to one thread.
#pragma once

#include "format/segment/row_batch.h"

struct k2_avro_plan; // opaque

// Gives the number of an instrument; K2_REJECTED when the names can not be.
typedef enum k2_status k2_intern_instrument(void *context, struct k2_slice exchange,
                                            struct k2_slice symbol, uint32_t *instrument,
                                            struct k2_error *error);

struct k2_avro_plan_options {
    const struct k2_slice *named; // schemas that the writer's refers to, each before its use
    size_t named_count;
    const char *exchange; // of rows whose writer knows none; NULL: such a writer is refused
    k2_intern_instrument *intern;
    void *intern_context;
};

// The table's schema is borrowed for the life of the plan. K2_BAD_REQUEST names the field that can
// not fit: a type without a place in its column, or a required column that nobody writes.
//
//   int, long              integers, decimals, timestamps by logicalType timestamp-..., float64
//   bytes, fixed           decimals by logicalType decimal, else texts; fixed(16) uuids
//   string                 texts, uuids, JSON, decimals written as text; enums give their symbol
//   array, map of string   JSON
//   union                  each branch for itself; null where the column takes null or a default
//
// Fields that the table does not have are skipped.
K2_MUST_CHECK enum k2_status k2_avro_plan_create(struct k2_avro_plan **plan,
                                                 const struct k2_schema *table,
                                                 struct k2_slice writer,
                                                 const struct k2_avro_plan_options *options,
                                                 struct k2_error *error);
void k2_avro_plan_destroy(struct k2_avro_plan *plan);

// Adds the row of one message (without framing) to `batch`, which has room. The row's sequence is
// the writer's own, else its source_sequence, else `offset`, which is also the row's position.
//
// K2_REJECTED: the message can not be a row; `*reason` is a short static word for it and the batch
// is as it was. Other failures (memory, a full batch text) are not the message's fault.
K2_MUST_CHECK enum k2_status k2_avro_plan_decode(struct k2_avro_plan *plan, struct k2_slice message,
                                                 uint64_t offset, struct k2_row_batch *batch,
                                                 const char **reason, struct k2_error *error);
