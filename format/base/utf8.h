// Is it UTF-8? RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF.
#pragma once

#include <stdbool.h>

#include "format/base/bytes.h"

bool k2_utf8_is_valid(struct k2_slice text);
