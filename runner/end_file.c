/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/end_file.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <string.h>

#define MAGIC "sallyport-end 01"
#define MAGIC_LEN (sizeof MAGIC - 1)
#define NULL_LEN UINT32_MAX

#define REASON_MAX 1024 /* what the history's CHECKs allow */
#define USAGE_MAX 4096
#define WORKER_MAX (EVENT_NODE_MAX + 1 + UUID_TEXT_LEN)

/* ---- writing ---- */

static void put_bytes(struct buf *buf, struct span bytes)
{
    uint32_t len = htonl((uint32_t)bytes.len);
    if (bytes.len >= NULL_LEN) {
        buf->failed = true;
        return;
    }
    buf_append(buf, &len, sizeof len);
    buf_append(buf, bytes.data, bytes.len);
}

static void put_text(struct buf *buf, const char *text)
{
    const uint32_t null = NULL_LEN;
    if (text == NULL)
        buf_append(buf, &null, sizeof null);
    else
        put_bytes(buf, span_of(text, strlen(text) + 1));
}

static void put_number(struct buf *buf, int64_t number)
{
    uint8_t wire[8];
    for (int i = 0; i < 8; i++)
        wire[i] = (uint8_t)((uint64_t)number >> (56 - 8 * i));
    put_bytes(buf, span_of(wire, sizeof wire));
}

static void put_uuid(struct buf *buf, const struct uuid *uuid)
{
    put_bytes(buf, span_of(uuid->bytes, sizeof uuid->bytes));
}

void end_file_write(struct buf *buf, const struct ending *ending)
{
    size_t begin = buf->len;
    buf_append(buf, MAGIC, MAGIC_LEN);
    put_uuid(buf, &ending->claim.execution_id);
    put_uuid(buf, &ending->claim.worker_id);
    put_number(buf, ending->claim.fence);
    put_text(buf, ending->tenant_id);
    put_text(buf, execution_state_name(ending->state));
    put_text(buf, ending->reason);
    put_number(buf, ending->exit_code);
    put_number(buf, ending->signal);
    put_number(buf, ending->finished_ms);
    put_text(buf, ending->worker);
    put_text(buf, ending->usage);
    put_number(buf, ending->stdout_bytes);
    put_number(buf, ending->stderr_bytes);
    put_uuid(buf, &ending->event->id);
    put_text(buf, ending->event->subject);
    put_number(buf, ending->event->time_ms);
    put_bytes(buf, span_of(ending->event->bytes, ending->event->len));
    put_bytes(buf, ending->stdout_stored);
    put_bytes(buf, ending->stderr_stored);
    if (buf_failed(buf))
        return;
    struct digest digest = digest_of(buf->data + begin, buf->len - begin);
    buf_append(buf, digest.bytes, DIGEST_LEN);
}

/* ---- reading ---- */

/* What is left of a file; `wrong` names the first field that was not as it should be, and from then
 * on nothing is read. */
struct reader {
    const uint8_t *at;
    size_t left;
    const char *wrong;
};

/* The next field's bytes, data NULL for a null; "" at the first wrong one and after it. */
static struct span take(struct reader *reader, const char *name, size_t min, size_t max, bool null)
{
    static const struct span nothing = {(const uint8_t *)"", 0};
    uint32_t wire;
    if (reader->wrong != NULL)
        return nothing;
    if (reader->left >= sizeof wire) {
        memcpy(&wire, reader->at, sizeof wire);
        size_t len = ntohl(wire);
        size_t room = reader->left - sizeof wire;
        bool is_null = len == NULL_LEN && null;
        if (is_null)
            len = 0;
        if (is_null || (len >= min && len <= max && len <= room)) {
            struct span field = {is_null ? NULL : reader->at + sizeof wire, len};
            reader->at += sizeof wire + len;
            reader->left = room - len;
            return field;
        }
    }
    reader->wrong = name;
    return nothing;
}

static const char *take_text(struct reader *reader, const char *name, size_t max, bool null)
{
    struct span field = take(reader, name, 1, max + 1, null);
    if (reader->wrong != NULL)
        return "";
    if (field.data == NULL)
        return NULL;
    if (memchr(field.data, '\0', field.len) != field.data + field.len - 1 ||
        !utf8_valid(field.data, field.len - 1)) {
        reader->wrong = name;
        return "";
    }
    return (const char *)field.data;
}

static int64_t take_number(struct reader *reader, const char *name, int64_t min, int64_t max)
{
    struct span field = take(reader, name, 8, 8, false);
    uint64_t bits = 0;
    for (size_t i = 0; i < field.len; i++)
        bits = bits << 8 | field.data[i];
    int64_t number;
    memcpy(&number, &bits, sizeof number);
    if (reader->wrong == NULL && number >= min && number <= max)
        return number;
    if (reader->wrong == NULL)
        reader->wrong = name;
    return min;
}

