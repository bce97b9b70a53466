"""What an SFT run is warned of, by the metrics that LLaMA-Factory's trainer prints."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from launch.monitor import SFT, History, warnings
from launch.train_log import metrics, watched

STEPS = 40
# As transformers 5 prints it, after a progress bar, and as transformers 4 does.
PRINTED = " 17%%|█▋        | 1/6 [00:00<00:04,  1.02it/s]          {'loss': '%s', 'grad_norm': '%s', 'learning_rate': '2e-05', 'epoch': '0.1667'}\n"  # fmt: skip
PRINTED_BY_4 = "{'loss': 1.5, 'grad_norm': 0.75, 'learning_rate': 2e-05, 'epoch': 0.5}\n"
EVALUATED = "{'eval_loss': '0.9', 'eval_runtime': '12.5', 'eval_samples_per_second': '4', 'epoch': '1'}\n"
SUMMARY = "{'train_runtime': '2.72', 'train_loss': '10.75', 'epoch': '1'}\n"


def run(**columns: list[float]) -> History:
    """A healthy run: a loss that falls and wavers, a gradient with single peaks, a warm-up and a cosine that ends at 0."""
    history = []
    for step in range(STEPS):
        wave = 1 + 0.15 * math.sin(2.3 * step)
        rate = 1e-5 * (step / 4 if step < 4 else 0.5 + 0.5 * math.cos(math.pi * (step - 4) / (STEPS - 5)))
        loss, norm = (0.6 + math.exp(-step / 8)) * wave, 3.0 * wave * (3 if step % 9 == 0 else 1)
        history.append({"loss": loss, "grad_norm": norm, "learning_rate": rate, "epoch": step / STEPS})
    for name, values in columns.items():
        for entry, value in zip(history, values, strict=True):
            entry[name] = value
    return history


def with_evaluations(*losses: float) -> History:
    """A healthy run with an evaluation, logged apart as the trainer does, after every eighth step."""
    history = run()
    for number, loss in enumerate(losses, 1):
        history.insert(number * 9 - 1, {"eval_loss": loss, "epoch": number * 8 / STEPS})
    return history


def ever_said(history: History) -> list[str]:
    """Each sentence that some step of the run gives rise to."""
    return sorted({said for step in range(len(history)) for said in warnings(history[: step + 1], SFT)})


def test_a_healthy_run_has_no_warning_at_any_step() -> None:
    assert ever_said(run()) == []
    assert ever_said(with_evaluations(1.0, 0.8, 0.81, 0.79)) == []
    assert warnings([], SFT) == []


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("loss", [1.0] * (STEPS - 1) + [float("nan")], "no number"),
        ("grad_norm", [1.0] * (STEPS - 1) + [float("inf")], "no number"),
        ("learning_rate", [0.0] * STEPS, "nothing is learned"),
        ("grad_norm", [0.0] * STEPS, "cutoff_len"),
        ("grad_norm", [1.0] * (STEPS - 5) + [15.0, 40.0, 90.0, 200.0, 500.0], "up from 1"),
        ("loss", [2.0 - 0.03 * step for step in range(30)] + [1.9] * 10, "up from 1.19"),
        ("loss", [2.0 + 0.01 * (-1) ** step for step in range(STEPS)], "raise learning_rate"),
    ],
)
def test_each_trouble_is_named(name: str, values: list[float], words: str) -> None:
    said = warnings(run(**{name: values}), SFT)
    assert [sentence for sentence in said if sentence.startswith(f"{name}: ") and words in sentence], said


def test_a_loss_that_stays_through_a_warm_up_is_no_trouble() -> None:
    rates = [1e-5 * (step + 1) / STEPS for step in range(STEPS)]
    assert warnings(run(loss=[2.0] * STEPS, learning_rate=rates)[:30], SFT) == []


def test_an_evaluation_that_rises_twice_is_told_with_its_best() -> None:
    said = warnings(with_evaluations(1.0, 0.8, 0.85, 0.9), SFT)
    assert [sentence for sentence in said if sentence.startswith("eval_loss: 0.9, up from 0.8")], said
    assert not [sentence for sentence in warnings(with_evaluations(1.0, 0.8, 0.85), SFT) if "eval_loss" in sentence]


def test_steps_are_read_from_what_either_library_prints() -> None:
    text = "{'a': 'word'} {\"epoch\": 1}\n" + PRINTED % ("10.82", "1.9e+02") + PRINTED_BY_4 + EVALUATED + SUMMARY
    read = metrics(text)
    assert read[0] == {"loss": 10.82, "grad_norm": 190.0, "learning_rate": 2e-5, "epoch": 0.1667}
    assert read[1] == {"loss": 1.5, "grad_norm": 0.75, "learning_rate": 2e-5, "epoch": 0.5}
    assert read[2]["eval_loss"] == 0.9
    assert len(read) == 4
    assert math.isnan(metrics(PRINTED % ("nan", "inf"))[0]["loss"])


def test_what_an_earlier_run_logged_is_not_told_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "engine.log"
    log.write_text(PRINTED % ("nan", "1"), encoding="utf-8")
    with watched(log) as said, log.open("a", encoding="utf-8") as engine:
        engine.write(PRINTED % ("1.5", "1"))
    assert said == []
    with watched(log) as said, log.open("a", encoding="utf-8") as engine:
        engine.write(PRINTED % ("0.5", "nan") * 2)
    assert len(said) == 1
    assert f"warning, epoch 0.1667: {said[0]}" in capsys.readouterr().err
