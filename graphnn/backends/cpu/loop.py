# mypy: ignore-errors
"""The executor's loop: epochs, batches, steps, barriers, without coming back to Python.

These functions are compiled from their source, like every kernel, and run by each thread at once
(single program, multiple data). All they know stands in the job, a table of int64 whose fields are
numbered below.
"""

from graphnn.backends.cpu.intrinsics import (
    atomic_add,
    atomic_load,
    atomic_store,
    call_clock,
    call_kernel,
    call_syscall,
    call_yield,
    copy_bytes,
    pointer_f32,
    pointer_f64,
    pointer_i64,
    share,
)
from graphnn.ops.random.generator import mulhilo

# The fields of a job.
LANES = 0
TABLE, STEPS = 1, 2  # the plan for whole batches
TAIL_TABLE, TAIL_STEPS = 3, 4  # the plan for the last, smaller batch
CONTROL = 5  # address of the 32-bit words below
EPOCHS, SAMPLES, BATCH = 6, 7, 8
ORDER = 9  # address of the shuffled order, 0: as it is
GATHERS, GATHER_COUNT = 10, 11  # rows: source, target, bytes a sample
SUMS, SUM_COUNT = 12, 13  # address of float64 (epochs, all elements), number of sources
SUM_SOURCES = 14  # rows: address, bytes an element, elements, whether they are means
SEED, FIRST_EPOCH = 15, 16
PROGRESS = 17  # address of int64: batches done
SPIN, SYSCALL, FUTEX, YIELD = 18, 19, 20, 21
CLOCK, NOW = 22, 23  # address of float64 (epochs,): seconds; of the system's clock_gettime
APART, TAIL_APART = 24, 25  # bytes from the table of one thread to that of the next
BEGIN, UNTIL = 26, 27  # batches of all epochs: how many are done, and with how many to return
ORDERED = 28  # whether the order is that of the epoch in whose middle a run begins
MEET = 29  # whether other threads than the first write what is added up over an epoch
FIELDS = 30

# The fields of a loop in a plan, one for each thread.
COUNT_TO, TURN, FIRST_ROW, ROW_BEHIND, PATCHES, PATCH_COUNT = 0, 1, 2, 3, 4, 5
LOOP_FIELDS = 6
# The fields of a patch: where the address stands, and what is to stand there.
WHERE, BASE, STRIDE, PHASE, MASK = 0, 1, 2, 3, 4
PATCH_FIELDS = 5

# The 32-bit words of control, by their offset in bytes. Each pair that different threads write
# often stands on a cache line of its own.
COUNT, GENERATION, WAITERS, STOP, GO = 0, 64, 128, 192, 256
MOMENT = 320  # seconds and nanoseconds, int64 each
CONTROL_BYTES = 384

MONOTONIC = 1  # CLOCK_MONOTONIC of Linux

FUTEX_WAIT, FUTEX_WAKE = 128, 129  # private to the process


def execute(job, thread, threads):
    """Run batches of a job as one of ``threads`` threads; the number of batches done.

    A run begins where the last one returned, at a batch or between two epochs: what is computed is
    the same, whatever the pieces.
    """
    job = pointer_i64(job)
    samples, batch = job[SAMPLES], job[BATCH]
    batches = (samples + batch - 1) // batch
    control = job[CONTROL]
    progress = pointer_i64(job[PROGRESS])
    done, until = job[BEGIN], min(job[UNTIL], job[EPOCHS] * batches)
    epoch, b = done // batches, done % batches
    ordered = job[ORDERED] != 0
    since = clock(job) if thread == 0 else 0.0
    while done < until:
        if b == 0 or not ordered:
            ordered = True
            if job[ORDER] != 0:
                if thread == 0:
                    shuffle(job[ORDER], samples, job[SEED], job[FIRST_EPOCH] + epoch)
                wait(job, control, threads)
        size = min(batch, samples - b * batch)
        gather(job, b * batch, size, thread, threads)
        if size == batch:
            run(job, job[TABLE] + thread * job[APART], job[STEPS], thread, threads)
        else:
            tail = job[TAIL_TABLE] + thread * job[TAIL_APART]
            run(job, tail, job[TAIL_STEPS], thread, threads)
        done += 1
        if job[MEET] != 0:
            wait(job, control, threads)
        if thread == 0:
            accumulate(job, epoch, size)
            if b == batches - 1 or done == until or atomic_load(control + STOP) != 0:
                since = count_seconds(job, epoch, since)  # before progress tells of them
            progress[0] = done
            atomic_store(control + GO, 1 - atomic_load(control + STOP))
        wait(job, control, threads)
        if atomic_load(control + GO) == 0:
            return done
        b += 1
        if b == batches:
            b, epoch = 0, epoch + 1
    return done


def clock(job):
    """The time in seconds; 0 on a system without such a clock."""
    if job[CLOCK] == 0 or job[NOW] == 0:
        return 0.0
    moment = job[CONTROL] + MOMENT
    call_clock(job[NOW], MONOTONIC, moment)
    words = pointer_i64(moment)
    return words[0] + words[1] * 1e-9


def count_seconds(job, epoch, since):
    """Add the time that has passed to the epoch's; the time now."""
    now = clock(job)
    if job[CLOCK] != 0:
        pointer_f64(job[CLOCK])[epoch] += now - since
    return now


