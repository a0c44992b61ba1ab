#include "format/segment/row_group.h"

#include <assert.h>
#include <string.h>

#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "format/base/zstd.h"
#include "format/segment/integer_chunk.h"
#include "format/segment/segment_layout.h"
#include "format/segment/symbol_directory.h"
#include "format/segment/text_chunk.h"

enum {
    CHUNK_ALIGNMENT = 8,
    DIFFERENCE_ROWS = 64, // fewer rows are not worth another column
};
static const size_t GROUP_CEILING_BYTES = (size_t)2 << 30; // lengths and offsets are u32
static const size_t KEPT_BYTES = (size_t)4 << 20;

struct group_encoder {
    const struct k2_row_batch *batch;
    const uint32_t *order;
    const struct k2_row_key *keys; // in that order
    size_t row_count;
    const struct k2_row_group_info *info;
    bool sorted_level; // written by a rewrite: size counts more than speed
    bool has_ops, has_untils;
    struct k2_buffer *out;
    size_t start;              // of the group in `out`
    struct k2_buffer *entries; // column entries, then markers, inputs, table name
    struct k2_buffer *scratch;
    uint16_t column_count;
    uint32_t marker_bytes;
    uint32_t directory_entries, directory_bytes, directory_raw_bytes;
    uint64_t directory_checksum;
};

// Where one column's values come from.
struct column_source {
    const struct group_encoder *encoder;
    const struct k2_batch_column *column;
};

static void fill_values(const void *context, size_t first_row, size_t row_count, int64_t *values,
                        uint8_t *valid)
{
    const struct column_source *self = context;
    const uint32_t *order = self->encoder->order + first_row;
    for (size_t i = 0; i < row_count; i++) {
        values[i] = self->column->values[order[i]];
    }
    for (size_t i = 0; valid != NULL && i < row_count; i++) {
        valid[i] = self->column->valid[order[i]];
    }
}

static void fill_times(const void *context, size_t first_row, size_t row_count, int64_t *values,
                       uint8_t *valid)
{
    const struct column_source *self = context;
    (void)valid;
    for (size_t i = 0; i < row_count; i++) {
        values[i] = self->encoder->keys[first_row + i].time_ns;
    }
}

static void fill_epochs(const void *context, size_t first_row, size_t row_count, int64_t *values,
                        uint8_t *valid)
{
    const struct column_source *self = context;
    (void)valid;
    for (size_t i = 0; i < row_count; i++) {
        values[i] = self->encoder->keys[first_row + i].epoch;
    }
}

static void fill_sequences(const void *context, size_t first_row, size_t row_count, int64_t *values,
                           uint8_t *valid)
{
    const struct column_source *self = context;
    (void)valid;
    for (size_t i = 0; i < row_count; i++) {
        values[i] = self->encoder->keys[first_row + i].sequence;
    }
}

static void fill_commits(const void *context, size_t first_row, size_t row_count, int64_t *values,
                         uint8_t *valid)
{
    const struct column_source *self = context;
    (void)valid;
    for (size_t i = 0; i < row_count; i++) {
        values[i] = (int64_t)self->encoder->batch->commits[self->encoder->order[first_row + i]];
    }
}

static void fill_ops(const void *context, size_t first_row, size_t row_count, int64_t *values,
                     uint8_t *valid)
{
    const struct column_source *self = context;
    (void)valid;
    for (size_t i = 0; i < row_count; i++) {
        values[i] = self->encoder->batch->ops[self->encoder->order[first_row + i]];
    }
}

static void fill_untils(const void *context, size_t first_row, size_t row_count, int64_t *values,
                        uint8_t *valid)
{
    const struct column_source *self = context;
    (void)valid;
    for (size_t i = 0; i < row_count; i++) {
        values[i] = (int64_t)self->encoder->batch->untils[self->encoder->order[first_row + i]];
    }
}

static struct k2_slice group_bytes(const struct group_encoder *encoder, size_t begin)
{
    const struct k2_buffer *out = encoder->out;
    if (out->failed) {
        return (struct k2_slice){0};
    }
    return (struct k2_slice){out->data + begin, out->size_bytes - begin};
}

