#include <stdlib.h>
#include <string.h>

#include "format/base/alloc.h"
#include "ingest/avro_encode.h"
#include "ingest/confluent_frame.h"
#include "ingest/kafka_sink.h"
#include "ingest/row_source.h"
#include "ingest/schema_registry.h"
#include "tools/commands.h"
#include "tools/file_text.h"
#include "tools/progress.h"

enum {
    MESSAGE_CEILING_BYTES = 16 << 20,
    FLUSH_WAIT_MS = 200,
    MOST_WARNINGS = 10,
    BATCH_ROWS = 8192,
};

struct produce {
    struct k2_cli *cli;
    struct k2_schema *schema;
    struct k2_column_map *map;
    struct k2_row_source *source;
    struct k2_row_batch *batch;
    struct k2_avro_encoder *encoder;
    struct k2_schema_registry *registry;
    struct k2_kafka_sink *sink;
    struct k2_progress progress;
    struct k2_buffer message, key;
    int32_t schema_id;
    uint64_t refused; // rows that never became a message
};

static void warn_refused(struct produce *self, const char *file, uint64_t line, const char *what)
{
    if (++self->refused <= MOST_WARNINGS) {
        k2_cli_warn(self->cli, "%s:%llu: %s", file, (unsigned long long)line, what);
    } else if (self->refused == MOST_WARNINGS + 1) {
        k2_cli_warn(self->cli, "more rows can not be sent; they are only counted");
    }
}

static enum k2_status reject(void *context, const struct k2_row_reject *row, struct k2_error *error)
{
    (void)error;
    warn_refused(context, row->file, row->line, row->detail);
    return K2_OK;
}

// The table's schema: of --schema, else the built-in one.
static enum k2_status find_schema(struct produce *self, struct k2_error *error)
{
    const char *table = k2_cli_value(self->cli, "table");
    const char *path = k2_cli_value(self->cli, "schema");
    if (path == NULL) {
        enum k2_status status =
            table[0] == '_' ? K2_NOT_FOUND : k2_schema_builtin(&self->schema, table, error);
        return status != K2_NOT_FOUND
                   ? status
                   : k2_fail(error, K2_NOT_FOUND,
                             "--table: no built-in table `%s`; name its schema with --schema "
                             "FILE.avsc",
                             table);
    }
    struct k2_buffer text;
    k2_buffer_init(&text, 1 << 20);
    enum k2_status status = k2_file_text_read(path, &text, error);
    if (status == K2_OK) {
        status = k2_schema_parse(&self->schema, table, k2_buffer_slice(&text), error);
    }
    k2_buffer_deinit(&text);
    return status;
}

static enum k2_status open_source(struct produce *self, const char **paths, struct k2_error *error)
{
    const char *map = k2_cli_value(self->cli, "map");
    enum k2_status status = K2_OK;
    if (map != NULL) {
        status = k2_column_map_read(&self->map, map, self->schema, error);
    }
    for (size_t i = 0; i < k2_cli_argument_count(self->cli); i++) {
        paths[i] = k2_cli_argument(self->cli, i);
    }
    struct k2_row_source_options options = {
        .schema = self->schema,
        .paths = paths,
        .path_count = k2_cli_argument_count(self->cli),
        .exchange = k2_cli_value(self->cli, "exchange"),
        .symbol = k2_cli_value(self->cli, "symbol"),
        .asset_class = k2_cli_value(self->cli, "asset-class"),
        .currency = k2_cli_value(self->cli, "currency"),
        .map = self->map,
        .ignore_unknown = k2_cli_has(self->cli, "ignore-unknown"),
        .reject = reject,
        .reject_context = self,
    };
    return status == K2_OK ? k2_row_source_open(&self->source, &options, error) : status;
}

// The files first, so that a wrong name needs no broker to be told.
static enum k2_status open_all(struct produce *self, const char **paths, struct k2_error *error)
{
    const char *topic = k2_cli_value(self->cli, "topic");
    char subject[512];
    (void)snprintf(subject, sizeof subject, "%s-value", topic);
    enum k2_status status = find_schema(self, error);
    if (status == K2_OK) {
        status = open_source(self, paths, error);
    }
    if (status == K2_OK) {
        status = k2_row_batch_create(&self->batch, self->schema, BATCH_ROWS, false, error);
    }
    if (status == K2_OK) {
        status = k2_avro_encoder_create(&self->encoder, self->schema, error);
    }
    if (status == K2_OK) {
        status = k2_schema_registry_open(&self->registry,
                                         k2_cli_value(self->cli, "schema-registry"), NULL, error);
    }
    if (status == K2_OK) {
        status = k2_schema_registry_register(self->registry, subject, self->schema->source,
                                             &self->schema_id, error);
    }
    if (status == K2_OK) {
        status = k2_kafka_sink_open(&self->sink, k2_cli_value(self->cli, "kafka"), topic, error);
    }
    return status;
}

static enum k2_status send_row(struct produce *self, size_t row, struct k2_error *error)
{
    struct k2_instrument_name name =
        k2_row_source_name(self->source, self->batch->keys[row].instrument);
    struct k2_error reason;
    k2_buffer_clear(&self->message);
    k2_buffer_clear(&self->key);
    k2_put_bytes(&self->key, name.exchange.data, name.exchange.size_bytes);
    k2_put_u8(&self->key, '.');
    k2_put_bytes(&self->key, name.symbol.data, name.symbol.size_bytes);
    k2_confluent_frame_put(&self->message, self->schema_id);
    enum k2_status status =
        k2_avro_encode(self->encoder, self->batch, row, name, &self->message, &reason);
    if (status == K2_OK) {
        status = k2_buffer_check(&self->key, "key", &reason);
    }
    if (status == K2_OK) {
        status = k2_kafka_sink_send(self->sink, k2_buffer_slice(&self->key),
                                    k2_buffer_slice(&self->message), &reason);
    }
    if (status == K2_REJECTED) {
        warn_refused(self, k2_row_source_file(self->source), self->batch->positions[row],
                     reason.text);
        return K2_OK;
    }
    if (status != K2_OK) {
        *error = reason;
    }
    return status;
}

