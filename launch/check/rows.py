"""The data files of a recipe: can each line be read, are the columns there, and what conversation is a row?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from distill.dataset_info import COLUMNS, TAGS
from distill.prompts import Message
from launch.check.finding import Finding, Findings, holds, lacking, mistake, note, unknown
from launch.check.place import Place
from reward_plugins.errors import Refused, did_you_mean

Row = dict[str, Any]
Turns = list[Message]
"""A conversation as chat messages."""
_Each = TypeVar("_Each")

READ = (".jsonl", ".json", ".parquet")
"""What a look here can read; the engines load more forms."""

_LINES = 200_000
"""Lines of a file that are read: a gigabyte of traces takes some seconds. A larger file is read in part, and said so."""

_LLAMA_FACTORY = {
    "sharegpt": {"messages": "conversations"},
    "alpaca": {"prompt": "instruction", "query": "input", "response": "output"},
}
"""The columns that LLaMA-Factory takes where an entry of its registry names none."""

_ROLES = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "user",
    "function_tag": "assistant",
    "system_tag": "system",
}
"""Whose turn a tag marks: what is read, and what is trained."""

_ENTRY = {"file_name", "formatting", "ranking", "columns", "tags", "subset", "split", "folder", "num_samples"} | {
    f"{place}_url" for place in ("hf_hub", "ms_hub", "om_hub", "script")
}
"""What LLaMA-Factory 0.9 reads of an entry itself; it ignores any other key without a word."""


@dataclass(frozen=True)
class TrainingSet:
    """An SFT set: its file, and how LLaMA-Factory's registry says that it is read."""

    name: str
    file: Path
    entry: Mapping[str, Any]

    def files(self) -> list[Path]:
        """The file, or all files of the folder that stands in its place."""
        return sorted(self.file.iterdir()) if self.file.is_dir() else [self.file]

    @property
    def form(self) -> str:
        """ "alpaca" or "sharegpt"; "openai" differs from the second in calls of tools alone."""
        named = str(self.entry.get("formatting", "alpaca"))
        return "sharegpt" if named == "openai" else named

    @property
    def ranking(self) -> bool:
        """Whether its rows are pairs of a chosen and a rejected answer."""
        return bool(self.entry.get("ranking"))

    def columns(self) -> dict[str, str]:
        """The columns that a row must have: {LLaMA-Factory's name: the column in the file}."""
        named = self.entry.get("columns")
        used = {k: v for k, v in named.items() if v} if named else dict(_LLAMA_FACTORY.get(self.form, {}))
        if self.ranking:
            used.pop("response", None)
        optional = ("system", "tools", "images", "videos", "audios", "history", "query", "kto_tag")
        return {key: column for key, column in used.items() if key not in optional}

    def talk(self, row: Row) -> Turns:
        """A row as chat messages, the trained answer last; of a pair, the longer answer (it is the one that is cut).

        Raises:
            Refused: a turn with a role that the entry's tags do not name.
        """
        columns, tags = {**self.columns(), **_optional(self.entry)}, TAGS | _filled(self.entry.get("tags"))
        system = str(row.get(columns.get("system", "system")) or "")
        turns = [Message(role="system", content=system)] if system else []
        if self.form == "sharegpt":
            for turn in row[columns["messages"]]:
                turns.append(Message(role=_role(turn, tags), content=str(turn.get(tags["content_tag"]) or "")))
        else:
            asked = [str(row.get(columns.get(key, ""), "") or "") for key in ("prompt", "query")]
            turns.append(Message(role="user", content="\n".join(filter(None, asked))))
            if not self.ranking:
                turns.append(Message(role="assistant", content=str(row.get(columns.get("response", ""), "") or "")))
        if self.ranking:
            both = [_said(row.get(columns.get(key, key)), tags) for key in ("chosen", "rejected")]
            turns.append(Message(role="assistant", content=max(both, key=len)))
        return turns


def sft_sets(asked: Mapping[str, Any], place: Place, key: str = "dataset") -> tuple[list[TrainingSet], list[Finding]]:
    """The sets that a LLaMA-Factory recipe's `key` names, and what is wrong with the registry or the entries.

    Sets of a hub are left out: LLaMA-Factory fetches them.
    """
    registry = place.path(str(asked.get("dataset_dir", "data"))) / "dataset_info.json"
    named = asked.get(key) or []
    names = named if isinstance(named, list) else str(named).split(",")
    wanted = [name for name in (str(each).strip() for each in names) if name]
    if not registry.is_file():
        return [], [
            lacking("data", f"{registry}: no such file; dataset_dir is the folder that holds dataset_info.json")
        ]
    if not wanted:
        return [], []
    try:
        sets = json.loads(registry.read_text(encoding="utf-8"))
        if not isinstance(sets, dict) or not all(isinstance(sets.get(name, {}), dict) for name in wanted):
            return [], [
                mistake("data", f"{registry} is no object of data sets, each an object; run `finr1 export` again")
            ]
    except ValueError:
        return [], [mistake("data", f"{registry} is not JSON; mend it, or move it away and run `finr1 export` again")]
    found, said = [], []
    for name in wanted:
        if name in place.sets_made:
            said.append(unknown("data", f"set {name} is exported by an earlier stage of the pipeline"))
        elif name not in sets:
            near = did_you_mean(name, sets)
            said.append(lacking("data", f"{key}: no set {name!r} in {registry}; `finr1 export` enters it{near}"))
        elif "file_name" not in sets[name]:
            said.append(unknown("data", f"set {name} comes from a hub, and is fetched by LLaMA-Factory"))
        else:
            found.append(TrainingSet(name, registry.parent / sets[name]["file_name"], sets[name]))
    return found, said


