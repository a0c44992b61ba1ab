// Speed of block codecs and of row groups in memory, one core, by processor time. `make bench` runs
// it; arguments: the number of repetitions (default 200), a word that the names of the measurements
// to run contain (default all).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "format/base/alloc.h"
#include "format/codec/codec.h"
#include "format/segment/row_group_view.h"
#include "tools/bench/bench_kit.h"

enum { ROWS = K2_GROUP_ROWS, BLOCKS = ROWS / K2_BLOCK_ROWS };

static double now_seconds(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void need(bool good, const char *what)
{
    if (!good) {
        (void)fprintf(stderr, "bench_codec: %s\n", what);
        exit(1);
    }
}

enum column {
    TIME,
    SEQUENCE,
    PRICE,
    QUANTITY,
    SIDE,
    TRADE_ID,
    RECEIVED,
    VENUE,
    COLUMN_COUNT,
};
static const char *const column_names[COLUMN_COUNT] = {"time", "sequence", "price",    "quantity",
                                                       "side", "trade_id", "received", "venue"};

// Columns of a market day: nanosecond times, a price that walks by ticks, skewed quantities.
static void simulate(int64_t (*columns)[ROWS])
{
    uint64_t random = 42;
    int64_t time_ns = 1394665200000000000;
    int64_t price = 37120000000;
    for (size_t i = 0; i < ROWS; i++) {
        uint64_t bits = bench_random(&random);
        time_ns += (int64_t)(bits % (1 << 28));
        price += ((int64_t)(bits >> 30 & 3) - 1) / 2 * 1000000;
        columns[TIME][i] = time_ns;
        columns[SEQUENCE][i] = (int64_t)i + 1;
        columns[PRICE][i] = price;
        columns[QUANTITY][i] = (int64_t)(1 + (bits >> 33) % (1u << (bits >> 32 & 7))) * 10000000000;
        columns[SIDE][i] = (int64_t)(bits >> 40 & 1);
        columns[TRADE_ID][i] = 900000 + (int64_t)i * 3 + (int64_t)(bits >> 41 & 1);
        columns[RECEIVED][i] = time_ns + 150000 + (int64_t)(bits >> 42 & 0x3ffff);
        columns[VENUE][i] = (int64_t)(bits >> 60 & 7) * (int64_t)(bits >> 60 & 7) * 1000003;
    }
}

static void bench_column(const char *name, const int64_t *values, bool sorted_level,
                         int repetitions)
{
    static const char *const sets[] = {"scalar", "avx2", "avx512"};
    struct k2_block_entry entries[BLOCKS] = {0};
    size_t offsets[BLOCKS + 1] = {0};
    int64_t *decoded = k2_alloc_aligned((K2_BLOCK_ROWS + 64) * sizeof *decoded);
    struct k2_buffer payload;
    k2_buffer_init(&payload, (size_t)1 << 30);
    need(decoded != NULL, "out of memory");
    for (size_t set = 0; set < sizeof sets / sizeof sets[0]; set++) {
        if (!k2_codec_select(sets[set])) {
            continue;
        }
        const int encodings = repetitions / 10 + 1;
        double begin = now_seconds();
        for (int repetition = 0; repetition < encodings; repetition++) {
            struct k2_block_history history = {.sorted_level = sorted_level};
            k2_buffer_clear(&payload);
            for (size_t i = 0; i < BLOCKS; i++) {
                offsets[i] = payload.size_bytes;
                k2_block_encode(values + i * K2_BLOCK_ROWS, K2_BLOCK_ROWS, &history, &entries[i],
                                &payload);
            }
        }
        double encode_seconds = (now_seconds() - begin) / encodings;
        offsets[BLOCKS] = payload.size_bytes;
        begin = now_seconds();
        for (int repetition = 0; repetition < repetitions; repetition++) {
            for (size_t i = 0; i < BLOCKS; i++) {
                struct k2_slice block = {payload.data + offsets[i], offsets[i + 1] - offsets[i]};
                need(k2_block_decode(&entries[i], block, decoded, K2_BLOCK_ROWS, NULL) == K2_OK,
                     "a block does not decode");
            }
        }
        double decode_seconds = (now_seconds() - begin) / repetitions;
        (void)printf("%-10s %-6s %-6s %-10s %5.2f bits/value  encode %5.0f M/s  decode %6.0f M/s\n",
                     name, sorted_level ? "sorted" : "hot", sets[set],
                     k2_codec_name(entries[1].codec), (double)payload.size_bytes * 8 / ROWS,
                     ROWS / encode_seconds / 1e6, ROWS / decode_seconds / 1e6);
    }
    k2_buffer_deinit(&payload);
    k2_free(decoded);
}

static struct k2_instrument_name name_of(void *context, uint32_t instrument)
{
    (void)instrument;
    char *symbol = context;
    return (struct k2_instrument_name){k2_slice_of("XASX"), k2_slice_of(symbol)};
}

// The key columns and the rest of `columns` as data columns.
static struct k2_row_batch *create_batch(const struct k2_schema *schema, int64_t (*columns)[ROWS])
{
    struct k2_row_batch *batch;
    need(k2_row_batch_create(&batch, schema, ROWS, false, NULL) == K2_OK, "out of memory");
    for (size_t i = 0; i < ROWS; i++) {
        struct k2_row_key key = {(uint32_t)(i / 700) + 1, columns[TIME][i], 0,
                                 columns[SEQUENCE][i]};
        size_t row;
        need(k2_row_batch_add(batch, &key, 0, &row, NULL) == K2_OK, "out of memory");
        for (size_t k = PRICE; k < COLUMN_COUNT; k++) {
            k2_row_batch_set_value(batch, row, K2_KEY_COLUMN_COUNT + k - PRICE, columns[k][i]);
        }
    }
    return batch;
}

// An opened group: its view, and a reader and a vector for each of some columns.
struct group {
    struct k2_row_group_view *view;
    struct k2_column_reader *readers[COLUMN_COUNT + 1];
    struct k2_vector_store *stores[COLUMN_COUNT + 1];
    struct k2_vector vectors[COLUMN_COUNT + 1];
    uint16_t first_id, last_id;
};

static void open_group(struct group *group, struct k2_slice bytes)
{
    need(k2_row_group_view_open(&group->view, bytes, 1, 4096, NULL) == K2_OK,
         "a group does not open");
    for (uint16_t id = group->first_id; id <= group->last_id; id++) {
        bool found;
        need(k2_column_reader_open(&group->readers[id - group->first_id], group->view, id, &found,
                                   NULL) == K2_OK &&
                 found,
             "a column does not open");
    }
}

static void close_group(struct group *group)
{
    for (uint16_t id = group->first_id; id <= group->last_id; id++) {
        k2_column_reader_close(group->readers[id - group->first_id]);
    }
    k2_row_group_view_close(group->view);
}

static uint64_t scan_group(struct group *group)
{
    uint64_t sum = 0;
    for (uint32_t block = 0; block < BLOCKS; block++) {
        for (size_t i = 0; i <= (size_t)(group->last_id - group->first_id); i++) {
            uint16_t reference;
            uint32_t row_count;
            if (k2_column_reader_reference(group->readers[i], &reference) &&
                reference >= group->first_id && reference < group->first_id + i) {
                k2_column_reader_lend(group->readers[i],
                                      &group->vectors[reference - group->first_id]);
            }
            need(k2_column_reader_decode(group->readers[i], block, group->stores[i],
                                         &group->vectors[i], &row_count, NULL) == K2_OK,
                 "a block does not decode");
            sum += (uint64_t)group->vectors[i].values[row_count - 1];
        }
    }
    return sum;
}

// Seconds to open the group with its checksums, and to read all blocks of its columns.
static uint64_t time_scan(struct k2_slice bytes, uint16_t first_id, uint16_t last_id,
                          int repetitions, double *open_seconds, double *scan_seconds)
{
    struct group group = {.first_id = first_id, .last_id = last_id};
    uint64_t sum = 0;
    for (size_t i = 0; i <= COLUMN_COUNT; i++) {
        group.stores[i] = k2_alloc_aligned(sizeof *group.stores[i]);
        need(group.stores[i] != NULL, "out of memory");
    }
    double begin = now_seconds();
    for (int i = 0; i < repetitions; i++) {
        open_group(&group, bytes);
        close_group(&group);
    }
    *open_seconds = (now_seconds() - begin) / repetitions;
    open_group(&group, bytes);
    begin = now_seconds();
    for (int i = 0; i < repetitions; i++) {
        sum += scan_group(&group);
    }
    *scan_seconds = (now_seconds() - begin) / repetitions;
    close_group(&group);
    for (size_t i = 0; i <= COLUMN_COUNT; i++) {
        k2_free(group.stores[i]);
    }
    return sum;
}

static void bench_group(int64_t (*columns)[ROWS], uint16_t level, int repetitions)
{
    static struct k2_column schema_columns[K2_KEY_COLUMN_COUNT + COLUMN_COUNT - PRICE] = {
        {.name = "exchange", .id = 1, .kind = K2_KIND_SYMBOLIC},
        {.name = "symbol", .id = 2, .kind = K2_KIND_SYMBOLIC},
        {.name = "timestamp", .id = 3, .kind = K2_KIND_TIMESTAMP},
        {.name = "epoch", .id = 4, .kind = K2_KIND_INT64},
        {.name = "sequence", .id = 5, .kind = K2_KIND_INT64},
    };
    for (size_t k = PRICE; k < COLUMN_COUNT; k++) {
        schema_columns[K2_KEY_COLUMN_COUNT + k - PRICE] =
            (struct k2_column){.name = column_names[k],
                               .id = (uint16_t)(4 + k),
                               .kind = k == PRICE || k == QUANTITY ? K2_KIND_DECIMAL64
                                       : k == RECEIVED             ? K2_KIND_TIMESTAMP
                                                                   : K2_KIND_INT64};
    }
    struct k2_schema schema = {.columns = schema_columns,
                               .column_count = sizeof schema_columns / sizeof schema_columns[0]};
    struct k2_row_batch *batch = create_batch(&schema, columns);
    uint32_t *order = k2_alloc(ROWS * sizeof *order);
    need(order != NULL, "out of memory");
    for (uint32_t i = 0; i < ROWS; i++) {
        order[i] = i;
    }
    struct k2_row_group_info info = {.segment_id = 1,
                                     .offset = 4096,
                                     .level = level,
                                     .part_count = 1,
                                     .table_name = k2_slice_of("trades")};
    char symbol[] = "BHP";
    struct k2_buffer group;
    k2_buffer_init(&group, (size_t)1 << 30);
    const int encodings = repetitions / 10 + 1;
    double begin = now_seconds();
    for (int i = 0; i < encodings; i++) {
        k2_buffer_clear(&group);
        need(k2_row_group_encode(batch, order, ROWS, &info, name_of, symbol, &group, NULL) == K2_OK,
             "a group does not encode");
    }
    double encode_seconds = (now_seconds() - begin) / encodings;
    double open_seconds;
    double scan_seconds;
    double price_seconds;
    uint64_t sum = time_scan(k2_buffer_slice(&group), 4 + PRICE, 4 + PRICE, repetitions,
                             &open_seconds, &price_seconds);
    sum += time_scan(k2_buffer_slice(&group), 3, (uint16_t)(4 + COLUMN_COUNT - 1), repetitions,
                     &open_seconds, &scan_seconds);
    (void)printf(
        "row group  %s, level %u: %zu columns, %.2f B/row  encode %.1f M rows/s  opened %.0f "
        "M rows/s  all columns %.0f M rows/s  price %.0f M rows/s  (%llx)\n",
        k2_codec_selected(), level, schema.column_count - 2, (double)group.size_bytes / ROWS,
        ROWS / encode_seconds / 1e6, ROWS / open_seconds / 1e6, ROWS / scan_seconds / 1e6,
        ROWS / price_seconds / 1e6, (unsigned long long)sum);
    k2_buffer_deinit(&group);
    k2_row_batch_destroy(batch);
    k2_free(order);
}

int main(int argument_count, char **arguments)
{
    static int64_t columns[COLUMN_COUNT][ROWS];
    int repetitions = argument_count > 1 ? (int)strtol(arguments[1], NULL, 10) : 200;
    const char *only = argument_count > 2 ? arguments[2] : "";
    need(repetitions > 0, "usage: bench_codec [REPETITIONS [WORD]]");
    simulate(columns);
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        if (strstr(column_names[i], only) == NULL) {
            continue;
        }
        bench_column(column_names[i], columns[i], false, repetitions);
        bench_column(column_names[i], columns[i], true, repetitions);
    }
    static const char *const sets[] = {"scalar", "avx2", "avx512"};
    for (size_t i = 0; i < 3 && strstr("row group", only) != NULL; i++) {
        for (uint16_t level = 0; k2_codec_select(sets[i]) && level < 2; level++) {
            bench_group(columns, level, repetitions);
        }
    }
    return 0;
}
