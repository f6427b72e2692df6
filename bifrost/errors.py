"""Every error that bifrost raises, in one tree. The class answers "may I retry?"; the text says what to do.

```
BifrostError
├── ConfigError                 no: mend the settings. Also a ValueError; `.mistakes` lists all of them
│   ├── AddressError            the address form is wrong; the text names the right one
│   ├── DataTypeError           the value or type does not fit the tag
│   └── PluginError             a plug-in is broken: mend or remove it; others are not affected
├── LinkError                   yes, later: the other end is not reachable
│   ├── NotConnected            no link at the moment
│   │   └── ClosedError         no: it was closed on purpose; make a new one
│   └── LinkTimeout             asked, no answer by the deadline
├── ProtocolError               no: what came contradicts the standard; close the link
├── DeviceFault                 ask the device: it understood and said no (`.code`)
│   ├── ModbusFault             a Modbus exception answer
│   ├── CIPFault                a CIP general status (`.extended`)
│   └── S7Fault                 an S7 return or error code
├── BadValue                    look at the reading: it has no value (`.status`)
├── WriteError                  never by itself: `.unknown_outcome` says whether the device may have acted
├── DeliveryError               see the class
│   ├── RetryLater              yes, after `.after` seconds
│   └── Rejected                no: the destination will never take it (`.reason`)
├── WalError                    the write-ahead buffer
│   ├── BufferFull              yes, once it has drained
│   ├── BufferCorrupt           no: quarantined, see the text
│   ├── BufferClosed            no
│   └── BatchTooLarge           no: it will never fit; send smaller ones
├── ActorError                  the actor runtime
│   ├── MailboxFull             yes: the receiver is slow
│   ├── ActorStopped            no: it will not come back by itself
│   ├── ActorRestarted          yes: it was restarted and has not seen the message
│   ├── ActorCrashed            ask: it was handling the message when it crashed (`.cause`)
│   ├── AskTimeout              ask: it may still act
│   ├── AskCycle                no: the asked actor waits for the asker (`.paths`); tell, or ask from a task of its own
│   ├── StartFailed             `.child_id`, `.cause`
│   ├── SupervisorGaveUp        the tree's root exceeded its restart intensity
│   ├── ChildSpecError          no: the specification is wrong. Also a ValueError
│   ├── HandlerError            no: a handler is declared wrongly; the class was not made. Also a TypeError
│   ├── NoHandler               no: the receiver handles no messages of this type
│   ├── HandlerTimeout          ask: a blocking handler overran; it may still act
│   ├── LinkedExit              the cause of a crash: an actor that this one was linked with has ended
│   ├── NameTaken               later, or another name: somebody else has it (`.ref`)
│   ├── NameNotFound            later: nobody has this name
│   └── SupervisionError        an administrative call was refused
│       ├── AlreadyStarted · AlreadyPresent · ChildRunning · ChildRestarting · ChildNotFound · MaxChildren
└── MissingExtra                no: an optional dependency is missing; the text names the extra to install
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = [
    "ActorCrashed",
    "ActorError",
    "ActorRestarted",
    "ActorStopped",
    "AddressError",
    "AlreadyPresent",
    "AlreadyStarted",
    "AskCycle",
    "AskTimeout",
    "BadValue",
    "BatchTooLarge",
    "BifrostError",
    "BufferClosed",
    "BufferCorrupt",
    "BufferFull",
    "CIPFault",
    "ChildNotFound",
    "ChildRestarting",
    "ChildRunning",
    "ChildSpecError",
    "ClosedError",
    "ConfigError",
    "DataTypeError",
    "DeliveryError",
    "DeviceFault",
    "HandlerError",
    "HandlerTimeout",
    "LinkError",
    "LinkTimeout",
    "LinkedExit",
    "MailboxFull",
    "MaxChildren",
    "MissingExtra",
    "ModbusFault",
    "NameNotFound",
    "NameTaken",
    "NoHandler",
    "NotConnected",
    "PluginError",
    "ProtocolError",
    "Rejected",
    "RetryLater",
    "S7Fault",
    "StartFailed",
    "SupervisionError",
    "SupervisorGaveUp",
    "WalError",
    "WriteError",
]


class BifrostError(Exception):
    """Base of every error that bifrost raises."""


class ConfigError(BifrostError, ValueError):
    """The settings are wrong: mend them; a retry changes nothing.

    Attributes:
        mistakes: one line of text for each mistake found, in file order.
    """

    def __init__(self, message: str, *, mistakes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.mistakes: tuple[str, ...] = tuple(mistakes) or (message,)


class AddressError(ConfigError):
    """The address is not one that the protocol knows; the text names the right form."""


class DataTypeError(ConfigError):
    """The value or the data type does not fit the tag; nothing was sent."""


class PluginError(ConfigError):
    """A plug-in cannot be loaded or is no plug-in: mend or remove it; the others go on."""


class LinkError(BifrostError):
    """The other end is not reachable at the moment: retry later."""


class NotConnected(LinkError):
    """There is no link at the moment; it is being re-established."""


class ClosedError(NotConnected):
    """The connection was closed on purpose and stays so: make a new one."""


class LinkTimeout(LinkError):
    """No answer came by the deadline."""


class ProtocolError(BifrostError):
    """What came contradicts the standard: never retry on this link, close it."""


class DeviceFault(BifrostError):
    """The device understood the request and refused it.

    Attributes:
        code: the code from the device's own table.
    """

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


class ModbusFault(DeviceFault):
    """A Modbus exception answer; codes in V1.1b3 section 7."""


class CIPFault(DeviceFault):
    """A CIP service was refused; `code` is the general status, CIP volume 1 appendix B.

    Attributes:
        extended: the extended status; None if there was none.
    """

    def __init__(self, message: str, *, code: int, extended: int | None = None) -> None:
        super().__init__(message, code=code)
        self.extended = extended


class S7Fault(DeviceFault):
    """An S7 CPU refused a job or one item of it; `code` is the item's return code or the job's error code."""


class BadValue(BifrostError):
    """A reading was used as a value and has none.

    Attributes:
        status: the reading's 32-bit OPC UA status code.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class WriteError(BifrostError):
    """A write did not succeed; bifrost never sends a write twice.

    Attributes:
        unknown_outcome: true if the request left this machine and no answer came, so the device may have acted.
        results: of several writes, what became of each by tag name, None for those that were written; else None.
    """

    def __init__(
        self,
        message: str,
        *,
        unknown_outcome: bool = False,
        results: Mapping[str, BifrostError | None] | None = None,
    ) -> None:
        super().__init__(message)
        self.unknown_outcome = unknown_outcome
        self.results = results