def run(job, table, steps, thread, threads):
    """One pass over a plan: rows of (kernel, data, meta, wait before).

    A row without a kernel is an end of a loop: (0, the loop, whether it is the lower end, wait).
    """
    rows = pointer_i64(table)
    lanes = job[LANES]
    first, last = share(lanes, thread, threads), share(lanes, thread + 1, threads)
    i = 0
    while i < steps:
        if rows[4 * i + 3] != 0:
            wait(job, job[CONTROL], threads)
        if rows[4 * i] != 0:
            for lane in range(first, last):
                call_kernel(rows[4 * i], rows[4 * i + 1], rows[4 * i + 2], lane, lanes)
            i += 1
        else:
            i = turn(rows[4 * i + 1], rows[4 * i + 2])


def turn(state, ended):
    """Begin a loop, or its next iteration; the row at which to go on."""
    state = pointer_i64(state)
    state[TURN] = state[TURN] + 1 if ended != 0 else 0
    if state[TURN] >= state[COUNT_TO]:
        return state[ROW_BEHIND]
    patches = pointer_i64(state[PATCHES])
    for i in range(state[PATCH_COUNT]):
        p = i * PATCH_FIELDS
        place = (state[TURN] + patches[p + PHASE]) & patches[p + MASK]
        pointer_i64(patches[p + WHERE])[0] = patches[p + BASE] + place * patches[p + STRIDE]
    return state[FIRST_ROW]


def gather(job, start, size, thread, threads):
    """Copy this thread's rows of the batch into the arena."""
    lanes = job[LANES]
    first = share(size, share(lanes, thread, threads), lanes)
    last = share(size, share(lanes, thread + 1, threads), lanes)
    table = pointer_i64(job[GATHERS])
    for g in range(job[GATHER_COUNT]):
        source, target, width = table[3 * g], table[3 * g + 1], table[3 * g + 2]
        if job[ORDER] == 0:
            copy_bytes(
                target + first * width, source + (start + first) * width, (last - first) * width
            )
        else:
            order = pointer_i64(job[ORDER])
            for i in range(first, last):
                copy_bytes(target + i * width, source + order[start + i] * width, width)


def accumulate(job, epoch, size):
    """Add what the batch brought to the epoch's sums; its means count for ``size`` samples."""
    table = pointer_i64(job[SUM_SOURCES])
    width = 0
    for i in range(job[SUM_COUNT]):
        width += table[4 * i + 2]
    sums = pointer_f64(job[SUMS] + 8 * epoch * width)
    at = 0
    for i in range(job[SUM_COUNT]):
        source, nbytes, count = table[4 * i], table[4 * i + 1], table[4 * i + 2]
        times = size if table[4 * i + 3] != 0 else 1
        for j in range(count):
            value = pointer_f32(source)[j] * 1.0 if nbytes == 4 else pointer_f64(source)[j]
            sums[at + j] += value * times
        at += count


def wait(job, control, threads):
    """A barrier: spin for a moment, then sleep until the last thread arrives."""
    if threads == 1:
        return
    generation = atomic_load(control + GENERATION)
    if atomic_add(control + COUNT, 1) == threads - 1:
        atomic_store(control + COUNT, 0)
        atomic_add(control + GENERATION, 1)
        if atomic_load(control + WAITERS) != 0 and job[SYSCALL] != 0:
            word = control + GENERATION
            call_syscall(job[SYSCALL], job[FUTEX], word, FUTEX_WAKE, 2147483647, 0, 0)
        return
    for _ in range(job[SPIN]):
        if atomic_load(control + GENERATION) != generation:
            return
    atomic_add(control + WAITERS, 1)
    while atomic_load(control + GENERATION) == generation:
        if job[SYSCALL] != 0:
            word = control + GENERATION
            call_syscall(job[SYSCALL], job[FUTEX], word, FUTEX_WAIT, generation, 0, 0)
        else:
            call_yield(job[YIELD])
    atomic_add(control + WAITERS, -1)


def shuffle(order, samples, seed, epoch):
    """Fisher-Yates: a fresh order for each epoch, by Philox from the seed and the epoch.

    Durstenfeld, *Algorithm 235* (CACM 1964). A 32-bit word times the range, shifted: the bias is
    below range / 2^32.
    """
    order = pointer_i64(order)
    for i in range(samples):
        order[i] = i
    for i in range(samples - 1, 0, -1):
        # One word of one counter a swap: counters are free, and any backend can draw the same.
        c0, c1, c2, c3 = i & 0xFFFFFFFF, i >> 32, epoch & 0xFFFFFFFF, 0x53485546
        k0, k1 = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
        for _ in range(10):
            h0, l0 = mulhilo(0xD2511F53, c0)
            h1, l1 = mulhilo(0xCD9E8D57, c2)
            c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
            k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
            k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
        j = (c0 * (i + 1)) >> 32
        order[i], order[j] = order[j], order[i]


def shuffle_alone(asked, thread, threads):
    """The order of one epoch: (where to write it, samples, seed, epoch)."""
    asked = pointer_i64(asked)
    shuffle(asked[0], asked[1], asked[2], asked[3])
    return 0
