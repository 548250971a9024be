/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The namespaces (namespaces(7)) that all outer processes of a worker share, and nobody else is in:
 * a network where not even the loopback is up, IPC without an object, and a hostname, the host's,
 * that is theirs alone to change. Each process that runsc makes for a run has others. To make and
 * free a network anew for each run took 3 ms of it.
 */
#pragma once

#include "base/fault.h"

enum outer_namespace { OUTER_NET, OUTER_IPC, OUTER_UTS, OUTER_NAMESPACES };

struct outer {
    int fds[OUTER_NAMESPACES];
};

/* All -1: nothing to close. */
struct outer outer_none(void);

/* Makes them; they live as long as the descriptors or a process in them. -1 on a fault, and then
 * there are none. Needs CAP_SYS_ADMIN; the caller's own stay what they are. */
int outer_make(struct outer *ret_outer, struct fault *fault) MUST_CHECK;
void outer_close(struct outer *outer);

/* The name of one in /proc/<pid>/ns. */
const char *outer_name(enum outer_namespace namespace);

/* In a child: puts it into all of them, by async-signal-safe calls. -1 and errno. */
int outer_enter(const struct outer *outer) MUST_CHECK;
