// Reads the values of an Avro message, each by an action that says what becomes of it.
//
// Actions are made by avro_plan from the writer's type and the table's column; the bytes are
// foreign: every read is bounded by the message, and what can not be represented is refused with a
// short reason. Belongs to one thread.
#pragma once

#include "format/base/buffer.h"
#include "format/schema/schema.h"
#include "ingest/avro_schema.h"

enum k2_avro_act {
    K2_AVRO_ACT_NULL = 0,
    K2_AVRO_ACT_MISFIT,  // a union branch that has no place in the column
    K2_AVRO_ACT_UNION,   // reads the branch, then one of `count` actions from `first`
    K2_AVRO_ACT_INTEGER, // min <= value <= max, then times `factor`
    K2_AVRO_ACT_DECIMAL, // bytes or fixed; writer_scale to scale
    K2_AVRO_ACT_DECIMAL_TEXT,
    K2_AVRO_ACT_BOOLEAN,
    K2_AVRO_ACT_FLOAT,
    K2_AVRO_ACT_DOUBLE,
    K2_AVRO_ACT_INTEGER_TO_DOUBLE,
    K2_AVRO_ACT_TEXT, // string or bytes
    K2_AVRO_ACT_ENUM, // the symbol's name
    K2_AVRO_ACT_UUID_TEXT,
    K2_AVRO_ACT_FIXED, // its bytes as they are
    K2_AVRO_ACT_JSON_STRINGS,
    K2_AVRO_ACT_JSON_MAP,
    K2_AVRO_ACT_JSON_TEXT,
};

struct k2_avro_action {
    enum k2_avro_act act;
    uint32_t node; // of the writer's schema
    uint32_t first, count;
    int64_t min, max, factor;
    uint32_t writer_scale;
    uint8_t scale;
    enum k2_json_shape shape;
};

enum k2_avro_value_kind { K2_AVRO_VALUE_NULL, K2_AVRO_VALUE_NUMBER, K2_AVRO_VALUE_TEXT };

struct k2_avro_value {
    enum k2_avro_value_kind kind;
    int64_t number;       // fixed kinds of a column
    struct k2_slice text; // borrowed from the message, the schema or the reader's scratch
};

struct k2_avro_pair {
    struct k2_slice key, value;
};

struct k2_avro_reader {
    const struct k2_avro_schema *writer;  // borrowed
    const struct k2_avro_action *actions; // borrowed
    struct k2_byte_reader bytes;          // the message
    struct k2_buffer scratch;             // JSON texts of this message
    struct k2_avro_pair *pairs;           // of the map being read
    size_t pair_room;
    uint8_t uuid[16];
    const char *reason; // static; set with every K2_REJECTED
    struct k2_error *error;
};

enum { K2_TEXT_BYTES_MAX = 65535 }; // of any text that a message brings

void k2_avro_reader_init(struct k2_avro_reader *reader, const struct k2_avro_schema *writer,
                         const struct k2_avro_action *actions);
void k2_avro_reader_deinit(struct k2_avro_reader *reader);

// Begins a message; `error` is used until the next begin and may be NULL.
void k2_avro_reader_begin(struct k2_avro_reader *reader, struct k2_slice message,
                          struct k2_error *error);

// `value->text` lives until the next begin, a uuid's until the next read. K2_REJECTED sets
// reader->reason.
K2_MUST_CHECK enum k2_status k2_avro_read_value(struct k2_avro_reader *reader, uint32_t action,
                                                struct k2_avro_value *value);
K2_MUST_CHECK enum k2_status k2_avro_skip(struct k2_avro_reader *reader, uint32_t node);

// Sets reason and error text; returns K2_REJECTED. `reason` is static storage.
enum k2_status k2_avro_reject(struct k2_avro_reader *reader, const char *reason, const char *format,
                              ...) K2_PRINTF(3, 4);
