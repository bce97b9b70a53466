"""Labels: the classes that a data set or the question names, with the other names that the question gives them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from reward_plugins.spans import DENIED, EXPLAINED, OPEN, find, normal

# More is a list of things, and no set of classes.
_MOST = 30
_NAME = r"[^\s,，、;；:：。.?？()（）'\"“”\[\]=/|]{1,24}"
_NAMES = rf"(?:{_NAME} ){{0,3}}{_NAME}"

# ['业绩下滑', '债务违约'] and "one of: positive, stable, negative" and 类别：规章制度,法律法规
_QUOTED_LIST = re.compile(r"\[((?:\s*['\"][^'\"\n]{1,40}['\"]\s*,?){2,30})\]")
_QUOTED = re.compile(r"['\"]([^'\"\n]{1,40})['\"]")
_LISTED = re.compile(
    r"(?:\bone of(?: the following)?|\bas|\beither|\bclass(?:es)?|\bcategor(?:y|ies)|\blabels?|\boptions?|类别|类型|分类|标签|选项|情绪|一个|一项|种|为|属于)"
    rf"[^:：\n,，。.]{{0,12}}[:：] ?((?:{_NAMES} ?(?:[,，、/|]|\bor\b|\band\b|或|和|还是) ?(?:or |and |或者?)?){{1,29}}{_NAMES})",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\s*(?:[,，、/|]|\bor\b|\band\b|或者?|和|还是)\s*(?:or |and |或者?)?", re.IGNORECASE)
# "0 = dovish, 1 = hawkish", "0 (bearish), 1 (bullish)", 鹰派（1）
_NUMBERED = re.compile(rf"(?<![\w.])(\d) ?(?:=|:|：|[(（]) ?({_NAME})")
_CLASSIFIES = re.compile(
    r"\blabel|\bclass|\bcategor|\bsentiment|\bstance|标签|分类|类别|立场|情绪|情感|倾向", re.IGNORECASE
)
_BRACKETED = re.compile(rf"({_NAMES}) ?[(（]({_NAMES})[)）]")

# "bullish, not bearish", 不是积极，而是消极: the label that is set aside.
_CONTRAST = re.compile(
    r"(?:\b(?:not|rather than|instead of)\b|而非|而?不是|并非) ?(?:an? |the )?[\"“']?(?P<label>[a-z]{2,24}|[\u4e00-\u9fff]{1,6}?)[\"”']?"
    r"(?=$|[,，.。;；)）]|而是| but\b)(?:[,，]? ?(?:而是|but\b))?"
    r"|\bneither (?P<one>[a-z]{2,24}) nor (?P<other>[a-z]{2,24})\b",
    re.IGNORECASE,
)


def label_names(labels: Any, question: str = "") -> dict[str, set[str]]:
    """The labels of a data set as {normal name: its other names}; labels come as a list or as {class id: name}.

    Names that the question puts in brackets beside a label, 负面（利空), are other names of it.
    """
    if isinstance(labels, Mapping):
        names = {normal(str(name)): {normal(str(key)), normal(str(name))} for key, name in labels.items()}
    elif isinstance(labels, Iterable) and not isinstance(labels, (str, bytes)):
        names = {normal(str(name)): {normal(str(name))} for name in labels}
    else:
        return {}
    return _with_brackets(names, question)


def labels_in(question: str, gold: str) -> dict[str, set[str]]:
    """The labels that a question itself lists, as `label_names` gives them; {} where the gold is none of them."""
    wanted = normal(gold)
    numbered = _NUMBERED.findall(question) if _CLASSIFIES.search(question) else []
    if len({number for number, _ in numbered}) == len(numbered) > 1:
        names = {normal(name): {normal(name), number} for number, name in numbered}
        if any(wanted in each for each in names.values()):
            return names
    lists = [_QUOTED.findall(match[1]) for match in _QUOTED_LIST.finditer(question)]
    lists += [_BETWEEN.split(match[1]) for match in _LISTED.finditer(question)]
    for listed in lists:
        names = {normal(name): {normal(name)} for name in listed if normal(name)}
        if 1 < len(names) <= _MOST and wanted in names:
            return _with_brackets(names, question)
    return {}


def _with_brackets(names: dict[str, set[str]], question: str) -> dict[str, set[str]]:
    # "positive (1), negative (-1)": without their signs the numbers would be one name
    signed = any(match[2].startswith("-") for match in _BRACKETED.finditer(question))
    taken = {name for other in names.values() for name in other}
    for match in _BRACKETED.finditer(question):
        outer, inner = normal(match[1]), normal(match[2])
        # the words in front of the bracket may begin before the label: "outlook positive (upgrade likely)"
        name = next(
            (name for name in names if outer == name or (outer.endswith(name) and find(name, outer) >= 0)), None
        )
        if name and inner and inner not in taken and not (signed and inner.isdecimal()):
            names[name].add(inner)
    return names


def compare_label(answer: str, gold: str, labels: Mapping[str, set[str]]) -> tuple[str, str]:
    """Whether a (plain) answer names the gold's label and no other."""
    wanted = next((name for name, names in labels.items() if normal(gold) in names), "")
    short = EXPLAINED.split(answer, maxsplit=1)[0]
    named = _named(short, labels)
    if len(named) > 1 or _CONTRAST.search(short):
        rest = _CONTRAST.sub(" ", short)
        if lesser := _contrasted(short):
            kept = _named(rest, labels)
            named, short = (kept, rest) if kept and not kept & _named(" ".join(lesser), labels) else (named, short)
    if not named:
        return "wrong", "it names none of the labels"
    if len(named) > 1:
        return "wrong", "it names several labels"
    if OPEN.search(short) or DENIED.search(short):
        return "wrong", "it denies a label, or leaves it open"
    if named != {wanted}:
        return "wrong", "another label"
    return "correct", "the label"


def _named(answer: str, labels: Mapping[str, set[str]]) -> set[str]:
    text = normal(answer)
    at = {(name, other) for name, names in labels.items() for other in names if other and find(other, text) >= 0}
    # a label inside a longer one (正面 in 非正面情绪) is the longer one's
    return {name for name, other in at if not any(other != longer and other in longer for _, longer in at)}


def _contrasted(text: str) -> set[str]:
    return {normal(group) for match in _CONTRAST.finditer(text) for group in match.groups() if group}
