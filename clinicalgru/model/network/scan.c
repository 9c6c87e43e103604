/* A GRU layer whose state decays over time gaps, forward and backward, in float32 and on one thread.
 *
 * The equations are those of recurrence.gru_scan; here the projection of the inputs and the decay are computed in the
 * same pass, step by step, while the rows are in the cache. It keeps no state and allocates nothing: every array is the
 * caller's, so that threads may call it at the same time. Sums run in one order, whatever the batch.
 *
 * A row is one time step of one stay, in the order of PyTorch's PackedSequence. hidden is a multiple of LANES. The
 * gradients of weights are transposed. Names: r, z reset and update gate; n candidate; u = W_n h' + b_n.
 */

#if defined(__AVX512F__)
#define LANES 16
#define COLUMNS 4
#elif defined(__AVX2__)
#define LANES 8
#define COLUMNS 2
#else
#define LANES 4
#define COLUMNS 4
#endif
#define ROWS 6     /* ROWS x COLUMNS sums fit in the registers */
#define BLOCK 48   /* rows of a step that are computed together */
#define CHUNK 128  /* rows whose gradients of weights are summed together, at least */
#define MAX_EXPONENT 80.0f /* as of layers.Decay */

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef unsigned bits __attribute__((vector_size(4 * LANES)));
typedef vec loose __attribute__((aligned(4), may_alias));
#define AT(pointer) (*(loose *)(pointer))
#define INLINE static inline __attribute__((always_inline))

int gru_lanes(void) { return LANES; }
int gru_source(void) { return SOURCE; } /* a checksum of this file, by which the loader knows its version */

INLINE vec filled(float x) { return x - (vec){0}; }
INLINE vec choose(bits mask, vec a, vec b) { return (vec)((mask & (bits)a) | (~mask & (bits)b)); }
INLINE vec at_least(vec x, float low) { return choose((bits)(x < low), filled(low), x); }
INLINE vec at_most(vec x, float high) { return choose((bits)(x > high), filled(high), x); }

/* exp for -87 <= x <= 88: 2^k e^f with |f| <= log(2) / 2, the polynomial of Cephes' expf */
INLINE vec exponential(vec x) {
    vec k = x * 1.44269504088896341f + 12582912.0f; /* the last bits of the sum are those of the nearest k */
    bits power = ((bits)k + 127) << 23;
    k -= 12582912.0f;
    x -= k * 0.693359375f;
    x -= k * -2.12194440e-4f;
    vec p = filled(1.9875691500e-4f);
    p = p * x + 1.3981999507e-3f;
    p = p * x + 8.3334519073e-3f;
    p = p * x + 4.1665795894e-2f;
    p = p * x + 1.6666665459e-1f;
    p = p * x + 5.0000001201e-1f;
    return (p * x * x + x + 1.0f) * (vec)power;
}

INLINE vec sigmoid(vec x) { return 1.0f / (1.0f + exponential(at_most(at_least(-x, -87.0f), 88.0f))); }
INLINE vec hyperbolic_tangent(vec x) { return 2.0f * sigmoid(2.0f * x) - 1.0f; }

/* One tile of c = start + a b: a has mr rows, b has nv vectors of columns; mr and nv are constants when inlined */
INLINE void tile(const int mr, const int nv, long depth, const float *a, long row, long column, const float *b, long ldb,
                 const float *start, long ldstart, float *c, long ldc) {
    vec sum[ROWS][COLUMNS], right[COLUMNS];
    for (int i = 0; i < mr; i++)
        for (int j = 0; j < nv; j++) sum[i][j] = filled(0.0f);
    for (long k = 0; k < depth; k++, a += column, b += ldb) {
        for (int j = 0; j < nv; j++) right[j] = AT(b + j * LANES);
        for (int i = 0; i < mr; i++)
            for (int j = 0; j < nv; j++) sum[i][j] += a[i * row] * right[j];
    }
    for (int i = 0; i < mr; i++)
        for (int j = 0; j < nv; j++) AT(c + i * ldc + j * LANES) = sum[i][j] + AT(start + i * ldstart + j * LANES);
}

