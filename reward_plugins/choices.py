"""Multiple choice: which letters does an answer choose?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from reward_plugins.markup import plain

_GOLD = re.compile(r"[(\[{]?[A-H](?:[\s,，;；、/&|]*[A-H]){0,7}[)\]}]?[.。]?")
_USUAL = frozenset("ABCDEFGH")
_MOST_LETTERS = 60  # more are no choice, and would be slow to read
BY_TEXT = "the option's text"
NO_OPTION = "it names no option"
_ASKS_FOR_NOT = re.compile(
    r"\b(?:NOT|EXCEPT)\b|\b(?:incorrect|false|wrong)\b|(?:不属于|不正确|不包括|不是|不符合|错误|有误|不对)[^，。？?\n]{0,20}的",
    re.IGNORECASE,
)
_ASKS_FOR_SO = re.compile(r"正确|符合|\b(?:correct|true|right)\b", re.IGNORECASE)
# "A、D错误" and nothing else
_FAULTED = re.compile(
    r"(?:选项|[oO]ptions? )?[A-H](?:(?:[\s、,，和与及]|and){1,5}[A-H]|[A-H]){0,6}\s*(?:选?项)?(?:的?说法)?(?:[都均是]|is|are)?\s*"
    r"(?:错误?的?|不正确|不对|有误|incorrect|wrong|false)"
)
_PYTHON_PAIR = re.compile(r"['\"]([A-Z])['\"]\s*:\s*(?:'([^']*)'|\"([^\"]*)\")")
_MARKER = re.compile(r"(?:^|(?<=[\s;；。）)？?：:]))[(（]?([A-Z])[)）.、:：．](?!\d)\s*")

_LOWER_ONLY = re.compile(
    r"(?:the answer is |option |choice |选项?)?[\s(\[{'\"]*([a-z]|[a-h](?:[\s,;、和&/]*[a-h])*)[\s)\]}'\".。]*"
)
_AMPERSANDS = re.compile(r"[A-H](?: ?& ?[A-H]){1,7}")  # elsewhere R&D and S&P are no letters
_ALL = re.compile(
    r"^\s*(?:以上(?:都|均|全)(?:选|是|对|正确)|以上皆是|全选|全部(?:正确|都选|选)?|all of (?:the above|them)|all options)\s*[.。]?\s*$",
    re.I,
)
_EXPLAINED = re.compile(
    r"因为|由于|理由|解析|原因|说明|解释|\b(?:because|since|as (?:the|it)|due to|explanation|reason(?:ing)?)\b",
    re.IGNORECASE,
)
_AFFIRMS = re.compile(
    r"正确|[对可应也选]|答案|合适|\b(?:correct|right|answer|true|also|too|possible|acceptable|fine|valid|best|chosen|choice)\b",
    re.IGNORECASE,
)
_CHOSEN_BEFORE = re.compile(r"选|答案|正确|\b(?:correct|answer|choice|option)\b", re.IGNORECASE)
_HEDGE = re.compile(
    r"\b(?:or|either|neither|nor|maybe|perhaps|possibly|probably|possible|might|could|guess|unsure|not sure|unless|any|others?|"
    r"none|all|although|but)\b|\b(?:lean(?:s|ing)?|inclined|toss-?up|depend(?:s|ing)|whichever|some|one of)\b|或|还是|可能|也许|不确定|猜|之一|以上|全部|倾向|不能?排除|各半|任[选意一]|随便|其[余他](?!选?项?[^，。;；\n]{0,14}[错不弱低差小慢非无])|都不|如果|假如|要么|取决于|而定|[?？]|[A-Z]\s*[中里当]+[,，]?\s*(?:只|仅)|中的?(?:任何|某|其)?[一两几][个项者]|(?<![(（])[A-Z][(（][A-Z][)）]",
    re.IGNORECASE,
)
_EVERY = re.compile(r"全部|以上|\ball\b", re.IGNORECASE)  # no hedge beside all the letters
_TOKEN = re.compile(r"(?<![A-Za-zÀ-ɏ0-9_'&$\-])([A-Z]{1,8})(?![A-Za-z0-9_'&\-]|股|类(?!型)|轮|级|座)")
_ARTICLE = re.compile(r" (?!(?:is|are|and|but|or|only|alone|because|since)\b)[a-z]")
_POINTED_AT = re.compile(
    r"(?:option|choice|answer|select|choose|is|pick|选|选项|答案|为|是)\s*[:：]?\s*[(\[]?$", re.IGNORECASE
)
_SPOT = "\x00"
_NOT_TEXT = re.compile(
    r"(?:不是|并非|非|不选|\bnot|\bisn't|\bno|n't be|never|neither|nor|rather than)\s*(?:the |an? )?[“\"'(]*$",
    re.IGNORECASE,
)
_KEY = re.compile(r"(?:选项|OPTION|CHOICE)?[\W_]*([A-Z])[\W_]*")
_SPOTTED = re.compile(f"{_SPOT}([A-Z])")
_OPTION_ITSELF = re.compile(r"[(（\[]?([A-Z])[)）\].、:：．,，\s]+(\S.*)", re.DOTALL)
_PAIR = re.compile(rf"([A-Z])[\s.、:：)）(（\-\"']{{0,4}}{_SPOT}([A-Z])")
_SHORT_PAIR = re.compile(r"([A-Z])[\s.、:：)(]{1,3}(\S)\)?")
_SENTENCE = re.compile(r"[。\n]|\. |；|;")


@dataclass(frozen=True, slots=True)
class _Patterns:
    """How letters are excepted, refused and described."""

    excepted: re.Pattern[str]
    not_before: re.Pattern[str]
    not_after: re.Pattern[str]
    described: re.Pattern[str]


@lru_cache(maxsize=2)
def _patterns(letter: str) -> _Patterns:
    """The patterns for a class of letters: [A-H], or [A-Z] where a set has more options (there, EPS may be three)."""
    join = r"(?:[\s、,，;；/&+和与及]|and|以及|选项|option){0,6}"
    letters = rf"\(?{letter}\)?(?:{join}\(?{letter}\)?){{0,8}}(?![A-Za-z])"
    # A full-width comma or a semicolon between letters is a clause's end where the second clause says what is wrong with its own.
    listed = rf"\(?{letter}\)?(?:(?:[\s、,/&+和与及]|and|以及|选项|option){{0,6}}\(?{letter}\)?){{0,8}}(?![A-Za-z])"
    excepted = re.compile(
        rf"除了?\s*(?:选项)?({letters})\s*(?:选?项)?(?:以?外|之外)|({letters})\s*(?:选?项)?以外|除了?\s*(?:选项)?({letters})\s*(?:选?项)?[,，]?(?=[都均全])"
        rf"|\b(?i:all|every|everything|any|anything)\b[^.]{{0,40}}\b(?:except|but|other than)\b(?: for)?(?: options?)? ({letters})",
    )
    not_before = re.compile(
        rf"(?:不选|非|不应选|不能选|不应该选|不是|不可能是|不会是|并非|(?<!不)(?<!能)排除|不包括|(?:\b(?:not(?: be)?|cannot be|can't be|couldn't be|isn't|neither|nor|excluding|exclude|rather than|instead of|rule out|except(?: for)?|other than|apart from|avoid)\b))"
        rf"\s*(?:选项|options?)?\s*({letters})(?:{join}(?:nor|or|或)\s*({letters}))?(?:[,，]? ?\bbut\b)?",
        re.IGNORECASE,
    )
    not_after = re.compile(
        rf"({listed})\s*(?:项|选项)?\s*(?:都|均|是|则)?(?:的)?(?:说法|表述|描述|叙述)?(?:都|均)?(?:不正确|不对|错误|错的?|不符合?|不选|有误|说法错误|不属于|, ?(?:错误|错))"
        rf"|({letters}) (?:is|are) (?:both )?(?:not|incorrect|wrong|false)",
    )
    # "C; A and B are assets", "应选A，B是审计文件": a later clause that says what the other options are chooses none of them.
    described = re.compile(
        rf"(?P<edge>[，,；;。]|[.] |\n)\s*(?:而|其中|while |whereas )?\s*(?:选项|[oO]ptions? )?(?P<letters>{letters})"
        r"\s*(?:选?项)?\s*(?:(?:[都均](?:[是为]|属于|不是|不属于))|是|为|属于|不是|不属于|与|则[是为]|(?P<several>are )|is )(?P<what>[^。.;；\n]{0,80})"
    )
    return _Patterns(excepted, not_before, not_after, described)


def gold_letters(gold: str) -> frozenset[str] | None:
    """The letters of a gold like "B", "ACD", "A,B,D" or "A;C"; None for any other."""
    text = gold.strip()
    if not _GOLD.fullmatch(text):
        return None
    letters = re.findall("[A-H]", text)
    return frozenset(letters) if len(set(letters)) == len(letters) else None


def options_of(choices: Any, question: str = "") -> dict[str, str]:
    """The options by letter, from whatever form the data set has them in; else from the question's text; else {}.

    A mapping (by "A", "A.", "(a)", "选项A"; a key without a letter is left out), a list, a text of lines ("A. cash"), or a
    mapping printed as text.
    """
    if isinstance(choices, Mapping):
        keyed = ((_KEY.fullmatch(str(key).strip().upper()), str(value)) for key, value in choices.items())
        return {match.group(1): value for match, value in keyed if match and value.strip()}
    if isinstance(choices, (list, tuple)):
        return {
            chr(65 + index): re.sub(r"^\(?[A-Z][).、:：．]\s*", "", str(value))
            for index, value in enumerate(choices[:26])
        }
    if isinstance(choices, str) and choices.strip():
        pairs = {match[0]: match[1] or match[2] for match in _PYTHON_PAIR.findall(choices)}
        return pairs or _marked(choices)
    return _marked(question) if question else {}


def _marked(text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    marks = list(_MARKER.finditer(text))
    for index, mark in enumerate(marks):
        if mark.group(1) == chr(65 + len(options)):
            following = next((later for later in marks[index + 1 :] if later.group(1) == chr(66 + len(options))), None)
            body = text[mark.end() : following.start() if following else len(text)]
            options[mark.group(1)] = body.strip() if following else body.strip().split("\n")[0].strip()
    return options if len(options) >= 2 else {}


def chosen(
    text: str, options: Mapping[str, str], keys: frozenset[str], question: str = ""
) -> tuple[frozenset[str], str]:
    """The letters that a (plain) answer chooses; the empty set, and why, where it chooses none or cannot be read.

    `options` may be {} where the data set does not have them; `keys` are the letters that exist. Where the `question`
    asks for what is not so, "C不属于流动资产" chooses C.
    """
    none: frozenset[str] = frozenset()
    text = text.strip(" \"'.。")
    if itself := option_itself(text, options):
        return frozenset(itself), "the letters named"
    if len(text) > _MOST_LETTERS and sum(1 for _ in islice(_TOKEN.finditer(text), _MOST_LETTERS)) == _MOST_LETTERS:
        return none, "it names too many letters"
    few = keys <= _USUAL
    patterns = _patterns("[A-H]" if few else "[A-Z]")
    if _AMPERSANDS.fullmatch(text):
        text = text.replace("&", ",")
    if lower := _LOWER_ONLY.fullmatch(text):
        text = lower.group(1).upper()
    if match := patterns.excepted.search(text):
        named = next(group for group in match.groups() if group)
        rest = text[: match.start()] + text[match.end() :]
        if re.search(r"或|可能|也许|\b(?:or|maybe|perhaps)\b|[A-Z](?![A-Za-z])", rest):
            return none, "it leaves the choice open"
        return keys - frozenset(re.findall("[A-Z]", named)), "all but the excepted"
    marked, texts, problem = _mark_options(text, options)
    if problem:
        return none, problem
    if not texts and _ALL.match(text):
        return keys, "all of them"
    if explained := _EXPLAINED.search(marked):
        front = marked[: explained.start()]
        marked = front if _SPOT in front or _TOKEN.search(front) else marked
    marked = _without_descriptions(marked, patterns)
    refused: set[str] = set()

    def refuse(match: re.Match[str]) -> str:
        refused.update(re.findall("[A-Z]", " ".join(group for group in match.groups() if group)))
        return " "

    decided = patterns.not_after.sub(refuse, patterns.not_before.sub(refuse, marked))
    everything = keys <= frozenset("".join(_TOKEN.findall(decided)))
    if hedge := _HEDGE.search(_EVERY.sub(" ", decided) if everything else decided):
        return none, f"it leaves the choice open ({hedge.group()!r})"
    letters: set[str] = set()
    for token in _TOKEN.finditer(decided):
        if token.start() and decided[token.start() - 1] == _SPOT:
            continue
        named = token.group(1)
        if not set(named) <= (_USUAL if few else keys):
            continue
        if (
            named in ("A", "I")
            and _ARTICLE.match(decided, token.end())
            and not _POINTED_AT.search(decided[: token.start()])
        ):
            continue
        if len(set(named)) < len(named):
            return none, "it repeats a letter"
        letters |= set(named)
    negative = _ASKS_FOR_NOT.search(question) is not None and not patterns.not_before.search(marked)
    if letters & refused and not (negative and letters == refused):
        return none, "it chooses and refuses the same letter"
    if letters - keys:
        return none, "it names a letter that is no option"
    if not letters and not refused:
        return _by_text(text, decided, options)
    if not letters and negative:
        return frozenset(refused), "the letters said to be none"
    if not letters and options and _ASKS_FOR_SO.search(question) and _FAULTED.fullmatch(text):
        return frozenset(options) - refused, "all but those said to be wrong"
    if not letters:
        return none, "it says only what is not chosen"
    short = _SHORT_PAIR.fullmatch(decided.strip())
    if short and short.group(2) in options.values() and plain(options.get(short.group(1), "")) != short.group(2):
        return none, "the letter and the text beside it disagree"
    pairs = _PAIR.findall(decided)
    if any(letter != key for letter, key in pairs):
        return none, "the letter and the text beside it disagree"
    first = _SENTENCE.split(decided, maxsplit=1)[0]
    if any(key not in letters for key in _SPOTTED.findall(first)):
        return none, "the letter and the text beside it disagree"
    return frozenset(letters), "the letters named"


def option_itself(text: str, options: Mapping[str, str]) -> str:
    """The letter where a (plain) answer is one option as it is printed, "" else: "(B) 错" chooses the option that reads 错."""
    printed = _OPTION_ITSELF.fullmatch(text.strip(" .。"))
    if printed and plain(options.get(printed.group(1), "")).strip(" .。") == printed.group(2):
        return printed.group(1)
    return ""


def _without_descriptions(text: str, patterns: _Patterns) -> str:
    """The text without the later clauses that only describe the options which are not chosen."""

    def described(match: re.Match[str]) -> str:
        front = text[: match.start()]
        several = len(re.findall("[A-Z]", match.group("letters"))) > 1
        together = "都" in match.group() or "均" in match.group() or match.group("several") is not None
        listed = match.group("edge") == "," and not _CHOSEN_BEFORE.search(front)
        if listed or several != together or not _TOKEN.search(front) or _AFFIRMS.search(match.group("what")):
            return match.group()
        return match.group("edge")

    return patterns.described.sub(described, text)


def _mark_options(text: str, options: Mapping[str, str]) -> tuple[str, set[str], str]:
    """Put a mark with its letter in the place of each option's text, the longest first."""
    found: set[str] = set()
    for key, wording in _wordings(tuple(options.items())):
        at = _occurrence(text, wording, 0)
        while at >= 0:
            if _NOT_TEXT.search(text[max(0, at - 24) : at]):
                return text, found, "it denies an option"
            text = f"{text[:at]}{_SPOT}{key} {text[at + len(wording) :]}"
            found.add(key)
            at = _occurrence(text, wording, at + 3)
    return text, found, ""


