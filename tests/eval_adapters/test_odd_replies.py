"""Replies that are no error by their HTTP status, or no reply at all: each is read for what it is, or counted by cause."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from mock_server import Reply, completion, serve
from small_sets import Golds, recipe, rows, well_formed, write_set

from eval_adapters.reviews import read_result
from eval_adapters.run import run_one

# EvalScope's own tables use a keyword that pandas is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

CONTENT = rows(14)
NUMBERS = {each["prompt"][-1]["content"]: number for number, each in enumerate(CONTENT)}
GOLDS = Golds(CONTENT)


def said(content: Any, finish: str = "stop", **more: Any) -> dict[str, Any]:
    return {**completion(None, finish), "choices": [{"finish_reason": finish, "message": {"content": content, **more}}]}


def reply(request: dict[str, Any]) -> Reply:
    number = NUMBERS[request["messages"][-1]["content"]]
    good = GOLDS(request)
    assert isinstance(good, dict)
    answer = well_formed(CONTENT[number]["gold"])
    match number:
        case 0:
            return {"error": {"message": "CUDA out of memory: 3", "code": 500}}
        case 1:
            return {"error": {"message": "maximum context length is 10 tokens", "type": "invalid_request_error"}}
        case 2:
            broken = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
            return web.Response(body=b"\x1f\x8bnot gzip", headers=broken)
        case 3:
            return web.json_response({"error": "request entity too large"}, status=413)
        case 4:
            return {**good, "choices": [None]}
        case 5:
            return web.json_response([])
        case 6:
            return web.Response(status=204)
        case 7:
            return web.Response(status=302, headers={"Location": "/elsewhere"})
        case 8:  # half of a character outside the first plane
            return said(f"<think>\ud83d</think><answer>{CONTENT[8]['gold']}</answer>")
        case 9:
            return said([{"type": "text", "text": answer[:9]}, {"type": "text", "text": answer[9:]}])
        case 10:
            return web.Response(text="\ufeff" + json.dumps(good), content_type="application/json")
        case 11:
            return {**good, "usage": [7, 8]}
        case 12:
            return said(None, "length", reasoning_content=f"The answer is {CONTENT[12]['gold']}")
    return good


def test_each_reply_is_an_answer_or_a_cause(tmp_path: Path) -> None:
    with serve(reply) as server:
        data = write_set(tmp_path / "测试 集", CONTENT)
        settings = recipe(tmp_path / "输出 1", data, server.url, names=("模型-7B",), attempts=2)
        result = run_one(settings, settings.models[0])["finmath"]
    _, read = read_result(settings.out / "模型-7B" / "finmath")
    causes = {each.index: each.cause for each in read if each.status == "error"}
    unreadable = causes.pop(6)
    assert unreadable.startswith("unreadable reply")
    assert causes == {
        0: "http 500",
        1: "prompt longer than the context",
        2: "connection failed",
        3: "http 413",
        4: "empty choices",
        5: "empty choices",
        7: "http 404",
    }
    assert (read[12].status, read[12].cause) == ("no_answer", "cut by max_tokens")
    assert [each.index for each in read if each.correct] == [8, 9, 10, 11, 13]
    assert read[8].completion.startswith("<think>\ufffd</think>")
    counts = result["counts"]
    assert counts["requested"] == 14 == counts["correct"] + counts["no_answer"] + counts["error"]
    # What no retry can help is asked once, the rest twice.
    asked = [server.questions.count(each["prompt"][-1]["content"]) for each in CONTENT]
    assert asked == [2, 1, 2, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1]


def test_chinese_is_sent_as_it_stands_and_takes_no_more_bytes_than_in_a_file(tmp_path: Path) -> None:
    page = "表" * 100_000
    content = [{**CONTENT[0], "prompt": [{"role": "user", "content": page}]}]
    with serve(Golds(content)) as server:
        settings = recipe(tmp_path / "out", write_set(tmp_path / "test", content), server.url)
        run_one(settings, settings.models[0])
    assert server.questions == [page]
    assert server.sizes[0] < len(page.encode()) + 1_000
