"""Coupons of series and gift cards on a receipt: what they are, and what using them moves.

Whoever commits names the version of each account that was read before its lots: of two receipts
that use one coupon at the same instant one loses, reads again, and finds it used.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from weakref import WeakKeyDictionary

from msgspec import Struct
from msgspec.structs import replace

from rewards.commit import (
    AccountChange,
    AccountKind,
    CommitKey,
    KeyKind,
    NewAccount,
    NewInstrument,
)
from rewards.coupon_use import GivenOut, given_out
from rewards.decide import Decision
from rewards.earning import funding_of
from rewards.facts import (
    NO_ACCOUNT,
    AssetWindow,
    CustomerState,
    Facts,
    Instrument,
    InstrumentState,
)
from rewards.gift_card import (
    Card,
    CardFault,
    CardOperation,
    CardProblem,
    SettledCards,
    card_uses,
    settle_cards,
    shown_cards,
)
from rewards.given_before import NOTHING_KEPT, Giving, Kept, counted_against
from rewards.instrument import (
    CodeKind,
    account_id_of,
    counted_asset,
    coupon_asset,
    coupon_of,
    gift_card_of,
    is_coupon,
    issue_key_id_of,
    made_code,
    own_coupons,
    spelled,
)
from rewards.journal import Journal
from rewards.ledger import Book, Hold, Holdings, OwnedLot
from rewards.picking import live_holds, uncovered
from rewards.refusal import Reason, Refusal
from rewards.ruleset import ProgramRules
from rewards.sale import TenderKind
from rewards.trace import Condition
from server.store.database import RetryError
from server.store.instruments import Code, Standing, read_codes, read_standings
from server.till.context import Context
from server.till.evaluation import Scene

_SERIES = "series:"
_ASKED: "WeakKeyDictionary[ProgramRules, frozenset[str]]" = WeakKeyDictionary()
_NOBODY = Standing(0)
_ASSET = attrgetter("asset_code")
"""Of a grant; empty of what is no asset, which is posted or given out by itself."""


class Basket(Struct, frozen=True):
    """For whom instruments are looked at.

    Attributes:
        hold_id: under which the basket holds; empty for a receipt without one.
        now_us: the server's clock: holds that have lapsed by it bind nobody.
        is_fact: it is paid already: what others hold of a bearer's is taken if need be.
        cards: gift cards to hold, as they were sent; those of the sale are looked at anyway.
        promised: bearers' accounts on which its Quote held something.
    """

    hold_id: bytes
    now_us: int
    is_fact: bool = False
    cards: tuple[str, ...] = ()
    promised: tuple[int, ...] = ()


class Looked(Struct, frozen=True):
    """Instruments of a receipt as they were read.

    Attributes:
        codes: by hash, of those that somebody gave out.
        standings: by account, with the holds that bind the basket, and its own.
        ending: by account, the ids of holds that end if the basket changes anything there: its
            own, and those that have lapsed.
        others: by account, the holds of other baskets; those end of which nothing is left.
    """

    codes: Mapping[bytes, Code]
    standings: Mapping[int, Standing]
    ending: Mapping[int, tuple[bytes, ...]] = {}
    others: Mapping[int, tuple[Hold, ...]] = {}


NOTHING_LOOKED = Looked({}, {})


async def look_at(
    scene: Scene, facts: Facts, basket: Basket, deadline_s: float
) -> tuple[Facts, Looked]:
    """Add the coupons and gift cards of a receipt to its facts.

    Args:
        scene: the sale and its rules.
        facts: all others.
        basket: for whom.
        deadline_s: the loop's time at which waiting ends.

    Raises:
        TimeoutError: the time is up.
    """
    program = scene.rules.program
    asked = asked_series(scene.rules)
    coupons = scene.sale.header.coupon_codes if program.coupon_series else ()
    cards = shown_cards(scene.sale, basket.cards) if program.gift_asset else ()
    owned = {code for code, minor in facts.customer.balances if minor > 0 and code in asked}
    more = [facts.customer.account_id] if owned else []
    if not coupons and not cards and not more:
        return facts, NOTHING_LOOKED
    hashes = {hash_of(scene, CodeKind.COUPON, code): code for code in coupons}
    hashes |= {hash_of(scene, CodeKind.GIFT_CARD, code): code for code in cards}
    looked = await _read(scene.context, list(hashes), more, deadline_s)
    holds = {key: one.holdings.holds for key, one in looked.standings.items()}
    others = {key: live_holds(found, basket.now_us, basket.hold_id) for key, found in holds.items()}
    looked = replace(
        looked,
        standings=_bound(looked, scene, basket),
        ending={key: _ending(found, others[key]) for key, found in holds.items()},
        others=others,
    )
    shown = [_coupon(scene, facts, looked, code, basket) for code in dict.fromkeys(coupons)]
    known = [_card(scene, looked, code, basket) for code in cards]
    own = _own(scene, facts, looked, [one for one in shown if one], asked, basket)
    return (
        replace(
            facts,
            coupons=(*[one for one in shown if one], *own),
            gift_cards=tuple([one for one in known if one]),
        ),
        looked,
    )


def asked_series(rules: ProgramRules) -> frozenset[str]:
    """The assets of the series that any promotion asks for."""
    found = _ASKED.get(rules)
    if found is None:
        tokens = [
            token
            for promotion in rules.program.promotions
            for gate in promotion.token_gates
            if gate.condition == Condition.COUPON
            for token in gate.tokens
            if token.startswith(_SERIES)
        ]
        found = frozenset(coupon_asset(token.removeprefix(_SERIES)) for token in tokens)
        _ASKED[rules] = found
    return found


def hash_of(scene: Scene, kind: CodeKind, code: str) -> bytes:
    """The keyed hash of a code."""
    chain_id = scene.sale.header.chain_id
    return scene.context.hash_identifier(chain_id, kind, spelled(code))


async def _read(
    context: Context, hashes: Sequence[bytes], more: Sequence[int], deadline_s: float
) -> Looked:
    """Read codes and accounts; waits while the database is away."""
    while True:
        try:
            async with asyncio.timeout_at(deadline_s), context.database.reading() as connection:
                codes = await read_codes(connection, hashes) if hashes else {}
                standings = await read_standings(connection, list(codes.values()), more)
                return Looked(codes, standings)
        except RetryError:
            await context.database.recover()


def _bound(looked: Looked, scene: Scene, basket: Basket) -> dict[int, Standing]:
    """Leave out the holds that do not bind the basket; what is active by now is usable.

    A fact takes coupons that others hold. Of a card it takes first what nobody holds, so what
    others hold there stands: see `settle_cards`.
    """
    cards = {one.account_id for one in looked.codes.values() if one.kind == CodeKind.GIFT_CARD}
    found = {}
    for account_id, standing in looked.standings.items():
        is_taken = basket.is_fact and account_id < NO_ACCOUNT and account_id not in cards
        holds = [
            hold
            for hold in standing.holdings.holds
            if hold.expires_at_us >= basket.now_us
            and (hold.hold_id == basket.hold_id or not is_taken)
        ]
        lots = [_active(lot, scene.at_us, basket.now_us) for lot in standing.holdings.lots]
        named = [_active(lot, scene.at_us, basket.now_us) for lot in standing.lots]
        holdings = Holdings(tuple(lots), tuple(holds))
        found[account_id] = Standing(standing.version, holdings, tuple(named))
    return found


def _active(lot: OwnedLot, at_us: int, now_us: int) -> OwnedLot:
    """A lot that has begun since the instant of the basket's quote, as if it had before."""
    begun_since = at_us < lot.active_from_us <= now_us
    return replace(lot, active_from_us=at_us) if begun_since else lot


