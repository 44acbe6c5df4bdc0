"""A typical service: CRUD on PostgreSQL with FastAPI and asyncpg. Run as a module: PORT DSN."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg  # type: ignore[import-untyped]
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

from bench.targets.serving import serve

Name = Annotated[str, Field(min_length=1, max_length=256)]
Email = Annotated[str, Field(max_length=254)]


class User(BaseModel):
    """A user."""

    id: Annotated[str, Field(min_length=1, max_length=128)]
    name: Name
    email: Email
    group: int


class Changes(BaseModel):
    """Some fields of a user."""

    name: Name | None = None
    email: Email | None = None
    group: int | None = None


class Counted(BaseModel):
    """The number of users."""

    count: int


async def _pool(request: Request) -> asyncpg.Pool:
    return request.app.state.pool


Pool = Annotated[asyncpg.Pool, Depends(_pool)]
MISSING = HTTPException(404, "User not found")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(sys.argv[2]) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=_lifespan)


@app.get("/api/users/count")
async def count(pool: Pool) -> Counted:
    """Count all users."""
    return Counted(count=await pool.fetchval("SELECT count(*) FROM users"))


@app.get("/api/users/{id}")
async def read(id: str, pool: Pool) -> User:
    """Read one user."""
    row = await pool.fetchrow("SELECT * FROM users WHERE id = $1", id)
    if row is None:
        raise MISSING
    return User(**row)


@app.get("/api/users/")
async def page(
    pool: Pool, after: str = "", limit: Annotated[int, Query(ge=1, le=1000)] = 10
) -> list[User]:
    """List users by id."""
    rows = await pool.fetch("SELECT * FROM users WHERE id > $1 ORDER BY id LIMIT $2", after, limit)
    return [User(**row) for row in rows]


@app.post("/api/users/", status_code=201)
async def create(user: User, pool: Pool) -> User:
    """Create a user."""
    try:
        await pool.execute(
            'INSERT INTO users (id, name, email, "group") VALUES ($1, $2, $3, $4)',
            *(user.id, user.name, user.email, user.group),
        )
    except asyncpg.UniqueViolationError:
        raise HTTPException(409, "User already exists") from None
    return user


@app.put("/api/users/{id}")
async def update(id: str, changes: Changes, pool: Pool) -> User:
    """Change some fields of a user."""
    row = await pool.fetchrow(
        "UPDATE users SET name = coalesce($2, name), email = coalesce($3, email),"
        ' "group" = coalesce($4, "group") WHERE id = $1 RETURNING *',
        *(id, changes.name, changes.email, changes.group),
    )
    if row is None:
        raise MISSING
    return User(**row)


@app.delete("/api/users/{id}", status_code=204)
async def delete(id: str, pool: Pool) -> Response:
    """Delete one user."""
    if await pool.execute("DELETE FROM users WHERE id = $1", id) == "DELETE 0":
        raise MISSING
    return Response(status_code=204)


if __name__ == "__main__":
    serve(app, int(sys.argv[1]), lifespan="on")
