"""Yes and no, true and false, 是 and 否, 正确 and 错误, はい and いいえ: with negation read."""

from __future__ import annotations

import re

_GOLD_YES = frozenset(["yes", "true", "是", "对", "正确", "はい", "1.0", "y", "t", "√", "是的", "属实", "合规"])
_GOLD_NO = frozenset(
    ["no", "false", "否", "错", "错误", "いいえ", "0.0", "n", "f", "×", "不是", "不对", "不正确", "不属实", "不合规"]
)

_MARKS = {
    "y": True,
    "n": False,
    "t": True,
    "f": False,
    "√": True,
    "✓": True,
    "✔": True,
    "×": False,
    "✗": False,
    "✘": False,
}
_LEAD = re.compile(
    r"^(?:(?:我的?|我们的?|最终|本题)?(?:答案|回答|判断|结论|结果|选择|认为)(?:结果)?(?:应该?)?(?:是|为)?|(?:the |my )?(?:final )?(?:answer|verdict)(?: is)?|"
    r"so|therefore|thus|hence)?[\s:：,，“”\"'\[(【]*",
    re.IGNORECASE,
)
_NO_JUDGEMENT = re.compile(
    r"(?:the )?(?:correct|right|true) (?:answer|option|choice)|正确的?(?:答案|选项)", re.IGNORECASE
)
_BOTH = re.compile(
    r"是否|是不是|对不对|是/否|对错|正误|真假|正确/?错误|错误/?正确|是与否|yes ?/ ?no|true ?/ ?false|部分|除非|不一定|未必|不确定|可能|也许|或|既|也(?:可以|可|能|行|算)|不(?:清楚|知|好说|明|详|得而知|了解)|难(?:说|以)|说不准|看情况|视情况|取决于|[均都皆]可|都行|"
    r"一半|\b(?:maybe|perhaps|possibly|probably|partly|partially|unclear|may|might|either|depend(?:s|ing)|unless|or|(?:yes|no|true|false) (?:vs|versus)|guess|no idea|hardly|barely|scarcely|far from)\b|[?？]|猜|(?:无法|不能|难以|不可)(?:说|认为|判断|认定|断言|算)|はい.{0,3}いいえ",
    re.IGNORECASE,
)
# 是正确的, 对于: the first character is no judgement of its own.
_DENIALS = tuple("不未没非")
_GOES_ON = frozenset("于正错不否比")
# "not no" is said by nobody who means yes.
_DOUBLE = re.compile(r"(?:\bnot|不是|并非)\s*[“\"']?(?:no\b|否|いいえ|はい)", re.IGNORECASE)
_NO_HEAD = re.compile(
    r"否(?!则)|不是的?|不正确|不对|不属实|不(?!错|否|存在错)|错误?|并非(?!否|错|不)|(?<!并)非(?!否)|没有(?!错)|いいえ|no\b|false\b|not (?:true|correct|right)\b|f\b|incorrect\b|wrong\b",
    re.I,
)
_YES_HEAD = re.compile(
    r"是的?|对的?|正确|没错|不错|不否|并非否|(?:并非|不是)错误?的?|无误|属实|没有错误?|はい|yes\b|true\b|t\b|correct\b|right\b",
    re.I,
)

# In a sentence: a judgement is one of these words; 是 alone is a copula there.
_WORDS = re.compile(
    r"(?P<yes>没有错误?|不存在错误|并?无不当|没错|不错|无误|并非错误|并非否|不否|(?:(?:is|was|are|were) )?not (?:false|wrong|incorrect|untrue|no)\b|isn't (?:false|wrong)\b)"
    r"|(?P<no>并?不正确|有误|不成立|never (?:true|correct|right)\b|不是正确|并不对|不对|不属实|并非(?!不)(?:正确|如此)?|not (?:\w+ )?(?:true|correct|right|yes)\b|"
    r"(?:isn't|wasn't|is not|n't) (?:\w+ )?(?:true|correct|right)\b|(?:did|does|do|is|was|were|are|has|have) not\b|n't\b|untrue|incorrect|\bwrong\b|\bfalse\b|\bno\b|错误|错|いいえ)"
    r"|(?P<yes2>正确|对(?![于照比应方])|属实|\btrue\b|\byes\b|\bcorrect\b|はい)",
    re.IGNORECASE,
)


# The two sides of a comparison; what is not below is not yet above.
_SIDES = re.compile(
    r"(?P<up>\b(?:above|over|exceed\w*|more|greater|higher|larger|increas\w*|ris\w*|rose|gr[eo]w\w*|improv\w*)\b"
    r"|高于|大于|超过|多于|增加|增长|上升|提高)"
    r"|(?P<down>\b(?:below|under|less|lower|smaller|fewer|decreas\w*|f[ae]ll\w*|declin\w*|drop\w*|worsen\w*)\b"
    r"|低于|小于|不足|少于|减少|下降|降低)",
    re.IGNORECASE,
)


