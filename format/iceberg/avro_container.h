// Avro's container files, as Iceberg's manifests use them: a header with the schema and further
// keys, then blocks of records, plain or deflated.
//
// Writing: fixed schemas, values put by the caller. Reading: foreign bytes; values by the schema in
// the header, found by field id. Belongs to one thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/buffer.h"

// ---- values ---------------------------------------------------------------------------------

void k2_avro_put_long(struct k2_buffer *out, int64_t value); // also int, enum, union branch
void k2_avro_put_bytes(struct k2_buffer *out, struct k2_slice bytes); // also string

// ---- writing --------------------------------------------------------------------------------

struct k2_avro_key {
    const char *name;
    struct k2_slice value;
};

// Appends a whole file: deflated blocks that hold `records`, `record_count` of them, one after the
// other. `sync` is any 16 bytes. Check `out`.
void k2_avro_container_put(struct k2_buffer *out, const char *schema,
                           const struct k2_avro_key *keys, size_t key_count, const uint8_t sync[16],
                           struct k2_slice records, size_t record_count);

// ---- reading --------------------------------------------------------------------------------

struct k2_avro_reader; // opaque

// Borrows `file` until close. K2_CORRUPT: no container, or a schema that is none; K2_BAD_REQUEST:
// a codec other than null and deflate.
K2_MUST_CHECK enum k2_status k2_avro_reader_open(struct k2_avro_reader **reader,
                                                 struct k2_slice file, struct k2_error *error);
void k2_avro_reader_close(struct k2_avro_reader *reader);

// A key of the header; an empty slice if it is not there. Borrowed from the file.
struct k2_slice k2_avro_reader_key(const struct k2_avro_reader *reader, const char *name);

// One scalar or null of a record, as it was found on the way down. `path` has the field ids from
// the record's own field on; an element of an array adds the array's `element-id` unless it is a
// record. Ids that the schema does not give are -1.
struct k2_avro_value {
    const int32_t *path;
    size_t path_count;
    bool is_null;
    bool is_bytes;         // bytes, string, fixed: `bytes`; else `number`
    int64_t number;        // booleans 0 or 1, doubles their bits
    struct k2_slice bytes; // borrowed until the next record
};

// A result other than K2_OK ends the reading with it.
struct k2_avro_visitor {
    void *context;
    enum k2_status (*value)(void *context, const struct k2_avro_value *value,
                            struct k2_error *error);
    // An array or a record that is an element of one begins, at `path`.
    enum k2_status (*array)(void *context, const int32_t *path, size_t path_count,
                            struct k2_error *error);
    enum k2_status (*element)(void *context, const int32_t *path, size_t path_count,
                              struct k2_error *error);
};

// The next record; `*done` instead, if there is none.
K2_MUST_CHECK enum k2_status k2_avro_reader_next(struct k2_avro_reader *reader, bool *done,
                                                 const struct k2_avro_visitor *visitor,
                                                 struct k2_error *error);
