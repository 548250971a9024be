/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a server that may say anything: what is sent, what is believed, what is not.
 */
#include "base/uuid.h"
#include "tests/unit/cli/fixture.h"
#include "tests/unit/cli/http_peer.h"
#include "trust/descriptor.h"

#define ID "01985f2e-5c10-7b11-9d6e-2f3a44d0c001"
#define HELLO "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static struct peer *peer_of(struct fixture *fixture)
{
    struct peer *peer = calloc(1, sizeof *peer);
    assert_non_null(peer);
    fixture->api_key = FIXTURE_API_KEY;
    return peer;
}

static void start(struct fixture *fixture, struct peer *peer)
{
    assert_true(peer_start(peer));
    fixture->url = peer->url;
}

/* After the command: all answers were asked for, and the n-th request began so. */
static void expect_requests(struct peer *peer, const char *const *lines)
{
    peer_stop(peer);
    size_t count = 0;
    for (; lines[count] != NULL; count++) {
        assert_true(count < peer->served);
        const char *text = buf_text(&peer->requests[count]);
        if (strncmp(text, lines[count], strlen(lines[count])) != 0)
            fail_msg("request %zu is %.120s, not %s", count, text, lines[count]);
        assert_non_null(strstr(text, "\r\nAuthorization: Bearer " FIXTURE_API_KEY "\r\n"));
    }
    assert_int_equal(peer->served, count);
    peer_free(peer);
}

#define EXPECT(peer, ...) expect_requests((peer), (const char *const[]){__VA_ARGS__, NULL})

static void test_a_problem_is_an_exit_code(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = peer_of(fixture);
    peer_add(peer, "404 Not Found", "Content-Type: application/problem+json\r\n",
             "{\"code\":\"not_found\",\"detail\":\"no such execution\",\"request_id\":\"r\"}");
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "exec", "get", ID), 3);
    assert_string_equal(fixture->fault.detail, "no such execution (request r)");
    EXPECT(peer, "GET /v1/executions/" ID " HTTP/1.1\r\n");
}

static void test_redirects_are_not_followed(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = peer_of(fixture);
    peer_add(peer, "307 Temporary Redirect", "Location: /elsewhere\r\n", "");
    peer_add(peer, "200 OK", NULL, "{\"never\":\"asked for\"}");
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "whoami"), 1);
    assert_non_null(strstr(fixture->fault.detail, "redirect"));
    EXPECT(peer, "GET /v1/whoami ");
}

static void test_answers_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = peer_of(fixture);
    size_t len = HTTP_ANSWER_MAX + 1;
    char *body = malloc(len);
    assert_non_null(body);
    memset(body, ' ', len);
    peer->answers[0] = (struct peer_answer){"200 OK", NULL, body, len};
    peer->answer_count = 1;
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "whoami"), 2);
    assert_int_equal(fixture->fault.code, FAULT_TOO_LARGE);
    EXPECT(peer, "GET /v1/whoami ");
    free(body);
}

static void test_what_is_no_answer(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bodies[] = {"", "<html>", "[]", "{\"a\":1,\"a\":2}", "{}{}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct peer *peer = peer_of(fixture);
        peer_add(peer, "200 OK", NULL, bodies[i]);
        start(fixture, peer);
        assert_int_equal(FIXTURE_RUN(fixture, "whoami"), 1);
        assert_int_equal(fixture->out_len, 0);
        EXPECT(peer, "GET /v1/whoami ");
    }
}

static void test_nobody_there(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = peer_of(fixture);
    start(fixture, peer);
    char url[64];
    (void)snprintf(url, sizeof url, "%s", peer->url);
    peer_stop(peer);
    peer_free(peer);
    fixture->url = url;
    assert_int_equal(FIXTURE_RUN(fixture, "whoami"), 1);
    assert_int_equal(fixture->fault.code, FAULT_UNAVAILABLE);
    assert_int_equal(FIXTURE_RUN(fixture, "exec", "wait", ID), 1); /* and not for a day */
}

