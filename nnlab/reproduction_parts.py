"""The parts of a reproducing script, in its order: plain code, and only what one configuration needs."""

from __future__ import annotations

import textwrap

from nnlab.activations import ACTIVATIONS
from nnlab.datasets import DATASETS
from nnlab.initializers import INITIALIZERS
from nnlab.reproduction_facts import Facts

TEXT_WIDTH = 88  # what most style checkers allow


def _block(text: str) -> str:
    return textwrap.dedent(text).strip("\n").rstrip()


def _lines(*parts: str) -> str:
    """Join what is there."""
    return "\n".join(part for part in parts if part)


STREAMS = _block("""
    # Every use of randomness draws from a stream of its own, whose seed is a hash of the
    # experiment's seed and the stream's name. So the batches stay the same whatever weights
    # are drawn, and neighbouring seeds have nothing in common.
    def stream_seed(name):
        digest = hashlib.sha256(f"{SEED}/{name}".encode()).digest()
        return int.from_bytes(digest[:8], "little") >> 1  # 63 bits, for signed integers
""")


def streams_part() -> str:
    """Give where all random numbers come from."""
    return STREAMS


READ_CSV = _block("""
    # A file that is named on the command line stands in for CSV_PATH.
    with open(sys.argv[1] if len(sys.argv) > 1 else CSV_PATH, encoding="utf-8-sig") as file:
        header, *lines = [line for line in csv.reader(file, strict=True) if line]
    rows = [dict(zip(header, [cell.strip() for cell in line])) for line in lines]
    MISSING = {"", "na", "n/a", "nan", "null", "none"}


    def value(row, name):
        text = row.get(name, "")  # a short line lacks its last cells
        return None if text.lower() in MISSING else text


    def numbers(name):
        return np.array([float(value(row, name) or "nan") for row in rows])


    # Rows in which something is missing or too large for float32 are left out.
    LARGEST = float(np.finfo(np.float32).max)
    x = np.stack([numbers(name) for name in FEATURES], axis=1)
    is_usable = (np.abs(x) <= LARGEST).all(axis=1)
""")
CSV_CLASSES = _block("""
    is_usable &= [value(row, TARGET) is not None for row in rows]
    labels = [value(row, TARGET) for row, usable in zip(rows, is_usable) if usable]
    classes = sorted(set(labels))
    x, y = x[is_usable], np.array([classes.index(label) for label in labels])
""")
CSV_NUMBERS = _block("""
    y = numbers(TARGET)
    is_usable &= np.abs(y) <= LARGEST
    x, y = x[is_usable], y[is_usable].astype(np.float32)
""")
SPLIT = _block("""
    # The same split for every SEED: runs of several seeds differ in weights and batches.
    rows = np.arange(len(y))
    train, test = train_test_split(rows, test_size=0.2, random_state=0)
""")
STRATIFIED_SPLIT = _block("""
    # The same split for every SEED: runs of several seeds differ in weights and batches.
    rows = np.arange(len(y))
    train, test = train_test_split(rows, test_size=0.2, random_state=0, stratify=y)
""")
STANDARDIZE = _block("""
    # Standardized by the training rows alone: of the test rows nothing may be known.
    mean, std = x[train].mean(axis=0), x[train].std(axis=0)
""")
CONSTANT_INPUTS = _block("""
    # An input that never changes has no spread to be divided by: it becomes 0.
    is_constant = x[train].min(axis=0) == x[train].max(axis=0)
    mean, std = np.where(is_constant, x[train[0]], mean), np.where(is_constant, 1.0, std)
""")
SCALE = "x = ((x - mean) / std).astype(np.float32)"
PIXELS = _block("""
    # Gray values from 0 to 1, not standardized: a lighter image is a multiple of the image.
    x = (x / 16).astype(np.float32)
""")
TENSORS = "x_train, y_train = torch.from_numpy(x[train]), torch.from_numpy(y[train])"
CHECK = _block("""
    # Compare fingerprints: a file or a version of the data may have changed.
    fingerprint = hashlib.sha256()
    for part in (x[train], y[train], x[test], y[test]):
        fingerprint.update(part.tobytes())
    if fingerprint.hexdigest() != DATA_SHA256:
        print("warning: these are not exactly the data of the run", file=sys.stderr)
""")


