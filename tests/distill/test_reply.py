"""One form for whatever an endpoint answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.reply import Unusable, in_one_form, read_reply
from distill.screen import malformed

FORM = "<think>12 / 300 = 4%.</think><answer>4%</answer>"


def body(message: Any, **more: Any) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], **more}).encode()


@pytest.mark.parametrize(
    "message",
    [
        {"content": FORM},
        {"content": "4%", "reasoning_content": "12 / 300 = 4%."},
        {"content": "\n\n4%\n", "reasoning": "12 / 300 = 4%.\n"},
        {"content": "<answer>4%</answer>", "reasoning_content": "12 / 300 = 4%."},
        {"content": "<think>\n12 / 300 = 4%.\n</think>\n\n4%"},
        {"content": "12 / 300 = 4%.</think>4%"},
        {"content": [{"type": "text", "text": "<think>12 / 300 = 4%.</think>"}, {"type": "text", "text": "4%"}]},
        {"content": "4%", "reasoning_content": "12 / 300 = 4%.", "reasoning": "12 / 300 = 4%."},
        {"content": "4%", "reasoning_content": [{"type": "text", "text": "12 / 300 "}, {"type": "text", "text": "= 4%."}]},
        {"content": [{"type": "thinking", "thinking": "12 / 300 = 4%."}, {"type": "text", "text": "4%"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "12 / 300 = 4%."}]},
                     {"type": "text", "text": "4%"}]},
        {"content": "<think>12 / 300 = 4%.</think>4%", "reasoning_content": "12 / 300 = 4%.\n"},
        {"content": "<thinking>12 / 300 = 4%.</thinking>\n4%"},
        {"content": "<thought>12 / 300 = 4%.</thought><answer>4%</answer>"},
    ],
)  # fmt: skip
def test_all_ways_to_return_reasoning_are_one(message: dict[str, Any]) -> None:
    reply = read_reply(body(message))
    assert (reply.reasoning, reply.answer, reply.response) == ("12 / 300 = 4%.", "4%", FORM)


@pytest.mark.parametrize(
    ("text", "answer", "fault"),
    [
        ("It is 4%.", "It is 4%.", "no reasoning"),
        ("<think>12 / 300 = 4", "", "no answer block"),
        ("<think>a</think><answer>4%</answer> so 4%", "4%", "text outside the blocks"),
        ("<think>a</think><answer>4%</answer><answer>5%</answer>", "5%", "several answer blocks"),
        ("<think> </think><answer>4%</answer>", "4%", "no reasoning"),
        ("<answer>4%</answer><think>a</think>", "4%", "tags out of order"),
    ],
)
def test_what_keeps_no_form_is_not_mended(text: str, answer: str, fault: str) -> None:
    _, found, response = in_one_form(text)
    assert found == answer and response == text
    assert malformed(response) == fault


def test_reasoning_of_another_name_that_never_ends_is_cut_off() -> None:
    assert in_one_form("<thinking>12 / 300, so <answer>4%") == (
        "12 / 300, so <answer>4%",
        "",
        "<think>12 / 300, so <answer>4%",
    )
    kept = "It is <thinking>4%</thinking>."  # no block that the answer begins with
    assert in_one_form(kept) == ("", kept, kept)


def test_an_empty_message_is_an_answer_that_says_nothing() -> None:
    reply = read_reply(body({"content": None}))
    assert (reply.reasoning, reply.answer, reply.response) == ("", "", "")


def test_lone_surrogates_do_not_break_the_journal() -> None:
    reply = read_reply(b'{"choices": [{"message": {"content": "4% \\ud83d"}, "finish_reason": "\\ud800"}]}')
    assert (reply.response + reply.finish_reason).encode()


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 3}, (7, 3)),
        ({"prompt_tokens": 7.0, "completion_tokens": 3.5}, (7, None)),
        ({"prompt_tokens": "7", "completion_tokens": -1}, (None, None)),
        ([], (None, None)),
        (None, (None, None)),
    ],
)
def test_usage_is_what_the_endpoint_says_or_unknown(usage: Any, expected: tuple[int | None, int | None]) -> None:
    found = read_reply(body({"content": "x"}, usage=usage)).usage
    assert (found.prompt_tokens, found.completion_tokens) == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<html><body>Bad gateway", "HTML"),
        (b"\n<!DOCTYPE html>", "HTML"),
        (b'{"choices": [', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ('{"choices": [{"message": {"content": "净'.encode()[:-1] + b'"}}]}', "not JSON"),  # cut inside a character
        (b'data: {"choices": [{"delta": {"content": "4%"}}]}\n\ndata: [DONE]', "stream of events"),
        (b"[]", "another kind"),
        (b'{"object": "list"}', "another kind"),
        (b'{"choices": []}', "empty choices"),
        (b'{"choices": ["4%"]}', "without a message"),
        (b'{"choices": [{"message": {"content": 4}}]}', "without a message"),
        (b'{"error": {"message": "overloaded"}, "choices": []}', "error in a 200"),
    ],
)
def test_what_is_no_completion_is_told_by_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        read_reply(data)


@settings(deadline=None, max_examples=50)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
       | st.dictionaries(st.sampled_from(["choices", "message", "content", "usage", "error", "reasoning"]), inner)))  # fmt: skip
def test_no_json_raises_anything_else(data: Any) -> None:
    try:
        reply = read_reply(json.dumps(data).encode())
    except Unusable:
        return
    assert reply.response == reply.response.strip()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "a ", "\n"])))
def test_in_one_form_is_stable(pieces: list[str]) -> None:
    reasoning, answer, response = in_one_form("".join(pieces))
    assert in_one_form(response) == (reasoning, answer, response)
