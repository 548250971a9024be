/* SPDX-License-Identifier: Apache-2.0 */
/* Steps on files: to read what is the host's, to write where nothing may be written. */
#include "escape.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* What is in a file, on one line. */
static long do_read(char **words)
{
    char bytes[4096];
    int fd = open(words[0], O_RDONLY | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    if (n < 0)
        return -1;
    printf("read %s: ", words[0]);
    for (ssize_t i = 0; i < n; i++)
        putchar(bytes[i] == '\n' || bytes[i] == '\0' ? ' ' : bytes[i]);
    putchar('\n');
    return QUIET;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static long do_list(char **words)
{
    struct dirent **entries;
    int count = scandir(words[0], &entries, NULL, by_name);
    if (count < 0)
        return -1;
    printf("list %s:", words[0]);
    for (int i = 0; i < count; i++)
        printf(entries[i]->d_name[0] == '.' ? "" : " %s", entries[i]->d_name);
    putchar('\n');
    return QUIET;
}

/* The descriptors it was born with. */
static long do_descriptors(char **words)
{
    (void)words;
    printf("descriptors:");
    for (int fd = 0; fd < 1024; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            printf(" %d", fd);
    }
    putchar('\n');
    return QUIET;
}

static long do_write(char **words)
{
    int fd = open(words[0], O_WRONLY | O_CREAT, 0600);
    return fd < 0 ? -1 : write(fd, "x", 1);
}

/* Writes to what is there: a control file of the kernel's. */
static long do_tell(char **words)
{
    int fd = open(words[0], O_WRONLY);
    return fd < 0 ? -1 : write(fd, words[1], strlen(words[1]));
}

static long do_unlink(char **words)
{
    return unlink(words[0]);
}

static long do_rename(char **words)
{
    return rename(words[0], words[1]);
}

static long do_link(char **words)
{
    return link(words[0], words[1]);
}

static long do_symlink(char **words)
{
    return symlink(words[0], words[1]);
}

static long do_mkdir(char **words)
{
    return mkdir(words[0], 0700);
}

static long do_chmod(char **words)
{
    return chmod(words[0], 07777);
}

static long do_chown(char **words)
{
    return chown(words[0], 0, 0);
}

static long do_truncate(char **words)
{
    return truncate(words[0], 0);
}

/* The disk of the host's, by its number. */
static long do_mknod(char **words)
{
    return mknod(words[0], S_IFBLK | 0600, makedev(8, 0));
}

static long do_mknod_memory(char **words)
{
    return mknod(words[0], S_IFCHR | 0600, makedev(1, 1));
}

static long do_go(char **words)
{
    return chdir(words[0]);
}

static long do_chroot(char **words)
{
    return chroot(words[0]);
}

static long do_map_write(char **words)
{
    int fd = open(words[0], O_RDONLY);
    if (fd < 0)
        return -1;
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0;
}

/* ---- executing ---- */

static long do_execute(char **words)
{
    char *args[] = {words[0], "print", "ran", NULL};
    return execv(words[0], args);
}

static long do_execute_by(char **words)
{
    char *args[] = {words[0], words[1], "print", "ran", NULL};
    return execv(words[0], args);
}

static long do_copy(char **words)
{
    char bytes[65536];
    int from = open(words[0], O_RDONLY), to = open(words[1], O_WRONLY | O_CREAT, 0755);
    ssize_t n = -1;
    while (from >= 0 && to >= 0 && (n = read(from, bytes, sizeof bytes)) > 0) {
        if (write(to, bytes, (size_t)n) != n)
            return -1;
    }
    close(from);
    close(to);
    return n;
}

/* A program in memory that no mount's flags cover. */
static long do_execute_memory(char **words)
{
    char *args[] = {words[0], "print", "ran", NULL}, *env[] = {NULL}, bytes[65536];
    int from = open(words[0], O_RDONLY), to = memfd_create("x", 0);
    for (ssize_t n; from >= 0 && to >= 0 && (n = read(from, bytes, sizeof bytes)) > 0;) {
        if (write(to, bytes, (size_t)n) != n)
            return -1;
    }
    return fexecve(to, args, env);
}

static long do_print(char **words)
{
    puts(words[0]);
    return QUIET;
}

const struct step steps_files[] = {
    {"read", 1, do_read},
    {"list", 1, do_list},
    {"descriptors", 0, do_descriptors},
    {"write", 1, do_write},
    {"tell", 2, do_tell},
    {"unlink", 1, do_unlink},
    {"rename", 2, do_rename},
    {"link", 2, do_link},
    {"symlink", 2, do_symlink},
    {"mkdir", 1, do_mkdir},
    {"chmod", 1, do_chmod},
    {"chown", 1, do_chown},
    {"truncate", 1, do_truncate},
    {"mknod_disk", 1, do_mknod},
    {"mknod_memory", 1, do_mknod_memory},
    {"go", 1, do_go},
    {"chroot", 1, do_chroot},
    {"map_write", 1, do_map_write},
    {"execute", 1, do_execute},
    {"execute_by", 2, do_execute_by},
    {"copy", 2, do_copy},
    {"execute_memory", 1, do_execute_memory},
    {"print", 1, do_print},
    {NULL, 0, NULL},
};
