"""Whose account is whose: customers who were merged, and who joined and left households."""

from collections import Counter, defaultdict
from collections.abc import Mapping

from msgspec import Struct


class Owned(Struct, frozen=True):
    """What the server says of a customer in the end, by asset; `by_hand` is what was so given."""

    amounts: Counter[str]
    expired: Counter[str]
    held: Counter[str]
    by_hand: Counter[str]


class Owners:
    """Accounts by number; whoever ever shared one is of one group, whose sums are known.

    To which account of a group a receipt went that met a move at the tills, nobody can tell from
    its answer.
    """

    def __init__(self, customers: list[str]) -> None:
        """Begin with an account for each."""
        self.customers = customers
        self._account = {one: number for number, one in enumerate(customers)}
        self._group = dict(self._account)
        self._households: set[int] = set()
        self._next = len(customers)

    def share(self, one: str, other: str) -> bool:
        """Whether two customers share an account."""
        return self._account[one] == self._account[other]

    def may_leave(self, customer: str) -> bool:
        """Whether a customer is in a household, and not its last member."""
        account = self._account[customer]
        return account in self._households and len(self._members(account)) > 1

    def may_join(self, customer: str) -> bool:
        """Whether a customer is in no household."""
        return self._account[customer] not in self._households

    def merge(self, loser: str, winner: str) -> None:
        """All customers of one account have another now."""
        account = self._account[winner]
        for member in self._members(self._account[loser]):
            self._account[member] = account
        gone, stays = self._group[loser], self._group[winner]
        self._group = {one: stays if g == gone else g for one, g in self._group.items()}

    def join(self, customer: str, member: str) -> None:
        """A customer has come to a household, with all that their account has."""
        self.merge(customer, member)
        self._households.add(self._account[member])

    def leave(self, customer: str) -> None:
        """A customer has an empty account."""
        self._account[customer] = self._next
        self._next += 1

    def groups(self) -> list[list[str]]:
        """All customers, with those whose accounts have ever been one."""
        found: dict[int, list[str]] = defaultdict(list)
        for customer in self.customers:
            found[self._group[customer]].append(customer)
        return list(found.values())

    def by_account(self, owned: Mapping[str, Owned]) -> list[Counter[str]]:
        """What is owned, once for each account."""
        members = {self._account[one]: one for one in self.customers}
        return [owned[one].amounts for one in members.values()]

    def differences(
        self,
        due: Mapping[str, Counter[str]],
        slack: Mapping[str, Counter[str]],
        by_hand: Mapping[str, Counter[str]],
        owned: Mapping[str, Owned],
    ) -> list[str]:
        """Hold what customers own to what they are due.

        Args:
            due: by customer and asset, minor units; without what has expired.
            slack: by customer and asset how much more may be left, minor units.
            by_hand: by customer and asset what of that was given by hand, minor units.
            owned: by customer.

        Returns:
            What is wrong.
        """
        problems = []
        for customer in self.customers:
            first = self._members(self._account[customer])[0]
            if owned[customer] != owned[first]:
                problems.append(f"customers {customer} and {first} share one account, not all")
            if +owned[customer].held:
                problems.append(f"customer {customer}: {owned[customer].held} held in the end")
        for members in self.groups():
            problems += self._difference(members, due, slack, owned)
            given, told = Counter[str](), Counter[str]()
            for member in members:
                given.update(by_hand.get(member, Counter()))
            for one in {self._account[member]: owned[member] for member in members}.values():
                told.update(one.by_hand)
            if given != told:
                problems.append(f"customers {', '.join(members)}: {given} by hand, told are {told}")
        return problems

    def _difference(
        self,
        members: list[str],
        due: Mapping[str, Counter[str]],
        slack: Mapping[str, Counter[str]],
        owned: Mapping[str, Owned],
    ) -> list[str]:
        sums, there, most = Counter[str](), Counter[str](), Counter[str]()
        for member in members:
            sums.update(due.get(member, Counter()))
            most.update(slack.get(member, Counter()))
        for one in {self._account[member]: owned[member] for member in members}.values():
            there.update(one.amounts)
            there.update(one.expired)
        problems = []
        for asset_code in sums.keys() | there.keys():
            more_minor = there[asset_code] - sums[asset_code]
            if not 0 <= more_minor <= most[asset_code]:
                names = ", ".join(members)
                what = f"{sums[asset_code]} {asset_code} are due, {there[asset_code]} there"
                problems.append(f"customers {names}: {what}, {most[asset_code]} more may be")
        return problems

    def _members(self, account: int) -> list[str]:
        return [one for one in self.customers if self._account[one] == account]
