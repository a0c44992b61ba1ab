#include "ingest/simulate/market.h"

#include <stdio.h>

#include "format/base/alloc.h"
#include "format/base/decimal.h"

__extension__ typedef unsigned __int128 wide;

enum {
    SYMBOL_CEILING = 100000,
    DEFAULT_SYMBOLS = 1000,
    SYMBOL_TEXT_BYTES = 12,
    DELAY_ROWS = 1000,
    HELD_CEILING = 1024, // rows that wait; more stay where they are
    QUIET_GAP_NS = 5500000,
    BUSY_GAP_NS = 625000,
    ROW_TEXT_BYTES = 320,
};

static const int64_t default_start_ns = 1704205800000000000;

struct stock {
    char symbol[SYMBOL_TEXT_BYTES];
    int64_t price_ticks, tick; // tick: units of 10^-8
    int64_t lot;               // units of 10^-8
    int64_t bid_lots, ask_lots, spread_ticks;
    int64_t sequence;
    bool sells;
};

struct held {
    uint64_t due; // when so many rows were given
    struct k2_market_row row;
};

struct k2_market {
    struct k2_market_options options;
    uint64_t random[4];
    struct stock *stocks;
    uint64_t *cumulative_weights; // of stocks 0 to i
    uint64_t weight_sum;
    int64_t now_ns;
    uint64_t given, made;
    bool busy;           // a phase of eight times as many rows
    uint32_t burst_rows; // left in the burst
    bool sweeping;       // the row is of a burst, but not its first
    uint32_t burst_stock;
    struct held held[HELD_CEILING]; // a ring, in order of `due`
    size_t held_begin, held_count;
};

// xoshiro256**, by D. Blackman and S. Vigna (public domain).
static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static uint64_t draw(struct k2_market *self)
{
    uint64_t *s = self->random;
    uint64_t result = rotate(s[1] * 5, 7) * 9, shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

static uint64_t draw_below(struct k2_market *self, uint64_t bound)
{
    return (uint64_t)((wide)draw(self) * bound >> 64);
}

static bool draw_chance(struct k2_market *self, uint32_t per_million)
{
    return per_million > 0 && draw_below(self, 1000000) < per_million;
}

// About exponential with this mean: -log2 of a uniform number, its fraction taken as linear.
static int64_t draw_gap(struct k2_market *self, int64_t mean_ns)
{
    uint64_t uniform = draw(self) | 1;
    unsigned zeros = (unsigned)__builtin_clzll(uniform);
    uint64_t fraction = (uniform << zeros) << 1 >> 32;
    uint64_t log2_32 = ((uint64_t)(zeros + 1) << 32) - fraction;  // 32 places
    wide scaled = (wide)log2_32 * (uint64_t)mean_ns * 2977044472; // ln 2 in 32 places
    return (int64_t)(scaled >> 64);
}

static void seed_random(struct k2_market *self, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++) { // splitmix64
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        self->random[i] = z ^ z >> 31;
    }
}

static void make_stock(struct k2_market *self, size_t index)
{
    static const int64_t ticks[] = {1000000, 1000000, 1000000, 500000, 100000, 10000};
    static const int64_t lots[] = {10000000000, 100000000, 100000000, 1000000};
    struct stock *stock = &self->stocks[index];
    (void)snprintf(stock->symbol, sizeof stock->symbol, "S%05zu", index + 1);
    stock->tick = ticks[draw_below(self, sizeof ticks / sizeof ticks[0])];
    stock->lot = lots[draw_below(self, sizeof lots / sizeof lots[0])];
    stock->price_ticks = 500 + (int64_t)draw_below(self, 40000);
    stock->spread_ticks = 1 + (int64_t)draw_below(self, 3);
    stock->bid_lots = stock->ask_lots = 10;
}

