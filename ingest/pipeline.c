#include "ingest/pipeline.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/commit.h"
#include "engine/instruments.h"
#include "format/base/alloc.h"
#include "ingest/confluent_frame.h"
#include "ingest/dead_letter.h"
#include "ingest/plan_cache.h"
#include "ingest/sequence_rule.h"

enum {
    COMMIT_MS = 100,
    POLL_MS = 50,
    RETRY_MS = 1000, // held partitions, a full store
    STATS_MS = 100,
    MESSAGES_A_TURN = 256,
    BATCH_TEXT_BYTES = 64 << 20, // a commit comes early at this much text
    MAX_SCHEMAS_WAITING = 64,
    PROGRESS_BYTES = 80,
    KEY_BYTES = 320,
};

// Where a row came from, by row of the batch.
struct origin {
    uint32_t partition;
};

// A table and the rows that wait for it. Several topics may feed one table.
struct slot {
    const struct k2_table *table;
    struct k2_row_batch *batch;
    struct origin *origins;
    struct k2_sequence_rule *rule; // NULL: sparse
    uint64_t rejected;             // letters that wait
};

// A schema to be kept with the next commit.
struct kept_schema {
    struct k2_buffer key, value;
};

struct k2_pipeline {
    struct k2_engine *engine; // borrowed
    struct slot *slots;
    size_t slot_count;
    size_t *slot_of_topic;
    size_t topic_count;
    struct k2_kafka_source *source;
    struct k2_schema_registry *registry;
    struct k2_plan_cache *plans;
    struct k2_dead_letters *letters;
    struct kept_schema *schemas;
    size_t schema_count;
    size_t commit_rows;
    int64_t commit_ns;
    int64_t oldest_ns; // monotonic: when the oldest waiting row came
    int64_t retry_ns, stats_ns;
    bool full;
    struct k2_pipeline_stats figures; // of the thread
    pthread_t thread;
    bool started;
    atomic_bool stop;
    pthread_mutex_t mutex;
    struct k2_pipeline_stats shown;  // guarded by mutex
    struct k2_partition *partitions; // guarded by mutex; owned
    size_t partition_count;          // guarded by mutex
};

const char *k2_pipeline_state_name(enum k2_pipeline_state state)
{
    static const char *const names[] = {"running", "waiting", "full", "failed", "stopped"};
    return names[state];
}

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static enum k2_status fail_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "pipeline: out of memory");
}

static enum k2_status intern(void *context, struct k2_slice exchange, struct k2_slice symbol,
                             uint32_t *instrument, struct k2_error *error)
{
    return k2_instrument_intern(context, exchange, symbol, instrument, error);
}

static void progress_key(const struct k2_partition *partition, char key[KEY_BYTES])
{
    (void)snprintf(key, KEY_BYTES, "kafka/%s/%d", partition->topic, (int)partition->number);
}

// `NEXT LAST HASH`: the offset to go on at, the last message stored and its hash.
static enum k2_status recall(void *context, struct k2_partition *partition, struct k2_error *error)
{
    struct k2_pipeline *self = context;
    char key[KEY_BYTES];
    struct k2_buffer value;
    progress_key(partition, key);
    k2_buffer_init(&value, 4096);
    bool found = false;
    enum k2_status status =
        k2_engine_progress(self->engine, k2_slice_of(key), &found, &value, error);
    if (status == K2_OK && found) {
        k2_put_u8(&value, 0);
        partition->has_progress = true;
        if (value.failed ||
            sscanf((const char *)value.data, "%" SCNd64 " %" SCNd64 " %" SCNx64, &partition->next,
                   &partition->last, &partition->last_hash) != 3) {
            status = k2_fail(error, K2_CORRUPT, "progress %s: not what K2 writes", key);
        }
    }
    k2_buffer_deinit(&value);
    return status;
}

