"""Train the ticket of a finished search, no attention and attention everywhere from scratch, side by side.

python tools/compare.py configs/ean/resnet20_se_digits.py
"""

from ean_mm.environment import exit_without_packages

exit_without_packages()

from pathlib import Path

from ean_mm.launch import build_parser, compare, load_config, one_sentence
from ean_mm.launch.comparison import NAMES


def main() -> None:
    parser = build_parser('Compare the ticket of a search with none and all, each trained from scratch.')
    parser.add_argument('--schemes', nargs='+', choices=NAMES, default=NAMES, help='which to train now')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0], help='one training each')
    args = parser.parse_args()
    with one_sentence():
        print(compare(Path(load_config(args).work_dir), args.schemes, args.seeds))


if __name__ == '__main__':
    main()
