"""The ledger beside a journal: what each teacher was sent and what it cost, and the cap on that.

It is a file of its own, `<journal>.ledger`, because a journal holds answers and money is spent on more than those:
retries, answers that broke off, and requests that were on their way when the run was killed. A line is written before
a request that may cost money is sent, with the most that it may cost, and another one after it has ended. So the sum
survives `kill -9`: what has no end counts at its most. The end of a request is written with the start of the next one
(or within a second), since it only ever makes the sum less.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import to_json

from distill.records import Trace, Usage, full_disk_refused, written_whole
from distill.teachers import Teacher
from distill.throttle import Stop
from reward_plugins.errors import Refused

# After so many lines they are folded into one, so that reading the ledger takes a fifth of a second however long the run
# was. Folding waits for the disk, and all requests with it, so it is rare.
_FOLD_AFTER = 100_000
# How a request that was on its way when the run was killed is named among the failures.
_KILLED = "run ended before the answer"


class CapReached(Refused):
    """What the recipe allows is spent. Nothing is wrong, and the same command with a higher cap goes on."""

    exit_code = 3


@dataclass
class Account:
    """One teacher's part, over all runs that wrote to the journal.

    `requests` counts what was sent, `retries` those of them that were not the first for their question, `failed` those
    without an answer, by reason. `uncounted` were or may have been billed without the endpoint saying for how many
    tokens; `cost` (by currency) holds them at their most.
    """

    requests: int = 0
    retries: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    uncounted: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The account as JSON values, money to a millionth."""
        values = dataclasses.asdict(self)
        values["failed"] = dict(sorted(self.failed.items()))
        values["cost"] = {currency: round(cost, 6) for currency, cost in sorted(self.cost.items())}
        return values


class Hold(NamedTuple):
    """Money that is promised and not yet billed."""

    teacher: str
    currency: str
    cost: float


def beside(journal: Path) -> Path:
    """Where the ledger of a journal is."""
    return journal.with_name(journal.name + ".ledger")


