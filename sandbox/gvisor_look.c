/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds is looked at, not claimed: a real sandbox is started with a few instructions of
 * ours inside, and while they wait the runtime's processes are examined from the host.
 */
#include "sandbox/gvisor.h"

#include "base/file.h"
#include "base/uuid.h"
#include "sandbox/path.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#define PROBE_WALL_MS 30000
#define MEMBERS_MAX 64
#define ROOT_PROBE_BASE 48

#if !defined(__x86_64__)
#error "the probe's program is written for x86-64: add its instructions for this machine"
#endif

/* open("/probe", O_CREAT | O_WRONLY, 0600), writes one byte 48 - result (so 48 + errno) to
 * standard output, then waits for ever. */
static const uint8_t probe_code[] = {
    0x48, 0x8d, 0x3d, 0x36, 0x00, 0x00, 0x00, /* lea path(%rip), %rdi */
    0xbe, 0x41, 0x00, 0x00, 0x00,             /* mov $(O_CREAT | O_WRONLY), %esi */
    0xba, 0x80, 0x01, 0x00, 0x00,             /* mov $0600, %edx */
    0xb8, 0x02, 0x00, 0x00, 0x00,             /* mov $SYS_open, %eax */
    0x0f, 0x05,                               /* syscall */
    0xb9, 0x30, 0x00, 0x00, 0x00,             /* mov $48, %ecx */
    0x29, 0xc1,                               /* sub %eax, %ecx */
    0x51,                                     /* push %rcx */
    0x48, 0x89, 0xe6,                         /* mov %rsp, %rsi */
    0xbf, 0x01, 0x00, 0x00, 0x00,             /* mov $1, %edi */
    0xba, 0x01, 0x00, 0x00, 0x00,             /* mov $1, %edx */
    0xb8, 0x01, 0x00, 0x00, 0x00,             /* mov $SYS_write, %eax */
    0x0f, 0x05,                               /* syscall */
    0xb8, 0x22, 0x00, 0x00, 0x00,             /* again: mov $SYS_pause, %eax */
    0x0f, 0x05,                               /* syscall */
    0xeb, 0xf7,                               /* jmp again */
    '/',  'p',  'r',  'o',  'b',  'e',  0,    /* path */
};

/* What is looked at. */
enum promise { RUNS, NAMESPACES, NETWORK, SECCOMP, PRIVILEGES, ROOT, APPARMOR, LIMITS, PROMISES };

static const struct {
    const char *name, *holds;
} promises[PROMISES] = {
    [RUNS] = {"a sandbox", "was started and examined"},
    [NAMESPACES] = {"namespaces", "pid, net, mnt, ipc, uts, user: none is the host's"},
    [NETWORK] = {"network", "its own loopback, nothing else"},
    [SECCOMP] = {"seccomp", "on the sentry and on the gofer"},
    [PRIVILEGES] = {"privileges", "none to be gained, and no root around the tool"},
    [ROOT] = {"root", "read-only"},
    [APPARMOR] = {"AppArmor label", "on each process of the runtime"},
    [LIMITS] = {"limits told", "the sentry reports what a tool is refused"},
};

/* What the host shows of the sandbox while it stands. */
struct observed {
    const struct gvisor *gvisor;
    struct gvisor_watched watched;
    int cancel; /* eventfd: seen enough */
    bool looked;
    bool outer, sentry;           /* were seen */
    char problems[PROMISES][288]; /* of each the first thing that does not hold, or "" */
};

static const char *const namespaces[] = {GVISOR_NAMESPACES};

/* ---- one process of the runtime ---- */

static int read_proc(pid_t pid, const char *file, struct buf *buf)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (;;) {
        void *place = fd < 0 ? NULL : buf_reserve(buf, 1024);
        ssize_t n = place == NULL ? -1 : read(fd, place, 1024);
        if (n < 0)
            return -1;
        buf_commit(buf, (size_t)n);
        if (n == 0)
            return 0;
    }
}

