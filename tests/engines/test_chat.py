"""Open WebUI in a real browser: nobody in without an account, thinking folded, the answer plain, nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from browser import browser_page, keep
from command import FINR1
from places import HERE, free_port, new_home
from playwright.sync_api import Locator, Page, expect

from launch import stacks
from launch.engine import environment
from launch.listening import answers, why_not_free
from launch.paths import KIT

sys.path.insert(0, str(HERE.parent / "eval_adapters"))
from mock_server import MockServer, serve

pytestmark = pytest.mark.timeout(1800)  # the first test of all makes the stack: some 260 packages

PROMPT = (KIT / "recipes/prompts/think_answer.txt").read_text(encoding="utf-8").strip()
KEY = "sk-a-key-for-this-test-alone"
EMAIL, PASSWORD = "ada@example.com", "nine and more letters"

QUESTION = "营业收入由108.3亿元增至125.6亿元，增长率是多少？"
THOUGHT = "增加额是17.3亿元，再除以108.3亿元。"
SUM = "17.3 / 108.3"  # short, since a model has to learn it
FORMULA = r"增长率为 $\frac{125.6-108.3}{108.3}$，即15.97%。"
REPLIES = {  # question -> (reasoning that the server parsed, content)
    QUESTION: ("", f"<think>\n{THOUGHT}\n</think>\n\n<answer>\n{FORMULA}\n</answer>"),
    "server parses": (THOUGHT, "<answer>15.97%</answer>"),
    "cut off": ("", f"<think>{THOUGHT}</think><answer>It is 15.9"),
    "a general model": ("", "It is **15.97%**, with a < b and b > c."),
}


@dataclass
class Chat:
    """The running command: its address, process and home folder."""

    url: str
    process: subprocess.Popen[str]
    home: Path

    @property
    def log(self) -> str:
        return (self.home / "runs/chat/open_webui.log").read_text(encoding="utf-8")

    @property
    def pid(self) -> int:
        """Open WebUI's own process."""
        return int((self.home / "runs/chat/open_webui.pid").read_text(encoding="utf-8").split()[0])


@contextmanager
def chatting(home: Path, *words: str, **env: str) -> Iterator[Chat]:
    """The real command until Open WebUI answers, and its end as Ctrl-C ends it."""
    stacks.python("chat")  # made first where it is missing, so that the wait below is for the start alone
    port = free_port()
    words = ("chat", "--set", f"port={port}", *words)
    environment_ = {**os.environ, "FINR1_HOME": str(home), **env}
    url = f"http://127.0.0.1:{port}"
    with (home / "chat.out").open("w") as out:
        process = subprocess.Popen([FINR1, *words], env=environment_, stdout=out, stderr=out, text=True)
        try:
            deadline = time.monotonic() + 300
            while not answers(f"{url}/health"):
                said = (home / "chat.out").read_text(encoding="utf-8")
                assert process.poll() is None and time.monotonic() < deadline, said
                time.sleep(0.5)
            yield Chat(url, process, home)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(60)


def streamed(request: dict[str, Any]) -> web.Response:
    """The scripted reply to a question, a character an event, so that each tag comes in pieces."""
    reasoning, content = REPLIES[request["messages"][-1]["content"]]
    deltas = [{"reasoning_content": each} for each in reasoning] + [{"content": each} for each in content]
    lines = [
        f"data: {json.dumps({'id': 'c', 'object': 'chat.completion.chunk', 'model': 'tuned', 'choices': [choice]})}\n\n"
        for choice in [
            *({"index": 0, "delta": delta, "finish_reason": None} for delta in deltas),
            {"index": 0, "delta": {}, "finish_reason": "stop"},
        ]
    ]
    return web.Response(text="".join([*lines, "data: [DONE]\n\n"]), content_type="text/event-stream")


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Chat, MockServer]]:
    """The chat page on a model whose words are known, in a home of its own."""
    home = new_home(tmp_path_factory.mktemp("chat") / "home", free_port())
    with (
        serve(streamed) as server,
        chatting(home, *words_for(server), TUNED_KEY=KEY, ANOTHER_KEY="sk-of-another-program") as chat,
    ):
        yield chat, server


def words_for(server: MockServer) -> list[str]:
    sets = (f"models.0.model={server.url}", "models.0.ids=[tuned]", "models.0.api_key_env=TUNED_KEY")
    return [word for each in sets for word in ("--set", each)]


