"""Batch files: what is out or was answered is asked by neither way again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from fault_server import GOOD, FaultServer, always

from distill import ask, batch, ledger
from distill.batch_files import Outstanding, read_result
from distill.endpoint import Failure
from distill.ledger import Ledger
from distill.records import Trace, read_records
from reward_plugins.errors import Refused

PRICES = {"currency": "USD", "prompt": 10, "completion": 100, "batch": 0.5}
# 60 prompt and 30 completion tokens, at half the price.
ANSWER = (60 * 10 + 30 * 100) / 1e6 / 2
USAGE = {"prompt_tokens": 60, "completion_tokens": 30}


def settings(questions: Path, url: str = "http://127.0.0.1:9/v1", **more: Any) -> ask.Settings:
    teacher = {"name": "t", "base_url": url, "model": "m", "max_tokens": 100, "temperature": 0.6, "prices": PRICES}
    return ask.Settings.model_validate(
        {
            "questions": questions,
            "out": questions.parent / "traces.jsonl",
            "teachers": [teacher | more.pop("teacher", {})],
            **more,
        }
    )


def requests(stage: ask.Settings) -> list[dict[str, Any]]:
    return [json.loads(line) for path in Outstanding(stage.out).files() for line in path.read_bytes().splitlines()]


def answer(custom_id: str, status: int = 200, **body: Any) -> dict[str, Any]:
    completion = {"choices": [{"finish_reason": "stop", "message": {"content": GOOD}}], "usage": USAGE}
    response = {"status_code": status, "request_id": "r", "body": completion | body}
    return {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": None}


def expired(custom_id: str) -> dict[str, Any]:
    error = {"code": "batch_expired", "message": "This request could not be executed before the window ended."}
    return {"id": "batch_req_1", "custom_id": custom_id, "response": None, "error": error}


def results(path: Path, rows: Iterable[dict[str, Any]], tail: bytes = b"") -> Path:
    path.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows) + tail)
    return path


def accounts_of(lines: bytes, folder: Path) -> dict[str, ledger.Account]:
    (folder / "copy.ledger").write_bytes(lines)
    return Ledger(folder / "copy.ledger").accounts


def test_the_files_say_what_the_endpoint_would_have_been_sent(make_questions: Callable[..., Path]) -> None:
    with FaultServer(always("ok")) as server:
        asked = settings(make_questions(10), server.url)
        told = batch.write(asked.model_copy(update={"batch": asked.batch.model_copy(update={"max_rows": 4})}))
        rows = requests(asked)
        assert [each["requests"] for each in told["files"]] == [4, 4, 2]
        assert len({row["custom_id"] for row in rows}) == 10 and all(len(row["custom_id"]) <= 64 for row in rows)
        assert all(list(row) == ["custom_id", "method", "url", "body"] for row in rows)
        assert {(row["method"], row["url"]) for row in rows} == {("POST", "/v1/chat/completions")}
        for path in Outstanding(asked.out).files():
            path.unlink()
        ask.run(asked)
        key = str
        assert sorted((row["body"] for row in rows), key=key) == sorted(server.bodies, key=key)


def test_a_size_limit_splits_and_leaves_what_never_fits(make_questions: Callable[..., Path]) -> None:
    stage = settings(make_questions(10))
    batch.write(stage)
    line = len(Outstanding(stage.out).files()[0].read_bytes().splitlines(keepends=True)[0])
    for path in Outstanding(stage.out).files():
        path.unlink()
    told = batch.write(settings(stage.questions, batch={"max_bytes": 3 * line + 1}))
    assert [each["requests"] for each in told["files"]] == [3, 3, 3, 1]
    assert all(each["bytes"] <= 3 * line + 1 for each in told["files"])
    for path in Outstanding(stage.out).files():
        path.unlink()
    told = batch.write(settings(stage.questions, batch={"max_bytes": line - 1}))
    assert told["files"] == [] and told["teachers"]["t"]["too_long"] == 10


def test_results_in_any_order_in_part_and_twice(make_questions: Callable[..., Path], tmp_path: Path) -> None:
    with FaultServer(always("ok")) as server:
        stage = settings(make_questions(20), server.url)
        batch.write(stage)
        ids = [row["custom_id"] for row in requests(stage)]
        held = ask.run(stage)["teachers"]["t"]
        assert (held["in_batch"], held["requests"]) == (20, 0) and not server.asked, "what is out was asked again"
        assert batch.write(stage)["files"] == []

        output = [answer(each) for each in reversed(ids[:10])]
        foreign = answer("0" * 32)
        first = results(
            tmp_path / "out.jsonl", [output[0], *output, foreign], tail=json.dumps(answer(ids[10])).encode()[:-30]
        )
        turned_down = results(
            tmp_path / "errors.jsonl",
            [
                answer(ids[11], 400),
                expired(ids[12]),
                answer(ids[13], 500),
                answer(ids[14], choices=[]),
                expired(ids[0]),
            ],
            tail=b"",
        )
        told = batch.read(stage, [turned_down, first])
        assert (told["answered"], told["errors"], told["twice"], told["foreign"]) == (10, 1, 2, 1)
        assert (told["truncated"], told["unreadable"], told["already"]) == (1, 0, 0)
        assert told["asked_again"] == {"batch_expired": 1, "http 500": 1, "empty choices": 1}
        assert told["in_batch"] == 20 - 10 - 1 - 3

        billed = ledger.beside(stage.out).read_bytes()
        again = batch.read(stage, [first, turned_down])
        assert (again["answered"], again["already"], again["asked_again"], again["in_batch"]) == (0, 14, {}, 6)
        assert Ledger(ledger.beside(stage.out)).accounts == accounts_of(billed, tmp_path), "a result was billed twice"

        counts = ask.run(stage)["teachers"]["t"]
        assert (counts["requests"], counts["in_batch"], counts["answered"]) == (3, 6, 13)
        told = batch.read(stage, [results(tmp_path / "rest.jsonl", map(answer, ids))])
        assert (told["answered"], told["in_batch"], told["foreign"]) == (6, 0, 0)
        assert ask.run(stage)["teachers"]["t"]["requests"] == 0
    ended = list(read_records(stage.out, Trace))
    assert Counter(trace.question_id for trace in ended) == {f"q-{n}": 1 for n in range(20)}
    assert [trace.error for trace in ended if trace.error] == ["http 400"]
    assert {trace.response for trace in ended if not trace.error} == {GOOD}
    assert not Outstanding(stage.out).files()
    assert sum(server.asked.values()) == 3


def test_batches_are_in_the_ledger_at_their_price(make_questions: Callable[..., Path], tmp_path: Path) -> None:
    stage = settings(make_questions(10), cost_cap={"USD": 1.0})
    told = batch.write(stage)
    assert told["files"][0]["currency"] == "USD"
    ids = [row["custom_id"] for row in requests(stage)]

    def book() -> tuple[float, float]:
        with Ledger(ledger.beside(stage.out)) as found:
            return found.spent("USD"), sum(hold.cost for hold in found.held.values())

    spent, held = book()
    assert spent == 0 and held == pytest.approx(told["files"][0]["most"], rel=1e-2)
    batch.read(stage, [results(tmp_path / "out.jsonl", map(answer, ids[:4]))])
    after, still_held = book()
    assert after == pytest.approx(4 * ANSWER) and still_held == pytest.approx(held * 0.6, rel=1e-2)
    batch.read(stage, [results(tmp_path / "out.jsonl", map(answer, ids))])
    assert book() == (pytest.approx(10 * ANSWER), 0)


def test_a_cap_bounds_what_is_written(make_questions: Callable[..., Path]) -> None:
    stage = settings(make_questions(10))
    most = batch.write(stage)["files"][0]["most"]
    for path in Outstanding(stage.out).files():
        path.unlink()
    told = batch.write(settings(stage.questions, cost_cap={"USD": 0.55 * most}))
    assert told["teachers"]["t"]["written"] == 5 and told["teachers"]["t"]["beyond_cap"] == 5
    with pytest.raises(ledger.CapReached, match="held for batch files"):
        ask.run(settings(stage.questions, cost_cap={"USD": 0.55 * most}))


def test_a_file_taken_away_gives_its_requests_back(make_questions: Callable[..., Path]) -> None:
    with FaultServer(always("ok")) as server:
        stage = settings(make_questions(6), server.url)
        batch.write(stage)
        Outstanding(stage.out).files()[0].unlink()
        done = ask.run(stage)
    assert done["teachers"]["t"]["requests"] == 6
    with Ledger(ledger.beside(stage.out)) as book:
        assert not book.held


def test_results_for_another_recipe_are_foreign(make_questions: Callable[..., Path], tmp_path: Path) -> None:
    stage = settings(make_questions(4))
    batch.write(stage)
    output = results(tmp_path / "out.jsonl", [answer(row["custom_id"]) for row in requests(stage)])
    told = batch.read(settings(stage.questions, teacher={"model": "another"}), [output])
    assert (told["foreign"], told["answered"], told["in_batch"]) == (4, 0, 4), "they are still out for the old recipe"
    assert batch.read(stage, [output])["answered"] == 4


def test_nobody_takes_a_batch(make_questions: Callable[..., Path]) -> None:
    path = make_questions(1)
    reference = {"name": "r", "kind": "reference"}
    stage = ask.Settings.model_validate({"questions": path, "out": path.parent / "t.jsonl", "teachers": [reference]})
    with pytest.raises(Refused, match="none takes a batch"):
        batch.write(stage)
    with pytest.raises(Refused, match="no such file"):
        batch.read(settings(path), [path.parent / "missing.jsonl"])


@pytest.mark.parametrize("line", [b"", b"[]", b"{", b'{"custom_id": 4}', b"[" * 50_000, b"\xff"])
def test_what_is_no_result(line: bytes) -> None:
    assert read_result(line) is None


def test_an_error_code_is_repeated_only_if_it_is_one() -> None:
    row = {"custom_id": "a", "error": {"code": "the question: what is Secret-Corp's margin?"}}
    found = read_result(json.dumps(row).encode())
    assert found and isinstance(found.outcome, Failure) and found.outcome.reason == "no response"
    found = read_result(json.dumps({"custom_id": "a", "error": {"code": "DataInspectionFailed"}}).encode())
    assert found and isinstance(found.outcome, Failure) and found.outcome.reason == "DataInspectionFailed"
