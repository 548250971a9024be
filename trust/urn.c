/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/urn.h"

#include "base/text.h"

#include <string.h>
#include <strings.h>

#define NID_MIN 2
#define NID_MAX 32
#define HEX_DIGITS "0123456789ABCDEFabcdef"
/* unreserved, sub-delims, ":" and "@" (RFC 3986 section 3.3), and "/" */
#define NSS_CHARACTERS TEXT_ALNUM "-._~!$&'()*+,;=:@/"

static bool nid_valid(const char *nid, size_t len)
{
    return text_in_set(nid, len, NID_MIN, NID_MAX, TEXT_ALNUM "-") && nid[0] != '-' &&
           nid[len - 1] != '-' && !(len == 3 && strncasecmp(nid, "urn", 3) == 0);
}

static bool nss_valid(const char *nss, size_t len)
{
    if (len == 0 || nss[0] == '/')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (nss[i] == '%') {
            if (len - i < 3 || !text_in_set(nss + i + 1, 2, 2, 2, HEX_DIGITS))
                return false;
            i += 2;
        } else if (!text_in_set(nss + i, 1, 1, 1, NSS_CHARACTERS))
            return false;
    }
    return true;
}

bool urn_valid(const char *text, size_t len)
{
    if (len > URN_MAX || len < 4 || strncasecmp(text, "urn:", 4) != 0)
        return false;
    const char *nid = text + 4;
    const char *colon = memchr(nid, ':', len - 4);
    if (colon == NULL)
        return false;
    const char *nss = colon + 1;
    return nid_valid(nid, (size_t)(colon - nid)) && nss_valid(nss, (size_t)(text + len - nss));
}
