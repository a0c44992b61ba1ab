// Which instruments names mean: exactly, without regard to case, ambiguous, canonical.
#include "query/instrument_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "query/canonical.h"

static const struct {
    const char *symbol, *canonical;
} canonicals[] = {
    {"BTC/USD", "BTC/USD"},
    {"BTC-USD", "BTC/USD"},
    {"BTCUSDT", "BTC/USDT"},
    {"btcusdt", "BTC/USDT"},
    {"XBT/USD", "BTC/USD"},
    {"XDG/USD", "DOGE/USD"},
    {"ETH/XBT", "ETH/BTC"},
    {"XBTUSD", "BTC/USD"},
    {"BTCBUSD", "BTC/BUSD"},
    {"BNBBTC", "BNB/BTC"},
    {"EURUSD", "EUR/USD"},
    {"BHP", "BHP"},
    {"GBTC", "GBTC"},
    {"DOTUSD", "DOT/USD"},
    {"BTCTUSD", "BTC/TUSD"},
    {"OPUSDT", "OP/USDT"},
    {"USD", "USD"},
    {"/USD", "/USD"},
    {"BTC/", "BTC/"},
    {"A-B-C", "A-B-C"},
    {"XBT", "BTC"},
    {"BRK-B", "BRK/B"},
    {"", ""},
};

static void symbols_have_one_canonical_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof canonicals / sizeof canonicals[0]; i++) {
        char text[K2_CANONICAL_BYTES + 1];
        text[k2_canonical_symbol(k2_slice_of(canonicals[i].symbol), text)] = '\0';
        assert_string_equal(text, canonicals[i].canonical);
    }
    uint8_t longest[255];
    char text[K2_CANONICAL_BYTES];
    memset(longest, 'x', sizeof longest);
    assert_int_equal(k2_canonical_symbol((struct k2_slice){longest, 255}, text), 0);
    assert_int_equal(k2_canonical_symbol((struct k2_slice){longest, 250}, text), 250);
}

static struct k2_instrument list[] = {
    {1, (char *)"ASX", (char *)"BHP", 1},         {2, (char *)"ASX", (char *)"Bhp", 1},
    {3, (char *)"BINANCE", (char *)"BTCUSDT", 1}, {4, (char *)"COINBASE", (char *)"BTC-USD", 1},
    {5, (char *)"KRAKEN", (char *)"XBT/USD", 1},  {6, (char *)"NYSE", (char *)"BHP", 1},
    {7, (char *)"asx", (char *)"DVN", 1},
};
enum { COUNT = sizeof list / sizeof list[0] };

// Expected ids as digits; NULL: K2_BAD_REQUEST that begins with the parameter's name.
static const struct {
    const char *name, *exchange, *symbol, *canonical, *ids;
} rows[] = {
    {"no condition", NULL, NULL, NULL, "1234567"},
    {"exact symbol", NULL, "BHP", NULL, "16"},
    {"exact wins over case", NULL, "Bhp", NULL, "2"},
    {"ambiguous case", NULL, "bhp", NULL, NULL},
    {"unique by the exchange", "NYSE", "bhp", NULL, "6"},
    {"unique by case", NULL, "dvn", NULL, "7"},
    {"exact exchange wins", "ASX", NULL, NULL, "12"},
    {"ambiguous exchange", "Asx", NULL, NULL, NULL},
    {"exchange by case", "kraken", NULL, NULL, "5"},
    {"list", "KRAKEN,NYSE", NULL, NULL, "56"},
    {"list of symbols", NULL, "DVN,btcusdt", NULL, "37"},
    {"unknown names are left out", NULL, "DVN,nothing", NULL, "7"},
    {"unknown symbol", NULL, "nothing", NULL, ""},
    {"unknown exchange", "MARS", "BHP", NULL, ""},
    {"empty text", NULL, "", NULL, NULL},
    {"empty name", NULL, "BHP,,DVN", NULL, NULL},
    {"comma at the end", NULL, "BHP,", NULL, NULL},
    {"canonical", NULL, NULL, "BTC/USD", "45"},
    {"canonical as a venue writes it", NULL, NULL, "xbt-usd", "45"},
    {"canonical of one exchange", "coinbase", NULL, "BTC/USD", "4"},
    {"two canonicals", NULL, NULL, "BTC/USD,BTC/USDT", "345"},
    {"canonical and symbol", NULL, "XBT/USD", "BTC/USD", "5"},
    {"empty canonical", NULL, NULL, "", NULL},
};

static struct k2_name_list names_of(const char *parameter, const char *text)
{
    return (struct k2_name_list){text != NULL, parameter, k2_slice_of(text != NULL ? text : "")};
}

static void names_select_instruments(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct k2_instrument_filter filter = {
            .exchange = names_of("exchange", rows[i].exchange),
            .symbol = names_of("symbol", rows[i].symbol),
            .canonical = names_of("canonical", rows[i].canonical)};
        bool keep[COUNT];
        char ids[COUNT + 1] = "";
        struct k2_error error;
        enum k2_status status = k2_instrument_filter_apply(&filter, list, COUNT, keep, &error);
        if (rows[i].ids == NULL) {
            assert_int_equal(status, K2_BAD_REQUEST);
            size_t size = strcspn(error.text, ":");
            assert_true(strncmp(error.text, "exchange", size) == 0 ||
                        strncmp(error.text, "symbol", size) == 0 ||
                        strncmp(error.text, "canonical", size) == 0);
            if (strncmp(rows[i].name, "ambiguous", 9) == 0) {
                assert_non_null(strstr(error.text, "ambiguous_symbol"));
            }
            continue;
        }
        assert_int_equal(status, K2_OK);
        for (size_t n = 0, used = 0; n < COUNT; n++) {
            if (keep[n]) {
                ids[used++] = (char)('0' + list[n].id);
                ids[used] = '\0';
            }
        }
        if (strcmp(ids, rows[i].ids) != 0) {
            fail_msg("%s: %s, expected %s", rows[i].name, ids, rows[i].ids);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symbols_have_one_canonical_form),
        cmocka_unit_test(names_select_instruments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
