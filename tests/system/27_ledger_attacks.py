# SPDX-License-Identifier: Apache-2.0
"""Attack: whoever has the database, one of its roles, or even the ledger's key, and wants another past.

Each attack that docs/ledger.md says is noticed, by its name: by the scrub while nobody asks, by the signer before it
signs, by a standby, by an auditor who kept something. Where the scrub or the signer notices, the log stops, for all
ledger processes and for good, and says what is wrong; an operator puts it right and starts it again."""

import base64
import os
import pathlib
import re
import shutil
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from support import ledger, postgres, tokens, wait
from support.world import TENANT, TOP

OTHER = "globex"
FILL = 600  # entries: two full tiles
FAST = 100000  # entries a second: a pass a second
SECOND = "ledger-2"
TABLES = ("event", "ledger_entry", "ledger_tile", "ledger_batch", "ledger_checkpoint")
LOG = {}


def setup(world):
    LOG.clear()
    world.start("ledger", scrub_rate=FAST)
    world.start("api")
    for tenant in (TENANT, OTHER):
        world.caller("admin", tenant)
    world.db.sql("INSERT INTO event (event_id, tenant_id, type, subject, hash, body)"
                 f" SELECT gen_random_uuid(), '{OTHER}', 'io.sallyport.tenant.changed.v1', '{OTHER}', sha256(b), b"
                 f" FROM generate_series(1, {FILL}) n, LATERAL (SELECT convert_to('{{\"n\":' || n || '}}', 'UTF8') AS b) x")
    world.caller("auditor")
    world.ledger_is_complete()


# ---- who does what ----

def tamper(world, *statements):
    """What a superuser can do: the triggers off, the rows changed, the triggers on again."""
    def triggers(how):
        return [f"ALTER TABLE sallyport.{table} {how} TRIGGER append_only" for table in TABLES]
    world.db.sql(";\n".join([*triggers("DISABLE"), *statements, *triggers("ENABLE ALWAYS")]))


def keep(world):
    """A copy of all that is attacked, to put right again what was done to it."""
    world.db.sql("CREATE SCHEMA IF NOT EXISTS kept;" + "".join(
        f"DROP TABLE IF EXISTS kept.{table}; CREATE TABLE kept.{table} AS TABLE sallyport.{table};" for table in TABLES))


def put_back(world):
    """The rows of the copy again; of events, those that came since stay. Putting an event back is no new event."""
    tamper(world, "ALTER TABLE sallyport.event DISABLE TRIGGER event_queue",
           "DELETE FROM sallyport.event WHERE event_id IN (SELECT event_id FROM kept.event)",
           *(f"DELETE FROM sallyport.{table}" for table in TABLES[1:]),
           *(f"INSERT INTO sallyport.{table} SELECT * FROM kept.{table}" for table in TABLES),
           "ALTER TABLE sallyport.event ENABLE ALWAYS TRIGGER event_queue")


def metric(daemon, name):
    lines = [line for line in daemon.ops("/metrics")[1].splitlines() if line.startswith(name + " ")]
    return int(lines[0].split()[1]) if lines else None


def evidence(world, name):
    return os.path.join(world.state_dir(name), "signed.evidence")


def stopped(world, name, *words):
    """The process has stopped and says why, wherever one may look; the problem."""
    daemon = world.daemons[name]
    wait.until(60, f"{name} has stopped", lambda: metric(daemon, "sallyport_ledger_stopped") == 1)
    status, body = daemon.ops("/readyz")
    problem = wait.until(20, "the lease row says why", lambda: world.db.value("SELECT coalesce(problem, '') FROM ledger_lease"))
    assert status == 503, body
    for word in words:
        assert word in body and word in problem, f"{word!r}: {body} {problem}"
    assert daemon.said("the ledger has stopped"), daemon.log()[-1000:]
    return problem


def goes_on(world):
    """What an operator does: the rows are right again, the evidence is put away, the problem cleared."""
    for name in ("ledger", SECOND):
        if name in world.daemons:
            world.daemons[name].stop()
            if os.path.exists(evidence(world, name)):
                os.rename(evidence(world, name), os.path.join(world.folder, f"evidence-{time.monotonic_ns()}"))
    put_back(world)
    world.db.sql("UPDATE ledger_lease SET problem = NULL")
    world.daemons["ledger"].start().ready()
    world.ledger_is_complete()


