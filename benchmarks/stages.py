"""How long each stage of the quickstart takes on this machine, and at what rate.

    python benchmarks/stages.py [--out benchmarks/results/stages.json] [--keep FOLDER]

Runs the quickstart pipeline in a home folder of its own, with stacks and model as they are, and reads what the stages
left: times from the pipeline, tokens and rows from journals, manifests and trainers' histories. With `--keep` on a folder
whose run is finished, the stages do nothing and their times are those of that run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package `launch`, before launch.py beside this file

from launch.paths import CACHE, KIT
from launch.record import machine

PIPELINE = "recipes/pipelines/quickstart.yaml"


def lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rates(home: Path) -> dict[str, dict[str, float]]:
    """Per stage: seconds, and what it did in them."""
    run = home / "runs" / "quickstart"
    took = {name.split("-", 1)[1]: seconds for name, seconds in json.loads((run / "timings.json").read_text()).items()}
    measured = {name: {"seconds": seconds} for name, seconds in took.items()}

    def rate(stage: str, what: str, count: float) -> None:
        measured[stage][what] = count
        measured[stage][f"{what}_per_s"] = round(count / max(took[stage], 0.1), 2)

    rate("prepare", "questions", sum(len(lines(path)) for path in (run / "questions").glob("*.jsonl")))
    traces = lines(run / "traces.jsonl")
    asked = [trace for trace in traces if trace["usage"]["completion_tokens"]]
    rate("distill", "requests", len(asked))
    rate("distill", "tokens", sum(trace["usage"]["completion_tokens"] for trace in asked))
    rate("screen", "traces", len(traces))
    rate("export", "rows", len(lines(home / "datasets" / "quickstart" / "sft" / "train.jsonl")))
    for stage in ("sft", "grpo"):
        history = json.loads((run / stage / "trainer_state.json").read_text())["log_history"]
        end = history[-1]
        measured[stage]["steps"] = end["step"]
        measured[stage]["train_seconds"] = end["train_runtime"]
        measured[stage]["rows_per_s"] = end["train_samples_per_second"]
        measured[stage]["seconds_a_step"] = round(end["train_runtime"] / end["step"], 2)
    predictions = [row for path in (run / "eval").rglob("predictions/**/*.jsonl") for row in lines(path)]
    rate("eval", "completions", len(predictions))
    rate("eval", "tokens", sum(row["model_output"]["usage"]["output_tokens"] for row in predictions))
    return measured


def processor() -> str:
    """The processor's name as Linux shows it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main() -> None:
    """Run, measure, write the JSON, print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=KIT / "benchmarks" / "results" / "stages.json")
    parser.add_argument("--keep", type=Path, help="run in this folder and leave it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = (options.keep or Path(scratch)).resolve()
        home.mkdir(parents=True, exist_ok=True)
        for name, target in (("recipes", KIT / "recipes"), (".cache", CACHE)):
            if not (home / name).exists():
                (home / name).symlink_to(target)
        command = [sys.executable, "-m", "launch.cli", "run", str(KIT / PIPELINE)]
        subprocess.run(command, check=True, cwd=home, env={**os.environ, "FINR1_HOME": str(home)})
        stages = rates(home)
        result = {
            "command": f"finr1 run {PIPELINE}",
            "seconds": round(sum(stage["seconds"] for stage in stages.values()), 1),
            "machine": {**machine(), "processor": processor()},
            "stages": stages,
        }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