static enum k2_status load_schema(void *context, struct k2_slice key, bool *found,
                                  struct k2_buffer *value, struct k2_error *error)
{
    struct k2_pipeline *self = context;
    return k2_engine_progress(self->engine, key, found, value, error);
}

// Kept with the next commit; when too many wait, the registry is asked once more after a restart.
static enum k2_status save_schema(void *context, struct k2_slice key, struct k2_slice value,
                                  struct k2_error *error)
{
    struct k2_pipeline *self = context;
    if (self->schema_count == MAX_SCHEMAS_WAITING) {
        return K2_OK;
    }
    struct kept_schema *kept = &self->schemas[self->schema_count];
    k2_buffer_clear(&kept->key);
    k2_buffer_clear(&kept->value);
    k2_put_bytes(&kept->key, key.data, key.size_bytes);
    k2_put_bytes(&kept->value, value.data, value.size_bytes);
    enum k2_status status = k2_buffer_check(&kept->key, "schema", error);
    if (status == K2_OK) {
        status = k2_buffer_check(&kept->value, "schema", error);
    }
    self->schema_count += status == K2_OK;
    return status;
}

static size_t waiting(const struct k2_pipeline *self)
{
    size_t count = k2_dead_letters_count(self->letters);
    for (size_t i = 0; i < self->slot_count; i++) {
        count += self->slots[i].batch->row_count;
    }
    return count;
}

static void source_name(const struct k2_partition *partition, char text[KEY_BYTES])
{
    (void)snprintf(text, KEY_BYTES, "%s/%d", partition->topic, (int)partition->number);
}

static enum k2_status add_conflicts(struct k2_pipeline *self, const struct slot *slot,
                                    const struct k2_commit_outcome *outcome, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < outcome->conflict_count && status == K2_OK; i++) {
        uint32_t row = outcome->conflicts[i];
        char source[KEY_BYTES];
        source_name(k2_kafka_source_partition(self->source, slot->origins[row].partition), source);
        struct k2_dead_letter letter = {
            .table = slot->table->schema->table,
            .reason = k2_row_fate_reason((enum k2_row_fate)outcome->fates[row]),
            .detail = k2_row_fate_detail((enum k2_row_fate)outcome->fates[row]),
            .source = source,
            .position = slot->batch->positions[row],
            .payload = k2_row_batch_text(slot->batch, slot->batch->payloads[row]),
        };
        status = k2_dead_letters_add(self->letters, &letter, error);
    }
    return status;
}

static enum k2_status add_slot(struct k2_pipeline *self, struct k2_commit *commit,
                               const struct slot *slot, struct k2_pipeline_stats *sums,
                               struct k2_error *error)
{
    struct k2_commit_outcome outcome = {0};
    struct k2_source source;
    enum k2_status status = K2_OK;
    if (slot->batch->row_count > 0) {
        status = k2_sequence_rule_apply(slot->rule, K2_NUMBERING_SPARSE, self->engine, slot->table,
                                        slot->batch, &source, error);
        if (status == K2_OK) {
            status = k2_commit_add_from(commit, slot->batch, &source, &outcome, error);
        }
    }
    if (status == K2_OK) {
        status = add_conflicts(self, slot, &outcome, error);
    }
    if (status == K2_OK && slot->rejected > 0) {
        k2_commit_count_rejected(commit, slot->table, slot->rejected);
    }
    sums->rows += outcome.stored;
    sums->duplicates += outcome.duplicates;
    sums->rejected += outcome.conflict_count + slot->rejected;
    return status;
}

