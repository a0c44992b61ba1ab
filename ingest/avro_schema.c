#include "ingest/avro_schema.h"

#include <jansson.h>
#include <stdio.h>

#include "format/base/alloc.h"

enum {
    MAX_SOURCE_BYTES = 1 << 20,
    MAX_NODES = 1 << 16,
    MAX_MEMBERS = 1 << 17,
    MAX_FIXED_BYTES = 1 << 24,
    MAX_NAME_BYTES = 512,
    MAX_NAMED = 4096,
};

struct named_type {
    char *full_name; // owned
    uint32_t node;
};

struct parser {
    struct k2_avro_schema *schema;
    size_t node_room, member_room, alias_room;
    struct named_type *named; // owned
    size_t named_count, named_room;
    unsigned depth;
    struct k2_error *error;
};

static enum k2_status read_type(struct parser *self, const json_t *type, const char *space,
                                uint32_t *node);

static enum k2_status fail_memory(struct parser *self)
{
    return k2_fail(self->error, K2_NO_MEMORY, "Avro schema: out of memory");
}

static enum k2_status fail(struct parser *self, const char *what, const char *name)
{
    return k2_fail(self->error, K2_BAD_REQUEST, "Avro schema: %s%s%.200s", what,
                   name == NULL ? "" : ": ", name == NULL ? "" : name);
}

// Room for one more item of an array that doubles.
static bool reserve(void **items, size_t count, size_t *room, size_t item_bytes, size_t ceiling)
{
    if (count < *room) {
        return true;
    }
    size_t wanted = *room == 0 ? 16 : *room * 2;
    void *grown = count >= ceiling ? NULL : k2_realloc(*items, wanted, item_bytes);
    if (grown == NULL) {
        return false;
    }
    *items = grown;
    *room = wanted;
    return true;
}

static enum k2_status add_node(struct parser *self, enum k2_avro_type type, uint32_t *node)
{
    struct k2_avro_schema *schema = self->schema;
    if (!reserve((void **)&schema->nodes, schema->node_count, &self->node_room,
                 sizeof *schema->nodes, MAX_NODES)) {
        return fail_memory(self);
    }
    *node = (uint32_t)schema->node_count++;
    schema->nodes[*node] = (struct k2_avro_node){.type = type, .empty = type == K2_AVRO_NULL};
    return K2_OK;
}

// Members of one node stand together: all are made before their types are read.
static enum k2_status add_members(struct parser *self, uint32_t node, size_t count)
{
    struct k2_avro_schema *schema = self->schema;
    schema->nodes[node].first_member = (uint32_t)schema->member_count;
    schema->nodes[node].member_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        if (!reserve((void **)&schema->members, schema->member_count, &self->member_room,
                     sizeof *schema->members, MAX_MEMBERS)) {
            schema->nodes[node].member_count = (uint32_t)i;
            return fail_memory(self);
        }
        schema->members[schema->member_count++] = (struct k2_avro_member){0};
    }
    return K2_OK;
}

