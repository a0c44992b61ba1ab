#include "engine/rewrite_merge.h"

#include <string.h>

#include "engine/group_rows.h"
#include "engine/row_order.h"
#include "format/base/alloc.h"

enum {
    TEXT_CEILING_BYTES = 64 << 20, // a batch ends before its group when its texts pass it
    NAMES_CEILING_BYTES = 64 << 20,
    MEMO_SLOTS = 64,
};

struct cursor {
    const struct k2_plan_group *group;
    struct k2_row_group_view *view; // while its rows may be in the window
    const struct k2_directory_entry *entries;
    size_t entry_count, entry;
    struct k2_group_rows *rows; // NULL: not open
};

// Rows of one instrument that come next, from one group.
struct source {
    struct cursor *cursor;
    uint32_t row, end;
    struct k2_row_key key; // of `row`
    int64_t commit;        // that brought it
};

// Texts that a batch has already, per column.
struct memo {
    struct k2_text_ref refs[MEMO_SLOTS];
};

struct k2_rewrite_merge {
    const struct k2_table *table;
    const struct k2_plan *plan;
    const struct k2_rewrite_floors *floors;
    struct k2_rewrite_window window;
    struct cursor *cursors; // owned, by plan group
    struct cursor **active; // owned: those that may have rows of the window
    size_t active_count;
    struct source *sources; // owned: of the instrument, ascending by (key, place in the plan)
    size_t source_count;
    const struct k2_directory_entry *entry; // names the instrument of the sources
    struct memo *memos;                     // owned, by column
};

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "rewrite: out of memory");
}

// ---- groups

static void close_rows(struct cursor *cursor)
{
    k2_group_rows_close(cursor->rows);
    cursor->rows = NULL;
}

static void close_cursor(struct cursor *cursor)
{
    close_rows(cursor);
    if (cursor->view != NULL) {
        k2_row_group_view_close(cursor->view);
        cursor->view = NULL;
    }
}

enum k2_status k2_rewrite_merge_create(struct k2_rewrite_merge **merge,
                                       const struct k2_table *table, const struct k2_plan *plan,
                                       const struct k2_rewrite_floors *floors,
                                       struct k2_error *error)
{
    struct k2_rewrite_merge *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return no_memory(error);
    }
    self->table = table;
    self->plan = plan;
    self->floors = floors;
    self->cursors = k2_alloc_zero(plan->group_count, sizeof *self->cursors);
    self->active = k2_alloc_zero(plan->group_count, sizeof(struct cursor *));
    self->sources = k2_alloc_zero(plan->group_count, sizeof *self->sources);
    self->memos = k2_alloc_zero(table->schema->column_count, sizeof *self->memos);
    if (self->cursors == NULL || self->active == NULL || self->sources == NULL ||
        self->memos == NULL) {
        k2_rewrite_merge_destroy(self);
        return no_memory(error);
    }
    for (size_t i = 0; i < plan->group_count; i++) {
        self->cursors[i].group = &plan->groups[i];
    }
    *merge = self;
    return K2_OK;
}

void k2_rewrite_merge_destroy(struct k2_rewrite_merge *merge)
{
    if (merge == NULL) {
        return;
    }
    for (size_t i = 0; merge->cursors != NULL && i < merge->plan->group_count; i++) {
        close_cursor(&merge->cursors[i]);
    }
    k2_free(merge->cursors);
    k2_free(merge->active);
    k2_free(merge->sources);
    k2_free(merge->memos);
    k2_free(merge);
}

enum k2_status k2_rewrite_merge_begin(struct k2_rewrite_merge *merge,
                                      const struct k2_rewrite_window *window,
                                      struct k2_error *error)
{
    merge->window = *window;
    merge->active_count = merge->source_count = 0;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < merge->plan->group_count && status == K2_OK; i++) {
        struct cursor *cursor = &merge->cursors[i];
        bool wanted = window->late || (cursor->group->time_max_ns >= window->first_ns &&
                                       cursor->group->time_min_ns <= window->last_ns);
        if (!wanted) {
            close_cursor(cursor);
            continue;
        }
        if (cursor->view == NULL) {
            status = k2_plan_view(merge->plan, i, &cursor->view, error);
        }
        if (status == K2_OK) {
            cursor->entries = k2_row_group_view_directory(cursor->view, &cursor->entry_count);
            cursor->entry = 0;
            merge->active[merge->active_count++] = cursor;
        }
    }
    return status;
}

