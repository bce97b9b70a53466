"""One GRPO recipe on every runner: the kit's under ZeRO-3, `trl grpo`, a real open-r1, and two launchers as two machines."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from command import finr1
from places import free_port, new_home

from launch import stacks
from launch.engine import environment
from launch.paths import KIT

RECIPE = "recipes/grpo/smollm2_135m_anywhere.yaml"
FORMS = sorted((KIT / "recipes" / "accelerate").glob("*.yaml"))

TOKENS = re.compile(r"'num_tokens': '?([0-9]+)")

real_open_r1 = pytest.mark.skipif(
    not (os.environ.get("FINR1_OPEN_R1") and os.environ.get("FINR1_OPEN_R1_PYTHON")),
    reason="FINR1_OPEN_R1 and FINR1_OPEN_R1_PYTHON name no checkout of open-r1 and no environment for it",
)


@pytest.fixture(scope="module")
def place(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the recipe's model and data are found."""
    home = new_home(tmp_path_factory.mktemp("runners"), free_port())
    shutil.copytree(tiny_model, home / "runs" / "quickstart" / "sft")
    (home / "datasets" / "quickstart").mkdir(parents=True)
    shutil.copytree(KIT / "datasets" / "demo" / "grpo", home / "datasets" / "quickstart" / "grpo")
    return home


def tokens_read(log: str) -> list[int]:
    """Tokens of prompts and completions after each step: equal only where the same prompts were drawn."""
    return [int(number) for number in TOKENS.findall(log)]


@pytest.fixture(scope="module")
def drawn(place: Path) -> list[int]:
    """What two processes under ZeRO-3 on the kit's runner read."""
    done = finr1("grpo", RECIPE, home=place)
    assert done.returncode == 0, done.stderr[-3000:]
    log = (place / "runs" / "anywhere" / "grpo" / "engine.log").read_text(errors="replace")
    assert "zero" in log.lower() and "--num_processes 2" in log
    return tokens_read(log)


def test_the_kits_runner_under_zero3_on_two_processes_leaves_curves_and_recipes(place: Path, drawn: list[int]) -> None:
    out = place / "runs" / "anywhere" / "grpo"
    assert len(drawn) == 2
    state = json.loads((out / "trainer_state.json").read_text())
    assert [step["step"] for step in state["log_history"] if "reward" in step] == [1, 2]
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    resolved = yaml.safe_load((out / "resolved_recipe.yaml").read_text(encoding="utf-8"))
    assert (resolved["scale_rewards"], resolved["vllm_mode"], resolved["use_cpu"]) == ("group", "server", True)


def test_trl_grpo_runs_the_same_file_unchanged(place: Path, tmp_path: Path) -> None:
    words = [stacks.program("rl", "trl"), "grpo", "--num_processes", "1", "--config", RECIPE]
    run_there([*words, "--output_dir", tmp_path / "out"], place, tmp_path / "log")
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_trl_grpo_runs_what_a_dry_run_writes(place: Path, tmp_path: Path) -> None:
    done = finr1("grpo", RECIPE, "--dry-run", "--set", f"output_dir={tmp_path / 'out'}", home=place)
    assert done.returncode == 0, done.stderr[-2000:]
    written = tmp_path / "out-dry-run" / "trl_recipe.yaml"
    run_there(
        [stacks.program("rl", "trl"), "grpo", "--num_processes", "1", "--config", written], tmp_path, tmp_path / "log"
    )
    assert (tmp_path / "out" / "model.safetensors").is_file()


@real_open_r1
def test_a_real_open_r1_runs_it_on_the_same_prompts(place: Path, drawn: list[int]) -> None:
    words = ["grpo", RECIPE, "--engine", "open-r1", "--set", "output_dir=runs/anywhere/open_r1"]
    done = finr1(*words, home=place)
    assert done.returncode == 0, done.stderr[-3000:]
    out = place / "runs" / "anywhere" / "open_r1"
    log = (out / "engine.log").read_text(errors="replace")
    assert tokens_read(log) == drawn
    assert "rewards/finance_accuracy/mean" in log
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["stack_versions"]["trl"].startswith("0.18")
    again = finr1(*words, home=place)
    assert json.loads(again.stdout)["done"] == "already"


