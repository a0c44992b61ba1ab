#include "engine/export_note.h"

#include "engine/engine_state.h"
#include "engine/journal.h"
#include "engine/store.h"
#include "format/base/alloc.h"

struct notes {
    const struct k2_export_note *items;
    size_t count;
};

static enum k2_status put_notes(void *context, struct k2_store_txn *txn, struct k2_error *error)
{
    const struct notes *notes = context;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < notes->count && status == K2_OK; i++) {
        status =
            k2_store_put(txn, K2_STORE_EXPORT, notes->items[i].key, notes->items[i].text, error);
    }
    return status;
}

enum k2_status k2_export_note_put(struct k2_engine *engine, const struct k2_export_note *notes,
                                  size_t note_count, struct k2_error *error)
{
    struct notes context = {notes, note_count};
    struct k2_journal_entry *entries = k2_alloc_zero(note_count, sizeof *entries);
    if (entries == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "export: no memory");
    }
    for (size_t i = 0; i < note_count; i++) {
        entries[i] = (struct k2_journal_entry){
            .kind = K2_JOURNAL_EXPORT, .name = notes[i].key, .value = notes[i].text};
    }
    enum k2_status status =
        k2_journal_write(engine, entries, note_count, put_notes, &context, error);
    k2_free(entries);
    return status;
}

enum k2_status k2_export_note_get(struct k2_engine *engine, struct k2_slice key, bool *found,
                                  struct k2_buffer *text, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_slice value;
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_get(txn, K2_STORE_EXPORT, key, found, &value, error);
    if (status == K2_OK && *found) {
        k2_put_bytes(text, value.data, value.size_bytes);
        status = k2_buffer_check(text, "export note", error);
    }
    k2_store_abort(txn);
    return status;
}
