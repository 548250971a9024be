/* SPDX-License-Identifier: Apache-2.0 */
/* A vulnerability report as a publisher attaches it: the worst is among the counts, and the summary
 * fits its place. */
#include "base/text.h"
#include "trust/report.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct report report;
    struct fault fault = {0};
    if (report_read(span_of(data, size), &report, &fault) != 0) {
        require(fault.code == FAULT_ARTIFACT_INVALID);
        require(utf8_valid(fault.detail, strlen(fault.detail)));
        return 0;
    }
    AUTO_BUF struct buf text = BUF(DOCUMENT_SUMMARY_MAX);
    AUTO_JSON json_t *summary = report_summary(&report);
    json_append(&text, summary);
    require(!buf_failed(&text) && report.tool[0] != '\0');
    require(report.counts[SEVERITY_NONE] == 0);
    require((report.highest == SEVERITY_NONE) == (report.counts[report.highest] == 0));
    for (int i = 0; i < SEVERITY_COUNT; i++)
        require(report.counts[i] >= 0 &&
                (report.counts[i] == 0 ||
                 severity_weight((enum severity)i) <= severity_weight(report.highest)));
    return 0;
}
