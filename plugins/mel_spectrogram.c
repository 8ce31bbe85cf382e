/* mel_spectrogram: what a network for sound sees of it, [N,T] or [N,T,1] -> [N,F,M]: frame by frame, how strong each of M
 * bands of frequency is.
 *
 *   v[l] = x[n, first + f hop + l]            the frame, L samples; without its mean where `remove_dc` says so;
 *                                             v[l] - preemphasis v[l-1] (v[-1] is v[0])
 *   s[k] = sum over l of window[l] v[l] exp(-2 pi i k l / fft_size)
 *   b[m] = sum over k of filter[m,k] |s[k]|^power
 *   y[n,f,m] = scale z + shift,  z = log(max(b, floor) + offset), not below the sample's largest minus `range`
 *
 * Its options spell what librosa, torchaudio (Kaldi's filter banks too), Whisper, YAMNet and openWakeWord do. The transform
 * is a product with a matrix of windowed cosines and sines [L, 2K], made once, on as many frames at a time as keep it in a
 * processor's cache; the filters' weights come from the host in double precision (mel_filters.h). There is no gradient. */
#include "mel_filters.h"

#include <cambium/layer.h>

enum { FRAMES_CENTER, FRAMES_INSIDE_FFT, FRAMES_INSIDE_WINDOW, FRAMES_ROUNDED };
enum { PAD_REFLECT, PAD_ZEROS, PAD_SYMMETRIC };
enum { LOG_NONE, LOG_NATURAL, LOG_10, LOG_DB };

struct options {
    double sample_rate;
    int64_t window_length, hop, fft_size, mels, power;
    int32_t window, frames, padding, mel_scale, sides, norm, log;
    uint32_t drop_last, remove_dc, relative;
    double preemphasis, fmin, fmax, floor, offset, range, scale, shift;
};

static const struct options defaults = {.mels = 80, .power = 2, .window = MEL_HANN, .padding = PAD_REFLECT,
                                        .log = LOG_NATURAL, .floor = 1e-10, .scale = 1.0};

static const char *const window_names[] = {"hann", "hann_symmetric", "hamming", "hamming_symmetric", "povey",
                                           "rectangular", NULL};
static const char *const frames_names[] = {"center", "inside_fft", "inside_window", "rounded", NULL};
static const char *const padding_names[] = {"reflect", "zeros", "symmetric", NULL};
static const char *const scale_names[] = {"htk", "slaney", NULL};
static const char *const sides_names[] = {"hz", "mel", NULL};
static const char *const norm_names[] = {"none", "slaney", NULL};
static const char *const log_names[] = {"none", "natural", "log10", "db", NULL};

