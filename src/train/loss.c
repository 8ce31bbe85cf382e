/* loss.c: see loss.h. What a loss is, its flags and its own infer say: nothing here knows one by name. */
#include "train/loss.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct request {
    struct cb_model *model;
    const struct cb_task *task;
    const struct cb_dataset *dataset; /* may be NULL */
    const struct cb_defaults *defaults;
    const char *word;                 /* of the loss */
    const struct cb_layer *loss;
    const struct cb_place *at;        /* of `train: loss`; may be NULL */
    bool values;                      /* the labels are values, not classes */
    int64_t wanted;                   /* values or classes; 0: nobody knows */
    struct cb_diag *diag;
};

static bool is_of_features(const struct request *q)
{
    return (q->loss->flags & CB_LAYER_EMBEDDING_LOSS) != 0;
}

/* A layer at the end that the loss takes over (its `link`) is left out of the network. */
static void take_link_over(struct cb_model *model, const char *link)
{
    struct cb_network *net = model->net;
    uint32_t last = net->wires[model->scores].node;
    if (link == NULL || last == CB_NONE || strcmp(net->nodes[last].type->layer.name, link) != 0) {
        return;
    }
    const char *before = net->wires[net->nodes[last].x[0]].name;
    uint32_t keep = net->nodes[last].x[0];
    cb_network_prune(net, &keep, 1);
    model->scores = cb_network_find_wire(net, before);
    model->input = net->inputs[0];
}

/* Whether the loss takes scores [N,k] with such targets: its own infer says so, in a network that is thrown away. */
static bool takes(const struct request *q, bool values, int64_t k)
{
    struct cb_network *net = cb_network_create(q->model->net->registry, "probe");
    const int64_t dims[2] = {1, k};
    uint32_t inputs[2], node;
    bool result = net != NULL &&
                  cb_network_add_input(net, "scores", CB_F32, 2, dims, NULL, &inputs[0], NULL) == CB_OK &&
                  cb_network_add_input(net, "target", values ? CB_F32 : CB_I32, values ? 2 : 1, dims, NULL, &inputs[1],
                                       NULL) == CB_OK &&
                  cb_network_add_layer(net, q->word, "loss", q->task->config.loss_options, inputs, 2, true, NULL, &node,
                                       NULL) == CB_OK;
    cb_network_destroy(net);
    return result;
}

/* ---- a loss that a task can name, for this kind of labels ---- */

static enum cb_status check_loss(const struct request *q)
{
    const int64_t k = q->wanted > 0 ? q->wanted : 2;
    if ((q->loss->flags & CB_LAYER_LOSS) == 0) {
        return cb_fail(q->diag, CB_INVALID, q->at, "`%s` is a layer, but no loss", q->word);
    }
    if (q->loss->min_inputs > 2) {
        return cb_fail(q->diag, CB_UNSUPPORTED, q->at,
                       "the loss `%s` compares %u tensors, but a task has one head and its labels: it is for programs "
                       "that build their own network", q->word, q->loss->min_inputs);
    }
    if (!takes(q, q->values, k) && takes(q, !q->values, k)) {
        return cb_fail(q->diag, CB_MISMATCH, q->at, "the loss `%s` is for %s, but the data's labels are %s", q->word,
                       q->values ? "classes" : "values", q->values ? "values" : "classes");
    }
    return CB_OK;
}

static bool says_none(const struct cb_value *choice)
{
    return choice != NULL && choice->kind == CB_KIND_TEXT && strcmp(choice->text, "none") == 0;
}

/* Features are no predictions: there is nothing to test, and which features the head has to say. */
static enum cb_status check_features(const struct request *q)
{
    const struct cb_task *task = q->task;
    const struct cb_value *test = cb_map_get(task->data, "test"), *validation = cb_map_get(task->data, "validation");
    if (!q->values && task->head == NULL && !task->keep_head) {
        return cb_fail(q->diag, CB_INVALID, q->at,
                       "the loss `%s` shapes features, not a score for each class: say with `model: head` how they are "
                       "made", q->word);
    }
    if (q->dataset != NULL && !says_none(test)) {
        return cb_fail(q->diag, CB_INVALID, test != NULL ? &test->at : &task->data->at,
                       "the loss `%s` makes features, no predictions that could be tested: say `test: none`, then train "
                       "a head on them with `backbone: run:NAME`", q->word);
    }
    if (q->dataset != NULL && validation != NULL && !says_none(validation)) {
        return cb_fail(q->diag, CB_INVALID, &validation->at,
                       "the loss `%s` makes features, no predictions that could be validated", q->word);
    }
    return CB_OK;
}

