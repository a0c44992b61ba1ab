#include "query/export/s3_store.h"

#include <stdio.h>
#include <sys/random.h>

#include "format/base/alloc.h"
#include "format/base/sha256.h"
#include "format/base/timestamp.h"
#include "query/export/s3_request.h"
#include "query/export/xml_walk.h"

enum {
    PART_BYTES = 16 << 20,
    LEAST_PART_BYTES = 5 << 20, // of all parts but the last
    PARTS = 10000,
    LIST_ANSWER_BYTES = 8 << 20, // 1,000 objects
    MARK_BYTES = 33,
    ETAG_BYTES = 128,
    LOCATION_BYTES = 2048,
};

// The mark of one put: whoever finds it on an object knows which put made it.
static const char mark_header[] = "x-amz-meta-k2-put";

struct s3_store {
    struct k2_s3_client client;
    size_t part_bytes;
};

struct part {
    char etag[ETAG_BYTES];
};

struct k2_upload {
    struct s3_store *store; // borrowed
    char *location;         // owned
    char mark[MARK_BYTES];
    char *upload_id; // owned; NULL: nothing was sent yet
    struct k2_buffer rest;
    struct part *parts; // owned
    size_t part_count, part_room;
};

static enum k2_status make_mark(char mark[MARK_BYTES], struct k2_error *error)
{
    uint8_t bytes[(MARK_BYTES - 1) / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return k2_fail(error, K2_IO, "s3: no random bytes");
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        (void)snprintf(mark + 2 * i, 3, "%02x", bytes[i]);
    }
    return K2_OK;
}

static void s3_close(void *store)
{
    struct s3_store *self = store;
    k2_s3_client_deinit(&self->client);
    k2_free(self);
}

// Is the object at `location` the one that the put with this mark made?
static enum k2_status look_for(struct s3_store *self, const char *location, const char *mark,
                               bool *ours, struct k2_error *error)
{
    struct k2_s3_answer answer;
    struct k2_slice found;
    struct k2_s3_request request = {.method = "HEAD", .location = location};
    *ours = false;
    enum k2_status status = k2_s3_run(&self->client, &request, &answer, error);
    if (status == K2_OK && answer.status == 200 &&
        k2_http_header(answer.head, mark_header, &found)) {
        *ours = k2_slice_equal(found, k2_slice_of(mark));
    }
    return status;
}

// What the answer of a put or of the completion of one means.
static enum k2_status judge_put(struct s3_store *self, const struct k2_s3_request *request,
                                const struct k2_s3_answer *answer, const char *mark,
                                struct k2_error *error)
{
    bool ours = false;
    // A try whose answer was lost may have made the object that this one ran into.
    if (answer->maybe_done_before &&
        (answer->status == 412 || answer->status == 409 || answer->status == 404)) {
        unsigned said = answer->status;
        enum k2_status status = look_for(self, request->location, mark, &ours, error);
        if (status != K2_OK || ours) {
            return status;
        }
        return said == 404 ? k2_fail(error, K2_IO, "%s: the upload is gone", request->location)
                           : k2_fail(error, K2_LIMIT, "%s: is there already", request->location);
    }
    if (answer->status == 412) {
        return k2_fail(error, K2_LIMIT, "%s: is there already", request->location);
    }
    return answer->status == 200 ? K2_OK : k2_s3_fail(request, answer, error);
}

static enum k2_status put_object(struct s3_store *self, const char *location, struct k2_slice bytes,
                                 enum k2_put_mode mode, const char *mark, struct k2_error *error)
{
    struct k2_s3_answer answer;
    const struct k2_sigv4_pair headers[] = {{mark_header, mark}, {"if-none-match", "*"}};
    struct k2_s3_request request = {
        .method = "PUT",
        .location = location,
        .headers = headers,
        .header_count = mode == K2_PUT_IF_ABSENT ? 2 : 1,
        .has_body = true,
        .body = bytes,
    };
    enum k2_status status = k2_s3_run(&self->client, &request, &answer, error);
    return status == K2_OK ? judge_put(self, &request, &answer, mark, error) : status;
}

static enum k2_status s3_put(void *store, const char *location, struct k2_slice bytes,
                             enum k2_put_mode mode, struct k2_error *error)
{
    char mark[MARK_BYTES];
    enum k2_status status = make_mark(mark, error);
    return status == K2_OK ? put_object(store, location, bytes, mode, mark, error) : status;
}

