"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import msgspec
from bench import (
    bench_anomalies,
    bench_archive,
    bench_checkpoint,
    bench_console,
    bench_export,
    bench_hosts,
    bench_import,
    bench_latency,
    bench_memory,
    bench_processes,
    bench_prove,
    bench_query,
    bench_reconcile,
    bench_redaction,
    bench_report,
    bench_schemas,
    bench_sealed,
    bench_shapes,
    bench_stalled,
    bench_startup,
    bench_store,
    bench_tiles,
    bench_trust,
    bench_verify,
    bench_vrl,
    bench_worst_texts,
)
from bench.figure import Figure, markdown, text
from bench.machine import describe

MEASURES = {
    "latency": bench_latency.measure,
    "shapes": bench_shapes.measure,
    "sealed": bench_sealed.measure,
    "stalled": bench_stalled.measure,
    "processes": bench_processes.measure,
    "import": bench_import.measure,
    "startup": bench_startup.measure,
    "memory": bench_memory.measure,
    "checkpoint": bench_checkpoint.measure,
    "verify": bench_verify.measure,
    "query": bench_query.measure,
    "anomalies": bench_anomalies.measure,
    "prove": bench_prove.measure,
    "tiles": bench_tiles.measure,
    "trust": bench_trust.measure,
    "reconcile": bench_reconcile.measure,
    "archive": bench_archive.measure,
    "export": bench_export.measure,
    "report": bench_report.measure,
    "console": bench_console.measure,
    "vrl": bench_vrl.measure,
    "store": bench_store.measure,
    "redaction": bench_redaction.measure,
    "schemas": bench_schemas.measure,
    "worst-texts": bench_worst_texts.measure,
    "hosts": bench_hosts.measure,
}


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only: {', '.join(MEASURES)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds; says little")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - MEASURES.keys():
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    return options


def run(names: list[str], *, quick: bool) -> tuple[str, list[Figure]]:
    """Measure; the machine line and the figures."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="audit-bench-") as scratch:
        machine = describe(Path(scratch))
        for name in [name for name in MEASURES if name in names or not names]:
            print(f"measuring {name} …", file=sys.stderr)
            place = Path(scratch, name)
            place.mkdir()
            figures += MEASURES[name](place, quick=quick)
    return machine, figures


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 when a log was damaged, never for a time."""
    options = parsed(arguments)
    machine, figures = run(options.names, quick=options.quick)
    table = markdown if options.markdown else text
    print(f"{table(figures)}\n\n{machine}")
    if options.json:
        found = {"machine": machine, "figures": [{**asdict(f), "ok": f.ok} for f in figures]}
        options.json.write_bytes(msgspec.json.encode(found))
    return 0 if all(figure.sound for figure in figures) else 1
