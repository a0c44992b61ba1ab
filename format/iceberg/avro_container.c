#include "format/iceberg/avro_container.h"

#include <jansson.h>

#include "format/base/alloc.h"
#include "format/base/arena.h"
#include "format/base/deflate.h"

enum {
    SYNC_BYTES = 16,
    DEPTH = 32, // of types within each other
    MOST_TYPES = 4096,
    MOST_BLOCK_BYTES = 1 << 28,
};

static const uint8_t magic[4] = {'O', 'b', 'j', 1};

void k2_avro_put_long(struct k2_buffer *out, int64_t value)
{
    k2_put_varint(out, k2_zigzag(value));
}

void k2_avro_put_bytes(struct k2_buffer *out, struct k2_slice bytes)
{
    k2_avro_put_long(out, (int64_t)bytes.size_bytes);
    k2_put_bytes(out, bytes.data, bytes.size_bytes);
}

// ---- writing --------------------------------------------------------------------------------

static void put_key(struct k2_buffer *out, const char *name, struct k2_slice value)
{
    k2_avro_put_bytes(out, k2_slice_of(name));
    k2_avro_put_bytes(out, value);
}

void k2_avro_container_put(struct k2_buffer *out, const char *schema,
                           const struct k2_avro_key *keys, size_t key_count, const uint8_t sync[16],
                           struct k2_slice records, size_t record_count)
{
    struct k2_buffer block;
    k2_put_bytes(out, magic, sizeof magic);
    k2_avro_put_long(out, (int64_t)key_count + 2);
    put_key(out, "avro.schema", k2_slice_of(schema));
    put_key(out, "avro.codec", k2_slice_of("deflate"));
    for (size_t i = 0; i < key_count; i++) {
        put_key(out, keys[i].name, keys[i].value);
    }
    k2_avro_put_long(out, 0);
    k2_put_bytes(out, sync, SYNC_BYTES);
    if (record_count == 0) {
        return;
    }
    k2_buffer_init(&block, out->ceiling_bytes);
    k2_deflate(&block, records);
    k2_avro_put_long(out, (int64_t)record_count);
    k2_avro_put_bytes(out, k2_buffer_slice(&block));
    k2_put_bytes(out, sync, SYNC_BYTES);
    out->failed = out->failed || block.failed;
    k2_buffer_deinit(&block);
}

// ---- schemas --------------------------------------------------------------------------------

enum type_kind {
    TYPE_NULL,
    TYPE_BOOLEAN,
    TYPE_LONG, // also int, enum
    TYPE_FLOAT,
    TYPE_DOUBLE,
    TYPE_BYTES, // also string
    TYPE_FIXED,
    TYPE_RECORD,
    TYPE_ARRAY,
    TYPE_MAP,
    TYPE_UNION,
};

struct type {
    enum type_kind kind;
    size_t size_bytes;      // fixed
    const char *name;       // record, fixed, enum; NULL: none
    const struct type **of; // fields, branches, or the one element
    int32_t *ids;           // of the fields, or the element's
    size_t count;
};

struct k2_avro_reader {
    struct k2_byte_reader file; // what follows the last block
    struct k2_slice header;     // the map of keys
    uint8_t sync[SYNC_BYTES];
    bool deflated;
    struct k2_arena types;
    const struct type *named[MOST_TYPES]; // those with names
    size_t named_count, type_count;
    const struct type *root;
    struct k2_buffer inflated;
    struct k2_byte_reader block;
    int64_t block_records; // left in the block
};

static enum k2_status bad(struct k2_error *error, const char *what)
{
    return k2_fail(error, K2_CORRUPT, "avro: %s", what);
}

static int32_t id_of(const json_t *object, const char *name)
{
    const json_t *id = json_object_get(object, name);
    json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
    return value >= 0 && value <= INT32_MAX ? (int32_t)value : -1;
}

static enum k2_status read_type(struct k2_avro_reader *self, const json_t *json, size_t depth,
                                const struct type **result, struct k2_error *error);

