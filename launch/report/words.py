"""Every phrase of a report in both languages, and the sentences that are made of numbers."""

from __future__ import annotations

import itertools
from typing import Any, Literal

Language = Literal["en", "zh"]

WORDS: dict[str, tuple[str, str]] = {
    "accuracy": ("accuracy", "准确率"),
    "strict_accuracy": ("strict accuracy", "严格准确率"),
    "lenient_accuracy": ("lenient accuracy", "宽松准确率"),
    "execution_accuracy": ("by FinQA's own value rule", "按 FinQA 自身数值规则"),
    "macro_f1": ("macro-F1", "宏平均 F1"),
    "accuracy_note": (
        "Accuracy counts a right answer in any marked form; strict accuracy demands <think>…</think><answer>…</answer>, "
        "too; lenient accuracy takes the last line where no answer is marked.",
        "准确率看有标记的答案是否正确；严格准确率还要求格式为 <think>…</think><answer>…</answer>；"
        "宽松准确率在没有标记答案时取最后一行。",
    ),
    "format_rate": ("format kept", "格式正确率"),
    "no_answer_rate": ("no answer", "无答案率"),
    "model": ("model", "模型"),
    "set": ("test set", "测试集"),
    "rows": ("rows", "题数"),
    "against_base": ("against {base}", "与 {base} 相比"),
    "difference": ("difference, points", "差值（百分点）"),
    "interval": ("95% interval", "95% 区间"),
    "Wilson": ("Wilson", "Wilson 法"),
    "bootstrap by document": ("bootstrap by document", "按文档自助法"),
    "gained_lost": ("gained / lost rows", "转对 / 转错题数"),
    "p": ("McNemar p", "McNemar p 值"),
    "better": ("better", "变好"),
    "worse": ("worse", "变差"),
    "unclear": ("no clear difference", "无明确差别"),
    "outcomes": ("What became of the questions", "各题结果"),
    "correct": ("correct", "正确"),
    "wrong": ("wrong", "错误"),
    "no_answer": ("no answer", "无答案"),
    "undecided": ("only a judge can tell", "只有裁判能判定"),
    "error": ("error", "出错"),
    "causes": ("causes of no answer and of errors", "无答案与出错的原因"),
    "by": ("Accuracy by {what}", "按{what}的准确率"),
    "kind": ("kind", "题型"),
    "lang": ("language", "语言"),
    "level": ("level", "难度"),
    "type": ("type", "类型"),
    "length": ("length of the prompt in characters", "提示词长度（字符）"),
    "answer_type": ("answer type", "答案类型"),
    "tokens": ("completion tokens, median", "生成词元数（中位）"),
    "latency": ("seconds a row, median", "每题耗时（秒，中位）"),
    "latency_p95": ("95th percentile", "第 95 百分位"),
    "usage": ("Cost and latency", "费用与耗时"),
    "prompt_tokens": ("prompt tokens", "提示词元数"),
    "completion_tokens": ("completion tokens", "生成词元数"),
    "cost": ("cost", "费用"),
    "cost_per_1000": ("for 1,000 answers", "每 1,000 个回答"),
    "cost_per_right": ("for a right answer", "每个正确答案"),
    "usage_note": (
        "Seconds are those of the evaluation, with its requests at once, and no load test.",
        "耗时来自本次评测（含其并发数），并非压力测试。",
    ),
    "perf": ("Load test", "压力测试"),
    "concurrency": ("requests at once", "并发请求数"),
    "requests": ("requests", "请求数"),
    "failed": ("failed", "失败"),
    "latency_s": ("latency, s", "延迟（秒）"),
    "ttft_ms": ("first token, ms", "首词元（毫秒）"),
    "requests_per_s": ("requests a second", "每秒请求数"),
    "output_tokens_per_s": ("completion tokens a second", "每秒生成词元数"),
    "samples": ("Several samples of each question", "每题多次采样"),
    "majority": ("majority", "多数投票"),
    "samples_note": (
        "{questions} questions with {samples} rated samples each, {left_out} left out (a sample failed or is undecided). "
        "pass@k: the unbiased chance that one of k samples is right. Majority: the answer that most samples give.",
        "共 {questions} 题，每题 {samples} 个有评分的样本，{left_out} 题未计入（有样本出错或未判定）。"
        "pass@k：k 个样本中至少一个正确的无偏概率。多数投票：多数样本给出的答案。",
    ),
    "contamination": ("Test questions that stand in the training data", "出现在训练数据中的测试题"),
    "contamination_none": (
        "{set}: none of {rows} questions is named in the overlap files given.",
        "{set}：所给重合文件未提及其 {rows} 题中的任何一题。",
    ),
    "contamination_found": (
        "{set}: {flagged} of {rows} questions are copies of training questions. The scores without them:",
        "{set}：{rows} 题中有 {flagged} 题与训练题重复。去掉后的得分：",
    ),
    "contaminated_top": (
        "{flagged} of {rows} questions of {set} stand in the training data; the scores without them are below.",
        "{set} 的 {rows} 题中有 {flagged} 题出现在训练数据中；去掉后的得分见下文。",
    ),
    "contamination_note": (
        "A set that was not among those compared by finr1 overlap is not named either; its manifest says which were.",
        "未参与 finr1 overlap 比较的测试集同样不会被提及；比较了哪些见其清单。",
    ),
    "without_flagged": ("without them", "去掉后"),
    "similarity": ("alike", "相似度"),
    "copy_of": ("training question", "训练题"),
    "judged": ("judged accuracy", "裁判准确率"),
    "judge": ("The judge, and how far it can be trusted", "裁判及其可信度"),
    "judge_one": ("judge", "裁判"),
    "judge_undecided": (
        "Rule first; the judge decides what the rule leaves open.",
        "规则优先；规则无法判定的由裁判决定。",
    ),
    "judge_both": (
        "The judge decides every answer; the rule's score stands beside it.",
        "裁判判定所有回答；规则得分并列给出。",
    ),
    "no_judged": ("{model} on {set}: no judged score: {why}.", "{model} 在 {set} 上没有裁判得分：{why}。"),
    "judged_difference": ("Differences by the judged score", "按裁判得分的差值"),
    "judged_difference_note": (
        "Models that the same judges scored, on the questions with a verdict or a rule's decision for both.",
        "仅比较由相同裁判评分的模型，且只用两个模型都有裁决或规则判定的题目。",
    ),
    "panel": ("all together", "合议"),
    "coverage": ("rows with a verdict", "有裁决的题"),
    "unreadable": ("unreadable", "无法读取"),
    "kappa": ("kappa with the rule", "与规则的 kappa"),
    "repeatability": ("same when asked twice", "重复询问一致"),
    "position_bias": ("changed by order", "因顺序而变"),
    "length_bias": ("changed by more words", "因加长而变"),
    "judge_tokens": ("tokens, prompt / completion", "词元数（提示 / 生成）"),
    "controls": ("controls right", "对照题正确"),
    "judge_note": (
        "Controls: golds put as answers to their own question and to another. Changed: the verdict on the same answer "
        "with the texts in the other order, or said in more words (in brackets: to right / to wrong).",
        "对照题：把标准答案作为其本题和另一题的回答。变化：同一回答在文本顺序调换或表述加长后裁决改变的比例"
        "（括号内：变为正确 / 变为错误）。",
    ),
    "published": ("Published, other harness", "已发表的结果（其他评测框架）"),
    "published_note": (
        "Other prompts, other rules of comparison, perhaps other rows: not comparable with ours to the point.",
        "提示词、比对规则不同，题目也可能不同：与我们的数字不能逐点比较。",
    ),
    "ours": ("ours", "我们的"),
    "right_of": ("{right} of {samples} right", "{samples} 次中 {right} 次正确"),
    "curves": ("Training", "训练过程"),
    "not_finite": ("{curve}: {n} values were no finite number", "{curve}：有 {n} 个值不是有限数"),
    "examples": ("Worked examples", "示例"),
    "right": ("right", "答对"),
    "disagree": ("the models disagree", "模型答案不一致"),
    "question": ("question", "题目"),
    "prompt": ("the prompt as sent", "发送的提示词"),
    "gold": ("gold", "标准答案"),
    "extracted": ("answer found", "提取到的答案"),
    "others": ("the others", "其他模型"),
    "disagreements": ("Where the models disagree", "模型不一致的题目"),
    "shown_of": ("{shown} of {total} rows", "共 {total} 题，列出 {shown} 题"),
    "ran": ("What was run", "运行信息"),
    "started": ("started", "开始时间"),
    "seconds": ("seconds", "用时（秒）"),
    "stages": ("Stages, from their manifests", "各阶段（摘自清单）"),
    "stage": ("stage", "阶段"),
    "seed": ("seed", "种子"),
    "sampling": ("sampling", "采样参数"),
    "weights": ("weights", "权重"),
    "data": ("data", "数据"),
    "rules": ("scoring code", "评分代码"),
    "versions": ("versions", "版本"),
    "unrated": (
        "{model} on {set}: {error} of {requested} rows are in no rate ({causes}).",
        "{model} 在 {set} 上有 {error} / {requested} 题未计入任何比率（{causes}）。",
    ),
    "undecided_top": (
        "{model} on {set}: {undecided} of {requested} rows can be decided by a judge only and are in no rate.",
        "{model} 在 {set} 上有 {undecided} / {requested} 题只有裁判能判定，未计入任何比率。",
    ),
    "golds_refused": (
        "{set}: {n} golds are not accepted as their own answers; no model can score there.",
        "{set}：有 {n} 个标准答案无法通过自身校验，任何模型都无法在这些题上得分。",
    ),
    "ask_again": ("Run the evaluation again to ask those that failed.", "再次运行评测即可补问失败的题目。"),
    "method_note": (
        "Rates are over correct, wrong and no-answer rows; errors (a request that failed) are counted apart. Intervals "
        "are 95%: Wilson where each document gives one question, else a bootstrap over whole documents. Differences are "
        "paired, on the rows that both models were rated on: bootstrap by document ({resamples} resamples, seed {seed}) "
        "and McNemar's exact test (where questions were asked several times, the sign test over questions). Better or worse is said only where the interval leaves out 0 and p < 0.05.",
        "各比率的分母为正确、错误与无答案的题目之和；出错（请求失败）的题目单独计数。区间为 95%：每份文档只出一题时用 Wilson 法，"
        "否则按整份文档自助抽样。差值为配对比较，只用两个模型都有评分的题目：按文档自助抽样（{resamples} 次，种子 {seed}）"
        "和 McNemar 精确检验（每题多次采样时为按题的符号检验）。仅当区间不含 0 且 p < 0.05 时才称变好或变差。",
    ),
    "made_by": ("made {made} by finr1-kit {kit}", "由 finr1-kit {kit} 于 {made} 生成"),
}


