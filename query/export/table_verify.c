#include "query/export/table_verify.h"

#include <stdio.h>

#include "format/base/alloc.h"
#include "query/export/table_totals.h"

enum { NS_PER_US = 1000 };
static const size_t chunk_ceiling_bytes = (size_t)1 << 30;

struct verification {
    struct k2_table_place *place;
    struct k2_row_selection selection;
    struct k2_parquet_field *fields;
    size_t field_count;
    struct k2_table_totals table, store;
    struct k2_parquet_values values;
    struct k2_buffer bytes;
    int64_t *numbers; // of one column, as K2 has them
    size_t number_room;
};

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "verify: no memory");
}

// ---- the store's side -----------------------------------------------------------------------

static int64_t microseconds(int64_t time_ns)
{
    int64_t value = time_ns / NS_PER_US;
    return time_ns % NS_PER_US < 0 ? value - 1 : value;
}

static enum k2_status add_rows(struct verification *self, const struct k2_vector *vectors,
                               size_t row_count, struct k2_error *error)
{
    int64_t times[K2_VECTOR_ROWS];
    enum k2_status status = k2_table_totals_begin(&self->store, row_count, error);
    for (size_t i = 0; i < self->field_count && status == K2_OK; i++) {
        const struct k2_vector *vector = &vectors[self->fields[i].place];
        const int64_t *numbers = vector->values;
        for (size_t row = 0; self->fields[i].microseconds && row < row_count; row++) {
            bool valid = vector->valid == NULL || vector->valid[row];
            times[row] = valid ? microseconds(vector->values[row]) : 0;
        }
        numbers = self->fields[i].microseconds ? times : numbers;
        k2_table_totals_field(&self->store, i, row_count, numbers, vector->texts, vector->valid);
    }
    k2_table_totals_end(&self->store, status == K2_OK ? row_count : 0);
    return status;
}

static enum k2_status read_store(struct verification *self, struct k2_error *error)
{
    const struct k2_row_selection *selection = &self->selection;
    const struct k2_scan_request request = {.table = selection->table,
                                            .snapshot = selection->snapshot,
                                            .has_start = selection->has_start,
                                            .has_end = selection->has_end,
                                            .start_ns = selection->start_ns,
                                            .end_ns = selection->end_ns,
                                            .order = K2_ORDER_STORED};
    struct k2_scan *scan = NULL;
    const struct k2_vector *vectors;
    size_t row_count = 1;
    enum k2_status status = k2_scan_open(selection->engine, &request, &scan, error);
    while (status == K2_OK && row_count > 0) {
        status = k2_scan_next(scan, &vectors, &row_count, error);
        if (status == K2_OK && row_count > 0) {
            status = add_rows(self, vectors, row_count, error);
        }
    }
    k2_scan_close(scan);
    return status;
}

// ---- the table's side -----------------------------------------------------------------------

// Decimals of other writers: big-endian bytes; false if one does not fit.
static bool decimals_of(const struct k2_parquet_values *values, int64_t *numbers)
{
    for (size_t row = 0; row < values->row_count; row++) {
        struct k2_slice text = values->texts[row];
        uint64_t number = text.size_bytes > 0 && text.data[0] >= 0x80 ? UINT64_MAX : 0;
        for (size_t i = 0; i < text.size_bytes; i++) {
            uint8_t sign = text.data[0] >= 0x80 ? 0xff : 0;
            if (i + sizeof number < text.size_bytes && text.data[i] != sign) {
                return false;
            }
            number = number << 8 | text.data[i];
        }
        numbers[row] = (int64_t)number;
    }
    return true;
}

static enum k2_status get_bytes(struct verification *self, const char *location, uint64_t offset,
                                size_t size_bytes, struct k2_error *error)
{
    struct k2_object_store *store = self->place->store;
    k2_buffer_clear(&self->bytes);
    enum k2_status status =
        store->class->get(store->self, location, offset, size_bytes, &self->bytes, error);
    if (status == K2_OK && self->bytes.size_bytes != size_bytes) {
        status =
            k2_fail(error, K2_CORRUPT, "%s: the file is shorter than the table says", location);
    }
    return status;
}

