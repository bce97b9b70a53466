"""Raw rows from files: JSON, JSON Lines, CSV, TSV and Parquet, each also packed by gzip where it is text.

Rows are read one after the other, so that memory does not grow with a file.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from reward_plugins.errors import Refused

DEFAULT_ENCODING = "utf-8-sig"  # UTF-8, with or without the mark that spreadsheets put before it
_CHUNK = 1 << 20  # characters read at a time from a JSON list
_LFS_POINTER = b"version https://git-lfs."  # how the file begins that Git LFS leaves where it fetched nothing
_START = 1 << 16  # bytes that are looked at before a file is read
# Characters of several bytes from which on a text in another encoding is not UTF-8 by chance: of random Chinese texts in
# GB18030 one in 200,000 is it with 8, and none of as many with 12.
_NO_CHANCE = 16
# What LLaMA-Factory and the hub write beside a set's files: about them, without a row.
_DESCRIPTIONS = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json"})
# A word of a path that names a split, as in train.jsonl, data/test-00000-of-00001.parquet, default/validation/0.parquet.
_SPLIT = re.compile(r"(?<![a-z0-9])(train|validation|valid|dev|test)(?![a-z0-9])")


def files_of(path: Path, pattern: str, part: str | None) -> list[Path]:
    """The file itself, or the files of a folder, sorted, that match `pattern` and have `part` in their path below it.

    None as `part` takes all files, and refuses those that say by their names that they are of several splits. Hubs keep
    a set as Parquet, whatever form it has at home: where nothing matches, a folder's Parquet files do. Hidden files,
    and those that only describe sets, are not looked at. Raises `Refused` where there is no file, and says what there is.
    """
    if path.is_file():
        _reader(path)
        return [path]
    if not path.is_dir():
        raise Refused(f"{path}: no such file or folder; give the path of the set's files, as from its home")
    there = _below(path, pattern) or _below(path, "**/*.parquet")
    if not there:
        like = "" if pattern == "**/*" else f" like {pattern}"
        deeper = sorted({file.parent.relative_to(path).as_posix() for file in _below(path, f"**/{pattern}")})
        there_are = f"there are some in {', '.join(deeper[:8])}: name that folder" if deeper else _KINDS
        raise Refused(f"{path}: no file{like} with rows in it; {there_are}")
    names = [file.relative_to(path).as_posix() for file in there]
    if part is None:
        splits = sorted({split for name in names for split in _SPLIT.findall(name.lower())})
        if len(splits) > 1:
            raise Refused(
                f"{path}: its files are of several splits ({', '.join(splits)}), which must not be mixed; "
                f"say by `part` which one to read, as `part: {'train' if 'train' in splits else splits[0]}`"
            )
        return there
    files = [file for file, name in zip(there, names, strict=True) if part in name]
    if not files:
        seen = ", ".join(names[:8])
        raise Refused(f"{path}: no file with {part!r} in its name ({seen}); name a file as path, or give `part`")
    return files


def _below(folder: Path, pattern: str) -> list[Path]:
    """The files of rows below a folder, sorted."""
    there = (file for file in folder.glob(pattern) if _kind(file) in _READERS and file.name not in _DESCRIPTIONS)
    shown = (file for file in there if not any(part.startswith(".") for part in file.relative_to(folder).parts))
    return sorted(file for file in shown if file.is_file())


def file_rows(path: Path, pattern: str, part: str | None, encoding: str) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) for each row of `files_of`, the name as "dev/tax_law[3]".

    A line of JSON Lines that cannot be read is given as `Broken`. Raises `Refused` for a file that is not what its
    suffix says, or not in `encoding`.
    """
    for file in files_of(path, pattern, part):
        inside = file.name if file == path else file.relative_to(path).as_posix()
        stem = inside.removesuffix(".gz").rpartition(".")[0]
        _check_start(file, encoding)
        try:
            for number, value in enumerate(_reader(file)(file, encoding)):
                yield f"{stem}[{number}]", value
        except UnicodeDecodeError:
            raise Refused(
                f"{file}: not {encoding.removesuffix('-sig').upper()}; say its encoding beside its path, "
                "as `encoding: gb18030` for a table saved by a Chinese spreadsheet, or `utf-16`"
            ) from None
        except LookupError:
            raise Refused(f"{file}: there is no encoding {encoding!r}; usual ones are utf-8 and gb18030") from None
        except (gzip.BadGzipFile, EOFError):
            raise Refused(f"{file}: the gzip file is damaged; fetch it again") from None


