#pragma once
/// Reads .pt files of literal bytes.

#include "coppice/engine/io/torch_file.h"
#include "engine/io/io_support.h"
#include "hostile/pickle.h"

namespace coppice::test::pickle {

/// 1, 2, 3, 4 as float32.
inline const std::string kFloats = le(0x3F800000, 4) + le(0x40000000, 4) + le(0x40400000, 4) + le(0x40800000, 4);
inline const std::vector<float> kValues{1, 2, 3, 4};

inline NamedTensors read(const std::string& bytes) {
  const TempDir dir;
  spill(dir / "t.pt", bytes);
  return read_torch(dir / "t.pt");
}

/// The tensor "w" of {"w": value} over the four floats.
inline Tensor one(const std::string& value) { return read(pt(dict(value), kFloats)).at("w"); }

}  // namespace coppice::test::pickle
