"""Handing a short run to threads that still wait in machine code: a microsecond, where a queue of Python takes fifty.

Each worker has a *box* in memory. When it has nothing to do it `linger`s: for a moment it looks into its box, giving
way to other programs, before it sleeps. `share` computes a run together with the workers that linger, and alone where
nobody does. There is no lock; what may happen to a box is one exchange of its state, so that no run is lost:

    ASLEEP -> WAITING      the worker lingers
    WAITING -> info        a caller claims it; the address of a run's info stands for the run
    info -> info + 1       the worker is here: on a processor, now
    info -> WAITING        the caller does not wait any longer: the worker has no processor at the moment
    info + 1 -> info + 2   the caller has told what to do, and how many they are
    info + 1 -> WAITING    they are fewer than the caller wants at least
    info + 2 -> WAITING    the worker's part is done: the caller's memory is not used any more
    WAITING -> ASLEEP      nothing came, or the queue calls
"""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Callable
from string import Template

from ..abi import SPINS, THREADS
from ..jit.code import Code
from ..jit.target import Host, host

STATE, LEAVE, FUNCTION, TABLE, THREAD, BOX = 0, 1, 2, 3, 4, 16  # positions in a box, and its length: two cache lines
ASLEEP, WAITING = 0, 3
LINGER, PATIENCE = 200_000, 5_000  # nanoseconds that a worker waits for more, and a caller for a worker
LOOKS = 64  # into the box, between two looks at the clock


@functools.cache
def functions() -> tuple[Callable, Callable]:
    """``linger(box)`` and ``share(function, table, info, boxes, count, threads, least)``.

    The latter gives how many threads have run: at most ``threads``; fewer than ``least`` never, but none at all.
    """
    h, pointer, number = host(), ctypes.c_void_p, ctypes.c_int64
    kinds = {"linger": ctypes.CFUNCTYPE(None, pointer),
             "share": ctypes.CFUNCTYPE(number, *[pointer] * 4, *[number] * 3)}  # fmt: skip
    made = []
    for name, kind in kinds.items():
        code = Code(module_text(h), lambda: [module_text(h)], h, entry=name)
        made.append(kind(code.address))
        made[-1].code = code  # type: ignore[attr-defined]  # it stays as long as somebody is in the function
    return made[0], made[1]


def module_text(h: Host) -> str:
    """Both functions, in LLVM's language."""
    words: dict[str, object] = {
        "ASLEEP": ASLEEP,
        "BOX": BOX,
        "FUNCTION": FUNCTION,
        "LEAVE": LEAVE,
        "LINGER": LINGER,
        "LOOKS": LOOKS,
        "PATIENCE": PATIENCE,
        "SPINS": SPINS,
        "TABLE": TABLE,
        "THREAD": THREAD,
        "THREADS": THREADS,
        "WAITING": WAITING,
    }
    words |= {"triple": h.triple, "clock": time.CLOCK_MONOTONIC, "pause": "", "declared_pause": ""}
    if h.x86:
        words |= {"pause": f"call void {PAUSE}", "declared_pause": f"declare void {PAUSE}"}
    return Template("".join([DECLARATIONS, CLOCK, EXCHANGE, BOX_OF, LINGER_CODE, SHARE_CODE])).substitute(words)


# ---- the functions; $ stands before what `module_text` fills in ------------------------------------------------------

PAUSE = "@llvm.x86.sse2.pause()"  # of a processor that waits

DECLARATIONS = """
target triple = "$triple"
declare i32 @sched_yield()
declare i32 @clock_gettime(i32, ptr)
$declared_pause

"""

CLOCK = """\
define internal i64 @clock() {  ; nanoseconds
  %time = alloca [2 x i64]
  call i32 @clock_gettime(i32 $clock, ptr %time)
  %place = getelementptr i64, ptr %time, i64 1
  %seconds = load i64, ptr %time
  %rest = load i64, ptr %place
  %whole = mul i64 %seconds, 1000000000
  %all = add i64 %whole, %rest
  ret i64 %all
}

"""

EXCHANGE = """\
define internal i1 @exchange(ptr %box, i64 %old, i64 %new) {  ; whether the state was old, and now is new
  %pair = cmpxchg ptr %box, i64 %old, i64 %new acq_rel acquire
  %done = extractvalue {i64, i1} %pair, 1
  ret i1 %done
}

"""

BOX_OF = """\
define internal ptr @box_of(ptr %boxes, i64 %i) {
  %at = mul i64 %i, $BOX
  %box = getelementptr i64, ptr %boxes, i64 %at
  ret ptr %box
}

"""

