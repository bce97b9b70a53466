"""What the answers cost and how long they took: by the rows' own counts, and by a load test (EvalScope's `perf`)."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eval_adapters.prices import TokenPrices
from eval_adapters.reviews import Row
from reward_plugins.errors import Refused

_SUMMARY = "benchmark_summary.json"
_PERF = {
    "concurrency": "Concurrency",
    "requests": "Total Requests",
    "failed": "Failed Requests",
    "latency_s": "Avg Latency (s)",
    "ttft_ms": "Avg TTFT (ms)",
    "requests_per_s": "Req Throughput (req/s)",
    "output_tokens_per_s": "Output Throughput (tok/s)",
}
"""Our names for EvalScope's keys in `benchmark_summary.json`."""


def usage(rows: list[Row], prices: TokenPrices | None) -> dict[str, Any]:
    """Tokens, seconds a row and, where prices are given, cost; of the rows for which the server counted.

    `cost` is None without prices or without a counted row. `per_right`: for each right answer among the counted rows.
    """
    counted = [row for row in rows if row.prompt_tokens is not None and row.completion_tokens is not None]
    prompt = sum(row.prompt_tokens or 0 for row in counted)
    completion = sum(row.completion_tokens or 0 for row in counted)
    cost = None
    if prices is not None and counted:
        total = prices.cost(prompt, completion)
        right = sum(row.correct for row in counted)
        cost = {
            "currency": prices.currency,
            "total": total,
            "per_1000": 1000 * total / len(counted),
            "per_right": total / right if right else None,
        }
    return {
        "counted": len(counted),
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "completion_length": spread(row.completion_tokens for row in rows if row.rated),
        "latency_s": spread(row.latency_s for row in rows if row.rated),
        "cost": cost,
    }


def spread(values: Iterable[float | None]) -> dict[str, float] | None:
    """Median, mean and 95th percentile of what is known; None for nothing."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    p95 = known[min(len(known) - 1, int(0.95 * len(known)))]
    return {"median": statistics.median(known), "mean": statistics.fmean(known), "p95": p95}


def read_perf(folder: Path) -> list[dict[str, Any]]:
    """The settings of a load test (`python -m eval_adapters perf`), by requests at once.

    Raises:
        Refused: the folder holds none.
    """
    found = []
    for file in sorted(folder.rglob(_SUMMARY)):
        said = json.loads(file.read_text(encoding="utf-8"))
        found.append({name: said.get(key) for name, key in _PERF.items()})
    if not found:
        raise Refused(f"no load test below {folder}: there is no {_SUMMARY}; python -m eval_adapters perf writes it")
    return sorted(found, key=lambda each: each["concurrency"] or 0)
