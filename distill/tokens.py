"""How long a row is in the student's tokens, and the very string that the student will see.

Nothing may be cut off in training without a word, so a row is measured as its chat template renders it.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from distill.prompts import Message
from reward_plugins.errors import Refused

# What a chat template adds to a message (role, start and end marks) where no template is at hand: 5 in ChatML, up to 8
# in the others in use.
_TEMPLATE_TOKENS_A_MESSAGE = 8
# Words whose counts are kept: about 30 MB. English rows of 3,000 tokens are counted four times as fast with them.
_WORDS = 1 << 18
# Every kind of place where a tokenizer could join what stands on both sides of a space.
_PROBE = (
    "Net income rose 12.5 % to $ 1,234.00 ( page 3 )\n\n| a | b |\n |  - |\t- |  \n   x = 4 * 5 \n isn't it ? "
    "<think> 净利润 为 3,000 万元 。同比 增长 </think><answer>-0.5 %</answer> é ' s _ ok ... \r\n end "
)
_BEFORE_A_WORD = re.compile(r"(?<=\S)(?= \S)")
_GENERATION_TAG = re.compile(r"(\{%-?\s*)(end)?generation(\s*-?%\})")
_MARK = "finr1-completion"
_OWN_MARKS = {"<think>", "</think>", "<answer>", "</answer>", ""}
_TEMPLATE_FILES = ("chat_template.jinja", "tokenizer_config.json")


class Talk(NamedTuple):
    """A conversation to be measured: the prompt, and the completion ("" for the prompt alone)."""

    prompt: list[Message]
    completion: str = ""


def tokenizer_file(path: Path) -> Path:
    """The `tokenizer.json` that is meant by its own path or by its folder's."""
    return path if path.suffix == ".json" else path / "tokenizer.json"


def tokenizer_files(path: Path | None) -> list[Path]:
    """All files that a count hangs on: the tokenizer, and its folder's chat template."""
    if path is None:
        return []
    file = tokenizer_file(path)
    return [file, *(found for name in _TEMPLATE_FILES if (found := file.with_name(name)).is_file())]


class TokenCounter:
    """Counts tokens with a `tokenizer.json` (given as the file or as its folder).

    `template` is the folder's chat template, or None. Raises `Refused` where there is no tokenizer, or where it or the
    template cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise Refused("counting tokens needs the package tokenizers; run in the kit stack") from None
        file = tokenizer_file(path)
        if not file.is_file():
            raise Refused(f"{file}: no such file; give the student's tokenizer.json, or its model folder")
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises its own bare Exception for a file it cannot read
            raise Refused(f"{file}: not a tokenizer ({error})") from None
        self.template = ChatTemplate.of(file.parent)
        self._known: dict[str, int] = {}
        self._by_word = self._words_stand_alone()
        self._form = _normal_form(self._tokenizer)
        self._control = _control_tokens(self._tokenizer)

    def shown(self, talk: Talk) -> str:
        """The conversation as the student sees it; without a template, its messages one after the other."""
        if self.template is not None:
            return self.template.render(talk)
        return "\n".join([*(message["content"] for message in talk.prompt), talk.completion])

    def lengths(self, talks: Sequence[Talk]) -> list[int]:
        """Tokens of each conversation; where there is no template, what one adds is taken at its most."""
        return [
            count + self._added(talk)
            for count, talk in zip(self._count([self.shown(talk) for talk in talks]), talks, strict=True)
        ]

    def longer(self, talks: Sequence[Talk], limit: int) -> list[bool]:
        """Which conversations have more than `limit` tokens.

        Those that cannot have more, by their bytes, are not even counted.
        """
        texts = [self.shown(talk) for talk in talks]
        added = [self._added(talk) for talk in talks]
        over = [False] * len(texts)
        doubtful = [at for at, text in enumerate(texts) if self._most(text) + added[at] > limit]
        for at, count in zip(doubtful, self._count([texts[at] for at in doubtful]), strict=True):
            over[at] = count + added[at] > limit
        return over

    def holds_control(self, talk: Talk) -> bool:
        """Whether a text holds the student's own marks (`<|im_end|>`): read as such, they would end the turn in it."""
        texts = [*(message["content"] for message in talk.prompt), talk.completion]
        return self._control is not None and any(map(self._control.search, texts))

    def _added(self, talk: Talk) -> int:
        return 0 if self.template else _TEMPLATE_TOKENS_A_MESSAGE * (len(talk.prompt) + bool(talk.completion))

    def _most(self, text: str) -> float:
        """What the tokens of a text cannot be more than: a token is a byte or more, of a text that stays as it is."""
        if self._form is None or (self._form and not unicodedata.is_normalized(self._form, text)):
            return math.inf
        return len(text.encode())

    def _count(self, texts: Sequence[str]) -> list[int]:
        if not self._by_word:
            return self._encoded(texts)
        split = [_words(text) for text in texts]
        if len(self._known) > _WORDS:
            self._known.clear()
        new = list({word for _, words in split for word in words if word not in self._known})
        self._known.update(zip(new, self._encoded([" " + word for word in new]), strict=True))
        first = self._encoded([word for word, _ in split])
        known = self._known.__getitem__
        return [count + sum(map(known, words)) for count, (_, words) in zip(first, split, strict=True)]

    def _encoded(self, texts: Sequence[str]) -> list[int]:
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)  # on all cores
        return [len(each.ids) for each in encoded]

    def _words_stand_alone(self) -> bool:
        """Whether this tokenizer never joins two words over a space, so that a word's count can be kept.

        True for byte-level BPE as in GPT-2, Llama 3 and Qwen. Tried on a text of hard places; a token with a space
        inside, or one that eats the spaces around it, rules it out, too.
        """
        for token in self._tokenizer.get_added_tokens_decoder().values():
            if " " in token.content or token.lstrip or token.rstrip:
                return False
        if self._tokenizer.pre_tokenizer is None:
            return False
        first, words = _words(_PROBE)
        return sum(self._encoded([first, *(" " + word for word in words)])) == self._encoded([_PROBE])[0]


