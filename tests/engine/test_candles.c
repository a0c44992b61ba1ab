// Candles and aggregates against a model that looks at every row: random rows in overlapping
// groups, nulls, epochs, snapshots, ranges, instruments, little memory; before and after
// compaction.
#include "engine/candles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aggregate.h"
#include "engine/commit.h"
#include "engine/compact.h"
#include "engine/instruments.h"
#include "engine/last_rows.h"
#include "engine/scan_groups.h"
#include "engine/vector_sums.h"
#include "format/base/alloc.h"
#include "tests/support/folder.h"
#include "tests/support/tier.h"

static const char schema_json[] =
    "{\"type\":\"record\",\"name\":\"Tick\",\"fields\":["
    "{\"name\":\"exchange\",\"type\":\"string\",\"k2.role\":\"exchange\"},"
    "{\"name\":\"symbol\",\"type\":\"string\",\"k2.role\":\"symbol\"},"
    "{\"name\":\"timestamp\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"},\"k2."
    "role\":\"timestamp\"},"
    "{\"name\":\"epoch\",\"type\":\"long\",\"k2.role\":\"epoch\",\"default\":0},"
    "{\"name\":\"sequence\",\"type\":\"long\",\"k2.role\":\"sequence\"},"
    "{\"name\":\"price\",\"type\":[\"null\",{\"type\":\"bytes\",\"logicalType\":\"decimal\","
    "\"precision\":18,\"scale\":8}],\"default\":null},"
    "{\"name\":\"quantity\",\"type\":[\"null\",{\"type\":\"bytes\",\"logicalType\":\"decimal\","
    "\"precision\":18,\"scale\":8}],\"default\":null},"
    "{\"name\":\"ask\",\"type\":[\"null\",{\"type\":\"bytes\",\"logicalType\":\"decimal\","
    "\"precision\":18,\"scale\":4}],\"default\":null},"
    "{\"name\":\"factor\",\"type\":\"double\",\"default\":0},"
    "{\"name\":\"note\",\"type\":[\"null\",\"string\"],\"default\":null}]}";
enum { PRICE = 5, QUANTITY, ASK, FACTOR, NOTE, VALUES = 3 };
enum { INSTRUMENTS = 9, MAX_ROWS = 40000, MAX_COMMITS = 60 };
static const char *const symbols[INSTRUMENTS] = {"B", "A", "AA", "a", "Z", "9", "b", "C", "AB"};
static const int64_t second_ns = 1000000000;
static const int64_t intervals_s[] = {1, 60, 900, 3600, 86400, 7 * 86400};

struct model_row {
    int instrument;
    int64_t time_ns, epoch, sequence;
    int64_t values[VALUES];
    bool valid[VALUES];
    uint64_t commit;
};

struct world {
    char path[TEST_PATH_BYTES];
    struct k2_engine *engine;
    const struct k2_table *table;
    uint32_t ids[INSTRUMENTS];
    struct model_row *rows;
    size_t row_count;
    uint64_t snapshots[MAX_COMMITS];
    size_t snapshot_count;
    uint64_t random;
};

static const char *exchange_of(int instrument)
{
    return instrument % 2 == 0 ? "XA" : "XB";
}

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct k2_error error = {0};
    struct k2_schema *schema = NULL;
    assert_non_null(world);
    world->rows = calloc(MAX_ROWS, sizeof *world->rows);
    assert_non_null(world->rows);
    world->random = test_seed();
    test_folder_make(world->path);
    assert_int_equal(k2_engine_open(&world->engine, world->path, K2_ENGINE_CREATE, &error), K2_OK);
    assert_int_equal(k2_schema_parse(&schema, "ticks", k2_slice_of(schema_json), &error), K2_OK);
    assert_int_equal(k2_engine_add_table(world->engine, &schema, &world->table, &error), K2_OK);
    for (int i = 0; i < INSTRUMENTS; i++) {
        assert_int_equal(k2_instrument_intern(world->engine, k2_slice_of(exchange_of(i)),
                                              k2_slice_of(symbols[i]), &world->ids[i], &error),
                         K2_OK);
    }
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    k2_engine_close(world->engine);
    test_folder_remove(world->path);
    free(world->rows);
    free(world);
    return 0;
}

static uint64_t below(struct world *world, uint64_t limit)
{
    return test_random_below(&world->random, limit);
}

