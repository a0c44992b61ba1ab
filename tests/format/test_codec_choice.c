// The codec that the encoder chooses without trying all is at most 2 % dearer than the cheapest of
// all, summed over the columns of real and simulated rows.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/codec/codec_table.h"
#include "ingest/input_file.h"
#include "tests/support/tier.h"

enum { ROWS_MOST = 200000, COLUMNS_MOST = 8, BLOCK = K2_BITPACK_VALUES };

struct table {
    size_t row_count, column_count;
    const char *names[COLUMNS_MOST];
    int64_t *columns[COLUMNS_MOST];
};

static void create_columns(struct table *table, const char *const *names, size_t count)
{
    *table = (struct table){.column_count = count};
    for (size_t i = 0; i < count; i++) {
        table->names[i] = names[i];
        table->columns[i] = malloc(ROWS_MOST * sizeof *table->columns[i]);
        assert_non_null(table->columns[i]);
    }
}

static void destroy_columns(struct table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        free(table->columns[i]);
    }
}

// What a group would take under a rule that knows everything: of each block the cheapest codec. On
// level 0 BINS counts where it saves a quarter, as it is slower to read.
static size_t cheapest(const int64_t *values, size_t count, bool sorted_level)
{
    size_t quick = SIZE_MAX;
    size_t bins = SIZE_MAX;
    for (uint8_t codec = K2_CODEC_CONST; codec <= K2_CODEC_LAST; codec++) {
        struct k2_block_entry entry;
        struct k2_buffer payload;
        k2_buffer_init(&payload, 1 << 20);
        if (k2_block_encode_as(codec, sorted_level, values, count, &entry, &payload)) {
            bool is_bins = codec == K2_CODEC_BINS_FOR || codec == K2_CODEC_BINS_DELTA;
            size_t *least = is_bins ? &bins : &quick;
            *least = payload.size_bytes < *least ? payload.size_bytes : *least;
        }
        k2_buffer_deinit(&payload);
    }
    return sorted_level ? (bins < quick ? bins : quick) : bins <= quick - quick / 4 ? bins : quick;
}

// Blocks as they stand in groups of 64, each with a history of its own; 16 bytes for its entry.
static void check_table(const char *what, const struct table *table)
{
    for (int level = 0; level < 2; level++) {
        size_t chosen_total = 0;
        size_t cheapest_total = 0;
        for (size_t i = 0; i < table->column_count; i++) {
            struct k2_block_history history = {0};
            size_t chosen = 0;
            size_t least = 0;
            for (size_t row = 0, block = 0; row < table->row_count; row += BLOCK, block++) {
                size_t count = table->row_count - row;
                count = count < BLOCK ? count : BLOCK;
                struct k2_block_entry entry;
                struct k2_buffer payload;
                k2_buffer_init(&payload, 1 << 20);
                if (block % 64 == 0) {
                    history = (struct k2_block_history){.sorted_level = level == 1};
                }
                k2_block_encode(table->columns[i] + row, count, &history, &entry, &payload);
                chosen += payload.size_bytes + 16;
                least += cheapest(table->columns[i] + row, count, level == 1) + 16;
                k2_buffer_deinit(&payload);
            }
            print_message("# %s, level %d, %-9s %6.3f bits, cheapest %6.3f\n", what, level,
                          table->names[i], (double)chosen * 8 / (double)table->row_count,
                          (double)least * 8 / (double)table->row_count);
            chosen_total += chosen;
            cheapest_total += least;
        }
        print_message("# %s, level %d: %zu bytes chosen, %zu cheapest, %+.2f %%\n", what, level,
                      chosen_total, cheapest_total,
                      100.0 * (double)chosen_total / (double)cheapest_total - 100.0);
        assert_true(chosen_total <= cheapest_total + cheapest_total / 50);
    }
}

// Instruments one after the other, times in nanoseconds with gaps of every magnitude, receive times
// as what they are later by.
static void simulated_columns(void **state)
{
    (void)state;
    static const char *const names[] = {"instrument", "time", "sequence", "price",
                                        "quantity",   "side", "id",       "later"};
    static const int64_t popular[] = {1, 1, 1, 2, 5, 10, 100, 1000};
    struct table table;
    uint64_t random = 7;
    int64_t time_ns = 1394665200000000000;
    int64_t price = 3712000000;
    int64_t id = 1000000;
    create_columns(&table, names, 8);
    table.row_count = ROWS_MOST / (size_t)test_stride(8);
    for (size_t row = 0; row < table.row_count; row++) {
        uint64_t bits = test_random(&random);
        if (row % 3700 == 0) {
            time_ns = 1394665200000000000 + (int64_t)(bits >> 30);
            price = 1000000 * (int64_t)(100 + bits % 40000);
        }
        time_ns += (int64_t)((bits >> 30 | 1) >> (bits & 31));
        price += (bits >> 5 & 3) == 0 ? (int64_t)(bits >> 7 & 3) * 1000000 - 1500000 + 500000 : 0;
        id += 1 + (int64_t)((bits >> 20 & 1023) >> (bits >> 12 & 15));
        int64_t size =
            (bits >> 40 & 15) < 9 ? popular[bits >> 44 & 7] : (int64_t)(bits >> 44 & 255);
        table.columns[0][row] = (int64_t)(row / 3700) + 1;
        table.columns[1][row] = time_ns;
        table.columns[2][row] = (int64_t)row % 3700 + 1;
        table.columns[3][row] = price;
        table.columns[4][row] = size * 10000000000;
        table.columns[5][row] = (int64_t)(bits >> 52 & 1);
        table.columns[6][row] = id;
        table.columns[7][row] = 150000 + (int64_t)(test_random(&random) & 0x3ffff);
    }
    check_table("simulated", &table);
    destroy_columns(&table);
}