static enum k2_status set_progress(struct k2_pipeline *self, struct k2_commit *commit,
                                   struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < k2_kafka_source_partition_count(self->source) && status == K2_OK; i++) {
        const struct k2_partition *partition = k2_kafka_source_partition(self->source, i);
        char key[KEY_BYTES], value[PROGRESS_BYTES];
        if (!partition->has_progress) {
            continue;
        }
        progress_key(partition, key);
        (void)snprintf(value, sizeof value, "%" PRId64 " %" PRId64 " %016" PRIx64, partition->next,
                       partition->last, partition->last_hash);
        status = k2_commit_set_progress(commit, k2_slice_of(key), k2_slice_of(value), error);
    }
    for (size_t i = 0; i < self->schema_count && status == K2_OK; i++) {
        status = k2_commit_set_progress(commit, k2_buffer_slice(&self->schemas[i].key),
                                        k2_buffer_slice(&self->schemas[i].value), error);
    }
    return status;
}

static enum k2_status commit_all(struct k2_pipeline *self, struct k2_pipeline_stats *sums,
                                 struct k2_error *error)
{
    struct k2_commit *commit = NULL;
    enum k2_status status = k2_commit_begin(self->engine, &commit, error);
    if (status != K2_OK) {
        return status;
    }
    for (size_t i = 0; i < self->slot_count && status == K2_OK; i++) {
        status = add_slot(self, commit, &self->slots[i], sums, error);
    }
    if (status == K2_OK) {
        status = k2_dead_letters_commit(self->letters, commit, error);
    }
    if (status == K2_OK) {
        status = set_progress(self, commit, error);
    }
    if (status != K2_OK) {
        k2_commit_abort(commit);
        return status;
    }
    return k2_commit_finish(commit, &sums->snapshot, error);
}

static void after_commit(struct k2_pipeline *self, const struct k2_pipeline_stats *sums)
{
    k2_dead_letters_clear(self->letters);
    for (size_t i = 0; i < self->slot_count; i++) {
        k2_row_batch_clear(self->slots[i].batch);
        self->slots[i].rejected = 0;
    }
    self->schema_count = 0;
    self->figures.rows += sums->rows;
    self->figures.duplicates += sums->duplicates;
    self->figures.rejected += sums->rejected;
    self->figures.snapshot = sums->snapshot;
    self->figures.commits++;
    if (self->full) {
        self->full = false;
        k2_kafka_source_pause(self->source, false);
    }
}

// All that waits becomes durable, or stays as it is: then nothing is taken in until it goes.
static void commit(struct k2_pipeline *self)
{
    struct k2_error error = {0};
    struct k2_pipeline_stats sums = {0};
    struct k2_dead_letters_mark mark = k2_dead_letters_mark(self->letters);
    enum k2_status status = commit_all(self, &sums, &error);
    if (status == K2_OK) {
        after_commit(self, &sums);
        return;
    }
    k2_dead_letters_return(self->letters, mark);
    (void)snprintf(self->figures.reason, sizeof self->figures.reason, "%.250s", error.text);
    if (status == K2_NO_SPACE || status == K2_NO_MEMORY || status == K2_LIMIT) {
        self->full = true;
        self->figures.state = K2_PIPELINE_FULL;
        self->retry_ns = now_ns() + (int64_t)RETRY_MS * 1000000;
    } else {
        self->figures.state = K2_PIPELINE_FAILED;
    }
    k2_kafka_source_pause(self->source, true);
}

// Where a message could not become a row, it becomes a dead letter.
static enum k2_status bury(struct k2_pipeline *self, const struct k2_kafka_message *message,
                           const char *reason, const char *detail, struct k2_error *error)
{
    const struct k2_partition *partition =
        k2_kafka_source_partition(self->source, message->partition);
    struct slot *slot = &self->slots[self->slot_of_topic[partition->topic_index]];
    char source[KEY_BYTES];
    source_name(partition, source);
    struct k2_dead_letter letter = {
        .table = slot->table->schema->table,
        .reason = reason,
        .detail = detail,
        .source = source,
        .position = (uint64_t)message->offset,
        .payload = message->value,
    };
    enum k2_status status = k2_dead_letters_add(self->letters, &letter, error);
    slot->rejected += status == K2_OK;
    return status;
}

