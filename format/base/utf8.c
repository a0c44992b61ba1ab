#include "format/base/utf8.h"

size_t k2_utf8_length(struct k2_slice text)
{
    const uint8_t *c = text.data;
    uint8_t lead = c[0];
    if (lead < 0x80) {
        return 1;
    }
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size_bytes < length) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((c[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool wrong = (lead == 0xe0 && c[1] < 0xa0) || (lead == 0xed && c[1] > 0x9f) ||
                 (lead == 0xf0 && c[1] < 0x90) || (lead == 0xf4 && c[1] > 0x8f);
    return wrong ? 0 : length;
}

bool k2_utf8_is_valid(struct k2_slice text)
{
    size_t at = 0;
    while (at < text.size_bytes) {
        uint64_t eight;
        if (text.size_bytes - at >= sizeof eight) {
            memcpy(&eight, text.data + at, sizeof eight);
            if ((eight & 0x8080808080808080u) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        if (text.data[at] < 0x80) {
            at++;
            continue;
        }
        size_t length = k2_utf8_length((struct k2_slice){text.data + at, text.size_bytes - at});
        if (length == 0) {
            return false;
        }
        at += length;
    }
    return true;
}

size_t k2_utf8_write(uint8_t bytes[4], uint32_t code_point)
{
    if (code_point < 0x80) {
        bytes[0] = (uint8_t)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        bytes[0] = (uint8_t)(0xc0 | code_point >> 6);
        bytes[1] = (uint8_t)(0x80 | (code_point & 0x3f));
        return 2;
    }
    if (code_point < 0x10000) {
        bytes[0] = (uint8_t)(0xe0 | code_point >> 12);
        bytes[1] = (uint8_t)(0x80 | (code_point >> 6 & 0x3f));
        bytes[2] = (uint8_t)(0x80 | (code_point & 0x3f));
        return 3;
    }
    bytes[0] = (uint8_t)(0xf0 | code_point >> 18);
    bytes[1] = (uint8_t)(0x80 | (code_point >> 12 & 0x3f));
    bytes[2] = (uint8_t)(0x80 | (code_point >> 6 & 0x3f));
    bytes[3] = (uint8_t)(0x80 | (code_point & 0x3f));
    return 4;
}

void k2_utf8_put_mended(struct k2_buffer *out, struct k2_slice text)
{
    while (text.size_bytes > 0) {
        size_t length = k2_utf8_length(text);
        if (length > 0) {
            k2_put_bytes(out, text.data, length);
        } else {
            k2_put_text(out, "\xef\xbf\xbd");
            length = 1;
        }
        text = (struct k2_slice){text.data + length, text.size_bytes - length};
    }
}
