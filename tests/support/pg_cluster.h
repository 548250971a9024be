/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fresh, migrated database for one test program. SALLYPORT_TEST_DATABASE, the connection string
 * of a superuser, says in which server; without it a throwaway server of one's own is started on a
 * Unix socket below /tmp. It ends with the program, even if that is killed (only its folder stays
 * behind then). SALLYPORT_TEST_PG_BIN says where its programs are, if not in Debian's place.
 */
#pragma once

#include "storage/pg.h"

struct pg_cluster;
#define AUTO_PG_CLUSTER AUTO(pg_cluster_cleanup)

/* `durable`: a server of one's own flushes its writes, as benches need and tests do not. */
int pg_cluster_open(bool durable, struct pg_cluster **ret_cluster, struct fault *fault) MUST_CHECK;

/* Another fresh database in place of the one so far, whose connections end. Connection strings from
 * before are no longer good. */
int pg_cluster_renew(struct pg_cluster *cluster, struct fault *fault) MUST_CHECK;

/* Drops the database, stops a server of one's own and removes all of it. */
void pg_cluster_free(struct pg_cluster *cluster);
void pg_cluster_cleanup(struct pg_cluster **cluster);

/* The connection string of a role ("sallyport_api"; NULL: the superuser). Owned by the cluster. */
const char *pg_cluster_conninfo(struct pg_cluster *cluster, const char *role);

/* Connects as a role. */
int pg_cluster_connect(struct pg_cluster *cluster, const char *role, struct pg **ret_pg,
                       struct fault *fault) MUST_CHECK;

/* Ends every other session of the database, as a crash or a failing network does. */
int pg_cluster_disconnect_all(struct pg_cluster *cluster, struct fault *fault) MUST_CHECK;
