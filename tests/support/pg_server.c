/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/pg_server.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define START_MS 60000
#define STOP_MS 30000

struct pg_server {
    char *folder;
    char *conninfo;
    char bin[PATH_MAX - 16];
    uid_t uid;
    gid_t gid;
    pid_t pid; /* 0: not running */
};

static void pause_briefly(void)
{
    const struct timespec brief = {.tv_nsec = 10 * 1000 * 1000};
    (void)nanosleep(&brief, NULL);
}

static int find_programs(struct pg_server *server, struct fault *fault)
{
    const char *given = getenv("SALLYPORT_TEST_PG_BIN");
    if (given != NULL) {
        (void)snprintf(server->bin, sizeof server->bin, "%s", given);
        return 0;
    }
    glob_t found = {0};
    if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) != 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no PostgreSQL in /usr/lib/postgresql");
    const char *newest = found.gl_pathv[0];
    for (size_t i = 1; i < found.gl_pathc; i++)
        if (strverscmp(found.gl_pathv[i], newest) > 0)
            newest = found.gl_pathv[i];
    (void)snprintf(server->bin, sizeof server->bin, "%s", newest);
    globfree(&found);
    return 0;
}

static int choose_user(struct pg_server *server, struct fault *fault)
{
    server->uid = geteuid();
    server->gid = getegid();
    if (server->uid != 0)
        return 0;
    const struct passwd *postgres = getpwnam("postgres");
    if (postgres == NULL)
        return fault_set(fault, FAULT_NOT_FOUND, "no user postgres to run a server as");
    server->uid = postgres->pw_uid;
    server->gid = postgres->pw_gid;
    return 0;
}

static int make_folder(struct pg_server *server, struct fault *fault)
{
    char path[] = "/tmp/sallyport-pg.XXXXXX"; /* short: a socket's path has 107 bytes */
    if (mkdtemp(path) == NULL || (server->folder = strdup(path)) == NULL)
        return fault_errno(fault, "cannot make a folder in /tmp");
    if (chown(path, server->uid, server->gid) != 0)
        return fault_errno(fault, "cannot give %s away", path);
    if (asprintf(&server->conninfo, "host=%s user=postgres dbname=postgres", path) < 0) {
        server->conninfo = NULL;
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    }
    return 0;
}

/* In the child: never returns. It dies with the test, however that ends. */
static void become(const struct pg_server *server, pid_t parent, const char *const *argv)
{
    const char *const environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", NULL};
    char log[PATH_MAX];
    (void)snprintf(log, sizeof log, "%s/log", server->folder);
    if (geteuid() == 0 &&
        (setgroups(0, NULL) != 0 || setgid(server->gid) != 0 || setuid(server->uid) != 0))
        _exit(126);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || null < 0 || dup2(null, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 ||
        chdir("/") != 0 || prctl(PR_SET_PDEATHSIG, SIGQUIT) != 0 || getppid() != parent)
        _exit(126);
    (void)execve(argv[0], (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)environment);
    _exit(127);
}

static pid_t spawn(const struct pg_server *server, const char *const *argv)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        become(server, parent, argv);
    return pid;
}

static int initialise(const struct pg_server *server, struct fault *fault)
{
    char program[PATH_MAX], data[PATH_MAX];
    (void)snprintf(program, sizeof program, "%s/initdb", server->bin);
    (void)snprintf(data, sizeof data, "%s/data", server->folder);
    const char *const argv[] = {
        program,      "-D",        data,           "--username=postgres", "--encoding=UTF8",
        "--locale=C", "--no-sync", "--auth=trust", "--no-instructions",   NULL};
    pid_t pid = spawn(server, argv);
    int status = 0;
    if (pid < 0)
        return fault_errno(fault, "fork");
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return fault_set(fault, FAULT_INTERNAL, "%s failed (status %d)", program, status);
}

static int start(struct pg_server *server, bool durable, struct fault *fault)
{
    char program[PATH_MAX], data[PATH_MAX], sockets[PATH_MAX];
    (void)snprintf(program, sizeof program, "%s/postgres", server->bin);
    (void)snprintf(data, sizeof data, "%s/data", server->folder);
    (void)snprintf(sockets, sizeof sockets, "unix_socket_directories=%s", server->folder);
    const char *const argv[] = {program,
                                "-D",
                                data,
                                "-c",
                                "listen_addresses=",
                                "-c",
                                sockets,
                                "-c",
                                durable ? "fsync=on" : "fsync=off",
                                "-c",
                                "shared_buffers=128MB",
                                "-c",
                                "max_connections=100",
                                "-c",
                                "timezone=UTC",
                                NULL};
    server->pid = spawn(server, argv);
    if (server->pid < 0) {
        server->pid = 0;
        return fault_errno(fault, "fork");
    }
    int64_t deadline = clock_monotonic_ms() + START_MS;
    while (PQping(server->conninfo) != PQPING_OK) {
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
            server->pid = 0;
            return fault_set(fault, FAULT_UNAVAILABLE, "%s ended at once", program);
        }
        if (clock_monotonic_ms() > deadline)
            return fault_set(fault, FAULT_UNAVAILABLE, "%s does not answer", program);
        pause_briefly();
    }
    return 0;
}

static void stop(struct pg_server *server)
{
    if (server->pid == 0)
        return;
    int64_t deadline = clock_monotonic_ms() + STOP_MS;
    (void)kill(server->pid, SIGINT);
    while (waitpid(server->pid, NULL, WNOHANG) == 0) {
        if (clock_monotonic_ms() > deadline)
            (void)kill(server->pid, SIGQUIT);
        pause_briefly();
    }
    server->pid = 0;
}

int pg_server_start(bool durable, struct pg_server **ret_server, struct fault *fault)
{
    struct pg_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (find_programs(server, fault) != 0 || choose_user(server, fault) != 0 ||
        make_folder(server, fault) != 0 || initialise(server, fault) != 0 ||
        start(server, durable, fault) != 0) {
        pg_server_free(server);
        return -1;
    }
    *ret_server = server;
    return 0;
}

const char *pg_server_conninfo(const struct pg_server *server)
{
    return server->conninfo;
}

void pg_server_free(struct pg_server *server)
{
    struct fault fault;
    if (server == NULL)
        return;
    stop(server);
    if (server->folder != NULL && dir_remove(server->folder, &fault) != 0)
        (void)fprintf(stderr, "pg_server: %s\n", fault.detail);
    free(server->folder);
    free(server->conninfo);
    free(server);
}
