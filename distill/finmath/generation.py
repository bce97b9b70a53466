"""From kinds to `Question` records: balanced, without repeats, the same bytes for the same arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from distill.finmath.draft import Draft, Problem
from distill.finmath.kinds import KINDS, Kind
from distill.finmath.wording import Lang
from distill.records import Question
from reward_plugins.errors import Refused, did_you_mean

# Raised whenever the same seed would give other questions than before.
VERSION = 1

LANGUAGES: tuple[Lang, ...] = ("en", "zh")
LEVELS = (1, 2, 3)

# The share of all possible problems, in percent, that each split may draw from. A problem's place is decided by a
# hash of its numbers, so no seed can put the same numbers into two splits.
SPLITS = {"train": range(70), "validation": range(70, 80), "test": range(80, 100)}

# Draws for numbers that the call has not used yet; then the same numbers may come back in another question (small
# numbers are few at level 1). Nine in ten draws fall outside the smallest split, so these are many.
_FRESH_DRAWS = 400
# Draws before a kind counts as exhausted.
_MOST_DRAWS = 4_000


def generate(
    count: int,
    *,
    seed: int,
    languages: Sequence[str] = LANGUAGES,
    levels: Sequence[int] = LEVELS,
    kinds: Sequence[str] | None = None,
    split: str = "train",
) -> Iterator[Question]:
    """Yield `count` finance problems, as evenly over kinds, languages and levels as `count` allows.

    The same arguments give the same bytes on every machine, and a smaller `count` gives the head of a larger one.
    No question comes twice in one call, and no numbers do, until a kind has none left at level 1, where they are
    small; `meta["doc"]` is then the same. Problems of different splits never have the same numbers, whatever the
    seeds (see `split_of`). `kinds` are names from `KINDS`, None for all of them.

    Raises `Refused` for an unknown kind, language, level or split, and when a kind has no further question to give.
    """
    chosen = list(KINDS) if kinds is None else list(kinds)
    _check("kind", chosen, list(KINDS))
    _check("language", languages, LANGUAGES)
    _check("level", levels, LEVELS)
    _check("split", [split], list(SPLITS))
    if count < 0:
        raise Refused(f"count is {count}; ask for 0 or more finmath problems")
    langs = [lang for lang in LANGUAGES if lang in languages]
    return _generate(count, seed, langs, sorted(set(levels)), [KINDS[name] for name in dict.fromkeys(chosen)], split)


def split_of(doc: str) -> str:
    """The split that a problem belongs to, by its `meta["doc"]` ("finmath/<kind>/<digest of its numbers>").

    Two sets share no problem, in either language, if their `doc`s are disjoint; those of different splits always
    are, since this function tells them apart.
    """
    place = int(doc.rsplit("/", 1)[-1], 16) % 100
    return next(name for name, places in SPLITS.items() if place in places)


def _generate(
    count: int, seed: int, langs: list[Lang], levels: list[int], kinds: list[Kind], split: str
) -> Iterator[Question]:
    cells = [(lang, level) for level in levels for lang in langs]
    seen: set[str] = set()
    for index in range(count):
        # Each round visits every kind once, and each kind a different cell in every round: every head of the
        # sequence is as balanced as its length allows.
        turn, place = divmod(index, len(kinds))
        lang, level = cells[(turn + place) % len(cells)]
        yield _one(index, seed, lang, level, kinds[place], split, seen)


def _one(index: int, seed: int, lang: Lang, level: int, kind: Kind, split: str, seen: set[str]) -> Question:
    worn = f"{kind.name}/{level}"
    for attempt in range(_MOST_DRAWS):
        if attempt == _FRESH_DRAWS:
            seen.add(worn)  # the next question of this kind and level need not look for fresh numbers again
        draft = Draft(f"finmath/{seed}/{split}/{index}/{kind.name}/{lang}/{level}/{attempt}", level, lang)
        problem = kind.make(draft)
        digest = hashlib.sha256(f"{kind.name}/{level}/{draft.figures}".encode()).hexdigest()[:16]
        doc = f"finmath/{kind.name}/{digest}"
        fresh = problem.question not in seen and (doc not in seen or worn in seen)
        if problem.sound and split_of(doc) == split and fresh:
            seen.update((doc, problem.question))
            return _question(f"finmath-{seed}-{index}-{digest[:6]}", doc, split, draft, kind, problem)
    raise Refused(
        f"finmath has no further level-{level} problem of kind {kind.name} for the {split} split after {index} "
        "problems; ask for fewer, or for more kinds or levels"
    )


def _question(name: str, doc: str, split: str, draft: Draft, kind: Kind, problem: Problem) -> Question:
    return Question(
        id=name,
        source="finmath",
        split=split,
        lang=draft.lang,
        task=kind.field,
        question=problem.question,
        context=problem.context,
        gold=problem.gold,
        answer_type=problem.answer_type,
        unit=problem.unit,
        choices=problem.choices,
        licence="Apache-2.0",
        meta={
            "dataset": "finmath",
            "kind": kind.name,
            "level": draft.level,
            "doc": doc,
            "value": problem.value,
            "unit": problem.unit,
            "answer_type": problem.answer_type,
            "decimals": problem.decimals,
            "solution": problem.solution,
        },
    )


def _check(what: str, given: Sequence[str] | Sequence[int], known: Sequence[str] | Sequence[int]) -> None:
    if not given:
        raise Refused(f"no {what} is given; finmath knows {', '.join(str(name) for name in known)}")
    for value in given:
        if value not in known:
            raise Refused(f"unknown finmath {what} {value!r}{did_you_mean(value, known)}")
