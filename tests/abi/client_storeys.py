#!/usr/bin/env python3
"""Whether the client's objects stand in storeys (DESIGN.md, Client), by what their linker sees.

Below client/src every file stands in a storey's folder. An object that uses a symbol of another makes an arrow; there
is no circle of arrows, and between storeys they lead downwards. Tables of functions given at construction are no
arrows: nm does not see them. Each exported berth_NOUN… is defined in api/NOUN.c, and no file has over 300 lines.

usage: client_storeys.py SOURCE_DIR SYMBOLS.TXT ARCHIVE-OR-OBJECT… | client_storeys.py --self-test
Prints a line for each violation; exit 1 when there is one.
"""
import os
import re
import subprocess
import sys
import tempfile

STOREYS = ['base', 'channel', 'delivery', 'lease', 'context', 'connection', 'api']
MOST_LINES = 300


def client_files(root):
    top = os.path.join(root, 'client', 'src')
    for where, folders, files in os.walk(top):
        folders.sort()
        for file in sorted(files):
            if file.endswith(('.c', '.h')):
                yield os.path.relpath(os.path.join(where, file), top)


def source_of(member, files):
    """meson names client/src/base/clock.c's object src_base_clock.c.o; a plain one may be called by its path."""
    flat = re.sub(r'^src_', '', os.path.basename(member).removesuffix('.o'))
    found = [file for file in files if file.replace('/', '_') == flat]
    if len(found) > 1:
        sys.exit(f'{member} could be the object of {" or ".join(found)}: name one of them otherwise')
    return found[0] if found else None


