"""The stage `prepare`: from sources to one file of questions a split, with nothing on two sides of a split."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, TextIO

from pydantic import Field, field_validator, model_validator
from rich.progress import Progress

from distill import manifest
from distill.progress import progress_bars
from distill.questions import check_meta, document, fingerprint
from distill.records import Question, written_whole
from distill.sampling import Drawing, Sample
from distill.sources import LeftOut, Source, catalogue
from distill.stage import StageSettings
from reward_plugins.errors import Refused
from reward_plugins.golds import refusal

LEFT_OUT = "left_out.jsonl"


# What "8:2" and "8:1:1" part the documents into.
_SPLITS = {2: ("train", "test"), 3: ("train", "validation", "test")}


class Settings(StageSettings):
    """`sources` -> `<out>/<split>.jsonl` and `<out>/left_out.jsonl`.

    `split`, as "8:2" (train, test) or "8:1:1" (train, validation, test), parts the documents of every source's train
    split; `holdout` says it for one source, as `{finqa: {validation: 0.1, test: 0.1}}`. The rule: a document's place is
    a hash of `seed` and its name, as a number from 0 to 1; the held-out splits take the low end, each as long as its
    share, and train the rest. So a document keeps its side whatever else is read, and shares are of documents, met as
    well as their number allows. `sample` then draws questions from all splits. `overlap` says what to do with a
    question, or a document, that is in one split and comes again for another: refuse the run, or drop the later one
    (so name test sources first).
    """

    out: Path
    sources: list[Source] = Field(min_length=1)
    split: str | None = None
    holdout: dict[str, dict[str, float]] = Field(default_factory=dict)
    sample: Sample | None = None
    seed: int = 0
    overlap: Literal["refuse", "drop"] = "refuse"

    @field_validator("sample", mode="before")
    @classmethod
    def _sample_of(cls, value: Any) -> Any:
        """`sample: 2000` is short for `sample: {count: 2000}`."""
        return {"count": value} if isinstance(value, int) else value

    @field_validator("split", mode="before")
    @classmethod
    def _split_in_quotes(cls, value: Any) -> Any:
        """Without quotes YAML takes 8:2 for hours and minutes, and reads 482."""
        if isinstance(value, int | float):
            raise ValueError('put it in quotes, as "8:2" or "8:1:1"; without them YAML reads a time')
        return value

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
        self.shares("")
        return self

    def shares(self, source: str) -> dict[str, float]:
        """The held-out splits of a source's train split, each with its share of the documents."""
        if source in self.holdout or self.split is None:
            return self.holdout.get(source, {})
        parts = [int(part) for part in self.split.split(":")] if re.fullmatch(r"\d+(:\d+){1,2}", self.split) else []
        if not parts or 0 in parts:
            raise ValueError(f"split {self.split!r}: say it as 8:2 (train, test) or 8:1:1 (train, validation, test)")
        return {name: part / sum(parts) for name, part in list(zip(_SPLITS[len(parts)], parts, strict=True))[1:]}

    def inputs(self) -> list[Path]:
        return sorted({file for source in self.sources for file in source.files()})

    def manifest_path(self) -> Path:
        return self.out / "manifest.json"


def run(settings: Settings) -> dict[str, Any]:
    """Write the questions of each split; returns counts by split, source, type and reason of what was left out.

    The same settings and files give the same bytes; a split that only the run before had is removed. Raises `Refused`
    where a source cannot be read, gives no question at all or lies in `out`, a side of a split gets no document, two
    sources give one id, or two splits overlap (unless `overlap: drop`); then nothing is written.
    A gold that the verifier does not accept as its own answer gets `meta["doubt"]`: it is no ground for a reward. A
    sample takes a second pass over the sources.
    """
    stage = manifest.Run("prepare", settings)
    if within := [file for file in settings.inputs() if file.resolve().parent == settings.out.resolve()]:
        raise Refused(f"{within[0]}: a source in the folder `out` could be written over; name another `out`")
    before = (manifest.read(settings.manifest_path()) or {"outputs": {}})["outputs"]
    settings.manifest_path().unlink(missing_ok=True)
    splits, sources, left_out, licences = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    types, doubts = Counter[str](), Counter[str]()
    documents: defaultdict[str, set[int]] = defaultdict(set)
    with ExitStack() as files, progress_bars() as bars:
        drawing = _drawing(settings, bars)
        bar = bars.add_task("prepare", total=None, note="")
        out = {LEFT_OUT: _open(files, settings.out / LEFT_OUT)}
        done = 0
        for done, (name, placed) in enumerate(_placed(settings), 1):
            if done % 256 == 0:
                bars.update(bar, completed=done)
            if isinstance(placed, LeftOut):
                left_out[f"{name}: {placed.reason}"] += 1
                record: dict[str, Any] = {"source": name, "row": placed.row, "reason": placed.reason}
                target = LEFT_OUT
            elif drawing is not None and placed not in drawing:
                continue
            else:
                splits[placed.split] += 1
                sources[f"{name}: {placed.split}"] += 1
                licences[placed.licence] += 1
                types[str(placed.meta.get("type", ""))] += 1
                if refused := refusal(placed.gold, placed.question, check_meta(placed)):
                    placed.meta.setdefault("doubt", refused)
                doubts[name] += "doubt" in placed.meta
                documents[placed.split].add(hash(document(placed)))
                record, target = placed.model_dump(), f"{placed.split}.jsonl"
            if target not in out:
                out[target] = _open(files, settings.out / target)
            out[target].write(json.dumps(record, ensure_ascii=False) + "\n")
        bars.update(bar, completed=done, total=done)
        if not splits:
            kinds = ", ".join(sorted({" ".join(stratum) for stratum in drawing.sizes})) if drawing else ""
            raise Refused(
                f"the sample is empty: no question is of a type in `shares` (there are: {kinds})"
                if kinds
                else f"the sources gave no question; {_commonest(left_out)}"
            )
        for file in out.values():
            file.flush()
            os.fsync(file.fileno())
    counts: dict[str, Any] = {
        "questions": dict(sorted(splits.items())),
        "sources": dict(sorted(sources.items())),
        "types": dict(sorted(types.items())),
        "left_out": dict(sorted(left_out.items())),
        "documents": {split: len(found) for split, found in sorted(documents.items())},
        "doubted": {name: count for name, count in sorted(doubts.items()) if count},
    }
    if drawing is not None:
        counts["drawn"] = {
            " ".join(stratum): f"{drawing.wanted[stratum]} of {size}" for stratum, size in drawing.sizes.items()
        }
    for name in {
        Path(path).name for path in before
    } - out.keys():  # a split of the last run's, which is none of this one's
        (settings.out / name).unlink(missing_ok=True)
    homes = {source.name: catalogue()[source.name].home for source in settings.sources}
    stage.done([settings.out / name for name in out], counts, licences=dict(sorted(licences.items())), homes=homes)
    return counts