def sft_columns(trained: TrainingSet, rows: list[Row], stage: str) -> Findings:
    """Whether the rows have the columns and roles that the registry's entry names, and fit the recipe's stage.

    A mistake's `key` is the name of the set.
    """
    if wrong := _wrong_entry(trained):
        for said in wrong:
            yield mistake("columns", f"dataset_info.json, {trained.name}: {said}", trained.name)
        return
    ranked = stage in ("dpo", "rm")
    if ranked != trained.ranking:
        yield mistake(
            "columns",
            f"stage: {stage} needs a set {'of pairs' if ranked else 'without pairs'}, and dataset {trained.name} has "
            f"ranking: {str(trained.ranking).lower()} in dataset_info.json; name another set, or another stage",
            trained.name,
        )
    if stage == "kto" and not (trained.entry.get("columns") or {}).get("kto_tag"):
        said = "stage: kto needs columns.kto_tag in dataset_info.json, the column that is true for a good answer"
        yield mistake("columns", f"{said}; {trained.name} names none", trained.name)
        return
    for number, row in enumerate(rows, 1):
        lost = [column for column in trained.columns().values() if column not in row]
        if lost:
            said = f"no column {lost[0]!r} (dataset_info.json names it for {trained.name}); it has {', '.join(row)}"
        else:
            said = "" if stage == "pt" else _wrong_turns(trained, row)  # pretraining takes plain text
        if said:
            yield mistake("columns", f"{trained.file}, row {number}: {said}", trained.name)
            return
    if said := mixed(rows):
        yield mistake("columns", f"{trained.file}, {said}", trained.name)
        return
    yield holds("columns", f"{trained.name}: {', '.join(trained.columns().values())} in all {len(rows):,} rows")


def mixed(rows: list[Row]) -> str:
    """Where a column holds values of two kinds, which LLaMA-Factory's library cannot load; "" where none does."""
    first: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        for path, kind in _kinds(row, ""):
            if first.setdefault(path, kind) != kind:
                return f"row {number}: {path.strip('.')} is a {kind}, and a {first[path]} before; make them alike"
    return ""


