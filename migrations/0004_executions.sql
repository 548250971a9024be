-- SPDX-License-Identifier: Apache-2.0
-- Executions. Admission writes three small rows (nonce, active, queue); the indexed history row is
-- inserted once, at the end, and the first two hot ones go.
SET LOCAL ROLE sallyport_owner;

CREATE TABLE sallyport.execution_nonce (
    tenant_id    text NOT NULL,
    nonce        text NOT NULL CHECK (octet_length(nonce) BETWEEN 8 AND 128),
    token_sha256 bytea NOT NULL CHECK (octet_length(token_sha256) = 32),
    execution_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, nonce)
);
COMMENT ON TABLE sallyport.execution_nonce IS 'nonces spent by acceptance, for ever; also finds the execution of a known token';
COMMENT ON COLUMN sallyport.execution_nonce.token_sha256 IS 'SHA-256 of the JWS signing input';
CALL sallyport.isolate('sallyport.execution_nonce');
CALL sallyport.append_only('sallyport.execution_nonce');
GRANT SELECT, INSERT ON sallyport.execution_nonce TO sallyport_api;
-- The worker starts only what spent its nonce: a taken-over api cannot have a token run again.
GRANT SELECT ON sallyport.execution_nonce TO sallyport_worker;

CREATE TABLE sallyport.execution_active (
    execution_id        uuid PRIMARY KEY,
    tenant_id           text NOT NULL,
    state               text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running')),
    submitted_at        timestamptz NOT NULL,
    started_at          timestamptz,
    cancel_requested_at timestamptz,
    worker              text,
    task_id             text NOT NULL,
    operator_id         text NOT NULL,
    correlation_id      text NOT NULL,
    source              text NOT NULL,
    action              text NOT NULL,
    target_urn          text NOT NULL,
    tool_sha256         bytea NOT NULL CHECK (octet_length(tool_sha256) = 32),
    manifest_sha256     bytea NOT NULL CHECK (octet_length(manifest_sha256) = 32),
    api_key_id          text NOT NULL,
    kid                 text NOT NULL,
    token               text NOT NULL CHECK (octet_length(token) <= 131072),
    traceparent         text,
    accepted_event_id   uuid NOT NULL,
    started_event_id    uuid,
    CHECK ((state = 'running') = (started_at IS NOT NULL)),
    CHECK ((state = 'running') = (started_event_id IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
COMMENT ON COLUMN sallyport.execution_active.token IS 'the exact compact JWS; the worker proves it again';
CALL sallyport.isolate('sallyport.execution_active');
GRANT SELECT, INSERT (execution_id, tenant_id, submitted_at, task_id, operator_id, correlation_id, source, action,
      target_urn, tool_sha256, manifest_sha256, api_key_id, kid, token, traceparent, accepted_event_id)
    ON sallyport.execution_active TO sallyport_api;
GRANT SELECT, DELETE, UPDATE (state, started_at, worker, started_event_id) ON sallyport.execution_active TO sallyport_worker;
GRANT SELECT ON sallyport.execution_active TO sallyport_read;

CREATE TABLE sallyport.worker (
    worker_id        uuid PRIMARY KEY,
    node             text NOT NULL CHECK (octet_length(node) BETWEEN 1 AND 128),
    slots            integer NOT NULL CHECK (slots BETWEEN 1 AND 1024),
    version          text NOT NULL,
    checks           text NOT NULL CHECK (octet_length(checks) <= 65536),
    started_at       timestamptz NOT NULL DEFAULT now(),
    lease_expires_at timestamptz NOT NULL
);
COMMENT ON TABLE sallyport.worker IS 'one row a worker incarnation; its lease covers all it has claimed';
GRANT SELECT, INSERT, DELETE, UPDATE (lease_expires_at) ON sallyport.worker TO sallyport_worker;
GRANT SELECT ON sallyport.worker TO sallyport_api, sallyport_read;

CREATE SEQUENCE sallyport.fence;
GRANT USAGE ON SEQUENCE sallyport.fence TO sallyport_worker;

CREATE TABLE sallyport.execution_queue (
    execution_id uuid PRIMARY KEY,
    tenant_id    text NOT NULL,
    worker_id    uuid,
    fence        bigint,
    CHECK ((worker_id IS NULL) = (fence IS NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200,
        autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE sallyport.execution_queue IS 'the hot queue: claimed rows name their worker and a fencing token; a row goes when its execution ends';
CALL sallyport.isolate('sallyport.execution_queue');
GRANT SELECT, INSERT (execution_id, tenant_id) ON sallyport.execution_queue TO sallyport_api;
GRANT SELECT, DELETE, UPDATE (worker_id, fence) ON sallyport.execution_queue TO sallyport_worker;

CREATE TABLE sallyport.execution (
    execution_id      uuid PRIMARY KEY,
    tenant_id         text NOT NULL,
    state             text NOT NULL CHECK (state IN ('succeeded', 'failed', 'timed_out', 'out_of_memory',
                                                     'cancelled', 'lost', 'refused')),
    reason            text CHECK (octet_length(reason) <= 1024),
    exit_code         integer,
    signal            integer,
    submitted_at      timestamptz NOT NULL,
    started_at        timestamptz,
    finished_at       timestamptz NOT NULL,
    worker            text,
    task_id           text NOT NULL,
    operator_id       text NOT NULL,
    correlation_id    text NOT NULL,
    source            text NOT NULL,
    action            text NOT NULL,
    target_urn        text NOT NULL,
    tool_sha256       bytea NOT NULL,
    manifest_sha256   bytea NOT NULL,
    api_key_id        text NOT NULL,
    kid               text NOT NULL,
    token             text NOT NULL,
    stdout_bytes      bigint NOT NULL DEFAULT 0,
    stderr_bytes      bigint NOT NULL DEFAULT 0,
    usage             text CHECK (octet_length(usage) <= 4096),
    accepted_event_id uuid NOT NULL,
    started_event_id  uuid,
    finished_event_id uuid NOT NULL,
    CHECK (state <> 'succeeded' OR exit_code = 0),
    CHECK (started_at IS NOT NULL OR state IN ('cancelled', 'refused'))
);
COMMENT ON TABLE sallyport.execution IS 'history: one row an ended execution, inserted in the transaction of its finished event';
CREATE INDEX execution_tenant ON sallyport.execution (tenant_id, execution_id);
CALL sallyport.isolate('sallyport.execution');
CALL sallyport.append_only('sallyport.execution');
GRANT SELECT ON sallyport.execution TO sallyport_api, sallyport_read;
GRANT SELECT, INSERT ON sallyport.execution TO sallyport_worker;

CREATE TABLE sallyport.execution_output (
    execution_id uuid NOT NULL,
    stream       text NOT NULL CHECK (stream IN ('stdout', 'stderr')),
    n            integer NOT NULL CHECK (n >= 0),
    tenant_id    text NOT NULL,
    data         bytea NOT NULL CHECK (octet_length(data) BETWEEN 1 AND 1048576),
    PRIMARY KEY (execution_id, stream, n)
);
CALL sallyport.isolate('sallyport.execution_output');
GRANT SELECT ON sallyport.execution_output TO sallyport_api, sallyport_read;
GRANT SELECT, INSERT ON sallyport.execution_output TO sallyport_worker;
