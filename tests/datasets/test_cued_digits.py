from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
from mmengine.hooks import Hook
from mmengine.runner import Runner
from sklearn.datasets import load_digits

from ean_mm.datasets import CuedDigits, draw_scene, load_digit_scans
from ean_mm.datasets.cued_digits import CELL, DIGIT_SIZE, HUES, JITTER, STRIP_HEIGHT
from ean_mm.datasets.digit_scans import SPLITS


def test_parts_of_the_scans_are_disjoint_complete_and_stratified():
    parts = [load_digit_scans(split) for split in SPLITS]
    assert sorted(np.concatenate([part.source for part in parts])) == list(range(1797))
    shares = np.array([np.diff(part.starts) for part in parts]) / np.bincount(load_digits().target)
    assert np.abs(shares.T - [0.6, 0.2, 0.2]).max() < 0.011


def test_scans_are_those_of_scikit_learn():
    scans, originals = load_digit_scans('reward'), load_digits()
    assert (scans.images * 16 == originals.images[scans.source]).all()
    for digit in range(10):
        of_digit = scans.source[scans.starts[digit] : scans.starts[digit + 1]]
        assert (originals.target[of_digit] == digit).all()


def test_enlarging_interpolates_between_pixel_centres():
    small, large = load_digit_scans('test', 8).images[0], load_digit_scans('test', 16).images[0]
    assert large[0, 0] == small[0, 0]
    # Pixel 5 of 16 has its centre at 2.25 of 8, pixel 8 at 3.75.
    rows = 0.75 * small[2] + 0.25 * small[3]
    assert large[5, 8] == pytest.approx(0.25 * rows[3] + 0.75 * rows[4])


def cells_of(image: np.ndarray) -> np.ndarray:
    """Cut a scene into its four cells, (row, column, height, width, RGB) from 0 to 1."""
    below = image[STRIP_HEIGHT:].reshape(2, CELL[0], 2, CELL[1], 3).transpose(0, 2, 1, 3, 4)
    return below.astype(np.float32) / 255


def nearest_hue(colour: np.ndarray) -> int:
    """The hue of the same proportions of red, green and blue."""
    return int(np.abs(HUES / HUES.sum(1, keepdims=True) - colour / colour.sum()).sum(1).argmin())


def read_scene(image: np.ndarray, split: str) -> tuple[int, list[int]]:
    """Recover the digit of the strip's hue, and all digits, by matching hues and scans."""
    scans = load_digit_scans(split, DIGIT_SIZE)
    found = {}
    for cell in cells_of(image).reshape(4, *CELL, 3):
        if cell.any():
            hue = nearest_hue(cell.sum((0, 1)))
            found[hue] = min(_distance_to_digits(cell.sum(-1) / HUES[hue].sum(), scans))[1]
    return found[nearest_hue(image[0, 0])], list(found.values())


def _distance_to_digits(ink: np.ndarray, scans):
    for down, right in np.ndindex(*(CELL - DIGIT_SIZE + 1)):
        window = ink[down : down + DIGIT_SIZE, right : right + DIGIT_SIZE]
        distances = np.abs(scans.images - window).mean((1, 2))
        best = int(distances.argmin())
        yield float(distances[best]), int(np.searchsorted(scans.starts, best, side='right')) - 1


@pytest.mark.parametrize('split', SPLITS)
def test_the_label_can_be_read_off_every_scene(split):
    for scene in CuedDigits(split=split, num_scenes=40, seed=1):
        label, digits = read_scene(scene['img'], split)
        assert label == scene['gt_label'] == scene['sample_idx'] % 10
        assert len(set(digits)) == len(digits)


def test_every_hue_place_and_number_of_digits_is_as_frequent():
    hues, places, numbers = [], [], []
    for scene in CuedDigits(num_scenes=800):
        cells = cells_of(scene['img']).sum((2, 3))
        hues.append(nearest_hue(scene['img'][0, 0].astype(float)))
        digits = {place: nearest_hue(cells[place]) for place in np.ndindex(2, 2) if cells[place].any()}
        assert len(set(digits.values())) == len(digits)
        places.extend(2 * row + col for (row, col), hue in digits.items() if hue == hues[-1])
        numbers.append(len(digits))
    assert len(places) == 800
    for drawn in (hues, places, np.array(numbers) - 1):
        assert np.abs(np.bincount(drawn, minlength=4) - 200).max() < 50  # four standard deviations


def test_with_one_digit_at_most_the_strip_tells_nothing():
    plain, cued = CuedDigits(num_scenes=40, max_digits=1), CuedDigits(num_scenes=40)
    for one, several in zip(plain, cued, strict=True):
        assert cells_of(one['img']).any((2, 3, 4)).sum() == 1
        assert one['gt_label'] == several['gt_label']
        shown = one['img'][STRIP_HEIGHT:] > 0  # the digit to be read is that of the cued scene, at the same place
        assert (one['img'][STRIP_HEIGHT:][shown] == several['img'][STRIP_HEIGHT:][shown]).all()
    pairs = zip(CuedDigits(num_scenes=40, max_digits=4), cued, strict=True)
    assert all((most['img'] == several['img']).all() for most, several in pairs)


def test_a_digit_moves_within_its_jitter():
    scans, rng = load_digit_scans('train', DIGIT_SIZE), np.random.default_rng(0)
    drawn = np.max([draw_scene(scans, 8, rng).max(-1) for _ in range(200)], axis=0)[STRIP_HEIGHT:]
    margin = (CELL - DIGIT_SIZE) // 2 - JITTER
    assert (margin >= 0).all()
    covered = drawn.reshape(2, CELL[0], 2, CELL[1]).max((0, 2)) > 0
    rows, cols = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    assert (rows[0], cols[0]) >= (margin[0], margin[1])
    assert (rows[-1], cols[-1]) < (CELL[0] - margin[0], CELL[1] - margin[1])


