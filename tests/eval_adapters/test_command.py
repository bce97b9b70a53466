"""`finr1 eval` as a command: several models and sets, one of which cannot be evaluated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from mock_server import Reply, completion, serve
from small_sets import Golds, row, rows, well_formed, write_set

from eval_adapters.judging import read_judged
from eval_adapters.reviews import read_result
from launch import evaluate
from launch.engine import EngineFailed
from launch.evaluate import run_eval
from reward_plugins.errors import Refused

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")


def test_a_set_that_fails_does_not_sink_the_rest_and_the_exit_code_says_so(tmp_path: Path) -> None:
    content = rows(4)
    bad = [{**each, "prompt": [{"role": "user", "content": f"bad {each['id']}"}]} for each in content]
    broken = True

    def reply(request: dict[str, Any]) -> Reply:
        question = request["messages"][-1]["content"]
        if not question.startswith("bad"):
            return Golds(content)(request)
        return web.json_response({}, status=500) if broken else Golds(bad)(request)

    with serve(reply) as server:
        sets = [
            {
                "benchmark": "finr1_finmath",
                "path": str(write_set(tmp_path / name, of)),
                "subset": "finmath",
                "name": name,
            }
            for name, of in (("bad", bad), ("good", content))
        ]
        models = [{"name": name, "api_url": server.url} for name in ("a", "b")]
        recipe = {"out": str(tmp_path / "out"), "models": models, "sets": sets, "attempts": 1}
        (tmp_path / "eval.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        words = [str(Path(sys.executable).with_name("finr1")), "eval", str(tmp_path / "eval.yaml")]
        first = subprocess.run(words, capture_output=True, text=True, timeout=200, cwd=tmp_path)
        assert first.returncode == 2
        assert all(
            f"{model} on bad: none of 4 requests was answered (http 500)" in first.stderr.replace("\n", " ")
            for model in "ab"
        ), first.stderr
        for model in "ab":
            assert read_result(tmp_path / "out" / model / "good")[0]["counts"]["correct"] == 4
        broken = False
        sent = len(server.requests)
        second = subprocess.run(words, capture_output=True, text=True, timeout=200, cwd=tmp_path)
        assert second.returncode == 0, second.stderr
        assert len(server.requests) == sent + 8  # what failed, and nothing else
        assert subprocess.run(words, capture_output=True, timeout=200, cwd=tmp_path).returncode == 0
        assert len(server.requests) == sent + 8


def test_a_set_that_is_not_there_does_not_sink_the_rest(tmp_path: Path) -> None:
    content = rows(4)
    with serve(Golds(content)) as server:
        there = {"benchmark": "finr1_finmath", "subset": "finmath", "path": str(write_set(tmp_path / "set", content))}
        sets = [
            {**there, "name": "gone", "path": str(tmp_path / "nowhere")},
            {**there, "name": "bad-prompt", "system_prompt": str(tmp_path / "nowhere.txt")},
            {**there, "name": "good"},
        ]
        models = [{"name": name, "api_url": server.url} for name in ("a", "b")]
        recipe = {"out": str(tmp_path / "out"), "models": models, "sets": sets}
        (tmp_path / "eval.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        with pytest.raises(Refused) as told:
            run_eval(str(tmp_path / "eval.yaml"))
        for model in "ab":
            assert f"{model}: gone: no test set at {tmp_path / 'nowhere' / 'finmath.jsonl'}" in str(told.value)
            assert f"bad-prompt: {tmp_path / 'nowhere.txt'}: no prompt can be read there" in str(told.value)
            assert read_result(tmp_path / "out" / model / "good")[0]["counts"]["correct"] == 4
        assert len(server.requests) == 8


def test_a_model_that_cannot_be_served_does_not_sink_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "config.json").write_text("{}", encoding="utf-8")

    def serving(_: Any) -> Any:
        raise EngineFailed("serve ended with exit code 1")

    monkeypatch.setattr(evaluate, "serving", serving)
    content = rows(4)
    with serve(Golds(content)) as server:
        sets = [{"benchmark": "finr1_finmath", "path": str(write_set(tmp_path / "set", content)), "subset": "finmath"}]
        models = [{"name": "broken", "path": str(tmp_path / "weights")}, {"name": "good", "api_url": server.url}]
        recipe = {"out": str(tmp_path / "out"), "models": models, "sets": sets}
        (tmp_path / "eval.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        with pytest.raises(Refused, match="broken: serve ended with exit code 1"):
            run_eval(str(tmp_path / "eval.yaml"))
    assert read_result(tmp_path / "out" / "good" / "finmath")[0]["counts"]["correct"] == 4


def test_what_was_answered_is_judged_though_a_set_is_missing_and_a_verdict_is_work(tmp_path: Path) -> None:
    content = [row(number, f"reason {number}", answer_type="text") for number in range(3)]
    verdict = completion('{"reason": "", "verdict": "correct"}')
    with (
        serve(lambda _: completion(well_formed("a cause in other words"))) as server,
        serve(lambda _: verdict) as bench,
    ):
        there = {"benchmark": "finr1_text", "subset": "finmath", "path": str(write_set(tmp_path / "set", content))}
        recipe: dict[str, Any] = {
            "out": str(tmp_path / "out"),
            "models": [{"name": "m", "api_url": server.url}],
            "sets": [there, {**there, "name": "gone", "path": str(tmp_path / "nowhere")}],
            "judge": {"judges": [{"api_url": bench.url, "model": "j"}], "check_rows": 0, "control_rows": 0},
        }
        file = tmp_path / "eval.yaml"
        file.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        with pytest.raises(Refused, match="m: gone: no test set at"):
            run_eval(str(file))
        read = read_judged(tmp_path / "out" / "m" / "finmath")
        assert read is not None and read[0]["accuracy"] == 1.0
        file.write_text(yaml.safe_dump({**recipe, "sets": [there]}), encoding="utf-8")
        assert run_eval(str(file))["done"] == "already"
        recipe["judge"]["judges"][0]["max_tokens"] = 99
        file.write_text(yaml.safe_dump({**recipe, "sets": [there]}), encoding="utf-8")
        assert run_eval(str(file))["done"] == "now"


def test_the_command_s_last_words_tell_errors_from_wrong_answers(tmp_path: Path) -> None:
    content = rows(4)

    def reply(request: dict[str, Any]) -> Reply:
        if request["messages"][-1]["content"] == content[0]["question"]:
            return web.json_response({"error": {"message": "maximum context length is 3 tokens"}}, status=400)
        return Golds(content)(request)

    with serve(reply) as server:
        sets = [{"benchmark": "finr1_finmath", "path": str(write_set(tmp_path / "set", content)), "subset": "finmath"}]
        recipe = {"out": str(tmp_path / "out"), "models": [{"name": "m", "api_url": server.url}], "sets": sets}
        (tmp_path / "eval.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        assert run_eval(str(tmp_path / "eval.yaml"))["m/finmath"] == "3/3, 1 error"
