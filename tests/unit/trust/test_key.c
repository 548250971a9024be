/* SPDX-License-Identifier: Apache-2.0 */
/* Keys by every door: PEM, certificate, JWK, secret. What weakness refuses is test_pitfalls_key's.
 */
#include "forge.h"

#include <openssl/x509v3.h>

static struct fault refused_pem(enum jws_alg alg, struct span pem)
{
    struct trust_key *key = NULL;
    struct fault fault = {0};
    assert_int_equal(trust_key_from_pem(alg, pem, &key, &fault), -1);
    assert_null(key);
    assert_int_equal(fault.code, FAULT_KEY_INVALID);
    return fault;
}

static void assert_pem_refused(enum jws_alg alg, const struct buf *pem, const char *word)
{
    struct fault fault = refused_pem(alg, buf_span(pem));
    if (strstr(fault.detail, word) == NULL)
        fail_msg("'%s' does not say '%s'", fault.detail, word);
}

/* A self-signed certificate, its dates long past: they are not asked. */
static struct buf certificate_of(EVP_PKEY *pkey, const EVP_MD *hash)
{
    X509 *certificate = X509_new();
    assert_int_equal(X509_set_version(certificate, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1), 1);
    assert_non_null(ASN1_TIME_adj(X509_getm_notBefore(certificate), 0, 0, 0));
    assert_non_null(ASN1_TIME_adj(X509_getm_notAfter(certificate), 0, 1, 0));
    X509_NAME *name = X509_get_subject_name(certificate);
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)"test", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(certificate, name), 1);
    assert_int_equal(X509_set_pubkey(certificate, pkey), 1);
    assert_true(X509_sign(certificate, pkey, hash) > 0);
    unsigned char *der = NULL;
    int len = i2d_X509(certificate, &der);
    assert_true(len > 0);
    struct buf pem = armour("CERTIFICATE", span_of(der, (size_t)len));
    OPENSSL_free(der);
    X509_free(certificate);
    return pem;
}

static void a_certificate_gives_its_key(void **state)
{
    (void)state;
    static const enum jws_alg algs[] = {JWS_RS256, JWS_PS256, JWS_ES256, JWS_ES384, JWS_EDDSA};
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        AUTO_SIGNER struct signer signer = signer_new(algs[i]);
        AUTO_PKEY EVP_PKEY *pkey = private_of(&signer);
        AUTO_BUF struct buf pem = certificate_of(pkey, algs[i] == JWS_EDDSA ? NULL : EVP_sha256());
        AUTO_TRUST_KEY struct trust_key *key = NULL;
        struct fault fault = {0};
        if (trust_key_from_pem(algs[i], buf_span(&pem), &key, &fault) != 0)
            fail_msg("%s", fault.detail);
        AUTO_BUF struct buf text = token_plain(&signer);
        assert_accepted(buf_span(&text), key); /* libjwt too, which takes no certificates */
    }
}

static void line_ends_and_widths_may_vary(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer signer = signer_new(JWS_ES256);
    AUTO_BUF struct buf crlf = BUF(4096), one_line = BUF(4096), bare_end = BUF(4096),
                        blank_after = BUF(4096);
    for (size_t i = 0; i < signer.pem.len; i++) {
        if (signer.pem.data[i] == '\n')
            buf_puts(&crlf, "\r");
        buf_append(&crlf, &signer.pem.data[i], 1);
    }
    AUTO_PKEY EVP_PKEY *pkey = private_of(&signer);
    AUTO_BUF struct buf der = spki_der(pkey);
    buf_puts(&one_line, "-----BEGIN PUBLIC KEY-----\n");
    base64_encode(&one_line, der.data, der.len);
    buf_puts(&one_line, "\n-----END PUBLIC KEY-----\n");
    buf_append(&bare_end, signer.pem.data, signer.pem.len - 1);
    buf_printf(&blank_after, "%s\r\n\n", buf_text(&signer.pem));
    const struct buf *const forms[] = {&crlf, &one_line, &bare_end, &blank_after};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        AUTO_TRUST_KEY struct trust_key *key = NULL;
        assert_int_equal(trust_key_from_pem(JWS_ES256, buf_span(forms[i]), &key, NULL), 0);
        assert_int_equal(trust_key_alg(key), JWS_ES256);
    }
}

