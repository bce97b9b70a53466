"""The rule that tells finance questions from others: a file of patterns that a person can read and replace."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import opencc

from reward_plugins.errors import Refused

ROUTES = ("finance", "other")

_TRADITIONAL = ("s2t", "s2tw", "s2hk", "s2twp")
"""OpenCC's conversions: the standard, Taiwan's and Hong Kong's characters, and Taiwan's own words."""
_SPACES = re.compile(r"[ \t]+")
_CHARACTERS_IN_BRACKETS = re.compile(r"\[[^\]]*[^\x00-\x7f]")
_CHARACTER_REPEATED = re.compile(r"[^\x00-\x7f][*+?{]")


def rule_map(file: Path) -> str:
    """The rule as the map that HAProxy reads: a regular expression and its route on each line, tried in that order.

    A line of the file is `finance PATTERN` or `other PATTERN`; `#` begins a comment line. A space in a pattern stands
    for any white space, case does not count, and Chinese is tried in traditional characters, too.

    Raises:
        Refused: no such file, a line that is not so, or a pattern that would be taken apart in the midst of a character.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()  # some editors begin a file with a mark
    except OSError as error:
        raise Refused(f"the routing rule {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Refused(f"the routing rule {file} is not in UTF-8; save it so") from None
    found: list[str] = []
    for number, line in enumerate(lines, 1):
        route, *pattern = line.split(maxsplit=1) or ["#"]
        if route.startswith("#"):
            continue
        if route not in ROUTES or not pattern:
            raise Refused(f"{file}:{number}: a line is `finance PATTERN` or `other PATTERN`")
        _fit(pattern[0], f"{file}:{number}")
        spaced = _SPACES.sub(r"\\s+", pattern[0].strip())
        found += [f"(?i){each} {route}" for each in _spellings(spaced)]
    if not found:
        raise Refused(f"the routing rule {file} holds no pattern")
    return "\n".join(found) + "\n"


def _fit(pattern: str, where: str) -> None:
    # HAProxy matches bytes, and a Chinese character has three of them.
    if _CHARACTERS_IN_BRACKETS.search(pattern):
        raise Refused(f"{where}: no characters beyond ASCII in [...]; write (元|亿) for [元亿]")
    if _CHARACTER_REPEATED.search(pattern):
        raise Refused(f"{where}: put what is repeated into brackets, (元)? for 元?")


def _spellings(pattern: str) -> list[str]:
    """The pattern, and what it is in traditional characters where that differs."""
    if pattern.isascii():
        return [pattern]
    return list(dict.fromkeys([pattern, *(_converter(name).convert(pattern) for name in _TRADITIONAL)]))


@functools.cache
def _converter(name: str) -> opencc.OpenCC:
    return opencc.OpenCC(name)  # reads its dictionaries, a quarter of a second
