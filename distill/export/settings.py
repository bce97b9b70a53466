"""What may be asked of an export. A policy is a recipe with these keys; there is no code for any of them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from distill.dataset_info import Form
from distill.export.licences import Use
from distill.stage import StageSettings
from distill.tokens import tokenizer_files


class Settings(StageSettings):
    """What goes into the set called `set`.

    SFT: kept traces, at most `max_per_question` of each question (teachers named in `prefer` first, in that order),
    and of at most `sft_limit` questions, drawn by a hash of `seed` and the id. GRPO: the questions of `rl` ("all",
    "unkept" = those that gave no SFT row, "kept" = those that gave one, "none") whose gold the check itself accepts, at
    most `rl_limit` of them, drawn likewise; `rl_judged` takes in golds that only a judge can compare an answer with, for
    GRPO with a judge among the rewards. DPO: of each question at most `dpo_per_question` pairs of a kept trace and
    a wrong one, of at most `dpo_limit` questions. Rows longer than `cutoff_len` tokens of `tokenizer` (SFT, DPO) and
    prompts longer than `prompt_cutoff` (GRPO) are left out and counted, never cut.

    `form` is LLaMA-Factory's. A question that the file `overlap` names goes into no training set. `use` is what the set
    is for: a licence that does not allow it stops the export, unless `allow_licences` names it.
    """

    set: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    questions: Path
    traces: Path
    verdicts: Path
    test: Path | None = None
    overlap: Path | None = None
    root: Path = Path()
    system_prompt: Path | None = None
    form: Form = "sharegpt"
    max_per_question: int = Field(default=1, ge=1)
    prefer: list[str] = Field(default_factory=list)
    sft_limit: int | None = Field(default=None, ge=1)
    rl: Literal["all", "unkept", "kept", "none"] = "all"
    rl_judged: bool = False
    rl_limit: int | None = Field(default=None, ge=1)
    dpo_per_question: int = Field(default=0, ge=0)
    dpo_limit: int | None = Field(default=None, ge=1)
    seed: int = 0
    tokenizer: Path | None = None
    cutoff_len: int | None = Field(default=None, ge=1)
    prompt_cutoff: int | None = Field(default=None, ge=1)
    # The stricter of the two: who means research says so.
    use: Use = "commercial"
    allow_licences: list[str] = Field(default_factory=list)
    card: bool = True
    skip_bad: bool = False

    @model_validator(mode="after")
    def _settings_go_together(self) -> Settings:
        if (self.tokenizer is None) != (self.cutoff_len is None and self.prompt_cutoff is None):
            raise ValueError("tokenizer goes with cutoff_len or prompt_cutoff: give both, or neither")
        if self.dpo_limit is not None and not self.dpo_per_question:
            raise ValueError("dpo_limit goes with dpo_per_question, which says how many pairs a question gives")
        return self

    @property
    def folder(self) -> Path:
        """The folder of the set."""
        return self.root / "datasets" / self.set

    def inputs(self) -> list[Path]:
        given = [self.questions, self.traces, self.verdicts, self.test, self.overlap, self.system_prompt]
        return [path for path in given if path is not None] + tokenizer_files(self.tokenizer)

    def manifest_path(self) -> Path:
        return self.folder / "manifest.json"
