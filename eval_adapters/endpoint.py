"""The model under evaluation: an HTTP endpoint whose address is no part of the evaluation.

EvalScope's own client is not used: it has no bound on the whole of a request (a server that drips bytes is waited for
without end), turns a refused prompt's error text into an answer, and takes 3 ms of processor time a request.
"""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from evalscope.api.messages import ChatMessage, ContentText
from evalscope.api.model import GenerateConfig, ModelAPI, ModelOutput, ModelUsage
from evalscope.utils.function_utils import retry_call

from eval_adapters.bounded import Bounded
from eval_adapters.gate import EndpointDown, Gate
from eval_adapters.scoring import SERVER_SPOKE, join_reasoning
from reward_plugins.addresses import is_loopback

_NO_RETRY = {400, 401, 403, 404, 413, 422}
"""The refusals that no retry can help; other codes are tried again."""

_KEEPALIVE_S = 4.0
"""Idle connections are dropped before uvicorn drops them (5 s), so that no request is sent into a closing one."""

_TOO_LONG = ("maximum context length", "context_length_exceeded", "context window", "input length", "too many tokens")
"""What servers say where a prompt is longer than the context: vLLM, OpenAI, transformers, DashScope."""

_FILTERED = ("content_filter", "content_policy_violation")


class EmptyChoices(ValueError):
    """The server answered 200 and sent no text; the message says where it was looked for, and is the row's cause."""


class HttpError(RuntimeError):
    """The server answered with an HTTP error; `after_s` is for how many seconds it asks to be left alone."""

    def __init__(self, code: int, text: str, after_s: float = 0.0) -> None:
        super().__init__(f"http {code}")
        self.code, self.text, self.after_s = code, text, after_s


class PromptRefused(HttpError):
    """The server answered with an error that no retry can help."""


class NoConnection(ConnectionError):
    """The server could not be reached, or went away; the message is the row's cause."""


class EarlierTurnFailed(RuntimeError):
    """A turn of a dialogue cannot be asked, since an earlier one has no answer."""


class Endpoint(ModelAPI):  # type: ignore[misc]
    """Posts JSON to one address and reads JSON, each attempt bounded as a whole; what is posted, a subclass says.

    EvalScope takes an instance as a task's model and writes the class's name into the cache identity; given an
    address it would write that, and a server on another port could not resume.
    """

    def __init__(self, model_id: str, url: str, headers: dict[str, str], gate: Gate, timeout_s: float) -> None:
        super().__init__(model_name=model_id)
        self._url, self._gate, self._timeout_s = url, gate, timeout_s
        self._bounded = Bounded()
        self._session = self._bounded.run(self._opened(headers), timeout_s)

    @abstractmethod
    def body(self, messages: list[ChatMessage], config: GenerateConfig) -> Any:
        """The JSON that asks for one completion."""

    @abstractmethod
    def read(self, reply: Any) -> ModelOutput:
        """The completion in a reply; raises `EmptyChoices` where there is none."""

    def generate(self, input: list[ChatMessage], tools: Any, tool_choice: Any, config: GenerateConfig) -> ModelOutput:
        """One row's request with its retries; raises what the last attempt raised, or `EndpointDown`.

        A prompt that the server refuses for its length or its content is an output without text, since asking again
        cannot help; its stop reason says which (see `scoring.SERVER_SPOKE`).
        """
        body = self.body(input, config)
        with self._gate.request():
            started = time.monotonic()
            try:
                output = retry_call(
                    lambda: self._attempt(body),
                    retries=config.retries,
                    sleep_interval=config.retry_interval,
                    no_retry_exceptions=(PromptRefused,),
                )
            except PromptRefused as refusal:
                said = refusal.text.lower()
                too_long, filtered = (any(word in said for word in words) for words in (_TOO_LONG, _FILTERED))
                if refusal.code not in (400, 422) or not (too_long or filtered):
                    raise
                reason = "model_length" if too_long else "content_filter"
                output = ModelOutput.from_content(self.model_name, "", stop_reason=reason)
            output.time = time.monotonic() - started
            return output

    def _attempt(self, body: Any) -> ModelOutput:
        """One request; where the server names a time to wait, none goes out in this one's place before it is over."""
        try:
            return self.read(self._bounded.run(self._posted(body), self._timeout_s))
        except HttpError as error:
            self._gate.wait(min(error.after_s, self._timeout_s))
            raise

    def close(self) -> None:
        """Close the connections and end the thread of the requests."""
        self._bounded.run(self._session.close(), self._timeout_s)
        self._bounded.close()

    async def _opened(self, headers: dict[str, str]) -> aiohttp.ClientSession:
        # This machine is not behind a proxy, whatever the environment says of the outside.
        outside = not is_loopback(urlsplit(self._url).hostname or "")
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S)  # the gate bounds the requests
        timeout = aiohttp.ClientTimeout(total=None)  # `Bounded` has it
        # A Chinese character as \uXXXX takes twice its bytes, and gateways bound a request's size (nginx: 1 MB).
        plain = partial(json.dumps, ensure_ascii=False)
        return aiohttp.ClientSession(
            headers=headers, connector=connector, timeout=timeout, trust_env=outside, json_serialize=plain
        )

    async def _posted(self, body: Any) -> Any:
        try:
            async with self._session.post(self._url, json=body) as response:
                text = await response.text(encoding="utf-8-sig", errors="replace")
        except aiohttp.ClientError as error:
            raise NoConnection(_unreached(error)) from None
        if response.status >= 400:
            raise _error_of(response.status, text, _seconds(response.headers.get("Retry-After")))
        return json.loads(text)


