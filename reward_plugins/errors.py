"""The one exception that means "you can mend this": bad input or a bad environment, never a bug of ours."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# More names than these are no help in a sentence.
_MOST_NAMES = 40


class Refused(Exception):
    """Bad input or environment, told in one clear sentence that says what to do.

    The `finr1` command prints the sentence and exits with code 2. Anything else that escapes is a defect of the
    kit and keeps its traceback.
    """


def did_you_mean(word: object, known: Iterable[object]) -> str:
    """What to append to a sentence about an unknown `word`: "; did you mean 'x'?", or all that there is.

    "" where nothing is near and what there is is none, or too many to name.
    """
    names = [str(name) for name in known]
    same = [name for name in names if name.lower() == str(word).lower()]
    if near := same or difflib.get_close_matches(str(word), names, n=1):
        return f"; did you mean {near[0]!r}?"
    return f"; there are {', '.join(sorted(names))}" if 0 < len(names) <= _MOST_NAMES else ""
