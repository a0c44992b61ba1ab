// XXH3-64 over bytes and the place that they belong to.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/bytes.h"

// The place goes into the seed, so that intact bytes in the wrong file or at the wrong offset do
// not pass. `file_id` and `offset` are the segment id and the byte offset in it.
uint64_t k2_checksum(struct k2_slice bytes, uint64_t file_id, uint64_t offset);

// Are the bytes those that were written there?
bool k2_checksum_holds(struct k2_slice bytes, uint64_t file_id, uint64_t offset, uint64_t stored);

// Plain XXH3-64 with seed 0: hash tables, the checksum of an HTTP body.
uint64_t k2_hash(struct k2_slice bytes);

// XXH3-64 of a stream, equal to k2_hash of all its bytes. Owned by the caller.
struct k2_hash_stream;
struct k2_hash_stream *k2_hash_stream_create(void); // NULL when memory is short
void k2_hash_stream_destroy(struct k2_hash_stream *stream);
void k2_hash_stream_update(struct k2_hash_stream *stream, struct k2_slice bytes);
uint64_t k2_hash_stream_digest(const struct k2_hash_stream *stream);
