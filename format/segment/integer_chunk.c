#include "format/segment/integer_chunk.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "format/codec/bitpack.h"
#include "format/segment/segment_layout.h"

__extension__ typedef unsigned __int128 uint128;

static uint64_t load_u64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return le64toh(value);
}

static uint32_t load_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return le32toh(value);
}

// Encoding

struct chunk_encoder {
    struct k2_buffer *payload;
    struct k2_block_history history;
    size_t block_count;
    struct block {
        uint32_t offset;
        uint8_t divisor; // place in the table, from 1; 0: none
        uint8_t validity;
        struct k2_block_entry entry;
        struct k2_column_stats stats;
    } blocks[K2_GROUP_BLOCKS];
    size_t divisor_count;
    uint64_t divisors[K2_GROUP_BLOCKS];
};

static void put_i128(struct k2_buffer *out, k2_int128 value)
{
    k2_put_u64(out, (uint64_t)value);
    k2_put_u64(out, (uint64_t)(value >> 64));
}

// Eight bytes of 0 or 1 to eight bits, lowest first.
static uint8_t gather_bits(uint64_t bytes)
{
    return (uint8_t)(bytes * 0x0102040810204080u >> 56);
}

static void put_bitmap(struct k2_buffer *out, const uint8_t *valid, size_t row_count)
{
    uint8_t *bitmap = k2_buffer_extend(out, (row_count + 7) / 8);
    if (bitmap == NULL) {
        return;
    }
    for (size_t i = 0; i < row_count / 8; i++) {
        bitmap[i] = gather_bits(load_u64(valid + i * 8));
    }
    if (row_count % 8 != 0) {
        uint8_t rest[8] = {0};
        memcpy(rest, valid + row_count / 8 * 8, row_count % 8);
        bitmap[row_count / 8] = gather_bits(load_u64(rest));
    }
}

// Null rows repeat the value before them, which costs least under every codec.
static void fill_nulls(int64_t *values, const uint8_t *valid, size_t row_count)
{
    size_t first = 0;
    while (first < row_count && valid[first] == 0) {
        first++;
    }
    int64_t last = first < row_count ? values[first] : 0;
    for (size_t i = 0; i < row_count; i++) {
        last = valid[i] != 0 ? values[i] : last;
        values[i] = last;
    }
}

static k2_int128 sum_of(const int64_t *values, const uint8_t *valid, size_t row_count,
                        const struct k2_column_stats *stats)
{
    int64_t small = INT64_C(1) << 52; // 1,024 of them stay below 2^63
    bool is_small = stats->min > -small && stats->max < small;
    int64_t small_sum = 0;
    k2_int128 sum = 0;
    if (is_small && valid != NULL) {
        for (size_t i = 0; i < row_count; i++) {
            small_sum += values[i] & -(int64_t)valid[i];
        }
    } else if (is_small) {
        for (size_t i = 0; i < row_count; i++) {
            small_sum += values[i];
        }
    } else {
        for (size_t i = 0; i < row_count; i++) {
            sum += valid == NULL || valid[i] != 0 ? values[i] : 0;
        }
    }
    sum += small_sum;
    return sum;
}

static void add_stats(struct k2_column_stats *total, const struct k2_column_stats *part)
{
    total->null_count += part->null_count;
    total->sum += part->sum;
    if (part->has_range) {
        total->min = !total->has_range || part->min < total->min ? part->min : total->min;
        total->max = !total->has_range || part->max > total->max ? part->max : total->max;
        total->has_range = true;
    }
}

static uint8_t place_divisor(struct chunk_encoder *encoder, uint64_t divisor)
{
    if (divisor == 1) {
        return 0;
    }
    size_t place = 0;
    while (place < encoder->divisor_count && encoder->divisors[place] != divisor) {
        place++;
    }
    if (place == encoder->divisor_count) {
        encoder->divisors[encoder->divisor_count++] = divisor;
    }
    return (uint8_t)(place + 1);
}

