#!/usr/bin/env python3
"""Writes tests/errors/files: pictures, tables and weights that are damaged or lie, and a few that are sound.

Only Python's standard library; run once, the files are kept: python3 tests/reference/make_broken_files.py
"""
import io
import json
import os
import struct
import zipfile
import zlib

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'errors', 'files')


def write(name, data):
    path = os.path.join(HERE, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(data)


def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def png(width, height, rows, depth=8, colour=0):
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, 0))
            + chunk(b'IDAT', zlib.compress(rows, 9)) + chunk(b'IEND', b''))


def grey(width, height, value):
    return png(width, height, b''.join(b'\0' + bytes((value + x * y) % 256 for x in range(width)) for y in range(height)))


def safetensors(header, data=b'', length=None):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(',', ':')).encode()
    return struct.pack('<Q', len(text) if length is None else length) + text + data


def tensor(dtype, shape, begin, end):
    return {'dtype': dtype, 'shape': shape, 'data_offsets': [begin, end]}


def pictures():
    for label, value in (('circle', 10), ('square', 200)):
        for i in range(6):
            write(f'pics/{label}/{i}.png', grey(12, 12, value + i))
    write('one.png', grey(1, 1, 7))
    whole = grey(64, 48, 99)
    write('half.png', whole[:len(whole) // 2])
    write('crc.png', whole[:45] + bytes([whole[45] ^ 0xFF]) + whole[46:])
    write('zero.png', b'')
    write('text.png', b'this is not a picture\n')
    write('huge.png', png(20000, 20000, (b'\0' + bytes(2500)) * 20000, depth=1))  # a real one, 50 MB when unpacked
    write('lie.png', png(20000, 20000, b'\0' * 100))  # says 20,000 x 20,000 and holds five pixels
    write('grey.png', whole)
    write('wide.png', png(2**31 - 1, 1, b'\0' * 100))


def idx():
    def images(count, said, rows=8, columns=8):
        return struct.pack('>IIII', 0x803, said, rows, columns) + bytes(range(rows * columns)) * count

    def labels(values, said):
        return struct.pack('>II', 0x801, said) + bytes(values)

    write('idx/images', images(4, 4))
    write('idx/labels', labels([0, 1, 0, 1], 4))
    write('idx/lying-images', images(4, 4000))
    write('idx/huge-images', struct.pack('>IIII', 0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(64))
    write('idx/lying-labels', labels([0, 1], 4))
    write('idx/three-labels', labels([0, 1, 0], 3))
    write('idx/no-idx', b'P5 8 8 255\n' + bytes(64))
    write('idx/short', b'\0\0\x08')


def weights():
    f32 = bytes(16)
    write('st/short.safetensors', b'\x10\0\0')
    write('st/length.safetensors', safetensors({'a': tensor('F32', [4], 0, 16)}, f32, length=100000))
    write('st/huge.safetensors', safetensors({'a': tensor('F32', [4], 0, 16)}, f32, length=2**63))
    write('st/json.safetensors', safetensors(b'{"a": {"dtype": "F32", ', f32))
    write('st/array.safetensors', safetensors(b'[1, 2, 3]', f32))
    write('st/beyond.safetensors', safetensors({'a': tensor('F32', [8], 0, 32)}, f32))
    write('st/size.safetensors', safetensors({'a': tensor('F32', [5], 0, 16)}, f32))
    write('st/backwards.safetensors', safetensors({'a': tensor('F32', [4], 16, 0)}, f32))
    write('st/overlap.safetensors', safetensors({'a': tensor('F32', [3], 0, 12), 'b': tensor('F32', [2], 8, 16)}, f32))
    write('st/hole.safetensors', safetensors({'a': tensor('F32', [1], 0, 4), 'b': tensor('F32', [2], 8, 16)}, f32))
    write('st/trailing.safetensors', safetensors({'a': tensor('F32', [3], 0, 12)}, f32))
    write('st/dtype.safetensors', safetensors({'a': tensor('F33', [4], 0, 16)}, f32))
    write('st/product.safetensors', safetensors({'a': tensor('F32', [2**32, 2**32], 0, 16)}, f32))
    write('st/negative.safetensors', safetensors({'a': tensor('F32', [-4], 0, 16)}, f32))
    write('st/twice.safetensors', safetensors(
        b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}',
        f32))
    write('st/nokey.safetensors', safetensors({'a': {'dtype': 'F32', 'shape': [4]}}, f32))
    write('st/metadata.safetensors', safetensors({'__metadata__': {'a': 1}, 'a': tensor('F32', [4], 0, 16)}, f32))
    write('st/deep.safetensors', safetensors(b'{"a":' * 20000, f32))
    write('st/sound.safetensors', safetensors({'a': tensor('F32', [4], 0, 16)}, f32))
    write('st/x.safetensors', safetensors({'x': tensor('F32', [2, 2], 0, 16)}, f32))
    write('st/shapes.safetensors', safetensors({'classifier.w': tensor('F32', [2, 2], 0, 16)}, f32))


def archive(pickle, storage=bytes(16)):
    """The zip form of torch.save around a pickle."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as file:
        for name, data in (('data.pkl', pickle), ('data/0', storage), ('version', b'3\n')):
            file.writestr(zipfile.ZipInfo('archive/' + name), data)
    return out.getvalue()


def text(word):
    return b'X' + struct.pack('<I', len(word)) + word.encode()


def number(value):
    return b'\x8a\x08' + struct.pack('<q', value)


def state_dict(offset=0, sizes=(4,), strides=(1,), key='0', count=4):
    """{'a': tensor} with a storage of `count` floats, as torch.save pickles it."""
    storage = b'(' + text('storage') + b'ctorch\nFloatStorage\n' + text(key) + text('cpu') + number(count) + b'tQ'
    shape = b'(' + b''.join(number(n) for n in sizes) + b't' + b'(' + b''.join(number(n) for n in strides) + b't'
    hooks = b'ccollections\nOrderedDict\n)R'
    return (b'\x80\x02}' + text('a') + b'ctorch._utils\n_rebuild_tensor_v2\n(' + storage + number(offset) + shape + b'\x89'
            + hooks + b'tRs.')


def torch():
    write('pt/sound.pth', archive(state_dict()))
    write('pt/call.pth', archive(b'\x80\x02cos\nsystem\n' + text('true') + b'\x85R.'))
    write('pt/eval.pth', archive(b'\x80\x02c__builtin__\neval\n' + text('1') + b'\x85R.'))
    write('pt/opcode.pth', archive(b'\x80\x02}\x97.'))
    write('pt/build.pth', archive(b'\x80\x02}ctorch\nnn\n)\x81}b.'))
    write('pt/underflow.pth', archive(b'\x80\x02aaaa.'))
    write('pt/memo.pth', archive(b'\x80\x02h\x07.'))
    write('pt/deep.pth', archive(b'\x80\x02' + b'(' * 20000 + b'.'))
    write('pt/long.pth', archive(b'\x80\x02}X\xff\xff\xff\x7fabc.'))
    write('pt/beyond.pth', archive(state_dict(offset=2)))
    write('pt/negative.pth', archive(state_dict(offset=-2)))
    write('pt/sizes.pth', archive(state_dict(sizes=(2**40, 2**40), strides=(0, 0))))
    write('pt/storage.pth', archive(state_dict(count=2**60)))
    write('pt/nowhere.pth', archive(state_dict(key='../../etc/passwd')))
    write('pt/bare.pth', b'\x80\x02cos\nsystem\n' + text('true') + b'\x85R.')


pictures()
idx()
weights()
torch()
