/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/env.h"

#include "base/text.h"

#include <string.h>

#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"

bool env_name_valid(const char *name)
{
    return text_in_set(name, strlen(name), 1, ENV_NAME_MAX, UPPER "0123456789") &&
           strchr(UPPER, name[0]) != NULL;
}

bool env_name_forbidden(const char *name)
{
    return strncmp(name, "LD_", 3) == 0 || strcmp(name, "GLIBC_TUNABLES") == 0 ||
           strcmp(name, "GCONV_PATH") == 0 || strcmp(name, "PATH") == 0;
}
