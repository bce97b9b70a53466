"""Which number does an answer state? Never one of several, never a bound, a guess or an unfinished sum."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from reward_plugins.asked import LEVEL, MOVEMENT, asked
from reward_plugins.quantity import Quantity, scan
from reward_plugins.units import NONE

# More numbers than this are a list of candidates or a page of working, not a restated answer.
_MOST = 60

_EQUALS = re.compile(r"=|≈|→|⇒|约等于|等于|\bequals\b|\bis equal to\b")
_OPERATOR = re.compile(
    r"[+*/×÷·^√\-]|\*\*|\bplus\b|\bminus\b|\btimes\b|\bdivided by\b|加上?|减去?|乘以?|除以", re.IGNORECASE
)
_ONLY_OPERATOR = re.compile(rf"[ ()]*(?:{_OPERATOR.pattern}|x)[ ()$]*", re.IGNORECASE)
_ONLY_RANGE = re.compile(r" *(?:-|~|至|到|to|～|through) *", re.IGNORECASE)
_HEDGE = re.compile(
    r"\b(?:or|either|neither|nor|maybe|perhaps|possibly|probably|presumably|might|could|guess(?:ing)?|unsure|unclear|"
    r"uncertain|alternatively|otherwise|unless|if|not|never|isn't|wasn't|cannot|can't|incorrect|wrong|opposite|false|"
    r"hypothetically|somewhere|anything|one of|kidding|doubt|depend(?:s|ing)|rather|instead|vs|versus)\b"
    r"|或|还是|可能|也许|大概率|不确定|不是|并非|绝非|绝不|错误|错的|猜|若|如果|否则|不等于|方案|假如|恐怕|取决于|视情况|而定|(?<!分)之一|または|かもしれ|ではない|あるいは"
    r"|[?？]|≠|\.\.\.",
    re.IGNORECASE,
)
_ALLOWED_HEDGE = re.compile(r"\bif (?:rounded|expressed)\b|\bnot (?:rounded|including)\b", re.IGNORECASE)
_BOUND_BEFORE = re.compile(
    r"(?:\b(?:more|less|greater|fewer|higher|lower|larger|smaller|other) than|\bover|\bunder|\babove|\bbelow|\bat (?:least|most)|"
    r"\bup to|\bexceed(?:s|ed|ing)?|\bbetween|\bwithin|\bbeyond|\bminimum of|\bmaximum of|\bas (?:much|many|low|high) as|[<>≤≥±∈√∑]=?|\blog|\bln|"
    r"大于|小于|高于|低于|超过|不足|不到|至少|至多|不低于|不高于|不超过|最多|最少|多于|少于|接近于|介于|逾|近乎|以上|"
    r"twice|double|triple|half(?: of)?|quarter of|third of|opposite of)"
    r"[ (]*(?:about |around |approximately |约)?$",
    re.IGNORECASE,
)
_BOUND_AFTER = re.compile(
    r" *(?:[\u4e00-\u9fff]{0,2}以[上下内外]|\+(?!\d| ?/)|±|\+/-|or (?:more|less|higher|lower|above|below|so)\b|and (?:above|below|up|more)\b|plus\b|[<>≤≥∈]"
    r"|以上|以下|以内|以外|多(?!少)|余(?!额)|开外|之间|的?(?:两|二|三|四|五|[2-9])倍|的?一半|加|减(?!少|值)|[×*÷^]|x \d)",
    re.IGNORECASE,
)
_RUNS_ON = re.compile(r"(?:[a-z](?<!\d[sx])|_)(?!(?:t|d|h)\b)", re.IGNORECASE | re.ASCII)
_CONTEXT_BEFORE = re.compile(
    r"(?:\bfrom|\bthan|\bcompared (?:to|with)|\bversus|\bvs\.?|\bagainst|\brelative to|\b(?:up|down) from|"
    r"\bout of|\bby dividing|\bdivided by|\bper|每|从|由|较|比|相比|相较于|上年的?|去年的?)[ (]*$",
    re.IGNORECASE,
)
_AFTER_FROM = re.compile(
    r" *(?:[a-z ]{0,24}\b(?:19|20)\d\d )?(?:to|至|到|增[长加]?[至到]|降[低至]?[至到]|-) *$", re.IGNORECASE
)
_OF_WHOLE = re.compile(r"\bof (?:the )?(?:total |revenue of |sales of )*$", re.IGNORECASE)
_YEAR_CONTEXT = re.compile(
    r"(?:\b(?:in|for|of|during|since|through|from|to|between|year|years|fiscal|fy|ended|by|at|until|before|after|versus|vs|"
    r"january|february|march|april|may|june|july|august|september|october|november|december|[0-3]?\d,)|[(:/\-–年至到]|(?:19|20)\d\d年?(?:[,和与、]| and))[ ]*$",
    re.IGNORECASE,
)
_IN_BRACKETS = re.compile(r"[(（][^()（）\d]{2,20}$")
# 2010年1-3月: when, not how much.
_MONTHS = re.compile(r"(?:(?:19|20)\d\d ?年)? ?\d{1,2} ?月?[-~至到]\d{1,2} ?月(?:份|末|底)?")
_RESULT = re.compile(
    r"\b(?:therefore|thus|hence|so|which (?:is|gives|means)|giving|resulting in|result(?:s|ed)? in|yield(?:s|ing)|i\.e\.?|that is)\b"
    r"|因此|所以|故|从而|即|也就是|得出|得到|得",
    re.IGNORECASE,
)
# What follows explains the number; the figures in it are no further candidates.
_EXPLAINED = re.compile(
    r"[(（]from\b|[,;，；(]? ?(?:\b(?:calculated|computed|derived|obtained|based on|because|since|which is (?:calculated|computed))\b|"
    r"因为|由于|计算(?:公式|过程|方法|方式)|其中)",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[;；。\n]|,(?= )|，|\. ")


@dataclass(frozen=True, slots=True)
class Claim:
    """One number that an answer states. `direction`: -1 or 1 where words give it a sign ("decreased by"), else 0."""

    quantity: Quantity
    direction: int


@dataclass(frozen=True, slots=True)
class Claims:
    """What an answer states: one number, perhaps in several writings; or, with `problem`, why it states none."""

    found: tuple[Claim, ...]
    problem: str = ""


def claims(text: str, kind: str, question: str = "", years: bool = False) -> Claims:
    """The number that the (plain) text states.

    `question` helps to tell context from claim: a figure that the question mentions is no second candidate. `years`:
    calendar years are what is asked for, so they are kept. `kind`: the kind of the gold's unit; an amount of money
    beside a percentage, or a length of time, is context where the other is asked for.
    """
    if "月" in text and kind != "time":
        text = _MONTHS.sub(lambda span: " " * len(span.group()), text)
    quantities = scan(text)
    if quantities is None:
        return Claims((), "a number in it cannot be read")
    if not quantities:
        return Claims((), "it holds no number")
    only = quantities[0]
    if len(quantities) == 1 and not text[: only.start].strip() and not text[only.end :].strip(" .。"):
        return Claims((Claim(only, 0),))  # nothing but a number: no word could say more about it
    if len(quantities) > _MOST:
        return Claims((), "it holds too many numbers")
    begin, quantities, problem = _after_equals(text, quantities)
    if problem:
        return Claims((), problem)
    if explained := _EXPLAINED.search(text, quantities[0].end):
        quantities = [quantity for quantity in quantities if quantity.start < explained.start()]
    alike = [quantity for quantity in quantities if _alike(quantity, kind)]
    if years:  # "sales passed $100 million in 2018": where a year is asked for, an amount with its unit is context
        alike = [quantity for quantity in alike if quantity.year_like or quantity.unit is NONE]
    quantities = alike or quantities
    kept = _without_context(text, quantities, begin, question, years)
    hedge = _HEDGE.search(_ALLOWED_HEDGE.sub(" ", text[begin:]))
    if hedge and not (hedge.group() in ("or", "vs", "rather") and len(kept) > 1 and _consistent(kept)):
        return Claims((), f"it hedges ({hedge.group().strip()!r})")
    if begin and (_HEDGE.match(text) or _BOUND_BEFORE.match(text)):
        return Claims((), "it hedges")
    if begin and (early := _HEDGE.search(text[:begin])) and early.group() not in ("if", "若", "如果", "not"):
        return Claims((), f"it hedges ({early.group().strip()!r})")
    if len(kept) > 1 and not _consistent(kept):
        kept = _after_result(text, kept)
        if len(kept) > 1:
            return Claims((), "it states several values")
    if len(kept) > 1:  # "4.0 - 0.8 = 3.2, i.e. $3.2 billion": the bare result is said again with its unit
        said = {quantity.value for quantity in kept if quantity.unit is not NONE}
        kept = [quantity for quantity in kept if quantity.unit is not NONE or quantity.value not in said]
    if not kept:
        return Claims((), "it states no value of its own")
    for quantity in kept:
        if _RUNS_ON.match(text, quantity.end):
            return Claims((), "letters run into its number")
        if bound := _bound(text, quantity):
            return Claims((), f"it is a bound or unfinished ({bound!r})")
    return Claims(tuple(Claim(quantity, direction(text, quantity)) for quantity in kept))


def hedge(text: str) -> str:
    """The word that makes a (plain) text a guess, a denial or a choice between values, "" if there is none."""
    match = _HEDGE.search(_ALLOWED_HEDGE.sub(" ", text))
    return match.group().strip() if match else ""


def _alike(quantity: Quantity, kind: str) -> bool:
    """Whether a number can be the answer to a gold of that kind at all; bare numbers and years always can."""
    if quantity.unit.kind == "" and not (quantity.unit.scaled and kind == "share"):
        return True
    if quantity.year_like or quantity.unit.kind == kind:
        return True
    return kind not in ("share", "time") and quantity.unit.kind not in ("share", "time")


def _after_equals(text: str, quantities: list[Quantity]) -> tuple[int, list[Quantity], str]:
    """Cut an equation down to its result; a plain number on another side must be the same number."""
    signs = [match.end() for match in _EQUALS.finditer(text)]
    signs = [end for end in signs if any(quantity.start >= end - 1 for quantity in quantities)]
    if not signs:
        return 0, quantities, _unfinished(text, quantities)
    begin = signs[-1]
    tail = [quantity for quantity in quantities if quantity.end > begin and quantity.start >= begin - 1]
    if problem := _unfinished(text, tail):
        return begin, tail, problem
    edges = [0, *signs]
    for left, right in itertools.pairwise(edges):
        inside = [quantity for quantity in quantities if left <= quantity.start and quantity.end <= right]
        side = text[left:right].strip(" =≈()→\n")
        lone = len(inside) == 1 and len(side) <= inside[0].end - inside[0].start + 2
        if lone and not inside[0].fraction and tail and not _near(inside[0], tail[-1]):
            return begin, tail, "its two sides differ"
    return begin, tail, ""


def _unfinished(text: str, quantities: list[Quantity]) -> str:
    for first, second in itertools.pairwise(quantities):
        between = text[first.end : second.start]
        same_kind = first.year_like == second.year_like and first.unit.kind in (
            "",
            second.unit.kind,
        )  # "grew 14.32% to $1.2 billion" is no range
        if same_kind and len(between) <= 16 and _ONLY_RANGE.fullmatch(between):
            if between.strip() == "-" and first.unit is second.unit and not first.year_like:
                return "it is a range or an unfinished subtraction"
            if not (first.year_like and second.year_like) and not _CONTEXT_BEFORE.search(text[: first.start][-24:]):
                return "it is a range"
        elif (len(between) <= 16 and _ONLY_OPERATOR.fullmatch(between) and between.strip(" ()$")) or (
            second.sign < 0 and len(between.strip()) == 0 and text[second.start] == "-" and not first.year_like
        ):
            return "it is a sum without its result"
    return ""


def _near(one: Quantity, other: Quantity) -> bool:
    """Whether two writings of a number agree, each taken at its own digits; a percentage may stand for its ratio."""
    slack = (one.amount_place, other.amount_place)
    for left, right in ((one.amount, other.amount), (one.value, other.value)):
        room = max(slack) if left is one.amount else max(one.place, other.place)
        if abs(left - right) <= room * 11 / 20:
            return True
    # 14.32 = 0.1432 and 14.32% = 14.32 are the same statement to whoever writes them
    low, high = sorted((abs(one.value), abs(other.value)))
    return low * 100 == high


def _consistent(quantities: list[Quantity]) -> bool:
    return len(quantities) <= 4 and all(
        _near(one, other) for index, one in enumerate(quantities) for other in quantities[index + 1 :]
    )


def _without_context(text: str, quantities: list[Quantity], begin: int, question: str, years: bool) -> list[Quantity]:
    if len(quantities) == 1:
        return quantities
    kept: list[Quantity] = []
    dropped_from = False
    for index, quantity in enumerate(quantities):
        before = text[max(begin, quantity.start - 28) : quantity.start]
        if quantity.year_like and not years and _calendar(text, quantity, before, question):
            continue
        gap = text[quantities[index - 1].end : quantity.start] if index else ""
        if dropped_from and _AFTER_FROM.match(gap):
            dropped_from = False
            if index + 1 < len(quantities):
                continue
        if _CONTEXT_BEFORE.search(before) and len(quantities) - index - 1 + len(kept) > 0:
            dropped_from = True
            continue
        if kept and kept[0].unit.label == "%" and _moved_by(quantity, before, question):
            continue
        if kept and _OF_WHOLE.search(before):
            continue
        listed = index > 0 and not any(character.isalpha() for character in gap)
        if question and len(quantities) > 1 and _given(text, quantity, quantities, question):
            continue
        if question and not listed and not quantity.unit.kind and _mentioned(text, quantity, question):
            kept_others = [other for other in quantities if other is not quantity and not other.year_like]
            if kept_others and not quantity.sign and quantity.place == 1 and quantity.value < 10000:
                continue
        kept.append(quantity)
    return kept or quantities


def _moved_by(quantity: Quantity, before: str, question: str) -> bool:
    """Whether a number of points only says how a level moved: "35.2%, up 2.1 points"."""
    points = quantity.unit.label in ("pp", "bp")
    return points and not asked(question).points and MOVEMENT.search(before) is not None


def _given(text: str, quantity: Quantity, quantities: list[Quantity], question: str) -> bool:
    """Whether a figure is one that the question states, in a sentence ("A is 9,600 and B 8,350, so C is 1,250") whose
    last figure is new. A bare list of figures is a list of candidates.
    """
    last = quantities[-1]
    if quantity is not quantities[0] and _IN_BRACKETS.search(text[: quantity.start]):
        return _mentioned(text, quantity, question)  # 3,000元（本金100,000元）
    if last.year_like or _mentioned(text, last, question) or not _mentioned(text, quantity, question):
        return False
    gaps = (text[one.end : other.start] for one, other in itertools.pairwise(quantities))
    return all(sum(character.isalpha() for character in gap) > 1 for gap in gaps)


def _calendar(text: str, quantity: Quantity, before: str, question: str) -> bool:
    if quantity.unit.label == "month" or text[quantity.end : quantity.end + 1] in ("年", ":"):
        return True
    return bool(_YEAR_CONTEXT.search(before)) or str(quantity.value) in question


def _mentioned(text: str, quantity: Quantity, question: str) -> bool:
    figure, question = text[quantity.start : quantity.end].strip(" ()").replace(",", ""), question.replace(",", "")
    at = question.find(figure)
    while at >= 0:
        around = question[max(0, at - 1) : at] + question[at + len(figure) : at + len(figure) + 1]
        if not any(character.isdecimal() or character == "." for character in around):
            return True
        at = question.find(figure, at + 1)
    return False


def _after_result(text: str, quantities: list[Quantity]) -> list[Quantity]:
    last = None
    for match in _RESULT.finditer(text):
        last = match.end()
    if last is None:
        return quantities
    tail = [quantity for quantity in quantities if quantity.start >= last]
    return tail if len(tail) == 1 and quantities[-1] is tail[0] else quantities


def _bound(text: str, quantity: Quantity) -> str:
    if match := _BOUND_BEFORE.search(text[max(0, quantity.start - 32) : quantity.start]):
        word = match.group().strip().lower()
        # "vesting over three years" says how long, not more than
        if not (quantity.unit.kind == "time" and word in ("over", "within", "up to")):
            return word
    if match := _BOUND_AFTER.match(text, quantity.end):
        return match.group().strip()
    return ""


def direction(text: str, quantity: Quantity) -> int:
    """The sign that words give to the number: the nearest one in front, in its clause, else one right behind it."""
    if quantity.sign and not quantity.triangle:
        return 0
    start = 0
    for match in _CLAUSE.finditer(text, 0, quantity.start):
        start = match.end()
    sums = [match.end() for match in _EQUALS.finditer(text, start, quantity.start)]
    if sums and any(character.isdecimal() for character in text[start : sums[-1]]):
        start = sums[-1]  # "4.0 less 0.8 = 3.2": the words belong to the sum
    front, back = text[start : quantity.start], text[quantity.end : quantity.end + 24]
    if stop := _CLAUSE.search(back):
        back = back[: stop.start()]
    for words in (MOVEMENT, LEVEL):
        last = None
        for match in words.finditer(front):
            last = match
        nearest = last or words.search(back)
        if nearest is not None:
            return -1 if nearest.lastgroup == "down" else 1
    return 0
