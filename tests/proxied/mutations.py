"""Makes hostile input of good input: by a seed, so that whatever is found can be made again."""

from collections.abc import Callable
from random import Random

PIECES = [
    *(b"\x00", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xae", b"\r\n", b" ", b"\t", b"="),
    *(b".", b"..", b",", b":", b'"', b"\\", b"\\u0000", b"\\ud800", b"[", b"]", b"{", b"}", b"[" * 40, b'{"a":' * 40),
    *(b"null", b"true", b"NaN", b"Infinity", b"-0", b"1e400", b"9" * 30, b"9223372036854775808", b"-1", b"1.0"),
    *(
        "１２３".encode(),
        "٣".encode(),
        "аdmin".encode(),
        b"none",
        b"HS256",
        b"admin",
        b"user",
        b"%00",
        b"%2e",
        b"A" * 300,
    ),
]


class Mutator:
    """Changes bytes in the ways that break readers."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._ways: list[Callable[[bytearray], object]] = [
            *(self._flip, self._replace, self._insert, self._delete, self._double, self._cut, self._swap, self._case),
        ]

    def changed(self, data: bytes, *, most: int = 3) -> bytes:
        """Return the data after one to `most` changes."""
        found = bytearray(data)
        for _ in range(self._random.randint(1, most)):
            self._random.choice(self._ways)(found)
        return bytes(found)

    def text(self, text: str, *, most: int = 3) -> str:
        """Return a header's text, as a server hands it on, after some changes."""
        return self.changed(text.encode("latin-1", "replace"), most=most).decode("latin-1")

    def noise(self, longest: int = 200) -> bytes:
        """Return any bytes."""
        return self._random.randbytes(self._random.randint(0, longest))

    def _at(self, data: bytearray) -> int:
        return self._random.randrange(len(data)) if data else 0

    def _span(self, data: bytearray) -> slice:
        start = self._at(data)
        return slice(start, start + self._random.choice([1, 1, 2, 4, 16, 64]))

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._at(data)] ^= 1 << self._random.randrange(8)

    def _replace(self, data: bytearray) -> None:
        if data:
            data[self._at(data)] = self._random.randrange(256)

    def _insert(self, data: bytearray) -> None:
        at = self._random.randint(0, len(data))
        data[at:at] = self._random.choice(PIECES)

    def _delete(self, data: bytearray) -> None:
        del data[self._span(data)]

    def _double(self, data: bytearray) -> None:
        span = self._span(data)
        data[span.start : span.start] = data[span]

    def _cut(self, data: bytearray) -> None:
        del data[self._random.randint(0, len(data)) :]

    def _swap(self, data: bytearray) -> None:
        at = self._at(data)
        data[:] = data[at:] + data[:at]

    def _case(self, data: bytearray) -> None:
        span = self._span(data)
        data[span] = data[span].swapcase()
