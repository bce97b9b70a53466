"""Problems about change over time: growth rates, compound growth, shifts in percentage points."""

from __future__ import annotations

from distill.finmath.arithmetic import num, percentage, total
from distill.finmath.draft import Cell, Draft, Problem
from distill.finmath.kinds import kind
from distill.finmath.mental import easy_share
from distill.finmath.ratio import COMPANY_ACCOUNTS, head
from distill.finmath.wording import BILLIONS, DECREASE, SHORT, Text, percent, points

_SEGMENTS = (
    Text("Domestic", "国内业务"),
    Text("Europe", "欧洲业务"),
    Text("Asia", "亚洲其他地区业务"),
    Text("Americas", "美洲业务"),
)


@kind("growth", "Year-on-year growth", "同比增长率")
def year_on_year(d: Draft) -> Problem:
    """This year over last, less one; declines are negative."""
    who, name, form = d.company(), d.t("Growth", "增长率"), percent(0 if d.level == 1 else 2).with_sign(DECREASE)
    if d.level == 1:
        change, before, via = easy_share(d, 1, 60)
        fell = d.pick(True, False, False)
        now = num(before.value - change.value if fell else before.value + change.value)
        moved = -change if fell else change
        question = d.t(
            f"Revenue of {who} went from {d.money(before, SHORT)} to {d.money(now, SHORT)} in a year. What is the growth?",
            f"{who}营业收入由上年的{d.money(before, SHORT)}变为本年的{d.money(now, SHORT)}，同比增长率是多少？",
        )
        return d.answer(question, name, (now - before) / before, form, via=[moved / before, -via if fell else via])
    years = [year := d.year(), year - 1, year - 2][: d.level]
    unit = d.unit_of_money(COMPANY_ACCOUNTS)
    if d.level == 2:
        lines = [d.series(1_000, 20_000, 2) for _ in range(3)]
        rows: list[list[Cell]] = [[d.says(_SEGMENTS[index]), *lines[index]] for index in range(3)]
        rows.append([d.t("Net profit", "净利润"), *d.series(200, 2_000, 2)])
        context = d.table(
            d.t(f"{who}, revenue by segment ({unit})", f"{who}分部收入（单位：{unit}）"), head(d, years), rows
        )
        now, before = (
            d.step(d.t(f"Revenue {of_year}", f"{of_year}年营业收入"), total([line[index] for line in lines]))
            for index, of_year in enumerate(years)
        )
        question = d.t(
            f"By how much did the total revenue of {who} grow in {year} over {year - 1}?",
            f"{who}{year}年营业收入同比增长率是多少？",
        )
        return d.answer(question, name, (now - before) / before, form, context)
    # Sizes that leave a profit in every year: growth from a loss has no meaning.
    revenue, costs, expenses = (d.series(*span, 3) for span in ((30_000, 60_000), (6_000, 10_000), (1_000, 3_000)))
    factor = BILLIONS.over(COMPANY_ACCOUNTS, d.lang)
    stated = [num(term.value / factor) for term in revenue]
    rows = [
        [d.t("Revenue", "营业收入"), d.unit_of_money(BILLIONS), *stated],
        [d.t("Cost of sales", "营业成本"), unit, *costs],
        [d.t("Operating expenses", "期间费用"), unit, *expenses],
        [d.t("Capital expenditure", "资本开支"), unit, *(d.noise(500, 4_000) for _ in years)],
    ]
    context = d.table(d.t(f"{who}, selected figures", f"{who}主要数据"), head(d, years, d.t("Unit", "单位")), rows)
    later = int(d.pick(0, 1))
    now, before = (
        d.step(
            d.t(f"Operating profit {years[index]}", f"{years[index]}年营业利润"),
            stated[index] * factor - costs[index] - expenses[index],
        )
        for index in (later, later + 1)
    )
    question = d.t(
        f"By how much did the operating profit of {who} (revenue less cost of sales and operating expenses) grow in "
        f"{years[later]} over {years[later + 1]}?",
        f"{who}{years[later]}年营业利润（营业收入减营业成本和期间费用）同比增长率是多少？",
    )
    return d.answer(question, name, (now - before) / before, form, context)


