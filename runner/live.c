/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/live.h"

#include "base/clock.h"
#include "base/log.h"
#include "storage/notify.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PIECE_MAX ((size_t)64 * 1024) /* a chunk; a round is OUTPUT_CHUNKS_MAX of them at most */
#define FOLLOWED_MAX 1024             /* executions, also those that run elsewhere or not yet */
#define IDLE_MS 1000
#define RETRY_MS 1000

struct followed {
    struct uuid id;
    int64_t until_ms;
};

struct live {
    struct pg *pg;
    pthread_t thread;
    int wake_fd;
    pthread_mutex_t mutex; /* guards what follows */
    bool stopping;
    struct tap *taps;
    struct followed followed[FOLLOWED_MAX];
};

static const char *const stream_names[SANDBOX_STREAMS] = {
    [SANDBOX_STDOUT] = "stdout",
    [SANDBOX_STDERR] = "stderr",
};

static void wake(struct live *live)
{
    uint64_t one = 1;
    ssize_t written = write(live->wake_fd, &one, sizeof one);
    (void)written; /* a full counter wakes as well */
}

/* ---- who is followed ---- */

/* Mutex held. The place of this id, or of one that was said longest ago. */
static struct followed *place_of(struct live *live, const struct uuid *id)
{
    struct followed *oldest = &live->followed[0];
    for (size_t i = 0; i < FOLLOWED_MAX; i++) {
        struct followed *at = &live->followed[i];
        if (uuid_equal(&at->id, id))
            return at;
        if (at->until_ms < oldest->until_ms)
            oldest = at;
    }
    return oldest;
}

static void follow(struct tap *tap, int64_t until_ms)
{
    tap->followed_until_ms = until_ms;
    if (!atomic_exchange(&tap->followed, true))
        atomic_store(&tap->news, true); /* what it has written so far */
}

static void hear(void *context, const char *channel, const char *payload)
{
    struct live *live = context;
    (void)channel;
    struct uuid ids[NOTIFY_IDS_MAX];
    size_t count = notify_ids(payload, ids);
    int64_t until_ms = clock_monotonic_ms() + FOLLOWED_MS;
    (void)pthread_mutex_lock(&live->mutex);
    for (size_t i = 0; i < count; i++) {
        *place_of(live, &ids[i]) = (struct followed){ids[i], until_ms};
        for (struct tap *tap = live->taps; tap != NULL; tap = tap->next)
            if (uuid_equal(&tap->claim.execution_id, &ids[i]))
                follow(tap, until_ms);
    }
    (void)pthread_mutex_unlock(&live->mutex);
}

/* ---- runs ---- */

void live_enter(struct live *live, const struct claim *claim, struct tap *tap)
{
    *tap = (struct tap){.live = live, .claim = *claim};
    output_watch_begin(&tap->watch);
    (void)pthread_mutex_lock(&live->mutex);
    const struct followed *place = place_of(live, &claim->execution_id);
    if (uuid_equal(&place->id, &claim->execution_id) && place->until_ms > clock_monotonic_ms())
        follow(tap, place->until_ms);
    tap->next = live->taps;
    live->taps = tap;
    (void)pthread_mutex_unlock(&live->mutex);
}

void live_sink(void *context, enum sandbox_stream stream, uint64_t offset, const void *data,
               size_t len)
{
    struct tap *tap = context;
    (void)stream, (void)offset, (void)data, (void)len;
    if (atomic_load(&tap->followed) && !atomic_exchange(&tap->news, true))
        wake(tap->live);
}

bool live_leave(struct tap *tap)
{
    struct live *live = tap->live;
    (void)pthread_mutex_lock(&live->mutex);
    struct tap **at = &live->taps;
    while (*at != tap)
        at = &(*at)->next;
    *at = tap->next;
    (void)pthread_mutex_unlock(&live->mutex);
    output_watch_end(&tap->watch); /* looked at under the lock only */
    return tap->tried;
}

/* ---- a round ---- */

