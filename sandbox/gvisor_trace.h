/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tool was refused, told by the sentry. A full /tmp, a missing descriptor, a file that
 * is too long and a process too many are answered inside the sandbox and leave no trace on the
 * host; so the sentry reports how the few system calls that can meet those limits ended, over a
 * socket in the run's own folder (gVisor's trace session with a remote sink).
 *
 * The messages are the sentry's, in fields of their own: nothing a tool names or writes can be
 * taken for one. What is listed was seen. The sentry waits a little for a reader that is behind
 * and then drops a message, so in a storm of calls a refusal can go unseen.
 */
#pragma once

#include "sandbox/bundle.h"

struct gvisor_trace;
#define AUTO_GVISOR_TRACE AUTO(gvisor_trace_cleanup)

/* runsc's flag to be told of it: a file of the bundle's runtime folder, from the bundle's own. */
#define GVISOR_TRACE_FLAG "--pod-init-config=runtime/trace.json"

/* Makes that file and the socket, which runsc, started in the bundle's folder, connects to. */
int gvisor_trace_open(const struct bundle *bundle, struct gvisor_trace **ret_trace,
                      struct fault *fault) MUST_CHECK;

/* Readable while there is something to take. */
int gvisor_trace_fd(const struct gvisor_trace *trace);
/* Takes what is there: the connection, or some messages. */
void gvisor_trace_take(struct gvisor_trace *trace);

/* The sentry has connected and agreed to what it sends. */
bool gvisor_trace_connected(const struct gvisor_trace *trace);
/* enum sandbox_hit bits seen so far. */
unsigned gvisor_trace_hits(const struct gvisor_trace *trace);

void gvisor_trace_cleanup(struct gvisor_trace **trace);

/* The hits one message tells of, 0 if none: of a call that went well, of another kind, broken. */
unsigned gvisor_trace_message_hits(struct span message);
