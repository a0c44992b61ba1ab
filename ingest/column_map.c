#include "ingest/column_map.h"

#include <stdio.h>
#include <string.h>

#include "format/base/alloc.h"
#include "format/base/buffer.h"
#include "format/base/timestamp.h"

enum {
    FILE_CEILING_BYTES = 1 << 18,
    LINE_CEILING_BYTES = 4096,
    WORD_CEILING = 256, // words of a line
    CAPTURE_CEILING = 16,
    TRANSLATION_CEILING = 65536,
    VALUE_CEILING_BYTES = 1024,
};

struct constant {
    size_t column;
    char *template;
};

struct translation {
    char *capture, *from, *to;
};

struct k2_column_map {
    char *name;
    enum k2_map_header header;
    char separator;
    bool ignores_others;
    size_t field_min, field_max;
    struct k2_map_field *fields;
    size_t field_count;
    struct constant constants[K2_MAX_COLUMNS];
    size_t constant_count;
    struct translation *translations;
    size_t translation_count;
    char *path; // pattern of file names, or NULL
    char *date_template, *date_format;
    struct k2_time_zone *zone;
    char *sequence_texts[K2_MAP_SEQUENCE_COUNT]; // or NULL
};

struct line {
    struct k2_column_map *map;
    const struct k2_schema *schema;
    unsigned number;
    char *words[WORD_CEILING];
    size_t word_count;
    struct k2_error *error;
};

static enum k2_status fail_line(const struct line *line, const char *what, const char *word)
{
    return k2_fail(line->error, K2_BAD_REQUEST, "%s: line %u: %s `%.100s`", line->map->name,
                   line->number, what, word);
}

static enum k2_status copy_text(const struct line *line, char **copy, const char *text)
{
    k2_free(*copy);
    *copy = k2_alloc_text(text, strlen(text));
    return *copy != NULL ? K2_OK : k2_fail(line->error, K2_NO_MEMORY, "map: out of memory");
}

static bool read_number(const char *text, unsigned *number)
{
    size_t size = strspn(text, "0123456789");
    if (size == 0 || size > 4 || text[size] != '\0') {
        return false;
    }
    *number = 0;
    for (; *text != '\0'; text++) {
        *number = *number * 10 + (unsigned)(*text - '0');
    }
    return true;
}

// Decimals from a unit down to the nanosecond.
static bool read_unit(const char *text, unsigned *digits)
{
    static const struct {
        const char *name;
        unsigned digits;
    } units[] = {{"s", 9}, {"ms", 6}, {"us", 3}, {"ns", 0}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(units[i].name, text) == 0) {
            *digits = units[i].digits;
            return true;
        }
    }
    return false;
}

static enum k2_status read_table(struct line *line)
{
    return strcmp(line->words[1], line->schema->table) == 0
               ? K2_OK
               : fail_line(line, "this map is for another table:", line->words[1]);
}

static enum k2_status read_header(struct line *line)
{
    static const char *const names[] = {
        [K2_MAP_HEADER_NAMES] = "names",
        [K2_MAP_HEADER_NONE] = "none",
        [K2_MAP_HEADER_SKIP] = "skip",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], line->words[1]) == 0) {
            line->map->header = (enum k2_map_header)i;
            return K2_OK;
        }
    }
    return fail_line(line, "header is names, none or skip, not", line->words[1]);
}

static enum k2_status read_separator(struct line *line)
{
    const char *word = line->words[1];
    bool tab = strcmp(word, "tab") == 0;
    if (!tab && (strlen(word) != 1 || word[0] == '"')) {
        return fail_line(line, "separator is one character or tab, not", word);
    }
    line->map->separator = (char)(tab ? '\t' : word[0]);
    return K2_OK;
}

static enum k2_status read_zone(struct line *line)
{
    if (line->map->zone != NULL) {
        return fail_line(line, "a second zone", line->words[1]);
    }
    return k2_time_zone_load(&line->map->zone, line->words[1], line->error);
}

