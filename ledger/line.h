/* SPDX-License-Identifier: Apache-2.0 */
/* The lines that checkpoints and receipts are made of, read strictly. */
#pragma once

#include "base/digest.h"

/* Takes the next line, without its newline, from the front of *rest; false, with *rest
 * untouched, if no newline is left. */
bool line_take(struct span *rest, struct span *ret_line);

/* A decimal number of the whole line, 0 to 2^63-1, without leading zeros, sign or space. */
bool line_number(struct span line, uint64_t *ret_value);

/* The canonical base64 of 32 bytes, the whole line. */
bool line_digest(struct span line, struct digest *ret_digest);
