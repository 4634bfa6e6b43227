"""`python -m app`: serve the page on this machine."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from app.models import Models
from app.server import serve
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
    parser.add_argument(
        "--root-path",
        default=os.environ.get("MIC_ADAPT_ROOT_PATH") or os.environ.get("GRADIO_ROOT_PATH", ""),
        metavar="PATH",
        help="where a proxy shows the page, such as /mic or https://host/mic (MIC_ADAPT_ROOT_PATH)",
    )
    options = parser.parse_args(argv)
    try:
        serve(
            Models(options.models, options.provider),
            options.host,
            options.port,
            options.share,
            options.root_path,
        )
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
