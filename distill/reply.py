"""What an OpenAI-compatible endpoint answered, brought into the kit's one form of a completion."""

from __future__ import annotations

import json
import re
from types import NoneType
from typing import Any, NamedTuple

from pydantic_core import from_json

from distill.records import Usage
from reward_plugins.completion import completion_text, parse

# The form itself, when no other "<" is near a tag: most completions, at a fifth of the cost of taking one apart.
_IN_FORM = re.compile(r"\s*<think>([^<]*)</think>\s*<answer>([^<]*)</answer>\s*")


# What some models and endpoints (Gemini's thoughts) write for a think block that they begin with.
_OTHER_THINK = re.compile(r"\s*<(thinking|thought|thoughts|reasoning)>(.*?)(?:</\1>|\Z)", re.IGNORECASE | re.DOTALL)


class Unusable(Exception):
    """The endpoint said "200" and sent something that is no answer; the text is a short reason without content.

    `usage` is what it billed for that, as far as it said.
    """

    def __init__(self, reason: str, usage: Usage | None = None) -> None:
        super().__init__(reason)
        self.usage = usage or Usage()


class Reply(NamedTuple):
    """An answer. `response` is the whole completion; `reasoning` and `answer` are its two parts without tags."""

    reasoning: str
    answer: str
    response: str
    finish_reason: str
    usage: Usage


NO_REPLY = Reply("", "", "", "", Usage())


def read_reply(body: bytes, prefill: str = "") -> Reply:
    """Read the body of a chat completion; see `reply_of`. Raises `Unusable`."""
    return reply_of(_json(body), prefill)


def _json(body: bytes) -> Any:
    """The body's JSON, by the faster of two readers, and by the one that takes more where that takes it not.

    Python's own reads lone surrogates, UTF-16 and deeper nesting as well. Raises `Unusable`.
    """
    try:
        return from_json(body)
    except ValueError:
        pass
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        start = body[:256].lstrip().lower()
        if start.startswith((b"<!doctype", b"<html")):
            raise Unusable("an HTML page instead of JSON") from None
        raise Unusable("a stream of events instead of JSON" if start.startswith(b"data:") else "not JSON") from None


def reply_of(data: Any, prefill: str = "") -> Reply:
    """The answer in a chat completion.

    Accepts reasoning in `reasoning_content` or `reasoning` (vLLM, DeepSeek, Ark, OpenRouter), inline as `<think>`, or as
    a part of the content (Mistral), and content as a string or as a list of parts. `prefill` is what the answer was made to begin with; endpoints send
    it back or not. An empty message is an answer that says nothing, not an error: the model was asked and had its turn
    (a content filter, for one). Raises `Unusable`.
    """
    if not isinstance(data, dict):
        raise Unusable("JSON of another kind than a chat completion")
    usage = _usage(data.get("usage"))
    if data.get("error"):
        raise Unusable("an error in a 200 answer", usage)
    choices = data.get("choices")
    if not isinstance(choices, list):
        raise Unusable("JSON of another kind than a chat completion", usage)
    if not choices:
        raise Unusable("empty choices", usage)
    message = choices[0].get("message") if isinstance(choices[0], dict) else None
    if not isinstance(message, dict) or not isinstance(message.get("content"), (str, list, NoneType)):
        raise Unusable("a choice without a message", usage)
    text = _clean(completion_text([message]))
    if text and not text.lstrip().startswith(prefill.strip()):
        text = prefill + text
    reasoning, answer, response = in_one_form(text)
    return Reply(reasoning, answer, response, _clean(str(choices[0].get("finish_reason") or "")), usage)


def in_one_form(text: str) -> tuple[str, str, str]:
    """(reasoning, answer, response) of a completion.

    A first block of another name (`<thinking>`, `<thought>`, `<reasoning>`) is the think block.
    With closed reasoning and without any answer tag, what follows the reasoning is the answer, and is put into the
    tags (models with reasoning of their own do not write them). Nothing else is added or mended: a completion that keeps
    no form stays as it is, for the filter to see.
    """
    if found := _IN_FORM.fullmatch(text):
        return found[1].strip(), found[2].strip(), text.strip()
    if "<think>" not in text and (other := _OTHER_THINK.match(text)):
        is_closed = other.end() > other.end(2)
        text = f"<think>{other[2]}{'</think>' if is_closed else ''}{text[other.end() :]}"
    parsed = parse(text)
    reasoning = parsed.reasoning.strip()
    if parsed.blocks:
        return reasoning, parsed.blocks[-1].strip(), text.strip()
    answer = "" if parsed.cut_off else parsed.final.strip()
    wrapped = completion(reasoning, answer)
    return reasoning, answer, wrapped if parse(wrapped).strict else text.strip()


def completion(reasoning: str, answer: str) -> str:
    """The kit's form of a completion."""
    return f"<think>{reasoning.strip()}</think><answer>{answer.strip()}</answer>"


def _clean(text: str) -> str:
    """The text without lone surrogates, which JSON can escape and UTF-8 cannot hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _usage(raw: Any) -> Usage:
    """Cached prompt tokens stand in `prompt_tokens_details` (OpenAI and most others) or in DeepSeek's own key."""
    counts = raw if isinstance(raw, dict) else {}
    details = counts.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return Usage(
        prompt_tokens=_count(counts.get("prompt_tokens")),
        cached_tokens=_count(counts.get("prompt_cache_hit_tokens") if cached is None else cached),
        completion_tokens=_count(counts.get("completion_tokens")),
    )


def _count(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():  # some gateways write 50.0
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
