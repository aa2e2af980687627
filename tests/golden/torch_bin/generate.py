#!/usr/bin/env python3
"""Writes the torch .bin files beside it, without PyTorch: Python's own pickle and zipfile are the oracle.

torch.save pickles a dictionary whose tensors are calls of torch._utils._rebuild_tensor_v2 and whose storages
are persistent ids. Stand-ins with the same module and name make Python's pickle write the same bytes.
expected.json has every tensor's shape and values, row-major; null: not one of the types that are read.
"""
import collections
import io
import json
import os
import pickle
import struct
import sys
import types
import zipfile

torch = types.ModuleType("torch")
utils = types.ModuleType("torch._utils")
sys.modules.update({"torch": torch, "torch._utils": utils})


def stand_in(module, name):
    def function(*_):
        raise RuntimeError("never called")

    function.__module__, function.__name__, function.__qualname__ = module.__name__, name, name
    setattr(module, name, function)
    return function


rebuild_tensor = stand_in(utils, "_rebuild_tensor_v2")
rebuild_parameter = stand_in(utils, "_rebuild_parameter")
STORAGES = {k: stand_in(torch, k + "Storage") for k in ("Float", "Half", "BFloat16", "Long")}


def encode(kind, values):
    if kind == "BFloat16":  # the upper half of a float; the values are chosen to fit
        return b"".join(struct.pack("<f", v)[2:] for v in values)
    return struct.pack("<%d%s" % (len(values), {"Float": "f", "Half": "e", "Long": "q"}[kind]), *values)


class Storage:
    def __init__(self, kind, values):
        self.kind, self.values = kind, values


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.arguments = (storage, offset, shape, strides, False, collections.OrderedDict())

    def __reduce__(self):
        return rebuild_tensor, self.arguments

    def values(self):
        storage, at, shape, strides = self.arguments[:4]
        places = [at]
        for extent, stride in zip(shape, strides):
            places = [p + i * stride for p in places for i in range(extent)]
        return [storage.values[p] for p in places]


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return rebuild_parameter, (self.tensor, True, collections.OrderedDict())


def save(path, value, compression=zipfile.ZIP_STORED, skip=()):
    storages = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            if not isinstance(item, Storage):
                return None
            if item not in storages:
                storages.append(item)
            key = str(storages.index(item))
            return ("storage", STORAGES[item.kind], key, "cpu", len(item.values))

    pickled = io.BytesIO()
    Pickler(pickled, protocol=2).dump(value)
    name = os.path.splitext(os.path.basename(path))[0]
    entries = {"data.pkl": pickled.getvalue(), "byteorder": b"little"}
    entries.update({"data/%d" % i: encode(s.kind, s.values) for i, s in enumerate(storages)})
    entries["version"] = b"3\n"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for entry, data in entries.items():
            if entry not in skip:
                info = zipfile.ZipInfo(name + "/" + entry)  # of 1980: the same bytes every time
                info.compress_type = compression
                archive.writestr(info, data)


def main():
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    shared = Storage("Half", [i / 8 - 2 for i in range(24)])
    floats = Storage("Float", [0.1, -2.5e-20, 3e20, 1.0, -0.0, 7.25])
    brain = Storage("BFloat16", [1.0, -0.5, 3.0, 2.0**-60, -(2.0**90), 0.0])
    state = collections.OrderedDict()
    state["float"] = Tensor(floats, 0, (2, 3), (3, 1))
    state["brain"] = Tensor(brain, 0, (3, 2), (2, 1))
    state["whole"] = Tensor(shared, 0, (4, 6), (6, 1))
    state["transposed"] = Tensor(shared, 0, (6, 4), (1, 6))
    state["part"] = Tensor(shared, 7, (2, 2, 2), (6, 2, 1))
    state["columns"] = Tensor(shared, 2, (4, 1), (6, 1))
    state["repeated"] = Tensor(floats, 3, (2, 2), (0, 1))
    state["scalar"] = Tensor(floats, 5, (), ())
    state["empty"] = Tensor(floats, 0, (0, 4), (4, 1))
    state["position_ids"] = Tensor(Storage("Long", [0, 1, 2**40]), 0, (1, 3), (3, 1))
    parameter = Tensor(brain, 2, (2,), (1,))
    state["parameter"] = Parameter(parameter)
    state._metadata = collections.OrderedDict([("", {"version": 1})])  # as Module.state_dict leaves it
    expected = {}
    for name, tensor in state.items():
        tensor = parameter if tensor is state["parameter"] else tensor
        read = tensor.arguments[0].kind != "Long"
        expected[name] = {"shape": tensor.arguments[2], "values": tensor.values() if read else None}
    with open("expected.json", "w") as file:
        json.dump(expected, file, indent=1)
        file.write("\n")

    save("tensors.bin", state)
    save("plain_dict.bin", dict(state))
    save("compressed.bin", state, zipfile.ZIP_DEFLATED)
    save("missing_data.bin", state, skip=("data/1",))
    limit, zipfile.ZIP64_LIMIT = zipfile.ZIP64_LIMIT, -1  # every number goes to its 64-bit field
    save("zip64.bin", state)
    zipfile.ZIP64_LIMIT = limit

    class Attack:
        def __reduce__(self):
            return os.system, ("touch executed",)

    save("os_system.bin", {"weight": state["float"], "more": Attack()})
    save("outside.bin", {"weight": Tensor(floats, 3, (2, 2), (2, 1))})
    save("overflow.bin", {"weight": Tensor(floats, 0, (2**40, 2**40), (2**40, 1))})
    save("negative.bin", {"weight": Tensor(floats, 5, (2, 3), (-3, -1))})


if __name__ == "__main__":
    main()