static void subtract(const struct k2_integer_source *source, size_t first_row, size_t row_count,
                     int64_t *values)
{
    int64_t subtracted[K2_BLOCK_ROWS];
    int64_t ordinal = 0;
    source->reference->fill(source->reference->context, first_row, row_count, subtracted, NULL);
    if (source->ordinals) {
        int64_t last = subtracted[0];
        subtracted[0] = 0;
        for (size_t i = 1; i < row_count; i++) {
            ordinal = subtracted[i] == last ? ordinal + 1 : 0;
            last = subtracted[i];
            subtracted[i] = ordinal;
        }
    }
    for (size_t i = 0; i < row_count; i++) {
        values[i] = (int64_t)((uint64_t)values[i] - (uint64_t)subtracted[i]);
    }
}

// Takes the block of rows from `first_row` on.
static void encode_block(struct chunk_encoder *encoder, struct block *block,
                         const struct k2_integer_source *source, size_t first_row, size_t row_count)
{
    int64_t values[K2_BLOCK_ROWS];
    uint8_t validity[K2_BLOCK_ROWS];
    uint8_t *valid = source->has_nulls ? validity : NULL;
    source->fill(source->context, first_row, row_count, values, valid);
    size_t null_count = 0;
    for (size_t i = 0; valid != NULL && i < row_count; i++) {
        null_count += valid[i] == 0;
    }
    *block = (struct block){.offset = (uint32_t)encoder->payload->size_bytes,
                            .entry = {.codec = K2_CODEC_CONST, .divisor = 1},
                            .stats = {.null_count = (uint32_t)null_count}};
    if (null_count == row_count) {
        block->validity = K2_ALL_NULL;
        return;
    }
    if (null_count > 0) {
        block->validity = K2_VALIDITY_BITMAP;
        put_bitmap(encoder->payload, valid, row_count);
        fill_nulls(values, valid, row_count);
    }
    struct k2_column_stats *stats = &block->stats;
    stats->has_range = true;
    k2_bitpack_selected()->range(values, row_count, &stats->min, &stats->max);
    stats->sum = sum_of(values, null_count > 0 ? valid : NULL, row_count, stats);
    if (source->reference != NULL) {
        subtract(source, first_row, row_count, values);
    }
    if (source->reference != NULL && null_count > 0) {
        fill_nulls(values, valid, row_count);
    }
    k2_block_encode(values, row_count, &encoder->history, &block->entry, encoder->payload);
    block->divisor = place_divisor(encoder, block->entry.divisor);
}

// True when all blocks, of which there are two or more, are of one value, and the same.
static bool is_uniform(const struct chunk_encoder *encoder)
{
    const struct block *first = &encoder->blocks[0];
    for (size_t i = 0; i < encoder->block_count; i++) {
        const struct block *block = &encoder->blocks[i];
        if (block->validity != K2_ALL_VALID || block->entry.codec != K2_CODEC_CONST ||
            block->entry.base != first->entry.base) {
            return false;
        }
    }
    return encoder->block_count > 1;
}

static void put_entries(const struct chunk_encoder *encoder, size_t entry_count,
                        struct k2_buffer *out)
{
    for (size_t i = 0; i < encoder->divisor_count; i++) {
        k2_put_u64(out, encoder->divisors[i]);
    }
    for (size_t i = 0; i < entry_count; i++) {
        const struct block *block = &encoder->blocks[i];
        k2_put_u32(out, block->offset);
        k2_put_u8(out, block->entry.codec);
        k2_put_u8(out, block->entry.width_bits);
        k2_put_u8(out, block->divisor);
        k2_put_u8(out, block->validity);
        k2_put_i64(out, block->entry.base);
    }
}

// An empty range, min above max, says that there is no value.
static void put_range(struct k2_buffer *out, const struct k2_column_stats *stats)
{
    k2_put_i64(out, stats->has_range ? stats->min : INT64_MAX);
    k2_put_i64(out, stats->has_range ? stats->max : INT64_MIN);
}

