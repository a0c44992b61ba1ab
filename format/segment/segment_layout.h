// Where the bytes of a segment stand. SEGMENT.md says what they mean. All integers little-endian.
#pragma once

#include <stdint.h>

#define K2_SEGMENT_MAGIC "K2SEG\r\n\x1a"
#define K2_GROUP_MAGIC "K2GROUP\n"

enum {
    K2_MAGIC_BYTES = 8,
    K2_FORMAT_MAJOR = 0, // a reader refuses another one
    K2_FORMAT_MINOR = 3,
    K2_FORMAT_OLDEST_MINOR = 3, // of major 0, which is not frozen: what is older is refused, too
};

// The file header: one page, of which the rest is zero.
enum {
    K2_SEGMENT_AT_CHECKSUM = 8, // over what follows it, up to the end of the page
    K2_SEGMENT_AT_CHECKED = 16,
    K2_SEGMENT_AT_MAJOR = 16,
    K2_SEGMENT_AT_MINOR = 18,
    K2_SEGMENT_AT_INCOMPATIBLE = 20,
    K2_SEGMENT_AT_READ_ONLY = 24,
    K2_SEGMENT_AT_COMPATIBLE = 28,
    K2_SEGMENT_AT_STORE_ID = 32,
    K2_SEGMENT_AT_ID = 48,
    K2_SEGMENT_HEADER_USED_BYTES = 56,
};

// The head of a row group: this header, column entries, markers, inputs, table name.
enum {
    K2_GROUP_AT_CHECKSUM = 8, // over what follows it, up to the end of the head
    K2_GROUP_AT_CHECKED = 16,
    K2_GROUP_AT_HEAD_BYTES = 16,
    K2_GROUP_AT_LENGTH = 20,
    K2_GROUP_AT_ROW_COUNT = 24,
    K2_GROUP_AT_COLUMN_COUNT = 28,
    K2_GROUP_AT_NAME_BYTES = 30,
    K2_GROUP_AT_STORE_ID = 32,
    K2_GROUP_AT_SEGMENT_ID = 48,
    K2_GROUP_AT_OFFSET = 56,
    K2_GROUP_AT_RUN = 64,
    K2_GROUP_AT_RUN_BASE = 72,
    K2_GROUP_AT_COMMIT = 80,
    K2_GROUP_AT_COMMIT_TIME = 88,
    K2_GROUP_AT_PART = 96,
    K2_GROUP_AT_PART_COUNT = 100,
    K2_GROUP_AT_SCHEMA_VERSION = 104,
    K2_GROUP_AT_TABLE_ID = 108,
    K2_GROUP_AT_LEVEL = 110,
    K2_GROUP_AT_MARKER_COUNT = 112,
    K2_GROUP_AT_MARKER_BYTES = 116,
    K2_GROUP_AT_INPUT_COUNT = 120,
    K2_GROUP_AT_ENTRY_COUNT = 124,
    K2_GROUP_AT_DIRECTORY_BYTES = 128,
    K2_GROUP_AT_DIRECTORY_RAW_BYTES = 132,
    K2_GROUP_AT_DIRECTORY_CHECKSUM = 136,
    K2_GROUP_HEADER_BYTES = 144,
    K2_INPUT_BYTES = 24,
};

// A column entry.
enum {
    K2_COLUMN_AT_ID = 0,
    K2_COLUMN_AT_KIND = 2,
    K2_COLUMN_AT_SCALE = 3,
    K2_COLUMN_AT_ENCODING = 4,
    K2_COLUMN_AT_FLAGS = 5,
    K2_COLUMN_AT_REFERENCE = 6,
    K2_COLUMN_AT_OFFSET = 8,
    K2_COLUMN_AT_LENGTH = 12,
    K2_COLUMN_AT_CHECKSUM = 16,
    K2_COLUMN_AT_NULL_COUNT = 24,
    K2_COLUMN_AT_MIN = 32,
    K2_COLUMN_AT_MAX = 40,
    K2_COLUMN_AT_SUM = 48,
    K2_COLUMN_ENTRY_BYTES = 64,
};

