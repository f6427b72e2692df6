"""Messages put aside by the actor itself, to be handled later, in their order.

In: the message in hand. Out: the same message, back at the front of the mailbox, with the answer that is still owed
for it. A stash ends with its incarnation: what is in it then goes back into the mailbox first.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from bifrost.actors.carrier import NOTHING
from bifrost.actors.mailbox import Envelope, Lane
from bifrost.errors import ActorError, MailboxFull

if TYPE_CHECKING:
    from bifrost.actors.incarnation import Incarnation

__all__ = ["NOBODY", "nudge", "put_aside", "take_back"]


class _Nobody:
    """The reply of an envelope that nobody is to handle."""

    __slots__ = ()

    def done(self) -> bool:
        return True


NOBODY: Final[Any] = _Nobody()
"""Makes an envelope that is passed over when its turn comes."""


def nudge() -> Envelope:
    """An envelope that is passed over when its turn comes; for what has to happen between two messages."""
    envelope = Envelope(None, reply=NOBODY, lane=Lane.SYSTEM)
    envelope.bounded = False
    return envelope


def put_aside(inc: Incarnation, *, in_thread: bool = False) -> None:
    """Put the message in hand into the stash.

    Args:
        inc: whose message.
        in_thread: the handler runs in a thread and waits for this call, so that it need not be the code that runs.

    Raises:
        ActorError: there is no message in hand, or it is in the stash already.
        MailboxFull: the stash holds as many messages as the mailbox may.
    """
    cell = inc.cell
    item = inc.current
    if item is NOTHING or not (in_thread or inc.is_handling_here()):
        raise ActorError(f"{cell.path}: there is no message in hand to be stashed; call stash in the handler itself")
    stash = inc.more().stash
    if type(item) is Envelope and item.stashed:
        raise ActorError(f"{cell.path}: the message in hand is stashed already")
    if len(stash) >= cell.spec.mailbox.capacity:
        raise MailboxFull(f"{cell.path}: {len(stash)} messages are stashed, as many as the mailbox holds; unstash_all")
    if type(item) is Envelope:
        kept = Envelope(item.message, reply=item.reply, lane=item.lane)
        kept.owner, kept.expires, kept.trace = item.owner, item.expires, item.trace
        item.reply = None  # what the handler returns now answers nobody
    else:
        # An asker who runs the handler on its own stack will wait for this; if nobody does, nobody misses it.
        kept = Envelope(item, reply=cell.system.loop.create_future())
        assert kept.reply is not None
        kept.reply.add_done_callback(_seen)
    kept.bounded = False
    kept.stashed = True
    inc.current = kept
    stash.append(kept)
    # Whoever runs the handler looks at the mailbox when it has returned, and so finds that the answer is still owed.
    cell.mailbox.push(nudge())


def take_back(inc: Incarnation) -> int:
    """Put what is stashed back at the front of the mailbox; return how many messages that were."""
    extras = inc.extras
    if extras is None or not extras.stash:
        return 0
    cell = inc.cell
    kept = [envelope for envelope in extras.stash if not envelope.is_dead]
    extras.stash.clear()
    for envelope in reversed(kept):
        envelope.stashed = envelope is inc.current
        cell.mailbox.push_front(envelope)
    cell.regate()
    if cell.idle:
        cell.awaken()
    return len(kept)


def _seen(reply: asyncio.Future[Any]) -> None:
    if not reply.cancelled():
        reply.exception()
