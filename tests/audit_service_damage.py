"""Damage to the services' rows of the hand-written ledger, and the rows that checks must name."""

from tests.audit_holds import Corruption

__all__ = ("SERVICE_CORRUPTIONS",)

_PAYMENTS = (
    Corruption(
        name="a payment's status is not that of its last step",
        sql="UPDATE zhihui.payment_order SET status = 'succeeded' WHERE payment_id = 'pay-5'",
        named={"payment_steps": ("payment pay-5",)},
    ),
    Corruption(
        name="a payment is older than its last step",
        sql="UPDATE zhihui.payment_order SET change_seq = 23 WHERE payment_id = 'pay-6'",
        named={"payment_steps": ("payment pay-6",)},
    ),
    Corruption(
        name="the steps of a payment are gone",
        sql="DELETE FROM zhihui.payment_step WHERE payment_id = 'pay-9'",
        named={
            "payment_steps": ("payment pay-9",),
            "events": ("payment.processing of pay-9", "payment.succeeded of pay-9"),
        },
    ),
    Corruption(
        name="the state of a payment is gone",
        sql="DELETE FROM zhihui.payment_order WHERE payment_id = 'pay-7'",
        named={"payment_steps": ("payment pay-7",)},
    ),
    Corruption(
        name="a step of a payment was never told",
        sql="UPDATE zhihui.event SET type = 'payment.forgotten' WHERE seq = 23",
        named={"events": ("payment.forgotten of pay-5", "payment.refunded of pay-5")},
    ),
    Corruption(
        name="nobody knows of a payment that waits in escrow",
        sql="""UPDATE zhihui.payment_order SET body = replace(body, 'escrow', 'payee')
                WHERE payment_id = 'pay-8'""",
        named={"payments_add_up": ("escrow",)},
    ),
    Corruption(
        name="a payment refunded more than it captured",
        sql="""UPDATE zhihui.payment_order
                  SET body = replace(body, '"refunded_minor": 200', '"refunded_minor": 1001')
                WHERE payment_id = 'pay-5'""",
        named={"payments_add_up": ("payment pay-5",)},
    ),
    Corruption(
        name="a guaranteed payment counts as one that was made at once",
        sql="UPDATE zhihui.payment SET status = 'succeeded' WHERE payment_id = 'pay-6'",
        named={
            "entries_explained": ("entries of carl in change 23", "entries of stall in change 23"),
            "events": ("payment.succeeded of pay-6",),
        },
    ),
    Corruption(
        name="rejected changes left a state, steps, a mandate and a code",
        sql="UPDATE zhihui.change SET outcome = 'limit_exceeded' WHERE seq IN (25, 55, 56)",
        named={
            "changes_committed": (
                "code qr-1",
                "event 26",
                "event 62",
                "hold h-7",
                "mandate man-1",
                "payment pay-7",
                "payment step pay-7",
                "step 1 of h-7",
            )
        },
    ),
    Corruption(
        name="a payment's state belongs to another app than its change",
        sql="UPDATE zhihui.payment_order SET app = 'other' WHERE payment_id = 'pay-10'",
        named={"changes_committed": ("payment state pay-10",)},
    ),
)

_CUSTOMERS = (
    Corruption(
        name="more left an account in a day than in its year",
        sql="UPDATE zhihui.account_limit SET day_out = 7608 WHERE account_id = 'carl'",
        named={"account_limits": ("limits of carl",)},
    ),
    Corruption(
        name="less than nothing entered an account",
        sql="UPDATE zhihui.account_limit SET year_in = -1 WHERE account_id = 'carl-3'",
        named={"account_limits": ("limits of carl-3",)},
    ),
    Corruption(
        name="limits of an account that does not exist",
        sql="UPDATE zhihui.account_limit SET account_id = 'ghost' WHERE account_id = 'carl-3'",
        named={"account_limits": ("limits of ghost",)},
    ),
    Corruption(
        name="an account of a class is not counted",
        sql="UPDATE zhihui.tally SET count = 0 WHERE tally_id = 'accounts:II:party-1'",
        named={"account_counts": ("accounts of class II of party-1",)},
    ),
    Corruption(
        name="the counter of a class is gone",
        sql="DELETE FROM zhihui.tally WHERE tally_id = 'accounts:II:party-1'",
        named={"account_counts": ("accounts of class II of party-1",)},
    ),
    Corruption(
        name="an account has become one of another class",
        sql="UPDATE zhihui.account SET class = 'III' WHERE account_id = 'carl'",
        named={
            "account_counts": (
                "accounts of class II of party-1",
                "accounts of class III of party-1",
            )
        },
    ),
    Corruption(
        name="a name is readable",
        sql="UPDATE zhihui.personal_data SET sealed = '卡尔' WHERE field = 'name'",
        named={"personal_data_sealed": ("name of cust-1",)},
    ),
    Corruption(
        name="a number is sealed by another key than its row says, and a phone has no hash",
        sql="""UPDATE zhihui.personal_data SET key_id = 'k2' WHERE field = 'id_number';
               UPDATE zhihui.personal_data SET lookup = '14000000001' WHERE field = 'phone'""",
        named={"personal_data_sealed": ("id_number of cust-1", "phone of cust-1")},
    ),
)