static enum k2_status read_parts(struct k2_avro_reader *self, struct type *type, const json_t *json,
                                 size_t depth, struct k2_error *error)
{
    const json_t *list = type->kind == TYPE_UNION    ? json
                         : type->kind == TYPE_RECORD ? json_object_get(json, "fields")
                                                     : NULL;
    type->count = list == NULL ? 1 : json_array_size(list);
    if (type->kind == TYPE_RECORD && !json_is_array(list)) {
        return bad(error, "a record without fields");
    }
    type->of = k2_arena_alloc(&self->types, type->count * sizeof(struct type *));
    type->ids = k2_arena_alloc(&self->types, type->count * sizeof *type->ids);
    if (type->of == NULL || type->ids == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "avro: no memory");
    }
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < type->count && status == K2_OK; i++) {
        const json_t *part = json_array_get(list, i);
        if (type->kind == TYPE_RECORD) {
            type->ids[i] = id_of(part, "field-id");
            part = json_object_get(part, "type");
        } else if (type->kind == TYPE_ARRAY) {
            type->ids[i] = id_of(json, "element-id");
            part = json_object_get(json, "items");
        } else if (type->kind == TYPE_MAP) {
            part = json_object_get(json, "values");
        }
        status = read_type(self, part, depth + 1, &type->of[i], error);
    }
    return status;
}

static enum k2_status read_object(struct k2_avro_reader *self, const json_t *json,
                                  struct type *type, size_t depth, struct k2_error *error)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    if (name != NULL) {
        type->name = k2_arena_text(&self->types, k2_slice_of(name));
        if (type->name == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "avro: no memory");
        }
        self->named[self->named_count++] = type; // there are no more than types
    }
    if (type->kind == TYPE_FIXED) {
        const json_t *size = json_object_get(json, "size");
        if (!json_is_integer(size) || json_integer_value(size) < 0 ||
            json_integer_value(size) > MOST_BLOCK_BYTES) {
            return bad(error, "a fixed type without size");
        }
        type->size_bytes = (size_t)json_integer_value(size);
    }
    bool has_parts =
        type->kind == TYPE_RECORD || type->kind == TYPE_ARRAY || type->kind == TYPE_MAP;
    return has_parts ? read_parts(self, type, json, depth, error) : K2_OK;
}

static bool kind_of(const char *name, enum type_kind *kind)
{
    static const struct {
        const char *name;
        enum type_kind kind;
    } kinds[] = {
        {"null", TYPE_NULL},     {"boolean", TYPE_BOOLEAN}, {"int", TYPE_LONG},
        {"long", TYPE_LONG},     {"enum", TYPE_LONG},       {"float", TYPE_FLOAT},
        {"double", TYPE_DOUBLE}, {"bytes", TYPE_BYTES},     {"string", TYPE_BYTES},
        {"fixed", TYPE_FIXED},   {"record", TYPE_RECORD},   {"array", TYPE_ARRAY},
        {"map", TYPE_MAP},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            *kind = kinds[i].kind;
            return true;
        }
    }
    return false;
}

static enum k2_status read_type(struct k2_avro_reader *self, const json_t *json, size_t depth,
                                const struct type **result, struct k2_error *error)
{
    // `{"type": {"type": ...}}` is the inner type.
    while (json_is_object(json) && json_is_object(json_object_get(json, "type"))) {
        json = json_object_get(json, "type");
    }
    const char *word = json_is_string(json) ? json_string_value(json)
                                            : json_string_value(json_object_get(json, "type"));
    for (size_t i = 0; json_is_string(json) && i < self->named_count; i++) {
        if (strcmp(self->named[i]->name, word) == 0) {
            *result = self->named[i];
            return K2_OK;
        }
    }
    if (depth > DEPTH || self->type_count == MOST_TYPES) {
        return bad(error, "a schema with too many types");
    }
    struct type *type = k2_arena_alloc(&self->types, sizeof *type);
    if (type == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "avro: no memory");
    }
    self->type_count++;
    *result = type;
    if (json_is_array(json)) {
        type->kind = TYPE_UNION;
        return read_parts(self, type, json, depth, error);
    }
    if (word == NULL || !kind_of(word, &type->kind) ||
        (json_is_string(json) && type->kind >= TYPE_FIXED)) {
        return bad(error, "a schema with an unknown type");
    }
    return json_is_object(json) ? read_object(self, json, type, depth, error) : K2_OK;
}

