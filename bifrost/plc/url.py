"""A connection written as a URL: ``modbus-tcp://192.0.2.7:502?unit=1``.

In: text. Out: the protocol and its options as text; their types are the settings' business. Pure.
Obeys: RFC 3986.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from bifrost.errors import ConfigError
from bifrost.plc.drivers.base import ProtocolSpec
from bifrost.plc.drivers.registry import known_protocols, protocol_named

__all__ = ["options_from_url"]


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
    scheme, separator, _ = url.partition("://")
    if not separator:
        example = "modbus-tcp://192.0.2.7:502?unit=1"
        raise ConfigError(
            f"expected a URL such as {example}, got {url!r:.100}; protocols are {', '.join(known_protocols())}"
        )
    spec = protocol_named(scheme)
    try:
        parts = urlsplit(url)
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
        options[spec.url_path] = path if spec.url_host is None else path.strip("/")
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
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
            options[spec.url_path] = url.partition("://")[2].partition("?")[0].strip("/")
        return
    if not host:
        raise ConfigError(f"URL {url!r:.100} names no host; write {spec.name}://HOST or {spec.name}://HOST:PORT")
    options[spec.url_host] = host
    if port is not None:
        options["port"] = port
