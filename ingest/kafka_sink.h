// Sends messages to one Kafka topic: acks=all, idempotent, lz4, each delivery counted.
//
// Belongs to one thread.
#pragma once

#include <stdint.h>

#include "format/base/bytes.h"
#include "format/base/status.h"

struct k2_kafka_sink; // opaque

struct k2_kafka_sink_counts {
    uint64_t sent;      // taken by k2_kafka_sink_send
    uint64_t delivered; // acknowledged by all replicas in sync
    uint64_t failed;    // given up
};

// Waits until the brokers know the topic, at most some 10 s: K2_BUSY when none answers,
// K2_NOT_FOUND when they do not have the topic and do not make it.
K2_MUST_CHECK enum k2_status k2_kafka_sink_open(struct k2_kafka_sink **sink, const char *brokers,
                                                const char *topic, struct k2_error *error);

// Drops what is still waiting; flush before.
void k2_kafka_sink_close(struct k2_kafka_sink *sink);

// Queues one message, copied; waits while the queue is full. K2_BUSY: the client failed for good.
K2_MUST_CHECK enum k2_status k2_kafka_sink_send(struct k2_kafka_sink *sink, struct k2_slice key,
                                                struct k2_slice value, struct k2_error *error);

// Waits up to `wait_ms` for deliveries; `*waiting` messages are not settled yet. Call until it is
// 0.
K2_MUST_CHECK enum k2_status k2_kafka_sink_flush(struct k2_kafka_sink *sink, int wait_ms,
                                                 size_t *waiting, struct k2_error *error);

struct k2_kafka_sink_counts k2_kafka_sink_counts(const struct k2_kafka_sink *sink);

// Why the last message failed, or an empty text; borrowed.
const char *k2_kafka_sink_reason(const struct k2_kafka_sink *sink);
