/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys to spend time on. A token under an unknown kid, or one that claims another algorithm
 * than its key's, costs a real verification of the claimed algorithm under one of these, so
 * that the time of a refusal does not say which kids exist. What such a verification says is
 * never used: verify.c refuses whatever it says. The private halves were thrown away when
 * these were made.
 *
 * This is the library's one piece of state outside its callers' hands: pthread_once() fills
 * the table before its first reader sees it, and nothing writes to it again.
 */
#include "trust/key_parts.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <string.h>

enum { RSA_2048, RSA_3072, RSA_4096, RSA_SIZES };

static const char *const rsa_pems[RSA_SIZES] = {
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAxLvXFmm7pQl4A/Oo4Aae\n"
    "OsPFxqX9+l9DzwSzafxpdVV+SHhtXsgxdTTtsKnwxhqAAJk9i5EJkKbhNxUgDTi/\n"
    "bsFDlixKHFwywpB0rmuzlLPZ0nls2kQxcwU+3iz1wsrqFP8oNlTf3qTd6hIrriMC\n"
    "fIeUgexTH56UaALD0EPOb95Src+5rM16hwGghkcpzUO23FSPVH+hCwJBDWELa6Yk\n"
    "BguRzjcCT9TydVCDU4qe3yUJqDYXMNPBq/4deZb6yL8HRSv/+ZWGZHFYALp2Wckq\n"
    "G5c25RobL1hhaMf1YYFSi325iITYm81ednvvOzdLzlkfKst031xap8gZsa3uf4nF\n"
    "nQIDAQAB\n"
    "-----END PUBLIC KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKCAYEAqEqoV0F2sbxK6fZLelT2\n"
    "yRCd5Bt5p4lm/xdsBYeDc3QPf41gMFAwL9A+G6AUGAA8dcEvmTtx5H8zGgsXEbvP\n"
    "pWlZnpBpcGGI6Tm6Gp4p0paz0h2DMvJP5OHGxVhbJspgWMgDVoqI/APcV9q5tcXB\n"
    "3X+tvJQX5ZVx6JmJ59/RgK30aunCxmyKlUZAOEagBcwB/npT7abX6EOkPP8tStnY\n"
    "1Y+J9XFm80w4fdLUtqvXiAgbGDpwhjDtZH4GmCv9llavMsgXKGB1c80UKeC6H3u7\n"
    "v3m9NnGJ5LUaJdv43kezvu4x9UmTF/NZJ78NYG614Q0YMkOqCDhT9KUcOpsIWM+O\n"
    "czfKcMieyl4vRAtXsBrsbRDAh1HJXlwxrAG+OCaAOOl/r2xdxRP6RozYZzTW6o/b\n"
    "8dGLiOzfwSRhXwFniRKLFg5eraPeRaYPBQTXJNuO9DYb4FX0f6sfS2ifWkF0shw1\n"
    "u8xezNw7L9yt4pJMHe2KzEAqTANYWwoGSd1cem8MczRpAgMBAAE=\n"
    "-----END PUBLIC KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\n"
    "MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAr7mYhE9bKKtmwJLbAVee\n"
    "mnHt/AI0vc50Ng3Yj9pM8/MPC9Hq2x3Fh5wruvnUZCtQYqVM5G6Ahbo+5t5/BYtW\n"
    "5Gc/qM3sitn5Vue6kUr0zG56PhAGUUvc+fGxWEf/oIR4TRdKh1dnCMGKi3qaBGbs\n"
    "fk9SW+gwkDEkFphdCkzUgqi3RLVH6/MuV3z+IvTSL2txofm553qJtYMQUPs51Aqy\n"
    "hLQCIawKXcesv8uyvDkEUqRX5qBmd1G8xZ34txlYqBUeQCYIE5gfqALAy4xIBds9\n"
    "Gpi+msJ0gpFsX6B4Oz2wza9/4L4rRXAMKee6XCdzNf2iMmNQpxJGX/URW3DTHkQq\n"
    "B+cajqcswhE0SLkYxl+J50eQqIZ4mjGGcKrDtvo1RxfqgVg2b4SJDykp6dh70Z0b\n"
    "PVbNCrtCaZ6mmLz9ytSwtwrdpj+Kcb0aaIYHEvZS0tDBM6/ZrYE8y5J7DjJQMuS0\n"
    "GXdSd9ojqb+k4eSUONiMDt7w0TWUC31DHM4xzUVza6351CZ+AH5urM2WI3vS1Gob\n"
    "nKgHzi2+cBwkbmAfGG/CbD9RPXG4SEqOc3aDQX+qReiPnFxr8Vyyo1jC4ZjH9mP4\n"
    "3fSrS+4hbuPYCkI2GWgGLEnKPByMagcZQDWeUhvifBvRu6b1eBJDl+6ERM1IeFXr\n"
    "3/wNv2H2+xgjUY1gcn9PV1UCAwEAAQ==\n"
    "-----END PUBLIC KEY-----\n",
};

