#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The ptrace machine on real commands: every event once, in order, and no
trace of it in what the command does.  All of it as this user and, when root,
as nobody without any capability."""
import os, random, re, shutil, signal, subprocess, sys, tempfile, time

BUILD = os.environ.get('SKEP_BUILD', 'build')
DIR = tempfile.mkdtemp(prefix='skep-trace-')
os.chmod(DIR, 0o755)
OPEN = DIR + '/all'  # where nobody may write too
os.mkdir(OPEN)
os.chmod(OPEN, 0o777)
os.environ['PWD'] = '/'
for name in ('user-watch', 'user-victim'):
    shutil.copy(os.path.join(BUILD, 'tests/user', name), DIR)
WATCH, VICTIM = DIR + '/user-watch', DIR + '/user-victim'
NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups',
          '--bounding-set=-all', '--no-new-privs']
# Background jobs of a shell have it ignored, and with it whoever this starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
count = failed = 0
prefix = []
who = ''


def ok(good, what, *notes):
    global count, failed
    count += 1
    failed += not good
    print(f'{"ok" if good else "not ok"} {count} - {what}{who}')
    for note in () if good else notes:
        for line in str(note).splitlines()[:30]:
            print('#', line[:300])
    sys.stdout.flush()


def skip(what, why):
    global count
    count += 1
    print(f'ok {count} - {what}{who} # SKIP {why}')


class Run:
    """One watched command: lines of events, its output, its status."""
    def __init__(self, points, cmd, opts=(), timeout=60):
        out, self.path = tempfile.mkstemp(dir=DIR)
        self.p = subprocess.Popen(
            ['sh', '-c', f'exec "$@" 3>&{out}', 'sh', *prefix, WATCH, *opts, *points, '--', *cmd],
            pass_fds=[out], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd='/')
        os.close(out)
        self.timed_out = False
        if timeout:
            self.finish(timeout)

    def finish(self, timeout=60):
        try:
            self.out, self.err = self.p.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.timed_out = True
            self.p.kill()
            self.out, self.err = self.p.communicate()
        self.status = self.p.returncode
        with open(self.path) as f:
            self.lines = f.read().splitlines()
        os.unlink(self.path)
        self.events = [parse(line) for line in self.lines]
        return self


def parse(line):
    """(tgid, tid, comm, uid, event, rest)"""
    m = re.match(r'(\d+)/(\d+) (.*?) (\d+):\d+ (\S+/\S+|raw:\S+|sample) ?(.*)$', line)
    return m and (int(m[1]), int(m[2]), m[3], int(m[4]), m[5].split('/')[-1], m[6])


def plain(cmd):
    return subprocess.run([*prefix, *cmd], capture_output=True, text=True, cwd='/')


def children(pid):
    """All descendants of `pid`."""
    found = []
    try:
        for task in os.listdir(f'/proc/{pid}/task'):
            for child in open(f'/proc/{pid}/task/{task}/children').read().split():
                found += [int(child)] + children(child)
    except OSError:
        pass
    return found


def left():
    """Commands of ours that still are, zombies included."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            if DIR in open(f'/proc/{pid}/cmdline').read() and int(pid) != os.getpid():
                found.append((int(pid), open(f'/proc/{pid}/stat').read().split()[:3]))
        except OSError:
            pass
    return found


def strace(opts, cmd):
    with tempfile.NamedTemporaryFile(dir=OPEN, mode='r') as f:
        os.chmod(f.name, 0o666)
        plain(['strace', '-f', *opts, '-o', f.name, *cmd])
        return f.read()


def call_names():
    text = subprocess.run(['cc', '-E', '-dM', '-include', 'asm/unistd.h', '-x', 'c', '/dev/null'],
                          capture_output=True, text=True).stdout
    return {int(n): name for name, n in re.findall(r'#define __NR_(\w+) (\d+)', text)}


def test_against_strace(cmd, what):
    if not shutil.which('strace'):
        return skip(what, 'no strace')
    text = strace([], cmd)
    seen = {}
    for line in text.splitlines():
        m = re.match(r'(\d+) +(\w+)\(', line)
        if m and '<...' not in line:
            seen.setdefault(m[1], []).append(m[2])
    r = Run(['raw_syscalls/sys_enter'], cmd)
    names, mine = call_names(), {}
    for e in r.events:
        mine.setdefault(e[1], []).append(names.get(int(e[5]), e[5]))
    # When a child's end is told is a matter of chance, and with it these.
    chance = {'wait4', 'rt_sigreturn', 'restart_syscall'}
    a, b = (sorted([c for c in calls if c not in chance] for calls in x.values())
            for x in (seen, mine))
    ok(a == b and len(a) > 0, f'{what}: the same system calls as strace sees ({sum(map(len, a))})',
       f'strace {a}', f'skep   {b}', r.err)


