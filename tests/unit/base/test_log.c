/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LINE_MAX_BYTES 8192

/* stderr, while it goes to a file. */
struct caught {
    int saved;
    int from;
};

static void catch_begin(struct caught *caught)
{
    char path[] = "/tmp/sallyport-log.XXXXXX";
    caught->saved = dup(STDERR_FILENO);
    caught->from = mkostemp(path, O_CLOEXEC | O_APPEND);
    assert_true(caught->saved >= 0 && caught->from >= 0);
    assert_int_equal(unlink(path), 0);
    assert_true(dup2(caught->from, STDERR_FILENO) == STDERR_FILENO);
}

static void catch_end(struct caught *caught, struct buf *ret_text)
{
    assert_true(dup2(caught->saved, STDERR_FILENO) == STDERR_FILENO);
    (void)close(caught->saved);
    off_t size = lseek(caught->from, 0, SEEK_END);
    assert_true(size >= 0);
    void *place = buf_reserve(ret_text, (size_t)size);
    assert_non_null(place);
    assert_int_equal(pread(caught->from, place, (size_t)size, 0), size);
    buf_commit(ret_text, (size_t)size);
    (void)close(caught->from);
}

/* One line of strict JSON, of at most the maximum, beginning with ts, level and msg. */
static json_t *line_of(struct span line)
{
    json_t *object = NULL;
    struct fault fault;
    assert_true(line.len > 0 && line.len < LINE_MAX_BYTES);
    assert_null(memchr(line.data, '\n', line.len));
    if (json_object_parse(line, FAULT_INTERNAL, "line", &object, &fault) != 0)
        fail_msg("%s: %.*s", fault.detail, (int)line.len, (const char *)line.data);
    return object;
}

static json_t *only_line(const struct buf *text)
{
    assert_true(text->len > 0 && text->data[text->len - 1] == '\n');
    return line_of(span_of(text->data, text->len - 1));
}

static const char *string_of(const json_t *line, const char *name)
{
    const char *text = json_string_value(json_object_get(line, name));
    assert_non_null(text);
    return text;
}

static void a_line_says_when_how_bad_and_what(void **state)
{
    (void)state;
    static const char *const levels[] = {"info", "warn", "error"};
    for (int level = LOG_INFO; level <= LOG_ERROR; level++) {
        struct caught caught;
        AUTO_BUF struct buf text = BUF(1 << 16);
        int64_t before = clock_wall_ms(), ts;
        catch_begin(&caught);
        log_write((enum log_level)level, "it \"happened\"\n", "{s:s, s:I, s:b}", "who",
                  "caf\xc3\xa9", "count", (json_int_t)INT64_MAX, "late", 1);
        catch_end(&caught, &text);
        AUTO_JSON json_t *line = only_line(&text);
        assert_string_equal(string_of(line, "level"), levels[level]);
        assert_string_equal(string_of(line, "msg"), "it \"happened\"\n");
        assert_string_equal(string_of(line, "who"), "caf\xc3\xa9");
        assert_true(json_integer_value(json_object_get(line, "count")) == INT64_MAX);
        assert_true(json_is_true(json_object_get(line, "late")));
        assert_int_equal(json_object_size(line), 6);
        assert_int_equal(time_parse(string_of(line, "ts"), strlen(string_of(line, "ts")), &ts), 0);
        assert_in_range(ts, before, clock_wall_ms());
        assert_memory_equal(buf_text(&text), "{\"ts\":", 6);
    }
}

static void members_are_optional(void **state)
{
    (void)state;
    struct caught caught;
    AUTO_BUF struct buf text = BUF(1 << 16);
    catch_begin(&caught);
    log_info("bare", NULL);
    catch_end(&caught, &text);
    AUTO_JSON json_t *line = only_line(&text);
    assert_int_equal(json_object_size(line), 3);
}

/* A caller's bytes that are no UTF-8, or members that are no object: still a line, which says so.
 */
static void what_cannot_be_packed_is_said(void **state)
{
    (void)state;
    struct caught caught;
    AUTO_BUF struct buf text = BUF(1 << 16), other = BUF(1 << 16);
    catch_begin(&caught);
    log_warn("bad member", "{s:s}", "who", "\xff\xfe");
    catch_end(&caught, &text);
    AUTO_JSON json_t *line = only_line(&text);
    assert_string_equal(string_of(line, "msg"), "bad member");
    assert_non_null(json_object_get(line, "log_error"));
    catch_begin(&caught);
    log_warn("no object", "[s]", "x");
    catch_end(&caught, &other);
    AUTO_JSON json_t *second = only_line(&other);
    assert_non_null(json_object_get(second, "log_error"));
    AUTO_BUF struct buf third = BUF(1 << 16);
    catch_begin(&caught);
    log_error("\xff", NULL);
    catch_end(&caught, &third);
    AUTO_JSON json_t *of_message = only_line(&third);
    assert_string_equal(string_of(of_message, "level"), "error");
    assert_null(strstr(string_of(of_message, "msg"), "too long"));
}

static void a_long_line_is_replaced_by_a_short_one(void **state)
{
    (void)state;
    static char message[2 * LINE_MAX_BYTES];
    bool fitted = false, replaced = false;
    for (size_t len = LINE_MAX_BYTES - 120; len < LINE_MAX_BYTES + 20; len++) {
        struct caught caught;
        AUTO_BUF struct buf text = BUF(1 << 16);
        memset(message, 'x', len);
        message[len] = '\0';
        catch_begin(&caught);
        log_error(message, NULL);
        catch_end(&caught, &text);
        assert_true(text.len <= LINE_MAX_BYTES);
        AUTO_JSON json_t *line = only_line(&text);
        assert_string_equal(string_of(line, "level"), "error");
        if (strcmp(string_of(line, "msg"), message) == 0) {
            fitted = true;
            assert_false(replaced); /* the longer never fits where the shorter did not */
        } else {
            assert_non_null(strstr(string_of(line, "msg"), "too long"));
            assert_non_null(json_object_get(line, "ts"));
            replaced = true;
        }
    }
    assert_true(fitted && replaced);
}

enum { THREADS = 4, LINES = 500 };

static void *write_lines(void *context)
{
    const int *number = context;
    char padding[1024];
    memset(padding, 'a' + *number, sizeof padding - 1);
    padding[sizeof padding - 1] = '\0';
    for (int i = 0; i < LINES; i++)
        log_info("line", "{s:i, s:i, s:s}", "thread", *number, "n", i, "padding", padding);
    return NULL;
}

static void threads_do_not_mix(void **state)
{
    (void)state;
    struct caught caught;
    AUTO_BUF struct buf text = BUF(1 << 24);
    pthread_t threads[THREADS];
    int numbers[THREADS], next[THREADS] = {0};
    catch_begin(&caught);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    catch_end(&caught, &text);
    size_t lines = 0;
    for (const uint8_t *at = text.data, *end = text.data + text.len; at < end; lines++) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        assert_non_null(newline);
        AUTO_JSON json_t *line = line_of(span_of(at, (size_t)(newline - at)));
        json_int_t thread = json_integer_value(json_object_get(line, "thread"));
        assert_in_range(thread, 0, THREADS - 1);
        assert_int_equal(json_integer_value(json_object_get(line, "n")), next[thread]++);
        at = newline + 1;
    }
    assert_int_equal(lines, THREADS * LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_when_how_bad_and_what),
        cmocka_unit_test(members_are_optional),
        cmocka_unit_test(what_cannot_be_packed_is_said),
        cmocka_unit_test(a_long_line_is_replaced_by_a_short_one),
        cmocka_unit_test(threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