class ChatTemplate:
    """A model's own chat template, rendered as the transformers library does, in a sandbox."""

    def __init__(self, source: str, tokens: dict[str, str], name: Path) -> None:
        import jinja2
        import jinja2.sandbox

        self._name = name
        self._tokens = tokens
        self._fails = jinja2.TemplateError
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = lambda value, **more: json.dumps(value, ensure_ascii=False, **more)
        environment.globals["raise_exception"] = self._complain
        # A fixed day, so that the same rows give the same card; all days are of one length.
        environment.globals["strftime_now"] = lambda form: "01 Jan 2026" if "b" in form else "2026-01-01"
        try:
            # {% generation %} marks the trained part for a trainer and renders nothing of its own.
            self._template = environment.from_string(_GENERATION_TAG.sub(_as_condition, source))
        except self._fails as error:
            raise Refused(f"{name}: the chat template cannot be read ({error})") from None
        marked = self._rendered([{"role": "user", "content": "-"}, {"role": "assistant", "content": _MARK}], False)
        self._tail = marked.rpartition(_MARK)[2] if _MARK in marked else ""

    @classmethod
    def of(cls, folder: Path) -> ChatTemplate | None:
        """The template in a model's folder (`chat_template.jinja`, or in `tokenizer_config.json`), or None."""
        alone, inside = (folder / name for name in _TEMPLATE_FILES)
        config: dict[str, Any] = {}
        if inside.is_file():
            try:
                config = json.loads(inside.read_text(encoding="utf-8"))
            except ValueError:
                raise Refused(f"{inside}: not JSON; give the student's own tokenizer folder") from None
        source = alone.read_text(encoding="utf-8") if alone.is_file() else config.get("chat_template")
        if isinstance(source, list):  # several by name, of which `default` is for talk
            source = next((each["template"] for each in source if each.get("name") == "default"), None)
        if not source:
            return None
        tokens = {}
        for key in ("bos_token", "eos_token", "unk_token", "pad_token"):
            token = config.get(key)
            tokens[key] = str((token.get("content") if isinstance(token, dict) else token) or "")
        return cls(source, tokens, alone if alone.is_file() else inside)

    def render(self, talk: Talk) -> str:
        """The prompt with the assistant's turn opened, then the completion and what closes a turn.

        The completion is put in as it stands: templates of reasoning models take the reasoning out of an assistant's
        turn, which is right for a history and wrong for what is trained on. A `<think>` that the template opens itself
        is not opened twice. Raises `Refused` where the template refuses the conversation.
        """
        prompt = self._rendered(talk.prompt, True)
        if not talk.completion:
            return prompt
        opened = prompt.rstrip().endswith("<think>")
        return prompt + (talk.completion.removeprefix("<think>") if opened else talk.completion) + self._tail

    def _rendered(self, messages: Sequence[Any], open_turn: bool) -> str:
        try:
            return self._template.render(messages=messages, add_generation_prompt=open_turn, **self._tokens)
        except self._fails as error:
            raise Refused(f"{self._name}: the chat template refuses the conversation ({error})") from None

    def _complain(self, message: str) -> None:
        raise self._fails(message)


def _words(text: str) -> tuple[str, list[str]]:
    """The text cut before each space that a word follows: the head, and the others without that space."""
    if "  " in text:
        head, *rest = _BEFORE_A_WORD.split(text)
        return head, [word[1:] for word in rest]
    head, *words = text.split(" ")
    if words and not words[-1]:  # a space at the very end belongs to what stands before it
        words.pop()
        if not words:
            return head + " ", []
        words[-1] += " "
    return head, words


def _as_condition(tag: re.Match[str]) -> str:
    return f"{tag[1]}{'endif' if tag[2] else 'if true'}{tag[3]}"


def _control_tokens(tokenizer: Any) -> re.Pattern[str] | None:
    """The special tokens, less those that the kit's own form of a completion is written in; None where there is none."""
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special} - _OWN_MARKS
    return re.compile("|".join(map(re.escape, sorted(special)))) if special else None


def _normal_form(tokenizer: Any) -> Literal["", "NFC"] | None:
    """The Unicode form that the tokenizer brings a text into, "" for none; None for a normalizer that does more."""
    found = json.loads(tokenizer.to_str()).get("normalizer")
    if found is None or found == {"type": "Sequence", "normalizers": []}:
        return ""
    return "NFC" if found == {"type": "NFC"} else None
