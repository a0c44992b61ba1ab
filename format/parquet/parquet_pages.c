// The part of parquet_reader.h that decodes pages.
#include "format/base/alloc.h"
#include "format/base/deflate.h"
#include "format/base/zstd.h"
#include "format/parquet/parquet_delta.h"
#include "format/parquet/parquet_reader.h"
#include "format/parquet/parquet_reader_private.h"
#include "format/parquet/thrift_reader.h"

enum {
    CODEC_NONE = 0,
    CODEC_GZIP = 2,
    CODEC_ZSTD = 6,
    ENCODING_PLAIN = 0,
    ENCODING_PLAIN_DICTIONARY = 2,
    ENCODING_RLE = 3,
    ENCODING_DELTA = 5, // DELTA_BINARY_PACKED
    ENCODING_RLE_DICTIONARY = 8,
    PAGE_DATA = 0,
    PAGE_DICTIONARY = 2,
    PAGE_DATA_V2 = 3,
    MOST_PAGE_BYTES = 1 << 28, // unpacked
};
static const size_t bytes_ceiling = (size_t)1 << 30;

static enum k2_status bad(struct k2_error *error, const char *what)
{
    return k2_fail(error, K2_CORRUPT, "parquet: %s", what);
}

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "parquet: no memory");
}

void k2_parquet_values_deinit(struct k2_parquet_values *values)
{
    k2_free(values->valid);
    k2_free(values->numbers);
    k2_free(values->texts);
    k2_free(values->dictionary_texts);
    k2_free(values->dictionary_numbers);
    k2_free(values->indexes);
    k2_buffer_deinit(&values->page);
    k2_buffer_deinit(&values->dictionary_page);
    k2_buffer_deinit(&values->bytes);
    *values = (struct k2_parquet_values){0};
}

static bool grow(void *list, size_t count, size_t item_bytes)
{
    void *grown = k2_realloc(*(void **)list, count + 1, item_bytes);
    if (grown != NULL) {
        *(void **)list = grown;
    }
    return grown != NULL;
}

static bool make_room(struct k2_parquet_values *values, size_t rows)
{
    if (rows > values->row_room || values->valid == NULL) {
        if (!grow(&values->valid, rows, sizeof *values->valid) ||
            !grow(&values->numbers, rows, sizeof *values->numbers) ||
            !grow(&values->texts, rows, sizeof *values->texts)) {
            return false;
        }
        values->row_room = rows;
    }
    if (rows > values->index_room || values->indexes == NULL) {
        if (!grow(&values->indexes, rows, sizeof *values->indexes)) {
            return false;
        }
        values->index_room = rows;
    }
    return true;
}

// ---- page headers ---------------------------------------------------------------------------

struct page_head {
    int64_t type, unpacked_bytes, packed_bytes, value_count, encoding;
    int64_t level_bytes; // version 2: of definition and repetition levels
    bool packed;
};

static void read_inner_head(struct k2_thrift_reader *thrift, int16_t kind, struct page_head *head)
{
    enum { DATA = 5, DATA_V2 = 8 };
    struct k2_thrift_field field = {0};
    while (k2_thrift_next(thrift, &field)) {
        bool is_encoding = field.id == (kind == DATA_V2 ? 4 : 2);
        if (field.id == 1) {
            head->value_count = k2_thrift_read_int(thrift, field.type);
        } else if (is_encoding) {
            head->encoding = k2_thrift_read_int(thrift, field.type);
        } else if (kind == DATA_V2 && (field.id == 5 || field.id == 6)) {
            int64_t size = k2_thrift_read_int(thrift, field.type);
            head->level_bytes = size < 0 || size > MOST_PAGE_BYTES ? -1 : head->level_bytes + size;
        } else if (kind == DATA_V2 && field.id == 7) {
            head->packed = k2_thrift_read_int(thrift, field.type) != 0;
        } else {
            k2_thrift_skip(thrift, field.type);
        }
    }
}

