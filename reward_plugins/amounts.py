"""Numeric golds: what the data set means by its number, and whether a stated number is the same amount."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from reward_plugins.asked import Asked
from reward_plugins.claim import Claim
from reward_plugins.markup import plain
from reward_plugins.quantity import Quantity, whole
from reward_plugins.tolerance import Target, same
from reward_plugins.units import NONE, ONE, Unit, same_money, unit_named

_HUNDREDTH = Decimal("0.01")
# FinQA's executed answers are rounded to five decimals.
_EXECUTED_PLACE = Decimal("0.00001")
# US filings, whose percentages are executed as ratios (0.1432 for 14.32%); all others state points.
_RATIO_SETS = frozenset(("finqa", "convfinqa"))
_SCALED_SETS = frozenset(("tatqa", "tat-qa", "tathqa", "tat-hqa"))


@dataclass(frozen=True, slots=True)
class NumericGold:
    """A gold number as the data set means it.

    `targets`: its value in base units, the finest statement first. `unit`: the unit that it is in; a `unit.kind` of
    "share" makes it a share of a whole (base: the plain ratio). `bare`: what a number without a unit may be multiplied
    by to get to base units. `open_scale`: nothing says whether the number is in units, thousands or millions.
    `why`: how it is read, for an explanation. `home`: the currency that amounts are in where none is stated.
    """

    targets: tuple[Target, ...]
    unit: Unit
    bare: tuple[Decimal, ...]
    open_scale: bool
    why: str
    home: str = ""


def numeric_gold(gold: str, wanted: Asked, meta: Mapping[str, Any]) -> NumericGold | None:
    """Read a (plain) gold as a number with the help of the question and of `meta`; None if it is no number."""
    stated = whole(gold)
    if stated is None or stated.unit.kind == "conflict":
        return None
    dataset = str(meta.get("dataset") or "").lower()
    read = _read(stated, dataset, wanted, meta)
    return replace(read, home="USD" if dataset in _RATIO_SETS else wanted.home)


def _read(stated: Quantity, dataset: str, wanted: Asked, meta: Mapping[str, Any]) -> NumericGold:
    executed = _number(meta.get("exe_ans"))
    if executed is not None or dataset in _RATIO_SETS:
        return _executed_gold(stated, executed, _field(meta.get("answer")), wanted, _named_scale(meta))
    unit = stated.unit
    named = _named_unit(meta, stated, wanted)
    if unit.kind == "share" and unit.label != "x":
        return _share(stated, unit, meta, f"the gold is stated in {unit.label}")
    if unit is NONE and wanted.decimal and abs(stated.value) < 1:
        return _ratio((Target(stated.value, stated.place, "gold"),), False, "a decimal is asked for")
    if unit is NONE or (unit.kind in ("", "count") and not unit.scaled and named is not None and named.kind):
        if named is not None and named.kind == "share" and named.label != "x":
            return _share(stated, named, meta, f"the gold is in {named.label}, as the data set or the question says")
        if named is None and wanted.percent:
            return _share(stated, unit_named("%"), meta, "a percentage is asked for, so the gold is in points")
        if named is None and wanted.share and not wanted.multiple:
            if abs(stated.value) >= 1:
                return _share(stated, unit_named("%"), meta, "a rate is asked for and the gold is 1 or more: points")
            return _ratio((Target(stated.value, stated.place, "gold"),), False, "a rate below 1 is a ratio")
    return _amount(stated, named, dataset, meta, wanted)


def _named_unit(meta: Mapping[str, Any], stated: Quantity, wanted: Asked) -> Unit | None:
    """The unit that the data set or, failing that, the question fixes; None where neither does."""
    if wanted.percent and wanted.unit is None and stated.unit is NONE and meta.get("dataset") == "jfinqa":
        return unit_named("%")  # jfinqa's scale is that of the statements, and holds for amounts only
    if stated_unit := _stated_unit(meta):
        return stated_unit
    if wanted.percent and wanted.unit is None:
        return unit_named("%") if wanted.points else None
    return wanted.unit


def _stated_unit(meta: Mapping[str, Any]) -> Unit | None:
    names = (meta.get(key) for key in ("unit", "scale"))
    units = [unit_named(name) for name in names if isinstance(name, str) and name.strip()]
    if len(units) == 2 and units[0].kind and not units[0].scaled and units[1].scaled and not units[1].kind:
        return replace(units[0], scale=units[1].scale, scaled=True)  # {"unit": "$", "scale": "million"}
    return next((unit for unit in units if unit is not NONE), None)


def _named_scale(meta: Mapping[str, Any]) -> Unit | None:
    """The unit of amounts that `meta` states; None where it states none, or a share of a whole."""
    named = _stated_unit(meta)
    return named if named is not None and named.kind != "share" else None


def _share(stated: Quantity, unit: Unit, meta: Mapping[str, Any], why: str) -> NumericGold:
    targets = _targets(stated.value * unit.size, stated.place * unit.size, meta, (unit.size, ONE))
    if unit.label in ("bp", "‱", "‰"):
        return NumericGold(targets, unit, (unit.size,), False, why)
    return NumericGold(targets, unit, (_HUNDREDTH, ONE), False, f"{why}; an equal ratio is the same number")


def _ratio(targets: tuple[Target, ...], points_too: bool, why: str) -> NumericGold:
    bare = (ONE, _HUNDREDTH) if points_too else (ONE,)
    return NumericGold(targets, Unit("share", "ratio"), bare, False, why)


def _executed_gold(
    stated: Quantity, executed: Decimal | None, answer: Quantity | None, wanted: Asked, named: Unit | None
) -> NumericGold:
    """FinQA: `exe_ans` is the executed program, `answer` what the annotator wrote; find out how they are one value.

    `named`: the unit or scale that `meta` states for amounts; a share of a whole has none.
    """
    if executed is None and stated.unit is NONE:
        executed = stated.value
    if answer is not None and executed is not None and _opposite(answer, executed):
        # "the decline was 9.1%" beside -0.09091: the fields differ in their sign only, and the gold's holds
        if (stated.value < 0) == (executed < 0):
            answer = replace(answer, value=-answer.value)
        else:
            executed = -executed
    written = stated if stated.unit is not NONE else (answer or stated)
    if executed is not None:
        points = written.unit.kind == "share" and written.unit.label != "x"
        fine = Target(executed, _EXECUTED_PLACE, "exe_ans")
        share = Unit("share", "%", _HUNDREDTH)
        if points and _coherent(written, executed * 100):
            coarse = Target(written.amount, written.amount_place, "answer")
            return _ratio((fine, coarse), True, "exe_ans is a ratio and the answer its percentage")
        if points and _coherent(written, executed):
            targets = (
                Target(executed * _HUNDREDTH, _EXECUTED_PLACE * _HUNDREDTH, "exe_ans"),
                Target(written.amount, written.amount_place, "answer"),
            )
            return NumericGold(targets, share, (_HUNDREDTH, ONE), False, "exe_ans is in percentage points")
        if not points and written.unit.kind in ("", "money", "count") and _coherent(written, executed):
            alone = answer is None and stated.unit is NONE
            if wanted.points or (wanted.percent and not alone and abs(executed) >= 1):
                targets = (
                    Target(executed * _HUNDREDTH, _EXECUTED_PLACE * _HUNDREDTH, "exe_ans"),
                    Target(written.value * _HUNDREDTH, written.place * _HUNDREDTH, "answer"),
                )
                return NumericGold(targets, share, (_HUNDREDTH, ONE), False, "percentage points are asked for")
            coarse = Target(written.value, written.place, "answer")
            if wanted.percent:
                return _ratio(
                    (fine,) if alone else (fine, coarse), True, "exe_ans is a ratio, a percentage is asked for"
                )
            scale = written.unit if written.unit.scaled or written.unit.kind else (named or wanted.unit or NONE)
            if scale.kind == "share":
                scale = NONE
            size = scale.size
            fields = (fine,) if alone else (fine, coarse)
            scaled = tuple(Target(each.value * size, each.place * size, each.source) for each in fields)
            return NumericGold(
                scaled,
                scale,
                (size,),
                not scale.scaled and named is None and wanted.unit is None,
                "the number as executed",
            )
        if not points and _coherent(written, executed * 100):
            coarse = Target(written.value * _HUNDREDTH, written.place * _HUNDREDTH, "answer")
            return _ratio((fine, coarse), True, "exe_ans is a ratio and the answer its percentage without a sign")
    target = Target(stated.amount, stated.amount_place, "gold")
    if stated.unit.kind == "share":
        return NumericGold(
            (target,), stated.unit, (_HUNDREDTH, ONE), False, "exe_ans and answer disagree: the gold alone"
        )
    if stated.unit is NONE and wanted.percent:
        return _ratio((target,), True, "exe_ans and answer disagree: the gold alone, a percentage is asked for")
    unit = stated.unit if stated.unit is not NONE else (wanted.unit or NONE)
    if unit is not stated.unit and unit.kind == "share":
        unit = NONE
    target = Target(stated.value * unit.size, stated.place * unit.size, "gold")
    return NumericGold((target,), unit, (unit.size,), unit is NONE, "exe_ans and answer disagree: the gold alone")


def _amount(stated: Quantity, named: Unit | None, dataset: str, meta: Mapping[str, Any], wanted: Asked) -> NumericGold:
    own = stated.unit
    unit, why = own, "the gold states its unit"
    fixed = True
    if (
        own is NONE
        or (own.kind == "count" and not own.scaled)
        or (own.kind == "money" and not own.scaled and own.factor == 1)
    ):
        if named is not None and (named.scaled or named.kind) and not (named.kind == "share" and named.label != "x"):
            kind, label, factor = (
                (own.kind, own.label, own.factor) if own.kind else (named.kind, named.label, named.factor)
            )
            explicit = own.kind == "money" and not stated.prefixed
            scale = ONE if explicit else named.scale
            unit = Unit(kind, label, factor, scale, named.scaled and not explicit)
            why = "the data set or the question says which unit the gold is in"
        else:
            stated_none = dataset in _SCALED_SETS and meta.get("scale") == ""
            fixed = own is not NONE or stated_none
            why = (
                "the data set says that there is no scale" if stated_none else "nothing says which unit the gold is in"
            )
    bare: tuple[Decimal, ...] = (unit.size,)
    if own.scaled or own.kind in ("time", "weight") or own.factor != 1:
        agreed = named is not None and named.size == own.size
        lone = () if own.kind in ("time", "weight") else (ONE,)
        bare = (own.size,) if agreed else lone

    targets = _targets(stated.value * unit.size, stated.place * unit.size, meta, (unit.size, ONE))
    return NumericGold(targets, unit, bare, not fixed, why)


def _targets(value: Decimal, place: Decimal, meta: Mapping[str, Any], sizes: tuple[Decimal, ...]) -> tuple[Target, ...]:
    """The gold and, where the data set has it, its unrounded `value`."""
    gold = Target(value, place, "gold")
    exact = _number(meta.get("value"))
    if exact is not None:
        for size in sizes:
            fine = exact * size
            if place > 0 and abs(fine - value) <= place * Decimal("0.51"):
                return Target(fine, min(place, max(abs(fine), ONE) * Decimal("1e-9")), "value"), gold
    return (gold,)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = Decimal(str(value).strip().replace(",", ""))
    except ArithmeticError:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < 30 else None


def _field(value: Any) -> Quantity | None:
    return whole(plain(str(value))) if value is not None and str(value).strip() else None


def _coherent(written: Quantity, executed: Decimal) -> bool:
    """Whether an annotator's number is the executed one, rounded, truncated or at most 1% off (hand arithmetic)."""
    off = abs(written.value - executed)
    return off <= written.place or off <= abs(executed) * _HUNDREDTH