def data_part(facts: Facts) -> str:
    """Give how the data are made or read, split and scaled."""
    config = facts.config
    load = _block(DATASETS[config.dataset].code)
    if config.dataset == "csv":
        read = READ_CSV if config.features else READ_CSV.replace("FEATURES", "header if name != TARGET")
        load = _lines(read, CSV_NUMBERS if facts.is_regression else CSV_CLASSES)
    constant = CONSTANT_INPUTS if facts.has_constant_inputs else ""
    return _lines(
        load + "\n",
        SPLIT if facts.is_split_at_random else STRATIFIED_SPLIT,
        PIXELS if facts.is_pixels else _lines(STANDARDIZE, constant, SCALE),
        "" if facts.is_regression else "y = y.astype(np.int64)",
        TENSORS,
        f"\n{CHECK}" if facts.sha256 else "",
    )


OWN_ACTIVATION = _block("""
    # torch.nn has no class for this activation.
    class NAME(nn.Module):
        def forward(self, z):
            return CODE
""")
NETWORK = _block("""
    hidden = [HiddenLayer(INPUTS), *(HiddenLayer(WIDTH) for _ in range(DEPTH - 1))]
    network = nn.Sequential(*hidden, nn.Linear(WIDTH, OUTPUTS))
    linears = [*(layer.linear for layer in hidden), network[-1]]
""")
RESIDUAL_NETWORK = _block("""
    # The first layer changes the space from inputs to units: it has nothing to add.
    hidden = [HiddenLayer(INPUTS, is_residual=False)]
    hidden += [HiddenLayer(WIDTH, is_residual=True) for _ in range(DEPTH - 1)]
    network = nn.Sequential(*hidden, nn.Linear(WIDTH, OUTPUTS))
    linears = [*(layer.linear for layer in hidden), network[-1]]
""")
NORMS = {"none": "", "batch": "nn.BatchNorm1d(WIDTH)", "layer": "nn.LayerNorm(WIDTH)"}


def network_part(facts: Facts) -> str:
    """Give the modules."""
    entry = ACTIVATIONS[facts.config.activation]
    if not entry.module and not entry.code:
        raise NotImplementedError(f"activation {entry.name}: its registry entry has neither module nor code")
    own = entry.name.capitalize()
    code = "" if entry.module else OWN_ACTIVATION.replace("NAME", own).replace("CODE", entry.code) + "\n\n\n"
    network = RESIDUAL_NETWORK if facts.config.residual else NETWORK
    if not facts.has_biases:
        network = network.replace("OUTPUTS)", "OUTPUTS, bias=False)")
    return f"{code}{_hidden_layer(facts, f'nn.{entry.module}' if entry.module else own)}\n\n\n{network}"


def _hidden_layer(facts: Facts, activation: str) -> str:
    norm, is_residual = NORMS[facts.config.normalization], facts.config.residual
    h = "self.activation(self.norm(self.linear(x)))" if norm else "self.activation(self.linear(x))"
    return _lines(
        "class HiddenLayer(nn.Module):",
        f"    def __init__(self, fan_in{', is_residual' if is_residual else ''}):",
        "        super().__init__()",
        f"        self.linear = nn.Linear(fan_in, WIDTH{'' if facts.has_biases else ', bias=False'})",
        f"        self.norm = {norm}" if norm else "",
        f"        self.activation = {activation}()",
        "        self.is_residual = is_residual" if is_residual else "",
        "\n    def forward(self, x):",
        f"        h = {h}" if is_residual else f"        return {h}",
        "        return h + x if self.is_residual else h" if is_residual else "",
    )


