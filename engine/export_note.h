// What the store remembers of its exports: a text for each place, written before a commit there and
// after it, in the index and as a row of `_log`.
//
// Reading is thread-safe; putting belongs to the writer's thread.
#pragma once

#include "engine/engine.h"

struct k2_export_note {
    struct k2_slice key;  // at most K2_EXPORT_KEY_BYTES
    struct k2_slice text; // opaque
};

enum { K2_EXPORT_KEY_BYTES = 256 };

// Replaces the texts of these keys, durably, together.
K2_MUST_CHECK enum k2_status k2_export_note_put(struct k2_engine *engine,
                                                const struct k2_export_note *notes,
                                                size_t note_count, struct k2_error *error);

// Appends the text of `key` to `text`.
K2_MUST_CHECK enum k2_status k2_export_note_get(struct k2_engine *engine, struct k2_slice key,
                                                bool *found, struct k2_buffer *text,
                                                struct k2_error *error);