// A magnitude of any size below 10^18.
static int64_t any_decimal(struct world *world)
{
    uint64_t most = (uint64_t)1 << below(world, 60);
    int64_t value = (int64_t)below(world, most);
    return below(world, 4) == 0 ? -value : value;
}

static int64_t ordinary_decimal(struct world *world)
{
    return (int64_t)(1 + below(world, 2000)) * 1000000;
}

struct commit_shape {
    size_t row_count;
    int64_t first_ns, span_ns;
    int instruments;
    bool with_nulls, extreme;
};

static void commit_rows(struct world *world, struct commit_shape shape)
{
    struct k2_error error = {0};
    struct k2_row_batch *batch = NULL;
    struct k2_commit *commit = NULL;
    struct k2_commit_outcome outcome;
    assert_int_equal(
        k2_row_batch_create(&batch, world->table->schema, shape.row_count, false, &error), K2_OK);
    for (size_t i = 0; i < shape.row_count; i++) {
        struct model_row *row = &world->rows[world->row_count + i];
        assert_true(world->row_count + i < MAX_ROWS);
        *row = (struct model_row){.instrument = (int)below(world, (uint64_t)shape.instruments)};
        row->time_ns = shape.first_ns + (int64_t)below(world, (uint64_t)shape.span_ns);
        row->time_ns -= below(world, 2) == 0 ? row->time_ns % (second_ns / 2) : 0; // equal times
        row->epoch = (int64_t)below(world, 3);
        // Unique, but in no order.
        row->sequence = (int64_t)((world->row_count + i) * 7919 % 1000003);
        struct k2_row_key key = {world->ids[row->instrument], row->time_ns, (uint32_t)row->epoch,
                                 row->sequence};
        size_t index;
        assert_int_equal(k2_row_batch_add(batch, &key, 0, &index, &error), K2_OK);
        for (int j = 0; j < VALUES; j++) {
            row->values[j] = shape.extreme ? any_decimal(world) : ordinary_decimal(world);
            row->valid[j] = !shape.with_nulls || below(world, 5) > 0;
            if (row->valid[j]) {
                k2_row_batch_set_value(batch, index, PRICE + (size_t)j, row->values[j]);
            }
        }
    }
    uint64_t snapshot;
    assert_int_equal(k2_commit_begin(world->engine, &commit, &error), K2_OK);
    assert_int_equal(k2_commit_add(commit, batch, K2_NUMBERING_SPARSE, &outcome, &error), K2_OK);
    assert_int_equal(outcome.stored, shape.row_count);
    assert_int_equal(k2_commit_finish(commit, &snapshot, &error), K2_OK);
    for (size_t i = 0; i < shape.row_count; i++) {
        world->rows[world->row_count++].commit = snapshot;
    }
    world->snapshots[world->snapshot_count++] = snapshot;
    k2_row_batch_destroy(batch);
}

static void compact(struct world *world, bool full)
{
    struct k2_error error = {0};
    struct k2_compact_report report;
    struct k2_compact_options options = {.full = full};
    assert_int_equal(k2_compact(world->engine, &options, &report, &error), K2_OK);
}

// What is asked, for both sides.
struct question {
    uint64_t snapshot;
    bool has_range;
    int64_t start_ns, end_ns;
    bool wanted[INSTRUMENTS], some;
    struct k2_scan_instrument instruments[INSTRUMENTS];
    size_t instrument_count;
};

static struct question any_question(struct world *world)
{
    struct question question = {0};
    if (below(world, 2) == 0) {
        question.snapshot = world->snapshots[below(world, world->snapshot_count)];
    }
    question.has_range = below(world, 2) == 0;
    const struct model_row *row = &world->rows[below(world, world->row_count)];
    question.start_ns = row->time_ns - (int64_t)below(world, (uint64_t)(4000 * second_ns));
    question.end_ns = row->time_ns + (int64_t)below(world, (uint64_t)(4000 * second_ns));
    question.some = below(world, 3) == 0;
    for (int i = 0; i < INSTRUMENTS; i++) {
        question.wanted[i] = !question.some || below(world, 3) == 0;
        if (question.wanted[i]) {
            question.instruments[question.instrument_count++] =
                (struct k2_scan_instrument){k2_slice_of(exchange_of(i)), k2_slice_of(symbols[i])};
        }
    }
    return question;
}