def more(world, count=1):
    """New keys are new events."""
    for number in range(count):
        world.new_key(f"somebody-{number}", TENANT, "viewer")


def scrub_finds(world, *statements, words, name="ledger"):
    """Nothing new happens, and nobody asks: the scrub notices all the same."""
    world.ledger_is_complete()
    keep(world)
    tamper(world, *statements)
    problem = stopped(world, name, *words)
    daemon = world.daemons[name]
    said = daemon.said("the scrub found a difference in the ledger")
    assert said and said[-1]["level"] == "error" and problem == said[-1]["problem"], (problem, said)
    assert metric(daemon, "sallyport_ledger_scrub_differences_total") == 1
    assert problem in pathlib.Path(evidence(world, name)).read_text(encoding="utf-8")
    return problem


def signer_finds(world, *statements, words):
    """The scrub is off; an event comes, and what it would be built on is looked at."""
    daemon = world.daemons["ledger"]
    daemon.stop()
    daemon.flags["scrub-rate"] = 0
    daemon.start().ready()
    daemon.flags["scrub-rate"] = FAST
    more(world)  # it leads, and is on top of things
    world.ledger_is_complete()
    keep(world)
    tamper(world, *statements)
    left = (world.db.count("ledger_checkpoint"), world.db.count("ledger_entry"))
    more(world)
    stopped(world, "ledger", *words)
    assert (world.db.count("ledger_checkpoint"), world.db.count("ledger_entry")) == left, "it built on that"
    assert os.path.exists(evidence(world, "ledger"))


# ---- rows, and what the scrub says of them ----

def test_the_untouched_log_is_passed_over(world):
    daemon = world.daemons["ledger"]
    began = metric(daemon, "sallyport_ledger_scrub_last_pass_timestamp_seconds")
    wait.until(60, "a whole pass", lambda: metric(daemon, "sallyport_ledger_scrub_last_pass_timestamp_seconds") > began)
    more(world, 3)
    world.ledger_is_complete()
    total = world.db.count("ledger_entry")
    wait.until(60, "it comes to what is new", lambda: metric(daemon, "sallyport_ledger_scrub_position") == total)
    assert metric(daemon, "sallyport_ledger_scrub_entries_total") >= total
    assert metric(daemon, "sallyport_ledger_scrub_differences_total") == 0
    daemon.ready()


def test_edited_entry(world):
    scrub_finds(world, "UPDATE ledger_entry SET hash = sha256('forged') WHERE idx = 100", words=["entry 100 of the ledger is"])
    # Nothing is accepted any more: what would become of it could not be proven.
    bad = tokens.flip(tokens.sign(tokens.manifest(tokens.sha256(b"none"), TENANT, {}), tokens.Es256Key("nobody")), 2, 7)
    world.caller("submitter")
    wait.until(20, "the api knows that nothing is accepted", lambda: world.submit(bad).refused(503, "unavailable"))
    goes_on(world)


def test_deleted_entry(world):
    scrub_finds(world, "DELETE FROM ledger_entry WHERE idx = 100", words=["entry 100 of the ledger is missing"])
    goes_on(world)


def test_swapped_entries(world):
    columns = "event_id = o.event_id, tenant_id = o.tenant_id, hash = o.hash"
    scrub_finds(world, f"UPDATE ledger_entry e SET {columns} FROM ledger_entry o WHERE (e.idx, o.idx) IN ((100, 101), (101, 100))",
                words=["tile 0 of level 0 of the ledger has hash", "at 100, but its entries make"])
    goes_on(world)


