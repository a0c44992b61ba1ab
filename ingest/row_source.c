#include "ingest/row_source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "format/base/alloc.h"
#include "ingest/csv_reader.h"
#include "ingest/field_binding.h"
#include "ingest/input_file.h"
#include "ingest/ndjson_reader.h"
#include "ingest/row_builder.h"

enum { BATCH_TEXT_BYTES = 64 << 20, KEY_MEMO = 64 };

struct k2_row_source {
    struct k2_row_source_options options;
    size_t path_index; // of the next file to open
    struct k2_input_file *file;
    bool member_open;
    char *name; // of the member that the last batch came from; owned
    bool json;  // the member is NDJSON
    struct k2_csv_reader *lines;
    struct k2_ndjson_reader members;
    struct k2_field_binding *binding;
    struct k2_row_builder *builder;
    struct k2_map_constants constants;
    bool given[K2_MAX_COLUMNS];             // columns that options say
    int16_t key_memo[KEY_MEMO];             // columns of the last object's keys, by place
    bool seen[K2_MAX_COLUMNS];              // columns of this object
    bool seen_mapped[K2_MAP_FIELD_CEILING]; // fields of the map in this object
    bool any_row;                           // of this member
    bool seen_op;                           // of this object
    uint64_t rows_read, rejected, total_bytes, done_bytes;
};

static enum k2_status read_input(void *context, uint8_t *bytes, size_t room_bytes,
                                 size_t *size_bytes, struct k2_error *error)
{
    struct k2_row_source *self = context;
    return k2_input_file_read(self->file, bytes, room_bytes, size_bytes, error);
}

static enum k2_status reject(struct k2_row_source *self, const struct k2_csv_record *record,
                             const char *reason, const char *detail, struct k2_error *error)
{
    self->rows_read++;
    self->rejected++;
    if (self->options.reject == NULL) {
        return K2_OK;
    }
    struct k2_row_reject row = {
        .file = self->name,
        .line = record->line,
        .reason = reason,
        .detail = detail,
        .raw = record->raw,
    };
    return self->options.reject(self->options.reject_context, &row, error);
}

// Files and members ------------------------------------------------------------------------------

static enum k2_status read_header(struct k2_row_source *self, struct k2_error *error)
{
    struct k2_csv_record record;
    enum k2_status status = k2_csv_reader_next(self->lines, &record, error);
    if (status != K2_OK || record.kind == K2_CSV_END) {
        return status; // an empty file has no rows
    }
    if (record.kind == K2_CSV_BAD) {
        return k2_fail(error, K2_BAD_REQUEST, "the header cannot be read: %s", record.reason);
    }
    const struct k2_column_map *map = self->options.map;
    if (map != NULL && k2_column_map_header(map) == K2_MAP_HEADER_SKIP) {
        return k2_field_binding_by_number(self->binding, error);
    }
    return k2_field_binding_by_header(self->binding, record.fields, record.field_count, error);
}

static enum k2_status start_csv(struct k2_row_source *self, struct k2_error *error)
{
    const struct k2_column_map *map = self->options.map;
    bool header = map == NULL || k2_column_map_header(map) != K2_MAP_HEADER_NONE;
    enum k2_status status =
        header ? read_header(self, error) : k2_field_binding_by_number(self->binding, error);
    if (status == K2_OK) {
        status = k2_field_binding_check(self->binding, self->builder, error);
    }
    if (status == K2_OK) {
        bool has_sequence = k2_field_binding_has(self->binding, K2_SEQUENCE);
        k2_row_builder_set_numbering(self->builder,
                                     has_sequence ? K2_NUMBERING_SPARSE : K2_NUMBERING_ORDINAL);
    }
    return status;
}

static enum k2_status start_json(struct k2_row_source *self, struct k2_error *error)
{
    const struct k2_column_map *map = self->options.map;
    if (map != NULL && k2_column_map_header(map) != K2_MAP_HEADER_NAMES) {
        return k2_fail(error, K2_BAD_REQUEST, "is NDJSON, but the map counts fields");
    }
    memset(self->key_memo, 0, sizeof self->key_memo);
    return K2_OK;
}

