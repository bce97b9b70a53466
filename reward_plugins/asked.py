"""What a question asks for: a percentage, an amount in millions, a decrease, two values in a given order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from reward_plugins.units import Unit, unit_after

# A question may carry a page of context in front; what is asked stands at its end.
_ENGLISH_TAIL, _CHINESE_TAIL = 320, 130

_PERCENT = re.compile(r"per ?cent|percentage|%|百分之|百分比|百分点|何ポイント|パーセント|\bpct\b", re.IGNORECASE)
_POINTS = re.compile(r"percentage points?|百分点|ポイント|\bpp\b", re.IGNORECASE)
_SHARE = re.compile(
    r"\b(?:rate|margin|return|yield|growth|portion|proportion|share of|fraction|probability|chance|weight|roe|roa|alpha|"
    r"ratio|wacc|m?irr|ytm|volatility|risk premium|apr|apy|cost of (?:capital|equity)|(?:swap|credit|yield) spread)s?\b|率|比重|占比|比例|幅度|增速|概率|权重",
    re.IGNORECASE,
)
# Names with "rate", "ratio" or 率 in them that are multiples or prices and no share of a whole.
_NO_SHARE = re.compile(r"\bratio|turnover|比率|周转率|市盈率|市净率|市销率|杠杆率|倍率|効率", re.IGNORECASE)
_EXCHANGE = re.compile(r"(?i:exchange rate)|汇率|換算率|\b[A-Z]{3} ?[-/] ?[A-Z]{3}\b")
_BASIS_POINTS = re.compile(r"basis points?|\bbps?\b|基点", re.IGNORECASE)
_MULTIPLE = re.compile(
    r"\bratios?\b|how many times|\bmultiples?\b|turnover|times as|几倍|多少倍|倍数|比率|周转率|市盈率|市净率|比值|何倍|leverage|coverage",
    re.IGNORECASE,
)
_SCALE_ASKED = re.compile(
    r"\b(?:in|of|as|\() ?(?:us\$|usd|us dollars?|u\.s\. dollars?|\$|dollars?|€|£)? ?(?=(?:thousand|million|billion|trillion)s?\b)"
    r"(?:thousand|million|billion|trillion)s?(?: of)?(?: us)?(?: (?:dollars?|yuan|rmb|yen|euros?|shares|usd))?",
    re.IGNORECASE,
)
_UNIT_LINE = re.compile(r"(?:unit|单位|in units of)s? ?(?:是|为)? ?[:：]? ?(?=\S)", re.IGNORECASE)
_HOW_MUCH = re.compile(r"(?:多少|几|幾|（ *）|\( *\)|_{2,}|＿{2,}|いくら|何)(?:个|の)?", re.IGNORECASE)
_UNIT_IS = re.compile(r"(?:以|用|按) ?(?P<unit>[百千十]?[万亿]?(?:元|美元|港元|欧元|日元|人民币))(?:为单位|计|表示)?")
_HOW_MANY_TIME = re.compile(
    r"how (?:many|much) (?P<unit>years|months|days|weeks|quarters|hours)\b|\bin (?P<other>years|months|days)\b", re.I
)
_HOW_MANY = re.compile(r"\bhow many\b|\bnumber of\b|多少(?:人|家|股|户|名|件)|几(?:人|家|个)", re.IGNORECASE)
_MONEY = re.compile(
    r"\b(?:revenues?|sales|expenses?|income|costs?|profits?|earnings|cash|debt|assets|liabilities|equity|dividends?|tax(?:es)?)\b"
    r"|收入|利润|成本|费用|资产|负债|现金|金额|余额|股利|税",
    re.IGNORECASE,
)
_RATIO = re.compile(r"\bratio\b|比率|比值|周转率|市盈率|市净率|倍数", re.IGNORECASE)
_THINGS = re.compile(
    r"\b(?:shares?|stocks?|units?|options?|employees|people|customers|times)\b|股(?!利)|人|家|次|倍", re.IGNORECASE
)
_IN_DOLLARS = re.compile(r"\bin (?:us )?(?:dollars|usd)\b|\(dollars\)", re.IGNORECASE)
_FOREIGN = re.compile(r"美元|美金|港元|港币|欧元|英镑|日元|澳元|加元|外汇|汇率|ドル|ユーロ|[$€£]|USD|HKD|EUR")
_KANA = re.compile("[\u3041-\u30fa]")
_HANZI = re.compile("[\u4e00-\u9fff]")
_YEAR = re.compile(
    r"\b(?:which|what)\b[^?]{0,40}\byears?\b|\bin which years?\b|\bwhen\b|哪(?:一)?年|何年(?:度)?に|哪些年",
    re.IGNORECASE,
)
_ORDERED = re.compile(
    r"respectively|\brespective\b|in (?:that|this|the following) order|依次|分别|(?<!不分)(?<!不计)(?<!不论)(?<!不限)(?<!无论)(?<!任意)顺序(?!不限|不分|不计|不论|任意|无关|可)|それぞれ|順に",
    re.IGNORECASE,
)
_NEUTRAL = re.compile(
    r"\bchang(?:e|ed|es)\b|\bdifference\b|increase ?(?:/|or) ?\(?decrease|変化|増減|变动|变化|增减|差异", re.IGNORECASE
)

# Words that give a number its sign. A movement outweighs a level: a loss that increased went up.
MOVEMENT = re.compile(
    r"(?P<down>\b(?:decreas\w{0,4}|declin\w{0,4}|fell|fall(?:en|s|ing)?|drop\w{0,4}|reduc\w{0,5}|down|lower\w{0,3}|less|fewer|"
    r"shr[aiu]nk\w{0,4}|slid|slump\w{0,3}|plung\w{0,3}|diminish\w{0,3}|narrow\w{0,3}|contract(?:ed|s|ing)|negative growth)\b"
    r"|负增长|下降|下行|走低|减少|降低|下滑|下跌|下调|缩减|缩小|回落|萎缩|降幅|跌幅|低下|減少|悪化|低于|[减減](?![值免])|降|跌|缩|(?<!多)少)"
    r"|(?P<up>\b(?:increas\w{0,4}|ris(?:e|es|en|ing)|rose|gr[eo]w\w{0,3}|growth|up|higher|climb\w{0,3}|widen\w{0,3}|more|jump\w{0,3}|"
    r"improv\w{0,6}|rais\w{0,3})\b"
    r"|增长|增加|上行|走高|加息|上升|上涨|上调|提高|扩大|增幅|涨幅|高于|升|涨|多(?!少)|增|増)",
    re.IGNORECASE,
)
LEVEL = re.compile(
    r"(?P<down>\b(?:loss(?:es)?|lost|losing|deficits?|outflows?|used|shortfall)\b|净亏损|亏损|净流出|流出|逆差|赤字|(?<!扭)(?<!转)亏|转亏(?!为盈)|(?<!减值)(?<!变动)损失|損失)"
    r"|(?P<up>\b(?:profits?|income|inflows?|earned|earnings|surplus|gain(?:s|ed)?)\b|扭亏|转亏为盈|盈利|净利润|净流入|流入|盈余|顺差|净赚|利益)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the question says about the form of its answer.

    `percent`: a percentage, in so many words; `points`: percentage points; `decimal`: a plain ratio; `share`: a rate or a share of a whole.
    `multiple`: a ratio or a number of times. `unit`: the unit that a bare number is in, None where the question does
    not say. `direction`: -1 where a decrease or a loss is asked for, 1 for an increase, 0 where the sign is open.
    `counted`: a number of things. `money`: an amount of money and no number of things.
    `ratio`: a ratio by its name. `year`: a calendar year. `ordered`: several values in the question's order. `home`: the currency that goes
    without saying in the question's language, "" where it names another or has no single one.
    """

    percent: bool
    points: bool
    decimal: bool
    share: bool
    multiple: bool
    unit: Unit | None
    direction: int
    counted: bool
    money: bool
    ratio: bool
    year: bool
    ordered: bool
    home: str


