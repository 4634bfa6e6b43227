"""Servers of this machine's own loopback for the tests of streams: files, MJPEG and RTSP, with faults to order."""

from __future__ import annotations

import contextlib
import http.server
import io
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from clips import picture
from PIL import Image

FRAME_SECONDS = 0.04


class Faults:
    """What a server does to its next connections; each value is taken once, then all is well."""

    def __init__(self) -> None:
        self.cut_after: list[int] = []
        """Bytes of a file, or frames of a stream, after which the connection ends."""
        self.stall = False
        """Whether a stream's connection stays open then, without a word."""
        self.refuse: list[bool] = []
        self.sizes: list[tuple[int, int]] = []
        """(height, width) of a connection's frames."""
        self.connections = 0

    def next(self, values: list[Any], otherwise: Any) -> Any:
        return values.pop(0) if values else otherwise


@contextlib.contextmanager
def web(folder: Path, faults: Faults, ranges: bool = True, frames: int = 10**6) -> Iterator[str]:
    """Files of `folder`, /live.mjpeg with `frames` frames a connection, /live.m3u8 and /silent that never answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            faults.connections += 1
            if faults.next(faults.refuse, False):
                self.send_error(503)
            elif path == "/silent":
                stopped.wait(60)
            elif path == "/live.mjpeg":
                self.live()
            elif path == "/live.m3u8":
                self.playlist()
            elif (folder / path[1:]).is_file():
                self.file((folder / path[1:]).read_bytes())
            else:
                self.send_error(404)

        def file(self, content: bytes) -> None:
            first = 0
            asked = self.headers.get("Range", "") if ranges else ""
            if asked:
                first = int(asked.removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            cut = faults.next(faults.cut_after, len(content))
            with contextlib.suppress(OSError):  # the reader has gone
                self.wfile.write(content[first : first + cut])

        def playlist(self) -> None:
            """Segments of /vod.m3u8, that come to be as a camera makes them and stay; the last ends the list."""
            nonlocal first_asked
            first_asked = first_asked or time.monotonic()
            lines = (folder / "vod.m3u8").read_text().splitlines()
            first = next(i for i, line in enumerate(lines) if line.startswith("#EXTINF"))
            segments = [lines[i : i + 2] for i in range(first, len(lines) - 1, 2)]
            seconds = float(segments[0][0].removeprefix("#EXTINF:").rstrip(","))
            made = min(len(segments), 3 + int((time.monotonic() - first_asked) / seconds))
            shown = [line for segment in segments[:made] for line in segment]
            head = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:0"]
            self.file("\n".join([*head, *shown, *lines[-1:] * (made == len(segments))]).encode())

        def live(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            jpeg = io.BytesIO()
            Image.fromarray(picture(*faults.next(faults.sizes, (64, 96)))).save(jpeg, "JPEG")
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {jpeg.tell()}\r\n\r\n".encode()
            with contextlib.suppress(OSError):
                for _ in range(faults.next(faults.cut_after, frames)):
                    self.wfile.write(head + jpeg.getvalue() + b"\r\n")
                    if stopped.wait(FRAME_SECONDS):
                        break
                if faults.stall:
                    stopped.wait(60)

    first_asked = 0.0
    stopped = threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        stopped.set()
        server.shutdown()


@contextlib.contextmanager
def rtsp(faults: Faults, frames: int = 10**6) -> Iterator[str]:
    """rtsp://.../live: H.264 over RTP inside the RTSP connection, which is how cameras pass firewalls."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            faults.connections += 1
            if faults.next(faults.refuse, False):
                return
            with contextlib.suppress(OSError):
                while request := self.request_line():
                    if not self.answer(*request):
                        break

        def request_line(self) -> tuple[str, str] | None:
            first = self.rfile.readline().decode().split()
            number = "0"
            while (line := self.rfile.readline().decode().strip()) != "":
                name, _, value = line.partition(":")
                number = value.strip() if name.lower() == "cseq" else number
            return (first[0], number) if first else None

        def answer(self, method: str, number: str) -> bool:
            more = {
                "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
                "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(_SDP)}\r\n",
                "SETUP": "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
                "PLAY": "Session: 1\r\n",
            }.get(method, "Session: 1\r\n")
            body = _SDP if method == "DESCRIBE" else ""
            self.wfile.write(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{more}\r\n{body}".encode())
            return method != "TEARDOWN" if method != "PLAY" else self.play()

        def play(self) -> bool:
            count = faults.next(faults.cut_after, frames)
            size = faults.next(faults.sizes, (64, 96))
            for packets in _rtp(count, size):
                for packet in packets:
                    self.wfile.write(b"$\x00" + len(packet).to_bytes(2, "big") + packet)
                if stopped.wait(FRAME_SECONDS):
                    break
            if faults.stall:
                stopped.wait(60)
            return False

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    stopped = threading.Event()
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"rtsp://127.0.0.1:{server.server_address[1]}/live"
        stopped.set()
        server.shutdown()


_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\na=control:*\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
)


def _rtp(count: int, size: tuple[int, int]) -> Iterator[list[bytes]]:
    """The RTP packets of each frame, made by FFmpeg, which sends them to a socket of ours."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.bind(("127.0.0.1", 0))
        ours.settimeout(2)
        address = f"rtp://127.0.0.1:{ours.getsockname()[1]}"
        with av.open(address, "w", format="rtp") as sender:
            stream = cast(Any, sender.add_stream("libx264", rate=25))
            stream.height, stream.width = size
            stream.pix_fmt = "yuv420p"
            stream.options = {"tune": "zerolatency", "g": "10"}
            for number in range(count):
                frame = av.VideoFrame.from_ndarray(picture(*size), "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                sender.mux(stream.encode(frame))
                packets = [ours.recv(65536)]
                while not packets[-1][1] & 0x80:  # the marker: a frame's last packet
                    packets.append(ours.recv(65536))
                yield packets
