"""Problems about bonds: yields, prices, interest, sensitivity, spreads."""

from __future__ import annotations

from datetime import date, timedelta

from distill.finmath.arithmetic import Term, cents, num, percentage, total
from distill.finmath.draft import Cell, Draft, Problem, as_percent
from distill.finmath.kinds import kind
from distill.finmath.mental import easy_share
from distill.finmath.wording import DECREASE, ONES, THOUSANDS, Text, basis_points, money, percent

_PER_YEAR = {
    1: Text("annual", "每年付息一次"),
    2: Text("semi-annual", "每半年付息一次"),
    4: Text("quarterly", "每季付息一次"),
}


@kind("bonds", "Current yield", "当期收益率")
def current_yield(d: Draft) -> Problem:
    """Annual coupon over price; at level 3 the difference between two bonds."""
    who = d.company()
    name = d.t("Current yield", "当期收益率")
    if d.level == 1:
        coupon, price, via = easy_share(d, 1, 12)
        question = d.t(
            f"A bond of {who} pays a coupon of {d.money(coupon)} a year and trades at {d.money(price)}. "
            "What is its current yield?",
            f"{who}债券每年付息{d.money(coupon)}，市价{d.money(price)}，当期收益率是多少？",
        )
        return d.answer(question, name, coupon / price, percent(0), via=[via])
    labels = "ABC"[: 2 * d.level - 3]
    bonds = [(d.rate(150, 800, 5), d.amount(82, 118, 2)) for _ in labels]
    if d.level == 2:
        [(rate, price)] = bonds
        context = d.listing(
            d.t(f"Bond of {who}", f"{who}债券"),
            [
                (d.t("Face value", "面值"), d.money(num(1_000))),
                (d.t("Coupon rate, paid annually", "票面利率（每年付息）"), as_percent(rate)),
                (d.t("Market price", "市场价格"), d.price(price * 10)),
                (d.t("Remaining maturity, years", "剩余期限（年）"), str(d.noise(2, 9))),
            ],
        )
        coupon = d.step(d.t("Annual coupon", "年利息"), 1_000 * rate)
        question = d.t(f"What is the current yield of the {who} bond?", f"{who}债券的当期收益率是多少？")
        return d.answer(question, name, coupon / num(price.value * 10), percent(2), context)
    rows: list[list[Cell]] = [
        [
            label,
            as_percent(rate),
            d.digits(price, 2),
            str(d.noise(2, 9)),
            d.noise(200, 3_000, 50),
        ]
        for label, (rate, price) in zip(labels, bonds, strict=True)
    ]
    context = d.table(
        d.t(f"Bonds of {who}, prices in % of face value", f"{who}债券一览（价格为面值的百分数）"),
        [d.t("Bond", "债券"), d.t("Coupon rate", "票面利率"), d.t("Price", "价格"), d.t("Years to maturity", "剩余年限"),
         d.t("Issue size ($ million)", "发行规模（百万元）")],
        rows,
    )  # fmt: skip
    one, other = d.pick((0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1))
    yields = [d.step(f"{name} {labels[index]}", bonds[index][0] * 100 / bonds[index][1]) for index in (one, other)]
    question = d.t(
        f"By how much is the current yield of {who} bond {labels[one]} above that of bond {labels[other]}?",
        f"{who}债券{labels[one]}的当期收益率比债券{labels[other]}高多少？",
    )
    form = basis_points().with_sign(Text("a lower yield gives a negative answer", "低于则为负"))
    return d.answer(question, d.t("Difference", "差额"), yields[0] - yields[1], form, context)


