"""Hangs up on clients whose request does not come to its end: the server has no deadline for a body of its own.

Nor does it say which socket a request came by; so the process's own are looked at. (Linux; elsewhere none is hung up
on.)
"""

import os
import socket
import stat
import struct
from contextlib import ExitStack, suppress
from pathlib import Path

FOLDER = Path("/proc/self/fd")
TIMES = struct.Struct("=44xI4xI")
"""Where Linux's tcp_info has the milliseconds since data was sent last, and since some was received."""


def hang_up(port: int, address: str, *, count: int, waited: float) -> None:
    """Let the server read an end of `count` requests from this address that have let it wait so long.

    They are among those that were sent nothing for so many seconds, and sent something since. If these are more, some
    wait themselves, for an answer that takes long. Which is which cannot be told: it is left for another time.
    """
    with ExitStack() as stack:
        silent = []
        for name in _descriptors():
            with suppress(OSError):
                if stat.S_ISSOCK((FOLDER / name).stat().st_mode):
                    connection = stack.enter_context(_copy(int(name)))
                    if _is_from(connection, port, address) and _is_silent(connection, waited):
                        silent.append(connection)
        for connection in silent if len(silent) <= count else ():
            with suppress(OSError):
                # Only the reading side: they hear why.
                connection.shutdown(socket.SHUT_RD)


def _descriptors() -> list[str]:
    """Return this process's; none where they cannot be listed, as when there are no more to be had."""
    try:
        return os.listdir(FOLDER)
    except OSError:
        return []


def _copy(descriptor: int) -> socket.socket:
    copy = os.dup(descriptor)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def _is_from(connection: socket.socket, port: int, address: str) -> bool:
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    return bool(connection.getsockname()[1] == port and connection.getpeername()[0] == address)


def _is_silent(connection: socket.socket, seconds: float) -> bool:
    sent, received = TIMES.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TIMES.size))
    return bool(sent >= seconds * 1000 and received <= sent)
