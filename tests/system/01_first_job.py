# SPDX-License-Identifier: Apache-2.0
"""The first real job, from a key to a proof.

Done by the client as people do it: a program packed and pushed, approved by two, a manifest signed, run
in a real sandbox, its event read, its place in the ledger proven. Then every claim of the event is checked
against something that is not the product: RFCs written anew, the sample itself, the host."""

import hashlib
import json
import os
import pathlib
import re

from support import ledger, tokens, wait
from support.world import ACCEPTED, FINISHED, STARTED, TENANT, TOP

DATA = TOP / "tests" / "data" / "yara"
MATCH = "sallyport_first_job /in/sample.txt\n"
JOB = {}  # what the first test leaves for those behind it

DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")
HEX = re.compile(r"^[0-9a-f]{64}$")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


def setup(world):
    world.start_all()
    JOB.clear()


def first_job(world):
    """Runs it once a world; the tests behind may be asked for alone."""
    if JOB:
        return
    key = os.path.join(world.folder, "signer.pem")
    world.cli("key", "gen", "--alg", "ES256", "--out", key)
    world.cli("key", "add", "--kid", "soc-1", "--alg", "ES256", "--file", key + ".pub")
    archive = world.ground.packed("/usr/bin/yara")
    digest = tokens.sha256(pathlib.Path(archive).read_bytes())
    world.cli("armory", "push", "--kind", "rootfs", "--name", "yara", "--version", "4.2.3", "--entrypoint",
              "/usr/bin/yara", archive, caller="publisher")
    for approver in ("approver-1", "approver-2"):
        world.cli("armory", "approve", digest, "--comment", "Debian's package", caller=approver)
    token = world.cli("sign", "--key", key, "--kid", "soc-1", "--tool", digest, "--operator", "alice",
                      "--task", "scan-0001", "--correlation", "case-77", "--target", "urn:sallyport:sample",
                      "--arg", "/in/rule.yar", "--arg", "/in/sample.txt", "--input", f"rule.yar={DATA}/rule.yar",
                      "--input", f"sample.txt={DATA}/sample.txt", caller="submitter").stdout.strip()
    done = world.cli("exec", "submit", "--wait", "60", "-o", "json", caller="submitter", stdin=token)
    JOB.update(token=token, digest=digest, execution=json.loads(done.stdout))
    JOB["id"] = JOB["execution"]["id"]
    JOB["event"] = world.finished(JOB["id"])


def test_a_signed_job_runs_and_succeeds(world):
    first_job(world)
    execution = JOB["execution"]
    assert execution["state"] == "succeeded" and execution["exit_code"] == 0, execution
    assert execution["tool_sha256"] == JOB["digest"]
    assert execution["manifest_sha256"] == tokens.sha256(tokens.payload_of(JOB["token"]))
    assert (execution["task_id"], execution["operator_id"], execution["correlation_id"]) == ("scan-0001", "alice", "case-77")
    assert execution["stdout_bytes"] == len(MATCH) and execution["stderr_bytes"] == 0
    assert world.stdout(JOB["id"]) == MATCH.encode()
    world.queue_is_empty()


def test_its_events_come_in_order_with_their_exact_bytes(world):
    first_job(world)
    events = world.events(JOB["id"])
    assert [event["type"] for event in events] == [ACCEPTED, STARTED, FINISHED]
    assert len({event["id"] for event in events}) == 3
    assert {event["subject"] for event in events} == {"scan-0001"}
    assert len({event["traceparent"] for event in events}) == 1
    assert [event["source"] for event in events] == ["urn:sallyport:api", "urn:sallyport:worker", "urn:sallyport:worker"]
    for event in events:
        assert event["id"][14] == "7", f"{event['id']} is no UUIDv7"
        assert event["tenantid"] == TENANT and event["executionid"] == JOB["id"]
        answer = world.caller("auditor").get(f"/v1/events/{event['id']}").expect(200)
        assert answer.json == event
        stored = world.db.value(f"SELECT encode(body, 'base64') FROM event WHERE event_id = '{event['id']}'")
        assert tokens.b64(answer.body) == stored.replace("\n", "").replace("+", "-").replace("/", "_").rstrip("=")
        assert answer.body == ledger.compact(event), "the bytes are not compact JSON"