static void test_settings_are_checked(void **state)
{
    struct fixture *fixture = *state;
    static const char *const urls[] = {"ftp://127.0.0.1",
                                       "127.0.0.1:8080",
                                       "file:///etc/passwd",
                                       "http://user:pass@127.0.0.1",
                                       "http://127.0.0.1?x=1",
                                       "http://127.0.0.1#x",
                                       "http://",
                                       "http://a b"};
    fixture->api_key = FIXTURE_API_KEY;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        fixture->url = urls[i];
        if (FIXTURE_RUN(fixture, "whoami") != 2)
            fail_msg("%s is taken for a URL", urls[i]);
    }
    fixture->url = "http://127.0.0.1:1";
    fixture->api_key = "sp_0123456789abcdef_short";
    assert_int_equal(FIXTURE_RUN(fixture, "whoami"), 2);
    fixture->api_key = NULL;
    assert_int_equal(FIXTURE_RUN(fixture, "whoami"), 4);
    fixture->api_key = FIXTURE_API_KEY;
    assert_int_equal(FIXTURE_RUN(fixture, "whoami", "--tenant", "No\r\nX: y"), 2);
}

static void test_pages_are_followed_to_the_limit(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = peer_of(fixture);
    peer_add(peer, "200 OK", NULL, "{\"items\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"next\":\"c/1\"}");
    peer_add(peer, "200 OK", NULL, "{\"items\":[],\"next\":\"c/2\"}");
    peer_add(peer, "200 OK", NULL, "{\"items\":[{\"id\":\"c\"}],\"next\":\"c/3\"}");
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "exec", "list", "--limit", "3", "--state", "failed",
                                 "--output", "json"),
                     0);
    AUTO_JSON json_t *list = json_loads(fixture->out, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(list, "items")), 3);
    assert_string_equal(json_string_value(json_object_get(list, "next")), "c/3");
    EXPECT(peer, "GET /v1/executions?state=failed&limit=3 ",
           "GET /v1/executions?state=failed&limit=1&after=c%2F1 ",
           "GET /v1/executions?state=failed&limit=1&after=c%2F2 ");
}

static void test_waiting_outlasts_an_outage(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = peer_of(fixture);
    peer_add(peer, "200 OK", NULL, "{\"id\":\"" ID "\",\"state\":\"queued\"}");
    peer_add(peer, "503 Service Unavailable", NULL, "{\"code\":\"unavailable\",\"detail\":\"x\"}");
    peer_add(peer, "200 OK", NULL, "{\"id\":\"" ID "\",\"state\":\"failed\"}");
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "exec", "wait", ID), 1);
    assert_non_null(strstr(fixture->out, "failed"));
    EXPECT(peer, "GET /v1/executions/" ID, "GET /v1/executions/" ID, "GET /v1/executions/" ID);
}

static void test_a_wait_runs_out(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = peer_of(fixture);
    peer_add(peer, "200 OK", NULL, "{\"id\":\"" ID "\",\"state\":\"running\"}");
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "exec", "wait", ID, "--timeout", "0"), 8);
    EXPECT(peer, "GET /v1/executions/" ID);
}

static void test_submitting(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = peer_of(fixture);
    const char *token = fixture_file(fixture, "token", "a.b.c\n", 6, 0600);
    peer_add(peer, "200 OK", NULL, "{\"id\":\"" ID "\",\"state\":\"succeeded\"}");
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "exec", "submit", token, "--wait", "5"), 0);
    peer_stop(peer);
    const char *request = buf_text(&peer->requests[0]);
    assert_non_null(strstr(request, "\r\nContent-Type: application/jose\r\n"));
    assert_non_null(strstr(request, "\r\nPrefer: wait=5\r\n"));
    assert_string_equal(strstr(request, "\r\n\r\n"), "\r\n\r\na.b.c");
    peer_free(peer);
}

