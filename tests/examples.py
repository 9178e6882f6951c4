"""How many examples a property gets that costs too much for as many as the others."""

from hypothesis import settings


def at_most(examples: int) -> settings:
    """Settings of the loaded profile, but with so many examples at most."""
    return settings(max_examples=min(examples, settings().max_examples))
