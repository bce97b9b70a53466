"""Rewards by dotted path, in the signature of TRL 1.16 (`reward_plugins.rewards.<name>`).

Each is called by keyword with `prompts`, `completions`, `completion_ids` and every column of the data set, and gives
one value for each completion, None where it does not apply. Those that take parameters are classes with one ready
instance; another one is made in a file of one's own and named by its dotted path.
"""

from reward_plugins.rewards.accuracy import finance_accuracy
from reward_plugins.rewards.form import FinanceFormat, finance_format, finance_format_opened
from reward_plugins.rewards.judgement import FinanceJudge, finance_judge
from reward_plugins.rewards.overlong import SoftOverlong, length
from reward_plugins.rewards.repeats import Repetition, repetition

__all__ = [
    "FinanceFormat",
    "FinanceJudge",
    "Repetition",
    "SoftOverlong",
    "finance_accuracy",
    "finance_format",
    "finance_format_opened",
    "finance_judge",
    "length",
    "repetition",
]
