"""The decision: does this completion give the gold answer?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reward_plugins.amounts import compare
from reward_plugins.cheats import declines, pleads, trick
from reward_plugins.choices import BY_TEXT, NO_OPTION, chosen, option_itself
from reward_plugins.claim import claims, hedge
from reward_plugins.completion import Completion, parse
from reward_plugins.dates import dates
from reward_plugins.expectation import Expectation, expectation
from reward_plugins.extraction import MOST_ANSWERS, Extraction, final_answers
from reward_plugins.labels import compare_label
from reward_plugins.markup import hidden, plain
from reward_plugins.polarity import asked_predicate, gold_polarity, polarity
from reward_plugins.quantity import whole
from reward_plugins.sequences import compare_items, compare_range
from reward_plugins.spans import compare_text, covers, normal
from reward_plugins.verdict import Status, Verdict

# An answer is a phrase; what is longer is read from its end, where the result stands.
_LONGEST_ANSWER = 4000
_SHOWN = 1000  # characters of the answer in a verdict, which go into logs and to a judge

_OPEN_DATE = re.compile(r"\b(?:before|after|until|by|around)\b|以前|以后|之前|之后|左右", re.IGNORECASE)
_SECOND_DATE = re.compile(
    r"(?:[和与、及,，至到~]|\band\b|\bto\b|-) ?(?:第?[一二三四1-4] ?季度|q[1-4]\b|\d{1,2} ?[月日号]|(?:19|20)\d\d(?:年|\b))",
    re.IGNORECASE,
)
_WORKING = re.compile(r"=|≈|:|：|[a-z]{3,} [a-z]{2,} |[\u4e00-\u9fff]{4}", re.IGNORECASE)
_LETTERS_ONLY = re.compile(r"[(]?[A-H](?:[、,， ]*[A-H]){0,7}[).。]?")
_CODE_BLOCK = re.compile(r"```[a-z+]+\s")


def verify(response: str, gold: str, question: str = "", meta: Mapping[str, Any] | None = None) -> Verdict:
    """Decide whether `response` gives the gold answer; pure, never raises, linear in the length of `response`.

    `response` is the whole completion; `gold` the answer as the data set states it; `question` may be ""; `meta` is
    what the data set says about the gold (`dataset`, `answer_type`, `scale`, `unit`, `labels`, `choices`, `answer`,
    `exe_ans`, ...; unknown keys are ignored).
    """
    completion = parse(response)
    extraction = final_answers(completion)
    if not extraction.answers:
        return Verdict("no_answer", "", _why_none(completion))
    expected = expectation(gold, question, meta)
    return _decide(completion, extraction, expected)


def _decide(completion: Completion, extraction: Extraction, expected: Expectation) -> Verdict:
    answers = extraction.answers
    if len(answers) > 1 and expected.kind in ("list", "choice") and extraction.where != "line":
        joined = _joined_boxes(answers, expected)
        answers = (joined,) if joined else answers
    shown = " | ".join(answers)[:_SHOWN]
    if len(answers) > MOST_ANSWERS:
        return Verdict("wrong", shown, "it gives many final answers")
    if extraction.where == "text" and not _is_bare_answer(answers[0], expected):
        return Verdict("no_answer", "", "no final answer is marked")
    if len(answers) == 1:
        status, reason = judge(answers[0], expected)
    else:
        status, reason = _all_of(answers, expected)
    if status == "correct":
        visible = completion.final[-_LONGEST_ANSWER:]
        if "<!--" in visible or (len(visible) > 40 and pleads(visible)):
            return Verdict("wrong", shown, "it adds text that is hidden or made for a grader")
    return Verdict(status, "" if status == "no_answer" else shown, reason)


def _why_none(completion: Completion) -> str:
    if completion.cut_off:
        return "it ends within the reasoning"
    return "there is nothing after the reasoning" if not completion.final.strip() else "no final answer is marked"


def _is_bare_answer(text: str, expected: Expectation) -> bool:
    """Whether a short text without any mark is an answer and nothing else (14.32%, B, B. cash, 是)."""
    bare = plain(text)
    if whole(bare) is not None or _LETTERS_ONLY.fullmatch(bare) or option_itself(bare, expected.options):
        return True
    return gold_polarity(bare) is not None or normal(bare) == normal(expected.gold)


def _joined_boxes(answers: tuple[str, ...], expected: Expectation) -> str:
    """Several boxes for a gold of several parts are one answer; "" where they are not its parts."""
    size = len(expected.items) if expected.kind == "list" else len(expected.letters)
    if expected.kind == "choice" and not all(len(plain(each).split(".")[0].strip(" ()")) == 1 for each in answers):
        return ""  # a part of a choice is one letter; whole choices side by side are candidates
    return ", ".join(answers) if len(answers) == size and size > 1 and all(len(each) < 200 for each in answers) else ""


def _all_of(answers: tuple[str, ...], expected: Expectation) -> tuple[Status, str]:
    """Several final answers count only where each of them is right; declined ones (N/A) are no answers."""
    states = [state for answer in answers if (state := judge(answer, expected))[0] != "no_answer"]
    if not states:
        return "no_answer", "it declines to answer"
    if all(status == "correct" for status, _ in states):
        return states[0]
    if len({plain(answer).casefold().strip(" .。") for answer in answers}) == 1:
        return states[0]
    return "wrong", "its final answers conflict"


def judge(answer: str, expected: Expectation) -> tuple[Status, str]:
    """Decide on one final answer as written."""
    if hidden(answer):
        return "wrong", "it holds hidden text"
    if "```" in answer and _CODE_BLOCK.search(answer):
        return "wrong", "it is code"
    text = plain(answer[-_LONGEST_ANSWER:])
    if not text.strip(" .。$"):
        return "no_answer", "nothing legible is left of the answer"
    if declines(text) and normal(text) != normal(expected.gold) and expected.kind not in ("polarity", "label"):
        return "no_answer", "it declines to answer"
    said = text
    for option in expected.options.values():  # an option that speaks of scores is no plea
        said = said.replace(plain(option).strip(), " ") if len(option) > 1 else said
    if reason := trick(said, expected.gold):
        return "wrong", reason
    if len(expected.question) > 11 and len(text) >= len(expected.question) - 4:
        text = text.replace(expected.question, " ").strip()
        if not text.strip(" ?？.。:：") or normal(text) == normal(plain(expected.question)):
            return "wrong", "it repeats the question"
    status, reason = _JUDGES[expected.kind](text, expected)
    return _status(status), reason


def _status(name: str) -> Status:
    return "correct" if name == "correct" else "undecided" if name == "undecided" else "wrong"


def _judge_number(text: str, expected: Expectation) -> tuple[str, str]:
    assert expected.number is not None
    stated = claims(_last_line(text), expected.number.unit.kind, expected.question, expected.year)
    if stated.problem:
        return "wrong", stated.problem
    if expected.year:
        years = {claim.quantity.value for claim in stated.found if claim.quantity.year_like}
        same_year = years == {expected.number.targets[0].value} and len(stated.found) == 1
        return ("correct", "the same year") if same_year else ("wrong", "another year, or no year")
    outcomes = [compare(claim, expected.number, expected.wanted, expected.japanese) for claim in stated.found]
    for name in ("wrong", "undecided"):
        for outcome in outcomes:
            if outcome[0] == name:
                return outcome
    return outcomes[0]


def _last_line(text: str) -> str:
    """The last line where those above it are its working; else all of the text."""
    if "\n" not in text:
        return text
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return lines[-1] if len(lines) > 1 and all(_WORKING.search(line) for line in lines[:-1]) else "\n".join(lines)


def _judge_choice(text: str, expected: Expectation) -> tuple[str, str]:
    options, keys = expected.options, expected.keys
    poles = {key: polarity(option) for key, option in options.items() if len(option) <= 8}
    if len(poles) == len(options) == 2 and set(poles.values()) == {True, False}:
        return _judge_true_false(text, expected, poles)
    letters, why = chosen(text, options, keys, expected.question)
    if not letters and why == NO_OPTION and options:
        letters, why = _by_amount(text, expected)
    if letters and why == BY_TEXT and any(figure.isdecimal() for figure in text):
        named = next(iter(letters))
        literal = normal(plain(options[named])) == normal(text)
        if not literal and expectation(options[named], expected.question, None).kind == "number":
            letters, why = _by_amount(text, expected)
    if letters == expected.letters:
        return "correct", why
    return "wrong", why if not letters else f"it chooses {''.join(sorted(letters))}"


def _judge_true_false(text: str, expected: Expectation, poles: Mapping[str, bool | None]) -> tuple[str, str]:
    """Two options that say true and false: the letter or the word chooses, and both must agree."""
    if itself := option_itself(text, expected.options):
        return ("correct", "the same judgement") if {itself} == expected.letters else ("wrong", "the other judgement")
    letters, why = chosen(text, {}, expected.keys)
    words = re.sub(r"(?<![A-Za-z])[A-H](?![A-Za-z])[.、:：)）]?", " ", text)
    if not letters and words != text:
        return "wrong", why
    said = polarity(words) if any(character.isalpha() for character in words) else None
    by_words = frozenset(key for key, pole in poles.items() if said is not None and pole == said)
    if letters and by_words and letters != by_words:
        return "wrong", "the letter and the text beside it disagree"
    found = letters or by_words
    if found == expected.letters:
        return "correct", "the same judgement"
    return "wrong", "the other judgement" if found else why


def _by_amount(text: str, expected: Expectation) -> tuple[frozenset[str], str]:
    """No letter and no option's wording, but an amount: the options that state the same amount."""
    found: set[str] = set()
    for key, option in expected.options.items():
        reading = expectation(option, expected.question, None)
        if reading.kind == "number" and _judge_number(text, reading)[0] == "correct":
            found.add(key)
    return (frozenset(found), "the option's amount") if len(found) == 1 else (frozenset(), NO_OPTION)


