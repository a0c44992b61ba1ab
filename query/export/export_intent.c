#include "query/export/export_intent.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/export_note.h"
#include "format/base/alloc.h"
#include "format/base/json_scanner.h"
#include "format/base/json_text.h"

enum {
    NOTE_BYTES = 1 << 16,
    KEY_BYTES = K2_EXPORT_KEY_BYTES,
};

// The table's uuid names the place: a table that was dropped and made again is another one.
static struct k2_slice key_of(const struct k2_export_intent *intent, char room[KEY_BYTES])
{
    int size =
        snprintf(room, KEY_BYTES, "iceberg/%.200s", k2_iceberg_uuid(intent->place->table.metadata));
    return (struct k2_slice){(const uint8_t *)room, (size_t)size};
}

static enum k2_status put(const struct k2_export_intent *intent, const char *state,
                          const char *commit_id, uint64_t from, uint64_t to,
                          int64_t iceberg_snapshot_id, struct k2_error *error)
{
    struct k2_buffer text;
    char key[KEY_BYTES];
    if (!intent->writable) {
        return K2_OK;
    }
    k2_buffer_init(&text, NOTE_BYTES);
    k2_put_format(&text, "{\"state\":\"%s\",\"table\":", state);
    k2_json_put_string(&text, k2_slice_of(intent->place->name));
    k2_put_text(&text, ",\"location\":");
    k2_json_put_string(&text, k2_slice_of(k2_iceberg_location(intent->place->table.metadata)));
    k2_put_format(&text, ",\"commit\":\"%s\",\"from\":%llu,\"to\":%llu,\"time_ms\":%lld", commit_id,
                  (unsigned long long)from, (unsigned long long)to, (long long)k2_now_ms());
    if (iceberg_snapshot_id != 0) {
        k2_put_format(&text, ",\"iceberg_snapshot_id\":%lld", (long long)iceberg_snapshot_id);
    }
    k2_put_text(&text, "}");
    enum k2_status status = k2_buffer_check(&text, "export note", error);
    if (status == K2_OK) {
        struct k2_export_note note = {key_of(intent, key), k2_buffer_slice(&text)};
        status = k2_export_note_put(intent->engine, &note, 1, error);
    }
    k2_buffer_deinit(&text);
    return status;
}

enum k2_status k2_export_intent_begin(const struct k2_export_intent *intent, struct k2_error *error)
{
    return put(intent, "begun", intent->commit_id, intent->from, intent->to, 0, error);
}

enum k2_status k2_export_intent_end(const struct k2_export_intent *intent,
                                    int64_t iceberg_snapshot_id, struct k2_error *error)
{
    return put(intent, "done", intent->commit_id, intent->from, intent->to, iceberg_snapshot_id,
               error);
}

// ---- an unfinished one ----------------------------------------------------------------------

struct note {
    char state[16];
    char commit_id[K2_UUID_BYTES];
    uint64_t from, to;
};

static void keep_text(const struct k2_json_string *string, char *room, size_t room_bytes)
{
    if (!string->escaped && string->raw.size_bytes < room_bytes) {
        memcpy(room, string->raw.data, string->raw.size_bytes);
        room[string->raw.size_bytes] = '\0';
    }
}

// One that can not be read counts as none: it is of a later K2.
static bool read_note(struct k2_slice text, struct note *note)
{
    struct k2_json_scanner scanner = {text.data, text.data + text.size_bytes};
    struct k2_json_string name, string;
    struct k2_slice value;
    *note = (struct note){0};
    bool good = k2_json_take(&scanner, '{');
    while (good && k2_json_peek(&scanner) == K2_JSON_TYPE_STRING) {
        good = k2_json_scan_string(&scanner, &name) && k2_json_take(&scanner, ':');
        enum k2_json_type type = good ? k2_json_peek(&scanner) : K2_JSON_TYPE_NONE;
        if (good && type == K2_JSON_TYPE_STRING) {
            good = k2_json_scan_string(&scanner, &string);
            if (good && k2_slice_equal(name.raw, k2_slice_of("state"))) {
                keep_text(&string, note->state, sizeof note->state);
            } else if (good && k2_slice_equal(name.raw, k2_slice_of("commit"))) {
                keep_text(&string, note->commit_id, sizeof note->commit_id);
            }
        } else if (good) {
            good = k2_json_scan_value(&scanner, &value);
            uint64_t number = good ? strtoull((const char *)value.data, NULL, 10) : 0;
            if (k2_slice_equal(name.raw, k2_slice_of("from"))) {
                note->from = number;
            } else if (k2_slice_equal(name.raw, k2_slice_of("to"))) {
                note->to = number;
            }
        }
        good =
            good && (k2_json_take(&scanner, ',') || k2_json_peek(&scanner) != K2_JSON_TYPE_STRING);
    }
    return good && note->commit_id[0] != '\0';
}