// ---- large objects ----------------------------------------------------------------------------

static void upload_free(struct k2_upload *upload)
{
    k2_free(upload->location);
    k2_free(upload->upload_id);
    k2_free(upload->parts);
    k2_buffer_deinit(&upload->rest);
    k2_free(upload);
}

static enum k2_status s3_upload_begin(void *store, const char *location, struct k2_upload **upload,
                                      struct k2_error *error)
{
    struct s3_store *self = store;
    *upload = NULL;
    struct k2_upload *made = k2_alloc_zero(1, sizeof *made);
    if (made == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "%s: no memory", location);
    }
    made->store = self;
    made->location = k2_alloc_text(location, strlen(location));
    k2_buffer_init(&made->rest, self->part_bytes);
    enum k2_status status = made->location != NULL
                                ? make_mark(made->mark, error)
                                : k2_fail(error, K2_NO_MEMORY, "%s: no memory", location);
    if (status != K2_OK) {
        upload_free(made);
        return status;
    }
    *upload = made;
    return K2_OK;
}

struct wanted_text {
    const char *path;
    char *text; // owned; NULL: not there
    bool no_memory;
};

static enum k2_status take_wanted(void *context, const char *path, struct k2_slice text,
                                  struct k2_error *error)
{
    struct wanted_text *wanted = context;
    (void)error;
    if (strcmp(path, wanted->path) == 0 && wanted->text == NULL) {
        wanted->text = k2_alloc_text((const char *)text.data, text.size_bytes);
        wanted->no_memory = wanted->text == NULL;
    }
    return K2_OK;
}

static enum k2_status begin_parts(struct k2_upload *upload, struct k2_error *error)
{
    struct k2_s3_answer answer;
    const struct k2_sigv4_pair query = {"uploads", ""}, header = {mark_header, upload->mark};
    struct k2_s3_request request = {
        .method = "POST",
        .location = upload->location,
        .query = &query,
        .query_count = 1,
        .headers = &header,
        .header_count = 1,
        .has_body = true,
    };
    enum k2_status status = k2_s3_run(&upload->store->client, &request, &answer, error);
    if (status != K2_OK) {
        return status;
    }
    if (answer.status != 200) {
        return k2_s3_fail(&request, &answer, error);
    }
    struct wanted_text wanted = {.path = "InitiateMultipartUploadResult/UploadId"};
    status = k2_xml_walk(answer.body, take_wanted, &wanted, error);
    if (status == K2_OK && wanted.text == NULL) {
        status = wanted.no_memory ? k2_fail(error, K2_NO_MEMORY, "no memory")
                                  : k2_fail(error, K2_IO, "the server names no upload");
    }
    if (status != K2_OK) {
        k2_free(wanted.text);
        k2_error_annotate(error, "%s", upload->location);
        return status;
    }
    upload->upload_id = wanted.text;
    return K2_OK;
}

static enum k2_status note_part(struct k2_upload *upload, struct k2_slice etag,
                                struct k2_error *error)
{
    if (etag.size_bytes == 0 || etag.size_bytes >= ETAG_BYTES) {
        return k2_fail(error, K2_IO, "%s: the server gives a part no ETag", upload->location);
    }
    if (upload->part_count == upload->part_room) {
        size_t room = upload->part_room * 2 + 16;
        struct part *parts = k2_realloc(upload->parts, room, sizeof *parts);
        if (parts == NULL) {
            return k2_fail(error, K2_NO_MEMORY, "%s: no memory", upload->location);
        }
        upload->parts = parts;
        upload->part_room = room;
    }
    char *to = upload->parts[upload->part_count++].etag;
    memcpy(to, etag.data, etag.size_bytes);
    to[etag.size_bytes] = '\0';
    return K2_OK;
}

