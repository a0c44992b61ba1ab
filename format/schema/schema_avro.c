// From an Avro record schema to the columns of a table.
#include "format/schema/schema.h"

#include <jansson.h>
#include <stdio.h>

#include "format/base/alloc.h"

enum {
    MAX_SOURCE_BYTES = 1 << 20,
    MAX_TABLE_NAME_BYTES = 64,
    MAX_COLUMN_NAME_BYTES = 128,
    // Ids of key columns that the Avro schema does not have.
    FIRST_ADDED_ID = 0xfe00,
};

struct parser {
    struct k2_schema *schema;
    json_t *record;    // owned
    const char *field; // being read, for errors; borrowed from `record`
    struct k2_error *error;
    struct k2_column keys[K2_KEY_COLUMN_COUNT]; // name NULL until found; moved into the schema
};

static const struct {
    const char *role;
    bool required;
    enum k2_kind kind;
} roles[K2_KEY_COLUMN_COUNT] = {
    [K2_EXCHANGE] = {"exchange", false, K2_KIND_SYMBOLIC},
    [K2_SYMBOL] = {"symbol", true, K2_KIND_SYMBOLIC},
    [K2_TIMESTAMP] = {"timestamp", true, K2_KIND_TIMESTAMP},
    [K2_EPOCH] = {"epoch", false, K2_KIND_INT64},
    [K2_SEQUENCE] = {"sequence", true, K2_KIND_INT64},
};

static enum k2_status fail_field(struct parser *self, const char *what)
{
    return k2_fail(self->error, K2_BAD_REQUEST, "%s: field %.128s: %s", self->schema->table,
                   self->field, what);
}

static enum k2_status fail_memory(struct parser *self)
{
    return k2_fail(self->error, K2_NO_MEMORY, "%s: out of memory", "schema");
}

static bool is_name(const char *name, size_t ceiling_bytes)
{
    size_t size = strlen(name);
    if (size == 0 || size > ceiling_bytes || (name[0] >= '0' && name[0] <= '9')) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(c >= '0' && c <= '9')) {
            return false;
        }
    }
    return true;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool is_text(const json_t *object, const char *key, const char *text)
{
    const char *value = text_of(object, key);
    return value != NULL && strcmp(value, text) == 0;
}

// The definition of the named type `name` in an earlier field, or NULL.
static const json_t *find_named(const struct parser *self, const char *name)
{
    const char *dot = strrchr(name, '.');
    const char *short_name = dot != NULL ? dot + 1 : name;
    size_t index;
    json_t *field;
    json_array_foreach(json_object_get(self->record, "fields"), index, field)
    {
        json_t *type = json_object_get(field, "type");
        size_t branch_count = json_is_array(type) ? json_array_size(type) : 1;
        for (size_t i = 0; i < branch_count; i++) {
            json_t *branch = json_is_array(type) ? json_array_get(type, i) : type;
            if (json_is_object(branch) && is_text(branch, "name", short_name)) {
                return branch;
            }
        }
    }
    return NULL;
}

static enum k2_status read_decimal(struct parser *self, const json_t *type,
                                   struct k2_column *column)
{
    const json_t *precision = json_object_get(type, "precision");
    const json_t *scale = json_object_get(type, "scale");
    json_int_t digits = json_integer_value(precision);
    json_int_t places = json_integer_value(scale);
    if (!json_is_integer(precision) || digits < 1 || digits > 18) {
        return fail_field(self, "a decimal has a precision of 1 to 18 digits");
    }
    if ((scale != NULL && !json_is_integer(scale)) || places < 0 || places > digits) {
        return fail_field(self, "a decimal's scale is 0 up to its precision");
    }
    column->kind = K2_KIND_DECIMAL64;
    column->scale = (uint8_t)places;
    return K2_OK;
}

