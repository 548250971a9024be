// SPDX-License-Identifier: Apache-2.0
// Matches the harmless sample beside it, and nothing that matters.
rule sallyport_first_job
{
    meta:
        description = "the sample of the first job"
    strings:
        $phrase = "two doors that are never open together" ascii
    condition:
        $phrase
}
