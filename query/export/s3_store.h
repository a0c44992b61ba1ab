// Objects in a bucket of S3, or of a server that speaks like it.
//
// Everything is signed; what is sent carries the SHA-256 of its bytes, which such a server checks.
// An object is written with a mark of its own, so that a put whose answer was lost is told from one
// that somebody else made.
#pragma once

#include "query/export/object_store.h"

// Texts are borrowed during the call only.
struct k2_s3_settings {
    const char *endpoint; // `http://127.0.0.1:9000`; NULL: that of AWS for the region
    const char *region;   // NULL: us-east-1
    const char *access_key, *secret_key; // required
    const char *session_token;           // may be NULL
    bool virtual_hosts; // BUCKET.host/key instead of host/BUCKET/key; always without an endpoint
    unsigned wait_ms;   // the longest wait before a second try; 0: 300
    size_t part_bytes;  // of what is sent in parts; 0: 16 MiB, at least 5 MiB but for the last
};

// What the environment says, by the names that every client of S3 knows: AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION or AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3
// or AWS_ENDPOINT_URL. Borrowed from the environment.
void k2_s3_settings_from_environment(struct k2_s3_settings *settings);

// K2_BAD_REQUEST: keys are missing, or the endpoint is no URL. Asks nobody yet.
K2_MUST_CHECK enum k2_status k2_s3_store_open(struct k2_object_store *store,
                                              const struct k2_s3_settings *settings,
                                              struct k2_error *error);
