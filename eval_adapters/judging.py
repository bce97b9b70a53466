"""An LLM as a judge over a finished evaluation: beside the rule's score, never in its place, and measured itself.

    <out>/<model>/<set>/judged.json       the judged score or why there is none, and how far the judges can be trusted
    <out>/<model>/<set>/verdicts.jsonl    what each judge said of each row that it decides
    <out>/<model>/<set>/verdicts/<judge>/ every verdict as it came, so that none is paid for twice

A judge that is dead, babbles, or takes any answer for right gives no score: see `_why_not`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from eval_adapters.judge_plan import ANSWERED, Case, Plan, case, make_plan, wordy
from eval_adapters.judge_settings import JudgeSettings, JudgeSpec
from eval_adapters.lock import alone
from eval_adapters.reviews import RESULT, Row, json_lines, read_result, sha256
from eval_adapters.settings import EvalSettings, ModelSpec
from reward_plugins.errors import Refused
from reward_plugins.files import write_whole
from reward_plugins.judge import ANSWER_PROMPT, Judge, Judgement
from reward_plugins.judge_quality import agreement, share

JUDGED, VERDICTS = "judged.json", "verdicts.jsonl"

_SCHEMA = 1
_FAILED = ("timeout", "unreachable", "refused", "over_budget", "not asked")
"""No reply that could be read was had: the next command asks again. An unreadable reply is the judge's own doing."""
_CHUNK = 64
"""Requests between two looks at whether the judge lives at all; a dead one then costs at most so many."""
_SURE_KAPPA = 0.4
"""A judge whose kappa with the rule surely (upper end) lies below is no better than "fair" (Landis and Koch 1977)."""
_CONTROLS_RIGHT = 0.75
"""Half-way between a judge that knows golds from other answers and one that gives every answer the same verdict."""

Votes = list[bool | None]


def judge_result(folder: Path, settings: JudgeSettings) -> dict[str, Any]:
    """Judge one finished evaluation (`<out>/<model>/<set>`); returns what `judged.json` holds.

    Asks only for verdicts that are not on the disk. A judged evaluation whose settings, answers and verdicts are
    unchanged is left alone.

    Raises:
        Refused: the folder holds no evaluation, a prompt file is missing, or a key's variable is empty.
    """
    result, rows = read_result(folder)
    fingerprint = _fingerprint(settings, result["reviews_sha256"])
    known = _known(folder)
    if known.get("fingerprint") == fingerprint and known.get("complete"):
        return known
    plan = make_plan(rows, settings)
    heard = {
        spec.name: _hear(spec, plan, folder / "verdicts" / spec.name, f"{result['model']} on {result['set']}")
        for spec in settings.judges
    }
    panel = {phase: _majority([of_one.phases[phase] for of_one in heard.values()]) for phase in _PHASES}
    verdicts = [
        {
            "index": row.index,
            "id": row.id,
            "verdict": panel["decides"][place],
            "votes": {name: of_one.phases["decides"][place].correct for name, of_one in heard.items()},
            "reasons": {name: of_one.phases["decides"][place].reason for name, of_one in heard.items()},
        }
        for place, row in enumerate(plan.decides)
    ]
    write_whole(folder / VERDICTS, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in verdicts))
    of_panel = _measured(plan, panel)
    failed = Counter(
        judgement.outcome for of_one in heard.values() for said in of_one.phases.values() for judgement in said
    )
    judged = {
        "schema": _SCHEMA,
        "fingerprint": fingerprint,
        "reviews_sha256": result["reviews_sha256"],
        "verdicts_sha256": sha256(folder / VERDICTS),
        "complete": not any(failed[outcome] for outcome in _FAILED),
        "mode": settings.mode,
        "rows": len(plan.decides),
        **_score(rows, plan, panel["decides"], settings.mode),
        "why_not": _why_not(plan, of_panel, heard, settings),
        "panel": of_panel,
        "judges": {spec.name: _judge_facts(spec, plan, heard[spec.name]) for spec in settings.judges},
    }
    if judged["why_not"]:
        judged["accuracy"] = None
    write_whole(folder / JUDGED, json.dumps(judged, ensure_ascii=False, indent=2) + "\n")
    return judged


def judge_model(settings: EvalSettings, model: ModelSpec) -> dict[str, dict[str, Any]]:
    """Judge every set of a recipe that one model has finished, by the recipe's `judge`; see `judge_result`."""
    if settings.judge is None:
        return {}
    judged = {}
    for each in settings.sets:
        folder = settings.out / model.name / each.label
        if (folder / RESULT).is_file():
            with alone(folder):
                judged[each.label] = judge_result(folder, settings.judge)
    return judged


def read_judged(folder: Path) -> tuple[dict[str, Any], dict[int, bool]] | None:
    """What was judged of an evaluation, and the verdicts by row index; None where no judge was asked.

    Raises:
        Refused: the answers or the verdicts are not those that the judged score was made of.
    """
    judged = _known(folder)
    if not judged:
        return None
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    file = folder / VERDICTS
    if judged["reviews_sha256"] != result["reviews_sha256"] or judged["verdicts_sha256"] != sha256(file):
        raise Refused(
            f"{folder / JUDGED} was made of other answers or verdicts; run finr1 eval with its judge again, or delete it"
        )
    return judged, {each["index"]: each["verdict"] for each in json_lines(file) if each["verdict"] is not None}