static struct k2_avro_member *member_at(struct parser *self, uint32_t node, size_t index)
{
    return &self->schema->members[self->schema->nodes[node].first_member + index];
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static enum k2_status copy_name(struct parser *self, const char *name, const char **copy)
{
    size_t size = name == NULL ? 0 : strlen(name);
    if (size == 0 || size > MAX_NAME_BYTES) {
        return fail(self, "a name is missing or too long", NULL);
    }
    *copy = k2_alloc_text(name, size);
    return *copy != NULL ? K2_OK : fail_memory(self);
}

static enum k2_avro_logical logical_of(const json_t *object)
{
    static const struct {
        const char *name;
        enum k2_avro_logical logical;
    } logicals[] = {
        {"decimal", K2_AVRO_DECIMAL},
        {"uuid", K2_AVRO_UUID},
        {"timestamp-millis", K2_AVRO_TIMESTAMP_MILLIS},
        {"timestamp-micros", K2_AVRO_TIMESTAMP_MICROS},
        {"timestamp-nanos", K2_AVRO_TIMESTAMP_NANOS},
        {"date", K2_AVRO_OTHER},
        {"time-millis", K2_AVRO_OTHER},
        {"time-micros", K2_AVRO_OTHER},
        {"local-timestamp-millis", K2_AVRO_OTHER},
        {"local-timestamp-micros", K2_AVRO_OTHER},
        {"local-timestamp-nanos", K2_AVRO_OTHER},
        {"duration", K2_AVRO_OTHER},
    };
    const char *name = text_of(object, "logicalType");
    for (size_t i = 0; name != NULL && i < sizeof logicals / sizeof logicals[0]; i++) {
        if (strcmp(logicals[i].name, name) == 0) {
            return logicals[i].logical;
        }
    }
    return K2_AVRO_PLAIN; // Avro: what is not known is ignored
}

// A logical type that does not go with its type is ignored, as Avro wants it.
static enum k2_status apply_logical(struct parser *self, const json_t *object, uint32_t node)
{
    struct k2_avro_node *target = &self->schema->nodes[node];
    enum k2_avro_logical logical = logical_of(object);
    bool raw = target->type == K2_AVRO_BYTES || target->type == K2_AVRO_FIXED;
    if (logical == K2_AVRO_DECIMAL && raw) {
        json_int_t scale = json_integer_value(json_object_get(object, "scale"));
        json_int_t precision = json_integer_value(json_object_get(object, "precision"));
        if (scale < 0 || precision < 1 || scale > precision || precision > 10000) {
            return fail(self, "a decimal's precision or scale is out of range", NULL);
        }
        target->scale = (uint32_t)scale;
    } else if (logical == K2_AVRO_UUID) {
        bool fits = target->type == K2_AVRO_STRING ||
                    (target->type == K2_AVRO_FIXED && target->size_bytes == 16);
        logical = fits ? logical : K2_AVRO_PLAIN;
    } else if (logical == K2_AVRO_OTHER) {
        logical = target->type == K2_AVRO_STRING ? K2_AVRO_PLAIN : logical;
    } else if (target->type != K2_AVRO_LONG) {
        logical = K2_AVRO_PLAIN;
    }
    target->logical = logical;
    return K2_OK;
}

static bool primitive_of(const char *name, enum k2_avro_type *type)
{
    for (*type = K2_AVRO_NULL; *type <= K2_AVRO_STRING; ++*type) {
        if (strcmp(k2_avro_type_name(*type), name) == 0) {
            return true;
        }
    }
    return false;
}

static bool full_name_of(const char *name, const char *space, char full[2 * MAX_NAME_BYTES + 2])
{
    bool bare = strchr(name, '.') != NULL || space == NULL || space[0] == '\0';
    int size =
        snprintf(full, 2 * MAX_NAME_BYTES + 2, "%s%s%s", bare ? "" : space, bare ? "" : ".", name);
    return size > 0 && size < 2 * MAX_NAME_BYTES + 2;
}

static const struct named_type *find_named(const struct parser *self, const char *name,
                                           const char *space)
{
    char full[2 * MAX_NAME_BYTES + 2];
    if (!full_name_of(name, space, full)) {
        return NULL;
    }
    for (size_t i = 0; i < self->named_count; i++) {
        if (strcmp(self->named[i].full_name, full) == 0) {
            return &self->named[i];
        }
    }
    for (size_t i = 0; i < self->named_count; i++) { // a name without namespace, used from one
        if (strcmp(self->named[i].full_name, name) == 0) {
            return &self->named[i];
        }
    }
    return NULL;
}

// Names the type; `*space` becomes the namespace that holds inside it, in `storage`.
static enum k2_status define(struct parser *self, const json_t *type, uint32_t node,
                             const char **space, char storage[2 * MAX_NAME_BYTES + 2])
{
    const char *name = text_of(type, "name");
    const char *own = text_of(type, "namespace");
    if (name == NULL || strlen(name) > MAX_NAME_BYTES ||
        !full_name_of(name, own != NULL ? own : *space, storage)) {
        return fail(self, "a named type without a proper name", name);
    }
    if (find_named(self, storage, NULL) != NULL) {
        return fail(self, "defined twice", storage);
    }
    if (!reserve((void **)&self->named, self->named_count, &self->named_room, sizeof *self->named,
                 MAX_NAMED)) {
        return fail_memory(self);
    }
    char *copy = k2_alloc_text(storage, strlen(storage));
    if (copy == NULL) {
        return fail_memory(self);
    }
    self->named[self->named_count++] = (struct named_type){copy, node};
    char *dot = strrchr(storage, '.');
    if (dot != NULL) {
        *dot = '\0';
    } else {
        storage[0] = '\0';
    }
    *space = storage;
    return K2_OK;
}

static enum k2_status read_aliases(struct parser *self, const json_t *field,
                                   struct k2_avro_member *member)
{
    struct k2_avro_schema *schema = self->schema;
    const json_t *aliases = json_object_get(field, "aliases");
    member->first_alias = (uint32_t)schema->alias_count;
    for (size_t i = 0; i < json_array_size(aliases); i++) {
        const char *copy;
        enum k2_status status =
            copy_name(self, json_string_value(json_array_get(aliases, i)), &copy);
        if (status != K2_OK) {
            return status;
        }
        if (!reserve((void **)&schema->aliases, schema->alias_count, &self->alias_room,
                     sizeof *schema->aliases, MAX_MEMBERS)) {
            k2_free((char *)(uintptr_t)copy);
            return fail_memory(self);
        }
        schema->aliases[schema->alias_count++] = (char *)(uintptr_t)copy;
        member->alias_count++;
    }
    return K2_OK;
}

static enum k2_status read_field(struct parser *self, const json_t *field, const char *space,
                                 uint32_t node, size_t index)
{
    const char *name = text_of(field, "name");
    for (size_t i = 0; name != NULL && i < index; i++) {
        if (strcmp(member_at(self, node, i)->name, name) == 0) {
            return fail(self, "a field is there twice", name);
        }
    }
    struct k2_avro_member *member = member_at(self, node, index);
    enum k2_status status = copy_name(self, name, &member->name);
    if (status == K2_OK) {
        status = read_aliases(self, field, member);
    }
    if (status != K2_OK) {
        return status;
    }
    member->beside = logical_of(field);
    uint32_t type;
    status = read_type(self, json_object_get(field, "type"), space, &type);
    if (status == K2_OK) {
        member_at(self, node, index)->node = type; // the array may have moved
    }
    return status;
}

static enum k2_status read_record(struct parser *self, const json_t *type, const char *space,
                                  uint32_t node)
{
    const json_t *fields = json_object_get(type, "fields");
    if (!json_is_array(fields)) {
        return fail(self, "a record without fields", text_of(type, "name"));
    }
    size_t count = json_array_size(fields);
    enum k2_status status = add_members(self, node, count);
    bool empty = true;
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        status = read_field(self, json_array_get(fields, i), space, node, i);
        empty =
            empty && status == K2_OK && self->schema->nodes[member_at(self, node, i)->node].empty;
    }
    self->schema->nodes[node].empty = empty;
    return status;
}

