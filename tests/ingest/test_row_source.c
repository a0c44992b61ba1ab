#include "ingest/row_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "tests/support/folder.h"
#include "tests/support/row_text.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define DATA "../shared/data/"

static char folder[TEST_PATH_BYTES];

static int make_folder(void **state)
{
    (void)state;
    test_folder_make(folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    test_folder_remove(folder);
    return 0;
}

static void write_file(char path[TEST_PATH_BYTES], const char *name, const char *text)
{
    (void)snprintf(path, TEST_PATH_BYTES, "%.200s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static enum k2_status note_reject(void *context, const struct k2_row_reject *row,
                                  struct k2_error *error)
{
    (void)error;
    assert_true(row->detail != NULL && strlen(row->detail) > 0);
    k2_put_format(context, "%llu!%s ", (unsigned long long)row->line, row->reason);
    return K2_OK;
}

// What a source gives, as text: `LINE exchange/symbol time epoch sequence price quantity` for each
// row, `LINE!reason` for each reject, `;` behind each batch that is not empty.
struct reading {
    struct k2_buffer out;
    struct k2_schema *schema;
    struct test_names names;
    struct k2_row_source_options options;
    uint64_t rows, rejected;
    enum k2_numbering numbering;
};

static void begin(struct reading *reading, const char *table)
{
    *reading = (struct reading){0};
    k2_buffer_init(&reading->out, 1 << 20);
    assert_int_equal(k2_schema_builtin(&reading->schema, table, NULL), K2_OK);
    reading->options = (struct k2_row_source_options){
        .schema = reading->schema,
        .intern = test_names_intern,
        .intern_context = &reading->names,
        .reject = note_reject,
        .reject_context = &reading->out,
    };
}

static void end(struct reading *reading)
{
    k2_buffer_deinit(&reading->out);
    k2_schema_destroy(reading->schema);
    test_names_deinit(&reading->names);
}

static enum k2_status read_paths(struct reading *reading, const char *const *paths, size_t count,
                                 bool show, struct k2_error *error)
{
    struct k2_row_source *source = NULL;
    struct k2_row_batch *batch = NULL;
    reading->options.paths = paths;
    reading->options.path_count = count;
    enum k2_status status = k2_row_source_open(&source, &reading->options, error);
    if (status == K2_OK) {
        status = k2_row_batch_create(&batch, reading->schema, K2_GROUP_ROWS, false, error);
    }
    bool last = false;
    while (status == K2_OK && !last) {
        k2_row_batch_clear(batch);
        status = k2_row_source_next(source, batch, &last, error);
        reading->rows += batch->row_count;
        for (size_t i = 0; show && i < batch->row_count; i++) {
            struct k2_row_key key = batch->keys[i];
            k2_put_format(&reading->out, "%llu ", (unsigned long long)batch->positions[i]);
            test_put_row(&reading->out, batch, i, &reading->names);
            k2_put_u8(&reading->out, '\n');
            assert_true(key.instrument > 0 && batch->payloads[i].size_bytes > 0);
        }
        if (status == K2_OK && batch->row_count > 0) {
            reading->numbering = k2_row_source_numbering(source);
        }
    }
    if (status == K2_OK) {
        reading->rejected = k2_row_source_rejected(source);
        assert_int_equal(k2_row_source_rows_read(source), reading->rows + reading->rejected);
        assert_int_equal(k2_row_source_done_bytes(source), k2_row_source_total_bytes(source));
    }
    k2_put_u8(&reading->out, 0);
    k2_row_batch_destroy(batch);
    k2_row_source_close(source);
    return status;
}

static enum k2_status read_text(struct reading *reading, const char *name, const char *text,
                                bool show, struct k2_error *error)
{
    char path[TEST_PATH_BYTES];
    write_file(path, name, text);
    const char *paths[] = {path};
    k2_buffer_clear(&reading->out);
    reading->rows = reading->rejected = 0;
    return read_paths(reading, paths, 1, show, error);
}

#define HEAD "exchange,symbol,timestamp,sequence,price,quantity\n"
#define GOOD "ASX,BHP,7,1,1.5,2\n"

static void bad_rows_are_told_by_line_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *rejects;
        uint64_t rows;
    } rows[] = {
        {"all good", HEAD GOOD, "", 1},
        {"price no number", HEAD "ASX,BHP,7,1,twelve,2\n" GOOD, "2!bad_decimal ", 1},
        {"price too fine", HEAD "ASX,BHP,7,1,1.123456789,2\n" GOOD, "2!bad_decimal ", 1},
        {"price too large", HEAD GOOD "ASX,BHP,7,1,12345678901234567890,2\n", "3!decimal_overflow ",
         1},
        {"price missing", HEAD "ASX,BHP,7,1,,2\n", "2!missing_value ", 0},
        {"price NaN", HEAD "ASX,BHP,7,1,NaN,2\n", "2!bad_decimal ", 0},
        {"no time", HEAD "ASX,BHP,yesterday,1,1,2\nASX,BHP,,1,1,2\n",
         "2!bad_timestamp 3!missing_value ", 0},
        {"time out of range", HEAD "ASX,BHP,99999999999999999999,1,1,2\n", "2!bad_timestamp ", 0},
        {"no zone", HEAD "ASX,BHP,2014-03-11T10:00:00,1,1,2\n", "2!bad_timestamp ", 0},
        {"no symbol", HEAD "ASX,,7,1,1,2\n", "2!missing_value ", 0},
        {"no exchange", HEAD ",BHP,7,1,1,2\n", "2!missing_value ", 0},
        {"a long exchange", HEAD "ABCDEFGHIJKLMNOPQRSTUVWXYZ1234567,BHP,7,1,1,2\n", "2!too_long ",
         0},
        {"a symbol that is no text", HEAD "ASX,B\xff,7,1,1,2\nASX,\"B\nX\",7,1,1,2\n",
         "2!bad_text 3!bad_text ", 0},
        {"a broken sequence", HEAD "ASX,BHP,7,1.5,1,2\nASX,BHP,7,,1,2\n",
         "2!bad_integer 3!missing_value ", 0},
        {"few and many fields", HEAD "ASX,BHP,7\n" GOOD "ASX,BHP,7,1,1,2,3\n",
         "2!field_count 4!field_count ", 1},
        {"a stray quote", HEAD "ASX,\"BHP,7,1,1,2\n" GOOD "ASX,BHP,8,1,\"1\",2\n", "2!bad_quoting ",
         2},
        {"a stray quote that finds another", HEAD "ASX,BHP,7,1,1,\"2\n" GOOD "ASX,BHP,8,1,1,2\"\n",
         "2!bad_decimal ", 0},
        {"quotes over lines, few fields", HEAD "ASX,\"BHP,7,1,1,2\n" GOOD "\"\n" GOOD,
         "2!field_count 4!bad_quoting ", 2},
    };
    struct reading reading;
    begin(&reading, "trades");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct k2_error error = {0};
        enum k2_status status = read_text(&reading, "bad.csv", rows[i].text, false, &error);
        if (status != K2_OK || reading.rows != rows[i].rows ||
            strcmp((const char *)reading.out.data, rows[i].rejects) != 0) {
            fail_msg("%s: %s%llu rows, %s", rows[i].name, error.text,
                     (unsigned long long)reading.rows, (const char *)reading.out.data);
        }
    }
    end(&reading);
}

