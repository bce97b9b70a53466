"""`finr1 report`: from a report's recipe, or from folders of evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launch import recipe
from launch.report.render import run
from launch.report.settings import ReportSettings


def run_report(name: str, *more: str, overrides: list[str] | None = None) -> dict[str, Any]:
    """The report of a recipe, or on folders of evaluations; it then lies in `report/` of the first one."""
    asked = recipe.load(name) if not Path(name).is_dir() else {"out": f"{name}/report", "evaluations": [name, *more]}
    settings = recipe.settings(ReportSettings, recipe.overridden(asked, overrides or []), name)
    page = settings.out / "report.html"
    before = page.stat().st_mtime_ns if page.is_file() else 0
    summary = run(settings)
    done = "already" if page.stat().st_mtime_ns == before else "now"
    return {"done": done, "report": str(page), "summary": summary}
