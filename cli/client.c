/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include "base/file.h"
#include "cli/query.h"
#include "trust/caller.h"

#include <errno.h>
#include <string.h>

#define PAGES_MAX 10000 /* a page may be empty with more to follow */

static const char *setting(const struct args *args, const char *option, const char *variable)
{
    const char *value = args_value(args, option);
    if (value == NULL && variable != NULL)
        value = getenv(variable);
    return value == NULL || *value == '\0' ? NULL : value;
}

static void trim_newline(struct buf *text)
{
    if (text->len > 0 && text->data[text->len - 1] == '\n')
        text->data[--text->len] = '\0';
}

static int read_api_key(const struct args *args, struct buf *api_key, struct fault *fault)
{
    const char *path = args_value(args, "api-key-file");
    const char *text = path == NULL ? setting(args, "api-key-file", "SALLYPORT_API_KEY") : NULL;
    if (path != NULL && client_read_secret(path, api_key, fault) != 0)
        return -1;
    if (text != NULL)
        buf_puts(api_key, text);
    if (buf_failed(api_key))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "SALLYPORT_API_KEY is not an API key");
    trim_newline(api_key);
    return 0;
}

int client_open(const struct args *args, struct client *ret_client, struct fault *fault)
{
    struct client client = {.url = setting(args, "url", "SALLYPORT_URL"),
                            .tenant = setting(args, "tenant", NULL),
                            .ca_file = setting(args, "ca-file", "SALLYPORT_CA_FILE"),
                            .api_key = BUF(API_KEY_TEXT_MAX),
                            .output = output_open()};
    const char *mode = args_value(args, "output");
    if (mode != NULL && output_mode_parse(mode, &client.output.mode) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "--output: expected table, json or ndjson");
    if (read_api_key(args, &client.api_key, fault) != 0) {
        client_close(&client);
        return -1;
    }
    *ret_client = client;
    return 0;
}

void client_close(struct client *client)
{
    if (client->api_key.data != NULL)
        explicit_bzero(client->api_key.data, client->api_key.cap);
    buf_free(&client->api_key);
    http_close(client->http);
    client->http = NULL;
}

bool client_has_key(const struct client *client)
{
    return client->api_key.len > 0;
}

static int connect_once(struct client *client, struct fault *fault)
{
    if (client->http != NULL)
        return 0;
    struct http_settings settings = {.url = client->url == NULL ? CLIENT_URL_DEFAULT : client->url,
                                     .api_key =
                                         client_has_key(client) ? buf_text(&client->api_key) : NULL,
                                     .tenant = client->tenant,
                                     .ca_file = client->ca_file};
    if (http_open(&settings, &client->http, fault) != 0)
        return -1;
    if (http_is_exposed(client->http))
        output_note("warning: %s is not encrypted: the API key can be read on the way",
                    settings.url);
    return 0;
}

int client_call(struct client *client, const struct http_request *request,
                struct http_answer *ret_answer, struct fault *fault)
{
    if (!client_has_key(client))
        return fault_set(fault, FAULT_NOT_AUTHENTICATED,
                         "no API key: set SALLYPORT_API_KEY, or --api-key-file FILE");
    if (connect_once(client, fault) != 0)
        return -1;
    return http_call(client->http, request, ret_answer, fault);
}

int client_parse(const struct http_answer *answer, json_t **ret_object, struct fault *fault)
{
    return json_object_parse(buf_span(&answer->body), FAULT_INTERNAL, "the server's answer",
                             ret_object, fault);
}

int client_json(struct client *client, const char *path, const json_t *body, json_t **ret_object,
                struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(HTTP_ANSWER_MAX);
    struct http_request request = {.method = "GET", .path = path};
    if (body != NULL) {
        json_append(&text, body);
        request.method = "POST";
        request.content_type = "application/json";
        request.body = buf_span(&text);
    }
    if (buf_failed(&text))
        return fault_set(fault, FAULT_TOO_LARGE, "the request: more than fits in memory");
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    if (client_call(client, &request, &answer, fault) != 0)
        return -1;
    return client_parse(&answer, ret_object, fault);
}

