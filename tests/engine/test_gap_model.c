// The gap ledger against a list of rows: random orders of arrival, late rows, duplicates, epochs,
// channels, sources that count beside those that do not, restarts, rewrites and repairs.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/compact.h"
#include "engine/completeness.h"
#include "engine/gap_list.h"
#include "engine/repair.h"
#include "format/base/alloc.h"
#include "tests/support/store_rows.h"
#include "tests/support/tier.h"

enum {
    SYMBOLS = 6,
    CHANNELS = SYMBOLS / 2, // of two symbols each; a row's price is its channel
    DOMAINS = SYMBOLS + CHANNELS,
    EPOCHS = 2,
    NUMBERS = 200,
    BATCH_MOST = 24,
    ROWS_MOST = 40000,
    TEXT_BYTES = 1 << 20,
};

static const char *const symbols[SYMBOLS] = {"A", "B", "C", "D", "E", "F"};

struct model_row {
    int symbol;
    int64_t epoch, sequence, time_ns;
    uint64_t commit;
};

struct model {
    struct test_store store;
    struct model_row *rows; // in order of arrival
    size_t count;
    uint64_t newest;
    uint64_t since[DOMAINS]; // symbols, then channels; 0: not dense
    int64_t next[DOMAINS][EPOCHS];
    uint64_t chance, duplicates;
};

static bool is_in(const struct model_row *row, int domain)
{
    return domain < SYMBOLS ? row->symbol == domain : row->symbol / 2 == domain - SYMBOLS;
}

// ---- what the ledger must say

struct number {
    bool seen;
    uint64_t group; // the commit that showed it; 0: before the domain was dense
    int64_t time_ns;
};

struct expected_gap {
    int64_t epoch, first, last, after_ns, before_ns;
};

// The numbers of an epoch of a domain as of a snapshot.
static void see_numbers(const struct model *model, int domain, int64_t epoch, uint64_t snapshot,
                        struct number numbers[NUMBERS])
{
    memset(numbers, 0, NUMBERS * sizeof *numbers);
    for (size_t i = 0; i < model->count; i++) {
        const struct model_row *row = &model->rows[i];
        if (!is_in(row, domain) || row->epoch != epoch || row->commit > snapshot) {
            continue;
        }
        struct number *number = &numbers[row->sequence];
        uint64_t group = row->commit < model->since[domain] ? 0 : row->commit;
        bool earlier = !number->seen || group < number->group ||
                       (group == number->group && row->time_ns < number->time_ns);
        if (earlier) {
            *number = (struct number){true, group, row->time_ns};
        }
    }
}

static size_t find_gaps(const struct model *model, int domain, uint64_t snapshot,
                        struct expected_gap *gaps)
{
    static struct number numbers[NUMBERS];
    size_t count = 0;
    if (model->since[domain] == 0 || model->since[domain] > snapshot) {
        return 0;
    }
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
        int64_t before = -1;
        see_numbers(model, domain, epoch, snapshot, numbers);
        for (int64_t number = 0; number < NUMBERS; number++) {
            if (!numbers[number].seen) {
                continue;
            }
            if (before >= 0 && before < number - 1) {
                gaps[count++] =
                    (struct expected_gap){epoch, before + 1, number - 1, numbers[before].time_ns,
                                          numbers[number].time_ns};
            }
            before = number;
        }
    }
    return count;
}

static void put_gap(struct k2_buffer *out, const char *name, const struct expected_gap *gap)
{
    k2_put_format(out, "%s %lld %lld-%lld(%lld,%lld)\n", name, (long long)gap->epoch,
                  (long long)gap->first, (long long)gap->last, (long long)gap->after_ns,
                  (long long)gap->before_ns);
}