def call(url: str, body: dict[str, Any] | None = None, token: str | None = None) -> Any:
    """What a GET, or a POST of JSON, is answered with; a token stands for a login."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def status(url: str, body: dict[str, str] | None = None) -> int:
    """The status of such a call by somebody without a login."""
    try:
        call(url, body)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def token_of(chat: Chat, email: str) -> str:
    return str(call(f"{chat.url}/api/v1/auths/signin", {"email": email, "password": PASSWORD})["token"])


def sign_up(page: Page, url: str) -> None:
    """Make the first account, from the first page that a visitor sees."""
    page.goto(url)
    page.get_by_role("button", name="Get started").click()
    page.get_by_placeholder("Enter Your Full Name").fill("Ada")
    page.get_by_placeholder("Enter Your Email").fill(EMAIL)
    page.get_by_placeholder("Enter Your Password").fill(PASSWORD)
    page.get_by_role("button", name="Create Admin Account").click()
    page.locator("#chat-input").wait_for()


def sign_in(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_placeholder("Enter Your Email").fill(EMAIL)
    page.get_by_placeholder("Enter Your Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.locator("#chat-input").wait_for()


def ask(page: Page, question: str) -> Locator:
    """Type a question, and wait for the whole reply (its buttons come last)."""
    before = page.locator(".chat-assistant").count()
    page.locator("#chat-input").click()
    page.keyboard.insert_text(question)
    page.keyboard.press("Enter")
    reply = page.locator(".chat-assistant").nth(before)
    reply.wait_for()
    page.get_by_label("Good Response").nth(before).wait_for()
    return reply


def test_a_visitor_without_an_account_sees_nothing(scripted: tuple[Chat, MockServer]) -> None:
    chat, _ = scripted
    for path in ("api/models", "api/v1/models", "openai/models", "api/v1/chats/", "api/v1/users/", "api/v1/prompts/"):
        assert status(f"{chat.url}/{path}") in (401, 403), path
    question = {"model": "tuned", "messages": "x"}
    assert status(f"{chat.url}/api/chat/completions", question) in (401, 403)
    with browser_page() as page:
        page.goto(f"{chat.url}/workspace/models")
        page.get_by_role("button", name="Get started").wait_for()
        assert "/auth" in page.url
        assert page.locator("#chat-input").count() == 0


def test_no_secret_stands_in_its_environment_its_words_or_its_log(scripted: tuple[Chat, MockServer]) -> None:
    chat, _ = scripted
    secret = chat.home / "runs/chat/secret_key"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    environ = Path(f"/proc/{chat.pid}/environ").read_bytes().decode()
    words = Path(f"/proc/{chat.pid}/cmdline").read_bytes().decode()
    assert "inside/chat.py" in words and "PATH=" in environ  # it is the process that we mean
    for key in (KEY, "sk-of-another-program", secret.read_text(encoding="ascii")):
        assert key not in environ and key not in words and key not in chat.log


def test_it_listens_on_the_loopback_alone(scripted: tuple[Chat, MockServer]) -> None:
    chat, _ = scripted
    table = [line.split() for line in Path(f"/proc/{chat.pid}/net/tcp").read_text().splitlines()[1:]]
    port = f"{int(chat.url.rpartition(':')[2]):04X}"
    listening = [line[1] for line in table if line[3] == "0A" and line[1].endswith(f":{port}")]
    assert listening == [f"0100007F:{port}"]  # 127.0.0.1, as the kernel writes it
    six = Path(f"/proc/{chat.pid}/net/tcp6").read_text().splitlines()[1:]
    assert not [line for line in six if line.split()[1].endswith(f":{port}") and line.split()[3] == "0A"]


def test_from_the_first_account_to_a_folded_thought_and_a_plain_answer(scripted: tuple[Chat, MockServer]) -> None:
    chat, server = scripted
    asked_elsewhere: list[str] = []
    with browser_page(1100, 700) as page:
        page.on("request", lambda request: asked_elsewhere.append(request.url))
        sign_up(page, chat.url)
        for title in ("计算", "Calculation", "读财报", "Report reading", "合规", "Compliance", "情绪", "Sentiment"):
            page.get_by_role("button", name=title).first.wait_for()
        keep(page, "chat_new")

        reply = ask(page, QUESTION)
        expect(reply).to_contain_text("即15.97%")
        expect(reply.locator(".katex")).to_have_count(1)  # what sets formulas is loaded after the text
        expect(reply).not_to_contain_text(
            re.compile(f"answer>|think>|{re.escape(THOUGHT)}"), use_inner_text=True
        )  # folded
        page.get_by_text("You're now logged in").wait_for(state="hidden")  # it would cover the question in the picture
        keep(page, "chat_answer")
        reply.get_by_text("Thought for").first.click()
        reply.get_by_text(THOUGHT).wait_for()
        keep(page, "chat_thought")

        request = server.requests[-1]
        assert [(turn["role"], turn["content"]) for turn in request["messages"]] == [
            ("system", PROMPT),
            ("user", QUESTION),
        ]
        assert "tools" not in request and request["temperature"] == 0.0
        assert server.headers[-1]["Authorization"] == f"Bearer {KEY}"
        assert len(server.requests) == 1  # no titles, tags or follow-ups behind the user's back

        page.reload()  # as it was saved
        page.get_by_text("即15.97%").wait_for()
        expect(page.locator(".chat-assistant").first).not_to_contain_text("answer>")
    assert not [url for url in asked_elsewhere if not url.startswith((chat.url, "data:", "blob:"))]
    assert QUESTION not in chat.log

    again = {"name": "Eve", "email": "eve@example.com", "password": PASSWORD}
    assert status(f"{chat.url}/api/v1/auths/signup", again) == 403


def test_replies_of_other_forms(scripted: tuple[Chat, MockServer]) -> None:
    chat, _ = scripted
    with browser_page(1100, 700) as page:
        sign_in(page, chat.url)
        for question, answer, thinks in (
            ("server parses", "15.97%", True),
            ("cut off", "It is 15.9", True),
            ("a general model", "It is 15.97%, with a < b and b > c.", False),
        ):
            reply = ask(page, question)
            expect(reply).to_contain_text(answer)
            expect(reply.get_by_text("Thought for")).to_have_count(int(thinks))
            expect(reply).not_to_contain_text(re.compile(f"answer>|{re.escape(THOUGHT)}"), use_inner_text=True)


def test_who_is_added_may_talk_and_nobody_may_run_anything(scripted: tuple[Chat, MockServer]) -> None:
    chat, _ = scripted
    administrator = token_of(chat, EMAIL)
    bob = {"name": "Bob", "email": "bob@example.com", "password": PASSWORD, "role": "user"}
    call(f"{chat.url}/api/v1/auths/add", bob, administrator)
    token = token_of(chat, "bob@example.com")
    assert [model["id"] for model in call(f"{chat.url}/api/models", token=token)["data"]] == ["tuned"]
    for who in (administrator, token):
        features = call(f"{chat.url}/api/config", token=who)["features"]
        off = ("code_execution", "code_interpreter", "web_search", "direct_connections", "community_sharing", "signup")
        assert [features[f"enable_{name}"] for name in off] == [False] * len(off)
    with pytest.raises(urllib.error.HTTPError):  # the administrator cannot, either
        code = {"id": "f", "name": "f", "content": "class Filter: pass", "meta": {"description": ""}}
        call(f"{chat.url}/api/v1/functions/create", code, administrator)


def test_what_ends_and_what_stays(scripted: tuple[Chat, MockServer]) -> None:
    """Last on this page: Ctrl-C leaves no process and no port; a new start knows the account and the talk."""
    chat, server = scripted
    pid = chat.pid
    chat.process.send_signal(signal.SIGINT)
    assert chat.process.wait(60) == 0
    assert not Path(f"/proc/{pid}").exists()
    assert not why_not_free("127.0.0.1", int(chat.url.rpartition(":")[2]))
    assert not (chat.home / "runs/chat/open_webui.pid").exists()
    data = chat.home / "runs/chat"
    assert all(stat.S_IMODE(file.stat().st_mode) & 0o077 == 0 for file in data.glob("webui.db*"))

    with chatting(chat.home, *words_for(server), TUNED_KEY=KEY) as later, browser_page(1100, 700) as page:
        sign_in(page, later.url)
        page.get_by_text(QUESTION).first.wait_for()  # the talk of before, in the list at the side
        again = {"name": "Eve", "email": "eve@example.com", "password": PASSWORD}
        assert status(f"{later.url}/api/v1/auths/signup", again) == 403


@pytest.fixture(scope="module")
def reasoning_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers that know one reply by heart."""
    out = tmp_path_factory.mktemp("models") / "reasoning"
    talk = [
        {"role": "system", "content": PROMPT},
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": f"<think>{SUM}</think><answer>15.97%</answer>"},
    ]
    words = [stacks.python("rl"), HERE / "teach_tiny_model.py", tiny_model, out]
    subprocess.run(words, input=json.dumps([talk]).encode(), check=True, env=environment(None), capture_output=True)
    return out


def test_server_and_page_from_one_command(reasoning_model: Path, tmp_path: Path) -> None:
    home = new_home(tmp_path / "home", port := free_port())
    begin = time.monotonic()
    words = ("--model", str(reasoning_model), "--set", "serve=runs/serve.yaml")
    with chatting(home, *words) as chat, browser_page(1100, 700) as page:
        sign_up(page, chat.url)
        reply = ask(page, QUESTION)
        expect(reply).to_contain_text("15.97%")
        print(f"from the command to the answer: {time.monotonic() - begin:.0f} s")
        expect(reply).to_contain_text("Thought for")
        expect(reply).not_to_contain_text(SUM, use_inner_text=True)
        keep(page, "chat_real_model")
        chat.process.terminate()  # as a supervisor would
        assert chat.process.wait(60) == 128 + signal.SIGTERM
    assert not why_not_free("127.0.0.1", port)
    assert not why_not_free("127.0.0.1", int(chat.url.rpartition(":")[2]))
