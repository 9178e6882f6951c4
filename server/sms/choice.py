"""The transport that the settings choose."""

from server.settings import PREFIX, Settings, is_port
from server.sms.file import FileTransport
from server.sms.gateway import HttpTransport
from server.sms.smpp import SmppLink, SmppTransport
from server.sms.transport import Transport


def transport_of(settings: Settings) -> Transport | None:
    """The transport; None where messages wait in the outbox.

    Raises:
        SystemExit: a setting that it needs is missing or no address.
    """
    match settings.sms_transport:
        case "file":
            return FileTransport(settings.sms_file)
        case "http":
            if not settings.sms_url.startswith(("http://", "https://")):
                raise SystemExit(f"{PREFIX}SMS_URL: the address of the gateway is needed")
            return HttpTransport(settings.sms_url, settings.sms_password, settings.sms_sender)
        case "smpp":
            return SmppTransport(_link_of(settings))
    return None


def _link_of(settings: Settings) -> SmppLink:
    host, _, port = settings.sms_url.rpartition(":")
    if not host or not is_port(port):
        raise SystemExit(f"{PREFIX}SMS_URL: host:port of the SMSC is needed")
    if not settings.sms_sender:
        raise SystemExit(f"{PREFIX}SMS_SENDER is needed")
    return SmppLink(host, int(port), settings.sms_user, settings.sms_password, settings.sms_sender)
