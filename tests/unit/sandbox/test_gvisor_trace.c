/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a limit is listed when the sentry says that a call met it, and never for anything else. */
#include "sandbox/gvisor_trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A message as the sentry sends it: header, then the parts given as bytes. */
#define MESSAGE(type, body)                                                                        \
    span_of("\x08\x00" type "\x00\x00\x00\x00\x00" body, 8 + sizeof(body) - 1)

#define CLONE "\x17"
#define OPEN "\x07"
#define WRITE "\x22"
#define RAW "\x06"

static unsigned hits(struct span message)
{
    return gvisor_trace_message_hits(message);
}

/* As they came from runsc 0.0~20221219. */
static void test_what_the_sentry_says(void **state)
{
    (void)state;
    assert_int_equal(hits(MESSAGE(CLONE, "\x12\x02\x10\x0b\x18\x38\x20\x91\x80\x80\x09")),
                     SANDBOX_HIT_PIDS);
    assert_int_equal(hits(MESSAGE(OPEN, "\x12\x02\x10\x18\x18\x81\x02")), SANDBOX_HIT_OPEN_FILES);
    assert_int_equal(
        hits(MESSAGE(WRITE, "\x12\x02\x10\x1c\x18\x01\x20\x05\x2a\x08/tmp/d/y\x30\x01")),
        SANDBOX_HIT_TMP);
    assert_int_equal(
        hits(MESSAGE(WRITE, "\x12\x02\x10\x1c\x18\x01\x20\x03\x2a\x10/tmp/x (deleted)\x30\x80")),
        SANDBOX_HIT_TMP);
    assert_int_equal(hits(MESSAGE(RAW, "\x12\x02\x10\x1c\x20\x9d\x02\x28\x05\x40\x80\x80\x40")),
                     SANDBOX_HIT_TMP); /* fallocate */
    assert_int_equal(hits(MESSAGE(RAW, "\x12\x02\x10\x1b\x20\x4d\x28\x05")),
                     SANDBOX_HIT_FILE_SIZE); /* ftruncate */
    assert_int_equal(hits(MESSAGE(WRITE, "\x12\x02\x10\x1b\x18\x12\x2a\x06/tmp/x")),
                     SANDBOX_HIT_FILE_SIZE);
}

static void test_what_is_no_limit(void **state)
{
    (void)state;
    /* it went well */
    assert_int_equal(hits(MESSAGE(CLONE, "\x12\x02\x08\x02\x18\x38\x20\x91\x80\x80\x09")), 0);
    assert_int_equal(hits(MESSAGE(WRITE, "\x12\x02\x08\x1c\x18\x01\x2a\x06/tmp/x")), 0);
    /* another answer, or the answer of another call */
    assert_int_equal(hits(MESSAGE(CLONE, "\x12\x02\x10\x01\x18\x38")), 0);
    assert_int_equal(hits(MESSAGE(OPEN, "\x12\x02\x10\x0b\x18\x81\x02")), 0);
    /* a device that is always full, and names that only look like /tmp */
    assert_int_equal(hits(MESSAGE(WRITE, "\x12\x02\x10\x1c\x18\x01\x2a\x09/dev/full\x30\x01")), 0);
    assert_int_equal(hits(MESSAGE(WRITE, "\x12\x02\x10\x1c\x18\x01\x2a\x06/tmpx/")), 0);
    assert_int_equal(hits(MESSAGE(WRITE, "\x12\x02\x10\x1c\x18\x01")), 0);
    /* an error in another field: a length, a path */
    assert_int_equal(hits(MESSAGE(OPEN, "\x12\x00\x18\x81\x02\x10\x18")), 0);
    assert_int_equal(hits(MESSAGE(OPEN, "\x12\x02\x10\x02\x18\x02\x32\x04\x12\x02\x10\x18")), 0);
}

/* Whatever is cut or broken says nothing, and is not read past its end. */
static void test_broken_messages(void **state)
{
    (void)state;
    static const char whole[] = "\x08\x00\x22\x00\x00\x00\x00\x00"
                                "\x12\x02\x10\x1c\x18\x01\x20\x05\x2a\x08/tmp/d/y\x30\x01";
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        uint8_t *copy = malloc(len + 1);
        memcpy(copy, whole, len);
        (void)hits(span_of(copy, len)); /* the sanitizers watch */
        if (len < sizeof whole - 3)
            assert_int_equal(hits(span_of(copy, len)), 0);
        free(copy);
    }
    assert_int_equal(hits(span_of("\xff\xff\x22\x00\x00\x00\x00\x00\x12\x02\x10\x18", 12)), 0);
    assert_int_equal(hits(span_of("\x00\x00\x22\x00\x00\x00\x00\x00\x12\x02\x10\x18", 12)), 0);
    assert_int_equal(hits(MESSAGE(OPEN, "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x18")),
                     0);
    assert_int_equal(hits(MESSAGE(OPEN, "\x13\x10\x18")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_sentry_says),
        cmocka_unit_test(test_what_is_no_limit),
        cmocka_unit_test(test_broken_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
