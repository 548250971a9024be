/* SPDX-License-Identifier: Apache-2.0 */
/* Inside http.c and http_call.c only. */
#pragma once

#include "cli/http.h"

#include <curl/curl.h>

struct http {
    CURL *curl;
    char *url; /* without a slash at its end */
    char *api_key_header;
    char *tenant_header;
    char *ca_file;
    bool loopback, encrypted;
    char error[CURL_ERROR_SIZE];
};

/* "name: value", malloc'ed; NULL without memory. */
char *http_header(const char *name, const char *value);
