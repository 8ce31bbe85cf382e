"""Writes tests/data/tokenizers: small tokenizers trained with the package `tokenizers` on the text of LICENSE and
README.md, and what it makes of strings: strings.txt (a JSON text a line), NAME.json (of two also smollm.gguf, and
vocab.json with merges.txt), NAME.ids (a line: ids,
ids and segments of the string paired with itself and cut to 9 tokens, the first ids decoded). Run from the root:

    python3 tests/reference/make_tokenizer_references.py
"""
import json
import pathlib
import random
import tempfile
import unicodedata

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = pathlib.Path('tests/data/tokenizers')
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
HOSTILE = [
    '', ' ', '  two  blanks ', '\ta\nb\r\nc\n\n\nd', "don't we'LL they'ſ I'M", 'naïve café ÅNGSTRÖM', 'e\u0301a\u0323\u0301',
    '日本語 한국어 中文字', 'العربية עִבְרִית', 'हिन्दी ไทย', '👨\u200d👩\u200d👧 🇩🇪 ❤️', 'x' * 130, 'a' * 60 + ' ' + 'ab' * 50,
    '\x01\x7f\x85\xa0\u2028\u3000\ufeff\ufffd', '12345 1,234.56 ٣٤ ½ Ⅷ', '[CLS] in [MASK], [SEP]text<s>x</s><|end|>  y',
    'İstanbul ΣΊΣΥΦΟΣ ß ﬁ Ǆ', '\U00020000\U0001d54f\U0010ffff', '...!!!???---', 'snake_case camelCase $5+3=8 ^_^ `x|y~z`',
    '\u0301leading', '▁under Ġspace <0x41>', 'nested \t \u2009 blanks \u200b none',
]


def strings():
    r = random.Random(7)
    old, new = unicodedata.ucd_3_2_0, unicodedata  # letters that every version of Unicode in use agrees on
    letters = [c for c in range(0x20, 0x2000) if old.category(chr(c)) == new.category(chr(c)) != 'Cn']
    lines = [line for line in pathlib.Path('LICENSE').read_text().split('\n') if line.strip()]
    out = HOSTILE + r.sample(lines, 60)
    for _ in range(200):
        out.append(''.join(r.choice([chr(r.choice(letters)), r.choice(' ab.'), chr(r.randint(0x4e00, 0x9000)), '\u0301'])
                           for _ in range(r.randint(1, 12))))
    return out


def train(name, tokenizer, trainer):
    tokenizer.train(['LICENSE', 'README.md'], trainer)
    return name, tokenizer


def bert(name, lower):
    t = Tokenizer(models.WordPiece(unk_token='[UNK]'))
    t.normalizer = normalizers.BertNormalizer(lowercase=lower)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    train(name, t, trainers.WordPieceTrainer(vocab_size=700, show_progress=False,
                                             special_tokens=['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']))
    t.post_processor = processors.TemplateProcessing('[CLS] $A [SEP]', '[CLS] $A [SEP] $B:1 [SEP]:1',
                                                     [('[CLS]', 2), ('[SEP]', 3)])
    return name, t


def byte_level(name, pre, special, processor=None):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    train(name, t, trainers.BpeTrainer(vocab_size=700, show_progress=False, special_tokens=special,
                                       initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.post_processor = processor or processors.ByteLevel(trim_offsets=False)
    return name, t


def unigram():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(' {2,}'), ' ')])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    train('unigram', t, trainers.UnigramTrainer(vocab_size=400, show_progress=False, unk_token='<unk>',
                                                special_tokens=['<unk>', '<s>', '</s>']))
    t.post_processor = processors.TemplateProcessing('$A </s>', '$A </s> $B </s>', [('</s>', 2)])
    return 'unigram', t


