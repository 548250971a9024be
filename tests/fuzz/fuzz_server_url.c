/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request targets: split, decoded and taken apart in rooms of exactly the promised size. What
 * was decoded is clean text, and encoding it again decodes to the same.
 */
#include "server/url.h"

#include "base/text.h"

#include <string.h>

#define PARAMETERS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_text(const char *text)
{
    size_t len = strlen(text);
    check(utf8_valid(text, len) && !text_has_control(text, len));
}

static void check_decode(struct span text, bool plus_is_space)
{
    AUTO_FREE char *room = malloc(text.len + 1);
    if (room == NULL || url_decode(text, plus_is_space, "the path", room, NULL) != 0)
        return;
    check_text(room);
    size_t len = strlen(room);
    check(len <= text.len);
    AUTO_BUF struct buf encoded = BUF(3 * text.len);
    for (size_t i = 0; i < len; i++)
        buf_printf(&encoded, "%%%02x", (unsigned)(uint8_t)room[i]);
    AUTO_FREE char *again = malloc(encoded.len + 1);
    if (again == NULL)
        return;
    check(url_decode(buf_span(&encoded), plus_is_space, "the path", again, NULL) == 0);
    check(strcmp(again, room) == 0);
}

static void check_query(struct span query)
{
    struct url_parameter parameters[PARAMETERS_MAX];
    size_t count = 0;
    AUTO_FREE char *room = malloc(query.len + 2);
    if (room == NULL || url_query(query, room, parameters, PARAMETERS_MAX, &count, NULL) != 0)
        return;
    check(count <= PARAMETERS_MAX && (count > 0) == (query.len > 0));
    for (size_t i = 0; i < count; i++) {
        check_text(parameters[i].name);
        check_text(parameters[i].value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span all = span_of(data, size), path, query;
    check_decode(all, false);
    check_decode(all, true);
    check_query(all);
    if (url_split(all, &path, &query, NULL) != 0)
        return 0;
    check(path.len > 0 && path.data[0] == '/' && path.len + query.len <= size);
    check(memchr(path.data, '?', path.len) == NULL);
    check_decode(path, false);
    check_query(query);
    return 0;
}
