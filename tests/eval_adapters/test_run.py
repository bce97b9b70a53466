"""Whole evaluations through EvalScope against servers on this machine: what is sent, counted, kept and resumed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from mock_server import Drip, MockServer, Reply, completion, serve
from small_sets import Golds, recipe, row, rows, well_formed, write_set

from eval_adapters.catalogue import of
from eval_adapters.loading import load
from eval_adapters.lock import alone
from eval_adapters.reviews import count, json_lines, read_result
from eval_adapters.run import mend_tail, plan, run_one
from eval_adapters.settings import EvalSettings, Generation, ModelSpec, SetSpec
from reward_plugins import verify
from reward_plugins.errors import Refused

# EvalScope's own tables use a keyword that pandas is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

SHARED = Path(__file__).parents[3] / "shared" / "data"


def evaluate(settings: EvalSettings) -> dict[str, Any]:
    result: dict[str, Any] = run_one(settings, settings.models[0])["finmath"]
    return result


def states(result: dict[str, Any]) -> tuple[int, int, int, int]:
    counts = result["counts"]
    found = counts["correct"], counts["wrong"], counts["no_answer"], counts["error"]
    assert sum(found) + counts["undecided"] == counts["requested"]
    return found


def test_a_server_that_returns_the_golds_scores_100_and_the_previous_gold_near_chance(tmp_path: Path) -> None:
    content = rows(12)
    data = write_set(tmp_path / "test", content)
    with serve(Golds(content)) as server:
        result = evaluate(recipe(tmp_path / "golds", data, server.url))
    assert states(result) == (12, 0, 0, 0)
    assert result["rates"]["accuracy"] == result["rates"]["strict_accuracy"] == result["rates"]["format_rate"] == 1.0
    with serve(Golds(content, shift=1)) as server:
        assert states(evaluate(recipe(tmp_path / "shifted", data, server.url))) == (0, 12, 0, 0)


def test_the_model_is_sent_exactly_the_exported_prompt_and_the_recipe_s_sampling(tmp_path: Path) -> None:
    shot = {"role": "assistant", "content": "<think>one</think><answer>1</answer>"}
    prompt = [{"role": "system", "content": "S \n"}, {"role": "user", "content": "1?"}, shot]
    content = [row(0, "5", prompt=[*prompt, {"role": "user", "content": " 2? "}])]
    sampling = Generation(max_tokens=9, temperature=0.5, seed=3, top_k=7, stop=["END"], extra_body={"mark": True})
    with serve(lambda request: completion(well_formed("5"))) as server:
        settings = recipe(tmp_path / "out", write_set(tmp_path / "test", content), server.url)
        evaluate(settings.model_copy(update={"generation": sampling}))
    assert server.requests == [
        {
            "model": "m",
            "messages": content[0]["prompt"],
            "max_tokens": 9,
            "temperature": 0.5,
            "seed": 3,
            "top_k": 7,
            "stop": ["END"],
            "mark": True,
        }
    ]


def test_a_completion_is_kept_and_judged_as_the_model_wrote_it(tmp_path: Path) -> None:
    replies = {
        "q0": completion("Sure! <think>a</think> <answer>3</answer>"),
        "q1": completion("<answer>10</answer>", reasoning_content=" a "),
        "q2": completion("a</think><answer>17</answer>"),
        "q3": completion("", finish="length", reasoning_content="a"),
        "q4": completion(None),
    }
    content = rows(5)
    names = {each["prompt"][-1]["content"]: each["id"] for each in content}
    with serve(lambda request: replies[names[request["messages"][-1]["content"]]]) as server:
        evaluate(recipe(tmp_path / "out", write_set(tmp_path / "test", content), server.url))
    _, read = read_result(tmp_path / "out" / "m" / "finmath")
    assert [(each.completion, each.status, each.well_formed) for each in read] == [
        ("Sure! <think>a</think> <answer>3</answer>", "correct", False),
        ("<think> a </think><answer>10</answer>", "correct", True),
        ("a</think><answer>17</answer>", "correct", True),
        ("<think>a", "no_answer", False),
        ("", "no_answer", False),
    ]
    assert [each.cause for each in read[3:]] == ["cut by max_tokens", "empty completion"]


def test_real_outputs_replayed_give_what_the_verifier_gives_on_the_file(tmp_path: Path) -> None:
    file = SHARED / "finqa" / "model_outputs" / "fin-r1_on_test100.json"
    if not file.is_file():
        pytest.skip("needs the shared data: real completions of Fin-R1")
    outputs = json.loads(file.read_text(encoding="utf-8"))
    official = json.loads((SHARED / "finqa" / "raw_test_100.json").read_text(encoding="utf-8"))
    stated = {page["id"]: page["qa"] for page in official}
    content = []
    for place, each in enumerate(outputs):
        meta = {"dataset": "finqa", **{key: stated[each["id"]][key] for key in ("answer", "exe_ans")}}
        question = {"question": each["question"], "source": "finqa", "id": f"{place}-{each['id']}", "meta": meta}
        prompt = [{"role": "user", "content": f"{place}: {each['question']}"}]
        content.append(row(place, each["ground_truth"], **question, prompt=prompt))

    def replay(request: dict[str, Any]) -> Reply:
        return completion(outputs[int(request["messages"][-1]["content"].partition(":")[0])]["generation"])

    with serve(replay) as server:
        settings = recipe(tmp_path / "out", write_set(tmp_path / "test", content, "finqa"), server.url)
        finqa = SetSpec(benchmark="finr1_finqa", path=tmp_path / "test", subset="finqa")
        settings = settings.model_copy(update={"sets": [finqa]})
        result = run_one(settings, settings.models[0])["finqa"]
    _, read = read_result(tmp_path / "out" / "m" / "finqa")
    assert [each.completion for each in read] == [each["generation"] for each in outputs]
    asked = load(finqa, of("finr1_finqa"))
    said = [
        verify(one["generation"], its.gold, its.question, its.meta) for one, its in zip(outputs, asked, strict=True)
    ]
    assert [each.status for each in read] == [verdict.status for verdict in said]
    assert [each.extracted for each in read] == [verdict.extracted for verdict in said]
    counts = result["counts"]
    assert counts["correct"] == sum(verdict.correct for verdict in said)
    assert count(read) == counts and counts["requested"] == 100
    # Few golds have so few digits that rounding to five decimals leaves a rounded answer right.
    assert 0 < counts["official_correct"] < counts["correct"]
    assert counts["strict_correct"] <= counts["correct"] <= counts["lenient_correct"]


class Faults:
    """A server with a different fault for each row, until it is mended."""

    def __init__(self, content: list[dict[str, Any]]) -> None:
        self.golds = Golds(content)
        self.numbers = {each["prompt"][-1]["content"]: place for place, each in enumerate(content)}
        self.mended = False

    def __call__(self, request: dict[str, Any]) -> Reply:
        good = self.golds(request)
        number = self.numbers[request["messages"][-1]["content"]]
        if number == 1:  # no retry and no mending can help this row
            error = {"message": "This model's maximum context length is 10 tokens", "code": 400, "type": "BadRequest"}
            return web.json_response({"error": error}, status=400)
        if self.mended:
            return good
        match number:
            case 0:
                return web.json_response({"error": {"message": "out of memory at 3"}}, status=500)
            case 2:
                return 30.0
            case 3:
                return {**completion("x"), "choices": []}
            case 4:
                return web.Response(text="<html>3</html>", content_type="text/html")
            case 5:
                return web.Response(body=b'{"id": "c", "choi', content_type="application/json")
            case 6:
                return web.json_response({"error": {"message": "slow down"}}, status=429)
            case 7:  # never silent for long, never done
                return Drip(json.dumps(completion(well_formed("52"))) * 9, every_s=0.2)
            case 8:
                return Drip(json.dumps(completion(well_formed("59"))), cut_after=60)
        return good


def test_every_row_is_counted_whatever_the_server_does_and_a_later_run_asks_only_what_failed(tmp_path: Path) -> None:
    content = rows(12)
    faults = Faults(content)
    with serve(faults) as server:
        settings = recipe(
            tmp_path / "out", write_set(tmp_path / "test", content), server.url, timeout_s=3.0, attempts=2
        )
        first = evaluate(settings)
        assert states(first) == (3, 0, 0, 9)
        assert first["counts"]["error_by_cause"].pop("http 500") == 1
        assert not first["complete"]
        assert first["rates"]["accuracy"] == 1.0
        causes = {failure["index"]: failure["cause"] for failure in first["failed"]}
        assert {number: causes[number] for number in (0, 2, 3, 6, 7, 8)} == {
            0: "http 500",
            2: "timed out",
            3: "empty choices",
            6: "http 429",
            7: "timed out",
            8: "connection failed",
        }
        assert causes[4].startswith("unreadable reply") and 5 in causes
        # Two attempts where a retry can help, and none of the SDK's own on top.
        asked = [server.questions.count(each["prompt"][-1]["content"]) for each in content]
        assert asked[:3] == [2, 1, 2] and asked[7:] == [2, 2, 1, 1, 1]

        faults.mended = True
        before = len(server.requests)
        second = evaluate(settings)
        assert states(second) == (11, 0, 0, 1)
        assert second["counts"]["error_by_cause"] == {"prompt longer than the context": 1}
        assert second["complete"]
        assert len(server.requests) - before == 8
        third = evaluate(settings)
        assert third == second
        assert len(server.requests) - before == 8
    _, read = read_result(tmp_path / "out" / "m" / "finmath")
    assert (read[1].status, read[1].completion, read[1].extracted) == ("error", "", "")


def test_an_endpoint_that_only_fails_is_given_up_and_said_so(tmp_path: Path) -> None:
    content = rows(80)
    with serve(lambda request: web.json_response({"error": {"message": "no key"}}, status=401)) as server:
        settings = recipe(tmp_path / "out", write_set(tmp_path / "test", content), server.url, batch=4)
        with pytest.raises(Refused, match="none of 80 requests was answered"):
            evaluate(settings)
        assert 24 <= len(server.requests) <= 28
    result = json.loads((tmp_path / "out" / "m" / "finmath" / "result.json").read_text(encoding="utf-8"))
    assert states(result) == (0, 0, 0, 80)
    assert set(result["counts"]["error_by_cause"]) == {"http 401", "not asked"}


def test_a_proxy_for_the_outside_is_not_asked_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    content = rows(2)
    with serve(Golds(content)) as server:
        assert states(evaluate(recipe(tmp_path / "out", write_set(tmp_path / "test", content), server.url))) == (
            2,
            0,
            0,
            0,
        )


def test_nothing_listens_there(tmp_path: Path) -> None:
    settings = recipe(tmp_path / "out", write_set(tmp_path / "test", rows(3)), "http://127.0.0.1:9/v1")
    with pytest.raises(Refused, match=re.escape("none of 3 requests was answered (connection failed)")):
        evaluate(settings)


def test_a_finished_evaluation_is_found_again_on_another_port_and_asks_nothing(tmp_path: Path) -> None:
    content = rows(6)
    data = write_set(tmp_path / "test", content)
    with serve(Golds(content)) as server:
        first = evaluate(recipe(tmp_path / "out", data, server.url))
    with serve(Golds(content, shift=1)) as other:
        settings = recipe(tmp_path / "out", data, other.url)
        assert plan(settings, settings.models[0]) == {"finmath": "done"}
        assert evaluate(settings) == first
        assert other.requests == []


def test_changed_data_is_another_run_and_the_old_answers_stay(tmp_path: Path) -> None:
    content = rows(6)
    data = write_set(tmp_path / "test", content)
    with serve(Golds(content)) as server:
        settings = recipe(tmp_path / "out", data, server.url)
        first = evaluate(settings)
        write_set(data, list(reversed(content)))
        assert plan(settings, settings.models[0]) == {"finmath": "ask"}
        second = evaluate(settings)
        assert (states(second), len(server.requests)) == ((6, 0, 0, 0), 12)
        write_set(data, content)
        again = evaluate(settings)
        assert (again["reviews"], len(server.requests)) == (first["reviews"], 12)


def test_changed_scoring_code_scores_again_without_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = rows(6)
    with serve(Golds(content)) as server:
        settings = recipe(tmp_path / "out", write_set(tmp_path / "test", content), server.url)
        assert states(evaluate(settings)) == (6, 0, 0, 0)
    monkeypatch.setattr("eval_adapters.identity.scoring_code", lambda: "other rules")
    monkeypatch.setattr("eval_adapters.scoring.verify", lambda *_, **__: verify("", "x"))
    assert plan(settings, settings.models[0]) == {"finmath": "rescore"}
    result = run_one(settings.model_copy(), ModelSpec(name="m", api_url=server.url))["finmath"]
    assert states(result) == (0, 0, 6, 0)
    assert len(server.requests) == 6
    assert plan(settings, settings.models[0]) == {"finmath": "done"}


def started(settings: EvalSettings, server: MockServer, after: int) -> subprocess.Popen[bytes]:
    """An evaluation in a process of its own, which has sent `after` requests."""
    code = (
        "import signal, sys; from eval_adapters.run import run_one; from eval_adapters.settings import EvalSettings\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as the finr1 command does\n"
        "settings = EvalSettings.model_validate_json(sys.argv[1]); run_one(settings, settings.models[0])"
    )
    child = subprocess.Popen([sys.executable, "-c", code, settings.model_dump_json()], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300  # EvalScope takes 4 s to import, and minutes on a machine that swaps
    while len(server.requests) < after and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(server.requests) >= after, f"it did not come so far; its exit code: {child.poll()}"
    return child


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_asks_nothing_more_and_keeps_what_was_answered(number: signal.Signals, tmp_path: Path) -> None:
    content = rows(40)
    data = write_set(tmp_path / "test", content)

    told = threading.Event()

    def slow(request: dict[str, Any]) -> Reply:
        if len(server.requests) >= 5:
            told.wait(300)  # in the server's one thread: nothing more is answered before the signal is sent
        time.sleep(0.2)
        return Golds(content)(request)

    with serve(slow) as server:
        # So many at once that EvalScope has handed out all the rows, and would wait for them.
        child = started(recipe(tmp_path / "out", data, server.url, batch=10, timeout_s=60.0), server, after=5)
        child.send_signal(number)
        told.set()
        assert child.wait(timeout=100) != 0
        asked = len(server.requests)
        assert asked <= 5 + 10 + 1  # those in flight, and one that was just being sent
    with serve(Golds(content)) as other:
        assert states(evaluate(recipe(tmp_path / "out", data, other.url))) == (40, 0, 0, 0)
        assert len(other.requests) == 40 - asked


def test_killed_at_any_moment_it_goes_on_and_asks_no_finished_row_again(tmp_path: Path) -> None:
    content = rows(40)
    data = write_set(tmp_path / "test", content)
    golds, dead = Golds(content), threading.Event()

    def slow(request: dict[str, Any]) -> Reply:
        time.sleep(0.05)  # in the server's one thread: replies come one by one
        if len(server.requests) >= 20:
            dead.wait(300)  # however late the kill comes, it is not done before
        return golds(request)

    with serve(slow) as server:
        child = started(recipe(tmp_path / "out", data, server.url, batch=2, timeout_s=60.0), server, after=15)
        child.kill()
        child.wait()
        dead.set()
    file = next((tmp_path / "out").rglob("predictions/m/*.jsonl"))
    done = {prediction["metadata"]["id"] for prediction in json_lines(file)}
    assert 5 <= len(done) < 40
    with serve(golds) as other:
        assert states(evaluate(recipe(tmp_path / "out", data, other.url))) == (40, 0, 0, 0)
        assert evaluate(recipe(tmp_path / "out", data, other.url))["complete"]
    assert len(other.requests) == 40 - len(done)
    assert not list((tmp_path / "out").rglob("*.rerun-*"))
    names = {each["prompt"][-1]["content"]: each["id"] for each in content}
    assert not done & {names[question] for question in other.questions}


def test_a_second_start_leaves_a_running_one_alone(tmp_path: Path) -> None:
    content = rows(3)
    with serve(Golds(content)) as server:
        settings = recipe(tmp_path / "out", write_set(tmp_path / "test", content), server.url)
        with alone(tmp_path / "out" / "m" / "finmath"), pytest.raises(Refused, match="another run is at work there"):
            evaluate(settings)
        assert server.requests == []
        assert states(evaluate(settings)) == (3, 0, 0, 0)


def test_a_torn_last_line_is_cut_off_and_a_whole_one_is_ended(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    for torn, mended in (
        (b'{"a": 1}\n{"a": 2', b'{"a": 1}\n'),
        (b'{"a": 1}', b'{"a": 1}\n'),
        (b'{"a', b""),
        (b"", b""),
    ):
        file.write_bytes(torn)
        mend_tail(file)
        assert file.read_bytes() == mended
    mend_tail(tmp_path / "missing.jsonl")


def test_a_key_reaches_the_server_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = rows(2)
    with serve(Golds(content)) as server:
        settings = recipe(tmp_path / "out", write_set(tmp_path / "test", content), server.url)
        settings.models[0].api_key_env = "FINR1_TEST_KEY"
        monkeypatch.delenv("FINR1_TEST_KEY", raising=False)
        with pytest.raises(Refused, match="the environment variable FINR1_TEST_KEY is empty"):
            evaluate(settings)
        monkeypatch.setenv("FINR1_TEST_KEY", "sk-very-secret")
        evaluate(settings)
        assert {headers["Authorization"] for headers in server.headers} == {"Bearer sk-very-secret"}
    for file in (tmp_path / "out").rglob("*"):
        assert not file.is_file() or b"sk-very-secret" not in file.read_bytes()


def test_a_key_s_line_end_is_none_of_it_and_what_no_header_carries_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = rows(1)
    with serve(Golds(content)) as server:
        settings = recipe(tmp_path / "out", write_set(tmp_path / "test", content), server.url)
        keyed = settings.models[0].model_copy(update={"api_key_env": "TRIAL_KEY"})
        monkeypatch.setenv("TRIAL_KEY", "sk-钥匙")
        with pytest.raises(Refused, match="TRIAL_KEY holds characters that no key has"):
            run_one(settings, keyed)
        monkeypatch.setenv("TRIAL_KEY", "sk-1\n")
        run_one(settings, keyed)
        assert [headers["Authorization"] for headers in server.headers] == ["Bearer sk-1"]


def test_two_models_and_two_sets_lie_apart_and_a_bad_set_does_not_sink_the_rest(tmp_path: Path) -> None:
    content = rows(4)
    bad = [{**each, "prompt": [{"role": "user", "content": f"bad {each['id']}"}]} for each in content]

    def reply(request: dict[str, Any]) -> Reply:
        if request["messages"][-1]["content"].startswith("bad"):
            return web.json_response({"error": {"message": "x"}}, status=500)
        return Golds(content)(request)

    with serve(reply) as server:
        settings = recipe(tmp_path / "out", write_set(tmp_path / "test", content), server.url, names=("a", "b"))
        write_set(tmp_path / "bad", bad)
        worse = settings.sets[0].model_copy(update={"path": tmp_path / "bad", "name": "bad"})
        settings = settings.model_copy(update={"sets": [worse, *settings.sets]})
        for model in settings.models:
            with pytest.raises(Refused, match=f"{model.name} on bad: none of 4"):
                run_one(settings, model)
            result, read = read_result(tmp_path / "out" / model.name / "finmath")
            assert states(result) == (4, 0, 0, 0)
            assert count(read) == result["counts"]


def test_a_finished_result_follows_the_recipe_s_order(tmp_path: Path) -> None:
    content = rows(2)
    data = write_set(tmp_path / "test", content)
    with serve(Golds(content)) as server:
        for names in (("m",), ("first", "m")):
            settings = recipe(tmp_path / "out", data, server.url, names=names)
            assert run_one(settings, settings.models[-1])["finmath"]["order"]["models"] == list(names)
    assert len(server.requests) == 2
    assert read_result(tmp_path / "out" / "m" / "finmath")[0]["order"]["models"] == ["first", "m"]


def test_a_limit_is_the_first_rows_and_evalscope_agrees_with_the_count(tmp_path: Path) -> None:
    content = rows(9)
    with serve(Golds(content)) as server:
        settings = recipe(tmp_path / "out", write_set(tmp_path / "test", content), server.url, limit=5)
        assert states(evaluate(settings)) == (5, 0, 0, 0)
        assert sorted(server.questions) == sorted(each["prompt"][-1]["content"] for each in content[:5])
    report = json.loads(next((tmp_path / "out").rglob("reports/m/finr1_finmath.json")).read_text(encoding="utf-8"))
    scores = {metric["identity"]["name"]: metric["score"] for metric in report["metrics"]}
    assert scores["accuracy"] == 1.0 and scores["inference_error_rate"] == 0.0


def test_results_that_were_tampered_with_are_not_read(tmp_path: Path) -> None:
    content = rows(3)
    with serve(Golds(content)) as server:
        settings = recipe(tmp_path / "out", write_set(tmp_path / "test", content), server.url)
        result = evaluate(settings)
    folder = tmp_path / "out" / "m" / "finmath"
    reviews = folder / result["reviews"]
    reviews.write_text(reviews.read_text(encoding="utf-8").replace('"correct"', '"wrong"'), encoding="utf-8")
    with pytest.raises(Refused, match="is not what"):
        read_result(folder)
    with pytest.raises(Refused, match="no evaluation at"):
        read_result(tmp_path)