struct round {
    size_t count;
    bool more; /* than fit */
    struct output_chunk chunks[OUTPUT_CHUNKS_MAX];
    enum sandbox_stream streams[OUTPUT_CHUNKS_MAX];
    struct buf data[OUTPUT_CHUNKS_MAX];
    bool stored[OUTPUT_CHUNKS_MAX];
};

static void round_free(struct round *round)
{
    for (size_t i = 0; i < round->count; i++)
        buf_free(&round->data[i]);
}

/* The next bytes of a stream; those that were tried before, if their answer is not known. */
static void gather_stream(struct tap *tap, enum sandbox_stream stream, struct round *round)
{
    size_t at = tap->streams[stream].stored, pending = tap->streams[stream].pending;
    struct buf data = BUF(pending > 0 ? pending : PIECE_MAX);
    output_watch_read(&tap->watch, stream, at, &data);
    if (buf_failed(&data) || data.len == 0 || (pending > 0 && data.len != pending)) {
        buf_free(&data); /* the run is over: its end stores the rest */
        return;
    }
    tap->tried = true;
    tap->streams[stream].pending = data.len;
    round->more |= data.len == PIECE_MAX;
    round->streams[round->count] = stream;
    round->data[round->count] = data;
    round->chunks[round->count++] = (struct output_chunk){.claim = tap->claim,
                                                          .stream = stream_names[stream],
                                                          .at = (int32_t)at,
                                                          .data = buf_span(&data)};
}

/* What is new, of as many runs as fit; those that did not are first the next time. */
static void gather(struct live *live, struct round *round)
{
    (void)pthread_mutex_lock(&live->mutex);
    int64_t now = clock_monotonic_ms();
    struct tap *served = NULL, **served_end = &served;
    while (live->taps != NULL && round->count + SANDBOX_STREAMS <= OUTPUT_CHUNKS_MAX) {
        struct tap *tap = live->taps;
        live->taps = tap->next;
        tap->next = NULL;
        *served_end = tap;
        served_end = &tap->next;
        if (tap->followed_until_ms <= now)
            atomic_store(&tap->followed, false);
        if (!atomic_load(&tap->followed) || tap->broken || !atomic_exchange(&tap->news, false))
            continue;
        for (int stream = 0; stream < SANDBOX_STREAMS; stream++)
            gather_stream(tap, stream, round);
    }
    round->more |= live->taps != NULL;
    struct tap **end = &live->taps;
    while (*end != NULL)
        end = &(*end)->next;
    *end = served;
    (void)pthread_mutex_unlock(&live->mutex);
}

/* Mutex held. */
static struct tap *tap_of(struct live *live, const struct claim *claim)
{
    struct tap *tap = live->taps;
    while (tap != NULL && (tap->claim.fence != claim->fence ||
                           !uuid_equal(&tap->claim.execution_id, &claim->execution_id)))
        tap = tap->next;
    return tap;
}

/* Takes down what has become of each chunk; false if some are to be tried again. */
static bool note(struct live *live, const struct round *round, bool broken)
{
    bool all = true;
    (void)pthread_mutex_lock(&live->mutex);
    for (size_t i = 0; i < round->count; i++) {
        struct tap *tap = tap_of(live, &round->chunks[i].claim);
        if (tap == NULL)
            continue;
        if (round->stored[i]) {
            tap->streams[round->streams[i]].stored += round->data[i].len;
            tap->streams[round->streams[i]].pending = 0;
            if (round->data[i].len == PIECE_MAX)
                atomic_store(&tap->news, true);
            continue;
        }
        all = false;
        tap->broken |= broken;
        atomic_store(&tap->news, true);
    }
    (void)pthread_mutex_unlock(&live->mutex);
    return all;
}

/* One by one, so that one which the database does not take holds up none of the others. */
static void write_each(struct live *live, struct round *round)
{
    for (size_t i = 0; i < round->count; i++) {
        struct fault fault;
        if (outputs_write_live(live->pg, &round->chunks[i], 1, &round->stored[i], &fault) == 0)
            continue;
        round->stored[i] = false;
        log_warn("live output was not taken", "{s:s, s:s}", "execution_id",
                 uuid_format(&round->chunks[i].claim.execution_id).text, "detail", fault.detail);
    }
}

