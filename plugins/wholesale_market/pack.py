"""The wholesale market as a pack: its operations and timers, desk by desk.

Decisions of the trade that are made here:

- A deal belongs to its buyer's page, so that credit is exact and every answer is final. Lots and
  stalls are told afterwards what was sold; they count, and decide nothing about the deal.
- Sellers are paid when the deal is: by the buyer, or by the market's advance. Nobody keeps their
  money for them.
- What was weighed is corrected freely until it is paid, and by the referee scale after that.
"""

from zhihui.plugin import Pack

from . import (
    acceptance_desk,
    arrears,
    credit_desk,
    deal_desk,
    dispute_desk,
    lot_desk,
    office_desk,
    stall_desk,
    weighing_desk,
)

__all__ = ("WholesaleMarket",)


class WholesaleMarket(Pack):
    """Farm-produce wholesale market (农产品批发市场)."""

    name = "wholesale_market"

    open_market = office_desk.open_market
    get_market = office_desk.get_market
    register_scale = office_desk.register_scale
    register_farmer = office_desk.register_farmer
    register_carrier = office_desk.register_carrier

    open_stall = stall_desk.open_stall
    get_stall = stall_desk.get_stall
    book_sale = stall_desk.book_sale
    close_stall_day = stall_desk.close_stall_day

    register_lot = lot_desk.register_lot
    inspect_lot = lot_desk.inspect_lot
    close_lot = lot_desk.close_lot
    default_lot = lot_desk.default_lot
    get_lot = lot_desk.get_lot
    book_weight = lot_desk.book_weight
    claim_deposit = lot_desk.claim_deposit
    end_lot_days = lot_desk.end_lot_days

    register_buyer = credit_desk.register_buyer
    set_credit = credit_desk.set_credit
    get_buyer = credit_desk.get_buyer
    repay_debts = credit_desk.repay_debts
    collect_due = credit_desk.collect_due

    open_deal = deal_desk.open_deal
    report_weighing = weighing_desk.report_weighing
    pay_deal = deal_desk.pay_deal
    cancel_deal = deal_desk.cancel_deal
    get_deal = deal_desk.get_deal

    accept_deal = acceptance_desk.accept_deal
    reject_deal = acceptance_desk.reject_deal
    accept_by_time = acceptance_desk.accept_by_time

    dispute_deal = dispute_desk.dispute_deal
    reweigh_deal = dispute_desk.reweigh_deal
    lapse_dispute = dispute_desk.lapse_dispute

    book_arrears = arrears.book_arrears
    list_arrears = arrears.list_arrears
