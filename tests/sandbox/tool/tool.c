/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tool the sandbox tests run: compiled statically by their setup, it does one thing a
 * verb and says on standard output what it saw. Exit 0 unless the verb is about its end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

extern char **environ;

static const char *errno_name(int error)
{
    static const struct {
        int error;
        const char *name;
    } names[] = {
        {EPERM, "EPERM"},
        {EACCES, "EACCES"},
        {EROFS, "EROFS"},
        {ENOSPC, "ENOSPC"},
        {EAGAIN, "EAGAIN"},
        {EMFILE, "EMFILE"},
        {ENOENT, "ENOENT"},
        {ECONNREFUSED, "ECONNREFUSED"},
        {ENETUNREACH, "ENETUNREACH"},
        {EFBIG, "EFBIG"},
        {ENOMEM, "ENOMEM"},
        {EHOSTUNREACH, "EHOSTUNREACH"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].error == error)
            return names[i].name;
    }
    return strerror(error);
}

static long number(const char *text)
{
    return strtol(text, NULL, 10);
}

static int fail(const char *what)
{
    printf("%s: %s\n", what, errno_name(errno));
    return 0;
}

static int do_exit(char **args)
{
    return (int)number(args[0]);
}

static int do_signal(char **args)
{
    raise((int)number(args[0]));
    return 0;
}

/* Both streams, with bytes of every value on standard output. */
static int do_streams(char **args)
{
    (void)args;
    for (int i = 0; i < 256; i++)
        putchar(i);
    fputs("to stderr\n", stderr);
    return 0;
}

static int do_cat(char **args)
{
    char bytes[65536];
    for (; *args != NULL; args++) {
        int fd = strcmp(*args, "-") == 0 ? 0 : open(*args, O_RDONLY);
        if (fd < 0) {
            fail(*args);
            continue;
        }
        for (ssize_t n; (n = read(fd, bytes, sizeof bytes)) > 0;)
            fwrite(bytes, 1, (size_t)n, stdout);
    }
    return 0;
}

/* Tries to make or write each path. */
static int do_write(char **args)
{
    for (; *args != NULL; args++) {
        int fd = open(*args, O_WRONLY | O_CREAT, 0600);
        if (fd < 0 || write(fd, "x", 1) != 1)
            fail(*args);
        else
            printf("%s: written\n", *args);
    }
    return 0;
}

static int do_env(char **args)
{
    (void)args;
    for (char **at = environ; *at != NULL; at++)
        puts(*at);
    return 0;
}

static int do_who(char **args)
{
    (void)args;
    struct utsname name;
    char folder[4096];
    uname(&name);
    printf("uid %d gid %d groups %d cwd %s host %s\n", (int)getuid(), (int)getgid(),
           getgroups(0, NULL), getcwd(folder, sizeof folder), name.nodename);
    return 0;
}

static int do_connect(char **args)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)number(args[1]))};
    inet_pton(AF_INET, args[0], &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return fail("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        return fail("connect");
    puts("connected");
    return 0;
}

static int do_memory(char **args)
{
    size_t size = (size_t)number(args[0]) << 20;
    volatile char *bytes = malloc(size);
    if (bytes == NULL)
        return fail("malloc");
    for (size_t i = 0; i < size; i += 4096)
        bytes[i] = 1;
    puts("touched");
    return 0;
}

static int do_spin(char **args)
{
    (void)args;
    signal(SIGTERM, SIG_IGN);
    puts("ready");
    fflush(stdout);
    for (volatile unsigned i = 0;; i++)
        ;
}

static int do_wait(char **args)
{
    (void)args;
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}

/* MiB of 'x' to standard output, or to both streams for ever with 0. */
static int do_flood(char **args)
{
    static char bytes[1 << 20];
    memset(bytes, 'x', sizeof bytes);
    long times = number(args[0]);
    for (long i = 0; times == 0 || i < times; i++) {
        for (size_t at = 0; at < sizeof bytes;) {
            ssize_t n = write(1, bytes + at, sizeof bytes - at);
            if (n < 0)
                return 1;
            at += (size_t)n;
        }
        if (times == 0 && write(2, bytes, 65536) < 0)
            return 1;
    }
    return 0;
}

/* Forks until it is refused; the children wait. With "spin" all burn time from then on. */
static int do_fork(char **args)
{
    int spin = args[0] != NULL && strcmp(args[0], "spin") == 0;
    int gate[2];
    if (pipe(gate) != 0)
        return fail("pipe");
    for (int born = 0;; born++) {
        pid_t pid = fork();
        if (pid == 0) {
            char never;
            close(gate[1]);
            (void)!read(gate[0], &never, 1); /* until the parent opens the gate */
            for (;;)
                ;
        }
        if (pid < 0) {
            printf("%d born, then %s\n", born, errno_name(errno));
            fflush(stdout);
            if (!spin)
                return 0;
            close(gate[1]);
            for (;;)
                ;
        }
    }
}

static void *sit(void *unused)
{
    (void)unused;
    for (;;)
        pause();
}

static int do_threads(char **args)
{
    (void)args;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    for (int born = 0;; born++) {
        pthread_t thread;
        int error = pthread_create(&thread, &attributes, sit, NULL);
        if (error != 0) {
            printf("%d born, then %s\n", born, errno_name(error));
            return 0;
        }
    }
}

/* Fills a file until it is refused. */
static int do_fill(char **args)
{
    static char bytes[65536];
    int fd = open(args[0], O_WRONLY | O_CREAT, 0600);
    if (fd < 0)
        return fail(args[0]);
    for (long total = 0;;) {
        ssize_t n = write(fd, bytes, sizeof bytes);
        if (n < 0) {
            printf("%ld written, then %s\n", total, errno_name(errno));
            return 0;
        }
        total += n;
    }
}

static int do_files(char **args)
{
    (void)args;
    for (int opened = 0;; opened++) {
        if (dup(0) < 0) {
            printf("%d opened, then %s\n", opened, errno_name(errno));
            return 0;
        }
    }
}

/* A child in a session of its own keeps standard output and never ends. */
static int do_orphan(char **args)
{
    (void)args;
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            for (;;)
                pause();
        }
        _exit(0);
    }
    puts("parent done");
    return 0;
}

static int do_execute(char **args)
{
    execv(args[0], args);
    return fail(args[0]);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *verb;
        int (*run)(char **args);
    } verbs[] = {
        {"exit", do_exit},   {"signal", do_signal},   {"streams", do_streams},
        {"cat", do_cat},     {"write", do_write},     {"env", do_env},
        {"who", do_who},     {"connect", do_connect}, {"memory", do_memory},
        {"spin", do_spin},   {"wait", do_wait},       {"flood", do_flood},
        {"fork", do_fork},   {"threads", do_threads}, {"fill", do_fill},
        {"files", do_files}, {"orphan", do_orphan},   {"execute", do_execute},
    };
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(argv[1], verbs[i].verb) == 0)
            return verbs[i].run(argv + 2);
    }
    fputs("no such verb\n", stderr);
    return 99;
}