static enum k2_status read_range(struct line *line)
{
    unsigned min, max;
    const char *last = line->words[line->word_count - 1];
    if (!read_number(line->words[1], &min) || !read_number(last, &max) || min > max) {
        return fail_line(line, "no number of fields:", line->words[1]);
    }
    line->map->field_min = min;
    line->map->field_max = max;
    return K2_OK;
}

static enum k2_status read_others(struct line *line)
{
    if (strcmp(line->words[1], "ignore") != 0) {
        return fail_line(line, "others can only be ignored, not", line->words[1]);
    }
    line->map->ignores_others = true;
    return K2_OK;
}

static enum k2_status read_sequence(struct line *line)
{
    enum k2_map_sequence member = line->words[0][0] == 's'   ? K2_MAP_SEQUENCE
                                  : line->words[0][0] == 'e' ? K2_MAP_EPOCH_RULE
                                                             : K2_MAP_DOMAIN;
    return copy_text(line, &line->map->sequence_texts[member], line->words[1]);
}

static enum k2_status read_path(struct line *line)
{
    return copy_text(line, &line->map->path, line->words[1]);
}

static enum k2_status read_date(struct line *line)
{
    if (line->word_count != 3) {
        return fail_line(line, "date takes a template and a format, not", line->words[1]);
    }
    enum k2_status status = copy_text(line, &line->map->date_template, line->words[1]);
    return status == K2_OK ? copy_text(line, &line->map->date_format, line->words[2]) : status;
}

static enum k2_status read_constant(struct line *line)
{
    struct k2_column_map *map = line->map;
    int column = k2_schema_find(line->schema, k2_slice_of(line->words[1]));
    if (line->word_count != 3 || column < 0 || map->constant_count == K2_MAX_COLUMNS) {
        return fail_line(line, "set takes a column and a text, not", line->words[1]);
    }
    map->constants[map->constant_count] = (struct constant){.column = (size_t)column};
    map->constant_count++;
    return copy_text(line, &map->constants[map->constant_count - 1].template, line->words[2]);
}

static enum k2_status read_translations(struct line *line)
{
    struct k2_column_map *map = line->map;
    size_t count = map->translation_count + line->word_count - 2;
    struct translation *translations =
        count > TRANSLATION_CEILING
            ? NULL
            : k2_realloc(map->translations, count, sizeof *map->translations);
    if (translations == NULL) {
        return k2_fail(line->error, K2_NO_MEMORY, "map: out of memory at %zu translations", count);
    }
    map->translations = translations;
    for (size_t i = 2; i < line->word_count; i++) {
        char *equals = strchr(line->words[i], '=');
        if (equals == NULL) {
            return fail_line(line, "a translation is FROM=TO, not", line->words[i]);
        }
        *equals = '\0';
        struct translation *translation = &translations[map->translation_count++];
        *translation = (struct translation){0};
        enum k2_status status = copy_text(line, &translation->capture, line->words[1]);
        if (status == K2_OK) {
            status = copy_text(line, &translation->from, line->words[i]);
        }
        if (status == K2_OK) {
            status = copy_text(line, &translation->to, equals + 1);
        }
        if (status != K2_OK) {
            return status;
        }
    }
    return K2_OK;
}

// `price`, `trade_conditions[]` or `vendor_data.venue`.
static enum k2_status read_column(struct line *line, char *word, struct k2_map_field *field)
{
    char *bracket = strstr(word, "[]"), *dot = strchr(word, '.');
    enum k2_json_shape shape = K2_JSON_ANY;
    if (bracket != NULL && bracket[2] == '\0') {
        field->target = K2_MAP_ELEMENT;
        shape = K2_JSON_STRINGS;
        *bracket = '\0';
    } else if (dot != NULL) {
        field->target = K2_MAP_MEMBER;
        shape = K2_JSON_STRING_MAP;
        *dot = '\0';
        enum k2_status status = copy_text(line, &field->member, dot + 1);
        if (status != K2_OK) {
            return status;
        }
    }
    int column = k2_schema_find(line->schema, k2_slice_of(word));
    if (column < 0) {
        return fail_line(line, "no such column:", word);
    }
    field->column = (size_t)column;
    if (shape != K2_JSON_ANY && line->schema->columns[column].shape != shape) {
        return fail_line(line, "not an array or map of texts:", word);
    }
    return K2_OK;
}

