/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that ask the kernel for what a tool has no business with: `call NAME`, and identity. */
#include "escape.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TEXT(text) (long)(intptr_t)(text)

static char zeros[256];
static uint64_t clone3_user[11] = {[0] = CLONE_NEWUSER, [4] = SIGCHLD};

/* Arguments that would be right where it were allowed. */
static const struct call {
    const char *name;
    long number;
    long args[6];
} calls[] = {
    {"mount", SYS_mount, {TEXT("none"), TEXT("/tmp"), TEXT("tmpfs"), 0, 0}},
    {"mount_proc", SYS_mount, {TEXT("none"), TEXT("/tmp"), TEXT("proc"), 0, 0}},
    {"mount_bind", SYS_mount, {TEXT("/"), TEXT("/tmp"), 0, 4096, 0}},
    {"remount_rw", SYS_mount, {0, TEXT("/"), 0, 32, 0}},
    {"umount", SYS_umount2, {TEXT("/proc"), 2}},
    {"pivot_root", SYS_pivot_root, {TEXT("/tmp"), TEXT("/tmp")}},
    {"fsopen", SYS_fsopen, {TEXT("tmpfs"), 0}},
    {"open_tree", SYS_open_tree, {AT_FDCWD, TEXT("/"), 1}},
    {"open_by_handle_at", SYS_open_by_handle_at, {AT_FDCWD, TEXT("\10\0\0\0\1\0\0\0\2\0\0\0"), 0}},
    {"keyctl", SYS_keyctl, {0, -3, 1}},
    {"add_key", SYS_add_key, {TEXT("user"), TEXT("x"), TEXT("y"), 1, -3}},
    {"request_key", SYS_request_key, {TEXT("user"), TEXT("x"), 0, -3}},
    {"io_uring_setup", SYS_io_uring_setup, {8, TEXT(zeros), 0}},
    {"userfaultfd", SYS_userfaultfd, {0}},
    {"kexec_load", SYS_kexec_load, {0, 0, 0, 0}},
    {"init_module", SYS_init_module, {TEXT("x"), 1, TEXT("")}},
    {"finit_module", SYS_finit_module, {0, TEXT(""), 0}},
    {"delete_module", SYS_delete_module, {TEXT("x"), 0}},
    {"reboot", SYS_reboot, {(long)0xfee1dead, 672274793, 0x1234567, 0}},
    {"swapon", SYS_swapon, {TEXT("/tmp"), 0}},
    {"swapoff", SYS_swapoff, {TEXT("/tmp")}},
    {"sethostname", SYS_sethostname, {TEXT("x"), 1}},
    {"setdomainname", SYS_setdomainname, {TEXT("x"), 1}},
    {"acct", SYS_acct, {TEXT("/tmp")}},
    {"quotactl", SYS_quotactl, {0, TEXT("/dev/null"), 0, 0}},
    {"syslog", SYS_syslog, {3, TEXT(zeros), 0}},
    {"iopl", SYS_iopl, {3}},
    {"ioperm", SYS_ioperm, {0, 1024, 1}},
    {"fanotify_init", SYS_fanotify_init, {0, 0}},
    {"vhangup", SYS_vhangup, {0}},
    {"nfsservctl", SYS_nfsservctl, {0, 0, 0}},
    {"pidfd_open", SYS_pidfd_open, {1, 0}},
    {"process_madvise", SYS_process_madvise, {-1, 0, 0, 0, 0}},
    {"kcmp", SYS_kcmp, {1, 1, 0, 0, 0}},
    {"lookup_dcookie", SYS_lookup_dcookie, {0, 0, 0}},
    {"clock_adjtime", SYS_clock_adjtime, {0, TEXT(zeros)}},
    {"clone3_user", SYS_clone3, {TEXT(clone3_user), sizeof clone3_user}},
    {"unshare_user", SYS_unshare, {CLONE_NEWUSER}},
    {"unshare_mount", SYS_unshare, {CLONE_NEWNS}},
    {"unshare_net", SYS_unshare, {CLONE_NEWNET}},
    {"unshare_pid", SYS_unshare, {CLONE_NEWPID}},
    {"unshare_ipc", SYS_unshare, {CLONE_NEWIPC}},
    {"unshare_uts", SYS_unshare, {CLONE_NEWUTS}},
    {"unshare_cgroup", SYS_unshare, {CLONE_NEWCGROUP}},
    {"setuid", SYS_setuid, {0}},
    {"setgid", SYS_setgid, {0}},
    {"setresuid", SYS_setresuid, {0, 0, 0}},
    {"setresgid", SYS_setresgid, {0, 0, 0}},
    {"setgroups", SYS_setgroups, {1, TEXT("\0\0\0\0")}},
    {"nice", SYS_setpriority, {PRIO_PROCESS, 0, -20}},
    {"prctl_keep_caps", SYS_prctl, {PR_SET_SECUREBITS, 0x10}},
    {"prctl_no_new_privs_off", SYS_prctl, {PR_SET_NO_NEW_PRIVS, 0}},
    {"prctl_ambient", SYS_prctl, {PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21}},
    {"memfd_secret", SYS_memfd_secret, {0}},
};

