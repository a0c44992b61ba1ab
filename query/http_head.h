// Is a request's head what it seems to be?
//
// libmicrohttpd 0.9.75 lets pass what a proxy may read otherwise than we do: hidden NULs, folded
// and dropped lines, bare line feeds, two lengths, two hosts. It leaves the head where it was
// received and only overwrites separators, so that the places of the parts tell whether they are
// all that the client sent. Pure.
#pragma once

#include <stdbool.h>

#include "format/base/bytes.h"
#include "format/base/status.h"

enum { K2_HTTP_MAX_FIELDS = 100 };

struct k2_http_field {
    struct k2_slice name, value;
};

// All slices point into the one received head of `size_bytes`, which begins at the method and ends
// with the empty line. Of the target only the place counts: by the time that this is called its
// separators are overwritten.
struct k2_http_head {
    struct k2_slice method, target, version;
    struct k2_http_field fields[K2_HTTP_MAX_FIELDS]; // in order of arrival
    size_t field_count;
    bool too_many_fields;
    size_t size_bytes;
};

// What the fields say about the body.
struct k2_http_body_size {
    bool chunked;
    uint64_t size_bytes;
};

// K2_BAD_REQUEST: the connection must end after the answer.
K2_MUST_CHECK enum k2_status k2_http_head_check(const struct k2_http_head *head,
                                                struct k2_http_body_size *body,
                                                struct k2_error *error);

// The value of the first field of that name in any case; an empty slice without data if none.
struct k2_slice k2_http_head_find(const struct k2_http_head *head, const char *name);
