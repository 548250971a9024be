/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/media.h"

#include "base/clock.h"
#include "tests/unit/server/loopback.h"

/* Tells all that the readings say; what fails answers its own fault. */
static enum answer answer_readings(struct request *request)
{
    struct fault fault;
    int64_t limit = 77, from = 77;
    if (query_int(request, "limit", 1, PAGE_LIMIT_MAX, PAGE_LIMIT_DEFAULT, &limit, &fault) != 0 ||
        query_time(request, "from", &from, &fault) != 0) {
        assert_int_equal(from, 77);
        return reply_fault(request, &fault);
    }
    return reply_json(request, 200,
                      json_pack("{s:b, s:b, s:I, s:I}", "json",
                                media_type_is(request, "application/json"), "ndjson",
                                media_accepts(request, "application/x-ndjson"), "limit",
                                (json_int_t)limit, "from", (json_int_t)from));
}

static enum answer answer_body(struct request *request)
{
    struct fault fault;
    json_t *object = NULL;
    if (body_object(request, &object, &fault) != 0) {
        assert_null(object);
        return reply_fault(request, &fault);
    }
    return reply_json(request, 200, object);
}

static enum answer answer_id(struct request *request)
{
    struct fault fault;
    struct uuid id;
    if (path_uuid(request, &id, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_json(request, 200, json_pack("{s:s}", "id", uuid_format(&id).text));
}

static enum answer answer_digest(struct request *request)
{
    struct fault fault;
    struct digest digest;
    if (path_digest(request, &digest, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_json(request, 200, json_pack("{s:s}", "sha256", digest_format(&digest).text));
}

static enum answer answer_page(struct request *request)
{
    return reply_page(request, json_pack("[i, i]", 1, 2), request_query(request, "next", 0));
}

static enum answer answer_etag(struct request *request)
{
    return reply_empty(request, media_has_etag(request, "\"a,b\"") ? 304 : 204);
}

static const struct route routes[] = {
    {.method = HTTP_GET, .path = "/etag", .handle = answer_etag},
    {.method = HTTP_GET, .path = "/readings", .handle = answer_readings},
    {.method = HTTP_POST,
     .path = "/body",
     .body = ROUTE_BODY_BUFFERED,
     .body_max = 1000,
     .handle = answer_body},
    {.method = HTTP_GET, .path = "/id/{id}", .handle = answer_id},
    {.method = HTTP_GET, .path = "/digest/{sha256}", .handle = answer_digest},
    {.method = HTTP_GET, .path = "/page", .handle = answer_page},
};

static struct http *server;

static int start(void **state)
{
    (void)state;
    const struct http_config config = test_config(routes, ARRAY_LEN(routes));
    server = test_start(&config);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_stop(server);
    return 0;
}

/* The answer to a GET of this target with these header lines ("A: b\r\n"). */
static struct reply *get(const char *target, const char *headers)
{
    char request[2048];
    int len =
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", target, headers);
    assert_in_range(len, 1, sizeof request - 1);
    return ask(http_port(server), request);
}

static json_t *get_json(const char *target, const char *headers)
{
    struct reply *reply = get(target, headers);
    if (reply->status != 200)
        fail_msg("%s: %d %s", target, reply->status, reply->body);
    json_t *object = json_loadb(reply->body, reply->body_len, 0, NULL);
    assert_non_null(object);
    reply_free(reply);
    return object;
}

static void expect_get_problem(const char *target, enum fault_code code, const char *word)
{
    struct reply *reply = get(target, "");
    expect_problem(reply, code);
    if (strstr(reply->body, word) == NULL)
        fail_msg("%s: %s", target, reply->body);
    reply_free(reply);
}

static void media_types_are_compared_whole(void **state)
{
    (void)state;
    static const char *const yes[] = {"application/json", "Application/JSON", "application/json;x",
                                      "application/json; charset=utf-8", "application/json ;x"};
    static const char *const no[] = {"application/jsonx",
                                     "application/jso",
                                     "text/json",
                                     "application/json-seq",
                                     "application/json, text/plain",
                                     "x application/json",
                                     "application/ json",
                                     "json"};
    char header[128];
    for (size_t i = 0; i < ARRAY_LEN(yes) + ARRAY_LEN(no); i++) {
        bool expected = i < ARRAY_LEN(yes);
        (void)snprintf(header, sizeof header, "Content-Type: %s\r\n",
                       expected ? yes[i] : no[i - ARRAY_LEN(yes)]);
        AUTO_JSON json_t *readings = get_json("/readings", header);
        if (json_is_true(json_object_get(readings, "json")) != expected)
            fail_msg("%s", header);
    }
    AUTO_JSON json_t *absent = get_json("/readings", "");
    assert_true(json_is_false(json_object_get(absent, "json")));
}

static void accept_names_a_type_anywhere(void **state)
{
    (void)state;
    static const char *const yes[] = {"Accept: application/x-ndjson\r\n",
                                      "Accept: text/html, application/X-NDJSON;q=0.5\r\n"};
    static const char *const no[] = {"", "Accept: */*\r\n", "Accept: application/x-ndjso\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        AUTO_JSON json_t *readings = get_json("/readings", yes[i]);
        assert_true(json_is_true(json_object_get(readings, "ndjson")));
    }
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        AUTO_JSON json_t *readings = get_json("/readings", no[i]);
        assert_true(json_is_false(json_object_get(readings, "ndjson")));
    }
}

static void a_body_is_a_strict_object(void **state)
{
    (void)state;
    static const struct {
        const char *type, *body;
        enum fault_code code; /* FAULT_NONE: taken */
    } cases[] = {
        {"application/json", "{\"a\":1}", FAULT_NONE},
        {"application/json; charset=utf-8", " {\"a\":{}}\n", FAULT_NONE},
        {"application/json", "", FAULT_MALFORMED_REQUEST},
        {"application/json", "[1]", FAULT_MALFORMED_REQUEST},
        {"application/json", "{\"a\":1,\"a\":2}", FAULT_MALFORMED_REQUEST},
        {"application/json", "{\"a\":1} x", FAULT_MALFORMED_REQUEST},
        {"application/json", "a=1", FAULT_MALFORMED_REQUEST},
        {"application/x-www-form-urlencoded", "{\"a\":1}", FAULT_UNSUPPORTED_MEDIA_TYPE},
        {"application/jose", "{\"a\":1}", FAULT_UNSUPPORTED_MEDIA_TYPE},
        {"text/plain", "", FAULT_UNSUPPORTED_MEDIA_TYPE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char request[512];
        (void)snprintf(request, sizeof request,
                       "POST /body HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       cases[i].type, strlen(cases[i].body), cases[i].body);
        struct reply *reply = ask(http_port(server), request);
        if (cases[i].code == FAULT_NONE)
            assert_int_equal(reply->status, 200);
        else
            expect_problem(reply, cases[i].code);
        reply_free(reply);
    }
}

#define UUID "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
#define HEX "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void ids_in_paths(void **state)
{
    (void)state;
    AUTO_JSON json_t *id = get_json("/id/" UUID, "");
    assert_string_equal(json_string_value(json_object_get(id, "id")), UUID);
    static const char *const bad_ids[] = {"/id/x", "/id/017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
                                          ("/id/" UUID "0"), ("/id/%20" UUID),
                                          "/id/017f22e279b07cc398c4dc0c0c07398f"};
    for (size_t i = 0; i < ARRAY_LEN(bad_ids); i++)
        expect_get_problem(bad_ids[i], FAULT_NOT_FOUND, "id");
    static const char *const digests[] = {("/digest/" HEX), ("/digest/sha256:" HEX),
                                          ("/digest/sha256%3A" HEX)};
    for (size_t i = 0; i < ARRAY_LEN(digests); i++) {
        AUTO_JSON json_t *digest = get_json(digests[i], "");
        assert_string_equal(json_string_value(json_object_get(digest, "sha256")), "sha256:" HEX);
    }
    static const char *const bad_digests[] = {"/digest/x", ("/digest/" HEX "0"),
                                              "/digest/sha256:", ("/digest/sha512:" HEX),
                                              ("/digest/SHA256:" HEX)};
    for (size_t i = 0; i < ARRAY_LEN(bad_digests); i++)
        expect_get_problem(bad_digests[i], FAULT_MALFORMED_REQUEST, "sha256");
}

static void numbers_in_queries(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        int limit;
    } good[] = {{"/readings", PAGE_LIMIT_DEFAULT},
                {"/readings?limit=1", 1},
                {"/readings?limit=500", 500},
                {"/readings?limit=%34%32", 42}};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        AUTO_JSON json_t *readings = get_json(good[i].target, "");
        assert_int_equal(json_integer_value(json_object_get(readings, "limit")), good[i].limit);
    }
    static const char *const bad[] = {"0",
                                      "501",
                                      "-1",
                                      "%2B5",
                                      "+5",
                                      "",
                                      "x",
                                      "05",
                                      "00",
                                      "5x",
                                      "5%20",
                                      "0x5",
                                      "1e2",
                                      "5.0",
                                      "9223372036854775808",
                                      "99999999999999999999",
                                      "18446744073709551621"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char target[128];
        (void)snprintf(target, sizeof target, "/readings?limit=%s", bad[i]);
        expect_get_problem(target, FAULT_MALFORMED_REQUEST,
                           "limit: expected an integer of 1 to 500");
    }
}

static void times_in_queries(void **state)
{
    (void)state;
    AUTO_JSON json_t *absent = get_json("/readings", "");
    assert_true(json_integer_value(json_object_get(absent, "from")) == INT64_MIN);
    static const char *const good[] = {"/readings?from=2026-01-02T03:04:05Z",
                                       "/readings?from=2026-01-02T04:04:05%2B01:00"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        AUTO_JSON json_t *readings = get_json(good[i], "");
        assert_true(json_integer_value(json_object_get(readings, "from")) == 1767323045000);
    }
    static const char *const bad[] = {"", "now", "2026-01-02", "1767323045",
                                      "2026-01-02T04:04:05+01:00"}; /* `+` is a space */
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char target[128];
        (void)snprintf(target, sizeof target, "/readings?from=%s", bad[i]);
        expect_get_problem(target, FAULT_MALFORMED_REQUEST, "from: expected an RFC 3339");
    }
}

static void a_page_says_where_the_next_begins(void **state)
{
    (void)state;
    struct reply *last = get("/page", "");
    assert_string_equal(last->body, "{\"items\":[1,2],\"next\":null}");
    assert_null(reply_value(last, "Link"));
    reply_free(last);
    struct reply *more = get("/page?next=" UUID, "");
    assert_string_equal(more->body, "{\"items\":[1,2],\"next\":\"" UUID "\"}");
    assert_string_equal(reply_value(more, "Link"), "<?after=" UUID "&next=" UUID ">; rel=\"next\"");
    reply_free(more);
}

/* The link asks what this request asked, with another `after`; whatever the values hold, it stays
 * one target in one pair of brackets. */
static void the_next_page_asks_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *query, *link;
    } cases[] = {
        {"next=2&after=1", "<?after=2&next=2>; rel=\"next\""},
        {"after=1&state=queued&next=2&limit=5",
         "<?after=2&state=queued&next=2&limit=5>; rel=\"next\""},
        {"next=a%3E%3B%22b", "<?after=a%3E%3B%22b&next=a%3E%3B%22b>; rel=\"next\""},
        {"next=2&x=a+b%26c%3Dd%25%23%C3%A9&empty=&y-._~=%2F",
         "<?after=2&next=2&x=a%20b%26c%3Dd%25%23%C3%A9&empty=&y-._~=%2F>; rel=\"next\""},
        {"next=2&x=1&x=2", "<?after=2&next=2&x=1&x=2>; rel=\"next\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char target[256];
        (void)snprintf(target, sizeof target, "/page?%s", cases[i].query);
        struct reply *reply = get(target, "");
        assert_int_equal(reply->status, 200);
        assert_string_equal(reply_value(reply, "Link"), cases[i].link);
        reply_free(reply);
    }
}

static void entity_tags_are_compared_weakly(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        int status;
    } cases[] = {
        {"", 204},
        {"If-None-Match: \"a,b\"\r\n", 304},
        {"If-None-Match: W/\"a,b\"\r\n", 304},
        {"If-None-Match: \"x\", \"a\" ,\t\"a,b\"\r\n", 304},
        {"If-None-Match: *\r\n", 304},
        {"If-None-Match: \"*\"\r\n", 204},
        {"If-None-Match: a,b\r\n", 204},
        {"If-None-Match: \"a\", \"b\"\r\n", 204},
        {"If-None-Match: \"A,B\"\r\n", 204},
        {"If-None-Match: \"x\\\"a,b\"\r\n", 204}, /* a tag has no escapes */
        {"If-None-Match: \"a,b\r\n", 204},
        {"If-None-Match: W/\r\n", 204},
        {"If-None-Match: ,,\r\n", 204},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reply *reply = get("/etag", cases[i].header);
        if (reply->status != cases[i].status)
            fail_msg("%s: %d", cases[i].header, reply->status);
        reply_free(reply);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(media_types_are_compared_whole),
        cmocka_unit_test(accept_names_a_type_anywhere),
        cmocka_unit_test(a_body_is_a_strict_object),
        cmocka_unit_test(ids_in_paths),
        cmocka_unit_test(numbers_in_queries),
        cmocka_unit_test(times_in_queries),
        cmocka_unit_test(a_page_says_where_the_next_begins),
        cmocka_unit_test(the_next_page_asks_the_same),
        cmocka_unit_test(entity_tags_are_compared_weakly),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
