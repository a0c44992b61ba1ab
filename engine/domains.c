#include "engine/domains.h"

#include <stdio.h>
#include <string.h>

#include "engine/instruments.h"
#include "engine/journal.h"
#include "engine/ledger_history.h"
#include "format/base/alloc.h"

static enum k2_status fail_memory(struct k2_error *error)
{
    return k2_fail(error, K2_NO_MEMORY, "sequences: out of memory");
}

void k2_domains_deinit(struct k2_domains *domains)
{
    k2_free(domains->instruments.bits);
    k2_name_set_deinit(&domains->names);
    *domains = (struct k2_domains){0};
}

bool k2_domains_has_instrument(const struct k2_domains *domains, uint32_t instrument)
{
    const struct k2_member_set *set = &domains->instruments;
    return instrument < set->bit_count && (set->bits[instrument / 8] >> instrument % 8 & 1) != 0;
}

uint32_t k2_domains_find(const struct k2_domains *domains, struct k2_slice name)
{
    uint32_t number =
        k2_name_set_find(&domains->names, (struct k2_instrument_name){.exchange = name});
    return number == K2_NAME_NONE ? 0 : K2_NAMED_DOMAIN | number;
}

static enum k2_status add_instrument(struct k2_domains *domains, uint32_t instrument,
                                     struct k2_error *error)
{
    struct k2_member_set *set = &domains->instruments;
    if (instrument >= set->bit_count) {
        size_t bit_count = ((size_t)instrument * 2 + 4096) & ~(size_t)7;
        uint8_t *bits = k2_realloc(set->bits, bit_count / 8, 1);
        if (bits == NULL) {
            return fail_memory(error);
        }
        memset(bits + set->bit_count / 8, 0, (bit_count - set->bit_count) / 8);
        set->bits = bits;
        set->bit_count = bit_count;
    }
    set->bits[instrument / 8] |= (uint8_t)(1 << instrument % 8);
    domains->instrument_count++;
    return K2_OK;
}

static bool same_rule(const struct k2_domain_rule *left, const struct k2_domain_rule *right)
{
    return left->column_count == right->column_count &&
           memcmp(left->columns, right->columns, left->column_count * sizeof *left->columns) == 0;
}

// The rule by which the parts of a name were made; false: a column is not in the schema.
static bool rule_of(const struct k2_schema *schema, const struct k2_domain_part *parts,
                    size_t count, struct k2_domain_rule *rule)
{
    *rule = (struct k2_domain_rule){.column_count = count};
    for (size_t i = 0; i < count; i++) {
        int column = k2_schema_find(schema, parts[i].column);
        if (column < 0) {
            return false;
        }
        rule->columns[i] = (size_t)column;
    }
    return true;
}

