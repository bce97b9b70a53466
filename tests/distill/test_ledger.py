"""What is spent: the cap is a ceiling, and the ledger survives whatever ends a run."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer, always, first
from pydantic import ValidationError

from distill import ask, ledger
from distill.ledger import CapReached, Ledger
from distill.prompts import Message
from distill.records import Trace, Usage, read_records
from distill.teachers import Prices, Teacher
from reward_plugins.errors import Refused

# 60 prompt tokens at 10 and 30 completion tokens at 100 a million: what the server's answer costs.
PRICES = {"currency": "CNY", "prompt": 10, "completion": 100}
ANSWER = (60 * 10 + 30 * 100) / 1e6


def settings(questions: Path, url: str, cap: float | None = None, **teacher: Any) -> ask.Settings:
    base = {"name": "t", "base_url": url, "model": "m", "concurrency": 16, "timeout_s": 5.0, "max_tokens": 100}
    return ask.Settings.model_validate(
        {
            "questions": questions,
            "out": questions.parent / "traces.jsonl",
            "teachers": [{**base, "prices": PRICES, **teacher}],
            "cost_cap": {} if cap is None else {"CNY": cap},
        }
    )


def spent(stage: ask.Settings) -> float:
    with Ledger(ledger.beside(stage.out)) as book:
        return book.spent("CNY")


def most(stage: ask.Settings) -> float:
    """The most that a request for one of the made questions costs."""
    teacher = stage.teachers[0]
    words = "Secret-Corp asks question number 0: revenue 300, profit 12; what is the net margin?"
    return teacher.bill(Usage(), teacher.worst([Message(role="user", content=words)]))


def test_the_cap_is_never_passed_and_a_higher_one_goes_on(make_questions: Callable[..., Path]) -> None:
    cap = 40.5 * ANSWER
    with FaultServer(always("ok"), delay_s=0.01) as server:
        stage = settings(make_questions(100), server.url, cap)
        with pytest.raises(CapReached, match=rf"of {cap:g} CNY are spent.*not asked: \d+ of 't'.*raise cost_cap"):
            ask.run(stage)
        answered = sum(server.answered.values())
        assert answered * ANSWER <= cap, "the endpoint's bill is above the cap"
        assert answered * ANSWER + most(stage) > cap, "there was room for another request"
        assert spent(stage) == pytest.approx(answered * ANSWER)
        assert not stage.manifest_path().exists()
        with pytest.raises(CapReached):
            ask.run(stage)
        assert sum(server.asked.values()) == answered
        done = ask.run(settings(stage.questions, server.url, 1.0))
    assert done["teachers"]["t"]["answered"] == 100 and set(server.answered.values()) == {1}
    account = done["ledger"]["t"]
    assert account["cost"] == {"CNY": pytest.approx(100 * ANSWER)}
    assert (account["requests"], account["retries"], account["uncounted"]) == (100, 0, 0)
    assert (account["prompt_tokens"], account["completion_tokens"]) == (6_000, 3_000)
    written = json.loads(stage.manifest_path().read_text(encoding="utf-8"))
    assert written["counts"]["ledger"] == done["ledger"]


def test_usage_that_is_not_told_counts_at_its_most(make_questions: Callable[..., Path]) -> None:
    with FaultServer(always("ok")) as server:
        server.usage = None
        stage = settings(make_questions(10), server.url)
        account = ask.run(stage)["ledger"]["t"]
        assert account["uncounted"] == 10
        assert account["cost"]["CNY"] == pytest.approx(sum_of_most(stage, 10), rel=1e-6)
        server.usage = {"prompt_tokens": 60}
        capped = settings(make_questions(20), server.url, 10 * most(stage) + 4.5 * most(stage))
        with pytest.raises(CapReached):
            ask.run(capped)
        assert 13 <= sum(server.answered.values()) <= 15


def sum_of_most(stage: ask.Settings, count: int) -> float:
    return count * most(stage)  # the numbers 0 to 9 have one digit each, so the prompts are of one length


@pytest.mark.usefixtures("short_waits")
def test_what_broke_off_may_be_billed_and_what_was_turned_down_is_not(make_questions: Callable[..., Path]) -> None:
    script = first(["ok", "500", "429", "cut", "504", "html", "empty choices", "drop", "503", "ok"])
    with FaultServer(script) as server:
        stage = settings(make_questions(10), server.url, 1.0, concurrency=1)
        account = ask.run(stage)["ledger"]["t"]
    assert (account["requests"], account["retries"]) == (18, 8)
    # "cut", "504", "html" and "drop" told no usage; "empty choices" was sent without any, too.
    assert account["uncounted"] == 5
    assert account["cost"]["CNY"] == pytest.approx(10 * ANSWER + 5 * most(stage), rel=1e-6)
    assert account["failed"]["http 429"] == account["failed"]["http 500"] == 1


@pytest.mark.parametrize(
    ("teacher", "cap", "words"),
    [
        ({"prices": None}, {"CNY": 1}, "'t' has no prices"),
        ({"max_tokens": None}, {"CNY": 1}, "nothing bounds an answer"),
        ({}, {"USD": 1}, "no cap in CNY"),
        ({}, {"CNY": 0}, "above 0"),
        ({}, {"CNY": float("nan")}, "above 0"),
        ({"prices": {**PRICES, "prompt": -1}}, {}, "greater than or equal to 0"),
    ],
)
def test_a_cap_that_cannot_be_kept_is_refused_before_anything_is_asked(
    teacher: dict[str, Any], cap: dict[str, float], words: str
) -> None:
    base = {"name": "t", "base_url": "http://h/v1", "model": "m", "max_tokens": 9, "prices": PRICES}
    with pytest.raises(ValidationError, match=words):
        ask.Settings.model_validate({"questions": "q", "out": "t", "teachers": [{**base, **teacher}], "cost_cap": cap})


def test_a_cap_stops_only_those_who_are_paid_in_its_currency(make_questions: Callable[..., Path]) -> None:
    with FaultServer(always("ok")) as server:
        stage = settings(make_questions(40), server.url, 20.5 * ANSWER)
        other = Teacher(
            name="u", base_url=server.url, model="m", max_tokens=9, prices=Prices(**{**PRICES, "currency": "USD"})
        )
        stage.teachers.append(other)
        stage.cost_cap["USD"] = 1.0
        with pytest.raises(CapReached, match=r"not asked: \d+ of 't';"):
            ask.run(stage)
    assert Counter(trace.teacher for trace in read_records(stage.out, Trace))["u"] == 40


RUN = """
import sys
from distill import ask
ask.run(ask.Settings.model_validate_json(sys.argv[1]))
"""


def test_kill_minus_9_counts_what_was_on_its_way(make_questions: Callable[..., Path]) -> None:
    """However often it is killed, no less is counted than the endpoint bills, and no more than what was on its way."""
    draw = random.Random(11)
    concurrency, kills = 8, 4
    with FaultServer(always("ok"), delay_s=0.02) as server:
        stage = settings(make_questions(1_000), server.url, 10.0, concurrency=concurrency)
        command = [sys.executable, "-c", RUN, stage.model_dump_json()]
        for _ in range(kills):
            before = sum(server.answered.values())
            server.at_most = before + 200  # however late the kill comes, it is not done before
            child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            while child.poll() is None and sum(server.answered.values()) == before:
                time.sleep(0.01)
            time.sleep(draw.uniform(0.0, 0.2))
            child.send_signal(signal.SIGKILL)
            child.wait()
            counted, billed = spent(stage), sum(server.answered.values()) * ANSWER
            assert counted >= billed * (1 - 1e-9), "the endpoint bills more than the ledger knows of"
        assert 0 < sum(server.answered.values()) < 1_000, "the kills came too late or too early to test anything"
        assert counted > billed, "nothing was on its way at the last kill"
        server.at_most = None
        account = ask.run(stage)["ledger"]["t"]
    assert account["cost"]["CNY"] >= sum(server.answered.values()) * ANSWER * (1 - 1e-9)
    # An end is written with the next start, so at most twice the requests in flight are without one.
    assert account["uncounted"] <= kills * concurrency * 2
    assert account["failed"].keys() == {"run ended before the answer"}


def test_a_journal_without_a_ledger_opens_its_accounts(make_questions: Callable[..., Path]) -> None:
    with FaultServer(always("ok")) as server:
        stage = settings(make_questions(10), server.url)
        before = ask.run(stage)["ledger"]["t"]
        ledger.beside(stage.out).unlink()
        assert ask.run(stage)["ledger"]["t"] == before


def test_a_torn_end_heals_and_a_broken_midst_is_named(tmp_path: Path) -> None:
    teacher = Teacher(name="t", base_url="http://h/v1", model="m", prices=Prices(**PRICES))
    path = tmp_path / "ledger"
    with Ledger(path) as book:
        for key in ("1", "2"):
            book.hold(key, teacher, 0.25)
        book.ended("1", teacher, Usage(prompt_tokens=60, completion_tokens=30), ANSWER)
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines()[-1])):
        path.write_bytes(whole[:-cut])
        with Ledger(path) as book:  # the end is lost, or half of it: both requests may have cost all of it
            assert book.spent("CNY") in (pytest.approx(0.5), pytest.approx(0.25 + ANSWER))
    path.write_bytes(whole.replace(b'{"sent":"2"', b"{broken"))
    with pytest.raises(Refused, match="line 3: not a ledger"):
        Ledger(path)


def test_the_ledger_stays_small(make_questions: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_FOLD_AFTER", 20)
    with FaultServer(always("ok")) as server:
        stage = settings(make_questions(200), server.url)
        account = ask.run(stage)["ledger"]["t"]
    assert account["requests"] == 200 and account["cost"]["CNY"] == pytest.approx(200 * ANSWER)
    assert len(ledger.beside(stage.out).read_bytes().splitlines()) <= 20
    assert spent(stage) == pytest.approx(200 * ANSWER)


def test_cached_tokens_have_their_own_price() -> None:
    prices = Prices(currency="CNY", prompt=10, cached=1, completion=100)
    assert prices.cost(1_000, 400, 10) == pytest.approx((600 * 10 + 400 * 1 + 10 * 100) / 1e6)
    assert Prices(**PRICES).cost(1_000, 400, 10) == pytest.approx((1_000 * 10 + 10 * 100) / 1e6)
