#include "ingest/pipeline.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/file_io.h"
#include "engine/gap_list.h"
#include "format/segment/row_batch.h"
#include "ingest/avro_encode.h"
#include "ingest/confluent_frame.h"
#include "ingest/kafka_sink.h"
#include "ingest/schema_folder.h"
#include "tests/support/folder.h"
#include "tests/support/row_text.h"
#include "tests/support/tier.h"

enum { WAIT_SECONDS = 20, PARTITIONS = 3 };

static const char topic_name[] = "market.trades";

// A broker in memory, a store and a folder of schemas.
struct fixture {
    char folder[TEST_PATH_BYTES], store[TEST_PATH_BYTES + 16], schemas[TEST_PATH_BYTES + 16];
    rd_kafka_t *client;
    rd_kafka_mock_cluster_t *cluster;
    struct k2_engine *engine;
    struct k2_pipeline *pipeline;
    struct k2_schema *schema;
    struct test_names names;
    struct k2_row_batch *batch;
    struct k2_avro_encoder *encoder;
    struct k2_error error;
    const struct k2_pipeline_table *about; // what is said of trades, or NULL
};

static void must(struct fixture *self, enum k2_status status)
{
    if (status != K2_OK) {
        fail_msg("%s", self->error.text);
    }
}

static void start_broker(struct fixture *self)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL);
    self->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    assert_non_null(self->client);
    self->cluster = rd_kafka_mock_cluster_new(self->client, 1);
    assert_non_null(self->cluster);
    assert_int_equal(rd_kafka_mock_topic_create(self->cluster, topic_name, PARTITIONS, 1), 0);
}

static void end_broker(struct fixture *self)
{
    rd_kafka_mock_cluster_destroy(self->cluster);
    rd_kafka_destroy(self->client);
}

static void open_store(struct fixture *self)
{
    must(self, k2_engine_open(&self->engine, self->store, K2_ENGINE_CREATE, &self->error));
}

static void start(struct fixture *self)
{
    const struct k2_pipeline_topic topic = {.name = topic_name, .table = "trades"};
    struct k2_pipeline_options options = {
        .engine = self->engine,
        .brokers = rd_kafka_mock_cluster_bootstraps(self->cluster),
        .topics = &topic,
        .topic_count = 1,
        .tables = self->about,
        .table_count = self->about != NULL,
        .schema_registry = self->schemas,
        .commit_ms = 20,
    };
    must(self, k2_pipeline_start(&self->pipeline, &options, &self->error));
}

static void stop(struct fixture *self)
{
    k2_pipeline_stop(self->pipeline);
    self->pipeline = NULL;
    k2_engine_close(self->engine);
    self->engine = NULL;
}

// librdkafka starts its threads with thrd_create, which ThreadSanitizer does not know: the first
// allocation in one of them ends the program.
#if defined(__SANITIZE_THREAD__)
#define THREADS_ARE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREADS_ARE_SANITIZED 1
#endif
#endif
#ifndef THREADS_ARE_SANITIZED
#define THREADS_ARE_SANITIZED 0
#endif

static int set_up(void **state)
{
    struct fixture *self = calloc(1, sizeof *self);
    assert_non_null(self);
    test_folder_make(self->folder);
    (void)snprintf(self->store, sizeof self->store, "%s/store", self->folder);
    (void)snprintf(self->schemas, sizeof self->schemas, "%s/schemas", self->folder);
    must(self, k2_schema_builtin(&self->schema, "trades", &self->error));
    must(self, k2_row_batch_create(&self->batch, self->schema, 1, false, &self->error));
    must(self, k2_avro_encoder_create(&self->encoder, self->schema, &self->error));
    assert_int_equal(mkdir(self->schemas, 0755), 0);
    start_broker(self);
    open_store(self);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *self = *state;
    if (self->engine != NULL) {
        stop(self);
    }
    end_broker(self);
    k2_avro_encoder_destroy(self->encoder);
    k2_row_batch_destroy(self->batch);
    k2_schema_destroy(self->schema);
    test_names_deinit(&self->names);
    test_folder_remove(self->folder);
    free(self);
    return 0;
}

static void add_schema(struct fixture *self)
{
    int32_t id;
    must(self,
         k2_schema_folder_add(self->schemas, k2_slice_of(self->schema->source), &id, &self->error));
    assert_int_equal(id, 1);
}

