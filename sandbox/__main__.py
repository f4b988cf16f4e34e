"""`python -m sandbox`: serve until SIGINT or SIGTERM. Exit code 2 for settings that are not right."""

import signal
import sys
import threading

from pydantic import ValidationError

from sandbox.running import Sandbox
from sandbox.settings import Settings, from_environment


def main() -> int:
    """Read the settings and serve."""
    try:
        settings = from_environment()
    except ValidationError as error:
        for each in error.errors():
            print(f"SANDBOX_{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}", file=sys.stderr)
        return 2
    return _serve(settings)


def _serve(settings: Settings) -> int:
    try:
        sandbox = Sandbox(settings)
    except OSError as error:
        print(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}", file=sys.stderr)
        return 2
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    threading.Thread(target=sandbox.serve, name="sandbox", daemon=True).start()
    print(f"HubSpot stand-in on {sandbox.url}", flush=True)
    ended.wait()
    sandbox.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
