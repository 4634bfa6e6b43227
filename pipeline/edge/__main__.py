"""The entry of mic-edge: signals are answered before anything else is imported."""

from __future__ import annotations

import _signal  # type: ignore[import]  # built in, where the imports of signal take a hundredth of a second
import sys


def main() -> int:
    """`pipeline.edge.cli.main` on the process's own arguments."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from pipeline.edge import interruption

    interruption.leave_at_once()
    from pipeline.edge import cli, streams

    streams.hold_closed()
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
