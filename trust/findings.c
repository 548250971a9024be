/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/findings.h"

#include "trust/document.h"

#include <string.h>

struct finding {
    struct digest key;
    enum severity severity;
};

/* A key is made of parts of the document, written anew: escapes and numbers may grow a little. */
#define KEY_MAX (4 * (size_t)DOCUMENT_MAX)

struct findings findings_new(void)
{
    return (struct findings){.items = BUF(DOCUMENT_CONTAINERS_MAX * sizeof(struct finding)),
                             .key = BUF(KEY_MAX)};
}

void findings_free(struct findings *findings)
{
    buf_free(&findings->items);
    buf_free(&findings->key);
}

void findings_part(struct findings *findings)
{
    buf_append(&findings->key, "", 1); /* the parser lets no NUL into a text */
}

int findings_add(struct findings *findings, enum severity severity, struct fault *fault)
{
    struct finding finding = {.key = digest_of_span(buf_span(&findings->key)),
                              .severity = severity};
    bool lost = buf_failed(&findings->key);
    buf_reset(&findings->key);
    buf_append(&findings->items, &finding, sizeof finding);
    if (lost || buf_failed(&findings->items))
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    return 0;
}

/* By key; of one key the worst first. Among equals by weight, what is known first. */
static int compare(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;
    int by_key = memcmp(x->key.bytes, y->key.bytes, DIGEST_LEN);
    if (by_key != 0)
        return by_key;
    int by_weight = severity_weight(y->severity) - severity_weight(x->severity);
    return by_weight != 0 ? by_weight : (int)x->severity - (int)y->severity;
}

void findings_count(struct findings *findings, int64_t ret_counts[SEVERITY_COUNT],
                    enum severity *ret_highest)
{
    struct finding *list = (struct finding *)(void *)findings->items.data;
    size_t count = findings->items.len / sizeof *list;
    enum severity highest = SEVERITY_NONE;
    memset(ret_counts, 0, SEVERITY_COUNT * sizeof ret_counts[0]);
    if (count > 1)
        qsort(list, count, sizeof *list, compare);
    for (size_t i = 0; i < count; i++) {
        enum severity severity = list[i].severity;
        if (i > 0 && digest_equal(&list[i].key, &list[i - 1].key))
            continue;
        ret_counts[severity]++;
        if (severity_weight(severity) > severity_weight(highest) || severity == SEVERITY_CRITICAL)
            highest = severity;
    }
    *ret_highest = highest;
}
