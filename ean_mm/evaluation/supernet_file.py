"""The supernet as a file: weights and plain facts about them, read without running code."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..structures import write_atomically

FORMAT = 'ean_mm.supernet'
VERSION = 1


class SupernetError(ValueError):
    """A supernet file that cannot be used."""


@dataclass(frozen=True)
class Supernet:
    """Weights of a supernet.

    Attributes:
        state_dict: of the whole model.
        identity: what the supernet was trained on and how; empty for weights of another origin.
        sha256: digest of names, types, shapes and values.
    """

    state_dict: dict[str, Tensor]
    identity: dict[str, str]
    sha256: str


def save_supernet(path: Path, state_dict: dict[str, Tensor], identity: dict[str, str]) -> None:
    """Write the weights of a trained supernet in one atomic step."""
    weights = {name: tensor.detach().cpu() for name, tensor in state_dict.items()}
    content = {
        'meta': {
            'format': FORMAT,
            'version': VERSION,
            'identity': dict(identity),
            'sha256': digest_weights(weights),
        },
        'state_dict': weights,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load_supernet(
    path: Path, trust_checkpoint: bool = False, argument: str = 'supernet', made_by: str = 'tools/search.py'
) -> Supernet:
    """Read a supernet, or the weights of any checkpoint that loads without running code.

    Args:
        path: a ``supernet.pth``, or a checkpoint with a ``state_dict``.
        trust_checkpoint: read a checkpoint that can run code when it is read, a full mmengine checkpoint for one.
        argument: what the user calls the file, for messages.
        made_by: the tool that makes one.

    Raises:
        SupernetError: if the file is missing, damaged, foreign, or needs code that was not allowed.
    """
    if not path.is_file():
        raise SupernetError(f'`{argument}` must be a file, but got {str(path)!r}; train one with {made_by}.')
    if not zipfile.is_zipfile(path):
        raise SupernetError(
            f'`{argument}` must be a checkpoint of torch >= 1.6, but got {str(path)!r}, which is damaged or something else.'
        )
    try:
        unsafe = [] if trust_checkpoint else torch.serialization.get_unsafe_globals_in_checkpoint(path)
        if unsafe:
            raise SupernetError(
                f'`{argument}` must load without running code, but got {str(path)!r}, which needs {", ".join(unsafe)}; '
                'pass --trust-checkpoint if you trust where it comes from.'
            )
        content = torch.load(path, map_location='cpu', weights_only=not trust_checkpoint)
    except (RuntimeError, EOFError, OSError, KeyError, ValueError) as err:
        if isinstance(err, SupernetError):
            raise
        raise SupernetError(
            f'`{argument}` must be an undamaged checkpoint, but got {str(path)!r} ({err}); move it aside and train again.'
        ) from err
    return _read(path, content, argument)


def restore_supernet(model: nn.Module, supernet: Supernet) -> None:
    """Load the weights into a model, every key of it.

    Raises:
        SupernetError: if a key is missing, unexpected or of another shape, attention included.
    """
    try:
        model.load_state_dict(supernet.state_dict, strict=True)
    except RuntimeError as err:
        raise SupernetError(
            f'`supernet` must hold the weights of this {type(model).__name__} and of its attention, but got others '
            f'({" ".join(str(err).split())[:300]}); train one with this config.'
        ) from err


def _read(path: Path, content: Any, argument: str) -> Supernet:
    weights = content.get('state_dict') if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise SupernetError(
            f"`{argument}` must hold a 'state_dict', but got {str(path)!r} with {type(content).__name__}."
        )
    sha256 = digest_weights(weights)
    meta = content.get('meta')
    if not isinstance(meta, dict) or meta.get('format') != FORMAT:
        return Supernet(weights, {}, sha256)
    if meta.get('version') != VERSION:
        raise SupernetError(
            f'`{argument}` must be of version {VERSION}, but got {meta.get("version")!r} in {str(path)!r}; '
            'use the ean_mm that wrote it.'
        )
    if meta.get('sha256') != sha256:
        raise SupernetError(
            f'`{argument}` must be undamaged, but got {str(path)!r} whose weights do not match their sha256; '
            'move it aside and train again.'
        )
    return Supernet(weights, dict(meta['identity']), sha256)


def digest_weights(weights: dict[str, Tensor]) -> str:
    """sha256 over the sorted names, types, shapes and values of ``weights``."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}\n'.encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
