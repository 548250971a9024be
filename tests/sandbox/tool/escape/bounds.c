/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that take all there is of something. */
#include "escape.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1L << 20)

static long touch_all(char *bytes, long size)
{
    for (long at = 0; at < size; at += 4096)
        ((volatile char *)bytes)[at] = 1;
    return 0;
}

static long do_heap(char **words)
{
    for (long i = 0; i < number(words[0]); i++) {
        char *bytes = malloc((size_t)MIB);
        if (bytes == NULL)
            return -1;
        touch_all(bytes, MIB);
    }
    return 0;
}

static long do_map(char **words)
{
    long size = number(words[0]) * MIB;
    char *bytes = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return bytes == MAP_FAILED ? -1 : touch_all(bytes, size);
}

/* Memory that belongs to no process. */
static long do_memfd(char **words)
{
    static char bytes[MIB];
    memset(bytes, 'x', sizeof bytes);
    signal(SIGXFSZ, SIG_IGN);
    for (long i = 0, fd = -1; i < number(words[0]); i++) {
        if (i % 8 == 0)
            fd = memfd_create("x", 0);
        if (fd < 0 || write((int)fd, bytes, sizeof bytes) < 0)
            return -1;
    }
    return 0;
}

static long do_shared(char **words)
{
    for (long i = 0; i < number(words[0]); i += 16) {
        int id = shmget(IPC_PRIVATE, 16 * MIB, 0600);
        char *bytes = id < 0 ? (char *)-1 : shmat(id, NULL, 0);
        if (bytes == (char *)-1)
            return -1;
        touch_all(bytes, 16 * MIB);
    }
    return 0;
}

/* Bytes that wait in sockets nobody reads. */
static long do_sockets(char **words)
{
    static char bytes[65536];
    int pair[2];
    for (long total = 0; total < number(words[0]) * MIB;) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
            return -1;
        for (ssize_t n; (n = write(pair[0], bytes, sizeof bytes)) > 0;)
            total += n;
    }
    return 0;
}

static long do_fill(char **words)
{
    static char bytes[65536];
    signal(SIGXFSZ, SIG_IGN);
    int fd = open(words[0], O_WRONLY | O_CREAT, 0600);
    long total = 0;
    for (ssize_t n = 0; n >= 0; total += n > 0 ? n : 0) {
        n = fd < 0 ? -1 : write(fd, bytes, sizeof bytes);
    }
    printf("fill %s: %ld, then %s\n", words[0], total, refusal());
    return QUIET;
}

/* Empty files: no bytes, but memory all the same. */
static long do_inodes(char **words)
{
    char path[64];
    for (long i = 0; i < number(words[0]); i++) {
        snprintf(path, sizeof path, "/tmp/%ld", i);
        if (mkdir(path, 0700) != 0)
            return -1;
    }
    return 0;
}

/* One byte, far out: the file is long and holds nothing. */
static long do_sparse(char **words)
{
    signal(SIGXFSZ, SIG_IGN);
    int fd = open(words[0], O_WRONLY | O_CREAT, 0600);
    return fd < 0 ? -1 : pwrite(fd, "x", 1, number(words[1]) * MIB);
}

static long do_grow(char **words)
{
    signal(SIGXFSZ, SIG_IGN);
    int fd = open(words[0], O_WRONLY | O_CREAT, 0600);
    return fd < 0 ? -1 : ftruncate(fd, number(words[1]) * MIB);
}

static long do_reserve(char **words)
{
    signal(SIGXFSZ, SIG_IGN);
    int fd = open(words[0], O_WRONLY | O_CREAT, 0600);
    return fd < 0 ? -1 : fallocate(fd, 0, 0, number(words[1]) * MIB);
}

static long do_open_all(char **words)
{
    int count = 0;
    while (open(words[0], O_RDONLY) >= 0)
        count++;
    printf("open_all %s: %d, then %s\n", words[0], count, refusal());
    return QUIET;
}

static long do_pipes(char **words)
{
    (void)words;
    int ends[2], count = 0;
    while (pipe(ends) == 0)
        count++;
    printf("pipes: %d, then %s\n", count, refusal());
    return QUIET;
}

/* Children that fork as well, until none can. The first says what it saw. */
static long do_fork_bomb(char **words)
{
    (void)words;
    int born = 0;
    for (;;) {
        pid_t pid = fork();
        if (pid == 0) {
            for (;;) {
                if (fork() < 0)
                    pause();
            }
        }
        if (pid < 0)
            break;
        born++;
    }
    printf("fork_bomb: then %s\n", refusal());
    return born > 0 ? QUIET : -1;
}

static void *sit(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static long do_thread_bomb(char **words)
{
    (void)words;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_t thread;
    int count = 0;
    while ((errno = pthread_create(&thread, &small, sit, NULL)) == 0)
        count++;
    printf("thread_bomb: %d, then %s\n", count, refusal());
    return QUIET;
}

static long do_flood(char **words)
{
    static char bytes[MIB];
    memset(bytes, 'x', sizeof bytes);
    for (long left = number(words[1]) * MIB; left > 0;) {
        ssize_t n = write((int)number(words[0]), bytes, left < MIB ? (size_t)left : (size_t)MIB);
        if (n < 0)
            return -1;
        left -= n;
    }
    return QUIET;
}

/* Text cut within a character, and a byte that begins none. */
static long do_bad_text(char **words)
{
    (void)words;
    fwrite("\xe2\x98\xff\x00\xc0\x80ok\xf0\x9f", 1, 10, stdout);
    return QUIET;
}

const struct step steps_bounds[] = {
    {"heap", 1, do_heap},
    {"map", 1, do_map},
    {"memfd", 1, do_memfd},
    {"shared", 1, do_shared},
    {"sockets", 1, do_sockets},
    {"fill", 1, do_fill},
    {"inodes", 1, do_inodes},
    {"sparse", 2, do_sparse},
    {"grow", 2, do_grow},
    {"reserve", 2, do_reserve},
    {"open_all", 1, do_open_all},
    {"pipes", 0, do_pipes},
    {"fork_bomb", 0, do_fork_bomb},
    {"thread_bomb", 0, do_thread_bomb},
    {"flood", 2, do_flood},
    {"bad_text", 0, do_bad_text},
    {NULL, 0, NULL},
};
