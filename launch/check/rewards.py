"""Do the rewards of a GRPO recipe tell right from wrong on its own golds, before a model is asked anything?"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from launch import stacks
from launch.check.finding import Findings, holds, mistake, note, unknown
from launch.check.rows import Row, spread
from launch.engine import environment
from launch.paths import KIT, home
from reward_plugins.errors import Refused

GOLDS = 2000
"""Golds that are tried: about two seconds, and a share is known to about a percent."""

_REFUSED_SHARE = 0.05
"""Above it, the golds are in a form that the rewards do not read. `finr1 export` leaves such rows out, and foreign
finance sets have 1 to 3 % of them: single mistakes in the source, with which a run can live."""

_GIVEN = {"prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric"}
"""What TRL hands to a reward itself; it passes the data's columns beside them, by name."""

_ROWS = 8
"""Rows whose completions the rewards are tried on: enough for both languages and several kinds of answer."""

_SECONDS = 20.0
"""A reward that takes longer for `_ROWS` rows would hold up each step of a training by minutes."""

_OURS = ("reward_plugins.rewards.finance_accuracy", "accuracy", "cosine", "length")
"""Rewards that hold an answer against the gold by the kit's own verifier."""


def gold_answers(rewards: Sequence[str], rows: list[Row], file: Path) -> Findings:
    """How many golds the kit's verifier would not accept even as their own answer."""
    if not any(name in _OURS for name in rewards) or "solution" not in rows[0]:
        return
    from reward_plugins import golds  # the verifier: SFT is checked without it

    tried = spread(rows, GOLDS)
    try:
        refused = list(golds.check(tried))
    except Refused as refusal:
        yield mistake("golds", f"{file}: {refusal}")
        return
    if not refused:
        yield holds("golds", f"all of {len(tried):,} golds are accepted as their own answer")
        return
    reasons = Counter(reason.partition(":")[0] for _, reason in refused)
    first = "; ".join(f"{name or 'a row without id'}: {reason}" for name, reason in refused[:3])
    said = f"{file}: {len(refused):,} of {len(tried):,} golds can be satisfied by no answer ({first})"
    if len(refused) / len(tried) > _REFUSED_SHARE:
        most = reasons.most_common(1)[0][0]
        yield mistake("golds", f"{said}; most: {most}; mend the column solution, or leave these rows out")
    else:
        yield note("golds", f"{said}; `finr1 check golds` names all")


def worth(
    rewards: Sequence[str],
    weights: Sequence[float] | None,
    parameters: Mapping[str, Any],
    rows: list[Row],
    longest: int,
) -> Findings:
    """Whether each reward can be called on the data's columns, and gives more than one value on very different completions.

    `rows` have a conversational `prompt`; `longest` is the limit of a completion in tokens.
    """
    if weights is not None and len(weights) != len(rewards):
        yield mistake(
            "rewards", f"reward_weights has {len(weights)} numbers for {len(rewards)} reward_funcs; give one for each"
        )
    if taken := sorted(_GIVEN.intersection(rows[0])):
        what = "by which the trainer gives rewards something of its own"
        yield mistake("columns", f"the data has a column {taken[0]!r}, {what}; rename it")
        return
    tried = spread(rows, _ROWS)
    completions, tokens, kinds = _completions(tried, longest)
    columns = {name: [row.get(name) for row in tried for _ in kinds] for name in {key for row in tried for key in row}}
    columns["prompts"] = columns.pop("prompt")
    asked = {
        "rewards": list(rewards),
        "parameters": dict(parameters),
        "columns": columns,
        "completions": completions,
        "tokens": tokens,
    }
    try:
        found = _probe(asked)
    except subprocess.TimeoutExpired:
        yield mistake(
            "rewards",
            f"reward_funcs: {', '.join(rewards)} took more than {_SECONDS:.0f} s for {len(completions)} completions; "
            "each step of a training would wait for them",
        )
        return
    except Refused as refusal:
        yield mistake("rewards", str(refusal))
        return
    for name, said in zip(rewards, found, strict=True):
        yield from _judge(name, said, kinds, columns)