#define TILE(mr, nv) \
    case (mr) * 8 + (nv): tile(mr, nv, depth, p, row, column, b + j, ldb, q, ldstart, o, ldc); break;
#if COLUMNS == 4
#define TILES(mr) TILE(mr, 1) TILE(mr, 2) TILE(mr, 3) TILE(mr, 4)
#else
#define TILES(mr) TILE(mr, 1) TILE(mr, 2)
#endif

/* c (m, n) = start + a b. a[i, k] is at a[i * row + k * column]; ldstart 0 repeats one row; n is a multiple of LANES */
static void product(long m, long n, long depth, const float *a, long row, long column, const float *b, long ldb,
                    const float *start, long ldstart, float *c, long ldc) {
    const long vectors = n / LANES;
    long parts = (vectors + COLUMNS - 1) / COLUMNS, nv;
    for (long v = 0; v < vectors; v += nv, parts--) {
        const long j = v * LANES;
        long blocks = (m + ROWS - 1) / ROWS, mr;
        nv = (vectors - v + parts - 1) / parts;
        for (long i = 0; i < m; i += mr, blocks--) {
            const float *p = a + i * row, *q = start + i * ldstart + j;
            float *o = c + i * ldc + j;
            mr = (m - i + blocks - 1) / blocks;
            switch (mr * 8 + nv) { TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6) }
        }
    }
}

/* states (row, hidden); gates (row, 4 hidden) r, z, u, n and decay (row, hidden) if `save`, else they are not touched.
 * weight_x (inputs, 3 hidden), weight_h (hidden, 3 hidden) and weight_gap (gaps, hidden) are transposed; bias_x holds
 * that of r and z from both, bias_n that of u. before (sizes[0], hidden) is the state before the first time step; 0 for
 * none. scratch: BLOCK * (6 hidden + 2 LANES) numbers. */
void gru_forward(long steps, const long *sizes, long inputs, long gaps, long hidden, int save, const float *x,
                 const float *delta, const float *weight_x, const float *bias_x, const float *weight_h,
                 const float *bias_n, const float *weight_gap, const float *bias_gap, const float *before, float *states,
                 float *gates, float *decay, float *scratch) {
    const long h3 = 3 * hidden, ld = 4 * hidden + LANES, ldh = hidden + LANES;
    float *const decayed = scratch + BLOCK * ld, *const unsaved = decayed + BLOCK * ldh;
    for (long step = 0; step < steps; step++) {
        float *const step_states = states;
        for (long first = 0, m; first < sizes[step]; first += m) {
            m = sizes[step] - first < BLOCK ? sizes[step] - first : BLOCK;
            float *const d = save ? decay : unsaved;
            product(m, hidden, gaps, delta, gaps, 1, weight_gap, hidden, bias_gap, 0, d, hidden);
            for (long i = 0; i < m; i++)
                for (long j = 0; j < hidden; j += LANES) {
                    vec e = AT(d + i * hidden + j);
                    const bits below = (bits)(e < 0.0f);
                    e = exponential(at_most(at_least(e, -MAX_EXPONENT), 0.0f));
                    /* 1 only where the exponent was at its upper limit: the backward pass reads it off */
                    e = choose(below, at_most(e, 0x1.fffffep-1f), e);
                    AT(d + i * hidden + j) = e;
                    AT(decayed + i * ldh + j) = before ? e * AT(before + (first + i) * hidden + j) : filled(0.0f);
                }
            product(m, h3, inputs, x, inputs, 1, weight_x, h3, bias_x, 0, scratch, ld);
            product(m, 2 * hidden, hidden, decayed, ldh, 1, weight_h, h3, scratch, ld, scratch, ld);
            product(m, hidden, hidden, decayed, ldh, 1, weight_h + 2 * hidden, h3, bias_n, 0, scratch + h3, ld);
            for (long i = 0; i < m; i++)
                for (long j = 0; j < hidden; j += LANES) {
                    const float *const pre = scratch + i * ld + j;
                    const vec r = sigmoid(AT(pre)), z = sigmoid(AT(pre + hidden)), u = AT(pre + h3);
                    const vec n = hyperbolic_tangent(AT(pre + 2 * hidden) + r * u);
                    AT(states + i * hidden + j) = n + z * (AT(decayed + i * ldh + j) - n);
                    if (save) {
                        float *const g = gates + i * 4 * hidden + j;
                        AT(g) = r, AT(g + hidden) = z, AT(g + 2 * hidden) = u, AT(g + h3) = n;
                    }
                }
            x += m * inputs, delta += m * gaps, states += m * hidden;
            if (save) gates += m * 4 * hidden, decay += m * hidden;
        }
        before = step_states;
    }
}

