/* helper.c: what the tests of the command line cannot do in the shell.
 *
 *     helper pictures FOLDER COUNT SEED [mirrored]    COUNT PNG pictures 20 x 16, alike within a seed; the last one mirrored
 *     helper json all|last FIELD...                   standard input is lines of JSON objects with these fields (a.b: b in a)
 *     helper tensors FILE NAME:DIM,DIM...             a safetensors file; each tensor's values are 0, 1, 2...
 *     helper tensor FILE NAME I VALUE                 element I of that tensor in it is VALUE
 *     helper close FILE OTHER NAME LIMIT              the one tensor of FILE and that of OTHER: |a - b| <= LIMIT max |b|
 *
 * The exit code tells, and what is wrong is said. */
#include <jansson.h>
#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 20, HEIGHT = 16 };

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static int write_png(const char *path, const unsigned char *pixels)
{
    png_image image = {.version = PNG_IMAGE_VERSION, .width = WIDTH, .height = HEIGHT, .format = PNG_FORMAT_RGB};
    if (!png_image_write_to_file(&image, path, 0, pixels, 0, NULL)) {
        fprintf(stderr, "%s: %s\n", path, image.message);
        return 1;
    }
    return 0;
}

/* A coloured square on noise; the seed gives colour and place, so that classes can be told apart. */
static void draw(uint32_t seed, uint32_t *noise, unsigned char *pixels)
{
    uint32_t colour = seed * 2654435761u;
    int left = (int)(seed % 3) * 5, top = (int)(seed / 3 % 2) * 6;
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++) {
        int x = i / 3 % WIDTH, y = i / 3 / WIDTH;
        int inside = x >= left && x < left + 8 && y >= top && y < top + 8;
        pixels[i] = (unsigned char)(next(noise) % 64 + (inside ? colour >> (8 * (i % 3)) & 0xbf : 0));
    }
}

static void mirror(unsigned char *pixels)
{
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH / 2; x++) {
            unsigned char keep[3], *a = pixels + (y * WIDTH + x) * 3, *b = pixels + (y * WIDTH + WIDTH - 1 - x) * 3;
            memcpy(keep, a, 3);
            memcpy(a, b, 3);
            memcpy(b, keep, 3);
        }
    }
}

static int pictures(int argc, char **argv)
{
    unsigned char pixels[WIDTH * HEIGHT * 3];
    int count = argc > 1 ? atoi(argv[1]) : 0, failed = count < 1 || argc < 3;
    uint32_t seed = argc > 2 ? (uint32_t)atoi(argv[2]) : 0, noise = seed;
    char path[4096];
    for (int i = 0; i < count && !failed; i++) {
        snprintf(path, sizeof(path), "%s/%d.png", argv[0], i + 1);
        draw(seed, &noise, pixels);
        failed = write_png(path, pixels);
    }
    if (!failed && argc > 3) {
        mirror(pixels);
        snprintf(path, sizeof(path), "%s/mirrored.png", argv[0]);
        failed = write_png(path, pixels);
    }
    return failed;
}

/* The value at a.b.c; NULL when it is not there. */
static const json_t *at(const json_t *object, const char *path)
{
    char key[128];
    while (object != NULL && *path != '\0') {
        size_t length = strcspn(path, ".");
        snprintf(key, sizeof(key), "%.*s", (int)length, path);
        object = json_object_get(object, key);
        path += length + (path[length] == '.');
    }
    return object;
}

static int check_line(const char *line, char **fields)
{
    json_error_t error;
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &error);
    int failed = object == NULL || !json_is_object(object);
    if (failed) {
        printf("no JSON object (%s): %s", object == NULL ? error.text : "another kind", line);
    }
    for (; !failed && *fields != NULL; fields++) {
        failed = at(object, *fields) == NULL;
        if (failed) {
            printf("no field `%s`: %s", *fields, line);
        }
    }
    json_decref(object);
    return failed;
}

static int json(char **argv)
{
    static char line[1 << 20], last[1 << 20];
    static char *none[] = {NULL};
    int only_last = strcmp(argv[0], "last") == 0, lines = 0, failed = 0;
    while (!failed && fgets(line, sizeof(line), stdin) != NULL) {
        lines++;
        failed = check_line(line, only_last ? none : argv + 1);
        memcpy(last, line, sizeof(last));
    }
    if (lines == 0) {
        printf("nothing was printed\n");
        return 1;
    }
    return failed || (only_last && check_line(last, argv + 1));
}

/* ---- safetensors: 8 bytes with the length of the header, the header in JSON, the values ---- */

static size_t dims_of(const char *text, json_t *dims)
{
    size_t count = 1;
    while (*text != '\0') {
        char *end;
        long dim = strtol(text, &end, 10);
        json_array_append_new(dims, json_integer(dim));
        count *= (size_t)dim;
        text = end + (*end == ',');
    }
    return count;
}

