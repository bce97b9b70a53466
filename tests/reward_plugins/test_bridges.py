"""The bridges to other trainers: loaded and called as each trainer does it, by the real package where it is installed.

What the real packages decide of a file (how it is found, what it is called with, what may come back) is asked of them;
without them the same file is loaded from its path and called as documented. docs/bridges.md says what was tried.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import reward_plugins.bridges
from reward_plugins.bridges import row_of
from reward_plugins.rewards import finance_accuracy, finance_format

FOLDER = Path(reward_plugins.bridges.__file__).parent
RIGHT = "<think>a</think><answer>14.32%</answer>"
WRONG = "<think>a</think><answer>15%</answer>"
UNTOLD = "<think>a</think><answer>the shareholders</answer>"  # beside "the Board of Directors" only a judge could tell
CHOICE = {"gold": "B", "question": "Which method?", "meta": {"choices": {"A": "FIFO", "B": "LIFO"}}}
ABSENT = "is not in this environment; docs/bridges.md says which version the bridge was tried against"


def from_path(name: str) -> ModuleType:
    """A bridge as trainers load it: by its path, under a name of theirs."""
    spec = importlib.util.spec_from_file_location(f"trainer_loaded_{name}", FOLDER / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Characters:
    """A tokenizer of one token for each character: what the trainers' reward code asks of one."""

    def __call__(self, text: str, **_: Any) -> dict[str, Any]:
        import torch

        return {"input_ids": torch.tensor([[ord(character) for character in text]])}

    def decode(self, tokens: Any, **_: Any) -> str:
        return "".join(chr(int(token)) for token in tokens)


def test_a_label_may_hold_the_whole_row() -> None:
    assert row_of(CHOICE) == row_of(json.dumps(CHOICE)) == CHOICE
    assert row_of("14.32%") == {"gold": "14.32%"}
    assert row_of(14.32) == {"gold": "14.32"}
    assert row_of('{"a": 1}') == {"gold": '{"a": 1}'}
    assert row_of("{1, 2}") == {"gold": "{1, 2}"}


def test_verl_s_documented_call() -> None:
    score = from_path("for_verl").compute_score
    extra = {"question": CHOICE["question"], "meta": CHOICE["meta"], "num_turns": None, "rollout_reward_scores": {}}
    found = score(data_source="cfa", solution_str="<answer>LIFO</answer>", ground_truth="B", extra_info=extra)
    assert found == {"score": 1.0, "acc": 1.0, "undecided": 0.0}
    assert score("cfa", WRONG, "14.32%")["score"] == 0.0
    assert score("cfa", UNTOLD, "the Board of Directors") == {"score": 0.0, "acc": 0.0, "undecided": 1.0}


def test_verl_s_own_loader_and_reward_manager() -> None:
    reward = pytest.importorskip("verl.trainer.ppo.reward", reason=f"verl {ABSENT}", exc_type=ImportError)
    import torch
    from omegaconf import OmegaConf
    from verl import DataProto
    from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls

    named = {"path": str(FOLDER / "for_verl.py"), "name": "compute_score"}
    score = reward.get_custom_reward_fn(OmegaConf.create({"reward": {"custom_reward_function": named}}))
    tokens = [ord(character) for character in "<answer>LIFO</answer>"]
    data = DataProto.from_single_dict(
        {
            "responses": torch.tensor([tokens + [0] * 5]),
            "attention_mask": torch.tensor([[1] * len(tokens) + [0] * 5]),
            **{
                name: _objects(value)
                for name, value in {
                    "data_source": "cfa",
                    "reward_model": {"ground_truth": "B"},
                    "extra_info": {"question": CHOICE["question"], "meta": CHOICE["meta"]},
                }.items()
            },
        }
    )

    async def judged() -> Any:
        return await get_reward_manager_cls("naive")(OmegaConf.create(), Characters(), score).run_single(data)

    found = asyncio.run(judged())
    assert found == {"reward_score": 1.0, "reward_extra_info": {"score": 1.0, "acc": 1.0, "undecided": 0.0}}


def _objects(*values: Any) -> Any:
    """The values as numpy keeps them beside tensors."""
    import numpy

    column = numpy.empty(len(values), dtype=object)
    column[:] = values
    return column


def test_easyr1_s_documented_call() -> None:
    module = from_path("for_easyr1")
    rows = [(RIGHT, "14.32%"), (WRONG, "14.32%"), ("<answer>LIFO</answer>", json.dumps(CHOICE))]
    inputs = [{"response": text, "response_length": len(text), "ground_truth": gold} for text, gold in rows]
    assert module.compute_score(inputs, format_weight=0.2) == [
        {"overall": 1.0, "accuracy": 1.0, "format": 1.0},
        {"overall": 0.2, "accuracy": 0.0, "format": 1.0},
        {"overall": 0.8, "accuracy": 1.0, "format": 0.0},
    ]
    assert (module.REWARD_NAME, module.REWARD_TYPE) == ("finance", "batch")


def test_easyr1_s_own_reward_manager() -> None:
    theirs = pytest.importorskip("verl.workers.reward.function", reason=f"EasyR1 {ABSENT}", exc_type=ImportError)
    import torch
    from verl.protocol import DataProto
    from verl.workers.reward.config import RewardConfig

    config = RewardConfig(reward_function=f"{FOLDER / 'for_easyr1.py'}:compute_score")
    config.post_init()
    texts = [RIGHT, "<answer>LIFO</answer>"]
    longest = max(map(len, texts))
    data = DataProto.from_single_dict(
        {
            "responses": torch.tensor([[ord(character) for character in text.ljust(longest)] for text in texts]),
            "response_mask": torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts]),
            "ground_truth": _objects("14.32%", CHOICE),
        }
    )
    scores, metrics = theirs.AutoRewardManager(config, Characters()).compute_reward(data)
    assert scores.sum(-1).tolist() == pytest.approx([1.0, 0.9])
    assert scores[0, len(RIGHT) - 1] == 1.0
    assert dict(metrics) == {"overall": [1.0, 0.9], "accuracy": [1.0, 1.0], "format": [1.0, 0.0]}