def _kinds(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """The kind of each value inside a row, by its path; null fits any."""
    if isinstance(value, dict):
        yield path, "mapping"
        for key, inner in value.items():
            yield from _kinds(inner, f"{path}.{key}")
    elif isinstance(value, list):
        yield path, "list"
        for inner in value:
            yield from _kinds(inner, path + "[]")
    elif value is not None:
        yield path, "text" if isinstance(value, str) else "truth value" if isinstance(value, bool) else "number"


def read(file: Path) -> tuple[list[Row], list[Finding]]:
    """All rows of a JSON Lines, JSON or Parquet file, and what was found of the file itself.

    The first line that cannot be read is a mistake, and ends the reading.
    """
    try:
        rows = _parquet(file) if file.suffix == ".parquet" else list(_lines(file))
    except Refused as refusal:
        return [], [mistake("data", str(refusal))]
    if not rows:
        return [], [mistake("data", f"{file} is empty")]
    said = [holds("data", f"{file}: {len(rows):,} rows can be read")]
    if len(rows) == _LINES:
        said = [note("data", f"{file}: {len(rows):,} rows can be read; those after them were not looked at")]
    return rows, said


def first_rows(file: Path, count: int) -> list[Row]:
    """The first rows of a JSON Lines file (or of a JSON list).

    Raises:
        Refused: no such file, an empty one, or a row that is no JSON object.
    """
    if not file.is_file():
        raise Refused(f"{file}: no such file; `finr1 export` writes it")
    rows: list[Row] = []
    for row in _lines(file):
        rows.append(row)
        if len(rows) >= count:
            break
    if not rows:
        raise Refused(f"{file} is empty")
    return rows


def spread(rows: list[_Each], count: int) -> list[_Each]:
    """At most `count` rows, taken evenly from all."""
    return rows if len(rows) <= count else [rows[at * len(rows) // count] for at in range(count)]


def _lines(file: Path) -> Iterator[Row]:
    with file.open("rb") as lines:
        if file.suffix == ".json" and lines.read(64).lstrip()[:1] == b"[":
            lines.seek(0)
            yield from _list(file, lines.read())
            return
        lines.seek(0)
        for number, line in enumerate(lines, 1):
            if number > _LINES:
                return
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError:
                    row = None
                if not isinstance(row, dict):
                    raise Refused(f"{file}, line {number}: not a JSON object in UTF-8; mend the line, or export again")
                if b"\\ud" in line.lower() and _half_letters(row):
                    raise Refused(f"{file}, line {number}: it holds half a letter (\\ud800 to \\udfff); mend the line")
                yield row


def _half_letters(row: Row) -> bool:
    """Whether a text holds one half of a pair of UTF-16, which is no letter and cannot be written."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _list(file: Path, text: bytes) -> list[Row]:
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise Refused(f"{file}: not JSON ({error})") from None
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise Refused(f"{file}, entry {number}: not a JSON object")
    return list(rows[:_LINES])


def _parquet(file: Path) -> list[Row]:
    from pyarrow import ArrowException, parquet

    try:
        rows: list[Row] = parquet.read_table(file).slice(0, _LINES).to_pylist()
    except (ArrowException, OSError) as error:
        raise Refused(f"{file}: not a Parquet file ({str(error).splitlines()[0]})") from None
    return rows


def _optional(entry: Mapping[str, Any]) -> dict[str, str]:
    named = entry.get("columns") or _LLAMA_FACTORY.get(str(entry.get("formatting", "alpaca")), {})
    return {key: column for key, column in named.items() if column and key in ("system", "query")}


def _filled(tags: Mapping[str, Any] | None) -> dict[str, str]:
    return {key: tag for key, tag in (tags or {}).items() if tag and key in TAGS}


def _role(turn: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    said = turn.get(tags["role_tag"])
    for tag, role in _ROLES.items():
        if said == tags[tag]:
            return role
    named = ", ".join(tags[tag] for tag in _ROLES)
    raise Refused(f"a turn's {tags['role_tag']!r} is {said!r}; dataset_info.json knows {named}")


def _said(answer: Any, tags: Mapping[str, str]) -> str:
    return str(answer.get(tags["content_tag"], "") if isinstance(answer, dict) else answer or "")


def _wrong_entry(trained: TrainingSet) -> list[str]:
    """What is wrong with an entry of the registry: LLaMA-Factory ignores what it does not know and reads nothing."""
    columns, tags = trained.entry.get("columns") or {}, trained.entry.get("tags") or {}
    said = [
        f"unknown key {where + key!r}{did_you_mean(key, known)}"
        for where, given, known in (
            ("", trained.entry, _ENTRY),
            ("columns.", columns, COLUMNS),
            ("tags.", tags, set(TAGS)),
        )
        for key in given
        if key not in known
    ]
    if trained.form not in _LLAMA_FACTORY:
        said.append(f"formatting: {trained.form!r} is none{did_you_mean(trained.form, [*_LLAMA_FACTORY, 'openai'])}")
    needed = "messages" if trained.form == "sharegpt" else "prompt"
    if not said and columns and not columns.get(needed):
        said.append(f"columns names no {needed!r}; once columns is there, LLaMA-Factory takes each left out for none")
    return said


def _no_text(trained: TrainingSet, row: Row) -> str:
    """Which of a row's texts is none: LLaMA-Factory leaves such a row out, or fails on it; "" where all are, or null."""
    tags = TAGS | _filled(trained.entry.get("tags"))
    columns = {**trained.columns(), **_optional(trained.entry)}
    for key in ("prompt", "query", "response", "system", "chosen", "rejected"):
        said = row.get(columns.get(key, ""))
        if isinstance(said, dict) and key in ("chosen", "rejected"):
            said = said.get(tags["content_tag"])
        if said is not None and not isinstance(said, str):
            return f"{columns[key]!r} is {said!r:.40}, and takes a text"
        if key in ("chosen", "rejected") and key in columns and not (said or "").strip():
            return f"{columns[key]!r} is empty"
    for turn in row.get(columns.get("messages", ""), []):
        said = turn.get(tags["content_tag"]) if isinstance(turn, dict) else None
        if said is not None and not isinstance(said, str):
            return f"{tags['content_tag']!r} of a turn is {said!r:.40}, and takes a text"
    return ""


def _wrong_turns(trained: TrainingSet, row: Row) -> str:
    if trained.form == "sharegpt" and not isinstance(row[trained.columns()["messages"]], list):
        return f"{trained.columns()['messages']!r} is no list of turns"
    if said := _no_text(trained, row):
        return said
    try:
        talk = trained.talk(row)
    except (Refused, AttributeError) as error:
        return str(error) if isinstance(error, Refused) else "a turn is no JSON object"
    if any(
        isinstance(turn, dict) and turn.get("tool_calls") for turn in row.get(trained.columns().get("messages", ""), [])
    ):
        return ""  # whose order LLaMA-Factory makes anew
    turns = [turn for turn in talk if turn["role"] != "system"]
    if len(turns) < 2:
        return "a conversation needs a question and an answer"
    if not all(turn["content"].strip() for turn in turns):
        return "a turn of the conversation is empty"
    if (
        any(turn["role"] != ("assistant" if place % 2 else "user") for place, turn in enumerate(turns))
        or len(turns) % 2
    ):
        return "question and answer do not take turns up to a last answer; LLaMA-Factory would leave the row out"
    return ""
