#include "ingest/csv_reader.h"

#include <assert.h>

#include "format/base/alloc.h"

enum { FIELD_QUOTED = 1, FIELD_DOUBLED = 2 }; // DOUBLED: has quotes to be halved

struct k2_csv_reader {
    struct k2_input_window window;
    uint8_t separator;
    bool stops[256]; // separator and LF
    bool started;    // behind the byte order mark
    bool skipping;   // in the rest of a line that was too long
    uint64_t line;   // of window.begin
    size_t record_begin;
    uint64_t record_line;
    struct k2_slice *fields; // K2_CSV_FIELD_CEILING
    uint8_t *flags;          // per field
    uint8_t *unquoted;       // owned: texts of DOUBLED fields of this record
    size_t unquoted_room_bytes;
};

// What one look at the window found; offsets into its data.
struct found {
    enum { FOUND_WHOLE, FOUND_PART, FOUND_BAD } what;
    size_t next;     // behind the line end
    size_t text_end; // before the line end
    size_t field_count;
    size_t break_count; // within the record
    bool doubled;
};

enum k2_status k2_csv_reader_create(struct k2_csv_reader **reader, k2_input_read *read,
                                    void *context, char separator, struct k2_error *error)
{
    struct k2_csv_reader *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "csv: out of memory");
    }
    k2_input_window_init(&self->window, read, context, K2_RECORD_CEILING_BYTES);
    self->separator = (uint8_t)separator;
    self->stops[self->separator] = self->stops['\n'] = true;
    self->line = 1;
    self->fields = k2_alloc(K2_CSV_FIELD_CEILING * sizeof *self->fields);
    self->flags = k2_alloc(K2_CSV_FIELD_CEILING);
    if (self->fields == NULL || self->flags == NULL) {
        k2_csv_reader_destroy(self);
        return k2_fail(error, K2_NO_MEMORY, "csv: out of memory");
    }
    *reader = self;
    return K2_OK;
}

void k2_csv_reader_destroy(struct k2_csv_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    k2_input_window_deinit(&reader->window);
    k2_free(reader->fields);
    k2_free(reader->flags);
    k2_free(reader->unquoted);
    k2_free(reader);
}

void k2_csv_reader_restart(struct k2_csv_reader *reader)
{
    k2_input_window_restart(&reader->window);
    reader->started = reader->skipping = false;
    reader->line = 1;
}

static void add_field(struct k2_csv_reader *self, struct found *found, size_t begin, size_t end,
                      uint8_t flags)
{
    if (found->field_count < K2_CSV_FIELD_CEILING) {
        self->fields[found->field_count] =
            (struct k2_slice){self->window.data + begin, end - begin};
        self->flags[found->field_count] = flags;
    }
    found->field_count++;
    found->doubled |= (flags & FIELD_DOUBLED) != 0;
}

// Where a quoted field that begins at `at` closes; the window's end when it does not.
static size_t find_closing_quote(const struct k2_csv_reader *self, size_t at, uint8_t *flags,
                                 size_t *break_count)
{
    const uint8_t *data = self->window.data;
    size_t end = self->window.end, breaks = 0;
    for (; at < end; at++) {
        breaks += data[at] == '\n';
        if (data[at] != '"') {
            continue;
        }
        if (at + 1 == end || data[at + 1] != '"') {
            *break_count += breaks;
            return at;
        }
        *flags |= FIELD_DOUBLED;
        at++;
    }
    return end;
}

// Takes the quoted field at `*at`, up to what ends it. False: the window ends first, or bad.
static bool scan_quoted(struct k2_csv_reader *self, struct found *found, size_t *at)
{
    const uint8_t *data = self->window.data;
    size_t end = self->window.end;
    uint8_t flags = FIELD_QUOTED;
    size_t begin = *at + 1;
    size_t close = find_closing_quote(self, begin, &flags, &found->break_count);
    size_t after = close + 1;
    // The byte behind the quote, and the LF behind a CR, must be there to be judged.
    if (close == end || (after == end && !self->window.ended) ||
        (after + 1 == end && data[after] == '\r' && !self->window.ended)) {
        found->what = FOUND_PART;
        return false;
    }
    add_field(self, found, begin, close, flags);
    if (after < end && data[after] == '\r' && (after + 1 == end || data[after + 1] == '\n')) {
        after++;
    }
    if (after < end && data[after] != '\n' && data[after] != self->separator) {
        found->what = FOUND_BAD;
        return false;
    }
    *at = after;
    return true;
}