static enum k2_status send_part(struct k2_upload *upload, struct k2_error *error)
{
    struct k2_s3_answer answer;
    struct k2_slice etag = {0};
    char number[16];
    enum k2_status status = K2_OK;
    if (upload->upload_id == NULL) {
        status = begin_parts(upload, error);
    }
    if (status == K2_OK && upload->part_count == PARTS) {
        status = k2_fail(error, K2_LIMIT, "%s: more than %d parts", upload->location, PARTS);
    }
    if (status != K2_OK) {
        return status;
    }
    (void)snprintf(number, sizeof number, "%zu", upload->part_count + 1);
    const struct k2_sigv4_pair query[] = {{"partNumber", number}, {"uploadId", upload->upload_id}};
    struct k2_s3_request request = {
        .method = "PUT",
        .location = upload->location,
        .query = query,
        .query_count = 2,
        .has_body = true,
        .body = k2_buffer_slice(&upload->rest),
    };
    status = k2_s3_run(&upload->store->client, &request, &answer, error);
    if (status == K2_OK && answer.status != 200) {
        status = k2_s3_fail(&request, &answer, error);
    }
    if (status == K2_OK) {
        (void)k2_http_header(answer.head, "ETag", &etag);
        status = note_part(upload, etag, error);
    }
    k2_buffer_clear(&upload->rest);
    return status;
}

static enum k2_status s3_upload_write(struct k2_upload *upload, struct k2_slice bytes,
                                      struct k2_error *error)
{
    size_t part_bytes = upload->store->part_bytes;
    while (bytes.size_bytes > 0) {
        size_t room = part_bytes - upload->rest.size_bytes;
        size_t piece = bytes.size_bytes < room ? bytes.size_bytes : room;
        k2_put_bytes(&upload->rest, bytes.data, piece);
        enum k2_status status = k2_buffer_check(&upload->rest, upload->location, error);
        bytes.data += piece;
        bytes.size_bytes -= piece;
        // A part goes when more follows, so that the last one is never empty.
        if (status == K2_OK && upload->rest.size_bytes == part_bytes && bytes.size_bytes > 0) {
            status = send_part(upload, error);
        }
        if (status != K2_OK) {
            return status;
        }
    }
    return K2_OK;
}

static void s3_upload_abort(struct k2_upload *upload)
{
    if (upload->upload_id != NULL) {
        struct k2_s3_answer answer;
        const struct k2_sigv4_pair query = {"uploadId", upload->upload_id};
        struct k2_s3_request request = {
            .method = "DELETE",
            .location = upload->location,
            .query = &query,
            .query_count = 1,
        };
        // What stays is paid for, but never seen: buckets have a rule for such uploads.
        enum k2_status status = k2_s3_run(&upload->store->client, &request, &answer, NULL);
        (void)status;
    }
    upload_free(upload);
}

// The answer 200 begins before the work is done: its body says how it ended.
static enum k2_status judge_completion(struct k2_upload *upload,
                                       const struct k2_s3_request *request,
                                       struct k2_s3_answer *answer, struct k2_error *error)
{
    if (answer->status == 200) {
        struct wanted_text wanted = {.path = "CompleteMultipartUploadResult/ETag"};
        enum k2_status status = k2_xml_walk(answer->body, take_wanted, &wanted, NULL);
        bool done = status == K2_OK && wanted.text != NULL;
        k2_free(wanted.text);
        if (done) {
            return K2_OK;
        }
        bool ours;
        status = look_for(upload->store, upload->location, upload->mark, &ours, error);
        return status != K2_OK || ours
                   ? status
                   : k2_fail(error, K2_IO, "%s: the server could not put the parts together",
                             upload->location);
    }
    return judge_put(upload->store, request, answer, upload->mark, error);
}

static enum k2_status complete(struct k2_upload *upload, struct k2_error *error)
{
    struct k2_s3_answer answer;
    struct k2_buffer body;
    const struct k2_sigv4_pair query = {"uploadId", upload->upload_id};
    const struct k2_sigv4_pair header = {"if-none-match", "*"};
    k2_buffer_init(&body, (size_t)PARTS * (ETAG_BYTES + 64));
    k2_put_text(&body, "<CompleteMultipartUpload>");
    for (size_t i = 0; i < upload->part_count; i++) {
        k2_put_format(&body, "<Part><PartNumber>%zu</PartNumber><ETag>%s</ETag></Part>", i + 1,
                      upload->parts[i].etag);
    }
    k2_put_text(&body, "</CompleteMultipartUpload>");
    struct k2_s3_request request = {
        .method = "POST",
        .location = upload->location,
        .query = &query,
        .query_count = 1,
        .headers = &header,
        .header_count = 1,
        .has_body = true,
        .body = k2_buffer_slice(&body),
    };
    enum k2_status status = k2_buffer_check(&body, upload->location, error);
    if (status == K2_OK) {
        status = k2_s3_run(&upload->store->client, &request, &answer, error);
    }
    if (status == K2_OK) {
        status = judge_completion(upload, &request, &answer, error);
    }
    k2_buffer_deinit(&body);
    return status;
}

