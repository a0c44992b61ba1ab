#include "tools/serve_ingest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/alloc.h"
#include "format/base/json_text.h"
#include "ingest/pipeline.h"

enum { MOST_TOPICS = 256, MOST_TABLES = 64, MOST_PARTITIONS = 1024, SHOWN_PARTITIONS = 1024 };

struct k2_serve_ingest {
    const char *brokers, *schema_registry; // borrowed from the command line
    struct k2_pipeline_topic topics[MOST_TOPICS];
    char *names[MOST_TOPICS];         // owned: the words of --topic, cut up
    int32_t *partitions[MOST_TOPICS]; // owned
    size_t topic_count;
    struct k2_pipeline_table tables[MOST_TABLES];
    size_t table_count;
    char *table_words[3 * MOST_TABLES]; // owned: words of --sequence, --epoch, --domain, cut up
    size_t table_word_count;
    struct k2_pipeline *pipeline;
};

static enum k2_status bad_topic(const char *word, struct k2_error *error)
{
    return k2_fail(error, K2_BAD_REQUEST,
                   "--topic: `%.200s` is not NAME=TABLE or NAME:PARTITION,...=TABLE", word);
}

// Reads `0,2,5` behind a topic's name.
static enum k2_status read_partitions(struct k2_serve_ingest *self, char *list, const char *word,
                                      struct k2_error *error)
{
    size_t index = self->topic_count;
    struct k2_pipeline_topic *topic = &self->topics[index];
    self->partitions[index] = k2_alloc_zero(MOST_PARTITIONS, sizeof **self->partitions);
    if (self->partitions[index] == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "serve: out of memory");
    }
    topic->partitions = self->partitions[index];
    for (char *at = list;; at++) {
        errno = 0;
        char *end;
        long number = *at >= '0' && *at <= '9' ? strtol(at, &end, 10) : -1;
        if (number < 0 || number > INT32_MAX || errno != 0 ||
            topic->partition_count == MOST_PARTITIONS || (*end != ',' && *end != '\0')) {
            return bad_topic(word, error);
        }
        self->partitions[index][topic->partition_count++] = (int32_t)number;
        at = end;
        if (*at == '\0') {
            return K2_OK;
        }
    }
}

static enum k2_status add_topic(struct k2_serve_ingest *self, const char *word,
                                struct k2_error *error)
{
    if (self->topic_count == MOST_TOPICS) {
        return k2_fail(error, K2_BAD_REQUEST, "--topic: more than %d", MOST_TOPICS);
    }
    char *name = k2_alloc_text(word, strlen(word));
    if (name == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "serve: out of memory");
    }
    self->names[self->topic_count] = name;
    char *table = strchr(name, '='), *list = strchr(name, ':');
    enum k2_status status = K2_OK;
    if (table == NULL || table == name || table[1] == '\0') {
        status = bad_topic(word, error);
    } else {
        *table++ = '\0';
        self->topics[self->topic_count] = (struct k2_pipeline_topic){.name = name, .table = table};
        if (list != NULL && list < table) {
            *list++ = '\0';
            status =
                name[0] == '\0' ? bad_topic(word, error) : read_partitions(self, list, word, error);
        }
    }
    self->topic_count++;
    return status;
}

// Takes `TABLE=TEXT` of an option that speaks of tables; `member` is where the text belongs.
static enum k2_status add_table_word(struct k2_serve_ingest *self, const char *option,
                                     const char *word, size_t member, struct k2_error *error)
{
    size_t place = 0, room = sizeof self->table_words / sizeof self->table_words[0];
    char *name = k2_alloc_text(word, strlen(word));
    if (name == NULL || self->table_word_count == room) {
        k2_free(name);
        return k2_fail(error, name == NULL ? K2_NO_MEMORY : K2_BAD_REQUEST, "--%s: too many",
                       option);
    }
    self->table_words[self->table_word_count++] = name;
    char *text = strchr(name, '=');
    if (text == NULL || text == name || text[1] == '\0') {
        return k2_fail(error, K2_BAD_REQUEST, "--%s: `%.200s` is not TABLE=RULE", option, word);
    }
    *text++ = '\0';
    while (place < self->table_count && strcmp(self->tables[place].name, name) != 0) {
        place++;
    }
    if (place == MOST_TABLES) {
        return k2_fail(error, K2_BAD_REQUEST, "--%s: more than %d tables", option, MOST_TABLES);
    }
    if (place == self->table_count) {
        self->tables[self->table_count++] = (struct k2_pipeline_table){.name = name};
    }
    const char **members[] = {&self->tables[place].sequence, &self->tables[place].epoch,
                              &self->tables[place].domain};
    if (*members[member] != NULL) {
        return k2_fail(error, K2_BAD_REQUEST, "--%s: %.200s is given twice", option, name);
    }
    *members[member] = text;
    return K2_OK;
}