enum k2_status k2_market_create(struct k2_market **market, const struct k2_market_options *options,
                                struct k2_error *error)
{
    uint32_t count = options->symbol_count == 0 ? DEFAULT_SYMBOLS : options->symbol_count;
    if (count > SYMBOL_CEILING) {
        return k2_fail(error, K2_BAD_REQUEST, "simulator: %u symbols; at most %d are possible",
                       count, SYMBOL_CEILING);
    }
    struct k2_market *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "simulator: out of memory");
    }
    self->options = *options;
    self->options.symbol_count = count;
    self->now_ns = options->start_ns == 0 ? default_start_ns : options->start_ns;
    self->stocks = k2_alloc_zero(count, sizeof *self->stocks);
    self->cumulative_weights = k2_alloc_zero(count, sizeof *self->cumulative_weights);
    if (self->stocks == NULL || self->cumulative_weights == NULL) {
        k2_market_destroy(self);
        return k2_fail(error, K2_NO_MEMORY, "simulator: out of memory");
    }
    seed_random(self, options->seed);
    for (uint32_t i = 0; i < count; i++) {
        make_stock(self, i);
        self->weight_sum += (UINT64_C(1) << 32) / (i + 1); // Zipf with exponent 1
        self->cumulative_weights[i] = self->weight_sum;
    }
    *market = self;
    return K2_OK;
}

void k2_market_destroy(struct k2_market *market)
{
    if (market != NULL) {
        k2_free(market->stocks);
        k2_free(market->cumulative_weights);
        k2_free(market);
    }
}