// Begins the member that k2_input_file_next has found.
static enum k2_status start_member(struct k2_row_source *self, struct k2_error *error)
{
    const char *name = k2_input_file_name(self->file);
    k2_free(self->name);
    self->name = k2_alloc_text(name, strlen(name));
    if (self->name == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "out of memory");
    }
    self->any_row = false;
    k2_csv_reader_restart(self->lines);
    k2_map_constants_deinit(&self->constants);
    enum k2_status status = K2_OK;
    if (self->options.map != NULL) {
        status =
            k2_column_map_constants(self->options.map, name, self->given, &self->constants, error);
    }
    uint8_t first = 0;
    if (status == K2_OK) {
        k2_row_builder_start_file(self->builder, &self->constants);
        status = k2_csv_reader_peek(self->lines, &first, error);
    }
    self->json = self->options.format == K2_ROW_FORMAT_NDJSON ||
                 (self->options.format == K2_ROW_FORMAT_AUTO && first == '{');
    if (status == K2_OK && first != 0) {
        status = self->json ? start_json(self, error) : start_csv(self, error);
    }
    self->member_open = status == K2_OK;
    return status;
}

// Goes to the next member of any file; `*end`: there is none.
static enum k2_status advance(struct k2_row_source *self, bool *end, struct k2_error *error)
{
    self->member_open = false;
    *end = false;
    for (;;) {
        bool found = false;
        enum k2_status status = K2_OK;
        if (self->file != NULL) {
            status = k2_input_file_next(self->file, &found, error);
        }
        if (status == K2_OK && found) {
            status = start_member(self, error);
            if (status != K2_OK) {
                k2_error_annotate(error, "%s", k2_input_file_name(self->file));
            }
            return status;
        }
        if (status != K2_OK) {
            return status;
        }
        if (self->file != NULL) {
            uint64_t total = k2_input_file_total_bytes(self->file);
            self->done_bytes += total > 0 ? total : k2_input_file_done_bytes(self->file);
            k2_input_file_close(self->file);
            self->file = NULL;
        }
        *end = self->path_index == self->options.path_count;
        if (*end) {
            return K2_OK;
        }
        status = k2_input_file_open(&self->file, self->options.paths[self->path_index++], error);
        if (status != K2_OK) {
            return status;
        }
    }
}

// All files are there before the first one is read.
static enum k2_status check_files(struct k2_row_source *self, struct k2_error *error)
{
    bool known = true;
    for (size_t i = 0; i < self->options.path_count; i++) {
        const char *path = self->options.paths[i];
        struct stat about = {0};
        if (strcmp(path, "-") != 0 && stat(path, &about) != 0) {
            return k2_fail_errno(error, errno, "%s", path);
        }
        known = known && S_ISREG(about.st_mode);
        self->total_bytes += (uint64_t)about.st_size;
    }
    self->total_bytes = known ? self->total_bytes : 0;
    return K2_OK;
}

static void mark_given(struct k2_row_source *self, const char *column, const char *value)
{
    int index = k2_schema_find(self->options.schema, k2_slice_of(column));
    if (value != NULL && index >= 0) {
        self->given[index] = true;
    }
}

static enum k2_status start(struct k2_row_source *self, struct k2_error *error)
{
    const struct k2_row_source_options *options = &self->options;
    mark_given(self, options->schema->columns[K2_EXCHANGE].name, options->exchange);
    mark_given(self, options->schema->columns[K2_SYMBOL].name, options->symbol);
    mark_given(self, "asset_class", options->asset_class);
    mark_given(self, "currency", options->currency);
    char separator = (char)(options->map == NULL ? ',' : k2_column_map_separator(options->map));
    enum k2_status status = check_files(self, error);
    if (status == K2_OK) {
        status = k2_csv_reader_create(&self->lines, read_input, self, separator, error);
    }
    if (status == K2_OK) {
        status = k2_row_builder_create(&self->builder, options, error);
    }
    if (status == K2_OK) {
        status = k2_field_binding_create(&self->binding, options, error);
    }
    bool end;
    return status == K2_OK ? advance(self, &end, error) : status;
}

enum k2_status k2_row_source_open(struct k2_row_source **source,
                                  const struct k2_row_source_options *options,
                                  struct k2_error *error)
{
    struct k2_row_source *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "rows: out of memory");
    }
    self->options = *options;
    k2_ndjson_reader_init(&self->members);
    enum k2_status status = start(self, error);
    if (status != K2_OK) {
        k2_row_source_close(self);
        return status;
    }
    *source = self;
    return K2_OK;
}

