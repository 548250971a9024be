/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/start.h"

#include "base/json.h"
#include "unpack/user.h"

#include <string.h>

#define WORDS_MAX 256
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* What is found, each owned. */
struct start {
    json_t *entrypoint, *cmd, *env;
    char *working_dir;
    char *program; /* the file entrypoint[0] is, links followed; NULL where there is none */
    int64_t uid, gid;
};

static void start_free(struct start *start)
{
    json_decref(start->entrypoint);
    json_decref(start->cmd);
    json_decref(start->env);
    free(start->working_dir);
    free(start->program);
}

static int refuse(struct fault *fault, const char *member, const char *why)
{
    return fault_set(fault, FAULT_ARTIFACT_INVALID, "config.%s: %.150s", member, why);
}

static int no_memory(struct fault *fault)
{
    return fault_set(fault, FAULT_INTERNAL, "out of memory");
}

/* ---- members; null is as if absent ---- */

static const json_t *member(const json_t *config, const char *name)
{
    const json_t *value = json_object_get(config, name);
    return json_is_null(value) ? NULL : value;
}

static int read_words(const json_t *config, const char *name, json_t **ret_words,
                      struct fault *fault)
{
    const json_t *value = member(config, name);
    if (value != NULL && (!json_is_array(value) || json_array_size(value) > WORDS_MAX))
        return refuse(fault, name, "expected an array of at most 256 strings");
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!json_is_string(json_array_get(value, i)))
            return refuse(fault, name, "expected strings");
    }
    *ret_words = value == NULL ? json_array() : json_deep_copy(value);
    return *ret_words == NULL ? no_memory(fault) : 0;
}

static int read_text(const json_t *config, const char *name, const char **ret_text,
                     struct fault *fault)
{
    const json_t *value = member(config, name);
    if (value != NULL && !json_is_string(value))
        return refuse(fault, name, "expected a string");
    *ret_text = value == NULL ? "" : json_string_value(value);
    return 0;
}

static int read_env(const json_t *config, struct start *start, struct fault *fault)
{
    AUTO_JSON json_t *words = NULL;
    if (read_words(config, "Env", &words, fault) != 0)
        return -1;
    start->env = json_object();
    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));
        const char *equals = strchr(word, '=');
        AUTO_FREE char *name = equals == NULL ? NULL : strndup(word, (size_t)(equals - word));
        if (equals == NULL || equals == word)
            return refuse(fault, "Env", "expected NAME=value");
        if (json_object_get(start->env, name) != NULL)
            return refuse(fault, "Env", "a name that is there twice");
        if (json_object_set_new(start->env, name, json_string(equals + 1)) != 0)
            return no_memory(fault);
    }
    return start->env == NULL ? no_memory(fault) : 0;
}

static int read_working_dir(const json_t *config, struct place *place, struct start *start,
                            struct fault *fault)
{
    const char *text;
    char path[PLACE_PATH_MAX + 1], straight[PLACE_PATH_MAX + 1];
    struct stat stat;
    if (read_text(config, "WorkingDir", &text, fault) != 0)
        return -1;
    if (*text != '\0' && *text != '/')
        return refuse(fault, "WorkingDir", "expected an absolute path");
    if (place_clean(text + strspn(text, "/"), path, fault) != 0 ||
        place_resolve(place, path, true, straight, fault) != 0 ||
        place_look(place, straight, &stat, fault) != 0)
        return -1;
    if (stat.st_mode != 0 && !S_ISDIR(stat.st_mode))
        return refuse(fault, "WorkingDir", "it is no folder in the image");
    if (stat.st_mode == 0 && place_folder(place, straight, fault) != 0)
        return -1;
    if (asprintf(&start->working_dir, "/%s", path) < 0) {
        start->working_dir = NULL;
        return no_memory(fault);
    }
    return 0;
}

static int read_user(const json_t *config, const struct place *place, struct start *start,
                     struct fault *fault)
{
    const char *text;
    return read_text(config, "User", &text, fault) != 0 ||
                   user_resolve(place, text, &start->uid, &start->gid, fault) != 0
               ? -1
               : 0;
}

/* ---- the program ---- */

