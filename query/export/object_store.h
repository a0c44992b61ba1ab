// Where the files of exported tables lie: a local folder, or a bucket.
//
// A location is a whole URI, `file:///abs/path` or `s3://bucket/key`, exactly as table metadata
// carries it; nothing in it is escaped. An implementation is a table of functions and its own
// state. Objects are written whole and never changed: names are unique, but for the few that are
// meant to be replaced. One thread at a time.
#pragma once

#include "format/base/buffer.h"

enum k2_put_mode {
    K2_PUT_IF_ABSENT = 0, // fails with K2_LIMIT when there is such an object
    K2_PUT_REPLACE,       // readers see the old one or the new one
};

struct k2_object_info {
    const char *location; // borrowed during the call
    uint64_t size_bytes;
    int64_t modified_ms; // since 1970 UTC
};

// A result other than K2_OK ends the listing with it.
typedef enum k2_status k2_object_visit(void *context, const struct k2_object_info *object,
                                       struct k2_error *error);

// An object on its way, for those that are larger than memory. It is there when finish returned
// K2_OK, durably; finish and abort end the upload in every case.
struct k2_upload; // each implementation's own

struct k2_object_store_class {
    void (*close)(void *self);

    // Durable when it returns.
    enum k2_status (*put)(void *self, const char *location, struct k2_slice bytes,
                          enum k2_put_mode mode, struct k2_error *error);
    // Like put with K2_PUT_IF_ABSENT, in pieces of any size.
    enum k2_status (*upload_begin)(void *self, const char *location, struct k2_upload **upload,
                                   struct k2_error *error);
    enum k2_status (*upload_write)(struct k2_upload *upload, struct k2_slice bytes,
                                   struct k2_error *error);
    enum k2_status (*upload_finish)(struct k2_upload *upload, struct k2_error *error);
    void (*upload_abort)(struct k2_upload *upload);

    // Appends bytes [offset, offset + size_bytes), fewer at the object's end, to `out`.
    // K2_NOT_FOUND: no such object. size_bytes SIZE_MAX: all that follows.
    enum k2_status (*get)(void *self, const char *location, uint64_t offset, size_t size_bytes,
                          struct k2_buffer *out, struct k2_error *error);
    // All objects whose location begins with `prefix`, in any order; none is fine. A prefix that
    // does not end with `/` names a beginning of names, too.
    enum k2_status (*list)(void *self, const char *prefix, k2_object_visit *visit, void *context,
                           struct k2_error *error);
    // One that is gone already is fine.
    enum k2_status (*remove)(void *self, const char *location, struct k2_error *error);
};

struct k2_object_store {
    const struct k2_object_store_class *class; // NULL: closed
    void *self;
};

void k2_object_store_close(struct k2_object_store *store);

// A folder of this machine; locations are `file://` and an absolute path. Folders are made as they
// are needed; put and finish sync files and folders.
K2_MUST_CHECK enum k2_status k2_local_store_open(struct k2_object_store *store,
                                                 struct k2_error *error);

// The absolute path of a `file://` location or of a bare path, borrowed from it; NULL if it is
// neither.
const char *k2_local_path(const char *location);

// `file://` and the absolute path of `folder`, without `/` at the end, NUL-terminated. With
// `create` the folder is made if it is not there, else K2_NOT_FOUND. K2_BAD_REQUEST for names that
// readers of URIs take apart (`?`, `#`, `%`).
K2_MUST_CHECK enum k2_status k2_local_location(struct k2_buffer *location, const char *folder,
                                               bool create, struct k2_error *error);
