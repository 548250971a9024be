# SPDX-License-Identifier: Apache-2.0
"""What a tenant does not keep for ever goes, and the proof of it stays.

Bodies of events expire by policy. Afterwards the log verifies from a checkpoint taken before, a receipt still proves
a copy kept elsewhere, the history lists what ran, and everybody is told what is gone. Time is made to pass as only a
superuser can: with the log's own trigger off, the batches are moved into the past."""

import hashlib
import json
import os
import pathlib

from support import ledger, wait
from support.world import FINISHED, TENANT

OTHER = "globex"
EXPIRED = "io.sallyport.events.expired.v1"
CHANGED = "io.sallyport.tenant.changed.v1"
DAYS = 30
JOB = {}


def setup(world):
    JOB.clear()
    world.start_all()
    for tenant in (TENANT, OTHER):
        JOB[tenant] = world.run("print", f"secret of {tenant}", tenant=tenant)[0]
    world.ledger_is_complete()
    viewer = world.caller("viewer")
    JOB["checkpoint"] = viewer.get("/v1/ledger/checkpoint").expect(200).text
    JOB["events"] = {event["id"]: viewer.get(f"/v1/events/{event['id']}").expect(200).body for event in world.events(JOB[TENANT]["id"])}
    JOB["index"] = world.execution(JOB[TENANT]["id"])["ledger"]["index"]


def keep(world, days, tenant=TENANT):
    world.sallyportd("tenant", "--database", world.db.conninfo(), "--tenant", tenant, "--event-retention-days", str(days))


def age(world, days):
    """All that has a place by now got it so long ago."""
    world.db.sql("ALTER TABLE ledger_batch DISABLE TRIGGER append_only;"
                 f" UPDATE ledger_batch SET created_at = now() - interval '{days} days';"
                 " ALTER TABLE ledger_batch ENABLE ALWAYS TRIGGER append_only")


def metric(world, name):
    lines = [line for line in world.daemons["ledger"].ops("/metrics")[1].splitlines() if line.startswith(name + " ")]
    return int(lines[0].split()[1])


def look(world):
    """A new leader asks every tenant at once; afterwards nothing is left that was to expire."""
    daemon = world.daemons["ledger"]
    daemon.stop()
    daemon.start().ready()
    wait.until(60, "the ledger process has asked every tenant", lambda: metric(world, "sallyport_ledger_retention_passed_seconds") > 0)
    world.ledger_is_complete()


def gone(world, tenant=TENANT):
    return int(world.db.value(f"SELECT count(*) FROM event WHERE tenant_id = '{tenant}' AND body IS NULL"))


def said(world, kind, tenant=TENANT):
    """The data of the tenant's events of that type, the oldest first, by the API."""
    found, after = [], None
    for _ in range(100):
        query = {"type": kind} if after is None else {"type": kind, "after": after}
        answer = world.caller("auditor", tenant).get("/v1/events", **query).expect(200)
        found += [event["data"] for event in answer.json]
        if "Link" not in answer.headers:
            return found
        after = answer.headers["Sallyport-Cursor"]
    raise AssertionError("the pages do not end")


def expired(world):
    """The tests after the first may be asked for alone."""
    if gone(world) == 0:
        keep(world, DAYS)
        world.ledger_is_complete()
        age(world, DAYS + 1)
        look(world)
    assert gone(world) > 0


def test_without_a_policy_everything_is_kept(world):
    age(world, 4000)
    look(world)
    assert gone(world) == gone(world, OTHER) == 0
    assert metric(world, "sallyport_ledger_events_expired_total") == 0


