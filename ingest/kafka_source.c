#include "ingest/kafka_source.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "format/base/alloc.h"
#include "format/base/checksum.h"

enum {
    MAX_PARTITIONS = 1 << 14,
    LOOKUP_WAIT_MS = 3000,
    TROUBLE_WAIT_MS = 300, // for a look-up while no broker answers
    RETRY_MS = 1000,
    RECHECK_MS = 30000,
    POLLS_BETWEEN_CLOCKS = 1024,
};

struct partition {
    struct k2_partition public;
    bool assigned;
    int64_t check_offset; // where reading began; next or, when checking, last
};

struct topic {
    char *name; // owned
    int32_t *wanted;
    size_t wanted_count;
    bool wants_all;
};

struct k2_kafka_source {
    rd_kafka_t *client;
    struct topic *topics;
    size_t topic_count;
    struct partition **partitions; // owned; never removed
    size_t partition_count, partition_room;
    enum k2_status (*recall)(void *context, struct k2_partition *partition, struct k2_error *error);
    void *recall_context;
    rd_kafka_message_t *message; // given out last
    // Messages come in runs of one partition: where the last one was found.
    const rd_kafka_topic_t *last_topic;
    size_t last_index;
    unsigned poll_count;
    bool paused, down;
    int recheck_ms;
    int64_t next_lookup_ms;
    char trouble[256];
};

// Reasons in reference to the client's documentation: `queued.*` keeps the fetcher from sleeping a
// second whenever the local queue is full for a moment.
static const struct {
    const char *name, *value;
} settings[] = {
    {"client.id", "k2"},
    {"group.id", "k2"}, // wanted by the client; nothing is committed and no group is joined
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},
    {"isolation.level", "read_committed"},
    {"check.crcs", "true"},
    {"allow.auto.create.topics", "false"},
    {"queued.min.messages", "1000000"},
    {"queued.max.messages.kbytes", "65536"},
    {"fetch.wait.max.ms", "50"},
    {"fetch.error.backoff.ms", "200"},
    {"reconnect.backoff.max.ms", "2000"},
    {"topic.metadata.refresh.interval.ms", "30000"},
    {"socket.keepalive.enable", "true"},
};

const char *k2_partition_state_name(enum k2_partition_state state)
{
    static const char *const names[] = {"opening", "checking", "running", "held", "stopped"};
    return names[state];
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum k2_status fail_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "Kafka: out of memory");
}

// Called while polling, on the caller's thread.
static void on_error(rd_kafka_t *client, int code, const char *reason, void *context)
{
    (void)client;
    struct k2_kafka_source *self = context;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !self->down) {
        self->down = true;
        self->next_lookup_ms = 0;
        (void)snprintf(self->trouble, sizeof self->trouble, "no broker answers: %s", reason);
    }
}

static enum k2_status make_client(struct k2_kafka_source *self, const char *brokers,
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
    // Later versions know it and older ones do not: that is no failure.
    (void)rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "10", NULL, 0);
    rd_kafka_conf_set_opaque(conf, self);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, NULL); // what matters comes through on_error and messages
    self->client = good ? rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why) : NULL;
    if (self->client == NULL) {
        rd_kafka_conf_destroy(conf);
        return k2_fail(error, K2_BAD_REQUEST, "Kafka: %s", why);
    }
    (void)rd_kafka_poll_set_consumer(self->client);
    return K2_OK;
}

static enum k2_status copy_topic(struct topic *topic, const struct k2_kafka_topic *given,
                                 struct k2_error *error)
{
    topic->name = k2_alloc_text(given->name, strlen(given->name));
    topic->wants_all = given->partitions == NULL;
    topic->wanted_count = topic->wants_all ? 0 : given->partition_count;
    topic->wanted = k2_alloc_zero(topic->wanted_count, sizeof *topic->wanted);
    if (topic->name == NULL || topic->wanted == NULL) {
        return fail_memory(error);
    }
    for (size_t i = 0; i < topic->wanted_count; i++) {
        topic->wanted[i] = given->partitions[i];
    }
    return K2_OK;
}

