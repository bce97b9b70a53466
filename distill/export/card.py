"""The data card of a set, `README.md` in its folder: what a person should know before training on it.

All figures are counted from the records of this run; the same records give the same bytes. The page is written anew by
each export.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from distill.export import plots
from distill.export.choose import Choice
from distill.export.licences import terms
from distill.export.pool import Facts, Pool
from distill.export.settings import Settings
from distill.export.write import Writer
from distill.records import written_whole
from reward_plugins.agreement import wilson

# The size tags of the Hugging Face hub, by their upper ends.
_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
_KINDS = {
    "sft": "answers to learn, for LLaMA-Factory",
    "dpo": "pairs of a right and a wrong answer, for LLaMA-Factory's `stage: dpo`",
    "grpo": "questions with their gold, for TRL",
    "test": "questions to evaluate on, for EvalScope",
}
# A row is shown in full up to here; of a longer one, both ends.
_SHOWN_CHARACTERS = 3000


class Told(NamedTuple):
    """All that a card tells of."""

    settings: Settings
    pool: Pool
    choice: Choice
    writer: Writer
    counts: dict[str, Any]
    earlier: dict[str, Any]


def write(told: Told) -> list[Path]:
    """Write `README.md` and its plots into the set's folder; returns the files."""
    folder = told.settings.folder
    funnel = _funnel(told)
    pictures = {
        "card/funnel.png": plots.funnel({f"{step}": sizes for step, sizes in _by_step(funnel).items()}),
        "card/passes.png": plots.passes(_passes(told.pool)),
        "card/rows.png": plots.rows({kind: _grouped(facts, _group) for kind, facts in told.writer.facts.items()}),
        "card/lengths.png": plots.lengths(*_lengths(told)),
    }
    sections = [
        _head(told),
        _files(told),
        _traces(told, funnel),
        _questions(told),
        _passed(told),
        _judge(told),
        _rows(told),
        _measured(told),
        _licences(told),
        _examples(told),
        _made(told),
    ]
    page = folder / "README.md"
    with written_whole(page) as part, part.open("w", encoding="utf-8") as out:
        out.write("\n\n".join(filter(None, sections)) + "\n")
        out.flush()
        os.fsync(out.fileno())
    for name, picture in pictures.items():
        with written_whole(folder / name) as part, part.open("wb") as png:
            picture(png)
            png.flush()
            os.fsync(png.fileno())
    return [page, *(folder / name for name in pictures)]


