/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the tool reads nothing of the host's files and writes nowhere but in its own /tmp, by
 * whatever path it goes. */
#include "tests/sandbox/escape.h"

/* ---- reading ---- */

static void test_the_hosts_files_by_every_path(void **state)
{
    static const struct attempt attempts[] = {
        REFUSED("read /etc/passwd", "ENOENT"), /* the artifact has no /etc, and nobody else's is */
        REFUSED("read /etc/shadow", "ENOENT"),
        REFUSED("read %/canary", "ENOENT"),
        REFUSED("read /../../../../%/canary", "ENOENT"),
        REFUSED("read /proc/1/root%/canary", "ENOENT"),
        REFUSED("read /proc/self/root/..%/canary", "ENOENT"),
        REFUSED("read /proc/self/cwd/../..%/canary", "ENOENT"),
        REFUSED("read /proc/thread-self/root%/canary", "ENOENT"),
        REFUSED("read /proc/self/fd/0/../canary", "ENOTDIR"),
        REFUSED("read /in/../../..%/canary", "ENOENT"),
        REFUSED("read /run/sallyport/../config.json", "ENOENT"),
        REFUSED("read /run/sallyport/../../config.json", "ENOENT"),
        REFUSED("read /in/../runtime/run.log", "ENOENT"),
        REFUSED("read /proc/2/environ", "ENOENT"), /* no process but its own */
        REFUSED("read /proc/2/root/etc/passwd", "ENOENT"),
        REFUSED("setns /proc/1/ns/mnt", "ENOENT"),
        REFUSED("symlink /etc/shadow /tmp/soft", "done"), /* a name, in its own root */
        REFUSED("read /tmp/soft", "ENOENT"),
        REFUSED("symlink %/canary /tmp/canary", "done"),
        REFUSED("read /tmp/canary", "ENOENT"),
        REFUSED("symlink / /tmp/root", "done"),
        REFUSED("read /tmp/root%/canary", "EISDIR"), /* gVisor stops at such a link: its own / */
        REFUSED("go /proc/1/root", "done"),
        REFUSED("go ../../..", "done"),
        SAYS("list .", "list .: bin dev in open proc run sys tmp", "its own root is the top"),
    };
    escape_attempts(*state, HARNESS_JOB("x"), attempts, ARRAY_LEN(attempts));
}

static void test_what_it_was_born_with(void **state)
{
    static const struct attempt attempts[] = {
        SAYS("descriptors", "descriptors: 0 1 2", "its streams, and none of the worker's"),
        SAYS("list /run", "list /run: sallyport", "the manifest's place"),
        SAYS("list /run/sallyport", "list /run/sallyport: manifest.json", "its own manifest"),
        SAYS("list /in", "list /in:", "no input was asked for"),
        SAYS("list /sys/fs/cgroup", "list /sys/fs/cgroup:", "no group is to be seen"),
        SAYS("list /dev/shm", "list /dev/shm:", "empty, and its own"),
        SAYS("list /proc",
             "list /proc: 1 cgroups cmdline cpuinfo filesystems loadavg meminfo mounts net self "
             "sentry-meminfo stat sys thread-self uptime version",
             "made by gVisor's kernel; of the host it tells how much memory there is"),
        SAYS("read /proc/version",
             "read /proc/version: Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016 ",
             "gVisor's, not the host's"),
        SAYS("read /proc/cmdline", "read /proc/cmdline: BOOT_IMAGE=/vmlinuz-4.4.0-gvisor quiet ",
             "gVisor's, not the host's"),
        SAYS("read /proc/self/cgroup", "read /proc/self/cgroup: ", "its group has no name here"),
        SAYS("read /proc/1/environ", "read /proc/1/environ: HOME=/tmp ",
             "its own, without any of the worker's"),
        SAYS("read /proc/sys/kernel/hostname", "read /proc/sys/kernel/hostname: sandbox ",
             "not the host's"),
    };
    escape_attempts(*state, HARNESS_JOB("x"), attempts, ARRAY_LEN(attempts));
}

static void test_devices_and_the_kernels_files(void **state)
{
    static const struct attempt attempts[] = {
        REFUSED("read /dev/mem", "ENOENT"),
        REFUSED("read /dev/kmem", "ENOENT"),
        REFUSED("read /dev/kmsg", "ENOENT"),
        REFUSED("read /dev/sda", "ENOENT"),
        REFUSED("read /dev/vda", "ENOENT"),
        REFUSED("read /dev/kvm", "ENOENT"),
        REFUSED("read /dev/fuse", "EPERM"),
        REFUSED("read /dev/tty", "EIO"), /* it has no terminal */
        REFUSED("read /proc/kcore", "ENOENT"),
        REFUSED("read /proc/kallsyms", "ENOENT"),
        REFUSED("read /proc/keys", "ENOENT"),
        REFUSED("read /sys/kernel/security/apparmor/profiles", "ENOENT"),
        REFUSED("read /sys/firmware/efi", "ENOENT"),
        REFUSED("mknod_disk /dev/disk", "EACCES"),
        HARMLESS("mknod_disk /tmp/disk", "done", "a name for a device gVisor's kernel has not"),
        REFUSED("read /tmp/disk", "ENXIO"),
        REFUSED("write /tmp/disk", "ENXIO"),
        HARMLESS("mknod_memory /tmp/memory", "done", "as above"),
        REFUSED("read /tmp/memory", "ENXIO"),
    };
    escape_attempts(*state, HARNESS_JOB("x"), attempts, ARRAY_LEN(attempts));
}