static long status_number(const char *status, const char *field)
{
    const char *at = strstr(status, field);
    return at == NULL ? -1 : strtol(at + strlen(field), NULL, 10);
}

/* Whether a process is in a namespace: what cannot be told is no promise kept. */
enum where { OUTSIDE, INSIDE, UNKNOWN };

static enum where where_is(pid_t pid, const char *name, const struct stat *namespace)
{
    char path[64];
    struct stat theirs;
    (void)snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, name);
    if (stat(path, &theirs) != 0)
        return UNKNOWN;
    return theirs.st_dev == namespace->st_dev && theirs.st_ino == namespace->st_ino ? INSIDE
                                                                                    : OUTSIDE;
}

static enum where where_to_the_hosts(pid_t pid, const char *name)
{
    char path[64];
    struct stat ours;
    (void)snprintf(path, sizeof path, "/proc/self/ns/%s", name);
    return stat(path, &ours) != 0 ? UNKNOWN : where_is(pid, name, &ours);
}

/* True if its network has the loopback and nothing else. */
static bool network_is_empty(pid_t pid)
{
    AUTO_BUF struct buf devices = BUF(65536);
    if (read_proc(pid, "net/dev", &devices) != 0)
        return false;
    for (const char *colon = buf_text(&devices); (colon = strchr(colon, ':')) != NULL; colon++) {
        if (colon - buf_text(&devices) < 2 || memcmp(colon - 2, "lo", 2) != 0)
            return false;
    }
    return true;
}

static void complain(struct observed *observed, enum promise promise, const char *role,
                     const char *what, const char *which)
{
    char *problem = observed->problems[promise];
    if (problem[0] == '\0')
        (void)snprintf(problem, sizeof observed->problems[promise], "%.40s %.160s%.80s", role, what,
                       which);
}

/* Whether it is where the outer processes of all runs are, and only they may be, or apart. */
static void look_at_outer(struct observed *observed, pid_t pid, const char *role,
                          enum where expected)
{
    for (size_t i = 0; i < OUTER_NAMESPACES; i++) {
        struct stat outer;
        enum where where = fstat(observed->gvisor->outer.fds[i], &outer) != 0
                               ? UNKNOWN
                               : where_is(pid, outer_name(i), &outer);
        if (where != expected)
            complain(observed, NAMESPACES, role,
                     expected == INSIDE ? "is not where it was put: " : "has none of its own: ",
                     outer_name(i));
    }
}

static void look_at_label(struct observed *observed, pid_t pid, const char *role)
{
    AUTO_BUF struct buf label = BUF(4096);
    AUTO_BUF struct buf expected = BUF(1024);
    buf_printf(&expected, "%s (enforce)\n", observed->gvisor->apparmor_profile);
    if (read_proc(pid, "attr/apparmor/current", &label) != 0)
        complain(observed, APPARMOR, role, "does not show its AppArmor label", "");
    else if (buf_failed(&expected) || !span_equal(buf_span(&label), buf_span(&expected)))
        complain(observed, APPARMOR, role, "is not held by the AppArmor profile, but by ",
                 buf_text(&label));
}

