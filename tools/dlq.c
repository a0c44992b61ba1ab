// Dead letters: rows and messages that could not be stored, from the table _deadletter.
#include "engine/scan.h"

#include <inttypes.h>
#include <stdio.h>

#include "format/base/json_text.h"
#include "format/base/timestamp.h"
#include "tools/commands.h"

enum {
    LINE_BYTES = 256 << 20, // ceiling of the output of one vector of letters
};

// In the order of `columns` below.
enum letter_column {
    LETTER_TABLE,
    LETTER_TIME,
    LETTER_SEQUENCE,
    LETTER_REASON,
    LETTER_DETAIL,
    LETTER_SOURCE,
    LETTER_POSITION,
    LETTER_PAYLOAD,
    LETTER_TRUNCATED,
    LETTER_COLUMN_COUNT,
};
static const char *const columns[LETTER_COLUMN_COUNT] = {
    "symbol", "timestamp", "sequence", "reason",           "detail",
    "source", "position",  "payload",  "payload_truncated"};

enum letter_format { FORMAT_TABLE, FORMAT_JSON, FORMAT_NDJSON };

struct letter_printer {
    enum letter_format format;
    bool whole; // with detail and payload, and only the letter with this sequence
    int64_t sequence;
    uint64_t printed;
};

static bool is_null(const struct k2_vector *vector, size_t row)
{
    return vector->valid != NULL && vector->valid[row] == 0;
}

static void put_id(const struct k2_vector *letters, size_t row, struct k2_buffer *out)
{
    struct k2_slice table = letters[LETTER_TABLE].texts[row];
    k2_put_bytes(out, table.data, table.size_bytes);
    k2_put_format(out, ":%" PRId64 ":%" PRId64, letters[LETTER_TIME].values[row],
                  letters[LETTER_SEQUENCE].values[row]);
}

static void put_text(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    if (is_null(vector, row)) {
        k2_put_text(out, "null");
    } else {
        k2_json_put_string(out, vector->texts[row]);
    }
}

static void put_document(const struct letter_printer *printer, const struct k2_vector *letters,
                         size_t row, struct k2_buffer *out)
{
    char time[K2_TIMESTAMP_TEXT_BYTES];
    k2_timestamp_print(time, letters[LETTER_TIME].values[row]);
    k2_put_text(out, "{\"id\":\"");
    put_id(letters, row, out);
    k2_put_text(out, "\",\"table\":");
    put_text(&letters[LETTER_TABLE], row, out);
    k2_put_text(out, ",\"reason\":");
    put_text(&letters[LETTER_REASON], row, out);
    k2_put_text(out, ",\"source\":");
    put_text(&letters[LETTER_SOURCE], row, out);
    if (is_null(&letters[LETTER_POSITION], row)) {
        k2_put_text(out, ",\"position\":null");
    } else {
        k2_put_format(out, ",\"position\":%" PRId64, letters[LETTER_POSITION].values[row]);
    }
    k2_put_format(out, ",\"time\":\"%.*s\"", (int)sizeof time, time);
    if (printer->whole) {
        k2_put_text(out, ",\"detail\":");
        put_text(&letters[LETTER_DETAIL], row, out);
        k2_put_text(out, ",\"payload\":");
        put_text(&letters[LETTER_PAYLOAD], row, out);
        k2_put_text(out, letters[LETTER_TRUNCATED].values[row] != 0
                             ? ",\"payload_truncated\":true"
                             : ",\"payload_truncated\":false");
    }
    k2_put_u8(out, '}');
}

// What a venue sent must not steer the terminal.
static void put_visible(const struct k2_vector *vector, size_t row, struct k2_buffer *out)
{
    struct k2_slice text = vector->texts[row];
    for (size_t i = 0; !is_null(vector, row) && i < text.size_bytes; i++) {
        uint8_t byte = text.data[i];
        k2_put_u8(out, byte < 0x20 || byte == 0x7f ? '?' : byte);
    }
}

