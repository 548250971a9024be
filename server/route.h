/* SPDX-License-Identifier: Apache-2.0 */
/* The form of a route table: one row an endpoint, complete paths, one level. */
#pragma once

#include "server/request.h"

enum route_body { ROUTE_BODY_NONE, ROUTE_BODY_BUFFERED, ROUTE_BODY_STREAMED };

struct route {
    enum http_method method; /* GET answers HEAD too */
    const char *path;        /* "/v1/executions/{id}/manifest": a {name} is one segment */
    unsigned access;         /* opaque here; read by the admit hook */
    enum route_body body;
    size_t body_max; /* bytes; 413 past it, before reading where Content-Length says so */
    enum answer (*handle)(struct request *request);
};

#define ROUTE_PATH_VALUES_MAX 5

struct route_match {
    const struct route *route;
    struct span values[ROUTE_PATH_VALUES_MAX]; /* still percent-encoded */
    size_t value_count;
};

/* Finds the row. FAULT_NOT_FOUND where no row has the path; FAULT_METHOD_NOT_ALLOWED where the
 * path is known, with ret_allow (at least 64 bytes) the value of the Allow header. A literal
 * segment wins over a {name}. `//`, empty and dot segments match nothing. */
int route_match(const struct route *routes, size_t route_count, enum http_method method,
                struct span path, struct route_match *ret_match, char *ret_allow,
                struct fault *fault) MUST_CHECK;
