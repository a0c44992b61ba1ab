// Any bytes as a map file and as a path. Property: what is taken can be asked everything; a date
// lies within the years that there are.
#include <stdlib.h>

#include "ingest/column_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct k2_schema *schema = NULL;
    struct k2_column_map *map = NULL;
    if (k2_schema_builtin(&schema, "trades", NULL) != K2_OK) {
        abort();
    }
    const uint8_t *zero = size_bytes == 0 ? NULL : memchr(data, 0, size_bytes);
    size_t text_bytes = zero == NULL ? size_bytes : (size_t)(zero - data);
    struct k2_slice text = {data, text_bytes};
    char path[256] = "";
    size_t path_bytes = zero == NULL ? 0 : size_bytes - text_bytes - 1;
    path_bytes = path_bytes < sizeof path - 1 ? path_bytes : sizeof path - 1;
    if (path_bytes > 0) {
        memcpy(path, zero + 1, path_bytes);
    }
    if (k2_column_map_parse(&map, "map", text, schema, NULL) == K2_OK) {
        static const bool given[K2_MAX_COLUMNS];
        struct k2_map_constants constants;
        size_t count, min, max;
        (void)k2_column_map_fields(map, &count);
        k2_column_map_field_range(map, &min, &max);
        if (min > max || count == 0 || k2_column_map_zone(map) == NULL) {
            abort();
        }
        if (k2_column_map_constants(map, path, given, &constants, NULL) == K2_OK) {
            if (constants.has_date &&
                (constants.date_days < -719162 || constants.date_days > 2932896)) {
                abort();
            }
            k2_map_constants_deinit(&constants);
        }
    }
    k2_column_map_destroy(map);
    k2_schema_destroy(schema);
    return 0;
}
