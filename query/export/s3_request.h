// One request to S3 or what speaks like it: addressed, signed, sent, tried again where that helps.
//
// Belongs to one thread.
#pragma once

#include "query/export/retry.h"
#include "query/export/s3_store.h"
#include "query/export/sigv4.h"
#include "query/http_exchange.h"

struct k2_s3_client {
    char *scheme, *host; // owned; the host with its port, unless it is the scheme's
    char *base_path;     // owned; of the endpoint, without `/` at the end
    char *region, *access_key, *secret_key, *session_token; // owned; the token may be NULL
    bool virtual_hosts;
    unsigned wait_ms;
    struct k2_http_exchange *exchange;
    struct k2_retry_budget budget;
    struct k2_buffer url, path, authorization; // scratch
};

// Zeroes the client first, so that deinit may follow a failure.
K2_MUST_CHECK enum k2_status k2_s3_client_init(struct k2_s3_client *client,
                                               const struct k2_s3_settings *settings,
                                               struct k2_error *error);
void k2_s3_client_deinit(struct k2_s3_client *client);

// Bucket and key of `s3://bucket/key`, borrowed from it; the key may be empty. K2_BAD_REQUEST.
K2_MUST_CHECK enum k2_status k2_s3_parse(const char *location, struct k2_slice *bucket,
                                         struct k2_slice *key, struct k2_error *error);

enum { K2_S3_HEADERS = 8 };

struct k2_s3_request {
    const char *method;
    const char *location; // `s3://bucket/key`
    const struct k2_sigv4_pair *query;
    size_t query_count;
    const struct k2_sigv4_pair *headers; // further ones, names in lower case; at most K2_S3_HEADERS
    size_t header_count;
    bool has_body;
    struct k2_slice body;
    // As those of k2_http_call; `restart` is called before a second try, if bytes came.
    enum k2_status (*take)(void *take_context, struct k2_slice bytes, struct k2_error *error);
    void (*restart)(void *take_context);
    void *take_context;
    size_t answer_ceiling_bytes;
};

struct k2_s3_answer {
    unsigned status;
    struct k2_slice head, body; // as in k2_http_answer
    // An earlier try of this request ended without an answer: it may have been done.
    bool maybe_done_before;
};

// K2_OK with a status below 500 that is not about trying again: the caller judges. K2_BUSY: no
// server, or one that goes on failing, K2_IO when it may have done what was asked;
// K2_NOT_PERMITTED: 401, 403.
K2_MUST_CHECK enum k2_status k2_s3_run(struct k2_s3_client *client,
                                       const struct k2_s3_request *request,
                                       struct k2_s3_answer *answer, struct k2_error *error);

// What the server said: the code and message of its XML, or the status alone.
enum k2_status k2_s3_fail(const struct k2_s3_request *request, const struct k2_s3_answer *answer,
                          struct k2_error *error);
