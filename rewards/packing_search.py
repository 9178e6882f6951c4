"""Which applications of one part of a packing to choose: branch and bound, depth first.

A node has decided how often some applications are taken and how often others may still be. Its
bound is that of `packing_bound`; the solution behind the bound, rounded, is tried as a packing.
Then an application of the row with the fewest ways left is taken, or may not be; or a promotion
of an exclusive group fires, or may not. Every tie goes to the lower number.
"""

from collections.abc import Iterable, Sequence
from math import gcd

from msgspec import Struct
from msgspec.structs import replace

from rewards.packing_bound import FAR, FRACTION_BITS, ONE, Budget, Relaxation, Scope
from rewards.packing_cut import FRACTION_MIN, Solution, find_cuts, is_split
from rewards.packing_part import Part, floors, pass_cost, scaled, shift_of
from rewards.rounding import floor_div

BOUND_MAX = 2**62 - 1
TRIED_PASSES = 64
"""A search that takes no longer needs no cuts."""
DECIDED_MAX = 64
"""Promotions of groups that are decided before all else; further ones as they come."""
ROUNDS_MAX = 8
"""How often cuts are looked for."""
CUT_ROWS_MAX = 128
"""In a part of more rows none are looked for."""
CUT_SIZE_MAX = 2**13
"""Nor where an application uses more pieces: so the kernel's 64 bits suffice."""
SAVED_DEPTH_MAX = 64
SAVED_ROWS_MAX = 128
ROWS_MAX = 1_024
"""A larger part is not searched: its basis would not fit into the memory of a till's answer."""
_NEARLY_ONE = ONE >> 6
_LEVEL_BITS = FRACTION_BITS - 6


class Frame(Struct):
    """A branching under way.

    Attributes:
        application: which one is taken first, and then may be only less often than `count`.
        count: how often; 0 if its promotion fires first, and then may not.
        bound: of the node.
        active: the node's applications.
        left: how often the application could be taken at the node.
        saved: the node's basis, None if it is not kept.
        is_first: the first of both ways is being searched.
    """

    application: int
    count: int
    bound: int
    active: list[int]
    left: int
    saved: tuple[list[int], list[list[int]], list[int]] | None
    is_first: bool = True


