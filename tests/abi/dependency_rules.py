#!/usr/bin/env python3
"""Who may include whom (DESIGN.md, Folders). Prints `file:line: rule` for each violation; exit 1 when there is one.

usage: dependency_rules.py SOURCE_DIR | dependency_rules.py --self-test
"""
import os
import re
import sys
import tempfile

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SOURCES = ('.h', '.c', '.cpp', '.hpp', '.cc')

PROTO = {'control.h', 'crash_area.h', 'delay_point.h', 'futex.h', 'kill_point.h', 'module.h', 'ring.h', 'ring_abi.h',
         'spin.h', 'status.h'}

# Libraries by the headers that name them.
LIBRARIES = {
    'libcbor': re.compile(r'^cbor(\.h$|/)'),
    'libuv': re.compile(r'^uv(\.h$|/)'),
    'boost': re.compile(r'^boost/'),
    'toml++': re.compile(r'^(toml\+\+|toml)/|^toml\.hpp$'),
    'CLI11': re.compile(r'^CLI/'),
    'spdlog': re.compile(r'^(spdlog|fmt)/'),
    'json': re.compile(r'^nlohmann/'),
    'systemd': re.compile(r'^systemd/'),
    'sqlite': re.compile(r'^sqlite3'),
    'libffi': re.compile(r'^ffi(target)?\.h$'),
    'libelf': re.compile(r'^(g?elf|libelf)\.h$|^elfutils/'),
}

# Headers that a pure state machine has no use for.
IO = re.compile(r'^(uv|unistd|fcntl|poll|stdio|spawn|signal|pthread|dirent|dlfcn|time|sched)\.h$'
                r'|^sys/(?!types\.h$)|^linux/|^netinet/|^arpa/'
                r'|^(iostream|fstream|cstdio|filesystem|thread|mutex|condition_variable|future|chrono|ctime)$'
                r'|^(spdlog|fmt|boost|systemd)/|(^|/)(channel|segment|memfd|unique_fd|ring|futex|spin)\.h$')

# Of the client, from the bottom up: each may use those below it.
STOREYS = ['base', 'channel', 'delivery', 'lease', 'context', 'connection', 'api']
STOREY_FOLDERS = ['client/src/' + storey for storey in STOREYS]

# What storeys know nothing of, by the headers that name it.
SOCKETS = re.compile(r'^sys/(socket|un)\.h$|(^|/)control\.h$')
RINGS = re.compile(r'(^|/)(ring|ring_abi|ring_spin|spin)\.h$')
UNKNOWN = {'client/src/' + storey: known for storey, known in {
    'channel': (SOCKETS, 'sockets'), 'delivery': (SOCKETS, 'sockets'), 'lease': (SOCKETS, 'the socket\'s messages'),
    'connection': (RINGS, 'rings')}.items()}

# folder: (our folders it may use, libraries it may use). The longest that fits counts.
FOLDERS = {
    'proto': ({'proto'}, set()),
    'client/include': ({'client/include'}, set()),
    'client/src': ({'client/src', 'client/include', 'proto', *STOREY_FOLDERS}, {'libcbor'}),
    **{folder: ({*STOREY_FOLDERS[:at + 1], 'client/include', 'proto'}, {'libcbor'})
       for at, folder in enumerate(STOREY_FOLDERS)},
    'client/stub': ({'client/stub', 'client/include', 'proto'}, {'libcbor'}),
    'client/cpp': ({'client/cpp', 'client/include'}, set()),
    'client/examples': ({'client/examples', 'client/include', 'client/cpp'}, None),
    'client/cli': ({'client/cli', 'client/include', 'daemon/base', 'daemon/control', 'proto'}, None),
    'daemon/base': ({'daemon/base'}, {'libelf', 'toml++'}),
    'daemon/control': ({'daemon/control', 'daemon/base', 'proto'}, {'libcbor'}),
    'daemon/shm': ({'daemon/shm', 'daemon/base', 'proto'}, {'boost'}),
    'daemon/supervisor': ({'daemon/supervisor', 'daemon/base', 'daemon/control', 'daemon/shm', 'proto',
                           'client/include'}, None),
    'daemon/worker': ({'daemon/worker', 'daemon/base', 'daemon/control', 'daemon/shm', 'proto',
                       'client/include'}, None),
    'daemon/adapters': ({'daemon/adapters', 'daemon/base', 'daemon/modules', 'proto'}, None),
    'daemon/modules': ({'daemon/modules', 'daemon/base', 'proto'}, None),
}


def folder_of(path):
    for folder in sorted(FOLDERS, key=len, reverse=True):
        if path == folder or path.startswith(folder + '/'):
            return folder
    return None


def bases_of(path):
    """Where its compiler looks: two folders may have a `base` of their own."""
    ours = ['client/src'] if path.startswith('client/src/') else []
    return ours + ['daemon', 'client/include', 'client/cpp/include', 'client/src', 'client/cli', 'proto', '.']


