#include "ingest/kafka_sink.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <time.h>

#include "format/base/alloc.h"

enum {
    OPEN_WAIT_MS = 10000,
    METADATA_WAIT_MS = 2000,
    QUEUE_WAIT_MS = 100,
    REASON_BYTES = 256,
    POLL_EVERY = 1024, // messages
};

struct k2_kafka_sink {
    rd_kafka_t *client;
    rd_kafka_topic_t *topic;
    struct k2_kafka_sink_counts counts;
    char reason[REASON_BYTES];
    bool fatal;
};

static const struct {
    const char *name, *value;
} settings[] = {
    {"client.id", "k2-produce"},
    {"partitioner", "murmur2_random"}, // as other clients place a key
    {"acks", "all"},
    {"enable.idempotence", "true"},
    {"compression.codec", "lz4"},
    {"linger.ms", "10"},
    {"batch.num.messages", "100000"},
    {"queue.buffering.max.messages", "500000"},
    {"queue.buffering.max.kbytes", "262144"},
    {"message.timeout.ms", "120000"},
    {"socket.keepalive.enable", "true"},
};

// Called from k2_kafka_sink_send, flush and close only: deliveries are served by polling.
static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *context)
{
    (void)client;
    struct k2_kafka_sink *self = context;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        self->counts.delivered++;
        return;
    }
    self->counts.failed++;
    (void)snprintf(self->reason, sizeof self->reason, "%s", rd_kafka_err2str(message->err));
}

static void on_error(rd_kafka_t *client, int code, const char *reason, void *context)
{
    struct k2_kafka_sink *self = context;
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        self->fatal = true;
        (void)rd_kafka_fatal_error(client, self->reason, sizeof self->reason);
    } else {
        (void)snprintf(self->reason, sizeof self->reason, "%s", reason);
    }
}

static enum k2_status make_client(struct k2_kafka_sink *self, const char *brokers,
                                  struct k2_error *error)
{
    char why[512] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool good =
        rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why) == RD_KAFKA_CONF_OK;
    for (size_t i = 0; good && i < sizeof settings / sizeof settings[0]; i++) {
        good = rd_kafka_conf_set(conf, settings[i].name, settings[i].value, why, sizeof why) ==
               RD_KAFKA_CONF_OK;
    }
    rd_kafka_conf_set_opaque(conf, self);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, NULL); // what matters comes through on_error
    self->client = good ? rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why) : NULL;
    if (self->client == NULL) {
        rd_kafka_conf_destroy(conf);
        return k2_fail(error, K2_BAD_REQUEST, "Kafka: %s", why);
    }
    return K2_OK;
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum k2_status find_topic(struct k2_kafka_sink *self, const char *brokers, const char *name,
                                 struct k2_error *error)
{
    self->topic = rd_kafka_topic_new(self->client, name, NULL);
    if (self->topic == NULL) {
        return k2_fail(error, K2_BAD_REQUEST, "topic %s: %s", name,
                       rd_kafka_err2str(rd_kafka_last_error()));
    }
    rd_kafka_resp_err_t last = RD_KAFKA_RESP_ERR__TIMED_OUT;
    for (int64_t end = now_ms() + OPEN_WAIT_MS; now_ms() < end;) {
        const struct rd_kafka_metadata *metadata;
        last = rd_kafka_metadata(self->client, 0, self->topic, &metadata, METADATA_WAIT_MS);
        bool known = false;
        if (last == RD_KAFKA_RESP_ERR_NO_ERROR) {
            last = metadata->topic_cnt == 1 ? metadata->topics[0].err
                                            : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
            known = last == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topics[0].partition_cnt > 0;
            rd_kafka_metadata_destroy(metadata);
        }
        if (known) {
            return K2_OK;
        }
        (void)rd_kafka_poll(self->client, QUEUE_WAIT_MS);
    }
    if (last == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        return k2_fail(error, K2_NOT_FOUND, "topic %s: not there, and %s does not make it", name,
                       brokers);
    }
    return k2_fail(error, K2_BUSY, "Kafka %s: no answer about topic %s: %s", brokers, name,
                   self->reason[0] != '\0' ? self->reason : rd_kafka_err2str(last));
}

enum k2_status k2_kafka_sink_open(struct k2_kafka_sink **sink, const char *brokers,
                                  const char *topic, struct k2_error *error)
{
    struct k2_kafka_sink *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "Kafka: out of memory");
    }
    enum k2_status status = make_client(self, brokers, error);
    if (status == K2_OK) {
        status = find_topic(self, brokers, topic, error);
    }
    if (status != K2_OK) {
        k2_kafka_sink_close(self);
        return status;
    }
    self->reason[0] = '\0';
    *sink = self;
    return K2_OK;
}

void k2_kafka_sink_close(struct k2_kafka_sink *sink)
{
    if (sink == NULL) {
        return;
    }
    if (sink->client != NULL) {
        (void)rd_kafka_purge(sink->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        (void)rd_kafka_flush(sink->client, QUEUE_WAIT_MS);
    }
    if (sink->topic != NULL) {
        rd_kafka_topic_destroy(sink->topic);
    }
    if (sink->client != NULL) {
        rd_kafka_destroy(sink->client);
    }
    k2_free(sink);
}

static enum k2_status check_fatal(const struct k2_kafka_sink *self, struct k2_error *error)
{
    return self->fatal
               ? k2_fail(error, K2_BUSY, "Kafka: the producer failed for good: %s", self->reason)
               : K2_OK;
}

enum k2_status k2_kafka_sink_send(struct k2_kafka_sink *sink, struct k2_slice key,
                                  struct k2_slice value, struct k2_error *error)
{
    if (sink->counts.sent % POLL_EVERY == 0) {
        (void)rd_kafka_poll(sink->client, 0);
    }
    for (;;) {
        enum k2_status status = check_fatal(sink, error);
        if (status != K2_OK) {
            return status;
        }
        int failed = rd_kafka_produce(sink->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                                      (void *)(uintptr_t)value.data, value.size_bytes, key.data,
                                      key.size_bytes, NULL);
        if (failed == 0) {
            sink->counts.sent++;
            return K2_OK;
        }
        rd_kafka_resp_err_t reason = rd_kafka_last_error();
        if (reason != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            return k2_fail(error,
                           reason == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? K2_REJECTED : K2_BUSY,
                           "Kafka: %s", rd_kafka_err2str(reason));
        }
        (void)rd_kafka_poll(sink->client, QUEUE_WAIT_MS);
    }
}

enum k2_status k2_kafka_sink_flush(struct k2_kafka_sink *sink, int wait_ms, size_t *waiting,
                                   struct k2_error *error)
{
    (void)rd_kafka_flush(sink->client, wait_ms);
    *waiting = (size_t)(sink->counts.sent - sink->counts.delivered - sink->counts.failed);
    return check_fatal(sink, error);
}

struct k2_kafka_sink_counts k2_kafka_sink_counts(const struct k2_kafka_sink *sink)
{
    return sink->counts;
}

const char *k2_kafka_sink_reason(const struct k2_kafka_sink *sink)
{
    return sink->reason;
}