def charsmap():
    """SentencePiece's own model with a small normalisation map: of a letter, of a grapheme, of nothing."""
    rules = [('ﬁ', 'fi'), ('é', 'e'), ('e\u0301', 'E'), ('İ', 'i'), ('\u2009', ' '), ('\u200b', ''), ('中', 'zhong'), ('½', '1/2')]
    with tempfile.TemporaryDirectory() as folder:
        tsv = pathlib.Path(folder, 'rules.tsv')
        tsv.write_text(''.join('%s\t%s\n' % tuple(' '.join('%X' % ord(c) for c in side) for side in rule) for rule in rules))
        sentencepiece.SentencePieceTrainer.train(input='LICENSE,README.md', model_prefix=f'{folder}/m', vocab_size=500,
                                                 normalization_rule_tsv=str(tsv), minloglevel=2)
        model = sentencepiece_model_pb2.ModelProto()
        model.ParseFromString(pathlib.Path(folder, 'm.model').read_bytes())
    t = Tokenizer(models.Unigram([(piece.piece, piece.score) for piece in model.pieces], 0, False))
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap),
                                         normalizers.Replace(Regex(' {2,}'), ' ')])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    t.decoder = decoders.Metaspace()
    t.post_processor = processors.TemplateProcessing('<s> $A </s>', '<s> $A </s> </s> $B </s>', [('<s>', 1), ('</s>', 2)])
    t.add_special_tokens(['<s>', '</s>'])
    return 'charsmap', t


def fallback():
    t = Tokenizer(models.BPE(unk_token='<unk>', byte_fallback=True, fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
    t.decoder = decoders.Sequence([decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(' ', 1, 0)])
    t.pre_tokenizer = pre_tokenizers.Split('▁', 'merged_with_next')
    train('llama', t, trainers.BpeTrainer(vocab_size=800, show_progress=False,
                                          special_tokens=['<unk>', '<s>', '</s>'] + [f'<0x{i:02X}>' for i in range(256)]))
    t.pre_tokenizer = None
    t.post_processor = processors.TemplateProcessing('<s> $A', '<s> $A <s>:1 $B:1', [('<s>', 1)])
    return 'llama', t


def write_gguf(t):
    """SmolLM's as llama.cpp's converter writes it, beside the tokenizer.json that gave the ids."""
    model = json.loads(t.to_str())['model']
    writer = gguf.GGUFWriter(OUT / 'smollm.gguf', 'llama')
    writer.add_tokenizer_model('gpt2')
    writer.add_tokenizer_pre('smollm')
    writer.add_token_list(sorted(model['vocab'], key=model['vocab'].get))
    writer.add_token_types([3] + [1] * (len(model['vocab']) - 1))
    writer.add_token_merges([' '.join(merge) for merge in model['merges']])
    writer.add_eos_token_id(0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    every = strings()
    (OUT / 'strings.txt').write_text(''.join(json.dumps(s) + '\n' for s in every))
    split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), 'isolated'),
                                     pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                      pre_tokenizers.ByteLevel(add_prefix_space=False)])
    for name, t in [bert('uncased', True), bert('cased', False),
                    byte_level('gpt2', pre_tokenizers.ByteLevel(add_prefix_space=False), ['<|end|>']),
                    byte_level('roberta', pre_tokenizers.ByteLevel(add_prefix_space=True), ['<s>', '<pad>', '</s>'],
                               processors.RobertaProcessing(('</s>', 2), ('<s>', 0))),
                    byte_level('llama3', split, ['<|end|>']), byte_level('smollm', digits, ['<|end|>']),
                    unigram(), charsmap(), fallback()]:
        t.save(str(OUT / f'{name}.json'), pretty=False)
        if name == 'smollm':
            write_gguf(t)
        if name == 'gpt2':
            t.model.save(str(OUT))
        rows = []
        for s in every:
            t.no_truncation()
            ids = t.encode(s).ids
            t.enable_truncation(9)
            pair = t.encode(s, s)
            rows.append(json.dumps([ids, pair.ids, pair.type_ids, t.decode(ids, skip_special_tokens=True)]) + '\n')
        (OUT / f'{name}.ids').write_text(''.join(rows))


if __name__ == '__main__':
    main()