def test_bodies_go_when_their_time_has_come(world):
    keep(world, DAYS)
    world.ledger_is_complete()
    assert said(world, CHANGED)[-1]["event_retention_days"] == DAYS
    age(world, DAYS - 1)
    look(world)
    assert gone(world) == 0
    age(world, DAYS + 1)
    due = int(world.db.value(f"SELECT count(*) FROM event WHERE tenant_id = '{TENANT}'"))
    look(world)
    assert gone(world) == due and gone(world, OTHER) == 0, f"{gone(world)} of {due}"
    assert metric(world, "sallyport_ledger_events_expired_total") == due
    assert world.daemons["ledger"].said("events expired")
    notice = said(world, EXPIRED)
    places = world.db.sql("SELECT min(l.idx), max(l.idx) FROM ledger_entry l JOIN event e USING (event_id)"
                          f" WHERE e.tenant_id = '{TENANT}' AND e.body IS NULL")
    assert len(notice) == 1 and notice[0]["count"] == due and notice[0]["retention_days"] == DAYS, notice
    assert [[str(notice[0]["first_index"]), str(notice[0]["last_index"])]] == places, notice
    assert said(world, EXPIRED, OTHER) == []
    assert not world.db.sql(f"SELECT FROM event WHERE tenant_id = '{TENANT}' AND body IS NULL AND subject <> ''")


def test_an_expired_event_is_named_by_its_hash(world):
    expired(world)
    for event, body in JOB["events"].items():
        for name in ("viewer", "auditor"):
            problem = world.caller(name).get(f"/v1/events/{event}").refused(410, "expired")
            assert f"sha256:{hashlib.sha256(body).hexdigest()}" in problem["detail"], problem
        world.caller("auditor", OTHER).get(f"/v1/events/{event}").refused(404, "not_found")
    theirs = JOB[OTHER]["event_id"]
    world.caller("viewer", OTHER).get(f"/v1/events/{theirs}").expect(200)
    # Who may see events of executions only is not told that another one was there.
    key = world.db.value(f"SELECT event_id FROM event WHERE tenant_id = '{TENANT}' AND type LIKE '%apikey.created%' AND body IS NULL LIMIT 1")
    world.caller("auditor").get(f"/v1/events/{key}").refused(410, "expired")
    world.caller("viewer").get(f"/v1/events/{key}").refused(404, "not_found")


def test_the_history_is_kept(world):
    """What ran, its manifest and its output have no policy yet."""
    expired(world)
    viewer, job = world.caller("viewer"), JOB[TENANT]
    now = world.execution(job["id"])
    assert now["ledger"] == {"index": JOB["index"], "receipt": f"/v1/executions/{job['id']}/receipt"}, now
    assert {**now, "ledger": None} == {**job, "ledger": None}
    assert job["id"] in [item["id"] for item in viewer.get("/v1/executions").expect(200).json["items"]]
    assert viewer.get(f"/v1/executions/{job['id']}/manifest").expect(200).text.count(".") == 2
    assert b"secret of" in world.stdout(job["id"])


def test_pages_go_on_behind_what_is_gone(world):
    expired(world)
    assert world.events(JOB[TENANT]["id"]) == []
    auditor, query, seen = world.caller("auditor"), {"limit": 2}, []
    world.ledger_is_complete()
    for _ in range(1000):
        answer = auditor.get("/v1/events", **query).expect(200)
        seen += [event["id"] for event in answer.json]
        cursor = answer.headers["Sallyport-Cursor"]
        if "Link" not in answer.headers:
            break
        assert int(cursor) > int(query.get("after", -1)), "a page that does not go on"
        query["after"] = cursor
    else:
        raise AssertionError("the pages do not end")
    there = world.db.sql("SELECT e.event_id FROM ledger_entry l JOIN event e USING (event_id)"
                         f" WHERE e.tenant_id IN ('{TENANT}', '') AND e.body IS NOT NULL ORDER BY l.idx")
    assert [[event] for event in seen] == there and there
    listed = world.cli("events", "-o", "ndjson", caller="auditor").stdout.splitlines()
    assert [json.loads(line)["id"] for line in listed] == seen


