// AWS Signature Version 4 of a request, as S3 and what speaks like it want it. Pure but for memory.
//
// The signature covers exactly what is sent: the path and query that k2_sigv4_sign is given must go
// onto the wire byte by byte, and each header named must be sent with that value.
#pragma once

#include "format/base/buffer.h"

struct k2_sigv4_key {
    const char *access_key, *secret_key;
    const char *region, *service; // "us-east-1", "s3"
};

// A header (name in lower case) or a parameter of the query (neither part escaped).
struct k2_sigv4_pair {
    const char *name, *value;
};

struct k2_sigv4_request {
    const char *method;
    struct k2_slice path;              // escaped, as it is sent; begins with `/`
    const struct k2_sigv4_pair *query; // any order
    size_t query_count;
    const struct k2_sigv4_pair *headers; // `host` and `x-amz-date` among them; any order
    size_t header_count;
    const char *payload_hash; // hex of SHA-256 of the body, or UNSIGNED-PAYLOAD
    const char *date;         // 20150830T123600Z
};

enum { K2_SIGV4_DATE_BYTES = 17, K2_SIGV4_PAIRS = 32 };
void k2_sigv4_date(int64_t time_s, char date[K2_SIGV4_DATE_BYTES]); // since 1970 UTC

// Appends the query as it is sent (without `?`): escaped, sorted. At most K2_SIGV4_PAIRS. Check
// `out`.
void k2_sigv4_put_query(struct k2_buffer *out, const struct k2_sigv4_pair *query,
                        size_t query_count);

// Appends the value of the header `Authorization`. K2_LIMIT: more than K2_SIGV4_PAIRS.
K2_MUST_CHECK enum k2_status k2_sigv4_sign(const struct k2_sigv4_key *key,
                                           const struct k2_sigv4_request *request,
                                           struct k2_buffer *authorization, struct k2_error *error);