/* A loss over the whole batch cannot be summed up from parts. */
static enum cb_status check_batch(const struct request *q)
{
    const struct cb_value *accumulate = cb_map_get(q->task->train, "accumulate");
    if ((q->loss->flags & CB_LAYER_BATCH) != 0 && q->task->config.accumulate > 1) {
        return cb_fail(q->diag, CB_INVALID, accumulate != NULL ? &accumulate->at : q->at,
                       "the loss `%s` compares the samples of a batch, which therefore cannot be computed in parts",
                       q->word);
    }
    return CB_OK;
}

/* ---- the head's output ---- */

/* Not one row of a sample: names the layers that make one. */
static enum cb_status fail_rank(const struct request *q, const struct cb_place *head, const struct cb_wire *wire)
{
    struct cb_text rows = {0};
    char dims[192], wanted[32] = "C";
    const struct cb_value *list = q->defaults->rows;
    for (size_t i = 0; i < list->as.list.count; i++) {
        cb_text_addf(&rows, "%s`%s`", i == 0 ? "" : " or ", list->as.list.items[i]->text);
    }
    if (q->wanted > 0 && (q->values || !is_of_features(q))) {
        snprintf(wanted, sizeof(wanted), "%" PRId64, q->wanted);
    }
    enum cb_status status =
        cb_fail(q->diag, CB_MISMATCH, head,
                "the head's output `%s` has the shape %s, but the loss wants [N, %s]: is a %s missing in the head?",
                wire->name, cb_format_dims(wire->shape.rank, wire->shape.dims, dims), wanted,
                rows.data != NULL ? rows.data : "layer");
    cb_text_free(&rows);
    return status;
}

static enum cb_status check_scores(const struct request *q)
{
    const struct cb_wire *wire = &q->model->net->wires[q->model->scores];
    const struct cb_place *head = q->task->head != NULL ? &q->task->head->at : &q->task->model->at;
    if (wire->shape.rank != 2) {
        return fail_rank(q, head, wire);
    }
    if (q->wanted == 0 || wire->shape.dims[1] == q->wanted || (is_of_features(q) && !q->values)) {
        return CB_OK;
    }
    return cb_fail(q->diag, CB_MISMATCH, head,
                   "the head's output `%s` has %" PRId64 " units, but the data has %" PRId64 " %s", wire->name,
                   wire->shape.dims[1], q->wanted, q->values ? "values a sample" : "classes");
}

/* ---- all of it ---- */

static enum cb_status add(const struct request *q)
{
    struct cb_model *model = q->model;
    struct cb_network *net = model->net;
    uint32_t node, inputs[2];
    model->outputs = (uint32_t)net->wires[model->scores].shape.dims[1];
    const int64_t dims[2] = {1, q->values ? model->outputs : 1};
    CB_TRY(cb_network_add_input(net, "target", q->values ? CB_F32 : CB_I32, q->values ? 2 : 1, dims, NULL,
                                &model->target, q->diag));
    inputs[0] = model->scores;
    inputs[1] = model->target;
    CB_TRY(cb_network_add_layer(net, q->word, "loss", q->task->config.loss_options, inputs, 2, true, q->at, &node,
                                q->diag));
    model->loss_value = net->nodes[node].y[0];
    model->loss_weight = net->nodes[node].y[1];
    return CB_OK;
}

enum cb_status cb__model_add_loss(struct cb_model *model, const struct cb_task *task, const struct cb_dataset *dataset,
                                  const struct cb_defaults *defaults, struct cb_diag *diag)
{
    const bool values = dataset != NULL && dataset->target == CB_TARGET_VALUES;
    const struct cb_value *loss_value = cb_map_get(task->train, "loss");
    struct request q = {.model = model, .task = task, .dataset = dataset, .defaults = defaults, .values = values,
                        .at = loss_value != NULL ? &loss_value->at : NULL, .diag = diag,
                        .wanted = values ? dataset->value_count : model->class_count};
    const struct cb_layer_type *type;
    q.word = task->config.loss != NULL ? task->config.loss : values ? defaults->value_loss : defaults->class_loss;
    CB_TRY(cb_registry_find(model->net->registry, q.word, q.at, &type, diag));
    q.loss = &type->layer;
    if (dataset == NULL && task->config.loss != NULL && !takes(&q, false, q.wanted > 0 ? q.wanted : 2)) {
        q.values = takes(&q, true, q.wanted > 0 ? q.wanted : 2);
    }
    CB_TRY(check_loss(&q));
    if (is_of_features(&q)) {
        CB_TRY(check_features(&q));
    }
    CB_TRY(check_batch(&q));
    take_link_over(model, q.loss->link);
    model->link = q.loss->link;
    model->loss_flags = q.loss->flags;
    CB_TRY(check_scores(&q));
    if (is_of_features(&q)) {
        model->classes = NULL;
    }
    return add(&q);
}
