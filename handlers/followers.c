/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/follower.h"

#include "base/clock.h"
#include "base/log.h"
#include "storage/api_keys.h"
#include "storage/notify.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#define TICK_MS 50  /* between two looks, at least */
#define POLL_MS 250 /* and at most */
#define IDLE_MS 60000
#define TELL_MS 1000 /* the workers, who is followed: they forget it in 3 s */
#define KEYS_MS 5000 /* between two looks at the callers' keys */

struct followers {
    struct pg *pg;
    pthread_t thread;
    int wake_fd;
    pthread_mutex_t mutex; /* guards what follows, and the list's members' parts */
    bool stopping;
    bool joined; /* somebody has, since the last look */
    uint64_t serials;
    size_t count;
    struct follower *list;
};

static void wake(struct followers *hub)
{
    uint64_t one = 1;
    ssize_t written = write(hub->wake_fd, &one, sizeof one);
    (void)written; /* a full counter wakes as well */
}

/* ---- in and out ---- */

/* Mutex held. */
static int check_room(const struct followers *hub, const struct follower *newcomer,
                      struct fault *fault)
{
    size_t tenant = 0, principal = 0;
    for (const struct follower *f = hub->list; f != NULL; f = f->next) {
        bool same = strcmp(f->tenant_id, newcomer->tenant_id) == 0;
        tenant += same;
        principal += same && strcmp(f->principal, newcomer->principal) == 0;
    }
    if (principal >= FOLLOWERS_PRINCIPAL_MAX)
        return fault_set(fault, FAULT_RATE_LIMITED, "follow: at most %d streams a principal",
                         FOLLOWERS_PRINCIPAL_MAX);
    if (tenant >= FOLLOWERS_TENANT_MAX)
        return fault_set(fault, FAULT_RATE_LIMITED, "follow: at most %d streams a tenant",
                         FOLLOWERS_TENANT_MAX);
    if (hub->count >= FOLLOWERS_MAX)
        return fault_set(fault, FAULT_UNAVAILABLE, "too many streams are followed");
    return 0;
}

int followers_join(struct followers *hub, struct follower *follower, struct fault *fault)
{
    (void)pthread_mutex_lock(&hub->mutex);
    int status = check_room(hub, follower, fault);
    if (status == 0) {
        struct follower **end = &hub->list;
        while (*end != NULL)
            end = &(*end)->next;
        *end = follower;
        follower->serial = ++hub->serials;
        hub->count++;
        hub->joined = true;
    }
    (void)pthread_mutex_unlock(&hub->mutex);
    if (status == 0)
        wake(hub);
    return status;
}

/* Its request lives until this returns. */
void followers_leave(void *context)
{
    struct follower *follower = context;
    struct followers *hub = follower->hub;
    (void)pthread_mutex_lock(&hub->mutex);
    struct follower **at = &hub->list;
    while (*at != follower)
        at = &(*at)->next;
    *at = follower->next;
    hub->count--;
    (void)pthread_mutex_unlock(&hub->mutex);
    buf_free(&follower->ahead);
    free(follower);
}

void followers_news(struct follower *follower, struct output_look *ret_look, bool *ret_dead)
{
    (void)pthread_mutex_lock(&follower->hub->mutex);
    *ret_look = follower->look;
    *ret_dead = follower->dead;
    (void)pthread_mutex_unlock(&follower->hub->mutex);
}

/* ---- the thread: looks for all ---- */

/* The followers at one moment, apart from the list: they may leave while the database is asked. */
struct crowd {
    size_t count;
    struct {
        uint64_t serial;
        bool ended;
        char tenant_id[TENANT_ID_MAX + 1];
        char api_key_id[API_KEY_ID_LEN + 1];
    } members[FOLLOWERS_MAX];
    struct output_asked asked[FOLLOWERS_MAX];
};
_Static_assert(FOLLOWERS_MAX <= OUTPUT_ASKED_MAX, "one look is for all");

static void gather(struct followers *hub, struct crowd *crowd)
{
    (void)pthread_mutex_lock(&hub->mutex);
    crowd->count = 0;
    for (const struct follower *f = hub->list; f != NULL; f = f->next) {
        size_t i = crowd->count++;
        crowd->members[i].serial = f->serial;
        crowd->members[i].ended = execution_state_is_end(f->look.state);
        memcpy(crowd->members[i].tenant_id, f->tenant_id, sizeof f->tenant_id);
        memcpy(crowd->members[i].api_key_id, f->api_key_id, sizeof f->api_key_id);
        crowd->asked[i] =
            (struct output_asked){crowd->members[i].tenant_id, f->execution_id, f->stream};
    }
    (void)pthread_mutex_unlock(&hub->mutex);
}

/* Calls `change` for each that is still there, and wakes it where that says so. */
typedef bool crowd_change(struct follower *follower, const void *news, size_t i);

static void tell_all(struct followers *hub, const struct crowd *crowd, crowd_change *change,
                     const void *news)
{
    (void)pthread_mutex_lock(&hub->mutex);
    size_t i = 0;
    for (struct follower *f = hub->list; f != NULL; f = f->next) {
        while (i < crowd->count && crowd->members[i].serial < f->serial)
            i++;
        if (i < crowd->count && crowd->members[i].serial == f->serial && change(f, news, i))
            request_wake(f->request);
    }
    (void)pthread_mutex_unlock(&hub->mutex);
}

static bool take_look(struct follower *follower, const void *news, size_t i)
{
    const struct output_look *now = (const struct output_look *)news + i, *was = &follower->look;
    bool changed = now->stored != was->stored || now->known != was->known ||
                   execution_state_is_end(now->state) != execution_state_is_end(was->state);
    follower->look = *now;
    return changed;
}