static enum k2_status add_tables(struct k2_serve_ingest *self, const struct k2_cli *cli,
                                 struct k2_error *error)
{
    static const char *const options[] = {"sequence", "epoch", "domain"};
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < sizeof options / sizeof options[0] && status == K2_OK; i++) {
        const char *word;
        for (size_t j = 0; status == K2_OK && (word = k2_cli_value_at(cli, options[i], j)) != NULL;
             j++) {
            status = add_table_word(self, options[i], word, i, error);
        }
    }
    return status;
}

static bool has_partition(const struct k2_pipeline_topic *topic, int32_t number)
{
    for (size_t i = 0; i < topic->partition_count; i++) {
        if (topic->partitions[i] == number) {
            return true;
        }
    }
    return topic->partitions == NULL; // all
}

static bool share_partitions(const struct k2_pipeline_topic *left,
                             const struct k2_pipeline_topic *right)
{
    bool share = left->partitions == NULL || right->partitions == NULL;
    for (size_t i = 0; !share && i < left->partition_count; i++) {
        share = has_partition(right, left->partitions[i]);
    }
    return share && strcmp(left->name, right->name) == 0;
}

// A message becomes one row: of two tables that want it, one would go without.
static enum k2_status check_topics(const struct k2_serve_ingest *self, struct k2_error *error)
{
    for (size_t i = 1; i < self->topic_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (share_partitions(&self->topics[i], &self->topics[j])) {
                return k2_fail(
                    error, K2_BAD_REQUEST,
                    "--topic: %.200s: a partition is given twice; each goes to one table",
                    self->topics[i].name);
            }
        }
    }
    return K2_OK;
}

enum k2_status k2_serve_ingest_create(struct k2_serve_ingest **ingest, const struct k2_cli *cli,
                                      struct k2_error *error)
{
    *ingest = NULL;
    if (!k2_cli_has(cli, "kafka")) {
        bool lost = k2_cli_has(cli, "topic") || k2_cli_has(cli, "schema-registry") ||
                    k2_cli_has(cli, "sequence") || k2_cli_has(cli, "epoch") ||
                    k2_cli_has(cli, "domain");
        return lost ? k2_fail(error, K2_BAD_REQUEST, "--kafka: missing; name the brokers") : K2_OK;
    }
    struct k2_serve_ingest *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "serve: out of memory");
    }
    self->brokers = k2_cli_value(cli, "kafka");
    self->schema_registry = k2_cli_value(cli, "schema-registry");
    enum k2_status status = K2_OK;
    const char *word;
    for (size_t i = 0; status == K2_OK && (word = k2_cli_value_at(cli, "topic", i)) != NULL; i++) {
        status = add_topic(self, word, error);
    }
    if (status == K2_OK && self->topic_count == 0) {
        status = k2_fail(error, K2_BAD_REQUEST, "--topic: missing; say NAME=TABLE");
    }
    if (status == K2_OK) {
        status = check_topics(self, error);
    }
    if (status == K2_OK) {
        status = add_tables(self, cli, error);
    }
    if (status != K2_OK) {
        k2_serve_ingest_destroy(self);
        return status;
    }
    *ingest = self;
    return K2_OK;
}

enum k2_status k2_serve_ingest_start(struct k2_serve_ingest *ingest, struct k2_engine *engine,
                                     struct k2_error *error)
{
    if (ingest == NULL) {
        return K2_OK;
    }
    struct k2_pipeline_options options = {
        .engine = engine,
        .brokers = ingest->brokers,
        .topics = ingest->topics,
        .topic_count = ingest->topic_count,
        .tables = ingest->tables,
        .table_count = ingest->table_count,
        .schema_registry = ingest->schema_registry,
    };
    return k2_pipeline_start(&ingest->pipeline, &options, error);
}

void k2_serve_ingest_destroy(struct k2_serve_ingest *ingest)
{
    if (ingest == NULL) {
        return;
    }
    k2_pipeline_stop(ingest->pipeline);
    for (size_t i = 0; i < ingest->topic_count; i++) {
        k2_free(ingest->names[i]);
        k2_free(ingest->partitions[i]);
    }
    for (size_t i = 0; i < ingest->table_word_count; i++) {
        k2_free(ingest->table_words[i]);
    }
    k2_free(ingest);
}

