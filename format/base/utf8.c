#include "format/base/utf8.h"

static bool continues(const uint8_t *byte)
{
    return (*byte & 0xc0) == 0x80;
}

// The length of the well-formed sequence at `text`, 0 if there is none.
static size_t sequence_size(const uint8_t *text, size_t rest)
{
    uint8_t lead = text[0];
    if (lead >= 0xc2 && lead <= 0xdf) {
        return rest >= 2 && continues(text + 1) ? 2 : 0;
    }
    if (lead >= 0xe0 && lead <= 0xef) {
        bool whole = rest >= 3 && continues(text + 1) && continues(text + 2);
        bool overlong = lead == 0xe0 && whole && text[1] < 0xa0;
        bool surrogate = lead == 0xed && whole && text[1] > 0x9f;
        return whole && !overlong && !surrogate ? 3 : 0;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        bool whole = rest >= 4 && continues(text + 1) && continues(text + 2) && continues(text + 3);
        bool overlong = lead == 0xf0 && whole && text[1] < 0x90;
        bool beyond = lead == 0xf4 && whole && text[1] > 0x8f;
        return whole && !overlong && !beyond ? 4 : 0;
    }
    return 0;
}

bool k2_utf8_is_valid(struct k2_slice text)
{
    for (size_t i = 0; i < text.size_bytes;) {
        if (text.data[i] < 0x80) {
            i++;
            continue;
        }
        size_t size = sequence_size(text.data + i, text.size_bytes - i);
        if (size == 0) {
            return false;
        }
        i += size;
    }
    return true;
}