@lru_cache(maxsize=4096)
def _wordings(options: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The options as a reader sees them, the longest first; a single character that is no figure is no wording."""
    readable = [(key, plain(option).strip(" .。;；\"'").lower()) for key, option in options]
    kept = [(key, wording) for key, wording in readable if len(wording) > 1 or wording.isdecimal()]
    return tuple(sorted(kept, key=lambda pair: -len(pair[1])))


def _occurrence(text: str, wording: str, start: int) -> int:
    """Where the (lower-case) wording stands in the text as a whole word or number, from `start`; -1 if nowhere."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few capitals grow when lowered, and positions would be off
        lowered = text
    at = lowered.find(wording, start)
    while at >= 0:
        end = at + len(wording)
        if (
            _edge(lowered, at - 1, wording[0], ".")
            and _edge(lowered, end, wording[-1], "%万亿千百" if wording[-1].isdecimal() else "")
            and not (
                wording[-1].isdecimal()
                and lowered[end : end + 1] in (".", ",")
                and lowered[end + 1 : end + 2].isdecimal()
            )
        ):
            return at
        at = lowered.find(wording, at + 1)
    return -1


def _edge(text: str, beside: int, inside: str, more: str) -> bool:
    """Whether the character beside a wording can stand next to it: Latin words and figures must not run on."""
    if not (inside.isascii() and inside.isalnum()) or not 0 <= beside < len(text):
        return True
    outside = text[beside]
    return not (outside.isascii() and outside.isalnum()) and outside not in more + "_"


def _by_text(text: str, decided: str, options: Mapping[str, str]) -> tuple[frozenset[str], str]:
    """No letter: the full text of an option, alone or in a short sentence, chooses it."""
    texts = frozenset(_SPOTTED.findall(decided))
    if not texts:
        return frozenset(), NO_OPTION
    size = sum(len(options[key]) for key in texts)
    rest = _SPOTTED.sub("", decided)
    if len(rest) > 2 * size + 40:
        return frozenset(), "it names no letter, and says much besides an option's text"
    return texts, BY_TEXT
