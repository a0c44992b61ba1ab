// Varints: what is put is read, wherever the bytes end behind it.
#include "format/base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "format/base/buffer.h"

enum { PADDING = 12 };

static void read_back(const uint8_t *bytes, size_t size_bytes, size_t padding_bytes, uint64_t value)
{
    struct k2_byte_reader reader = {.rest = {bytes, size_bytes + padding_bytes}};
    assert_int_equal(k2_read_varint(&reader), value);
    assert_false(reader.truncated);
    assert_int_equal(reader.rest.size_bytes, padding_bytes);
    assert_ptr_equal(reader.rest.data, bytes + size_bytes);
}

static void numbers_come_back(void **state)
{
    (void)state;
    struct k2_buffer buffer;
    k2_buffer_init(&buffer, 64);
    for (unsigned shift = 0; shift < 64; shift++) {
        for (unsigned step = 0; step < 3; step++) { // a power, the number before, all its bits
            uint64_t power = (uint64_t)1 << shift;
            uint64_t value = step == 0 ? power : step == 1 ? power - 1 : power | (power - 1);
            k2_buffer_clear(&buffer);
            k2_put_varint(&buffer, value);
            size_t size = buffer.size_bytes;
            for (unsigned i = 0; i < PADDING; i++) {
                k2_put_u8(&buffer, 0xff);
            }
            for (size_t padding = 0; padding <= PADDING; padding++) {
                read_back(buffer.data, size, padding, value);
            }
            for (size_t cut = 0; cut < size; cut++) {
                struct k2_byte_reader reader = {.rest = {buffer.data, cut}};
                assert_int_equal(k2_read_varint(&reader), 0);
                assert_true(reader.truncated);
            }
        }
    }
    k2_buffer_deinit(&buffer);
}

static void what_no_writer_puts(void **state)
{
    (void)state;
    const struct {
        const char *name;
        uint8_t bytes[PADDING];
        size_t size_bytes; // that are taken
        uint64_t value;
        bool truncated;
    } rows[] = {
        {"a zero of two bytes", {0x80, 0x00}, 2, 0, false},
        {"a one of eight bytes", {0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}, 8, 1, false},
        {"a one of nine bytes",
         {0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00},
         9,
         1,
         false},
        {"bits beyond 64",
         {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02},
         0,
         0,
         true},
        {"eleven bytes",
         {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00},
         0,
         0,
         true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct k2_byte_reader reader = {.rest = {rows[i].bytes, PADDING}};
        uint64_t value = k2_read_varint(&reader);
        if (value != rows[i].value || reader.truncated != rows[i].truncated ||
            (!reader.truncated && reader.rest.data != rows[i].bytes + rows[i].size_bytes)) {
            fail_msg("%s: %llu", rows[i].name, (unsigned long long)value);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_come_back),
        cmocka_unit_test(what_no_writer_puts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