static enum k2_status s3_upload_finish(struct k2_upload *upload, struct k2_error *error)
{
    enum k2_status status = K2_OK;
    if (upload->upload_id == NULL) {
        status = put_object(upload->store, upload->location, k2_buffer_slice(&upload->rest),
                            K2_PUT_IF_ABSENT, upload->mark, error);
    } else {
        status = send_part(upload, error);
        if (status == K2_OK) {
            status = complete(upload, error);
        }
    }
    if (status != K2_OK) {
        s3_upload_abort(upload);
        return status;
    }
    upload_free(upload);
    return K2_OK;
}

// ---- reading ----------------------------------------------------------------------------------

struct taken_bytes {
    struct k2_buffer *out;
    size_t begin; // bytes that were there before
    const char *location;
};

static enum k2_status take_bytes(void *context, struct k2_slice bytes, struct k2_error *error)
{
    struct taken_bytes *taken = context;
    k2_put_bytes(taken->out, bytes.data, bytes.size_bytes);
    return k2_buffer_check(taken->out, taken->location, error);
}

static void forget_bytes(void *context)
{
    struct taken_bytes *taken = context;
    taken->out->size_bytes = taken->begin;
}

static enum k2_status s3_get(void *store, const char *location, uint64_t offset, size_t size_bytes,
                             struct k2_buffer *out, struct k2_error *error)
{
    struct s3_store *self = store;
    struct k2_s3_answer answer;
    struct taken_bytes taken = {out, out->size_bytes, location};
    char range[64];
    struct k2_sigv4_pair header = {"range", range};
    bool whole = offset == 0 && size_bytes == SIZE_MAX;
    struct k2_s3_request request = {
        .method = "GET",
        .location = location,
        .headers = &header,
        .header_count = whole ? 0 : 1,
        .take = take_bytes,
        .restart = forget_bytes,
        .take_context = &taken,
    };
    if (size_bytes == 0) {
        return K2_OK;
    }
    if (size_bytes == SIZE_MAX) {
        (void)snprintf(range, sizeof range, "bytes=%llu-", (unsigned long long)offset);
    } else {
        (void)snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)offset,
                       (unsigned long long)(offset + size_bytes - 1));
    }
    enum k2_status status = k2_s3_run(&self->client, &request, &answer, error);
    if (status != K2_OK) {
        return status;
    }
    if (answer.status == 416) { // behind the end
        return K2_OK;
    }
    if (answer.status != (whole ? 200 : 206)) {
        return answer.status == 200
                   ? k2_fail(error, K2_IO, "%s: the server gives no ranges", location)
                   : k2_s3_fail(&request, &answer, error);
    }
    return K2_OK;
}

struct listing {
    const char *bucket; // with `s3://` and `/`
    k2_object_visit *visit;
    void *context;
    char location[LOCATION_BYTES];
    struct k2_object_info object;
    char *next; // owned; the token of the next page
    bool no_memory;
};

static uint64_t number_of(struct k2_slice text)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.size_bytes && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
        number = number * 10 + (text.data[i] - (unsigned)'0');
    }
    return number;
}

static enum k2_status read_listing(void *context, const char *path, struct k2_slice text,
                                   struct k2_error *error)
{
    struct listing *listing = context;
    static const char root[] = "ListBucketResult/";
    if (strncmp(path, root, sizeof root - 1) != 0) {
        return K2_OK;
    }
    path += sizeof root - 1;
    if (strcmp(path, "Contents/Key") == 0) {
        int size = snprintf(listing->location, sizeof listing->location, "%s%.*s", listing->bucket,
                            (int)text.size_bytes, (const char *)text.data);
        if ((size_t)size >= sizeof listing->location) {
            return k2_fail(error, K2_IO, "a key of %zu bytes", text.size_bytes);
        }
    } else if (strcmp(path, "Contents/Size") == 0) {
        listing->object.size_bytes = number_of(text);
    } else if (strcmp(path, "Contents/LastModified") == 0) {
        int64_t time_ns;
        if (k2_timestamp_parse(text, &time_ns) != K2_TIMESTAMP_OK) {
            return k2_fail(error, K2_IO, "an object's time is not one");
        }
        listing->object.modified_ms = time_ns / 1000000;
    } else if (strcmp(path, "Contents") == 0) {
        listing->object.location = listing->location;
        return listing->visit(listing->context, &listing->object, error);
    } else if (strcmp(path, "NextContinuationToken") == 0) {
        k2_free(listing->next);
        listing->next = k2_alloc_text((const char *)text.data, text.size_bytes);
        listing->no_memory = listing->next == NULL;
    }
    return K2_OK;
}

