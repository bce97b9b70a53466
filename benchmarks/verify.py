"""How well, and how fast, does a rule judge finance answers? The kit's verifier beside the rules in common use.

python benchmarks/verify.py [--finqa FILE]

Every rule judges the same labelled corpus (tests/reward_plugins/corpus) and the same text for speed: completions of
about 1,350 characters, one core, caches warm after the first pass. math-verify is used as its package is; the other
rules are written anew from their documented behaviour, with the package behind them where they have one. `--finqa`
takes the 100 outputs of Fin-R1 on FinQA's test pages and prints what each rule makes of them.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reward_plugins"))

from corpus_cases import Case, cases

from reward_plugins import verify

Rule = Callable[[str, str, str, Mapping[str, Any] | None], bool]

_BLOCK = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
_SPEED_CHARACTERS = 1350
_TIMEOUT = 1  # seconds, for math-verify: without one, 9**9**9 keeps it for good
_SECONDS = 2.0  # of timing for each rule; slower ones judge fewer completions in them


def ours(response: str, gold: str, question: str, meta: Mapping[str, Any] | None) -> bool:
    """The kit's verifier."""
    return verify(response, gold, question, meta).correct


def math_verify_rule(response: str, gold: str, question: str, meta: Mapping[str, Any] | None) -> bool:
    """math-verify with its usual settings on the answer block."""
    from math_verify import parse
    from math_verify import verify as equal

    return bool(
        equal(
            parse(f"${gold}$", parsing_timeout=_TIMEOUT),
            parse(_block(response), parsing_timeout=_TIMEOUT),
            timeout_seconds=_TIMEOUT,
        )
    )


def open_r1_accuracy(response: str, gold: str, question: str, meta: Mapping[str, Any] | None) -> bool:
    """open-r1's accuracy: LaTeX only, the box first; a gold that cannot be parsed is skipped (here: not accepted)."""
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse
    from math_verify import verify as equal

    wanted = parse(gold, parsing_timeout=_TIMEOUT)
    if not wanted:
        return False
    settings = NormalizationConfig(nits=False, malformed_operators=False, basic_latex=True, boxed="all", units=True)
    config = LatexExtractionConfig(
        normalization_config=settings, boxed_match_priority=0, try_extract_without_anchor=False
    )
    found = parse(response, extraction_config=[config], extraction_mode="first_match", parsing_timeout=_TIMEOUT)
    return bool(equal(wanted, found, timeout_seconds=_TIMEOUT))


def verl_math_verify(response: str, gold: str, question: str, meta: Mapping[str, Any] | None) -> bool:
    """verl's math-verify score: the gold in a box, any expression or LaTeX of the whole completion."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse
    from math_verify import verify as equal

    wanted = parse(f"\\boxed{{{gold}}}", extraction_config=[LatexExtractionConfig()], parsing_timeout=_TIMEOUT)
    found = parse(
        response, extraction_config=[ExprExtractionConfig(), LatexExtractionConfig()], parsing_timeout=_TIMEOUT
    )
    return bool(wanted and equal(wanted, found, timeout_seconds=_TIMEOUT))


def finqa_official(response: str, gold: str, question: str, meta: Mapping[str, Any] | None) -> bool:
    """FinQA's evaluation: % is /100, $ is dropped, equal after rounding to five decimals; else the same string."""
    answer = _block(response).strip()
    theirs, mine = _finqa_number(str((meta or {}).get("exe_ans", gold))), _finqa_number(answer)
    if theirs is None or mine is None:
        return answer.lower() == gold.strip().lower()
    return round(theirs, 5) == round(mine, 5)


def within_a_percent(response: str, gold: str, question: str, meta: Mapping[str, Any] | None) -> bool:
    """A float within 1% of the gold, signs and units dropped: what many home-made rewards do."""
    theirs, mine = _last_number(gold), _last_number(_block(response))
    if theirs is None or mine is None:
        return _block(response).strip().lower() == gold.strip().lower()
    return abs(mine - theirs) <= 0.01 * abs(theirs)


def refuse_everything(response: str, gold: str, question: str, meta: Mapping[str, Any] | None) -> bool:
    """The floor: nothing is right."""
    return False


RULES: dict[str, Rule] = {
    "finr1-kit": ours,
    "math-verify": math_verify_rule,
    "open-r1 accuracy": open_r1_accuracy,
    "verl math-verify": verl_math_verify,
    "FinQA official": finqa_official,
    "float within 1%": within_a_percent,
    "refuse everything": refuse_everything,
}


def _block(response: str) -> str:
    found: list[str] = _BLOCK.findall(response)
    return found[-1] if found else response.rpartition("</think>")[2]


def _finqa_number(text: str) -> float | None:
    text = text.replace(",", "").replace("$", "").strip()
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def _last_number(text: str) -> float | None:
    found = _NUMBER.findall(text.replace("$", ""))
    try:
        return float(found[-1].replace(",", "")) if found else None
    except ValueError:
        return None


