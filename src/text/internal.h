/* internal.h: what the files of src/text share. A text runs through
 *   added tokens (added.c) -> normalizer (normalize.c) -> added tokens again -> pre-tokenizer (pretokenize.c)
 *   -> model (wordpiece.c, bpe.c, unigram.c) -> template (encode.c)
 * as a strand, its bytes and where each came from, and pieces, places in the strand. */
#ifndef CAMBIUM_TEXT_INTERNAL_H
#define CAMBIUM_TEXT_INTERNAL_H

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "base/value.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

/* ---- strings that lead to numbers (trie.c) ------------------------------------------------------------------------- */

/* A prefix tree in one array; node 0 is the root, a node's children lie side by side, by their letter. */
struct cb__trie_node {
    uint32_t first; /* child */
    uint32_t value; /* CB_NO_TOKEN: no string ends here */
    uint16_t count; /* of children */
    uint8_t letter;
};
struct cb__trie {
    struct cb__trie_node *nodes;
    uint32_t node_count;
    uint32_t roots[256]; /* the root's children by letter, 0: none */
};
struct cb__trie_key {
    const char *text;
    uint32_t bytes, value;
};
/* Sorts `keys`. Of equal strings the last counts. False when memory is exhausted (or more than 2^31 letters in all). */
bool cb__trie_build(struct cb_arena *arena, struct cb__trie_key *keys, size_t count, struct cb__trie *out);
uint32_t cb__trie_find(const struct cb__trie *trie, const char *text, size_t bytes); /* value or CB_NO_TOKEN */
/* The child of `node` for a letter, 0: none. */
static inline uint32_t cb__trie_step(const struct cb__trie *trie, uint32_t node, uint8_t letter)
{
    if (node == 0) {
        return trie->roots[letter];
    }
    const struct cb__trie_node *at = &trie->nodes[node];
    uint32_t low = at->first, high = at->first + at->count;
    while (high - low > 6) {
        uint32_t middle = low + (high - low) / 2;
        if (trie->nodes[middle].letter <= letter) {
            low = middle;
        } else {
            high = middle;
        }
    }
    for (; low < high; low++) {
        if (trie->nodes[low].letter == letter) {
            return low;
        }
    }
    return 0;
}

/* ---- what a text becomes on its way -------------------------------------------------------------------------------- */

struct cb__strand {
    char *bytes;
    struct cb_token_span *origins; /* of each byte: the letter of the text it comes from; only with has_origins */
    size_t length, capacity;
    bool has_origins, failed;
};
/* Room for `more` bytes; false when memory is exhausted, then `failed`. */
bool cb__strand_reserve(struct cb__strand *strand, size_t more);
void cb__strand_add(struct cb__strand *strand, const char *bytes, size_t count, struct cb_token_span origin);
void cb__strand_add_code(struct cb__strand *strand, int32_t code, struct cb_token_span origin);
/* Bytes of another strand with their origins. */
void cb__strand_copy(struct cb__strand *strand, const struct cb__strand *from, size_t begin, size_t end);
static inline struct cb_token_span cb__strand_origin(const struct cb__strand *strand, size_t i)
{
    return strand->has_origins ? strand->origins[i] : (struct cb_token_span){0, 0};
}

struct cb__piece {
    uint32_t begin, end; /* in the strand */
    uint32_t token;      /* that it is already; CB_NO_TOKEN: to be cut */
    bool is_first;       /* it begins where the text does */
};
struct cb__pieces {
    struct cb__piece *items;
    size_t count, capacity;
    bool failed;
};
/* Empty pieces are left out. */
void cb__pieces_add(struct cb__pieces *pieces, struct cb__piece piece);

/* ---- patterns (pattern.c, scan.c) ---------------------------------------------------------------------------------- */

struct cb__pattern; /* a regular expression as tokenizer.json has it, or a literal text */
/* Fails with UNSUPPORTED where it is none that is known. It lives as long as the arena. */
enum cb_status cb__pattern_create(struct cb_arena *arena, const char *text, bool is_literal,
                                  const struct cb__pattern **out, const struct cb_place *at, struct cb_diag *diag);
/* The first match from `from` on: false when there is none, or, with *out_failed, when it gave up. */
bool cb__pattern_find(const struct cb__pattern *pattern, const char *text, size_t bytes, size_t from,
                      size_t *out_begin, size_t *out_end, bool *out_failed);
