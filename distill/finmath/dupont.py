"""Problems about return on equity and what it is made of."""

from __future__ import annotations

from typing import NamedTuple

from distill.finmath.arithmetic import Term, num, percentage
from distill.finmath.draft import Cell, Draft, Problem
from distill.finmath.kinds import kind
from distill.finmath.ratio import COMPANY_ACCOUNTS, Line, Ratio, head, ratio
from distill.finmath.reporting import NET_PROFIT, REVENUE, TOTAL_ASSETS
from distill.finmath.wording import BILLIONS, EMPTY, Text, multiple, percent

EQUITY = Text("shareholders' equity", "股东权益")


@kind("dupont", "Return on equity", "净资产收益率")
def return_on_equity(d: Draft) -> Problem:
    """Net profit over average equity."""
    spec = Ratio(
        Text("return on equity", "净资产收益率"),
        top=Line(NET_PROFIT),
        bottom=Line(Text("average equity", "平均净资产") if d.level == 1 else Text("equity", "净资产"), average=True),
        easy=(1, 30),
        usual=(200, 2_800) if d.level == 2 else (-900, 2_800),
        decoys=((TOTAL_ASSETS, 240), (REVENUE, 150), (Text("share capital", "股本"), 20)),
        definition=Text("Use the average of opening and closing equity.", "按年初、年末净资产的平均数计算。")
        if d.level > 1
        else EMPTY,
    )
    return ratio(d, d.company(), spec)


@kind("dupont", "Equity multiplier", "权益乘数")
def equity_multiplier(d: Draft) -> Problem:
    """Total assets over equity."""
    equity = (
        (Text("share capital", "股本"), 3),
        (Text("capital reserve", "资本公积"), 4),
        (Text("retained earnings", "留存收益"), 5),
    )
    spec = Ratio(
        Text("equity multiplier", "权益乘数"),
        top=Line(TOTAL_ASSETS),
        bottom=Line(EQUITY, parts=equity),
        easy=(2, 9),
        usual=(14_000, 62_000),
        decoys=((REVENUE, 150), (Text("short-term loans", "短期借款"), 60), (NET_PROFIT, 12)),
        form=multiple,
        stock=True,
        definition=Text("It is total assets divided by shareholders' equity.", "") if d.level > 1 else EMPTY,
    )
    return ratio(d, d.company(), spec)


@kind("dupont", "DuPont analysis", "杜邦分析")
def dupont_roe(d: Draft) -> Problem:
    """ROE as margin times turnover times leverage; at level 3 with last year's leverage."""
    who = d.company()
    margin_name, turnover_name, leverage_name = (
        d.t("Net margin", "净利率"),
        d.t("Asset turnover", "总资产周转率"),
        d.t("Equity multiplier", "权益乘数"),
    )
    if d.level == 1:
        margin, turnover, leverage = percentage(d.whole(1, 12).value), d.whole(1, 2), d.whole(2, 5)
        question = d.t(
            f"{who} has a net margin of {margin}, asset turnover of {turnover} and an equity multiplier of "
            f"{leverage}. What is its ROE by the DuPont formula?",
            f"{who}净利率{margin}，总资产周转率{turnover}次，权益乘数{leverage}，按杜邦公式，净资产收益率是多少？",
        )
        via = percentage(margin.value * turnover.value * 100) * leverage
        return d.answer(question, "ROE", margin * turnover * leverage, percent(0), via=[via])
    year, large = d.year(), BILLIONS if d.level == 3 else COMPANY_ACCOUNTS
    factor = large.over(COMPANY_ACCOUNTS, d.lang)
    columns = _statements(d, d.level - 1, factor)
    small_unit, large_unit = d.unit_of_money(COMPANY_ACCOUNTS), d.unit_of_money(large)
    rows: list[list[Cell]] = [
        [d.t("Net profit", "净利润"), small_unit, *(column.profit for column in columns)],
        [d.t("Revenue", "营业收入"), small_unit, *(column.revenue for column in columns)],
        [d.t("Total assets", "资产总额"), large_unit, *(column.assets for column in columns)],
        [d.t("Shareholders' equity", "股东权益"), large_unit, *(column.equity for column in columns)],
        [d.t("Operating expenses", "期间费用"), small_unit, *(d.noise(300, 3_000) for _ in columns)],
    ]
    columns_head = head(d, [year, year - 1][: len(columns)], d.t("Unit", "单位"))
    context = d.table(d.t(f"{who}, selected figures", f"{who}主要数据"), columns_head, rows)
    now, before = columns[0], columns[-1]
    margin = d.step(margin_name, now.profit / now.revenue)
    turnover = d.step(turnover_name, now.revenue / (now.assets if factor == 1 else now.assets * factor))
    if d.level == 2:
        question = d.t(
            f"What was the ROE of {who} in {year} by the DuPont formula, on year-end assets and equity?",
            f"按杜邦公式和年末资产、权益计算，{who}{year}年的净资产收益率是多少？",
        )
    else:
        leverage_name = d.t(f"{leverage_name} {year - 1}", f"{year - 1}年{leverage_name}")
        question = d.t(
            f"What would the ROE of {who} in {year} have been by the DuPont formula, on year-end figures, had its "
            f"equity multiplier stayed at the level of {year - 1}?",
            f"假设{who}{year}年的权益乘数与{year - 1}年相同，"
            f"按杜邦公式和年末数据计算，{year}年的净资产收益率应为多少？",
        )
    leverage = d.step(leverage_name, before.assets / before.equity)
    return d.answer(question, "ROE", margin * turnover * leverage, percent(2), context)


class _Statement(NamedTuple):
    """One year of a company; assets and equity may be stated in a larger unit."""

    profit: Term
    revenue: Term
    assets: Term
    equity: Term


def _statements(d: Draft, years: int, factor: int) -> list[_Statement]:
    """The same company in several years, latest first."""
    statements = []
    for assets in d.series(3_000, 60_000, years, 100):
        revenue = num(assets.value * d.whole(40, 160).value / 100)
        profit = num(revenue.value * d.whole(20, 120).value // 1_000)
        equity = num(assets.value * d.whole(35, 70).value // 10_000 * 100)
        statements.append(_Statement(profit, revenue, num(assets.value / factor), num(equity.value / factor)))
    return statements
