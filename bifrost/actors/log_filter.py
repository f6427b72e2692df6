"""Puts the actor's name on log records, whoever logs.

In: records. Out: the same records with the attributes ``actor``, ``incarnation`` and ``system``. Not here: handlers and
formatters, which are the application's.
"""

from __future__ import annotations

import logging

from bifrost.actors.incarnation import CURRENT

__all__ = ["ActorLogFilter"]


class ActorLogFilter(logging.Filter):
    """Lets every record through, with the attributes of the actor whose code logs it.

    Add it to a handler, so that libraries called from an actor are covered too. A record that has the attributes
    already, as those of `ActorContext.log` have, keeps them; outside of actors they are None, so that a format string
    may always use them.

    Example:
        >>> handler = logging.StreamHandler()
        >>> handler.addFilter(ActorLogFilter())
        >>> handler.setFormatter(logging.Formatter("%(levelname)s %(system)s %(actor)s#%(incarnation)s %(message)s"))
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add what is missing."""
        life = CURRENT.get()
        context = None if life is None else life.ctx
        known = record.__dict__
        known.setdefault("actor", None if context is None else context.path)
        known.setdefault("incarnation", None if context is None else context.incarnation)
        known.setdefault("system", None if context is None else context.system.name)
        return True
