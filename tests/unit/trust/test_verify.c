/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_support.h"

#include "trust/key_parts.h"

#include <pthread.h>
#include <time.h>

static void every_algorithm_signs_and_verifies(void **state)
{
    (void)state;
    for (int alg = 0; alg < JWS_ALG_COUNT; alg++) {
        AUTO_SIGNER struct signer signer = signer_new((enum jws_alg)alg);
        AUTO_BUF struct buf text = token_plain(&signer);
        assert_accepted(buf_span(&text), signer.key);
        assert_forged(buf_span(&text), NULL);
    }
}

/* RFC 7515 appendix A, RFC 7520 section 4, RFC 8037 A.4; those whose payload is text go to EVP
 * under either setting. */
static void published_vectors(void **state)
{
    (void)state;
    AUTO_BUF struct buf file = BUF(65536);
    buf_read("jws/vectors.json", &file);
    AUTO_JSON json_t *vectors = json_loadb((const char *)file.data, file.len, 0, NULL);
    size_t i;
    json_t *vector;
    assert_int_equal(json_array_size(json_object_get(vectors, "accepted")), 7);
    json_array_foreach(json_object_get(vectors, "accepted"), i, vector)
    {
        const char *token = json_string_value(json_object_get(vector, "token"));
        json_t *jwk = json_object_get(vector, "jwk");
        enum jws_alg alg;
        assert_int_equal(jws_alg_parse(json_string_value(json_object_get(vector, "alg")), &alg), 0);
        AUTO_TRUST_KEY struct trust_key *key = NULL;
        AUTO_BUF struct buf bytes = BUF(8192);
        struct fault fault = {0};
        if (jws_alg_is_hmac(alg)) {
            const char *k = json_string_value(json_object_get(jwk, "k"));
            assert_int_equal(base64url_decode(&bytes, k, strlen(k)), 0);
            assert_int_equal(trust_key_from_secret(alg, buf_span(&bytes), &key, &fault), 0);
        } else {
            AUTO_FREE char *text = json_dumps(jwk, JSON_COMPACT);
            assert_int_equal(trust_key_from_jwk(alg, span_text(text), &key, &bytes, &fault), 0);
        }
        assert_accepted(span_text(token), key);
    }
    assert_int_equal(json_array_size(json_object_get(vectors, "refused")), 4);
    json_array_foreach(json_object_get(vectors, "refused"), i, vector)
        assert_malformed(span_text(json_string_value(json_object_get(vector, "token"))), "");
}

static void libjwt_serves_objects_of_its_algorithms_only(void **state)
{
    (void)state;
    static const struct {
        enum jws_alg alg;
        const char *typ;
        const char *payload;
        bool served;
    } rows[] = {
        {JWS_HS256, NULL, "{\"a\":1}", true},
        {JWS_HS384, "JWT", "{\"a\":1}", true},
        {JWS_HS512, NULL, "{}", true},
        {JWS_RS256, NULL, "{}", true},
        {JWS_ES256, "JWT", "{}", true},
        {JWS_ES384, NULL, "{}", true},
        {JWS_PS256, NULL, "{}", false},
        {JWS_EDDSA, NULL, "{}", false},
        {JWS_ES256, TOKEN_TYP_MANIFEST, "{}", false},
        {JWS_ES256, NULL, "[]", false},
        {JWS_ES256, NULL, "words", false},
        {JWS_ES256, NULL, "{\"a\":1,\"a\":2}", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_SIGNER struct signer signer = signer_new(rows[i].alg);
        AUTO_BUF struct buf text = BUF(TOKEN_MAX);
        AUTO_TOKEN struct token *token = NULL;
        assert_int_equal(
            token_sign(signer.sign, NULL, rows[i].typ, span_text(rows[i].payload), &text, NULL), 0);
        assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
        assert_int_equal(backend_libjwt.serves(token), rows[i].served);
        if (rows[i].served)
            assert_true(backend_libjwt.verify(token, signer.key));
        assert_accepted(buf_span(&text), signer.key); /* EVP steps in where it must */
    }
}

static void the_default_policy(void **state)
{
    (void)state;
    struct verify_policy policy = verify_policy_default();
    assert_int_equal(policy.asymmetric, VERIFY_EVP);
    assert_int_equal(policy.hmac, VERIFY_LIBJWT);
}

struct worker {
    struct span text;
    const struct trust_key *key;
    int rounds;
    int good;
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (int i = 0; i < worker->rounds; i++)
        for (size_t k = 0; k < ARRAY_LEN(both_engines); k++)
            if (prove(worker->text, worker->key, both_engines[k], NULL) == 0)
                worker->good++;
    return NULL;
}

static void run_threads(struct worker *workers, size_t count, size_t stack)
{
    pthread_t threads[8];
    pthread_attr_t attributes;
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, stack), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], &attributes, work, &workers[i]), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    (void)pthread_attr_destroy(&attributes);
}