static enum k2_status read_schema(struct k2_avro_reader *self, struct k2_error *error)
{
    struct k2_slice text = k2_avro_reader_key(self, "avro.schema");
    json_error_t reason;
    json_t *json = json_loadb((const char *)text.data, text.size_bytes, JSON_DECODE_ANY, &reason);
    if (json == NULL) {
        return bad(error, "a schema that is no JSON");
    }
    enum k2_status status = read_type(self, json, 0, &self->root, error);
    if (status == K2_OK && self->root->kind != TYPE_RECORD) {
        status = bad(error, "a schema that is no record");
    }
    json_decref(json);
    return status;
}

// ---- header ---------------------------------------------------------------------------------

static int64_t read_long(struct k2_byte_reader *reader)
{
    return k2_unzigzag(k2_read_varint(reader));
}

static struct k2_slice read_text(struct k2_byte_reader *reader)
{
    int64_t size = read_long(reader);
    if (size < 0 || (uint64_t)size > reader->rest.size_bytes) {
        reader->truncated = true;
        return (struct k2_slice){0};
    }
    return k2_read_bytes(reader, (size_t)size);
}

// The number of items of the next block of an array or map; 0: the end. Each item takes at least a
// byte: more than there are bytes is damage, and would be a loop without end.
static uint64_t read_block_count(struct k2_byte_reader *reader)
{
    int64_t count = read_long(reader);
    if (count < 0 && count != INT64_MIN) {
        (void)read_long(reader); // its size in bytes
        count = -count;
    }
    if (count < 0 || (uint64_t)count > reader->rest.size_bytes) {
        reader->truncated = true;
    }
    return reader->truncated ? 0 : (uint64_t)count;
}

struct k2_slice k2_avro_reader_key(const struct k2_avro_reader *reader, const char *name)
{
    struct k2_byte_reader header = {.rest = reader->header};
    for (uint64_t left; (left = read_block_count(&header)) > 0;) {
        for (; left > 0 && !header.truncated; left--) {
            struct k2_slice key = read_text(&header), value = read_text(&header);
            if (!header.truncated && k2_slice_equal(key, k2_slice_of(name))) {
                return value;
            }
        }
    }
    return (struct k2_slice){0};
}

static enum k2_status read_header(struct k2_avro_reader *self, struct k2_error *error)
{
    struct k2_slice begin = k2_read_bytes(&self->file, sizeof magic);
    if (self->file.truncated || memcmp(begin.data, magic, sizeof magic) != 0) {
        return bad(error, "no container file");
    }
    self->header = self->file.rest;
    for (uint64_t left; (left = read_block_count(&self->file)) > 0;) {
        for (; left > 0 && !self->file.truncated; left--) {
            (void)read_text(&self->file);
            (void)read_text(&self->file);
        }
    }
    struct k2_slice sync = k2_read_bytes(&self->file, SYNC_BYTES);
    if (self->file.truncated) {
        return bad(error, "the header is cut off");
    }
    memcpy(self->sync, sync.data, SYNC_BYTES);
    struct k2_slice codec = k2_avro_reader_key(self, "avro.codec");
    self->deflated = k2_slice_equal(codec, k2_slice_of("deflate"));
    if (!self->deflated && codec.size_bytes > 0 && !k2_slice_equal(codec, k2_slice_of("null"))) {
        return k2_fail(
            error, K2_BAD_REQUEST, "avro: codec `%.*s` is not known; K2 reads null and deflate",
            (int)(codec.size_bytes < 32 ? codec.size_bytes : 32), (const char *)codec.data);
    }
    return K2_OK;
}