void k2_row_source_close(struct k2_row_source *source)
{
    if (source == NULL) {
        return;
    }
    k2_input_file_close(source->file);
    k2_csv_reader_destroy(source->lines);
    k2_ndjson_reader_deinit(&source->members);
    k2_field_binding_destroy(source->binding);
    k2_row_builder_destroy(source->builder);
    k2_map_constants_deinit(&source->constants);
    k2_free(source->name);
    k2_free(source);
}

// Rows -------------------------------------------------------------------------------------------

// Ends a row that the builder has all of: into the batch, or told as rejected.
static enum k2_status finish_row(struct k2_row_source *self, struct k2_row_batch *batch,
                                 const struct k2_csv_record *record, struct k2_error *error)
{
    struct k2_row_refusal refusal;
    enum k2_status status =
        k2_row_builder_finish(self->builder, batch, record->line, record->raw, &refusal, error);
    if (status != K2_OK) {
        return status;
    }
    self->any_row = true;
    if (refusal.reason != NULL) {
        return reject(self, record, refusal.reason, refusal.detail, error);
    }
    self->rows_read++;
    return K2_OK;
}

static enum k2_status take_csv_row(struct k2_row_source *self, struct k2_row_batch *batch,
                                   struct k2_csv_record *record, struct k2_error *error)
{
    size_t min, max;
    k2_field_binding_range(self->binding, &min, &max);
    if (record->field_count < min || record->field_count > max) {
        char detail[100];
        (void)snprintf(detail, sizeof detail, "the row has %zu fields, not %zu",
                       record->field_count, min);
        k2_csv_reader_retreat(self->lines, record);
        return reject(self, record, "field_count", detail, error);
    }
    k2_row_builder_start(self->builder);
    k2_field_binding_put(self->binding, record->fields, record->field_count, self->builder);
    return finish_row(self, batch, record, error);
}

// The column of the key at `place` of an object, or -1. Objects of one file look alike.
static int find_key(struct k2_row_source *self, struct k2_slice key, size_t place)
{
    const struct k2_schema *schema = self->options.schema;
    if (place < KEY_MEMO) {
        int guess = self->key_memo[place];
        if (k2_slice_equal(k2_slice_of(schema->columns[guess].name), key)) {
            return guess;
        }
    }
    int column = k2_schema_find(schema, key);
    if (place < KEY_MEMO && column >= 0) {
        self->key_memo[place] = (int16_t)column;
    }
    return column;
}

// Gives a member to the fields of the map that have its name.
static bool put_mapped(struct k2_row_source *self, const struct k2_ndjson_member *member,
                       bool *twice)
{
    size_t count = 0;
    bool found = false;
    const struct k2_map_field *fields =
        self->options.map == NULL ? NULL : k2_column_map_fields(self->options.map, &count);
    for (size_t i = 0; i < count; i++) {
        if (k2_slice_equal(k2_slice_of(fields[i].name), member->key)) {
            struct k2_slice text = member->text;
            text.size_bytes = member->type == K2_JSON_TYPE_NULL ? 0 : text.size_bytes;
            found = true;
            *twice = self->seen_mapped[i];
            if (!*twice) {
                k2_row_builder_set_mapped(self->builder, &fields[i], text);
                self->seen_mapped[i] = true;
            }
        }
    }
    return found;
}

// NULL, or why the row can not be taken.
static const char *put_member(struct k2_row_source *self, const struct k2_ndjson_member *member,
                              size_t place)
{
    bool twice = false;
    if (put_mapped(self, member, &twice)) {
        return twice ? "duplicate_key" : NULL;
    }
    int column = find_key(self, member->key, place);
    if (column < 0 && k2_slice_equal(member->key, k2_slice_of("_op"))) {
        bool again = self->seen_op;
        self->seen_op = true;
        k2_row_builder_set_op(self->builder, member->text);
        return again ? "duplicate_key" : NULL;
    }
    if (column < 0) {
        bool ignored =
            self->options.ignore_unknown ||
            (self->options.map != NULL && k2_column_map_ignores_others(self->options.map));
        return ignored ? NULL : "unknown_field";
    }
    if (self->seen[column]) {
        return "duplicate_key";
    }
    self->seen[column] = true;
    if (member->type == K2_JSON_TYPE_NULL) {
        return NULL;
    }
    bool json = self->options.schema->columns[column].kind == K2_KIND_JSON;
    bool container = member->type == K2_JSON_TYPE_OBJECT || member->type == K2_JSON_TYPE_ARRAY;
    struct k2_cell cell = {
        .text = json ? member->value : member->text,
        .present = true,
        .json = json || container,
    };
    k2_row_builder_set(self->builder, (size_t)column, cell);
    return NULL;
}

