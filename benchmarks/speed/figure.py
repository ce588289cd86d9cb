"""The picture of search.py: how much room for activations buys how much speed."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

LIMITS = {'limit_memory': 'limit of memory alone', 'limit_sharing': 'limit of sharing (MACs)'}


def draw_speed(rows: Sequence[dict]) -> Figure:
    """Draw the speed-up over naive scoring against the activation budget, a line per mode of the engine.

    Dotted lines are the limits counted from the proposals, which hold for arithmetic of one speed: fast mode may pass them.

    Args:
        rows: of one case, at least one with a budget.
    """
    timed = [row for row in rows if row['budget_gib'] != '']
    budgets = sorted({float(row['budget_gib']) for row in timed})
    figure = Figure(figsize=(8, 4.5), layout='constrained')
    axes = figure.subplots()
    for i, mode in enumerate(dict.fromkeys(row['way'] for row in timed)):
        line = [row for row in timed if row['way'] == mode]
        places = [budgets.index(float(row['budget_gib'])) for row in line]
        speedups = [float(row['speedup']) for row in line]
        axes.plot(places, speedups, 'o-', color=f'C{i}', label=mode)
        for place, speedup in zip(places, speedups, strict=True):
            axes.annotate(f'{speedup:.1f} x', (place, speedup), (0, 6), textcoords='offset points', ha='center')
    for i, (key, label) in enumerate(LIMITS.items()):
        limit = float(timed[0][key])
        axes.axhline(limit, color=f'C{i + 2}', linestyle=':', label=f'{label}: {limit:.1f} x')
    axes.set_xticks(range(len(budgets)), [f'{budget:g}' if budget < float('inf') else 'no limit' for budget in budgets])
    axes.set(xlabel='activation budget (GiB)', ylabel='times faster than naive scoring', ylim=(0, None))
    axes.margins(x=0.1, y=0.15)
    axes.legend(loc='center left', bbox_to_anchor=(1.01, 0.5), fontsize='small', frameon=False)
    first = timed[0]
    figure.suptitle(
        f'{first["case"]}: {first["num_proposals"]} proposals, {first["num_images"]} + {first["num_calibration"]} images of '
        f'{first["image_size"]} x {first["image_size"]}\non {first["device"]}, threads: {first["threads"]}, '
        f'torch {first["torch"]}, {first["date"]}'
    )
    return figure
