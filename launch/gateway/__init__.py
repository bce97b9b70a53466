"""One endpoint before the served versions: HAProxy, configured from a recipe (docs/gateway.md)."""

from enum import StrEnum


class Do(StrEnum):
    """What to do with a gateway recipe."""

    run = "run"
    check = "check"
    reload = "reload"
    measure = "measure"
    watch = "watch"
