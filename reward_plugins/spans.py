"""Short texts: names, terms, labels. The same words are right; another word is undecided, for it may be a synonym."""

from __future__ import annotations

import re

from reward_plugins.initials import in_words_of, without_aside

_EDGES = " \t\n.。,，;；:：!！\"'“”‘’()（）[]【】{}《》<>*_`"
_NOISE = re.compile(r"(?:[\s\-–—_'\"“”‘’`,，。;；:：()（）\[\]【】《》/、·!！?？]|(?<!\d)\.|\.(?!\d))+")
_ARTICLES = re.compile(r"\b(?:the|an?)\b ?")
_HANZI = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
_WORD = re.compile(r"[a-z0-9]+(?:\.[0-9]+)?|[\u3040-\u30ff\u4e00-\u9fff]")

DENIED = re.compile(
    r"\b(?:not|never|no|isn't|wasn't|aren't|don't|doesn't|didn't|neither|nor|non|un|without|hardly|barely|except|far from|anything but|"
    r"rather than|instead of|other than|opposite)\b|不是|并非|不(?!锈)|非(?!常)|没有?|未|无(?!形|限)|ではない|じゃない|でない|除了?",
    re.IGNORECASE,
)
OPEN = re.compile(
    r"\b(?:or|either|maybe|perhaps|possibly|probably|might|could be|guess|unsure|not sure|unless|depend(?:s|ing)|mixed|somewhere between|and/or)\b"
    r"|或|还是|可能|也许|不确定|または|あるいは|か(?=[\u4e00-\u9fff]{1,4}か)|[?？|]| / |/",
    re.IGNORECASE,
)
EXPLAINED = re.compile(r"[,，;；]? ?(?:because|since|as the|due to|因为|由于|ため|ので)", re.IGNORECASE)

# Words that a sentence may put around a term without saying anything more.
_FILLER = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
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

_COPULA = re.compile(
    r"(?:\b(?:is|was|are|were|named|called)(?: the| an?)?|[为是]|\b(?:using|by|under|on)(?: the| an?)?|采用|使用|选用|聘请|叫做?) ?$"
)
# Another subject than the one asked about, or another time.
_ANOTHER = re.compile(
    r"\b(?:former|previous|prior|predecessor|earlier|subsidiar\w*|competitor|peer|rival|unlike|old|next|alternative)\w*\b"
    r"|原|前任|曾|上年|去年|以往|过去|拟|子公司|可比|同行|竞争|对手|其他|另|备选|错误"
)
# "using the straight-line method" is the straight-line method.
_LED_IN = re.compile(r"^(?:by using|using|by|through|via|under|采用|使用|按照|通过|根据)[ ]*", re.IGNORECASE)

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
    if status != "correct" and (bare := _LED_IN.sub("", gold)) != gold and bare:
        status, reason = _compare_words(answer, bare, question)
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
    answer = EXPLAINED.split(answer, maxsplit=1)[0]
    if not any(character.isdecimal() for character in gold):
        answer = _EVIDENCE.sub("", answer)
    ours = normal(answer)
    found = find(theirs, ours)
    denied, open_ended = DENIED.search(answer), OPEN.search(answer)
    gold_denies, gold_open = DENIED.search(gold), OPEN.search(gold)
    if ours == theirs:
        return "correct", "the same words"
    if found < 0:
        if not (denied or open_ended) and _shortened(ours, theirs, normal(question)):
            return "correct", "the gold's words, less or more what the question says"
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
    if found + len(theirs) == len(ours) and _subject_of(ours[:found], known):
        return "correct", "the gold's words, said of what is asked for"
    if re.search(r"[,，、;；\n]|\band\b", answer) and not re.search(r"[,，、;；\n]|\band\b", gold):
        return "wrong", "it names more than the gold"
    return "undecided", "the gold's words among others: only a judge can tell"


def _shortened(ours: str, theirs: str, question: str) -> bool:
    """Whether the two differ by words of the question only: "straight-line" where the method is asked for."""
    for size in range(1, 5):  # 先进先出 for 先进先出法
        if _HANZI.search(theirs) and len(ours) > 1 and ours == theirs[:-size] and theirs[-size:] in question:
            return True
    known, wanted, said = set(_words(question)), _words(theirs), _words(ours)
    if _HANZI.search(theirs) or len(said) > 4 * len(wanted) + 8:
        return False
    while len(wanted) > 1 and wanted[-1] in known and wanted[-1] not in said:
        wanted = wanted[:-1]
    kept = [word for word in said if word in wanted or not (word in known or word in _FILLER)]
    return kept == wanted and any(len(word) > 3 and word not in known for word in wanted)


def _subject_of(front: str, known: set[str]) -> bool:
    """Whether a sentence's beginning ("the method in use is") names what is asked for: half of its words are the question's."""
    if not _COPULA.search(front) or _ANOTHER.search(front):
        return False
    words = [word for word in _words(front) if word not in _FILLER]
    return 2 * sum(word in known or _inflected(word, known) for word in words) >= len(words)


def covers(answer: str, golds: list[str], question: str, ordered: bool) -> bool:
    """Whether a (plain) answer is made of the gold's terms, each once, and of words that add nothing.

    For lists whose terms hold commas and "and" themselves. `ordered`: the terms must come in the gold's order.
    """
    if DENIED.search(answer) and not any(DENIED.search(gold) for gold in golds):
        return False
    if OPEN.search(answer) and not any(OPEN.search(gold) for gold in golds):
        return False
    text, places = normal(answer), []
    for gold in sorted((normal(gold) for gold in golds), key=len, reverse=True):
        at = find(gold, text) if gold else -1
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


def find(needle: str, text: str) -> int:
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
    if OPEN.search(answer) or re.search(r"か.*か", answer):
        return "wrong", "it leaves the answer open"
    if not any(said):
        return "wrong", "it names no such movement"
    if said == [True, True]:
        return "wrong", "it names both movements"
    if DENIED.search(answer):
        return "wrong", "it denies"
    return ("correct", "the same movement") if said == wanted else ("wrong", "the opposite movement")
