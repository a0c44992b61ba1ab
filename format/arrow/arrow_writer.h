// Rows to an Arrow IPC stream, in bounded memory: rows go in until a batch is full, its bytes are
// taken out, and so on. ARROW.md says what stands in the stream.
//
// The stream depends on the rows and the options alone, not on how they are cut into calls. Belongs
// to one thread. After a failure only destroy is allowed; what came before lacks the end of a
// stream.
#pragma once

#include "format/arrow/arrow_field.h"
#include "format/arrow/arrow_message.h"
#include "format/base/buffer.h"
#include "format/segment/vector.h"

// Zero is the default of every field.
struct k2_arrow_options {
    struct k2_arrow_choice choice;
    const struct k2_arrow_pair *metadata; // of the schema; borrowed during create only
    size_t metadata_count;
};

struct k2_arrow_writer; // opaque

// Borrows the columns until destroy; vectors come in their order.
K2_MUST_CHECK enum k2_status k2_arrow_writer_create(struct k2_arrow_writer **writer,
                                                    const struct k2_column *const *columns,
                                                    size_t column_count,
                                                    const struct k2_arrow_options *options,
                                                    struct k2_error *error);
void k2_arrow_writer_destroy(struct k2_arrow_writer *writer);

// Takes rows [*row, row_count) of the vectors, at most K2_VECTOR_ROWS, until a batch is full, and
// moves `*row` behind the last one taken. Not while k2_arrow_writer_has_bytes (assert).
K2_MUST_CHECK enum k2_status k2_arrow_writer_put(struct k2_arrow_writer *writer,
                                                 const struct k2_vector *vectors, size_t *row,
                                                 size_t row_count, struct k2_error *error);

// Bytes of the stream wait to be taken.
bool k2_arrow_writer_has_bytes(const struct k2_arrow_writer *writer);

// Moves the next bytes to `out` until that holds `enough_bytes` or none is left. Check `out`.
void k2_arrow_writer_take(struct k2_arrow_writer *writer, size_t enough_bytes,
                          struct k2_buffer *out);

// Closes the last batch, and when its bytes are taken, the stream. `*done` once nothing follows but
// what k2_arrow_writer_take gives: call until then. Not while has_bytes (assert).
K2_MUST_CHECK enum k2_status k2_arrow_writer_finish(struct k2_arrow_writer *writer, bool *done,
                                                    struct k2_error *error);
