# SPDX-License-Identifier: Apache-2.0
"""Nothing runs that two people other than its ingester have not approved, as they saw it.

Attack: approving one's own, approving twice, with two keys of one person, with a platform's key, for another
descriptor, for bytes that were never inspected; and telling the database to count otherwise."""

import os
import pathlib

from support import tokens, tools, wait
from support.world import TENANT

OTHER = "globex"


def setup(world):
    world.start("ledger")
    world.start("api")
    world.start("worker")
    world.signer()
    world.caller("admin", OTHER)


def pending(world, salt, **descriptor):
    """A new artifact, inspected, without approvals."""
    return world.tool(salt, approved=False, **descriptor)


def not_approved(world, digest):
    world.submit(world.token("print", "never", tool=digest)).refused(403, "artifact_not_approved")
    world.queue_is_empty()


def runs(world, digest):
    execution, _ = world.run("print", "approved", tool=digest)
    assert execution["state"] == "succeeded", execution


def approvals(world, digest):
    return sorted(approval["principal"] for approval in world.artifact(digest)["approvals"])


def approval_events(world, digest):
    return world.db.count(f"event WHERE type = 'io.sallyport.artifact.approved.v1' AND subject = '{digest}'")


def test_two_other_people_make_it_run(world):
    digest = pending(world, "two")
    artifact = world.artifact(digest)
    assert artifact["state"] == "pending" and artifact["quorum"] == 2 and artifact["ingested_by"] == "publisher"
    assert artifact["descriptor_sha256"] == descriptor_digest(artifact)
    not_approved(world, digest)
    assert world.approve(digest, "approver-1").expect(201).json["state"] == "pending"
    not_approved(world, digest)
    assert world.approve(digest, "approver-2").expect(201).json["state"] == "approved"
    assert approvals(world, digest) == ["approver-1", "approver-2"] and approval_events(world, digest) == 2
    runs(world, digest)


def descriptor_digest(artifact):
    """As the contract states it, over the members in their order."""
    form = {name: artifact["descriptor"][name] for name in ("kind", "entrypoint", "env_allowed", "limits", "name", "version")}
    text = b"sallyport-descriptor-v1\n" + artifact["sha256"][7:].encode() + b"\n" + tokens.payload(form)
    return tokens.sha256(text)


def test_attack_ones_own(world):
    """The admin has every role, and still cannot approve what the same principal ingested."""
    data = tools.variant(world.ground.tool, "own")
    digest = world.push(data, caller="admin").expect(201).json["sha256"]
    world.inspected(digest)
    world.approve(digest, "admin").refused(403, "forbidden")
    second = world.stranger.with_key(world.new_key("admin", TENANT, "approver").json["key"])
    named = world.artifact(digest)["descriptor_sha256"]
    second.post(f"/v1/armory/artifacts/{digest}/approvals",
                {"descriptor_sha256": named, "comment": "my other key"}).refused(403, "forbidden")
    assert approvals(world, digest) == [] and approval_events(world, digest) == 0
    world.approve(digest, "approver-1").expect(201)
    not_approved(world, digest)


def test_attack_the_same_person_twice(world):
    digest = pending(world, "twice")
    world.approve(digest, "approver-1").expect(201)
    world.approve(digest, "approver-1").refused(409, "state_conflict")
    other_key = world.stranger.with_key(world.new_key("approver-1", TENANT, "approver").json["key"])
    named = world.artifact(digest)["descriptor_sha256"]
    other_key.post(f"/v1/armory/artifacts/{digest}/approvals",
                   {"descriptor_sha256": named, "comment": "again"}).refused(409, "state_conflict")
    assert approvals(world, digest) == ["approver-1"] and approval_events(world, digest) == 1
    not_approved(world, digest)


def test_attack_another_descriptor(world):
    digest = pending(world, "descriptor")
    other = pending(world, "descriptor-2")
    for named in ("sha256:" + 64 * "0", world.artifact(other)["descriptor_sha256"], digest):
        world.approve(digest, "approver-1", descriptor_sha256=named).refused(409, "state_conflict")
    world.approve(digest, "approver-1", descriptor_sha256="sha256:short").refused(400, "malformed_request")
    assert approvals(world, digest) == [] and approval_events(world, digest) == 0


def test_attack_without_the_role(world):
    digest = pending(world, "role")
    for caller in ("publisher", "submitter", "viewer", "auditor"):
        world.approve(digest, caller).refused(403, "forbidden")
    named = world.artifact(digest)["descriptor_sha256"]
    theirs = world.caller("approver-1", OTHER)
    theirs.post(f"/v1/armory/artifacts/{digest}/approvals",
                {"descriptor_sha256": named, "comment": "from afar"}).refused(404, "not_found")
    assert approvals(world, digest) == []


def test_attack_a_key_of_the_platform(world):
    """It may look where it names the tenant; it is never one of the four eyes."""
    key_id, text, secret_hash = tokens.api_key_text()
    world.db.sql("INSERT INTO api_key (api_key_id, tenant_id, principal, roles, secret_hash, created_by) VALUES"
                 f" ('{key_id}', NULL, 'platform-root', '{{viewer,approver,publisher,submitter,admin}}', '\\x{secret_hash}', 'operator')")
    platform = world.stranger.with_key(text)
    digest = pending(world, "platform")
    named = world.artifact(digest)["descriptor_sha256"]
    path, body = f"/v1/armory/artifacts/{digest}", b'{"descriptor_sha256":"%s","comment":"I am root"}' % named.encode()
    as_tenant = {"X-Sallyport-Tenant": TENANT}
    who = platform.request("GET", "/v1/whoami", headers=as_tenant).expect(200).json
    assert who["platform"] is True and who["tenant_id"] == TENANT, who
    platform.request("GET", path, headers=as_tenant).expect(200)
    platform.request("GET", path, headers={"X-Sallyport-Tenant": OTHER}).refused(404, "not_found")
    platform.request("GET", path, headers={"X-Sallyport-Tenant": "nobody"}).refused(404, "not_found")
    platform.request("POST", f"{path}/approvals", body, "application/json").refused(400, "malformed_request")
    platform.request("POST", f"{path}/approvals", body, "application/json", as_tenant).refused(403, "forbidden")
    tenants_own = world.caller("viewer")
    tenants_own.request("GET", path, headers={"X-Sallyport-Tenant": OTHER}).refused(403, "forbidden")
    tenants_own.request("GET", path, headers=as_tenant).expect(200)
    assert approvals(world, digest) == []


