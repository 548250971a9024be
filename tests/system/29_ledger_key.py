# SPDX-License-Identifier: Apache-2.0
"""The key that signs the log changes as docs/ledger.md says it, and what was proven before stays proven.

Attack: a key changed behind everybody's back, and one that was retired brought back: neither signs."""

import json
import os
import pathlib
import shutil

from support import ledger, manual, wait
from support.world import TENANT

SECOND = "ledger-2"
ORIGIN = "sallyport.test/log"
DOC = {}


def setup(world):
    world.start_all()
    world.start("ledger", SECOND, ledger_init="on")
    world.caller("auditor")
    world.ledger_is_complete()
    DOC.clear()
    DOC["folder"] = os.path.join(world.folder, "manual")
    os.mkdir(DOC["folder"])


def path(name):
    return os.path.join(DOC["folder"], name)


def blocks():
    found = [text for _, text in manual.blocks("When the key changes")]
    assert len(found) == 3, found
    return found


def follow(world, number):
    return manual.run(world, blocks()[number], DOC["folder"], ORIGIN=ORIGIN)


def vkey(name):
    return pathlib.Path(path(name)).read_text(encoding="utf-8").strip()


def restart(world, **settings):
    """Standbys first, the leader last."""
    leader = next(name for name in ("ledger", SECOND) if leads(world.daemons[name]))
    for name in sorted(("ledger", SECOND), key=lambda name: name == leader):
        daemon = world.daemons[name]
        daemon.stop()
        for setting in ("ledger-key", "ledger-next-key"):
            daemon.flags.pop(setting, None)
        daemon.flags.update(settings)
        daemon.start().ready()
    world.ledger_is_complete()


def leads(daemon):
    return "sallyport_ledger_leading 1" in daemon.ops("/metrics")[1]


def newest(world):
    return world.caller("viewer").get("/v1/ledger/checkpoint").expect(200).text


def signs(world, text):
    try:
        ledger.Verifier(text).checkpoint(newest(world))
    except AssertionError:
        return False
    return True


def own_key(world):
    return os.path.join(world.folder, "ledger.key")


def changes(world):
    """The log's own events about its keys, by the API, in the log's order."""
    found = world.caller("auditor").get("/v1/events", limit=500).expect(200).json
    found = [event for event in found if ".ledger.key_" in event["type"]]
    assert all("tenantid" not in event for event in found), found
    return [(event["type"].split(".")[3], event["data"]) for event in found]


def test_the_log_says_its_first_key(world):
    first = pathlib.Path(world.vkey).read_text(encoding="utf-8").strip()
    assert changes(world) == [("key_added", {"origin": ORIGIN, "vkey": first, "size": 0, "previous": []})], changes(world)


def test_the_key_changes_as_the_manual_says(world):
    shutil.copy(world.vkey, path("ledger.vkey"))
    execution, _ = world.run("print", "before")
    world.ledger_is_complete()
    world.cli("ledger", "prove", "--execution", execution["id"], "--out", path("job.tlog-proof"))
    pathlib.Path(path("checkpoint.then")).write_text(newest(world), encoding="utf-8")
    follow(world, 0)
    old, new = vkey("ledger.vkey"), vkey("ledger.next.vkey")
    assert os.stat(path("ledger.next.key")).st_mode & 0o777 == 0o600 and new.startswith(ORIGIN + "+") and new != old

    restart(world, **{"ledger-key": own_key(world), "ledger-next-key": path("ledger.next.key")})
    assert signs(world, old) and signs(world, new), newest(world)
    assert pathlib.Path(world.vkey).read_text(encoding="utf-8") == f"{old}\n{new}\n"
    follow(world, 1)

    restart(world, **{"ledger-key": path("ledger.next.key")})
    assert signs(world, new) and not signs(world, old), newest(world)
    assert pathlib.Path(world.vkey).read_text(encoding="utf-8") == f"{new}\n"
    follow(world, 2)

    said = changes(world)
    assert [(kind, data["vkey"], data["previous"]) for kind, data in said] == [
        ("key_added", old, []), ("key_added", new, [old]), ("key_retired", old, [old, new])], said
    sizes = [data["size"] for _, data in said]
    assert sizes == sorted(sizes) and sizes[-1] < world.db.count("ledger_entry"), sizes


