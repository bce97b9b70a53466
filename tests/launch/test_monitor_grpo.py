"""What a GRPO run is warned of, by the metrics that TRL logs."""

from __future__ import annotations

import pytest

from launch.monitor import GRPO, Watch, numbers, warnings

FINE = {
    "loss": 0.1,
    "learning_rate": 1e-6,
    "reward": 0.4,
    "frac_reward_zero_std": 0.3,
    "completions/clipped_ratio": 0.05,
    "kl": 0.2,
    "completions/mean_length": 200.0,
}


def run(steps: int = 10, **columns: list[float]) -> list[dict[str, float]]:
    """A healthy run whose reward moves, with some metrics replaced."""
    history = [{**FINE, "reward": 0.4 + 0.01 * step} for step in range(steps)]
    for name, values in columns.items():
        for entry, value in zip(history, values, strict=True):
            entry[name] = value
    return history


def test_a_healthy_run_has_no_warning() -> None:
    assert warnings(run(), GRPO) == []
    assert warnings([], GRPO) == []


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("reward", [0.2] * 10),
        ("frac_reward_zero_std", [0.3] * 5 + [0.95] * 5),
        ("completions/clipped_ratio", [0.0] * 5 + [0.9] * 5),
        ("kl", [0.1] * 5 + [50.0] * 5),
        ("completions/mean_length", [200.0] * 5 + [20.0] * 5),
        ("loss", [0.1] * 9 + [float("nan")]),
        ("learning_rate", [1e-6] * 5 + [0.0] * 5),
    ],
)
def test_each_trouble_is_named_once_it_lasts(name: str, values: list[float]) -> None:
    said = warnings(run(**{name: values}), GRPO)
    assert len(said) == 1
    assert said[0].startswith(f"{name}: ")


def test_a_reward_that_falls_silent_is_named() -> None:
    history = [{**entry, "rewards/judge/mean": 0.5, "rewards/form/mean": 0.1} for entry in run()]
    assert warnings(history, GRPO) == []
    for entry in history[-5:]:
        del entry["rewards/judge/mean"]
    assert [said.partition(":")[0] for said in warnings(history, GRPO)] == ["rewards/judge/mean"]
    assert warnings(history[:-1], GRPO) == []


def test_a_single_bad_step_is_not_enough() -> None:
    assert warnings(run(kl=[0.1] * 9 + [50.0]), GRPO) == []
    assert warnings(run(**{"completions/clipped_ratio": [0.9] + [0.0] * 9}), GRPO) == []
    assert warnings(run(steps=3, reward=[0.2] * 3), GRPO) == []


def test_a_rule_speaks_once_and_does_not_silence_another_on_the_same_metric() -> None:
    watch = Watch(GRPO)
    history = run(reward=[0.2] * 10)
    assert [said.partition(":")[0] for said in watch.new(history)] == ["reward"]
    assert watch.new(history) == []
    assert [said.partition(":")[0] for said in watch.new([*history, {"reward": float("nan")}])] == ["reward"]


def test_words_and_missing_values_in_a_log_are_left_out() -> None:
    assert numbers([{"loss": 1, "note": "x", "kl": None}]) == [{"loss": 1}]
