"""Finds checkpoints on disk, or fetches from the Hugging Face hub just the files that are needed.

A checkpoint is named by a directory, a .gguf file, or a hub id: "owner/name", or
"owner/name/file.gguf". HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE are respected.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
from collections.abc import Callable, Iterable
from typing import Any

from fallow import _core

CONFIG_FILES = ("generation_config.json",)
TOKENIZER_FILES = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(/[\w./-]+\.gguf)?")


def fetch_tokenizer(checkpoint: str, revision: str | None = None) -> str:
    """A local path with the tokenizer of `checkpoint`."""
    return _fetch(checkpoint, revision, _fetch_tokenizer_files)


def fetch_config(checkpoint: str, revision: str | None = None) -> str:
    """A local path with what a client of peers needs: no weights, unless they are one file with
    the list of tensors."""
    return _fetch(checkpoint, revision, _fetch_config_files)


def fetch_blocks(
    checkpoint: str, blocks: tuple[int, int] | None = None, revision: str | None = None
) -> str:
    """A local path with the weights of blocks [begin, end) as well; None: all of the model.

    An empty range is what a client needs for private ends: embedding, final norm and head.
    """

    def fetch(repository: _Repository) -> None:
        _fetch_config_files(repository)
        if repository.is_sharded():
            repository.get_all(_shards(repository, blocks))

    return _fetch(checkpoint, revision, fetch)


def is_local(checkpoint: str) -> bool:
    return os.path.exists(checkpoint)


def _fetch(checkpoint: str, revision: str | None, fetch: Callable[[_Repository], None]) -> str:
    checkpoint = os.fspath(checkpoint)
    if is_local(checkpoint):
        return checkpoint
    if not _HUB_ID.fullmatch(checkpoint):
        raise _core.CheckpointError(f"{checkpoint}: no such file or directory, and not a hub id")
    owner, name, *file = checkpoint.split("/", 2)
    repository = _Repository(f"{owner}/{name}", revision)
    if file:
        return repository.get(file[0])
    fetch(repository)
    return str(pathlib.Path(repository.get("config.json")).parent)


def _fetch_tokenizer_files(repository: _Repository) -> None:
    repository.get("config.json")
    repository.get("tokenizer.json")
    repository.get_existing(TOKENIZER_FILES)


def _fetch_config_files(repository: _Repository) -> None:
    repository.get("config.json")
    repository.get_existing(CONFIG_FILES)
    if not repository.is_sharded():
        repository.get(SINGLE)


def _shards(repository: _Repository, blocks: tuple[int, int] | None) -> list[str]:
    """The files that hold the tensors of `blocks`."""
    index_file = repository.get(INDEX)
    index = json.loads(pathlib.Path(index_file).read_text(encoding="utf-8"))
    weight_map: dict[str, str] = index["weight_map"]
    if blocks is None:
        return sorted(set(weight_map.values()))
    num_blocks = _core.read_spec(str(pathlib.Path(index_file).parent))["num_blocks"]
    begin, end = blocks
    needs_ends = begin == 0 or end == num_blocks
    return sorted(
        {
            file
            for tensor, file in weight_map.items()
            if (needs_ends if (block := block_of(tensor)) is None else begin <= block < end)
        }
    )


def block_of(tensor: str) -> int | None:
    """The number of the block that a tensor belongs to: the first in its dotted name."""
    return next((int(part) for part in tensor.split(".") if part.isdigit()), None)


class _Repository:
    """Files of one revision of a repository, in huggingface_hub's cache."""

    def __init__(self, repo_id: str, revision: str | None):
        self._repo_id = repo_id
        self._revision = revision

    def get(self, file: str) -> str:
        """The local path of `file`. CheckpointError if it cannot be had."""
        path = self._download(file)
        if path is None:
            raise _core.CheckpointError(f"{self._repo_id}: the hub has no file {file} in it")
        return path

    def get_existing(self, files: Iterable[str]) -> None:
        for file in files:
            self._download(file)

    def get_all(self, files: Iterable[str]) -> None:
        for file in files:
            self.get(file)

    def is_sharded(self) -> bool:
        return self._download(INDEX) is not None

    def _download(self, file: str) -> str | None:
        """None if the repository has no such file."""
        import huggingface_hub
        from huggingface_hub import errors

        try:
            path = huggingface_hub.hf_hub_download(self._repo_id, file, revision=self._revision)
        except errors.LocalEntryNotFoundError as error:  # the hub cannot be reached
            if self._is_known_to_be_missing(file):
                return None
            raise _core.CheckpointError(f"{self._repo_id}: {file}: {error}") from error
        except errors.EntryNotFoundError:
            return None
        except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
            raise _core.CheckpointError(f"{self._repo_id}: {file}: {error}") from error
        self._revision = _commit_of(path, file)  # later files come from the same commit
        return path

    def _is_known_to_be_missing(self, file: str) -> bool:
        import huggingface_hub

        cached: Any = huggingface_hub.try_to_load_from_cache(
            self._repo_id, file, revision=self._revision
        )
        return cached is huggingface_hub._CACHED_NO_EXIST


def _commit_of(path: str, file: str) -> str:
    """The cache keeps files as .../snapshots/COMMIT/FILE."""
    return pathlib.Path(path).parents[len(pathlib.PurePosixPath(file).parts) - 1].name