_PRODUCTS = (
    Corruption(
        name="a plan owes more than its line",
        sql="UPDATE zhihui.credit_plan SET principal_minor = 1101 WHERE plan_id = 'plan-1'",
        named={"credit_books": ("account line-1",)},
    ),
    Corruption(
        name="a charge is in no plan",
        sql="UPDATE zhihui.credit_plan SET charges_minor = 0 WHERE plan_id = 'plan-1'",
        named={"credit_books": ("account line-1:charges",)},
    ),
    Corruption(
        name="a line's plan is gone",
        sql="DELETE FROM zhihui.credit_plan WHERE line_id = 'line-1'",
        named={"credit_books": ("account line-1", "account line-1:charges")},
    ),
    Corruption(
        name="a plan of a line that does not exist",
        sql="UPDATE zhihui.credit_plan SET line_id = 'line-9' WHERE plan_id = 'plan-0'",
        named={"credit_books": ("account line-9", "account line-9:charges")},
    ),
    Corruption(
        name="a plan that is over owes something",
        sql="""UPDATE zhihui.credit_plan SET status = 'paid' WHERE plan_id = 'plan-1'""",
        named={"credit_books": ("plan plan-1",)},
    ),
    Corruption(
        name="a fund has more money than units, and its bank is owed more than is pledged",
        sql="""UPDATE zhihui.balance SET posted_minor = posted_minor + 1
                WHERE account_id IN ('fund:CASH:cash', 'fund:CASH:pledged')""",
        named={
            "fund_backing": ("fund CASH", "fund CASH"),
            "balance_sums": ("balance of fund:CASH:cash", "balance of fund:CASH:pledged"),
        },
    ),
    Corruption(
        name="a fund distributed more than its holders were credited",
        sql="UPDATE zhihui.fund_income SET income_minor = 4",
        named={"fund_income_sums": ("CASH on 2026-11-26",)},
    ),
    Corruption(
        name="a holder's income went nowhere",
        sql="UPDATE zhihui.wealth_income SET credited_to = ''",
        named={"fund_income_sums": ("CASH on 2026-11-26",)},
    ),
    Corruption(
        name="a batch has points that its account has not",
        sql="UPDATE zhihui.points_wallet SET body = replace(body, '300', '301')",
        named={
            "points_batches": ("points of carl.points",),
            "points_reserve": ("points:reserve",),
        },
    ),
    Corruption(
        name="points are worth less than was put aside for them",
        sql="""UPDATE zhihui.points_wallet
                  SET body = replace(body, '"points_per_fen": 1', '"points_per_fen": 2')""",
        named={"points_reserve": ("points:reserve",)},
    ),
    Corruption(
        name="a rule refused what was committed, and let through what was refused",
        sql="""UPDATE zhihui.risk_hit
                  SET outcome = CASE outcome WHEN 'decline' THEN 'approve' ELSE 'step_up' END""",
        named={"risk_hits": ("hit 0 of change 27", "hit 0 of change 28")},
    ),
    Corruption(
        name="a rule fired for a change that does not exist",
        sql="DELETE FROM zhihui.change WHERE seq = 28",
        named={"risk_hits": ("hit 0 of change 28",)},
    ),
)

