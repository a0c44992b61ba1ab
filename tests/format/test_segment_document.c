// The example in SEGMENT.md is what the encoder writes, byte by byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/segment/row_group_view.h"

static struct k2_instrument_name name_of(void *context, uint32_t instrument)
{
    (void)context;
    assert_int_equal(instrument, 1);
    return (struct k2_instrument_name){k2_slice_of("XASX"), k2_slice_of("BHP")};
}

static void add_row(struct k2_row_batch *batch, int64_t time_ns, int64_t sequence, int64_t price,
                    const char *side)
{
    struct k2_row_key key = {.instrument = 1, .time_ns = time_ns, .sequence = sequence};
    size_t row;
    assert_int_equal(k2_row_batch_add(batch, &key, 0, &row, NULL), K2_OK);
    k2_row_batch_set_value(batch, row, 5, price);
    if (side != NULL) {
        assert_int_equal(k2_row_batch_set_text(batch, row, 6, k2_slice_of(side), NULL), K2_OK);
    }
}

static void encode_example(struct k2_buffer *out)
{
    static char table[] = "trades";
    static struct k2_column columns[] = {
        {.name = "exchange", .id = 1, .kind = K2_KIND_SYMBOLIC},
        {.name = "symbol", .id = 2, .kind = K2_KIND_SYMBOLIC},
        {.name = "timestamp", .id = 3, .kind = K2_KIND_TIMESTAMP},
        {.name = "epoch", .id = 4, .kind = K2_KIND_INT64},
        {.name = "sequence", .id = 5, .kind = K2_KIND_INT64},
        {.name = "price", .id = 9, .kind = K2_KIND_DECIMAL64, .scale = 8},
        {.name = "side", .id = 12, .kind = K2_KIND_SYMBOLIC, .nullable = true},
    };
    static const uint32_t order[] = {0, 1, 2};
    struct k2_schema schema = {.table = table, .columns = columns, .column_count = 7};
    struct k2_progress_marker marker = {k2_slice_of("kafka/trades/0"), k2_slice_of("1234")};
    struct k2_row_group_info info = {
        .store_id = {'S', 'T', 'O', 'R', 'E', ' ', 'I', 'D', ' ', 'E', 'X', 'A', 'M', 'P', 'L',
                     'E'},
        .segment_id = 1,
        .offset = K2_SEGMENT_ALIGNMENT,
        .table_id = 1,
        .schema_version = 1,
        .run = 2,
        .run_base = 16,
        .commit = 17,
        .part_count = 1,
        .commit_time_ns = 1394665200250000000,
        .markers = &marker,
        .marker_count = 1,
        .table_name = k2_slice_of(table),
    };
    struct k2_row_batch *batch;
    assert_int_equal(k2_row_batch_create(&batch, &schema, 3, false, NULL), K2_OK);
    add_row(batch, 1394665200000000000, 1, 3712000000, "BUY");
    add_row(batch, 1394665200001000000, 2, 3713000000, NULL);
    add_row(batch, 1394665200004000000, 3, 3712500000, "SELL");
    k2_buffer_init(out, 1 << 20);
    assert_int_equal(k2_row_group_encode(batch, order, 3, &info, name_of, NULL, out, NULL), K2_OK);
    k2_row_batch_destroy(batch);
}

static int hex_digit(char character)
{
    static const char digits[] = "0123456789abcdef";
    const char *place = strchr(digits, character);
    return character == '\0' || place == NULL ? -1 : (int)(place - digits);
}

// Appends the bytes of a line `0010  4b 32 ...`; other lines have none.
static void read_line(const char *line, struct k2_buffer *out)
{
    char *rest;
    unsigned long offset = strtoul(line, &rest, 16);
    if (rest != line + 4 || strncmp(rest, "  ", 2) != 0 || hex_digit(rest[2]) < 0) {
        return;
    }
    assert_int_equal(offset, out->size_bytes);
    for (rest += 2; hex_digit(rest[0]) >= 0 && hex_digit(rest[1]) >= 0; rest += 3) {
        k2_put_u8(out, (uint8_t)(hex_digit(rest[0]) * 16 + hex_digit(rest[1])));
        if (rest[2] != ' ') {
            break;
        }
    }
}

static void print_lines(const struct k2_buffer *group)
{
    size_t used = group->size_bytes;
    while (group->data[used - 1] == 0) {
        used--;
    }
    for (size_t i = 0; i < used; i++) {
        if (i % 16 == 0) {
            print_message("%s%04zx ", i == 0 ? "" : "\n", i);
        }
        print_message(" %02x", group->data[i]);
    }
    print_message("\n");
}

static void the_example_in_segment_md_is_what_the_encoder_writes(void **state)
{
    (void)state;
    struct k2_buffer group;
    struct k2_buffer document;
    char line[512];
    encode_example(&group);
    k2_buffer_init(&document, 1 << 20);
    FILE *file = fopen("format/segment/SEGMENT.md", "r");
    if (file == NULL) {
        fail_msg("format/segment/SEGMENT.md is not there: run from the top of the repository");
        return;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        read_line(line, &document);
    }
    (void)fclose(file);
    k2_put_zeros(&document, group.size_bytes - document.size_bytes);
    if (!k2_slice_equal(k2_buffer_slice(&group), k2_buffer_slice(&document))) {
        print_lines(&group);
        fail_msg("SEGMENT.md has another example; the encoder writes the lines above");
    }
    k2_buffer_deinit(&group);
    k2_buffer_deinit(&document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_in_segment_md_is_what_the_encoder_writes),
    };
    return cmocka_run_group_tests_name("segment_document", tests, NULL, NULL);
}