static enum k2_status read_primitive(struct parser *self, const char *type,
                                     struct k2_column *column)
{
    static const struct {
        const char *type;
        enum k2_kind kind;
    } kinds[] = {
        {"int", K2_KIND_INT32},     {"long", K2_KIND_INT64},     {"boolean", K2_KIND_BOOL},
        {"float", K2_KIND_FLOAT64}, {"double", K2_KIND_FLOAT64}, {"string", K2_KIND_TEXT},
        {"bytes", K2_KIND_TEXT},    {"fixed", K2_KIND_TEXT},     {"enum", K2_KIND_SYMBOLIC},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].type, type) == 0) {
            column->kind = kinds[i].kind;
            return K2_OK;
        }
    }
    if (strcmp(type, "array") == 0 || strcmp(type, "map") == 0 || strcmp(type, "record") == 0) {
        column->kind = K2_KIND_JSON;
        return K2_OK;
    }
    return fail_field(self, "its type is not known");
}

// `type` is one that may stand in a union: a name or an object.
static enum k2_status read_type(struct parser *self, const json_t *type, struct k2_column *column)
{
    const char *name = json_string_value(type);
    if (name != NULL) {
        const json_t *named = find_named(self, name);
        if (named == NULL) {
            return read_primitive(self, name, column);
        }
        type = named;
    }
    name = text_of(type, "type");
    if (name == NULL) {
        return fail_field(self, "has no type that K2 can store");
    }
    enum k2_status status = read_primitive(self, name, column);
    if (status != K2_OK) {
        return status;
    }
    const char *logical = text_of(type, "logicalType");
    if (logical != NULL && strcmp(logical, "decimal") == 0 && column->kind == K2_KIND_TEXT) {
        return read_decimal(self, type, column);
    }
    if (logical != NULL && strcmp(logical, "uuid") == 0 && column->kind == K2_KIND_TEXT) {
        column->kind = K2_KIND_UUID;
    } else if (logical != NULL && strncmp(logical, "timestamp-", 10) == 0 &&
               strcmp(name, "long") == 0) {
        column->kind = K2_KIND_TIMESTAMP;
    } else if (is_text(type, "items", "string")) {
        column->shape = K2_JSON_STRINGS;
    } else if (is_text(type, "values", "string")) {
        column->shape = K2_JSON_STRING_MAP;
    }
    return K2_OK;
}

// A type, or a union of null and one type.
static enum k2_status read_nullable_type(struct parser *self, const json_t *type,
                                         struct k2_column *column)
{
    if (!json_is_array(type)) {
        return read_type(self, type, column);
    }
    const json_t *other = NULL;
    size_t other_count = 0;
    for (size_t i = 0; i < json_array_size(type); i++) {
        const json_t *branch = json_array_get(type, i);
        const char *name = json_string_value(branch);
        if (name != NULL && strcmp(name, "null") == 0) {
            column->nullable = true;
        } else {
            other = branch;
            other_count++;
        }
    }
    if (other_count != 1) {
        return fail_field(self, "is a union of several types; only null and one type can be");
    }
    return read_type(self, other, column);
}

static enum k2_status apply_kind(struct parser *self, const json_t *field, struct k2_column *column)
{
    static const struct {
        const char *name;
        enum k2_kind from, kind;
    } choices[] = {
        {"symbolic", K2_KIND_TEXT, K2_KIND_SYMBOLIC},
        {"text", K2_KIND_TEXT, K2_KIND_TEXT},
        {"text", K2_KIND_SYMBOLIC, K2_KIND_TEXT},
        {"symbolic", K2_KIND_SYMBOLIC, K2_KIND_SYMBOLIC},
        {"json", K2_KIND_TEXT, K2_KIND_JSON},
        {"json", K2_KIND_JSON, K2_KIND_JSON},
        {"uuid", K2_KIND_TEXT, K2_KIND_UUID},
        {"uuid", K2_KIND_UUID, K2_KIND_UUID},
        {"int8", K2_KIND_INT32, K2_KIND_INT8},
        {"int16", K2_KIND_INT32, K2_KIND_INT16},
    };
    const json_t *wish = json_object_get(field, "k2.kind");
    if (wish == NULL) {
        return K2_OK;
    }
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        if (is_text(field, "k2.kind", choices[i].name) && column->kind == choices[i].from) {
            column->kind = choices[i].kind;
            return K2_OK;
        }
    }
    return fail_field(self, "its k2.kind is unknown or does not go with its type");
}

