/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text from elsewhere, made safe for a terminal: what could move the cursor, change colours,
 * answer back or turn the reading direction is written as `\x1b` or `\u{202e}` instead.
 */
#pragma once

#include "base/buf.h"

/* How much layout the text may keep. */
enum show { SHOW_LINE /* not even newlines */, SHOW_LINES /* newlines and tabs */ };

/* Appends text: control characters (C0 beyond what `how` allows, DEL, C1), line and paragraph
 * separators, characters that change direction, and bytes that are not UTF-8 are escaped. */
void show_text(struct buf *buf, struct span text, enum show how);

/* How many columns text takes that show_text() has written: its characters. */
size_t show_width(struct span text);
