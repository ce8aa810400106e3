"""Tokenizers: Hugging Face's `tokenizers`, from tokenizer.json or from a GGUF file's metadata."""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING, Any

from fallow import _chat_template, _core, _gguf_tokenizer, _hub, _rows

if TYPE_CHECKING:
    import tokenizers

SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


class Encoding(dict):
    """input_ids and attention_mask, by key or by attribute; passes to generate(**encoding)."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Tokenizer:
    """Text to token ids and back. Made by AutoTokenizer.from_pretrained.

    Attributes: bos_token, eos_token, unk_token and pad_token with their *_id (None where there is
    none), chat_template, padding_side ("right" or "left"), backend (a tokenizers.Tokenizer).
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        *,
        special_tokens: dict[str, str | None],
        add_bos: bool | None = None,
        add_eos: bool | None = None,
        chat_template: str | None = None,
        padding_side: str = "right",
    ):
        """add_bos and add_eos: None leaves both to the backend's own post-processor."""
        backend.no_padding()
        backend.no_truncation()
        self.backend = backend
        self.special_tokens = {name: special_tokens.get(name) for name in SPECIAL_TOKENS}
        self.chat_template = chat_template
        self.padding_side = padding_side
        self._affixes = None
        if add_bos is not None or add_eos is not None:
            self._affixes = (
                self._affix("bos_token", bool(add_bos)),
                self._affix("eos_token", bool(add_eos)),
            )

    def _affix(self, name: str, wanted: bool) -> list[int]:
        token_id = self._special_id(name)
        return [token_id] if wanted and token_id is not None else []

    def _special_id(self, name: str) -> int | None:
        token = self.special_tokens[name]
        return None if token is None else self.backend.token_to_id(token)

    bos_token = property(lambda self: self.special_tokens["bos_token"])
    eos_token = property(lambda self: self.special_tokens["eos_token"])
    unk_token = property(lambda self: self.special_tokens["unk_token"])
    pad_token = property(lambda self: self.special_tokens["pad_token"])
    bos_token_id = property(lambda self: self._special_id("bos_token"))
    eos_token_id = property(lambda self: self._special_id("eos_token"))
    unk_token_id = property(lambda self: self._special_id("unk_token"))
    pad_token_id = property(lambda self: self._special_id("pad_token"))

    def __len__(self) -> int:
        """How many tokens there are, special ones included."""
        return self.backend.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """The ids of one text."""
        if self._affixes is None:
            return self.backend.encode(text, add_special_tokens=add_special_tokens).ids
        ids = self.backend.encode(text, add_special_tokens=False).ids
        return self._affixes[0] + ids + self._affixes[1] if add_special_tokens else ids

    def __call__(
        self,
        text: str | list[str],
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        padding_side: str | None = None,
        return_tensors: str | None = None,
    ) -> Encoding:
        """input_ids and attention_mask of a text, or of several.

        padding: True or "longest" makes all rows as long as the longest; padding_side is "left" or
        "right" (default: the tokenizer's own). return_tensors: "np" or "pt" gives arrays
        [texts, length], "list" or None plain lists (one flat list for a single text).
        """
        if isinstance(text, str):
            rows = [self.encode(text, add_special_tokens=add_special_tokens)]
        else:
            rows = [self.encode(entry, add_special_tokens=add_special_tokens) for entry in text]
        masks = [[1] * len(row) for row in rows]
        if padding:
            rows, masks = self._padded(rows, masks, padding, padding_side or self.padding_side)
        if isinstance(text, str) and _array_kind(return_tensors) == "list":
            rows, masks = rows[0], masks[0]
        return Encoding(
            input_ids=_to_tensors(rows, return_tensors),
            attention_mask=_to_tensors(masks, return_tensors),
        )

    def _padded(self, rows: list, masks: list, padding: bool | str, side: str) -> tuple[list, list]:
        if padding not in (True, "longest"):
            raise ValueError(f"padding = {padding!r}, expected True, 'longest' or False")
        if side not in ("left", "right"):
            raise ValueError(f"padding_side = {side!r}, expected 'left' or 'right'")
        pad_id = self.eos_token_id if self.pad_token_id is None else self.pad_token_id
        if pad_id is None:
            raise ValueError("padding: this tokenizer has neither a pad token nor an end token")
        return _rows.pad(rows, pad_id, side), _rows.pad(masks, 0, side)

    def decode(self, ids: Any, *, skip_special_tokens: bool = False) -> str:
        """The text of one row of ids (or of a single id)."""
        row = _rows.to_list([ids] if isinstance(ids, int) else ids)
        if isinstance(row, int):
            row = [row]
        return self.backend.decode(row, skip_special_tokens=skip_special_tokens)

    def batch_decode(self, rows: Any, *, skip_special_tokens: bool = False) -> list[str]:
        """The texts of several rows."""
        return [self.decode(row, skip_special_tokens=skip_special_tokens) for row in rows]

    def convert_tokens_to_ids(self, tokens: str | list[str]) -> Any:
        if isinstance(tokens, str):
            return self.backend.token_to_id(tokens)
        return [self.backend.token_to_id(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: int | list[int]) -> Any:
        if isinstance(ids, int):
            return self.backend.id_to_token(ids)
        return [self.backend.id_to_token(token_id) for token_id in _rows.to_list(ids)]

    def apply_chat_template(
        self,
        messages: list[dict[str, Any]],
        *,
        add_generation_prompt: bool = False,
        tokenize: bool = True,
        return_tensors: str | None = None,
        chat_template: str | None = None,
        tools: list | None = None,
        documents: list | None = None,
        **variables: Any,
    ) -> Any:
        """A conversation as the model was trained to read it: ids, or text if not `tokenize`.

        messages: [{"role": ..., "content": ...}, ...]. add_generation_prompt: end where the
        assistant is to go on. Further keywords are variables of the template. ValueError if there
        is no template, or it refuses the messages.
        """
        template = chat_template or self.chat_template
        if template is None:
            raise ValueError("this tokenizer has no chat_template; pass chat_template=")
        named = {name: token for name, token in self.special_tokens.items() if token is not None}
        text = _chat_template.render(
            template,
            messages,
            add_generation_prompt=add_generation_prompt,
            tools=tools,
            documents=documents,
            **{**named, **variables},
        )
        if not tokenize:
            return text
        ids = self.encode(text, add_special_tokens=False)  # the template wrote what it wants
        return ids if _array_kind(return_tensors) == "list" else _to_tensors([ids], return_tensors)


class AutoTokenizer:
    """Finds the tokenizer of a checkpoint."""

    @staticmethod
    def from_pretrained(checkpoint: str, *, revision: str | None = None) -> Tokenizer:
        """From a directory (tokenizer.json), a .gguf file, or a hub id.

        Fetches tokenizer files only. CheckpointError if there is none; ValueError if a GGUF file's
        tokenizer is of an unknown kind.
        """
        path = pathlib.Path(_hub.fetch_tokenizer(checkpoint, revision))
        return _from_gguf(path) if path.suffix == ".gguf" else _from_directory(path)


def _from_gguf(path: pathlib.Path) -> Tokenizer:
    try:
        built = _gguf_tokenizer.build(_core.gguf_tokenizer(str(path)))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Tokenizer(
        built.backend,
        special_tokens=built.special_tokens,
        add_bos=built.add_bos,
        add_eos=built.add_eos,
        chat_template=built.chat_template,
    )


def _from_directory(path: pathlib.Path) -> Tokenizer:
    from tokenizers import AddedToken
    from tokenizers import Tokenizer as Backend

    file = path / "tokenizer.json"
    if not file.exists():
        raise _core.CheckpointError(f"{file}: no such file")
    try:
        backend = Backend.from_file(str(file))
    except Exception as error:  # tokenizers raises nothing more precise
        raise _core.CheckpointError(f"{file}: {error}") from error
    config = _read_json(path / "tokenizer_config.json")
    special_tokens = {**_read_json(path / "special_tokens_map.json"), **config}
    named = {name: _content(special_tokens.get(name)) for name in SPECIAL_TOKENS}
    missing = [token for token in named.values() if token and backend.token_to_id(token) is None]
    backend.add_special_tokens([AddedToken(token, normalized=False) for token in missing])
    return Tokenizer(
        backend,
        special_tokens=named,
        add_bos=config.get("add_bos_token"),
        add_eos=config.get("add_eos_token"),
        chat_template=_find_chat_template(path, config),
        padding_side=config.get("padding_side", "right"),
    )


def _find_chat_template(path: pathlib.Path, config: dict[str, Any]) -> str | None:
    file = path / "chat_template.jinja"
    if file.exists():
        return file.read_text(encoding="utf-8")
    template = config.get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {entry["name"]: entry["template"] for entry in template}
        return named.get("default")
    return template


def _content(token: str | dict[str, Any] | None) -> str | None:
    """A special token as written, which may be an object with its flags."""
    return token["content"] if isinstance(token, dict) else token


def _read_json(path: pathlib.Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _core.CheckpointError(f"{path}: {error}") from None


def _array_kind(return_tensors: str | None) -> str:
    kinds = {None: "list", "list": "list", "np": "numpy", "pt": "torch"}
    if return_tensors not in kinds:
        raise ValueError(f"return_tensors = {return_tensors!r}, expected 'np', 'pt' or 'list'")
    return kinds[return_tensors]


def _to_tensors(rows: list, return_tensors: str | None) -> Any:
    kind = _array_kind(return_tensors)
    if kind != "list" and len({len(row) for row in rows}) > 1:
        raise ValueError("return_tensors: the texts have different lengths, pass padding=True")
    return _rows.make_array(kind, rows)
