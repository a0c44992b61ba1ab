#include "query/canonical.h"

enum { LONGEST_SYMBOL = 250 }; // an alias is at most one byte longer than what it stands for, twice

// Longer ones first where one ends with the other.
static const char *const quotes[] = {"USDT", "USDC", "BUSD", "TUSD", "USDP", "BTC", "ETH",
                                     "BNB",  "EUR",  "GBP",  "AUD",  "USD",  "JPY", "CHF",
                                     "CAD",  "NZD",  "TRY",  "ZAR",  "UAH",  "NGN"};

static const struct {
    const char *venue, *usual;
} aliases[] = {{"XBT", "BTC"}, {"XDG", "DOGE"}};

static uint8_t upper(uint8_t byte)
{
    return byte >= 'a' && byte <= 'z' ? (uint8_t)(byte - 'a' + 'A') : byte;
}

bool k2_equal_without_case(struct k2_slice left, struct k2_slice right)
{
    if (left.size_bytes != right.size_bytes) {
        return false;
    }
    for (size_t i = 0; i < left.size_bytes; i++) {
        if (upper(left.data[i]) != upper(right.data[i])) {
            return false;
        }
    }
    return true;
}

static size_t put_currency(struct k2_slice name, char *out)
{
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (k2_equal_without_case(name, k2_slice_of(aliases[i].venue))) {
            name = k2_slice_of(aliases[i].usual);
        }
    }
    for (size_t i = 0; i < name.size_bytes; i++) {
        out[i] = (char)upper(name.data[i]);
    }
    return name.size_bytes;
}

static size_t put_pair(struct k2_slice symbol, size_t base_bytes, size_t separator_bytes, char *out)
{
    size_t behind = base_bytes + separator_bytes;
    size_t size = put_currency((struct k2_slice){symbol.data, base_bytes}, out);
    out[size++] = '/';
    struct k2_slice quote = {symbol.data + behind, symbol.size_bytes - behind};
    return size + put_currency(quote, out + size);
}

// The place of the only `mark` that has something on either side.
static bool find_separator(struct k2_slice symbol, char mark, size_t *place)
{
    size_t found = 0;
    for (size_t i = 0; i < symbol.size_bytes; i++) {
        if (symbol.data[i] == (uint8_t)mark) {
            *place = i;
            found++;
        }
    }
    return found == 1 && *place > 0 && *place + 1 < symbol.size_bytes;
}

// The quote currency that the symbol ends with, when at least `base_bytes` stand before it.
static bool find_quote(struct k2_slice symbol, size_t base_bytes, size_t *place)
{
    for (size_t i = 0; i < sizeof quotes / sizeof quotes[0]; i++) {
        struct k2_slice quote = k2_slice_of(quotes[i]);
        if (symbol.size_bytes < quote.size_bytes + base_bytes) {
            continue;
        }
        *place = symbol.size_bytes - quote.size_bytes;
        if (k2_equal_without_case((struct k2_slice){symbol.data + *place, quote.size_bytes},
                                  quote)) {
            return true;
        }
    }
    return false;
}

size_t k2_canonical_symbol(struct k2_slice symbol, char canonical[K2_CANONICAL_BYTES])
{
    if (symbol.size_bytes > LONGEST_SYMBOL) {
        return 0;
    }
    size_t place = 0;
    if (find_separator(symbol, '/', &place) || find_separator(symbol, '-', &place)) {
        return put_pair(symbol, place, 1, canonical);
    }
    // Three letters first: DOTUSD is DOT/USD, not DO/TUSD.
    if (find_quote(symbol, 3, &place) || find_quote(symbol, 2, &place)) {
        return put_pair(symbol, place, 0, canonical);
    }
    return put_currency(symbol, canonical);
}
