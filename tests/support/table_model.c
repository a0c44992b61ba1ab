#include "tests/support/table_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"

const char *const model_symbols[MODEL_SYMBOLS] = {"A", "AA", "AB", "B", "BTC/USDT", "z"};
const char *const model_channels[MODEL_CHANNELS] = {"one", "three", "two"};

void table_model_clear(struct table_model *model)
{
    for (size_t i = 0; i < model->key_count; i++) {
        k2_free(model->keys[i].versions);
    }
    k2_free(model->keys);
    k2_free(model->arrivals);
    *model = (struct table_model){.rule = K2_KEEP_FIRST};
}

// ---- rows

static int compare(const struct model_key *key, const struct model_row *row)
{
    const int64_t left[] = {key->time_ns, key->symbol, key->epoch, key->sequence};
    const int64_t right[] = {row->time_ns, row->symbol, row->epoch, row->sequence};
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        if (left[i] != right[i]) {
            return left[i] < right[i] ? -1 : 1;
        }
    }
    return 0;
}

static size_t place_of(const struct table_model *model, const struct model_row *row)
{
    size_t low = 0, high = model->key_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&model->keys[middle], row) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static const struct model_version *newest_of(const struct table_model *model,
                                             const struct model_row *row)
{
    size_t place = place_of(model, row);
    bool found = place < model->key_count && compare(&model->keys[place], row) == 0;
    return found ? &model->keys[place].versions[model->keys[place].count - 1] : NULL;
}

static void add_version(struct table_model *model, const struct model_row *row, uint64_t commit)
{
    size_t place = place_of(model, row);
    if (place == model->key_count || compare(&model->keys[place], row) != 0) {
        if (model->key_count == model->key_room) {
            model->key_room = model->key_room * 2 + 64;
            model->keys = k2_realloc(model->keys, model->key_room, sizeof *model->keys);
            assert_non_null(model->keys);
        }
        memmove(model->keys + place + 1, model->keys + place,
                (model->key_count++ - place) * sizeof *model->keys);
        model->keys[place] =
            (struct model_key){row->symbol, row->time_ns, row->epoch, row->sequence, NULL, 0, 0};
    }
    struct model_key *key = &model->keys[place];
    if (key->count == key->room) {
        key->room = key->room * 2 + 2;
        key->versions = k2_realloc(key->versions, key->room, sizeof *key->versions);
        assert_non_null(key->versions);
    }
    key->versions[key->count++] = (struct model_version){commit, row->deletes, row->content};
    if (model->arrival_count == model->arrival_room) {
        model->arrival_room = model->arrival_room * 2 + 256;
        model->arrivals = k2_realloc(model->arrivals, model->arrival_room, sizeof *model->arrivals);
        assert_non_null(model->arrivals);
    }
    model->arrivals[model->arrival_count++] = (struct model_arrival){
        row->symbol, row->time_ns, row->epoch, row->sequence, commit, false, {false, false}};
    if (model->first[row->symbol] == 0) {
        model->first[row->symbol] = commit;
    }
    model->versions++;
}

static bool same_key(const struct model_row *left, const struct model_row *right)
{
    return left->symbol == right->symbol && left->time_ns == right->time_ns &&
           left->epoch == right->epoch && left->sequence == right->sequence;
}

static bool same_content(const struct model_content *left, const struct model_content *right)
{
    return left->price == right->price && left->quantity == right->quantity &&
           (left->id < 0) == (right->id < 0) && (left->id < 0 || left->id == right->id);
}

// One key's rows of a commit, in order of arrival, behind what is stored.
static void resolve_key(const struct table_model *model, const struct model_row *rows, size_t count,
                        size_t first, const bool *skipped, uint8_t *fates)
{
    const struct model_version *stored = newest_of(model, &rows[first]);
    bool there = stored != NULL, deleted = there && stored->deleted;
    struct model_content best = there ? stored->content : (struct model_content){0};
    size_t taken = count; // the row that would be stored so far
    for (size_t i = first; i < count; i++) {
        if (!same_key(&rows[i], &rows[first]) || skipped[i]) {
            continue;
        }
        bool same = deleted || same_content(&best, &rows[i].content);
        if (rows[i].deletes && (!there || deleted)) {
            fates[i] = there ? K2_ROW_DUPLICATE : K2_ROW_UNKNOWN_KEY;
        } else if (!rows[i].deletes && there && model->rule == K2_KEEP_FIRST) {
            fates[i] = same ? K2_ROW_DUPLICATE : K2_ROW_CONFLICT;
        } else if (!rows[i].deletes && there && model->rule == K2_REJECT_SECOND) {
            fates[i] = same ? K2_ROW_REPEATED : K2_ROW_CONFLICT;
        } else {
            if (taken < count) {
                fates[taken] = K2_ROW_DUPLICATE;
            }
            taken = i;
            there = true;
            deleted = rows[i].deletes;
            best = rows[i].content;
            fates[i] = K2_ROW_NEW;
        }
    }
    bool as_before = taken < count && stored != NULL && !stored->deleted && !deleted &&
                     same_content(&stored->content, &best);
    if (as_before) {
        fates[taken] = K2_ROW_DUPLICATE;
    }
}

