/* `BehavioralSimulator.respond` for one user after another: the equations of behavioral.py, reflection.py and `compliance` of
 * instructions.py, whose NumPy code is the definition and whose names are used here (k slots, d content features, z, felt, aim ...).
 *
 * A `Kernel` holds what never changes (tables of the catalogue and the taste, coefficients); `Kernel.respond` gets what does, and arrays
 * to write the answers to. Arithmetic is float32. A user's sums have an order of their own, so that its answers do not depend on n.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>

#define EQUATIONS 4 /* raise it here and in native.py with every change, so that a stale build is not used */
#define RELEASE_FROM 64 /* users from which the interpreter lock is let go */
#define LANES 8         /* partial sums of a dot product: what lets the compiler use vector instructions without reordering anything */

enum { GENRE = 1, ERA, POPULARITY, PERSON, TITLE, ASPECTS };                    /* types.Aspect */
enum { DIFFERENT = 5, KINDS = 7 };                                              /* types.Kind */
enum { S, B, F, P, T };                                                         /* columns of Mindset.levels */
enum { EXAMINED, CLICKED, LIKED, COMMENTED, SHARED, ACTS };                     /* rows of `acts` */
enum { SIGNAL_COUNT = 14, VALUE_COUNT = 9, MET = 256 };                         /* of reflection.py */

#define COEFFICIENTS(_) \
    _(effort_fatigue) _(effort_boredom) _(click_attraction) _(click_interest) _(click_satiation) _(click_fatigue) \
    _(rating_noise) _(action_stars) _(watch_base) _(watch_stars) _(watch_fatigue) \
    _(value_full) _(skip_cost) _(heard) _(ignored) _(boredom_satiation) \
    _(interest_pull) _(interest_click) _(drift) _(satiation_memory) _(gain) \
    _(leave_offset) _(sense_at) _(instruction_gap) _(well_known) _(related_from) _(related_to) _(chance)

/* name, C type, format characters of the buffer protocol that mean it, a letter or digit for the length of each axis.
 * U users of the data set, N items, D features, G genres, E eras, Q people an item, R forms of an instruction, M `met`, s signals. */
#define TABLES(_) \
    _(attraction, float, "f", "UN") _(stars, float, "f", "UN") _(home, float, "f", "UD") \
    _(features, float, "f", "ND") _(centre, float, "f", "D") _(durations, float, "f", "N") \
    _(genres, uint8_t, "?", "NG") _(decades, int16_t, "h", "N") _(eras, int16_t, "h", "E") \
    _(popularity_rank, float, "f", "N") _(people, int32_t, "il", "NQ") \
    _(wear, float, "f", "M") _(stale, float, "f", "M") _(actions, float, "f", "3") \
    _(speeds, float, "f", "5") _(speeds_under, float, "f", "5") _(leave_weights, float, "f", "5") \
    _(at_none, float, "f", "7") _(per_share, float, "f", "7") \
    _(weights, float, "f", "sR") _(source, int64_t, "lq", "R") _(kinds, int8_t, "b", "R") _(aspects, int8_t, "b", "R")

/* The same for the arguments of respond, and what may be odd about them. n users, k slots. */
enum { PLAIN, STRIDED = 1, OPTIONAL = 2, OUT = 4 };
#define ARGUMENTS(_) \
    _(slates, int64_t, "lq", "nk", STRIDED) _(users, int64_t, "lq", "n", PLAIN) _(keys, uint64_t, "LQ", "n", PLAIN) \
    _(levels, float, "f", "n5", PLAIN) _(interest, float, "f", "nD", PLAIN) _(satiation, float, "f", "nD", PLAIN) \
    _(bias, float, "f", "n", PLAIN) _(effort, float, "f", "n", PLAIN) _(talkative, float, "f", "n", PLAIN) \
    _(intent, int16_t, "h", "n", PLAIN) _(exposures, uint8_t, "B", "nN", PLAIN) \
    _(kind, int8_t, "b", "n", OPTIONAL) _(aspect, int8_t, "b", "n", OPTIONAL) _(value, int32_t, "il", "n", OPTIONAL) \
    _(age, int64_t, "lq", "n", PLAIN) \
    _(acts, uint8_t, "?", "5nk", OUT) _(response, float, "f", "nk6", OUT) _(watch, float, "f", "nk", OUT) _(followed, float, "f", "n", OUT) _(left, uint8_t, "?", "n", OUT) \
    _(levels_after, float, "f", "n5", OUT) _(interest_after, float, "f", "nD", OUT) _(satiation_after, float, "f", "nD", OUT) \
    _(said, int32_t, "il", "4n", OUT)

