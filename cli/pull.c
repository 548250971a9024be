/* SPDX-License-Identifier: Apache-2.0 */
/* armory pull: an artifact's bytes, proven to be those of the digest that was asked for. */
#include "base/file.h"
#include "cli/commands.h"
#include "cli/query.h"

#include <stdint.h>
#include <string.h>

/* Where the bytes go: a draft of the file, or stdout. */
struct pull {
    struct digest_stream *digest;
    struct file_draft draft;
    struct output *output;
    int64_t size;
};

static int take_bytes(void *context, const void *data, size_t len, struct fault *fault)
{
    struct pull *pull = context;
    digest_stream_update(pull->digest, data, len);
    pull->size += (int64_t)len;
    if (pull->draft.fd >= 0)
        return file_draft_write(&pull->draft, data, len, fault);
    return output_bytes(pull->output, span_of(data, len), fault);
}

static int fetch(struct client *client, const struct digest *wanted, struct pull *pull,
                 struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    buf_printf(&path, "/v1/armory/artifacts/%s/content", digest_format(wanted).text);
    const struct http_request request = {.method = "GET",
                                         .path = buf_text(&path),
                                         .accept = "application/octet-stream",
                                         .answer_max = SIZE_MAX,
                                         .sink = take_bytes,
                                         .sink_context = pull,
                                         .slow = true};
    if (client_call(client, &request, &answer, fault) != 0)
        return -1;
    struct digest found = digest_stream_value(pull->digest);
    if (digest_equal(&found, wanted))
        return 0;
    return fault_set(fault, FAULT_CONTENT_MISMATCH, "what came is %s, not what was asked for",
                     digest_format(&found).text);
}

static int report(struct client *client, const struct digest *digest, const char *file,
                  int64_t size, struct fault *fault)
{
    static const struct column columns[] = {{"sha256", "sha256", COLUMN_TEXT},
                                            {"file", "file", COLUMN_TEXT},
                                            {"size", "size", COLUMN_TEXT}};
    AUTO_JSON json_t *pulled = json_pack("{s:s, s:s, s:I}", "sha256", digest_format(digest).text,
                                         "file", file, "size", (json_int_t)size);
    if (pulled == NULL)
        return fault_set(fault, FAULT_INTERNAL, "%s: not a name that JSON can hold", file);
    return output_record(&client->output, columns, ARRAY_LEN(columns), pulled, fault);
}

static int pull_into(struct client *client, const struct digest *wanted, const char *file,
                     struct pull *pull, struct fault *fault)
{
    if (file == NULL) {
        if (isatty(STDOUT_FILENO) == 1)
            return fault_set(fault, FAULT_MALFORMED_REQUEST,
                             "these bytes are not for a terminal: name a file with --out");
        return fetch(client, wanted, pull, fault);
    }
    if (file_draft_open(file, &pull->draft, fault) != 0 ||
        fetch(client, wanted, pull, fault) != 0 ||
        file_draft_settle(&pull->draft, file, 0644, fault) != 0)
        return -1;
    return report(client, wanted, file, pull->size, fault);
}

int armory_pull(struct client *client, const struct args *args, struct fault *fault)
{
    struct digest wanted;
    struct pull pull = {.draft = {.fd = -1}, .output = &client->output};
    if (client_digest(args->operands[0], &wanted, fault) != 0)
        return -1;
    pull.digest = digest_stream_new();
    int result = pull.digest == NULL
                     ? fault_set(fault, FAULT_INTERNAL, "out of memory")
                     : pull_into(client, &wanted, args_value(args, "out"), &pull, fault);
    file_draft_drop(&pull.draft);
    digest_stream_free(pull.digest);
    return result;
}