// A file of the commit is in the table: also when its snapshot has expired.
static enum k2_status find_file(const struct k2_export_intent *intent, const char *commit_id,
                                bool *found, struct k2_error *error)
{
    struct k2_iceberg_entries entries = {0};
    enum k2_status status = k2_table_files(intent->place, &entries, error);
    for (size_t i = 0; i < entries.count && status == K2_OK && !*found; i++) {
        // Paths live in an arena, with a NUL.
        *found = strstr((const char *)entries.items[i].file.path.data, commit_id) != NULL;
    }
    k2_iceberg_entries_deinit(&entries);
    return status;
}

static bool find_commit(const struct k2_iceberg_metadata *metadata, const char *commit_id,
                        int64_t *snapshot_id)
{
    for (size_t i = k2_iceberg_snapshot_count(metadata); i > 0; i--) {
        struct k2_iceberg_snapshot snapshot = k2_iceberg_snapshot_at(metadata, i - 1);
        const char *id = k2_iceberg_snapshot_summary(metadata, snapshot.id, "k2.commit-id");
        if (id != NULL && strcmp(id, commit_id) == 0) {
            *snapshot_id = snapshot.id;
            return true;
        }
    }
    return false;
}

struct leftovers {
    struct k2_object_store *store;
    const char *commit_id;
    struct k2_arena arena;
    char **locations;
    size_t count, room;
};

static enum k2_status note_leftover(void *context, const struct k2_object_info *object,
                                    struct k2_error *error)
{
    struct leftovers *self = context;
    if (strstr(object->location, self->commit_id) == NULL) {
        return K2_OK;
    }
    if (self->count == self->room) {
        char **grown = k2_realloc(self->locations, self->room * 2 + 32, sizeof *grown);
        if (grown == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "export: no memory");
        }
        self->locations = grown;
        self->room = self->room * 2 + 32;
    }
    self->locations[self->count] = k2_arena_text(&self->arena, k2_slice_of(object->location));
    return self->locations[self->count++] != NULL
               ? K2_OK
               : k2_fail(error, K2_NO_MEMORY, "export: no memory");
}

// Every name of the commit has its id, and nothing of it is in the table.
static enum k2_status remove_leftovers(const struct k2_export_intent *intent, const char *commit_id,
                                       struct k2_error *error)
{
    struct leftovers self = {.store = intent->place->store, .commit_id = commit_id};
    struct k2_buffer prefix;
    k2_buffer_init(&prefix, NOTE_BYTES);
    k2_put_format(&prefix, "%s/", k2_iceberg_location(intent->place->table.metadata));
    k2_put_u8(&prefix, 0);
    enum k2_status status = k2_buffer_check(&prefix, "export", error);
    if (status == K2_OK) {
        status = self.store->class->list(self.store->self, (const char *)prefix.data, note_leftover,
                                         &self, error);
    }
    for (size_t i = 0; i < self.count && status == K2_OK; i++) {
        status = self.store->class->remove(self.store->self, self.locations[i], error);
    }
    k2_buffer_deinit(&prefix);
    k2_free(self.locations);
    k2_arena_deinit(&self.arena);
    return status;
}

static enum k2_status look_up(const struct k2_export_intent *intent, struct note *note,
                              bool *unfinished, struct k2_error *error)
{
    struct k2_buffer text;
    char key[KEY_BYTES];
    bool found = false;
    k2_buffer_init(&text, NOTE_BYTES);
    enum k2_status status =
        k2_export_note_get(intent->engine, key_of(intent, key), &found, &text, error);
    k2_put_u8(&text, 0); // numbers at the end are read to here
    *unfinished = status == K2_OK && found && !text.failed &&
                  read_note((struct k2_slice){text.data, text.size_bytes - 1}, note) &&
                  strcmp(note->state, "begun") == 0;
    k2_buffer_deinit(&text);
    return status;
}

enum k2_status k2_export_intent_is_open(const struct k2_export_intent *intent, bool *open,
                                        struct k2_error *error)
{
    struct note note;
    return look_up(intent, &note, open, error);
}

enum k2_status k2_export_intent_resolve(const struct k2_export_intent *intent,
                                        struct k2_error *error)
{
    struct note note;
    bool unfinished = false;
    int64_t snapshot_id = 0;
    if (!intent->writable) {
        return K2_OK;
    }
    enum k2_status status = look_up(intent, &note, &unfinished, error);
    if (status != K2_OK || !unfinished) {
        return status;
    }
    bool committed = find_commit(intent->place->table.metadata, note.commit_id, &snapshot_id);
    if (!committed) {
        status = find_file(intent, note.commit_id, &committed, error);
    }
    if (status == K2_OK && !committed && intent->warehouse->local) {
        status = remove_leftovers(intent, note.commit_id, error);
    }
    const char *state = committed ? "done" : "dropped";
    return status == K2_OK
               ? put(intent, state, note.commit_id, note.from, note.to, snapshot_id, error)
               : status;
}
