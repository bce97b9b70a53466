"""The benchmarks as EvalScope sees them. Importing this module registers them.

Most differ by what `catalogue.py` says of them and in nothing else. One of your own is a class and an entry like these,
named in a recipe by its dotted path:

    @benchmark(Benchmark("desk_news", "News of our desk", "What our analysts ask.", sources=("desk",)))
    class DeskNews(FinanceBenchmark): ...
"""

from __future__ import annotations

from eval_adapters.base import FinanceBenchmark, benchmark
from eval_adapters.catalogue import BENCHMARKS
from eval_adapters.own_history import OwnHistory

for _about in BENCHMARKS.values():
    _base = OwnHistory if _about.history == "own" else FinanceBenchmark
    benchmark(_about)(type(_about.name, (_base,), {"__doc__": _about.about, "__module__": __name__}))
