#include "format/base/json_scanner.h"

#include <assert.h>

#include "format/base/utf8.h"

static void skip_blanks(struct k2_json_scanner *scanner)
{
    while (scanner->at < scanner->end && (*scanner->at == ' ' || *scanner->at == '\t' ||
                                          *scanner->at == '\n' || *scanner->at == '\r')) {
        scanner->at++;
    }
}

enum k2_json_type k2_json_peek(struct k2_json_scanner *scanner)
{
    skip_blanks(scanner);
    if (scanner->at == scanner->end) {
        return K2_JSON_TYPE_NONE;
    }
    switch (*scanner->at) {
    case '{':
        return K2_JSON_TYPE_OBJECT;
    case '[':
        return K2_JSON_TYPE_ARRAY;
    case '"':
        return K2_JSON_TYPE_STRING;
    case 't':
        return K2_JSON_TYPE_TRUE;
    case 'f':
        return K2_JSON_TYPE_FALSE;
    case 'n':
        return K2_JSON_TYPE_NULL;
    default:
        return *scanner->at == '-' || (*scanner->at >= '0' && *scanner->at <= '9')
                   ? K2_JSON_TYPE_NUMBER
                   : K2_JSON_TYPE_NONE;
    }
}

bool k2_json_take(struct k2_json_scanner *scanner, char c)
{
    skip_blanks(scanner);
    if (scanner->at == scanner->end || *scanner->at != (uint8_t)c) {
        return false;
    }
    scanner->at++;
    return true;
}

static bool hex4(const uint8_t *c, const uint8_t *end, uint32_t *value)
{
    if (end - c < 4) {
        return false;
    }
    *value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t lower = c[i] | 0x20;
        if (c[i] >= '0' && c[i] <= '9') {
            *value = *value << 4 | (uint32_t)(c[i] - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            *value = *value << 4 | (uint32_t)(lower - 'a' + 10);
        } else {
            return false;
        }
    }
    return true;
}

// Reads the escape at `c` (a backslash); the length taken, 0 when it is none. A surrogate must
// come with its other half: alone it stands for no character.
static size_t read_escape(const uint8_t *c, const uint8_t *end, uint32_t *code_point)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (end - c < 2) {
        return 0;
    }
    if (c[1] != 'u') {
        const char *letter = c[1] == 0 ? NULL : strchr(letters, c[1]);
        *code_point = letter == NULL ? 0 : (uint32_t)meanings[letter - letters];
        return letter == NULL ? 0 : 2;
    }
    uint32_t low;
    if (!hex4(c + 2, end, code_point) || (*code_point >= 0xdc00 && *code_point <= 0xdfff)) {
        return 0;
    }
    if (*code_point < 0xd800 || *code_point > 0xdfff) {
        return 6;
    }
    if (end - c < 12 || c[6] != '\\' || c[7] != 'u' || !hex4(c + 8, end, &low) || low < 0xdc00 ||
        low > 0xdfff) {
        return 0;
    }
    *code_point = 0x10000 + ((*code_point - 0xd800) << 10) + (low - 0xdc00);
    return 12;
}

bool k2_json_scan_string(struct k2_json_scanner *scanner, struct k2_json_string *string)
{
    assert(scanner->at < scanner->end && *scanner->at == '"');
    const uint8_t *begin = scanner->at + 1, *c = begin;
    bool escaped = false;
    while (c < scanner->end && *c != '"') {
        size_t length = 1;
        if (*c == '\\') {
            uint32_t code_point;
            length = read_escape(c, scanner->end, &code_point);
            escaped = true;
        } else if (*c < 0x20) {
            return false;
        } else if (*c >= 0x80) {
            length = k2_utf8_length((struct k2_slice){c, (size_t)(scanner->end - c)});
        }
        if (length == 0) {
            return false;
        }
        c += length;
    }
    if (c == scanner->end) {
        return false;
    }
    *string = (struct k2_json_string){{begin, (size_t)(c - begin)}, escaped};
    scanner->at = c + 1;
    return true;
}

static const uint8_t *skip_digits(const uint8_t *c, const uint8_t *end)
{
    while (c < end && *c >= '0' && *c <= '9') {
        c++;
    }
    return c;
}