static void texts_have_limits(void **state)
{
    (void)state;
    struct reading reading;
    struct k2_buffer text;
    begin(&reading, "trades");
    for (size_t size = 65534; size <= 65536; size++) {
        k2_buffer_init(&text, 1 << 20);
        k2_put_text(&text, "exchange,symbol,timestamp,price,quantity,trade_id\nA,B,1,1,1,");
        memset(k2_buffer_extend(&text, size), 'x', size);
        k2_put_text(&text, "\n");
        k2_put_u8(&text, 0);
        assert_int_equal(read_text(&reading, "long.csv", (char *)text.data, false, NULL), K2_OK);
        assert_int_equal(reading.rows, size <= 65535);
        k2_buffer_deinit(&text);
    }
    end(&reading);
}

static void every_column_comes_from_csv_and_from_ndjson(void **state)
{
    (void)state;
    static const char csv[] =
        "symbol,timestamp,price,quantity,side,trade_id,trade_conditions,vendor_data,"
        "ingestion_timestamp,source_sequence,epoch,sequence\r\n"
        "BTC/USDT,1970-01-01T00:00:00.000000001Z,1e-8,-0.50,SELL,t1,\"[ \"\"b\"\",\"\"a\"\" ]\","
        "\"{\"\"z\"\":\"\"1\"\",\"\"a\"\":\"\"x\"\"}\",2,77,3,9\r\n"
        "BTC/USDT,5,1,2,,,,,,,,10\r\n";
    static const char ndjson[] =
        "{\"symbol\":\"BTC/USDT\",\"timestamp\":\"1970-01-01T00:00:00.000000001Z\","
        "\"price\":\"1e-8\",\"quantity\":-0.50,\"side\":\"SELL\",\"trade_id\":\"t\\u0031\","
        "\"trade_conditions\":[ \"b\",\"a\" ],\"vendor_data\":{\"z\":\"1\",\"a\":\"x\"},"
        "\"ingestion_timestamp\":2,\"source_sequence\":\"77\",\"epoch\":3,\"sequence\":9}\n"
        "{\"timestamp\":5,\"symbol\":\"BTC/USDT\",\"sequence\":10,\"price\":1,\"quantity\":2,"
        "\"trade_id\":null}\n";
    static const char columns[] = "message_id=- trade_id=t1 asset_class=crypto price=0.00000001 "
                                  "quantity=-0.5 currency=USDT side=SELL "
                                  "trade_conditions=[\"b\",\"a\"] source_sequence=77 "
                                  "ingestion_timestamp=2 platform_sequence=- "
                                  "vendor_data={\"a\":\"x\",\"z\":\"1\"}\n";
    struct reading reading;
    char expected[2][512];
    for (int json = 0; json < 2; json++) {
        begin(&reading, "trades");
        reading.options.exchange = "binance"; // becomes upper case
        reading.options.asset_class = "crypto";
        reading.options.currency = "USDT";
        assert_int_equal(read_text(&reading, "all", json ? ndjson : csv, true, NULL), K2_OK);
        assert_int_equal(reading.rows, 2);
        assert_int_equal(reading.numbering, K2_NUMBERING_SPARSE);
        (void)snprintf(expected[0], sizeof expected[0], "%d BINANCE/BTC/USDT 1 3 9 %s", 2 - json,
                       columns);
        (void)snprintf(expected[1], sizeof expected[1],
                       "%d BINANCE/BTC/USDT 5 0 10 message_id=- trade_id=- asset_class=crypto "
                       "price=1 quantity=2 currency=USDT side=UNKNOWN "
                       "trade_conditions=- source_sequence=- ingestion_timestamp=- "
                       "platform_sequence=- vendor_data=-\n",
                       3 - json);
        char *text = (char *)reading.out.data;
        if (strncmp(text, expected[0], strlen(expected[0])) != 0 ||
            strcmp(text + strlen(expected[0]), expected[1]) != 0) {
            fail_msg("%s:\n%s", json ? "NDJSON" : "CSV", text);
        }
        end(&reading);
    }
}