def _judge_polarity(text: str, expected: Expectation) -> tuple[str, str]:
    said = polarity(text, expected.digits, expected.question)
    if said is None:
        said = asked_predicate(text, expected.question)
    if said is None:
        return "wrong", "it says neither yes nor no, or both"
    return ("correct", "the same judgement") if said == expected.positive else ("wrong", "the opposite judgement")


def _judge_label(text: str, expected: Expectation) -> tuple[str, str]:
    return compare_label(text, expected.gold, expected.labels)


def _judge_list(text: str, expected: Expectation) -> tuple[str, str]:
    golds = {str(index): item for index, item in enumerate(expected.items)}

    def agrees(part: str, index: str) -> str:
        return judge(part, golds[index])[0] if part else "wrong"

    if all(item.kind == "text" for item in expected.items):
        names = [item.gold for item in expected.items]
        if covers(text, names, expected.question, expected.wanted.ordered):
            return "correct", "the same parts"
    mixed = len({item.kind for item in expected.items}) > 1
    return compare_items(text, list(golds), expected.wanted.ordered or mixed, agrees, list(expected.years))


def _judge_range(text: str, expected: Expectation) -> tuple[str, str]:
    assert expected.ends is not None
    if hedge(text):
        return "wrong", "it leaves the answer open"
    return compare_range(text, expected.ends)