// Has a row of this instrument with this number been stored?
static bool was_seen(const struct table_model *model, const struct model_row *row)
{
    for (size_t i = 0; i < model->arrival_count; i++) {
        const struct model_arrival *arrival = &model->arrivals[i];
        if (!arrival->unknown[0] && arrival->symbol == row->symbol &&
            arrival->epoch == row->epoch && arrival->sequence == row->sequence) {
            return true;
        }
    }
    return false;
}

// A source that counts every event of an instrument: a put whose number came before under another
// key, or (unless rows can be replaced or deleted) under its own, is a duplicate.
static void skip_seen(const struct table_model *model, const struct model_row *rows, size_t count,
                      bool *skipped, uint8_t *fates)
{
    bool by_key = model->rule == K2_KEEP_LAST;
    uint8_t fate = model->rule == K2_REJECT_SECOND ? K2_ROW_REPEATED : K2_ROW_DUPLICATE;
    for (size_t i = 0; i < count; i++) {
        bool again = false;
        if (rows[i].deletes) {
            continue;
        }
        for (size_t j = 0; j < i && !again; j++) { // the first of the number in this commit
            bool number = !rows[j].deletes && !skipped[j] && rows[j].symbol == rows[i].symbol &&
                          rows[j].epoch == rows[i].epoch && rows[j].sequence == rows[i].sequence;
            again = number && !(by_key && same_key(&rows[i], &rows[j]));
        }
        bool key_there = newest_of(model, &rows[i]) != NULL;
        again |= was_seen(model, &rows[i]);
        if (again && !(by_key && key_there)) {
            skipped[i] = true;
            fates[i] = fate;
        }
    }
}

int table_model_domain(int symbol, bool channel)
{
    return channel ? MODEL_SYMBOLS + symbol % MODEL_CHANNELS : symbol;
}

// What was dropped before a counter is followed was never there for it.
static void forget_gone(struct table_model *model, int domain)
{
    bool channel = domain >= MODEL_SYMBOLS;
    for (size_t i = 0; i < model->arrival_count; i++) {
        struct model_arrival *row = &model->arrivals[i];
        row->unknown[channel] |= row->gone && table_model_domain(row->symbol, channel) == domain;
    }
}

bool table_model_relearn(struct table_model *model)
{
    bool all = !model->dropped;
    size_t kept = 0;
    memset(model->first, 0, sizeof model->first);
    for (size_t i = 0; i < model->arrival_count; i++) {
        all &= !model->arrivals[i].gone;
        if (!model->arrivals[i].gone) {
            model->arrivals[kept++] = model->arrivals[i];
        }
    }
    model->arrival_count = kept;
    for (size_t i = 0; i < model->arrival_count; i++) {
        uint64_t *first = &model->first[model->arrivals[i].symbol];
        *first =
            *first == 0 || model->arrivals[i].commit < *first ? model->arrivals[i].commit : *first;
    }
    model->unsure |= model->dropped;
    return all;
}

bool table_model_follows(const struct table_model *model, const struct model_row *rows,
                         size_t count, enum model_source source)
{
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        all &= model->since[table_model_domain(rows[i].symbol, source == MODEL_BY_CHANNEL)] != 0;
    }
    return all;
}

void table_model_follow(struct table_model *model, const struct model_row *rows, size_t count,
                        enum model_source source, uint64_t commit)
{
    bool dense = source == MODEL_BY_SYMBOL || source == MODEL_BY_CHANNEL;
    for (size_t i = 0; dense && i < count; i++) {
        int domain = table_model_domain(rows[i].symbol, source == MODEL_BY_CHANNEL);
        if (model->since[domain] == 0) {
            model->since[domain] = commit;
            forget_gone(model, domain);
            model->unsure |= model->dropped;
        }
    }
}

