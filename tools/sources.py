# SPDX-License-Identifier: Apache-2.0
"""What the checks share: where the tree is, its C sources, and C text without its comments."""

import argparse
import pathlib
import re
import sys

COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def top():
    """The tree to check: this one, or --top FOLDER (the checks' own tests)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--top", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    return parser.parse_args().top


def c_files(root, *folders):
    """Every .c and .h below these folders, sorted."""
    return [path for folder in folders for path in sorted((root / folder).rglob("*.[ch]"))]


def code(text, keep_strings=False):
    """C text with comments (and the insides of strings) blanked; line numbers stay."""
    def blank(match):
        found = match[0]
        if found[0] in "\"'":
            return found if keep_strings else found[0] + found[0]
        return re.sub(r"[^\n]", " ", found)
    return COMMENT_OR_STRING.sub(blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def compare(left_name, left, right_name, right):
    """Findings for two sets that must be the same."""
    return ([f"{item}: in {left_name}, not in {right_name}" for item in sorted(left - right)] +
            [f"{item}: in {right_name}, not in {left_name}" for item in sorted(right - left)])


def read(root, name):
    """A file that a check cannot do without: its absence is a finding, not a crash."""
    path = root / name
    if not path.is_file():
        finish([f"{name}: missing"])
    return path.read_text()


def finish(findings):
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)
