/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of a test's own, files in it, and what is said of faults. */
#pragma once

#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[64];

/* A path below the folder, in one of a few static places. */
static inline const char *below(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/sallyport-file.XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static inline int teardown(void **state)
{
    (void)state;
    return dir_remove(folder, NULL);
}

static inline void assert_fault(int status, const struct fault *fault, enum fault_code code,
                                const char *words)
{
    assert_int_equal(status, -1);
    assert_string_equal(fault_name(fault->code), fault_name(code));
    if (strstr(fault->detail, words) == NULL)
        fail_msg("'%s' has no '%s'", fault->detail, words);
}

static inline void assert_ok(int status, const struct fault *fault)
{
    if (status != 0)
        fail_msg("%s", fault->detail);
}

static inline const char *write_file(const char *name, const void *data, size_t len, mode_t mode)
{
    const char *path = below(name);
    (void)unlink(path); /* the one before may not be writable */
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
    return path;
}

static inline size_t entries_of(const char *path)
{
    size_t count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count - 2;
}

#define TEST_IN_FOLDER(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