def table(head: Sequence[str], rows: Iterable[Sequence[object]], note: str = "") -> str:
    """A Markdown table; numbers stand to the right, and whole ones get commas."""
    body = [list(row) for row in rows]
    if not body:
        return note or "None."
    right = ["-:" if isinstance(cell, int | float) else "-" for cell in body[0]]
    lines = [head, right, *(map(_cell, row) for row in body)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|").replace("\n", " ")


def _head(told: Told) -> str:
    name, facts = told.settings.set, sum(told.writer.facts.values(), Counter())
    licences = sorted({each.licence for each in facts})
    rows = sum(told.writer.written.values())
    front = {
        "pretty_name": name,
        "language": sorted({each.lang for each in facts}),
        "license": licences[0].lower().replace(" ", "-") if len(licences) == 1 else "other",
        "task_categories": ["question-answering", "text-generation"],
        "tags": ["finance", "reasoning"],
        "size_categories": [next((tag for end, tag in _SIZES.items() if rows < end), "n>1M")],
        "configs": [
            {"config_name": kind, "data_files": f"{kind}/*.jsonl"} for kind in _KINDS if told.writer.facts.get(kind)
        ],
    }
    sizes = {kind: told.writer.facts[kind].total() for kind in _KINDS if told.writer.facts.get(kind)}
    rows_told = ", ".join(f"{size:,} {kind}" for kind, size in sizes.items())
    sources = ", ".join(sorted({each.source for each in facts}))
    return (
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n# {name}\n\n"
        f"Finance questions with checked answers: {rows_told} rows. Sources: {sources}. "
        f"For {told.settings.use} use (see Licences). Written by `finr1 export`; `manifest.json` beside this page holds "
        "every setting, count and sha256."
    )


def _files(told: Told) -> str:
    rows = [
        (f"`{path.relative_to(told.settings.folder).as_posix()}`", count, _KINDS[path.parent.name])
        for path, count in told.writer.written.items()
    ]
    return table(["file", "rows", "what"], rows)


def _funnel(told: Told) -> dict[str, dict[str, dict[str, int]]]:
    """Counts by "source" and "teacher", then by group, then by step, from the first step to the last.

    The screen's own counts where its manifest is there and speaks of these verdicts, since it knows what the judge said;
    else those of the rule's verdicts.
    """
    kept = sum(passed["kept"] for passed in told.pool.passed.values())
    screen = told.earlier.get("screen", {}).get("counts", {})
    if screen.get("kept") == kept and {"source", "teacher"} <= screen.get("by", {}).keys():
        return {name: screen["by"][name] for name in ("source", "teacher")}
    own: dict[str, dict[str, dict[str, int]]] = {"source": {}, "teacher": {}}
    for (teacher, source), passed in sorted(told.pool.passed.items()):
        for name, group in (("source", source), ("teacher", teacher)):
            steps = own[name].setdefault(group, dict.fromkeys(("asked", "answered", "right", "kept"), 0))
            for step in steps:
                steps[step] += passed[step]
    return own


def _by_step(funnel: dict[str, dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """Step -> source -> traces."""
    steps: dict[str, dict[str, int]] = {}
    for source, counts in funnel["source"].items():
        for step, count in counts.items():
            steps.setdefault(step, {})[source] = count
    return steps


def _traces(told: Told, funnel: dict[str, dict[str, dict[str, int]]]) -> str:
    steps = _by_step(funnel)
    total = ["all", *(sum(sizes.values()) for sizes in steps.values())]
    parts = ["## From requests to training rows", "![How many traces each step leaves](card/funnel.png)"]
    for name in ("source", "teacher"):
        rows = [[group, *counts.values()] for group, counts in funnel[name].items()]
        parts.append(table([name, *map(_said, steps)], [*rows, total]))
    why = told.earlier.get("screen", {}).get("counts", {}).get("why", {})
    lost = [(reason, count) for reason, count in _most(why) if reason != "kept"]
    if lost:
        parts += ["Why a trace was not kept:", table(["reason", "traces"], lost)]
    kept = sum(passed["kept"] for passed in told.pool.passed.values()) + told.pool.gone
    rows_of = told.writer.facts["sft"].total()
    out = _left_out(told, "sft")
    return "\n\n".join([*parts, *_became(kept, "kept traces", rows_of, "SFT rows", out)])


def _questions(told: Told) -> str:
    if told.settings.rl == "none" and not told.settings.dpo_per_question:
        return "## From questions to GRPO rows\n\nThis set has none, by its settings."
    parts = ["## From questions to GRPO rows"]
    if told.settings.rl != "none":
        rows = told.writer.facts.get("grpo", Counter()).total()
        parts += _became(len(told.pool.ids), "questions", rows, "GRPO rows", _left_out(told, "grpo"))
    if told.settings.dpo_per_question:
        parts += ["Questions with a kept trace that gave no DPO pair:"]
        parts += [table(["reason", "questions"], _most(_left_out(told, "dpo")), "None.")]
    return "\n\n".join(parts)


def _became(total: int, what: str, rows: int, name: str, out: Mapping[str, int]) -> list[str]:
    """Where all of them went, as a sentence and a table."""
    if not out:
        return [f"All {total:,} {what} became {name}."]
    said = f"Of {total:,} {what}, {rows:,} became {name} and {sum(out.values()):,} did not:"
    return [said, table(["reason", what], _most(out))]


def _passes(pool: Pool) -> list[plots.Pass]:
    """By teacher and source: how many of the requests were kept, with the 95% Wilson interval."""
    found = []
    for (teacher, source), passed in sorted(pool.passed.items()):
        low, high = wilson(passed["kept"], passed["asked"])
        found.append(plots.Pass(teacher, source, passed, passed["kept"] / passed["asked"], low, high))
    return found


def _passed(told: Told) -> str:
    rows = [
        (
            each.teacher,
            each.source,
            *(each.counts[step] for step in ("asked", "answered", "right", "kept")),
            f"{each.share:.1%}",
            f"{each.low:.1%} to {each.high:.1%}",
        )
        for each in _passes(told.pool)
    ]
    head = ["teacher", "source", "asked", "answered", "right by rule", "kept", "pass rate", "95% interval"]
    return (
        "## Pass rates by teacher and source\n\n![Share of requests that were kept](card/passes.png)\n\n"
        f"{table(head, rows)}\n\nThe pass rate is kept by asked; the interval is Wilson's, as if requests were independent."
    )


def _judge(told: Told) -> str:
    """How far the judge of the screen can be trusted, as the screen measured it; "" where there was none."""
    judge = told.earlier.get("screen", {}).get("counts", {}).get("judge")
    if not judge:
        return ""
    if not judge["traces"] and not judge["unreadable_replies"]["n"]:
        return "## The judge\n\nA judge was at hand; no trace had to be judged."
    agreement = judge["agreement_with_rule"]
    kappa = agreement["kappa"]
    measured = [
        ("replies that could not be read", *_share(judge["unreadable_replies"])),
        ("agrees with the rule, where both speak", *_share(agreement["agree"])),
        *((f"says the same twice: {what}", *_share(share)) for what, share in judge["repeatability"].items()),
    ]
    said = (
        "says nothing here"
        if kappa is None
        else f"{kappa:.2f} ({agreement['kappa_low']:.2f} to {agreement['kappa_high']:.2f})"
    )
    return (
        f"## The judge\n\n{judge['model'] or 'A served model'} judged {judge['traces']:,} traces; "
        f"{judge['unscored']:,} of them stayed without a verdict and were not kept. Cohen's kappa with the rule: {said}.\n\n"
        f"{table(['measured', 'share', '95% interval', 'of'], measured)}"
    )


def _share(found: Mapping[str, Any]) -> tuple[str, str, int]:
    if found["share"] is None:
        return "-", "-", 0
    return f"{found['share']:.0%}", f"{found['low']:.0%} to {found['high']:.0%}", found["n"]


def _rows(told: Told) -> str:
    parts = ["## Sources, languages and types", "![Rows by source and language](card/rows.png)"]
    kinds = [kind for kind in _KINDS if told.writer.facts.get(kind)]
    for name, of in _BY.items():
        counts = {kind: _grouped(told.writer.facts[kind], of) for kind in kinds}
        groups = sorted({group for found in counts.values() for group in found})
        parts.append(table([name, *kinds], [[group, *(counts[kind][group] for kind in kinds)] for group in groups]))
    return "\n\n".join(parts)


def _by_source(facts: Facts) -> str:
    return facts.source


def _by_lang(facts: Facts) -> str:
    return facts.lang


def _by_kind(facts: Facts) -> str:
    return facts.kind


def _group(facts: Facts) -> str:
    return f"{facts.source}, {facts.lang}"


_BY: dict[str, Callable[[Facts], str]] = {"source": _by_source, "language": _by_lang, "type": _by_kind}


def _grouped(facts: Mapping[Facts, int], of: Callable[[Facts], str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for each, count in facts.items():
        found[of(each)] += count
    return found


def _lengths(told: Told) -> tuple[dict[str, Sequence[int]], str, int | None]:
    """What to draw: the lengths by name, their unit, and the cut-off where it is in that unit."""
    if told.writer.tokens:
        return {"whole row": told.writer.tokens}, "tokens", told.settings.cutoff_len
    prompts, completions = told.writer.characters
    return {"prompt": prompts, "completion": completions}, "characters", None


def _measured(told: Told) -> str:
    parts = ["## Lengths of the SFT rows", "![Distribution of lengths](card/lengths.png)"]
    prompts, completions = told.writer.characters
    rows = [("prompt, characters", *_quantiles(prompts)), ("completion, characters", *_quantiles(completions))]
    if told.writer.tokens:
        tokens = told.writer.tokens
        part = "" if len(tokens) == len(prompts) else f" ({len(tokens):,} rows drawn)"
        rows.append((f"whole row, tokens{part}", *_quantiles(tokens)))
    parts.append(table(["", "least", "25%", "median", "75%", "95%", "most"], rows))
    if told.settings.tokenizer:
        tokens_of = told.choice.tokens
        how = "with its chat template" if tokens_of and tokens_of.template else "with 8 tokens a message for a template"
        cut = [f"{key} {value:,}" for key in ("cutoff_len", "prompt_cutoff") if (value := getattr(told.settings, key))]
        parts.append(
            f"Counted with the tokenizer `{told.settings.tokenizer.name}`, {how}. What is longer than {' or '.join(cut)} "
            "was left out and is counted above; nothing is cut."
        )
    return "\n\n".join(parts)


def _quantiles(values: Sequence[int]) -> tuple[int, ...]:
    ordered = sorted(values)
    last = len(ordered) - 1
    return tuple(ordered[round(share * last)] for share in (0, 0.25, 0.5, 0.75, 0.95, 1))


def _licences(told: Told) -> str:
    named = {each.casefold() for each in told.settings.allow_licences}
    rows = []
    for licence, count in sorted(told.writer.licences().items()):
        found = terms(licence)
        allowed = "yes" if found.allow(told.settings.use) else "no; allowed by the maker of this set"
        assert found.allow(told.settings.use) or licence.casefold() in named
        sources = ", ".join(sorted(told.pool.sources[licence]))
        why = f"{found.why} ([text]({found.source}))" if found.source else found.why
        rows.append((licence or "none stated", sources, count, allowed, why))
    return f"## Licences\n\n{table(['licence', 'sources', 'rows', f'{told.settings.use} use', 'what it says'], rows)}"


def _examples(told: Told) -> str:
    template = told.choice.tokens.template if told.choice.tokens else None
    how = "as the chat template renders it" if template else "role by role (no chat template was given)"
    parts = [f"## One row of each, {how}"]
    for kind, text in told.writer.shown.items():
        if len(text) > _SHOWN_CHARACTERS:
            half = _SHOWN_CHARACTERS // 2
            text = f"{text[:half]}\n[... {len(text) - 2 * half:,} characters ...]\n{text[-half:]}"
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
        parts.append(f"{kind}:\n\n{fence}text\n{text}\n{fence}")
    return "\n\n".join(parts)


def _made(told: Told) -> str:
    parts = ["## How it was made"]
    teachers = told.earlier.get("distill", {}).get("settings", {}).get("teachers", [])
    rows = [
        (
            each["name"],
            each.get("model") or each.get("kind") or "",
            each.get("samples") or 1,
            each.get("temperature") or "-",
        )
        for each in teachers
    ]
    if rows:
        parts.append(table(["teacher", "model", "samples a question", "temperature"], rows))
    stages = [*told.earlier, "export"]
    parts.append(f"Stages whose settings and counts are in `manifest.json`: {', '.join(stages)}.")
    bad = told.counts["bad_lines"]
    if bad:
        parts += ["Broken lines of the inputs that were left out:", table(["reason", "lines"], _most(bad))]
    return "\n\n".join(parts)


def _left_out(told: Told, kind: str) -> dict[str, int]:
    head = f"{kind}: "
    left_out = told.counts["left_out"]
    return {reason.removeprefix(head): count for reason, count in left_out.items() if reason.startswith(head)}


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def _said(step: str) -> str:
    return step.replace("_", " ")
