#include "query/http_text.h"

#include <stdbool.h>

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

struct k2_slice k2_http_trim(struct k2_slice text)
{
    while (text.size_bytes > 0 && is_blank(*text.data)) {
        text.data++;
        text.size_bytes--;
    }
    while (text.size_bytes > 0 && is_blank(text.data[text.size_bytes - 1])) {
        text.size_bytes--;
    }
    return text;
}

struct k2_slice k2_http_take_until(struct k2_slice *rest, char mark)
{
    const uint8_t *place =
        rest->size_bytes == 0 ? NULL : memchr(rest->data, mark, rest->size_bytes);
    struct k2_slice piece = *rest;
    if (place == NULL) {
        *rest = (struct k2_slice){rest->data + rest->size_bytes, 0};
        return piece;
    }
    piece.size_bytes = (size_t)(place - rest->data);
    rest->data += piece.size_bytes + 1;
    rest->size_bytes -= piece.size_bytes + 1;
    return piece;
}