def test_the_finished_event_carries_every_field(world):
    """DESIGN.md section 10: the name, the type, and what is known of the value."""
    first_job(world)
    event = JOB["event"]
    data = event["data"]
    token = JOB["token"]
    manifest = json.loads(tokens.payload_of(token))
    expected = {
        "task_id": "scan-0001", "tenant_id": TENANT, "operator_id": "alice", "correlation_id": "case-77",
        "tool_sha256": JOB["digest"], "target_urn": "urn:sallyport:sample",
        "descriptor_sha256": world.artifact(JOB["digest"])["descriptor_sha256"],
        "status": "success", "state": "succeeded", "reason": None, "exit_code": 0, "signal": None,
        "limits_hit": [], "argv": ["/usr/bin/yara", "/in/rule.yar", "/in/sample.txt"],
        "stdout": MATCH, "stderr": "", "manifest_jws": token,
        "manifest_sha256": tokens.sha256(tokens.payload_of(token)),
    }
    for stream, text in (("stdout", MATCH), ("stderr", "")):
        whole = tokens.sha256(text.encode())
        expected.update({f"{stream}_sha256": whole, f"{stream}_bytes": len(text), f"{stream}_stored_sha256": whole,
                         f"{stream}_stored_bytes": len(text), f"{stream}_truncated": False})
    for name, value in expected.items():
        assert name in data, f"{name} is missing"
        assert data[name] == value and type(data[name]) is type(value), f"{name}: {data[name]!r}, not {value!r}"
    others = {"policy_decision", "execution_fingerprint", "execution_metadata", "started_at", "finished_at"}
    assert others <= set(data), f"missing: {others - set(data)}"
    assert "stdout_base64" not in data and "stderr_base64" not in data
    decision = data["policy_decision"]
    assert decision["verdict"] == "permit" and decision["kid"] == "soc-1" and decision["alg"] == "ES256", decision
    assert decision["approvals"] == 2 and decision["quorum"] == 2, decision
    assert TIME.match(data["started_at"]) and TIME.match(data["finished_at"]) and event["time"] == data["finished_at"]
    assert manifest["issued_at"] <= data["started_at"] <= data["finished_at"]
    execution = world.execution(JOB["id"])
    assert (execution["started_at"], execution["finished_at"]) == (data["started_at"], data["finished_at"])
    assert execution["event_id"] == event["id"]


def test_the_sandbox_is_named_and_what_held_is_told(world):
    first_job(world)
    metadata = JOB["event"]["data"]["execution_metadata"]
    assert set(metadata) >= {"runtime", "isolation_checks", "limits", "usage", "worker"}, sorted(metadata)
    version = world.db.value("SELECT checks::json ->> 'version' FROM worker LIMIT 1")
    assert metadata["runtime"].startswith("gVisor ") and version in metadata["runtime"], metadata["runtime"]
    checks = metadata["isolation_checks"]
    assert checks["binary_sha256"] == tokens.sha256(pathlib.Path("/usr/bin/runsc").read_bytes())
    assert checks["network"] == "none" and checks["root_read_only"] is True and checks["no_new_privs"] is True, checks
    assert checks["seccomp"] is True and checks["capabilities"] == "none" and checks["uid"] != 0, checks
    assert {"pid", "net", "mnt", "ipc", "uts"} <= set(checks["namespaces"]), checks
    kernel = pathlib.Path("/sys/module/apparmor/parameters/enabled")
    if not kernel.exists() or kernel.read_text(encoding="ascii").strip() != "Y":
        assert checks["apparmor"]["held"] is False and checks["apparmor"]["mode"] == "if_available", checks
        assert checks["apparmor"]["reason"], checks
    limits, usage = metadata["limits"], metadata["usage"]
    for name in ("timeout_seconds", "memory_mib", "pids", "cpu_percent", "tmp_mib"):
        assert isinstance(limits[name], int) and limits[name] > 0, limits
    assert 0 < usage["wall_ms"] < 60000 and usage["output_bytes"] == len(MATCH), usage
    assert metadata["worker"].startswith("worker/"), metadata["worker"]
    started = world.events(JOB["id"])[1]["data"]
    assert started["isolation_checks"] == checks and started["worker"] == metadata["worker"]


def test_the_fingerprint_can_be_computed_by_anyone(world):
    first_job(world)
    data = JOB["event"]["data"]
    assert HEX.match(data["execution_fingerprint"])
    assert data["execution_fingerprint"] == ledger.fingerprint(data)
    for member, other in (("operator_id", "mallory"), ("tool_sha256", "sha256:" + 64 * "0"),
                          ("finished_at", "2020-01-01T00:00:00.000Z"), ("policy_decision", {"verdict": "permit"})):
        assert ledger.fingerprint({**data, member: other}) != data["execution_fingerprint"], f"{member} does not matter"


