"""The command line. Commands are imported when they are called, so that help is quick."""

from __future__ import annotations

import importlib
import sys

import click

_COMMANDS = {
    "audit": ("pipelines.audit_command", "audit"),
    "bigquery": ("pipelines.bigquery_command", "bigquery"),
    "consent": ("pipelines.consent_command", "consent"),
    "contracts": ("pipelines.contracts_command", "contracts"),
    "demo": ("pipelines.demo_command", "demo"),
    "drift": ("pipelines.drift_command", "drift"),
    "erase": ("pipelines.erase_command", "erase"),
    "export-telemetry": ("pipelines.export_telemetry_command", "export_telemetry"),
    "explain": ("pipelines.explain_command", "explain"),
    "gc": ("pipelines.gc_command", "gc"),
    "generate": ("pipelines.generate_command", "generate"),
    "inspect": ("pipelines.inspect_command", "inspect"),
    "keys": ("pipelines.keys_command", "keys"),
    "ledger": ("pipelines.ledger_command", "ledger"),
    "policy": ("pipelines.policy_command", "policy"),
    "release": ("pipelines.release_command", "release"),
    "replay": ("pipelines.replay_command", "replay"),
    "report": ("pipelines.report_command", "report"),
    "reprocess": ("pipelines.reprocess_command", "reprocess"),
    "run": ("pipelines.run_command", "run"),
    "subject": ("pipelines.subject_command", "subject"),
    "tables": ("pipelines.inspect_command", "tables"),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cofferdam", prog_name="cofferdam")
def cli() -> None:
    """Keep service telemetry and customer content apart, and content sealed until consent releases it.

    \b
    A first tour:
      cofferdam keys init my-keys
      cofferdam generate --events 10000 --seed 1 --output my-events
      cofferdam run --input my-events/events --store my-store --keys my-keys/ingest
      cofferdam inspect --store my-store
      cofferdam report --store my-store --out report.html
    """  # noqa: D301 - click reads the backspace as "keep the lines of this paragraph"


def main() -> None:
    """Entry point of the console command."""
    sys.exit(cli.main(standalone_mode=True))
