"""Write a network in the formats that are asked for, each read back and run before it counts as written."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from ...structures import write_atomically
from .proof import Agreement, Inference, compare_outputs, require_agreement, run

STEM = 'deployed'


def export(
    model: nn.Module, images: list[Tensor], directory: Path, formats: Sequence[str], meta: dict | None = None
) -> dict[str, Agreement]:
    """Write ``deployed.<format>`` for each format, all of them or none; files of other formats from an earlier call go.

    Args:
        model: in evaluation mode.
        images: preprocessed batches; each file is run on them, those of ``FIXED_SIZE`` on the ones as large as the first.
        directory: where the files go.
        formats: of ``FORMATS``.
        meta: plain facts that a ``.pth`` holds beside its weights.

    Returns:
        For every file name, how it agrees with the model.

    Raises:
        ValueError: if a file does not compute what the model does, or the model cannot be exported.
        ImportError: if a package is missing that a format needs.
    """
    network = Inference(model).eval()
    expected = run(network, images)
    as_large = [index for index, batch in enumerate(images) if batch.shape[2:] == images[0].shape[2:]]
    sample = images[0] if len(images[0]) > 1 else images[0].repeat(2, 1, 1, 1)  # of one image a graph is for one image
    found = {}
    directory.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=directory, prefix='.export-') as folder:
        for name in formats:
            path = Path(folder) / f'{STEM}.{name}'
            try:
                read_back = FORMATS[name](network, sample, path, meta or {})
            except ImportError as err:
                raise ImportError(
                    f'`format` must be one whose packages are installed, but got {name!r} ({err}); '
                    'pip install -r requirements/export.txt.'
                ) from err
            chosen = as_large if name in FIXED_SIZE else range(len(images))
            read = read_back([images[index] for index in chosen])
            agreement = compare_outputs([expected[index] for index in chosen], read)
            found[path.name] = require_agreement(path.name, agreement)
        for name in FORMATS:  # what an earlier call has left is not of this network
            (directory / f'{STEM}.{name}').unlink(missing_ok=True)
        for path in sorted(Path(folder).iterdir()):  # weights beside a file, too
            os.replace(path, directory / path.name)
    return found


Read = Callable[[list[Tensor]], list[list[Tensor]]]


def _write_pth(network: Inference, sample: Tensor, path: Path, meta: dict) -> Read:
    weights = _weights(network)
    buffer = io.BytesIO()
    torch.save({'meta': meta, 'state_dict': weights}, buffer)
    write_atomically(path, buffer.getvalue())
    return _check_weights(network, torch.load(path, map_location='cpu', weights_only=True)['state_dict'])


def _write_safetensors(network: Inference, sample: Tensor, path: Path, meta: dict) -> Read:
    from safetensors.torch import load_file, save

    write_atomically(path, save(_weights(network)))
    return _check_weights(network, load_file(path))


def _weights(network: Inference) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.model.state_dict().items()}


def _check_weights(network: Inference, weights: dict[str, Tensor]) -> Read:
    network.model.load_state_dict(weights, strict=True)
    return lambda images: run(network, images)


def _write_onnx(network: Inference, sample: Tensor, path: Path, meta: dict) -> Read:
    import onnx  # noqa: F401 (torch's exporter needs it, and onnxscript)
    import onnxruntime
    import onnxscript  # noqa: F401

    torch.onnx.export(
        network,
        (sample,),
        str(path),
        input_names=['images'],
        dynamic_shapes=({0: torch.export.Dim('batch')},),
        dynamo=True,
        verbose=False,
        external_data=False,
    )
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])

    def read(images: list[Tensor]) -> list[list[Tensor]]:
        return [
            [torch.from_numpy(out) for out in session.run(None, {'images': batch.cpu().numpy()})] for batch in images
        ]

    return read


def _write_pt2(network: Inference, sample: Tensor, path: Path, meta: dict) -> Read:
    program = torch.export.export(network, (sample,), dynamic_shapes=({0: torch.export.Dim('batch')},), strict=False)
    torch.export.save(program, path)
    loaded = torch.export.load(path).module()
    return lambda images: run(loaded, images)


FORMATS: dict[str, Callable[[Inference, Tensor, Path, dict], Read]] = {
    'pth': _write_pth,
    'safetensors': _write_safetensors,
    'onnx': _write_onnx,
    'pt2': _write_pt2,
}
FIXED_SIZE = ('onnx', 'pt2')  # graphs for images of one size


def digest(path: Path) -> str:
    """sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