// What stands behind the column: a unit, `/1000`, `null=TEXT`.
static enum k2_status read_field_option(struct line *line, char *word, struct k2_map_field *field)
{
    bool key = field->column < K2_KEY_COLUMN_COUNT;
    if (field->target == K2_MAP_DATE) {
        return copy_text(line, &field->format, word);
    }
    if (field->target == K2_MAP_TIME && read_unit(word, &field->unit_digits)) {
        return K2_OK;
    }
    if (field->target == K2_MAP_COLUMN && field->column == K2_TIMESTAMP &&
        read_unit(word, &field->unit_digits)) {
        field->target = K2_MAP_EPOCH_TIME;
        return K2_OK;
    }
    if (field->target == K2_MAP_COLUMN && !key && strncmp(word, "null=", 5) == 0) {
        return copy_text(line, &field->null_text, word + 5);
    }
    const struct k2_column *column = &line->schema->columns[field->column];
    size_t zeros = word[0] == '/' && word[1] == '1' ? strspn(word + 2, "0") : 0;
    if (field->target == K2_MAP_COLUMN && column->kind == K2_KIND_DECIMAL64 && zeros > 0 &&
        zeros <= column->scale && word[2 + zeros] == '\0') {
        field->divisor_digits = (unsigned)zeros;
        return K2_OK;
    }
    return fail_line(line, "does not go with this field:", word);
}

static enum k2_status read_field(struct line *line)
{
    struct k2_column_map *map = line->map;
    if (line->word_count < 3 || map->field_count == K2_MAP_FIELD_CEILING) {
        return fail_line(line, "field takes a number or name and a column, not", line->words[1]);
    }
    struct k2_map_field *fields =
        k2_realloc(map->fields, map->field_count + 1, sizeof *map->fields);
    if (fields == NULL) {
        return k2_fail(line->error, K2_NO_MEMORY, "map: out of memory");
    }
    map->fields = fields;
    struct k2_map_field *field = &fields[map->field_count++];
    *field = (struct k2_map_field){.unit_digits = K2_MAP_NO_UNIT};
    enum k2_status status = K2_OK;
    if (!read_number(line->words[1], &field->number)) {
        status = copy_text(line, &field->name, line->words[1]);
    } else if (field->number == 0) {
        return fail_line(line, "fields count from 1, not", line->words[1]);
    }
    if (status != K2_OK) {
        return status;
    }
    if (strcmp(line->words[2], "@date") == 0) {
        field->target = K2_MAP_DATE;
    } else if (strcmp(line->words[2], "@time") == 0) {
        field->target = K2_MAP_TIME;
    } else {
        status = read_column(line, line->words[2], field);
    }
    for (size_t i = 3; i < line->word_count && status == K2_OK; i++) {
        status = read_field_option(line, line->words[i], field);
    }
    if (status == K2_OK && field->target == K2_MAP_DATE && field->format == NULL) {
        status = fail_line(line, "@date takes a format such as YYYYMMDD, not", "nothing");
    }
    return status;
}

static enum k2_status read_line(struct line *line)
{
    static const struct {
        const char *word;
        enum k2_status (*read)(struct line *line);
    } directives[] = {
        {"table", read_table},         {"header", read_header},
        {"separator", read_separator}, {"zone", read_zone},
        {"fields", read_range},        {"others", read_others},
        {"path", read_path},           {"sequence", read_sequence},
        {"epoch", read_sequence},      {"domain", read_sequence},
        {"date", read_date},           {"set", read_constant},
        {"field", read_field},         {"translate", read_translations},
    };
    for (size_t i = 0; i < sizeof directives / sizeof directives[0]; i++) {
        if (strcmp(directives[i].word, line->words[0]) == 0) {
            return line->word_count >= 2 ? directives[i].read(line)
                                         : fail_line(line, "nothing follows", line->words[0]);
        }
    }
    return fail_line(line, "unknown word", line->words[0]);
}