def _drawing(settings: Settings, bars: Progress) -> Drawing | None:
    """The sample, drawn in a pass of its own over the sources; None where none is asked for."""
    if settings.sample is None:
        return None
    bar = bars.add_task("draw", total=None, note="")
    questions = (row for _, row in _placed(settings) if isinstance(row, Question))
    drawing = Drawing(settings.sample, settings.seed, questions)
    bars.update(bar, completed=sum(drawing.sizes.values()), total=sum(drawing.sizes.values()))
    return drawing


def _open(files: ExitStack, path: Path) -> TextIO:
    return files.enter_context(files.enter_context(written_whole(path)).open("w", encoding="utf-8"))


def _placed(settings: Settings) -> Iterator[tuple[str, Question | LeftOut]]:
    """The rows of all sources on their sides, each with its source's name; `limit` counts the good ones."""
    sides = Sides(settings)
    for number, source in enumerate(settings.sources):
        good = 0
        reasons = Counter[str]()
        for row in source.questions():
            if isinstance(row, LeftOut):
                reasons[row.reason] += 1
                yield source.name, row
                continue
            good += 1
            if source.limit is not None and good > source.limit:
                break
            yield source.name, sides.place(row, number)
        if not good:
            told = _commonest(reasons)
            hint = "; its key `columns` names yours" if "no column" in told and "columns" in source.parameters() else ""
            raise Refused(f"the source {source.name!r} gave no question; {told}{hint}")
    sides.refuse_empty()


class Sides:
    """Which split each document and question is on. Memory: about 100 bytes for each."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._shares = {source.name: settings.shares(source.name) for source in settings.sources}
        self._ids: dict[int, int] = {}
        self._documents: dict[int, str] = {}
        self._questions: dict[int, str] = {}

    def place(self, question: Question, source: int) -> Question | LeftOut:
        """The question with its final split, or left out as a repetition or (with `overlap: drop`) as an overlap.

        `source` is the number of its source in the recipe. Raises `Refused` for an overlap, and for an id of another
        source; within one, the later row of an id is left out.
        """
        first = self._ids.get(hash(question.id))
        if first is not None and first != source:
            raise Refused(
                f"two sources give the id {question.id!r}; does one stand twice, with one seed or file?"
                " Files whose rows have the same ids are read as one folder; those of one name need another one"
            )
        if first is not None:
            return LeftOut(question.id, "the same id twice")
        self._ids[hash(question.id)] = source
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

    def refuse_empty(self) -> None:
        """After the last row: raise `Refused` where a side of a split that was asked for has no document."""
        held_out = {split for shares in self._shares.values() for split in shares}
        there = Counter(self._documents.values())
        if held_out and (empty := sorted({"train", *held_out} - there.keys())):
            found = ", ".join(f"{count:,} in {split}" for split, count in sorted(there.items()))
            raise Refused(
                f"no document fell to {empty[0]} ({found}): there are too few for these shares; "
                "take another seed or larger shares, or name a finer document in the column doc"
            )

    def _side(self, source: str, home: str) -> str:
        """Where a document of a train split goes: its hash, between 0 and 1, falls into one of the shares."""
        shares = self._shares.get(source)
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
