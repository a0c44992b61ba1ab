// Every codec gives back what it took, on every instruction set with the same bytes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/codec/bins.h"
#include "format/codec/codec_table.h"

enum { MOST = K2_BITPACK_VALUES };

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * 0x2545f4914f6cdd1du;
}

// A shape of data: the value at `i` of a block, from a seeded generator.
typedef int64_t make_value(uint64_t *random, size_t i);

static int64_t constant(uint64_t *random, size_t i)
{
    (void)random;
    (void)i;
    return -7;
}

static int64_t least_of_all(uint64_t *random, size_t i)
{
    (void)random;
    (void)i;
    return INT64_MIN;
}

static int64_t extremes(uint64_t *random, size_t i)
{
    (void)random;
    return i % 2 == 0 ? INT64_MIN : INT64_MAX;
}

static int64_t three_extremes(uint64_t *random, size_t i)
{
    (void)i;
    static const int64_t choices[] = {INT64_MIN, 0, INT64_MAX};
    return choices[next_random(random) % 3];
}

static int64_t any_bits(uint64_t *random, size_t i)
{
    (void)i;
    return (int64_t)next_random(random);
}

static int64_t counting(uint64_t *random, size_t i)
{
    (void)random;
    return 1000000 + (int64_t)i;
}

static int64_t counting_by_tick(uint64_t *random, size_t i)
{
    (void)random;
    return -5000 + 250 * (int64_t)i;
}

static int64_t falling(uint64_t *random, size_t i)
{
    (void)random;
    return 5 - 1000000007 * (int64_t)i;
}

static int64_t milliseconds(uint64_t *random, size_t i)
{
    return 1394665200000000000 + (int64_t)(i * 20 + next_random(random) % 30) * 1000000;
}

static int64_t nanoseconds(uint64_t *random, size_t i)
{
    return 1394665200000000000 + (int64_t)(i * 1000000 + next_random(random) % 900000);
}

static int64_t prices(uint64_t *random, size_t i)
{
    (void)i;
    return 3712000000 + (int64_t)(next_random(random) % 41) * 500000;
}

static int64_t far_apart(uint64_t *random, size_t i)
{
    (void)i;
    return (int64_t)((next_random(random) % 9) * 0x123456789abcdfu);
}

static int64_t divisor_found_late(uint64_t *random, size_t i)
{
    (void)random;
    return i == 777 ? 3000002 : (int64_t)(i % 100) * 1000000;
}

static int64_t odd_divisor(uint64_t *random, size_t i)
{
    (void)i;
    return (int64_t)(next_random(random) % 1000) * 333333333333333;
}

static int64_t one_outlier(uint64_t *random, size_t i)
{
    (void)random;
    return i == 100 ? INT64_MAX : 1;
}

static int64_t large_divisor(uint64_t *random, size_t i)
{
    (void)i;
    return (int64_t)((next_random(random) % 3) << 62);
}

// Two instruments, one after the other.
static int64_t two_prices(uint64_t *random, size_t i)
{
    return (i < 300 ? 3712000000 : 990000000) + (int64_t)(next_random(random) % 10) * 1000000;
}

static int64_t few_far_away(uint64_t *random, size_t i)
{
    int64_t near = (int64_t)(next_random(random) % 100);
    return i % 91 == 50 ? -5000000000 * near : near;
}

static int64_t time_with_jumps(uint64_t *random, size_t i)
{
    int64_t day = i / 200 % 2 == 0 ? 0 : -86400000000000;
    return 1394665200000000000 + day + (int64_t)(i * 40 + next_random(random) % 30);
}

static int64_t staying_price(uint64_t *random, size_t i)
{
    (void)random;
    return 3712000000 + (int64_t)(i / 9 * 0x9e3779b97f4a7c15u >> 60) * 1000000;
}

static int64_t staying_time(uint64_t *random, size_t i)
{
    (void)random;
    return 1394665200000000000 + (int64_t)((i / 5 * 1777777 + i / 5 % 13 * 1000) * 1000);
}