def _opposite(answer: Quantity, executed: Decimal) -> bool:
    """Whether the two fields of a row are one value but for the sign."""
    if answer.value * executed >= 0:
        return False
    return _coherent(answer, -executed) or _coherent(answer, -executed * 100)


def executed_disagrees(meta: Mapping[str, Any]) -> bool:
    """Whether FinQA's two fields of a row state different values, beyond rounding and percent; False if one is missing.

    A yes/no in one field and a number in the other differ; two words are compared elsewhere.
    """
    answer, raw = str(meta.get("answer") or "").strip(), meta.get("exe_ans")
    if raw is None or raw == "" or not answer:
        return False
    executed, written = _number(raw), _field(answer)
    if executed is None or written is None:
        return (executed is None) != (written is None) or answer.lower() != str(raw).strip().lower()
    points = written.unit.kind == "share"
    if _coherent(written, executed) and (not points or abs(executed) >= 1 or written.value == executed):
        return False
    return not _coherent(written, executed * 100)


def compare(claim: Claim, gold: NumericGold, wanted: Asked, japanese: bool = False) -> tuple[str, str]:
    """Whether a stated number is the gold: ("correct" | "wrong" | "undecided", why)."""
    quantity = claim.quantity
    sign = _sign(claim, gold.targets[0].value, wanted, japanese)
    if sign == 0:
        return "wrong", "it says the opposite of what is asked for"
    candidates, why = _amounts(quantity, gold, wanted)
    if not candidates:
        return "wrong", why
    # "3 years" of a contract are not 2.6 years; a duration that was computed has decimals
    whole_units = gold.unit.kind == "time" and gold.targets[0].place == gold.unit.size
    outcomes = [
        same(quantity.value * factor * sign, quantity.place * factor, gold.targets, gold.unit.size, whole_units)
        for factor in candidates
    ]
    for agrees, reason in outcomes:
        if agrees:
            return "correct", reason
    if any(same(-quantity.value * factor * sign, quantity.place * factor, gold.targets)[0] for factor in candidates):
        return "wrong", "its sign is missing or reversed"
    scaled = gold.open_scale and quantity.unit.scaled and quantity.unit.kind in ("", "money", "count")
    if scaled and same(quantity.value * sign, quantity.place, gold.targets)[0]:
        return "undecided", "the digits agree, and nothing says which scale the gold is in"
    nearest = min(
        range(len(candidates)), key=lambda at: abs(quantity.value * candidates[at] * sign - gold.targets[0].value)
    )
    return "wrong", outcomes[nearest][1]


