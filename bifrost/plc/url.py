"""A connection written as a URL: ``modbus-tcp://192.0.2.7:502?unit=1``.

In: text. Out: the protocol and its options as text; their types are the settings' business. Pure.
Obeys: RFC 3986.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

from bifrost.errors import ConfigError
from bifrost.plc.drivers.base import ProtocolSpec
from bifrost.plc.drivers.registry import known_protocols, protocol_named
from bifrost.plc.settings import refuse_unknown

__all__ = ["options_from_url"]

_WINDOWS_PORT = re.compile(r"/COM\d+/?", re.IGNORECASE)
"""A path that is none: three slashes before a serial port of Windows."""


def options_from_url(url: str) -> tuple[ProtocolSpec, dict[str, str | int]]:
    """Take a URL apart.

    Args:
        url: ``protocol://host:port/path?option=value``; what path and the short names of options mean is the
            protocol's (`ProtocolSpec`).

    Returns:
        The protocol, and the options that the URL names.

    Raises:
        ConfigError: no such protocol, no host where one is needed, or a part that this protocol's URLs do not have.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        example = "modbus-tcp://192.0.2.7:502?unit=1"
        raise ConfigError(
            f"expected a URL such as {example}, got {url!r:.100}; protocols are {', '.join(known_protocols())}"
        )
    spec = protocol_named(scheme)
    if not rest.isprintable():
        raise ConfigError(f"cannot read URL {url!r:.100}: it has a character that cannot be printed; write it as %XX")
    try:
        # Without the protocol, whose name may have an underscore, which no scheme of RFC 3986 has.
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"cannot read URL {url!r:.100}: {error}") from None
    if parts.username is not None or parts.fragment:
        raise ConfigError(f"URL {url!r:.100}: a {spec.name} URL has no user and no '#' part")
    options: dict[str, str | int] = {}
    _put_place(spec, url, host, port, options)
    path = unquote(parts.path)
    if path.strip("/") and not (spec.url_host is None and host is not None):
        if spec.url_path is None:
            raise ConfigError(f"URL {url!r:.100}: a {spec.name} URL has no path; options stand behind '?'")
        bare = spec.url_host is not None or _WINDOWS_PORT.fullmatch(path)
        options[spec.url_path] = path.strip("/") if bare else path
    query = parse_qsl(parts.query, keep_blank_values=True)
    refuse_unknown([key for key, _ in query], spec.settings, spec.name, short=spec.url_names)
    for key, value in query:
        option = spec.url_names.get(key, key)
        if option in options:
            raise ConfigError(f"URL {url!r:.100} says {option} twice")
        options[option] = value
    return spec, options


def _put_place(spec: ProtocolSpec, url: str, host: str | None, port: int | None, options: dict[str, str | int]) -> None:
    if spec.url_host is None:
        if host is not None:
            # Two slashes and a name, as in modbus-rtu://COM3: what Windows calls a port stands where a host would.
            if spec.url_path is None or port is not None:
                raise ConfigError(f"URL {url!r:.100}: a {spec.name} URL has no host; write {spec.name}:///path")
            options[spec.url_path] = unquote(url.partition("://")[2].partition("?")[0]).rstrip("/")
        return
    if not host:
        raise ConfigError(f"URL {url!r:.100} names no host; write {spec.name}://HOST or {spec.name}://HOST:PORT")
    options[spec.url_host] = unquote(host)  # the zone of an IPv6 address is written with %25; RFC 6874 section 2
    if port is not None:
        options["port"] = port
