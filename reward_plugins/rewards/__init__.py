"""Rewards by dotted path, in the signature of TRL 1.16 (`reward_plugins.rewards.<name>`)."""

from reward_plugins.rewards.accuracy import finance_accuracy
from reward_plugins.rewards.form import finance_format

__all__ = ["finance_accuracy", "finance_format"]
