"""The texts of attention's kernels.

``real`` and a name's ending ``_T`` stand for the dtype, and ``<<...>>`` for what differs from one
kernel to another: masks, dropout, results.
"""

from __future__ import annotations

HEAD = """\
data = pointer_i64(data)
meta = pointer_i64(meta)
whole, batch, heads, queries, keys = meta[0], meta[1], meta[2], meta[3], meta[4]
width, depth, rows, columns = meta[5], meta[6], meta[7], meta[8]
scale, causal, inside = real(float_of_bits_f64(meta[9])), meta[10], meta[11]
<<operands>>
# A row lies line rows behind the one before, and hop rows behind that of the head before.
line, query_hop, key_hop = 1, queries, keys
if inside:
    line, query_hop, key_hop = heads, 1, 1
pieces = <<pieces>>
each = heads * pieces
first, last, jump = lane, batch * each, lanes
if not whole:
    first, last, jump = share(batch, lane, lanes) * each, share(batch, lane + 1, lanes) * each, 1"""

# What a lane has for itself, one behind the other: see attention_tiles.scratch.
FORWARD_SCRATCH = """\
greatest = pointer_T(tile + rows * columns * SIZE)
total = pointer_T(tile + rows * columns * SIZE + rows * SIZE)
turned_key = tile + (rows * columns + 2 * rows) * SIZE
kept = turned_key + (columns * width * SIZE if small else 0)"""
BACKWARD_SCRATCH = """\
slope = tile + rows * columns * SIZE
turned_key = slope + rows * columns * SIZE
turned_value = turned_key + (columns * width * SIZE if small else 0)
kept = turned_value + (columns * depth * SIZE if small else 0)"""

PLACE = """\
piece, head, sample = unit % pieces, unit // pieces % heads, unit // each
query_row = sample * heads * queries + head * query_hop
key_row = sample * heads * keys + head * key_hop"""

FORWARD = '''\
def NAME(data, meta, lane, lanes):
    """For each block of queries: tile by tile the powers of the scores, their sum, their mean."""
    <<head>>
    for unit in range(first, last, jump):
        <<place>>
        top = piece * rows
        n = min(rows, queries - top)
        query_row += top * line
        seen_keys = min(keys, top + n) if causal else keys
        for i in range(n):
            greatest[i], total[i] = -INF, 0
        for left in range(0, seen_keys, columns):
            m = min(columns, seen_keys - left)
            there = key_row + left * line
            key, apart, turn = k + there * width * SIZE, line * width, 1
            if small:
                turned_T(key, apart, m, width, turned_key)
                key, apart, turn = turned_key, m, 0
            product_T(
                gemm, 0, turn, n, m, width, q + query_row * width * SIZE, line * width,
                key, apart, tile, m, 0,
            )
            <<keep>>
            for i in range(n):
                row = tile + i * m * SIZE
                seen = min(max(top + i + 1 - left, 0), m) if causal else m
                best = scores_T(row, seen, <<masked>>scale)
                best = greatest_T(greatest[i], best)
                shift = real(0) if best == -INF else best
                more = powers_T(row, seen, m, shift)
                if left > 0:
                    fade = exp_T(greatest[i] - shift)
                    more += total[i] * fade
                    <<fade>>
                greatest[i], total[i] = best, more
                <<drop>>
            <<mean>>
        for i in range(n):
            place = query_row + i * line
            <<finish>>
'''

FADE = "scaled_T(y + (query_row + i * line) * depth * SIZE, depth, fade)"
DROP = "dropped_T(row, kept + i * m, seen, boost)"
MEAN = """\
product_T(
    gemm, 0, 0, n, depth, m, tile, m, v + there * depth * SIZE, line * depth,
    y + query_row * depth * SIZE, line * depth, 1 if left > 0 else 0,
)"""
FINISH_OUTPUT = """\
if seen_keys == 0:
    clear_T(y, place, 1, line, depth)
elif total[i] != 0:  # else there was nothing to attend to
    scaled_T(y + place * depth * SIZE, depth, real(1) / total[i])"""
FINISH_SUM = """\
if total[i] == 0 or greatest[i] == INF:
    sums[place] = real(-INF) if total[i] == 0 else real(INF)
else:
    sums[place] = greatest[i] + log_T(total[i])"""

BACKWARD = '''\
def NAME(data, meta, lane, lanes):
    """Tile by tile the weights again, the gradient of their scores, and what these make."""
    <<head>>
    for unit in range(first, last, jump):
        <<place>>
        <<bounds>>
        <<clear queries>>
        for left in range(begin, end, columns):
            m = min(columns, end - left)
            there = key_row + left * line
            key = k + there * width * SIZE
            tall_key, apart, turn = key, line * width, 1
            <<value>>
            if small:
                turned_T(key, line * width, m, width, turned_key)
                tall_key, apart, turn = turned_key, m, 0
                <<turned value>>
            done = 0
            for top in range(low, high, rows):
                n = min(rows, high - top)
                if causal and left >= top + n:
                    continue
                here = query_row + top * line
                query, cotangent = q + here * width * SIZE, dy + here * depth * SIZE
                product_T(
                    gemm, 0, turn, n, m, width, query, line * width, tall_key, apart, tile, m, 0
                )
                <<slope>>
                <<keep>>
                for i in range(n):
                    seen = min(max(top + i + 1 - left, 0), m) if causal else m
                    shift = lse[here + i * line]
                    shift = real(0) if shift == -INF else shift  # nothing to attend to
                    slopes_T(
                        tile + i * m * SIZE, slope + i * m * SIZE, seen, m, <<masked>><<kept>>
                        scale, shift, <<mean of row>>,
                    )
                <<make>>
                done = 1
            if not done:
                <<clear keys>>
'''

