/* SPDX-License-Identifier: Apache-2.0 */
/* The one route table of the gateway; openapi/sallyport.yaml is checked against it. */
#pragma once

#include "server/route.h"
#include "trust/caller.h"

/* struct route.access: any of these roles, or one of the three below. */
#define ACCESS_PUBLIC 0u
#define ACCESS_ANY_ROLE (1u << 31)
#define ACCESS_LOG (1u << 30) /* any role; nobody's too where the setting ledger-public says so */

extern const struct route routes[];
extern const size_t route_count;