static enum k2_status decode(struct k2_pipeline *self, const struct k2_kafka_message *message,
                             const char **reason, struct k2_error *error)
{
    const struct k2_partition *partition =
        k2_kafka_source_partition(self->source, message->partition);
    struct slot *slot = &self->slots[self->slot_of_topic[partition->topic_index]];
    struct k2_avro_plan *plan;
    struct k2_slice body;
    int32_t id;
    if (!k2_confluent_frame_read(message->value, &id, &body)) {
        *reason = "bad_frame";
        return k2_fail(error, K2_REJECTED,
                       message->is_null ? "a message without value"
                                        : "no zero byte and schema id at the beginning");
    }
    enum k2_status status = k2_plan_cache_get(self->plans, slot->table->schema, id, &plan, error);
    if (status == K2_BAD_REQUEST) {
        *reason = "bad_schema";
        return K2_REJECTED;
    }
    if (status != K2_OK) {
        return status;
    }
    size_t row = slot->batch->row_count, text_bytes = slot->batch->text.size_bytes;
    status = k2_avro_plan_decode(plan, body, (uint64_t)message->offset, slot->batch, reason, error);
    if (status != K2_OK) {
        return status;
    }
    slot->origins[row].partition = (uint32_t)message->partition;
    status = k2_row_batch_set_payload(slot->batch, row, message->value, error);
    if (status != K2_OK) {
        k2_row_batch_drop_last(slot->batch);
        slot->batch->text.size_bytes = text_bytes;
    }
    return status;
}

// One message becomes a row or a dead letter; or its partition waits at it.
static void take(struct k2_pipeline *self, const struct k2_kafka_message *message)
{
    struct k2_error error = {0};
    const char *reason = "bad_avro";
    bool first = waiting(self) == 0;
    enum k2_status status = decode(self, message, &reason, &error);
    if (status == K2_REJECTED) {
        status = bury(self, message, reason, error.text, &error);
    }
    if (status != K2_OK) { // an unknown schema, a registry that is down, no memory: tried again
        k2_kafka_source_hold(self->source, message->partition, error.text);
        return;
    }
    k2_kafka_source_take(self->source, message);
    self->figures.messages++;
    self->figures.bytes += message->key.size_bytes + message->value.size_bytes;
    if (first) {
        self->oldest_ns = now_ns();
    }
}

static bool is_due(const struct k2_pipeline *self, size_t count, int64_t now)
{
    if (count >= self->commit_rows || now - self->oldest_ns >= self->commit_ns) {
        return count > 0;
    }
    size_t text_bytes = 0;
    for (size_t i = 0; i < self->slot_count; i++) {
        text_bytes += self->slots[i].batch->text.size_bytes;
    }
    return text_bytes >= BATCH_TEXT_BYTES;
}

static void release_held(struct k2_pipeline *self)
{
    for (size_t i = 0; i < k2_kafka_source_partition_count(self->source); i++) {
        if (k2_kafka_source_partition(self->source, i)->state == K2_PARTITION_HELD) {
            k2_kafka_source_release(self->source, i);
        }
    }
}

static void count_partitions(struct k2_pipeline *self)
{
    struct k2_pipeline_stats *figures = &self->figures;
    figures->partitions = k2_kafka_source_partition_count(self->source);
    figures->running = figures->held = figures->stopped = 0;
    figures->lag = 0;
    for (size_t i = 0; i < figures->partitions; i++) {
        const struct k2_partition *partition = k2_kafka_source_partition(self->source, i);
        figures->running += partition->state == K2_PARTITION_RUNNING;
        figures->held += partition->state == K2_PARTITION_HELD;
        figures->stopped += partition->state == K2_PARTITION_STOPPED;
        if (partition->high > partition->next) {
            figures->lag += (uint64_t)(partition->high - partition->next);
        }
        bool tell = partition->state == K2_PARTITION_STOPPED ||
                    (partition->state == K2_PARTITION_HELD && figures->reason[0] == '\0');
        if (tell) {
            (void)snprintf(figures->reason, sizeof figures->reason, "%.60s/%d %s: %.150s",
                           partition->topic, (int)partition->number,
                           k2_partition_state_name(partition->state), partition->reason);
        }
    }
}

