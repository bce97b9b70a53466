"""Problems about banks: asset quality, margin, capital, efficiency, funding."""

from __future__ import annotations

from distill.finmath.draft import Draft, Problem
from distill.finmath.kinds import kind
from distill.finmath.ratio import Line, Ratio, ratio
from distill.finmath.wording import EMPTY, MILLIONS, Text

TOTAL_LOANS = Text("total loans", "贷款总额")
DEPOSITS = Text("customer deposits", "存款总额")
BAD_LOANS = Text("non-performing loans", "不良贷款余额")
# The three lowest of the five grades of loan classification are non-performing.
BAD_GRADES = (
    (Text("substandard loans", "次级类贷款"), 5),
    (Text("doubtful loans", "可疑类贷款"), 3),
    (Text("loss loans", "损失类贷款"), 2),
)
_NON_PERFORMING = Text(
    "Non-performing loans are the substandard, doubtful and loss grades.",
    "不良贷款为次级类、可疑类与损失类贷款之和。",
)
_BOOK = (60_000, 900_000)


@kind("banking", "Non-performing loan ratio", "不良贷款率")
def npl_ratio(d: Draft) -> Problem:
    """Substandard, doubtful and loss loans over total loans; special-mention loans are the decoy."""
    spec = Ratio(
        Text("non-performing loan ratio", "不良贷款率"),
        top=Line(BAD_LOANS, parts=BAD_GRADES),
        bottom=Line(TOTAL_LOANS),
        easy=(1, 12),
        usual=(60, 420),
        decoys=((Text("special-mention loans", "关注类贷款"), 2), (Text("loan loss allowance", "贷款减值准备"), 3)),
        size=_BOOK,
        stock=True,
        accounts=MILLIONS,
        definition=_NON_PERFORMING if d.level > 1 else EMPTY,
    )
    return ratio(d, d.bank(), spec)


@kind("banking", "Provision coverage ratio", "拨备覆盖率")
def provision_coverage(d: Draft) -> Problem:
    """Loan loss allowance over non-performing loans."""
    spec = Ratio(
        Text("provision coverage ratio", "拨备覆盖率"),
        top=Line(Text("loan loss allowance", "贷款损失准备")),
        bottom=Line(BAD_LOANS, parts=BAD_GRADES),
        easy=(110, 400, 10),
        usual=(12_000, 42_000),
        decoys=(
            (TOTAL_LOANS, 6_000),
            (Text("special-mention loans", "关注类贷款"), 150),
            (Text("loans written off", "核销贷款"), 30),
        ),
        size=(2_000, 20_000),
        stock=True,
        accounts=MILLIONS,
        definition=Text(
            "It is the allowance divided by non-performing (substandard, doubtful and loss) loans.",
            "不良贷款为次级类、可疑类与损失类贷款之和。",
        )
        if d.level > 1
        else EMPTY,
    )
    return ratio(d, d.bank(), spec)


@kind("banking", "Net interest margin", "净息差")
def net_interest_margin(d: Draft) -> Problem:
    """Net interest income over average interest-earning assets; fee income is a decoy."""
    assets = Text("interest-earning assets", "生息资产")
    spec = Ratio(
        Text("net interest margin", "净息差"),
        top=Line(Text("net interest income", "利息净收入")),
        bottom=Line(Text("average interest-earning assets", "平均生息资产") if d.level == 1 else assets, average=True),
        easy=(1, 6),
        usual=(110, 390),
        decoys=(
            (Text("net fee and commission income", "手续费及佣金净收入"), 1),
            (Text("operating expenses", "业务及管理费"), 1),
            (DEPOSITS, 70),
        ),
        size=(80_000, 2_000_000),
        accounts=MILLIONS,
        definition=Text(
            "Use the average of opening and closing interest-earning assets.", "按年初、年末生息资产的平均数计算。"
        )
        if d.level > 1
        else EMPTY,
    )
    return ratio(d, d.bank(), spec)


@kind("banking", "Capital adequacy ratio", "资本充足率")
def capital_adequacy(d: Draft) -> Problem:
    """Net capital of all tiers over risk-weighted assets."""
    tiers = (
        (Text("common equity tier 1 capital", "核心一级资本净额"), 70),
        (Text("additional tier 1 capital", "其他一级资本净额"), 12),
        (Text("tier 2 capital", "二级资本净额"), 20),
    )
    spec = Ratio(
        Text("capital adequacy ratio", "资本充足率"),
        top=Line(Text("total capital", "资本净额"), parts=tiers),
        bottom=Line(Text("risk-weighted assets", "风险加权资产")),
        easy=(6, 22),
        usual=(880, 1_950),
        decoys=((Text("goodwill", "商誉"), 1), (Text("total assets", "资产总额"), 160), (DEPOSITS, 120)),
        size=_BOOK,
        stock=True,
        accounts=MILLIONS,
    )
    return ratio(d, d.bank(), spec)


@kind("banking", "Cost-income ratio", "成本收入比")
def cost_income(d: Draft) -> Problem:
    """Operating expenses over operating income; impairment losses are the decoy."""
    costs = ((Text("staff costs", "员工费用"), 6), (Text("other operating expenses", "其他业务及管理费"), 4))
    income = (
        (Text("net interest income", "利息净收入"), 7),
        (Text("net fee and commission income", "手续费及佣金净收入"), 2),
        (Text("net trading income", "投资净收益"), 1),
    )
    spec = Ratio(
        Text("cost-income ratio", "成本收入比"),
        top=Line(Text("operating expenses", "业务及管理费"), parts=costs),
        bottom=Line(Text("operating income", "营业收入"), parts=income),
        easy=(20, 80),
        usual=(2_200, 6_800),
        decoys=((Text("credit impairment losses", "信用减值损失"), 20), (Text("income tax", "所得税费用"), 8)),
        accounts=MILLIONS,
    )
    return ratio(d, d.bank(), spec)


@kind("banking", "Loan-to-deposit ratio", "存贷比")
def loan_to_deposit(d: Draft) -> Problem:
    """Loans over deposits; interbank borrowing is no deposit."""
    loans = ((Text("corporate loans", "公司贷款"), 6), (Text("personal loans", "个人贷款"), 4))
    deposits = ((Text("demand deposits", "活期存款"), 4), (Text("time deposits", "定期存款"), 6))
    spec = Ratio(
        Text("loan-to-deposit ratio", "存贷比"),
        top=Line(TOTAL_LOANS, parts=loans),
        bottom=Line(DEPOSITS, parts=deposits),
        easy=(40, 120),
        usual=(5_500, 11_500),
        decoys=((Text("interbank borrowings", "同业拆入"), 10), (Text("bonds issued", "应付债券"), 12)),
        size=_BOOK,
        stock=True,
        accounts=MILLIONS,
    )
    return ratio(d, d.bank(), spec)
