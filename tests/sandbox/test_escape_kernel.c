/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: no call gets the tool out of its namespaces, to privileges, or to what a kernel keeps to
 * itself; and what it learns of itself is what the contract says. */
#include "tests/sandbox/escape.h"

#include <sys/utsname.h>

static void test_mounts_and_namespaces(void **state)
{
    static const struct attempt attempts[] = {
        REFUSED("call mount", "EPERM"),
        REFUSED("call mount_proc", "EPERM"),
        REFUSED("call mount_bind", "EPERM"),
        REFUSED("call remount_rw", "EPERM"),
        REFUSED("call umount", "EPERM"),
        REFUSED("call pivot_root", "EPERM"),
        REFUSED("call fsopen", "ENOSYS"),
        REFUSED("call open_tree", "ENOSYS"),
        REFUSED("call open_by_handle_at", "EOPNOTSUPP"),
        REFUSED("chroot /tmp", "EPERM"),
        REFUSED("call unshare_user", "EPERM"), /* by our filter: see sandbox/bundle.c */
        HARMLESS("call unshare_mount", "done",
                 "gVisor has no such namespaces and ignores the flag: see below"),
        REFUSED("call unshare_net", "EPERM"),
        REFUSED("call unshare_pid", "EPERM"),
        REFUSED("call unshare_ipc", "EPERM"),
        REFUSED("call unshare_uts", "EPERM"),
        HARMLESS("call unshare_cgroup", "done",
                 "gVisor has no such namespaces and ignores the flag: see below"),
        REFUSED("call clone3_user", "ENOSYS"),
        REFUSED("clone 0x10000000", "EPERM"), /* user, by our filter */
        REFUSED("clone 0x30000000", "EPERM"), /* user and pid */
        HARMLESS("clone 0x00020000", "done",
                 "gVisor has no such namespaces and ignores the flag: see below"),
        REFUSED("call mount", "EPERM"),
        REFUSED("clone 0x40000000", "EPERM"), /* net */
        REFUSED("clone 0x20000000", "EPERM"), /* pid */
        REFUSED("setns /proc/self/ns/net", "EOPNOTSUPP"),
        REFUSED("setns /proc/self/ns/user", "EOPNOTSUPP"),
        REFUSED("setns /proc/self/ns/mnt", "ENOENT"),
    };
    escape_attempts(*state, HARNESS_JOB("x"), attempts, ARRAY_LEN(attempts));
}

static void test_privileges(void **state)
{
    static const struct attempt attempts[] = {
        SAYS("who", "who: uid 65534 65534 gid 65534 65534 groups 0 host sandbox pid 1",
             "nobody, in no group"),
        SAYS("privileges", "privileges: no_new_privs 1 capabilities 0 dumpable 1",
             "none, and none to be had"),
        REFUSED("call setuid", "EPERM"),
        REFUSED("call setgid", "EPERM"),
        REFUSED("call setresuid", "EPERM"),
        REFUSED("call setresgid", "EPERM"),
        REFUSED("call setgroups", "EPERM"),
        REFUSED("capset", "EPERM"),
        REFUSED("call prctl_keep_caps", "EINVAL"),
        REFUSED("call prctl_no_new_privs_off", "EINVAL"),
        REFUSED("call prctl_ambient", "EINVAL"),
        REFUSED("raise_limit nofile", "EPERM"),
        REFUSED("raise_limit nproc", "EPERM"),
        REFUSED("raise_limit fsize", "EPERM"),
        REFUSED("raise_limit core", "EPERM"),
        REFUSED("realtime", "EINVAL"),
        HARMLESS("call nice", "done", "gVisor's kernel keeps the number and does not use it"),
        SAYS("who", "who: uid 65534 65534 gid 65534 65534 groups 0 host sandbox pid 1",
             "still nobody"),
        SAYS("privileges", "privileges: no_new_privs 1 capabilities 0 dumpable 1", "still none"),
    };
    escape_attempts(*state, HARNESS_JOB("x"), attempts, ARRAY_LEN(attempts));
}

