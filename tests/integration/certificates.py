"""Certificates for one test, made by openssl: an authority, and a device that it vouches for."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

__all__ = ["Certificates", "make_certificates"]


class Certificates:
    """Files of one authority.

    Attributes:
        authority: its certificate.
        device: the certificate of a device at 127.0.0.1.
        device_key: its key.
    """

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "authority.pem"
        self.device = folder / "device.pem"
        self.device_key = folder / "device.key"

    def server_context(self, *, asks: bool = False) -> ssl.SSLContext:
        """What the device serves with; `asks`: clients must show a certificate of the same authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.device, self.device_key)
        if asks:
            context.load_verify_locations(self.authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def make_certificates(folder: Path) -> Certificates:
    """Make them in `folder`; without openssl a test fails in CI and is skipped elsewhere."""
    if shutil.which("openssl") is None:
        if os.environ.get("CI"):
            pytest.fail("openssl is missing; run: apt-get install openssl")
        pytest.skip("needs openssl; run: apt-get install openssl")
    made = Certificates(folder)
    key = folder / "authority.key"
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    _openssl(*new, "-subj", "/CN=authority", "-keyout", str(key), "-out", str(made.authority))
    signed = ["-CA", str(made.authority), "-CAkey", str(key), "-addext", "basicConstraints=CA:FALSE"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    out = ["-keyout", str(made.device_key), "-out", str(made.device)]
    _openssl(*new, "-subj", "/CN=device", *signed, *names, *out)
    return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)
