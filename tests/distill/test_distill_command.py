"""`finr1 distill` as a person runs it: the cap's exit code, batch files, and nothing told that should not be."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command import finr1
from fault_server import GOOD, FaultServer, always, first

from distill.records import Trace, read_records
from launch import stages
from launch.serving.server import Endpoint, ServeSettings

RECIPE = """
questions: questions.jsonl
out: traces.jsonl
cost_cap: {CNY: 0.05}
teachers:
- name: t
  base_url: URL
  model: m
  api_key_env: A_KEY
  max_tokens: 100
  prices: {currency: CNY, prompt: 10, completion: 100}
"""
# 60 prompt and 30 completion tokens an answer: 0.0036.


def test_a_cap_ends_with_3_and_a_higher_one_goes_on(make_questions: Callable[..., Path], home: Path) -> None:
    make_questions(30)
    recipe = home / "recipe.yaml"
    with FaultServer(first(["ok", "500", "422"])) as server:
        recipe.write_text(RECIPE.replace("URL", server.url), encoding="utf-8")
        stopped = finr1("distill", recipe, home=home, A_KEY="sk-very-secret")
        assert stopped.returncode == 3, stopped.stderr
        assert "cost cap is reached" in stopped.stderr and "of 0.05 CNY" in stopped.stderr
        assert sum(server.answered.values()) * 0.0036 <= 0.05
        done = finr1("distill", recipe, "--set", "cost_cap.CNY=5", home=home, A_KEY="sk-very-secret")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["teachers"]["t"]["answered"] == 20 and told["teachers"]["t"]["errors"] == 10
    assert set(server.answered.values()) == {1}
    assert "(retries)" in done.stderr, "the table of the ledger is missing"
    said = "".join(run.stdout + run.stderr for run in (stopped, done))
    written = {path.name: path.read_text(encoding="utf-8") for path in home.iterdir() if path.is_file()}
    assert "sk-very-secret" not in said + "".join(written.values())
    assert "Secret-Corp" not in said
    assert [name for name, text in written.items() if "Secret-Corp" in text] == ["questions.jsonl"]


@pytest.mark.parametrize(
    "override",
    [
        "teachers.0.api_key_env=sk-very-secret",
        "teachers.0.base_url=https://me:sk-very-secret@127.0.0.1/v1",
        "teachers.0.base_url=http://127.0.0.1/v1?key=sk-very-secret",
        "teachers.0.extra_body={model: m, api_key: sk-very-secret}",
    ],
)
def test_a_key_in_the_wrong_place_is_refused_and_not_repeated(
    make_questions: Callable[..., Path], home: Path, override: str
) -> None:
    make_questions(1)
    (home / "recipe.yaml").write_text(RECIPE.replace("URL", "http://127.0.0.1:9/v1"), encoding="utf-8")
    refused = finr1("distill", home / "recipe.yaml", "--set", override, home=home, A_KEY="k")
    assert refused.returncode == 2 and override.partition("=")[0] in refused.stderr
    assert "sk-very-secret" not in refused.stdout + refused.stderr


def test_batches_go_out_and_come_back(make_questions: Callable[..., Path], home: Path) -> None:
    make_questions(5)
    recipe = home / "recipe.yaml"
    with FaultServer(always("ok")) as server:
        recipe.write_text(RECIPE.replace("URL", server.url), encoding="utf-8")
        out = finr1("distill", recipe, "--write-batches", home=home)
        assert out.returncode == 0, out.stderr
        rows = [
            json.loads(line) for line in (home / json.loads(out.stdout)["files"][0]["file"]).read_bytes().splitlines()
        ]
        body = {"choices": [{"message": {"content": GOOD}}], "usage": {"prompt_tokens": 60, "completion_tokens": 30}}
        results = home / "results.jsonl"
        lines = [
            json.dumps({"custom_id": row["custom_id"], "response": {"status_code": 200, "body": body}}) for row in rows
        ]
        results.write_text("\n".join(lines), encoding="utf-8")
        back = finr1("distill", recipe, "--read-batches", "results.jsonl", home=home)
        assert json.loads(back.stdout)["answered"] == 5, back.stderr
        done = finr1("distill", recipe, home=home, A_KEY="k")
        assert json.loads(done.stdout)["teachers"]["t"]["answered"] == 5 and not server.asked
    both = finr1("distill", recipe, "--write-batches", "--read-batches", "results.jsonl", home=home)
    assert both.returncode == 2 and "two commands" in both.stderr


def test_a_server_is_started_only_where_something_is_missing(
    make_questions: Callable[..., Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_questions(3)
    (home / "serve.yaml").write_text("model: models/tiny\n", encoding="utf-8")
    recipe = home / "recipe.yaml"
    recipe.write_text(
        "questions: questions.jsonl\nout: traces.jsonl\nteachers: [{name: t, serve: serve.yaml}]\n", encoding="utf-8"
    )
    started: list[str] = []
    with FaultServer(always("ok")) as server:

        @contextlib.contextmanager
        def serving(settings: ServeSettings) -> Iterator[Endpoint]:
            started.append(settings.model)
            yield Endpoint(server.url, "/somewhere/models/tiny", 0)

        monkeypatch.setattr(stages, "serving", serving)
        for done in ("now", "now", "already"):
            if done == "now":
                (home / "traces.jsonl.manifest.json").unlink(missing_ok=True)
            told = stages.run_distill(str(recipe))
            assert told["done"] == done and told["teachers"]["t"]["answered"] == 3
    assert started == ["models/tiny"]
    assert {body["model"] for body in server.bodies} == {"/somewhere/models/tiny"}
    assert {trace.model for trace in read_records(home / "traces.jsonl", Trace)} == {"models/tiny"}, (
        "a path of this machine"
    )
