#include "ingest/ndjson_reader.h"

enum { TEXTS_CEILING_BYTES = 1 << 22 }; // lines are shorter

void k2_ndjson_reader_init(struct k2_ndjson_reader *reader)
{
    *reader = (struct k2_ndjson_reader){.first = true};
    k2_buffer_init(&reader->texts, TEXTS_CEILING_BYTES);
}

void k2_ndjson_reader_deinit(struct k2_ndjson_reader *reader)
{
    k2_buffer_deinit(&reader->texts);
}

enum k2_status k2_ndjson_reader_start(struct k2_ndjson_reader *reader, struct k2_slice line,
                                      struct k2_error *error)
{
    // A text is never longer than its escapes: with room for the line nothing moves later.
    k2_buffer_clear(&reader->texts);
    if (memchr(line.data, '\\', line.size_bytes) != NULL) {
        (void)k2_buffer_extend(&reader->texts, line.size_bytes);
        enum k2_status status = k2_buffer_check(&reader->texts, "json", error);
        if (status != K2_OK) {
            return status;
        }
        k2_buffer_clear(&reader->texts);
    }
    reader->scanner = (struct k2_json_scanner){line.data, line.data + line.size_bytes};
    reader->first = true;
    reader->failed = !k2_json_take(&reader->scanner, '{');
    return K2_OK;
}

static struct k2_slice text_of(struct k2_ndjson_reader *self, const struct k2_json_string *string)
{
    if (!string->escaped) {
        return string->raw;
    }
    size_t before = self->texts.size_bytes;
    k2_json_put_unescaped(&self->texts, string->raw);
    return (struct k2_slice){self->texts.data + before, self->texts.size_bytes - before};
}

static bool read_value(struct k2_ndjson_reader *self, struct k2_ndjson_member *member)
{
    member->type = k2_json_peek(&self->scanner);
    if (member->type != K2_JSON_TYPE_STRING) {
        bool good = k2_json_scan_value(&self->scanner, &member->value);
        member->text = member->value;
        return good;
    }
    struct k2_json_string string;
    if (!k2_json_scan_string(&self->scanner, &string)) {
        return false;
    }
    member->value = (struct k2_slice){string.raw.data - 1, string.raw.size_bytes + 2};
    member->text = text_of(self, &string);
    return true;
}

static bool read_member(struct k2_ndjson_reader *self, struct k2_ndjson_member *member)
{
    struct k2_json_string key;
    if (k2_json_peek(&self->scanner) != K2_JSON_TYPE_STRING ||
        !k2_json_scan_string(&self->scanner, &key) || !k2_json_take(&self->scanner, ':')) {
        return false;
    }
    member->key = text_of(self, &key);
    return read_value(self, member);
}

bool k2_ndjson_reader_next(struct k2_ndjson_reader *reader, struct k2_ndjson_member *member)
{
    if (reader->failed) {
        return false;
    }
    if (k2_json_take(&reader->scanner, '}')) {
        (void)k2_json_peek(&reader->scanner); // skips blanks
        reader->failed = reader->scanner.at != reader->scanner.end;
        return false;
    }
    if (!reader->first && !k2_json_take(&reader->scanner, ',')) {
        reader->failed = true;
        return false;
    }
    reader->first = false;
    reader->failed = !read_member(reader, member);
    return !reader->failed;
}
