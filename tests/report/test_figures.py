"""PNG files beside the page, of what there is."""

import pytest
from PIL import Image

from ean_mm.report.figures import draw_pictures

NEEDS = {'verdict': 'verdict.json', 'effects': 'effects.json', 'keep': 'timing.jsonl', 'front': 'front.json'}


def test_each_chart_is_a_picture(work_dir):
    paths = draw_pictures(work_dir)
    assert paths == [work_dir / 'report' / f'{name}.png' for name in NEEDS]
    for path in paths:
        with Image.open(path) as image:
            assert image.convert('L').getextrema()[0] < 50  # something dark was drawn
    assert sorted((work_dir / 'report').iterdir()) == sorted(paths)


@pytest.mark.parametrize('damage', ['missing', 'damaged', 'empty'])
def test_what_is_missing_or_damaged_has_none(work_dir, damage):
    for name in NEEDS.values():
        (work_dir / name).write_text({'missing': '', 'damaged': '{"metric": 1}\n', 'empty': ''}[damage])
        if damage == 'missing':
            (work_dir / name).unlink()
    assert draw_pictures(work_dir) == []


def test_effects_without_intervals_are_drawn_too(work_dir, example):
    effects = example.effects()
    for each in effects['flips'] + effects['shapley']:
        each |= dict(low=None, high=None)
    example.write_json(work_dir / 'effects.json', effects)
    assert work_dir / 'report/effects.png' in draw_pictures(work_dir)


def test_the_front_may_be_one_of_macs(work_dir, example):
    front = example.front() | dict(front_cost='macs')
    for size in front['best_per_size']:
        size['latency_ms'] = None
    example.write_json(work_dir / 'front.json', front)
    assert work_dir / 'report/front.png' in draw_pictures(work_dir)


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match='`work_dir` must be a folder, but got'):
        draw_pictures(tmp_path / 'nowhere')