static enum k2_status read_head(struct k2_byte_reader *bytes, struct page_head *head,
                                struct k2_error *error)
{
    struct k2_thrift_reader thrift = {.bytes = *bytes};
    struct k2_thrift_field field = {0};
    *head = (struct page_head){.packed = true};
    while (k2_thrift_next(&thrift, &field)) {
        if (field.id >= 1 && field.id <= 3) {
            int64_t value = k2_thrift_read_int(&thrift, field.type);
            *(field.id == 1   ? &head->type
              : field.id == 2 ? &head->unpacked_bytes
                              : &head->packed_bytes) = value;
        } else if (field.id == 5 || field.id == 7 || field.id == 8) {
            read_inner_head(&thrift, field.id, head);
        } else {
            k2_thrift_skip(&thrift, field.type);
        }
    }
    *bytes = thrift.bytes;
    if (bytes->truncated || head->packed_bytes < 0 || head->unpacked_bytes < 0 ||
        head->unpacked_bytes > MOST_PAGE_BYTES || head->value_count < 0 || head->level_bytes < 0 ||
        head->level_bytes > head->packed_bytes ||
        (uint64_t)head->packed_bytes > bytes->rest.size_bytes) {
        return bad(error, "a page that can not be");
    }
    return K2_OK;
}

// ---- unpacking ------------------------------------------------------------------------------

// The levels of version 2 stand before what is packed, as they are.
static enum k2_status unpack(const struct page_head *head, int64_t codec, struct k2_slice packed,
                             struct k2_buffer *out, struct k2_error *error)
{
    size_t levels = (size_t)head->level_bytes, size = (size_t)head->unpacked_bytes;
    k2_buffer_deinit(out);
    k2_buffer_init(out, MOST_PAGE_BYTES);
    k2_put_bytes(out, packed.data, levels);
    packed.data += levels;
    packed.size_bytes -= levels;
    bool good = size >= levels;
    if (good && (codec == CODEC_NONE || !head->packed)) {
        k2_put_bytes(out, packed.data, packed.size_bytes);
    } else if (good && codec == CODEC_ZSTD) {
        uint8_t *room = size > levels ? k2_buffer_extend(out, size - levels) : NULL;
        good = size == levels || (room != NULL && k2_zstd_decompress(packed, room, size - levels));
    } else if (good && codec == CODEC_GZIP) {
        good = k2_inflate_gzip(out, packed);
    } else if (good) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "parquet: compression %lld is not read; zstd, gzip and none are",
                       (long long)codec);
    }
    enum k2_status status = k2_buffer_check(out, "parquet: a page", error);
    return status == K2_OK && (!good || out->size_bytes != size)
               ? bad(error, "a page can not be unpacked")
               : status;
}

// ---- runs -----------------------------------------------------------------------------------

// The hybrid of runs and bit-packed groups; false: cut off.
static bool read_runs(struct k2_byte_reader *bytes, unsigned width, uint32_t *values, size_t count)
{
    size_t done = 0;
    while (done < count && !bytes->truncated) {
        uint64_t head = k2_read_varint(bytes);
        uint64_t length = head >> 1;
        if ((head & 1) == 0) {
            uint64_t value = k2_read_fixed(bytes, (width + 7) / 8);
            length = length < count - done ? length : count - done;
            if (length == 0 || bytes->truncated) {
                return false;
            }
            for (uint64_t i = 0; i < length; i++) {
                values[done++] = (uint32_t)value;
            }
            continue;
        }
        if (length == 0 || length > bytes->rest.size_bytes / (width == 0 ? 1 : width) + 1) {
            return false;
        }
        struct k2_slice packed = k2_read_bytes(bytes, (size_t)length * width);
        for (uint64_t i = 0; i < length * 8 && done < count && !bytes->truncated; i++) {
            uint64_t bit = i * width, value = 0;
            for (unsigned j = 0; j < width; j++, bit++) {
                value |= (uint64_t)(packed.data[bit / 8] >> bit % 8 & 1) << j;
            }
            values[done++] = (uint32_t)value;
        }
    }
    return done == count && !bytes->truncated;
}

// ---- values ---------------------------------------------------------------------------------

struct plain_target {
    int64_t *numbers;
    struct k2_slice *texts;
};

static bool read_plain(const struct k2_parquet_leaf *leaf, struct k2_byte_reader *bytes,
                       struct plain_target target, size_t count)
{
    for (size_t i = 0; i < count && !bytes->truncated; i++) {
        target.numbers[i] = 0;
        target.texts[i] = (struct k2_slice){0};
        switch (leaf->type) {
        case K2_PARQUET_BOOLEAN:
            if (i % 8 == 0 && i / 8 >= bytes->rest.size_bytes) {
                return false;
            }
            target.numbers[i] = bytes->rest.data[i / 8] >> i % 8 & 1;
            break;
        case K2_PARQUET_INT32:
            target.numbers[i] = (int32_t)k2_read_u32(bytes);
            break;
        case K2_PARQUET_INT64:
        case K2_PARQUET_DOUBLE:
            target.numbers[i] = k2_read_i64(bytes);
            break;
        case K2_PARQUET_BYTE_ARRAY:
            target.texts[i] = k2_read_bytes(bytes, k2_read_u32(bytes));
            break;
        case K2_PARQUET_FIXED_BYTES:
            target.texts[i] = k2_read_bytes(bytes, (size_t)leaf->length_bytes);
            break;
        }
    }
    return !bytes->truncated;
}

