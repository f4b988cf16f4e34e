"""Who writes meanwhile: API clients that repeat by key, people in HubSpot, programs at SQL. The ledger has it all.

Each of them has a column of its own (phone, company, website) and addresses of its own; `lastname` is everybody's.
"""

import http.client
import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from time import monotonic
from typing import Any
from uuid import uuid4

import psycopg
from ledger import Ledger, Write

from sandbox.errors import HubSpotError
from sandbox.portal import Portal

PATIENCE = 250.0
"""Seconds for which a client repeats a request that nobody answers: each death keeps its key in flight for a minute."""

Answer = tuple[int, Any]


class Person(threading.Thread):
    """Writes again and again until it is stopped."""

    def __init__(self, name: str, ledger: Ledger, seed: int, pause: float) -> None:
        super().__init__(name=name, daemon=True)
        self.ledger, self.random = ledger, Random(f"{seed} {name}")
        self.stopped, self._pause = threading.Event(), pause
        self.failure: BaseException | None = None
        self.mine: list[str] = []
        self.unanswered: list[Any] = []
        self._count = 0

    def run(self) -> None:
        try:
            while not self.stopped.wait(self.random.uniform(0, self._pause)):
                self.write()
        except BaseException as error:
            self.failure = error

    def write(self) -> None:
        raise NotImplementedError

    def address(self) -> str:
        """A new address."""
        self._count += 1
        return f"{self.name}-{self._count}@example.com"

    def value(self) -> str:
        """A value that nobody else writes."""
        return f"{self.name} {self.random.getrandbits(48):x}"


class Client(Person):
    """Calls the API; what is not answered is repeated with its key."""

    def __init__(self, name: str, ledger: Ledger, seed: int, port: int, token: str, pause: float = 0.05) -> None:
        super().__init__(name, ledger, seed, pause)
        self._port, self._token = port, token
        self.repeats = 0

    def write(self) -> None:
        doing = self.random.choices([self._create, self._update, self._batch, self._remove], [5, 6, 2, 1])[0]
        doing() if self.mine or doing == self._batch else self._create()

    def _create(self) -> None:
        email, values = self.address(), {"phone": self.value(), "lastname": self.value()}
        with self.ledger.writing("api", email, alive=True, **values) as writes:
            body = {"email": email, "firstname": "A", **values}
            self._end(self.ask("POST", "/", body), writes, (201,), email)
        self.mine.append(email)

    def _update(self) -> None:
        email, column = self.random.choice(self.mine), self.random.choice(["phone", "phone", "lastname"])
        values = {column: self.value()}
        with self.ledger.writing("api", email, **values) as writes:
            self._end(self.ask("PUT", f"/{email}", values), writes, (200,), email)

    def _remove(self) -> None:
        email = self.mine.pop(self.random.randrange(len(self.mine)))
        with self.ledger.writing("api", email, alive=False) as writes:
            # Repeated after it was done, a deletion finds nobody.
            self._end(self.ask("DELETE", f"/{email}"), writes, (204, 404), email)

    def _batch(self) -> None:
        news = [{"op": "create", "email": self.address(), "firstname": "B", "lastname": self.value()} for _ in range(3)]
        olds = [
            {"op": "update", "email": e, "phone": self.value()}
            for e in self.random.sample(self.mine, k=min(2, len(self.mine)))
        ]
        noted = [self._note(item) for item in [*news, *olds]]
        answer = self.ask("POST", "/batch", [*news, *olds])
        for n, (item, writes) in enumerate(zip([*news, *olds], noted, strict=True)):
            outcome = None if answer is None else (answer[1][n]["status"], answer[1][n])
            self._end(outcome, writes, (200, 201), item["email"])
        self.mine += [item["email"] for item in news]

    def _note(self, item: dict[str, Any]) -> list[Write]:
        values = {column: item[column] for column in ("phone", "lastname") if column in item}
        alive = {"alive": True} if item["op"] == "create" else {}
        with self.ledger.writing("api", item["email"], **values, **alive) as writes:
            return writes

    def _end(self, answer: Answer | None, writes: list[Write], good: Sequence[int], email: str) -> None:
        if answer is None:
            return
        if answer[0] in good:
            self.ledger.acknowledge(writes)
        elif answer[0] == 404 and not self._is_certain(email):
            self.ledger.withdraw(writes)
        elif answer[0] < 500:
            self.ledger.refuse((email, [(w.field, w.value) for w in writes], answer))

    def _is_certain(self, email: str) -> bool:
        """Whether the customer must be there: its create was acknowledged, and nobody deleted it."""
        alive = [each for each in self.ledger.writes if each.email == email and each.field == "alive"]
        return any(each.is_acked for each in alive) and all(each.value for each in alive)

    def ask(self, method: str, path: str, body: Any = None) -> Answer | None:
        """Send a request, repeat it by its key until it is answered for good; None: nobody ever did."""
        key, deadline, answer = uuid4().hex, monotonic() + PATIENCE, None
        while monotonic() < deadline:
            with suppress(OSError, http.client.HTTPException, ValueError):
                answer = self._send(method, path, body, key)
                if _is_final(answer):
                    return answer
            self.repeats += 1
            time.sleep(0.2)
        self.unanswered.append((method, path, body, answer))
        return None

    def _send(self, method: str, path: str, body: Any, key: str) -> Answer:
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": key, "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()


