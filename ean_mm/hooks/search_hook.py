"""Search where to plug attention, on the supernet that training leaves behind."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from mmengine.dist import barrier
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..analysis import measure_cost
from ..analysis.added_costs import build_added_costs
from ..evaluation import (
    CalibrationImages,
    RememberedScores,
    Supernet,
    SupernetScorer,
    find_pipeline,
    load_supernet,
    restore_supernet,
    with_pipeline,
)
from ..registry import HOOKS, STRATEGIES, build_from
from ..search import Budget, Evaluation, Reward, SearchLoop, SearchRecord
from ..structures import Ticket
from ..visualization import SearchProgress
from .atlas import list_schemes, score_atlas, write_atlas
from .broadcast import read_common_clock
from .conclusion import Aftermath
from .identity import require_same_training, search_identity, training_identity
from .own_files import list_files
from .page import save_maps, write_page
from .scoring import Scoring, remember_scores
from .search_costs import find_latency_table
from .search_display import show_step
from .search_outcome import Outcome
from .search_space import build_space, read_schemes
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
        max_schemes, max_images, max_hours, patience: when to end, see ``ean_mm.search.Budget``; None sets no limit.
        min_connected: smaller schemes do not become the ticket.
        fixed: a scheme with ``*`` for every bit that is to be searched, like '1** *** **0'; None searches all.
        limits: what the ticket may cost at most: ``dict(params='+1%', macs='4.2G', latency='+5%', num_connected=6)``, any of
            them; checked before training, where no scheme can keep them.
        latency_table: file with the latency of each site, measured on the device that counts; None measures on this one into
            ``latency.json``: before training where reward or limits ask for latency, else for the front.
        warm_start: tickets or schemes that are scored first, and learned from.
        verdict: when the search has ended, judge the ticket against controls, say why it is what it is, and offer the best
            scheme for every number of connections; scores up to 44 + 2n further schemes of n blocks.
        max_failures: so many scores in a row that are no number stop the search.
        seed: of the strategy, unless its config has one of its own, and of the choice of calibration images.
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
        max_images: int | None = None,
        max_hours: float | None = None,
        patience: int | None = None,
        min_connected: int = 0,
        fixed: str | None = None,
        limits: dict | None = None,
        latency_table: str | None = None,
        warm_start: Sequence[str] = (),
        verdict: bool = True,
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
        self.budget = Budget(None, max_schemes, max_images, max_hours, patience)
        self.min_connected = min_connected
        self.fixed = fixed
        self.limits = limits
        self.latency_table = latency_table
        self.warm_start = warm_start
        self.verdict = verdict
        self.max_failures = max_failures
        self.seed = seed
        self.supernet = supernet
        self.trust_checkpoint = trust_checkpoint
        self.restart = restart
        self.retrain_config = retrain_config

    # -- before training: everything that can be wrong -----------------------------------------------------------------

    def before_run(self, runner: Runner) -> None:
        directory = Path(runner.work_dir)
        device = next(runner.model.parameters()).device
        identity = search_identity(runner.cfg, {**self._settings(), **self.scoring.identity(device)})
        self.record = SearchRecord(directory, identity, is_writer=runner.rank == 0).open()
        if self.restart:
            moved = self.record.restart(*list_files(directory))
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
        self.model.eval()  # the training loop changes that
        if self.score_all:
            list_schemes(self.backbone.blocks_per_stage)  # refused before any training
        self.calibration = self._build_calibration(runner)
        _reward_loader(runner)  # refused where there are none
        self._find_costs(runner)
        self.scorer = self.scoring.build(runner, self.reward, self.calibration)
        self.loop = self._build_loop(runner)
        self.scorer.rehearse()
        self._supernet = self._find_supernet(runner)
        self.loop.load()
        barrier()
        if self._supernet is not None:
            runner.logger.info('The supernet is trained already: searching at once')
            runner.train_loop.stop_training = True

    def _find_costs(self, runner: Runner) -> None:
        """What connections cost; the reward and the limits may depend on it."""
        batch = runner.val_dataloader.collate_fn([runner.val_dataloader.dataset[0]])
        self.run_one_image = partial(
            SupernetScorer(self.model, self.backbone, runner.val_dataloader, None, '').run, batch
        )
        self.costs = measure_cost(self.model, self.backbone, self.run_one_image)
        latency, counts = None, 'latency' in {*self.reward.needs, *(self.limits or ())}
        if counts or self.latency_table:
            directory = self.record.directory
            latency, digest = find_latency_table(self.latency_table, directory, self.backbone, self.run_one_image)
            self.record.identity |= {'latency table': digest} if counts else {}
        added = build_added_costs(self.costs, latency)
        self.reward = self.reward.with_costs(added)
        self.space = build_space(self.backbone, self.fixed, self.min_connected, self.limits, added)

    def _settings(self) -> dict:
        """Every argument that changes a number in the log; hours are not among them, so that a search can be given more."""
        later: dict[str, object] = dict(fixed=self.fixed, limits=self.limits, warm_start=list(self.warm_start))
        later |= dict(max_images=self.budget.max_images, patience=self.budget.patience)
        return dict(
            strategy=self.strategy_cfg,
            reward=self.reward.to_dict(),
            num_calibration_images=self.num_calibration_images,
            calibration_batch_size=self.calibration_batch_size,
            max_schemes=self.budget.max_schemes,
            min_connected=self.min_connected,
            seed=self.seed,
            **{name: value for name, value in later.items() if value},
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

    def _build_loop(self, runner: Runner) -> SearchLoop:
        seed = self.strategy_cfg.get('seed', self.seed)
        strategy = build_from(STRATEGIES, self.strategy_cfg, 'strategy', num_connections=self.space.num_free, seed=seed)
        num_images = len(runner.val_dataloader.dataset)
        return SearchLoop(
            strategy,
            self.scorer.score_many,
            self.reward,
            self.record,
            self.space,
            self._make_ticket,
            budget=self.budget,
            warm_start=read_schemes(self.warm_start, self.backbone),
            max_failures=self.max_failures,
            count_images=lambda evaluation: self.num_calibration_images + (evaluation.num_images or num_images),
            read_clock=time.time if self.budget.max_hours is None else read_common_clock,
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
        scores = self._speed_up_scoring(runner)
        if self.score_all:
            self._write_atlas(scores)
        with SearchProgress(self.loop.num_steps, is_visible=self.record.is_writer) as progress:
            self.loop.on_step = lambda report: show_step(runner.visualizer, progress, report)
            result = self.loop.run()
        runner.logger.info(f'The search has ended: {result.end}')
        aftermath = Aftermath(
            self.loop, scores, self.reward, self.costs, self.backbone, self.run_one_image, self._make_ticket, self.seed
        )
        conclusion = aftermath.run(self.latency_table) if self.verdict else []
        if self.record.is_writer:
            outcome = Outcome(result, self.costs, self.reward.metric, self.record.directory)
            outcome.measure_latency(self.backbone, self.run_one_image)
            text = outcome.write(runner.cfg, self.retrain_config, self.loop.evaluations, conclusion)
            if self.verdict:
                save_maps(runner, self.scorer, outcome.schemes, self.record.directory)
            runner.logger.info('\n'.join([text, *write_page(self.record.directory, with_verdict=False)]))
        barrier()

    def _write_atlas(self, scores: RememberedScores) -> None:
        schemes = list_schemes(self.backbone.blocks_per_stage)
        with SearchProgress(len(schemes), is_visible=self.record.is_writer) as progress:
            metrics = score_atlas(schemes, scores, progress.show)
        if self.record.is_writer:
            write_atlas(self.record.directory / ATLAS_FILE, metrics, self.reward, self.costs)

    def _speed_up_scoring(self, runner: Runner) -> RememberedScores:
        """Score with shared passes where the backbone allows it, and look up what earlier searches have scored."""
        scores = remember_scores(
            self.scoring,
            self.scorer,
            runner.cfg,
            self.record.identity['supernet weights'],
            (self.num_calibration_images, self.calibration_batch_size, self.seed),
            Path(self.score_store or self.record.directory / SCORES_FILE),
            self.record.is_writer,
        )
        self.loop.score_many = scores.score_many
        self.loop.describe_work = scores.describe_work
        return scores

    def _make_ticket(self, best: Evaluation) -> Ticket:
        digest = self.record.identity['supernet weights']
        return TicketMaker(self.backbone, self.costs, self.reward.metric, self.seed, digest)(best)


def _reward_loader(runner: Runner) -> dict:
    if runner.val_loop is None:
        raise ValueError(
            '`val_dataloader` must hold the reward images of the search, but got None; '
            'hold them out of the training set with ean_mm.HoldOut.'
        )
    return runner.cfg.val_dataloader
