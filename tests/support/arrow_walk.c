#include "tests/support/arrow_walk.h"

#include <string.h>

// A table of a flatbuffer: where it stands, and its fields.
struct table {
    struct k2_slice whole;
    size_t at, vtable, vtable_bytes, table_bytes;
};

// The entries of a dictionary, as its last batch gave them.
struct dictionary {
    struct k2_slice offsets, text;
    size_t count;
    bool sent;
};

struct state {
    struct arrow_walk *walk;
    struct dictionary dictionaries[ARROW_WALK_COLUMNS];
};

static bool fail(struct arrow_walk *walk, const char *what)
{
    walk->wrong = what;
    return false;
}

static uint64_t number_at(struct k2_slice bytes, size_t at, size_t size)
{
    uint64_t value = 0;
    if (at > bytes.size_bytes || size > bytes.size_bytes - at) {
        return UINT64_MAX; // outside: no sane length
    }
    memcpy(&value, bytes.data + at, size);
    return value;
}

static bool open_table(struct k2_slice whole, size_t at, struct table *table)
{
    *table = (struct table){.whole = whole, .at = at};
    if (at % 4 != 0 || at > whole.size_bytes || whole.size_bytes - at < 4) {
        return false;
    }
    int64_t distance = (int32_t)number_at(whole, at, 4);
    if (distance > (int64_t)at || (int64_t)at - distance > (int64_t)whole.size_bytes - 4) {
        return false;
    }
    table->vtable = (size_t)((int64_t)at - distance);
    table->vtable_bytes = number_at(whole, table->vtable, 2);
    table->table_bytes = number_at(whole, table->vtable + 2, 2);
    return table->vtable_bytes >= 4 && table->vtable_bytes % 2 == 0 &&
           table->vtable_bytes <= whole.size_bytes - table->vtable && table->table_bytes >= 4 &&
           table->table_bytes <= whole.size_bytes - at;
}

// Where a field stands; 0: absent, SIZE_MAX: outside or askew.
static size_t field_at(const struct table *table, size_t field, size_t size)
{
    size_t place = 4 + 2 * field;
    if (place + 2 > table->vtable_bytes) {
        return 0;
    }
    size_t offset = number_at(table->whole, table->vtable + place, 2);
    if (offset == 0) {
        return 0;
    }
    bool inside = offset >= 4 && size <= table->table_bytes && offset <= table->table_bytes - size;
    return inside && (table->at + offset) % size == 0 ? table->at + offset : SIZE_MAX;
}

static uint64_t scalar(const struct table *table, size_t field, size_t size)
{
    size_t at = field_at(table, field, size);
    return at == 0 ? 0 : number_at(table->whole, at, size);
}

static bool child_at(const struct table *table, size_t field, size_t *at)
{
    size_t place = field_at(table, field, 4);
    if (place == 0 || place == SIZE_MAX) {
        return false;
    }
    *at = place + number_at(table->whole, place, 4);
    return *at < table->whole.size_bytes;
}

static bool child_table(const struct table *table, size_t field, struct table *child)
{
    size_t at;
    return child_at(table, field, &at) && open_table(table->whole, at, child);
}

static bool child_vector(const struct table *table, size_t field, size_t item_bytes,
                         size_t alignment, struct k2_slice *items, size_t *count)
{
    size_t at;
    if (!child_at(table, field, &at) || at % 4 != 0) {
        return false;
    }
    *count = number_at(table->whole, at, 4);
    size_t room = table->whole.size_bytes - at;
    if (room < 4 || *count > (room - 4) / item_bytes || (at + 4) % alignment != 0) {
        return false;
    }
    *items = (struct k2_slice){table->whole.data + at + 4, *count * item_bytes};
    return true;
}

static bool child_text(const struct table *table, size_t field, struct k2_slice *text)
{
    size_t count;
    return child_vector(table, field, 1, 1, text, &count) &&
           (size_t)(text->data - table->whole.data) + count < table->whole.size_bytes &&
           text->data[count] == '\0';
}

