/* SPDX-License-Identifier: Apache-2.0 */
/* How runsc is started: its flags, its mounts, its confinement. */
#include "sandbox/gvisor.h"
#include "sandbox/gvisor_trace.h"
#include "sandbox/path.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* Its last words, by which gvisor_judge() tells the tool's end, are a few lines. */
#define SENTRY_LOG_KEEP 16384

/* What the child's preparation needs, made before it is born. */
struct start {
    const char *root;     /* the artifact's folder */
    const char *mount;    /* where the bundle wants it */
    const char *folder;   /* the bundle's */
    const char *apparmor; /* "exec <profile>", or NULL */
    const struct outer *outer;
};

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, text, strlen(text));
    (void)close(fd);
    return n == (ssize_t)strlen(text) ? 0 : -1;
}

/* The sentry holds several host descriptors for each file of the tool's, whose own limit is in
 * config.json: it gets all this host lets us have. Its memory is the tool's: no core dumps. */
static int set_limits(void)
{
    struct rlimit files;
    const struct rlimit none = {0};
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return -1;
    files.rlim_cur = files.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &files) != 0 ? -1 : setrlimit(RLIMIT_CORE, &none);
}

/* In the child. The mounts exist in its namespace only and vanish with it. */
static const char *prepare(const void *context)
{
    const struct start *start = context;
    /* Not the host's network, for runsc, too: it opens the sentry's control socket in it, abstract,
     * where every user of that network could connect to it. */
    if (outer_enter(start->outer) != 0)
        return "leaving the host's namespaces";
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return "making its mounts private";
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
        return "mounting its /proc";
    /* A bind of its own: whatever is renamed or put in the cache's place meanwhile, this run
     * sees the tree that was checked, and no one can write to it through here. */
    if (mount(start->root, start->mount, NULL, MS_BIND, NULL) != 0)
        return "binding the artifact's root";
    if (mount(NULL, start->mount, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV,
              NULL) != 0)
        return "making the artifact's root read-only";
    /* Where the trace file's relative paths begin: the bundle's own may be too long for a socket.
     */
    if (chdir(start->folder) != 0)
        return "going to the bundle";
    if (set_limits() != 0)
        return "setting its limits";
    /* When the host itself runs out of memory a sandbox goes first, not the worker. */
    if (write_file("/proc/self/oom_score_adj", "500") != 0)
        return "setting its oom_score_adj";
    if (start->apparmor != NULL &&
        write_file("/proc/self/attr/apparmor/exec", start->apparmor) != 0)
        return "setting its AppArmor profile";
    return NULL;
}

static bool out_of_memory(void *context)
{
    return cgroup_out_of_memory(context);
}

static bool take_trace(void *context)
{
    gvisor_trace_take(context);
    return false;
}

/* ---- runsc's command line ---- */

#define OWNED_MAX 4

struct command {
    char *owned[OWNED_MAX];
    size_t owned_count;
    const char *argv[24];
    size_t count;
};

static void command_free(struct command *command)
{
    for (size_t i = 0; i < command->owned_count; i++)
        free(command->owned[i]);
}

static void add(struct command *command, const char *word)
{
    command->argv[command->count++] = word;
}

static int add_flag(struct command *command, const char *flag, const char *folder, const char *file)
{
    char *text = NULL;
    if (asprintf(&text, "%s%s%s%s", flag, folder, *file == '\0' ? "" : "/", file) < 0)
        return -1;
    command->owned[command->owned_count++] = text;
    add(command, text);
    return 0;
}

