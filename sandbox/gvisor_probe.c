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

/* What the host shows of the sandbox while it stands. */
struct observed {
    const struct gvisor *gvisor;
    struct gvisor_watched watched;
    int cancel; /* eventfd: seen enough */
    bool looked;
    bool sentry;
    char problem[200]; /* the first thing that does not hold, "" if all does */
};

static const char *const namespaces[] = {"pid", "net", "mnt", "ipc", "uts", "user"};

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

static bool same_namespace(pid_t pid, const char *name)
{
    char theirs[64], ours[64];
    struct stat a, b;
    (void)snprintf(theirs, sizeof theirs, "/proc/%d/ns/%s", (int)pid, name);
    (void)snprintf(ours, sizeof ours, "/proc/self/ns/%s", name);
    return stat(theirs, &a) != 0 || stat(ours, &b) != 0 ||
           (a.st_dev == b.st_dev && a.st_ino == b.st_ino);
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

static bool apparmor_holds(const struct gvisor *gvisor, pid_t pid)
{
    AUTO_BUF struct buf label = BUF(1024);
    AUTO_BUF struct buf expected = BUF(1024);
    buf_printf(&expected, "%s (enforce)\n", gvisor->apparmor_profile);
    return read_proc(pid, "attr/apparmor/current", &label) == 0 && !buf_failed(&expected) &&
           span_equal(buf_span(&label), buf_span(&expected));
}

static void complain(struct observed *observed, const char *role, const char *what,
                     const char *which)
{
    if (observed->problem[0] == '\0')
        (void)snprintf(observed->problem, sizeof observed->problem, "%s %s%s", role, what, which);
}

/* `role`: the first word of its command line; the tool's own stubs have none. */
static void look_at(struct observed *observed, pid_t pid, const char *role)
{
    AUTO_BUF struct buf status = BUF(65536);
    if (read_proc(pid, "status", &status) != 0) {
        complain(observed, role, "cannot be looked at", "");
        return;
    }
    const char *text = buf_text(&status);
    if (observed->gvisor->apparmor && !apparmor_holds(observed->gvisor, pid))
        complain(observed, role, "is not held by the AppArmor profile", "");
    if (strcmp(role, "runsc") == 0)
        return; /* outside: it starts and waits */
    if (status_number(text, "\nSeccomp:") != 2)
        complain(observed, role, "has no seccomp filter", "");
    if (status_number(text, "\nNoNewPrivs:") != 1)
        complain(observed, role, "may gain privileges", "");
    if (strcmp(role, "runsc-gofer") == 0)
        return; /* it serves files, as root, from a root of its own */
    observed->sentry = observed->sentry || strcmp(role, "runsc-sandbox") == 0;
    if (status_number(text, "\nUid:") == 0)
        complain(observed, role, "runs as root", "");
    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
        if (same_namespace(pid, namespaces[i]))
            complain(observed, role, "shares the host's namespace ", namespaces[i]);
    }
    if (!network_is_empty(pid))
        complain(observed, role, "has a network", "");
}

/* A sink: the tool's only byte says what became of its write to the root, and that it runs. */
static void look(void *context, enum sandbox_stream stream, uint64_t offset, const void *data,
                 size_t len)
{
    struct observed *observed = context;
    if (stream != SANDBOX_STDOUT || offset != 0 || len == 0)
        return;
    if (*(const uint8_t *)data != ROOT_PROBE_BASE + EROFS)
        complain(observed, "the root", "is not read-only", "");
    pid_t members[MEMBERS_MAX];
    size_t count = cgroup_members(observed->watched.cgroup, members, MEMBERS_MAX);
    if (count > MEMBERS_MAX)
        complain(observed, "the sandbox", "has too many processes to look at", "");
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
    return gvisor_run(observed->gvisor, &job, &observed->watched, result, fault);
}

static int observe(const struct gvisor *gvisor, struct fault *fault)
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
    if (ran != 0)
        return fault_set(fault, FAULT_UNAVAILABLE, "no sandbox can be started: %s", why.detail);
    if (!observed.looked || result.end != SANDBOX_CANCELLED)
        return fault_set(fault, FAULT_UNAVAILABLE, "a sandbox started for a look %s: %s",
                         sandbox_end_name(result.end), result.detail);
    if (observed.problem[0] != '\0')
        return fault_set(fault, FAULT_UNAVAILABLE, "the sandbox does not hold: %s",
                         observed.problem);
    if (!observed.watched.told)
        return fault_set(fault, FAULT_UNAVAILABLE,
                         "the sandbox does not tell which limits a tool meets");
    if (!observed.sentry)
        return fault_set(fault, FAULT_UNAVAILABLE, "the sandbox has no sentry to look at");
    return 0;
}

/* ---- the rest of the host ---- */

