"""What can be known of a recipe before a model is loaded: keys, files, columns, batches, and the template's string."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launch.check import inside
from launch.openr1 import Translation, translate
from launch.paths import home
from launch.recipe import did_you_mean
from reward_plugins.errors import Refused

_ROWS_SHOWN = 3
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


def known_keys(stack: str) -> set[str]:
    """The keys of an engine's recipe, asked of the engine itself once per pinned stack."""
    return set(inside.value(stack, ask="keys"))


def sft_keys(asked: dict[str, Any], name: str) -> None:
    """Refuse keys that LLaMA-Factory does not know, and a recipe without what every run needs."""
    known = known_keys("sft")
    for key in asked:
        if key not in known:
            raise Refused(f"{name}: unknown key {key!r}{did_you_mean(key, known)}")
    for key in ("model_name_or_path", "stage", "dataset", "template", "output_dir"):
        if key not in asked:
            raise Refused(f"{name}: key {key!r} is missing")
    if asked.get("trust_remote_code"):
        raise Refused(f"{name}: trust_remote_code would run a stranger's code; the kit does not")


def sft_data(asked: dict[str, Any]) -> tuple[Path, list[Path]]:
    """The registry that a LLaMA-Factory recipe uses and the files of its sets, each looked at.

    Raises:
        Refused: a set is not in the registry, its file is missing, or its first row lacks a column.
    """
    registry = home() / asked.get("dataset_dir", ".") / "dataset_info.json"
    if not registry.is_file():
        raise Refused(f"{registry}: no such file; dataset_dir is the folder that holds dataset_info.json")
    sets = json.loads(registry.read_bytes())
    files = []
    names = asked["dataset"] if isinstance(asked["dataset"], list) else str(asked["dataset"]).split(",")
    for name in (each.strip() for each in names):
        if name not in sets:
            raise Refused(f"no set {name!r} in {registry}{did_you_mean(name, sets)}")
        entry = sets[name]
        if "file_name" not in entry:
            continue  # a set of a hub: LLaMA-Factory fetches it
        file = registry.parent / entry["file_name"]
        row = first_rows(file, 1)[0]
        column = entry.get("columns", {}).get("messages", "conversations")
        if entry.get("formatting") == "sharegpt" and column not in row:
            raise Refused(f"{file}: no column {column!r} (its registry entry names it); it has {', '.join(row)}")
        files.append(file)
    return registry, files


def grpo_keys(asked: dict[str, Any], name: str) -> Translation:
    """Read an OpenR1 recipe and refuse what neither OpenR1 nor TRL knows."""
    if asked.get("trust_remote_code"):
        raise Refused(f"{name}: trust_remote_code would run a stranger's code; the kit does not")
    try:
        translated = translate(asked, known_keys("rl"))
    except Refused as error:
        raise Refused(f"{name}: {error}") from None
    for key in ("model_name_or_path", "output_dir"):
        if key not in translated.trl:
            raise Refused(f"{name}: key {key!r} is missing")
    return translated


def grpo_data(translated: Translation) -> list[Path]:
    """The files of a GRPO recipe's local data sets, each looked at ([] for sets of a hub).

    Raises:
        Refused: no data is named, a folder has no train file, or its first row lacks the prompt column.
    """
    mixture = translated.data.get("dataset_mixture") or {}
    named = [part["id"] for part in mixture.get("datasets", [])] or [translated.trl.get("dataset_name")]
    if named == [None]:
        raise Refused("the recipe names no data: give dataset_name (a folder or a hub id) or dataset_mixture")
    files = []
    for name in named:
        folder = home() / name
        if not folder.exists():
            if str(name).startswith(("datasets/", "runs/", ".", "/")):
                raise Refused(f"{folder}: no such folder; `finr1 export` writes it")
            continue
        found = sorted(folder.glob("*.jsonl")) or sorted(folder.glob("*.parquet"))
        if not found:
            raise Refused(f"{folder} holds no .jsonl or .parquet file that load_dataset could read")
        column = translated.data.get("dataset_prompt_column", "prompt")
        for file in found:
            if file.suffix == ".jsonl" and column not in first_rows(file, 1)[0]:
                raise Refused(f"{file}: no column {column!r}; it has {', '.join(first_rows(file, 1)[0])}")
        files += found
    return files


def grpo_batch(translated: Translation, ranks: int) -> str:
    """The batch arithmetic of a GRPO recipe in one line.

    Raises:
        Refused: one update's completions do not divide into groups (TRL would say so in its first step).
    """
    each = int(translated.trl.get("per_device_train_batch_size", 8))
    steps = int(translated.trl.get("steps_per_generation") or translated.trl.get("gradient_accumulation_steps", 1))
    group = int(translated.trl.get("num_generations", 8))
    total = int(translated.trl.get("generation_batch_size") or each * ranks * steps)
    line = f"{each} a device x {ranks} ranks x {steps} steps = {total} completions / {group} a prompt = {total / group:g} prompts"
    if group < 2:
        raise Refused(f"num_generations is {group}: a group needs at least 2 completions to compare")
    if total % group:
        raise Refused(
            f"{line}: not a whole number; make per_device_train_batch_size x ranks x gradient_accumulation_steps a "
            f"multiple of num_generations ({group})"
        )
    return line


