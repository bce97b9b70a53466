"""`finr1 eval` as a command: several models and sets, one of which cannot be evaluated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from mock_server import Reply, serve
from small_sets import Golds, rows, write_set

from eval_adapters.reviews import read_result

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
