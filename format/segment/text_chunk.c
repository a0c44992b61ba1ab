#include "format/segment/text_chunk.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "format/base/alloc.h"
#include "format/base/checksum.h"
#include "format/base/zstd.h"
#include "format/codec/bitpack.h"
#include "format/segment/segment_layout.h"

enum {
    SAMPLE_ROWS = 1024,        // after which a dictionary must have begun to pay
    DIGITS_MAX = 18,           // of a text that is kept as an integer
    DIGITS_ROOM = 20,          // of any 64 bits, printed
    DICTIONARY_ROOM_LEAST = 8, // texts that may be read by the kernel that looks them up
};

static struct k2_slice text_of(const struct k2_text_source *source, size_t row, bool *valid)
{
    const struct k2_batch_column *column = &source->batch->columns[source->column];
    uint32_t place = source->order[row];
    *valid = column->valid[place] != 0;
    if (!*valid || column->texts[place].size_bytes == 0) {
        return (struct k2_slice){0};
    }
    return k2_row_batch_text(source->batch, column->texts[place]);
}

static enum k2_kind kind_of(const struct k2_text_source *source)
{
    return source->batch->schema->columns[source->column].kind;
}

// Encoding of a dictionary

// Distinct texts in order of appearance.
struct dictionary {
    uint32_t *slots; // code + 1, 0: free
    size_t slot_mask;
    struct k2_slice *texts;
    size_t count, text_bytes;
    uint32_t *codes; // of each row; null rows have no meaning
};

static void free_dictionary(struct dictionary *dictionary)
{
    k2_free(dictionary->slots);
    k2_free(dictionary->texts);
    k2_free(dictionary->codes);
}

static bool create_dictionary(struct dictionary *dictionary, size_t row_count)
{
    size_t slot_count = 64;
    while (slot_count < row_count * 2) {
        slot_count *= 2;
    }
    *dictionary = (struct dictionary){.slot_mask = slot_count - 1};
    dictionary->slots = k2_alloc_zero(slot_count, sizeof *dictionary->slots);
    dictionary->texts = k2_alloc(row_count * sizeof *dictionary->texts);
    dictionary->codes = k2_alloc(row_count * sizeof *dictionary->codes);
    return dictionary->slots != NULL && dictionary->texts != NULL && dictionary->codes != NULL;
}

static uint32_t code_of(struct dictionary *dictionary, struct k2_slice text)
{
    size_t slot = (size_t)k2_hash(text) & dictionary->slot_mask;
    for (;; slot = (slot + 1) & dictionary->slot_mask) {
        uint32_t code = dictionary->slots[slot];
        if (code == 0) {
            dictionary->texts[dictionary->count] = text;
            dictionary->text_bytes += text.size_bytes;
            dictionary->slots[slot] = (uint32_t)++dictionary->count;
            return (uint32_t)dictionary->count - 1;
        }
        if (k2_slice_equal(dictionary->texts[code - 1], text)) {
            return code - 1;
        }
    }
}

static bool same_place(struct k2_slice left, struct k2_slice right)
{
    return left.data == right.data && left.size_bytes == right.size_bytes;
}

// Are all rows of the batch wanted, and one text that they share?
static bool is_uniform(const struct k2_text_source *source)
{
    const struct k2_batch_column *column = &source->batch->columns[source->column];
    bool same = source->row_count == source->batch->row_count && !source->has_nulls;
    for (size_t i = 1; same && i < source->row_count; i++) { // they stand in any order
        same = column->texts[i].offset == column->texts[0].offset &&
               column->texts[i].size_bytes == column->texts[0].size_bytes;
    }
    return same;
}

