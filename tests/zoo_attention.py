"""The zoo's networks with attention."""

from __future__ import annotations

import math

import torch
from animal import Animal, next_words, numbers
from torch import nn
from torch.nn import functional as F


def linear(x, m):
    return F.linear(x, m.weight, m.bias)


def normed(x, m):
    return F.layer_norm(x, m.normalized_shape, m.weight, m.bias, m.eps)


def heads(x, count):
    """(batch, steps, width) -> (batch, heads, steps, width of a head)."""
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def mixed(q, k, v, mask=None):
    """Vaswani et al. 2017, equation 1."""
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(mask, -math.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


class Encoder(nn.Module):
    """nn.TransformerEncoder as its tutorial uses it, for a sequence's class."""

    def __init__(self, dropout=0.0, norm_first=False, activation="gelu"):
        super().__init__()
        self.embed = nn.Linear(5, 12)
        layer = nn.TransformerEncoderLayer(
            12, 2, 24, dropout, activation=activation, batch_first=True, norm_first=norm_first
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x)).mean(dim=1))


def attend(at, row, m, x, drop=0.0):
    """Write nn.MultiheadAttention's self-attention."""
    q, k, v = hs = F.linear(x, m.in_proj_weight, m.in_proj_bias).chunk(3, -1)
    at.gates(row, [(h, "identity") for h in hs], weights=[m.in_proj_weight], biases=[m.in_proj_bias])
    if drop:
        h = F.scaled_dot_product_attention(heads(q, 2), heads(k, 2), heads(v, 2), dropout_p=drop)
        h = h.transpose(1, 2).flatten(2)
    else:
        h = mixed(heads(q, 2), heads(k, 2), heads(v, 2))
    # The module computes it time first; dropout draws in the order in which numbers lie in memory.
    z = linear(h.transpose(0, 1).contiguous(), m.out_proj).transpose(0, 1)
    return at.put(f"{row}.out_proj", z, of=m.out_proj)


def encoder(drop=0.0, norm_first=False):
    def by_hand(m, x, at):
        x = at.put("embed", linear(x, m.embed), of=m.embed)
        for i, layer in enumerate(m.encoder.layers):
            name = f"encoder.layers.{i}"
            start = normed(x, layer.norm1) if norm_first else x
            x = x + F.dropout(attend(at, f"{name}.self_attn", layer.self_attn, start, drop), drop)
            x = x if norm_first else normed(x, layer.norm1)
            start = normed(x, layer.norm2) if norm_first else x
            h = at.put(f"{name}.linear1", linear(start, layer.linear1), "gelu", of=layer.linear1)
            h = at.put(f"{name}.linear2", linear(F.dropout(h, drop), layer.linear2), of=layer.linear2)
            x = x + F.dropout(h, drop)
            x = x if norm_first else normed(x, layer.norm2)
        return at.put("head", linear(x.mean(1), m.head), of=m.head)

    return by_hand


class NewGELU(nn.Module):
    """The form that GPT-2's repositories write out."""

    def forward(self, x):
        return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


