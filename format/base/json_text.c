#include "format/base/json_text.h"

#include <stdlib.h>

#include "format/base/alloc.h"
#include "format/base/json_scanner.h"
#include "format/base/utf8.h"

// A member of an object, as written to `out`: offsets, for `out` moves.
struct member {
    size_t begin, key_end, end; // `"key":value`, key_end behind the key's closing quote
};

enum { FEW_MEMBERS = 32, MEMBERS_CEILING = 1 << 20 };

struct canonical {
    struct k2_json_scanner scanner;
    struct k2_buffer *out;
    struct member *members; // of all open objects, innermost last
    size_t member_count, member_room;
    struct member few[FEW_MEMBERS];
    struct k2_buffer unescaped; // scratch
};

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void put_escaped(struct k2_buffer *out, uint8_t c)
{
    static const char letters[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *letter = c == 0 ? NULL : strchr(letters, c);
    if (letter == NULL) {
        k2_put_format(out, "\\u%04x", c);
    } else {
        k2_put_u8(out, '\\');
        k2_put_u8(out, (uint8_t)names[letter - letters]);
    }
}

void k2_json_put_string(struct k2_buffer *out, struct k2_slice text)
{
    k2_put_u8(out, '"');
    size_t at = 0;
    while (at < text.size_bytes) {
        size_t stop = at;
        while (stop < text.size_bytes && is_plain(text.data[stop])) {
            stop++;
        }
        k2_put_bytes(out, text.data + at, stop - at);
        at = stop;
        if (at == text.size_bytes) {
            break;
        }
        size_t length = k2_utf8_length((struct k2_slice){text.data + at, text.size_bytes - at});
        if (length == 0) {
            k2_put_text(out, "\xef\xbf\xbd"); // U+FFFD
            length = 1;
        } else if (length == 1) {
            put_escaped(out, text.data[at]);
        } else {
            k2_put_bytes(out, text.data + at, length);
        }
        at += length;
    }
    k2_put_u8(out, '"');
}

static enum k2_json_result put_string(struct canonical *self)
{
    struct k2_json_string string;
    if (!k2_json_scan_string(&self->scanner, &string)) {
        return K2_JSON_NOT_JSON;
    }
    if (!string.escaped) {
        k2_put_bytes(self->out, string.raw.data - 1, string.raw.size_bytes + 2);
        return K2_JSON_OK;
    }
    k2_buffer_clear(&self->unescaped);
    k2_json_put_unescaped(&self->unescaped, string.raw);
    if (self->unescaped.failed) {
        return K2_JSON_NO_MEMORY;
    }
    k2_json_put_string(self->out, k2_buffer_slice(&self->unescaped));
    return K2_JSON_OK;
}

static enum k2_json_result add_member(struct canonical *self, const struct member *member)
{
    if (self->member_count == self->member_room) {
        size_t room = self->member_room * 2;
        bool first = self->members == self->few;
        struct member *members = room > MEMBERS_CEILING ? NULL
                                                        : k2_realloc(first ? NULL : self->members,
                                                                     room, sizeof *members);
        if (members == NULL) {
            return K2_JSON_NO_MEMORY;
        }
        if (first) {
            memcpy(members, self->few, sizeof self->few);
        }
        self->members = members;
        self->member_room = room;
    }
    self->members[self->member_count++] = *member;
    return K2_JSON_OK;
}

// The next byte that an escaped canonical string stands for; only the escapes of put_escaped occur.
static uint8_t next_byte(const uint8_t **c)
{
    static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    uint8_t byte = *(*c)++;
    if (byte != '\\') {
        return byte;
    }
    byte = *(*c)++;
    if (byte == 'u') { // \u00XY
        const uint8_t *digits = *c + 2;
        *c += 4;
        uint8_t low = digits[1];
        return (uint8_t)((digits[0] - '0') << 4 | (low <= '9' ? low - '0' : low - 'a' + 10));
    }
    const char *letter = strchr(letters, byte);
    return letter == NULL ? byte : (uint8_t)meanings[letter - letters];
}

static int compare_keys(const void *left, const void *right, void *context)
{
    const struct k2_buffer *out = context;
    const struct member *a = left, *b = right;
    const uint8_t *c = out->data + a->begin + 1, *c_end = out->data + a->key_end - 1;
    const uint8_t *d = out->data + b->begin + 1, *d_end = out->data + b->key_end - 1;
    while (c < c_end && d < d_end) {
        uint8_t x = next_byte(&c), y = next_byte(&d);
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return (c < c_end) - (d < d_end);
}

// Puts the members of the object that begins at `begin` (behind its brace) in order.
static enum k2_json_result sort_members(struct canonical *self, size_t begin, size_t first)
{
    struct member *members = self->members + first;
    size_t count = self->member_count - first;
    bool sorted = true;
    for (size_t i = 1; i < count && sorted; i++) {
        sorted = compare_keys(&members[i - 1], &members[i], self->out) < 0;
    }
    if (sorted) {
        return K2_JSON_OK;
    }
    qsort_r(members, count, sizeof *members, compare_keys, self->out);
    for (size_t i = 1; i < count; i++) {
        if (compare_keys(&members[i - 1], &members[i], self->out) == 0) {
            return K2_JSON_DUPLICATE_KEY;
        }
    }
    // The sorted copy is built behind the members and moved over them.
    size_t end = self->out->size_bytes;
    if (k2_buffer_extend(self->out, end - begin) == NULL) {
        return K2_JSON_NO_MEMORY;
    }
    uint8_t *copy = self->out->data + end;
    for (size_t i = 0; i < count; i++) {
        size_t size = members[i].end - members[i].begin;
        memcpy(copy, self->out->data + members[i].begin, size);
        copy += size;
        if (i + 1 < count) {
            *copy++ = ',';
        }
    }
    memcpy(self->out->data + begin, self->out->data + end, end - begin);
    self->out->size_bytes = end;
    return K2_JSON_OK;
}

static enum k2_json_result put_value(struct canonical *self, unsigned depth,
                                     enum k2_json_type only);

static enum k2_json_result put_member(struct canonical *self, unsigned depth,
                                      enum k2_json_type only)
{
    struct member member = {.begin = self->out->size_bytes};
    if (k2_json_peek(&self->scanner) != K2_JSON_TYPE_STRING) {
        return K2_JSON_NOT_JSON;
    }
    enum k2_json_result result = put_string(self);
    if (result != K2_JSON_OK) {
        return result;
    }
    member.key_end = self->out->size_bytes;
    if (!k2_json_take(&self->scanner, ':')) {
        return K2_JSON_NOT_JSON;
    }
    k2_put_u8(self->out, ':');
    result = put_value(self, depth, only);
    member.end = self->out->size_bytes;
    return result == K2_JSON_OK ? add_member(self, &member) : result;
}

// An object or array; its values must be of the type `only` unless that is NONE.
static enum k2_json_result put_container(struct canonical *self, unsigned depth, bool object,
                                         enum k2_json_type only)
{
    if (depth == K2_JSON_DEPTH) {
        return K2_JSON_TOO_DEEP;
    }
    char close = object ? '}' : ']';
    size_t first = self->member_count;
    self->scanner.at++;
    k2_put_u8(self->out, object ? '{' : '[');
    size_t begin = self->out->size_bytes;
    bool more = !k2_json_take(&self->scanner, close);
    while (more) {
        enum k2_json_result result =
            object ? put_member(self, depth + 1, only) : put_value(self, depth + 1, only);
        if (result != K2_JSON_OK) {
            return result;
        }
        more = k2_json_take(&self->scanner, ',');
        if (more) {
            k2_put_u8(self->out, ',');
        } else if (!k2_json_take(&self->scanner, close)) {
            return K2_JSON_NOT_JSON;
        }
    }
    if (self->out->failed) {
        return K2_JSON_NO_MEMORY;
    }
    enum k2_json_result result = object ? sort_members(self, begin, first) : K2_JSON_OK;
    self->member_count = first;
    k2_put_u8(self->out, (uint8_t)close);
    return result;
}

static enum k2_json_result put_value(struct canonical *self, unsigned depth, enum k2_json_type only)
{
    static const char *const words[] = {
        [K2_JSON_TYPE_TRUE] = "true",
        [K2_JSON_TYPE_FALSE] = "false",
        [K2_JSON_TYPE_NULL] = "null",
    };
    enum k2_json_type type = k2_json_peek(&self->scanner);
    struct k2_slice number;
    if (type == K2_JSON_TYPE_NONE) {
        return K2_JSON_NOT_JSON;
    }
    if (only != K2_JSON_TYPE_NONE && type != only) {
        return K2_JSON_WRONG_SHAPE;
    }
    switch (type) {
    case K2_JSON_TYPE_OBJECT:
    case K2_JSON_TYPE_ARRAY:
        return put_container(self, depth, type == K2_JSON_TYPE_OBJECT, K2_JSON_TYPE_NONE);
    case K2_JSON_TYPE_STRING:
        return put_string(self);
    case K2_JSON_TYPE_NUMBER:
        if (!k2_json_scan_number(&self->scanner, &number)) {
            return K2_JSON_NOT_JSON;
        }
        k2_put_bytes(self->out, number.data, number.size_bytes);
        return K2_JSON_OK;
    default:
        k2_put_text(self->out, words[type]);
        return k2_json_scan_word(&self->scanner, words[type]) ? K2_JSON_OK : K2_JSON_NOT_JSON;
    }
}

static enum k2_json_result put_shaped(struct canonical *self, enum k2_json_shape shape)
{
    enum k2_json_type type = k2_json_peek(&self->scanner);
    if (shape == K2_JSON_ANY || type == K2_JSON_TYPE_NONE) {
        return put_value(self, 0, K2_JSON_TYPE_NONE);
    }
    bool object = shape == K2_JSON_STRING_MAP;
    if (type != (object ? K2_JSON_TYPE_OBJECT : K2_JSON_TYPE_ARRAY)) {
        return K2_JSON_WRONG_SHAPE;
    }
    return put_container(self, 0, object, K2_JSON_TYPE_STRING);
}

enum k2_json_result k2_json_put_canonical(struct k2_buffer *out, struct k2_slice text,
                                          enum k2_json_shape shape)
{
    if (out->failed) {
        return K2_JSON_NO_MEMORY;
    }
    struct canonical self = {
        .scanner = {text.data, text.data + text.size_bytes},
        .out = out,
        .member_room = FEW_MEMBERS,
    };
    self.members = self.few;
    k2_buffer_init(&self.unescaped, text.size_bytes);
    size_t before = out->size_bytes;
    enum k2_json_result result = text.size_bytes == 0 ? K2_JSON_NOT_JSON : put_shaped(&self, shape);
    if (result == K2_JSON_OK) {
        (void)k2_json_peek(&self.scanner); // skips blanks
        result = self.scanner.at == self.scanner.end ? K2_JSON_OK : K2_JSON_NOT_JSON;
    }
    if (out->failed) {
        result = K2_JSON_NO_MEMORY;
    }
    if (result != K2_JSON_OK) {
        out->size_bytes = before;
        out->failed = false;
    }
    if (self.members != self.few) {
        k2_free(self.members);
    }
    k2_buffer_deinit(&self.unescaped);
    return result;
}

const char *k2_json_result_name(enum k2_json_result result)
{
    static const char *const names[] = {
        [K2_JSON_OK] = "ok",
        [K2_JSON_NOT_JSON] = "not_json",
        [K2_JSON_WRONG_SHAPE] = "wrong_shape",
        [K2_JSON_TOO_DEEP] = "too_deep",
        [K2_JSON_DUPLICATE_KEY] = "duplicate_key",
        [K2_JSON_NO_MEMORY] = "no_memory",
    };
    size_t index = (size_t)result;
    return index < sizeof names / sizeof names[0] ? names[index] : "unknown";
}