def test_an_approval_ends_when_it_says(world):
    digest = pending(world, "expires")
    world.approve(digest, "approver-1").expect(201)
    world.approve(digest, "approver-2", expires_at=tokens.time_text(-1)).refused(400, "malformed_request")
    world.approve(digest, "approver-2", expires_at=tokens.time_text(6)).expect(201)
    runs(world, digest)
    wait.until(30, "the approval has expired", lambda: world.artifact(digest)["state"] == "pending")
    not_approved(world, digest)
    world.approve(digest, "approver-3").expect(201)
    runs(world, digest)


def test_the_same_bytes_have_one_descriptor(world):
    data = tools.variant(world.ground.tool, "fixed")
    first = world.push(data, env_allowed=["MODE"]).expect(201)
    assert first.headers["Location"] == f"/v1/armory/artifacts/{first.json['sha256']}", first.headers["Location"]
    again = world.push(data, env_allowed=["MODE"]).expect(200)
    assert again.json["ingested_at"] == first.json["ingested_at"]
    for other in ({"env_allowed": ["MODE", "MORE"]}, {}, {"env_allowed": ["MODE"], "name": "other"},
                  {"env_allowed": ["MODE"], "version": "2"}, {"env_allowed": ["MODE"], "entrypoint": ["/bin/x"]}):
        world.push(data, **other).refused(409, "state_conflict")
    ingested = f"event WHERE type = 'io.sallyport.artifact.ingested.v1' AND subject = '{first.json['sha256']}'"
    assert world.db.count(ingested) == 1
    # Another tenant's copy is another artifact.
    world.push(data, tenant=OTHER, env_allowed=["OTHER"]).expect(201)


def test_what_was_not_inspected_cannot_be_approved(world):
    world.daemons["worker"].stop()
    data = tools.variant(world.ground.tool, "unseen")
    digest = world.push(data).expect(201).json["sha256"]
    assert world.artifact(digest)["state"] == "inspecting"
    world.approve(digest, "approver-1").refused(409, "state_conflict")
    not_approved(world, digest)
    world.daemons["worker"].start().ready()
    assert world.inspected(digest)["state"] == "pending"
    world.approve(digest, "approver-1").expect(201)


def test_what_is_no_program_is_rejected(world):
    dynamic = pathlib.Path("/bin/true").read_bytes()
    for name, data, kind in (("text", b"#!/bin/sh\necho hi\n", "binary"), ("random", os.urandom(5000), "binary"),
                             ("dynamic", dynamic, "binary"), ("cut", world.ground.tool[:200], "binary"),
                             ("no-tar", os.urandom(5000), "rootfs")):
        more = {"entrypoint": ["/bin/x"]} if kind == "rootfs" else {}
        digest = world.push(data, kind=kind, name=name, **more).expect(201).json["sha256"]
        artifact = world.inspected(digest)
        assert artifact["state"] == "rejected" and artifact["reason"], f"{name}: {artifact}"
        world.approve(digest, "approver-1").refused(409, "state_conflict")
        not_approved(world, digest)


def test_attack_the_database_told_to_count_otherwise(world):
    """As the api's own role: the rules are held below it, too."""
    digest = pending(world, "sql")
    named = world.artifact(digest)["descriptor_sha256"]
    key = world.caller("approver-1").key.split("_")[1]
    row = "INSERT INTO artifact_approval (tenant_id, sha256, descriptor_sha256, principal, api_key_id, comment) VALUES"

    def approve(principal, api_key, state):
        world.db.refuses(f"{row} ('{TENANT}', '\\x{digest[7:]}', '\\x{named[7:]}', '{principal}', '{api_key}', 'forged')",
                         state, role="sallyport_api", tenants=[TENANT])
    approve("publisher", world.caller("publisher").key.split("_")[1], "23514")
    approve("approver-2", key, "23514")
    approve("submitter", world.caller("submitter").key.split("_")[1], "23514")
    as_api = {"role": "sallyport_api", "tenants": [TENANT]}
    world.db.refuses("UPDATE tenant SET quorum = 1", "42501", **as_api)
    world.db.refuses("DELETE FROM artifact_approval", "42501", **as_api)
    world.db.refuses(f"UPDATE artifact SET state = 'pending', reason = 'trust me' WHERE sha256 = '\\x{digest[7:]}' AND false", "42501",
                     role="sallyport_ledger")
    world.db.refuses("UPDATE artifact SET descriptor = '{}'", "42501", **as_api)
    inspecting = world.push(tools.variant(world.ground.tool, "sql-2")).expect(201).json["sha256"]
    assert world.inspected(inspecting)["state"] == "pending"
    world.db.refuses(f"UPDATE artifact SET state = 'inspecting' WHERE sha256 = '\\x{inspecting[7:]}'", "23514", **as_api)
    not_approved(world, digest)