class DeliveryError(BifrostError):
    """A sink or uplink did not take a batch."""


class RetryLater(DeliveryError):
    """The destination cannot take it now.

    Attributes:
        after: seconds to wait at least; None leaves it to the caller's back-off.
    """

    def __init__(self, message: str, *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Rejected(DeliveryError):
    """The destination will never take it.

    Attributes:
        reason: the destination's own words.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"rejected by the destination: {reason}")
        self.reason = reason


class WalError(BifrostError):
    """The write-ahead buffer could not do it."""


class BufferFull(WalError):
    """The buffer reached its size cap or the disk is full: retry once it has drained."""


class BufferCorrupt(WalError):
    """Stored bytes do not match their checksum; the row is quarantined, the rest goes on."""


class BufferClosed(WalError):
    """The buffer is closed."""


class BatchTooLarge(WalError):
    """The encoded batch is larger than the buffer ever takes: send smaller ones; a retry changes nothing."""


class ActorError(BifrostError):
    """Something in the actor runtime."""


class MailboxFull(ActorError):
    """The receiver's mailbox stayed full until the deadline: retry later, or slow down."""


class ActorStopped(ActorError):
    """The receiver has stopped and will not come back by itself."""


class ActorRestarted(ActorError):
    """The receiver was restarted before it saw the message: safe to retry."""


class ActorCrashed(ActorError):
    """The receiver crashed while it handled the message: it may have acted.

    Attributes:
        cause: what the handler raised; an `ActorStopped` with the reason if it was killed.
    """

    def __init__(self, message: str, *, cause: BaseException) -> None:
        super().__init__(message)
        self.cause = cause


class AskCycle(ActorError):
    """The asked actor waits, itself or through others, for the answer of the asker: nobody in the ring could go on.

    Attributes:
        paths: the actors of the ring, from the asker on; one path if an actor asks itself.
    """

    def __init__(self, message: str, *, paths: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.paths = tuple(paths)


class AskTimeout(ActorError):
    """No answer by the deadline; a late answer is discarded."""


class StartFailed(ActorError):
    """A child did not start.

    Attributes:
        child_id: the child's id.
        cause: what its start raised.
    """

    def __init__(self, message: str, *, child_id: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.child_id = child_id
        self.cause = cause


class SupervisorGaveUp(ActorError):
    """The root supervisor ended: its restart intensity was exceeded, or a child failed to start."""


class ChildSpecError(ActorError, ValueError):
    """A child or supervisor specification is wrong; nothing was started."""


class HandlerError(ActorError, TypeError):
    """A handler of an actor class is declared wrongly: mend it; the class was not made."""


class NoHandler(ActorError):
    """The receiver handles no messages of this type; it goes on as before. A retry changes nothing."""


class HandlerTimeout(ActorError):
    """A handler in a thread took longer than its `handler_timeout`; it may still act."""


class LinkedExit(ActorError):
    """An actor that this one was linked with has ended abnormally, and so this one ends too.

    Attributes:
        path: the other actor's path.
    """

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class NameTaken(ActorError):
    """Somebody else has the name: take another, or wait until it is released.

    Attributes:
        ref: the actor that has it; None if it is the name of a group.
    """

    def __init__(self, message: str, *, ref: object = None) -> None:
        super().__init__(message)
        self.ref = ref


class NameNotFound(ActorError):
    """Nobody has this name at the moment."""


class SupervisionError(ActorError):
    """An administrative call to a supervisor was refused."""


class AlreadyStarted(SupervisionError):
    """A child with this id is running."""


class AlreadyPresent(SupervisionError):
    """A child with this id exists and is stopped: restart or delete it."""


class ChildRunning(SupervisionError):
    """The call needs a stopped child; this one runs."""


class ChildRestarting(SupervisionError):
    """The call needs a stopped child; this one is being restarted."""


class ChildNotFound(SupervisionError):
    """There is no child with this id."""


class MaxChildren(SupervisionError):
    """The dynamic supervisor has as many children as it may have."""


class MissingExtra(BifrostError, ImportError):
    """An optional dependency is not installed; the text names the extra that brings it."""
