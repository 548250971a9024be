/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_support.h"

#include "trust/caller.h"

static void a_key_reads_back(void **state)
{
    (void)state;
    uint8_t id[8], secret[32];
    for (int round = 0; round < 256; round++) {
        for (size_t i = 0; i < sizeof id; i++)
            id[i] = (uint8_t)(round + (int)i * 29);
        for (size_t i = 0; i < sizeof secret; i++)
            secret[i] = (uint8_t)(round * 7 + (int)i * 31);
        struct api_key_text key = api_key_format(id, secret);
        assert_int_equal(strlen(key.text), 63);
        char id_text[API_KEY_ID_LEN + 1], expected_id[API_KEY_ID_LEN + 1];
        struct digest hash, expected = digest_of(secret, sizeof secret);
        assert_int_equal(api_key_parse(key.text, strlen(key.text), id_text, &hash), 0);
        hex_encode(id, sizeof id, expected_id);
        assert_string_equal(id_text, expected_id);
        assert_true(digest_equal(&hash, &expected));
    }
}

#define GOOD_KEY "sp_0123456789abcdef_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

static void other_texts_are_no_keys(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "sp_",
        "sp_0123456789abcdef_",
        "Sp_0123456789abcdef_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "sp-0123456789abcdef_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "sp_0123456789ABCDEF_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "sp_0123456789abcdeg_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "sp_0123456789abcdef.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "sp_0123456789abcdef_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9",
        "sp_0123456789abcdef_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh",
        "sp_0123456789abcdef_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "sp_0123456789abcdef_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A",
        "sp_0123456789abcdef_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+",
        " sp_0123456789abcdef_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh",
        "sp_0123456789abcdef_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH\n8",
    };
    char id[API_KEY_ID_LEN + 1] = "untouched";
    struct digest hash = {{7}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (api_key_parse(texts[i], strlen(texts[i]), id, &hash) == 0)
            fail_msg("accepted: %s", texts[i]);
    for (size_t len = 0; len < strlen(GOOD_KEY); len++)
        assert_int_equal(api_key_parse(GOOD_KEY, len, id, &hash), -1);
    assert_string_equal(id, "untouched");
    assert_int_equal(hash.bytes[0], 7);
    assert_int_equal(api_key_parse(GOOD_KEY, strlen(GOOD_KEY), id, &hash), 0);
}

static void tenants_and_principals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool tenant;
        bool principal;
    } rows[] = {
        {"acme", true, true},
        {"a", true, true},
        {"0", true, true},
        {"a.b_c-d", true, true},
        {"Acme", false, true},
        {"a:b@c", false, true},
        {"soc@example.org", false, true},
        {"", false, false},
        {"-a", false, false},
        {".a", false, false},
        {"_a", false, false},
        {"@a", false, false},
        {":a", false, false},
        {"a b", false, false},
        {"a,b", false, false},
        {"{a}", false, false},
        {"a\n", false, false},
        {"a'b", false, false},
        {"\xc3\xa9", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = strlen(rows[i].text);
        if (tenant_id_valid(rows[i].text, len) != rows[i].tenant ||
            principal_valid(rows[i].text, len) != rows[i].principal)
            fail_msg("'%s'", rows[i].text);
    }
    assert_false(tenant_id_valid("a\0b", 3));
    assert_false(principal_valid("a\0b", 3));
    char text[PRINCIPAL_MAX + 2];
    memset(text, 'a', sizeof text);
    assert_true(tenant_id_valid(text, TENANT_ID_MAX));
    assert_false(tenant_id_valid(text, TENANT_ID_MAX + 1));
    assert_true(principal_valid(text, PRINCIPAL_MAX));
    assert_false(principal_valid(text, PRINCIPAL_MAX + 1));
}

static void roles_are_read_and_written(void **state)
{
    (void)state;
    static const struct {
        const char *names;
        unsigned roles; /* 0: refused */
        const char *written;
    } rows[] = {
        {"viewer", ROLE_VIEWER, "viewer"},
        {"submitter", ROLE_SUBMITTER | ROLE_VIEWER, "viewer,submitter"},
        {"submitter,viewer", ROLE_SUBMITTER | ROLE_VIEWER, "viewer,submitter"},
        {"publisher", ROLE_PUBLISHER, "publisher"},
        {"approver,auditor", ROLE_APPROVER | ROLE_AUDITOR, "approver,auditor"},
        {"admin", ROLE_ADMIN, "admin"},
        {"admin,auditor,approver,publisher,submitter,viewer", 63,
         "viewer,submitter,publisher,approver,auditor,admin"},
        {"", 0, NULL},
        {",", 0, NULL},
        {"viewer,", 0, NULL},
        {",viewer", 0, NULL},
        {"viewer,viewer", 0, NULL},
        {"admin,admin", 0, NULL},
        {"viewer, admin", 0, NULL},
        {"Viewer", 0, NULL},
        {"root", 0, NULL},
        {"view", 0, NULL},
        {"viewers", 0, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        unsigned roles = 0;
        int result = role_set_parse(rows[i].names, &roles);
        assert_int_equal(result, rows[i].roles == 0 ? -1 : 0);
        assert_int_equal(roles, rows[i].roles);
        if (result != 0)
            continue;
        AUTO_BUF struct buf text = BUF(256);
        role_set_format(roles, &text);
        assert_string_equal(buf_text(&text), rows[i].written);
    }
    unsigned role = 0;
    assert_int_equal(role_parse("auditor", &role), 0);
    assert_int_equal(role, ROLE_AUDITOR);
    assert_int_equal(role_parse("submitter", &role), 0);
    assert_int_equal(role, ROLE_SUBMITTER);
    assert_int_equal(role_parse("auditor,admin", &role), -1);
    assert_int_equal(role_parse("", &role), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_reads_back),
        cmocka_unit_test(other_texts_are_no_keys),
        cmocka_unit_test(tenants_and_principals),
        cmocka_unit_test(roles_are_read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