@lru_cache(maxsize=8192)
def asked(question: str) -> Asked:
    """Read a question; pure, cached because a group of rollouts shares one."""
    tail = _tail(question)
    clause, rest = _asking(tail)
    form = _GIVEN.sub(" ", f"{clause} {rest}")
    share = _SHARE.search(clause) is not None and not (_NO_SHARE.search(clause) or _EXCHANGE.search(tail))
    counted = _HOW_MANY.search(clause) is not None
    return Asked(
        percent=_PERCENT.search(form) is not None,
        points=_POINTS.search(form) is not None,
        decimal=_DECIMAL.search(form) is not None,
        share=share,
        multiple=_MULTIPLE.search(clause) is not None,
        unit=_unit(tail, form),
        direction=_direction(clause),
        counted=counted,
        money=_MONEY.search(clause) is not None and not counted and _THINGS.search(clause) is None,
        ratio=_RATIO.search(clause) is not None,
        year=_YEAR.search(tail) is not None,
        ordered=_ORDERED.search(tail) is not None,
        home=_home(question),
    )


def _tail(question: str) -> str:
    text = question.translate(_WIDTH)
    limit = _ENGLISH_TAIL if text[-400:].isascii() else _CHINESE_TAIL
    if len(text) <= 2 * limit:
        return text
    cut = text[-limit:]
    starts = [cut.find(mark) for mark in ("问题:", "。", "? ", ". ", "\n")]
    first = min((start for start in starts if 0 <= start < len(cut) - 40), default=-1)
    return cut[first + 1 :]