/* What folder/name is, links followed; *ret_program stays NULL where it cannot be executed. */
static int try_program(const struct place *place, const char *folder, const char *name,
                       char **ret_path, char **ret_program, struct fault *fault)
{
    AUTO_FREE char *joined = NULL;
    char path[PLACE_PATH_MAX + 1], straight[PLACE_PATH_MAX + 1];
    struct stat stat;
    if (asprintf(&joined, "%s/%s", folder, name) < 0) {
        joined = NULL;
        return no_memory(fault);
    }
    if (place_clean(joined + strspn(joined, "/"), path, fault) != 0 ||
        place_resolve(place, path, true, straight, fault) != 0 ||
        place_look(place, straight, &stat, fault) != 0)
        return -1;
    if (!S_ISREG(stat.st_mode) || (stat.st_mode & 0111) == 0)
        return 0;
    AUTO_FREE char *found = NULL;
    AUTO_FREE char *program = NULL;
    if (asprintf(&found, "/%s", path) < 0 || asprintf(&program, "/%s", straight) < 0)
        return no_memory(fault);
    *ret_path = TAKE(found);
    *ret_program = TAKE(program);
    return 0;
}

static int search_path(const struct place *place, const struct start *start, const char *name,
                       char **ret_path, char **ret_program, struct fault *fault)
{
    const char *list = json_string_value(json_object_get(start->env, "PATH"));
    for (const char *at = list == NULL ? DEFAULT_PATH : list;; at++) {
        size_t len = strcspn(at, ":");
        AUTO_FREE char *folder = strndup(at, len);
        if (folder == NULL)
            return no_memory(fault);
        /* others are refused by the worker, who judges the whole of PATH */
        if (*folder == '/' && try_program(place, folder, name, ret_path, ret_program, fault) != 0)
            return -1;
        at += len;
        if (*ret_program != NULL || *at == '\0')
            return 0;
    }
}

/* Element 0 becomes an absolute path. */
static int find_program(const struct place *place, struct start *start, struct fault *fault)
{
    const char *name = json_string_value(json_array_get(start->entrypoint, 0));
    AUTO_FREE char *path = NULL;
    if (name == NULL)
        return 0;
    if (*name == '\0')
        return refuse(fault, "Entrypoint", "the program has no name");
    int result = strchr(name, '/') == NULL
                     ? search_path(place, start, name, &path, &start->program, fault)
                     : try_program(place, *name == '/' ? "" : start->working_dir, name, &path,
                                   &start->program, fault);
    if (result != 0)
        return -1;
    if (path == NULL)
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "config.Entrypoint: no program %.150s in the image", name);
    return json_array_set_new(start->entrypoint, 0, json_string(path)) == 0 ? 0 : no_memory(fault);
}

/* Without an Entrypoint the first element of Cmd is the program: what a manifest adds takes the
 * place of the others, and never names the program. */
static int split_cmd(struct start *start, struct fault *fault)
{
    if (json_array_size(start->entrypoint) > 0 || json_array_size(start->cmd) == 0)
        return 0;
    return json_array_append(start->entrypoint, json_array_get(start->cmd, 0)) == 0 &&
                   json_array_remove(start->cmd, 0) == 0
               ? 0
               : no_memory(fault);
}

/* ---- telling ---- */

static int append_json(const struct start *start, struct buf *ret_json, struct fault *fault)
{
    char user[48] = "";
    if (start->gid > 0)
        (void)snprintf(user, sizeof user, "%lld:%lld", (long long)start->uid,
                       (long long)start->gid);
    else
        (void)snprintf(user, sizeof user, "%lld", (long long)start->uid);
    AUTO_JSON json_t *object =
        json_pack("{s:O, s:O, s:O, s:s, s:s*, s:s*}", "entrypoint", start->entrypoint, "cmd",
                  start->cmd, "env", start->env, "working_dir", start->working_dir, "user",
                  start->uid > 0 ? user : NULL, "program", start->program);
    if (object == NULL)
        return no_memory(fault);
    json_append(ret_json, object);
    return buf_failed(ret_json)
               ? fault_set(fault, FAULT_ARTIFACT_INVALID,
                           "config: how the image starts takes more than %d bytes", START_JSON_MAX)
               : 0;
}

int start_describe(const json_t *config, struct place *place, struct buf *ret_json,
                   struct fault *fault)
{
    AUTO(start_free) struct start start = {0};
    const json_t *inner = member(config, "config");
    if (inner != NULL && !json_is_object(inner))
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "config.config: expected an object");
    if (read_words(inner, "Entrypoint", &start.entrypoint, fault) != 0 ||
        read_words(inner, "Cmd", &start.cmd, fault) != 0 || read_env(inner, &start, fault) != 0 ||
        read_working_dir(inner, place, &start, fault) != 0 ||
        read_user(inner, place, &start, fault) != 0 || split_cmd(&start, fault) != 0 ||
        find_program(place, &start, fault) != 0)
        return -1;
    return append_json(&start, ret_json, fault);
}
