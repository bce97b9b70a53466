"""One evaluation as it lies on disk, row by row: EvalScope's review file and the kit's `result.json` beside it.

Counts and rates are always made from the reviews. EvalScope's own report rounds to four decimals and leaves failed
rows out.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval_adapters.rows import Asked
from eval_adapters.scoring import macro_f1
from reward_plugins.errors import Refused

RESULT = "result.json"
STATES = ("correct", "wrong", "no_answer", "undecided", "error")


@dataclass(frozen=True)
class Row:
    """One sample of a question and what became of it.

    `index` numbers the samples of a set; `repeat` those of one question, from 0. `status`, `strict_status` and
    `lenient_status` are each one of `STATES`, as `scoring.Outcome` has them; `cause` says why there is no answer, or
    which error; `official` is what FinQA's own value rule says and `label` the class that was named, where the benchmark
    counts them. `completion` is the whole text, reasoning included; `latency_s` is in seconds.
    """

    index: int
    repeat: int
    id: str
    status: str
    strict_status: str
    lenient_status: str
    official: bool | None
    label: str | None
    cause: str
    well_formed: bool
    extracted: str
    reason: str
    gold: str
    question: str
    prompt: str
    completion: str
    source: str
    lang: str
    task: str
    type: str
    kind: str
    level: str
    doc: str
    answer_type: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_s: float | None

    @property
    def correct(self) -> bool:
        """Whether the answer is the gold one."""
        return self.status == "correct"

    @property
    def rated(self) -> bool:
        """Whether the row is in the denominator of every rate.

        Errors are not, being ours and not the model's; nor is what no rule can decide.
        """
        return self.status not in ("error", "undecided")


def read_reviews(file: Path) -> list[Row]:
    """The reviewed rows in the order of the test set; a missing file is no rows.

    Of two reviews of one row the later one counts, and a torn line is passed over, as in EvalScope's own cache.

    Raises:
        Refused: the rows were scored by an older version of the kit, which noted less about them.
    """
    try:
        rows = {row.index: row for row in map(_row, json_lines(file))}
    except KeyError as missing:
        raise Refused(
            f"{file}: its rows were scored by another version of the kit (no {missing}); run finr1 eval again"
        ) from None
    return [rows[index] for index in sorted(rows)]


def read_result(folder: Path) -> tuple[dict[str, Any], list[Row]]:
    """A finished evaluation: its `result.json`, and every row that was asked, those that failed included.

    Raises:
        Refused: there is no result, or its reviews are gone or were changed since.
    """
    file = folder / RESULT
    if not file.is_file():
        raise Refused(f"no evaluation at {folder}: it has no {RESULT}; run finr1 eval first")
    result = json.loads(file.read_text(encoding="utf-8"))
    reviews_file = folder / result["reviews"]
    if (sha256(reviews_file) if reviews_file.is_file() else "") != result["reviews_sha256"]:
        raise Refused(f"{reviews_file} is not what {file} was counted from; run finr1 eval again")
    rows = [*read_reviews(reviews_file), *map(failed_row, result["failed"])]
    return result, sorted(rows, key=lambda row: row.index)


def json_lines(file: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, torn lines passed over; nothing for a missing file."""
    if not file.is_file():
        return
    with file.open("rb") as lines:
        for line in lines:
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                yield value


def sha256(file: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _row(review: dict[str, Any]) -> Row:
    score = review["sample_score"]["score"]
    asked = review["sample_score"]["sample_metadata"]
    noted = score["metadata"]
    prompts = [message["content"] for message in review["messages"] if message["role"] == "user"]
    return Row(
        index=review["index"],
        extracted=score["extracted_prediction"] or "",
        reason=score["explanation"] or "",
        completion=score["prediction"] or "",
        gold=asked["gold"],
        question=asked["question"],
        prompt=prompts[-1] if prompts else "",
        **{key: noted[key] for key in _NOTED},
    )


def failed_row(failure: dict[str, Any]) -> Row:
    """A row that was asked and has no review, from `result.json`'s list of failures."""
    asked = Asked.model_validate(failure["asked"])
    return Row(
        index=failure["index"],
        repeat=failure.get("repeat", 0),
        **asked.labels,
        status="error",
        strict_status="error",
        lenient_status="error",
        official=None,
        label=None,
        cause=failure["cause"],
        question=asked.question,
        gold=asked.gold,
        prompt=asked.question,
        well_formed=False,
        extracted="",
        reason="",
        completion="",
        finish_reason="",
        prompt_tokens=None,
        completion_tokens=None,
        latency_s=None,
    )


_NOTED = (
    *("id", "repeat", "status", "strict_status", "lenient_status", "official", "label", "cause", "well_formed"),
    *("source", "lang", "task", "type", "kind", "level", "doc", "answer_type"),
    *("finish_reason", "prompt_tokens", "completion_tokens", "latency_s"),
)
"""The keys of a review's score metadata that are columns of `Row`."""


def count(rows: Iterable[Row]) -> dict[str, Any]:
    """The rows by state, and the causes of no answer and of errors: `requested` is the sum of the five states.

    `official_correct` and `macro_f1` are None where the benchmark does not count them.
    """
    rows = list(rows)
    states = Counter(row.status for row in rows)
    rated = [row for row in rows if row.rated]
    official = [row.official for row in rated if row.official is not None]
    classes = [(row.gold, row.label) for row in rated if row.label is not None]
    return {
        "requested": len(rows),
        **{state: states[state] for state in STATES},
        "well_formed": sum(row.well_formed for row in rated),
        "strict_correct": sum(row.strict_status == "correct" for row in rated),
        "lenient_correct": sum(row.lenient_status == "correct" for row in rated),
        "official_correct": sum(official) if official else None,
        "macro_f1": macro_f1(classes),
        "no_answer_by_cause": dict(Counter(row.cause for row in rows if row.status == "no_answer").most_common()),
        "error_by_cause": dict(Counter(row.cause for row in rows if row.status == "error").most_common()),
    }


def rates(counts: dict[str, Any]) -> dict[str, float | None]:
    """The headline rates of `count`, over correct + wrong + no answer; None where no row could be rated.

    `undecided_rate` and `error_rate` are over all that was requested. `execution_accuracy` is FinQA's own value rule.
    """
    rated = counts["correct"] + counts["wrong"] + counts["no_answer"]

    def share(part: int | None, whole: int) -> float | None:
        return part / whole if whole and part is not None else None

    return {
        "accuracy": share(counts["correct"], rated),
        "strict_accuracy": share(counts["strict_correct"], rated),
        "lenient_accuracy": share(counts["lenient_correct"], rated),
        "execution_accuracy": share(counts["official_correct"], rated),
        "macro_f1": counts["macro_f1"],
        "format_rate": share(counts["well_formed"], rated),
        "no_answer_rate": share(counts["no_answer"], rated),
        "undecided_rate": share(counts["undecided"], counts["requested"]),
        "error_rate": share(counts["error"], counts["requested"]),
    }
