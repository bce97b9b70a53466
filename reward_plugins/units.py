"""The units that finance answers are in: scales, shares of a whole, currencies, times, weights, things counted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

ONE = Decimal(1)

SCALES: dict[str, Decimal] = {
    name: Decimal(value)
    for names, value in (
        ("hundred 百", "1e2"),
        ("thousand thousands k 千", "1e3"),
        ("万 ten thousand", "1e4"),
        ("十万", "1e5"),
        ("million millions mn mm mln mio m 百万", "1e6"),
        ("千万", "1e7"),
        ("亿", "1e8"),
        ("billion billions bn b 十亿", "1e9"),
        ("百亿", "1e10"),
        ("千亿", "1e11"),
        ("trillion trillions tn 万亿 兆", "1e12"),
    )
    for name in names.split()
    if name != "ten"
}
SCALES["thousand"] = Decimal(1000)

# kind -> {name: factor to the kind's base}. A "share" is a share of a whole: its base is the plain ratio.
_SHARES: dict[str, tuple[str, Decimal]] = {}
for _names, _label, _factor in (
    ("%|percent|per cent|per-cent|pct|pct.|percentage|个%|パーセント|％", "%", "0.01"),
    (
        "percentage points|percentage point|%-points|%ポイント|pp|pps|ppt|ppts|p.p.|个百分点|百分点|ポイント|points|point|pts",
        "pp",
        "0.01",
    ),
    ("‰", "‰", "0.001"),
    ("‱", "‱", "0.0001"),
    ("basis points|basis point|bps|bp|个基点|基点|个bp|个bps", "bp", "0.0001"),
    ("倍|times|x|×|-fold|fold", "x", "1"),
    ("成", "%", "0.1"),
):
    for _name in _names.split("|"):
        _SHARES[_name] = (_label, Decimal(_factor))

_CURRENCIES: dict[str, tuple[str, Decimal]] = {}
for _names, _code in (
    ("usd|us$|us dollars|us dollar|u.s. dollars|dollars|dollar|美元|美金|米ドル|ドル|$", "USD"),
    ("cny|rmb|yuan|renminbi|人民币元|元人民币|人民币|元|块钱|块|元整", "CNY"),
    ("eur|euros|euro|欧元|ユーロ|€", "EUR"),
    ("gbp|pounds sterling|pounds|pound|英镑|£", "GBP"),
    ("jpy|yen|日元|日圆|円|日本円", "JPY"),
    ("hkd|hk$|港元|港币|hk dollars", "HKD"),
    ("cad|c$|ca$|加元|canadian dollars", "CAD"),
    ("aud|a$|au$|澳元|australian dollars", "AUD"),
    ("chf|瑞士法郎|swiss francs", "CHF"),
    ("inr|rupees|₹|卢比", "INR"),
    ("krw|won|韩元|₩", "KRW"),
    ("sgd|s$|新加坡元|新元", "SGD"),
    ("twd|nt$|新台币|台币", "TWD"),
    ("¥", "CNY/JPY"),
):
    for _name in _names.split("|"):
        _CURRENCIES[_name] = (_code, ONE)
for _name in ("cents", "cent", "¢", "美分"):
    _CURRENCIES[_name] = ("USD", Decimal("0.01"))
for _name, _size in (("角", "0.1"), ("分", "0.01")):
    _CURRENCIES[_name] = ("CNY", Decimal(_size))

# Months and days have no common measure; a quarter is three months, a week seven days, a day 24 hours.
_TIMES: dict[str, tuple[str, Decimal]] = {}
for _names, _label, _factor in (
    ("years|year|yrs|yr|年间|年間|年", "month", "12"),
    ("quarters|quarter|个季度|季度|四半期", "month", "3"),
    ("months|month|mos|个月|ヶ月|か月|カ月|ケ月|月", "month", "1"),
    ("weeks|week|周|个星期|星期", "hour", "168"),
    ("days|day|calendar days|calendar day|天|日|个自然日|自然日", "hour", "24"),
    ("business days|working days|trading days|个工作日|工作日|个交易日|交易日", "workday", "1"),
    ("hours|hour|小时|时间", "hour", "1"),
):
    for _name in _names.split("|"):
        _TIMES[_name] = (_label, Decimal(_factor))

_WEIGHTS = {"吨": "1", "tons": "1", "tonnes": "1", "ton": "1", "千克": "0.001", "公斤": "0.001", "kg": "0.001"}

# Things that are counted. They say that the number in front is the whole count, not one in thousands.
_COUNTED = [
    "shares",
    "share",
    "股",
    "人次",
    "人",
    "名",
    "家",
    "户",
    "件",
    "台",
    "套",
    "units",
    "unit",
    "people",
    "employees",
    "branches",
    "items",
    "components",
    "options",
    "miles",
    "square feet",
    "barrels",
    "stores",
    "个",
    "份",
    "笔",
    "项",
    "只",
    "张",
    "辆",
    "種",
    "社",
    "公里",
    "平方米",
    "公顷",
    "立方米",
    "手",
    "吨",
]


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as written.

    `kind`: "" (none), "share", "money", "time", "weight" or "count". `label`: within the kind, what must agree: a
    currency code, "month"/"hour"/"workday", "%"/"bp"/"x"... `factor`: to the base of the kind (the plain ratio, the
    currency's main unit, months, ...). `scale`: the factor of the scale word (million, 万), `scaled` whether there was
    one.
    """

    kind: str = ""
    label: str = ""
    factor: Decimal = ONE
    scale: Decimal = ONE
    scaled: bool = False

    @property
    def size(self) -> Decimal:
        """What one of this unit is worth in the base of its kind."""
        return self.factor * self.scale


