// Runs a fuzz target over files, with any compiler: each input that once failed is a test. Then
// over what comes of each by one change: a byte that is another, or gone, or the last one.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAYS = 7, MOST_CHANGED = 30000, MOST_SECONDS = 3 };

struct input {
    uint8_t *data;
    size_t size;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool load(const char *path, struct input *input)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        return false;
    }
    long size = ftell(file);
    rewind(file);
    // Exactly as large as the input, so that a sanitizer sees a read past its end.
    input->data = size < 0 ? NULL : malloc(size == 0 ? 1 : (size_t)size);
    input->size = (size_t)size;
    bool good = input->data != NULL && fread(input->data, 1, input->size, file) == input->size;
    (void)fclose(file);
    return good;
}

static bool run_changed(const struct input *input, size_t place, unsigned way)
{
    size_t size = way == 0 ? place : way == 1 ? input->size - 1 : input->size;
    uint8_t *data = malloc(size == 0 ? 1 : size);
    if (data == NULL) {
        return false;
    }
    memcpy(data, input->data, place);
    if (way > 0) {
        size_t from = place + (way == 1);
        memcpy(data + place, input->data + from, input->size - from);
    }
    const uint8_t values[WAYS] = {0,
                                  0,
                                  0,
                                  0xff,
                                  (uint8_t)(input->data[place] ^ 0x01),
                                  (uint8_t)(input->data[place] ^ 0x80),
                                  (uint8_t)(input->data[place] + 2)};
    if (way > 1) {
        data[place] = values[way];
    }
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    return true;
}

// Changes about `most` places of the input in every way, in an order that is all over it, until the
// processor's clock is at `end`.
static bool run_all(const struct input *input, size_t most, clock_t end, size_t *count)
{
    enum { STEP = 7919 }; // a prime: each place once, if the size has another factor
    (void)LLVMFuzzerTestOneInput(input->data, input->size);
    size_t places = input->size < most ? input->size : most;
    for (size_t i = 0; i < places && clock() < end; i++) {
        for (unsigned way = 0; way < WAYS; way++) {
            if (!run_changed(input, i * STEP % input->size, way)) {
                return false;
            }
            ++*count;
        }
    }
    return true;
}

int main(int argument_count, char **arguments)
{
    const char *tier = getenv("K2_TEST_TIER");
    size_t inputs = (size_t)argument_count - 1, count = 0;
    bool torture = tier != NULL && strcmp(tier, "torture") == 0, good = true;
    for (size_t i = 1; i <= inputs && good; i++) {
        struct input input = {0};
        clock_t share = (torture ? 3600 : MOST_SECONDS) * (clock_t)CLOCKS_PER_SEC / (clock_t)inputs;
        good = load(arguments[i], &input) &&
               run_all(&input, torture ? SIZE_MAX : MOST_CHANGED / WAYS / inputs, clock() + share,
                       &count);
        free(input.data);
    }
    (void)printf("replayed %zu inputs, and %zu changed ones\n", inputs, count);
    return good ? 0 : 1;
}