# Where a sentence ends, and what makes one a question. "(in U.S. dollars)" ends none.
_STOP = re.compile(r"[?？。!！\n]+|(?<![A-Z])\.(?: +(?=[A-Z])|(?=[A-Z][a-z]))")
_ASKS = re.compile(
    r"\b(?:what|how|which|when|who|whom|whose|where|calculate|compute|find|determine|estimate|evaluate)\b"
    r"|多少|几|幾|何|哪|（ *）|\( *\)|_{2,}|＿{2,}|いくら|求|计算|[?？]|ですか|教えて",
    re.IGNORECASE,
)
_OPENING = re.compile(r"[,;:] (?:then |and )?(?=(?:what|how|which|calculate|compute|find|determine)\b)", re.IGNORECASE)
_CONDITION = re.compile(r",? \b(?:if|given|assuming|suppose|provided|using|based on|with a|at a)\b", re.IGNORECASE)
_GIVEN = re.compile(
    r"(?<!\b19\d)(?<!\b20\d)\d ?(?:%|percentage points?|per ?cent|basis points?|bps?\b|个百分点|个?基点|パーセント|ポイント)",
    re.IGNORECASE,
)
_DECIMAL = re.compile(
    r"\bunit: decimal|\b(?:as|in) (?:a )?decimals?\b|\bdecimal (?:form|number|value)|\bbetween 0 and 1\b|小数(?:表示|形式|作答)",
    re.IGNORECASE,
)
_WIDTH = {ord("（"): "(", ord("）"): ")", ord("％"): "%", ord("："): ":", ord("？"): "?", 0x3000: " ", 0xA0: " "}


def _asking(tail: str) -> tuple[str, str]:
    """The clause that asks, and what follows its sentence: "Rates are 5%. What is X [if Y is 3%]? Answer in percent."

    What is given says nothing about the answer's form, so a condition is no part of the clause. Where no sentence
    asks, all of the text does.
    """
    start, last, end = 0, 0, 0
    for stop in (*(match.end() for match in _STOP.finditer(tail)), len(tail)):
        if _ASKS.search(tail, end, stop):
            start, last = end, stop
        end = stop
    if not last:
        return tail, ""
    sentence = tail[start:last]
    if openings := list(_OPENING.finditer(sentence)):
        sentence = sentence[openings[-1].end() :]
    if condition := _CONDITION.search(sentence, min(len(sentence), 12)):
        sentence = sentence[: condition.start()]
    return sentence, tail[last:]


def _unit(tail: str, form: str) -> Unit | None:
    if _BASIS_POINTS.search(form):
        return unit_after("bp", 0)[0]
    if match := _UNIT_LINE.search(tail):
        unit, _ = unit_after(tail, match.end())
        if unit.kind or unit.scaled:
            return unit
    for match in reversed(list(_HOW_MUCH.finditer(tail))):
        unit, end = unit_after(tail, match.end())
        if end > match.end() and (unit.kind or unit.scaled):
            return unit
    if match := _UNIT_IS.search(tail):
        return unit_after(match.group("unit"), 0)[0]
    if match := _SCALE_ASKED.search(tail):
        text = match.group()
        at = re.search(r"thousand|million|billion|trillion", text, re.IGNORECASE)
        unit, _ = unit_after(text, at.start() if at else 0)
        if unit.kind == "" and re.search(r"\$|dollar|usd", text, re.IGNORECASE):
            return Unit("money", "USD", unit.factor, unit.scale, unit.scaled)
        return unit
    if match := _HOW_MANY_TIME.search(tail):
        return unit_after(match.group("unit") or match.group("other"), 0)[0]
    if _IN_DOLLARS.search(tail):
        return unit_after("dollars", 0)[0]
    return None


def _home(question: str) -> str:
    if _FOREIGN.search(question):
        return ""
    if _KANA.search(question):
        return "JPY"
    return "CNY" if _HANZI.search(question) else ""


def _direction(tail: str) -> int:
    if _NEUTRAL.search(tail):
        return 0
    for words in (MOVEMENT, LEVEL):
        found = {match.lastgroup for match in words.finditer(tail)}
        if found:
            return 0 if len(found) == 2 else -1 if found == {"down"} else 1
    return 0