typedef struct { const char *name, *formats, *axes; Py_ssize_t itemsize; int odd; } Layout;

#define ID(name, ...) id_##name,
enum { TABLES(ID) TABLE_COUNT };
enum { ARGUMENTS(ID) ARGUMENT_COUNT };
#define TABLE_LAYOUT(name, type, formats, axes) {#name, formats, axes, sizeof(type), PLAIN},
#define ARGUMENT_LAYOUT(name, type, formats, axes, odd) {#name, formats, axes, sizeof(type), odd},
static const Layout TABLE[] = {TABLES(TABLE_LAYOUT)}, ARGUMENT[] = {ARGUMENTS(ARGUMENT_LAYOUT)};
#define POINTER(name, type, ...) type *name;
#define NUMBER(name) float name;

typedef struct {
    PyObject_HEAD
    Py_ssize_t size[128]; /* length of the axis with this letter; -1 where it is not known yet */
    Py_buffer held[TABLE_COUNT];
    TABLES(POINTER)
    COEFFICIENTS(NUMBER)
} Kernel;

typedef struct {
    Py_ssize_t n, k, slate_strides[2];
    ARGUMENTS(POINTER)
} Call;

/* What one user needs room for, used again for the next. */
typedef struct { int64_t *item; float *seen, *hit, *urgency; } Scratch;

/* Take hold of a buffer and check all that can be checked. BufferError for a layout that a copy could mend, ValueError for a shape. */
static int grasp(Py_buffer *view, PyObject *object, const Layout *want, Py_ssize_t *size)
{
    if (PyObject_GetBuffer(object, view, want->odd & OUT ? PyBUF_RECORDS : PyBUF_RECORDS_RO) < 0) return -1;
    const char *format = view->format ? view->format : "B";
    if (strlen(format) != 1 || !strchr(want->formats, *format) || view->itemsize != want->itemsize || (uintptr_t)view->buf % want->itemsize
        || (!(want->odd & STRIDED) && !PyBuffer_IsContiguous(view, 'C'))) {
        PyErr_Format(PyExc_BufferError, "%s: got format %s, expected a C-ordered array of %s", want->name, format, want->formats);
        return -1;
    }
    int fits = view->ndim == (int)strlen(want->axes);
    for (int axis = 0; fits && axis < view->ndim; axis++) {
        Py_ssize_t *length = &size[(unsigned char)want->axes[axis]];
        if (*length < 0) *length = view->shape[axis];
        fits = *length == view->shape[axis];
    }
    if (fits) return 0;
    PyErr_Format(PyExc_ValueError, "%s: the shape [%s] does not fit the other arrays", want->name, want->axes);
    return -1;
}

