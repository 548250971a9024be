/* SPDX-License-Identifier: Apache-2.0 */
/* The server's address and who calls it; cli/http_call.c is what is said to it. */
#include "cli/http_parts.h"
#include "trust/caller.h"

#include <string.h>

#define SETTING_MAX 2048

char *http_header(const char *name, const char *value)
{
    char *text = NULL;
    return asprintf(&text, "%s: %s", name, value) < 0 ? NULL : text;
}

static int url_invalid(struct fault *fault, const char *why)
{
    return fault_set(fault, FAULT_MALFORMED_REQUEST, "the server's URL: %s", why);
}

static void free_curl_text(char **text)
{
    curl_free(*text);
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           strncmp(host, "127.", 4) == 0;
}

/* A part that must not be there: credentials in a URL end up in logs and process lists. */
static bool has_part(CURLU *url, CURLUPart part)
{
    AUTO(free_curl_text) char *text = NULL;
    return curl_url_get(url, part, &text, 0) == CURLUE_OK;
}

static int inspect_parts(struct http *http, CURLU *url, const char *text, struct fault *fault)
{
    AUTO(free_curl_text) char *scheme = NULL, *host = NULL;
    if (curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        return url_invalid(fault, "expected http://HOST[:PORT] or https://HOST[:PORT]");
    http->encrypted = strcmp(scheme, "https") == 0;
    http->loopback = is_loopback(host);
    if (!http->encrypted && strcmp(scheme, "http") != 0)
        return url_invalid(fault, "expected http or https");
    if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
        return url_invalid(fault, "a user or password in it is not used here");
    if (has_part(url, CURLUPART_QUERY) || has_part(url, CURLUPART_FRAGMENT))
        return url_invalid(fault, "expected neither ? nor #");
    return 0;
}

static int inspect_url(struct http *http, const char *text, struct fault *fault)
{
    if (strlen(text) > SETTING_MAX)
        return url_invalid(fault, "too long");
    CURLU *url = curl_url();
    if (url == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    int result = inspect_parts(http, url, text, fault);
    curl_url_cleanup(url);
    return result;
}

static int check_caller(const struct http_settings *settings, struct fault *fault)
{
    char id[API_KEY_ID_LEN + 1];
    struct digest hash;
    if (settings->api_key != NULL &&
        api_key_parse(settings->api_key, strlen(settings->api_key), id, &hash) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "the API key is not one: expected sp_<16 hex>_<43 characters>");
    if (settings->tenant != NULL && !tenant_id_valid(settings->tenant, strlen(settings->tenant)))
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "--tenant: expected 1 to 64 of a-z 0-9 . _ -");
    return 0;
}

static int take_settings(struct http *http, const struct http_settings *settings)
{
    http->curl = curl_easy_init();
    http->url = strdup(settings->url);
    if (settings->api_key != NULL) {
        AUTO_FREE char *bearer = NULL;
        if (asprintf(&bearer, "Bearer %s", settings->api_key) < 0)
            return -1;
        http->api_key_header = http_header("Authorization", bearer);
        explicit_bzero(bearer, strlen(bearer));
    }
    if (settings->tenant != NULL)
        http->tenant_header = http_header("X-Sallyport-Tenant", settings->tenant);
    if (settings->ca_file != NULL)
        http->ca_file = strdup(settings->ca_file);
    return http->curl == NULL || http->url == NULL ||
                   (settings->api_key != NULL && http->api_key_header == NULL) ||
                   (settings->tenant != NULL && http->tenant_header == NULL) ||
                   (settings->ca_file != NULL && http->ca_file == NULL)
               ? -1
               : 0;
}

int http_open(const struct http_settings *settings, struct http **ret_http, struct fault *fault)
{
    AUTO_HTTP struct http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (inspect_url(http, settings->url, fault) != 0 || check_caller(settings, fault) != 0)
        return -1;
    if (take_settings(http, settings) != 0)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    size_t len = strlen(http->url);
    while (len > 0 && http->url[len - 1] == '/')
        http->url[--len] = '\0';
    *ret_http = TAKE(http);
    return 0;
}

bool http_is_exposed(const struct http *http)
{
    return !http->encrypted && !http->loopback;
}

void http_close(struct http *http)
{
    if (http == NULL)
        return;
    if (http->curl != NULL)
        curl_easy_cleanup(http->curl);
    if (http->api_key_header != NULL)
        explicit_bzero(http->api_key_header, strlen(http->api_key_header));
    free(http->api_key_header);
    free(http->tenant_header);
    free(http->ca_file);
    free(http->url);
    free(http);
}

void http_cleanup(struct http **http)
{
    http_close(*http);
}
