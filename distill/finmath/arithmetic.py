"""Exact arithmetic that remembers how it is written, so that a worked solution cannot differ from the gold.

A `Term` is a number together with its text: `num(120) / num(800)` is 3/20 and reads "120 / 800". Values are
fractions throughout; no binary float ever meets a gold.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

# How tightly a text holds together: an operand that binds less than its operator needs is put in parentheses.
# A negative number binds like a product, so that it may begin one: "-20 / 100".
_SUM, _PRODUCT, _POWER, _ATOM = range(4)

# Digits kept of an irrational root: far beyond any rounding that a question asks for.
_ROOT_PLACES = 40


def rounded(value: Fraction, places: int) -> Fraction:
    """`value` to `places` decimals, halves away from zero (the rounding of schools and of annual reports)."""
    scaled = abs(value) * 10**places
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Fraction(whole if value >= 0 else -whole, 10**places)


def fixed(value: Fraction, places: int, group: bool = False) -> str:
    """`value` rounded half-up, written with exactly `places` decimals; `group` puts commas between thousands."""
    whole = int(rounded(value, places) * 10**places)
    digits = str(abs(whole)).rjust(places + 1, "0")
    head, tail = (digits[:-places], "." + digits[-places:]) if places else (digits, "")
    if group:
        head = f"{int(head):,}"
    return ("-" if whole < 0 else "") + head + tail


def decimals_of(value: Fraction, most: int = 12) -> int:
    """How many decimals write `value` in full. Raises `ValueError` where `most` are not enough (1/3, pi)."""
    for places in range(most + 1):
        if (value * 10**places).denominator == 1:
            return places
    raise ValueError(f"{value} has no short decimal form")


def plain(value: Fraction, most: int = 12) -> str:
    """`value` rounded to `most` decimals, without trailing zeros."""
    near = rounded(value, most)
    return fixed(near, decimals_of(near, most))


def shown(value: Fraction) -> Fraction:
    """`value` as a worked solution prints it: enough decimals that two-decimal percentages survive, no more."""
    return rounded(value, 4 if abs(value) >= 100 else 6)


@dataclass(frozen=True, slots=True)
class Term:
    """A number and how it is written.

    `value` is exact. `seen` is what a reader gets who calculates with the figures as printed, which differ from the
    exact ones where an earlier step was rounded; the generator throws a problem away if the two lead to different
    golds.
    """

    value: Fraction
    seen: Fraction
    text: str
    binds: int = _ATOM

    def __str__(self) -> str:
        return self.text

    def __add__(self, other: Term | int) -> Term:
        right = _term(other)
        return self._join(right, "+", self.value + right.value, self.seen + right.seen, _SUM)

    def __sub__(self, other: Term | int) -> Term:
        right = _term(other)
        return self._join(right, "-", self.value - right.value, self.seen - right.seen, _SUM)

    def __mul__(self, other: Term | int) -> Term:
        right = _term(other)
        return self._join(right, "×", self.value * right.value, self.seen * right.seen, _PRODUCT)

    def __truediv__(self, other: Term | int) -> Term:
        right = _term(other)
        return self._join(right, "/", self.value / right.value, self.seen / right.seen, _PRODUCT)

    def __radd__(self, other: int) -> Term:
        return _term(other) + self

    def __rsub__(self, other: int) -> Term:
        return _term(other) - self

    def __rmul__(self, other: int) -> Term:
        return _term(other) * self

    def __neg__(self) -> Term:
        return Term(
            -self.value, -self.seen, "-" + self._within(_POWER if self.text.startswith("-") else _PRODUCT), _PRODUCT
        )

    def __pow__(self, exponent: int) -> Term:
        if exponent == 1:
            return self
        return Term(self.value**exponent, self.seen**exponent, f"{self._within(_ATOM)}^{exponent}", _POWER)

    def root(self, degree: int) -> Term:
        """The positive root, exact where it is rational; `degree` 1 leaves the term as it is."""
        if degree == 1:
            return self
        text = f"{self._within(_ATOM)}^(1/{degree})"
        return Term(_root(self.value, degree), _root(self.seen, degree), text, _POWER)

    def _join(self, right: Term, sign: str, value: Fraction, seen: Fraction, binds: int) -> Term:
        # The right side of "-" and "/" needs parentheses at equal binding, and a minus never follows an operator.
        tighter = _POWER if right.text.startswith("-") else binds if sign in "+×" else binds + 1
        return Term(value, seen, f"{self._within(binds)} {sign} {right._within(tighter)}", binds)

    def _within(self, needed: int) -> str:
        return self.text if self.binds >= needed else f"({self.text})"


def num(value: int | Fraction) -> Term:
    """A number as a term. Raises `ValueError` for a fraction that has no short decimal form."""
    exact = Fraction(value)
    return Term(exact, exact, fixed(exact, decimals_of(exact)), _PRODUCT if exact < 0 else _ATOM)


def percentage(value: int | Fraction) -> Term:
    """A number of percent, written as such: worth `value` hundredths."""
    term = num(value)
    return Term(term.value / 100, term.seen / 100, f"{term}%", term.binds)


def cents(value: Fraction) -> Term:
    """A number with at most two decimals, as prices are quoted."""
    return num(rounded(value, 2))


def total(terms: list[Term]) -> Term:
    """The sum of one or more terms, written out."""
    result = terms[0]
    for term in terms[1:]:
        result = result + term
    return result


def result_of(term: Term) -> Term:
    """What stands behind the equals sign when `term` is worked out: a number that keeps the exact value."""
    seen = shown(term.seen)
    return Term(term.value, seen, plain(seen), _PRODUCT if seen < 0 else _ATOM)


def _term(value: Term | int) -> Term:
    return value if isinstance(value, Term) else num(value)


def _root(value: Fraction, degree: int) -> Fraction:
    top, bottom = _whole_root(value.numerator, degree), _whole_root(value.denominator, degree)
    if top**degree == value.numerator and bottom**degree == value.denominator:
        return Fraction(top, bottom)
    scale = 10**_ROOT_PLACES
    return Fraction(_whole_root(value.numerator * scale**degree // value.denominator, degree), scale)


def _whole_root(value: int, degree: int) -> int:
    """The largest whole number whose power does not exceed `value` (Newton's method on integers)."""
    if value < 2:
        return value
    guess = 1 << -(-value.bit_length() // degree)
    while True:
        better = ((degree - 1) * guess + value // guess ** (degree - 1)) // degree
        if better >= guess:
            return guess
        guess = better
