"""The kit's benchmarks for EvalScope, scored by `reward_plugins` and nothing else.

EvalScope finds no benchmark outside its own package, so `register()` must run before it looks for ours;
`python -m eval_adapters` is EvalScope's own command with that done. Importing this package stays fast: EvalScope
itself (seconds) is imported by `register()` only.
"""

from __future__ import annotations

import logging


def register() -> None:
    """Make the kit's benchmarks known to EvalScope. May be called again; the second call does nothing."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    import eval_adapters.benchmarks  # noqa: F401 - registers when it is imported

    # EvalScope replaces the root logger's handlers when it is imported; the caller's come back here.
    root.handlers[:], root.level = handlers, level
