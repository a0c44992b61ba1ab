// Reads Parquet files of flat columns, K2's own and those of other writers: PLAIN and dictionary
// pages, version 1 and 2, zstd, gzip or none. To compare, not to be fast.
//
// Foreign bytes: K2_CORRUPT says what is wrong, K2_BAD_REQUEST what K2 does not read. Belongs to
// one thread.
#pragma once

#include "format/base/buffer.h"
#include "format/parquet/parquet_field.h"

struct k2_parquet_file; // opaque

enum { K2_PARQUET_TAIL_BYTES = 8 }; // footer length and magic

// The length of the footer, tail included, from the file's last 8 bytes.
K2_MUST_CHECK enum k2_status k2_parquet_footer_size(struct k2_slice tail, size_t *size_bytes,
                                                    struct k2_error *error);
// `footer` is the end of the file, of that length; nothing of it is borrowed.
K2_MUST_CHECK enum k2_status k2_parquet_file_open(struct k2_parquet_file **file,
                                                  struct k2_slice footer, struct k2_error *error);
void k2_parquet_file_close(struct k2_parquet_file *file);

struct k2_parquet_leaf {
    int32_t field_id; // -1: none
    enum k2_parquet_type type;
    int32_t length_bytes; // fixed bytes
    bool optional;
};
size_t k2_parquet_file_columns(const struct k2_parquet_file *file);
struct k2_parquet_leaf k2_parquet_file_column(const struct k2_parquet_file *file, size_t column);
size_t k2_parquet_file_groups(const struct k2_parquet_file *file);
size_t k2_parquet_file_rows(const struct k2_parquet_file *file, size_t group);

// Where the bytes of a column in a row group lie.
void k2_parquet_file_chunk(const struct k2_parquet_file *file, size_t group, size_t column,
                           uint64_t *offset, size_t *size_bytes);

// The values of one chunk. Zeroed is closable and may be used again and again.
struct k2_parquet_values {
    size_t row_count, row_room;
    uint8_t *valid;         // 1 = not null
    int64_t *numbers;       // BOOLEAN, INT32, INT64, DOUBLE (its bits); else 0
    struct k2_slice *texts; // BYTE_ARRAY and fixed bytes; else empty
    struct k2_buffer page, dictionary_page, bytes; // where the texts lie
    struct k2_slice *dictionary_texts;
    int64_t *dictionary_numbers;
    size_t dictionary_count, dictionary_room;
    uint32_t *indexes;
    size_t index_room;
};
void k2_parquet_values_deinit(struct k2_parquet_values *values);

// Decodes `bytes`, the chunk as k2_parquet_file_chunk says. Fixed bytes of a decimal stay bytes.
K2_MUST_CHECK enum k2_status k2_parquet_file_read(const struct k2_parquet_file *file, size_t group,
                                                  size_t column, struct k2_slice bytes,
                                                  struct k2_parquet_values *values,
                                                  struct k2_error *error);
