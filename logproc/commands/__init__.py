"""One file per command, named like the command: typer only, no logic."""
