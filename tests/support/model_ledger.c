// What a store says about its rows, beside the model: gaps, completeness, counters, the log.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/check.h"
#include "engine/completeness.h"
#include "engine/gap_list.h"
#include "engine/instruments.h"
#include "engine/snapshot.h"
#include "format/base/alloc.h"
#include "format/base/timestamp.h"
#include "tests/support/model_store.h"
#include "tests/support/tier.h"

enum { TEXT_BYTES = 4 << 20 };

static void put_gap(struct k2_buffer *out, const char *name, const struct model_gap *gap)
{
    k2_put_format(out, "%s %lld %lld-%lld(%lld,%lld)\n", name, (long long)gap->epoch,
                  (long long)gap->first, (long long)gap->last, (long long)gap->after_ns,
                  (long long)gap->before_ns);
}

static void put_ledger(struct model_store *self, size_t table, uint64_t snapshot, bool all,
                       struct k2_buffer *out)
{
    struct k2_gap_list_request request = {
        .table = self->tables[table], .snapshot = snapshot, .open_only = !all};
    struct k2_gap_list *list = NULL;
    assert_int_equal(k2_gap_list_open(&list, self->engine, &request, NULL), K2_OK);
    for (bool found = true; found;) {
        struct k2_gap gap;
        char name[64];
        assert_int_equal(k2_gap_list_next(list, &found, &gap, NULL), K2_OK);
        if (!found) {
            break;
        }
        struct k2_slice text = gap.domain.size_bytes > 0 ? gap.domain : gap.symbol;
        (void)snprintf(name, sizeof name, "%.*s", (int)text.size_bytes, (const char *)text.data);
        const struct model_gap told = {gap.epoch, gap.first, gap.last, gap.after_ns, gap.before_ns};
        put_gap(out, name, &told);
        if (all) {
            k2_put_format(out, "@%llu x%llu\n", (unsigned long long)gap.snapshot,
                          (unsigned long long)gap.closed_snapshot);
        }
    }
    k2_gap_list_close(list);
    k2_put_u8(out, 0);
    assert_false(out->failed);
}

char *model_store_ledger(struct model_store *self, size_t table)
{
    struct k2_buffer text;
    k2_buffer_init(&text, TEXT_BYTES);
    put_ledger(self, table, self->newest, true, &text);
    return (char *)text.data;
}

static int compare_lines(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

// Of channels the order is that in which they became dense, which the model does not know.
static void sort_lines(char *text)
{
    static char *lines[MODEL_DOMAINS * MODEL_EPOCHS * MODEL_NUMBERS];
    size_t count = 0, size = 0;
    char *copy = k2_alloc_text(text, strlen(text));
    assert_non_null(copy);
    for (char *at = copy, *next; (next = strchr(at, '\n')) != NULL; at = next + 1) {
        *next = '\0';
        lines[count++] = at;
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++) {
        size_t line_bytes = strlen(lines[i]);
        memcpy(text + size, lines[i], line_bytes);
        text[size + line_bytes] = '\n';
        size += line_bytes + 1;
    }
    k2_free(copy);
}

void model_compare_gaps(struct model_store *self, size_t table, uint64_t snapshot)
{
    const struct table_model *model = &self->models[table];
    struct model_gap gaps[MODEL_EPOCHS * MODEL_NUMBERS];
    struct k2_buffer told, expected;
    if (model->unsure) {
        return;
    }
    k2_buffer_init(&told, TEXT_BYTES);
    k2_buffer_init(&expected, TEXT_BYTES);
    put_ledger(self, table, snapshot, false, &told);
    sort_lines((char *)told.data);
    for (int domain = 0; domain < MODEL_DOMAINS; domain++) {
        size_t count = table_model_gaps(model, domain, snapshot, gaps);
        char name[64];
        bool channel = domain >= MODEL_SYMBOLS;
        (void)snprintf(name, sizeof name, "%s%s", channel ? "asset_class=" : "",
                       channel ? model_channels[domain - MODEL_SYMBOLS] : model_symbols[domain]);
        for (size_t i = 0; i < count; i++) {
            put_gap(&expected, name, &gaps[i]);
        }
    }
    k2_put_u8(&expected, 0);
    sort_lines((char *)expected.data);
    if (strcmp((char *)told.data, (char *)expected.data) != 0) {
        print_message("%s instead of\n%s", (char *)told.data, (char *)expected.data);
        fail_msg("operation %llu: gaps of table %zu as of %llu",
                 (unsigned long long)self->operation, table, (unsigned long long)snapshot);
    }
    k2_buffer_deinit(&told);
    k2_buffer_deinit(&expected);
}

// ---- completeness

static uint64_t count_gaps(const struct table_model *model, int domain,
                           const struct k2_completeness_request *request)
{
    struct model_gap gaps[MODEL_EPOCHS * MODEL_NUMBERS];
    size_t count = table_model_gaps(model, domain, request->snapshot, gaps);
    uint64_t met = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t after = gaps[i].after_ns, before = gaps[i].before_ns;
        int64_t low = after < before ? after : before, high = after < before ? before : after;
        met += (!request->has_end || low < request->end_ns) &&
               (!request->has_start || high >= request->start_ns);
    }
    return met;
}

