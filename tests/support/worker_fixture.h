/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker in this process over the null sandbox and a private database, with what jobs need: a
 * tenant, a key that signs, an approved artifact. Needs root and the built sallyport-unpack, for
 * the artifact is unpacked as any other. What must not fail fails the test (cmocka).
 */
#pragma once

#include "runner/worker.h"
#include "tests/pg/scene.h"
#include "tests/support/null_backend.h"

struct worker_fixture;

/* Over a scene that was opened and begun; no worker runs yet. */
struct worker_fixture *worker_fixture_open(struct scene *scene);
void worker_fixture_close(struct worker_fixture *fixture);

/* Accepts `count` jobs with these args (JSON: "[\"fail\",\"3\"]"), batch by batch, and wakes the
 * worker. */
void worker_fixture_submit(struct worker_fixture *fixture, const char *args, int count);

void worker_fixture_start(struct worker_fixture *fixture, int slots);
/* As on SIGTERM. */
void worker_fixture_stop(struct worker_fixture *fixture);

/* Waits, by the database's own announcements, until the query's first value is `number`. */
void worker_fixture_await(struct worker_fixture *fixture, const char *query, int64_t number);
/* The one that was started; borrowed. */
struct worker *worker_fixture_worker(struct worker_fixture *fixture);
/* Until every accepted execution has ended. */
void worker_fixture_idle(struct worker_fixture *fixture);

/* The folder in which the worker keeps ends; waits until so many are in it. */
const char *worker_fixture_ends(const struct worker_fixture *fixture);
void worker_fixture_await_kept(struct worker_fixture *fixture, size_t count);