static inline float sum_of(const float *lane)
{
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

static float dot(const float *a, const float *b, Py_ssize_t d)
{
    float lane[LANES] = {0};
    Py_ssize_t f = 0;
    for (; f + LANES <= d; f += LANES)
        for (int j = 0; j < LANES; j++) lane[j] += a[f + j] * b[f + j];
    for (int j = 0; f < d; f++, j++) lane[j] += a[f] * b[f];
    return sum_of(lane);
}

static inline float logistic(float u) { return logf(u / (1.0f - u)); }
static inline float clip(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

/* The number that luck.uniform would draw in this column, bit for bit: half an output of splitmix64. */
static inline float uniform(const Call *c, Py_ssize_t i, Py_ssize_t column)
{
    uint64_t z = c->keys[i] + ((uint64_t)column / 2 + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    const uint32_t half = (uint32_t)(column % 2 ? z >> 32 : z);
    const float u = (float)(half >> 8) * 0x1p-24f + 0x1p-25f;
    return u < 1.0f - 0x1p-24f ? u : 1.0f - 0x1p-24f;
}

/* instructions.matches: does an item have what the instruction is about? */
static int matches(const Kernel *self, int kind, int aspect, int32_t value, int64_t item)
{
    const Py_ssize_t d = self->size['D'], people = self->size['Q'];
    float cosine;
    switch (aspect) {
    case GENRE: return (self->genres[item * self->size['G'] + value] != 0) != (kind == DIFFERENT);
    case ERA: return self->decades[item] == value;
    case POPULARITY: return (self->popularity_rank[item] >= self->well_known) == (value > 0);
    case PERSON:
        for (Py_ssize_t p = 0; p < people; p++)
            if (self->people[item * people + p] == value) return 1;
        return 0;
    case TITLE:
        cosine = dot(self->features + item * d, self->features + value * d, d);
        return kind == DIFFERENT ? cosine >= self->related_from && cosine < self->related_to : cosine >= self->related_to;
    default: return 0;
    }
}

/* reflection.reflect: what user i says, which is certain to say something. `seen` is the mean content of what was examined (`shown`),
 * `best` the slot of the best click, `joy` its stars above 3.5, u the first of its uniform numbers. */
static void reflect(const Kernel *self, const Call *c, Py_ssize_t i, const Scratch *s, Py_ssize_t best, float joy, Py_ssize_t u)
{
    const Py_ssize_t d = self->size['D'], genres = self->size['G'], forms = self->size['R'], people = self->size['Q'];
    const float *interest = c->interest_after + i * d, *levels = c->levels_after + i * 5, *shown = s->seen;
#define LACK(f) (interest[f] - 0.5f * shown[f])
#define EXCESS(f) (shown[f] > 0.0f ? shown[f] - interest[f] : -1e6f)
    Py_ssize_t wish = 0, surfeit = 0, era = genres, old = genres, famous = 0, said = 0;
    for (Py_ssize_t f = 1; f < genres; f++) {
        if (LACK(f) > LACK(wish)) wish = f;
        if (EXCESS(f) > EXCESS(surfeit)) surfeit = f;
    }
    for (Py_ssize_t f = genres + 1; f < d; f++) {
        if (LACK(f) > LACK(era)) era = f;
        if (shown[f] > shown[old]) old = f;
    }
    for (Py_ssize_t j = 0; j < c->k; j++) famous += self->popularity_rank[s->item[j]] >= self->well_known;
    const int happy = best >= 0, timeless = d == genres;
    const int64_t loved = s->item[happy ? best : 0], person = people ? self->people[loved * people] : 0;
    const int64_t values[VALUE_COUNT] = { /* reflection._VALUES */
        wish, surfeit, c->intent[i], loved, person, 0, 1, timeless ? 0 : self->eras[era - genres], timeless ? 0 : self->eras[old - genres]
    };
    const float signals[SIGNAL_COUNT] = { /* reflection._SIGNALS */
        1.0f, levels[B], levels[S], LACK(wish), shown[surfeit], -interest[surfeit], (float)famous / (float)c->k, happy ? joy : 0.0f,
        !happy, c->intent[i] < 0, people ? person < 0 : 1.0f, timeless ? 1.0f : LACK(era), timeless ? 1.0f : shown[old], timeless
    };
#undef LACK
#undef EXCESS
    for (Py_ssize_t form = 0; form < forms; form++) s->urgency[form] = 0.0f;
    for (int signal = 0; signal < SIGNAL_COUNT; signal++)
        for (Py_ssize_t form = 0; form < forms; form++) s->urgency[form] += signals[signal] * self->weights[signal * forms + form];
    for (Py_ssize_t form = 0; form < forms; form++) {
        s->urgency[form] += self->chance * -logf(-logf(uniform(c, i, u + form))); /* Gumbel noise */
        if (s->urgency[form] > s->urgency[said]) said = form;
    }
    const uint32_t phrasing = (uint32_t)fminf(fmaxf(uniform(c, i, u + said) * 16777216.0f, 0.0f), 16777216.0f);
    c->said[i] = self->kinds[said];
    c->said[c->n + i] = self->aspects[said];
    c->said[2 * c->n + i] = (int32_t)values[self->source[said]];
    c->said[3 * c->n + i] = (int32_t)phrasing;
}

/* One user and its slate. Returns what is wrong with them, or NULL; counts in `spoken` if the user says something. */
static const char *visit(const Kernel *self, const Call *c, Py_ssize_t i, const Scratch *s, Py_ssize_t *spoken)
{
    const Py_ssize_t d = self->size['D'], N = self->size['N'], n = c->n, k = c->k;
    const int64_t user = c->users[i];
    if (user < 0 || user >= self->size['U']) return "a user index is out of range";
    for (Py_ssize_t j = 0; j < k; j++) {
        memcpy(&s->item[j], (const char *)c->slates + i * c->slate_strides[0] + j * c->slate_strides[1], sizeof *s->item);
        if (s->item[j] < 0 || s->item[j] >= N) return "an item index is out of range";
    }
    const int kind = c->kind ? c->kind[i] : 0, aspect = kind ? c->aspect[i] : 0, under = kind != 0;
    const int32_t told = kind ? c->value[i] : 0;
    if (kind < 0 || kind >= KINDS || aspect < 0 || aspect >= ASPECTS || (aspect == GENRE && (told < 0 || told >= self->size['G']))
        || (aspect == TITLE && (told < 0 || told >= N)))
        return "an instruction in force is none that can be given";

    const float *levels = c->levels + i * 5, *interest = c->interest + i * d, *satiation = c->satiation + i * d;
    const float fatigue = levels[F], stamina = -logf(uniform(c, i, 5 * k)), leave_at = -logf(uniform(c, i, 5 * k + 1));
    const float effort = c->effort[i] * (1.0f + self->effort_fatigue * fatigue + self->effort_boredom * levels[B]) / (levels[P] + 0.5f);
    const float own = c->bias[i] - self->click_fatigue * fatigue, patience = self->watch_base - self->watch_fatigue * fatigue;
    const float *attraction = self->attraction + user * N, *stars = self->stars + user * N;
    const uint8_t *exposures = c->exposures + i * N;
    uint8_t *acts[ACTS];
    float *watch = c->watch + i * k, seen = 0.0f, hits = 0.0f, watched = 0.0f, stale = 0.0f, joy = 0.0f;
    Py_ssize_t best = -1;
    for (int act = 0; act < ACTS; act++) memset(acts[act] = c->acts + (act * n + i) * k, 0, k);
    float *response = c->response + i * k * 6;
    for (Py_ssize_t j = 0; j < k; j++) watch[j] = 0.0f;
    for (Py_ssize_t j = 0; j < 6 * k; j++) response[j] = 0.0f;
    for (Py_ssize_t f = 0; f < 2 * d; f++) s->seen[f] = 0.0f; /* `hit` lies behind it */

    for (Py_ssize_t j = 0; j < k; j++) {
        if (!((float)j * effort < stamina)) continue; /* Examination; nothing happens in the other slots */
        const int64_t item = s->item[j];
        const float *x = self->features + item * d, alike = dot(satiation, x, d), worn = alike * alike;
        const uint8_t met = exposures[item];
        acts[EXAMINED][j] = 1;
        seen += 1.0f;
        stale += self->boredom_satiation * worn + self->stale[met];
        for (Py_ssize_t f = 0; f < d; f++) s->seen[f] += x[f];

        float z = self->click_attraction * attraction[item]; /* Click */
        z += self->click_interest * dot(interest, x, d);
        z -= self->click_satiation * worn;
        z += self->wear[met];
        z += own;
        response[6 * j + 5] = 1.0f;
        if (!(z > logistic(uniform(c, i, j)))) continue;
        response[6 * j + 5] = 0.0f;
        response[6 * j] = 1.0f;
        acts[CLICKED][j] = 1;
        hits += 1.0f;
        for (Py_ssize_t f = 0; f < d; f++) s->hit[f] += x[f];

        const float felt = logistic(uniform(c, i, k + j)) * self->rating_noise + stars[item] - 3.5f; /* After the click */
        const float share = clip(felt * self->watch_stars + patience, 0.03f, 1.0f);
        watch[j] = share * self->durations[item];
        watched += share;
        for (int action = 0; action < 3; action++)
            acts[LIKED + action][j] = felt * self->action_stars + self->actions[action] > logistic(uniform(c, i, (2 + action) * k + j));
        for (int action = 0; action < 3; action++) response[6 * j + 1 + action] = acts[LIKED + action][j];
        response[6 * j + 4] = watch[j] / self->durations[item];
        if (best < 0 || felt > joy) best = j, joy = felt;
    }

    float followed = 0.0f; /* instructions.compliance */
    if (under) {
        float fit = 0.0f;
        for (Py_ssize_t j = 0; j < k; j++) fit += (float)matches(self, kind, aspect, told, s->item[j]);
        followed = clip(self->at_none[kind] + self->per_share[kind] * (fit / (float)k), 0.0f, 1.0f);
    }
    c->followed[i] = followed;

    float *after = c->levels_after + i * 5; /* The mindset: each level relaxes towards its aim */
    float pleased = (watched - self->skip_cost * (seen - hits)) / seen / self->value_full;
    if (under) pleased += self->heard * (followed + followed - 1.0f);
    const float aim[5] = {pleased, stale / seen, seen / (float)k, pleased, under ? followed : pleased};
    const float *speed = under ? self->speeds_under : self->speeds;
    for (int level = 0; level < 5; level++) after[level] = (clip(aim[level], 0.0f, 1.0f) - levels[level]) * speed[level] + levels[level];
    if (under) after[P] = fmaxf(after[P] - self->ignored * (1.0f - followed), 0.0f);

    const float *home = self->home + user * d, gain = self->gain / seen;
    float *interest_after = c->interest_after + i * d, *satiation_after = c->satiation_after + i * d;
    for (Py_ssize_t f = 0; f < d; f++) {
        float drift = (uniform(c, i, 5 * k + 2 + f) - 0.5f) * self->drift;
        drift += self->interest_pull * (home[f] - interest[f]);
        drift += self->interest_click * (s->hit[f] - hits * self->centre[f]);
        interest_after[f] = interest[f] + drift;
        satiation_after[f] = self->satiation_memory * satiation[f] + s->seen[f] * gain;
        s->seen[f] /= seen;
    }

    float h = 0.0f; /* Leaving, or speaking instead */
    for (int level = 0; level < 5; level++) h += after[level] * self->leave_weights[level];
    const float hazard = expf(h + self->leave_offset);
    const Py_ssize_t u = 5 * k + 2 + d; /* the uniform numbers that speaking takes: one, and one a form */
    const int speaks = hazard > self->sense_at && (!under || (float)c->age[i] + 1.0f >= self->instruction_gap)
                       && uniform(c, i, u) < c->talkative[i] * (0.5f + 0.5f * after[T]);
    c->left[i] = leave_at < hazard && !speaks;
    for (int field = 0; field < 4; field++) c->said[field * n + i] = 0;
    if (speaks) reflect(self, c, i, s, best, joy, u + 1), ++*spoken;
    return NULL;
}

static PyObject *respond(Kernel *self, PyObject *const *args, Py_ssize_t count)
{
    Py_buffer view[ARGUMENT_COUNT] = {{0}};
    Py_ssize_t size[128], spoken = 0, i = 0, stop = PY_SSIZE_T_MAX;
    const char *wrong = NULL;
    PyObject *answer = NULL;
    char *room = NULL;
    Call call = {0};
    if (count == ARGUMENT_COUNT + 2) { /* of these users alone */
        i = PyLong_AsSsize_t(args[ARGUMENT_COUNT]), stop = PyLong_AsSsize_t(args[ARGUMENT_COUNT + 1]);
        if (PyErr_Occurred()) return NULL;
        if (i < 0 || stop < i) return PyErr_Format(PyExc_ValueError, "respond: got the users %zd to %zd", i, stop);
    } else if (count != ARGUMENT_COUNT)
        return PyErr_Format(PyExc_TypeError, "respond: got %zd arguments, expected %d, or two more", count, ARGUMENT_COUNT);
    memcpy(size, self->size, sizeof size);
    for (int a = 0; a < ARGUMENT_COUNT; a++)
        if (!((ARGUMENT[a].odd & OPTIONAL) && args[a] == Py_None) && grasp(&view[a], args[a], &ARGUMENT[a], size) < 0) goto done;
#define TAKE(name, type, ...) call.name = (type *)view[id_##name].buf;
    ARGUMENTS(TAKE)
    call.n = size['n'], call.k = size['k'];
    memcpy(call.slate_strides, view[id_slates].strides, sizeof call.slate_strides);
    const Py_ssize_t d = self->size['D'], forms = self->size['R'];
    if (!call.k || (call.kind && !(call.aspect && call.value))) {
        PyErr_SetString(PyExc_ValueError, "respond: no slots, or half an instruction");
        goto done;
    }
    room = PyMem_Malloc(call.k * sizeof(int64_t) + (2 * d + forms) * sizeof(float));
    if (!room) { PyErr_NoMemory(); goto done; }
    Scratch s = {.item = (int64_t *)room, .seen = (float *)(room + call.k * sizeof(int64_t))};
    s.hit = s.seen + d, s.urgency = s.hit + d;

    PyThreadState *thread = call.n >= RELEASE_FROM ? PyEval_SaveThread() : NULL;
    for (; i < call.n && i < stop && !wrong; i++) wrong = visit(self, &call, i, &s, &spoken);
    if (thread) PyEval_RestoreThread(thread);
    if (wrong) PyErr_Format(PyExc_ValueError, "row %zd: %s", i - 1, wrong);
    else answer = PyLong_FromSsize_t(spoken);
done:
    PyMem_Free(room);
    for (int a = 0; a < ARGUMENT_COUNT; a++) PyBuffer_Release(&view[a]);
    return answer;
}

static int bind(Kernel *self, PyObject *coefficients, PyObject *tables)
{
    for (int letter = 0; letter < 128; letter++) self->size[letter] = letter >= '0' && letter <= '9' ? letter - '0' : -1;
    self->size['M'] = MET, self->size['s'] = SIGNAL_COUNT;
#define READ(name) { \
        PyObject *number = PyDict_GetItemString(coefficients, #name); /* borrowed */ \
        if (!number) return PyErr_SetString(PyExc_ValueError, "no coefficient " #name), -1; \
        self->name = (float)PyFloat_AsDouble(number); \
        if (PyErr_Occurred()) return -1; \
    }
    COEFFICIENTS(READ)
    for (int t = 0; t < TABLE_COUNT; t++) {
        PyObject *table = PyDict_GetItemString(tables, TABLE[t].name);
        if (!table) return PyErr_Format(PyExc_ValueError, "no table %s", TABLE[t].name), -1;
        if (grasp(&self->held[t], table, &TABLE[t], self->size) < 0) return -1;
    }
#define POINT(name, type, ...) self->name = (type *)self->held[id_##name].buf;
    TABLES(POINT)
    if (self->size['D'] != self->size['G'] + self->size['E'] || !self->size['G'] || !self->size['R'])
        return PyErr_SetString(PyExc_ValueError, "features: expected a column a genre and era, at least one genre, and forms"), -1;
    for (Py_ssize_t form = 0; form < self->size['R']; form++)
        if (self->source[form] < 0 || self->source[form] >= VALUE_COUNT)
            return PyErr_SetString(PyExc_ValueError, "source: out of range"), -1;
    return 0;
}

static PyObject *kernel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *coefficients, *tables;
    static char *names[] = {"coefficients", "tables", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!:Kernel", names, &PyDict_Type, &coefficients, &PyDict_Type, &tables)) return NULL;
    Kernel *self = (Kernel *)type->tp_alloc(type, 0); /* zeroed, so that dealloc may come at any time */
    if (self && bind(self, coefficients, tables) < 0) Py_CLEAR(self);
    return (PyObject *)self;
}

static void kernel_dealloc(Kernel *self)
{
    for (int t = 0; t < TABLE_COUNT; t++) PyBuffer_Release(&self->held[t]);
    Py_TYPE(self)->tp_free(self);
}

static PyMethodDef METHODS[] = {
    {"respond", (PyCFunction)(void (*)(void))respond, METH_FASTCALL,
     "Read the first arrays, write to the others, for all users or those from one to another; returns how many speak."},
    {NULL, NULL, 0, NULL},
};
static PyTypeObject KernelType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "recoworld.simulators._native.Kernel",
    .tp_basicsize = sizeof(Kernel),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Kernel(coefficients: dict[str, float], tables: dict[str, array]): what respond needs that never changes.",
    .tp_new = kernel_new,
    .tp_dealloc = (destructor)kernel_dealloc,
    .tp_methods = METHODS,
};
static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "_native", .m_size = -1};

PyMODINIT_FUNC PyInit__native(void)
{
    if (PyType_Ready(&KernelType) < 0) return NULL;
    PyObject *module = PyModule_Create(&MODULE);
    if (module && (PyModule_AddObjectRef(module, "Kernel", (PyObject *)&KernelType) < 0 || PyModule_AddIntMacro(module, EQUATIONS) < 0))
        Py_CLEAR(module);
    return module;
}
