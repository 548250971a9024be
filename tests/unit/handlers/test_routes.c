/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/routes.h"

#include "handlers/handlers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Who may do what: a second copy, because a wrong role here is an open door. */
static const struct {
    enum http_method method;
    const char *path;
    unsigned access;
    enum route_body body;
} expected[] = {
    {HTTP_POST, "/v1/executions", ACCESS_ANY_ROLE, ROUTE_BODY_BUFFERED},
    {HTTP_GET, "/v1/executions", ROLE_VIEWER, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/executions/{id}", ROLE_VIEWER, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/executions/{id}/manifest", ROLE_VIEWER, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/executions/{id}/stdout", ROLE_VIEWER, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/executions/{id}/stderr", ROLE_VIEWER, ROUTE_BODY_NONE},
    {HTTP_POST, "/v1/executions/{id}/cancel", ROLE_SUBMITTER, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/executions/{id}/receipt", ROLE_VIEWER, ROUTE_BODY_NONE},
    {HTTP_POST, "/v1/armory/artifacts", ROLE_PUBLISHER, ROUTE_BODY_STREAMED},
    {HTTP_GET, "/v1/armory/artifacts", ACCESS_ANY_ROLE, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/armory/artifacts/{sha256}", ACCESS_ANY_ROLE, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/armory/artifacts/{sha256}/content", ACCESS_ANY_ROLE, ROUTE_BODY_NONE},
    {HTTP_POST, "/v1/armory/artifacts/{sha256}/approvals", ROLE_APPROVER, ROUTE_BODY_BUFFERED},
    {HTTP_PUT, "/v1/armory/artifacts/{sha256}/sbom", ROLE_PUBLISHER, ROUTE_BODY_STREAMED},
    {HTTP_GET, "/v1/armory/artifacts/{sha256}/sbom", ACCESS_ANY_ROLE, ROUTE_BODY_NONE},
    {HTTP_PUT, "/v1/armory/artifacts/{sha256}/report", ROLE_PUBLISHER, ROUTE_BODY_STREAMED},
    {HTTP_GET, "/v1/armory/artifacts/{sha256}/report", ACCESS_ANY_ROLE, ROUTE_BODY_NONE},
    {HTTP_POST, "/v1/armory/artifacts/{sha256}/revocation", ROLE_ADMIN, ROUTE_BODY_BUFFERED},
    {HTTP_PUT, "/v1/inputs/{sha256}", ROLE_SUBMITTER, ROUTE_BODY_STREAMED},
    {HTTP_HEAD, "/v1/inputs/{sha256}", ROLE_SUBMITTER, ROUTE_BODY_NONE},
    {HTTP_POST, "/v1/keys", ROLE_ADMIN, ROUTE_BODY_BUFFERED},
    {HTTP_GET, "/v1/keys", ROLE_ADMIN, ROUTE_BODY_NONE},
    {HTTP_POST, "/v1/keys/{kid}/revocation", ROLE_ADMIN, ROUTE_BODY_NONE},
    {HTTP_POST, "/v1/api-keys", ROLE_ADMIN, ROUTE_BODY_BUFFERED},
    {HTTP_GET, "/v1/api-keys", ROLE_ADMIN, ROUTE_BODY_NONE},
    {HTTP_DELETE, "/v1/api-keys/{id}", ROLE_ADMIN, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/whoami", ACCESS_ANY_ROLE, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/events", ROLE_VIEWER | ROLE_AUDITOR, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/events/{id}", ROLE_VIEWER | ROLE_AUDITOR, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/events/{id}/receipt", ROLE_VIEWER | ROLE_AUDITOR, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/ledger/checkpoint", ACCESS_LOG, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/ledger/tile/{level}/{a}", ACCESS_LOG, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/ledger/tile/{level}/{a}/{b}", ACCESS_LOG, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/ledger/tile/{level}/{a}/{b}/{c}", ACCESS_LOG, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/ledger/tile/{level}/{a}/{b}/{c}/{d}", ACCESS_LOG, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/ledger/tile/entries/{a}", ACCESS_LOG, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/ledger/tile/entries/{a}/{b}", ACCESS_LOG, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/ledger/tile/entries/{a}/{b}/{c}", ACCESS_LOG, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/ledger/tile/entries/{a}/{b}/{c}/{d}", ACCESS_LOG, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/ledger/proof", ACCESS_ANY_ROLE, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/ledger/export", ROLE_AUDITOR, ROUTE_BODY_NONE},
    {HTTP_GET, "/v1/workers", ROLE_ADMIN, ROUTE_BODY_NONE},
    {HTTP_GET, "/livez", ACCESS_PUBLIC, ROUTE_BODY_NONE},
    {HTTP_GET, "/version", ACCESS_PUBLIC, ROUTE_BODY_NONE},
    {HTTP_GET, "/openapi.yaml", ACCESS_PUBLIC, ROUTE_BODY_NONE},
};

static const char *method_text(enum http_method method)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OTHER"};
    return names[method];
}

static const struct route *row_of(enum http_method method, const char *path)
{
    const struct route *found = NULL;
    for (size_t i = 0; i < route_count; i++) {
        if (routes[i].method != method || strcmp(routes[i].path, path) != 0)
            continue;
        if (found != NULL)
            fail_msg("twice: %s %s", method_text(method), path);
        found = &routes[i];
    }
    if (found == NULL)
        fail_msg("no row: %s %s", method_text(method), path);
    return found;
}

static void each_row_has_its_roles(void **state)
{
    (void)state;
    assert_int_equal(route_count, ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const struct route *row = row_of(expected[i].method, expected[i].path);
        if (row->access != expected[i].access || row->body != expected[i].body)
            fail_msg("%s %s: other roles or body", method_text(row->method), row->path);
        assert_non_null(row->handle);
    }
}

/* A write never hangs on a reading role alone, and nothing but the installation is public. */
static void writes_need_a_role_that_writes(void **state)
{
    (void)state;
    const unsigned reading = ROLE_VIEWER | ROLE_AUDITOR | ACCESS_ANY_ROLE | ACCESS_LOG;
    for (size_t i = 0; i < route_count; i++) {
        const struct route *row = &routes[i];
        bool writes =
            row->method == HTTP_POST || row->method == HTTP_PUT || row->method == HTTP_DELETE;
        /* handle_submit checks its role itself, to leave an event (tests/system/02). */
        if (writes && row->handle != handle_submit &&
            (row->access == ACCESS_PUBLIC || (row->access & reading) != 0))
            fail_msg("%s %s", method_text(row->method), row->path);
        if (strncmp(row->path, "/v1/", 4) == 0)
            assert_int_not_equal(row->access, ACCESS_PUBLIC);
        if (row->access == ACCESS_LOG) /* nothing that asks for an event, or of a tenant */
            assert_true(strcmp(row->path, "/v1/ledger/checkpoint") == 0 ||
                        strncmp(row->path, "/v1/ledger/tile/", 16) == 0);
        if (row->body == ROUTE_BODY_NONE)
            assert_int_equal(row->body_max, 0);
        else
            assert_true(row->body_max > 0);
        if (row->body == ROUTE_BODY_BUFFERED)
            assert_in_range(row->body_max, 1, 256 * 1024);
    }
}

/* The row's path with a value for each {name}. */
static void concrete(const char *path, char *ret_text, size_t size, size_t *ret_values)
{
    size_t len = 0;
    *ret_values = 0;
    for (const char *at = path; *at != '\0';) {
        if (*at != '{') {
            ret_text[len++] = *at++;
        } else {
            len += (size_t)snprintf(ret_text + len, size - len, "value%zu", (*ret_values)++);
            at = strchr(at, '}') + 1;
        }
        assert_true(len + 32 < size);
    }
    ret_text[len] = '\0';
}

static void each_row_is_reached(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        char path[256], allow[64];
        size_t values;
        struct route_match match;
        struct fault fault;
        concrete(routes[i].path, path, sizeof path, &values);
        if (route_match(routes, route_count, routes[i].method, span_text(path), &match, allow,
                        &fault) != 0)
            fail_msg("%s: %s", path, fault.detail);
        assert_ptr_equal(match.route, &routes[i]);
        assert_int_equal(match.value_count, values);
        for (size_t v = 0; v < values; v++) {
            char value[32];
            (void)snprintf(value, sizeof value, "value%zu", v);
            assert_true(span_equal(match.values[v], span_text(value)));
        }
    }
}

