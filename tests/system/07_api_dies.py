# SPDX-License-Identifier: Apache-2.0
"""The api is killed under load, again and again: no job it answered for is lost, none runs twice.

What was answered 202 was committed before: each such job reaches exactly one end with exactly one `finished`
event. A caller that got no answer sends the same token again and is told of the one job."""

import http.client
import os
import threading

from support import tokens, wait
from support.load import Load
from support.world import ACCEPTED, ENDS, FINISHED, STARTED

FULL = os.environ.get("SALLYPORT_TEST_FULL") == "1"
KILLS = 20 if FULL else 4
JOBS_BETWEEN = 12 if FULL else 6


def setup(world):
    world.start_all(worker={"slots": 2})
    world.tool()
    world.signer()


def all_ended_once(world, ids, state="succeeded"):
    """By the database, in one look: states, events and what is left."""
    wanted = ",".join(f"'{execution_id}'::uuid" for execution_id in ids)

    def over():
        return world.db.count(f"execution WHERE execution_id IN ({wanted})") == len(ids)
    wait.until(300, f"all {len(ids)} are over", over)
    rows = world.db.sql(f"SELECT state, count(*) FROM execution WHERE execution_id IN ({wanted}) GROUP BY state")
    assert rows == [[state, str(len(ids))]], rows
    rows = world.db.sql("SELECT type, n, count(*) FROM (SELECT execution_id, type, count(*) n FROM event"
                        f" WHERE execution_id IN ({wanted}) GROUP BY 1, 2) s GROUP BY 1, 2 ORDER BY 1")
    assert rows == [[name, "1", str(len(ids))] for name in sorted((ACCEPTED, STARTED, FINISHED))], rows


def test_killed_again_and_again_under_load(world):
    api = world.daemons["api"]
    with Load(world, lambda number: world.token("print", f"job {number}"), threads=4) as load:
        for kill in range(1, KILLS + 1):
            load.allow(kill * JOBS_BETWEEN + 4)
            load.reaches(kill * JOBS_BETWEEN)
            api.kill()
            load.allow(kill * JOBS_BETWEEN + 8)  # callers who find nobody
            wait.until(30, "a caller found nobody", lambda: load.answers.get("lost", 0) > 0)
            api.start().ready()
        load.reaches(KILLS * JOBS_BETWEEN + 8)
    assert len(set(load.accepted.values())) == len(load.accepted), "two tokens are one job"
    all_ended_once(world, set(load.accepted.values()))
    # Nothing else came of the load: what was never answered was answered in the end.
    assert world.db.count("execution") == len(load.accepted)
    assert world.db.count("execution_nonce") == len(load.accepted)
    world.queue_is_empty()
    for token, execution_id in list(load.accepted.items())[-5:]:
        assert world.submit(token).expect(200).json["id"] == execution_id
    world.ledger_is_complete()


def test_killed_while_callers_wait_for_the_end(world):
    """Prefer: wait holds connections open; the kill breaks them, not the jobs."""
    api = world.daemons["api"]
    batch = [world.token("print", "waited for", "sleep", "2") for _ in range(3)]
    broken = []

    def submit(token):
        try:
            world.submit(token, wait=30)
        except (OSError, http.client.HTTPException) as error:
            broken.append(repr(error))
    threads = [threading.Thread(target=submit, args=(token,), daemon=True) for token in batch]
    for thread in threads:
        thread.start()
    wait.until(30, "all are accepted", lambda: world.db.count("execution_active") == len(batch))
    api.kill()
    for thread in threads:
        thread.join(60)
    assert len(broken) == len(batch), broken
    api.start().ready()
    ids = [world.submit(token).expect(200).json["id"] for token in batch]
    all_ended_once(world, ids)


def test_stopped_in_order_it_answers_who_waits(world):
    """SIGTERM: those who wait for an end get an answer that is true, at once, and no connection is cut."""
    api = world.daemons["api"]
    token = world.token("print", "slow", "sleep", "5")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(world.submit(token, wait=60)), daemon=True)
    thread.start()
    wait.until(30, "it runs", lambda: world.db.count("execution_active WHERE state = 'running'") == 1)
    api.stop(30)
    thread.join(30)
    assert len(answers) == 1, "the connection was cut"
    answer = answers[0].expect(202)
    assert answer.json["state"] == "running", answer
    api.start().ready()
    execution = world.ended(answer.json["id"])
    assert execution["state"] == "succeeded" and execution["state"] in ENDS, execution
    world.ended_once(answer.json["id"])


def test_two_of_them_share_the_work(world):
    """Any number of apis on one database: the same token at both is one job, whichever dies."""
    first, second = world.daemons["api"], world.start("api", "api-2")
    try:
        other = ("127.0.0.1", second.port)
        for number in range(4):
            order = world.order("print", f"shared {number}")
            token = tokens.sign(order, world.signer())
            here = world.submit(token).expect(202)
            submitter = world.caller("submitter")
            there = type(submitter)(other, world.contract, submitter.key).submit(token).expect(200)
            assert here.json["id"] == there.json["id"]
        first.kill()
        there = type(submitter)(other, world.contract, submitter.key).submit(world.token("print", "alone"), wait=30).expect(200)
        assert there.json["state"] == "succeeded", there
    finally:
        if first.dead:
            first.start().ready()
        second.stop()