static void test_output_is_exact(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = peer_of(fixture);
    static const char bytes[] = "a\0\xff\x1b\n";
    peer->answers[peer->answer_count++] = (struct peer_answer){"200 OK", NULL, bytes, 5};
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "exec", "logs", ID, "--stderr"), 0);
    assert_int_equal(fixture->out_len, 5);
    assert_memory_equal(fixture->out, bytes, 5);
    EXPECT(peer, "GET /v1/executions/" ID "/stderr ");
}

#define EVENTS(peer, text) peer_add((peer), "200 OK", "Content-Type: text/event-stream\r\n", (text))

/* The connection ends, the output does not: it goes on where it was. */
static void test_output_is_followed(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = peer_of(fixture);
    EVENTS(peer, "retry: 1000\n\nid: 4\nevent: output\n"
                 "data: {\"offset\":0,\"text\":\"one\\n\"}\n\n: shutting down\n\n");
    EVENTS(peer, "id: 6\nevent: output\ndata: {\"offset\":4,\"base64\":\"/wA=\"}\n\n"
                 "event: later\ndata: x\n\n"
                 "event: end\ndata: {\"state\":\"failed\",\"stdout_bytes\":6,"
                 "\"stored_bytes\":6,\"truncated\":false}\n\n");
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "exec", "logs", ID, "--follow"), 1);
    assert_int_equal(fixture->out_len, 6);
    assert_memory_equal(fixture->out, "one\n\xff\0", 6);
    EXPECT(peer, "GET /v1/executions/" ID "/stdout?follow=true&offset=0 ",
           "GET /v1/executions/" ID "/stdout?follow=true&offset=4 ");
}

static void test_output_with_a_gap_is_not_believed(void **state)
{
    static const char *const wrong[] = {
        "event: output\ndata: {\"offset\":1,\"text\":\"x\"}\n\n",
        "event: output\ndata: {\"offset\":0}\n\n",
        "event: output\ndata: {\"offset\":0,\"base64\":\"?\"}\n\n",
        "event: output\ndata: x\n\n",
        "event: end\ndata: {\"state\":5}\n\n",
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct peer *peer = peer_of(fixture);
        EVENTS(peer, wrong[i]);
        start(fixture, peer);
        assert_int_equal(FIXTURE_RUN(fixture, "exec", "logs", ID, "--follow"), 1);
        assert_int_equal(fixture->out_len, 0);
        EXPECT(peer, "GET /v1/executions/" ID "/stdout?follow=true&offset=0 ");
    }
}

static void test_an_input_is_sent_once(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = peer_of(fixture);
    const char *file = fixture_file(fixture, "in", "hello", 5, 0600);
    peer_add(peer, "404 Not Found", NULL, "");
    peer_add(peer, "201 Created", NULL,
             "{\"sha256\":\"" HELLO "\",\"size\":5,\"expires_at\":null}");
    peer_add(peer, "200 OK", NULL, "");
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "input", "push", file), 0);
    assert_int_equal(FIXTURE_RUN(fixture, "input", "push", file), 0);
    assert_non_null(strstr(fixture->out, HELLO));
    peer_stop(peer);
    assert_int_equal(peer->served, 3);
    assert_non_null(strstr(buf_text(&peer->requests[1]), "PUT /v1/inputs/" HELLO " "));
    assert_string_equal(strstr(buf_text(&peer->requests[1]), "\r\n\r\n"), "\r\n\r\nhello");
    peer_free(peer);
}

/* Larger than any buffer on the way, so that it streams and curl asks first. */
static void test_a_large_push_streams_whole(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = peer_of(fixture);
    size_t len = (size_t)3 * 1024 * 1024 + 17;
    AUTO_FREE char *bytes = malloc(len);
    assert_non_null(bytes);
    random_bytes(bytes, len);
    const char *file = fixture_file(fixture, "artifact", bytes, len, 0600);
    struct digest digest = digest_of(bytes, len);
    char body[512];
    (void)snprintf(body, sizeof body, "{\"sha256\":\"%s\",\"state\":\"pending\"}",
                   digest_format(&digest).text);
    peer_add(peer, "201 Created", NULL, body);
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "armory", "push", file, "--kind", "rootfs", "--name", "t",
                                 "--version", "1", "--entrypoint", "/t", "--entrypoint", "a b",
                                 "--env-allowed", "LEVEL"),
                     0);
    peer_stop(peer);
    const struct buf *request = &peer->requests[0];
    assert_ptr_equal(
        strstr(buf_text(request),
               "POST /v1/armory/artifacts?kind=rootfs&name=t&version=1&entrypoint=%2Ft&"
               "entrypoint=a%20b&env_allowed=LEVEL HTTP/1.1\r\n"),
        buf_text(request));
    assert_true(request->len > len);
    assert_memory_equal(request->data + request->len - len, bytes, len);
    peer_free(peer);
}

