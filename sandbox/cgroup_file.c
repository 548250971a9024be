/* SPDX-License-Identifier: Apache-2.0 */
/* Control files of a group: short texts, written and read at one go. */
#include "sandbox/cgroup_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int cgroup_write(int folder, const char *file, const char *text, struct fault *fault)
{
    AUTO_CLOSE int fd = openat(folder, file, O_WRONLY | O_CLOEXEC);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len)
        return fault_errno(fault, "cannot set %s of a cgroup to %s", file, text);
    return 0;
}

int cgroup_write_number(int folder, const char *file, int64_t number, struct fault *fault)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)number);
    return cgroup_write(folder, file, text, fault);
}

FILE *cgroup_open_members(int folder)
{
    AUTO_CLOSE int fd = openat(folder, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *procs = fd < 0 ? NULL : fdopen(fd, "re");
    if (procs != NULL)
        (void)TAKE_FD(fd);
    return procs;
}

static const char *line_after(const char *text, const char *key)
{
    size_t len = strlen(key);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, len) == 0 && line[len] == ' ')
            return line + len + 1;
    }
    return NULL;
}

int64_t cgroup_read_number(int folder, const char *file, const char *key)
{
    char text[4096];
    AUTO_CLOSE int fd = openat(folder, file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return -1;
    text[n] = '\0';
    const char *at = key == NULL ? text : line_after(text, key);
    if (at == NULL)
        return -1;
    char *end;
    errno = 0;
    long long value = strtoll(at, &end, 10);
    return errno != 0 || end == at || value < 0 ? -1 : value;
}
