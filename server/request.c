/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http_internal.h"

#include <string.h>
#include <strings.h>

struct request *request_new(struct http *http, struct peer *peer, const char *target)
{
    struct request *request = calloc(1, sizeof *request);
    char *copy = strdup(target);
    if (request == NULL || copy == NULL) {
        free(request);
        free(copy);
        return NULL;
    }
    request->http = http;
    request->peer = peer;
    peer_ref(peer);
    atomic_init(&request->refs, 1);
    request->target = copy;
    request->method = HTTP_OTHER;
    request->content_length = -1;
    request->started_ms = stats_now_ms();
    struct uuid id = uuid_v7();
    (void)snprintf(request->id, sizeof request->id, "%s", uuid_format(&id).text);
    return request;
}

void request_ref(struct request *request)
{
    atomic_fetch_add(&request->refs, 1);
}

/* Under the lock to its end: once it is released, http_stop() may free all. */
static void in_flight_leave(struct http *http)
{
    pthread_mutex_lock(&http->idle_lock);
    if (--http->in_flight == 0)
        pthread_cond_broadcast(&http->idle);
    pthread_mutex_unlock(&http->idle_lock);
}

void request_count(struct request *request)
{
    struct http *http = request->http;
    request->counted = true;
    pthread_mutex_lock(&http->idle_lock);
    http->in_flight++;
    pthread_mutex_unlock(&http->idle_lock);
}

void request_unref(struct request *request)
{
    if (atomic_fetch_sub(&request->refs, 1) != 1)
        return;
    struct http *http = request->http;
    stats_report(request);
    request_forget_body(request);
    if (request->caller_destroy != NULL)
        request->caller_destroy(request->caller);
    stream_free(request->stream);
    outflow_free(request);
    response_clear(&request->response);
    peer_unref(request->peer);
    free(request->headers);
    free(request->parameters);
    free(request->head_text);
    free(request->target_text);
    free(request->target);
    bool counted = request->counted;
    free(request);
    if (counted)
        in_flight_leave(http);
}

bool request_charge(struct request *request, size_t bytes)
{
    struct http *http = request->http;
    size_t before = atomic_fetch_add(&http->bodies, bytes);
    if (bytes > http->config.bodies_max || before > http->config.bodies_max - bytes) {
        atomic_fetch_sub(&http->bodies, bytes);
        return false;
    }
    request->charged += bytes;
    return true;
}

void request_forget_body(struct request *request)
{
    buf_free(&request->body);
    atomic_fetch_sub(&request->http->bodies, request->charged);
    request->charged = 0;
}

struct pool *request_pool(const struct request *request)
{
    return request->stream != NULL ? request->http->streams : request->http->requests;
}

/* -- what handlers see --- */

const struct route *request_route(const struct request *request)
{
    return request->route;
}

enum http_method request_method(const struct request *request)
{
    return request->method;
}

const char *request_id(const struct request *request)
{
    return request->id;
}

const char *request_traceparent(const struct request *request)
{
    return request->traceparent;
}

const char *request_header(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

const char *request_query(const struct request *request, const char *name, size_t n)
{
    for (size_t i = 0; i < request->parameter_count; i++)
        if (strcmp(request->parameters[i].name, name) == 0 && n-- == 0)
            return request->parameters[i].value;
    return NULL;
}

const char *request_query_name(const struct request *request, size_t i, const char **ret_value)
{
    if (i >= request->parameter_count)
        return NULL;
    *ret_value = request->parameters[i].value;
    return request->parameters[i].name;
}

static bool name_listed(const char *name, const char *const *list)
{
    for (; list != NULL && *list != NULL; list++)
        if (strcmp(*list, name) == 0)
            return true;
    return false;
}

int request_check_query(const struct request *request, const char *const *known,
                        const char *const *repeatable, struct fault *fault)
{
    for (size_t i = 0; i < request->parameter_count; i++) {
        const char *name = request->parameters[i].name;
        bool repeats = name_listed(name, repeatable);
        if (!repeats && !name_listed(name, known))
            return fault_set(fault, FAULT_UNKNOWN_PARAMETER,
                             "the query parameter %.64s is not one of this endpoint", name);
        if (!repeats && request_query(request, name, 1) != NULL)
            return fault_set(fault, FAULT_MALFORMED_REQUEST,
                             "the query parameter %s is given more than once", name);
    }
    return 0;
}

/* The n-th {name} of the route's path is the n-th value. */
const char *request_path_value(const struct request *request, const char *name)
{
    if (request->route == NULL)
        return NULL;
    size_t n = 0, len = strlen(name);
    for (const char *at = request->route->path; (at = strchr(at, '{')) != NULL; n++) {
        at++;
        if (strncmp(at, name, len) == 0 && at[len] == '}')
            return n < ROUTE_PATH_VALUES_MAX ? request->path_values[n] : NULL;
    }
    return NULL;
}

struct span request_body(const struct request *request)
{
    return request->body.len == 0 ? span_of("", 0) : buf_span(&request->body);
}

int64_t request_content_length(const struct request *request)
{
    return request->content_length;
}

void request_set_caller(struct request *request, void *caller, void (*destroy)(void *))
{
    if (request->caller_destroy != NULL)
        request->caller_destroy(request->caller);
    request->caller = caller;
    request->caller_destroy = destroy;
}

void *request_caller(const struct request *request)
{
    return request->caller;
}

void *request_thread(const struct request *request)
{
    return request->thread;
}

bool request_draining(const struct request *request)
{
    return atomic_load(&request->http->draining);
}

struct http_address request_address(const struct request *request)
{
    return request->peer->address;
}

void *request_context(const struct request *request)
{
    return request->http->config.context;
}

/* The other thread may have answered by now: the request is not looked at. */
enum answer request_defer(struct request *request)
{
    (void)request;
    return ANSWER_DEFERRED;
}
