#!/usr/bin/env python3
"""Writes every_type.gguf: metadata of every type and a tensor of every type that can be dequantised, and gguf.json: what
the gguf package reads from it.

  gguf.json   tensor -> [type, shape row-major, CRC-32 of its elements as fp32, the first and the last element]

Blocks are made by the package where it can quantise; else they are random bytes with sensible scales.

    python3 make_gguf.py    (made with gguf 0.19, numpy 2.4)
"""

import json
import zlib
from pathlib import Path

import gguf
import numpy
from gguf import GGMLQuantizationType as Type

HERE = Path(__file__).parent
random = numpy.random.default_rng(1)

# Places of the half-precision scales inside a block that the package cannot make.
SCALES = {Type.Q2_K: (80, 82), Type.Q3_K: (108,), Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q6_K: (208,)}
QUANTIZED = [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1]
ROWS, COLUMNS = 3, 512


def blocks(kind):
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    data = random.integers(0, 256, (ROWS, COLUMNS // elements, size), dtype=numpy.uint8)
    for place in SCALES[kind]:
        scales = random.normal(0, 0.01, data.shape[:2]).astype(numpy.float16)
        data[:, :, place:place + 2] = scales.view(numpy.uint8).reshape(*data.shape[:2], 2)
    return data.reshape(ROWS, -1)


def write_metadata(writer):
    writer.add_custom_alignment(64)
    for bits in (8, 16, 32, 64):
        getattr(writer, f"add_uint{bits}")(f"test.u{bits}", 2**bits - 1)
        getattr(writer, f"add_int{bits}")(f"test.i{bits}", -2 ** (bits - 1))
    writer.add_float32("test.f32", 0.1)
    writer.add_float64("test.f64", 0.1)
    writer.add_bool("test.bool", True)
    writer.add_string("test.text", "Käfer")
    writer.add_array("test.texts", ["a", "", "▁the"])
    writer.add_array("test.integers", [1, -2, 3])
    writer.add_array("test.numbers", [0.5, -1.25])
    writer.add_array("test.booleans", [True, False, True])


def main():
    path = HERE / "files" / "every_type.gguf"
    writer = gguf.GGUFWriter(path, "test")
    write_metadata(writer)
    for kind in QUANTIZED + list(SCALES):
        if kind in SCALES:
            data = blocks(kind)
        else:
            data = gguf.quantize(random.normal(0, 1, (ROWS, COLUMNS)).astype(numpy.float32), kind)
        # F32 and F16 are arrays of numbers to the writer, everything else bytes.
        plain = kind in (Type.F32, Type.F16)
        writer.add_tensor(kind.name.lower(), data, raw_dtype=None if plain else kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    expected = {}
    for tensor in gguf.GGUFReader(path).tensors:
        numbers = gguf.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        assert numpy.isfinite(numbers).all()
        shape = [int(size) for size in reversed(tensor.shape)]
        expected[tensor.name] = [tensor.tensor_type.name, shape, zlib.crc32(numbers.tobytes()),
                                 float(numbers.flat[0]), float(numbers.flat[-1])]
    (HERE / "gguf.json").write_text(json.dumps(expected, indent=1) + "\n")


main()
