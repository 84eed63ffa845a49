#pragma once
/// A golden file of cases as JSON, whose numbers stand one after another in arrays beside it.

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "coppice/engine/io/npy.h"
#include "golden/stored_arrays.h"

namespace coppice::testing {

/// NAME.json, and "values" and "integers" of NAME.npz.
struct StoredCases {
  nlohmann::json cases;
  StoredValues values;
  StoredIntegers integers;

  explicit StoredCases(const std::string& name) : StoredCases(path_of(name), read_npz(path_of(name) + ".npz")) {}

 private:
  StoredCases(const std::string& path, const NamedTensors& arrays)
      : cases(nlohmann::json::parse(std::ifstream(path + ".json"))),
        values(arrays.at("values")),
        integers(arrays.at("integers")) {}
  static std::string path_of(const std::string& name) { return COPPICE_TESTS_DIR "/golden/" + name; }
};

}  // namespace coppice::testing
