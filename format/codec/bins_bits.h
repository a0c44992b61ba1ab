// Writes bits one after the other, from the lowest one up; for the files that write BINS.
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

struct k2_bit_writer {
    uint8_t *out;
    uint64_t word;
    unsigned used;
};

static inline void k2_bits_put(struct k2_bit_writer *writer, uint64_t value, unsigned width)
{
    writer->word |= value << writer->used;
    writer->used += width;
    if (writer->used >= 64) {
        uint64_t word = htole64(writer->word);
        memcpy(writer->out, &word, sizeof word);
        writer->out += sizeof word;
        writer->used -= 64;
        writer->word = writer->used == 0 ? 0 : value >> (width - writer->used);
    }
}

static inline void k2_bits_flush(struct k2_bit_writer *writer)
{
    for (unsigned bit = 0; bit < writer->used; bit += 8) {
        *writer->out++ = (uint8_t)(writer->word >> bit);
    }
}
