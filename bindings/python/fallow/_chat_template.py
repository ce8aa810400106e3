"""Renders chat templates the way Hugging Face's tokenizers do."""

from __future__ import annotations

import datetime
import functools
import json
from typing import Any


def render(template: str, messages: list[dict[str, Any]], **variables: Any) -> str:
    """The text of a conversation. ValueError says what the template refused."""
    import jinja2

    try:
        return _compile(template).render(messages=messages, **variables)
    except jinja2.TemplateError as error:
        raise ValueError(f"chat template: {error}") from error


@functools.lru_cache(maxsize=16)
def _compile(template: str) -> Any:
    import jinja2
    import jinja2.ext
    import jinja2.sandbox

    # Templates come with checkpoints from strangers, so they run in the sandbox.
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment.from_string(template)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Without the HTML escapes of Jinja's own filter."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> None:
    import jinja2

    raise jinja2.TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.datetime.now().strftime(form)