@kind("bonds", "Zero-coupon price", "零息债券价格")
def zero_coupon_price(d: Draft) -> Problem:
    """Face value discounted to today; semi-annual compounding and several bonds at level 3."""
    who = d.company()
    name = d.t("Price", "价格")
    if d.level == 1:
        price, rate = d.whole(100, 900, 100), d.whole(1, 10)
        face = num(price.value * (100 + rate.value) / 100)
        question = d.t(
            f"A zero-coupon bond of {who} repays {d.money(face)} in one year. At a yield of {rate}%, "
            "what is its price today?",
            f"{who}零息债券一年后偿还{d.money(face)}，收益率{rate}%，今天的价格是多少？",
        )
        return d.answer(question, name, face / num(1 + rate.value / 100), money(2))
    years, rate, face = int(d.whole(2, 6).value), d.rate(150, 750, 5), num(d.pick(100, 1_000, 10_000))
    rows = [
        (d.t("Face value", "面值"), d.money(face)),
        (d.t("Maturity, years", "期限（年）"), str(years)),
        (d.t("Yield, annual compounding", "收益率（按年复利）"), as_percent(rate)),
        (d.t("Issue price", "发行价格"), d.price(cents(face.value * d.noise(70, 90).value / 100))),
    ]
    title = d.t(f"Zero-coupon bond of {who}", f"{who}零息债券")
    if d.level == 2:
        growth = d.step(d.t("Growth factor", "复利终值系数"), num(1 + rate.value) ** years)
        question = d.t(f"What is the fair price of the {who} bond today?", f"{who}零息债券今天的合理价格是多少？")
        return d.answer(question, name, face / growth, money(2), d.listing(title, rows))
    held = d.whole(200, 5_000, 100)
    rows[2] = (d.t("Yield, semi-annual compounding", "收益率（每半年复利一次）"), as_percent(rate))
    rows.append((d.t("Bonds held", "持有数量（张）"), str(held)))
    rows.append(
        (d.t("Coupon rate of a similar bond", "同类付息债券票面利率"), as_percent(num(d.noise(20, 60).value / 1_000)))
    )
    half = d.step(d.t("Half-year rate", "半年利率"), rate / 2)
    growth = d.step(d.t("Growth factor", "复利终值系数"), num(1 + half.value) ** (2 * years))
    question = d.t(f"What is the whole holding of {who} bonds worth today?", f"持有的{who}零息债券今天共值多少？")
    value = face * held / growth / THOUSANDS.over(ONES, d.lang)
    return d.answer(question, d.t("Value", "价值"), value, money(2, THOUSANDS), d.listing(title, rows))


@kind("bonds", "Coupon payment", "债券利息")
def coupon_payment(d: Draft) -> Problem:
    """Interest of one payment date, or of a year over several bonds."""
    who = d.company()
    name = d.t("Coupon", "利息")
    if d.level == 1:
        face, rate = d.whole(100, 1_200, 100), d.whole(2, 9)
        question = d.t(
            f"A bond of {who} with a face value of {d.money(face)} has a coupon rate of {rate}%, paid once a year. "
            "How large is the yearly coupon?",
            f"{who}债券面值{d.money(face)}，票面利率{rate}%，每年付息一次，每年利息是多少？",
        )
        return d.answer(question, name, face * rate / 100, money(0), via=[num(face.value / 100) * rate])
    count = 2 * d.level - 3
    faces = [d.whole(100, 900, 10) for _ in range(count)]
    rates = [d.rate(200, 800, 10) for _ in range(count)]
    times = [d.pick(1, 2, 4) if d.level == 3 else d.pick(2, 4) for _ in range(count)]
    thousand = d.unit_of_money(THOUSANDS)
    rows: list[list[Cell]] = [
        ["ABC"[index], faces[index], as_percent(rates[index]), d.says(_PER_YEAR[times[index]]), str(d.noise(94, 106))]
        for index in range(count)
    ]
    head = [d.t("Bond", "债券"), d.t(f"Face value ({thousand})", f"面值（{thousand}）"), d.t("Coupon rate", "票面利率"),
            d.t("Payment", "付息方式"), d.t("Price (% of face)", "价格（面值%）")]  # fmt: skip
    if d.level == 2:
        context = d.table(d.t(f"Bond held by {who}", f"{who}持有的债券"), head, rows)
        yearly = d.step(d.t("Interest a year", "全年利息"), faces[0] * rates[0])
        question = d.t(f"How much interest does {who} receive at each payment date?", f"{who}每次收到的利息是多少？")
        return d.answer(question, name, yearly / times[0], money(2, THOUSANDS), context)
    zero = d.noise(50, 400, 10)
    rows.insert(d.vary((0, 1, 2, 3)), ["Z", zero, "0%", d.t("at maturity", "到期一次还本"), str(d.noise(70, 85))])
    context = d.table(d.t(f"Bond portfolio of {who}", f"{who}的债券组合"), head, rows)
    interest = [d.step(f"{name} {'ABC'[index]}", faces[index] * rates[index]) for index in range(count)]
    question = d.t(
        f"How much coupon interest does {who} earn in a full year?", f"{who}的债券组合全年票面利息合计是多少？"
    )
    return d.answer(question, d.t("Total", "合计"), total(interest), money(2, THOUSANDS), context)