def templates_agree(trained: Trained) -> list[Rendered]:
    """Render the first rows by LLaMA-Factory and by the tokenizer's own chat template, and compare token for token.

    The first is what SFT trains on, the second what a rollout, the server and the evaluation send.

    Raises:
        Refused: they differ; the first differing token is shown with what stands before it.
    """
    talks = [row for file in trained.sets for row in _conversations(file)][:_ROWS_SHOWN]
    if not talks:
        return []
    with ThreadPoolExecutor() as both:
        learned = both.submit(render, "sft", [trained.model, trained.template], talks)
        sent = both.submit(render, "rl", [trained.model], talks)
    shown = []
    for ours, theirs in zip(learned.result(), sent.result(), strict=True):
        _compare(ours["prompt_ids"], theirs["prompt_ids"], theirs["tokens"], trained.template)
        whole = theirs["prompt_ids"] + theirs["response_ids"]
        # What follows the end of the turn is never generated, so only the shorter of the two counts.
        mine = ours["prompt_ids"] + ours["response_ids"]
        length = min(len(mine), len(whole))
        _compare(mine[:length], whole[:length], theirs["tokens"], trained.template)
        shown.append(Rendered(theirs["prompt_ids"], theirs["response_ids"], theirs["tokens"]))
    return shown


def prompts_agree(model: str, sets: list[Path]) -> list[Rendered]:
    """Render the first GRPO prompts as the trainer and the server do, each in its own stack, and compare.

    Raises:
        Refused: two versions of the transformers library make different tokens of one conversation.
    """
    talks = [row for file in sets for row in _conversations(file)][:_ROWS_SHOWN]
    if not talks:
        return []
    with ThreadPoolExecutor() as both:
        stacks_asked = [both.submit(render_by_chat_template, stack, model, talks) for stack in ("rl", "sft")]
    rollout, training = (asked.result() for asked in stacks_asked)
    for ours, theirs in zip(training, rollout, strict=True):
        _compare(ours["prompt_ids"], theirs["prompt_ids"], theirs["tokens"], "of the sft stack")
    return [Rendered(row["prompt_ids"], row["response_ids"], row["tokens"]) for row in rollout]


def render_by_chat_template(stack: str, model: str, talks: list[list[dict[str, str]]]) -> list[dict[str, Any]]:
    """Conversations as tokens by the tokenizer's chat template, in a stack of one's choice."""
    answer: list[dict[str, Any]] = inside.value(stack, ask="sent", model=model, talks=talks)
    return answer


def render(stack: str, arguments: list[str], talks: list[list[dict[str, str]]]) -> list[dict[str, Any]]:
    """Conversations as tokens: [model, template] by LLaMA-Factory in the sft stack, [model] by its chat template in rl."""
    model, *template = arguments
    asked = {"ask": "learned", "template": template[0]} if template else {"ask": "sent"}
    answer: list[dict[str, Any]] = inside.value(stack, model=model, talks=talks, **asked)
    return answer


def first_rows(file: Path, count: int) -> list[dict[str, Any]]:
    """The first rows of a JSON Lines file (or of a JSON list).

    Raises:
        Refused: no such file, an empty one, or a row that is no JSON object.
    """
    if not file.is_file():
        raise Refused(f"{file}: no such file; `finr1 export` writes it")
    rows: list[dict[str, Any]] = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if len(rows) == count:
                break
            if line.strip():
                try:
                    rows.append(json.loads(line))
                except ValueError:
                    raise Refused(f"{file}, line {number}: not a JSON object") from None
                if not isinstance(rows[-1], dict):
                    raise Refused(f"{file}, line {number}: not a JSON object")
    if not rows:
        raise Refused(f"{file} is empty")
    return rows


def _conversations(file: Path) -> Iterable[list[dict[str, str]]]:
    """The first conversations of a sharegpt file (the kit's own form) or of a GRPO file, as chat messages."""
    roles = {"human": "user", "gpt": "assistant", "system": "system"}
    for row in first_rows(file, _ROWS_SHOWN):
        if "conversations" in row:
            turns = [{"role": roles[turn["from"]], "content": turn["value"]} for turn in row["conversations"]]
            yield ([{"role": "system", "content": row["system"]}] if row.get("system") else []) + turns
        elif isinstance(row.get("prompt"), list):
            answer = f"<think>...</think><answer>{row.get('solution', '')}</answer>"
            yield [*row["prompt"], {"role": "assistant", "content": answer}]


def _compare(trained: list[int], sent: list[int], tokens: list[str], template: str) -> None:
    if trained == sent:
        return
    at = next((i for i, (a, b) in enumerate(zip(trained, sent, strict=False)) if a != b), min(len(trained), len(sent)))
    before = "".join(tokens[max(0, at - 12) : at])
    raise Refused(
        f"template {template!r} trains on another string than the model's chat template sends: they part at token {at}, "
        f"after {before!r} (trained on {trained[at : at + 4]}, sent {sent[at : at + 4]}); set the template that "
        "belongs to the model, or a system prompt in the data"
    )
