"""FinCUGE, Chinese finance language tasks: from its own files, or in the instruction form of the hub.

Its own files are lists whose places have a meaning of their own for each task; the folder has the task's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from distill.records import Question
from distill.sources.instructions import instruction
from distill.sources.rows import BadRow, Row

_FEELINGS = {"0": "消极", "1": "中性", "2": "积极"}  # in the order in which the set's README names them


def fincuge(row: Row) -> Iterator[Question]:
    """The eight tasks with golds in words: finfe, finre, finnsp, finese, fincqa, finqa, finnl and finna."""
    if isinstance(row.value, dict):
        yield instruction(row, task=row.text("task") if row.has("task") else "instruction")
        return
    task = next((part for part in row.file.lower().split("/") if part in _TASKS), "")
    if not task:
        raise BadRow("the file's path names no task of FinCUGE")
    places, read = _TASKS[task]
    if not isinstance(row.value, list) or len(row.value) < places:
        raise BadRow(f"not a list of {places} places")
    yield read(row, task, *row.value[:places])


# Those that occur at least twenty times; the others are slips of the pen.
_TOPICS = ("中国", "外国", "公司", "新冠", "经济", "行业", "大盘", "政策", "国际", "政治", "期货", "能源", "债券",
           "房地产", "虚拟货币", "外汇")  # fmt: skip
_RELATIONS = ("自己", "合作", "竞争", "签约", "纠纷", "交易", "重组", "订单", "合并", "合资", "商讨", *(
    f"{passive}{each}"
    for each in ("拥有", "持股", "分析", "收购", "拟收购", "减持", "增持", "入股", "注资", "帮助", "成立", "买资",
                 "发行", "转让", "欠款", "借壳")
    for passive in ("", "被")
))  # fmt: skip
_NOTHING = {"fincqa": "无参数", "finqa": "无相应参数"}  # what the set's golds say where the passage has no answer


def _feeling(row: Row, task: str, text: str, label: Any) -> Question:
    if str(label) not in _FEELINGS:
        raise BadRow("a label that is none of 0, 1, 2")
    question = "这条金融社交媒体文本的情绪是消极、中性还是积极？"
    return row.question(question, _FEELINGS[str(label)], task=task, context=text, labels=_FEELINGS)


def _relation(row: Row, task: str, head: str, tail: str, relation: str, sentence: str) -> Question:
    if relation not in _RELATIONS:
        raise BadRow("the relation is unknown" if relation == "unknown" else "a relation that the set does not define")
    question = f"根据上文，“{head}”对“{tail}”是下列哪一种关系：{'、'.join(_RELATIONS)}？"
    return row.question(question, relation, task=task, context=sentence, labels=list(_RELATIONS))


def _negative_news(
    row: Row, task: str, _: str, title: str, text: str, entities: str, negative: Any, about: str
) -> Question:
    asked = f"上文是否有针对下列实体的负面消息：{entities}？有则列出负面消息的主体，以分号隔开；没有则回答“没有”。"
    gold = about if str(negative) == "1" else "没有"
    context = text if not title or text.startswith(title) else f"{title}\n{text}"
    return row.question(asked, gold, task=task, context=context, answer_type="text")


def _subject(row: Row, task: str, _: str, text: str, event: str, subject: str) -> Question:
    if subject == "NaN":
        raise BadRow("an event without a subject")
    return row.question(f"上文中“{event}”事件的主体是谁？", subject, task=task, context=text)


def _asked_of_text(row: Row, task: str, joined: str, gold: str) -> Question:
    """The question stands before the passage, and ends at the first question mark."""
    question, mark, passage = joined.partition("？")
    if not mark:
        raise BadRow("no question mark between the question and its passage")
    hint = f"（文中没有时回答“{_NOTHING[task]}”。）"
    return row.question(question + mark + hint, gold, task=task, context=passage)


def _topics(row: Row, task: str, text: str, topics: str) -> Question:
    if not set(topics.split()) <= set(_TOPICS):
        raise BadRow("a topic that the set does not define")
    question = f"上文属于下列哪些类别：{'、'.join(_TOPICS)}？"
    return row.question(question, "、".join(topics.split()), task=task, context=text, answer_type="list")


def _headline(row: Row, task: str, title: str, text: str) -> Question:
    return row.question("为上文写一个新闻标题。", title, task=task, context=text, answer_type="text")


_TASKS: dict[str, tuple[int, Callable[..., Question]]] = {
    "finfe": (2, _feeling),
    "finre": (4, _relation),
    "finnsp": (6, _negative_news),
    "finese": (4, _subject),
    "fincqa": (2, _asked_of_text),
    "finqa": (2, _asked_of_text),
    "finnl": (2, _topics),
    "finna": (2, _headline),
}
