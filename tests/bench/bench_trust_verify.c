/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifications per second on one thread, per algorithm and backend: our whole path
 * (token_parse, token_verify, token_free) against the bare library call with a cached key, the
 * two in turns so that both meet the same weather. The ratio is the median of the turns'.
 *
 *     bench_trust_verify [milliseconds per algorithm and backend]
 */
#include "base/encode.h"
#include "trust/sign.h"
#include "trust/token.h"
#include "trust/verify.h"

#include <jwt.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>
#include <time.h>

#define TURNS 25

static const char payload[] =
    "{\"manifest_version\":\"1.0.0\",\"issued_at\":\"2026-01-02T03:04:05.678Z\","
    "\"nonce\":\"0123456789abcdef0123456789abcdef\",\"target_urn\":\"urn:target:host:db-01\","
    "\"tool_sha256\":\"sha256:"
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\","
    "\"task_context\":{\"task_id\":\"task-000001\",\"tenant_id\":\"acme\",\"operator_id\":"
    "\"operator-1\",\"source\":\"soar\",\"action\":\"scan\",\"requested_at\":"
    "\"2026-01-02T03:04:05Z\",\"correlation_id\":\"0198a1b2-0000-7000-8000-000000000001\"},"
    "\"parameters\":{\"args\":[\"-r\",\"/in/rules\",\"/in/sample\"],\"timeout_seconds\":60}}";

/* One algorithm's token, and what either library wants to see of it. */
struct subject {
    enum jws_alg alg;
    struct buf text;
    struct trust_key *key;
    struct verify_policy policy;
    struct token *parsed;
    EVP_PKEY *pkey;
    EVP_MD *hash;
    EVP_MD_CTX *context;
    EVP_MAC_CTX *mac;
    struct buf pem;
    unsigned char *der; /* the signature as EVP takes it */
    size_t der_len;
};

static const char secret[] = "0123456789abcdef0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL";

static void require(bool good, const char *what)
{
    if (good)
        return;
    (void)fprintf(stderr, "bench_trust_verify: %s failed\n", what);
    exit(1);
}

static double now_seconds(void)
{
    struct timespec now;
    require(clock_gettime(CLOCK_MONOTONIC, &now) == 0, "clock_gettime");
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void ours(struct subject *subject)
{
    struct token *token = NULL;
    require(token_parse(buf_span(&subject->text), &token, NULL) == 0, "token_parse");
    require(token_verify(token, subject->key, subject->policy, NULL) == 0, "token_verify");
    token_free(token);
}

static void bare_evp(struct subject *subject)
{
    EVP_PKEY_CTX *parameters = NULL;
    bool good = EVP_MD_CTX_reset(subject->context) == 1 &&
                EVP_DigestVerifyInit(subject->context, &parameters, subject->hash, NULL,
                                     subject->pkey) == 1;
    if (subject->alg == JWS_PS256)
        good = good && EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1;
    require(good && EVP_DigestVerify(subject->context, subject->der, subject->der_len,
                                     subject->parsed->signing_input.data,
                                     subject->parsed->signing_input.len) == 1,
            "EVP_DigestVerify");
}

static void bare_mac(struct subject *subject)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    size_t len = 0;
    const struct token *token = subject->parsed;
    require(EVP_MAC_init(subject->mac, (const unsigned char *)secret, sizeof secret - 1, NULL) ==
                    1 &&
                EVP_MAC_update(subject->mac, token->signing_input.data, token->signing_input.len) ==
                    1 &&
                EVP_MAC_final(subject->mac, mac, &len, sizeof mac) == 1 &&
                CRYPTO_memcmp(mac, token->signature.data, len) == 0,
            "EVP_MAC");
}

static void bare_libjwt(struct subject *subject)
{
    bool hmac = jws_alg_is_hmac(subject->alg);
    const unsigned char *key = hmac ? (const unsigned char *)secret : subject->pem.data;
    int len = hmac ? (int)sizeof secret - 1 : (int)subject->pem.len;
    jwt_t *jwt = NULL;
    require(jwt_decode(&jwt, buf_text(&subject->text), key, len) == 0, "jwt_decode");
    jwt_free(jwt);
}

static void prepare_public(struct subject *subject)
{
    AUTO_SIGN_KEY struct sign_key *signer = NULL;
    require(sign_key_generate(subject->alg, &signer, NULL) == 0 &&
                sign_key_public_pem(signer, &subject->pem, NULL) == 0 &&
                trust_key_from_pem(subject->alg, buf_span(&subject->pem), &subject->key, NULL) ==
                    0 &&
                token_sign(signer, "bench", NULL, span_text(payload), &subject->text, NULL) == 0,
            "signing");
    BIO *memory = BIO_new_mem_buf(subject->pem.data, (int)subject->pem.len);
    subject->pkey = PEM_read_bio_PUBKEY(memory, NULL, NULL, NULL);
    BIO_free(memory);
    const struct jws_alg_spec *spec = jws_alg_spec(subject->alg);
    subject->hash = spec->hash == NULL ? NULL : EVP_MD_fetch(NULL, spec->hash, NULL);
    subject->context = EVP_MD_CTX_new();
    require(subject->pkey != NULL && subject->context != NULL, "key");
}

