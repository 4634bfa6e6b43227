"""`python -m app`: serve the page on this machine."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from app.limits import MAX_FILE, QUEUE_LENGTH, SESSIONS
from app.models import Models
from pipeline.edge.errors import UserError
from pipeline.edge.providers import PROVIDERS


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, load the models and serve until Ctrl-C; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m app", description="A page that compares two models on any street picture."
    )
    parser.add_argument("--models", type=Path, default=Path("models"), metavar="DIR", help="folder of models")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (0.0.0.0: every network)")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--share", action="store_true", help="public link by way of gradio's servers")
    parser.add_argument("--provider", choices=PROVIDERS, default="cpu", help="where the networks run")
    options = parser.parse_args(argv)
    try:
        serve(Models(options.models, options.provider), options.host, options.port, options.share)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def serve(models: Models, host: str, port: int, share: bool = False) -> None:
    """Serve the page until Ctrl-C; raises UserError when the port is taken."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as gr  # seconds to import: a wrong command line should not wait for it

    from app.look import CSS, SCRIPT, theme
    from app.page import build

    page = build(models)
    page.queue(max_size=QUEUE_LENGTH)
    try:
        _, url, public = page.launch(
            server_name=host, server_port=port, share=share, quiet=True, prevent_thread_lock=True,
            max_file_size=MAX_FILE, state_session_capacity=SESSIONS, footer_links=["api"], ssr_mode=False,
            enable_monitoring=False, theme=theme(), css=CSS.read_text("utf-8"), js=SCRIPT.read_text("utf-8"),
        )  # fmt: skip
    except OSError:
        raise UserError(f"Port {port} on {host} is taken: choose another with --port.") from None
    print(f"The page is at {public or url} (Ctrl-C ends it).", flush=True)
    page.block_thread()
    gr.close_all()


if __name__ == "__main__":
    sys.exit(main())
