"""The system as it is deployed: both servers behind the shipped proxy, between the two sides."""

from dataclasses import dataclass
from typing import Any

import orjson
from proxies import Proxy
from running_servers import Server
from systems import KAI
from wire import ask
from world import World


@dataclass(frozen=True)
class Behind:
    """The two sides, the proxy before the processes, and an admin's header."""

    world: World
    proxy: Proxy
    api: Server
    webhook: Server
    authorization: str

    def state(self) -> list[Any]:
        """What a refused request or delivery must leave as it was."""
        # Not what the receiver's worker adds in its own time to customers that were created before.
        columns = "uuid, email, firstname, lastname, phone, company, website, createdat, deletedat, erasedat"
        customers = f"select {columns} from customer order by uuid"
        counted = "select kind, count from sync.event where position(':' in kind) = 0 order by kind"
        kept = "select hash from sync.quarantine order by id"
        return [self.world.sql(statement) for statement in (customers, counted, kept)]


def create_kai(behind: Behind) -> None:
    """Create the customer about whom the requests of this folder are."""
    headers = {"Authorization": behind.authorization, "Content_Type": "application/json"}
    assert ask(behind.proxy.api, "POST", "/", orjson.dumps(KAI), **headers).status == 201