static enum k2_status send_rows(struct produce *self, struct k2_error *error)
{
    bool end = false;
    enum k2_status status = K2_OK;
    while (!end && status == K2_OK) {
        k2_row_batch_clear(self->batch);
        status = k2_row_source_next(self->source, self->batch, &end, error);
        for (size_t i = 0; i < self->batch->row_count && status == K2_OK; i++) {
            status = send_row(self, i, error);
        }
        k2_progress_show(&self->progress, k2_kafka_sink_counts(self->sink).delivered,
                         k2_row_source_done_bytes(self->source));
    }
    size_t waiting = 1;
    while (waiting > 0 && status == K2_OK) {
        status = k2_kafka_sink_flush(self->sink, FLUSH_WAIT_MS, &waiting, error);
        k2_progress_show(&self->progress, k2_kafka_sink_counts(self->sink).delivered,
                         k2_row_source_done_bytes(self->source));
    }
    return status;
}

static void print(const struct produce *self, bool json)
{
    struct k2_kafka_sink_counts counts = k2_kafka_sink_counts(self->sink);
    unsigned long long read = k2_row_source_rows_read(self->source);
    unsigned long long delivered = counts.delivered, failed = read - counts.delivered;
    FILE *out = k2_cli_out(self->cli);
    if (json) {
        (void)fprintf(out, "{\"rows_read\":%llu,\"delivered\":%llu,\"failed\":%llu}\n", read,
                      delivered, failed);
    } else {
        (void)fprintf(out, "%llu rows read: %llu delivered, %llu failed; %.3f s\n", read, delivered,
                      failed, k2_progress_seconds(&self->progress));
    }
    if (counts.failed > 0) {
        k2_cli_warn(self->cli, "%llu messages were not delivered: %s",
                    (unsigned long long)counts.failed, k2_kafka_sink_reason(self->sink));
    }
}

static void close_all(struct produce *self)
{
    k2_kafka_sink_close(self->sink);
    k2_schema_registry_close(self->registry);
    k2_avro_encoder_destroy(self->encoder);
    k2_row_batch_destroy(self->batch);
    k2_row_source_close(self->source);
    k2_column_map_destroy(self->map);
    k2_schema_destroy(self->schema);
    k2_buffer_deinit(&self->message);
    k2_buffer_deinit(&self->key);
}

static enum k2_status check_options(struct k2_cli *cli, size_t *format, struct k2_error *error)
{
    static const char *const formats[] = {"table", "json", NULL};
    static const char *const required[] = {"kafka", "topic", "table"};
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        if (k2_cli_value(cli, required[i]) == NULL) {
            return k2_fail(error, K2_BAD_REQUEST, "--%s: missing; see k2 produce --help",
                           required[i]);
        }
    }
    return k2_cli_choice(cli, "format", formats, format, error);
}

static enum k2_exit run(struct k2_cli *cli)
{
    size_t format = 0;
    struct k2_error error;
    struct produce self = {.cli = cli};
    const char **paths = k2_alloc_zero(k2_cli_argument_count(cli), sizeof *paths);
    k2_buffer_init(&self.message, MESSAGE_CEILING_BYTES);
    k2_buffer_init(&self.key, 4096);
    enum k2_status status = paths == NULL ? k2_fail(&error, K2_NO_MEMORY, "produce: out of memory")
                                          : check_options(cli, &format, &error);
    if (status == K2_OK) {
        status = open_all(&self, paths, &error);
    }
    if (status == K2_OK) {
        status = k2_progress_begin(&self.progress, cli, "messages",
                                   k2_row_source_total_bytes(self.source), &error);
    }
    if (status == K2_OK) {
        status = send_rows(&self, &error);
        k2_progress_end(&self.progress);
    }
    enum k2_exit code = K2_EXIT_DONE;
    if (status != K2_OK) {
        code = k2_cli_fail(cli, &error);
    } else {
        bool all = k2_kafka_sink_counts(self.sink).failed == 0 && self.refused == 0;
        print(&self, format == 1);
        code = all ? K2_EXIT_DONE : K2_EXIT_FAILED;
    }
    close_all(&self);
    k2_free(paths);
    return code;
}

const struct k2_command k2_command_produce = {
    .name = "produce",
    .summary = "sends rows of files to a Kafka topic, as Avro",
    .arguments = "FILE...",
    .argument_min = 1,
    .argument_max = SIZE_MAX,
    .options =
        (const struct k2_option[]){
            {"kafka", "BROKERS", "HOST:PORT[,HOST:PORT...]; required", false},
            {"topic", "NAME", "required", false},
            {"table", "T", "whose rows they are; required", false},
            {"schema-registry", "URL|DIR", "knows schemas by id; built-in schemas else", false},
            {"schema", "FILE", "of a table that is not built in (Avro)", false},
            {"exchange", "X", "of rows that do not name one", false},
            {"symbol", "S", "of rows that do not name one", false},
            {"asset-class", "A", "of rows that do not name one", false},
            {"currency", "C", "of rows that do not name one", false},
            {"map", "FILE", "how fields become columns (see tools/maps)", false},
            {"ignore-unknown", NULL, "skip fields that are no column", false},
            K2_OPTION_PROGRESS,
            K2_OPTION_FORMAT("table|json", "table"),
            {0}},
    .run = run,
};
