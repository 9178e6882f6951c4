"""Settings of the server, from the environment. Every one has a default that works."""

import os
from pathlib import Path
from typing import Annotated, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

PREFIX = "LOYALTY_"
PORT_MAX = 65_535


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings; LOYALTY_LISTEN is `listen`, and so on.

    Attributes:
        listen: address and port of gRPC.
        dsn: a real PostgreSQL; empty starts the embedded one.
        data_dir: where the embedded PostgreSQL keeps its data.
        clock_file: shifts the clock (see `server.clock`); empty is the machine's clock.
        evaluator: `kernel` is the compiled one, `reference` its twin in Python.
        log_level: of the log on standard error.
        drain_s: how long SIGTERM waits for calls in flight, seconds.
        expiry_s: between two looks for expired lots, seconds; 0 never looks by itself.
        parking_s: between two looks for refunds whose sale has come; 0 never looks by itself.
        sms_transport: what carries messages to customers; with `none` they wait in the outbox.
        sms_file: where the file transport appends.
        sms_url: host:port of an SMSC, or the address of an HTTP gateway.
        sms_user: system_id at an SMSC.
        sms_password: at an SMSC, or the token of an HTTP gateway.
        sms_sender: who messages are from: digits, or up to 11 letters.
        sms_poll_s: between two looks for messages that are due, seconds.
        sms_uncertain_s: how long a delivery receipt is waited for where nobody knows what became
            of a submission, before it is sent again, seconds.
    """

    listen: str = "127.0.0.1:50051"
    dsn: str = ""
    data_dir: Path = Path("var/postgres")
    clock_file: str = ""
    evaluator: Literal["kernel", "reference"] = "kernel"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    drain_s: Annotated[float, Meta(ge=0.0, le=86_400.0)] = 10.0
    expiry_s: Annotated[float, Meta(ge=0.0, le=86_400.0)] = 60.0
    parking_s: Annotated[float, Meta(ge=0.0, le=86_400.0)] = 10.0
    sms_transport: Literal["none", "file", "smpp", "http"] = "none"
    sms_file: Path = Path("var/sms.jsonl")
    sms_url: str = ""
    sms_user: str = ""
    sms_password: str = ""
    sms_sender: str = ""
    sms_poll_s: Annotated[float, Meta(ge=0.01, le=3_600.0)] = 1.0
    sms_uncertain_s: Annotated[float, Meta(ge=0.0, le=86_400.0)] = 600.0


def read_settings(environment: dict[str, str] | None = None) -> Settings:
    """Read the settings.

    Args:
        environment: as os.environ, which is the default.

    Raises:
        SystemExit: a value is not acceptable; the message names the variable.
    """
    values = os.environ if environment is None else environment
    found = {
        field.name: values[PREFIX + field.name.upper()]
        for field in msgspec.structs.fields(Settings)
        if PREFIX + field.name.upper() in values
    }
    try:
        settings = msgspec.convert(found, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        reason, _, name = str(error).rpartition(" - at `$.")
        name = name.rstrip("`")
        raise SystemExit(f"{PREFIX}{name.upper()}: {_reason(name, reason, found)}") from None
    _check_listen(settings.listen)
    return settings


def _reason(name: str, reason: str, found: dict[str, str]) -> str:
    """What is wrong with a value; of a word also which there are."""
    words = get_args(get_type_hints(Settings)[name])
    if words:
        return f"{found[name]!r} is none of {', '.join(words)}"
    return reason.replace("`", "")


def _check_listen(listen: str) -> None:
    """Refuse what gRPC does not: it takes 99999 for some other port, and 0 for any."""
    host, _, port = listen.rpartition(":")
    if not host or not is_port(port):
        reason = f"{listen!r} is no address and port; for example 127.0.0.1:50051"
        raise SystemExit(f"{PREFIX}LISTEN: {reason}")


def is_port(text: str) -> bool:
    """Whether it is the number of a TCP port."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(PORT_MAX))
    return is_number and 1 <= int(text) <= PORT_MAX


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        if not value:
            raise ValueError("is empty: name a directory, or leave it unset")
        return Path(value)
    raise NotImplementedError(f"no setting is of type {kind.__name__}")