static uint64_t checksum_from(const struct group_encoder *encoder, size_t begin)
{
    return k2_checksum(group_bytes(encoder, begin), encoder->info->segment_id,
                       encoder->info->offset + begin - encoder->start);
}

// `reference` is the column that was subtracted, for differences, else 0.
static void put_column_entry(struct group_encoder *encoder, const struct k2_column *column,
                             uint8_t encoding, uint16_t reference, size_t begin,
                             const struct k2_column_stats *stats)
{
    struct k2_buffer *entries = encoder->entries;
    bool all_null = encoding == K2_ENCODING_ALL_NULL;
    bool has_range = stats->has_range && column->kind != K2_KIND_FLOAT64;
    k2_int128 sum = has_range ? stats->sum : 0;
    k2_put_u16(entries, column->id);
    k2_put_u8(entries, (uint8_t)column->kind);
    k2_put_u8(entries, column->scale);
    k2_put_u8(entries, encoding);
    k2_put_u8(entries, has_range ? K2_COLUMN_HAS_RANGE : 0);
    k2_put_u16(entries, reference);
    k2_put_u32(entries, all_null ? 0 : (uint32_t)(begin - encoder->start));
    k2_put_u32(entries, all_null ? 0 : (uint32_t)(encoder->out->size_bytes - begin));
    k2_put_u64(entries, all_null ? 0 : checksum_from(encoder, begin));
    k2_put_u32(entries, stats->null_count);
    k2_put_u32(entries, 0);
    k2_put_i64(entries, has_range ? stats->min : 0);
    k2_put_i64(entries, has_range ? stats->max : 0);
    k2_put_u64(entries, (uint64_t)sum);
    k2_put_u64(entries, (uint64_t)(sum >> 64));
    encoder->column_count++;
}

static size_t begin_chunk(struct group_encoder *encoder)
{
    size_t used = encoder->out->size_bytes - encoder->start;
    k2_put_zeros(encoder->out, (CHUNK_ALIGNMENT - used % CHUNK_ALIGNMENT) % CHUNK_ALIGNMENT);
    return encoder->out->size_bytes;
}

static void encode_integers(struct group_encoder *encoder, const struct k2_column *column,
                            const struct k2_integer_source *source, uint16_t reference,
                            unsigned flags)
{
    struct k2_column_stats stats;
    size_t begin = begin_chunk(encoder);
    k2_integer_chunk_encode(source, flags, encoder->scratch, encoder->out, &stats);
    uint8_t encoding = reference == 0     ? K2_ENCODING_INTEGERS
                       : source->ordinals ? K2_ENCODING_ORDINALS
                                          : K2_ENCODING_DIFFERENCES;
    put_column_entry(encoder, column, encoding, reference, begin, &stats);
}

static size_t count_nulls(const struct group_encoder *encoder, const struct k2_batch_column *column)
{
    size_t null_count = 0;
    for (size_t i = 0; column->null_count > 0 && i < encoder->row_count; i++) {
        null_count += column->valid[encoder->order[i]] == 0;
    }
    return null_count;
}

// The source of the column that values of column `index` are perhaps near: times of the event time,
// decimals, as an ask price, of the first decimal. False when there is none.
static bool find_reference(const struct group_encoder *encoder, size_t index,
                           struct column_source *context, struct k2_integer_source *source,
                           uint16_t *reference)
{
    const struct k2_schema *schema = encoder->batch->schema;
    const struct k2_column *column = &schema->columns[index];
    size_t found = K2_TIMESTAMP;
    *context = (struct column_source){encoder, NULL};
    *source = (struct k2_integer_source){
        fill_times, context, encoder->row_count, false, encoder->sorted_level, NULL, false};
    if (encoder->row_count < DIFFERENCE_ROWS) {
        return false;
    }
    if (column->kind == K2_KIND_DECIMAL64) {
        found = K2_KEY_COLUMN_COUNT;
        while (schema->columns[found].kind != K2_KIND_DECIMAL64) {
            found++;
        }
        context->column = &encoder->batch->columns[found];
        source->fill = fill_values;
        if (found == index || schema->columns[found].scale != column->scale ||
            count_nulls(encoder, context->column) > 0) {
            return false;
        }
    } else if (column->kind != K2_KIND_TIMESTAMP) {
        return false;
    }
    *reference = schema->columns[found].id;
    return true;
}

