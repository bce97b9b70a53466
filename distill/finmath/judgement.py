"""Problems whose answer is no number: is a limit kept, and which of these is it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from distill.finmath.arithmetic import Term, num, plain, total
from distill.finmath.draft import Cell, Draft, Problem, as_percent, near_tie
from distill.finmath.kinds import kind
from distill.finmath.mental import easy_share, easy_times
from distill.finmath.ratio import COMPANY_ACCOUNTS, head
from distill.finmath.wording import BILLIONS, MILLIONS, SHORT, Form, percent

# Nearer than this to a limit, or to each other, two ratios could change places by rounding.
_CLEAR = Fraction(1, 1_000)


@kind("judgement", "Capital requirement met?", "资本充足率是否达标")
def capital_floor(d: Draft) -> Problem:
    """Whether a bank's capital reaches the minimum; at level 3 tier 1 alone against a minimum plus a buffer."""
    who, floor, year = d.bank(), d.rate(800, 1_200, 100 if d.level == 1 else 50), d.year()
    name = d.t("Capital ratio", "资本充足率")
    if d.level == 1:
        easy = easy_share(d, 4, 16)
        capital, assets = easy.top, easy.bottom
        question = d.t(
            f"{who} has capital of {d.money(capital, SHORT)} and risk-weighted assets of {d.money(assets, SHORT)}. "
            f"Does its capital ratio meet the minimum of {as_percent(floor)}?",
            f"{who}资本净额{d.money(capital, SHORT)}，风险加权资产{d.money(assets, SHORT)}，"
            f"资本充足率是否达到{as_percent(floor)}的最低要求？",
        )
        return _at_least(d, question, d.step(name, capital / assets, [easy.via], easy.percent), floor)
    large = BILLIONS if d.level == 3 else MILLIONS
    factor = large.over(MILLIONS, d.lang)
    assets = d.whole(60_000, 900_000, 100)
    tiers = [num(assets.value * share.value // 1) for share in (d.rate(560, 900), d.rate(40, 150), d.rate(100, 260))]
    stated, unit = num(assets.value / factor), d.unit_of_money(MILLIONS)
    rows: list[list[Cell]] = [
        [d.t("Risk-weighted assets", "风险加权资产"), d.unit_of_money(large), stated],
        [d.t("Common equity tier 1 capital", "核心一级资本净额"), unit, tiers[0]],
        [d.t("Additional tier 1 capital", "其他一级资本净额"), unit, tiers[1]],
        [d.t("Tier 2 capital", "二级资本净额"), unit, tiers[2]],
        [d.t("Total assets", "资产总额"), unit, num(assets.value * d.noise(14, 18).value // 10)],
    ]
    context = d.table(
        d.t(f"{who}, capital at year end", f"{who}年末资本状况"), head(d, [year], d.t("Unit", "单位")), rows
    )
    if d.level == 2:
        capital = d.step(d.t("Total capital", "资本净额"), total(tiers))
        question = d.t(
            f"At the end of {year}, did the capital adequacy ratio of {who} meet a minimum of {as_percent(floor)}?",
            f"{year}年末，{who}的资本充足率是否达到{as_percent(floor)}的最低要求？",
        )
        return _at_least(d, question, d.step(name, capital / stated), floor, context)
    weighted = d.step(d.t("Risk-weighted assets", "风险加权资产"), stated * factor)
    capital = d.step(d.t("Tier 1 capital", "一级资本净额"), tiers[0] + tiers[1])
    ratio = d.step(d.t("Tier 1 ratio", "一级资本充足率"), capital / weighted)
    base, buffer = d.rate(550, 850, 50), d.rate(100, 250, 50)
    question = d.t(
        f"At the end of {year}, did the tier 1 capital ratio of {who} meet a minimum of {as_percent(base)} plus a buffer "
        f"of {as_percent(buffer)}?",
        f"{year}年末，{who}的一级资本充足率是否达到{as_percent(base)}的最低要求加{as_percent(buffer)}的缓冲资本要求？",
    )
    return _at_least(d, question, ratio, d.step(d.t("Requirement", "要求"), base + buffer), context)


@kind("judgement", "Loan covenant kept?", "贷款约束条款是否满足")
def debt_covenant(d: Draft) -> Problem:
    """Whether debt, from level 2 on net of cash, stays within a multiple of EBITDA."""
    who = d.company()
    if d.level == 1:
        limit = d.whole(2, 5)
        debt, ebitda, via = easy_times(d, 1, 6)
        question = d.t(
            f"{who} has debt of {d.money(debt, SHORT)} and EBITDA of {d.money(ebitda, SHORT)}. "
            f"Is its debt within the covenant of {limit} times EBITDA?",
            f"{who}债务{d.money(debt, SHORT)}，EBITDA为{d.money(ebitda, SHORT)}，债务是否在约定的{limit}倍EBITDA以内？",
        )
        return _at_most(d, question, d.step(d.t("Debt/EBITDA", "债务/EBITDA"), debt / ebitda, [via]), limit)
    years = [year := d.year(), year - 1][: d.level - 1]
    ebits, charges = d.series(900, 5_000, len(years)), d.series(200, 1_800, len(years))
    size = int(ebits[0].value + charges[0].value)
    loans, bonds, cash = (
        d.series(size * low // 10, size * high // 10, len(years)) for low, high in ((8, 24), (8, 24), (2, 8))
    )
    rows: list[list[Cell]] = [
        [d.t("Bank loans", "银行借款"), *loans],
        [d.t("Bonds issued", "应付债券"), *bonds],
        [d.t("Cash", "货币资金"), *cash],
        [d.t("EBIT", "息税前利润"), *ebits],
        [d.t("Depreciation and amortisation", "折旧与摊销"), *charges],
        [d.t("Trade payables", "应付账款"), *(d.noise(300, 3_000) for _ in years)],
    ]
    unit = d.unit_of_money(COMPANY_ACCOUNTS)
    title = d.t(f"{who}, debt and earnings ({unit})", f"{who}债务与盈利（单位：{unit}）")
    debt = d.step(d.t("Net debt", "净债务"), loans[-1] + bonds[-1] - cash[-1])
    ebitda = d.step("EBITDA", ebits[-1] + charges[-1])
    ratio = d.step(d.t("Net debt/EBITDA", "净债务/EBITDA"), debt / ebitda)
    # The half step below or above the ratio: kept and broken are equally frequent, and both are near misses.
    limit = num(Fraction(ratio.value * 2 // 1 + d.pick(0, 1), 2))
    question = d.t(
        f"A covenant limits net debt (loans and bonds less cash) to {limit} times EBITDA. Did {who} keep it in "
        f"{years[-1]}?",
        f"贷款条款要求净债务（借款与债券之和减货币资金）不超过EBITDA的{limit}倍，{who}{years[-1]}年是否满足？",
    )
    return _at_most(d, question, ratio, limit, d.table(title, head(d, years), rows[: d.level + 3]))


@kind("judgement", "Highest margin", "净利率最高的公司")
def highest_margin(d: Draft) -> Problem:
    """Which of two to four companies has the highest net margin; at level 3 revenues come in different units."""
    names = d.companies(d.level + 1)
    listed = d.t(", ".join(names[:-1]) + " or " + names[-1], "、".join(names[:-1]) + "和" + names[-1])
    if d.level == 1:
        pairs = [easy_share(d, 2, 40) for _ in names]
        facts = [
            d.t(
                f"{name} earns {d.money(profit, SHORT)} on revenue of {d.money(revenue, SHORT)}",
                f"{name}收入{d.money(revenue, SHORT)}、净利润{d.money(profit, SHORT)}",
            )
            for name, (profit, revenue, _) in zip(names, pairs, strict=True)
        ]
        question = d.t("; ".join(facts) + ". Which has the higher net margin?", "；".join(facts) + "。哪家净利率更高？")
        shares = [
            d.step(name, pair.top / pair.bottom, [pair.via], pair.percent)
            for name, pair in zip(names, pairs, strict=True)
        ]
        return _highest(d, question, names, shares)
    year = d.year()
    revenues = [d.whole(2_000, 60_000, 100) for _ in names]
    expenses = [num(revenue.value * d.whole(750, 980).value // 1_000) for revenue in revenues]
    scales = [COMPANY_ACCOUNTS] * len(names)
    if d.level == 3:
        scales[d.pick(*range(len(names)))] = BILLIONS
    factors = [scale.over(COMPANY_ACCOUNTS, d.lang) for scale in scales]
    stated = [num(revenue.value / factor) for revenue, factor in zip(revenues, factors, strict=True)]
    unit = d.unit_of_money(COMPANY_ACCOUNTS)
    columns = [
        d.t("Company", "公司"),
        d.t("Unit of revenue", "收入单位"),
        d.t("Revenue", "营业收入"),
        d.t(f"Total expenses ({unit})", f"成本费用合计（{unit}）"),
        d.t(f"Capital expenditure ({unit})", f"资本开支（{unit}）"),
    ]
    rows: list[list[Cell]] = [
        [name, d.unit_of_money(scale), d.cell(revenue), d.cell(expense), d.cell(d.noise(100, 900))]
        for name, scale, revenue, expense in zip(names, scales, stated, expenses, strict=True)
    ]
    margins = [
        1 - expense / (revenue if factor == 1 else revenue * factor)
        for revenue, expense, factor in zip(stated, expenses, factors, strict=True)
    ]
    question = d.t(
        f"Which had the highest net margin in {year}: {listed}? Net profit is revenue less total expenses.",
        f"{listed}中，{year}年净利率最高的是哪家？净利润为营业收入减成本费用合计。",
    )
    context = d.table(d.t(f"Companies compared, {year}", f"{year}年公司对比"), columns, rows)
    shares = [d.step(name, margin) for name, margin in zip(names, margins, strict=True)]
    return _highest(d, question, names, shares, context)


@kind("judgement", "Which return is right?", "选择正确的净资产收益率")
def pick_return(d: Draft) -> Problem:
    """ROE among the results of the usual mistakes: closing or opening equity, total assets, all the profit."""
    who, year = d.company(), d.year()
    if d.level == 1:
        easy = easy_share(d, 2, 30)
        profit, equity, share = easy.top, easy.bottom, easy.via.value
        question = d.t(
            f"{who} has net profit of {d.money(profit, SHORT)} and average equity of {d.money(equity, SHORT)}. "
            "What is its ROE?",
            f"{who}净利润{d.money(profit, SHORT)}，平均净资产{d.money(equity, SHORT)}，净资产收益率是多少？",
        )
        mistakes = [share / 2, share * 2, share + Fraction(5, 100)]
        return _among(d, question, d.step("ROE", profit / equity, [easy.via], easy.percent), mistakes, percent(0))
    closing, opening = d.series(4_000, 40_000, 2, 100)
    profit = num(closing.value * d.whole(30, 240).value // 1_000)
    assets = num(closing.value * d.whole(18, 35).value // 10)
    minority = num(profit.value * d.whole(4, 20).value // 100)
    rows: list[list[Cell]] = [
        [d.t("Net profit", "净利润"), profit, num(profit.value * d.noise(80, 120).value // 100)],
        [d.t("Minority interests in net profit", "其中：少数股东损益"), minority, num(minority.value * 9 // 10)],
        [d.t("Equity of the parent, year end", "归母净资产（年末）"), closing, opening],
        [d.t("Total assets, year end", "资产总额（年末）"), assets, num(assets.value * d.noise(85, 110).value // 100)],
    ]
    unit = d.unit_of_money(COMPANY_ACCOUNTS)
    title = d.t(f"{who}, selected figures ({unit})", f"{who}主要数据（单位：{unit}）")
    average = (opening + closing) / 2
    mistakes = [profit.value / closing.value, profit.value / opening.value, profit.value / assets.value]
    earned, basis = profit, d.t("the average of opening and closing equity", "年初、年末净资产的平均数")
    if d.level == 2:
        del rows[1]
        rows[1][0] = d.t("Equity, year end", "净资产（年末）")
    else:
        earned = d.step(d.t("Profit of the parent", "归母净利润"), profit - minority)
        basis = d.t(
            "the average equity of the parent and the profit without minority interests",
            "归母净资产的平均数和扣除少数股东损益后的净利润",
        )
        mistakes = [profit.value / average.value, earned.value / closing.value, earned.value / assets.value]
    average = d.step(d.t("Average equity", "平均净资产"), average)
    question = d.t(
        f"What was the ROE of {who} in {year} on {basis}?", f"按{basis}计算，{who}{year}年的净资产收益率是多少？"
    )
    context = d.table(title, head(d, [year, year - 1]), rows)
    return _among(d, question, d.step("ROE", earned / average), mistakes, percent(2), context)


def _at_least(d: Draft, question: str, ratio: Term, floor: Term, context: str = "") -> Problem:
    met = ratio.value >= floor.value
    because = f"{_short_percent(ratio)} {'≥' if met else '<'} {as_percent(floor)}"
    return _clear(d.yes_no(question, met, because, context), ratio.value, floor.value)


def _at_most(d: Draft, question: str, ratio: Term, limit: Term, context: str = "") -> Problem:
    kept = ratio.value <= limit.value
    because = f"{plain(ratio.value, 4)} {'≤' if kept else '>'} {limit}"
    return _clear(d.yes_no(question, kept, because, context), ratio.value, limit.value)


def _highest(d: Draft, question: str, names: Sequence[str], shares: Sequence[Term], context: str = "") -> Problem:
    order = sorted(range(len(names)), key=lambda index: shares[index].value, reverse=True)
    best, second = shares[order[0]], shares[order[1]]
    because = d.t(f"the highest is {best}", f"最高为{best}")
    return _clear(d.choose(question, names, order[0], because, context), best.value, second.value, strict=True)


def _among(
    d: Draft, question: str, share: Term, mistakes: Sequence[Fraction], form: Form, context: str = ""
) -> Problem:
    """The right share among the wrong ones, in any order."""
    values = d.shuffled(sorted({form.stated(value) for value in (share.value, *mistakes)}))
    options = [form.gold(value / form.factor, d.lang) for value in values]
    right = values.index(form.stated(share.value))
    because = "" if str(share) == options[right] else f"{share} ≈ {options[right]}"
    problem = d.choose(question, options, right, because, context)
    return replace(problem, sound=len(values) == len(mistakes) + 1 and not near_tie(share.value, form))


def _clear(problem: Problem, one: Fraction, other: Fraction, strict: bool = False) -> Problem:
    """Unsound where the two could change places by rounding; equality is no doubt unless `strict`."""
    return replace(problem, sound=abs(one - other) > _CLEAR or (one == other and not strict))


def _short_percent(ratio: Term) -> str:
    return plain(ratio.value * 100, 2) + "%"