def _check_start(file: Path, encoding: str) -> None:
    """Raise `Refused` for what would be read as something that it is not."""
    with file.open("rb") as opened:
        start = opened.read(_START)
    if start.startswith(_LFS_POINTER):
        raise Refused(f"{file}: Git LFS has left a pointer in the file's place; run `git lfs pull` in its folder")
    if not encoding.lower().startswith("utf") and file.suffix != ".gz":
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(start)  # its last character may be cut
        if "\ufffd" not in text and sum(character > "\x7f" for character in text) >= _NO_CHANCE:
            raise Refused(
                f"{file}: UTF-8, which {encoding} would turn into other characters; leave `encoding` out for it"
            )


@dataclass(frozen=True, slots=True)
class Broken:
    """Stands for a row that cannot be read, and says why."""

    reason: str


def _text(file: Path, encoding: str, newline: str) -> TextIO:
    if file.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(file), encoding=encoding, newline=newline)
    return file.open(encoding=encoding, newline=newline)


def _json_lines(file: Path, encoding: str) -> Iterator[Any]:
    with _text(file, encoding, "\n") as lines:
        for line in lines:
            if not line.isspace():
                try:
                    yield _whole(json.loads(line), line)
                except (ValueError, RecursionError):
                    yield Broken("not a JSON object")


def _json(file: Path, encoding: str) -> Iterator[Any]:
    """The items of a JSON list; an object that holds one list is that list. Some .json files are JSON Lines."""
    with _text(file, encoding, "\n") as text:
        start = text.read(_CHUNK).lstrip()
        if start.startswith("["):
            yield from _items(file, text, start[1:])
            return
        whole = start + text.read()
    try:
        value = json.loads(whole)
    except (ValueError, RecursionError) as error:
        if "Extra data" in str(error):
            yield from _json_lines(file, encoding)
            return
        raise Refused(f"{file}: not JSON ({error}); fetch it again") from None
    lists = [each for each in value.values() if isinstance(each, list)] if isinstance(value, dict) else []
    if len(lists) != 1:
        raise Refused(f"{file}: not a JSON list of rows; give a file that is one, or JSON Lines")
    yield from lists[0]


def _items(file: Path, text: TextIO, buffer: str) -> Iterator[Any]:
    """The items of a JSON list whose opening bracket was read; decoded as they come, never all at once."""
    decode = json.JSONDecoder().raw_decode
    at = 0
    while True:
        while at < len(buffer) and buffer[at] in " \t\r\n,":
            at += 1
        if buffer[at : at + 1] == "]":
            return
        try:
            item, end = decode(buffer, at)
        except RecursionError:
            raise Refused(f"{file}: its lists are nested too deeply to be rows") from None
        except ValueError:
            end = len(buffer)
        if end < len(buffer):  # at the very end a number may go on in the next chunk
            yield _whole(item, buffer[at:end])
            at = end
            continue
        more = text.read(max(_CHUNK, len(buffer) - at))  # doubled, so that a long item costs no square of its length
        if not more:
            raise Refused(f"{file}: the JSON list is not whole; fetch it again")
        buffer, at = buffer[at:] + more, 0


_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def _whole(value: Any, text: str) -> Any:
    """The value that `text` was read as, or `Broken` where half a character is in it: JSON can escape it, UTF-8 not hold it."""
    if _HALF.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return Broken("a text holds half a character (a lone surrogate)")
    return value


def _csv(file: Path, encoding: str) -> Iterator[Any]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # report pages are longer than the module's 128 kB
    with _text(file, encoding, "") as lines:
        table = csv.DictReader(lines, delimiter="\t" if _kind(file) == ".tsv" else ",", strict=True)
        try:
            names = table.fieldnames or ()
            if len(names) == 1 and (other := next((each for each in ";\t|" if each in names[0]), "")):
                raise Refused(f"{file}: its columns are parted by {other!r}; save it with commas, or with tabs as .tsv")
            if twice := [name for name, count in Counter(names).items() if name and count > 1]:
                raise Refused(f"{file}: two columns are called {twice[0]!r}; give each a name of its own")
            yield from table
        except csv.Error as error:
            raise Refused(f"{file}, line {table.line_num}: not a table ({error}); check its quotes") from None


def _parquet(file: Path, _: str) -> Iterator[Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise Refused(f"{file}: reading Parquet needs the package pyarrow; run in the kit stack") from None
    try:
        with parquet.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=256):
                yield from batch.to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise Refused(f"{file}: not a Parquet file ({' '.join(str(error).split())[:100]}); fetch it again") from None


_READERS: dict[str, Callable[[Path, str], Iterator[Any]]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
}
_KINDS = f"rows are read from {', '.join(_READERS)} (text also as .gz)"


def _kind(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).suffix.lower()


def _reader(file: Path) -> Callable[[Path, str], Iterator[Any]]:
    if _kind(file) not in _READERS:
        raise Refused(f"{file}: {_KINDS}, not from this")
    return _READERS[_kind(file)]
