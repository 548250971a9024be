/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: an image becomes exactly the tree its layers make one over the other, and says how it is
 * started; or it is refused with a reason. Whatever it says, nothing outside its folder is
 * touched. The images are made by images.py. */
#include "tests/sandbox/unpacking.h"

static int setup(void **state)
{
    static struct unpacking unpacking;
    unpacking_begin(&unpacking, TEST_DATA "/../sandbox/images.py");
    *state = &unpacking;
    return 0;
}

/* Unpacks into a fresh folder. */
static int unpack(struct unpacking *unpacking, const char *name, struct image **image,
                  struct fault *fault)
{
    struct tree_sum sum;
    AUTO_FREE char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", unpacking->samples, name) > 0);
    AUTO_CLOSE int fd = unpacking_open(unpacking, path, fault);
    return unpack_image(&unpacking->config, fd, unpacking->target, -1, &sum, image, fault);
}

/* ---- the tree ---- */

static bool is_mount_point(const char *path)
{
    static const char *const names[] = {"proc", "dev", "sys", "tmp", "in", "run", "run/sallyport"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(path, names[i]) == 0)
            return true;
    }
    return false;
}

/* What an entry is, as images.py says it; only the modes and owners the contract allows. */
static json_t *tell(const char *path)
{
    struct stat stat;
    char target[256] = "-> ";
    AUTO_BUF struct buf content = BUF(65536);
    struct fault fault = {0};
    assert_int_equal(lstat(path, &stat), 0);
    assert_int_equal(stat.st_uid | stat.st_gid, 0);
    if (S_ISLNK(stat.st_mode)) {
        assert_true(readlink(path, target + 3, sizeof target - 4) > 0);
        return json_string(target);
    }
    if (S_ISDIR(stat.st_mode)) {
        assert_int_equal(stat.st_mode & 07777, 0755);
        return json_string("/");
    }
    assert_true(S_ISREG(stat.st_mode));
    assert_true((stat.st_mode & 07777) == 0644 || (stat.st_mode & 07777) == 0755);
    assert_int_equal(file_read(path, &content, &fault), 0);
    return json_string(buf_text(&content));
}

/* Everything below root/path but the sandbox's mount points, which are there in any case. */
static void collect(const char *root, const char *path, json_t *tree)
{
    AUTO_FREE char *folder = NULL;
    assert_true(asprintf(&folder, "%s/%s", root, path) > 0);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        AUTO_FREE char *inner = NULL;
        AUTO_FREE char *whole = NULL;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        assert_true(asprintf(&inner, "%s%s%s", path, *path == '\0' ? "" : "/", entry->d_name) > 0);
        assert_true(asprintf(&whole, "%s/%s", root, inner) > 0);
        json_t *said = tell(whole);
        bool is_folder = strcmp(json_string_value(said), "/") == 0;
        if (is_mount_point(inner)) {
            assert_true(is_folder);
            json_decref(said);
        } else {
            assert_int_equal(json_object_set_new(tree, inner, said), 0);
        }
        if (is_folder)
            collect(root, inner, tree);
    }
    (void)closedir(dir);
}

/* ---- judging ---- */

static void assert_same_json(const char *name, const char *what, const json_t *found,
                             const char *expected)
{
    AUTO_JSON json_t *wanted = json_loads(expected, 0, NULL);
    assert_non_null(wanted);
    if (json_equal(found, wanted))
        return;
    AUTO_FREE char *text = json_dumps(found, JSON_COMPACT | JSON_SORT_KEYS);
    fail_msg("%s: its %s is %s, expected %s", name, what, text, expected);
}

static void judge_ok(struct unpacking *unpacking, const char *name, const char *start,
                     const char *tree)
{
    struct fault fault = {0};
    AUTO_IMAGE struct image *image = NULL;
    if (unpack(unpacking, name, &image, &fault) != 0)
        fail_msg("%s: refused: %s", name, fault.detail);
    assert_canary_lives(unpacking, name);
    AUTO_JSON json_t *said =
        json_loadb((const char *)image->json.data, image->json.len, JSON_REJECT_DUPLICATES, NULL);
    assert_same_json(name, "start", said, start);
    AUTO_JSON json_t *found = json_object();
    collect(unpacking->target, "", found);
    if (*tree != '\0')
        assert_same_json(name, "tree", found, tree);
}

static void judge_refused(struct unpacking *unpacking, const char *name, const char *reason)
{
    struct fault fault = {0};
    bool too_large = strcmp(reason, "unpack to more") == 0 || strcmp(reason, "entries") == 0 ||
                     strcmp(reason, "holds more") == 0;
    enum fault_code code = too_large ? FAULT_TOO_LARGE : FAULT_ARTIFACT_INVALID;
    AUTO_IMAGE struct image *image = NULL;
    int result = unpack(unpacking, name, &image, &fault);
    assert_canary_lives(unpacking, name);
    if (result == 0)
        fail_msg("%s: unpacked", name);
    assert_null(image);
    if (fault.code != code || strstr(fault.detail, reason) == NULL ||
        strcmp(fault.detail, "no reason given") == 0)
        fail_msg("%s: %s \"%s\", expected \"%s\"", name, fault_name(fault.code), fault.detail,
                 reason);
}

static void test_every_image(void **state)
{
    struct unpacking *unpacking = *state;
    AUTO_FREE char *path = NULL;
    AUTO_FREE char *line = NULL;
    size_t room = 0;
    assert_true(asprintf(&path, "%s/index", unpacking->samples) > 0);
    AUTO_FILE FILE *index = fopen(path, "re");
    assert_non_null(index);
    int judged = 0;
    for (; getline(&line, &room, index) > 0; judged++) {
        line[strcspn(line, "\n")] = '\0';
        char *rest = line;
        const char *name = strsep(&rest, "\t");
        const char *expected = strsep(&rest, "\t");
        const char *reason = strsep(&rest, "\t");
        const char *start = strsep(&rest, "\t");
        assert_non_null(rest);
        if (strcmp(expected, "ok") == 0)
            judge_ok(unpacking, name, start, rest);
        else
            judge_refused(unpacking, name, reason);
    }
    assert_true(judged >= 220);
}

/* The two doors of one kind: neither takes what is the other's. */
static void test_other_kinds(void **state)
{
    struct unpacking *unpacking = *state;
    struct tree_sum sum;
    struct fault fault = {0};
    AUTO_FREE char *path = NULL;
    assert_true(asprintf(&path, "%s/plain.tar", unpacking->samples) > 0);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(dir_remove(unpacking->target, &fault), 0);
    assert_int_equal(mkdir(unpacking->target, 0700), 0);
    assert_int_equal(
        unpack_archive(&unpacking->config, ARTIFACT_OCI, fd, unpacking->target, -1, &sum, &fault),
        -1);
    assert_int_equal(fault.code, FAULT_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_image),
        cmocka_unit_test(test_other_kinds),
    };
    return cmocka_run_group_tests(tests, setup, unpacking_end);
}
