#include "format/arrow/flatbuffer.h"

#include <assert.h>

#include "format/base/alloc.h"

enum {
    FIRST_BYTES = 1024,
    MOST_BYTES = 16 << 20, // far beyond 256 columns with the longest names
    ALIGNMENT = 8,         // of the whole
    OFFSET_BYTES = 4,
};

void k2_flat_deinit(struct k2_flat *flat)
{
    k2_free(flat->data);
    *flat = (struct k2_flat){0};
}

void k2_flat_clear(struct k2_flat *flat)
{
    flat->size_bytes = 0;
    flat->failed = false;
}

static bool grow(struct k2_flat *flat, size_t size_bytes)
{
    size_t room = flat->room_bytes == 0 ? FIRST_BYTES : flat->room_bytes;
    while (room - flat->size_bytes < size_bytes && room <= MOST_BYTES) {
        room *= 2;
    }
    uint8_t *data = room > MOST_BYTES ? NULL : k2_alloc(room);
    if (data == NULL) {
        flat->failed = true;
        return false;
    }
    if (flat->size_bytes > 0) {
        memcpy(data + room - flat->size_bytes, flat->data + flat->room_bytes - flat->size_bytes,
               flat->size_bytes);
    }
    k2_free(flat->data);
    flat->data = data;
    flat->room_bytes = room;
    return true;
}

// `size_bytes` more bytes before all others; NULL when it failed.
static uint8_t *extend(struct k2_flat *flat, size_t size_bytes)
{
    if (flat->failed) {
        return NULL;
    }
    if (flat->room_bytes - flat->size_bytes < size_bytes && !grow(flat, size_bytes)) {
        return NULL;
    }
    flat->size_bytes += size_bytes;
    return flat->data + flat->room_bytes - flat->size_bytes;
}

// Zeros, so that what is put next, `size_bytes` long, begins at a multiple of `alignment` once the
// whole does.
static void align(struct k2_flat *flat, size_t size_bytes, size_t alignment)
{
    size_t padding = (0 - (flat->size_bytes + size_bytes)) & (alignment - 1);
    uint8_t *place = extend(flat, padding);
    if (place != NULL) {
        memset(place, 0, padding);
    }
}

static void put(struct k2_flat *flat, uint64_t value, size_t size_bytes)
{
    align(flat, size_bytes, size_bytes);
    uint8_t *place = extend(flat, size_bytes);
    for (size_t i = 0; place != NULL && i < size_bytes; i++) {
        place[i] = (uint8_t)(value >> 8 * i);
    }
}

static void put_bytes(struct k2_flat *flat, const void *bytes, size_t size_bytes)
{
    uint8_t *place = extend(flat, size_bytes);
    if (place != NULL && size_bytes > 0) {
        memcpy(place, bytes, size_bytes);
    }
}

// The distance from where an offset will stand to what it points to.
static void put_offset(struct k2_flat *flat, k2_flat_ref to)
{
    align(flat, OFFSET_BYTES, OFFSET_BYTES);
    put(flat, flat->size_bytes + OFFSET_BYTES - to, OFFSET_BYTES);
}

k2_flat_ref k2_flat_string(struct k2_flat *flat, struct k2_slice text)
{
    align(flat, text.size_bytes + 1, OFFSET_BYTES);
    put_bytes(flat, "", 1); // readers in C rely on the NUL
    put_bytes(flat, text.data, text.size_bytes);
    put(flat, text.size_bytes, OFFSET_BYTES);
    return (k2_flat_ref)flat->size_bytes;
}

k2_flat_ref k2_flat_vector(struct k2_flat *flat, const k2_flat_ref *refs, size_t count)
{
    align(flat, count * OFFSET_BYTES, OFFSET_BYTES);
    for (size_t i = count; i > 0; i--) {
        put_offset(flat, refs[i - 1]);
    }
    put(flat, count, OFFSET_BYTES);
    return (k2_flat_ref)flat->size_bytes;
}

k2_flat_ref k2_flat_structs(struct k2_flat *flat, const int64_t *numbers, size_t count,
                            size_t words)
{
    size_t size_bytes = count * words * sizeof *numbers;
    align(flat, size_bytes, sizeof *numbers);
    for (size_t i = count * words; i > 0; i--) {
        put(flat, (uint64_t)numbers[i - 1], sizeof *numbers);
    }
    put(flat, count, OFFSET_BYTES);
    return (k2_flat_ref)flat->size_bytes;
}

void k2_flat_table(struct k2_flat *flat)
{
    assert(flat->field_count == 0);
    flat->table_end = flat->size_bytes;
    memset(flat->fields, 0, sizeof flat->fields);
}

static void put_field(struct k2_flat *flat, size_t field, uint64_t value, size_t size_bytes)
{
    assert(field < K2_FLAT_FIELDS && flat->fields[field] == 0);
    put(flat, value, size_bytes);
    flat->fields[field] = flat->size_bytes;
    flat->field_count = field >= flat->field_count ? field + 1 : flat->field_count;
}

void k2_flat_u8(struct k2_flat *flat, size_t field, uint8_t value)
{
    put_field(flat, field, value, sizeof value);
}

void k2_flat_i16(struct k2_flat *flat, size_t field, int16_t value)
{
    put_field(flat, field, (uint64_t)value, sizeof value);
}

void k2_flat_i32(struct k2_flat *flat, size_t field, int32_t value)
{
    put_field(flat, field, (uint64_t)value, sizeof value);
}

void k2_flat_i64(struct k2_flat *flat, size_t field, int64_t value)
{
    put_field(flat, field, (uint64_t)value, sizeof value);
}

void k2_flat_child(struct k2_flat *flat, size_t field, k2_flat_ref child)
{
    if (child != 0) {
        align(flat, OFFSET_BYTES, OFFSET_BYTES);
        put_field(flat, field, flat->size_bytes + OFFSET_BYTES - child, OFFSET_BYTES);
    }
}

// The table: the distance to its vtable, then its fields. The vtable, which says where in the table
// each field stands, goes right before it.
k2_flat_ref k2_flat_table_end(struct k2_flat *flat)
{
    size_t vtable_bytes = 2 * (2 + flat->field_count);
    put(flat, vtable_bytes, OFFSET_BYTES);
    size_t table = flat->size_bytes;
    for (size_t i = flat->field_count; i > 0; i--) {
        put(flat, flat->fields[i - 1] == 0 ? 0 : table - flat->fields[i - 1], 2);
    }
    put(flat, table - flat->table_end, 2);
    put(flat, vtable_bytes, 2);
    flat->field_count = 0;
    return (k2_flat_ref)table;
}

enum k2_status k2_flat_finish(struct k2_flat *flat, k2_flat_ref root, struct k2_slice *bytes,
                              struct k2_error *error)
{
    align(flat, OFFSET_BYTES, ALIGNMENT);
    put_offset(flat, root);
    if (flat->failed) {
        return k2_fail(error, K2_NO_MEMORY, "arrow: no memory for metadata");
    }
    *bytes = (struct k2_slice){flat->data + flat->room_bytes - flat->size_bytes, flat->size_bytes};
    return K2_OK;
}
