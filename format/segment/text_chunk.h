// A column of texts: a dictionary with codes, the texts one after the other with their lengths, or
// integers where all texts are the digits of one, behind a prefix that all have. SEGMENT.md has the
// bytes.
#pragma once

#include "format/segment/integer_chunk.h"

struct k2_text_source {
    const struct k2_row_batch *batch; // borrowed
    const uint32_t *order;            // borrowed
    size_t row_count;                 // 1..K2_GROUP_ROWS
    size_t column;                    // of the batch's schema
    bool has_nulls, sorted_level;
};

// Appends the chunk to `out` and says which encoding (enum k2_chunk_encoding) it has. `scratch` is
// cleared. Fails with K2_NO_MEMORY; `out` has to be checked as well.
K2_MUST_CHECK enum k2_status k2_text_chunk_encode(const struct k2_text_source *source,
                                                  struct k2_buffer *scratch, struct k2_buffer *out,
                                                  uint8_t *encoding, struct k2_error *error);

// An opened chunk; borrows the bytes, owns what it decompressed. Zeroed, it may be closed.
struct k2_text_chunk {
    uint8_t encoding;                 // enum k2_chunk_encoding
    struct k2_integer_chunk integers; // codes, lengths or the integers
    struct k2_slice *dictionary;
    size_t dictionary_count;
    struct k2_slice prefix; // of numbered texts; borrowed from the bytes
    uint8_t *room;          // decompressed dictionary, or the texts of the last decoded block
    size_t room_bytes;
    const uint8_t *table; // of blocks
    struct k2_slice texts;
};

bool k2_text_chunk_knows(uint8_t encoding);

// `encoding` must be known (assert).
K2_MUST_CHECK enum k2_status k2_text_chunk_open(struct k2_text_chunk *chunk, uint8_t encoding,
                                                struct k2_slice bytes, uint32_t row_count,
                                                struct k2_error *error);
void k2_text_chunk_close(struct k2_text_chunk *chunk);

// Fills store->texts from row `first` to `end` of the block (and store->values with the integers
// behind them); of other rows they may have anything. The texts point into the bytes or into the
// chunk and hold until the next decode or close.
K2_MUST_CHECK enum k2_status k2_text_chunk_decode(struct k2_text_chunk *chunk, uint32_t block,
                                                  size_t first, size_t end,
                                                  struct k2_vector_store *store,
                                                  const uint8_t **valid, struct k2_error *error);

// Bytes of the block's texts in the file, beside its codes or lengths.
uint32_t k2_text_chunk_block_bytes(const struct k2_text_chunk *chunk, uint32_t block);
