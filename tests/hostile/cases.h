#pragma once
/// Tables of hostile inputs with the refusal that each must meet. docs/hostile-files.md lists them by number.

#include <string>
#include <vector>

#include "hostile/build.h"

namespace coppice::test {

/// One hostile input: what it is (its number first, if it has one), its bytes, and the words that the refusal must
/// hold. The first word is the category; "accepted" for what is read, and then the words are said of what is left out.
struct Hostile {
  std::string what;
  std::string bytes;
  std::string category;
  std::string fragment;
};

[[nodiscard]] std::vector<Hostile> safetensors_structure();
[[nodiscard]] std::vector<Hostile> safetensors_values();
[[nodiscard]] std::vector<Hostile> npy_cases();
[[nodiscard]] std::vector<Hostile> zip_cases();  ///< read as .npz
/// What reaches for code is left out: the fragment is the line that says so. When strict, it is refused.
[[nodiscard]] std::vector<Hostile> torch_code();
[[nodiscard]] std::vector<Hostile> torch_code_when_strict();
[[nodiscard]] std::vector<Hostile> torch_calls();  ///< refused in any case
[[nodiscard]] std::vector<Hostile> torch_machine();
[[nodiscard]] std::vector<Hostile> torch_tensors();
[[nodiscard]] std::vector<Hostile> torch_containers();
[[nodiscard]] std::vector<Hostile> model_cases();
[[nodiscard]] std::vector<Hostile> architecture_cases();
[[nodiscard]] std::vector<Hostile> sparse_member_cases();
/// Of use_state() (hostile/states.h) with what load_arguments() gives.
[[nodiscard]] std::vector<Hostile> state_cases();

/// A model file of one packed layer that is in order.
[[nodiscard]] std::string good_packed_model();

}  // namespace coppice::test
