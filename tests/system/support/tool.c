/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tool the scenarios run in sandboxes: its arguments are a list of steps, done in order.
 *
 *     print TEXT       a line to stdout            error TEXT    a line to stderr
 *     args             all arguments, a line each  env NAME      a variable, or (none)
 *     cat PATH         a file to stdout, - stdin   write PATH    tries to, says what came of it
 *     exec PATH        runs it in its own place    connect PORT  to 127.0.0.1
 *     bytes            every byte value once       flood MIB     so much to stdout
 *     fill PATH MIB    writes a file so large      touch MIB     uses so much memory
 *     sleep SECONDS    (a fraction is fine)        spin SECONDS  burns time
 *     exit CODE        ends                        raise SIGNAL  ends by it
 *     whoami           uid, gid and capabilities   fork          children until refused
 *     open             files until refused          grow PATH MIB writes behind so much of nothing
 *     await            until SIGUSR1                 clock        the time in milliseconds
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024L * 1024)

static void say(const char *what, long result)
{
    printf("%s: %s\n", what, result < 0 ? strerrorname_np(errno) : "done");
}

static void copy(const char *path)
{
    char bytes[65536];
    int fd = strcmp(path, "-") == 0 ? 0 : open(path, O_RDONLY);
    if (fd < 0)
        say(path, -1);
    for (ssize_t n; fd >= 0 && (n = read(fd, bytes, sizeof bytes)) > 0;)
        fwrite(bytes, 1, (size_t)n, stdout);
}

static void flood(int fd, long mib, const char *name)
{
    static char bytes[MIB];
    memset(bytes, 'x', sizeof bytes);
    for (long i = 0; i < mib; i++)
        for (long at = 0; at < MIB;) {
            ssize_t n = write(fd, bytes + at, (size_t)(MIB - at));
            if (n < 0) {
                say(name, -1);
                return;
            }
            at += n;
        }
}

static void use_memory(long mib)
{
    for (long i = 0; i < mib; i++) {
        char *bytes = malloc(MIB);
        if (bytes == NULL) {
            say("touch", -1);
            return;
        }
        memset(bytes, (int)i + 1, MIB);
    }
    say("touch", 0);
}

static long number(const char *text)
{
    return strtol(text, NULL, 10);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void wait_seconds(double seconds, bool spin)
{
    int64_t end = now_ms() + (int64_t)(seconds * 1000);
    for (int64_t left; (left = end - now_ms()) > 0;)
        if (!spin)
            (void)poll(NULL, 0, (int)left);
}

static void dial(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((unsigned short)number(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    say("connect", fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof address));
}

static void who(void)
{
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    printf("uid %d gid %d\n", (int)getuid(), (int)getgid());
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "Cap", 3) == 0 || strncmp(line, "NoNewPrivs", 10) == 0)
            fputs(line, stdout);
}

/* Each child waits until its parent is gone. */
static void fork_all(void)
{
    int gate[2], born = 0;
    if (pipe(gate) != 0)
        say("pipe", -1);
    for (pid_t pid; (pid = fork()) >= 0; born++)
        if (pid == 0) {
            char never;
            close(gate[1]);
            _exit(read(gate[0], &never, 1) == 0 ? 0 : 1);
        }
    say("fork", -1);
    printf("%d born\n", born);
}

static void open_all(void)
{
    int opened = 0;
    while (dup(0) >= 0)
        opened++;
    say("open", -1);
    printf("%d opened\n", opened);
}

static void grow(const char *path, long mib)
{
    signal(SIGXFSZ, SIG_IGN);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    say("grow", fd < 0 ? -1 : pwrite(fd, "x", 1, mib * MIB));
}

/* How a test lets a tool that runs go on. One that came before is not lost: main() blocks it. */
static void await(void)
{
    sigset_t go_on;
    int came;
    sigemptyset(&go_on);
    sigaddset(&go_on, SIGUSR1);
    sigwait(&go_on, &came);
}

static const char *need(char **args)
{
    if (*args != NULL)
        return *args;
    fputs("a step wants an argument\n", stderr);
    exit(98);
}

/* Steps with one argument; 0 if there is no such step. */
static int step(const char *name, char **args)
{
    if (strcmp(name, "print") == 0)
        puts(need(args));
    else if (strcmp(name, "error") == 0)
        fprintf(stderr, "%s\n", need(args));
    else if (strcmp(name, "env") == 0)
        printf("%s=%s\n", need(args), getenv(*args) == NULL ? "(none)" : getenv(*args));
    else if (strcmp(name, "cat") == 0)
        copy(need(args));
    else if (strcmp(name, "write") == 0)
        say(need(args), open(*args, O_WRONLY | O_CREAT, 0600));
    else if (strcmp(name, "exec") == 0)
        say(need(args), execl(*args, *args, (char *)NULL));
    else if (strcmp(name, "connect") == 0)
        dial(need(args));
    else if (strcmp(name, "flood") == 0)
        flood(1, number(need(args)), name);
    else if (strcmp(name, "touch") == 0)
        use_memory(number(need(args)));
    else if (strcmp(name, "sleep") == 0)
        wait_seconds(strtod(need(args), NULL), false);
    else if (strcmp(name, "spin") == 0)
        wait_seconds(strtod(need(args), NULL), true);
    else if (strcmp(name, "exit") == 0)
        exit((int)number(need(args)));
    else if (strcmp(name, "raise") == 0)
        raise((int)number(need(args)));
    else
        return 0;
    return 1;
}

int main(int argc, char **argv)
{
    sigset_t go_on;
    sigemptyset(&go_on);
    sigaddset(&go_on, SIGUSR1);
    sigprocmask(SIG_BLOCK, &go_on, NULL);
    for (char **at = argv + 1; *at != NULL;) {
        const char *name = *at++;
        if (strcmp(name, "args") == 0) {
            for (int i = 0; i < argc; i++)
                puts(argv[i]);
        } else if (strcmp(name, "bytes") == 0) {
            for (int i = 0; i < 256; i++)
                putchar(i);
        } else if (strcmp(name, "whoami") == 0) {
            who();
        } else if (strcmp(name, "fork") == 0) {
            fork_all();
        } else if (strcmp(name, "open") == 0) {
            open_all();
        } else if (strcmp(name, "grow") == 0) {
            grow(need(at), number(need(at + 1)));
            at += 2;
        } else if (strcmp(name, "await") == 0) {
            await();
        } else if (strcmp(name, "clock") == 0) {
            struct timespec now;
            clock_gettime(CLOCK_REALTIME, &now);
            printf("%lld\n", now.tv_sec * 1000LL + now.tv_nsec / 1000000);
        } else if (strcmp(name, "fill") == 0) {
            flood(open(need(at), O_WRONLY | O_CREAT, 0600), number(need(at + 1)), name);
            at += 2;
        } else if (step(name, at)) {
            at++;
        } else {
            fprintf(stderr, "no such step: %s\n", name);
            return 99;
        }
        fflush(stdout);
    }
    return 0;
}
