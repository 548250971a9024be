/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/key_open.h"

#include <openssl/crypto.h>
#include <string.h>

#define SECRET_MAX 1024

void key_wrap_context(const char *tenant, const char *kid, struct buf *ret_context)
{
    buf_append(ret_context, tenant, strlen(tenant) + 1);
    buf_puts(ret_context, kid);
}

static int open_secret(const struct key_record *record, const char *tenant,
                       const struct master_key *master_key, struct trust_key **ret_key,
                       struct fault *fault)
{
    AUTO_BUF struct buf context = BUF(512);
    AUTO_BUF struct buf secret = BUF(SECRET_MAX);
    key_wrap_context(tenant, record->kid, &context);
    int status =
        secret_unwrap(master_key, buf_span(&context), record->wrapped_secret, &secret, fault);
    if (status == 0)
        status = trust_key_from_secret(record->alg, buf_span(&secret), ret_key, fault);
    if (secret.data != NULL)
        OPENSSL_cleanse(secret.data, secret.cap);
    return status;
}

int key_open(const struct key_record *record, const char *tenant,
             const struct master_key *master_key, struct trust_key **ret_key, struct fault *fault)
{
    if (!jws_alg_is_hmac(record->alg))
        return trust_key_reopen(record->alg, span_text(record->public_pem), ret_key, fault);
    if (master_key == NULL)
        return fault_set(fault, FAULT_NOT_FOUND, "HMAC keys are not served here");
    return open_secret(record, tenant, master_key, ret_key, fault);
}