// Ids are never reused.
enum k2_chunk_encoding {
    K2_ENCODING_ALL_NULL = 0, // no chunk
    K2_ENCODING_INTEGERS = 1,
    K2_ENCODING_DICTIONARY = 2,
    K2_ENCODING_TEXTS = 3,
    K2_ENCODING_DIGITS = 4,
    K2_ENCODING_NUMBERED = 5,
    K2_ENCODING_DIFFERENCES = 6,
    K2_ENCODING_ORDINALS = 7,
};

enum { K2_COLUMN_HAS_RANGE = 1 };

// An integer chunk: header, divisors, block entries, bounds, zones, payload.
enum {
    K2_CHUNK_AT_FLAGS = 0,
    K2_CHUNK_AT_DIVISOR_COUNT = 1,
    K2_CHUNK_AT_BLOCK_COUNT = 2,
    K2_CHUNK_HEADER_BYTES = 4,

    K2_BLOCK_AT_OFFSET = 0,
    K2_BLOCK_AT_CODEC = 4,
    K2_BLOCK_AT_WIDTH = 5,
    K2_BLOCK_AT_DIVISOR = 6, // 0: 1; else the place in the table, from 1
    K2_BLOCK_AT_VALIDITY = 7,
    K2_BLOCK_AT_BASE = 8,
    K2_BLOCK_ENTRY_BYTES = 16,

    K2_BOUNDS_BYTES = 16, // min, max

    K2_ZONE_AT_MIN = 0,
    K2_ZONE_AT_MAX = 8,
    K2_ZONE_AT_SUM = 16,
    K2_ZONE_AT_NULL_COUNT = 32,
    K2_ZONE_BYTES = 36,
    K2_ZONE_BLOCKS = 8,
};

enum {
    K2_CHUNK_HAS_BOUNDS = 1,
    K2_CHUNK_HAS_ZONES = 2,
    K2_CHUNK_IS_UNIFORM = 4, // one block entry stands for all blocks
};

enum k2_validity {
    K2_ALL_VALID = 0,
    K2_ALL_NULL = 1,
    K2_VALIDITY_BITMAP = 2, // ceil(rows / 8) bytes before the payload, lowest bit first, 1 = valid
};

// A dictionary chunk: header, dictionary, an integer chunk of codes.
enum {
    K2_DICTIONARY_AT_COUNT = 0,
    K2_DICTIONARY_AT_BYTES = 4,
    K2_DICTIONARY_AT_RAW_BYTES = 8,
    K2_DICTIONARY_HEADER_BYTES = 12,
};

// A chunk of texts: header, block table, an integer chunk of lengths, the texts.
enum {
    K2_TEXTS_AT_LENGTHS_BYTES = 0,
    K2_TEXTS_HEADER_BYTES = 4,
    K2_TEXTS_AT_OFFSET = 0,
    K2_TEXTS_AT_RAW_BYTES = 4,
    K2_TEXTS_ENTRY_BYTES = 8,
};

// What decompression may take, whatever the bytes say.
enum {
    K2_DICTIONARY_RAW_BYTES_MAX = 16 << 20,
    K2_TEXTS_RAW_BYTES_MAX = 64 << 20, // of a block
    K2_PREFIX_BYTES_MAX = 64,          // of numbered texts
    K2_DIRECTORY_ENTRY_BYTES_MAX = 512,
    K2_NAMES_BYTES_MAX = 384, // exchange and symbol together
};

_Static_assert(sizeof K2_SEGMENT_MAGIC == K2_MAGIC_BYTES + 1, "magic of a segment");
_Static_assert(sizeof K2_GROUP_MAGIC == K2_MAGIC_BYTES + 1, "magic of a group");
_Static_assert(K2_SEGMENT_AT_ID + 8 == K2_SEGMENT_HEADER_USED_BYTES, "segment header");
_Static_assert(K2_GROUP_AT_DIRECTORY_CHECKSUM + 8 == K2_GROUP_HEADER_BYTES, "group header");
_Static_assert(K2_COLUMN_AT_SUM + 16 == K2_COLUMN_ENTRY_BYTES, "column entry");
_Static_assert(K2_BLOCK_AT_BASE + 8 == K2_BLOCK_ENTRY_BYTES, "block entry");
_Static_assert(K2_ZONE_AT_NULL_COUNT + 4 == K2_ZONE_BYTES, "zone");
