/* Networks for texts: folders of tests/data/texts as the Hugging Face hub has them, or with a GGUF file, imported, against transformers
 * (tests/reference/make_text_folders.py): the last hidden states of texts of several lengths, frozen and fused and as they are
 * in training, and the losses of ten steps of gradient descent of all params, which every gradient has a part in, or of
 * low-rank additions alone (LoRA), which are merged afterwards.
 * `test_texts [NAME or FOLDER...]`. Exits with 77 (skipped) when the machine has no OpenCL device. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "exchange/import.h"
#include "graph/plan.h"
#include "train/lora.h"

#define STEPS 10
#define TOLERANCE 2e-6 /* of the norm of the hidden states; rounding makes 3e-7 of it */
#define LOSS_TOLERANCE 2e-6

static struct {
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct cb_registry *registry;
    struct cb_device *device;
} world;

static void must(enum cb_status status)
{
    if (status == CB_OK) {
        return;
    }
    for (size_t i = 0; cb_diag_text(world.diag, i) != NULL; i++) {
        fprintf(stderr, "%s\n", cb_diag_text(world.diag, i));
    }
    fail_msg("%s", cb_status_name(status));
}

/* ---- what transformers says -------------------------------------------------------------------------------------------- */

struct reference {
    int64_t n, t, channels;
    int32_t *ids, *segments, *lengths, *labels;
    float *y, *head, *losses, *lora_losses, rate; /* lora_losses: NULL where there are none */
};

static float *read_floats(struct cb_tensor_file *file, const char *name, const struct cb_tensor_entry **out)
{
    const struct cb_tensor_entry *entry = cb_tensors_find(file, name);
    assert_non_null(entry);
    float *values = calloc(entry->count, sizeof(*values));
    assert_non_null(values);
    must(cb_tensors_read_f32(file, entry, values, world.diag));
    *out = entry;
    return values;
}

static int32_t *read_integers(struct cb_tensor_file *file, const char *name)
{
    const struct cb_tensor_entry *entry = cb_tensors_find(file, name);
    if (entry == NULL) {
        return NULL;
    }
    int64_t *wide = calloc(entry->count, sizeof(*wide));
    int32_t *values = calloc(entry->count, sizeof(*values));
    assert_true(wide != NULL && values != NULL);
    must(cb_tensors_read_i64(file, entry, wide, world.diag));
    for (uint64_t i = 0; i < entry->count; i++) {
        values[i] = (int32_t)wide[i];
    }
    free(wide);
    return values;
}

static void open_reference(struct reference *r, const char *folder)
{
    struct cb_tensor_file *file;
    const struct cb_tensor_entry *entry;
    must(cb_tensors_open(cb_path_join(world.arena, folder, "reference.safetensors"), &file, NULL, world.diag));
    *r = (struct reference){.ids = read_integers(file, "ids"), .segments = read_integers(file, "segments"),
                            .lengths = read_integers(file, "lengths"), .labels = read_integers(file, "labels")};
    if (r->segments == NULL) { /* a network may want them all the same: all 0 */
        r->segments = calloc(cb_tensors_find(file, "ids")->count, sizeof(*r->segments));
    }
    float *rate = read_floats(file, "rate", &entry);
    r->rate = *rate;
    free(rate);
    r->losses = read_floats(file, "losses", &entry);
    r->lora_losses = cb_tensors_find(file, "lora_losses") != NULL ? read_floats(file, "lora_losses", &entry) : NULL;
    r->head = read_floats(file, "head.w", &entry);
    r->y = read_floats(file, "y", &entry);
    r->n = entry->dims[0];
    r->t = entry->dims[1];
    r->channels = entry->dims[2];
    cb_tensors_close(file);
}

static void close_reference(struct reference *r)
{
    free(r->ids);
    free(r->segments);
    free(r->lengths);
    free(r->labels);
    free(r->losses);
    free(r->lora_losses);
    free(r->head);
    free(r->y);
}

/* ---- the network --------------------------------------------------------------------------------------------------------- */

struct subject {
    struct reference reference;
    struct cb_imported *imported;
    struct cb_network *net;
    uint32_t tokens, scores, targets, losses; /* wires */
};

/* The values as imported, and the reference's head. */
static void set_params(struct subject *s)
{
    for (uint32_t i = 0; i < s->net->param_count; i++) {
        struct cb_param *param = &s->net->params[i];
        const void *data = strcmp(param->name, "head.dense.w") == 0 ? s->reference.head : NULL;
        if (s->net->nodes[param->node].added) {
            continue;
        }
        for (uint32_t k = 0; data == NULL && k < s->imported->entry_count; k++) {
            data = strcmp(s->imported->entries[k].name, param->name) == 0 ? s->imported->entries[k].data : NULL;
        }
        assert_non_null(data);
        memcpy(param->host, data, (size_t)param->count * sizeof(float));
    }
}

