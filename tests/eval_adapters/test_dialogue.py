"""ConvFinQA's dialogues: what is told of the earlier turns, by the gold answers and by the model's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from benchmark_sets import SYSTEM, prepared
from mock_server import Reply, completion, serve
from small_sets import write_set

from distill.sources.instructions import history
from eval_adapters.catalogue import of
from eval_adapters.dialogue import turn_of
from eval_adapters.loading import load
from eval_adapters.reviews import read_result
from eval_adapters.run import run_one
from eval_adapters.settings import EvalSettings, Generation, ModelSpec, SetSpec
from reward_plugins.errors import Refused

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

TURNS = [("what was revenue?", "10"), ("and the year before?", "8"), ("what is the change?", "2")]


def dialogue(name: str, turns: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """The rows of a dialogue as the source convfinqa gives them."""
    return [
        {
            "id": f"{name}/{place}",
            "source": "convfinqa",
            "split": "test",
            "lang": "en",
            "task": "calculation",
            "question": question,
            "context": "\n\n".join(part for part in (f"Page of {name}.", history(turns[:place], question)) if part),
            "gold": gold,
            "answer_type": "number",
            "licence": "MIT",
            "meta": {"doc": name, "turn": place},
        }
        for place, (question, gold) in enumerate(turns)
    ]


def settings(folder: Path, url: str, content: list[dict[str, Any]], **more: Any) -> EvalSettings:
    """An evaluation of dialogues with the model's own history."""
    test_set = SetSpec(
        benchmark="finr1_convfinqa_own",
        path=write_set(folder / "set", content, "test"),
        subset="test",
        system_prompt=SYSTEM,
    )
    return EvalSettings(
        out=folder / "out",
        models=[ModelSpec(name="m", api_url=url)],
        sets=[test_set],
        **{"generation": Generation(max_tokens=64), "attempts": 1, "timeout_s": 10.0, "batch": 2, **more},
    )


def test_a_page_and_what_was_said_before_are_told_apart_on_every_real_row(tmp_path: Path) -> None:
    given = prepared("finr1_convfinqa", tmp_path)
    rows = load(given, of(given.benchmark))
    assert max(row.meta["turn"] for row in rows) >= 3
    for row in rows:
        turn = turn_of(row)
        assert len(turn.earlier) == row.meta["turn"]
        assert "Earlier in this conversation" not in turn.page and len(turn.page) > 200
        roles = [message.role for message in row.prompt]
        assert roles == ["system", *["user", "assistant"] * row.meta["turn"], "user"]
        assert row.prompt[1].content.startswith(turn.page[:100])
        assert row.prompt[-1].content.endswith(row.question)
        golds = [message.content for message in row.prompt if message.role == "assistant"]
        assert golds == [f"<answer>{gold}</answer>" for _, gold in turn.earlier]


def answer(request: dict[str, Any]) -> Reply:
    """Always wrong, and another number for each turn."""
    return completion(f"<think>hm</think><answer>{90 + len(request['messages'])}</answer>")


def test_a_model_is_told_its_own_answers_and_not_the_gold_ones(tmp_path: Path) -> None:
    content = [*dialogue("a", TURNS), *dialogue("b", TURNS[:2])]
    with serve(answer) as server:
        run_one(given := settings(tmp_path, server.url, content), given.models[0])
        asked = {each["messages"][-1]["content"]: each["messages"] for each in server.requests}
    last = asked["what is the change?"]
    assert [each["role"] for each in last] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [each["content"] for each in last if each["role"] == "assistant"] == [
        "<answer>92</answer>",
        "<answer>94</answer>",
    ]
    _, rows = read_result(tmp_path / "out" / "m" / "test")
    assert [row.status for row in rows] == ["wrong"] * 5


def test_a_turn_whose_earlier_one_failed_is_an_error_and_is_asked_with_it_again(tmp_path: Path) -> None:
    content = [*dialogue("a", TURNS), *dialogue("b", TURNS[:2])]
    mended = False

    def reply(request: dict[str, Any]) -> Reply:
        if not mended and "Page of a" in request["messages"][1]["content"] and len(request["messages"]) == 4:
            return web.json_response({"error": {"message": "x"}}, status=500)
        return answer(request)

    with serve(reply) as server:
        given = settings(tmp_path, server.url, content)
        first = run_one(given, given.models[0])["test"]
        assert first["counts"]["error_by_cause"] == {"http 500": 1, "an earlier turn failed": 1}
        mended = True
        sent = len(server.requests)
        second = run_one(given, given.models[0])["test"]
        assert second["complete"] and second["counts"]["error"] == 0
        again = server.requests[sent:]
    # The first turn was answered by the first run, and its answer is told; nothing is asked twice.
    assert [len(each["messages"]) for each in again] == [4, 6]
    assert again[1]["messages"][2]["content"] == "<answer>92</answer>"


def test_turns_that_are_cut_off_by_the_token_limit_leave_no_reasoning_in_the_history(tmp_path: Path) -> None:
    def reply(request: dict[str, Any]) -> Reply:
        if len(request["messages"]) == 2:
            return completion("<think>I never come to", finish="length")
        return answer(request)

    with serve(reply) as server:
        given = settings(tmp_path, server.url, dialogue("a", TURNS[:2]))
        result = run_one(given, given.models[0])["test"]
        assert server.requests[1]["messages"][2]["content"] == "(no answer)"
    assert result["counts"]["no_answer_by_cause"] == {"cut by max_tokens": 1}


def test_turns_out_of_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="'a/1' stands behind 'a/2' in the file"):
        first, second, third = dialogue("a", TURNS)
        given = settings(tmp_path, "http://127.0.0.1:9/v1", [first, third, second])
        run_one(given, given.models[0])


def test_a_turn_that_the_set_lacks_is_told_with_its_gold(tmp_path: Path) -> None:
    with serve(answer) as server:
        given = settings(tmp_path, server.url, dialogue("a", TURNS)[1:])
        run_one(given, given.models[0])
        assert server.requests[0]["messages"][2]["content"] == "<answer>10</answer>"
