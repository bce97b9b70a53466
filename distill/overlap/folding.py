"""Texts as they are compared: what a reader would not call a difference is folded away.

Width of characters (NFKC), case, traditional against simplified characters, white space and punctuation do not count.
"""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
import zlib
from typing import NamedTuple

import numpy as np
import opencc
from numpy.typing import NDArray

from distill.records import Question

Grams = NDArray[np.int64]
"""A set of n-grams as sorted hashes."""

# Han characters, and the kana of a Japanese report.
_HAN = "㐀-鿿豈-﫿぀-ヿ"
_TOKEN = re.compile(rf"[{_HAN}]|\d+(?:[.,]\d+)*|[^\W\d_{_HAN}]+")
_DIGITS = re.compile(r"\d+")
_MASK = "#"
_NUMBER, _FIGURE = 1, 2  # bits of a token's hash; the first alone stands for any number where they are masked
_MIX = 0x9E3779B1  # 2^32 / phi: makes one hash of two neighbours, and overflow does no harm


class Text(NamedTuple):
    """A folded text.

    `key` and `masked_key` are equal for texts that differ in spacing only, and in spacing and numbers only. `ids` are
    the tokens as hashes, in order. `figures` are the numbers by which a page can be known: three digits or more, and
    no year. `grams` are the pairs of neighbours, `masked` those with every number as one mark.
    """

    key: int
    masked_key: int
    ids: list[int]
    figures: Grams
    grams: Grams
    masked: Grams


def fold(text: str) -> Text:
    """A text as it is compared; the same in every process."""
    folded = _split(text)
    if len(_IDS) > _MOST_IDS:
        _IDS.clear()
    ids = [_IDS[token] for token in folded]
    row = np.array(ids, dtype=np.int64)
    squeezed = "".join(folded).replace(",", "").replace(".", "")
    return Text(
        key(squeezed),
        key(_DIGITS.sub(_MASK, squeezed)),
        ids,
        np.unique(row[(row & _FIGURE) != 0]),
        _pairs(row),
        _pairs(np.where(row & _NUMBER, _NUMBER, row)),
    )


@functools.lru_cache(maxsize=64)  # the questions of a page stand together in most files
def fold_page(page: str) -> Text:
    """As `fold`, for long texts that come several times in a row."""
    return fold(page)


def choices_text(question: Question) -> str:
    """The choices as one text; their letters do not count, since copies shuffle them."""
    return "\n".join(sorted((question.choices or {}).values()))


def tokens(text: str) -> list[str]:
    """The text as tokens: a Han character, a number without its commas, or a word.

    N-grams of them are character n-grams in Chinese and word n-grams in English, and both in a text that mixes them.
    """
    return [token.replace(",", "") for token in _split(text)]


def numbers(text: Text) -> list[int]:
    """The numbers of a text, in an order of their own."""
    return sorted(each for each in text.ids if each & _NUMBER)


def key(text: str) -> int:
    """A 64-bit hash of a text (two of a million texts meet by chance with a probability below 1e-7)."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _split(text: str) -> list[str]:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_simplified())
    return _TOKEN.findall(text.casefold())


class _Ids(dict[str, int]):
    """A token's hash, its lowest bits saying whether it is a number, and a figure: masking is then one operation."""

    def __missing__(self, token: str) -> int:
        token = token.replace(",", "")
        number = token[0].isdigit()
        year = len(token) == 4 and token.startswith(("19", "20"))
        figure = number and len(token) >= 3 and not year
        self[token] = found = zlib.crc32(token.encode()) << 2 | figure * _FIGURE | number * _NUMBER
        return found


_IDS = _Ids()
_MOST_IDS = 1 << 18  # words there are fewer; numbers have no end


def _pairs(ids: Grams) -> Grams:
    """Pairs of neighbours, each once, in order; a single token stands for itself."""
    return np.unique(ids[:-1] * _MIX + ids[1:] if len(ids) > 1 else ids)


@functools.cache
def _simplified() -> dict[int, str]:
    """Each traditional character's simplified one, by OpenCC; a table is a hundred times faster than its converter.

    Taken one by one, characters fold alike in both writings; words that differ by region (軟體, 软件) do not.
    """
    characters = [chr(code) for code in (*range(0x3400, 0xA000), *range(0xF900, 0xFB00))]
    converted = opencc.OpenCC("t2s").convert("\n".join(characters)).split("\n")
    return {ord(old): new for old, new in zip(characters, converted, strict=True) if old != new}
