/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/whiteout.h"

#include <string.h>

#define PREFIX ".wh."
#define PREFIX_LEN (sizeof PREFIX - 1)
#define OPAQUE ".wh..wh..opq"

static int refuse(struct fault *fault, const char *path)
{
    return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.150s: not a name that a layer may use",
                     path);
}

static bool is_reserved(const char *name)
{
    return strncmp(name, PREFIX, PREFIX_LEN) == 0;
}

/* A folder of that prefix would be a whiteout with something in it. */
static bool folders_are_plain(const char *path, const char *name)
{
    for (const char *at = path; at < name; at = strchr(at, '/') + 1) {
        if (is_reserved(at))
            return false;
    }
    return true;
}

int whiteout_parse(const char *path, enum whiteout *ret_kind, char *ret_target, struct fault *fault)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    const char *hidden = name + PREFIX_LEN;
    size_t folder = (size_t)(name - path); /* with its slash */
    if (!folders_are_plain(path, name))
        return refuse(fault, path);
    if (!is_reserved(name)) {
        *ret_kind = WHITEOUT_NONE;
        memcpy(ret_target, path, strlen(path) + 1);
    } else if (strcmp(name, OPAQUE) == 0) {
        *ret_kind = WHITEOUT_ALL;
        memcpy(ret_target, path, folder);
        ret_target[folder > 0 ? folder - 1 : 0] = '\0';
    } else if (is_reserved(hidden) || *hidden == '\0' || strcmp(hidden, ".") == 0 ||
               strcmp(hidden, "..") == 0) {
        return refuse(fault, path);
    } else {
        *ret_kind = WHITEOUT_ONE;
        memcpy(ret_target, path, folder);
        memcpy(ret_target + folder, hidden, strlen(hidden) + 1);
    }
    return 0;
}
