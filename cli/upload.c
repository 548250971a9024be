/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/upload.h"

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/query.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* An input with less time left is sent again, which renews it. */
#define RENEW_BELOW_MS ((int64_t)24 * 3600 * 1000)

static int open_file(const char *file, int *ret_fd, int64_t *ret_size, struct fault *fault)
{
    struct stat stat;
    AUTO_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s: no such file", file);
    if (fd < 0 || fstat(fd, &stat) != 0)
        return fault_errno(fault, "cannot open %s", file);
    if (!S_ISREG(stat.st_mode))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s: not a regular file", file);
    *ret_size = stat.st_size;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int upload_file(struct client *client, const char *method, const char *path, const char *file,
                struct digest *ret_digest, json_t **ret_object, struct fault *fault)
{
    AUTO_CLOSE int fd = -1;
    struct http_request request = {.method = method,
                                   .path = path,
                                   .content_type = "application/octet-stream",
                                   .upload = true,
                                   .ret_upload_digest = ret_digest,
                                   .slow = true};
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    if (open_file(file, &fd, &request.upload_size, fault) != 0)
        return -1;
    request.upload_fd = fd;
    if (client_call(client, &request, &answer, fault) != 0)
        return -1;
    return client_parse(&answer, ret_object, fault);
}

int upload_digest(const char *file, struct digest *ret_digest, struct fault *fault)
{
    AUTO_CLOSE int fd = -1;
    AUTO_DIGEST_STREAM struct digest_stream *stream = digest_stream_new();
    AUTO_FREE char *chunk = malloc((size_t)256 * 1024);
    int64_t size = 0;
    if (stream == NULL || chunk == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (open_file(file, &fd, &size, fault) != 0)
        return -1;
    ssize_t n;
    while ((n = read(fd, chunk, (size_t)256 * 1024)) > 0)
        digest_stream_update(stream, chunk, (size_t)n);
    if (n < 0)
        return fault_errno(fault, "cannot read %s", file);
    *ret_digest = digest_stream_value(stream);
    return 0;
}

/* What is there now. */
struct held {
    bool lasts;          /* it is there, and not about to expire */
    char expires_at[40]; /* "" for never */
};

static int ask_for_input(struct client *client, const char *path, struct held *ret_held,
                         struct fault *fault)
{
    struct http_request request = {.method = "HEAD", .path = path};
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    struct fault cause = {0};
    struct held held = {0};
    int64_t expires_ms = INT64_MAX;
    if (client_call(client, &request, &answer, &cause) != 0) {
        if (cause.code != FAULT_NOT_FOUND)
            return fault_set(fault, cause.code, "%s", cause.detail);
        *ret_held = held;
        return 0;
    }
    (void)snprintf(held.expires_at, sizeof held.expires_at, "%s", answer.expires_at);
    if (held.expires_at[0] != '\0' &&
        time_parse(held.expires_at, strlen(held.expires_at), &expires_ms) != 0)
        return fault_set(fault, FAULT_INTERNAL,
                         "the server's answer: Sallyport-Expires-At: expected a time");
    held.lasts = expires_ms - clock_wall_ms() > RENEW_BELOW_MS;
    *ret_held = held;
    return 0;
}

static json_t *held_json(const struct digest *digest, const char *file, const struct held *held)
{
    struct stat stat;
    int64_t size = lstat(file, &stat) == 0 ? stat.st_size : 0;
    json_t *expires_at = held->expires_at[0] == '\0' ? json_null() : json_string(held->expires_at);
    return json_pack("{s:s, s:I, s:o}", "sha256", digest_format(digest).text, "size",
                     (json_int_t)size, "expires_at", expires_at);
}

int upload_input(struct client *client, const char *file, struct digest *ret_digest,
                 json_t **ret_object, struct fault *fault)
{
    struct digest digest, sent;
    struct held held;
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    AUTO_JSON json_t *object = NULL;
    if (upload_digest(file, &digest, fault) != 0)
        return -1;
    buf_printf(&path, "/v1/inputs/%s", digest_format(&digest).text);
    if (ask_for_input(client, buf_text(&path), &held, fault) != 0)
        return -1;
    if (held.lasts)
        object = held_json(&digest, file, &held);
    else if (upload_file(client, "PUT", buf_text(&path), file, &sent, &object, fault) != 0)
        return -1;
    else if (!digest_equal(&sent, &digest))
        return fault_set(fault, FAULT_CONTENT_MISMATCH, "%s changed while it was sent", file);
    *ret_digest = digest;
    if (ret_object != NULL)
        *ret_object = TAKE(object);
    return 0;
}

int input_push(struct client *client, const struct args *args, struct fault *fault)
{
    AUTO_JSON json_t *items = json_array();
    static const struct column columns[] = {{"SHA256", "sha256", COLUMN_TEXT},
                                            {"SIZE", "size", COLUMN_TEXT},
                                            {"EXPIRES", "expires_at", COLUMN_TEXT},
                                            {"FILE", "file", COLUMN_TEXT}};
    for (size_t i = 0; i < args->operand_count; i++) {
        struct digest digest;
        json_t *object = NULL;
        if (upload_input(client, args->operands[i], &digest, &object, fault) != 0)
            return -1;
        if (json_object_set_new(object, "file", json_string(args->operands[i])) != 0 ||
            json_array_append_new(items, object) != 0)
            return fault_set(fault, FAULT_INTERNAL, "%s: not a name that JSON can hold",
                             args->operands[i]);
    }
    return output_items(&client->output, columns, ARRAY_LEN(columns), items, NULL, fault);
}