// Cuts `text` into words at blanks; `#` begins a comment.
static enum k2_status split_line(struct line *line, char *text)
{
    line->word_count = 0;
    for (char *rest = text;;) {
        rest += strspn(rest, " \t\r");
        if (*rest == '\0' || *rest == '#') {
            return K2_OK;
        }
        if (line->word_count == WORD_CEILING) {
            return fail_line(line, "too many words behind", line->words[0]);
        }
        line->words[line->word_count++] = rest;
        rest += strcspn(rest, " \t\r");
        if (*rest != '\0') {
            *rest++ = '\0';
        }
    }
}

// Each column comes from one field, or from the parts of one array or map; and a time of day has
// its date.
static enum k2_status check_targets(const struct k2_column_map *map, struct k2_error *error)
{
    size_t parts = 0, targets[K2_MAP_TARGET_COUNT] = {0};
    for (size_t i = 0; i < map->field_count; i++) {
        const struct k2_map_field *field = &map->fields[i];
        targets[field->target]++;
        bool part = field->target == K2_MAP_ELEMENT || field->target == K2_MAP_MEMBER;
        parts += part;
        for (size_t j = 0; j < i; j++) {
            const struct k2_map_field *other = &map->fields[j];
            bool columns = (part || field->target == K2_MAP_COLUMN) &&
                           (other->target == K2_MAP_COLUMN || other->target == K2_MAP_ELEMENT ||
                            other->target == K2_MAP_MEMBER);
            if (columns && field->column == other->column && other->target != field->target) {
                return k2_fail(error, K2_BAD_REQUEST,
                               "%s: a field gives a part of what another "
                               "gives whole",
                               map->name);
            }
            if (columns && !part && field->column == other->column) {
                return k2_fail(error, K2_BAD_REQUEST, "%s: two fields give the same column",
                               map->name);
            }
        }
    }
    if (parts > K2_MAP_PART_CEILING) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: more than %d elements and members", map->name,
                       K2_MAP_PART_CEILING);
    }
    size_t times = targets[K2_MAP_TIME] + targets[K2_MAP_EPOCH_TIME];
    bool dated = targets[K2_MAP_DATE] > 0 || map->date_template != NULL;
    if (times > 1 || targets[K2_MAP_DATE] > 1 || (targets[K2_MAP_TIME] > 0 && !dated)) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: one @time and one @date, or one timestamp",
                       map->name);
    }
    return K2_OK;
}

// What only the whole map can tell.
static enum k2_status check_map(struct k2_column_map *map, struct k2_error *error)
{
    bool numbers = map->header != K2_MAP_HEADER_NAMES;
    size_t highest = 0;
    for (size_t i = 0; i < map->field_count; i++) {
        const struct k2_map_field *field = &map->fields[i];
        if (numbers != (field->number > 0)) {
            return k2_fail(error, K2_BAD_REQUEST,
                           "%s: fields have names with `header names`, else numbers", map->name);
        }
        highest = field->number > highest ? field->number : highest;
    }
    if (map->field_count == 0) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: no field line", map->name);
    }
    if (map->field_max == 0) {
        map->field_min = map->field_max = highest;
    } else if (numbers && highest > map->field_max) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: field %zu is beyond `fields`", map->name,
                       highest);
    }
    enum k2_status status = check_targets(map, error);
    if (status == K2_OK && map->zone == NULL) {
        status = k2_time_zone_load(&map->zone, "UTC", error);
    }
    return status;
}

