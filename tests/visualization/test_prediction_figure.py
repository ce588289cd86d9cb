"""The figure shows the maps it is given, and figures worked out by hand."""

import numpy as np
import pytest

from ean_mm.visualization import Prediction, draw_predictions

PALETTE = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], dtype=np.uint8)
GREY = [128, 128, 128]
IMAGE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
TRUTH = np.array([[0, 0, 1, 1], [2, 2, 255, 255]], dtype=np.uint8)


def classes(predicted, truth=TRUTH):
    return Prediction(IMAGE, truth, np.array(predicted, dtype=np.int64), PALETTE)


def density(truth, predicted):
    return Prediction(IMAGE, np.array(truth, dtype=np.float32), np.array(predicted, dtype=np.float32))


def shown(axes):
    (image,) = axes.get_images()
    return np.asarray(image.get_array())


@pytest.fixture
def grid():
    """Two images, two networks."""
    right = classes([[0, 0, 1, 1], [2, 2, 0, 0]])
    half = classes([[0, 1, 0, 1], [2, 0, 2, 2]])
    figure = draw_predictions({'none': [half, right], 'ticket': [right, half]})
    return np.array(figure.axes).reshape(2, 4)


def test_a_row_per_image_and_a_column_per_network(grid):
    assert [axes.get_title() for axes in grid[0]] == ['image', 'truth', 'none', 'ticket']
    assert [axes.get_title() for axes in grid[1]] == [''] * 4


def test_ignored_pixels_count_neither_as_right_nor_as_wrong(grid):
    texts = [[axes.get_xlabel() for axes in row] for row in grid]
    assert texts == [
        ['', '', '50.0 % of pixels', '100.0 % of pixels'],
        ['', '', '100.0 % of pixels', '50.0 % of pixels'],
    ]


def test_maps_have_the_colours_of_their_classes(grid):
    black, red, green = PALETTE.tolist()
    assert shown(grid[0, 0]).tolist() == IMAGE.tolist()
    assert shown(grid[0, 1]).tolist() == [[black, black, red, red], [green, green, GREY, GREY]]
    assert shown(grid[0, 2]).tolist() == [[black, red, black, red], [green, black, green, green]]


def test_where_no_pixel_has_a_class_there_is_no_figure():
    (axes,) = draw_predictions({'x': [classes(np.zeros((2, 4)), truth=np.full((2, 4), 255))]}).axes[2:]
    assert axes.get_xlabel() == ''


def test_densities_show_their_counts_in_the_scale_of_the_truth():
    truth = [[0, 0.5], [1, 2]]
    figure = draw_predictions(
        {'none': [density(truth, [[0, 0], [0, 0]])], 'all': [density(truth, [[4, 1], [0.5, 2.25]])]}
    )
    image, *maps = figure.axes
    assert image.get_xlabel() == ''
    assert [axes.get_xlabel() for axes in maps] == ['3.5', '0.0', '7.8']
    assert [shown(axes)[..., 0].tolist() for axes in maps] == [
        [[0, 63], [127, 255]],
        [[0, 0], [0, 0]],
        [[255, 127], [63, 255]],
    ]


def test_an_image_without_people_can_be_drawn(tmp_path):
    figure = draw_predictions({'x': [density([[0, 0]], [[0, 0.25]])]})
    assert [axes.get_xlabel() for axes in figure.axes[1:]] == ['0.0', '0.2']
    figure.savefig(tmp_path / 'x.png')
    assert (tmp_path / 'x.png').read_bytes().startswith(b'\x89PNG')
