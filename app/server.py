"""The page's server: one process, one private folder, ended by Ctrl-C, SIGTERM or a closed terminal."""

from __future__ import annotations

import ctypes
import os
import platform
import secrets
import signal
import socket
import sys
import tempfile
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from app.folder import Folder
from app.limits import MAX_AGE, MAX_FILE, MAX_KEPT, QUEUE_LENGTH, SESSIONS
from app.models import Models
from pipeline.edge.errors import UserError

_GRACE = 3
"""Seconds that a running request has to end."""

_MMAP_THRESHOLD, _MEBIBYTE = -3, 2**20
"""The first one is of glibc's malloc.h."""


def serve(models: Models, host: str, port: int, share: bool = False, root_path: str = "") -> None:
    """Serve the page until a signal ends it; raises UserError for an address that cannot be used."""
    root = _root(root_path)
    _give_back_freed_memory()
    with _bound(host, port) as listening:
        parent = os.environ.get("GRADIO_TEMP_DIR")
        with Folder(Path(parent) if parent else None, MAX_KEPT, MAX_AGE) as folder, _Environment(folder):
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)  # Windows has no SIGHUP; nohup's stays ignored
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, _stop)
            _run(models, folder, listening, share, root)


def _run(models: Models, folder: Folder, listening: socket.socket, share: bool, root: str) -> None:
    # gradio looks for it at every request, and does without; it would fill a cache below HOME.
    sys.modules.setdefault("matplotlib", None)  # type: ignore[arg-type]  None: not to be imported
    import fastapi  # seconds to import, all three: a wrong command line should not wait for it
    import gradio as gr
    import uvicorn

    from app.bodies import Events
    from app.guard import Guard
    from app.look import CSS, SCRIPT, theme
    from app.page import build

    page = build(models, folder)
    page.queue(max_size=QUEUE_LENGTH, api_open=False)
    page.state_session_capacity = SESSIONS
    app = gr.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None), page, "/", root_path=root, max_file_size=MAX_FILE, show_error=False,
        footer_links=["api"], run_history=False, ssr_mode=False, enable_monitoring=False,
        theme=theme(), css=CSS.read_text("utf-8"), js=SCRIPT.read_text("utf-8"),
    )  # fmt: skip
    folder.keep()
    guard = Guard(app, Events(dict(page.get_config_file())), folder, urlsplit(root).path)

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            guard.close()  # browsers hold streams open, which the server would wait for
            await super().shutdown(sockets)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            print(f"The page is at {_address(listening, share)}{_behind(root)} (Ctrl-C ends it).", flush=True)

    server = Server(
        uvicorn.Config(
            guard, log_level="warning", ws="none", timeout_graceful_shutdown=_GRACE, timeout_keep_alive=60
        )
    )
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is _stop:
        signal.signal(signal.SIGHUP, server.handle_exit)  # uvicorn takes the other two itself
    server.run([listening])


def _give_back_freed_memory() -> None:
    """Have glibc return every freed picture: else it takes the first large one as a sign to keep all that follow."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _MEBIBYTE)


def _stop(number: int, frame: FrameType | None) -> None:
    """An end by signal is an orderly end."""
    raise SystemExit(0)


class _Environment:
    """Temporary files of gradio's and of everybody else's lie in the page's folder while it runs."""

    def __init__(self, folder: Folder) -> None:
        self._path = str(folder.path)
        self._before = (os.environ.get("GRADIO_TEMP_DIR"), tempfile.tempdir)

    def __enter__(self) -> None:
        os.environ["GRADIO_TEMP_DIR"] = tempfile.tempdir = self._path
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

    def __exit__(self, *error: object) -> None:
        before, tempfile.tempdir = self._before
        if before is None:
            del os.environ["GRADIO_TEMP_DIR"]
        else:
            os.environ["GRADIO_TEMP_DIR"] = before


def _bound(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host.strip("[]"), port), family=family, backlog=128)
    except OverflowError:
        raise UserError(f"Port {port} does not exist: choose one from 1 to 65535 with --port.") from None
    except socket.gaierror:
        raise UserError(
            f"The host {host} has no address: use 127.0.0.1, or 0.0.0.0 for every network."
        ) from None
    except PermissionError:
        raise UserError(
            f"Port {port} on {host} is not open to you: choose one above 1023 with --port."
        ) from None
    except OSError as error:
        if error.errno is not None and "assign" in (error.strerror or ""):
            raise UserError(
                f"This machine does not have the address {host}: use 127.0.0.1, or 0.0.0.0."
            ) from None
        raise UserError(f"Port {port} on {host} is taken: choose another with --port.") from None


def _root(path: str) -> str:
    """A proxy's path as gradio takes it: "" or "/mic" or "https://host/mic"; raises UserError."""
    if path and not path.startswith(("/", "http://", "https://")):
        raise UserError(
            f"The root path {path!r} starts neither with / nor with http:// or https://: write /{path}."
        )
    return path.rstrip("/")


def _address(listening: socket.socket, share: bool) -> str:
    host, port = listening.getsockname()[:2]
    if share:
        from gradio.networking import setup_tunnel

        try:
            return setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None)
        except Exception as error:
            raise UserError(
                f"gradio's servers gave no public link ({error}): start without --share."
            ) from None
    local = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{local}:{port}/"


def _behind(root: str) -> str:
    return f", behind a proxy at {root}" if root else ""
