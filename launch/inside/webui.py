"""sft stack: LLaMA-Factory's web UI, its dataset folder set to where it is started, and no stranger's code.

Its own default folder is `data`, and each of its tabs asks for `trust_remote_code: true`.
"""

from collections.abc import Callable
from typing import Any

from llamafactory.webui import common

common.DEFAULT_DATA_DIR = "."  # before the tabs take it over

from llamafactory.chat import chat_model  # noqa: E402
from llamafactory.webui import engine, runner  # noqa: E402
from llamafactory.webui.components import export  # noqa: E402
from llamafactory.webui.interface import run_web_ui  # noqa: E402


class SafeRunner(runner.Runner):  # type: ignore[misc]  # its stack is not here
    """The train and evaluate tabs' runner, with commands that run no stranger's code."""

    def _parse_train_args(self, data: dict[Any, Any]) -> dict[str, Any]:
        return {**super()._parse_train_args(data), "trust_remote_code": False}

    def _parse_eval_args(self, data: dict[Any, Any]) -> dict[str, Any]:
        return {**super()._parse_eval_args(data), "trust_remote_code": False}


def safely(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, its arguments' `trust_remote_code` set to false."""
    return lambda args, *more: function({**args, "trust_remote_code": False}, *more)


if __name__ == "__main__":
    engine.Runner = SafeRunner
    chat_model.get_infer_args = safely(chat_model.get_infer_args)
    export.export_model = safely(export.export_model)
    run_web_ui()
