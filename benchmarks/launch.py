"""What the glue costs, in pairs, on one recipe and one model: `finr1 sft` against bare `llamafactory-cli train`, and
`finr1 grpo` against a script of ten lines (`bare_grpo.py`) that calls the same trainer.

python benchmarks/launch.py sft|grpo --model MODEL_FOLDER [--pairs 3] [--steps 30]

Step time is the trainer's own `train_runtime` over its steps; start is everything else of the command's wall time, and of
processor seconds all that the command and its children took (a busy machine stretches these less). The check's verdicts are kept
between runs, so a first, uncounted run of each form comes before the pairs; the form that begins changes with each pair.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package `launch`, before launch.py beside this file

from launch.paths import KIT, STACKS


def main() -> None:
    """Run the pairs and print the two figures with every pair behind them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=["sft", "grpo"])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = demo_home(Path(folder))
        one_run = {"sft": sft, "grpo": grpo}[options.engine]
        runs: list[dict[str, Any]] = []
        for pair in range(options.pairs + 1):
            forms = ("bare", "glue") if pair % 2 else ("glue", "bare")
            both = {form: one_run(home, form, options.model.resolve(), options.steps) for form in forms}
            if pair:
                runs.append(both)
            print(f"pair {pair}: {both}" + ("" if pair else " (not counted)"), file=sys.stderr, flush=True)
    steps = [pair["glue"]["step_s"] / pair["bare"]["step_s"] for pair in runs]
    starts = [pair["glue"]["start_s"] - pair["bare"]["start_s"] for pair in runs]
    processor = [pair["glue"]["cpu_s"] - pair["bare"]["cpu_s"] for pair in runs]
    print(
        json.dumps(
            {
                "step_time_ratio": round(statistics.median(steps), 4),
                "start_more_s": round(statistics.median(starts), 2),
                "cpu_more_s": round(statistics.median(processor), 2),
                "load_at_end": round(os.getloadavg()[0], 1),
                "pairs": runs,
            },
            indent=1,
        )
    )


def demo_home(home: Path) -> Path:
    """A home folder with the demo set and its registry."""
    shutil.copytree(KIT / "datasets" / "demo", home / "datasets" / "demo")
    registry = json.loads((KIT / "dataset_info.json").read_bytes())
    (home / "dataset_info.json").write_text(json.dumps({"demo_sft": registry["demo_sft"]}), encoding="ascii")
    return home


def sft(home: Path, form: str, model: Path, steps: int) -> dict[str, float]:
    """One run of LLaMA-Factory in seconds: one step, and all that is no step."""
    asked = yaml.safe_load((KIT / "recipes" / "sft" / "smollm2_135m_cpu.yaml").read_text(encoding="utf-8"))
    out = home / "runs" / form
    shutil.rmtree(out, ignore_errors=True)
    asked |= {"model_name_or_path": str(model), "dataset": "demo_sft", "output_dir": str(out), "max_steps": steps}
    asked |= {"per_device_train_batch_size": 1, "cutoff_len": 768}
    recipe = home / f"{form}.yaml"
    recipe.write_text(yaml.safe_dump(asked), encoding="utf-8")
    program = [str(KIT / ".venvs" / "kit" / "bin" / "finr1"), "sft"]
    if form == "bare":
        program = [str(STACKS / "sft" / "bin" / "llamafactory-cli"), "train"]
    env = {**os.environ, "FINR1_HOME": str(home), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return timed([*program, str(recipe)], home, out, env, steps)


def grpo(home: Path, form: str, model: Path, steps: int) -> dict[str, float]:
    """One run of TRL on one CPU process, in seconds: one step, and all that is no step."""
    asked = yaml.safe_load((KIT / "recipes" / "grpo" / "smollm2_135m_anywhere.yaml").read_text(encoding="utf-8"))
    out = home / "runs" / form
    shutil.rmtree(out, ignore_errors=True)
    asked |= {"model_name_or_path": str(model), "dataset_name": "datasets/demo/grpo", "output_dir": str(out)}
    asked |= {"max_steps": steps, "per_device_train_batch_size": 4}
    shape = str(KIT / "recipes" / "accelerate" / "cpu.yaml")
    program = [str(KIT / ".venvs" / "kit" / "bin" / "finr1"), "grpo", "--accelerate", shape, "--processes", "1"]
    if form == "bare":
        del asked["reward_funcs"]  # the script names them itself
        program = [str(STACKS / "rl" / "bin" / "accelerate"), "launch", "--config_file", shape, "--num_processes", "1"]
        program += [str(KIT / "benchmarks" / "bare_grpo.py"), "--config"]
    recipe = home / f"{form}.yaml"
    recipe.write_text(yaml.safe_dump(asked), encoding="utf-8")
    threads = str(os.cpu_count() or 1)  # as many as `finr1 grpo` gives to one process
    env = {**os.environ, "FINR1_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": threads}
    return timed([*program, str(recipe)], home, out, env, steps)


def timed(words: list[str], home: Path, out: Path, env: dict[str, str], steps: int) -> dict[str, float]:
    """Run a command to its end; the trainer's own time for a step, the rest of the wall time, and processor seconds."""
    env = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
    log = home / "command.log"
    begin = time.monotonic()
    with log.open("wb") as said:
        process = subprocess.Popen(words, cwd=home, env=env, stdout=said, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(words)} ended with {process.returncode}:\n{log.read_text('utf-8', 'replace')[-3000:]}")
    history = json.loads((out / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    trained = next(line["train_runtime"] for line in reversed(history) if "train_runtime" in line)
    return {
        "step_s": round(trained / steps, 4),
        "start_s": round(wall - trained, 2),
        "cpu_s": round(used.ru_utime + used.ru_stime, 2),
    }


if __name__ == "__main__":
    main()
