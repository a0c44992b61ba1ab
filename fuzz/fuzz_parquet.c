// Any bytes as a Parquet file. Property: what is read stays within the bytes given, every row of a
// chunk has a value or is null, and texts can be touched.
#include <stdlib.h>

#include "format/parquet/parquet_reader.h"

uint64_t fuzz_parquet_sum; // so that values have to be read

static void touch(const struct k2_parquet_values *values)
{
    for (size_t row = 0; row < values->row_count; row++) {
        if (values->valid[row] > 1) {
            abort();
        }
        fuzz_parquet_sum += (uint64_t)values->numbers[row];
        for (size_t i = 0; i < values->texts[row].size_bytes; i++) {
            fuzz_parquet_sum += values->texts[row].data[i];
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    size_t footer;
    struct k2_parquet_file *file;
    struct k2_parquet_values values = {0};
    if (size_bytes < K2_PARQUET_TAIL_BYTES ||
        k2_parquet_footer_size(
            (struct k2_slice){data + size_bytes - K2_PARQUET_TAIL_BYTES, K2_PARQUET_TAIL_BYTES},
            &footer, NULL) != K2_OK ||
        footer > size_bytes ||
        k2_parquet_file_open(&file, (struct k2_slice){data + size_bytes - footer, footer}, NULL) !=
            K2_OK) {
        return 0;
    }
    for (size_t group = 0; group < k2_parquet_file_groups(file) && group < 4; group++) {
        for (size_t column = 0; column < k2_parquet_file_columns(file); column++) {
            uint64_t offset;
            size_t size;
            k2_parquet_file_chunk(file, group, column, &offset, &size);
            if (offset > size_bytes || size > size_bytes - offset ||
                k2_parquet_file_rows(file, group) > 100000) {
                continue;
            }
            if (k2_parquet_file_read(file, group, column, (struct k2_slice){data + offset, size},
                                     &values, NULL) == K2_OK) {
                touch(&values);
            }
        }
    }
    k2_parquet_values_deinit(&values);
    k2_parquet_file_close(file);
    return 0;
}