static struct k2_scan_request request_of(const struct world *world, const struct question *question)
{
    return (struct k2_scan_request){
        .table = world->table,
        .snapshot = question->snapshot,
        .has_start = question->has_range,
        .has_end = question->has_range,
        .start_ns = question->start_ns,
        .end_ns = question->end_ns,
        .instruments = question->some ? question->instruments : NULL,
        .instrument_count = question->some ? question->instrument_count : 0,
    };
}

static bool counts(const struct question *question, const struct model_row *row)
{
    return question->wanted[row->instrument] &&
           (question->snapshot == 0 || row->commit <= question->snapshot) &&
           (!question->has_range ||
            (row->time_ns >= question->start_ns && row->time_ns < question->end_ns));
}

// The model's candle of a row's interval, from all rows.
struct model_candle {
    int instrument;
    int64_t start_ns;
    struct k2_candle candle;
    const struct model_row *firsts[2], *lasts[2];
    k2_int128 weight;
    struct k2_wide_sum amount;
};

static int compare_places(const struct model_row *a, const struct model_row *b)
{
    if (a->time_ns != b->time_ns) {
        return a->time_ns < b->time_ns ? -1 : 1;
    }
    if (a->epoch != b->epoch) {
        return a->epoch < b->epoch ? -1 : 1;
    }
    return (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

static void add_to_model(struct model_candle *model, const struct model_row *row)
{
    static const int columns[2] = {0, 2}; // price and ask
    model->candle.row_count++;
    for (int i = 0; i < 2; i++) {
        struct k2_candle_price *price = &model->candle.prices[i];
        int64_t value = row->values[columns[i]];
        if (!row->valid[columns[i]]) {
            continue;
        }
        if (!price->found || compare_places(row, model->firsts[i]) < 0) {
            price->open = value;
            model->firsts[i] = row;
        }
        if (!price->found || compare_places(row, model->lasts[i]) > 0) {
            price->close = value;
            model->lasts[i] = row;
        }
        price->high = !price->found || value > price->high ? value : price->high;
        price->low = !price->found || value < price->low ? value : price->low;
        price->found = true;
    }
    if (row->valid[1]) {
        model->candle.volume += row->values[1];
    }
    if (row->valid[0] && row->valid[1]) {
        model->weight += row->values[1];
        k2_wide_sum_add(&model->amount, (k2_int128)row->values[0] * row->values[1]);
    }
}

static int compare_names(int a, int b)
{
    int order = strcmp(exchange_of(a), exchange_of(b));
    return order != 0 ? order : strcmp(symbols[a], symbols[b]);
}

static int compare_models(const void *left, const void *right)
{
    const struct model_candle *a = left, *b = right;
    if (a->start_ns != b->start_ns) {
        return a->start_ns < b->start_ns ? -1 : 1;
    }
    return compare_names(a->instrument, b->instrument);
}

static size_t model_candles(const struct world *world, const struct question *question,
                            int64_t interval_ns, struct model_candle *models)
{
    size_t count = 0;
    for (size_t i = 0; i < world->row_count; i++) {
        const struct model_row *row = &world->rows[i];
        if (counts(question, row)) {
            models[count++] = (struct model_candle){
                .instrument = row->instrument,
                .start_ns = row->time_ns >= 0
                                ? row->time_ns / interval_ns * interval_ns
                                : -((-row->time_ns + interval_ns - 1) / interval_ns) * interval_ns,
            };
        }
    }
    qsort(models, count, sizeof *models, compare_models);
    size_t distinct = 0;
    for (size_t i = 0; i < count; i++) {
        if (distinct == 0 || compare_models(&models[i], &models[distinct - 1]) != 0) {
            models[distinct++] = models[i];
        }
    }
    for (size_t i = 0; i < world->row_count; i++) {
        const struct model_row *row = &world->rows[i];
        if (!counts(question, row)) {
            continue;
        }
        struct model_candle key = {
            .instrument = row->instrument,
            .start_ns = row->time_ns >= 0
                            ? row->time_ns / interval_ns * interval_ns
                            : -((-row->time_ns + interval_ns - 1) / interval_ns) * interval_ns,
        };
        add_to_model(bsearch(&key, models, distinct, sizeof key, compare_models), row);
    }
    return distinct;
}

static void same_candle(const struct k2_candle *candle, struct model_candle *model,
                        int64_t interval_ns)
{
    assert_true(k2_slice_equal(candle->exchange, k2_slice_of(exchange_of(model->instrument))));
    assert_true(k2_slice_equal(candle->symbol, k2_slice_of(symbols[model->instrument])));
    assert_int_equal(candle->start_ns, model->start_ns);
    assert_int_equal(candle->end_ns, model->start_ns + interval_ns);
    assert_int_equal(candle->row_count, model->candle.row_count);
    for (int i = 0; i < 2; i++) {
        const struct k2_candle_price *price = &candle->prices[i], *other = &model->candle.prices[i];
        assert_int_equal(price->found, other->found);
        if (price->found) {
            assert_int_equal(price->open, other->open);
            assert_int_equal(price->high, other->high);
            assert_int_equal(price->low, other->low);
            assert_int_equal(price->close, other->close);
        }
    }
    assert_true(candle->volume == model->candle.volume);
    int64_t vwap = 0;
    bool has_vwap = k2_wide_sum_average(&model->amount, model->weight, 8, 8, &vwap);
    assert_int_equal(candle->has_vwap, has_vwap);
    assert_true(!has_vwap || candle->vwap == vwap);
}

static struct k2_candle_request candle_request(const struct world *world,
                                               const struct question *question, int64_t interval_ns,
                                               enum k2_candle_order order)
{
    return (struct k2_candle_request){
        .rows = request_of(world, question),
        .interval_ns = interval_ns,
        .order = order,
        .price_count = 2,
        .prices = {PRICE, ASK},
        .has_quantity = true,
        .quantity = QUANTITY,
    };
}

static void compare_to_model(struct world *world, const struct question *question,
                             int64_t interval_ns, enum k2_candle_order order, size_t memory_bytes,
                             struct model_candle *models, size_t model_count)
{
    struct k2_error error = {0};
    struct k2_candles *candles = NULL;
    struct k2_candle_request request = candle_request(world, question, interval_ns, order);
    request.rows.memory_bytes = memory_bytes;
    assert_int_equal(k2_candles_start(&candles, world->engine, &request, &error), K2_OK);
    const struct k2_candle *items;
    size_t done = 0, count;
    uint8_t *seen = calloc(model_count + 1, 1);
    assert_non_null(seen);
    do {
        assert_int_equal(k2_candles_more(candles, &items, &count, &error), K2_OK);
        for (size_t i = 0; i < count; i++, done++) {
            assert_true(done < model_count);
            size_t index = order == K2_CANDLES_BY_TIME_DESCENDING ? model_count - 1 - done : done;
            if (order == K2_CANDLES_AS_FOUND) { // once each, in any order
                for (index = 0; index < model_count; index++) {
                    if (models[index].start_ns == items[i].start_ns &&
                        k2_slice_equal(items[i].symbol,
                                       k2_slice_of(symbols[models[index].instrument]))) {
                        break;
                    }
                }
                assert_true(index < model_count && seen[index] == 0);
                seen[index] = 1;
            }
            same_candle(&items[i], &models[index], interval_ns);
        }
    } while (count > 0);
    assert_int_equal(done, model_count);
    k2_candles_finish(candles);
    free(seen);
}

static void candles_are_right(struct world *world, struct model_candle *models, size_t turns)
{
    for (size_t turn = 0; turn < turns; turn++) {
        struct question question = any_question(world);
        int64_t interval_ns =
            intervals_s[below(world, sizeof intervals_s / sizeof intervals_s[0])] * second_ns;
        size_t count = model_candles(world, &question, interval_ns, models);
        for (int order = 0; order < 3; order++) {
            size_t memory_bytes = below(world, 2) == 0 ? 0 : 1 + below(world, 300000);
            compare_to_model(world, &question, interval_ns, (enum k2_candle_order)order,
                             memory_bytes, models, count);
        }
    }
}

static void same_aggregate(const struct world *world, const struct question *question,
                           const struct k2_aggregate *item,
                           const struct k2_aggregate_request *asked)
{
    static const int columns[] = {0, 1, 2};
    struct k2_column_total totals[3] = {{.min = INT64_MAX, .max = INT64_MIN},
                                        {.min = INT64_MAX, .max = INT64_MIN},
                                        {.min = INT64_MAX, .max = INT64_MIN}};
    struct model_candle whole = {0};
    for (size_t i = 0; i < world->row_count; i++) {
        const struct model_row *row = &world->rows[i];
        if (!counts(question, row) ||
            !k2_slice_equal(item->symbol, k2_slice_of(symbols[row->instrument]))) {
            continue;
        }
        add_to_model(&whole, row);
        for (int j = 0; j < 3; j++) {
            int64_t value = row->values[columns[j]];
            if (row->valid[columns[j]]) {
                totals[j].value_count++;
                totals[j].sum += value;
                totals[j].min = value < totals[j].min ? value : totals[j].min;
                totals[j].max = value > totals[j].max ? value : totals[j].max;
            }
        }
    }
    assert_int_equal(item->row_count, whole.candle.row_count);
    for (int j = 0; j < 3; j++) {
        if ((asked->wants & K2_AGGREGATE_SUM) != 0) {
            assert_int_equal(item->columns[j].value_count, totals[j].value_count);
            assert_true(item->columns[j].sum == totals[j].sum);
        }
        if ((asked->wants & K2_AGGREGATE_RANGE) != 0) {
            assert_int_equal(item->columns[j].min, totals[j].min);
            assert_int_equal(item->columns[j].max, totals[j].max);
        }
    }
    if (asked->has_product) {
        assert_true(item->weight == whole.weight);
        assert_true(item->amount.low == whole.amount.low && item->amount.high == whole.amount.high);
    }
}

static struct k2_aggregate_request aggregate_request(const struct world *world,
                                                     const struct question *question)
{
    static const size_t columns[] = {PRICE, QUANTITY, ASK};
    struct k2_aggregate_request request = {
        .rows = request_of(world, question), .has_product = true, .price = 0, .quantity = 1};
    request.rows.columns = columns;
    request.rows.column_count = 3;
    request.wants = K2_AGGREGATE_SUM | K2_AGGREGATE_RANGE;
    return request;
}

static void aggregates_are_right(struct world *world, size_t turns)
{
    for (size_t turn = 0; turn < turns; turn++) {
        struct question question = any_question(world);
        struct k2_aggregate_request request = aggregate_request(world, &question);
        struct k2_aggregates result;
        struct k2_error error = {0};
        request.wants = (unsigned)below(world, 4);
        request.has_product = below(world, 2) == 0;
        assert_int_equal(k2_aggregates_run(world->engine, &request, &result, &error), K2_OK);
        size_t expected = 0;
        for (int i = 0; i < INSTRUMENTS; i++) {
            for (size_t j = 0; j < world->row_count; j++) {
                if (world->rows[j].instrument == i && counts(&question, &world->rows[j])) {
                    expected++;
                    break;
                }
            }
        }
        assert_int_equal(result.item_count, expected);
        for (size_t i = 0; i < result.item_count; i++) {
            same_aggregate(world, &question, &result.items[i], &request);
            assert_true(i == 0 ||
                        k2_slice_compare(result.items[i - 1].exchange, result.items[i].exchange) <
                            0 ||
                        (k2_slice_equal(result.items[i - 1].exchange, result.items[i].exchange) &&
                         k2_slice_compare(result.items[i - 1].symbol, result.items[i].symbol) < 0));
        }
        k2_aggregates_deinit(&result);
    }
}

static void last_rows_are_right(struct world *world, size_t turns)
{
    static const size_t columns[] = {PRICE, K2_SEQUENCE, ASK, K2_TIMESTAMP};
    for (size_t turn = 0; turn < turns; turn++) {
        struct question question = any_question(world);
        struct k2_last_request request = {.rows = request_of(world, &question)};
        struct k2_last_rows result;
        struct k2_error error = {0};
        request.rows.columns = columns;
        request.rows.column_count = 4;
        const struct model_row *last[INSTRUMENTS] = {NULL};
        size_t expected = 0;
        for (size_t i = 0; i < world->row_count; i++) {
            const struct model_row *row = &world->rows[i], **best = &last[row->instrument];
            if (counts(&question, row) && (*best == NULL || compare_places(row, *best) > 0)) {
                expected += *best == NULL;
                *best = row;
            }
        }
        assert_int_equal(k2_last_rows_find(world->engine, &request, &result, &error), K2_OK);
        assert_int_equal(result.row_count, expected);
        for (size_t i = 0; i < result.row_count; i++) {
            const struct k2_last_row *row = &result.rows[i];
            const struct model_row *model = NULL;
            for (int j = 0; j < INSTRUMENTS; j++) {
                model = k2_slice_equal(row->symbol, k2_slice_of(symbols[j])) ? last[j] : model;
            }
            assert_non_null(model);
            assert_int_equal(row->time_ns, model->time_ns);
            assert_int_equal(row->values[1], model->sequence);
            assert_int_equal(row->values[3], model->time_ns);
            assert_int_equal(row->valid[0], model->valid[0]);
            assert_int_equal(row->valid[2], model->valid[2]);
            assert_true(!row->valid[0] || row->values[0] == model->values[0]);
            assert_true(!row->valid[2] || row->values[2] == model->values[2]);
        }
        k2_last_rows_deinit(&result);
    }
}

static void answers_equal_the_model(void **state)
{
    struct world *world = *state;
    struct model_candle *models = calloc(MAX_ROWS, sizeof *models);
    assert_non_null(models);
    const size_t turns = test_is_torture() ? 60 : 6;
    static const struct commit_shape shapes[] = {
        {3000, 0, 5000 * second_ns, INSTRUMENTS, false, false},
        {9000, 3000 * second_ns, 9000 * second_ns, 3, false, false}, // whole blocks and zones
        {700, -900000 * second_ns, 1800000 * second_ns, INSTRUMENTS, true, false},
        {2500, 1000 * second_ns, 300 * second_ns, 2, true, true},
        {1, 86399 * second_ns, 1, 1, false, true},
        {4000, 2000 * second_ns, 400 * second_ns, INSTRUMENTS, false, true},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        commit_rows(world, shapes[i]);
        candles_are_right(world, models, turns);
        aggregates_are_right(world, turns);
        last_rows_are_right(world, turns);
        if (i % 2 == 1) {
            compact(world, i == 3);
            candles_are_right(world, models, turns);
            aggregates_are_right(world, turns);
            last_rows_are_right(world, turns);
            last_rows_are_right(world, turns);
        }
    }
    free(models);
}

// Groups in which each instrument has whole blocks are read instrument by instrument, until groups
// begin of which that is not so.
static void answers_of_few_instruments_equal_the_model(void **state)
{
    struct world *world = *state;
    struct model_candle *models = calloc(MAX_ROWS, sizeof *models);
    assert_non_null(models);
    const size_t turns = test_is_torture() ? 60 : 6;
    static const struct commit_shape shapes[] = {
        {9000, 0, 9000 * second_ns, 2, false, false},
        {5000, 4000 * second_ns, 9000 * second_ns, 1, false, false}, // overlaps
        {9000, 13000 * second_ns, 86400 * second_ns, 2, false, true},
        {500, 12000 * second_ns, 100000 * second_ns, INSTRUMENTS, false, false}, // poor
        {40, 200000 * second_ns, 500 * second_ns, INSTRUMENTS, false, false},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        commit_rows(world, shapes[i]);
        candles_are_right(world, models, turns);
    }
    compact(world, true);
    candles_are_right(world, models, turns);
    free(models);
}

static void a_wrong_request_is_refused(void **state)
{
    struct world *world = *state;
    struct question question = {0};
    static const struct {
        const char *name;
        int64_t interval_ns;
        size_t price_count, price;
    } cases[] = {
        {"no interval", 0, 1, PRICE},
        {"an interval below zero", -60000000000, 1, PRICE},
        {"less than a second", 500000000, 1, PRICE},
        {"seven seconds do not divide a day", 7000000000, 1, PRICE},
        {"a day and a half", 129600000000000, 1, PRICE},
        {"no column", 60000000000, 0, PRICE},
        {"three columns", 60000000000, 3, PRICE},
        {"a column that is not there", 60000000000, 1, 99},
        {"a double", 60000000000, 1, FACTOR},
        {"a text", 60000000000, 1, NOTE},
        {"a time", 60000000000, 1, K2_TIMESTAMP},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct k2_error error = {0};
        struct k2_candles *candles = NULL;
        struct k2_candle_request request =
            candle_request(world, &question, cases[i].interval_ns, K2_CANDLES_BY_TIME);
        request.price_count = cases[i].price_count;
        request.prices[0] = cases[i].price;
        if (k2_candles_start(&candles, world->engine, &request, &error) != K2_BAD_REQUEST) {
            fail_msg("%s", cases[i].name);
        }
        assert_null(candles);
    }
    static const size_t wrong[] = {FACTOR, NOTE, K2_SYMBOL, 99};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct k2_aggregate_request request = {.rows = request_of(world, &question),
                                               .wants = K2_AGGREGATE_SUM};
        struct k2_aggregates result;
        request.rows.columns = &wrong[i];
        request.rows.column_count = 1;
        assert_int_equal(k2_aggregates_run(world->engine, &request, &result, NULL), K2_BAD_REQUEST);
    }
    struct k2_last_request last = {.rows = request_of(world, &question)};
    struct k2_last_rows rows;
    last.rows.columns = (const size_t[]){NOTE};
    last.rows.column_count = 1;
    assert_int_equal(k2_last_rows_find(world->engine, &last, &rows, NULL), K2_BAD_REQUEST);
    struct k2_aggregate_request request = aggregate_request(world, &question);
    struct k2_aggregates result;
    request.quantity = 3;
    assert_int_equal(k2_aggregates_run(world->engine, &request, &result, NULL), K2_BAD_REQUEST);
}

static enum k2_status read_both(struct world *world, enum k2_candle_order order, size_t *count)
{
    struct question question = {0};
    struct k2_aggregate_request request = aggregate_request(world, &question);
    struct k2_aggregates result;
    enum k2_status status = k2_aggregates_run(world->engine, &request, &result, NULL);
    *count = result.item_count;
    k2_aggregates_deinit(&result);
    struct k2_candle_request asked = candle_request(world, &question, 60 * second_ns, order);
    asked.rows.memory_bytes = 50000;
    struct k2_candles *candles = NULL;
    struct k2_last_rows last;
    struct k2_last_request newest = {.rows = aggregate_request(world, &question).rows};
    if (status == K2_OK) {
        status = k2_last_rows_find(world->engine, &newest, &last, NULL);
        *count += last.row_count;
        k2_last_rows_deinit(&last);
    }
    if (status == K2_OK) {
        status = k2_candles_start(&candles, world->engine, &asked, NULL);
    }
    for (size_t items = 1; status == K2_OK && items > 0; *count += items) {
        const struct k2_candle *ignored;
        status = k2_candles_more(candles, &ignored, &items, NULL);
    }
    if (status != K2_OK && candles != NULL) { // it stays failed
        const struct k2_candle *ignored;
        size_t items;
        assert_int_equal(k2_candles_more(candles, &ignored, &items, NULL), status);
    }
    k2_candles_finish(candles);
    return status;
}

static void every_failed_allocation_is_told(void **state)
{
    struct world *world = *state;
    commit_rows(world, (struct commit_shape){2000, 0, 4000 * second_ns, 4, true, false});
    commit_rows(world, (struct commit_shape){300, 0, 4000 * second_ns, 4, false, false});
    for (int order = 0; order < 3; order++) {
        size_t expected, count;
        assert_int_equal(read_both(world, (enum k2_candle_order)order, &expected), K2_OK);
        enum k2_status status = K2_NO_MEMORY;
        long calls = 0;
        for (; status != K2_OK; calls += 1 + calls / 64) {
            k2_alloc_fail_after(calls);
            status = read_both(world, (enum k2_candle_order)order, &count);
            k2_alloc_fail_after(-1);
            assert_true(status == K2_OK || status == K2_NO_MEMORY);
        }
        assert_int_equal(count, expected);
    }
}

static void intervals_cover_all_times(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t time_ns, interval_ns, start_ns, last_ns;
    } cases[] = {
        {"inside", 61000000000, 60000000000, 60000000000, 119999999999},
        {"at its start", 60000000000, 60000000000, 60000000000, 119999999999},
        {"before 1970", -1, 60000000000, -60000000000, -1},
        {"at its start before 1970", -60000000000, 60000000000, -60000000000, -1},
        {"the last of all", INT64_MAX, 86400000000000, 9223286400000000000, INT64_MAX},
        {"the first of all", INT64_MIN, 86400000000000, INT64_MIN, -9223286400000000001},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t start_ns = k2_interval_start(cases[i].time_ns, cases[i].interval_ns);
        int64_t last_ns = k2_interval_last(start_ns, cases[i].interval_ns);
        if (start_ns != cases[i].start_ns || last_ns != cases[i].last_ns) {
            fail_msg("%s: %lld to %lld", cases[i].name, (long long)start_ns, (long long)last_ns);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_equal_the_model, open_world, close_world),
        cmocka_unit_test_setup_teardown(answers_of_few_instruments_equal_the_model, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(a_wrong_request_is_refused, open_world, close_world),
        cmocka_unit_test_setup_teardown(every_failed_allocation_is_told, open_world, close_world),
        cmocka_unit_test(intervals_cover_all_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