// The table that item `index` of a vector refers to.
static bool item_table(const struct table *table, struct k2_slice items, size_t index,
                       struct table *item)
{
    size_t place = (size_t)(items.data - table->whole.data) + 4 * index;
    return open_table(table->whole, place + number_at(table->whole, place, 4), item);
}

static bool read_field(struct arrow_walk *walk, const struct table *table)
{
    struct arrow_walk_field *field = &walk->fields[walk->field_count++];
    struct table type;
    struct k2_slice children;
    size_t child_count;
    *field = (struct arrow_walk_field){.nullable = scalar(table, 1, 1) == 1,
                                       .type = (uint8_t)scalar(table, 2, 1)};
    if (!child_text(table, 0, &field->name) || !child_table(table, 3, &type) ||
        !child_vector(table, 5, 4, 4, &children, &child_count) || child_count != 0) {
        return fail(walk, "field");
    }
    switch (field->type) {
    case 2: // Int
        field->bits = (int32_t)scalar(&type, 0, 4);
        break;
    case 3: // FloatingPoint, double
        field->bits = 64;
        break;
    case 7: // Decimal
        field->bits = (int32_t)scalar(&type, 2, 4);
        field->scale = (int32_t)scalar(&type, 1, 4);
        break;
    case 10: // Timestamp
        field->bits = scalar(&type, 0, 2) == 3 ? 64 : 0;
        break;
    case 15: // FixedSizeBinary
        field->bits = 8 * (int32_t)scalar(&type, 0, 4);
        break;
    case 5:          // Utf8
    case 6:          // Bool
        return true; // a dictionary's type is that of its entries
    default:
        return fail(walk, "type");
    }
    return field->bits > 0 && field->bits % 8 == 0 ? true : fail(walk, "width");
}

static bool read_schema(struct state *state, const struct table *schema)
{
    struct arrow_walk *walk = state->walk;
    struct k2_slice items, pairs;
    size_t count;
    if (!child_vector(schema, 1, 4, 4, &items, &count) || count > ARROW_WALK_COLUMNS) {
        return fail(walk, "schema");
    }
    for (size_t i = 0; i < count; i++) {
        struct table field, encoding, index;
        if (!item_table(schema, items, i, &field) || !read_field(walk, &field)) {
            return fail(walk, walk->wrong == NULL ? "field" : walk->wrong);
        }
        walk->fields[i].dictionary = child_table(&field, 4, &encoding);
        if (walk->fields[i].dictionary &&
            (scalar(&encoding, 0, 8) != i || !child_table(&encoding, 1, &index) ||
             scalar(&index, 0, 4) != 32)) {
            return fail(walk, "dictionary encoding");
        }
    }
    if (child_vector(schema, 2, 4, 4, &pairs, &walk->metadata_count)) {
        for (size_t i = 0; i < walk->metadata_count; i++) {
            struct table pair;
            struct k2_slice name, value;
            if (!item_table(schema, pairs, i, &pair) || !child_text(&pair, 0, &name) ||
                !child_text(&pair, 1, &value)) {
                return fail(walk, "metadata");
            }
        }
    }
    return true;
}

// The buffers of a body, one after the other.
struct body {
    struct k2_slice bytes, buffers;
    size_t next, end; // buffers, and where the last one ended
};

static bool take_buffer(struct body *body, size_t size_bytes, struct k2_slice *buffer)
{
    if (body->next >= body->buffers.size_bytes / 16) {
        return false;
    }
    size_t offset = number_at(body->buffers, 16 * body->next, 8);
    size_t size = number_at(body->buffers, 16 * body->next + 8, 8);
    body->next++;
    if (size < size_bytes || offset % 8 != 0 || offset < body->end ||
        offset > body->bytes.size_bytes || size > body->bytes.size_bytes - offset) {
        return false;
    }
    body->end = offset + size;
    *buffer = (struct k2_slice){body->bytes.data + offset, size};
    return true;
}

static bool open_body(const struct table *batch, struct k2_slice bytes, struct k2_slice *nodes,
                      size_t *node_count, struct body *body)
{
    size_t buffer_count;
    *body = (struct body){.bytes = bytes};
    return child_vector(batch, 1, 16, 8, nodes, node_count) &&
           child_vector(batch, 2, 16, 8, &body->buffers, &buffer_count);
}

