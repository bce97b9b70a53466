"""How a question is put, wherever it is: one text for teachers, students, rollouts and benchmarks, and one key for it."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping

# The label that parts the question from a long page before it. Without a context there is nothing to part.
_QUESTION_LABEL = {"en": "Question: ", "zh": "问题："}
_SPACES = re.compile(r"\s+")


def user_message(question: str, context: str = "", choices: Mapping[str, str] | None = None, lang: str = "en") -> str:
    """The user's turn: context, question, choices (one a line, "A. ..."), parted by blank lines."""
    text = question.strip()
    if context:
        text = f"{context.strip()}\n\n{_QUESTION_LABEL[lang]}{text}"
    if choices:
        text += "\n\n" + "\n".join(f"{letter}. {choice}" for letter, choice in choices.items())
    return text


def fingerprint(question: str, context: str = "", choices: Mapping[str, str] | None = None) -> int:
    """A 64-bit key that is equal for questions a reader would call the same.

    Case, width of characters (NFKC) and white space do not count; context, question and choices do.
    """
    parts = [context, question]
    if choices:
        parts += [f"{letter}. {text}" for letter, text in sorted(choices.items())]
    text = _SPACES.sub("", unicodedata.normalize("NFKC", "\x1f".join(parts)).casefold())
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
