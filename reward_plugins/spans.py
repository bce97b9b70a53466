"""Short texts: names, terms, labels. The same words are right; another word is undecided, for it may be a synonym."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from reward_plugins.initials import in_words_of, without_aside

_EDGES = " \t\n.。,，;；:：!！\"'“”‘’()（）[]【】{}《》<>*_`"
_NOISE = re.compile(r"(?:[\s\-–—_'\"“”‘’`,，。;；:：()（）\[\]【】《》/、·!！?？]|(?<!\d)\.|\.(?!\d))+")
_ARTICLES = re.compile(r"\b(?:the|an?)\b ?")
_HANZI = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
_WORD = re.compile(r"[a-z0-9]+(?:\.[0-9]+)?|[\u3040-\u30ff\u4e00-\u9fff]")

_DENIED = re.compile(
    r"\b(?:not|never|no|isn't|wasn't|aren't|don't|doesn't|didn't|neither|nor|non|un|without|hardly|barely|except|far from|anything but|"
    r"rather than|instead of|other than|opposite)\b|不是|并非|不(?!锈)|非(?!常)|没有?|未|无(?!形|限)|ではない|じゃない|でない|除了?",
    re.IGNORECASE,
)
_OPEN = re.compile(
    r"\b(?:or|either|maybe|perhaps|possibly|probably|might|could be|guess|unsure|not sure|unless|mixed|somewhere between|and/or)\b"
    r"|或|还是|可能|也许|不确定|または|あるいは|か(?=[\u4e00-\u9fff]{1,4}か)|[?？|]| / |/",
    re.IGNORECASE,
)
_EXPLAINED = re.compile(r"[,，;；]? ?(?:because|since|as the|due to|因为|由于|ため|ので)", re.IGNORECASE)

# Words that a sentence may put around a term without saying anything more.
_FILLER = frozenset(
    [
        "the",
        "a",
        "an",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "being",
        "by",
        "of",
        "in",
        "on",
        "at",
        "to",
        "for",
        "from",
        "with",
        "as",
        "it",
        "its",
        "they",
        "their",
        "them",
        "this",
        "that",
        "these",
        "those",
        "which",
        "what",
        "who",
        "whom",
        "how",
        "did",
        "do",
        "does",
        "has",
        "have",
        "had",
        "will",
        "would",
        "and",
        "both",
        "all",
        "following",
        "include",
        "includes",
        "including",
        "answer",
        "final",
        "correct",
        "use",
        "used",
        "uses",
        "using",
        "adopts",
        "adopted",
        "company",
        "firm",
        "method",
        "called",
        "named",
        "known",
        "under",
        "approved",
        "reported",
        "reports",
        "largest",
        "highest",
        "lowest",
        "larger",
        "higher",
        "lower",
        "segment",
        "type",
        "types",
        "kind",
        "category",
        "根",
        "据",
        "该",
        "这",
        "那",
        "其",
        "的",
        "是",
        "为",
        "了",
        "由",
        "在",
        "采",
        "用",
        "使",
        "属",
        "于",
        "类",
        "型",
        "种",
        "公",
        "司",
        "答",
        "案",
        "即",
        "叫",
        "做",
        "有",
        "包",
        "计",
        "提",
        "括",
        "称",
        "作",
        "家",
        "采取",
        "方",
        "法",
        "者",
        "们",
        "で",
        "す",
        "ます",
        "である",
        "だ",
        "の",
        "は",
        "が",
        "を",
        "に",
        "と",
        "し",
        "た",
    ]
)

# A small set of words of movement: 増収/減収 and the like differ by one character, and English inflects them.
_MOVES = (
    re.compile(
        r"\b(?:increas\w*|ris(?:e|es|ing|en)|rose|gr[eo]w\w*|up|higher|improv\w*)\b|增加|增长|上升|上涨|增|増|改善|黒字",
        re.I,
    ),
    re.compile(
        r"\b(?:decreas\w*|declin\w*|fell|fall\w*|drop\w*|reduc\w*|down|lower|worsen\w*)\b|减少|下降|下跌|減|减|悪化|赤字",
        re.I,
    ),
)
_ONE_MOVE = re.compile(
    r"(?:an? )?(?:increase[ds]?|decrease[ds]?|rise|rose|fall|fell|decline[ds]?|up|down|improved|worsened)",
    re.IGNORECASE,
)


# "Europe ($520 million)": the figure behind a term is the evidence for it.
_EVIDENCE = re.compile(
    r" ?[(（][$€£¥]?[\d.,]{1,20} ?(?:%|thousand|million|billion|[百千]?[万亿]?元|[万亿])?[)）]", re.IGNORECASE
)


_YEAR_SPAN = re.compile(r"\b((?:19|20)\d\d)年? ?(?:[-–—~～至到]|to) ?((?:19|20)\d\d)(?!\d|[-/.]\d)年?")


def normal(text: str) -> str:
    """A text without case, articles, punctuation, quotes and hyphens, for comparison."""
    text = _ARTICLES.sub("", text.casefold())
    text = text.replace("&", " and ")
    spaced = _NOISE.sub(" ", text).strip()
    return spaced.replace(" ", "") if _HANZI.search(spaced) else spaced


def compare_text(answer: str, gold: str, question: str) -> tuple[str, str]:
    """Whether a (plain) answer is the gold's words, alone or in a sentence that adds nothing.

    An abbreviation that is the gold's initials is the gold, and so are the words whose initials the gold is.
    """
    answer, gold = _YEAR_SPAN.sub(r"\1至\2年", answer), _YEAR_SPAN.sub(r"\1至\2年", gold)
    gold = without_aside(gold)
    status, reason = _compare_words(answer, gold, question)
    if status != "correct" and (other := in_words_of(gold, answer)) != answer:
        return _compare_words(other, gold, question)
    return status, reason


def _compare_words(answer: str, gold: str, question: str) -> tuple[str, str]:
    ours, theirs = normal(answer), normal(gold)
    if not theirs:
        return "undecided", "the gold is empty"
    if answer.rstrip(_EDGES).endswith(("?", "？")) and not gold.rstrip(_EDGES).endswith(("?", "？")):
        return "wrong", "it asks"
    if ours == theirs:
        return "correct", "the same words"
    if ours.replace(" ", "") == theirs.replace(" ", ""):
        return "correct", "the same words"
    if ours and ours == normal(question):
        return "wrong", "it repeats the question"
    if _ONE_MOVE.fullmatch(gold.strip(_EDGES)) or (len(theirs) == 2 and any(move.search(gold) for move in _MOVES)):
        return _compare_moves(answer, gold)
    answer = _EXPLAINED.split(answer, maxsplit=1)[0]
    if not any(character.isdecimal() for character in gold):
        answer = _EVIDENCE.sub("", answer)
    ours = normal(answer)
    found = _find(theirs, ours)
    denied, open_ended = _DENIED.search(answer), _OPEN.search(answer)
    gold_denies, gold_open = _DENIED.search(gold), _OPEN.search(gold)
    if ours == theirs:
        return "correct", "the same words"
    if found < 0:
        if (
            set(_words(ours)) == set(_words(theirs))
            and len(ours) < 400
            and len(_words(ours)) == len(_words(theirs)) > 3
        ):
            return "undecided", "the same words in another order"
        if denied and not gold_denies:
            return ("wrong", "it denies") if _shares(ours, theirs) else ("undecided", "other words than the gold's")
        return "undecided", "other words than the gold's: only a judge can tell whether they mean the same"
    if denied and not gold_denies:
        return "wrong", f"it denies ({denied.group()!r})"
    if open_ended and not gold_open:
        return "wrong", f"it leaves the answer open ({open_ended.group()!r})"
    rest = ours[:found] + " " + ours[found + len(theirs) :]
    around = [word for word in _words(rest) if word not in _FILLER]
    known = set(_words(normal(question)))
    rivals = _rivals(theirs, normal(question))
    if (affirmed := theirs.lstrip("不未非没无")) and affirmed != theirs and affirmed in rest:
        return "wrong", "it names both sides of the question"
    strange = [word for word in around if word not in known and not _inflected(word, known)]
    if rivals & set(around):
        return "wrong", "it names both sides of the question"
    if not strange:
        return "correct", "the gold's words in a sentence that adds nothing"
    if re.search(r"[,，、;；\n]|\band\b", answer) and not re.search(r"[,，、;；\n]|\band\b", gold):
        return "wrong", "it names more than the gold"
    return "undecided", "the gold's words among others: only a judge can tell"


def covers(answer: str, golds: list[str], question: str, ordered: bool) -> bool:
    """Whether a (plain) answer is made of the gold's terms, each once, and of words that add nothing.

    For lists whose terms hold commas and "and" themselves. `ordered`: the terms must come in the gold's order.
    """
    if _DENIED.search(answer) and not any(_DENIED.search(gold) for gold in golds):
        return False
    if _OPEN.search(answer) and not any(_OPEN.search(gold) for gold in golds):
        return False
    text, places = normal(answer), []
    for gold in sorted((normal(gold) for gold in golds), key=len, reverse=True):
        at = _find(gold, text) if gold else -1
        if at < 0:
            return False
        places.append((at, gold))
        text = text[:at] + "\x00" * len(gold) + text[at + len(gold) :]
    if ordered and [gold for _, gold in sorted(places)] != [normal(gold) for gold in golds]:
        return False
    known = set(_words(normal(question)))
    return all(word in _FILLER or word in known or _inflected(word, known) for word in _words(text))


def _rivals(gold: str, question: str) -> set[str]:
    """The other side of "software or hardware?": the word that the question puts beside the gold."""
    words = question.split()
    rivals: set[str] = set()
    for index, word in enumerate(words):
        if word in ("or", "versus", "vs") and 0 < index < len(words) - 1:
            left, right = words[index - 1], words[index + 1]
            if left == gold:
                rivals.add(right)
            elif right == gold:
                rivals.add(left)
    return rivals


def _find(needle: str, text: str) -> int:
    """Where `needle` stands in `text` as whole words, -1 if nowhere."""
    start = text.find(needle)
    while start >= 0:
        end = start + len(needle)
        left = start == 0 or not (text[start - 1].isalnum() and text[start - 1].isascii() and needle[0].isascii())
        right = end == len(text) or not (text[end].isalnum() and text[end].isascii() and needle[-1].isascii())
        right = right and not (needle[-1].isdecimal() and text[end : end + 1] == ".")
        if left and right:
            return start
        start = text.find(needle, start + 1)
    return -1


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _inflected(word: str, known: set[str]) -> bool:
    stem = word[:5]
    return len(word) > 4 and any(other.startswith(stem) for other in known)


def _shares(ours: str, theirs: str) -> bool:
    common = set(_words(ours)) & set(_words(theirs)) - _FILLER
    return bool(common)


def _compare_moves(answer: str, gold: str) -> tuple[str, str]:
    wanted = [move.search(gold) is not None for move in _MOVES]
    said = [move.search(answer) is not None for move in _MOVES]
    if wanted == [True, True] or not any(wanted):
        return (
            ("undecided", "other words than the gold's")
            if normal(gold) not in normal(answer)
            else ("correct", "the same words")
        )
    if _OPEN.search(answer) or re.search(r"か.*か", answer):
        return "wrong", "it leaves the answer open"
    if not any(said):
        return "wrong", "it names no such movement"
    if said == [True, True]:
        return "wrong", "it names both movements"
    if _DENIED.search(answer):
        return "wrong", "it denies"
    return ("correct", "the same movement") if said == wanted else ("wrong", "the opposite movement")


def label_names(labels: Any) -> dict[str, set[str]]:
    """The labels of a data set as {normal name: its other names}; labels come as a list or as {class id: name}."""
    if isinstance(labels, Mapping):
        return {normal(str(name)): {normal(str(key)), normal(str(name))} for key, name in labels.items()}
    if isinstance(labels, Iterable) and not isinstance(labels, (str, bytes)):
        return {normal(str(name)): {normal(str(name))} for name in labels}
    return {}


# "bullish, not bearish", 不是积极，而是消极: the label that is set aside.
_CONTRAST = re.compile(
    r"(?:\b(?:not|rather than|instead of)\b|而非|而?不是|并非) ?(?:an? |the )?[\"“']?(?P<label>[a-z]{2,24}|[\u4e00-\u9fff]{1,6}?)[\"”']?"
    r"(?=$|[,，.。;；)）]|而是| but\b)(?:[,，]? ?(?:而是|but\b))?",
    re.IGNORECASE,
)


def _contrasted(text: str) -> set[str]:
    return {normal(match.group("label")) for match in _CONTRAST.finditer(text)}


def compare_label(answer: str, gold: str, labels: Mapping[str, set[str]]) -> tuple[str, str]:
    """Whether a (plain) answer names the gold's label and no other."""
    wanted = next((name for name, names in labels.items() if normal(gold) in names), "")
    short = _EXPLAINED.split(answer, maxsplit=1)[0]
    text = normal(short)
    named = {name for name, names in labels.items() if any(_find(other, text) >= 0 for other in names if other)}
    if len(named) > 1 and (lesser := _contrasted(short)):
        named -= {name for name, names in labels.items() if names & lesser}
        short = _CONTRAST.sub(" ", short)
    # a label inside a longer one (正面 in 非正面情绪) is the longer one's
    named = {name for name in named if not any(name != other and name in other for other in named)}
    if not named:
        return "wrong", "it names none of the labels"
    if len(named) > 1:
        return "wrong", "it names several labels"
    if _OPEN.search(short) or _DENIED.search(short):
        return "wrong", "it denies a label, or leaves it open"
    if named != {wanted}:
        return "wrong", "another label"
    return "correct", "the label"
