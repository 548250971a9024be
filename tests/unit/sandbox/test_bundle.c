/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "sandbox/bundle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char *const argv[] = {"/bin/yara", "-r", "über \"quoted\"", NULL};
static const char *const env[] = {"LANG=C", NULL};

static struct sandbox_job job(void)
{
    return (struct sandbox_job){
        .id = "01900000-0000-7000-8000-000000000001",
        .rootfs = "/nowhere/root",
        .argv = argv,
        .env = env,
        .workdir = "/tmp",
        .manifest = span_text("{\"a\":1}"),
        .limits = {.wall_ms = 1000,
                   .memory_bytes = 1 << 20,
                   .pids = 7,
                   .cpu_percent = 100,
                   .tmp_bytes = 8192,
                   .open_files = 20,
                   .file_size_bytes = INT64_C(5) << 32,
                   .stdout_bytes = 10,
                   .stderr_bytes = 10},
        .cancel_fd = -1,
    };
}

/* Every byte the runtime is told: a change here is a change of the sandbox. */
static const char golden[] =
    "{\"ociVersion\":\"1.0.2\","
    "\"process\":{\"terminal\":false,\"user\":{\"uid\":65534,\"gid\":65534},"
    "\"args\":[\"/bin/yara\",\"-r\",\"über \\\"quoted\\\"\"],"
    "\"env\":[\"LANG=C\",\"HOME=/tmp\"],\"cwd\":\"/tmp\","
    "\"capabilities\":{\"bounding\":[],\"effective\":[],\"inheritable\":[],\"permitted\":[],"
    "\"ambient\":[]},"
    "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":20,\"soft\":20},"
    "{\"type\":\"RLIMIT_FSIZE\",\"hard\":21474836480,\"soft\":21474836480},"
    "{\"type\":\"RLIMIT_NPROC\",\"hard\":7,\"soft\":7},"
    "{\"type\":\"RLIMIT_CORE\",\"hard\":0,\"soft\":0}],\"noNewPrivileges\":true},"
    "\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"sandbox\","
    "\"mounts\":["
    "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\","
    "\"options\":[\"rw\",\"noexec\",\"nosuid\",\"nodev\"]},"
    "{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\","
    "\"options\":[\"ro\",\"noexec\",\"nosuid\",\"nodev\"]},"
    "{\"destination\":\"/tmp\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
    "\"options\":[\"mode=1777\",\"noexec\",\"nosuid\",\"nodev\",\"size=8192\"]},"
    "{\"destination\":\"/in\",\"type\":\"bind\",\"source\":\"in\","
    "\"options\":[\"ro\",\"noexec\",\"nosuid\",\"nodev\"]},"
    "{\"destination\":\"/run/sallyport\",\"type\":\"bind\",\"source\":\"sallyport\","
    "\"options\":[\"ro\",\"noexec\",\"nosuid\",\"nodev\"]}],"
    "\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},"
    "{\"type\":\"uts\"},{\"type\":\"mount\"},{\"type\":\"cgroup\"}],"
    "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86_64\"],"
    "\"syscalls\":["
    "{\"names\":[\"unshare\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":0,"
    "\"value\":268435456,\"valueTwo\":268435456,\"op\":\"SCMP_CMP_MASKED_EQ\"}]},"
    "{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":0,"
    "\"value\":268435456,\"valueTwo\":268435456,\"op\":\"SCMP_CMP_MASKED_EQ\"}]},"
    "{\"names\":[\"io_uring_setup\"],\"action\":\"SCMP_ACT_ERRNO\"}]}}}";

static void test_config_is_exactly_this(void **state)
{
    (void)state;
    struct sandbox_job ours = job();
    AUTO_JSON json_t *config = NULL;
    struct fault fault = {0};
    assert_int_equal(bundle_config(&ours, 65534, 65534, &config, &fault), 0);
    AUTO_FREE char *text = json_dumps(config, JSON_COMPACT);
    assert_string_equal(text, golden);
}

static void test_defaults(void **state)
{
    (void)state;
    struct sandbox_job ours = job();
    ours.env = (const char *const[]){"HOME=/", NULL};
    ours.workdir = NULL;
    AUTO_JSON json_t *config = NULL;
    struct fault fault = {0};
    assert_int_equal(bundle_config(&ours, 1, 2, &config, &fault), 0);
    const json_t *process = json_object_get(config, "process");
    assert_string_equal(json_string_value(json_object_get(process, "cwd")), "/");
    const json_t *set = json_object_get(process, "env");
    assert_int_equal(json_array_size(set), 1);
    assert_string_equal(json_string_value(json_array_get(set, 0)), "HOME=/");
}

static void assert_user(const struct sandbox_job *ours, int uid, int gid)
{
    AUTO_JSON json_t *config = NULL;
    struct fault fault = {0};
    assert_int_equal(bundle_config(ours, 1, 2, &config, &fault), 0);
    const json_t *user = json_object_get(json_object_get(config, "process"), "user");
    assert_int_equal(json_integer_value(json_object_get(user, "uid")), uid);
    assert_int_equal(json_integer_value(json_object_get(user, "gid")), gid);
}