static long do_call(char **words)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        const struct call *c = &calls[i];
        const long *a = c->args;
        if (strcmp(c->name, words[0]) == 0)
            return syscall(c->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    errno = EINVAL;
    return -1;
}

/* BPF_MAP_CREATE of an array. */
static long do_bpf(char **words)
{
    (void)words;
    char attributes[128] = {2, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1};
    return syscall(SYS_bpf, 0, attributes, sizeof attributes);
}

static long do_perf(char **words)
{
    (void)words;
    char attributes[128] = {1, 0, 0, 0, sizeof attributes};
    return syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0);
}

static long do_settimeofday(char **words)
{
    (void)words;
    struct timeval time = {.tv_sec = 1};
    return settimeofday(&time, NULL);
}

static long do_clock_settime(char **words)
{
    (void)words;
    struct timespec time = {.tv_sec = 1};
    return clock_settime(CLOCK_REALTIME, &time);
}

static long do_capset(char **words)
{
    (void)words;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{~0U, ~0U, 0}, {~0U, ~0U, 0}};
    return syscall(SYS_capset, &header, data);
}

static long do_setns(char **words)
{
    int fd = open(words[0], O_RDONLY);
    return fd < 0 ? -1 : setns(fd, 0);
}

static long do_clone_namespaces(char **words)
{
    long pid = syscall(SYS_clone, number(words[0]) | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return pid;
}

static const struct {
    const char *name;
    int resource;
} resources[] = {{"nofile", RLIMIT_NOFILE},
                 {"nproc", RLIMIT_NPROC},
                 {"fsize", RLIMIT_FSIZE},
                 {"core", RLIMIT_CORE}};

static long do_raise(char **words)
{
    struct rlimit limit;
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        if (strcmp(resources[i].name, words[0]) != 0)
            continue;
        if (getrlimit(resources[i].resource, &limit) != 0)
            return -1;
        limit.rlim_cur = limit.rlim_max = limit.rlim_max + 1;
        return setrlimit(resources[i].resource, &limit);
    }
    errno = EINVAL;
    return -1;
}

static long do_realtime(char **words)
{
    (void)words;
    struct sched_param parameters = {.sched_priority = 50};
    return sched_setscheduler(0, SCHED_FIFO, &parameters);
}

/* A child looks into its parent. */
static long in_child(long (*what)(pid_t parent))
{
    pid_t parent = getpid(), child = fork();
    int status;
    if (child == 0)
        _exit(what(parent) < 0 ? errno : 0);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
    return errno == 0 ? 0 : -1;
}

static long attach(pid_t parent)
{
    return ptrace(PTRACE_ATTACH, parent, NULL, NULL);
}

static long do_ptrace(char **words)
{
    pid_t target = (pid_t)number(words[0]);
    return target == 0 ? in_child(attach) : attach(target);
}

static long do_traceme(char **words)
{
    (void)words;
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long do_vm_read(char **words)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {&byte, 1};
    return process_vm_readv((pid_t)number(words[0]), &here, 1, &there, 1, 0);
}

static long do_who(char **words)
{
    (void)words;
    struct utsname name;
    uname(&name);
    printf("who: uid %d %d gid %d %d groups %d host %s pid %d\n", (int)getuid(), (int)geteuid(),
           (int)getgid(), (int)getegid(), getgroups(0, NULL), name.nodename, (int)getpid());
    return QUIET;
}

static long do_privileges(char **words)
{
    (void)words;
    int bounding = 0;
    for (int cap = 0; cap <= 40; cap++)
        bounding += prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1;
    printf("privileges: no_new_privs %d capabilities %d dumpable %d\n",
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), bounding, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
    return QUIET;
}

const struct step steps_kernel[] = {
    {"call", 1, do_call},
    {"bpf", 0, do_bpf},
    {"perf_event_open", 0, do_perf},
    {"settimeofday", 0, do_settimeofday},
    {"clock_settime", 0, do_clock_settime},
    {"capset", 0, do_capset},
    {"setns", 1, do_setns},
    {"clone", 1, do_clone_namespaces},
    {"raise_limit", 1, do_raise},
    {"realtime", 0, do_realtime},
    {"ptrace", 1, do_ptrace},
    {"traceme", 0, do_traceme},
    {"vm_read", 1, do_vm_read},
    {"who", 0, do_who},
    {"privileges", 0, do_privileges},
    {NULL, 0, NULL},
};