class Block(nn.Module):
    """Pre-norm block with causal attention."""

    def __init__(self, width, fast):
        super().__init__()
        self.fast = fast
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.attn_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.c_fc, self.c_proj, self.act = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), NewGELU()

    def attention(self, x):
        b, t, c = x.size()
        q, k, v = self.c_attn(x).split(c, dim=2)
        q, k, v = (part.view(b, t, 2, c // 2).transpose(1, 2) for part in (q, k, v))
        if self.fast:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            att = att.masked_fill(torch.tril(torch.ones(t, t)) == 0, float("-inf"))
            y = F.softmax(att, dim=-1) @ v
        return self.attn_proj(y.transpose(1, 2).contiguous().view(b, t, c))

    def forward(self, x):
        x = x + self.attention(self.ln_1(x))
        h = self.c_fc(self.ln_2(x))
        return x + self.c_proj(F.gelu(h) if self.fast else self.act(h))


class Gpt(nn.Module):
    def __init__(self, fast):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(16, 12), nn.Embedding(8, 12)
        self.h = nn.ModuleList(Block(12, fast) for _ in range(2))
        self.ln_f, self.lm_head = nn.LayerNorm(12), nn.Linear(12, 16, bias=False)

    def forward(self, idx):
        x = self.wte(idx) + self.wpe(torch.arange(idx.size(1)))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


def gpt(phi):
    def by_hand(m, idx, at):
        word = at.put("wte", F.embedding(idx, m.wte.weight), weights=[m.wte.weight])
        place = at.put("wpe", F.embedding(torch.arange(idx.shape[1]), m.wpe.weight), weights=[m.wpe.weight])
        x, ahead = word + place, torch.ones(idx.shape[1], idx.shape[1], dtype=bool).triu(1)
        for i, b in enumerate(m.h):
            qkv = at.put(f"h.{i}.c_attn", linear(normed(x, b.ln_1), b.c_attn), of=b.c_attn)
            y = mixed(*(heads(part, 2) for part in qkv.chunk(3, -1)), ahead)
            x = x + at.put(f"h.{i}.attn_proj", linear(y, b.attn_proj), of=b.attn_proj)
            h = at.put(f"h.{i}.c_fc", linear(normed(x, b.ln_2), b.c_fc), phi, of=b.c_fc)
            x = x + at.put(f"h.{i}.c_proj", linear(h, b.c_proj), of=b.c_proj)
        return at.put("lm_head", linear(normed(x, m.ln_f), m.lm_head), of=m.lm_head)

    return by_hand


class RMSNorm(nn.Module):
    """As LLaMA's repositories write it."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps, self.weight = eps, nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return self.weight * (
            x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + self.eps)
        ).type_as(x)


class Llama(nn.Module):
    """SwiGLU (Shazeer 2020) with grouped queries and a rotation of them."""

    def __init__(self):
        super().__init__()
        self.tok = nn.Embedding(16, 12)
        self.norm1, self.norm2, self.norm = RMSNorm(12), RMSNorm(12), RMSNorm(12)
        self.wq, self.wk, self.wv = (nn.Linear(12, n, bias=False) for n in (12, 6, 6))
        self.wo = nn.Linear(12, 12, bias=False)
        self.w1, self.w3 = nn.Linear(12, 20, bias=False), nn.Linear(12, 20, bias=False)
        self.w2, self.output = nn.Linear(20, 12, bias=False), nn.Linear(12, 16, bias=False)

    def forward(self, words):
        x = self.tok(words)
        n = self.norm1(x)
        q = self.wq(n).view(*words.shape, 2, 6).transpose(1, 2)
        k, v = (
            w(n).view(*words.shape, 1, 6).transpose(1, 2).expand(-1, 2, -1, -1) for w in (self.wk, self.wv)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.wo(y.transpose(1, 2).reshape(*words.shape, 12))
        n = self.norm2(x)
        x = x + self.w2(F.silu(self.w1(n)) * self.w3(n))
        return self.output(self.norm(x))


def llama(m, words, at):
    def rms(x, norm):
        return norm.weight * x / (x.square().mean(-1, keepdim=True) + norm.eps).sqrt()

    x = at.put("tok", F.embedding(words, m.tok.weight), weights=[m.tok.weight])
    n = rms(x, m.norm1)
    q, k, v = (at.put(name, linear(n, getattr(m, name)), of=getattr(m, name)) for name in ("wq", "wk", "wv"))
    ahead = torch.ones(words.shape[1], words.shape[1], dtype=bool).triu(1)
    y = mixed(heads(q, 2), heads(k, 1), heads(v, 1), ahead)
    x = x + at.put("wo", linear(y, m.wo), of=m.wo)
    n = rms(x, m.norm2)
    gate = at.put("w1", linear(n, m.w1), "silu", of=m.w1)
    x = x + at.put("w2", linear(gate * at.put("w3", linear(n, m.w3), of=m.w3), m.w2), of=m.w2)
    return at.put("output", linear(rms(x, m.norm), m.output), of=m.output)


class Masked(nn.Module):
    """Takes a dict as tokenizers give it, with padding that is not looked at."""

    def __init__(self):
        super().__init__()
        self.embeddings = nn.Embedding(20, 12, padding_idx=0)
        self.attention = nn.MultiheadAttention(12, 2, batch_first=True)
        self.pooler, self.classifier = nn.Linear(12, 12), nn.Linear(12, 3)

    def forward(self, input_ids, attention_mask=None):
        x = self.embeddings(input_ids)
        y, _ = self.attention(x, x, x, key_padding_mask=~attention_mask, need_weights=False)
        weights = attention_mask.unsqueeze(-1).float()
        pooled = ((x + y) * weights).sum(1) / weights.sum(1)
        return {"logits": self.classifier(torch.tanh(self.pooler(pooled)))}


def masked(m, batch, at):
    ids, mask = batch["input_ids"], batch["attention_mask"]
    x = F.embedding(ids, m.embeddings.weight, padding_idx=0)
    at.put("embeddings", x, weights=[m.embeddings.weight])
    a = m.attention
    q, k, v = hs = F.linear(x, a.in_proj_weight, a.in_proj_bias).chunk(3, -1)
    at.gates("attention", [(h, "identity") for h in hs], weights=[a.in_proj_weight], biases=[a.in_proj_bias])
    y = mixed(heads(q, 2), heads(k, 2), heads(v, 2), ~mask[:, None, None, :])
    y = at.put("attention.out_proj", linear(y, a.out_proj), of=a.out_proj)
    share = mask / mask.sum(1, keepdim=True)
    h = at.put("pooler", linear(torch.einsum("bt,btc->bc", share, x + y), m.pooler), "tanh", of=m.pooler)
    return at.put("classifier", linear(h, m.classifier), of=m.classifier)


def padded(generator):
    ids = torch.randint(1, 20, (16, 7), generator=generator)
    lengths = torch.randint(3, 8, (16,), generator=generator)
    mask = torch.arange(7) < lengths[:, None]
    return {"input_ids": ids * mask, "attention_mask": mask}, torch.randint(3, (16,), generator=generator)


ANIMALS = (
    Animal("transformer encoder", Encoder, numbers(12, 6, 5), encoder()),
    Animal(
        "pre-norm transformer", lambda: Encoder(norm_first=True), numbers(12, 6, 5), encoder(norm_first=True)
    ),
    Animal("transformer with dropout", lambda: Encoder(dropout=0.1), numbers(12, 6, 5), encoder(0.1)),
    Animal("gpt", lambda: Gpt(fast=True), next_words(6, 8, words=16), gpt("gelu")),
    Animal("gpt with its own gelu", lambda: Gpt(fast=False), next_words(6, 8, words=16), gpt("NewGELU")),
    Animal("llama", Llama, next_words(6, 8, words=16), llama),
    Animal("masked words", Masked, padded, masked),
)
