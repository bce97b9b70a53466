"""Problems about investment returns and risk."""

from __future__ import annotations

from distill.finmath.arithmetic import cents, num, percentage, total
from distill.finmath.draft import Cell, Draft, Problem, as_percent
from distill.finmath.kinds import kind
from distill.finmath.mental import easy_share
from distill.finmath.ratio import COMPANY_ACCOUNTS
from distill.finmath.wording import BILLIONS, LOSS, Text, number, percent, points

_ASSETS = (
    Text("Equities", "股票"),
    Text("Bonds", "债券"),
    Text("Property", "房地产"),
    Text("Gold", "黄金"),
)


@kind("portfolio", "Holding-period return", "持有期收益率")
def holding_return(d: Draft) -> Problem:
    """Gain and dividends over the purchase price; fees and a loss at level 3."""
    who = d.company()
    name = d.t("Return", "收益率")
    if d.level == 1:
        gain, bought, via = easy_share(d, 1, 60)
        fell = d.pick(True, False, False)
        sold = num(bought.value - gain.value if fell else bought.value + gain.value)
        moved = -gain if fell else gain
        question = d.t(
            f"A share of {who} is bought at {d.money(bought)} and sold at {d.money(sold)}. What is the return?",
            f"{who}股票买入价{d.money(bought)}，卖出价{d.money(sold)}，收益率是多少？",
        )
        return d.answer(
            question,
            name,
            (sold - bought) / bought,
            percent(0).with_sign(LOSS),
            via=[moved / bought, -via if fell else via],
        )
    bought = d.amount(10, 90, 2)
    sold = cents(bought.value * d.whole(60 if d.level == 3 else 101, 150).value / 100)
    paid = cents(bought.value * d.whole(10, 60).value / 1_000)
    rows = [
        (d.t("Purchase price per share", "每股买入价"), d.price(bought)),
        (d.t("Sale price per share", "每股卖出价"), d.price(sold)),
        (d.t("Dividends received per share", "持有期每股分红"), d.price(paid)),
        (d.t("Earnings per share", "每股收益"), d.price(cents(d.noise(80, 500).value / 100))),
    ]
    title = d.t(f"Investment in {who}", f"投资{who}")
    if d.level == 2:
        gain = d.step(d.t("Gain", "收益"), sold - bought + paid)
        question = d.t(f"What is the holding-period return on {who}?", f"投资{who}的持有期收益率是多少？")
        return d.answer(question, name, gain / bought, percent(2), d.listing(title, rows))
    count, fees = d.whole(100, 5_000, 100), d.whole(20, 400)
    rows.insert(2, (d.t("Number of shares", "股数"), d.digits(count)))
    rows.append((d.t("Fees on purchase and sale, total", "买卖手续费合计"), d.money(fees)))
    cost = d.step(d.t("Cost", "买入成本"), bought * count)
    gain = d.step(d.t("Gain", "收益"), (sold - bought + paid) * count - fees)
    question = d.t(
        f"What is the holding-period return on {who} after fees? Fees reduce the gain and are not part of the cost.",
        f"投资{who}扣除手续费后的持有期收益率是多少？手续费冲减收益，不计入买入成本。",
    )
    return d.answer(question, name, gain / cost, percent(2).with_sign(LOSS), d.listing(title, rows))


