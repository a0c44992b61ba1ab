#include "ingest/simulate/market.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/base/checksum.h"

// XXH3-64 of the CSV.
#define HASH_TRADES 0x178aaaf8e5e43da0
#define HASH_QUOTES 0x132a32c780b5188b
#define HASH_TROUBLE 0xe204409100b6b2b6

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct k2_market *open_market(const struct k2_market_options *options)
{
    struct k2_market *market = NULL;
    assert_int_equal(k2_market_create(&market, options, NULL), K2_OK);
    return market;
}

static uint64_t hash_of(const struct k2_market_options *options)
{
    struct k2_market *market = open_market(options);
    struct k2_market_row row;
    struct k2_buffer out;
    k2_buffer_init(&out, 1 << 24);
    k2_market_put_csv_header(market, &out);
    while (k2_market_next(market, &row)) {
        k2_market_put_csv(market, &row, &out);
    }
    assert_false(out.failed);
    uint64_t hash = k2_hash(k2_buffer_slice(&out));
    k2_buffer_deinit(&out);
    k2_market_destroy(market);
    return hash;
}

static void the_same_options_give_the_same_bytes_anywhere(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct k2_market_options options;
        uint64_t hash; // written down: a change of it is a change for every user
    } rows[] = {
        {"trades", {.seed = 1, .row_count = 10000}, HASH_TRADES},
        {"quotes", {.seed = 1, .row_count = 10000, .quotes = true}, HASH_QUOTES},
        {"few symbols, all kinds of trouble",
         {.seed = 7,
          .row_count = 10000,
          .symbol_count = 3,
          .gaps_per_million = 1000,
          .late_per_million = 1000,
          .duplicates_per_million = 1000},
         HASH_TROUBLE},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t hash = hash_of(&rows[i].options);
        if (hash != rows[i].hash) {
            fail_msg("%s: %016llx", rows[i].name, (unsigned long long)hash);
        }
    }
    assert_int_not_equal(hash_of(&(struct k2_market_options){.seed = 2, .row_count = 10000}),
                         HASH_TRADES);
}

struct seen {
    uint64_t rows, equal_times, late, duplicates, missing;
    uint64_t of_first, of_last; // rows of the most and of the least active symbol
};

static struct seen look(const struct k2_market_options *options)
{
    enum { SYMBOLS = 100, SEQUENCES = 1 << 18 };
    struct k2_market *market = open_market(options);
    struct k2_market_row row;
    struct seen seen = {0};
    uint8_t *taken = k2_alloc_zero(SYMBOLS, SEQUENCES);
    int64_t highest[SYMBOLS] = {0}, newest_ns = 0;
    assert_non_null(taken);
    while (k2_market_next(market, &row)) {
        size_t symbol = (size_t)strtoul(row.symbol + 1, NULL, 10) - 1;
        assert_true(symbol < SYMBOLS && row.sequence > 0 && row.sequence < SEQUENCES);
        assert_true(row.received_ns > row.time_ns && row.price > 0 && row.quantity > 0);
        uint8_t *place = &taken[symbol * SEQUENCES + (size_t)row.sequence];
        seen.rows++;
        seen.of_first += symbol == 0;
        seen.of_last += symbol == SYMBOLS - 1;
        seen.duplicates += *place;
        seen.late += *place == 0 && row.time_ns < newest_ns;
        seen.equal_times += row.time_ns == newest_ns;
        *place = 1;
        highest[symbol] = row.sequence > highest[symbol] ? row.sequence : highest[symbol];
        newest_ns = row.time_ns > newest_ns ? row.time_ns : newest_ns;
    }
    for (size_t symbol = 0; symbol < SYMBOLS; symbol++) {
        for (int64_t sequence = 1; sequence <= highest[symbol]; sequence++) {
            seen.missing += taken[symbol * SEQUENCES + (size_t)sequence] == 0;
        }
    }
    k2_free(taken);
    k2_market_destroy(market);
    return seen;
}

static void a_market_is_skewed_and_has_equal_times_but_no_trouble_unasked(void **state)
{
    (void)state;
    struct seen seen =
        look(&(struct k2_market_options){.seed = 3, .row_count = 200000, .symbol_count = 100});
    assert_int_equal(seen.rows, 200000);
    assert_true(seen.of_first > 20 * seen.of_last && seen.of_last > 0);
    assert_true(seen.equal_times > 2000);
    assert_int_equal(seen.late, 0);
    assert_int_equal(seen.duplicates, 0);
    assert_int_equal(seen.missing, 0);
}

static void gaps_late_rows_and_duplicates_come_on_request(void **state)
{
    (void)state;
    struct k2_market_options options = {.seed = 3, .row_count = 200000, .symbol_count = 100};
    options.gaps_per_million = 500;
    assert_in_range(look(&options).missing, 100, 1500);
    options.gaps_per_million = 0;
    options.late_per_million = 500;
    struct seen seen = look(&options);
    assert_in_range(seen.late, 50, 200);
    assert_int_equal(seen.missing, 0); // what is late still comes
    options.late_per_million = 0;
    options.duplicates_per_million = 500;
    seen = look(&options);
    assert_in_range(seen.duplicates, 50, 200);
    assert_int_equal(seen.rows, 200000);
    assert_int_equal(seen.missing, 0);
}

static void creation_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct k2_market *market = NULL;
    enum k2_status status = K2_NO_MEMORY;
    for (long count = 0; status != K2_OK; count++) {
        k2_alloc_fail_after(count);
        status = k2_market_create(&market, &(struct k2_market_options){.row_count = 1}, NULL);
        assert_true(status == K2_OK || (status == K2_NO_MEMORY && market == NULL));
    }
    k2_alloc_fail_after(-1);
    k2_market_destroy(market);
    struct k2_market_options many = {.symbol_count = 100001};
    assert_int_equal(k2_market_create(&market, &many, NULL), K2_BAD_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_options_give_the_same_bytes_anywhere),
        cmocka_unit_test(a_market_is_skewed_and_has_equal_times_but_no_trouble_unasked),
        cmocka_unit_test(gaps_late_rows_and_duplicates_come_on_request),
        cmocka_unit_test(creation_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
