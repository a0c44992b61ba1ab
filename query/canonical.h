// The canonical symbol BASE/QUOTE of a symbol as an exchange writes it.
//
// `XBT/USD`, `BTC-USD` and `BTCUSD` are all BTC/USD. Pure.
#pragma once

#include <stdbool.h>

#include "format/base/bytes.h"

enum { K2_CANONICAL_BYTES = 256 };

// Writes the canonical symbol, upper case, and returns its length: the text around `/` or one `-`,
// else in front of a known quote currency (three letters or more if that can be, at least two),
// else the symbol itself.
// XBT becomes BTC and XDG becomes DOGE on either side. 0 for a symbol over 250 bytes.
size_t k2_canonical_symbol(struct k2_slice symbol, char canonical[K2_CANONICAL_BYTES]);

// Equal but for the case of ASCII letters.
bool k2_equal_without_case(struct k2_slice left, struct k2_slice right);
