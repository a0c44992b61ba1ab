#include "query/range_text.h"

#include <string.h>

#include "engine/snapshot.h"
#include "format/base/timestamp.h"

enum { LONGEST_TIME = 64 };

enum k2_status k2_range_text_bad_choice(const struct k2_range_text *text, const char *choices,
                                        struct k2_error *error)
{
    return k2_fail(error, K2_BAD_REQUEST, "%s: `%.*s` is not known; give one of %s", text->name,
                   (int)text->value.size_bytes, (const char *)text->value.data, choices);
}

bool k2_range_text_is(const struct k2_range_text *text, const char *word)
{
    return k2_slice_equal(text->value, k2_slice_of(word));
}

enum k2_status k2_range_text_time(const struct k2_range_text *text, bool *given, int64_t *time_ns,
                                  struct k2_error *error)
{
    *given = text->given;
    if (!text->given) {
        return K2_OK;
    }
    enum k2_timestamp_result result = k2_timestamp_parse(text->value, time_ns);
    // A `+` of an offset that was not escaped in a URL arrives as a blank.
    if (result != K2_TIMESTAMP_OK && text->value.size_bytes > 6 &&
        text->value.size_bytes <= LONGEST_TIME) {
        uint8_t mended[LONGEST_TIME];
        memcpy(mended, text->value.data, text->value.size_bytes);
        uint8_t *sign = &mended[text->value.size_bytes - 6];
        if (*sign == ' ') {
            *sign = '+';
            result = k2_timestamp_parse((struct k2_slice){mended, text->value.size_bytes}, time_ns);
        }
    }
    if (result != K2_TIMESTAMP_OK) {
        return k2_fail(error, K2_BAD_REQUEST,
                       "%s: `%.*s` is no time (%s); write 2014-03-11T10:00:00Z, a date or "
                       "nanoseconds since 1970",
                       text->name, (int)text->value.size_bytes, (const char *)text->value.data,
                       k2_timestamp_result_name(result));
    }
    return K2_OK;
}

enum k2_status k2_range_text_limit(const struct k2_range_text *text, uint64_t max, uint64_t *limit,
                                   struct k2_error *error)
{
    if (!text->given) {
        return K2_OK;
    }
    uint64_t value = 0;
    bool good = text->value.size_bytes > 0 && text->value.size_bytes <= 18;
    for (size_t i = 0; good && i < text->value.size_bytes; i++) {
        uint8_t byte = text->value.data[i];
        good = byte >= '0' && byte <= '9';
        value = value * 10 + (uint64_t)(byte - '0');
    }
    if (!good || value == 0 || (max > 0 && value > max)) {
        if (max > 0) {
            return k2_fail(error, K2_BAD_REQUEST, "%s: `%.*s` is not a number from 1 to %llu",
                           text->name, (int)text->value.size_bytes, (const char *)text->value.data,
                           (unsigned long long)max);
        }
        return k2_fail(error, K2_BAD_REQUEST, "%s: `%.*s` is not a number from 1 on", text->name,
                       (int)text->value.size_bytes, (const char *)text->value.data);
    }
    *limit = value;
    return K2_OK;
}

enum k2_status k2_range_text_table(const struct k2_range_text *text, struct k2_engine *engine,
                                   const struct k2_table **table, struct k2_error *error)
{
    if (!text->given) {
        return k2_fail(error, K2_BAD_REQUEST, "%s: which table? Give one, such as trades",
                       text->name);
    }
    *table = k2_engine_table(engine, text->value);
    if (*table == NULL) { // it may be younger than this handle
        enum k2_status status = k2_engine_refresh(engine, error);
        if (status != K2_OK) {
            return status;
        }
        *table = k2_engine_table(engine, text->value);
    }
    if (*table == NULL) {
        return k2_fail(error, K2_NOT_FOUND, "%s: there is no table `%.*s`", text->name,
                       (int)text->value.size_bytes, (const char *)text->value.data);
    }
    return K2_OK;
}

enum k2_status k2_range_text_snapshot(const struct k2_range_text *text, struct k2_engine *engine,
                                      uint64_t *id, struct k2_error *error)
{
    struct k2_snapshot snapshot = {0};
    enum k2_status status = K2_OK;
    if (text->given) {
        status = k2_snapshot_resolve(engine, text->value, &snapshot, error);
        if (status != K2_OK) {
            k2_error_annotate(error, "%s", text->name);
        }
    } else {
        status = k2_snapshot_newest(engine, &snapshot, error);
    }
    *id = status == K2_OK ? snapshot.id : 0;
    return status;
}