FIT = _block("""
    # LSUV (Mishkin & Matas 2016): layer after layer, the weights are divided by the
    # standard deviation of z on training examples until the variance of z is about 1.
    with torch.no_grad():
        h = x_train[:1024]
        for layer, linear in zip(network, linears):
            for _ in range(10):
                variance = linear(h).var(correction=0)
                if abs(variance - 1) < 0.1 or not variance > 0:
                    break
                linear.weight.div_(variance.sqrt())
            h = layer(h)
""")
# In evaluation mode: batch normalization would otherwise rescale what is to be measured.
FIT_BATCH_NORM = f"network.eval()  # no examples' statistics are normalized away yet\n{FIT}\nnetwork.train()"
GAIN = _block("""
    with torch.no_grad():
        for linear in linears:
            linear.weight.mul_(GAIN)
""")


def weights_part(facts: Facts) -> str:
    """Give how the weights start."""
    config, entry = facts.config, INITIALIZERS[facts.config.initializer]
    biases = _biases(entry.bias_code, has_biases=facts.has_biases)
    is_random = "generator" in entry.code + biases
    fit = FIT_BATCH_NORM if config.normalization == "batch" else FIT
    return _lines(
        "# nn.Linear has drawn some already, from a generator that hangs on what ran before.",
        'generator = torch.Generator().manual_seed(stream_seed("weights"))' if is_random else "",
        "for linear in linears:",
        textwrap.indent(_lines(_block(entry.code), biases), "    "),
        f"\n{fit}" if entry.fitted_to_data else "",
        f"\n{GAIN}" if config.gain != 1 else "",
    )


def _biases(bound: str, *, has_biases: bool) -> str:
    if not bound:
        return "nn.init.zeros_(linear.bias)" if has_biases else ""
    # nnlab draws them even where there are none, so that the weights are the same with and without.
    bias = "linear.bias" if has_biases else "torch.empty(linear.out_features)"
    why = "" if has_biases else "# Drawn even without biases: the weights are then the same as with them.\n"
    return f"{why}bound = {bound}\nnn.init.uniform_({bias}, -bound, bound, generator=generator)"


BATCHES = _block("""
    # An epoch takes the training rows in a new order; its short last batch is left out.
    def batches():
        generator = torch.Generator().manual_seed(stream_seed("batches"))
        while True:
            order = torch.randperm(len(x_train), generator=generator)
            for start in range(0, len(order) - BATCH_SIZE + 1, BATCH_SIZE):
                yield order[start : start + BATCH_SIZE]
""")
WHOLE_BATCHES = _block("""
    # There are fewer training rows than BATCH_SIZE: a batch is all of them, in a new order.
    def batches():
        generator = torch.Generator().manual_seed(stream_seed("batches"))
        while True:
            yield torch.randperm(len(x_train), generator=generator)
""")


def batches_part(facts: Facts) -> str:
    """Give which rows every step takes."""
    return WHOLE_BATCHES if facts.is_whole_batch else BATCHES


DIAGNOSTICS = _block('''
    # A layer's error signal is delta = dLoss/dz, where z is the input of its activation.
    # PyTorch keeps gradients of parameters only; retain_grad asks it to keep this one too.
    kept = []


    def keep(activation, inputs, h):
        """Forward hook: keep z and h = activation(z); backward() leaves delta in z.grad."""
        (z,) = inputs
        z.retain_grad()
        kept.append((z, h.detach()))


    def slope_of(activation, z):
        """Give |activation'(z)| as the backward pass computes it."""
        z = z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(activation(z).sum(), z)
        return slope.abs()


    def norm(values):
        """Give the length; the squares of a vanished signal would be 0 in float32."""
        return values.double().norm()


    def print_row(name, *numbers):
        print(name, *(f"{float(number):.9g}" for number in numbers))
''')


