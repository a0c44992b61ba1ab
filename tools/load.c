#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/commit.h"
#include "engine/instruments.h"
#include "engine/maintenance.h"
#include "format/base/alloc.h"
#include "ingest/dead_letter.h"
#include "ingest/row_source.h"
#include "ingest/sequence_rule.h"
#include "tools/commands.h"
#include "tools/file_text.h"
#include "tools/progress.h"

struct load {
    struct k2_cli *cli;
    struct k2_engine *engine;
    struct k2_maintenance *maintenance;
    const struct k2_table *table;
    struct k2_column_map *map;
    struct k2_row_source *source;
    struct k2_row_batch *batch;
    struct k2_dead_letters *letters;
    struct k2_progress progress;
    FILE *rejects;                 // NULL: not asked for
    struct k2_sequence_rule *rule; // NULL: as the files are
    uint64_t letters_rejected;     // rejects that wait with `letters`
    uint64_t rows_stored, rows_duplicate, rows_rejected, snapshot;
    uint64_t rows_rejected_durable; // those of rows_rejected that a commit has
};

static enum k2_status intern(void *context, struct k2_slice exchange, struct k2_slice symbol,
                             uint32_t *instrument, struct k2_error *error)
{
    return k2_instrument_intern(context, exchange, symbol, instrument, error);
}

static void put_csv_field(FILE *out, struct k2_slice text)
{
    (void)fputc('"', out);
    for (size_t i = 0; i < text.size_bytes; i++) {
        if (text.data[i] == '"') {
            (void)fputc('"', out);
        }
        (void)fputc(text.data[i], out);
    }
    (void)fputc('"', out);
}

static void put_reject(struct load *load, const char *file, uint64_t line, const char *reason,
                       struct k2_slice raw)
{
    load->rows_rejected++;
    if (load->rejects == NULL) {
        return;
    }
    put_csv_field(load->rejects, k2_slice_of(file));
    (void)fprintf(load->rejects, ",%llu,", (unsigned long long)line);
    put_csv_field(load->rejects, k2_slice_of(reason));
    (void)fputc(',', load->rejects);
    put_csv_field(load->rejects, raw);
    (void)fputc('\n', load->rejects);
}

static enum k2_status flush_rejects(struct load *load, struct k2_error *error)
{
    if (load->rejects != NULL && (fflush(load->rejects) != 0 || ferror(load->rejects) != 0)) {
        return k2_fail(error, K2_IO, "--rejects: cannot write the file");
    }
    return K2_OK;
}

// Commits `batch` (may be NULL) with the letters that wait.
static enum k2_status commit(struct load *load, struct k2_row_batch *batch, struct k2_error *error)
{
    struct k2_commit *commit = NULL;
    struct k2_commit_outcome outcome = {0};
    enum k2_status status = k2_commit_begin(load->engine, &commit, error);
    if (status != K2_OK) {
        return status;
    }
    struct k2_source source;
    if (batch != NULL && batch->row_count > 0) {
        status = k2_sequence_rule_apply(load->rule, k2_row_source_numbering(load->source),
                                        load->engine, load->table, batch, &source, error);
        if (status == K2_OK) {
            status = k2_commit_add_from(commit, batch, &source, &outcome, error);
        }
    }
    const char *file = k2_row_source_file(load->source);
    if (status == K2_OK) {
        status = k2_dead_letters_add_conflicts(load->letters, batch, &outcome, file, error);
    }
    for (size_t i = 0; i < outcome.conflict_count && status == K2_OK; i++) {
        uint32_t row = outcome.conflicts[i];
        put_reject(load, file, batch->positions[row],
                   k2_row_fate_reason((enum k2_row_fate)outcome.fates[row]),
                   k2_row_batch_text(batch, batch->payloads[row]));
    }
    if (status == K2_OK) {
        status = k2_dead_letters_commit(load->letters, commit, error);
    }
    if (status == K2_OK) {
        status = flush_rejects(load, error);
    }
    if (status != K2_OK) {
        k2_commit_abort(commit);
        return status;
    }
    k2_commit_count_rejected(commit, load->table, load->letters_rejected);
    status = k2_commit_finish(commit, &load->snapshot, error);
    if (status == K2_OK) {
        k2_dead_letters_clear(load->letters);
        load->letters_rejected = 0;
        load->rows_rejected_durable = load->rows_rejected;
        load->rows_stored += outcome.stored;
        load->rows_duplicate += outcome.duplicates;
        if (outcome.gave_up > 0) {
            k2_cli_warn(load->cli,
                        "%zu sequences have more than 10,000 gaps each: they are not dense, and "
                        "are followed no more",
                        outcome.gave_up);
        }
    }
    return status;
}

