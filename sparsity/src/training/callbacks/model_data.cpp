#include "coppice/sparsity/training/callbacks/model_data.h"

#include <algorithm>
#include <charconv>
#include <ostream>

#include "coppice/engine/checked.h"
#include "coppice/sparsity/mask_ops.h"

namespace coppice::sparsity {

std::string valid_name(std::string_view parameter) {
  std::string out(parameter);
  std::ranges::replace(out, '.', '_');
  return out;
}

OrderedMap<Tensor> data_of(const nn::Module& model, const WeightFilter& select) {
  OrderedMap<Tensor> out;
  OrderedMap<std::string> parameters;
  for (const auto& [name, tensor] : model.named_parameters()) {
    if (!tensor.defined() || (select && !select(name, tensor))) continue;
    const std::string datum = valid_name(name);
    if (const std::string* other = parameters.find(datum))
      throw ValueError(cat("[attach_model] ", quote(*other), " and ", quote(name), " would both be the datum ",
                           quote(datum), "; choose one of them by `select`"));
    parameters.set(datum, name);
    out.set(datum, tensor);
  }
  return out;
}

void attach_model(BaseDataSparsifier& sparsifier, const nn::Module& model, const WeightFilter& select,
                  const OrderedMap<Arguments>& config) {
  DataList all;
  for (const auto& [name, tensor] : data_of(model, select)) all.emplace_back(name, tensor);
  sparsifier.add_all(all, config);
}

void log_sparsified_level(std::ostream& log, const BaseDataSparsifier& sparsifier) {
  for (const std::string& name : sparsifier.names()) {
    char digits[32];
    const double level = 100 * sparsity_of(sparsifier.get_mask(name));
    const auto end = std::to_chars(digits, digits + sizeof digits, level, std::chars_format::fixed, 2).ptr;
    log << "Sparsity in layer " << name << " = " << std::string_view(digits, end) << "%\n";
  }
}

}  // namespace coppice::sparsity
