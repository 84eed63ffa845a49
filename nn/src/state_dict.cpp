#include "coppice/nn/state_dict.h"

#include <algorithm>
#include <map>
#include <set>

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/nn/adopts_tensors.h"
#include "coppice/nn/fqn.h"

namespace coppice::nn {
namespace {

enum class Which { all, saved };

/// All parameters and persistent buffers of a tree, or those that state dicts list: visit(name, tensor, whether it may
/// take another shape).
template <class Visit>
void each_tensor(const Module& module, const std::string& prefix, Which which, Visit visit) {
  if (which == Which::saved && !module.saves_state()) return;
  for (const auto& [name, tensor] : module.own_parameters())
    if (tensor.defined()) visit(joined(prefix, name), tensor, false);
  for (const auto& [name, tensor] : module.own_buffers())
    if (tensor.defined() && module.is_persistent(name)) visit(joined(prefix, name), tensor, module.resizes(name));
  for (const auto& [name, child] : module.children()) each_tensor(*child, joined(prefix, name), which, visit);
}

/// A value on its way into a tensor of the module.
struct Copy {
  std::string name;
  Tensor own, given;
};

/// Lets modules that check their tensors as a whole, such as packed layers, see what would become of them, and makes
/// the copies into them ones of what they saw: a given tensor may share the bytes of another one that is written.
/// @throws FormatError
void check_whole(const Module& root, std::vector<Copy>& copies) {
  std::map<std::string_view, Copy*> by_name;
  const auto visit = [&](const auto& self, const Module& module, const std::string& path) -> void {
    if (const auto* whole = dynamic_cast<const AdoptsTensors*>(&module)) {
      if (by_name.empty())
        for (Copy& copy : copies) by_name.emplace(copy.name, &copy);
      NamedTensors own;
      bool changed = false;
      const auto add = [&](const std::string& name, const Tensor& now) {
        const auto found = by_name.find(joined(path, name));
        if (found != by_name.end()) {
          Tensor& given = found->second->given;
          given = given.dtype() == now.dtype() ? given.detach().clone() : given.detach().to(now.dtype());
          changed = true;
        }
        own.add(name, found != by_name.end() ? found->second->given : now.detach());
      };
      for (const auto& [name, tensor] : module.own_parameters())
        if (tensor.defined()) add(name, tensor);
      for (const auto& [name, tensor] : module.own_buffers())
        if (tensor.defined() && module.is_persistent(name)) add(name, tensor);
      if (changed) {
        try {
          whole->check_adoptable(own);
        } catch (const FormatError& e) {
          throw FormatError(
              cat("[load_state_dict] ", path.empty() ? "the module" : "module " + quote(path), ": ", e.what()));
        }
      }
    }
    for (const auto& [name, child] : module.children()) self(self, *child, joined(path, name));
  };
  visit(visit, root, "");
}

// Names of a list that a message shows: a file may bring a million. The report itself holds all of them.
constexpr std::size_t kShown = 100;

std::string rest_of(std::size_t count) { return count > kShown ? cat(" and ", count - kShown, " more") : ""; }

void list(std::string& out, const char* what, const std::vector<std::string>& names) {
  if (names.empty()) return;
  out += out.empty() ? what : cat('\n', what);
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) out += cat(i == 0 ? " " : ", ", quote(names[i]));
  out += rest_of(names.size());
}

}  // namespace

NamedTensors state_dict(const Module& module, std::string_view prefix) {
  NamedTensors out;
  each_tensor(module, std::string(prefix), Which::saved,
              [&](std::string name, const Tensor& t, bool) { out.add(std::move(name), t.detach()); });
  return out;
}

NamedTensors all_tensors(const Module& module) {
  NamedTensors out;
  each_tensor(module, "", Which::all,
              [&](std::string name, const Tensor& t, bool) { out.add(std::move(name), t.detach()); });
  return out;
}

std::string to_string(const LoadReport& report) {
  if (report.empty()) return "all names match";
  std::string out;
  list(out, "missing:", report.missing);
  list(out, "unexpected:", report.unexpected);
  for (std::size_t i = 0; i < std::min(report.mismatched.size(), kShown); ++i) {
    const auto& m = report.mismatched[i];
    if (!out.empty()) out += '\n';
    out += cat("shape of ", quote(m.name), ": given ", m.given, ", own ", m.own);
  }
  return out + rest_of(report.mismatched.size());
}

LoadError::LoadError(const std::string& head, LoadReport lists)
    : KeyError(cat(head, "\n", coppice::nn::to_string(lists))), report(std::move(lists)) {}

LoadReport load_state_dict(Module& module, const NamedTensors& tensors, bool strict) {
  LoadReport report;
  std::vector<Copy> copies;
  std::set<std::string, std::less<>> own_names;
  each_tensor(module, "", Which::all, [&](const std::string& name, const Tensor& own, bool resizes) {
    own_names.insert(name);
    const Tensor* given = tensors.find(name);
    if (given == nullptr) {
      if (!name.ends_with("num_batches_tracked")) report.missing.push_back(name);
    } else if ((given->is_quantized() || own.is_quantized()) && given->dtype() != own.dtype()) {
      throw DtypeError(cat("[load_state_dict] ", quote(name), " is ", given->dtype(), ", and ", own.dtype(), " here"));
    } else if (given->shape() == own.shape()) {
      copies.push_back({name, own, *given});
    } else if (own.dim() == 0 && given->shape() == Shape{1}) {
      copies.push_back({name, own, given->reshape(Shape{})});
    } else if (resizes && given->dim() == own.dim()) {
      copies.push_back({name, own, *given});
    } else {
      report.mismatched.push_back({name, given->shape(), own.shape()});
    }
  });
  for (const auto& [name, tensor] : tensors)
    if (!own_names.contains(name)) report.unexpected.push_back(name);
  if (!report.mismatched.empty() || (strict && !report.empty()))
    throw LoadError(cat("[load_state_dict] the tensors do not fit ", module.type_name()), std::move(report));
  NoGrad guard;
  check_whole(module, copies);
  for (Copy& copy : copies) {
    if (copy.given.shape() == copy.own.shape())
      copy.own.copy_(copy.given);
    else
      copy.own.replace_(copy.given.detach().to(copy.own.dtype()).clone());
  }
  return report;
}

}  // namespace coppice::nn
