"""Problems about financial statements: margins, liquidity, leverage, turnover, cash."""

from __future__ import annotations

from distill.finmath.arithmetic import num
from distill.finmath.draft import Cell, Draft, Problem
from distill.finmath.kinds import kind
from distill.finmath.mental import easy_times
from distill.finmath.ratio import COMPANY_ACCOUNTS, Line, Ratio, head, ratio
from distill.finmath.wording import (
    BILLIONS,
    EMPTY,
    LOSS,
    MILLIONS,
    OUTFLOW,
    SHORT,
    Text,
    money,
    multiple,
    number,
    turns,
)

REVENUE = Text("revenue", "营业收入")
NET_PROFIT = Text("net profit", "净利润")
TOTAL_ASSETS = Text("total assets", "资产总额")
COST_OF_SALES = Text("cost of sales", "营业成本")
CAPEX = Text("capital expenditure", "资本开支")


@kind("reporting", "Net margin", "净利率")
def net_margin(d: Draft) -> Problem:
    """Net profit over revenue; at level 3 the profit may be a loss."""
    spec = Ratio(
        Text("net margin", "净利率"),
        top=Line(
            NET_PROFIT,
            less=(
                (COST_OF_SALES, 65),
                (Text("operating expenses", "期间费用"), 25),
                (Text("income tax", "所得税费用"), 4),
            ),
        ),
        bottom=Line(REVENUE),
        easy=(1, 40),
        usual=(300, 2_500) if d.level == 2 else (-1_500, 2_500),
        decoys=((Text("dividends paid", "派发股利"), 2), (CAPEX, 6), (Text("inventories", "存货"), 12)),
    )
    return ratio(d, d.company(), spec)


@kind("reporting", "Gross margin", "毛利率")
def gross_margin(d: Draft) -> Problem:
    """Gross profit over revenue; operating expenses are a decoy."""
    spec = Ratio(
        Text("gross margin", "毛利率"),
        top=Line(
            Text("gross profit", "毛利"),
            less=(
                (Text("direct materials", "直接材料"), 60),
                (Text("direct labour", "直接人工"), 25),
                (Text("factory overhead", "制造费用"), 15),
            ),
        ),
        bottom=Line(REVENUE),
        easy=(10, 70),
        usual=(1_500, 6_500),
        decoys=(
            (Text("selling expenses", "销售费用"), 6),
            (Text("administrative expenses", "管理费用"), 5),
            (Text("interest expense", "利息费用"), 2),
        ),
        definition=Text(
            "Cost of sales is materials, labour and factory overhead.", "营业成本为直接材料、直接人工与制造费用之和。"
        )
        if d.level > 1
        else EMPTY,
    )
    return ratio(d, d.company(), spec)


@kind("reporting", "Current ratio", "流动比率")
def current_ratio(d: Draft) -> Problem:
    """Current assets over current liabilities."""
    assets = (
        (Text("cash", "货币资金"), 3),
        (Text("trade receivables", "应收账款"), 4),
        (Text("inventories", "存货"), 3),
    )
    debts = ((Text("trade payables", "应付账款"), 5), (Text("short-term loans", "短期借款"), 4))
    spec = Ratio(
        Text("current ratio", "流动比率"),
        top=Line(Text("current assets", "流动资产"), parts=assets),
        bottom=Line(Text("current liabilities", "流动负债"), parts=debts),
        easy=(1, 6),
        usual=(6_000, 32_000),
        decoys=(
            (Text("long-term loans", "长期借款"), 50),
            (Text("goodwill", "商誉"), 20),
            (Text("property, plant and equipment", "固定资产"), 90),
        ),
        form=multiple,
        stock=True,
    )
    return ratio(d, d.company(), spec)


@kind("reporting", "Debt-to-assets ratio", "资产负债率")
def debt_ratio(d: Draft) -> Problem:
    """Total liabilities over total assets."""
    parts = ((Text("current liabilities", "流动负债"), 6), (Text("non-current liabilities", "非流动负债"), 4))
    spec = Ratio(
        Text("debt-to-assets ratio", "资产负债率"),
        top=Line(Text("total liabilities", "负债总额"), parts=parts),
        bottom=Line(TOTAL_ASSETS),
        easy=(10, 90),
        usual=(2_000, 8_800),
        decoys=(
            (Text("current assets", "流动资产"), 40),
            (Text("retained earnings", "未分配利润"), 12),
            (REVENUE, 60),
        ),
        stock=True,
        definition=Text("It is total liabilities divided by total assets.", ""),
    )
    return ratio(d, d.company(), spec)