static void pem_of_any_other_form_is_refused(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer signer = signer_new(JWS_ES256);
    const char *pem = buf_text(&signer.pem);
    AUTO_BUF struct buf two = BUF(8192), text_before = BUF(8192), text_after = BUF(8192),
                        no_end = BUF(8192), other_end = BUF(8192), empty = BUF(8192),
                        not_base64 = BUF(8192), header_lines = BUF(8192), nul = BUF(8192);
    buf_printf(&two, "%s%s", pem, pem);
    buf_printf(&text_before, "Subject: test\n%s", pem);
    buf_printf(&text_after, "%strailing", pem);
    buf_append(&no_end, pem, signer.pem.len - 30);
    buf_printf(&other_end, "%.*s-----END CERTIFICATE-----\n", (int)(strstr(pem, "-----END") - pem),
               pem);
    buf_puts(&empty, "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n");
    buf_puts(&not_base64, "-----BEGIN PUBLIC KEY-----\n????\n-----END PUBLIC KEY-----\n");
    buf_puts(&header_lines, "-----BEGIN PUBLIC KEY-----\nProc-Type: 4,ENCRYPTED\n\n"
                            "AAAA\n-----END PUBLIC KEY-----\n");
    buf_append(&nul, pem, 60);
    buf_append(&nul, "\0", 1);
    buf_puts(&nul, pem + 60);
    assert_pem_refused(JWS_ES256, &two, "one PEM object");
    assert_pem_refused(JWS_ES256, &text_before, "begins with");
    assert_pem_refused(JWS_ES256, &text_after, "one PEM object");
    assert_pem_refused(JWS_ES256, &no_end, "END line");
    assert_pem_refused(JWS_ES256, &other_end, "END line");
    assert_pem_refused(JWS_ES256, &empty, "not base64");
    assert_pem_refused(JWS_ES256, &not_base64, "not base64");
    assert_pem_refused(JWS_ES256, &header_lines, "not base64");
    assert_pem_refused(JWS_ES256, &nul, "key");
    (void)refused_pem(JWS_ES256, span_of(NULL, 0));
    (void)refused_pem(JWS_ES256, span_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA test"));
}

static void der_must_be_one_object_exactly(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer signer = signer_new(JWS_ES256);
    AUTO_PKEY EVP_PKEY *pkey = private_of(&signer);
    AUTO_BUF struct buf der = spki_der(pkey);
    buf_append(&der, "\0", 1);
    AUTO_BUF struct buf longer = armour("PUBLIC KEY", buf_span(&der));
    assert_pem_refused(JWS_ES256, &longer, "one public key");
    for (size_t len = 1; len < der.len - 1; len++) {
        AUTO_BUF struct buf shorter = armour("PUBLIC KEY", span_of(der.data, len));
        assert_pem_refused(JWS_ES256, &shorter, "key");
    }
    AUTO_BUF struct buf as_certificate = armour("CERTIFICATE", span_of(der.data, der.len - 1));
    assert_pem_refused(JWS_ES256, &as_certificate, "one public key");
}

static void a_private_key_is_refused(void **state)
{
    (void)state;
    static const enum jws_alg algs[] = {JWS_RS256, JWS_ES256, JWS_EDDSA};
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        AUTO_SIGNER struct signer signer = signer_new(algs[i]);
        AUTO_BUF struct buf pem = BUF(8192);
        assert_int_equal(sign_key_private_pem(signer.sign, &pem, NULL), 0);
        assert_pem_refused(algs[i], &pem, "is private");
        buf_puts(&pem, buf_text(&signer.pem));
        assert_pem_refused(algs[i], &pem, "is private");
    }
}

static void other_labels_are_refused(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer signer = signer_new(JWS_RS256);
    AUTO_PKEY EVP_PKEY *pkey = private_of(&signer);
    AUTO_BUF struct buf der = spki_der(pkey);
    static const char *const labels[] = {"RSA PUBLIC KEY",      "X509 CERTIFICATE",
                                         "TRUSTED CERTIFICATE", "CERTIFICATE REQUEST",
                                         "public key",          "PUBLIC KEY "};
    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        AUTO_BUF struct buf pem = armour(labels[i], buf_span(&der));
        assert_pem_refused(JWS_RS256, &pem, "begins with");
    }
}

static void owners_are_counted(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer signer = signer_new(JWS_ES256);
    AUTO_BUF struct buf text = token_plain(&signer);
    struct trust_key *second = trust_key_ref(signer.key);
    assert_ptr_equal(second, signer.key);
    trust_key_free(signer.key);
    signer.key = NULL;
    assert_accepted(buf_span(&text), second); /* still whole; ASan sees if not */
    trust_key_free(second);
    assert_null(trust_key_ref(NULL));
    trust_key_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_gives_its_key),
        cmocka_unit_test(line_ends_and_widths_may_vary),
        cmocka_unit_test(pem_of_any_other_form_is_refused),
        cmocka_unit_test(der_must_be_one_object_exactly),
        cmocka_unit_test(a_private_key_is_refused),
        cmocka_unit_test(other_labels_are_refused),
        cmocka_unit_test(owners_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
