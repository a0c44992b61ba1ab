// What a table must answer, kept as plain lists: every version of every row, every number that
// came.
//
// Naive on purpose: nothing of the engine is used but the names of its results.
#pragma once

#include "engine/commit.h"
#include "engine/policy.h"

enum {
    MODEL_SYMBOLS = 6,
    MODEL_CHANNELS = 3, // of two symbols each: channel = symbol % 3
    MODEL_DOMAINS = MODEL_SYMBOLS + MODEL_CHANNELS,
    MODEL_EPOCHS = 2,
    MODEL_NUMBERS = 200, // sequences are below it
    MODEL_BATCH_ROWS = 32,
};

extern const char *const model_symbols[MODEL_SYMBOLS]; // sorted by their bytes
extern const char *const model_channels[MODEL_CHANNELS];

struct model_content {
    int64_t price, quantity;
    int id; // below 0: null
};

struct model_row {
    int symbol;
    int64_t time_ns, epoch, sequence;
    bool deletes;
    struct model_content content;
};

struct model_version {
    uint64_t commit;
    bool deleted;
    struct model_content content;
};

struct model_key {
    int symbol;
    int64_t time_ns, epoch, sequence;
    struct model_version *versions; // owned, by commit
    size_t count, room;
};

struct model_arrival { // a row that was stored
    int symbol;
    int64_t time_ns, epoch, sequence;
    uint64_t commit;
    bool gone;       // dropped as too old since, which counters do not know,
    bool unknown[2]; // but for those that were made later: of instruments, of channels
};

enum model_source { MODEL_SPARSE, MODEL_ORDINAL, MODEL_BY_SYMBOL, MODEL_BY_CHANNEL };

struct table_model {
    enum k2_duplicate_rule rule;
    struct model_key *keys; // owned, in the total order
    size_t key_count, key_room;
    struct model_arrival *arrivals; // owned
    size_t arrival_count, arrival_room;
    uint64_t
        since[MODEL_DOMAINS]; // symbols, then channels: the snapshot that made them dense, or 0
    uint64_t first[MODEL_SYMBOLS]; // the snapshot that brought the first row, or 0
    uint64_t stored, duplicates, rejected;
    uint64_t versions; // rows that the segments hold
    uint64_t floor;    // snapshots before it have expired, but for tags
    bool has_cut;
    int64_t cut_ns;  // rows before it were dropped,
    uint64_t cut_at; // by this snapshot or earlier ones
    bool dropped;    // versions have expired: when the ledger is made again, it lacks them
    bool unsure;     // it was
};

void table_model_clear(struct table_model *model); // frees what it owns; zeroed is empty

// What commit `commit` does with these rows. `fates` by row. Changes the model.
void table_model_commit(struct table_model *model, const struct model_row *rows, size_t count,
                        enum model_source source, uint64_t commit, uint8_t *fates);

// Makes the counters of the rows dense from `commit` on, if the source counts: they stay so when
// nothing comes of the commit.
void table_model_follow(struct table_model *model, const struct model_row *rows, size_t count,
                        enum model_source source, uint64_t commit);
bool table_model_follows(const struct table_model *model, const struct model_row *rows,
                         size_t count, enum model_source source); // are they so already?

// The version of a key that a snapshot shows; NULL: none, or deleted.
const struct model_version *table_model_at(const struct model_key *key, uint64_t snapshot);
uint64_t table_model_visible(const struct table_model *model, uint64_t snapshot); // how many

// Takes out the keys before `cut_ns`; gives how many rows of them were visible.
uint64_t table_model_cut(struct table_model *model, int64_t cut_ns);

// The ledger is made again from what is left; is that all?
bool table_model_relearn(struct table_model *model);

// ---- gaps

struct model_gap {
    int64_t epoch, first, last, after_ns, before_ns;
};

int table_model_domain(int symbol, bool channel); // symbols, then channels
bool table_model_is_dense(const struct table_model *model, int domain, uint64_t snapshot);
// The open gaps of a domain as of a snapshot; at most MODEL_EPOCHS * MODEL_NUMBERS.
size_t table_model_gaps(const struct table_model *model, int domain, uint64_t snapshot,
                        struct model_gap *gaps);
