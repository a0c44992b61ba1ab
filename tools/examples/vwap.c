// The volume-weighted average price of every symbol in a range, as of a snapshot.
//
//   vwap STORE [START END [AS-OF]]
//
//   cc -std=c99 vwap.c $(pkg-config --cflags --libs k2) -o vwap
//   ./vwap k2-data 2014-03-11 2014-03-12
//   ./vwap k2-data 2014-03-11 2014-03-12 before-correction      (a snapshot id, a time or a tag)
//
// Prices and quantities are integers with 8 decimal places. Their products are added up in 128
// bits, so that the result is exact until it is rounded, once, half to even.
#include <k2.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef __int128 wide;

struct total {
    char exchange[33], symbol[256]; // the longest that a store holds
    uint64_t trades;
    wide quantity, amount; // sum(quantity), sum(price * quantity)
};

struct totals {
    struct total *items;
    size_t count, last; // `last`: rows of one symbol mostly follow each other
};

static int is_text(const char *known, struct k2_text text)
{
    return strlen(known) == text.size_bytes && memcmp(known, text.data, text.size_bytes) == 0;
}

static struct total *total_of(struct totals *totals, struct k2_text exchange, struct k2_text symbol)
{
    size_t i, tries;
    for (tries = 0, i = totals->last; tries < totals->count; tries++, i = (i + 1) % totals->count) {
        struct total *total = &totals->items[i];
        if (is_text(total->symbol, symbol) && is_text(total->exchange, exchange)) {
            totals->last = i;
            return total;
        }
    }
    struct total *items = realloc(totals->items, (totals->count + 1) * sizeof *items);
    if (items == NULL) {
        return NULL;
    }
    totals->items = items;
    totals->last = totals->count++;
    struct total *total = &items[totals->last];
    memset(total, 0, sizeof *total);
    memcpy(total->exchange, exchange.data, exchange.size_bytes);
    memcpy(total->symbol, symbol.data, symbol.size_bytes);
    return total;
}

// Adds the rows at hand; 0 when memory or 128 bits are not enough.
static int add_rows(struct totals *totals, const struct k2_cursor *cursor, size_t rows)
{
    const struct k2_text *exchanges = k2_cursor_texts(cursor, 0);
    const struct k2_text *symbols = k2_cursor_texts(cursor, 1);
    const int64_t *prices = k2_cursor_values(cursor, 2);
    const int64_t *quantities = k2_cursor_values(cursor, 3);
    for (size_t i = 0; i < rows; i++) {
        struct total *total = total_of(totals, exchanges[i], symbols[i]);
        wide amount = (wide)prices[i] * quantities[i];
        if (total == NULL || __builtin_add_overflow(total->amount, amount, &total->amount)) {
            return 0;
        }
        total->quantity += quantities[i];
        total->trades++;
    }
    return 1;
}

// amount / quantity, half to even.
static int64_t average(wide amount, wide quantity)
{
    wide whole = amount / quantity, twice = amount % quantity * 2;
    wide magnitude = twice < 0 ? -twice : twice, half = quantity < 0 ? -quantity : quantity;
    if (magnitude > half || (magnitude == half && whole % 2 != 0)) {
        whole += (twice < 0) == (quantity < 0) ? 1 : -1;
    }
    return (int64_t)whole;
}

static int compare_totals(const void *left, const void *right)
{
    const struct total *a = left, *b = right;
    int order = strcmp(a->exchange, b->exchange);
    return order != 0 ? order : strcmp(a->symbol, b->symbol);
}

static void print_totals(struct totals *totals)
{
    if (totals->count > 0) {
        qsort(totals->items, totals->count, sizeof *totals->items, compare_totals);
    }
    printf("%-10s %-16s %12s %20s\n", "exchange", "symbol", "trades", "vwap");
    for (size_t i = 0; i < totals->count; i++) {
        const struct total *total = &totals->items[i];
        char vwap[K2_DECIMAL_BYTES] = "-";
        if (total->quantity != 0) {
            k2_decimal_to_text(average(total->amount, total->quantity), 8, vwap);
        }
        printf("%-10s %-16s %12" PRIu64 " %20s\n", total->exchange, total->symbol, total->trades,
               vwap);
    }
}

static enum k2_status run(struct k2_db *db, int argc, char **argv, struct totals *totals,
                          struct k2_error *error)
{
    static const char *const columns[] = {"exchange", "symbol", "price", "quantity"};
    struct k2_query query = {.size_bytes = sizeof query, .table = "trades"};
    enum k2_status status = K2_OK;
    query.columns = columns;
    query.column_count = 4;
    query.order = K2_CURSOR_STORED; // a sum needs no order
    if (argc > 3) {
        query.has_start = query.has_end = true;
        status = k2_time_from_text(argv[2], &query.start_ns, error);
        if (status == K2_OK) {
            status = k2_time_from_text(argv[3], &query.end_ns, error);
        }
    }
    if (status == K2_OK && argc > 4) {
        status = k2_db_snapshot(db, argv[4], &query.snapshot, error);
    }
    struct k2_cursor *cursor = NULL;
    if (status == K2_OK) {
        status = k2_cursor_open(&cursor, db, &query, error);
    }
    size_t rows = 1;
    while (status == K2_OK && rows > 0) {
        status = k2_cursor_next(cursor, &rows, error);
        if (status == K2_OK && !add_rows(totals, cursor, rows)) {
            snprintf(error->text, sizeof error->text, "sums beyond 128 bits, or no memory");
            status = K2_LIMIT;
        }
    }
    if (status == K2_OK) {
        fprintf(stderr, "as of snapshot %" PRIu64 "\n", k2_cursor_snapshot(cursor));
    }
    k2_cursor_close(cursor);
    return status;
}

int main(int argc, char **argv)
{
    struct k2_error error = {K2_OK, ""};
    struct totals totals = {NULL, 0, 0};
    struct k2_db *db = NULL;
    if (argc < 2 || argc == 3 || argc > 5) {
        fprintf(stderr, "usage: vwap STORE [START END [AS-OF]]\n");
        return 2;
    }
    enum k2_status status = k2_db_open(&db, argv[1], K2_DB_READ, &error);
    if (status == K2_OK) {
        status = run(db, argc, argv, &totals, &error);
    }
    if (status == K2_OK) {
        print_totals(&totals);
    } else {
        fprintf(stderr, "vwap: %s (%s)\n", error.text, k2_status_name(status));
    }
    free(totals.items);
    k2_db_close(db);
    return status == K2_OK ? 0 : 1;
}
