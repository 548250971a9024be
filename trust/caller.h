/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls: API keys (`sp_<id>_<secret>`), roles, and what a caller may do. */
#pragma once

#include "base/digest.h"
#include "base/fault.h"
#include "base/json.h"

#define TENANT_ID_MAX 64  /* [a-z0-9][a-z0-9._-]* */
#define PRINCIPAL_MAX 128 /* [A-Za-z0-9][A-Za-z0-9._:@-]* */
#define API_KEY_ID_LEN 16 /* lower-case hex */
#define API_KEY_TEXT_MAX 96

enum role {
    ROLE_VIEWER = 1 << 0,
    ROLE_SUBMITTER = 1 << 1, /* includes viewer: role_set_parse() adds it */
    ROLE_PUBLISHER = 1 << 2,
    ROLE_APPROVER = 1 << 3,
    ROLE_AUDITOR = 1 << 4,
    ROLE_ADMIN = 1 << 5
};

struct caller {
    char api_key_id[API_KEY_ID_LEN + 1];
    char tenant_id[TENANT_ID_MAX + 1]; /* the tenant this request acts in */
    bool platform;                     /* the key is the platform's, not the tenant's */
    char principal[PRINCIPAL_MAX + 1];
    unsigned roles; /* of enum role */
};

struct api_key_text {
    char text[API_KEY_TEXT_MAX];
};

/* Splits `sp_<16 hex>_<43 base64url characters, 32 bytes>`, strictly; ret_secret_hash is SHA-256
 * of the 32 secret bytes. -1 otherwise. */
int api_key_parse(const char *text, size_t len, char ret_id[API_KEY_ID_LEN + 1],
                  struct digest *ret_secret_hash) MUST_CHECK;

/* The text of a key with this id (8 bytes) and secret (32 bytes). */
struct api_key_text api_key_format(const uint8_t id[8], const uint8_t secret[32]);

bool tenant_id_valid(const char *text, size_t len);
bool principal_valid(const char *text, size_t len);

/* One name; -1 if there is no such role. */
int role_parse(const char *name, unsigned *ret_role) MUST_CHECK;
/* Comma-separated names, at least one, none twice. */
int role_set_parse(const char *names, unsigned *ret_roles) MUST_CHECK;
/* Comma-separated names in the enum's order. */
void role_set_format(unsigned roles, struct buf *ret_text);
