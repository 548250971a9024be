/* SPDX-License-Identifier: Apache-2.0 */
/* URN syntax (RFC 8141). */
#pragma once

#include "base/buf.h"

#define URN_MAX 512 /* bytes */

/* True for an assigned name, `urn:<nid>:<nss>`, of at most URN_MAX bytes: the scheme in any letter
 * case, the NID 2 to 32 letters, digits and inner hyphens (and not "urn"), the NSS one or more
 * characters of RFC 3986's pchar or "/" (not first), every "%" followed by two hex digits. The r-,
 * q- and f-components (`?+`, `?=`, `#`) are not part of a name and are refused. */
bool urn_valid(const char *text, size_t len);
