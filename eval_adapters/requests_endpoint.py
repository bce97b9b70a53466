"""A model behind any HTTP endpoint that takes and gives JSON, by a mapping of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalscope.api.messages import ChatMessage
from evalscope.api.model import GenerateConfig, ModelOutput

from eval_adapters.endpoint import EmptyChoices, Endpoint, completed
from eval_adapters.gate import Gate
from eval_adapters.settings import RequestForm


class RequestsEndpoint(Endpoint):
    """Posts `form.body`, filled in, to `api_url`, and reads the reply by `form`'s paths."""

    def __init__(
        self, model_id: str, api_url: str, api_key: str, gate: Gate, timeout_s: float, form: RequestForm
    ) -> None:
        key = {form.key_header: form.key_prefix + api_key} if form.key_header else {}
        super().__init__(model_id, api_url, {**key, **form.headers}, gate, timeout_s)
        self._form = form

    def body(self, messages: list[ChatMessage], config: GenerateConfig) -> Any:
        """The user's own JSON with the words put in."""
        system = "\n\n".join(message.text for message in messages if message.role == "system")
        return filled(
            self._form.body,
            {
                "$prompt": "\n\n".join(message.text for message in messages),
                "$question": messages[-1].text,
                "$system": system or None,
                "$messages": [{"role": message.role, "content": message.text} for message in messages],
                "$model": self.model_name,
                "$max_tokens": config.max_tokens,
                "$temperature": config.temperature,
                "$top_p": config.top_p,
                "$seed": config.seed,
                "$stop": config.stop_seqs,
            },
        )

    def read(self, reply: Any) -> ModelOutput:
        """The completion at the paths of the form."""
        form = self._form
        text, reasoning = at(reply, form.answer), at(reply, form.reasoning)
        if not isinstance(text, str) and not reasoning:
            raise EmptyChoices(f"no text at {form.answer} of the reply")
        cut = str(at(reply, form.finish_reason)) in form.cut
        return completed(
            self.model_name,
            text if isinstance(text, str) else "",
            str(reasoning or ""),
            "max_tokens" if cut else "stop",
            at(reply, form.prompt_tokens),
            at(reply, form.completion_tokens),
        )


def filled(value: Any, words: Mapping[str, Any]) -> Any:
    """A JSON value with each string that is one of `words` replaced; a key is left out where its word is None."""
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