class Ledger:
    """The accounts of the teachers, and a cap on their cost by currency.

    Whoever holds the journal holds the ledger. What an earlier run left on its way is billed at its most on opening;
    holds of batch files (see `hold`) stay.
    """

    def __init__(self, path: Path, caps: Mapping[str, float] | None = None) -> None:
        self.path = path
        self.accounts: dict[str, Account] = {}
        self.held: dict[str, Hold] = {}
        self.reached: set[str] = set()
        self._caps = caps or {}
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._promised: defaultdict[str, float] = defaultdict(float)
        self._sent = 0
        self._room: list[asyncio.Future[None]] = []
        self._fd = -1  # opened by `_fold`
        self._end = self._lines = 0
        self._unwritten = b""
        for event in _events(path):
            self._apply(event)
        for key, hold in list(self.held.items()):
            if _is_request(key):
                self._apply({"ended": key, "teacher": hold.teacher, "failed": _KILLED, **_billed_at_most(hold)})
        self._fold()

    def spent(self, currency: str) -> float:
        """What was billed in a currency, by all teachers and in all runs."""
        return self._spent[currency]

    def account(self, teacher: str) -> Account:
        """A teacher's account."""
        account = self.accounts.get(teacher)
        if account is None:
            account = self.accounts[teacher] = Account()
        return account

    async def admit(self, teacher: Teacher, most: float, stop: Stop) -> str | None:
        """Promise the most that a request may cost, and return the key to end it with; None if it is not to be sent.

        Where the cap has no room left, waits for requests on their way, which are mostly billed less than their most.
        With none on its way the cap is reached.
        """
        self._sent += 1
        key = str(self._sent)
        if teacher.prices is None:
            return key
        currency = teacher.prices.currency
        while not self._fits(currency, most):
            if not any(hold.currency == currency and _is_request(key) for key, hold in self.held.items()):
                self.reached.add(currency)
            if stop or currency in self.reached:
                return None
            turn = asyncio.get_running_loop().create_future()
            self._room.append(turn)
            await turn
        self._write({"sent": key, "teacher": teacher.name, "currency": currency, "cost": most})
        self.flush()
        return key

    def ended(
        self,
        key: str,
        teacher: Teacher,
        usage: Usage,
        cost: float,
        *,
        failed: str = "",
        known: bool = True,
        retry: bool = False,
    ) -> None:
        """Bill what a request cost; `known` where the endpoint said for how many tokens (or turned it down unbilled)."""
        event: dict[str, Any] = {"ended": key, "teacher": teacher.name, "tokens": _counts(usage)}
        if teacher.prices:
            event["cost"], event["currency"] = cost, teacher.prices.currency
        if failed:
            event["failed"] = failed
        if not known:
            event["uncounted"] = 1
        if retry:
            event["retry"] = 1
        self._write(event)
        if self._room:
            waiting, self._room = self._room, []
            for turn in waiting:
                if not turn.done():
                    turn.set_result(None)

    def hold(self, key: str, teacher: Teacher, cost: float) -> bool:
        """Promise money for a batch file until `release`, or change its promise; False where the cap has no room."""
        if teacher.prices is None:
            return True
        currency = teacher.prices.currency
        before = self.held[key].cost if key in self.held else 0.0
        if cost > before and not self._fits(currency, cost - before):
            return False
        self._write({"sent": key, "teacher": teacher.name, "currency": currency, "cost": cost})
        self.flush()
        return True

    def release(self, key: str) -> None:
        """Take back a promise that is billed or void."""
        if key in self.held:
            self._write({"released": key})

    def seed(self, traces: Iterable[Trace], teachers: Iterable[Teacher]) -> None:
        """Open the accounts from a journal that has no ledger, at the prices of today.

        A journal tells nothing of retries, nor what went into an answer without usage; of such a one the completion
        is counted at its most.
        """
        known = {teacher.name: teacher for teacher in teachers if teacher.kind == "endpoint"}
        for trace in traces:
            teacher = known.get(trace.teacher)
            if teacher is None:
                continue
            most = Usage(completion_tokens=0 if trace.error else teacher.completion_limit())
            cost = teacher.bill(trace.usage, most)
            known_usage = trace.error is not None or is_known(trace.usage)
            event: dict[str, Any] = {
                "teacher": trace.teacher,
                "tokens": _counts(trace.usage),
                "failed": trace.error or "",
            }
            event |= {"cost": cost, "currency": teacher.prices.currency} if teacher.prices else {}
            self._apply({"ended": "", **event} | ({} if known_usage else {"uncounted": 1}))
        self._fold()

    def sync(self) -> None:
        """Put the ledger on the disk; blocks, so an event loop calls it in a thread."""
        with contextlib.suppress(
            OSError
        ):  # closed meanwhile by `_fold`, which has synced; a full disk is told on writing
            os.fsync(self._fd)

    def close(self) -> None:
        """Write what is left, sync and close."""
        self.flush()
        self.sync()
        os.close(self._fd)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _fits(self, currency: str, cost: float) -> bool:
        cap = self._caps.get(currency)
        return cap is None or self.spent(currency) + self._promised[currency] + cost <= cap

    def _write(self, event: dict[str, Any]) -> None:
        self._apply(event)
        self._unwritten += to_json(event) + b"\n"
        self._lines += 1
        if self._lines >= _FOLD_AFTER:
            os.close(self._fd)
            self._fold()

    def flush(self) -> None:
        """Hand to the kernel what has happened; after a failed write nothing of it is left in the file."""
        line, self._unwritten = self._unwritten, b""
        if not line:
            return
        try:
            written = os.write(self._fd, line)
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self._fd, self._end)
            with full_disk_refused(self.path):
                raise
        self._end += len(line)

    def _apply(self, event: dict[str, Any]) -> None:
        """The one place in which a line changes the accounts, live and on reading."""
        if "ended" in event:
            self._unpromise(event["ended"])
            account = self.account(event["teacher"])
            account.requests += 1
            account.retries += event.get("retry", 0)
            account.uncounted += event.get("uncounted", 0)
            if reason := event.get("failed"):
                account.failed[reason] = account.failed.get(reason, 0) + 1
            prompt, cached, completion = event.get("tokens", (0, 0, 0))
            account.prompt_tokens += prompt
            account.cached_tokens += cached
            account.completion_tokens += completion
            if currency := event.get("currency"):  # free is no currency
                account.cost[currency] = account.cost.get(currency, 0.0) + event["cost"]
                self._spent[currency] += event["cost"]
        elif "accounts" in event:
            for name, values in event["accounts"].items():
                self.accounts[name] = account = Account(**values)
                for currency, cost in account.cost.items():
                    self._spent[currency] += cost
            for key, hold in event["held"].items():
                self._promise(key, Hold(*hold))
        elif "sent" in event:
            self._promise(event["sent"], Hold(event["teacher"], event["currency"], event["cost"]))
        elif "released" in event:
            self._unpromise(event["released"])

    def _promise(self, key: str, hold: Hold) -> None:
        if key in self.held:
            self._unpromise(key)
        self.held[key] = hold
        self._promised[hold.currency] += hold.cost

    def _unpromise(self, key: str) -> None:
        hold = self.held.pop(key, None)
        if hold is None:
            return
        self._promised[hold.currency] -= hold.cost
        if not self.held:
            self._promised.clear()  # what rounding left

    def _fold(self) -> None:
        """Write all as one line, whole or not at all, and go on behind it."""
        accounts = {name: dataclasses.asdict(account) for name, account in self.accounts.items()}
        with written_whole(self.path) as part, part.open("w", encoding="utf-8") as out:
            out.write(json.dumps({"accounts": accounts, "held": self.held}, separators=(",", ":")) + "\n")
            out.flush()
            os.fsync(out.fileno())
        self._unwritten = b""
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._end = os.lseek(self._fd, 0, os.SEEK_END)
        self._lines = 0


def is_known(usage: Usage) -> bool:
    """Whether the endpoint said what it bills."""
    return usage.prompt_tokens is not None and usage.completion_tokens is not None


def _counts(usage: Usage) -> list[int]:
    return [usage.prompt_tokens or 0, usage.cached_tokens or 0, usage.completion_tokens or 0]


def _is_request(key: str) -> bool:
    """Requests are numbered; the holds of batch files bear the files' names."""
    return key.isdigit()


def _billed_at_most(hold: Hold) -> dict[str, Any]:
    return {"currency": hold.currency, "cost": hold.cost, "uncounted": 1}


def _events(path: Path) -> Iterable[dict[str, Any]]:
    """The lines of a ledger; a last line that a power cut tore is left out, any other broken one refused."""
    if not path.is_file():
        return
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line) if line else None
        except ValueError:
            if number == len(lines):
                return
            raise Refused(
                f"{path}, line {number}: not a ledger; put the file back, or take it out to count anew"
            ) from None
        if isinstance(event, dict):
            yield event
