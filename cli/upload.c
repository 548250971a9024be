/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/upload.h"

#include "cli/commands.h"
#include "cli/query.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

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

static int input_path(const struct digest *digest, struct buf *path)
{
    buf_printf(path, "/v1/inputs/%s", digest_format(digest).text);
    return 0;
}

/* 1: it is there, 0: it is not. */
static int input_is_there(struct client *client, const char *path, struct fault *fault)
{
    struct http_request request = {.method = "HEAD", .path = path};
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    struct fault cause = {0};
    if (client_call(client, &request, &answer, &cause) == 0)
        return 1;
    if (cause.code == FAULT_NOT_FOUND)
        return 0;
    return fault_set(fault, cause.code, "%s", cause.detail);
}

int upload_input(struct client *client, const char *file, struct digest *ret_digest,
                 json_t **ret_object, struct fault *fault)
{
    struct digest digest, sent;
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    AUTO_JSON json_t *object = NULL;
    if (upload_digest(file, &digest, fault) != 0 || input_path(&digest, &path) != 0)
        return -1;
    int there = input_is_there(client, buf_text(&path), fault);
    if (there < 0)
        return -1;
    if (there == 0) {
        if (upload_file(client, "PUT", buf_text(&path), file, &sent, &object, fault) != 0)
            return -1;
        if (!digest_equal(&sent, &digest))
            return fault_set(fault, FAULT_CONTENT_MISMATCH, "%s changed while it was sent", file);
    } else {
        struct stat stat;
        int64_t size = lstat(file, &stat) == 0 ? stat.st_size : 0;
        object = json_pack("{s:s, s:I, s:n}", "sha256", digest_format(&digest).text, "size",
                           (json_int_t)size, "expires_at");
    }
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
