/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/common.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <string.h>

int failed(const char *what, const struct fault *fault)
{
    log_error(what, "{s:s, s:s}", "code", fault_name(fault->code), "detail", fault->detail);
    return 1;
}

void wait_readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (poll(&wait, 1, -1) < 0 && errno == EINTR)
        ;
}

int read_master_key(const struct settings *settings, struct master_key *ret_key, bool *ret_set,
                    struct fault *fault)
{
    *ret_set = settings->master_key[0] != '\0';
    if (!*ret_set)
        return 0;
    AUTO_BUF struct buf text = BUF(256);
    int status = file_read_secret(settings->master_key, &text, fault);
    if (status == 0)
        status = master_key_parse(buf_span(&text), ret_key, fault);
    if (text.data != NULL)
        OPENSSL_cleanse(text.data, text.cap);
    return status;
}

static int read_engine(const char *name, const char *value, enum verify_engine *ret_engine,
                       struct fault *fault)
{
    if (strcmp(value, "openssl") != 0 && strcmp(value, "libjwt") != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s: expected openssl or libjwt", name);
    *ret_engine = strcmp(value, "openssl") == 0 ? VERIFY_EVP : VERIFY_LIBJWT;
    return 0;
}

int read_verify_policy(const struct settings *settings, struct verify_policy *ret_policy,
                       struct fault *fault)
{
    if (read_engine("verify-asymmetric", settings->verify_asymmetric, &ret_policy->asymmetric,
                    fault) != 0)
        return -1;
    return read_engine("verify-hmac", settings->verify_hmac, &ret_policy->hmac, fault);
}
