#include "format/base/checksum.h"

#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h> // the same functions, as fast as the machine allows
#endif

#include "format/base/fault.h"

uint64_t k2_checksum(struct k2_slice bytes, uint64_t file_id, uint64_t offset)
{
    uint64_t seed = file_id * 0x9e3779b97f4a7c15u ^ offset * 0xc2b2ae3d27d4eb4fu ^ bytes.size_bytes;
    return XXH3_64bits_withSeed(bytes.data, bytes.size_bytes, seed);
}

bool k2_checksum_holds(struct k2_slice bytes, uint64_t file_id, uint64_t offset, uint64_t stored)
{
    return k2_checksum(bytes, file_id, offset) == stored && !k2_fault_due(K2_FAULT_CHECKSUM);
}

uint64_t k2_hash(struct k2_slice bytes)
{
    return XXH3_64bits(bytes.data, bytes.size_bytes);
}

struct k2_hash_stream *k2_hash_stream_create(void)
{
    XXH3_state_t *state = XXH3_createState();
    if (state != NULL) {
        (void)XXH3_64bits_reset(state);
    }
    return (struct k2_hash_stream *)state;
}

void k2_hash_stream_destroy(struct k2_hash_stream *stream)
{
    (void)XXH3_freeState((XXH3_state_t *)stream);
}

void k2_hash_stream_update(struct k2_hash_stream *stream, struct k2_slice bytes)
{
    (void)XXH3_64bits_update((XXH3_state_t *)stream, bytes.data, bytes.size_bytes);
}

uint64_t k2_hash_stream_digest(const struct k2_hash_stream *stream)
{
    return XXH3_64bits_digest((const XXH3_state_t *)stream);
}
