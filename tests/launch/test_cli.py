"""The real command on bad input: one clear sentence, exit code 2, nothing half-written."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import FINR1, finr1
from fault_server import FaultServer, always

from distill.finmath import generate
from distill.records import write_records
from launch import cli, doctor
from launch.paths import KIT

COMMANDS = [
    "prepare",
    "distill",
    "screen",
    "export",
    "check",
    "sft",
    "grpo",
    "merge",
    "serve",
    "eval",
    "report",
    "run",
    "doctor",
    "explain",
]


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The sentence of a refused command; fails where there is more than that, or a traceback."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr[done.stderr.index("finr1: ") :]
    assert last.count("finr1: ") == 1
    return " ".join(last.split())


@pytest.fixture
def recipe(home: Path) -> Path:
    """A recipe of one endpoint teacher and three questions; the tests say where the endpoint is."""
    write_records(home / "questions.jsonl", generate(3, seed=5, levels=(1,)))
    path = home / "distill.yaml"
    path.write_text(
        "questions: questions.jsonl\nout: traces.jsonl\n"
        "teachers: [{name: t, base_url: URL, model: m, timeout_s: 1, attempts: 1, concurrency: 3}]\n"
    )
    return path


def left(home: Path) -> set[str]:
    """What lies in the home folder besides what the test put there."""
    return {path.name for path in home.iterdir()} - {"questions.jsonl", "distill.yaml", "bad.yaml"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(home: Path, command: str) -> None:
    shown = finr1(command, "--help", home=home)
    assert shown.returncode == 0
    assert f"finr1 {command}" in " ".join(shown.stdout.split("Example")[1].split())


@pytest.mark.parametrize("words", [(), ("models",)])
def test_no_command_at_all_shows_the_help_and_no_empty_complaint(home: Path, words: tuple[str, ...]) -> None:
    shown = finr1(*words, home=home)
    assert (shown.returncode, shown.stderr) == (2, "") and "Usage" in shown.stdout


def test_a_misspelt_key(recipe: Path, home: Path) -> None:
    recipe.write_text(recipe.read_text().replace("questions:", "question:"))
    assert "unknown key 'question'; did you mean 'questions'?" in refusal(finr1("distill", recipe, home=home))
    assert left(home) == set()


def test_a_misspelt_key_inside_a_list(recipe: Path, home: Path) -> None:
    recipe.write_text(recipe.read_text().replace("attempts:", "atempts:"))
    said = refusal(finr1("distill", recipe, home=home))
    assert "unknown key 'teachers.0.atempts'; did you mean 'attempts'?" in said


def test_a_missing_file(recipe: Path, home: Path) -> None:
    (home / "questions.jsonl").unlink()
    recipe.write_text(recipe.read_text().replace("URL", "http://127.0.0.1:9/v1"))
    assert "questions.jsonl: no such file" in refusal(finr1("distill", recipe, home=home))
    assert left(home) == set()


def test_a_broken_line_is_named_and_left_out_only_on_demand(recipe: Path, home: Path) -> None:
    lines = (home / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    (home / "questions.jsonl").write_text("\n".join([lines[0], '{"id": "half', *lines[1:]]) + "\n", encoding="utf-8")
    recipe.write_text(
        recipe.read_text().replace(
            "base_url: URL, model: m, timeout_s: 1, attempts: 1, concurrency: 3", "kind: reference"
        )
    )
    said = refusal(finr1("distill", recipe, home=home))
    assert "questions.jsonl, line 2: " in said and "--skip-bad" in said
    done = finr1("distill", recipe, "--skip-bad", home=home)
    assert done.returncode == 0, done.stderr
    assert sum(json.loads(done.stdout)["bad_lines"].values()) == 1
    assert len((home / "traces.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("fault", ["hang", "html", "cut", "500"])
def test_an_endpoint_that_does_not_work(recipe: Path, home: Path, fault: str) -> None:
    with FaultServer(always(fault)) as server:
        recipe.write_text(recipe.read_text().replace("URL", server.url))
        said = refusal(finr1("distill", recipe, home=home))
    assert "teacher" in said or "t:" in said or server.url in said
    assert not (home / "traces.jsonl.manifest.json").exists()
    assert not [name for name in left(home) if name.endswith(".part")]


def test_an_endpoint_that_refuses(recipe: Path, home: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        recipe.write_text(recipe.read_text().replace("URL", f"http://127.0.0.1:{closed.getsockname()[1]}/v1"))
        assert "127.0.0.1" in refusal(finr1("distill", recipe, home=home))


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place]).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk(home: Path, full_disk: Path) -> None:
    path = home / "bad.yaml"
    path.write_text("out: small/questions\nsources: [{name: finmath, split: train, count: 400, seed: 1}]\n")
    assert "the disk is full" in refusal(finr1("prepare", path, home=home))
    assert not list(full_disk.rglob("*.jsonl*"))
    assert not list(full_disk.rglob("manifest.json"))


def test_a_port_in_use(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = ["serve", KIT / "recipes" / "serve" / "local.yaml", "--set", f"port={port}", "--set", "model=x/y"]
        assert f"port {port} on 127.0.0.1 is in use" in refusal(finr1(*words, home=home))


def test_unknown_options_and_missing_arguments_are_bad_input_too(home: Path) -> None:
    assert "Missing argument" in refusal(finr1("sft", home=home))
    assert "No such option" in refusal(finr1("sft", "x.yaml", "--fast", home=home))
    assert "not one of 'trl', 'open-r1'" in refusal(finr1("check", "x.yaml", "--engine", "open_r1", home=home))
    assert "'--timeout': " in refusal(finr1("health", "http://127.0.0.1:1/v1", "--timeout", "-5", home=home))


def test_a_recipe_is_found_from_where_the_user_stands(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "mine.yaml").write_text("out: q\nsources: [{name: finmath, split: train, count: 2, seed: 1}]\n")
    done = finr1("prepare", "mine.yaml", home=home, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert (home / "q" / "train.jsonl").is_file()


def test_a_home_that_is_no_folder(home: Path) -> None:
    (home / "file").touch()
    for name in ("nowhere", "file"):
        said = refusal(finr1("models", "list", home=home, FINR1_HOME=str(home / name)))
        assert f"FINR1_HOME names {home / name}, and there is no such folder" in said


def test_golds_are_checked_by_reason(home: Path) -> None:
    rows = [question.model_dump() for question in generate(6, seed=3, levels=(1,))]
    rows[2]["gold"] = ""
    write_records(home / "set.jsonl", rows)
    done = finr1("check", "golds", "set.jsonl", home=home)
    assert done.returncode == 0, done.stderr
    assert "5 of 6 golds are accepted" in done.stdout
    assert "the gold is empty: " + rows[2]["id"] in " ".join(done.stdout.split())


def test_explain_tells_what_was_compared(home: Path) -> None:
    done = finr1("explain", "<think>x</think><answer>12000万元</answer>", "--gold", "1.2亿元", home=home)
    assert done.returncode == 0
    assert "correct" in done.stdout


def test_no_environment_variable_reaches_a_log(home: Path) -> None:
    """The command prints what it did; a key that the environment holds is not part of that."""
    secret = "sk-never-to-be-seen-0123456789"
    done = subprocess.run(
        [FINR1, "doctor"], capture_output=True, text=True, env={**os.environ, "TEACHER_KEY": secret}, cwd=home
    )
    assert secret not in done.stdout + done.stderr


def test_ctrl_c_says_that_the_same_command_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "examine", interrupted)
    monkeypatch.setattr(sys, "argv", ["finr1", "doctor"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 130
    assert "stopped; the same command goes on from here" in capsys.readouterr().err