/* ---- writing ---- */

static void test_nothing_but_tmp_can_be_written(void **state)
{
    static const struct attempt attempts[] = {
        REFUSED("write /open/new", "EROFS"), /* anybody may write there, but for its mount */
        REFUSED("write /open/file", "EROFS"),
        REFUSED("truncate /open/file", "EROFS"),
        REFUSED("mkdir /open/folder", "EROFS"),
        REFUSED("unlink /open/file", "EROFS"),
        REFUSED("rename /open/file /open/other", "EROFS"),
        REFUSED("symlink /tmp /open/link", "EROFS"),
        REFUSED("link /open/file /open/hard", "EROFS"),
        REFUSED("mknod_disk /open/disk", "EROFS"),
        REFUSED("chmod /open/file", "EPERM"),
        REFUSED("chown /open/file", "EPERM"),
        REFUSED("write /bin/escape", "EACCES"),
        REFUSED("unlink /bin/escape", "EACCES"),
        REFUSED("map_write /open/file", "EACCES"),
        REFUSED("write /in/new", "EACCES"),
        REFUSED("write /run/new", "EACCES"),
        REFUSED("write /run/sallyport/manifest.json", "EACCES"),
        REFUSED("unlink /run/sallyport/manifest.json", "EACCES"),
        REFUSED("write /dev/new", "EACCES"),
        REFUSED("write /dev/shm/new", "EACCES"),
        REFUSED("write /sys/new", "EACCES"),
        REFUSED("write /proc/new", "EACCES"),
        REFUSED("write %/canary.open", "ENOENT"),
        REFUSED("write /proc/1/root%/canary.open", "ENOENT"),
        REFUSED("link /open/file /tmp/hard", "EXDEV"),
        REFUSED("link /run/sallyport/manifest.json /tmp/hard", "EXDEV"),
        REFUSED("rename /run/sallyport/manifest.json /tmp/manifest", "EXDEV"),
        REFUSED("symlink /open/file /tmp/soft", "done"),
        REFUSED("write /tmp/soft", "EROFS"),
        REFUSED("symlink / /tmp/up", "done"),
        REFUSED("write /tmp/up/open/new", "EACCES"),
        HARMLESS("write /tmp/new", "done", "the one place that is its own, and ends with it"),
    };
    escape_attempts(*state, HARNESS_JOB("x"), attempts, ARRAY_LEN(attempts));
}

static void test_the_kernels_settings(void **state)
{
    static const struct attempt attempts[] = {
        REFUSED("tell /proc/sysrq-trigger b", "ENOENT"),
        REFUSED("tell /proc/sys/kernel/hostname x", "EACCES"),
        REFUSED("tell /proc/sys/kernel/core_pattern |/tmp/x", "ENOENT"),
        REFUSED("tell /proc/sys/kernel/modprobe /tmp/x", "ENOENT"),
        REFUSED("tell /proc/sys/net/ipv4/ip_forward 1", "EACCES"),
        REFUSED("tell /proc/self/uid_map 0", "EINVAL"),
        REFUSED("tell /proc/self/mem x", "EACCES"),
        REFUSED("tell /sys/power/state mem", "ENOENT"),
        REFUSED("tell /sys/fs/cgroup/cgroup.procs 1", "ENOENT"),
        HARMLESS("tell /proc/self/oom_score_adj -1000", "done",
                 "told to gVisor's kernel; the host's view is the worker's"),
    };
    escape_attempts(*state, HARNESS_JOB("x"), attempts, ARRAY_LEN(attempts));
}

/* ---- executing what was not approved ---- */

struct programs {
    char fixed[160], dynamic[160], script[160], library[160];
    struct sandbox_input inputs[4];
};

static void compile(const char *source, const char *flag, const char *to)
{
    char code[160];
    (void)snprintf(code, sizeof code, "%s.c", to);
    escape_write(code, source, 0600);
    const char *const command[] = {"gcc", "-fPIC", flag, "-o", to, code, NULL};
    assert_int_equal(harness_command(command), 0);
    assert_int_equal(unlink(code), 0);
    assert_int_equal(chmod(to, 0755), 0);
}

