"""What a source's licence allows: may a set made of it be used, and passed on, for the stated use?

A table of the licences that finance data sets state, and no legal advice: a licence that is not in it, or that a source
states in words of its own, is for a person to read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from reward_plugins.errors import Refused

Use = Literal["commercial", "research"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What one licence says. `source` is where its text is to be read."""

    commercial: bool
    research: bool
    why: str
    source: str = ""

    def allow(self, use: Use) -> bool:
        """Whether a set with such rows may be made and passed on for this use."""
        return self.commercial if use == "commercial" else self.research


_CC = "https://creativecommons.org/licenses/"
# The first pattern found in the licence's name, in lower case and without spaces, hyphens and the like, decides. What
# forbids is found anywhere in it; what allows is the whole name, so that "MIT for the code only" is not taken for MIT.
_TABLE: tuple[tuple[str, Terms], ...] = (
    (r"none|unknown|unstated|notstated|unlicen[cs]ed$|^$", Terms(False, False, "no licence: all rights are reserved")),
    (r"bync(sa)?nd|byndnc", Terms(False, False, "no commercial use, and no changed copies passed on", f"{_CC}by-nc-nd/4.0/")),
    (r"bync", Terms(False, True, "no commercial use; the source is named", f"{_CC}by-nc/4.0/")),
    (r"bynd", Terms(False, False, "no changed copies passed on: a training set is one", f"{_CC}by-nd/4.0/")),
    (r"noncommercial|nocommercial|research(use)?only|academic", Terms(False, True, "for research only")),
    (r"^(cc)?bysa(\d+)?(international)?$", Terms(True, True, "the source is named; the set keeps this licence", f"{_CC}by-sa/4.0/")),
    (r"^(cc)?by(\d+)?(international)?$", Terms(True, True, "the source is named", f"{_CC}by/4.0/")),
    (r"^cc0(10)?$|^publicdomain$|^pddl(10)?$|^unlicense$", Terms(True, True, "no conditions", "https://creativecommons.org/publicdomain/zero/1.0/")),
    (r"^apache(licen[cs]e)?(version|v)?20?$", Terms(True, True, "the licence goes along", "https://www.apache.org/licenses/LICENSE-2.0")),
    (r"^mit(licen[cs]e)?$", Terms(True, True, "the licence goes along", "https://opensource.org/license/mit")),
    (r"^bsd[23]?(clause)?(licen[cs]e)?$", Terms(True, True, "the licence goes along", "https://opensource.org/license/bsd-3-clause")),
    (r"^odcby(10)?$", Terms(True, True, "the source is named", "https://opendatacommons.org/licenses/by/")),
    (r"^odbl(10)?$", Terms(True, True, "the set keeps this licence", "https://opendatacommons.org/licenses/odbl/")),
    (r"^cdlapermissive\d*$", Terms(True, True, "the agreement goes along", "https://cdla.dev/permissive-2-0/")),
)  # fmt: skip
_CUSTOM = Terms(False, False, "words of its own, which the kit cannot judge: read them")


def terms(licence: str) -> Terms:
    """What the kit knows of a licence by its name as a catalogue or a data set's page gives it."""
    plain = re.sub(r"[^a-z0-9]", "", licence.casefold())
    return next((found for pattern, found in _TABLE if re.search(pattern, plain)), _CUSTOM)


def permit(found: Mapping[str, Iterable[str]], use: Use, allowed: Iterable[str]) -> None:
    """Stop where a licence forbids the use, unless the user allows it by name.

    `found` is the sources by licence. Raises `Refused`, which names every such licence with its sources.
    """
    said = {name.casefold() for name in allowed}
    forbidden = [name for name in sorted(found) if name.casefold() not in said and not terms(name).allow(use)]
    if forbidden:
        told = "; ".join(f"{name!r} ({terms(name).why}) of {', '.join(sorted(found[name]))}" for name in forbidden)
        other = ", state use: research" if use == "commercial" and all(terms(n).research for n in forbidden) else ""
        raise Refused(
            f"licences that do not allow use: {use}: {told}; leave these sources out{other}, or take it on yourself "
            f"with allow_licences: [{', '.join(map(repr, forbidden))}]"
        )
