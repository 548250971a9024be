/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: an end comes back from its file as it went in, and a file that is anything else is refused:
 * cut anywhere, changed in any bit, of another version, with lengths that lie, also where its hash
 * was made to fit. */
#include "runner/end_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct event *make_event(void)
{
    struct fault fault;
    struct event *event;
    const struct uuid execution = {{1, 2, 3}};
    AUTO_JSON json_t *data = json_pack("{s:s}", "state", "failed");
    const struct event_head head = {.id = {{9, 8, 7}},
                                    .type = EVENT_EXECUTION_FINISHED,
                                    .node = "node",
                                    .subject = "task-1",
                                    .tenant_id = "acme",
                                    .execution_id = &execution,
                                    .time_ms = 1767323045678};
    assert_int_equal(event_build(&head, data, &event, &fault), 0);
    return event;
}

static struct ending make_ending(const struct event *event)
{
    return (struct ending){.claim = {.execution_id = {{1, 2, 3}},
                                     .worker_id = {{4, 5, 6}},
                                     .fence = INT64_C(9000000000)},
                           .tenant_id = "acme",
                           .state = EXECUTION_FAILED,
                           .reason = "why",
                           .exit_code = -1,
                           .signal = 9,
                           .finished_ms = 1767323045678,
                           .worker = "node/worker",
                           .stdout_bytes = INT64_C(10000000000),
                           .stderr_bytes = 4,
                           .stdout_stored = span_of("o\0ut\xff", 5),
                           .stderr_stored = span_of("", 0),
                           .usage = "{\"wall_ms\":5}",
                           .event = event};
}

static void write_one(struct buf *ret_file)
{
    AUTO_EVENT struct event *event = make_event();
    struct ending ending = make_ending(event);
    end_file_write(ret_file, &ending);
    assert_false(buf_failed(ret_file));
}

static void refused(struct span file, const char *what)
{
    struct end_file back;
    struct fault fault = {0};
    assert_int_equal(end_file_read(file, &back, &fault), -1);
    assert_int_equal(fault.code, FAULT_CONTENT_MISMATCH);
    if (strstr(fault.detail, what) == NULL)
        fail_msg("'%s' does not say '%s'", fault.detail, what);
}

/* The hash that belongs to the bytes before it. */
static void make_fit(struct buf *file)
{
    struct digest digest = digest_of(file->data, file->len - DIGEST_LEN);
    memcpy(file->data + file->len - DIGEST_LEN, digest.bytes, DIGEST_LEN);
}

static void test_it_comes_back(void **state)
{
    (void)state;
    struct fault fault;
    struct end_file back;
    AUTO_EVENT struct event *event = make_event();
    struct ending ending = make_ending(event);
    AUTO_BUF struct buf file = BUF(END_FILE_MAX);
    end_file_write(&file, &ending);
    assert_int_equal(end_file_read(buf_span(&file), &back, &fault), 0);
    const struct ending *is = &back.ending;
    assert_memory_equal(&is->claim, &ending.claim, sizeof ending.claim);
    assert_string_equal(is->tenant_id, "acme");
    assert_int_equal(is->state, EXECUTION_FAILED);
    assert_string_equal(is->reason, "why");
    assert_int_equal(is->exit_code, -1);
    assert_int_equal(is->signal, 9);
    assert_true(is->finished_ms == ending.finished_ms);
    assert_string_equal(is->worker, "node/worker");
    assert_string_equal(is->usage, "{\"wall_ms\":5}");
    assert_true(is->stdout_bytes == ending.stdout_bytes && is->stderr_bytes == 4);
    assert_true(span_equal(is->stdout_stored, ending.stdout_stored));
    assert_int_equal(is->stderr_stored.len, 0);
    assert_ptr_equal(is->event, &back.event);
    assert_true(uuid_equal(&back.event.id, &event->id));
    assert_true(digest_equal(&back.event.hash, &event->hash));
    assert_true(back.event.len == event->len);
    assert_memory_equal(back.event.bytes, event->bytes, event->len);
    assert_string_equal(back.event.subject, "task-1");
    assert_string_equal(back.event.tenant_id, "acme");
    assert_int_equal(back.event.type, EVENT_EXECUTION_FINISHED);
    assert_true(back.event.time_ms == event->time_ms);
    assert_true(back.event.has_execution_id);
    assert_true(uuid_equal(&back.event.execution_id, &ending.claim.execution_id));
}

static void test_what_is_not_there_stays_away(void **state)
{
    (void)state;
    struct fault fault;
    struct end_file back;
    AUTO_EVENT struct event *event = make_event();
    struct ending ending = make_ending(event);
    AUTO_BUF struct buf file = BUF(END_FILE_MAX);
    ending.reason = ending.usage = ending.worker = NULL;
    ending.state = EXECUTION_SUCCEEDED;
    ending.exit_code = ending.signal = 0;
    end_file_write(&file, &ending);
    assert_int_equal(end_file_read(buf_span(&file), &back, &fault), 0);
    assert_null(back.ending.reason);
    assert_null(back.ending.usage);
    assert_null(back.ending.worker);
    assert_int_equal(back.ending.exit_code, 0);
}

