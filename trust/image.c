/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/image.h"

#include "base/json.h"
#include "base/text.h"
#include "trust/env.h"

#include <string.h>

#define PATH_BYTES_MAX 4096
#define ID_MAX 2147483646
#define NAME_START "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define DIGITS "0123456789"

/* The public face first, so that one pointer serves for both. The strings belong to object. */
struct image_store {
    struct image image;
    json_t *object;
    const char *entrypoint[IMAGE_WORDS_MAX], *cmd[IMAGE_WORDS_MAX];
    struct manifest_env env[IMAGE_ENV_MAX];
    struct buf json;
};

void image_free(struct image *image)
{
    struct image_store *store = (struct image_store *)image;
    if (store == NULL)
        return;
    json_decref(store->object);
    buf_free(&store->json);
    free(store);
}

void image_cleanup(struct image **image)
{
    image_free(*image);
}

static int invalid(struct fault *fault, const char *member, const char *expected)
{
    return fault_set(fault, FAULT_ARTIFACT_INVALID, "image.%s: expected %s", member, expected);
}

/* ---- paths ---- */

static bool is_dots(const char *name, size_t len)
{
    return (len == 1 && name[0] == '.') || (len == 2 && memcmp(name, "..", 2) == 0);
}

/* Absolute, of at most PATH_BYTES_MAX bytes, no empty, "." or ".." part; "/" itself is clean. */
static bool path_is_clean(const char *path, size_t len)
{
    if (len == 0 || len > PATH_BYTES_MAX || path[0] != '/' || text_has_control(path, len))
        return false;
    for (size_t at = 1; len > 1 && at <= len; at++) {
        const char *slash = memchr(path + at, '/', len - at);
        size_t part = slash == NULL ? len - at : (size_t)(slash - path) - at;
        if (part == 0 || is_dots(path + at, part))
            return false;
        at += part;
    }
    return true;
}

/* True for what the sandbox mounts something on or keeps for itself, and all that is in it; with
 * `inside`, only for what is in it. */
static bool path_is_covered(const char *path, size_t len, bool inside)
{
    static const char *const folders[] = {"/in", "/tmp", "/run", "/proc", "/dev", "/sys"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        size_t folder = strlen(folders[i]);
        if (len >= folder && memcmp(path, folders[i], folder) == 0 &&
            (len > folder ? path[folder] == '/' : !inside))
            return true;
    }
    return false;
}

static int check_program(const char *member, const char *path, struct fault *fault)
{
    size_t len = strlen(path);
    return path_is_clean(path, len) && len > 1 && !path_is_covered(path, len, false)
               ? 0
               : invalid(fault, member,
                         "a clean absolute path, not below /in, /tmp, /run, /proc, /dev or /sys");
}

static int check_path_variable(const char *list, struct fault *fault)
{
    for (const char *at = list;; at++) {
        size_t len = strcspn(at, ":");
        if (!path_is_clean(at, len) || path_is_covered(at, len, false))
            return invalid(fault, "env.PATH",
                           "clean absolute folders, none of them /in, /tmp, /run, /proc, /dev, "
                           "/sys or below");
        at += len;
        if (*at == '\0')
            return 0;
    }
}

/* ---- members ---- */

static int read_words(const json_t *array, const char *member, const char **ret_words,
                      struct fault *fault)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        ret_words[i] = json_string_value(json_array_get(array, i));
        if (ret_words[i] == NULL)
            return invalid(fault, member, "strings");
    }
    return 0;
}

static bool env_name_is_fine(const char *name)
{
    return text_in_set(name, strlen(name), 1, IMAGE_ENV_NAME_MAX, NAME_START DIGITS) &&
           strchr(NAME_START, name[0]) != NULL;
}

static int read_env(json_t *object, struct image_store *store, struct fault *fault)
{
    const char *name;
    json_t *value;
    if (json_object_size(object) > IMAGE_ENV_MAX)
        return invalid(fault, "env", "at most 128 variables");
    json_object_foreach(object, name, value)
    {
        if (!env_name_is_fine(name))
            return invalid(fault, "env", "names of 1 to 128 of A-Z a-z 0-9 _, the first no digit");
        if (strcmp(name, "PATH") != 0 && env_name_forbidden(name))
            return fault_set(fault, FAULT_ARTIFACT_INVALID, "image.env: %s can never be set", name);
        if (!json_is_string(value))
            return invalid(fault, "env", "strings");
        if (strcmp(name, "PATH") == 0 && check_path_variable(json_string_value(value), fault) != 0)
            return -1;
        store->env[store->image.env_count++] =
            (struct manifest_env){.name = name, .value = json_string_value(value)};
    }
    return 0;
}

