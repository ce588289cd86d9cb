"""Build report.html anew from the files that a search has left.

python tools/report.py work_dirs/resnet20_se_digits
python tools/report.py work_dirs/resnet20_se_digits --png
"""

import argparse
import sys

from ean_mm.report import build_report


def main() -> None:
    parser = argparse.ArgumentParser(description='Build the report of a search anew, from its files alone.')
    parser.add_argument('work_dir', help='work directory of the search')
    parser.add_argument('--png', action='store_true', help='draw its charts as PNG files too, into report/ (slower)')
    args = parser.parse_args()
    try:
        print(f'Report: {build_report(args.work_dir)}')
        if args.png:
            from ean_mm.report.figures import draw_pictures  # imports torch, which the page does without

            for path in draw_pictures(args.work_dir):
                print(f'Picture: {path}')
    except (ValueError, OSError) as err:
        sys.exit(f'error: {err}')


if __name__ == '__main__':
    main()
