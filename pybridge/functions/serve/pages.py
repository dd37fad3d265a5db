"""Pages of the service itself, beside the function: health, metrics, what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pybridge.functions.serve.metrics import CONTENT_TYPE
from pybridge.functions.serve.response import JSON, Answer, dumps, problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pybridge.functions.serve.app import App, Request

    Page = Callable[[Request], Awaitable[Answer]]

__all__ = ["Pages"]

_GET = (b"allow", b"GET, HEAD")
_NO_STORE = (b"cache-control", b"no-store")
# The page asks its own service, and nothing of it comes from anywhere else.
_POLICY = (
    b"content-security-policy",
    (
        b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; "
        b"frame-ancestors 'none'"
    ),
)


class Pages:
    """Finds a page by its path."""

    def __init__(self, app: App, title: str) -> None:
        """Have the pages of `app`."""
        self._app = app
        self._title = title
        self._schema: bytes | None = None
        self._pages: dict[str, Page] = {
            "/livez": self._live,
            "/readyz": self._ready,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
            "/docs": self._docs,
        }
        if not app.options.docs:
            del self._pages["/openapi.json"], self._pages["/docs"]

    def find(self, path: str) -> Page | None:
        """Return the page at `path`, or None."""
        page = self._pages.get(path)
        if page is None:
            return None

        async def one(request: Request) -> Answer:
            if request.method not in {"GET", "HEAD"}:
                error = f'"{path}" has GET only, not {request.method}'
                return problem(405, error, request.id, _GET)
            return await page(request)

        return one

    async def _live(self, request: Request) -> Answer:
        del request
        return Answer(200, [JSON, _NO_STORE], b'{"status":"alive"}')

    async def _ready(self, request: Request) -> Answer:
        del request
        if self._app.ready:
            return Answer(200, [JSON, _NO_STORE], b'{"status":"ready"}')
        return Answer(503, [JSON, _NO_STORE], b'{"status":"not ready"}')

    async def _metrics(self, request: Request) -> Answer:
        self._app.check(request)
        self._app.records.flush()
        text = await self._app.aside(self._app.metrics.text)
        return Answer(200, [(b"content-type", CONTENT_TYPE.encode())], text)

    async def _openapi(self, request: Request) -> Answer:
        self._app.check(request)
        if self._schema is None:
            self._schema = await self._app.aside(self._made)
        return Answer(200, [JSON], self._schema)

    def _made(self) -> bytes:
        from pybridge.functions.serve import schema

        app = self._app
        return dumps(schema.openapi(app.binding, self._title, secured=app.secured))

    async def _docs(self, request: Request) -> Answer:
        from pybridge.functions.serve import docs

        del request
        kind: Any = (b"content-type", b"text/html; charset=utf-8")
        return Answer(200, [kind, _POLICY], docs.page(self._title))