/* 1 to ID_MAX: no leading zero, never root. */
static int64_t read_id(const char *text, size_t len)
{
    if (!text_in_set(text, len, 1, 10, DIGITS) || text[0] == '0')
        return -1;
    long long value = strtoll(text, NULL, 10);
    return value <= ID_MAX ? value : -1;
}

static int read_user(const char *text, struct image *image, struct fault *fault)
{
    if (text == NULL)
        return 0;
    size_t user = strcspn(text, ":");
    image->uid = read_id(text, user);
    image->gid = text[user] == '\0' ? 0 : read_id(text + user + 1, strlen(text + user + 1));
    return image->uid > 0 && image->gid >= 0
               ? 0
               : invalid(fault, "user", "uid or uid:gid, neither of them root's");
}

static int check_start(const struct image *image, const char *program, struct fault *fault)
{
    size_t len = strlen(image->working_dir);
    if ((image->entrypoint_count == 0) != (program == NULL))
        return invalid(fault, "program", "the file that entrypoint[0] is");
    if (program != NULL && (check_program("entrypoint[0]", image->entrypoint[0], fault) != 0 ||
                            check_program("program", program, fault) != 0))
        return -1;
    return path_is_clean(image->working_dir, len) && !path_is_covered(image->working_dir, len, true)
               ? 0
               : invalid(fault, "working_dir",
                         "a clean absolute path, not inside /in, /tmp, /run, /proc, /dev or /sys");
}

static int read_members(struct image_store *store, struct fault *fault)
{
    json_t *entrypoint = NULL, *cmd = NULL, *env = NULL;
    const char *user = NULL, *program = NULL;
    struct image *image = &store->image;
    const struct json_field fields[] = {
        {"entrypoint", JSON_KIND_ARRAY, true, 0, IMAGE_WORDS_MAX, &entrypoint},
        {"cmd", JSON_KIND_ARRAY, true, 0, IMAGE_WORDS_MAX, &cmd},
        {"env", JSON_KIND_OBJECT, true, 0, 0, &env},
        {"working_dir", JSON_KIND_STRING, true, 1, PATH_BYTES_MAX, &image->working_dir},
        {"user", JSON_KIND_STRING, false, 1, 32, &user},
        {"program", JSON_KIND_STRING, false, 1, PATH_BYTES_MAX, &program},
    };
    if (json_read(store->object, "image.", fields, ARRAY_LEN(fields), true, FAULT_ARTIFACT_INVALID,
                  fault) != 0 ||
        read_words(entrypoint, "entrypoint", store->entrypoint, fault) != 0 ||
        read_words(cmd, "cmd", store->cmd, fault) != 0 || read_env(env, store, fault) != 0 ||
        read_user(user, image, fault) != 0)
        return -1;
    image->entrypoint = store->entrypoint;
    image->entrypoint_count = json_array_size(entrypoint);
    image->cmd = store->cmd;
    image->cmd_count = json_array_size(cmd);
    image->env = store->env;
    return check_start(image, program, fault);
}

int image_parse(struct span json, struct image **ret_image, struct fault *fault)
{
    if (json.len > IMAGE_JSON_MAX)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "image: longer than %d bytes",
                         IMAGE_JSON_MAX);
    struct image_store *store = calloc(1, sizeof *store);
    AUTO_IMAGE struct image *image = (struct image *)store;
    if (store == NULL)
        return fault_set(fault, FAULT_INTERNAL, "image: no memory");
    store->json = BUF(IMAGE_JSON_MAX);
    if (json_object_parse(json, FAULT_ARTIFACT_INVALID, "image", &store->object, fault) != 0 ||
        read_members(store, fault) != 0)
        return -1;
    json_append(&store->json, store->object);
    if (buf_failed(&store->json))
        return invalid(fault, "json", "at most 65536 bytes");
    image->json = buf_span(&store->json);
    *ret_image = TAKE(image);
    return 0;
}
