/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/backend.h"

#include <string.h>

/* The groups' orders: SEC 2 sections 2.4.2 and 2.5.1 (big-endian), RFC 8032 section 5.1
 * (little-endian). */
static const uint8_t p256_order[32] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
static const uint8_t p384_order[48] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf,
    0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73};
static const uint8_t ed25519_order[32] = {
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10};

static bool is_zero(const uint8_t *number, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (number[i] != 0)
            return false;
    return true;
}

static bool halves_in_range(struct span signature, const uint8_t *order)
{
    size_t len = signature.len / 2;
    const uint8_t *r = signature.data;
    const uint8_t *s = signature.data + len;
    return !is_zero(r, len) && !is_zero(s, len) && memcmp(r, order, len) < 0 &&
           memcmp(s, order, len) < 0;
}

static bool edwards_s_below_order(struct span signature)
{
    const uint8_t *s = signature.data + 32;
    for (size_t i = 32; i-- > 0;)
        if (s[i] != ed25519_order[i])
            return s[i] < ed25519_order[i];
    return false;
}

bool signature_form_valid(enum jws_alg alg, size_t signature_len, struct span signature)
{
    if (signature.len == 0 || signature.len != signature_len)
        return false;
    switch (alg) {
    case JWS_ES256:
        return halves_in_range(signature, p256_order);
    case JWS_ES384:
        return halves_in_range(signature, p384_order);
    case JWS_EDDSA:
        return edwards_s_below_order(signature);
    case JWS_HS256:
    case JWS_HS384:
    case JWS_HS512:
    case JWS_RS256:
    case JWS_PS256:
        return true;
    case JWS_ALG_COUNT:
        break;
    }
    return false;
}
