// Any bytes as one NDJSON line. Property: a line is an object for the reader of members exactly
// when the scanner takes all of it as one; and each member's value is one JSON value.
#include <stdlib.h>

#include "ingest/ndjson_reader.h"

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct k2_slice line = {data, size_bytes}, value;
    struct k2_json_scanner scanner = {data, data + size_bytes};
    bool object = k2_json_peek(&scanner) == K2_JSON_TYPE_OBJECT &&
                  k2_json_scan_value(&scanner, &value) &&
                  k2_json_peek(&scanner) == K2_JSON_TYPE_NONE && scanner.at == scanner.end;
    struct k2_ndjson_reader reader;
    struct k2_ndjson_member member;
    k2_ndjson_reader_init(&reader);
    if (k2_ndjson_reader_start(&reader, line, NULL) == K2_OK) {
        while (k2_ndjson_reader_next(&reader, &member)) {
            struct k2_json_scanner inner = {member.value.data,
                                            member.value.data + member.value.size_bytes};
            require(k2_json_scan_value(&inner, &value) && inner.at == inner.end);
            require(member.text.size_bytes <= member.value.size_bytes);
        }
        // Within an object one level more fits than in a value by itself.
        require(!object || !reader.failed);
        require(reader.failed || object || memchr(data, '[', size_bytes) != NULL ||
                memchr(data, '{', size_bytes) != NULL);
    }
    k2_ndjson_reader_deinit(&reader);
    return 0;
}
