/* SPDX-License-Identifier: Apache-2.0 */
/* One execution in one worker's hands, and what is left when it has ended. */
#pragma once

#include "tests/pg/scene.h"

/* A claimed execution, started or not. */
struct held {
    struct scene_order order;
    struct uuid worker;
    struct claim claim;
};

static inline struct held hold(struct scene *scene, bool started)
{
    struct fault fault;
    struct held held = {.order = scene_order(scene, scene->tenant), .worker = scene_worker(scene)};
    scene_queue(scene, &held.order, "job", 1);
    held.claim = scene_claim(scene, &held.worker);
    if (started)
        assert_ok(scene_start(scene->worker, &held.order, &held.claim, &fault));
    return held;
}

static inline int64_t finished_events(struct scene *scene)
{
    return scene_number(scene,
                        "SELECT count(*) FROM event e JOIN execution x ON x.finished_event_id = "
                        "e.event_id WHERE e.tenant_id = '%s' AND e.type = "
                        "'io.sallyport.execution.finished.v1'",
                        scene->tenant);
}

/* One history row with its event; nothing active, nothing queued. */
static inline void assert_ended(struct scene *scene, const char *end)
{
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM execution WHERE tenant_id = '%s' AND state "
                                  "= '%s'",
                                  scene->tenant, end),
                     1);
    assert_int_equal(finished_events(scene), 1);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM event WHERE tenant_id = '%s' AND type LIKE "
                                  "'%%.finished.v1'",
                                  scene->tenant),
                     1);
    assert_int_equal(scene_number(scene,
                                  "SELECT (SELECT count(*) FROM execution_active WHERE tenant_id = "
                                  "'%s') + (SELECT count(*) FROM execution_queue WHERE tenant_id = "
                                  "'%s')",
                                  scene->tenant, scene->tenant),
                     0);
}