enum k2_status k2_avro_reader_open(struct k2_avro_reader **reader, struct k2_slice file,
                                   struct k2_error *error)
{
    struct k2_avro_reader *self = k2_alloc_zero(1, sizeof *self);
    *reader = NULL;
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "avro: no memory");
    }
    self->file.rest = file;
    k2_buffer_init(&self->inflated, MOST_BLOCK_BYTES);
    enum k2_status status = read_header(self, error);
    if (status == K2_OK) {
        status = read_schema(self, error);
    }
    if (status != K2_OK) {
        k2_avro_reader_close(self);
        return status;
    }
    *reader = self;
    return K2_OK;
}

void k2_avro_reader_close(struct k2_avro_reader *reader)
{
    if (reader != NULL) {
        k2_arena_deinit(&reader->types);
        k2_buffer_deinit(&reader->inflated);
        k2_free(reader);
    }
}

// ---- records --------------------------------------------------------------------------------

// On the way down a record.
struct walk {
    struct k2_byte_reader *bytes;
    const struct k2_avro_visitor *visitor;
    int32_t path[DEPTH + 1];
    size_t path_count;
    size_t depth;
    size_t items_left; // of arrays and maps: each takes a byte or more, so there are not many
};

static bool count_item(struct walk *walk)
{
    if (walk->items_left == 0) {
        walk->bytes->truncated = true;
        return false;
    }
    walk->items_left--;
    return true;
}

static enum k2_status walk_type(struct walk *walk, const struct type *type, bool is_element,
                                struct k2_error *error);

static enum k2_status tell(struct walk *walk, struct k2_avro_value value, struct k2_error *error)
{
    if (walk->bytes->truncated) {
        return bad(error, "a record is cut off");
    }
    value.path = walk->path;
    value.path_count = walk->path_count;
    return walk->visitor->value == NULL
               ? K2_OK
               : walk->visitor->value(walk->visitor->context, &value, error);
}

static enum k2_status walk_record(struct walk *walk, const struct type *type,
                                  struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < type->count && status == K2_OK; i++) {
        walk->path[walk->path_count++] = type->ids[i];
        status = walk_type(walk, type->of[i], false, error);
        walk->path_count--;
    }
    return status;
}

static enum k2_status walk_array(struct walk *walk, const struct type *type, struct k2_error *error)
{
    const struct type *element = type->of[0];
    bool named = element->kind != TYPE_RECORD;
    enum k2_status status = K2_OK;
    if (walk->visitor->array != NULL) {
        status = walk->visitor->array(walk->visitor->context, walk->path, walk->path_count, error);
    }
    if (named) {
        walk->path[walk->path_count++] = type->ids[0];
    }
    for (uint64_t left; status == K2_OK && (left = read_block_count(walk->bytes)) > 0;) {
        for (; left > 0 && status == K2_OK && count_item(walk); left--) {
            status = walk_type(walk, element, true, error);
        }
    }
    walk->path_count -= named ? 1 : 0;
    return status == K2_OK && walk->bytes->truncated ? bad(error, "a record is cut off") : status;
}

// Maps have no field ids inside: nobody asks for what is in them.
static enum k2_status walk_map(struct walk *walk, const struct type *type, struct k2_error *error)
{
    static const struct k2_avro_visitor nobody = {0};
    struct walk inner = {.bytes = walk->bytes,
                         .visitor = &nobody,
                         .depth = walk->depth,
                         .items_left = walk->items_left};
    enum k2_status status = K2_OK;
    for (uint64_t left; status == K2_OK && (left = read_block_count(walk->bytes)) > 0;) {
        for (; left > 0 && status == K2_OK && count_item(&inner); left--) {
            (void)read_text(walk->bytes);
            status = walk_type(&inner, type->of[0], false, error);
        }
    }
    walk->items_left = inner.items_left;
    return status == K2_OK && walk->bytes->truncated ? bad(error, "a record is cut off") : status;
}