static void put_zones(const struct chunk_encoder *encoder, struct k2_buffer *out)
{
    for (size_t first = 0; first < encoder->block_count; first += K2_ZONE_BLOCKS) {
        struct k2_column_stats zone = {0};
        for (size_t i = first; i < encoder->block_count && i < first + K2_ZONE_BLOCKS; i++) {
            add_stats(&zone, &encoder->blocks[i].stats);
        }
        put_range(out, &zone);
        put_i128(out, zone.sum);
        k2_put_u32(out, zone.null_count);
    }
}

void k2_integer_chunk_encode(const struct k2_integer_source *source, unsigned flags,
                             struct k2_buffer *scratch, struct k2_buffer *out,
                             struct k2_column_stats *stats)
{
    assert(source->row_count >= 1 && source->row_count <= K2_GROUP_ROWS);
    struct chunk_encoder encoder;
    struct k2_column_stats total = {0};
    k2_buffer_clear(scratch);
    encoder.payload = scratch;
    encoder.history = (struct k2_block_history){.sorted_level = source->sorted_level};
    encoder.divisor_count = 0;
    encoder.block_count = 0;
    for (size_t first = 0; first < source->row_count; first += K2_BLOCK_ROWS) {
        size_t rest = source->row_count - first;
        size_t row_count = rest < K2_BLOCK_ROWS ? rest : K2_BLOCK_ROWS;
        struct block *block = &encoder.blocks[encoder.block_count++];
        encode_block(&encoder, block, source, first, row_count);
        add_stats(&total, &block->stats);
    }
    if (encoder.block_count == 1) {
        flags &= ~(unsigned)K2_CHUNK_HAS_BOUNDS; // the column entry has them
    }
    if (encoder.block_count <= K2_ZONE_BLOCKS) {
        flags &= ~(unsigned)K2_CHUNK_HAS_ZONES;
    }
    bool uniform = is_uniform(&encoder);
    if (uniform && source->reference == NULL) {
        flags = 0; // the entry says it all
    }
    k2_put_u8(out, (uint8_t)(flags | (uniform ? K2_CHUNK_IS_UNIFORM : 0)));
    k2_put_u8(out, (uint8_t)encoder.divisor_count);
    k2_put_u16(out, (uint16_t)encoder.block_count);
    put_entries(&encoder, uniform ? 1 : encoder.block_count, out);
    for (size_t i = 0; (flags & K2_CHUNK_HAS_BOUNDS) != 0 && i < encoder.block_count; i++) {
        put_range(out, &encoder.blocks[i].stats);
    }
    if ((flags & K2_CHUNK_HAS_ZONES) != 0) {
        put_zones(&encoder, out);
    }
    out->failed = out->failed || scratch->failed;
    k2_put_bytes(out, scratch->data, scratch->size_bytes);
    if (stats != NULL) {
        *stats = total;
    }
}

bool k2_integer_chunk_difference_pays(const struct k2_integer_source *source)
{
    int64_t values[K2_BLOCK_ROWS];
    uint8_t validity[K2_BLOCK_ROWS];
    uint8_t *valid = source->has_nulls ? validity : NULL;
    size_t first = (source->row_count - 1) / K2_BLOCK_ROWS / 2 * K2_BLOCK_ROWS;
    size_t rest = source->row_count - first;
    size_t row_count = rest < K2_BLOCK_ROWS ? rest : K2_BLOCK_ROWS;
    size_t sizes[2] = {0};
    source->fill(source->context, first, row_count, values, valid);
    for (size_t i = 0; i < 2; i++) {
        struct k2_block_history history = {.sorted_level = source->sorted_level};
        if (i == 1) {
            subtract(source, first, row_count, values);
        }
        if (valid != NULL) {
            fill_nulls(values, valid, row_count);
        }
        sizes[i] = k2_block_size(values, row_count, &history);
    }
    return sizes[1] + sizes[0] / 32 < sizes[0];
}

// Reading

