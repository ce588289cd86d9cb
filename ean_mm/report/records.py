"""What the files of a work directory hold, as far as the report reads them; anything else in them is left alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ..structures import ConnectionScheme

MAX_TEXT = 4000


class Record(BaseModel):
    """Frozen, finite, no conversions; keys that the report does not know are ignored, for newer writers."""

    model_config = ConfigDict(
        strict=True, extra='ignore', frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


def _read_scheme(text: object) -> ConnectionScheme:
    if isinstance(text, str) and len(text) > MAX_TEXT:
        raise ValueError(f'`scheme` must have at most {MAX_TEXT} letters, but got {len(text)}.')
    return ConnectionScheme.from_string(text)  # type: ignore[arg-type]


Scheme = Annotated[ConnectionScheme, BeforeValidator(_read_scheme)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


class Interval(Record):
    """A number and its confidence interval; None where there is none."""

    low: float | None = None
    high: float | None = None


# -- the search --------------------------------------------------------------------------------------------------------


class Score(Record):
    """A line of ``search.jsonl``."""

    step: Count | None
    role: Text
    scheme: Scheme
    metric: float | None
    reward: float | None
    reason: Text | None = None
    num_images: Count | None = None

    @property
    def is_full(self) -> bool:
        """Whether metric and reward are scores, neither failed nor estimated."""
        return self.reward is not None and self.metric is not None and self.num_images is None


class Timing(Record):
    """A line of ``timing.jsonl``; what scoring counts begins at 0 in every process."""

    step: Count | None
    time: float
    seconds: Seconds
    scoring: Seconds = 0.0
    proposals: Count = 0
    scored: Count = 0
    keep: tuple[Share, ...] | None = None
    num_schemes: Count = 0
    block_images: Count = 0
    naive_block_images: Count = 0
    peak_bytes: Count = 0
    remembered: Count = 0
    dropped: Count = 0
    images_saved: Count = 0


class ResultRow(Record):
    """none, all, the ticket or a runner-up."""

    name: Text
    scheme: Scheme
    metric: float
    reward: float
    num_connected: Count
    params: Count
    macs: Count
    latency_ms: float | None = None


class Results(Record):
    """``results.json``."""

    metric: Text
    rows: tuple[ResultRow, ...]
    device: Text = ''
    latency: Text = ''
    shapes: tuple[tuple[Count, ...], ...] | None = None  # (C, H, W) at each block
    config: Text | None = None


class Costs(Record):
    """``costs.json``: costs as sums."""

    class Cost(Record):
        """What the bare network costs, each connected block, and each group that has one."""

        bare: float
        bits: tuple[float, ...]
        group_costs: dict[str, float] = Field(default_factory=dict)

    costs: dict[str, Cost]


class Latency(Record):
    """``latency.json``."""

    class Check(Record):
        """A scheme whose latency was measured as well as predicted."""

        scheme: Scheme
        measured_ms: float
        predicted_ms: float

    device: Text
    bare_ms: float
    sites_ms: tuple[float, ...]
    num_rounds: Count = 0
    check: tuple[Check, ...] = ()
    median_error: float | None = None
    largest_error: float | None = None
    median_added_error: float | None = None
    largest_added_error: float | None = None


# -- is it true? -------------------------------------------------------------------------------------------------------


class Verdict(Record):
    """``verdict.json``."""

    class Comparison(Interval):
        """The ticket less something, on other images than it was chosen on, and on those."""

        name: Text
        difference: float | None
        chosen_difference: float | None = None
        chosen_low: float | None = None
        chosen_high: float | None = None

    class Control(Record):
        """A scheme that nobody searched."""

        name: Text
        scheme: Scheme
        num_connected: Count
        metric: float
        reward: float | None = None

    metric: Text
    ticket: Scheme
    num_images: Count
    num_random: Count
    confidence: Share = 0.95
    num_resamples: Count = 0
    verdict: Literal['better', 'worse', 'not distinguishable', 'no random schemes']
    sentence: Text
    sentences: tuple[Text, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    controls: tuple[Control, ...] = ()


class Effects(Record):
    """``effects.json``."""

    class Flip(Interval):
        """The metric with one bit of the ticket flipped, less the ticket's."""

        bit: Count
        on: bool
        difference: float

    class Shapley(Interval):
        """What a block contributes on average over all orders of connecting."""

        bit: Count
        effect: float

    class Pair(Interval):
        """What two blocks do together beyond what each does."""

        bits: tuple[Count, Count]
        effect: float

    scheme: Scheme
    num_scores: Count = 0
    flips: tuple[Flip, ...] = ()
    shapley: tuple[Shapley, ...] = ()
    pairs: tuple[Pair, ...] = ()


class Front(Record):
    """``front.json``."""

    class Size(Record):
        """The best scheme with so many connections."""

        num_connected: Count
        scheme: Scheme
        metric: float
        reward: float | None = None
        params: Count | None = None
        macs: Count | None = None
        latency_ms: float | None = None
        ticket: Text | None = None

    metric: Text
    best_per_size: tuple[Size, ...]
    front_cost: Literal['latency', 'macs'] = 'latency'
    front: tuple[Scheme, ...] = ()
    front_points: tuple[Size, ...] = ()


class Comparison(Record):
    """``comparison.json``: networks trained from scratch."""

    class Row(Interval):
        """One scheme, or random ones, over seeds."""

        name: Text
        schemes: tuple[Scheme, ...]
        values: tuple[float, ...]
        mean: float
        num_connected: float | None = None
        params: float | None = None
        macs: float | None = None
        latency_ms: float | None = None

    class Difference(Interval):
        """Of two rows, seed by seed."""

        name: Text
        mean: float
        num_seeds: Count = 0

    metric: Text
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...] = ()
    sentence: Text = ''


class Ratios(Record):
    """``ratios.json``: random schemes by share of connected blocks, trained from scratch."""

    class Trained(Record):
        """One scheme over seeds."""

        scheme: Scheme
        mean: float
        params: float | None = None
        macs: float | None = None
        latency_ms: float | None = None

    class Row(Interval):
        """The schemes of one share."""

        num_connected: Count
        schemes: Annotated[tuple[Ratios.Trained, ...], Field(min_length=1)]
        mean: float

    metric: Text
    rows: tuple[Row, ...]
    seeds: tuple[int, ...] = ()
    sentence: Text = ''


class Fidelity(Record):
    """``fidelity.json``: does the supernet rank like networks trained alone?"""

    class Trained(Record):
        """A scheme with both kinds of score."""

        scheme: Scheme
        stand_alone: tuple[float, ...]
        supernet: float | None = None
        supernet_raw: float | None = None

    class Tau(Interval):
        """Kendall's rank correlation."""

        value: float | None = None

    metric: Text
    epochs: Count | None = None
    seeds: tuple[int, ...] = ()
    schemes: tuple[Trained, ...] = ()
    tau: dict[str, Tau | None] = Field(default_factory=dict)
    sentence: Text = ''


class Seeds(Record):
    """``seeds.json``: several searches of one supernet."""

    seeds: tuple[int, ...]
    tickets: tuple[Scheme, ...]
    keep: tuple[Share, ...]
    agreement: float | None = None
    consensus: Scheme | None = None
    sentence: Text = ''
