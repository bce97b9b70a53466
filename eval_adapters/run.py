"""Evaluate a model on every set of a recipe: resumable, counted to the last row, one result file for each set.

    <out>/<model>/<set>/result.json             counts, rates, hashes, versions; names the run it speaks of
    <out>/<model>/<set>/run-<fingerprint>/      EvalScope's work directory: predictions, reviews, reports, logs

The fingerprint is made of all that decides what is asked (`identity.asking`). Other data, weights or sampling is
another run beside the first one, so nothing is ever mixed, and going back to old settings finds the old answers.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from eval_adapters import catalogue, identity, loading, reviews
from eval_adapters.lock import alone
from eval_adapters.reviews import RESULT, sha256
from eval_adapters.rows import FAILURES, Asked, SetRow
from eval_adapters.settings import EvalSettings, ModelSpec, SetSpec
from reward_plugins.errors import Refused
from reward_plugins.files import write_whole
from reward_plugins.golds import refusal

_IDENTITY = "identity.json"
_RESCORING = "being scored again"

State = Literal["done", "rescore", "ask"]


@dataclass(frozen=True)
class _Run:
    """One model on one set: where it lies, and what is known before anything is asked."""

    model: ModelSpec
    test_set: SetSpec
    folder: Path
    asking: dict[str, Any]
    fingerprint: str

    @property
    def work_dir(self) -> Path:
        return self.folder / f"run-{self.fingerprint[:12]}"

    @property
    def reviews_file(self) -> Path:
        return self._engine_file("reviews")

    @property
    def predictions_file(self) -> Path:
        return self._engine_file("predictions")

    def _engine_file(self, kind: str) -> Path:
        name = f"{catalogue.of(self.test_set.benchmark).name}_{self.test_set.subset}.jsonl"
        return self.work_dir / kind / self.model.name / name

    def state(self) -> State:
        """What is left to do; "rescore" means that the scoring changed and every answer is on disk."""
        result = _read(self.folder / RESULT)
        if result.get("fingerprint") != self.fingerprint or not result.get("complete"):
            return "ask"
        if not self.reviews_file.is_file() or sha256(self.reviews_file) != result.get("reviews_sha256"):
            return "ask"
        return "done" if result.get("scoring_sha256") == identity.scoring_code() else "rescore"


def plan(settings: EvalSettings, model: ModelSpec) -> dict[str, State]:
    """What is left to do for each set of one model; a set that is not there is left out, and refused by `run_one`.

    Only "ask" needs the model to be served. Takes under a second, and the time to read the weights once for a `path`
    model.

    Raises:
        Refused: the model's folder is missing.
    """
    runs, _ = _runs(settings, model)
    return {run.test_set.label: run.state() for run in runs}


def run_one(settings: EvalSettings, model: ModelSpec, api_url: str = "", model_id: str = "") -> dict[str, Any]:
    """Evaluate one model on every set of the recipe; returns the results by set, as in `result.json`.

    `api_url` is where the model is served now (default: the recipe's), `model_id` what it is called there. Asks only
    what is not on disk yet; rows that failed are asked again by the next call, save those that can never succeed. A
    set that fails as a whole does not keep the others from being evaluated.

    Raises:
        Refused: input that can be mended, or no request of a set was answered; after all sets were tried.
    """
    results: dict[str, Any] = {}
    runs, troubles = _runs(settings, model)
    for run in runs:
        label = run.test_set.label
        state = run.state()
        if state == "done":
            results[label] = _in_order(settings, run.folder / RESULT)
            continue
        try:
            with alone(run.folder):
                results[label] = _evaluate(settings, run, api_url or model.api_url or "", model_id, state)
        except Refused as trouble:
            troubles.append(str(trouble))
    if troubles:
        raise Refused("; ".join(troubles))
    return results


def _runs(settings: EvalSettings, model: ModelSpec) -> tuple[list[_Run], list[str]]:
    """A run for each set that is there, and what is amiss with the others."""
    weights = identity.of_model(model)
    runs: list[_Run] = []
    troubles: list[str] = []
    for test_set in settings.sets:
        try:
            asking = identity.asking(settings, weights, test_set)
        except Refused as trouble:
            troubles.append(f"{test_set.label}: {trouble}")
            continue
        folder = settings.out / model.name / test_set.label
        runs.append(_Run(model, test_set, folder, asking, identity.fingerprint(asking)))
    return runs, troubles


def _evaluate(settings: EvalSettings, run: _Run, api_url: str, model_id: str, state: State) -> dict[str, Any]:
    from eval_adapters import engine  # EvalScope takes seconds to import

    model, test_set = run.model, run.test_set
    if not api_url:
        if state == "ask":
            raise Refused(f"{model.name}: not served, so {test_set.label} cannot be asked; give its api_url")
        api_url = "http://127.0.0.1:9"  # nothing is asked when stored answers are scored again
    asked = loading.load(test_set, catalogue.of(test_set.benchmark))[: test_set.limit]
    started, clock = datetime.now(UTC), time.monotonic()
    run.work_dir.mkdir(parents=True, exist_ok=True)
    for file in (run.predictions_file, run.reviews_file):
        mend_tail(file)
    for unfinished in run.reviews_file.parent.glob("*.rerun-*"):
        unfinished.unlink()  # EvalScope puts reviews in place when all are done; a killed run leaves its part behind
    scoring = identity.scoring_code()
    review_again = run.reviews_file.is_file() and _read(run.work_dir / _IDENTITY).get("scoring_sha256") != scoring
    note = {"fingerprint": run.fingerprint, "asking": run.asking}
    _write(run.work_dir / _IDENTITY, {**note, "scoring_sha256": _RESCORING if review_again else scoring})
    known = len({prediction["index"] for prediction in reviews.json_lines(run.predictions_file)})
    with _progress(f"{model.name} on {test_set.label}", len(asked) * settings.repeats, known) as advance:
        engine.evaluate(
            settings,
            test_set,
            model_name=model.name,
            model_id=model_id or model.model_id or model.name,
            api_url=api_url,
            api_key=_api_key(model),
            form=model.requests,
            work_dir=run.work_dir,
            review_again=review_again,
            on_reply=advance,
        )
    _write(run.work_dir / _IDENTITY, {**note, "scoring_sha256": scoring})
    result = _result(settings, run, asked, scoring, started, time.monotonic() - clock)
    _write(run.folder / RESULT, result)
    if result["counts"]["error"] == result["counts"]["requested"]:
        causes = ", ".join(result["counts"]["error_by_cause"])
        raise Refused(
            f"{model.name} on {test_set.label}: none of {result['counts']['requested']} requests was answered ({causes}); "
            "see that the server runs, takes the key and knows the model, then run the same command again"
        )
    return result


def _result(
    settings: EvalSettings, run: _Run, asked: list[SetRow], scoring: str, started: datetime, seconds: float
) -> dict[str, Any]:
    rows = reviews.read_reviews(run.reviews_file)
    failed = _failed(run, asked, settings.repeats, {row.index for row in rows})
    counts = reviews.count([*rows, *map(reviews.failed_row, failed)])
    return {
        "schema": 1,
        "model": run.model.name,
        "set": run.test_set.label,
        "order": _order(settings),
        # Rows that failed may succeed next time; those in the reviews are settled.
        "complete": not failed,
        "counts": counts,
        "rates": reviews.rates(counts),
        "failed": failed,
        # A gold that the verifier refuses as its own answer cannot be met: no model scores there.
        "golds_refused": [
            {"id": row.id, "reason": reason} for row in asked if (reason := refusal(row.gold, row.question, row.meta))
        ],
        "repeats": settings.repeats,
        "fingerprint": run.fingerprint,
        "asking": run.asking,
        "scoring_sha256": scoring,
        "reviews": str(run.reviews_file.relative_to(run.folder)),
        "reviews_sha256": sha256(run.reviews_file) if run.reviews_file.is_file() else "",
        "tokens": {
            "prompt": sum(row.prompt_tokens or 0 for row in rows),
            "completion": sum(row.completion_tokens or 0 for row in rows),
        },
        "batch": settings.batch,
        "versions": {name: version(name) for name in ("finr1-kit", "evalscope")}
        | {"python": platform.python_version()},
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 2),
    }


def _order(settings: EvalSettings) -> dict[str, list[str]]:
    """How the recipe orders its models and sets, for the report."""
    return {"models": [model.name for model in settings.models], "sets": [each.label for each in settings.sets]}


def _in_order(settings: EvalSettings, file: Path) -> dict[str, Any]:
    """A finished result; its place in the recipe is brought up to date."""
    result = _read(file)
    if result["order"] != _order(settings):
        result["order"] = _order(settings)
        _write(file, result)
    return result


def _failed(run: _Run, asked: list[SetRow], repeats: int, reviewed: set[int]) -> list[dict[str, Any]]:
    """The samples without a review, each with what it asked and why it failed, as far as that was noted."""
    causes = {note["index"]: note["cause"] for note in reviews.json_lines(run.predictions_file.with_name(FAILURES))}
    answered = {prediction["index"] for prediction in reviews.json_lines(run.predictions_file)}
    return [
        {
            "index": index,
            "repeat": index % repeats,
            "cause": "scoring failed" if index in answered else causes.get(index, "unknown"),
            "asked": asked[index // repeats].model_dump(include=set(Asked.model_fields)),
        }
        for index in range(len(asked) * repeats)
        if index not in reviewed
    ]


def mend_tail(file: Path) -> None:
    """Cut a line that a killed run left unfinished off the end of a JSON Lines file, or end it where it is whole.

    EvalScope would glue the next row to it and lose both.
    """
    if not file.is_file():
        return
    with file.open("r+b") as content:
        data = content.read()
        if not data or data.endswith(b"\n"):
            return
        start = data.rfind(b"\n") + 1
        try:
            json.loads(data[start:])
        except ValueError:
            content.truncate(start)
        else:
            content.write(b"\n")


def _api_key(model: ModelSpec) -> str:
    if model.api_key_env is None:
        return "none"  # a local server wants a header, whatever it says
    key = os.environ.get(model.api_key_env, "").strip()
    if not key:
        raise Refused(f"{model.name}: the environment variable {model.api_key_env} is empty; put the API key there")
    if not (key.isascii() and key.isprintable()):
        raise Refused(
            f"{model.name}: {model.api_key_env} holds characters that no key has; put the API key alone there"
        )
    return key


@contextmanager
def _progress(what: str, total: int, known: int) -> Iterator[Callable[[], None]]:
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()),
    )
    # Made before EvalScope's own output is turned away, on the stream as it is now.
    console = Console(stderr=True)
    with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task(what, total=total, completed=known)
        yield lambda: bar.advance(task)


def _read(file: Path) -> dict[str, Any]:
    """A JSON object, or {} where there is none to be read."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(file: Path, value: dict[str, Any]) -> None:
    write_whole(file, json.dumps(value, ensure_ascii=False, indent=2) + "\n")