// The message of trade number `number` with schema `id`.
static void put_trade(struct fixture *self, int32_t id, int64_t number, int64_t price,
                      struct k2_buffer *message)
{
    char symbol[16];
    struct k2_row_key key = {.time_ns = 1000 * number, .sequence = number};
    size_t row;
    (void)snprintf(symbol, sizeof symbol, "S%d", (int)(number % 7));
    must(self, test_names_intern(&self->names, k2_slice_of("TEST"), k2_slice_of(symbol),
                                 &key.instrument, &self->error));
    k2_row_batch_clear(self->batch);
    must(self, k2_row_batch_add(self->batch, &key, 0, &row, &self->error));
    int column = k2_schema_find(self->schema, k2_slice_of("price"));
    k2_row_batch_set_value(self->batch, row, (size_t)column, price);
    column = k2_schema_find(self->schema, k2_slice_of("quantity"));
    k2_row_batch_set_value(self->batch, row, (size_t)column, 1);
    k2_confluent_frame_put(message, id);
    must(self, k2_avro_encode(self->encoder, self->batch, row,
                              test_names_of(&self->names, key.instrument), message, &self->error));
}

struct sender {
    struct k2_kafka_sink *sink;
    struct k2_buffer message;
};

static void open_sender(struct fixture *self, struct sender *sender)
{
    k2_buffer_init(&sender->message, 1 << 20);
    must(self, k2_kafka_sink_open(&sender->sink, rd_kafka_mock_cluster_bootstraps(self->cluster),
                                  topic_name, &self->error));
}

static void send_bytes(struct fixture *self, struct sender *sender, const char *key,
                       struct k2_slice value)
{
    must(self, k2_kafka_sink_send(sender->sink, k2_slice_of(key), value, &self->error));
}

static void send_trades(struct fixture *self, struct sender *sender, int32_t id, int64_t from,
                        int64_t to, int64_t price)
{
    for (int64_t i = from; i < to; i++) {
        char key[32];
        k2_buffer_clear(&sender->message);
        put_trade(self, id, i, price, &sender->message);
        (void)snprintf(key, sizeof key, "TEST.S%d", (int)(i % 7));
        send_bytes(self, sender, key, k2_buffer_slice(&sender->message));
    }
}

static void close_sender(struct fixture *self, struct sender *sender)
{
    size_t left = 1;
    while (left > 0) {
        must(self, k2_kafka_sink_flush(sender->sink, 1000, &left, &self->error));
    }
    assert_int_equal(k2_kafka_sink_counts(sender->sink).failed, 0);
    k2_kafka_sink_close(sender->sink);
    k2_buffer_deinit(&sender->message);
}

// Waits until so many messages are settled since the start of this pipeline.
static void wait_for(struct fixture *self, uint64_t settled)
{
    struct k2_pipeline_stats stats = {0};
    for (int64_t end = test_now_ns() + INT64_C(1000000000) * WAIT_SECONDS; test_now_ns() < end;) {
        k2_pipeline_stats(self->pipeline, &stats);
        if (stats.rows + stats.duplicates + stats.rejected >= settled) {
            return;
        }
        (void)usleep(5000);
    }
    fail_msg("%llu rows, %llu duplicates, %llu rejected, not %llu: %s %s",
             (unsigned long long)stats.rows, (unsigned long long)stats.duplicates,
             (unsigned long long)stats.rejected, (unsigned long long)settled,
             k2_pipeline_state_name(stats.state), stats.reason);
}

static struct k2_pipeline_stats wait_until(struct fixture *self, size_t held, size_t stopped)
{
    struct k2_pipeline_stats stats = {0};
    for (int64_t end = test_now_ns() + INT64_C(1000000000) * WAIT_SECONDS; test_now_ns() < end;) {
        k2_pipeline_stats(self->pipeline, &stats);
        if (stats.held >= held && stats.stopped >= stopped) {
            return stats;
        }
        (void)usleep(5000);
    }
    fail_msg("%zu held, %zu stopped, not %zu and %zu: %s", stats.held, stats.stopped, held, stopped,
             stats.reason);
    return stats;
}

static struct k2_table_counters counters(struct fixture *self, const char *table)
{
    struct k2_table_counters figures = {0};
    must(self, k2_engine_counters(self->engine, k2_engine_table(self->engine, k2_slice_of(table)),
                                  &figures, &self->error));
    return figures;
}

static uint64_t open_gaps(struct fixture *self)
{
    struct k2_gap_figures figures = {0};
    must(self,
         k2_gap_figures_get(self->engine, k2_engine_table(self->engine, k2_slice_of("trades")),
                            &figures, &self->error));
    return figures.open;
}