static void put_ledger(struct model *model, uint64_t snapshot, bool all, struct k2_buffer *out)
{
    struct k2_gap_list_request request = {
        .table = model->store.table, .snapshot = snapshot, .open_only = !all};
    struct k2_gap_list *list = NULL;
    assert_int_equal(k2_gap_list_open(&list, model->store.engine, &request, NULL), K2_OK);
    for (bool found = true; found;) {
        struct k2_gap gap;
        char name[64];
        assert_int_equal(k2_gap_list_next(list, &found, &gap, NULL), K2_OK);
        if (!found) {
            break;
        }
        struct k2_slice text = gap.domain.size_bytes > 0 ? gap.domain : gap.symbol;
        (void)snprintf(name, sizeof name, "%.*s", (int)text.size_bytes, (const char *)text.data);
        assert_true(gap.snapshot <= snapshot);
        put_gap(
            out, name,
            &(struct expected_gap){gap.epoch, gap.first, gap.last, gap.after_ns, gap.before_ns});
        if (all) {
            k2_put_format(out, "@%llu x%llu\n", (unsigned long long)gap.snapshot,
                          (unsigned long long)gap.closed_snapshot);
        }
    }
    k2_gap_list_close(list);
    k2_put_u8(out, 0);
}

static const char *domain_name(int domain, char text[32])
{
    if (domain < SYMBOLS) {
        return symbols[domain];
    }
    (void)snprintf(text, 32, "price=%d", domain - SYMBOLS);
    return text;
}

