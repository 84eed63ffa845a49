#include "coppice/nn/registry.h"

#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/engine/nearest.h"
#include "coppice/nn/layers/activation.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/conv.h"
#include "coppice/nn/layers/embedding.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/layers/lstm.h"
#include "coppice/nn/layers/norm.h"
#include "coppice/nn/layers/pooling.h"
#include "coppice/nn/loss.h"
#include "coppice/nn/masks/fake_sparsity.h"
#include "coppice/nn/packed/conv.h"
#include "coppice/nn/packed/linear.h"
#include "coppice/nn/parametrize.h"
#include "coppice/nn/quant/fake_quantize.h"
#include "coppice/nn/quant/fused.h"
#include "coppice/nn/quant/histogram_observer.h"
#include "coppice/nn/quant/layers/conv.h"
#include "coppice/nn/quant/layers/linear.h"
#include "coppice/nn/quant/layers/quantize.h"
#include "coppice/nn/quant/min_max_observer.h"
#include "coppice/nn/quant/passive_observers.h"
#include "coppice/nn/quant/qat.h"
#include "coppice/nn/quant/stubs.h"

namespace coppice::nn {
namespace {

struct Row {
  Constructor constructor;
  TypeFlags flags;
};

using Table = std::map<std::string, Row, std::less<>>;

constexpr TypeFlags kLayer{.parametrizes = false, .keeps_shape = false, .takes_modules = false};
/// Element by element, or a mask: may parametrize.
constexpr TypeFlags kSameShape{.parametrizes = true, .keeps_shape = true, .takes_modules = false};

template <class M>
void add(Table& table, const TypeFlags& flags = kLayer) {
  table.emplace(M::kType, Row{[](const Arguments& a) -> ModulePtr { return std::make_shared<M>(a); }, flags});
}

/// One table instead of registration in each layer's file: a linker may drop files of a static library that nobody
/// names.
Table built_in() {
  Table t;
  add<Sequential>(t), add<ModuleList>(t), add<ModuleDict>(t);
  add<Linear>(t), add<Flatten>(t);
  add<Conv1d>(t), add<Conv2d>(t), add<Conv3d>(t);
  add<Identity>(t, kSameShape), add<ReLU>(t, kSameShape), add<Sigmoid>(t, kSameShape), add<Tanh>(t, kSameShape);
  add<GELU>(t, kSameShape), add<Softmax>(t, kSameShape), add<FakeSparsity>(t, kSameShape);
  add<Dropout>(t);
  add<MaxPool2d>(t), add<AvgPool2d>(t), add<AdaptiveAvgPool2d>(t);
  add<BatchNorm1d>(t), add<BatchNorm2d>(t), add<LayerNorm>(t);
  add<Embedding>(t), add<EmbeddingBag>(t), add<LSTM>(t), add<LastStep>(t);
  add<PackedLinear>(t), add<PackedConv2d>(t);
  add<parametrize::ParametrizationList>(t);
  add<quant::MinMaxObserver>(t), add<quant::MovingAverageMinMaxObserver>(t);
  add<quant::PerChannelMinMaxObserver>(t), add<quant::MovingAveragePerChannelMinMaxObserver>(t);
  add<quant::HistogramObserver>(t), add<quant::FixedQParamsObserver>(t);
  add<quant::PlaceholderObserver>(t), add<quant::NoopObserver>(t), add<quant::ReuseInputObserver>(t);
  add<quant::RecordingObserver>(t);
  add<quant::FakeQuantize>(t), add<quant::FusedMovingAvgObsFakeQuantize>(t);
  add<quant::QuantStub>(t), add<quant::DeQuantStub>(t), add<quant::QuantWrapper>(t);
  add<quant::LinearReLU>(t), add<quant::ConvReLU1d>(t), add<quant::ConvReLU2d>(t), add<quant::BNReLU2d>(t);
  add<quant::LinearBn1d>(t), add<quant::ConvBn1d>(t), add<quant::ConvBn2d>(t);
  add<quant::ConvBnReLU1d>(t), add<quant::ConvBnReLU2d>(t);
  add<quant::QatLinear>(t), add<quant::QatLinearReLU>(t), add<quant::QatConv2d>(t), add<quant::QatConvReLU2d>(t);
  add<quant::QatConvBn2d>(t), add<quant::QatConvBnReLU2d>(t);
  add<quant::Quantize>(t), add<quant::DeQuantize>(t), add<quant::LinearPackedParams>(t);
  add<quant::QuantizedLinear>(t), add<quant::QuantizedLinearReLU>(t);
  add<quant::DynamicLinear>(t), add<quant::DynamicLinearReLU>(t);
  add<quant::QuantizedConv1d>(t), add<quant::QuantizedConvReLU1d>(t);
  add<quant::QuantizedConv2d>(t), add<quant::QuantizedConvReLU2d>(t);
  add<CrossEntropyLoss>(t), add<MSELoss>(t);
  return t;
}

struct Registry {
  std::shared_mutex mutex;
  Table table = built_in();
};

Registry& registry() {
  static Registry instance;
  return instance;
}

std::optional<Row> find_row(std::string_view type) {
  Registry& r = registry();
  const std::shared_lock lock(r.mutex);
  const auto found = r.table.find(type);
  return found == r.table.end() ? std::nullopt : std::optional<Row>(found->second);
}

}  // namespace

void register_module(std::string_view type, Constructor constructor, const TypeFlags& flags) {
  Registry& r = registry();
  const std::unique_lock lock(r.mutex);
  if (!r.table.emplace(type, Row{std::move(constructor), flags}).second)
    throw KeyError(cat("[register_module] '", type, "' is registered already"));
}

bool is_registered(std::string_view type) {
  Registry& r = registry();
  const std::shared_lock lock(r.mutex);
  return r.table.contains(type);
}

bool is_built_in(std::string_view type) {
  static const Table own = built_in();
  return own.contains(type);
}

std::vector<std::string> registered_types() {
  Registry& r = registry();
  const std::shared_lock lock(r.mutex);
  std::vector<std::string> out;
  for (const auto& [type, row] : r.table) out.push_back(type);
  return out;
}

TypeFlags flags_of(std::string_view type) {
  const std::optional<Row> row = find_row(type);
  return row ? row->flags : TypeFlags();
}

ModulePtr make_module(std::string_view type, const Arguments& arguments) {
  const std::optional<Row> row = find_row(type);
  if (!row || !row->constructor) {
    const std::vector<std::string> types = registered_types();
    const std::string_view meant = nearest_name(type, std::vector<std::string_view>(types.begin(), types.end()));
    std::string known;
    for (const std::string& name : types) known += (known.empty() ? "" : ", ") + name;
    throw KeyError(cat("[make_module] unknown type ", quote(type), "; known: ", known,
                       meant.empty() ? std::string() : cat("; the nearest is ", quote(meant))));
  }
  ModulePtr module = row->constructor(arguments);
  arguments.reject_unread(type);
  return module;
}

}  // namespace coppice::nn