/* The last wire [N,T,C]. */
static uint32_t last_tokens(const struct cb_network *net)
{
    uint32_t wire = net->backbone_output;
    while (net->wires[wire].shape.rank != 3) {
        wire = net->nodes[net->wires[wire].node].x[0];
    }
    return wire;
}

static void add_head(struct subject *s)
{
    struct cb_value *list;
    uint32_t node;
    const bool is_pooled = s->net->wires[s->net->backbone_output].shape.rank == 2;
    const char *head = is_pooled ? "[{dense: {units: 3, bias: false}, name: dense}]"
                                 : "[mean_tokens, {dense: {units: 3, bias: false}, name: dense}]";
    must(cb_yaml_read_text(world.arena, "head.yaml", head, strlen(head), &list, world.diag));
    must(cb_network_read_layers(s->net, list, "head.", s->net->backbone_output, true, &s->scores, world.diag));
    must(cb_network_add_input(s->net, "targets", CB_I32, 1, (int64_t[]){1}, NULL, &s->targets, world.diag));
    must(cb_network_add_layer(s->net, "cross_entropy", "loss", NULL, (uint32_t[]){s->scores, s->targets}, 2, true, NULL,
                              &node, world.diag));
    s->losses = s->net->nodes[node].y[0];
}

static void open_subject(struct subject *s, const char *name)
{
    char *folder = strchr(name, '/') != NULL ? cb_arena_strdup(world.arena, name)
                                             : cb_arena_printf(world.arena, "%s/tests/data/texts/%s", CB_SOURCE_ROOT, name);
    char *gguf = cb_path_join(world.arena, folder, "model.gguf");
    const bool is_gguf = cb_path_exists(gguf);
    const struct cb_import_request request = {.path = is_gguf ? gguf : folder, .name = cb_path_base(folder)};
    struct cb_value *file;
    open_reference(&s->reference, folder);
    s->imported = cb_imported_create(cb_path_base(folder));
    assert_non_null(s->imported);
    must(is_gguf ? cb_import_gguf(&request, s->imported, world.diag) : cb_import_folder(&request, s->imported, world.diag));
    assert_int_equal(s->imported->random.count, 0);
    s->net = cb_network_create(world.registry, name);
    assert_non_null(s->net);
    must(cb_yaml_read_text(world.arena, "n.yaml", s->imported->yaml, strlen(s->imported->yaml), &file, world.diag));
    must(cb_network_read(s->net, file, NULL, ".", world.diag));
    s->tokens = last_tokens(s->net);
    add_head(s);
}

static void close_subject(struct subject *s)
{
    close_reference(&s->reference);
    cb_network_destroy(s->net);
    cb_imported_destroy(s->imported);
}

/* ---- running it ---------------------------------------------------------------------------------------------------------- */

static void write_input(const struct subject *s, struct cb_plan *plan, uint32_t wire, const int32_t *values, int64_t count)
{
    const struct cb_tensor *x = cb_plan_tensor(plan, wire);
    if (x == NULL) {
        return;
    }
    assert_true(values != NULL && cb_tensor_count(x) >= count && s->net != NULL);
    must(cb_buffer_write(world.device, x->buffer, 0, values, (uint64_t)count * sizeof(*values), world.diag));
}

static struct cb_plan *make_plan(const struct subject *s, struct cb_store *store, bool training)
{
    const struct reference *r = &s->reference;
    const uint32_t outputs[] = {s->tokens, s->losses};
    const struct cb_plan_request request = {.training = training, .gradients = training, .batch = r->n, .outputs = outputs,
                                            .output_count = 2};
    struct cb_plan *plan;
    int64_t now;
    must(cb_plan_create(store, &request, &plan, world.diag));
    must(cb_plan_set_length(plan, r->t, &now, world.diag));
    assert_int_equal(now, r->t);
    for (uint32_t i = 0; i < s->net->input_count; i++) {
        const uint32_t wire = s->net->inputs[i];
        const char *name = s->net->wires[wire].name;
        if (wire == s->net->lengths || wire == s->targets) {
            write_input(s, plan, wire, wire == s->targets ? r->labels : r->lengths, r->n);
        } else {
            write_input(s, plan, wire, strcmp(name, "segments") == 0 ? r->segments : r->ids, r->n * r->t);
        }
    }
    return plan;
}

static double forward(const struct subject *s, struct cb_plan *plan, uint64_t step)
{
    const struct cb_plan_run request = {.n = s->reference.n, .seed = 1, .step = step};
    float losses[16];
    double loss = 0.0;
    assert_true(s->reference.n <= 16);
    must(cb_plan_forward(plan, &request, world.diag));
    must(cb_buffer_read(world.device, cb_plan_tensor(plan, s->losses)->buffer, 0, losses,
                        (uint64_t)s->reference.n * sizeof(float), world.diag));
    for (int64_t n = 0; n < s->reference.n; n++) {
        loss += losses[n] / (double)s->reference.n;
    }
    return loss;
}

