# SPDX-License-Identifier: Apache-2.0
"""The same token again answers with its execution, at any age, however many ask at once.

A client that lost an answer may send again without fear: there is one execution, one nonce spent, one
`accepted` event. Attack: many at once with one token, many tokens with one nonce, the other signature that
ECDSA allows for the same words."""

import concurrent.futures

from support import tokens, wait
from support.world import ENDS, TENANT

AT_ONCE = 32
MAX_AGE = 3


def setup(world):
    world.start_all(api={"manifest_max_age": MAX_AGE})
    world.tool()
    world.signer()
    world.caller("submitter")


def all_at_once(send, items):
    """The answers to all of them, sent by as many threads that wait for each other."""
    with concurrent.futures.ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(send, items))


def executions_of_nonce(world, nonce):
    return world.db.sql(f"SELECT execution_id FROM execution_nonce WHERE tenant_id = '{TENANT}' AND nonce = '{nonce}'")


def test_again_while_it_waits_runs_and_is_over(world):
    token = world.token("sleep", "1")
    first = world.submit(token).expect(202)
    assert first.headers["Location"] == f"/v1/executions/{first.json['id']}"
    seen = set()

    def again():
        answer = world.submit(token).expect(200)
        assert answer.json["id"] == first.json["id"], answer
        assert answer.headers["Location"] == first.headers["Location"]
        seen.add(answer.json["state"])
        return answer.json["state"] in ENDS
    wait.until(60, "it is over", again)
    assert "succeeded" in seen and "running" in seen, seen
    world.ended_once(first.json["id"])


def test_again_at_any_age(world):
    order = world.order("print", "old")
    token = tokens.sign(order, world.signer())
    execution_id = world.submit(token).expect(202).json["id"]
    fresh = {**world.order(tool="sha256:" + 64 * "0"), "issued_at": order["issued_at"]}

    def is_stale():
        answer = world.submit(tokens.sign({**fresh, "nonce": "n-" + tokens.time_text()}, world.signer()))
        return answer.status == 403 and answer.json["code"] == "manifest_stale"
    wait.until(MAX_AGE + 30, "its age is past what a new job may have", is_stale)
    assert world.submit(token).expect(200).json["id"] == execution_id


def test_again_by_another_caller_of_the_tenant(world):
    token = world.token("print", "shared")
    execution_id = world.submit(token).expect(202).json["id"]
    assert world.submit(token, caller="admin").expect(200).json["id"] == execution_id
    assert world.execution(execution_id)["id"] == execution_id


def test_the_wait_that_is_preferred(world):
    """Prefer: wait answers with the end if it comes in time, and with what there is if not."""
    answer = world.submit(world.token("print", "quick"), wait=30).expect(200)
    assert answer.json["state"] == "succeeded" and answer.headers["Preference-Applied"] == "wait=30", answer
    token = world.token("sleep", "3")
    answer = world.submit(token, wait=1).expect(202)
    assert answer.json["state"] in ("queued", "running"), answer
    answer = world.submit(token, wait=30).expect(200)
    assert answer.json["state"] == "succeeded", answer
    for header in ("wait=0", "wait=-1", "wait=x", "respond-async", "wait=" + "9" * 30):
        world.submit(token, headers={"Prefer": header}).expect(200)


def test_a_known_token_whose_tool_is_gone(world):
    """It tells what became of it; a new job with that tool is refused."""
    digest = world.tool("short-lived")
    token = world.token("print", "before", tool=digest)
    execution_id = world.submit(token, wait=30).expect(200).json["id"]
    world.revoke(digest).expect(200)
    assert world.submit(token).expect(200).json["id"] == execution_id
    world.submit(world.token("print", "after", tool=digest)).refused(403, "artifact_revoked")


def test_attack_the_other_signature_of_the_same_words(world):
    """(r, n - s) verifies as well as (r, s): it must not be another job."""
    token = world.token("print", "once")
    execution_id = world.submit(token).expect(202).json["id"]
    twin = tokens.twin(token)
    assert twin != token
    assert world.submit(twin).expect(200).json["id"] == execution_id
    world.submit(tokens.flip(token, 2, 40)).refused(403, "signature_invalid")
    world.ended(execution_id)
    world.ended_once(execution_id)


def test_one_token_on_many_connections_is_one_job(world):
    for _ in range(3):
        order = world.order("print", "once")
        token = tokens.sign(order, world.signer())
        answers = all_at_once(world.submit, [token] * AT_ONCE)
        assert sorted(answer.status for answer in answers) == [200] * (AT_ONCE - 1) + [202]
        ids = {answer.json["id"] for answer in answers}
        assert len(ids) == 1 and executions_of_nonce(world, order["nonce"]) == [[ids.pop()]]
        execution_id = answers[0].json["id"]
        world.ended(execution_id)
        world.ended_once(execution_id)


def test_one_nonce_in_many_tokens_is_one_job(world):
    order = world.order("print", "first")
    batch = [tokens.sign({**order, "target_urn": f"urn:sallyport:test:{number}"}, world.signer())
             for number in range(AT_ONCE)]
    answers = all_at_once(world.submit, batch)
    accepted = [answer for answer in answers if answer.status == 202]
    assert len(accepted) == 1, [str(answer) for answer in accepted]
    for answer in answers:
        if answer is not accepted[0]:
            answer.refused(409, "nonce_reused")
    assert executions_of_nonce(world, order["nonce"]) == [[accepted[0].json["id"]]]
    world.ended(accepted[0].json["id"])
    world.ended_once(accepted[0].json["id"])


def test_many_jobs_at_once_are_as_many(world):
    """What is batched together is not mixed up: each answer is about its own token."""
    orders = [world.order("print", f"job {number}") for number in range(AT_ONCE)]
    answers = all_at_once(world.submit, [tokens.sign(order, world.signer()) for order in orders])
    for order, answer in zip(orders, answers):
        assert answer.expect(202).json["task_id"] == order["task_context"]["task_id"]
        assert executions_of_nonce(world, order["nonce"]) == [[answer.json["id"]]]
    for number, answer in enumerate(answers):
        world.ended(answer.json["id"])
        assert world.stdout(answer.json["id"]) == f"job {number}\n".encode()
    world.queue_is_empty()