static void put_line(const struct letter_printer *printer, const struct k2_vector *letters,
                     size_t row, struct k2_buffer *out)
{
    static const enum letter_column shown[] = {LETTER_REASON, LETTER_SOURCE};
    put_id(letters, row, out);
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        k2_put_text(out, "  ");
        put_visible(&letters[shown[i]], row, out);
    }
    if (!is_null(&letters[LETTER_POSITION], row)) {
        k2_put_format(out, ":%" PRId64, letters[LETTER_POSITION].values[row]);
    }
    if (printer->whole) {
        k2_put_text(out, "\n");
        put_visible(&letters[LETTER_DETAIL], row, out);
        k2_put_text(out, "\n");
        put_visible(&letters[LETTER_PAYLOAD], row, out);
    }
    k2_put_u8(out, '\n');
}

static void put_letter(struct letter_printer *printer, const struct k2_vector *letters, size_t row,
                       struct k2_buffer *out)
{
    if (printer->format == FORMAT_TABLE) {
        put_line(printer, letters, row, out);
    } else {
        if (printer->format == FORMAT_JSON && !printer->whole) {
            k2_put_text(out, printer->printed > 0 ? ",\n" : "\n");
        }
        put_document(printer, letters, row, out);
        k2_put_text(out, printer->format == FORMAT_NDJSON || printer->whole ? "\n" : "");
    }
    printer->printed++;
}

static enum k2_status open_scan(struct k2_engine *engine, struct k2_scan_request *request,
                                struct k2_scan **scan, struct k2_error *error)
{
    size_t indexes[LETTER_COLUMN_COUNT];
    request->table = k2_engine_table(engine, k2_slice_of("_deadletter"));
    if (request->table == NULL) {
        return k2_fail(error, K2_NOT_FOUND, "dlq: the store has no table of dead letters");
    }
    for (size_t i = 0; i < LETTER_COLUMN_COUNT; i++) {
        int index = k2_schema_find(request->table->schema, k2_slice_of(columns[i]));
        if (index < 0) {
            return k2_fail(error, K2_CORRUPT, "dlq: _deadletter has no column %s", columns[i]);
        }
        indexes[i] = (size_t)index;
    }
    request->columns = indexes;
    request->column_count = LETTER_COLUMN_COUNT;
    return k2_scan_open(engine, request, scan, error);
}

static enum k2_status print_letters(struct k2_cli *cli, struct k2_engine *engine,
                                    struct k2_scan_request *request, struct letter_printer *printer,
                                    struct k2_error *error)
{
    struct k2_scan *scan = NULL;
    struct k2_buffer out;
    k2_buffer_init(&out, LINE_BYTES);
    enum k2_status status = open_scan(engine, request, &scan, error);
    bool array = printer->format == FORMAT_JSON && !printer->whole;
    k2_put_text(&out, array ? "[" : "");
    for (size_t row_count = 1; status == K2_OK && row_count > 0;) {
        const struct k2_vector *letters = NULL;
        status = k2_scan_next(scan, &letters, &row_count, error);
        for (size_t row = 0; status == K2_OK && row < row_count; row++) {
            if (!printer->whole || letters[LETTER_SEQUENCE].values[row] == printer->sequence) {
                put_letter(printer, letters, row, &out);
            }
        }
        if (status == K2_OK && row_count == 0 && array) {
            k2_put_text(&out, printer->printed > 0 ? "\n]\n" : "]\n");
        }
        if (status == K2_OK) {
            status = k2_buffer_check(&out, "dead letters", error);
        }
        if (status == K2_OK) {
            status = k2_cli_write(cli, k2_buffer_slice(&out), error);
        }
        k2_buffer_clear(&out);
    }
    k2_scan_close(scan);
    k2_buffer_deinit(&out);
    return status;
}

static enum k2_status list(struct k2_cli *cli, struct k2_engine *engine, uint64_t limit,
                           struct letter_printer *printer, struct k2_error *error)
{
    const char *table = k2_cli_value(cli, "table");
    struct k2_scan_instrument meant = {k2_slice_of("_k2"), k2_slice_of(table != NULL ? table : "")};
    struct k2_scan_request request = {.order = K2_ORDER_TIME_DESCENDING, .limit = limit};
    if (table != NULL) {
        request.instruments = &meant;
        request.instrument_count = 1;
    }
    return print_letters(cli, engine, &request, printer, error);
}