/* A job's own stands above the configuration's; 0 is never root but none. */
static void test_user(void **state)
{
    (void)state;
    struct sandbox_job ours = job();
    assert_user(&ours, 1, 2);
    ours.uid = 1000;
    assert_user(&ours, 1000, 2);
    ours.gid = 50;
    assert_user(&ours, 1000, 50);
    ours.uid = 0;
    assert_user(&ours, 1, 50);
}

static void test_text_that_is_not_utf8(void **state)
{
    (void)state;
    struct sandbox_job ours = job();
    AUTO_JSON json_t *config = NULL;
    struct fault fault = {0};
    ours.argv = (const char *const[]){"/bin/x", "\xff", NULL};
    assert_int_equal(bundle_config(&ours, 1, 1, &config, &fault), -1);
    assert_int_equal(fault.code, FAULT_MANIFEST_INVALID);
    ours.argv = argv;
    ours.env = (const char *const[]){"A=\xc0\x80", NULL};
    assert_int_equal(bundle_config(&ours, 1, 1, &config, &fault), -1);
    assert_null(config);
}

/* ---- the folder ---- */

static int setup(void **state)
{
    static char folder[64];
    (void)snprintf(folder, sizeof folder, "/tmp/sallyport-bundle.XXXXXX");
    *state = folder;
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    struct fault fault = {0};
    return dir_remove(*state, &fault);
}

static void write_file(const char *folder, const char *name, mode_t mode, char *ret_path)
{
    (void)snprintf(ret_path, 128, "%s/%s", folder, name);
    AUTO_CLOSE int fd = open(ret_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "input", 5), 5);
    assert_int_equal(fchmod(fd, mode), 0);
}

static void expect_file(const struct bundle *bundle, const char *name, const char *content)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", bundle_folder(bundle), name);
    AUTO_BUF struct buf buf = BUF(4096);
    struct fault fault = {0};
    struct stat stat;
    assert_int_equal(file_read(path, &buf, &fault), 0);
    assert_string_equal(buf_text(&buf), content);
    assert_int_equal(lstat(path, &stat), 0);
    assert_int_equal(stat.st_mode & 0022, 0);
}

static size_t count_entries(const char *path)
{
    DIR *dir = opendir(path);
    assert_non_null(dir);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

static void test_made_and_removed(void **state)
{
    const char *folder = *state;
    char input[128];
    write_file(folder, "input", 0444, input);
    struct sandbox_input inputs[] = {{"one", input}, {"two words", input}};
    struct sandbox_job ours = job();
    ours.inputs = inputs;
    ours.input_count = ARRAY_LEN(inputs);
    struct bundle *bundle = NULL;
    struct fault fault = {0};
    assert_int_equal(bundle_make(folder, &ours, 65534, 65534, &bundle, &fault), 0);
    expect_file(bundle, "config.json", golden);
    expect_file(bundle, "sallyport/manifest.json", "{\"a\":1}");
    expect_file(bundle, "in/one", "input");
    expect_file(bundle, "in/two words", "input");
    struct stat stat;
    assert_int_equal(lstat(bundle_folder(bundle), &stat), 0);
    assert_int_equal(stat.st_mode & 07777, 0700);

    struct bundle *again = NULL; /* an id is used once */
    assert_int_equal(bundle_make(folder, &ours, 1, 1, &again, &fault), -1);
    assert_int_equal(count_entries(folder), 2);
    assert_int_equal(bundle_remove(bundle, &fault), 0);
    assert_int_equal(count_entries(folder), 1);
    assert_int_equal(unlink(input), 0);
    assert_int_equal(bundle_remove(NULL, &fault), 0);
}

static void test_refused_inputs_leave_nothing(void **state)
{
    const char *folder = *state;
    char readable[128], writable[128], hidden[128], way[128];
    write_file(folder, "readable", 0444, readable);
    write_file(folder, "writable", 0446, writable);
    write_file(folder, "hidden", 0440, hidden);
    (void)snprintf(way, sizeof way, "%s/link", folder);
    assert_int_equal(symlink(readable, way), 0);
    const struct sandbox_input refused[][2] = {
        {{"a", readable}, {"a", readable}}, {{"a", readable}, {"b", writable}},
        {{"a", readable}, {"b", hidden}},   {{"a", readable}, {"b", way}},
        {{"a", readable}, {"b", folder}},   {{"a", readable}, {"b", "/nonexistent/file"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct sandbox_job ours = job();
        ours.inputs = refused[i];
        ours.input_count = 2;
        struct bundle *bundle = NULL;
        struct fault fault = {0};
        assert_int_equal(bundle_make(folder, &ours, 1, 1, &bundle, &fault), -1);
        assert_null(bundle);
        assert_true(fault.detail[0] != '\0');
        assert_int_equal(count_entries(folder), 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_is_exactly_this),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_user),
        cmocka_unit_test(test_text_that_is_not_utf8),
        cmocka_unit_test_setup_teardown(test_made_and_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_inputs_leave_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
