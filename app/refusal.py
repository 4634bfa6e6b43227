"""How the page refuses a request: a status and one sentence, in the place of whatever gradio would say."""

from __future__ import annotations

from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import Message, Send

from app.limits import MAX_FILE, QUEUE_LENGTH

SENTENCES = {
    400: "The request cannot be read: its body, type or query is not what this address takes.",
    403: "This is not open here.",
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    413: f"The upload is larger than {MAX_FILE // 1024**2} MB: make the picture smaller first.",
    422: "The request lacks something that this address needs, or has it in another type.",
    500: "The page failed on this request: send it again, or another.",
    503: f"The page is busy, {QUEUE_LENGTH} requests wait: try again in a minute.",
}
_IN_STREAMS = {
    b'"404: Not Found"': b'"There is no such request: it was answered already, or never came."',
    b'"error":null': b'"error":"The page failed on this request: send it again, or another."',
    b'"error": null': b'"error": "The page failed on this request: send it again, or another."',
}


class RefusedError(Exception):
    """A request that gradio shall not see; the status and the sentence of its answer."""

    def __init__(self, status: int, sentence: str | None = None) -> None:
        super().__init__(sentence or SENTENCES[status])
        self.status = status


class Answer:
    """What goes back: gradio's answer, or one sentence in its place."""

    def __init__(self, send: Send, cookie: bytes | None, plain: bool) -> None:
        self._send, self._cookie, self.plain = send, cookie, plain
        self.started = self._stream = self._replaced = self._ended = False

    async def send(self, message: Message) -> None:
        """gradio's messages; what it says of faults is replaced by words."""
        if message["type"] == "http.response.start":
            if message["status"] >= 400:
                self._replaced = True
                if message["status"] == 500:
                    return None  # the fault itself comes next, and tells whose it is
                known = message["status"] if message["status"] in SENTENCES else 400
                return await self.refuse(message["status"], SENTENCES[known])
            headers = list(message["headers"])
            self._stream = any(
                n == b"content-type" and v.startswith(b"text/event-stream") for n, v in headers
            )
            if self._cookie:
                headers.append((b"set-cookie", self._cookie))
            self.started = True
            return await self._send({**message, "headers": headers})
        if self._replaced or self._ended:
            return None
        if message["type"] == "http.response.body":
            if self._stream:
                message = {**message, "body": _in_words(message.get("body", b""))}
            self._ended = not message.get("more_body", False)
        return await self._send(message)

    async def refuse(self, status: int, sentence: str) -> None:
        """One sentence, unless an answer is under way, which is ended."""
        if self.started:
            return await self.end()
        self.started = self._ended = True
        said = {"detail": sentence, "error": sentence}
        response = PlainTextResponse(sentence) if self.plain else JSONResponse(said)
        await self._send({"type": "http.response.start", "status": status, "headers": response.raw_headers})
        return await self._send({"type": "http.response.body", "body": response.body})

    async def end(self) -> None:
        """The end of what is under way."""
        if not self.started:
            return await self.refuse(503, "The page is ending.")
        if not self._ended:
            self._ended = True
            await self._send({"type": "http.response.body", "body": b""})
        return None


def _in_words(chunk: bytes) -> bytes:
    for theirs, ours in _IN_STREAMS.items():
        chunk = chunk.replace(theirs, ours)
    return chunk
