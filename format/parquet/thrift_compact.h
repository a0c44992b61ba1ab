// Thrift's compact protocol, as far as Parquet metadata needs it: writing only.
//
// The caller puts the fields of a struct in the order of their ids. A writer is caller's storage
// on top of a buffer; check the buffer at the end. Belongs to one thread.
#pragma once

#include "format/base/buffer.h"

// Types of list elements, as they stand in bytes.
enum k2_thrift_type {
    K2_THRIFT_BOOL = 1,
    K2_THRIFT_I32 = 5,
    K2_THRIFT_I64 = 6,
    K2_THRIFT_BINARY = 8,
    K2_THRIFT_STRUCT = 12,
};

enum { K2_THRIFT_DEPTH = 8 };

struct k2_thrift_writer {
    struct k2_buffer *out;               // borrowed
    int16_t last_field[K2_THRIFT_DEPTH]; // of each struct that is open
    size_t depth;                        // structs that are open
};

// A struct by itself, or as an element of a list.
void k2_thrift_struct_begin(struct k2_thrift_writer *writer);
void k2_thrift_struct_end(struct k2_thrift_writer *writer);

// Fields of the open struct; a field that is a struct ends with k2_thrift_struct_end.
void k2_thrift_field_bool(struct k2_thrift_writer *writer, int16_t field, bool value);
void k2_thrift_field_i8(struct k2_thrift_writer *writer, int16_t field, int8_t value);
void k2_thrift_field_i16(struct k2_thrift_writer *writer, int16_t field, int16_t value);
void k2_thrift_field_i32(struct k2_thrift_writer *writer, int16_t field, int32_t value);
void k2_thrift_field_i64(struct k2_thrift_writer *writer, int16_t field, int64_t value);
void k2_thrift_field_binary(struct k2_thrift_writer *writer, int16_t field, struct k2_slice bytes);
void k2_thrift_field_struct(struct k2_thrift_writer *writer, int16_t field);
void k2_thrift_field_empty(struct k2_thrift_writer *writer, int16_t field); // a struct {}

// A list field; exactly `count` elements follow.
void k2_thrift_field_list(struct k2_thrift_writer *writer, int16_t field, enum k2_thrift_type type,
                          size_t count);
void k2_thrift_bool(struct k2_thrift_writer *writer, bool value);
void k2_thrift_i32(struct k2_thrift_writer *writer, int32_t value);
void k2_thrift_i64(struct k2_thrift_writer *writer, int64_t value);
void k2_thrift_binary(struct k2_thrift_writer *writer, struct k2_slice bytes);