// The big-endian two's complement of an Avro bytes default, one character a byte.
static bool decimal_default(const char *text, int64_t *value)
{
    uint64_t bits = 0;
    size_t size = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c != 0; c++, size++) {
        unsigned byte = *c;
        if (byte >= 0x80) { // U+0080 to U+00FF are two bytes of UTF-8
            if (byte != 0xc2 && byte != 0xc3) {
                return false;
            }
            byte = (byte & 3) << 6 | (*++c & 0x3f);
        }
        if (size == 0 && byte >= 0x80) {
            bits = UINT64_MAX;
        }
        bits = bits << 8 | byte;
    }
    *value = (int64_t)bits;
    return size <= 8 && *value > -1000000000000000000 && *value < 1000000000000000000;
}

static bool integer_default(const struct k2_column *column, json_int_t value)
{
    switch (column->kind) {
    case K2_KIND_INT8:
        return value >= INT8_MIN && value <= INT8_MAX;
    case K2_KIND_INT16:
        return value >= INT16_MIN && value <= INT16_MAX;
    case K2_KIND_INT32:
        return value >= INT32_MIN && value <= INT32_MAX;
    default:
        return column->kind == K2_KIND_INT64 || column->kind == K2_KIND_TIMESTAMP;
    }
}

static enum k2_status read_default_text(struct parser *self, const json_t *value,
                                        struct k2_column *column)
{
    char *printed = NULL;
    const char *text = json_string_value(value);
    if (column->kind == K2_KIND_JSON) {
        printed = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
        text = printed;
        if (text == NULL) {
            return fail_memory(self);
        }
    } else if (text == NULL || column->kind == K2_KIND_UUID) {
        return fail_field(self, "its default does not go with its type");
    }
    column->default_text = k2_alloc_text(text, strlen(text));
    free(printed); // jansson's own memory
    column->has_default = column->default_text != NULL;
    return column->has_default ? K2_OK : fail_memory(self);
}

static enum k2_status read_default(struct parser *self, const json_t *field,
                                   struct k2_column *column)
{
    const json_t *value = json_object_get(field, "default");
    if (value == NULL || json_is_null(value)) {
        return value == NULL || column->nullable ? K2_OK : fail_field(self, "its default is null");
    }
    if (!k2_kind_is_fixed(column->kind)) {
        return read_default_text(self, value, column);
    }
    bool good = false;
    if (column->kind == K2_KIND_FLOAT64 && json_is_number(value)) {
        double number = json_number_value(value);
        memcpy(&column->default_value, &number, sizeof number);
        good = true;
    } else if (column->kind == K2_KIND_BOOL && json_is_boolean(value)) {
        column->default_value = json_is_true(value);
        good = true;
    } else if (column->kind == K2_KIND_DECIMAL64 && json_is_string(value)) {
        good = decimal_default(json_string_value(value), &column->default_value);
    } else if (json_is_integer(value) && integer_default(column, json_integer_value(value))) {
        column->default_value = json_integer_value(value);
        good = true;
    }
    column->has_default = good;
    return good ? K2_OK : fail_field(self, "its default does not go with its type");
}

static enum k2_status read_attributes(struct parser *self, const json_t *field, size_t place,
                                      struct k2_column *column)
{
    const json_t *id = json_object_get(field, "field-id");
    json_int_t number = id != NULL ? json_integer_value(id) : (json_int_t)place + 1;
    if (number < 1 || number >= FIRST_ADDED_ID) {
        return fail_field(self, "its field-id is not an integer from 1 to 65023");
    }
    const json_t *identity = json_object_get(field, "k2.identity");
    if (identity != NULL && !json_is_boolean(identity)) {
        return fail_field(self, "its k2.identity is neither true nor false");
    }
    column->id = (uint16_t)number;
    column->identity = !json_is_false(identity);
    enum k2_status status = read_nullable_type(self, json_object_get(field, "type"), column);
    if (status == K2_OK) {
        status = apply_kind(self, field, column);
    }
    return status == K2_OK ? read_default(self, field, column) : status;
}

enum { VERSION_ROLE = K2_KEY_COLUMN_COUNT + 1 };

