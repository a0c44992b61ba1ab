// The part of an input that a reader looks at: grows up to a ceiling while a record is not whole.
//
// Readers take bytes from `begin` on. Belongs to one thread; borrows its input.
#pragma once

#include "format/base/bytes.h"
#include "format/base/status.h"

// Like k2_input_file_read: 0 bytes at the end only.
typedef enum k2_status k2_input_read(void *context, uint8_t *bytes, size_t room_bytes,
                                     size_t *size_bytes, struct k2_error *error);

struct k2_input_window {
    k2_input_read *read;
    void *context;
    uint8_t *data; // owned
    size_t begin, end, room_bytes, ceiling_bytes;
    bool ended; // the input has nothing behind `end`
};

// `ceiling_bytes` is the largest record that can be seen whole.
void k2_input_window_init(struct k2_input_window *window, k2_input_read *read, void *context,
                          size_t ceiling_bytes);
void k2_input_window_deinit(struct k2_input_window *window);

// Forgets what is there, for the next member of the same input.
void k2_input_window_restart(struct k2_input_window *window);

// Reads more behind `end`. Moves the data: pointers into it are void. `*full` is true when nothing
// was read because the ceiling is reached.
K2_MUST_CHECK enum k2_status k2_input_window_more(struct k2_input_window *window, bool *full,
                                                  struct k2_error *error);