// The numbers run through all symbols and partitions: the exchange counts them.
static void gaps_of_a_topic_close_when_rows_come_late(void **state)
{
    static const struct k2_pipeline_table counted = {
        .name = "trades", .sequence = "dense", .domain = "exchange"};
    static const struct k2_pipeline_table bad[] = {{.name = "trades", .sequence = "some"},
                                                   {.name = "quotes", .sequence = "dense"},
                                                   {.name = "trades", .epoch = "detect"}};
    struct fixture *self = *state;
    struct sender sender;
    add_schema(self);
    open_sender(self, &sender);
    send_trades(self, &sender, 1, 0, 100, 5);
    send_trades(self, &sender, 1, 110, 200, 5);
    self->about = &counted;
    start(self);
    wait_for(self, 190);
    assert_int_equal(open_gaps(self), 1);
    stop(self);
    open_store(self);
    start(self);
    send_trades(self, &sender, 1, 100, 110, 5);
    close_sender(self, &sender);
    wait_for(self, 10);
    assert_int_equal(open_gaps(self), 0);
    assert_int_equal(counters(self, "trades").rows, 200);
    k2_pipeline_stop(self->pipeline);
    self->pipeline = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct k2_pipeline_topic topic = {.name = topic_name, .table = "trades"};
        struct k2_pipeline_options options = {.engine = self->engine,
                                              .brokers = "127.0.0.1:1",
                                              .topics = &topic,
                                              .topic_count = 1,
                                              .tables = &bad[i],
                                              .table_count = 1};
        assert_int_equal(k2_pipeline_start(&self->pipeline, &options, NULL), K2_BAD_REQUEST);
    }
}

static void rows_come_once_over_restarts(void **state)
{
    struct fixture *self = *state;
    struct sender sender;
    add_schema(self);
    open_sender(self, &sender);
    send_trades(self, &sender, 1, 0, 1000, 5);
    start(self);
    wait_for(self, 1000);
    stop(self);
    open_store(self);
    start(self);
    send_trades(self, &sender, 1, 1000, 1500, 5);
    wait_for(self, 500);
    send_trades(self, &sender, 1, 1400, 1500, 5); // the same again
    close_sender(self, &sender);
    wait_for(self, 600);
    struct k2_table_counters figures = counters(self, "trades");
    assert_int_equal(figures.rows, 1500);
    assert_int_equal(figures.stored, 1500);
    assert_int_equal(figures.duplicates, 100);
    assert_int_equal(figures.rejected, 0);
    assert_int_equal(figures.instruments, 7);
}

static void what_can_not_be_a_row_is_a_dead_letter(void **state)
{
    struct fixture *self = *state;
    struct sender sender;
    int32_t id;
    add_schema(self);
    must(self, k2_schema_folder_add(self->schemas, k2_slice_of("\"string\""), &id, &self->error));
    open_sender(self, &sender);
    send_trades(self, &sender, 1, 0, 10, 5);
    send_bytes(self, &sender, "k", k2_slice_of("not a frame"));
    send_bytes(self, &sender, "k", (struct k2_slice){(const uint8_t *)"\0\0\0\0\1zzz", 8});
    send_bytes(self, &sender, "k", (struct k2_slice){(const uint8_t *)"\0\0\0\0\2\2a", 7});
    send_trades(self, &sender, 1, 3, 5, 6); // other prices under the same keys
    start(self);
    wait_for(self, 15);
    struct k2_table_counters figures = counters(self, "trades");
    assert_int_equal(figures.rows, 10);
    assert_int_equal(figures.rejected, 5);
    assert_int_equal(counters(self, "_deadletter").rows, 5);
    close_sender(self, &sender);
}

static void an_unknown_schema_holds_its_partition(void **state)
{
    struct fixture *self = *state;
    struct sender sender;
    open_sender(self, &sender);
    send_trades(self, &sender, 1, 0, 7, 5);
    start(self);
    struct k2_pipeline_stats stats = wait_until(self, 1, 0);
    assert_non_null(strstr(stats.reason, "schema 1"));
    assert_int_equal(stats.messages, 0);
    add_schema(self);
    wait_for(self, 7);
    assert_int_equal(counters(self, "trades").rows, 7);
    close_sender(self, &sender);
}

static void a_topic_made_anew_is_refused(void **state)
{
    static const struct {
        const char *name;
        int64_t first, last; // the new topic's trades
    } rows[] = {{"as long as before", 1000, 1100}, {"shorter", 1000, 1003}};
    struct fixture *self = *state;
    struct sender sender;
    add_schema(self);
    open_sender(self, &sender);
    send_trades(self, &sender, 1, 0, 50, 5);
    close_sender(self, &sender);
    start(self);
    wait_for(self, 50);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        stop(self);
        end_broker(self);
        start_broker(self);
        open_store(self);
        open_sender(self, &sender);
        send_trades(self, &sender, 1, rows[i].first, rows[i].last, 5);
        close_sender(self, &sender);
        start(self);
        struct k2_pipeline_stats stats = wait_until(self, 0, 1);
        assert_non_null(strstr(stats.reason, "made anew"));
        (void)usleep(200000);
        k2_pipeline_stats(self->pipeline, &stats);
        assert_int_equal(stats.messages, 0);
        assert_int_equal(counters(self, "trades").rows, 50);
    }
}

