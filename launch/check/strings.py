"""Is the string that SFT trains on the one that a rollout, the server and the evaluation send, token for token?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.prompts import Message
from launch.check import inside
from launch.check.rows import Row, TrainingSet, Turns, first_rows
from reward_plugins.errors import Refused, did_you_mean

ROWS_SHOWN = 3
"""Conversations that are rendered by both stacks: a template differs in all of them or in none."""


@dataclass(frozen=True)
class Trained:
    """What decides the string that a model sees: its tokenizer, LLaMA-Factory's template, the data."""

    model: str
    template: str
    sets: list[Path]


@dataclass(frozen=True)
class Rendered:
    """One conversation as tokens, `prompt` and `response` apart; `tokens` is their text, one by one."""

    prompt: list[int]
    response: list[int]
    tokens: list[str]


def templates_agree(trained: Trained) -> list[Rendered]:
    """`same_string` of the first rows of the kit's own SFT files."""
    talks = [talk for file in trained.sets for talk in conversations(first_rows(file, ROWS_SHOWN))][:ROWS_SHOWN]
    return same_string(trained.model, trained.template, talks)


def same_string(model: str, template: str, talks: Sequence[Turns], system: str | None = None) -> list[Rendered]:
    """Render conversations by LLaMA-Factory and by the tokenizer's own chat template, and compare token for token.

    The first is what SFT trains on, the second what a rollout, the server and the evaluation send. `system` is a
    recipe's `default_system`.

    Raises:
        Refused: no such template, or they differ; the first differing token is shown with what stands before it.
    """
    if not talks:
        return []
    with ThreadPoolExecutor() as both:
        trained = both.submit(_learned, model, template, talks, system)
        sent = both.submit(render_by_chat_template, "rl", model, talks)
    shown = []
    for ours, theirs in zip(trained.result(), sent.result(), strict=True):
        _compare(ours["prompt_ids"], theirs["prompt_ids"], theirs["tokens"], template)
        whole = theirs["prompt_ids"] + theirs["response_ids"]
        # What follows the end of the turn is never generated, so only the shorter of the two counts.
        mine = ours["prompt_ids"] + ours["response_ids"]
        length = min(len(mine), len(whole))
        _compare(mine[:length], whole[:length], theirs["tokens"], template)
        shown.append(Rendered(theirs["prompt_ids"], theirs["response_ids"], theirs["tokens"]))
    return shown


def prompts_agree(model: str, sets: list[Path]) -> list[Rendered]:
    """`same_prompt` of the first rows of GRPO files."""
    talks = [talk for file in sets for talk in conversations(first_rows(file, ROWS_SHOWN))][:ROWS_SHOWN]
    return same_prompt(model, talks)


def same_prompt(model: str, talks: Sequence[Turns]) -> list[Rendered]:
    """Render GRPO prompts as the trainer and the server do, each in its own stack, and compare.

    Raises:
        Refused: two versions of the transformers library make different tokens of one conversation.
    """
    if not talks:
        return []
    with ThreadPoolExecutor() as both:
        stacks_asked = [both.submit(render_by_chat_template, stack, model, talks) for stack in ("rl", "sft")]
    rollout, training = (asked.result() for asked in stacks_asked)
    for ours, theirs in zip(training, rollout, strict=True):
        _compare(ours["prompt_ids"], theirs["prompt_ids"], theirs["tokens"], "of the sft stack")
    return [Rendered(row["prompt_ids"], row["response_ids"], row["tokens"]) for row in rollout]


def render_by_chat_template(stack: str, model: str, talks: Sequence[Turns]) -> list[dict[str, Any]]:
    """Conversations as tokens by the tokenizer's chat template, in a stack of one's choice."""
    answer: list[dict[str, Any]] = inside.value(stack, ask="sent", model=model, talks=list(talks))
    return answer


def conversations(rows: Iterable[Row]) -> Iterable[Turns]:
    """Rows of the kit's own forms as chat messages: sharegpt, alpaca, or GRPO (with an answer of dots)."""
    for row in rows:
        if isinstance(row.get("prompt"), list):
            yield [*row["prompt"], Message(role="assistant", content="<think>...</think><answer>...</answer>")]
        else:
            form = "sharegpt" if "conversations" in row else "alpaca"
            yield TrainingSet("", Path(), {"formatting": form}).talk(row)


def need_template(name: str) -> None:
    """Refuse a template that LLaMA-Factory does not have."""
    names = inside.value("sft", ask="templates")
    if name not in names:
        raise Refused(f"template: LLaMA-Factory has no {name!r}{did_you_mean(name, names)}")


def learned(model: str, template: str, talks: Sequence[Turns], system: Any = None) -> dict[str, Any]:
    """The question to the sft stack for conversations as LLaMA-Factory's template makes them."""
    more = {"system": system} if isinstance(system, str) else {}
    return {"ask": "learned", "model": model, "template": template, "talks": list(talks), **more}


def _learned(model: str, template: str, talks: Sequence[Turns], system: Any) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = inside.value("sft", **learned(model, template, talks, system))
    return answer


def _compare(trained: list[int], sent: list[int], tokens: list[str], template: str) -> None:
    if trained == sent:
        return
    at = next((i for i, (a, b) in enumerate(zip(trained, sent, strict=False)) if a != b), min(len(trained), len(sent)))
    before = "".join(tokens[max(0, at - 12) : at])
    raise Refused(
        f"template {template!r} trains on another string than the model's chat template sends: they part at token {at}, "
        f"after {before!r} (trained on {trained[at : at + 4]}, sent {sent[at : at + 4]}); set the template that "
        "belongs to the model, or a system prompt (default_system, or in the data)"
    )
