# SPDX-License-Identifier: Apache-2.0
"""What a tenant asks to know of its tools, it knows before they run: an SBOM, a vulnerability report, and no finding
worse than it allows; and who approved, approved what is attached now.

Attack: approving what was replaced meanwhile; a report nobody can read; one of nothing but brackets; a summary of one's own."""

import hashlib
import json
import pathlib
import threading

from support import client, tokens
from support.world import TENANT, TOP

DATA = TOP / "tests" / "data" / "documents"
ATTACHED, APPROVED, CHANGED = (f"io.sallyport.{name}.v1" for name in ("artifact.attached", "artifact.approved", "tenant.changed"))


def setup(world):
    world.start_all()
    world.signer()


def document(name):
    return (DATA / name).read_bytes()


def report(*severities):
    """A report of Grype with such findings."""
    matches = [{"vulnerability": {"id": f"CVE-2026-{number}", "severity": severity},
                "artifact": {"name": "libx", "version": "1"}} for number, severity in enumerate(severities)]
    return json.dumps({"matches": matches, "descriptor": {"name": "grype", "version": "0.74.1"}}).encode()


def put(world, digest, kind, data, caller="publisher", content_type="application/json", **query):
    path = client.target(f"/v1/armory/artifacts/{digest}/{kind}", **query)
    return world.caller(caller).request("PUT", path, data, content_type)


def policy(world, **wishes):
    flags = [word for name, value in wishes.items() for word in (f"--{name.replace('_', '-')}", value)]
    world.sallyportd("tenant", "--database", world.db.conninfo(), "--tenant", TENANT, *flags)


def no_policy(world):
    policy(world, require_sbom="off", require_report="off", max_severity="any")


def events(world, kind, subject):
    """The data of such events, oldest first, as they were committed."""
    rows = world.db.sql("SELECT convert_from(body, 'UTF8') FROM event"
                        f" WHERE type = '{kind}' AND subject = '{subject}' ORDER BY event_id")
    return [json.loads(row[0])["data"] for row in rows]


def refused_because(world, digest, words):
    problem = world.submit(world.token("print", "never", tool=digest)).refused(403, "artifact_not_approved")
    assert words in problem["detail"], problem
    world.queue_is_empty()


def standing(world, digest):
    artifact = world.artifact(digest)
    return artifact["state"], artifact["lacks"], artifact["round"]


def approve_twice(world, digest):
    for approver in ("approver-1", "approver-2"):
        answer = world.approve(digest, approver).expect(201)
    return answer.json


def test_nothing_runs_without_what_the_tenant_asks_for(world):
    digest = world.tool("policy", approved=False)
    policy(world, require_sbom="on", require_report="on", max_severity="high")
    assert approve_twice(world, digest)["state"] == "pending"
    assert standing(world, digest) == ("pending", "sbom", 0)
    refused_because(world, digest, "lacks the sbom")
    first = put(world, digest, "sbom", document("spdx-2.3.json")).expect(201).json
    assert [(a["round"], a["counts"], a["void"]) for a in first["approvals"]] == [(0, False, "earlier_round")] * 2
    assert standing(world, digest) == ("pending", "report", 1)
    refused_because(world, digest, "lacks the report")
    put(world, digest, "report", report("Low", "High")).expect(201)
    assert standing(world, digest) == ("pending", None, 2)
    refused_because(world, digest, "0 of 2 approvals")
    assert approve_twice(world, digest)["state"] == "approved"
    execution, _ = world.run("print", "approved", tool=digest)
    assert execution["state"] == "succeeded", execution
    put(world, digest, "report", report("Critical")).expect(201)
    assert approve_twice(world, digest)["state"] == "pending"
    assert standing(world, digest) == ("pending", "severity", 3)
    refused_because(world, digest, "worse than its tenant allows")
    put(world, digest, "report", report("Unknown")).expect(201)
    assert standing(world, digest) == ("pending", "severity", 4)
    put(world, digest, "report", report("Medium")).expect(201)
    refused_because(world, digest, "0 of 2 approvals")
    assert approve_twice(world, digest)["state"] == "approved"
    execution, _ = world.run("print", "again", tool=digest)
    assert execution["state"] == "succeeded", execution
    every_change_is_an_event(world, digest)
    no_policy(world)


