/* yaml_to_json.c: a YAML file as JSON, as the program's own reader understands it. */
#include <stdio.h>

#include "base/value.h"

int main(int argc, char **argv)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_value *value;
    struct cb_text text = {0};
    if (argc != 2 || arena == NULL || cb_yaml_read_file(arena, argv[1], &value, NULL) != CB_OK) {
        return 2;
    }
    cb_value_to_json(value, &text);
    printf("%s\n", text.data);
    cb_text_free(&text);
    cb_arena_destroy(arena);
    return 0;
}