// Shows the figures to other threads.
static void show(struct k2_pipeline *self)
{
    struct k2_pipeline_stats *figures = &self->figures;
    k2_kafka_source_update_lag(self->source);
    if (figures->state < K2_PIPELINE_FULL) {
        const char *trouble = k2_kafka_source_trouble(self->source);
        figures->state = trouble[0] != '\0' ? K2_PIPELINE_WAITING : K2_PIPELINE_RUNNING;
        (void)snprintf(figures->reason, sizeof figures->reason, "%s", trouble);
        count_partitions(self);
    }
    figures->waiting = waiting(self);
    (void)pthread_mutex_lock(&self->mutex);
    self->shown = *figures;
    size_t count = k2_kafka_source_partition_count(self->source);
    if (count != self->partition_count) {
        struct k2_partition *grown = k2_realloc(self->partitions, count, sizeof *grown);
        self->partitions = grown != NULL ? grown : self->partitions;
        self->partition_count = grown != NULL ? count : self->partition_count;
    }
    for (size_t i = 0; i < self->partition_count; i++) {
        self->partitions[i] = *k2_kafka_source_partition(self->source, i);
    }
    (void)pthread_mutex_unlock(&self->mutex);
}

// Takes messages until none waits or some have come: the clock is not asked for each.
static size_t take_some(struct k2_pipeline *self, int wait_ms)
{
    for (unsigned i = 0; i < MESSAGES_A_TURN; i++) {
        struct k2_kafka_message message;
        struct k2_error error = {0};
        bool found = false;
        if (k2_kafka_source_poll(self->source, i == 0 ? wait_ms : 0, &found, &message, &error) !=
            K2_OK) {
            self->figures.state = K2_PIPELINE_FAILED;
            (void)snprintf(self->figures.reason, sizeof self->figures.reason, "%.250s", error.text);
            break;
        }
        if (!found) {
            break;
        }
        if (self->full) { // came before the pause took hold: it is read again later
            k2_kafka_source_hold(self->source, message.partition, "the store is full");
            continue;
        }
        take(self, &message);
        if (waiting(self) >= self->commit_rows) {
            break;
        }
    }
    return waiting(self);
}

static void turn(struct k2_pipeline *self)
{
    int wait_ms = POLL_MS;
    if (waiting(self) > 0 && !self->full) {
        int64_t left_ms = (self->oldest_ns + self->commit_ns - now_ns()) / 1000000;
        wait_ms = left_ms < 0 ? 0 : left_ms < POLL_MS ? (int)left_ms : POLL_MS;
    }
    size_t count = take_some(self, wait_ms);
    if (self->figures.state == K2_PIPELINE_FAILED) {
        return;
    }
    int64_t now = now_ns();
    if (self->full ? now >= self->retry_ns : is_due(self, count, now)) {
        self->figures.state = K2_PIPELINE_RUNNING;
        commit(self);
        now = now_ns();
        self->stats_ns = 0;
    }
    if (!self->full && now >= self->retry_ns) {
        release_held(self);
        self->retry_ns = now + (int64_t)RETRY_MS * 1000000;
    }
    if (now >= self->stats_ns) {
        show(self);
        self->stats_ns = now + (int64_t)STATS_MS * 1000000;
    }
}

static void *run(void *context)
{
    struct k2_pipeline *self = context;
    while (!atomic_load(&self->stop) && self->figures.state != K2_PIPELINE_FAILED) {
        turn(self);
    }
    if (self->figures.state != K2_PIPELINE_FAILED) {
        if (waiting(self) > 0) {
            commit(self);
        }
        self->figures.state = K2_PIPELINE_STOPPED;
    }
    show(self);
    return NULL;
}