enum k2_status k2_kafka_source_open(struct k2_kafka_source **source,
                                    const struct k2_kafka_source_options *options,
                                    struct k2_error *error)
{
    struct k2_kafka_source *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return fail_memory(error);
    }
    self->recall = options->recall;
    self->recall_context = options->recall_context;
    self->recheck_ms = options->recheck_ms > 0 ? options->recheck_ms : RECHECK_MS;
    self->topics = k2_alloc_zero(options->topic_count, sizeof *self->topics);
    enum k2_status status = self->topics == NULL ? fail_memory(error) : K2_OK;
    for (size_t i = 0; i < options->topic_count && status == K2_OK; i++) {
        self->topic_count = i + 1;
        status = copy_topic(&self->topics[i], &options->topics[i], error);
    }
    if (status == K2_OK) {
        status = make_client(self, options->brokers, error);
    }
    if (status != K2_OK) {
        k2_kafka_source_close(self);
        return status;
    }
    *source = self;
    return K2_OK;
}

static void drop_message(struct k2_kafka_source *self)
{
    if (self->message != NULL) {
        rd_kafka_message_destroy(self->message);
        self->message = NULL;
    }
}

void k2_kafka_source_close(struct k2_kafka_source *source)
{
    if (source == NULL) {
        return;
    }
    drop_message(source);
    if (source->client != NULL) {
        (void)rd_kafka_consumer_close(source->client);
        rd_kafka_destroy(source->client);
    }
    for (size_t i = 0; source->topics != NULL && i < source->topic_count; i++) {
        k2_free(source->topics[i].name);
        k2_free(source->topics[i].wanted);
    }
    for (size_t i = 0; i < source->partition_count; i++) {
        k2_free(source->partitions[i]);
    }
    k2_free(source->topics);
    k2_free(source->partitions);
    k2_free(source);
}

static struct partition *find_partition(const struct k2_kafka_source *self, const char *topic,
                                        int32_t number)
{
    for (size_t i = 0; i < self->partition_count; i++) {
        struct partition *partition = self->partitions[i];
        if (partition->public.number == number && strcmp(partition->public.topic, topic) == 0) {
            return partition;
        }
    }
    return NULL;
}

static void set_state(struct partition *partition, enum k2_partition_state state,
                      const char *format, ...) K2_PRINTF(3, 4);
static void set_state(struct partition *partition, enum k2_partition_state state,
                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(partition->public.reason, sizeof partition->public.reason, format, arguments);
    va_end(arguments);
    partition->public.state = state;
}

