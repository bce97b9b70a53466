"""Which options an engine knows: read from its own source where it is installed, else from a pinned list.

Nothing is imported: vLLM alone takes ten seconds and more for that. Run as a program (`python -m
launch.serving.options vllm PYTHON`), it prints the list for `options.json` from the engine of that interpreter.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from launch.serving.settings import Kind

PINNED = Path(__file__).with_suffix(".json")
"""Each engine's options and the version that they were read from, which is the one in its stack's pins."""

_DECLARED_IN = {
    "transformers": ("transformers/cli/serve.py",),
    "vllm": ("vllm/engine/arg_utils.py", "vllm/entrypoints/launchers/cli_args.py"),
}
"""Arguments of a command's `__init__`, fields of a class, and literals such as "--dtype": both engines make their
options of these."""


def known(kind: Kind, python: Path | None) -> tuple[set[str], str]:
    """(options without dashes, "engine version" that they are of); `python` is the engine's interpreter, if any."""
    if python is not None and (found := installed(kind, python)):
        return found
    pinned = json.loads(PINNED.read_text(encoding="utf-8"))[kind]
    return set(pinned["options"]), f"{kind} {pinned['version']}"


def installed(kind: Kind, python: Path) -> tuple[set[str], str] | None:
    """The same of the engine that stands beside this interpreter; None where there is none."""
    for packages in sorted(python.parent.parent.glob("lib/python3.*/site-packages")):
        sources = [packages / source for source in _DECLARED_IN[kind]]
        if all(source.is_file() for source in sources):
            options = {option for source in sources for option in _declared(source)}
            return options, f"{kind} {_version(kind, packages)}"
    return None


def is_known(option: str, options: set[str]) -> bool:
    """Whether an engine takes an option; a switch may be turned off as `no-...`."""
    plain = option.replace("_", "-")
    return plain in options or plain.removeprefix("no-") in options


def _declared(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"--[a-z][a-z0-9-]+", node.value):
                yield node.value[2:]
        elif isinstance(node, ast.ClassDef):
            for field in node.body:
                name = (
                    field.target.id if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) else "_"
                )
                if not name.startswith("_"):
                    yield name.replace("_", "-")
        elif isinstance(node, ast.FunctionDef) and node.name == "__init__":
            yield from (argument.arg.replace("_", "-") for argument in node.args.args if argument.arg != "self")


def _version(kind: Kind, packages: Path) -> str:
    for told in packages.glob(f"{kind}*.dist-info"):
        if found := re.fullmatch(rf"{kind}(?:_cpu)?-([0-9][^-]*)\.dist-info", told.name):
            return found[1]
    return "of an unknown version"


if __name__ == "__main__":
    kind: Kind = "vllm" if sys.argv[1] == "vllm" else "transformers"
    found = installed(kind, Path(sys.argv[2]))
    if found is None:
        sys.exit(f"no {kind} stands beside {sys.argv[2]}")
    print(json.dumps({"version": found[1].split(" ", 1)[1], "options": sorted(found[0])}, indent=1))
