"""A GGUF file with one tensor of every type that Kinglet reads, and the numbers that the gguf package makes of them.

    pip install gguf numpy
    python3 tests/golden/io/make_gguf.py

Writes types.gguf and types.f32 (the fp32 values of all tensors behind each other, in the file's order). The blocks are
random bytes with scales of ordinary size, so that every bit of a block matters. Made with gguf 0.19.0.
"""
import pathlib

import gguf
import numpy as np

HERE = pathlib.Path(__file__).parent
T = gguf.GGMLQuantizationType
# type: places of half-precision scales in a block
SCALES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q4_K: [0, 2], T.Q5_K: [0, 2],
          T.Q6_K: [208]}
ROWS, COLUMNS = 3, 512


def main():
    rng = np.random.default_rng(5)
    writer = gguf.GGUFWriter(HERE / "types.gguf", "llama")
    writer.add_uint32("test.integer", 7)
    writer.add_float32("test.number", 0.5)
    writer.add_string("test.text", "größer")
    writer.add_array("test.list", ["a", "b", ""])
    writer.add_bool("test.truth", True)
    values = []
    plain = rng.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    for name, data in [("F32", plain), ("F16", plain.astype(np.float16))]:
        writer.add_tensor(name, data)
        values.append(data.astype(np.float32))
    half = gguf.quants.quantize(plain, T.BF16)
    writer.add_tensor("BF16", half, raw_dtype=T.BF16)
    values.append(gguf.quants.dequantize(half, T.BF16))
    for kind, places in SCALES.items():
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = rng.integers(0, 256, (ROWS * COLUMNS // elements, size), dtype=np.uint8)
        for place in places:
            scale = (rng.standard_normal(len(blocks)) * 0.1).astype(np.float16)
            blocks[:, place:place + 2] = scale.view(np.uint8).reshape(-1, 2)
        data = blocks.reshape(ROWS, -1)
        writer.add_tensor(kind.name, data, raw_dtype=kind)
        values.append(gguf.quants.dequantize(data, kind).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (HERE / "types.f32").write_bytes(b"".join(v.tobytes() for v in values))


if __name__ == "__main__":
    main()
