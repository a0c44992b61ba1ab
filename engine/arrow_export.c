#include "engine/arrow_export.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "format/base/alloc.h"

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "arrow: no memory for a batch");
}

// ---- schemas ------------------------------------------------------------------------------------

enum { METADATA_BYTES = 96 };

// What one schema of a column points to.
struct schema_texts {
    char format[K2_ARROW_FORMAT_BYTES];
    char metadata[METADATA_BYTES];
    struct ArrowSchema dictionary;
    char name[]; // with the NUL
};

struct schema_children {
    struct ArrowSchema **pointers;
    struct ArrowSchema schemas[];
};

// A dictionary's schema lies in its owner's memory: nothing of its own is freed.
static void release_entries_schema(struct ArrowSchema *schema)
{
    schema->release = NULL;
}

static void release_column_schema(struct ArrowSchema *schema)
{
    struct ArrowSchema *dictionary = schema->dictionary;
    if (dictionary != NULL && dictionary->release != NULL) {
        dictionary->release(dictionary);
    }
    k2_free(schema->private_data);
    schema->release = NULL;
}

static void release_schema(struct ArrowSchema *schema)
{
    struct schema_children *children = schema->private_data;
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (schema->children[i]->release != NULL) {
            schema->children[i]->release(schema->children[i]);
        }
    }
    k2_free(children->pointers);
    k2_free(children);
    schema->release = NULL;
}

// One pair as the interface wants it: numbers in the machine's order.
static void put_metadata(char metadata[METADATA_BYTES], const char *name, const char *value)
{
    const int32_t numbers[] = {1, (int32_t)strlen(name), (int32_t)strlen(value)};
    size_t name_bytes = (size_t)numbers[1], value_bytes = (size_t)numbers[2];
    assert(3 * sizeof(int32_t) + name_bytes + value_bytes <= METADATA_BYTES);
    memcpy(metadata, numbers, 2 * sizeof *numbers);
    memcpy(metadata + 8, name, name_bytes);
    memcpy(metadata + 8 + name_bytes, &numbers[2], sizeof *numbers);
    memcpy(metadata + 12 + name_bytes, value, value_bytes);
}

static bool export_column_schema(const struct k2_arrow_field *field, struct ArrowSchema *out)
{
    size_t name_bytes = strlen(field->column->name) + 1;
    struct schema_texts *texts = k2_alloc_zero(1, sizeof *texts + name_bytes);
    if (texts == NULL) {
        return false;
    }
    const char *metadata_name;
    char metadata[K2_ARROW_FORMAT_BYTES];
    k2_arrow_format(field, texts->format);
    k2_arrow_metadata(field, &metadata_name, metadata);
    memcpy(texts->name, field->column->name, name_bytes);
    *out = (struct ArrowSchema){.format = texts->format,
                                .name = texts->name,
                                .flags = field->column->nullable ? ARROW_FLAG_NULLABLE : 0,
                                .release = release_column_schema,
                                .private_data = texts};
    if (metadata_name != NULL) {
        put_metadata(texts->metadata, metadata_name, metadata);
        out->metadata = texts->metadata;
    }
    if (field->type == K2_ARROW_DICTIONARY) {
        texts->dictionary =
            (struct ArrowSchema){.format = "u", .name = "", .release = release_entries_schema};
        out->dictionary = &texts->dictionary;
    }
    return true;
}

enum k2_status k2_arrow_export_schema(const struct k2_arrow_field *fields, size_t field_count,
                                      struct ArrowSchema *out, struct k2_error *error)
{
    struct schema_children *children =
        k2_alloc_zero(1, sizeof *children + field_count * sizeof children->schemas[0]);
    struct ArrowSchema **pointers = k2_alloc_zero(field_count, sizeof *pointers);
    if (children == NULL || pointers == NULL) {
        k2_free(children);
        k2_free(pointers);
        return no_memory(error);
    }
    children->pointers = pointers;
    struct ArrowSchema schema = {.format = "+s",
                                 .name = "",
                                 .children = pointers,
                                 .release = release_schema,
                                 .private_data = children};
    for (size_t i = 0; i < field_count; i++) {
        pointers[i] = &children->schemas[i];
        if (!export_column_schema(&fields[i], pointers[i])) {
            release_schema(&schema);
            return no_memory(error);
        }
        schema.n_children++;
    }
    *out = schema;
    return K2_OK;
}

// ---- dictionaries -------------------------------------------------------------------------------

// The entries of a dictionary at a time: never changed, shared by the batches that refer to them.
struct k2_arrow_shared {
    atomic_size_t references;
    size_t entry_count;
    const void *buffers[3];
    uint8_t bytes[]; // offsets, then texts
};

void k2_arrow_shared_drop(struct k2_arrow_shared *shared)
{
    if (shared != NULL && atomic_fetch_sub(&shared->references, 1) == 1) {
        k2_free(shared);
    }
}

