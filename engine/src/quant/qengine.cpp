// Engines by name, and the default one.
#include <array>
#include <atomic>

#include "coppice/engine/quantized_weight.h"

namespace coppice {
namespace {

constexpr std::array<std::string_view, 4> kNames{"fbgemm", "x86", "qnnpack", "onednn"};

std::atomic<QEngine>& current() {
  static std::atomic<QEngine> engine{QEngine::x86};
  return engine;
}

}  // namespace

std::string_view name_of(QEngine engine) { return kNames[static_cast<std::size_t>(engine)]; }
std::string to_string(QEngine engine) { return std::string(name_of(engine)); }

QEngine qengine_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<QEngine>(i);
  throw ValueError(cat("[qengine] must be fbgemm, x86, qnnpack or onednn; got '", name, "'"));
}

QEngine default_qengine() { return current().load(); }
QEngine set_default_qengine(QEngine engine) { return current().exchange(engine); }

}  // namespace coppice
