// Between the modules that read Parquet files.
#pragma once

#include "format/parquet/parquet_reader.h"

int64_t k2_parquet_file_codec(const struct k2_parquet_file *file, size_t group, size_t column);
