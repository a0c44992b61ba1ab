#include "ingest/plan_cache.h"

#include "format/base/alloc.h"

enum { MAX_ENTRIES = 1 << 16 };

struct entry {
    const struct k2_schema *table;
    int32_t id;
    struct k2_avro_plan *plan; // owned; NULL: it can not be made
    char *reason;              // then why
};

struct k2_plan_cache {
    struct k2_schema_registry *registry;
    char *exchange;
    k2_intern_instrument *intern;
    void *intern_context;
    struct entry *entries;
    size_t count, room;
    size_t last; // the entry that was asked for last
};

static enum k2_status fail_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "decoders: out of memory");
}

enum k2_status k2_plan_cache_create(struct k2_plan_cache **cache,
                                    struct k2_schema_registry *registry, const char *exchange,
                                    k2_intern_instrument *intern, void *intern_context,
                                    struct k2_error *error)
{
    struct k2_plan_cache *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return fail_memory(error);
    }
    self->registry = registry;
    self->intern = intern;
    self->intern_context = intern_context;
    if (exchange != NULL) {
        self->exchange = k2_alloc_text(exchange, strlen(exchange));
        if (self->exchange == NULL) {
            k2_plan_cache_destroy(self);
            return fail_memory(error);
        }
    }
    *cache = self;
    return K2_OK;
}

void k2_plan_cache_destroy(struct k2_plan_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    for (size_t i = 0; i < cache->count; i++) {
        k2_avro_plan_destroy(cache->entries[i].plan);
        k2_free(cache->entries[i].reason);
    }
    k2_free(cache->entries);
    k2_free(cache->exchange);
    k2_free(cache);
}

static struct entry *find(struct k2_plan_cache *self, const struct k2_schema *table, int32_t id)
{
    if (self->last < self->count && self->entries[self->last].id == id &&
        self->entries[self->last].table == table) {
        return &self->entries[self->last];
    }
    for (size_t i = 0; i < self->count; i++) {
        if (self->entries[i].id == id && self->entries[i].table == table) {
            self->last = i;
            return &self->entries[i];
        }
    }
    return NULL;
}

static enum k2_status reserve(struct k2_plan_cache *self, struct k2_error *error)
{
    if (self->count < self->room) {
        return K2_OK;
    }
    size_t room = self->room == 0 ? 16 : 2 * self->room;
    struct entry *grown =
        room > MAX_ENTRIES ? NULL : k2_realloc(self->entries, room, sizeof *grown);
    if (grown == NULL) {
        return fail_memory(error);
    }
    self->entries = grown;
    self->room = room;
    return K2_OK;
}

// Both a decoder and the reason why there is none are kept: a schema never changes.
static enum k2_status add(struct k2_plan_cache *self, const struct k2_schema *table, int32_t id,
                          struct k2_error *error)
{
    const struct k2_registered_schema *schema;
    struct k2_error why;
    struct k2_slice named[64];
    struct entry entry = {.table = table, .id = id};
    enum k2_status status = k2_schema_registry_get(self->registry, id, &schema, &why);
    if (status == K2_OK) {
        struct k2_avro_plan_options options = {
            .named = named,
            .exchange = self->exchange,
            .intern = self->intern,
            .intern_context = self->intern_context,
        };
        for (size_t i = 0; i < schema->reference_count && i < sizeof named / sizeof named[0]; i++) {
            named[options.named_count++] = k2_slice_of(schema->references[i]);
        }
        status = k2_avro_plan_create(&entry.plan, table, k2_slice_of(schema->text), &options, &why);
        if (status != K2_OK) {
            k2_error_annotate(&why, "schema %d", (int)id);
        }
    }
    if (status == K2_BAD_REQUEST) {
        entry.reason = k2_alloc_text(why.text, strlen(why.text));
        status = entry.reason != NULL ? K2_OK : fail_memory(&why);
    }
    if (status != K2_OK) {
        return k2_fail(error, status, "%s", why.text);
    }
    self->last = self->count;
    self->entries[self->count++] = entry;
    return K2_OK;
}

enum k2_status k2_plan_cache_get(struct k2_plan_cache *cache, const struct k2_schema *table,
                                 int32_t id, struct k2_avro_plan **plan, struct k2_error *error)
{
    struct entry *entry = find(cache, table, id);
    if (entry == NULL) {
        enum k2_status status = reserve(cache, error);
        if (status == K2_OK) {
            status = add(cache, table, id, error);
        }
        if (status != K2_OK) {
            return status;
        }
        entry = &cache->entries[cache->last];
    }
    if (entry->plan == NULL) {
        return k2_fail(error, K2_BAD_REQUEST, "%s", entry->reason);
    }
    *plan = entry->plan;
    return K2_OK;
}