static void bad_json_rows_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *name, *line, *rejects;
    } rows[] = {
        {"no object", "[1]", "2!bad_json "},
        {"cut", "{\"symbol\":\"B\"", "2!bad_json "},
        {"missing", "{\"symbol\":\"B\",\"timestamp\":1,\"quantity\":1}", "2!missing_value "},
        {"twice", "{\"symbol\":\"B\",\"symbol\":\"B\",\"timestamp\":1,\"price\":1,\"quantity\":1}",
         "2!duplicate_key "},
        {"unknown", "{\"symbol\":\"B\",\"timestamp\":1,\"price\":1,\"quantity\":1,\"x\":1}",
         "2!unknown_field "},
        {"an object as price", "{\"symbol\":\"B\",\"timestamp\":1,\"price\":{},\"quantity\":1}",
         "2!bad_json "},
        {"true as price", "{\"symbol\":\"B\",\"timestamp\":1,\"price\":true,\"quantity\":1}",
         "2!bad_decimal "},
        {"text as vendor data",
         "{\"symbol\":\"B\",\"timestamp\":1,\"price\":1,\"quantity\":1,\"vendor_data\":\"{}\"}",
         "2!bad_json "},
        {"suddenly a sequence",
         "{\"symbol\":\"B\",\"timestamp\":1,\"price\":1,\"quantity\":1,\"sequence\":1}",
         "2!mixed_sequence "},
    };
    struct reading reading;
    begin(&reading, "trades");
    reading.options.exchange = "X";
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[512];
        (void)snprintf(text, sizeof text, "%s\n%s\n",
                       "{\"symbol\":\"A\",\"timestamp\":1,\"price\":1,\"quantity\":1}",
                       rows[i].line);
        assert_int_equal(read_text(&reading, "bad.ndjson", text, false, NULL), K2_OK);
        if (reading.rows != 1 || strcmp((const char *)reading.out.data, rows[i].rejects) != 0) {
            fail_msg("%s: %s", rows[i].name, (const char *)reading.out.data);
        }
    }
    end(&reading);
}

