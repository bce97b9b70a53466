"""Distilling by batch files: for teachers that answer within a day at half the price.

`write` puts what is missing into files for the endpoint's batch API; `read` brings the results into the journal. What
is out, or was answered, is asked by neither way again. Uploading and fetching is the endpoint's own tool's work.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from distill.ask import Settings, opened, surveyed
from distill.batch_files import Outstanding, as_row, most, read_result, request_line, result_places
from distill.endpoint import Failure
from distill.journal import Journal, entries
from distill.ledger import Ledger, is_known
from distill.plan import Plan, Request, custom_id
from distill.records import written_whole
from distill.reply import NO_REPLY, Reply
from reward_plugins.errors import Refused


def write(settings: Settings) -> dict[str, Any]:
    """Write what no teacher with an address has answered into batch files; returns the files and counts by teacher.

    Under a `cost_cap` no more is written than can be paid at its most (`beyond_cap` counts the rest). A request that
    is longer than a file may be is `too_long`, and left for `ask.run`. Raises `Refused` as `ask.run` does.
    """
    files: list[dict[str, Any]] = []
    teachers: dict[str, dict[str, int]] = {}
    with opened(settings) as (journal, book):
        out = Outstanding(settings.out)
        survey = surveyed(settings, journal, out.ids)
        asked = [plan for plan in survey.plans if plan.teacher.is_paid]
        if not asked:
            raise Refused("no teacher of this recipe has an address of its own, so none takes a batch")
        for plan in asked:
            counts = teachers[plan.teacher.name] = {"written": 0, "in_batch": plan.in_batch, "too_long": 0}
            for path, rows, cost in _files(plan, settings, out, book, counts):
                files.append(as_row(path, rows, cost, plan.teacher))
                counts["written"] += rows
            counts["beyond_cap"] = plan.left - counts["written"] - counts["too_long"]
    return {"questions": survey.count, "bad_lines": dict(survey.bad), "teachers": teachers, "files": files}


def _files(
    plan: Plan, settings: Settings, out: Outstanding, book: Ledger, counts: dict[str, int]
) -> Iterator[tuple[Path, int, float]]:
    """Write the files of one teacher, each whole or not at all, and yield (path, rows, most cost) of each."""
    limits = settings.batch

    def lines() -> Iterator[bytes]:
        for request in plan.pending(settings.questions):
            line = request_line(request, limits.url)
            if len(line) > limits.max_bytes:
                counts["too_long"] += 1
            else:
                yield line

    waiting = lines()
    line = next(waiting, None)
    while line is not None:
        path = out.next_path(plan.teacher)
        rows, size, cost = 0, 0, most(line, plan.teacher)
        if not book.hold(path.name, plan.teacher, cost):  # before the file is there: a promise without one is void
            return
        with written_whole(path) as part, part.open("wb") as file:
            while line is not None:
                file.write(line)
                rows, size = rows + 1, size + len(line)
                line = next(waiting, None)
                if line is None or rows == limits.max_rows or size + len(line) > limits.max_bytes:
                    break
                more = most(line, plan.teacher)
                if not book.hold(path.name, plan.teacher, cost + more):
                    line = None
                    break
                cost += more
            file.flush()
            os.fsync(file.fileno())
        yield path, rows, cost


def read(settings: Settings, files: Sequence[Path]) -> dict[str, Any]:
    """Bring output and error files of batches into the journal; returns what became of their lines.

    They may come in any order, in part, and more than once. What the endpoint turned down for good is an error in the
    journal; what expired or failed on its side is `asked_again`, by the next batch or run. `already` were in the
    journal, or were read and billed before; `foreign` belong to no request of this recipe (as it is now). Raises `Refused` for a missing file.
    """
    counts: Counter[str] = Counter()
    again: Counter[str] = Counter()
    with opened(settings) as (journal, book):
        places = result_places(files, counts)
        out = Outstanding(settings.out)
        waiting = out.ids
        before = {custom_id(entry.id) for entry in entries(settings.out, settings.skip_bad)}
        read_now: set[str] = set()
        survey = surveyed(settings, journal, ())
        for plan in survey.plans:
            if not plan.teacher.is_paid:
                continue
            prefill = plan.teacher.prefill.text if plan.teacher.prefill else ""
            for request in plan.pending(settings.questions):
                place = places.get(request.custom_id)
                if place is None:
                    continue
                with place.path.open("rb") as results:
                    results.seek(place.offset)
                    result = read_result(results.readline(), prefill)
                assert result is not None, "the file has changed while it was read"
                read_now.add(request.custom_id)
                failed = isinstance(result.outcome, Failure) and result.outcome.again
                if failed and request.custom_id not in waiting:  # billed when its file was read before
                    counts["already"] += 1
                else:
                    _settle(request, result.outcome, journal, book, counts, again)
        journal.sync()
        counts["already"] += len(places.keys() & before)
        counts["foreign"] = len(places.keys() - before - read_now)
        teachers = {teacher.name: teacher for teacher in settings.teachers}
        left = out.take_back(read_now | (places.keys() & before), teachers, book)
    names = ("results", "answered", "errors", "already", "twice", "foreign", "truncated", "unreadable")
    return {**{name: counts[name] for name in names}, "asked_again": dict(again), "in_batch": left}


def _settle(
    request: Request,
    outcome: Reply | Failure,
    journal: Journal,
    book: Ledger,
    counts: Counter[str],
    again: Counter[str],
) -> None:
    """Bill a result, then journal it: a kill in between bills it twice, and loses nothing."""
    teacher = request.teacher
    if isinstance(outcome, Reply) or outcome.billed:
        cost = teacher.bill(outcome.usage, teacher.worst(request.prompt), batch=True)
    else:
        cost = 0.0
    failed = outcome.reason if isinstance(outcome, Failure) else ""
    known = is_known(outcome.usage) or (bool(failed) and not cost)
    book.ended("", teacher, outcome.usage, cost, failed=failed, known=known)
    if isinstance(outcome, Reply):
        journal.append(request.trace(outcome))
        counts["answered"] += 1
    elif outcome.again:
        again[outcome.reason] += 1
    else:
        journal.append(request.trace(NO_REPLY, error=outcome.reason))
        counts["errors"] += 1
