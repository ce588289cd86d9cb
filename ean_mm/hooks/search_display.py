"""What a search shows after each step."""

from __future__ import annotations

from mmengine.visualization import Visualizer

from ..search import StepReport
from ..visualization import SearchProgress


def show_step(visualizer: Visualizer, progress: SearchProgress, report: StepReport) -> None:
    """Move the bar on, and give the visualizer the scalars of a step."""
    progress.show(round(report.progress * report.num_steps), _describe(report))
    scalars = {
        'search/best_reward': report.best.reward if report.best else None,
        'search/mean_reward': report.mean_reward,
        'search/mean_sparsity': report.mean_sparsity,
        'search/num_distinct': report.num_distinct,
        **{f'search/{name}': value for name, value in report.summary.items()},
    }
    known = {name: value for name, value in scalars.items() if value is not None}
    visualizer.add_scalars(known, step=0 if report.step is None else report.step + 1)


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
