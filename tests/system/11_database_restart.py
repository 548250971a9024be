# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL goes away under load and comes back: so do the daemons, by themselves.

Once in order (SIGINT), once as in a crash (SIGQUIT, with recovery at the next start). What was answered with
202 or 200 is there and reaches its end, once; what was answered with 503 is sent again and answers with its
execution, so that each token is one execution in the end, no more and no less."""

import os
import signal
import threading

from support import wait
from support.world import ACCEPTED, FINISHED, STARTED

OWN_CLUSTER = True
CLIENTS = 3
THREADS = 2
LEASE_MS = 60000  # no outage here is that long, so nobody may be taken for lost
ROUNDS = 2 if os.environ.get("SALLYPORT_TEST_FULL") == "1" else 1


def setup(world):
    world.start_all(api={"request_threads": THREADS}, worker={"lease_ms": LEASE_MS})
    world.tool()
    world.signer()
    for caller in ("submitter", "viewer", "auditor"):
        world.caller(caller)


class Load:
    """Clients that submit one job after another, and send a token again until it has an execution."""

    def __init__(self, world):
        self.world, self.lock, self.over = world, threading.Lock(), threading.Event()
        self.tokens, self.ids, self.refused, self.failures = [], {}, 0, []
        self.threads = [threading.Thread(target=self.client, args=(number,), daemon=True) for number in range(CLIENTS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(120)

    def client(self, number):
        try:
            while not self.over.is_set():
                token = self.world.token("print", f"client {number}", "sleep", "0.05")
                with self.lock:
                    self.tokens.append(token)
                wait.until(90, "the token has its execution", lambda token=token: self.send(token))
        except Exception as error:  # whatever it is, the test has to hear of it
            self.failures.append(repr(error))

    def send(self, token):
        answer = self.world.submit(token)
        if answer.status == 503:
            answer.refused(503, "unavailable")
            with self.lock:
                self.refused += 1
            return False
        answer.expect(200, 202)
        with self.lock:
            self.ids[token] = answer.json["id"]
        return True

    def answered(self):
        with self.lock:
            return len(self.ids)

    def more(self, count):
        """Waits for so many answers more; a client that failed is told at once."""
        wanted = self.answered() + count

        def probe():
            if self.failures:
                raise wait.Hopeless("; ".join(self.failures))
            return self.answered() >= wanted
        wait.until(90, f"{count} more jobs are accepted", probe)


def everyone_is_ready(world):
    for daemon in world.daemons.values():
        daemon.ready(60)
        assert daemon.starts == 1, f"{daemon.name} was started again"

    # Each connection fails the call that finds it broken (storage/pg.h), then there is another.
    def settled():
        return all(world.caller("viewer").get("/v1/executions", limit=1).expect(200, 503).status == 200
                   for _ in range(8 * THREADS))
    wait.until(60, "every thread has a connection again", settled)


def each_ended_once(world, ids):
    """One row of history, one accepted, started and finished event each, and nothing left to do."""
    def over():
        left = world.db.sql("SELECT (SELECT count(*) FROM execution_queue), (SELECT count(*) FROM execution_active)")
        return left == [["0", "0"]]
    wait.until(120, "everything has ended", over)
    found = {row[0]: row[1] for row in world.db.sql("SELECT execution_id, state FROM execution")}
    missing = [execution_id for execution_id in ids if execution_id not in found]
    assert not missing, f"answered, and not there: {missing}"
    odd = {execution_id: found[execution_id] for execution_id in ids if found[execution_id] != "succeeded"}
    assert not odd, f"not succeeded: {odd}"
    rows = world.db.sql("SELECT e.execution_id, v.type, count(*) FROM execution e LEFT JOIN event v USING (execution_id)"
                        " GROUP BY 1, 2")
    counts = {}
    for execution_id, name, count in rows:
        counts.setdefault(execution_id, {})[name] = int(count)
    wrong = {execution_id: count for execution_id, count in counts.items() if count != {ACCEPTED: 1, STARTED: 1, FINISHED: 1}}
    assert not wrong, f"events: {wrong}"


def restarted_under_load(world, how):
    before = world.db.count("execution_nonce")
    with Load(world) as load:
        for _ in range(ROUNDS):
            load.more(8)
            world.db.cluster.stop(how)
            # Now and then somebody asks while it is away: he is told, at once, that it is.
            wait.until(30, "a client is told", lambda: load.refused > 0)
            world.db.cluster.start()
            load.more(8)
    assert not load.failures, load.failures
    assert len(load.ids) == len(load.tokens), "a token has no answer"
    assert len(set(load.ids.values())) == len(load.tokens), "two tokens share an execution"
    everyone_is_ready(world)
    assert world.db.count("execution_nonce") == before + len(load.tokens), "there is an execution nobody asked for"
    each_ended_once(world, load.ids.values())
    for token, execution_id in list(load.ids.items())[:5]:
        wait.until(30, "the token is known",
                   lambda token=token, execution_id=execution_id: world.submit(token).expect(200).json["id"] == execution_id)
    world.ledger_is_complete(60)


def test_restarted_in_order_under_load(world):
    restarted_under_load(world, signal.SIGINT)


def test_crashed_under_load(world):
    restarted_under_load(world, signal.SIGQUIT)


def test_a_run_that_ends_meanwhile_is_stored_afterwards(world):
    """A tool does not notice; its result waits for the database and is told once."""
    token = world.token("print", "survived", "sleep", "2")
    execution_id = world.submit(token).expect(202).json["id"]
    world.in_state(execution_id, "running")
    world.db.cluster.stop(signal.SIGQUIT)
    worker = world.daemons["worker"]
    wait.until(60, "its end waits", lambda: worker.said("an end waits for the database"))
    assert worker.alive() and worker.ops("/livez")[0] == 200
    api = world.daemons["api"]
    wait.until(60, "the api is not ready", lambda: api.ops("/readyz")[0] == 503)
    assert world.stranger.get("/livez").status == 200
    world.caller("viewer").get(f"/v1/executions/{execution_id}").refused(503, "unavailable")
    world.submit(token).refused(503, "unavailable")
    world.db.cluster.start()
    everyone_is_ready(world)
    execution = world.ended(execution_id)
    assert execution["state"] == "succeeded" and world.stdout(execution_id) == b"survived\n", execution
    world.finished(execution_id)
    wait.until(30, "the token is known", lambda: world.submit(token).expect(200).json["id"] == execution_id)


def test_the_whole_ledger_still_verifies(world):
    world.ledger_is_complete(60)
    folder = os.path.join(world.folder, "export")
    world.cli("ledger", "export", folder)
    world.cli("ledger", "verify", folder, "--vkey", world.vkey, caller=None)
    assert world.stdout(world.ended(world.accept("print", "as ever"))["id"]) == b"as ever\n"