static void test_a_digest_that_is_not_ours_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = peer_of(fixture);
    const char *file = fixture_file(fixture, "artifact", "other", 5, 0600);
    peer_add(peer, "201 Created", NULL, "{\"sha256\":\"" HELLO "\",\"state\":\"pending\"}");
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "armory", "push", file, "--kind", "binary", "--name", "t",
                                 "--version", "1"),
                     6);
    EXPECT(peer, "POST /v1/armory/artifacts?kind=binary&name=t&version=1 ");
}

static void test_an_inspection_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = peer_of(fixture);
    const char *file = fixture_file(fixture, "artifact", "hello", 5, 0600);
    peer_add(peer, "201 Created", NULL, "{\"sha256\":\"" HELLO "\",\"state\":\"inspecting\"}");
    peer_add(peer, "200 OK", NULL,
             "{\"sha256\":\"" HELLO "\",\"state\":\"rejected\",\"reason\":\"a device\"}");
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "armory", "push", file, "--kind", "binary", "--name", "t",
                                 "--version", "1"),
                     5);
    assert_non_null(strstr(fixture->out, "a device"));
    EXPECT(peer, "POST /v1/armory/artifacts?", "GET /v1/armory/artifacts/" HELLO " ");
}

/* An artifact document for HELLO with this entrypoint, its descriptor digest made for another. */
static void artifact_document(const char *shown, const char *covered, struct buf *ret_text)
{
    struct digest artifact;
    struct buf json[2] = {BUF(DESCRIPTOR_JSON_MAX), BUF(DESCRIPTOR_JSON_MAX)};
    assert_int_equal(digest_parse(HELLO, strlen(HELLO), &artifact), 0);
    for (int i = 0; i < 2; i++) {
        AUTO_DESCRIPTOR struct descriptor *descriptor = NULL;
        const char *entrypoint[] = {i == 0 ? shown : covered};
        struct descriptor fields = {.kind = ARTIFACT_ROOTFS,
                                    .name = "tool",
                                    .version = "1",
                                    .entrypoint = entrypoint,
                                    .entrypoint_count = 1};
        assert_int_equal(descriptor_new(&fields, &descriptor, &json[i], NULL), 0);
    }
    struct digest digest = descriptor_digest(&artifact, buf_span(&json[1]));
    buf_printf(ret_text,
               "{\"sha256\":\"" HELLO "\",\"state\":\"pending\",\"descriptor\":%s,"
               "\"descriptor_sha256\":\"%s\",\"approvals\":[]}",
               buf_text(&json[0]), digest_format(&digest).text);
    buf_free(&json[0]);
    buf_free(&json[1]);
}

/* What `armory approve` sends to a server that shows this artifact. */
static json_t *approval_sent(struct fixture *fixture, const char *document)
{
    struct peer *peer = peer_of(fixture);
    peer_add(peer, "200 OK", NULL, document);
    peer_add(peer, "201 Created", NULL, document);
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "armory", "approve", HELLO, "--comment", "\"looked\""),
                     0);
    peer_stop(peer);
    assert_int_equal(peer->served, 2);
    json_t *body = json_loads(strstr(buf_text(&peer->requests[1]), "\r\n\r\n"), 0, NULL);
    AUTO_JSON json_t *artifact = json_loads(document, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(body, "comment")), "\"looked\"");
    assert_string_equal(json_string_value(json_object_get(body, "descriptor_sha256")),
                        json_string_value(json_object_get(artifact, "descriptor_sha256")));
    peer_free(peer);
    return body;
}

