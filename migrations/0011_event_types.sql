-- SPDX-License-Identifier: Apache-2.0
-- Who may say what, once more: the ledger process now speaks of the log itself, and a worker of a result that came after
-- its execution had been called lost. A build of the version before still runs on this.
SET LOCAL ROLE sallyport_owner;

DROP POLICY api_writes ON sallyport.event;
CREATE POLICY api_writes ON sallyport.event FOR INSERT TO sallyport_api
    WITH CHECK (tenant_id = ANY (sallyport.tenants()) AND
                type NOT IN ('io.sallyport.execution.started.v1', 'io.sallyport.execution.finished.v1',
                             'io.sallyport.execution.result_late.v1', 'io.sallyport.artifact.inspected.v1',
                             'io.sallyport.events.expired.v1', 'io.sallyport.ledger.key_added.v1',
                             'io.sallyport.ledger.key_retired.v1', 'io.sallyport.ledger.reopened.v1'));
DROP POLICY worker_writes ON sallyport.event;
CREATE POLICY worker_writes ON sallyport.event FOR INSERT TO sallyport_worker
    WITH CHECK (type IN ('io.sallyport.execution.started.v1', 'io.sallyport.execution.finished.v1',
                         'io.sallyport.execution.result_late.v1', 'io.sallyport.artifact.inspected.v1'));
CREATE POLICY ledger_writes ON sallyport.event FOR INSERT TO sallyport_ledger
    WITH CHECK (type IN ('io.sallyport.events.expired.v1', 'io.sallyport.ledger.key_added.v1',
                         'io.sallyport.ledger.key_retired.v1', 'io.sallyport.ledger.reopened.v1'));
GRANT INSERT ON sallyport.event TO sallyport_ledger;

-- What is nobody's in particular, of the log itself, has the empty tenant; everybody may read it.
DROP POLICY read ON sallyport.event;
CREATE POLICY read ON sallyport.event FOR SELECT TO sallyport_api, sallyport_read
    USING (tenant_id = ANY (sallyport.tenants()) OR tenant_id = '');
COMMENT ON COLUMN sallyport.event.tenant_id IS 'whose it is; empty: of the log itself, for everybody to read';
