"""Where the final answer of a completion stands: the block, the box, or the line that says so."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reward_plugins.completion import Completion
from reward_plugins.markup import ENVIRONMENT
from reward_plugins.units import unit_after

_BOX = re.compile(r"\\(?:boxed|fbox)\s?\{")
_BRACE = re.compile(r"\\[{}]|[{}]")
# Answers are short; a box longer than this is a page of working.
_LONGEST_BOX = 2000
_MOST_BOXES = 64  # from the end; the rest are steps, or too many answers in any case
# Beyond this many different answers it is a list of candidates whatever they say.
MOST_ANSWERS = 8

_LINE = re.compile(
    r"(?:\b(?:the |my |our )?(?:(?:final|correct|right|best) )?(?:answer|option|choice)\b(?: is| would be| should be|(?= ?(?:[:：]|=(?!=)|->|→)))"
    r"|(?:最终|正确|最后|本题|标准)?(?:答案|(?<![A-H])选项|结果)(?:应该|应当|应)?(?:是|为|选|(?=[】\])]? ?[:：]|[】\]]))"
    r"|(?:故|应|应当|应该|本题|综上(?:所述)?|因此|所以|正确的?是?)[,，]?(?:本题|应|应该|正确答案)?选(?:择|项)?(?!项?[A-H、,， 和与及]*项?[都均]?(?:说法)?(?:不|错|有误)))"
    r"(?: ?option\b| ?选项(?=[A-Z ]))?[】\])]?[ \t]*(?:[:：]|=(?!=)|->|→)?[ \t]*|^#{4} +(?!(?:the )?(?:final )?(?:answer|result)\b|(?:最终)?(?:答案|结果))|^(?:#{1,6} +)?(?:the )?(?:final )?(?:answer|result)[ \t]*[:：]?[ \t]*$"
    r"|^(?:#{1,6} +)?(?:最终)?(?:答案|结果)[ \t]*[:：]?[ \t]*$|^(?:答|ans(?:wer)?)[ \t]*[:：][ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_CLOSING = re.compile(
    r"^(?:#{1,6} +)?(?:(?:the )?(?:final )?result|conclusion|结论|结果)[ \t]*[:：=][ \t]*(\S.{0,200})\Z", re.I | re.M
)
_LEADS_ON = re.compile(r"[,，;；]? ?(?:因此|所以|故|\bso|\btherefore|\bthus|\bhence),?$", re.IGNORECASE)
_STARRED = re.compile(r"(?<![\w*])[*_]([a-z ]{4,20}:?)[*_](?!\w)", re.IGNORECASE)
# A judgement alone behind the sentence that gave one, with or without a word that takes the first back.
_JUDGEMENT = r"(?:yes|no|true|false|correct|incorrect|是的?|否|对|错误?|不是|正确|不正确)"
_ONE_JUDGEMENT = re.compile(rf"\W*{_JUDGEMENT}\W*", re.IGNORECASE)
_SECOND_ANSWER = re.compile(
    rf"\W*(?:(?:actually|wait|rather|sorry|but|and|also|hmm|其实|不对?|等等|更正|又|也)\W{{1,3}})*(?:it is |it's |是)?"
    rf"{_JUDGEMENT}\W*",
    re.IGNORECASE,
)
# A figure or one or two words, with or without a word that joins it on: what stands alone behind an answer that is as bare.
_BARE = re.compile(
    r"\W*(?:(?:or|and|also|maybe|perhaps|possibly|alternatively|否则|或者?|也可能是?|也许是?|亦可为?)[\s,，:：]*)?"
    r"(?:[-−(（]?[$¥￥€£]? ?\d[\d,.]* ?[%％]?[a-z一-鿿]{0,10}|[a-z]{2,15}(?: [a-z]{2,15})?|[一-鿿]{1,6})\W*",
    re.IGNORECASE,
)
# The signed-off answer stands at the end; a line with a page of text behind it is a step on the way.
_LONGEST_AFTER = 600
_SENTENCE_END = re.compile(r"(?<![A-Z])\. (?=[A-Z])|。|\n|；|; (?=[A-Z])")
# A sign counts when nothing stands before it that it could join to the box (x - \boxed{5}); a lone $ opens a formula.
_FRONT = re.compile(
    r"(?:^|[\s=≈:：(（是为$])((?:-|−|负|minus |negative )?) ?((?:\\\$|US\$|HK\$|[€£¥￥])?) ?\$?(?:\\\()?$",
    re.IGNORECASE,
)
_TEXT_COMMAND = re.compile(r"(?:\\,|\\ |~)?text\{ ?([^{}]{1,30})\}")
_LATEX_AFTER = re.compile(r"[ \t]*(?:\\\)|\\\]|\$\$?)?[ \t]*\\?")
_ONLY_NUMBER = re.compile(r"[\s\\$(){}+\-−–,.!\d／/*×]*|\\text\{[\s\d.,]*\}")


@dataclass(frozen=True, slots=True)
class Extraction:
    """The final answers of a completion as written; more than one must all say the same.

    `where`: "block", "box", "line", "text" (nothing but a short text after the reasoning) or "" (none).
    """

    answers: tuple[str, ...]
    where: str


def final_answers(completion: Completion) -> Extraction:
    """Find the final answer.

    The answer block; a box inside it wins, else a line in it that announces the answer, else all of it. Without a
    block: the last box, else the announced answers. What stands beside a block and announces another answer counts
    too, so that the two conflict.
    """
    blocks = [block for block in completion.blocks if block.strip()]
    if completion.unclosed and blocks and _cut_within_working(blocks[-1]):
        blocks.pop()
    if blocks:
        answers: list[str] = []
        for block in blocks:
            answers += boxes(block) or announced(block) or [block]
        if completion.outside.strip():
            answers += boxes(completion.outside) + announced(completion.outside)
        return Extraction(_distinct(answers), "block")
    found = _last_boxes(completion.outside)
    lines = announced(completion.outside)
    if found:
        return Extraction(_distinct(found + [line for line in lines if "\\boxed" not in line]), "box")
    if lines:
        return Extraction(_distinct(lines), "line")
    if closing := _closing(completion.outside):
        return Extraction((closing,), "line")
    text = "" if completion.blocks else completion.outside.strip()
    if text and len(text) <= 60 and "\n" not in text and not completion.cut_off:
        return Extraction((text,), "text")
    return Extraction((), "")


def _cut_within_working(block: str) -> bool:
    """Whether a block without an end tag stops before it says an answer; a stop string may have taken the tag."""
    if "\n" not in block.strip() and len(block) <= 200:
        return False
    return not boxes(block) and not announced(block)


def boxes(text: str) -> list[str]:
    """The contents of the outermost boxes, each with the sign in front of it and the unit behind it."""
    return [content for content, _, _ in _boxes(text)]


def _boxes(text: str) -> list[tuple[str, int, int]]:
    if "box" not in text:
        return []
    found: list[tuple[str, int, int]] = []
    starts = [match.start() for match in _BOX.finditer(text)]
    position = starts[-_MOST_BOXES] if len(starts) > _MOST_BOXES else 0
    while match := _BOX.search(text, position):
        depth, end = 1, -1
        for brace in _BRACE.finditer(text, match.end()):
            if brace.end() - match.end() > _LONGEST_BOX:
                break
            if len(brace.group()) == 2:
                continue
            depth += 1 if brace.group() == "{" else -1
            if depth == 0:
                end = brace.end()
                break
        if end < 0:
            break  # an unclosed box has no end to find for any later one either
        content = text[match.end() : end - 1]
        if content.strip():
            found.append((_with_surroundings(text, match.start(), end, content), match.start(), end))
        position = end
    return found


def _with_surroundings(text: str, start: int, end: int, content: str) -> str:
    r"""Models write the sign and the unit beside the box as often as inside it: `-\boxed{5}`, `\boxed{14.32}\%`."""
    if not _ONLY_NUMBER.fullmatch(content):
        return content
    front = _FRONT.search(text[max(0, start - 16) : start])
    lead = front.group(1) + front.group(2) if front else ""
    after = _LATEX_AFTER.match(text, end)
    tail = text[after.end() if after else end :][:40]
    if command := _TEXT_COMMAND.match(tail):
        tail = command.group(1)
    _, unit_end = unit_after(tail, 0)
    return f"{lead}{content} {tail[:unit_end].strip()}".strip()


def _last_boxes(text: str) -> list[str]:
    """The last box, with those that stand beside it in the same sentence: side by side they are candidates."""
    found = _boxes(text)
    if not found:
        return []
    answers = [found[-1][0]]
    for (content, _, end), (_, start, _) in zip(reversed(found[:-1]), reversed(found[1:]), strict=True):
        if start - end > 60 or "\n" in text[end:start].strip(" "):
            break
        answers.append(content)
    return answers[::-1]


def announced(text: str) -> list[str]:
    """What follows each "the answer is", "Final answer:", "答案：", "故选" in the last part of a text."""
    if "\\" in text:
        text = ENVIRONMENT.sub("", text)
    if "*" in text or "_" in text:
        text = _STARRED.sub(r"\1", text.replace("**", "").replace("__", ""))
    offset = max(0, len(text) - 6000)
    found: list[str] = []
    matches = list(_LINE.finditer(text, offset))[-MOST_ANSWERS * 2 :]
    for index, match in enumerate(matches):
        limit = matches[index + 1].start() if index + 1 < len(matches) else len(text)
        rest = text[match.end() : min(limit, match.end() + 400)]
        lead = len(rest) - len(rest.lstrip())
        stop = _SENTENCE_END.search(rest, lead)
        answer = (rest[: stop.start()] if stop else rest).strip()
        if stop and _ONE_JUDGEMENT.fullmatch(answer) and _SECOND_ANSWER.fullmatch(rest, stop.end()):
            answer = rest.strip()  # "Yes. No.": what is said behind the sentence is part of the answer
        elif stop and len(rest) <= 60 and _BARE.fullmatch(answer) and _BARE.fullmatch(rest, stop.end()):
            answer = rest.strip()  # "14%. Or 15%.": a second candidate, not a remark
        if _LEADS_ON.search(answer) or (match.group().startswith("####") and text[match.end() :].strip() != answer):
            continue  # "答案是：不合规，因此[答案是否]"; "#### Steps" is a heading and "#### 42" at the end an answer
        if answer and (len(text) - match.end() <= _LONGEST_AFTER or "final" in match.group().lower()):
            found.append(answer)
    return found


def _closing(text: str) -> str:
    """What a last line says that is headed "Result:" or 结论：; such a line further up is a step."""
    match = _CLOSING.search(ENVIRONMENT.sub("", text).replace("**", "").rstrip()[-_LONGEST_AFTER:])
    return match[1].strip() if match else ""


def _distinct(answers: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(answer.strip() for answer in answers if answer.strip()))[: MOST_ANSWERS + 1]
