"""`python -m api`: serves the API. Settings: see reconciler.process.settings.Api."""

import sys

from api.places import WAITING
from reconciler.process.account import other_mapping
from reconciler.process.settings import Api, InvalidSettings, load
from reconciler.process.wsgi import serve


def main() -> int:
    """Check the settings, then serve until a signal."""
    try:
        settings = load(Api)
    except InvalidSettings as error:
        print(error, file=sys.stderr)
        return 2
    if problem := other_mapping(settings):
        print(problem, file=sys.stderr)
        return 2
    serve(
        "api.wiring:application",
        host=settings.api_host,
        port=settings.api_port,
        processes=settings.api_processes,
        threads=settings.api_threads + WAITING,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
