/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/event.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"

#include <string.h>

#define SOURCE_PREFIX "urn:sallyport:"

static const char *const type_names[EVENT_TYPE_COUNT] = {
#define TYPE_NAME(type, wire) [type] = EVENT_TYPE_PREFIX wire,
    EVENT_TYPES(TYPE_NAME)
#undef TYPE_NAME
};

const char *event_type_name(enum event_type type)
{
    return (unsigned)type < EVENT_TYPE_COUNT ? type_names[type] : "";
}

int event_type_parse(const char *name, size_t len, enum event_type *ret_type)
{
    for (unsigned type = 0; type < EVENT_TYPE_COUNT; type++)
        if (strlen(type_names[type]) == len && memcmp(type_names[type], name, len) == 0) {
            *ret_type = (enum event_type)type;
            return 0;
        }
    return -1;
}

/* 1 to max bytes of UTF-8 without control characters. */
static bool line_valid(const char *text, size_t max)
{
    size_t len = text == NULL ? 0 : strnlen(text, max + 1);
    return len >= 1 && len <= max && utf8_valid(text, len) && !text_has_control(text, len);
}

/* W3C Trace Context level 1: 00-<32 hex>-<16 hex>-<2 hex>. */
static bool traceparent_valid(const char *text)
{
    if (strnlen(text, EVENT_TRACEPARENT_LEN + 1) != EVENT_TRACEPARENT_LEN ||
        strncmp(text, "00-", 3) != 0)
        return false;
    for (size_t i = 3; i < EVENT_TRACEPARENT_LEN; i++) {
        bool dash = i == 35 || i == 52;
        if (dash ? text[i] != '-' : strchr("0123456789abcdef", text[i]) == NULL)
            return false;
    }
    return true;
}

static int head_check(const struct event_head *head, struct fault *fault)
{
    const char *wrong = NULL;
    if ((unsigned)head->type >= EVENT_TYPE_COUNT)
        wrong = "type";
    else if (head->node == NULL || !text_in_set(head->node, strnlen(head->node, EVENT_NODE_MAX + 1),
                                                1, EVENT_NODE_MAX, TEXT_TOKEN))
        wrong = "source";
    else if (!line_valid(head->subject, EVENT_SUBJECT_MAX))
        wrong = "subject";
    else if (head->tenant_id != NULL && !line_valid(head->tenant_id, EVENT_TENANT_MAX))
        wrong = "tenantid";
    else if (head->traceparent != NULL && !traceparent_valid(head->traceparent))
        wrong = "traceparent";
    if (wrong != NULL)
        return fault_set(fault, FAULT_INTERNAL, "event: %s is out of its bounds", wrong);
    return 0;
}

static bool set_text(json_t *envelope, const char *name, const char *text)
{
    return json_object_set_new(envelope, name, json_string(text)) == 0;
}

/* All members but data. NULL without memory. */
static json_t *envelope_make(const struct event_head *head)
{
    AUTO_JSON json_t *envelope = json_object();
    char source[sizeof SOURCE_PREFIX + EVENT_NODE_MAX];
    (void)snprintf(source, sizeof source, SOURCE_PREFIX "%s", head->node);
    bool good = envelope != NULL && set_text(envelope, "specversion", "1.0") &&
                set_text(envelope, "id", uuid_format(&head->id).text) &&
                set_text(envelope, "source", source) &&
                set_text(envelope, "type", event_type_name(head->type)) &&
                set_text(envelope, "subject", head->subject) &&
                set_text(envelope, "time", time_format(head->time_ms).text) &&
                set_text(envelope, "datacontenttype", "application/json");
    if (head->tenant_id != NULL)
        good = good && set_text(envelope, "tenantid", head->tenant_id);
    if (head->execution_id != NULL)
        good = good && set_text(envelope, "executionid", uuid_format(head->execution_id).text);
    if (head->traceparent != NULL)
        good = good && set_text(envelope, "traceparent", head->traceparent);
    return good ? TAKE(envelope) : NULL;
}

/* The whole document; data is written as it is, not copied into the envelope. */
static int event_write(const struct event_head *head, const json_t *data, struct buf *ret_bytes,
                       struct fault *fault)
{
    AUTO_JSON json_t *envelope = envelope_make(head);
    if (envelope == NULL)
        return fault_set(fault, FAULT_INTERNAL, "event: no memory");
    json_append(ret_bytes, envelope);
    if (!buf_failed(ret_bytes))
        ret_bytes->len--; /* open the envelope's brace again */
    buf_puts(ret_bytes, ",\"data\":");
    json_append(ret_bytes, data);
    buf_puts(ret_bytes, "}");
    if (buf_failed(ret_bytes))
        return fault_set(fault, FAULT_TOO_LARGE, "event: larger than %zu bytes", EVENT_MAX);
    return 0;
}

static char *copy_text(const char *text)
{
    return text == NULL ? NULL : strdup(text);
}

int event_build(const struct event_head *head, const json_t *data, struct event **ret_event,
                struct fault *fault)
{
    if (head_check(head, fault) != 0)
        return -1;
    if (!json_is_object(data))
        return fault_set(fault, FAULT_INTERNAL, "event: data is not an object");
    AUTO_BUF struct buf bytes = BUF(EVENT_MAX);
    if (event_write(head, data, &bytes, fault) != 0)
        return -1;
    AUTO_EVENT struct event *event = calloc(1, sizeof *event);
    if (event == NULL)
        return fault_set(fault, FAULT_INTERNAL, "event: no memory");
    event->id = head->id;
    event->type = head->type;
    event->time_ms = head->time_ms;
    event->hash = digest_of_span(buf_span(&bytes));
    event->bytes = buf_take(&bytes, &event->len);
    event->subject = copy_text(head->subject);
    event->tenant_id = copy_text(head->tenant_id);
    if (head->execution_id != NULL) {
        event->has_execution_id = true;
        event->execution_id = *head->execution_id;
    }
    if (event->bytes == NULL || event->subject == NULL ||
        (head->tenant_id != NULL && event->tenant_id == NULL))
        return fault_set(fault, FAULT_INTERNAL, "event: no memory");
    *ret_event = TAKE(event);
    return 0;
}

void event_free(struct event *event)
{
    if (event == NULL)
        return;
    free(event->bytes);
    free(event->subject);
    free(event->tenant_id);
    free(event);
}

void event_cleanup(struct event **event)
{
    event_free(*event);
}