enum k2_status k2_integer_chunk_open(struct k2_integer_chunk *chunk, struct k2_slice bytes,
                                     uint32_t row_count, struct k2_error *error)
{
    struct k2_byte_reader reader = {.rest = bytes};
    unsigned flags = k2_read_u8(&reader);
    uint32_t divisor_count = k2_read_u8(&reader);
    uint32_t block_count = k2_read_u16(&reader);
    bool uniform = (flags & K2_CHUNK_IS_UNIFORM) != 0;
    size_t entry_count = uniform ? 1 : block_count;
    size_t zone_count = (block_count + K2_ZONE_BLOCKS - 1) / K2_ZONE_BLOCKS;
    *chunk = (struct k2_integer_chunk){.row_count = row_count,
                                       .block_count = block_count,
                                       .divisor_count = divisor_count,
                                       .is_uniform = uniform};
    chunk->divisors = k2_read_bytes(&reader, divisor_count * sizeof(uint64_t)).data;
    chunk->entries = k2_read_bytes(&reader, entry_count * K2_BLOCK_ENTRY_BYTES).data;
    if ((flags & K2_CHUNK_HAS_BOUNDS) != 0) {
        chunk->bounds = k2_read_bytes(&reader, (size_t)block_count * K2_BOUNDS_BYTES).data;
    }
    if ((flags & K2_CHUNK_HAS_ZONES) != 0) {
        chunk->zones = k2_read_bytes(&reader, zone_count * K2_ZONE_BYTES).data;
    }
    chunk->payload = reader.rest;
    if (reader.truncated) {
        return k2_fail(error, K2_CORRUPT, "chunk of %zu bytes ends within its entries",
                       bytes.size_bytes);
    }
    if ((flags & ~(unsigned)(K2_CHUNK_HAS_BOUNDS | K2_CHUNK_HAS_ZONES | K2_CHUNK_IS_UNIFORM)) !=
        0) {
        return k2_fail(error, K2_CORRUPT, "chunk with unknown flags 0x%x", flags);
    }
    if (block_count != (row_count + K2_BLOCK_ROWS - 1) / K2_BLOCK_ROWS) {
        return k2_fail(error, K2_CORRUPT, "chunk of %u blocks for %u rows", (unsigned)block_count,
                       (unsigned)row_count);
    }
    return K2_OK;
}

uint32_t k2_integer_chunk_block_rows(const struct k2_integer_chunk *chunk, uint32_t block)
{
    assert(block < chunk->block_count);
    uint32_t rest = chunk->row_count - block * K2_BLOCK_ROWS;
    return rest < K2_BLOCK_ROWS ? rest : K2_BLOCK_ROWS;
}

static const uint8_t *entry_of(const struct k2_integer_chunk *chunk, uint32_t block)
{
    return chunk->entries + (chunk->is_uniform ? 0 : (size_t)block * K2_BLOCK_ENTRY_BYTES);
}

// The block's bytes: bitmap and payload. Read anew each time: a mapping may change underneath.
static bool block_bytes(const struct k2_integer_chunk *chunk, uint32_t block,
                        struct k2_slice *bytes)
{
    size_t begin = load_u32(entry_of(chunk, block) + K2_BLOCK_AT_OFFSET);
    size_t end = chunk->payload.size_bytes;
    if (block + 1 < chunk->block_count && !chunk->is_uniform) {
        end = load_u32(entry_of(chunk, block + 1) + K2_BLOCK_AT_OFFSET);
    }
    if (begin > end || end > chunk->payload.size_bytes) {
        return false;
    }
    *bytes = (struct k2_slice){chunk->payload.data + begin, end - begin};
    return true;
}

static bool read_entry(const struct k2_integer_chunk *chunk, uint32_t block,
                       struct k2_block_entry *entry)
{
    const uint8_t *bytes = entry_of(chunk, block);
    unsigned divisor = bytes[K2_BLOCK_AT_DIVISOR];
    if (divisor > chunk->divisor_count) {
        return false;
    }
    *entry = (struct k2_block_entry){
        .codec = bytes[K2_BLOCK_AT_CODEC],
        .width_bits = bytes[K2_BLOCK_AT_WIDTH],
        .divisor = divisor == 0 ? 1 : load_u64(chunk->divisors + (divisor - 1) * sizeof(uint64_t)),
        .base = (int64_t)load_u64(bytes + K2_BLOCK_AT_BASE),
    };
    return true;
}