static enum k2_status reject(void *context, const struct k2_row_reject *row, struct k2_error *error)
{
    struct load *load = context;
    struct k2_dead_letter letter = {
        .table = load->table->schema->table,
        .reason = row->reason,
        .detail = row->detail,
        .source = row->file,
        .position = row->line,
        .payload = row->raw,
    };
    enum k2_status status = K2_OK;
    if (k2_dead_letters_room(load->letters) == 0) {
        status = commit(load, NULL, error);
    }
    if (status == K2_OK) {
        char reason[512];
        (void)snprintf(reason, sizeof reason, "%s: %s", row->reason, row->detail);
        put_reject(load, row->file, row->line, reason, row->raw);
        load->letters_rejected++;
        status = k2_dead_letters_add(load->letters, &letter, error);
    }
    return status;
}

static enum k2_status load_rows(struct load *load, struct k2_error *error)
{
    bool end = false;
    enum k2_status status = K2_OK;
    while (status == K2_OK && !end) {
        k2_row_batch_clear(load->batch);
        status = k2_row_source_next(load->source, load->batch, &end, error);
        if (status == K2_OK && k2_dead_letters_room(load->letters) < load->batch->row_count) {
            status = commit(load, NULL, error); // every row could be a conflict
        }
        if (status == K2_OK) {
            status = commit(load, load->batch, error);
        }
        if (status == K2_OK) {
            uint64_t rows = k2_row_source_rows_read(load->source);
            k2_progress_committed(&load->progress, rows, load->snapshot);
            k2_progress_show(&load->progress, rows, k2_row_source_done_bytes(load->source));
        }
    }
    return status;
}

// A table by --table; --schema declares it, or a newer version of it.
static enum k2_status find_table(struct load *load, struct k2_error *error)
{
    const char *name = k2_cli_value(load->cli, "table");
    const char *path = k2_cli_value(load->cli, "schema");
    load->table = k2_engine_table(load->engine, k2_slice_of(name));
    if (path == NULL) {
        return load->table != NULL && name[0] != '_'
                   ? K2_OK
                   : k2_fail(error, K2_NOT_FOUND,
                             "--table: no table `%s` to load into; declare it with --schema "
                             "FILE.avsc, or use trades, quotes, book, reference_data",
                             name);
    }
    struct k2_buffer text;
    struct k2_schema *schema = NULL;
    k2_buffer_init(&text, 1 << 20);
    enum k2_status status = k2_file_text_read(path, &text, error);
    if (status == K2_OK) {
        status = k2_schema_parse(&schema, name, k2_buffer_slice(&text), error);
    }
    bool same = status == K2_OK && load->table != NULL &&
                strcmp(schema->source, load->table->schema->source) == 0;
    if (status == K2_OK && !same) {
        status = k2_engine_add_table(load->engine, &schema, &load->table, error);
    }
    if (status != K2_OK) {
        k2_error_annotate(error, "%s", path);
    }
    k2_schema_destroy(schema);
    k2_buffer_deinit(&text);
    return status;
}

// What the command line says of sequences counts more than the map.
static enum k2_status read_rule(struct load *load, struct k2_error *error)
{
    struct k2_sequence_texts texts = {0};
    const struct {
        const char *option, **text, **name, *option_name, *map_name;
        enum k2_map_sequence member;
    } members[] = {
        {"sequence", &texts.sequence, &texts.sequence_name, "--sequence", "map: sequence",
         K2_MAP_SEQUENCE},
        {"epoch", &texts.epoch, &texts.epoch_name, "--epoch", "map: epoch", K2_MAP_EPOCH_RULE},
        {"domain", &texts.domain, &texts.domain_name, "--domain", "map: domain", K2_MAP_DOMAIN},
    };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const char *given = k2_cli_value(load->cli, members[i].option);
        const char *mapped =
            load->map == NULL ? NULL : k2_column_map_sequence(load->map, members[i].member);
        bool by_map = given == NULL && mapped != NULL;
        *members[i].text = by_map ? mapped : given;
        *members[i].name = by_map ? members[i].map_name : members[i].option_name;
    }
    return k2_sequence_rule_parse(&load->rule, &texts, load->table->schema, error);
}