def test_receipts_prove_what_somebody_has_kept(world):
    """By hand and by the client: a copy, or the hash alone; not another event."""
    expired(world)
    viewer = world.caller("viewer")
    key = ledger.Verifier(pathlib.Path(world.vkey).read_text(encoding="utf-8"))
    for event, body in JOB["events"].items():
        index, path, note = ledger.receipt(viewer.get(f"/v1/events/{event}/receipt").expect(200).text)
        size, root = key.checkpoint(note)
        assert ledger.follow(ledger.leaf(hashlib.sha256(body).digest()), index, size, path) == root
    finished = [body for body in JOB["events"].values() if json.loads(body)["type"] == FINISHED][0]
    copy, out = (os.path.join(world.folder, name) for name in ("copy.json", "kept.tlog-proof"))
    pathlib.Path(copy).write_bytes(finished)
    made = json.loads(world.cli("ledger", "prove", "--execution", JOB[TENANT]["id"], "--out", out, "-o", "json", caller="viewer").stdout)
    assert made["entry"] == f"sha256:{hashlib.sha256(finished).hexdigest()}" and not os.path.exists(out + ".json"), made
    verify = ("ledger", "verify", out, "--vkey", world.vkey)
    world.cli(*verify, caller=None, expect=2)
    world.cli(*verify, "--event", copy, caller=None)
    world.cli(*verify, "--entry", made["entry"], caller=None)
    pathlib.Path(copy).write_bytes(finished.replace(b'"succeeded"', b'"cancelled"'))
    world.cli(*verify, "--event", copy, caller=None, expect=6)


def test_exports_verify_from_a_checkpoint_of_before(world):
    """Each tenant's: the hash where the event was, the same root, the same log."""
    expired(world)
    world.ledger_is_complete()
    for tenant in (TENANT, OTHER):
        caller = world.caller("auditor", tenant)
        size = int(caller.get("/v1/ledger/checkpoint").expect(200).text.splitlines()[1])
        answer = caller.get("/v1/ledger/export", limit=5000).expect(200)
        assert int(answer.headers["Sallyport-Ledger-Expired"]) == gone(world, tenant)
        leaves = [hashlib.sha256(line).digest() if not line.startswith(b"sha256:") else bytes.fromhex(line[7:].decode())
                  for line in answer.body.splitlines()]
        assert len(leaves) == size == int(answer.headers["Sallyport-Ledger-Size"])
    folder = os.path.join(world.folder, "export")
    made = json.loads(world.cli("ledger", "export", folder, "-o", "json", caller="auditor").stdout)
    assert made["expired"] == gone(world) > 0, made
    proven = json.loads(world.cli("ledger", "verify", folder, "--vkey", world.vkey, "-o", "json", caller=None).stdout)
    own = int(world.db.value(f"SELECT count(*) FROM event WHERE tenant_id IN ('{TENANT}', '') AND body IS NOT NULL"))
    assert proven["verified"] and proven["recorded"] and proven["events"] == own, proven
    assert proven["withheld"] == proven["entries"] - own == made["entries"] - own, proven
    lines = pathlib.Path(folder, "events.ndjson").read_bytes().splitlines()
    finished = [body for body in JOB["events"].values() if json.loads(body)["type"] == FINISHED][0]
    assert lines[JOB["index"]] == f"sha256:{hashlib.sha256(finished).hexdigest()}".encode()
    old = os.path.join(world.folder, "then")
    pathlib.Path(old).write_text(JOB["checkpoint"], encoding="utf-8")
    world.cli("ledger", "verify", "--old", old, "--new", os.path.join(folder, "checkpoint"), "--vkey", world.vkey, caller="viewer")


def test_for_ever_again(world):
    """A policy that is taken back holds from then on; what is gone stays gone."""
    expired(world)
    keep(world, -1)
    world.run("print", "kept")
    world.ledger_is_complete()
    assert said(world, CHANGED)[-1]["event_retention_days"] is None
    before, notices = gone(world), len(said(world, EXPIRED))
    age(world, 4000)
    look(world)
    assert gone(world) == before and len(said(world, EXPIRED)) == notices
    for days in ("-2", "36501", "many"):
        done = world.run_program("sallyportd", "tenant", "--database", world.db.conninfo(), "--tenant", TENANT,
                                 "--event-retention-days", days)
        assert done.returncode != 0 and "event-retention-days" in done.stderr, done.stderr
