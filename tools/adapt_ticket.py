"""Map a ticket to a backbone of the same kind with other stages; nothing is measured anew.

python tools/adapt_ticket.py ticket.json resnet101_ticket.json --blocks-per-stage 3 4 23 3 --rule nearest
python tools/adapt_ticket.py ticket.json resnet50_c4_ticket.json --blocks-per-stage 3 4 6 --rule first_stages
"""

from ean_mm.environment import exit_without_packages

exit_without_packages()

import argparse
from pathlib import Path

from ean_mm.launch import one_sentence
from ean_mm.structures import Ticket
from ean_mm.structures.adaptation import RULES


def main() -> None:
    parser = argparse.ArgumentParser(description='Map a ticket to a backbone with other stages.')
    parser.add_argument('ticket', help='path of the ticket')
    parser.add_argument('out', type=Path, help='path of the new one; must not exist')
    parser.add_argument('--blocks-per-stage', nargs='+', type=int, required=True, help='of the new backbone')
    parser.add_argument(
        '--rule',
        choices=RULES,
        required=True,
        help="'nearest': each block takes the bit of the nearest one by relative position; 'first_stages': later stages go",
    )
    parser.add_argument('--depth', type=int, help='of the new backbone (default: counted from its blocks)')
    args = parser.parse_args()
    if args.out.exists():
        parser.error(f'`out` must be a new file, but got {str(args.out)!r}, which exists.')
    with one_sentence():
        old = Ticket.load(args.ticket)
        new = old.adapt(args.blocks_per_stage, args.rule, args.depth)
        new.save(args.out)
    print(f'{old.backbone}: {old.scheme}\n{new.backbone}: {new.scheme}\nTicket: {args.out}')


if __name__ == '__main__':
    main()
