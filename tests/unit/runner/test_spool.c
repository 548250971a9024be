/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what was put is found by the next process, oldest first and whole; what a crash left half
 * written is gone, what was changed is not believed, and nobody else reads it. */
#include "runner/spool.h"

#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct place {
    char top[64], folder[80];
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    (void)snprintf(place->top, sizeof place->top, "/tmp/sallyport-spool.XXXXXX");
    assert_non_null(mkdtemp(place->top));
    (void)snprintf(place->folder, sizeof place->folder, "%s/ends", place->top);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    struct fault fault;
    int status = dir_remove(place->top, &fault);
    free(place);
    return status;
}

static struct spool *open_it(const struct place *place)
{
    struct spool *spool = NULL;
    struct fault fault;
    if (spool_open(place->folder, &spool, &fault) != 0)
        fail_msg("%s", fault.detail);
    return spool;
}

/* The nth of a row of ids in their order. */
static struct uuid id_of(unsigned n)
{
    return (struct uuid){{0, (uint8_t)(n >> 8), (uint8_t)n, 1}};
}

static int put(struct spool *spool, unsigned n, struct fault *fault)
{
    const struct uuid id = id_of(n);
    struct event *event;
    AUTO_JSON json_t *data = json_pack("{s:i}", "n", (int)n);
    const struct event_head head = {.id = uuid_v7(),
                                    .type = EVENT_EXECUTION_FINISHED,
                                    .node = "node",
                                    .subject = "task-1",
                                    .tenant_id = "acme",
                                    .execution_id = &id};
    if (event_build(&head, data, &event, fault) != 0)
        return -1;
    const struct ending ending = {.claim = {.execution_id = id, .fence = n},
                                  .tenant_id = "acme",
                                  .state = EXECUTION_SUCCEEDED,
                                  .worker = "node/worker",
                                  .stdout_stored = span_text("out"),
                                  .event = event};
    int status = spool_put(spool, &ending, fault);
    event_free(event);
    return status;
}

static void must_put(struct spool *spool, unsigned n)
{
    struct fault fault;
    if (put(spool, n, &fault) != 0)
        fail_msg("%s", fault.detail);
}

static void path_of(const struct place *place, unsigned n, const char *suffix, char *ret_path,
                    size_t size)
{
    const struct uuid id = id_of(n);
    (void)snprintf(ret_path, size, "%s/%s%s", place->folder, uuid_format(&id).text, suffix);
}

static bool exists(const struct place *place, unsigned n, const char *suffix)
{
    char path[256];
    struct stat stat;
    path_of(place, n, suffix, path, sizeof path);
    return lstat(path, &stat) == 0;
}

static void assert_nth(struct spool *spool, size_t nth, unsigned n)
{
    struct end_file file;
    struct fault fault;
    AUTO_BUF struct buf bytes = BUF(END_FILE_MAX);
    if (spool_get(spool, nth, &bytes, &file, &fault) != 0)
        fail_msg("%s", fault.detail);
    const struct uuid id = id_of(n);
    assert_true(uuid_equal(&file.ending.claim.execution_id, &id));
    assert_int_equal(file.ending.claim.fence, n);
    assert_true(span_equal(file.ending.stdout_stored, span_text("out")));
    assert_ptr_equal(file.ending.event, &file.event);
}

static void test_the_next_process_finds_it(void **state)
{
    static const unsigned order[] = {3, 1, 4, 2};
    struct spool *spool = open_it(*state);
    assert_int_equal(spool_count(spool), 0);
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        must_put(spool, order[i]);
    must_put(spool, 3); /* again: one file, one place */
    assert_int_equal(spool_count(spool), 4);
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        assert_nth(spool, i, order[i]);
    spool_free(spool);
    spool = open_it(*state);
    assert_int_equal(spool_count(spool), 4);
    for (unsigned n = 1; n <= 4; n++)
        assert_nth(spool, n - 1, n);
    const struct uuid second = id_of(2), fifth = id_of(5);
    assert_true(spool_holds(spool, &second));
    assert_false(spool_holds(spool, &fifth));
    spool_remove(spool, &second);
    spool_remove(spool, &fifth);
    assert_false(spool_holds(spool, &second));
    assert_false(exists(*state, 2, ""));
    spool_rotate(spool);
    assert_nth(spool, 0, 3);
    assert_nth(spool, 2, 1);
    spool_free(spool);
    spool = open_it(*state);
    assert_int_equal(spool_count(spool), 3);
    spool_free(spool);
}

static void test_it_is_ours_alone(void **state)
{
    const struct place *place = *state;
    struct spool *spool = open_it(place);
    struct stat stat;
    struct fault fault;
    char path[256];
    must_put(spool, 1);
    path_of(place, 1, "", path, sizeof path);
    assert_int_equal(lstat(path, &stat), 0);
    assert_int_equal(stat.st_mode & 07777, 0600);
    assert_int_equal(lstat(place->folder, &stat), 0);
    assert_int_equal(stat.st_mode & 07777, 0700);
    spool_free(spool);
    /* Attack: a folder that others may enter, or a link to one, made before we came. */
    assert_int_equal(chmod(place->folder, 0755), 0);
    assert_int_equal(spool_open(place->folder, &spool, &fault), -1);
    assert_int_equal(chmod(place->folder, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/link", place->top);
    assert_int_equal(symlink(place->folder, path), 0);
    assert_int_equal(spool_open(path, &spool, &fault), -1);
}

static void write_file(const char *path, const void *data, size_t len)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, data, len) == (ssize_t)len);
}

