/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest_support.h"

static struct buf with_parameter(const char *name, const char *json)
{
    char path[64];
    (void)snprintf(path, sizeof path, "parameters.%s", name);
    return manifest_with(path, json);
}

static void all_of_them_are_read(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = manifest_with(
        "parameters",
        "{\"args\":[\"-r\",\"\",\"/in/\\u00e9\"],\"env\":{\"B\":\"2\",\"A_1\":\"\"},"
        "\"stdin\":\"line\\n\",\"inputs\":[{\"name\":\"a.yar\",\"sha256\":\"" SHA_TEXT "\"},"
        "{\"name\":\"...\",\"sha256\":\"" SHA_TEXT "\"}],\"timeout_seconds\":86400,"
        "\"limits\":{\"memory_mib\":1048576,\"pids\":1,\"cpu_percent\":10000,\"tmp_mib\":64}}");
    AUTO_MANIFEST struct manifest *m = manifest_good(buf_span(&text));
    assert_int_equal(m->arg_count, 3);
    assert_string_equal(m->args[0], "-r");
    assert_string_equal(m->args[1], "");
    assert_string_equal(m->args[2], "/in/\xc3\xa9");
    assert_int_equal(m->env_count, 2);
    assert_string_equal(m->env[0].name, "B");
    assert_string_equal(m->env[0].value, "2");
    assert_string_equal(m->env[1].name, "A_1");
    assert_string_equal(m->env[1].value, "");
    assert_string_equal(m->stdin_text, "line\n");
    assert_int_equal(m->input_count, 2);
    assert_string_equal(m->inputs[0].name, "a.yar");
    assert_string_equal(digest_format(&m->inputs[1].sha256).text, SHA_TEXT);
    assert_int_equal(m->limits.timeout_seconds, 86400);
    assert_int_equal(m->limits.memory_mib, 1048576);
    assert_int_equal(m->limits.pids, 1);
    assert_int_equal(m->limits.cpu_percent, 10000);
    assert_int_equal(m->limits.tmp_mib, 64);
}

static void each_rule_names_its_member(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *json;
        const char *detail;
    } rows[] = {
        {"args", "{}", "parameters.args: expected an array"},
        {"args", "\"-r\"", "parameters.args: expected an array"},
        {"args", "null", "parameters.args: expected an array"},
        {"args", "[\"a\",1]", "parameters.args[1]: expected a string"},
        {"args", "[null]", "parameters.args[0]: expected a string"},
        {"args", "[[\"a\"]]", "parameters.args[0]: expected a string"},
        {"env", "[]", "parameters.env: expected an object"},
        {"env", "{\"a\":\"1\"}", "parameters.env: expected names"},
        {"env", "{\"\":\"1\"}", "parameters.env: expected names"},
        {"env", "{\"1A\":\"1\"}", "parameters.env: expected names"},
        {"env", "{\"A=B\":\"1\"}", "parameters.env: expected names"},
        {"env", "{\"A\":1}", "parameters.env.A: expected a string"},
        {"env", "{\"LD_PRELOAD\":\"/in/x.so\"}", "parameters.env.LD_PRELOAD: may never be set"},
        {"env", "{\"PATH\":\"/in\"}", "parameters.env.PATH: may never be set"},
        {"env", "{\"GCONV_PATH\":\"/in\"}", "parameters.env.GCONV_PATH: may never be set"},
        {"env", "{\"GLIBC_TUNABLES\":\"x\"}", "parameters.env.GLIBC_TUNABLES: may never be set"},
        {"stdin", "1", "parameters.stdin: expected a string"},
        {"stdin", "[\"a\"]", "parameters.stdin: expected a string"},
        {"inputs", "{}", "parameters.inputs: expected an array"},
        {"inputs", "[\"a\"]", "parameters.inputs[0]: expected an object"},
        {"inputs", "[{}]", "parameters.inputs[0].name: required"},
        {"inputs", "[{\"name\":\"a\"}]", "parameters.inputs[0].sha256: required"},
        {"inputs", "[{\"name\":\"a\",\"sha256\":\"x\"}]", "parameters.inputs[0].sha256: expected"},
        {"inputs", "[{\"name\":\".\",\"sha256\":\"" SHA_TEXT "\"}]",
         "parameters.inputs[0].name: expected"},
        {"inputs", "[{\"name\":\"..\",\"sha256\":\"" SHA_TEXT "\"}]",
         "parameters.inputs[0].name: expected"},
        {"inputs", "[{\"name\":\"a/b\",\"sha256\":\"" SHA_TEXT "\"}]",
         "parameters.inputs[0].name: expected"},
        {"inputs", "[{\"name\":\"\",\"sha256\":\"" SHA_TEXT "\"}]",
         "parameters.inputs[0].name: expected"},
        {"inputs", "[{\"name\":\"a\",\"sha256\":\"" SHA_TEXT "\",\"mode\":7}]",
         "parameters.inputs[0].mode: not a member"},
        {"inputs",
         "[{\"name\":\"a\",\"sha256\":\"" SHA_TEXT "\"},{\"name\":\"a\",\"sha256\":\"" SHA_TEXT
         "\"}]",
         "parameters.inputs[1].name: is there twice"},
        {"timeout_seconds", "0", "parameters.timeout_seconds: expected an integer of 1 to 86400"},
        {"timeout_seconds", "-0", "parameters.timeout_seconds: expected an integer of 1"},
        {"timeout_seconds", "-1", "parameters.timeout_seconds: expected an integer of 1"},
        {"timeout_seconds", "86401", "parameters.timeout_seconds: expected an integer of 1"},
        {"timeout_seconds", "1.0", "parameters.timeout_seconds: expected an integer"},
        {"timeout_seconds", "\"60\"", "parameters.timeout_seconds: expected an integer"},
        {"timeout_seconds", "9007199254740993", "parameters.timeout_seconds: expected an integer"},
        {"timeout_seconds", "true", "parameters.timeout_seconds: expected an integer"},
        {"limits", "[]", "parameters.limits: expected an object"},
        {"limits", "{\"memory_mib\":0}", "parameters.limits.memory_mib: expected an integer of 1"},
        {"limits", "{\"memory_mib\":1048577}", "parameters.limits.memory_mib: expected"},
        {"limits", "{\"pids\":65537}", "parameters.limits.pids: expected"},
        {"limits", "{\"pids\":null}", "parameters.limits.pids: expected"},
        {"limits", "{\"cpu_percent\":10001}", "parameters.limits.cpu_percent: expected"},
        {"limits", "{\"cpu_percent\":0.5}", "parameters.limits.cpu_percent: expected"},
        {"limits", "{\"tmp_mib\":1048577}", "parameters.limits.tmp_mib: expected"},
        {"limits", "{\"disk_mib\":1}", "parameters.limits.disk_mib: not a member"},
        {"limits", "{\"timeout_seconds\":1}", "parameters.limits.timeout_seconds: not a member"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_BUF struct buf text = with_parameter(rows[i].name, rows[i].json);
        assert_manifest_refused(buf_span(&text), rows[i].detail);
    }
}