static void encode_values(struct group_encoder *encoder, size_t index, bool has_nulls,
                          unsigned flags)
{
    struct column_source context = {encoder, &encoder->batch->columns[index]};
    struct column_source reference_context;
    struct k2_integer_source reference;
    struct k2_integer_source source = {
        fill_values, &context, encoder->row_count, has_nulls, encoder->sorted_level,
        &reference,  false};
    uint16_t reference_id = 0;
    if (!find_reference(encoder, index, &reference_context, &reference, &reference_id) ||
        !k2_integer_chunk_difference_pays(&source)) {
        source.reference = NULL;
        reference_id = 0;
    }
    encode_integers(encoder, &encoder->batch->schema->columns[index], &source, reference_id, flags);
}

static enum k2_status encode_column(struct group_encoder *encoder, size_t index, unsigned flags,
                                    struct k2_error *error)
{
    const struct k2_column *column = &encoder->batch->schema->columns[index];
    struct column_source context = {encoder, &encoder->batch->columns[index]};
    size_t null_count = count_nulls(encoder, context.column);
    struct k2_column_stats stats = {.null_count = (uint32_t)null_count};
    if (null_count == encoder->row_count) {
        put_column_entry(encoder, column, K2_ENCODING_ALL_NULL, 0, 0, &stats);
        return K2_OK;
    }
    if (k2_kind_is_fixed(column->kind)) {
        encode_values(encoder, index, null_count > 0, flags);
        return K2_OK;
    }
    struct k2_text_source source = {encoder->batch, encoder->order, encoder->row_count,
                                    index,          null_count > 0, encoder->sorted_level};
    size_t begin = begin_chunk(encoder);
    uint8_t encoding;
    enum k2_status status =
        k2_text_chunk_encode(&source, encoder->scratch, encoder->out, &encoding, error);
    if (status == K2_OK) {
        put_column_entry(encoder, column, encoding, 0, begin, &stats);
    } else {
        k2_error_annotate(error, "column %s", column->name);
    }
    return status;
}

static void encode_hidden(struct group_encoder *encoder, uint16_t id,
                          void (*fill)(const void *, size_t, size_t, int64_t *, uint8_t *))
{
    struct k2_column hidden = {.id = id, .kind = K2_KIND_INT64};
    struct column_source context = {encoder, NULL};
    struct k2_integer_source source = {
        fill, &context, encoder->row_count, false, encoder->sorted_level, NULL, false};
    encode_integers(encoder, &hidden, &source, 0, K2_CHUNK_HAS_BOUNDS | K2_CHUNK_HAS_ZONES);
}

static void encode_keys(struct group_encoder *encoder)
{
    const struct k2_column *columns = encoder->batch->schema->columns;
    struct column_source context = {encoder, NULL};
    unsigned both = K2_CHUNK_HAS_BOUNDS | K2_CHUNK_HAS_ZONES;
    struct k2_integer_source times = {
        fill_times, &context, encoder->row_count, false, encoder->sorted_level, NULL, false};
    struct k2_integer_source epochs = times;
    struct k2_integer_source sequences = times;
    epochs.fill = fill_epochs;
    sequences.fill = fill_sequences;
    encode_integers(encoder, &columns[K2_TIMESTAMP], &times, 0, both);
    encode_integers(encoder, &columns[K2_EPOCH], &epochs, 0, K2_CHUNK_HAS_ZONES);
    // A sequence may be nothing but the place of the row among those of its time.
    sequences.reference = &times;
    sequences.ordinals = true;
    uint16_t reference_id = columns[K2_TIMESTAMP].id;
    if (encoder->row_count < DIFFERENCE_ROWS || !k2_integer_chunk_difference_pays(&sequences)) {
        sequences.reference = NULL;
        reference_id = 0;
    }
    encode_integers(encoder, &columns[K2_SEQUENCE], &sequences, reference_id, K2_CHUNK_HAS_ZONES);
    if (encoder->batch->commits != NULL) {
        encode_hidden(encoder, K2_COLUMN_ID_COMMIT, fill_commits);
    }
    if (encoder->has_untils) {
        encode_hidden(encoder, K2_COLUMN_ID_UNTIL, fill_untils);
    }
    if (encoder->has_ops) {
        encode_hidden(encoder, K2_COLUMN_ID_OP, fill_ops);
    }
}