// False as soon as too many texts are distinct for a dictionary to pay.
static bool fill_dictionary(struct dictionary *dictionary, const struct k2_text_source *source)
{
    if (is_uniform(source)) {
        bool valid;
        (void)code_of(dictionary, text_of(source, 0, &valid));
        memset(dictionary->codes, 0, source->row_count * sizeof *dictionary->codes);
        return dictionary->text_bytes + 10 <= K2_DICTIONARY_RAW_BYTES_MAX;
    }
    bool always = kind_of(source) == K2_KIND_SYMBOLIC;
    struct k2_slice last = {0};
    bool has_last = false;
    uint32_t code = 0;
    for (size_t row = 0; row < source->row_count; row++) {
        bool valid;
        struct k2_slice text = text_of(source, row, &valid);
        if (valid && (!has_last || !same_place(text, last))) {
            code = code_of(dictionary, text);
            last = text;
            has_last = true;
        }
        dictionary->codes[row] = code;
        bool sampled = row + 1 == SAMPLE_ROWS || row + 1 == source->row_count;
        if (!always && sampled && row > 0 && dictionary->count > (row + 1) / 2) {
            return false;
        }
    }
    return dictionary->text_bytes + dictionary->count * 10 <= K2_DICTIONARY_RAW_BYTES_MAX;
}

struct code_source {
    const struct dictionary *dictionary;
    const struct k2_text_source *source;
};

static void fill_codes(const void *context, size_t first_row, size_t row_count, int64_t *values,
                       uint8_t *valid)
{
    const struct code_source *self = context;
    for (size_t i = 0; i < row_count; i++) {
        values[i] = self->dictionary->codes[first_row + i];
    }
    for (size_t i = 0; valid != NULL && i < row_count; i++) {
        uint32_t place = self->source->order[first_row + i];
        valid[i] = self->source->batch->columns[self->source->column].valid[place];
    }
}

static void put_dictionary(const struct dictionary *dictionary, const struct k2_text_source *source,
                           struct k2_buffer *scratch, struct k2_buffer *out)
{
    k2_buffer_clear(scratch);
    for (size_t i = 0; i < dictionary->count; i++) {
        k2_put_varint(scratch, dictionary->texts[i].size_bytes);
    }
    for (size_t i = 0; i < dictionary->count; i++) {
        k2_put_bytes(scratch, dictionary->texts[i].data, dictionary->texts[i].size_bytes);
    }
    out->failed = out->failed || scratch->failed;
    size_t header = out->size_bytes;
    k2_put_u32(out, (uint32_t)dictionary->count);
    k2_put_u32(out, 0); // the stored size, below
    k2_put_u32(out, (uint32_t)scratch->size_bytes);
    size_t begin = out->size_bytes;
    if (!k2_zstd_append(out, k2_buffer_slice(scratch), false)) {
        k2_put_bytes(out, scratch->data, scratch->size_bytes);
    }
    k2_buffer_patch_u32(out, header + K2_DICTIONARY_AT_BYTES, (uint32_t)(out->size_bytes - begin));
    struct code_source context = {dictionary, source};
    struct k2_integer_source codes = {
        fill_codes, &context, source->row_count, source->has_nulls, source->sorted_level,
        NULL,       false};
    k2_integer_chunk_encode(&codes, 0, scratch, out, NULL);
}

// Encoding of texts with lengths

static void fill_lengths(const void *context, size_t first_row, size_t row_count, int64_t *values,
                         uint8_t *valid)
{
    const struct k2_text_source *source = context;
    const struct k2_batch_column *column = &source->batch->columns[source->column];
    for (size_t i = 0; i < row_count; i++) {
        uint32_t place = source->order[first_row + i];
        values[i] = column->texts[place].size_bytes;
        if (valid != NULL) {
            valid[i] = column->valid[place];
        }
    }
}