// The role of a field, or K2_KEY_COLUMN_COUNT for none. Without any k2.role the usual names count.
static enum k2_status read_role(struct parser *self, const json_t *field, bool by_name,
                                size_t *role)
{
    const char *text = text_of(field, "k2.role");
    if (text == NULL && json_object_get(field, "k2.role") != NULL) {
        return fail_field(self, "its k2.role is not a text");
    }
    const char *name = text != NULL || !by_name ? text : self->field;
    for (*role = 0; name != NULL && *role < K2_KEY_COLUMN_COUNT; ++*role) {
        if (strcmp(name, roles[*role].role) == 0) {
            return K2_OK;
        }
    }
    *role = text != NULL && strcmp(text, "version") == 0 ? VERSION_ROLE : K2_KEY_COLUMN_COUNT;
    return text == NULL || *role == VERSION_ROLE ? K2_OK
                                                 : fail_field(self, "its k2.role is unknown");
}

static enum k2_status check_key(struct parser *self, size_t role, struct k2_column *column)
{
    if (self->keys[role].name != NULL) {
        return fail_field(self, "its k2.role is taken by another field");
    }
    if (column->nullable) {
        return fail_field(self, "a key column can not be nullable");
    }
    if (column->kind == K2_KIND_TEXT) {
        column->kind = K2_KIND_SYMBOLIC;
    } else if (column->kind == K2_KIND_INT32) {
        column->kind = K2_KIND_INT64;
    }
    if (column->kind != roles[role].kind) {
        return fail_field(self, role == K2_TIMESTAMP
                                    ? "the timestamp is a long with a logicalType timestamp-..."
                                    : "its type does not go with its k2.role");
    }
    return K2_OK;
}

static enum k2_status check_version(struct parser *self, struct k2_column *column)
{
    if (self->schema->version_column != 0) {
        return fail_field(self, "its k2.role is taken by another field");
    }
    if (column->kind > K2_KIND_INT64 && column->kind != K2_KIND_TIMESTAMP) {
        return fail_field(self, "a version is an integer or a timestamp");
    }
    column->version = true;
    return K2_OK;
}

static enum k2_status read_field(struct parser *self, const json_t *field, size_t place,
                                 bool by_name)
{
    self->field = text_of(field, "name");
    if (self->field == NULL || !is_name(self->field, MAX_COLUMN_NAME_BYTES)) {
        return k2_fail(self->error, K2_BAD_REQUEST,
                       "%s: field number %zu: its name is no Avro name", self->schema->table,
                       place + 1);
    }
    struct k2_column column = {0};
    size_t role = K2_KEY_COLUMN_COUNT;
    enum k2_status status = read_role(self, field, by_name, &role);
    if (status == K2_OK) {
        status = read_attributes(self, field, place, &column);
    }
    if (status == K2_OK && role < K2_KEY_COLUMN_COUNT) {
        status = check_key(self, role, &column);
    } else if (status == K2_OK && role == VERSION_ROLE) {
        status = check_version(self, &column);
    }
    if (status == K2_OK) {
        column.name = k2_alloc_text(self->field, strlen(self->field));
        status = column.name != NULL ? K2_OK : fail_memory(self);
    }
    if (status != K2_OK) {
        k2_free((char *)(uintptr_t)column.default_text);
        return status;
    }
    if (role < K2_KEY_COLUMN_COUNT) {
        self->keys[role] = column;
    } else {
        if (column.version) {
            self->schema->version_column = self->schema->column_count;
        }
        self->schema->columns[self->schema->column_count++] = column;
    }
    return K2_OK;
}

// Key columns that the schema leaves out stand under their usual name.
static enum k2_status add_missing_keys(struct parser *self)
{
    for (size_t role = 0; role < K2_KEY_COLUMN_COUNT; role++) {
        if (self->keys[role].name != NULL) {
            continue;
        }
        if (roles[role].required) {
            return k2_fail(self->error, K2_BAD_REQUEST, "%s: no field has the k2.role %s",
                           self->schema->table, roles[role].role);
        }
        const char *name = roles[role].role;
        self->keys[role] = (struct k2_column){
            .name = k2_alloc_text(name, strlen(name)),
            .id = (uint16_t)(FIRST_ADDED_ID + role),
            .kind = roles[role].kind,
            .identity = true,
            .has_default = role == K2_EPOCH,
        };
        if (self->keys[role].name == NULL) {
            return fail_memory(self);
        }
    }
    return K2_OK;
}

