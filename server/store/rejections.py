"""What the stores reject although nothing is broken: each with the facts its caller can say."""

from server.instant import iso_instant


class RejectionError(Exception):
    """Base: the rows asked for contradict what is there. Nothing was written."""


class EffectiveTooEarlyError(RejectionError):
    """A version cannot become effective then.

    Attributes:
        earliest_us: the first instant that would do, UTC microseconds.
        scheduled: the version that has to be followed, and its instant, UTC microseconds; None if
            only the lead is in the way.
    """

    def __init__(self, earliest_us: int, scheduled: tuple[int, int] | None = None) -> None:
        """Keep the instant, and say what to do."""
        text = f"a version can become effective from {iso_instant(earliest_us)} on"
        if scheduled is not None:
            version, at_us = scheduled
            text = (
                f"version {version} is scheduled for {iso_instant(at_us)}: {text}; to count before "
                "that, publish again with replaces_scheduled (loyaltyctl: --replace-scheduled): "
                "what is scheduled for later then never comes into force"
            )
        super().__init__(text)
        self.earliest_us = earliest_us
        self.scheduled = scheduled


class CustomerNumberError(RejectionError):
    """A customer's id belongs to another number: two numbers have one hash.

    Attributes:
        row: position of the customer in the batch.
    """

    def __init__(self, row: int) -> None:
        """Keep the row."""
        super().__init__(f"row {row}: the id of this customer number belongs to another number")
        self.row = row


class IdentifierTakenError(RejectionError):
    """An identifier belongs to another customer.

    Attributes:
        row: position of the customer in the batch.
        identifier: position of the identifier in its row.
    """

    def __init__(self, row: int, identifier: int) -> None:
        """Keep the place."""
        text = f"row {row}: its identifier {identifier} belongs to another customer"
        super().__init__(text)
        self.row = row
        self.identifier = identifier