@kind("portfolio", "Portfolio return", "投资组合收益率")
def portfolio_return(d: Draft) -> Problem:
    """Returns weighted by value; at level 3 against a benchmark."""
    who = d.company()
    name = d.t("Portfolio return", "组合收益率")
    if d.level == 1:
        shares = d.whole(10, 90, 10)
        weight, rest = percentage(shares.value), percentage(100 - shares.value)
        first, second = (percentage(d.pick(10, 20, 30, 40)) for _ in range(2))
        question = d.t(
            f"The portfolio of {who} is {weight} shares and {rest} bonds. Shares return {first}, bonds {second}. "
            "What is the portfolio return?",
            f"{who}组合中股票占{weight}、收益率{first}，债券占{rest}、收益率{second}，组合收益率是多少？",
        )
        parts = [percentage(part.value * 100) for part in (weight * first, rest * second)]
        return d.answer(question, name, weight * first + rest * second, percent(0), via=[parts[0] + parts[1]])
    year, count = d.year(), d.level + 1
    returns = [d.rate(-800 if d.level == 3 else 50, 1_800) for _ in range(count)]
    # At level 3 one asset is stated in the larger unit.
    large = d.pick(*range(count)) if d.level == 3 else -1
    factor = BILLIONS.over(COMPANY_ACCOUNTS, d.lang)
    stated = [d.whole(100, 5_000, 50) for _ in range(count)]
    if d.level == 3:
        stated[large] = num(d.whole(1_000, 9_000, 1_000).value / factor)
    rows: list[list[Cell]] = [
        [
            d.says(_ASSETS[index]),
            d.unit_of_money(BILLIONS if index == large else COMPANY_ACCOUNTS),
            d.cell(stated[index]),
            as_percent(returns[index], 2),
            as_percent(num(d.noise(300, 2_500).value / 10_000), 2),
        ]
        for index in range(count)
    ]
    head = [
        d.t("Asset", "资产"),
        d.t("Unit", "单位"),
        d.t("Value", "市值"),
        d.t("Return", "收益率"),
        d.t("Volatility", "波动率"),
    ]
    context = d.table(d.t(f"Portfolio of {who}, 1 January {year}", f"{who}{year}年初投资组合"), head, rows)
    if d.level == 3:
        stated[large] = d.step(d.says(_ASSETS[large]), stated[large] * factor)
    whole = d.step(d.t("Total value", "总市值"), total(stated))
    gain = d.step(d.t("Gain", "收益"), total([value * share for value, share in zip(stated, returns, strict=True)]))
    if d.level == 2:
        question = d.t(f"What was the portfolio return of {who} in {year}?", f"{who}{year}年投资组合收益率是多少？")
        return d.answer(question, name, gain / whole, percent(2), context)
    benchmark = d.rate(100, 1_200)
    earned = d.step(name, gain / whole)
    question = d.t(
        f"The benchmark returned {as_percent(benchmark, 2)} in {year}. By how much did the portfolio of {who} beat it?",
        f"{year}年业绩比较基准收益率为{as_percent(benchmark, 2)}，{who}投资组合的超额收益是多少？",
    )
    form = points(2).with_sign(Text("a shortfall is negative", "低于基准为负"))
    return d.answer(question, d.t("Excess return", "超额收益"), earned - benchmark, form, context)


@kind("portfolio", "Sharpe ratio", "夏普比率")
def sharpe_ratio(d: Draft) -> Problem:
    """Return above the risk-free rate over volatility; at level 3 from yearly returns."""
    who = d.company()
    name = d.t("Sharpe ratio", "夏普比率")
    if d.level == 1:
        free, risk, sharpe = d.whole(1, 5), d.whole(2, 10), d.whole(1, 3)
        excess = num(risk.value * sharpe.value)
        earned = num(free.value + excess.value)
        question = d.t(
            f"{who} Fund returns {earned}% with volatility of {risk}%. The risk-free rate is {free}%. "
            "What is its Sharpe ratio?",
            f"{who}基金收益率{earned}%，波动率{risk}%，无风险利率{free}%，夏普比率是多少？",
        )
        return d.answer(question, name, (earned - free) / risk, number(0), via=[excess / risk])
    funds = [name + d.t(" Fund", "基金") for name in d.companies(2 * d.level - 2)]
    last, free = d.year(), d.rate(100, 350)
    returns = [[d.rate(-600 if d.level == 3 else 200, 1_800) for _ in range(d.level)] for _ in funds]
    risks = [d.rate(500, 2_500) for _ in funds]
    chosen = d.pick(*range(len(funds)))
    rows: list[list[Cell]] = [
        [fund, *(as_percent(value, 2) for value in line), as_percent(risk, 2)]
        for fund, line, risk in zip(funds, returns, risks, strict=True)
    ]
    years = range(last + 1 - d.level, last + 1)
    head = [
        d.t("Fund", "基金"),
        *(d.t(f"Return {year}", f"{year}年收益率") for year in years),
        d.t("Volatility a year", "年化波动率"),
    ]
    title = d.t(f"Funds; risk-free rate {as_percent(free, 2)}", f"基金业绩（无风险利率{as_percent(free, 2)}）")
    mean = d.step(d.t("Mean return", "平均收益率"), total(returns[chosen]) / d.level)
    question = d.t(
        f"What is the Sharpe ratio of {funds[chosen]} for {years[0]} to {last}, on the arithmetic mean of its yearly "
        "returns?",
        f"按各年收益率的算术平均数计算，{funds[chosen]}{years[0]}年至{last}年的夏普比率是多少？",
    )
    form = number(2).with_sign(Text("a return below the risk-free rate counts as negative", "收益低于无风险利率时为负"))
    return d.answer(question, name, (mean - free) / risks[chosen], form, d.table(title, head, rows))
