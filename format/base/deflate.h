// Raw deflate (RFC 1951), of pieces that are whole in memory; and gzip, for reading.
#pragma once

#include "format/base/buffer.h"

// Appends `bytes` deflated. Check `out`.
void k2_deflate(struct k2_buffer *out, struct k2_slice bytes);

// Appends what `bytes` was before. False: not deflated bytes, or more than `out` may hold; behind a
// gzip member nothing may follow.
K2_MUST_CHECK bool k2_inflate(struct k2_buffer *out, struct k2_slice bytes);
K2_MUST_CHECK bool k2_inflate_gzip(struct k2_buffer *out, struct k2_slice bytes);
