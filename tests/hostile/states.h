#pragma once
/// States of sparsifiers and schedulers, and what takes them up. Names no test framework.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "coppice/engine/arguments.h"
#include "coppice/engine/io/limits.h"
#include "coppice/nn/module.h"
#include "coppice/sparsity/sparsifier/base.h"

namespace coppice::test {

/// One of each kind, by name: of sparsifiers of weights, data and activations, and of schedulers.
[[nodiscard]] std::vector<std::pair<std::string, Arguments>> valid_states();

/// The bytes of a state's file.
[[nodiscard]] std::string state_bytes(const Arguments& state);

/// A list of groups for state_model(), with every key.
[[nodiscard]] std::string groups_text();

/// Linear(8, 8) and Linear(8, 4), the same numbers at every call.
[[nodiscard]] nn::ModulePtr state_model();
/// WeightNorm-, NearlyDiagonal- and NmSparsifier, without a model.
[[nodiscard]] std::vector<std::unique_ptr<sparsity::BaseSparsifier>> weight_sparsifiers();

/// Gives a state to what its keys say it is of, and takes a step with it: a sparsifier of the weights of
/// state_model(), of data, or of activations, or a scheduler. @throws coppice::Error
void use_state(const Arguments& state, const Limits& limits = {});

/// The four of them. @throws coppice::Error
void use_weight_state(sparsity::BaseSparsifier& prepared, const Arguments& state);
void use_data_state(const Arguments& state, const Limits& limits = {});
void use_activation_state(const Arguments& state, const Limits& limits = {});
void use_scheduler_state(const Arguments& state);

}  // namespace coppice::test