#define AT(field) offsetof(struct options, field)
#define MAX_FFT 4096
static const struct cb_option options[] = {
    {"sample_rate", "samples of a second", CB_OPT_REAL, AT(sample_rate), 1, 1e6, .flags = CB_OPTION_REQUIRED},
    {"window_length", "samples of a frame; 0: of 25 milliseconds", CB_OPT_INT, AT(window_length), 0, MAX_FFT},
    {"hop", "samples from one frame to the next; 0: of 10 milliseconds", CB_OPT_INT, AT(hop), 0, 1 << 20},
    {"fft_size", "samples of the Fourier transform, the frame and zeros; 0: the next power of two", CB_OPT_INT,
     AT(fft_size), 0, MAX_FFT},
    {"window", "the weights of a frame's samples", CB_OPT_CHOICE, AT(window), .choices = window_names},
    {"frames", "which there are: `center`, around each multiple of hop; `inside_fft`, `inside_window`: that have all their "
               "fft_size, or window_length, samples; `rounded`: Kaldi's without snip_edges", CB_OPT_CHOICE, AT(frames),
     .choices = frames_names},
    {"padding", "what lies beyond the ends: the samples mirrored at the last one, zeros, or mirrored behind it",
     CB_OPT_CHOICE, AT(padding), .choices = padding_names},
    {"drop_last", "whether the last frame is left out", CB_OPT_BOOL, AT(drop_last)},
    {"remove_dc", "whether a frame's mean is subtracted", CB_OPT_BOOL, AT(remove_dc)},
    {"preemphasis", "times the sample before is subtracted from each sample of a frame", CB_OPT_REAL, AT(preemphasis), 0,
     1},
    {"power", "of the spectrum's magnitudes", CB_OPT_INT, AT(power), 1, 2},
    {"mels", "bands; 0: every bin of the spectrum", CB_OPT_INT, AT(mels), 0, MAX_FFT},
    {"mel_scale", "how frequencies become mels", CB_OPT_CHOICE, AT(mel_scale), .choices = scale_names},
    {"sides", "over what a filter's sides are straight lines", CB_OPT_CHOICE, AT(sides), .choices = sides_names},
    {"norm", "what a filter is divided by: nothing, or half its width in Hz", CB_OPT_CHOICE, AT(norm),
     .choices = norm_names},
    {"fmin", "Hz where the lowest band begins", CB_OPT_REAL, AT(fmin), 0, 1e6},
    {"fmax", "Hz where the highest band ends; 0: half the sample rate", CB_OPT_REAL, AT(fmax), 0, 1e6},
    {"log", "the logarithm of the bands; `db`: 10 log10 of a power, 20 log10 of a magnitude", CB_OPT_CHOICE, AT(log),
     .choices = log_names},
    {"floor", "the least value of which a logarithm is taken", CB_OPT_REAL, AT(floor), 0, 1e30},
    {"offset", "added before the logarithm", CB_OPT_REAL, AT(offset), 0, 1e30},
    {"range", "values further below the sample's largest are raised to that (`top_db`); 0: none", CB_OPT_REAL, AT(range),
     0, 1e6},
    {"relative", "whether the sample's largest value is subtracted", CB_OPT_BOOL, AT(relative)},
    {"scale", "times the values, at last", CB_OPT_REAL, AT(scale), -1e6, 1e6},
    {"shift", "added to that", CB_OPT_REAL, AT(shift), -1e6, 1e6},
};

/* T samples become F frames of L samples, of which the first begins at sample `first`; K bins, M bands. */
struct sizes {
    int64_t n, t, f, l, hop, fft, k, m, first;
};

static struct sizes sizes_of(const struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t rate = (int64_t)o->sample_rate;
    struct sizes s = {.n = in->x[0]->dims[0], .t = in->x[0]->dims[1], .l = o->window_length, .hop = o->hop};
    s.l = s.l > 0 ? s.l : rate / 40 > 0 ? rate / 40 : 1;
    s.hop = s.hop > 0 ? s.hop : rate / 100 > 0 ? rate / 100 : 1;
    s.fft = o->fft_size > 0 ? o->fft_size : 1;
    while (o->fft_size == 0 && s.fft < s.l) {
        s.fft *= 2;
    }
    s.k = s.fft / 2 + 1;
    s.m = o->mels > 0 ? o->mels : s.k;
    const int64_t beside = (s.fft - s.l) / 2; /* zeros before the window */
    switch (o->frames) {
    case FRAMES_CENTER:
        s.first = beside - s.fft / 2;
        s.f = 1 + (s.t - s.fft % 2) / s.hop;
        break;
    case FRAMES_ROUNDED:
        s.first = s.hop / 2 - s.l / 2;
        s.f = (s.t + s.hop / 2) / s.hop;
        break;
    default: {
        const int64_t needed = o->frames == FRAMES_INSIDE_FFT ? s.fft : s.l;
        s.first = o->frames == FRAMES_INSIDE_FFT ? beside : 0;
        s.f = s.t >= needed ? 1 + (s.t - needed) / s.hop : 0;
        break;
    }
    }
    s.f -= o->drop_last != 0;
    return s;
}

static struct mel_bank bank_of(const struct options *o, const struct sizes *s)
{
    return (struct mel_bank){(enum mel_scale)o->mel_scale, (enum mel_sides)o->sides, (enum mel_norm)o->norm, s->m, o->fmin,
                             o->fmax > 0.0 ? o->fmax : o->sample_rate / 2.0, o->sample_rate / (double)s->fft};
}

static bool finds_largest(const struct options *o)
{
    return o->range > 0.0 || o->relative;
}