static void test_what_a_crash_left(void **state)
{
    const struct place *place = *state;
    struct spool *spool = open_it(place);
    char path[256], other[256];
    must_put(spool, 1);
    spool_free(spool);
    path_of(place, 2, ".aB3xYz", path, sizeof path); /* a draft, as file_replace() makes them */
    write_file(path, "half", 4);
    path_of(place, 3, ".bad", other, sizeof other);
    write_file(other, "kept for people", 15);
    (void)snprintf(path, sizeof path, "%s/README", place->folder);
    write_file(path, "not ours", 8);
    spool = open_it(place);
    assert_int_equal(spool_count(spool), 1);
    assert_false(exists(place, 2, ".aB3xYz"));
    assert_true(exists(place, 3, ".bad"));
    assert_int_equal(access(path, F_OK), 0);
    spool_free(spool);
}

static void assert_not_believed(struct spool *spool, size_t nth)
{
    struct end_file file;
    struct fault fault;
    AUTO_BUF struct buf bytes = BUF(END_FILE_MAX);
    assert_int_equal(spool_get(spool, nth, &bytes, &file, &fault), -1);
    assert_int_equal(fault.code, FAULT_CONTENT_MISMATCH);
}

static void test_what_is_not_believed_is_put_aside(void **state)
{
    const struct place *place = *state;
    struct spool *spool = open_it(place);
    struct fault fault;
    char path[256], other[256];
    for (unsigned n = 1; n <= 3; n++)
        must_put(spool, n);
    path_of(place, 1, "", path, sizeof path);
    assert_int_equal(truncate(path, 100), 0); /* torn */
    path_of(place, 2, "", path, sizeof path);
    path_of(place, 3, "", other, sizeof other);
    assert_int_equal(rename(other, path), 0); /* another's name */
    assert_not_believed(spool, 0);
    assert_not_believed(spool, 1);
    struct end_file file;
    AUTO_BUF struct buf bytes = BUF(END_FILE_MAX);
    assert_int_equal(spool_get(spool, 2, &bytes, &file, &fault), -1);
    assert_int_equal(fault.code, FAULT_NOT_FOUND);
    const struct uuid first = id_of(1), third = id_of(3);
    assert_int_equal(spool_set_aside(spool, &first, &fault), 0);
    assert_int_equal(spool_set_aside(spool, &third, &fault), -1); /* there is no file of it */
    assert_int_equal(spool_count(spool), 1);
    assert_true(exists(place, 1, ".bad"));
    spool_free(spool);
    spool = open_it(place);
    assert_int_equal(spool_count(spool), 1);
    /* Attack: a file of endless length. */
    assert_int_equal(truncate(path, (off_t)END_FILE_MAX + 1), 0);
    assert_not_believed(spool, 0);
    spool_free(spool);
}

static void test_it_is_bounded(void **state)
{
    const struct place *place = *state;
    struct spool *spool = open_it(place);
    struct fault fault;
    char from[256], to[256];
    must_put(spool, SPOOL_MAX + 1);
    spool_free(spool);
    path_of(place, SPOOL_MAX + 1, "", from, sizeof from);
    for (unsigned n = 0; n <= SPOOL_MAX; n++) { /* more than any process of ours has put */
        path_of(place, n, "", to, sizeof to);
        assert_int_equal(link(from, to), 0);
    }
    spool = open_it(place);
    assert_int_equal(spool_count(spool), SPOOL_MAX);
    const struct uuid oldest = id_of(0), newest = id_of(SPOOL_MAX + 1);
    assert_true(spool_holds(spool, &oldest));
    assert_false(spool_holds(spool, &newest));
    assert_int_equal(put(spool, SPOOL_MAX + 2, &fault), -1);
    assert_int_equal(fault.code, FAULT_UNAVAILABLE);
    spool_remove(spool, &oldest);
    must_put(spool, SPOOL_MAX + 2);
    spool_free(spool);
}

static void test_a_folder_that_cannot_be_written(void **state)
{
    const struct place *place = *state;
    struct spool *spool = open_it(place);
    struct fault fault;
    assert_int_equal(dir_remove(place->folder, &fault), 0);
    assert_int_equal(put(spool, 1, &fault), -1);
    assert_int_equal(spool_count(spool), 0);
    spool_free(spool);
    write_file(place->folder, "a file", 6);
    assert_int_equal(spool_open(place->folder, &spool, &fault), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_next_process_finds_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_is_ours_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_a_crash_left, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_believed_is_put_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_folder_that_cannot_be_written, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
