"""Options of the MQTT connector, checked before any connection."""

from __future__ import annotations

import ipaddress
import ssl
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from bifrost.core.settings import LocalPath, Problem, Secret, Settings
from bifrost.errors import ConfigError

__all__ = ["MqttSettings"]

_FIELDS = {"stream", "origin", "tag"}
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class MqttSettings(Settings, frozen=True):
    """Options of the MQTT connector (MQTT 5, QoS 1). A gateway takes relative files from its data directory.

    Attributes:
        url: ``mqtts://host[:port]``; ``mqtt://`` without TLS only to this machine, unless `insecure` says so.
        topic: template with ``{stream}``, ``{origin}`` (device or pipeline) and ``{tag}``; with ``{tag}`` every tag's
            samples travel in messages of their own.
        client_id: identity at the broker; unique there. Empty lets the broker choose one.
        username: for the broker; never in a repr or log.
        password: for the broker; never in a repr or log. Better is `password_file`.
        password_file: file whose first line is the password; read at every connect.
        ca_file: PEM of the authorities to trust instead of the machine's own.
        cert_file: PEM of the own certificate, for brokers that ask for one.
        key_file: PEM of its key.
        insecure: allow ``mqtt://`` to another machine: everything can be read and changed on the way.
        payload: ``json``, or ``batch``: bifrost's own lossless encoding, compressed.
        max_payload_bytes: a larger payload is split; 128 KiB is what the strictest cloud takes.
        max_in_flight: messages sent and not acknowledged at most; fewer if the broker says so.
        keepalive: seconds.
        timeout: seconds to wait for a connection or acknowledgement.
        on_denied: what a "not authorized" is: ``hold`` keeps the samples and tries again until the rights are mended,
            ``dead_letter`` gives up after the attempts of the retry settings.
    """

    url: str = "mqtts://localhost"
    topic: str = "bifrost/{stream}/{origin}"
    client_id: str = ""
    username: str | None = None
    password: Secret | None = None
    password_file: LocalPath | None = None
    ca_file: LocalPath | None = None
    cert_file: LocalPath | None = None
    key_file: LocalPath | None = None
    insecure: bool = False
    payload: Literal["json", "batch"] = "json"
    max_payload_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1 << 28)] = 128 << 10
    max_in_flight: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 20
    keepalive: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 30
    timeout: Annotated[float, msgspec.Meta(gt=0, le=600)] = 10.0
    on_denied: Literal["hold", "dead_letter"] = "hold"

    def problems(self) -> Iterator[Problem]:
        """Tell what can never work or would be unsafe; whoever makes a connection of these settings asks first."""
        yield from (Problem(("url",), text) for text in self._wrong_in_url())
        yield from (Problem(("topic",), text) for text in self._wrong_in_topic())
        if self.password is not None and self.password_file is not None:
            yield Problem(("password_file",), "stands beside password: leave one out")
        if (self.password or self.password_file) and self.username is None:
            yield Problem(("username",), "missing: a password without a username is given")
        for name, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
            if getattr(self, name) is None and getattr(self, other) is not None:
                yield Problem((name,), "missing: cert_file and key_file belong together, give both or none")

    def __repr__(self) -> str:
        return f"MqttSettings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # what rich shows; msgspec's own shows every field
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        for secret in ("username", "password"):
            shown[secret] = None if shown[secret] is None else "***"
        return list(shown.items())

    @property
    def host(self) -> str:
        """The broker's name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The broker's port; 8883 with TLS and 1883 without, unless the URL says otherwise."""
        parts = urlsplit(self.url)
        return parts.port or _PORTS[parts.scheme]

    @property
    def has_tls(self) -> bool:
        """True for ``mqtts://``."""
        return urlsplit(self.url).scheme == "mqtts"

    def tls_context(self) -> ssl.SSLContext | None:
        """A context that checks the broker's certificate and name; None without TLS.

        Raises:
            ConfigError: a file cannot be read or is no PEM.
        """
        if not self.has_tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"the certificates of {self.url} cannot be used: {error}") from error
        return context

    def secret(self) -> str | None:
        """The password, from where it is kept.

        Raises:
            ConfigError: the file cannot be read.
        """
        if self.password_file is None:
            return self.password
        try:
            return Path(self.password_file).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"password_file {self.password_file} cannot be read: {error}") from error

    def _wrong_in_url(self) -> Iterator[str]:
        form = "url must be mqtts://host[:port] or mqtt://host[:port]"
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError:
            yield form
            return
        if parts.scheme not in _PORTS or not parts.hostname or port == 0:
            yield form
            return
        if parts.username is not None or parts.password is not None:
            yield "url holds credentials: move them to username and password_file"
        if parts.path not in {"", "/"} or parts.query or parts.fragment:
            yield "url ends after the port: a path or query means nothing in MQTT"
        if parts.scheme == "mqtt" and not self.insecure and not _is_loopback(parts.hostname):
            yield f"mqtt:// to {parts.hostname} is not encrypted: use mqtts://, or say insecure = true"

    def _wrong_in_topic(self) -> Iterator[str]:
        try:
            fields = {field for _, field, _, _ in string.Formatter().parse(self.topic) if field is not None}
        except ValueError as error:
            yield f"topic '{self.topic}' is no template: {error}"
            return
        if unknown := sorted(fields - _FIELDS):
            yield f"topic has unknown fields {', '.join(unknown)}: known are {', '.join(sorted(_FIELDS))}"
        if not self.topic or self.topic.startswith("$") or set(self.topic) & set("+#\0"):
            yield "topic must not be empty, begin with $, or hold + or #"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