def _judge_date(text: str, expected: Expectation) -> tuple[str, str]:
    spans = dates(text)
    found = {date for date, _, _ in spans}
    if len(found) == 1 and _SECOND_DATE.match(text[spans[-1][2] :].lstrip()):
        return "wrong", "it states several dates"
    if len(found) != 1:
        return "wrong", "it states no date" if not found else "it states several dates"
    if hedge(text) or _OPEN_DATE.search(text):
        return "wrong", "it leaves the answer open"
    return ("correct", "the same date") if found == {expected.date} else ("wrong", "another date")


def _judge_text(text: str, expected: Expectation) -> tuple[str, str]:
    status, reason = compare_text(text, expected.gold, expected.question)
    if status != "correct" and expected.items:
        named = _judge_list(text, expected)
        # A term with a comma in it (first-in, first-out) is no list: without any of the parts the words are just others.
        known = any(normal(item.gold) in normal(text) for item in expected.items)
        if named[0] == "correct" or (status == "undecided" and known):
            return named
    return status, reason


_JUDGES = {
    "choice": _judge_choice,
    "polarity": _judge_polarity,
    "label": _judge_label,
    "list": _judge_list,
    "range": _judge_range,
    "date": _judge_date,
    "number": _judge_number,
    "text": _judge_text,
}
