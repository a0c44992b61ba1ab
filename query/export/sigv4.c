#include "query/export/sigv4.h"

#include <stdio.h>
#include <stdlib.h>

#include "format/base/sha256.h"
#include "format/base/timestamp.h"
#include "query/http_exchange.h"

enum { CANONICAL_BYTES = 256 << 10, DAY_BYTES = 8 };

void k2_sigv4_date(int64_t time_s, char date[K2_SIGV4_DATE_BYTES])
{
    char text[K2_TIMESTAMP_TEXT_BYTES];
    k2_timestamp_print(text, time_s * K2_NS_PER_SECOND);
    (void)snprintf(date, K2_SIGV4_DATE_BYTES, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", text, text + 5,
                   text + 8, text + 11, text + 14, text + 17);
}

static int by_name(const void *left, const void *right)
{
    return strcmp(((const struct k2_sigv4_pair *)left)->name,
                  ((const struct k2_sigv4_pair *)right)->name);
}

// Parameters sort by their escaped bytes. Those that escaping changes all begin with `%`, which is
// below every byte that it leaves alone, and keep their order among themselves.
static int escaped_order(const char *left, const char *right)
{
    static const char plain[] =
        "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";
    while (*left != '\0' && *left == *right) {
        left++;
        right++;
    }
    if (*left == '\0' || *right == '\0') {
        return (*left != '\0') - (*right != '\0');
    }
    bool left_plain = strchr(plain, *left) != NULL, right_plain = strchr(plain, *right) != NULL;
    if (left_plain != right_plain) {
        return left_plain ? 1 : -1;
    }
    return (unsigned char)*left < (unsigned char)*right ? -1 : 1;
}

static int by_escaped_name(const void *left, const void *right)
{
    const struct k2_sigv4_pair *first = left, *second = right;
    int order = escaped_order(first->name, second->name);
    return order != 0 ? order : escaped_order(first->value, second->value);
}

void k2_sigv4_put_query(struct k2_buffer *out, const struct k2_sigv4_pair *query,
                        size_t query_count)
{
    struct k2_sigv4_pair sorted[K2_SIGV4_PAIRS];
    if (query_count > K2_SIGV4_PAIRS) {
        out->failed = true;
        return;
    }
    if (query_count > 0) {
        memcpy(sorted, query, query_count * sizeof *query);
        qsort(sorted, query_count, sizeof *sorted, by_escaped_name);
    }
    for (size_t i = 0; i < query_count; i++) {
        if (i > 0) {
            k2_put_u8(out, '&');
        }
        k2_http_put_escaped(out, k2_slice_of(sorted[i].name), false);
        k2_put_u8(out, '=');
        k2_http_put_escaped(out, k2_slice_of(sorted[i].value), false);
    }
}

// Blanks around a value go, those within become one.
static void put_trimmed(struct k2_buffer *out, const char *value)
{
    bool blank = false, any = false;
    for (; *value != '\0'; value++) {
        if (*value == ' ' || *value == '\t') {
            blank = any;
            continue;
        }
        if (blank) {
            k2_put_u8(out, ' ');
        }
        k2_put_u8(out, (uint8_t)*value);
        any = true;
        blank = false;
    }
}

static void put_names(struct k2_buffer *out, const struct k2_sigv4_pair *sorted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        k2_put_format(out, "%s%s", i > 0 ? ";" : "", sorted[i].name);
    }
}

static void put_canonical(struct k2_buffer *out, const struct k2_sigv4_request *request,
                          const struct k2_sigv4_pair *sorted)
{
    k2_put_format(out, "%s\n", request->method);
    k2_put_bytes(out, request->path.data, request->path.size_bytes);
    k2_put_u8(out, '\n');
    k2_sigv4_put_query(out, request->query, request->query_count);
    k2_put_u8(out, '\n');
    for (size_t i = 0; i < request->header_count; i++) {
        k2_put_format(out, "%s:", sorted[i].name);
        put_trimmed(out, sorted[i].value);
        k2_put_u8(out, '\n');
    }
    k2_put_u8(out, '\n');
    put_names(out, sorted, request->header_count);
    k2_put_format(out, "\n%s", request->payload_hash);
}

static bool sign(const struct k2_sigv4_key *key, const char *date, struct k2_slice text,
                 char signature[K2_SHA256_HEX_BYTES])
{
    uint8_t digest[K2_SHA256_BYTES];
    char secret[512];
    int secret_bytes = snprintf(secret, sizeof secret, "AWS4%s", key->secret_key);
    struct k2_slice with = {(const uint8_t *)secret, (size_t)secret_bytes};
    const struct k2_slice parts[] = {
        {(const uint8_t *)date, DAY_BYTES},
        k2_slice_of(key->region),
        k2_slice_of(key->service),
        k2_slice_of("aws4_request"),
        text,
    };
    if ((size_t)secret_bytes >= sizeof secret) {
        return false;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        uint8_t next[K2_SHA256_BYTES];
        if (!k2_hmac_sha256(with, parts[i], next)) {
            return false;
        }
        memcpy(digest, next, sizeof digest);
        with = (struct k2_slice){digest, sizeof digest};
    }
    k2_digest_to_hex(digest, signature);
    return true;
}

enum k2_status k2_sigv4_sign(const struct k2_sigv4_key *key, const struct k2_sigv4_request *request,
                             struct k2_buffer *authorization, struct k2_error *error)
{
    struct k2_sigv4_pair sorted[K2_SIGV4_PAIRS];
    char scope[256], hash[K2_SHA256_HEX_BYTES], signature[K2_SHA256_HEX_BYTES];
    struct k2_buffer text;
    if (request->header_count == 0 || request->header_count > K2_SIGV4_PAIRS ||
        request->query_count > K2_SIGV4_PAIRS) {
        return k2_fail(error, K2_LIMIT, "s3: more than %d headers or parameters to sign",
                       K2_SIGV4_PAIRS);
    }
    memcpy(sorted, request->headers, request->header_count * sizeof *sorted);
    qsort(sorted, request->header_count, sizeof *sorted, by_name);
    (void)snprintf(scope, sizeof scope, "%.*s/%s/%s/aws4_request", DAY_BYTES, request->date,
                   key->region, key->service);
    k2_buffer_init(&text, CANONICAL_BYTES);
    put_canonical(&text, request, sorted);
    enum k2_status status = k2_buffer_check(&text, "s3: the request to sign", error);
    bool signed_well = status == K2_OK && k2_sha256_hex(k2_buffer_slice(&text), hash);
    if (signed_well) {
        k2_buffer_clear(&text);
        k2_put_format(&text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", request->date, scope, hash);
        signed_well = !text.failed && sign(key, request->date, k2_buffer_slice(&text), signature);
    }
    if (status == K2_OK && !signed_well) {
        status = k2_fail(error, K2_NO_MEMORY, "s3: cannot sign the request");
    }
    if (status == K2_OK) {
        k2_put_format(authorization,
                      "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=", key->access_key, scope);
        put_names(authorization, sorted, request->header_count);
        k2_put_format(authorization, ", Signature=%s", signature);
        status = k2_buffer_check(authorization, "s3: the signature", error);
    }
    k2_buffer_deinit(&text);
    return status;
}
