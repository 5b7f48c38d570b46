"""Finished chunks on disk, so that a long run killed at any moment goes on from there.

One safetensors file a chunk, no pickle. Its header carries two SHA-256 sums: the checksum of the
file itself, and the fingerprint of what was trained. Only a file with both right is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

import smallweights
from smallweights.data import Split
from smallweights.select import Penalize
from smallweights.stacked import Chunk, Trained
from smallweights.train import data_loss

_BLANK = b"0" * 64
_CHECKSUM = re.compile(rb"checksum\W+([0-9a-f]{64})")


class ChunkFolder:
    """The finished ones of these chunks in a folder, made if it is not there.

    The folder belongs to one run at a time. A file that is damaged, or that holds another chunk
    than the one in its place, raises ``ValueError`` with its name.
    """

    def __init__(
        self, folder: str | os.PathLike[str], chunks: Sequence[Chunk], place: torch.device
    ) -> None:
        _safetensors()
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.chunks = chunks
        self.fingerprints = [fingerprint(chunk, place) for chunk in chunks]

    def path(self, i: int) -> Path:
        """The file of chunk i."""
        return self.folder / f"chunk-{i:05d}.safetensors"

    def read(self) -> dict[int, Trained]:
        """The finished chunks, by number."""
        there = [i for i in range(len(self.chunks)) if self.path(i).exists()]
        return {i: self._read(i) for i in there}

    def _read(self, i: int) -> Trained:
        path = self.path(i)
        trained = read(path, self.fingerprints[i])
        before, now = trained.scores["train_loss"][0, 0].item(), _start_loss(self.chunks[i])
        # What a network's code computes shows in no fingerprint, but it does in the first loss.
        if abs(now - before) > 1e-3 * abs(now) + 1e-6:
            raise ValueError(
                f"{path} holds another network: it started from a training loss of {before:.4g},"
                f" this one starts from {now:.4g}. Give this run a folder of its own."
            )
        return trained

    def write(self, i: int, trained: Trained) -> None:
        """Keep chunk i."""
        write(self.path(i), trained, self.fingerprints[i])


@torch.no_grad()
def _start_loss(chunk: Chunk) -> float:
    """The training loss of the chunk's first network before its first step."""
    model, data = chunk.models[0], chunk.data[0]
    data = data.to(next(model.parameters()).device)
    return data_loss(data, model(data.train.x), data.train.y).item()


def write(path: Path, trained: Trained, fingerprint: str) -> None:
    """Write a chunk so that its file is there whole or not at all, even after a SIGKILL."""
    tensors = _flatten(trained)
    about = {
        "fingerprint": fingerprint,
        "checksum": _BLANK.decode(),
        "made_with": _versions(),
        "names": list(tensors),  # safetensors keeps no order
    }
    blob = _safetensors().save(tensors, {"chunk": json.dumps(about)})
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(blob.replace(_BLANK, hashlib.sha256(blob).hexdigest().encode(), 1))
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def read(path: Path, fingerprint: str) -> Trained:
    """The chunk in a file. Raises ``ValueError`` unless it is whole and has this fingerprint."""
    blob = path.read_bytes()
    match = _CHECKSUM.search(blob)
    whole = blob.replace(match[1], _BLANK, 1) if match else b""
    if not match or hashlib.sha256(whole).hexdigest().encode() != match[1]:
        raise ValueError(
            f"{path} is damaged: its checksum does not fit its bytes."
            " Delete this file and start again; only its replicas are trained anew."
        )
    size = int.from_bytes(blob[:8], "little")
    about = json.loads(json.loads(blob[8 : 8 + size])["__metadata__"]["chunk"])
    if about["fingerprint"] != fingerprint:
        raise ValueError(
            f"{path} belongs to another run, made with {about['made_with']} from other start"
            f" weights, data, penalties, seeds, settings or versions (here: {_versions()})."
            " Give this run a folder of its own, or delete the old one."
        )
    tensors = _safetensors().load(blob)
    return _unflatten({name: tensors[name] for name in about["names"]})


def fingerprint(chunk: Chunk, place: torch.device) -> str:
    """SHA-256 over all that decides a chunk's result.

    These are the start weights, data, penalties, seeds and training settings, the versions of
    this package and of PyTorch, and the kind of device.
    """
    digest = hashlib.sha256()
    _feed(digest, [_versions(), place.type, chunk])
    return digest.hexdigest()


def _versions() -> str:
    return f"smallweights {smallweights.__version__}, torch {torch.__version__}"


def _feed(digest: Any, value: object) -> None:  # noqa: ANN401 - hashlib names no type
    """Add a value to the digest, by type and content, the same in every process."""
    match value:
        case Tensor():
            digest.update(f"tensor {value.dtype} {tuple(value.shape)};".encode())
            plain = value.detach().cpu().contiguous().flatten()
            digest.update(plain.view(torch.uint8).numpy())
        case nn.Module():
            _feed(digest, [repr(value), _settings(value), dict(value.named_parameters())])
        case Penalize():
            _feed(digest, ["Penalize", vars(value)])
        case Split():
            _feed(digest, [value.parts(), value.task, value.classes])
        case Mapping():
            _feed(digest, list(value.items()))
        case list() | tuple():
            digest.update(f"{len(value)} items;".encode())
            for item in value:
                _feed(digest, item)
        case None | bool() | int() | float() | str():
            digest.update(f"{type(value).__name__} {value!r};".encode())
        case _ if is_dataclass(value):
            named = {field.name: getattr(value, field.name) for field in fields(value)}
            _feed(digest, [type(value).__qualname__, named])
        case _:
            raise TypeError(f"Cannot fingerprint {value!r} of type {type(value).__name__}.")


def _settings(model: nn.Module) -> list[tuple[str, object]]:
    """The plain attributes of a network and its layers, such as the activation's name."""
    return [
        (f"{layer}.{name}", value)
        for layer, module in model.named_modules()
        for name, value in sorted(vars(module).items())
        if isinstance(value, bool | int | float | str)
    ]


def _flatten(trained: Trained) -> dict[str, Tensor]:
    """All tensors by ``field`` or ``field/name``."""
    tensors: dict[str, Tensor] = {}
    for field in fields(trained):
        value = getattr(trained, field.name)
        named = {"": value} if isinstance(value, Tensor) else value
        tensors |= {f"{field.name}/{name}".rstrip("/"): t for name, t in named.items()}
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _unflatten(tensors: Mapping[str, Tensor]) -> Trained:
    values: dict[str, Any] = {field.name: {} for field in fields(Trained)}
    for path, tensor in tensors.items():
        field, _, name = path.partition("/")
        if name:
            values[field][name] = tensor
        else:
            values[field] = tensor
    return Trained(**values)


def _safetensors() -> ModuleType:
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError(
            "Keeping chunks in a folder needs safetensors; install it with:"
            " pip install 'smallweights[full]'."
        ) from error
    return safetensors.torch