// Offsets that rise and stay within the text; of no rows there may be none.
static bool offsets_hold(struct k2_slice offsets, size_t count, struct k2_slice text)
{
    int32_t before = 0;
    for (size_t i = 0; count > 0 && i <= count; i++) {
        int32_t offset;
        memcpy(&offset, offsets.data + 4 * i, 4);
        if (offset < before || (size_t)offset > text.size_bytes || (i == 0 && offset != 0)) {
            return false;
        }
        before = offset;
    }
    return true;
}

static struct k2_slice text_at(struct k2_slice offsets, struct k2_slice text, size_t index)
{
    int32_t begin, end;
    memcpy(&begin, offsets.data + 4 * index, 4);
    memcpy(&end, offsets.data + 4 * index + 4, 4);
    return (struct k2_slice){text.data + begin, (size_t)(end - begin)};
}

static bool read_dictionary(struct state *state, const struct table *table, struct k2_slice bytes)
{
    struct table batch;
    struct k2_slice nodes, valid;
    struct body body;
    size_t node_count, id = scalar(table, 0, 8);
    if (id >= state->walk->field_count || !state->walk->fields[id].dictionary ||
        !child_table(table, 1, &batch) || !open_body(&batch, bytes, &nodes, &node_count, &body) ||
        node_count != 1) {
        return fail(state->walk, "dictionary batch");
    }
    struct dictionary *dictionary = &state->dictionaries[id];
    dictionary->count = scalar(&batch, 0, 8);
    size_t offset_bytes = dictionary->count == 0 ? 0 : 4 * (dictionary->count + 1);
    if (dictionary->count > INT32_MAX || number_at(nodes, 0, 8) != dictionary->count ||
        !take_buffer(&body, 0, &valid) || !take_buffer(&body, offset_bytes, &dictionary->offsets) ||
        !take_buffer(&body, 0, &dictionary->text) ||
        !offsets_hold(dictionary->offsets, dictionary->count, dictionary->text)) {
        return fail(state->walk, "dictionary");
    }
    dictionary->sent = true;
    state->walk->dictionary_count++;
    return true;
}

// A column of a batch while it is walked over.
struct column {
    size_t index, null_count;
    struct k2_slice valid, values, text;
};

static bool value_at(struct state *state, const struct column *column, size_t row,
                     struct k2_slice *bytes, uint8_t *bit)
{
    const struct arrow_walk_field *field = &state->walk->fields[column->index];
    if (field->dictionary) {
        const struct dictionary *dictionary = &state->dictionaries[column->index];
        uint32_t entry;
        memcpy(&entry, column->values.data + 4 * row, 4);
        if (!dictionary->sent || entry >= dictionary->count) {
            return false;
        }
        *bytes = text_at(dictionary->offsets, dictionary->text, entry);
    } else if (field->type == 5) {
        *bytes = text_at(column->values, column->text, row);
    } else if (field->type == 6) {
        *bit = column->values.data[row / 8] >> row % 8 & 1;
        *bytes = (struct k2_slice){bit, 1};
    } else {
        size_t width = (size_t)field->bits / 8;
        *bytes = (struct k2_slice){column->values.data + width * row, width};
    }
    return true;
}

static bool walk_rows(struct state *state, const struct column *column, size_t row_count)
{
    struct arrow_walk *walk = state->walk;
    size_t null_count = 0;
    for (size_t row = 0; row < row_count; row++) {
        uint8_t bit;
        struct arrow_walk_value value = {.row = walk->row_count + row,
                                         .column = column->index,
                                         .field = &walk->fields[column->index]};
        value.null = column->null_count > 0 && (column->valid.data[row / 8] >> row % 8 & 1) == 0;
        null_count += value.null;
        if (!value.null && !value_at(state, column, row, &value.bytes, &bit)) {
            return fail(walk, "dictionary index");
        }
        if (walk->take != NULL) {
            walk->take(walk->context, &value);
        }
    }
    return null_count == column->null_count ? true : fail(walk, "null count");
}

