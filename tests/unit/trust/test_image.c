/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: of what an unpacker says of an image's start, only what the schema allows is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trust/image.h"

#include <string.h>

#define WHOLE                                                                                      \
    "{\"entrypoint\":[\"/bin/tool\",\"-x\"],\"cmd\":[\"a\"],\"env\":{\"PATH\":\"/bin:/usr/bin\","  \
    "\"lower_1\":\"b=c\"},\"working_dir\":\"/srv\",\"user\":\"1000:50\",\"program\":\"/usr/bin/"   \
    "tool\"}"
#define BARE "{\"entrypoint\":[],\"cmd\":[],\"env\":{},\"working_dir\":\"/\"}"

static void test_everything_is_read(void **state)
{
    (void)state;
    struct fault fault = {0};
    AUTO_IMAGE struct image *image = NULL;
    assert_int_equal(image_parse(span_text(" " WHOLE "\n"), &image, &fault), 0);
    assert_int_equal(image->entrypoint_count, 2);
    assert_string_equal(image->entrypoint[0], "/bin/tool");
    assert_string_equal(image->entrypoint[1], "-x");
    assert_int_equal(image->cmd_count, 1);
    assert_string_equal(image->cmd[0], "a");
    assert_int_equal(image->env_count, 2);
    assert_string_equal(image->env[1].name, "lower_1");
    assert_string_equal(image->env[1].value, "b=c");
    assert_string_equal(image->working_dir, "/srv");
    assert_int_equal(image->uid, 1000);
    assert_int_equal(image->gid, 50);
    assert_true(span_equal(image->json, span_text(WHOLE))); /* one form, whatever came */
}

static void test_an_image_may_say_nothing(void **state)
{
    (void)state;
    struct fault fault = {0};
    AUTO_IMAGE struct image *image = NULL;
    assert_int_equal(image_parse(span_text(BARE), &image, &fault), 0);
    assert_int_equal(image->entrypoint_count + image->cmd_count + image->env_count, 0);
    assert_int_equal(image->uid, 0);
    assert_int_equal(image->gid, 0);
}

/* The members of WHOLE with one in place of its own. */
static int parse_with(const char *member, const char *value, struct fault *fault)
{
    AUTO_JSON json_t *object = json_loads(WHOLE, 0, NULL);
    AUTO_JSON json_t *given = json_loads(value, JSON_DECODE_ANY, NULL);
    AUTO_IMAGE struct image *image = NULL;
    assert_non_null(given);
    assert_int_equal(json_object_set(object, member, given), 0);
    AUTO_FREE char *text = json_dumps(object, JSON_COMPACT);
    return image_parse(span_text(text), &image, fault);
}

