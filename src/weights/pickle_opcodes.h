/* pickle_opcodes.h: the opcodes of Python's Lib/pickletools.py that pickle.c reads, and the names of the others. */
#ifndef CAMBIUM_WEIGHTS_PICKLE_OPCODES_H
#define CAMBIUM_WEIGHTS_PICKLE_OPCODES_H

#include <stddef.h>

enum opcode {
    OP_MARK = '(', OP_STOP = '.', OP_POP = '0', OP_POP_MARK = '1', OP_BINFLOAT = 'G', OP_BININT = 'J',
    OP_BININT1 = 'K', OP_BININT2 = 'M', OP_NONE = 'N', OP_BINPERSID = 'Q', OP_REDUCE = 'R', OP_BINSTRING = 'T',
    OP_SHORT_BINSTRING = 'U', OP_BINUNICODE = 'X', OP_APPEND = 'a', OP_BUILD = 'b', OP_GLOBAL = 'c',
    OP_EMPTY_DICT = '}', OP_APPENDS = 'e', OP_BINGET = 'h', OP_LONG_BINGET = 'j', OP_EMPTY_LIST = ']',
    OP_BINPUT = 'q', OP_LONG_BINPUT = 'r', OP_SETITEM = 's', OP_TUPLE = 't', OP_EMPTY_TUPLE = ')',
    OP_SETITEMS = 'u', OP_BINBYTES = 'B', OP_SHORT_BINBYTES = 'C', OP_PROTO = 0x80, OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86, OP_TUPLE3 = 0x87, OP_NEWTRUE = 0x88, OP_NEWFALSE = 0x89, OP_LONG1 = 0x8a,
    OP_SHORT_BINUNICODE = 0x8c, OP_BINUNICODE8 = 0x8d, OP_STACK_GLOBAL = 0x93, OP_MEMOIZE = 0x94, OP_FRAME = 0x95,
    OP_NEWOBJ = 0x81, OP_LONG4 = 0x8b, OP_BINBYTES8 = 0x8e, OP_EMPTY_SET = 0x8f, OP_ADDITEMS = 0x90,
    OP_FROZENSET = 0x91,
};

/* The name of an opcode that is refused; NULL: there is none of that code. */
static inline const char *refused_opcode(unsigned char code)
{
    static const struct {
        unsigned char code;
        const char *name;
    } refused[] = {
        {'2', "DUP"},          {'F', "FLOAT"},           {'I', "INT"},           {'L', "LONG"},
        {'P', "PERSID"},       {'S', "STRING"},          {'V', "UNICODE"},       {'d', "DICT"},
        {'g', "GET"},          {'i', "INST"},            {'l', "LIST"},          {'o', "OBJ"},
        {'p', "PUT"},          {0x81, "NEWOBJ"},         {0x82, "EXT1"},         {0x83, "EXT2"},
        {0x84, "EXT4"},        {0x92, "NEWOBJ_EX"},      {0x96, "BYTEARRAY8"},   {0x97, "NEXT_BUFFER"},
        {0x98, "READONLY_BUFFER"},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (refused[i].code == code) {
            return refused[i].name;
        }
    }
    return NULL;
}

#endif