def _ending(holds: Iterable[Hold], others: Iterable[Hold]) -> tuple[bytes, ...]:
    kept = {hold.hold_id for hold in others}
    return tuple(dict.fromkeys(hold.hold_id for hold in holds if hold.hold_id not in kept))


def _coupon(
    scene: Scene, facts: Facts, looked: Looked, code: str, basket: Basket
) -> Instrument | None:
    """A code that was shown as a coupon of a series; None if it is none."""
    found = looked.codes.get(hash_of(scene, CodeKind.COUPON, code))
    if found is None:
        return None
    buyer_id, account_id = facts.customer.account_id, found.account_id
    standing = looked.standings.get(account_id, _NOBODY)
    mine = looked.standings.get(buyer_id, _NOBODY) if buyer_id else _NOBODY
    lot = _lot_of(found, mine.holdings.lots)
    if found.lot_id and lot is not None:
        # What was a customer's may have come to another account with them.
        account_id, standing = buyer_id, mine
    else:
        lot = _lot_of(found, standing.lots)
    return coupon_of(
        code,
        found.asset_code,
        account_id,
        standing.holdings,
        lot,
        scene.at_us,
        buyer_id=buyer_id,
        is_bound=bool(found.lot_id),
        may_spend=facts.customer.state == CustomerState.ACTIVE,
        own_hold_id=basket.hold_id,
    )


