-- SPDX-License-Identifier: Apache-2.0
-- What is read together: active and ended executions as one, and the few counts that no tenant bounds.
SET LOCAL ROLE sallyport_owner;

CREATE VIEW sallyport.execution_all WITH (security_invoker = true) AS
    SELECT execution_id, tenant_id, state, reason, exit_code, signal, submitted_at, started_at, finished_at, worker,
           task_id, operator_id, correlation_id, source, action, target_urn, tool_sha256, manifest_sha256,
           stdout_bytes, stderr_bytes, usage, token, accepted_event_id, started_event_id, finished_event_id
      FROM sallyport.execution
    UNION ALL
    SELECT execution_id, tenant_id, state, NULL, NULL, NULL, submitted_at, started_at, NULL, worker,
           task_id, operator_id, correlation_id, source, action, target_urn, tool_sha256, manifest_sha256,
           NULL, NULL, NULL, token, accepted_event_id, started_event_id, NULL
      FROM sallyport.execution_active;
COMMENT ON VIEW sallyport.execution_all IS 'every execution, whatever its state; newest first by execution_id, a UUIDv7';
GRANT SELECT ON sallyport.execution_all TO sallyport_api, sallyport_worker, sallyport_read;

-- How full the queue is, counted no further than asked.
CREATE FUNCTION sallyport.queue_depth(at_most bigint) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = sallyport, pg_temp
BEGIN ATOMIC
    SELECT count(*) FROM (SELECT FROM sallyport.execution_queue LIMIT at_most) q;
END;
GRANT EXECUTE ON FUNCTION sallyport.queue_depth(bigint) TO sallyport_api, sallyport_worker;

-- Removes uploads that nobody has touched for an hour; at most a hundred a call.
CREATE FUNCTION sallyport.blobs_sweep() RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = sallyport, pg_temp
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM sallyport.blob WHERE blob_id IN (
            SELECT blob_id FROM sallyport.blob
             WHERE completed_at IS NULL AND touched_at < now() - interval '1 hour'
             ORDER BY touched_at LIMIT 100 FOR UPDATE SKIP LOCKED)
        RETURNING 1)
    SELECT count(*) FROM gone;
END;
GRANT EXECUTE ON FUNCTION sallyport.blobs_sweep() TO sallyport_api;
