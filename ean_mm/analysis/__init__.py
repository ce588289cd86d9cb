"""What a scheme costs: parameters, MACs, element-wise work, latency, memory."""

from .cost import Cost, CostTable, SiteCost, measure_cost
from .latency import Spread, compare_rounds, measure_latency, time_rounds
from .memory import measure_peak_memory
from .work import Work, WorkCounter, count_work

__all__ = [
    'Cost',
    'CostTable',
    'SiteCost',
    'Spread',
    'Work',
    'WorkCounter',
    'compare_rounds',
    'count_work',
    'measure_cost',
    'measure_latency',
    'measure_peak_memory',
    'time_rounds',
]