def _judge(name: str, said: Mapping[str, Any], kinds: Sequence[str], columns: Mapping[str, Any]) -> Findings:
    if error := said.get("error"):
        text = f"reward_funcs: {name} fails on the data's own golds: {error}" if said.get("failed") else error
        yield mistake("rewards", f"{text}; mend it, or name another in reward_funcs")
        return
    lost = [column for column in said["needs"] if column not in columns]
    if lost:
        have = ", ".join(sorted(set(columns) - {"prompts"} | {"prompt"}))
        yield mistake("columns", f"reward_funcs: {name} needs the column {lost[0]!r}, and the data has {have}")
        return
    scores: list[float | None] = said["scores"]
    values = {score for score in scores if score is not None}
    if not values:
        yield unknown("rewards", f"{name} gave no value for any sample (a judge is asked only in training)")
    elif len(values) == 1:
        yield mistake(
            "rewards",
            f"reward_funcs: {name} gives {values.pop():g} for right, wrong, empty, long and formless completions alike; "
            "a constant reward teaches nothing: mend it, or take it out",
        )
    else:
        means = ", ".join(f"{kind} {_mean(scores[at :: len(kinds)])}" for at, kind in enumerate(kinds))
        paid = [
            (right, wrong)
            for right, wrong in zip(scores[0 :: len(kinds)], scores[1 :: len(kinds)], strict=True)
            if right is not None and wrong is not None
        ]
        if "solution" in said["needs"] and paid and not any(right > wrong for right, wrong in paid):
            yield mistake(
                "golds",
                f"reward_funcs: {name} pays no gold of the column solution more than a wrong answer; check the golds' form",
            )
        else:
            yield holds("rewards", f"{name}: {means}")


def _completions(rows: list[Row], longest: int) -> tuple[list[list[dict[str, str]]], list[int], list[str]]:
    """For each row completions of very different worth, each with its number of tokens, and what they are."""
    made: list[list[dict[str, str]]] = []
    tokens = []
    kinds = ["right", "wrong", "bare", "empty", "repeating", "cut off"]
    for number, row in zip(count(1), rows, strict=False):
        gold, said = str(row.get("solution", "")), _last(row["prompt"])
        steps = f"首先 Step 1: {said[:200]}\n- Second, {number}.\n- Finally, {gold}."
        texts = (
            f"<think>{steps}</think><answer>{gold}</answer>",
            f"<think>{steps}</think><answer>-0.123456789</answer>",
            gold,
            "",
            "<think>again and again and again. " * max(1, longest // 8),
            f"<think>{steps} " + " ".join(str(word * 7919 % 99991) for word in range(longest)),
        )
        made += [[{"role": "assistant", "content": text}] for text in texts]
        tokens += [len(steps) // 3, len(steps) // 3, 3, 0, longest, longest]
    return made, tokens, kinds


def _last(prompt: Any) -> str:
    return str(prompt[-1].get("content", "")) if isinstance(prompt, list) and prompt else str(prompt)


def _mean(scores: Sequence[float | None]) -> str:
    given = [score for score in scores if score is not None]
    return f"{sum(given) / len(given):.2g}" if given else "none"


def _probe(asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    # Rewards of the kit need nothing but the kit; one of one's own is called where it will be called in training.
    own = all("." not in name or name.startswith("reward_plugins.") for name in asked["rewards"])
    interpreter = Path(sys.executable) if own else stacks.python("rl")
    words = [str(interpreter), str(KIT / "launch" / "inside" / "probe_rewards.py")]
    done = subprocess.run(
        words,
        input=json.dumps(asked, default=str),
        capture_output=True,
        text=True,
        env=environment({"CUDA_VISIBLE_DEVICES": ""}),
        cwd=home(),
        timeout=_SECONDS,
    )
    if done.returncode:
        last = " ".join(done.stderr.split()[-30:]) or "a reward ended the process"
        raise Refused(f"reward_funcs could not be tried: {last} (exit code {done.returncode})")
    answers: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    return answers
