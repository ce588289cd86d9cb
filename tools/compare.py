"""Train the ticket of a finished search, and what it is to be compared with, from scratch, side by side.

python tools/compare.py configs/ean/resnet20_se_digits.py --seeds 0 1 2
python tools/compare.py configs/ean/resnet20_se_digits.py --ratios 0 0.2 0.4 0.6 0.8 1 --per-ratio 3
"""

from ean_mm.environment import exit_without_packages

exit_without_packages()

from functools import partial
from pathlib import Path

from ean_mm.launch import build_parser, compare, load_config, one_sentence, study_ratios
from ean_mm.launch.comparison import NAMES


def main() -> None:
    parser = build_parser(
        'Compare the ticket of a search with none, all and random schemes, each trained from scratch.'
    )
    parser.add_argument(
        '--schemes',
        nargs='+',
        help="which to train now: of 'none', 'all', 'ticket', 'random' (one of the ticket's size for each seed), or bits "
        'such as 101000101 (default: the four)',
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0], help='one training each')
    parser.add_argument(
        '--ratios', nargs='+', type=float, help='train random schemes of these shares of connected blocks instead'
    )
    parser.add_argument('--per-ratio', type=int, default=3, help='random schemes of each (default: 3)')
    args = parser.parse_args()
    if args.ratios and args.schemes:
        parser.error('--ratios trains schemes of its own: leave out --schemes')
    with one_sentence():
        directory, announce = Path(load_config(args).work_dir), partial(print, flush=True)
        if args.ratios:
            print(study_ratios(directory, args.ratios, args.per_ratio, args.seeds, announce=announce))
        else:
            print(compare(directory, args.schemes or NAMES, args.seeds, announce))


if __name__ == '__main__':
    main()