bool k2_json_scan_number(struct k2_json_scanner *scanner, struct k2_slice *text)
{
    const uint8_t *c = scanner->at, *end = scanner->end;
    c += c < end && *c == '-';
    const uint8_t *digits = c;
    c = skip_digits(c, end);
    if (c == digits || (*digits == '0' && c - digits > 1)) {
        return false;
    }
    if (c < end && *c == '.') {
        digits = ++c;
        c = skip_digits(c, end);
        if (c == digits) {
            return false;
        }
    }
    if (c < end && (*c == 'e' || *c == 'E')) {
        c++;
        c += c < end && (*c == '-' || *c == '+');
        digits = c;
        c = skip_digits(c, end);
        if (c == digits) {
            return false;
        }
    }
    *text = (struct k2_slice){scanner->at, (size_t)(c - scanner->at)};
    scanner->at = c;
    return true;
}

bool k2_json_scan_word(struct k2_json_scanner *scanner, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(scanner->end - scanner->at) < size || memcmp(scanner->at, word, size) != 0) {
        return false;
    }
    scanner->at += size;
    return true;
}

static bool scan_scalar(struct k2_json_scanner *scanner, enum k2_json_type type)
{
    struct k2_json_string string;
    struct k2_slice number;
    switch (type) {
    case K2_JSON_TYPE_STRING:
        return k2_json_scan_string(scanner, &string);
    case K2_JSON_TYPE_NUMBER:
        return k2_json_scan_number(scanner, &number);
    case K2_JSON_TYPE_TRUE:
        return k2_json_scan_word(scanner, "true");
    case K2_JSON_TYPE_FALSE:
        return k2_json_scan_word(scanner, "false");
    case K2_JSON_TYPE_NULL:
        return k2_json_scan_word(scanner, "null");
    default:
        return false;
    }
}

static bool scan_key(struct k2_json_scanner *scanner)
{
    struct k2_json_string key;
    return k2_json_peek(scanner) == K2_JSON_TYPE_STRING && k2_json_scan_string(scanner, &key) &&
           k2_json_take(scanner, ':');
}

bool k2_json_scan_value(struct k2_json_scanner *scanner, struct k2_slice *text)
{
    uint64_t objects = 0; // bit d: the container at depth d is an object
    unsigned depth = 0;
    enum k2_json_type type = k2_json_peek(scanner);
    const uint8_t *begin = scanner->at;
    for (;;) {
        if (type == K2_JSON_TYPE_OBJECT || type == K2_JSON_TYPE_ARRAY) {
            bool object = type == K2_JSON_TYPE_OBJECT;
            if (depth == K2_JSON_DEPTH) {
                return false;
            }
            scanner->at++;
            objects = (objects & ~(UINT64_C(1) << depth)) | (uint64_t)object << depth;
            depth++;
            if (!k2_json_take(scanner, object ? '}' : ']')) {
                if (object && !scan_key(scanner)) {
                    return false;
                }
                type = k2_json_peek(scanner);
                continue;
            }
            depth--;
        } else if (!scan_scalar(scanner, type)) {
            return false;
        }
        while (depth > 0 && !k2_json_take(scanner, ',')) {
            bool object = (objects >> (depth - 1) & 1) != 0;
            if (!k2_json_take(scanner, object ? '}' : ']')) {
                return false;
            }
            depth--;
        }
        if (depth == 0) {
            break;
        }
        if ((objects >> (depth - 1) & 1) != 0 && !scan_key(scanner)) {
            return false;
        }
        type = k2_json_peek(scanner);
    }
    *text = (struct k2_slice){begin, (size_t)(scanner->at - begin)};
    return true;
}

void k2_json_put_unescaped(struct k2_buffer *out, struct k2_slice raw)
{
    const uint8_t *c = raw.data, *end = raw.data + raw.size_bytes;
    while (c < end) {
        const uint8_t *backslash = memchr(c, '\\', (size_t)(end - c));
        const uint8_t *stop = backslash == NULL ? end : backslash;
        k2_put_bytes(out, c, (size_t)(stop - c));
        if (backslash == NULL) {
            return;
        }
        uint32_t code_point;
        uint8_t bytes[4];
        size_t length = read_escape(backslash, end, &code_point);
        assert(length > 0); // scanned before
        k2_put_bytes(out, bytes, k2_utf8_write(bytes, code_point));
        c = backslash + length;
    }
}
