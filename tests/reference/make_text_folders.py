#!/usr/bin/env python3
"""Writes tests/data/texts/NAME: folders as the Hugging Face hub has them, of tiny networks for texts with random weights in
half precision, and in reference.safetensors what transformers makes of four texts of different lengths:

    ids, segments [N,T], lengths [N]   what goes in; behind a text's length stands padding
    y [N,T,C]                          the last hidden states, in double precision; zeros at padding
    pooled [N,C]                       only of BERT with a pooler
    head.w [C,3], labels [N]           a head on the mean of the real tokens, and
    losses [10], rate                  the losses of ten steps of plain gradient descent of all params (the pooler's stay)
    lora_losses [10]                   the same where only the head and low-rank additions beside all linear layers move, of
                                       rank 2 and alpha 6, that begin as `factors` says

Two are files of llama.cpp, in which queries and keys of a Llama lie in another order (`permute` of its convert_hf_to_gguf.py).

    make_text_folders.py [FOLDER] [NAME...]     needs torch, transformers, safetensors, gguf; made with 2.15 and 5.24
"""
import copy
import json
import os
import shutil
import sys

import torch
import transformers as tf
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
VOCABULARY, LENGTH, LENGTHS = 37, 12, [12, 1, 7, 10]
STEPS, RATE = 10, 0.05
LORA = ['bert', 'gpt2', 'llama']

ENCODER = dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
               max_position_embeddings=16)
LLAMA = dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             intermediate_size=40, max_position_embeddings=16)

# name: the network that is saved, whether it has segments
FOLDERS = {
    'bert': (lambda: tf.BertForSequenceClassification(tf.BertConfig(**ENCODER, num_labels=3)), True),
    'bert_sentences': (lambda: tf.BertModel(tf.BertConfig(**dict(ENCODER, hidden_act='gelu_new', layer_norm_eps=1e-6))), True),
    'distilbert': (lambda: tf.DistilBertModel(tf.DistilBertConfig(
        vocab_size=VOCABULARY, dim=32, n_layers=2, n_heads=2, hidden_dim=48, max_position_embeddings=16)), False),
    'roberta': (lambda: tf.RobertaForMaskedLM(tf.RobertaConfig(**dict(
        ENCODER, type_vocab_size=1, max_position_embeddings=18, layer_norm_eps=1e-5))), False),
    'electra': (lambda: tf.ElectraForPreTraining(tf.ElectraConfig(**ENCODER, embedding_size=20)), True),
    'gpt2': (lambda: tf.GPT2LMHeadModel(tf.GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=2, n_positions=16)),
             False),
    'llama': (lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**LLAMA, tie_word_embeddings=True, rms_norm_eps=1e-5,
                                                         rope_parameters={'rope_theta': 5000.0, 'rope_type': 'default'})),
              False),
    'llama_wide': (lambda: tf.LlamaModel(tf.LlamaConfig(**LLAMA, head_dim=16, attention_bias=True, mlp_bias=True)), False),
    'mistral': (lambda: tf.MistralModel(tf.MistralConfig(**LLAMA, head_dim=8, sliding_window=None)), False),
    'qwen2': (lambda: tf.Qwen2ForCausalLM(tf.Qwen2Config(**LLAMA, tie_word_embeddings=False)), False),
}


def randomize(model):
    generator = torch.Generator().manual_seed(7)
    for name, tensor in model.named_parameters():
        noise = torch.randn(tensor.shape, generator=generator)
        with torch.no_grad():
            if tensor.dim() <= 1 and name.endswith('weight'):
                tensor.copy_(0.75 + 0.5 * torch.rand(tensor.shape, generator=generator))
            else:
                tensor.copy_(noise / (3.0 if tensor.dim() == 1 else tensor.shape[1] ** 0.5))
            tensor.copy_(tensor.half().float())


GGUF = {'llama_gguf': ('llama', 'llama'), 'qwen2_gguf': ('qwen2', 'qwen2')}  # of which folder, its architecture
GGUF_NAMES = [('model.embed_tokens', 'token_embd'), ('model.norm', 'output_norm'), ('lm_head', 'output'), ('model.layers', 'blk'),
              ('self_attn.q_proj', 'attn_q'), ('self_attn.k_proj', 'attn_k'), ('self_attn.v_proj', 'attn_v'),
              ('self_attn.o_proj', 'attn_output'), ('input_layernorm', 'attn_norm'), ('post_attention_layernorm', 'ffn_norm'),
              ('mlp.gate_proj', 'ffn_gate'), ('mlp.up_proj', 'ffn_up'), ('mlp.down_proj', 'ffn_down')]