def every_change_is_an_event(world, digest):
    told = [(e["kind"], e["round"], e["voided"], e["principal"]) for e in events(world, ATTACHED, digest)]
    assert told == [("sbom", 1, 2, "publisher"), ("report", 2, 0, "publisher"), ("report", 3, 2, "publisher"),
                    ("report", 4, 2, "publisher"), ("report", 5, 0, "publisher")], told
    assert len(events(world, APPROVED, digest)) == 8
    first = events(world, ATTACHED, digest)[0]
    assert first["document_sha256"] == tokens.sha256(document("spdx-2.3.json")) and first["sha256"] == digest
    assert first["descriptor_sha256"] == world.artifact(digest)["descriptor_sha256"]
    assert first["format"] == "spdx" and first["summary"]["components"] == 3, first
    changed = events(world, CHANGED, TENANT)[-1]
    assert changed == {"tenant_id": TENANT, "require_sbom": True, "require_report": True, "max_severity": "high"}, changed
    world.ledger_is_complete()


def test_a_job_that_waits_is_judged_again_at_its_start(world):
    """Accepted with an approved tool; by the time it starts the approvals are void."""
    digest = world.tool("waits")
    world.daemons["worker"].stop()
    execution_id = world.accept("print", "never", tool=digest)
    put(world, digest, "report", report("High")).expect(201)
    world.daemons["worker"].start().ready()
    execution = world.ended(execution_id)
    assert (execution["state"], execution["reason"]) == ("refused", "artifact_not_approved"), execution


def test_documents_are_given_back_byte_for_byte(world):
    digest = world.tool("bytes", approved=False)
    shown = world.artifact(digest)
    assert shown["documents"] == {"sbom": None, "report": None} and shown["round"] == 0 and shown["lacks"] is None
    for kind in ("sbom", "report"):
        world.caller("viewer").get(f"/v1/armory/artifacts/{digest}/{kind}").refused(404, "not_found")
    files = [("sbom", "spdx-2.3.json", "spdx", "application/spdx+json"),
             ("sbom", "cyclonedx-1.5.json", "cyclonedx", "application/vnd.cyclonedx+json"),
             ("report", "grype.json", "grype", "application/json"), ("report", "trivy.json", "trivy", "application/json"),
             ("report", "sarif.json", "sarif", "application/sarif+json")]
    for number, (kind, name, form, media_type) in enumerate(files, 1):
        data = document(name)
        put(world, digest, kind, data, content_type=media_type, sha256=tokens.sha256(data)).expect(201)
        answer = world.caller("viewer").get(f"/v1/armory/artifacts/{digest}/{kind}").expect(200)
        assert answer.body == data and answer.media_type == media_type, (answer.media_type, len(answer.body))
        assert answer.headers["ETag"] == f'"sha256:{hashlib.sha256(data).hexdigest()}"'
        artifact = world.artifact(digest)
        held = artifact["documents"][kind]
        assert held["sha256"] == tokens.sha256(data) and held["format"] == held["summary"]["format"] == form
        assert held["attached_by"] == "publisher" and artifact["round"] == number
    again = put(world, digest, "report", data).expect(200).json
    assert again["round"] == len(files) and len(events(world, ATTACHED, digest)) == len(files)
    assert artifact["documents"]["report"]["summary"]["counts"]["critical"] == 3
    pages = world.caller("viewer").get("/v1/armory/artifacts", limit=500).expect(200).json["items"]
    listed = {item["sha256"]: item for item in pages}
    assert listed[digest]["documents"] == artifact["documents"] and listed[digest]["round"] == len(files)


def test_what_is_no_document_is_refused(world):
    digest = world.tool("refused", approved=False)
    good = document("spdx-2.3.json")
    invalid = [("sbom", b"", ""), ("sbom", b"{}", "SPDX"), ("sbom", document("grype.json"), "SPDX"),
               ("report", good, "SARIF"), ("report", b"\x00", "NUL"), ("report", report("Low")[:-1], "JSON"),
               ("report", b'{"matches":[{}],"descriptor":{"name":"grype"}}', "matches[0].vulnerability"),
               ("report", b'{"matches":[' + b"{}," * 500000 + b"{}]}", "objects and arrays")]
    for kind, data, words in invalid:
        problem = put(world, digest, kind, data).refused(422, "artifact_invalid")
        assert words in problem["detail"], problem
    put(world, digest, "sbom", good, content_type="text/plain").refused(415, "unsupported_media_type")
    put(world, digest, "sbom", good, content_type="application/sarif+json").refused(415, "unsupported_media_type")
    put(world, digest, "sbom", good, content_type="application/vnd.cyclonedx+json").refused(415, "unsupported_media_type")
    put(world, digest, "sbom", good, sha256=64 * "0").refused(422, "content_mismatch")
    put(world, digest, "sbom", good, sha256="short").refused(400, "malformed_request")
    put(world, digest, "sbom", good, summary="mine").refused(400, "unknown_parameter")
    put(world, digest, "sbom", b" " * (4 * 1024 * 1024 + 1)).refused(413, "too_large")
    put(world, 64 * "0", "sbom", good).refused(404, "not_found")
    for caller in ("viewer", "submitter", "approver-1", "auditor"):
        put(world, digest, "sbom", good, caller=caller).refused(403, "forbidden")
    assert standing(world, digest) == ("pending", None, 0) and events(world, ATTACHED, digest) == []