void table_model_commit(struct table_model *model, const struct model_row *rows, size_t count,
                        enum model_source source, uint64_t commit, uint8_t *fates)
{
    bool skipped[MODEL_BATCH_ROWS] = {false}, done[MODEL_BATCH_ROWS] = {false};
    assert_true(count <= MODEL_BATCH_ROWS);
    table_model_follow(model, rows, count, source, commit);
    if (source == MODEL_BY_SYMBOL) {
        skip_seen(model, rows, count, skipped, fates);
    }
    for (size_t i = 0; i < count; i++) {
        if (done[i] || skipped[i]) {
            continue;
        }
        resolve_key(model, rows, count, i, skipped, fates);
        for (size_t j = i; j < count; j++) {
            done[j] |= same_key(&rows[i], &rows[j]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        model->stored += fates[i] == K2_ROW_NEW;
        model->duplicates += fates[i] == K2_ROW_DUPLICATE;
        model->rejected += fates[i] >= K2_ROW_CONFLICT;
    }
    for (size_t i = 0; i < count; i++) {
        if (fates[i] == K2_ROW_NEW) {
            add_version(model, &rows[i], commit);
        }
    }
}

const struct model_version *table_model_at(const struct model_key *key, uint64_t snapshot)
{
    const struct model_version *found = NULL;
    for (size_t i = 0; i < key->count && key->versions[i].commit <= snapshot; i++) {
        found = &key->versions[i];
    }
    return found == NULL || found->deleted ? NULL : found;
}

uint64_t table_model_visible(const struct table_model *model, uint64_t snapshot)
{
    uint64_t count = 0;
    for (size_t i = 0; i < model->key_count; i++) {
        count += table_model_at(&model->keys[i], snapshot) != NULL;
    }
    return count;
}

uint64_t table_model_cut(struct table_model *model, int64_t cut_ns)
{
    uint64_t visible = 0;
    size_t kept = 0;
    for (size_t i = 0; i < model->arrival_count; i++) {
        model->arrivals[i].gone |= model->arrivals[i].time_ns < cut_ns;
    }
    for (size_t i = 0; i < model->key_count; i++) {
        if (model->keys[i].time_ns < cut_ns) {
            visible += table_model_at(&model->keys[i], UINT64_MAX) != NULL;
            k2_free(model->keys[i].versions);
        } else {
            model->keys[kept++] = model->keys[i];
        }
    }
    model->key_count = kept;
    return visible;
}

// ---- gaps

bool table_model_is_dense(const struct table_model *model, int domain, uint64_t snapshot)
{
    return model->since[domain] > 0 && model->since[domain] <= snapshot;
}

struct number {
    bool seen;
    uint64_t group; // the commit that showed it; 0: before the domain was dense
    int64_t time_ns;
};

// The numbers of an epoch of a domain as of a snapshot.
static void see_numbers(const struct table_model *model, int domain, int64_t epoch,
                        uint64_t snapshot, struct number numbers[MODEL_NUMBERS])
{
    memset(numbers, 0, MODEL_NUMBERS * sizeof *numbers);
    for (size_t i = 0; i < model->arrival_count; i++) {
        const struct model_arrival *row = &model->arrivals[i];
        bool own = table_model_domain(row->symbol, domain >= MODEL_SYMBOLS) == domain;
        if (!own || row->unknown[domain >= MODEL_SYMBOLS] || row->epoch != epoch ||
            row->commit > snapshot) {
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

size_t table_model_gaps(const struct table_model *model, int domain, uint64_t snapshot,
                        struct model_gap *gaps)
{
    struct number numbers[MODEL_NUMBERS];
    size_t count = 0;
    if (!table_model_is_dense(model, domain, snapshot)) {
        return 0;
    }
    for (int64_t epoch = 0; epoch < MODEL_EPOCHS; epoch++) {
        int64_t before = -1;
        see_numbers(model, domain, epoch, snapshot, numbers);
        for (int64_t number = 0; number < MODEL_NUMBERS; number++) {
            if (!numbers[number].seen) {
                continue;
            }
            if (before >= 0 && before < number - 1) {
                gaps[count++] =
                    (struct model_gap){epoch, before + 1, number - 1, numbers[before].time_ns,
                                       numbers[number].time_ns};
            }
            before = number;
        }
    }
    return count;
}