static enum k2_status find_slot(struct k2_pipeline *self, const char *name, size_t *slot,
                                struct k2_error *error)
{
    const struct k2_table *table = k2_engine_table(self->engine, k2_slice_of(name));
    if (table == NULL || name[0] == '_') {
        return k2_fail(error, K2_NOT_FOUND, "--topic: no table `%.100s` to store into", name);
    }
    for (*slot = 0; *slot < self->slot_count; ++*slot) {
        if (self->slots[*slot].table == table) {
            return K2_OK;
        }
    }
    struct slot *made = &self->slots[self->slot_count++];
    made->table = table;
    made->origins = k2_alloc_zero(K2_GROUP_ROWS, sizeof *made->origins);
    return made->origins == NULL
               ? fail_memory(error)
               : k2_row_batch_create(&made->batch, table->schema, K2_GROUP_ROWS, false, error);
}

static enum k2_status set_rule(struct k2_pipeline *self, const struct k2_pipeline_table *about,
                               struct k2_error *error)
{
    const struct k2_sequence_texts texts = {
        about->sequence, "--sequence", about->epoch, "--epoch", about->domain, "--domain",
    };
    for (size_t i = 0; i < self->slot_count; i++) {
        struct slot *slot = &self->slots[i];
        if (strcmp(slot->table->schema->table, about->name) == 0) {
            return k2_sequence_rule_parse(&slot->rule, &texts, slot->table->schema, error);
        }
    }
    return k2_fail(error, K2_BAD_REQUEST, "--sequence: %.100s: no topic is for this table",
                   about->name);
}

static enum k2_status open_slots(struct k2_pipeline *self,
                                 const struct k2_pipeline_options *options, struct k2_error *error)
{
    self->topic_count = options->topic_count;
    self->slots = k2_alloc_zero(options->topic_count, sizeof *self->slots);
    self->slot_of_topic = k2_alloc_zero(options->topic_count, sizeof *self->slot_of_topic);
    self->schemas = k2_alloc_zero(MAX_SCHEMAS_WAITING, sizeof *self->schemas);
    enum k2_status status =
        self->slots == NULL || self->slot_of_topic == NULL || self->schemas == NULL
            ? fail_memory(error)
            : k2_dead_letters_create(&self->letters, self->engine, error);
    for (size_t i = 0; i < options->topic_count && status == K2_OK; i++) {
        status = find_slot(self, options->topics[i].table, &self->slot_of_topic[i], error);
    }
    for (size_t i = 0; i < options->table_count && status == K2_OK; i++) {
        status = set_rule(self, &options->tables[i], error);
    }
    for (size_t i = 0; i < MAX_SCHEMAS_WAITING && status == K2_OK; i++) {
        k2_buffer_init(&self->schemas[i].key, KEY_BYTES);
        k2_buffer_init(&self->schemas[i].value, 16 << 20);
    }
    return status;
}

static enum k2_status open_source(struct k2_pipeline *self,
                                  const struct k2_pipeline_options *options, struct k2_error *error)
{
    struct k2_kafka_topic *topics = k2_alloc_zero(options->topic_count, sizeof *topics);
    if (topics == NULL) {
        return fail_memory(error);
    }
    for (size_t i = 0; i < options->topic_count; i++) {
        topics[i] = (struct k2_kafka_topic){options->topics[i].name, options->topics[i].partitions,
                                            options->topics[i].partition_count};
    }
    struct k2_kafka_source_options source = {
        .brokers = options->brokers,
        .topics = topics,
        .topic_count = options->topic_count,
        .recall = recall,
        .recall_context = self,
        .recheck_ms = options->recheck_ms,
    };
    enum k2_status status = k2_kafka_source_open(&self->source, &source, error);
    k2_free(topics);
    return status;
}