/* `role`: the first word of its command line; the tool's own stubs have none. */
static void look_at(struct observed *observed, pid_t pid, const char *role)
{
    AUTO_BUF struct buf status = BUF(65536);
    if (read_proc(pid, "status", &status) != 0) {
        complain(observed, RUNS, role, "cannot be looked at", "");
        return;
    }
    const char *text = buf_text(&status);
    if (observed->gvisor->apparmor)
        look_at_label(observed, pid, role);
    if (strcmp(role, "runsc") == 0) { /* outside: it starts and waits */
        observed->outer = true;
        look_at_outer(observed, pid, role, INSIDE);
        return;
    }
    look_at_outer(observed, pid, role, OUTSIDE);
    if (status_number(text, "\nSeccomp:") != 2)
        complain(observed, SECCOMP, role, "has no seccomp filter", "");
    if (status_number(text, "\nNoNewPrivs:") != 1)
        complain(observed, PRIVILEGES, role, "may gain privileges", "");
    if (strcmp(role, "runsc-gofer") == 0)
        return; /* it serves files, as root, from a root of its own */
    observed->sentry = observed->sentry || strcmp(role, "runsc-sandbox") == 0;
    if (status_number(text, "\nUid:") == 0)
        complain(observed, PRIVILEGES, role, "runs as root", "");
    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
        if (where_to_the_hosts(pid, namespaces[i]) != OUTSIDE)
            complain(observed, NAMESPACES, role, "shares the host's namespace ", namespaces[i]);
    }
    if (!network_is_empty(pid))
        complain(observed, NETWORK, role, "has a network", "");
}

/* A sink: the tool's only byte says what became of its write to the root, and that it runs. */
static void look(void *context, enum sandbox_stream stream, uint64_t offset, const void *data,
                 size_t len)
{
    struct observed *observed = context;
    if (stream != SANDBOX_STDOUT || offset != 0 || len == 0)
        return;
    if (*(const uint8_t *)data != ROOT_PROBE_BASE + EROFS)
        complain(observed, ROOT, "the root", "is not read-only", "");
    pid_t members[MEMBERS_MAX];
    size_t count = cgroup_members(observed->watched.cgroup, members, MEMBERS_MAX);
    if (count > MEMBERS_MAX)
        complain(observed, RUNS, "the sandbox", "has too many processes to look at", "");
    for (size_t i = 0; i < count && i < MEMBERS_MAX; i++) {
        AUTO_BUF struct buf command = BUF(65536);
        if (read_proc(members[i], "cmdline", &command) == 0)
            look_at(observed, members[i], buf_text(&command));
    }
    observed->looked = true;
    uint64_t one = 1;
    (void)!write(observed->cancel, &one, sizeof one);
}

/* ---- the sandbox that is looked at ---- */

static int write_program(const char *path, struct fault *fault)
{
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment;
        uint8_t code[sizeof probe_code];
    } program = {
        .header =
            {
                .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                            EV_CURRENT},
                .e_type = ET_EXEC,
                .e_machine = EM_X86_64,
                .e_version = EV_CURRENT,
                .e_entry = 0x400000 + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
                .e_phoff = sizeof(Elf64_Ehdr),
                .e_ehsize = sizeof(Elf64_Ehdr),
                .e_phentsize = sizeof(Elf64_Phdr),
                .e_phnum = 1,
            },
        .segment = {.p_type = PT_LOAD,
                    .p_flags = PF_R | PF_X,
                    .p_vaddr = 0x400000,
                    .p_paddr = 0x400000,
                    .p_filesz = sizeof program,
                    .p_memsz = sizeof program,
                    .p_align = 0x1000},
    };
    memcpy(program.code, probe_code, sizeof probe_code);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    if (fd < 0 || fchmod(fd, 0755) != 0 ||
        write(fd, &program, sizeof program) != (ssize_t)sizeof program)
        return fault_errno(fault, "cannot write %s", path);
    return 0;
}

/* World-writable, so that only its being read-only can refuse the tool. */
static int make_root(const char *root, struct fault *fault)
{
    static const char *const folders[] = {".", "bin", "in", "run", "run/sallyport"};
    if (mkdir(root, 0700) != 0)
        return fault_errno(fault, "cannot make %s", root);
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        AUTO_FREE char *path = path_join(root, folders[i]);
        if (path == NULL)
            return fault_set(fault, FAULT_INTERNAL, "out of memory");
        if ((i > 0 && mkdir(path, 0777) != 0) || chmod(path, 0777) != 0)
            return fault_errno(fault, "cannot make %s", path);
    }
    AUTO_FREE char *program = path_join(root, "bin/probe");
    return program == NULL ? fault_set(fault, FAULT_INTERNAL, "out of memory")
                           : write_program(program, fault);
}