static struct k2_arrow_shared *share(const struct k2_arrow_dictionary *dictionary)
{
    static const int32_t none;
    size_t count = dictionary->entry_count, text_bytes = dictionary->text.size_bytes;
    size_t offset_bytes = (count + 1) * sizeof none;
    struct k2_arrow_shared *shared = k2_alloc(sizeof *shared + offset_bytes + text_bytes);
    if (shared == NULL) {
        return NULL;
    }
    atomic_init(&shared->references, 1);
    shared->entry_count = count;
    shared->buffers[0] = NULL;
    shared->buffers[1] = shared->bytes;
    shared->buffers[2] = shared->bytes + offset_bytes;
    memcpy(shared->bytes, dictionary->offsets == NULL ? &none : dictionary->offsets, offset_bytes);
    if (text_bytes > 0) {
        memcpy(shared->bytes + offset_bytes, dictionary->text.data, text_bytes);
    }
    return shared;
}

static void release_entries(struct ArrowArray *array)
{
    k2_arrow_shared_drop(array->private_data);
    array->release = NULL;
}

static struct ArrowArray entries_of(struct k2_arrow_shared *shared)
{
    atomic_fetch_add(&shared->references, 1);
    return (struct ArrowArray){.length = (int64_t)shared->entry_count,
                               .n_buffers = 3,
                               .buffers = shared->buffers,
                               .release = release_entries,
                               .private_data = shared};
}

// ---- batches ------------------------------------------------------------------------------------

struct column_data {
    const void *buffers[3];
    struct k2_arrow_buffers owned;
    struct ArrowArray dictionary;
};

struct batch_data {
    struct ArrowArray **pointers;
    const void *no_nulls[1]; // the one buffer of a struct
    struct ArrowArray arrays[];
};

static void release_column(struct ArrowArray *array)
{
    struct column_data *data = array->private_data;
    if (array->dictionary != NULL && array->dictionary->release != NULL) {
        array->dictionary->release(array->dictionary);
    }
    k2_free(data->owned.valid);
    k2_free(data->owned.values);
    k2_free(data->owned.text);
    k2_free(data);
    array->release = NULL;
}

static void release_batch(struct ArrowArray *array)
{
    struct batch_data *data = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release != NULL) { // else it was moved out
            array->children[i]->release(array->children[i]);
        }
    }
    k2_free(data->pointers);
    k2_free(data);
    array->release = NULL;
}

static bool export_column(struct k2_arrow_array *array, struct k2_arrow_shared **shared,
                          struct ArrowArray *out)
{
    static const char no_text[1];
    bool is_dictionary = array->field.type == K2_ARROW_DICTIONARY;
    if (is_dictionary &&
        (*shared == NULL || (*shared)->entry_count != array->dictionary.entry_count)) {
        k2_arrow_shared_drop(*shared);
        *shared = share(&array->dictionary);
        if (*shared == NULL) {
            return false;
        }
    }
    struct column_data *data = k2_alloc_zero(1, sizeof *data);
    if (data == NULL) {
        return false;
    }
    k2_arrow_array_end(array);
    *out = (struct ArrowArray){.length = (int64_t)array->row_count,
                               .null_count = (int64_t)array->null_count,
                               .n_buffers = array->field.type == K2_ARROW_UTF8 ? 3 : 2,
                               .buffers = data->buffers,
                               .release = release_column,
                               .private_data = data};
    data->owned = k2_arrow_array_take(array);
    data->buffers[0] = array->null_count > 0 ? data->owned.valid : NULL;
    data->buffers[1] = data->owned.values;
    data->buffers[2] = data->owned.text == NULL ? no_text : data->owned.text;
    if (is_dictionary) {
        data->dictionary = entries_of(*shared);
        out->dictionary = &data->dictionary;
    }
    k2_arrow_array_clear(array);
    return true;
}

enum k2_status k2_arrow_export_batch(struct k2_arrow_array *arrays, size_t array_count,
                                     struct k2_arrow_shared **shared, struct ArrowArray *out,
                                     struct k2_error *error)
{
    struct batch_data *data = k2_alloc_zero(1, sizeof *data + array_count * sizeof data->arrays[0]);
    struct ArrowArray **pointers = k2_alloc_zero(array_count, sizeof *pointers);
    if (data == NULL || pointers == NULL) {
        k2_free(data);
        k2_free(pointers);
        return no_memory(error);
    }
    data->pointers = pointers;
    struct ArrowArray batch = {.length = array_count == 0 ? 0 : (int64_t)arrays[0].row_count,
                               .n_buffers = 1,
                               .buffers = data->no_nulls,
                               .children = pointers,
                               .release = release_batch,
                               .private_data = data};
    for (size_t i = 0; i < array_count; i++) {
        pointers[i] = &data->arrays[i];
        if (!export_column(&arrays[i], &shared[i], pointers[i])) {
            release_batch(&batch);
            return no_memory(error);
        }
        batch.n_children++;
    }
    *out = batch;
    return K2_OK;
}
