"""Search where to plug attention, on the supernet that training leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from mmengine.dist import barrier
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..analysis import measure_cost
from ..evaluation import (
    CalibrationImages,
    RememberedScores,
    Supernet,
    find_pipeline,
    load_supernet,
    restore_supernet,
    with_pipeline,
)
from ..registry import HOOKS, STRATEGIES, build_from
from ..search import Evaluation, Reward, SearchLoop, SearchRecord, StepReport
from ..structures import Ticket
from ..visualization import SearchProgress
from .atlas import list_schemes, score_atlas, write_atlas
from .identity import require_same_training, search_identity, training_identity
from .retrain_config import RETRAIN_FILE
from .scoring import Scoring, load_scores
from .search_outcome import COMPARISON_FOLDER, FIGURE_FILE, RESULTS_FILE, Outcome
from .supernet_hook import SUPERNET_FILE
from .ticket_facts import TicketMaker
from .wrapped_backbone import find_backbone, unwrap

SCORES_FILE = 'scores.jsonl'
ATLAS_FILE = 'atlas.csv'


@HOOKS.register_module()
class SearchHook(Hook):
    """Score proposals of a strategy on the frozen supernet, and leave a ticket.

    The reward images are the config's ``val_dataloader``, measured by ``val_evaluator``; ``test_dataloader`` is never read.
    Each scheme is scored once, with batch-norm statistics of its own: recalibrated on training images under the transforms
    of the reward images, and put back afterwards.
    Source: arXiv:2011.14058, section 4. Differs: recalibration (the published search scores with the statistics that the
    supernet gathered under all schemes; ``num_calibration_images=0`` does so too), no scheme is scored twice.

    Runs: checks before training; searches after training, or at once where a supernet is already there.
    Reads: the model's EANBackbone, ``runner.val_loop``, ``supernet.pth``.
    Writes: in the work directory ``search.jsonl``, ``timing.jsonl``, ``ticket.json``, ``state.pt``, ``scores.jsonl``; at the
        end ``results.json``, ``search.png`` and ``retrain.py``; scalars to the visualizer.
    Resume: by itself from ``state.pt``; a state of another search is refused.
    Ranks: all score together and compute the same proposals; rank 0 writes.

    Args:
        strategy: config of a registered strategy.
        reward: arguments of ``ean_mm.search.Reward``.
        num_calibration_images: training images for recalibration; 0 scores with the supernet's own statistics.
        activation_budget: bytes ('2GiB') for activations kept on the model's device, so that schemes which agree on their first
            bits compute them once; it changes no number. '0B' scores every scheme by itself.
        image_budget: bytes for reward images kept as they are loaded, so that none is decoded twice; a larger set is read
            anew in every step.
        precision: of scoring: 'float32' as the model is, 'bfloat16' or 'float16' under autocast and in channels_last, or
            'fastest', which takes what the device has units for.
        score_store: file in which scores are remembered for further searches of the same supernet on the same images; None
            stands for ``scores.jsonl`` in the work directory.
        racing: settings of ``ean_mm.search.RaceSettings`` ({} takes all as they are): a proposal that loses against the best
            scheme so far, on the reward images seen by then, is dropped; its estimate is learned from and never becomes the
            ticket. The reward images come in random order then. None scores every scheme on all.
        score_all: score every scheme first (up to 14 sites), into the score store and ``atlas.csv``: any strategy is then
            replayed on them in seconds.
        calibration_batch_size: images per batch of them.
        max_schemes: so many distinct schemes are scored at most, controls included; None sets no limit.
        min_connected: smaller schemes do not become the ticket.
        max_failures: so many scores in a row that are no number stop the search.
        seed: of the strategy and of the choice of calibration images.
        supernet: path of trained weights; training is skipped.
        trust_checkpoint: let reading ``supernet`` run code, as a full mmengine checkpoint needs.
        restart: move the files of an earlier search aside first.
        retrain_config: config with the recipe for the ticket; None takes this config's own.

    Raises:
        ValueError: if an argument is wrong, the evaluator lacks the metric, or the work directory holds another search.
    """

    priority = 'LOWEST'

    def __init__(
        self,
        strategy: dict,
        reward: dict,
        num_calibration_images: int = 1000,
        calibration_batch_size: int = 250,
        activation_budget: int | str = '2GiB',
        image_budget: int | str = '1GiB',
        precision: str = 'float32',
        score_store: str | None = None,
        racing: dict | None = None,
        score_all: bool = False,
        max_schemes: int | None = None,
        min_connected: int = 0,
        max_failures: int = 5,
        seed: int = 0,
        supernet: str | None = None,
        trust_checkpoint: bool = False,
        restart: bool = False,
        retrain_config: str | None = None,
    ):
        self.strategy_cfg = dict(strategy)
        self.reward = Reward(**reward)
        self.num_calibration_images = num_calibration_images
        self.calibration_batch_size = calibration_batch_size
        self.scoring = Scoring(activation_budget, image_budget, precision, racing, self.strategy_cfg)
        self.score_store = score_store
        self.score_all = score_all
        self.max_schemes = max_schemes
        self.min_connected = min_connected
        self.max_failures = max_failures
        self.seed = seed
        self.supernet = supernet
        self.trust_checkpoint = trust_checkpoint
        self.restart = restart
        self.retrain_config = retrain_config

    # -- before training: everything that can be wrong -----------------------------------------------------------------

    def before_run(self, runner: Runner) -> None:
        directory = Path(runner.work_dir)
        identity = search_identity(runner.cfg, self._settings(runner))
        self.record = SearchRecord(directory, identity, is_writer=runner.rank == 0).open()
        if self.restart:
            moved = self.record.restart(*_own_files(directory))
            runner.logger.info(f'Files of the earlier search moved to {moved}' if moved else 'Nothing to move')
        barrier()

    def before_train(self, runner: Runner) -> None:
        with self._unlocked_on_error():
            self._prepare(runner)

    def after_train(self, runner: Runner) -> None:
        with self._unlocked_on_error():
            self._search(runner)

    def after_run(self, runner: Runner) -> None:
        self.record.close()

    @contextmanager
    def _unlocked_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.record.close()
            raise

    def _prepare(self, runner: Runner) -> None:
        self.model = unwrap(runner.model)
        self.backbone = find_backbone(self.model)
        self.backbone.set_scheme('all')
        if self.score_all:
            list_schemes(self.backbone.blocks_per_stage)  # refused before any training
        self.calibration = self._build_calibration(runner)
        _reward_loader(runner)  # refused where there are none
        self.scorer = self.scoring.build(runner, self.reward, self.calibration)
        self.loop = self._build_loop()
        self.scorer.rehearse()
        self._supernet = self._find_supernet(runner)
        self.loop.load()
        barrier()
        if self._supernet is not None:
            runner.logger.info('The supernet is trained already: searching at once')
            runner.train_loop.stop_training = True

    def _settings(self, runner: Runner) -> dict:
        """Every argument that changes a number in the log."""
        return dict(
            strategy=self.strategy_cfg,
            reward=asdict(self.reward),
            num_calibration_images=self.num_calibration_images,
            calibration_batch_size=self.calibration_batch_size,
            max_schemes=self.max_schemes,
            min_connected=self.min_connected,
            seed=self.seed,
            **self.scoring.identity(next(runner.model.parameters()).device),
        )

    def _build_calibration(self, runner: Runner) -> CalibrationImages | None:
        if not self.num_calibration_images:
            return None
        pipeline = find_pipeline(_reward_loader(runner)['dataset'])
        return CalibrationImages(
            dataset=with_pipeline(runner.cfg.train_dataloader['dataset'], pipeline),
            num_images=self.num_calibration_images,
            batch_size=self.calibration_batch_size,
            seed=self.seed,
            collate=runner.val_dataloader.collate_fn,
        )

    def _build_loop(self) -> SearchLoop:
        strategy = build_from(
            STRATEGIES,
            self.strategy_cfg,
            'strategy',
            num_connections=self.backbone.num_connections,
            seed=self.seed,
        )
        return SearchLoop(
            strategy,
            self.scorer.score_many,
            self.reward,
            self.record,
            self.backbone.blocks_per_stage,
            self._make_ticket,
            max_schemes=self.max_schemes,
            min_connected=self.min_connected,
            max_failures=self.max_failures,
        )

    def _find_supernet(self, runner: Runner) -> Supernet | None:
        """The supernet to search, and its digest among what the record must agree with; None before it is trained."""
        path = Path(self.supernet or self.record.directory / SUPERNET_FILE)
        if not self.supernet and not path.exists():
            return None
        supernet = load_supernet(path, self.trust_checkpoint)
        if not self.supernet:
            require_same_training(supernet.identity, training_identity(runner.cfg), path)
        self.record.identity['supernet weights'] = supernet.sha256
        return supernet

    # -- after training: the search ------------------------------------------------------------------------------------

    def _search(self, runner: Runner) -> None:
        barrier()  # rank 0 has written the supernet
        if self._supernet is None:
            self._supernet = self._find_supernet(runner)
            if self._supernet is None:
                raise ValueError(
                    '`custom_hooks` must hold an ean_mm.SupernetHook for the search, but got none; '
                    'add one, or name trained weights with --supernet.'
                )
            self.loop.load()
            barrier()
        restore_supernet(self.model, self._supernet)
        self.model.eval()
        one_image = runner.val_dataloader.collate_fn([runner.val_dataloader.dataset[0]])
        self.costs = measure_cost(self.model, self.backbone, lambda: self.scorer.run(one_image))
        scores = self._speed_up_scoring(runner)
        if self.score_all:
            self._write_atlas(scores)
        with SearchProgress(self.loop.num_steps, is_visible=self.record.is_writer) as progress:
            self.loop.on_step = lambda report: self._show(runner, progress, report)
            result = self.loop.run()
        if self.record.is_writer:
            outcome = Outcome(result, self.costs, self.reward.metric, self.record.directory)
            outcome.measure_latency(self.backbone, lambda: self.scorer.run(one_image))
            runner.logger.info(outcome.write(runner.cfg, self.retrain_config, self.loop.evaluations))
        barrier()

    def _write_atlas(self, scores: RememberedScores) -> None:
        schemes = list_schemes(self.backbone.blocks_per_stage)
        with SearchProgress(len(schemes), is_visible=self.record.is_writer) as progress:
            metrics = score_atlas(schemes, scores, progress.show)
        if self.record.is_writer:
            write_atlas(self.record.directory / ATLAS_FILE, metrics, self.reward, self.costs)

    def _speed_up_scoring(self, runner: Runner) -> RememberedScores:
        """Score with shared passes where the backbone allows it, and look up what earlier searches have scored."""
        scorer = self.scoring.speed_up(self.scorer)
        context = {
            'supernet weights': self.record.identity['supernet weights'],
            'metric': self.reward.metric,
            'calibration': f'{self.num_calibration_images} images, {self.calibration_batch_size} at once, seed {self.seed}',
            **self.scoring.context(runner.cfg, self.scorer),
        }
        path = Path(self.score_store or self.record.directory / SCORES_FILE)
        scores = RememberedScores(scorer, load_scores(path, context, self.record.is_writer))
        self.loop.score_many = scores.score_many
        self.loop.describe_work = scores.describe_work
        return scores

    def _make_ticket(self, best: Evaluation) -> Ticket:
        digest = self.record.identity['supernet weights']
        return TicketMaker(self.backbone, self.costs, self.reward.metric, self.seed, digest)(best)

    def _show(self, runner: Runner, progress: SearchProgress, report: StepReport) -> None:
        progress.show(round(report.progress * report.num_steps), _describe(report))
        scalars = {
            'search/best_reward': report.best.reward if report.best else None,
            'search/mean_reward': report.mean_reward,
            'search/mean_sparsity': report.mean_sparsity,
            'search/num_distinct': report.num_distinct,
            **{f'search/{name}': value for name, value in report.summary.items()},
        }
        known = {name: value for name, value in scalars.items() if value is not None}
        step = 0 if report.step is None else report.step + 1
        runner.visualizer.add_scalars(known, step=step)


def _describe(report: StepReport) -> str:
    facts = [f'{report.num_distinct} schemes']
    if report.best is not None:
        facts.insert(0, f'best {report.best.reward:.2f} with {report.best.scheme}')
    if report.mean_reward is not None:
        facts.append(f'mean reward {report.mean_reward:.2f}')
    facts.append(f'sparsity {report.mean_sparsity:.2f}')
    if 'entropy' in report.summary:
        facts.append(f'entropy {report.summary["entropy"]:.2f}')
    if report.num_failures:
        facts.append(f'{report.num_failures} failed')
    return ', '.join(facts)


def _reward_loader(runner: Runner) -> dict:
    if runner.val_loop is None:
        raise ValueError(
            '`val_dataloader` must hold the reward images of the search, but got None; '
            'hold them out of the training set with ean_mm.HoldOut.'
        )
    return runner.cfg.val_dataloader


def _own_files(directory: Path) -> list[str]:
    """What training and search leave in the work directory beside the record, which a restart moves aside with it."""
    outcome = (RESULTS_FILE, FIGURE_FILE, RETRAIN_FILE, COMPARISON_FOLDER)  # trained from a ticket that is no more
    patterns = (SUPERNET_FILE, 'epoch_*.pth', 'iter_*.pth', 'last_checkpoint', *outcome)
    return sorted(path.name for pattern in patterns for path in directory.glob(pattern))
