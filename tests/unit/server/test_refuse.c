/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the HTTP library refuses by itself leaves as a problem document (test_receive.c has the
 * cases); daemons that are not ours are left alone.
 */
#include "tests/unit/server/loopback.h"

#include <microhttpd.h>

static enum answer answer_ok(struct request *request)
{
    return reply_empty(request, 204);
}

static const struct route routes[] = {{.method = HTTP_GET, .path = "/ok", .handle = answer_ok}};

/* One answer, not its head twice over, and the connection's end. */
static void test_one_answer(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET /ok HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        "GET /ok HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        "GET /ok HTTP/3.7\r\nHost: x\r\n\r\n",
    };
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    struct http *http = test_start(&config);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct client *client = client_open(http_port(http));
        client_send(client, requests[i]);
        struct reply *reply = client_reply(client);
        expect_problem(reply, FAULT_MALFORMED_REQUEST);
        assert_true(reply_closes(reply));
        client_expect_end(client);
        reply_free(reply);
        client_close(client);
    }
    http_stop(http);
}

/* After good requests on the same connection, too. */
static void test_on_a_used_connection(void **state)
{
    (void)state;
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    struct http *http = test_start(&config);
    struct client *client = client_open(http_port(http));
    client_send(client, "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n");
    struct reply *reply = client_reply(client);
    assert_int_equal(reply->status, 204);
    reply_free(reply);
    client_send(client, "GET /ok HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n");
    reply = client_reply(client);
    expect_problem(reply, FAULT_MALFORMED_REQUEST);
    reply_free(reply);
    client_close(client);
    assert_true(http_wait_idle(http, 10000));
    http_stop(http);
}

static enum MHD_Result bare(void *context, struct MHD_Connection *connection, const char *url,
                            const char *method, const char *version, const char *data,
                            size_t *data_len, void **request_context)
{
    (void)context, (void)url, (void)method, (void)version, (void)data, (void)data_len;
    (void)request_context;
    char body[] = "bare";
    struct MHD_Response *response = MHD_create_response_from_buffer(4, body, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

static void test_other_daemons(void **state)
{
    (void)state;
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, bare, NULL, MHD_OPTION_END);
    assert_non_null(daemon);
    unsigned port = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    struct reply *reply = ask(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->body, "bare");
    reply_free(reply);
    reply = ask(port, "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n");
    assert_int_equal(reply->status, 400);
    assert_non_null(strstr(reply->body, "<html>"));
    reply_free(reply);
    MHD_stop_daemon(daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_answer),
        cmocka_unit_test(test_on_a_used_connection),
        cmocka_unit_test(test_other_daemons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
