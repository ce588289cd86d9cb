"""What a scheme costs: parameters, MACs, element-wise work, latency, memory; how sure a mean or a ranking is."""

from .activation_maps import ActivationMaps, map_activations, save_activation_maps
from .added_costs import build_added_costs
from .bootstrap import Bootstrap, Difference
from .conclusion import Conclusion, conclude
from .controls import choose_controls, choose_random
from .cost import Cost, CostTable, SiteCost, measure_cost
from .effects import Effects, find_effects, flip_each, guess_best_of_size
from .intervals import Interval, paired_difference, t_interval
from .latency import Spread, compare_rounds, measure_latency, time_rounds
from .latency_table import (
    LatencyCheck,
    LatencyTable,
    LatencyTableError,
    describe_device,
    measure_latency_table,
)
from .memory import measure_peak_memory
from .ranking import Fidelity, RankCorrelation, kendall_tau, measure_fidelity
from .verdict import Verdict, judge
from .winner import estimate_winner
from .work import Work, WorkCounter, count_work

__all__ = [
    'ActivationMaps',
    'Bootstrap',
    'Conclusion',
    'Cost',
    'CostTable',
    'Difference',
    'Effects',
    'Fidelity',
    'Interval',
    'LatencyCheck',
    'LatencyTable',
    'LatencyTableError',
    'RankCorrelation',
    'SiteCost',
    'Spread',
    'Verdict',
    'Work',
    'WorkCounter',
    'build_added_costs',
    'choose_controls',
    'choose_random',
    'compare_rounds',
    'conclude',
    'count_work',
    'describe_device',
    'estimate_winner',
    'find_effects',
    'flip_each',
    'guess_best_of_size',
    'judge',
    'kendall_tau',
    'map_activations',
    'measure_cost',
    'measure_fidelity',
    'measure_latency',
    'measure_latency_table',
    'measure_peak_memory',
    'paired_difference',
    'save_activation_maps',
    't_interval',
    'time_rounds',
]