/* A hand-written equal of a pattern that many tokenizers use: the end of the match that begins at `from` < `bytes`;
 * such patterns match everywhere. */
typedef size_t (*cb__scan)(const char *text, size_t bytes, size_t from);
cb__scan cb__scan_of(const char *pattern); /* NULL: none is known */
size_t cb__scan_gpt2(const char *text, size_t bytes, size_t from);

/* ---- steps --------------------------------------------------------------------------------------------------------- */

enum cb__change {
    CB__CHANGE_BERT, CB__CHANGE_NFC, CB__CHANGE_NFD, CB__CHANGE_NFKC, CB__CHANGE_NFKD, CB__CHANGE_LOWERCASE,
    CB__CHANGE_STRIP, CB__CHANGE_STRIP_ACCENTS, CB__CHANGE_NMT, CB__CHANGE_REPLACE, CB__CHANGE_PREPEND,
    CB__CHANGE_BYTES, CB__CHANGE_CHARSMAP
};
/* One step of a normalizer. */
struct cb__normal_step {
    enum cb__change change;
    bool clean, chinese, strip_accents, lowercase; /* BERT */
    bool strip_left, strip_right;                  /* STRIP */
    const struct cb__pattern *pattern;             /* REPLACE */
    const char *content;                           /* REPLACE, PREPEND */
    size_t content_bytes;
    const struct cb__charsmap *charsmap;           /* CHARSMAP */
};
/* Appends what `step` makes of bytes [begin, end) of `in`. False when memory is exhausted. */
bool cb__normalize_step(const struct cb__normal_step *step, const struct cb__strand *in, struct cb__strand *out);

/* charsmap.c: `precompiled_charsmap`, from its base64. It lives as long as the arena. */
struct cb__charsmap;
enum cb_status cb__charsmap_create(struct cb_arena *arena, const char *base64, const struct cb__charsmap **out,
                                   const struct cb_place *at, struct cb_diag *diag);
void cb__normalize_charsmap(const struct cb__charsmap *map, const struct cb__strand *in, struct cb__strand *out);

enum cb__cut {
    CB__CUT_BERT, CB__CUT_WHITESPACE, CB__CUT_WHITESPACE_SPLIT, CB__CUT_PUNCTUATION, CB__CUT_DIGITS, CB__CUT_SPLIT,
    CB__CUT_BYTES, CB__CUT_METASPACE, CB__CUT_DELIMITER, CB__CUT_FIXED
};
enum cb__behavior { CB__ISOLATED, CB__REMOVED, CB__CONTIGUOUS, CB__MERGED_PREVIOUS, CB__MERGED_NEXT };
/* One step of a pre-tokenizer. */
struct cb__cut_step {
    enum cb__cut cut;
    enum cb__behavior behavior;        /* PUNCTUATION, SPLIT */
    bool is_individual;                /* DIGITS */
    bool is_inverted;                  /* SPLIT */
    bool has_prefix, has_regex;        /* BYTES */
    bool splits, always_prefix, first_prefix; /* METASPACE */
    const struct cb__pattern *pattern; /* SPLIT */
    cb__scan scan;                     /* SPLIT with a known pattern, cut everywhere */
    int32_t letter;                    /* METASPACE, DELIMITER */
    size_t length;                     /* FIXED, in letters */
};
struct cb__scratch;
/* Cuts the scratch's pieces further. INVALID when a pattern gave up. */
enum cb_status cb__cut_pieces(const struct cb__cut_step *step, struct cb__scratch *scratch, struct cb_diag *diag);

enum cb__decode {
    CB__DECODE_BYTES, CB__DECODE_WORDPIECE, CB__DECODE_METASPACE, CB__DECODE_BYTE_FALLBACK, CB__DECODE_FUSE,
    CB__DECODE_STRIP, CB__DECODE_REPLACE, CB__DECODE_BPE
};
struct cb__decode_step {
    enum cb__decode decode;
    const char *text, *content; /* WORDPIECE: prefix; BPE: suffix; REPLACE: content */
    size_t text_bytes, content_bytes;
    const struct cb__pattern *pattern; /* REPLACE */
    int32_t letter;                    /* METASPACE, STRIP */
    size_t start, stop;                /* STRIP */
    bool cleans, strips_first;         /* WORDPIECE; METASPACE */
};

/* ---- models -------------------------------------------------------------------------------------------------------- */

