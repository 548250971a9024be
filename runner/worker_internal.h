/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the worker share: worker.c (threads), keeper.c (lease), job.c (one execution),
 * prove.c (the second door), ending.c (its end), unrun.c (ends without a run), inspect.c
 * (artifacts), reaper.c (others' ends). */
#pragma once

#include "ledger/finished.h"
#include "runner/command.h"
#include "runner/live.h"
#include "runner/worker.h"
#include "storage/armory.h"
#include "storage/queue.h"
#include "trust/token.h"

#include <pthread.h>
#include <stdatomic.h>

enum slot_stop { SLOT_RUNS, SLOT_CANCELLED, SLOT_REVOKED, SLOT_LEASE_LOST, SLOT_SHUTDOWN };

struct slot {
    struct worker *worker;
    struct pg *pg;
    pthread_t thread;
    bool started;
    int cancel_fd; /* eventfd: readable once `stop` is set */
    /* under worker->mutex */
    bool claiming; /* a claim may be ours that nobody holds yet */
    bool busy;
    struct uuid execution_id; /* all zero while it inspects */
    _Atomic enum slot_stop stop;
    int missed; /* looks in a row at which the database did not have its claim */
};

struct worker {
    struct worker_config config;
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* work may be there, or stopping */
    uint64_t wakes;      /* how often work was announced */
    bool draining;       /* claim no more */
    bool stopping;       /* the keeper ends */
    _Atomic bool leased;
    struct uuid incarnation;
    struct pg *pg; /* the keeper's */
    pthread_t keeper;
    bool keeper_started;
    int keeper_fd;   /* eventfd that wakes the keeper */
    bool inspecting; /* a slot does; under mutex */
    struct pg *reaper_pg;
    pthread_t reaper;
    bool reaper_started;
    bool reaping;  /* the reaper may hold claims that no slot knows of; under mutex */
    int reaper_fd; /* eventfd that ends the reaper */
    _Atomic int64_t held_since_ms; /* monotonic: the lease has been renewed in time since then */
    _Atomic int64_t renewed_ms;    /* monotonic: of the last renewal */
    struct live *live;
    int slot_count;
    struct slot *slots;
    _Atomic uint64_t started, ended, refused, returned, lost;
    _Atomic int64_t running;
};

/* ---- worker.c ---- */
void worker_announce(struct worker *worker);           /* wakes idle slots */
void slot_stop(struct slot *slot, enum slot_stop why); /* under worker->mutex */
/* Puts an unstarted claim back into the queue; says so where that fails. */
void give_back(struct worker *worker, struct pg *pg, const struct claim *claim);

/* ---- keeper.c ---- */
int keeper_register(struct worker *worker, struct fault *fault) MUST_CHECK;
void *keeper_main(void *worker);
/* Renews soon, because there are cancels to fetch. From any thread. */
void keeper_hurry(struct worker *worker);

/* ---- job.c ---- */

/* One execution in this worker's hands. */
struct job {
    struct slot *slot;
    struct claim claim;
    struct queued queued;
    struct token *token;
    struct manifest *manifest;
    struct artifact artifact;
    struct descriptor *descriptor;
    enum jws_alg alg;
    struct facts_item facts;
    struct digest *inputs;
    char worker_name[EVENT_NODE_MAX + UUID_TEXT_LEN + 2]; /* <node>/<incarnation> */
    struct cache_entry *entry;
    char *folder; /* its inputs; NULL until made */
    struct command command;
    json_t *checks; /* isolation_checks, as they hold for it; NULL until it is started */
    struct sandbox_limits limits;
    int64_t started_ms; /* 0: not yet */
    bool live;          /* some of its output may have been stored while it ran */
    struct event *started_event;
};

/* Runs one claim to an end; false if it was given back, to be tried again a little later. */
bool job_run(struct slot *slot, const struct claim *claim);

/* ---- prove.c ---- */
/* The second door: nothing the api said is believed. Token, manifest, artifact, descriptor and
 * environment are checked from the stored bytes. A fault that a person must see refuses the job. */
int job_prove(struct job *job, struct fault *fault) MUST_CHECK;

/* ---- ending.c ---- */
/* True for faults that pass: the job goes back to the queue. */
bool fault_passes(const struct fault *fault);
/* <node>/<incarnation>. */
void worker_name_format(const struct worker *worker, const struct uuid *incarnation, char *ret_name,
                        size_t size);
/* Ends after the sandbox; result NULL if it never ran (fault says why). */
void job_end_started(struct job *job, struct sandbox_result *result, const struct fault *why);
/* What the active row says of every execution, whatever its manifest turned out to be. */
struct finished_facts finished_facts_of(const struct queued *queued, int64_t finished_ms);
int finished_event(const struct worker *worker, const struct claim *claim,
                   const struct queued *queued, const struct finished_facts *facts,
                   struct event **ret_event, struct fault *fault) MUST_CHECK;
/* Stores an end, again and again while the database is away: a result is not given up before the
 * claim is known to be lost. */
int job_store(struct job *job, const struct ending *ending, struct fault *fault) MUST_CHECK;
/* Wakes who waits for an end; others learn of it within a second anyway. */
void announce_end(struct pg *pg);
json_t *limits_json(const struct sandbox_limits *limits);

/* ---- unrun.c ---- */
/* Ends before the start: refused, for this reason. */
void job_refuse(struct job *job, const char *reason, const char *detail);
/* Ends before the start what was asked to end: refused where its artifact was revoked, else
 * cancelled. job->queued says which. */
void job_end_cancelled(struct job *job);
/* The same of up to QUEUE_FINISH_MAX claims of this worker's that no slot holds, in one commit. */
int end_cancelled(struct worker *worker, struct pg *pg, const struct claim *claims, size_t count,
                  struct fault *fault) MUST_CHECK;
/* `lost`: of a vanished worker's execution (only_expired), or of one of ours that nobody runs. */
int end_lost(struct worker *worker, struct pg *pg, const struct claim *claim, bool only_expired,
             struct fault *fault) MUST_CHECK;

/* ---- inspect.c ---- */
/* Inspects one waiting artifact; true if there was one. */
bool inspect_one(struct slot *slot);
/* cache_fetch of a blob: context is a struct blob_source. */
struct blob_source {
    struct pg *pg;
    const char *tenant;
    const struct uuid *blob_id;
};
int blob_fetch(void *context, cache_write *write, void *sink, struct fault *fault);

/* ---- reaper.c ---- */
void *reaper_main(void *worker);
/* Ends or gives back what this incarnation holds by the database and no slot knows of; stops slots
 * whose claim somebody else has taken. Called by the keeper. */
void reconcile(struct worker *worker);