// Eight bits to eight bytes of 0 or 1, lowest first.
static uint64_t spread_bits(uint8_t bits)
{
    uint64_t spread = (bits & 0x7fu) * 0x0002040810204081u & 0x0101010101010101u;
    return spread | (uint64_t)(bits >> 7) << 56;
}

static bool read_bitmap(struct k2_slice *bytes, uint32_t row_count, uint8_t *valid)
{
    size_t size = (row_count + 7) / 8;
    if (bytes->size_bytes < size) {
        return false;
    }
    size_t whole = row_count / 8;
    for (size_t i = 0; i < whole; i++) {
        uint64_t spread = htole64(spread_bits(bytes->data[i]));
        memcpy(valid + i * 8, &spread, sizeof spread);
    }
    for (size_t i = whole * 8; i < row_count; i++) {
        valid[i] = bytes->data[i / 8] >> i % 8 & 1;
    }
    bytes->data += size;
    bytes->size_bytes -= size;
    return true;
}

enum k2_status k2_integer_chunk_decode(const struct k2_integer_chunk *chunk, uint32_t block,
                                       int64_t *values, uint8_t *valid_room, const uint8_t **valid,
                                       struct k2_error *error)
{
    uint32_t row_count = k2_integer_chunk_block_rows(chunk, block);
    unsigned validity = entry_of(chunk, block)[K2_BLOCK_AT_VALIDITY];
    struct k2_block_entry entry;
    struct k2_slice bytes;
    *valid = NULL;
    if (validity == K2_ALL_NULL) {
        memset(values, 0, row_count * sizeof *values);
        memset(valid_room, 0, row_count);
        *valid = valid_room;
        return K2_OK;
    }
    if (!block_bytes(chunk, block, &bytes) || !read_entry(chunk, block, &entry)) {
        return k2_fail(error, K2_CORRUPT, "block %u leads outside its chunk", (unsigned)block);
    }
    if (validity == K2_VALIDITY_BITMAP) {
        if (!read_bitmap(&bytes, row_count, valid_room)) {
            return k2_fail(error, K2_CORRUPT, "block %u ends within its bitmap", (unsigned)block);
        }
        *valid = valid_room;
    } else if (validity != K2_ALL_VALID) {
        return k2_fail(error, K2_CORRUPT, "block %u has validity %u", (unsigned)block, validity);
    }
    const uint8_t *end = chunk->payload.data + chunk->payload.size_bytes;
    entry.spare_bytes = (size_t)(end - bytes.data) - bytes.size_bytes;
    entry.first_row = chunk->first_row;
    entry.end_row = chunk->end_row;
    enum k2_status status = k2_block_decode(&entry, bytes, values, row_count, error);
    if (status != K2_OK) {
        k2_error_annotate(error, "block %u", (unsigned)block);
    }
    return status;
}

bool k2_integer_chunk_sum(const struct k2_integer_chunk *chunk, uint32_t block, k2_int128 *sum)
{
    struct k2_block_entry entry;
    struct k2_block_total total;
    struct k2_slice bytes;
    if (chunk->is_difference || entry_of(chunk, block)[K2_BLOCK_AT_VALIDITY] != K2_ALL_VALID ||
        !block_bytes(chunk, block, &bytes) || !read_entry(chunk, block, &entry) ||
        !k2_block_total(&entry, bytes, k2_integer_chunk_block_rows(chunk, block), &total)) {
        return false;
    }
    // Unsigned, as damaged bytes may overflow even 128 bits.
    uint128 bases = (uint128)(k2_int128)total.base * total.count;
    *sum = (k2_int128)(bases + (uint128)total.divisor * total.packed);
    return true;
}