def test_ms_swift_s_documented_call(monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {}
    base = type("ORM", (), {"__init__": lambda self, args=None, **_: None})
    monkeypatch.setitem(sys.modules, "swift", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "swift.rewards", SimpleNamespace(ORM=base, orms=names))
    from_path("for_ms_swift")
    assert set(names) == {"finance_accuracy", "finance_format"}
    columns: dict[str, Any] = {
        "solution": ["14.32%", "14.32%", "the Board of Directors"],
        "trainer_state": None,
        "messages": [[]] * 3,
    }
    assert names["finance_accuracy"](args=None)([RIGHT, WRONG, UNTOLD], **columns) == [1.0, 0.0, None]
    assert names["finance_format"](args=None)([RIGHT, "14.32%", ""], **columns) == [1.0, 0.0, 0.0]


def test_ms_swift_s_own_registry_and_scoring() -> None:
    pytest.importorskip("swift.rewards", reason=f"ms-swift {ABSENT}", exc_type=ImportError)
    import torch
    from swift.rl_core.data import GRPOSample
    from swift.rl_core.grpo_algorithm import score_completions
    from swift.rlhf_trainers.utils import resolve_reward_funcs
    from swift.utils.utils import import_external_file

    import_external_file(str(FOLDER / "for_ms_swift.py"))
    rewards, names = resolve_reward_funcs(["finance_accuracy", "finance_format"], args=SimpleNamespace())
    assert names == ["FinanceAccuracy", "FinanceFormat"]
    # Only the question, which is in the messages, says that the bare gold is a percentage.
    rows = [(RIGHT, "14.32", None), ("<answer>LIFO</answer>", "B", CHOICE["meta"]), (UNTOLD, "the Board", None)]
    samples = [
        GRPOSample(
            messages=[{"role": "user", "content": "What percent of revenue?"}, {"role": "assistant", "content": text}],
            extra={"solution": gold, "meta": json.dumps(meta) if meta else ""},
        )
        for text, gold, meta in rows
    ]
    scores = score_completions(samples, rewards, [None] * 2, False, torch.device("cpu"))
    assert scores.nan_to_num(-1).tolist() == [[1.0, 1.0], [1.0, 0.0], [-1.0, 1.0]]


def test_openrlhf_s_documented_call() -> None:
    pytest.importorskip("torch", reason="OpenRLHF's rewards are tensors; torch is in the training stacks")
    module = from_path("for_openrlhf")
    prompt = "<|im_start|>user\nWhat percent? Answer as <answer>5%</answer>.<|im_end|>\n<|im_start|>assistant\n<think>"
    rest = RIGHT.removeprefix("<think>") + "<|im_end|>"
    queries = [prompt + rest, prompt[9:] + rest, prompt + "<answer>LIFO</answer>", prompt + UNTOLD]
    labels = ["14.32%", "14.32%", json.dumps(CHOICE), "the Board of Directors"]
    found = module.reward_func(queries, [prompt] * 4, labels)
    assert found["rewards"].tolist() == found["scores"].tolist() == [1.0, 1.0, 1.0, 0.0]
    assert found["extra_logs"]["undecided"].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert module.completion_of(prompt, prompt) == ""


@pytest.mark.parametrize(("answer", "reward"), [(RIGHT, 1.0), (WRONG, 0.0)])
def test_openrlhf_s_own_executor(answer: str, reward: float) -> None:
    agent = pytest.importorskip("openrlhf.utils.agent", reason=f"OpenRLHF {ABSENT}", exc_type=ImportError)

    class Engine:
        """An engine that always answers the same."""

        async def generate(self, *_: Any, **__: Any) -> SimpleNamespace:
            output = SimpleNamespace(token_ids=[ord(letter) for letter in answer], finish_reason="stop", logprobs=None)
            return SimpleNamespace(outputs=[output])

    sampling = SimpleNamespace(max_tokens=200, logprobs=None)
    executor = agent.SingleTurnAgentExecutor(str(FOLDER / "for_openrlhf.py"))
    found = asyncio.run(executor.execute("What percent?", "14.32%", sampling, 400, Characters(), Engine()))
    assert [float(found[name]) for name in ("reward", "scores")] == [reward, reward]
    assert float(found["extra_logs"]["undecided"]) == 0.0


def test_open_r1_s_own_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = pytest.importorskip("open_r1.rewards", reason=f"open-r1 {ABSENT}", exc_type=ImportError)
    from open_r1.configs import GRPOScriptArguments

    from reward_plugins.bridges import for_open_r1

    monkeypatch.setattr(theirs, "get_reward_funcs", theirs.get_reward_funcs)  # put back afterwards
    for_open_r1.install()
    names = ["finance_accuracy", "format", "finance_format"]
    arguments = GRPOScriptArguments(dataset_name="finqa", reward_funcs=list(names))
    assert theirs.get_reward_funcs(arguments) == [finance_accuracy, theirs.format_reward, finance_format]
    assert arguments.reward_funcs == names
    with pytest.raises(KeyError):
        theirs.get_reward_funcs(GRPOScriptArguments(dataset_name="finqa", reward_funcs=["finance_acuracy"]))