static void put_texts(const struct k2_text_source *source, struct k2_buffer *scratch,
                      struct k2_buffer *out)
{
    size_t block_count = (source->row_count + K2_BLOCK_ROWS - 1) / K2_BLOCK_ROWS;
    size_t header = out->size_bytes;
    size_t table = header + K2_TEXTS_HEADER_BYTES;
    k2_put_u32(out, 0); // bytes of the lengths, below
    k2_put_zeros(out, block_count * K2_TEXTS_ENTRY_BYTES);
    size_t lengths_begin = out->size_bytes;
    struct k2_integer_source lengths = {
        fill_lengths, source, source->row_count, source->has_nulls, source->sorted_level,
        NULL,         false};
    k2_integer_chunk_encode(&lengths, 0, scratch, out, NULL);
    size_t texts_begin = out->size_bytes;
    k2_buffer_patch_u32(out, header, (uint32_t)(texts_begin - lengths_begin));
    for (size_t block = 0; block < block_count; block++) {
        size_t entry = table + block * K2_TEXTS_ENTRY_BYTES;
        size_t end = (block + 1) * K2_BLOCK_ROWS;
        end = end < source->row_count ? end : source->row_count;
        k2_buffer_clear(scratch);
        for (size_t row = block * K2_BLOCK_ROWS; row < end; row++) {
            bool valid;
            struct k2_slice text = text_of(source, row, &valid);
            k2_put_bytes(scratch, text.data, text.size_bytes);
        }
        out->failed = out->failed || scratch->failed;
        k2_buffer_patch_u32(out, entry + K2_TEXTS_AT_OFFSET,
                            (uint32_t)(out->size_bytes - texts_begin));
        k2_buffer_patch_u32(out, entry + K2_TEXTS_AT_RAW_BYTES, (uint32_t)scratch->size_bytes);
        bool try = kind_of(source) != K2_KIND_UUID && // random bytes
                   scratch->size_bytes <= K2_TEXTS_RAW_BYTES_MAX;
        if (!try || !k2_zstd_append(out, k2_buffer_slice(scratch), false)) {
            k2_put_bytes(out, scratch->data, scratch->size_bytes);
        }
    }
}

// Encoding of integers

