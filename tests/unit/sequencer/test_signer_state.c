/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the signer's memory is read strictly, and evidence outlives everything. */
#include "sequencer/signer_state.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define ORIGIN "ledger.test/log"

struct place {
    char folder[64];
    char path[96];
};

static int setup(void **state)
{
    static struct place place;
    (void)snprintf(place.folder, sizeof place.folder, "/tmp/sallyport-state.XXXXXX");
    if (mkdtemp(place.folder) == NULL)
        return -1;
    (void)snprintf(place.path, sizeof place.path, "%s/state", place.folder);
    *state = &place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    struct fault fault;
    return dir_remove(place->folder, &fault);
}

static struct signer_state state_of(uint64_t size)
{
    struct signer_state state = {.origin = ORIGIN};
    struct fault fault;
    for (uint64_t i = 0; i < size; i++) {
        struct digest leaf = merkle_leaf(&i, sizeof i);
        assert_int_equal(merkle_range_append(&state.range, &leaf, &fault), 0);
    }
    return state;
}

static void assert_same(const struct signer_state *a, const struct signer_state *b)
{
    assert_string_equal(a->origin, b->origin);
    assert_int_equal(a->range.size, b->range.size);
    assert_memory_equal(a->range.hashes, b->range.hashes,
                        merkle_range_count(a->range.size) * sizeof a->range.hashes[0]);
}

static void test_what_is_written_is_read(void **state)
{
    struct place *place = *state;
    static const uint64_t sizes[] = {0, 1, 2, 3, 255, 256, 1023};
    struct fault fault;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct signer_state written = state_of(sizes[i]), read;
        assert_int_equal(signer_state_write(place->path, &written, &fault), 0);
        assert_int_equal(signer_state_read(place->path, ORIGIN, &read, &fault), 0);
        assert_same(&written, &read);
    }
    struct stat stat_;
    assert_int_equal(stat(place->path, &stat_), 0);
    assert_int_equal(stat_.st_mode & 0777, 0600);
}

static void test_a_size_near_the_end_of_numbers(void **state)
{
    struct place *place = *state;
    struct fault fault;
    struct signer_state written = {.origin = ORIGIN, .range.size = MERKLE_SIZE_MAX}, read;
    for (size_t i = 0; i < MERKLE_RANGE_MAX; i++)
        written.range.hashes[i] = merkle_leaf(&i, sizeof i);
    assert_int_equal(signer_state_write(place->path, &written, &fault), 0);
    assert_int_equal(signer_state_read(place->path, ORIGIN, &read, &fault), 0);
    assert_same(&written, &read);
}

/* A key of this name, whatever it is. */
static struct note_verifier verifier_of(const char *origin, uint8_t seed_byte)
{
    struct fault fault;
    uint8_t seed[NOTE_SEED_LEN] = {seed_byte};
    AUTO_NOTE_SIGNER struct note_signer *key = NULL;
    assert_int_equal(note_signer_new(origin, seed, &key, &fault), 0);
    return *note_signer_verifier(key);
}

static void leave(struct signer_state *state, const char *origin, uint64_t size, size_t keys)
{
    struct signer_log *log = &state->previous.logs[state->previous.count++];
    (void)snprintf(log->origin, sizeof log->origin, "%s", origin);
    log->size = size;
    for (; log->verifier_count < keys; log->verifier_count++)
        log->verifiers[log->verifier_count] =
            verifier_of(origin, (uint8_t)(1 + log->verifier_count));
    state->previous.root = merkle_leaf("root", 4);
    state->previous.event_id = uuid_v7();
}

/* Of as many names as there may be, as long as they may be. */
static void test_a_reopened_log_s_state(void **state)
{
    struct place *place = *state;
    struct fault fault;
    struct signer_state written = state_of(1023), read;
    for (size_t i = 0; i < SIGNER_PREVIOUS_MAX; i++) {
        char origin[CHECKPOINT_ORIGIN_MAX + 1];
        memset(origin, 'a' + (int)i, sizeof origin - 1);
        origin[sizeof origin - 1] = '\0';
        leave(&written, origin, i, i % 2 == 0 ? SIGNER_KEYS_MAX : 1);
        assert_int_equal(signer_state_write(place->path, &written, &fault), 0);
        assert_int_equal(signer_state_read(place->path, NULL, &read, &fault), 0);
        assert_same(&written, &read);
        assert_int_equal(read.previous.count, i + 1);
        const struct signer_log *log = signer_previous_latest(&read.previous);
        assert_string_equal(log->origin, origin);
        assert_int_equal(log->size, i);
        assert_memory_equal(log->verifiers, written.previous.logs[i].verifiers,
                            log->verifier_count * sizeof log->verifiers[0]);
        assert_true(signer_previous_has(&read.previous, origin));
        assert_false(signer_previous_has(&read.previous, ORIGIN));
        assert_memory_equal(&read.previous.event_id, &written.previous.event_id,
                            sizeof read.previous.event_id);
    }
}

