"""The stage `prepare`: from sources to one file of questions a split, with nothing on two sides of a split."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, TextIO

from pydantic import Field, model_validator

from distill import manifest
from distill.progress import progress_bars
from distill.questions import document, fingerprint
from distill.records import Question, written_whole
from distill.sources import LeftOut, Source, catalogue
from distill.stage import StageSettings
from reward_plugins.errors import Refused

LEFT_OUT = "left_out.jsonl"


class Settings(StageSettings):
    """`sources` -> `<out>/<split>.jsonl` and `<out>/left_out.jsonl`.

    `holdout` moves whole documents of a source out of its train split, as `{finqa: {test: 0.2}}` or, for 8:1:1,
    `{finqa: {validation: 0.1, test: 0.1}}`: shares of its documents, drawn by a hash of `seed` and the document, so a
    document keeps its side whatever else is read. `overlap` says what to do with a question, or a document, that is in
    one split and comes again for another: refuse the run, or drop the later one (so name test sources first).
    """

    out: Path
    sources: list[Source] = Field(min_length=1)
    holdout: dict[str, dict[str, float]] = Field(default_factory=dict)
    seed: int = 0
    overlap: Literal["refuse", "drop"] = "refuse"

    @model_validator(mode="after")
    def _holdout_makes_sense(self) -> Settings:
        names = {source.name for source in self.sources}
        for name, shares in self.holdout.items():
            if name not in names:
                raise ValueError(f"holdout names {name!r}, which is not among the sources")
            if any(share <= 0 for share in shares.values()) or sum(shares.values()) >= 1:
                raise ValueError(f"holdout of {name!r}: shares are above 0 and leave some documents to train on")
            if "train" in shares:
                raise ValueError(f"holdout of {name!r}: what is not held out is train already")
        return self

    def inputs(self) -> list[Path]:
        return sorted({file for source in self.sources for file in source.files()})

    def manifest_path(self) -> Path:
        return self.out / "manifest.json"


def run(settings: Settings) -> dict[str, Any]:
    """Write the questions of each split; returns counts by split, by source and by reason of what was left out.

    The same settings and files give the same bytes. Raises `Refused` where a source cannot be read, an id stands
    twice, or two splits overlap (unless `overlap: drop`); then nothing is written.
    """
    stage = manifest.Run("prepare", settings)
    settings.manifest_path().unlink(missing_ok=True)
    splits, sources, left_out, licences = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    sides = Sides(settings)
    with ExitStack() as files, progress_bars() as bars:
        bar = bars.add_task("prepare", total=None, note="")
        out = {LEFT_OUT: _open(files, settings.out / LEFT_OUT)}
        done = 0
        for done, (name, row) in enumerate(_rows(settings), 1):
            placed = sides.place(row) if isinstance(row, Question) else row
            if isinstance(placed, LeftOut):
                left_out[f"{name}: {placed.reason}"] += 1
                record: dict[str, Any] = {"source": name, "row": placed.row, "reason": placed.reason}
                target = LEFT_OUT
            else:
                splits[placed.split] += 1
                sources[f"{name}: {placed.split}"] += 1
                licences[placed.licence] += 1
                record, target = placed.model_dump(), f"{placed.split}.jsonl"
            if target not in out:
                out[target] = _open(files, settings.out / target)
            out[target].write(json.dumps(record, ensure_ascii=False) + "\n")
            if done % 256 == 0:
                bars.update(bar, completed=done)
        bars.update(bar, completed=done, total=done)
        if not splits:
            raise Refused(f"the sources gave no question; {_commonest(left_out)}")
        for file in out.values():
            file.flush()
            os.fsync(file.fileno())
    counts = {
        "questions": dict(sorted(splits.items())),
        "sources": dict(sorted(sources.items())),
        "left_out": dict(sorted(left_out.items())),
        "documents": sides.documents(),
    }
    homes = {source.name: catalogue()[source.name].home for source in settings.sources}
    stage.done([settings.out / name for name in out], counts, licences=dict(sorted(licences.items())), homes=homes)
    return counts


def _open(files: ExitStack, path: Path) -> TextIO:
    return files.enter_context(files.enter_context(written_whole(path)).open("w", encoding="utf-8"))


def _rows(settings: Settings) -> Iterator[tuple[str, Question | LeftOut]]:
    """The rows of all sources, each with its source's name; `limit` counts the good ones."""
    for source in settings.sources:
        good = 0
        for row in source.questions():
            good += isinstance(row, Question)
            if source.limit is not None and good > source.limit:
                break
            yield source.name, row


class Sides:
    """Which split each document and question is on. Memory: about 100 bytes for each."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ids: set[int] = set()
        self._documents: dict[int, str] = {}
        self._questions: dict[int, str] = {}

    def place(self, question: Question) -> Question | LeftOut:
        """The question with its final split, or left out as a repetition or (with `overlap: drop`) as an overlap.

        Raises `Refused` for an id that stands twice, and for an overlap.
        """
        if hash(question.id) in self._ids:
            raise Refused(f"two questions have the id {question.id!r}; does a source stand twice, with one seed?")
        self._ids.add(hash(question.id))
        home, text = document(question), fingerprint(question)
        split = self._side(question.source, home) if question.split == "train" else question.split
        sides = {self._documents.get(hash(home), split), self._questions.get(text, split)} - {split}
        if sides:
            what = f"document {home!r}" if self._documents.get(hash(home), split) != split else "question"
            return self._overlap(question, what, split, sides.pop())
        if text in self._questions:
            return LeftOut(question.id, "the same question twice")
        self._documents[hash(home)] = self._questions[text] = split
        return question if split == question.split else question.model_copy(update={"split": split})

    def documents(self) -> dict[str, int]:
        """How many documents each split draws on."""
        return dict(sorted(Counter(self._documents.values()).items()))

    def _side(self, source: str, home: str) -> str:
        """Where a document of a train split goes: its hash, between 0 and 1, falls into one of the shares."""
        shares = self._settings.holdout.get(source)
        if not shares:
            return "train"
        digest = hashlib.blake2b(f"{self._settings.seed}/{home}".encode(), digest_size=8).digest()
        place = int.from_bytes(digest, "big") / 2**64
        for split, share in shares.items():
            if place < share:
                return split
            place -= share
        return "train"

    def _overlap(self, question: Question, what: str, split: str, other: str) -> LeftOut:
        if self._settings.overlap == "drop":
            return LeftOut(question.id, f"already in {other}, not wanted in {split}")
        raise Refused(
            f"the {what} of {question.id!r} is in {other} and again in {split}; mend the sources, "
            "or drop what comes later with overlap: drop"
        )


def _commonest(left_out: Counter[str]) -> str:
    if not left_out:
        return "they are empty"
    reason, count = left_out.most_common(1)[0]
    return f"{count} rows were left out because of {reason!r}"