/* The real tokens alone: what stands at padding is nobody's business. */
static void compare_tokens(const struct subject *s, struct cb_plan *plan, const char *what)
{
    const struct reference *r = &s->reference;
    const int64_t count = r->n * r->t * r->channels;
    float *y = calloc((size_t)count, sizeof(*y));
    double sum = 0.0, norm = 0.0;
    assert_non_null(y);
    must(cb_buffer_read(world.device, cb_plan_tensor(plan, s->tokens)->buffer, 0, y, (uint64_t)count * sizeof(*y), world.diag));
    for (int64_t i = 0; i < count; i++) {
        const int64_t n = i / (r->t * r->channels), place = i / r->channels % r->t;
        const double difference = place < r->lengths[n] ? (double)y[i] - r->y[i] : 0.0;
        sum += difference * difference;
        norm += (double)r->y[i] * r->y[i];
    }
    free(y);
    printf("%s, %s: hidden states off by %.1e of their norm\n", s->imported->name, what, sqrt(sum / norm));
    assert_true(norm > 0.0);
    if (!(sqrt(sum / norm) <= TOLERANCE)) {
        fail_msg("%s, %s: hidden states are off by %g of their norm", s->imported->name, what, sqrt(sum / norm));
    }
}

static void descend(struct subject *s, struct cb_store *store)
{
    for (uint32_t p = 0; p < s->net->param_count; p++) {
        struct cb_param *param = &s->net->params[p];
        if (!param->trainable || store->grads[p].buffer == NULL) {
            continue;
        }
        float *g = malloc((size_t)param->count * sizeof(*g));
        assert_non_null(g);
        must(cb_buffer_read(world.device, store->grads[p].buffer, 0, g, (uint64_t)param->count * sizeof(*g), world.diag));
        for (int64_t i = 0; i < param->count; i++) {
            param->host[i] -= s->reference.rate * g[i] / (float)s->reference.n;
        }
        free(g);
    }
    must(cb_store_upload(store, world.diag));
}

static void freeze(const struct subject *s, const char *what)
{
    must(cb_network_freeze(s->net, cb_value_text(world.arena, what, NULL), CB_BATCHNORM_FROZEN, world.diag));
}

static void check_frozen(struct subject *s)
{
    struct cb_store *store;
    set_params(s);
    freeze(s, "backbone");
    must(cb_store_create(s->net, world.device, false, &store, world.diag));
    struct cb_plan *plan = make_plan(s, store, false);
    (void)forward(s, plan, 0);
    compare_tokens(s, plan, "frozen");
    cb_plan_destroy(plan);
    cb_store_destroy(store);
}

/* Ten steps; the losses must be these. */
static void descend_ten(struct subject *s, const float *losses, const char *what)
{
    struct cb_store *store;
    double worst = 0.0;
    must(cb_store_create(s->net, world.device, true, &store, world.diag));
    struct cb_plan *plan = make_plan(s, store, true);
    for (uint64_t step = 0; step < STEPS; step++) {
        const double loss = forward(s, plan, step), off = fabs(loss - (double)losses[step]);
        if (step == 0 && losses == s->reference.losses) {
            compare_tokens(s, plan, "training");
        }
        worst = off > worst ? off : worst;
        if (!(off <= LOSS_TOLERANCE * (1.0 + fabs(loss)))) {
            fail_msg("%s, %s: the loss of step %d is %.7f, not %.7f", s->imported->name, what, (int)step + 1, loss,
                     (double)losses[step]);
        }
        must(cb_plan_backward(plan, &(const struct cb_plan_run){.n = s->reference.n, .seed = 1, .step = step}, world.diag));
        descend(s, store);
    }
    printf("%s, %s: ten losses, %.4f to %.4f, off by %.1e at most\n", s->imported->name, what, (double)losses[0],
           (double)losses[STEPS - 1], worst);
    cb_plan_destroy(plan);
    cb_store_destroy(store);
}

static void check_descent(struct subject *s)
{
    set_params(s);
    freeze(s, "none");
    descend_ten(s, s->reference.losses, "all layers");
}

/* ---- low-rank additions -------------------------------------------------------------------------------------------------- */

/* As `factors` of make_text_folders.py. */
static void set_factors(struct cb_param *param, int64_t number)
{
    for (int64_t i = 0; i < param->count; i++) {
        param->host[i] = (float)((double)((i * 7919 + number * 104729) % 2001 - 1000) / 4000.0);
    }
}