def test_edited_body(world):
    """With the table's CHECK out of the way: hash and entry are as they were, the bytes are not."""
    event = world.db.value("SELECT event_id FROM ledger_entry WHERE idx = 100")
    checks = world.db.sql("SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'event'::regclass"
                          " AND contype = 'c' AND pg_get_constraintdef(oid) LIKE '%sha256%'")
    assert checks, "event's hash is not held to its body"
    scrub_finds(world, *(f"ALTER TABLE event DROP CONSTRAINT {name}" for name, _ in checks),
                f"UPDATE event SET body = 'forged' WHERE event_id = '{event}'",
                words=["entry 100 of the ledger is", "but its event's bytes make"])
    goes_on(world)
    world.db.sql(";".join(f"ALTER TABLE event ADD CONSTRAINT {name} {text}" for name, text in checks))


def test_edited_body_with_its_hash(world):
    event = world.db.value("SELECT event_id FROM ledger_entry WHERE idx = 100")
    scrub_finds(world, f"UPDATE event SET body = 'forged', hash = sha256('forged') WHERE event_id = '{event}'",
                words=["entry 100 of the ledger is", "but its event's"])
    goes_on(world)


def test_deleted_event(world):
    event = world.db.value("SELECT event_id FROM ledger_entry WHERE idx = 100")
    scrub_finds(world, f"DELETE FROM event WHERE event_id = '{event}'", words=["entry 100 of the ledger is", "but its event is missing"])
    goes_on(world)


def test_edited_tile(world):
    scrub_finds(world, "UPDATE ledger_tile SET hashes = set_byte(hashes, 99, 255 - get_byte(hashes, 99)) WHERE level = 0 AND n = 1",
                words=["tile 1 of level 0 of the ledger has hash", "at 3, but its entries make"])
    goes_on(world)


def test_forged_checkpoint_of_the_past(world):
    """Row and note rewritten for another tree, which the signer does not look at any more: it is of no tree that was."""
    size = int(world.db.value("SELECT min(size) FROM ledger_checkpoint"))
    scrub_finds(world, "UPDATE ledger_checkpoint SET root = sha256('forged'), note ="
                f" regexp_replace(note, E'\\n{size}\\n[^\\n]*', E'\\n{size}\\n' || encode(sha256('forged'), 'base64')) WHERE size = {size}",
                words=[f"the checkpoint of size {size} has root", "but its entries make root"])
    goes_on(world)


def test_event_dropped_before_it_had_a_place(world):
    """Its row is there, but it would never come into the log, nor could anybody get a receipt of it."""
    daemon = world.daemons["ledger"]
    world.ledger_is_complete()
    daemon.stop()
    more(world)
    row = world.db.sql("SELECT event_id, tenant_id, encode(hash, 'hex') FROM event_pending")
    assert len(row) == 1, row
    event, tenant, digest = row[0]
    world.db.sql("DELETE FROM event_pending")
    daemon.start()
    stopped(world, "ledger", f"event {event} has no place in the ledger and does not wait for one")
    daemon.stop()
    os.rename(evidence(world, "ledger"), os.path.join(world.folder, "evidence-dropped"))
    world.db.sql("UPDATE ledger_lease SET problem = NULL; INSERT INTO event_pending (event_id, tenant_id, hash)"
                 f" VALUES ('{event}', '{tenant}', '\\x{digest}')")
    daemon.start().ready()
    world.ledger_is_complete()
    world.caller("auditor").get(f"/v1/events/{event}").expect(200)


