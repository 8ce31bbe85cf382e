/* test_metrics.c: what is said of predictions, against scikit-learn on the same numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base_common.h"
#include "train/metrics.h"

static const float probabilities[12][4] = {
    {0.218f, 0.431f, 0.195f, 0.155f}, {0.368f, 0.213f, 0.379f, 0.04f},  {0.001f, 0.084f, 0.069f, 0.846f},
    {0.379f, 0.383f, 0.027f, 0.211f}, {0.22f, 0.301f, 0.327f, 0.152f},  {0.038f, 0.009f, 0.379f, 0.574f},
    {0.221f, 0.355f, 0.129f, 0.296f}, {0.034f, 0.184f, 0.103f, 0.679f}, {0.134f, 0.168f, 0.261f, 0.436f},
    {0.271f, 0.175f, 0.527f, 0.027f}, {0.355f, 0.0f, 0.635f, 0.009f},   {0.519f, 0.101f, 0.339f, 0.04f},
};
static const int32_t labels[12] = {0, 1, 2, 2, 1, 0, 0, 2, 1, 2, 0, 2};

static void close_to(double got, double wanted)
{
    if (!(fabs(got - wanted) <= 1e-6)) {
        fail_msg("%.9g is not %.9g", got, wanted);
    }
}

static void classification(void **state)
{
    struct fixture *f = *state;
    struct cb_classification c;
    static const uint64_t confusion[16] = {0, 2, 1, 1, 0, 0, 2, 1, 1, 1, 1, 2, 0, 0, 0, 0};
    assert_int_equal(cb_metrics_classify(f->arena, probabilities[0], labels, 12, 4, &c, f->diag), CB_OK);
    close_to(c.accuracy, 0.08333333333);
    close_to(c.balanced_accuracy, 0.06666666667); /* the class without samples does not count */
    close_to(c.loss, 1.8458718607959879);
    close_to(c.baseline, 5.0 / 12.0);
    assert_int_equal(c.commonest, 2);
    assert_memory_equal(c.confusion, confusion, sizeof(confusion));
    close_to(c.per_class[2].precision, 0.25);
    close_to(c.per_class[2].recall, 0.2);
    close_to(c.per_class[2].f1, 0.2222222222);
    assert_int_equal(c.per_class[3].support, 0);
    assert_int_equal(c.per_class[3].predicted, 4);
    close_to(c.per_class[3].f1, 0.0);
}

static void classification_refuses(void **state)
{
    struct fixture *f = *state;
    struct cb_classification c;
    float broken[4] = {0.25f, 0.25f, NAN, 0.25f};
    const int32_t outside = 4, inside = 0;
    assert_int_equal(cb_metrics_classify(f->arena, probabilities[0], &outside, 1, 4, &c, f->diag), CB_INVALID);
    assert_int_equal(cb_metrics_classify(f->arena, broken, &inside, 1, 4, &c, f->diag), CB_NUMERIC);
    assert_int_equal(cb_metrics_classify(f->arena, broken, &inside, 0, 4, &c, f->diag), CB_OK);
    assert_true(c.count == 0 && c.accuracy == 0.0);
}

static void regression(void **state)
{
    struct fixture *f = *state;
    static const float predictions[12] = {1.58f, -0.92f, -0.29f, 1.2f, -1.86f, 0.81f, -0.54f, -0.6f, -0.15f, -0.18f, -0.02f, -0.63f};
    static const float targets[12] = {0.87f, -1.28f, -0.71f, 0.62f, -2.25f, 0.39f, -0.58f, 0.11f, -0.08f, 0.2f, 0.69f, -0.76f};
    struct cb_regression r;
    assert_int_equal(cb_metrics_regress(predictions, targets, 6, 2, &r, f->diag), CB_OK);
    close_to(r.mae, 0.41);
    close_to(r.rmse, 0.4700177301620298);
    close_to(r.r2, 0.6550718097993768);
    close_to(r.baseline, 0.7183333333333334);
}

static void softmax_of_any_scores(void **state)
{
    (void)state;
    float scores[6] = {1000.0f, 1001.0f, 999.0f, -3e38f, 3e38f, 0.0f};
    cb_softmax_rows(scores, 2, 3);
    close_to(scores[0], 0.24472847);
    close_to(scores[1], 0.66524096);
    close_to(scores[2], 0.09003057);
    close_to(scores[3], 0.0);
    close_to(scores[4], 1.0);
    const float equal[3] = {0.5f, 0.5f, 0.1f}, nothing[2] = {NAN, NAN};
    assert_int_equal(cb_argmax(equal, 3), 0);
    assert_int_equal(cb_argmax(nothing, 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(classification), TEST(classification_refuses), TEST(regression),
                                       cmocka_unit_test(softmax_of_any_scores)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