static int64_t staying_extremes(uint64_t *random, size_t i)
{
    (void)random;
    return i / 40 % 2 == 0 ? INT64_MIN + (int64_t)i / 40 : INT64_MAX - (int64_t)i / 40;
}

// Gaps of every magnitude.
static int64_t event_times(uint64_t *random, size_t i)
{
    static const uint64_t start = 1394665200000000000;
    uint64_t bits = next_random(random);
    return (int64_t)(start + (i << 34) + (bits >> 34 >> (bits & 31)));
}

// One in ten, one in thirty or fewer rows is another one than the rest.
static int64_t rare(uint64_t *random, size_t i)
{
    uint64_t bits = next_random(random);
    return i < 500 ? bits % 30 == 7 ? (int64_t)(bits >> 50) : 5 : (int64_t)(bits % 10 == 3) * 70;
}

static int64_t rare_steps(uint64_t *random, size_t i)
{
    uint64_t bits = next_random(random);
    return (int64_t)(i / 4 * 3) * 1000 + (bits % 6 == 1 ? (int64_t)(bits >> 60) * 1000 : 0);
}

// A few popular ones, and others up to 500.
static int64_t sizes(uint64_t *random, size_t i)
{
    static const int64_t popular[] = {1, 1, 1, 1, 2, 5, 10, 100};
    uint64_t bits = next_random(random);
    (void)i;
    int64_t any = (int64_t)(bits >> 32) % 500;
    return 100 * (bits % 16 < 8 ? popular[bits % 8] : bits % 16 < 15 ? any % 16 : any);
}

static const struct {
    const char *name;
    make_value *make;
} shapes[] = {
    {"constant", constant},
    {"least of all", least_of_all},
    {"extremes", extremes},
    {"three extremes", three_extremes},
    {"any bits", any_bits},
    {"counting", counting},
    {"counting by tick", counting_by_tick},
    {"falling", falling},
    {"milliseconds", milliseconds},
    {"nanoseconds", nanoseconds},
    {"prices", prices},
    {"far apart", far_apart},
    {"divisor found late", divisor_found_late},
    {"odd divisor", odd_divisor},
    {"one outlier", one_outlier},
    {"large divisor", large_divisor},
    {"two prices", two_prices},
    {"few far away", few_far_away},
    {"time with jumps", time_with_jumps},
    {"staying price", staying_price},
    {"staying time", staying_time},
    {"staying extremes", staying_extremes},
    {"event times", event_times},
    {"sizes", sizes},
    {"rare", rare},
    {"rare steps", rare_steps},
};
enum { SHAPE_COUNT = sizeof shapes / sizeof shapes[0] };

static const size_t counts[] = {1,   2,   3,   15,  16,  17,  63,  64,  65,   100,  255, 256,
                                511, 512, 513, 527, 528, 600, 777, 960, 1009, 1023, 1024};
enum { COUNT_COUNT = sizeof counts / sizeof counts[0] };

static const char *const sets[] = {"scalar", "avx2", "avx512"};

// The first bytes of a payload, in memory of exactly their size and what may be read behind them,
// so that the address sanitizer sees a stray read.
static uint8_t *exact_copy(const struct k2_buffer *payload, size_t size, size_t spare_bytes)
{
    uint8_t *exact = malloc(size + spare_bytes);
    if (size > 0) {
        memcpy(exact, payload->data, size);
    }
    if (spare_bytes > 0) {
        memset(exact + size, 0xa5, spare_bytes);
    }
    return exact;
}

static const size_t spares[] = {0, K2_BINS_PADDING_BYTES};
enum { WAY_COUNT = 2 * sizeof sets / sizeof sets[0] };

