"""Nearly constant gates, folded on request: on which images, how many, and what is reported."""

import pytest
from deployments import PLAIN, backbone_of, images_of, load, logits_of, names, results_of
from random_networks import ASR, SE, largest_error

from ean_mm.hooks.wrapped_backbone import find_backbone
from ean_mm.launch.deployment.data import DeploymentData
from ean_mm.registry import DATASETS

pytestmark = pytest.mark.usefixtures('hurried')


def lines_of(report, start):
    return [line for line in report.splitlines() if line.startswith(start)]


def test_the_reported_metric_is_that_of_the_written_network(plain_config, run_deploy):
    _, _, folder = run_deploy(max_drop=100)
    model = load(folder)
    right = 0
    for scene in DATASETS.build(plain_config.test_dataloader.dataset):
        x = model.data_preprocessor(dict(inputs=[scene['inputs']]), False)['inputs']
        right += int(logits_of(model, x).argmax() == scene['data_samples'].gt_label)
    assert results_of(folder)['metrics']['after']['accuracy/top1'] == pytest.approx(right)  # of 100


def test_a_threshold_says_which_gates_are_folded(run_deploy):
    _, _, folder = run_deploy(max_drop=100)
    deviations = [each['deviation'] for each in results_of(folder)['gates']]
    threshold = sorted(deviations)[3]
    report, _, folder = run_deploy(threshold=threshold)
    assert '3 nearly constant and folded, 3 stay' in report
    folded = [each['folded'] for each in results_of(folder)['gates']]
    assert folded == [deviation < threshold for deviation in deviations]
    written = backbone_of(folder).backbone
    assert written.scheme.replace(' ', '') == ''.join('01'[not each] for each in folded)
    assert len(lines_of(report, '         stage')) == 6
    assert sum(line.endswith('stays') for line in lines_of(report, '         stage')) == 3


def test_no_drop_allowed_keeps_the_metric(run_deploy, monkeypatch):
    """Each folded set would cost: none is folded, and the network stays what it was."""
    monkeypatch.setattr(DeploymentData, 'score', lambda self, model: find_backbone(model).scheme.num_connected)
    report, trained, folder = run_deploy(max_drop=0)
    assert '0 nearly constant and folded, 6 stay' in report
    metrics = results_of(folder)['metrics']
    assert metrics['before'] == metrics['after']
    assert largest_error(logits_of(load(folder), images_of(trained)), logits_of(trained, images_of(trained))) <= 1e-5


def test_the_choice_is_made_on_validation_images(plain_config, run_deploy, monkeypatch):
    seen, original = [], DeploymentData.evaluate

    def evaluate(self, model, part):
        seen.append(part)
        return original(self, model, part)

    monkeypatch.setattr(DeploymentData, 'evaluate', evaluate)
    run_deploy(max_drop=100)
    assert seen == ['val', 'val', 'test', 'test']
    seen.clear()
    plain_config.val_dataloader = plain_config.val_evaluator = plain_config.val_cfg = None
    run_deploy(threshold=0.1)
    assert seen == ['test', 'test']


def test_constant_gates_are_folded_first(plain_config, run_deploy):
    plain_config.model.backbone.attention = dict(type='ean_mm.Stacked', attentions=[ASR, SE])
    _, _, folder = run_deploy(max_drop=100)
    assert backbone_of(folder) == PLAIN


def test_where_nothing_reads_a_mean_there_is_nothing_to_fold(plain_config, run_deploy):
    plain_config.model.backbone.attention = dict(type='ean_mm.SGE', groups=4)
    report, _, folder = run_deploy(threshold=1.0)
    assert '0 nearly constant and folded, 6 stay' in report
    assert 'gates.png' not in names(folder)
    assert 'Picture' not in report


@pytest.mark.parametrize('is_same', [True, False])
def test_a_choice_on_test_images_is_said(plain_config, run_deploy, capfd, is_same):
    plain_config.log_level = 'INFO'
    if is_same:
        plain_config.val_dataloader = plain_config.test_dataloader
    run_deploy(max_drop=100)
    log = capfd.readouterr().out
    assert (
        'The validation images are the test images: the metric after folding is that of images it' in log
    ) == is_same
    assert 'Nothing folded: ' in log
    assert '6 steadiest of 6 sites folded: ' in log
    assert 'Hooks will be executed' not in log
    assert 'System environment' not in log
