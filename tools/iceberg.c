// `k2 iceberg`: care of the tables that `k2 export --warehouse` makes.
#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "format/base/json_text.h"
#include "format/base/timestamp.h"
#include "query/export/table_care.h"
#include "query/export/table_verify.h"
#include "tools/commands.h"
#include "tools/table_names.h"

static const size_t answer_ceiling_bytes = (size_t)1 << 30;

static const struct k2_option options[] = {
    K2_OPTION_DATA,
    {"warehouse", "DIR", "where the tables lie", false},
    {"catalog", "URL", "a REST catalog; DIR may be s3://BUCKET/FOLDER then (AWS_*, K2_CATALOG_*)",
     false},
    {"table", "T,...", "only these tables; all that are there unless given", false},
    {"older-than", "AGE",
     "expire, orphans: 90s, 15m, 6h, 7d; as the table says, and 1d, unless given", false},
    {"keep", "N", "expire: as many snapshots at least; as the table says unless given", false},
    {"dry-run", NULL, "orphans: removes nothing", false},
    K2_OPTION_FORMAT("table|json", "table"),
    {0},
};

struct iceberg {
    struct k2_cli *cli;
    struct k2_engine *engine;
    struct k2_warehouse warehouse;
    struct k2_care_options care;
    struct k2_snapshot newest;
    struct k2_buffer answer;
    size_t answered;
    bool json, differs;
};

typedef enum k2_status action_fn(struct iceberg *self, struct k2_table_place *place,
                                 const struct k2_table *table, struct k2_error *error);

// ---- answers --------------------------------------------------------------------------------

static void put_number(struct iceberg *self, const char *name, uint64_t value)
{
    k2_put_format(&self->answer, self->json ? ",\"%s\":%llu" : "  %s=%llu", name,
                  (unsigned long long)value);
}

static void begin_answer(struct iceberg *self, const struct k2_table *table, bool ok)
{
    const char *name = table->schema->table;
    if (!self->json) {
        k2_put_format(&self->answer, "%s: %s", name, ok ? "ok" : "DIFFERS");
        return;
    }
    k2_put_text(&self->answer, self->answered++ == 0 ? "[" : ",");
    k2_put_text(&self->answer, "{\"table\":");
    k2_json_put_string(&self->answer, k2_slice_of(name));
    k2_put_format(&self->answer, ",\"ok\":%s", ok ? "true" : "false");
}

static void end_answer(struct iceberg *self)
{
    k2_put_text(&self->answer, self->json ? "}" : "\n");
}

// What every action tells: rows, the store's snapshot that the table has, files, snapshots.
static enum k2_status put_state(struct iceberg *self, struct k2_table_place *place,
                                struct k2_error *error)
{
    const struct k2_iceberg_metadata *metadata = place->table.metadata;
    struct k2_iceberg_entries entries = {0};
    struct k2_row_selection range;
    bool has_range;
    uint64_t exported, rows = 0, bytes = 0, files = 0, deletes = 0;
    enum k2_status status =
        k2_export_state(self->engine, metadata, &exported, &has_range, &range, error);
    if (status == K2_OK) {
        status = k2_table_files(place, &entries, error);
    }
    for (size_t i = 0; i < entries.count; i++) {
        const struct k2_iceberg_file *file = &entries.items[i].file;
        bool data = file->content == K2_ICEBERG_DATA;
        rows += data ? (uint64_t)file->record_count : 0;
        bytes += data ? (uint64_t)file->size_bytes : 0;
        files += data ? 1 : 0;
        deletes += data ? 0 : 1;
    }
    k2_iceberg_entries_deinit(&entries);
    put_number(self, "rows", rows);
    put_number(self, "snapshot", exported);
    put_number(self, "newest_snapshot", self->newest.id);
    put_number(self, "files", files);
    put_number(self, "bytes", bytes);
    put_number(self, "delete_files", deletes);
    put_number(self, "iceberg_snapshots", k2_iceberg_snapshot_count(metadata));
    return status;
}

// ---- actions --------------------------------------------------------------------------------