class Search:
    """The search of one part; `run` once."""

    def __init__(self, part: Part, work_max: int) -> None:
        """Scale the values.

        Args:
            part: what to choose from.
            work_max: budget, 0 or more.
        """
        self._part = part
        self._divisor = gcd(*part.values)
        self._values = [floor_div(value, self._divisor) for value in part.values]
        self._shift = shift_of(max(self._values), part.pieces)
        self._scaled = scaled(self._values, self._shift, part.pieces)
        self._sizes = [sum(count for _, count in uses) for uses in part.uses]
        self._rooms = list(part.rooms)
        self._rows_first = len(part.rooms)
        self._can_cut = self._rows_first <= CUT_ROWS_MAX and max(self._sizes) <= CUT_SIZE_MAX
        self._left = list(part.times)
        self._taken, self._total = [0] * len(part.values), 0
        self._scope = Scope(self._rooms, list(part.times), list(range(len(part.values))))
        self._budget = Budget(work_max, pass_cost(part))
        self._bound = BOUND_MAX
        self.times = [0] * len(part.values)
        self.total = 0

    @property
    def work(self) -> int:
        """Work done."""
        return self._budget.work

    def run(self) -> tuple[int, int]:
        """Search; `times` is what was found.

        Returns:
            Total and bound in the unit of the values; they are equal if the total is proved.
        """
        bound = self._start()
        if bound > self.total and len(self._rooms) <= ROWS_MAX:
            self._relaxation = self._relaxed()
            bound = self._explore(bound)
        return self.total * self._divisor, max(bound, self.total) * self._divisor

    def _start(self) -> int:
        """Take what is worth most a piece, and bound the rest by prices without a basis."""
        densities = list(map(floor_div, self._scaled, self._sizes))
        order = sorted(self._scope.active, key=lambda n: (-densities[n], n))
        self._fill([(n, self._left[n]) for n in order])
        prices = [0] * len(self._rooms)
        for n, uses in enumerate(self._part.uses):
            price = -floor_div(-self._scaled[n], self._sizes[n])
            for row, _ in uses:
                prices[row] = max(prices[row], price)
        by_rows = sum(room * price for room, price in zip(self._rooms, prices, strict=True))
        by_times = sum(t * v for t, v in zip(self._left, self._scaled, strict=True))
        worth = self._unscaled(min(by_rows, by_times, FAR))
        return min(worth, max(self._values) * self._part.pieces)

    def _unscaled(self, worth: int) -> int:
        """Whole units in a shifted bound."""
        if self._shift >= 0:
            return worth >> self._shift
        return min(BOUND_MAX, worth << -self._shift)

    def _enough(self) -> int:
        """Shifted bound up to which nothing better can follow."""
        if self._shift >= 0:
            return ((self.total - self._total + 1) << self._shift) - 1
        return (self.total - self._total) >> -self._shift

    def _explore(self, bound: int, depth: int = 0) -> int:
        """Search below a node at which nothing but promotions of groups has been decided.

        What is not done after a few passes begins again with cuts.

        Args:
            bound: of the node.
            depth: promotions decided.

        Returns:
            The bound that is left; the total if all was searched.
        """
        branch = self._visit(bound)
        if depth < DECIDED_MAX and branch is not None and branch[1] > 0:
            bound = self._descend(branch, TRIED_PASSES * self._budget.cost)
            if bound <= self.total or self._budget.is_spent:
                return bound
            branch = self._visit(bound)
            if branch is not None and self._can_cut:
                branch, bound = self._sharpen(branch)
                if branch is None:
                    return bound
        if depth < DECIDED_MAX and branch is not None and branch[1] == 0:
            return self._decide(branch[0], depth)
        return self._descend(branch, BOUND_MAX)

    def _sharpen(self, branch: tuple[int, int] | None) -> tuple[tuple[int, int] | None, int]:
        """Search with cuts, or find that a promotion is to be decided first.

        Returns:
            What is to be decided, and the bound that is left.
        """
        part, relaxation, saved = self._part, self._relaxation, self._relaxation.saved()
        for _ in range(ROUNDS_MAX):
            if branch is None or not self._cut():
                break
            branch = self._visit(self._bound)
        bound = self._bound
        if branch is None or branch[1] > 0:
            bound = self._descend(branch, BOUND_MAX)
            branch = None
        self._part, self._relaxation = part, relaxation
        self._relaxation.restore(saved)
        del self._rooms[len(part.rooms) :]
        self._budget.cost = pass_cost(part)
        return branch, bound

    def _decide(self, application: int, depth: int) -> int:
        """Search with the promotion of an application alone in its group, then without it."""
        bound, active = self._bound, self._scope.active
        saved = self._relaxation.saved() if len(self._rooms) <= SAVED_ROWS_MAX else None
        self._scope.active = [n for n in active if not self._rivals(application, n)]
        self._explore(bound, depth + 1)
        if self._budget.is_spent or bound <= self.total:
            return max(bound, self.total)
        own = self._part.promotions[application]
        self._scope.active = [n for n in active if self._part.promotions[n] != own]
        if saved is not None:
            self._relaxation.restore(saved)
        return self._explore(bound, depth + 1)

    def _descend(self, branch: tuple[int, int] | None, work_stop: int) -> int:
        """Search below the root and come back to it; return the bound that is left.

        Args:
            branch: of the root.
            work_stop: after so much work no further branching begins.
        """
        frames: list[Frame] = []
        while not self._budget.is_spent:
            if branch is None:
                if not self._turn(frames):
                    return self.total
            elif self._budget.work < work_stop:
                frames.append(self._first(*branch, len(frames)))
            else:
                break
            branch = self._visit(frames[-1].bound)
        bound = max(self._bound, self.total, *(one.bound for one in frames if one.is_first), 0)
        self._leave(frames)
        return bound

    def _leave(self, frames: list[Frame]) -> None:
        """Go back to the root."""
        for frame in reversed(frames):
            if frame.is_first:
                self._take(frame.application, -frame.count)
            self._left[frame.application] = frame.left
        if frames:
            self._scope.active = frames[0].active
            if frames[0].saved is not None:
                self._relaxation.restore(frames[0].saved)

    def _cut(self) -> bool:
        """Add rows that the root's solution breaks; False if there are none."""
        amounts = {n: self._relaxation.amount(self._scope, n) for n in self._scope.active}
        rooms, prices = self._rooms[: self._rows_first], self._relaxation.prices
        solution = Solution(amounts, self._part.times, self._part.uses, rooms, prices)
        cuts = find_cuts(solution, self._budget.spend)
        if not cuts:
            return False
        uses = [list(one) for one in self._part.uses]
        for row, cut in enumerate(cuts, start=len(self._rooms)):
            for n, count in cut.counts.items():
                uses[n].append((row, count))
        self._rooms += [cut.room for cut in cuts]
        self._part = replace(self._part, uses=tuple(map(tuple, uses)), rooms=tuple(self._rooms))
        self._budget.cost = pass_cost(self._part)
        self._relaxation = self._relaxed()
        return True

    def _relaxed(self) -> Relaxation:
        return Relaxation(self._scaled, self._part.uses, floors(self._rooms, self._shift))

    def _visit(self, bound: int) -> tuple[int, int] | None:
        """Bound the node, and say on what to branch, if it may hold something better."""
        self._bound = bound
        self._fit()
        if not self._scope.active:
            self._fill([])
            return None
        worth = self._relaxation.solve(self._scope, self._enough(), self._budget)
        self._bound = min(bound, self._total + self._unscaled(worth))
        if self._budget.is_spent or self._bound <= self.total:
            return None
        self._round()
        if self._bound <= self.total:
            return None
        self._fix()
        return self._choose() if self._scope.active else None

    def _fit(self) -> None:
        """Count how often each application still fits; drop those that do not."""
        times = [0] * len(self._left)
        for n in self._scope.active:
            fits = [floor_div(self._rooms[row], count) for row, count in self._part.uses[n]]
            times[n] = min(self._left[n], *fits)
        active = [n for n in self._scope.active if times[n] > 0]
        self._scope = Scope(self._rooms, times, active)

    def _round(self) -> None:
        """Try what the bound's solution takes, whole times first, then whatever still fits."""
        amounts = {n: self._relaxation.amount(self._scope, n) for n in self._scope.active}
        margins = self._relaxation.margins
        order = sorted(
            self._scope.active,
            key=lambda n: (-(min(amounts[n], ONE) >> _LEVEL_BITS), -margins[n], n),
        )
        whole = [(n, (amounts[n] + _NEARLY_ONE) >> FRACTION_BITS) for n in order]
        self._fill([*whole, *((n, self._left[n]) for n in order)])

    def _fill(self, wishes: Iterable[tuple[int, int]]) -> None:
        """Grant wishes in turn as far as they fit, and keep the packing if it is the best."""
        rooms, times, total = self._rooms.copy(), self._taken.copy(), self._total
        fired: dict[int, int] = {}
        for n, wish in wishes:
            promotion, group = self._part.promotions[n], self._part.groups[n]
            if group >= 0 and fired.get(group, promotion) != promotion:
                continue
            fits = [floor_div(rooms[row], count) for row, count in self._part.uses[n]]
            count = min(wish, self._taken[n] + self._left[n] - times[n], *fits)
            if count > 0:
                times[n] += count
                total += count * self._values[n]
                fired[group] = promotion
                for row, pieces in self._part.uses[n]:
                    rooms[row] -= pieces * count
        if total > self.total:
            self.times, self.total = times, total

    def _fix(self) -> None:
        """Drop the applications that cannot be part of anything better."""
        worth, margins = self._relaxation.worth, self._relaxation.margins
        kept = []
        for n in self._scope.active:
            with_it = self._unscaled(worth + margins[n]) if margins[n] < 0 else BOUND_MAX
            if self._total + with_it > self.total:
                kept.append(n)
            else:
                self._scope.times[n] = 0
        self._scope.active = kept

    def _choose(self) -> tuple[int, int]:
        """Application to branch on, and how often to take it; 0 to branch on its promotion."""
        amounts = {n: self._relaxation.amount(self._scope, n) for n in self._scope.active}
        torn = self._torn(amounts)
        if torn:
            return max(torn, key=lambda n: (self._values[n] * amounts[n], -n)), 0
        fractions = {n: amount & (ONE - 1) for n, amount in amounts.items()}
        split = [n for n, amount in amounts.items() if is_split(amount)]
        if split:
            row = self._tightest(split)
            split = [n for n in split if any(used == row for used, _ in self._part.uses[n])]
            chosen = max(split, key=lambda n: (fractions[n], -n))
            count = (amounts[chosen] >> FRACTION_BITS) + 1
        else:
            chosen = max(amounts, key=lambda n: (amounts[n], -n))
            count = max(1, (amounts[chosen] + FRACTION_MIN) >> FRACTION_BITS)
        return chosen, min(count, self._scope.times[chosen])

    def _torn(self, amounts: dict[int, int]) -> list[int]:
        """Applications of groups of which the bound's solution takes several promotions."""
        groups, promotions = self._part.groups, self._part.promotions
        taken = [n for n in amounts if groups[n] >= 0 and amounts[n] > FRACTION_MIN]
        fired: dict[int, set[int]] = {}
        for n in taken:
            fired.setdefault(groups[n], set()).add(promotions[n])
        return [n for n in taken if len(fired[groups[n]]) > 1]

    def _tightest(self, split: Sequence[int]) -> int:
        """Row of a split application with few ways to use it and a high price."""
        ways = [0] * len(self._rooms)
        for n in self._scope.active:
            for row, _ in self._part.uses[n]:
                ways[row] += 1
        prices = self._relaxation.prices
        best = -1
        for row in sorted({row for n in split for row, _ in self._part.uses[n]}):
            if best < 0 or (
                ways[row] ** 2 * (prices[best] + 1) < ways[best] ** 2 * (prices[row] + 1)
            ):
                best = row
        return best

    def _rivals(self, one: int, other: int) -> bool:
        """Whether two applications are of promotions that exclude each other."""
        groups, promotions = self._part.groups, self._part.promotions
        return 0 <= groups[one] == groups[other] and promotions[one] != promotions[other]

    def _first(self, application: int, count: int, depth: int) -> Frame:
        """Go the first way of a branching."""
        keep = depth < SAVED_DEPTH_MAX and len(self._rooms) <= SAVED_ROWS_MAX
        saved = self._relaxation.saved() if keep else None
        active, left = self._scope.active, self._left[application]
        self._scope.active = [n for n in active if not self._rivals(application, n)]
        self._take(application, count)
        return Frame(application, count, self._bound, active, left, saved)

    def _take(self, application: int, count: int) -> None:
        self._left[application] -= count
        self._taken[application] += count
        self._total += count * self._values[application]
        for row, pieces in self._part.uses[application]:
            self._rooms[row] -= pieces * count

    def _turn(self, frames: list[Frame]) -> bool:
        """Go back to the last branching with a second way worth going, and go it."""
        while frames:
            frame = frames[-1]
            if frame.is_first:
                self._take(frame.application, -frame.count)
                frame.is_first = False
                if frame.bound > self.total:
                    self._second(frame)
                    return True
            self._left[frame.application] = frame.left
            frames.pop()
        return False

    def _second(self, frame: Frame) -> None:
        """Go the second way of a branching."""
        self._scope.active = frame.active
        if frame.count > 0:
            self._left[frame.application] = frame.count - 1
        else:
            own = self._part.promotions[frame.application]
            self._scope.active = [n for n in frame.active if self._part.promotions[n] != own]
        if frame.saved is not None:
            self._relaxation.restore(frame.saved)
