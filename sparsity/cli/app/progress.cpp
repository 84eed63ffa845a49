#include "app/progress.h"

#include <unistd.h>

#include <chrono>
#include <iostream>
#include <utility>

#include "app.h"

namespace coppice::cli {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

Progress::Progress(const App& app, std::string what, std::int64_t total)
    : shown_(!app.quiet && isatty(STDERR_FILENO) == 1), what_(std::move(what)), total_(total), start_(now()) {}

Progress::~Progress() {
  if (shown_) std::cerr << "\r\033[K" << std::flush;
}

void Progress::update(std::int64_t done, const std::string& detail) {
  if (!shown_) return;
  const double spent = now() - start_;
  std::cerr << "\r\033[K" << what_ << ' ' << done << '/' << total_;
  if (!detail.empty()) std::cerr << "  " << detail;
  if (done > 0 && done < total_) {
    const double left = spent / static_cast<double>(done) * static_cast<double>(total_ - done);
    std::cerr << "  " << fixed(left, 0) << " s left";
  }
  std::cerr << std::flush;
}

}  // namespace coppice::cli
