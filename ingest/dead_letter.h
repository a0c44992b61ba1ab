// Rows and messages that could not be stored, on their way into the table `_deadletter`: they are
// committed with the rows around them, so that nothing is dropped in silence.
//
// Belongs to the writer's thread.
#pragma once

#include "engine/commit.h"
#include "format/segment/row_batch.h"

enum { K2_DEAD_LETTER_PAYLOAD_BYTES = 1 << 20 }; // longer ones are kept up to here, and say so

struct k2_dead_letter {
    const char *table;  // that the row was meant for
    const char *reason; // a short code, such as key_conflict
    const char *detail; // the same in words, or NULL
    const char *source; // file name, or TOPIC/PARTITION
    uint64_t position;  // line, or offset
    struct k2_slice payload;
};

struct k2_dead_letters; // opaque: at most K2_GROUP_ROWS waiting letters

K2_MUST_CHECK enum k2_status k2_dead_letters_create(struct k2_dead_letters **letters,
                                                    struct k2_engine *engine,
                                                    struct k2_error *error);
void k2_dead_letters_destroy(struct k2_dead_letters *letters);

// Everything is copied. K2_LIMIT: no room; commit what waits first.
K2_MUST_CHECK enum k2_status k2_dead_letters_add(struct k2_dead_letters *letters,
                                                 const struct k2_dead_letter *letter,
                                                 struct k2_error *error);

// How many wait, and how many more fit.
size_t k2_dead_letters_count(const struct k2_dead_letters *letters);
size_t k2_dead_letters_room(const struct k2_dead_letters *letters);

// Adds a letter for every conflict of a batch that k2_commit_add told about.
K2_MUST_CHECK enum k2_status k2_dead_letters_add_conflicts(struct k2_dead_letters *letters,
                                                           const struct k2_row_batch *batch,
                                                           const struct k2_commit_outcome *outcome,
                                                           const char *source,
                                                           struct k2_error *error);

// What waits now, to go back to when a commit failed after conflicts were added.
struct k2_dead_letters_mark {
    size_t count, text_bytes;
};
struct k2_dead_letters_mark k2_dead_letters_mark(const struct k2_dead_letters *letters);
void k2_dead_letters_return(struct k2_dead_letters *letters, struct k2_dead_letters_mark mark);

// Adds what waits to the commit. After it has finished well: k2_dead_letters_clear.
K2_MUST_CHECK enum k2_status k2_dead_letters_commit(struct k2_dead_letters *letters,
                                                    struct k2_commit *commit,
                                                    struct k2_error *error);
void k2_dead_letters_clear(struct k2_dead_letters *letters);