// Wherever rows are wanted, those are right.
static void check_narrow(const struct k2_block_entry *encoded, struct k2_slice payload,
                         const int64_t *values, size_t count, int64_t *decoded)
{
    const size_t ranges[][2] = {{0, 1},
                                {count - 1, count},
                                {count / 2, count / 2 + 1},
                                {count / 3, count - count / 4},
                                {count * 7 / 8, count},
                                {count < 64 ? 0 : 63, count < 65 ? count : 65}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct k2_block_entry entry = *encoded;
        size_t first = ranges[i][0], end = ranges[i][1];
        entry.first_row = (uint16_t)first;
        entry.end_row = (uint16_t)end;
        memset(decoded, 0x5a, count * sizeof *decoded);
        if (k2_block_decode(&entry, payload, decoded, count, NULL) != K2_OK ||
            memcmp(decoded + first, values + first, (end - first) * sizeof *values) != 0) {
            fail_msg("%s, %s: rows %zu to %zu of %zu", k2_codec_name(entry.codec),
                     k2_codec_selected(), first, end, count);
        }
    }
}

// Every instruction set, without and with bytes behind the payload.
static void check_decode(const char *what, const struct k2_block_entry *encoded,
                         const struct k2_buffer *payload, const int64_t *values, size_t count)
{
    int64_t *decoded = malloc((count + 64) * sizeof *decoded);
    for (size_t i = 0; i < WAY_COUNT; i++) {
        if (!k2_codec_select(sets[i / 2])) {
            continue;
        }
        struct k2_error error = {0};
        struct k2_block_entry with_spare = *encoded, *entry = &with_spare;
        entry->spare_bytes = spares[i % 2];
        uint8_t *exact = exact_copy(payload, payload->size_bytes, entry->spare_bytes);
        enum k2_status status = k2_block_decode(
            entry, (struct k2_slice){exact, payload->size_bytes}, decoded, count, &error);
        bool right = status == K2_OK && memcmp(decoded, values, count * sizeof *values) == 0;
        if (right) {
            check_narrow(entry, (struct k2_slice){exact, payload->size_bytes}, values, count,
                         decoded);
        }
        free(exact);
        if (!right) {
            fail_msg("%s, %zu values, %s, %s: %s", what, count, k2_codec_name(entry->codec),
                     sets[i / 2], error.text);
        }
    }
    free(decoded);
}

static void check_encode_agrees(const int64_t *values, size_t count,
                                const struct k2_block_entry *entry, const struct k2_buffer *payload)
{
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        if (!k2_codec_select(sets[i])) {
            continue;
        }
        struct k2_buffer other;
        struct k2_block_entry other_entry;
        k2_buffer_init(&other, 1 << 20);
        assert_true(k2_block_encode_as(entry->codec, true, values, count, &other_entry, &other));
        assert_int_equal(other_entry.width_bits, entry->width_bits);
        assert_true(other_entry.divisor == entry->divisor && other_entry.base == entry->base);
        assert_int_equal(other.size_bytes, payload->size_bytes);
        assert_true(k2_slice_equal(k2_buffer_slice(&other), k2_buffer_slice(payload)));
        k2_buffer_deinit(&other);
    }
}

static void fill(int64_t *values, size_t count, make_value *make, uint64_t seed)
{
    uint64_t random = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < count; i++) {
        values[i] = make(&random, i);
    }
}

static void every_shape_and_length_comes_back(void **state)
{
    (void)state;
    int64_t values[MOST];
    struct k2_buffer payload;
    k2_buffer_init(&payload, 1 << 20);
    for (size_t shape = 0; shape < SHAPE_COUNT; shape++) {
        for (size_t i = 0; i < COUNT_COUNT; i++) {
            struct k2_block_entry entry;
            fill(values, counts[i], shapes[shape].make, i + 1);
            k2_buffer_clear(&payload);
            k2_block_encode(values, counts[i],
                            &(struct k2_block_history){.sorted_level = i % 2 == 0}, &entry,
                            &payload);
            assert_false(payload.failed);
            check_decode(shapes[shape].name, &entry, &payload, values, counts[i]);
            check_encode_agrees(values, counts[i], &entry, &payload);
        }
    }
    k2_buffer_deinit(&payload);
}

