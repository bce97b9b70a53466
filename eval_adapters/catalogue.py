"""The benchmarks, one entry each. What is not said here is common to all and stands in `base.py`.

A benchmark of your own needs no entry: name its class by a dotted path in the recipe.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Literal

from reward_plugins.errors import Refused, did_you_mean


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What one benchmark is.

    `sources`: rows of these sources are asked and others passed over, () for all; `tasks` likewise. `version`: raise it
    when what is sent or counted changes. `official`: count FinQA's own value rule, too. `classes`: golds are class
    labels, so that macro-F1 is counted. `history`: what the model is told of a dialogue's earlier turns, "gold" answers
    or its "own" ones; "" for single questions. `own_rows`: the file may be anybody's JSON Lines.
    """

    name: str
    title: str
    about: str
    sources: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    version: str = "v1.0"
    official: bool = False
    classes: bool = False
    history: Literal["", "gold", "own"] = ""
    own_rows: bool = False
    tags: tuple[str, ...] = ("QA", "REASONING")


_DIALOGUE = "ConvFinQA's dialogues over report pages, turn by turn as chat messages; "
_TEXT = "Only a judge can decide free text: without one its rows stay undecided."

_ALL = (
    Benchmark(
        "finr1_finmath",
        "finmath",
        "Finance problems made by program, in Chinese and English, with computed answers.",
        sources=("finmath",),
        version="v1.1",  # 1.1: undecided rows are no errors any more
        tags=("MATH", "REASONING"),
    ),
    Benchmark(
        "finr1_finqa",
        "FinQA, answer form",
        "FinQA answered with a value. EvalScope's own `finqa` executes programs: not comparable.",
        sources=("finqa",),
        version="v1.1",
        official=True,
        tags=("QA", "MATH", "REASONING"),
    ),
    Benchmark(
        "finr1_convfinqa",
        "ConvFinQA, gold history",
        _DIALOGUE + "the earlier answers that it is told are the gold ones.",
        sources=("convfinqa",),
        official=True,
        history="gold",
        tags=("QA", "MATH", "REASONING", "MULTI_TURN"),
    ),
    Benchmark(
        "finr1_convfinqa_own",
        "ConvFinQA, own history",
        _DIALOGUE + "the earlier answers that it is told are its own, so an early mistake is carried on.",
        sources=("convfinqa",),
        official=True,
        history="own",
        tags=("QA", "MATH", "REASONING", "MULTI_TURN"),
    ),
    Benchmark(
        "finr1_tatqa",
        "TAT-QA",
        "Questions over tables and text of financial reports; the scale is part of the answer.",
        sources=("tatqa",),
        tags=("QA", "MATH", "REASONING"),
    ),
    Benchmark(
        "finr1_fin_eva",
        "Fin-Eva (Ant_Finance)",
        "Chinese finance tasks with choices; the rows whose answers are published.",
        sources=("fin_eva",),
        tags=("CHINESE", "MULTIPLE_CHOICE"),
    ),
    Benchmark(
        "finr1_financeiq",
        "FinanceIQ",
        "Ten Chinese finance exams with choices.",
        sources=("financeiq",),
        tags=("CHINESE", "MULTIPLE_CHOICE"),
    ),
    Benchmark(
        "finr1_fineval",
        "FinEval",
        "34 Chinese subjects of finance, economics, accounting and certificates, with choices.",
        sources=("fineval",),
        tags=("CHINESE", "MULTIPLE_CHOICE"),
    ),
    Benchmark(
        "finr1_cflue",
        "CFLUE",
        "Chinese finance exams (one, several or true/false choices) and applications. " + _TEXT,
        sources=("cflue",),
        tags=("CHINESE", "MULTIPLE_CHOICE"),
    ),
    Benchmark(
        "finr1_tfns",
        "Twitter Financial News Sentiment",
        "Tweets: bearish, bullish or neutral. Accuracy and macro-F1.",
        sources=("tfns",),
        classes=True,
        tags=("QA",),
    ),
    Benchmark(
        "finr1_fincuge_sentiment",
        "FinCUGE sentiment (FinFE)",
        "Chinese posts on finance: negative, neutral or positive. Accuracy and macro-F1.",
        sources=("fincuge",),
        tasks=("finfe",),
        classes=True,
        tags=("CHINESE", "QA"),
    ),
    Benchmark(
        "finr1_finance_instruct",
        "Finance-Instruct",
        "Finance instructions answered in words. " + _TEXT,
        sources=("finance_instruct",),
        tags=("QA", "INSTRUCTION_FOLLOWING"),
    ),
    Benchmark(
        "finr1_text",
        "Free text",
        "Questions of any source whose golds are texts. " + _TEXT,
        tags=("QA", "INSTRUCTION_FOLLOWING"),
    ),
    Benchmark(
        "finr1_exported",
        "Exported test set",
        "Any set that `finr1 export` or `finr1 prepare` wrote, all sources of the file together.",
        tags=("QA", "REASONING"),
    ),
    Benchmark(
        "finr1_jsonl",
        "JSON Lines",
        "Questions and golds of your own, one JSON object a line; `columns` names your columns.",
        version="v1.1",  # 1.1: golds of questions with choices are letters or a choice's text
        own_rows=True,
        tags=("CUSTOM", "QA"),
    ),
)

BENCHMARKS = {benchmark.name: benchmark for benchmark in _ALL}


def known(name: str) -> str:
    """The name, if it is a benchmark of the kit's or a dotted path to a class; `Refused` with a suggestion if not."""
    if name in BENCHMARKS or "." in name:
        return name
    # EvalScope's own `finqa` is another benchmark: whoever leaves out the prefix must hear of it.
    meant = name if name.startswith("finr1_") else f"finr1_{name}"
    raise Refused(f"no benchmark is called {name!r}{did_you_mean(meant, BENCHMARKS)}")


def of(name: str) -> Benchmark:
    """The benchmark of a recipe's name; a dotted path is imported, and EvalScope with it (seconds).

    Raises:
        Refused: there is none.
    """
    if known(name) in BENCHMARKS:
        return BENCHMARKS[name]
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute).about
    except (ImportError, AttributeError) as error:
        raise Refused(f"{name}: no benchmark can be imported from there ({error})") from None
    if not isinstance(found, Benchmark):
        raise Refused(f"{name} is no benchmark: its class has no `about`; use eval_adapters.base.benchmark")
    return found