static enum k2_status parse_lines(struct k2_column_map *map, struct k2_slice text,
                                  const struct k2_schema *schema, struct k2_error *error)
{
    struct line line = {.map = map, .schema = schema, .error = error};
    const char *at = (const char *)text.data, *end = at + text.size_bytes;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((stop == NULL ? end : stop) - at);
        char copy[LINE_CEILING_BYTES];
        line.number++;
        if (size >= sizeof copy || memchr(at, '\0', size) != NULL) {
            return fail_line(&line, "no line of text:", "");
        }
        memcpy(copy, at, size);
        copy[size] = '\0';
        enum k2_status status = split_line(&line, copy);
        if (status == K2_OK && line.word_count > 0) {
            status = read_line(&line);
        }
        if (status != K2_OK) {
            return status;
        }
        at += size + (stop != NULL);
    }
    return check_map(map, error);
}

enum k2_status k2_column_map_parse(struct k2_column_map **map, const char *name,
                                   struct k2_slice text, const struct k2_schema *schema,
                                   struct k2_error *error)
{
    struct k2_column_map *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "%s: out of memory", name);
    }
    self->separator = ',';
    self->name = k2_alloc_text(name, strlen(name));
    enum k2_status status = self->name != NULL
                                ? parse_lines(self, text, schema, error)
                                : k2_fail(error, K2_NO_MEMORY, "%s: out of memory", name);
    if (status != K2_OK) {
        k2_column_map_destroy(self);
        return status;
    }
    *map = self;
    return K2_OK;
}

enum k2_status k2_column_map_read(struct k2_column_map **map, const char *path,
                                  const struct k2_schema *schema, struct k2_error *error)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return k2_fail(error, K2_NOT_FOUND, "map %s: cannot be opened", path);
    }
    uint8_t *bytes = k2_alloc(FILE_CEILING_BYTES);
    size_t size = bytes == NULL ? 0 : fread(bytes, 1, FILE_CEILING_BYTES, file);
    bool bad = bytes == NULL || ferror(file) != 0 || size == FILE_CEILING_BYTES;
    (void)fclose(file);
    enum k2_status status =
        bad ? k2_fail(error, K2_BAD_REQUEST, "map %s: cannot be read, or is too long", path)
            : k2_column_map_parse(map, path, (struct k2_slice){bytes, size}, schema, error);
    k2_free(bytes);
    return status;
}

void k2_column_map_destroy(struct k2_column_map *map)
{
    if (map == NULL) {
        return;
    }
    for (size_t i = 0; i < map->field_count; i++) {
        k2_free(map->fields[i].name);
        k2_free(map->fields[i].format);
        k2_free(map->fields[i].member);
        k2_free(map->fields[i].null_text);
    }
    for (size_t i = 0; i < map->constant_count; i++) {
        k2_free(map->constants[i].template);
    }
    for (size_t i = 0; i < map->translation_count; i++) {
        k2_free(map->translations[i].capture);
        k2_free(map->translations[i].from);
        k2_free(map->translations[i].to);
    }
    k2_free(map->fields);
    k2_free(map->translations);
    k2_free(map->path);
    k2_free(map->date_template);
    k2_free(map->date_format);
    k2_time_zone_destroy(map->zone);
    for (size_t i = 0; i < K2_MAP_SEQUENCE_COUNT; i++) {
        k2_free(map->sequence_texts[i]);
    }
    k2_free(map->name);
    k2_free(map);
}

enum k2_map_header k2_column_map_header(const struct k2_column_map *map)
{
    return map->header;
}

char k2_column_map_separator(const struct k2_column_map *map)
{
    return map->separator;
}

bool k2_column_map_ignores_others(const struct k2_column_map *map)
{
    return map->ignores_others;
}

const struct k2_map_field *k2_column_map_fields(const struct k2_column_map *map, size_t *count)
{
    *count = map->field_count;
    return map->fields;
}

const char *k2_column_map_sequence(const struct k2_column_map *map, enum k2_map_sequence member)
{
    return map->sequence_texts[member];
}

const struct k2_time_zone *k2_column_map_zone(const struct k2_column_map *map)
{
    return map->zone;
}

