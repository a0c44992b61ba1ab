// Runs a fuzz target over files, with any compiler: each input that once failed is a test.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        return 1;
    }
    long size = ftell(file);
    rewind(file);
    // Exactly as large as the input, so that a sanitizer sees a read past its end.
    uint8_t *data = size < 0 ? NULL : malloc(size == 0 ? 1 : (size_t)size);
    int failed = data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size;
    (void)fclose(file);
    if (!failed) {
        (void)LLVMFuzzerTestOneInput(data, (size_t)size);
    }
    free(data);
    return failed;
}

int main(int argument_count, char **arguments)
{
    for (int i = 1; i < argument_count; i++) {
        if (replay(arguments[i]) != 0) {
            return 1;
        }
    }
    (void)printf("replayed %d inputs\n", argument_count - 1);
    return 0;
}
