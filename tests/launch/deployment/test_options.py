"""What a deployment may do, and what makes no sense."""

import pytest

from ean_mm.launch import DeployOptions


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(max_drop=1.0, threshold=0.1), '`max_drop` must be left out beside a threshold, but got 1.0 and 0.1'),
        (dict(max_drop=-0.5), '`max_drop` must be at least 0, but got -0.5'),
        (dict(max_drop=float('nan')), '`max_drop` must be at least 0, but got nan'),
        (dict(threshold=-1), '`threshold` must be at least 0, but got -1'),
        (dict(num_images=0), '`num_images` must be at least 1, but got 0'),
        (
            dict(metric='mIoU'),
            "`metric` must be left out where no drop of it is limited, but got 'mIoU'; give --max-drop",
        ),
        (dict(metric='mIoU', threshold=0.1), '`metric` must be left out where no drop of it is limited'),
        (
            dict(formats=['pth', 'trt']),
            r"`format` must be one of \('pth', 'safetensors', 'onnx', 'pt2'\), but got 'trt'",
        ),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        DeployOptions(**options).check()


@pytest.mark.parametrize(
    ('options', 'folds'),
    [({}, False), (dict(max_drop=0.0), True), (dict(threshold=0.0), True), (dict(max_drop=1, metric='mIoU'), True)],
)
def test_options_that_do(options, folds):
    DeployOptions(**options).check()
    assert DeployOptions(**options).folds_stripes == folds