struct cb__token {
    const char *text; /* NULL: a number that is none */
    uint32_t bytes;
    bool is_special, is_added;
    double score;
};

/* Pairs of tokens that are joined, in a hash table of open addressing. */
struct cb__merge {
    uint64_t pair; /* left << 32 | right; UINT64_MAX: free */
    uint32_t rank, joined;
};

enum cb__model { CB__MODEL_WORDPIECE, CB__MODEL_BPE, CB__MODEL_UNIGRAM };

/* An added token: found in the text before anything else is done to it, or, `is_normalized`, after the normalizer. */
struct cb__added {
    uint32_t id;
    const char *content; /* as it is to be found */
    uint32_t bytes;
    bool is_single_word, takes_left, takes_right, is_normalized;
};

struct cb__template_item {
    enum { CB__ITEM_TEXT, CB__ITEM_PAIR, CB__ITEM_TOKEN } kind;
    uint32_t id; /* of a token */
    uint8_t segment;
};
struct cb__template {
    struct cb__template_item *items;
    size_t count;
    bool is_given;
};

struct cb_tokenizer {
    struct cb_arena *arena;
    struct cb__token *tokens; /* by id */
    uint32_t size, capacity, used; /* one past the largest id; room; how many there are */
    uint32_t model_size;      /* tokens that the model has; the others are added ones */

    struct cb__added *added;
    size_t added_count, added_capacity;
    struct cb__trie added_raw, added_normal; /* values: indices into added */
    bool has_raw, has_normal;

    struct cb__normal_step *normal;
    size_t normal_count;
    struct cb__cut_step *cuts;
    size_t cut_count;
    struct cb__decode_step *decodes;
    size_t decode_count;
    bool has_decoder;

    enum cb__model model;
    struct cb__trie trie; /* the model's tokens */
    uint32_t unknown;     /* CB_NO_TOKEN: none */
    /* WordPiece */
    const char *continuing;
    uint32_t continuing_node; /* of the trie, CB_NO_TOKEN: no token begins so */
    size_t most_letters;
    /* BPE */
    struct cb__merge *merges;
    size_t merge_mask;
    const char *prefix, *suffix; /* NULL: none */
    bool fuses_unknown, has_byte_fallback, ignores_merges;
    uint32_t bytes_of[256]; /* byte tokens <0x00> ... */
    /* Unigram */
    double unknown_score;
    bool is_single_precision;

    struct cb__template single, pair;
    uint32_t special[CB_SPECIAL_COUNT];
    size_t max_tokens;
    bool is_uncased;
    char description[128];
    struct cb_tokenizer_file *files;
    size_t file_count;
    char sha256[65];

    pthread_mutex_t lock; /* of idle */
    struct cb__scratch *idle;
};

/* ---- a thread's workplace ------------------------------------------------------------------------------------------ */

enum { CB__CACHE_KEY = 26, CB__CACHE_IDS = 8, CB__CACHE_SLOTS = 1 << 15 };
struct cb__cached {
    uint8_t bytes, count;
    char key[CB__CACHE_KEY];
    uint32_t ids[CB__CACHE_IDS];
    uint32_t unused;
};

struct cb__symbol {
    uint32_t id, bytes;
    int32_t before, after; /* neighbours, -1: none */
    uint32_t rank, joined; /* with the one after it; joined CB_NO_TOKEN: they don't join */
};
struct cb__queued {
    uint32_t rank, joined, place;
};
struct cb__best {
    double score;
    uint32_t id, from; /* from UINT32_MAX: not reached */
};

struct cb__scratch {
    struct cb__scratch *next;
    struct cb__strand given, one, two, text; /* the text (repaired), in between, what pieces lie in */
    struct cb__pieces pieces, other;
    struct cb__cached *cache;
    struct cb__symbol *symbols;
    size_t symbol_count, symbol_capacity;
    struct cb__queued *queue;
    size_t queue_count, queue_capacity;
    struct cb__best *best;
    size_t best_capacity;
    /* what the model gives */
    uint32_t *ids;
    uint32_t *lengths; /* in bytes of the piece */
    size_t count, capacity;
    bool failed;
};
/* One more token that stands for `bytes` of the piece. */
static inline void cb__scratch_emit(struct cb__scratch *scratch, uint32_t id, uint32_t bytes);
bool cb__scratch_grow(struct cb__scratch *scratch);