static void names_go_through_a_map(void **state)
{
    (void)state;
    static const char map_text[] = "set exchange X\nzone UTC\nothers ignore\n"
                                   "field Ticker symbol\nfield T timestamp ms\nfield P price /100\n"
                                   "field V quantity\nfield Tag vendor_data.tag\n";
    static const struct {
        const char *name, *text, *out;
    } rows[] = {
        {"CSV", "P,V,Tag,Ticker,T,colour\n150,2,a,BHP,1.5,red\n",
         "2 X/BHP 1500000 0 1 message_id=- trade_id=- asset_class=- price=1.5 quantity=2 "
         "currency=- side=UNKNOWN trade_conditions=- source_sequence=- ingestion_timestamp=- "
         "platform_sequence=- vendor_data={\"tag\":\"a\"}\n"},
        {"NDJSON",
         "{\"P\":150,\"V\":\"2\",\"Tag\":\"\\u0061\",\"Ticker\":\"BHP\",\"T\":1.5,\"c\":0}\n",
         "1 X/BHP 1500000 0 1 message_id=- trade_id=- asset_class=- price=1.5 quantity=2 "
         "currency=- side=UNKNOWN trade_conditions=- source_sequence=- ingestion_timestamp=- "
         "platform_sequence=- vendor_data={\"tag\":\"a\"}\n"},
        {"a key twice", "{\"Tag\":\"a\",\"Tag\":\"a\"}\n", "1!duplicate_key "},
        {"a bad time", "{\"P\":1,\"V\":2,\"Ticker\":\"BHP\",\"T\":\"x\"}\n", "1!bad_timestamp "},
    };
    struct reading reading;
    struct k2_column_map *map = NULL;
    begin(&reading, "trades");
    assert_int_equal(k2_column_map_parse(&map, "m", k2_slice_of(map_text), reading.schema, NULL),
                     K2_OK);
    reading.options.map = map;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(read_text(&reading, "mapped", rows[i].text, true, NULL), K2_OK);
        if (strcmp((const char *)reading.out.data, rows[i].out) != 0) {
            fail_msg("%s: %s", rows[i].name, (const char *)reading.out.data);
        }
    }
    assert_int_equal(read_text(&reading, "mapped", "P,P,V,Ticker,T\n", true, NULL), K2_BAD_REQUEST);
    k2_column_map_destroy(map);
    end(&reading);
}

static void a_header_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *word;
    } rows[] = {
        {"unknown", "symbol,exchange,timestamp,price,quantity,colour\n", "`colour`"},
        {"twice", "symbol,exchange,timestamp,price,quantity,price\n", "`price`"},
        {"no price", "symbol,exchange,timestamp,quantity\n", "`price`"},
        {"no exchange", "symbol,timestamp,price,quantity\n", "--exchange"},
        {"data", "03/10/2014,07:57:14.754,36.667\n", "map"},
        {"unknown key", "{\"symbol\":\"A\",\"colour\":1}\n", "`colour`"},
    };
    struct reading reading;
    begin(&reading, "trades");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct k2_error error = {0};
        enum k2_status status = read_text(&reading, "head.csv", rows[i].text, false, &error);
        if (status != K2_BAD_REQUEST || strstr(error.text, rows[i].word) == NULL) {
            fail_msg("%s: %s", rows[i].name, error.text);
        }
    }
    reading.options.ignore_unknown = true;
    assert_int_equal(read_text(&reading, "head.csv", rows[0].text, false, NULL), K2_OK);
    const char *nowhere[] = {"/nowhere/x.csv"};
    assert_int_equal(read_paths(&reading, nowhere, 1, false, NULL), K2_NOT_FOUND);
    assert_int_equal(read_text(&reading, "empty.csv", "", false, NULL), K2_OK);
    end(&reading);
}

