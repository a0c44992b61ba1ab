#include "ingest/sequence_rule.h"

#include <stdio.h>
#include <string.h>

#include "engine/epoch_detect.h"
#include "format/base/alloc.h"
#include "format/base/timestamp.h"
#include "ingest/time_zone.h"

enum { DAY_S = 86400, TEXT_BYTES = 512 };

enum epoch_rule { EPOCH_AS_GIVEN = 0, EPOCH_CONSTANT, EPOCH_DATE, EPOCH_FIELD, EPOCH_DETECT };

struct k2_sequence_rule {
    bool has_numbering;
    enum k2_numbering numbering;
    struct k2_domain_rule domain;
    enum epoch_rule epoch;
    struct k2_time_zone *zone; // owned; EPOCH_DATE
    int64_t cut_s;             // when the day begins
    size_t column;             // EPOCH_FIELD
    char name[32];             // of the numbering's text, for complaints
};

static enum k2_status read_numbering(struct k2_sequence_rule *self, const char *text,
                                     const char *name, struct k2_error *error)
{
    static const struct {
        const char *text;
        enum k2_numbering numbering;
    } numberings[] = {{"sparse", K2_NUMBERING_SPARSE},
                      {"dense", K2_NUMBERING_DENSE},
                      {"ordinal", K2_NUMBERING_ORDINAL}};
    for (size_t i = 0; i < sizeof numberings / sizeof numberings[0]; i++) {
        if (strcmp(text, numberings[i].text) == 0) {
            self->has_numbering = true;
            self->numbering = numberings[i].numbering;
            return K2_OK;
        }
    }
    return k2_fail(error, K2_BAD_REQUEST,
                   "%s: `%.100s` is not known; give one of sparse, dense, ordinal", name, text);
}

// `ZONE` or `ZONE:HH:MM`.
static enum k2_status read_date(struct k2_sequence_rule *self, const char *text, const char *name,
                                struct k2_error *error)
{
    char zone[TEXT_BYTES];
    size_t size = strcspn(text, ":");
    unsigned hours, minutes;
    int end = 0;
    if (size >= sizeof zone) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: no such time zone", name);
    }
    memcpy(zone, text, size);
    zone[size] = '\0';
    if (text[size] == ':') {
        if (sscanf(text + size, ":%2u:%2u%n", &hours, &minutes, &end) != 2 ||
            text[size + (size_t)end] != '\0' || hours > 23 || minutes > 59) {
            return k2_fail(error, K2_BAD_REQUEST,
                           "%s: `%.100s` is no time of day; write date:ZONE:HH:MM", name,
                           text + size + 1);
        }
        self->cut_s = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    }
    self->epoch = EPOCH_DATE;
    enum k2_status status = k2_time_zone_load(&self->zone, zone, error);
    if (status != K2_OK) {
        k2_error_annotate(error, "%s", name);
    }
    return status;
}

static enum k2_status read_field(struct k2_sequence_rule *self, const char *text, const char *name,
                                 const struct k2_schema *schema, struct k2_error *error)
{
    int column = k2_schema_find(schema, k2_slice_of(text));
    bool whole = column >= K2_KEY_COLUMN_COUNT && schema->columns[column].kind <= K2_KIND_INT64;
    if (column != K2_EPOCH && !whole) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: table %s has no column `%.100s` of integers",
                       name, schema->table, text);
    }
    self->epoch = column == K2_EPOCH ? EPOCH_AS_GIVEN : EPOCH_FIELD;
    self->column = (size_t)column;
    return K2_OK;
}

static enum k2_status read_epoch(struct k2_sequence_rule *self, const char *text, const char *name,
                                 const struct k2_schema *schema, struct k2_error *error)
{
    if (strcmp(text, "constant") == 0) {
        self->epoch = EPOCH_CONSTANT;
    } else if (strcmp(text, "detect") == 0) {
        self->epoch = EPOCH_DETECT;
    } else if (strncmp(text, "date:", 5) == 0) {
        return read_date(self, text + 5, name, error);
    } else if (strncmp(text, "field:", 6) == 0) {
        return read_field(self, text + 6, name, schema, error);
    } else {
        return k2_fail(error, K2_BAD_REQUEST,
                       "%s: `%.100s` is not known; give one of constant, date:ZONE[:HH:MM], "
                       "field:COLUMN, detect",
                       name, text);
    }
    return K2_OK;
}

static enum k2_status read_domain(struct k2_sequence_rule *self, const char *text, const char *name,
                                  const struct k2_schema *schema, struct k2_error *error)
{
    if (strcmp(text, "instrument") == 0) {
        return K2_OK;
    }
    const char *at = strncmp(text, "field:", 6) == 0 ? text + 6 : text;
    for (bool more = true; more;) {
        size_t size = strcspn(at, ",");
        int column = k2_schema_find(schema, (struct k2_slice){(const uint8_t *)at, size});
        bool key = column == K2_TIMESTAMP || column == K2_EPOCH || column == K2_SEQUENCE;
        if (column < 0 || key || self->domain.column_count == K2_DOMAIN_COLUMNS) {
            return k2_fail(error, K2_BAD_REQUEST,
                           "%s: `%.100s` is not instrument, nor up to %d columns of table %s that "
                           "can name a counter",
                           name, text, K2_DOMAIN_COLUMNS, schema->table);
        }
        self->domain.columns[self->domain.column_count++] = (size_t)column;
        more = at[size] == ',';
        at += more ? size + 1 : size;
    }
    return K2_OK;
}

