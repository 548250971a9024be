/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if !defined(SANITIZED)
#define SANITIZED 0
#endif

#if SANITIZED
/* Its leak check traces this process from another, which the filter refuses. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

static int set_limits_of(__rlimit_resource_t resource, int64_t soft, int64_t hard,
                         struct fault *fault)
{
    struct rlimit limit = {.rlim_cur = (rlim_t)soft, .rlim_max = (rlim_t)hard};
    return setrlimit(resource, &limit) == 0 ? 0 : fault_errno(fault, "cannot set a limit");
}

static int set_limit(__rlimit_resource_t resource, int64_t value, struct fault *fault)
{
    return set_limits_of(resource, value, value, fault);
}

static int set_limits(const struct confinement *confinement, struct fault *fault)
{
    /* Past the file size a write is to fail, not to kill: the reason is wanted. */
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
        return fault_errno(fault, "cannot ignore SIGXFSZ");
    if (!SANITIZED && /* whose shadow is terabytes of address space */
        set_limit(RLIMIT_AS, confinement->memory_bytes, fault) != 0)
        return -1;
    /* SIGXCPU comes first and is handled; SIGKILL is then the host's own. */
    return set_limits_of(RLIMIT_CPU, confinement->cpu_seconds, confinement->cpu_seconds + 1,
                         fault) != 0 ||
                   set_limit(RLIMIT_FSIZE, confinement->file_bytes, fault) != 0 ||
                   set_limit(RLIMIT_NOFILE, 16, fault) != 0 || set_limit(RLIMIT_CORE, 0, fault) != 0
               ? -1
               : 0;
}

static int change_root(const struct confinement *confinement, int *ret_root, struct fault *fault)
{
    if (fchdir(confinement->folder) != 0 || chroot(".") != 0 || chdir("/") != 0)
        return fault_errno(fault, "cannot enter the folder");
    AUTO_CLOSE int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return fault_errno(fault, "cannot open the folder");
    *ret_root = TAKE_FD(root);
    return 0;
}

static int drop_privileges(const struct confinement *confinement, struct fault *fault)
{
    uid_t uid = confinement->uid;
    gid_t gid = confinement->gid;
    if (uid == 0 || gid == 0)
        return fault_set(fault, FAULT_INTERNAL, "it may not run as root");
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return fault_errno(fault, "cannot change to user %u", (unsigned)uid);
    if (setresuid(0, 0, 0) == 0)
        return fault_set(fault, FAULT_INTERNAL, "could become root again");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fault_errno(fault, "cannot give up new privileges");
    /* Changing the user forgot it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return fault_errno(fault, "cannot be tied to the parent");
    return 0;
}

static const int allowed[] = {
    /* the archive, and the reason on standard error */
    SCMP_SYS(read),
    SCMP_SYS(pread64),
    SCMP_SYS(lseek),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(close),
    /* the folder, which is the root */
    SCMP_SYS(openat2),
    SCMP_SYS(mkdirat),
    SCMP_SYS(symlinkat),
    SCMP_SYS(linkat),
    SCMP_SYS(pwrite64),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fchmod),
    /* what a layer of an image replaces: listed, removed; links, whose text is read */
    SCMP_SYS(getdents64),
    SCMP_SYS(unlinkat),
    SCMP_SYS(readlinkat),
    /* memory, time and the end */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getrandom),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
#if SANITIZED
    /* what its report of an error takes */
    SCMP_SYS(sigaltstack),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(sched_yield),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(prctl),
#endif
};

/* Asked for by libc on the way to something it can do without. */
static const int answered_enoent[] = {SCMP_SYS(openat), SCMP_SYS(open), SCMP_SYS(readlink)};

static int filter_rules(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
        int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
        if (result != 0)
            return result;
    }
    for (size_t i = 0; i < ARRAY_LEN(answered_enoent); i++) {
        int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOENT), answered_enoent[i], 0);
        if (result != 0)
            return result;
    }
    /* Memory, but never code. */
    static const int mapping[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
    for (size_t i = 0; i < ARRAY_LEN(mapping); i++) {
        int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, mapping[i], 1,
                                      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (result != 0)
            return result;
    }
    return 0;
}

static int load_filter(struct fault *fault)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (filter == NULL)
        return fault_set(fault, FAULT_INTERNAL, "cannot make a filter");
    int result = filter_rules(filter);
    if (result == 0)
        result = seccomp_load(filter);
    seccomp_release(filter);
    errno = -result;
    return result == 0 ? 0 : fault_errno(fault, "cannot load the filter");
}

int confine_enter(const struct confinement *confinement, int *ret_root, struct fault *fault)
{
    AUTO_CLOSE int root = -1;
    if (change_root(confinement, &root, fault) != 0 || set_limits(confinement, fault) != 0 ||
        drop_privileges(confinement, fault) != 0 || load_filter(fault) != 0)
        return -1;
    *ret_root = TAKE_FD(root);
    return 0;
}