static void judge(const struct table_model *model, const bool *asked,
                  const struct k2_completeness_request *request, struct k2_completeness *verdict)
{
    bool used[MODEL_DOMAINS] = {false}, dense = true, any = false;
    for (int symbol = 0; symbol < MODEL_SYMBOLS; symbol++) {
        int channel = table_model_domain(symbol, true);
        if (!asked[symbol] || model->first[symbol] == 0 ||
            model->first[symbol] > request->snapshot) {
            continue;
        }
        any = true;
        used[symbol] = table_model_is_dense(model, symbol, request->snapshot);
        used[channel] |= table_model_is_dense(model, channel, request->snapshot);
        dense &= used[symbol] || used[channel];
    }
    *verdict = (struct k2_completeness){0};
    for (int domain = 0; domain < MODEL_DOMAINS; domain++) {
        verdict->gap_count += used[domain] ? count_gaps(model, domain, request) : 0;
    }
    bool cut = model->has_cut && (!request->has_start || request->start_ns < model->cut_ns);
    verdict->complete = verdict->gap_count > 0 || cut ? K2_COMPLETE_NO
                        : any && dense                ? K2_COMPLETE_YES
                                                      : K2_COMPLETE_UNKNOWN;
    verdict->reason = verdict->gap_count > 0 ? K2_INCOMPLETE_GAP
                      : cut                  ? K2_INCOMPLETE_RETENTION
                      : !any                 ? K2_INCOMPLETE_EMPTY
                      : !dense               ? K2_INCOMPLETE_NOT_DENSE
                                             : K2_INCOMPLETE_NOTHING;
}