// True for what printing the integer gives back: no sign, no leading zero, no more than 18 digits.
static bool parse_digits(struct k2_slice text, int64_t *value)
{
    if (text.size_bytes == 0 || text.size_bytes > DIGITS_MAX ||
        (text.data[0] == '0' && text.size_bytes > 1)) {
        return false;
    }
    int64_t sum = 0;
    for (size_t i = 0; i < text.size_bytes; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';
        if (digit > 9) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

// Texts that are one prefix, maybe empty, and then the digits of an integer.
struct numbered_source {
    const struct k2_text_source *source;
    struct k2_slice prefix;
};

// What stands before the digits at the end.
static struct k2_slice prefix_of(struct k2_slice text)
{
    while (text.size_bytes > 0 && (unsigned)(text.data[text.size_bytes - 1] - '0') <= 9) {
        text.size_bytes--;
    }
    return text;
}

static bool parse_numbered(struct k2_slice prefix, struct k2_slice text, int64_t *value)
{
    size_t size = prefix.size_bytes;
    if (text.size_bytes <= size || (size > 0 && memcmp(text.data, prefix.data, size) != 0)) {
        return false;
    }
    return parse_digits((struct k2_slice){text.data + size, text.size_bytes - size}, value);
}

static bool all_numbered(const struct k2_text_source *source, struct k2_slice *prefix)
{
    bool has_prefix = false;
    *prefix = (struct k2_slice){0};
    for (size_t row = 0; row < source->row_count; row++) {
        bool valid;
        int64_t value;
        struct k2_slice text = text_of(source, row, &valid);
        if (valid && !has_prefix) {
            *prefix = prefix_of(text);
            has_prefix = true;
        }
        if (valid && !parse_numbered(*prefix, text, &value)) {
            return false;
        }
    }
    return prefix->size_bytes <= K2_PREFIX_BYTES_MAX;
}

static void fill_numbers(const void *context, size_t first_row, size_t row_count, int64_t *values,
                         uint8_t *validity)
{
    const struct numbered_source *self = context;
    for (size_t i = 0; i < row_count; i++) {
        bool valid;
        struct k2_slice text = text_of(self->source, first_row + i, &valid);
        values[i] = 0;
        (void)parse_numbered(self->prefix, text, &values[i]); // null rows have no meaning
        if (validity != NULL) {
            validity[i] = valid;
        }
    }
}

static void put_numbered(const struct k2_text_source *source, struct k2_slice prefix,
                         struct k2_buffer *scratch, struct k2_buffer *out, uint8_t *encoding)
{
    struct numbered_source context = {source, prefix};
    struct k2_integer_source numbers = {
        fill_numbers, &context, source->row_count, source->has_nulls, source->sorted_level,
        NULL,         false};
    *encoding = K2_ENCODING_DIGITS;
    if (prefix.size_bytes > 0) {
        *encoding = K2_ENCODING_NUMBERED;
        k2_put_u8(out, (uint8_t)prefix.size_bytes);
        k2_put_bytes(out, prefix.data, prefix.size_bytes);
    }
    k2_integer_chunk_encode(&numbers, 0, scratch, out, NULL);
}

enum k2_status k2_text_chunk_encode(const struct k2_text_source *source, struct k2_buffer *scratch,
                                    struct k2_buffer *out, uint8_t *encoding,
                                    struct k2_error *error)
{
    *encoding = K2_ENCODING_TEXTS;
    struct k2_slice prefix;
    if (kind_of(source) == K2_KIND_TEXT && all_numbered(source, &prefix)) {
        put_numbered(source, prefix, scratch, out, encoding);
        return K2_OK;
    }
    if (kind_of(source) != K2_KIND_UUID) {
        struct dictionary dictionary;
        if (!create_dictionary(&dictionary, source->row_count)) {
            free_dictionary(&dictionary);
            return k2_fail(error, K2_NO_MEMORY, "dictionary of %zu rows: out of memory",
                           source->row_count);
        }
        if (fill_dictionary(&dictionary, source)) {
            *encoding = K2_ENCODING_DICTIONARY;
            put_dictionary(&dictionary, source, scratch, out);
        }
        free_dictionary(&dictionary);
    }
    if (*encoding == K2_ENCODING_TEXTS) {
        put_texts(source, scratch, out);
    }
    return K2_OK;
}

// Reading

static uint32_t load_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return le32toh(value);
}

// Gives `raw_bytes` of text: where they lie, or decompressed into the chunk's room.
static enum k2_status give_texts(struct k2_text_chunk *chunk, struct k2_slice stored,
                                 size_t raw_bytes, size_t most_bytes, struct k2_slice *texts,
                                 struct k2_error *error)
{
    if (stored.size_bytes == raw_bytes) {
        *texts = stored;
        return K2_OK;
    }
    if (raw_bytes > most_bytes || stored.size_bytes > raw_bytes) {
        return k2_fail(error, K2_CORRUPT, "texts of %zu bytes in %zu, the most are %zu", raw_bytes,
                       stored.size_bytes, most_bytes);
    }
    if (raw_bytes > chunk->room_bytes) {
        uint8_t *room = k2_alloc(raw_bytes);
        if (room == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "texts of %zu bytes: out of memory", raw_bytes);
        }
        k2_free(chunk->room);
        chunk->room = room;
        chunk->room_bytes = raw_bytes;
    }
    if (!k2_zstd_decompress(stored, chunk->room, raw_bytes)) {
        return k2_fail(error, K2_CORRUPT, "texts do not decompress to %zu bytes", raw_bytes);
    }
    *texts = (struct k2_slice){chunk->room, raw_bytes};
    return K2_OK;
}

static enum k2_status split_dictionary(struct k2_text_chunk *chunk, struct k2_slice raw,
                                       struct k2_error *error)
{
    struct k2_byte_reader lengths = {.rest = raw};
    for (size_t i = 0; i < chunk->dictionary_count; i++) {
        chunk->dictionary[i].size_bytes = (size_t)k2_read_varint(&lengths);
    }
    struct k2_byte_reader texts = {.rest = lengths.rest};
    for (size_t i = 0; i < chunk->dictionary_count; i++) {
        chunk->dictionary[i] = k2_read_bytes(&texts, chunk->dictionary[i].size_bytes);
    }
    if (lengths.truncated || texts.truncated || texts.rest.size_bytes != 0) {
        return k2_fail(error, K2_CORRUPT, "dictionary: lengths do not add up to %zu bytes",
                       raw.size_bytes);
    }
    return K2_OK;
}