void k2_column_map_field_range(const struct k2_column_map *map, size_t *min, size_t *max)
{
    *min = map->field_min;
    *max = map->field_max;
}

// A part of a file's name that the pattern has captured; borrowed.
struct capture {
    const char *name, *value;
    size_t name_size, value_size;
};

struct captures {
    struct capture items[CAPTURE_CEILING];
    size_t count;
};

// Matches one name against one pattern; `{x}` and `*` take as few characters as they can, none of
// them a slash.
static bool match(const char *pattern, const char *text, struct captures *captures)
{
    while (*pattern != '\0' && *pattern != '{' && *pattern != '*') {
        if (*pattern++ != *text++) {
            return false;
        }
    }
    if (*pattern == '\0') {
        return *text == '\0';
    }
    const char *close = *pattern == '{' ? strchr(pattern, '}') : pattern;
    if (close == NULL || captures->count == CAPTURE_CEILING) {
        return false;
    }
    size_t place = captures->count++;
    for (size_t size = 1; text[size - 1] != '\0' && text[size - 1] != '/'; size++) {
        captures->items[place] = (struct capture){
            .name = pattern + 1,
            .name_size = close == pattern ? 0 : (size_t)(close - pattern) - 1,
            .value = text,
            .value_size = size,
        };
        if (match(close + 1, text + size, captures)) {
            return true;
        }
        captures->count = place + 1;
    }
    captures->count = place;
    return false;
}

// Matches as many of the name's last parts as the pattern has.
static bool match_path(const char *pattern, const char *name, struct captures *captures)
{
    size_t slashes = 0;
    for (const char *c = pattern; *c != '\0'; c++) {
        slashes += *c == '/';
    }
    const char *begin = name + strlen(name);
    while (begin > name && (begin[-1] != '/' || slashes-- > 0)) {
        begin--;
    }
    captures->count = 0;
    return match(pattern, begin, captures);
}

static bool translate(const struct k2_column_map *map, const struct capture *capture,
                      char value[VALUE_CEILING_BYTES])
{
    bool any = false;
    for (size_t i = 0; i < map->translation_count; i++) {
        const struct translation *translation = &map->translations[i];
        if (strlen(translation->capture) != capture->name_size ||
            memcmp(translation->capture, capture->name, capture->name_size) != 0) {
            continue;
        }
        any = true;
        if (strcmp(translation->from, value) == 0) {
            (void)snprintf(value, VALUE_CEILING_BYTES, "%s", translation->to);
            return true;
        }
    }
    return !any; // without a list for this name, it stays
}

static void make_upper(char *text)
{
    for (; *text != '\0'; text++) {
        *text = (char)(*text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text);
    }
}

// The value of `{name}` or `{name:upper}` at `at`.
static enum k2_status expand_one(const struct k2_column_map *map, const struct captures *captures,
                                 const char *at, size_t size, char value[VALUE_CEILING_BYTES],
                                 struct k2_error *error)
{
    const char *colon = memchr(at, ':', size);
    size_t name_size = colon == NULL ? size : (size_t)(colon - at);
    bool upper = colon != NULL && size - name_size == 6 && memcmp(colon, ":upper", 6) == 0;
    for (size_t i = 0; i < captures->count && (upper || colon == NULL); i++) {
        const struct capture *capture = &captures->items[i];
        if (capture->name_size != name_size || memcmp(capture->name, at, name_size) != 0) {
            continue;
        }
        (void)snprintf(value, VALUE_CEILING_BYTES, "%.*s", (int)capture->value_size,
                       capture->value);
        if (!translate(map, capture, value)) {
            return k2_fail(error, K2_BAD_REQUEST,
                           "%s: no translation of `%.100s`; add one, or give the column as an "
                           "option such as --symbol",
                           map->name, value);
        }
        if (upper) {
            make_upper(value);
        }
        return K2_OK;
    }
    return k2_fail(error, K2_BAD_REQUEST, "%s: its path has no {%.*s}", map->name, (int)size, at);
}