def _sign(claim: Claim, gold: Decimal, wanted: Asked, japanese: bool) -> int:
    """What the stated value is to be multiplied by for the words around it; 0 where they contradict the question."""
    if claim.quantity.triangle:
        return -1 if japanese else 1
    if claim.direction == 0:
        return 1
    if wanted.direction < 0:
        # "decreased by 5" answers "what was the decrease" in either convention of the data set
        return 0 if claim.direction > 0 else (-1 if gold < 0 else 1)
    return claim.direction


def _amounts(quantity: Quantity, gold: NumericGold, wanted: Asked) -> tuple[tuple[Decimal, ...], str]:
    """The factors that may take the stated number to base units; none, and why, where its unit is of another kind."""
    unit = quantity.unit
    if unit.kind == "conflict":
        return (), f"it names two units ({unit.label})"
    if gold.unit.kind == "share":
        if unit.kind == "share" and not unit.scaled:
            return (unit.factor,), ""
        if (unit is NONE or (unit.kind == "count" and not unit.scaled)) and gold.bare:
            exact = (ONE,) if quantity.fraction and ONE in gold.bare else gold.bare
            return exact, ""
        return (), f"its unit ({unit.label or unit.kind or 'a scale'}) is of another kind than the gold's"
    if unit.kind == "share":
        plain_gold = gold.unit.kind == "" and not gold.unit.scaled
        if unit.label == "x" and gold.unit.label == "times" and not unit.scaled:
            return gold.bare, ""
        if plain_gold and not unit.scaled and (unit.label not in ("x", "pp", "bp") or wanted.multiple or wanted.share):
            return (unit.factor,), ""
        return (), f"its unit ({unit.label}) is of another kind than the gold's"
    if (
        unit.kind
        and gold.unit.kind
        and unit.kind != gold.unit.kind
        and not (unit.kind == "count" and gold.unit.kind == "")
    ):
        return (
            (),
            f"its unit ({unit.label or unit.kind}) is of another kind than the gold's ({gold.unit.label or gold.unit.kind})",
        )
    if unit.kind == "money" and gold.unit.kind != "money" and wanted.counted:
        return (), "a number of things is asked for, not an amount of money"
    if unit.kind in ("money", "time") and gold.unit is NONE and wanted.ratio:
        return (), f"a ratio is asked for, not {'an amount of money' if unit.kind == 'money' else 'a length of time'}"
    if unit.kind == "count" and wanted.money and gold.unit.kind != "count":
        return (), "an amount of money is asked for, not a number of things"
    currency = gold.unit.label if gold.unit.kind == "money" else gold.home
    if unit.kind == "money" and not same_money(unit.label, currency):
        return (), f"another currency ({unit.label}, not {currency})"
    if unit.kind == "time" and gold.unit.kind == "time" and unit.label != gold.unit.label:
        return (), "another unit of time"
    if unit is NONE:
        return (gold.bare, "") if gold.bare else ((), "its unit is missing, and nothing fixes it")
    if unit.scaled or unit.factor != 1:
        shared = gold.unit.factor if unit.kind == "" else unit.factor
        return (unit.scale * shared,), ""
    if quantity.prefixed or unit.kind == "count":
        return tuple(dict.fromkeys((*gold.bare, ONE))), ""
    return (ONE,), ""
