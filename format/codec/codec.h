// Block codecs: up to 1,024 int64 values in, bytes out, and back exactly.
//
// A codec is a row in a table (k2_codecs). Adding one means one file and one row. Pure and
// thread-safe. Encoders run on values already divided by the block's GCD.
#pragma once

#include "format/base/buffer.h"

// Ids are stored in segments and never reused.
enum k2_codec_id {
    K2_CODEC_CONST = 1,
    K2_CODEC_FOR = 2,
    K2_CODEC_DELTA = 3,
    K2_CODEC_DICT = 4,
    K2_CODEC_MASKD = 5,
    K2_CODEC_MASKV = 6,
    // reserved: 7 POSV
    K2_CODEC_BINS_FOR = 8,
    K2_CODEC_BINS_DELTA = 9,
    K2_CODEC_PFOR = 10,
    K2_CODEC_PDELTA = 11,
    K2_CODEC_LAST = K2_CODEC_PDELTA,
};

// What the blocks of a column so far say about its next one. Zeroed before the first one, but for
// `sorted_level`.
struct k2_block_history {
    bool
        sorted_level; // size counts: BINS is taken wherever it saves, else only where it saves much
    bool bins_pay, bins_are_deltas;
    uint32_t block_count; // that were looked at for BINS
    uint16_t hopeful;     // a bit for each codec that was not much worse than the best one when all
                          // were tried last
    uint32_t quick_count; // blocks that were looked at for the others
};

// Chooses the codec for `value_count` (1..1024) values that is within 2 % of the cheapest, appends
// the payload (may be empty) to `out` and fills the entry. The same input gives the same bytes on
// every machine.
struct k2_block_entry {
    uint8_t codec;      // enum k2_codec_id
    uint8_t width_bits; // 0..64
    uint64_t divisor;   // >= 1
    int64_t base;
    size_t spare_bytes; // decoding: so many may be read behind the payload, which saves a copy
    uint16_t first_row, end_row; // decoding: values before and from there on need not be right,
                                 // which saves time where few are wanted; 0 and 0: all are
};
void k2_block_encode(const int64_t *values, size_t value_count, struct k2_block_history *history,
                     struct k2_block_entry *entry, struct k2_buffer *out);

// The bytes of the payload that k2_block_encode would append.
size_t k2_block_size(const int64_t *values, size_t value_count, struct k2_block_history *history);

// Decodes exactly `value_count` values into `values`, which has room for 64 more; what
// stands behind `payload` changes nothing. K2_CORRUPT for bytes that no
// encoder wrote and that would lead outside; arithmetic wraps.
K2_MUST_CHECK enum k2_status k2_block_decode(const struct k2_block_entry *entry,
                                             struct k2_slice payload, int64_t *values,
                                             size_t value_count, struct k2_error *error);

// What the values add up to, from the packed bytes alone; false: the block has to be decoded. Exact
// for blocks that k2_block_encode wrote, some number for others.
struct k2_block_total {
    uint64_t count; // values
    int64_t base;   // the sum is count * base + divisor * packed
    uint64_t divisor;
    uint64_t packed;
};
bool k2_block_total(const struct k2_block_entry *entry, struct k2_slice payload, size_t value_count,
                    struct k2_block_total *total);

const char *k2_codec_name(uint8_t codec); // "DELTA"; NULL if unknown

// Instruction sets of the kernels behind both calls, best first; "scalar" is the reference.
// Selecting is for tests and benchmarks, before any other thread runs; false if the machine or the
// build has it not.
bool k2_codec_select(const char *instruction_set); // "scalar", "avx2", "avx512"
const char *k2_codec_selected(void);