static void assert_opens(const struct signer_previous *previous, const char *origin,
                         uint8_t seed_byte, uint64_t size, bool opens)
{
    struct fault fault;
    uint8_t seed[NOTE_SEED_LEN] = {seed_byte};
    struct checkpoint checkpoint;
    struct digest root = merkle_leaf("x", 1);
    AUTO_NOTE_SIGNER struct note_signer *key = NULL;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    assert_int_equal(note_signer_new(origin, seed, &key, &fault), 0);
    const struct note_signer *keys[] = {key};
    assert_int_equal(checkpoint_init(&checkpoint, origin, size, &root, &fault), 0);
    assert_int_equal(checkpoint_sign(&checkpoint, keys, 1, &note, &fault), 0);
    int status = signer_previous_open(previous, buf_span(&note), &checkpoint, &fault);
    assert_int_equal(status, opens ? 0 : -1);
    if (!opens)
        assert_int_equal(fault.code, FAULT_CONTENT_MISMATCH);
}

/* A checkpoint of a log that was left counts as far as that log was kept, by its own keys. */
static void test_checkpoints_of_what_was_before(void **state)
{
    (void)state;
    struct signer_state two = {.origin = ORIGIN};
    leave(&two, "first", 100, 2);
    leave(&two, "second", 300, 1);
    assert_true(signer_previous_covers(&two.previous, 300));
    assert_false(signer_previous_covers(&two.previous, 301));
    assert_opens(&two.previous, "first", 1, 100, true);
    assert_opens(&two.previous, "first", 2, 1, true);
    assert_opens(&two.previous, "first", 1, 101, false);
    assert_opens(&two.previous, "first", 3, 100, false);
    assert_opens(&two.previous, "second", 1, 300, true);
    assert_opens(&two.previous, "second", 2, 300, false);
    assert_opens(&two.previous, "second", 1, 301, false);
    assert_opens(&two.previous, ORIGIN, 1, 100, false);
    const struct signer_previous none = {.count = 0};
    assert_false(signer_previous_covers(&none, 0));
    assert_opens(&none, "first", 1, 1, false);
}

static void test_no_file(void **state)
{
    struct place *place = *state;
    struct fault fault;
    struct signer_state read;
    assert_int_equal(signer_state_read(place->path, ORIGIN, &read, &fault), -1);
    assert_int_equal(fault.code, FAULT_NOT_FOUND);
}

static void put(const char *path, const char *text)
{
    struct fault fault;
    assert_int_equal(file_replace(path, text, strlen(text), 0600, &fault), 0);
}

#define PETER "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define EMPTY_ROOT "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define LEAF "sha256:6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"

