#include "format/parquet/parquet_field.h"

#include "format/base/alloc.h"

static const struct {
    enum k2_parquet_type type;
    enum k2_parquet_logical logical;
} kinds[] = {
    [K2_KIND_INT8] = {K2_PARQUET_INT32, K2_PARQUET_INTEGER},
    [K2_KIND_INT16] = {K2_PARQUET_INT32, K2_PARQUET_INTEGER},
    [K2_KIND_INT32] = {K2_PARQUET_INT32, K2_PARQUET_NO_LOGICAL},
    [K2_KIND_INT64] = {K2_PARQUET_INT64, K2_PARQUET_NO_LOGICAL},
    [K2_KIND_DECIMAL64] = {K2_PARQUET_INT64, K2_PARQUET_DECIMAL},
    [K2_KIND_TIMESTAMP] = {K2_PARQUET_INT64, K2_PARQUET_NO_LOGICAL},
    [K2_KIND_BOOL] = {K2_PARQUET_BOOLEAN, K2_PARQUET_NO_LOGICAL},
    [K2_KIND_FLOAT64] = {K2_PARQUET_DOUBLE, K2_PARQUET_NO_LOGICAL},
    [K2_KIND_SYMBOLIC] = {K2_PARQUET_BYTE_ARRAY, K2_PARQUET_STRING},
    [K2_KIND_TEXT] = {K2_PARQUET_BYTE_ARRAY, K2_PARQUET_STRING},
    [K2_KIND_UUID] = {K2_PARQUET_FIXED_BYTES, K2_PARQUET_UUID},
    [K2_KIND_JSON] = {K2_PARQUET_BYTE_ARRAY, K2_PARQUET_STRING},
};

static const char nanoseconds_suffix[] = "_ns";

static bool is_taken(const struct k2_column *const *columns, size_t column_count, const char *name)
{
    for (size_t i = 0; i < column_count; i++) {
        if (strcmp(columns[i]->name, name) == 0) {
            return true;
        }
    }
    return false;
}

// The column's name and `_ns`, once more for as long as a column has that name.
static char *nanoseconds_name(const struct k2_column *const *columns, size_t column_count,
                              const char *name)
{
    size_t room = strlen(name) + (column_count + 1) * strlen(nanoseconds_suffix) + 1;
    char *text = k2_alloc(room);
    if (text == NULL) {
        return NULL;
    }
    size_t size = strlen(name);
    memcpy(text, name, size + 1);
    do { // at most `column_count` names are taken
        memcpy(text + size, nanoseconds_suffix, sizeof nanoseconds_suffix);
        size += strlen(nanoseconds_suffix);
    } while (is_taken(columns, column_count, text));
    return text;
}

static struct k2_parquet_field field_of(const struct k2_column *column, size_t place)
{
    return (struct k2_parquet_field){.id = column->id,
                                     .column = column,
                                     .place = place,
                                     .type = kinds[column->kind].type,
                                     .logical = kinds[column->kind].logical,
                                     .optional = column->nullable};
}

enum k2_status k2_parquet_fields_create(struct k2_parquet_field **fields, size_t *field_count,
                                        const struct k2_column *const *columns, size_t column_count,
                                        bool times_as_integers, struct k2_error *error)
{
    *fields = NULL;
    *field_count = 0;
    struct k2_parquet_field *list = k2_alloc_zero(column_count * 2, sizeof *list);
    if (list == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "parquet: no memory");
    }
    size_t count = 0;
    bool named = true;
    for (size_t i = 0; i < column_count && named; i++) {
        const char *name = columns[i]->name;
        list[count] = field_of(columns[i], i);
        list[count].name = k2_alloc_text(name, strlen(name));
        named = list[count].name != NULL;
        if (columns[i]->kind == K2_KIND_TIMESTAMP && !times_as_integers) {
            list[count].logical = K2_PARQUET_TIMESTAMP;
            list[count].microseconds = true;
            list[++count] = field_of(columns[i], i);
            list[count].id += K2_PARQUET_NANOSECONDS_ID;
            list[count].name = nanoseconds_name(columns, column_count, name);
            named = named && list[count].name != NULL;
        }
        count++;
    }
    if (!named) {
        k2_parquet_fields_free(list, count);
        return k2_fail(error, K2_NO_MEMORY, "parquet: no memory");
    }
    *fields = list;
    *field_count = count;
    return K2_OK;
}

void k2_parquet_fields_free(struct k2_parquet_field *fields, size_t field_count)
{
    for (size_t i = 0; i < field_count; i++) {
        k2_free(fields[i].name);
    }
    k2_free(fields);
}