def symbols_of(paths, files):
    """({file: undefined symbols}, {symbol: file that defines it})"""
    uses, defined = {}, {}
    out = subprocess.run(['nm', '-A', '-P', *paths], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        where, _, rest = line.partition(': ')
        member = re.sub(r'^.*\[(.*)\]$', r'\1', where)
        file = source_of(member, files)
        name, kind = rest.split()[:2]
        if file is None:
            continue
        uses.setdefault(file, set())
        if kind in 'Uwv':
            uses[file].add(name)
        elif kind.isupper():
            defined[name] = file
    return uses, defined


def arrows_of(uses, defined):
    """{file: {file it uses: a symbol}}"""
    return {file: {defined[name]: name for name in sorted(names, reverse=True) if defined.get(name, file) != file}
            for file, names in uses.items()}


def circle_in(arrows):
    """One circle as a list of files, the shortest through the first file that is in any; or None."""
    for start in sorted(arrows):
        came_from, line = {}, [start]
        for at in line:
            for to in sorted(arrows.get(at, {})):
                if to == start:
                    circle = [at]
                    while circle[0] != start:
                        circle.insert(0, came_from[circle[0]])
                    return circle
                if to not in came_from:
                    came_from[to] = at
                    line.append(to)
    return None


def in_circles(arrows):
    """The files that reach themselves."""
    reached = {}
    for start in arrows:
        seen, line = set(), [start]
        while line:
            for to in arrows.get(line.pop(), {}):
                if to not in seen:
                    seen.add(to)
                    line.append(to)
        reached[start] = seen
    return sorted(file for file, seen in reached.items() if file in seen)


def storey_of(file):
    top = file.split('/')[0]
    return STOREYS.index(top) if '/' in file and top in STOREYS else None


def graph_violations(arrows):
    circle = circle_in(arrows)
    if circle:
        steps = [f'{at} uses {arrows[at][to]} of {to}' for at, to in zip(circle, circle[1:] + circle[:1])]
        yield 'a circle: ' + ', '.join(steps)
        yield f'{len(in_circles(arrows))} files are in circles: {" ".join(in_circles(arrows))}'
    for file in sorted(arrows):
        for to, name in sorted(arrows[file].items()):
            low, high = storey_of(to), storey_of(file)
            if low is not None and high is not None and low > high:
                yield f'{file} uses {name} of {to}, which stands above it'


def file_violations(root, files):
    for file in files:
        if storey_of(file) is None:
            yield f'{file} stands in no storey ({" ".join(STOREYS)})'
        with open(os.path.join(root, 'client', 'src', file), encoding='utf-8') as lines:
            count = sum(1 for _ in lines)
        if count > MOST_LINES:
            yield f'{file} has {count} lines, over {MOST_LINES}'


def entry_violations(symbols, defined):
    for name in symbols:
        file = 'api/' + name.removeprefix('berth_').split('_')[0] + '.c'
        if defined.get(name) != file:
            yield f'{name} is to be defined in {file}, and is in {defined.get(name, "no file")}'


def violations(root, symbols, paths):
    files = list(client_files(root))
    uses, defined = symbols_of(paths, files)
    if not uses:
        yield 'none of the objects is of a file below client/src'
    missing = [file for file in files if file.endswith('.c') and file not in uses]
    if missing:
        yield 'no object of ' + ' '.join(missing)
    yield from file_violations(root, files)
    yield from entry_violations(symbols, defined)
    yield from graph_violations(arrows_of(uses, defined))


def listed(path):
    with open(path, encoding='utf-8') as file:
        return [line.strip() for line in file if line.strip() and not line.startswith('#')]


# --- self-test ------------------------------------------------------------------------------------------------------

GOOD = {
    'base/clock.c': 'int clock_now(void) { return 1; }\n',
    'base/clock.h': 'int clock_now(void);\n',
    'channel/ring.c': 'int clock_now(void); int ring_take(int (*news)(void)) { return clock_now() + news(); }\n',
    'channel/slots.c': 'int ring_take(int (*)(void)); int slots_take(void) { return ring_take(0); }\n',
    'api/call.c': 'int slots_take(void); static int news(void) { return 2; } int ring_take(int (*)(void));\n'
                  'int berth_call(void) { return slots_take() + ring_take(news); }\n'
                  'int berth_call_two(void) { return 3; }\n',
}
SELF_TEST = [  # what is different, what the violation says
    ({}, None),
    ({'base/clock.c': 'int ring_take(int (*)(void)); int clock_now(void) { return ring_take(0); }\n'},
     r'a circle: base/clock.c uses ring_take of channel/ring.c, channel/ring.c uses clock_now of base/clock.c'),
    ({'base/clock.c': 'int berth_call_two(void); int clock_now(void) { return berth_call_two(); }\n'},
     r'base/clock.c uses berth_call_two of api/call.c, which stands above it'),
    ({'channel/ring.c': 'int slots_take(void); int ring_take(int (*n)(void)) { return n ? n() : slots_take(); }\n'},
     r'a circle: channel/ring.c uses slots_take .*2 files are in circles: channel/ring.c channel/slots.c'),
    ({'alarm.c': 'int alarm_ring(void) { return 1; }\n'}, r'alarm.c stands in no storey'),
    ({'attic/alarm.c': 'int alarm_ring(void) { return 1; }\n'}, r'attic/alarm.c stands in no storey'),
    ({'base/long.h': '\n' * 301}, r'base/long.h has 301 lines'),
    ({'base/long.h': '\n' * 300}, None),
    ({'api/call.c': 'int berth_call(void) { return 1; }\n', 'api/other.c': 'int berth_call_two(void) { return 1; }\n'},
     r'berth_call_two is to be defined in api/call.c, and is in api/other.c'),
    ({'api/call.c': 'int berth_call(void) { return 1; }\n'}, r'berth_call_two .* is in no file'),
]


def build(root, sources):
    for file, text in sources.items():
        path = os.path.join(root, 'client', 'src', file)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as out:
            out.write(text)
    objects = []
    for file in sources:
        if file.endswith('.c'):
            objects.append(os.path.join(root, 'src_' + file.replace('/', '_') + '.o'))
            subprocess.run(['gcc', '-c', '-o', objects[-1], os.path.join(root, 'client', 'src', file)], check=True)
    archive = os.path.join(root, 'lib.a')
    subprocess.run(['ar', 'rcs', archive, *objects], check=True)
    return archive


def self_test():
    wrong = 0
    for different, expected in SELF_TEST:
        with tempfile.TemporaryDirectory() as root:
            archive = build(root, {**GOOD, **different})
            found = ' '.join(violations(root, ['berth_call', 'berth_call_two'], [archive]))
        if bool(found) != bool(expected) or (expected and not re.search(expected, found)):
            wrong += 1
            print(f'self-test: with {list(different)} expected {expected}, found {found or "nothing"}')
    print(f'self-test: {len(SELF_TEST)} cases, {wrong} wrong')
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ['--self-test']:
        return self_test()
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    found = list(violations(sys.argv[1], listed(sys.argv[2]), sys.argv[3:]))
    print('\n'.join(found) if found else 'no violation')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
