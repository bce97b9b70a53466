"""What a model is shown: one rendering of a question for teachers, students, rollouts and benchmarks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from distill.records import Question
from reward_plugins import question_text
from reward_plugins.errors import Refused


class Message(TypedDict):
    """One chat message, as OpenAI-compatible endpoints and chat templates take it."""

    role: str
    content: str


def user_message(question: Question) -> str:
    """The user's turn: context, question, choices (one a line, "A. ..."), parted by blank lines."""
    return question_text.user_message(question.question, question.context, question.choices, question.lang)


def messages(question: Question, system: str) -> list[Message]:
    """The whole prompt: the system prompt (left out if "") and the user's turn."""
    user: Message = {"role": "user", "content": user_message(question)}
    return [{"role": "system", "content": system}, user] if system else [user]


def read_prompt(path: Path | None) -> str:
    """A prompt file without the white space around it; "" for None. Raises `Refused` if it is not there or empty.

    The mark that some editors put before UTF-8 is no part of the prompt.
    """
    if path is None:
        return ""
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except FileNotFoundError:
        raise Refused(f"{path}: no such prompt file; the kit's own are in recipes/prompts/") from None
    except UnicodeDecodeError:
        raise Refused(f"{path}: the prompt is not UTF-8; save it as UTF-8") from None
    if not text:
        raise Refused(f"{path}: the prompt file is empty; leave the key out to send no system prompt")
    return text


def prompt_sha256(prompt: list[Message]) -> str:
    """The sha256 of a prompt, 64 hexadecimal digits; part of a trace's identity.

    Taken of role and content of each message, each ended by a NUL byte, so that it hangs on no library's JSON.
    """
    return hashlib.sha256(hashed(prompt)).hexdigest()


def hashed(prompt: Iterable[Message]) -> bytes:
    """The bytes of messages that hashes are taken of."""
    return "".join([f"{message['role']}\0{message['content']}\0" for message in prompt]).encode()