def target(root, path, name):
    """Our folder that an include leads to, or None for a system header."""
    beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
    if os.path.exists(os.path.join(root, beside)):
        return folder_of(beside)
    for base in bases_of(path):
        inside = os.path.normpath(os.path.join(base, name))
        if os.path.exists(os.path.join(root, inside)):
            return folder_of(inside)
    return None


def violations_of(root, path, quoted, name):
    folder = folder_of(path)
    if folder is None:
        return
    folders, libraries = FOLDERS[folder]
    base = os.path.basename(name)
    used = target(root, path, name)
    if used is not None and used not in folders:
        yield f'{folder} may not include {used} ({name})'
    if quoted and used is None and base in PROTO and 'proto' not in folders:
        yield f'{folder} may not include proto ({name})'
    for library, pattern in LIBRARIES.items():
        allowed = libraries is None or library in libraries
        if pattern.match(name) and not allowed and (path, library) != ('proto/control_codec.c', 'libcbor'):
            yield f'{folder} may not include {library} ({name})'
    if folder in UNKNOWN and UNKNOWN[folder][0].search(name):
        yield f'{folder} knows nothing of {UNKNOWN[folder][1]} ({name})'
    if folder == 'client/cpp' and not quoted and used is None and not re.fullmatch('[a-z_]+', name):
        yield f'client/cpp includes berth.h and the C++ standard library only ({name})'
    if folder == 'daemon/supervisor' and base in ('ring.h', 'spin.h', 'futex.h', 'segment.h'):
        yield f'the supervisor never touches a segment or ring ({name})'
    if folder == 'daemon/adapters' and base in ('ring.h', 'ring_abi.h', 'control.h'):
        yield f'an adapter knows module.h, and neither rings nor control plane ({name})'
    if folder == 'daemon/worker' and LIBRARIES['libuv'].match(name):
        yield f'the worker never includes libuv ({name})'
    if folder in ('daemon/worker', 'daemon/supervisor') and (LIBRARIES['libffi'].match(name) or
                                                             LIBRARIES['libelf'].match(name)):
        yield f'what only some libraries need is their adapter\'s ({name})'
    if re.search(r'_fsm\.(h|c|cpp)$', path) and IO.search(name):
        yield f'a state machine includes no I/O header ({name})'


def scan(root):
    found = []
    for top in ('proto', 'client', 'daemon'):
        for where, folders, files in os.walk(os.path.join(root, top)):
            folders.sort()
            for file in sorted(files):
                if not file.endswith(SOURCES):
                    continue
                full = os.path.join(where, file)
                path = os.path.relpath(full, root)
                with open(full, encoding='utf-8') as lines:
                    for number, line in enumerate(lines, 1):
                        m = INCLUDE.match(line)
                        if m:
                            found += [f'{path}:{number}: {rule}'
                                      for rule in violations_of(root, path, m[1] == '"', m[2])]
    return found