static const char p256_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                               "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqGrX56bfzUee4wsXCeAZEaItTi6k\n"
                               "WYkx/1tEnzOkyTqPOerKwhXlOSMGY49/8fObrOf7xMwDB5rWV6nIRiSC6Q==\n"
                               "-----END PUBLIC KEY-----\n";

static const char p384_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                               "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEOJ2zMvYIETSnY1jxhyZ4ESUEEMDj4R1Q\n"
                               "jT8BSM0HipkXsPQ/4jNSPGP4bqN3iVDH92EKY3UiZvCzZpmea31Qq8jgiPrI5VBw\n"
                               "EAeM0FPV4WhbEYyzmAXcSfvpJ3R5AjF5\n"
                               "-----END PUBLIC KEY-----\n";

static const char ed25519_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                                  "MCowBQYDK2VwAyEAlkHiawz2sRs7veGKkR6UZGdhd+Yuc7IcPTJqL0Fs/Uo=\n"
                                  "-----END PUBLIC KEY-----\n";

/* As long as the longest hash asks. It is no secret: nothing is trusted for it. */
static const char hmac_secret[] =
    "spent on tokens whose key is not known, so that time does not tell";

static struct trust_key *stand_ins[JWS_ALG_COUNT][RSA_SIZES];
static pthread_once_t stand_ins_once = PTHREAD_ONCE_INIT;

/* Unchecked, since a check of all of them takes a tenth of a second; the tests make it. */
static void make(enum jws_alg alg, int size, const char *pem)
{
    BIO *memory = BIO_new_mem_buf(pem, (int)strlen(pem));
    AUTO_PKEY EVP_PKEY *pkey =
        memory == NULL ? NULL : PEM_read_bio_PUBKEY(memory, NULL, NULL, NULL);
    BIO_free(memory);
    /* One that cannot be made stays NULL, and its tokens are refused without the delay. */
    if (pkey == NULL || trust_key_around(alg, &pkey, &stand_ins[alg][size], NULL) != 0)
        ERR_clear_error();
}

static void make_all(void)
{
    for (int alg = JWS_HS256; alg <= JWS_HS512; alg++)
        if (trust_key_from_secret((enum jws_alg)alg, span_text(hmac_secret), &stand_ins[alg][0],
                                  NULL) != 0)
            continue; /* stays NULL as well */
    for (int size = 0; size < RSA_SIZES; size++) {
        make(JWS_RS256, size, rsa_pems[size]);
        make(JWS_PS256, size, rsa_pems[size]);
    }
    make(JWS_ES256, 0, p256_pem);
    make(JWS_ES384, 0, p384_pem);
    make(JWS_EDDSA, 0, ed25519_pem);
}

const struct trust_key *stand_in_key(enum jws_alg alg, size_t signature_len)
{
    const struct jws_alg_spec *spec = jws_alg_spec(alg);
    if (spec == NULL || pthread_once(&stand_ins_once, make_all) != 0)
        return NULL;
    bool rsa = spec->family == JWS_RSA_PKCS1 || spec->family == JWS_RSA_PSS;
    int size = !rsa || signature_len <= 256 ? RSA_2048 : signature_len <= 384 ? RSA_3072 : RSA_4096;
    return stand_ins[alg][size];
}

void trust_key_rehearse(enum jws_alg alg, size_t signature_len)
{
    const struct trust_key *model = stand_in_key(alg, signature_len);
    AUTO_TRUST_KEY struct trust_key *key = NULL;
    if (model == NULL)
        return;
    if (jws_alg_is_hmac(alg))
        (void)!trust_key_from_secret(alg, buf_span(&model->secret), &key, NULL);
    else
        (void)!trust_key_reopen(alg, buf_span(&model->pem), &key, NULL);
}