static int make_command(const struct gvisor *gvisor, const struct sandbox_job *job,
                        const struct bundle *bundle, struct command *command)
{
    static const char *const fixed[] = {
        "--network=none",   /* the loopback alone */
        "--ignore-cgroups", /* they are ours: it is born in them */
        "--net-raw=false",
        "--host-uds=none",
        "--oci-seccomp", /* config.json's, inside */
        "--overlay2=none",
        "--file-access=exclusive", /* the tree and the inputs change for nobody */
        "--file-access-mounts=exclusive",
        "--debug-log-format=json",  /* without --debug: some hundred lines, */
        "--debug-command=run,boot", /* of these two, for gvisor_judge() */
        GVISOR_TRACE_FLAG,
    };
    const char *runtime = bundle_runtime(bundle);
    add(command, "runsc");
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        add(command, fixed[i]);
    if (add_flag(command, "--root=", runtime, GVISOR_STATE) != 0 ||
        add_flag(command, "--platform=", gvisor->runsc_platform, "") != 0 ||
        add_flag(command, "--debug-log=", runtime, "%COMMAND%.log") != 0 ||
        add_flag(command, "--panic-log=", runtime, GVISOR_PANIC_LOG) != 0)
        return -1;
    add(command, "run");
    add(command, "--bundle");
    add(command, bundle_folder(bundle));
    add(command, job->id);
    add(command, NULL);
    return 0;
}

/* The sentry logs into a FIFO that the run's thread drains: what a tool makes it say can fill
 * no disk. Open for writing too, so that it never looks closed. */
static int open_sentry_log(const struct bundle *bundle, struct fault *fault)
{
    AUTO_FREE char *path = path_join(bundle_runtime(bundle), GVISOR_SENTRY_LOG);
    if (path == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    AUTO_CLOSE int fd = -1;
    if (mkfifo(path, 0600) != 0 || (fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0)
        return fault_errno(fault, "cannot make %s", path);
    return TAKE_FD(fd);
}

int gvisor_execute(const struct gvisor *gvisor, const struct sandbox_job *job,
                   const struct bundle *bundle, struct cgroup *cgroup,
                   struct process_result *ret_result, struct gvisor_seen *ret_seen,
                   struct fault *fault)
{
    AUTO(command_free) struct command command = {0};
    AUTO_FREE char *apparmor = NULL;
    if (make_command(gvisor, job, bundle, &command) != 0)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (asprintf(&apparmor, "exec %s", gvisor->apparmor_profile) < 0) {
        apparmor = NULL;
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    }
    AUTO_CLOSE int sentry_log = open_sentry_log(bundle, fault);
    AUTO_GVISOR_TRACE struct gvisor_trace *trace = NULL;
    if (sentry_log < 0 || gvisor_trace_open(bundle, &trace, fault) != 0)
        return -1;
    /* It starts the others, with an environment of their own, and waits: one thread of Go's that
     * runs is enough for it, and 3 ms cheaper than one for each processor. */
    static const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS=1", NULL};
    char program[40];
    (void)snprintf(program, sizeof program, "/proc/self/fd/%d", gvisor->runsc);
    struct start start = {
        .root = job->rootfs,
        .mount = bundle_rootfs(bundle),
        .folder = bundle_folder(bundle),
        .apparmor = gvisor->apparmor ? apparmor : NULL,
        .outer = &gvisor->outer,
    };
    struct process_watch watches[] = {
        {.ready = out_of_memory, .context = cgroup},
        {.fd = gvisor_trace_fd(trace), .events = POLLIN, .ready = take_trace, .context = trace},
    };
    watches[0].fd = cgroup_oom_fd(cgroup, &watches[0].events);
    struct process_spec spec = {
        .program = program,
        .argv = command.argv,
        .env = env,
        .namespaces = CLONE_NEWNS,
        .prepare = prepare,
        .prepare_context = &start,
        .stdin_fd = -1,
        .stdin_data = job->stdin_data,
        .caps = {(size_t)job->limits.stdout_bytes, (size_t)job->limits.stderr_bytes},
        .sink = job->sink,
        .sink_context = job->sink_context,
        .watch = job->watch,
        .side_fd = sentry_log,
        .side_keep = SENTRY_LOG_KEEP,
        .wall_ms = job->limits.wall_ms,
        .cancel_fd = job->cancel_fd,
        .watches = watches,
        .watch_count = ARRAY_LEN(watches),
    };
    spec.home = cgroup_home_fd(cgroup);
    if (spec.home == 0)
        spec.cgroups = cgroup_join_fds(cgroup, &spec.cgroup_count);
    if (process_run(&spec, ret_result, fault) != 0)
        return -1;
    *ret_seen = (struct gvisor_seen){.told = gvisor_trace_connected(trace),
                                     .hits = gvisor_trace_hits(trace)};
    return 0;
}
