/* SPDX-License-Identifier: Apache-2.0 */
/* sign --offline: every option reaches its member of the manifest, and nothing else does. */
#include "base/clock.h"
#include "cli/keyfile.h"
#include "tests/unit/cli/fixture.h"
#include "trust/manifest.h"

#include <inttypes.h>

#define TOOL "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

struct signed_order {
    struct token *token;
    struct manifest *manifest;
    json_t *payload;
};

static void order_free(struct signed_order *order)
{
    token_free(order->token);
    manifest_free(order->manifest);
    json_decref(order->payload);
}

static const char *make_key(struct fixture *fixture)
{
    const char *key = fixture_path(fixture, "key");
    if (access(key, F_OK) != 0)
        assert_int_equal(FIXTURE_RUN(fixture, "key", "gen", "--alg", "ES256", "--out", key), 0);
    return key;
}

/* Takes the last command's output apart, as the gateway would. */
static struct signed_order read_order(const struct fixture *fixture)
{
    struct signed_order order = {0};
    struct fault fault = {0};
    assert_true(fixture->out_len > 0 && fixture->out[fixture->out_len - 1] == '\n');
    if (token_parse(span_of(fixture->out, fixture->out_len - 1), &order.token, &fault) != 0 ||
        keyfile_verify(fixture_path(fixture, "key.pub"), false, NULL, order.token, &fault) != 0 ||
        manifest_parse(order.token->payload, &order.manifest, &fault) != 0)
        fail_msg("%s", fault.detail);
    order.payload =
        json_loadb((const char *)order.token->payload.data, order.token->payload.len, 0, NULL);
    assert_non_null(order.payload);
    return order;
}

#define SIGN(fixture, ...)                                                                         \
    FIXTURE_RUN((fixture), "sign", "--key", make_key(fixture), "--offline", __VA_ARGS__)

static void test_defaults(void **state)
{
    struct fixture *fixture = *state;
    int64_t before = clock_wall_ms();
    assert_int_equal(SIGN(fixture, "--tool", TOOL, "--tenant", "dev", "--operator", "alice"), 0);
    AUTO(order_free) struct signed_order order = read_order(fixture);
    const struct manifest *manifest = order.manifest;
    assert_true(order.token->typ_manifest);
    assert_string_equal(order.token->kid, "");
    assert_string_equal(digest_format(&manifest->tool_sha256).text, TOOL);
    assert_string_equal(manifest->tenant_id, "dev");
    assert_string_equal(manifest->operator_id, "alice");
    assert_in_range(manifest->issued_at_ms, before, clock_wall_ms());
    assert_int_equal(manifest->arg_count + manifest->env_count + manifest->input_count, 0);
    assert_null(manifest->stdin_text);
    assert_int_equal(json_object_size(json_object_get(order.payload, "parameters")), 0);
}

static void test_every_option_arrives(void **state)
{
    struct fixture *fixture = *state;
    const char *text = fixture_file(fixture, "stdin", "to the tool\n", 12, 0600);
    char input[300];
    (void)snprintf(input, sizeof input, "in.txt=%s", fixture_file(fixture, "in", "hello", 5, 0600));
    assert_int_equal(SIGN(fixture, "--kid", "k-1", "--tool", &TOOL[7], "--tenant", "dev",
                          "--operator", "alice", "--task", "task-77", "--source", "soc", "--action",
                          "scan", "--target", "urn:case:77", "--correlation", "c-1", "--arg", "-r",
                          "--arg", "/in/in.txt", "--env", "LEVEL=2=3", "--param", "depth=3",
                          "--param", "mode=\"fast\"", "--input", input, "--stdin-file", text,
                          "--timeout", "30", "--memory-mib", "64", "--pids", "8", "--cpu-percent",
                          "50", "--tmp-mib", "16"),
                     0);
    AUTO(order_free) struct signed_order order = read_order(fixture);
    const struct manifest *manifest = order.manifest;
    assert_string_equal(order.token->kid, "k-1");
    assert_string_equal(manifest->task_id, "task-77");
    assert_string_equal(manifest->source, "soc");
    assert_string_equal(manifest->action, "scan");
    assert_string_equal(manifest->target_urn, "urn:case:77");
    assert_string_equal(manifest->correlation_id, "c-1");
    assert_int_equal(manifest->arg_count, 2);
    assert_string_equal(manifest->args[0], "-r");
    assert_string_equal(manifest->args[1], "/in/in.txt");
    assert_int_equal(manifest->env_count, 1);
    assert_string_equal(manifest->env[0].name, "LEVEL");
    assert_string_equal(manifest->env[0].value, "2=3");
    assert_int_equal(manifest->input_count, 1);
    assert_string_equal(manifest->inputs[0].name, "in.txt");
    assert_string_equal(digest_format(&manifest->inputs[0].sha256).text, TOOL); /* of "hello" */
    assert_string_equal(manifest->stdin_text, "to the tool\n");
    assert_int_equal(manifest->limits.timeout_seconds, 30);
    assert_int_equal(manifest->limits.memory_mib, 64);
    assert_int_equal(manifest->limits.pids, 8);
    assert_int_equal(manifest->limits.cpu_percent, 50);
    assert_int_equal(manifest->limits.tmp_mib, 16);
    const json_t *parameters = json_object_get(order.payload, "parameters");
    assert_int_equal(json_integer_value(json_object_get(parameters, "depth")), 3);
    assert_string_equal(json_string_value(json_object_get(parameters, "mode")), "fast");
}

