"""A TCP proxy for bad lines: cuts, resets, stalls and drips connections, at random or on demand."""

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from random import Random

CHUNK = 64 * 1024
LINGER = struct.pack("ii", 1, 0)
"""Close with a reset."""


class Ill(Enum):
    """What befalls a connection."""

    CUT = auto()
    RESET = auto()
    STALL = auto()
    DRIP = auto()


class Proxy:
    """Listens on a port of this machine; `upstream` makes the connection behind each one accepted.

    `share` of the connections are doomed, each after some bytes; 0 is fine weather.
    """

    def __init__(self, upstream: Callable[[], socket.socket], random: Random, *, stall: float = 1.0) -> None:
        self.share, self.struck, self.swallows = 0.0, 0, False
        self._upstream, self._random, self._stall = upstream, random, stall
        self._open: set[socket.socket] = set()
        self._swallowed: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._listen, daemon=True, name="proxy").start()

    def close(self) -> None:
        """Stop listening, and end what is open."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()

    def cut_all(self) -> None:
        """Reset every connection that is open."""
        for each in list(self._open):
            self._end(each, reset=True)

    def swallow_all(self) -> None:
        """From now on pass nothing on of what the open connections send, in silence; new ones too, while `swallows`."""
        self._swallowed |= self._open

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        try:
            far = self._upstream()
        except OSError:
            self._end(near, reset=False)
            return
        ills = [Fate(self._random), Fate(self._random)] if self._random.random() < self.share else [None, None]
        self._open |= {near, far}
        self._swallowed |= {near, far} if self.swallows else set()
        for source, sink, fate in ((near, far, ills[0]), (far, near, ills[1])):
            threading.Thread(target=self._pump, args=(source, sink, fate), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, fate: "Fate | None") -> None:
        is_reset = False
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if source in self._swallowed:
                    continue
                if fate is None or fate.spares(len(data)):
                    sink.sendall(data)
                    continue
                self.struck += 1
                is_reset = fate.ill is not Ill.CUT
                self._strike(fate, data, sink)
                break
        for each in (source, sink):
            self._end(each, reset=is_reset)

    def _strike(self, fate: "Fate", data: bytes, sink: socket.socket) -> None:
        """Let a part of the data through, the way the fate has it; the connection ends after it."""
        left = data[: fate.left]
        if fate.ill is Ill.DRIP:
            for byte in left[:20]:
                sink.sendall(bytes([byte]))
                time.sleep(self._stall / 20)
        else:
            sink.sendall(left)
        if fate.ill is Ill.STALL:
            time.sleep(self._stall)

    def _end(self, each: socket.socket, *, reset: bool) -> None:
        self._open.discard(each)
        with suppress(OSError):
            if reset:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            each.shutdown(socket.SHUT_RDWR)
        each.close()


class Fate:
    """After how many bytes a direction of a connection ends, and how."""

    def __init__(self, random: Random) -> None:
        self.ill = random.choice(list(Ill))
        self.left = int(10 ** random.uniform(2, 5))

    def spares(self, size: int) -> bool:
        """Count bytes; False once the last ones are reached."""
        if size < self.left:
            self.left -= size
            return True
        return False
