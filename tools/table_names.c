#include "tools/table_names.h"

#include <stdlib.h>

static bool next_name(struct k2_slice *rest, struct k2_slice *name)
{
    while (rest->size_bytes > 0 && rest->data[0] == ',') {
        rest->data++;
        rest->size_bytes--;
    }
    if (rest->size_bytes == 0) {
        return false;
    }
    const uint8_t *comma = memchr(rest->data, ',', rest->size_bytes);
    name->data = rest->data;
    name->size_bytes = comma == NULL ? rest->size_bytes : (size_t)(comma - rest->data);
    rest->data += name->size_bytes;
    rest->size_bytes -= name->size_bytes;
    return true;
}

static enum k2_status add_named(struct k2_table_names *names, struct k2_engine *engine,
                                struct k2_slice name, struct k2_error *error)
{
    const struct k2_table *table = k2_engine_table(engine, name);
    if (table == NULL || name.data[0] == '_') {
        return k2_fail(error, K2_NOT_FOUND, "--table: there is no table `%.*s`",
                       (int)name.size_bytes, (const char *)name.data);
    }
    for (size_t i = 0; i < names->count; i++) {
        if (names->tables[i] == table) {
            return K2_OK;
        }
    }
    names->tables[names->count++] = table; // no more than the store has
    return K2_OK;
}

enum k2_status k2_table_names_read(struct k2_table_names *names, const struct k2_cli *cli,
                                   struct k2_engine *engine, struct k2_error *error)
{
    const char *text = k2_cli_value(cli, "table");
    struct k2_slice rest = k2_slice_of(text == NULL ? "" : text), name;
    *names = (struct k2_table_names){.named = text != NULL};
    for (size_t i = 0; !names->named && i < K2_MAX_SNAPSHOT_TABLES; i++) {
        const struct k2_table *table = k2_engine_table_at(engine, i);
        if (table == NULL) {
            break;
        }
        if (table->schema->table[0] != '_') { // the store's own
            names->tables[names->count++] = table;
        }
    }
    enum k2_status status = K2_OK;
    while (status == K2_OK && next_name(&rest, &name)) {
        status = add_named(names, engine, name, error);
    }
    if (status == K2_OK && names->named && names->count == 0) {
        status = k2_fail(error, K2_BAD_REQUEST, "--table: which one? Give one, such as trades");
    }
    return status;
}

enum k2_status k2_read_age(const char *text, const char *option, int64_t *age_ms,
                           struct k2_error *error)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    char *end = NULL;
    unsigned long long number = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    for (size_t i = 0; end != NULL && i < sizeof units / sizeof units[0]; i++) {
        if (end[0] == units[i].unit && end[1] == '\0' && number <= 100000000) {
            *age_ms = (int64_t)number * units[i].ms;
            return K2_OK;
        }
    }
    return k2_fail(error, K2_BAD_REQUEST,
                   "%s: `%.40s` is no length of time; write 90s, 15m, 6h, 7d", option, text);
}