static void every_codec_that_can_hold_a_block_gives_it_back(void **state)
{
    (void)state;
    int64_t values[MOST];
    struct k2_buffer payload;
    k2_buffer_init(&payload, 1 << 20);
    size_t held[K2_CODEC_LAST + 1] = {0};
    for (size_t shape = 0; shape < SHAPE_COUNT; shape++) {
        for (size_t i = 0; i < COUNT_COUNT; i++) {
            fill(values, counts[i], shapes[shape].make, i + 1);
            for (uint8_t codec = K2_CODEC_CONST; codec <= K2_CODEC_LAST; codec++) {
                struct k2_block_entry entry;
                k2_buffer_clear(&payload);
                if (k2_block_encode_as(codec, true, values, counts[i], &entry, &payload)) {
                    held[codec]++;
                    check_decode(shapes[shape].name, &entry, &payload, values, counts[i]);
                    check_encode_agrees(values, counts[i], &entry, &payload);
                }
            }
        }
    }
    for (uint8_t codec = K2_CODEC_CONST; codec <= K2_CODEC_LAST; codec++) {
        assert_true(k2_codec_name(codec) == NULL || held[codec] > COUNT_COUNT);
    }
    k2_buffer_deinit(&payload);
}

static void every_width_comes_back_from_every_codec(void **state)
{
    (void)state;
    int64_t values[MOST];
    struct k2_buffer payload;
    k2_buffer_init(&payload, 1 << 20);
    for (unsigned width = 0; width <= 64; width++) {
        for (size_t i = 0; i < COUNT_COUNT; i++) {
            uint64_t random = width * 1000 + i + 1;
            for (size_t k = 0; k < counts[i]; k++) {
                uint64_t bits = width == 0 ? 0 : next_random(&random) >> (64 - width);
                values[k] = (int64_t)bits - 12345;
            }
            for (uint8_t codec = K2_CODEC_FOR; codec <= K2_CODEC_LAST; codec++) {
                struct k2_block_entry entry;
                k2_buffer_clear(&payload);
                if (k2_block_encode_as(codec, true, values, counts[i], &entry, &payload)) {
                    check_decode("random bits", &entry, &payload, values, counts[i]);
                    check_encode_agrees(values, counts[i], &entry, &payload);
                }
            }
        }
    }
    k2_buffer_deinit(&payload);
}

static void every_table_of_roots_is_taken_and_comes_back(void **state)
{
    (void)state;
    int64_t values[MOST];
    bool taken[K2_BINS_ROOT_TABLES + 1] = {false};
    struct k2_buffer payload;
    k2_buffer_init(&payload, 1 << 20);
    for (unsigned share = 1; share < 450; share += 4) { // of other values, in a thousand rows
        for (uint8_t codec = K2_CODEC_BINS_FOR; codec <= K2_CODEC_BINS_DELTA; codec++) {
            uint64_t random = share;
            struct k2_block_entry entry;
            for (size_t i = 0; i < MOST; i++) {
                uint64_t bits = next_random(&random);
                bool other = (bits >> 20) % 1000 < share;
                values[i] = other ? (int64_t)(bits >> 50 & (share % 2 == 0 ? 0 : 255)) + 9 : 1;
                if (codec == K2_CODEC_BINS_DELTA && i > 0) {
                    values[i] += values[i - 1];
                }
            }
            k2_buffer_clear(&payload);
            if (k2_block_encode_as(codec, true, values, MOST, &entry, &payload)) {
                taken[payload.data[0] >> 5] = true;
                check_decode("shares", &entry, &payload, values, MOST);
                check_encode_agrees(values, MOST, &entry, &payload);
            }
        }
    }
    for (size_t table = 0; table <= K2_BINS_ROOT_TABLES; table++) {
        if (!taken[table]) {
            fail_msg("table %zu", table);
        }
    }
    k2_buffer_deinit(&payload);
}