def test_a_scene_is_a_function_of_seed_split_and_index():
    scenes = CuedDigits(num_scenes=50, seed=3)
    state = np.random.get_state()[1].copy()
    forwards = [scenes[i]['img'] for i in range(50)]
    backwards = [CuedDigits(num_scenes=10**9, seed=3)[i]['img'] for i in reversed(range(50))]
    assert all((a == b).all() for a, b in zip(forwards, reversed(backwards), strict=True))
    assert (np.random.get_state()[1] == state).all()
    assert (CuedDigits(seed=4)[7]['img'] != forwards[7]).any()
    assert (CuedDigits(seed=3, split='test')[7]['img'] != forwards[7]).any()


def test_scenes_stay_as_they_were_published():
    """Figures that name a seed stay comparable only while every numpy draws these scenes."""
    images = [CuedDigits(split=split)[123]['img'].astype(float) for split in SPLITS]
    assert [image.sum() for image in images] == pytest.approx(PUBLISHED, rel=1e-3)


PUBLISHED = [167605, 161476, 115236]


def test_it_is_small_picklable_and_lazy():
    scenes = CuedDigits(num_scenes=10**6, lazy_init=True)
    assert not scenes._fully_initialized
    assert len(pickle.dumps(scenes)) < 2000
    assert len(scenes) == 10**6


def test_labels_without_drawing(monkeypatch):
    monkeypatch.setattr('ean_mm.datasets.cued_digits.draw_scene', None)
    scenes = CuedDigits(num_scenes=23)
    assert scenes.get_gt_labels().tolist() == [i % 10 for i in range(23)]
    assert scenes.get_cat_ids(17) == [7]
    assert scenes.metainfo['classes'] == tuple('0123456789')


def test_subsets_keep_their_scenes():
    scenes = CuedDigits(num_scenes=30)
    listed = CuedDigits(num_scenes=30, indices=[29, 4])
    assert len(CuedDigits(num_scenes=30, indices=5)) == 5
    assert [scene['sample_idx'] for scene in listed] == [29, 4]
    assert (listed[0]['img'] == scenes[29]['img']).all()
    assert scenes.get_subset([7])[0]['gt_label'] == 7


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(split='val'), r"`split` must be one of \('train', 'reward', 'test'\), but got 'val'\."),
        (dict(num_scenes=0), r'`num_scenes` must be a whole number of at least 1, but got 0\.'),
        (dict(seed=-1), r'`seed` must be a whole number of at least 0, but got -1\.'),
        (dict(max_digits=0), r'`max_digits` must be a whole number of at least 1, but got 0\.'),
        (dict(max_digits=5), r'`max_digits` must be at most 4, one for each colour, but got 5\.'),
        (dict(num_scenes=True), r'`num_scenes` must be a whole number of at least 1, but got True\.'),
    ],
)
def test_refused_values(arguments, message):
    with pytest.raises(ValueError, match=message):
        CuedDigits(**arguments)


def test_refused_sizes():
    with pytest.raises(ValueError, match=r'`size` must be a whole number of at least 8, but got 4\.'):
        load_digit_scans('train', 4)


def test_scikit_learn_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn.datasets', None)
    load_digit_scans.cache_clear()
    with pytest.raises(ImportError, match=r'`scikit-learn` must be installed .*; run `pip install'):
        CuedDigits()


@pytest.fixture
def mmpretrain():
    module = pytest.importorskip('mmpretrain')
    pytest.importorskip('mmpretrain.datasets')
    pytest.importorskip('mmpretrain.models')
    pytest.importorskip('mmpretrain.evaluation')
    return module


def test_mmpretrain_trains_and_tests_on_it(mmpretrain, tmp_path):
    def loader(split: str, sampler: dict, pipeline: list) -> dict:
        return dict(
            batch_size=10,
            num_workers=0,
            sampler=sampler,
            dataset=dict(
                type='ean_mm.CuedDigits',
                split=split,
                num_scenes=40,
                pipeline=[*pipeline, dict(type='PackInputs')],
            ),
        )

    runner = Runner(
        model=dict(
            type='ImageClassifier',
            data_preprocessor=dict(type='ClsDataPreprocessor', mean=[60] * 3, std=[75] * 3, num_classes=10),
            backbone=dict(type='ean_mm.ResNetCifar', depth=8, base_channels=8),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', in_channels=32, num_classes=10, loss=dict(type='CrossEntropyLoss')),
        ),
        work_dir=str(tmp_path),
        default_scope='mmpretrain',
        train_dataloader=loader(
            'train',
            dict(type='ean_mm.EpochSlices', num_per_epoch=20),
            [dict(type='ean_mm.PixelNoise', std=0.15, seed=0)],
        ),
        val_dataloader=loader('reward', dict(type='DefaultSampler', shuffle=False), []),
        train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=2),
        val_cfg=dict(),
        val_evaluator=dict(type='Accuracy', topk=(1,)),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(checkpoint=None, logger=None),
        randomness=dict(seed=0),
        experiment_name=tmp_path.name,
    )
    seen = Seen()
    runner.register_hook(seen)
    runner.train()
    assert sorted(seen.indices[:20]) == list(range(20))
    assert sorted(seen.indices[20:]) == list(range(20, 40))
    assert 0 <= runner.message_hub.get_scalar('val/accuracy/top1').current() <= 100


class Seen(Hook):
    """Notes the samples of every batch."""

    def __init__(self):
        self.indices = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.indices += [sample.sample_idx for sample in data_batch['data_samples']]