static enum k2_status read_enum(struct parser *self, const json_t *type, uint32_t node)
{
    const json_t *symbols = json_object_get(type, "symbols");
    size_t count = json_array_size(symbols);
    if (count == 0) {
        return fail(self, "an enum without symbols", text_of(type, "name"));
    }
    enum k2_status status = add_members(self, node, count);
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        status = copy_name(self, json_string_value(json_array_get(symbols, i)),
                           &member_at(self, node, i)->name);
    }
    return status;
}

static enum k2_status read_fixed(struct parser *self, const json_t *type, uint32_t node)
{
    const json_t *size = json_object_get(type, "size");
    json_int_t size_bytes = json_integer_value(size);
    if (!json_is_integer(size) || size_bytes < 0 || size_bytes > MAX_FIXED_BYTES) {
        return fail(self, "a fixed whose size is no size", text_of(type, "name"));
    }
    self->schema->nodes[node].size_bytes = (uint32_t)size_bytes;
    self->schema->nodes[node].empty = size_bytes == 0;
    return apply_logical(self, type, node);
}

static enum k2_status read_items(struct parser *self, const json_t *items, const char *space,
                                 uint32_t node)
{
    uint32_t item;
    enum k2_status status = add_members(self, node, 1);
    if (status == K2_OK) {
        status = read_type(self, items, space, &item);
    }
    if (status == K2_OK) {
        member_at(self, node, 0)->node = item;
    }
    return status;
}

static enum k2_status read_union(struct parser *self, const json_t *branches, const char *space,
                                 uint32_t node)
{
    size_t count = json_array_size(branches);
    if (count == 0) {
        return fail(self, "a union of nothing", NULL);
    }
    enum k2_status status = add_members(self, node, count);
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        uint32_t branch = 0;
        status = json_is_array(json_array_get(branches, i))
                     ? fail(self, "a union within a union", NULL)
                     : read_type(self, json_array_get(branches, i), space, &branch);
        if (status == K2_OK) {
            member_at(self, node, i)->node = branch;
        }
    }
    return status;
}

static enum k2_status read_named(struct parser *self, const json_t *type, const char *name,
                                 const char *space, uint32_t *node)
{
    bool is_enum = strcmp(name, "enum") == 0;
    bool is_fixed = strcmp(name, "fixed") == 0;
    enum k2_status status = add_node(self,
                                     is_enum    ? K2_AVRO_ENUM
                                     : is_fixed ? K2_AVRO_FIXED
                                                : K2_AVRO_RECORD,
                                     node);
    char storage[2 * MAX_NAME_BYTES + 2];
    if (status == K2_OK) {
        status = define(self, type, *node, &space, storage);
    }
    if (status != K2_OK) {
        return status;
    }
    return is_enum    ? read_enum(self, type, *node)
           : is_fixed ? read_fixed(self, type, *node)
                      : read_record(self, type, space, *node);
}

