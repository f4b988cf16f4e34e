"""`python -m webhook`: serves the receiver and drains what it marks. Settings: `Webhook` in process.settings."""

import sys

from reconciler.process.account import other_mapping
from reconciler.process.settings import InvalidSettings, Webhook, load
from reconciler.process.wsgi import serve


def main() -> int:
    """Check the settings, then serve until a signal."""
    try:
        settings = load(Webhook)
    except InvalidSettings as error:
        print(error, file=sys.stderr)
        return 2
    if problem := other_mapping(settings):
        print(problem, file=sys.stderr)
        return 2
    serve(
        "webhook.wiring:application",
        host=settings.webhook_host,
        port=settings.webhook_port,
        processes=settings.webhook_processes,
        threads=settings.webhook_threads,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