NONE = Unit()


def _alternation(names: list[str]) -> str:
    """The names, longest first; one of Latin letters ends at a word's end, and 百 does not begin 百分点."""
    ends = {name: r"(?![a-z])" for name in names if name[-1].isascii() and name[-1].isalpha()} | {"百": "(?!分)"}
    ends |= {"次": "(?![级性贷要])"}
    ends |= {name: r"(?! ?\d)" for name in names if name[-1] in "$€£¥₹₩"}  # there it belongs to the next number
    return "|".join(re.escape(name) + ends.get(name, "") for name in sorted(names, key=len, reverse=True))


_LETTER_SCALES = ("k", "m", "b", "mm")
_SCALE_AT = re.compile(
    r"[ \-(]{0,2}(?:in |in the )?(?:"
    + _alternation([name for name in SCALES if name not in _LETTER_SCALES])
    + r")|(?: ?(?-i:MM|[MB])|mm|[kmb])(?![a-z])",
    re.IGNORECASE,
)
_KINDS: dict[str, tuple[str, str, Decimal]] = (
    dict.fromkeys(_COUNTED, ("count", "", ONE))
    | {"次": ("count", "times", ONE)}  # of a turnover, where it means what 倍 and x mean
    | {name: ("weight", "t", Decimal(size)) for name, size in _WEIGHTS.items()}
    | {name: ("time", *entry) for name, entry in _TIMES.items()}
    | {name: ("money", *entry) for name, entry in _CURRENCIES.items()}
    | {name: ("share", *entry) for name, entry in _SHARES.items()}
)
_UNIT_AT = re.compile(r"[ \-(]{0,2}(?:of |in )?(?:" + _alternation(list(_KINDS)) + ")", re.IGNORECASE)
_LEAD = re.compile(r"^[ \-(]*(?:in the |in |of )?")
_PREFIX = re.compile(
    r"(?:" + "|".join(re.escape(name) for name in ("us$", "hk$", "c$", "ca$", "a$", "au$", "s$", "nt$")) + r"|[$€£¥₹₩]"
    r"|(?<![a-z])(?:usd|eur|gbp|rmb|cny|hkd|jpy|cad|aud|chf|inr)|人民币|美元|港元) ?$",
    re.IGNORECASE,
)


def unit_after(text: str, position: int) -> tuple[Unit, int]:
    """The unit that begins at `position` (one scale word and one unit at the most) and where it ends.

    `million dollars`, `亿元`, `%`, `thousand shares`. A single letter (350M, $2.4B) counts as a scale only when it
    touches the number.
    """
    scale, scaled, end = ONE, False, position
    if match := _SCALE_AT.match(text, end):
        scale, scaled, end = SCALES[_LEAD.sub("", match.group().lower())], True, match.end()
    if match := _UNIT_AT.match(text, end):
        kind, label, factor = _KINDS[_LEAD.sub("", match.group().lower())]
        return Unit(kind, label, factor, scale, scaled), match.end()
    return (Unit(scale=scale, scaled=True), end) if scaled else (NONE, position)


def currency_before(text: str, position: int) -> tuple[str, int]:
    """The currency code written right before `position` ("" if none) and where it begins."""
    match = _PREFIX.search(text[max(0, position - 6) : position])
    if match is None:
        return "", position
    return _CURRENCIES[match.group().lower().strip()][0], position - (match.end() - match.start())


def unit_named(name: str) -> Unit:
    """The unit that a data set names (`meta["unit"]`, `meta["scale"]`): "万元", "percent", "million", "百万円", "bp"."""
    text = name.strip().lower()
    unit, end = unit_after(text, 0)
    if unit.kind == "money" and not unit.scaled and (scale := unit_after(text, end)[0]).scaled:  # "USD millions"
        return Unit("money", unit.label, unit.factor, scale.scale, True)
    if unit.kind == "" and not unit.scaled and (currency := _CURRENCIES.get(text)):
        return Unit("money", *currency)
    if end == 0 and text in ("k", "m", "b"):
        return Unit(scale=SCALES[text], scaled=True)
    return unit


def same_money(ours: str, theirs: str) -> bool:
    """Whether two currency codes can mean the same currency (an unknown one agrees with any; ¥ is yuan or yen)."""
    return not ours or not theirs or ours == theirs or ours in theirs.split("/") or theirs in ours.split("/")
