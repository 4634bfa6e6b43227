"""Stage 1: list, check and describe the data; draws the embedded scenes first where the params ask for them.

Writes data/index/{source,target}.jsonl, metrics/data.json and a contact sheet per domain, or nothing at all:
every finding is printed at once and ends the stage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from pipeline.data.checks import check_pictures, content_problems, duplicates
from pipeline.data.contact_sheet import contact_sheet
from pipeline.data.formats import list_pictures
from pipeline.data.index import Record, write_index
from pipeline.data.report import data_report, print_report
from pipeline.data.scenes import write_scenes
from pipeline.edge.errors import UserError
from pipeline.params import Params, load_params
from pipeline.run.files import replacing, write_json
from pipeline.run.lock import alone
from pipeline.run.stage import main_guard, stage_arguments
from pipeline.run.workspace import Workspace


def run(params: Params, workspace: Workspace) -> dict[str, Any]:
    """Check the data of `params` and write index and report; returns the report of metrics/data.json.

    Raises UserError with all findings, numbered; then no output is left, not even that of an earlier run.
    """
    console = Console()
    for output in _outputs(workspace):
        output.unlink(missing_ok=True)
    _draw_scenes(params)

    problems: list[str] = []
    warnings: list[str] = []
    records: dict[str, list[Record]] = {}
    for domain in ("source", "target"):
        records[domain] = []
        several = domain == "target" and isinstance(params.data.target, tuple)
        for i, data in enumerate(params.data.data_sets(domain)):
            listing = list_pictures(data, domain, f"data.{domain}.{i}" if several else f"data.{domain}")
            checked = list(
                track(
                    check_pictures(data, listing, i),
                    f"checking the {domain}",
                    len(listing.pictures),
                    console=console,
                    transient=True,
                    disable=not console.is_terminal,
                )
            )
            amiss, odd = content_problems(data, listing, checked)
            problems += listing.problems + amiss
            warnings += listing.warnings + odd
            records[domain] += [c.record for c in checked if c.record]
        if not problems and not any(r.split == "train" for r in records[domain]):
            problems.append(f"data.{domain} has no picture for training: name a train split")
    repeated, twice = duplicates(records["source"] + records["target"])
    problems = [_printable(problem) for problem in problems + repeated]
    warnings = [_printable(warning) for warning in warnings + twice]
    if problems:
        numbered = "".join(f"\n  {i}. {problem}" for i, problem in enumerate(problems, 1))
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise UserError(f"prepare found {count} in the data and wrote no index:{numbered}")

    report = data_report(
        records["source"], records["target"], params.data.min_class_share, params.data.scored_classes
    )
    report["warnings"] += warnings
    print_report(report, console)
    _write(workspace, params, records, report)
    console.print(
        f"index: {workspace.index('source').parent}, report: {workspace.data_report}", highlight=False
    )
    return report


def _printable(sentence: str) -> str:
    """The sentence on one line: file names may hold line feeds, and bytes that are no text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in sentence)


def _draw_scenes(params: Params) -> None:
    roots = {d.root for d in (params.data.source, *params.data.targets) if d.format == "scenes"}
    if params.data.scenes is not None:
        for root in sorted(roots):
            write_scenes(root, params.data.scenes)


def _outputs(workspace: Workspace) -> list[Path]:
    return [
        workspace.data_report,
        *(f(d) for d in ("source", "target") for f in (workspace.index, workspace.data_sheet)),
    ]


def _write(
    workspace: Workspace, params: Params, records: dict[str, list[Record]], report: dict[str, Any]
) -> None:
    """Each file beside and renamed; the indexes last, because later stages start from them."""
    for domain, found in records.items():
        with replacing(workspace.data_sheet(domain)) as beside:
            contact_sheet(found, params.data).save(beside, format="PNG")
    write_json(workspace.data_report, report)
    for domain, found in records.items():
        write_index(workspace.index(domain), found)


def main(argv: list[str] | None = None) -> int:
    args = stage_arguments(
        "Check the data and write the index and the data report.", with_method=False
    ).parse_args(argv)
    with alone(Workspace(), "prepare"):
        run(load_params(args.params), Workspace())
    return 0


if __name__ == "__main__":
    main_guard(main)