static enum k2_status check(const struct k2_sequence_rule *self,
                            const struct k2_sequence_texts *texts, struct k2_error *error)
{
    bool dense = self->has_numbering && self->numbering == K2_NUMBERING_DENSE;
    const char *name = self->domain.column_count > 0 ? texts->domain_name
                       : self->epoch == EPOCH_DETECT ? texts->epoch_name
                                                     : NULL;
    return dense || name == NULL
               ? K2_OK
               : k2_fail(error, K2_BAD_REQUEST, "%s: is of dense sources alone; say %s dense", name,
                         texts->sequence_name);
}

enum k2_status k2_sequence_rule_parse(struct k2_sequence_rule **rule,
                                      const struct k2_sequence_texts *texts,
                                      const struct k2_schema *schema, struct k2_error *error)
{
    *rule = NULL;
    if (texts->sequence == NULL && texts->epoch == NULL && texts->domain == NULL) {
        return K2_OK;
    }
    struct k2_sequence_rule *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "sequences: out of memory");
    }
    enum k2_status status = K2_OK;
    (void)snprintf(self->name, sizeof self->name, "%s", texts->sequence_name);
    if (texts->sequence != NULL) {
        status = read_numbering(self, texts->sequence, texts->sequence_name, error);
    }
    if (status == K2_OK && texts->epoch != NULL) {
        status = read_epoch(self, texts->epoch, texts->epoch_name, schema, error);
    }
    if (status == K2_OK && texts->domain != NULL) {
        status = read_domain(self, texts->domain, texts->domain_name, schema, error);
    }
    if (status == K2_OK) {
        status = check(self, texts, error);
    }
    if (status != K2_OK) {
        k2_sequence_rule_destroy(self);
        return status;
    }
    *rule = self;
    return K2_OK;
}

void k2_sequence_rule_destroy(struct k2_sequence_rule *rule)
{
    if (rule != NULL) {
        k2_time_zone_destroy(rule->zone);
        k2_free(rule);
    }
}

bool k2_sequence_rule_numbering(const struct k2_sequence_rule *rule, enum k2_numbering *numbering)
{
    bool has = rule != NULL && rule->has_numbering;
    *numbering = has ? rule->numbering : K2_NUMBERING_SPARSE;
    return has;
}

static int64_t floor_divide(int64_t value, int64_t divisor)
{
    int64_t quotient = value / divisor;
    return value % divisor < 0 ? quotient - 1 : quotient;
}

// The number of the trading day since 1970-01-01. One that begins in the afternoon has the date on
// which it ends.
static int64_t trading_day(const struct k2_sequence_rule *self, int64_t time_ns)
{
    int64_t local_s = k2_time_zone_to_local(self->zone, floor_divide(time_ns, K2_NS_PER_SECOND));
    return floor_divide(local_s - self->cut_s, DAY_S) + (self->cut_s >= DAY_S / 2);
}

static void set_epochs(const struct k2_sequence_rule *self, struct k2_row_batch *batch)
{
    for (size_t i = 0; i < batch->row_count; i++) {
        struct k2_row_key *key = &batch->keys[i];
        if (self->epoch == EPOCH_DATE) {
            key->epoch = trading_day(self, key->time_ns);
        } else if (self->epoch == EPOCH_FIELD && batch->columns[self->column].valid[i] != 0) {
            key->epoch = batch->columns[self->column].values[i];
        } else if (self->epoch == EPOCH_CONSTANT) {
            key->epoch = 0;
        }
    }
}

enum k2_status k2_sequence_rule_apply(const struct k2_sequence_rule *rule,
                                      enum k2_numbering numbering, struct k2_engine *engine,
                                      const struct k2_table *table, struct k2_row_batch *batch,
                                      struct k2_source *source, struct k2_error *error)
{
    *source = (struct k2_source){.numbering = numbering};
    if (rule == NULL) {
        return K2_OK;
    }
    bool numbered = numbering != K2_NUMBERING_ORDINAL;
    if (rule->has_numbering && numbered != (rule->numbering != K2_NUMBERING_ORDINAL)) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: %s", rule->name,
                       numbered ? "the rows have a sequence; ordinal is for rows without"
                                : "the rows have no sequence; name the field with a map");
    }
    source->numbering = rule->has_numbering ? rule->numbering : numbering;
    source->domain = rule->domain;
    source->detects_epochs = rule->epoch == EPOCH_DETECT;
    set_epochs(rule, batch);
    return source->detects_epochs ? k2_epochs_detect(engine, table, source, batch, error) : K2_OK;
}
