"""Lay a report out: `report.html`, `report.md`, `report_zh.md`, `report.json`, and a table for the terminal."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.table import Table

from eval_adapters.reviews import STATES
from launch.report import words
from launch.report.read import sources
from launch.report.settings import ReportSettings
from reward_plugins.files import write_whole

HTML, MARKDOWN, MARKDOWN_ZH, JSON = "report.html", "report.md", "report_zh.md", "report.json"


def run(settings: ReportSettings) -> dict[str, Any]:
    """Write the report's four files into `settings.out`; returns what `report.json` holds, and `out`.

    A report that was made from the same settings, files and code is left as it is.

    Raises:
        Refused: something that the settings name is missing or cannot be compared. Nothing is written then.
    """
    made_from = sources(settings)
    there = [settings.out / name for name in (JSON, HTML, MARKDOWN, MARKDOWN_ZH)]
    if all(file.is_file() for file in there):
        known: dict[str, Any] = json.loads(there[0].read_text(encoding="utf-8"))
        if known.get("made_from") == made_from:
            return {"out": str(settings.out), **known}
    from launch.report.summary import summarise  # numpy takes its time

    summary = {**summarise(settings), "made_from": made_from}
    pages = {
        JSON: json.dumps(summary, ensure_ascii=False, indent=1) + "\n",
        HTML: html(summary),
        MARKDOWN: markdown(summary, "en"),
        MARKDOWN_ZH: markdown(summary, "zh"),
    }
    settings.out.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        write_whole(settings.out / name, text)
    return {"out": str(settings.out), **summary}


def html(summary: dict[str, Any]) -> str:
    """One self-contained page in both languages; whatever came from a model or a data set is escaped."""
    from launch.report import plots  # matplotlib

    def both(key: str, **values: Any) -> Markup:
        """A phrase in both languages, of which the page's style shows one."""
        return pair(*(words.word(key, language, **values) for language in ("en", "zh")))

    def pair(english: str, chinese: str) -> Markup:
        return Markup('<span class="en">{}</span><span class="zh" lang="zh">{}</span>').format(english, chinese)

    chart = plots.headline(words.headline_scores(summary), summary["headline"]["differences"])
    page = _environment(autoescape=True).get_template("report.html.j2")
    return page.render(
        summary=summary,
        manifests={file: json.dumps(read, ensure_ascii=False, indent=1) for file, read in summary["manifests"].items()},
        versions=sorted({f"{name} {known}" for e in summary["evaluations"] for name, known in e["versions"].items()}),
        w=both,
        extras=_extras(summary),
        pair=pair,
        chart=Markup(chart),
        curves={run: Markup(plots.curves(read["points"])) for run, read in summary["curves"].items()},
        colour={model: plots.colour(position) for position, model in enumerate(summary["models"])},
        sentences=list(zip(words.steps(summary, "en"), words.steps(summary, "zh"), strict=True)),
        headline=(words.headline(summary, "en"), words.headline(summary, "zh")),
    )


def markdown(summary: dict[str, Any], language: words.Language) -> str:
    """The report's numbers for a README, in one language."""

    def phrase(key: str, **values: Any) -> str:
        return words.word(key, language, **values)

    page = _environment(autoescape=False).get_template("report.md.j2")
    return page.render(
        summary=summary,
        w=phrase,
        cell=_cell,
        language=language,
        extras=_extras(summary),
        headline=words.headline(summary, language),
        sentences=words.steps(summary, language),
    )


def _cell(text: str) -> str:
    """A text of the data in one cell of a Markdown table: one line, and neither a bar nor a tag in it."""
    return " ".join(text.split()).replace("<", "&lt;").replace("|", "\\|")


def terminal(summary: dict[str, Any]) -> Table:
    """The results as a table that fits 80 columns: a line for each model, a section for each test set."""
    sentences = [words.headline(summary, "en"), *words.steps(summary, "en")]
    table = Table(title="\n".join(sentences), title_justify="left", title_style="", show_edge=False, pad_edge=False)
    table.add_column("", overflow="fold")
    for heading in ("right, 95%", "form", "no answer", "errors", f"against {summary['base']}"):
        table.add_column(heading, justify="right")
    for name, results in summary["results"].items():
        against = {d["to"]: d for d in summary["differences"][name] if d["from"] == summary["base"]}
        table.add_row(f"[dim]{name} ({summary['sets'][name]['rows']})[/dim]")
        for model, result in results.items():
            accuracy = result["accuracy"]
            table.add_row(
                model,
                f"{_share(accuracy)} [dim]{_ends(accuracy)}[/dim]" if accuracy else "–",
                _share(result["format_rate"]),
                _share(result["no_answer_rate"]),
                str(result["counts"]["error"]),
                _against(against.get(model)),
            )
        table.add_section()
    return table


def _share(estimate: dict[str, Any] | None) -> str:
    return words.percent(estimate["value"] if estimate else None)


def _ends(estimate: dict[str, Any]) -> str:
    return f"{100 * estimate['low']:.0f} to {100 * estimate['high']:.0f}"


def _against(found: dict[str, Any] | None) -> str:
    if found is None:
        return "–"
    style = {"better": "green", "worse": "red", "unclear": "dim"}[found["verdict"]]
    return f"[{style}]{words.points(found['value'])}[/{style}] [dim]{_ends(found)}[/dim]"


def _extras(summary: dict[str, Any]) -> list[str]:
    """The scores that only some benchmarks have."""
    results = [result for by_model in summary["results"].values() for result in by_model.values()]
    return [
        name
        for name in ("execution_accuracy", "macro_f1", "judged")
        if any(result[name] is not None for result in results)
    ]


Line = tuple[str, int, list[dict[str, Any] | None]]


def _tables(results: dict[str, Any]) -> list[tuple[str, list[Line]]]:
    """The columns of a set's rows that part them into groups, each with its lines."""
    groupings = next(iter(results.values()))["groups"]
    tables = [(grouping, _grouped(results, grouping)) for grouping in groupings]
    return [(grouping, lines) for grouping, lines in tables if len(lines) > 1]


def _grouped(results: dict[str, Any], grouping: str) -> list[Line]:
    """The lines of a table by one column: its value, the rows that have it, each model's accuracy on them."""
    groups = [result["groups"][grouping] for result in results.values()]
    return [
        (value, max(group[value]["n"] for group in groups if value in group), [group.get(value) for group in groups])
        for value in sorted({value for group in groups for value in group}, key=_place)
    ]


def _place(value: str) -> tuple[int, str]:
    """Ranges ("500–1,999", "≥ 8,000") by their start, names by the alphabet."""
    start = value.removeprefix("≥ ").partition("–")[0].replace(",", "")
    return (int(start), value) if start.isdigit() else (0, value)


def _causes(*counts: dict[str, int]) -> str:
    return ", ".join(f"{cause}: {n}" for by_cause in counts for cause, n in by_cause.items())


def _weights(model: dict[str, str]) -> str:
    """What was evaluated, short: the hash of a folder (adapter on base), or the name of what has none here."""
    if "adapter_sha256" in model:
        return f"{model['adapter_sha256'][:12]} / {model.get('base_sha256', '')[:12] or model['base_hub_id']}"
    return model.get("sha256", "")[:12] or model.get("hub_id") or model["model_id"]


def _environment(autoescape: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("launch.report", "templates"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words=words, tables=_tables, causes=_causes, states=STATES, weights=_weights)
    return environment