static enum k2_status list_page(struct s3_store *self, struct listing *listing, const char *prefix,
                                const char *token, struct k2_error *error)
{
    struct k2_s3_answer answer;
    struct k2_sigv4_pair query[3] = {{"list-type", "2"}, {"prefix", prefix}};
    size_t query_count = 2;
    if (token != NULL) {
        query[query_count++] = (struct k2_sigv4_pair){"continuation-token", token};
    }
    struct k2_s3_request request = {
        .method = "GET",
        .location = listing->bucket,
        .query = query,
        .query_count = query_count,
        .answer_ceiling_bytes = LIST_ANSWER_BYTES,
    };
    enum k2_status status = k2_s3_run(&self->client, &request, &answer, error);
    if (status == K2_OK && answer.status != 200) {
        status = k2_s3_fail(&request, &answer, error);
    }
    if (status != K2_OK) {
        return status;
    }
    // The visitor may use the store, and with it the memory of the answer.
    struct k2_buffer page;
    k2_buffer_init(&page, LIST_ANSWER_BYTES);
    k2_put_bytes(&page, answer.body.data, answer.body.size_bytes);
    status = k2_buffer_check(&page, listing->bucket, error);
    if (status == K2_OK) {
        status = k2_xml_walk(k2_buffer_slice(&page), read_listing, listing, error);
    }
    k2_buffer_deinit(&page);
    if (status == K2_OK && listing->no_memory) {
        status = k2_fail(error, K2_NO_MEMORY, "%s: no memory", listing->bucket);
    }
    return status;
}

static enum k2_status s3_list(void *store, const char *prefix, k2_object_visit *visit,
                              void *context, struct k2_error *error)
{
    struct s3_store *self = store;
    struct k2_slice bucket, key;
    char root[128];
    struct listing listing = {.visit = visit, .context = context, .bucket = root};
    enum k2_status status = k2_s3_parse(prefix, &bucket, &key, error);
    if (status != K2_OK) {
        return status;
    }
    (void)snprintf(root, sizeof root, "s3://%.*s/", (int)bucket.size_bytes,
                   (const char *)bucket.data);
    char *token = NULL;
    do {
        status = list_page(self, &listing, (const char *)key.data, token, error);
        k2_free(token);
        token = listing.next;
        listing.next = NULL;
    } while (status == K2_OK && token != NULL);
    k2_free(token);
    return status;
}

static enum k2_status s3_remove(void *store, const char *location, struct k2_error *error)
{
    struct s3_store *self = store;
    struct k2_s3_answer answer;
    struct k2_s3_request request = {.method = "DELETE", .location = location};
    enum k2_status status = k2_s3_run(&self->client, &request, &answer, error);
    if (status == K2_OK && answer.status != 204 && answer.status != 200 && answer.status != 404) {
        status = k2_s3_fail(&request, &answer, error);
    }
    return status;
}

enum k2_status k2_s3_store_open(struct k2_object_store *store,
                                const struct k2_s3_settings *settings, struct k2_error *error)
{
    static const struct k2_object_store_class class = {
        .close = s3_close,
        .put = s3_put,
        .upload_begin = s3_upload_begin,
        .upload_write = s3_upload_write,
        .upload_finish = s3_upload_finish,
        .upload_abort = s3_upload_abort,
        .get = s3_get,
        .list = s3_list,
        .remove = s3_remove,
    };
    *store = (struct k2_object_store){0};
    struct s3_store *self = k2_alloc_zero(1, sizeof *self);
    if (self == NULL) {
        return k2_fail(error, K2_NO_MEMORY, "s3: no memory");
    }
    size_t part_bytes = settings->part_bytes != 0 ? settings->part_bytes : (size_t)PART_BYTES;
    self->part_bytes = part_bytes < LEAST_PART_BYTES ? (size_t)LEAST_PART_BYTES : part_bytes;
    enum k2_status status = k2_s3_client_init(&self->client, settings, error);
    if (status != K2_OK) {
        s3_close(self);
        return status;
    }
    *store = (struct k2_object_store){&class, self};
    return K2_OK;
}