static int read_version(const struct gvisor *gvisor, char *ret_version, size_t size,
                        struct fault *fault)
{
    static const char *const argv[] = {"runsc", "--version", NULL};
    static const char *const env[] = {NULL};
    char program[40];
    (void)snprintf(program, sizeof program, "/proc/self/fd/%d", gvisor->runsc);
    struct process_spec spec = {
        .program = program,
        .argv = argv,
        .env = env,
        .stdin_fd = -1,
        .caps = {4096, 4096},
        .wall_ms = PROBE_WALL_MS,
        .cancel_fd = -1,
        .side_fd = -1,
    };
    AUTO_PROCESS_RESULT struct process_result result = {0};
    if (process_run(&spec, &result, fault) != 0)
        return -1;
    static const char prefix[] = "runsc version ";
    const char *text = buf_text(&result.output[SANDBOX_STDOUT].stored);
    if (result.end != PROCESS_EXITED || result.status != 0 ||
        strncmp(text, prefix, strlen(prefix)) != 0)
        return fault_set(fault, FAULT_UNAVAILABLE, "%s does not tell its version",
                         gvisor->runsc_path);
    text += strlen(prefix);
    (void)snprintf(ret_version, size, "%.*s", (int)strcspn(text, "\n"), text);
    return 0;
}

/* NULL if the profile is there to be used, or why not. */
static const char *apparmor_missing(const struct gvisor *gvisor)
{
    if (gvisor->apparmor_mode == SANDBOX_APPARMOR_OFF)
        return "off by setting";
    AUTO_CLOSE int fd = open("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC);
    char answer = 'N';
    if (fd < 0 || read(fd, &answer, 1) != 1 || answer != 'Y')
        return "this kernel has no AppArmor";
    AUTO_FILE FILE *list = fopen("/sys/kernel/security/apparmor/profiles", "re");
    AUTO_FREE char *expected = NULL;
    if (list == NULL)
        return "the loaded AppArmor profiles cannot be read";
    if (asprintf(&expected, "%s (enforce)\n", gvisor->apparmor_profile) < 0) {
        expected = NULL;
        return "out of memory";
    }
    char line[512];
    while (fgets(line, sizeof line, list) != NULL) {
        if (strcmp(line, expected) == 0)
            return NULL;
    }
    return "the profile is not loaded in enforce mode";
}

static json_t *apparmor_json(const struct gvisor *gvisor, const char *missing)
{
    static const char *const modes[] = {
        [SANDBOX_APPARMOR_REQUIRED] = "required",
        [SANDBOX_APPARMOR_IF_AVAILABLE] = "if_available",
        [SANDBOX_APPARMOR_OFF] = "off",
    };
    return missing == NULL ? json_pack("{s:s, s:b, s:s}", "mode", modes[gvisor->apparmor_mode],
                                       "held", 1, "profile", gvisor->apparmor_profile)
                           : json_pack("{s:s, s:b, s:s}", "mode", modes[gvisor->apparmor_mode],
                                       "held", 0, "reason", missing);
}

static json_t *checks_json(const struct gvisor *gvisor, const char *version, const char *missing)
{
    json_t *names = json_array();
    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++)
        (void)json_array_append_new(names, json_string(namespaces[i]));
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:b, s:b, s:b, s:s, s:i, s:o, s:o}", "runtime",
                     "runsc", "version", version, "binary_sha256",
                     digest_format(&gvisor->runsc_sha256).text, "platform", gvisor->runsc_platform,
                     "namespaces", names, "network", "none", "seccomp", 1, "no_new_privs", 1,
                     "root_read_only", 1, "capabilities", "none", "uid", (int)gvisor->uid, "cgroup",
                     json_pack("{s:i, s:[s, s, s]}", "version",
                               cgroup_host_version(gvisor->cgroups), "limits", "memory", "pids",
                               "cpu"),
                     "apparmor", apparmor_json(gvisor, missing));
}

int gvisor_probe(struct gvisor *gvisor, json_t **ret_checks, json_t **ret_runtime,
                 struct fault *fault)
{
    const char *missing = apparmor_missing(gvisor);
    gvisor->apparmor = missing == NULL;
    if (missing != NULL && gvisor->apparmor_mode == SANDBOX_APPARMOR_REQUIRED)
        return fault_set(fault, FAULT_UNAVAILABLE, "AppArmor is required, but %s", missing);
    char version[100];
    if (read_version(gvisor, version, sizeof version, fault) != 0 || observe(gvisor, fault) != 0)
        return -1;
    AUTO_JSON json_t *checks = checks_json(gvisor, version, missing);
    AUTO_JSON json_t *runtime =
        json_pack("{s:s, s:s, s:s}", "name", "gVisor", "version", version, "binary_sha256",
                  digest_format(&gvisor->runsc_sha256).text);
    if (checks == NULL || runtime == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    *ret_checks = TAKE(checks);
    *ret_runtime = TAKE(runtime);
    return 0;
}
