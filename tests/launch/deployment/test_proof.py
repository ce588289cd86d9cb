"""What counts as the same, against figures worked out by hand."""

import math

import pytest
import torch
from torch import nn

from ean_mm.launch.deployment.proof import Agreement, Inference, compare_outputs, preprocess, require_agreement, run


def outputs(*batches):
    return [[torch.tensor(values)] for values in batches]


def test_errors_are_measured_by_the_largest_output_of_each_tensor():
    before = outputs([[1.0, -4.0], [2.0, 0.0]], [[0.0, 100.0]])
    after = outputs([[1.0, -4.0], [2.0, 0.2]], [[0.0, 101.0]])
    found = compare_outputs(before, after)
    assert found.num_images == 3
    assert found.max_error == pytest.approx(0.05)  # 0.2 of 4, more than 1 of 100
    assert found.argmax == 1.0


def test_predictions_are_compared_class_by_class():
    before = outputs([[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0]])
    after = outputs([[1.0, 0.0], [1.0, 1.1]], [[0.9, 0.0]])
    assert compare_outputs(before, after).argmax == pytest.approx(2 / 3)


def test_predictions_of_a_map_are_its_pixels():
    maps = torch.zeros(1, 3, 2, 2)
    maps[0, 1] = 1
    changed = maps.clone()
    changed[0, 2, 0, 0] = 2
    found = compare_outputs([[maps]], [[changed]])
    assert found.argmax == 0.75
    assert found.max_error == 2.0


@pytest.mark.parametrize('shape', [(2, 1, 4, 4), (2,)])
def test_a_density_has_no_classes(shape):
    found = compare_outputs([[torch.ones(shape)]], [[torch.ones(shape)]])
    assert found == Agreement(num_images=2, max_error=0.0, argmax=None)
    assert str(found) == 'largest difference 0.0e+00 of the largest output on 2 images'


def test_the_last_tensor_holds_the_predictions():
    features, logits = torch.rand(2, 5), torch.eye(2)
    found = compare_outputs([[features, logits]], [[features, logits.flip(1)]])
    assert found.argmax == 0.0
    assert str(found) == 'largest difference 1.0e+00 of the largest output on 2 images, 0.00% of the predictions equal'


def test_zeros_equal_zeros():
    assert compare_outputs([[torch.zeros(2, 2)]], [[torch.zeros(2, 2)]]).max_error == 0
    assert compare_outputs([[torch.zeros(2, 2)]], [[torch.full((2, 2), 1e-3)]]).max_error > 1


@pytest.mark.parametrize('error', [2e-4, math.nan, math.inf])
def test_what_differs_is_refused(error):
    agreement = Agreement(num_images=2, max_error=error, argmax=1.0)
    message = (
        r'`deployed.onnx` must compute what the trained network does, up to 0.0001 of its largest output, but got largest '
        r'difference (2.0e-04|nan|inf) of the largest output on 2 images, 100.00% of the predictions equal; nothing was written'
    )
    with pytest.raises(ValueError, match=message):
        require_agreement('deployed.onnx', agreement)


def test_an_output_that_is_no_number_is_no_agreement():
    broken = outputs([[1.0, math.nan]])
    with pytest.raises(ValueError, match='largest difference nan'):
        require_agreement('deployed', compare_outputs(broken, broken))


def test_what_agrees_is_returned():
    agreement = Agreement(num_images=2, max_error=1e-6, argmax=None)
    assert require_agreement('deployed', agreement) is agreement
    assert agreement.to_dict() == dict(num_images=2, max_error=1e-6, argmax=None)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.precise = []

    def data_preprocessor(self, batch, training):
        assert not training
        return dict(inputs=batch, data_samples=None)

    def forward(self, images, data_samples=None, mode='loss'):
        assert mode == 'tensor'
        self.precise.append(not torch.backends.cudnn.allow_tf32)
        return dict(maps=(images * 2, images.half()))


def test_all_tensors_are_kept_batch_by_batch_in_full_precision():
    model, before = Model(), torch.backends.cudnn.allow_tf32
    batches = [torch.ones(2, 3, 4, 4), torch.ones(1, 3, 4, 4)]
    found = run(Inference(model), batches)
    assert [[leaf.shape[0] for leaf in batch] for batch in found] == [[2, 2], [1, 1]]
    assert (found[1][0] == 2).all()
    assert {leaf.dtype for batch in found for leaf in batch} == {torch.float}
    assert model.precise == [True, True]
    assert torch.backends.cudnn.allow_tf32 == before


def test_images_of_a_list_are_stacked():
    images = [torch.ones(3, 4, 4), torch.zeros(3, 4, 4)]
    (found,) = preprocess(Model(), [images])
    assert torch.equal(found, torch.stack(images))


def test_a_nan_in_a_later_batch_is_no_agreement():
    before = [[torch.ones(2, 3)], [torch.ones(2, 3)]]
    after = [[torch.ones(2, 3)], [torch.full((2, 3), torch.nan)]]
    with pytest.raises(ValueError, match='`x` must compute what the trained network does'):
        require_agreement('x', compare_outputs(before, after))
