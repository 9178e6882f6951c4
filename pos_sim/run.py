"""What one run of the simulator is called: the keys and ids of everything it sends."""

import random
from hashlib import blake2b
from uuid import UUID

from msgspec import Struct

from loyalty.v1.receipt_pb2 import ReceiptKey

SHIFT_ID = "1"


class Run(Struct, frozen=True):
    """One run. The same run sends the same keys and bodies; another run shares none of them.

    A receipt key is for ever, and so is the body under it. A second demo on the same data must
    therefore not number its receipts like the first. A real till whose numbering restarts raises
    its epoch; so does a run: its epoch is the second at which it began. Basket and submission ids
    hash the epoch in, because a basket, too, is sold once.

    Attributes:
        seed: What all random choices come from.
        epoch: Epoch of all receipt keys, seconds since 1970, 0 to 2^32 - 1.
    """

    seed: int
    epoch: int

    @property
    def started_at_us(self) -> int:
        """When the run began, UTC microseconds."""
        return self.epoch * 1_000_000

    def basket_id(self, index: int) -> bytes:
        """Id of the basket of the receipt with this index in the run, 16 bytes."""
        return self._uuid(f"basket/{index}")

    def submission_id(self, index: int, field_codes: list[str]) -> bytes:
        """Id of the submission of these fields during the receipt with this index, 16 bytes."""
        return self._uuid(f"profile/{index}/{'/'.join(field_codes)}")

    def chance(self, purpose: str) -> random.Random:
        """What decides for one purpose; the same for the same seed, whatever else was drawn."""
        return random.Random(f"{self.seed}/{purpose}")

    def receipt_key(
        self, chain_id: str, store_id: str, till_id: str, business_date: str, number: int
    ) -> ReceiptKey:
        """Key of a till's receipt with this number, counted from 1 within the run."""
        return ReceiptKey(
            chain_id=chain_id,
            store_id=store_id,
            till_id=till_id,
            business_date=business_date,
            shift_id=SHIFT_ID,
            receipt_number=f"{number:06d}",
            epoch=self.epoch,
        )

    def _uuid(self, name: str) -> bytes:
        digest = blake2b(f"{self.epoch}/{self.seed}/{name}".encode(), digest_size=16).digest()
        return UUID(bytes=digest, version=4).bytes
