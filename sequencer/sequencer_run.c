/* SPDX-License-Identifier: Apache-2.0 */
/* The loop around the turns, and what it tells the log. */
#include "base/log.h"
#include "sequencer/sequencer.h"

#include <poll.h>

#define RETRY_MS 500

static const char *const role_names[] = {
    [SEQUENCER_STANDBY] = "standby",
    [SEQUENCER_LEADER] = "leader",
    [SEQUENCER_STOPPED] = "stopped",
};

/* What was last said, so that it is said once. */
struct said {
    bool role_known, barred;
    enum sequencer_role role;
    enum fault_code code;
};

static void say_role(const struct sequencer_status *status, struct said *said)
{
    if (said->role_known && said->role == status->role)
        return;
    said->role_known = true;
    said->role = status->role;
    if (status->role == SEQUENCER_STOPPED)
        log_error("the ledger has stopped", "{s:s}", "problem", status->problem);
    else
        log_info("ledger role", "{s:s, s:I, s:I, s:I}", "role", role_names[status->role], "epoch",
                 (json_int_t)status->epoch, "size", (json_int_t)status->size, "signed",
                 (json_int_t)status->signed_size);
}

static void say_barred(const struct sequencer_status *status, struct said *said)
{
    if (said->barred || status->barred[0] == '\0')
        return;
    said->barred = true;
    log_error("this ledger process must not lead", "{s:s}", "problem", status->barred);
}

static void say_failure(struct said *said, const struct fault *fault)
{
    if (said->code == fault->code)
        return;
    said->code = fault->code;
    log_warn("the ledger's turn failed; trying again", "{s:s, s:s}", "code",
             fault_name(fault->code), "detail", fault->detail);
}

static void say_success(struct said *said)
{
    if (said->code == FAULT_NONE)
        return;
    said->code = FAULT_NONE;
    log_info("the ledger's turns succeed again", NULL);
}

/* True as soon as fd is readable, false after so many milliseconds. */
static bool readable(int fd, int milliseconds)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    return poll(&wanted, 1, milliseconds) > 0;
}

void sequencer_run(struct sequencer *sequencer, int stop_fd, sequencer_observer *observer,
                   void *context)
{
    struct said said = {0};
    struct fault fault;
    while (!readable(stop_fd, 0)) {
        int wait_ms;
        bool failed = sequencer_turn(sequencer, &wait_ms, &fault) != 0;
        struct sequencer_status status;
        sequencer_status(sequencer, &status);
        say_role(&status, &said);
        say_barred(&status, &said);
        if (observer != NULL)
            observer(context, &status);
        failed = failed || sequencer_wait(sequencer, stop_fd, wait_ms, &fault) != 0;
        if (!failed) {
            say_success(&said);
            continue;
        }
        say_failure(&said, &fault);
        if (readable(stop_fd, RETRY_MS))
            break;
    }
    if (sequencer_release(sequencer, &fault) != 0)
        log_warn("the ledger's lease could not be released", "{s:s}", "detail", fault.detail);
}