static void unassign(struct k2_kafka_source *self, struct partition *partition)
{
    if (!partition->assigned) {
        return;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    (void)rd_kafka_topic_partition_list_add(list, partition->public.topic,
                                            partition->public.number);
    rd_kafka_error_t *failed = rd_kafka_incremental_unassign(self->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (failed != NULL) {
        rd_kafka_error_destroy(failed);
    }
    partition->assigned = false;
}

// Reads from `offset` on; what was fetched before is forgotten.
static void assign(struct k2_kafka_source *self, struct partition *partition, int64_t offset)
{
    unassign(self, partition);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *added =
        rd_kafka_topic_partition_list_add(list, partition->public.topic, partition->public.number);
    added->offset = offset;
    rd_kafka_error_t *failed = rd_kafka_incremental_assign(self->client, list);
    if (failed != NULL) {
        set_state(partition, K2_PARTITION_OPENING, "%s", rd_kafka_error_string(failed));
        rd_kafka_error_destroy(failed);
    } else {
        partition->assigned = true;
        partition->check_offset = offset;
        if (self->paused) {
            (void)rd_kafka_pause_partitions(self->client, list);
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void stop(struct k2_kafka_source *self, struct partition *partition, const char *why)
{
    unassign(self, partition);
    set_state(partition, K2_PARTITION_STOPPED, "%s", why);
}

// Begins to read a partition whose log is known. The last stored message is read again, so that a
// topic that was made anew is told from the one that was read.
static void begin(struct k2_kafka_source *self, struct partition *partition)
{
    struct k2_partition *public = &partition->public;
    char why[192];
    if (!public->has_progress) {
        public->next = public->low;
        public->last = -1;
        set_state(partition, K2_PARTITION_RUNNING, "%s", "");
        assign(self, partition, public->next);
        return;
    }
    if (public->high < public->next) {
        (void)snprintf(why, sizeof why,
                       "the log ends at %" PRId64 ", before the next offset %" PRId64
                       ": the topic was made anew or cut",
                       public->high, public->next);
        stop(self, partition, why);
        return;
    }
    if (public->low > public->next) {
        (void)snprintf(why, sizeof why,
                       "offsets %" PRId64 " to %" PRId64 " are gone from the log, never stored",
                       public->next, public->low - 1);
        stop(self, partition, why);
        return;
    }
    bool check = public->last >= 0 && public->last >= public->low;
    set_state(partition, check ? K2_PARTITION_CHECKING : K2_PARTITION_RUNNING, "%s", "");
    assign(self, partition, check ? public->last : public->next);
}

static enum k2_status add_partition(struct k2_kafka_source *self, size_t topic_index,
                                    int32_t number, struct k2_error *error)
{
    if (self->partition_count == self->partition_room) {
        size_t room = self->partition_room == 0 ? 16 : 2 * self->partition_room;
        struct partition **grown =
            room > MAX_PARTITIONS ? NULL : k2_realloc(self->partitions, room, sizeof *grown);
        if (grown == NULL) {
            return fail_memory(error);
        }
        self->partitions = grown;
        self->partition_room = room;
    }
    struct partition *partition = k2_alloc_zero(1, sizeof *partition);
    if (partition == NULL) {
        return fail_memory(error);
    }
    partition->public = (struct k2_partition){
        .topic = self->topics[topic_index].name,
        .topic_index = topic_index,
        .number = number,
        .last = -1,
        .low = -1,
        .high = -1,
    };
    enum k2_status status = self->recall(self->recall_context, &partition->public, error);
    if (status != K2_OK) {
        k2_free(partition);
        return status;
    }
    self->partitions[self->partition_count++] = partition;
    return K2_OK;
}

static bool wants(const struct topic *topic, int32_t number)
{
    for (size_t i = 0; i < topic->wanted_count; i++) {
        if (topic->wanted[i] == number) {
            return true;
        }
    }
    return topic->wants_all;
}

// Asks how many partitions a topic has. False: no broker answered.
static bool count_partitions(struct k2_kafka_source *self, const char *name, int *count)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(self->client, name, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t failed =
        topic == NULL ? rd_kafka_last_error()
                      : rd_kafka_metadata(self->client, 0, topic, &metadata,
                                          self->down ? TROUBLE_WAIT_MS : LOOKUP_WAIT_MS);
    *count = 0;
    if (failed == RD_KAFKA_RESP_ERR_NO_ERROR && metadata != NULL) {
        rd_kafka_resp_err_t unknown =
            metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
        if (unknown == RD_KAFKA_RESP_ERR_NO_ERROR) {
            *count = metadata->topics[0].partition_cnt;
        } else {
            (void)snprintf(self->trouble, sizeof self->trouble, "topic %s: %s", name,
                           rd_kafka_err2str(unknown));
        }
        rd_kafka_metadata_destroy(metadata);
    }
    if (topic != NULL) {
        rd_kafka_topic_destroy(topic);
    }
    if (failed != RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)snprintf(self->trouble, sizeof self->trouble, "no broker answers: %s",
                       rd_kafka_err2str(failed));
    }
    return failed == RD_KAFKA_RESP_ERR_NO_ERROR;
}

// The ends of the logs of all partitions that are to be opened: `which` is an instant that Kafka
// reads as first (-2) or end (-1). rd_kafka_query_watermark_offsets may wait for ever.
static bool ask_offsets(struct k2_kafka_source *self, int64_t which)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (size_t i = 0; i < self->partition_count; i++) {
        const struct k2_partition *public = &self->partitions[i]->public;
        if (public->state == K2_PARTITION_OPENING) {
            rd_kafka_topic_partition_list_add(list, public->topic, public->number)->offset = which;
        }
    }
    rd_kafka_resp_err_t failed =
        list->cnt == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR
                       : rd_kafka_offsets_for_times(self->client, list, LOOKUP_WAIT_MS);
    for (int i = 0; i < list->cnt && failed == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        const rd_kafka_topic_partition_t *told = &list->elems[i];
        struct partition *partition = find_partition(self, told->topic, told->partition);
        bool good = told->err == RD_KAFKA_RESP_ERR_NO_ERROR && told->offset >= 0;
        *(which == -2 ? &partition->public.low : &partition->public.high) =
            good ? told->offset : -1;
        if (!good) {
            set_state(partition, K2_PARTITION_OPENING, "%s", rd_kafka_err2str(told->err));
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (failed != RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)snprintf(self->trouble, sizeof self->trouble, "ends of logs: %s",
                       rd_kafka_err2str(failed));
    }
    return failed == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool open_partitions(struct k2_kafka_source *self)
{
    if (!ask_offsets(self, -2) || !ask_offsets(self, -1)) {
        return false;
    }
    bool all = true;
    for (size_t i = 0; i < self->partition_count; i++) {
        struct partition *partition = self->partitions[i];
        if (partition->public.state != K2_PARTITION_OPENING) {
            continue;
        }
        if (partition->public.low >= 0 && partition->public.high >= 0) {
            begin(self, partition);
        }
        all = all && partition->public.state != K2_PARTITION_OPENING;
    }
    return all;
}

// Looks up topics and partitions, and begins those that are not read yet.
static enum k2_status look_up(struct k2_kafka_source *self, struct k2_error *error)
{
    bool complete = true;
    enum k2_status status = K2_OK;
    self->trouble[0] = '\0';
    for (size_t i = 0; i < self->topic_count && status == K2_OK; i++) {
        int count;
        if (!count_partitions(self, self->topics[i].name, &count)) {
            self->next_lookup_ms = now_ms() + RETRY_MS;
            return K2_OK;
        }
        self->down = false;
        complete = complete && count > 0;
        for (int32_t number = 0; number < count && status == K2_OK; number++) {
            if (wants(&self->topics[i], number) &&
                find_partition(self, self->topics[i].name, number) == NULL) {
                status = add_partition(self, i, number, error);
            }
        }
    }
    if (status == K2_OK) {
        complete = open_partitions(self) && complete;
    }
    self->next_lookup_ms = now_ms() + (complete ? self->recheck_ms : RETRY_MS);
    return status;
}

static uint64_t hash_of(const rd_kafka_message_t *message)
{
    uint64_t parts[3] = {
        k2_hash((struct k2_slice){message->payload, message->len}),
        k2_hash((struct k2_slice){message->key, message->key_len}),
        (uint64_t)rd_kafka_message_timestamp(message, NULL),
    };
    return k2_hash((struct k2_slice){(const uint8_t *)parts, sizeof parts});
}

// An event that is no message: the partition looks again, stops, or the client mends it by itself.
static void take_event(struct k2_kafka_source *self, struct partition *partition,
                       const rd_kafka_message_t *event)
{
    switch (event->err) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        // The log is another than before: it is looked up and checked like at the start.
        unassign(self, partition);
        partition->public.has_progress =
            partition->public.has_progress || partition->public.last >= 0;
        set_state(partition, K2_PARTITION_OPENING, "%s", rd_kafka_err2str(event->err));
        self->next_lookup_ms = now_ms() + RETRY_MS;
        break;
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
        stop(self, partition, "a batch of messages is damaged (CRC)");
        break;
    default:
        (void)snprintf(self->trouble, sizeof self->trouble, "%s/%d: %s", partition->public.topic,
                       (int)partition->public.number, rd_kafka_message_errstr(event));
        break;
    }
}

// The first message after opening: is it still the one that was stored last? False: it is not to
// be given out.
static bool check_first(struct k2_kafka_source *self, struct partition *partition,
                        const rd_kafka_message_t *message)
{
    struct k2_partition *public = &partition->public;
    if (message->offset == public->last && hash_of(message) != public->last_hash) {
        char why[192];
        (void)snprintf(why, sizeof why,
                       "the message at offset %" PRId64
                       " is not the one that was stored: the topic was made anew",
                       public->last);
        stop(self, partition, why);
        return false;
    }
    set_state(partition, K2_PARTITION_RUNNING, "%s", "");
    return message->offset >= public->next;
}

// True when the message is the next one of a partition that is read.
static bool is_next(struct k2_kafka_source *self, struct partition *partition,
                    const rd_kafka_message_t *message)
{
    struct k2_partition *public = &partition->public;
    bool reading = public->state == K2_PARTITION_RUNNING || public->state == K2_PARTITION_CHECKING;
    if (!partition->assigned || !reading || message->offset < partition->check_offset) {
        return false; // fetched before the partition was taken from the client
    }
    if (public->state == K2_PARTITION_CHECKING && !check_first(self, partition, message)) {
        return false;
    }
    return message->offset >= public->next;
}

// The partition of a message; NULL for an event of none.
static struct partition *partition_of(struct k2_kafka_source *self,
                                      const rd_kafka_message_t *message)
{
    if (message->rkt == NULL) {
        return NULL;
    }
    if (message->rkt == self->last_topic &&
        self->partitions[self->last_index]->public.number == message->partition) {
        return self->partitions[self->last_index];
    }
    struct partition *partition =
        find_partition(self, rd_kafka_topic_name(message->rkt), message->partition);
    for (size_t i = 0; partition != NULL && i < self->partition_count; i++) {
        if (self->partitions[i] == partition) {
            self->last_index = i;
            self->last_topic = message->rkt;
        }
    }
    return partition;
}

// Between messages, and now and then while they never cease.
static enum k2_status look_up_when_due(struct k2_kafka_source *self, bool idle,
                                       struct k2_error *error)
{
    bool look = idle || self->down || ++self->poll_count % POLLS_BETWEEN_CLOCKS == 0;
    return look && now_ms() >= self->next_lookup_ms ? look_up(self, error) : K2_OK;
}

enum k2_status k2_kafka_source_poll(struct k2_kafka_source *source, int wait_ms, bool *found,
                                    struct k2_kafka_message *message, struct k2_error *error)
{
    *found = false;
    drop_message(source);
    source->message = rd_kafka_consumer_poll(source->client, wait_ms);
    const rd_kafka_message_t *polled = source->message;
    enum k2_status status = look_up_when_due(source, polled == NULL, error);
    if (status != K2_OK || polled == NULL) {
        return status;
    }
    struct partition *partition = partition_of(source, polled);
    if (partition == NULL) {
        return K2_OK;
    }
    if (polled->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        take_event(source, partition, polled);
        return K2_OK;
    }
    if (!is_next(source, partition, polled)) {
        return K2_OK;
    }
    source->trouble[0] = '\0';
    source->down = false;
    *message = (struct k2_kafka_message){
        .partition = source->last_index,
        .offset = polled->offset,
        .key = {polled->key, polled->key_len},
        .value = {polled->payload, polled->len},
        .is_null = polled->payload == NULL,
        .hash = hash_of(polled),
    };
    *found = true;
    return K2_OK;
}

void k2_kafka_source_take(struct k2_kafka_source *source, const struct k2_kafka_message *message)
{
    struct k2_partition *public = &source->partitions[message->partition]->public;
    public->next = message->offset + 1;
    public->last = message->offset;
    public->last_hash = message->hash;
    public->has_progress = true;
}

void k2_kafka_source_hold(struct k2_kafka_source *source, size_t partition, const char *reason)
{
    struct partition *held = source->partitions[partition];
    unassign(source, held);
    set_state(held, K2_PARTITION_HELD, "%s", reason);
}

void k2_kafka_source_release(struct k2_kafka_source *source, size_t partition)
{
    struct partition *held = source->partitions[partition];
    if (held->public.state == K2_PARTITION_HELD) {
        set_state(held, K2_PARTITION_RUNNING, "%s", "");
        assign(source, held, held->public.next);
    }
}

void k2_kafka_source_pause(struct k2_kafka_source *source, bool paused)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (size_t i = 0; i < source->partition_count; i++) {
        const struct k2_partition *public = &source->partitions[i]->public;
        if (source->partitions[i]->assigned) {
            (void)rd_kafka_topic_partition_list_add(list, public->topic, public->number);
        }
    }
    if (paused) {
        (void)rd_kafka_pause_partitions(source->client, list);
    } else {
        (void)rd_kafka_resume_partitions(source->client, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
    source->paused = paused;
}

size_t k2_kafka_source_partition_count(const struct k2_kafka_source *source)
{
    return source->partition_count;
}

const struct k2_partition *k2_kafka_source_partition(const struct k2_kafka_source *source,
                                                     size_t index)
{
    return &source->partitions[index]->public;
}

void k2_kafka_source_update_lag(struct k2_kafka_source *source)
{
    for (size_t i = 0; i < source->partition_count; i++) {
        struct k2_partition *public = &source->partitions[i]->public;
        int64_t low, high;
        if (rd_kafka_get_watermark_offsets(source->client, public->topic, public->number, &low,
                                           &high) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            continue;
        }
        public->low = low >= 0 ? low : public->low;
        public->high = high >= 0 ? high : public->high;
    }
}

const char *k2_kafka_source_trouble(const struct k2_kafka_source *source)
{
    return source->trouble;
}