static void test_cut_anywhere(void **state)
{
    (void)state;
    AUTO_BUF struct buf file = BUF(END_FILE_MAX);
    write_one(&file);
    for (size_t len = 0; len < file.len; len++) {
        /* Of exactly that length, so that a read past its end is seen. */
        AUTO_BUF struct buf cut = BUF(END_FILE_MAX);
        buf_append(&cut, file.data, len);
        refused(buf_span(&cut), "is not as it was written");
        if (len < DIGEST_LEN + 17)
            continue;
        make_fit(&cut);
        refused(buf_span(&cut), "is not as it was written");
    }
    buf_append(&file, "x", 1);
    refused(buf_span(&file), "its content");
    make_fit(&file);
    refused(buf_span(&file), "its end");
}

static void test_each_bit_is_covered(void **state)
{
    (void)state;
    AUTO_BUF struct buf file = BUF(END_FILE_MAX);
    write_one(&file);
    for (size_t bit = 0; bit < 8 * file.len; bit++) {
        file.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        refused(buf_span(&file), bit < (size_t)8 * 16 ? "its version" : "its content");
        file.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

/* Attack: whoever can write the folder makes the hash fit as well. What is then taken still is an
 * end in every respect. */
static void test_each_bit_with_a_hash_that_fits(void **state)
{
    (void)state;
    AUTO_BUF struct buf file = BUF(END_FILE_MAX);
    write_one(&file);
    size_t taken = 0;
    for (size_t bit = 8 * 16; bit < 8 * (file.len - DIGEST_LEN); bit++) {
        struct end_file back;
        struct fault fault;
        AUTO_BUF struct buf again = BUF(END_FILE_MAX);
        file.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        make_fit(&file);
        if (end_file_read(buf_span(&file), &back, &fault) == 0) {
            taken++;
            assert_true(execution_state_is_end(back.ending.state));
            end_file_write(&again, &back.ending);
            assert_true(span_equal(buf_span(&again), buf_span(&file)));
        }
        file.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_true(taken > 0);
}

static void test_another_version(void **state)
{
    (void)state;
    AUTO_BUF struct buf file = BUF(END_FILE_MAX);
    write_one(&file);
    file.data[15] = '2';
    make_fit(&file);
    refused(buf_span(&file), "its version");
}

static void test_lengths_that_lie(void **state)
{
    (void)state;
    static const uint32_t lies[] = {0,          17,         4096,       1U << 24,
                                    0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    AUTO_BUF struct buf file = BUF(END_FILE_MAX);
    write_one(&file);
    size_t fields = 0;
    for (size_t at = 16; at < file.len - DIGEST_LEN; fields++) {
        uint8_t kept[4];
        memcpy(kept, file.data + at, sizeof kept);
        size_t len = (size_t)kept[0] << 24 | (size_t)kept[1] << 16 | (size_t)kept[2] << 8 | kept[3];
        for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
            for (int b = 0; b < 4; b++)
                file.data[at + (size_t)b] = (uint8_t)(lies[i] >> (24 - 8 * b));
            if (lies[i] == len)
                continue;
            make_fit(&file);
            refused(buf_span(&file), "is not as it was written");
        }
        memcpy(file.data + at, kept, sizeof kept);
        at += 4 + len;
    }
    assert_int_equal(fields, 19);
}

/* What an end of a worker's own can never be, though the file is well formed. */
static void test_ends_that_cannot_be(void **state)
{
    (void)state;
    static char long_text[5000];
    memset(long_text, 'x', sizeof long_text - 1);
    AUTO_EVENT struct event *event = make_event();
    const struct ending good = make_ending(event);
    struct ending bad[] = {good, good, good, good, good, good, good, good, good, good};
    const char *const names[] = {"state",     "state",       "state",        "reason",    "usage",
                                 "exit_code", "finished_ms", "stdout_bytes", "tenant_id", "reason"};
    bad[0].state = EXECUTION_LOST;
    bad[1].state = EXECUTION_RUNNING;
    bad[2].state = EXECUTION_STATE_COUNT;
    bad[3].reason = long_text;
    bad[4].usage = long_text;
    bad[5].exit_code = 256;
    bad[6].finished_ms = -1;
    bad[7].stdout_bytes = -1;
    bad[8].tenant_id = NULL;
    bad[9].reason = "\xff";
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO_BUF struct buf file = BUF(END_FILE_MAX);
        end_file_write(&file, &bad[i]);
        refused(buf_span(&file), names[i]);
    }
}

static void test_too_large(void **state)
{
    (void)state;
    size_t len = END_FILE_STREAM_MAX + 1;
    AUTO_FREE uint8_t *bytes = calloc(1, len);
    AUTO_EVENT struct event *event = make_event();
    struct ending ending = make_ending(event);
    AUTO_BUF struct buf file = BUF(END_FILE_MAX), small = BUF(1000);
    assert_non_null(bytes);
    ending.stdout_stored = span_of(bytes, len);
    end_file_write(&file, &ending);
    refused(buf_span(&file), "stdout");
    end_file_write(&small, &ending);
    assert_true(buf_failed(&small));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_comes_back),
        cmocka_unit_test(test_what_is_not_there_stays_away),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_each_bit_is_covered),
        cmocka_unit_test(test_each_bit_with_a_hash_that_fits),
        cmocka_unit_test(test_another_version),
        cmocka_unit_test(test_lengths_that_lie),
        cmocka_unit_test(test_ends_that_cannot_be),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
