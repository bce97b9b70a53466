"""Problems about loans and deposits: simple and compound interest, repayment."""

from __future__ import annotations

from distill.finmath.arithmetic import num, total
from distill.finmath.draft import Cell, Draft, Problem, as_percent
from distill.finmath.kinds import kind
from distill.finmath.wording import ONES, THOUSANDS, money


@kind("loans", "Simple interest", "单利")
def simple_interest(d: Draft) -> Problem:
    """Principal times rate times time: years, months, or days of several drawings."""
    who = d.company()
    name = d.t("Interest", "利息")
    if d.level == 1:
        principal, rate, years = d.whole(100, 1_000, 100), d.whole(2, 9), d.whole(2, 5)
        yearly = num(principal.value * rate.value / 100)
        question = d.t(
            f"{who} borrows {d.money(principal)} at {rate}% simple interest for {years} years. "
            "How much interest is due?",
            f"{who}借款{d.money(principal)}，单利年利率{rate}%，期限{years}年，利息共多少？",
        )
        return d.answer(question, name, principal * rate / 100 * years, money(0), via=[yearly * years])
    rate = d.rate(250, 750, 5)
    if d.level == 2:
        principal, months = d.whole(50, 3_000, 10), d.whole(2, 23)
        rows = [
            (d.t("Principal", "本金"), d.money(principal, THOUSANDS)),
            (d.t("Annual rate, simple interest", "年利率（单利）"), as_percent(rate, 2)),
            (d.t("Term, months", "期限（月）"), str(months)),
            (d.t("Collateral value", "抵押物价值"), d.money(d.noise(4_000, 9_000, 100), THOUSANDS)),
        ]
        context = d.listing(d.t(f"Loan to {who}", f"{who}借款"), rows)
        yearly = d.step(d.t("Interest a year", "年利息"), principal * rate)
        question = d.t(f"How much interest does {who} owe at maturity?", f"{who}到期应付利息是多少？")
        return d.answer(question, name, yearly * months / 12, money(2, THOUSANDS), context)
    amounts, days = [d.whole(50, 900, 10) for _ in range(3)], [d.whole(20, 340) for _ in range(3)]
    penalty = d.rate(150, 300, 50)
    late = d.pick(0, 1, 2)
    thousand = d.unit_of_money(THOUSANDS)
    head = [d.t("Drawing", "提款"), d.t(f"Amount ({thousand})", f"金额（{thousand}）"), d.t("Days outstanding", "占用天数"),
            d.t("Overdue", "是否逾期")]  # fmt: skip
    table: list[list[Cell]] = [
        [str(index + 1), amounts[index], str(days[index]), d.t("yes", "是") if index == late else d.t("no", "否")]
        for index in range(3)
    ]
    title = d.t(
        f"Credit line of {who}: {as_percent(rate, 2)} a year, plus {as_percent(penalty, 2)} on overdue drawings",
        f"{who}授信额度：年利率{as_percent(rate, 2)}，逾期提款另加{as_percent(penalty, 2)}",
    )
    higher = d.step(d.t("Overdue rate", "逾期利率"), rate + penalty)
    parts = [
        d.step(
            d.t(f"Interest {index + 1}", f"第{index + 1}笔利息"),
            amounts[index] * (higher if index == late else rate) * days[index] / 360,
        )
        for index in range(3)
    ]
    question = d.t(
        f"What is the total interest of {who} on all drawings? Count actual days on a 360-day year; the overdue rate "
        "applies to the whole time of the drawing.",
        f"{who}全部提款的利息合计是多少？按实际天数/360计息，逾期利率适用于该笔提款的全部天数。",
    )
    return d.answer(question, d.t("Total", "合计"), total(parts), money(2, THOUSANDS), d.table(title, head, table))


