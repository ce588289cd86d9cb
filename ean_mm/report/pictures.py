"""Images inside the page: class-activation maps over their images."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..structures import DamagedFileError
from .parts import Part, Picture, Pictures, Text
from .work_files import WorkFiles

MAPS_FILE = 'activation_maps.npz'
MAX_BYTES = 64 * 2**20
MAX_IMAGES = 12
SIZE = 160  # pixels of the longer side in the page
# dark blue, violet, orange, yellow: light alone orders them, for those who see no colour
RAMP = np.array([[13, 8, 100], [150, 20, 140], [240, 110, 60], [250, 240, 120]], dtype=float)


def show_maps(work: WorkFiles) -> Sequence[Part]:
    """What none, all and the ticket look at."""
    data = work.read_bytes(MAPS_FILE, MAX_BYTES)
    if data is None:
        return []
    maps = _load(data)
    images, heat, names, answers, truth = (maps[key] for key in ('images', 'maps', 'names', 'predicted', 'truth'))
    pictures = []
    for index, image in enumerate(images[:MAX_IMAGES]):
        is_known = bool(truth[index])
        pictures.append(_picture(image, f'image {index + 1}', str(truth[index]) if is_known else f'image {index + 1}'))
        for name, layer, answer in zip(names, heat[:, index], answers[:, index], strict=True):
            is_right = ' ✓' if is_known and answer == truth[index] else ' ✗' if is_known else ''
            alt = f'what {name} looks at in image {index + 1}, for its answer {answer}'
            pictures.append(_picture(overlay(image, layer), alt, f'{answer}{is_right}'))
    text = (
        'Class-activation maps (Grad-CAM on the last map of the backbone, for the class that the network answers): bright '
        'where the answer comes from. Below each map is the answer of the supernet under that scheme'
        f'{", right (✓) or wrong (✗); below the image its class" if any(truth) else ""}.'
    )
    return [Text(text), Pictures(['image', *map(str, names)], pictures)]


def _load(data: bytes) -> dict[str, np.ndarray]:
    keys = ('images', 'maps', 'names', 'predicted', 'truth')
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(each.file_size for each in archive.infolist()) > MAX_BYTES:
                raise ValueError('too large')
        with np.load(io.BytesIO(data)) as file:
            maps = {key: file[key] for key in keys}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as err:
        raise DamagedFileError(
            f'`{MAPS_FILE}` must hold class-activation maps, but got a file without ({err}).'
        ) from err
    if not _are_maps(**maps):
        shapes = ', '.join(f'{key} {maps[key].shape}' for key in keys)
        raise DamagedFileError(f'`{MAPS_FILE}` must hold images (N, H, W, 3) and their maps, but got {shapes}.')
    return maps


def _are_maps(
    images: np.ndarray, maps: np.ndarray, names: np.ndarray, predicted: np.ndarray, truth: np.ndarray
) -> bool:
    is_image = images.ndim == 4 and images.shape[3] == 3 and images.dtype == np.uint8 and images.size > 0
    is_map = is_image and names.ndim == 1 and maps.shape == (len(names), *images.shape[:3]) and maps.dtype.kind == 'f'
    are_words = predicted.shape == maps.shape[:2] and truth.shape == images.shape[:1]
    return bool(is_map and are_words and np.isfinite(maps).all())


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image in grey under a map in colour.

    Args:
        image: (H, W, 3) uint8.
        heat: (H, W) in [0, 1].
    """
    place = np.clip(heat, 0, 1) * (len(RAMP) - 1)
    colour = np.stack([np.interp(place, range(len(RAMP)), RAMP[:, channel]) for channel in range(3)], axis=-1)
    grey = image.mean(axis=-1, keepdims=True)
    return np.round(0.45 * grey + 0.55 * colour).astype(np.uint8)


def _picture(image: np.ndarray, alt: str, caption: str) -> Picture:
    """An image of at most ``SIZE`` pixels; a smaller one is enlarged by the page."""
    picture, buffer = Image.fromarray(image), io.BytesIO()
    is_small = max(picture.size) <= SIZE
    if not is_small:
        picture.thumbnail((SIZE, SIZE))
    picture.save(buffer, 'png')
    return Picture(_to_uri(buffer.getvalue()), alt, caption, is_pixelated=is_small)


def _to_uri(png: bytes) -> str:
    return f'data:image/png;base64,{base64.b64encode(png).decode()}'
