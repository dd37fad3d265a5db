"""What travels over a session's sockets: the kinds of frames, and what is in them."""

from __future__ import annotations

from pybridge.wire import MAX_FDS, Frames, Gone, own_peer, pack, receive, send

__all__ = [
    "ACCEPTED",
    "BUSY",
    "END",
    "ENDED",
    "EXIT",
    "FIELDS",
    "INTERRUPT",
    "MAX_FDS",
    "NOTE",
    "OUTPUT",
    "REQUEST",
    "RESIZED",
    "STARTED",
    "Frames",
    "Gone",
    "own_peer",
    "pack",
    "receive",
    "send",
]

# From the client.
REQUEST = b"R"  # FIELDS, NUL between them; with it go file descriptors 0, 1 and 2
INTERRUPT = b"I"
RESIZED = b"W"
# To the client.
ACCEPTED = b"A"  # the request is in the queue; before this it was not looked at
STARTED = b"S"
NOTE = b"N"  # a sentence for stderr
OUTPUT = b"O"  # text for stdout
EXIT = b"X"  # the exit code as text; from the worker with a summary behind a NUL
# Between keeper and worker only.
END = b"E"  # "1" = save first, then "1" = also where something still runs
BUSY = b"B"  # not ended: something still runs
ENDED = b"D"  # what was saved, in words for people

# Of a request, in this order; the text, the last one, may have NULs in it.
FIELDS = ("token", "version", "action", "context", "show", "folder", "text")
