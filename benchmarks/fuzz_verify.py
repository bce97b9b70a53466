"""Fuzz the verifier: does any text make it raise, or keep it busy for more than 50 ms?

python benchmarks/fuzz_verify.py [--seconds 60] [--seed 1]     # needs atheris: pip install atheris

libFuzzer mutates the labelled corpus (tests/reward_plugins/corpus) where that reaches new lines of `reward_plugins`; it
runs in a process of its own. What it finds is judged again in this one, where the code is not instrumented: an
exception, or more than 50 ms of CPU time as the best of three calls. Exit code 1 where a finding stands.

An input is bytes: before, repeated, after, times, gold, question and meta (JSON), joined by NUL; the response is
`before + repeated * times + after`, so that one mutation of `times` makes a flood.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reward_plugins"))

from corpus_cases import cases

LIMIT = 0.05  # seconds of CPU time for one call: the verifier's own promise
LONGEST = 60_000  # characters of a response: about four times the longest completion that a recipe allows
_INPUT = 8192  # bytes of an input; repetition makes it long, not mutation
_FLOOD_EVERY = 10  # one seed in ten is a flood already
_PIECE = 12  # characters that a seed repeats
_WORDS = (  # what libFuzzer may put in whole: it would not find them byte by byte
    *("<think>", "</think>", "<answer>", "</answer>", "\\boxed{", "\\frac{", "\\text{", "<!--", "~~", "**", "```a "),
    *(
        "%",
        "亿",
        "万元",
        "百分之",
        "三",
        "或",
        "不是",
        "是",
        "下降",
        "A、",
        "=",
        "±",
        "1e9",
        "2019-12-31",
        "\u200b",
        "％",
    ),
    *(" million", " not ", " or ", " to ", "(", "bps", "the answer is "),
)

Call = tuple[str, str, str, Mapping[str, Any] | None]


def decoded(data: bytes) -> Call:
    """The arguments of `verify` that an input stands for; any bytes stand for some."""
    fields = data.decode("utf-8", "surrogateescape").split("\0", 6)
    before, repeated, after, times, gold, question, meta = fields + [""] * (7 - len(fields))
    most = LONGEST // max(len(repeated), 1)
    copies = min(int(times), most) if times.isascii() and times.isdigit() and len(times) < 9 else 1
    try:
        stated = json.loads(meta)
    except (ValueError, RecursionError):
        stated = None
    return before + repeated * copies + after, gold, question, stated if isinstance(stated, dict) else None


def encoded() -> list[bytes]:
    """The corpus as inputs."""
    found = []
    for index, case in enumerate(cases()):
        cut = index * 7 % max(len(case.response), 1)  # anywhere, and the same in each run
        parts = case.response[:cut], case.response[cut : cut + _PIECE], case.response[cut + _PIECE :]
        times = "1" if index % _FLOOD_EVERY else "5000"
        meta = json.dumps(case.meta, ensure_ascii=False)
        found.append("\0".join([*parts, times, case.gold, case.question, meta]).encode("utf-8", "surrogatepass"))
    return found


def fuzz(folder: Path, seconds: int, seed: int) -> None:
    """Run libFuzzer over `folder/seeds`; each input that raises or is slow is written to `folder/found`."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

    with atheris.instrument_imports(include=["reward_plugins"]):
        from reward_plugins import verify

    seen: set[str] = set()

    def keep(kind: str, data: bytes) -> None:
        if kind not in seen:
            seen.add(kind)
            (folder / "found" / f"{len(seen):04}").write_bytes(data)

    def one(data: bytes) -> None:
        call = decoded(data)
        start = time.process_time()
        try:
            verify(*call)
        except Exception as problem:  # to be found, reported and passed by: the run goes on
            trace = problem.__traceback__
            while trace and trace.tb_next:
                trace = trace.tb_next
            keep(f"{type(problem).__name__} {trace.tb_frame.f_code.co_qualname if trace else ''}", data)
        spent = time.process_time() - start
        if spent > LIMIT:
            keep(f"slow {spent:.1f} {call[1][:8]}", data)

    options = [f"-max_total_time={seconds}", f"-max_len={_INPUT}", f"-seed={seed}", f"-dict={folder / 'words'}"]
    atheris.Setup([sys.argv[0], *options, "-timeout=30", "-print_final_stats=1", str(folder / "seeds")], one)
    atheris.Fuzz()


def judged(data: bytes) -> str | None:
    """What is wrong with an input, measured here without instrumentation; None where it is fine."""
    from reward_plugins import verify

    call = decoded(data)
    best = float("inf")
    for _ in range(3):  # the machine may be busy with something else
        start = time.process_time()
        try:
            verify(*call)
        except Exception as problem:  # a finding is reported, whatever it is
            return f"{type(problem).__name__}: {problem}"
        best = min(best, time.process_time() - start)
    return f"{best * 1000:.0f} ms for {len(call[0])} characters" if best > LIMIT else None


def main() -> int:
    """Write the seeds, run the fuzzer beside us, judge what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="how long to fuzz (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer's mutations (default: %(default)s)")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        fuzz(options.inside, options.seconds, options.seed)
        return 0
    try:
        import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore] # noqa: F401
    except ImportError:
        print("atheris is not installed here; run: pip install atheris (Linux, Python 3.11 or 3.12)", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "found").mkdir()
        (folder / "seeds").mkdir()
        for index, seed in enumerate(encoded()):
            (folder / "seeds" / f"{index:05}").write_bytes(seed)
        escaped = ["".join(f"\\x{byte:02x}" for byte in word.encode()) for word in _WORDS]
        (folder / "words").write_text("".join(f'"{word}"\n' for word in escaped), encoding="utf-8")
        command = [sys.executable, __file__, "--inside", name, "--seconds", str(options.seconds)]
        run = subprocess.run([*command, "--seed", str(options.seed)], capture_output=True, text=True, errors="replace")
        stats = [line for line in run.stderr.splitlines() if line.startswith("stat::number_of_executed_units")]
        if run.returncode or not stats:
            print(run.stderr[-2000:], file=sys.stderr)
            return 2
        inputs = [path.read_bytes() for path in sorted((folder / "found").iterdir())]
        stand = [(data, problem) for data in inputs if (problem := judged(data))]
    print(f"{stats[0].split()[-1]} inputs; {len(inputs)} to look at again, {len(stand)} findings")
    for data, problem in stand:
        print(f"{problem}\n  {data[:500]!r}")
    return 1 if stand else 0


if __name__ == "__main__":
    sys.exit(main())