static void announce(struct live *live)
{
    static const char *const channels[] = {NOTIFY_OUTPUT, NULL};
    struct fault ignored;
    (void)!notify_send(live->pg, channels, &ignored);
}

/* Stores what is new. Returns in how many milliseconds the next round is due, -1 for none before
 * there is news. */
static int store(struct live *live)
{
    AUTO(round_free) struct round round = {0};
    struct fault fault;
    gather(live, &round);
    if (round.count == 0)
        return round.more ? 0 : -1;
    bool broken = false;
    if (outputs_write_live(live->pg, round.chunks, round.count, round.stored, &fault) != 0) {
        broken = fault.code == FAULT_INTERNAL;
        log_warn("cannot store live output", "{s:s}", "detail", fault.detail);
        if (broken)
            write_each(live, &round);
    }
    bool all = note(live, &round, broken);
    if (all || broken)
        announce(live);
    if (!all)
        return RETRY_MS;
    return round.more ? 0 : -1;
}

/* ---- the thread ---- */

/* Takes the wake-ups; true if there are news of a followed run. */
static bool has_news(struct live *live, bool *ret_stopping)
{
    bool news = false;
    uint64_t drained;
    ssize_t n = read(live->wake_fd, &drained, sizeof drained);
    (void)n;
    (void)pthread_mutex_lock(&live->mutex);
    *ret_stopping = live->stopping;
    for (const struct tap *tap = live->taps; tap != NULL && !news; tap = tap->next)
        news = atomic_load(&tap->followed) && atomic_load(&tap->news) && !tap->broken;
    (void)pthread_mutex_unlock(&live->mutex);
    return news;
}

static void *live_main(void *context)
{
    struct live *live = context;
    int64_t due_ms = 0; /* no round before */
    for (bool stopping = false;;) {
        struct fault fault;
        bool news = has_news(live, &stopping);
        if (stopping)
            return NULL;
        int64_t now = clock_monotonic_ms();
        if (news && now >= due_ms) {
            int next = store(live);
            due_ms = clock_monotonic_ms() + (next < 0 ? LIVE_MS : next);
            continue;
        }
        int wait = news ? (int)(due_ms - now) : IDLE_MS;
        if (pg_wait_heard(live->pg, live->wake_fd, wait, hear, live, &fault) < 0)
            (void)poll(&(struct pollfd){.fd = live->wake_fd, .events = POLLIN}, 1, RETRY_MS);
    }
}

static void live_free(struct live *live)
{
    if (live->wake_fd >= 0)
        (void)close(live->wake_fd);
    (void)pthread_mutex_destroy(&live->mutex);
    pg_free(live->pg);
    free(live);
}

int live_start(const char *database, struct live **ret_live, struct fault *fault)
{
    struct live *live = calloc(1, sizeof *live);
    if (live == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    (void)pthread_mutex_init(&live->mutex, NULL);
    live->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int status = live->wake_fd < 0 ? fault_errno(fault, "eventfd") : 0;
    if (status == 0)
        status = pg_open(database, "worker live", &live->pg, fault);
    if (status == 0)
        status = pg_listen(live->pg, NOTIFY_FOLLOW, fault);
    if (status == 0 && pthread_create(&live->thread, NULL, live_main, live) != 0)
        status = fault_set(fault, FAULT_INTERNAL, "cannot start the thread of live output");
    if (status != 0) {
        live_free(live);
        return -1;
    }
    *ret_live = live;
    return 0;
}

void live_stop(struct live *live)
{
    if (live == NULL)
        return;
    (void)pthread_mutex_lock(&live->mutex);
    live->stopping = true;
    (void)pthread_mutex_unlock(&live->mutex);
    wake(live);
    (void)pthread_join(live->thread, NULL);
    live_free(live);
}
