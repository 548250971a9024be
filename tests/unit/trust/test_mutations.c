/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties over many tokens: no single-bit flip and no truncation of a good token is accepted
 * by either backend, and on random mutations the two backends always say the same, which is yes
 * only to the signed bytes. The seed is printed; SALLYPORT_TEST_SEED repeats a run.
 */
#include "trust_support.h"

#include "base/clock.h"

#define MUTATIONS 1000 /* per algorithm */

static const enum jws_alg served[] = {JWS_HS256, JWS_HS384, JWS_HS512, JWS_RS256,
                                      JWS_PS256, JWS_ES256, JWS_ES384, JWS_EDDSA};

static void no_bit_flip_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(served); i++) {
        AUTO_SIGNER struct signer signer = signer_new(served[i]);
        AUTO_BUF struct buf text = token_plain(&signer);
        assert_accepted(buf_span(&text), signer.key);
        for (size_t bit = 0; bit < text.len * 8; bit++) {
            text.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_refused(buf_span(&text), signer.key);
            text.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_accepted(buf_span(&text), signer.key);
    }
}

/* The decoded signature's bits too: most flips of the text above end in the parser already. */
static void no_signature_bit_flip_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(served); i++) {
        AUTO_SIGNER struct signer signer = signer_new(served[i]);
        AUTO_BUF struct buf text = token_plain(&signer);
        AUTO_TOKEN struct token *token = NULL;
        assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
        uint8_t bytes[1024];
        memcpy(bytes, token->signature.data, token->signature.len);
        for (size_t bit = 0; bit < token->signature.len * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            AUTO_BUF struct buf bad =
                with_signature(buf_span(&text), span_of(bytes, token->signature.len));
            assert_forged(buf_span(&bad), signer.key);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

static void no_truncation_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(served); i++) {
        AUTO_SIGNER struct signer signer = signer_new(served[i]);
        AUTO_BUF struct buf text = token_plain(&signer);
        for (size_t cut = 1; cut <= text.len; cut++) {
            assert_refused(span_of(text.data, text.len - cut), signer.key);
            assert_refused(span_of(text.data + cut, text.len - cut), signer.key);
        }
    }
}

static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t below(uint64_t *seed, size_t limit)
{
    return limit == 0 ? 0 : (size_t)(next_random(seed) % limit);
}

static struct buf copy_of(struct span bytes)
{
    struct buf copy = BUF(TOKEN_MAX);
    buf_append(&copy, bytes.data, bytes.len);
    return copy;
}

/* The text with one byte changed, doubled, dropped or two swapped; mostly within the alphabet, so
 * that many of them reach the backends. */
static struct buf mutate_text(struct span text, uint64_t *seed)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/\n";
    size_t at = below(seed, text.len);
    struct buf copy = copy_of(text);
    switch (below(seed, 4)) {
    case 0:
        copy.data[at] = (uint8_t)alphabet[below(seed, sizeof alphabet - 1)];
        break;
    case 1: {
        size_t other = below(seed, text.len);
        uint8_t held = copy.data[at];
        copy.data[at] = copy.data[other];
        copy.data[other] = held;
        break;
    }
    case 2:
        copy.len = at;
        buf_append(&copy, text.data + at + 1, text.len - at - 1);
        break;
    default:
        copy.len = at;
        buf_append(&copy, text.data, 1 + below(seed, 4));
        buf_append(&copy, text.data + at, text.len - at);
    }
    return copy;
}

/* The token with some bytes of its decoded signature, or its whole payload, replaced: always
 * well-formed. */
static struct buf mutate_parts(const struct token *token, uint64_t *seed)
{
    if (below(seed, 3) > 0) {
        uint8_t bytes[1024];
        memcpy(bytes, token->signature.data, token->signature.len);
        for (size_t n = 1 + below(seed, 3); n > 0; n--)
            bytes[below(seed, token->signature.len)] = (uint8_t)next_random(seed);
        size_t len =
            below(seed, 8) == 0 ? 1 + below(seed, token->signature.len) : token->signature.len;
        return with_signature(token->text, span_of(bytes, len));
    }
    struct buf copy = BUF(TOKEN_MAX);
    const uint8_t *dot = memchr(token->text.data, '.', token->text.len);
    buf_append(&copy, token->text.data, (size_t)(dot - token->text.data) + 1);
    char payload[32];
    int len = snprintf(payload, sizeof payload, "{\"a\":%u}", (unsigned)below(seed, 4));
    base64url_encode(&copy, payload, (size_t)len);
    buf_puts(&copy, ".");
    base64url_encode(&copy, token->signature.data, token->signature.len);
    return copy;
}

static void check_agreement(const struct token *good, const struct trust_key *key, struct span text,
                            uint64_t seed)
{
    AUTO_TOKEN struct token *token = NULL;
    if (token_parse(text, &token, NULL) != 0)
        return;
    int evp = token_verify(token, key, both_engines[0], NULL);
    int libjwt = token_verify(token, key, both_engines[1], NULL);
    bool signed_bytes = span_equal(token->signing_input, good->signing_input) &&
                        span_equal(token->signature, good->signature);
    if (evp != libjwt || (evp == 0) != signed_bytes)
        fail_msg("seed %llu: evp %d, libjwt %d for %.*s", (unsigned long long)seed, evp, libjwt,
                 (int)text.len, (const char *)text.data);
}

static void the_backends_agree_on_mutations(void **state)
{
    (void)state;
    const char *fixed = getenv("SALLYPORT_TEST_SEED");
    uint64_t seed = fixed != NULL ? strtoull(fixed, NULL, 10) : (uint64_t)clock_wall_ms();
    print_message("SALLYPORT_TEST_SEED=%llu\n", (unsigned long long)seed);
    uint64_t first = seed;
    for (size_t i = 0; i < ARRAY_LEN(served); i++) {
        AUTO_SIGNER struct signer signer = signer_new(served[i]);
        AUTO_BUF struct buf text = token_plain(&signer);
        AUTO_TOKEN struct token *token = NULL;
        assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
        check_agreement(token, signer.key, buf_span(&text), first);
        for (int n = 0; n < MUTATIONS; n++) {
            AUTO_BUF struct buf mutant = below(&seed, 2) == 0 ? mutate_text(buf_span(&text), &seed)
                                                              : mutate_parts(token, &seed);
            check_agreement(token, signer.key, buf_span(&mutant), first);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bit_flip_is_accepted),
        cmocka_unit_test(no_signature_bit_flip_is_accepted),
        cmocka_unit_test(no_truncation_is_accepted),
        cmocka_unit_test(the_backends_agree_on_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