static void put_metric(struct k2_buffer *out, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    k2_put_format(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name, type, name,
                  value);
}

static void put_partitions(struct k2_serve_ingest *self, struct k2_buffer *out)
{
    struct k2_partition *partitions = k2_alloc(SHOWN_PARTITIONS * sizeof *partitions);
    if (partitions == NULL) {
        return;
    }
    size_t count = k2_pipeline_partitions(self->pipeline, partitions, SHOWN_PARTITIONS);
    count = count < SHOWN_PARTITIONS ? count : SHOWN_PARTITIONS;
    k2_put_text(out, "# HELP k2_ingest_partition_lag_messages Messages not taken yet.\n"
                     "# TYPE k2_ingest_partition_lag_messages gauge\n");
    for (size_t i = 0; i < count; i++) {
        const struct k2_partition *partition = &partitions[i];
        int64_t lag = partition->high > partition->next ? partition->high - partition->next : 0;
        k2_put_format(
            out, "k2_ingest_partition_lag_messages{topic=\"%s\",partition=\"%d\"} %" PRId64 "\n",
            partition->topic, (int)partition->number, lag);
    }
    k2_put_text(out, "# HELP k2_ingest_partition_state 1 for the state that a partition is in.\n"
                     "# TYPE k2_ingest_partition_state gauge\n");
    for (size_t i = 0; i < count; i++) {
        k2_put_format(out,
                      "k2_ingest_partition_state{topic=\"%s\",partition=\"%d\",state=\"%s\"} 1\n",
                      partitions[i].topic, (int)partitions[i].number,
                      k2_partition_state_name(partitions[i].state));
    }
    k2_free(partitions);
}

void k2_serve_ingest_put_metrics(void *ingest, struct k2_buffer *out)
{
    struct k2_serve_ingest *self = ingest;
    struct k2_pipeline_stats stats;
    if (self == NULL || self->pipeline == NULL) {
        return;
    }
    k2_pipeline_stats(self->pipeline, &stats);
    put_metric(out, "k2_ingest_up", "gauge", "1 while rows are taken in.",
               stats.state == K2_PIPELINE_RUNNING);
    put_metric(out, "k2_ingest_messages_total", "counter", "Messages taken.", stats.messages);
    put_metric(out, "k2_ingest_bytes_total", "counter", "Bytes of the messages taken.",
               stats.bytes);
    put_metric(out, "k2_ingest_rows_total", "counter", "Rows stored.", stats.rows);
    put_metric(out, "k2_ingest_duplicates_total", "counter", "Rows that were stored before.",
               stats.duplicates);
    put_metric(out, "k2_ingest_rejected_total", "counter", "Messages that became dead letters.",
               stats.rejected);
    put_metric(out, "k2_ingest_waiting_rows", "gauge", "Rows and dead letters not committed yet.",
               stats.waiting);
    put_metric(out, "k2_ingest_commits_total", "counter", "Commits.", stats.commits);
    put_metric(out, "k2_ingest_lag_messages", "gauge", "Messages in the logs not taken yet.",
               stats.lag);
    put_partitions(self, out);
}

bool k2_serve_ingest_put_health(void *ingest, struct k2_buffer *out)
{
    struct k2_serve_ingest *self = ingest;
    struct k2_pipeline_stats stats;
    if (self == NULL || self->pipeline == NULL) {
        return true;
    }
    k2_pipeline_stats(self->pipeline, &stats);
    k2_put_format(out,
                  ",\"ingest\":{\"state\":\"%s\",\"messages\":%" PRIu64 ",\"rows\":%" PRIu64
                  ",\"duplicates\":%" PRIu64 ",\"rejected\":%" PRIu64 ",\"waiting\":%" PRIu64
                  ",\"lag\":%" PRIu64 ",\"partitions\":{\"all\":%zu,\"running\":%zu,\"held\":%zu,"
                  "\"stopped\":%zu},\"reason\":",
                  k2_pipeline_state_name(stats.state), stats.messages, stats.rows, stats.duplicates,
                  stats.rejected, stats.waiting, stats.lag, stats.partitions, stats.running,
                  stats.held, stats.stopped);
    k2_json_put_string(out, k2_slice_of(stats.reason));
    k2_put_text(out, "}");
    return stats.state == K2_PIPELINE_RUNNING && stats.held == 0 && stats.stopped == 0;
}
