// Whatever a client writes: a request target becomes parts and parameters without control
// characters, none named twice, or is refused; a cursor that is taken prints as the same text;
// names select instruments that they match; a listen address that is taken is one of loopback.
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "query/canonical.h"
#include "query/cursor.h"
#include "query/http_request.h"
#include "query/instrument_filter.h"
#include "query/listen_address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct k2_slice text)
{
    for (size_t i = 0; i < text.size_bytes; i++) {
        assert(text.data[i] >= 0x20 && text.data[i] != 0x7f);
    }
}

static void parse_request(struct k2_slice target)
{
    struct k2_http_request request;
    const struct k2_http_request_texts texts = {"GET", target, target, target, target};
    struct k2_error error;
    enum k2_status status = k2_http_request_parse(&request, &texts, &error);
    assert(status == K2_OK || status == K2_BAD_REQUEST);
    assert(strlen(request.correlation_id) > 0);
    for (size_t i = 0; i < request.part_count; i++) {
        check_text(request.parts[i]);
        assert(request.parts[i].size_bytes > 0);
        assert(!k2_slice_equal(request.parts[i], k2_slice_of("..")));
    }
    for (size_t i = 0; i < request.parameter_count; i++) {
        check_text(request.parameters[i].value);
        check_text(k2_slice_of(request.parameters[i].name));
        assert(k2_http_request_find(&request, request.parameters[i].name) ==
               &request.parameters[i]);
    }
    k2_http_request_deinit(&request);
}

static void parse_cursor(struct k2_slice text)
{
    struct k2_cursor cursor;
    if (k2_cursor_parse(&cursor, text, NULL) == K2_OK) {
        char printed[K2_CURSOR_TEXT_BYTES];
        size_t size = k2_cursor_print(&cursor, printed);
        assert(k2_slice_equal((struct k2_slice){(const uint8_t *)printed, size}, text));
    }
}

static void filter(struct k2_slice names)
{
    static struct k2_instrument list[] = {{1, (char *)"ASX", (char *)"BHP", 1},
                                          {2, (char *)"ASX", (char *)"Bhp", 1},
                                          {3, (char *)"KRAKEN", (char *)"XBT/USD", 1},
                                          {4, (char *)"COINBASE", (char *)"BTC-USD", 1}};
    enum { COUNT = sizeof list / sizeof list[0] };
    for (int which = 0; which < 3; which++) {
        const struct k2_name_list given = {true, "names", names};
        struct k2_instrument_filter conditions = {0};
        *(which == 0   ? &conditions.exchange
          : which == 1 ? &conditions.symbol
                       : &conditions.canonical) = given;
        bool keep[COUNT];
        if (k2_instrument_filter_apply(&conditions, list, COUNT, keep, NULL) != K2_OK) {
            continue;
        }
        for (size_t i = 0; i < COUNT; i++) { // what is kept is not longer than what was asked for
            assert(!keep[i] || names.size_bytes >= 3);
        }
    }
    char canonical[K2_CANONICAL_BYTES], again[K2_CANONICAL_BYTES];
    size_t size = k2_canonical_symbol(names, canonical);
    assert(size <= K2_CANONICAL_BYTES);
    if (size > 0 && size <= 200) { // what is canonical stays so, but for what an alias made
        struct k2_slice text = {(const uint8_t *)canonical, size};
        assert(k2_canonical_symbol(text, again) >= size);
    }
}

static void parse_address(struct k2_slice text)
{
    struct k2_listen_address address;
    char *copy = malloc(text.size_bytes + 1);
    assert(copy != NULL);
    if (text.size_bytes > 0) {
        memcpy(copy, text.data, text.size_bytes);
    }
    copy[text.size_bytes] = '\0';
    if (k2_listen_address_parse(&address, copy, NULL) == K2_OK) {
        assert(strncmp(address.host, "127.", 4) == 0 || address.ipv6);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 16384) {
        return 0;
    }
    struct k2_slice text = {data + 1, size - 1};
    switch (data[0] % 4) {
    case 0:
        parse_request(text);
        break;
    case 1:
        parse_cursor(text);
        break;
    case 2:
        filter(text);
        break;
    default:
        parse_address(text);
        break;
    }
    return 0;
}
