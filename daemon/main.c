/* SPDX-License-Identifier: Apache-2.0 */
/* sallyportd: three daemons and their tools over one database. */
#include "daemon/common.h"
#include "daemon/roles.h"

#include <errno.h>
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

static const struct {
    const char *name; /* one word, or two */
    enum command command;
    const char *help;
} commands[] = {
    {"migrate", COMMAND_MIGRATE, "applies the database migrations; as the database's owner"},
    {"apikey", COMMAND_APIKEY, "makes an API key, also the first one; as the database's owner"},
    {"tenant", COMMAND_TENANT, "makes a tenant, or changes its policy; as the database's owner"},
    {"api", COMMAND_API, "serves the REST API"},
    {"worker", COMMAND_WORKER, "runs executions in sandboxes"},
    {"ledger", COMMAND_LEDGER, "orders events and signs checkpoints"},
    {"ledger key", COMMAND_LEDGER_KEY, "makes a key that can sign the ledger"},
    {"ledger reopen", COMMAND_LEDGER_REOPEN,
     "begins a new ledger over what a restore has left of the old one"},
};

static int usage(void)
{
    (void)fprintf(stderr, "usage: sallyportd COMMAND [--SETTING VALUE]...\n"
                          "       sallyportd COMMAND --help\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        (void)fprintf(stderr, "  %-13s %s\n", commands[i].name, commands[i].help);
    return 2;
}

/* How many of the words are the command's name; 0: they are another's. */
static int words_of(const char *name, int argc, char **argv)
{
    int count = 0;
    while (count < argc) {
        size_t len = strlen(argv[count]);
        if (strncmp(name, argv[count], len) != 0 || (name[len] != '\0' && name[len] != ' '))
            return 0;
        count++;
        if (name[len] == '\0')
            return count;
        name += len + 1;
    }
    return 0;
}

/* The command that the most words name; *ret_words is 0 if there is none. */
static size_t find_command(int argc, char **argv, int *ret_words)
{
    size_t found = 0;
    *ret_words = 0;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        int words = words_of(commands[i].name, argc, argv);
        if (words > *ret_words) {
            *ret_words = words;
            found = i;
        }
    }
    return found;
}

static int run(enum command command, const struct settings *settings)
{
    switch (command) {
    case COMMAND_MIGRATE:
        return run_migrate(settings);
    case COMMAND_APIKEY:
        return run_apikey(settings);
    case COMMAND_TENANT:
        return run_tenant(settings);
    case COMMAND_API:
        return run_api(settings, stop_event_fd);
    case COMMAND_WORKER:
        return run_worker(settings, stop_event_fd);
    case COMMAND_LEDGER:
        return run_ledger(settings, stop_event_fd);
    case COMMAND_LEDGER_KEY:
        return run_ledger_key(settings);
    case COMMAND_LEDGER_REOPEN:
        return run_ledger_reopen(settings);
    }
    return 2;
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct fault fault;
    AUTO_FREE char *file = NULL;
    bool print = false;
    int words;
    json_object_seed(0); /* before any thread: jansson's hashes */
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("sallyportd %s\n", SALLYPORT_VERSION);
        return 0;
    }
    size_t which = find_command(argc - 1, argv + 1, &words);
    if (words == 0)
        return usage();
    enum command command = commands[which].command;
    argc -= 1 + words;
    argv += 1 + words;
    if (argc == 1 && strcmp(argv[0], "--help") == 0) {
        (void)printf("sallyportd %s: %s\n", commands[which].name, commands[which].help);
        settings_help(command);
        return 0;
    }
    if (settings_read(command, argc, argv, &settings, &file, &print, &fault) != 0) {
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
