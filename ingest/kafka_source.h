// Reads fixed partitions of Kafka topics, from offsets that the store keeps.
//
// The broker is never asked where to go on, and nothing is committed to it. Partitions stand for
// themselves: one that can not go on stops with a reason and the others go on. Belongs to one
// thread; blocks for at most a few seconds, and only while a topic is looked up.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/base/buffer.h"

struct k2_kafka_source; // opaque

enum k2_partition_state {
    K2_PARTITION_OPENING = 0, // not looked up yet, or no broker answers
    K2_PARTITION_CHECKING,    // reads the last stored message again
    K2_PARTITION_RUNNING,
    K2_PARTITION_HELD,    // by k2_kafka_source_hold, or waits for another look-up
    K2_PARTITION_STOPPED, // can not go on without losing or doubling rows; `reason` says why
};
const char *k2_partition_state_name(enum k2_partition_state state);

// Where a partition stands. What the store keeps of it is next, last and last_hash.
struct k2_partition {
    const char *topic;  // owned by the source
    size_t topic_index; // in the options
    int32_t number;
    enum k2_partition_state state;
    bool has_progress;
    int64_t next;       // offset of the next message to take
    int64_t last;       // offset of the last message taken, or -1
    uint64_t last_hash; // of that message
    int64_t low, high;  // the log, as the broker last told; -1: not known
    char reason[192];   // of HELD and STOPPED
};

struct k2_kafka_topic {
    const char *name;
    const int32_t *partitions; // NULL: all, also those added later
    size_t partition_count;
};

struct k2_kafka_source_options {
    const char *brokers;
    const struct k2_kafka_topic *topics;
    size_t topic_count;
    // Fills has_progress, next, last and last_hash of a partition from the store.
    enum k2_status (*recall)(void *context, struct k2_partition *partition, struct k2_error *error);
    void *recall_context;
    int recheck_ms; // how often to look for new partitions; 0: the default
};

// All of the options is copied. K2_BAD_REQUEST: a setting that librdkafka refuses. Whether a broker
// answers shows in the states.
K2_MUST_CHECK enum k2_status k2_kafka_source_open(struct k2_kafka_source **source,
                                                  const struct k2_kafka_source_options *options,
                                                  struct k2_error *error);
void k2_kafka_source_close(struct k2_kafka_source *source);

struct k2_kafka_message {
    size_t partition; // index, see k2_kafka_source_partition
    int64_t offset;
    struct k2_slice key, value; // borrowed until the next call
    bool is_null;               // no value: a tombstone
    uint64_t hash;
};

// The next message of any running partition, waiting up to `wait_ms`; `*found` is false if none
// came. The message counts as taken when k2_kafka_source_take is called, else it is dropped by a
// k2_kafka_source_hold. A failure is one of recall.
K2_MUST_CHECK enum k2_status k2_kafka_source_poll(struct k2_kafka_source *source, int wait_ms,
                                                  bool *found, struct k2_kafka_message *message,
                                                  struct k2_error *error);
void k2_kafka_source_take(struct k2_kafka_source *source, const struct k2_kafka_message *message);

// Stops reading one partition at its next offset; release goes on there.
void k2_kafka_source_hold(struct k2_kafka_source *source, size_t partition, const char *reason);
void k2_kafka_source_release(struct k2_kafka_source *source, size_t partition);

// Pauses all partitions (polling goes on, messages do not come), and ends that.
void k2_kafka_source_pause(struct k2_kafka_source *source, bool paused);

size_t k2_kafka_source_partition_count(const struct k2_kafka_source *source);
// Borrowed until the next poll.
const struct k2_partition *k2_kafka_source_partition(const struct k2_kafka_source *source,
                                                     size_t index);
// Fills low and high of all partitions from what the last answers of the brokers told.
void k2_kafka_source_update_lag(struct k2_kafka_source *source);

// Empty while brokers answer; else why they do not. Borrowed.
const char *k2_kafka_source_trouble(const struct k2_kafka_source *source);