@kind("bonds", "Accrued interest", "应计利息")
def accrued_interest(d: Draft) -> Problem:
    """Coupon earned since the last payment: 30/360 days, counted from dates on actual/365 at level 3."""
    who = d.company()
    name = d.t("Accrued interest", "应计利息")
    if d.level == 1:
        monthly, months = d.whole(1, 12), d.whole(1, 11)
        coupon = num(monthly.value * 12)
        question = d.t(
            f"A bond of {who} pays {d.money(coupon)} a year. The last coupon was {months} months ago. "
            "What is the accrued interest?",
            f"{who}债券每年付息{d.money(coupon)}，距上次付息已过{months}个月，应计利息是多少？",
        )
        return d.answer(question, name, coupon / 12 * months, money(2), via=[monthly * months])
    face, rate = num(d.pick(1_000, 10_000)), d.rate(200, 800, 5)
    clean = cents(face.value * d.whole(9_000, 11_000).value / 10_000)
    rows = [
        (d.t("Face value", "面值"), d.money(face)),
        (d.t("Coupon rate, paid annually", "票面利率（每年付息）"), as_percent(rate)),
        (d.t("Clean price", "净价"), d.price(clean)),
    ]
    title = d.t(f"Trade in a bond of {who}", f"{who}债券交易")
    if d.level == 2:
        days = d.whole(15, 345)
        rows.append((d.t("Days since last coupon (30/360)", "距上次付息天数（30/360）"), str(days)))
        coupon = d.step(d.t("Annual coupon", "年利息"), face * rate)
        question = d.t(f"What is the accrued interest on the {who} bond?", f"{who}债券的应计利息是多少？")
        return d.answer(question, name, coupon * days / 360, money(2), d.listing(title, rows))
    # From a March to the February of an ordinary year: no leap day falls between coupon and settlement.
    paid = date(d.pick(2020, 2021, 2022, 2024), 3, 1) + timedelta(days=int(d.whole(0, 305).value))
    settled = paid + timedelta(days=int(d.whole(20, 340).value))
    rows.append((d.t("Last coupon date", "上次付息日"), paid.isoformat()))
    rows.append((d.t("Settlement date", "结算日"), settled.isoformat()))
    rows.append((d.t("Remaining maturity, years", "剩余期限（年）"), str(d.noise(2, 9))))
    days = num((settled - paid).days)
    d.note(d.t(f"{days} days from {paid} to {settled}", f"{paid}至{settled}共{days}天"))
    accrued = d.step(name, face * rate * days / 365)
    question = d.t(
        f"What is the dirty price (clean price plus accrued interest, actual/365) of the {who} bond?",
        f"{who}债券的全价（净价加应计利息，按实际天数/365计息）是多少？",
    )
    return d.answer(question, d.t("Dirty price", "全价"), clean + accrued, money(2), d.listing(title, rows))