static void test_what_a_kernel_keeps_to_itself(void **state)
{
    static const struct attempt attempts[] = {
        REFUSED("bpf", "EPERM"),
        REFUSED("call io_uring_setup", "EPERM"), /* by our filter */
        REFUSED("perf_event_open", "ENODEV"),
        REFUSED("call userfaultfd", "ENOSYS"),
        REFUSED("call keyctl", "EACCES"),
        REFUSED("call add_key", "EACCES"),
        REFUSED("call request_key", "EACCES"),
        REFUSED("call kexec_load", "EPERM"),
        REFUSED("call init_module", "EPERM"),
        REFUSED("call finit_module", "EPERM"),
        REFUSED("call delete_module", "EPERM"),
        REFUSED("call reboot", "EPERM"),
        REFUSED("call swapon", "EPERM"),
        REFUSED("call swapoff", "EPERM"),
        REFUSED("call acct", "EPERM"),
        REFUSED("call quotactl", "EPERM"),
        REFUSED("call iopl", "EPERM"),
        REFUSED("call ioperm", "EPERM"),
        REFUSED("call fanotify_init", "ENOSYS"),
        REFUSED("call vhangup", "EPERM"),
        REFUSED("call nfsservctl", "ENOSYS"),
        REFUSED("call pidfd_open", "ENOSYS"),
        REFUSED("call process_madvise", "ENOSYS"),
        REFUSED("call kcmp", "EPERM"),
        REFUSED("call lookup_dcookie", "EPERM"),
        REFUSED("call memfd_secret", "ENOSYS"),
        HARMLESS("call syslog", "done", "gVisor's kernel answers with a log of its own making"),
    };
    escape_attempts(*state, HARNESS_JOB("x"), attempts, ARRAY_LEN(attempts));
}

static void test_names_and_clocks(void **state)
{
    static const struct attempt attempts[] = {
        REFUSED("call sethostname", "EPERM"),   REFUSED("call setdomainname", "EPERM"),
        REFUSED("settimeofday", "EPERM"),       REFUSED("clock_settime", "EPERM"),
        REFUSED("call clock_adjtime", "EPERM"),
    };
    struct utsname before, after;
    assert_int_equal(uname(&before), 0);
    int64_t wall = clock_wall_ms(), monotonic = clock_monotonic_ms();
    escape_attempts(*state, HARNESS_JOB("x"), attempts, ARRAY_LEN(attempts));
    assert_int_equal(uname(&after), 0);
    assert_string_equal(before.nodename, after.nodename);
    int64_t skew = (clock_wall_ms() - wall) - (clock_monotonic_ms() - monotonic);
    assert_in_range(skew + 2000, 0, 4000);
}

static void test_other_processes(void **state)
{
    static const struct attempt attempts[] = {
        REFUSED("ptrace 1", "EPERM"), /* itself */
        REFUSED("ptrace 2", "ESRCH"), /* there is nobody else */
        REFUSED("ptrace 0", "EPERM"), /* a child on its parent */
        REFUSED("vm_read 2", "ENOSYS"),
        REFUSED("kill 2", "ESRCH"),
        REFUSED("kill 1000", "ESRCH"),
        REFUSED("kill -1", "ESRCH"), /* all others: none */
        HARMLESS("traceme", "done", "its tracer would be its parent, and it has none"),
        SAYS("list /proc/self/task", "list /proc/self/task: 1", "itself"),
    };
    escape_attempts(*state, HARNESS_JOB("x"), attempts, ARRAY_LEN(attempts));
}

/* By the tool's own eyes, in the file where programs look. */
static void test_status(void **state)
{
    AUTO_SANDBOX_RESULT struct sandbox_result result = escape_try(*state, "read /proc/self/status");
    harness_expect(&result, SANDBOX_EXITED, 0);
    const char *text = buf_text(&result.output[SANDBOX_STDOUT].stored);
    static const char *const lines[] = {"Pid:\t1 ",
                                        "PPid:\t0 ",
                                        "Uid:\t65534\t65534\t65534\t65534 ",
                                        "Gid:\t65534\t65534\t65534\t65534 ",
                                        "CapInh:\t0000000000000000 ",
                                        "CapPrm:\t0000000000000000 ",
                                        "CapEff:\t0000000000000000 ",
                                        "CapBnd:\t0000000000000000 ",
                                        "Seccomp:\t2 "};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (strstr(text, lines[i]) == NULL)
            fail_msg("no \"%s\" in %s", lines[i], text);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, escape_nothing_left)
    const struct CMUnitTest tests[] = {
        CASE(test_mounts_and_namespaces),
        CASE(test_privileges),
        CASE(test_what_a_kernel_keeps_to_itself),
        CASE(test_names_and_clocks),
        CASE(test_other_processes),
        CASE(test_status),
    };
    return cmocka_run_group_tests(tests, escape_setup, harness_teardown);
}