static enum k2_status add_chunk(struct verification *self, const char *location,
                                const struct k2_parquet_file *file, size_t group, size_t field,
                                size_t column, struct k2_error *error)
{
    uint64_t offset;
    size_t size, rows = k2_parquet_file_rows(file, group);
    bool fixed = k2_kind_is_fixed(self->fields[field].column->kind);
    k2_parquet_file_chunk(file, group, column, &offset, &size);
    enum k2_status status = get_bytes(self, location, offset, size, error);
    if (status == K2_OK) {
        status = k2_parquet_file_read(file, group, column, k2_buffer_slice(&self->bytes),
                                      &self->values, error);
    }
    if (status != K2_OK) {
        return status;
    }
    enum k2_parquet_type type = k2_parquet_file_column(file, column).type;
    bool texts = type == K2_PARQUET_BYTE_ARRAY || type == K2_PARQUET_FIXED_BYTES;
    const int64_t *numbers = self->values.numbers;
    if (fixed && texts) {
        if (rows > self->number_room) {
            int64_t *grown = k2_realloc(self->numbers, rows, sizeof *grown);
            if (grown == NULL) {
                return no_memory(error);
            }
            self->numbers = grown;
            self->number_room = rows;
        }
        if (!decimals_of(&self->values, self->numbers)) {
            return k2_fail(error, K2_CORRUPT, "column %s: a number beyond 64 bits",
                           self->fields[field].name);
        }
        numbers = self->numbers;
    } else if (!fixed && !texts) {
        return k2_fail(error, K2_CORRUPT, "column %s: numbers, not texts",
                       self->fields[field].name);
    }
    k2_table_totals_field(&self->table, field, rows, numbers, fixed ? NULL : self->values.texts,
                          self->values.valid);
    return K2_OK;
}

static enum k2_status add_group(struct verification *self, const char *location,
                                const struct k2_parquet_file *file, size_t group,
                                struct k2_error *error)
{
    size_t rows = k2_parquet_file_rows(file, group);
    enum k2_status status = k2_table_totals_begin(&self->table, rows, error);
    for (size_t field = 0; field < self->field_count && status == K2_OK; field++) {
        size_t column = 0, columns = k2_parquet_file_columns(file);
        while (column < columns &&
               k2_parquet_file_column(file, column).field_id != (int32_t)self->fields[field].id) {
            column++;
        }
        if (column < columns) {
            status = add_chunk(self, location, file, group, field, column, error);
        } else {
            k2_table_totals_null(&self->table, field, rows);
        }
    }
    k2_table_totals_end(&self->table, status == K2_OK ? rows : 0);
    return status;
}

static enum k2_status add_file(struct verification *self, const struct k2_iceberg_file *file,
                               struct k2_error *error)
{
    const char *location = (const char *)file->path.data; // in an arena, with a NUL
    struct k2_parquet_file *parquet = NULL;
    size_t footer;
    uint64_t before = self->table.rows;
    if (file->size_bytes < K2_PARQUET_TAIL_BYTES) {
        return k2_fail(error, K2_CORRUPT, "%s: no Parquet file", location);
    }
    uint64_t size = (uint64_t)file->size_bytes;
    enum k2_status status =
        get_bytes(self, location, size - K2_PARQUET_TAIL_BYTES, K2_PARQUET_TAIL_BYTES, error);
    if (status == K2_OK) {
        status = k2_parquet_footer_size(k2_buffer_slice(&self->bytes), &footer, error);
    }
    if (status == K2_OK && footer > size) {
        status = k2_fail(error, K2_CORRUPT, "a footer longer than the file");
    }
    if (status == K2_OK) {
        status = get_bytes(self, location, size - footer, footer, error);
    }
    if (status == K2_OK) {
        status = k2_parquet_file_open(&parquet, k2_buffer_slice(&self->bytes), error);
    }
    for (size_t i = 0; status == K2_OK && i < k2_parquet_file_groups(parquet); i++) {
        status = add_group(self, location, parquet, i, error);
    }
    k2_parquet_file_close(parquet);
    if (status == K2_OK && self->table.rows - before != (uint64_t)file->record_count) {
        status =
            k2_fail(error, K2_CORRUPT, "%llu rows, its manifest says %lld",
                    (unsigned long long)(self->table.rows - before), (long long)file->record_count);
    }
    if (status != K2_OK) {
        k2_error_annotate(error, "%s", location);
    }
    return status;
}

static bool has_other_stores(const struct k2_iceberg_metadata *metadata, const char *store)
{
    struct k2_iceberg_property property;
    size_t prefix = sizeof K2_EXPORT_PROPERTY - 1;
    for (size_t i = 0; k2_iceberg_property_at(metadata, i, &property); i++) {
        if (strncmp(property.name, K2_EXPORT_PROPERTY, prefix) == 0 &&
            strcmp(property.name + prefix, store) != 0) {
            return true;
        }
    }
    return false;
}