// Whatever bits are wrong: the same answer on every instruction set, and no stray access.
static void damaged_payloads_decode_alike(void **state)
{
    (void)state;
    static const size_t some_counts[] = {100, 700, 1024};
    int64_t values[MOST];
    int64_t expected[MOST + 64];
    int64_t decoded[MOST + 64];
    uint64_t random = 5;
    struct k2_buffer payload;
    k2_buffer_init(&payload, 1 << 20);
    for (size_t turn = 0; turn < SHAPE_COUNT * 3 * K2_CODEC_LAST; turn++) {
        size_t count = some_counts[turn % 3];
        struct k2_block_entry entry;
        fill(values, count, shapes[turn / 3 % SHAPE_COUNT].make, turn);
        k2_buffer_clear(&payload);
        if (!k2_block_encode_as((uint8_t)(turn / 3 / SHAPE_COUNT + 1), true, values, count, &entry,
                                &payload) ||
            payload.size_bytes == 0) {
            continue;
        }
        for (int flip = 0; flip < 40; flip++) {
            size_t size = payload.size_bytes;
            // Most of them where the tables are.
            size_t bit = next_random(&random) % (flip % 2 == 0 && size > 60 ? 480 : size * 8);
            enum k2_status first = K2_OK;
            for (size_t i = 0; i < WAY_COUNT; i++) {
                if (!k2_codec_select(sets[i / 2])) {
                    continue;
                }
                entry.spare_bytes = spares[i % 2];
                uint8_t *exact = exact_copy(&payload, size, entry.spare_bytes);
                exact[bit / 8] ^= (uint8_t)(1u << bit % 8);
                enum k2_status status = k2_block_decode(&entry, (struct k2_slice){exact, size},
                                                        i == 0 ? expected : decoded, count, NULL);
                free(exact);
                first = i == 0 ? status : first;
                if (status != first || (status == K2_OK && i > 0 &&
                                        memcmp(decoded, expected, count * sizeof *decoded) != 0)) {
                    fail_msg("%s, %zu values, bit %zu: %s", k2_codec_name(entry.codec), count, bit,
                             sets[i / 2]);
                }
            }
        }
    }
    k2_buffer_deinit(&payload);
}

static void every_length_comes_back(void **state)
{
    (void)state;
    int64_t values[MOST];
    struct k2_buffer payload;
    k2_buffer_init(&payload, 1 << 20);
    for (size_t count = 1; count <= MOST; count++) {
        struct k2_block_entry entry;
        fill(values, count, prices, count);
        k2_buffer_clear(&payload);
        k2_block_encode(values, count, &(struct k2_block_history){.sorted_level = true}, &entry,
                        &payload);
        check_decode("prices", &entry, &payload, values, count);
    }
    k2_buffer_deinit(&payload);
}

static void the_cheapest_codec_is_chosen(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        make_value *make;
        uint8_t codec, width_bits;
        uint64_t divisor;
        size_t size_bytes;
        bool sorted_level;
    } rows[] = {
        {"constant", constant, K2_CODEC_CONST, 0, 1, 0, false},
        {"counting", counting, K2_CODEC_DELTA, 0, 1, 1, false},
        {"counting by tick", counting_by_tick, K2_CODEC_DELTA, 0, 250, 1, false},
        {"prices on a grid", prices, K2_CODEC_FOR, 6, 500000, 6 * 128, false},
        {"milliseconds", milliseconds, K2_CODEC_DELTA, 6, 1000000, 6 * 128 + 1, false},
        {"extremes", extremes, K2_CODEC_FOR, 1, UINT64_MAX, 128, false},
        {"time with jumps", time_with_jumps, K2_CODEC_PDELTA, 6, 1, 962, false},
        {"few far away", few_far_away, K2_CODEC_PFOR, 7, 1, 1066, false},
        {"staying price", staying_price, K2_CODEC_MASKV, 4, 1000000, 187, false},
        {"staying time", staying_time, K2_CODEC_MASKD, 10, 13000, 390, false},
        {"late", divisor_found_late, K2_CODEC_PDELTA, 0, 2, 62, false},
        {"three extremes", three_extremes, K2_CODEC_DICT, 2, 1, 2 * 128 + 2 + 24, false},
        {"nanoseconds sorted", event_times, K2_CODEC_BINS_DELTA, 0, 1, 3103, true},
        {"sizes sorted", sizes, K2_CODEC_BINS_FOR, 0, 100, 588, true},
        {"sizes", sizes, K2_CODEC_DICT, 7, 100, 975, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t values[MOST];
        struct k2_block_entry entry;
        struct k2_buffer payload;
        k2_buffer_init(&payload, 1 << 20);
        fill(values, MOST, rows[i].make, 3);
        k2_block_encode(values, MOST,
                        &(struct k2_block_history){.sorted_level = rows[i].sorted_level}, &entry,
                        &payload);
        if (entry.codec != rows[i].codec || entry.width_bits != rows[i].width_bits ||
            entry.divisor != rows[i].divisor || payload.size_bytes != rows[i].size_bytes) {
            fail_msg("%s: %s of %u bits, divisor %lu, %zu bytes", rows[i].name,
                     k2_codec_name(entry.codec), entry.width_bits, (unsigned long)entry.divisor,
                     payload.size_bytes);
        }
        k2_buffer_deinit(&payload);
    }
}

