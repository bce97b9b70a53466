"""The stage `export`: training and test sets in the forms that the engines read, with their manifest and card.

`<root>/datasets/<set>/sft/train.jsonl` and `dpo/train.jsonl` for LLaMA-Factory, `grpo/train.jsonl` for
`load_dataset(folder)` and TRL, `test/<source>.jsonl` for EvalScope, `README.md` for people, `manifest.json`, and the
entries `<set>_sft` and `<set>_dpo` in `<root>/dataset_info.json`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from distill import manifest
from distill.dataset_info import entry, look_up, register
from distill.export import card as data_card
from distill.export import licences
from distill.export.choose import Choice
from distill.export.pool import Pool
from distill.export.settings import Settings
from distill.export.write import Writer
from distill.progress import progress_bars
from distill.questions import QuestionIndex
from distill.records import one_writer
from distill.spread import Cores, Engine

__all__ = ["Settings", "enter", "run"]


def enter(settings: Settings) -> None:
    """Put the set into `dataset_info.json`, where the SFT recipe looks for it; does nothing where it stands there."""
    for name, told in _entries(settings).items():
        register(_registry(settings), name, told)


def run(settings: Settings, engine: Engine | None = None) -> dict[str, Any]:
    """Write the set; returns the counts of rows and of what was left out, by reason.

    Rows for SFT are measured and golds for GRPO checked by `engine`, by default the cores of this machine.

    Rows stand in the order of question id, teacher and sample, so the same records give the same bytes. Raises
    `Refused` for bad input, for a test question that is also trained on, for a licence that does not allow the use, and
    where nothing is left to train on; then an older set stays as it is.
    """
    stage = manifest.Run("export", settings)
    for name, told in _entries(settings).items():
        look_up(_registry(settings), name, told)
    engine = engine or Cores()
    bad: Counter[str] = Counter()
    with QuestionIndex(settings.questions, settings.skip_bad, bad) as questions, progress_bars() as bars:
        bar = bars.add_task("export", total=4, note="reading questions and verdicts")
        pool = Pool(settings, questions, bad)
        licences.permit(pool.sources, settings.use, settings.allow_licences)
        bars.update(bar, advance=1, note="choosing rows")
        choice = Choice(settings, pool, engine)
        chosen = choice.sft()
        rl_ids = choice.grpo({candidate.question_id for candidate in chosen})
        pairs = choice.dpo()
        bars.update(bar, advance=1, note="writing rows")
        writer = Writer(settings, pool, choice)
        settings.folder.mkdir(parents=True, exist_ok=True)
        with one_writer(settings.folder / "set.part", settings.folder):
            _clear(settings, writer.paths())
            writer.write(chosen, pairs, rl_ids)
            bars.update(bar, advance=1, note="writing the card")
            counts = {
                "rows": {path.relative_to(settings.folder).as_posix(): rows for path, rows in writer.written.items()},
                "left_out": dict(sorted(choice.left_out.items())),
                "bad_lines": dict(bad),
            }
            earlier = _earlier(settings)
            outputs = [*writer.written]
            if settings.card:
                outputs += data_card.write(data_card.Told(settings, pool, choice, writer, counts, earlier))
            bars.update(bar, advance=1, note="")
            enter(settings)
            licensed = dict(sorted(writer.licences().items()))
            stage.done(outputs, counts, licences=licensed, stages=earlier, engine=engine.name)
    return counts


def _registry(settings: Settings) -> Path:
    return settings.root / "dataset_info.json"


def _entries(settings: Settings) -> dict[str, dict[str, Any]]:
    """The entries of the set in `dataset_info.json`, by their names."""
    entries = {f"{settings.set}_sft": entry(f"datasets/{settings.set}/sft/train.jsonl", settings.form)}
    if settings.dpo_per_question:
        dpo = entry(f"datasets/{settings.set}/dpo/train.jsonl", settings.form, ranking=True)
        entries[f"{settings.set}_dpo"] = dpo
    return entries


def _clear(settings: Settings, planned: list[Path]) -> None:
    """Take away the manifest, and what an earlier export of another policy wrote that this one does not."""
    known = manifest.read(settings.manifest_path()) or {"outputs": {}}
    settings.manifest_path().unlink(missing_ok=True)
    kept = {path.resolve() for path in planned}
    for path in (Path(name).resolve() for name in known["outputs"]):
        if settings.folder.resolve() in path.parents and path not in kept:
            path.unlink(missing_ok=True)


def _earlier(settings: Settings) -> dict[str, Any]:
    """What the manifests of the stages before this one say: settings, seeds and counts of the whole way."""
    earlier: dict[str, Any] = {}
    for path in (settings.questions, settings.traces, settings.verdicts, settings.overlap):
        found = manifest.of(path) if path else None
        if found is not None:
            earlier[found["stage"]] = {
                key: found[key] for key in ("settings", "counts", "versions", "started", "seconds")
            }
    return earlier