def test_entry_of_no_event_by_a_stolen_role(world):
    """The ledger's own role appends what nobody said, as a sequencer beside the lease would: batch, root and all. It is
    signed, like all that leads on; but there is no event of it."""
    world.ledger_is_complete()
    body = b'{"specversion":"1.0","id":"nobody","source":"urn:sallyport:nobody","type":"io.sallyport.tenant.changed.v1"}'
    entries = [bytes.fromhex(row[0]) for row in world.db.sql("SELECT encode(hash, 'hex') FROM ledger_entry ORDER BY idx")]
    entries.append(ledger.hash_of(body))
    size, root = len(entries), ledger.root([ledger.leaf(entry) for entry in entries]).hex()
    world.db.sql(f"INSERT INTO ledger_entry VALUES ({size - 1}, gen_random_uuid(), '{OTHER}', '\\x{entries[-1].hex()}');"
                 "INSERT INTO ledger_batch (size, prev_size, root, frontier, epoch) VALUES"
                 f" ({size}, {size - 1}, '\\x{root}', '\\x{frontier_of(entries)}', 1)", role="sallyport_ledger")
    more(world)  # so that the leader looks at the head, and finds it moved
    problem = stopped(world, "ledger", f"entry {size - 1} of the ledger is", "but its event is missing")
    assert entries[-1].hex() in problem
    # What was signed stays: the entry can't be taken away any more, only explained.
    world.daemons["ledger"].stop()
    os.rename(evidence(world, "ledger"), os.path.join(world.folder, "evidence-forged"))
    tamper(world, "ALTER TABLE sallyport.event DISABLE TRIGGER event_queue",
           "INSERT INTO event (event_id, tenant_id, type, subject, hash, body) SELECT event_id, tenant_id,"
           f" 'io.sallyport.tenant.changed.v1', 'forged', hash, '\\x{body.hex()}' FROM ledger_entry WHERE idx = {size - 1}",
           "ALTER TABLE sallyport.event ENABLE ALWAYS TRIGGER event_queue", "UPDATE ledger_lease SET problem = NULL")
    world.daemons["ledger"].start().ready()
    world.ledger_is_complete()


def frontier_of(entries):
    """The roots of the full trees that the entries fall into, the largest first: what an append needs."""
    parts, rest = [], entries
    while rest:
        width = 1 << (len(rest).bit_length() - 1)
        parts.append(ledger.root([ledger.leaf(entry) for entry in rest[:width]]))
        rest = rest[width:]
    return b"".join(parts).hex()


# ---- what the signer builds on ----

def test_edited_batch(world):
    signer_finds(world, "UPDATE ledger_batch SET root = sha256('forged') WHERE size = (SELECT max(size) FROM ledger_batch)",
                 words=["has root", "but its entries make root"])
    goes_on(world)


def test_truncated_log(world):
    """The tail is gone from every table, which then agree; the signer remembers."""
    keep_size = int(world.db.value("SELECT min(size) FROM ledger_batch"))
    signer_finds(world, f"DELETE FROM ledger_checkpoint WHERE size > {keep_size}", f"DELETE FROM ledger_batch WHERE size > {keep_size}",
                 f"DELETE FROM ledger_entry WHERE idx >= {keep_size}", words=["the ledger was rolled back"])
    goes_on(world)


def test_forked_sequencer(world):
    """Another's batch on the same head, beside the lease: there can only be one, and one of another root is not signed."""
    world.ledger_is_complete()
    head, size = world.db.sql("SELECT prev_size, size FROM ledger_batch ORDER BY size DESC LIMIT 1")[0]
    batch = "INSERT INTO ledger_batch (size, prev_size, root, frontier, epoch) VALUES ({}, {}, sha256('fork'), '\\x{}', 1)"
    frontier = "00" * 32 * (int(size) + 1).bit_count()
    world.db.refuses(batch.format(int(size) + 1, head, frontier), "23505", role="sallyport_ledger")
    world.db.refuses(f"INSERT INTO ledger_entry VALUES ({int(size) - 1}, gen_random_uuid(), '{TENANT}', sha256('fork'))", "23505",
                     role="sallyport_ledger")
    signer_finds(world, *FORK, words=["has root", "but its entries make root"])
    goes_on(world)


FORK = ("INSERT INTO ledger_entry SELECT max(idx) + 1, gen_random_uuid(), 'acme', sha256('fork') FROM ledger_entry",
        "INSERT INTO ledger_batch (size, prev_size, root, frontier, epoch) SELECT n + 1, n, sha256('fork'),"
        " decode(repeat('00', 32 * length(replace((n + 1)::bit(63)::text, '0', ''))), 'hex'), 1 FROM"
        " (SELECT max(size) AS n FROM ledger_batch) head")


