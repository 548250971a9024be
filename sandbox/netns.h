/* SPDX-License-Identifier: Apache-2.0 */
/* An empty network namespace (network_namespaces(7)): not even its loopback is up. */
#pragma once

#include "base/fault.h"

/* Makes one, which lives as long as the descriptor or a process in it. The caller closes it; -1 on
 * a fault. Needs CAP_SYS_ADMIN; the caller's own network stays what it is. */
int netns_make(struct fault *fault) MUST_CHECK;
