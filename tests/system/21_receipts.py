# SPDX-License-Identifier: Apache-2.0
"""What an auditor can check with the public key alone: receipts, tiles, two checkpoints.

Each proof is followed twice, by the client and by support/ledger.py, which knows only the RFCs; and docs/ledger.md,
which tells how to do it by hand, is run as it stands. What is another tenant's, or not signed yet, has no proof."""

import base64
import hashlib
import http.client
import json
import os
import pathlib
import re

from support import ledger, manual, tokens, wait
from support.world import FINISHED, REFUSED

OTHER = "globex"
FILL = 600  # entries: two full tiles of leaves, and two levels
JOB = {}


def setup(world):
    world.start_all(ledger={"scrub_rate": 0})  # rows are edited here that it would find (27)
    JOB.clear()
    world.caller("admin", OTHER)
    JOB["then"] = signed(world, world.caller("viewer"))
    execution, _ = world.run("print", "evidence")
    JOB["id"] = execution["id"]
    world.ledger_is_complete()
    JOB.update(world.execution(JOB["id"]))


def grown(world):
    """The tests that need a tree of two levels may be asked for alone."""
    if "grown" not in JOB:
        fill(world, "before")
        world.ledger_is_complete()
        JOB["grown"] = True


def fill(world, name):
    """Events of the other tenant, so that the tree is worth a proof. They are nothing to ours but hashes."""
    world.db.sql("INSERT INTO event (event_id, tenant_id, type, subject, hash, body)"
                 f" SELECT gen_random_uuid(), '{OTHER}', 'io.sallyport.tenant.changed.v1', '{OTHER}', sha256(b), b"
                 f" FROM generate_series(1, {FILL}) n, LATERAL (SELECT convert_to('{{\"{name}\":' || n || '}}', 'UTF8') AS b) x")


def key(world):
    return ledger.Verifier(pathlib.Path(world.vkey).read_text(encoding="utf-8"))


def signed(world, caller):
    """The latest checkpoint: (size, root, note)."""
    note = wait.until(20, "there is a checkpoint", lambda: caller.get("/v1/ledger/checkpoint").expect(200).text)
    return (*key(world).checkpoint(note), note)


def proven(world, text, event):
    """A receipt, followed by hand: index and size."""
    index, path, note = ledger.receipt(text)
    size, root = key(world).checkpoint(note)
    assert ledger.follow(ledger.leaf(hashlib.sha256(event).digest()), index, size, path) == root, text
    return index, size


def client_says(world, text, event, expect=0):
    """The client about the same two files, offline."""
    path = os.path.join(world.folder, "r.tlog-proof")
    pathlib.Path(path).write_text(text, encoding="utf-8")
    pathlib.Path(path + ".json").write_bytes(event)
    return world.cli("ledger", "verify", path, "--vkey", world.vkey, "-o", "json", caller=None, expect=expect)


def shell(world, script, folder):
    return manual.shell(world, script, folder, EXECUTION=JOB["id"])


def by_hand(parts):
    return "".join(text for heading, text in parts if heading in ("A receipt, by hand", "The whole log, by hand"))


def test_the_manual_is_right(world):
    """Every command of docs/ledger.md, in its order; then its own checks against what is false. First of all, for a
    shell takes its time over a long log."""
    folder = os.path.join(world.folder, "manual")
    os.mkdir(folder)
    pathlib.Path(folder, "ledger.vkey").write_bytes(pathlib.Path(world.vkey).read_bytes())
    parts = manual.blocks(but=("When the key changes", "After a restore"))  # scenarios 29 and 30
    assert [heading for heading, _ in parts].count("A receipt, by hand") == 4, [heading for heading, _ in parts]
    world.caller("admin")
    world.ledger_is_complete()
    done = shell(world, "".join(text for _, text in parts), folder)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    assert done.stdout.count("Signature Verified Successfully") == 2, done.stdout
    assert "sallyport" not in by_hand(parts).replace("sallyport.test", ""), "by hand means by hand"
    assert shell(world, by_hand(parts), folder).returncode == 0
    lies = {"job.tlog-proof.json": lambda data: data.replace(b'"succeeded"', b'"cancelled"'),
            "job.tlog-proof": lambda data: data.replace(b"index ", b"index 1", 1),
            "export/events.ndjson": lambda data: data.replace(b"\n", b" \n", 1),
            "export/checkpoint": lambda data: re.sub(rb"\n[^\n]{44}\n", b"\n" + base64.b64encode(bytes(32)) + b"\n", data, count=1),
            "ledger.vkey": lambda data: re.sub(rb"\+[0-9a-f]{8}\+", b"+00000000+", data)}
    for name, lie in lies.items():
        path = pathlib.Path(folder, name)
        true = path.read_bytes()
        assert lie(true) != true, name
        path.write_bytes(lie(true))
        assert shell(world, by_hand(parts), folder).returncode != 0, f"a false {name} went through"
        path.write_bytes(true)
    signature = pathlib.Path(folder, "job.tlog-proof")
    true = signature.read_bytes()
    signature.write_bytes(true[:-10] + (b"A" if true[-10:-9] != b"A" else b"B") + true[-9:])
    assert shell(world, by_hand(parts), folder).returncode != 0, "a false signature went through"


