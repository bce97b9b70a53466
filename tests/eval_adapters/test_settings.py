"""A recipe that cannot work fails when it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from eval_adapters.settings import EvalSettings, RequestForm

SET = {"benchmark": "finr1_finmath", "path": "t", "subset": "finmath"}
MODEL = {"name": "m", "api_url": "http://127.0.0.1:1/v1"}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"modles": []}, "modles"),
        ({"generation": {"max_token": 3}}, "max_token"),
        ({"models": [{"name": "m"}]}, "give either path"),
        ({"models": [{**MODEL, "path": "x"}]}, "give either path"),
        ({"models": [{**MODEL, "name": "../m"}]}, "a name begins with a letter"),
        ({"models": [{**MODEL, "api_url": "127.0.0.1:8000/v1"}]}, "no address; give one such as"),
        ({"models": [{**MODEL, "api_url": "localhost:8000/v1"}]}, "no address; give one such as"),
        ({"models": [{**MODEL, "api_url": "http://127.0.0.1:99999/v1"}]}, "no address; give one such as"),
        ({"models": [{**MODEL, "api_url": "http://[::1/v1"}]}, "no address; give one such as"),
        ({"models": [MODEL, MODEL]}, "two entries for the model m"),
        ({"sets": [SET, SET]}, "two entries for the set finmath"),
        ({"sets": [{**SET, "benchmark": "finqa"}]}, "did you mean 'finr1_finqa'"),
        ({"repeats": 4}, "set generation.temperature"),
        ({"sets": [{**SET, "limit": 0}]}, "limit"),
        ({"attempts": 0}, "attempts"),
    ],
)
def test_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        EvalSettings.model_validate({"out": "o", "models": [MODEL], "sets": [SET], **change})


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"q": "$question", "m": "$max_token"}, "nothing is called \\$max_token; did you mean '\\$max_tokens'"),
        ({"q": ["Please: $question."]}, "\\$question is filled in only where it is the whole value"),
        ({"model": "$model", "n": 1}, "the question would not be sent"),
    ],
)
def test_a_body_that_would_not_put_the_question_is_refused(body: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        RequestForm(body=body, answer="text")


def test_a_body_may_hold_dollars() -> None:
    form = RequestForm(body={"q": {"deep": ["$prompt"]}, "$ref": "in US$ million, $5", "n": None}, answer="text")
    assert form.body["$ref"] == "in US$ million, $5"


def test_two_sets_of_one_subset_need_names() -> None:
    named = [SET, {**SET, "path": "other", "name": "finmath-hard"}]
    settings = EvalSettings.model_validate({"out": "o", "models": [MODEL], "sets": named})
    assert [each.label for each in settings.sets] == ["finmath", "finmath-hard"]
    assert EvalSettings.model_validate_json(settings.model_dump_json()) == settings


def test_the_shipped_recipes_are_read(request: pytest.FixtureRequest) -> None:
    files = sorted((request.config.rootpath / "recipes" / "eval").glob("*.yaml"))
    read = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    evaluations = [EvalSettings.model_validate(each) for each in read if "sets" in each]
    assert evaluations
    assert all(isinstance(each.out, Path) for each in evaluations)