static enum k2_status open_all(struct k2_pipeline *self, const struct k2_pipeline_options *options,
                               struct k2_error *error)
{
    struct k2_schema_cache cache = {load_schema, save_schema, self};
    enum k2_status status = open_slots(self, options, error);
    if (status == K2_OK) {
        status = k2_schema_registry_open(&self->registry, options->schema_registry, &cache, error);
    }
    if (status == K2_OK) {
        status = k2_plan_cache_create(&self->plans, self->registry, options->exchange, intern,
                                      self->engine, error);
    }
    return status == K2_OK ? open_source(self, options, error) : status;
}

// The thread is not to be interrupted: signals are for the program's own.
static enum k2_status start_thread(struct k2_pipeline *self, struct k2_error *error)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&self->thread, NULL, run, self);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    self->started = failed == 0;
    return failed == 0 ? K2_OK : k2_fail_errno(error, failed, "pipeline: no thread");
}

enum k2_status k2_pipeline_start(struct k2_pipeline **pipeline,
                                 const struct k2_pipeline_options *options, struct k2_error *error)
{
    struct k2_pipeline *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return fail_memory(error);
    }
    self->engine = options->engine;
    self->commit_rows = options->commit_rows > 0 && options->commit_rows < K2_GROUP_ROWS
                            ? options->commit_rows
                            : K2_GROUP_ROWS;
    self->commit_ns = (options->commit_ms > 0 ? options->commit_ms : COMMIT_MS) * INT64_C(1000000);
    (void)pthread_mutex_init(&self->mutex, NULL);
    enum k2_status status = open_all(self, options, error);
    if (status == K2_OK) {
        status = start_thread(self, error);
    }
    if (status != K2_OK) {
        k2_pipeline_stop(self);
        return status;
    }
    *pipeline = self;
    return K2_OK;
}

void k2_pipeline_stop(struct k2_pipeline *pipeline)
{
    if (pipeline == NULL) {
        return;
    }
    if (pipeline->started) {
        atomic_store(&pipeline->stop, true);
        (void)pthread_join(pipeline->thread, NULL);
    }
    k2_kafka_source_close(pipeline->source);
    k2_plan_cache_destroy(pipeline->plans);
    k2_schema_registry_close(pipeline->registry);
    k2_dead_letters_destroy(pipeline->letters);
    for (size_t i = 0; i < pipeline->slot_count; i++) {
        k2_row_batch_destroy(pipeline->slots[i].batch);
        k2_sequence_rule_destroy(pipeline->slots[i].rule);
        k2_free(pipeline->slots[i].origins);
    }
    for (size_t i = 0; pipeline->schemas != NULL && i < MAX_SCHEMAS_WAITING; i++) {
        k2_buffer_deinit(&pipeline->schemas[i].key);
        k2_buffer_deinit(&pipeline->schemas[i].value);
    }
    k2_free(pipeline->schemas);
    k2_free(pipeline->slots);
    k2_free(pipeline->slot_of_topic);
    k2_free(pipeline->partitions);
    (void)pthread_mutex_destroy(&pipeline->mutex);
    k2_free(pipeline);
}

void k2_pipeline_stats(struct k2_pipeline *pipeline, struct k2_pipeline_stats *stats)
{
    (void)pthread_mutex_lock(&pipeline->mutex);
    *stats = pipeline->shown;
    (void)pthread_mutex_unlock(&pipeline->mutex);
}

size_t k2_pipeline_partitions(struct k2_pipeline *pipeline, struct k2_partition *partitions,
                              size_t room)
{
    (void)pthread_mutex_lock(&pipeline->mutex);
    size_t count = pipeline->partition_count;
    for (size_t i = 0; i < count && i < room; i++) {
        partitions[i] = pipeline->partitions[i];
    }
    (void)pthread_mutex_unlock(&pipeline->mutex);
    return count;
}