static int run_probe(struct observed *observed, const char *root, struct sandbox_result *result,
                     struct fault *fault)
{
    struct uuid id = uuid_v7();
    struct uuid_text id_text = uuid_format(&id);
    static const char *const argv[] = {"/bin/probe", NULL};
    struct sandbox_job job = {
        .id = id_text.text,
        .rootfs = root,
        .argv = argv,
        .manifest = span_text("{}"),
        .limits = {.wall_ms = PROBE_WALL_MS,
                   .memory_bytes = 64 << 20,
                   .pids = 8,
                   .cpu_percent = 100,
                   .tmp_bytes = 1 << 20,
                   .open_files = 16,
                   .file_size_bytes = 1 << 20,
                   .stdout_bytes = 16,
                   .stderr_bytes = 4096},
        .cancel_fd = observed->cancel,
        .sink = look,
        .sink_context = observed,
    };
    struct bundle *bundle;
    struct fault left;
    int status = gvisor_run(observed->gvisor, &job, &observed->watched, result, &bundle, fault);
    if (bundle_remove(bundle, &left) != 0 && status == 0)
        status = fault_set(fault, FAULT_UNAVAILABLE, "left behind: %s", left.detail);
    return status;
}

/* Its run as a whole: it was looked at, and ended because we had seen enough. */
static void judge_run(struct observed *observed, int ran, const struct fault *why,
                      const struct sandbox_result *result)
{
    if (ran != 0)
        complain(observed, RUNS, "no sandbox can be started:", why->detail, "");
    else if (!observed->looked || result->end != SANDBOX_CANCELLED)
        complain(observed, RUNS, sandbox_end_name(result->end),
                 "while it was to be looked at: ", result->detail);
    else if (!observed->sentry || !observed->outer)
        complain(observed, RUNS, "the sandbox", "has no sentry or no outer process to look at", "");
    if (!observed->watched.told)
        complain(observed, LIMITS, "the sandbox", "does not tell which limits a tool meets", "");
}

/* Where nothing ran, the other promises were not looked at. */
static void tell(const struct observed *observed, struct sandbox_report *report)
{
    bool ran = observed->problems[RUNS][0] == '\0';
    for (size_t i = 0; i < PROMISES; i++) {
        const char *problem = observed->problems[i];
        bool held = problem[0] == '\0' && ran;
        if (i == APPARMOR && !observed->gvisor->apparmor)
            continue; /* its own step has said why */
        sandbox_report_add(report, promises[i].name, held ? SANDBOX_HELD : SANDBOX_MISSING,
                           held                 ? promises[i].holds
                           : problem[0] != '\0' ? problem
                                                : "not looked at");
    }
}

static int conclude(const struct observed *observed, struct fault *fault)
{
    for (size_t i = 0; i < PROMISES; i++) {
        if (observed->problems[i][0] != '\0')
            return fault_set(fault, FAULT_UNAVAILABLE, "the sandbox does not hold: %s",
                             observed->problems[i]);
    }
    return 0;
}

int gvisor_look(struct gvisor *gvisor, struct sandbox_report *report, struct fault *fault)
{
    AUTO_CLOSE int cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (cancel < 0)
        return fault_errno(fault, "cannot make an eventfd");
    struct observed observed = {.gvisor = gvisor, .cancel = cancel};
    AUTO_SANDBOX_RESULT struct sandbox_result result = {0};
    struct fault why = {0};
    if (make_root(gvisor->probe_dir, fault) != 0)
        return -1;
    int ran = run_probe(&observed, gvisor->probe_dir, &result, &why);
    if (dir_remove(gvisor->probe_dir, fault) != 0)
        return -1;
    judge_run(&observed, ran, &why, &result);
    if (report != NULL)
        tell(&observed, report);
    return conclude(&observed, fault);
}
