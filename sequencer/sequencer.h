/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger process: gives pending events their places, extends the tree, has it signed. Any
 * number may run; one leads, by the lease row, and the others stand by. A standby waits for the
 * lease, and proves to itself every checkpoint that the leader publishes: what it has proven it
 * keeps in its own state file, and as a leader it signs only what extends that.
 *
 * It stops for good where the database contradicts itself or what was signed: then it writes
 * ledger_lease.problem, keeps evidence beside the signer's state, orders nothing more, signs
 * nothing more, and says so in sequencer_status(). Only an operator starts it again, after he has
 * cleared both.
 *
 * A process that lacks a key the log is signed with, or has one that was retired, contradicts
 * nothing: it is barred, proves what it can, never leads, and is not ready.
 */
#pragma once

#include "sequencer/signer_state.h"
#include "storage/ledger.h"

#define SEQUENCER_LEASE_MS 5000
#define SEQUENCER_BATCH_MAX 1024
#define SEQUENCER_SIGN_EVERY_MS 200
/* Nobody tells it of events: a batch costs some milliseconds of processor time whatever its size,
 * and nothing can be proven before the next checkpoint anyway. Work that has queued up does not
 * wait. */
#define SEQUENCER_LOOK_EVERY_MS SEQUENCER_SIGN_EVERY_MS

/* All strings are borrowed for the call of sequencer_open(). */
struct sequencer_config {
    const char *conninfo;      /* of the role sallyport_ledger */
    const char *node;          /* this machine's name, 1 to 128 bytes */
    const char *origin;        /* the log's name, and the key's */
    const char *key_file;      /* the signer's secret key, mode 0600 (sequencer/key_file.h) */
    const char *next_key_file; /* the key to come, which signs beside it; NULL or "": none */
    const char *state_file;    /* what the signer signed last; `<state_file>.evidence` beside it */
    bool init;                 /* make the state file; refused where there is one */
    int lease_ms;              /* 200 to 60000 */
    int batch_max;             /* 1 to LEDGER_BATCH_MAX */
    int sign_every_ms;         /* 0 to 60000: at most one signature in that time */
    int look_every_ms;         /* 0 to 1000: for pending events, unless a batch was full */
};

enum sequencer_role { SEQUENCER_STANDBY, SEQUENCER_LEADER, SEQUENCER_STOPPED };

struct sequencer_status {
    enum sequencer_role role;
    int64_t epoch;        /* 0 while not leading */
    uint64_t size;        /* of the tree, 0 while not leading */
    uint64_t signed_size; /* of the last checkpoint this signer has made or proven */
    struct digest signed_root;
    uint64_t batches; /* these four since the process began */
    uint64_t events;
    uint64_t checkpoints;                 /* made */
    uint64_t followed;                    /* another's, proven */
    int64_t last_turn_ms;                 /* monotonic clock: when a turn last succeeded */
    char problem[LEDGER_PROBLEM_MAX + 1]; /* why it has stopped, else "" */
    char barred[256];                     /* why this process must not lead, "" if it may */
    char failure[256];                    /* why its last turn failed, "" if it did not */
};

struct sequencer;
#define AUTO_SEQUENCER AUTO(sequencer_cleanup)

/* Connects, reads keys and state. Faults besides the connection's: FAULT_KEY_INVALID for a key
 * file, an origin that is not its name, or keys that may not sign this log (sequencer/signer.h);
 * FAULT_STATE_CONFLICT for a missing state file over a log that is not empty (without init), init
 * over a state file, a state file that is none or is of another log, or evidence of an earlier
 * stop; FAULT_INTERNAL for a key file that others can read, or a config out of range. */
int sequencer_open(const struct sequencer_config *config, struct sequencer **ret_sequencer,
                   struct fault *fault) MUST_CHECK;

/* One turn, without waiting: leads if it may, takes one batch if events are pending, signs if it
 * is time. *ret_wait_ms is how long nothing will be due: 0 if there is more to do now. A
 * contradiction is no failure but makes the role SEQUENCER_STOPPED. After a failure the next turn
 * begins from what the database says. */
int sequencer_turn(struct sequencer *sequencer, int *ret_wait_ms, struct fault *fault) MUST_CHECK;

/* Waits up to wait_ms for wake_fd (-1: none) to become readable, or for the loss of its connection.
 */
int sequencer_wait(struct sequencer *sequencer, int wake_fd, int wait_ms,
                   struct fault *fault) MUST_CHECK;
/* Gives the lease up, so that a standby takes over at once. */
int sequencer_release(struct sequencer *sequencer, struct fault *fault) MUST_CHECK;

/* Told after every turn, in the loop's thread: for metrics. */
typedef void sequencer_observer(void *context, const struct sequencer_status *status);

/* Turns until stop_fd becomes readable. Failures are logged, once until they change, and tried
 * again. On the way out the lease is released. `observer` may be NULL. */
void sequencer_run(struct sequencer *sequencer, int stop_fd, sequencer_observer *observer,
                   void *context);

/* A contradiction that was found beside its own turns (sequencer/scrub.h): its next turn stops it,
 * leader or standby, as one of its own would. From any thread; the first one counts. What was
 * signed it fills in itself; the problem is copied. */
void sequencer_accuse(struct sequencer *sequencer, const struct signer_evidence *evidence);

/* A copy of how it stands; from any thread. */
void sequencer_status(struct sequencer *sequencer, struct sequencer_status *ret_status);
/* 0 if it leads or stands by and its last turn succeeded, not long ago; FAULT_UNAVAILABLE with the
 * reason otherwise. From any thread: for /readyz. */
int sequencer_ready(struct sequencer *sequencer, struct fault *fault) MUST_CHECK;

void sequencer_free(struct sequencer *sequencer);
void sequencer_cleanup(struct sequencer **sequencer);
