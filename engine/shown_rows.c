#include "engine/shown_rows.h"

#include <stdlib.h>
#include <string.h>

#include "engine/scan.h"
#include "format/base/alloc.h"
#include "format/segment/row_batch.h"

enum { KEY_TEXT_BYTES = 512 }; // an exchange and a symbol

struct version {
    uint64_t commit, until;
    bool deletes;
};

struct count {
    uint64_t first;
    size_t count;
    int64_t *rows; // while rows are read: what each snapshot shows more than the one before it

    // The key whose versions are being gathered.
    bool has_key;
    int64_t time_ns, epoch, sequence;
    uint8_t text[KEY_TEXT_BYTES];
    size_t exchange_bytes, symbol_bytes;
    struct version *versions; // owned
    size_t version_count, version_room;
};

static int compare_versions(const void *left, const void *right)
{
    const struct version *a = left, *b = right;
    return (a->commit > b->commit) - (a->commit < b->commit);
}

static void add(struct count *self, uint64_t snapshot, int64_t rows)
{
    size_t place = snapshot < self->first ? 0 : (size_t)(snapshot - self->first);
    if (place < self->count) {
        self->rows[place] += rows;
    }
}

// A version counts until the next one, or until it says so: the next may have been dropped.
static void end_key(struct count *self)
{
    if (self->version_count > 1) {
        qsort(self->versions, self->version_count, sizeof *self->versions, compare_versions);
    }
    for (size_t i = 0; i < self->version_count; i++) {
        const struct version *version = &self->versions[i];
        uint64_t until = version->until == 0 ? UINT64_MAX : version->until;
        if (i + 1 < self->version_count && self->versions[i + 1].commit < until) {
            until = self->versions[i + 1].commit;
        }
        if (!version->deletes) {
            add(self, version->commit, 1);
            add(self, until, -1);
        }
    }
    self->version_count = 0;
}

static bool has_key(const struct count *self, const struct k2_vector *columns, size_t row)
{
    const struct k2_slice exchange = {self->text, self->exchange_bytes};
    const struct k2_slice symbol = {self->text + self->exchange_bytes, self->symbol_bytes};
    return self->has_key && columns[0].values[row] == self->time_ns &&
           columns[1].values[row] == self->epoch && columns[2].values[row] == self->sequence &&
           k2_slice_equal(columns[3].texts[row], exchange) &&
           k2_slice_equal(columns[4].texts[row], symbol);
}

static enum k2_status begin_key(struct count *self, const struct k2_vector *columns, size_t row,
                                struct k2_error *error)
{
    struct k2_slice exchange = columns[3].texts[row], symbol = columns[4].texts[row];
    if (exchange.size_bytes + symbol.size_bytes > KEY_TEXT_BYTES) {
        return k2_fail(error, K2_CORRUPT, "an instrument's name of %zu bytes",
                       exchange.size_bytes + symbol.size_bytes);
    }
    self->has_key = true;
    self->time_ns = columns[0].values[row];
    self->epoch = columns[1].values[row];
    self->sequence = columns[2].values[row];
    self->exchange_bytes = exchange.size_bytes;
    self->symbol_bytes = symbol.size_bytes;
    memcpy(self->text, exchange.data, exchange.size_bytes);
    memcpy(self->text + exchange.size_bytes, symbol.data, symbol.size_bytes);
    return K2_OK;
}

static enum k2_status take_row(struct count *self, const struct k2_vector *columns, size_t row,
                               struct k2_error *error)
{
    if (!has_key(self, columns, row)) {
        end_key(self);
        enum k2_status status = begin_key(self, columns, row, error);
        if (status != K2_OK) {
            return status;
        }
    }
    if (self->version_count == self->version_room) {
        size_t room = self->version_room * 2 + 16;
        struct version *grown = k2_realloc(self->versions, room, sizeof *grown);
        if (grown == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "out of memory");
        }
        self->versions = grown;
        self->version_room = room;
    }
    self->versions[self->version_count++] = (struct version){
        .commit = (uint64_t)columns[5].values[row],
        .until = (uint64_t)columns[7].values[row],
        .deletes = columns[6].values[row] == K2_OP_DELETE,
    };
    return K2_OK;
}

enum k2_status k2_shown_rows_count(struct k2_engine *engine, const struct k2_table *table,
                                   uint64_t first, size_t count, int64_t *rows,
                                   struct k2_error *error)
{
    const size_t columns[] = {K2_TIMESTAMP, K2_EPOCH, K2_SEQUENCE, K2_EXCHANGE, K2_SYMBOL};
    struct k2_scan_request request = {
        .table = table,
        .columns = columns,
        .column_count = sizeof columns / sizeof columns[0],
        .with_commit = true,
        .every_version = true,
    };
    struct count self = {.first = first, .count = count, .rows = rows};
    struct k2_scan *scan = NULL;
    memset(rows, 0, count * sizeof *rows);
    enum k2_status status = k2_scan_open(engine, &request, &scan, error);
    for (size_t found = 1; status == K2_OK && found > 0;) {
        const struct k2_vector *vectors;
        status = k2_scan_next(scan, &vectors, &found, error);
        for (size_t i = 0; status == K2_OK && i < found; i++) {
            status = take_row(&self, vectors, i, error);
        }
    }
    k2_scan_close(scan);
    if (status == K2_OK) {
        end_key(&self);
        for (size_t i = 1; i < count; i++) {
            rows[i] += rows[i - 1];
        }
    } else {
        k2_error_annotate(error, "rows of table %s", table->schema->table);
    }
    k2_free(self.versions);
    return status;
}