class OpenAIEndpoint(Endpoint):
    """An endpoint of OpenAI's chat completions; `api_url` ends before /chat/completions."""

    def __init__(self, model_id: str, api_url: str, api_key: str, gate: Gate, timeout_s: float) -> None:
        url = api_url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"
        super().__init__(model_id, url, {"Authorization": f"Bearer {api_key}"}, gate, timeout_s)

    def body(self, messages: list[ChatMessage], config: GenerateConfig) -> dict[str, Any]:
        """The request; what is None is not sent."""
        sampling = {
            "max_tokens": config.max_tokens,
            "temperature": config.temperature,
            "top_p": config.top_p,
            "top_k": config.top_k,
            "repetition_penalty": config.repetition_penalty,
            "seed": config.seed,
            "stop": config.stop_seqs,
            **(config.extra_body or {}),
        }
        return {
            "model": self.model_name,
            "messages": [{"role": message.role, "content": message.text} for message in messages],
            **{name: value for name, value in sampling.items() if value is not None},
        }

    def read(self, reply: Any) -> ModelOutput:
        """The first choice, as the model wrote it: reasoning that was sent apart is put back in front."""
        choices = reply.get("choices") if isinstance(reply, dict) else None
        if not choices and isinstance(reply, dict) and reply.get("error"):
            raise _reported(reply["error"])
        if not choices or not isinstance(choices[0], dict):
            raise EmptyChoices("empty choices")
        message = choices[0].get("message") or {}
        reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
        usage = reply.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        return completed(
            self.model_name,
            message.get("refusal") or _text(message.get("content")),
            reasoning,
            {"length": "max_tokens", "content_filter": "content_filter"}.get(
                str(choices[0].get("finish_reason")), "stop"
            ),
            usage.get("prompt_tokens"),
            usage.get("completion_tokens"),
        )


def _text(content: Any) -> str:
    """A message's text; some servers send it in parts, as OpenAI's protocol allows for prompts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content or ""


def _unreached(error: aiohttp.ClientError) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "no such host"
        case aiohttp.ClientSSLError():
            return "no secure connection"
    return "connection failed"


def _error_of(code: int, text: str, after_s: float = 0.0) -> HttpError:
    """The error of a reply that says no; one that no retry can help is a `PromptRefused`."""
    return PromptRefused(code, text) if code in _NO_RETRY else HttpError(code, text, after_s)


def _seconds(retry_after: str | None) -> float:
    """The header's seconds; 0 without it, and for a date, which a server with another clock would have us wait for."""
    return float(retry_after) if retry_after and retry_after.strip().isdecimal() else 0.0


def _reported(error: Any) -> HttpError:
    """The error that a reply with status 200 speaks of: by its own code, or by what it says where that is none."""
    said = json.dumps(error, ensure_ascii=False).lower()
    code = error.get("code") if isinstance(error, dict) else None
    if not isinstance(code, int) or code < 400:
        code = 400 if any(word in said for word in _TOO_LONG + _FILTERED) else 500
    return _error_of(code, said)


def completed(model: str, text: str, reasoning: str, stop_reason: str, sent: Any, made: Any) -> ModelOutput:
    """EvalScope's output for a completion; `sent` and `made` are its tokens, where the server counted them."""
    output = ModelOutput.from_content(model, "", stop_reason=stop_reason)
    whole = join_reasoning(reasoning, text, cut=stop_reason == "max_tokens")
    # Half of a surrogate pair, as a server sends it that cuts inside a character, cannot be written to a file.
    whole = whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    # Set afterwards: made with its text, a message loses a think block that stands in it.
    output.message.content = [ContentText(text="" if stop_reason in SERVER_SPOKE else whole)]
    if isinstance(sent, int) and isinstance(made, int):
        output.usage = ModelUsage(input_tokens=sent, output_tokens=made, total_tokens=sent + made)
    return output


def failure_cause(error: BaseException) -> str:
    """A failed request in a few words that hold no text of the server's (it may quote the prompt)."""
    match error:
        case EndpointDown():
            return "not asked"
        case EarlierTurnFailed():
            return "an earlier turn failed"
        case EmptyChoices() | NoConnection():
            return str(error)
        case TimeoutError():
            return "timed out"
        case OSError():
            return "connection failed"
        case HttpError():
            return f"http {error.code}"
    status = getattr(error, "status_code", None)  # EvalScope's own clients, under its own command
    return f"http {status}" if isinstance(status, int) else f"unreadable reply ({type(error).__name__})"