def test_a_job_names_its_receipt(world):
    """`ledger` of an execution: the index, and the path of the receipt, which is that of its finished event."""
    viewer = world.caller("viewer")
    place = JOB["ledger"]
    assert place["receipt"] == f"/v1/executions/{JOB['id']}/receipt", place
    answer = viewer.get(place["receipt"]).expect(200)
    assert answer.media_type == "text/plain"
    event = viewer.get(f"/v1/events/{JOB['event_id']}").expect(200).body
    index, size = proven(world, answer.text, event)
    assert index == place["index"]
    assert viewer.get(f"/v1/events/{JOB['event_id']}/receipt").expect(200).text == answer.text
    said = json.loads(client_says(world, answer.text, event).stdout)
    assert said["verified"] is True and said["index"] == index and said["entries"] == size, said
    assert said["event_id"] == JOB["event_id"] and said["type"] == FINISHED, said
    listed = [item for item in viewer.get("/v1/executions").expect(200).json["items"] if item["id"] == JOB["id"]]
    assert listed[0]["ledger"] == place


def test_every_event_of_a_job_has_one(world):
    viewer = world.caller("viewer")
    for event in world.events(JOB["id"]):
        body = viewer.get(f"/v1/events/{event['id']}").expect(200).body
        proven(world, viewer.get(f"/v1/events/{event['id']}/receipt").expect(200).text, body)


def test_the_same_as_json(world):
    viewer = world.caller("viewer")
    proof = viewer.get("/v1/ledger/proof", event_id=JOB["event_id"]).expect(200).json
    size, root = key(world).checkpoint(proof["checkpoint"])
    assert (proof["size"], base64.b64decode(proof["root"])) == (size, root)
    assert proof["event_id"] == JOB["event_id"] and proof["index"] == JOB["ledger"]["index"]
    entry = bytes.fromhex(proof["entry"].removeprefix("sha256:"))
    assert ledger.follow(ledger.leaf(entry), proof["index"], size, map(base64.b64decode, proof["hashes"])) == root
    event = viewer.get(f"/v1/events/{JOB['event_id']}").expect(200).body
    assert hashlib.sha256(event).digest() == entry


