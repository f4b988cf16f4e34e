"""A strict local copy of HubSpot's contacts API, with webhooks, a lagging search index and faults on request.

`with start() as sandbox:` gives tests one in this process, `python -m sandbox` runs one by itself. It knows
nothing of its clients.
"""

from sandbox.contact import USER, Contact, Origin
from sandbox.errors import HubSpotError
from sandbox.faults import Fault
from sandbox.portal import Portal
from sandbox.running import Sandbox, start
from sandbox.settings import Settings

__all__ = ["USER", "Contact", "Fault", "HubSpotError", "Origin", "Portal", "Sandbox", "Settings", "start"]