/* What the backward pass sums over rows. f (row, 4 hidden) holds the gradients of u, r, z and n before their functions,
 * and e (row, hidden) that of the exponent of the decay. All are added to. */
static void add_weights(long rows, long inputs, long gaps, long hidden, const float *x, const float *delta,
                        const float *decayed, const float *f, const float *e, float *grad_weight_x,
                        float *grad_weight_h, float *grad_weight_gap, float *grad_bias, float *grad_bias_gap) {
    const long h3 = 3 * hidden, ld = 4 * hidden + LANES, ldh = hidden + LANES;
    product(inputs, h3, rows, x, 1, inputs, f + hidden, ld, grad_weight_x, h3, grad_weight_x, h3);
    product(hidden, h3, rows, decayed, 1, ldh, f, ld, grad_weight_h, h3, grad_weight_h, h3);
    product(gaps, hidden, rows, delta, 1, gaps, e, ldh, grad_weight_gap, hidden, grad_weight_gap, hidden);
    for (long j = 0; j < 5 * hidden; j += LANES) {
        const float *const from = j < 4 * hidden ? f + j : e + j - 4 * hidden;
        float *const to = j < 4 * hidden ? grad_bias + j : grad_bias_gap + j - 4 * hidden;
        vec sum = filled(0.0f);
        for (long i = 0; i < rows; i++) sum += AT(from + i * (j < 4 * hidden ? ld : ldh));
        AT(to) += sum;
    }
}

/* Gradients from grad (row, hidden), that of the states. grad_x (row, wide_x) and grad_delta (row, wide_gap) are left
 * out where the pointer is 0; wide_x and wide_gap are multiples of LANES. weight_x (3 hidden, wide_x) and weight_gap
 * (hidden, wide_gap) are padded, weight_h (3 hidden, hidden) has its gates in the order u, r, z, as has grad_weight_h.
 * grad_bias (4 hidden) is that of u, r, z, n. Gradients of weights and biases, and carry (sizes[0], hidden), are 0 at
 * first. scratch: (CHUNK + sizes[0]) * (7 hidden + 3 LANES) numbers. */