// Prices are what ranges are asked for beside times: the first decimal column has bounds by block.
static enum k2_status encode_chunks(struct group_encoder *encoder, struct k2_error *error)
{
    const struct k2_schema *schema = encoder->batch->schema;
    bool bounded = false;
    encode_keys(encoder);
    for (size_t i = K2_KEY_COLUMN_COUNT; i < schema->column_count; i++) {
        unsigned flags = K2_CHUNK_HAS_ZONES;
        if (schema->columns[i].kind == K2_KIND_DECIMAL64 && !bounded) {
            flags |= K2_CHUNK_HAS_BOUNDS;
            bounded = true;
        }
        enum k2_status status = encode_column(encoder, i, flags, error);
        if (status != K2_OK) {
            return status;
        }
    }
    return K2_OK;
}

static enum k2_status encode_directory(struct group_encoder *encoder,
                                       k2_name_of_instrument *name_of, void *name_context,
                                       struct k2_error *error)
{
    struct k2_buffer *raw = encoder->scratch;
    k2_buffer_clear(raw);
    enum k2_status status =
        k2_symbol_directory_encode(encoder->keys, encoder->row_count, name_of, name_context, raw,
                                   &encoder->directory_entries, error);
    if (status == K2_OK) {
        status = k2_buffer_check(raw, "symbol directory", error);
    }
    if (status != K2_OK) {
        return status;
    }
    size_t begin = encoder->out->size_bytes;
    if (!k2_zstd_append(encoder->out, k2_buffer_slice(raw), !encoder->sorted_level)) {
        k2_put_bytes(encoder->out, raw->data, raw->size_bytes);
    }
    encoder->directory_raw_bytes = (uint32_t)raw->size_bytes;
    encoder->directory_bytes = (uint32_t)(encoder->out->size_bytes - begin);
    encoder->directory_checksum = checksum_from(encoder, begin);
    return K2_OK;
}

// Markers, inputs and table name; known before anything else, so that the head's length is too.
static void put_tail_of_head(struct k2_buffer *out, const struct k2_row_group_info *info,
                             uint32_t *marker_bytes)
{
    size_t begin = out->size_bytes;
    for (size_t i = 0; i < info->marker_count; i++) {
        k2_put_varint(out, info->markers[i].key.size_bytes);
        k2_put_bytes(out, info->markers[i].key.data, info->markers[i].key.size_bytes);
        k2_put_varint(out, info->markers[i].value.size_bytes);
        k2_put_bytes(out, info->markers[i].value.data, info->markers[i].value.size_bytes);
    }
    *marker_bytes = (uint32_t)(out->size_bytes - begin);
    for (size_t i = 0; i < info->input_count; i++) {
        k2_put_u64(out, info->inputs[i].segment_id);
        k2_put_u64(out, info->inputs[i].begin | info->inputs[i].earlier);
        k2_put_u64(out, info->inputs[i].end);
    }
    k2_put_bytes(out, info->table_name.data, info->table_name.size_bytes);
}

static void put_header(struct k2_buffer *head, const struct group_encoder *encoder,
                       size_t head_bytes, size_t length_bytes)
{
    const struct k2_row_group_info *info = encoder->info;
    k2_put_bytes(head, K2_GROUP_MAGIC, K2_MAGIC_BYTES);
    k2_put_u64(head, 0); // the checksum, when the head is whole
    k2_put_u32(head, (uint32_t)head_bytes);
    k2_put_u32(head, (uint32_t)length_bytes);
    k2_put_u32(head, (uint32_t)encoder->row_count);
    k2_put_u16(head, encoder->column_count);
    k2_put_u16(head, (uint16_t)info->table_name.size_bytes);
    k2_put_bytes(head, info->store_id, sizeof info->store_id);
    k2_put_u64(head, info->segment_id);
    k2_put_u64(head, info->offset);
    k2_put_u64(head, info->run);
    k2_put_u64(head, info->run_base);
    k2_put_u64(head, info->commit);
    k2_put_i64(head, info->commit_time_ns);
    k2_put_u32(head, info->part);
    k2_put_u32(head, info->part_count);
    k2_put_u32(head, info->schema_version);
    k2_put_u16(head, info->table_id);
    k2_put_u16(head, info->level);
    k2_put_u32(head, (uint32_t)info->marker_count);
    k2_put_u32(head, encoder->marker_bytes);
    k2_put_u32(head, (uint32_t)info->input_count);
    k2_put_u32(head, encoder->directory_entries);
    k2_put_u32(head, encoder->directory_bytes);
    k2_put_u32(head, encoder->directory_raw_bytes);
    k2_put_u64(head, encoder->directory_checksum);
}

