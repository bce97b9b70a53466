"""Endpoints of any protocol, repeats, and a benchmark of one's own."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mock_server import Drip, Reply, completion, serve
from small_sets import Golds, recipe, row, rows, well_formed, write_set

from eval_adapters.reviews import count, read_result
from eval_adapters.run import run_one
from eval_adapters.settings import EvalSettings, Generation, ModelSpec, RequestForm, SetSpec
from reward_plugins.errors import Refused

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")


def of_form(out: Path, path: Path, url: str, form: RequestForm, **more: Any) -> EvalSettings:
    """An evaluation of a model behind a protocol of its own."""
    given = recipe(out, path, url, **more)
    model = ModelSpec(name="m", api_url=url.removesuffix("/v1") + "/ask", requests=form, **more.pop("model", {}))
    return given.model_copy(update={"models": [model]})


FORM = RequestForm.model_validate(
    {
        "body": {
            "input": {"text": "$question", "system": "$system", "all": "$prompt", "messages": "$messages"},
            "parameters": {"max_new_tokens": "$max_tokens", "temperature": "$temperature", "seed": "$seed", "n": None},
            "model": ["$model", "x"],
        },
        "answer": "data.0.output",
        "reasoning": "data.0.thought",
        "finish_reason": "data.0.why",
        "prompt_tokens": "usage.in",
        "completion_tokens": "usage.out",
    }
)


def own(text: str | None, why: str = "end", **more: Any) -> Reply:
    """A reply of that protocol."""
    return {"data": [{"output": text, "why": why, **more}], "usage": {"in": 5, "out": 6}}


def test_a_protocol_of_one_s_own_is_asked_and_read_by_the_mapping(tmp_path: Path) -> None:
    content = rows(4)
    replies = {
        "What is item 1?": own("<answer>10</answer>", thought="as asked"),
        "What is item 3?": own("<think>I never come", why="length"),
    }
    with serve(lambda body: replies.get(body["input"]["text"], own(well_formed("3")))) as server:
        given = of_form(tmp_path / "out", write_set(tmp_path / "set", content), server.url, FORM)
        result = run_one(given, given.models[0])["finmath"]
        sent = next(body for body in server.requests if body["input"]["text"] == "What is item 1?")
    assert sent == {
        "input": {
            "text": "What is item 1?",
            "system": "Think, then answer.",
            "all": "Think, then answer.\n\nWhat is item 1?",
            "messages": content[1]["prompt"],
        },
        "parameters": {"max_new_tokens": 64, "temperature": 0.0, "n": None},
        "model": ["m", "x"],
    }
    _, read = read_result(tmp_path / "out" / "m" / "finmath")
    assert [(each.status, each.cause) for each in read] == [
        ("correct", ""),
        ("correct", ""),
        ("wrong", ""),
        ("no_answer", "cut by max_tokens"),
    ]
    assert read[1].completion == "<think>as asked</think><answer>10</answer>"
    assert (read[1].prompt_tokens, read[1].completion_tokens) == (5, 6)
    assert count(read) == result["counts"]


def test_its_faults_are_counted_like_those_of_any_endpoint(tmp_path: Path) -> None:
    from aiohttp import web

    content = rows(6)
    faults: dict[str, Reply] = {
        content[0]["question"]: web.json_response({"detail": "maximum context length is 3 tokens"}, status=400),
        content[1]["question"]: {"data": []},
        content[2]["question"]: Drip("{" * 99, every_s=0.2),
        content[3]["question"]: web.Response(text="<html>24</html>"),
        content[4]["question"]: web.Response(text="31", status=503),
    }
    with serve(lambda body: faults.get(body["input"]["text"], own(well_formed("38")))) as server:
        path = write_set(tmp_path / "set", content)
        given = of_form(tmp_path / "out", path, server.url, FORM, timeout_s=5.0)
        first = run_one(given, given.models[0])["finmath"]
        assert first["counts"]["error_by_cause"] == {
            "prompt longer than the context": 1,
            "no text at data.0.output of the reply": 1,
            "timed out": 1,
            "unreadable reply (JSONDecodeError)": 1,
            "http 503": 1,
        }
        assert (first["counts"]["correct"], first["counts"]["error"]) == (1, 5)
        faults.clear()
        assert run_one(given, given.models[0])["finmath"]["counts"]["error"] == 1
        sent = len(server.requests)
        run_one(given, given.models[0])
        assert len(server.requests) == sent


def test_a_mapping_of_its_own_is_another_model_and_its_key_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eval_adapters.identity import of_model

    monkeypatch.setenv("FINR1_TEST_KEY", "sk-secret")
    form = FORM.model_copy(update={"key_header": "X-Key", "key_prefix": ""})
    other = FORM.model_copy(update={"body": {"q": "$question"}})
    models = [
        ModelSpec(name="m", api_url="http://127.0.0.1:1/ask", requests=each, api_key_env="FINR1_TEST_KEY")
        for each in (FORM, form, other)
    ]
    assert of_model(models[0]) == of_model(models[1]) != of_model(models[2])
    with serve(lambda body: own(well_formed("3"))) as server:
        given = of_form(tmp_path / "out", write_set(tmp_path / "set", rows(1)), server.url, form)
        given.models[0].api_key_env = "FINR1_TEST_KEY"
        run_one(given, given.models[0])
        assert server.headers[0]["X-Key"] == "sk-secret"
    assert not any(b"sk-secret" in file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file())


def test_bytes_that_drip_in_do_not_hold_a_run_up(tmp_path: Path) -> None:
    drip = Drip(json.dumps(completion(well_formed("3"))) * 50, every_s=0.1)
    with serve(lambda _: drip) as server:
        given = recipe(tmp_path / "out", write_set(tmp_path / "set", rows(2)), server.url, timeout_s=1.5)
        started = time.monotonic()
        with pytest.raises(Refused, match=r"none of 2 requests was answered \(timed out\)"):
            run_one(given, given.models[0])
    assert time.monotonic() - started < 100  # the bytes would take ten minutes


def test_why_a_server_was_not_reached_is_said(tmp_path: Path) -> None:
    content = rows(1)
    path = write_set(tmp_path / "set", content)
    with serve(Golds(content)) as server:
        for url, cause in (
            (server.url.replace("http://", "https://"), "no secure connection"),
            ("http://no-such-host.invalid/v1", "no such host"),
        ):
            given = recipe(tmp_path / cause, path, url)
            with pytest.raises(Refused, match=f"none of 1 requests was answered \\({cause}\\)"):
                run_one(given, given.models[0])


def test_a_server_that_names_a_time_to_wait_is_left_alone_for_it(tmp_path: Path) -> None:
    from aiohttp import web

    content = rows(2)
    asked: list[float] = []

    def reply(request: dict[str, Any]) -> Reply:
        asked.append(time.monotonic())
        if len(asked) == 1:
            return web.json_response({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "4"})
        return Golds(content)(request)

    with serve(reply) as server:
        given = recipe(tmp_path / "out", write_set(tmp_path / "set", content), server.url, attempts=2, batch=1)
        assert run_one(given, given.models[0])["finmath"]["counts"]["correct"] == 2
    assert asked[1] - asked[0] >= 4


def test_repeats_are_samples_with_seeds_of_their_own(tmp_path: Path) -> None:
    content = rows(3)

    def reply(body: dict[str, Any]) -> Reply:  # right for every other seed
        if body["seed"] % 2:
            return completion(well_formed("1"))
        return Golds(content)(body)

    with serve(reply) as server:
        path = write_set(tmp_path / "set", content)
        sampling = Generation(max_tokens=64, temperature=0.7, seed=40)
        given = recipe(tmp_path / "out", path, server.url).model_copy(update={"generation": sampling, "repeats": 3})
        result = run_one(given, given.models[0])["finmath"]
        assert sorted((body["messages"][-1]["content"], body["seed"]) for body in server.requests) == sorted(
            (each["question"], seed) for each in content for seed in (40, 41, 42)
        )
        run_one(given, given.models[0])
        assert len(server.requests) == 9
    assert result["counts"]["requested"] == 9 and result["repeats"] == 3
    assert result["rates"]["accuracy"] == pytest.approx(6 / 9)
    _, read = read_result(tmp_path / "out" / "m" / "finmath")
    assert [(each.id, each.repeat, each.status) for each in read[:4]] == [
        ("q0", 0, "correct"),
        ("q0", 1, "wrong"),
        ("q0", 2, "correct"),
        ("q1", 0, "correct"),
    ]


def test_repeats_that_fail_are_counted_one_by_one(tmp_path: Path) -> None:
    from aiohttp import web

    content = rows(2)
    seen: Counter[str] = Counter()

    def reply(body: dict[str, Any]) -> Reply:
        question = body["messages"][-1]["content"]
        seen[question] += 1
        if question == content[1]["question"] and seen[question] == 2:
            return web.json_response({}, status=500)
        return Golds(content)(body)

    with serve(reply) as server:
        given = recipe(tmp_path / "out", write_set(tmp_path / "set", content), server.url, batch=1)
        given = given.model_copy(update={"generation": Generation(temperature=0.7), "repeats": 3})
        first = run_one(given, given.models[0])["finmath"]
        assert (first["counts"]["correct"], first["counts"]["error"]) == (5, 1)
        assert first["failed"][0]["asked"]["id"] == "q1"
        second = run_one(given, given.models[0])["finmath"]
        assert (second["counts"]["correct"], second["complete"], len(server.requests)) == (6, True, 7)


MINE = '''
from eval_adapters.base import FinanceBenchmark, benchmark
from eval_adapters.catalogue import Benchmark

@benchmark(Benchmark("desk_news", "News of our desk", "What our analysts ask.", sources=("desk",)))
class DeskNews(FinanceBenchmark):
    """Ours."""
'''


def test_a_benchmark_of_one_s_own_is_a_class_named_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "our_desk.py").write_text(MINE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    content = [*(row(number, str(number), source="desk") for number in range(5, 8)), row(9, "9")]
    with serve(Golds(content)) as server:
        path = write_set(tmp_path / "set", content, "news")
        given = recipe(tmp_path / "out", path, server.url)
        mine = SetSpec(benchmark="our_desk.DeskNews", path=path, subset="news")
        given = given.model_copy(update={"sets": [mine]})
        result = run_one(given, given.models[0])["news"]
    assert (result["counts"]["correct"], result["counts"]["requested"]) == (3, 3)
    assert result["asking"]["set"]["benchmark"] == "desk_news"
    with pytest.raises(Refused, match="no benchmark can be imported from there"):
        gone = given.model_copy(update={"sets": [mine.model_copy(update={"benchmark": "our_desk.Gone"})]})
        run_one(gone, gone.models[0])
