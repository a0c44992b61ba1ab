// Encodes rows of a table as Avro messages in the table's own schema (schema->source).
//
// An encoder belongs to one thread.
#pragma once

#include "format/segment/row_batch.h"
#include "format/segment/row_group.h"

struct k2_avro_encoder; // opaque

// The schema is borrowed for the life of the encoder. K2_BAD_REQUEST names a field whose type K2
// can read into a column but not write.
K2_MUST_CHECK enum k2_status k2_avro_encoder_create(struct k2_avro_encoder **encoder,
                                                    const struct k2_schema *schema,
                                                    struct k2_error *error);
void k2_avro_encoder_destroy(struct k2_avro_encoder *encoder);

// Appends the message of one row (without framing) to `out`. `name` is the row's instrument.
// K2_REJECTED: the schema's type can not hold the value, such as nanoseconds in timestamp-micros;
// the field is named and `out` is as it was.
K2_MUST_CHECK enum k2_status k2_avro_encode(struct k2_avro_encoder *encoder,
                                            const struct k2_row_batch *batch, size_t row,
                                            struct k2_instrument_name name, struct k2_buffer *out,
                                            struct k2_error *error);
