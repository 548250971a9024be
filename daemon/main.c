/* SPDX-License-Identifier: Apache-2.0 */
/* sallyportd: three daemons and two tools over one database. */
#include "daemon/roles.h"

#include "base/file.h"
#include "base/log.h"
#include "trust/verify.h"
#include "trust/wrap.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

/* The one mutable global: a signal handler has no other way to reach anything. */
static volatile sig_atomic_t stop_signals;
static int stop_event_fd = -1;

static void on_stop(int signal_number)
{
    int error = errno;
    if (++stop_signals > 1)
        _exit(128 + signal_number); /* asked twice: at once */
    uint64_t one = 1;
    ssize_t written = write(stop_event_fd, &one, sizeof one);
    (void)written;
    errno = error;
}

static int watch_signals(struct fault *fault)
{
    stop_event_fd = eventfd(0, EFD_CLOEXEC);
    if (stop_event_fd < 0)
        return fault_errno(fault, "eventfd");
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (sigaction(SIGTERM, &stop, NULL) != 0 || sigaction(SIGINT, &stop, NULL) != 0 ||
        sigaction(SIGPIPE, &ignore, NULL) != 0)
        return fault_errno(fault, "sigaction");
    return 0;
}

int failed(const char *what, const struct fault *fault)
{
    log_error(what, "{s:s, s:s}", "code", fault_name(fault->code), "detail", fault->detail);
    return 1;
}

void wait_readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (poll(&wait, 1, -1) < 0 && errno == EINTR)
        ;
}

int read_master_key(const struct settings *settings, struct master_key *ret_key, bool *ret_set,
                    struct fault *fault)
{
    *ret_set = settings->master_key[0] != '\0';
    if (!*ret_set)
        return 0;
    AUTO_BUF struct buf text = BUF(256);
    int status = file_read_secret(settings->master_key, &text, fault);
    if (status == 0)
        status = master_key_parse(buf_span(&text), ret_key, fault);
    if (text.data != NULL)
        OPENSSL_cleanse(text.data, text.cap);
    return status;
}

static int read_engine(const char *name, const char *value, enum verify_engine *ret_engine,
                       struct fault *fault)
{
    if (strcmp(value, "openssl") != 0 && strcmp(value, "libjwt") != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s: expected openssl or libjwt", name);
    *ret_engine = strcmp(value, "openssl") == 0 ? VERIFY_EVP : VERIFY_LIBJWT;
    return 0;
}

int read_verify_policy(const struct settings *settings, struct verify_policy *ret_policy,
                       struct fault *fault)
{
    if (read_engine("verify-asymmetric", settings->verify_asymmetric, &ret_policy->asymmetric,
                    fault) != 0)
        return -1;
    return read_engine("verify-hmac", settings->verify_hmac, &ret_policy->hmac, fault);
}

static const struct {
    const char *name;
    enum command command;
    const char *help;
} commands[] = {
    {"migrate", COMMAND_MIGRATE, "applies the database migrations; as the database's owner"},
    {"apikey", COMMAND_APIKEY, "makes an API key, also the first one; as the database's owner"},
    {"api", COMMAND_API, "serves the REST API"},
    {"worker", COMMAND_WORKER, "runs executions in sandboxes"},
    {"ledger", COMMAND_LEDGER, "orders events and signs checkpoints"},
};

static int usage(void)
{
    (void)fprintf(stderr, "usage: sallyportd COMMAND [--SETTING VALUE]...\n"
                          "       sallyportd COMMAND --help\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        (void)fprintf(stderr, "  %-8s %s\n", commands[i].name, commands[i].help);
    return 2;
}

static int run(enum command command, const struct settings *settings)
{
    switch (command) {
    case COMMAND_MIGRATE:
        return run_migrate(settings);
    case COMMAND_APIKEY:
        return run_apikey(settings);
    case COMMAND_API:
        return run_api(settings, stop_event_fd);
    case COMMAND_WORKER:
        return run_worker(settings, stop_event_fd);
    case COMMAND_LEDGER:
        return run_ledger(settings, stop_event_fd);
    }
    return 2;
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct fault fault;
    AUTO_FREE char *file = NULL;
    bool print = false;
    size_t which = 0;
    json_object_seed(0); /* before any thread: jansson's hashes */
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("sallyportd %s\n", SALLYPORT_VERSION);
        return 0;
    }
    while (argc >= 2 && which < ARRAY_LEN(commands) && strcmp(argv[1], commands[which].name) != 0)
        which++;
    if (argc < 2 || which == ARRAY_LEN(commands))
        return usage();
    enum command command = commands[which].command;
    if (argc == 3 && strcmp(argv[2], "--help") == 0) {
        (void)printf("sallyportd %s: %s\n", commands[which].name, commands[which].help);
        settings_help(command);
        return 0;
    }
    if (settings_read(command, argc - 2, argv + 2, &settings, &file, &print, &fault) != 0) {
        (void)failed("settings", &fault);
        return 2;
    }
    if (print) {
        settings_print(command, &settings);
        return 0;
    }
    if (watch_signals(&fault) != 0)
        return failed("signals", &fault);
    return run(command, &settings);
}