def word(key: str, language: Language, **values: Any) -> str:
    """A phrase in a language, with values put in."""
    return WORDS[key][("en", "zh").index(language)].format(**values)


def percent(share: float | None) -> str:
    """`0.415` as `41.5%`; a dash for nothing."""
    return "–" if share is None else f"{100 * share:.1f}%"


def points(share: float) -> str:
    """A difference of two shares in percentage points, with its sign."""
    rounded = round(100 * share, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def number(value: float | None, digits: int = 2) -> str:
    """A number with a comma between thousands; a dash for none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def p_value(p: float) -> str:
    """`p < 0.001`, or `p = ` and three digits."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def span(low: float, high: float, language: Language) -> str:
    """The interval of a difference in points."""
    return f"{points(low)} {'to' if language == 'en' else '至'} {points(high)}"


def headline_scores(summary: dict[str, Any]) -> dict[str, dict[str, Any] | None]:
    """The scores that the answer on top is about, by model: the rule's, or the judges' where these decide most."""
    results = summary["results"][summary["headline"]["set"]]
    if summary["headline"]["by"] == "accuracy":
        return {model: result["accuracy"] for model, result in results.items()}
    return {model: result["judged"]["accuracy"] if result["judged"] else None for model, result in results.items()}


def headline(summary: dict[str, Any], language: Language) -> str:
    """The answer in one sentence: the last model against the base, on the headline set."""
    sentence = _answer(summary, language)
    if summary["headline"]["by"] == "accuracy":
        return sentence
    return f"By the judge: {sentence}" if language == "en" else f"按裁判得分：{sentence}"


def _answer(summary: dict[str, Any], language: Language) -> str:
    scores = headline_scores(summary)
    last = list(scores)[-1]
    found = next(
        (d for d in summary["headline"]["differences"] if (d["from"], d["to"]) == (next(iter(scores)), last)), None
    )
    if found is None:
        score = scores[last]
        if score is None:
            return f"{last} gave nothing to rate." if language == "en" else f"{last} 没有可评分的结果。"
        base = next(iter(scores))
        if language == "en":
            alone = "there is no other model" if len(scores) == 1 else f"{base} has no rated question of these"
            return (
                f"{last} answers {percent(score['value'])} of {score['n']} questions correctly (95% interval "
                f"{percent(score['low'])} to {percent(score['high'])}); {alone} to compare it with."
            )
        alone = "没有可比较的其他模型" if len(scores) == 1 else f"{base} 在这些题上没有可评分的结果，无法比较"
        return (
            f"{last} 在 {score['n']} 题中答对 {percent(score['value'])}（95% 区间 {percent(score['low'])} 至 "
            f"{percent(score['high'])}）；{alone}。"
        )
    before, after = percent(found["first"]), percent(found["second"])
    verdict = found["verdict"]
    interval = span(found["low"], found["high"], language)
    if language == "en":
        lead = {
            "better": "Yes, it got better",
            "worse": "No, it got worse",
            "unclear": "That it got better cannot be shown",
        }[verdict]
        return (
            f"{lead}: {last} answers {after} of {found['n']} test questions correctly, {found['from']} "
            f"{before}. That is {points(found['value'])} points (95% interval {interval}, "
            f"{p_value(found['p'])})."
        )
    lead = {"better": "是的，变好了", "worse": "没有，变差了", "unclear": "无法证明变好了"}[verdict]
    return (
        f"{lead}：在 {found['n']} 道测试题上，{last} 的准确率为 {after}，{found['from']} 为 {before}，"
        f"相差 {points(found['value'])} 个百分点（95% 区间 {interval}，{p_value(found['p'])}）。"
    )


def steps(summary: dict[str, Any], language: Language) -> list[str]:
    """One sentence for each step from a model to the next, where there are several."""
    results = list(summary["results"][summary["headline"]["set"]])
    if len(results) < 3:
        return []
    by_pair = {(d["from"], d["to"]): d for d in summary["headline"]["differences"]}
    sentences: list[str] = []
    for first, second in itertools.pairwise(results):
        found = by_pair.get((first, second))
        if found is None:
            continue
        change = f"{points(found['value'])}"
        interval = span(found["low"], found["high"], language)
        if language == "en":
            verdict = {
                "better": "a clear gain",
                "worse": "a clear loss",
                "unclear": "no clear difference: on these rows it may as well be chance",
            }[found["verdict"]]
            sentences.append(f"{first} → {second}: {change} points ({interval}), {verdict}.")
        else:
            verdict = {"better": "明确的提升", "worse": "明确的下降", "unclear": "无明确差别，可能只是偶然"}[
                found["verdict"]
            ]
            sentences.append(f"{first} → {second}：{change} 个百分点（{interval}），{verdict}。")
    return sentences