static enum k2_status show_status(struct iceberg *self, struct k2_table_place *place,
                                  const struct k2_table *table, struct k2_error *error)
{
    struct k2_iceberg_snapshot current;
    struct k2_iceberg_manifests manifests = {0};
    struct k2_buffer text;
    begin_answer(self, table, true);
    enum k2_status status = put_state(self, place, error);
    if (status == K2_OK && k2_iceberg_current_snapshot(place->table.metadata, &current)) {
        status = k2_table_manifests(place->store, current.manifest_list, &manifests, error);
        put_number(self, "iceberg_snapshot_id", (uint64_t)current.id);
    }
    k2_buffer_init(&text, answer_ceiling_bytes);
    k2_iceberg_metadata_put(place->table.metadata, &text);
    put_number(self, "manifests", manifests.count);
    put_number(self, "metadata_bytes", text.size_bytes);
    end_answer(self);
    k2_buffer_deinit(&text);
    k2_iceberg_manifests_deinit(&manifests);
    return status;
}

static enum k2_status run_compact(struct iceberg *self, struct k2_table_place *place,
                                  const struct k2_table *table, struct k2_error *error)
{
    struct k2_care_result result;
    enum k2_status status =
        k2_table_compact(place, self->engine, table, &self->care, &result, error);
    if (status != K2_OK) {
        return status;
    }
    begin_answer(self, table, true);
    put_number(self, "files_before", result.files_before);
    put_number(self, "files_after", result.files_after);
    put_number(self, "days_skipped", result.days_skipped);
    status = put_state(self, place, error);
    end_answer(self);
    return status;
}

static enum k2_status run_expire(struct iceberg *self, struct k2_table_place *place,
                                 const struct k2_table *table, struct k2_error *error)
{
    struct k2_care_result result;
    enum k2_status status = k2_table_expire(place, &self->care, &result, error);
    if (status != K2_OK) {
        return status;
    }
    begin_answer(self, table, true);
    put_number(self, "snapshots_removed", result.snapshots_removed);
    put_number(self, "files_removed", result.files_removed);
    status = put_state(self, place, error);
    end_answer(self);
    return status;
}

static enum k2_status run_orphans(struct iceberg *self, struct k2_table_place *place,
                                  const struct k2_table *table, struct k2_error *error)
{
    struct k2_care_result result;
    enum k2_status status = k2_table_orphans(place, &self->care, &result, error);
    if (status != K2_OK) {
        return status;
    }
    begin_answer(self, table, true);
    put_number(self, self->care.dry_run ? "files_found" : "files_removed", result.files_removed);
    put_number(self, self->care.dry_run ? "bytes_found" : "bytes_removed", result.bytes_removed);
    status = put_state(self, place, error);
    end_answer(self);
    return status;
}

static enum k2_status run_verify(struct iceberg *self, struct k2_table_place *place,
                                 const struct k2_table *table, struct k2_error *error)
{
    struct k2_verify_result result;
    enum k2_status status = k2_table_verify(place, self->engine, table, &result, error);
    if (status != K2_OK) {
        return status;
    }
    self->differs = self->differs || !result.same;
    begin_answer(self, table, result.same);
    put_number(self, "rows", result.table_rows);
    put_number(self, "snapshot", result.snapshot);
    put_number(self, "store_rows", result.store_rows);
    put_number(self, "files", result.files);
    if (result.has_kept) {
        char text[K2_TIMESTAMP_TEXT_BYTES];
        k2_timestamp_print(text, (result.kept_day + INT64_C(1)) * 86400 * 1000000000);
        k2_put_format(&self->answer,
                      self->json ? ",\"compared_from\":\"%.10s\"" : "  compared_from=%.10s", text);
    }
    if (self->json) {
        k2_put_format(&self->answer, ",\"checksum\":\"%016llx%016llx\"",
                      (unsigned long long)result.checksum[0],
                      (unsigned long long)result.checksum[1]);
        k2_put_text(&self->answer, ",\"difference\":");
        if (result.same) {
            k2_put_text(&self->answer, "null");
        } else {
            k2_json_put_string(&self->answer, k2_slice_of(result.difference));
        }
    } else if (!result.same) {
        k2_put_format(&self->answer, "  %s", result.difference);
    }
    end_answer(self);
    return status;
}

static const struct {
    const char *name;
    action_fn *run;
} actions[] = {
    {"status", show_status}, {"verify", run_verify},   {"compact", run_compact},
    {"expire", run_expire},  {"orphans", run_orphans},
};

// ---- tables ---------------------------------------------------------------------------------

