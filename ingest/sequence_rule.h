// How a source numbers its rows, as users say it: numbering, epochs, domains.
//
//   sequence  sparse | dense | ordinal
//   epoch     constant | date:ZONE[:HH:MM] | field:COLUMN | detect
//   domain    instrument | COLUMN[,COLUMN...]
//
// Immutable after parsing, but for what assign does with the engine. Belongs to one thread.
#pragma once

#include "engine/engine.h"
#include "engine/source.h"
#include "format/segment/row_batch.h"

struct k2_sequence_rule; // opaque

// A text, and the name under which its user knows it (`--epoch`). NULL: not given.
struct k2_sequence_texts {
    const char *sequence, *sequence_name;
    const char *epoch, *epoch_name;
    const char *domain, *domain_name;
};

// K2_BAD_REQUEST begins with the name. *rule is NULL when nothing was given.
K2_MUST_CHECK enum k2_status k2_sequence_rule_parse(struct k2_sequence_rule **rule,
                                                    const struct k2_sequence_texts *texts,
                                                    const struct k2_schema *schema,
                                                    struct k2_error *error);
void k2_sequence_rule_destroy(struct k2_sequence_rule *rule); // NULL is fine

// The numbering that was asked for; false: none was.
bool k2_sequence_rule_numbering(const struct k2_sequence_rule *rule, enum k2_numbering *numbering);

// Sets the epochs of a batch's rows by the rule (NULL: leaves them), and says what
// k2_commit_add_from is to be told of a batch whose rows have been numbered so.
// K2_BAD_REQUEST: the rule wants numbers that the rows do not have, or the other way round.
K2_MUST_CHECK enum k2_status
k2_sequence_rule_apply(const struct k2_sequence_rule *rule, enum k2_numbering numbering,
                       struct k2_engine *engine, const struct k2_table *table,
                       struct k2_row_batch *batch, struct k2_source *source,
                       struct k2_error *error);