def test_receipts_of_before_and_after(world):
    """Each by the key that signed it, and all by a file that has both."""
    if not os.path.exists(path("ledger.vkeys")):
        return  # asked for alone: no key has changed
    execution, _ = world.run("print", "after")
    world.ledger_is_complete()
    world.cli("ledger", "prove", "--execution", execution["id"], "--out", path("after.tlog-proof"))
    for proof, key, other in (("job.tlog-proof", "ledger.vkey", "ledger.next.vkey"),
                              ("after.tlog-proof", "ledger.next.vkey", "ledger.vkey")):
        ids = [vkey(name).split("+")[1] for name in (key,)]
        for file in (key, "ledger.vkeys"):
            said = json.loads(world.cli("ledger", "verify", path(proof), "--vkey", path(file), "-o", "json", caller=None).stdout)
            assert said["verified"] is True and said["signed_by"] == ids[0], said
        world.cli("ledger", "verify", path(proof), "--vkey", path(other), caller=None, expect=6)
    world.cli("ledger", "export", path("export"), caller="auditor")
    world.cli("ledger", "verify", path("export"), "--vkey", path("ledger.next.vkey"), caller=None)
    world.cli("ledger", "verify", path("export"), "--vkey", path("ledger.vkey"), caller=None, expect=6)


def test_another_tenant_reads_it_too(world):
    """With a receipt; only by the role that reads all events."""
    event = json.loads(world.db.value("SELECT convert_from(body, 'UTF8') FROM event WHERE tenant_id = '' ORDER BY event_id LIMIT 1"))
    world.caller("admin", "globex")
    world.ledger_is_complete()
    for tenant in (TENANT, "globex"):
        auditor = world.caller("auditor", tenant)
        world.ledger_is_complete()
        body = auditor.get(f"/v1/events/{event['id']}").expect(200).body
        assert json.loads(body) == event
        index, _, note = ledger.receipt(auditor.get(f"/v1/events/{event['id']}/receipt").expect(200).text)
        assert index == 0 and note.startswith(ORIGIN)
        assert auditor.get("/v1/ledger/export", **{"from": 0, "limit": 1}).expect(200).text.encode() == body + b"\n"
        assert event["id"] in [found["id"] for found in auditor.get("/v1/events", type=event["type"]).expect(200).json]
        world.caller("viewer", tenant).get(f"/v1/events/{event['id']}").refused(404, "not_found")
    world.stranger.get(f"/v1/events/{event['id']}").refused(401, "not_authenticated")


def refuses_to_start(world, words, **settings):
    """A process with a state of its own and these keys ends by itself, with that sentence."""
    daemon = world.daemons[SECOND]
    daemon.stop()
    before, said = dict(daemon.flags), len(daemon.log())
    daemon.flags.pop("ledger-next-key", None)
    daemon.flags.update(settings)
    daemon.start()
    wait.until(30, "it has refused", lambda: not daemon.alive())
    daemon.dead = True
    assert daemon.process.returncode == 1 and words in daemon.log()[said:], daemon.log()[said:]
    daemon.flags = before
    daemon.start().ready()


def test_no_key_behind_everybody_s_back(world):
    """Neither alone, as a change without an overlap, nor one that was retired, alone or beside the other."""
    stranger = os.path.join(world.folder, "stranger.key")
    world.sallyportd("ledger", "key", "--ledger-origin", ORIGIN, "--ledger-key", stranger)
    events = world.db.count("event")
    refuses_to_start(world, "bears no signature of this process", **{"ledger-key": stranger})
    if os.path.exists(path("ledger.vkeys")):
        refuses_to_start(world, "was retired and never signs again", **{"ledger-key": own_key(world)})
        refuses_to_start(world, "was retired and never signs again",
                         **{"ledger-key": path("ledger.next.key"), "ledger-next-key": own_key(world)})
    assert world.db.count("event") == events, "it left a trace"
    again = world.run_program("sallyportd", "ledger", "key", "--ledger-origin", ORIGIN, "--ledger-key", stranger)
    assert again.returncode == 1 and "a key is never replaced" in again.stderr, again.stderr