def _lot_of(code: Code, lots: Iterable[OwnedLot]) -> OwnedLot | None:
    fitting = [lot for lot in lots if not code.lot_id or lot.lot_id == code.lot_id]
    fitting = [lot for lot in fitting if lot.asset_code == code.asset_code]
    return max(fitting, key=lambda lot: lot.remaining_minor, default=None)


def _card(scene: Scene, looked: Looked, code: str, basket: Basket) -> Instrument | None:
    found = looked.codes.get(hash_of(scene, CodeKind.GIFT_CARD, code))
    if found is None:
        return None
    standing = looked.standings[found.account_id]
    card = gift_card_of(
        code,
        found.asset_code,
        found.account_id,
        standing.holdings,
        scene.at_us,
        basket.hold_id,
    )
    return card if card.left_minor or standing.lots else None


def _own(
    scene: Scene,
    facts: Facts,
    looked: Looked,
    shown: Sequence[Instrument],
    asked: frozenset[str],
    basket: Basket,
) -> list[Instrument]:
    """The own coupons of a customer who may spend that were not shown, one of each series."""
    account_id = facts.customer.account_id
    if account_id not in looked.standings or facts.customer.state != CustomerState.ACTIVE:
        return []
    lots = {one.lot_id for one in shown}
    holdings = looked.standings[account_id].holdings
    found = own_coupons(account_id, holdings, tuple(asked), scene.at_us, basket.hold_id)
    first: dict[str, Instrument] = {}
    for one in found:
        if one.lot_id not in lots:
            first.setdefault(one.asset_code, one)
    return list(first.values())


class GivenBefore(Struct, frozen=True):
    """What a receipt gave when it was sold before, and was undone.

    Attributes:
        ruleset_version: by which.
        codes_key_id: of which its codes are made.
        code_hashes: of those.
        bearers: accounts that they open.
        kept: what of all that it gave could not be taken back.
    """

    ruleset_version: int = 0
    codes_key_id: bytes = b""
    code_hashes: frozenset[bytes] = frozenset()
    bearers: Mapping[int, Standing] = {}
    kept: Kept = NOTHING_KEPT

    def codes_key_by(self, ruleset_version: int) -> bytes:
        """The key of which codes are made anew, so that they stay in force; empty is a new one.

        Other rules may number promotions otherwise.
        """
        is_same = self.ruleset_version == ruleset_version
        return self.codes_key_id if is_same and self.code_hashes else b""


NOTHING_BEFORE = GivenBefore()


class Bearer(Struct, frozen=True):
    """A bearer's account that a receipt changes.

    Attributes:
        version: that was read before its lots.
        journal: what moves; goods that come back on the receipt may move more there.
        ending: ids of holds that end.
        others: holds of other baskets, which end if what they hold is not there any more.
    """

    version: int
    journal: Journal
    ending: tuple[bytes, ...]
    others: tuple[Hold, ...]

    @property
    def released(self) -> tuple[bytes, ...]:
        """Ids of all holds that end by what the journal has by now."""
        left = {lot.lot_id: lot.remaining_minor for lot in self.journal.lots()}
        return (*self.ending, *uncovered(self.others, left))


class _Out(Struct, frozen=True):
    """Where what a receipt gives out is put.

    Attributes:
        moved: codes that are known, and what they open from now on.
    """

    own: Journal
    bearers: dict[int, Bearer]
    opened: list[NewAccount]
    instruments: list[NewInstrument]
    moved: list[NewInstrument]