static enum cb_status mel_check(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    const double half = o->sample_rate / 2.0, fmax = o->fmax > 0.0 ? o->fmax : half;
    const int64_t window = o->window_length > 0 ? o->window_length : (int64_t)o->sample_rate / 40;
    if (window > MAX_FFT) {
        return host->fail(in->core, CB_INVALID, "sample_rate", "25 milliseconds of it are %lld samples, more than the %d of "
                          "a frame: give `window_length`", (long long)window, MAX_FFT);
    }
    if (o->fft_size > 0 && o->fft_size < window) {
        return host->fail(in->core, CB_INVALID, "fft_size", "`fft_size` %lld is less than the %lld samples of a frame",
                          (long long)o->fft_size, (long long)window);
    }
    if (o->fmax > half) {
        return host->fail(in->core, CB_INVALID, "fmax", "`fmax` %g Hz is above half the sample rate, %g Hz", o->fmax, half);
    }
    if (o->fmin >= fmax) {
        return host->fail(in->core, CB_INVALID, "fmin", "`fmin` %g Hz must lie below `fmax`, %g Hz", o->fmin, fmax);
    }
    if (o->log != LOG_NONE && o->floor + o->offset <= 0.0) {
        return host->fail(in->core, CB_INVALID, "floor", "silence has no logarithm: give a `floor` or an `offset` above 0");
    }
    return CB_OK;
}

static enum cb_status mel_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    if (x->rank != 2 && !(x->rank == 3 && x->dims[2] == 1)) {
        return host->fail(in->core, CB_MISMATCH, NULL, x->rank == 3
                          ? "mel_spectrogram takes sound of one channel, [N,T] or [N,T,1], but its input has %lld channels"
                          : "mel_spectrogram takes sound, [N,T] or [N,T,1], but its input has rank %lld",
                          (long long)(x->rank == 3 ? x->dims[2] : x->rank));
    }
    const struct sizes s = sizes_of(in);
    if (s.f < 1) {
        return host->fail(in->core, CB_MISMATCH, NULL, "%lld samples are too few for %s of %lld samples", (long long)s.t,
                          o->drop_last ? "two frames" : "a frame",
                          (long long)(o->frames == FRAMES_INSIDE_FFT ? s.fft : s.l));
    }
    if (s.f > INT32_MAX / s.m || s.t > INT32_MAX - 2 * MAX_FFT) {
        return host->fail(in->core, CB_UNSUPPORTED, NULL, "%lld samples are too many at once", (long long)s.t);
    }
    return host->output(in->core, 0, CB_F32, 3, (const int64_t[]){s.n, s.f, s.m});
}

/* ---- forward: kernels mean, frames, bands, partial, largest, finish, basis, store ------------------------------------ */

enum { MEAN, FRAMES, BANDS, PARTIAL, LARGEST, FINISH, BASIS, STORE };
enum { WORK_FRAMES, WORK_SPECTRA, WORK_MEANS, WORK_LARGEST };
enum { TABLE_BASIS, TABLE_WINDOW, TABLE_FILTERS, TABLE_BOUNDS };
#define PARTS 64 /* in which a sample's largest value is sought */

/* So many frames at a time that they and their spectra take a few megabytes. */
static int64_t chunk_of(const struct sizes *s)
{
    const int64_t fit = (1 << 20) / (s->l + 2 * s->k), rows = s->n * s->f;
    const int64_t chunk = fit > 64 ? fit : 64;
    return chunk < rows ? chunk : rows;
}

static enum cb_status prepare(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct sizes s = sizes_of(in);
    const int64_t chunk = chunk_of(&s);
    CB_TRY(host->workspace(in->core, CB_F32, chunk * s.l));
    CB_TRY(host->workspace(in->core, CB_F32, chunk * 2 * s.k));
    CB_TRY(host->workspace(in->core, CB_F32, chunk));
    CB_TRY(host->workspace(in->core, CB_F32, s.n * (PARTS + 1)));
    CB_TRY(host->derived(in->core, CB_F32, s.l * 2 * s.k));
    CB_TRY(host->derived(in->core, CB_F32, s.l));
    CB_TRY(host->derived(in->core, CB_F32, s.m * s.k));
    return host->derived(in->core, CB_F32, s.m * 2);
}

/* Sixteen numbers on their way to a table on the device. */
struct store {
    struct cb_instance *in;
    const struct cb_tensor *table;
    int64_t at;
    int count;
    double values[16];
};

