// Lines of control.sock: a request that is taken, printed again and taken again says the same, with
// each text ended by a NUL; an answer that is taken lies within its line.
#include <stdlib.h>
#include <string.h>

#include "engine/control_line.h"

static void check(bool good)
{
    if (!good) {
        abort();
    }
}

static void check_request(struct k2_slice line)
{
    struct k2_control_request first, second;
    const char *arguments[K2_CONTROL_MOST_ARGUMENTS];
    if (k2_control_request_parse(&first, line, NULL) == K2_OK) {
        for (size_t i = 0; i < first.argument_count; i++) {
            arguments[i] = (const char *)first.arguments[i].data;
            check(strlen(arguments[i]) == first.arguments[i].size_bytes);
        }
        struct k2_buffer printed;
        k2_buffer_init(&printed, (size_t)8 * K2_CONTROL_LINE_BYTES);
        k2_control_request_put(&printed, (const char *)first.name.data, arguments,
                               first.argument_count);
        check(!printed.failed);
        struct k2_slice again = {printed.data, printed.size_bytes - 1};
        if (again.size_bytes <= K2_CONTROL_LINE_BYTES) { // escapes can make it longer
            check(k2_control_request_parse(&second, again, NULL) == K2_OK);
            check(k2_slice_equal(first.name, second.name));
            check(first.argument_count == second.argument_count);
            for (size_t i = 0; i < first.argument_count; i++) {
                check(k2_slice_equal(first.arguments[i], second.arguments[i]));
            }
            k2_control_request_deinit(&second);
        }
        k2_buffer_deinit(&printed);
    }
    k2_control_request_deinit(&first);
}

static bool within(struct k2_slice part, struct k2_slice whole)
{
    return part.size_bytes == 0 || (part.data >= whole.data &&
                                    part.data + part.size_bytes <= whole.data + whole.size_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct k2_slice line = {data, size};
    struct k2_control_answer answer;
    check_request(line);
    if (k2_control_answer_parse(&answer, line, NULL) == K2_OK) {
        check(within(answer.result, line) && within(answer.status, line) &&
              within(answer.error, line));
    }
    return 0;
}