static inline void cb__scratch_emit(struct cb__scratch *scratch, uint32_t id, uint32_t bytes)
{
    if (scratch->count == scratch->capacity && !cb__scratch_grow(scratch)) {
        return;
    }
    scratch->ids[scratch->count] = id;
    scratch->lengths[scratch->count++] = bytes;
}

/* Each cuts one piece and emits its tokens; false when a letter is unknown and there is no token for that. */
bool cb__wordpiece(const struct cb_tokenizer *tokenizer, const char *piece, uint32_t bytes, struct cb__scratch *scratch);
bool cb__bpe(const struct cb_tokenizer *tokenizer, const char *piece, uint32_t bytes, struct cb__scratch *scratch);
bool cb__unigram(const struct cb_tokenizer *tokenizer, const char *piece, uint32_t bytes, struct cb__scratch *scratch);
/* Finds added tokens in pieces [from, ...) of the scratch. */
void cb__find_added(const struct cb_tokenizer *tokenizer, bool is_normalized, const struct cb__strand *strand,
                    struct cb__piece within, struct cb__pieces *out);
/* Applies the normalizer to [begin, end) of `from`, appends to `to`. */
bool cb__normalize(const struct cb_tokenizer *tokenizer, struct cb__scratch *scratch, const struct cb__strand *from,
                   size_t begin, size_t end, struct cb__strand *to);
struct cb__scratch *cb__scratch_create(void);
void cb__scratch_destroy(struct cb__scratch *scratch); /* accepts NULL */

/* ---- opening (open*.c, build.c) ------------------------------------------------------------------------------------ */

/* A file of a tokenizer while it is read. */
struct cb__opening {
    struct cb_tokenizer *tokenizer;
    const char *name; /* of the folder or file, for messages */
    const struct cb_place *at;
    struct cb_diag *diag;
};
/* The file of that name, NULL: it is not there. */
const struct cb_tokenizer_file *cb__opening_file(const struct cb__opening *o, const char *name);
/* Its values; *out stays NULL where there is no such file. */
enum cb_status cb__opening_json(const struct cb__opening *o, const char *name, struct cb_value **out);
enum cb_status cb__opening_memory(const struct cb__opening *o);

/* Puts a token of the model; FORMAT where the id is taken by another, or out of proportion to `expected` tokens. */
enum cb_status cb__put_token(struct cb__opening *o, uint64_t id, const char *text, size_t bytes, double score,
                             size_t expected, const struct cb_place *at);
/* An added token by the rules of the crate `tokenizers`: one that the model has keeps its id, another gets the next. */
struct cb__added_flags {
    bool is_single_word, takes_left, takes_right, is_normalized, is_special;
};
enum cb_status cb__put_added(struct cb__opening *o, const char *text, size_t bytes, struct cb__added_flags flags);
/* The trie over the model's tokens; call it when all are put. */
enum cb_status cb__build_trie(struct cb__opening *o);
/* The tables of the model, the tries of added tokens, the description. */
enum cb_status cb__build_tables(struct cb__opening *o);
/* Merges: make room for `count`, then put them in order of rank. */
enum cb_status cb__merges_reserve(struct cb__opening *o, size_t count);
void cb__merges_put(struct cb_tokenizer *tokenizer, uint32_t left, uint32_t right, uint32_t rank, uint32_t joined);

enum cb_status cb__open_json(struct cb__opening *o, const struct cb_value *root);   /* tokenizer.json */
enum cb_status cb__open_vocab_txt(struct cb__opening *o, const struct cb_tokenizer_file *file);
enum cb_status cb__open_vocab_json(struct cb__opening *o);
/* Puts what a GGUF file has as a tokenizer.json among the tokenizer's files. */
enum cb_status cb__open_gguf(struct cb__opening *o, const char *path);
enum cb_status cb__open_config(struct cb__opening *o); /* tokenizer_config.json and the like */
enum cb_status cb__read_normalizer(struct cb__opening *o, const struct cb_value *value);
enum cb_status cb__read_pre_tokenizer(struct cb__opening *o, const struct cb_value *value);
enum cb_status cb__read_post_processor(struct cb__opening *o, const struct cb_value *value);
enum cb_status cb__read_decoder(struct cb__opening *o, const struct cb_value *value);
struct cb__normal_step *cb__add_normal(struct cb__opening *o); /* NULL when memory is exhausted */
struct cb__cut_step *cb__add_cut(struct cb__opening *o);
struct cb__decode_step *cb__add_decode(struct cb__opening *o);

#endif
