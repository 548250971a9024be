/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/caller.h"

#include "base/encode.h"
#include "base/text.h"

#include <openssl/crypto.h>
#include <string.h>

#define SECRET_LEN 32
#define SECRET_TEXT_LEN 43
#define ID_LEN (API_KEY_ID_LEN / 2)

static const char prefix[] = "sp_";
enum {
    ID_AT = sizeof prefix - 1,
    SEPARATOR_AT = ID_AT + API_KEY_ID_LEN,
    SECRET_AT = SEPARATOR_AT + 1,
    API_KEY_LEN = SECRET_AT + SECRET_TEXT_LEN
};

int api_key_parse(const char *text, size_t len, char ret_id[API_KEY_ID_LEN + 1],
                  struct digest *ret_secret_hash)
{
    uint8_t id[ID_LEN];
    if (len != API_KEY_LEN || memcmp(text, prefix, ID_AT) != 0 || text[SEPARATOR_AT] != '_' ||
        hex_decode(text + ID_AT, API_KEY_ID_LEN, id, sizeof id) != 0)
        return -1;
    struct buf secret = BUF(SECRET_LEN);
    int result = base64url_decode(&secret, text + SECRET_AT, SECRET_TEXT_LEN);
    if (result == 0) {
        *ret_secret_hash = digest_of_span(buf_span(&secret));
        memcpy(ret_id, text + ID_AT, API_KEY_ID_LEN);
        ret_id[API_KEY_ID_LEN] = '\0';
    }
    if (secret.data != NULL)
        OPENSSL_cleanse(secret.data, secret.cap);
    buf_free(&secret);
    return result;
}

struct api_key_text api_key_format(const uint8_t id[8], const uint8_t secret[32])
{
    struct api_key_text key = {"sp_"};
    hex_encode(id, ID_LEN, key.text + ID_AT);
    key.text[SEPARATOR_AT] = '_';
    struct buf encoded = BUF(SECRET_TEXT_LEN);
    base64url_encode(&encoded, secret, SECRET_LEN);
    if (buf_failed(&encoded))
        abort(); /* no memory for 44 bytes: half a key must not be handed out */
    memcpy(key.text + SECRET_AT, encoded.data, SECRET_TEXT_LEN);
    OPENSSL_cleanse(encoded.data, encoded.len);
    buf_free(&encoded);
    return key;
}

bool tenant_id_valid(const char *text, size_t len)
{
    return text_in_set(text, len, 1, TENANT_ID_MAX, "abcdefghijklmnopqrstuvwxyz0123456789._-") &&
           strchr("._-", text[0]) == NULL;
}

bool principal_valid(const char *text, size_t len)
{
    return text_in_set(text, len, 1, PRINCIPAL_MAX, TEXT_ALNUM "._:@-") &&
           strchr("._:@-", text[0]) == NULL;
}

static const struct {
    const char *name;
    enum role role;
} roles_known[] = {
    {"viewer", ROLE_VIEWER},     {"submitter", ROLE_SUBMITTER}, {"publisher", ROLE_PUBLISHER},
    {"approver", ROLE_APPROVER}, {"auditor", ROLE_AUDITOR},     {"admin", ROLE_ADMIN},
};

static int role_of(const char *name, size_t len, unsigned *ret_role)
{
    for (size_t i = 0; i < ARRAY_LEN(roles_known); i++)
        if (strlen(roles_known[i].name) == len && memcmp(roles_known[i].name, name, len) == 0) {
            *ret_role = roles_known[i].role;
            return 0;
        }
    return -1;
}

int role_parse(const char *name, unsigned *ret_role)
{
    return role_of(name, strlen(name), ret_role);
}

int role_set_parse(const char *names, unsigned *ret_roles)
{
    unsigned named = 0;
    for (const char *at = names;;) {
        size_t len = strcspn(at, ",");
        unsigned role;
        if (role_of(at, len, &role) != 0 || (named & role) != 0)
            return -1;
        named |= role;
        if (at[len] == '\0')
            break;
        at += len + 1;
    }
    *ret_roles = (named & ROLE_SUBMITTER) != 0 ? named | ROLE_VIEWER : named;
    return 0;
}

void role_set_format(unsigned roles, struct buf *ret_text)
{
    const char *separator = "";
    for (size_t i = 0; i < ARRAY_LEN(roles_known); i++)
        if ((roles & roles_known[i].role) != 0) {
            buf_puts(ret_text, separator);
            buf_puts(ret_text, roles_known[i].name);
            separator = ",";
        }
}
