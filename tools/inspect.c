// `k2 inspect FILE`: what a segment file consists of. Needs no store, and trusts nothing.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/base/json_text.h"
#include "format/base/timestamp.h"
#include "format/segment/row_group_view.h"
#include "format/segment/segment_layout.h"
#include "tools/commands.h"

enum { CODEC_MAX = 16, OUTPUT_CEILING = 64 << 20 };

// The blocks of one column.
struct block_summary {
    struct {
        const char *name;
        uint32_t blocks;
    } codecs[CODEC_MAX];
    size_t codec_count;
    unsigned width_min, width_max;
};

// Where output goes, and how.
struct printer {
    struct k2_cli *cli;
    bool json;
    struct k2_buffer text;
};

// ---- the file

static enum k2_status map_file(const char *path, struct k2_slice *bytes, struct k2_error *error)
{
    *bytes = (struct k2_slice){0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return k2_fail_errno(error, errno, "%s", path);
    }
    enum k2_status status = K2_OK;
    struct stat stat;
    void *mapping = MAP_FAILED;
    if (fstat(file, &stat) == 0 && stat.st_size > 0) {
        mapping = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (mapping == MAP_FAILED) {
            status = k2_fail_errno(error, errno, "%s", path);
        } else {
            *bytes = (struct k2_slice){mapping, (size_t)stat.st_size};
        }
    }
    (void)close(file);
    return status;
}

// ---- one column

static const char *column_name(const struct k2_schema *schema, uint16_t id, char text[16])
{
    for (size_t i = 0; schema != NULL && i < schema->column_count; i++) {
        if (schema->columns[i].id == id) {
            return schema->columns[i].name;
        }
    }
    switch (id) {
    case K2_COLUMN_ID_COMMIT:
        return "_commit";
    case K2_COLUMN_ID_UNTIL:
        return "_until";
    case K2_COLUMN_ID_OP:
        return "_op";
    default:
        break;
    }
    (void)snprintf(text, 16, "#%u", id);
    return text;
}

static enum k2_status summarise_blocks(const struct k2_row_group_view *view, uint16_t id,
                                       struct block_summary *summary, struct k2_error *error)
{
    *summary = (struct block_summary){0};
    struct k2_column_reader *reader = NULL;
    bool found = false;
    enum k2_status status = k2_column_reader_open(&reader, view, id, &found, error);
    struct k2_block_info info;
    for (uint32_t block = 0;
         status == K2_OK && found && k2_column_reader_block_info(reader, block, &info); block++) {
        size_t i = 0;
        while (i < summary->codec_count && strcmp(summary->codecs[i].name, info.codec) != 0) {
            i++;
        }
        if (i < CODEC_MAX) {
            summary->codecs[i].name = info.codec;
            summary->codecs[i].blocks++;
            summary->codec_count = i == summary->codec_count ? i + 1 : summary->codec_count;
        }
        if (block == 0 || info.width_bits < summary->width_min) {
            summary->width_min = info.width_bits;
        }
        if (info.width_bits > summary->width_max) {
            summary->width_max = info.width_bits;
        }
    }
    k2_column_reader_close(reader);
    return status;
}

static void put_column_json(struct printer *out, const struct k2_group_column *column,
                            const char *name, const struct block_summary *blocks)
{
    k2_put_format(&out->text, "{\"id\":%u,\"name\":", column->id);
    k2_json_put_string(&out->text, k2_slice_of(name));
    k2_put_format(&out->text, ",\"kind\":\"%s\",\"bytes\":%" PRIu32 ",\"nulls\":%" PRIu32,
                  k2_kind_name(column->kind), column->length_bytes, column->stats.null_count);
    k2_put_text(&out->text, ",\"blocks\":{");
    for (size_t i = 0; i < blocks->codec_count; i++) {
        k2_put_format(&out->text, "%s\"%s\":%" PRIu32, i == 0 ? "" : ",", blocks->codecs[i].name,
                      blocks->codecs[i].blocks);
    }
    k2_put_format(&out->text, "},\"width_min\":%u,\"width_max\":%u}", blocks->width_min,
                  blocks->width_max);
}

static void put_column_text(struct printer *out, const struct k2_group_column *column,
                            const char *name, const struct block_summary *blocks, uint32_t rows)
{
    k2_put_format(&out->text, "  %-22s %-10s %10" PRIu32 " %9.3f  %8" PRIu32 "  ", name,
                  k2_kind_name(column->kind), column->length_bytes,
                  (double)column->length_bytes / rows, column->stats.null_count);
    for (size_t i = 0; i < blocks->codec_count; i++) {
        k2_put_format(&out->text, "%s%s x%" PRIu32, i == 0 ? "" : ", ", blocks->codecs[i].name,
                      blocks->codecs[i].blocks);
    }
    if (column->all_null) {
        k2_put_text(&out->text, "all null");
    } else if (blocks->width_max > 0) {
        k2_put_format(&out->text, "  (%u to %u bits)", blocks->width_min, blocks->width_max);
    }
    k2_put_u8(&out->text, '\n');
}

