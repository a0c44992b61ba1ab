// A reader of Arrow IPC streams that trusts nothing: every offset and length is checked before it
// is followed. For tests and fuzzing; knows the types that K2 writes.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/bytes.h"

enum { ARROW_WALK_COLUMNS = 64 };

struct arrow_walk_field {
    struct k2_slice name;
    bool nullable;
    uint8_t type; // of Arrow's Schema.fbs
    bool dictionary;
    int32_t bits, scale; // of numbers
};

// One value of a batch.
struct arrow_walk_value {
    size_t row, column; // row of the stream
    const struct arrow_walk_field *field;
    bool null;
    struct k2_slice bytes; // a number's, the text, or one byte for a bit
};

struct arrow_walk {
    void (*take)(void *context, const struct arrow_walk_value *value); // NULL: not wanted
    void *context;
    // Told:
    struct arrow_walk_field fields[ARROW_WALK_COLUMNS];
    size_t field_count, metadata_count;
    size_t row_count, batch_count, dictionary_count, largest_batch;
    bool ended;        // the end of the stream stood there, and nothing behind it
    const char *wrong; // NULL: nothing
};

// False when the stream is not as it must be. `ended` false beside true: it was cut between
// messages.
bool arrow_walk(struct arrow_walk *walk, struct k2_slice stream);
