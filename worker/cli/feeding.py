"""The command that brings files of events onto the input topic."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.shared import MappingOption, PrefixOption, ServersOption, app, progress, run, say, settings_of

__all__: list[str] = []


@app.command("import", short_help="Bring files of events onto the input topic.")
def import_files(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="JSONL, CSV or Parquet; .gz, .zst and .xz too.")],
    mapping: MappingOption = None,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Bring files onto the input topic, each record under its user's id: history, before going live.

    What nobody can read goes too, for the workers to make dead letters of. A run that is cut off says how many records
    got there; whoever runs it again writes those twice.
    """
    from worker.files import configuration
    from worker.files.source import Source
    from worker.operations.importing import feed, keyed

    settings = settings_of(bootstrap_servers, topic_prefix)
    under = configuration.load(None, mapping)
    source = Source(files, under.columns)
    batches = (keyed(payloads, under.mapping) for payloads, _ in source.batches(10_000))
    with progress("importing", "records") as tell:
        told = (lambda count: tell(source.bytes_read, source.bytes_total, count)) if tell else None
        count = run(feed(settings, batches, None, told))
    say(f"{count:,} records of {source.lines:,} lines are on {settings.events_topic}.")
    for reason, lines in source.left_out.most_common():
        say(f"{lines:,} lines left out: {reason}")
