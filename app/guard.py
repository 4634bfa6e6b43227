"""What stands before gradio: the addresses that the page opens, who may use them, and an answer in words to the rest.

gradio opens some sixty addresses, among them some that fetch other hosts' files or run functions past the queue. Here
are those that this page needs; everything else is refused, and no fault of a request prints a traceback.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import sys
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.bodies import Events, parse, session_name
from app.folder import Folder
from app.limits import MAX_ARRIVING, MAX_BODY, MAX_FILE
from app.refusal import SENTENCES, Answer, RefusedError
from pipeline.edge.errors import UserError

COOKIE = "mic_adapt_page"

_API = "/gradio_api"
_READ = (
    r"/|/config/?|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/pwa_icon(/\d{1,4})?"
    r"|/(static|assets|svelte)/[\w./@+-]+"
    rf"|{_API}/(info/?|openapi\.json|app_id/?|startup-events|queue/status|heartbeat/[\w-]{{1,64}}|theme\.css)"
    rf"|{_API}/(queue/data|upload_progress|call/\w{{1,64}}/\w{{1,64}})"
)
_FILE = re.compile(rf"{_API}/file=(?P<path>.+)", re.DOTALL)
_CALL = re.compile(rf"{_API}/call/(?P<name>[^/]+)/?")
_JOIN = re.compile(rf"{_API}/queue/join/?")
_UPLOAD = re.compile(rf"{_API}/upload/?")
_CANCEL = re.compile(rf"{_API}/cancel/?")
_RESET = re.compile(rf"{_API}/reset/?")


class Guard:
    """ASGI application around gradio's: lets checked requests through and answers all faults in one sentence."""

    def __init__(self, app: ASGIApp, events: Events, folder: Folder, root_path: str = "") -> None:
        self._app, self._events, self._folder, self._root = app, events, folder, root_path
        self._token = secrets.token_urlsafe(16)
        self._open: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._arriving: dict[Receive, int] = {}
        """Bytes of each upload under way."""

    def close(self) -> None:
        """End the streams that browsers hold open: the server waits for them."""
        self._closing = True
        for task in self._open:
            task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        answer = Answer(send, self._cookie(scope), plain=scope["path"].endswith("/upload"))
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            scope, checked = await self._checked({**scope, **self._below_root(scope)}, receive)
            receive = checked
            await self._app(scope, receive, answer.send)
            if not answer.started:
                await answer.refuse(500, SENTENCES[500])
        except RefusedError as refusal:
            await answer.refuse(refusal.status, str(refusal))
        except UserError as error:
            await answer.refuse(400, str(error))
        except ClientDisconnect:
            pass
        except asyncio.CancelledError:
            if not self._closing:
                raise
            await answer.end()
        except Exception as error:
            # An upload's form that lacks what gradio reads from it; but a full disk is ours.
            status = 400 if answer.plain and not isinstance(error, OSError) else 500
            if status == 500 and not answer.started:
                print(
                    f"{scope['method']} {scope['path'][:80]!r}: {type(error).__name__}: {error}"[:300],
                    file=sys.stderr,
                )
            await answer.refuse(status, SENTENCES[status])
        finally:
            self._open.discard(task)
            self._arriving.pop(receive, None)

    def _below_root(self, scope: Scope) -> dict[str, Any]:
        """The path without the proxy's prefix, for proxies that leave it and for whoever asks without a proxy."""
        path = scope["path"]
        if self._root and (path == self._root or path.startswith(self._root + "/")):
            path = path[len(self._root) :] or "/"
        return {"path": path, "raw_path": path.encode("utf-8", "surrogatepass"), "root_path": ""}

    async def _checked(self, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
        """The request as gradio may see it; raises RefusedError or UserError."""
        path, method = scope["path"], scope["method"]
        # Compressed streams could not be read below; an Origin without a Host is a case that gradio forgot.
        dropped = {b"accept-encoding"} if path.startswith(_API) else set()
        if not any(name == b"host" for name, _ in scope["headers"]):
            dropped.add(b"origin")
        scope = {**scope, "headers": [(n, v) for n, v in scope["headers"] if n not in dropped]}
        if method == "OPTIONS":
            return scope, receive
        if method in ("GET", "HEAD"):
            return self._readable(scope, path), receive
        if method != "POST":
            raise RefusedError(405)
        if _UPLOAD.fullmatch(path):
            return scope, self._upload(scope, receive)
        matched = [p.fullmatch(path) for p in (_CALL, _JOIN, _CANCEL, _RESET)]
        call, join, cancel, reset = matched
        if not any(matched):
            raise RefusedError(404)
        body = parse(await _read(Request(scope, receive)))
        if call:
            clean = self._events.call(self._events.by_name(call["name"]), body, self._folder)
            clean.pop("trigger_id", None)
        elif join:
            clean = self._join(scope, body)
        elif cancel:
            clean = {
                "session_hash": session_name(body.get("session_hash")),
                "event_id": session_name(body.get("event_id")),
                "fn_index": self._events.by_number(body.get("fn_index")).id,
            }
        else:
            assert reset
            clean = {"event_id": session_name(body.get("event_id"))}
        return _with_body(scope, receive, clean)

    def _readable(self, scope: Scope, path: str) -> Scope:
        file = _FILE.fullmatch(path)
        if file:
            if self._folder.holds(file["path"]) is None:
                raise RefusedError(403)
        elif not re.fullmatch(_READ, path) or ".." in path:
            raise RefusedError(404)
        elif not path.startswith(_API):
            scope = {
                **scope,
                "query_string": b"",
            }  # scripts read it; gradio would look for pages and saved links in it
        return scope

    def _join(self, scope: Scope, body: dict[str, Any]) -> dict[str, Any]:
        event = self._events.by_number(body.get("fn_index"))
        if not event.public and not secrets.compare_digest(_cookie(scope) or "", self._token):
            raise RefusedError(
                403, "This function belongs to the page: load the page again, or use /segment or /compare."
            )
        session = session_name(body.get("session_hash"))
        return {**self._events.call(event, body, self._folder), "fn_index": event.id, "session_hash": session}

    def _upload(self, scope: Scope, receive: Receive) -> Receive:
        """A body that ends the request once it is longer than a file may be."""
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"%d" % MAX_FILE)  # a body sent in chunks does not say
        if not declared.isdigit() or int(declared) > MAX_FILE + MAX_BODY:
            raise RefusedError(413)
        if not headers.get(b"content-type", b"").startswith(b"multipart/form-data"):
            raise RefusedError(
                400, "An upload is sent as multipart/form-data, with the picture in the field files."
            )
        arriving = int(declared) + sum(self._arriving.values())
        if arriving > MAX_ARRIVING:
            raise RefusedError(503, "Too many pictures are on their way: try again in a minute.")
        self._folder.make_room(arriving)
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_FILE + MAX_BODY:
                raise RefusedError(413)
            return message

        self._arriving[limited] = int(declared)
        return limited

    def _cookie(self, scope: Scope) -> bytes | None:
        """The page's own sign, given to whoever loads it; scripts of other sites do not carry it."""
        if scope["type"] == "http" and self._below_root(scope)["path"] == "/" and scope["method"] == "GET":
            return f"{COOKIE}={self._token}; Path=/; HttpOnly; SameSite=Lax".encode()
        return None


def _cookie(scope: Scope) -> str | None:
    text = b"; ".join(v for n, v in scope["headers"] if n == b"cookie").decode("latin-1")
    try:
        morsel = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None


async def _read(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise RefusedError(413, f"The request's body is larger than {MAX_BODY // 1024} KB.")
    return body


def _with_body(scope: Scope, receive: Receive, content: dict[str, Any]) -> tuple[Scope, Receive]:
    """The request with `content` as its body."""
    body = json.dumps(content).encode()
    theirs = [
        (n, v)
        for n, v in scope["headers"]
        if n not in (b"content-length", b"content-type", b"transfer-encoding")
    ]
    ours = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def ours_first() -> Message:
        return messages.pop() if messages else await receive()

    return {**scope, "headers": theirs + ours}, ours_first
