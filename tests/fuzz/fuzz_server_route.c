/* SPDX-License-Identifier: Apache-2.0 */
/* Paths against a route table: what matched can be written back from the row and its values. */
#include "server/route.h"

#include <string.h>

static const struct route routes[] = {
    {.method = HTTP_GET, .path = "/"},
    {.method = HTTP_GET, .path = "/v1/things"},
    {.method = HTTP_POST, .path = "/v1/things"},
    {.method = HTTP_GET, .path = "/v1/things/{id}"},
    {.method = HTTP_GET, .path = "/v1/things/all"},
    {.method = HTTP_PUT, .path = "/v1/{kind}/{id}/part"},
    {.method = HTTP_HEAD, .path = "/v1/things/{id}/part"},
    {.method = HTTP_GET, .path = "/t/{a}/{b}/{c}/{d}"},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_match(struct span path, const struct route_match *match)
{
    AUTO_BUF struct buf again = BUF(path.len);
    size_t values = 0;
    for (const char *at = match->route->path; *at != '\0';) {
        size_t literal = strcspn(at, "{");
        buf_append(&again, at, literal);
        at += literal;
        if (*at != '{')
            continue;
        check(values < match->value_count);
        struct span value = match->values[values++];
        check(value.len > 0 && memchr(value.data, '/', value.len) == NULL);
        check(!span_equal(value, span_text(".")) && !span_equal(value, span_text("..")));
        buf_append(&again, value.data, value.len);
        at += strcspn(at, "}") + 1;
    }
    check(values == match->value_count && !buf_failed(&again));
    check(span_equal(buf_span(&again), path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum http_method method = data[0] % (HTTP_OTHER + 1);
    struct span path = span_of(data + 1, size - 1);
    struct route_match match;
    struct fault fault = {0};
    char allow[64] = "";
    if (route_match(routes, ARRAY_LEN(routes), method, path, &match, allow, &fault) == 0) {
        check(method != HTTP_OTHER && allow[0] == '\0');
        check_match(path, &match);
        return 0;
    }
    check(fault.code == (allow[0] == '\0' ? FAULT_NOT_FOUND : FAULT_METHOD_NOT_ALLOWED));
    return 0;
}