static enum k2_status check_unique(struct parser *self)
{
    const struct k2_schema *schema = self->schema;
    for (size_t i = 0; i < schema->column_count; i++) {
        self->field = schema->columns[i].name;
        for (size_t j = 0; j < i; j++) {
            if (strcmp(schema->columns[i].name, schema->columns[j].name) == 0) {
                return fail_field(self, "its name is there twice");
            }
            if (schema->columns[i].id == schema->columns[j].id) {
                return fail_field(self, "its field-id is there twice");
            }
        }
    }
    return K2_OK;
}

static bool names_roles(const json_t *fields)
{
    size_t index;
    json_t *field;
    json_array_foreach(fields, index, field)
    {
        const json_t *role = json_object_get(field, "k2.role");
        if (role != NULL && !is_text(field, "k2.role", "version")) {
            return true;
        }
    }
    return false;
}

static enum k2_status read_fields(struct parser *self)
{
    const json_t *fields = json_object_get(self->record, "fields");
    size_t count = json_array_size(fields);
    if (!is_text(self->record, "type", "record") || !json_is_array(fields)) {
        return k2_fail(self->error, K2_BAD_REQUEST, "%s: the schema is not an Avro record",
                       self->schema->table);
    }
    if (count + K2_KEY_COLUMN_COUNT > K2_MAX_COLUMNS) {
        return k2_fail(self->error, K2_BAD_REQUEST, "%s: more than %d fields", self->schema->table,
                       K2_MAX_COLUMNS - K2_KEY_COLUMN_COUNT);
    }
    struct k2_schema *schema = self->schema;
    schema->columns = k2_alloc_zero(count + K2_KEY_COLUMN_COUNT, sizeof *schema->columns);
    if (schema->columns == NULL) {
        return fail_memory(self);
    }
    bool by_name = !names_roles(fields);
    schema->column_count = K2_KEY_COLUMN_COUNT; // filled at the end
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        status = read_field(self, json_array_get(fields, i), i, by_name);
    }
    if (status == K2_OK) {
        status = add_missing_keys(self);
    }
    memcpy(schema->columns, self->keys, sizeof self->keys);
    return status == K2_OK ? check_unique(self) : status;
}

static enum k2_status read_table_name(struct parser *self, const char *table)
{
    char lower[MAX_TABLE_NAME_BYTES + 1];
    const char *name = table != NULL ? table : text_of(self->record, "k2.table");
    if (name == NULL) {
        const char *record = text_of(self->record, "name");
        (void)snprintf(lower, sizeof lower, "%s", record != NULL ? record : "");
        for (char *c = lower; *c != '\0'; c++) {
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
        }
        name = lower;
    }
    if (!is_name(name, MAX_TABLE_NAME_BYTES)) {
        return k2_fail(self->error, K2_BAD_REQUEST,
                       "table %.80s: a name has up to 64 letters, digits and _", name);
    }
    self->schema->table = k2_alloc_text(name, strlen(name));
    return self->schema->table != NULL ? K2_OK : fail_memory(self);
}

static enum k2_status load_record(struct parser *self, struct k2_slice json)
{
    if (json.size_bytes > MAX_SOURCE_BYTES) {
        return k2_fail(self->error, K2_BAD_REQUEST, "schema: more than %d bytes", MAX_SOURCE_BYTES);
    }
    json_error_t what;
    self->record =
        json_loadb((const char *)json.data, json.size_bytes, JSON_REJECT_DUPLICATES, &what);
    if (self->record == NULL) {
        return k2_fail(self->error, K2_BAD_REQUEST, "schema: line %d: %s", what.line, what.text);
    }
    self->schema->source = k2_alloc_text((const char *)json.data, json.size_bytes);
    return self->schema->source != NULL ? K2_OK : fail_memory(self);
}

enum k2_status k2_schema_parse(struct k2_schema **schema, const char *table, struct k2_slice json,
                               struct k2_error *error)
{
    struct parser self = {.schema = k2_alloc_zero(1, sizeof **schema), .error = error};
    if (self.schema == NULL) {
        return fail_memory(&self);
    }
    enum k2_status status = load_record(&self, json);
    if (status == K2_OK) {
        status = read_table_name(&self, table);
    }
    if (status == K2_OK) {
        status = read_fields(&self);
    }
    json_decref(self.record);
    if (status != K2_OK) {
        k2_schema_destroy(self.schema);
        return status;
    }
    *schema = self.schema;
    return K2_OK;
}
