// Byte planes of numeric arrays: plane p holds byte p of every element, so that exponents, which compress, stand
// together. With a predictor for lossless deltas: the difference of the order-preserving integer images.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kinglet {

// planes: [item_size][n]; item_size in {1, 2, 4, 8}. The inverse is merge_byte_planes.
void split_byte_planes(const std::uint8_t* elements, std::size_t n, std::size_t item_size, std::uint8_t* planes);
void merge_byte_planes(const std::uint8_t* planes, std::size_t n, std::size_t item_size, std::uint8_t* elements);

// Rotates the sign bit of each IEEE element to the lowest place so that the exponent fills whole bytes (lossless).
void rotate_sign(const std::uint8_t* elements, std::size_t n, std::size_t item_size, std::uint8_t* out);
void unrotate_sign(const std::uint8_t* elements, std::size_t n, std::size_t item_size, std::uint8_t* out);

// out[i] = zigzag(image(value[i]) - image(prediction[i])) modulo 2^(8*item_size), image = order-preserving integer of
// the IEEE bits; item_size 2 or 4. Small when the prediction is near. undo_predict restores value exactly.
void predict_difference(const std::uint8_t* value, const std::uint8_t* prediction, std::size_t n, std::size_t item_size,
                        std::uint8_t* out);
void undo_predict(const std::uint8_t* difference, const std::uint8_t* prediction, std::size_t n, std::size_t item_size,
                  std::uint8_t* value);

}  // namespace kinglet
