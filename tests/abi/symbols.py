#!/usr/bin/env python3
"""Compares what libberth.so exports with symbols.txt, both ways.

usage: symbols.py LIBBERTH.SO [SYMBOLS.TXT]
"""
import os
import subprocess
import sys


def exported(library):
    lines = subprocess.run(['nm', '-D', '--defined-only', library], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    symbols = set()
    for line in lines:
        kind, name = line.split()[-2:]
        name = name.partition('@')[0]
        if kind != 'A':  # the entry of the version itself
            symbols.add(name)
    return symbols


def listed(path):
    with open(path, encoding='utf-8') as file:
        return {line.strip() for line in file if line.strip() and not line.startswith('#')}


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    path = (sys.argv[2:] or [os.path.join(os.path.dirname(os.path.abspath(__file__)), 'symbols.txt')])[0]
    have, want = exported(sys.argv[1]), listed(path)
    for name in sorted(have - want):
        print(f'new ABI detected: {name} is exported and not in {path}')
    for name in sorted(want - have):
        print(f'ABI broken: {name} is in {path} and not exported')
    if have == want:
        print(f'{len(have)} symbols')
    return 0 if have == want and have else 1


if __name__ == '__main__':
    sys.exit(main())
