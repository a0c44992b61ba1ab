// The content coding of answers: gzip or zstd, where the client takes it.
//
// No socket. A coded stream belongs to one thread at a time, as the answer does.
#pragma once

#include "format/base/bytes.h"
#include "format/base/status.h"

struct k2_http_response;

enum k2_http_coding { K2_HTTP_PLAIN, K2_HTTP_GZIP, K2_HTTP_ZSTD };

// What an Accept-Encoding header asks for (RFC 9110, 12.5.3): the coding with the greatest weight,
// zstd before gzip and gzip before plain at the same. `*` speaks of gzip alone, which every client
// of HTTP knows; what is malformed is passed over.
enum k2_http_coding k2_http_coding_choose(struct k2_slice accept_encoding);

// Codes the body of a good answer, and a stream's pieces when they are pulled: each piece can be
// decoded when it has arrived. Short bodies and those that do not shrink stay as they are.
// K2_NO_MEMORY: the answer is to be replaced by an error.
K2_MUST_CHECK enum k2_status k2_http_response_encode(struct k2_http_response *response,
                                                     enum k2_http_coding coding,
                                                     struct k2_error *error);