static void test_no_two_orders_are_alike(void **state)
{
    struct fixture *fixture = *state;
    const char *const words[] = {
        "sign",     "--key", make_key(fixture), "--offline", "--tool", TOOL,
        "--tenant", "dev",   "--operator",      "alice",     NULL};
    assert_int_equal(fixture_run(fixture, words), 0);
    AUTO(order_free) struct signed_order first = read_order(fixture);
    assert_int_equal(fixture_run(fixture, words), 0);
    AUTO(order_free) struct signed_order second = read_order(fixture);
    assert_string_not_equal(first.manifest->nonce, second.manifest->nonce);
    assert_string_not_equal(first.manifest->task_id, second.manifest->task_id);
}

static void test_what_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const cases[][4] = {
        {"--param", "args=[]"},
        {"--param", "x=fast"},
        {"--param", "x"},
        {"--env", "LD_PRELOAD=/x"},
        {"--env", "lower=1"},
        {"--env", "A"},
        {"--target", "no urn"},
        {"--task", "x"},
        {"--timeout", "0"},
        {"--timeout", "90000"},
        {"--memory-mib", "2000000"},
        {"--input", "../x=/etc/passwd"},
        {"--input", "x=/no/such"},
        {"--stdin-file", "/no/such"},
        {"--arg", "\xff"},
        {"--env", "A=1", "--env", "A=2"},
        {"--param", "x=1", "--param", "x=2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int result = cases[i][2] == NULL
                         ? SIGN(fixture, "--tool", TOOL, "--tenant", "dev", "--operator", "alice",
                                cases[i][0], cases[i][1])
                         : SIGN(fixture, "--tool", TOOL, "--tenant", "dev", "--operator", "alice",
                                cases[i][0], cases[i][1], cases[i][2], cases[i][3]);
        if (result != 2 || fixture->out_len != 0)
            fail_msg("case %zu: %s %s: exit %d: %s", i, cases[i][0], cases[i][1], result,
                     fixture->fault.detail);
    }
    assert_int_equal(SIGN(fixture, "--tool", TOOL), 2);
    assert_int_equal(SIGN(fixture, "--tool", "sha256:abc", "--tenant", "dev", "--operator", "a"),
                     2);
    assert_int_equal(SIGN(fixture, "--tenant", "dev", "--operator", "alice"), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "sign", "--offline", "--tool", TOOL, "--tenant", "dev",
                                 "--operator", "alice"),
                     2);
}

/* Without --offline, a file that is named is pushed: with nobody to push it as, it is refused. */
static void test_inputs_are_not_silently_left_behind(void **state)
{
    struct fixture *fixture = *state;
    char input[300];
    (void)snprintf(input, sizeof input, "x=%s", fixture_file(fixture, "in", "hello", 5, 0600));
    assert_int_equal(FIXTURE_RUN(fixture, "sign", "--key", make_key(fixture), "--tool", TOOL,
                                 "--tenant", "dev", "--operator", "alice", "--input", input),
                     4);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_every_option_arrives),
        TEST(test_no_two_orders_are_alike),
        TEST(test_what_is_refused),
        TEST(test_inputs_are_not_silently_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