static enum k2_status add_named(struct k2_domains *domains, const struct k2_schema *schema,
                                struct k2_slice name, struct k2_error *error)
{
    struct k2_domain_part parts[K2_DOMAIN_COLUMNS];
    struct k2_domain_rule rule;
    size_t count, place = 0;
    uint32_t number;
    enum k2_status status = k2_domain_name_read(name, parts, &count, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_name_set_add(&domains->names, (struct k2_instrument_name){.exchange = name},
                             &number, error);
    if (status != K2_OK || !rule_of(schema, parts, count, &rule)) {
        return status;
    }
    while (place < domains->rule_count && !same_rule(&domains->rules[place], &rule)) {
        place++;
    }
    if (place == K2_MAX_DOMAIN_RULES) {
        return k2_fail(error, K2_LIMIT, "table %s: more than %d kinds of sequence domains",
                       schema->table, K2_MAX_DOMAIN_RULES);
    }
    if (place == domains->rule_count) {
        domains->rules[domains->rule_count++] = rule;
    }
    return K2_OK;
}

static enum k2_status read_domains(struct k2_engine *engine, const struct k2_table *table,
                                   struct k2_domains *domains, struct k2_error *error)
{
    struct k2_store_txn *txn;
    struct k2_store_cursor cursor = {0};
    struct k2_index_key key = k2_index_key_pair(table->id, 1);
    enum k2_status status = k2_store_begin(engine->store, false, &txn, error);
    if (status != K2_OK) {
        return status;
    }
    status = k2_store_cursor_open(txn, K2_STORE_DOMAIN, &cursor, error);
    if (status == K2_OK) {
        status = k2_store_seek(&cursor, k2_index_key_slice(&key), error);
    }
    while (status == K2_OK && cursor.found && k2_index_key_get(cursor.key, 0, 2) == table->id) {
        struct k2_domain_record record;
        uint32_t domain = (uint32_t)k2_index_key_get(cursor.key, 2, 4);
        status = k2_domain_record_read(cursor.value, &record, error);
        if (status == K2_OK) {
            status = (domain & K2_NAMED_DOMAIN) == 0
                         ? add_instrument(domains, domain, error)
                         : add_named(domains, table->schema, record.name, error);
        }
        if (status == K2_OK) {
            status = k2_store_next(&cursor, error);
        }
    }
    k2_store_cursor_close(&cursor);
    k2_store_abort(txn);
    return status;
}

enum k2_status k2_domains_load(struct k2_engine *engine, const struct k2_table *table,
                               struct k2_domains **domains, struct k2_error *error)
{
    struct k2_domains **cached = &engine->domains[table - engine->tables];
    if (*cached == NULL) {
        *cached = k2_alloc_zero(1, sizeof **cached);
    }
    if (*cached == NULL) {
        return fail_memory(error);
    }
    enum k2_status status = K2_OK;
    if (!(*cached)->loaded) {
        status = read_domains(engine, table, *cached, error);
        if (status != K2_OK) {
            k2_domains_deinit(*cached);
        }
        (*cached)->loaded = status == K2_OK;
    }
    *domains = *cached;
    return status;
}

// ---- names

size_t k2_domain_number_print(char text[K2_DOMAIN_NUMBER_BYTES], int64_t value)
{
    int size = snprintf(text, K2_DOMAIN_NUMBER_BYTES, "%lld", (long long)value);
    return size < 0 ? 0 : (size_t)size;
}

void k2_domain_name_of(struct k2_engine *engine, const struct k2_domain_rule *rule,
                       const struct k2_row_batch *batch, size_t row, struct k2_buffer *name)
{
    for (size_t i = 0; i < rule->column_count; i++) {
        size_t column = rule->columns[i];
        const struct k2_column *about = &batch->schema->columns[column];
        struct k2_domain_part part = {k2_slice_of(about->name), {0}};
        char number[K2_DOMAIN_NUMBER_BYTES];
        if (column == K2_EXCHANGE || column == K2_SYMBOL) {
            struct k2_instrument_name names =
                k2_instrument_name_of(engine, batch->keys[row].instrument);
            part.value = column == K2_EXCHANGE ? names.exchange : names.symbol;
        } else if (batch->columns[column].valid[row] && batch->columns[column].values != NULL) {
            size_t size = k2_domain_number_print(number, batch->columns[column].values[row]);
            part.value = (struct k2_slice){(const uint8_t *)number, size};
        } else if (batch->columns[column].valid[row]) {
            part.value = k2_row_batch_text(batch, batch->columns[column].texts[row]);
        }
        k2_domain_name_put(&part, 1, name);
    }
}

// ---- records

void k2_domain_record_put(const struct k2_domain_record *record, struct k2_buffer *out)
{
    k2_put_u64(out, record->since);
    k2_put_bytes(out, record->name.data, record->name.size_bytes);
}

enum k2_status k2_domain_record_read(struct k2_slice value, struct k2_domain_record *record,
                                     struct k2_error *error)
{
    struct k2_byte_reader reader = {.rest = value};
    record->since = k2_read_u64(&reader);
    record->name = reader.rest;
    return reader.truncated ? k2_fail(error, K2_CORRUPT, "index: domains: a short entry") : K2_OK;
}

enum k2_status k2_domain_store(struct k2_store_txn *txn, uint16_t table, uint32_t domain,
                               const struct k2_domain_record *record, struct k2_error *error)
{
    struct k2_buffer value;
    struct k2_index_key key = k2_index_key_pair(table, domain);
    k2_buffer_init(&value, 1 << 20);
    k2_domain_record_put(record, &value);
    enum k2_status status = k2_buffer_check(&value, "domain", error);
    if (status == K2_OK) {
        status = k2_store_put(txn, K2_STORE_DOMAIN, k2_index_key_slice(&key),
                              k2_buffer_slice(&value), error);
    }
    k2_buffer_deinit(&value);
    return status;
}

enum k2_status k2_domain_user_store(struct k2_store_txn *txn, uint16_t table, uint32_t instrument,
                                    uint32_t domain, uint64_t commit, struct k2_error *error)
{
    struct k2_index_key key = k2_index_key_pair(table, instrument);
    struct k2_index_value value = k2_index_value_number(commit);
    struct k2_slice stored;
    bool found;
    k2_index_key_put(&key, domain, 4);
    enum k2_status status =
        k2_store_get(txn, K2_STORE_DOMAIN_USER, k2_index_key_slice(&key), &found, &stored, error);
    if (status == K2_OK && (!found || k2_index_number(stored) > commit)) {
        status = k2_store_put(txn, K2_STORE_DOMAIN_USER, k2_index_key_slice(&key),
                              k2_index_value_slice(&value), error);
    }
    return status;
}

// ---- new domains

struct addition {
    struct k2_engine *engine;
    const struct k2_table *table;
    const uint32_t *instruments;
    size_t instrument_count;
    const struct k2_slice *names;
    size_t name_count;
    uint32_t first_number; // of the new named ones
    uint64_t since;
};

static enum k2_status put_addition(void *context, struct k2_store_txn *txn, struct k2_error *error)
{
    const struct addition *self = context;
    enum k2_status status = K2_OK;
    struct k2_domain_record record = {.since = self->since};
    struct k2_domains fresh = {.loaded = true};
    for (size_t i = 0; i < self->instrument_count && status == K2_OK; i++) {
        status = k2_domain_store(txn, self->table->id, self->instruments[i], &record, error);
        if (status == K2_OK) {
            status = add_instrument(&fresh, self->instruments[i], error);
        }
    }
    for (size_t i = 0; i < self->name_count && status == K2_OK; i++) {
        record.name = self->names[i];
        uint32_t domain = K2_NAMED_DOMAIN | (self->first_number + (uint32_t)i);
        status = k2_domain_store(txn, self->table->id, domain, &record, error);
        if (status == K2_OK) {
            status = add_named(&fresh, self->table->schema, self->names[i], error);
        }
    }
    if (status == K2_OK) {
        struct k2_ledger_history_request request = {
            .engine = self->engine,
            .table = self->table,
            .domains = &fresh,
            .first_number = self->first_number,
        };
        status = k2_ledger_history_write(&request, txn, error);
    }
    k2_domains_deinit(&fresh);
    return status;
}

// An instrument is told to `_log` by its names: ids come back from segments alone.
static enum k2_status instrument_name(const struct addition *self, uint32_t instrument,
                                      struct k2_buffer *name, struct k2_error *error)
{
    const struct k2_column *columns = self->table->schema->columns;
    struct k2_instrument_name names = k2_instrument_name_of(self->engine, instrument);
    struct k2_domain_part parts[2] = {
        {k2_slice_of(columns[K2_EXCHANGE].name), names.exchange},
        {k2_slice_of(columns[K2_SYMBOL].name), names.symbol},
    };
    k2_domain_name_put(parts, 2, name);
    return k2_buffer_check(name, "domain", error);
}

static enum k2_status log_addition(struct addition *self, struct k2_journal_entry *entries,
                                   size_t *ends, struct k2_buffer *bytes, struct k2_error *error)
{
    size_t count = self->instrument_count + self->name_count;
    enum k2_status status = K2_OK;
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        bool named = i >= self->instrument_count;
        k2_put_u8(bytes, named);
        if (named) {
            struct k2_slice name = self->names[i - self->instrument_count];
            k2_put_bytes(bytes, name.data, name.size_bytes);
            status = k2_buffer_check(bytes, "domain", error);
        } else {
            status = instrument_name(self, self->instruments[i], bytes, error);
        }
        ends[i] = bytes->size_bytes;
    }
    for (size_t i = 0; i < count && status == K2_OK; i++) {
        size_t begin = i == 0 ? 0 : ends[i - 1];
        entries[i] = (struct k2_journal_entry){
            .kind = K2_JOURNAL_DOMAIN,
            .name = k2_slice_of(self->table->schema->table),
            .number = (int64_t)self->since,
            .value = {bytes->data + begin, ends[i] - begin},
        };
    }
    return status == K2_OK
               ? k2_journal_write(self->engine, entries, count, put_addition, self, error)
               : status;
}