static void rows_without_sequence_are_numbered_within_their_timestamp(void **state)
{
    (void)state;
    struct reading reading;
    begin(&reading, "trades");
    reading.options.exchange = "X";
    // The row that is refused for its price has a number too.
    assert_int_equal(read_text(&reading, "plain.csv",
                               "symbol,timestamp,price,quantity\n"
                               "A,1,1,1\nA,1,1,1\nB,1,1,1\nA,2,1,1\nA,1,1,1\nB,1,x,1\nB,1,1,1\n",
                               true, NULL),
                     K2_OK);
    assert_int_equal(reading.numbering, K2_NUMBERING_ORDINAL);
    static const char *const starts[] = {"2 X/A 1 0 1 ", "3 X/A 1 0 2 ", "4 X/B 1 0 1 ",
                                         "5 X/A 2 0 1 ", "6 X/A 1 0 3 ", "8 X/B 1 0 3 "};
    const char *line = strchr((const char *)reading.out.data, ' ') + 1; // behind the reject
    for (size_t i = 0; i < COUNT(starts); i++) {
        assert_int_equal(strncmp(line, starts[i], strlen(starts[i])), 0);
        line = strchr(line, '\n') + 1;
    }
    end(&reading);
}

static void with_little_memory_a_number_is_right_or_refused(void **state)
{
    (void)state;
    enum { ROWS = 3000, CEILING = 64, TIMES = 400 };
    struct reading reading;
    struct k2_buffer text;
    static uint32_t counts[2][TIMES];
    static int64_t ordinals[ROWS];
    memset(counts, 0, sizeof counts);
    k2_buffer_init(&text, 1 << 20);
    k2_put_text(&text, "symbol,timestamp,price,quantity\n");
    uint64_t random = 1;
    for (size_t i = 0; i < ROWS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t symbol = random >> 63, back = (random >> 40) % (i % 100 == 0 ? 300 : 20);
        size_t time = i * TIMES / ROWS > back ? i * TIMES / ROWS - back : 0;
        ordinals[i] = ++counts[symbol][time];
        k2_put_format(&text, "%c,%zu,1,1\n", symbol == 0 ? 'A' : 'B', time);
    }
    k2_put_u8(&text, 0);
    begin(&reading, "trades");
    reading.options.exchange = "X";
    reading.options.ordinal_ceiling = CEILING;
    assert_int_equal(read_text(&reading, "little.csv", (char *)text.data, true, NULL), K2_OK);
    assert_true(reading.rejected > 0 && reading.rejected < ROWS / 20);
    const char *line = (const char *)reading.out.data;
    for (uint64_t i = 0; i < reading.rejected; i++) {
        assert_non_null(strstr(line, "!out_of_order "));
        line = strchr(line, ' ') + 1;
    }
    for (uint64_t i = 0; i < reading.rows; i++) {
        unsigned long long number;
        long long ordinal;
        assert_int_equal(sscanf(line, "%llu X/%*c %*d 0 %lld", &number, &ordinal), 2);
        assert_int_equal(ordinal, ordinals[number - 2]);
        line = strchr(line, '\n') + 1;
    }
    k2_buffer_deinit(&text);
    end(&reading);
}

static void reading_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct reading reading;
    char path[TEST_PATH_BYTES];
    begin(&reading, "trades");
    write_file(path, "memory.csv",
               "exchange,symbol,timestamp,price,quantity,vendor_data\n"
               "A,B,1,1,1,\"{\"\"b\"\":\"\"\\u0041\"\",\"\"a\"\":\"\"\"\"}\"\nA,C,2,1,1,\n");
    const char *paths[] = {path};
    enum k2_status status = K2_NO_MEMORY;
    for (long count = 0; status != K2_OK; count++) {
        k2_alloc_fail_after(count);
        status = read_paths(&reading, paths, 1, false, NULL);
        k2_alloc_fail_after(-1);
        assert_true(status == K2_OK || status == K2_NO_MEMORY);
    }
    end(&reading);
}

