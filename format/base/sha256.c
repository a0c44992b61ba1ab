#include "format/base/sha256.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

bool k2_sha256(struct k2_slice bytes, uint8_t digest[K2_SHA256_BYTES])
{
    unsigned size = 0;
    return EVP_Digest(bytes.data, bytes.size_bytes, digest, &size, EVP_sha256(), NULL) == 1 &&
           size == K2_SHA256_BYTES;
}

bool k2_sha256_hex(struct k2_slice bytes, char hex[K2_SHA256_HEX_BYTES])
{
    uint8_t digest[K2_SHA256_BYTES];
    if (!k2_sha256(bytes, digest)) {
        return false;
    }
    k2_digest_to_hex(digest, hex);
    return true;
}

bool k2_hmac_sha256(struct k2_slice key, struct k2_slice bytes, uint8_t digest[K2_SHA256_BYTES])
{
    unsigned size = 0;
    return HMAC(EVP_sha256(), key.data, (int)key.size_bytes, bytes.data, bytes.size_bytes, digest,
                &size) != NULL &&
           size == K2_SHA256_BYTES;
}

void k2_digest_to_hex(const uint8_t digest[K2_SHA256_BYTES], char hex[K2_SHA256_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < K2_SHA256_BYTES; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[K2_SHA256_HEX_BYTES - 1] = '\0';
}