static void a_broker_that_is_away_is_a_state(void **state)
{
    struct fixture *self = *state;
    struct sender sender;
    struct k2_pipeline_stats stats = {0};
    add_schema(self);
    open_sender(self, &sender);
    send_trades(self, &sender, 1, 0, 100, 5);
    start(self);
    wait_for(self, 100);
    assert_int_equal(rd_kafka_mock_broker_set_down(self->cluster, 1), 0);
    for (int i = 0; i < 2000 && stats.state != K2_PIPELINE_WAITING; i++) {
        (void)usleep(5000);
        k2_pipeline_stats(self->pipeline, &stats);
    }
    assert_int_equal(stats.state, K2_PIPELINE_WAITING);
    assert_int_equal(rd_kafka_mock_broker_set_up(self->cluster, 1), 0);
    send_trades(self, &sender, 1, 100, 200, 5);
    wait_for(self, 200);
    close_sender(self, &sender);
    assert_int_equal(counters(self, "trades").rows, 200);
}

static int refuse_writes(void *context, enum k2_file_operation operation)
{
    return operation == K2_FILE_WRITE ? *(const int *)context : 0;
}

static void wait_for_state(struct fixture *self, enum k2_pipeline_state state)
{
    struct k2_pipeline_stats stats = {0};
    for (int64_t end = test_now_ns() + INT64_C(1000000000) * WAIT_SECONDS; test_now_ns() < end;) {
        k2_pipeline_stats(self->pipeline, &stats);
        if (stats.state == state) {
            return;
        }
        (void)usleep(5000);
    }
    fail_msg("state %s, not %s", k2_pipeline_state_name(stats.state),
             k2_pipeline_state_name(state));
}

static void a_full_disk_is_a_state(void **state)
{
    static int full = ENOSPC;
    struct fixture *self = *state;
    struct sender sender;
    add_schema(self);
    open_sender(self, &sender);
    send_trades(self, &sender, 1, 0, 100, 5);
    send_trades(self, &sender, 1, 0, 10, 6); // conflicts: letters that must not be doubled
    start(self);
    wait_for(self, 110);
    k2_file_set_hook(refuse_writes, &full);
    send_trades(self, &sender, 1, 100, 300, 5);
    send_trades(self, &sender, 1, 100, 110, 6);
    wait_for_state(self, K2_PIPELINE_FULL);
    (void)usleep(2500000); // it tries again and again
    assert_int_equal(counters(self, "trades").rows, 100);
    k2_file_set_hook(NULL, NULL);
    wait_for(self, 320);
    wait_for_state(self, K2_PIPELINE_RUNNING);
    send_trades(self, &sender, 1, 300, 400, 5);
    wait_for(self, 420);
    close_sender(self, &sender);
    assert_int_equal(counters(self, "trades").rows, 400);
    assert_int_equal(counters(self, "_deadletter").rows, 20);
}

static void a_failed_disk_ends_the_intake_and_loses_nothing(void **state)
{
    static int failed = EIO;
    struct fixture *self = *state;
    struct sender sender;
    add_schema(self);
    open_sender(self, &sender);
    send_trades(self, &sender, 1, 0, 100, 5);
    start(self);
    wait_for(self, 100);
    k2_file_set_hook(refuse_writes, &failed);
    send_trades(self, &sender, 1, 100, 200, 5);
    close_sender(self, &sender);
    wait_for_state(self, K2_PIPELINE_FAILED);
    k2_file_set_hook(NULL, NULL);
    stop(self);
    open_store(self);
    start(self);
    wait_for(self, 100);
    assert_int_equal(counters(self, "trades").rows, 200);
}

static void starting_names_what_is_not_there(void **state)
{
    struct fixture *self = *state;
    const struct k2_pipeline_topic topic = {.name = topic_name, .table = "nowhere"};
    struct k2_pipeline_options options = {
        .engine = self->engine, .brokers = "127.0.0.1:1", .topics = &topic, .topic_count = 1};
    assert_int_equal(k2_pipeline_start(&self->pipeline, &options, &self->error), K2_NOT_FOUND);
    assert_non_null(strstr(self->error.text, "nowhere"));
    assert_null(self->pipeline);
}

int main(void)
{
    if (THREADS_ARE_SANITIZED) {
        print_message("skipped: ThreadSanitizer can not run librdkafka's threads\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gaps_of_a_topic_close_when_rows_come_late, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(rows_come_once_over_restarts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_can_not_be_a_row_is_a_dead_letter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unknown_schema_holds_its_partition, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_topic_made_anew_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_broker_that_is_away_is_a_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_a_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_disk_ends_the_intake_and_loses_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(starting_names_what_is_not_there, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
