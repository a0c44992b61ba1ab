// Answers of S3: whatever the bytes, each path ends with the name of its element and stays below
// its ceiling, and the walk is the same a second time.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/checksum.h"
#include "query/export/xml_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static enum k2_status visit(void *context, const char *path, struct k2_slice text,
                            struct k2_error *error)
{
    uint64_t *sum = context;
    size_t size = strlen(path);
    (void)error;
    if (size == 0 || size >= 1024 || path[0] == '/' || path[size - 1] == '/') {
        abort();
    }
    *sum = *sum * 31 + k2_hash(k2_slice_of(path)) + k2_hash(text);
    return K2_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    uint64_t first = 0, second = 0;
    struct k2_slice document = {data, size_bytes};
    enum k2_status status = k2_xml_walk(document, visit, &first, NULL);
    if (k2_xml_walk(document, visit, &second, NULL) != status || first != second) {
        abort();
    }
    return 0;
}
