// What a codec is, for the files that implement one each and for codec.c that chooses.
#pragma once

#include "format/codec/bins.h"
#include "format/codec/bitpack.h"
#include "format/codec/codec.h"
#include "format/codec/patch.h"

enum { K2_DICT_VALUES = 256 }; // the most distinct values of a DICT block

enum k2_patch_kind { K2_PATCH_VALUES, K2_PATCH_DELTAS, K2_PATCH_RUNS, K2_PATCH_RUN_DELTAS };
enum { K2_PATCH_KINDS = K2_PATCH_RUN_DELTAS + 1 };

// A block under choice. Every value is min + divisor * quotient.
struct k2_block_plan {
    size_t count;
    int64_t min;
    uint64_t divisor;
    uint64_t max_quotient;
    int64_t delta_min; // of neighbouring quotients; 0 when there is one value
    uint64_t delta_range;
    bool root_tables; // BINS may have them
    size_t best_size; // payload bytes of the best codec so far
    // Room for whole rows of the packed layout; zero behind the last value.
    uint64_t quotients[K2_BITPACK_VALUES + K2_BITPACK_LANES];
    // Filled by DICT's size when it has one: the distinct quotients, ascending, and each value's
    // place among them.
    size_t distinct_count;
    uint64_t distinct[K2_DICT_VALUES];
    uint64_t codes[K2_BITPACK_VALUES + K2_BITPACK_LANES];
    // Filled by the sizes of the codecs that need them: differences of neighbouring quotients, the
    // quotients that are not the one before, and their differences.
    struct k2_patch patches[K2_PATCH_KINDS];
    struct k2_bins_plan bins[K2_PATCH_DELTAS + 1];
    bool has_deltas;
    size_t run_count; // 0: not looked for
    uint64_t deltas[K2_BITPACK_VALUES + K2_BITPACK_LANES];
    uint64_t runs[K2_BITPACK_VALUES + K2_BITPACK_LANES];
    uint64_t run_deltas[K2_BITPACK_VALUES + K2_BITPACK_LANES];
};

struct k2_codec {
    uint8_t id;
    const char *name;
    // Payload bytes, or SIZE_MAX when the codec can not hold the block or would not beat
    // plan->best_size.
    size_t (*size)(struct k2_block_plan *plan);
    // Appends that many bytes; fills width_bits and base (divisor is the plan's).
    void (*encode)(struct k2_block_plan *plan, struct k2_block_entry *entry, struct k2_buffer *out);
    enum k2_status (*decode)(const struct k2_block_entry *entry, struct k2_slice payload,
                             int64_t *values, size_t value_count, struct k2_error *error);
};

extern const struct k2_codec k2_codec_const;
extern const struct k2_codec k2_codec_for;
extern const struct k2_codec k2_codec_delta;
extern const struct k2_codec k2_codec_dict;
extern const struct k2_codec k2_codec_maskd;
extern const struct k2_codec k2_codec_maskv;
extern const struct k2_codec k2_codec_bins_for;
extern const struct k2_codec k2_codec_bins_delta;
extern const struct k2_codec k2_codec_pfor;
extern const struct k2_codec k2_codec_pdelta;

// Like k2_block_encode with the codec given; false, and nothing put, when it can not hold the
// block. For tests.
bool k2_block_encode_as(uint8_t codec, bool sorted_level, const int64_t *values, size_t value_count,
                        struct k2_block_entry *entry, struct k2_buffer *out);

// Fills plan->deltas of two quotients or more, once. The first difference is the second once more,
// so that it is nothing special.
void k2_plan_deltas(struct k2_block_plan *plan);

// Bytes of a varint.
static inline size_t k2_varint_size(uint64_t value)
{
    return value == 0 ? 1 : (k2_bitpack_width(value) + 6) / 7;
}

// K2_CORRUPT when `payload` has fewer than `needed_bytes` or the width is above 64.
K2_MUST_CHECK enum k2_status k2_codec_check_payload(const struct k2_codec *codec,
                                                    const struct k2_block_entry *entry,
                                                    struct k2_slice payload, size_t needed_bytes,
                                                    struct k2_error *error);
