"""The figure shows the gates that it is given, on one scale."""

import numpy as np
import pytest

from ean_mm.visualization import draw_gates
from ean_mm.visualization.gate_figure import NUM_CHANNELS, NUM_IMAGES


def gates(images, channels, seed=0):
    return np.random.default_rng(seed).random((images, channels)).astype(np.float32)


def maps(figure):
    return [axes for axes in figure.axes if axes.get_images() and axes.get_title()]


def test_a_map_per_site_with_its_name_and_deviation():
    first = np.array([[0.0, 1.0], [1.0, 1.0]], dtype=np.float32)  # channels vary by 0.5 and by 0
    figure = draw_gates([('stage 1 block 1', first, True), ('stage 1 block 2', first[:, :1] * 0 + 0.3, False)])
    one, other = maps(figure)
    assert one.get_title() == 'stage 1 block 1: deviation 0.250, folded'
    assert other.get_title() == 'stage 1 block 2: deviation 0.000'
    assert one.get_images()[0].get_array().tolist() == first.tolist()


def test_all_maps_have_one_scale_of_colours():
    figure = draw_gates([('a', gates(5, 4), False), ('b', 3 * gates(5, 4), False)])
    limits = [axes.get_images()[0].get_clim() for axes in maps(figure)]
    assert limits == [(0, pytest.approx(float((3 * gates(5, 4)).max())))] * 2


def test_images_and_channels_are_as_many_as_in_the_paper():
    figure = draw_gates([('a', gates(50, 100), False)])
    (axes,) = maps(figure)
    assert axes.get_images()[0].get_array().shape == (NUM_IMAGES, NUM_CHANNELS) == (20, 60)
    assert 'deviation 0.28' in axes.get_title()  # of all of them: a uniform gate deviates by 0.29


@pytest.mark.parametrize('count', [1, 2, 3, 4, 16])
def test_any_number_of_sites(count):
    figure = draw_gates([(f'site {index}', gates(20, 8, index), index % 2 == 0) for index in range(count)])
    assert [axes.get_title().partition(':')[0] for axes in maps(figure)] == [f'site {index}' for index in range(count)]


def test_it_can_be_saved(tmp_path):
    figure = draw_gates([(f'site {index}', gates(20, 8, index), False) for index in range(4)])
    figure.savefig(tmp_path / 'gates.png', dpi=40)
    assert (tmp_path / 'gates.png').read_bytes().startswith(b'\x89PNG')


def test_images_and_channels_are_counted_in_whole_numbers():
    figure = draw_gates([('a', gates(20, 60), False), ('b', gates(3, 2), False)])
    figure.draw_without_rendering()
    ticks = [tick for axes in maps(figure) for tick in (*axes.get_xticks(), *axes.get_yticks())]
    assert ticks
    assert all(tick == int(tick) for tick in ticks)