@kind("growth", "Compound annual growth rate", "复合年均增长率")
def compound_growth_rate(d: Draft) -> Problem:
    """The n-th root of the growth over n years, less one."""
    who, name = d.company(), "CAGR"
    if d.level == 1:
        start, rate = num(d.pick(100, 1000, 200, 300, 400, 500)), d.whole(10, 100, 10)
        end = num(start.value * (100 + rate.value) ** 2 / 10_000)
        question = d.t(
            f"Revenue of {who} grew from {d.money(start, SHORT)} to {d.money(end, SHORT)} in two years. What is the CAGR?",
            f"{who}营业收入两年内由{d.money(start, SHORT)}增至{d.money(end, SHORT)}，复合年均增长率是多少？",
        )
        ratio = d.step(d.t("Ratio", "倍数"), end / start)
        root = num(1 + rate.value / 100)
        return d.answer(question, name, ratio.root(2) - 1, percent(0), via=[root - 1])
    span = int(d.whole(3, 5).value)
    last = d.year()
    years = list(range(last - span, last + 1))
    start = d.whole(2_000, 30_000)
    # At level 3 revenue may have shrunk.
    end = num(start.value * d.whole(1_050 if d.level == 2 else 400, 2_600).value // 1_000)
    path = [start, *(num(start.value + (end.value - start.value) * index // span) for index in range(1, span)), end]
    label, other = d.t("Revenue", "营业收入"), d.t("Net profit", "净利润")
    rows: list[list[Cell]] = [[label, *path], [other, *(d.noise(200, 2_000) for _ in years)]]
    unit = d.unit_of_money(COMPANY_ACCOUNTS)
    first = years[0]
    if d.level == 3:
        # The span asked for is one year shorter than the table.
        rows[0].insert(1, num(start.value * d.noise(60, 120).value // 100))
        rows[1].insert(1, d.noise(200, 2_000))
        years.insert(0, first - 1)
        rows.append([d.t("Operating cash flow", "经营现金流净额"), *(d.noise(800, 4_000) for _ in years)])
    context = d.table(
        d.t(f"{who}, record of past years ({unit})", f"{who}历年数据（单位：{unit}）"), head(d, years), rows
    )
    ratio = d.step(d.t("Ratio", "倍数"), end / start)
    question = d.t(
        f"What was the compound annual growth rate of the revenue of {who} from {first} to {last}?",
        f"{who}营业收入从{first}年到{last}年的复合年均增长率是多少？",
    )
    form = percent(2).with_sign(DECREASE) if d.level == 3 else percent(2)
    return d.answer(question, name, ratio.root(span) - 1, form, context)


@kind("growth", "Change in percentage points", "百分点变动")
def share_shift(d: Draft) -> Problem:
    """The difference of two percentages, which is no percentage growth."""
    who, name = d.company(), d.t("Change", "变动")
    if d.level == 1:
        before, now = percentage(d.whole(5, 40).value), percentage(d.whole(5, 40).value)
        question = d.t(
            f"The gross margin of {who} moved from {before} to {now}. By how many percentage points did it change?",
            f"{who}毛利率由{before}变为{now}，变动了多少个百分点？",
        )
        return d.answer(question, name, now - before, points(0), via=[now - before])
    years = [year := d.year(), year - 1, year - 2][: d.level]
    segments = _SEGMENTS[: d.level + 1]
    lines = [d.series(1_000, 20_000, len(years)) for _ in segments]
    chosen = d.pick(*range(len(segments)))
    rows: list[list[Cell]] = [[d.says(segment), *line] for segment, line in zip(segments, lines, strict=True)]
    totals = [total([line[index] for line in lines]) for index in range(len(years))]
    segment = d.says(segments[chosen])
    unit = d.unit_of_money(COMPANY_ACCOUNTS)
    if d.level == 2:
        rows.append([d.t("Total", "合计"), *(num(term.value) for term in totals)])
    else:
        rows.append([d.t("Operating profit", "营业利润"), *(d.noise(500, 4_000) for _ in years)])
    context = d.table(
        d.t(f"{who}, revenue by segment ({unit})", f"{who}分部收入（单位：{unit}）"), head(d, years), rows
    )
    shares = []
    for index in (0, len(years) - 1):
        mark = d.t(f"{{}} {years[index]}", f"{years[index]}年{{}}")
        whole = num(totals[index].value) if d.level == 2 else d.step(mark.format(d.t("Total", "合计")), totals[index])
        shares.append(d.step(mark.format(d.t("Share", "占比")), lines[chosen][index] / whole))
    question = d.t(
        f"By how much did the {segment} share of revenue at {who} change from {years[-1]} to {year}?",
        f"{who}的{segment}收入占比从{years[-1]}年到{year}年变动了多少？",
    )
    return d.answer(question, name, shares[0] - shares[1], points(2), context)