_SETTLEMENT = (
    Corruption(
        name="a leg says another fee than was moved",
        sql="""UPDATE zhihui.settlement_leg SET fee_minor = 11, shared_minor = 494
                WHERE leg_id = 'pay-5'""",
        named={"merchant_legs": ("legs of stall in change 21",)},
    ),
    Corruption(
        name="a leg's net is not what the fee and the shares leave",
        sql="UPDATE zhihui.settlement_leg SET net_minor = 496 WHERE leg_id = 'pay-5'",
        named={
            "merchant_legs": ("leg pay-5 of stall",),
            "settlement_sums": ("settlement 1 of stall",),
        },
    ),
    Corruption(
        name="a payment to a merchant left no leg",
        sql="DELETE FROM zhihui.settlement_leg WHERE leg_id = 'pay-10'",
        named={"merchant_legs": ("legs of stall in change 49",)},
    ),
    Corruption(
        name="a share went to a merchant and not to the market",
        sql="""UPDATE zhihui.transfer SET purpose = 'merchant.split'
                WHERE purpose = 'merchant.split_back'""",
        named={"merchant_legs": ("legs of market in change 22", "legs of stall in change 22")},
    ),
    Corruption(
        name="between two settlements is a gap",
        sql="UPDATE zhihui.settlement SET after_seq = 25 WHERE settlement_id = 'stl-2'",
        named={"settlement_chain": ("range of stall after change 25", "settlement 2 of stall")},
    ),
    Corruption(
        name="a settlement forgot what was carried to it",
        sql="UPDATE zhihui.settlement SET carried_in_minor = 0 WHERE settlement_id = 'stl-3'",
        named={"settlement_chain": ("settlement 3 of stall",)},
    ),
    Corruption(
        name="a settlement's number skips one",
        sql="UPDATE zhihui.settlement SET number = 4 WHERE settlement_id = 'stl-3'",
        named={"settlement_chain": ("settlement 4 of stall",)},
    ),
    Corruption(
        name="a settlement's range takes legs that are not in it",
        sql="UPDATE zhihui.settlement_range SET to_seq = 49 WHERE settlement_id = 'stl-2'",
        named={
            "settlement_chain": ("range of stall after change 24",),
            "settlement_sums": ("settlement 2 of stall",),
        },
    ),
    Corruption(
        name="a settlement has no range",
        sql="DELETE FROM zhihui.settlement_range WHERE settlement_id = 'stl-2'",
        named={
            "settlement_chain": ("range of stall after change 24",),
            "settlement_sums": ("settlement 2 of stall",),
        },
    ),
    Corruption(
        name="a range without a settlement",
        sql="INSERT INTO zhihui.settlement_range VALUES ('stall', 26, 40, 39, 'stl-9')",
        named={"settlement_chain": ("range of stall after change 26",)},
    ),
    Corruption(
        name="the totals of a settlement are more than its payments",
        sql="UPDATE zhihui.clearing SET amount_minor = 13 WHERE settlement_id = 'stl-1'"
        " AND role = 'bank'",
        named={"settlement_sums": ("settlement 1 of stall",)},
    ),
    Corruption(
        name="a settlement that failed says that it paid out",
        sql="""UPDATE zhihui.settlement SET payout_minor = 99, carried_out_minor = 0
                WHERE settlement_id = 'stl-2'""",
        named={
            "settlement_chain": ("settlement 3 of stall",),
            "settlement_sums": ("settlement 2 of stall",),
        },
    ),
    Corruption(
        name="a settlement paid out less than it says",
        sql="UPDATE zhihui.settlement SET payout_minor = 595 WHERE settlement_id = 'stl-1'",
        named={
            "settlement_sums": ("settlement 1 of stall",),
            "settlement_payouts": ("payout of stall",),
        },
    ),
    Corruption(
        name="a payout belongs to no settlement",
        sql="UPDATE zhihui.settlement SET state = 'paying' WHERE settlement_id = 'stl-1'",
        named={"settlement_payouts": ("payout of stall",)},
    ),
    Corruption(
        name="a settlement was not paid out",
        sql="UPDATE zhihui.transfer SET purpose = 'transfer' WHERE purpose = 'merchant.payout'",
        named={"settlement_payouts": ("payout of stall",)},
    ),
)

SERVICE_CORRUPTIONS = (*_PAYMENTS, *_CUSTOMERS, *_PRODUCTS, *_SETTLEMENT)