@kind("reporting", "Inventory turnover", "存货周转率")
def inventory_turnover(d: Draft) -> Problem:
    """Cost of sales over average inventory; revenue is the decoy that is often taken by mistake."""
    spec = Ratio(
        Text("inventory turnover", "存货周转率"),
        top=Line(COST_OF_SALES),
        bottom=Line(Text("inventory", "存货") if d.level > 1 else Text("average inventory", "平均存货"), average=True),
        easy=(2, 12),
        usual=(20_000, 120_000),
        decoys=((REVENUE, 1_300), (Text("trade payables", "应付账款"), 60), (NET_PROFIT, 50)),
        size=(500, 9_000),
        form=turns,
        large_top=True,
        definition=Text(
            "Use cost of sales and the average of opening and closing inventory.",
            "按营业成本和年初、年末存货的平均数计算。",
        )
        if d.level > 1
        else EMPTY,
    )
    return ratio(d, d.company(), spec)


@kind("reporting", "Receivable days", "应收账款周转天数")
def receivable_days(d: Draft) -> Problem:
    """Average receivables over revenue, times the days of the year; at level 1 over daily revenue."""
    who, name = d.company(), d.t("Receivable days", "应收账款周转天数")
    form = number(0 if d.level == 1 else 1, Text("days", "天"))
    if d.level == 1:
        tens, sold = d.whole(2, 12), d.whole(2, 12)
        owed, via = num(tens.value * sold.value * 10), num(tens.value * sold.value) / sold * 10
        question = d.t(
            f"{who} has receivables of {d.money(owed, SHORT)} and sells {d.money(sold, SHORT)} a day. "
            "What are its receivable days?",
            f"{who}应收账款{d.money(owed, SHORT)}，平均每天营业收入{d.money(sold, SHORT)}，应收账款周转天数是多少？",
        )
        return d.answer(question, name, owed / sold, form, via=[via])
    year, factor = d.year(), BILLIONS.over(COMPANY_ACCOUNTS, d.lang) if d.level == 3 else 1
    sales = d.whole(4_000, 60_000, 100)
    owed = num(sales.value * d.whole(8, 35).value / 100)
    before = num(owed.value * d.whole(75, 120).value // 100)
    stated, earlier = num(sales.value / factor), num(sales.value * d.noise(7, 9).value / 10 / factor)
    unit, size = d.unit_of_money(COMPANY_ACCOUNTS), int(owed.value)
    sales_unit = unit if factor == 1 else d.unit_of_money(BILLIONS)
    rows: list[list[Cell]] = [
        [d.t("Revenue", "营业收入"), sales_unit, stated, earlier],
        [d.t("Trade receivables, year end", "应收账款（年末）"), unit, owed, before],
        [d.t("Inventories, year end", "存货（年末）"), unit, *(d.noise(size // 2, size) for _ in range(2))],
        [d.t("Trade payables, year end", "应付账款（年末）"), unit, *(d.noise(size // 2, size) for _ in range(2))],
    ]
    columns = head(d, [year, year - 1], d.t("Unit", "单位"))
    context = d.table(d.t(f"{who}, selected figures", f"{who}主要数据"), columns, rows[: d.level + 1])
    average = d.step(d.t("Average receivables", "平均应收账款"), (before + owed) / 2)
    if factor != 1:
        stated = d.step(d.t("Revenue", "营业收入"), stated * factor)
    question = d.t(
        f"What were the receivable days of {who} in {year}? Use average receivables and a 365-day year.",
        f"{who}{year}年的应收账款周转天数是多少？按年初、年末应收账款的平均数和全年365天计算。",
    )
    return d.answer(question, name, average / stated * 365, form, context)


@kind("reporting", "Interest cover", "利息保障倍数")
def interest_cover(d: Draft) -> Problem:
    """Earnings before interest and tax over interest expense; at level 3 the year before is asked."""
    who, name = d.company(), d.t("Interest cover", "利息保障倍数")
    if d.level == 1:
        ebit, interest, via = easy_times(d, 2, 12)
        question = d.t(
            f"{who} reports EBIT of {d.money(ebit, SHORT)} and interest expense of {d.money(interest, SHORT)}. "
            "What is its interest cover?",
            f"{who}息税前利润{d.money(ebit, SHORT)}，利息费用{d.money(interest, SHORT)}，利息保障倍数是多少？",
        )
        return d.answer(question, name, ebit / interest, multiple(0), via=[via])
    years = [year := d.year(), year - 1][: d.level - 1]
    lowest = 300 if d.level == 2 else -2_000
    # Profits are drawn year by year, so that a loss may stand beside a profit.
    profits = [d.whole(lowest, 6_000) for _ in years]
    taxes, interests = d.series(60, 900, len(years)), d.series(120, 900, len(years))
    rows: list[list[Cell]] = [
        [d.t("Net profit (loss)", "净利润（亏损为负）"), *profits],
        [d.t("Income tax expense", "所得税费用"), *taxes],
        [d.t("Interest expense", "利息费用"), *interests],
        [d.t("Depreciation", "折旧"), *(d.noise(200, 2_000) for _ in years)],
        [d.t("Interest income", "利息收入"), *(d.noise(5, 90) for _ in years)],
    ]
    unit = d.unit_of_money(COMPANY_ACCOUNTS)
    title = d.t(f"{who}, income statement extract ({unit})", f"{who}利润表摘要（单位：{unit}）")
    context = d.table(title, head(d, years), rows[: d.level + 2])
    ebit = d.step(d.t("EBIT", "息税前利润"), profits[-1] + taxes[-1] + interests[-1])
    question = d.t(
        f"What was the interest cover of {who} in {years[-1]}? "
        "EBIT is net profit plus income tax and interest expense.",
        f"{who}{years[-1]}年的利息保障倍数是多少？息税前利润为净利润、所得税费用与利息费用之和。",
    )
    form = multiple(2) if d.level == 2 else multiple(2).with_sign(LOSS)
    return d.answer(question, name, ebit / interests[-1], form, context)


@kind("reporting", "Free cash flow", "自由现金流")
def free_cash_flow(d: Draft) -> Problem:
    """Cash from operations less capital expenditure."""
    who, name = d.company(), d.t("Free cash flow", "自由现金流")
    if d.level == 1:
        cash, spent = d.whole(20, 60), d.whole(1, 19)
        question = d.t(
            f"{who} has operating cash flow of {d.money(cash, SHORT)} and capital expenditure of "
            f"{d.money(spent, SHORT)}. What is its free cash flow?",
            f"{who}经营活动现金流净额{d.money(cash, SHORT)}，资本开支{d.money(spent, SHORT)}，自由现金流是多少？",
        )
        return d.answer(question, name, cash - spent, money(0, SHORT))
    years = [year := d.year(), year - 1][: d.level - 1]
    lowest = 400 if d.level == 2 else -800
    profits = [d.whole(lowest, 4_000) for _ in years]
    charges, working, spending = (
        d.series(low, high, len(years)) for low, high in ((150, 1_500), (40, 900), (100, 3_000))
    )
    rows: list[list[Cell]] = [
        [d.t("Net profit (loss)", "净利润（亏损为负）"), *profits],
        [d.t("Depreciation and amortisation", "折旧与摊销"), *charges],
        [d.t("Increase in working capital", "营运资本增加额"), *working],
        [d.t("Capital expenditure", "资本开支"), *spending],
        [d.t("Dividends paid", "派发股利"), *(d.noise(50, 600) for _ in years)],
        [d.t("Proceeds from new loans", "取得借款收到的现金"), *(d.noise(100, 2_000) for _ in years)],
    ]
    unit = d.unit_of_money(MILLIONS)
    title = d.t(f"{who}, cash flow data ({unit})", f"{who}现金流量数据（单位：{unit}）")
    context = d.table(title, head(d, years), rows[: d.level + 3])
    operating = d.step(d.t("Operating cash flow", "经营现金流"), profits[0] + charges[0] - working[0])
    flow = operating - spending[0]
    basis = d.t(
        "Start from net profit, add back depreciation and amortisation, and deduct the increase in working capital "
        "and capital expenditure.",
        "以净利润加折旧与摊销，减营运资本增加额和资本开支计算。",
    )
    question = d.t(
        f"What was the free cash flow of {who} in {year}? {basis}", f"{who}{year}年的自由现金流是多少？{basis}"
    )
    if d.level == 2:
        return d.answer(question, name, flow, money(0, MILLIONS).with_sign(OUTFLOW), context)
    flow = flow / BILLIONS.over(MILLIONS, d.lang)
    return d.answer(question, name, flow, money(2, BILLIONS).with_sign(OUTFLOW), context)
