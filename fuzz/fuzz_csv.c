// Any bytes as CSV, in pieces of a size that the first byte says. Properties: the pieces make no
// difference; lines rise; raw bytes and fields lie within the input; what is taken back to its
// first line goes on with the second; it ends.
#include <stdlib.h>

#include "format/base/buffer.h"
#include "format/base/checksum.h"
#include "ingest/csv_reader.h"

struct bytes_input {
    struct k2_slice rest;
    size_t piece_bytes;
};

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static enum k2_status read_bytes(void *context, uint8_t *bytes, size_t room_bytes,
                                 size_t *size_bytes, struct k2_error *error)
{
    (void)error;
    struct bytes_input *input = context;
    size_t size = input->rest.size_bytes;
    size = size < input->piece_bytes ? size : input->piece_bytes;
    size = size < room_bytes ? size : room_bytes;
    if (size > 0) {
        memcpy(bytes, input->rest.data, size);
        input->rest.data += size;
        input->rest.size_bytes -= size;
    }
    *size_bytes = size;
    return K2_OK;
}

static uint64_t read_all(struct k2_slice text, size_t piece_bytes, bool retreat)
{
    struct bytes_input input = {text, piece_bytes};
    struct k2_csv_reader *reader = NULL;
    struct k2_csv_record record;
    uint64_t hash = 0, line = 0, records = 0;
    if (k2_csv_reader_create(&reader, read_bytes, &input, ',', NULL) != K2_OK) {
        return 0;
    }
    for (;;) {
        require(k2_csv_reader_next(reader, &record, NULL) == K2_OK);
        if (record.kind == K2_CSV_END) {
            break;
        }
        require(record.line > line && record.raw.size_bytes <= text.size_bytes);
        require(++records <= text.size_bytes);
        line = record.line;
        hash = hash * 31 + k2_hash(record.raw) + record.line;
        for (size_t i = 0; i < record.field_count && i < K2_CSV_FIELD_CEILING; i++) {
            require(record.fields[i].size_bytes <= record.raw.size_bytes);
            hash = hash * 31 + k2_hash(record.fields[i]);
        }
        if (retreat && record.kind == K2_CSV_RECORD && record.several_lines) {
            k2_csv_reader_retreat(reader, &record);
            require(memchr(record.raw.data, '\n', record.raw.size_bytes) == NULL);
        }
    }
    k2_csv_reader_destroy(reader);
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    if (size_bytes == 0) {
        return 0;
    }
    struct k2_slice text = {data + 1, size_bytes - 1};
    uint64_t whole = read_all(text, SIZE_MAX, false);
    require(whole == read_all(text, (size_t)data[0] % 32 + 1, false));
    (void)read_all(text, (size_t)data[0] % 32 + 1, true);
    return 0;
}
