"""What a scheme costs: parameters, MACs, latency."""

from .cost import Cost, CostTable, SiteCost, measure_cost
from .latency import measure_latency

__all__ = ['Cost', 'CostTable', 'SiteCost', 'measure_cost', 'measure_latency']
