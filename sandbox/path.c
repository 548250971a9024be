/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/path.h"

char *path_join(const char *folder, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}