// Texts of a page move to a place that lasts as long as the chunk.
static bool keep_texts(struct k2_parquet_values *values, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        if (values->texts[i].size_bytes > 0) {
            k2_put_bytes(&values->bytes, values->texts[i].data, values->texts[i].size_bytes);
        }
    }
    return !values->bytes.failed;
}

struct chunk_reader {
    const struct k2_parquet_leaf *leaf;
    struct k2_parquet_values *values;
    size_t row_count, done;
    int64_t codec;
};

static enum k2_status read_dictionary(struct chunk_reader *self, const struct page_head *head,
                                      struct k2_slice packed, struct k2_error *error)
{
    struct k2_parquet_values *values = self->values;
    size_t count = (size_t)head->value_count;
    enum k2_status status = unpack(head, self->codec, packed, &values->dictionary_page, error);
    if (status != K2_OK) {
        return status;
    }
    if (count > values->dictionary_page.size_bytes ||
        self->leaf->type == K2_PARQUET_BOOLEAN) { // every value takes a byte or more
        return bad(error, "a dictionary that can not be");
    }
    if (!grow(&values->dictionary_numbers, count, sizeof *values->dictionary_numbers) ||
        !grow(&values->dictionary_texts, count, sizeof *values->dictionary_texts)) {
        return no_memory(error);
    }
    struct k2_byte_reader bytes = {.rest = k2_buffer_slice(&values->dictionary_page)};
    struct plain_target target = {values->dictionary_numbers, values->dictionary_texts};
    values->dictionary_count = count;
    return read_plain(self->leaf, &bytes, target, count) ? K2_OK
                                                         : bad(error, "a dictionary is cut off");
}

static enum k2_status read_values(struct chunk_reader *self, const struct page_head *head,
                                  struct k2_byte_reader *bytes, size_t first, size_t count,
                                  struct k2_error *error)
{
    struct k2_parquet_values *values = self->values;
    struct plain_target target = {values->numbers + first, values->texts + first};
    bool good;
    if (head->encoding == ENCODING_PLAIN) {
        good = read_plain(self->leaf, bytes, target, count) && keep_texts(values, first, count);
    } else if (head->encoding == ENCODING_RLE_DICTIONARY ||
               head->encoding == ENCODING_PLAIN_DICTIONARY) {
        unsigned width = k2_read_u8(bytes);
        good = width <= 32 && read_runs(bytes, width, values->indexes, count);
        for (size_t i = 0; i < count && good; i++) {
            good = values->indexes[i] < values->dictionary_count;
            if (good) {
                target.numbers[i] = values->dictionary_numbers[values->indexes[i]];
                target.texts[i] = values->dictionary_texts[values->indexes[i]];
            }
        }
        good = good && keep_texts(values, first, count);
    } else if (head->encoding == ENCODING_DELTA && self->leaf->type == K2_PARQUET_INT64) {
        good = k2_parquet_delta_read(bytes, target.numbers, count);
        memset(target.texts, 0, count * sizeof *target.texts);
    } else if (head->encoding == ENCODING_RLE && self->leaf->type == K2_PARQUET_BOOLEAN) {
        (void)k2_read_u32(bytes);
        good = read_runs(bytes, 1, values->indexes, count);
        for (size_t i = 0; i < count && good; i++) {
            target.numbers[i] = values->indexes[i];
            target.texts[i] = (struct k2_slice){0};
        }
    } else {
        return k2_fail(error, K2_BAD_REQUEST, "parquet: encoding %lld is not read",
                       (long long)head->encoding);
    }
    enum k2_status status = k2_buffer_check(&values->bytes, "parquet: texts", error);
    return status == K2_OK && !good ? bad(error, "a page is cut off") : status;
}

