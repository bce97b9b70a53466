"""The data that a GRPO recipe names: a folder or a mixture of folders, as `datasets` would load each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launch.check.finding import Finding, Findings, mistake, note, unknown
from launch.check.place import Place
from launch.check.rows import READ, Row, read
from reward_plugins.errors import Refused, did_you_mean

_PARTS = ("id", "config", "split", "columns", "weight")
_MIXTURE = ("datasets", "seed", "test_split_size")
"""open-r1's keys of a mixture and of its parts."""


@dataclass(frozen=True)
class GrpoSet:
    """One local set of a recipe: its files by split, and the columns that are taken of it (all, if empty)."""

    files: Mapping[str, list[Path]] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    def taken(self, rows: Iterable[Row]) -> list[Row]:
        """Rows with the columns that the training sees."""
        return [{key: row[key] for key in self.columns if key in row} if self.columns else row for row in rows]

    def paths(self) -> list[Path]:
        """Each file once, in the order of the splits."""
        return list(dict.fromkeys(file for files in self.files.values() for file in files))


def grpo_sets(data: Mapping[str, Any], asked: Mapping[str, Any], place: Place) -> tuple[list[GrpoSet], list[Finding]]:
    """The local sets of a GRPO recipe, and what is wrong with how they are named and where they are.

    `data` holds open-r1's own keys, `asked` the recipe. Sets of a hub are left out.
    """
    mixture = data.get("dataset_mixture")
    if not mixture:
        return _one(place, asked.get("dataset_name"), asked.get("dataset_config"), "dataset_name", "dataset_config")
    parts = mixture.get("datasets")
    listed = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    if not listed or listed != parts or not all(isinstance(part.get("id"), str) for part in listed):
        return [], [mistake("data", "dataset_mixture: datasets is a list of mappings, each with the id of a set")]
    sets: list[GrpoSet] = []
    said = [*_mixture(mixture, listed, str(data.get("dataset_prompt_column", "prompt")))]
    if asked.get("dataset_name"):
        said.append(note("data", "dataset_name and dataset_mixture are both set; the mixture is taken"))
    for part in listed:
        found, more = _one(place, part["id"], part.get("config"), "dataset_mixture", "dataset_mixture: config")
        said += more
        for each in found:
            split = str(part.get("split", "train"))
            if split.partition("[")[0] not in each.files:
                near = did_you_mean(split, each.files)
                said.append(mistake("data", f"dataset_mixture: {part['id']} has no split {split!r}{near}"))
            else:
                columns = tuple(part["columns"]) if _named(part.get("columns")) else ()
                sets.append(GrpoSet({"train": each.files[split.partition("[")[0]]}, columns))
    return sets, said


def splits(folder: Path, config: str | None, key: str = "dataset_config") -> dict[str, list[Path]]:
    """The files of a folder's splits as `datasets.load_dataset(folder, config)` would find them.

    Raises:
        Refused: `datasets` finds none there, or no such configuration (`key` is what the recipe calls it).
    """
    plain = {split: [folder / f"{split}.jsonl"] for split in ("train", "test") if (folder / f"{split}.jsonl").is_file()}
    if not config and "train" in plain and len(list(folder.iterdir())) == len(plain):
        return plain  # as the kit exports them; the library takes a second to import
    from datasets import load_dataset_builder

    try:
        found = load_dataset_builder(str(folder), config).config.data_files or {}
    except Exception as error:  # the library has one of its own for each cause
        hint = f"{key}: " if "onfig" in str(error) else ""
        raise Refused(f"{hint}{folder}: {' '.join(str(error).split())[:300]}") from None
    return {str(split): [Path(file) for file in files] for split, files in found.items()}


def read_sets(sets: Iterable[GrpoSet]) -> tuple[dict[Path, list[Row]], list[Finding]]:
    """The rows of each file, with the columns that are taken of it, and what was found of files and columns."""
    loaded: dict[Path, list[Row]] = {}
    found: list[Finding] = []
    for each in sets:
        for file in each.paths():
            rows, said = read(file)
            loaded[file] = each.taken(rows)
            found += [*said, *_columns_there(each, file, rows)]
    return loaded, found


def _columns_there(of: GrpoSet, file: Path, rows: list[Row]) -> Findings:
    """Whether a file has the columns that its part of a mixture takes."""
    for column in of.columns:
        if rows and column not in rows[0]:
            near = did_you_mean(column, rows[0])
            yield mistake("columns", f"dataset_mixture: columns: {file} has no column {column!r}{near}")


def _one(place: Place, name: Any, config: Any, key: str, config_key: str) -> tuple[list[GrpoSet], list[Finding]]:
    if name is None:
        said = "the recipe names no data: give dataset_name (a folder or a hub id) or dataset_mixture"
        return [], [mistake("data", said)]
    folder = place.path(name)
    if place.will_be_made(folder):
        return [], [unknown("data", f"{name} is written by an earlier stage of the pipeline")]
    if folder.is_file():
        return [], [mistake("data", f"{key}: {name} is a file; name the folder that it is in")]
    if not folder.is_dir():
        if str(name).startswith(("datasets/", "runs/", ".", "/")) or str(name).count("/") != 1:
            return [], [place.missing("data", folder, key, "`finr1 export` writes it")]
        return [], [unknown("data", f"set {name} comes from a hub, and is fetched when the run starts")]
    try:
        files = splits(folder, str(config) if config is not None else None, config_key)
    except Refused as refusal:
        return [], [mistake("data", str(refusal))]
    readable = {split: [file for file in files_ if file.suffix in READ] for split, files_ in files.items()}
    passed = [file for split, files_ in files.items() for file in files_ if file not in readable[split]]
    said_of = [unknown("data", f"{file} is loaded by the engine, and not looked at here") for file in passed]
    return [GrpoSet(readable)], said_of


def _mixture(mixture: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], prompt: str) -> Findings:
    """Mistakes in the words of a mixture."""
    for where, given, known in [("", mixture, _MIXTURE), *((f"{part['id']}: ", part, _PARTS) for part in parts)]:
        for key in given:
            if key not in known:
                yield mistake("data", f"dataset_mixture: {where}unknown key {key!r}{did_you_mean(key, known)}")
    test = mixture.get("test_split_size")
    if test is not None and (isinstance(test, bool) or not isinstance(test, int | float) or not test > 0):
        yield mistake(
            "data", f"dataset_mixture: test_split_size is {test!r}; it is a share or a number of rows, above 0"
        )
    taken = {tuple(sorted(part["columns"])) if _named(part.get("columns")) else () for part in parts}
    if len(taken) > 1:
        yield mistake("data", "dataset_mixture: columns differ between the sets; open-r1 takes the same of each")
    for part in parts:
        share, columns = part.get("weight", 1), part.get("columns")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            said = f"weight of {part['id']} is {share!r}; it is the share of its rows, above 0 and at most 1"
            yield mistake("data", f"dataset_mixture: {said}")
        if columns is not None and not _named(columns):
            yield mistake("data", f"dataset_mixture: columns of {part['id']} is {columns!r}; it is a list of names")
        elif columns and prompt not in columns:
            yield mistake("data", f"dataset_mixture: columns of {part['id']} leave out {prompt!r}, the prompt")


def _named(columns: Any) -> bool:
    return isinstance(columns, list) and bool(columns) and all(isinstance(each, str) for each in columns)
