/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the worker share: worker.c (threads), keeper.c (lease), claimer.c (work for
 * idle slots), job.c (one execution), prove.c (the second door), known.c (what it asks again and
 * again), starter.c (starts, many to a commit), ending.c (its end), unrun.c (ends without a run),
 * inspect.c (artifacts), reaper.c (others' ends). Ends of runs go through runner/finisher.h. */
#pragma once

#include "base/ttl_cache.h"
#include "ledger/finished.h"
#include "runner/command.h"
#include "runner/finisher.h"
#include "runner/live.h"
#include "runner/worker.h"
#include "storage/armory.h"
#include "storage/queue.h"
#include "trust/token.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

enum slot_stop { SLOT_RUNS, SLOT_CANCELLED, SLOT_REVOKED, SLOT_LEASE_LOST, SLOT_SHUTDOWN };

struct slot {
    struct worker *worker;
    struct pg *pg;
    pthread_t thread;
    bool started;
    int cancel_fd; /* eventfd: readable once `stop` is set */
    /* under worker->mutex */
    pthread_cond_t news; /* it was given work, or the worker drains */
    bool idle;           /* waits to be given work */
    bool busy;
    struct uuid execution_id; /* all zero while it inspects */
    struct claim claim;       /* what it was given, and the slot's own from then on */
    struct queued queued;
    _Atomic enum slot_stop stop;
    int missed; /* looks in a row at which the database did not have its claim */
    /* of a start: in line under worker->mutex, the starter's from there until `decided` */
    struct start *start;
    struct slot *next_starting;
    sem_t decided;
};

/* A thread with a connection of its own. */
struct helper {
    struct pg *pg;
    pthread_t thread;
    bool started;
};

struct worker {
    struct worker_config config;
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* work may be there, a slot is idle, or stopping */
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
    struct helper claimer, starter, reaper;
    /* of the claimer, under mutex */
    bool freed;         /* an execution has ended since its last claim */
    bool claiming;      /* a claim may be ours that nobody holds yet, */
    int64_t last_fence; /* but none of this fence or a lower one */
    /* of the starter, under mutex */
    pthread_cond_t starts; /* a start waits, or no more will come */
    struct slot *first_starting, *last_starting;
    bool starts_end;
    struct ttl_cache *keys, *tools; /* known.c */
    struct finisher *finisher;
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
void worker_announce(struct worker *worker);           /* there may be work */
void slot_stop(struct slot *slot, enum slot_stop why); /* under worker->mutex */
/* Puts an unstarted claim back into the queue; says so where that fails. */
void give_back(struct worker *worker, struct pg *pg, const struct claim *claim);

/* ---- keeper.c ---- */
int keeper_register(struct worker *worker, struct fault *fault) MUST_CHECK;
void *keeper_main(void *worker);
/* Renews soon, because there are cancels to fetch. From any thread. */
void keeper_hurry(struct worker *worker);

/* ---- claimer.c ---- */
void *claimer_main(void *worker);

/* ---- starter.c ---- */
void *starter_main(void *worker);
/* Has it decided and committed with whatever else waits; start->started says how it went. */
void starter_start(struct slot *slot, struct start *start);

/* ---- known.c ---- */

/* What is fixed of an artifact with its digest, however often it is asked for: shared. */
struct tool {
    atomic_uint holders;
    struct descriptor *descriptor;
    struct digest descriptor_sha256;
    struct uuid blob_id;
    int64_t size;
};
void tool_free(struct tool *tool); /* gives a reference up; NULL-safe */

/* Both answer for a second from what was read before. What is decided with it is decided again by
 * the start, which reads under its locks whether key and artifact still hold. */
int known_open(struct worker *worker, struct fault *fault) MUST_CHECK;
void known_close(struct worker *worker);
/* The tenant's key, opened. FAULT_NOT_FOUND as keys_find(). */
int known_key(struct slot *slot, const char *tenant, const char *kid, struct trust_key **ret_key,
              struct fault *fault) MUST_CHECK;
/* The tenant's artifact, its descriptor proven to be the one its digest covers (else
 * FAULT_ARTIFACT_INVALID). FAULT_NOT_FOUND as armory_find(). */
int known_tool(struct slot *slot, const char *tenant, const struct digest *sha256,
               struct tool **ret_tool, struct fault *fault) MUST_CHECK;

/* ---- job.c ---- */

/* One execution in this worker's hands. */
struct job {
    struct slot *slot;
    struct claim claim;
    struct queued queued;
    struct token *token;
    struct manifest *manifest;
    struct tool *tool; /* NULL until it is known */
    enum jws_alg alg;
    struct facts_item facts;
    struct digest *inputs;
    char worker_name[EVENT_NODE_MAX + UUID_TEXT_LEN + 2]; /* <node>/<incarnation> */
    struct cache_entry *entry;
    char *folder; /* its inputs; NULL until made, or without any */
    struct command command;
    json_t *checks; /* isolation_checks, as they hold for it; NULL until it is started */
    struct sandbox_limits limits;
    int64_t started_ms; /* 0: not yet */
    bool live;          /* some of its output may have been stored while it ran */
    struct event *started_event;
    struct sandbox_remains remains; /* of its run */
};

/* Brings what the slot was given to an end; false if it was given back, to be tried again a little
 * later. */
bool job_run(struct slot *slot);

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
/* Removes the files of its run (`job` is a struct job), once; says so where that fails. Nobody
 * waits for it: it is done while the end is being stored. */
void job_clear(void *job);
/* Ends after the sandbox; result NULL if it never ran (fault says why). */
void job_end_started(struct job *job, struct sandbox_result *result, const struct fault *why);
/* What the active row says of every execution, whatever its manifest turned out to be. */
struct finished_facts finished_facts_of(const struct queued *queued, int64_t finished_ms);
int finished_event(const struct worker *worker, const struct claim *claim,
                   const struct queued *queued, const struct finished_facts *facts,
                   struct event **ret_event, struct fault *fault) MUST_CHECK;
/* Has the end stored or kept: it is durable when this returns 0. Sets claim and tenant of it. */
int job_store(struct job *job, struct ending *ending, struct fault *fault) MUST_CHECK;
json_t *limits_json(const struct sandbox_limits *limits);

/* ---- unrun.c ---- */
/* Ends before the start: refused, for this reason. */
void job_refuse(struct job *job, const char *reason, const char *detail);
/* Ends before the start what was asked to end: refused where its artifact was revoked, else
 * cancelled. job->queued says which. */
void job_end_cancelled(struct job *job);
/* The same of up to QUEUE_FINISH_MAX claims of this worker's that no slot holds, in one commit;
 * says which it could not end. A fault: one could not be read, and nothing was done. */
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