static enum k2_status read_table(struct verification *self, struct k2_verify_result *result,
                                 struct k2_error *error)
{
    struct k2_iceberg_entries entries = {0};
    char store[K2_STORE_TEXT_BYTES], mark[K2_STORE_TEXT_BYTES + 8];
    k2_store_text(self->selection.engine, store);
    (void)snprintf(mark, sizeof mark, "/k2-%s-", store);
    bool shared = has_other_stores(self->place->table.metadata, store);
    enum k2_status status = k2_table_files(self->place, &entries, error);
    for (size_t i = 0; i < entries.count && status == K2_OK; i++) {
        const struct k2_iceberg_file *file = &entries.items[i].file;
        if (file->content != K2_ICEBERG_DATA) {
            status =
                k2_fail(error, K2_BAD_REQUEST,
                        "the table has delete files of another writer; let it rewrite its data "
                        "files first");
        } else if (result->has_kept && file->has_day && file->day <= result->kept_day) {
            continue;
        } else if (!shared || strstr((const char *)file->path.data, mark) != NULL) {
            status = add_file(self, file, error);
            result->files++;
        }
    }
    k2_iceberg_entries_deinit(&entries);
    return status;
}

// ---- both -----------------------------------------------------------------------------------

static enum k2_status prepare(struct verification *self, struct k2_error *error)
{
    const struct k2_schema *schema = self->selection.table->schema;
    const struct k2_column *columns[K2_MAX_COLUMNS];
    for (size_t i = 0; i < schema->column_count; i++) {
        columns[i] = &schema->columns[i];
    }
    enum k2_status status = k2_parquet_fields_create(&self->fields, &self->field_count, columns,
                                                     schema->column_count, false, error);
    if (status == K2_OK) {
        status = k2_table_totals_init(&self->table, self->fields, self->field_count, error);
    }
    if (status == K2_OK) {
        status = k2_table_totals_init(&self->store, self->fields, self->field_count, error);
    }
    return status;
}

// Rows that the store has dropped since, and the table keeps, can not be compared; nor their day.
static enum k2_status leave_out_kept(struct verification *self, struct k2_verify_result *result,
                                     struct k2_error *error)
{
    static const int64_t day_ns = INT64_C(86400) * 1000000000;
    struct k2_row_selection *selection = &self->selection;
    int64_t cut_ns;
    enum k2_status status =
        k2_export_kept(selection->engine, selection->table, self->place->table.metadata,
                       &result->has_kept, &result->kept_day, &cut_ns, error);
    int64_t start_ns = (result->kept_day + INT64_C(1)) * day_ns;
    if (result->has_kept && (!selection->has_start || selection->start_ns < start_ns)) {
        selection->has_start = true;
        selection->start_ns = start_ns;
    }
    return status;
}

enum k2_status k2_table_verify(struct k2_table_place *place, struct k2_engine *engine,
                               const struct k2_table *table, struct k2_verify_result *result,
                               struct k2_error *error)
{
    struct verification self = {.place = place, .selection = {.engine = engine, .table = table}};
    bool has_range;
    *result = (struct k2_verify_result){0};
    k2_buffer_init(&self.bytes, chunk_ceiling_bytes);
    enum k2_status status = k2_export_state(engine, place->table.metadata, &result->snapshot,
                                            &has_range, &self.selection, error);
    self.selection.snapshot = result->snapshot;
    if (status == K2_OK) {
        status = leave_out_kept(&self, result, error);
    }
    if (status == K2_OK) {
        status = prepare(&self, error);
    }
    if (status == K2_OK) {
        status = read_table(&self, result, error);
    }
    if (status == K2_OK && result->snapshot > 0) { // else the table should have no rows
        status = read_store(&self, error);
    }
    if (status == K2_OK) {
        result->table_rows = self.table.rows;
        result->store_rows = self.store.rows;
        result->checksum[0] = self.table.checksum[0];
        result->checksum[1] = self.table.checksum[1];
        result->same = k2_table_totals_same(&self.table, &self.store, "the table", "the store",
                                            result->difference, sizeof result->difference);
    }
    k2_parquet_fields_free(self.fields, self.field_count);
    k2_table_totals_deinit(&self.table);
    k2_table_totals_deinit(&self.store);
    k2_parquet_values_deinit(&self.values);
    k2_buffer_deinit(&self.bytes);
    k2_free(self.numbers);
    return status;
}