// A number with its point left out, and `places` digits behind it.
static int64_t read_number(const char **text, int places)
{
    int64_t value = 0;
    int seen = -1; // digits behind the point
    for (; (**text >= '0' && **text <= '9') || **text == '.'; (*text)++) {
        if (**text == '.') {
            seen = 0;
        } else if (seen < places) {
            value = value * 10 + (**text - '0');
            seen += seen >= 0;
        }
    }
    for (seen = seen < 0 ? 0 : seen; seen < places; seen++) {
        value *= 10;
    }
    return value;
}

// `MM/DD/YYYY,HH:MM:SS.mmm,price,volume,...`
static void take_asx_line(struct table *table, const char *line)
{
    const char *text = line + 3;
    int64_t time_ms = read_number(&text, 0) * 86400000;
    text = line + 11;
    int64_t hours = read_number(&text, 0);
    text++;
    int64_t minutes = read_number(&text, 0);
    text++;
    time_ms += (hours * 60 + minutes) * 60000 + read_number(&text, 3);
    text++;
    size_t row = table->row_count++;
    table->columns[0][row] = time_ms * 1000000;
    table->columns[1][row] = row > 0 && table->columns[0][row - 1] == table->columns[0][row]
                                 ? table->columns[1][row - 1] + 1
                                 : 1;
    table->columns[2][row] = read_number(&text, 8);
    text++;
    table->columns[3][row] = read_number(&text, 0) * 100000000;
}

// `ms,price * 10000,size,venue,...`
static void take_lean_line(struct table *table, const char *line)
{
    const char *text = line;
    size_t row = table->row_count++;
    table->columns[0][row] = read_number(&text, 0) * 1000000;
    text++;
    table->columns[2][row] = read_number(&text, 0) * 10000;
    text++;
    table->columns[3][row] = read_number(&text, 0) * 100000000;
    table->columns[1][row] = *text == ',' ? text[1] : 0;
}

static void read_table(struct table *table, const char *path,
                       void (*take)(struct table *table, const char *line))
{
    struct k2_input_file *file;
    struct k2_error error;
    bool found;
    static char line[4096];
    size_t used = 0;
    size_t size;
    if (k2_input_file_open(&file, path, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(k2_input_file_next(file, &found, &error), K2_OK);
    do {
        uint8_t bytes[4096];
        assert_int_equal(k2_input_file_read(file, bytes, sizeof bytes, &size, &error), K2_OK);
        for (size_t i = 0; i < size && table->row_count < ROWS_MOST; i++) {
            assert_true(used < sizeof line - 1);
            line[used++] = (char)bytes[i];
            if (bytes[i] == '\n') {
                line[used] = '\0';
                take(table, line);
                used = 0;
            }
        }
    } while (size > 0);
    k2_input_file_close(file);
}

static void real_columns(const char *what, const char *path, const char *second,
                         void (*take)(struct table *table, const char *line))
{
    const char *names[] = {"time", second, "price", "quantity"};
    struct table table;
    if (access(path, R_OK) != 0) {
        print_message("skipped: no data at %s\n", path);
        skip();
    }
    create_columns(&table, names, 4);
    read_table(&table, path, take);
    table.row_count /= (size_t)test_stride(8);
    check_table(what, &table);
    destroy_columns(&table);
}

static void columns_of_asx(void **state)
{
    (void)state;
    real_columns("ASX", "../shared/data/asx/trades/7078.csv", "ordinal", take_asx_line);
}

static void columns_of_lean(void **state)
{
    (void)state;
    real_columns("Lean", "../shared/data/lean/equity/usa/tick/bac/20131007_trade.zip", "venue",
                 take_lean_line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simulated_columns),
        cmocka_unit_test(columns_of_asx),
        cmocka_unit_test(columns_of_lean),
    };
    return cmocka_run_group_tests_name("codec_choice", tests, NULL, NULL);
}