static enum k2_status open_rows(struct k2_rewrite_merge *merge, struct cursor *cursor,
                                struct k2_error *error)
{
    return cursor->rows != NULL
               ? K2_OK
               : k2_group_rows_open(&cursor->rows, cursor->view, merge->table->schema, error);
}

// ---- sources

static enum k2_status read_key(struct source *source, struct k2_error *error)
{
    struct k2_group_rows *rows = source->cursor->rows;
    enum k2_status status = k2_group_rows_key(rows, source->row, &source->key.time_ns,
                                              &source->key.epoch, &source->key.sequence, error);
    return status == K2_OK ? k2_group_rows_hidden(rows, K2_COLUMN_ID_COMMIT, source->row,
                                                  &source->commit, error)
                           : status;
}

// Versions of a key by the snapshots that brought them.
static int compare_sources(const struct source *left, const struct source *right)
{
    int order = k2_row_key_compare(&left->key, &right->key);
    return order != 0 ? order : (left->commit > right->commit) - (left->commit < right->commit);
}

// The first row of [begin, end), which is sorted by time, that is not before `time_ns`.
static enum k2_status find_time(struct cursor *cursor, uint32_t begin, uint32_t end,
                                int64_t time_ns, uint32_t *row, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    while (begin < end && status == K2_OK) {
        uint32_t middle = begin + (end - begin) / 2;
        const struct k2_vector *vector;
        uint32_t place;
        status = k2_group_rows_vector(cursor->rows, K2_TIMESTAMP, middle, &vector, &place, error);
        if (status == K2_OK && vector == NULL) {
            status = k2_fail(error, K2_CORRUPT, "column timestamp is missing");
        }
        if (status == K2_OK && vector->values[place] < time_ns) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    *row = begin;
    return status;
}

// Which times of the instrument belong to the window; false: none.
static bool bounds_of(const struct k2_rewrite_merge *merge, uint32_t instrument, int64_t *first_ns,
                      int64_t *last_ns)
{
    const struct k2_rewrite_floors *floors = merge->floors;
    int64_t floor_ns =
        floors != NULL && instrument < floors->count ? floors->times_ns[instrument] : INT64_MIN;
    *first_ns = merge->window.first_ns;
    *last_ns = merge->window.last_ns;
    if (merge->window.late) {
        *first_ns = INT64_MIN;
        *last_ns = floor_ns;
        return floor_ns != INT64_MIN;
    }
    if (floor_ns == INT64_MAX) {
        return false;
    }
    if (floor_ns != INT64_MIN && floor_ns >= *first_ns) {
        *first_ns = floor_ns + 1;
    }
    return *first_ns <= *last_ns;
}

static void insert_source(struct k2_rewrite_merge *merge, const struct source *source)
{
    size_t place = merge->source_count++;
    while (place > 0) {
        const struct source *before = &merge->sources[place - 1];
        int order = compare_sources(before, source);
        if (order < 0 || (order == 0 && before->cursor < source->cursor)) {
            break;
        }
        merge->sources[place] = *before;
        place--;
    }
    merge->sources[place] = *source;
}

static enum k2_status add_source(struct k2_rewrite_merge *merge, struct cursor *cursor,
                                 const struct k2_directory_entry *entry, int64_t first_ns,
                                 int64_t last_ns, struct k2_error *error)
{
    if (entry->time_max_ns < first_ns || entry->time_min_ns > last_ns) {
        return K2_OK;
    }
    struct source source = {
        .cursor = cursor,
        .row = entry->first_row,
        .end = entry->first_row + entry->row_count,
        .key = {.instrument = entry->instrument},
    };
    uint32_t end = source.end;
    enum k2_status status = open_rows(merge, cursor, error);
    if (status == K2_OK && entry->time_min_ns < first_ns) {
        status = find_time(cursor, source.row, end, first_ns, &source.row, error);
    }
    if (status == K2_OK && entry->time_max_ns > last_ns) { // then last_ns + 1 is a time
        status = find_time(cursor, source.row, end, last_ns + 1, &source.end, error);
    }
    if (status == K2_OK && source.row < source.end) {
        status = read_key(&source, error);
        if (status == K2_OK) {
            insert_source(merge, &source);
        }
    }
    return status;
}

// The next instrument with rows in the window, and where they are; none: no sources.
static enum k2_status next_instrument(struct k2_rewrite_merge *merge, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    while (merge->source_count == 0 && merge->active_count > 0 && status == K2_OK) {
        uint32_t least = UINT32_MAX;
        for (size_t i = 0; i < merge->active_count; i++) {
            const struct cursor *cursor = merge->active[i];
            uint32_t instrument = cursor->entries[cursor->entry].instrument;
            least = instrument < least ? instrument : least;
        }
        int64_t first_ns, last_ns;
        bool any = bounds_of(merge, least, &first_ns, &last_ns);
        size_t kept = 0;
        for (size_t i = 0; i < merge->active_count && status == K2_OK; i++) {
            struct cursor *cursor = merge->active[i];
            const struct k2_directory_entry *entry = &cursor->entries[cursor->entry];
            bool has = entry->instrument == least;
            if (has && any) {
                merge->entry = entry;
                status = add_source(merge, cursor, entry, first_ns, last_ns, error);
            }
            cursor->entry += has;
            if (cursor->entry < cursor->entry_count) {
                merge->active[kept++] = cursor;
            }
        }
        merge->active_count = status == K2_OK ? kept : merge->active_count;
    }
    return status;
}

// ---- rows

static enum k2_status copy_texts(struct k2_row_batch *batch, struct memo *memo, size_t first,
                                 uint32_t rows, size_t column, const struct k2_vector *vector,
                                 uint32_t place, struct k2_error *error)
{
    struct k2_batch_column *target = &batch->columns[column];
    bool few = batch->schema->columns[column].kind == K2_KIND_SYMBOLIC;
    for (uint32_t i = 0; i < rows; i++) {
        struct k2_slice text = vector->texts[place + i];
        if (text.size_bytes == 0) {
            target->texts[first + i] = (struct k2_text_ref){0};
            continue;
        }
        size_t slot =
            few ? (text.size_bytes * 31 + text.data[0] * 7UL + text.data[text.size_bytes - 1]) %
                      MEMO_SLOTS
                : 0;
        struct k2_text_ref *known = &memo->refs[slot];
        if (!k2_slice_equal(text, k2_row_batch_text(batch, *known))) {
            *known =
                (struct k2_text_ref){(uint32_t)batch->text.size_bytes, (uint32_t)text.size_bytes};
            k2_put_bytes(&batch->text, text.data, text.size_bytes);
            if (batch->text.failed) {
                return k2_buffer_check(&batch->text, "texts of a batch", error);
            }
        }
        target->texts[first + i] = *known;
    }
    return K2_OK;
}

// A column that the group has not: its default, or nulls.
static enum k2_status fill_column(struct k2_row_batch *batch, size_t first, uint32_t rows,
                                  size_t column, struct k2_error *error)
{
    const struct k2_column *declared = &batch->schema->columns[column];
    struct k2_batch_column *target = &batch->columns[column];
    struct k2_text_ref ref = {0};
    if (!k2_kind_is_fixed(declared->kind) && declared->has_default &&
        declared->default_text != NULL) {
        struct k2_slice text = k2_slice_of(declared->default_text);
        ref = (struct k2_text_ref){(uint32_t)batch->text.size_bytes, (uint32_t)text.size_bytes};
        k2_put_bytes(&batch->text, text.data, text.size_bytes);
    }
    for (uint32_t i = 0; i < rows; i++) {
        if (k2_kind_is_fixed(declared->kind)) {
            target->values[first + i] = declared->has_default ? declared->default_value : 0;
        } else {
            target->texts[first + i] = ref;
        }
    }
    memset(target->valid + first, declared->has_default, rows);
    target->null_count += declared->has_default ? 0 : rows;
    return k2_buffer_check(&batch->text, "texts of a batch", error);
}

static enum k2_status copy_column(struct k2_rewrite_merge *merge, struct k2_row_batch *batch,
                                  struct k2_group_rows *rows, uint32_t row, uint32_t count,
                                  size_t column, struct k2_error *error)
{
    const struct k2_vector *vector;
    uint32_t place;
    size_t first = batch->row_count;
    struct k2_batch_column *target = &batch->columns[column];
    enum k2_status status = k2_group_rows_vector(rows, column, row, &vector, &place, error);
    if (status != K2_OK || vector == NULL) {
        return status != K2_OK ? status : fill_column(batch, first, count, column, error);
    }
    if (vector->valid == NULL) {
        memset(target->valid + first, 1, count);
    } else {
        memcpy(target->valid + first, vector->valid + place, count);
        for (uint32_t i = 0; i < count; i++) {
            target->null_count += target->valid[first + i] == 0;
        }
    }
    if (vector->values == NULL) {
        return copy_texts(batch, &merge->memos[column], first, count, column, vector, place, error);
    }
    memcpy(target->values + first, vector->values + place, count * sizeof *target->values);
    return K2_OK;
}

static enum k2_status copy_keys(struct k2_row_batch *batch, const struct source *source,
                                uint32_t count, struct k2_error *error)
{
    static const size_t columns[] = {K2_TIMESTAMP, K2_EPOCH, K2_SEQUENCE};
    const struct k2_vector *vectors[4];
    struct k2_group_rows *rows = source->cursor->rows;
    uint32_t place = 0;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < 3 && status == K2_OK; i++) {
        status = k2_group_rows_vector(rows, columns[i], source->row, &vectors[i], &place, error);
        if (status == K2_OK && vectors[i] == NULL) {
            status = k2_fail(error, K2_CORRUPT, "a column of the key is missing");
        }
    }
    if (status == K2_OK) {
        status = k2_group_rows_hidden_vector(rows, K2_COLUMN_ID_COMMIT, source->row, &vectors[3],
                                             &place, error);
    }
    if (status != K2_OK) {
        return status;
    }
    struct k2_row_key *keys = batch->keys + batch->row_count;
    uint64_t commit = k2_row_group_view_info(source->cursor->view)->commit;
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = (struct k2_row_key){
            .instrument = source->key.instrument,
            .time_ns = vectors[0]->values[place + i],
            .epoch = vectors[1]->values[place + i],
            .sequence = vectors[2]->values[place + i],
        };
        batch->commits[batch->row_count + i] =
            vectors[3] == NULL ? commit : (uint64_t)vectors[3]->values[place + i];
    }
    return K2_OK;
}

