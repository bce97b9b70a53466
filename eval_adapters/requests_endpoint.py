"""A model behind any HTTP endpoint that takes and gives JSON, by a mapping of one's own."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
from evalscope.api.messages import ChatMessage, ContentText
from evalscope.api.model import GenerateConfig, ModelAPI, ModelOutput, ModelUsage
from evalscope.models.utils.openai import openai_handle_bad_request
from evalscope.utils.function_utils import retry_call

from eval_adapters.bounded import Bounded
from eval_adapters.endpoint import EmptyChoices, HttpError, PromptRefused, behind_proxy
from eval_adapters.gate import Gate
from eval_adapters.scoring import join_reasoning
from eval_adapters.settings import RequestForm

_NO_RETRY = {400, 401, 403, 404, 422}
"""The refusals that no retry can help; other codes are tried again."""


class RequestsEndpoint(ModelAPI):  # type: ignore[misc]
    """Posts `form.body`, filled in, to `api_url`, and reads the reply by `form`'s paths."""

    def __init__(
        self, model_id: str, api_url: str, api_key: str, gate: Gate, timeout_s: float, form: RequestForm
    ) -> None:
        super().__init__(model_name=model_id, base_url=api_url, api_key=api_key)
        self._url, self._gate, self._timeout_s, self._form = api_url, gate, timeout_s, form
        key = {form.key_header: form.key_prefix + api_key} if form.key_header else {}
        self._headers = {**key, **form.headers}
        self._bounded = Bounded()

    def generate(self, input: list[ChatMessage], tools: Any, tool_choice: Any, config: GenerateConfig) -> ModelOutput:
        """One row's request with its retries; raises what the last attempt raised, or `EndpointDown`."""
        body = filled(self._form.body, _words(self.model_name, input, config))
        with self._gate.request():
            started = time.monotonic()
            try:
                reply = retry_call(
                    lambda: self._post(body),
                    retries=config.retries,
                    sleep_interval=config.retry_interval,
                    no_retry_exceptions=(PromptRefused,),
                )
            except PromptRefused as error:  # a prompt longer than the context is told apart
                return openai_handle_bad_request(self.model_name, error)
            return self._read(reply, time.monotonic() - started)

    def close(self) -> None:
        """End the thread of the requests."""
        self._bounded.close()

    def _post(self, body: Any) -> Any:
        return self._bounded.run(self._posted(body), self._timeout_s)

    async def _posted(self, body: Any) -> Any:
        # A session a request: these endpoints are asked a few times a second at most.
        session = aiohttp.ClientSession(headers=self._headers, trust_env=behind_proxy(self._url))
        try:
            async with session, session.post(self._url, json=body) as response:
                text = await response.text(errors="replace")
        except aiohttp.ClientError as error:
            raise ConnectionError(type(error).__name__) from None
        if response.status >= 400:
            kind = PromptRefused if response.status in _NO_RETRY else HttpError
            raise kind(response.status, text[:2000], _json(text))
        return json.loads(text)

    def _read(self, reply: Any, seconds: float) -> ModelOutput:
        form = self._form
        text = at(reply, form.answer)
        reasoning = at(reply, form.reasoning)
        if not isinstance(text, str) and not reasoning:
            raise EmptyChoices(f"the reply has no text at {form.answer}")
        cut = str(at(reply, form.finish_reason)) in form.cut
        output = ModelOutput.from_content(self.model_name, "", stop_reason="max_tokens" if cut else "stop")
        whole = join_reasoning(str(reasoning or ""), text if isinstance(text, str) else "", cut)
        output.message.content = [ContentText(text=whole)]
        sent, made = at(reply, form.prompt_tokens), at(reply, form.completion_tokens)
        if isinstance(sent, int) and isinstance(made, int):
            output.usage = ModelUsage(input_tokens=sent, output_tokens=made, total_tokens=sent + made)
        output.time = seconds
        return output


def filled(value: Any, words: Mapping[str, Any]) -> Any:
    """A JSON value with each string that is one of `words` replaced; keys of an object whose value is None are left out."""
    if isinstance(value, str):
        return words.get(value, value)
    if isinstance(value, list):
        return [filled(each, words) for each in value]
    if isinstance(value, dict):
        put = {key: filled(each, words) for key, each in value.items()}
        return {key: each for key, each in put.items() if each is not None or value[key] is None}
    return value


def at(reply: Any, path: str) -> Any:
    """What stands at a path of keys and places, such as data.choices.0.text; None where nothing does, or for ""."""
    for step in path.split(".") if path else [""]:
        if isinstance(reply, list) and step.isdecimal() and int(step) < len(reply):
            reply = reply[int(step)]
        else:
            reply = reply.get(step) if isinstance(reply, dict) and step else None
    return reply


def _words(model: str, messages: list[ChatMessage], config: GenerateConfig) -> dict[str, Any]:
    system = "\n\n".join(message.text for message in messages if message.role == "system")
    return {
        "$prompt": "\n\n".join(message.text for message in messages),
        "$question": messages[-1].text,
        "$system": system or None,
        "$messages": [{"role": message.role, "content": message.text} for message in messages],
        "$model": model,
        "$max_tokens": config.max_tokens,
        "$temperature": config.temperature,
        "$top_p": config.top_p,
        "$seed": config.seed,
        "$stop": config.stop_seqs,
    }


def _json(text: str) -> Any:
    """The error's object in a reply, as most servers put it, or the reply itself; None where it is no JSON."""
    try:
        reply = json.loads(text)
    except ValueError:
        return None
    return reply.get("error", reply) if isinstance(reply, dict) else reply
