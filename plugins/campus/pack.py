"""The campus as a pack: its operations and timers, desk by desk.

Decisions of the trade that are made here:

- All of a student is one document, so what is bought, owed and granted is decided in one turn.
  Schools, terminals, rooms, batches, guardians and releases are identities of their own and send
  each other messages; nothing of theirs is decided on what another looked like a second ago, but
  for names, accounts and rules.
- What a student has eaten is charged, however late and in whatever order the tills say so. What
  the wallet cannot pay is owed, and the next top-up collects it.
- Subsidies never leave the fund's account before they are spent. Fees never leave the supervised
  account without two officers. Payments of families never reach a bill that does not need them.
"""

from zhihui.plugin import Pack

from . import (
    batch_desk,
    bill_desk,
    bill_reminder,
    family_desk,
    guardian_desk,
    power_desk,
    release_desk,
    roster_desk,
    sale_desk,
    subsidy_desk,
    terminal_desk,
    wallet_desk,
)

__all__ = ("Campus",)


class Campus(Pack):
    """Campus (智慧校园): roster, wallets, canteens, bills, subsidies, power, supervised money."""

    name = "campus"

    open_school = roster_desk.open_school
    import_roster = roster_desk.import_roster
    enrol = roster_desk.enrol
    get_school = roster_desk.get_school
    get_student = roster_desk.get_student

    bind_guardian = guardian_desk.bind_guardian
    get_family = guardian_desk.get_family

    bind_wallet = wallet_desk.bind_wallet
    set_cap = wallet_desk.set_cap
    top_up = wallet_desk.top_up
    settle_debts = wallet_desk.settle_debts
    leave_school = wallet_desk.leave_school

    register_terminal = terminal_desk.register_terminal
    upload_sales = terminal_desk.upload_sales
    note_sale = terminal_desk.note_sale
    write_off_sequence = terminal_desk.write_off_sequence
    get_terminal = terminal_desk.get_terminal
    buy_online = sale_desk.buy_online
    charge_sale = sale_desk.charge_sale

    issue_bills = batch_desk.issue_bills
    note_bill = batch_desk.note_bill
    get_batch = batch_desk.get_batch
    issue_bill = bill_desk.issue_bill
    pay_bill = bill_desk.pay_bill
    waive_bill = bill_desk.waive_bill
    agree_instalments = bill_desk.agree_instalments
    pay_family = family_desk.pay_family
    credit_bill = family_desk.credit_bill
    remind_of_bill = bill_reminder.remind_of_bill

    grant_subsidy = subsidy_desk.grant_subsidy
    revoke_subsidy = subsidy_desk.revoke_subsidy
    expire_subsidy = subsidy_desk.expire_subsidy

    open_room = power_desk.open_room
    top_up_power = power_desk.top_up_power
    read_meter = power_desk.read_meter
    replace_meter = power_desk.replace_meter
    get_room = power_desk.get_room

    request_release = release_desk.request_release
    approve_release = release_desk.approve_release
    refuse_release = release_desk.refuse_release
    lapse_release = release_desk.lapse_release
    get_release = release_desk.get_release
