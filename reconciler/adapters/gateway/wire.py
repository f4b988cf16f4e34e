"""The official client, as far as it is used: it sends requests, over connections of ours."""

from collections.abc import Callable
from typing import Any, cast

from hubspot import HubSpot

from reconciler.adapters.gateway.requests import Request
from reconciler.adapters.gateway.transport import CONNECT_TIMEOUT, READ_TIMEOUT, BoundedPool, Reply, open_connections
from reconciler.adapters.gateway.way import Way

CONNECTIONS = 80
"""Threads that may call at once: a sweep's and a drain's at their most, and the other jobs'."""

HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}


class Wire:
    """Sends requests. `token` is asked for at every call, so a replaced one is used without a restart."""

    def __init__(self, base_url: str, token: Callable[[], str], way: Way, clock: Callable[[], float]) -> None:
        self.token = token
        # Each property access of the client builds a new one: it is taken once, on one pool, ours.
        self._client = HubSpot(access_token="", host=base_url).crm.contacts.basic_api.api_client
        self._client.rest_client.pool_manager = BoundedPool(open_connections(way, CONNECTIONS), clock)

    def send(self, request: Request[Any]) -> Reply:
        """Send a request; raise `Rejected` for anything but 2xx, and what there is when no answer comes."""
        self._client.configuration.access_token = self.token()
        answer = self._client.call_api(
            request.path,
            request.method,
            query_params=list(request.query),
            header_params=dict(HEADERS),
            body=request.body,
            auth_settings=["oauth2"],
            _preload_content=False,
            _request_timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
        )
        return cast(Reply, answer)