static enum cb_status store_flush(struct store *s)
{
    const double *v = s->values;
    const int count = s->count;
    s->count = 0;
    if (count == 0) {
        return CB_OK;
    }
    const int64_t at = s->at;
    s->at += count;
    return CB_LAUNCH(s->in, STORE, CB_GRID(16), CB_A_TENSOR(s->table), CB_A_I64(at), CB_A_I32(count), CB_A_F32(v[0]),
                     CB_A_F32(v[1]), CB_A_F32(v[2]), CB_A_F32(v[3]), CB_A_F32(v[4]), CB_A_F32(v[5]), CB_A_F32(v[6]),
                     CB_A_F32(v[7]), CB_A_F32(v[8]), CB_A_F32(v[9]), CB_A_F32(v[10]), CB_A_F32(v[11]), CB_A_F32(v[12]),
                     CB_A_F32(v[13]), CB_A_F32(v[14]), CB_A_F32(v[15]));
}

static enum cb_status store_add(struct store *s, double value)
{
    s->values[s->count++] = value;
    return s->count == 16 ? store_flush(s) : CB_OK;
}

/* The bins that a filter covers and its weights there; bounds [M,2]: the first bin, and the one behind the last. */
static enum cb_status store_filters(struct cb_instance *in, const struct sizes *s)
{
    const struct mel_bank bank = bank_of(in->options, s);
    struct store bounds = {in, in->derived[TABLE_BOUNDS], 0, 0, {0}};
    CB_TRY(in->host->fill(in->core, in->derived[TABLE_FILTERS], 0.0f));
    for (int64_t m = 0; m < s->m; m++) {
        const struct mel_filter filter = mel_filter_at(&bank, m);
        struct store weights = {in, in->derived[TABLE_FILTERS], 0, 0, {0}};
        int64_t begin = 0, end = 0;
        for (int64_t k = 0; k < s->k; k++) {
            const double weight = mel_weight(&bank, &filter, k);
            if (weight > 0.0) {
                begin = end == 0 ? k : begin;
                weights.at = end == 0 ? m * s->k + k : weights.at;
                end = k + 1;
                CB_TRY(store_add(&weights, weight));
            }
        }
        CB_TRY(store_flush(&weights));
        CB_TRY(store_add(&bounds, (double)begin));
        CB_TRY(store_add(&bounds, (double)end));
    }
    return store_flush(&bounds);
}

static enum cb_status derive(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct sizes s = sizes_of(in);
    struct store window = {in, in->derived[TABLE_WINDOW], 0, 0, {0}};
    for (int64_t l = 0; l < s.l; l++) {
        CB_TRY(store_add(&window, mel_window_value((enum mel_window)o->window, s.l, l)));
    }
    CB_TRY(store_flush(&window));
    CB_TRY(CB_LAUNCH(in, BASIS, CB_GRID((uint64_t)s.k, (uint64_t)s.l), CB_A_TENSOR(in->derived[TABLE_BASIS]),
                     CB_A_TENSOR(in->derived[TABLE_WINDOW]), CB_A_I32(s.l), CB_A_I32(s.k), CB_A_I32(s.fft)));
    if (o->mels == 0) {
        CB_TRY(in->host->fill(in->core, in->derived[TABLE_BOUNDS], 0.0f));
        return in->host->fill(in->core, in->derived[TABLE_FILTERS], 0.0f);
    }
    return store_filters(in, &s);
}

