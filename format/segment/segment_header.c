// The first page of a segment file; declared in row_group.h.
#include <string.h>

#include "format/base/checksum.h"
#include "format/segment/row_group.h"
#include "format/segment/segment_layout.h"

// Feature bits that this reader knows; a set bit that it does not know decides what it may do.
enum { KNOWN_INCOMPATIBLE = 0, KNOWN_READ_ONLY = 0 };

static struct k2_slice checked_part(const uint8_t *header)
{
    return (struct k2_slice){header + K2_SEGMENT_AT_CHECKED,
                             K2_SEGMENT_ALIGNMENT - K2_SEGMENT_AT_CHECKED};
}

enum k2_status k2_segment_header_encode(const uint8_t store_id[16], uint64_t segment_id,
                                        struct k2_buffer *out, struct k2_error *error)
{
    size_t start = out->size_bytes;
    k2_put_bytes(out, K2_SEGMENT_MAGIC, K2_MAGIC_BYTES);
    k2_put_u64(out, 0); // the checksum, below
    k2_put_u16(out, K2_FORMAT_MAJOR);
    k2_put_u16(out, K2_FORMAT_MINOR);
    k2_put_u32(out, 0);
    k2_put_u32(out, 0);
    k2_put_u32(out, 0);
    k2_put_bytes(out, store_id, 16);
    k2_put_u64(out, segment_id);
    k2_put_zeros(out, K2_SEGMENT_ALIGNMENT - K2_SEGMENT_HEADER_USED_BYTES);
    enum k2_status status = k2_buffer_check(out, "segment header", error);
    if (status == K2_OK) {
        k2_buffer_patch_u64(
            out, start + K2_SEGMENT_AT_CHECKSUM,
            k2_checksum(checked_part(out->data + start), segment_id, K2_SEGMENT_AT_CHECKED));
    }
    return status;
}

static uint64_t read_at(const uint8_t *header, size_t offset, size_t size_bytes)
{
    struct k2_byte_reader reader = {.rest = {header + offset, size_bytes}};
    return k2_read_fixed(&reader, size_bytes);
}

static enum k2_status check_features(const uint8_t *header, struct k2_error *error)
{
    uint64_t major = read_at(header, K2_SEGMENT_AT_MAJOR, 2);
    uint64_t minor = read_at(header, K2_SEGMENT_AT_MINOR, 2);
    uint32_t unknown =
        (uint32_t)read_at(header, K2_SEGMENT_AT_INCOMPATIBLE, 4) & ~(uint32_t)KNOWN_INCOMPATIBLE;
    if (major != K2_FORMAT_MAJOR || unknown != 0) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "segment format %u.%u with features 0x%x: this program reads %u.x; "
                       "use a newer k2",
                       (unsigned)major, (unsigned)minor, (unsigned)unknown, K2_FORMAT_MAJOR);
    }
    if (minor < K2_FORMAT_OLDEST_MINOR) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "segment format %u.%u: this program reads %u.%u and later; export the rows "
                       "with the program that wrote them, and load them again",
                       (unsigned)major, (unsigned)minor, K2_FORMAT_MAJOR, K2_FORMAT_OLDEST_MINOR);
    }
    return K2_OK;
}

enum k2_status k2_segment_header_check(struct k2_slice file, const uint8_t store_id[16],
                                       uint64_t segment_id, struct k2_error *error)
{
    if (file.size_bytes < K2_SEGMENT_ALIGNMENT) {
        return k2_fail(error, K2_CORRUPT, "segment header: the file has %zu bytes, expected %d",
                       file.size_bytes, K2_SEGMENT_ALIGNMENT);
    }
    if (memcmp(file.data, K2_SEGMENT_MAGIC, K2_MAGIC_BYTES) != 0) {
        return k2_fail(error, K2_CORRUPT, "segment header: not a K2 segment");
    }
    uint64_t stored_id = read_at(file.data, K2_SEGMENT_AT_ID, 8);
    if (!k2_checksum_holds(checked_part(file.data), stored_id, K2_SEGMENT_AT_CHECKED,
                           read_at(file.data, K2_SEGMENT_AT_CHECKSUM, 8))) {
        return k2_fail(error, K2_CORRUPT, "segment header: checksum mismatch");
    }
    enum k2_status status = check_features(file.data, error);
    if (status != K2_OK) {
        return status;
    }
    if (stored_id != segment_id) {
        return k2_fail(error, K2_CORRUPT, "segment header: it is segment %llu, expected %llu",
                       (unsigned long long)stored_id, (unsigned long long)segment_id);
    }
    if (memcmp(file.data + K2_SEGMENT_AT_STORE_ID, store_id, 16) != 0) {
        return k2_fail(error, K2_CORRUPT, "segment header: it belongs to another store");
    }
    return K2_OK;
}

bool k2_segment_header_writable(struct k2_slice file)
{
    return file.size_bytes >= K2_SEGMENT_ALIGNMENT &&
           ((uint32_t)read_at(file.data, K2_SEGMENT_AT_READ_ONLY, 4) &
            ~(uint32_t)KNOWN_READ_ONLY) == 0;
}