static int look(struct followers *hub, const struct crowd *crowd, struct fault *fault)
{
    struct output_look looks[FOLLOWERS_MAX];
    if (outputs_look(hub->pg, crowd->asked, crowd->count, looks, fault) != 0)
        return -1;
    tell_all(hub, crowd, take_look, looks);
    return 0;
}

static bool take_life(struct follower *follower, const void *news, size_t i)
{
    follower->dead = !((const bool *)news)[i];
    return follower->dead;
}

static int check_keys(struct followers *hub, const struct crowd *crowd, struct fault *fault)
{
    const char *ids[FOLLOWERS_MAX];
    bool live[FOLLOWERS_MAX];
    for (size_t i = 0; i < crowd->count; i++)
        ids[i] = crowd->members[i].api_key_id;
    if (api_keys_living(hub->pg, ids, crowd->count, live, fault) != 0)
        return -1;
    tell_all(hub, crowd, take_life, live);
    return 0;
}

static int tell_workers(struct followers *hub, const struct crowd *crowd, struct fault *fault)
{
    struct uuid ids[FOLLOWERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < crowd->count; i++)
        if (!crowd->members[i].ended)
            ids[count++] = crowd->asked[i].id;
    for (size_t at = 0; at < count; at += NOTIFY_IDS_MAX) {
        size_t some = count - at < NOTIFY_IDS_MAX ? count - at : NOTIFY_IDS_MAX;
        if (notify_follow(hub->pg, ids + at, some, fault) != 0)
            return -1;
    }
    return 0;
}

/* When each was done last, on the monotonic clock. */
struct rounds {
    int64_t look_ms, tell_ms, keys_ms;
};

static int go_round(struct followers *hub, const struct crowd *crowd, bool joined,
                    struct rounds *rounds, struct fault *fault)
{
    int64_t now = clock_monotonic_ms();
    if (joined || now - rounds->tell_ms >= TELL_MS) {
        if (tell_workers(hub, crowd, fault) != 0)
            return -1;
        rounds->tell_ms = now;
    }
    if (now - rounds->keys_ms >= KEYS_MS) {
        if (check_keys(hub, crowd, fault) != 0)
            return -1;
        rounds->keys_ms = now;
    }
    return look(hub, crowd, fault);
}

/* True while it goes on. */
static bool collect(struct followers *hub, bool *ret_joined, bool *ret_any)
{
    uint64_t drained;
    ssize_t n = read(hub->wake_fd, &drained, sizeof drained);
    (void)n;
    (void)pthread_mutex_lock(&hub->mutex);
    *ret_joined = hub->joined;
    *ret_any = hub->list != NULL;
    hub->joined = false;
    bool goes_on = !hub->stopping;
    (void)pthread_mutex_unlock(&hub->mutex);
    return goes_on;
}

/* Until there may be something new, but not before the next look is due. */
static void wait_for_news(struct followers *hub, const struct rounds *rounds)
{
    struct fault fault;
    int news =
        pg_wait_notify(hub->pg, hub->wake_fd, rounds->look_ms == 0 ? IDLE_MS : POLL_MS, &fault);
    if (news < 0) {
        log_warn("followers lost the database", "{s:s}", "detail", fault.detail);
        (void)poll(NULL, 0, TELL_MS);
    }
    int64_t left = rounds->look_ms + TICK_MS - clock_monotonic_ms();
    if (left > 0 && left <= TICK_MS)
        (void)poll(NULL, 0, (int)left);
}

static void *followers_main(void *context)
{
    struct followers *hub = context;
    struct rounds rounds = {0};
    bool joined, any;
    while (collect(hub, &joined, &any)) {
        struct fault fault;
        struct crowd crowd;
        rounds.look_ms = any ? clock_monotonic_ms() : 0;
        if (any) {
            gather(hub, &crowd);
            if (go_round(hub, &crowd, joined, &rounds, &fault) != 0)
                log_warn("cannot look for output", "{s:s}", "detail", fault.detail);
        }
        wait_for_news(hub, &rounds);
    }
    return NULL;
}

static void followers_free(struct followers *hub)
{
    if (hub->wake_fd >= 0)
        (void)close(hub->wake_fd);
    (void)pthread_mutex_destroy(&hub->mutex);
    pg_free(hub->pg);
    free(hub);
}

int followers_start(struct gateway *gateway, struct followers **ret_followers, struct fault *fault)
{
    struct followers *hub = calloc(1, sizeof *hub);
    if (hub == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    (void)pthread_mutex_init(&hub->mutex, NULL);
    hub->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int status = hub->wake_fd < 0 ? fault_errno(fault, "eventfd") : 0;
    if (status == 0)
        status = pg_open(gateway->config.database, "api followers", &hub->pg, fault);
    if (status == 0)
        status = pg_listen(hub->pg, NOTIFY_OUTPUT, fault);
    if (status == 0)
        status = pg_listen(hub->pg, NOTIFY_ENDED, fault);
    if (status == 0 && pthread_create(&hub->thread, NULL, followers_main, hub) != 0)
        status = fault_set(fault, FAULT_INTERNAL, "cannot start the followers' thread");
    if (status != 0) {
        followers_free(hub);
        return -1;
    }
    *ret_followers = hub;
    return 0;
}

void followers_stop(struct followers *hub)
{
    if (hub == NULL)
        return;
    (void)pthread_mutex_lock(&hub->mutex);
    hub->stopping = true;
    (void)pthread_mutex_unlock(&hub->mutex);
    wake(hub);
    (void)pthread_join(hub->thread, NULL);
    followers_free(hub);
}
