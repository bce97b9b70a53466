"""The source `finqa`: questions on pages of US annual reports, from files in the official schema of FinQA.

Format: a JSON list of rows with `id`, `filename`, `pre_text`, `post_text`, `table` and `qa` (`question`, `answer`,
`exe_ans`, `program`), as published with the paper (Chen et al., EMNLP 2021).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill.records import Question
from distill.sources import LeftOut
from distill.sources.finqa_program import work_out
from distill.sources.tables import markdown
from reward_plugins.errors import Refused

# Some answers end in a line break that was escaped once too often: a backslash (or several) and an n.
_STRAY_BREAK = re.compile(r"(?:\\+n|\s)+$")
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"-?\d*\.?\d+")


def read(path: Path, *, split: str, part: str | None = None) -> Iterator[Question | LeftOut]:
    """The questions of one official file, or of those files of a folder whose name holds `part` (default: `split`).

    The gold is `answer` where it is a number or yes/no, else `exe_ans`; both, and the program, stay in `meta`, since
    they differ for about one row in ten and the check wants either; `meta["doubt"]` says so of rows that are not fit
    to be rewarded by, `meta["solution"]` is the gold program in plain arithmetic, `meta["doc"]` the report page.
    Raises `Refused` for a path or a file that is not FinQA.
    """
    for file in _files(path, part or split):
        for number, row in enumerate(_rows(file)):
            yield _question(row, f"{file.name}[{number}]", split)


def _files(path: Path, part: str) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise Refused(f"{path}: no such file or folder; give the path of FinQA's files, as from its home")
    files = sorted(file for file in path.glob("*.json") if part in file.stem)
    if not files:
        there = ", ".join(sorted(file.name for file in path.glob("*.json"))) or "no .json file"
        raise Refused(f"{path}: no file with {part!r} in its name ({there}); name a file as path, or give `part`")
    return files


def _rows(file: Path) -> list[Any]:
    try:
        rows = json.loads(file.read_bytes())
    except ValueError:
        raise Refused(f"{file}: not JSON; FinQA's files are JSON lists") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "qa" in row for row in rows):
        raise Refused(f"{file}: not in FinQA's schema: a JSON list of rows with `qa`")
    return rows


def _question(row: dict[str, Any], where: str, split: str) -> Question | LeftOut:
    qa = row["qa"]
    name = str(row.get("id") or where)
    if not isinstance(qa, dict) or not str(qa.get("question") or "").strip():
        return LeftOut(name, "no question")
    if not row.get("id") or not row.get("filename"):
        return LeftOut(name, "no id or filename")
    if not all(isinstance(row.get(key), list) for key in ("pre_text", "post_text", "table")):
        return LeftOut(name, "no page")
    answer = _STRAY_BREAK.sub("", str(qa.get("answer") or "")).strip()
    exe_ans = qa.get("exe_ans")
    gold = answer if _usable(answer) else _written(exe_ans)
    if not gold:
        return LeftOut(name, "no usable gold")
    return Question(
        id=f"finqa/{row['id']}",
        source="finqa",
        split=split,
        lang="en",
        task="calculation",
        question=str(qa["question"]).strip(),
        context=_page(row),
        gold=gold,
        answer_type=_answer_type(gold),
        unit="%" if gold.endswith("%") else "",
        licence="MIT",
        meta={
            "dataset": "finqa",
            "doc": str(row["filename"]),
            "answer": answer,
            "exe_ans": exe_ans,
            "program": str(qa.get("program") or ""),
            **_worth(row, answer, exe_ans, gold),
        },
    )


def _page(row: dict[str, Any]) -> str:
    """The report page as running text, its table in the middle. Lines without a letter or digit are left-overs."""
    before, after = (
        "\n".join(line for line in map(str, row[key]) if any(character.isalnum() for character in line))
        for key in ("pre_text", "post_text")
    )
    table = markdown([cells for cells in row["table"] if isinstance(cells, list)])
    return "\n\n".join(part for part in (before, table, after) if part)


def _usable(answer: str) -> bool:
    return bool(_DIGIT.search(answer)) or answer.lower() in ("yes", "no")


def _written(exe_ans: Any) -> str:
    """`exe_ans` as a person writes it: a number without an idle ".0", or yes/no."""
    if isinstance(exe_ans, str):
        return exe_ans.strip() if _usable(exe_ans.strip()) else ""
    if isinstance(exe_ans, int | float) and not isinstance(exe_ans, bool) and math.isfinite(exe_ans):
        return str(int(exe_ans)) if exe_ans == int(exe_ans) else repr(float(exe_ans))
    return ""


# The two golds often differ by a scale alone: a ratio and its percent, a plain number and its thousands or millions.
_SCALES = (1, 100, 1_000, 1_000_000, 1_000_000_000, 10, 0.1, 0.01, 0.001)
# Of the pairs that agree up to scale, all but a few are within 5%: "7%" stands for 0.0676, and some are cut, not rounded.
_SAME = 0.05


def _worth(row: dict[str, Any], answer: str, exe_ans: Any, gold: str) -> dict[str, str]:
    """`doubt` where the golds disagree; else `solution`, the gold program worked out, where it gives `exe_ans`."""
    if doubt := _doubt(answer, exe_ans):
        return {"doubt": doubt}
    worked = work_out(str(row["qa"].get("program") or ""), row["table"])
    if worked is None:
        return {}
    steps, result = worked
    if isinstance(result, str) or isinstance(exe_ans, str):
        same = result == exe_ans
    else:
        same = math.isclose(result, exe_ans, rel_tol=1e-5, abs_tol=1e-5)  # exe_ans is rounded to five decimals
    return {"solution": f"{'; '.join(steps)}. The answer is {gold}."} if same else {}


def _doubt(answer: str, exe_ans: Any) -> str:
    """Why the gold may be wrong (about one row in thirteen); "" if the two golds agree up to scale and rounding."""
    if not _usable(answer):
        return "the answer is no number and no yes or no"
    number = _NUMBER.search(answer)
    if number is None or isinstance(exe_ans, str):
        return "" if answer.lower() == str(exe_ans).lower() else "answer and exe_ans differ"
    if not _written(exe_ans):
        return "the program gives nothing"
    value, shown = float(number[0]), len(number[0].partition(".")[2])
    off = max(10.0**-shown, _SAME * abs(value))
    return "" if any(abs(value - exe_ans * scale) <= off for scale in _SCALES) else "answer and exe_ans differ"


def _answer_type(gold: str) -> str:
    if gold.lower() in ("yes", "no"):
        return "boolean"
    if gold.endswith("%"):
        return "percent"
    return "money" if "$" in gold else "number"
