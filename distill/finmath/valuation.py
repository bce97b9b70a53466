"""Problems about what a share or a company is worth: multiples and discounted dividends."""

from __future__ import annotations

from fractions import Fraction

from distill.finmath.arithmetic import cents, num, percentage
from distill.finmath.draft import Cell, Draft, Problem, as_percent
from distill.finmath.kinds import kind
from distill.finmath.mental import easy_times
from distill.finmath.ratio import COMPANY_ACCOUNTS, head
from distill.finmath.wording import BILLIONS, SHORT, money, multiple, number


@kind("valuation", "Price-earnings ratio", "市盈率")
def price_earnings(d: Draft) -> Problem:
    """Price over earnings per share; at level 3 market capitalisation over profit of the ordinary shareholders."""
    who, name = d.company(), d.t("P/E", "市盈率")
    if d.level == 1:
        price, earned, via = easy_times(d, 5, 20)
        question = d.t(
            f"Shares of {who} trade at {d.money(price)} and earn {d.money(earned)} per share. What is the P/E ratio?",
            f"{who}股价{d.money(price)}，每股收益{d.money(earned)}，市盈率是多少倍？",
        )
        return d.answer(question, name, price / earned, multiple(0), via=[via])
    year, unit, dollar = d.year(), d.unit_of_money(COMPANY_ACCOUNTS), d.t("$", "元")
    columns = head(d, [year, year - 1], d.t("Unit", "单位"))
    profit, earlier = d.series(2_000, 20_000, 2)
    title = d.t(f"{who}, market and earnings data", f"{who}市值与盈利数据")
    if d.level == 2:
        count, before = d.series(1_000, 8_000, 2, 100)
        price = cents(profit.value / count.value * d.whole(60, 450).value / 10)
        rows: list[list[Cell]] = [
            [
                d.t("Share price, year end", "股价（年末）"),
                dollar,
                d.digits(price, 2),
                d.digits(cents(price.value * d.noise(80, 120).value / 100), 2),
            ],
            [d.t("Net profit", "净利润"), unit, profit, earlier],
            [d.t("Shares outstanding", "总股本"), d.t("million shares", "万股"), count, before],
            [d.t("Revenue", "营业收入"), unit, d.noise(30_000, 90_000), d.noise(30_000, 90_000)],
        ]
        earned = d.step(d.t("EPS", "每股收益"), profit / count)
        question = d.t(
            f"What was the P/E ratio of {who} at the end of {year}, on net profit of {year}?",
            f"按{year}年净利润计算，{who}{year}年末的市盈率是多少？",
        )
        return d.answer(question, name, price / earned, multiple(2), d.table(title, columns, rows))
    factor = BILLIONS.over(COMPANY_ACCOUNTS, d.lang)
    preferred = d.whole(50, 400)
    value = num(Fraction(profit.value * d.whole(60, 450).value // 1_000 * 100, factor))
    rows = [
        [d.t("Market capitalisation, year end", "总市值（年末）"), d.unit_of_money(BILLIONS), value,
         num(Fraction(earlier.value * d.noise(6, 45).value // 100 * 100, factor))],
        [d.t("Net profit", "净利润"), unit, profit, earlier],
        [d.t("Preference dividends", "优先股股利"), unit, preferred, d.noise(50, 400)],
        [d.t("Depreciation", "折旧"), unit, d.noise(500, 2_000), d.noise(500, 2_000)],
    ]  # fmt: skip
    earned = d.step(d.t("Profit for ordinary shareholders", "归属于普通股股东的净利润"), profit - preferred)
    question = d.t(
        f"What was the P/E ratio of {who} at the end of {year}? Take market capitalisation over the {year} profit of "
        "ordinary shareholders, that is after preference dividends.",
        f"{who}{year}年末的市盈率是多少？以总市值除以{year}年扣除优先股股利后的净利润计算。",
    )
    return d.answer(question, name, value * factor / earned, multiple(2), d.table(title, columns, rows))


@kind("valuation", "Price-to-book ratio", "市净率")
def price_to_book(d: Draft) -> Problem:
    """Price over book value per share, or market capitalisation over equity without minorities."""
    who, name = d.company(), d.t("P/B", "市净率")
    if d.level == 1:
        price, book, via = easy_times(d, 1, 6)
        question = d.t(
            f"Shares of {who} trade at {d.money(price)} with book value of {d.money(book)} per share. "
            "What is the P/B ratio?",
            f"{who}股价{d.money(price)}，每股净资产{d.money(book)}，市净率是多少倍？",
        )
        return d.answer(question, name, price / book, multiple(0), via=[via])
    year, unit = d.year(), d.unit_of_money(COMPANY_ACCOUNTS)
    columns, title = head(d, [year], d.t("Unit", "单位")), d.t(f"{who}, year-end data", f"{who}年末数据")
    assets = d.whole(20_000, 90_000, 100)
    debts = num(assets.value * d.whole(30, 75).value // 10_000 * 100)
    if d.level == 2:
        count = d.whole(1_000, 9_000, 100)
        price = cents((assets.value - debts.value) / count.value * d.whole(50, 600).value / 100)
        rows: list[list[Cell]] = [
            [d.t("Total assets", "资产总额"), unit, assets],
            [d.t("Total liabilities", "负债总额"), unit, debts],
            [d.t("Shares outstanding", "总股本"), d.t("million shares", "万股"), count],
            [d.t("Share price", "股价"), d.t("$", "元"), d.digits(price, 2)],
            [d.t("Net profit", "净利润"), unit, d.noise(500, 5_000)],
        ]
        book = d.step(d.t("Book value per share", "每股净资产"), (assets - debts) / count)
        question = d.t(f"What was the P/B ratio of {who} at the end of {year}?", f"{who}{year}年末的市净率是多少？")
        return d.answer(question, name, price / book, multiple(2), d.table(title, columns, rows))
    factor = BILLIONS.over(COMPANY_ACCOUNTS, d.lang)
    minorities = d.whole(100, 2_000)
    value = num(Fraction((assets.value - debts.value) * d.whole(50, 600).value // 10_000 * 100, factor))
    large = d.unit_of_money(BILLIONS)
    rows = [
        [d.t("Market capitalisation", "总市值"), large, value],
        [d.t("Total assets", "资产总额"), unit, assets],
        [d.t("Goodwill", "商誉"), unit, d.noise(100, 2_000)],
        [d.t("Total liabilities", "负债总额"), unit, debts],
        [d.t("Minority interests", "少数股东权益"), unit, minorities],
        [d.t("Revenue", "营业收入"), unit, d.noise(10_000, 60_000)],
    ]
    book = d.step(d.t("Equity of the parent", "归属于母公司股东权益"), assets - debts - minorities)
    question = d.t(
        f"What was the P/B ratio of {who} at the end of {year}, on the equity of the parent's shareholders "
        "(without minority interests)?",
        f"按归属于母公司股东的权益（不含少数股东权益）计算，{who}{year}年末的市净率是多少？",
    )
    return d.answer(question, name, value * factor / book, multiple(2), d.table(title, columns, rows))


@kind("valuation", "PEG ratio", "市盈增长比率")
def peg_ratio(d: Draft) -> Problem:
    """P/E over earnings growth in percent."""
    who = d.company()
    if d.level == 1:
        growth, peg = d.whole(4, 25), d.whole(1, 4)
        price = num(growth.value * peg.value)
        question = d.t(
            f"{who} has a P/E ratio of {price} and expected earnings growth of {growth}% a year. "
            "What is its PEG ratio?",
            f"{who}市盈率{price}倍，预期盈利年增长率{growth}%，PEG是多少？",
        )
        return d.answer(question, "PEG", price / growth, number(0))
    year, dollar = d.year(), d.t("$", "元")
    earned = [d.amount(1, 5, 2)]
    while len(earned) < d.level:
        earned.insert(0, cents(earned[0].value * (100 + d.whole(8, 45).value) / 100))
    # Latest first; level 3 adds a forecast for the next year and asks for growth up to it.
    now, blank = earned[d.level - 2], ["-"] * (d.level - 2)
    price = cents(now.value * d.whole(80, 600).value / 10)
    ahead = [d.t(f"{year + 1} (forecast)", f"{year + 1}年（预测）")] * (d.level - 2)
    rows: list[list[Cell]] = [
        [d.t("Earnings per share", "每股收益"), dollar, *(d.digits(amount, 2) for amount in earned)],
        [
            d.t("Share price, year end", "股价（年末）"),
            dollar,
            *blank,
            price,
            cents(price.value * d.noise(70, 130).value / 100),
        ],
        [
            d.t("Dividend per share", "每股派息"),
            dollar,
            *blank,
            *(cents(d.noise(20, 90).value / 100) for _ in range(2)),
        ],
    ]
    columns = head(d, [year, year - 1], d.t("Unit", "单位"), *ahead)
    context = d.table(d.t(f"{who}, share data", f"{who}每股数据"), columns, rows)
    multiplier = d.step(d.t("P/E", "市盈率"), price / now)
    growth = d.step(d.t("Growth in %", "增长率（%）"), (earned[0] - earned[1]) / earned[1] * 100)
    last = year + d.level - 2
    question = d.t(
        f"What was the PEG ratio of {who} at the end of {year}? Take the P/E on {year} earnings over the growth of "
        f"earnings per share from {last - 1} to {last} in percent.",
        f"{who}{year}年末的PEG是多少？以按{year}年每股收益计算的市盈率，"
        f"除以{last - 1}年至{last}年的每股收益增长率（%）计算。",
    )
    return d.answer(question, "PEG", multiplier / growth, number(2), context)


@kind("valuation", "EV/EBITDA", "企业价值倍数")
def ev_to_ebitda(d: Draft) -> Problem:
    """Enterprise value over EBITDA; cash is taken off, debt and minorities are added."""
    who = d.company()
    name = "EV/EBITDA"
    if d.level == 1:
        value, ebitda, via = easy_times(d, 3, 12)
        question = d.t(
            f"{who} has an enterprise value of {d.money(value, SHORT)} and EBITDA of {d.money(ebitda, SHORT)}. "
            "What is its EV/EBITDA?",
            f"{who}企业价值{d.money(value, SHORT)}，EBITDA为{d.money(ebitda, SHORT)}，EV/EBITDA是多少倍？",
        )
        return d.answer(question, name, value / ebitda, multiple(0), via=[via])
    year, unit = d.year(), d.unit_of_money(COMPANY_ACCOUNTS)
    factor = BILLIONS.over(COMPANY_ACCOUNTS, d.lang) if d.level == 3 else 1
    worth, ebit = num(d.whole(200, 900).value * 100 / factor), d.whole(1_500, 6_000)
    debt, cash, charges, minorities = (
        d.whole(3_000, 30_000),
        d.whole(500, 9_000),
        d.whole(400, 2_500),
        d.whole(100, 2_000),
    )
    rows: list[list[Cell]] = [
        [d.t("Market capitalisation", "总市值"), unit if d.level == 2 else d.unit_of_money(BILLIONS), worth],
        [d.t("Interest-bearing debt", "有息负债"), unit, debt],
        [d.t("Cash and equivalents", "货币资金"), unit, cash],
        [d.t("EBIT", "息税前利润"), unit, ebit],
        [d.t("Depreciation and amortisation", "折旧与摊销"), unit, charges],
        [d.t("Net profit", "净利润"), unit, d.noise(700, 1_400)],
    ]
    value = (worth if factor == 1 else worth * factor) + debt - cash
    basis = d.t(
        "Enterprise value is market capitalisation plus debt less cash.", "企业价值为总市值加有息负债减货币资金。"
    )
    if d.level == 3:
        rows.insert(3, [d.t("Minority interests", "少数股东权益"), unit, minorities])
        rows.append([d.t("Trade payables", "应付账款"), unit, d.noise(500, 4_000)])
        value = value + minorities
        basis = d.t(
            "Enterprise value is market capitalisation plus debt and minority interests less cash.",
            "企业价值为总市值加有息负债、少数股东权益，减货币资金。",
        )
    context = d.table(d.t(f"{who}, valuation data", f"{who}估值数据"), head(d, [year], d.t("Unit", "单位")), rows)
    total = d.step(d.t("EV", "企业价值"), value)
    ebitda = d.step("EBITDA", ebit + charges)
    question = d.t(f"What was the EV/EBITDA of {who} in {year}? {basis}", f"{who}{year}年的EV/EBITDA是多少？{basis}")
    return d.answer(question, name, total / ebitda, multiple(2), context)


@kind("valuation", "Dividend discount model", "股利折现模型")
def dividend_discount(d: Draft) -> Problem:
    """Gordon's growing perpetuity: next dividend over required return less growth."""
    who, name = d.company(), d.t("Value", "每股价值")
    if d.level == 1:
        paid, growth, gap = d.whole(1, 9), d.whole(1, 6), d.pick(2, 4, 5, 10)
        required = num(growth.value + gap)
        question = d.t(
            f"{who} will pay a dividend of {d.money(paid)} next year, growing {growth}% a year. "
            f"At a required return of {required}%, what is a share worth?",
            f"{who}预计明年每股派息{d.money(paid)}，此后每年增长{growth}%，要求回报率{required}%，每股价值是多少？",
        )
        required, growth = percentage(required.value), percentage(growth.value)
        spread = d.step(d.t("Return less growth", "回报率减增长率"), required - growth, result=percentage(gap))
        return d.answer(question, name, paid / spread, money(2), via=[num(paid.value * 100) / gap])
    if d.level == 2:
        paid, growth = d.amount(1, 5, 2), d.rate(100, 500, 25)
        required = num(growth.value + d.rate(300, 700, 25).value)
        rows = [
            (d.t("Dividend just paid, per share", "最近一期每股派息"), d.price(paid)),
            (d.t("Dividend growth, for ever", "股利永续增长率"), as_percent(growth)),
            (d.t("Required return", "要求回报率"), as_percent(required)),
            (d.t("Risk-free rate", "无风险利率"), as_percent(num(d.noise(100, 300, 5).value / 10_000))),
        ]
    else:
        earned, payout = d.amount(2, 9, 2), d.rate(3_000, 7_000, 500)
        equity_return = d.rate(600, 1_200, 50)
        required = num((1 - payout.value) * equity_return.value + d.rate(300, 700, 25).value)
        rows = [
            (d.t("Earnings per share, this year", "本年每股收益"), d.price(earned)),
            (d.t("Payout ratio", "股利支付率"), as_percent(payout)),
            (d.t("Return on equity", "净资产收益率"), as_percent(equity_return)),
            (d.t("Required return", "要求回报率"), as_percent(required)),
            (d.t("Share price", "股价"), d.price(cents(d.noise(2_000, 9_000).value / 100))),
            (d.t("Book value per share", "每股净资产"), d.price(cents(d.noise(1_500, 6_000).value / 100))),
        ]
        paid = d.step(d.t("Dividend this year", "本年每股派息"), earned * payout)
        growth = d.step(d.t("Growth", "增长率"), (1 - payout) * equity_return)
    context = d.listing(d.t(f"{who}, valuation inputs", f"{who}估值参数"), rows)
    following = d.step(d.t("Next dividend", "下一年每股派息"), paid * (1 + growth))
    question = d.t(
        f"What is a share of {who} worth by the constant-growth dividend model?",
        f"按股利固定增长模型，{who}的每股价值是多少？",
    )
    if d.level == 3:
        question += d.t(
            " The dividend has just been paid; growth is the retention ratio times the return on equity.",
            "本年股利已派发，增长率为留存比率与净资产收益率之积。",
        )
    return d.answer(question, name, following / (required - growth), money(2), context)
