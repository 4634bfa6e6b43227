"""The entry of mic-edge: signals are answered before anything else is imported."""

from __future__ import annotations

import sys

from pipeline.run.imports import end_quietly


def main() -> int:
    """`pipeline.edge.cli.main` on the process's own arguments."""
    end_quietly()
    from pipeline.edge import interruption

    interruption.leave_at_once()
    from pipeline.edge import cli, streams

    streams.hold_closed()
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
