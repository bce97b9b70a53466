"""What a question asks of its reader, found by rule: to work something out, to know, to read, or to conclude.

The four types are FTModel's. Here they mean:

- "calculation": the answer is a figure that has to be worked out;
- "concept": what a term, a rule or a fact of the field is, without a case;
- "analysis": something is to be read out of a given text, or said of a market, a product or a risk;
- "reasoning": knowledge is to be applied to a case; also what is none of the others.

A source that knows better says so in `meta["type"]`. How often the rules are right, `tests/distill/test_question_type.py`
measures on questions labelled by hand.
"""

from __future__ import annotations

import re

from distill.records import Question

TYPES = ("calculation", "concept", "analysis", "reasoning")

_FIGURE = re.compile(
    r"[^\d]{0,6}[-+]?[$¥￥€£]?\d[\d,，.]*(?:[eE][-+]?\d+)?(?:[，,、; ]+[-+]?\d[\d,.]*)*"
    r"\s*(?:\$?\\?[%％]\$?|[^\d\s]{0,6}|\s[a-z]{2,10})\s*",
)
_NUMBER = re.compile(r"(?<![\dA-Za-z.])\d[\d,]*(?:\.\d+)?(?![\d年月日号条届])")
_WORK_OUT = re.compile(
    r"\b(?:calculate|compute|percentage change|percent(?:age)? (?:change|increase|decrease|of)|average|growth rate|"
    r"difference|sum of|ratio|what (?:portion|percent(?:age)?)|net change|total (?:number|amount|value)|how much more|"
    r"would .{0,80} be|present value|future value|expected return|annualized)\b"
    r"|计算|求(?:得|出|解)|等于多少|平均|合计|差额|增长率是|同比增长了?多少|多少倍|净现值|现值是",
    re.IGNORECASE,
)
_HOW_MUCH = re.compile(
    r"多少|几(?:个|元|年|倍|天)|\bhow (?:much|many)\b|\bwhat(?:'s| is| was| are| would| will)\b", re.I
)
_READ = re.compile(
    r"(?:根据|阅读|基于|按照|从|依据)[^。？?\n]{0,12}(?:上文|上述|以下|下面|下文|给定|材料|文本|资料|报告|研报|公告|资讯|新闻|事件|文档|合同|披露)"
    r"|(?:上文|下文|下面|以下)[^。？?\n]{0,10}(?:实体|文本|资讯|新闻|研报|公告|会议|对话|内容|材料)"
    r"|抽取|提取|摘要|总结|关键词|情[感绪]|分类任务|意图|实体|翻译|写一个|标题|财联社|怎么看|前景|展望|走势"
    r"|\b(?:sentiment|summari[sz]e|headline|extract|translate|according to the (?:passage|text|report|article))\b",
    re.IGNORECASE,
)
_READ_TASK = re.compile(
    r"标题|总结|摘要|抽取|提取|识别|意图|槽位|情[感绪]|文案|话术|sentiment|entit|intent|extract", re.I
)
_WEIGH = re.compile(r"风险|影响|后果|趋势|预测|优势|劣势|评估|\b(?:impact|risks?|outlook|trend|consequences?)\b", re.I)
_CONDUCT_TASK = re.compile(r"合规|安全|compliance", re.I)
_CASE = re.compile(
    r"[甲乙丙丁][、和与]?[甲乙丙]?(?:公司|企业|银行|方|某|将|向|以|于)|(?:^|[，。；\s])某(?!些|种|一)|小[李王张明刘陈红]|老[周王李张]|[张李王陈刘赵][某先女]|"
    r"(?<![A-Za-z])[A-Z](?:公司|企业|银行|保险公司)|先生|女士|该(?:企业|公司|董事|行为|银行|厂)|此案|本案"
    r"|\b(?:should|recommend|advise|best describes the (?:decision|action)|violat\w+|what can the)\b",
    re.IGNORECASE,
)
_KNOW = re.compile(
    r"什么是|是什么|何谓|是指|定义|概念|含义|下列|以下|哪[些种项一个]|（\s*[）)]|[(（]\s*[)）]|_{2,}"
    r"|\bwhich of (?:the|these)\b|\bwhat (?:is|are|does) (?:an?|the term)\b|\bdefin(?:e|ition)\b|true or false",
    re.IGNORECASE,
)
_END = 2000
_LONG = 400  # characters from which a question without choices brings its own text to be read


def question_type(question: Question) -> str:
    """One of `TYPES`, from the question's text, its choices, its gold and its task."""
    text, choices, read = _ends(question.question), question.choices, _READ_TASK.search(question.task)
    if _worked_out(question, text):
        return "calculation"
    if read or question.context or question.answer_type in ("label", "list"):
        return "analysis"
    if _CONDUCT_TASK.search(question.task) and not _KNOW.search(text):
        return "reasoning"
    if not choices and (len(text) > _LONG or _READ.search(text)):
        return "analysis"
    if choices and _READ.search(text) and not _KNOW.search(text):
        return "analysis"
    if _CASE.search(text):
        return "reasoning"
    if choices or question.answer_type == "boolean" or _KNOW.search(text):
        return "concept"
    return "analysis" if _WEIGH.search(text) else "reasoning"


def _ends(text: str) -> str:
    """A long text's beginning and end; instructions stand there, and the rules stay quick."""
    return text if len(text) <= 2 * _END else f"{text[:_END]}\n{text[-_END:]}"


def _worked_out(question: Question, text: str) -> bool:
    choices = question.choices
    given = len(_NUMBER.findall(text))
    if choices:
        figures = all(_FIGURE.fullmatch(choice.strip()) for choice in choices.values())
        return figures and (given >= 2 or _WORK_OUT.search(text) is not None) and not question.context
    if question.answer_type in ("number", "percent", "money"):
        if question.context:
            return _WORK_OUT.search(text) is not None
        return given >= 1 or _WORK_OUT.search(text) is not None
    if question.answer_type == "text" and not question.context and len(text) <= _LONG:
        return given >= 2 and ("计算" in text or _HOW_MUCH.search(text) is not None)
    return False
