#pragma once
// Samples for fine-tuning and evaluation: the built-in digits, or arrays of the user's.

#include <string>
#include <string_view>
#include <vector>

#include "app.h"
#include "coppice/nn/module.h"
#include "coppice/sparsity/training/dataset.h"

namespace coppice::cli {

enum class Split { train, test };

/// The 1,797 handwritten digits of the UCI repository: pixels / 16 as [n, 64]. Every fifth image, from the first on,
/// is for testing (360), the others are for training (1,437).
[[nodiscard]] sparsity::Dataset digits(Split split);

/// `digits`, shaped for the model's first layer ([n, 1, 8, 8] for a convolution, [n, 8, 8] for an LSTM, else [n, 64]),
/// or "X.npy,Y.npy". @throws UsageError  for anything else; IoError, FormatError, ShapeError (also for samples without
/// values), DtypeError, LimitError
[[nodiscard]] sparsity::Dataset load_data(const App& app, const std::string& spec, Split split,
                                          const nn::Module& model);

/// The type in which a model takes its inputs: that of its first floating tensor, float32 without any.
[[nodiscard]] Dtype input_dtype(const nn::Module& model);

/// The files that such a text names; none for `digits`.
[[nodiscard]] std::vector<std::string> data_files(const std::string& spec);

/// Input of `n` samples that the model's first layer takes, drawn from the digits' shapes where it fits.
[[nodiscard]] Shape digits_shape(const nn::Module& model, std::int64_t n);

/// The sizes of --shape as a shape. @throws UsageError  if memory cannot count its numbers
[[nodiscard]] Shape shape_option(const std::vector<std::int64_t>& sizes);

/// Files that the program carries inside.
namespace embedded {
[[nodiscard]] std::string_view digits_csv_gz();
[[nodiscard]] std::string_view lenet_digits_pt();
[[nodiscard]] std::string_view lenet_arch_json();
}  // namespace embedded

}  // namespace coppice::cli
