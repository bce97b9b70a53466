"""The stage `distill` against an endpoint that fails, dies and lies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fault_server import GOOD, FaultServer, Script, always, first
from pydantic import ValidationError

from distill import ask, endpoint, manifest, teachers
from distill.journal import Journal, entries
from distill.plan import Plan
from distill.questions import read_questions
from distill.records import Trace, read_records, write_records
from reward_plugins.errors import Refused

FAULTS = [
    "ok",
    "429",
    "500",
    "503",
    "hang",
    "cut",
    "drop",
    "html",
    "not json",
    "wrong json",
    "no message",
    "empty choices",
    "error in 200",
]


def settings(questions: Path, url: str, **teacher: Any) -> ask.Settings:
    base = {"name": "t", "base_url": url, "model": "m", "concurrency": 16, "timeout_s": 5.0}
    return ask.Settings(
        questions=questions,
        out=questions.parent / "traces.jsonl",
        teachers=[teachers.Teacher(**{**base, **teacher})],
    )


def traces(stage: ask.Settings) -> list[Trace]:
    return list(read_records(stage.out, Trace))


@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize("fault", FAULTS[1:])
def test_each_fault_is_ridden_out(make_questions: Callable[..., Path], fault: str) -> None:
    with FaultServer(first([fault, "ok"])) as server:
        stage = settings(make_questions(4), server.url, timeout_s=2.0 if fault == "hang" else 30)
        counts = ask.run(stage)["teachers"]["t"]
    assert counts["answered"] == 4 and counts["errors"] == 0
    assert server.asked == {0: 2, 1: 1, 2: 2, 3: 1}
    assert {trace.response for trace in traces(stage)} == {GOOD}


@pytest.mark.usefixtures("short_waits")
def test_five_thousand_questions_and_all_faults_at_once(make_questions: Callable[..., Path]) -> None:
    script = first([fault for fault in FAULTS if fault != "hang"] + ["ok", "422"])

    def answer(number: int, attempt: int) -> str:
        if number % 14 == 13:
            return "422"
        return "hang" if number in (100, 101) and attempt == 1 else script(number, attempt)

    with FaultServer(answer) as server:
        stage = settings(make_questions(5_000), server.url, concurrency=256, timeout_s=20.0)
        counts = ask.run(stage)["teachers"]["t"]
    ended = traces(stage)
    assert Counter(trace.question_id for trace in ended) == {f"q-{n}": 1 for n in range(5_000)}
    failed = {trace.question_id: trace.error for trace in ended if trace.error}
    assert failed == {f"q-{n}": "http 422" for n in range(13, 5_000, 14)}
    assert counts["answered"] + counts["errors"] == counts["wanted"] == 5_000
    assert all(server.answered[n] == 1 for n in range(5_000) if n % 14 != 13)
    assert all(server.asked[n] == 1 for n in range(13, 5_000, 14))


@pytest.mark.usefixtures("short_waits")
def test_attempts_are_bounded_and_an_error_is_final_until_asked_again(make_questions: Callable[..., Path]) -> None:
    with FaultServer(lambda n, attempt: "500" if n == 3 else "ok") as server:
        stage = settings(make_questions(5), server.url, attempts=4, concurrency=1)
        assert ask.run(stage)["teachers"]["t"]["errors"] == 1
        assert server.asked[3] == 4
        assert ask.run(stage)["teachers"]["t"]["requests"] == 0
        assert server.asked[3] == 4
        server.script = always("ok")
        again = stage.model_copy(update={"retry_errors": True})
        assert ask.run(again)["teachers"]["t"] == {
            "wanted": 5,
            "answered": 5,
            "errors": 0,
            "in_batch": 0,
            "changed": 0,
            "without_solution": 0,
            "requests": 1,
            "prompt_tokens": 60,
            "completion_tokens": 30,
        }
    assert Counter(trace.question_id for trace in traces(stage)) == {f"q-{n}": 1 for n in range(5)}
    assert all(server.answered[n] == 1 for n in range(5))


def test_two_thousand_questions_in_seconds(make_questions: Callable[..., Path]) -> None:
    with FaultServer(always("ok"), delay_s=0.02) as server:
        stage = settings(make_questions(2_000), server.url, concurrency=64)
        started = time.monotonic()
        ask.run(stage)
        # 1 s on an idle machine; the bound leaves room for one that does six other things.
        assert time.monotonic() - started < 60
        assert 32 < server.most_running <= 64
    assert len({trace.id for trace in traces(stage)}) == 2_000


def test_a_429_slows_down_and_does_not_cost_an_attempt(
    make_questions: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    with FaultServer(lambda n, attempt: "ok") as server:
        # More than four at once are turned down, as a rate limit does.
        server.script = lambda n, attempt: "429" if server.running > 4 else "ok"
        server.delay_s = 0.02
        stage = settings(make_questions(80), server.url, concurrency=32, attempts=1)
        counts = ask.run(stage)["teachers"]["t"]
    assert counts["answered"] == 80 and counts["errors"] == 0
    assert sum(server.asked.values()) < 80 * 4
    assert caplog.messages == ["teacher t: http 429 (slow down); asking more slowly"]


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "names? the environment variable|asks for a key"), (404, "no such address or no model 'm'"), (307, "moved")],
)
def test_what_concerns_the_endpoint_stops_the_run(make_questions: Callable[..., Path], status: int, words: str) -> None:
    with FaultServer(always(str(status))) as server:
        stage = settings(make_questions(200), server.url, concurrency=4)
        with pytest.raises(Refused, match=words):
            ask.run(stage)
        assert sum(server.asked.values()) <= 4
    assert traces(stage) == []
    assert not stage.manifest_path().exists()


def test_an_account_that_runs_dry_stops_the_run_and_condemns_no_question(make_questions: Callable[..., Path]) -> None:
    """Some say so by 400, which else is about one question and final."""
    with FaultServer(lambda number, attempt: "arrears" if number >= 10 else "ok") as server:
        stage = settings(make_questions(200), server.url, concurrency=2)
        with pytest.raises(Refused, match=r"asks for payment.*\(http 400 from .*: not in good standing\)"):
            ask.run(stage)
        assert sum(server.asked.values()) <= 12
    assert len(traces(stage)) == 10 and not any(trace.error for trace in traces(stage))


def test_nothing_listens(make_questions: Callable[..., Path]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(Refused, match=r"nothing answers at .*refused"):
            ask.run(settings(make_questions(3), url))


@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("hang", "no answer within 0.3 s"),
        ("html", "HTML page"),
        ("cut", "cut"),
        ("400", "no good"),
        ("error in 200", "overloaded"),
    ],
)
def test_an_endpoint_that_never_answers_is_refused_and_leaves_no_error(
    make_questions: Callable[..., Path], fault: str, words: str
) -> None:
    with FaultServer(always(fault)) as server:
        for count in (3, 100):
            stage = settings(make_questions(count), server.url, timeout_s=0.3 if fault == "hang" else 30, attempts=2)
            with pytest.raises(Refused, match=f"answered none of .*{words}"):
                ask.run(stage)
            assert traces(stage) == []
        assert sum(server.asked.values()) < 100
        server.script = always("ok")
        assert ask.run(settings(stage.questions, server.url, timeout_s=30))["teachers"]["t"]["answered"] == 100


@pytest.mark.usefixtures("short_waits")
def test_an_outage_stops_the_run_and_the_rest_waits(make_questions: Callable[..., Path]) -> None:
    with FaultServer(lambda n, attempt: "ok" if n < 50 else "500") as server:
        stage = settings(make_questions(1_000), server.url, concurrency=4, attempts=2)
        with pytest.raises(Refused, match=r"in a row failed.*http 500.*retry_errors"):
            ask.run(stage)
        assert 50 + 32 <= len(traces(stage)) < 100
        server.script = always("ok")
        counts = ask.run(stage.model_copy(update={"retry_errors": True}))["teachers"]["t"]
    assert counts["answered"] == 1_000 and counts["errors"] == 0
    assert set(server.answered.values()) == {1}


def test_answers_in_flight_are_kept_when_another_teacher_stops_the_run(make_questions: Callable[..., Path]) -> None:
    with FaultServer(always("ok"), delay_s=0.3) as good, FaultServer(always("403")) as bad:
        stage = settings(make_questions(1_000), good.url, concurrency=8)
        stage.teachers.append(teachers.Teacher(name="other", base_url=bad.url, model="m"))
        with pytest.raises(Refused, match="'other'"):
            ask.run(stage)
    # On an idle machine the run is stopped during the first eight.
    assert 8 <= len(traces(stage)) == sum(good.answered.values()) < 1_000


RUN = """
import sys
from distill import ask
ask.run(ask.Settings.model_validate_json(sys.argv[1]))
"""


def test_kill_minus_9_loses_nothing_and_doubles_nothing(make_questions: Callable[..., Path]) -> None:
    """Killed ten times at random moments, the run ends with each question answered, and asks none twice for nothing."""
    draw = random.Random(7)
    concurrency = 16
    with FaultServer(always("ok"), delay_s=0.02) as server:
        stage = settings(make_questions(2_500), server.url, concurrency=concurrency)
        command = [sys.executable, "-c", RUN, stage.model_dump_json()]
        kills, kept = 0, 0
        asked_when_kept: dict[int, int] = {}
        while kills < 10:
            before = sum(server.answered.values())
            server.at_most = before + 220  # however late the kill comes, it is not done before
            child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            while child.poll() is None and sum(server.answered.values()) == before:
                time.sleep(0.01)
            time.sleep(draw.uniform(0.0, 0.25))
            child.send_signal(signal.SIGKILL)
            child.wait()
            kills += 1
            lines = stage.out.read_bytes().split(b"\n")[:-1]
            assert len(lines) >= kept, "a finished line is gone"
            kept = len(lines)
            for line in lines:
                number = int(json.loads(line)["question_id"][2:])
                asked_when_kept.setdefault(number, server.asked[number])
        assert 0 < kept < 2_500, "the kills came too late or too early to test anything"
        server.at_most = None
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    ended = traces(stage)
    assert Counter(trace.question_id for trace in ended) == {f"q-{n}": 1 for n in range(2_500)}
    assert all(server.asked[number] == times for number, times in asked_when_kept.items()), "what was kept was asked"
    # What a kill costs: the answers that were on their way, and nothing of what had arrived.
    assert sum(server.answered.values()) <= 2_500 + kills * concurrency


def test_the_first_interrupt_keeps_what_is_paid_for(make_questions: Callable[..., Path]) -> None:
    with FaultServer(always("ok")) as server:
        server.at_most = 0
        stage = settings(make_questions(500), server.url, concurrency=8, timeout_s=60.0)
        child = subprocess.Popen(
            [sys.executable, "-c", RUN, stage.model_dump_json()], stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        while server.running < 8 and child.poll() is None:
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        assert child.stderr is not None
        said = next((line for line in child.stderr if "on their way" in line), "")
        server.at_most = None
        child.communicate(timeout=60)
    assert child.returncode != 0 and said
    assert len(traces(stage)) == sum(server.asked.values()) == 8
    assert not stage.manifest_path().exists()


def test_a_torn_last_line_heals(make_questions: Callable[..., Path]) -> None:
    with FaultServer(always("ok")) as server:
        stage = settings(make_questions(6), server.url)
        ask.run(stage)
        whole = stage.out.read_bytes()
        last = whole.splitlines(keepends=True)[-1]
        for cut in (1, len(last) // 2, len(last) - 1):
            stage.out.write_bytes(whole[: -len(last)] + last[:cut])
            ask.run(stage)
            ended = traces(stage)
            assert Counter(trace.question_id for trace in ended) == {f"q-{n}": 1 for n in range(6)}
    # A line that lacks its newline only was whole; the two others were asked again.
    assert sum(server.answered.values()) == 6 + 2


def test_a_broken_line_in_the_midst_is_named(make_questions: Callable[..., Path]) -> None:
    with FaultServer(always("ok")) as server:
        stage = settings(make_questions(3), server.url)
        ask.run(stage)
        lines = stage.out.read_bytes().splitlines(keepends=True)
        stage.out.write_bytes(lines[0] + b'{"id": "half\n' + lines[2])
        with pytest.raises(Refused, match="line 2"):
            ask.run(stage)
        assert sum(server.asked.values()) == 3
        counts = ask.run(stage.model_copy(update={"skip_bad": True}))
    assert counts["bad_traces"] == {"not a JSON object": 1} and counts["teachers"]["t"]["requests"] == 1


def test_a_broken_question_costs_no_request(make_questions: Callable[..., Path]) -> None:
    path = make_questions(3)
    with path.open("a", encoding="utf-8") as file:
        file.write("{broken\n")
    with FaultServer(always("ok")) as server:
        with pytest.raises(Refused, match=r"line 4.*skip-bad"):
            ask.run(settings(path, server.url))
        assert not server.asked
        counts = ask.run(settings(path, server.url).model_copy(update={"skip_bad": True}))
    assert counts["bad_lines"] == {"not a JSON object": 1} and counts["questions"] == 3


def test_a_changed_prompt_asks_anew(make_questions: Callable[..., Path], tmp_path: Path) -> None:
    prompt = tmp_path / "system.txt"
    with FaultServer(always("ok")) as server:
        for text, asked in (
            ("Be brief.", 4),
            ("\ufeffBe brief.\r\n", 4),
            ("Be long.", 8),
        ):  # an editor's mark is no change
            prompt.write_text(text, encoding="utf-8")
            stage = settings(make_questions(2), server.url, samples=2, system_prompt=prompt)
            ask.run(stage)
            assert sum(server.asked.values()) == asked
    assert len({entry.id for entry in entries(stage.out)}) == 8
    assert {entry.slot for entry in entries(stage.out)} == {f"q-{n}|t|{sample}" for n in (0, 1) for sample in (0, 1)}


def test_another_model_under_the_same_name_is_asked_and_told(
    make_questions: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    with FaultServer(always("ok")) as server:
        old = settings(make_questions(4), server.url)
        ask.run(old)
        new = settings(old.questions, server.url, model="m2")
        assert ask.run(new.model_copy(update={"keep_changed": True}))["teachers"]["t"]["requests"] == 0
        assert "are kept" in capfd.readouterr().err
        counts = ask.run(new)["teachers"]["t"]
        assert (counts["changed"], counts["requests"]) == (4, 4)
        assert "4 requests were answered under this name by another model" in capfd.readouterr().err
        for stage in (old, new, settings(old.questions, server.url + "/", concurrency=2, attempts=9)):
            assert ask.run(stage)["teachers"]["t"]["requests"] == 0, "the same model was asked again"
        assert "another model" not in capfd.readouterr().err
        for change in ({"temperature": 0.6}, {"max_tokens": 9}, {"extra_body": {"seed": 1}}):
            assert ask.run(settings(old.questions, server.url, **change))["teachers"]["t"]["requests"] == 4
    assert [trace.model for trace in traces(old)][:8] == ["m"] * 4 + ["m2"] * 4


def test_a_server_is_started_only_where_something_is_to_be_asked(make_questions: Callable[..., Path]) -> None:
    started: list[str] = []
    with FaultServer(always("ok")) as server:

        @contextlib.contextmanager
        def serve(teacher: teachers.Teacher) -> Iterator[tuple[str, str]]:
            started.append(teacher.name)
            yield server.url, "/models/m"

        stage = settings(make_questions(3), server.url)
        served = {"name": "t", "serve": Path("serve.yaml"), "model": "m"}
        stage.teachers = [teachers.Teacher(**served)]
        for _ in range(2):
            assert ask.run(stage, serve)["teachers"]["t"]["answered"] == 3
    assert started == ["t"]
    assert {body["model"] for body in server.bodies} == {"/models/m"}


def test_rates_are_kept_by_each_teacher_for_itself(make_questions: Callable[..., Path]) -> None:
    with FaultServer(always("ok")) as slow, FaultServer(always("ok")) as quick:
        stage = settings(make_questions(30), slow.url, requests_per_minute=1_200)
        stage.teachers.append(teachers.Teacher(name="u", base_url=quick.url, model="m", tokens_per_minute=90 * 900))
        started = time.monotonic()
        watch: dict[str, float] = {}

        def script(name: str, server: FaultServer) -> Script:
            def ok(number: int, attempt: int) -> str:
                if sum(server.asked.values()) == 30:
                    watch[name] = time.monotonic() - started
                return "ok"

            return ok

        slow.script, quick.script = script("slow", slow), script("quick", quick)
        ask.run(stage)
    # 30 requests at 20 a second, less the first tenth of a second; and at 90 tokens each, 15 a second.
    assert 1.3 < watch["slow"] < 10
    assert 1.7 < watch["quick"] < 15


def test_instructions_and_a_prefill(make_questions: Callable[..., Path], tmp_path: Path) -> None:
    path = make_questions(2)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows[1] |= {"lang": "zh", "question": "question number 1：净利率是多少？", "meta": {"type": "calculation"}}
    write_records(path, rows)
    for lang, text in (("en", "Put it in a box."), ("zh", "请放入方框。")):
        (tmp_path / f"{lang}.txt").write_text(text + "\n", encoding="utf-8")
    files = {"en": tmp_path / "en.txt", "zh": tmp_path / "zh.txt"}
    with FaultServer(always("ok"), message={"role": "assistant", "content": "4 / 100.</think>\\boxed{4%}"}) as server:
        stage = settings(
            path,
            server.url,
            concurrency=1,
            instructions=[{"when": {"meta.type": ["calculation"]}, **files}],
            prefill={"text": "<think>\n", "mark": {"prefix": True}},
        )
        ask.run(stage)
        assert files["zh"] in stage.inputs()
        (tmp_path / "zh.txt").write_text("请把答案放入方框。", encoding="utf-8")
        assert ask.run(stage)["teachers"]["t"]["requests"] == 1, "another instruction is another request"
    first, second = (body["messages"] for body in server.bodies[:2])
    assert not first[0]["content"].endswith("box.") and second[0]["content"].endswith("\n\n请放入方框。")
    assert first[-1] == second[-1] == {"role": "assistant", "content": "<think>\n", "prefix": True}
    assert {trace.response for trace in traces(stage)} == {"<think>4 / 100.</think><answer>\\boxed{4%}</answer>"}


def test_a_resumed_run_checks_what_it_asks_and_not_what_has_ended(make_questions: Callable[..., Path]) -> None:
    with FaultServer(always("ok")) as server:
        stage = settings(make_questions(4), server.url)
        ask.run(stage)
        rows = [json.loads(line) for line in stage.questions.read_text(encoding="utf-8").splitlines()]
        write_records(stage.questions, [*rows, {**rows[0], "id": "q-new", "question": "question number 9: new?"}])
        assert ask.run(stage)["teachers"]["t"]["requests"] == 1
        write_records(stage.questions, [*rows, {**rows[0], "id": "q-newer", "gold": 4}])
        with pytest.raises(Refused, match="line 5: bad value for gold"):
            ask.run(stage)
        write_records(stage.questions, [*rows, rows[0]])
        with pytest.raises(Refused, match="line 5: the id 'q-0' stands twice"):
            ask.run(stage)
    assert sum(server.asked.values()) == 5


def test_reference_asks_nobody(make_questions: Callable[..., Path]) -> None:
    path = make_questions(3)
    stage = ask.Settings(
        questions=path, out=path.parent / "t.jsonl", teachers=[teachers.Teacher(name="reference", kind="reference")]
    )
    for requests in (3, 0):
        counts = ask.run(stage)["teachers"]["reference"]
        assert (counts["answered"], counts["requests"]) == (3, requests)
    assert {trace.response for trace in traces(stage)} == {"<think>12 / 300 = 4%.</think><answer>4%</answer>"}


def test_the_request_is_what_the_settings_say(
    make_questions: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "sk-very-secret")
    with FaultServer(always("ok")) as server:
        stage = settings(
            make_questions(1),
            server.url + "/chat/completions/",
            temperature=0.6,
            top_p=0.95,
            max_tokens=64,
            extra_body={"chat_template_kwargs": {"enable_thinking": True}},
            api_key_env="A_KEY",
        )
        ask.run(stage)
    body = server.bodies[0]
    assert body.pop("messages") == [
        {
            "role": "user",
            "content": "Secret-Corp asks question number 0: revenue 300, profit 12; what is the net margin?",
        }
    ]
    assert body == {
        "model": "m",
        "temperature": 0.6,
        "top_p": 0.95,
        "max_tokens": 64,
        "chat_template_kwargs": {"enable_thinking": True},
    }
    assert server.headers[0]["Authorization"] == "Bearer sk-very-secret"


@pytest.mark.usefixtures("short_waits")
def test_no_key_and_no_question_in_whatever_a_run_prints_and_writes(
    make_questions: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("A_KEY", "sk-very-secret")
    caplog.set_level(logging.DEBUG)
    prices = {"currency": "CNY", "prompt": 1, "completion": 1}
    said: list[str] = []
    questions = make_questions(14)
    scripts = [first(FAULTS), always("401"), always("400"), always("html"), first(["ok", "422"]), always("ok")]
    for cap, script in enumerate(scripts):
        with FaultServer(script) as server:
            server.usage = {"prompt_tokens": 10**6, "completion_tokens": 1}  # more than it can be: a warning
            stage = settings(
                questions,
                server.url,
                api_key_env="A_KEY",
                timeout_s=0.3,
                attempts=2,
                max_tokens=9,
                prices=prices,
                model=f"m{cap}",
            ).model_copy(update={"cost_cap": {"CNY": 1e-4 if cap == 5 else 1e3}})
            try:
                said.append(json.dumps(ask.run(stage)))
            except Refused as refused:
                said.append(str(refused))
    captured = capfd.readouterr()
    log = caplog.text + captured.out + captured.err + "\n".join(said)
    assert "asking again" in log and "cost cap is reached" in log and "completion_limit" in log, (
        "there is nothing to grep"
    )
    written = {path: path.read_text(encoding="utf-8") for path in stage.out.parent.rglob("*") if path.is_file()}
    assert {path.name for path in written} >= {"traces.jsonl", "traces.jsonl.ledger"}
    assert "sk-very-secret" not in log + "".join(written.values())
    for path, text in written.items():
        assert path == questions or "Secret-Corp" not in text, path
    assert "Secret-Corp" not in log


def test_an_error_message_that_quotes_the_question_is_not_repeated() -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "what is the margin of Secret-Corp?"}]}).encode()
    quoting = json.dumps({"error": {"message": "cannot parse: the margin of Secret-Corp"}}).encode()
    plain = json.dumps({"error": {"message": "max_tokens must be\n positive"}}).encode()
    assert endpoint._harmless_words(quoting, body, "") == ""
    assert endpoint._harmless_words(plain, body, "") == "max_tokens must be positive"
    assert endpoint._harmless_words(b"<html>", body, "") == ""
    for key in ("sk-1", "sk-1***f2c98e"):
        told = json.dumps([{"error": {"message": f"bad key {key}"}}]).encode()
        assert endpoint._harmless_words(told, body, key.replace("***", "0a4b7d")) == ""


def test_two_runs_do_not_share_a_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "t.jsonl"), pytest.raises(Refused, match="another run"):
        Journal(tmp_path / "t.jsonl")
    Journal(tmp_path / "t.jsonl").close()


def test_a_missing_key_is_told_before_anything_is_sent(
    make_questions: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_KEY", raising=False)
    with FaultServer(always("ok")) as server:
        with pytest.raises(Refused, match="NO_KEY is not set"):
            ask.run(settings(make_questions(1), server.url, api_key_env="NO_KEY"))
        with pytest.raises(Refused, match="variable that api_key_env names is not set"):  # it may be the key itself
            ask.run(settings(make_questions(1), server.url, api_key_env="AIzaSy0000"))
        assert not server.asked


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        ({"name": "a|b"}, "pattern"),
        ({"name": "t"}, "needs base_url and model, or serve"),
        ({"name": "t", "base_url": "localhost:80", "model": "m"}, "http://host"),
        ({"name": "t", "base_url": "http://me:pw@h/v1", "model": "m"}, "no user"),
        ({"name": "t", "base_url": "http://h/v1", "model": "m", "extra_body": {"n": 4}}, "must not set 'n'"),
        ({"name": "t", "kind": "reference", "model": "m"}, "asks nobody"),
        ({"name": "t", "base_url": "http://h/v1", "model": "m", "temprature": 1}, "temprature"),
        (
            {"name": "t", "base_url": "http://h/v1", "model": "m", "api_key_env": "sk-1"},
            "a key does not go into a recipe",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_when_read(teacher: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ask.Settings(questions=Path("q"), out=Path("t"), teachers=[teacher])  # type: ignore[list-item]


def test_where_and_how_patiently_is_no_part_of_the_identity(make_questions: Callable[..., Path]) -> None:
    with FaultServer(always("ok")) as server:
        stage = settings(make_questions(2), server.url)
        ask.run(stage)
    path = stage.manifest_path()
    elsewhere = settings(stage.questions, "http://127.0.0.1:9/v1", concurrency=3, attempts=9)
    assert manifest.is_current(path, elsewhere, elsewhere.inputs())
    warmer = settings(stage.questions, "http://127.0.0.1:9/v1", temperature=1.0)
    assert not manifest.is_current(path, warmer, warmer.inputs())


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [(None, 0, 0), ("3", 3, 3), ("0.5", 0.5, 0.5), ("99999", 900, 900), ("-4", 0, 0), ("soon", 0, 0), ("nan", 0, 0),
     ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0), ("Fri, 31 Dec 9999 23:59:59 GMT", 900, 900)],
)  # fmt: skip
def test_retry_after(header: str | None, low: float, high: float) -> None:
    assert low <= endpoint._retry_after(header) <= high


def test_waits_double_and_are_bounded() -> None:
    assert all(0.5 <= endpoint._wait(1) <= 1.0 and 4.0 <= endpoint._wait(4) <= 8.0 for _ in range(50))
    assert endpoint._wait(1_000) <= 60


def test_a_full_disk_is_told_and_leaves_whole_lines(
    make_questions: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    real_write = os.write
    written = 0

    def nearly_full(fd: int, data: bytes) -> int:
        nonlocal written
        if data.startswith(b'{"id"'):
            written += 1
            if written == 3:
                return real_write(fd, data[:10])
            if written > 3:
                raise OSError(errno.ENOSPC, "No space left on device")
        elif written >= 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(fd, data)

    with FaultServer(always("ok")) as server:
        stage = settings(make_questions(20), server.url, concurrency=1)
        monkeypatch.setattr(os, "write", nearly_full)
        with pytest.raises(Refused, match="disk is full"):
            ask.run(stage)
        monkeypatch.undo()
        assert len(traces(stage)) == 2
        ask.run(stage)
    assert len({trace.id for trace in traces(stage)}) == 20


def test_the_throttle_lets_go_of_cancelled_waiters() -> None:
    from distill.throttle import Stop, Throttle

    async def scene() -> int:
        throttle = Throttle(1, Stop())

        async def hold(seconds: float) -> None:
            async with throttle:
                await asyncio.sleep(seconds)

        tasks = [asyncio.create_task(hold(0.01)) for _ in range(5)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[2].cancel()
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 2)
        return sum(isinstance(result, asyncio.CancelledError) for result in results)

    assert asyncio.run(scene()) == 2


RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize(
    "name", [*sorted(path.name for path in (RECIPES / "distill").glob("*_distill*.yaml")), "endpoint.yaml"]
)
def test_recipes_can_be_asked(name: str, make_questions: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    questions = make_questions(1)
    asked = next(read_questions(questions)).model_copy(update={"meta": {"type": "calculation"}})
    monkeypatch.chdir(RECIPES.parent)
    stage = ask.Settings.model_validate(yaml.safe_load((RECIPES / "distill" / name).read_text(encoding="utf-8")))
    assert all(prompt.is_file() for prompt in stage.inputs()[1:]), "a prompt file is not there"
    with Journal(questions.parent / "t.jsonl") as journal:
        for teacher in stage.teachers:
            prompt = Plan(teacher, journal).prompt(asked)
            assert prompt[0]["role"] == ("system" if teacher.system_prompt else "user")
            assert ("\\boxed{}" in prompt[0]["content"]) == name.startswith("fin_r1")
