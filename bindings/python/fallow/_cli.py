"""The command line: fallow serve, generate, chat, inspect, profile, cache."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Annotated, Any, Optional

import typer

import fallow
from fallow import _core
from fallow._cli_cache import cache_app
from fallow._cli_display import Display, StdoutStreamer
from fallow._cli_options import (
    model_options,
    profile_options,
    server_options,
    split_model_options,
)
from fallow._cli_profile import print_profile

app = typer.Typer(
    name="fallow",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.add_typer(cache_app, name="cache")

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Directory, .gguf file or hub id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


def main() -> None:
    """Exits with 1 after an error, and with 130 after Ctrl-C."""
    try:
        app()
    except (fallow.Error, ValueError, TimeoutError, MemoryError, OSError) as error:
        sys.exit(f"fallow: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(fallow.__version__)
        raise typer.Exit


@app.callback()
def take_options_of_all_commands(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print it.")
    ] = False,
) -> None:
    """Large language models on machines that stand idle."""
    _core.tune_process()


@app.command()
@server_options
def serve(checkpoint: Model, *, as_json: AsJson = False, **options: Any) -> None:
    """Hold blocks of a model and run them for others.

    Prints the address for --peers as soon as it serves. SIGTERM and Ctrl-C stop it cleanly; if its
    device fails, it exits with 1.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _core.log_to_stderr()
    display = Display()
    try:
        with display.step(f"loading {checkpoint}"):
            server = fallow.BlockServer(checkpoint, **options)
        with server:
            print(_describe(server) if as_json else server.address, flush=True)
            while not server.wait(timeout=1):
                if server.stats()["draining"]:  # its device failed, as the log says
                    raise typer.Exit(1)
    except KeyboardInterrupt:
        pass


def _describe(server: fallow.BlockServer) -> str:
    return json.dumps(
        {
            "address": server.address,
            "peer": server.peer,
            "blocks": server.blocks,
            "numeric_class": server.numeric_class,
            "weight_bytes": server.stats()["weight_bytes"],
        }
    )


@app.command()
@model_options
def generate(
    checkpoint: Model,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT")],
    *,
    chat: Annotated[bool, typer.Option("--chat", help="PROMPT is a message of a chat.")] = False,
    stop: Annotated[Optional[list[str]], typer.Option(help="End after this text.")] = None,
    as_json: AsJson = False,
    **options: Any,
) -> None:
    """Continue a text."""
    display = Display()
    model, tokenizer, keywords = _load(checkpoint, options, display)
    if chat:
        messages = [{"role": "user", "content": prompt}]
        prompt_ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
    else:
        prompt_ids = tokenizer.encode(prompt)
    streamer = None if as_json else StdoutStreamer(tokenizer, display)
    with model, display.step(f"prefill of {len(prompt_ids)} tokens"):
        model.generate(
            prompt_ids,
            streamer=streamer,
            on_token=display.on_token,
            stop_strings=stop or None,
            tokenizer=tokenizer,
            **keywords,
        )
        generation = model.last_generation()
        numeric_class = model.numeric_class()
    display.show(generation)
    if as_json:
        print(_result(tokenizer, prompt_ids, generation, numeric_class))


def _load(
    checkpoint: str, options: dict[str, Any], display: Display
) -> tuple[fallow.AutoDistributedModelForCausalLM, fallow.Tokenizer, dict[str, Any]]:
    loading, keywords = split_model_options(options)
    with display.step(f"loading {checkpoint}"):
        tokenizer = fallow.AutoTokenizer.from_pretrained(checkpoint, revision=loading["revision"])
        model = fallow.AutoDistributedModelForCausalLM.from_pretrained(checkpoint, **loading)
    display.watch(model)
    return model, tokenizer, keywords


def _result(
    tokenizer: fallow.Tokenizer,
    prompt_ids: list[int],
    generation: fallow.Generation,
    numeric_class: str,
) -> str:
    (token_ids,), (finish_reason,) = generation.tokens, generation.finish
    return json.dumps(
        {
            "text": tokenizer.decode(token_ids, skip_special_tokens=True),
            "prompt_ids": prompt_ids,
            "token_ids": token_ids,
            "finish_reason": finish_reason,
            "prefill_tokens_per_second": generation.prefill_tokens_per_second,
            "decode_tokens_per_second": generation.decode_tokens_per_second,
            "numeric_class": numeric_class,
            "route": generation.route,
            "recoveries": generation.recoveries,
        }
    )


@app.command()
@model_options
def chat(
    checkpoint: Model,
    *,
    system: Annotated[Optional[str], typer.Option(help="Opens the conversation.")] = None,
    **options: Any,
) -> None:
    """Talk with a model. Ctrl-C ends an answer, Ctrl-D the conversation."""
    display = Display()
    model, tokenizer, keywords = _load(checkpoint, options, display)
    messages = [{"role": "system", "content": system}] if system else []
    with model, model.inference_session() as session:
        while (line := _read_line(display)) is not None:
            messages.append({"role": "user", "content": line})
            answer = _answer(session, tokenizer, messages, display, keywords)
            messages.append({"role": "assistant", "content": answer})
            display.show(model.last_generation())


def _read_line(display: Display) -> str | None:
    """What the user says next; None at the end."""
    try:
        line = display.console.input("[bold]> [/bold]")
    except (EOFError, KeyboardInterrupt):
        return None
    return line if line.strip() else _read_line(display)


def _answer(
    session: fallow.InferenceSession,
    tokenizer: fallow.Tokenizer,
    messages: list[dict[str, str]],
    display: Display,
    keywords: dict[str, Any],
) -> str:
    """Sends what the session has not seen yet, and shows the answer while it comes."""
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
    known = len(os.path.commonprefix([session.tokens, ids[:-1]]))
    session.rewind(known)
    try:
        with display.step("thinking"):
            session.generate(
                ids[known:],
                streamer=StdoutStreamer(tokenizer, display),
                on_token=display.on_token,
                **keywords,
            )
    except KeyboardInterrupt:
        display.console.print("stopped", style="dim")
    return tokenizer.decode(session.tokens[len(ids) :], skip_special_tokens=True)


@app.command()
def inspect(
    checkpoint: Model,
    *,
    digests: Annotated[bool, typer.Option(help="Read all weights to digest them.")] = True,
    revision: Annotated[Optional[str], typer.Option(help="Of a hub id.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a checkpoint holds: spec, tensors, numeric class, digests."""
    found = fallow.inspect(checkpoint, digests=digests, revision=revision)
    if as_json:
        print(json.dumps(found))
        return
    for name, value in found["spec"].items():
        print(f"{name:24} {value}")
    print(f"{'numeric_class':24} {found['numeric_class']}\n")
    for tensor in found["tensors"]:
        shape = " x ".join(map(str, tensor["shape"]))
        print(f"{tensor['name']:48} {tensor['type']:8} {shape:16} {tensor['bytes']:>14,} bytes")
    if digests:
        print(f"\nmanifest  {found['digests']['manifest']}\nends      {found['digests']['ends']}")
        for block, digest in enumerate(found["digests"]["blocks"]):
            print(f"block {block:3} {digest}")


@app.command()
@profile_options
def profile(checkpoint: Model, *, as_json: AsJson = False, **options: Any) -> None:
    """Show where a model's time goes, kernel by kernel, beside what this machine allows.

    "of limit": the least time that the machine needs to read the bytes or compute the products,
    over the time that was taken.
    """
    display = Display()
    with display.step(f"profiling {checkpoint}"):
        found = fallow.profile(checkpoint, **options)
    if as_json:
        print(json.dumps(found))
    else:
        print_profile(found)
