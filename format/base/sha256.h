// SHA-256 and HMAC-SHA-256 (libcrypto), for signatures and for keys that are kept hashed. Pure.
#pragma once

#include "format/base/bytes.h"

enum {
    K2_SHA256_BYTES = 32,
    K2_SHA256_HEX_BYTES = 65, // lower-case digits and a NUL
};

// False when memory is short, as the calls below.
bool k2_sha256(struct k2_slice bytes, uint8_t digest[K2_SHA256_BYTES]);
bool k2_sha256_hex(struct k2_slice bytes, char hex[K2_SHA256_HEX_BYTES]);
bool k2_hmac_sha256(struct k2_slice key, struct k2_slice bytes, uint8_t digest[K2_SHA256_BYTES]);

void k2_digest_to_hex(const uint8_t digest[K2_SHA256_BYTES], char hex[K2_SHA256_HEX_BYTES]);
