"""``audit-emit vector``: prints a configuration file: Vector, Loki, alerts, dashboards."""

from __future__ import annotations

import re
from pathlib import Path

import click

import audit_emit
from audit_emit.cli._command import command as a_command
from audit_emit.cli._exit import Exit
from audit_emit.cli._output import kept
from audit_emit.cli._rules import pairs, written

FILES = {
    "file": ("file.yaml", "Vector: the JSONL files to Loki. Take this one."),
    "docker": ("docker.yaml", "Vector: lines of containers, through the Docker daemon."),
    "kubernetes": ("kubernetes.yaml", "Vector: lines of a node's pods."),
    "both": ("both.yaml", "Vector: files and Docker, each record once."),
    "vrl": ("audit.vrl", "The VRL program that these four contain."),
    "unit": ("systemd/audit.conf", "A drop-in for Vector's unit: who may read what it writes."),
    "docker-proxy": ("docker-proxy.conf", "nginx as a read-only proxy of the Docker socket."),
    "kubernetes-vector": ("kubernetes/vector.yaml", "Manifests: Vector on every node."),
    "kubernetes-service": ("kubernetes/service.yaml", "Manifests: a service with its file."),
    "loki": ("loki.yaml", "A configuration of Loki for an audit trail."),
    "alerts": ("rules/fake/alerts.yaml", "Alerts, for Loki's ruler."),
    "recording": ("rules/fake/recording.yaml", "Figures as metrics, for Loki's ruler."),
    "prometheus": ("prometheus/pipeline.yaml", "Alerts on Vector and Loki, for Prometheus."),
    "prometheus-recorded": (
        "prometheus/audit.yaml",
        "Alerts on the metrics of recording, for Prometheus.",
    ),
    "dashboard": ("grafana/audit.json", "The dashboard, for Grafana."),
    "datasource": ("grafana/provisioning/datasources/loki.yaml", "Loki, for Grafana."),
    "alloy": ("examples/audit.alloy", "Grafana Alloy."),
    "fluent-bit": ("examples/fluent-bit.yaml", "Fluent Bit."),
    "otel-collector": ("examples/otel-collector.yaml", "OpenTelemetry Collector."),
}
"""By name: where it is in ``vector``, and what it is for."""

RULES = ("alerts", "recording")
METRICS = "address: 127.0.0.1:9598"
LOKI = "http://loki:3100"
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_ADDRESS = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}:[0-9]{{1,5}}")
_URL = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9._~:/%\[\]-]*")
"""Addresses that need no quotes in YAML or a shell, and have no login, which needs its own file."""


def path_of(name: str) -> Path:
    """Where a file is: in the package when that was installed, beside it in a source tree."""
    where = FILES[name][0]
    package = Path(audit_emit.__file__).parent
    inside = package / "vector" / where
    if inside.is_file():
        return inside
    if where.startswith("grafana/"):
        return package.parent / "integrations" / where
    return package.parent / "vector" / where


def _listed() -> str:
    width = max(map(len, FILES))
    return "\n".join(f"  {name:<{width}}  {what}" for name, (_, what) in FILES.items())


@a_command(
    "vector",
    {Exit.OK: "written", Exit.USAGE: "", Exit.NOTHING: "this installation has no such file"},
    [
        "audit-emit vector file --endpoint https://loki:3100 --out /etc/vector/audit.yaml",
        "audit-emit vector alerts --tenant ops --silent nightly-report=26h",
    ],
    epilog="\b\nFiles:\n" + _listed(),
)
@click.argument("name", type=click.Choice(list(FILES)), metavar="FILE")
@click.option("--endpoint", metavar="URL", help="Address of Loki, in place of http://loki:3100.")
@click.option("--metrics", metavar="HOST:PORT", help="The address of Vector's metrics.")
@click.option(
    "--tenant", metavar="NAME", help="For alerts and recording: the tenant of every rule."
)
@click.option(
    "--silent",
    multiple=True,
    metavar="SERVICE=SPAN",
    help="For alerts: alert when this service has recorded nothing for that long, such as "
    "nightly-report=26h; repeatable.",
)
@click.option(
    "--except",
    "exceptions",
    multiple=True,
    metavar="ALERT=SERVICE",
    help="For alerts: a service that this alert leaves out; repeatable.",
)
@kept
def command(
    name: str,
    *,
    endpoint: str | None,
    metrics: str | None,
    tenant: str | None,
    silent: tuple[str, ...],
    exceptions: tuple[str, ...],
) -> Exit:
    """Print a configuration file: audit-emit vector file > /etc/vector/audit.yaml."""
    if tenant and name not in RULES:
        raise click.UsageError(
            "--tenant is for the rules; in the other files it is an option inside"
        )
    if (silent or exceptions) and name != "alerts":
        raise click.UsageError("--silent and --except are for the alerts")
    text = path_of(name).read_text(encoding="utf-8")
    if name in RULES:
        text = written(text, tenant, pairs(silent, "silent"), pairs(exceptions, "except"))
    if endpoint:
        if not _URL.fullmatch(endpoint):
            raise click.UsageError("--endpoint must be an address, such as https://loki:3100")
        if LOKI not in text:
            raise click.UsageError(f"--endpoint: there is no address of Loki in {name}")
        text = text.replace(LOKI, endpoint)
    if metrics:
        if METRICS not in text or not _ADDRESS.fullmatch(metrics):
            raise click.UsageError(
                "--metrics is an address such as 0.0.0.0:9598, for Vector's files"
            )
        text = text.replace(METRICS, f"address: {metrics}")
    click.echo(text, nl=False)
    return Exit.OK
