// Signatures of requests that AWS has published with their signatures.
#include "query/export/sigv4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "format/base/alloc.h"
#include "format/base/sha256.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define LENGTH(array) (sizeof(array) / sizeof *(array))

// From the documentation of S3, and from the test suite of Signature Version 4.
static const struct k2_sigv4_key of_s3 = {
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "us-east-1",
    "s3",
};
static const struct k2_sigv4_key of_suite = {
    "AKIDEXAMPLE",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "us-east-1",
    "service",
};

static const struct {
    const char *name;
    const struct k2_sigv4_key *key;
    const char *method, *path, *payload_hash, *date;
    struct k2_sigv4_pair headers[6], query[4];
    const char *signature;
} requests[] = {
    {"an object with a range",
     &of_s3,
     "GET",
     "/test.txt",
     EMPTY,
     "20130524T000000Z",
     {{"x-amz-date", "20130524T000000Z"},
      {"host", "examplebucket.s3.amazonaws.com"},
      {"range", "bytes=0-9"},
      {"x-amz-content-sha256", EMPTY}},
     {{0}},
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"a put with a character that is escaped",
     &of_s3,
     "PUT",
     "/test%24file.text",
     "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
     "20130524T000000Z",
     {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
      {"host", "examplebucket.s3.amazonaws.com"},
      {"x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
      {"x-amz-date", "20130524T000000Z"},
      {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
     {{0}},
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"a parameter without a value",
     &of_s3,
     "GET",
     "/",
     EMPTY,
     "20130524T000000Z",
     {{"host", "examplebucket.s3.amazonaws.com"},
      {"x-amz-content-sha256", EMPTY},
      {"x-amz-date", "20130524T000000Z"}},
     {{"lifecycle", ""}},
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"parameters out of order",
     &of_s3,
     "GET",
     "/",
     EMPTY,
     "20130524T000000Z",
     {{"host", "examplebucket.s3.amazonaws.com"},
      {"x-amz-content-sha256", EMPTY},
      {"x-amz-date", "20130524T000000Z"}},
     {{"prefix", "J"}, {"max-keys", "2"}},
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    {"get-vanilla",
     &of_suite,
     "GET",
     "/",
     EMPTY,
     "20150830T123600Z",
     {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}},
     {{0}},
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-vanilla-query-order-key-case",
     &of_suite,
     "GET",
     "/",
     EMPTY,
     "20150830T123600Z",
     {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}},
     {{"Param2", "value2"}, {"Param1", "value1"}},
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-header-value-trim",
     &of_suite,
     "GET",
     "/",
     EMPTY,
     "20150830T123600Z",
     {{"host", "example.amazonaws.com"},
      {"my-header1", " value1"},
      {"my-header2", " \"a   b   c\" "},
      {"x-amz-date", "20150830T123600Z"}},
     {{0}},
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
};

static void sign(size_t row, struct k2_buffer *out, enum k2_status *status)
{
    struct k2_sigv4_request request = {
        .method = requests[row].method,
        .path = k2_slice_of(requests[row].path),
        .query = requests[row].query,
        .headers = requests[row].headers,
        .payload_hash = requests[row].payload_hash,
        .date = requests[row].date,
    };
    while (request.header_count < LENGTH(requests[row].headers) &&
           requests[row].headers[request.header_count].name != NULL) {
        request.header_count++;
    }
    while (request.query_count < LENGTH(requests[row].query) &&
           requests[row].query[request.query_count].name != NULL) {
        request.query_count++;
    }
    *status = k2_sigv4_sign(requests[row].key, &request, out, NULL);
}

static void signatures_are_those_that_were_published(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(requests); i++) {
        struct k2_buffer out;
        enum k2_status status;
        k2_buffer_init(&out, 4096);
        sign(i, &out, &status);
        k2_put_u8(&out, 0);
        assert_int_equal(status, K2_OK);
        const char *signature = strstr((const char *)out.data, "Signature=");
        assert_non_null(signature);
        if (strcmp(signature + 10, requests[i].signature) != 0) {
            fail_msg("%s: %s", requests[i].name, (const char *)out.data);
        }
        k2_buffer_deinit(&out);
    }
}

static void queries_sort_by_their_escaped_bytes(void **state)
{
    static const struct {
        const char *name;
        struct k2_sigv4_pair query[3];
        const char *text;
    } rows[] = {
        {"slash and equals",
         {{"prefix", "a/b=c"}, {"list-type", "2"}},
         "list-type=2&prefix=a%2Fb%3Dc"},
        {"escaped before plain", {{"a-", "1"}, {"a/", "2"}}, "a%2F=2&a-=1"},
        {"a beginning first", {{"ab", "1"}, {"a", "2"}}, "a=2&ab=1"},
        {"by value", {{"a", "2"}, {"a", "1"}}, "a=1&a=2"},
        {"two bytes", {{"\xc3\xa9", "1"}, {"z", ""}}, "%C3%A9=1&z="},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct k2_buffer out;
        size_t count = 0;
        k2_buffer_init(&out, 4096);
        while (count < LENGTH(rows[i].query) && rows[i].query[count].name != NULL) {
            count++;
        }
        k2_sigv4_put_query(&out, rows[i].query, count);
        k2_put_u8(&out, 0);
        assert_string_equal((const char *)out.data, rows[i].text);
        k2_buffer_deinit(&out);
    }
}

static void what_can_not_be_signed_is_refused(void **state)
{
    struct k2_sigv4_pair many[K2_SIGV4_PAIRS + 1];
    struct k2_sigv4_request request = {"GET", k2_slice_of("/"),  many, 0, many, 0,
                                       EMPTY, "20150830T123600Z"};
    struct k2_buffer out;
    struct k2_error error;
    (void)state;
    k2_buffer_init(&out, 4096);
    for (size_t i = 0; i < LENGTH(many); i++) {
        many[i] = (struct k2_sigv4_pair){"a", "b"};
    }
    assert_int_equal(k2_sigv4_sign(&of_suite, &request, &out, &error), K2_LIMIT);
    request.header_count = 1;
    request.query_count = LENGTH(many);
    assert_int_equal(k2_sigv4_sign(&of_suite, &request, &out, &error), K2_LIMIT);
    k2_sigv4_put_query(&out, many, LENGTH(many));
    assert_true(out.failed);
    k2_buffer_deinit(&out);
    k2_buffer_init(&out, 16); // less than a signature
    request.query_count = 0;
    assert_int_equal(k2_sigv4_sign(&of_suite, &request, &out, &error), K2_LIMIT);
    k2_buffer_deinit(&out);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (long count = 0;; count++) {
        struct k2_buffer out;
        enum k2_status status;
        k2_buffer_init(&out, 4096);
        k2_alloc_fail_after(count);
        sign(0, &out, &status);
        k2_alloc_fail_after(-1);
        k2_buffer_deinit(&out);
        if (status == K2_OK) {
            assert_true(count > 0);
            return;
        }
        assert_int_equal(status, K2_NO_MEMORY);
    }
}

static void dates_and_digests_have_their_form(void **state)
{
    char date[K2_SIGV4_DATE_BYTES], hex[K2_SHA256_HEX_BYTES];
    (void)state;
    k2_sigv4_date(1440938160, date);
    assert_string_equal(date, "20150830T123600Z");
    assert_true(k2_sha256_hex(k2_slice_of(""), hex));
    assert_string_equal(hex, EMPTY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_those_that_were_published),
        cmocka_unit_test(queries_sort_by_their_escaped_bytes),
        cmocka_unit_test(what_can_not_be_signed_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(dates_and_digests_have_their_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