enum k2_status k2_domains_add(struct k2_engine *engine, const struct k2_table *table,
                              const uint32_t *instruments, size_t instrument_count,
                              const struct k2_slice *names, size_t name_count,
                              struct k2_error *error)
{
    size_t count = instrument_count + name_count;
    struct k2_domains *domains;
    struct k2_buffer bytes;
    enum k2_status status = k2_domains_load(engine, table, &domains, error);
    if (status != K2_OK || count == 0) {
        return status;
    }
    struct addition addition = {
        .engine = engine,
        .table = table,
        .instruments = instruments,
        .instrument_count = instrument_count,
        .names = names,
        .name_count = name_count,
        .first_number = (uint32_t)domains->names.count,
        .since = engine->newest.id + 1,
    };
    k2_buffer_init(&bytes, 256 << 20);
    struct k2_journal_entry *entries = k2_alloc_zero(count, sizeof *entries);
    size_t *ends = k2_alloc_zero(count, sizeof *ends);
    status = entries == NULL || ends == NULL
                 ? fail_memory(error)
                 : log_addition(&addition, entries, ends, &bytes, error);
    // What is durable now is read again; a failure left nothing.
    k2_domains_deinit(domains);
    k2_free(entries);
    k2_free(ends);
    k2_buffer_deinit(&bytes);
    return status == K2_OK ? k2_domains_load(engine, table, &domains, error) : status;
}
