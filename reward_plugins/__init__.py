"""Is this finance answer right, and the rewards made of it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reward_plugins.decision import verify
    from reward_plugins.explanation import explain
    from reward_plugins.verdict import Verdict

__all__ = ["Verdict", "explain", "verify"]

_MODULES = {"Verdict": "verdict", "explain": "explanation", "verify": "decision"}


def __getattr__(name: str) -> Any:
    # Every command imports `errors` from here, and few the verifier, whose patterns take a tenth of a second to compile.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
