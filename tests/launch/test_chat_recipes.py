"""What a chat recipe is refused for before anything is started, and what becomes of the models it names."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from speaker import NO_HTTP, saying

from launch.chat import ChatModel, ChatSettings, Suggestion, accounts, chatting, load, session_secret
from launch.paths import KIT
from launch.serving.settings import key_of
from reward_plugins.errors import Refused

RECIPE = str(KIT / "recipes/chat/local.yaml")
NOWHERE = "http://127.0.0.1:9/v1"  # the discard port: nobody listens there


def refused(models: list[ChatModel] | None = None, **more: Any) -> str:
    settings = ChatSettings(models=models or [ChatModel(model=NOWHERE)], **{"port": 18765, **more})
    with pytest.raises(Refused) as refusal, chatting(settings):
        pass
    return str(refusal.value)


@contextmanager
def endpoint(status: int, body: str) -> Iterator[str]:
    """An endpoint that answers each GET so, and that no question is for."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def do_POST(self) -> None:
            self.send_response(400)
            self.end_headers()
            self.wfile.write(b'{"detail": "Server is pinned to another"}')

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def signed_up(data: Path) -> None:
    data.mkdir(parents=True)
    with closing(sqlite3.connect(data / "webui.db")) as database:
        database.execute('CREATE TABLE "user" (id TEXT)')
        database.execute("INSERT INTO \"user\" VALUES ('ada')")
        database.commit()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_an_open_address_needs_an_account_first(home: Path, host: str) -> None:
    origins = ["http://chat.example.com"]
    assert "who signs up first becomes the administrator" in refused(host=host, origins=origins)
    assert accounts(home / "runs/chat") == 0
    signed_up(home / "runs/chat")
    assert accounts(home / "runs/chat") == 1
    # The next thing that is wrong with it: no such address here, or no model.
    assert "becomes the administrator" not in refused(host=host, origins=origins)


def test_an_address_for_all_must_say_what_browsers_call_it(home: Path) -> None:
    signed_up(home / "runs/chat")
    assert "name that in origins" in refused(host="0.0.0.0")


def test_an_endpoint_that_is_absent_is_named(home: Path) -> None:
    assert refused() == f"nothing answers at {NOWHERE}: start it first, such as by `finr1 serve`"
    with saying(NO_HTTP) as url:
        assert refused([ChatModel(model=url)]).startswith("nothing answers at")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, "", "asks for a valid key"),
        (500, "", "name them in ids"),
        (200, "<html>", "name them in ids"),
        (200, '{"data": []}', "name them in ids"),
        (200, '{"data": [{"id": "two words"}]}', "no name with white space"),
    ],
)
def test_an_endpoint_that_lists_nothing_is_refused(home: Path, status: int, body: str, said: str) -> None:
    with endpoint(status, body) as url:
        assert said in refused([ChatModel(model=url)])


def test_a_key_comes_from_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ChatModel(model=NOWHERE, api_key_env="SOME_KEY")
    monkeypatch.delenv("SOME_KEY", raising=False)
    assert "SOME_KEY is not set" in refused([model])
    monkeypatch.setenv("SOME_KEY", "one;two")
    assert "SOME_KEY holds characters" in refused([model])


@pytest.mark.parametrize("key", ["one;two", "one two", "schlüssel", "a\tb"])
def test_one_rule_says_what_a_key_is(home: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For an endpoint's key on the page and for a server's own; the next key would begin at a semicolon."""
    monkeypatch.setenv("SOME_KEY", key)
    assert refused([ChatModel(model=NOWHERE, api_key_env="SOME_KEY")]) == "SOME_KEY holds characters that no key has"
    with pytest.raises(Refused, match="SOME_KEY holds characters that no key has"):
        key_of("SOME_KEY")


def test_a_server_that_answers_already_must_be_this_models(home: Path) -> None:
    """Its address is that of the recipe, and it serves something else: each question on the page would fail."""
    model = home / "models" / "mine"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}", encoding="utf-8")
    with endpoint(200, "") as url:
        port = url.rpartition(":")[2].removesuffix("/v1")
        (home / "serve.yaml").write_text(f"model: models/mine\nport: {port}\n", encoding="utf-8")
        said = refused([ChatModel(model="models/mine")], serve="serve.yaml")
        assert said == refused([ChatModel(model="serve.yaml")])
    assert "answers already, and not for mine" in said and "pinned to another" in said and "port of its own" in said


@pytest.mark.parametrize("url", ["http://me:secret@127.0.0.1:1/v1", "https://api.example.com/v1?key=secret"])
def test_an_address_holds_no_secret(url: str) -> None:
    with pytest.raises(ValueError, match="api_key_env"):
        ChatModel(model=url)
    with pytest.raises(Refused, match="api_key_env") as refusal:
        load(RECIPE, [], [url], [])
    assert "secret" not in str(refusal.value)


def test_models_on_the_command_line() -> None:
    settings = load(RECIPE, [], ["runs/a", "http://127.0.0.1:8000/v1/"], ["https://api.example.com/v1"])
    assert [model.model for model in settings.models] == [
        "runs/a",
        "http://127.0.0.1:8000/v1",
        "https://api.example.com/v1",
    ]
    trained = Path("recipes/prompts/think_answer.txt")
    assert [model.system_prompt for model in settings.models] == [trained, trained, None]
    assert settings.models[1].params == load(RECIPE, [], [], []).models[0].params != {}
    assert settings.models[2].params == {}
    named = load(RECIPE, ["models.0.ids=[fin]"], ["http://127.0.0.1:8020/v1"], [])
    assert (named.models[0].model, named.models[0].ids) == ("http://127.0.0.1:8020/v1", ["fin"])
    beside = load(RECIPE, [], [], ["https://api.example.com/v1"])
    assert [model.model for model in beside.models] == ["recipes/serve/local.yaml", "https://api.example.com/v1"]


def test_an_unknown_key_gets_a_suggestion() -> None:
    with pytest.raises(Refused, match="did you mean 'system_prompt'"):
        load(RECIPE, ["models.0.sytem_prompt=x"], [], [])


def test_the_secret_is_made_once_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    made = session_secret(path)
    assert len(made) >= 43 and stat.S_IMODE(path.stat().st_mode) == 0o600  # 32 bytes in base64
    assert session_secret(path) == made
    assert session_secret(tmp_path / "another") != made
    path.chmod(0o640)
    with pytest.raises(Refused, match="can be read by others"):
        session_secret(path)
    (tmp_path / "another").write_text("")
    with pytest.raises(Refused, match="is empty"):
        session_secret(tmp_path / "another")


def test_the_shipped_suggestions_are_four_tasks_in_two_languages() -> None:
    shipped = yaml.safe_load((KIT / "recipes/chat/suggestions.yaml").read_text(encoding="utf-8"))
    listed = [Suggestion.model_validate(each) for each in shipped]
    chinese = [each for each in listed if any("一" <= letter <= "鿿" for letter in each.content)]
    assert (len(listed), len(chinese)) == (8, 4)


@pytest.mark.parametrize("text", ["title: x", "- {title: [a], content: b}", "- {titel: [a, b], content: c}", "- : ["])
def test_suggestions_of_another_form_are_refused(home: Path, text: str) -> None:
    (home / "own.yaml").write_text(text, encoding="utf-8")
    assert "own.yaml must be a list of title" in refused(suggestions=Path("own.yaml"))
    assert "no such file" in refused(suggestions=Path("none.yaml"))
