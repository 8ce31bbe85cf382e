/* `augment:` as people write it. What the changes do to pictures: tests/device/test_device_augment.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base_common.h"
#include "train/augment.h"

static struct cb_augment read_augment(struct fixture *f, const char *yaml)
{
    struct cb_augment augment;
    if (cb_augment_read(read_yaml(f, yaml), &augment, f->diag) != CB_OK) {
        fail_msg("%s", cb_diag_text(f->diag, 0));
    }
    return augment;
}

static void what_can_be_written(void **state)
{
    struct fixture *f = *state;
    struct cb_augment a = read_augment(f, "none");
    assert_true(cb_augment_is_none(&a));
    assert_int_equal(cb_augment_read(NULL, &a, f->diag), CB_OK);
    assert_true(cb_augment_is_none(&a));
    a = read_augment(f, "[]");
    assert_true(cb_augment_is_none(&a));

    a = read_augment(f, "flip");
    assert_true(a.flip_horizontal && !a.flip_vertical);
    a = read_augment(f, "[flip: vertical]");
    assert_true(!a.flip_horizontal && a.flip_vertical);
    a = read_augment(f, "{flip: both}");
    assert_true(a.flip_horizontal && a.flip_vertical);
    a = read_augment(f, "[{rotate: 15}, {shear: 5.5}, {shift: 0.1}, {scale: [0.9, 1.1]}]");
    assert_true(a.rotate == 15 && a.shear == 5.5 && a.shift[0] == 0.1 && a.shift[1] == 0.1 && a.scale[0] == 0.9 &&
                a.scale[1] == 1.1 && !a.flip_horizontal);
    a = read_augment(f, "[{shift: [0.2, 0]}, {crop: {scale: [0.3, 0.9]}}, {colour: {contrast: 0.4}}]");
    assert_true(a.shift[0] == 0.2 && a.shift[1] == 0 && a.crop[0] == 0.3 && a.crop[1] == 0.9 && a.crop_ratio[0] == 0.75 &&
                a.brightness == 0 && a.contrast == 0.4);
    a = read_augment(f, "[crop, colour]");
    assert_true(a.crop[0] == 0.5 && a.crop[1] == 1 && a.saturation == 0.2);
    a = read_augment(f, "photo");
    assert_true(a.flip_horizontal && a.rotate == 10 && a.crop[1] == 1 && a.brightness == 0.2);
    a = read_augment(f, "[photo, {rotate: 0}]"); /* later items change it */
    assert_true(a.flip_horizontal && a.rotate == 0);
}

static void what_cannot(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *yaml, *words;
    } cases[] = {
        {"[flipp]", "there is no augmentation `flipp`; did you mean `flip`?"},
        {"[rotate]", "`rotate` needs a number: {rotate: ...}"},
        {"[{rotate: 200}]", "`rotate` must be a number from 0 to 180"},
        {"[{rotate: ten}]", "`rotate` must be a number from 0 to 180"},
        {"[{flip: diagonal}]", "`flip` must be horizontal, vertical or both"},
        {"[{scale: 1.2}]", "`scale` must be two numbers, from and to, between 0.1 and 10"},
        {"[{scale: [1.2, 0.8]}]", "`scale` must be two numbers"},
        {"[{shift: [1, 2]}]", "`shift` must be a number from 0 to 1"},
        {"[{crop: {size: 3}}]", "`size`"},
        {"[{colour: {contrst: 0.1}}]", "did you mean `contrast`?"},
        {"[{rotate: 1, shear: 2}]", "an augmentation is a word"},
        {"[3]", "an augmentation is a word"},
        {"[null]", "an augmentation is a word"},
        {"[{shear: null}]", "`shear` must be a number from 0 to 60"},
        {"[{shift: null}]", "`shift` must be a number from 0 to 1"},
        {"[{scale: null}]", "`scale` must be two numbers"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cb_augment untouched = {.rotate = 77};
        assert_int_not_equal(cb_augment_read(read_yaml(f, cases[i].yaml), &untouched, f->diag), CB_OK);
        assert_true(untouched.rotate == 77);
        if (!strstr(cb_diag_text(f->diag, 0), cases[i].words)) {
            fail_msg("expected a message with\n    %s\nnot\n    %s", cases[i].words, cb_diag_text(f->diag, 0));
        }
        cb_diag_clear(f->diag);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_can_be_written),
        TEST(what_cannot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
