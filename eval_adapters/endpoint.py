"""The model under evaluation: an OpenAI-compatible server whose address is no part of the evaluation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import openai
from evalscope.api.messages import ContentText
from evalscope.api.model import ModelOutput
from evalscope.models.openai_compatible import OpenAICompatibleAPI

from eval_adapters.identity import is_loopback
from eval_adapters.scoring import join_reasoning


class EndpointDown(RuntimeError):
    """The endpoint is not asked any more: it failed so often in a row, or the user stopped the run."""


class EmptyChoices(ValueError):
    """The server answered 200 and sent no choice."""


class EarlierTurnFailed(RuntimeError):
    """A turn of a dialogue cannot be asked, since an earlier one has no answer."""


class Endpoint(OpenAICompatibleAPI):  # type: ignore[misc]
    """EvalScope's OpenAI client without the SDK's hidden retries, which gives up on a server that only fails.

    EvalScope takes an instance as a task's model and writes the class's name into the cache identity; given an
    address it would write that, and a server on another port could not resume.
    """

    def __init__(
        self,
        model_id: str,
        api_url: str,
        api_key: str,
        requests_at_once: int,
        patience: int,
        on_reply: Callable[[], None],
    ) -> None:
        """`patience`: after so many failed rows in a row, none answered between, the rest is not asked."""
        # This machine is not behind a proxy, whatever the environment says of the outside.
        own = {"http_client": openai.DefaultHttpxClient(trust_env=False)} if _is_local(api_url) else {}
        # One attempt of EvalScope would otherwise be three requests of the SDK.
        super().__init__(model_name=model_id, base_url=api_url, api_key=api_key, max_retries=0, **own)
        self._stopped = False
        self._slots = threading.Semaphore(requests_at_once)
        self._patience = patience
        self._failed_in_a_row = 0
        self._counting = threading.Lock()
        self._on_reply = on_reply

    def generate(self, *args: Any, **kwargs: Any) -> ModelOutput:
        """One request with its retries; raises what the last attempt raised, or `EndpointDown`."""
        try:
            with self._slots:
                if self._stopped or self._failed_in_a_row >= self._patience:
                    raise EndpointDown
                output = super().generate(*args, **kwargs)
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            raise  # the server speaks of this prompt, so it is up
        except Exception:
            with self._counting:
                self._failed_in_a_row += 1
            raise
        finally:
            self._on_reply()
        self._failed_in_a_row = 0
        return output

    def stop(self) -> None:
        """Ask nothing more; requests in flight end, and their answers are kept."""
        self._stopped = True

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


def _is_local(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")


def failure_cause(error: BaseException) -> str:
    """A failed request in a few words that hold no text of the server's (it may quote the prompt)."""
    match error:
        case EndpointDown():
            return "not asked"
        case EarlierTurnFailed():
            return "an earlier turn failed"
        case EmptyChoices():
            return "empty choices"
        case openai.APITimeoutError():
            return "timed out"
        case openai.APIConnectionError():
            return "connection failed"
        case openai.APIStatusError():
            return f"http {error.status_code}"
    return f"unreadable reply ({type(error).__name__})"
