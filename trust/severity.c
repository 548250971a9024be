/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/severity.h"

#include "base/text.h"

#include <string.h>
#include <strings.h>

#define SCORE_TEXT_MAX 16

static const char *const names[SEVERITY_COUNT] = {
    [SEVERITY_NONE] = "none",       [SEVERITY_NEGLIGIBLE] = "negligible",
    [SEVERITY_LOW] = "low",         [SEVERITY_MEDIUM] = "medium",
    [SEVERITY_HIGH] = "high",       [SEVERITY_CRITICAL] = "critical",
    [SEVERITY_UNKNOWN] = "unknown",
};

const char *severity_name(enum severity severity)
{
    return (unsigned)severity < SEVERITY_COUNT ? names[severity] : "";
}

int severity_parse(const char *name, enum severity *ret_severity)
{
    for (size_t i = 0; i < SEVERITY_COUNT; i++)
        if (strcmp(name, names[i]) == 0) {
            *ret_severity = (enum severity)i;
            return 0;
        }
    return -1;
}

enum severity severity_of_word(const char *word)
{
    for (size_t i = SEVERITY_NEGLIGIBLE; word != NULL && i < SEVERITY_COUNT; i++)
        if (strcasecmp(word, names[i]) == 0)
            return (enum severity)i;
    return SEVERITY_UNKNOWN;
}

/* Hundredths of a score, further digits only as "more than": 8.999 stays below 9. -1 if it is
 * none. No strtod(): it reads by the locale, and more than decimal digits. */
static int hundredths(const char *score)
{
    const char *dot = strchr(score, '.');
    size_t len = strlen(score), whole = dot == NULL ? len : (size_t)(dot - score);
    if (!text_in_set(score, whole, 1, 2, "0123456789"))
        return -1;
    int value = 0;
    for (size_t i = 0; i < whole; i++)
        value = value * 10 + (score[i] - '0');
    value *= 100;
    if (dot == NULL)
        return value;
    const char *digits = dot + 1;
    size_t count = len - whole - 1;
    if (!text_in_set(digits, count, 1, SCORE_TEXT_MAX, "0123456789"))
        return -1;
    value += (digits[0] - '0') * 10 + (count > 1 ? digits[1] - '0' : 0);
    return value;
}

enum severity severity_of_score(const char *score)
{
    int value = score == NULL ? -1 : hundredths(score);
    if (value <= 0 || value > 1000)
        return SEVERITY_UNKNOWN;
    if (value >= 900)
        return SEVERITY_CRITICAL;
    if (value >= 700)
        return SEVERITY_HIGH;
    return value >= 400 ? SEVERITY_MEDIUM : SEVERITY_LOW;
}

int severity_weight(enum severity severity)
{
    return (unsigned)severity < SEVERITY_CRITICAL ? (int)severity : SEVERITY_CRITICAL;
}