static enum k2_status walk_compound(struct walk *walk, const struct type *type, bool is_element,
                                    struct k2_error *error)
{
    if (type->kind == TYPE_UNION) {
        int64_t branch = read_long(walk->bytes);
        if (walk->bytes->truncated || branch < 0 || (uint64_t)branch >= type->count) {
            return bad(error, "a record is cut off");
        }
        return walk_type(walk, type->of[branch], is_element, error);
    }
    if (type->kind == TYPE_RECORD) {
        enum k2_status status = K2_OK;
        if (is_element && walk->visitor->element != NULL) {
            status =
                walk->visitor->element(walk->visitor->context, walk->path, walk->path_count, error);
        }
        return status == K2_OK ? walk_record(walk, type, error) : status;
    }
    return type->kind == TYPE_ARRAY ? walk_array(walk, type, error) : walk_map(walk, type, error);
}

static enum k2_status walk_type(struct walk *walk, const struct type *type, bool is_element,
                                struct k2_error *error)
{
    enum k2_status status;
    switch (type->kind) {
    case TYPE_NULL:
        return tell(walk, (struct k2_avro_value){.is_null = true}, error);
    case TYPE_BOOLEAN:
        return tell(walk, (struct k2_avro_value){.number = k2_read_u8(walk->bytes) != 0}, error);
    case TYPE_LONG:
        return tell(walk, (struct k2_avro_value){.number = read_long(walk->bytes)}, error);
    case TYPE_FLOAT:
        return tell(walk, (struct k2_avro_value){.number = k2_read_u32(walk->bytes)}, error);
    case TYPE_DOUBLE:
        return tell(walk, (struct k2_avro_value){.number = k2_read_i64(walk->bytes)}, error);
    case TYPE_BYTES:
        return tell(walk, (struct k2_avro_value){.is_bytes = true, .bytes = read_text(walk->bytes)},
                    error);
    case TYPE_FIXED:
        return tell(walk,
                    (struct k2_avro_value){.is_bytes = true,
                                           .bytes = k2_read_bytes(walk->bytes, type->size_bytes)},
                    error);
    default:
        if (walk->depth == DEPTH) {
            return bad(error, "a record within too many others");
        }
        walk->depth++;
        status = walk_compound(walk, type, is_element, error);
        walk->depth--;
        return status;
    }
}

static enum k2_status next_block(struct k2_avro_reader *reader, struct k2_error *error)
{
    int64_t count = read_long(&reader->file);
    struct k2_slice bytes = read_text(&reader->file);
    struct k2_slice sync = k2_read_bytes(&reader->file, SYNC_BYTES);
    if (reader->file.truncated || count < 0) {
        return bad(error, "a block is cut off");
    }
    if (memcmp(sync.data, reader->sync, SYNC_BYTES) != 0) {
        return bad(error, "a block ends without the file's mark");
    }
    if (reader->deflated) {
        k2_buffer_clear(&reader->inflated);
        if (!k2_inflate(&reader->inflated, bytes)) {
            enum k2_status status = k2_buffer_check(&reader->inflated, "avro: a block", error);
            return status != K2_OK ? status : bad(error, "a block can not be inflated");
        }
        bytes = k2_buffer_slice(&reader->inflated);
    }
    if ((uint64_t)count > bytes.size_bytes) { // a record of manifests is never empty
        return bad(error, "a block has more records than bytes");
    }
    reader->block = (struct k2_byte_reader){.rest = bytes};
    reader->block_records = count;
    return K2_OK;
}

enum k2_status k2_avro_reader_next(struct k2_avro_reader *reader, bool *done,
                                   const struct k2_avro_visitor *visitor, struct k2_error *error)
{
    *done = false;
    while (reader->block_records == 0) {
        if (reader->file.rest.size_bytes == 0) {
            *done = true;
            return K2_OK;
        }
        enum k2_status status = next_block(reader, error);
        if (status != K2_OK) {
            return status;
        }
    }
    struct walk walk = {.bytes = &reader->block,
                        .visitor = visitor,
                        .depth = 1,
                        .items_left = reader->block.rest.size_bytes};
    reader->block_records--;
    return walk_record(&walk, reader->root, error);
}
