"""Dialogues: a turn's question, with the earlier ones taken out of its context and put as chat messages.

A row of a dialogue holds the page and, at its end, what was asked and answered before, as text:

    Earlier in this conversation:
    Q: ...
    A: ...
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from eval_adapters.rows import Message, SetRow
from reward_plugins.completion import parse
from reward_plugins.question_text import user_message

_HEAD = re.compile(r"(?:^|\n\n)(?:Earlier in this conversation:|此前的对话：)\n(?=Q: |问：)")
_PAIR = re.compile(r"^(?:Q: |问：)(.*)\n(?:A: |答：)(.*)$", re.MULTILINE)

_UNKNOWN = "(no answer)"
"""In the place of an answer that nobody knows; most chat templates refuse an empty message."""


@dataclass(frozen=True)
class Turn:
    """A question of a dialogue: the `page` it is about, and (question, gold answer) of the turns before it."""

    page: str
    earlier: tuple[tuple[str, str], ...]


def turn_of(row: SetRow) -> Turn:
    """A row's page and what was asked before; a row without a dialogue has no earlier turns."""
    found = list(_HEAD.finditer(row.context))
    if not found:
        return Turn(row.context, ())
    return Turn(row.context[: found[-1].start()], tuple(_PAIR.findall(row.context, found[-1].end())))


def name_of(row_id: str, place: int) -> str:
    """The id of the turn at a place (from 0) of the dialogue that a row belongs to."""
    return f"{row_id.rpartition('/')[0]}/{place}"


def messages(row: SetRow, told: Callable[[int], str | None]) -> list[Message]:
    """The dialogue up to a row's question, the page in front of the first; system messages as the row's prompt has them.

    `told(place)` is what the model is told of its answer at a place, None for the gold one.
    """
    turn = turn_of(row)
    lang = "zh" if row.lang == "zh" else "en"
    questions = [question for question, _ in turn.earlier] + [row.question]
    chat = [message for message in row.prompt if message.role == "system"]
    for place, question in enumerate(questions):
        first = user_message(question, turn.page if place == 0 else "", None, lang)
        chat.append(Message(role="user", content=first))
        if place < len(turn.earlier):
            answer = told(place)
            gold = turn.earlier[place][1]
            known = gold if gold != "?" else ""
            said = (f"<answer>{known}</answer>" if known else _UNKNOWN) if answer is None else answer
            chat.append(Message(role="assistant", content=said))
    return chat


def final_words(completion: str) -> str:
    """What stays of a completion in the dialogue: the text behind the reasoning, as chat templates keep it."""
    return parse(completion).final.strip() or _UNKNOWN