// Writes the head into the room that was kept for it.
static enum k2_status finish_head(struct group_encoder *encoder, size_t head_bytes,
                                  struct k2_error *error)
{
    struct k2_buffer *head = encoder->scratch;
    k2_buffer_clear(head);
    put_header(head, encoder, head_bytes, encoder->out->size_bytes - encoder->start);
    k2_put_bytes(head, encoder->entries->data, encoder->entries->size_bytes);
    put_tail_of_head(head, encoder->info, &encoder->marker_bytes);
    enum k2_status status = k2_buffer_check(head, "head of a row group", error);
    if (status != K2_OK) {
        return status;
    }
    assert(head->size_bytes == head_bytes);
    uint8_t *place = encoder->out->data + encoder->start;
    memcpy(place, head->data, head_bytes);
    struct k2_slice checked = {place + K2_GROUP_AT_CHECKED, head_bytes - K2_GROUP_AT_CHECKED};
    k2_buffer_patch_u64(encoder->out, encoder->start + K2_GROUP_AT_CHECKSUM,
                        k2_checksum(checked, encoder->info->segment_id,
                                    encoder->info->offset + K2_GROUP_AT_CHECKED));
    return K2_OK;
}

static size_t chunk_count(const struct group_encoder *encoder)
{
    return encoder->batch->schema->column_count - K2_TIMESTAMP + (encoder->batch->commits != NULL) +
           encoder->has_untils + encoder->has_ops;
}

// Rows that nothing was ever replaced by, and that replace nothing, cost nothing.
static void find_versions(struct group_encoder *encoder)
{
    const struct k2_row_batch *batch = encoder->batch;
    for (size_t i = 0; batch->ops != NULL && i < encoder->row_count; i++) {
        encoder->has_ops |= batch->ops[encoder->order[i]] != K2_OP_PUT;
    }
    for (size_t i = 0; batch->untils != NULL && i < encoder->row_count; i++) {
        encoder->has_untils |= batch->untils[encoder->order[i]] != 0;
    }
}

// The keys are needed several times, so they are brought into their order once.
static enum k2_status sort_keys(struct k2_row_group_memory *memory,
                                const struct k2_row_batch *batch, const uint32_t *order,
                                size_t row_count, struct k2_error *error)
{
    if (row_count > memory->key_room) {
        k2_free(memory->keys);
        memory->keys = k2_alloc(row_count * sizeof *memory->keys);
        memory->key_room = memory->keys == NULL ? 0 : row_count;
    }
    if (memory->keys == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "row group of %zu rows: out of memory", row_count);
    }
    for (size_t i = 0; i < row_count; i++) {
        memory->keys[i] = batch->keys[order[i]];
    }
    return K2_OK;
}

