"""Ports for servers that tests start."""

import socket

_reserved: list[socket.socket] = []


def free_port() -> int:
    """Return a port that nobody listens on, and that no other test is given while this process runs.

    Servers that share a port (SO_REUSEPORT) would not notice each other. The UDP port of the same number is the
    reservation.
    """
    while True:
        reservation = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = int(listener.getsockname()[1])
            try:
                reservation.bind(("127.0.0.1", port))
            except OSError:
                reservation.close()
                continue
        _reserved.append(reservation)
        return port
