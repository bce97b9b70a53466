"""Raw rows from a set's home on a dataset hub, through the library `datasets`; only where a recipe says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from reward_plugins.errors import Refused


class Hub(BaseModel):
    """Where `datasets.load_dataset` finds a set: its `id`, and the configuration or the files to take."""

    model_config = ConfigDict(extra="forbid")

    id: str
    config: str | None = None
    files: str | None = None


def hub_rows(hub: Hub, part: str, revision: str | None) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) for each row of the hub's split `part`, streamed; no code of the set is run.

    Raises `Refused` where the rows cannot be had, for whatever reason, with what the library said.
    """
    try:
        from datasets import load_dataset
    except ImportError:
        raise Refused("fetching a set from its home needs the package datasets; run in the kit stack") from None
    try:
        stream = load_dataset(hub.id, hub.config, data_files=hub.files, split=part, revision=revision, streaming=True)
        for number, value in enumerate(stream):
            yield f"{part}[{number}]", value
    except Exception as error:  # the library raises its own and those of the network and file libraries under it
        said = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise Refused(
            f"{hub.id}, split {part!r}: its home gave no rows ({said[:200]}); fetch it by hand and give its `path`"
        ) from None