static void prepare_secret(struct subject *subject)
{
    AUTO_SIGN_KEY struct sign_key *signer = NULL;
    require(sign_key_from_secret(subject->alg, span_text(secret), &signer, NULL) == 0 &&
                trust_key_from_secret(subject->alg, span_text(secret), &subject->key, NULL) == 0 &&
                token_sign(signer, "bench", NULL, span_text(payload), &subject->text, NULL) == 0,
            "signing");
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    subject->mac = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);
    char hash[16];
    (void)snprintf(hash, sizeof hash, "%s", jws_alg_spec(subject->alg)->hash);
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash, 0),
                                 OSSL_PARAM_construct_end()};
    require(subject->mac != NULL && EVP_MAC_CTX_set_params(subject->mac, params) == 1, "EVP_MAC");
}

static void prepare_signature(struct subject *subject)
{
    struct span signature = subject->parsed->signature;
    if (jws_alg_spec(subject->alg)->family != JWS_ECDSA) {
        subject->der = OPENSSL_memdup(signature.data, signature.len);
        subject->der_len = signature.len;
        return;
    }
    ECDSA_SIG *pair = ECDSA_SIG_new();
    int half = (int)signature.len / 2;
    require(ECDSA_SIG_set0(pair, BN_bin2bn(signature.data, half, NULL),
                           BN_bin2bn(signature.data + half, half, NULL)) == 1,
            "ECDSA_SIG");
    int len = i2d_ECDSA_SIG(pair, &subject->der);
    require(len > 0, "i2d_ECDSA_SIG");
    subject->der_len = (size_t)len;
    ECDSA_SIG_free(pair);
}

static double rate_of(void (*call)(struct subject *), struct subject *subject, double seconds)
{
    double start = now_seconds(), elapsed = 0;
    long calls = 0;
    do {
        for (int i = 0; i < 8; i++)
            call(subject);
        calls += 8;
        elapsed = now_seconds() - start;
    } while (elapsed < seconds);
    return (double)calls / elapsed;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(struct subject *subject, const char *backend, void (*bare)(struct subject *),
                    double seconds)
{
    double ratios[TURNS], best_ours = 0, best_bare = 0;
    double each = seconds / TURNS / 2;
    (void)rate_of(ours, subject, each);
    (void)rate_of(bare, subject, each);
    for (int i = 0; i < TURNS; i++) {
        double a = rate_of(ours, subject, each);
        double b = rate_of(bare, subject, each);
        ratios[i] = a / b;
        best_ours = a > best_ours ? a : best_ours;
        best_bare = b > best_bare ? b : best_bare;
    }
    qsort(ratios, TURNS, sizeof ratios[0], compare_doubles);
    printf("%-6s  %-6s  %10.0f  %10.0f  %5.2f\n", jws_alg_name(subject->alg), backend, best_ours,
           best_bare, ratios[TURNS / 2]);
    (void)fflush(stdout);
}

static void bench(enum jws_alg alg, double seconds)
{
    struct subject subject = {.alg = alg, .text = BUF(TOKEN_MAX), .pem = BUF(8192)};
    bool hmac = jws_alg_is_hmac(alg);
    if (hmac)
        prepare_secret(&subject);
    else
        prepare_public(&subject);
    require(token_parse(buf_span(&subject.text), &subject.parsed, NULL) == 0, "token_parse");
    prepare_signature(&subject);
    subject.policy = (struct verify_policy){.asymmetric = VERIFY_EVP, .hmac = VERIFY_EVP};
    measure(&subject, "evp", hmac ? bare_mac : bare_evp, seconds);
    subject.policy = (struct verify_policy){.asymmetric = VERIFY_LIBJWT, .hmac = VERIFY_LIBJWT};
    if (alg != JWS_PS256 && alg != JWS_EDDSA)
        measure(&subject, "libjwt", bare_libjwt, seconds);
    token_free(subject.parsed);
    trust_key_free(subject.key);
    EVP_PKEY_free(subject.pkey);
    EVP_MD_free(subject.hash);
    EVP_MD_CTX_free(subject.context);
    EVP_MAC_CTX_free(subject.mac);
    OPENSSL_free(subject.der);
    buf_free(&subject.text);
    buf_free(&subject.pem);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) / 1000 : 2;
    require(seconds > 0 && seconds < 3600, "reading the number of milliseconds");
    printf("alg     backend     ours/s      bare/s  ratio   (payload %zu bytes)\n",
           sizeof payload - 1);
    for (int alg = 0; alg < JWS_ALG_COUNT; alg++)
        bench((enum jws_alg)alg, seconds);
    return 0;
}