/* The documents too, or that there is none; a server of before, that knows none, is told none. */
static void test_an_approval_names_what_was_seen(void **state)
{
    AUTO_BUF struct buf old = BUF(65536), document = BUF(65536);
    artifact_document("/usr/bin/tool", "/usr/bin/tool", &old);
    AUTO_JSON json_t *plain = approval_sent(*state, buf_text(&old));
    assert_int_equal(json_object_size(plain), 2);
    buf_append(&document, old.data, old.len - 1);
    buf_puts(&document, ",\"documents\":{\"sbom\":{\"sha256\":\"" HELLO
                        "\",\"summary\":{\"name\":\"x\"}},\"report\":null}}");
    AUTO_JSON json_t *whole = approval_sent(*state, buf_text(&document));
    assert_int_equal(json_object_size(whole), 4);
    assert_string_equal(json_string_value(json_object_get(whole, "sbom_sha256")), HELLO);
    assert_true(json_is_null(json_object_get(whole, "report_sha256")));
}

/* A server that shows one descriptor and names the digest of another gets no approval. */
static void test_an_approval_is_not_tricked(void **state)
{
    struct fixture *fixture = *state;
    AUTO_BUF struct buf document = BUF(65536);
    artifact_document("/usr/bin/tool", "/bin/sh", &document);
    struct peer *peer = peer_of(fixture);
    peer_add(peer, "200 OK", NULL, buf_text(&document));
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "armory", "approve", HELLO, "--comment", "x"), 6);
    EXPECT(peer, "GET /v1/armory/artifacts/" HELLO " ");

    buf_reset(&document);
    artifact_document("/usr/bin/tool", "/usr/bin/tool", &document);
    peer = peer_of(fixture);
    peer_add(peer, "200 OK", NULL, buf_text(&document));
    start(fixture, peer);
    assert_int_equal(
        FIXTURE_RUN(fixture, "armory", "approve", HELLO, "--comment", "x", "--descriptor", HELLO),
        6);
    EXPECT(peer, "GET /v1/armory/artifacts/" HELLO " ");
}

static void test_events_keep_their_bytes(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = peer_of(fixture);
    peer_add(peer, "200 OK", "Sallyport-Cursor: 7\r\nLink: <?after=7>; rel=\"next\"\r\n",
             "{\"b\":1,\"a\":2}\n{\"n\":1.0}\n");
    peer_add(peer, "200 OK", "Sallyport-Cursor: 8\r\n", "{\"c\":3}\n");
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "events", "--type", "key.added.v1", "-o", "ndjson"), 0);
    assert_string_equal(fixture->out, "{\"b\":1,\"a\":2}\n{\"n\":1.0}\n{\"c\":3}\n");
    EXPECT(peer, "GET /v1/events?type=io.sallyport.key.added.v1&limit=100 ",
           "GET /v1/events?type=io.sallyport.key.added.v1&limit=98&after=7 ");
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_problem_is_an_exit_code),
        TEST(test_redirects_are_not_followed),
        TEST(test_answers_are_bounded),
        TEST(test_what_is_no_answer),
        TEST(test_nobody_there),
        TEST(test_settings_are_checked),
        TEST(test_pages_are_followed_to_the_limit),
        TEST(test_waiting_outlasts_an_outage),
        TEST(test_a_wait_runs_out),
        TEST(test_submitting),
        TEST(test_output_is_exact),
        TEST(test_output_is_followed),
        TEST(test_output_with_a_gap_is_not_believed),
        TEST(test_an_input_is_sent_once),
        TEST(test_a_large_push_streams_whole),
        TEST(test_a_digest_that_is_not_ours_is_noticed),
        TEST(test_an_inspection_is_waited_for),
        TEST(test_an_approval_names_what_was_seen),
        TEST(test_an_approval_is_not_tricked),
        TEST(test_events_keep_their_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