static enum k2_status open_dictionary(struct k2_text_chunk *chunk, struct k2_slice bytes,
                                      uint32_t row_count, struct k2_error *error)
{
    struct k2_byte_reader reader = {.rest = bytes};
    uint32_t count = k2_read_u32(&reader);
    uint32_t stored_bytes = k2_read_u32(&reader);
    uint32_t raw_bytes = k2_read_u32(&reader);
    struct k2_slice stored = k2_read_bytes(&reader, stored_bytes);
    if (reader.truncated || count > row_count) {
        return k2_fail(error, K2_CORRUPT, "dictionary of %u texts, %u bytes in a chunk of %zu",
                       (unsigned)count, (unsigned)stored_bytes, bytes.size_bytes);
    }
    chunk->dictionary_count = count;
    size_t room = count < DICTIONARY_ROOM_LEAST ? DICTIONARY_ROOM_LEAST : count;
    chunk->dictionary = k2_alloc_zero(room, sizeof *chunk->dictionary);
    if (chunk->dictionary == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "dictionary of %u texts: out of memory",
                       (unsigned)count);
    }
    struct k2_slice raw;
    enum k2_status status =
        give_texts(chunk, stored, raw_bytes, K2_DICTIONARY_RAW_BYTES_MAX, &raw, error);
    if (status == K2_OK) {
        status = split_dictionary(chunk, raw, error);
    }
    if (status == K2_OK) {
        status = k2_integer_chunk_open(&chunk->integers, reader.rest, row_count, error);
    }
    return status;
}

static enum k2_status open_texts(struct k2_text_chunk *chunk, struct k2_slice bytes,
                                 uint32_t row_count, struct k2_error *error)
{
    size_t block_count = (row_count + K2_BLOCK_ROWS - 1) / K2_BLOCK_ROWS;
    struct k2_byte_reader reader = {.rest = bytes};
    uint32_t lengths_bytes = k2_read_u32(&reader);
    chunk->table = k2_read_bytes(&reader, block_count * K2_TEXTS_ENTRY_BYTES).data;
    struct k2_slice lengths = k2_read_bytes(&reader, lengths_bytes);
    chunk->texts = reader.rest;
    if (reader.truncated) {
        return k2_fail(error, K2_CORRUPT, "texts: chunk of %zu bytes ends within its lengths",
                       bytes.size_bytes);
    }
    return k2_integer_chunk_open(&chunk->integers, lengths, row_count, error);
}

static enum k2_status open_digits(struct k2_text_chunk *chunk, struct k2_slice bytes,
                                  uint32_t row_count, struct k2_error *error)
{
    chunk->room_bytes = K2_BLOCK_ROWS * (chunk->prefix.size_bytes + DIGITS_ROOM);
    chunk->room = k2_alloc(chunk->room_bytes);
    if (chunk->room == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "texts of a block: out of memory");
    }
    return k2_integer_chunk_open(&chunk->integers, bytes, row_count, error);
}

static enum k2_status open_numbered(struct k2_text_chunk *chunk, struct k2_slice bytes,
                                    uint32_t row_count, struct k2_error *error)
{
    struct k2_byte_reader reader = {.rest = bytes};
    size_t size = k2_read_u8(&reader);
    chunk->prefix = k2_read_bytes(&reader, size);
    if (reader.truncated || size > K2_PREFIX_BYTES_MAX) {
        return k2_fail(error, K2_CORRUPT, "prefix of %zu bytes in a chunk of %zu", size,
                       bytes.size_bytes);
    }
    return open_digits(chunk, reader.rest, row_count, error);
}