SELF_TEST = [  # file, include, whether that is a violation
    ('proto/a.h', '<stdint.h>', False),
    ('proto/a.h', '"ring_abi.h"', False),
    ('proto/a.h', '<cbor.h>', True),
    ('proto/control_codec.c', '<cbor.h>', False),
    ('proto/a.h', '"berth/berth.h"', True),
    ('client/src/a.c', '"ring.h"', False),
    ('client/src/a.c', '<cbor.h>', False),
    ('client/src/a.c', '"base/result.h"', True),
    ('client/src/a.c', '<uv.h>', True),
    ('client/src/base/a.c', '"raw_io.h"', False),
    ('client/src/base/a.c', '"base/raw_io.h"', False),
    ('client/src/base/a.c', '"ring.h"', False),
    ('client/src/base/a.c', '"channel/baton.h"', True),
    ('client/src/base/a.c', '"../channel/baton.h"', True),
    ('client/src/base/a.c', '"../../../daemon/base/result.h"', True),
    ('client/src/channel/a.c', '"base/raw_io.h"', False),
    ('client/src/channel/a.c', '"baton.h"', False),
    ('client/src/channel/a.c', '<berth/berth.h>', False),
    ('client/src/channel/a.c', '"delivery/reap.h"', True),
    ('client/src/channel/a.c', '"control.h"', True),
    ('client/src/channel/a.c', '<sys/socket.h>', True),
    ('client/src/delivery/a.c', '"channel/baton.h"', False),
    ('client/src/delivery/a.c', '"lease/machine.h"', True),
    ('client/src/lease/a.c', '"delivery/reap.h"', False),
    ('client/src/lease/a.c', '"context/context.h"', True),
    ('client/src/lease/a.c', '"control.h"', True),
    ('client/src/context/a.c', '"lease/machine.h"', False),
    ('client/src/context/a.c', '"connection/client.h"', True),
    ('client/src/connection/a.c', '"context/context.h"', False),
    ('client/src/connection/a.c', '"control.h"', False),
    ('client/src/connection/a.c', '"ring.h"', True),
    ('client/src/connection/a.c', '"api/call.h"', True),
    ('client/src/api/a.c', '"connection/client.h"', False),
    ('client/src/api/a.c', '"ring.h"', False),
    ('client/src/lease/lease_fsm.c', '<pthread.h>', True),
    ('client/stub/a.c', '"base/raw_io.h"', True),
    ('client/cli/a.cpp', '"control/channel.h"', False),
    ('client/cli/a.cpp', '"supervisor/pool.h"', True),
    ('client/examples/a.c', '"ring_abi.h"', True),
    ('client/examples/a.cpp', '<berth/berth.hpp>', False),
    ('client/cpp/include/berth/a.hpp', '<berth/berth.h>', False),
    ('client/cpp/include/berth/a.hpp', '"berth.hpp"', False),
    ('client/cpp/include/berth/a.hpp', '<future>', False),
    ('client/cpp/include/berth/a.hpp', '<unistd.h>', True),
    ('client/cpp/include/berth/a.hpp', '<cbor.h>', True),
    ('client/cpp/include/berth/a.hpp', '<berth/module.h>', True),
    ('client/cpp/include/berth/a.hpp', '"base/result.h"', True),
    ('client/src/a.c', '<berth/berth.hpp>', True),
    ('daemon/worker/a.cpp', '<berth/berth.hpp>', True),
    ('daemon/base/a.h', '<unistd.h>', False),
    ('daemon/base/a.h', '"control.h"', True),
    ('daemon/base/a.h', '"control/channel.h"', True),
    ('daemon/control/a.h', '"base/result.h"', False),
    ('daemon/control/a.h', '"supervisor/pool.h"', True),
    ('daemon/supervisor/a.cpp', '<uv.h>', False),
    ('daemon/supervisor/a.cpp', '"ring.h"', True),
    ('daemon/supervisor/a.cpp', '"../../proto/ring.h"', True),
    ('daemon/worker/a.cpp', '"ring.h"', False),
    ('daemon/worker/a.cpp', '<uv.h>', True),
    ('daemon/worker/a.cpp', '"supervisor/pool.h"', True),
    ('daemon/supervisor/lease_fsm.h', '<cstdint>', False),
    ('daemon/supervisor/lease_fsm.h', '<uv.h>', True),
    ('daemon/supervisor/lease_fsm.cpp', '<sys/socket.h>', True),
    ('daemon/supervisor/lease_fsm.cpp', '"control/channel.h"', True),
    ('daemon/worker/a.cpp', '<ffi.h>', True),
    ('daemon/worker/a.cpp', '<gelf.h>', True),
    ('daemon/worker/a.cpp', '"adapters/nimffi_adapter.h"', True),
    ('daemon/supervisor/a.cpp', '"adapters/nimffi_adapter.h"', True),
    ('daemon/adapters/a.cpp', '<ffi.h>', False),
    ('daemon/adapters/a.cpp', '"module.h"', False),
    ('daemon/adapters/a.cpp', '"base/result.h"', False),
    ('daemon/adapters/a.cpp', '"modules/cbor_check.h"', False),
    ('daemon/adapters/a.cpp', '"control/channel.h"', True),
    ('daemon/adapters/a.cpp', '"ring.h"', True),
    ('daemon/modules/a.c', '"module.h"', False),
    ('daemon/modules/a.c', '<berth/module.h>', False),
    ('daemon/modules/a.c', '"control/channel.h"', True),
]


def self_test():
    wrong = 0
    exist = ['proto/' + name for name in PROTO] + [
        'client/include/berth/berth.h', 'client/cpp/include/berth/berth.hpp', 'daemon/base/result.h',
        'daemon/control/channel.h', 'daemon/supervisor/pool.h', 'daemon/adapters/nimffi_adapter.h',
        'daemon/modules/cbor_check.h', 'client/src/base/raw_io.h', 'client/src/channel/baton.h',
        'client/src/delivery/reap.h', 'client/src/lease/machine.h', 'client/src/context/context.h',
        'client/src/connection/client.h', 'client/src/api/call.h']
    for path, include, violation in SELF_TEST:
        with tempfile.TemporaryDirectory() as root:
            for name in exist + [path]:
                os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
                with open(os.path.join(root, name), 'w', encoding='utf-8') as file:
                    file.write(f'#include {include}\n' if name == path else '')
            found = scan(root)
            if bool(found) != violation or not all(line.startswith(path + ':1: ') for line in found):
                wrong += 1
                print(f'self-test: {path} with {include}: {found or "nothing"} found')
    print(f'self-test: {len(SELF_TEST)} cases, {wrong} wrong')
    return 1 if wrong else 0


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.argv[1] == '--self-test':
        return self_test()
    if not os.path.isfile(os.path.join(sys.argv[1], 'proto', 'ring_abi.h')):
        sys.exit(f'{sys.argv[1]}: not the source directory')
    found = scan(sys.argv[1])
    print('\n'.join(found) if found else 'no violation')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
