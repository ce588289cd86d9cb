"""Where in an image a classifier's answer comes from: class-activation maps, one per scheme."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor

from ..models import EANBackbone
from ..structures import ConnectionScheme, write_atomically

NUM_IMAGES = 6


class NoClassifierError(ValueError):
    """The model answers with something else than one class per image."""


@dataclass(frozen=True)
class ActivationMaps:
    """What a classifier looks at.

    Attributes:
        maps: (N, H, W) of the images as the model gets them, from 0 to 1; all 0 where nothing speaks for the answer.
        answers: number of the class that the model answers, (N,).
    """

    maps: np.ndarray
    answers: np.ndarray


def map_activations(model: BaseModel, backbone: EANBackbone, batch: dict, scheme: ConnectionScheme) -> ActivationMaps:
    """Map each image of a batch to where the model's answer comes from, under one scheme.

    ``map = relu(sum_c mean_hw(d logit / d A_c) * A_c)``, divided by its maximum; A: the backbone's last map, logit: that of
    the class answered. Batch-norm statistics are used as they are: recalibrate them for the scheme first.
    Source: Selvaraju et al., arXiv:1610.02391 (Grad-CAM). With global pooling and one linear layer behind A it is the
    class-activation map of Zhou et al., arXiv:1512.04150, cut at zero.

    Args:
        model: an mmengine model whose mode 'tensor' returns logits (N, classes).
        backbone: the wrapped backbone in it; its scheme comes back as it was, and so does the model's mode.
        batch: collated images.
        scheme: which blocks are connected.

    Cost: a forward pass of the model, and a backward pass of what comes after the backbone.
    Raises:
        NoClassifierError: if the model returns no logits, or its backbone no map.
    """
    before, training = backbone.scheme, model.training
    model.eval()
    backbone.set_scheme(scheme)
    try:
        data = model.data_preprocessor(batch, False)
        features, logits = _run(model, backbone, data)
    finally:
        backbone.set_scheme(before)
        model.train(training)
    answers = logits.argmax(dim=1)
    score = logits.gather(1, answers[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, features, allow_unused=True)
    if gradient is None:
        raise NoClassifierError("`model` must make its logits of the backbone's last map, but got none of it.")
    maps = (gradient.mean(dim=(2, 3), keepdim=True) * features.detach()).sum(dim=1, keepdim=True).relu()
    maps = torch.nn.functional.interpolate(maps.float(), data['inputs'].shape[2:], mode='bilinear', align_corners=False)
    peaks = maps.amax(dim=(2, 3), keepdim=True)
    maps = maps / torch.where(peaks > 0, peaks, 1)
    return ActivationMaps(maps[:, 0].cpu().numpy(), answers.cpu().numpy())


def _run(model: BaseModel, backbone: EANBackbone, data: dict) -> tuple[Tensor, Tensor]:
    """The backbone's last map, as a leaf that gradients end at, and the logits."""
    found: list[Tensor] = []

    def cut(_module: object, _inputs: object, outputs: Any) -> Any:
        several = outputs if isinstance(outputs, tuple | list) else (outputs,)
        if not isinstance(several[-1], Tensor) or several[-1].dim() != 4:
            return None
        found.append(several[-1].detach().requires_grad_())
        return type(outputs)((*several[:-1], found[0])) if isinstance(outputs, tuple | list) else found[0]

    handle = backbone.register_forward_hook(cut)
    try:
        with torch.enable_grad():
            logits = model(**data, mode='tensor')
    finally:
        handle.remove()
    if not found or not isinstance(logits, Tensor) or logits.dim() != 2 or not logits.requires_grad:
        raise NoClassifierError(
            f'`model` must answer with logits (N, classes) made of a map, but got {type(model).__name__!r}, which does not.'
        )
    return found[0], logits


# -- on disk -----------------------------------------------------------------------------------------------------------


def save_activation_maps(
    path: str | os.PathLike,
    model: BaseModel,
    backbone: EANBackbone,
    batch: dict,
    schemes: Mapping[str, ConnectionScheme],
    class_names: Sequence[str] | None = None,
    recalibrated: Callable[[], AbstractContextManager] = nullcontext,
    num_images: int = NUM_IMAGES,
) -> bool:
    """Save the first images of a batch and their maps under several schemes; nothing for a model that is no classifier.

    The file is an npz archive of plain arrays: ``images`` (N, H, W, RGB) uint8, ``maps`` (schemes, N, H, W), and the texts
    ``names`` (schemes,), ``predicted`` (schemes, N) and ``truth`` (N,), which is empty where it is not known.

    Args:
        path: of the file.
        model: an mmengine model.
        backbone: the wrapped backbone in it.
        batch: collated images with their samples, all of one size.
        schemes: by name.
        class_names: of the data set; None shows numbers.
        recalibrated: opened around each scheme, which is set by then, to give batch norm the statistics that belong to it.
        num_images: how many of the images.

    Returns:
        Whether the file was written.
    """
    few = {key: values[:num_images] for key, values in batch.items()}
    try:
        images = _to_images(few['inputs'], model)
        found = {name: _map_under(model, backbone, few, scheme, recalibrated) for name, scheme in schemes.items()}
    except NoClassifierError as err:
        print_log(f'No class-activation maps: {err}', logger='current')
        return False
    names = class_names or ()
    answers = [[_name(int(answer), names) for answer in each.answers] for each in found.values()]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        images=images,
        maps=np.stack([each.maps for each in found.values()]).astype(np.float32),
        names=np.array(list(found)),
        predicted=np.array(answers),
        truth=np.array([_find_truth(sample, names) for sample in few.get('data_samples') or [None] * len(images)]),
    )
    write_atomically(path, buffer.getvalue())
    return True


def _map_under(
    model: BaseModel,
    backbone: EANBackbone,
    batch: dict,
    scheme: ConnectionScheme,
    recalibrated: Callable[[], AbstractContextManager],
) -> ActivationMaps:
    before = backbone.scheme
    backbone.set_scheme(scheme)
    try:
        with recalibrated():
            return map_activations(model, backbone, batch, scheme)
    finally:
        backbone.set_scheme(before)


def _to_images(inputs: Sequence[Tensor] | Tensor, model: BaseModel) -> np.ndarray:
    """Images as they were loaded, (N, H, W, RGB) uint8."""
    if len({image.shape for image in inputs}) != 1:
        raise NoClassifierError('`batch` must hold images of one size, but got several.')
    images = torch.stack(list(inputs)).permute(0, 2, 3, 1).float().round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    if images.shape[3] == 1:
        return np.repeat(images, 3, axis=3)
    preprocessor = cast(Any, model.data_preprocessor)  # mmpretrain's and mmengine's name for the same switch
    is_bgr = getattr(preprocessor, 'to_rgb', getattr(preprocessor, '_channel_conversion', False))
    return np.ascontiguousarray(images[..., ::-1]) if is_bgr else images


def _find_truth(sample: Any, names: Sequence[str]) -> str:
    label = getattr(sample, 'gt_label', None)
    return _name(int(label), names) if label is not None and label.numel() == 1 else ''


def _name(number: int, names: Sequence[str]) -> str:
    return str(names[number]) if number < len(names) else str(number)