static void short_payloads_and_unknown_codecs_are_corrupt(void **state)
{
    (void)state;
    int64_t values[MOST];
    int64_t decoded[MOST + 64];
    struct k2_error error;
    struct k2_buffer payload;
    k2_buffer_init(&payload, 1 << 20);
    for (uint8_t codec = K2_CODEC_FOR; codec <= K2_CODEC_LAST; codec++) {
        struct k2_block_entry entry;
        bool bins = codec == K2_CODEC_BINS_FOR || codec == K2_CODEC_BINS_DELTA;
        fill(values, MOST, codec < K2_CODEC_MASKD ? far_apart : bins ? sizes : staying_price, 1);
        k2_buffer_clear(&payload);
        if (!k2_block_encode_as(codec, true, values, MOST, &entry, &payload)) {
            assert_null(k2_codec_name(codec));
            continue;
        }
        for (size_t size = 0; size < payload.size_bytes; size++) {
            struct k2_slice cut = {payload.data, size};
            assert_int_equal(k2_block_decode(&entry, cut, decoded, MOST, &error), K2_CORRUPT);
        }
        if (bins) {
            continue; // the widths are in the payload
        }
        entry.width_bits = 65;
        assert_int_equal(k2_block_decode(&entry, k2_buffer_slice(&payload), decoded, MOST, &error),
                         K2_CORRUPT);
    }
    static const uint8_t unknown[] = {0, 7, 12, 255};
    for (size_t i = 0; i < sizeof unknown; i++) {
        struct k2_block_entry entry = {.codec = unknown[i], .divisor = 1};
        assert_null(k2_codec_name(unknown[i]));
        assert_int_equal(k2_block_decode(&entry, k2_buffer_slice(&payload), decoded, MOST, &error),
                         K2_CORRUPT);
    }
    k2_buffer_deinit(&payload);
}

static void instruction_sets_are_selected_by_name(void **state)
{
    (void)state;
    assert_true(k2_codec_select("scalar"));
    assert_string_equal(k2_codec_selected(), "scalar");
    assert_false(k2_codec_select("abacus"));
    assert_string_equal(k2_codec_selected(), "scalar");
    if (k2_codec_select("avx2")) {
        assert_string_equal(k2_codec_selected(), "avx2");
    } else {
        print_message("this machine or build has no AVX2: only the scalar kernels were tested\n");
    }
    if (!k2_codec_select("avx512")) {
        print_message("this machine or build has no AVX-512: its kernels were not tested\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instruction_sets_are_selected_by_name),
        cmocka_unit_test(every_shape_and_length_comes_back),
        cmocka_unit_test(every_codec_that_can_hold_a_block_gives_it_back),
        cmocka_unit_test(every_width_comes_back_from_every_codec),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(every_table_of_roots_is_taken_and_comes_back),
        cmocka_unit_test(damaged_payloads_decode_alike),
        cmocka_unit_test(the_cheapest_codec_is_chosen),
        cmocka_unit_test(short_payloads_and_unknown_codecs_are_corrupt),
    };
    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
