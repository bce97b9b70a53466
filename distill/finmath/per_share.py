"""Problems about figures per share: earnings, book value, dividends."""

from __future__ import annotations

from distill.finmath.arithmetic import cents, num
from distill.finmath.draft import Cell, Draft, Problem, as_percent
from distill.finmath.kinds import kind
from distill.finmath.mental import easy_share, easy_times
from distill.finmath.ratio import COMPANY_ACCOUNTS, head
from distill.finmath.wording import BILLIONS, SHORT, Text, basis_points, money, percent, points


@kind("per_share", "Earnings per share", "每股收益")
def earnings_per_share(d: Draft) -> Problem:
    """Profit for ordinary shareholders over the average number of shares, weighted by months at level 3."""
    who, name, form = d.company(), d.t("EPS", "每股收益"), money(2)
    if d.level == 1:
        profit, count, via = easy_times(d, 1, 9)
        question = d.t(
            f"{who} has net profit of {d.money(profit, SHORT)} and {d.shares(count, SHORT)}. "
            "What are its earnings per share?",
            f"{who}净利润{d.money(profit, SHORT)}，总股本{d.shares(count, SHORT)}，每股收益是多少？",
        )
        return d.answer(question, name, profit / count, form, via=[via])
    year, large = d.year(), d.level == 3
    dollars, shares = d.unit_of_money(COMPANY_ACCOUNTS), d.t("million shares", "万股")
    profit, preferred, opening = d.whole(4_000, 60_000, 100), d.whole(100, 900), d.whole(2_000, 20_000, 10)
    factor = BILLIONS.over(COMPANY_ACCOUNTS, d.lang) if large else 1
    stated = num(profit.value / factor)
    rows: list[list[Cell]] = [
        [d.t("Net profit", "净利润"), d.unit_of_money(BILLIONS) if large else dollars, stated],
        [d.t("Preference dividends", "优先股股利"), dollars, preferred],
        [d.t("Ordinary dividends paid", "已派普通股股利"), dollars, d.noise(1_000, 4_000)],
        [d.t("Ordinary shares, 1 January", "年初普通股股数"), shares, opening],
    ]
    if large:
        month, issued = int(d.whole(2, 11).value), d.whole(240, 3_600, 12)
        rows.append([d.t(f"Shares issued on 1 {_MONTHS[month - 1]}", f"{month}月1日增发股数"), shares, issued])
        count = opening + issued * (13 - month) / 12
        basis = d.t("Weight the new shares by months.", "新增股份按月加权平均。")
    else:
        closing = num(opening.value + d.whole(100, 2_000, 10).value)
        rows.append([d.t("Ordinary shares, 31 December", "年末普通股股数"), shares, closing])
        count = (opening + closing) / 2
        basis = d.t("Use the average of opening and closing shares.", "按年初、年末股数的平均数计算。")
    context = d.table(d.t(f"{who}, per-share data", f"{who}每股数据"), head(d, [year], d.t("Unit", "单位")), rows)
    count = d.step(d.t("Average shares", "平均股数"), count)
    earned = (stated * factor if large else stated) - preferred
    earned = d.step(d.t("Profit for ordinary shareholders", "归属于普通股股东的净利润"), earned)
    question = d.t(
        f"What were the basic earnings per share of {who} in {year}? {basis}",
        f"{who}{year}年的基本每股收益是多少？{basis}",
    )
    return d.answer(question, name, earned / count, form, context)


