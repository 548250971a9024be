/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/media.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define LINK_MAX_BYTES 4096

bool media_type_is(const struct request *request, const char *type)
{
    const char *header = request_header(request, "Content-Type");
    size_t len = strlen(type);
    if (header == NULL || strncasecmp(header, type, len) != 0)
        return false;
    header += len;
    while (*header == ' ' || *header == '\t')
        header++;
    return *header == '\0' || *header == ';';
}

bool media_accepts(const struct request *request, const char *type)
{
    const char *accept = request_header(request, "Accept");
    return accept != NULL && strcasestr(accept, type) != NULL;
}

bool media_has_etag(const struct request *request, const char *etag)
{
    const char *at = request_header(request, "If-None-Match");
    size_t len = strlen(etag);
    while (at != NULL && *at != '\0') {
        at += strspn(at, " \t,");
        if (strncmp(at, "W/", 2) == 0)
            at += 2;
        size_t quoted = *at == '"' ? strcspn(at + 1, "\"") + 2 : strcspn(at, ",");
        if (quoted > strlen(at))
            return false; /* its quote does not end */
        if ((quoted == len && memcmp(at, etag, len) == 0) ||
            (at[0] == '*' && strspn(at + 1, " \t,") == strlen(at + 1)))
            return true;
        at += quoted;
    }
    return false;
}

int body_object(const struct request *request, json_t **ret_object, struct fault *fault)
{
    if (!media_type_is(request, "application/json"))
        return fault_set(fault, FAULT_UNSUPPORTED_MEDIA_TYPE,
                         "Content-Type: expected application/json");
    return json_object_parse(request_body(request), FAULT_MALFORMED_REQUEST, "body", ret_object,
                             fault);
}

int path_uuid(const struct request *request, struct uuid *ret_id, struct fault *fault)
{
    const char *text = request_path_value(request, "id");
    if (text == NULL || uuid_parse(text, strlen(text), ret_id) != 0)
        return fault_set(fault, FAULT_NOT_FOUND, "id: no such thing; ids are lower-case UUIDs");
    return 0;
}

int path_digest(const struct request *request, struct digest *ret_digest, struct fault *fault)
{
    const char *text = request_path_value(request, "sha256");
    if (text == NULL || digest_parse_any(text, strlen(text), ret_digest) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "sha256: expected 64 lower-case hex digits, with or without sha256:");
    return 0;
}

static int read_int(const char *text, const char *name, int64_t min, int64_t max, int64_t fallback,
                    int64_t *ret_value, struct fault *fault)
{
    if (text == NULL) {
        *ret_value = fallback;
        return 0;
    }
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool plain = text[0] >= '0' && text[0] <= '9' && (text[0] != '0' || text[1] == '\0');
    if (!plain || *end != '\0' || errno != 0 || value < min || value > max)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "%s: expected an integer of %" PRId64 " to %" PRId64, name, min, max);
    *ret_value = value;
    return 0;
}

int query_int(const struct request *request, const char *name, int64_t min, int64_t max,
              int64_t fallback, int64_t *ret_value, struct fault *fault)
{
    return read_int(request_query(request, name, 0), name, min, max, fallback, ret_value, fault);
}

int header_int(const struct request *request, const char *name, int64_t min, int64_t max,
               int64_t fallback, int64_t *ret_value, struct fault *fault)
{
    return read_int(request_header(request, name), name, min, max, fallback, ret_value, fault);
}

int query_time(const struct request *request, const char *name, int64_t *ret_ms,
               struct fault *fault)
{
    const char *text = request_query(request, name, 0);
    int64_t ms = INT64_MIN;
    if (text != NULL && time_parse(text, strlen(text), &ms) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s: expected an RFC 3339 date-time",
                         name);
    *ret_ms = ms;
    return 0;
}

/* RFC 3986: all but unreserved characters as %XX. */
static void append_escaped(struct buf *buf, const char *text)
{
    for (; *text != '\0'; text++) {
        if (text_in_set(text, 1, 1, 1, TEXT_ALNUM "-._~"))
            buf_append(buf, text, 1);
        else
            buf_printf(buf, "%%%02X", (unsigned char)*text);
    }
}

void reply_link_next(struct request *request, const char *after)
{
    AUTO_BUF struct buf link = BUF(LINK_MAX_BYTES);
    const char *name, *value;
    buf_puts(&link, "<?after=");
    append_escaped(&link, after);
    for (size_t i = 0; (name = request_query_name(request, i, &value)) != NULL; i++) {
        if (strcmp(name, "after") == 0)
            continue;
        buf_puts(&link, "&");
        append_escaped(&link, name);
        buf_puts(&link, "=");
        append_escaped(&link, value);
    }
    buf_puts(&link, ">; rel=\"next\"");
    if (!buf_failed(&link)) /* the body has the cursor as well */
        reply_header(request, "Link", buf_text(&link));
}

enum answer reply_page(struct request *request, json_t *items, const char *next)
{
    if (next != NULL)
        reply_link_next(request, next);
    return reply_json(request, 200, json_pack("{s:o, s:s?}", "items", items, "next", next));
}