def test_scrub_goes_on_in_a_stopped_log(world):
    """Whoever stopped it could only say that a root differs: the scrub says which entry. The first reason stays."""
    world.ledger_is_complete()
    keep(world)
    daemon = world.daemons["ledger"]
    world.db.sql("UPDATE ledger_lease SET problem = 'somebody was here'")
    assert stopped(world, "ledger", "somebody was here") == "somebody was here"
    tamper(world, "UPDATE ledger_entry SET hash = sha256('forged') WHERE idx = 100")
    wait.until(60, "the scrub has found it", lambda: metric(daemon, "sallyport_ledger_scrub_differences_total") == 1)
    assert "entry 100 of the ledger is" in daemon.said("the scrub found a difference in the ledger")[-1]["problem"]
    assert stopped(world, "ledger", "somebody was here") == "somebody was here"
    goes_on(world)


# ---- standbys ----

def test_edited_tile_found_by_a_standby(world):
    """The leader looks the other way; any ledger process's scrub stops all of them."""
    leader = world.daemons["ledger"]
    leader.stop()
    leader.flags["scrub-rate"] = 0
    leader.start().ready()
    more(world)
    world.ledger_is_complete()
    second = world.start("ledger", SECOND, ledger_init="on", scrub_rate=FAST)
    wait.until(60, "the standby has been over the log",
               lambda: metric(second, "sallyport_ledger_scrub_last_pass_timestamp_seconds") > 0)
    assert metric(second, "sallyport_ledger_leading") == 0
    scrub_finds(world, "UPDATE ledger_tile SET root = sha256('forged') WHERE level = 0 AND n = 0",
                words=["tile 0 of level 0 of the ledger has root"], name=SECOND)
    wait.until(30, "the leader stops", lambda: metric(leader, "sallyport_ledger_stopped") == 1)
    assert leader.ops("/readyz")[0] == 503
    leader.flags["scrub-rate"] = FAST
    goes_on(world)
    second.stop()
    del world.daemons[SECOND]


# ---- the key, and who kept something ----

class Forger:
    """Who has the ledger's key file signs what he likes."""

    def __init__(self, world):
        text = pathlib.Path(world.folder, "ledger.key").read_text(encoding="utf-8").strip()
        _, _, self.name, self.id, encoded = text.split("+", 4)
        raw = base64.b64decode(encoded)
        assert raw[:1] == ledger.ED25519 and len(raw) == 33
        self.key = Ed25519PrivateKey.from_private_bytes(raw[1:])

    def checkpoint(self, size, root):
        text = f"{self.name}\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = base64.b64encode(bytes.fromhex(self.id) + self.key.sign(text.encode())).decode()
        return f"{text}\n\N{EM DASH} {self.name} {signature}\n"


def compare(world, older, newer, expect):
    old, new = world.write("old.checkpoint", older), world.write("new.checkpoint", newer)
    done = world.cli("ledger", "verify", "--old", old, "--new", new, "--vkey", world.vkey, caller="auditor", expect=expect)
    return done.stderr


def checkpoint(world):
    world.ledger_is_complete()
    note = world.caller("auditor").get("/v1/ledger/checkpoint").expect(200).text
    return ledger.Verifier(pathlib.Path(world.vkey).read_text(encoding="utf-8")).checkpoint(note) + (note,)


def test_two_heads_of_one_size(world):
    """A log that shows each audience another face: the two checkpoints, side by side, are the proof."""
    size, root, note = checkpoint(world)
    forger = Forger(world)
    assert forger.checkpoint(size, root) == note, "not this log's key"
    other = forger.checkpoint(size, ledger.hash_of(b"the other face"))
    compare(world, note, other, 6)
    compare(world, other, note, 6)
    compare(world, note, note, 0)


def test_rewritten_and_signed_anew(world):
    """With the key, even another past can be signed. It does not begin with what an auditor kept."""
    _, _, kept = checkpoint(world)
    more(world)
    size, _, now = checkpoint(world)
    compare(world, kept, now, 0)
    compare(world, kept, Forger(world).checkpoint(size, ledger.hash_of(b"another past")), 6)


def test_frozen_at_an_old_head(world):
    """Whoever has seen more is not talked out of it: an older head in place of a newer one is no successor."""
    _, _, then = checkpoint(world)
    more(world)
    _, _, now = checkpoint(world)
    compare(world, now, then, 6)
    compare(world, then, now, 0)