def test_only_while_it_can_still_be_approved(world):
    rejected = world.push(b"no program at all", name="text").expect(201).json["sha256"]
    assert world.inspected(rejected)["state"] == "rejected"
    put(world, rejected, "sbom", document("spdx-2.3.json")).refused(409, "state_conflict")
    assert world.artifact(rejected)["round"] == 0


def test_an_approval_is_for_what_was_seen(world):
    digest = world.tool("seen", approved=False)
    sbom, first, second = document("cyclonedx-1.5.json"), report("Low"), report("High")
    put(world, digest, "sbom", sbom).expect(201)
    put(world, digest, "report", first).expect(201)
    seen = {"sbom_sha256": tokens.sha256(sbom), "report_sha256": tokens.sha256(first)}
    put(world, digest, "report", second).expect(201)
    world.approve(digest, "approver-1", **seen).refused(409, "state_conflict")
    world.approve(digest, "approver-1", report_sha256=None).refused(409, "state_conflict")
    for odd in (7, "", "sha256:short", []):
        world.approve(digest, "approver-1", report_sha256=odd).refused(400, "malformed_request")
    now = {**seen, "report_sha256": tokens.sha256(second)}
    assert world.approve(digest, "approver-1", **now).expect(201).json["approvals"][-1]["counts"] is True
    told = events(world, APPROVED, digest)
    assert len(told) == 1 and {name: told[0][name] for name in now} == now, told
    world.approve(digest, "approver-1", **now).refused(409, "state_conflict")


def test_attack_approvals_and_documents_at_once(world):
    """Whatever order they come in, no approval counts for a document that its approver did not name."""
    digest = world.tool("race", approved=False)
    put(world, digest, "report", report("Low")).expect(201)
    for turn in range(10):
        seen = world.artifact(digest)["documents"]["report"]["sha256"]
        threads = [threading.Thread(target=world.approve, args=(digest, name), kwargs={"report_sha256": seen})
                   for name in ("approver-1", "approver-2", "approver-3")]
        threads.append(threading.Thread(target=put, args=(world, digest, "report", report("Low", *["High"] * (turn + 1)))))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        artifact = world.artifact(digest)
        assert artifact["round"] == turn + 2 and artifact["state"] == "pending", artifact
        assert not any(approval["counts"] for approval in artifact["approvals"]), artifact["approvals"]
    attached = events(world, ATTACHED, digest)
    assert sum(event["voided"] for event in attached) == len(events(world, APPROVED, digest))


def test_the_client_attaches_announces_and_names(world):
    digest = world.tool("client", approved=False)
    sbom = pathlib.Path(world.folder) / "sbom.json"
    sbom.write_bytes(document("spdx-2.3.json"))
    wrong = pathlib.Path(world.folder) / "wrong.json"
    wrong.write_bytes(b"{}")
    said = world.cli("armory", "attach", digest, "--sbom", str(sbom), caller="publisher").stdout
    assert tokens.sha256(document("spdx-2.3.json")) in said, said
    world.cli("armory", "attach", digest, "--sbom", str(wrong), caller="publisher", expect=2)
    world.cli("armory", "attach", digest, caller="publisher", expect=2)
    world.cli("armory", "attach", digest, "--sbom", str(sbom), "--report", str(sbom), caller="publisher", expect=2)
    world.cli("armory", "attach", digest, "--sbom", str(sbom), caller="viewer", expect=4)
    given = world.cli("armory", "document", digest, "sbom", caller="viewer").stdout
    assert given.encode() == document("spdx-2.3.json")
    world.cli("armory", "document", digest, "report", caller="viewer", expect=3)
    world.cli("armory", "document", digest, "licence", caller="viewer", expect=2)
    announced = world.cli("armory", "approve", digest, "--comment", "read it", caller="approver-1").stderr
    assert "hash-tool-1.4.0" in announced and "report      -" in announced, announced
    told = events(world, APPROVED, digest)[0]
    assert told["sbom_sha256"] == tokens.sha256(document("spdx-2.3.json")) and told["report_sha256"] is None, told
    shown = world.cli("armory", "show", digest, caller="viewer").stdout
    assert '"components":3' in shown and "approver-1" in shown, shown


def test_a_policy_that_is_none_is_refused(world):
    for flag, value in (("--require-sbom", "yes"), ("--require-report", "1"), ("--max-severity", "unknown"),
                        ("--max-severity", "High")):
        done = world.run_program("sallyportd", "tenant", "--database", world.db.conninfo(), "--tenant", TENANT, flag, value)
        assert done.returncode != 0 and flag[2:] in done.stderr, done.stderr