static enum k2_status encode_group(struct group_encoder *encoder, k2_name_of_instrument *name_of,
                                   void *name_context, struct k2_error *error)
{
    struct k2_buffer *out = encoder->out;
    put_tail_of_head(encoder->scratch, encoder->info, &encoder->marker_bytes);
    enum k2_status status = k2_buffer_check(encoder->scratch, "progress of a row group", error);
    if (status != K2_OK) {
        return status;
    }
    size_t head_bytes = K2_GROUP_HEADER_BYTES + chunk_count(encoder) * K2_COLUMN_ENTRY_BYTES +
                        encoder->scratch->size_bytes;
    k2_put_zeros(out, head_bytes);
    status = encode_directory(encoder, name_of, name_context, error);
    if (status == K2_OK) {
        status = encode_chunks(encoder, error);
    }
    if (status != K2_OK) {
        return status;
    }
    size_t used = out->size_bytes - encoder->start;
    k2_put_zeros(out, (K2_SEGMENT_ALIGNMENT - used % K2_SEGMENT_ALIGNMENT) % K2_SEGMENT_ALIGNMENT);
    status = k2_buffer_check(out, "row group", error);
    if (status == K2_OK) {
        status = k2_buffer_check(encoder->entries, "row group", error);
    }
    if (status == K2_OK && out->size_bytes - encoder->start > GROUP_CEILING_BYTES) {
        status = k2_fail(error, K2_LIMIT, "row group of %zu bytes, the most are %zu",
                         out->size_bytes - encoder->start, GROUP_CEILING_BYTES);
    }
    return status == K2_OK ? finish_head(encoder, head_bytes, error) : status;
}

void k2_row_group_memory_deinit(struct k2_row_group_memory *memory)
{
    k2_buffer_deinit(&memory->bytes);
    k2_buffer_deinit(&memory->entries);
    k2_buffer_deinit(&memory->scratch);
    k2_free(memory->keys);
    *memory = (struct k2_row_group_memory){0};
}

void k2_row_group_memory_trim(struct k2_row_group_memory *memory)
{
    if (memory->bytes.room_bytes > KEPT_BYTES || memory->scratch.room_bytes > KEPT_BYTES) {
        k2_row_group_memory_deinit(memory);
    }
}

// Appends the group to `out`.
static enum k2_status encode(struct k2_row_group_memory *memory, const struct k2_row_batch *batch,
                             const uint32_t *order, size_t row_count,
                             const struct k2_row_group_info *info, k2_name_of_instrument *name_of,
                             void *name_context, struct k2_buffer *out, struct k2_error *error)
{
    assert(row_count >= 1 && row_count <= K2_GROUP_ROWS);
    assert(info->offset % K2_SEGMENT_ALIGNMENT == 0);
    assert(info->table_name.size_bytes <= UINT16_MAX);
    struct group_encoder encoder = {.batch = batch,
                                    .order = order,
                                    .row_count = row_count,
                                    .info = info,
                                    .sorted_level = k2_level_is_sorted(info->level),
                                    .out = out,
                                    .start = out->size_bytes,
                                    .entries = &memory->entries,
                                    .scratch = &memory->scratch};
    memory->entries.ceiling_bytes = memory->scratch.ceiling_bytes = GROUP_CEILING_BYTES;
    k2_buffer_clear(&memory->entries);
    k2_buffer_clear(&memory->scratch);
    find_versions(&encoder);
    enum k2_status status = sort_keys(memory, batch, order, row_count, error);
    if (status == K2_OK) {
        encoder.keys = memory->keys;
        status = encode_group(&encoder, name_of, name_context, error);
    }
    if (status != K2_OK) {
        out->size_bytes = encoder.start; // as if nothing had been put
        k2_error_annotate(error, "table %.*s", (int)info->table_name.size_bytes,
                          (const char *)info->table_name.data);
    }
    return status;
}

enum k2_status k2_row_group_write(struct k2_row_group_memory *memory,
                                  const struct k2_row_batch *batch, const uint32_t *order,
                                  size_t row_count, const struct k2_row_group_info *info,
                                  k2_name_of_instrument *name_of, void *name_context,
                                  struct k2_error *error)
{
    memory->bytes.ceiling_bytes = GROUP_CEILING_BYTES;
    k2_buffer_clear(&memory->bytes);
    return encode(memory, batch, order, row_count, info, name_of, name_context, &memory->bytes,
                  error);
}

enum k2_status k2_row_group_encode(const struct k2_row_batch *batch, const uint32_t *order,
                                   size_t row_count, const struct k2_row_group_info *info,
                                   k2_name_of_instrument *name_of, void *name_context,
                                   struct k2_buffer *out, struct k2_error *error)
{
    struct k2_row_group_memory memory = {0};
    enum k2_status status =
        encode(&memory, batch, order, row_count, info, name_of, name_context, out, error);
    k2_row_group_memory_deinit(&memory);
    return status;
}