/* Frames `row` to row + rows - 1 of all samples' N F. */
static enum cb_status run_rows(struct cb_instance *in, const struct sizes *s, int64_t row, int64_t rows)
{
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0], *frames = in->workspace[WORK_FRAMES], *spectra = in->workspace[WORK_SPECTRA];
    const struct cb_tensor *means = o->remove_dc ? in->workspace[WORK_MEANS] : NULL;
    if (o->remove_dc) {
        CB_TRY(CB_LAUNCH(in, MEAN, CB_GRID((uint64_t)rows), CB_A_TENSOR(means), CB_A_TENSOR(x), CB_A_I64(row),
                         CB_A_I64(rows), CB_A_I32(s->t), CB_A_I32(s->f), CB_A_I32(s->l), CB_A_I32(s->hop),
                         CB_A_I32(s->first), CB_A_I32(o->padding)));
    }
    CB_TRY(CB_LAUNCH(in, FRAMES, CB_GRID((uint64_t)s->l, (uint64_t)rows), CB_A_TENSOR(frames), CB_A_TENSOR(x),
                     CB_A_TENSOR(means), CB_A_I64(row), CB_A_I64(rows), CB_A_I32(s->t), CB_A_I32(s->f), CB_A_I32(s->l),
                     CB_A_I32(s->hop), CB_A_I32(s->first), CB_A_I32(o->padding), CB_A_F32(o->preemphasis)));
    const struct cb_gemm gemm = {.struct_size = sizeof(gemm), .m = rows, .n = 2 * s->k, .k = s->l, .a = frames,
                                 .b = in->derived[TABLE_BASIS], .y = spectra};
    CB_TRY(in->host->gemm(in->core, &gemm));
    const bool last = !finds_largest(o);
    const double factor = o->log != LOG_DB ? 1.0 : o->power == 2 ? 10.0 : 20.0;
    return CB_LAUNCH(in, BANDS, CB_GRID((uint64_t)s->m, (uint64_t)rows), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(spectra),
                     CB_A_TENSOR(in->derived[TABLE_FILTERS]), CB_A_TENSOR(in->derived[TABLE_BOUNDS]), CB_A_I64(row),
                     CB_A_I64(rows), CB_A_I32(s->k), CB_A_I32(s->m), CB_A_I32(o->mels == 0), CB_A_I32(o->power),
                     CB_A_I32(o->log), CB_A_F32(o->floor), CB_A_F32(o->offset),
                     CB_A_F32(last ? o->scale * factor : factor), CB_A_F32(last ? o->shift : 0.0));
}

/* Brings in what depends on each sample's largest value. */
static enum cb_status run_finish(struct cb_instance *in, const struct sizes *s)
{
    const struct options *o = in->options;
    const struct cb_tensor *largest = in->workspace[WORK_LARGEST];
    const int64_t per_sample = s->f * s->m;
    CB_TRY(CB_LAUNCH(in, PARTIAL, CB_GRID(PARTS, (uint64_t)s->n), CB_A_TENSOR(largest), CB_A_TENSOR(in->y[0]),
                     CB_A_I32(s->n), CB_A_I32(per_sample)));
    CB_TRY(CB_LAUNCH(in, LARGEST, CB_GRID((uint64_t)s->n), CB_A_TENSOR(largest), CB_A_I32(s->n)));
    return CB_LAUNCH(in, FINISH, CB_GRID((uint64_t)per_sample, (uint64_t)s->n), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(largest), CB_A_I32(s->n), CB_A_I32(per_sample), CB_A_F32(o->range),
                     CB_A_I32(o->relative), CB_A_F32(o->scale), CB_A_F32(o->shift));
}

static enum cb_status run_forward(struct cb_instance *in)
{
    struct sizes s = sizes_of(in);
    const int64_t rows = s.n * s.f, chunk = in->workspace[WORK_MEANS]->dims[0];
    for (int64_t row = 0; row < rows; row += chunk) {
        CB_TRY(run_rows(in, &s, row, rows - row < chunk ? rows - row : chunk));
    }
    return finds_largest(in->options) ? run_finish(in, &s) : CB_OK;
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .prepare = prepare, .derive = derive, .run = run_forward,
     .kernels = "mel_spectrogram_mean mel_spectrogram_frames mel_spectrogram_bands mel_spectrogram_partial "
                "mel_spectrogram_largest mel_spectrogram_finish mel_spectrogram_basis mel_spectrogram_store"},
};

CB_PLUGIN({
    .name = "mel_spectrogram",
    .family = "sound",
    .summary = "how strong each band of frequency is, frame by frame, [N,T] to [N,F,M]",
    .formula = "y[n,f,m] = scale log(max(sum over k of filter[m,k] |s[n,f,k]|^power, floor) + offset) + shift,\n"
               "s[n,f] the Fourier transform of window_length windowed samples of x[n], hop samples further for each f;\n"
               "db: 10 log10 of a power, 20 log10 of a magnitude",
    .example = "- mel_spectrogram: {sample_rate: 16000, mels: 40}",
    CB_OPTIONS(options, defaults),
    .variants = CB_ARRAY(variants),
    .flags = CB_LAYER_NO_GRADIENT,
    .check = mel_check,
    .infer = mel_infer,
})
