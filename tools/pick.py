"""Choose one scheme of a finished search by what it may cost; without --pick, show what there is.

python tools/pick.py work_dirs/resnet20_se_digits --pick max-latency=+5%
python tools/pick.py work_dirs/resnet20_se_digits --pick max-params=+1% max-connected=6 --out small.json
"""

from ean_mm.environment import exit_without_packages

exit_without_packages()

import argparse

from ean_mm.launch import one_sentence, pick
from ean_mm.launch.pick import CONDITIONS


def main() -> None:
    parser = argparse.ArgumentParser(description='Choose one scheme of a finished search.')
    parser.add_argument('work_dir', help='of the search')
    parser.add_argument(
        '--pick',
        nargs='+',
        default=[],
        metavar='CONDITION',
        help=f'best, or {", ".join(f"{name}=..." for name in CONDITIONS)}: a number, one like 26M or 4.2G, or a share on '
        'top of the network without attention like +5%%; of the schemes that keep all, the one of highest reward',
    )
    parser.add_argument('--out', help='path of the ticket (default: picked.json in work_dir)')
    args = parser.parse_args()
    with one_sentence():
        print(pick(args.work_dir, args.pick, args.out))


if __name__ == '__main__':
    main()