/* `[item,item,...]` */
static struct buf array_of(const char *item, size_t count)
{
    struct buf text = BUF(1 << 20);
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%s%s", i == 0 ? "[" : ",", item);
    buf_puts(&text, "]");
    return text;
}

static void assert_parameter(const char *name, const struct buf *json, const char *refusal)
{
    AUTO_BUF struct buf text = with_parameter(name, buf_text(json));
    if (refusal != NULL) {
        assert_manifest_refused(buf_span(&text), refusal);
        return;
    }
    AUTO_MANIFEST struct manifest *manifest = manifest_good(buf_span(&text));
    assert_non_null(manifest);
}

static void counts_and_sizes_are_bounded(void **state)
{
    (void)state;
    AUTO_BUF struct buf args = array_of("\"a\"", 256);
    AUTO_BUF struct buf more_args = array_of("\"a\"", 257);
    assert_parameter("args", &args, NULL);
    assert_parameter("args", &more_args, "parameters.args: expected an array of 0 to 256");

    char kib[1027]; /* 1,024 bytes between quotes */
    memset(kib, 'x', sizeof kib);
    kib[0] = kib[1025] = '"';
    kib[1026] = '\0';
    AUTO_BUF struct buf full = array_of(kib, 64);
    AUTO_BUF struct buf over = BUF(1 << 20);
    buf_append(&over, full.data, full.len - 1);
    buf_puts(&over, ",\"y\"]");
    assert_parameter("args", &full, NULL);
    assert_parameter("args", &over, "parameters.args: expected at most 65536 bytes");

    AUTO_BUF struct buf input_text = BUF(1 << 20);
    AUTO_BUF struct buf env_text = BUF(1 << 20);
    for (int i = 0; i < 64; i++) {
        buf_printf(&input_text, "%s{\"name\":\"n%d\",\"sha256\":\"%s\"}", i == 0 ? "[" : ",", i,
                   SHA_TEXT);
        buf_printf(&env_text, "%s\"E%d\":\"\"", i == 0 ? "{" : ",", i);
    }
    AUTO_BUF struct buf more_inputs = BUF(1 << 20), more_env = BUF(1 << 20);
    buf_printf(&more_inputs, "%s,{\"name\":\"m\",\"sha256\":\"%s\"}]", buf_text(&input_text),
               SHA_TEXT);
    buf_printf(&more_env, "%s,\"F\":\"\"}", buf_text(&env_text));
    buf_puts(&input_text, "]");
    buf_puts(&env_text, "}");
    assert_parameter("inputs", &input_text, NULL);
    assert_parameter("inputs", &more_inputs, "parameters.inputs: expected an array of 0 to 64");
    assert_parameter("env", &env_text, NULL);
    assert_parameter("env", &more_env, "parameters.env: expected at most 64");

    AUTO_BUF struct buf words = BUF(1 << 20);
    buf_puts(&words, "\"");
    for (int i = 0; i < MANIFEST_STDIN_MAX / 16; i++)
        buf_puts(&words, "0123456789abcdef");
    AUTO_BUF struct buf more_words = BUF(1 << 20);
    buf_printf(&more_words, "%sx\"", buf_text(&words));
    buf_puts(&words, "\"");
    assert_parameter("stdin", &words, NULL);
    assert_parameter("stdin", &more_words, "parameters.stdin: expected a string of 0 to 65536");
}

static void env_names_have_a_longest(void **state)
{
    (void)state;
    AUTO_BUF struct buf longest = BUF(256), longer = BUF(256);
    buf_printf(&longest, "{\"_%063d\":\"\"}", 0);
    buf_printf(&longer, "{\"_%064d\":\"\"}", 0);
    assert_parameter("env", &longest, NULL);
    assert_parameter("env", &longer, "parameters.env: expected names");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_them_are_read),
        cmocka_unit_test(each_rule_names_its_member),
        cmocka_unit_test(counts_and_sizes_are_bounded),
        cmocka_unit_test(env_names_have_a_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
