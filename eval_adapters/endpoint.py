"""The model under evaluation: an OpenAI-compatible server whose address is no part of the evaluation."""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import urlsplit

import openai
from evalscope.api.messages import ContentText
from evalscope.api.model import ModelOutput
from evalscope.models.openai_compatible import OpenAICompatibleAPI

from eval_adapters.bounded import Bounded
from eval_adapters.gate import EndpointDown, Gate
from eval_adapters.identity import is_loopback
from eval_adapters.scoring import join_reasoning


class EmptyChoices(ValueError):
    """The server answered 200 and sent no choice."""


class HttpError(RuntimeError):
    """An endpoint of another protocol answered with an HTTP error; the names are those that EvalScope reads."""

    def __init__(self, code: int, message: str, body: Any) -> None:
        super().__init__(f"http {code}")
        self.status_code, self.message, self.body = code, message, body
        self.code = body.get("code") if isinstance(body, dict) else None


class PromptRefused(HttpError):
    """No retry can help: the request itself is refused."""


class EarlierTurnFailed(RuntimeError):
    """A turn of a dialogue cannot be asked, since an earlier one has no answer."""


class Endpoint(OpenAICompatibleAPI):  # type: ignore[misc]
    """EvalScope's OpenAI client without the SDK's hidden retries, with a bound on the whole of each attempt.

    EvalScope takes an instance as a task's model and writes the class's name into the cache identity; given an
    address it would write that, and a server on another port could not resume.
    """

    def __init__(self, model_id: str, api_url: str, api_key: str, gate: Gate, timeout_s: float) -> None:
        # One attempt of EvalScope would otherwise be three requests of the SDK.
        super().__init__(model_name=model_id, base_url=api_url, api_key=api_key, max_retries=0)
        self.client.close()
        self._gate = gate
        self.client: Any = _BoundedClient(self.base_url, api_key, timeout_s)

    def generate(self, *args: Any, **kwargs: Any) -> ModelOutput:
        """One row's request with its retries; raises what the last attempt raised, or `EndpointDown`."""
        with self._gate.request():
            return super().generate(*args, **kwargs)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def chat_choices_from_completion(self, completion: Any, tools: Any) -> Any:
        """EvalScope's reading of the choices, save two things.

        No choice at all is a failed request, not an empty answer. And the text stays as the model wrote it: from a
        plain string EvalScope cuts a think block, wherever it stands, and the form could not be judged any more.
        """
        if not completion.choices:
            raise EmptyChoices("the server sent no choices")
        choices = super().chat_choices_from_completion(completion, tools)
        for choice, sent in zip(choices, sorted(completion.choices, key=lambda sent: sent.index), strict=True):
            reasoning = getattr(sent.message, "reasoning_content", None) or getattr(sent.message, "reasoning", None)
            text = sent.message.refusal or sent.message.content or ""
            whole = join_reasoning(reasoning or "", text, cut=choice.stop_reason == "max_tokens")
            choice.message.content = [ContentText(text=whole)]
        return choices


class _BoundedClient:
    """The part of OpenAI's synchronous client that EvalScope uses, `chat.completions.create`, with a total deadline."""

    def __init__(self, base_url: str, api_key: str, timeout_s: float) -> None:
        http = openai.DefaultAsyncHttpxClient(trust_env=behind_proxy(base_url))
        self._client = openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0, http_client=http)
        self._timeout_s = timeout_s
        self._bounded = Bounded()
        whole = self._client.chat.completions.create

        @functools.wraps(whole)  # EvalScope reads the signature, to see which parameters go into extra_body
        def create(**request: Any) -> Any:
            return self._bounded.run(whole(**request), timeout_s)

        self.create = create

    @property
    def chat(self) -> _BoundedClient:
        return self

    @property
    def completions(self) -> _BoundedClient:
        return self

    def close(self) -> None:
        self._bounded.run(self._client.close(), self._timeout_s)
        self._bounded.close()


def behind_proxy(url: str) -> bool:
    """Whether the environment's proxy counts: this machine is not behind it, whatever it says of the outside."""
    return not is_loopback(urlsplit(url).hostname or "")


def failure_cause(error: BaseException) -> str:
    """A failed request in a few words that hold no text of the server's (it may quote the prompt)."""
    match error:
        case EndpointDown():
            return "not asked"
        case EarlierTurnFailed():
            return "an earlier turn failed"
        case EmptyChoices():
            return "empty choices"
        case openai.APITimeoutError() | TimeoutError():
            return "timed out"
        case openai.APIConnectionError() | ConnectionError():
            return "connection failed"
        case openai.APIStatusError() | HttpError():
            return f"http {error.status_code}"
    return f"unreadable reply ({type(error).__name__})"
