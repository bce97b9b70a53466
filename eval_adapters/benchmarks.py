"""The benchmarks, each its description and a data folder. Importing this module registers them with EvalScope."""

from __future__ import annotations

from typing import Any

from evalscope.api.benchmark import BenchmarkMeta
from evalscope.api.metric.semantics import MetricSelector
from evalscope.api.registry import register_benchmark
from evalscope.constants import Tags

from eval_adapters.base import ExportedTestSet


def describe(name: str, **more: Any) -> BenchmarkMeta:
    """The description of a benchmark over an exported test set; `more` are `BenchmarkMeta`'s own fields."""
    return BenchmarkMeta(
        name=name,
        few_shot_mode="disabled",
        eval_split="test",
        metric_list=["accuracy", "strict_accuracy", "format_rate", "no_answer_rate"],
        # EvalScope raises after all inference where the main metric is not unique; naming the mean keeps it so.
        primary_metric=MetricSelector(name="accuracy", aggregation="mean"),
        **more,
    )


@register_benchmark(
    describe(
        "finr1_finmath",
        pretty_name="finmath (finr1-kit)",
        description="Finance problems made by program, in Chinese and English, with computed answers.",
        tags=[Tags.MATH, Tags.REASONING],
        dataset_id="datasets/quickstart/test",
        subset_list=["finmath"],
        # v1.0: the first. Raise it whenever what is sent or counted changes.
        evaluation_version="v1.0",
    )
)
class FinMath(ExportedTestSet):
    """Held-out `finmath` problems."""


@register_benchmark(
    describe(
        "finr1_finqa",
        pretty_name="FinQA, answer form (finr1-kit)",
        description="FinQA answered with a value. EvalScope's own `finqa` executes programs: not comparable.",
        tags=[Tags.QA, Tags.MATH, Tags.REASONING],
        dataset_id="datasets/finqa/test",
        subset_list=["finqa"],
        evaluation_version="v1.0",
    )
)
class FinQA(ExportedTestSet):
    """FinQA questions over a report page, text and table."""
