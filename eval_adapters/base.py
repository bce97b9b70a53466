"""What every benchmark of the kit shares: reading an exported test set, sending its prompts, scoring by one rule.

A benchmark is a subclass with a `BenchmarkMeta`; see `benchmarks.py`.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from evalscope.api.benchmark import BenchmarkMeta, DefaultDataAdapter
from evalscope.api.dataset import DatasetDict, Sample, build_dataset_from_records
from evalscope.api.evaluator import TaskState
from evalscope.api.messages import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
)
from evalscope.api.metric import AggScore, SampleScore, Score
from evalscope.api.model import Model
from evalscope.config import TaskConfig
from evalscope.constants import ScoreStatus

from eval_adapters.endpoint import failure_cause
from eval_adapters.rows import FAILURES, Asked, ExportedRow, content_hash, read_rows
from eval_adapters.scoring import SERVER_SPOKE, join_reasoning, score
from reward_plugins.errors import Refused

_DATASET_ARGS = {"local_path", "dataset_id", "subset_list"}
"""The dataset_args with a meaning here. The export stage renders the prompts, so nothing about them can be set."""


class ExportedTestSet(DefaultDataAdapter):  # type: ignore[misc]
    """A benchmark over a folder of `<subset>.jsonl` files as the kit's export stage writes them.

    Raises:
        Refused: when it is made, for a missing path, a malformed row, or dataset_args that it cannot honour.
            (EvalScope would look for a missing path on a hub, and drops what it does not know without a word.)
    """

    def __init__(self, benchmark_meta: BenchmarkMeta, task_config: TaskConfig | None = None) -> None:
        if task_config is not None:
            self._refuse_arguments(benchmark_meta.name, task_config)
        super().__init__(benchmark_meta=benchmark_meta, task_config=task_config)
        self._writing = threading.Lock()
        if task_config is None:  # only the description is wanted
            return
        self._path = Path(benchmark_meta.dataset_id)
        self._rows = {subset: read_rows(self._path, subset) for subset in self.subset_list}
        # The content is the identity that EvalScope's cache compares, not the place: a moved set resumes, a changed
        # one is another set.
        hashes = [content_hash(self._path, subset) for subset in self.subset_list]
        self._benchmark_meta.dataset_revision = "+".join(hashes)
        self._benchmark_meta.dataset_id = self.name

    @staticmethod
    def _refuse_arguments(name: str, task_config: TaskConfig) -> None:
        strangers = sorted(set(task_config.dataset_args) - set(task_config.datasets))
        if strangers:
            raise Refused(f"dataset_args names {', '.join(strangers)}, which is not among the data sets of this run")
        unusable = sorted(set(task_config.dataset_args.get(name, {})) - _DATASET_ARGS)
        if unusable:
            usable = ", ".join(sorted(_DATASET_ARGS))
            raise Refused(
                f"{name}: dataset_args {', '.join(unusable)} cannot be used (only {usable}): the prompts of an "
                "exported test set, their system message and examples included, are made by the export stage"
            )

    def load(self) -> tuple[DatasetDict, None]:
        """The rows, without a look at any hub; no few-shot examples, since the prompts are complete."""
        datasets = {
            subset: build_dataset_from_records(
                [row.model_dump() for row in rows],
                self.record_to_sample,
                name=subset,
                location=str(self._path),
                limit=self.limit or None,
                repeats=self.repeats,
                shuffle=False,
                seed=self.seed,
            )
            for subset, rows in self._rows.items()
        }
        return DatasetDict(datasets), None

    def record_to_sample(self, record: dict[str, Any]) -> Sample:
        """A row as EvalScope's sample; the prompt goes out exactly as it stands."""
        row = ExportedRow.model_validate(record)
        messages = [_message(message.role, message.content) for message in row.prompt]
        return Sample(input=messages, target=row.gold, metadata=row.model_dump(exclude={"prompt"}))

    def run_inference(self, model: Model, sample: Sample, output_dir: str, **more: Any) -> TaskState:
        """Ask the model; a failure is noted with its cause and raised on."""
        try:
            return super().run_inference(model=model, sample=sample, output_dir=output_dir, **more)
        except Exception as error:
            self._note_failure(Path(output_dir), sample, error)
            raise

    def _note_failure(self, folder: Path, sample: Sample, error: Exception) -> None:
        note = {"index": sample.id, "id": sample.metadata["id"], "cause": failure_cause(error)}
        with self._writing, (folder / FAILURES).open("a", encoding="utf-8") as notes:
            notes.write(json.dumps(note, ensure_ascii=False) + "\n")

    def match_score(
        self, original_prediction: str, filtered_prediction: str, reference: str, task_state: TaskState
    ) -> Score:
        """The outcome of a row; the whole completion is judged, reasoning included.

        An error (the text is the server's, or no rule can decide) is excluded from every rate and kept in the review.
        """
        row = Asked.model_validate(task_state.metadata)
        output = task_state.output
        stop_reason = output.stop_reason
        response = _whole_completion(output.message, cut=stop_reason == "max_tokens")
        outcome = score(response, stop_reason, row)
        error = outcome.status == "error"
        return Score(
            value=outcome.metrics(),
            status=ScoreStatus.EXCLUDED if error else ScoreStatus.SUCCESS,
            main_score_name="accuracy",
            extracted_prediction=outcome.extracted,
            prediction="" if stop_reason in SERVER_SPOKE else response,
            explanation=outcome.reason,
            metadata={
                **row.labels,
                "status": outcome.status,
                "cause": outcome.cause,
                "well_formed": outcome.well_formed,
                "finish_reason": stop_reason,
                "completion_tokens": output.usage.output_tokens if output.usage else None,
                "prompt_tokens": output.usage.input_tokens if output.usage else None,
                "latency_s": output.time,
            },
        )

    def aggregate_subset(self, subset: str, sample_scores: list[SampleScore]) -> list[AggScore]:
        """The mean of each rate over the rows that have it, and the share of the planned rows that failed."""
        planned = len(self.test_dataset[subset])
        rated = sum(1 for sample in sample_scores if sample.score.value)
        errors = AggScore(
            score=1 - rated / planned, metric_name="inference_error_rate", aggregation="rate", num=planned
        )
        return [*super().aggregate_subset(subset, sample_scores), errors] if rated else []


def _message(role: str, text: str) -> ChatMessage:
    message = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}[role](
        content=""
    )
    # Set afterwards: made with its text, an assistant message loses a think block that stands in it.
    message.content = text
    return message


def _whole_completion(message: ChatMessage, cut: bool) -> str:
    """The completion as the model wrote it, from our `Endpoint`; put together again from EvalScope's own clients."""
    if isinstance(message.content, str):
        return message.content
    reasoning = "".join(part.reasoning for part in message.content if part.type == "reasoning")
    return join_reasoning(reasoning, message.text, cut)