static struct uuid take_uuid(struct reader *reader, const char *name)
{
    struct uuid uuid = {{0}};
    struct span field = take(reader, name, sizeof uuid.bytes, sizeof uuid.bytes, false);
    memcpy(uuid.bytes, field.data, field.len);
    return uuid;
}

/* A worker's own end: never `lost`, which others say of it. */
static enum execution_state take_state(struct reader *reader)
{
    enum execution_state state = EXECUTION_FAILED;
    const char *name = take_text(reader, "state", 32, false);
    if (reader->wrong == NULL && (execution_state_parse(name, strlen(name), &state) != 0 ||
                                  !execution_state_is_end(state) || state == EXECUTION_LOST))
        reader->wrong = "state";
    return state;
}

static struct ending take_ending(struct reader *reader)
{
    struct ending ending = {0};
    ending.claim.execution_id = take_uuid(reader, "execution_id");
    ending.claim.worker_id = take_uuid(reader, "worker_id");
    ending.claim.fence = take_number(reader, "fence", 0, INT64_MAX);
    ending.tenant_id = take_text(reader, "tenant_id", EVENT_TENANT_MAX, false);
    ending.state = take_state(reader);
    ending.reason = take_text(reader, "reason", REASON_MAX, true);
    ending.exit_code = (int)take_number(reader, "exit_code", -1, 255);
    ending.signal = (int)take_number(reader, "signal", 0, 255);
    ending.finished_ms = take_number(reader, "finished_ms", 0, INT64_MAX / 1000000);
    ending.worker = take_text(reader, "worker", WORKER_MAX, true);
    ending.usage = take_text(reader, "usage", USAGE_MAX, true);
    ending.stdout_bytes = take_number(reader, "stdout_bytes", 0, INT64_MAX);
    ending.stderr_bytes = take_number(reader, "stderr_bytes", 0, INT64_MAX);
    return ending;
}

/* Its subject and bytes are borrowed, and only read by whoever stores it. */
static struct event take_event(struct reader *reader, const struct ending *ending)
{
    struct event event = {.type = EVENT_EXECUTION_FINISHED,
                          .has_execution_id = true,
                          .execution_id = ending->claim.execution_id};
    union {
        const void *borrowed;
        char *text;
    } subject, bytes, tenant;
    event.id = take_uuid(reader, "event_id");
    subject.borrowed = take_text(reader, "subject", EVENT_SUBJECT_MAX, false);
    event.time_ms = take_number(reader, "time", 0, INT64_MAX / 1000000);
    struct span body = take(reader, "event", 2, EVENT_MAX, false);
    bytes.borrowed = body.data;
    tenant.borrowed = ending->tenant_id;
    event.subject = subject.text;
    event.bytes = bytes.text;
    event.tenant_id = tenant.text;
    event.len = body.len;
    event.hash = digest_of_span(body);
    return event;
}

static int refuse(struct fault *fault, const char *what)
{
    return fault_set(fault, FAULT_CONTENT_MISMATCH, "a kept end: %s is not as it was written",
                     what);
}

int end_file_read(struct span file, struct end_file *ret_file, struct fault *fault)
{
    if (file.len < MAGIC_LEN + DIGEST_LEN || file.len > END_FILE_MAX)
        return refuse(fault, "its length");
    if (memcmp(file.data, MAGIC, MAGIC_LEN) != 0)
        return refuse(fault, "its version");
    struct span covered = span_of(file.data, file.len - DIGEST_LEN);
    struct digest is = digest_of_span(covered), said;
    memcpy(said.bytes, file.data + covered.len, DIGEST_LEN);
    if (!digest_equal(&is, &said))
        return refuse(fault, "its content");
    struct reader reader = {covered.data + MAGIC_LEN, covered.len - MAGIC_LEN, NULL};
    struct ending ending = take_ending(&reader);
    struct event event = take_event(&reader, &ending);
    ending.stdout_stored = take(&reader, "stdout", 0, END_FILE_STREAM_MAX, false);
    ending.stderr_stored = take(&reader, "stderr", 0, END_FILE_STREAM_MAX, false);
    ending.live = true; /* the file does not say: whoever stores it looks */
    if (reader.wrong != NULL)
        return refuse(fault, reader.wrong);
    if (reader.left != 0)
        return refuse(fault, "its end");
    *ret_file = (struct end_file){.ending = ending, .event = event};
    ret_file->ending.event = &ret_file->event;
    return 0;
}