static void test_what_is_no_state_is_refused(void **state)
{
    struct place *place = *state;
    static const char *const texts[] = {
        "",
        "\n",
        "null",
        "[]",
        "{}",
        "{\"version\":1}",
        /* another version, a member too many, one too few */
        "{\"version\":2,\"origin\":\"" ORIGIN "\",\"size\":0,\"root\":\"" EMPTY_ROOT
        "\",\"frontier\":[]}",
        "{\"version\":1,\"origin\":\"" ORIGIN "\",\"size\":0,\"root\":\"" EMPTY_ROOT
        "\",\"frontier\":[],\"more\":1}",
        "{\"version\":1,\"origin\":\"" ORIGIN "\",\"size\":0,\"frontier\":[]}",
    /* a past that is none */
#define WITH_PAST(past)                                                                            \
    "{\"version\":1,\"origin\":\"" ORIGIN "\",\"size\":0,\"root\":\"" EMPTY_ROOT                   \
    "\",\"frontier\":[],\"previous\":" past "}"
#define WITH_LOG(log)                                                                              \
    WITH_PAST("{\"logs\":[" log "],\"root\":\"" EMPTY_ROOT                                         \
              "\",\"event_id\":\"01890000-0000-7000-8000-000000000001\"}")
        WITH_PAST("[]"),
        WITH_PAST("{}"),
        WITH_LOG(""),
        WITH_LOG("1"),
        WITH_LOG("{\"origin\":\"a\",\"size\":1}"),
        WITH_LOG("{\"origin\":\"a\",\"vkeys\":[],\"size\":1}"),
        WITH_LOG("{\"origin\":\"a\",\"vkeys\":[1],\"size\":1}"),
        WITH_LOG("{\"origin\":\"a\",\"vkeys\":[\"a+00000000+AA==\"],\"size\":1}"),
        WITH_LOG("{\"origin\":\"a\",\"vkeys\":[\"" PETER "\"],\"size\":1}"),
        WITH_LOG("{\"origin\":\"PeterNeumann\",\"vkeys\":[\"" PETER "\"],\"size\":-1}"),
        WITH_LOG("{\"origin\":\"PeterNeumann\",\"vkeys\":[\"" PETER "\"],\"size\":1,\"more\":1}"),
        WITH_PAST("{\"logs\":[{\"origin\":\"PeterNeumann\",\"vkeys\":[\"" PETER
                  "\"],\"size\":1}],\"root\":\"" EMPTY_ROOT "\",\"event_id\":\"x\"}"),
        /* doubled member, trailing bytes */
        "{\"version\":1,\"origin\":\"" ORIGIN "\",\"size\":0,\"size\":0,\"root\":\"" EMPTY_ROOT
        "\",\"frontier\":[]}",
        "{\"version\":1,\"origin\":\"" ORIGIN "\",\"size\":0,\"root\":\"" EMPTY_ROOT
        "\",\"frontier\":[]}{}",
        /* size and frontier that do not fit */
        "{\"version\":1,\"origin\":\"" ORIGIN "\",\"size\":-1,\"root\":\"" EMPTY_ROOT
        "\",\"frontier\":[]}",
        "{\"version\":1,\"origin\":\"" ORIGIN "\",\"size\":1,\"root\":\"" LEAF
        "\",\"frontier\":[]}",
        "{\"version\":1,\"origin\":\"" ORIGIN "\",\"size\":1,\"root\":\"" LEAF
        "\",\"frontier\":[\"" LEAF "\",\"" LEAF "\"]}",
        "{\"version\":1,\"origin\":\"" ORIGIN "\",\"size\":3,\"root\":\"" LEAF
        "\",\"frontier\":[\"" LEAF "\"]}",
        "{\"version\":1,\"origin\":\"" ORIGIN "\",\"size\":1,\"root\":\"" LEAF
        "\",\"frontier\":[1]}",
        "{\"version\":1,\"origin\":\"" ORIGIN "\",\"size\":1.0,\"root\":\"" LEAF
        "\",\"frontier\":[\"" LEAF "\"]}",
        /* a root that is not the frontier's */
        "{\"version\":1,\"origin\":\"" ORIGIN "\",\"size\":0,\"root\":\"" LEAF
        "\",\"frontier\":[]}",
        "{\"version\":1,\"origin\":\"" ORIGIN "\",\"size\":1,\"root\":\"" EMPTY_ROOT
        "\",\"frontier\":[\"" LEAF "\"]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct fault fault;
        struct signer_state read;
        put(place->path, texts[i]);
        assert_int_equal(signer_state_read(place->path, ORIGIN, &read, &fault), -1);
        assert_int_equal(fault.code, FAULT_STATE_CONFLICT);
        assert_non_null(strstr(fault.detail, place->path));
    }
}

/* The good neighbour of all of the above. */
static void test_the_form_is_this(void **state)
{
    struct place *place = *state;
    struct fault fault;
    struct signer_state read;
    put(place->path, "{\"version\":1,\"origin\":\"" ORIGIN "\",\"size\":1,\"root\":\"" LEAF
                     "\",\"frontier\":[\"" LEAF "\"]}\n");
    assert_int_equal(signer_state_read(place->path, ORIGIN, &read, &fault), 0);
    assert_int_equal(read.range.size, 1);
    struct digest leaf = merkle_leaf("", 0);
    assert_memory_equal(read.range.hashes, leaf.bytes, DIGEST_LEN);
}