def _judged(rule: Rule, case: Case) -> bool | None:
    try:
        return rule(case.response, case.gold, case.question, case.meta)
    except Exception:
        # Another rule may fail in any way on text that was written to break it; that is what is counted here.
        return None


def accuracy(rule: Rule, labelled: list[Case]) -> dict[str, float]:
    """Shares of the corpus: balanced accuracy, wrong accepted, right refused, cheats accepted, exceptions."""
    said = [_judged(rule, case) for case in labelled]
    right = [said_so for said_so, case in zip(said, labelled, strict=True) if case.right]
    wrong = [said_so for said_so, case in zip(said, labelled, strict=True) if not case.right]
    cheats = [said_so for said_so, case in zip(said, labelled, strict=True) if case.label == "!"]
    accepted, kept = sum(map(bool, wrong)) / len(wrong), sum(map(bool, right)) / len(right)
    return {
        "balanced": (kept + 1 - accepted) / 2,
        "wrong accepted": accepted,
        "right refused": 1 - kept,
        "cheats accepted": sum(map(bool, cheats)),
        "exceptions": sum(each is None for each in said),
    }


def speed(rule: Rule, labelled: list[Case]) -> float:
    """Completions a second of processor time, so that a busy machine does not count; the best of four rounds."""
    working = "The table gives revenue and cost for both years, so I take the difference. "
    padded = [_padded(case, working) for case in labelled if "</think>" in case.response]
    best = 0.0
    for _ in range(4):
        start, count = time.process_time(), 0
        while time.process_time() - start < _SECONDS / 4:
            for case in padded[count % len(padded) :][:50]:
                _judged(rule, case)
                count += 1
        best = max(best, count / (time.process_time() - start))
    return best


def _padded(case: Case, working: str) -> Case:
    missing = max(0, _SPEED_CHARACTERS - len(case.response))
    filled = (working * (missing // len(working) + 1))[:missing]
    return Case(
        case.label,
        case.response.replace("</think>", filled + "</think>", 1),
        case.gold,
        case.question,
        case.meta,
        case.where,
    )


def finqa_table(path: Path) -> None:
    """What each rule makes of Fin-R1's outputs on 100 FinQA pages (the file's own `match` beside them)."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    print(f"\n{'rule':20} accepted of {len(rows)}   agrees with the file's match")
    for name, rule in RULES.items():
        said = [bool(_quietly(rule, row, _finqa_meta(path, row))) for row in rows]
        print(
            f"{name:20} {sum(said):5}   {sum(one == bool(row['match']) for one, row in zip(said, rows, strict=True)):16}"
        )
    for row in rows:
        verdict = verify(row["generation"], row["ground_truth"], row["question"], _finqa_meta(path, row))
        if verdict.correct != bool(row["match"]):
            print(
                f"  {row['id']:28} gold {row['ground_truth']:8} match {row['match']}  {verdict.status}: {verdict.reason} {verdict.extracted[-40:]!r}"
            )


def _quietly(rule: Rule, row: Mapping[str, Any], meta: dict[str, Any]) -> bool | None:
    return _judged(rule, Case("", row["generation"], row["ground_truth"], row["question"], meta, ""))


def _finqa_meta(path: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row's `exe_ans` where the official file of the same 100 pages lies beside the outputs."""
    official = path.parents[1] / "raw_test_100.json"
    if not official.is_file():
        return {"dataset": "finqa"}
    by_id = {entry["id"]: entry["qa"] for entry in json.loads(official.read_text(encoding="utf-8"))}
    answer = by_id.get(row["id"], {})
    return {"dataset": "finqa", "answer": answer.get("answer"), "exe_ans": answer.get("exe_ans")}


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finqa", type=Path, help="outputs of Fin-R1 on FinQA pages (fin-r1_on_test100.json)")
    options = parser.parse_args()
    labelled = list(cases())
    print(
        f"{len(labelled)} cases, {sum(case.right for case in labelled)} right, {sum(case.label == '!' for case in labelled)} cheats\n"
    )
    print(
        f"{'rule':20} {'balanced':>9} {'wrong in':>9} {'right out':>9} {'cheats in':>9} {'raised':>7} {'a second':>9}"
    )
    for name, rule in RULES.items():
        shares = accuracy(rule, labelled)
        print(
            f"{name:20} {shares['balanced']:9.1%} {shares['wrong accepted']:9.1%} {shares['right refused']:9.1%} "
            f"{shares['cheats accepted']:9.0f} {shares['exceptions']:7.0f} {speed(rule, labelled):9,.0f}",
            flush=True,
        )
    if options.finqa:
        finqa_table(options.finqa)


if __name__ == "__main__":
    main()