def unused_bits_set(encoded):
    """Another text that a lenient reader takes for the same 32 bytes: the last digit's two lowest bits count for nothing."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    forged = encoded[:-2] + digits[digits.index(encoded[-2]) | 1] + "="
    assert forged != encoded and base64.b64decode(forged) == base64.b64decode(encoded)
    return forged


def forgeries(text, event):
    """What may be done to a receipt and its event: {name: (exit code, receipt, event)}."""
    index, path, _ = ledger.receipt(text)
    lines = text.split("\n")
    size = lines[lines.index("") + 2]
    first, signature = lines[2], lines[-2]
    zero = base64.b64encode(bytes(32)).decode()
    nothing = base64.b64encode(ledger.root([])).decode()
    root = lines[lines.index("") + 3]
    flipped = signature[:-3] + ("A" if signature[-3] != "A" else "B") + signature[-2:]
    assert len(path) > 1 and base64.b64encode(path[0]).decode() == first, text

    def instead(old, new):
        return text.replace(old, new, 1)
    return {
        "a byte of the event cut off": (6, text, event[:-1]),
        "a byte behind the event": (6, text, event + b"\n"),
        "no event": (6, text, b""),
        "another index": (6, instead(f"index {index}\n", f"index {index + 1}\n"), event),
        "an index past the tree": (6, instead(f"index {index}\n", f"index {size}\n"), event),
        "an index with a leading zero": (2, instead(f"index {index}\n", f"index 0{index}\n"), event),
        "an index past 63 bits": (2, instead(f"index {index}\n", f"index {index + 2**64}\n"), event),
        "a negative index": (2, instead(f"index {index}\n", f"index -{index}\n"), event),
        "CRLF": (2, text.replace("\n", "\r\n"), event),
        "trailing bytes": (2, text + "\n", event),
        "its last newline cut off": (2, text[:-1], event),
        "a hash too few": (6, instead(first + "\n", ""), event),
        "another hash": (6, instead(first, zero), event),
        "a spare hash": (6, instead(first, first + "\n" + zero), event),
        "a hash twice": (6, instead(first, first + "\n" + first), event),
        "base64 without its padding": (2, instead(first, first[:-1]), event),
        "base64 with bits that count for nothing": (2, instead(first, unused_bits_set(first)), event),
        "a hash of 31 bytes": (2, instead(first, base64.b64encode(bytes(31)).decode()), event),
        "a tree of size 0": (2, instead(f"\n{size}\n", "\n0\n"), event),
        "the empty tree": (6, instead(f"\n{size}\n{root}\n", f"\n0\n{nothing}\n"), event),
        "a size with a leading zero": (2, instead(f"\n{size}\n", f"\n0{size}\n"), event),
        "another size": (6, instead(f"\n{size}\n", f"\n{int(size) + 1}\n"), event),
        "another root": (6, instead(f"\n{root}\n", f"\n{zero}\n"), event),
        "another log's name": (6, instead("\nsallyport.test/log\n", "\nsallyport.test/gol\n"), event),
        "another signer's name": (6, instead(signature, signature.replace("sallyport.test/log", "sallyport.test/gol")), event),
        "another signature": (6, instead(signature, flipped), event),
        "no signature": (2, instead(signature + "\n", ""), event),
        "another format": (2, instead("tlog-proof@v1", "tlog-proof@v2"), event),
    }


def test_forged_receipts(world):
    """The client's exit code tells a proof that fails from a file that is none."""
    grown(world)
    viewer = world.caller("viewer")
    text = viewer.get(JOB["ledger"]["receipt"]).expect(200).text
    event = viewer.get(f"/v1/events/{JOB['event_id']}").expect(200).body
    client_says(world, text, event)
    for name, (expect, forged, of) in forgeries(text, event).items():
        assert (forged, of) != (text, event), f"{name}: a forgery that is none"
        try:
            client_says(world, forged, of, expect)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


def test_who_may_not_ask(world):
    """What is another tenant's does not exist; a stranger is told nothing; a role must see the event."""
    receipt, event = JOB["ledger"]["receipt"], JOB["event_id"]
    theirs = world.db.value(f"SELECT event_id FROM event WHERE tenant_id = '{OTHER}' AND type LIKE '%apikey.created%' LIMIT 1")
    for path, query in ((receipt, {}), (f"/v1/events/{event}/receipt", {}), ("/v1/ledger/proof", {"event_id": event})):
        for name in ("viewer", "auditor", "admin"):
            world.caller(name, OTHER).get(path, **query).refused(403 if name == "auditor" and path == receipt else 404,
                                                                 "forbidden" if name == "auditor" and path == receipt else "not_found")
        world.stranger.get(path, **query).refused(401, "not_authenticated")
        world.caller("publisher").get(path, **query).refused(403, "forbidden")
    auditor = world.caller("auditor")
    auditor.get(f"/v1/events/{theirs}/receipt").refused(404, "not_found")
    auditor.get("/v1/ledger/proof", event_id=theirs).refused(404, "not_found")
    world.caller("auditor", OTHER).get(f"/v1/events/{theirs}/receipt").expect(200)
    world.cli("ledger", "prove", theirs, caller="auditor", expect=3)


def test_a_refused_job_leaves_evidence_too(world):
    """manifest.refused is no execution's event: an auditor gets its receipt, a viewer does not know of it."""
    world.submit(tokens.flip(world.token("print", "never"), 2, 5)).refused(403, "signature_invalid")
    world.ledger_is_complete()
    event = world.refusals()[-1]
    assert event["type"] == REFUSED and event["data"]["code"] == "signature_invalid", event
    body = world.caller("auditor").get(f"/v1/events/{event['id']}").expect(200).body
    text = world.caller("auditor").get(f"/v1/events/{event['id']}/receipt").expect(200).text
    proven(world, text, body)
    client_says(world, text, body)
    world.caller("viewer").get(f"/v1/events/{event['id']}/receipt").refused(404, "not_found")
    world.caller("viewer").get("/v1/ledger/proof", event_id=event["id"]).refused(404, "not_found")


def hashes(data):
    assert len(data) % 32 == 0, f"{len(data)} bytes are no hashes"
    return [data[at:at + 32] for at in range(0, len(data), 32)]