static bool read_column(struct state *state, struct body *body, struct column *column,
                        size_t row_count)
{
    struct arrow_walk *walk = state->walk;
    const struct arrow_walk_field *field = &walk->fields[column->index];
    size_t value_bytes = row_count * (size_t)(field->bits / 8);
    if (field->dictionary) {
        value_bytes = 4 * row_count;
    } else if (field->type == 5) {
        value_bytes = 4 * (row_count + 1);
    } else if (field->type == 6) {
        value_bytes = (row_count + 7) / 8;
    }
    bool has_text = field->type == 5 && !field->dictionary;
    if (column->null_count > row_count || (column->null_count > 0 && !field->nullable) ||
        !take_buffer(body, column->null_count > 0 ? (row_count + 7) / 8 : 0, &column->valid) ||
        !take_buffer(body, value_bytes, &column->values) ||
        (has_text && (!take_buffer(body, 0, &column->text) ||
                      !offsets_hold(column->values, row_count, column->text)))) {
        return fail(walk, "column");
    }
    return walk_rows(state, column, row_count);
}

static bool read_batch(struct state *state, const struct table *batch, struct k2_slice bytes)
{
    struct arrow_walk *walk = state->walk;
    struct k2_slice nodes;
    struct body body;
    size_t node_count, row_count = scalar(batch, 0, 8);
    if (!open_body(batch, bytes, &nodes, &node_count, &body) || node_count != walk->field_count ||
        row_count == 0 || row_count > INT32_MAX) {
        return fail(walk, "batch");
    }
    for (size_t i = 0; i < node_count; i++) {
        struct column column = {.index = i, .null_count = number_at(nodes, 16 * i + 8, 8)};
        if (number_at(nodes, 16 * i, 8) != row_count ||
            !read_column(state, &body, &column, row_count)) {
            return fail(walk, walk->wrong == NULL ? "node" : walk->wrong);
        }
    }
    if (body.next != body.buffers.size_bytes / 16) {
        return fail(walk, "buffers");
    }
    walk->row_count += row_count;
    walk->batch_count++;
    walk->largest_batch = row_count > walk->largest_batch ? row_count : walk->largest_batch;
    return true;
}

static bool read_message(struct state *state, size_t number, struct k2_slice metadata,
                         struct k2_byte_reader *reader)
{
    struct arrow_walk *walk = state->walk;
    struct table message, header;
    size_t root = number_at(metadata, 0, 4);
    if (!open_table(metadata, root, &message) || scalar(&message, 0, 2) != 4 ||
        !child_table(&message, 2, &header)) {
        return fail(walk, "message");
    }
    uint64_t body_bytes = scalar(&message, 3, 8), type = scalar(&message, 1, 1);
    if (body_bytes % 8 != 0 || (number == 0) != (type == 1)) {
        return fail(walk, "order of messages");
    }
    struct k2_slice body = k2_read_bytes(reader, body_bytes);
    if (reader->truncated) {
        return fail(walk, "body is cut");
    }
    switch (type) {
    case 1:
        return read_schema(state, &header);
    case 2:
        return read_dictionary(state, &header, body);
    case 3:
        return read_batch(state, &header, body);
    default:
        return fail(walk, "kind of message");
    }
}

bool arrow_walk(struct arrow_walk *walk, struct k2_slice stream)
{
    struct state state = {.walk = walk};
    struct k2_byte_reader reader = {.rest = stream};
    for (size_t number = 0; reader.rest.size_bytes > 0; number++) {
        if (k2_read_u32(&reader) != UINT32_MAX) {
            return fail(walk, "mark");
        }
        uint32_t size = k2_read_u32(&reader);
        if (size == 0 && !reader.truncated) {
            walk->ended = reader.rest.size_bytes == 0 && number > 0;
            return walk->ended ? true : fail(walk, "bytes behind the end");
        }
        struct k2_slice metadata = k2_read_bytes(&reader, size);
        if (reader.truncated || size % 8 != 0) {
            return fail(walk, "metadata is cut");
        }
        if (!read_message(&state, number, metadata, &reader)) {
            return false;
        }
    }
    return true;
}