static int compare_ids(const void *left, const void *right)
{
    const uint32_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

void model_compare_completeness(struct model_store *self, size_t table, uint64_t snapshot)
{
    const struct table_model *model = &self->models[table];
    bool asked[MODEL_SYMBOLS], all = test_random_below(&self->chance, 4) == 0;
    struct k2_instrument_name names[MODEL_SYMBOLS];
    uint32_t ids[MODEL_SYMBOLS];
    size_t count = 0;
    if (model->unsure) {
        return;
    }
    for (int symbol = 0; symbol < MODEL_SYMBOLS; symbol++) {
        asked[symbol] = all || test_random_below(&self->chance, 3) == 0;
        if (asked[symbol]) {
            names[count++] = (struct k2_instrument_name){k2_slice_of("TEST"),
                                                         k2_slice_of(model_symbols[symbol])};
        }
    }
    assert_int_equal(k2_instruments_find(self->engine, names, count, ids, NULL), K2_OK);
    qsort(ids, count, sizeof *ids, compare_ids);
    uint64_t span = (MODEL_NUMBERS + 12) * (uint64_t)self->step_ns;
    struct k2_completeness_request request = {
        .table = self->tables[table],
        .snapshot = snapshot,
        .has_start = test_random_below(&self->chance, 4) > 0,
        .has_end = test_random_below(&self->chance, 4) > 0,
        .start_ns = (int64_t)test_random_below(&self->chance, span),
        .instruments = all ? NULL : ids,
        .instrument_count = count,
    };
    request.end_ns = request.start_ns + (int64_t)test_random_below(&self->chance, span / 4);
    struct k2_completeness told, verdict;
    judge(model, asked, &request, &verdict);
    assert_int_equal(k2_completeness_get(self->engine, &request, &told, NULL), K2_OK);
    if (told.gap_count != verdict.gap_count || told.complete != verdict.complete ||
        told.reason != verdict.reason) {
        fail_msg("operation %llu: completeness of table %zu as of %llu: %s (%d, %llu gaps) instead "
                 "of %s (%d, %llu gaps)",
                 (unsigned long long)self->operation, table, (unsigned long long)snapshot,
                 k2_complete_name(told.complete), (int)told.reason,
                 (unsigned long long)told.gap_count, k2_complete_name(verdict.complete),
                 (int)verdict.reason, (unsigned long long)verdict.gap_count);
    }
}

// Between known_from and known_until every counter of the newest state has been heard.
static void compare_known(struct model_store *self, size_t table)
{
    const struct table_model *model = &self->models[table];
    struct k2_completeness_request request = {.table = self->tables[table],
                                              .snapshot = self->newest};
    struct k2_completeness told;
    int64_t from_ns = INT64_MIN, until_ns = INT64_MAX;
    bool dense = false, loose = false;
    assert_int_equal(k2_completeness_get(self->engine, &request, &told, NULL), K2_OK);
    for (int domain = 0; domain < MODEL_DOMAINS; domain++) {
        int64_t least = INT64_MAX, greatest = INT64_MIN;
        bool counted = table_model_is_dense(model, domain, self->newest);
        for (size_t i = 0; i < model->arrival_count; i++) {
            const struct model_arrival *row = &model->arrivals[i];
            bool channel = domain >= MODEL_SYMBOLS;
            if (!row->unknown[channel] && domain == table_model_domain(row->symbol, channel)) {
                least = row->time_ns < least ? row->time_ns : least;
                greatest = row->time_ns > greatest ? row->time_ns : greatest;
            }
        }
        if (least <= greatest && counted) {
            from_ns = least > from_ns ? least : from_ns;
            until_ns = greatest < until_ns ? greatest : until_ns;
            dense = true;
        } else if (least <= greatest && domain < MODEL_SYMBOLS) {
            loose |= !table_model_is_dense(model, table_model_domain(domain, true), self->newest);
        }
    }
    assert_true(told.has_known == (dense && !loose));
    if (told.has_known) {
        assert_int_equal(told.known_from_ns, from_ns);
        assert_int_equal(told.known_until_ns, until_ns);
    }
}

// ---- counters

void model_compare_instruments(struct model_store *self, size_t table, uint64_t snapshot)
{
    const struct table_model *model = &self->models[table];
    const struct k2_instruments *list = NULL;
    size_t at = 0;
    if (model->unsure) {
        return;
    }
    assert_int_equal(
        k2_instruments_borrow(self->engine, self->tables[table], snapshot, &list, NULL), K2_OK);
    for (int i = 0; i < MODEL_SYMBOLS; i++) {
        if (model->first[i] > 0 && model->first[i] <= snapshot) {
            assert_true(at < list->count);
            assert_string_equal(list->items[at].symbol, model_symbols[i]);
            assert_int_equal(list->items[at++].first_snapshot, model->first[i]);
        }
    }
    assert_int_equal(at, list->count);
    k2_instruments_release(list);
}

static void print_finding(void *context, const char *text)
{
    (void)context;
    print_message("# %s\n", text);
}

void model_compare_figures(struct model_store *self, size_t table)
{
    const struct table_model *model = &self->models[table];
    struct k2_table_counters counters;
    struct k2_gap_figures figures;
    struct k2_check_options options = {.deep = true, .finding = print_finding};
    struct k2_check_report report;
    struct model_gap gaps[MODEL_EPOCHS * MODEL_NUMBERS];
    assert_int_equal(k2_engine_counters(self->engine, self->tables[table], &counters, NULL), K2_OK);
    uint64_t visible = table_model_visible(model, self->newest), open = 0;
    assert_int_equal(counters.rows, visible);
    assert_int_equal(counters.stored, model->stored);
    assert_int_equal(counters.duplicates, model->duplicates);
    assert_int_equal(counters.rejected, model->rejected);
    assert_int_equal(counters.hidden, model->versions - visible);
    assert_int_equal(k2_check(self->engine, &options, &report, NULL), K2_OK);
    assert_int_equal(report.findings, 0);
    assert_int_equal(k2_gap_figures_get(self->engine, self->tables[table], &figures, NULL), K2_OK);
    assert_int_equal(figures.opened, figures.open + figures.closed);
    assert_int_equal(figures.given_up, 0);
    if (!model->unsure) {
        for (int domain = 0; domain < MODEL_DOMAINS; domain++) {
            open += table_model_gaps(model, domain, UINT64_MAX, gaps);
        }
        assert_int_equal(figures.open, open);
        compare_known(self, table);
    }
}

// ---- the log

static void compare_times(struct model_store *self, uint64_t snapshot)
{
    struct k2_snapshot told;
    char text[K2_TIMESTAMP_TEXT_BYTES];
    int64_t time_ns = self->times_ns[snapshot] + (int64_t)test_random_below(&self->chance, 3) - 1;
    uint64_t expected = snapshot;
    while (expected < self->newest && self->times_ns[expected + 1] <= time_ns) {
        expected++;
    }
    while (expected > 0 && self->times_ns[expected] > time_ns) {
        expected--;
    }
    k2_timestamp_print(text, time_ns);
    enum k2_status status = k2_snapshot_resolve(
        self->engine, (struct k2_slice){(const uint8_t *)text, sizeof text}, &told, NULL);
    assert_int_equal(status, expected == 0 ? K2_NOT_FOUND : K2_OK);
    if (expected > 0) {
        assert_int_equal(told.id, expected);
    }
}

void model_compare_log(struct model_store *self, uint64_t snapshot)
{
    struct k2_snapshot told;
    struct k2_buffer value;
    struct k2_tag *tags = NULL;
    size_t tag_count = 0, expected = 0;
    bool found = false;
    assert_int_equal(k2_snapshot_get(self->engine, snapshot, &found, &told, NULL), K2_OK);
    assert_true(found);
    assert_int_equal(told.time_ns, self->times_ns[snapshot]);
    for (size_t i = 0; i < told.table_count; i++) {
        for (size_t j = 0; j < MODEL_TABLES; j++) { // older ones tell what there was then
            const struct table_model *model = &self->models[j];
            if (told.tables[i].table_id == self->tables[j]->id && snapshot >= model->cut_at &&
                (snapshot >= model->floor || !model->dropped)) {
                uint64_t visible = table_model_visible(model, snapshot);
                if (told.tables[i].rows != visible) {
                    fail_msg("operation %llu: snapshot %llu has %llu rows of table %zu instead of "
                             "%llu",
                             (unsigned long long)self->operation, (unsigned long long)snapshot,
                             (unsigned long long)told.tables[i].rows, j,
                             (unsigned long long)visible);
                }
            }
        }
    }
    compare_times(self, snapshot);
    assert_int_equal(k2_tag_list(self->engine, &tags, &tag_count, NULL), K2_OK);
    for (size_t i = 0; i < MODEL_TAGS; i++) {
        if (self->tags[i] != 0) {
            char name[8];
            (void)snprintf(name, sizeof name, "t%u", (unsigned)i % MODEL_TAGS);
            assert_true(expected < tag_count);
            assert_string_equal(tags[expected].name, name);
            assert_int_equal(tags[expected++].snapshot, self->tags[i]);
        }
    }
    assert_int_equal(tag_count, expected);
    k2_free(tags);
    k2_buffer_init(&value, 64);
    assert_int_equal(k2_engine_progress(self->engine, k2_slice_of("model"), &found, &value, NULL),
                     K2_OK);
    assert_true(found == (self->progress > 0));
    if (found) {
        assert_int_equal(value.size_bytes, sizeof self->progress);
        assert_memory_equal(value.data, &self->progress, sizeof self->progress);
    }
    k2_buffer_deinit(&value);
}
