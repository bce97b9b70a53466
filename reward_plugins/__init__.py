"""Is this finance answer right, and the rewards made of it."""

from reward_plugins.decision import verify
from reward_plugins.explanation import explain
from reward_plugins.verdict import Verdict

__all__ = ["Verdict", "explain", "verify"]