static void test_the_state_of_another_log_is_refused(void **state)
{
    struct place *place = *state;
    struct fault fault;
    struct signer_state written = state_of(5), read;
    assert_int_equal(signer_state_write(place->path, &written, &fault), 0);
    assert_int_equal(signer_state_read(place->path, "ledger.test/other", &read, &fault), -1);
    assert_int_equal(fault.code, FAULT_STATE_CONFLICT);
    assert_non_null(strstr(fault.detail, "ledger.test/other"));
}

static void test_a_file_too_large_is_not_read(void **state)
{
    struct place *place = *state;
    static char text[100000];
    struct fault fault;
    struct signer_state read;
    memset(text, ' ', sizeof text - 1);
    put(place->path, text);
    assert_int_equal(signer_state_read(place->path, ORIGIN, &read, &fault), -1);
    assert_int_equal(fault.code, FAULT_TOO_LARGE);
}

static void test_a_write_that_fails_leaves_the_old_state(void **state)
{
    struct place *place = *state;
    struct fault fault;
    struct signer_state written = state_of(3), next = state_of(4), read;
    char nowhere[128];
    (void)snprintf(nowhere, sizeof nowhere, "%s/absent/state", place->folder);
    assert_int_equal(signer_state_write(nowhere, &written, &fault), -1);
    assert_int_equal(signer_state_write(place->path, &written, &fault), 0);
    /* Its name is taken by a folder: nothing can be renamed onto that. */
    (void)snprintf(nowhere, sizeof nowhere, "%s/folder", place->folder);
    assert_int_equal(mkdir(nowhere, 0700), 0);
    assert_int_equal(signer_state_write(nowhere, &next, &fault), -1);
    assert_int_equal(signer_state_read(place->path, ORIGIN, &read, &fault), 0);
    assert_same(&written, &read);
}

static void test_evidence_is_kept_and_the_first_word_stays(void **state)
{
    struct place *place = *state;
    struct fault fault;
    char path[128];
    const struct signer_evidence evidence = {
        .problem = "the \"first\" problem",
        .signed_size = 7,
        .found_size = 9,
        .computed_size = 8,
        .signed_root = merkle_leaf("s", 1),
        .found_root = merkle_leaf("f", 1),
        .computed_root = merkle_leaf("c", 1),
    };
    struct signer_evidence other = evidence;
    other.problem = "another";
    (void)snprintf(path, sizeof path, "%s.evidence", place->path);
    assert_int_equal(signer_evidence_check(place->path, &fault), 0);
    assert_int_equal(signer_evidence_keep(place->path, ORIGIN, &evidence, &fault), 0);
    assert_int_equal(signer_evidence_keep(place->path, ORIGIN, &other, &fault), 0);
    assert_int_equal(signer_evidence_check(place->path, &fault), -1);
    assert_int_equal(fault.code, FAULT_STATE_CONFLICT);
    assert_non_null(strstr(fault.detail, path));
    AUTO_BUF struct buf text = BUF(4096);
    assert_int_equal(file_read(path, &text, &fault), 0);
    assert_non_null(strstr(buf_text(&text), "the \\\"first\\\" problem"));
    assert_null(strstr(buf_text(&text), "another"));
    assert_non_null(strstr(buf_text(&text), "\"signed\":{\"size\":7,\"root\":\"sha256:"));
    assert_non_null(strstr(buf_text(&text), "\"database\":{\"size\":9,\"root\":\"sha256:"));
    assert_non_null(strstr(buf_text(&text), "\"computed\":{\"size\":8,\"root\":\"sha256:"));
    assert_non_null(strstr(buf_text(&text), digest_format(&evidence.found_root).text));
    assert_non_null(strstr(buf_text(&text), "\"time\":\"2"));
}

int main(void)
{
#define STATE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STATE_TEST(test_what_is_written_is_read),
        STATE_TEST(test_a_size_near_the_end_of_numbers),
        STATE_TEST(test_a_reopened_log_s_state),
        STATE_TEST(test_checkpoints_of_what_was_before),
        STATE_TEST(test_no_file),
        STATE_TEST(test_what_is_no_state_is_refused),
        STATE_TEST(test_the_form_is_this),
        STATE_TEST(test_the_state_of_another_log_is_refused),
        STATE_TEST(test_a_file_too_large_is_not_read),
        STATE_TEST(test_a_write_that_fails_leaves_the_old_state),
        STATE_TEST(test_evidence_is_kept_and_the_first_word_stays),
    };
    return cmocka_run_group_tests_name("signer_state", tests, NULL, NULL);
}
