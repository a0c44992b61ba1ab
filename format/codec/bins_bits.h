// Bits one after the other, from the lowest one up, and the numbers of a root's bitmap; for the
// files that read and write BINS.
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "format/codec/bins.h"

enum { K2_BINS_BITMAP_BYTES_MOST = K2_BINS_NODES_MOST * K2_BITPACK_VALUES / 8 + 8 };

// Bits of rows `row`, `row` + 256, + 512 and + 768.
static inline unsigned k2_bins_root_number(const uint8_t *bitmap, size_t row)
{
    unsigned number = 0;
    for (size_t i = 0; i < 4; i++) {
        size_t at = row + i * K2_BINS_ROOT_ROWS;
        number |= (unsigned)(bitmap[at / 8] >> at % 8 & 1) << i;
    }
    return number;
}

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
