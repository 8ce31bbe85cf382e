/* pickle.c: the machine of pickle.h: opcodes, stack and memo. What a pickle calls by REDUCE is in pickle_build.c. */
#include "weights/pickle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/pickle_build.h"
#include "weights/pickle_opcodes.h"

struct machine {
    struct cb__pickle *pickle;
    size_t start;  /* of this object */
    size_t opcode; /* position of the opcode at work */
    struct cb__pickle_value **stack;
    size_t depth, stack_capacity;
    struct cb__pickle_value **memo;
    size_t memo_capacity, memo_next;
};

/* A mark lies on the stack like a value. */
static struct cb__pickle_value mark;

enum cb_status cb__pickle_fail(const struct cb__pickle *pickle, size_t position, const char *fmt, ...)
{
    char what[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    return cb_fail(pickle->diag, CB_FORMAT, pickle->at, "`%s`: pickle byte %zu: %s", pickle->path, position, what);
}

static enum cb_status no_memory(const struct cb__pickle *pickle)
{
    return cb_fail(pickle->diag, CB_MEMORY, pickle->at, "no memory for the names and shapes in `%s`", pickle->path);
}

enum cb_status cb__pickle_new(struct cb__pickle *pickle, enum cb__pickle_kind kind, struct cb__pickle_value **out)
{
    if (pickle->value_count++ >= CB__PICKLE_MAX_VALUES) {
        return cb__pickle_fail(pickle, pickle->position, "there are over %u values", CB__PICKLE_MAX_VALUES);
    }
    *out = CB_NEW(pickle->arena, struct cb__pickle_value);
    if (!*out) {
        return no_memory(pickle);
    }
    (*out)->kind = kind;
    return CB_OK;
}

enum cb_status cb__pickle_append(struct cb__pickle *pickle, struct cb__pickle_value *list,
                                 struct cb__pickle_value *const *items, size_t count)
{
    size_t needed = list->as.list.count + count;
    pickle->item_count += count; /* one list may be given to OrderedDict again and again */
    if (pickle->item_count > CB__PICKLE_MAX_ITEMS) {
        return cb__pickle_fail(pickle, pickle->position, "there are over %u items", CB__PICKLE_MAX_ITEMS);
    }
    if (needed > list->as.list.capacity) {
        size_t capacity = needed > 2 * (size_t)list->as.list.capacity ? needed : 2 * (size_t)list->as.list.capacity;
        struct cb__pickle_value **grown =
            capacity <= UINT32_MAX ? CB_NEW_ARRAY(pickle->arena, struct cb__pickle_value *, capacity) : NULL;
        if (!grown) {
            return no_memory(pickle);
        }
        if (list->as.list.count > 0) {
            memcpy(grown, list->as.list.items, list->as.list.count * sizeof(*grown));
        }
        list->as.list.items = grown;
        list->as.list.capacity = (uint32_t)capacity;
    }
    if (count > 0) {
        memcpy(list->as.list.items + list->as.list.count, items, count * sizeof(*items));
    }
    list->as.list.count = (uint32_t)needed;
    return CB_OK;
}

/* ---- stack and memo --------------------------------------------------------------------------------------------- */

static enum cb_status push(struct machine *m, struct cb__pickle_value *value)
{
    if (m->depth == m->stack_capacity) {
        size_t capacity = m->stack_capacity ? 2 * m->stack_capacity : 256;
        void *grown = realloc(m->stack, capacity * sizeof(*m->stack));
        if (!grown) {
            return no_memory(m->pickle);
        }
        m->stack = grown;
        m->stack_capacity = capacity;
    }
    m->stack[m->depth++] = value;
    return CB_OK;
}

static enum cb_status push_new(struct machine *m, enum cb__pickle_kind kind, struct cb__pickle_value **out)
{
    CB_TRY(cb__pickle_new(m->pickle, kind, out));
    return push(m, *out);
}

/* The newest `count` values, none of them a mark. */
static enum cb_status need(struct machine *m, size_t count)
{
    bool is_there = m->depth >= count;
    for (size_t i = 0; i < count && is_there; i++) {
        is_there = m->stack[m->depth - 1 - i] != &mark;
    }
    return is_there ? CB_OK : cb__pickle_fail(m->pickle, m->opcode, "the stack has too few values");
}

/* Drops the newest mark; the values above it begin at `*out_first` and are off the stack, but still in its array. */
static enum cb_status pop_to_mark(struct machine *m, struct cb__pickle_value ***out_first, size_t *out_count)
{
    size_t i = m->depth;
    while (i > 0 && m->stack[i - 1] != &mark) {
        i--;
    }
    if (i == 0) {
        return cb__pickle_fail(m->pickle, m->opcode, "there is no mark on the stack");
    }
    *out_first = m->stack + i;
    *out_count = m->depth - i;
    m->depth = i - 1;
    return CB_OK;
}

static enum cb_status remember(struct machine *m, size_t index)
{
    CB_TRY(need(m, 1));
    if (index > m->pickle->value_count) { /* each value is remembered once, under the next number */
        return cb__pickle_fail(m->pickle, m->opcode, "memo number %zu cannot be right", index);
    }
    if (index >= m->memo_capacity) {
        size_t capacity = index >= 128 ? 2 * index : 256;
        void *grown = realloc(m->memo, capacity * sizeof(*m->memo));
        if (!grown) {
            return no_memory(m->pickle);
        }
        m->memo = grown;
        memset(m->memo + m->memo_capacity, 0, (capacity - m->memo_capacity) * sizeof(*m->memo));
        m->memo_capacity = capacity;
    }
    m->memo[index] = m->stack[m->depth - 1];
    m->memo_next++;
    return CB_OK;
}

static enum cb_status recall(struct machine *m, size_t index)
{
    if (index >= m->memo_capacity || !m->memo[index]) {
        return cb__pickle_fail(m->pickle, m->opcode, "memo number %zu was never set", index);
    }
    return push(m, m->memo[index]);
}

/* ---- reading the input ------------------------------------------------------------------------------------------ */

static enum cb_status take(struct machine *m, uint64_t count, const unsigned char **out)
{
    struct cb__pickle *p = m->pickle;
    if (count > p->bytes - p->position) {
        return cb__pickle_fail(p, m->opcode, "the file ends within the pickle");
    }
    *out = p->data + p->position;
    p->position += (size_t)count;
    return CB_OK;
}

/* A little-endian count of `width` bytes, at most 8. */
static enum cb_status take_count(struct machine *m, uint32_t width, uint64_t *out)
{
    const unsigned char *bytes = NULL;
    CB_TRY(take(m, width, &bytes));
    *out = 0;
    for (uint32_t i = width; i-- > 0;) {
        *out = *out << 8 | bytes[i];
    }
    return CB_OK;
}

static enum cb_status push_text(struct machine *m, uint32_t width)
{
    uint64_t length;
    const unsigned char *bytes = NULL;
    struct cb__pickle_value *value;
    CB_TRY(take_count(m, width, &length));
    CB_TRY(take(m, length, &bytes));
    CB_TRY(push_new(m, CB__PICKLE_TEXT, &value));
    value->as.text.data = (const char *)bytes;
    value->as.text.length = (size_t)length;
    return CB_OK;
}

static enum cb_status push_integer(struct machine *m, enum cb__pickle_kind kind, int64_t integer)
{
    struct cb__pickle_value *value;
    CB_TRY(push_new(m, kind, &value));
    value->as.integer = integer;
    return CB_OK;
}

static enum cb_status push_long(struct machine *m, uint32_t width)
{
    uint64_t length;
    const unsigned char *bytes = NULL;
    CB_TRY(take_count(m, width, &length));
    CB_TRY(take(m, length, &bytes));
    if (length > 8) {
        struct cb__pickle_value *value;
        CB_TRY(push_new(m, CB__PICKLE_BIG, &value));
        value->as.text.data = (const char *)bytes;
        value->as.text.length = (size_t)length;
        return CB_OK;
    }
    uint64_t bits = length > 0 && bytes[length - 1] & 0x80 ? UINT64_MAX : 0;
    for (uint64_t i = length; i-- > 0;) {
        bits = bits << 8 | bytes[i];
    }
    return push_integer(m, CB__PICKLE_INT, (int64_t)bits);
}

static enum cb_status push_real(struct machine *m)
{
    const unsigned char *bytes = NULL;
    struct cb__pickle_value *value;
    uint64_t bits = 0;
    CB_TRY(take(m, 8, &bytes));
    for (int i = 0; i < 8; i++) { /* the only number in a pickle that is big-endian */
        bits = bits << 8 | bytes[i];
    }
    CB_TRY(push_new(m, CB__PICKLE_REAL, &value));
    memcpy(&value->as.real, &bits, sizeof(bits));
    return CB_OK;
}

static enum cb_status take_line(struct machine *m, const char **out, size_t *out_length)
{
    struct cb__pickle *p = m->pickle;
    const unsigned char *begin = p->data + p->position;
    const unsigned char *end = memchr(begin, '\n', p->bytes - p->position);
    if (!end) {
        return cb__pickle_fail(p, m->opcode, "the file ends within the pickle");
    }
    *out = (const char *)begin;
    *out_length = (size_t)(end - begin);
    p->position += *out_length + 1;
    return CB_OK;
}

static enum cb_status push_global(struct machine *m, const char *module, size_t module_length, const char *name,
                                  size_t name_length)
{
    struct cb__pickle_value *value;
    const char *harmless = cb__pickle_harmless(module, module_length, name, name_length);
    if (harmless) {
        CB_TRY(push_new(m, CB__PICKLE_FOREIGN, &value));
        value->as.foreign = harmless;
        return CB_OK;
    }
    const struct cb__pickle_global *global = cb__pickle_find_global(module, module_length, name, name_length);
    if (!global) {
        return cb__pickle_fail(
            m->pickle, m->opcode,
            "the file wants `%.*s.%.*s`; nothing in it is executed, and only dicts of tensors are read"
            " (save one with torch.save(model.state_dict(), ...))",
            (int)(module_length < 100 ? module_length : 100), module, (int)(name_length < 100 ? name_length : 100),
            name);
    }
    const char *why = cb__pickle_refusal(global);
    if (why) {
        return cb__pickle_fail(m->pickle, m->opcode, "the file wants `%.*s.%.*s`: %s", (int)module_length, module,
                               (int)name_length, name, why);
    }
    CB_TRY(push_new(m, CB__PICKLE_GLOBAL, &value));
    value->as.global = global;
    return CB_OK;
}

static enum cb_status do_global(struct machine *m)
{
    const char *module = NULL, *name = NULL;
    size_t module_length = 0, name_length = 0;
    CB_TRY(take_line(m, &module, &module_length));
    CB_TRY(take_line(m, &name, &name_length));
    return push_global(m, module, module_length, name, name_length);
}

static enum cb_status do_stack_global(struct machine *m)
{
    CB_TRY(need(m, 2));
    const struct cb__pickle_value *module = m->stack[m->depth - 2];
    const struct cb__pickle_value *name = m->stack[m->depth - 1];
    if (module->kind != CB__PICKLE_TEXT || name->kind != CB__PICKLE_TEXT) {
        return cb__pickle_fail(m->pickle, m->opcode, "a global is named by something that is not text");
    }
    m->depth -= 2;
    return push_global(m, module->as.text.data, module->as.text.length, name->as.text.data, name->as.text.length);
}

/* ---- containers and calls --------------------------------------------------------------------------------------- */

static enum cb_status do_tuple(struct machine *m, size_t count, bool to_mark)
{
    struct cb__pickle_value **items = NULL;
    struct cb__pickle_value *tuple;
    if (to_mark) {
        CB_TRY(pop_to_mark(m, &items, &count));
    } else {
        CB_TRY(need(m, count));
        m->depth -= count;
        items = m->stack + m->depth;
    }
    CB_TRY(cb__pickle_new(m->pickle, CB__PICKLE_TUPLE, &tuple));
    CB_TRY(cb__pickle_append(m->pickle, tuple, items, count));
    return push(m, tuple);
}

/* APPEND(S) and SETITEM(S): the values above the list or dict go into it. */
static enum cb_status do_insert(struct machine *m, enum cb__pickle_kind kind, size_t count, bool to_mark)
{
    struct cb__pickle_value **items = NULL;
    if (to_mark) {
        CB_TRY(pop_to_mark(m, &items, &count));
    } else {
        CB_TRY(need(m, count));
        m->depth -= count;
        items = m->stack + m->depth;
    }
    CB_TRY(need(m, 1));
    struct cb__pickle_value *target = m->stack[m->depth - 1];
    if (target->kind == CB__PICKLE_FOREIGN) {
        return CB_OK; /* what is in it is not wanted */
    }
    if (target->kind != kind || (kind == CB__PICKLE_DICT && count % 2 != 0)) {
        return cb__pickle_fail(m->pickle, m->opcode, "values are put into something that is not a %s",
                               kind == CB__PICKLE_DICT ? "dict" : kind == CB__PICKLE_LIST ? "list" : "set");
    }
    return cb__pickle_append(m->pickle, target, items, count);
}

static enum cb_status do_reduce(struct machine *m)
{
    struct cb__pickle_value *result;
    CB_TRY(need(m, 2));
    CB_TRY(cb__pickle_call(m->pickle, m->opcode, m->stack[m->depth - 2], m->stack[m->depth - 1], &result));
    m->depth -= 2;
    return push(m, result);
}

/* class.__new__(class, *args): of foreign classes only. */
static enum cb_status do_newobj(struct machine *m)
{
    CB_TRY(need(m, 2));
    if (m->stack[m->depth - 2]->kind != CB__PICKLE_FOREIGN) {
        return cb__pickle_fail(m->pickle, m->opcode, "opcode NEWOBJ has no place in a dict of tensors");
    }
    m->depth--;
    return CB_OK;
}

static enum cb_status push_set(struct machine *m)
{
    struct cb__pickle_value *set;
    CB_TRY(push_new(m, CB__PICKLE_FOREIGN, &set));
    set->as.foreign = "set";
    return CB_OK;
}

static enum cb_status do_frozenset(struct machine *m)
{
    struct cb__pickle_value **items = NULL;
    size_t count;
    CB_TRY(pop_to_mark(m, &items, &count));
    return push_set(m);
}

/* Attributes of an OrderedDict (torch's `_metadata`), the state of something foreign: dropped. */
static enum cb_status do_build(struct machine *m)
{
    CB_TRY(need(m, 2));
    enum cb__pickle_kind kind = m->stack[m->depth - 2]->kind;
    if (kind != CB__PICKLE_DICT && kind != CB__PICKLE_FOREIGN) {
        return cb__pickle_fail(m->pickle, m->opcode, "BUILD is read for an OrderedDict only");
    }
    m->depth--;
    return CB_OK;
}

static enum cb_status do_persistent(struct machine *m)
{
    struct cb__pickle *p = m->pickle;
    struct cb__pickle_value *value;
    CB_TRY(need(m, 1));
    const struct cb__pickle_value *id = m->stack[m->depth - 1];
    if (id->kind != CB__PICKLE_TUPLE || id->as.list.count == 0 || id->as.list.items[0]->kind != CB__PICKLE_TEXT) {
        return cb__pickle_fail(p, m->opcode, "a persistent id is not a tuple that begins with a text");
    }
    if (cb__pickle_text_is(id->as.list.items[0], "module")) {
        return cb__pickle_fail(p, m->opcode,
                               "the file holds a whole Python module; only dicts of tensors are read (save"
                               " one with torch.save(model.state_dict(), ...))");
    }
    if (!p->storage || !cb__pickle_text_is(id->as.list.items[0], "storage")) {
        return cb__pickle_fail(p, m->opcode, "a persistent id is not that of a storage");
    }
    CB_TRY(cb__pickle_new(p, CB__PICKLE_STORAGE, &value));
    CB_TRY(p->storage(p->context, p, id, value));
    m->depth--;
    return push(m, value);
}

static enum cb_status refuse_opcode(struct machine *m, unsigned char code)
{
    const char *name = refused_opcode(code);
    return name ? cb__pickle_fail(m->pickle, m->opcode, "opcode %s has no place in a dict of tensors", name)
                : cb__pickle_fail(m->pickle, m->opcode, "0x%02x is no opcode", code);
}

/* ---- the loop --------------------------------------------------------------------------------------------------- */

static enum cb_status step(struct machine *m, unsigned char code)
{
    struct cb__pickle_value *value;
    struct cb__pickle_value **items;
    size_t count;
    uint64_t number = 0;
    switch (code) {
    case OP_PROTO:
        CB_TRY(take_count(m, 1, &number));
        return number <= 5 ? CB_OK
                           : cb__pickle_fail(m->pickle, m->opcode, "protocol %u is not known", (unsigned)number);
    case OP_FRAME:
        return take_count(m, 8, &number);
    case OP_MARK:
        return push(m, &mark);
    case OP_POP:
        CB_TRY(need(m, 1));
        m->depth--;
        return CB_OK;
    case OP_POP_MARK:
        return pop_to_mark(m, &items, &count);
    case OP_NONE:
        return push_new(m, CB__PICKLE_NONE, &value);
    case OP_NEWTRUE:
    case OP_NEWFALSE:
        return push_integer(m, CB__PICKLE_BOOL, code == OP_NEWTRUE);
    case OP_BININT:
        CB_TRY(take_count(m, 4, &number));
        return push_integer(m, CB__PICKLE_INT, (int32_t)(uint32_t)number);
    case OP_BININT1:
        CB_TRY(take_count(m, 1, &number));
        return push_integer(m, CB__PICKLE_INT, (int64_t)number);
    case OP_BININT2:
        CB_TRY(take_count(m, 2, &number));
        return push_integer(m, CB__PICKLE_INT, (int64_t)number);
    case OP_LONG1:
    case OP_LONG4:
        return push_long(m, code == OP_LONG1 ? 1 : 4);
    case OP_BINFLOAT:
        return push_real(m);
    case OP_SHORT_BINSTRING:
    case OP_SHORT_BINBYTES:
    case OP_SHORT_BINUNICODE:
        return push_text(m, 1);
    case OP_BINSTRING:
    case OP_BINBYTES:
    case OP_BINUNICODE:
        return push_text(m, 4);
    case OP_BINUNICODE8:
    case OP_BINBYTES8:
        return push_text(m, 8);
    case OP_GLOBAL:
        return do_global(m);
    case OP_STACK_GLOBAL:
        return do_stack_global(m);
    case OP_EMPTY_TUPLE:
        return push_new(m, CB__PICKLE_TUPLE, &value);
    case OP_EMPTY_LIST:
        return push_new(m, CB__PICKLE_LIST, &value);
    case OP_EMPTY_DICT:
        return push_new(m, CB__PICKLE_DICT, &value);
    case OP_TUPLE:
        return do_tuple(m, 0, true);
    case OP_TUPLE1:
    case OP_TUPLE2:
    case OP_TUPLE3:
        return do_tuple(m, 1 + (size_t)(code - OP_TUPLE1), false);
    case OP_APPEND:
        return do_insert(m, CB__PICKLE_LIST, 1, false);
    case OP_APPENDS:
        return do_insert(m, CB__PICKLE_LIST, 0, true);
    case OP_SETITEM:
        return do_insert(m, CB__PICKLE_DICT, 2, false);
    case OP_SETITEMS:
        return do_insert(m, CB__PICKLE_DICT, 0, true);
    case OP_REDUCE:
        return do_reduce(m);
    case OP_BUILD:
        return do_build(m);
    case OP_NEWOBJ:
        return do_newobj(m);
    case OP_EMPTY_SET:
        return push_set(m);
    case OP_ADDITEMS:
        return do_insert(m, CB__PICKLE_FOREIGN, 0, true);
    case OP_FROZENSET:
        return do_frozenset(m);
    case OP_BINPERSID:
        return do_persistent(m);
    case OP_BINPUT:
        CB_TRY(take_count(m, 1, &number));
        return remember(m, (size_t)number);
    case OP_LONG_BINPUT:
        CB_TRY(take_count(m, 4, &number));
        return remember(m, (size_t)number);
    case OP_MEMOIZE:
        return remember(m, m->memo_next);
    case OP_BINGET:
        CB_TRY(take_count(m, 1, &number));
        return recall(m, (size_t)number);
    case OP_LONG_BINGET:
        CB_TRY(take_count(m, 4, &number));
        return recall(m, (size_t)number);
    default:
        return refuse_opcode(m, code);
    }
}

static enum cb_status run(struct machine *m, struct cb__pickle_value **out)
{
    for (;;) {
        const unsigned char *code = NULL;
        m->opcode = m->pickle->position;
        if (m->opcode - m->start > CB__PICKLE_MAX_BYTES) {
            return cb__pickle_fail(m->pickle, m->opcode, "it has over %zu bytes", CB__PICKLE_MAX_BYTES);
        }
        CB_TRY(take(m, 1, &code));
        if (*code == OP_STOP) {
            CB_TRY(need(m, 1));
            *out = m->stack[m->depth - 1];
            return CB_OK;
        }
        CB_TRY(step(m, *code));
    }
}

enum cb_status cb__pickle_read(struct cb__pickle *pickle, struct cb__pickle_value **out)
{
    struct machine machine = {.pickle = pickle, .start = pickle->position};
    enum cb_status status = run(&machine, out);
    free(machine.stack);
    free(machine.memo);
    return status;
}