def _is_final(answer: Answer) -> bool:
    status, body = answer
    outcomes = body if status == 207 else [{**(body or {}), "status": status}]
    return all(each["status"] < 500 and each.get("code") != "in_flight" for each in outcomes)


class Clerk(Person):
    """Edits contacts in HubSpot's own pages."""

    def __init__(self, name: str, ledger: Ledger, seed: int, portal: Portal, pause: float = 0.1) -> None:
        super().__init__(name, ledger, seed, pause)
        self._portal = portal

    def write(self) -> None:
        with suppress(HubSpotError):
            self.random.choices([self._create, self._edit, self._remove], [3, 8, 1])[0]()

    def _create(self) -> None:
        email, values = self.address(), {"company": self.value(), "lastname": self.value()}
        with self.ledger.writing("hubspot", email, alive=True, **values) as writes:
            self._portal.create({"email": email, **values})
            self.ledger.acknowledge(writes)
        self.mine.append(email)

    def _edit(self) -> None:
        contacts = self._portal.contacts
        if contacts:
            contact = self.random.choice(contacts)
            values = {self.random.choice(["company", "company", "lastname"]): self.value()}
            with self.ledger.writing("hubspot", contact.email or "", **values) as writes:
                try:
                    self._portal.edit(contact.id, values)
                    self.ledger.acknowledge(writes)
                except HubSpotError:
                    self.ledger.withdraw(writes)

    def _remove(self) -> None:
        if self.mine:
            email = self.mine.pop()
            contact = self._portal.contact(email)
            assert contact is not None
            with self.ledger.writing("hubspot", email, alive=False) as writes:
                self._portal.delete(contact.id)
                self.ledger.acknowledge(writes)


class Program(Person):
    """Writes the customer table by plain SQL."""

    def __init__(self, name: str, ledger: Ledger, seed: int, dsn: Callable[[], str], pause: float = 0.1) -> None:
        super().__init__(name, ledger, seed, pause)
        self._dsn = dsn

    def write(self) -> None:
        self.random.choices([self._insert, self._update, self._remove], [3, 8, 1])[0]()

    def _insert(self) -> None:
        email, values = self.address(), {"website": self.value(), "lastname": self.value()}
        with self.ledger.writing("sql", email, alive=True, **values) as writes:
            columns = (email, values["website"], values["lastname"])
            self._run("insert into customer (email, website, lastname) values (%s, %s, %s)", columns, writes)
        self.mine.append(email)

    def _update(self) -> None:
        emails = [each.email for each in self.ledger.writes[-200:] if each.field == "alive" and each.value]
        if emails:
            email, column = self.random.choice(emails), self.random.choice(["website", "website", "lastname"])
            value = self.value()
            with self.ledger.writing("sql", email, **{column: value}) as writes:
                statement = f"update customer set {column} = %s where email = %s and deletedat is null"
                self._run(statement, (value, email), writes)

    def _remove(self) -> None:
        if self.mine:
            email = self.mine.pop()
            how = self.random.choice(["delete from customer", "update customer set deletedat = now()"])
            with self.ledger.writing("sql", email, alive=False) as writes:
                self._run(f"{how} where email = %s", (email,), writes)

    def _run(self, statement: str, values: Sequence[Any], writes: list[Write]) -> None:
        try:
            with psycopg.connect(self._dsn(), autocommit=True, connect_timeout=3) as connection:
                count = connection.execute(statement.encode(), values).rowcount
        except psycopg.Error:
            return
        if count:
            self.ledger.acknowledge(writes)
        else:
            self.ledger.withdraw(writes)
