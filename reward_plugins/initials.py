"""A term and its initials are one writing: FIFO is first-in, first-out. Any other abbreviation would be a guess."""

from __future__ import annotations

import re

# Two letters are too few to tell terms apart (PE, CF).
_SHORT = re.compile(r"(?<![A-Za-z0-9])[A-Z]{3,6}(?![A-Za-z0-9])")
_ASIDE = re.compile(r"(?P<term>[^()（）]{4,120}?) ?[(（](?P<short>[A-Z]{3,6})[)）]$")
_WORD = re.compile(r"[A-Za-z]+")
_SMALL = frozenset(("a", "an", "and", "for", "in", "of", "on", "the", "to"))
_EDGES = " .。,，;；:：\"'"
_LONGEST = 400  # characters of an answer in which a term is looked for


def initials(term: str) -> set[str]:
    """The abbreviations that a term has: its words' initials, with and without the small words (of, and)."""
    words = _WORD.findall(term)
    large = [word for word in words if word.lower() not in _SMALL]
    return {"".join(word[0] for word in kept).upper() for kept in (words, large)}


def without_aside(term: str) -> str:
    """A term without its own initials in brackets behind it: "first-in, first-out (FIFO)"."""
    match = _ASIDE.fullmatch(term.strip(_EDGES))
    return match["term"] if match and match["short"] in initials(match["term"]) else term


def in_words_of(gold: str, answer: str) -> str:
    """The answer with the gold's term in the gold's own writing, whichever of the two abbreviates it."""
    gold = gold.strip(_EDGES)
    if _SHORT.fullmatch(gold):
        written = _with_short(answer[:_LONGEST], gold) + answer[_LONGEST:]
    else:
        names = initials(gold)
        written = _SHORT.sub(lambda match: gold if match.group() in names else match.group(), answer)
    if written == answer:
        return answer
    # "first-in, first-out (FIFO)" says one thing twice
    said = r"[\W_]+".join(map(re.escape, _WORD.findall(gold)))
    return re.sub(rf"({said}) ?[(（] ?{said} ?[)）]", r"\1", written, flags=re.IGNORECASE)


def _with_short(answer: str, short: str) -> str:
    """The answer with the first words whose initials are `short` replaced by it."""
    words = list(_WORD.finditer(answer))
    for first, begin in enumerate(words):
        if begin.group()[0].upper() != short[0]:
            continue
        for end in words[first + 1 : first + 2 * len(short)]:
            if short in initials(answer[begin.start() : end.end()]):
                return answer[: begin.start()] + short + answer[end.end() :]
    return answer