static enum k2_status care_for(struct iceberg *self, action_fn *run, const struct k2_table *table,
                               bool named, struct k2_error *error)
{
    struct k2_arena arena = {0};
    struct k2_table_place place;
    bool found;
    enum k2_status status =
        k2_warehouse_find(&self->warehouse, table->schema, &arena, &place, &found, error);
    if (status == K2_OK && found) {
        status = run(self, &place, table, error);
    } else if (status == K2_OK && named) {
        status = k2_fail(error, K2_NOT_FOUND, "there is no such table; export it first");
    }
    if (status != K2_OK) {
        k2_error_annotate(error, "iceberg: table %s", place.name);
    }
    k2_catalog_table_close(&place.table);
    k2_arena_deinit(&arena);
    return status;
}

static enum k2_status care_for_all(struct iceberg *self, action_fn *run, struct k2_error *error)
{
    struct k2_table_names names;
    enum k2_status status = k2_table_names_read(&names, self->cli, self->engine, error);
    for (size_t i = 0; status == K2_OK && i < names.count; i++) {
        status = care_for(self, run, names.tables[i], names.named, error);
    }
    if (status == K2_OK && self->json) {
        k2_put_text(&self->answer, self->answered == 0 ? "[]\n" : "]\n");
    }
    return status == K2_OK ? k2_buffer_check(&self->answer, "iceberg: the answer", error) : status;
}

static enum k2_status open_all(struct iceberg *self, struct k2_error *error)
{
    const char *warehouse = k2_cli_value(self->cli, "warehouse");
    if (warehouse == NULL || warehouse[0] == '\0') {
        return k2_fail(error, K2_BAD_REQUEST,
                       "iceberg: --warehouse is needed: where the tables lie");
    }
    const struct k2_warehouse_options places = {.warehouse = warehouse,
                                                .catalog = k2_cli_value(self->cli, "catalog")};
    enum k2_status status =
        k2_engine_open(&self->engine, k2_cli_data(self->cli), K2_ENGINE_READ, error);
    if (status == K2_OK) {
        status = k2_snapshot_newest(self->engine, &self->newest, error);
    }
    return status == K2_OK ? k2_warehouse_open(&self->warehouse, &places, error) : status;
}

static enum k2_status read_options(struct iceberg *self, action_fn **run, struct k2_error *error)
{
    static const char *const formats[] = {"table", "json", NULL};
    const char *name = k2_cli_argument(self->cli, 0);
    size_t format = 0;
    *run = NULL;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        *run = strcmp(actions[i].name, name) == 0 ? actions[i].run : *run;
    }
    if (*run == NULL) {
        return k2_fail(
            error, K2_BAD_REQUEST,
            "iceberg: `%.40s` is not known; give one of status, verify, compact, expire, "
            "orphans",
            name);
    }
    self->care.older_than_ms = -1;
    self->care.dry_run = k2_cli_has(self->cli, "dry-run");
    enum k2_status status = k2_cli_choice(self->cli, "format", formats, &format, error);
    self->json = format == 1;
    if (status == K2_OK) {
        status = k2_cli_number(self->cli, "keep", 1, UINT32_MAX, &self->care.keep, error);
    }
    if (status == K2_OK && k2_cli_has(self->cli, "older-than")) {
        status = k2_read_age(k2_cli_value(self->cli, "older-than"), "--older-than",
                             &self->care.older_than_ms, error);
    }
    return status;
}

static enum k2_exit run(struct k2_cli *cli)
{
    struct iceberg self = {.cli = cli};
    struct k2_error error;
    action_fn *action;
    k2_buffer_init(&self.answer, answer_ceiling_bytes);
    enum k2_status status = read_options(&self, &action, &error);
    if (status == K2_OK) {
        status = open_all(&self, &error);
    }
    if (status == K2_OK) {
        status = care_for_all(&self, action, &error);
    }
    if (status == K2_OK) {
        status = k2_cli_write(cli, k2_buffer_slice(&self.answer), &error);
    }
    k2_warehouse_close(&self.warehouse);
    k2_engine_close(self.engine);
    k2_buffer_deinit(&self.answer);
    if (status != K2_OK) {
        return k2_cli_fail(cli, &error);
    }
    return self.differs ? K2_EXIT_CORRUPT : K2_EXIT_DONE;
}

const struct k2_command k2_command_iceberg = {
    .name = "iceberg",
    .summary = "care of exported Iceberg tables: status, verify, compact, expire, orphans",
    .arguments = "status|verify|compact|expire|orphans",
    .argument_min = 1,
    .argument_max = 1,
    .options = options,
    .run = run,
};
