/* trie.c: strings that lead to numbers, as a prefix tree in one array. Built level by level from the sorted strings. */
#include "text/internal.h"

#include <stdlib.h>

static int compare_keys(const void *a, const void *b)
{
    const struct cb__trie_key *x = a, *y = b;
    uint32_t common = x->bytes < y->bytes ? x->bytes : y->bytes;
    int order = common > 0 ? memcmp(x->text, y->text, common) : 0;
    if (order != 0) {
        return order;
    }
    if (x->bytes != y->bytes) {
        return x->bytes < y->bytes ? -1 : 1;
    }
    return x->value < y->value ? -1 : x->value > y->value;
}

/* The keys below a node: they share its first `depth` letters. */
struct range {
    uint32_t begin, end, depth;
};

/* Lays the children of `node` behind the `*count` nodes there are. */
static void lay_children(struct cb__trie_node *nodes, struct range *ranges, uint32_t *count,
                         const struct cb__trie_key *keys, uint32_t node)
{
    struct range range = ranges[node];
    uint32_t i = range.begin;
    nodes[node].value = CB_NO_TOKEN;
    for (; i < range.end && keys[i].bytes == range.depth; i++) {
        nodes[node].value = keys[i].value;
    }
    nodes[node].first = *count;
    nodes[node].count = 0;
    while (i < range.end) {
        uint8_t letter = (uint8_t)keys[i].text[range.depth];
        uint32_t begin = i;
        for (; i < range.end && (uint8_t)keys[i].text[range.depth] == letter; i++) {
        }
        nodes[*count].letter = letter;
        ranges[*count] = (struct range){begin, i, range.depth + 1};
        nodes[node].count++;
        (*count)++;
    }
}

bool cb__trie_build(struct cb_arena *arena, struct cb__trie_key *keys, size_t count, struct cb__trie *out)
{
    qsort(keys, count, sizeof(*keys), compare_keys);
    uint64_t most = 1; /* nodes: the root, and for each key what it does not share with the one before it */
    for (size_t i = 0; i < count; i++) {
        uint32_t shared = 0;
        for (; i > 0 && shared < keys[i].bytes && shared < keys[i - 1].bytes &&
               keys[i].text[shared] == keys[i - 1].text[shared]; shared++) {
        }
        most += keys[i].bytes - shared;
    }
    if (most > INT32_MAX || count > INT32_MAX) {
        return false;
    }
    struct cb__trie_node *nodes = CB_NEW_ARRAY(arena, struct cb__trie_node, most);
    struct range *ranges = malloc(most * sizeof(*ranges));
    if (!nodes || !ranges) {
        free(ranges);
        return false;
    }
    uint32_t made = 1;
    ranges[0] = (struct range){0, (uint32_t)count, 0};
    for (uint32_t node = 0; node < made; node++) {
        lay_children(nodes, ranges, &made, keys, node);
    }
    free(ranges);
    memset(out, 0, sizeof(*out));
    out->nodes = nodes;
    out->node_count = made;
    for (uint32_t i = 0; i < nodes[0].count; i++) {
        out->roots[nodes[nodes[0].first + i].letter] = nodes[0].first + i;
    }
    return true;
}

uint32_t cb__trie_find(const struct cb__trie *trie, const char *text, size_t bytes)
{
    uint32_t node = 0;
    for (size_t i = 0; i < bytes; i++) {
        node = cb__trie_step(trie, node, (uint8_t)text[i]);
        if (node == 0) {
            return CB_NO_TOKEN;
        }
    }
    return trie->node_count > 0 ? trie->nodes[node].value : CB_NO_TOKEN;
}