def test_receipt_of_nothing_with_the_key(world):
    """Size 0, signed: a tree without leaves holds no event, whatever the receipt says."""
    world.ledger_is_complete()
    event = world.db.value(f"SELECT event_id FROM ledger_entry WHERE tenant_id = '{TENANT}' ORDER BY idx DESC LIMIT 1")
    body = world.caller("auditor").get(f"/v1/events/{event}").expect(200).body
    text = world.caller("auditor").get(f"/v1/events/{event}/receipt").expect(200).text
    index, path, _ = ledger.receipt(text)
    forger = Forger(world)
    head = text.partition("\n\n")[0]
    bare = f"c2sp.org/tlog-proof@v1\nindex {index}"
    pathlib.Path(world.folder, "nothing.json").write_bytes(body)
    own_leaf = ledger.leaf(ledger.hash_of(body))
    for size, root, lines, expect in ((0, ledger.root([]), bare, 6), (0, ledger.root([]), head, 6), (0, own_leaf, bare, 2),
                                      (index, own_leaf, bare, 6), (index + 2, own_leaf, bare, 6)):
        receipt = world.write("nothing", f"{lines}\n\n{forger.checkpoint(size, root)}")
        world.cli("ledger", "verify", receipt, "--vkey", world.vkey, caller=None, expect=expect)
    assert path, "a log of one entry"


# ---- the manual ----

def test_the_manual_names_each(world):
    """docs/ledger.md, "Attacks": each scenario it names is there, and each of this file is named."""
    assert world
    text = (TOP / "docs" / "ledger.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\d\d)\.(\w+)`", text)
    assert named, "the manual names no scenario"
    for number, name in named:
        files = list((TOP / "tests" / "system").glob(f"{number}_*.py"))
        assert len(files) == 1 and f"def test_{name}(" in files[0].read_text(encoding="utf-8"), f"there is no {number}.{name}"
    own = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    missing = own - {name for number, name in named if number == "27"} - {"the_manual_names_each"}
    assert not missing, f"docs/ledger.md does not name {sorted(missing)}"


# ---- the last: nothing is as before ----

def test_old_backup_restored(world):
    """The whole database as it was some time ago, by whoever runs it: not what was signed since. The receipts from then
    on say what is missing."""
    world.ledger_is_complete()
    for daemon in world.daemons.values():
        daemon.stop()
    cluster, name = world.db.cluster, world.db.name
    backup = name + "_backup"
    cluster.command(f"CREATE DATABASE {backup} TEMPLATE {name}")
    try:
        for daemon in world.daemons.values():
            daemon.start().ready()
        more(world)
        _, _, then = checkpoint(world)
        event = world.db.value("SELECT event_id FROM ledger_entry ORDER BY idx DESC LIMIT 1")
        receipt = os.path.join(world.folder, "lost")
        world.cli("ledger", "prove", event, "--out", receipt, caller="auditor")
        for daemon in world.daemons.values():
            daemon.stop()
        cluster.command(f"DROP DATABASE {name} WITH (FORCE)")
        cluster.command(f"ALTER DATABASE {backup} RENAME TO {name}")
    except BaseException:
        try:
            cluster.command(f"DROP DATABASE IF EXISTS {backup} WITH (FORCE)")
        except postgres.SqlError:
            pass
        raise
    world.daemons["ledger"].flags["scrub-rate"] = 0  # the signer says it best
    for daemon in world.daemons.values():
        daemon.start()
    stopped(world, "ledger", "the ledger was rolled back")
    wait.until(60, "the api answers", lambda: world.daemons["api"].ops("/livez")[0] == 200)
    shutil.copy(evidence(world, "ledger"), world.folder)
    world.caller("auditor").get(f"/v1/events/{event}").refused(404, "not_found")
    world.cli("ledger", "verify", receipt, "--vkey", world.vkey, caller=None)  # it was in the log
    now = world.caller("auditor").get("/v1/ledger/checkpoint").expect(200).text
    compare(world, then, now, 6)  # and the log of today is not that one
