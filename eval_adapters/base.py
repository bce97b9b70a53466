"""What every benchmark of the kit shares: reading a test set, sending its prompts, scoring by one rule.

A benchmark is a subclass and what is said of it; see `benchmarks.py`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from evalscope.api.benchmark import BenchmarkMeta, DefaultDataAdapter
from evalscope.api.dataset import DatasetDict, Sample, build_dataset_from_records
from evalscope.api.evaluator import TaskState
from evalscope.api.evaluator.inference_result import InferenceReturn
from evalscope.api.messages import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
)
from evalscope.api.metric import AggScore, SampleScore, Score
from evalscope.api.metric.semantics import MetricSelector
from evalscope.api.model import GenerateConfig, Model, ModelOutput
from evalscope.api.registry import register_benchmark
from evalscope.config import TaskConfig
from evalscope.constants import ScoreStatus, Tags
from pydantic import ValidationError

from eval_adapters.catalogue import BENCHMARKS, Benchmark
from eval_adapters.endpoint import failure_cause
from eval_adapters.loading import identity, load
from eval_adapters.rows import FAILURES, Asked, Message, SetRow
from eval_adapters.scoring import SERVER_SPOKE, join_reasoning, macro_f1, score
from eval_adapters.settings import SetSpec
from reward_plugins.errors import Refused

_DATASET_ARGS = {"local_path", "dataset_id", "subset_list", "extra_params"}
"""The dataset_args with a meaning here. Prompts come with the rows or are made by `extra_params`."""

_EXTRA_PARAMS: dict[str, tuple[str, str, Any]] = {
    "system_prompt": ("str", "a prompt file, for questions without a prompt of their own", None),
    "few_shot": ("dict", "examples in the prompt: path of a train split's file, count, seed", None),
    "columns": ("dict", "your columns for the kit's, finr1_jsonl only", {}),
}

F = TypeVar("F", bound="type[FinanceBenchmark]")


def benchmark(about: Benchmark) -> Callable[[F], F]:
    """Register a class with EvalScope as the benchmark that `about` describes."""
    meta = BenchmarkMeta(
        name=about.name,
        pretty_name=f"{about.title} (finr1-kit)",
        description=about.about,
        tags=[getattr(Tags, tag) for tag in about.tags],
        dataset_id=f"datasets/{about.name.removeprefix('finr1_')}/test",
        subset_list=[about.sources[0] if about.sources else "test"],
        few_shot_mode="disabled",
        eval_split="test",
        metric_list=["accuracy", "strict_accuracy", "lenient_accuracy", "format_rate", "no_answer_rate"]
        + (["execution_accuracy"] if about.official else []),
        # EvalScope raises after all inference where the main metric is not unique; naming the mean keeps it so.
        primary_metric=MetricSelector(name="accuracy", aggregation="mean"),
        extra_params={
            name: {"type": kind, "description": what, "value": value}
            for name, (kind, what, value) in _EXTRA_PARAMS.items()
        },
        evaluation_version=about.version,
    )

    def register(adapter: F) -> F:
        adapter.about = about
        registered: F = register_benchmark(meta)(adapter)
        return registered

    return register


class FinanceBenchmark(DefaultDataAdapter):  # type: ignore[misc]
    """A benchmark over a folder of `<subset>.jsonl` files that the kit, or its user, wrote.

    Raises:
        Refused: when it is made, for a missing path, a malformed row, or dataset_args that it cannot honour.
            (EvalScope would look for a missing path on a hub, and drops what it does not know without a word.)
    """

    about: Benchmark

    def __init__(self, benchmark_meta: BenchmarkMeta, task_config: TaskConfig | None = None) -> None:
        if task_config is not None:
            self._refuse_arguments(benchmark_meta.name, task_config)
        super().__init__(benchmark_meta=benchmark_meta, task_config=task_config)
        self._writing = threading.Lock()
        if task_config is None:  # only the description is wanted
            return
        specs = [self._spec(subset) for subset in self.subset_list]
        self._path = specs[0].path
        self._rows = {spec.subset: load(spec, self.about) for spec in specs}
        # The content is the identity that EvalScope's cache compares, not the place: a moved set resumes, a changed
        # one is another set.
        identities = json.dumps([identity(spec, self.about) for spec in specs], sort_keys=True)
        self._benchmark_meta.dataset_revision = f"sha256:{hashlib.sha256(identities.encode()).hexdigest()}"
        self._benchmark_meta.dataset_id = self.name
        self._benchmark_meta.extra_params = {}

    def _spec(self, subset: str) -> SetSpec:
        given = {name: value for name, value in self.extra_params.items() if value}
        name = self.name if self.name in BENCHMARKS else f"{type(self).__module__}.{type(self).__qualname__}"
        try:
            return SetSpec(benchmark=name, path=self._benchmark_meta.dataset_id, subset=subset, **given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise Refused(f"{self.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None

    @staticmethod
    def _refuse_arguments(name: str, task_config: TaskConfig) -> None:
        strangers = sorted(set(task_config.dataset_args) - set(task_config.datasets))
        if strangers:
            raise Refused(f"dataset_args names {', '.join(strangers)}, which is not among the data sets of this run")
        if task_config.judge and task_config.judge.strategy in ("llm", "llm_recall"):
            # Its verdict would take the rule's place under the same name, and the rule's that of a judge that is dead.
            raise Refused(
                f"{name}: EvalScope's judge cannot be used ({task_config.judge.strategy}); "
                "finr1 eval judges beside the rule: put the judge into a recipe like recipes/eval/judge.yaml"
            )
        unusable = sorted(set(task_config.dataset_args.get(name, {})) - _DATASET_ARGS)
        if unusable:
            usable = ", ".join(sorted(_DATASET_ARGS))
            raise Refused(
                f"{name}: dataset_args {', '.join(unusable)} cannot be used (only {usable}): prompts come with the "
                f"rows; what can be said of them goes into extra_params ({', '.join(_EXTRA_PARAMS)})"
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
        row = SetRow.model_validate(record)
        metadata = row.model_dump(include=set(Asked.model_fields))
        return Sample(input=chat(row.prompt), target=row.gold, metadata=metadata)

    def run_inference(self, model: Model, sample: Sample, output_dir: str, **more: Any) -> TaskState:
        """Ask the model; a failure is noted with its cause and raised on."""
        try:
            return super().run_inference(model=model, sample=sample, output_dir=output_dir, **more)
        except Exception as error:
            self._note_failure(Path(output_dir), sample, error)
            raise

    def _on_inference(self, model: Model, sample: Sample) -> InferenceReturn:
        """One request. Each repeat has a seed of its own: with one seed for all, a server gives one answer for all."""
        seed = model.config.seed
        if seed is None or self.repeats == 1:
            return super()._on_inference(model, sample)
        config = GenerateConfig(seed=seed + self.repeat_of(sample.id))
        return model.generate(input=sample.input, tools=sample.tools, config=config)

    def repeat_of(self, sample_id: int) -> int:
        """Which sample of its row it is, from 0; EvalScope numbers the samples of a row one after the other."""
        return sample_id % max(1, int(self.repeats))

    def _note_failure(self, folder: Path, sample: Sample, error: Exception) -> None:
        note = {"index": sample.id, "id": sample.metadata["id"], "cause": failure_cause(error)}
        with self._writing, (folder / FAILURES).open("a", encoding="utf-8") as notes:
            notes.write(json.dumps(note, ensure_ascii=False) + "\n")

    def match_score(
        self, original_prediction: str, filtered_prediction: str, reference: str, task_state: TaskState
    ) -> Score:
        """The outcome of a row; the whole completion is judged, reasoning included.

        An error (the text is the server's) and what no rule can decide count in no rate, and are kept in the review.
        """
        row = Asked.model_validate(task_state.metadata)
        output = task_state.output
        stop_reason = output.stop_reason
        response = whole_completion(output)
        outcome = score(response, stop_reason, row, official=self.about.official, classes=self.about.classes)
        return Score(
            value=outcome.metrics(),
            status=ScoreStatus.SUCCESS if outcome.rated else ScoreStatus.EXCLUDED,
            main_score_name="accuracy",
            extracted_prediction=outcome.extracted,
            prediction="" if stop_reason in SERVER_SPOKE else response,
            explanation=outcome.reason,
            metadata={
                **row.labels,
                "repeat": self.repeat_of(task_state.sample_id),
                "status": outcome.status,
                "strict_status": outcome.strict_status,
                "lenient_status": outcome.lenient_status,
                "official": outcome.official,
                "label": outcome.label,
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
        rated = [sample.score for sample in sample_scores if sample.score.value]
        if not rated:
            return []
        failed = sum(sample.score.metadata["status"] == "error" for sample in sample_scores)
        errors = (planned - len(sample_scores) + failed) / planned
        more = [AggScore(score=errors, metric_name="inference_error_rate", aggregation="rate", num=planned)]
        if self.about.classes:
            golds = {sample.sample_id: sample.sample_metadata["gold"] for sample in sample_scores}
            pairs = [
                (golds[sample.sample_id], sample.score.metadata["label"])
                for sample in sample_scores
                if sample.score.value
            ]
            f1 = macro_f1(pairs)
            more.append(AggScore(score=f1, metric_name="f1_macro", aggregation="macro_mean", num=len(pairs)))
        return [*super().aggregate_subset(subset, sample_scores), *more]


def chat(prompt: list[Message]) -> list[ChatMessage]:
    """A prompt as EvalScope's messages."""
    return [_message(message.role, message.content) for message in prompt]


def _message(role: str, text: str) -> ChatMessage:
    message = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}[role](
        content=""
    )
    # Set afterwards: made with its text, an assistant message loses a think block that stands in it.
    message.content = text
    return message


def whole_completion(output: ModelOutput) -> str:
    """The completion as the model wrote it, from our `Endpoint`; put together again from EvalScope's own clients."""
    message = output.message
    if isinstance(message.content, str):
        return message.content
    reasoning = "".join(part.reasoning for part in message.content if part.type == "reasoning")
    return join_reasoning(reasoning, message.text, cut=output.stop_reason == "max_tokens")
