"""Trainings in a row: bound to their recipes, resumed, timed, one process each."""

import json
import re
from pathlib import Path

import pytest
from filelock import FileLock
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ean_mm.launch.finished_search import FinishedSearch, draw_other, name_scheme
from ean_mm.launch.trainings import Training, require_same_recipe, run_trainings, spell_seconds
from ean_mm.structures import ConnectionScheme


@pytest.fixture
def search(finished_search):
    return FinishedSearch.open(Path(finished_search.work_dir))


def plan(search, name='ticket', seed=0):
    scheme = search.ticket if name == 'ticket' else ConnectionScheme.parse(name, search.layout)
    return search.plan(name, scheme, seed)


def fake(monkeypatch, run=lambda: None):
    """Have a training do no more than leave its metrics."""

    def train(cfg, work_dir, seed):
        run()
        (work_dir / 'metrics.json').write_text('{"accuracy/top1": 1.0}')

    monkeypatch.setattr('ean_mm.launch.trainings.train_once', train)


class TestRecipe:
    @pytest.mark.parametrize(
        ('name', 'change', 'message'),
        [
            (
                'optim_wrapper',
                {'optimizer.lr': 0.1},
                r'whose optim_wrapper was .*"lr": 0\.005.* and is now .*"lr": 0\.1',
            ),
            ('train_cfg', {'max_epochs': 7}, r'whose train_cfg was .*"max_epochs": 2.* and is now .*"max_epochs": 7'),
            (
                'model',
                {'backbone.attention.reduction': 4},
                r'whose model was .*"reduction": 2.* and is now .*"reduction": 4',
            ),
            (
                'test_dataloader',
                {'dataset.split': 'reward'},
                r'whose test_dataloader was .*"test".* and is now .*"reward"',
            ),
        ],
    )
    def test_another_one_in_the_folder_is_refused(self, search, monkeypatch, name, change, message):
        fake(monkeypatch)
        run_trainings([plan(search)], lambda: 1.0, lambda line: None)
        require_same_recipe(plan(search))
        search.retrain.merge_from_dict({f'{name}.{key}': value for key, value in change.items()})
        with pytest.raises(ValueError, match='`work_dir` must hold trainings by one recipe, but got .*' + message):
            require_same_recipe(plan(search))

    def test_another_scheme_or_seed_is_refused(self, search, monkeypatch):
        fake(monkeypatch)
        (training,) = trained = [plan(search)]
        run_trainings(trained, lambda: 1.0, lambda line: None)
        other = plan(search, '11 00 01')
        with pytest.raises(ValueError, match=r'whose model was .*11 00 10.* and is now .*11 00 01'):
            require_same_recipe(Training('ticket', other.scheme, other.cfg, training.work_dir, 0))
        with pytest.raises(ValueError, match=r'whose randomness was .*"seed": 0.* and is now .*"seed": 1'):
            require_same_recipe(Training('ticket', training.scheme, training.cfg, training.work_dir, 1))

    def test_speed_logs_and_the_place_of_the_ticket_do_not_count(self, search, monkeypatch, tmp_path):
        fake(monkeypatch)
        run_trainings([plan(search)], lambda: 1.0, lambda line: None)
        search.retrain.train_dataloader.num_workers = 4
        search.retrain.log_level = 'ERROR'
        search.retrain.model.backbone.ticket = str(tmp_path / 'moved/ticket.json')
        require_same_recipe(plan(search))

    def test_it_counts_while_the_training_is_unfinished(self, search, monkeypatch):
        fake(monkeypatch, lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_trainings([plan(search)], lambda: 1.0, lambda line: None)
        search.retrain.train_cfg.max_epochs = 7
        with pytest.raises(ValueError, match='whose train_cfg was'):
            require_same_recipe(plan(search))


class TestRunning:
    def test_an_interrupted_training_goes_on_and_ends_like_an_uninterrupted_one(self, search, monkeypatch):
        @HOOKS.register_module(force=True)
        class EndAfterFirstEpoch(Hook):
            priority = 'LOWEST'

            def after_train_epoch(self, runner):
                if runner.epoch == 0:
                    raise KeyboardInterrupt

        whole = plan(search)
        run_trainings([whole], lambda: 1.0, lambda line: None)
        part = Training('ticket', whole.scheme, whole.cfg, whole.work_dir.with_name('again_0'), 0)
        make = Runner.from_cfg

        def make_one_that_ends(cfg):
            cfg.custom_hooks = [*cfg.custom_hooks, dict(type='EndAfterFirstEpoch')]
            return make(cfg)

        with monkeypatch.context() as patch:
            patch.setattr(Runner, 'from_cfg', make_one_that_ends)
            with pytest.raises(KeyboardInterrupt):
                run_trainings([part], lambda: 1.0, lambda line: None)
        assert not part.is_finished
        assert (part.work_dir / 'last_checkpoint').exists()
        run_trainings([part], lambda: 1.0, lambda line: None)
        assert part.read('accuracy/top1') == whole.read('accuracy/top1')
        assert whole.seconds > 0
        assert part.seconds is None  # what is known is how long the second half took

    def test_time_left_is_that_of_the_trainings_that_have_finished(self, search, monkeypatch):
        clock = [0.0]
        monkeypatch.setattr('ean_mm.launch.trainings.time.monotonic', lambda: clock[0])
        fake(monkeypatch, lambda: clock.__setitem__(0, clock[0] + 300))
        trainings = [plan(search, seed=seed) for seed in range(3)]
        lines = []
        run_trainings(trainings, lambda: 1200.0, lines.append)
        assert lines == [
            '3 of 3 trainings to run, about 60 min (measured on a few batches)',
            'Training 1 of 3: ticket, seed 0, about 60 min left',
            'Training 2 of 3: ticket, seed 1, about 10 min left',
            'Training 3 of 3: ticket, seed 2, about 5 min left',
        ]
        lines.clear()
        more = [*trainings, plan(search, seed=3)]
        run_trainings(more, lambda: pytest.fail('measured in vain'), lines.append)
        assert lines[0] == '1 of 4 trainings to run, about 5 min (by those that have finished)'
        assert lines[1].startswith('Training 4 of 4')

    def test_one_process_trains_in_a_folder(self, search, monkeypatch):
        fake(monkeypatch)
        training = plan(search)
        training.work_dir.mkdir(parents=True)
        with (
            FileLock(training.work_dir / 'training.lock'),
            pytest.raises(
                ValueError, match=r'`work_dir` must be trained in by one process, but got .*ticket_0.*; wait'
            ),
        ):
            run_trainings([training], lambda: 1.0, lambda line: None)
        run_trainings([training], lambda: 1.0, lambda line: None)

    def test_a_metric_that_is_not_reported_is_named(self, search, monkeypatch):
        fake(monkeypatch)
        run_trainings([plan(search)], lambda: 1.0, lambda line: None)
        with pytest.raises(
            ValueError, match=re.escape("must report 'mIoU', as the search does, but got ['accuracy/top1']")
        ):
            plan(search).read('mIoU')


@pytest.mark.parametrize(
    ('seconds', 'text'), [(0.2, '1 s'), (89, '89 s'), (91, '2 min'), (5000, '83 min'), (7200, '2.0 h')]
)
def test_durations(seconds, text):
    assert spell_seconds(seconds) == text


class TestOthers:
    def test_each_seed_has_another_one_of_the_same_size(self):
        ticket = ConnectionScheme.from_string('110 000 001')
        drawn = [draw_other(ticket, seed) for seed in range(83)]  # of nine, three: 84
        assert len(set(drawn)) == 83
        assert ticket not in drawn
        assert {scheme.num_connected for scheme in drawn} == {3}
        assert draw_other(ticket, 83) == drawn[0]

    def test_it_depends_on_scheme_and_seed_alone(self):
        ticket = ConnectionScheme.from_string('110 000 001')
        assert draw_other(ticket, 5) == draw_other(ConnectionScheme.from_string('110 000 001'), 5)
        assert draw_other(ticket, 5) != draw_other(ConnectionScheme.from_string('110 000 010'), 5)

    @pytest.mark.parametrize('bits', ['000 000', '111 111', '1'])
    def test_where_there_is_no_other_there_is_none(self, bits):
        assert draw_other(ConnectionScheme.from_string(bits), 0) is None

    def test_every_scheme_is_as_likely(self):
        """Over all tickets of a size, each other scheme comes up about as often for seed 0."""
        layout, size = (3, 3), 3
        tickets = [scheme for scheme in ConnectionScheme.every(layout) if scheme.num_connected == size]
        counts = dict.fromkeys(tickets, 0)
        for ticket in tickets:
            for seed in range(5):
                counts[draw_other(ticket, seed)] += 1
        assert max(counts.values()) < 13  # 5 on average; 20 if all tickets drew the same


def test_names(search):
    names = [
        name_scheme(ConnectionScheme.parse(bits, search.layout), search) for bits in ('11 00 10', 'all', '00 00 01')
    ]
    assert names == ['ticket', 'all', '00 00 01']


def test_finished_trainings_without_a_recipe_are_taken(search):
    training = plan(search)
    training.work_dir.mkdir(parents=True)
    (training.work_dir / 'metrics.json').write_text(json.dumps({'accuracy/top1': 5.0}))
    require_same_recipe(training)
    assert (training.read('accuracy/top1'), training.seconds) == (5.0, None)