static enum k2_status open_source(struct load *load, const char **paths, struct k2_error *error)
{
    const char *map = k2_cli_value(load->cli, "map");
    enum k2_status status = K2_OK;
    if (map != NULL) {
        status = k2_column_map_read(&load->map, map, load->table->schema, error);
    }
    for (size_t i = 0; i < k2_cli_argument_count(load->cli); i++) {
        paths[i] = k2_cli_argument(load->cli, i);
    }
    struct k2_row_source_options options = {
        .schema = load->table->schema,
        .paths = paths,
        .path_count = k2_cli_argument_count(load->cli),
        .exchange = k2_cli_value(load->cli, "exchange"),
        .symbol = k2_cli_value(load->cli, "symbol"),
        .asset_class = k2_cli_value(load->cli, "asset-class"),
        .currency = k2_cli_value(load->cli, "currency"),
        .map = load->map,
        .ignore_unknown = k2_cli_has(load->cli, "ignore-unknown"),
        .deletes = k2_cli_has(load->cli, "delete"),
        .intern = intern,
        .intern_context = load->engine,
        .reject = reject,
        .reject_context = load,
    };
    if (status == K2_OK) {
        status = read_rule(load, error);
    }
    return status == K2_OK ? k2_row_source_open(&load->source, &options, error) : status;
}

static enum k2_status open_rejects(struct load *load, struct k2_error *error)
{
    const char *path = k2_cli_value(load->cli, "rejects");
    if (path == NULL) {
        return K2_OK;
    }
    load->rejects = fopen(path, "we");
    if (load->rejects == NULL || fputs("file,line,reason,raw\n", load->rejects) < 0) {
        return k2_fail(error, K2_BAD_REQUEST, "--rejects: cannot write %s", path);
    }
    return K2_OK;
}

static enum k2_status run_load(struct load *load, const char **paths, struct k2_error *error)
{
    enum k2_status status =
        k2_engine_open(&load->engine, k2_cli_data(load->cli), K2_ENGINE_CREATE, error);
    if (status == K2_OK) {
        status = k2_maintenance_start(&load->maintenance, load->engine,
                                      &(struct k2_maintenance_options){0}, error);
    }
    if (status == K2_OK) {
        status = find_table(load, error);
    }
    if (status == K2_OK) {
        status = k2_dead_letters_create(&load->letters, load->engine, error);
    }
    if (status == K2_OK) {
        status =
            k2_row_batch_create(&load->batch, load->table->schema, K2_GROUP_ROWS, false, error);
    }
    if (status == K2_OK) {
        status = open_source(load, paths, error);
    }
    if (status == K2_OK) {
        status = open_rejects(load, error);
    }
    if (status == K2_OK) {
        status = k2_progress_begin(&load->progress, load->cli, "rows",
                                   k2_row_source_total_bytes(load->source), error);
    }
    if (status == K2_OK) {
        status = load_rows(load, error);
        if (status == K2_OK) { // a load leaves few pieces behind
            k2_maintenance_settle(load->maintenance);
        }
        k2_progress_end(&load->progress);
    }
    return status;
}

static void close_load(struct load *load)
{
    k2_row_source_close(load->source);
    k2_column_map_destroy(load->map);
    k2_sequence_rule_destroy(load->rule);
    k2_row_batch_destroy(load->batch);
    k2_dead_letters_destroy(load->letters);
    k2_maintenance_stop(load->maintenance);
    k2_engine_close(load->engine);
    if (load->rejects != NULL) {
        (void)fclose(load->rejects);
    }
}

static void print(const struct load *load, bool json, uint64_t rows_read)
{
    FILE *out = k2_cli_out(load->cli);
    unsigned long long read = rows_read, stored = load->rows_stored;
    unsigned long long duplicate = load->rows_duplicate, rejected = load->rows_rejected;
    unsigned long long snapshot = load->snapshot;
    double seconds = k2_progress_seconds(&load->progress);
    if (json) {
        (void)fprintf(out,
                      "{\"rows_read\":%llu,\"rows_stored\":%llu,\"rows_duplicate\":%llu,"
                      "\"rows_rejected\":%llu,\"snapshot\":%llu,\"seconds\":%.3f}\n",
                      read, stored, duplicate, rejected, snapshot, seconds);
    } else {
        (void)fprintf(out,
                      "%llu rows read: %llu stored, %llu duplicate, %llu rejected; "
                      "snapshot %llu, %.3f s\n",
                      read, stored, duplicate, rejected, snapshot, seconds);
    }
}

