"""How long a row is in the student's tokens, so that nothing is cut off in training without a word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reward_plugins.errors import Refused

# What a chat template adds to a message (role, start and end marks): 5 in ChatML, up to 8 in the others in use.
_TEMPLATE_TOKENS_A_MESSAGE = 8


def tokenizer_file(path: Path) -> Path:
    """The `tokenizer.json` that is meant by its own path or by its folder's."""
    return path if path.suffix == ".json" else path / "tokenizer.json"


class TokenCounter:
    """Counts tokens with a `tokenizer.json` (given as the file or as its folder). Raises `Refused` if there is none."""

    def __init__(self, path: Path) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise Refused("counting tokens needs the package tokenizers; run in the kit stack") from None
        file = tokenizer_file(path)
        if not file.is_file():
            raise Refused(f"{file}: no such file; give the student's tokenizer.json, or its model folder")
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises its own bare Exception for a file it cannot read
            raise Refused(f"{file}: not a tokenizer ({error})") from None

    def count(self, texts: Sequence[str]) -> int:
        """Tokens of a conversation with these messages; what the template adds is taken at its most."""
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return sum(len(each.ids) for each in encoded) + _TEMPLATE_TOKENS_A_MESSAGE * len(texts)