class Settled(Struct, frozen=True):
    """What the instruments of a receipt move besides its customer's account.

    Attributes:
        bearers: by account, which coupons and gift cards open.
        new_accounts: of cards that are sold, and of what the receipt gives to bearers.
        new_instruments: codes that the receipt gives out.
        moved_instruments: those that it gave out when it was sold before, and does again.
        codes: by promotion and place of its benefit, the codes to print.
        refused: what an open receipt is refused for.
        unusable: coupons that were shown and cannot be used, for a receipt that is paid already.
        keys: of the cards that are sold: of two receipts that sell one, one finds it sold.
    """

    bearers: Mapping[int, Bearer] = {}
    new_accounts: tuple[NewAccount, ...] = ()
    new_instruments: tuple[NewInstrument, ...] = ()
    moved_instruments: tuple[NewInstrument, ...] = ()
    codes: Mapping[tuple[int, int], tuple[str, ...]] = {}
    refused: tuple[Refusal, ...] = ()
    unusable: tuple[str, ...] = ()
    keys: tuple[CommitKey, ...] = ()

    @property
    def journals(self) -> dict[int, Journal]:
        """By account of a bearer, for what else moves there in the same commit."""
        return {account_id: one.journal for account_id, one in self.bearers.items()}

    @property
    def accounts(self) -> tuple[AccountChange, ...]:
        """The changes of bearers' accounts, with all that their journals have by now."""
        return tuple(
            AccountChange(account_id, one.version, one.journal.movement(), released=one.released)
            for account_id, one in self.bearers.items()
        )


def own_lots(facts: Facts, decision: Decision, looked: Looked) -> tuple[OwnedLot, ...]:
    """The lots of the customer's own coupons that are used: their journal must know them."""
    if not decision.used:
        return ()
    account_id = facts.customer.account_id
    used = {one.lot_id for one in decision.used if one.account_id == account_id}
    lots = looked.standings[account_id].holdings.lots if used else ()
    return tuple(lot for lot in lots if lot.lot_id in used)


def settle(
    scene: Scene,
    facts: Facts,
    decision: Decision,
    looked: Looked,
    basket: Basket,
    key_id: bytes,
    own: Journal,
    before: GivenBefore = NOTHING_BEFORE,
) -> Settled:
    """Post the use of coupons and cards, and what the receipt gives out.

    Args:
        scene: the sale and its rules.
        facts: with its instruments.
        decision: what was decided on them.
        looked: as they were read.
        basket: for whom.
        key_id: the receipt's.
        own: the customer's journal; it is given what moves on the customer's account.
        before: what the receipt gave when it was sold before.
    """
    program = scene.rules.program
    bearers = _use_coupons(facts, decision, looked, key_id, own)
    out = _Out(own, bearers, [], [], [])
    for (account_id, promotion_id, asset_code), minor in before.kept.items():
        if account_id == facts.customer.account_id and not is_coupon(asset_code):
            own.count_kept(promotion_id, asset_code, minor)
    refused: list[Refusal] = []
    if program.gift_asset and card_uses(scene.sale):
        cards = _settle_cards(scene, facts, looked, basket, key_id)
        refused += [_card_fault(scene, looked, basket, problem) for problem in cards.problems]
        _post_cards(scene, looked, key_id, cards, out)
    issued = [
        CommitKey(issue_key_id_of(one.code_hash), KeyKind.ISSUE, key_id) for one in out.instruments
    ]
    coded: list[tuple[GivenOut, str]] = []
    if not all(map(_ASSET, decision.evaluation.grants)):
        _post_counted(scene, facts, decision, own)
        codes_key_id = before.codes_key_by(scene.rules.version) or key_id
        coded = _coded(scene, given_out(program, facts, decision.evaluation), codes_key_id)
    digests = [_hash_given(scene, given, code) for given, code in coded]
    kept = [0] * len(coded)
    if before.kept:
        gives = [_giving(scene, facts, *one) for one in zip(coded, digests, strict=True)]
        kept = counted_against(gives, before.kept)
    for (given, _), digest, kept_minor in zip(coded, digests, kept, strict=True):
        _give_out(scene, facts, given, digest, key_id, kept_minor, before, out)
    unusable = [
        f"{one.code}: {InstrumentState(one.state).name}" for one in facts.coupons if one.state
    ]
    return Settled(
        bearers,
        tuple(out.opened),
        tuple(out.instruments),
        tuple(out.moved),
        _by_place(coded),
        tuple(refused),
        tuple(unusable),
        tuple(issued),
    )


