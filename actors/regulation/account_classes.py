"""What the regulator allows of the accounts of a person: classes I, II and III (个人账户分类)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.ledger import AccountLimits, NewAccount, TallyStep

__all__ = ("ACCOUNT_CLASSES", "AccountClass", "AccountClasses", "ClassRules", "class_of")

AccountClass = Literal["II", "III"]
_Element = Literal["name", "id_number", "phone", "card_number", "card_kind"]

_Fen = Annotated[int, Meta(ge=0, description="Fen.")]
_Count = Annotated[int, Meta(ge=0)]


class ClassRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules of one class; amounts in minor units.

    ``elements`` are what must be right before an account is opened without seeing the customer;
    ``card_kinds`` are the kinds that the bound card may have, empty when it is not asked. The
    limits of a day and of a year hold for each direction by itself, and only between accounts that
    are not bound. ``balance_max_minor`` is null when there is none.
    """

    elements: tuple[_Element, ...]
    card_kinds: tuple[str, ...]
    accounts_max: _Count
    day_max_minor: _Fen
    year_max_minor: _Fen
    balance_max_minor: _Fen | None = None


class AccountClasses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules of classes II and III, which are opened online; class I is opened at the counter.

    Sources, all of the People's Bank of China:

    - 银发〔2015〕392 (关于改进个人银行账户服务加强账户管理的通知): the three classes; what each is
      for; class II up to ¥10,000 a day.
    - 银发〔2016〕261 (关于加强支付结算管理 防范电信网络新型违法犯罪有关事项的通知): one class I
      account for a person in a bank.
    - 银发〔2016〕302 (关于落实个人银行账户分类管理制度的通知): the five elements of class II (name,
      identity number, phone, bound account, and that this is of class I or a credit card) and the
      four of class III; ¥10,000 a day and ¥200,000 a year for class II in each direction; moves to
      and from the bound account without limit; at most five accounts of each class for a person in
      one bank.
    - 银发〔2018〕16 (关于改进个人银行账户分类管理有关事项的通知): class III with a balance of at
      most ¥2,000 at any moment, ¥2,000 a day and ¥50,000 a year in each direction.
    """

    class_2: ClassRules = ClassRules(
        elements=("name", "id_number", "phone", "card_number", "card_kind"),
        card_kinds=("class_1", "credit"),
        accounts_max=5,
        day_max_minor=1_000_000,
        year_max_minor=20_000_000,
    )
    class_3: ClassRules = ClassRules(
        elements=("name", "id_number", "phone", "card_number"),
        card_kinds=(),
        accounts_max=5,
        day_max_minor=200_000,
        year_max_minor=5_000_000,
        balance_max_minor=200_000,
    )

    def rules(self, account_class: AccountClass) -> ClassRules:
        """Return the rules of one class."""
        return self.class_2 if account_class == "II" else self.class_3

    def limits(self, account_class: AccountClass, bound: str) -> AccountLimits:
        """Return what the ledger holds an account to; ``bound`` is the account that is exempt."""
        rules = self.rules(account_class)
        return AccountLimits(
            day_out_max=rules.day_max_minor,
            day_in_max=rules.day_max_minor,
            year_out_max=rules.year_max_minor,
            year_in_max=rules.year_max_minor,
            exempt=bound,
        )

    def new_account(
        self, account_class: AccountClass, account_id: str, app: str, asset: str, bound: str
    ) -> NewAccount:
        """Return an account of the class as the ledger opens it: never overdrawn, and limited."""
        ceiling = self.rules(account_class).balance_max_minor
        return NewAccount(account_id, app, asset, 0, ceiling, self.limits(account_class, bound))

    def opening(self, account_class: AccountClass, party: str) -> TallyStep:
        """Return the step that counts an account of a person, and refuses one too many."""
        most = self.rules(account_class).accounts_max
        return TallyStep(
            _tally_id(account_class, party),
            count_max=most,
            message=f"a person may have {most} accounts of class {account_class} in one bank",
            field="account_class",
        )

    def asking(self, account_class: AccountClass, party: str) -> tuple[TallyStep, ...]:
        """Return the steps that count nothing, and refuse who could not open another account."""
        return self.opening(account_class, party), self.closing(account_class, party)

    @staticmethod
    def closing(account_class: AccountClass, party: str) -> TallyStep:
        """Return the step that gives back the count of an account that is closed."""
        return TallyStep(_tally_id(account_class, party), count=-1)


def class_of(text: str) -> AccountClass:
    """Return the class that a stored text names."""
    assert text in ("II", "III"), text
    return "II" if text == "II" else "III"


def _tally_id(account_class: AccountClass, party: str) -> str:
    return f"accounts:{account_class}:{party}"


ACCOUNT_CLASSES = AccountClasses()