/* HEAD reads what GET reads; where a row of its own takes it, with that row's roles. */
static void head_follows_get(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        char path[256], allow[64];
        size_t values;
        struct route_match match;
        struct fault fault;
        if (routes[i].method != HTTP_GET)
            continue;
        concrete(routes[i].path, path, sizeof path, &values);
        assert_int_equal(
            route_match(routes, route_count, HTTP_HEAD, span_text(path), &match, allow, &fault), 0);
        assert_ptr_equal(match.route, &routes[i]);
    }
}

static void other_methods_are_told_what_is_allowed(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        for (int method = HTTP_GET; method <= HTTP_OTHER; method++) {
            char path[256], allow[64] = "";
            size_t values;
            struct route_match match;
            struct fault fault;
            concrete(routes[i].path, path, sizeof path, &values);
            if (route_match(routes, route_count, (enum http_method)method, span_text(path), &match,
                            allow, &fault) == 0) {
                assert_string_equal(match.route->path, routes[i].path);
                continue;
            }
            assert_int_equal(fault.code, FAULT_METHOD_NOT_ALLOWED);
            assert_non_null(strstr(allow, method_text(routes[i].method)));
            assert_null(strstr(allow, method_text((enum http_method)method)));
        }
    }
}

static void paths_beside_the_table_are_not_found(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",
        "/",
        "/v1",
        "/v1/",
        "/v1/executions/",
        "/v1/Executions",
        "/v1//executions",
        "/v1/executions/x/",
        "/v1/executions/x/y",
        "/v1/executions/../keys",
        "/v1/executions/%2e%2e/manifest",
        "/v1/executions/x/stdout/y",
        "/v1/ledger/tile/entries",
        "/v1/ledger/tile/entries/a/b/c/d/e",
        "/v1/ledger/tile/0",
        "/v1/ledger/tile/0/a/b/c/d/e",
        "/v2/executions",
        "/livez/",
        "/metrics",
        "/readyz",
    };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        char allow[64];
        struct route_match match;
        struct fault fault = {0};
        if (route_match(routes, route_count, HTTP_GET, span_text(paths[i]), &match, allow,
                        &fault) != -1)
            fail_msg("%s reaches %s", paths[i], match.route->path);
        assert_int_equal(fault.code, FAULT_NOT_FOUND);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_has_its_roles),
        cmocka_unit_test(writes_need_a_role_that_writes),
        cmocka_unit_test(each_row_is_reached),
        cmocka_unit_test(head_follows_get),
        cmocka_unit_test(other_methods_are_told_what_is_allowed),
        cmocka_unit_test(paths_beside_the_table_are_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