def _post_counted(scene: Scene, facts: Facts, decision: Decision, own: Journal) -> None:
    """Post a known customer's tiers, entries to draws and prizes: one lot of each reward."""
    if not facts.customer.account_id:
        return
    for grant in decision.evaluation.grants:
        promotion = scene.rules.program.promotions[grant.number]
        asset_code = counted_asset(promotion.gives[grant.place])
        if asset_code:
            window = AssetWindow(grant.active_from_us or scene.at_us, grant.expires_at_us)
            own.grant(promotion.promotion_id, asset_code, grant.amount_minor, window)


def _use_coupons(
    facts: Facts, decision: Decision, looked: Looked, key_id: bytes, own: Journal
) -> dict[int, Bearer]:
    """Take the coupons that promotions fired by."""
    bearers = {}
    for one in decision.used:
        picks = [(one.lot_id, 1)]
        if one.account_id == facts.customer.account_id:
            own.take(Book.CLEARING, one.asset_code, picks)
            continue
        standing = looked.standings[one.account_id]
        journal = Journal(key_id, standing.lots)
        journal.take(Book.CLEARING, one.asset_code, picks)
        bearers[one.account_id] = _bearer(one.account_id, journal, looked)
    return bearers


def _bearer(account_id: int, journal: Journal, looked: Looked) -> Bearer:
    version = looked.standings[account_id].version
    return Bearer(version, journal, looked.ending[account_id], looked.others[account_id])


def _settle_cards(
    scene: Scene, facts: Facts, looked: Looked, basket: Basket, key_id: bytes
) -> SettledCards:
    asset_code = scene.rules.program.gift_asset
    unknown_vouchers = {
        spelled(tender.gift_card_id)
        for tender in scene.sale.tenders
        if tender.kind == TenderKind.VOUCHER
    }
    cards: dict[str, Card] = {}
    uses = []
    for use in card_uses(scene.sale):
        if use.fault is not None:
            uses.append(use)
            continue
        found = looked.codes.get(hash_of(scene, CodeKind.GIFT_CARD, use.code))
        if found is not None:
            standing = looked.standings[found.account_id]
            holdings = Holdings(standing.lots, standing.holdings.holds)
            cards[use.code] = Card(found.account_id, holdings, True)
        elif use.operation == CardOperation.REDEEM and use.code in unknown_vouchers:
            continue
        else:
            account_id = account_id_of(hash_of(scene, CodeKind.GIFT_CARD, use.code))
            cards.setdefault(use.code, Card(account_id))
        uses.append(use)
    window = dict(facts.store.windows)[asset_code]
    return settle_cards(
        key_id, asset_code, uses, cards, window, basket.hold_id, takes_held=basket.is_fact
    )


def _post_cards(
    scene: Scene,
    looked: Looked,
    key_id: bytes,
    cards: SettledCards,
    out: _Out,
) -> None:
    """Change the cards that are known, and open the others."""
    header = scene.sale.header
    digests = [hash_of(scene, CodeKind.GIFT_CARD, use.code) for use in card_uses(scene.sale)]
    hashes = {account_id_of(digest): digest for digest in digests}
    asset_code = scene.rules.program.gift_asset
    for account_id, journal in cards.journals.items():
        if account_id in looked.standings:
            out.bearers[account_id] = _bearer(account_id, journal, looked)
        else:
            digest, movement = hashes[account_id], journal.movement()
            out.opened.append(NewAccount(account_id, AccountKind.BEARER, movement, header.chain_id))
            out.instruments.append(
                NewInstrument(digest, CodeKind.GIFT_CARD, account_id, b"", asset_code, key_id)
            )


def _card_fault(scene: Scene, looked: Looked, basket: Basket, problem: CardProblem) -> Refusal:
    if problem.fault != CardFault.SHORT:
        text = f"gift card {problem.code or 'that is not named'}: {problem.fault.value}"
        return Refusal(Reason.GIFT_CARD_STATE, text, {"code": problem.code, "state": problem.fault})
    text = f"gift card {problem.code}: {problem.most_minor} left of {problem.asked_minor}"
    metadata = {
        "asset_code": scene.rules.program.gift_asset,
        "asked_minor": str(problem.asked_minor),
        "most_minor": str(problem.most_minor),
        "code": problem.code,
        "held_minor": str(problem.held_minor),
    }
    if problem.held_minor:
        text += f", {problem.held_minor} held for another basket"
    account_id = looked.codes[hash_of(scene, CodeKind.GIFT_CARD, problem.code)].account_id
    holds = looked.standings[account_id].holdings.holds
    if account_id in basket.promised and all(one.hold_id != basket.hold_id for one in holds):
        return Refusal(Reason.HOLD_EXPIRED, f"the hold has lapsed; {text}: quote again", metadata)
    return Refusal(Reason.SPEND_NOT_POSSIBLE, text, metadata)


