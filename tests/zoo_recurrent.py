"""The zoo's recurrent networks."""

from __future__ import annotations

import torch
from animal import Animal, numbers, tokens
from torch import nn
from torch.nn import functional as F


def linear(x, m):
    return F.linear(x, m.weight, m.bias)


class Walk:
    """Equations of Hochreiter & Schmidhuber 1997 and Cho et al. 2014, with every gate's z and h kept.

    A gate's z of all steps is one tensor: zeros that each step adds to, so that it has one gradient.
    """

    def __init__(self, m, layer, *, back=False):
        ending = f"_l{layer}{'_reverse' * back}" if layer is not None else ""
        self.back = back
        self.w = [getattr(m, f"{name}{ending}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        self.pieces: list[list[tuple[torch.Tensor, torch.Tensor, str]]] = []

    def gate(self, z, phi):
        h = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}[phi](z)
        for t in (z, h):
            t.retain_grad()
        self.pieces[-1].append((z, h, phi))
        return h

    def lstm(self, x, h, c):
        self.pieces.append([])
        i, f, g, o = (x @ self.w[0].T + self.w[2] + h @ self.w[1].T + self.w[3]).chunk(4, 1)
        i, f, g, o = (
            self.gate(i, "sigmoid"),
            self.gate(f, "sigmoid"),
            self.gate(g, "tanh"),
            self.gate(o, "sigmoid"),
        )
        c = f * c + i * g
        return o * torch.tanh(c), c

    def gru(self, x, h):
        self.pieces.append([])
        xr, xu, xn = (x @ self.w[0].T + self.w[2]).chunk(3, 1)
        hr, hu, hn = (h @ self.w[1].T + self.w[3]).chunk(3, 1)
        r, u = self.gate(xr + hr, "sigmoid"), self.gate(xu + hu, "sigmoid")
        return (1 - u) * self.gate(xn + r * hn, "tanh") + u * h

    def rnn(self, x, h, phi="tanh"):
        self.pieces.append([])
        return self.gate(x @ self.w[0].T + self.w[2] + h @ self.w[1].T + self.w[3], phi)


def mark(at, row, walks, m):
    """Put all tracks of a fused module side by side: a track's gates, its steps in order of time."""
    from spots import Spot

    names = [n for n, _ in m.named_parameters()]
    spot = Spot(
        -1,
        [m.get_parameter(n) for n in names if "weight" in n],
        [m.get_parameter(n) for n in names if "bias" in n],
    )
    steps = [walk.pieces[::-1] if walk.back else walk.pieces for walk in walks]
    for at_step in zip(*steps, strict=True):
        spot.calls.append([piece for track in at_step for piece in track])
        spot.products.append(None)
    at.rows[row] = spot


class WordsLSTM(nn.Module):
    """As most tutorials classify texts."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.lstm = nn.LSTM(8, 12, batch_first=True)
        self.fc = nn.Linear(12, 3)

    def forward(self, words):
        _, (hidden, _) = self.lstm(self.embed(words))
        return self.fc(hidden[-1])


def words_lstm(m, words, at):
    x = at.put("embed", F.embedding(words, m.embed.weight), weights=[m.embed.weight])
    walk, h, c = Walk(m.lstm, 0), torch.zeros(len(x), 12), torch.zeros(len(x), 12)
    for t in range(x.shape[1]):
        h, c = walk.lstm(x[:, t], h, c)
    mark(at, "lstm", [walk], m.lstm)
    return at.put("fc", linear(h, m.fc), of=m.fc)


class Gru(nn.Module):
    """Time first, with a first state, all outputs used."""

    def __init__(self):
        super().__init__()
        self.gru, self.fc = nn.GRU(5, 10), nn.Linear(10, 3)

    def forward(self, x):
        x = x.transpose(0, 1)
        out, _ = self.gru(x, torch.full((1, x.shape[1], 10), 0.1))
        return self.fc(out.mean(0))


def gru(m, x, at):
    walk, h, outs = Walk(m.gru, 0), torch.full((len(x), 10), 0.1), []
    for t in range(x.shape[1]):
        h = walk.gru(x[:, t], h)
        outs.append(h)
    mark(at, "gru", [walk], m.gru)
    return at.put("fc", linear(torch.stack(outs).mean(0), m.fc), of=m.fc)


class Bidirectional(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(12, 3)

    def forward(self, x):
        out, _ = self.rnn(x)
        return self.fc(torch.tanh(out).amax(dim=1))


def bidirectional(m, x, at):
    walks = []
    for layer in range(2):
        tracks = []
        for back in (False, True):
            walk, h, c, outs = (
                Walk(m.rnn, layer, back=back),
                torch.zeros(len(x), 6),
                torch.zeros(len(x), 6),
                {},
            )
            for t in reversed(range(x.shape[1])) if back else range(x.shape[1]):
                h, c = walk.lstm(x[:, t], h, c)
                outs[t] = h
            walks.append(walk)
            tracks.append(torch.stack([outs[t] for t in range(x.shape[1])], 1))
        x = torch.cat(tracks, -1)
    mark(at, "rnn", walks, m.rnn)
    return at.put("fc", linear(torch.tanh(x).amax(1), m.fc), of=m.fc)


class Elman(nn.Module):
    def __init__(self, nonlinearity="tanh"):
        super().__init__()
        self.rnn, self.fc = nn.RNN(4, 8, nonlinearity=nonlinearity, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        out, _ = self.rnn(x)
        return self.fc(out[:, -1])


def elman(m, x, at):
    walk, h = Walk(m.rnn, 0), torch.zeros(len(x), 8)
    for t in range(x.shape[1]):
        h = walk.rnn(x[:, t], h)
    mark(at, "rnn", [walk], m.rnn)
    return at.put("fc", linear(h, m.fc), of=m.fc)


class CellLoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.out = nn.LSTMCell(4, 8), nn.Linear(8, 3)

    def forward(self, x):
        h, c = torch.zeros(x.shape[0], 8), torch.zeros(x.shape[0], 8)
        for step in x.unbind(1):
            h, c = self.cell(step, (h, c))
        return self.out(h)


def cell_loop(m, x, at):
    walk, h, c = Walk(m.cell, None), torch.zeros(len(x), 8), torch.zeros(len(x), 8)
    for t in range(x.shape[1]):
        h, c = walk.lstm(x[:, t], h, c)
    mark(at, "cell", [walk], m.cell)
    return at.put("out", linear(h, m.out), of=m.out)


class HandRnn(nn.Module):
    """Two Linear layers whose sum goes into tanh."""

    def __init__(self, activation=torch.tanh):
        super().__init__()
        self.activation = activation
        self.i2h, self.h2h, self.h2o = nn.Linear(4, 10), nn.Linear(10, 10, bias=False), nn.Linear(10, 3)

    def forward(self, x):
        hidden = torch.zeros(x.size(0), 10)
        for t in range(x.size(1)):
            hidden = self.activation(self.i2h(x[:, t]) + self.h2h(hidden))
        return self.h2o(hidden)


def hand_rnn(m, x, at):
    h = torch.zeros(len(x), 10)
    for t in range(x.shape[1]):
        z = linear(x[:, t], m.i2h) + h @ m.h2h.weight.T
        h = at.put("i2h", z, "tanh", of=m.i2h)
        at.put("h2h", z, "tanh", h=h, of=m.h2h)
    return at.put("h2o", linear(h, m.h2o), of=m.h2o)


class HandLstm(nn.Module):
    """Four gates cut from one sum."""

    def __init__(self):
        super().__init__()
        self.x2h, self.h2h, self.fc = nn.Linear(4, 32), nn.Linear(8, 32), nn.Linear(8, 3)

    def forward(self, x):
        hx = cx = torch.zeros(x.size(0), 8)
        for t in range(x.size(1)):
            gates = self.x2h(x[:, t]) + self.h2h(hx)
            ingate, forgetgate, cellgate, outgate = gates.chunk(4, 1)
            ingate, forgetgate = torch.sigmoid(ingate), torch.sigmoid(forgetgate)
            cellgate, outgate = torch.tanh(cellgate), torch.sigmoid(outgate)
            cx = torch.mul(cx, forgetgate) + torch.mul(ingate, cellgate)
            hx = torch.mul(outgate, torch.tanh(cx))
        return self.fc(hx)


def hand_lstm(m, x, at):
    h = c = torch.zeros(len(x), 8)
    for t in range(x.shape[1]):
        z = linear(x[:, t], m.x2h) + linear(h, m.h2h)
        i, f, g, o = z[:, :8], z[:, 8:16], z[:, 16:24], z[:, 24:]
        pieces = [(i, "sigmoid"), (f, "sigmoid"), (g, "tanh"), (o, "sigmoid")]
        i, f, g, o = hs = at.gates("x2h", pieces, of=m.x2h, product=z)
        at.gates("h2h", pieces, of=m.h2h, product=z, hs=hs)
        c = c * f + i * g
        h = o * c.tanh()
    return at.put("fc", linear(h, m.fc), of=m.fc)


class Highway(nn.Module):
    """Srivastava et al. 2015: gates decide how much of a layer's input goes on."""

    def __init__(self, width=16, depth=2):
        super().__init__()
        self.inner = nn.Linear(8, width)
        self.nonlinear = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.gate = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.head = nn.Linear(width, 3)
        for gate in self.gate:
            nn.init.constant_(gate.bias, -1.0)

    def forward(self, x):
        x = torch.tanh(self.inner(x))
        for nonlinear, gate in zip(self.nonlinear, self.gate, strict=True):
            t = torch.sigmoid(gate(x))
            x = t * F.relu(nonlinear(x)) + (1 - t) * x
        return self.head(x)


def highway(m, x, at):
    x = at.put("inner", linear(x, m.inner), "tanh", of=m.inner)
    for i in range(len(m.gate)):
        t = at.put(f"gate.{i}", linear(x, m.gate[i]), "sigmoid", of=m.gate[i])
        x = t * at.put(f"nonlinear.{i}", linear(x, m.nonlinear[i]), "relu", of=m.nonlinear[i]) + (1 - t) * x
    return at.put("head", linear(x, m.head), of=m.head)


ANIMALS = (
    Animal("words lstm", WordsLSTM, tokens(16, 6, words=20, classes=3), words_lstm),
    Animal("gru", Gru, numbers(16, 6, 5), gru),
    Animal("bidirectional lstm", Bidirectional, numbers(12, 5, 4), bidirectional),
    Animal("elman rnn", Elman, numbers(16, 5, 4), elman),
    Animal("lstm cell loop", CellLoop, numbers(16, 5, 4), cell_loop),
    Animal("rnn by hand", HandRnn, numbers(16, 5, 4), hand_rnn),
    Animal("lstm by hand", HandLstm, numbers(16, 5, 4), hand_lstm),
    Animal("highway", Highway, numbers(24, 8), highway),
)