static int tensors(int count, char **argv)
{
    FILE *file = fopen(argv[0], "wb");
    json_t *header = json_object();
    size_t offset = 0;
    for (int i = 1; i < count; i++) {
        char *colon = strchr(argv[i], ':');
        if (colon == NULL) {
            return 2;
        }
        *colon = '\0';
        json_t *dims = json_array();
        size_t bytes = dims_of(colon + 1, dims) * sizeof(float);
        json_object_set_new(header, argv[i], json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", dims, "data_offsets",
                                                       (json_int_t)offset, (json_int_t)(offset + bytes)));
        offset += bytes;
    }
    char *text = json_dumps(header, JSON_COMPACT);
    uint64_t length = text != NULL ? strlen(text) : 0;
    int failed = file == NULL || text == NULL || fwrite(&length, 8, 1, file) != 1 || fwrite(text, length, 1, file) != 1;
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry) {
        json_int_t begin = json_integer_value(json_array_get(json_object_get(entry, "data_offsets"), 0));
        json_int_t end = json_integer_value(json_array_get(json_object_get(entry, "data_offsets"), 1));
        for (json_int_t i = 0; !failed && i < (end - begin) / (json_int_t)sizeof(float); i++) {
            float value = (float)i;
            failed = fwrite(&value, sizeof(value), 1, file) != 1;
        }
    }
    free(text);
    json_decref(header);
    return failed || fclose(file) != 0;
}

static int tensor(char **argv)
{
    FILE *file = fopen(argv[0], "rb");
    uint64_t length = 0;
    static char text[1 << 20];
    if (file == NULL || fread(&length, 8, 1, file) != 1 || length >= sizeof(text) || fread(text, length, 1, file) != 1) {
        return 1;
    }
    json_t *header = json_loads(text, 0, NULL);
    json_t *offsets = json_object_get(json_object_get(header, argv[1]), "data_offsets");
    long at = (long)json_integer_value(json_array_get(offsets, 0)) + atol(argv[2]) * (long)sizeof(float);
    float value;
    if (offsets == NULL || fseek(file, (long)(8 + length) + at, SEEK_SET) != 0 || fread(&value, sizeof(value), 1, file) != 1) {
        return 1;
    }
    fclose(file);
    json_decref(header);
    if (value != strtof(argv[3], NULL)) {
        printf("%s[%s] is %g\n", argv[1], argv[2], (double)value);
        return 1;
    }
    return 0;
}

/* The F32 values of a tensor, of the first one when `name` is NULL; the caller frees them. */
static float *read_tensor(const char *path, const char *name, size_t *out_count)
{
    static char text[1 << 20];
    uint64_t length = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL || fread(&length, 8, 1, file) != 1 || length >= sizeof(text) || fread(text, length, 1, file) != 1) {
        return NULL;
    }
    text[length] = '\0';
    json_t *header = json_loads(text, 0, NULL);
    json_object_del(header, "__metadata__");
    json_t *entry = name != NULL ? json_object_get(header, name) : json_object_iter_value(json_object_iter(header));
    json_t *offsets = json_object_get(entry, "data_offsets");
    const long begin = (long)json_integer_value(json_array_get(offsets, 0));
    const size_t bytes = (size_t)json_integer_value(json_array_get(offsets, 1)) - (size_t)begin;
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    float *values = malloc(bytes + 1);
    if (type == NULL || strcmp(type, "F32") != 0 || values == NULL || fseek(file, (long)(8 + length) + begin, SEEK_SET) != 0 ||
        fread(values, 1, bytes, file) != bytes) {
        free(values);
        values = NULL;
    }
    fclose(file);
    json_decref(header);
    *out_count = bytes / sizeof(float);
    return values;
}

static int is_close(char **argv)
{
    size_t count, other_count;
    float *a = read_tensor(argv[0], NULL, &count), *b = read_tensor(argv[1], argv[2], &other_count);
    float largest = 0.0f, error = 0.0f;
    int failed = a == NULL || b == NULL || count != other_count || count == 0;
    for (size_t i = 0; !failed && i < count; i++) {
        float difference = a[i] > b[i] ? a[i] - b[i] : b[i] - a[i], size = b[i] > 0.0f ? b[i] : -b[i];
        error = difference > error || difference != difference ? difference : error;
        largest = size > largest ? size : largest;
    }
    failed = failed || !(error <= strtof(argv[3], NULL) * largest);
    printf("largest difference %g, largest value %g\n", (double)error, (double)largest);
    free(a);
    free(b);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "close") == 0) {
        return is_close(argv + 2);
    }
    if (argc > 3 && strcmp(argv[1], "tensors") == 0) {
        return tensors(argc - 2, argv + 2);
    }
    if (argc == 6 && strcmp(argv[1], "tensor") == 0) {
        return tensor(argv + 2);
    }
    if (argc > 4 && strcmp(argv[1], "pictures") == 0) {
        return pictures(argc - 2, argv + 2);
    }
    if (argc > 2 && strcmp(argv[1], "json") == 0) {
        return json(argv + 2);
    }
    fprintf(stderr, "usage: helper pictures FOLDER COUNT SEED [mirrored] | helper json all|last FIELD...\n");
    return 2;
}