def tile_path(level, n, width):
    digits = f"{n:03d}"
    assert len(digits) == 3, "a log longer than this test's"
    return f"/v1/ledger/tile/{level}/{digits}" + ("" if width == 256 else f".p/{width}")


def level_of(viewer, level, count):
    """The first `count` hashes of a level, tile by tile."""
    found = []
    for n in range((count + 255) // 256):
        width = min(256, count - n * 256)
        answer = viewer.get(tile_path(level, n, width)).expect(200)
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Cache-Control"] == "max-age=31536000, immutable"
        assert len(answer.body) == 32 * width
        found += hashes(answer.body)
    return found


def test_tiles_rebuild_the_tree(world):
    """Leaves from level 0, each the hash of its entry; level 1 the roots of full tiles; all under the signed root."""
    grown(world)
    viewer = world.caller("viewer")
    size, root, _ = signed(world, viewer)
    leaves = level_of(viewer, 0, size)
    assert len(leaves) == size > 2 * 256 and ledger.root(leaves) == root
    tops = level_of(viewer, 1, size // 256)
    assert tops == [ledger.root(leaves[n * 256:n * 256 + 256]) for n in range(size // 256)]
    bundle = viewer.get("/v1/ledger/tile/entries/000").expect(200).body
    assert [ledger.leaf(bundle[at + 2:at + 34]) for at in range(0, len(bundle), 34)] == leaves[:256]
    # A smaller piece of a tile is its beginning, also of one that is full by now.
    assert hashes(viewer.get("/v1/ledger/tile/0/001.p/7").expect(200).body) == leaves[256:263]
    assert viewer.get("/v1/ledger/tile/1/000.p/1").expect(200).body == tops[0]


def test_nothing_past_the_signed_tree(world):
    """Also where there are entries already: what is not signed is not served."""
    grown(world)
    viewer = world.caller("viewer")
    size, _, _ = signed(world, viewer)
    last, width = divmod(size, 256)
    for path in (f"0/{last:03d}.p/{width + 1}", f"0/{last:03d}", f"0/{last + 1:03d}.p/1", f"0/{last + 1:03d}",
                 f"1/000.p/{last + 1}", "1/000", "1/001.p/1", "2/000.p/1", "7/000.p/1", "8/000.p/1", "63/000.p/1", "64/000", "00/000",
                 "0/000.p/0", "0/000.p/256", "0/000.p/01", "0/000.p", "0/0", "0/0000", "0/x000/000", "0/x001/000.p/1", "0/x001/x234/067",
                 "0/x001/x234/x567/890", "0/x001/x234/067.p/8", "-1/000", "0/%30%30%30%30", f"entries/{last:03d}.p/{width + 1}",
                 "entries/x001/x234/067.p/8"):
        viewer.get(f"/v1/ledger/tile/{path}").refused(404, "not_found")


def test_two_checkpoints_are_of_one_log(world):
    grown(world)
    viewer = world.caller("viewer")
    old_size, old_root, old_note = JOB["then"]
    fill(world, "after")
    world.ledger_is_complete()
    new_size, new_root, new_note = signed(world, viewer)
    answer = viewer.get("/v1/ledger/proof", **{"from": old_size}).expect(200)
    proof = answer.json
    assert (proof["from"], proof["to"], proof["checkpoint"]) == (old_size, new_size, new_note)
    assert 0 < old_size < new_size
    path = [base64.b64decode(text, validate=True) for text in proof["hashes"]]
    assert ledger.consistent(old_size, old_root, new_size, new_root, path)
    files = {name: os.path.join(world.folder, name) for name in ("old", "new", "proof", "broken")}
    for name, data in (("old", old_note), ("new", new_note), ("proof", answer.text),
                       ("broken", answer.text.replace(proof["hashes"][0], base64.b64encode(bytes(32)).decode()))):
        pathlib.Path(files[name]).write_text(data, encoding="utf-8")
    words = ["ledger", "verify", "--vkey", world.vkey, "-o", "json"]
    said = json.loads(world.cli(*words, "--old", files["old"], "--new", files["new"], "--proof", files["proof"], caller=None).stdout)
    assert said["verified"] is True and (said["since"], said["entries"]) == (old_size, new_size), said
    world.cli(*words, "--old", files["old"], "--new", files["new"], caller="viewer")  # fetches the proof
    world.cli(*words, "--old", files["old"], "--new", files["new"], "--proof", files["broken"], caller=None, expect=6)
    world.cli(*words, "--old", files["new"], "--new", files["old"], "--proof", files["proof"], caller=None, expect=6)
    world.cli(*words, "--old", files["old"], "--new", files["proof"], "--proof", files["proof"], caller=None, expect=2)


def test_any_two_sizes(world):
    """Those no checkpoint was signed at, too: the leaves tell what their roots are."""
    grown(world)
    viewer = world.caller("viewer")
    size, _, _ = signed(world, viewer)
    leaves = level_of(viewer, 0, size)
    for old, new in ((1, 2), (3, 7), (255, 256), (256, 257), (256, 512), (300, 777), (511, size), (512, size), (size - 1, size)):
        proof = viewer.get("/v1/ledger/proof", **{"from": old, "to": new}).expect(200).json
        path = [base64.b64decode(text, validate=True) for text in proof["hashes"]]
        assert ledger.consistent(old, ledger.root(leaves[:old]), new, ledger.root(leaves[:new]), path), (old, new)
        known = world.db.count(f"ledger_checkpoint WHERE size = {new}")
        assert (proof["checkpoint"] is not None) == (known == 1), proof
    for old, new in ((0, size), (size, size), (0, 0)):
        assert viewer.get("/v1/ledger/proof", **{"from": old, "to": new}).expect(200).json["hashes"] == []
    viewer.get("/v1/ledger/proof", **{"from": size + 1}).refused(404, "not_found")
    viewer.get("/v1/ledger/proof", **{"from": 1, "to": size + 1}).refused(404, "not_found")
    world.caller("publisher").get("/v1/ledger/proof", **{"from": 1}).expect(200)
    world.stranger.get("/v1/ledger/proof", **{"from": 1}).refused(401, "not_authenticated")


def retry_after(world, path):
    """Headers of the raw answer, which must say when to come again."""
    host, port = world.address
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request("GET", path, headers={"Authorization": f"Bearer {world.caller('viewer').key}"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.getheader("Retry-After")


def test_what_is_not_signed_yet(world):
    """503 and when to ask again, by HTTP and in the client; once it is signed, there it is."""
    viewer = world.caller("viewer")
    world.daemons["worker"].stop()
    waiting = world.accept("print", "late")
    viewer.get(f"/v1/executions/{waiting}/receipt").refused(404, "not_found")
    world.cli("ledger", "prove", "--execution", waiting, caller="viewer", expect=3)
    world.daemons["worker"].start().ready()
    world.ended(waiting)
    world.ledger_is_complete()
    world.daemons["ledger"].stop()
    execution, _ = world.run("print", "late")
    assert execution["event_id"] is not None and execution["ledger"] is None, execution
    for path in (f"/v1/executions/{execution['id']}/receipt", f"/v1/events/{execution['event_id']}/receipt",
                 f"/v1/ledger/proof?event_id={execution['event_id']}"):
        viewer.get(path).refused(503, "unavailable")
        assert retry_after(world, path) == (503, "1")
    out = os.path.join(world.folder, "late")
    world.cli("ledger", "prove", "--execution", execution["id"], "--out", out, "--wait", "0", caller="viewer", expect=8)
    assert not os.path.exists(out)
    world.daemons["ledger"].start().ready()
    world.cli("ledger", "prove", "--execution", execution["id"], "--out", out, "--wait", "60", caller="viewer")
    world.cli("ledger", "verify", out, "--vkey", world.vkey, caller=None)
    assert world.execution(execution["id"])["ledger"]["receipt"] == f"/v1/executions/{execution['id']}/receipt"


def test_edited_rows_are_no_proof(world):
    """A receipt that would not verify is not handed out: whoever edits the tables gets an internal error, not a lie."""
    grown(world)
    receipt = JOB["ledger"]["receipt"]
    world.caller("viewer").get(receipt).expect(200)

    def edit(expression):
        world.db.sql("ALTER TABLE sallyport.ledger_tile DISABLE TRIGGER append_only;"
                     f" UPDATE ledger_tile SET root = {expression} WHERE level = 0 AND n = 1;"
                     " ALTER TABLE sallyport.ledger_tile ENABLE ALWAYS TRIGGER append_only")
    root = world.db.value("SELECT encode(root, 'hex') FROM ledger_tile WHERE level = 0 AND n = 1")
    edit("sha256('lie')")
    world.caller("viewer").get(receipt).refused(500, "internal")
    world.caller("viewer").get("/v1/ledger/proof", event_id=JOB["event_id"]).refused(500, "internal")
    edit(f"'\\x{root}'")
    world.caller("viewer").get(receipt).expect(200)
