// Pieces of the texts of HTTP: heads, targets, lists. Pure; what is returned is borrowed.
#pragma once

#include "format/base/bytes.h"

// Without blanks and tabs around it.
struct k2_slice k2_http_trim(struct k2_slice text);

// The bytes in front of `mark`, which is taken as well; all of the rest without one.
struct k2_slice k2_http_take_until(struct k2_slice *rest, char mark);