LINGER_CODE = """\
define void @linger(ptr %box) {
  %leave = getelementptr i64, ptr %box, i64 $LEAVE
  %functions = getelementptr i64, ptr %box, i64 $FUNCTION
  %tables = getelementptr i64, ptr %box, i64 $TABLE
  %threads = getelementptr i64, ptr %box, i64 $THREAD
  store atomic i64 $WAITING, ptr %box release, align 8
  br label %begin
begin:  ; the time, which begins anew behind each part of a run
  %start = call i64 @clock()
  br label %turn
turn:
  br label %look
look:
  %looks = phi i64 [0, %turn], [%more, %again]
  %state = load atomic i64, ptr %box acquire, align 8
  %bits = and i64 %state, 3
  switch i64 %bits, label %wait [i64 0, label %claimed  i64 2, label %work]
claimed:
  %here = add i64 %state, 1
  call i1 @exchange(ptr %box, i64 %state, i64 %here)
  br label %wait
work:
  %function = load ptr, ptr %functions
  %table = load ptr, ptr %tables
  %thread = load i64, ptr %threads
  %address = sub i64 %state, 2
  %info = inttoptr i64 %address to ptr
  call void %function(ptr %table, ptr %info, i64 %thread)
  store atomic i64 $WAITING, ptr %box release, align 8
  br label %begin
wait:
  $pause
  %asked = load atomic i64, ptr %leave acquire, align 8
  %called = icmp ne i64 %asked, 0
  br i1 %called, label %go, label %again
again:
  %more = add i64 %looks, 1
  %on = icmp slt i64 %more, $LOOKS
  br i1 %on, label %look, label %yield
yield:
  call i32 @sched_yield()
  %now = call i64 @clock()
  %waited = sub i64 %now, %start
  %long = icmp sgt i64 %waited, $LINGER
  br i1 %long, label %go, label %turn
go:
  %gone = call i1 @exchange(ptr %box, i64 $WAITING, i64 $ASLEEP)
  br i1 %gone, label %out, label %turn  ; else a run has claimed the box
out:
  ret void
}

"""

SHARE_CODE = """\
define i64 @share(ptr %function, ptr %table, ptr %info, ptr %boxes, i64 %count, i64 %threads, i64 %least) {
  %claim = ptrtoint ptr %info to i64
  %here = add i64 %claim, 1
  %go = add i64 %claim, 2
  %start = call i64 @clock()
  br label %claims
claims:  ; boxes, until there are enough
  %i = phi i64 [0, %0], [%i.next, %try]
  %claimed = phi i64 [1, %0], [%claimed.next, %try]
  %i.on = icmp slt i64 %i, %count
  %few = icmp slt i64 %claimed, %threads
  %i.more = and i1 %i.on, %few
  br i1 %i.more, label %try, label %answers
try:
  %i.box = call ptr @box_of(ptr %boxes, i64 %i)
  %got = call i1 @exchange(ptr %i.box, i64 $WAITING, i64 %claim)
  %got.number = zext i1 %got to i64
  %claimed.next = add i64 %claimed, %got.number
  %i.next = add i64 %i, 1
  br label %claims

answers:  ; who is here is told what to do
  %j = phi i64 [0, %claims], [%j.next, %answered]
  %have = phi i64 [1, %claims], [%have.next, %answered]
  %j.on = icmp slt i64 %j, %i
  br i1 %j.on, label %ask, label %known
ask:
  %j.box = call ptr @box_of(ptr %boxes, i64 %j)
  br label %answer
answer:
  %j.state = load atomic i64, ptr %j.box acquire, align 8
  %is.here = icmp eq i64 %j.state, %here
  br i1 %is.here, label %tell, label %not.here
not.here:
  %open = icmp eq i64 %j.state, %claim
  br i1 %open, label %patience, label %answered  ; else the box is none of this run's
patience:
  $pause
  %now = call i64 @clock()
  %waited = sub i64 %now, %start
  %over = icmp sgt i64 %waited, $PATIENCE
  br i1 %over, label %withdraw, label %answer
withdraw:
  %withdrawn = call i1 @exchange(ptr %j.box, i64 %claim, i64 $WAITING)
  br i1 %withdrawn, label %answered, label %answer
tell:
  %functions = getelementptr i64, ptr %j.box, i64 $FUNCTION
  %tables = getelementptr i64, ptr %j.box, i64 $TABLE
  %numbers = getelementptr i64, ptr %j.box, i64 $THREAD
  store ptr %function, ptr %functions
  store ptr %table, ptr %tables
  store i64 %have, ptr %numbers
  br label %answered
answered:
  %one = phi i64 [0, %not.here], [0, %withdraw], [1, %tell]
  %have.next = add i64 %have, %one
  %j.next = add i64 %j, 1
  br label %answers

known:  ; how many they are
  %enough = icmp sge i64 %have, %least
  %all = select i1 %enough, i64 %have, i64 %threads
  %place = getelementptr i64, ptr %info, i64 $THREADS
  store i64 %all, ptr %place
  %then = select i1 %enough, i64 %go, i64 $WAITING
  br label %starts
starts:
  %k = phi i64 [0, %known], [%k.next, %begin]
  %k.on = icmp slt i64 %k, %i
  br i1 %k.on, label %begin, label %begun
begin:
  %k.box = call ptr @box_of(ptr %boxes, i64 %k)
  call i1 @exchange(ptr %k.box, i64 %here, i64 %then)
  %k.next = add i64 %k, 1
  br label %starts
begun:
  br i1 %enough, label %compute, label %too.few
too.few:
  ret i64 0

compute:
  call void %function(ptr %table, ptr %info, i64 0)
  br label %parts
parts:  ; the others use the caller's memory until theirs are done
  %l = phi i64 [0, %compute], [%l.next, %done]
  %l.on = icmp slt i64 %l, %i
  br i1 %l.on, label %part, label %end
part:
  %l.box = call ptr @box_of(ptr %boxes, i64 %l)
  br label %check
check:
  %spins = phi i64 [0, %part], [%spins.next, %spin], [%spins.next, %yield]
  %l.state = load atomic i64, ptr %l.box acquire, align 8
  %busy = icmp eq i64 %l.state, %go
  br i1 %busy, label %spin, label %done
spin:
  $pause
  %spins.next = add i64 %spins, 1
  %long = icmp sgt i64 %spins, $SPINS
  br i1 %long, label %yield, label %check
yield:
  call i32 @sched_yield()
  br label %check
done:
  %l.next = add i64 %l, 1
  br label %parts
end:
  ret i64 %have
}
"""
