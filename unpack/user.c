/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/user.h"

#include "base/text.h"

#include <string.h>

#define FILE_MAX (1u << 20)
#define NAME_MAX_BYTES 255
#define DIGITS "0123456789"

/* A line of passwd(5) or group(5), cut at its colons. */
struct row {
    const char *fields[4];
    size_t lengths[4];
    size_t count;
};

static int64_t number(const char *text, size_t len)
{
    if (!text_in_set(text, len, 1, 10, DIGITS))
        return -1;
    long long value = strtoll(text, NULL, 10);
    return value <= USER_ID_MAX ? value : -1;
}

static struct row cut(const char *line, size_t len)
{
    struct row row = {0};
    for (const char *at = line, *end = line + len; row.count < ARRAY_LEN(row.fields); at++) {
        const char *colon = memchr(at, ':', (size_t)(end - at));
        row.fields[row.count] = at;
        row.lengths[row.count++] = (size_t)((colon == NULL ? end : colon) - at);
        if (colon == NULL)
            break;
        at = colon;
    }
    return row;
}

/* The first line whose field `which` is the text; false if there is none. */
static bool find(const struct buf *file, size_t which, const char *text, size_t len,
                 struct row *ret_row)
{
    for (const char *at = buf_text(file), *end = at + file->len; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline == NULL ? end : newline;
        struct row row = cut(at, (size_t)(stop - at));
        if (row.count > which && row.lengths[which] == len &&
            memcmp(row.fields[which], text, len) == 0) {
            *ret_row = row;
            return true;
        }
        at = stop + 1;
    }
    return false;
}

/* No such file is an empty one. */
static int load(const struct place *place, const char *path, struct buf *buf, struct fault *fault)
{
    struct fault why;
    if (place_read(place, path, buf, &why) == 0 || why.code == FAULT_NOT_FOUND)
        return 0;
    return fault_set(fault, why.code, "%.200s", why.detail);
}

static int unknown(const char *what, struct fault *fault)
{
    return fault_set(fault, FAULT_ARTIFACT_INVALID,
                     "config.User: no such %s in the image, or its number is not usable", what);
}

/* A number stands for itself; its group is that of its line, where it has one. */
static int resolve_user(const struct place *place, const char *text, size_t len, int64_t *ret_uid,
                        int64_t *ret_gid, struct fault *fault)
{
    AUTO_BUF struct buf file = BUF(FILE_MAX);
    struct row row;
    bool numeric = text_in_set(text, len, 1, NAME_MAX_BYTES, DIGITS);
    if (load(place, "etc/passwd", &file, fault) != 0)
        return -1;
    bool found = find(&file, numeric ? 2 : 0, text, len, &row) && row.count == 4;
    if (!found && !numeric)
        return unknown("user", fault);
    int64_t uid = numeric ? number(text, len) : number(row.fields[2], row.lengths[2]);
    int64_t gid = found ? number(row.fields[3], row.lengths[3]) : 0;
    if (uid < 0 || gid < 0)
        return unknown("user", fault);
    *ret_uid = uid;
    *ret_gid = gid;
    return 0;
}

static int resolve_group(const struct place *place, const char *text, size_t len, int64_t *ret_gid,
                         struct fault *fault)
{
    AUTO_BUF struct buf file = BUF(FILE_MAX);
    struct row row;
    int64_t gid = number(text, len);
    if (!text_in_set(text, len, 1, NAME_MAX_BYTES, DIGITS)) {
        if (load(place, "etc/group", &file, fault) != 0)
            return -1;
        if (find(&file, 0, text, len, &row) && row.count >= 3)
            gid = number(row.fields[2], row.lengths[2]);
    }
    if (gid < 0)
        return unknown("group", fault);
    *ret_gid = gid;
    return 0;
}

int user_resolve(const struct place *place, const char *text, int64_t *ret_uid, int64_t *ret_gid,
                 struct fault *fault)
{
    int64_t uid = 0, gid = 0;
    size_t user = strcspn(text, ":");
    const char *group = text[user] == ':' ? text + user + 1 : NULL;
    if (strlen(text) > 2 * NAME_MAX_BYTES || (user == 0 && group != NULL))
        return unknown("user", fault);
    if (user > 0 && resolve_user(place, text, user, &uid, &gid, fault) != 0)
        return -1;
    if (group != NULL && resolve_group(place, group, strlen(group), &gid, fault) != 0)
        return -1;
    *ret_uid = uid;
    *ret_gid = uid == 0 ? 0 : gid;
    return 0;
}
