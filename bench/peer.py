"""What most would write instead of the API's GET: FastAPI, uvicorn, asyncpg; with a cache of verified tokens, too."""

import asyncio
import os
import time
from typing import Annotated, Any

import asyncpg
import jwt
from fastapi import FastAPI, Header, HTTPException

app = FastAPI()
SQL = (
    "select uuid, email, firstname, lastname, phone, company, website, lifecyclestage, createdat, updatedat, "
    "contactid, hubspotcreatedat, hubspotupdatedat from customer where sync.address(email) = $1 and deletedat is null"
)
_tokens: dict[str, float] = {}
_pool: Any = None
_opening = asyncio.Lock()


async def _connections() -> Any:
    global _pool
    async with _opening:
        if _pool is None:
            _pool = await asyncpg.create_pool(
                host=os.environ["PEER_HOST"],
                user="postgres",
                database=os.environ["PEER_DATABASE"],
                min_size=8,
                max_size=8,
            )
    return _pool


def _check(header: str) -> None:
    token = header.removeprefix("Bearer ")
    if _tokens.get(token, 0.0) > time.time():
        return
    claims = jwt.decode(
        token, os.environ["JWT_SECRET"], algorithms=["HS256"], issuer="hubspot-reconciler", audience="customers"
    )
    if len(_tokens) > 10_000:
        _tokens.clear()
    _tokens[token] = float(claims["exp"])


@app.get("/{email}")
async def read(email: str, authorization: Annotated[str, Header()]) -> dict[str, Any]:
    """Return the customer with this address."""
    _check(authorization)
    pool = _pool or await _connections()
    row = await pool.fetchrow(SQL, email)
    if row is None:
        raise HTTPException(404)
    return dict(row)
