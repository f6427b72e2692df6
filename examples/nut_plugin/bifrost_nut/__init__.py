"""Network UPS Tools for bifrost: tags in, readings of power supplies out.

Not here: reconnecting, polling, batches, supervision; bifrost adds them. Obeys: RFC 9271.
"""

from bifrost_nut.driver import NutDriver
from bifrost_nut.settings import NutSettings

__all__ = ["NutDriver", "NutSettings"]
