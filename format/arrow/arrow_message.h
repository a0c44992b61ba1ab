// The metadata of the messages of an Arrow stream (format version V5), as FlatBuffers.
//
// What these give stands in the builder until its next use, and is to be checked by k2_flat_finish,
// which they call.
#pragma once

#include "format/arrow/arrow_field.h"
#include "format/arrow/flatbuffer.h"

enum { K2_ARROW_ALIGNMENT = 64 }; // of buffers in a body, and of bodies in a stream

struct k2_arrow_pair {
    const char *name, *value;
};

// A dictionary's id is the index of its field.
K2_MUST_CHECK enum k2_status
k2_arrow_schema_message(struct k2_flat *flat, const struct k2_arrow_field *fields,
                        size_t field_count, const struct k2_arrow_pair *metadata,
                        size_t metadata_count, struct k2_slice *bytes, struct k2_error *error);

// The rows of a batch, or the entries of a dictionary: pairs (rows, nulls) and (offset, bytes).
struct k2_arrow_layout {
    int64_t row_count;
    const int64_t *nodes;
    size_t node_count;
    const int64_t *buffers;
    size_t buffer_count;
    int64_t body_bytes;
};

K2_MUST_CHECK enum k2_status k2_arrow_batch_message(struct k2_flat *flat,
                                                    const struct k2_arrow_layout *layout,
                                                    struct k2_slice *bytes, struct k2_error *error);
// Replaces all entries of the dictionary `id`.
K2_MUST_CHECK enum k2_status k2_arrow_dictionary_message(struct k2_flat *flat, int64_t id,
                                                         const struct k2_arrow_layout *layout,
                                                         struct k2_slice *bytes,
                                                         struct k2_error *error);