def test_it_has_a_place_in_the_ledger(world):
    first_job(world)
    world.ledger_is_complete()
    execution = world.execution(JOB["id"])
    index = execution["ledger"]["index"]
    body = world.caller("auditor").get(f"/v1/events/{execution['event_id']}").expect(200).body
    line = world.caller("auditor").get("/v1/ledger/export", **{"from": index, "limit": 1}).expect(200).body
    assert line == body + b"\n"
    tile, place = divmod(index, 256)
    size, _ = ledger.Verifier(pathlib.Path(world.vkey).read_text(encoding="utf-8")).checkpoint(
        world.caller("viewer").get("/v1/ledger/checkpoint").expect(200).text)
    width = min(256, size - tile * 256)
    path = f"/v1/ledger/tile/entries/{tile:03d}" + ("" if width == 256 else f".p/{width}")
    bundle = world.caller("viewer").get(path).expect(200).body
    assert bundle[34 * place:34 * place + 34] == b"\x00\x20" + hashlib.sha256(body).digest()


def test_the_exported_ledger_verifies_by_the_client_and_by_hand(world):
    first_job(world)
    world.ledger_is_complete()
    folder = os.path.join(world.folder, "export")
    world.cli("ledger", "export", folder, caller="auditor")
    done = world.cli("ledger", "verify", folder, "--vkey", world.vkey, "-o", "json", caller=None)
    proof = json.loads(done.stdout)
    lines = pathlib.Path(folder, "events.ndjson").read_bytes().splitlines()
    note = pathlib.Path(folder, "checkpoint").read_text(encoding="utf-8")
    size, root = ledger.Verifier(pathlib.Path(world.vkey).read_text(encoding="utf-8")).checkpoint(note)
    assert size == len(lines) == proof["entries"] and proof["verified"] is True
    assert root == ledger.root([ledger.leaf(ledger.entry_of_line(line)) for line in lines])
    events = [json.loads(line) for line in lines]
    assert events[world.execution(JOB["id"])["ledger"]["index"]] == JOB["event"]
    assert [event["type"] for event in events if event.get("executionid") == JOB["id"]] == [ACCEPTED, STARTED, FINISHED]


def test_history_finds_it_by_what_it_says(world):
    first_job(world)
    viewer = world.caller("viewer")
    execution = world.execution(JOB["id"])
    for name in ("state", "tool_sha256", "operator_id", "task_id", "correlation_id", "source", "action", "target_urn"):
        page = viewer.get("/v1/executions", **{name: execution[name]}).expect(200).json
        assert page == {"items": [execution], "next": None}, f"{name}: {page}"
        other = {"state": "lost", "tool_sha256": "sha256:" + 64 * "0"}.get(name, "urn:no:thing")
        assert viewer.get("/v1/executions", **{name: other}).expect(200).json["items"] == [], name
    for times, found in (({"from": execution["submitted_at"]}, 1), ({"to": execution["submitted_at"]}, 0)):
        assert len(viewer.get("/v1/executions", **times).expect(200).json["items"]) == found, times
    assert viewer.get(f"/v1/executions/{JOB['id']}/manifest").expect(200).text == JOB["token"]
    assert viewer.get(f"/v1/executions/{JOB['id']}/stderr").expect(200).body == b""
    listed = json.loads(world.cli("exec", "list", "-o", "json").stdout)
    assert [item["id"] for item in listed["items"]] == [JOB["id"]]


def test_every_step_before_it_left_an_event(world):
    """The log's own key, tenant, API keys, key, artifact, approvals: the ledger tells who made this job possible."""
    first_job(world)
    world.ledger_is_complete()
    events = wait.until(20, "the events are listed", lambda: world.caller("auditor").get("/v1/events", limit=500).json)
    types = [event["type"].removeprefix("io.sallyport.") for event in events]
    assert types[:3] == ["ledger.key_added.v1", "tenant.created.v1", "apikey.created.v1"], types
    assert types.count("key.added.v1") == 1 and types.count("artifact.ingested.v1") == 1, types
    approvals = [event for event in events if event["type"] == "io.sallyport.artifact.approved.v1"]
    assert sorted(event["data"]["principal"] for event in approvals) == ["approver-1", "approver-2"]
    assert {event["subject"] for event in approvals} == {JOB["digest"]}