static void one_key_serves_many_threads(void **state)
{
    (void)state;
    for (int alg = 0; alg < JWS_ALG_COUNT; alg++) {
        AUTO_SIGNER struct signer signer = signer_new((enum jws_alg)alg);
        AUTO_BUF struct buf text = token_plain(&signer);
        struct worker workers[4];
        for (size_t i = 0; i < ARRAY_LEN(workers); i++)
            workers[i] = (struct worker){buf_span(&text), signer.key, 20, 0};
        run_threads(workers, ARRAY_LEN(workers), 1 << 20);
        for (size_t i = 0; i < ARRAY_LEN(workers); i++)
            assert_int_equal(workers[i].good, 40);
    }
}

static void the_longest_token_is_proven_on_half_a_megabyte_of_stack(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer signer = signer_new(JWS_HS256);
    AUTO_BUF struct buf payload = BUF(TOKEN_MAX);
    buf_puts(&payload, "{\"a\":\"");
    while (payload.len < TOKEN_MAX / 4 * 3 - 200)
        buf_puts(&payload, "0123456789abcdef");
    buf_puts(&payload, "\"}");
    AUTO_BUF struct buf text = token_over(&signer, "{\"alg\":\"HS256\"}", buf_span(&payload));
    assert_true(text.len > TOKEN_MAX - 256 && text.len <= TOKEN_MAX);
    struct worker worker = {buf_span(&text), signer.key, 1, 0};
    run_threads(&worker, 1, 512 * 1024);
    assert_int_equal(worker.good, 2);
}

static double cpu_microseconds(const struct token *token, const struct trust_key *key)
{
    double best = 1e12;
    for (int i = 0; i < 40; i++) {
        struct timespec from, to;
        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
        assert_int_equal(token_verify(token, key, both_engines[0], NULL), -1);
        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
        double spent =
            (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3;
        best = spent < best ? spent : best;
    }
    return best;
}

/* Not how fast, but that neither cause is cheap: the least CPU time of many, within a factor. */
static void an_unknown_kid_costs_what_a_bad_signature_costs(void **state)
{
    (void)state;
    static const enum jws_alg algs[] = {JWS_ES256, JWS_ES384, JWS_EDDSA, JWS_RS256, JWS_PS256};
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        AUTO_SIGNER struct signer signer = signer_new(algs[i]);
        AUTO_BUF struct buf good = token_plain(&signer);
        AUTO_TOKEN struct token *model = NULL, *token = NULL;
        assert_int_equal(token_parse(buf_span(&good), &model, NULL), 0);
        uint8_t bytes[1024];
        memcpy(bytes, model->signature.data, model->signature.len);
        bytes[model->signature.len / 4] ^= 1;
        AUTO_BUF struct buf text =
            with_signature(buf_span(&good), span_of(bytes, model->signature.len));
        assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
        double bad = cpu_microseconds(token, signer.key);
        double unknown = cpu_microseconds(token, NULL);
        if (unknown < bad / 2 || unknown > bad * 2)
            fail_msg("%s: bad signature %.1f us, unknown kid %.1f us", jws_alg_name(algs[i]), bad,
                     unknown);
    }
}

static void a_stand_in_exists_for_every_algorithm_and_size(void **state)
{
    (void)state;
    for (int alg = 0; alg < JWS_ALG_COUNT; alg++) {
        const struct trust_key *key = stand_in_key((enum jws_alg)alg, 256);
        assert_non_null(key);
        assert_int_equal(trust_key_alg(key), alg);
    }
    /* They are made without the check that other keys get, so here it is. */
    static const struct {
        enum jws_alg alg;
        size_t signature_len;
    } all[] = {{JWS_RS256, 256}, {JWS_RS256, 384}, {JWS_RS256, 512},
               {JWS_PS256, 256}, {JWS_PS256, 384}, {JWS_PS256, 512},
               {JWS_ES256, 64},  {JWS_ES384, 96},  {JWS_EDDSA, 64}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        const struct trust_key *key = stand_in_key(all[i].alg, all[i].signature_len);
        assert_int_equal(key->signature_len, all[i].signature_len);
        assert_int_equal(public_key_check(all[i].alg, key->pkey, NULL), 0);
    }
    static const size_t sizes[] = {1, 256, 257, 384, 385, 512, 1024};
    static const size_t expected[] = {256, 256, 384, 384, 512, 512, 512};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        assert_int_equal(stand_in_key(JWS_RS256, sizes[i])->signature_len, expected[i]);
    assert_null(stand_in_key(JWS_ALG_COUNT, 256));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_algorithm_signs_and_verifies),
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(libjwt_serves_objects_of_its_algorithms_only),
        cmocka_unit_test(the_default_policy),
        cmocka_unit_test(one_key_serves_many_threads),
        cmocka_unit_test(the_longest_token_is_proven_on_half_a_megabyte_of_stack),
        cmocka_unit_test(an_unknown_kid_costs_what_a_bad_signature_costs),
        cmocka_unit_test(a_stand_in_exists_for_every_algorithm_and_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