/* One page: its items go to `items`; ret_next is a copy of its cursor, NULL at the end. */
static int fetch_page(struct client *client, const char *path, json_t *items, char **ret_next,
                      struct fault *fault)
{
    AUTO_JSON json_t *page = NULL;
    json_t *found = NULL;
    const struct json_field fields[] = {{"items", JSON_KIND_ARRAY, true, 0, 0, &found}};
    if (client_json(client, path, NULL, &page, fault) != 0 ||
        json_read(page, "the server's answer: ", fields, ARRAY_LEN(fields), false, FAULT_INTERNAL,
                  fault) != 0)
        return -1;
    if (json_array_extend(items, found) != 0)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    const char *next = json_string_value(json_object_get(page, "next"));
    free(*ret_next);
    *ret_next = next == NULL ? NULL : strdup(next);
    return 0;
}

static int page_path(const struct buf *path, const char *after, int64_t limit, struct buf *ret_path,
                     struct fault *fault)
{
    buf_append(ret_path, path->data, path->len);
    if (limit > 0) {
        query_add_number(ret_path, "limit", limit < CLIENT_PAGE_MAX ? limit : CLIENT_PAGE_MAX);
        query_add(ret_path, "after", after);
    }
    if (buf_failed(path) || buf_failed(ret_path))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "the filters are too long");
    return 0;
}

int client_list(struct client *client, const struct args *args, const struct buf *path,
                int64_t limit, const struct column *columns, size_t column_count,
                struct fault *fault)
{
    const char *after = args_value(args, "after");
    AUTO_FREE char *next = after == NULL ? NULL : strdup(after);
    AUTO_JSON json_t *items = json_array();
    int pages = 0;
    if (args_number(args, "limit", 1, CLIENT_LIST_MAX, &limit, fault) != 0)
        return -1;
    do {
        AUTO_BUF struct buf page = BUF(QUERY_PATH_MAX);
        int64_t left = limit == 0 ? 0 : limit - (int64_t)json_array_size(items);
        if (page_path(path, next, left, &page, fault) != 0 ||
            fetch_page(client, buf_text(&page), items, &next, fault) != 0)
            return -1;
    } while (next != NULL && (int64_t)json_array_size(items) < limit && ++pages < PAGES_MAX);
    return output_items(&client->output, columns, column_count, items, next, fault);
}

int client_member(const json_t *object, const char *name, const char **ret_text,
                  struct fault *fault)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (text == NULL)
        return fault_set(fault, FAULT_INTERNAL, "the server's answer: %s: expected a string", name);
    *ret_text = text;
    return 0;
}

static int read_stdin(struct buf *buf, struct fault *fault)
{
    for (;;) {
        char chunk[65536];
        ssize_t n = read(STDIN_FILENO, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(fault, "cannot read stdin");
        if (n == 0)
            return 0;
        buf_append(buf, chunk, (size_t)n);
        if (buf_failed(buf))
            return fault_set(fault, FAULT_TOO_LARGE, "stdin: more than %zu bytes", buf->max);
    }
}

/* A file that is not there is a word on the command line that is wrong. */
static int read_failed(const struct fault *cause, struct fault *fault)
{
    return fault_set(fault, cause->code == FAULT_NOT_FOUND ? FAULT_MALFORMED_REQUEST : cause->code,
                     "%s", cause->detail);
}

int client_read(const char *path, struct buf *buf, struct fault *fault)
{
    if (strcmp(path, "-") == 0)
        return read_stdin(buf, fault);
    struct fault cause = {0};
    return file_read(path, buf, &cause) == 0 ? 0 : read_failed(&cause, fault);
}

int client_read_secret(const char *path, struct buf *buf, struct fault *fault)
{
    struct fault cause = {0};
    return file_read_secret(path, buf, &cause) == 0 ? 0 : read_failed(&cause, fault);
}

int client_digest(const char *text, struct digest *ret_digest, struct fault *fault)
{
    if (digest_parse_any(text, strlen(text), ret_digest) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "%.80s: expected a digest, sha256:<64 lower-case hex>", text);
    return 0;
}
