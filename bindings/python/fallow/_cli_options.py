"""Options of the command line, with the names and defaults of the Python interface."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Optional

import typer

from fallow import _core

# name: (type, help). Names are those of BlockServer and from_pretrained; so are the defaults.
_SHARED = {
    "identity": (str, "Key file, made if absent; none: a new key each time."),
    "insecure": (bool, "Plaintext, peers not identified: for closed networks only."),
    "numeric_class": (str, "auto, fp32, bf16, exact, or a whole class string."),
    "weights": (str, "auto, fp32, bf16, q8 or q4."),
    "threads": (int, "Threads of the computation; 0: all cores."),
    "device": (str, "auto, cpu, cuda, cuda:1, cuda-emulated (slowly), or several: cuda:0,cuda:1,cpu."),
    "kv_memory": (int, "Bytes for keys and values; 0: a quarter of the memory."),
    "cache": (str, "Of packed weights, for quick starts: a directory, or auto; none if empty."),
}
_SERVER_ONLY = {
    "blocks": (str, "begin:end, half-open; none: all."),
    "listen": (str, "host:port; port 0 takes a free one."),
    "max_sessions": (int, "Sessions open at once."),
    "max_outbox": (int, "Bytes kept per session for replays."),
    "announce": (str, "Host put into the address; none: that of --listen."),
    "grace": (float, "Seconds that a session without its client is kept."),
    "idle_timeout": (float, "Seconds after which a session without a step is closed."),
}
_PROFILE_ONLY = {
    "prompt_tokens": (int, "Tokens of a prompt, run in passes of 128."),
    "new_tokens": (int, "Tokens after it, one a pass."),
}
_MODEL_ONLY = {
    "peers": (str, "Servers, host:port#peer-id, separated by commas; none: run here."),
    "connect_timeout": (float, "Seconds."),
}
# Without a default of their own: what the checkpoint's generation_config.json says holds.
_GENERATION = {
    "max_new_tokens": (int, "The most tokens to make."),
    "do_sample": (bool, "Draw tokens; else take the likeliest."),
    "temperature": (float, "Above 1: more varied."),
    "top_k": (int, "Draw from the k likeliest; 0: all."),
    "top_p": (float, "Draw from the smallest set with this probability."),
    "min_p": (float, "Drop what is less likely than this times the likeliest."),
    "typical_p": (float, "Locally typical sampling."),
    "repetition_penalty": (float, "Above 1: tokens seen before become less likely."),
    "frequency_penalty": (float, "Subtracted once per occurrence in the answer."),
    "presence_penalty": (float, "Subtracted once for what occurs in the answer."),
    "seed": (int, "Repeats a draw."),
    "ignore_end_tokens": (bool, "Go on after the model's end tokens."),
    "end_mode": (str, "ring, or private: servers never see tokens."),
}
_REVISION = {"revision": (str, "Branch, tag or commit of a hub id.")}


def server_options(command: Callable) -> Callable:
    """Gives `command` the options of BlockServer instead of its **options."""
    defaults = {**_core.server_defaults(), "blocks": None}
    return _with_options(command, {**_SERVER_ONLY, **_SHARED, **_REVISION}, defaults)


def profile_options(command: Callable) -> Callable:
    """Gives `command` the options of profile instead of its **options."""
    defaults = {**_core.profile_defaults(), "blocks": None}
    known = {**_PROFILE_ONLY, **_SERVER_ONLY, **_SHARED}
    table = {name: known[name] for name in defaults if name in known}
    return _with_options(command, {**table, **_REVISION}, defaults)


def model_options(command: Callable) -> Callable:
    """Gives `command` the options of from_pretrained and generate instead of its **options."""
    defaults = {**_core.model_defaults(), "peers": None}
    table = {**_MODEL_ONLY, **_GENERATION, **_SHARED, **_REVISION}
    return _with_options(command, table, defaults)


def split_model_options(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keywords of from_pretrained, and those of generate that were given."""
    generation = {name: options[name] for name in _GENERATION if options[name] is not None}
    loading = {name: value for name, value in options.items() if name not in _GENERATION}
    peers = loading["peers"] or ""
    loading["peers"] = [peer.strip() for peer in peers.split(",") if peer.strip()]
    return loading, generation


def _with_options(
    command: Callable, table: dict[str, tuple[type, str]], defaults: dict[str, Any]
) -> Callable:
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    added = [_parameter(name, *table[name], defaults.get(name)) for name in table]

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        command(*arguments, **options)

    parameters = own + added
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _parameter(name: str, kind: type, text: str, default: Any) -> inspect.Parameter:
    # A name of its own keeps typer from adding a --no-... to what is off anyway.
    option = typer.Option(f"--{name.replace('_', '-')}", help=text, show_default=bool(default))
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind if default is not None else Optional[kind], option],
    )