def diagnostics_part() -> str:
    """Give the hook and what is measured with it."""
    return DIAGNOSTICS


OPTIMIZERS = {
    "sgd": ("SGD", ""),
    "momentum": ("SGD", ", momentum=0.9"),
    "adam": ("Adam", ", fused=True"),
    "adamw": ("AdamW", ", fused=True"),
    "rmsprop": ("RMSprop", ""),
}
FUSED = "# fused is the kernel that made the run; PyTorch's others round differently."
TRAINING = _block("""
    for step, rows in zip(range(STEPS + 1), batches()):
        is_last = step == STEPS
        watched = hidden if is_last else []
        hooks = [layer.activation.register_forward_hook(keep) for layer in watched]
        outputs = network(x_train[rows])
        outputs.retain_grad()
        for hook in hooks:
            hook.remove()
        loss = LOSS
        optimizer.zero_grad()
        loss.backward()
        if IS_RECORDED:
            print(step, loss.item(), flush=True)
        if not is_last:  # step s shows the network after s updates: none follows the last
            optimizer.step()
""")
CLIP = """
        # Clipped after recording, which is to show the gradients as they came.
        nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
"""


def training_part(facts: Facts) -> str:
    """Give the loop."""
    config = facts.config
    is_recorded = "step in RECORDED_STEPS" if facts.every is None else "step % RECORD_EVERY == 0 or is_last"
    loop = TRAINING.replace("LOSS", _loss(facts)).replace("IS_RECORDED", is_recorded)
    if config.clip_norm is not None:
        loop = loop.replace("\n        optimizer.step()", f"{CLIP}        optimizer.step()")
    return _lines(_optimizer(facts), loop)


def _optimizer(facts: Facts) -> str:
    name, options = OPTIMIZERS[facts.config.optimizer]
    decay = ", weight_decay=WEIGHT_DECAY" if facts.has_weight_decay else ""
    arguments = f"network.parameters(), lr=LEARNING_RATE{options}{decay}"
    line = f"optimizer = torch.optim.{name}({arguments})"
    broken = f"optimizer = torch.optim.{name}(\n    {arguments}\n)"
    return _lines(FUSED if "fused" in options else "", line if len(line) <= TEXT_WIDTH else broken)


def _loss(facts: Facts) -> str:
    if facts.config.loss == "cross_entropy":
        return "F.cross_entropy(outputs, y_train[rows])"
    if facts.is_regression:
        return "F.mse_loss(outputs, y_train[rows].unsqueeze(1))"
    return "F.mse_loss(outputs, F.one_hot(y_train[rows], OUTPUTS).float())"


LAYERS = _block("""
    print()
    print("layer delta_norm weight_grad_norm slope_mean saturation activation_std")
    for number, (layer, (z, h)) in enumerate(zip(hidden, kept), start=1):
        slope = slope_of(layer.activation, z)
        is_flat = FLAT
        print_row(
            f"hidden_{number}",
            norm(z.grad),
            norm(layer.linear.weight.grad),
            slope.double().mean(),
            is_flat.double().mean(),
            h.double().std(correction=0),
        )
    nan = float("nan")  # the output layer has no activation
    print_row("output", norm(outputs.grad), norm(network[-1].weight.grad), nan, nan, nan)
""")
UNDEFINED = """
    if z.isnan().any():  # nothing can be counted any more
        slope = is_flat = torch.tensor(float("nan"))"""


def layers_part(facts: Facts) -> str:
    """Give the table of the last recorded step."""
    is_never_steep = ACTIVATIONS[facts.config.activation].slope_sup == 0
    flat = "slope == 0  # everywhere, whatever z is" if is_never_steep else "slope < SATURATED * STEEPEST"
    return LAYERS.replace("FLAT", flat + (UNDEFINED if facts.is_undefined else ""))