// What rows do to others, and what others did to them: few have that.
static enum k2_status copy_versions(struct k2_row_batch *batch, const struct source *source,
                                    uint32_t count, struct k2_error *error)
{
    struct k2_group_rows *rows = source->cursor->rows;
    const struct k2_vector *ops, *untils = NULL;
    uint32_t place, until_place = 0;
    size_t first = batch->row_count - count;
    enum k2_status status =
        k2_group_rows_hidden_vector(rows, K2_COLUMN_ID_OP, source->row, &ops, &place, error);
    if (status == K2_OK) {
        status = k2_group_rows_hidden_vector(rows, K2_COLUMN_ID_UNTIL, source->row, &untils,
                                             &until_place, error);
    }
    for (uint32_t i = 0; status == K2_OK && ops != NULL && i < count; i++) {
        if (ops->values[place + i] != K2_OP_PUT) {
            status = k2_row_batch_set_op(batch, first + i, (enum k2_row_op)ops->values[place + i],
                                         error);
        }
    }
    for (uint32_t i = 0; status == K2_OK && untils != NULL && i < count; i++) {
        if (untils->values[until_place + i] != 0) {
            status = k2_row_batch_set_until(batch, first + i,
                                            (uint64_t)untils->values[until_place + i], error);
        }
    }
    return status;
}

