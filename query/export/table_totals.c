#include "query/export/table_totals.h"

#include <stdio.h>

#include "format/base/alloc.h"
#include "format/base/checksum.h"

static const uint64_t null_hash = UINT64_C(0x9e3779b97f4a7c15);

// The end of splitmix64: every bit of the input changes half of those of the output.
static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

enum k2_status k2_table_totals_init(struct k2_table_totals *totals,
                                    const struct k2_parquet_field *fields, size_t field_count,
                                    struct k2_error *error)
{
    *totals = (struct k2_table_totals){.fields = fields, .field_count = field_count};
    totals->totals = k2_alloc_zero(field_count, sizeof *totals->totals);
    return totals->totals != NULL ? K2_OK : k2_fail(error, K2_NO_MEMORY, "verify: no memory");
}

void k2_table_totals_deinit(struct k2_table_totals *totals)
{
    k2_free(totals->totals);
    k2_free(totals->hashes);
    *totals = (struct k2_table_totals){0};
}

enum k2_status k2_table_totals_begin(struct k2_table_totals *totals, size_t row_count,
                                     struct k2_error *error)
{
    if (row_count > totals->hash_room) {
        uint64_t *grown = k2_realloc(totals->hashes, row_count, sizeof *grown);
        if (grown == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "verify: no memory");
        }
        totals->hashes = grown;
        totals->hash_room = row_count;
    }
    if (row_count > 0) {
        memset(totals->hashes, 0, row_count * sizeof *totals->hashes);
    }
    totals->rows += row_count;
    return K2_OK;
}

static void count_number(struct k2_field_totals *total, int64_t number)
{
    total->min = !total->has_range || number < total->min ? number : total->min;
    total->max = !total->has_range || number > total->max ? number : total->max;
    total->has_range = true;
    total->sum += number;
}

void k2_table_totals_field(struct k2_table_totals *totals, size_t field, size_t row_count,
                           const int64_t *numbers, const struct k2_slice *texts,
                           const uint8_t *valid)
{
    struct k2_field_totals *total = &totals->totals[field];
    uint64_t seed = mix(totals->fields[field].id + 1);
    for (size_t row = 0; row < row_count; row++) {
        uint64_t hash = null_hash;
        if (valid != NULL && !valid[row]) {
            total->nulls++;
        } else if (texts != NULL) {
            total->text_bytes += texts[row].size_bytes;
            hash = k2_hash(texts[row]);
        } else {
            count_number(total, numbers[row]);
            hash = mix((uint64_t)numbers[row] + null_hash);
        }
        totals->hashes[row] += mix(hash ^ seed);
    }
}

void k2_table_totals_null(struct k2_table_totals *totals, size_t field, size_t row_count)
{
    uint64_t seed = mix(totals->fields[field].id + 1);
    totals->totals[field].nulls += row_count;
    for (size_t row = 0; row < row_count; row++) {
        totals->hashes[row] += mix(null_hash ^ seed);
    }
}

void k2_table_totals_end(struct k2_table_totals *totals, size_t row_count)
{
    for (size_t row = 0; row < row_count; row++) {
        totals->checksum[0] += mix(totals->hashes[row]);
        totals->checksum[1] += mix(totals->hashes[row] ^ null_hash);
    }
}

static bool same_field(const struct k2_field_totals *a, const struct k2_field_totals *b,
                       const char **what, long long figures[2])
{
    const struct {
        const char *name;
        long long left, right;
    } pairs[] = {
        {"nulls", (long long)a->nulls, (long long)b->nulls},
        {"bytes of text", (long long)a->text_bytes, (long long)b->text_bytes},
        {"least", a->min, b->min},
        {"greatest", a->max, b->max},
        {"sum (its low 64 bits)", (long long)a->sum, (long long)b->sum},
        {"sum (its high 64 bits)", (long long)(a->sum >> 64), (long long)(b->sum >> 64)},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (pairs[i].left != pairs[i].right) {
            *what = pairs[i].name;
            figures[0] = pairs[i].left;
            figures[1] = pairs[i].right;
            return false;
        }
    }
    return true;
}

bool k2_table_totals_same(const struct k2_table_totals *left, const struct k2_table_totals *right,
                          const char *left_name, const char *right_name, char *difference,
                          size_t difference_bytes)
{
    const char *what;
    long long figures[2];
    if (left->rows != right->rows) {
        (void)snprintf(difference, difference_bytes, "rows: %llu in %s, %llu in %s",
                       (unsigned long long)left->rows, left_name, (unsigned long long)right->rows,
                       right_name);
        return false;
    }
    for (size_t i = 0; i < left->field_count; i++) {
        if (!same_field(&left->totals[i], &right->totals[i], &what, figures)) {
            (void)snprintf(difference, difference_bytes, "%.60s: %s: %lld in %s, %lld in %s",
                           left->fields[i].name, what, figures[0], left_name, figures[1],
                           right_name);
            return false;
        }
    }
    if (left->checksum[0] != right->checksum[0] || left->checksum[1] != right->checksum[1]) {
        (void)snprintf(difference, difference_bytes,
                       "the checksum of the rows, though counts and sums of each column agree");
        return false;
    }
    return true;
}
