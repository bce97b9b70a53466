"""The embedded 135M model: it is what its wheel says, it answers through a server, and it stops."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from places import free_port

from distill import ask
from distill.finmath import generate
from distill.records import Trace, read_records, write_records
from launch import models
from launch.serving.server import ServeSettings, serving


def chat(url: str, model: str, text: str, max_tokens: int) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": max_tokens, "temperature": 0}
    request = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return dict(json.load(answer)["choices"][0])


def test_the_end_of_a_turn_is_the_end_token(real_model: Path) -> None:
    """GGUF metadata has it wrong; a server would then go on to the token limit."""
    config = json.loads((real_model / "tokenizer_config.json").read_text())
    assert (config["bos_token"], config["eos_token"]) == ("<|im_start|>", "<|im_end|>")
    assert models.resolve(".cache/models/" + models.EMBEDDED, Path("/nowhere")) == str(real_model)


def test_it_is_served_asked_by_the_distiller_and_stops(
    real_model: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ServeSettings(
        model=str(real_model), engine="transformers", port=free_port(), flags={"transformers": {"cb-num-blocks": 32}}
    )
    with serving(settings) as endpoint:
        said = chat(endpoint.url, endpoint.model_id, "What is the capital of France?", 60)
        assert "Paris" in said["message"]["content"]
        assert said["finish_reason"] == "stop"
        write_records(home / "questions.jsonl", generate(4, seed=11, languages=("en",), levels=(1,)))
        teacher = {"name": "smollm2", "base_url": endpoint.url, "model": endpoint.model_id, "max_tokens": 48}
        ask.run(
            ask.Settings.model_validate(
                {"questions": home / "questions.jsonl", "out": home / "traces.jsonl", "teachers": [teacher]}
            )
        )
    traces = list(read_records(home / "traces.jsonl", Trace))
    assert len(traces) == 4
    assert all(trace.error is None and trace.response and trace.usage.completion_tokens for trace in traces)