static enum k2_status look_up(struct k2_text_chunk *chunk, uint32_t block, size_t first, size_t end,
                              struct k2_vector_store *store, const uint8_t *valid,
                              struct k2_error *error)
{
    (void)block;
    size_t aligned = first / 64 * 64;
    if (valid == NULL && k2_bitpack_selected()->look_up_texts(
                             chunk->dictionary, chunk->dictionary_count, store->values + aligned,
                             end - aligned, store->texts + aligned)) {
        return K2_OK;
    }
    for (size_t i = first; i < end; i++) {
        uint64_t code = (uint64_t)store->values[i];
        if (valid != NULL && valid[i] == 0) {
            store->texts[i] = (struct k2_slice){0};
        } else if (code < chunk->dictionary_count) {
            store->texts[i] = chunk->dictionary[code];
        } else {
            return k2_fail(error, K2_CORRUPT, "row %zu of a block has code %llu of %zu", i,
                           (unsigned long long)code, chunk->dictionary_count);
        }
    }
    return K2_OK;
}

static bool block_texts(const struct k2_text_chunk *chunk, uint32_t block, struct k2_slice *stored)
{
    const uint8_t *entry = chunk->table + (size_t)block * K2_TEXTS_ENTRY_BYTES;
    size_t begin = load_u32(entry + K2_TEXTS_AT_OFFSET);
    size_t end = chunk->texts.size_bytes;
    if (block + 1 < chunk->integers.block_count) {
        end = load_u32(entry + K2_TEXTS_ENTRY_BYTES + K2_TEXTS_AT_OFFSET);
    }
    if (begin > end || end > chunk->texts.size_bytes) {
        return false;
    }
    *stored = (struct k2_slice){chunk->texts.data + begin, end - begin};
    return true;
}

// All of them: where one lies follows from the lengths before, and all have to add up.
static enum k2_status cut_texts(struct k2_text_chunk *chunk, uint32_t block, size_t first,
                                size_t end, struct k2_vector_store *store, const uint8_t *valid,
                                struct k2_error *error)
{
    size_t row_count = k2_integer_chunk_block_rows(&chunk->integers, block);
    (void)first;
    (void)end;
    struct k2_slice stored;
    if (!block_texts(chunk, block, &stored)) {
        return k2_fail(error, K2_CORRUPT, "texts of block %u lead outside their chunk",
                       (unsigned)block);
    }
    size_t raw_bytes =
        load_u32(chunk->table + (size_t)block * K2_TEXTS_ENTRY_BYTES + K2_TEXTS_AT_RAW_BYTES);
    struct k2_byte_reader reader = {0};
    enum k2_status status =
        give_texts(chunk, stored, raw_bytes, K2_TEXTS_RAW_BYTES_MAX, &reader.rest, error);
    if (status != K2_OK) {
        return status;
    }
    for (size_t i = 0; i < row_count; i++) {
        bool null = valid != NULL && valid[i] == 0;
        size_t size_bytes = null ? 0 : (size_t)store->values[i];
        store->texts[i] = k2_read_bytes(&reader, size_bytes);
    }
    if (reader.truncated || reader.rest.size_bytes != 0) {
        return k2_fail(error, K2_CORRUPT, "lengths of block %u do not add up to %zu bytes",
                       (unsigned)block, raw_bytes);
    }
    return K2_OK;
}

