"""Which images a deployment looks at, and what it measures on them."""

from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from ean_mm.launch import DeployOptions
from ean_mm.launch.deployment.data import DeploymentData

# -- images ------------------------------------------------------------------------------------------------------------------


class Images(list):
    metainfo: ClassVar[dict] = dict(classes=('a', 'b'), palette=np.array([[1, 2, 3]]), other=1)


def data_of(sizes, batch_size=2, **options):
    """The data of a test set with images of given heights, each filled with its number."""
    items = Images(dict(inputs=torch.full((3, size, 4), index)) for index, size in enumerate(sizes))

    def collate(batch):
        return torch.stack([each['inputs'] for each in batch])

    loader = SimpleNamespace(dataset=items, collate_fn=collate, batch_size=batch_size)
    runner = SimpleNamespace(build_dataloader=lambda cfg, seed: loader)
    return DeploymentData(SimpleNamespace(test_dataloader={}), runner, DeployOptions(**options))


def numbers(batches):
    return [batch[:, 0, 0, 0].tolist() for batch in batches]


def test_the_first_test_images_are_taken():
    assert numbers(data_of([4] * 9, num_images=5).test_batches()) == [[0, 1], [2, 3], [4]]
    assert numbers(data_of([4] * 3, num_images=64).test_batches()) == [[0, 1], [2]]
    assert numbers(data_of([4] * 3, batch_size=None).test_batches()) == [[0], [1], [2]]


def test_images_of_a_batch_are_of_one_size():
    batches = data_of([4, 8, 4, 4, 8, 6]).test_batches()
    assert numbers(batches) == [[0, 2], [3], [1, 4], [5]]
    assert [batch.shape[2] for batch in batches] == [4, 4, 8, 6]


def test_facts_about_classes_are_plain():
    assert data_of([4]).dataset_meta() == dict(classes=['a', 'b'], palette=[[1, 2, 3]])


@pytest.fixture
def runner(tiny_config):
    tiny_config.custom_hooks = []
    return Runner.from_cfg(tiny_config)


def test_gates_are_recorded_on_training_images_without_noise(tiny_config, runner):
    data = DeploymentData(tiny_config, runner, DeployOptions(num_calibration_images=60))
    batches = list(data.calibration())
    images = torch.cat([torch.stack(batch['inputs']) for batch in batches])
    plain = runner.build_dataloader(
        {
            **tiny_config.train_dataloader,
            'dataset': {
                **tiny_config.train_dataloader.dataset,
                'pipeline': tiny_config.test_dataloader.dataset.pipeline,
            },
            'sampler': dict(type='DefaultSampler', shuffle=False),
        }
    )
    assert torch.equal(images, torch.cat([torch.stack(batch['inputs']) for batch in plain]))
    (seven,) = DeploymentData(tiny_config, runner, DeployOptions(num_calibration_images=7)).calibration()
    assert len(seven['inputs']) == 7


def test_more_training_images_than_there_are(tiny_config, runner):
    data = DeploymentData(tiny_config, runner, DeployOptions(num_calibration_images=61))
    message = '`num_calibration_images` must be between 1 and the 60 training images, but got 61'
    with pytest.raises(ValueError, match=message):
        data.calibration()


# -- metrics -----------------------------------------------------------------------------------------------------------------


def test_metrics_are_those_of_the_runner(tiny_config, runner):
    data = DeploymentData(tiny_config, runner, DeployOptions(max_drop=1))
    wanted = runner.test()
    assert data.evaluate(runner.model, 'test') == wanted
    assert data.score(runner.model) == runner.val()['accuracy/top1']


def test_a_named_metric_counts(tiny_config, runner):
    tiny_config.val_evaluator = dict(type='Accuracy', topk=(1, 5))
    data = DeploymentData(tiny_config, runner, DeployOptions(max_drop=1, metric='accuracy/top5'))
    assert data.score(runner.model) == data.evaluate(runner.model, 'val')['accuracy/top5']


@pytest.mark.parametrize(
    ('evaluator', 'metric', 'message'),
    [
        (
            dict(type='Accuracy', topk=(1,)),
            'mIoU',
            r'that the evaluator reports \(accuracy/top1\), but got .mIoU.; name it',
        ),
        (
            dict(type='Accuracy', topk=(5,)),
            None,
            r'that the evaluator reports \(accuracy/top5\), but got None; name it',
        ),
    ],
)
def test_a_metric_that_nobody_reports(tiny_config, runner, evaluator, metric, message):
    tiny_config.val_evaluator = evaluator
    data = DeploymentData(tiny_config, runner, DeployOptions(max_drop=1, metric=metric))
    with pytest.raises(ValueError, match='`metric` must be one ' + message):
        data.score(runner.model)
