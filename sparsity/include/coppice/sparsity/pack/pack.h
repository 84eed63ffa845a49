#pragma once
/// From zeros to a smaller file and a faster program: the storage and kernel of every layer.

#include <cstdint>
#include <string>
#include <vector>

#include "coppice/engine/sparse/packed_matrix.h"
#include "coppice/nn/module.h"

namespace coppice::sparsity {

struct PackOptions {
  /// Time every candidate at batch 1 and 64. Without it the smallest format is taken: the same on every machine.
  bool measure = true;
  /// A format may take this share of the dense layer's time at most, as the mean over both batch sizes.
  double slowest = 1.1;
  /// Median over this many runs, in which the candidates take turns; fewer, but 3, where all take more than 2 seconds.
  int runs = 15;
  /// Leave a masked layer masked where a file takes less for that, the values that are kept and a bit per entry, than
  /// for any packed form that would do: `pack` of the program never makes a file larger.
  bool masks_compete = false;
};

/// One way to hold a layer's weight.
struct PackCandidate {
  PackedFormat format;
  std::int64_t bytes = 0;      ///< of the weight, exactly
  double microseconds_1 = 0;   ///< one call at batch 1, median; 0 if not measured
  double microseconds_64 = 0;  ///< one call at batch 64
};

struct PackDecision {
  std::string path;  ///< of the module, dotted
  std::string type;  ///< "Linear", "Conv2d"
  std::int64_t elements = 0;
  std::int64_t nonzeros = 0;
  std::vector<PackCandidate> candidates;  ///< dense first
  PackedFormat chosen;                    ///< dense unless another pays
  std::string reason;
  bool stays_masked = false;  ///< for PackOptions::masks_compete, though a packed form is smaller than dense
};

/// A layer with weights that has no packed form.
struct NotPacked {
  std::string path;
  std::string type;
  std::string reason;  ///< "groups: 2", "an LSTM has no packed form"
};

struct Packed {
  nn::ModulePtr model;  ///< in eval mode; the model that was given is unchanged
  std::vector<PackDecision> decisions;
  std::vector<NotPacked> not_packed = {};  ///< in the order of modules; packed layers are not listed
};

/// A copy of `model` with every float32 Linear and every float32 Conv2d of one group in the format that is smallest and
/// fastest: the least sum of its share of the dense bytes and twice its share of the dense time (mean over batch 1 and
/// 64) among the formats that are smaller and at most a tenth slower than dense; dense where there is none, and for
/// layers that hold modules of their own. In packed layers masks are burned in and subnormals become 0; all others stay
/// as they were, masks and parametrizations included.
///
/// Timing takes at most 256 MiB for a layer: where batch 64 needs more, a smaller batch is timed and its time
/// multiplied; where one sample needs more, the smallest format is taken and the reason says so.
///
/// @param example  one input of the model, [n, ...], from which the sizes inside convolutions are learnt; when
///                 undefined, convolutions are timed on 64 positions
/// @throws as the model does on `example`
[[nodiscard]] Packed pack(const nn::Module& model, const PackOptions& options = {}, const Tensor& example = Tensor());

/// The decisions as JSON: what the metadata of a packed file holds under "coppice.pack".
[[nodiscard]] std::string decisions_to_json(const std::vector<PackDecision>& decisions);

}  // namespace coppice::sparsity