static bool scan_unquoted(struct k2_csv_reader *self, struct found *found, size_t *at)
{
    const uint8_t *data = self->window.data;
    size_t end = self->window.end, begin = *at, stop = begin;
    while (stop < end && !self->stops[data[stop]]) {
        stop++;
    }
    if (stop == end && !self->window.ended) {
        found->what = FOUND_PART;
        return false;
    }
    bool line_end = stop == end || data[stop] == '\n';
    bool cr = line_end && stop > begin && data[stop - 1] == '\r';
    add_field(self, found, begin, stop - cr, 0);
    *at = stop;
    return true;
}

// Looks at the record that begins at window.begin.
static struct found scan_record(struct k2_csv_reader *self)
{
    struct found found = {.what = FOUND_WHOLE};
    const uint8_t *data = self->window.data;
    size_t at = self->window.begin, end = self->window.end;
    for (;;) {
        bool whole = at < end && data[at] == '"' ? scan_quoted(self, &found, &at)
                                                 : scan_unquoted(self, &found, &at);
        if (!whole) {
            return found;
        }
        if (at == end || data[at] == '\n') {
            break;
        }
        at++; // the separator
    }
    found.next = at < end ? at + 1 : end;
    found.text_end = at > self->window.begin && data[at - 1] == '\r' ? at - 1 : at;
    return found;
}

static enum k2_status unquote(struct k2_csv_reader *self, const struct found *found,
                              struct k2_error *error)
{
    size_t needed = found->text_end - self->window.begin;
    if (needed > self->unquoted_room_bytes) {
        uint8_t *room = k2_realloc(self->unquoted, needed, 1);
        if (room == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "csv: out of memory");
        }
        self->unquoted = room;
        self->unquoted_room_bytes = needed;
    }
    uint8_t *out = self->unquoted;
    for (size_t i = 0; i < found->field_count && i < K2_CSV_FIELD_CEILING; i++) {
        struct k2_slice *field = &self->fields[i];
        if ((self->flags[i] & FIELD_DOUBLED) == 0) {
            continue;
        }
        uint8_t *begin = out;
        for (size_t c = 0; c < field->size_bytes; c++) {
            *out++ = field->data[c];
            c += field->data[c] == '"';
        }
        *field = (struct k2_slice){begin, (size_t)(out - begin)};
    }
    return K2_OK;
}

// Takes the first line of the window as a bad record. Without a line end in sight, the rest of the
// line is skipped before the next record.
static void take_bad_line(struct k2_csv_reader *self, const char *reason,
                          struct k2_csv_record *record)
{
    size_t rest = self->window.end - self->window.begin;
    const uint8_t *begin = self->window.data + self->window.begin;
    const uint8_t *line_end = memchr(begin, '\n', rest);
    size_t size = line_end == NULL ? rest : (size_t)(line_end - begin);
    *record = (struct k2_csv_record){
        .kind = K2_CSV_BAD,
        .line = self->line,
        .raw = {begin, size - (size > 0 && begin[size - 1] == '\r')},
        .reason = reason,
    };
    self->skipping = line_end == NULL && !self->window.ended;
    self->window.begin += line_end == NULL ? rest : size + 1;
    self->line++;
}

// Reads on until the first line of the window is whole, as far as the ceiling lets it be.
static enum k2_status see_line(struct k2_csv_reader *self, bool *full, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    *full = false;
    while (status == K2_OK && !self->window.ended && !*full &&
           memchr(self->window.data + self->window.begin, '\n',
                  self->window.end - self->window.begin) == NULL) {
        status = k2_input_window_more(&self->window, full, error);
    }
    return status;
}

static enum k2_status skip_line(struct k2_csv_reader *self, struct k2_error *error)
{
    while (self->skipping) {
        size_t rest = self->window.end - self->window.begin;
        const uint8_t *begin = self->window.data + self->window.begin;
        const uint8_t *line_end = rest == 0 ? NULL : memchr(begin, '\n', rest);
        self->window.begin += line_end == NULL ? rest : (size_t)(line_end - begin) + 1;
        self->skipping = line_end == NULL && !self->window.ended;
        if (self->skipping) {
            bool full;
            enum k2_status status = k2_input_window_more(&self->window, &full, error);
            if (status != K2_OK) {
                return status;
            }
        }
    }
    return K2_OK;
}

static enum k2_status skip_mark(struct k2_csv_reader *self, struct k2_error *error)
{
    while (!self->window.ended && self->window.end - self->window.begin < 3) {
        bool full;
        enum k2_status status = k2_input_window_more(&self->window, &full, error);
        if (status != K2_OK) {
            return status;
        }
    }
    if (self->window.end - self->window.begin >= 3 &&
        memcmp(self->window.data + self->window.begin, "\xef\xbb\xbf", 3) == 0) {
        self->window.begin += 3;
    }
    self->started = true;
    return K2_OK;
}