def judged_right(row: Row, judged: dict[str, Any], verdicts: dict[int, bool]) -> bool | None:
    """Whether a row is right by the judged score; None where it does not count: an error, or no verdict."""
    if row.status == "error":
        return None
    asked = ANSWERED if judged["mode"] == "both" else ("undecided",)
    return verdicts.get(row.index) if row.status in asked else row.correct


_PHASES = ("decides", "checks", "twice", "swapped", "wordy", "controls")


@dataclass(frozen=True)
class _Heard:
    """All that one judge said, phase by phase, and the tokens that it took."""

    phases: dict[str, list[Judgement]]
    tokens: dict[str, int]


def _hear(spec: JudgeSpec, plan: Plan, folder: Path, what: str) -> _Heard:
    """Put every question of the plan to one judge."""
    judge = _judge(spec, folder)
    phases: dict[str, tuple[list[Case], dict[str, Any]]] = {
        "decides": ([case(row) for row in plan.decides], {}),
        "checks": ([case(row) for row in plan.checks], {}),
        # A folder of its own: the first verdict must not be taken for the second.
        "twice": ([case(row) for row in plan.twice], {"cache": folder / "again"}),
        "swapped": ([case(row) for row in plan.bias], {"candidate_first": True}),
        "wordy": ([wordy(row) for row in plan.bias], {}),
        "controls": ([asked for asked, _ in plan.controls], {}),
    }
    heard: dict[str, list[Judgement]] = {}
    usage: dict[tuple[str, Case], dict[str, int]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(f"{spec.name} judges {what}", total=sum(len(cases) for cases, _ in phases.values()))
        lives = True
        for phase, (cases, changes) in phases.items():
            one = replace(judge, **changes)
            heard[phase], lives = asyncio.run(_ask(one, cases, lambda n: bars.advance(task, n), lives))
            judge.sent, judge.schema = one.sent, one.schema
            # The same request in two phases, or for two rows, is paid for once.
            usage |= {(str(changes), asked): said.usage for asked, said in zip(cases, heard[phase], strict=True)}
    tokens = {kind: sum(used.get(f"{kind}_tokens", 0) for used in usage.values()) for kind in ("prompt", "completion")}
    return _Heard(heard, tokens)


async def _ask(
    judge: Judge, cases: Sequence[Case], advance: Callable[[int], None], lives: bool
) -> tuple[list[Judgement], bool]:
    """The judgements in order, and whether the judge still lives; a dead one is not asked any more."""
    judgements: list[Judgement] = []
    for start in range(0, len(cases), _CHUNK):
        chunk = cases[start : start + _CHUNK]
        if not lives:
            judgements += [Judgement(None, "not asked", "the judge had stopped answering")] * len(chunk)
            continue
        judge.batch_s = judge.request_s * (1 + len(chunk) / judge.at_once)
        found = await judge.judge(chunk)
        lives = any(judgement.outcome not in _FAILED for judgement in found)
        judgements += found
        advance(len(chunk))
    return judgements, lives


def _judge(spec: JudgeSpec, folder: Path) -> Judge:
    if spec.api_key_env and not os.environ.get(spec.api_key_env):
        raise Refused(f"{spec.name}: the environment variable {spec.api_key_env} is empty; put the judge's key there")
    return Judge(
        spec.api_url,
        spec.model,
        # A variable that nobody sets: a judge without a key must not be sent that of the rewards' judge.
        key_variable=spec.api_key_env or "FINR1_NO_KEY",
        cache=folder,
        request_s=spec.timeout_s,
        at_once=spec.at_once,
        budget=spec.budget,
        max_tokens=spec.max_tokens,
        prompt=_prompt(spec),
        schema=spec.json_schema,
    )


def _prompt(spec: JudgeSpec) -> str:
    if spec.prompt is None:
        return ANSWER_PROMPT
    if not spec.prompt.is_file():
        raise Refused(f"{spec.name}: no prompt file at {spec.prompt}")
    return spec.prompt.read_text(encoding="utf-8").strip()


def _majority(judges: Sequence[Sequence[Judgement]]) -> Votes:
    """What more than half of all judges say: one that gives no verdict can only take a verdict away."""
    votes: Votes = []
    for judgements in zip(*judges, strict=True):
        said = Counter(judgement.correct for judgement in judgements)
        votes.append(next((verdict for verdict in (True, False) if 2 * said[verdict] > len(judgements)), None))
    return votes


def _score(rows: list[Row], plan: Plan, votes: Votes, mode: str) -> dict[str, Any]:
    verdicts = {row.index: vote for row, vote in zip(plan.decides, votes, strict=True) if vote is not None}
    said = [judged_right(row, {"mode": mode}, verdicts) for row in rows]
    counted = [right for right in said if right is not None]
    return {
        "correct": sum(counted),
        "counted": len(counted),
        "accuracy": sum(counted) / len(counted) if counted else None,
    }


def _why_not(plan: Plan, panel: dict[str, Any], heard: dict[str, _Heard], settings: JudgeSettings) -> str:
    """Why there is no judged score; "" where there is one."""
    if not plan.decides:
        return "no row was left for the judge: the rule decided them all"
    coverage = panel["coverage"]["share"]
    if coverage < settings.min_coverage:
        missing = Counter(
            judgement.reason if judgement.outcome == "refused" else judgement.outcome  # "http 401" says what to mend
            for of_one in heard.values()
            for judgement in of_one.phases["decides"]
            if judgement.correct is None
        )
        causes = ", ".join(f"{outcome}: {n}" for outcome, n in missing.most_common()) or "the judges disagree"
        return f"{coverage:.1%} of {len(plan.decides)} rows got a verdict, {settings.min_coverage:.0%} are needed ({causes})"
    controls = panel["controls"]
    if controls["n"] and controls["share"] < _CONTROLS_RIGHT:
        return (
            f"the judge does not know golds from other answers: {controls['share']:.0%} of {controls['n']} controls are "
            f"judged right, {_CONTROLS_RIGHT:.0%} are needed"
        )
    found = panel["agreement_with_rule"]
    if found["kappa"] is not None and found["kappa_high"] < _SURE_KAPPA:
        return f"the judge does not agree with the rule: kappa {found['kappa']:.2f}, at most {found['kappa_high']:.2f}"
    return ""


def _measured(plan: Plan, votes: dict[str, Votes]) -> dict[str, Any]:
    """How far a judge, or a panel, can be trusted, as JSON values."""
    first = {row.index: vote for row, vote in zip(plan.decides, votes["decides"], strict=True)}
    first |= {row.index: vote for row, vote in zip(plan.checks, votes["checks"], strict=True)}
    checked = [(row.correct, vote) for row, vote in zip(plan.checks, votes["checks"], strict=True) if vote is not None]
    known = [
        vote is wanted for (_, wanted), vote in zip(plan.controls, votes["controls"], strict=True) if vote is not None
    ]
    return {
        "coverage": share(sum(vote is not None for vote in votes["decides"]), len(votes["decides"])),
        "agreement_with_rule": agreement(checked),
        "repeatability": share(*_same(plan.twice, first, votes["twice"])),
        "position_bias": _flips(plan.bias, first, votes["swapped"]),
        "length_bias": _flips(plan.bias, first, votes["wordy"]),
        "controls": share(sum(known), len(known)),
    }


def _same(rows: list[Row], first: dict[int, bool | None], again: Votes) -> tuple[int, int]:
    pairs = _pairs(rows, first, again)
    return sum(one == other for one, other in pairs), len(pairs)


def _flips(rows: list[Row], first: dict[int, bool | None], changed: Votes) -> dict[str, Any]:
    """How often the verdict on the same answer changes, and which way."""
    pairs = _pairs(rows, first, changed)
    flipped = share(sum(one != other for one, other in pairs), len(pairs))
    return {"flipped": flipped, "to_correct": pairs.count((False, True)), "to_wrong": pairs.count((True, False))}


def _pairs(rows: list[Row], first: dict[int, bool | None], then: Votes) -> list[tuple[bool, bool]]:
    found = [(first[row.index], vote) for row, vote in zip(rows, then, strict=True)]
    return [(one, other) for one, other in found if one is not None and other is not None]


def _judge_facts(spec: JudgeSpec, plan: Plan, heard: _Heard) -> dict[str, Any]:
    votes = {phase: [judgement.correct for judgement in judgements] for phase, judgements in heard.phases.items()}
    every = [judgement for judgements in heard.phases.values() for judgement in judgements]
    outcomes = Counter(judgement.outcome for judgement in heard.phases["decides"])
    replies = [judgement for judgement in every if judgement.outcome not in _FAILED]
    cost = spec.prices.cost(**heard.tokens) if spec.prices else None
    return {
        "model": spec.model,
        "prompt_sha256": hashlib.sha256(_prompt(spec).encode()).hexdigest(),
        "outcomes": dict(outcomes.most_common()),
        "unreadable": share(sum(judgement.outcome == "unreadable" for judgement in replies), len(replies)),
        **_measured(plan, votes),
        "tokens": heard.tokens,
        "cost": None if spec.prices is None else {"currency": spec.prices.currency, "total": cost},
    }


def _fingerprint(settings: JudgeSettings, reviews_sha256: str) -> str:
    """What `judged.json` depends on; not where and how fast the verdicts were fetched."""
    away = {"api_url", "api_key_env", "timeout_s", "at_once", "budget", "json_schema", "prompt"}
    said = settings.model_dump(mode="json", exclude={"judges": {"__all__": away}})
    prompts = [_prompt(spec) for spec in settings.judges]
    text = json.dumps([_SCHEMA, said, prompts, reviews_sha256], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _known(folder: Path) -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads((folder / JUDGED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if known.get("schema") == _SCHEMA and (folder / VERDICTS).is_file() else {}