// ---- one group

static void put_time(struct k2_buffer *text, int64_t time_ns)
{
    char printed[K2_TIMESTAMP_TEXT_BYTES];
    k2_timestamp_print(printed, time_ns);
    k2_put_bytes(text, printed, sizeof printed);
}

static void time_range(const struct k2_row_group_view *view, size_t *instruments, int64_t *min_ns,
                       int64_t *max_ns)
{
    size_t count;
    const struct k2_directory_entry *entries = k2_row_group_view_directory(view, &count);
    *min_ns = INT64_MAX;
    *max_ns = INT64_MIN;
    *instruments = count;
    for (size_t i = 0; i < count; i++) {
        *min_ns = entries[i].time_min_ns < *min_ns ? entries[i].time_min_ns : *min_ns;
        *max_ns = entries[i].time_max_ns > *max_ns ? entries[i].time_max_ns : *max_ns;
    }
}

static void put_group_head(struct printer *out, const struct k2_row_group_view *view)
{
    const struct k2_row_group_info *info = k2_row_group_view_info(view);
    size_t instruments;
    int64_t min_ns;
    int64_t max_ns;
    time_range(view, &instruments, &min_ns, &max_ns);
    struct k2_buffer *text = &out->text;
    if (out->json) {
        k2_put_format(text, "{\"offset\":%" PRIu64 ",\"length\":%zu,\"table\":", info->offset,
                      k2_row_group_view_length(view));
        k2_json_put_string(text, info->table_name);
        k2_put_format(text, ",\"level\":%u,\"rows\":%" PRIu32 ",\"runs\":%zu", info->level,
                      k2_row_group_view_rows(view), instruments);
        k2_put_format(text, ",\"commit\":%" PRIu64 ",\"part\":%" PRIu32 ",\"part_count\":%" PRIu32,
                      info->commit, info->part, info->part_count);
        k2_put_text(text, ",\"first_time\":\"");
        put_time(text, min_ns);
        k2_put_text(text, "\",\"last_time\":\"");
        put_time(text, max_ns);
        k2_put_text(text, "\",\"columns\":[");
        return;
    }
    k2_put_format(text, "\ngroup at %" PRIu64 ": %" PRIu32 " rows of ", info->offset,
                  k2_row_group_view_rows(view));
    k2_put_bytes(text, info->table_name.data, info->table_name.size_bytes);
    k2_put_format(text, " in %zu bytes, level %u, %zu runs of instruments\n",
                  k2_row_group_view_length(view), info->level, instruments);
    k2_put_format(text, "  commit %" PRIu64 ", part %" PRIu32, info->commit, info->part + 1);
    if (info->part_count > 0) { // of a rewrite only the last part knows
        k2_put_format(text, " of %" PRIu32, info->part_count);
    }
    k2_put_text(text, ", from ");
    put_time(text, min_ns);
    k2_put_text(text, " to ");
    put_time(text, max_ns);
    k2_put_format(text, "\n  %-22s %-10s %10s %9s  %8s  %s\n", "column", "kind", "bytes", "B/row",
                  "nulls", "blocks");
}

static enum k2_status put_group(struct printer *out, const struct k2_row_group_view *view,
                                struct k2_error *error)
{
    put_group_head(out, view);
    const struct k2_row_group_info *info = k2_row_group_view_info(view);
    char table[64];
    (void)snprintf(table, sizeof table, "%.*s", (int)info->table_name.size_bytes,
                   (const char *)info->table_name.data);
    // Names are of the store's schema; the built-in ones are known without it.
    struct k2_schema *schema = NULL;
    enum k2_status status = k2_schema_builtin(&schema, table, error);
    status = status == K2_NOT_FOUND ? K2_OK : status;
    size_t column_count;
    const struct k2_group_column *columns = k2_row_group_view_columns(view, &column_count);
    for (size_t i = 0; i < column_count && status == K2_OK; i++) {
        char number[16];
        const char *name = column_name(schema, columns[i].id, number);
        struct block_summary blocks;
        status = summarise_blocks(view, columns[i].id, &blocks, error);
        if (status == K2_OK && out->json) {
            k2_put_text(&out->text, i == 0 ? "" : ",");
            put_column_json(out, &columns[i], name, &blocks);
        } else if (status == K2_OK) {
            put_column_text(out, &columns[i], name, &blocks, k2_row_group_view_rows(view));
        }
    }
    k2_put_text(&out->text, out->json ? "]}" : "");
    k2_schema_destroy(schema);
    return status;
}