BOUNDS = {
    "both": "low, high, begin, end = 0, queries, 0, keys",
    "query": """\
low, begin, end = piece * rows, 0, keys
high = min(low + rows, queries)""",
    "key": """\
low, high, begin = 0, queries, piece * columns
end = min(begin + columns, keys)""",
}
PIECES = {
    "both": "1",
    "query": "(queries + rows - 1) // rows",
    "key": "(keys + columns - 1) // columns",
}
VALUE = "value, value_apart = v + there * depth * SIZE, line * depth"
TURNED_VALUE = """\
turned_T(value, line * depth, m, depth, turned_value)
value, value_apart = turned_value, m"""
SLOPE = """\
product_T(
    gemm, 0, turn, n, m, depth, cotangent, line * depth, value, value_apart, slope, m, 0
)"""
MAKE = {
    "query": """\
product_T(
    gemm, 0, 0, n, width, m, slope, m, key, line * width, d_query + here * width * SIZE,
    line * width, 1,
)""",
    "key": """\
product_T(
    gemm, 1, 0, m, width, n, slope, m, query, line * width, d_key + there * width * SIZE,
    line * width, done,
)""",
    "value": """\
product_T(
    gemm, 1, 0, m, depth, n, tile, m, cotangent, line * depth, d_value + there * depth * SIZE,
    line * depth, done,
)""",
}
CLEAR = {
    "query": "clear_T(d_query, query_row + low * line, high - low, line, width)",
    "key": "clear_T(d_key, there, m, line, width)",
    "value": "clear_T(d_value, there, m, line, depth)",
}

KEEP = """\
keep_tile(
    kept, rng, sample * heads + head, queries, keys, top, left, n, m, meta[16], meta[17]
)"""
MASKED = (
    "mask + (sample * meta[12] + head * meta[13] + (top + i) * meta[14] + left * meta[15])"
    " * MASK_SIZE, meta[15], "
)

# One row of a tile; SCORE is what the query has for key j, masked.
SCORES = '''\
@helper
def scores_T(row, seen, <<masked>>scale):
    """Scale and mask the scores of a row; the greatest of them."""
    s = pointer_T(row)
    best = real(-INF)
    <<loop>>
    return best
'''
SCORES_LOOP = """\
for j in range(seen):
    score = SCORE
    s[j] = score
    best = greatest_T(best, score)"""

POWERS = '''\
@helper
def powers_T(row, seen, wide, shift):
    """Exponentials of a row's scores, 0 behind what is seen; their sum."""
    s = pointer_T(row)
    total = real(0)
    for j in range(seen):
        score = s[j] - shift
        # Below LEAST a power is nothing beside the greatest, which is 1; none is a subnormal.
        power = exp_T(LEAST if score < LEAST else score)
        power = real(0) if score < LEAST else power
        s[j] = power
        total = fast_add(total, power)
    for j in range(seen, wide):
        s[j] = 0
    return total
'''

SLOPES = '''\
@helper
def slopes_T(row, into, seen, wide, <<masked>><<kept>>scale, shift, mean):
    """A row's weights in place of its scores, their scores' gradient in place of their own."""
    s, g = pointer_T(row), pointer_T(into)
    <<loop>>
    for j in range(seen, wide):
        s[j] = 0
        g[j] = 0
'''
SLOPES_LOOP = """\
for j in range(seen):
    score = SCORE - shift
    weight = exp_T(LEAST if score < LEAST else score)
    weight = real(0) if score < LEAST else weight
    <<store>>"""
STORE = """\
s[j] = weight
g[j] = weight * (g[j] - mean) * scale"""
STORE_KEPT = """\
more = boost if kept[j] else real(0)
s[j] = weight * more
g[j] = weight * (g[j] * more - mean) * scale"""

ROWS = '''\
@helper
def scaled_T(row, count, by):
    """Multiply a row by a number."""
    s = pointer_T(row)
    for j in range(count):
        s[j] *= by


@helper
def clear_T(address, first, count, line, wide):
    """Zeros in so many rows."""
    for i in range(count):
        row = pointer_T(address + (first + i * line) * wide * SIZE)
        for j in range(wide):
            row[j] = 0


@helper
def turned_T(matrix, apart, rows, columns, into):
    """A matrix of rows that lie apart, transposed."""
    t = pointer_T(into)
    for i in range(rows):
        row = pointer_T(matrix + i * apart * SIZE)
        for j in range(columns):
            t[j * rows + i] = row[j]


@helper
def product_T(gemm, turn_a, turn_b, rows, columns, inner, a, lda, b, ldb, c, ldc, beta):
    """C = op(A) op(B) + beta C, row-major: the column-major product with the factors exchanged."""
    if rows > 0 and columns > 0:
        gemm_T(
            gemm, turn_b, turn_a, columns, rows, inner,
            b, max(ldb, 1), a, max(lda, 1), c, max(ldc, 1), beta,
        )
'''

DROPPED = '''\
@helper
def dropped_T(row, kept, count, boost):
    """The weights that dropout leaves, scaled."""
    s, kept = pointer_T(row), pointer_u8(kept)
    for j in range(count):
        s[j] = s[j] * boost if kept[j] else real(0)
'''

KEEP_TILE = '''\
@helper
def keep_tile(kept, rng, pair, queries, keys, top, left, n, m, threshold, stream):
    """A tile of the dropout mask (batch, heads, queries, keys), drawn again."""
    if m == keys:
        start = (pair * queries + top) * keys
        draw_kept(start, start + n * m, rng, pointer_u8(kept - start), threshold, stream)
    else:
        for i in range(n):
            start = (pair * queries + top + i) * keys + left
            draw_kept(
                start, start + m, rng, pointer_u8(kept + i * m - start), threshold, stream
            )
'''