def test_opens():
    r = Run(['syscalls/sys_enter_openat', 'syscalls/sys_exit_openat'], ['ls', '/'])
    p = plain(['ls', '/'])
    ok(r.out == p.stdout and r.status == 0, 'ls prints what it prints untraced')
    pairs = [e[4] for e in r.events]
    ok(pairs == ['sys_enter_openat', 'sys_exit_openat'] * (len(pairs) // 2) and len(pairs) >= 4,
       'each open has its return', r.lines)
    ok(r.events[-2][5] == '"/"' and int(r.events[-1][5].split(' = ')[1]) >= 3,
       'ls opens the root directory', r.lines[-2:])
    ok({e[2] for e in r.events} == {'ls'} and
       {e[3] for e in r.events} == {65534 if prefix else os.getuid()}, 'comm and uid', r.lines[:3])
    if shutil.which('strace'):
        s = strace(['-e', 'trace=openat'], ['ls', '/'])
        want = [f'"{m[0]}" {m[1]}' for m in re.findall(r'openat\(\w+, "(.*?)",.*\) = (-?\d+)', s)]
        got = [e[5] for e in r.events[::2]]
        ok([w.rsplit(' ', 1)[0] for w in want] == got, 'file names in the order of strace',
           want, got)


def test_shell():
    r = Run(['syscalls/sys_enter_exit_group', 'sched/sched_process_fork', 'sched/sched_process_exec',
             'sched/sched_process_exit', 'sched/sched_process_free'],
            ['sh', '-c', '/bin/true & wait; exit 3'])
    sh = r.events[0][0]
    got = [('sh' if e[1] == sh else 'child', e[2], e[4], e[5]) for e in r.events]
    true, shell = shutil.which('true', path='/bin'), shutil.which('sh')
    mine = [g[1:] for g in got if g[0] == 'sh']
    kid = [g[1:] for g in got if g[0] == 'child']
    ok(mine == [('sh', 'sched_process_exec', f'"{shell}"'), ('sh', 'sched_process_fork', ''),
                ('sh', 'sys_enter_exit_group', '231'), ('sh', 'sched_process_exit', ''),
                ('sh', 'sched_process_free', '')], 'events of the shell, in order', r.lines)
    ok(kid == [('true', 'sched_process_exec', '"/bin/true"'), ('true', 'sys_enter_exit_group', '231'),
               ('true', 'sched_process_exit', ''), ('true', 'sched_process_free', '')],
       'events of its child, in order', r.lines)
    names = [g[2] for g in got]
    ok(names.index('sched_process_fork') < got.index(('child', 'true', 'sched_process_exec',
       '"/bin/true"')), 'the fork is told before what the child does', r.lines)
    ok(r.status == 3, 'exit status', r.status)
    r = Run(['syscalls/sys_enter_openat'], ['sh', '-c', 'kill -TERM $$'])
    ok(r.status == 143, 'death by signal', r.status, r.err)


def test_threads():
    r = Run(['syscalls/sys_enter_openat'], [VICTIM, 'threads', '40'])
    got = [e for e in r.events if '/nonexistent/t' in e[5]]
    ok(sorted(e[5] for e in got) == sorted(f'"/nonexistent/t{i}"' for i in range(40)),
       'each of 40 threads is seen once', r.lines)
    ok(len({e[0] for e in got}) == 1 and len({e[1] for e in got}) == 40, 'one process, 40 threads',
       r.lines)
    r = Run(['sched/sched_process_exec', 'sched/sched_process_fork'], [VICTIM, 'vfork', '3'])
    ok([e[4] for e in r.events].count('sched_process_exec') == 4 and
       [e[4] for e in r.events].count('sched_process_fork') == 3 and r.status == 0,
       'vfork and exec', r.lines, r.status)
    r = Run(['sched/sched_process_exec', 'syscalls/sys_enter_execve', 'syscalls/sys_exit_execve',
             'syscalls/sys_enter_exit_group'], [VICTIM, 'thread-exec'])
    calls = [(e[0] == e[1], e[4], e[5].split(' ')[-1]) for e in r.events]
    ok(calls[3:] == [(False, 'sys_enter_execve', '"/bin/echo"'),
                     (True, 'sched_process_exec', '"/bin/echo"'),
                     (True, 'sys_exit_execve', '0'), (True, 'sys_enter_exit_group', '231')]
       and r.out == 'execed\n' and r.status == 0, 'exec by a thread that is not the leader',
       r.lines, r.out)


def test_storm():
    t = time.time()
    r = Run(['syscalls/sys_enter_openat', 'sched/sched_process_fork', 'sched/sched_process_exit'],
            [VICTIM, 'storm', '500'])
    names = [e[4] for e in r.events]
    ok(r.out == '500\n' and not r.timed_out, f'500 processes end ({time.time() - t:.1f} s)', r.out)
    ok(names.count('sched_process_fork') == 500 and names.count('sched_process_exit') == 501 and
       sum('storm' in e[5] for e in r.events) == 500, 'each is told once',
       {n: names.count(n) for n in names})
    forks = [i for i, e in enumerate(r.events) if e[4] == 'sched_process_fork']
    first = {}
    for i, e in enumerate(r.events):
        first.setdefault(e[0], i)
    ok(all(sum(f < i for f in forks) >= n for n, i in enumerate(sorted(first.values()))),
       'no child before its fork')


def test_signals():
    want = plain([VICTIM, 'signals'])
    for points in (['syscalls/sys_enter_openat'], ['raw_syscalls/sys_enter', 'raw_syscalls/sys_exit']):
        r = Run(points, [VICTIM, 'signals'])
        ok(r.out == want.stdout and r.status == 128 - want.returncode and not r.timed_out,
           f'signals and stops arrive as untraced ({points[0]})', want.stdout, r.out, r.status)


def test_failures():
    r = Run(['syscalls/sys_enter_openat'], ['no-such-command'])
    ok(r.status == 127 and 'no-such-command' in r.err, 'command not found', r.err)
    path = DIR + '/not-a-program'
    with open(path, 'w') as f:
        f.write('\0\1\2\3')
    os.chmod(path, 0o755)
    r = Run(['raw_syscalls/sys_enter', 'sched/sched_process_exec'], [path])
    ok(r.status == 127 and 'Exec format error' in r.err, 'a file that cannot be executed', r.err)
    ok([e[5] for e in r.events] == ['59'], 'only its execve is seen', r.lines)
    r = Run(['syscalls/sys_enter_nosuchcall'], ['true'])
    ok(r.status == 98 and 'sys_enter_nosuchcall' in r.err, 'no such system call', r.err)
    r = Run(['block/block_rq_issue'], ['true'])
    ok(r.status == 98 and 'kernel' in r.err, 'a tracepoint that only the kernel has', r.err)
    r = Run(['raw_syscalls/sys_enter', 'syscalls/sys_enter_getpid'], [VICTIM, 'int80'])
    ok(r.out == 'same pid\n' and r.err.count('another ABI') == 1, 'calls of i386 are told of once',
       r.out, r.err)


def test_affinity():
    want = plain([VICTIM, 'affinity', '1000'])
    r = Run(['syscalls/sys_enter_openat'], [VICTIM, 'affinity', '1000'], ['-q'])
    ok(r.out == want.stdout, 'the command sees its own CPU mask', want.stdout, r.out)


def test_raw():
    r = Run(['raw:sys_enter', 'raw:sys_exit', 'raw_syscalls/sys_enter'], ['true'])
    names = [e[4] for e in r.events]
    ok(names.count('raw:sys_enter') == names.count('sys_enter') > 10 and
       names.count('raw:sys_exit') == names.count('sys_enter') - 1, 'raw tracepoints')
    good = [e for e in r.events if e[4] == 'raw:sys_enter' and
            e[5].split()[1] == e[5].split()[3] and e[5].endswith('ip set')]
    ok(len(good) == names.count('raw:sys_enter') and 'BAD' not in ''.join(r.lines),
       'registers are read through the pointer, and nothing behind them', r.lines[:4])


def test_samples():
    r = Run([], [VICTIM, 'spin', '1000'], ['-F', '99'])
    n = sum(e[4] == 'sample' for e in r.events)
    # A busy machine takes its share of the second.
    ok(20 <= n <= 100, f'samples of a second at 99 Hz: {n}')
    ok(sum(int(e[5].split()[1]) >= 4 for e in r.events) >= n * 3 // 4, 'with their callers',
       r.lines[:5])
    r = Run([], ['sleep', '0.5'], ['-F', '99'])
    ok(len(r.events) < 5, 'a sleeping command is not sampled', len(r.events))


def test_kill(rounds):
    random.seed(7)
    # LeakSanitizer looks for leaks from a child of its own, which must not be shot.
    before = os.environ.get('ASAN_OPTIONS', '')
    os.environ['ASAN_OPTIONS'] = before + ':detect_leaks=0'
    hung = []
    for i in range(rounds):
        mode = random.choice((['storm', '20'], ['threads', '20'], ['vfork', '20'], ['loop'],
                              ['opens', '100000'], ['signals']))
        points = random.choice((['syscalls/sys_enter_openat', 'sched/sched_process_exit'],
                                ['raw_syscalls/sys_enter', 'raw_syscalls/sys_exit',
                                 'sched/sched_process_fork', 'sched/sched_process_free']))
        r = Run(points, [VICTIM, *mode], ['-F', '500'] if i % 3 == 0 else [], timeout=0)
        t = time.time()
        # The held child still is a copy of the tracer: also fair game.
        while not children(r.p.pid) and r.p.poll() is None and time.time() < t + 10:
            pass
        time.sleep(random.choice((0, 0.002, 0.03)) * random.random())
        for n in range(random.randrange(4)):
            found = children(r.p.pid)
            if found:
                try:
                    os.kill(random.choice(found), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(random.random() * 0.002)
        for pid in children(r.p.pid)[:1]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            r.p.wait(timeout=20)
        except subprocess.TimeoutExpired:
            hung.append((mode, points, left()))
        r.finish(1)
        if hung:
            break
    os.environ['ASAN_OPTIONS'] = before
    ok(not hung, f'{rounds} commands killed at random', hung)


def test_tracer_killed():
    r = Run(['syscalls/sys_enter_openat'], [VICTIM, 'loop'], timeout=0)
    time.sleep(0.3)
    kids = children(r.p.pid)
    r.p.kill()
    r.finish(10)
    time.sleep(0.2)
    ok(len(kids) == 1 and not left(), 'the command ends with a tracer that is killed', kids, left())
    r = Run(['syscalls/sys_enter_openat'], [VICTIM, 'daemon'])
    ok(r.status == 0 and 'left 1 task' in r.err and not left(),
       'what a command leaves behind is ended, and said', r.err, left())


def test_attach():
    p = subprocess.Popen([*prefix, VICTIM, 'loop'], stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    pid = p.pid
    r = Run(['syscalls/sys_enter_openat', 'syscalls/sys_exit_openat'], [], ['-p', str(pid)], timeout=0)
    time.sleep(0.5)
    tracer = [w for w in [r.p.pid] + children(r.p.pid)]
    status = open(f'/proc/{pid}/status').read()
    ok(int(re.search(r'TracerPid:\s+(\d+)', status)[1]) in tracer, 'a running process is attached to')
    os.kill(r.p.pid, signal.SIGINT)
    r.finish(10)
    names = [e[4] for e in r.events]
    ok(names.count('sys_enter_openat') > 20 and
       abs(names.count('sys_enter_openat') - names.count('sys_exit_openat')) <= 1,
       'its calls are seen', len(names), r.err)
    status = open(f'/proc/{pid}/status').read()
    ok(re.search(r'TracerPid:\s+0', status) and re.search(r'State:\s+[SR]', status),
       'it is let go', status)
    r = Run([], [], ['-p', str(pid), '-F', '99'], timeout=0)
    time.sleep(0.3)
    r.p.kill()
    r.finish(10)
    time.sleep(0.1)
    ok(p.poll() is None, 'it survives a tracer that is killed')
    p.terminate()
    out = p.communicate()[0]
    ok(out == 'done\n' and p.returncode == 5, 'and ends as ever', out, p.returncode)
    if prefix:
        r = Run(['syscalls/sys_enter_openat'], [], ['-p', '1'])
        ok(r.status == 98 and 'process 1' in r.err, 'a process of another user is refused', r.err)


def main():
    global prefix, who
    try:
        for prefix, who in (([], ''), (NOBODY, ' (as nobody)')):
            if prefix and (os.getuid() or not shutil.which('setpriv')):
                continue
            test_opens()
            test_shell()
            test_against_strace(['ls', '-l', '/'], 'ls -l /')
            test_against_strace(['sh', '-c', '/bin/true; /bin/echo x | /bin/cat'], 'a pipeline')
            test_threads()
            test_storm()
            test_signals()
            test_failures()
            test_affinity()
            test_raw()
            test_samples()
            test_tracer_killed()
            test_attach()
            test_kill(200 if not prefix else 50)
            ok(not left(), 'no process is left', left())
    finally:
        for pid, _ in left():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(DIR)
    print(f'1..{count}')
    return failed != 0


sys.exit(main())
