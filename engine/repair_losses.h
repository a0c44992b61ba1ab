// What a repair has to say about lost rows: by table and instrument, each once.
#pragma once

#include "engine/repair.h"
#include "engine/salvage.h"
#include "engine/store.h"
#include "engine/text_arena.h"

struct k2_losses {
    struct k2_lost *items; // owned; texts in the arena, or constants
    size_t count, room;
    struct k2_text_arena texts;
};

// Zeroed is empty.
void k2_losses_deinit(struct k2_losses *losses);

// A group of which at most head and directory can be read.
K2_MUST_CHECK enum k2_status k2_losses_add_group(struct k2_losses *losses,
                                                 struct k2_salvage *salvage,
                                                 const struct k2_salvaged_group *group,
                                                 struct k2_error *error);

// A group of which only the index tells: any instrument between its least and its greatest that had
// rows by then may have been in it.
K2_MUST_CHECK enum k2_status k2_losses_add_indexed(struct k2_losses *losses,
                                                   struct k2_store_txn *txn,
                                                   const struct k2_group_place *place,
                                                   const struct k2_group_record *record,
                                                   struct k2_error *error);

// Commits from `first_snapshot` on of which nothing was found.
K2_MUST_CHECK enum k2_status k2_losses_add_missing(struct k2_losses *losses,
                                                   uint64_t first_snapshot, uint64_t count,
                                                   struct k2_error *error);

// Merges by table and instrument and calls options->lost for each; gives how many.
uint64_t k2_losses_tell(struct k2_losses *losses, const struct k2_repair_options *options);
