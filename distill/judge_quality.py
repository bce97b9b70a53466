"""How far a judge can be trusted; the evaluation measures its judges by the same functions."""

from reward_plugins.judge_quality import Sample, agreement, share

__all__ = ["Sample", "agreement", "share"]
