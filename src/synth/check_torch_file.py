#!/usr/bin/env python3
"""check_torch_file.py FILE.bin: fails unless Python's zipfile and pickle agree with the file, without PyTorch.

The archive's checksums, alignment and stored entries; the globals of the pickle; every storage's size; and that
pickling the same objects gives the same bytes.
"""
import collections
import io
import pickle
import pickletools
import struct
import sys
import types
import zipfile

ITEM = {"FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2}
torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
sys.modules.update({"torch": torch, "torch._utils": utils})


class Call:
    def __init__(self, function, arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def stand_in(module, name):
    def function(*arguments):
        return Call(function, arguments)

    function.__module__, function.__name__, function.__qualname__ = module.__name__, name, name
    setattr(module, name, function)


stand_in(utils, "_rebuild_tensor_v2")
for storage in ITEM:
    stand_in(torch, storage)


class Storage:
    def __init__(self, identity):
        self.identity = identity


class Unpickler(pickle.Unpickler):
    def persistent_load(self, identity):
        return Storage(identity)


class Pickler(pickle.Pickler):
    def persistent_id(self, item):
        return item.identity if isinstance(item, Storage) else None


def main(path):
    archive = zipfile.ZipFile(path)
    assert archive.testzip() is None, "checksums"
    with open(path, "rb") as file:
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED, entry
            file.seek(entry.header_offset + 26)
            name, extra = struct.unpack("<HH", file.read(4))
            assert (entry.header_offset + 30 + name + extra) % 64 == 0, entry
    data = archive.read("archive/data.pkl")
    names = {argument for opcode, argument, _ in pickletools.genops(data) if opcode.name == "GLOBAL"}
    allowed = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"} | {"torch " + s for s in ITEM}
    assert names <= allowed, names
    tensors = Unpickler(io.BytesIO(data)).load()
    for name, tensor in tensors.items():
        storage, offset, shape, strides, gradient, hooks = tensor.arguments
        kind, element, key, device, elements = storage.identity
        assert (kind, device, offset, gradient, hooks) == ("storage", "cpu", 0, False, collections.OrderedDict())
        wanted = 1
        for extent, stride in zip(reversed(shape), reversed(strides)):
            assert stride == wanted, name
            wanted *= extent
        assert wanted == elements, name
        assert archive.getinfo("archive/data/" + key).file_size == elements * ITEM[element.__name__], name
    again = io.BytesIO()
    Pickler(again, 2).dump(tensors)
    assert again.getvalue() == data, "the pickle differs from Python's"


main(sys.argv[1])
