"""Problems about units: 万 and 亿, million and billion, basis points, currencies."""

from __future__ import annotations

from dataclasses import replace

from distill.finmath.arithmetic import cents, num, percentage, total
from distill.finmath.draft import Cell, Draft, Problem, as_percent
from distill.finmath.kinds import kind
from distill.finmath.ratio import COMPANY_ACCOUNTS
from distill.finmath.wording import (
    BILLIONS,
    MILLIONS,
    ONES,
    THOUSANDS,
    Form,
    Scale,
    Text,
    basis_points,
    money,
    number,
)

_TO_YUAN = Text("yuan", "元")


@kind("units", "Change of scale", "金额单位换算")
def scale_change(d: Draft) -> Problem:
    """The same amount in another unit; from level 2 on a sum of amounts in different units."""
    if d.level == 1:
        large, small = d.pick(
            (BILLIONS, MILLIONS), (BILLIONS, COMPANY_ACCOUNTS), (MILLIONS, THOUSANDS), (THOUSANDS, ONES)
        )
        amount, factor = d.whole(1, 99), large.over(small, d.lang)
        down = d.pick(True, False)
        given, wanted = (large, small) if down else (small, large)
        stated = amount if down else num(amount.value * factor)
        question = d.t(
            f"How much is {d.money(stated, given)} in {_dollars(wanted)}?",
            f"{d.money(stated, given)}等于多少{d.unit_of_money(wanted)}？",
        )
        converted = stated * factor if down else stated / factor
        return d.answer(question, d.t("Amount", "金额"), converted, money(0, wanted))
    who, year = d.company(), d.year()
    small, large = COMPANY_ACCOUNTS, BILLIONS
    factor = large.over(small, d.lang)
    labels = [
        d.t("Parent company", "母公司"),
        d.t("Subsidiary A", "子公司甲"),
        d.t("Subsidiary B", "子公司乙"),
        d.t("Subsidiary C", "子公司丙"),
    ][: d.level + 1]
    scales = [large, small, *(d.pick(small, large) for _ in labels[2:])]
    amounts = [num(d.whole(10, 900).value / 100) if scale is large else d.whole(300, 60_000) for scale in scales]
    if d.level == 3:
        loss = d.pick(*range(1, len(labels)))
        amounts[loss] = num(-amounts[loss].value)
    rows: list[list[Cell]] = [
        [label, d.unit_of_money(scale), d.cell(amount), d.cell(d.noise(100, 9_000))]
        for label, scale, amount in zip(labels, scales, amounts, strict=True)
    ]
    head = [
        d.t("Entity", "主体"),
        d.t("Unit of profit", "利润单位"),
        d.t("Net profit", "净利润"),
        d.t("Employees", "员工人数"),
    ]
    context = d.table(d.t(f"{who}, profit by entity, {year}", f"{who}{year}年各主体净利润"), head, rows)
    wanted = large if d.level == 2 else small
    parts = [
        amount if scale is wanted else d.step(label, amount * factor if wanted is small else amount / factor)
        for label, scale, amount in zip(labels, scales, amounts, strict=True)
    ]
    question = d.t(
        f"What is the sum of the {year} net profits of all entities of {who}, with losses deducted and without "
        "consolidation adjustments?",
        f"不考虑合并抵销，{who}{year}年各主体净利润合计（亏损为负）是多少？",
    )
    form = money(2, large) if d.level == 2 else money(0, small)
    return d.answer(question, d.t("Sum", "合计"), total(parts), form, context)


@kind("units", "Basis points", "基点换算")
def rate_in_basis_points(d: Draft) -> Problem:
    """A difference between rates in basis points; at level 3 with moves in both directions."""
    who = d.bank()
    if d.level == 1:
        before, rise = percentage(d.whole(1, 8).value), percentage(d.whole(5, 150, 5).value / 100)
        after = percentage((before.value + rise.value) * 100)
        question = d.t(
            f"The loan rate of {who} rises from {before} to {after}. How many basis points is that?",
            f"{who}贷款利率由{before}升至{after}，上升了多少个基点？",
        )
        return d.answer(question, d.t("Rise", "升幅"), after - before, basis_points(), via=[rise])
    year, name = d.year(), d.t("Change", "变动")
    if d.level == 2:
        levels = [d.rate(250, 450, 5)]
        for _ in range(3):
            levels.append(num(levels[-1].value + d.pick(-25, -15, -10, 5, 10, 25, 50) * num(1).value / 10_000))
        months = [f"{year}-{month:02d}" for month in (1, 4, 7, 10)]
        rows: list[list[Cell]] = [
            [d.t("1-year lending rate", "1年期贷款利率"), *(as_percent(level, 2) for level in levels)],
            [
                d.t("1-year deposit rate", "1年期存款利率"),
                *(as_percent(num(d.noise(120, 200, 5).value / 10_000), 2) for _ in months),
            ],
        ]
        context = d.table(d.t(f"Interest rates of {who}", f"{who}利率一览"), [d.t("Rate", "利率"), *months], rows)
        question = d.t(
            f"By how many basis points did the 1-year lending rate of {who} change from {months[0]} to {months[3]}?",
            f"{who}的1年期贷款利率从{year}年1月到{year}年10月变动了多少个基点？",
        )
        return d.answer(question, name, levels[3] - levels[0], basis_points().with_sign(_CUT), context)
    # A loan is priced at the reference rate plus a margin; both move.
    rates = [d.rate(280, 430, 5), d.rate(280, 430, 5)]
    margins = [d.whole(20, 180, 5), d.whole(20, 180, 5)]
    rows = [
        [d.t("Reference rate", "基准利率"), *(as_percent(rate, 2) for rate in rates)],
        [d.t("Margin (bps)", "加点（基点）"), *(str(margin) for margin in margins)],
        [d.t("Commitment fee (bps)", "承诺费（基点）"), *(str(d.noise(10, 40, 5)) for _ in rates)],
        [d.t("Inflation", "通货膨胀率"), *(as_percent(num(d.noise(50, 300, 5).value / 10_000), 2) for _ in rates)],
    ]
    context = d.table(
        d.t(f"Floating-rate loan of {who}", f"{who}浮动利率贷款"), [d.t("Item", "项目"), str(year - 1), str(year)], rows
    )
    before, after = (
        d.step(d.t(f"Loan rate {of_year}", f"{of_year}年贷款利率"), rate + margin / 10_000)
        for of_year, rate, margin in zip((year - 1, year), rates, margins, strict=True)
    )
    question = d.t(
        f"The loan rate at {who} is the reference rate plus the margin. By how much did it change from {year - 1} to "
        f"{year}?",
        f"{who}的贷款利率由基准利率加点形成，从{year - 1}年到{year}年变动了多少？",
    )
    return d.answer(question, name, after - before, basis_points().with_sign(_CUT), context)