@kind("per_share", "Book value per share", "每股净资产")
def book_value_per_share(d: Draft) -> Problem:
    """Equity of ordinary shareholders over shares; preference capital and minorities are not theirs."""
    who, name, form = d.company(), d.t("Book value per share", "每股净资产"), money(2)
    if d.level == 1:
        equity, count, via = easy_times(d, 2, 12)
        question = d.t(
            f"{who} has shareholders' equity of {d.money(equity, SHORT)} and {d.shares(count, SHORT)}. "
            "What is its book value per share?",
            f"{who}股东权益{d.money(equity, SHORT)}，总股本{d.shares(count, SHORT)}，每股净资产是多少？",
        )
        return d.answer(question, name, equity / count, form, via=[via])
    years = [year := d.year(), year - 1][: d.level - 1]
    unit, shares = d.unit_of_money(COMPANY_ACCOUNTS), d.t("million shares", "万股")
    factor = BILLIONS.over(COMPANY_ACCOUNTS, d.lang) if d.level == 3 else 1
    assets = d.series(20_000, 90_000, len(years), 100)
    debts = [num(total.value * d.whole(30, 70).value // 10_000 * 100) for total in assets]
    minorities, counts = d.series(200, 2_500, len(years)), d.series(800, 9_000, len(years), 10)
    large_unit = d.unit_of_money(BILLIONS) if d.level == 3 else unit
    rows: list[list[Cell]] = [
        [d.t("Total assets", "资产总额"), large_unit, *(num(term.value / factor) for term in assets)],
        [d.t("Total liabilities", "负债总额"), large_unit, *(num(term.value / factor) for term in debts)],
        [d.t("Minority interests", "少数股东权益"), unit, *minorities],
        [d.t("Shares outstanding", "总股本"), shares, *counts],
        [d.t("Net profit", "净利润"), unit, *(d.noise(500, 5_000) for _ in years)],
    ]
    if d.level == 2:
        del rows[2]
    context = d.table(
        d.t(f"{who}, balance sheet data at year end", f"{who}年末资产负债数据"),
        head(d, years, d.t("Unit", "单位")),
        rows,
    )
    net, label = num(assets[-1].value / factor) - num(debts[-1].value / factor), d.t("Equity", "股东权益")
    if d.level == 3:
        net, label = net * factor - minorities[-1], d.t("Equity of the parent", "归属于母公司股东权益")
    equity = d.step(label, net)
    basis = d.t(" Minority interests belong to others.", "少数股东权益不归属于母公司股东。") if d.level == 3 else ""
    question = d.t(
        f"What was the book value per share of {who} at the end of {years[-1]}?{basis}",
        f"{who}{years[-1]}年末的每股净资产是多少？{basis}",
    )
    return d.answer(question, name, equity / counts[-1], form, context)


@kind("per_share", "Dividend payout ratio", "股利支付率")
def payout_ratio(d: Draft) -> Problem:
    """Dividends per share over earnings per share; at level 3 the change from the year before."""
    who, name = d.company(), d.t("Payout ratio", "股利支付率")
    if d.level == 1:
        paid, earned, via = easy_share(d, 10, 90)
        question = d.t(
            f"{who} earns net profit of {d.money(earned, SHORT)} and pays dividends of {d.money(paid, SHORT)}. "
            "What is its payout ratio?",
            f"{who}净利润{d.money(earned, SHORT)}，现金分红{d.money(paid, SHORT)}，股利支付率是多少？",
        )
        return d.answer(question, name, paid / earned, percent(0), via=[via])
    years = [year := d.year(), year - 1][: d.level - 1]
    unit, shares = d.unit_of_money(COMPANY_ACCOUNTS), d.t("million shares", "万股")
    profits = d.series(2_000, 20_000, len(years))
    counts = d.series(1_000, 8_000, len(years), 100)
    per_share = [
        cents(profit.value / count.value * d.whole(10, 60).value / 100)
        for profit, count in zip(profits, counts, strict=True)
    ]
    rows: list[list[Cell]] = [
        [d.t("Net profit", "净利润"), unit, *profits],
        [d.t("Shares outstanding", "总股本"), shares, *counts],
        [d.t("Dividend per share", "每股派息"), d.t("$", "元"), *(d.digits(paid, 2) for paid in per_share)],
        [d.t("Share buybacks", "回购股份支出"), unit, *(d.noise(100, 900) for _ in years)],
    ]
    context = d.table(d.t(f"{who}, dividend data", f"{who}分红数据"), head(d, years, d.t("Unit", "单位")), rows)
    ratios = []
    for index, of_year in enumerate(years):
        mark = "{}" if d.level == 2 else d.t(f"{{}} {of_year}", f"{of_year}年{{}}")
        paid = d.step(mark.format(d.t("Dividends", "现金分红总额")), per_share[index] * counts[index])
        ratios.append((mark.format(name), paid / profits[index]))
    if d.level == 2:
        question = d.t(
            f"What was the payout ratio of {who} in {year}, dividends over net profit?",
            f"{who}{year}年的股利支付率（现金分红总额与净利润之比）是多少？",
        )
        return d.answer(question, *ratios[0], percent(2), context)
    now, before = (d.step(*ratio) for ratio in ratios)
    question = d.t(
        f"By how much did the payout ratio of {who} (dividends over net profit) change from {year - 1} to {year}?",
        f"{who}的股利支付率（现金分红总额与净利润之比）从{year - 1}年到{year}年变动了多少？",
    )
    return d.answer(question, d.t("Change", "变动"), now - before, points(2), context)


@kind("per_share", "Dividend yield", "股息率")
def dividend_yield(d: Draft) -> Problem:
    """Dividends of the year over the share price; at level 3 compared with a government bond in basis points."""
    who, name = d.company(), d.t("Dividend yield", "股息率")
    if d.level == 1:
        paid, price, via = easy_share(d, 1, 12)
        question = d.t(
            f"Shares of {who} cost {d.money(price)} and pay a yearly dividend of {d.money(paid)} per share. "
            "What is the dividend yield?",
            f"{who}股价{d.money(price)}，每股年度派息{d.money(paid)}，股息率是多少？",
        )
        return d.answer(question, name, paid / price, percent(0), via=[via])
    interim, final, price = (num(d.whole(*span).value / 100) for span in ((10, 90), (30, 200), (2_500, 9_000)))
    bond = d.rate(150, 450)
    rows = [
        (d.t("Interim dividend per share", "中期每股派息"), d.price(interim)),
        (d.t("Final dividend per share", "末期每股派息"), d.price(final)),
        (d.t("Share price", "股价"), d.price(price)),
        (d.t("Earnings per share", "每股收益"), d.money(cents(d.noise(400, 900).value / 100), places=2)),
        (d.t("10-year government bond yield", "10年期国债收益率"), as_percent(bond)),
        (d.t("Policy rate", "政策利率"), as_percent(num(d.noise(100, 400).value / 10_000))),
    ]
    context = d.listing(d.t(f"{who}, market data", f"{who}市场数据"), rows[: 2 * d.level])
    paid = d.step(d.t("Dividends", "全年每股派息"), interim + final)
    if d.level == 2:
        question = d.t(f"What is the dividend yield of {who} for the full year?", f"{who}的全年股息率是多少？")
        return d.answer(question, name, paid / price, percent(2), context)
    earned = d.step(name, paid / price)
    question = d.t(
        f"By how much does the full-year dividend yield of {who} exceed the 10-year government bond yield?",
        f"{who}的全年股息率比10年期国债收益率高多少？",
    )
    form = basis_points().with_sign(Text("a shortfall is negative", "低于则为负"))
    return d.answer(question, d.t("Spread", "利差"), earned - bond, form, context)


_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
