#include <stdlib.h>

#include "engine/completeness.h"
#include "engine/instruments.h"
#include "engine/k2_db.h"
#include "engine/snapshot.h"
#include "format/base/alloc.h"

_Static_assert((int)K2_COVERAGE_UNKNOWN == (int)K2_COMPLETE_UNKNOWN, "unknown");
_Static_assert((int)K2_COVERAGE_GAPS == (int)K2_COMPLETE_NO, "gaps");
_Static_assert((int)K2_COVERAGE_COMPLETE == (int)K2_COMPLETE_YES, "complete");

static int compare_ids(const void *left, const void *right)
{
    const uint32_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

// The ids of the instruments of a choice, sorted; owned. Those that are not there are left out.
static enum k2_status list_ids(struct k2_db *db, const struct k2_choice *choice, uint32_t **ids,
                               size_t *count, struct k2_error *error)
{
    struct k2_instrument_name *names = k2_alloc_zero(choice->instrument_count, sizeof *names);
    uint32_t *list = k2_alloc_zero(choice->instrument_count, sizeof *list);
    enum k2_status status = names == NULL || list == NULL
                                ? k2_fail(error, K2_NO_MEMORY, "query: out of memory")
                                : K2_OK;
    *count = 0;
    *ids = list;
    for (size_t i = 0; i < choice->instrument_count && status == K2_OK; i++) {
        names[i] = (struct k2_instrument_name){choice->instruments[i].exchange,
                                               choice->instruments[i].symbol};
    }
    if (status == K2_OK) {
        status = k2_instruments_find(db->engine, names, choice->instrument_count, list, error);
    }
    for (size_t i = 0; i < choice->instrument_count && status == K2_OK; i++) {
        if (list[i] != 0) {
            list[(*count)++] = list[i];
        }
    }
    if (*count > 1) {
        qsort(list, *count, sizeof *list, compare_ids);
    }
    k2_free(names);
    return status;
}

static enum k2_status cover(struct k2_db *db, const struct k2_scan_request *scan,
                            const struct k2_choice *choice, struct k2_coverage *coverage,
                            struct k2_error *error)
{
    struct k2_completeness_request request = {
        .table = scan->table,
        .snapshot = scan->snapshot,
        .has_start = scan->has_start,
        .has_end = scan->has_end,
        .start_ns = scan->start_ns,
        .end_ns = scan->end_ns,
    };
    struct k2_completeness known;
    struct k2_snapshot newest;
    uint32_t *ids = NULL;
    enum k2_status status = K2_OK;
    if (request.snapshot == 0) {
        status = k2_snapshot_newest(db->engine, &newest, error);
        request.snapshot = status == K2_OK ? newest.id : 0;
    }
    if (status == K2_OK && scan->instruments != NULL) {
        status = list_ids(db, choice, &ids, &request.instrument_count, error);
        request.instruments = ids;
    }
    if (status == K2_OK) {
        status = k2_completeness_get(db->engine, &request, &known, error);
    }
    if (status == K2_OK) {
        *coverage = (struct k2_coverage){
            .size_bytes = coverage->size_bytes,
            .state = (enum k2_coverage_state)known.complete,
            .reason = k2_incomplete_reason_name(known.reason),
            .snapshot = request.snapshot,
            .gap_count = known.gap_count,
            .has_known = known.has_known,
            .known_from_ns = known.known_from_ns,
            .known_until_ns = known.known_until_ns,
        };
    }
    k2_free(ids);
    return status;
}

enum k2_status k2_query_coverage(struct k2_db *db, const struct k2_query *query,
                                 struct k2_coverage *coverage, struct k2_error *error)
{
    struct k2_choice choice = {0};
    struct k2_scan_request request = {0};
    if (coverage->size_bytes != sizeof *coverage) {
        return k2_fail(error, K2_BAD_REQUEST, "coverage: size_bytes is %zu, expected %zu",
                       coverage->size_bytes, sizeof *coverage);
    }
    enum k2_status status = k2_query_to_request(db, query, &choice, &request, error);
    if (status == K2_OK) {
        status = cover(db, &request, &choice, coverage, error);
    }
    k2_choice_free(&choice);
    return status;
}
