"""The worker: claims messages that are due, decides anew, records that it sends, and sends.

Every server process with a transport runs one. What it does between two awaits may be the last
thing it does: `sending` is durable before anything leaves, and every part that was taken is
recorded before the next one goes.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence

import structlog

from rewards.commit import MessageFigure
from rewards.instrument import made_code
from rewards.notice import HOUR_US
from rewards.outbox import (
    RECEIPT_GRACE_US,
    End,
    MessageState,
    PutOff,
    Seen,
    Send,
    Verdict,
    judge,
    over_cap,
)
from rewards.refusal import Refusal
from rewards.ruleset import ProgramRules
from rewards.sms_parts import (
    REFERENCES,
    SmsText,
    encoded,
    joining_header,
    sms_text,
)
from server.sms import delivery
from server.sms.recipient import Address, phone_hash_of, read_recipient
from server.sms.transport import (
    Accepted,
    Delivery,
    Fate,
    NotNow,
    Refused,
    Submission,
    Transport,
    Unsure,
    normal_id,
)
from server.sms.wording import body_of
from server.store.database import RetryError
from server.store.forwarded import read_codes_key
from server.store.outbox_work import (
    DUE_MAX,
    Claimed,
    Move,
    Part,
    Sending,
    begin_sending,
    claim_due,
    drop_old_receipts,
    move_message,
    read_parts,
    read_waiting,
)
from server.till.context import Context, voice_of

SECOND_US = 1_000_000
CLAIM_US = 60 * SECOND_US
"""How long a claim lasts before anything is sent."""
PART_US = 60 * SECOND_US
"""How long handing over one part may take: longer than any transport waits."""
BACK_OFF_US = 5 * SECOND_US
BACK_OFF_MAX_US = 900 * SECOND_US
THROTTLE_S = 0.5
THROTTLE_MAX_S = 30.0
ASK_MAX = 200
ASK_POLLS = 10
"""A gateway is asked once in so many looks for what is due."""
HOUSEKEEPING_S = 3_600.0
STOP_S = 10.0
"""How long what is on its way may take when the server stops."""

Work = Callable[[], Awaitable[bool]]
"""Does a round of work; says whether there is more at once."""

_log = structlog.get_logger(__name__)


class Worker:
    """Works the outbox off through one transport."""

    def __init__(
        self, context: Context, transport: Transport, poll_s: float, uncertain_s: float, own: bytes
    ) -> None:
        """Start idle; `start` begins to work.

        Args:
            context: ports.
            transport: carries messages.
            poll_s: between two looks for what is due.
            uncertain_s: how long a delivery receipt is waited for where the fate is not known.
            own: 16 bytes, unlike those of any other worker.
        """
        self._context = context
        self._transport = transport
        self._poll_s = poll_s
        self._uncertain_us = int(uncertain_s * SECOND_US)
        self._own = own
        self._flying: set[bytes] = set()
        self._throttles = 0
        self._asked_to_us = 0
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Connect, and begin to look for what is due."""
        self._transport.start(self.take)
        works = [(self._work, self._poll_s), (self._keep_house, HOUSEKEEPING_S)]
        if self._transport.must_be_asked:
            works.append((self._ask, ASK_POLLS * self._poll_s))
        self._tasks = [
            asyncio.create_task(self._repeat(work, pause_s), name="sms") for work, pause_s in works
        ]

    async def stop(self) -> None:
        """Claim nothing more, finish what is on its way, disconnect.

        What takes too long is uncertain, and somebody else's once its claim is over.
        """
        self._stopping.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._transport.stop()

    async def run(self) -> int:
        """Claim what is due and see to it; say how many messages it was."""
        now_us = self._context.clock()
        async with self._context.database.reading() as connection:
            claimed = await claim_due(
                connection, now_us, now_us + CLAIM_US, self._own, self._transport.is_ready
            )
        # A clock that jumps makes due what this process is still handing over.
        ours = [one for one in claimed if one.message_id not in self._flying]
        await asyncio.gather(*(self._see_to(one) for one in ours))
        return len(claimed)

    async def take(self, found: Delivery) -> None:
        """Note a delivery receipt; durable when this returns."""
        context = self._context
        phone_hash = phone_hash_of(context, found.phone) if found.phone else b""
        while True:
            try:
                await delivery.take_delivery(context.database, found, phone_hash, context.clock())
            except RetryError:
                await context.database.recover()
            else:
                return

    async def _repeat(self, work: Work, pause_s: float) -> None:
        while not self._stopping.is_set():
            try:
                again = await work()
            except RetryError as error:
                _log.warning("sms_interrupted", error=str(error))
                again = False
            except Exception:
                _log.exception("sms_failed")
                again = False
            wait_s = self._pause_s() if again else pause_s + self._pause_s()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)

    def _pause_s(self) -> float:
        """How long to hold back because the gateway was sent too much."""
        if not self._throttles:
            return 0.0
        longest_s = min(THROTTLE_MAX_S, THROTTLE_S * 2.0 ** min(self._throttles, 10))
        return longest_s * random.uniform(0.5, 1.0)

    async def _work(self) -> bool:
        return await self.run() >= DUE_MAX

    async def _ask(self) -> bool:
        """Ask what became of some parts; the next round goes on behind them."""
        async with self._context.database.reading() as connection:
            waiting = await read_waiting(connection, self._asked_to_us, ASK_MAX)
        is_last = len(waiting) < ASK_MAX
        self._asked_to_us = 0 if is_last else waiting[-1][0]
        if waiting:
            for found in await self._transport.ask([provider_id for _, provider_id in waiting]):
                await self.take(found)
        return not is_last

    async def _keep_house(self) -> bool:
        async with self._context.database.reading() as connection:
            await drop_old_receipts(connection, self._context.clock())
        return False

    async def _see_to(self, claimed: Claimed) -> None:
        """See to one message; one that cannot be worked on does not stop the others."""
        self._flying.add(claimed.message_id)
        try:
            await self._see_to_one(claimed)
        except (RetryError, Refusal) as error:
            _log.warning("message_put_back", id=claimed.message_id.hex(), error=str(error))
        except Exception:
            _log.exception("message_not_sent", id=claimed.message_id.hex())
        finally:
            self._flying.discard(claimed.message_id)

    async def _see_to_one(self, claimed: Claimed) -> None:
        now_us = self._context.clock()
        if claimed.state == MessageState.SENT:
            await self._follow(claimed, End(MessageState.EXPIRED, "no delivery receipt came"))
            return
        if claimed.state == MessageState.SENDING and await delivery.adopt(
            self._context.database, claimed, now_us
        ):
            return
        rules = self._context.reference.rules_at(claimed.chain_id, now_us)
        address, verdict = await self._judged(claimed, rules)
        if not isinstance(verdict, Send):
            await self._follow(claimed, verdict)
        elif self._transport.is_ready:
            await self._send(claimed, verdict, address, rules)

    async def _judged(self, claimed: Claimed, rules: ProgramRules) -> tuple[Address, Verdict]:
        """Look whom it is for, and decide what becomes of it."""
        address = await read_recipient(self._context, claimed, rules.program)
        seen = Seen(claimed.state, claimed.window_end_us, claimed.stop_note)
        messages = rules.program.messages
        now_us = self._context.clock()
        return address, judge(seen, claimed.figures, address.recipient, messages, now_us)

    async def _follow(self, claimed: Claimed, verdict: PutOff | End) -> None:
        """End it, or put it off in the state in which it is."""
        now_us = self._context.clock()
        to_state, due_at_us, window_end_us = claimed.state, now_us, claimed.window_end_us
        if isinstance(verdict, End):
            to_state = verdict.state
        else:
            due_at_us, window_end_us = verdict.due_at_us, verdict.window_end_us
        move = Move(to_state, now_us, due_at_us, window_end_us, verdict.note, claim_id=self._own)
        async with self._context.database.reading() as connection:
            await move_message(connection, claimed.message_id, claimed.state, claimed.attempt, move)

    async def _send(
        self, claimed: Claimed, verdict: Send, address: Address, rules: ProgramRules
    ) -> None:
        """Record that it is sent, hand its parts over one by one, record what became of it."""
        phone = address.recipient.phone
        phone_hash = phone_hash_of(self._context, phone)
        taken = await self._taken(claimed, phone_hash)
        body = claimed.body if taken else await self._body(claimed, verdict, address, rules)
        text = sms_text(body)
        reference = claimed.reference if taken else random.randrange(REFERENCES)
        now_us = self._context.clock()
        sending = Sending(
            claim_id=self._own,
            is_resend=verdict.is_resend,
            at_us=now_us,
            due_at_us=now_us + len(text.parts) * PART_US + self._uncertain_us,
            body=body,
            part_count=len(text.parts),
            reference=reference,
            phone_hash=phone_hash,
        )
        messages = rules.program.messages
        cap = (messages.customer_max, now_us - messages.customer_hours * HOUR_US)
        async with self._context.database.reading() as connection:
            others = await begin_sending(connection, claimed, sending, cap)
        if others is None:
            # What came between, as a stop, ends it as if it had been there before. One that
            # somebody else has by now stays as it is.
            _, anew = await self._judged(claimed, rules)
            if not isinstance(anew, Send):
                await self._follow(claimed, anew)
            return
        if others:
            await self._follow(claimed, over_cap(others, messages, claimed.window_end_us))
            return
        missing = [n for n in range(1, len(text.parts) + 1) if n not in taken]
        fate = await self._hand_over(claimed, sending, text, phone, missing)
        await self._record(claimed, len(text.parts), fate)

    async def _taken(self, claimed: Claimed, phone_hash: bytes) -> set[int]:
        """Numbers of the parts that went to this phone before; the rest belongs to them."""
        if not claimed.attempt or claimed.phone_hash != phone_hash:
            return set()
        async with self._context.database.reading() as connection:
            return {one.part for one in await read_parts(connection, claimed.message_id)}

    async def _body(
        self, claimed: Claimed, verdict: Send, address: Address, rules: ProgramRules
    ) -> str:
        context = self._context
        told = await context.reference.rules_of(claimed.chain_id, claimed.ruleset_version)
        store = context.reference.store(claimed.chain_id, claimed.store_id)
        voice = voice_of(store, rules.program, "", address.language_code)
        async with context.database.reading() as connection:
            codes_key_id = await read_codes_key(connection, claimed.receipt_id)

        def codes_of(figure: MessageFigure) -> Sequence[str]:
            if figure.number < 0:
                return ()
            count = 1 if figure.kind == "gift_certificate" else figure.amount_minor
            place = (codes_key_id, figure.number, figure.place)
            hash_code = context.hash_identifier
            return [made_code(hash_code, claimed.chain_id, *place, n) for n in range(count)]

        return body_of(
            voice.slip, claimed.template_code, verdict.figures, told.program.assets, codes_of,
            claimed.sold_at_us, voice.zone,
        )  # fmt: skip

    async def _hand_over(
        self,
        claimed: Claimed,
        sending: Sending,
        text: SmsText,
        phone: str,
        numbers: Sequence[int],
    ) -> Fate:
        """Hand parts over in order until one is not taken; give what became of the last one."""
        fate: Fate = Accepted("")  # all of them were taken before
        for number in numbers:
            fate = await self._transport.submit(_submission(claimed, sending, text, phone, number))
            self._throttles = self._throttles + 1 if _is_throttled(fate) else 0
            if not isinstance(fate, Accepted):
                return fate
            provider_id = normal_id(fate.provider_id)
            now_us = self._context.clock()
            part = Part(number, claimed.attempt + 1, provider_id, delivery.ACCEPTED, now_us)
            await delivery.take_part(
                self._context.database, claimed.message_id, part, sending.phone_hash,
                fate.is_delivered,
            )  # fmt: skip
        return fate

    async def _record(self, claimed: Claimed, part_count: int, fate: Fate) -> None:
        """Bring a message that was handed over to where that has left it."""
        now_us = self._context.clock()
        window_end_us = claimed.window_end_us
        match fate:
            case Accepted():
                due_at_us = window_end_us + RECEIPT_GRACE_US
                move = Move(MessageState.SENT, now_us, due_at_us, window_end_us, _parts(part_count))
            case Refused():
                move = Move(MessageState.FAILED, now_us, now_us, window_end_us, fate.note)
            case NotNow():
                due_at_us = min(now_us + back_off_us(claimed.retries), window_end_us + 1)
                move = Move(
                    MessageState.QUEUED, now_us, due_at_us, window_end_us, fate.note, is_retry=True
                )
            case Unsure():
                due_at_us = now_us + self._uncertain_us
                note = f"uncertain: {fate.note}"
                move = Move(MessageState.SENDING, now_us, due_at_us, window_end_us, note)
        async with self._context.database.reading() as connection, connection.transaction():
            attempt = claimed.attempt + 1
            moved = await move_message(
                connection, claimed.message_id, MessageState.SENDING, attempt, move
            )
            if moved and isinstance(fate, Accepted):
                await delivery.settle(connection, claimed.message_id, now_us, "")


def _submission(
    claimed: Claimed, sending: Sending, text: SmsText, phone: str, number: int
) -> Submission:
    count = len(text.parts)
    part = encoded(text.parts[number - 1], text.is_gsm)
    return Submission(
        submission_id=f"{claimed.message_id.hex()}-{number}",
        phone=phone,
        text=sending.body,
        payload=joining_header(sending.reference, number, count) + part,
        is_gsm=text.is_gsm,
        part=number,
        count=count,
        is_resend=sending.is_resend,
        valid_s=max(1, (claimed.window_end_us - sending.at_us) // SECOND_US),
    )


def back_off_us(retries: int) -> int:
    """How long to wait after so many refusals: twice as long each time, up to a bound, unevenly."""
    longest_us = min(BACK_OFF_MAX_US, BACK_OFF_US * 2 ** min(retries, 20))
    return random.randint(longest_us // 2, longest_us)


def _is_throttled(fate: Fate) -> bool:
    return isinstance(fate, NotNow) and fate.is_throttled


def _parts(count: int) -> str:
    return f"{count} part" if count == 1 else f"{count} parts"
