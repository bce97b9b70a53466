"""Every benchmark on rows of its set: golds score 100, the previous row's gold near chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchmark_sets import GoldsOf, prepared
from mock_server import serve

from eval_adapters.catalogue import BENCHMARKS, of
from eval_adapters.loading import load
from eval_adapters.reviews import count, rates, read_result
from eval_adapters.run import run_one
from eval_adapters.settings import EvalSettings, Generation, ModelSpec, SetSpec

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")


def evaluated(out: Path, spec: SetSpec, reply: Any, **more: Any) -> tuple[dict[str, Any], list[Any]]:
    """The result and the rows of one evaluation against a server that replies so."""
    with serve(reply) as server:
        settings = EvalSettings(
            out=out,
            models=[ModelSpec(name="m", api_url=server.url)],
            sets=[spec],
            **{"generation": Generation(max_tokens=64), "timeout_s": 20.0, "attempts": 1, "batch": 4, **more},
        )
        result = run_one(settings, settings.models[0])[spec.label]
    counted, rows = read_result(out / "m" / spec.label)
    assert counted == result
    # A recount from EvalScope's own review files gives every cell.
    assert count(rows) == result["counts"]
    assert rates(count(rows)) == result["rates"]
    return result, rows


@pytest.mark.parametrize("name", BENCHMARKS)
def test_golds_score_100_less_those_that_refuse_themselves(tmp_path: Path, name: str) -> None:
    spec = prepared(name, tmp_path / "set")
    result, rows = evaluated(tmp_path / "out", spec, GoldsOf(spec))
    assert len(rows) >= 5
    refused = {each["id"] for each in result["golds_refused"]}
    assert {row.id for row in rows if row.status != "correct"} <= refused
    assert len(refused) <= len(rows) // 10
    assert result["rates"]["error_rate"] == 0
    for rate in ("accuracy", "strict_accuracy", "lenient_accuracy", "format_rate"):
        assert result["rates"][rate] >= 1 - len(refused) / len(rows)
    if of(name).classes:
        assert result["rates"]["macro_f1"] == 1.0


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_previous_row_s_gold_scores_near_chance(tmp_path: Path, name: str) -> None:
    spec = prepared(name, tmp_path / "set")
    golds = [row.gold for row in load(spec, of(name))]
    same = sum(gold == golds[place - 1] for place, gold in enumerate(golds))
    result, rows = evaluated(tmp_path / "out", spec, GoldsOf(spec, shift=1))
    counts = result["counts"]
    # Right where two neighbours happen to have one gold, and but for one row in twenty nowhere else.
    assert counts["correct"] <= same + len(rows) / 20
    assert counts["error"] == counts["no_answer"] == 0
    if of(name).classes:
        assert result["rates"]["macro_f1"] < 0.75
