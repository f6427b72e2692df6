"""TLS for Modbus: files and a policy in, a context out. Verified unless it was said in words that it is not.

Obeys: Modbus/TCP Security V2.1 (TLS 1.2 or later; mutual authentication by certificates).
"""

from __future__ import annotations

import ssl
from typing import Literal, Protocol

from bifrost.errors import ConfigError

__all__ = ["TlsOptions", "tls_context"]


class TlsOptions(Protocol):
    """What the settings say about TLS."""

    @property
    def ca_file(self) -> str | None:
        """Certificates that are trusted; None: those of the system."""
        ...

    @property
    def cert_file(self) -> str | None:
        """Our own certificate."""
        ...

    @property
    def key_file(self) -> str | None:
        """Its key."""
        ...

    @property
    def verify(self) -> Literal["full", "none"]:
        """Whether the device must prove who it is."""
        ...


def tls_context(options: TlsOptions) -> ssl.SSLContext:
    """Make the context of a client.

    Raises:
        ConfigError: a file is missing or holds no certificate or key; the text names it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.verify == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        try:
            if options.ca_file is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(options.ca_file)
        except OSError as error:
            raise ConfigError(f"ca_file: cannot use {options.ca_file}: {error}") from error
    if options.cert_file is not None:
        try:
            context.load_cert_chain(options.cert_file, options.key_file)
        except OSError as error:
            raise ConfigError(f"cert_file: cannot use {options.cert_file} and its key: {error}") from error
    return context
