#include "engine/rewrite_inputs.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/engine_state.h"
#include "engine/index_records.h"
#include "format/base/alloc.h"

static enum k2_status no_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "rewrite: out of memory");
}

void k2_rewrite_inputs_deinit(struct k2_rewrite_inputs *inputs)
{
    k2_free(inputs->list);
    k2_free(inputs->segments);
    *inputs = (struct k2_rewrite_inputs){0};
}

static int compare_places(const void *left, const void *right)
{
    const struct k2_plan_group *a = *(const struct k2_plan_group *const *)left;
    const struct k2_plan_group *b = *(const struct k2_plan_group *const *)right;
    if (a->segment_id != b->segment_id) {
        return a->segment_id < b->segment_id ? -1 : 1;
    }
    return (a->offset > b->offset) - (a->offset < b->offset);
}

// Appends a range, or makes the last one longer.
static enum k2_status add(struct k2_rewrite_inputs *self, const struct k2_rewrite_input *input,
                          struct k2_error *error)
{
    struct k2_rewrite_input *last = self->count > 0 ? &self->list[self->count - 1] : NULL;
    if (last != NULL && last->segment_id == input->segment_id && last->end == input->begin &&
        last->earlier == input->earlier) {
        last->end = input->end;
        return K2_OK;
    }
    if (self->count == self->room) {
        size_t room = self->room * 2 + 16;
        struct k2_rewrite_input *grown = k2_realloc(self->list, room, sizeof *grown);
        if (grown == NULL) {
            return no_memory(error);
        }
        self->list = grown;
        self->room = room;
    }
    assert(self->list != NULL);
    self->list[self->count++] = *input;
    return K2_OK;
}

// The direct ones, by place. In a file of commits all groups of the table between two inputs are
// inputs or were replaced before: one range for all.
static enum k2_status add_direct(struct k2_rewrite_inputs *self, struct k2_store_txn *txn,
                                 const struct k2_plan_group *const *groups, size_t group_count,
                                 struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < group_count && status == K2_OK; i++) {
        const struct k2_plan_group *group = groups[i];
        struct k2_rewrite_segment *segment =
            self->segment_count > 0 ? &self->segments[self->segment_count - 1] : NULL;
        if (segment == NULL || segment->id != group->segment_id) {
            struct k2_segment_record record;
            bool found;
            status = k2_store_get_segment(txn, group->segment_id, &found, &record, error);
            assert(self->segments != NULL);
            segment = &self->segments[self->segment_count++];
            *segment =
                (struct k2_rewrite_segment){.id = group->segment_id, .rewritten = record.rewritten};
        }
        segment->bytes += group->length_bytes;
        struct k2_rewrite_input input = {
            .segment_id = group->segment_id,
            .begin = group->offset,
            .end = group->offset + group->length_bytes,
        };
        if (status == K2_OK && segment->groups++ > 0 && !segment->rewritten) {
            self->list[self->count - 1].end = input.end;
        } else if (status == K2_OK) {
            status = add(self, &input, error);
        }
    }
    return status;
}

// What rewritten inputs have replaced themselves, as far as the files are there.
static enum k2_status add_of_input(struct k2_rewrite_inputs *self, struct k2_store_txn *txn,
                                   const struct k2_row_group_info *info, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < info->input_count && status == K2_OK; i++) {
        struct k2_segment_record record;
        bool found;
        status = k2_store_get_segment(txn, info->inputs[i].segment_id, &found, &record, error);
        if (status == K2_OK && found && record.rewritten) {
            struct k2_rewrite_input input = info->inputs[i];
            input.earlier = true;
            status = add(self, &input, error);
        }
    }
    return status;
}

static enum k2_status add_of_inputs(struct k2_rewrite_inputs *self, struct k2_store_txn *txn,
                                    const struct k2_plan *plan, struct k2_error *error)
{
    uint64_t before = 0;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < plan->group_count && status == K2_OK; i++) {
        const struct k2_plan_group *group = &plan->groups[i];
        // All parts of a rewrite say the same, and a segment has one rewrite.
        if (group->level == K2_LEVEL_COMMIT || group->segment_id == before) {
            continue;
        }
        struct k2_row_group_view *view = NULL;
        status = k2_plan_view(plan, i, &view, error);
        if (status == K2_OK) {
            status = add_of_input(self, txn, k2_row_group_view_info(view), error);
            k2_row_group_view_close(view);
        }
        before = group->segment_id;
    }
    return status;
}

// A file of commits, and where in it the first commit of the table stands that counts.
struct commit_file {
    uint64_t segment_id, end;
};