// Appends `count` rows from the source's next one on; they lie in one block.
static enum k2_status copy_rows(struct k2_rewrite_merge *merge, struct k2_row_batch *batch,
                                const struct source *source, uint32_t count, struct k2_error *error)
{
    enum k2_status status = copy_keys(batch, source, count, error);
    for (size_t i = K2_KEY_COLUMN_COUNT; i < batch->schema->column_count && status == K2_OK; i++) {
        status = copy_column(merge, batch, source->cursor->rows, source->row, count, i, error);
    }
    if (status == K2_OK) {
        batch->row_count += count;
        status = copy_versions(batch, source, count, error);
    }
    return status;
}

// How many rows of the first source come before every other one, at most `most`.
static enum k2_status run_length(struct k2_rewrite_merge *merge, uint32_t most, uint32_t *count,
                                 struct k2_error *error)
{
    const struct source *source = &merge->sources[0], *other = &merge->sources[1];
    struct source probe = *source;
    enum k2_status status = K2_OK;
    *count = most;
    if (merge->source_count == 1) {
        return K2_OK;
    }
    probe.row = source->row + most - 1;
    status = read_key(&probe, error);
    if (status != K2_OK || compare_sources(&probe, other) < 0) {
        return status;
    }
    uint32_t begin = 1, end = most; // the first row is the least of all
    while (begin < end && status == K2_OK) {
        uint32_t middle = begin + (end - begin) / 2;
        probe.row = source->row + middle;
        status = read_key(&probe, error);
        if (compare_sources(&probe, other) < 0) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    *count = begin;
    return status;
}

// Rows of one instrument pass here in the order of their keys, versions of one key next to each
// other: what comes from several groups has been brought together.
static enum k2_status take_run(struct k2_rewrite_merge *merge, struct k2_row_batch *batch,
                               uint32_t room, struct k2_error *error)
{
    struct source source = merge->sources[0];
    uint32_t most = source.end - source.row, count = 0;
    uint32_t in_block = K2_BLOCK_ROWS - source.row % K2_BLOCK_ROWS;
    most = most < in_block ? most : in_block;
    most = most < room ? most : room;
    enum k2_status status = run_length(merge, most, &count, error);
    if (status == K2_OK) {
        status = copy_rows(merge, batch, &source, count, error);
    }
    if (status != K2_OK) {
        return status;
    }
    merge->source_count--;
    memmove(merge->sources, merge->sources + 1, merge->source_count * sizeof *merge->sources);
    source.row += count;
    if (source.row < source.end) {
        status = read_key(&source, error);
        if (status == K2_OK) {
            insert_source(merge, &source);
        }
    } else if (source.cursor->entry == source.cursor->entry_count) {
        close_rows(source.cursor); // nothing of it is left for this window
    }
    return status;
}

static enum k2_status add_name(struct k2_merged_names *names,
                               const struct k2_directory_entry *entry, struct k2_error *error)
{
    if (names->count > 0 && names->names[names->count - 1].instrument == entry->instrument) {
        return K2_OK;
    }
    if (names->count == names->room) {
        size_t room = names->room * 2 + 64;
        struct merged_name *grown = k2_realloc(names->names, room, sizeof *grown);
        if (grown == NULL) {
            return no_memory(error);
        }
        names->names = grown;
        names->room = room;
    }
    names->names[names->count++] =
        (struct merged_name){entry->instrument, (uint32_t)entry->exchange.size_bytes,
                             (uint32_t)entry->symbol.size_bytes, names->bytes.size_bytes};
    k2_put_bytes(&names->bytes, entry->exchange.data, entry->exchange.size_bytes);
    k2_put_bytes(&names->bytes, entry->symbol.data, entry->symbol.size_bytes);
    return k2_buffer_check(&names->bytes, "names of a batch", error);
}

void k2_merged_names_deinit(struct k2_merged_names *names)
{
    k2_buffer_deinit(&names->bytes);
    k2_free(names->names);
    *names = (struct k2_merged_names){0};
}

struct k2_instrument_name k2_merged_name_of(void *context, uint32_t instrument)
{
    const struct k2_merged_names *names = context;
    size_t low = 0, high = names->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (names->names[middle].instrument <= instrument) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const struct merged_name *name = &names->names[low];
    const uint8_t *bytes = names->bytes.data + name->offset;
    return (struct k2_instrument_name){{bytes, name->exchange_bytes},
                                       {bytes + name->exchange_bytes, name->symbol_bytes}};
}

// Does the next row have the key of the last one in the batch?
static bool is_parted(const struct k2_rewrite_merge *merge, const struct k2_row_batch *batch)
{
    return merge->source_count > 0 && batch->row_count > 0 &&
           k2_row_key_compare(&merge->sources[0].key, &batch->keys[batch->row_count - 1]) == 0;
}

enum k2_status k2_rewrite_merge_next(struct k2_rewrite_merge *merge, struct k2_row_batch *batch,
                                     struct k2_merged_names *names, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    k2_row_batch_clear(batch);
    memset(merge->memos, 0, merge->table->schema->column_count * sizeof *merge->memos);
    names->count = 0;
    names->bytes.ceiling_bytes = NAMES_CEILING_BYTES;
    k2_buffer_clear(&names->bytes);
    if (merge->source_count > 0) {
        status = add_name(names, merge->entry, error);
    }
    while (status == K2_OK) {
        bool full =
            batch->row_count >= K2_MERGED_ROWS || batch->text.size_bytes > TEXT_CEILING_BYTES;
        if (full && !(is_parted(merge, batch) && batch->row_count < batch->row_capacity)) {
            break;
        }
        if (merge->source_count == 0) {
            status = next_instrument(merge, error);
            if (status != K2_OK || merge->source_count == 0) {
                break;
            }
            status = add_name(names, merge->entry, error);
        }
        if (status == K2_OK) {
            size_t room = full ? 1 : K2_MERGED_ROWS - batch->row_count;
            status = take_run(merge, batch, (uint32_t)room, error);
        }
    }
    return status;
}