void gru_backward(long steps, const long *sizes, long inputs, long gaps, long hidden, long wide_x, long wide_gap,
                  const float *x, const float *delta, const float *weight_x, const float *weight_h,
                  const float *weight_gap, const float *states, const float *gates, const float *decay,
                  const float *grad, float *grad_x, float *grad_delta, float *grad_weight_x, float *grad_weight_h,
                  float *grad_weight_gap, float *grad_bias, float *grad_bias_gap, const float *zeros, float *carry,
                  float *scratch) {
    const long h3 = 3 * hidden, ld = 4 * hidden + LANES, ldh = hidden + LANES, most = CHUNK + (steps ? sizes[0] : 0);
    float *const all_f = scratch, *const all_e = scratch + most * ld, *const all_h = all_e + most * ldh;
    float *const back = all_h + most * ldh;
    long begin = 0, end;
    for (long step = 0; step < steps; step++) begin += sizes[step];
    end = begin;
    for (long step = steps - 1; step >= 0; step--) {
        const long m = sizes[step];
        begin -= m;
        /* the chunk fills from its end, so that its rows stay in order */
        const long place = most - (end - begin);
        float *const f = all_f + place * ld, *const e = all_e + place * ldh, *const decayed = all_h + place * ldh;
        const float *const before = step ? states + (begin - sizes[step - 1]) * hidden : zeros;
        const long ldbefore = step ? hidden : 0;
        for (long i = 0; i < m; i++)
            for (long j = 0; j < hidden; j += LANES) {
                const float *const gate = gates + (begin + i) * 4 * hidden + j;
                float *const to = f + i * ld + j;
                const vec r = AT(gate), z = AT(gate + hidden), u = AT(gate + 2 * hidden), n = AT(gate + h3);
                const vec h = AT(decay + (begin + i) * hidden + j) * AT(before + i * ldbefore + j);
                const vec g = AT(grad + (begin + i) * hidden + j) + AT(carry + i * hidden + j);
                const vec by_n = g * (1.0f - z) * (1.0f - n * n), by_u = by_n * r;
                AT(to) = by_u;
                AT(to + hidden) = by_u * u * (1.0f - r);
                AT(to + 2 * hidden) = g * (h - n) * z * (1.0f - z);
                AT(to + h3) = by_n;
                AT(back + i * hidden + j) = g * z;
                AT(decayed + i * ldh + j) = h;
            }
        product(m, hidden, h3, f, ld, 1, weight_h, hidden, back, hidden, back, hidden);
        for (long i = 0; i < m; i++)
            for (long j = 0; j < hidden; j += LANES) {
                const vec d = AT(decay + (begin + i) * hidden + j), g = AT(back + i * hidden + j) * d;
                AT(carry + i * hidden + j) = g;
                AT(e + i * ldh + j) = choose((bits)(d < 1.0f), g * AT(before + i * ldbefore + j), filled(0.0f));
            }
        if (grad_x) product(m, wide_x, h3, f + hidden, ld, 1, weight_x, wide_x, zeros, 0, grad_x + begin * wide_x, wide_x);
        if (grad_delta)
            product(m, wide_gap, hidden, e, ldh, 1, weight_gap, wide_gap, zeros, 0, grad_delta + begin * wide_gap, wide_gap);
        if (end - begin >= CHUNK || !step) {
            add_weights(end - begin, inputs, gaps, hidden, x + begin * inputs, delta + begin * gaps, decayed, f, e,
                        grad_weight_x, grad_weight_h, grad_weight_gap, grad_bias, grad_bias_gap);
            end = begin;
        }
    }
}

/* Scores of values by linear interpolation between the knots of their feature, as of layers.QuantileScaler: knots and
 * scores (feature, knots). The feature of a value is that at its place or, where the pointer is 0, its column. NaN stays
 * NaN. Values of a block are searched at the same time, so that they do not wait for each other. */
void quantile_scores(long n, const long *feature, long columns, long n_knots, const float *values, const float *knots,
                     const float *scores, float *result) {
    int low[BLOCK];
    for (long begin = 0, column = 0; begin < n; begin += BLOCK, values += BLOCK, result += BLOCK) {
        const int m = n - begin < BLOCK ? n - begin : BLOCK;
        for (int i = 0; i < m; i++, column = column + 1 < columns ? column + 1 : 0)
            low[i] = (feature ? feature[begin + i] : column) * n_knots;
        for (int left = n_knots - 1, half = left / 2; left > 1; left -= half, half = left / 2)
            for (int i = 0; i < m; i++) low[i] += knots[low[i] + half] < values[i] ? half : 0;
        for (int i = 0; i < m; i++) {
            const float *const knot = knots + low[i], *const score = scores + low[i];
            const double width = (double)knot[1] - knot[0], part = (values[i] - (double)knot[0]) / (width > 0 ? width : 1e-300);
            result[i] = score[0] + (part < 0 ? 0 : part > 1 ? 1 : part) * ((double)score[1] - score[0]);
        }
    }
}
