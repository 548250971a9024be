/* SPDX-License-Identifier: Apache-2.0 */
#include "server/route.h"

#include "server/http_internal.h"

#include <string.h>
#include <strings.h>

#define SEGMENTS_MAX 16
#define ALLOW_BYTES 64 /* all methods take half of it */

static const char *const method_names[] = {[HTTP_GET] = "GET",
                                           [HTTP_HEAD] = "HEAD",
                                           [HTTP_POST] = "POST",
                                           [HTTP_PUT] = "PUT",
                                           [HTTP_DELETE] = "DELETE"};

const char *route_method_name(enum http_method method)
{
    return method < ARRAY_LEN(method_names) ? method_names[method] : "OTHER";
}

enum http_method route_method(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(method_names); i++)
        if (strcmp(name, method_names[i]) == 0)
            return (enum http_method)i;
    return HTTP_OTHER;
}

/* `.` or `..`, an escaped dot included: another server in the way may have resolved it. */
static bool segment_is_dots(struct span segment)
{
    size_t dots = 0;
    for (size_t i = 0; i < segment.len; dots++) {
        const char *at = (const char *)segment.data + i;
        if (*at == '.')
            i++;
        else if (segment.len - i >= 3 && strncasecmp(at, "%2e", 3) == 0)
            i += 3;
        else
            return false;
    }
    return dots == 1 || dots == 2;
}

/* "/a/b" is {"a", "b"}; "/" is {}. -1 for what no row can match. */
static int path_segments(struct span path, struct span *ret_segments, size_t *ret_count)
{
    if (path.len == 0 || path.data[0] != '/')
        return -1;
    size_t count = 0;
    for (size_t start = 1; path.len > 1 && start <= path.len;) {
        const uint8_t *from = path.data + start;
        size_t left = path.len - start;
        const uint8_t *slash = left == 0 ? NULL : memchr(from, '/', left);
        struct span segment = span_of(from, slash == NULL ? left : (size_t)(slash - from));
        if (segment.len == 0 || segment_is_dots(segment) || count == SEGMENTS_MAX)
            return -1;
        ret_segments[count++] = segment;
        start += segment.len + 1;
    }
    *ret_count = count;
    return 0;
}

/* Compares a row's path with the segments. On a match ret_match holds the values and the
 * result says how literal the row is: a bit a segment, the first the highest; else -1. */
static int row_match(const struct route *row, const struct span *segments, size_t count,
                     struct route_match *ret_match)
{
    struct route_match match = {.route = row};
    int literal = 0;
    const char *at = row->path;
    for (size_t i = 0; i < count; i++) {
        if (*at++ != '/' || *at == '\0')
            return -1;
        size_t len = strcspn(at, "/");
        literal <<= 1;
        if (*at == '{') {
            if (match.value_count == ROUTE_PATH_VALUES_MAX)
                return -1;
            match.values[match.value_count++] = segments[i];
        } else if (span_equal(span_of(at, len), segments[i])) {
            literal |= 1;
        } else {
            return -1;
        }
        at += len;
    }
    if (*at != '\0' && !(count == 0 && strcmp(at, "/") == 0))
        return -1;
    *ret_match = match;
    return literal;
}

static void allow_write(unsigned methods, char *ret_allow)
{
    if ((methods & 1U << HTTP_GET) != 0)
        methods |= 1U << HTTP_HEAD;
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(method_names); i++)
        if ((methods & 1U << i) != 0)
            len += (size_t)snprintf(ret_allow + len, ALLOW_BYTES - len, "%s%s",
                                    len == 0 ? "" : ", ", method_names[i]);
}

/* How well a row's method serves: 2 itself, 1 GET for HEAD, 0 not at all. */
static int method_fits(enum http_method row, enum http_method method)
{
    if (row == method)
        return 2;
    return row == HTTP_GET && method == HTTP_HEAD ? 1 : 0;
}

int route_match(const struct route *routes, size_t route_count, enum http_method method,
                struct span path, struct route_match *ret_match, char *ret_allow,
                struct fault *fault)
{
    struct span segments[SEGMENTS_MAX];
    size_t count = 0;
    unsigned methods = 0;
    int best = -1;
    struct route_match found = {0};
    if (path_segments(path, segments, &count) == 0) {
        for (size_t i = 0; i < route_count; i++) {
            struct route_match match;
            int literal = row_match(&routes[i], segments, count, &match);
            if (literal < 0)
                continue;
            methods |= 1U << routes[i].method;
            int fits = method_fits(routes[i].method, method);
            if (fits > 0 && literal * 2 + fits > best) {
                best = literal * 2 + fits;
                found = match;
            }
        }
    }
    if (best >= 0) {
        *ret_match = found;
        return 0;
    }
    if (methods == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "there is nothing at this path");
    allow_write(methods, ret_allow);
    return fault_set(fault, FAULT_METHOD_NOT_ALLOWED, "this path takes %s", ret_allow);
}