// The recorded files, if they are there.
static void the_map_files_read_real_files(void **state)
{
    (void)state;
    static const struct {
        const char *map, *table, *path;
        uint64_t rows;
        const char *first; // up to its length
    } files[] = {
        {"asx-trades", "trades", "asx/trades/7078.csv", 91631,
         "1 ASX/BHP 1394398634754000000 0 1 "},
        {"asx-trades", "trades", "asx/trades/7181.csv", 232, NULL},
        {"asx-trades", "trades", "asx/trades/3153.csv", 11, NULL},
        {"asx-quotes", "quotes", "asx/quotes/7078.csv", 77849, NULL},
        {"asx-quotes", "quotes", "asx/quotes/3153.csv", 60, NULL},
        {"lean-equity-trades", "trades", "lean/equity/usa/tick/spy/20131008_trade.zip", 0, NULL},
        {"lean-equity-quotes", "quotes", "lean/equity/usa/tick/bac/20131007_quote.zip", 0,
         "1 USA/BAC 1381132800151000000 0 1 message_id=- quote_id=- asset_class=equities "
         "bid_price=- bid_quantity=- ask_price=14.02 ask_quantity=500 "},
        {"lean-future-trades", "trades", "lean/future/comex/tick/gc/20131007_trade.zip", 40192,
         "1 COMEX/GC201310 1381108933381000000 0 1 "},
        {"lean-forex-quotes", "quotes", "lean/cfd/oanda/tick/xauusd/20140501_quote.zip", 0,
         "1 OANDA/XAUUSD 1398902400043142000 0 1 "},
        {"lean-fxcm-quotes", "quotes", "lean/forex/fxcm/tick/nzdusd/20140501_quote.zip", 0,
         "1 FXCM/NZDUSD 1398920400039000000 0 1 "},
    };
    if (access(DATA, R_OK) != 0) {
        print_message("skipped: %s is not there\n", DATA);
        skip();
    }
    for (size_t i = 0; i < COUNT(files); i++) {
        struct reading reading;
        struct k2_column_map *map = NULL;
        struct k2_error error = {0};
        char map_path[TEST_PATH_BYTES], path[TEST_PATH_BYTES];
        (void)snprintf(map_path, sizeof map_path, "tools/maps/%s.map", files[i].map);
        (void)snprintf(path, sizeof path, DATA "%s", files[i].path);
        begin(&reading, files[i].table);
        const char *paths[] = {path};
        assert_int_equal(k2_column_map_read(&map, map_path, reading.schema, &error), K2_OK);
        reading.options.map = map;
        enum k2_status status = read_paths(&reading, paths, 1, files[i].first != NULL, &error);
        bool long_text = reading.out.failed; // only its beginning is looked at
        bool good = status == K2_OK && reading.rejected == 0 &&
                    (files[i].rows == 0 ? reading.rows > 1000 : reading.rows == files[i].rows) &&
                    (files[i].first == NULL ||
                     memcmp(reading.out.data, files[i].first, strlen(files[i].first)) == 0);
        if (!good) {
            fail_msg("%s: %s, %llu rows, %llu rejected%s: %.200s", files[i].path, error.text,
                     (unsigned long long)reading.rows, (unsigned long long)reading.rejected,
                     long_text ? " (cut)" : "", (const char *)reading.out.data);
        }
        k2_column_map_destroy(map);
        end(&reading);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_rows_are_told_by_line_and_reason),
        cmocka_unit_test(texts_have_limits),
        cmocka_unit_test(every_column_comes_from_csv_and_from_ndjson),
        cmocka_unit_test(bad_json_rows_are_told),
        cmocka_unit_test(names_go_through_a_map),
        cmocka_unit_test(a_header_that_does_not_fit_is_refused),
        cmocka_unit_test(rows_without_sequence_are_numbered_within_their_timestamp),
        cmocka_unit_test(with_little_memory_a_number_is_right_or_refused),
        cmocka_unit_test(reading_survives_every_failed_allocation),
        cmocka_unit_test(the_map_files_read_real_files),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