static int compare_lines(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

// Of channels the order is that in which they became dense, which the model does not know.
static char *sort_lines(const struct k2_buffer *text)
{
    static char *lines[DOMAINS * EPOCHS * NUMBERS];
    char *sorted = k2_alloc(text->size_bytes + 1);
    size_t count = 0, size = 0;
    assert_non_null(sorted);
    for (char *at = (char *)text->data, *next; (next = strchr(at, '\n')) != NULL; at = next + 1) {
        *next = '\0';
        lines[count++] = at;
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++) {
        size_t line_bytes = strlen(lines[i]);
        memcpy(sorted + size, lines[i], line_bytes);
        size += line_bytes;
        sorted[size++] = '\n';
    }
    sorted[size] = '\0';
    return sorted;
}

static void compare_open(struct model *model)
{
    static struct expected_gap gaps[EPOCHS * NUMBERS];
    uint64_t snapshot =
        model->newest == 0 ? 0 : test_random_below(&model->chance, model->newest) + 1;
    struct k2_buffer expected, told;
    k2_buffer_init(&expected, TEXT_BYTES);
    k2_buffer_init(&told, TEXT_BYTES);
    for (int domain = 0; domain < DOMAINS; domain++) {
        char text[32];
        size_t count = find_gaps(model, domain, snapshot, gaps);
        for (size_t i = 0; i < count; i++) {
            put_gap(&expected, domain_name(domain, text), &gaps[i]);
        }
    }
    k2_put_u8(&expected, 0);
    put_ledger(model, snapshot, false, &told);
    char *left = sort_lines(&told), *right = sort_lines(&expected);
    assert_string_equal(left, right);
    k2_free(left);
    k2_free(right);
    k2_buffer_deinit(&expected);
    k2_buffer_deinit(&told);
}

// ---- completeness

struct verdict {
    enum k2_complete complete;
    uint64_t gap_count;
};

static bool has_rows(const struct model *model, int symbol, uint64_t snapshot)
{
    for (size_t i = 0; i < model->count; i++) {
        if (model->rows[i].symbol == symbol && model->rows[i].commit <= snapshot) {
            return true;
        }
    }
    return false;
}

static bool is_dense(const struct model *model, int domain, uint64_t snapshot)
{
    return model->since[domain] > 0 && model->since[domain] <= snapshot;
}

static struct verdict judge(const struct model *model, const bool *asked, uint64_t snapshot,
                            int64_t start_ns, int64_t end_ns)
{
    static struct expected_gap gaps[EPOCHS * NUMBERS];
    struct verdict verdict = {0};
    bool used[DOMAINS] = {false}, dense = true, any = false;
    for (int symbol = 0; symbol < SYMBOLS; symbol++) {
        if (!asked[symbol] || !has_rows(model, symbol, snapshot)) {
            continue;
        }
        int channel = SYMBOLS + symbol / 2;
        any = true;
        used[symbol] = is_dense(model, symbol, snapshot);
        used[channel] |= is_dense(model, channel, snapshot);
        dense &= used[symbol] || is_dense(model, channel, snapshot);
    }
    for (int domain = 0; domain < DOMAINS; domain++) {
        size_t count = used[domain] ? find_gaps(model, domain, snapshot, gaps) : 0;
        for (size_t i = 0; i < count; i++) {
            int64_t low =
                gaps[i].after_ns < gaps[i].before_ns ? gaps[i].after_ns : gaps[i].before_ns;
            int64_t high = gaps[i].after_ns + gaps[i].before_ns - low;
            verdict.gap_count += low < end_ns && high >= start_ns;
        }
    }
    verdict.complete = verdict.gap_count > 0 ? K2_COMPLETE_NO
                       : any && dense        ? K2_COMPLETE_YES
                                             : K2_COMPLETE_UNKNOWN;
    return verdict;
}

static int compare_ids(const void *left, const void *right)
{
    const uint32_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static void compare_completeness(struct model *model)
{
    uint64_t snapshot =
        model->newest == 0 ? 0 : test_random_below(&model->chance, model->newest) + 1;
    bool asked[SYMBOLS], all = test_random_below(&model->chance, 4) == 0;
    struct k2_instrument_name names[SYMBOLS];
    uint32_t ids[SYMBOLS];
    size_t count = 0;
    for (int symbol = 0; symbol < SYMBOLS; symbol++) {
        asked[symbol] = all || test_random_below(&model->chance, 3) == 0;
        if (asked[symbol]) {
            names[count++] =
                (struct k2_instrument_name){k2_slice_of("TEST"), k2_slice_of(symbols[symbol])};
        }
    }
    assert_int_equal(k2_instruments_find(model->store.engine, names, count, ids, NULL), K2_OK);
    qsort(ids, count, sizeof *ids, compare_ids);
    int64_t start_ns = (int64_t)test_random_below(&model->chance, 10 * NUMBERS);
    struct k2_completeness_request request = {
        .table = model->store.table,
        .snapshot = snapshot,
        .has_start = true,
        .has_end = true,
        .start_ns = start_ns,
        .end_ns = start_ns + (int64_t)test_random_below(&model->chance, 300),
        .instruments = all ? NULL : ids,
        .instrument_count = count,
    };
    struct k2_completeness told;
    struct verdict verdict = judge(model, asked, snapshot, request.start_ns, request.end_ns);
    assert_int_equal(k2_completeness_get(model->store.engine, &request, &told, NULL), K2_OK);
    assert_int_equal(told.gap_count, verdict.gap_count);
    assert_int_equal(told.complete, verdict.complete);
}

// Between known_from and known_until every counter of the newest state has been heard.
static void compare_known(struct model *model)
{
    struct k2_completeness_request request = {.table = model->store.table,
                                              .snapshot = model->newest};
    struct k2_completeness told;
    int64_t from = INT64_MIN, until = INT64_MAX;
    bool dense = model->count > 0;
    assert_int_equal(k2_completeness_get(model->store.engine, &request, &told, NULL), K2_OK);
    for (int domain = 0; domain < DOMAINS; domain++) {
        int64_t least = INT64_MAX, greatest = INT64_MIN;
        for (size_t i = 0; i < model->count; i++) {
            if (is_in(&model->rows[i], domain)) {
                int64_t time_ns = model->rows[i].time_ns;
                least = time_ns < least ? time_ns : least;
                greatest = time_ns > greatest ? time_ns : greatest;
            }
        }
        bool used = least <= greatest, counted = is_dense(model, domain, model->newest);
        if (used && counted) {
            from = least > from ? least : from;
            until = greatest < until ? greatest : until;
        }
        dense &= domain >= SYMBOLS || !used || counted ||
                 is_dense(model, SYMBOLS + domain / 2, model->newest);
    }
    assert_true(told.has_known == dense);
    if (dense) {
        assert_int_equal(told.known_from_ns, from);
        assert_int_equal(told.known_until_ns, until);
    }
}

// ---- operations

enum way { PLAIN, BY_SYMBOL, BY_CHANNEL };

static struct test_trade random_trade(struct model *model, enum way way, int64_t *epoch)
{
    int symbol = (int)test_random_below(&model->chance, SYMBOLS);
    int counter = way == BY_CHANNEL ? SYMBOLS + symbol / 2 : symbol;
    uint64_t what = test_random_below(&model->chance, 20);
    *epoch = test_random_below(&model->chance, 8) == 0;
    int64_t *next = &model->next[counter][*epoch];
    int64_t sequence = *next;
    if (what < 5 || *next >= NUMBERS - 5) { // late, or there already
        int64_t most = *next < NUMBERS - 1 ? *next + 1 : NUMBERS;
        sequence = (int64_t)test_random_below(&model->chance, (uint64_t)most);
    } else {
        sequence += what < 8 ? (int64_t)test_random_below(&model->chance, 4) : 0;
        *next = sequence + 1;
    }
    // Times rise with the numbers, nearly.
    int64_t noise = (int64_t)test_random_below(&model->chance, 12);
    return (struct test_trade){symbols[symbol], 10 * sequence + noise, sequence, symbol / 2, 1};
}

static bool is_stored(const struct model *model, enum way way, const struct test_trade *trade,
                      int64_t epoch)
{
    for (size_t i = 0; i < model->count; i++) {
        const struct model_row *row = &model->rows[i];
        bool same = symbols[row->symbol] == trade->symbol && row->epoch == epoch &&
                    row->sequence == trade->sequence;
        if (same && (way == BY_SYMBOL || row->time_ns == trade->time_ns)) {
            return true;
        }
    }
    return false;
}

static void make_dense(struct model *model, enum way way, const struct test_trade *trades,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int symbol = trades[i].symbol[0] - 'A';
        int domain = way == BY_CHANNEL ? SYMBOLS + symbol / 2 : symbol;
        if (model->since[domain] == 0) {
            model->since[domain] = model->newest + 1;
        }
    }
}

static void commit_some(struct model *model)
{
    struct test_trade trades[BATCH_MOST];
    int64_t epochs[BATCH_MOST];
    struct k2_commit_outcome outcome;
    struct k2_commit *commit = NULL;
    struct k2_source source = {.numbering = K2_NUMBERING_DENSE};
    uint64_t die = test_random_below(&model->chance, 10);
    enum way way = die < 2 ? PLAIN : die < 7 ? BY_SYMBOL : BY_CHANNEL;
    size_t count = test_random_below(&model->chance, BATCH_MOST) + 1, stored = 0;
    size_t before = model->count;
    uint64_t snapshot;
    for (size_t i = 0; i < count; i++) {
        trades[i] = random_trade(model, way, &epochs[i]);
        if (!is_stored(model, way, &trades[i], epochs[i])) {
            model->rows[model->count++] = (struct model_row){
                trades[i].symbol[0] - 'A', epochs[i], trades[i].sequence, trades[i].time_ns, 0};
            stored++;
        }
    }
    if (way == PLAIN) {
        source.numbering = K2_NUMBERING_SPARSE;
    } else {
        make_dense(model, way, trades, count);
    }
    if (way == BY_CHANNEL) {
        source.domain.columns[source.domain.column_count++] =
            (size_t)k2_schema_find(model->store.table->schema, k2_slice_of("price"));
    }
    model->store.epochs = epochs;
    test_store_fill(&model->store, trades, count);
    assert_int_equal(k2_commit_begin(model->store.engine, &commit, NULL), K2_OK);
    assert_int_equal(k2_commit_add_from(commit, model->store.batch, &source, &outcome, NULL),
                     K2_OK);
    assert_int_equal(outcome.stored, stored);
    assert_int_equal(outcome.duplicates, count - stored);
    if (test_random_below(&model->chance, 20) == 0) { // nothing of it happens
        k2_commit_abort(commit);
        model->count = before;
        return;
    }
    assert_int_equal(k2_commit_finish(commit, &snapshot, NULL), K2_OK);
    model->duplicates += count - stored;
    for (size_t i = before; i < model->count; i++) {
        model->rows[i].commit = snapshot;
    }
    model->newest = snapshot;
}

static void compare_figures(struct model *model)
{
    static struct expected_gap gaps[EPOCHS * NUMBERS];
    struct k2_gap_figures figures;
    struct k2_table_counters counters;
    size_t open = 0;
    for (int domain = 0; domain < DOMAINS; domain++) {
        open += find_gaps(model, domain, UINT64_MAX, gaps);
    }
    assert_int_equal(k2_gap_figures_get(model->store.engine, model->store.table, &figures, NULL),
                     K2_OK);
    assert_int_equal(figures.open, open);
    assert_int_equal(figures.opened, figures.open + figures.closed);
    assert_int_equal(figures.given_up, 0);
    assert_int_equal(k2_engine_counters(model->store.engine, model->store.table, &counters, NULL),
                     K2_OK);
    assert_int_equal(counters.rows, model->count);
}

static void compact(struct model *model)
{
    struct k2_compact_options options = {.full = test_random_below(&model->chance, 2) == 0};
    struct k2_compact_report report;
    assert_int_equal(k2_compact(model->store.engine, &options, &report, NULL), K2_OK);
    model->newest = report.snapshot;
}

// The ledger, every closed gap of it too, comes back from the rows.
static void repair(struct model *model)
{
    struct k2_repair_options options = {.from_segments = true};
    struct k2_repair_report report;
    struct k2_error error;
    struct k2_gap_figures before, after;
    struct k2_buffer kept, again;
    k2_buffer_init(&kept, 64 << 20);
    k2_buffer_init(&again, 64 << 20);
    put_ledger(model, model->newest, true, &kept);
    assert_int_equal(k2_gap_figures_get(model->store.engine, model->store.table, &before, NULL),
                     K2_OK);
    k2_row_batch_destroy(model->store.batch);
    model->store.batch = NULL;
    k2_engine_close(model->store.engine);
    model->store.engine = NULL;
    if (k2_repair(model->store.folder, &options, &report, &error) != K2_OK) {
        fail_msg("%s", error.text);
    }
    test_store_reopen(&model->store, K2_ENGINE_WRITE);
    put_ledger(model, model->newest, true, &again);
    assert_string_equal((char *)again.data, (char *)kept.data);
    assert_int_equal(k2_gap_figures_get(model->store.engine, model->store.table, &after, NULL),
                     K2_OK);
    assert_memory_equal(&after, &before, sizeof after);
    k2_buffer_deinit(&kept);
    k2_buffer_deinit(&again);
}

static void run_store(struct model *model, uint64_t operations)
{
    memset(model->since, 0, sizeof model->since);
    memset(model->next, 0, sizeof model->next);
    model->count = 0;
    model->newest = model->duplicates = 0;
    test_store_open(&model->store);
    for (uint64_t i = 0; i < operations && model->count + BATCH_MOST < ROWS_MOST; i++) {
        uint64_t what = test_random_below(&model->chance, 1000);
        if (what < 100) {
            commit_some(model);
        } else if (what < 500) {
            compare_open(model);
        } else if (what < 980) {
            compare_completeness(model);
        } else if (what < 990) {
            compare_known(model);
        } else if (what < 994) {
            compare_figures(model);
        } else if (what < 997) {
            test_store_reopen(&model->store, K2_ENGINE_WRITE);
        } else if (what < 999) {
            compact(model);
        } else {
            repair(model);
        }
    }
    compare_figures(model);
    repair(model);
    compare_open(model);
    test_store_close(&model->store);
}

static void the_ledger_equals_a_list(void **state)
{
    (void)state;
    struct test_budget budget = {0};
    struct model model = {.chance = test_seed()};
    print_message("seed %llu\n", (unsigned long long)model.chance);
    model.rows = k2_alloc_zero(ROWS_MOST, sizeof *model.rows);
    assert_non_null(model.rows);
    while (test_goes_on(&budget, (uint64_t)(20 / test_stride(5)))) {
        run_store(&model, 1000);
    }
    k2_free(model.rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ledger_equals_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