// ---- all of it

static enum k2_status flush(struct printer *out, struct k2_error *error)
{
    enum k2_status status = k2_buffer_check(&out->text, "output", error);
    if (status == K2_OK) {
        status = k2_cli_write(out->cli, k2_buffer_slice(&out->text), error);
    }
    k2_buffer_clear(&out->text);
    return status;
}

static enum k2_status put_groups(struct printer *out, struct k2_slice file, uint64_t segment_id,
                                 struct k2_error *error)
{
    enum k2_status status = K2_OK;
    uint64_t offset = K2_SEGMENT_ALIGNMENT;
    for (size_t count = 0; status == K2_OK && offset < file.size_bytes; count++) {
        struct k2_row_group_view *view = NULL;
        struct k2_slice bytes = {file.data + offset, file.size_bytes - offset};
        status = k2_row_group_view_open(&view, bytes, segment_id, offset, error);
        if (status == K2_OK) {
            k2_put_text(&out->text, out->json && count > 0 ? "," : "");
            status = put_group(out, view, error);
        }
        if (status == K2_OK) {
            offset += k2_row_group_view_length(view);
            status = flush(out, error);
        }
        k2_row_group_view_close(view);
    }
    if (status == K2_CORRUPT) {
        k2_error_annotate(error, "byte %" PRIu64, offset);
    }
    return status;
}

static enum k2_status inspect(struct printer *out, const char *path, struct k2_slice file,
                              struct k2_error *error)
{
    uint64_t segment_id = 0;
    uint8_t store_id[16] = {0};
    if (file.size_bytes >= K2_SEGMENT_HEADER_USED_BYTES) { // what it says it is; checked below
        memcpy(store_id, file.data + K2_SEGMENT_AT_STORE_ID, sizeof store_id);
        struct k2_byte_reader reader = {.rest = {file.data + K2_SEGMENT_AT_ID, 8}};
        segment_id = k2_read_u64(&reader);
    }
    enum k2_status status = k2_segment_header_check(file, store_id, segment_id, error);
    if (status != K2_OK) {
        return status;
    }
    if (out->json) {
        k2_put_text(&out->text, "{\"file\":");
        k2_json_put_string(&out->text, k2_slice_of(path));
    } else {
        k2_put_text(&out->text, path);
    }
    k2_put_format(&out->text,
                  out->json ? ",\"segment\":%" PRIu64 ",\"store\":\""
                            : ": segment %" PRIu64 " of store ",
                  segment_id);
    for (size_t i = 0; i < sizeof store_id; i++) {
        k2_put_format(&out->text, "%02x", store_id[i]);
    }
    k2_put_format(&out->text, out->json ? "\",\"bytes\":%zu,\"groups\":[" : ", %zu bytes\n",
                  file.size_bytes);
    status = put_groups(out, file, segment_id, error);
    if (status == K2_OK) {
        k2_put_text(&out->text, out->json ? "]}\n" : "");
        status = flush(out, error);
    }
    return status;
}

static enum k2_exit run(struct k2_cli *cli)
{
    static const char *const formats[] = {"table", "json", NULL};
    size_t format = 0;
    struct k2_error error;
    const char *path = k2_cli_argument(cli, 0);
    struct k2_slice file = {0};
    struct printer out = {.cli = cli};
    k2_buffer_init(&out.text, OUTPUT_CEILING);
    enum k2_status status = k2_cli_choice(cli, "format", formats, &format, &error);
    out.json = format == 1;
    if (status == K2_OK) {
        status = map_file(path, &file, &error);
    }
    if (status == K2_OK) {
        status = inspect(&out, path, file, &error);
        if (status != K2_OK) {
            k2_error_annotate(&error, "%s", path);
        }
    }
    if (file.size_bytes > 0) {
        (void)munmap((void *)(uintptr_t)file.data, file.size_bytes);
    }
    k2_buffer_deinit(&out.text);
    return status == K2_OK ? K2_EXIT_DONE : k2_cli_fail(cli, &error);
}

const struct k2_command k2_command_inspect = {
    .name = "inspect",
    .summary = "shows what a segment file consists of: groups, columns, codecs, bytes",
    .arguments = "FILE",
    .argument_min = 1,
    .argument_max = 1,
    .options = (const struct k2_option[]){K2_OPTION_FORMAT("table|json", "table"), {0}},
    .run = run,
};