// Values stand close together; nulls are put between them, from the end.
static void spread(struct k2_parquet_values *values, size_t first, size_t rows, size_t count)
{
    for (size_t row = rows, next = count; row > 0; row--) {
        size_t place = first + row - 1;
        if (values->valid[place]) {
            next--;
            values->numbers[place] = values->numbers[first + next];
            values->texts[place] = values->texts[first + next];
        } else {
            values->numbers[place] = 0;
            values->texts[place] = (struct k2_slice){0};
        }
    }
}

static enum k2_status read_page(struct chunk_reader *self, const struct page_head *head,
                                struct k2_slice packed, struct k2_error *error)
{
    struct k2_parquet_values *values = self->values;
    size_t first = self->done, rows = (size_t)head->value_count, count = rows;
    if (rows > self->row_count - first) {
        return bad(error, "more values than rows");
    }
    enum k2_status status = unpack(head, self->codec, packed, &values->page, error);
    if (status != K2_OK) {
        return status;
    }
    struct k2_byte_reader bytes = {.rest = k2_buffer_slice(&values->page)};
    memset(values->valid + first, 1, rows);
    if (self->leaf->optional) {
        bool v2 = head->type == PAGE_DATA_V2;
        size_t size = v2 ? (size_t)head->level_bytes : k2_read_u32(&bytes);
        struct k2_byte_reader levels = {.rest = k2_read_bytes(&bytes, size)};
        if (bytes.truncated || !read_runs(&levels, 1, values->indexes, rows)) {
            return bad(error, "definition levels are cut off");
        }
        count = 0;
        for (size_t i = 0; i < rows; i++) {
            values->valid[first + i] = values->indexes[i] == 1;
            count += values->indexes[i] == 1;
        }
    } else if (head->type == PAGE_DATA_V2) {
        (void)k2_read_bytes(&bytes, (size_t)head->level_bytes);
    }
    if (count > 0) {
        status = read_values(self, head, &bytes, first, count, error);
    }
    if (status == K2_OK) {
        spread(values, first, rows, count);
        self->done += rows;
    }
    return status;
}

// The texts were kept one behind the other in the order of the rows.
static void place_texts(struct k2_parquet_values *values)
{
    size_t offset = 0;
    for (size_t i = 0; i < values->row_count; i++) {
        if (values->valid[i] && values->texts[i].size_bytes > 0) {
            values->texts[i].data = values->bytes.data + offset;
            offset += values->texts[i].size_bytes;
        }
    }
}

enum k2_status k2_parquet_file_read(const struct k2_parquet_file *file, size_t group, size_t column,
                                    struct k2_slice bytes, struct k2_parquet_values *values,
                                    struct k2_error *error)
{
    struct k2_parquet_leaf leaf = k2_parquet_file_column(file, column);
    struct chunk_reader self = {.leaf = &leaf,
                                .values = values,
                                .row_count = k2_parquet_file_rows(file, group),
                                .codec = k2_parquet_file_codec(file, group, column)};
    struct k2_byte_reader reader = {.rest = bytes};
    enum k2_status status = K2_OK;
    bool known = leaf.type == K2_PARQUET_BOOLEAN || leaf.type == K2_PARQUET_INT32 ||
                 leaf.type == K2_PARQUET_INT64 || leaf.type == K2_PARQUET_DOUBLE ||
                 leaf.type == K2_PARQUET_BYTE_ARRAY || leaf.type == K2_PARQUET_FIXED_BYTES;
    if (!known) {
        return k2_fail(error, K2_BAD_REQUEST, "parquet: physical type %d is not read",
                       (int)leaf.type);
    }
    if (!make_room(values, self.row_count)) {
        return no_memory(error);
    }
    k2_buffer_deinit(&values->bytes);
    k2_buffer_init(&values->bytes, bytes_ceiling);
    values->row_count = self.row_count;
    values->dictionary_count = 0;
    while (status == K2_OK && self.done < self.row_count) {
        struct page_head head;
        status = read_head(&reader, &head, error);
        if (status != K2_OK) {
            break;
        }
        struct k2_slice packed = k2_read_bytes(&reader, (size_t)head.packed_bytes);
        if (head.type == PAGE_DICTIONARY) {
            status = read_dictionary(&self, &head, packed, error);
        } else if (head.type == PAGE_DATA || head.type == PAGE_DATA_V2) {
            status = head.value_count > 0 ? read_page(&self, &head, packed, error) : K2_OK;
        }
    }
    if (status == K2_OK) {
        place_texts(values);
    }
    return status;
}
