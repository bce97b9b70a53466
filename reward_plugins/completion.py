"""What a completion is made of: the reasoning, what was said after it, and whether the form was kept.

A completion is `<think>reasoning</think><answer>final answer</answer>`. Three other shapes are the same thing: a chat
template that opens `<think>` itself (so the text begins inside it), a server that returns the reasoning apart
(joined by `completion_text`), and a completion that the length limit cut off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

# One pass over the text, no repetition inside: linear for any input.
_MOST_TAGS = 4096  # a completion has four; what follows this many is text
_TAG = re.compile(r"<(/?)(think|answer)>", re.IGNORECASE)


# A stop string or the length limit may cut the end tag itself.
_HALF_TAG = re.compile(r"</?(?:a(?:n(?:s(?:w(?:er?)?)?)?)?)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Completion:
    """A completion taken apart.

    `reasoning`: what stands in the think block (without tags). `final`: everything outside it, answer tags included;
    what is not in `final` never counts as an answer. `blocks`: the contents of the answer blocks in `final`, in
    order. `outside`: `final` without its answer blocks. `cut_off`: the text ends inside the reasoning.
    `unclosed`: the last answer block has no end tag. `nested`: an answer block was opened inside another one.
    """

    text: str
    reasoning: str
    final: str
    blocks: tuple[str, ...]
    outside: str
    cut_off: bool
    unclosed: bool
    nested: bool

    @cached_property
    def strict(self) -> bool:
        """Whether the text is exactly one non-empty think block followed by one non-empty answer block.

        Both tags of the think block must be in the text.
        """
        return self._strict(opened=False)

    @cached_property
    def strict_opened(self) -> bool:
        """The same where the chat template has written `<think>` already: only `</think>` is in the text."""
        return self._strict(opened=True)

    def _strict(self, opened: bool) -> bool:
        tags = [match.group().lower() for match in _TAG.finditer(self.text)]
        wanted = ["</think>", "<answer>", "</answer>"]
        if tags != (wanted if opened else ["<think>", *wanted]):
            return False
        body = self.text.strip()
        starts = opened or body[:7].lower() == "<think>"
        ends = body[-9:].lower() == "</answer>"
        return bool(
            starts and ends and not self.outside.strip() and self.reasoning.strip() and "".join(self.blocks).strip()
        )


def parse(response: str) -> Completion:
    """Take a completion apart in one pass; any string is accepted.

    A `</think>` that nothing opened means that the template opened it: all text before the first one is reasoning.
    A second `<think>` inside an open one is text (models repeat the tag that the template wrote). A `<think>` that is
    never closed holds everything after it.
    """
    reasoning: list[str] = []
    final: list[str] = []
    blocks: list[str] = []
    outside: list[str] = []
    thinking = False
    block_start = -1  # index into `final` of the open answer block
    nested = False
    outer = 0  # answer blocks that were left open around the one that closed last
    outer_rest = 0  # index into `final` where the rest of the outer block begins
    closed_once = False
    position = 0
    for match in islice(_TAG.finditer(response), _MOST_TAGS):
        piece = response[position : match.start()]
        position = match.end()
        closing, name = bool(match.group(1)), match.group(2).lower()
        if name == "think":
            if thinking or (closing and not closed_once and not reasoning):
                if not thinking:  # the template opened it
                    final.append(piece)
                    reasoning.extend(final)
                    final.clear()
                    blocks.clear()
                    outside.clear()
                    block_start, nested, outer = -1, False, 0
                else:
                    reasoning.append(piece)
                thinking = not closing
                closed_once = closed_once or closing
                continue
            final.append(piece)
            if block_start < 0:
                outside.append(piece)
            if not closing:
                thinking = True
            continue
        if thinking:
            reasoning.append(piece)
            reasoning.append(match.group())
            continue
        final.append(piece)
        if block_start < 0:
            outside.append(piece)
        if closing:
            if block_start >= 0:
                blocks.append("".join(final[block_start:]))
                block_start = -1
            elif outer:  # the outer block goes on behind the inner one, and is a block too
                blocks.append("".join(final[outer_rest:]))
                outer -= 1
            final.append(match.group())
            outer_rest = len(final)
        else:
            final.append(match.group())
            if block_start >= 0:  # <answer> inside <answer>: the inner one is a block of its own
                nested = True
                outer += 1
                blocks.append("".join(final[block_start:-1]))
            block_start = len(final)
    tail = response[position:]
    unclosed = False
    if thinking:
        reasoning.append(tail)
    else:
        final.append(tail)
        if block_start < 0:
            outside.append(tail)
        else:
            unclosed = True
            blocks.append(_HALF_TAG.sub("", "".join(final[block_start:])))
    return Completion(
        text=response,
        reasoning="".join(reasoning),
        final="".join(final),
        blocks=tuple(blocks),
        outside="".join(outside),
        cut_off=thinking,
        unclosed=unclosed,
        nested=nested,
    )


def completion_text(completion: str | Sequence[Mapping[str, Any]]) -> str:
    """The text of a completion as trainers pass it: a string, or a list of messages of which the last one counts.

    `reasoning_content` or `reasoning` (vLLM, TRL with a `response_template`) is put in front as a think block, unless
    the content holds the same one. Either may be a list of parts (`{"type": "text", "text": ...}`); of the content's
    those of type "thinking" are reasoning, and parts of another type are left out.
    """
    if isinstance(completion, str):
        return completion
    if not completion:
        return ""
    message = completion[-1]
    content = _joined(message.get("content"), "text")
    reasoning = (
        _joined(message.get("reasoning_content"), "text")
        or _joined(message.get("reasoning"), "text")
        or (_joined(message["content"], "thinking") if isinstance(message.get("content"), list) else "")
    )
    if not reasoning or ("</think>" in content and parse(content).reasoning.strip() == reasoning.strip()):
        return content
    return f"<think>{reasoning}</think>{content}"


def _joined(value: Any, key: str) -> str:
    """A text, or what the parts of a list have under `key`; "" for anything else."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    found = (part.get(key) for part in value if isinstance(part, Mapping))
    return "".join(each if isinstance(each, str) else _joined(each, "text") for each in found)