@kind("units", "Currency conversion", "外币折算")
def currency_conversion(d: Draft) -> Problem:
    """Dollars into yuan; several currencies at level 2, a gain or loss on exchange at level 3."""
    who = d.company()
    if d.level == 1:
        rate, dollars = d.whole(6, 8), num(d.whole(2, 12).value * d.pick(10, 100, 1000))
        question = d.t(
            f"{who} has {d.digits(dollars)} dollars. At {rate} yuan to the dollar, how many yuan is that?",
            f"{who}有{dollars}美元，1美元兑{rate}元人民币，折合多少元人民币？",
        )
        return d.answer(question, d.t("Amount", "金额"), dollars * rate, _yuan(0, ONES))
    rates = [num(d.whole(low, high).value / 100) for low, high in ((640, 730), (720, 810), (85, 93))]
    names = [d.t("US dollar", "美元"), d.t("euro", "欧元"), d.t("Hong Kong dollar", "港元")]
    scale = COMPANY_ACCOUNTS
    unit = scale.says(d.lang)
    amounts = [d.whole(50, 3_000) for _ in names]
    if d.level == 2:
        home = d.whole(500, 9_000)
        rows: list[list[Cell]] = [
            [name, d.cell(amount), d.digits(rate, 2)] for name, amount, rate in zip(names, amounts, rates, strict=True)
        ]
        rows.append([d.t("Chinese yuan", "人民币"), d.cell(home), "1.00"])
        head = [
            d.t("Currency", "币种"),
            d.t(f"Revenue ({unit}, own currency)", f"收入（{unit}，原币）"),
            d.t("Yuan per unit", "折算汇率（元）"),
        ]
        context = d.table(d.t(f"{who}, revenue by currency", f"{who}按币种划分的收入"), head, rows)
        parts = [d.step(name, amount * rate) for name, amount, rate in zip(names, amounts, rates, strict=True)]
        question = d.t(f"What is the total revenue of {who} in yuan?", f"{who}的收入合计折合人民币多少？")
        return d.answer(question, d.t("Total", "合计"), total([*parts, home]), _yuan(2, scale), context)
    closing = [cents(rate.value * d.whole(94, 106).value / 100) for rate in rates]
    owed = [d.whole(50, 1_500) for _ in names]
    rows = [
        [name, d.cell(amount), d.cell(debt), d.digits(rate, 2), d.digits(end, 2)]
        for name, amount, debt, rate, end in zip(names, amounts, owed, rates, closing, strict=True)
    ]
    head = [
        d.t("Currency", "币种"),
        d.t(f"Receivables ({unit}, own currency)", f"应收账款（{unit}，原币）"),
        d.t(f"Payables ({unit}, own currency)", f"应付账款（{unit}，原币）"),
        d.t("Yuan per unit when booked", "入账汇率（元）"),
        d.t("Yuan per unit at year end", "年末汇率（元）"),
    ]
    context = d.table(d.t(f"{who}, items in foreign currency", f"{who}外币项目"), head, rows)
    chosen = d.pick(0, 1, 2)
    net = d.step(d.t("Net position", "净敞口"), amounts[chosen] - owed[chosen])
    move = d.step(d.t("Change in rate", "汇率变动"), closing[chosen] - rates[chosen])
    question = d.t(
        f"What is the exchange gain or loss of {who} on its {names[chosen]} receivables and payables together?",
        f"{who}的{names[chosen]}应收、应付账款合计产生的汇兑损益是多少？",
    )
    form = _yuan(2, scale).with_sign(Text("a loss is negative", "损失为负"))
    return d.answer(question, d.t("Gain", "汇兑损益"), net * move, form, context)


# What a minus sign means for an interest rate.
_CUT = Text("a fall is negative", "下降为负")


def _yuan(decimals: int, scale: Scale) -> Form:
    """An amount in yuan, in both languages."""
    unit = Text(f"{scale.name.en} yuan".strip(), f"{scale.name.zh}元")
    return replace(number(decimals, unit), answer_type="money")


def _dollars(scale: Scale) -> str:
    """The unit as English asks for it: "million dollars"."""
    return f"{scale.name.en} dollars".strip()
