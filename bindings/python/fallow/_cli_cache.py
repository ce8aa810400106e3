"""fallow cache ls, rm, verify: the directory of packed weights."""

from __future__ import annotations

import json
import os
import shlex
import time
from typing import Annotated, Any, Optional

import typer

from fallow import _core

cache_app = typer.Typer(no_args_is_help=True, help="Look after packed weights kept for quick starts.")

Directory = Annotated[str, typer.Option("--cache", metavar="DIR", help="A directory, or auto.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


@cache_app.command()
def ls(*, cache: Directory = "auto", as_json: AsJson = False) -> None:
    """List the files: key, model, block, type, bytes, last use."""
    entries = _entries(_core.cache_directory(cache))
    for entry in entries:
        print(json.dumps(entry) if as_json else _line(entry))
    if not as_json:
        print(f"{len(entries)} files, {sum(entry['bytes'] for entry in entries):,} bytes")


@cache_app.command()
def rm(
    keys: Annotated[
        Optional[list[str]],
        typer.Argument(metavar="KEYS", help="Keys or models as ls prints them, or beginnings."),
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Empty the cache.")] = False,
    unused: Annotated[
        Optional[float], typer.Option(metavar="DAYS", help="What was not used for so long.")
    ] = None,
    cache: Directory = "auto",
) -> None:
    """Remove files. Processes that use one keep it until they end."""
    if bool(keys) + everything + (unused is not None) != 1:
        raise ValueError("cache rm: name KEYS, --all or --unused DAYS, one of the three")
    directory = _core.cache_directory(cache)
    if everything:
        if os.path.isdir(directory):
            print(f"removed {_core.cache_clear(directory)} files")
        return
    entries = _entries(directory)
    if unused is not None:
        limit = time.time() - unused * 24 * 3600
        chosen = [entry for entry in entries if entry["last_used"] < limit]
    else:
        chosen = _named(entries, keys or [])
    _core.cache_remove(directory, [entry["key"] for entry in chosen])
    print(f"removed {len(chosen)} files, {sum(entry['bytes'] for entry in chosen):,} bytes")


@cache_app.command()
def verify(*, cache: Directory = "auto") -> None:
    """Read all files and name those that are damaged; exits with 1 if there are any."""
    directory = _core.cache_directory(cache)
    damaged = _core.cache_verify(directory) if os.path.isdir(directory) else []
    for key, problem in damaged:
        print(f"{key} {problem}")
    if damaged:
        begins = " ".join(key[:12] for key, _ in damaged)
        where = "" if cache == "auto" else f" --cache {shlex.quote(cache)}"
        print(f"remove them, and the next start makes them anew: fallow cache rm {begins}{where}")
        raise typer.Exit(1)
    print("all files are whole")


def _entries(directory: str) -> list[dict[str, Any]]:
    return _core.cache_list(directory) if os.path.isdir(directory) else []


def _named(entries: list[dict[str, Any]], names: list[str]) -> list[dict[str, Any]]:
    """Entries whose key or model begins with one of the names. ValueError for a name of none."""
    chosen = {}
    for name in filter(None, names):
        found = [e for e in entries if any(e[of].startswith(name) for of in ("key", "model"))]
        if not found:
            raise ValueError(f"cache rm: {name!r}: no such key or model")
        chosen.update((entry["key"], entry) for entry in found)
    return list(chosen.values())


def _line(entry: dict[str, Any]) -> str:
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry["last_used"]))
    if entry["problem"]:
        return f"{entry['key'][:12]}  damaged: {entry['problem']}"
    return (
        f"{entry['key'][:12]}  {entry['model'][:12]} {entry['checkpoint']:36} {entry['part']:10} "
        f"{entry['type']:10} {entry['bytes']:>14,}  {used}"
    )