/* The same network with additions, of which some numbers are not zero from the start. */
static void open_lora(struct subject *with, const struct subject *s)
{
    static const char text[] = "{rank: 2, alpha: 6}";
    struct cb_lora lora;
    struct cb_value *file, *plain;
    uint32_t count = 0;
    *with = (struct subject){.reference = s->reference, .imported = s->imported};
    must(cb_yaml_read_text(world.arena, "lora.yaml", text, strlen(text), &file, world.diag));
    must(cb_lora_read(file, &lora, world.diag));
    must(cb_yaml_read_text(world.arena, "n.yaml", s->imported->yaml, strlen(s->imported->yaml), &plain, world.diag));
    struct cb_network *net = cb_network_create(world.registry, "plain");
    must(cb_network_read(net, plain, NULL, ".", world.diag));
    must(cb_lora_rewrite(net, &lora, NULL, world.arena, &file, &count, world.diag));
    cb_network_destroy(net);
    with->net = cb_network_create(world.registry, "with");
    must(cb_network_read(with->net, file, NULL, ".", world.diag));
    cb_lora_prepare(with->net);
    with->tokens = last_tokens(with->net);
    add_head(with);
    int64_t number = 0;
    for (uint32_t i = 0; i < with->net->param_count; i++) {
        struct cb_param *param = &with->net->params[i];
        if (with->net->nodes[param->node].added) {
            set_factors(param, number++);
        }
    }
    assert_int_equal(number, 2 * count);
    set_params(with);
}

static double loss_of(struct subject *s)
{
    struct cb_store *store;
    must(cb_store_create(s->net, world.device, false, &store, world.diag));
    struct cb_plan *plan = make_plan(s, store, false);
    const double loss = forward(s, plan, 0);
    cb_plan_destroy(plan);
    cb_store_destroy(store);
    return loss;
}

/* Ten losses; the base has not moved a bit; merged, the network is plain and gives the same. */
static void check_lora(const struct subject *s)
{
    struct subject with;
    char before[65], after[65];
    int64_t frozen, trainable;
    if (s->reference.lora_losses == NULL) {
        return;
    }
    open_lora(&with, s);
    freeze(&with, "backbone");
    cb_network_count(with.net, &frozen, &trainable);
    assert_true(trainable > 0 && trainable < frozen);
    cb_network_hash_frozen(with.net, before);
    descend_ten(&with, with.reference.lora_losses, "low-rank additions");
    cb_network_hash_frozen(with.net, after);
    assert_string_equal(before, after);
    const double loss = loss_of(&with);
    uint32_t wires[] = {with.losses, with.tokens};
    assert_true(cb_lora_is_in(with.net));
    must(cb_lora_merge(with.net, wires, 2, world.diag));
    assert_false(cb_lora_is_in(with.net));
    assert_int_equal(with.net->param_count, s->net->param_count);
    with.losses = wires[0];
    with.tokens = wires[1];
    with.targets = cb_network_find_wire(with.net, "targets");
    const double merged = loss_of(&with);
    printf("%s: merged, the loss is off by %.1e\n", s->imported->name, fabs(merged - loss));
    assert_true(fabs(merged - loss) < 2e-6);
    assert_true(fabs(merged - (double)with.reference.lora_losses[STEPS - 1]) > 1e-5); /* it did move */
    cb_network_destroy(with.net);
}

static void test_folder(void **state)
{
    struct subject s = {0};
    open_subject(&s, *state);
    check_frozen(&s);
    check_descent(&s);
    check_lora(&s);
    close_subject(&s);
}

int main(int argc, char **argv)
{
    static const char *const all[] = {"bert", "bert_sentences", "distilbert", "roberta", "electra", "gpt2", "llama",
                                      "llama_wide", "mistral", "qwen2", "llama_gguf", "qwen2_gguf"};
    const size_t count = argc > 1 ? (size_t)argc - 1 : sizeof(all) / sizeof(all[0]);
    struct CMUnitTest tests[32];
    world.arena = cb_arena_create();
    world.diag = cb_diag_create();
    world.registry = cb_registry_create(&cb__host);
    if (cb_device_open(NULL, &world.device, world.diag) != CB_OK) {
        printf("skipped: no OpenCL device\n");
        return 77;
    }
    for (size_t i = 0; i < count && i < 32; i++) {
        const char *name = argc > 1 ? argv[i + 1] : all[i];
        tests[i] = (struct CMUnitTest){name, test_folder, NULL, NULL, (void *)(uintptr_t)name};
    }
    const int failed = _cmocka_run_group_tests("texts", tests, count < 32 ? count : 32, NULL, NULL);
    cb_device_close(world.device);
    cb_registry_destroy(world.registry);
    cb_diag_destroy(world.diag);
    cb_arena_destroy(world.arena);
    return failed;
}
