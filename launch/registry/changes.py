"""What changes a registry: register, promote, roll back, name. Each returns sentences for the one who asked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from launch.registry.champions import Event, succession
from launch.registry.outcomes import compare
from launch.registry.parts import Parts
from launch.registry.settings import CHAMPION
from launch.registry.store import Registry, now
from launch.registry.version import Version
from reward_plugins.errors import Refused


@dataclass(frozen=True)
class Change:
    """The version that a command was about, and what to tell of it."""

    version: int
    said: list[str]


def register(registry: Registry, parts: Parts, parent: str = "") -> Change:
    """Make a version of a model folder's parts, or add them to the version that has the same weights.

    The parent is the version `parent` (number or alias), else the newest one whose weights the run read.
    """
    with registry.alone(wait=True):
        notes = registry.mend()
        older = registry.version(parent) if parent else None
        if older is None and parts.training:
            older = registry.parent_of(parts.training)
        tags = {"parent": str(older.number)} if older and older.sha256 != parts.sha256 else {}
        known = registry.find(parts.sha256)
        if known is None:
            version = registry.add(parts, tags)
            said = [f"version {version.number} is registered: {version.folder}"]
        else:
            version, said = _added(registry, known, parts, tags)
    said += [f"it lacks its {lacking}" for lacking in version.lacks]
    return Change(version.number, [*said, *parts.remarks, *notes])


def promote(registry: Registry, word: str, force: bool = False, reason: str = "") -> Change:
    """Make a version the champion, if its evaluation allows it; `force` overrules the evaluation, for a `reason`.

    Raises:
        Refused: what speaks against it, or weights that are not those that were registered (never overruled).
    """
    if force != bool(reason.strip()):
        raise Refused("--force and --reason TEXT go together: the reason is kept with the version")
    with registry.alone():
        registry.mend()
        version, was = registry.version(word), registry.aliases().get(CHAMPION)
        if was == version.number:
            raise Refused(f"version {was} is the champion already")
        registry.need_same_weights(version)
        theirs = next((each for each in registry.versions() if each.number == was), None)
        compared = compare(registry.outcomes(version), was, registry.outcomes(theirs) if theirs else None)
        if compared.objections and not force:
            against = "; ".join(compared.objections)
            raise Refused(f"version {version.number} is not promoted: {against} (--force --reason TEXT overrules this)")
        if compared.objections:
            registry.note(version.number, {"forced": f"{now()} {reason}: {'; '.join(compared.objections)}"})
        event = Event(
            event="promoted",
            version=version.number,
            was=was,
            at=now(),
            reason=reason,
            over=compared.objections,
            compared=compared.sentences(),
        )
        notes = registry.crown(version, event)
    said = [f"version {version.number} is the champion now" + (f", version {was} was before" if was else "")]
    said += [*compared.sentences(), *(f"overruled: {each}" for each in compared.objections), *compared.remarks]
    return Change(version.number, [*said, *notes])


def roll_back(registry: Registry, reason: str = "") -> Change:
    """Put the champion before this one back; called again, the one before that.

    Raises:
        Refused: there is none before, or its weights are not what was registered.
    """
    with registry.alone():
        registry.mend()
        was = registry.aliases().get(CHAMPION)
        line = succession(registry.events())
        if was is not None:
            line.pop()
        if not line:
            raise Refused(
                f"version {was} is the first champion: there is none to go back to"
                if was is not None
                else "there is no champion yet: finr1 models promote VERSION makes one"
            )
        version = registry.version(line[-1])
        registry.need_same_weights(version)
        event = Event(event="rolled back", version=version.number, was=was, at=now(), reason=reason)
        notes = registry.crown(version, event)
        if was is not None:
            registry.note(was, {"rolled_back": f"{now()} {reason}".strip()})
    instead = f" instead of version {was}" if was is not None else ""
    return Change(version.number, [f"version {version.number} is the champion again{instead}", *notes])


def name(registry: Registry, alias: str, word: str) -> Change:
    """Let an alias other than the champion's stand for a version.

    Raises:
        Refused: it is the champion's, or none that MLflow and a file name can carry.
    """
    _need_own_alias(alias)
    with registry.alone():
        version = registry.version(word)
        if CHAMPION in version.aliases:
            raise Refused(f"version {version.number} is the champion; {alias} is for another one")
        registry.need_same_weights(version)
        registry.set_alias(alias, version)
        notes = registry.mend(sure={version.number})
    return Change(version.number, [f"{alias} is version {version.number} now", *notes])


def unname(registry: Registry, alias: str) -> Change:
    """Take an alias other than the champion's away."""
    _need_own_alias(alias)
    with registry.alone():
        version = registry.version(alias)
        registry.drop_alias(alias)
        notes = registry.mend()
    return Change(version.number, [f"{alias} stands for nothing now; it was version {version.number}", *notes])


def _need_own_alias(alias: str) -> None:
    if alias == CHAMPION:
        raise Refused("the champion is made by finr1 models promote, and unmade by finr1 models rollback")
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", alias) or alias == "latest" or re.fullmatch(r"v\d+", alias):
        raise Refused(f"{alias!r} is no alias: take small letters, digits, - and _ (not latest, v1, v2, ...)")


def _added(registry: Registry, version: Version, parts: Parts, tags: dict[str, str]) -> tuple[Version, list[str]]:
    """Add to a version what was not there, or is newer; the weights are the same."""
    said = [f"these weights are version {version.number} already"]
    given = {
        "run": f"training-{parts.training.digest}" if parts.training else None,
        "evaluation": f"evaluation-{parts.evaluated.digest}" if parts.evaluated else None,
    }
    for part, place in given.items():
        if place and version.tags.get(part) not in (None, place):
            said.append(f"its {part} is replaced; the old one stays among its artifacts")
        elif place and part not in version.tags:
            said.append(f"its {part} is added")
    newer = Parts(
        parts.folder,
        parts.sha256,
        parts.weights,
        parts.training if given["run"] != version.tags.get("run") else None,
        parts.evaluated if given["evaluation"] != version.tags.get("evaluation") else None,
    )
    if newer.training or newer.evaluated:
        tags = {**registry.carry(version.run_id, newer), **tags}
    if tags.get("parent", version.tags.get("parent")) != version.tags.get("parent"):
        said.append(f"its parent is version {tags['parent']}")
    if parts.folder != version.folder:
        if not _is_here(registry, version):
            tags["folder"] = str(parts.folder)
            said.append(f"its folder is {parts.folder} now; {version.folder} no longer holds it")
        else:
            said.append(f"its folder stays {version.folder}")
    registry.note(version.number, tags)
    return registry.version(version.number), said if len(said) > 1 else [*said, "nothing new"]


def _is_here(registry: Registry, version: Version) -> bool:
    try:
        registry.need_same_weights(version)
    except Refused:
        return False
    return True