def test_accelerate_reads_each_form_as_it_is_written() -> None:
    program = (
        "import json, sys\n"
        "from accelerate.commands.config.config_args import load_config_from_file\n"
        "print(json.dumps([load_config_from_file(form).to_dict() for form in sys.argv[1:]], default=str))"
    )
    words = [stacks.python("rl"), "-c", program, *FORMS]
    shown = subprocess.run(words, capture_output=True, text=True, env=environment(None), check=True)
    for form, read in zip(FORMS, json.loads(shown.stdout.strip().splitlines()[-1]), strict=True):
        written = yaml.safe_load(form.read_text(encoding="utf-8"))
        assert {key: read[key] for key in written} == written, form.name


@pytest.mark.parametrize("form", ["cpu", "cpu_zero3"])
def test_a_cpu_form_starts_two_processes_that_hear_each_other(form: str, tmp_path: Path) -> None:
    """`distributed_type: MULTI_CPU` would start one and call it done."""
    script = tmp_path / "sum.py"
    script.write_text(
        "import torch\nfrom accelerate import PartialState\nstate = PartialState(cpu=True)\nranks = torch.ones(1)\n"
        "torch.distributed.all_reduce(ranks)\nprint(f'heard {int(ranks)} of {state.num_processes}')\n"
        "state.wait_for_everyone()\nstate.destroy_process_group()\n"
    )
    words = [
        stacks.program("rl", "accelerate"),
        "launch",
        "--config_file",
        KIT / "recipes" / "accelerate" / f"{form}.yaml",
    ]
    words += ["--num_processes", "2", "--main_process_port", str(free_port()), script]
    log = run_there(words, tmp_path, tmp_path / "log")
    assert log.count("heard 2 of 2") == 2


def test_two_launchers_train_together_by_the_multi_node_recipe(place: Path, drawn: list[int], tmp_path: Path) -> None:
    """The recipe as it is, but for what a CPU lacks: bf16, and weights that are made in shares."""
    form = yaml.safe_load((KIT / "recipes" / "accelerate" / "zero3_multinode.yaml").read_text(encoding="utf-8"))
    form |= {"use_cpu": True, "mixed_precision": "no"}
    form["deepspeed_config"]["zero3_init_flag"] = False
    (tmp_path / "form.yaml").write_text(yaml.safe_dump(form), encoding="utf-8")
    words: list[str | Path] = [stacks.program("rl", "accelerate"), "launch", "--config_file", tmp_path / "form.yaml"]
    words += ["--num_machines", "2", "--num_processes", "2", "--main_process_ip", "127.0.0.1"]
    words += ["--main_process_port", str(free_port())]
    script = [KIT / "launch" / "grpo.py", "--config", RECIPE, "--set", f"output_dir={tmp_path / 'out'}"]
    logs = run_machines([[*words, "--machine_rank", str(rank), *script] for rank in (0, 1)], place, tmp_path)
    assert tokens_read(logs[0]) == drawn
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_two_torchrun_launchers_find_each_other(place: Path, drawn: list[int], tmp_path: Path) -> None:
    words: list[str | Path] = [stacks.program("rl", "torchrun"), "--nnodes", "2", "--nproc-per-node", "1"]
    words += ["--rdzv-id", "trial", "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}"]
    words += [KIT / "launch" / "grpo.py", "--config", RECIPE, "--set", f"output_dir={tmp_path / 'out'}"]
    logs = run_machines([words, words], place, tmp_path)
    assert drawn in [tokens_read(log) for log in logs]  # either launcher may become the first rank


def run_there(words: list[str | Path], cwd: Path, log: Path) -> str:
    """Run a program of the rl stack to its end, and give back what it printed."""
    return run_machines([words], cwd, log.parent)[0]


def run_machines(commands: list[list[str | Path]], home: Path, logs: Path) -> list[str]:
    """Run launchers at the same time, one a machine; what each printed."""
    env = environment({"FINR1_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"})
    running = []
    for number, words in enumerate(commands):
        with (logs / f"machine{number}.log").open("wb") as log:
            running.append(subprocess.Popen(list(map(str, words)), cwd=home, env=env, stdout=log, stderr=log))
    try:
        codes = [process.wait(300) for process in running]
    finally:
        for process in running:
            process.terminate()
    printed = [(logs / f"machine{number}.log").read_text(errors="replace") for number in range(len(commands))]
    assert codes == [0] * len(commands), "\n".join(text[-2000:] for text in printed)
    return printed