// Splits TABLE:TIME:SEQUENCE and reads the row of that key alone.
static enum k2_status show(struct k2_cli *cli, struct k2_engine *engine,
                           struct letter_printer *printer, struct k2_error *error)
{
    const char *id = k2_cli_argument(cli, 1);
    const char *sequence = strrchr(id, ':');
    const char *time = sequence;
    while (time != NULL && time > id && time[-1] != ':') {
        time--;
    }
    int64_t time_ns = 0, number = 0;
    int end = 0;
    if (sequence == NULL || time <= id + 1 ||
        k2_timestamp_parse((struct k2_slice){(const uint8_t *)time, (size_t)(sequence - time)},
                           &time_ns) != K2_TIMESTAMP_OK ||
        sscanf(sequence + 1, "%" SCNd64 "%n", &number, &end) != 1 || sequence[1 + end] != '\0' ||
        number == INT64_MIN || time_ns == INT64_MAX) {
        return k2_fail(error, K2_BAD_REQUEST, "dlq: `%s` is no id; `k2 dlq list` prints them", id);
    }
    struct k2_scan_instrument meant = {k2_slice_of("_k2"),
                                       {(const uint8_t *)id, (size_t)(time - id) - 1}};
    const struct k2_scan_key before = {.time_ns = time_ns,
                                       .exchange = meant.exchange,
                                       .symbol = meant.symbol,
                                       .sequence = number - 1};
    struct k2_scan_request request = {.has_start = true,
                                      .start_ns = time_ns,
                                      .has_end = true,
                                      .end_ns = time_ns + 1,
                                      .instruments = &meant,
                                      .instrument_count = 1,
                                      .after = &before,
                                      .limit = 1};
    printer->whole = true;
    printer->sequence = number;
    enum k2_status status = print_letters(cli, engine, &request, printer, error);
    if (status == K2_OK && printer->printed == 0) {
        status = k2_fail(error, K2_NOT_FOUND, "dlq: there is no dead letter `%s`", id);
    }
    return status;
}

static enum k2_exit run(struct k2_cli *cli)
{
    static const char *const formats[] = {"table", "json", "ndjson", NULL};
    const char *verb = k2_cli_argument(cli, 0);
    bool listing = strcmp(verb, "list") == 0;
    size_t format = 0;
    uint64_t limit = 0;
    struct k2_engine *engine = NULL;
    struct k2_error error;
    enum k2_status status = k2_cli_choice(cli, "format", formats, &format, &error);
    struct letter_printer printer = {.format = (enum letter_format)format};
    if (status == K2_OK) {
        status = k2_cli_number(cli, "limit", 1, UINT64_MAX, &limit, &error);
    }
    if (status == K2_OK && !listing && strcmp(verb, "show") != 0) {
        status = k2_fail(&error, K2_BAD_REQUEST, "dlq: `%s` is not known; list or show", verb);
    }
    if (status == K2_OK && k2_cli_argument_count(cli) != (listing ? 1 : 2)) {
        status = k2_fail(&error, K2_BAD_REQUEST,
                         listing ? "dlq: list takes no argument" : "dlq: show takes one id");
    }
    if (status == K2_OK) {
        status = k2_engine_open(&engine, k2_cli_data(cli), K2_ENGINE_READ, &error);
    }
    if (status == K2_OK) {
        status = listing ? list(cli, engine, limit, &printer, &error)
                         : show(cli, engine, &printer, &error);
    }
    k2_engine_close(engine);
    return status == K2_OK ? K2_EXIT_DONE : k2_cli_fail(cli, &error);
}

const struct k2_command k2_command_dlq = {
    .name = "dlq",
    .summary = "dead letters: rows and messages that could not be stored, and why",
    .arguments = "list | show ID",
    .argument_min = 1,
    .argument_max = 2,
    .options = (const struct k2_option[]){K2_OPTION_DATA,
                                          {"table", "NAME", "list: meant for this table", false},
                                          {"limit", "N", "list: the newest N", false},
                                          K2_OPTION_FORMAT("table|json|ndjson", "table"),
                                          {0}},
    .run = run,
};