/* A program of each kind to be brought along, and the host's loader in the approved root. */
static void bring_programs(const struct harness *harness, struct programs *programs)
{
    (void)escape_path(harness, "/fixed", programs->fixed, sizeof programs->fixed);
    (void)escape_path(harness, "/dynamic", programs->dynamic, sizeof programs->dynamic);
    (void)escape_path(harness, "/script", programs->script, sizeof programs->script);
    (void)escape_path(harness, "/library", programs->library, sizeof programs->library);
    static const char hello[] = "#include <stdio.h>\nint main(void) { puts(\"ran\"); }\n";
    compile(hello, "-static", programs->fixed);
    compile(hello, "-O1", programs->dynamic);
    compile("#include <stdio.h>\n"
            "__attribute__((constructor)) static void in(void) { puts(\"preloaded\"); }\n",
            "-shared", programs->library);
    escape_write(programs->script, "#!/bin/escape print\n", 0755);
    const struct sandbox_input inputs[] = {{"fixed", programs->fixed},
                                           {"dynamic", programs->dynamic},
                                           {"script", programs->script},
                                           {"library", programs->library}};
    memcpy(programs->inputs, inputs, sizeof inputs);
    char root[200];
    harness_make_folder(harness->root, "/lib64");
    harness_make_folder(harness->root, "/lib/x86_64-linux-gnu");
    (void)snprintf(root, sizeof root, "%s/lib64", harness->root);
    const char *const loader[] = {"cp", "/lib64/ld-linux-x86-64.so.2", root, NULL};
    assert_int_equal(harness_command(loader), 0);
    (void)snprintf(root, sizeof root, "%s/lib/x86_64-linux-gnu", harness->root);
    const char *const libc[] = {"cp", "/lib/x86_64-linux-gnu/libc.so.6", root, NULL};
    assert_int_equal(harness_command(libc), 0);
}

static void remove_programs(const struct harness *harness, const struct programs *programs)
{
    char path[160];
    struct fault fault = {0};
    for (size_t i = 0; i < ARRAY_LEN(programs->inputs); i++)
        assert_int_equal(unlink(programs->inputs[i].path), 0);
    assert_int_equal(dir_remove(escape_path(harness, "/root/lib64", path, sizeof path), &fault), 0);
    assert_int_equal(dir_remove(escape_path(harness, "/root/lib", path, sizeof path), &fault), 0);
}

/*
 * noexec keeps the kernel from starting a file of /in or /tmp. It keeps nobody from running their
 * bytes: an approved loader or interpreter maps what it is told to, and a program can put code
 * into memory. What runs so is in the same sandbox with the same rights, which is why approving an
 * interpreter approves all it can be told, and why a descriptor can never allow LD_* names.
 */
static void test_programs_that_were_brought_along(void **state)
{
    struct harness *harness = *state;
    struct programs programs;
    bring_programs(harness, &programs);
    struct sandbox_job job = HARNESS_JOB("x");
    job.inputs = programs.inputs;
    job.input_count = ARRAY_LEN(programs.inputs);
    static const struct attempt refused[] = {
        REFUSED("execute /in/fixed", "EACCES"),
        REFUSED("execute /in/dynamic", "EACCES"),
        REFUSED("execute /in/script", "EACCES"),
        REFUSED("copy /in/fixed /tmp/fixed", "done"),
        REFUSED("chmod /tmp/fixed", "done"),
        REFUSED("execute /tmp/fixed", "EACCES"),
        REFUSED("copy /in/script /tmp/script", "done"),
        REFUSED("execute /tmp/script", "EACCES"),
        REFUSED("symlink /in/fixed /tmp/link", "done"),
        REFUSED("execute /tmp/link", "EACCES"),
        REFUSED("execute /run/sallyport/manifest.json", "EACCES"),
        REFUSED("write /in/fixed", "EACCES"),
        REFUSED("map_write /in/fixed", "EACCES"),
        REFUSED("link /in/fixed /tmp/hard", "EXDEV"),
        REFUSED("rename /in/fixed /tmp/moved", "EXDEV"),
    };
    escape_attempts(harness, job, refused, ARRAY_LEN(refused));

    AUTO_SANDBOX_RESULT struct sandbox_result by_loader =
        escape_try_with(harness, job, "execute_by /lib64/ld-linux-x86-64.so.2 /in/dynamic");
    harness_expect(&by_loader, SANDBOX_EXITED, 0);
    expect_stdout(&by_loader, "ran\n");
    AUTO_SANDBOX_RESULT struct sandbox_result preloaded =
        escape_try_with(harness, job, "set LD_PRELOAD /in/library",
                        "execute_by /lib64/ld-linux-x86-64.so.2 /in/dynamic");
    expect_stdout(&preloaded, "set LD_PRELOAD /in/library: done\npreloaded\nran\n");
    AUTO_SANDBOX_RESULT struct sandbox_result from_memory =
        escape_try_with(harness, job, "execute_memory /in/fixed");
    expect_stdout(&from_memory, "ran\n");
    remove_programs(harness, &programs);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, escape_nothing_left)
    const struct CMUnitTest tests[] = {
        CASE(test_the_hosts_files_by_every_path), CASE(test_what_it_was_born_with),
        CASE(test_devices_and_the_kernels_files), CASE(test_nothing_but_tmp_can_be_written),
        CASE(test_the_kernels_settings),          CASE(test_programs_that_were_brought_along),
    };
    return cmocka_run_group_tests(tests, escape_setup, harness_teardown);
}
