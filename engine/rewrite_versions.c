#include "engine/rewrite_versions.h"

#include "engine/row_order.h"

// Does a tag show a row that counted from `commit` until `until`?
static bool is_tagged(const struct k2_retain_rule *rule, uint64_t commit, uint64_t until)
{
    size_t low = 0, high = rule->tag_count; // the first tag that is not before the row
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rule->tags[middle] < commit) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < rule->tag_count && rule->tags[low] < until;
}

static void place_row(struct k2_version_split *split, const struct k2_row_batch *batch,
                      uint32_t row)
{
    const struct k2_retain_rule *rule = split->rule;
    uint64_t until = batch->untils == NULL ? 0 : batch->untils[row];
    bool old = rule->has_cut && batch->keys[row].time_ns < rule->cut_ns;
    bool expired =
        until != 0 && until <= rule->history_floor && !is_tagged(rule, batch->commits[row], until);
    if (old || expired) {
        split->dropped++;
    } else if (until != 0) {
        split->history[split->history_count++] = row;
    } else {
        split->current[split->current_count++] = row;
    }
}

static bool may_be_elsewhere(const struct k2_version_split *split, const struct k2_row_key *key)
{
    bool found = false;
    for (size_t i = 0; i < split->elsewhere_count && !found; i++) {
        const struct k2_version_place *place = &split->elsewhere[i];
        found = key->time_ns >= place->time_min_ns && key->time_ns <= place->time_max_ns &&
                key->instrument >= place->instrument_min &&
                key->instrument <= place->instrument_max;
    }
    return found;
}

static void sort_by_commit(const struct k2_row_batch *batch, uint32_t *rows, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        uint32_t row = rows[i];
        size_t place = i;
        for (; place > 0 && batch->commits[rows[place - 1]] > batch->commits[row]; place--) {
            rows[place] = rows[place - 1];
        }
        rows[place] = row;
    }
}

// The versions of one key, the oldest first. When all of them are known, which the first one and
// their `until` tell, each says itself how long it counted, and no later one needs to say that it
// replaced something.
static enum k2_status chain(const struct k2_version_split *split, struct k2_row_batch *batch,
                            const uint32_t *rows, size_t count, struct k2_error *error)
{
    bool first_known = k2_row_batch_op(batch, rows[0]) == K2_OP_PUT;
    bool known = first_known && !may_be_elsewhere(split, &batch->keys[rows[0]]);
    enum k2_status status = K2_OK;
    for (size_t i = 0; i + 1 < count && status == K2_OK; i++) {
        uint64_t until = batch->untils == NULL ? 0 : batch->untils[rows[i]];
        uint64_t next = batch->commits[rows[i + 1]];
        known = known && (until == 0 || until >= next); // else there was one in between
        if (until == 0 || until > next) { // the next was not at hand when `until` was set
            status = k2_row_batch_set_until(batch, rows[i], next, error);
        }
        if (status == K2_OK && known && k2_row_batch_op(batch, rows[i + 1]) == K2_OP_REPLACE) {
            status = k2_row_batch_set_op(batch, rows[i + 1], K2_OP_PUT, error);
        }
    }
    return status;
}

enum k2_status k2_version_split(struct k2_version_split *split, struct k2_row_batch *batch,
                                struct k2_error *error)
{
    bool versions = batch->ops != NULL || batch->untils != NULL;
    enum k2_status status = K2_OK;
    split->current_count = split->history_count = 0;
    for (size_t begin = 0, end; begin < batch->row_count && status == K2_OK; begin = end) {
        end = begin + 1;
        split->history[begin] = (uint32_t)begin; // room that is not taken yet: never behind `begin`
        while (versions && end < batch->row_count &&
               k2_row_key_compare(&batch->keys[begin], &batch->keys[end]) == 0) {
            split->history[end] = (uint32_t)end;
            end++;
        }
        uint32_t *rows = split->history + begin;
        if (end - begin > 1) {
            sort_by_commit(batch, rows, end - begin);
            status = chain(split, batch, rows, end - begin, error);
        }
        for (size_t i = begin; i < end && status == K2_OK; i++) {
            place_row(split, batch, split->history[i]);
        }
    }
    return status;
}
