"""The first half of a reproducing script as templates: random numbers, data, batches."""

from __future__ import annotations

from nnlab.datasets import DATASETS
from nnlab.reproduction_facts import Facts
from nnlab.reproduction_text import block, lines

STREAMS = block("""
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


READ_CSV = block("""
    # A file that is named on the command line stands in for CSV_PATH.
    with open(sys.argv[1] if len(sys.argv) > 1 else CSV_PATH, encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=",", strict=True)
        header, *lines = [[cell.strip() for cell in line] for line in reader if line]
    rows = [dict(zip(header, line)) for line in lines]
    MISSING = {"", "na", "n/a", "nan", "null", "none"}


    def value(row, name):
        text = row.get(name, "")  # a short line lacks its last cells
        return None if text.lower() in MISSING else text


    def numbers(name):
        return np.array([float(NUMBER) for row in rows])


    # Rows in which something is missing or too large for float32 are left out.
    LARGEST = float(np.finfo(np.float32).max)
    x = np.stack([numbers(name) for name in FEATURES], axis=1)
    is_usable = (np.abs(x) <= LARGEST).all(axis=1)
""")
CSV_CLASSES = block("""
    is_usable &= [value(row, TARGET) is not None for row in rows]
    labels = [value(row, TARGET) for row, usable in zip(rows, is_usable) if usable]
    classes = sorted(set(labels))
    x, y = x[is_usable], np.array([classes.index(label) for label in labels])
""")
CSV_NUMBERS = block("""
    y = numbers(TARGET)
    is_usable &= np.abs(y) <= LARGEST
    x, y = x[is_usable], y[is_usable]
""")
SPLIT = block("""
    # The same split for every SEED: runs of several seeds differ in weights and batches.
    indices = np.arange(len(y))
    train, test = train_test_split(indices, test_size=0.2, random_state=0)
""")
STRATIFIED_SPLIT = block("""
    # The same split for every SEED: runs of several seeds differ in weights and batches.
    indices = np.arange(len(y))
    train, test = train_test_split(indices, test_size=0.2, random_state=0, stratify=y)
""")
STANDARDIZE = block("""
    # Standardized by the training rows alone: of the test rows nothing may be known.
    mean, std = x[train].mean(axis=0), x[train].std(axis=0)
""")
# An unnamed column, such as the row numbers that pandas writes, is no feature.
ALL_FEATURES = 'header if name not in ("", TARGET)'
NUMBER = 'value(row, name) or "nan"'
COMMA_NUMBER = '(value(row, name) or "nan").replace(",", ".")'
STANDARDIZE_TARGET = block("""
    # Standardized too: a loss of 1 is as good as always guessing the mean.
    y = ((y - y[train].mean()) / y[train].std()).astype(np.float32)
""")
CONSTANT_INPUTS = block("""
    # An input that never changes has no spread to be divided by: it becomes 0.
    is_constant = x[train].min(axis=0) == x[train].max(axis=0)
    mean, std = np.where(is_constant, x[train[0]], mean), np.where(is_constant, 1.0, std)
""")
SCALE = "x = ((x - mean) / std).astype(np.float32)"
PIXELS = block("""
    # Gray values from 0 to 1, not standardized: a lighter image is a multiple of the image.
    x = (x / 16).astype(np.float32)
""")
TENSORS = "x_train, y_train = torch.from_numpy(x[train]), torch.from_numpy(y[train])"
CHECK = block("""
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
    load = block(DATASETS[config.dataset].code)
    if config.dataset == "csv":
        load = lines(_read_csv(facts), CSV_NUMBERS if facts.is_regression else CSV_CLASSES)
    constant = CONSTANT_INPUTS if facts.has_constant_inputs else ""
    return lines(
        load + "\n",
        SPLIT if facts.is_split_at_random else STRATIFIED_SPLIT,
        PIXELS if facts.is_pixels else lines(STANDARDIZE, constant, SCALE),
        _target(facts),
        TENSORS,
        f"\n{CHECK}" if facts.sha256 else "",
    )


def _read_csv(facts: Facts) -> str:
    read = READ_CSV if facts.config.features else READ_CSV.replace("FEATURES", ALL_FEATURES)
    read = read.replace('delimiter=","', f"delimiter={facts.separator!r}".replace("'", '"'))
    return read.replace("NUMBER", COMMA_NUMBER if facts.has_decimal_commas else NUMBER)


def _target(facts: Facts) -> str:
    if not facts.is_regression:
        return "y = y.astype(np.int64)"
    # Runs of earlier versions predict the numbers as they stand in the file.
    return STANDARDIZE_TARGET if facts.is_target_scaled else "y = y.astype(np.float32)"


BATCHES = block("""
    # An epoch takes the training rows in a new order; its short last batch is left out.
    def batches():
        generator = torch.Generator().manual_seed(stream_seed("batches"))
        while True:
            order = torch.randperm(len(x_train), generator=generator)
            for start in range(0, len(order) - BATCH_SIZE + 1, BATCH_SIZE):
                yield order[start : start + BATCH_SIZE]
""")
WHOLE_BATCHES = block("""
    # There are fewer training rows than BATCH_SIZE: a batch is all of them, in a new order.
    def batches():
        generator = torch.Generator().manual_seed(stream_seed("batches"))
        while True:
            yield torch.randperm(len(x_train), generator=generator)
""")


def batches_part(facts: Facts) -> str:
    """Give which rows every step takes."""
    return WHOLE_BATCHES if facts.is_whole_batch else BATCHES