// Prints `value` so that it ends before `end`; gives where it begins. Two digits a step.
static uint8_t *print_digits(uint64_t value, uint8_t *end)
{
    static const char pairs[] = "0001020304050607080910111213141516171819"
                                "2021222324252627282930313233343536373839"
                                "4041424344454647484950515253545556575859"
                                "6061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    uint8_t *begin = end;
    while (value >= 10) {
        begin -= 2;
        memcpy(begin, pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value > 0 || begin == end) {
        *--begin = (uint8_t)('0' + value);
    }
    return begin;
}

static enum k2_status print_texts(struct k2_text_chunk *chunk, uint32_t block, size_t first,
                                  size_t end, struct k2_vector_store *store, const uint8_t *valid,
                                  struct k2_error *error)
{
    (void)block;
    (void)error;
    size_t prefix_bytes = chunk->prefix.size_bytes;
    for (size_t i = first; i < end; i++) {
        uint8_t *behind = chunk->room + (i + 1) * (prefix_bytes + DIGITS_ROOM);
        if (valid != NULL && valid[i] == 0) {
            store->texts[i] = (struct k2_slice){0};
            continue;
        }
        uint8_t *begin = print_digits((uint64_t)store->values[i], behind);
        if (prefix_bytes > 0) {
            begin -= prefix_bytes;
            memcpy(begin, chunk->prefix.data, prefix_bytes);
        }
        store->texts[i] = (struct k2_slice){begin, (size_t)(behind - begin)};
    }
    return K2_OK;
}

// What an encoding of texts is to a reader.
struct form {
    uint8_t encoding;
    bool needs_all; // the integers of all rows to give the text of one
    enum k2_status (*open)(struct k2_text_chunk *chunk, struct k2_slice bytes, uint32_t row_count,
                           struct k2_error *error);
    // From the integers of a block, decoded into store->values, to the texts of some rows.
    enum k2_status (*decode)(struct k2_text_chunk *chunk, uint32_t block, size_t first, size_t end,
                             struct k2_vector_store *store, const uint8_t *valid,
                             struct k2_error *error);
};

static const struct form forms[] = {
    {K2_ENCODING_DICTIONARY, false, open_dictionary, look_up},
    {K2_ENCODING_TEXTS, true, open_texts, cut_texts},
    {K2_ENCODING_DIGITS, false, open_digits, print_texts},
    {K2_ENCODING_NUMBERED, false, open_numbered, print_texts},
};

static const struct form *find_form(uint8_t encoding)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (forms[i].encoding == encoding) {
            return &forms[i];
        }
    }
    return NULL;
}

bool k2_text_chunk_knows(uint8_t encoding)
{
    return find_form(encoding) != NULL;
}

enum k2_status k2_text_chunk_open(struct k2_text_chunk *chunk, uint8_t encoding,
                                  struct k2_slice bytes, uint32_t row_count, struct k2_error *error)
{
    const struct form *form = find_form(encoding);
    assert(form != NULL);
    *chunk = (struct k2_text_chunk){.encoding = encoding};
    enum k2_status status = form->open(chunk, bytes, row_count, error);
    if (status != K2_OK) {
        k2_text_chunk_close(chunk);
    }
    return status;
}

void k2_text_chunk_close(struct k2_text_chunk *chunk)
{
    k2_free(chunk->dictionary);
    k2_free(chunk->room);
    *chunk = (struct k2_text_chunk){0};
}

enum k2_status k2_text_chunk_decode(struct k2_text_chunk *chunk, uint32_t block, size_t first,
                                    size_t end, struct k2_vector_store *store,
                                    const uint8_t **valid, struct k2_error *error)
{
    const struct form *form = find_form(chunk->encoding);
    assert(form != NULL); // open has looked
    chunk->integers.first_row = form->needs_all ? 0 : (uint16_t)first;
    chunk->integers.end_row = form->needs_all ? 0 : (uint16_t)end;
    enum k2_status status =
        k2_integer_chunk_decode(&chunk->integers, block, store->values, store->valid, valid, error);
    return status == K2_OK ? form->decode(chunk, block, first, end, store, *valid, error) : status;
}

uint32_t k2_text_chunk_block_bytes(const struct k2_text_chunk *chunk, uint32_t block)
{
    struct k2_slice stored = {0};
    if (chunk->encoding == K2_ENCODING_TEXTS) {
        (void)block_texts(chunk, block, &stored);
    }
    return (uint32_t)stored.size_bytes;
}