static bool read_range(const uint8_t *bytes, int64_t *min, int64_t *max)
{
    *min = (int64_t)load_u64(bytes);
    *max = (int64_t)load_u64(bytes + 8);
    return *min <= *max;
}

// CONST and FOR say what their values can be.
static bool entry_bounds(const struct k2_block_entry *entry, int64_t *min, int64_t *max)
{
    if (entry->codec == K2_CODEC_CONST) {
        *min = *max = entry->base;
        return true;
    }
    if (entry->codec != K2_CODEC_FOR || entry->width_bits >= 63) {
        return false;
    }
    uint64_t most = ((uint64_t)1 << entry->width_bits) - 1;
    uint64_t span;
    if (__builtin_mul_overflow(most, entry->divisor, &span) || span > INT64_MAX ||
        __builtin_add_overflow(entry->base, (int64_t)span, max)) {
        return false;
    }
    *min = entry->base;
    return true;
}

bool k2_integer_chunk_bounds(const struct k2_integer_chunk *chunk, uint32_t block, int64_t *min,
                             int64_t *max)
{
    struct k2_block_entry entry;
    if (block >= chunk->block_count ||
        entry_of(chunk, block)[K2_BLOCK_AT_VALIDITY] == K2_ALL_NULL) {
        return false;
    }
    if (chunk->bounds != NULL) {
        return read_range(chunk->bounds + (size_t)block * K2_BOUNDS_BYTES, min, max);
    }
    if (!chunk->is_difference && read_entry(chunk, block, &entry) &&
        entry_bounds(&entry, min, max)) {
        return true;
    }
    return chunk->zones != NULL &&
           read_range(chunk->zones + (size_t)(block / K2_ZONE_BLOCKS) * K2_ZONE_BYTES, min, max);
}

bool k2_integer_chunk_zone(const struct k2_integer_chunk *chunk, uint32_t zone,
                           struct k2_column_stats *stats)
{
    struct k2_block_entry entry;
    if (zone * K2_ZONE_BLOCKS >= chunk->block_count) {
        return false;
    }
    if (chunk->zones == NULL) {
        if (!chunk->is_uniform || chunk->is_difference || !read_entry(chunk, 0, &entry) ||
            entry.codec != K2_CODEC_CONST || entry_of(chunk, 0)[K2_BLOCK_AT_VALIDITY] != 0) {
            return false;
        }
        uint32_t first = zone * K2_ZONE_BLOCKS * K2_BLOCK_ROWS;
        uint32_t rows = chunk->row_count - first;
        rows = rows < K2_ZONE_BLOCKS * K2_BLOCK_ROWS ? rows : K2_ZONE_BLOCKS * K2_BLOCK_ROWS;
        *stats =
            (struct k2_column_stats){true, entry.base, entry.base, (k2_int128)entry.base * rows, 0};
        return true;
    }
    const uint8_t *bytes = chunk->zones + (size_t)zone * K2_ZONE_BYTES;
    *stats = (struct k2_column_stats){0};
    stats->has_range = read_range(bytes + K2_ZONE_AT_MIN, &stats->min, &stats->max);
    uint64_t low = load_u64(bytes + K2_ZONE_AT_SUM);
    int64_t high = (int64_t)load_u64(bytes + K2_ZONE_AT_SUM + 8);
    stats->sum = high * ((k2_int128)1 << 64) + low;
    stats->null_count = load_u32(bytes + K2_ZONE_AT_NULL_COUNT);
    return true;
}

void k2_integer_chunk_block_info(const struct k2_integer_chunk *chunk, uint32_t block,
                                 struct k2_block_info *info)
{
    struct k2_block_entry entry = {.divisor = 1};
    struct k2_slice bytes = {0};
    if (block_bytes(chunk, block, &bytes)) {
        info->size_bytes = (uint32_t)bytes.size_bytes;
    }
    (void)read_entry(chunk, block, &entry);
    const char *codec = k2_codec_name(entry.codec);
    info->codec = codec == NULL ? "unknown" : codec;
    info->width_bits = entry.width_bits;
    info->divisor = entry.divisor;
}