// Goes to the first byte of a record, over empty lines. `*end`: there is none.
static enum k2_status find_record(struct k2_csv_reader *self, bool *end, struct k2_error *error)
{
    *end = false;
    enum k2_status status = self->started ? K2_OK : skip_mark(self, error);
    if (status == K2_OK && self->skipping) {
        status = skip_line(self, error);
    }
    while (status == K2_OK) {
        const uint8_t *data = self->window.data;
        size_t begin = self->window.begin, rest = self->window.end - begin;
        if (rest > 0 && data[begin] == '\n') {
            self->window.begin++;
            self->line++;
        } else if (rest > 1 && data[begin] == '\r' && data[begin + 1] == '\n') {
            self->window.begin += 2;
            self->line++;
        } else if (self->window.ended && (rest == 0 || (rest == 1 && data[begin] == '\r'))) {
            *end = true;
            return K2_OK;
        } else if (rest > 0 && !(rest == 1 && data[begin] == '\r')) {
            return K2_OK;
        } else {
            bool full;
            status = k2_input_window_more(&self->window, &full, error);
        }
    }
    return status;
}

enum k2_status k2_csv_reader_peek(struct k2_csv_reader *reader, uint8_t *first,
                                  struct k2_error *error)
{
    bool end;
    enum k2_status status = find_record(reader, &end, error);
    if (status == K2_OK) {
        size_t at = reader->window.begin;
        while (at < reader->window.end &&
               (reader->window.data[at] == ' ' || reader->window.data[at] == '\t')) {
            at++;
        }
        *first = end || at == reader->window.end ? 0 : reader->window.data[at];
    }
    return status;
}

static enum k2_status take_record(struct k2_csv_reader *self, const struct found *found,
                                  struct k2_csv_record *record, struct k2_error *error)
{
    enum k2_status status = found->doubled ? unquote(self, found, error) : K2_OK;
    if (status != K2_OK) {
        return status;
    }
    size_t begin = self->window.begin;
    *record = (struct k2_csv_record){
        .kind = K2_CSV_RECORD,
        .line = self->line,
        .raw = {self->window.data + begin, found->text_end - begin},
        .fields = self->fields,
        .field_count = found->field_count,
        .several_lines = found->break_count > 0,
    };
    self->record_begin = begin;
    self->record_line = self->line;
    self->window.begin = found->next;
    self->line += 1 + found->break_count;
    return K2_OK;
}

enum k2_status k2_csv_reader_next(struct k2_csv_reader *reader, struct k2_csv_record *record,
                                  struct k2_error *error)
{
    bool end;
    enum k2_status status = find_record(reader, &end, error);
    if (status != K2_OK || end) {
        *record = (struct k2_csv_record){.kind = K2_CSV_END, .line = reader->line};
        return status;
    }
    for (;;) {
        struct found found = scan_record(reader);
        if (found.what == FOUND_WHOLE) {
            return take_record(reader, &found, record, error);
        }
        bool full;
        if (found.what == FOUND_BAD || reader->window.ended) {
            status = see_line(reader, &full, error);
            if (status == K2_OK) {
                take_bad_line(reader, "bad_quoting", record);
            }
            return status;
        }
        status = k2_input_window_more(&reader->window, &full, error);
        if (status != K2_OK) {
            return status;
        }
        if (full) {
            take_bad_line(reader, "too_long", record);
            return K2_OK;
        }
    }
}

void k2_csv_reader_retreat(struct k2_csv_reader *reader, struct k2_csv_record *record)
{
    assert(record->kind == K2_CSV_RECORD);
    if (record->several_lines) {
        reader->window.begin = reader->record_begin;
        reader->line = reader->record_line;
        take_bad_line(reader, NULL, record);
    }
}

enum k2_status k2_csv_reader_next_line(struct k2_csv_reader *reader, struct k2_csv_record *record,
                                       struct k2_error *error)
{
    bool end;
    enum k2_status status = find_record(reader, &end, error);
    if (status != K2_OK || end) {
        *record = (struct k2_csv_record){.kind = K2_CSV_END, .line = reader->line};
        return status;
    }
    bool full;
    status = see_line(reader, &full, error);
    if (status == K2_OK) {
        take_bad_line(reader, full ? "too_long" : NULL, record);
        record->kind = full ? K2_CSV_BAD : K2_CSV_RECORD;
    }
    return status;
}