static void test_what_is_allowed(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"working_dir", "\"/\""},
        {"working_dir", "\"/tmp\""},
        {"working_dir", "\"/tmpfiles/x\""},
        {"working_dir", "\"/.hidden/...\""},
        {"entrypoint", "[\"/info\"]"},
        {"entrypoint", "[\"/devices/run\"]"},
        {"program", "\"/opt/in/tool\""},
        {"env", "{\"PATH\":\"/\"}"},
        {"env", "{\"http_proxy\":\"\",\"LDX\":\"\",\"_\":\"\"}"},
        {"user", "\"1\""},
        {"user", "\"2147483646:2147483646\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fault fault = {0};
        if (parse_with(cases[i][0], cases[i][1], &fault) != 0)
            fail_msg("%s %s: %s", cases[i][0], cases[i][1], fault.detail);
    }
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"entrypoint", "\"/bin/tool\""},
        {"entrypoint", "[1]"},
        {"entrypoint", "[]"}, /* a program without one */
        {"entrypoint", "[\"tool\"]"},
        {"entrypoint", "[\"\"]"},
        {"entrypoint", "[\"/\"]"},
        {"entrypoint", "[\"/bin/\"]"},
        {"entrypoint", "[\"//bin/tool\"]"},
        {"entrypoint", "[\"/bin/./tool\"]"},
        {"entrypoint", "[\"/bin/../in/tool\"]"},
        {"entrypoint", "[\"/in/..\"]"},
        {"entrypoint", "[\"/in\"]"},
        {"entrypoint", "[\"/in/tool\"]"},
        {"entrypoint", "[\"/tmp/tool\"]"},
        {"entrypoint", "[\"/run/x/tool\"]"},
        {"entrypoint", "[\"/proc/self/exe\"]"},
        {"entrypoint", "[\"/dev/fd/3\"]"},
        {"entrypoint", "[\"/sys/x\"]"},
        {"entrypoint", "[\"/bin/a\\nb\"]"},
        {"program", "\"/in/tool\""},
        {"program", "\"bin/tool\""},
        {"program", "null"},
        {"cmd", "[null]"},
        {"cmd", "{}"},
        {"env", "[]"},
        {"env", "{\"A\":1}"},
        {"env", "{\"\":\"\"}"},
        {"env", "{\"1A\":\"\"}"},
        {"env", "{\"A-B\":\"\"}"},
        {"env", "{\"A=B\":\"\"}"},
        {"env", "{\"LD_PRELOAD\":\"\"}"},
        {"env", "{\"LD_\":\"\"}"},
        {"env", "{\"GLIBC_TUNABLES\":\"\"}"},
        {"env", "{\"GCONV_PATH\":\"\"}"},
        {"env", "{\"PATH\":\"\"}"},
        {"env", "{\"PATH\":\":/bin\"}"},
        {"env", "{\"PATH\":\"/bin:\"}"},
        {"env", "{\"PATH\":\"/bin::/usr/bin\"}"},
        {"env", "{\"PATH\":\"bin\"}"},
        {"env", "{\"PATH\":\"/bin:.\"}"},
        {"env", "{\"PATH\":\"/bin:/in\"}"},
        {"env", "{\"PATH\":\"/tmp/x:/bin\"}"},
        {"working_dir", "\"\""},
        {"working_dir", "\"srv\""},
        {"working_dir", "\"/srv/\""},
        {"working_dir", "\"/tmp/x\""},
        {"working_dir", "\"/proc/self\""},
        {"user", "\"0\""},
        {"user", "\"0:0\""},
        {"user", "\"1000:0\""},
        {"user", "\"01\""},
        {"user", "\"\""},
        {"user", "\"1:\""},
        {"user", "\":1\""},
        {"user", "\"1:2:3\""},
        {"user", "\"-1\""},
        {"user", "\"+1\""},
        {"user", "\"root\""},
        {"user", "\"2147483647\""},
        {"user", "\"4294967296\""},
        {"user", "1000"},
        {"more", "1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fault fault = {0};
        if (parse_with(cases[i][0], cases[i][1], &fault) == 0)
            fail_msg("%s %s: believed", cases[i][0], cases[i][1]);
        assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
        assert_non_null(strstr(fault.detail, "image"));
    }
}

static void test_a_program_has_to_be_told(void **state)
{
    (void)state;
    struct fault fault = {0};
    AUTO_IMAGE struct image *image = NULL;
    assert_int_equal(image_parse(span_text("{\"entrypoint\":[\"/bin/x\"],\"cmd\":[],\"env\":{},"
                                           "\"working_dir\":\"/\"}"),
                                 &image, &fault),
                     -1);
    assert_non_null(strstr(fault.detail, "program"));
}

static void test_no_json_of_ours(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "[]", "null", "{", BARE "x", "{\"cmd\":[],\"cmd\":[]}", "{\"cmd\":[]}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct fault fault = {0};
        AUTO_IMAGE struct image *image = NULL;
        assert_int_equal(image_parse(span_text(texts[i]), &image, &fault), -1);
        assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
    }
    AUTO_BUF struct buf large = BUF(2 * IMAGE_JSON_MAX);
    buf_puts(&large, BARE);
    while (large.len <= IMAGE_JSON_MAX)
        buf_puts(&large, " ");
    struct fault fault = {0};
    AUTO_IMAGE struct image *image = NULL;
    assert_int_equal(image_parse(buf_span(&large), &image, &fault), -1);
    assert_non_null(strstr(fault.detail, "longer"));
}

static void test_many_variables(void **state)
{
    (void)state;
    for (int count = IMAGE_ENV_MAX; count <= IMAGE_ENV_MAX + 1; count++) {
        AUTO_BUF struct buf env = BUF(65536);
        struct fault fault = {0};
        for (int i = 0; i < count; i++)
            buf_printf(&env, "%s\"A%d\":\"\"", i == 0 ? "{" : ",", i);
        buf_puts(&env, "}");
        assert_int_equal(parse_with("env", buf_text(&env), &fault), count > IMAGE_ENV_MAX ? -1 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_is_read),
        cmocka_unit_test(test_an_image_may_say_nothing),
        cmocka_unit_test(test_what_is_allowed),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_a_program_has_to_be_told),
        cmocka_unit_test(test_no_json_of_ours),
        cmocka_unit_test(test_many_variables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