@kind("bonds", "Duration and price change", "久期与价格变动")
def duration_change(d: Draft) -> Problem:
    """Price change as modified duration times the change in yield, with the opposite sign."""
    who = d.company()
    up = d.pick(True, False)
    if d.level == 1:
        duration, points = d.whole(2, 15), d.whole(1, 3)
        move = num(points.value * 100)
        question = d.t(
            f"A bond of {who} has a modified duration of {duration}. Yields {'rise' if up else 'fall'} by {move} bps. "
            "By what percentage does its price change?",
            f"{who}债券修正久期为{duration}，收益率{'上升' if up else '下降'}{move}个基点，价格变动百分之几？",
        )
        shift = percentage(points.value if up else -points.value)
        form = percent(0).with_sign(DECREASE)
        name = d.t("Price change", "价格变动")
        return d.answer(question, name, -duration * shift, form, via=[percentage(-duration.value * shift.value * 100)])
    value, move = d.whole(100, 9_000, 10), d.whole(5, 120)
    change = num((move.value if up else -move.value) / 10_000)
    before = num(d.whole(200, 500).value / 10_000)
    rows = [
        (d.t("Market value", "市值"), d.money(value, THOUSANDS)),
        (d.t("Yield before", "变动前收益率"), as_percent(before)),
        (d.t("Yield after", "变动后收益率"), as_percent(num(before.value + change.value))),
    ]
    name, title = d.t("Change in value", "市值变动"), d.t(f"Bonds held by {who}", f"{who}债券持仓")
    if d.level == 2:
        duration = d.amount(1, 12, 1)
        rows.insert(1, (d.t("Modified duration", "修正久期"), str(duration)))
    else:
        macaulay = d.amount(2, 14, 2)
        rows.insert(1, (d.t("Macaulay duration, years (annual yield)", "麦考利久期（年，按年复利）"), str(macaulay)))
        rows.append((d.t("Coupon rate", "票面利率"), as_percent(num(d.noise(200, 600).value / 10_000))))
        rows.append((d.t("Remaining maturity, years", "剩余期限（年）"), str(d.noise(15, 30))))
        duration = d.step(d.t("Modified duration", "修正久期"), macaulay / (1 + before))
    shift = d.step(d.t("Change in yield", "收益率变动"), num(before.value + change.value) - before)
    question = d.t(
        f"By how much does the market value of the bonds of {who} change, estimated with modified duration alone?",
        f"仅用修正久期估算，{who}债券持仓的市值变动多少？",
    )
    form = money(2, THOUSANDS).with_sign(DECREASE)
    return d.answer(question, name, -duration * shift * value, form, d.listing(title, rows))


@kind("bonds", "Credit spread", "信用利差")
def credit_spread(d: Draft) -> Problem:
    """Corporate yield less the government yield of the same maturity; at level 3 its change over a year."""
    who = d.company()
    name = d.t("Spread", "利差")
    if d.level == 1:
        base, spread = d.whole(1, 6), percentage(d.whole(1, 40).value / 10)
        risky, free = percentage(base.value + spread.value * 100), percentage(base.value)
        question = d.t(
            f"A bond of {who} yields {risky} and the government bond of the same maturity {free}. "
            "What is the credit spread?",
            f"{who}债券收益率{risky}，同期限国债收益率{free}，信用利差是多少？",
        )
        return d.answer(question, name, risky - free, basis_points(), via=[spread])
    tenors = (1, 3, 5, 10)
    chosen = d.pick(0, 1, 2, 3)
    dates = [d.t("this year", "今年"), d.t("last year", "去年")][: d.level - 1]
    table: list[tuple[list[Term], list[Term]]] = []
    for _ in dates:
        bases = [d.rate(120 + 40 * index, 200 + 40 * index) for index in range(4)]
        table.append((bases, [num(base.value + d.rate(40, 180).value) for base in bases]))
    rows: list[list[Cell]] = [
        [d.t(f"{label}, {when}", f"{label}（{when}）"), *(as_percent(term, 2) for term in curve)]
        for when, curves in zip(dates, table, strict=True)
        for label, curve in zip((d.t("Government", "国债"), d.t(who, f"{who}债券")), curves, strict=True)
    ]
    head = [d.t("Yield curve", "收益率曲线"), *(d.t(f"{tenor}-year", f"{tenor}年") for tenor in tenors)]
    context = d.table(d.t("Yields by maturity", "各期限收益率"), head, rows)
    spreads = [curves[1][chosen] - curves[0][chosen] for curves in table]
    tenor = tenors[chosen]
    if d.level == 2:
        question = d.t(
            f"What is the credit spread of {who} bonds over government bonds at the {tenor}-year maturity?",
            f"{tenor}年期{who}债券相对国债的信用利差是多少？",
        )
        return d.answer(question, name, spreads[0], basis_points(), context)
    now, before = (
        d.step(d.t(f"Spread {when}", f"{when}利差"), spread) for when, spread in zip(dates, spreads, strict=True)
    )
    question = d.t(
        f"By how much did the {tenor}-year credit spread of {who} bonds change from last year to this year?",
        f"{tenor}年期{who}债券的信用利差从去年到今年变动了多少？",
    )
    form = basis_points().with_sign(Text("a narrowing is negative", "收窄为负"))
    return d.answer(question, d.t("Change", "变动"), now - before, form, context)
