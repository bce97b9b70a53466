"""The judged score of an evaluation: what it counts, when there is none, and that nothing is asked twice."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from mock_server import Reply, completion, serve
from small_sets import recipe, row, well_formed, write_set

from eval_adapters.judge_settings import JudgeSettings, JudgeSpec
from eval_adapters.judging import JUDGED, VERDICTS, judge_model, judge_result, judged_right, read_judged
from eval_adapters.prices import TokenPrices
from eval_adapters.reviews import json_lines, read_result
from eval_adapters.run import run_one
from reward_plugins.errors import Refused

sys.path.append(str(Path(__file__).parents[1] / "reward_plugins"))
from judge_server import JudgeServer, Manner, judging

# EvalScope's own tables use a keyword that pandas is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

GOLDS = ("straight-line depreciation", "accrual accounting", "hedge accounting", "deferred taxation")
PARAPHRASE = {
    "straight-line depreciation": "straight linear write-off",
    "accrual accounting": "accrual-wise bookkeeping",
    "hedge accounting": "hedge-related bookkeeping",
    "deferred taxation": "deferred levies",
}
WRONG = "declining balance write-off"


def content() -> list[dict[str, Any]]:
    """24 numbers, that the rule decides, and 28 terms; of those a paraphrase is decided by a judge alone."""
    numbers = [row(number, str(7 * number + 3), lang="en", question=f"What is item {number}?") for number in range(24)]
    terms = [
        row(
            number, GOLDS[number % 4], answer_type="text", lang="en", question=f"Which method is used in case {number}?"
        )
        for number in range(24, 52)
    ]
    for each in numbers + terms:
        each["prompt"] = [{"role": "user", "content": each["question"]}]
    return numbers + terms


CONTENT = content()
NUMBERS = {each["question"]: number for number, each in enumerate(CONTENT)}


def answer(number: int) -> str:
    """Every second number is right; of the terms three in four are paraphrased, the others are another method."""
    gold = CONTENT[number]["gold"]
    if number < 24:
        return gold if number % 2 else "9999"
    return WRONG if number % 4 == 3 and number % 8 == 3 else PARAPHRASE[gold]


def model(request: dict[str, Any]) -> Reply:
    return completion(well_formed(answer(NUMBERS[request["messages"][-1]["content"]])))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    with serve(model) as server:
        settings = recipe(folder / "out", write_set(folder / "test", CONTENT), server.url)
        run_one(settings, settings.models[0])
    return folder / "out" / "m" / "finmath"


@pytest.fixture
def folder(evaluated: Path, tmp_path: Path) -> Path:
    """A copy of the evaluation, which a test may have judged."""
    return Path(shutil.copytree(evaluated, tmp_path / "finmath"))


def panel(*servers: JudgeServer, **more: Any) -> JudgeSettings:
    judges = [
        JudgeSpec(name=f"j{place}", api_url=server.url, model="m", timeout_s=30.0)
        for place, server in enumerate(servers)
    ]
    return JudgeSettings(judges=judges, **more)


def undecided(folder: Path) -> int:
    return sum(each.status == "undecided" for each in read_result(folder)[1])


def test_the_rule_comes_first_and_the_judge_decides_the_rest(folder: Path) -> None:
    with judging("answers") as server:
        judged = judge_result(folder, panel(server))
    _, rows = read_result(folder)
    left = [each for each in rows if each.status == "undecided"]
    assert len(left) >= 20 and judged["rows"] == len(left)
    right = sum(each.extracted.split()[0].lower() in each.gold for each in left)
    by_rule = sum(each.correct for each in rows)
    assert judged["why_not"] == "" and judged["complete"]
    assert (judged["correct"], judged["counted"]) == (by_rule + right, 52)
    assert judged["accuracy"] == (by_rule + right) / 52
    read = read_judged(folder)
    assert read is not None
    assert sum(judged_right(each, *read) is True for each in rows) == by_rule + right
    (facts,) = judged["judges"].values()
    assert facts["coverage"]["share"] == 1.0 and facts["unreadable"]["share"] == 0.0
    assert facts["repeatability"] == {"share": 1.0, "low": pytest.approx(0.929, abs=1e-3), "high": 1.0, "n": 50}
    assert facts["agreement_with_rule"]["kappa"] == 1.0 and facts["controls"]["share"] == 1.0
    assert facts["position_bias"]["flipped"]["share"] == 0.0


def test_bias_is_found_and_named_by_its_direction(folder: Path) -> None:
    # This judge looks at the first word, so that more words in front of an answer make it wrong.
    with judging("answers") as server:
        long = judge_result(folder, panel(server))["panel"]["length_bias"]
    assert long["to_wrong"] > 0 and long["to_correct"] == 0


def test_a_judge_that_believes_what_stands_last_is_found_out(folder: Path) -> None:
    def last_is_right(shown: dict[str, str]) -> str:
        return json.dumps({"reason": "", "verdict": "correct" if list(shown)[-1] == "candidate" else "wrong"})

    with judging("answers") as server:
        server.verdict = last_is_right
        bias = judge_result(folder, panel(server, bias_rows=10))["panel"]["position_bias"]
    assert (bias["flipped"]["share"], bias["flipped"]["n"]) == (1.0, 10)
    assert (bias["to_correct"], bias["to_wrong"]) == (0, 10)


def test_a_flip_to_no_verdict_is_no_flip(folder: Path) -> None:
    def last_wins(number: int, shown: dict[str, str]) -> str:
        return "answers" if list(shown)[-1] == "candidate" else "other verdict"

    with judging(last_wins) as server:
        assert judge_result(folder, panel(server))["panel"]["position_bias"]["flipped"]["n"] == 0


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("babbles", "unreadable: "),
        ("http 500", "http 500: "),
        ("garbage", "unreadable: "),
        (lambda number, shown: "answers" if number % 3 else "babbles", "95% are needed"),
    ],
)
def test_a_judge_that_fails_gives_no_score_and_it_is_said_why(folder: Path, manner: Manner, reason: str) -> None:
    with judging(manner) as server:
        judged = judge_result(folder, panel(server))
    assert judged["accuracy"] is None and reason in judged["why_not"]
    # The rule's score is as it was.
    assert read_result(folder)[0]["rates"]["accuracy"] == pytest.approx(12 / 24)


def test_a_dead_judge_gives_no_score_and_the_next_command_asks_again(folder: Path) -> None:
    with judging("answers") as gone:
        settings = panel(gone)
    judged = judge_result(folder, settings)
    assert judged["accuracy"] is None and "unreachable: " in judged["why_not"] and not judged["complete"]
    with judging("answers") as server:
        judged = judge_result(folder, panel(server))
    assert judged["accuracy"] is not None and judged["complete"]


@pytest.mark.parametrize("always", ["correct", "wrong"])
def test_a_judge_with_one_verdict_for_all_gives_no_score(
    folder: Path, always: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("judge_server._comparison", lambda shown: f'{{"reason": "", "verdict": "{always}"}}')
    with judging("answers") as server:
        judged = judge_result(folder, panel(server))
        assert judged["accuracy"] is None
        assert "does not know golds from other answers" in judged["why_not"]
        judged = judge_result(folder, panel(server, control_rows=0))
        assert judged["accuracy"] is None and "does not agree with the rule" in judged["why_not"]


def test_several_judges_decide_by_majority_and_a_dead_one_can_only_take_away(folder: Path) -> None:
    with judging("answers") as one, judging("answers") as two, judging("babbles") as three:
        three_judges = judge_result(folder, panel(one, two, three))
        assert three_judges["why_not"] == "" and three_judges["panel"]["coverage"]["share"] == 1.0
        assert three_judges["judges"]["j2"]["coverage"]["share"] == 0.0
        shutil.rmtree(folder / "verdicts")  # j1 is another judge now
        two_judges = judge_result(folder, panel(one, three))
        assert two_judges["accuracy"] is None


def test_one_judge_of_three_is_outvoted(folder: Path) -> None:
    with judging("answers") as one, judging("answers") as two, judging("answers") as dissenter:
        honest = judge_result(folder, panel(one))
        shutil.rmtree(folder / "verdicts")
        dissenter.verdict = lambda shown: '{"reason": "", "verdict": "correct"}'
        judged = judge_result(folder, panel(one, two, dissenter))
    votes = [each["votes"] for each in json_lines(folder / VERDICTS)]
    assert any(vote == {"j0": False, "j1": False, "j2": True} for vote in votes)
    assert judged["accuracy"] == honest["accuracy"] and judged["why_not"] == ""
    assert judged["judges"]["j2"]["controls"]["share"] < judged["panel"]["controls"]["share"] == 1.0


def test_nothing_is_asked_twice_and_a_change_asks_anew(folder: Path) -> None:
    with judging("answers") as server:
        first = judge_result(folder, panel(server))
        sent = len(server.requests)
        assert judge_result(folder, panel(server)) == first and len(server.requests) == sent
        (folder / JUDGED).unlink()  # as if killed at the end: every verdict is on the disk
        assert judge_result(folder, panel(server)) == {**first, "judges": _cached(first)}
        assert len(server.requests) == sent
        prompt = folder / "prompt.txt"
        prompt.write_text("Compare them.", encoding="utf-8")
        judge_result(folder, panel(server).model_copy(update={"judges": [_spec(server, prompt=prompt)]}))
        assert len(server.requests) == 2 * sent
        assert server.requests[-1]["messages"][0]["content"] == "Compare them."


def _cached(judged: dict[str, Any]) -> dict[str, Any]:
    return {name: {**facts, "outcomes": {"cached": judged["rows"]}} for name, facts in judged["judges"].items()}


def _spec(server: JudgeServer, **more: Any) -> JudgeSpec:
    return JudgeSpec(**{"name": "j0", "api_url": server.url, "model": "m", "timeout_s": 30.0, **more})


def test_tokens_are_those_that_the_endpoint_counted_for_each_request_once(folder: Path) -> None:
    prices = TokenPrices(currency="CNY", prompt=1.0, completion=2.0)
    for mode in ("undecided", "both"):
        with judging("answers") as server:
            settings = panel(server, mode=mode).model_copy(
                update={"judges": [_spec(server, prices=prices, model=mode)]}
            )
            (facts,) = judge_result(folder, settings)["judges"].values()
            assert facts["tokens"] == {"prompt": 5 * len(server.requests), "completion": 2 * len(server.requests)}
            assert facts["cost"] == {"currency": "CNY", "total": pytest.approx(9e-6 * len(server.requests))}


def test_both_lets_the_judge_decide_every_answer(folder: Path) -> None:
    with judging("answers") as server:
        judged = judge_result(folder, panel(server, mode="both"))
    assert judged["rows"] == 52 and judged["counted"] == 52
    assert judged["panel"]["agreement_with_rule"]["agree"]["n"] == 52 - undecided(folder)


def test_a_schema_is_demanded_until_it_is_turned_down(folder: Path) -> None:
    refused: list[int] = []

    def picky(number: int, shown: dict[str, str]) -> str:
        if "response_format" in server.requests[number - 1]:
            refused.append(number)
            return "http 400"
        return "answers"

    with judging(picky) as server:
        judged = judge_result(folder, panel(server))
    assert judged["why_not"] == "" and 1 <= len(refused) <= 8
    with judging("answers") as server:
        judge_result(folder, panel(server).model_copy(update={"judges": [_spec(server, model="other")]}))
    assert server.requests[0]["response_format"]["json_schema"]["strict"] is True


def test_changed_answers_refuse_an_old_judged_score(folder: Path) -> None:
    with judging("answers") as server:
        judge_result(folder, panel(server))
    (folder / "verdicts.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(Refused, match="was made of other answers or verdicts"):
        read_judged(folder)


def test_a_key_is_taken_from_its_variable_and_written_nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINR1_JUDGE_KEY", "the rewards' key")
    with judging("answers") as server:
        judge_result(folder, panel(server))
        assert set(server.keys) == {None}
        settings = panel(server).model_copy(update={"judges": [_spec(server, api_key_env="EVAL_KEY", model="n")]})
        with pytest.raises(Refused, match="EVAL_KEY is empty"):
            judge_result(folder, settings)
        monkeypatch.setenv("EVAL_KEY", "sk-secret")
        judge_result(folder, settings)
        assert server.keys[-1] == "Bearer sk-secret"
    assert not any(b"sk-secret" in file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_a_recipe_judges_every_set_that_was_evaluated(tmp_path: Path, evaluated: Path) -> None:
    with serve(model) as asked, judging("answers") as server:
        settings = recipe(tmp_path / "out", write_set(tmp_path / "test", CONTENT[20:26]), asked.url)
        assert judge_model(settings, settings.models[0]) == {}
        settings = settings.model_copy(update={"judge": panel(server)})
        run_one(settings, settings.models[0])
        assert judge_model(settings, settings.models[0])["finmath"]["rows"] >= 1
