// The frame of a message whose schema stands in a registry: a zero byte, the schema's id as four
// bytes (big-endian), the Avro body.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/buffer.h"

enum { K2_CONFLUENT_FRAME_BYTES = 5 };

static inline void k2_confluent_frame_put(struct k2_buffer *out, int32_t id)
{
    k2_put_u8(out, 0);
    for (unsigned shift = 32; shift > 0; shift -= 8) {
        k2_put_u8(out, (uint8_t)((uint32_t)id >> (shift - 8)));
    }
}

// False when `message` has no such frame.
static inline bool k2_confluent_frame_read(struct k2_slice message, int32_t *id,
                                           struct k2_slice *body)
{
    if (message.size_bytes < K2_CONFLUENT_FRAME_BYTES || message.data[0] != 0) {
        return false;
    }
    uint32_t bits = 0;
    for (size_t i = 1; i < K2_CONFLUENT_FRAME_BYTES; i++) {
        bits = bits << 8 | message.data[i];
    }
    *id = (int32_t)bits;
    *body = (struct k2_slice){message.data + K2_CONFLUENT_FRAME_BYTES,
                              message.size_bytes - K2_CONFLUENT_FRAME_BYTES};
    return true;
}