def write_gguf(path, model, architecture):
    import gguf
    c = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_rope_freq_base(c.rope_parameters['rope_theta'])
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_token_list(['t%d' % i for i in range(VOCABULARY)])
    for name, tensor in model.half().state_dict().items():
        if name == 'lm_head.weight' and c.tie_word_embeddings:
            continue
        if architecture == 'llama' and ('q_proj' in name or 'k_proj' in name):
            heads = c.num_attention_heads if 'q_proj' in name else c.num_key_value_heads
            tensor = tensor.reshape(heads, 2, -1, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)
        for theirs, ours in GGUF_NAMES:
            name = name.replace(theirs, ours)
        writer.add_tensor(name, (tensor.float() if tensor.dim() == 1 else tensor).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def hidden(base, ids, segments, is_real):
    extra = {'token_type_ids': segments} if segments is not None else {}
    return base(input_ids=ids, attention_mask=is_real.long(), **extra).last_hidden_state


def descend(base, inputs, is_real, head, labels, weights, rate):
    """The base alone, in double precision, and a head on the mean of the real tokens."""
    losses = []
    for _ in range(STEPS):
        y = torch.where(is_real[:, :, None], hidden(base, *inputs, is_real), 0.0)
        loss = torch.nn.functional.cross_entropy(y.sum(1) / is_real.sum(1, keepdim=True) @ head, labels)
        for p in weights:
            p.grad = None
        loss.backward()
        with torch.no_grad():
            for p in weights:
                if p.grad is not None:
                    p -= rate * p.grad
        losses.append(loss.item())
    return losses


def factors(number, rows, columns):
    """Where the additions begin; the test computes the same numbers."""
    i = torch.arange(rows * columns, dtype=torch.int64)
    return (((i * 7919 + number * 104729) % 2001 - 1000).double() / 4000.0).float().double().reshape(rows, columns)


def add_low_rank(base):
    """Beside each linear layer, in the order in which they were made, which is that in which they run."""
    added = []
    for name, module in base.named_modules():
        if (isinstance(module, torch.nn.Linear) or type(module).__name__ == 'Conv1D') and 'pooler' not in name:
            k, c = module.weight.shape if isinstance(module, torch.nn.Linear) else reversed(module.weight.shape)
            a, b = factors(2 * len(added), c, 2).requires_grad_(), factors(2 * len(added) + 1, 2, k).requires_grad_()
            added.append((a, b))
            module.register_forward_hook(lambda m, x, y, a=a, b=b: y + 3.0 * (x[0] @ a @ b))
    return [p for pair in added for p in pair]


def write(root, name):
    make, has_segments = FOLDERS[GGUF[name][0] if name in GGUF else name]
    torch.manual_seed(1)
    model = make().eval()
    randomize(model)
    folder = os.path.join(root, name)
    shutil.rmtree(folder, ignore_errors=True)
    if name in GGUF:
        os.mkdir(folder)
        write_gguf(os.path.join(folder, 'model.gguf'), copy.deepcopy(model), GGUF[name][1])
    else:
        copy.deepcopy(model).half().save_pretrained(folder)  # a copy: the table of rotary positions must stay what it is
    if name == 'bert_sentences':
        os.mkdir(os.path.join(folder, '1_Pooling'))
        with open(os.path.join(folder, '1_Pooling', 'config.json'), 'w') as file:
            json.dump({'word_embedding_dimension': 32, 'pooling_mode_cls_token': False, 'pooling_mode_mean_tokens': True}, file)
    base = model.base_model.double()
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(3, VOCABULARY, (len(LENGTHS), LENGTH), generator=generator)
    segments = (torch.arange(LENGTH) >= 5).long().repeat(len(LENGTHS), 1) if has_segments else None
    lengths = torch.tensor(LENGTHS)
    is_real = torch.arange(LENGTH) < lengths[:, None]
    ids[~is_real] = model.config.pad_token_id or 0
    labels = torch.tensor([(2 * n + 1) % 3 for n in range(len(LENGTHS))])
    head = (torch.randn(base.config.hidden_size, 3, generator=generator) / 8.0).float().double().requires_grad_()
    with torch.no_grad():
        y = torch.where(is_real[:, :, None], hidden(base, ids, segments, is_real), 0.0)
    reference = {'ids': ids.int(), 'lengths': lengths.int(), 'y': y.float(), 'labels': labels.int(),
                 'head.w': head.detach().float().clone(), 'rate': torch.tensor([RATE])}
    if segments is not None:
        reference['segments'] = segments.int()
    start = copy.deepcopy((base, head))
    everything = [p for n, p in base.named_parameters() if 'pooler' not in n] + [head]
    reference['losses'] = torch.tensor(descend(base, (ids, segments), is_real, head, labels, everything, RATE)).float()
    if name in LORA:
        base, head = start
        few = add_low_rank(base) + [head]
        losses = descend(base, (ids, segments), is_real, head, labels, few, RATE)
        reference['lora_losses'] = torch.tensor(losses).float()
    save_file({k: v.contiguous() for k, v in reference.items()}, os.path.join(folder, 'reference.safetensors'))
    size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f'{name}: {sum(p.numel() for p in model.parameters())} params, {size} bytes, y to {float(y.abs().max()):.3f}, '
          f'losses {reference["losses"][0]:.4f} to {reference["losses"][-1]:.4f}')


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '..', 'data', 'texts')
    os.makedirs(root, exist_ok=True)
    for name in sys.argv[2:] or [*FOLDERS, *GGUF]:
        write(root, name)


main()