static enum k2_status expand(const struct k2_column_map *map, const struct captures *captures,
                             const char *template, char **text, struct k2_error *error)
{
    struct k2_buffer out;
    k2_buffer_init(&out, 1 << 16);
    enum k2_status status = K2_OK;
    while (*template != '\0' && status == K2_OK) {
        const char *close = *template == '{' ? strchr(template, '}') : NULL;
        if (close == NULL) {
            k2_put_u8(&out, (uint8_t) * template ++);
            continue;
        }
        char value[VALUE_CEILING_BYTES] = "";
        status =
            expand_one(map, captures, template + 1, (size_t)(close - template) - 1, value, error);
        k2_put_text(&out, value);
        template = close + 1;
    }
    if (status == K2_OK) {
        status = k2_buffer_check(&out, map->name, error);
    }
    if (status == K2_OK) {
        *text = k2_alloc_text((const char *)out.data, out.size_bytes);
        status = *text != NULL ? K2_OK : k2_fail(error, K2_NO_MEMORY, "map: out of memory");
    }
    k2_buffer_deinit(&out);
    return status;
}

static enum k2_status expand_date(const struct k2_column_map *map, const struct captures *captures,
                                  struct k2_map_constants *constants, struct k2_error *error)
{
    char *text = NULL;
    enum k2_status status = expand(map, captures, map->date_template, &text, error);
    if (status == K2_OK &&
        !k2_map_parse_date(map->date_format, k2_slice_of(text), &constants->date_days)) {
        status = k2_fail(error, K2_BAD_REQUEST, "%s: `%.100s` is no date %s", map->name, text,
                         map->date_format);
    }
    constants->has_date = status == K2_OK;
    k2_free(text);
    return status;
}

enum k2_status k2_column_map_constants(const struct k2_column_map *map, const char *file_name,
                                       const bool *given, struct k2_map_constants *constants,
                                       struct k2_error *error)
{
    *constants = (struct k2_map_constants){0};
    struct captures captures = {.count = 0};
    enum k2_status status = K2_OK;
    if (map->path != NULL && !match_path(map->path, file_name, &captures)) {
        captures.count = 0; // an error only where something is needed from it
    }
    for (size_t i = 0; i < map->constant_count && status == K2_OK; i++) {
        size_t column = map->constants[i].column;
        if (!given[column] && constants->texts[column] == NULL) {
            status = expand(map, &captures, map->constants[i].template, &constants->texts[column],
                            error);
        }
    }
    if (status == K2_OK && map->date_template != NULL) {
        status = expand_date(map, &captures, constants, error);
    }
    if (status != K2_OK) {
        if (map->path != NULL && captures.count == 0) {
            (void)k2_fail(error, K2_BAD_REQUEST,
                          "%s: does not match the path %s of map %s, which says what it is",
                          file_name, map->path, map->name);
        }
        k2_map_constants_deinit(constants);
    }
    return status;
}

void k2_map_constants_deinit(struct k2_map_constants *constants)
{
    for (size_t i = 0; i < K2_MAX_COLUMNS; i++) {
        k2_free(constants->texts[i]);
    }
    *constants = (struct k2_map_constants){0};
}

bool k2_map_parse_date(const char *format, struct k2_slice text, int64_t *days)
{
    unsigned year = 0, month = 0, day = 0;
    size_t size = strlen(format);
    if (size != text.size_bytes) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        unsigned *part = format[i] == 'Y'   ? &year
                         : format[i] == 'M' ? &month
                         : format[i] == 'D' ? &day
                                            : NULL;
        uint8_t c = text.data[i];
        if (part == NULL ? c != (uint8_t)format[i] : c < '0' || c > '9' || *part > 9999) {
            return false;
        }
        if (part != NULL) {
            *part = *part * 10 + (unsigned)(c - '0');
        }
    }
    return k2_date_to_days((int)year, month, day, days);
}