struct commit_files {
    struct commit_file *files; // owned, by id
    size_t count, room;
};

static enum k2_status list_files(struct k2_store_txn *txn, struct commit_files *list,
                                 struct k2_error *error)
{
    struct k2_store_cursor cursor = {0};
    enum k2_status status = k2_store_cursor_begin(txn, K2_STORE_SEGMENT, &cursor, error);
    while (status == K2_OK && cursor.found) {
        struct k2_segment_record record = k2_segment_record_decode(cursor.value);
        if (!record.rewritten && list->count == list->room) {
            size_t room = list->room * 2 + 16;
            struct commit_file *grown = k2_realloc(list->files, room, sizeof *grown);
            if (grown == NULL) {
                status = no_memory(error);
                break;
            }
            list->files = grown;
            list->room = room;
        }
        if (!record.rewritten) {
            list->files[list->count++] =
                (struct commit_file){k2_index_key_get(cursor.key, 0, 8), record.length_bytes};
        }
        status = k2_store_next(&cursor, error);
    }
    k2_store_cursor_close(&cursor);
    return status;
}

static int compare_files(const void *left, const void *right)
{
    const struct commit_file *a = left, *b = right;
    return (a->segment_id > b->segment_id) - (a->segment_id < b->segment_id);
}

static enum k2_status find_ends(struct k2_store_txn *txn, const struct k2_table *table,
                                const struct commit_files *list, struct k2_error *error)
{
    struct k2_store_cursor cursor = {0};
    struct k2_index_key key = k2_index_key_id(table->id, 2);
    enum k2_status status = k2_store_cursor_open(txn, K2_STORE_GROUP, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    while (status == K2_OK && cursor.found && k2_index_key_get(cursor.key, 0, 2) == table->id) {
        struct k2_group_place place = k2_group_place_of(cursor.key);
        struct commit_file wanted = {.segment_id = place.segment_id};
        struct commit_file *file = list->count == 0 ? NULL
                                                    : bsearch(&wanted, list->files, list->count,
                                                              sizeof wanted, compare_files);
        if (file != NULL && place.offset < file->end) {
            file->end = place.offset;
        }
        status = k2_store_next(&cursor, error);
    }
    k2_store_cursor_close(&cursor);
    return status;
}

// In files of commits everything of the table up to the first group that counts was replaced
// before; inputs still count.
static enum k2_status add_commits(struct k2_rewrite_inputs *self, struct k2_store_txn *txn,
                                  const struct k2_table *table, struct k2_error *error)
{
    struct commit_files list = {0};
    enum k2_status status = list_files(txn, &list, error);
    if (status == K2_OK) {
        status = find_ends(txn, table, &list, error);
    }
    for (size_t i = 0; i < list.count && status == K2_OK; i++) {
        struct k2_rewrite_input input = {
            .segment_id = list.files[i].segment_id,
            .begin = K2_SEGMENT_ALIGNMENT,
            .end = list.files[i].end,
            .earlier = true,
        };
        if (input.end > input.begin) {
            status = add(self, &input, error);
        }
    }
    k2_free(list.files);
    return status;
}

enum k2_status k2_rewrite_inputs_load(struct k2_rewrite_inputs *inputs, struct k2_store_txn *txn,
                                      const struct k2_table *table, const struct k2_plan *plan,
                                      struct k2_error *error)
{
    const struct k2_plan_group **groups =
        k2_alloc_zero(plan->group_count, sizeof(struct k2_plan_group *));
    inputs->segments = k2_alloc_zero(plan->group_count, sizeof *inputs->segments);
    enum k2_status status = groups == NULL || inputs->segments == NULL ? no_memory(error) : K2_OK;
    if (status == K2_OK) {
        for (size_t i = 0; i < plan->group_count; i++) {
            groups[i] = &plan->groups[i];
        }
        qsort(groups, plan->group_count, sizeof(struct k2_plan_group *), compare_places);
        status = add_direct(inputs, txn, groups, plan->group_count, error);
    }
    if (status == K2_OK) {
        status = add_commits(inputs, txn, table, error);
    }
    if (status == K2_OK) {
        status = add_of_inputs(inputs, txn, plan, error);
    }
    k2_free(groups);
    return status;
}

bool k2_rewrite_inputs_have_commits(const struct k2_rewrite_inputs *inputs,
                                    const struct k2_engine *engine)
{
    for (size_t i = 0; i < inputs->segment_count; i++) {
        const struct k2_rewrite_segment *segment = &inputs->segments[i];
        bool open = engine->tail.open && engine->tail.segment_id == segment->id;
        if (!segment->rewritten && !open) {
            return true;
        }
    }
    return false;
}