static enum k2_status take_json_row(struct k2_row_source *self, struct k2_row_batch *batch,
                                    const struct k2_csv_record *record, struct k2_error *error)
{
    enum k2_status status = k2_ndjson_reader_start(&self->members, record->raw, error);
    if (status != K2_OK) {
        return status;
    }
    struct k2_ndjson_member member;
    k2_row_builder_start(self->builder);
    memset(self->seen, 0, self->options.schema->column_count);
    self->seen_op = false;
    if (self->options.map != NULL) {
        memset(self->seen_mapped, 0, sizeof self->seen_mapped);
    }
    for (size_t place = 0; k2_ndjson_reader_next(&self->members, &member); place++) {
        const char *reason = put_member(self, &member, place);
        if (reason == NULL) {
            continue;
        }
        int shown = member.key.size_bytes > 100 ? 100 : (int)member.key.size_bytes;
        if (!self->any_row && strcmp(reason, "unknown_field") == 0) {
            return k2_fail(error, K2_BAD_REQUEST,
                           "%s: line %llu: `%.*s` is no column of %s; skip such fields with "
                           "--ignore-unknown, or name them in a map file",
                           self->name, (unsigned long long)record->line, shown,
                           (const char *)member.key.data, self->options.schema->table);
        }
        char detail[160];
        (void)snprintf(detail, sizeof detail, "the key %.*s", shown, (const char *)member.key.data);
        return reject(self, record, reason, detail, error);
    }
    if (self->members.failed) {
        return reject(self, record, "bad_json", "the line is no JSON object", error);
    }
    return finish_row(self, batch, record, error);
}

static enum k2_status take_row(struct k2_row_source *self, struct k2_row_batch *batch, bool *end,
                               struct k2_error *error)
{
    struct k2_csv_record record;
    enum k2_status status = self->json ? k2_csv_reader_next_line(self->lines, &record, error)
                                       : k2_csv_reader_next(self->lines, &record, error);
    *end = status == K2_OK && record.kind == K2_CSV_END;
    if (status != K2_OK || *end) {
        return status;
    }
    if (record.kind == K2_CSV_BAD) {
        bool long_row = strcmp(record.reason, "too_long") == 0;
        return reject(self, &record, record.reason,
                      long_row ? "the row has more than 1 MiB"
                               : "a quoted field does not end, or is not followed by a separator",
                      error);
    }
    return self->json ? take_json_row(self, batch, &record, error)
                      : take_csv_row(self, batch, &record, error);
}

enum k2_status k2_row_source_next(struct k2_row_source *source, struct k2_row_batch *batch,
                                  bool *end, struct k2_error *error)
{
    *end = false;
    if (!source->member_open) {
        enum k2_status status = advance(source, end, error);
        if (status != K2_OK || *end) {
            return status;
        }
    }
    bool member_end = false;
    while (!member_end && batch->row_count < batch->row_capacity &&
           batch->text.size_bytes < BATCH_TEXT_BYTES) {
        enum k2_status status = take_row(source, batch, &member_end, error);
        if (status != K2_OK) {
            return status;
        }
    }
    source->member_open = !member_end;
    return K2_OK;
}

const char *k2_row_source_file(const struct k2_row_source *source)
{
    return source->name != NULL ? source->name : "";
}

enum k2_numbering k2_row_source_numbering(const struct k2_row_source *source)
{
    return k2_row_builder_numbering(source->builder);
}

uint64_t k2_row_source_rows_read(const struct k2_row_source *source)
{
    return source->rows_read;
}

uint64_t k2_row_source_rejected(const struct k2_row_source *source)
{
    return source->rejected;
}

uint64_t k2_row_source_total_bytes(const struct k2_row_source *source)
{
    return source->total_bytes;
}

uint64_t k2_row_source_done_bytes(const struct k2_row_source *source)
{
    uint64_t current = source->file == NULL ? 0 : k2_input_file_done_bytes(source->file);
    return source->done_bytes + current;
}

struct k2_instrument_name k2_row_source_name(const struct k2_row_source *source,
                                             uint32_t instrument)
{
    return k2_row_builder_name(source->builder, instrument);
}
