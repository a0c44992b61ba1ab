// Builds FlatBuffers, the coding of Arrow's metadata: from the back to the front, children before
// the tables that refer to them, one table open at a time.
//
// Writes only, without a schema: callers number the fields of their tables. What does not fit turns
// `failed` on; build everything, then check once with k2_flat_finish. Belongs to one thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/bytes.h"
#include "format/base/status.h"

enum { K2_FLAT_FIELDS = 8 }; // most fields of a table

// A finished string, vector or table: its distance from the end of the whole. 0: none.
typedef uint32_t k2_flat_ref;

struct k2_flat {
    uint8_t *data; // owned; used from the back
    size_t room_bytes, size_bytes;
    bool failed;
    size_t table_end;              // size_bytes when the open table began
    size_t fields[K2_FLAT_FIELDS]; // of the open table: size_bytes behind the field; 0: absent
    size_t field_count;
};

void k2_flat_deinit(struct k2_flat *flat); // also a zeroed one, which is an empty builder
void k2_flat_clear(struct k2_flat *flat);  // keeps the memory

k2_flat_ref k2_flat_string(struct k2_flat *flat, struct k2_slice text);
// Of tables or strings; `count` may be 0.
k2_flat_ref k2_flat_vector(struct k2_flat *flat, const k2_flat_ref *refs, size_t count);
// Of structs made of 64-bit numbers, `words` each.
k2_flat_ref k2_flat_structs(struct k2_flat *flat, const int64_t *numbers, size_t count,
                            size_t words);

// Fields of a table, each once, in any order. A field with its default value may be left out.
void k2_flat_table(struct k2_flat *flat);
void k2_flat_u8(struct k2_flat *flat, size_t field, uint8_t value);
void k2_flat_i16(struct k2_flat *flat, size_t field, int16_t value);
void k2_flat_i32(struct k2_flat *flat, size_t field, int32_t value);
void k2_flat_i64(struct k2_flat *flat, size_t field, int64_t value);
void k2_flat_child(struct k2_flat *flat, size_t field, k2_flat_ref child); // 0: leaves it out
k2_flat_ref k2_flat_table_end(struct k2_flat *flat);

// Ends with `root`. The bytes are the builder's until clear or deinit, and are to stand at a
// multiple of 8.
K2_MUST_CHECK enum k2_status k2_flat_finish(struct k2_flat *flat, k2_flat_ref root,
                                            struct k2_slice *bytes, struct k2_error *error);