def gold_polarity(gold: str) -> bool | None:
    """True or False for a gold that is a yes or a no, None for any other."""
    text = gold.strip().strip(".。").lower()
    return True if text in _GOLD_YES else False if text in _GOLD_NO else None


def polarity(text: str, digits: bool = False, question: str = "") -> bool | None:
    """What the (plain) text says: True, False, or None if it says neither, or both.

    `question`: what is asked, where it is known. `digits`: 1 and 0 stand for true and false (sets whose golds are 1.0 and 0.0).
    """
    bare = text.strip().strip(" .。!！\"'“”*()（）[]【】{}")
    if digits and bare in ("1", "1.0", "0", "0.0"):
        return bare[0] == "1"
    if bare.lower() in _MARKS:
        return _MARKS[bare.lower()]
    if _NO_JUDGEMENT.fullmatch(bare) or _BOTH.search(bare) or _DOUBLE.search(bare):
        return None
    lead = _LEAD.match(bare)
    rest = bare[lead.end() if lead else 0 :]
    for head, value in ((_YES_HEAD, True), (_NO_HEAD, False)):
        match = head.match(rest)
        if match is None:
            continue
        if match.group() in ("是", "对") and rest[match.end() : match.end() + 1] in _GOES_ON:
            continue
        after = rest[match.end() :]
        if not value and after[:1] in _DENIALS:  # 不是不合规
            return None
        if match.group() in ("并非", "非", "不是") and _turned(after, question):
            return None
        if not after or not (after[0].isalnum() and after[0] < "\u3040"):
            return None if _TAKEN_BACK.match(after) or _contradicts(after, value) else value
    found = {match.lastgroup != "no" for match in _WORDS.finditer(bare)}
    if found == {False} and _turned(bare, question):
        return None
    return found.pop() if len(found) == 1 else None


def _turned(text: str, question: str) -> bool:
    """Whether a denial is of the other side than the question's: "it isn't below 1" does not answer "is it above 1?"."""
    asked, said = ({match.lastgroup for match in _SIDES.finditer(each)} for each in (question, text))
    return len(asked) == len(said) == 1 and asked != said


_EXPLAINED = re.compile(r"[,，;；.。]? ?(?:\bbecause\b|\bsince\b|\bas\b|因为|由于|理由|ので|ため)", re.IGNORECASE)
_TAKEN_BACK = re.compile(r"\s*(?:(?:is|was) (?:wrong|incorrect|false|not)\b|是错|是不|→|⇒)", re.IGNORECASE)
_BESIDE = r"(?:^|[,，.。;；、/|}{:：]|\b(?:and|but|also|or|(?:actually|rather|wait|sorry)(?:,? it(?: is|'s))?)\b|也|其实)\s*[\"'“]?"
_STRAY_YES = re.compile(_BESIDE + r"(?:是的?(?![^,，。]{2})|yes\b|true\b|正确|对(?!于)|はい)", re.IGNORECASE)
_STRAY_NO = re.compile(
    _BESIDE
    + r"(?:否|不是|也?不$|no\b(?! (?:doubt|longer|change|need|question))|false\b|错误?|いいえ)|也不|[\s=]否(?![则认定决])",
    re.IGNORECASE,
)


def _contradicts(after: str, value: bool) -> bool:
    """Whether the rest of a sentence that began with yes (no) says no (yes) as well."""
    after = _EXPLAINED.split(after[:80], maxsplit=1)[0]
    return (_STRAY_NO if value else _STRAY_YES).search(after) is not None or "といいえ" in after or "・いいえ" in after


_WHETHER = re.compile(r"(?:是否|能否|可否|有没有|会不会)(?:会|能)?([\u4e00-\u9fff]{2})")


def asked_predicate(text: str, question: str) -> bool | None:
    """What an answer says that repeats the question's own verb: 是否构成 is answered by 构成 or by 不构成."""
    if _BOTH.search(text) or len(text) > 120:
        return None
    text, question = text.replace("应该", "应当"), question.replace("应该", "应当")
    for match in reversed(list(_WHETHER.finditer(question[-400:]))):
        verb = match.group(1)
        at = text.find(verb)
        if at >= 0:
            denials = sum(character in _DENIALS for character in text[max(0, at - 3) : at])
            denials += text[at + 2 : at + 3] in ("不", "未", "没") and text[at + 2 : at + 4] != "不少"
            return denials % 2 == 0  # 并非不属于 says 属于
    return None
