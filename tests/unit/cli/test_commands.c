/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands: sound in itself, and all of it in the manual. */
#include "cli/help.h"
#include "tests/unit/cli/fixture.h"

static void test_names_and_options_are_distinct(void **state)
{
    (void)state;
    const struct command *command, *other;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        assert_non_null(command->run);
        assert_true(command->operand_min <= command->operand_max);
        assert_true((command->operand_max == 0) == (*command->operands == '\0'));
        for (size_t k = 0; k < i; k++) {
            other = command_at(k);
            assert_string_not_equal(command->name, other->name);
        }
        for (size_t o = 0; o < command->option_count; o++) {
            for (size_t p = 0; p < o; p++)
                assert_string_not_equal(command->options[o].name, command->options[p].name);
            for (size_t p = 0; p < common_options.count; p++)
                assert_string_not_equal(command->options[o].name, common_options.options[p].name);
        }
    }
    assert_null(command_at(1000));
}

/* Each name is found by its own words, so none hides another. */
static void test_every_command_is_found(void **state)
{
    (void)state;
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        AUTO_FREE char *copy = strdup(command->name);
        assert_non_null(copy);
        char *argv[4] = {copy};
        int argc = 1, words = 0;
        for (char *at = copy; *at != '\0'; at++)
            if (*at == ' ') {
                *at = '\0';
                argv[argc++] = at + 1;
            }
        argv[argc] = (char *)(uintptr_t) "operand";
        assert_ptr_equal(command_find(argc + 1, argv, &words), command);
        assert_int_equal(words, argc);
        if (argc > 1)
            assert_null(command_find(1, argv, &words));
    }
}

static void test_help_shows_all(void **state)
{
    (void)state;
    AUTO_BUF struct buf all = BUF(65536);
    const struct command *command;
    help_commands(NULL, &all);
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        AUTO_BUF struct buf own = BUF(65536);
        assert_non_null(strstr(buf_text(&all), command->name));
        help_command(command, &own);
        for (size_t o = 0; o < command->option_count; o++) {
            char name[64];
            (void)snprintf(name, sizeof name, "--%s", command->options[o].name);
            assert_non_null(strstr(buf_text(&own), name));
        }
    }
    AUTO_BUF struct buf group = BUF(65536);
    help_commands("exec", &group);
    assert_non_null(strstr(buf_text(&group), "exec submit"));
    assert_null(strstr(buf_text(&group), "armory"));
}

/* docs/cli.md has a section for each command that names each of its options, and no other. */
static void test_the_manual_is_complete(void **state)
{
    (void)state;
    AUTO_BUF struct buf manual = BUF(256 * 1024);
    const struct command *command;
    fixture_read(TEST_DATA "/../../docs/cli.md", &manual);
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        char heading[64];
        (void)snprintf(heading, sizeof heading, "\n### %s\n", command->name);
        const char *section = strstr(buf_text(&manual), heading);
        if (section == NULL) {
            fail_msg("docs/cli.md has no section ### %s", command->name);
            return;
        }
        const char *next = strstr(section + 2, "\n#");
        AUTO_FREE char *text =
            strndup(section, next == NULL ? strlen(section) : (size_t)(next - section));
        assert_non_null(text);
        size_t rows = 0;
        for (const char *at = text; (at = strstr(at, "\n| `--")) != NULL; at++)
            rows++;
        for (size_t o = 0; o < command->option_count; o++) {
            const struct option *option = &command->options[o];
            char row[96];
            (void)snprintf(row, sizeof row, "\n| `--%s%s%s` |", option->name,
                           option->value == NULL ? "" : " ",
                           option->value == NULL ? "" : option->value);
            if (strstr(text, row) == NULL)
                fail_msg("docs/cli.md, %s: no row %s", command->name, row + 1);
        }
        if (rows != command->option_count)
            fail_msg("docs/cli.md, %s: %zu options, %zu in the program", command->name, rows,
                     command->option_count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_options_are_distinct),
        cmocka_unit_test(test_every_command_is_found),
        cmocka_unit_test(test_help_shows_all),
        cmocka_unit_test(test_the_manual_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