// Work that was given up: what is durable of it is told. Usage that shows only behind rows that
// were stored, as in the second of two files, is work done in part.
static enum k2_exit fail(struct load *load, bool json, const struct k2_error *error)
{
    load->rows_rejected = load->rows_rejected_durable;
    uint64_t durable = load->rows_stored + load->rows_duplicate + load->rows_rejected;
    enum k2_exit code = k2_cli_fail(load->cli, error);
    if (durable == 0) {
        return code;
    }
    print(load, json, durable);
    return code == K2_EXIT_USAGE || code == K2_EXIT_NOT_FOUND ? K2_EXIT_FAILED : code;
}

// Before a store is created for them: are the files there?
static enum k2_status check_files(struct k2_cli *cli, struct k2_error *error)
{
    static const char *const named[] = {"map", "schema"};
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        const char *path = k2_cli_value(cli, named[i]);
        if (path != NULL && access(path, R_OK) != 0) {
            return k2_fail(error, K2_NOT_FOUND, "--%s: %s cannot be read", named[i], path);
        }
    }
    for (size_t i = 0; i < k2_cli_argument_count(cli); i++) {
        const char *path = k2_cli_argument(cli, i);
        if (strcmp(path, "-") != 0 && access(path, R_OK) != 0) {
            return k2_fail(error, K2_NOT_FOUND, "%s: cannot be read", path);
        }
    }
    if (k2_cli_value(cli, "table") == NULL) {
        return k2_fail(error, K2_BAD_REQUEST, "--table: missing; say which table, such as trades");
    }
    return K2_OK;
}

static enum k2_exit run(struct k2_cli *cli)
{
    static const char *const formats[] = {"table", "json", NULL};
    static const char *const sequences[] = {"sparse", "dense", "ordinal", NULL};
    size_t format = 0, sequence = 0;
    struct k2_error error;
    struct load load = {.cli = cli};
    const char **paths = k2_alloc_zero(k2_cli_argument_count(cli), sizeof *paths);
    enum k2_status status = paths == NULL ? k2_fail(&error, K2_NO_MEMORY, "load: out of memory")
                                          : k2_cli_choice(cli, "format", formats, &format, &error);
    if (status == K2_OK) {
        status = k2_cli_choice(cli, "sequence", sequences, &sequence, &error);
    }
    if (status == K2_OK) {
        status = check_files(cli, &error);
    }
    if (status == K2_OK) {
        status = run_load(&load, paths, &error);
    }
    enum k2_exit code = K2_EXIT_DONE;
    if (status != K2_OK) {
        code = fail(&load, format == 1, &error);
    } else {
        print(&load, format == 1, k2_row_source_rows_read(load.source));
        code = load.rows_rejected > 0 ? K2_EXIT_FAILED : K2_EXIT_DONE;
    }
    close_load(&load);
    k2_free(paths);
    return code;
}

const struct k2_command k2_command_load = {
    .name = "load",
    .summary = "reads rows of files (CSV, NDJSON; .gz .zst .zip) into a table",
    .arguments = "FILE...",
    .argument_min = 1,
    .argument_max = SIZE_MAX,
    .options =
        (const struct k2_option[]){
            K2_OPTION_DATA,
            {"table", "T", "the table; required", false},
            {"exchange", "X", "of rows that do not name one", false},
            {"symbol", "S", "of rows that do not name one", false},
            {"asset-class", "A", "of rows that do not name one", false},
            {"currency", "C", "of rows that do not name one", false},
            {"map", "FILE", "how fields become columns (see tools/maps)", false},
            {"schema", "FILE", "declares the table, or a newer version of it (Avro)", false},
            {"sequence", "sparse|dense|ordinal",
             "dense: the source counts every event; sparse if rows have a sequence, else ordinal",
             false},
            {"epoch", "RULE",
             "where numbers begin anew: constant, date:ZONE[:HH:MM], field:COLUMN, detect", false},
            {"domain", "COLUMN,...", "what a dense source counts: instrument unless given", false},
            {"delete", NULL, "rows name keys to delete, unless their field _op says put", false},
            {"ignore-unknown", NULL, "skip fields that are no column", false},
            {"rejects", "FILE", "rows that were not stored: file,line,reason,raw", false},
            K2_OPTION_PROGRESS,
            K2_OPTION_FORMAT("table|json", "table"),
            {0}},
    .run = run,
};
