// RFC 4180 records with the line on which each begins and its raw bytes.
//
// Also taken: LF without CR, a byte order mark, another separator, quotes inside unquoted fields.
// Empty lines are no records. A record that can not be read costs its first line only: reading
// goes on with the next line, so that a stray quote does not swallow what follows it.
// Memory is bounded by the largest record, 1 MiB. Belongs to one thread; borrows its input.
#pragma once

#include "ingest/input_window.h"

#include <stdbool.h>

enum { K2_RECORD_CEILING_BYTES = 1 << 20, K2_CSV_FIELD_CEILING = 4096 };

struct k2_csv_reader; // opaque

enum k2_csv_kind {
    K2_CSV_END = 0,
    K2_CSV_RECORD,
    K2_CSV_BAD, // `reason` says why; no fields
};

// Borrowed until the next call.
struct k2_csv_record {
    enum k2_csv_kind kind;
    uint64_t line;       // from 1
    struct k2_slice raw; // without the line end
    const struct k2_slice *fields;
    size_t field_count;
    const char *reason; // a short code: bad_quoting, too_long
    bool several_lines; // has line breaks within
};

K2_MUST_CHECK enum k2_status k2_csv_reader_create(struct k2_csv_reader **reader,
                                                  k2_input_read *read, void *context,
                                                  char separator, struct k2_error *error);
void k2_csv_reader_destroy(struct k2_csv_reader *reader);

// Begins at line 1 of another input behind the same `read`.
void k2_csv_reader_restart(struct k2_csv_reader *reader);

// Fails only when the input fails or memory is short.
K2_MUST_CHECK enum k2_status k2_csv_reader_next(struct k2_csv_reader *reader,
                                                struct k2_csv_record *record,
                                                struct k2_error *error);

// Cuts the last record back to its first line and goes on behind that: for a caller who finds that
// a record of several lines is not what it should be. `record` then has that line as raw bytes.
void k2_csv_reader_retreat(struct k2_csv_reader *reader, struct k2_csv_record *record);

// The first byte of the input that is neither blank nor byte order mark; 0 if there is none.
K2_MUST_CHECK enum k2_status k2_csv_reader_peek(struct k2_csv_reader *reader, uint8_t *first,
                                                struct k2_error *error);

// For a reader of lines: the next line that is not empty, without fields.
K2_MUST_CHECK enum k2_status k2_csv_reader_next_line(struct k2_csv_reader *reader,
                                                     struct k2_csv_record *record,
                                                     struct k2_error *error);