static uint32_t draw_stock(struct k2_market *self)
{
    uint64_t at = draw_below(self, self->weight_sum);
    uint32_t low = 0, high = self->options.symbol_count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (self->cumulative_weights[middle] > at) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

// Moves the clock and picks the stock: a burst goes on, or a new moment comes.
static uint32_t draw_moment(struct k2_market *self)
{
    if (self->burst_rows > 0) {
        self->burst_rows--;
        self->sweeping = true;
        uint64_t chance = draw(self);
        self->now_ns += (chance & 3) == 0 ? (int64_t)(chance >> 50) : 0;
        return self->burst_stock;
    }
    self->sweeping = false;
    uint64_t chance = draw_below(self, 20000);
    if (chance == 0) {
        self->busy = !self->busy && draw_below(self, 4) == 0;
    }
    self->now_ns += draw_gap(self, self->busy ? BUSY_GAP_NS : QUIET_GAP_NS);
    uint32_t stock = draw_stock(self);
    if (chance < 1700) { // of four rows and more: a quarter of all rows are in one
        self->burst_stock = stock;
        self->burst_rows = 1 + (uint32_t)__builtin_ctzll(draw(self) | UINT64_C(1) << 32) * 3;
    }
    return stock;
}

static void move_price(struct k2_market *self, struct stock *stock)
{
    uint64_t chance = draw_below(self, 100);
    if (chance >= 80) {
        int64_t step = chance < 95 ? 1 : 2 + (int64_t)draw_below(self, 4);
        bool down = self->sweeping ? stock->sells : (draw(self) & 1) != 0;
        down = down && stock->price_ticks > 20;
        stock->price_ticks += down ? -step : step;
    }
}

static int64_t draw_lots(struct k2_market *self)
{
    uint64_t chance = draw(self);
    return (chance & 7) < 3 ? 1 : 1 + (int64_t)((chance >> 8 & 0xff) >> (chance >> 16 & 7));
}

static void make_trade(struct k2_market *self, struct stock *stock, struct k2_market_row *row)
{
    // One order that takes several has one side; the next one's persists.
    stock->sells ^= !self->sweeping && (draw(self) & 3) == 0;
    row->sell = stock->sells;
    row->price = (stock->price_ticks + (row->sell ? 0 : stock->spread_ticks)) * stock->tick;
    row->quantity = draw_lots(self) * stock->lot;
}

static void make_quote(struct k2_market *self, struct stock *stock, struct k2_market_row *row)
{
    uint64_t chance = draw(self);
    stock->bid_lots = (chance & 1) != 0 ? draw_lots(self) : stock->bid_lots;
    stock->ask_lots = (chance & 2) != 0 ? draw_lots(self) : stock->ask_lots;
    stock->spread_ticks =
        (chance & 0xf0) == 0 ? 1 + (int64_t)(chance >> 60 & 3) : stock->spread_ticks;
    row->bid_price = stock->price_ticks * stock->tick;
    row->ask_price = row->bid_price + stock->spread_ticks * stock->tick;
    row->bid_quantity = stock->bid_lots * stock->lot;
    row->ask_quantity = stock->ask_lots * stock->lot;
}

static void make_row(struct k2_market *self, struct k2_market_row *row)
{
    struct stock *stock = &self->stocks[draw_moment(self)];
    move_price(self, stock);
    stock->sequence++;
    if (draw_chance(self, self->options.gaps_per_million)) {
        stock->sequence += 1 + (int64_t)draw_below(self, 10);
    }
    *row = (struct k2_market_row){
        .symbol = stock->symbol,
        .time_ns = self->now_ns,
        .received_ns = self->now_ns + 200000 + (int64_t)(draw(self) >> 46), // 18 bits
        .sequence = stock->sequence,
        .id = ++self->made,
    };
    if (self->options.quotes) {
        make_quote(self, stock, row);
    } else {
        make_trade(self, stock, row);
    }
}

static bool hold(struct k2_market *self, const struct k2_market_row *row)
{
    // What waits is counted, so that all of it is given before the last row.
    if (self->held_count == HELD_CEILING ||
        self->given + self->held_count + 1 >= self->options.row_count) {
        return false;
    }
    size_t place = (self->held_begin + self->held_count++) % HELD_CEILING;
    self->held[place] = (struct held){self->given + DELAY_ROWS, *row};
    return true;
}

bool k2_market_next(struct k2_market *market, struct k2_market_row *row)
{
    uint64_t left = market->options.row_count - market->given;
    if (left == 0) {
        return false;
    }
    const struct held *first = &market->held[market->held_begin];
    if (market->held_count > 0 && (first->due <= market->given || left <= market->held_count)) {
        *row = first->row;
        market->held_begin = (market->held_begin + 1) % HELD_CEILING;
        market->held_count--;
    } else {
        make_row(market, row);
        while (draw_chance(market, market->options.late_per_million) && hold(market, row)) {
            make_row(market, row);
        }
        if (draw_chance(market, market->options.duplicates_per_million)) {
            (void)hold(market, row);
        }
    }
    market->given++;
    return true;
}

// CSV --------------------------------------------------------------------------------------------

static char *put_text(char *at, const char *text)
{
    for (; *text != '\0'; text++) {
        *at++ = *text;
    }
    return at;
}

static char *put_integer(char *at, int64_t value)
{
    return at + k2_decimal_print(at, value, 0);
}

static char *put_decimal(char *at, int64_t value)
{
    return at + k2_decimal_print(at, value, 8);
}

void k2_market_put_csv_header(const struct k2_market *market, struct k2_buffer *out)
{
    k2_put_text(out, "exchange,symbol,timestamp,sequence,");
    k2_put_text(out, market->options.quotes
                         ? "quote_id,bid_price,bid_quantity,ask_price,ask_quantity,currency,"
                         : "trade_id,price,quantity,side,currency,");
    k2_put_text(out, "ingestion_timestamp\n");
}

void k2_market_put_csv(const struct k2_market *market, const struct k2_market_row *row,
                       struct k2_buffer *out)
{
    char *begin = (char *)k2_buffer_extend(out, ROW_TEXT_BYTES);
    if (begin == NULL) {
        return;
    }
    char *at = put_text(begin, K2_MARKET_EXCHANGE ",");
    at = put_text(at, row->symbol);
    *at++ = ',';
    at = put_integer(at, row->time_ns);
    *at++ = ',';
    at = put_integer(at, row->sequence);
    *at++ = ',';
    at = put_integer(at, (int64_t)row->id);
    *at++ = ',';
    if (market->options.quotes) {
        at = put_decimal(at, row->bid_price);
        *at++ = ',';
        at = put_decimal(at, row->bid_quantity);
        *at++ = ',';
        at = put_decimal(at, row->ask_price);
        *at++ = ',';
        at = put_decimal(at, row->ask_quantity);
        *at++ = ',';
    } else {
        at = put_decimal(at, row->price);
        *at++ = ',';
        at = put_decimal(at, row->quantity);
        at = put_text(at, row->sell ? ",SELL," : ",BUY,");
    }
    at = put_text(at, K2_MARKET_CURRENCY ",");
    at = put_integer(at, row->received_ns);
    *at++ = '\n';
    out->size_bytes -= ROW_TEXT_BYTES - (size_t)(at - begin);
}
