"""Who changes the rules amid a storm."""

from collections import Counter
from pathlib import Path

from pos_sim.server_process import DemoError, publish
from pos_sim.storm.ladder import write_variant


class Author:
    """Publishes other versions of the program, while tills sell and servers are killed."""

    def __init__(self, target: str, folder: Path, counted: Counter[str]) -> None:
        """Get ready.

        Args:
            target: host:port of a server.
            folder: the program is written beside it.
            counted: how often something was done.
        """
        self._target = target
        self._path = folder.with_name(f"{folder.name}.program.toml")
        self._count = counted
        self._versions = 0

    async def publish(self) -> None:
        """Put the next version in force; a server that is killed meanwhile may not take it."""
        self._versions += 1
        self._path.write_text(write_variant(self._versions))
        try:
            await publish(self._path, self._target)
        except DemoError:
            self._count["programs not published"] += 1
        else:
            self._count["programs published"] += 1