def codes_of(
    scene: Scene, gives: Iterable[GivenOut], key_id: bytes
) -> dict[tuple[int, int], tuple[str, ...]]:
    """The codes to print of what a receipt gives out, by promotion and place of its benefit.

    They are made, not drawn: the key and the secret of the servers make them again.

    Args:
        scene: the sale and its rules.
        gives: what it gives out.
        key_id: under which it was posted, 16 bytes.
    """
    return _by_place(_coded(scene, gives, key_id))


def _coded(scene: Scene, gives: Iterable[GivenOut], key_id: bytes) -> list[tuple[GivenOut, str]]:
    hash_identifier, chain_id = scene.context.hash_identifier, scene.sale.header.chain_id
    found = []
    for given in gives:
        place = (given.grant.number, given.grant.place, given.n)
        found.append((given, made_code(hash_identifier, chain_id, key_id, *place)))
    return found


def _by_place(
    coded: Iterable[tuple[GivenOut, str]],
) -> dict[tuple[int, int], tuple[str, ...]]:
    found: dict[tuple[int, int], tuple[str, ...]] = {}
    for given, code in coded:
        place = (given.grant.number, given.grant.place)
        found[place] = (*found.get(place, ()), code)
    return found


def _hash_given(scene: Scene, given: GivenOut, code: str) -> bytes:
    return hash_of(scene, _kind_given(given), code)


def _kind_given(given: GivenOut) -> CodeKind:
    return CodeKind.COUPON if is_coupon(given.asset_code) else CodeKind.GIFT_CARD


def _giving(scene: Scene, facts: Facts, coded: tuple[GivenOut, str], digest: bytes) -> Giving:
    given, _ = coded
    account_id = facts.customer.account_id if given.is_own else account_id_of(digest)
    promotion_id = scene.rules.program.promotions[given.grant.number].promotion_id
    return Giving(account_id, promotion_id, given.asset_code, given.amount_minor)


def _give_out(
    scene: Scene,
    facts: Facts,
    given: GivenOut,
    digest: bytes,
    key_id: bytes,
    kept_minor: int,
    before: GivenBefore,
    out: _Out,
) -> None:
    """Give out a coupon or certificate, by a code of its own or by that which it had before.

    Args:
        scene: the sale and its rules.
        facts: whose it is.
        given: what is given out.
        digest: hash of its code.
        key_id: the receipt's.
        kept_minor: what of it was kept when the receipt was undone.
        before: what the receipt gave then.
        out: where to put it.
    """
    grant, promotion = given.grant, scene.rules.program.promotions[given.grant.number]
    window = AssetWindow(grant.active_from_us or scene.at_us, grant.expires_at_us)
    is_money = not is_coupon(given.asset_code)
    funding = funding_of(promotion.funding, given.amount_minor) if is_money else ()
    account_id, journal, known = facts.customer.account_id, out.own, None
    if not given.is_own:
        account_id = account_id_of(digest)
        known = before.bearers.get(account_id)
        journal = Journal(key_id, known.lots if known is not None else ())
    if kept_minor:
        journal.count_kept(promotion.promotion_id, given.asset_code, kept_minor)
    made = journal.grant(
        promotion.promotion_id, given.asset_code, given.amount_minor, window, funding
    )
    if known is not None:
        out.bearers[account_id] = Bearer(known.version, journal, (), ())
    elif not given.is_own:
        chain_id = scene.sale.header.chain_id
        movement = journal.movement()
        out.opened.append(NewAccount(account_id, AccountKind.BEARER, movement, chain_id))
    lot_id = made if given.is_own else b""
    kind, asset_code = _kind_given(given), given.asset_code
    instrument = NewInstrument(digest, kind, account_id, lot_id, asset_code, key_id)
    (out.moved if digest in before.code_hashes else out.instruments).append(instrument)