static enum k2_status read_object(struct parser *self, const json_t *type, const char *space,
                                  uint32_t *node)
{
    const json_t *inner = json_object_get(type, "type");
    const char *name = json_string_value(inner);
    if (name == NULL) {
        return inner == NULL ? fail(self, "a type without `type`", NULL)
                             : read_type(self, inner, space, node);
    }
    if (strcmp(name, "record") == 0 || strcmp(name, "error") == 0 || strcmp(name, "enum") == 0 ||
        strcmp(name, "fixed") == 0) {
        return read_named(self, type, name, space, node);
    }
    bool is_array = strcmp(name, "array") == 0;
    if (is_array || strcmp(name, "map") == 0) {
        enum k2_status status = add_node(self, is_array ? K2_AVRO_ARRAY : K2_AVRO_MAP, node);
        if (status != K2_OK) {
            return status;
        }
        return read_items(self, json_object_get(type, is_array ? "items" : "values"), space, *node);
    }
    enum k2_avro_type primitive;
    if (!primitive_of(name, &primitive)) {
        return read_type(self, inner, space, node);
    }
    enum k2_status status = add_node(self, primitive, node);
    return status == K2_OK ? apply_logical(self, type, *node) : status;
}

static enum k2_status read_type(struct parser *self, const json_t *type, const char *space,
                                uint32_t *node)
{
    if (++self->depth > K2_AVRO_DEPTH_MAX) {
        return fail(self, "nested too deep", NULL);
    }
    enum k2_status status = K2_OK;
    const char *name = json_string_value(type);
    enum k2_avro_type primitive;
    if (name != NULL && primitive_of(name, &primitive)) {
        status = add_node(self, primitive, node);
    } else if (name != NULL) {
        const struct named_type *named = find_named(self, name, space);
        status = named == NULL ? fail(self, "an unknown type", name) : K2_OK;
        *node = named == NULL ? 0 : named->node;
    } else if (json_is_array(type)) {
        status = add_node(self, K2_AVRO_UNION, node);
        if (status == K2_OK) {
            status = read_union(self, type, space, *node);
        }
    } else if (json_is_object(type)) {
        status = read_object(self, type, space, node);
    } else {
        status = fail(self, "a type that is neither a name, a list nor an object", NULL);
    }
    self->depth--;
    return status;
}

static enum k2_status read_source(struct parser *self, struct k2_slice json, uint32_t *node)
{
    if (json.size_bytes > MAX_SOURCE_BYTES) {
        return k2_fail(self->error, K2_BAD_REQUEST, "Avro schema: more than %d bytes",
                       MAX_SOURCE_BYTES);
    }
    json_error_t what;
    json_t *root = json_loadb((const char *)json.data, json.size_bytes,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &what);
    if (root == NULL) {
        return k2_fail(self->error, K2_BAD_REQUEST, "Avro schema: line %d: %s", what.line,
                       what.text);
    }
    enum k2_status status = read_type(self, root, NULL, node);
    json_decref(root);
    return status;
}

enum k2_status k2_avro_schema_parse(struct k2_avro_schema **schema, struct k2_slice json,
                                    const struct k2_slice *named, size_t named_count,
                                    struct k2_error *error)
{
    struct parser self = {.schema = k2_alloc_zero(1, sizeof **schema), .error = error};
    if (self.schema == NULL) {
        return fail_memory(&self);
    }
    uint32_t node;
    enum k2_status status = add_node(&self, K2_AVRO_NULL, &node);
    for (size_t i = 0; i < named_count && status == K2_OK; i++) {
        status = read_source(&self, named[i], &node);
    }
    if (status == K2_OK) {
        status = read_source(&self, json, &self.schema->root);
    }
    for (size_t i = 0; i < self.named_count; i++) {
        k2_free(self.named[i].full_name);
    }
    k2_free(self.named);
    if (status != K2_OK) {
        k2_avro_schema_destroy(self.schema);
        return status;
    }
    *schema = self.schema;
    return K2_OK;
}

void k2_avro_schema_destroy(struct k2_avro_schema *schema)
{
    if (schema == NULL) {
        return;
    }
    for (size_t i = 0; i < schema->member_count; i++) {
        k2_free((char *)(uintptr_t)schema->members[i].name);
    }
    for (size_t i = 0; i < schema->alias_count; i++) {
        k2_free(schema->aliases[i]);
    }
    k2_free(schema->nodes);
    k2_free(schema->members);
    k2_free(schema->aliases);
    k2_free(schema);
}

const char *k2_avro_type_name(enum k2_avro_type type)
{
    static const char *const names[] = {"null",   "boolean", "int",    "long",  "float",
                                        "double", "bytes",   "string", "fixed", "enum",
                                        "array",  "map",     "union",  "record"};
    return names[type];
}

const struct k2_avro_member *k2_avro_find_member(const struct k2_avro_schema *schema,
                                                 const struct k2_avro_node *node, const char *name)
{
    for (uint32_t i = 0; i < node->member_count; i++) {
        const struct k2_avro_member *member = &schema->members[node->first_member + i];
        if (strcmp(member->name, name) == 0) {
            return member;
        }
    }
    return NULL;
}