@kind("loans", "Compound interest", "复利终值")
def compound_interest(d: Draft) -> Problem:
    """What a deposit grows to; at level 3 the interest alone, compounded quarterly."""
    who = d.company()
    if d.level == 1:
        principal, rate = num(d.pick(100, 1000, 10_000, 200, 300)), d.whole(10, 100, 10)
        question = d.t(
            f"{who} deposits {d.money(principal)} at {rate}% a year, compounded yearly. "
            "What is it worth after two years?",
            f"{who}存入{d.money(principal)}，年利率{rate}%，按年复利，两年后的本利和是多少？",
        )
        growth = d.step(d.t("Factor", "终值系数"), num(1 + rate.value / 100) ** 2)
        return d.answer(question, d.t("Value", "本利和"), principal * growth, money(0))
    principal, rate, years = d.whole(20, 900, 10), d.rate(100, 650, 10), int(d.whole(2, 6).value)
    rows = [
        (d.t("Principal", "本金"), d.money(principal, THOUSANDS)),
        (d.t("Annual rate", "年利率"), as_percent(rate, 2)),
        (d.t("Term, years", "期限（年）"), str(years)),
        (d.t("Compounding", "计息方式"), d.t("yearly", "按年复利") if d.level == 2 else d.t("quarterly", "按季复利")),
        (d.t("Inflation", "通货膨胀率"), as_percent(num(d.noise(50, 400, 10).value / 10_000), 2)),
    ]
    if d.level == 2:
        context = d.listing(d.t(f"Time deposit of {who}", f"{who}定期存款"), rows)
        growth = d.step(d.t("Growth factor", "复利终值系数"), num(1 + rate.value) ** years)
        question = d.t(f"What is the deposit of {who} worth at maturity?", f"{who}的存款到期本利和是多少？")
        return d.answer(question, d.t("Value", "本利和"), principal * growth, money(2, THOUSANDS), context)
    fee = d.whole(20, 200, 5)
    rows.append((d.t("Fee at maturity", "到期手续费"), d.money(fee)))
    context = d.listing(d.t(f"Structured deposit of {who}", f"{who}结构性存款"), rows)
    quarter = d.step(d.t("Quarterly rate", "季度利率"), rate / 4)
    growth = d.step(d.t("Growth factor", "复利终值系数"), num(1 + quarter.value) ** (4 * years))
    interest = principal * (growth - 1) * THOUSANDS.over(ONES, d.lang)
    question = d.t(f"What interest remains to {who} after the fee?", f"{who}扣除手续费后的利息净额是多少？")
    net = d.step(d.t("Interest", "利息"), interest) - fee
    return d.answer(question, d.t("Net interest", "利息净额"), net, money(0), context)


@kind("loans", "Equal principal repayment", "等额本金还款")
def equal_principal(d: Draft) -> Problem:
    """A loan repaid in equal parts of principal plus interest on what is left."""
    who = d.company()
    if d.level == 1:
        parts, part = num(d.pick(10, 12, 20, 24, 30, 50, 60)), d.whole(100, 1_200, 100)
        loan = num(parts.value * part.value)
        question = d.t(
            f"A loan of {d.money(loan)} to {who} is repaid in {parts} equal monthly parts of principal. "
            "How much principal is repaid each month?",
            f"{who}贷款{d.money(loan)}，等额本金分{parts}个月偿还，每月应还本金多少？",
        )
        return d.answer(question, d.t("Principal", "每月本金"), loan / parts, money(0))
    months, part = d.pick(120, 180, 240, 360), d.whole(800, 9_000, 50)
    loan, rate = num(part.value * months), d.rate(240, 660, 12)
    rows = [
        (d.t("Loan", "贷款金额"), d.money(loan)),
        (d.t("Term, months", "期限（月）"), str(months)),
        (d.t("Annual rate", "年利率"), as_percent(rate, 2)),
        (d.t("Property value", "房产价值"), d.money(num(loan.value * d.noise(13, 20).value / 10))),
    ]
    context = d.listing(d.t(f"Mortgage of {who}, equal principal", f"{who}等额本金按揭贷款"), rows)
    principal = d.step(d.t("Principal a month", "每月本金"), loan / months)
    monthly = d.step(d.t("Monthly rate", "月利率"), rate / 12)
    if d.level == 2:
        question = d.t(f"How large is the first monthly payment of {who}?", f"{who}首月还款额是多少？")
        return d.answer(question, d.t("Payment", "还款额"), principal + loan * monthly, money(2), context)
    nth = int(d.whole(13, months - 1).value)
    left = d.step(d.t("Principal left", "剩余本金"), loan - principal * (nth - 1))
    question = d.t(f"How large is the payment of {who} in month {nth}?", f"{who}第{nth}个月的还款额是多少？")
    return d.answer(question, d.t("Payment", "还款额"), principal + left * monthly, money(2), context)
